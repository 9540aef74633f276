//! Where the media of a local track comes from, when it is not sent by hand.

use super::{PeerConnection, PeerConnectionState, RouteError};
use crate::egress::{RouteLayer, RouteOrigin};
use crate::rtp::Rid;
use crate::track::{MediaKind, TrackId};

/// A remote track of some peer connection: where a route begins.
///
/// See [`PeerConnection::set_route`].
#[derive(Clone, Debug)]
pub struct RouteSource {
    pub(super) publisher: PeerConnection,
    pub(super) track: TrackId,
    pub(super) layer: RouteLayer,
}

impl RouteSource {
    /// A remote track of `publisher`. Of one that is sent in several encodings (simulcast) the best that arrives: when that
    /// one pauses, the next; when it comes back, that one again. Changes are made at keyframes, which are asked for.
    pub fn new(publisher: &PeerConnection, track: TrackId) -> Self {
        Self {
            publisher: publisher.clone(),
            track,
            layer: RouteLayer::Best { up_to: None },
        }
    }

    /// One encoding of a track that is sent in several, and no other: nothing while it pauses.
    #[must_use]
    pub fn rid(self, rid: Rid) -> Self {
        let layer = RouteLayer::Only(rid);
        Self { layer, ..self }
    }

    /// The best encoding that arrives up to this one: nothing better than what the receiver has a use for. Where none but
    /// better ones arrive, it is the lowest of these.
    #[must_use]
    pub fn up_to(self, rid: Rid) -> Self {
        let layer = RouteLayer::Best { up_to: Some(rid) };
        Self { layer, ..self }
    }

    /// What the media paths need, for a track of kind `to`.
    pub(super) fn origin(self, to: MediaKind) -> Result<RouteOrigin, RouteError> {
        let Self {
            publisher,
            track,
            layer,
        } = self;
        if publisher.connection_state() == PeerConnectionState::Closed {
            return Err(RouteError::SourceClosed);
        }
        let from = (publisher.tracks.received(track)).ok_or(RouteError::UnknownSource(track))?;
        if from != to {
            return Err(RouteError::KindMismatch { from, to });
        }
        Ok(publisher.rtp.origin(track, layer))
    }
}
