//! Where the media of a local track comes from, when it is not sent by hand.

use super::{PeerConnection, PeerConnectionState, RouteError};
use crate::egress::RouteOrigin;
use crate::rtp::Rid;
use crate::track::{MediaKind, TrackId};

/// A remote track of some peer connection: where a route begins.
///
/// See [`PeerConnection::set_route`].
#[derive(Clone, Debug)]
pub struct RouteSource {
    pub(super) publisher: PeerConnection,
    pub(super) track: TrackId,
    pub(super) rid: Option<Rid>,
}

impl RouteSource {
    /// A remote track of `publisher`.
    pub fn new(publisher: &PeerConnection, track: TrackId) -> Self {
        Self {
            publisher: publisher.clone(),
            track,
            rid: None,
        }
    }

    /// One encoding of a track that is sent in several (simulcast). A track with encodings needs it: the
    /// packets of one encoding are a stream, those of all together are none.
    #[must_use]
    pub fn rid(self, rid: Rid) -> Self {
        Self {
            rid: Some(rid),
            ..self
        }
    }

    /// What the media paths need, for a track of kind `to`.
    pub(super) fn origin(self, to: MediaKind) -> Result<RouteOrigin, RouteError> {
        let Self {
            publisher,
            track,
            rid,
        } = self;
        if publisher.connection_state() == PeerConnectionState::Closed {
            return Err(RouteError::SourceClosed);
        }
        let from = (publisher.tracks.received(track)).ok_or(RouteError::UnknownSource(track))?;
        if from != to {
            return Err(RouteError::KindMismatch { from, to });
        }
        Ok(publisher.rtp.origin(track, rid))
    }
}
