//! What handles read without asking the media path.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::egress::SentTrack;
use crate::jsep::SessionDescription;
use crate::rtp::Rid;
use crate::track::{MediaKind, TrackId};

/// The four descriptions (W3C §4.4.2) and the two that summarize them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Descriptions {
    pub(crate) current_local: Option<SessionDescription>,
    pub(crate) pending_local: Option<SessionDescription>,
    pub(crate) current_remote: Option<SessionDescription>,
    pub(crate) pending_remote: Option<SessionDescription>,
}

/// The tracks that a peer sends and receives now, for handles that must answer at once.
///
/// Written by the peer connection when negotiation changes it, read on every send.
#[derive(Debug, Default)]
pub(crate) struct KnownTracks {
    tracks: ArcSwap<Tracks>,
}

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tracks {
    pub(crate) sent: HashMap<TrackId, Sent>,
    pub(crate) received: HashMap<TrackId, MediaKind>,
}

/// What is known of a track that is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) kind: MediaKind,
    /// The names of its encodings, where it has several.
    pub(crate) rids: Vec<Rid>,
}

impl Tracks {
    /// Each encoding of each track that is sent.
    fn all_sent(&self) -> Vec<SentTrack> {
        let mut all = Vec::new();
        for (track, sent) in &self.sent {
            all.extend(sent.rids.is_empty().then(|| SentTrack::from(*track)));
            all.extend(
                sent.rids
                    .iter()
                    .map(|rid| SentTrack::new(*track, Some(rid))),
            );
        }
        all
    }
}

impl KnownTracks {
    /// Takes over what is sent and received now; says whether a track is gone, or an encoding of one.
    pub(crate) fn set(&self, tracks: Tracks) -> bool {
        let before = self.tracks.swap(Arc::new(tracks));
        let now = self.tracks.load();
        let sent = now.all_sent();
        let mut received = before.received.keys();
        before.all_sent().iter().any(|track| !sent.contains(track))
            || received.any(|track| !now.received.contains_key(track))
    }

    /// The kind of a track that is sent.
    pub(crate) fn sent(&self, track: TrackId) -> Option<MediaKind> {
        self.tracks.load().sent.get(&track).map(|sent| sent.kind)
    }

    /// Whether a track that is sent has this encoding; without a name, whether it has only one.
    pub(crate) fn encodes(&self, track: TrackId, rid: Option<&Rid>) -> bool {
        let tracks = self.tracks.load();
        tracks.sent.get(&track).is_some_and(|sent| match rid {
            Some(rid) => sent.rids.contains(rid),
            None => sent.rids.is_empty(),
        })
    }

    /// The kind of a track that is received.
    pub(crate) fn received(&self, track: TrackId) -> Option<MediaKind> {
        self.tracks.load().received.get(&track).copied()
    }

    /// All of them: what is sent, and what is received.
    pub(crate) fn all(&self) -> (Vec<SentTrack>, Vec<TrackId>) {
        let tracks = self.tracks.load();
        let received = tracks.received.keys().copied().collect();
        (tracks.all_sent(), received)
    }
}
