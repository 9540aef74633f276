//! Who gets what.

use crate::peer_connection::PeerId;
use crate::track::{MediaStreamTrack, StreamId};

/// A remote track of some peer, as others may have it. Its track's [`id`](MediaStreamTrack::id) names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Publication {
    /// Whose track it is.
    pub publisher: PeerId,
    /// The remote track.
    pub track: MediaStreamTrack,
    /// The streams it belongs to, as subscribers see them: never none, and never those of another publisher, so
    /// that two pages that name their streams alike stay two. The same stream of the same peer has the same name
    /// each time.
    pub streams: Vec<StreamId>,
}

impl Publication {
    /// A publication for a test of a policy; a Forwarder makes its own.
    pub fn new(
        publisher: PeerId,
        track: MediaStreamTrack,
        streams: impl IntoIterator<Item = StreamId>,
    ) -> Self {
        Self {
            publisher,
            track,
            streams: streams.into_iter().collect(),
        }
    }
}

/// Who gets what, unasked. It is asked once for each pair of peer and publication, when the later of the two comes.
///
/// What it says stands until the publication ends or somebody says otherwise by hand
/// ([`subscribe`](super::Forwarder::subscribe), [`switch`](super::Forwarder::switch),
/// [`unsubscribe`](super::Forwarder::unsubscribe)). It runs in the Forwarder's actor: it should answer at once, and a
/// panic in it ends the Forwarder.
///
/// ```
/// use ractor_webrtc::forwarder::{ForwardingPolicy, Publication};
/// use ractor_webrtc::{MediaKind, PeerId};
///
/// /// Everybody hears everybody, and nobody sees anybody unasked.
/// struct SoundOnly;
///
/// impl ForwardingPolicy for SoundOnly {
///     fn subscribes(&mut self, subscriber: PeerId, publication: &Publication) -> bool {
///         publication.publisher != subscriber && publication.track.kind() == MediaKind::Audio
///     }
/// }
/// ```
pub trait ForwardingPolicy: Send + 'static {
    /// Whether `subscriber` gets `publication`, which may be its own.
    fn subscribes(&mut self, subscriber: PeerId, publication: &Publication) -> bool;
}

/// Everybody gets all that others publish: a room. The default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllOthers;

impl ForwardingPolicy for AllOthers {
    fn subscribes(&mut self, subscriber: PeerId, publication: &Publication) -> bool {
        publication.publisher != subscriber
    }
}

/// Nobody gets anything unasked: for owners that decide themselves, when they hear that something is
/// [published](super::ForwarderEvent::Published) or asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnRequest;

impl ForwardingPolicy for OnRequest {
    fn subscribes(&mut self, _subscriber: PeerId, _publication: &Publication) -> bool {
        false
    }
}
