//! What a session is told, and what it tells its stream.

use ractor::RpcReplyPort;

use super::etag::{EntityTag, IfMatch};
use crate::forwarder::Forwarder;
use crate::peer_connection::{PeerEvent, PeerId};
use crate::signaling::broadcaster::error::{OpenError, PatchError};
use crate::signaling::broadcaster::name::{Role, SessionId};
use crate::signaling::sdpfrag::SdpFragment;
use crate::timer::Generation;
use crate::track::{MediaKind, TrackId};

/// Mailbox of a session.
#[derive(Debug)]
pub(in crate::signaling::broadcaster) enum SessionMessage {
    // From the stream.
    /// Answer the offer.
    Begin,
    /// What the client says of ICE.
    Patch(PatchRequest),
    /// What a viewer is to be sent from now on.
    Source(Source),
    /// The stream has another Forwarder, which knows what the one before knew.
    Forwarder(Forwarder),
    /// It is over; for the log, why.
    End(&'static str),

    // Facts, from the peer connection and the own timers.
    /// The peer connection has news.
    Peer(PeerEvent),
    /// A deadline has passed.
    TimerFired {
        timer: SessionTimer,
        generation: Generation,
    },
}

impl From<PeerEvent> for SessionMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::signaling::broadcaster) enum SessionTimer {
    /// The first connection.
    Connect,
    /// The candidates of this side.
    Gathering,
}

/// What is needed to begin a session. The session itself answers.
#[derive(Debug)]
pub(in crate::signaling::broadcaster) struct OpenRequest {
    pub(in crate::signaling::broadcaster) role: Role,
    pub(in crate::signaling::broadcaster) offer: String,
    pub(in crate::signaling::broadcaster) reply: RpcReplyPort<Result<Opened, OpenError>>,
}

/// What a client says of ICE. The session itself answers.
#[derive(Debug)]
pub(in crate::signaling::broadcaster) struct PatchRequest {
    pub(in crate::signaling::broadcaster) if_match: IfMatch,
    pub(in crate::signaling::broadcaster) fragment: SdpFragment,
    pub(in crate::signaling::broadcaster) reply: RpcReplyPort<Result<Patched, PatchError>>,
}

/// What a session tells its stream, once: the client is connected, by this peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::signaling::broadcaster) struct Connected(
    pub(in crate::signaling::broadcaster) PeerId,
);

/// What viewers are sent: remote tracks of the publisher on air.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::signaling::broadcaster) struct Source {
    pub(in crate::signaling::broadcaster) audio: Option<TrackId>,
    pub(in crate::signaling::broadcaster) video: Option<TrackId>,
}

impl Source {
    pub(in crate::signaling::broadcaster) fn of(self, kind: MediaKind) -> Option<TrackId> {
        match kind {
            MediaKind::Audio => self.audio,
            MediaKind::Video => self.video,
        }
    }
}

/// A session that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// What it is called from now on.
    pub session: SessionId,
    /// The answer (RFC 8866), with all candidates of this side.
    pub answer: String,
    /// Its ICE session.
    pub etag: EntityTag,
}

/// What became of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patched {
    /// Its candidates were taken.
    Trickled,
    /// ICE was restarted.
    Restarted {
        /// The credentials and candidates of this side.
        fragment: SdpFragment,
        /// The new ICE session.
        etag: EntityTag,
    },
}

/// Whoever waits for the candidates of this side.
#[derive(Debug)]
pub(super) enum Waiting {
    /// For the answer.
    Opened(RpcReplyPort<Result<Opened, OpenError>>),
    /// For the other side of an ICE restart.
    Restarted(RpcReplyPort<Result<Patched, PatchError>>),
}
