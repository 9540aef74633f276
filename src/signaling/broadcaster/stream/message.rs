//! What a stream is told, and what it tells.

use crate::codec::RtpCodec;
use crate::forwarder::ForwarderEvent;
use crate::peer_connection::PeerId;
use crate::signaling::broadcaster::name::SessionId;
use crate::signaling::broadcaster::session::{OpenRequest, PatchRequest};

/// Mailbox of a stream.
#[derive(Debug)]
pub(in crate::signaling::broadcaster) enum StreamMessage {
    // From the Broadcaster.
    /// Begin a session.
    Open {
        session: SessionId,
        request: OpenRequest,
    },
    /// Pass on to a session what its client says of ICE.
    Patch {
        session: SessionId,
        request: PatchRequest,
    },
    /// End a session.
    Close(SessionId),
    /// End all sessions.
    CloseAll,

    // Facts, from sessions and the Forwarder.
    /// The client of a session is connected.
    Connected { session: SessionId, peer: PeerId },
    /// The Forwarder has news.
    Forwarder(ForwarderEvent),
}

impl From<ForwarderEvent> for StreamMessage {
    fn from(event: ForwarderEvent) -> Self {
        Self::Forwarder(event)
    }
}

/// What a stream tells the Broadcaster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::signaling::broadcaster) enum StreamNews {
    /// This publisher is what viewers get from now on.
    OnAir(PeerId),
    /// There is no publisher any more.
    OffAir,
    /// A viewer is connected.
    ViewerJoined(PeerId),
    /// A viewer that was connected has gone.
    ViewerLeft(PeerId),
    /// A viewer knows no codec of the publisher.
    CannotDecode {
        viewer: PeerId,
        codec: Option<RtpCodec>,
    },
    /// A session is gone.
    SessionEnded(SessionId),
}
