//! What a relay is told, and what it tells.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;

use crate::lane::Weigh;
use crate::timer::Generation;
use crate::udp::{ChannelNumber, OutgoingStun};

/// Mailbox of a relay.
#[derive(Debug)]
pub(crate) enum RelayMessage {
    /// The session has put STUN messages into the lane.
    StunLeaves,
    /// The reader has put datagrams into the lane.
    Arrived,
    /// The time that the machine named has come.
    TimerFired { generation: Generation },
}

/// What a relay tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RelayEvent {
    /// There is a relayed address; `mapped` is what the server sees of us.
    Allocated {
        relayed: SocketAddr,
        mapped: SocketAddr,
    },
    /// What is sent on this channel arrives at the peer. Told before anything that comes from there.
    ChannelBound {
        peer: SocketAddr,
        channel: ChannelNumber,
    },
    /// There is no relay, or not any more. The last that is told.
    Failed(RelayError),
}

/// Why a TURN server does not relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("the TURN server does not answer")]
    NoAnswer,
    #[error("the TURN server refuses the credentials")]
    Unauthorized,
    #[error("the TURN server refuses with code {0}")]
    Refused(u16),
    #[error("the TURN server's answer makes no sense")]
    Nonsense,
}

/// A STUN message of the session's on its way to the relay.
#[derive(Debug)]
pub(super) struct Leaving(pub(super) OutgoingStun);

impl Weigh for Leaving {
    fn packets(&self) -> usize {
        1
    }

    fn bytes(&self) -> usize {
        self.0.bytes.len()
    }
}

/// What one read brought from the server.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) received_at: Instant,
    pub(super) datagrams: VecDeque<BytesMut>,
}

impl Weigh for Arrival {
    fn packets(&self) -> usize {
        self.datagrams.len()
    }

    fn bytes(&self) -> usize {
        self.datagrams.iter().map(BytesMut::len).sum()
    }
}
