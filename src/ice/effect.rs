//! What the machine has the shell do.

use std::net::SocketAddr;
use std::time::Instant;

use super::candidate::{IceParameters, IceRole};
use super::path::Route;
use super::remote_candidate::{CandidateError, CandidateKind};
use crate::peer_connection::IceConnectionState;
use crate::udp::OutgoingStun;

/// A remote candidate under the name that the agent knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AgentCandidate {
    pub(super) address: SocketAddr,
    pub(super) priority: u32,
    pub(super) kind: CandidateKind,
}

/// What the shell must do, in this order.
#[derive(Debug)]
pub(super) enum Effect {
    /// A new agent takes over from the one before, if any.
    StartAgent {
        role: IceRole,
        remote: IceParameters,
        candidates: Vec<AgentCandidate>,
    },
    AddToAgent(AgentCandidate),
    /// A STUN message for the agent. `then_hurry`: what it says lets the agent go on at once, which by
    /// itself it would do at its next tick.
    GiveToAgent {
        bytes: Vec<u8>,
        from: SocketAddr,
        then_hurry: bool,
    },
    SendStun {
        socket: usize,
        stun: OutgoingStun,
    },
    SelectPath(Route),
    /// Look after consent then.
    AwaitConsent(Instant),
    /// Nothing is sent to the peer any more, and the agent goes.
    GiveUp,
    AnnounceState(IceConnectionState),
    AnnounceRole(IceRole),
    RefuseCandidate {
        candidate: String,
        reason: CandidateError,
    },
    /// Look names up unless the peer has been heard by then.
    AwaitNames,
    LookUpName(String),
    /// Fail unless there is a path by then.
    AwaitPath,
}
