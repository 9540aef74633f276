//! What handles read without asking the media path.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::jsep::SessionDescription;
use crate::track::TrackId;

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
    pub(crate) sent: HashSet<TrackId>,
    pub(crate) received: HashSet<TrackId>,
}

impl KnownTracks {
    pub(crate) fn set(&self, tracks: Tracks) {
        self.tracks.store(Arc::new(tracks));
    }

    pub(crate) fn is_sent(&self, track: TrackId) -> bool {
        self.tracks.load().sent.contains(&track)
    }

    pub(crate) fn is_received(&self, track: TrackId) -> bool {
        self.tracks.load().received.contains(&track)
    }
}
