//! What a Broadcaster is told, and what it tells.

use ractor::RpcReplyPort;

use super::name::{Role, SessionId, StreamName};
use super::session::{OpenRequest, PatchRequest};
use super::stream::StreamNews;
use crate::codec::RtpCodec;
use crate::peer_connection::PeerId;

/// Mailbox of a Broadcaster.
#[derive(Debug)]
pub(super) enum BroadcasterMessage {
    // Commands and queries, from handles.
    /// Begin a session. The session itself answers.
    Open {
        stream: StreamName,
        request: OpenRequest,
    },
    /// Tell a session what its client says of ICE. The session itself answers.
    Patch {
        role: Role,
        session: SessionId,
        request: PatchRequest,
    },
    /// End a session.
    Close {
        role: Role,
        session: SessionId,
        reply: RpcReplyPort<bool>,
    },
    /// Is there such a session?
    Knows {
        role: Role,
        session: SessionId,
        reply: RpcReplyPort<bool>,
    },
    /// All that there is.
    Snapshot {
        reply: RpcReplyPort<BroadcasterSnapshot>,
    },

    /// End all sessions, then yourself.
    ShutDown,

    // Facts, from streams and the own timer.
    /// A stream has news.
    Stream {
        stream: StreamName,
        news: StreamNews,
    },
    /// Sessions had their time to end.
    DeadlinePassed,
}

/// What happened to a stream, as it arrives in its owner's mailbox.
///
/// An actor becomes the owner of a Broadcaster by having `From<BroadcasterEvent>` for its message type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BroadcasterEvent {
    /// A publisher is connected, and is what viewers get from now on.
    OnAir {
        /// Of which stream.
        stream: StreamName,
        /// Its connection.
        publisher: PeerId,
    },
    /// The publisher has gone; viewers stay.
    OffAir {
        /// Of which stream.
        stream: StreamName,
    },
    /// A viewer is connected.
    ViewerJoined {
        /// To which stream.
        stream: StreamName,
        /// Its connection.
        viewer: PeerId,
    },
    /// A viewer that was connected has gone.
    ViewerLeft {
        /// From which stream.
        stream: StreamName,
        /// Its connection.
        viewer: PeerId,
    },
    /// A viewer knows none of the codecs that the publisher uses, and is sent nothing of that kind.
    CannotDecode {
        /// In which stream.
        stream: StreamName,
        /// Its connection.
        viewer: PeerId,
        /// The publisher's codec, if it is known.
        codec: Option<RtpCodec>,
    },
    /// A stream has failed, and its sessions have ended with it.
    StreamFailed {
        /// Which.
        stream: StreamName,
        /// What it said last.
        message: String,
    },
}

/// All that a Broadcaster has, as it was when asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcasterSnapshot {
    /// By name.
    pub streams: Vec<StreamSnapshot>,
}

/// A stream, as it was when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSnapshot {
    /// What it is called.
    pub name: StreamName,
    /// Whether a publisher is connected.
    pub on_air: bool,
    /// Sessions of publishers, connected or not.
    pub publishers: usize,
    /// Sessions of viewers, connected or not.
    pub viewers: usize,
}
