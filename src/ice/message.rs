//! What an ICE transport is told, and what it tells.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ractor::{ActorRef, RpcReplyPort};

use super::candidate::{IceParameters, IceRole};
use super::configuration::IceConfiguration;
use super::remote_candidate::CandidateError;
use super::snapshot::IceSnapshot;
use super::turn::RelayEvent;
use crate::peer_connection::{IceConnectionState, IceGatheringState};
use crate::timer::Generation;
use crate::udp::TransportPath;

/// Mailbox of an ICE transport.
#[derive(Debug)]
pub(crate) enum IceMessage {
    // Commands and queries, from handles.
    /// Collects local candidates.
    Gather,
    /// The other side's parameters are known: checks may begin.
    Start {
        role: IceRole,
        remote: IceParameters,
    },
    /// Another session begins beside the running one.
    Restart { local: IceParameters },
    /// The session that was begun and not started is not wanted any more.
    AbandonRestart,
    /// What the next gathering is to go by.
    SetConfiguration(Arc<IceConfiguration>),
    /// The other side has another candidate.
    AddRemoteCandidate(String),
    /// The other side has no more candidates.
    EndOfRemoteCandidates,
    /// Asks for all that statistics tell.
    Snapshot { reply: RpcReplyPort<IceSnapshot> },
    /// Ends the session.
    Stop,

    // Facts, from the actor's own helpers.
    /// Something of one session.
    Session {
        session: SessionNumber,
        fact: SessionFact,
    },
    /// The former session has lingered long enough.
    FormerIsOver { generation: Generation },
}

/// Tells the sessions of one transport apart, in the order in which they began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionNumber(pub(super) u32);

/// What a session's helpers tell it.
#[derive(Debug)]
pub(crate) enum SessionFact {
    /// An endpoint has put STUN messages into the lane.
    StunArrived,
    /// The agent has put packets into the lane.
    AgentSent,
    /// The agent of that number could not go on.
    AgentFailed { agent: AgentNumber, reason: String },
    /// A server's name was looked up; no address where that failed.
    ServerLookedUp {
        server: usize,
        addresses: Vec<SocketAddr>,
    },
    /// Somebody answers for a `.local` name.
    NameLookedUp { name: String, ip: IpAddr },
    /// A relay has news.
    Relay { number: usize, event: RelayEvent },
    /// Have the task panic in which the agent reads.
    #[cfg(test)]
    PoisonAgent,
    /// A timer of the session went off.
    TimerFired {
        timer: IceTimer,
        generation: Generation,
    },
}

/// Tells the agents of one session apart; a change of role makes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AgentNumber(pub(super) u32);

/// Timers of an ICE session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IceTimer {
    /// A request to a server is due.
    Gathering,
    /// No path was found in time.
    NoPath,
    /// Consent is to be looked after.
    Consent,
    /// Names are to be looked up, should the peer not have been heard.
    Names,
}

impl SessionFact {
    /// The message that carries it.
    pub(super) fn of(self, session: SessionNumber) -> IceMessage {
        let fact = self;
        IceMessage::Session { session, fact }
    }
}

/// The transport's mailbox as one session's helpers see it.
#[derive(Clone, Debug)]
pub(super) struct SessionRef {
    pub(super) transport: ActorRef<IceMessage>,
    pub(super) session: SessionNumber,
}

impl SessionRef {
    /// Does not wait. A transport that has stopped, or has dropped the session, does without it.
    pub(super) fn tell(&self, fact: SessionFact) {
        let _stopped = self.transport.cast(fact.of(self.session));
    }
}

/// What an ICE transport tells.
#[derive(Clone, Debug)]
pub(crate) enum IceEvent {
    /// The state of the checks changed.
    StateChanged(IceConnectionState),
    /// The state of gathering changed.
    GatheringStateChanged(IceGatheringState),
    /// A local candidate.
    CandidateGathered {
        /// `candidate:…`
        candidate: String,
        /// Ours, of the session that it belongs to.
        username_fragment: String,
    },
    /// Media and DTLS go this way from now on.
    SelectedPathChanged(TransportPath),
    /// A remote candidate is not one.
    RemoteCandidateRefused {
        candidate: String,
        reason: CandidateError,
    },
    /// Both sides claimed the same role, and ours gave way (RFC 8445 §7.3.1.1).
    RoleChanged(IceRole),
}

/// What an ICE session has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct IceStatistics {
    /// STUN messages that were not well formed, not authentic or not expected.
    pub(crate) stun_discarded: u64,
    /// Checks of the agent that came too soon after the last one to the same address.
    pub(crate) checks_held_back: u64,
    /// Remote candidates that are of no use here.
    pub(crate) candidates_ignored: u64,
    /// Messages dropped because a lane was full.
    pub(crate) stun_dropped: u64,
}
