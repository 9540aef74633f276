//! What handles read without asking the media path.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::jsep::SessionDescription;
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
    pub(crate) sent: HashMap<TrackId, MediaKind>,
    pub(crate) received: HashMap<TrackId, MediaKind>,
}

impl KnownTracks {
    /// Takes over what is sent and received now; says whether a track is gone.
    pub(crate) fn set(&self, tracks: Tracks) -> bool {
        let before = self.tracks.swap(Arc::new(tracks));
        let now = self.tracks.load();
        let gone = |before: &HashMap<_, _>, now: &HashMap<_, _>| {
            before.keys().any(|track| !now.contains_key(track))
        };
        gone(&before.sent, &now.sent) || gone(&before.received, &now.received)
    }

    /// The kind of a track that is sent.
    pub(crate) fn sent(&self, track: TrackId) -> Option<MediaKind> {
        self.tracks.load().sent.get(&track).copied()
    }

    /// The kind of a track that is received.
    pub(crate) fn received(&self, track: TrackId) -> Option<MediaKind> {
        self.tracks.load().received.get(&track).copied()
    }

    /// All of them: what is sent, and what is received.
    pub(crate) fn all(&self) -> (Vec<TrackId>, Vec<TrackId>) {
        let tracks = self.tracks.load();
        (
            tracks.sent.keys().copied().collect(),
            tracks.received.keys().copied().collect(),
        )
    }
}
