//! What passes between the network and the agent, and what it means for the session.
//!
//! The agent behind this machine believes much of what it is told; so nothing reaches it that is not well
//! formed, authentic and expected. It knows one local address and IPv4 names only; so
//! addresses are translated, and answers to IPv6 peers are written anew.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::candidate::{IceParameters, IceRole};
use super::effect::{AgentCandidate, Effect};
use super::message::{AgentState, IceStatistics};
use super::pacer::CheckPacer;
use super::path::{PathFollower, Route};
use super::remote_candidate::{CandidateError, RemoteCandidate, Unusable};
use super::remotes::Remotes;
use super::ring::Ring;
use super::stun::{
    ICE_CONTROLLED, ICE_CONTROLLING, ROLE_CONFLICT, StunBuilder, USE_CANDIDATE, error_code,
    is_authentic, priority, tie_breaker, xor_mapped_address,
};
use crate::peer_connection::IceConnectionState;
use crate::udp::{OutgoingStun, StunClass, StunMessage, StunPurpose, TransactionId};

/// One ICE session, from its credentials to its end.
#[derive(Debug)]
pub(super) struct IceMachine {
    local: IceParameters,
    /// Whether each socket reaches IPv4, and IPv6.
    sockets: Vec<(bool, bool)>,
    session: Option<Session>,
    state: IceConnectionState,
    agent_running: bool,
    /// The agent has failed: consent is gone, and only new credentials bring it back (RFC 7675 §5.1).
    given_up: bool,
    /// Candidates that came before the other side's parameters.
    early_candidates: Vec<String>,
    /// Checks that came before the agent runs, to be answered when it does.
    early_checks: VecDeque<(Vec<u8>, SocketAddr)>,
    remotes: Remotes,
    pacer: CheckPacer,
    path: PathFollower,
    /// The candidates that the agent was given.
    agent_candidates: Vec<AgentCandidate>,
    checks_received: Ring<CheckReceived>,
    checks_sent: Ring<CheckSent>,
    tie_breaker: Option<u64>,
    role_changes: u8,
    statistics: IceStatistics,
}

/// What is known once the other side's parameters are.
#[derive(Debug)]
struct Session {
    role: IceRole,
    remote: IceParameters,
}

/// An authentic request that the agent has not answered yet.
#[derive(Clone, Copy, Debug)]
struct CheckReceived {
    route: Route,
    nominates: bool,
}

/// A request of ours that has no answer yet.
#[derive(Clone, Copy, Debug)]
struct CheckSent {
    remote: SocketAddr,
    nominates: bool,
    role: IceRole,
}

impl IceMachine {
    /// `sockets`: whether each of them reaches IPv4, and IPv6.
    pub(super) fn new(local: IceParameters, sockets: Vec<(bool, bool)>) -> Self {
        Self {
            local,
            sockets,
            session: None,
            state: IceConnectionState::New,
            agent_running: false,
            given_up: false,
            early_candidates: Vec::new(),
            early_checks: VecDeque::new(),
            remotes: Remotes::default(),
            pacer: CheckPacer::default(),
            path: PathFollower::default(),
            agent_candidates: Vec::new(),
            checks_received: Ring::new(MAX_CHECKS_RECEIVED),
            checks_sent: Ring::new(MAX_CHECKS_SENT),
            tie_breaker: None,
            role_changes: 0,
            statistics: IceStatistics::default(),
        }
    }

    pub(super) fn statistics(&self) -> IceStatistics {
        self.statistics
    }

    pub(super) fn statistics_mut(&mut self) -> &mut IceStatistics {
        &mut self.statistics
    }

    /// Checks may begin. Told twice, it is the first time that counts.
    pub(super) fn handle_start(
        &mut self,
        role: IceRole,
        remote: IceParameters,
        effects: &mut Vec<Effect>,
    ) {
        if self.session.is_some() || self.state == IceConnectionState::Closed {
            return;
        }
        self.session = Some(Session { role, remote });
        self.announce(IceConnectionState::Checking, effects);
        effects.push(Effect::AwaitCandidates);
        for candidate in std::mem::take(&mut self.early_candidates) {
            self.handle_remote_candidate(candidate, effects);
        }
        if !self.early_checks.is_empty() {
            self.start_agent(effects);
        }
    }

    /// The other side has a candidate. Kept until [`Self::handle_start`] where it comes early.
    pub(super) fn handle_remote_candidate(&mut self, line: String, effects: &mut Vec<Effect>) {
        let candidate = match RemoteCandidate::parse(&line) {
            Ok(candidate) => candidate,
            Err(reason) => {
                effects.push(Effect::RefuseCandidate {
                    candidate: line,
                    reason,
                });
                return;
            }
        };
        let Some(session) = &self.session else {
            if self.early_candidates.len() < MAX_EARLY_CANDIDATES {
                self.early_candidates.push(line);
            } else {
                effects.push(Effect::RefuseCandidate {
                    candidate: line,
                    reason: CandidateError::TooMany,
                });
            }
            return;
        };
        match candidate.usable(&session.remote.username_fragment) {
            Ok(address) if self.reaches(address) => {
                if !self.check_remote(address, &candidate, effects) {
                    effects.push(Effect::RefuseCandidate {
                        candidate: line,
                        reason: CandidateError::TooMany,
                    });
                }
            }
            Err(Unusable::Mdns) => self.statistics.mdns_candidates_ignored += 1,
            Ok(_)
            | Err(
                Unusable::Transport
                | Unusable::Component
                | Unusable::Name
                | Unusable::Unreachable
                | Unusable::Session,
            ) => self.statistics.candidates_ignored += 1,
        }
    }

    /// A datagram that looks like STUN came in.
    pub(super) fn handle_stun(
        &mut self,
        route: Route,
        bytes: &[u8],
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let taken = StunMessage::parse(bytes).and_then(|message| match message.class() {
            StunClass::Request => self.handle_check(route, &message, effects),
            StunClass::SuccessResponse => self.handle_answer(route, &message, now, effects),
            StunClass::ErrorResponse => self.handle_refusal(route, &message, effects),
            // Not authenticated, yet the agent would take it for a sign of life.
            StunClass::Indication => None,
        });
        if taken.is_none() {
            self.statistics.stun_discarded += 1;
        }
    }

    /// The agent sends a packet.
    pub(super) fn handle_agent_packet(
        &mut self,
        bytes: Vec<u8>,
        to: SocketAddr,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(destination) = self.remotes.address(to) else {
            return;
        };
        let Some(message) = StunMessage::parse(&bytes) else {
            return;
        };
        match message.class() {
            StunClass::Request => self.send_check(bytes, destination, now, effects),
            StunClass::SuccessResponse => {
                let transaction = message.transaction_id();
                self.send_answer(bytes, transaction, destination, now, effects);
            }
            StunClass::Indication | StunClass::ErrorResponse => {}
        }
    }

    /// The running agent has changed its state.
    pub(super) fn handle_agent_state(&mut self, state: AgentState, effects: &mut Vec<Effect>) {
        self.given_up |= state == AgentState::Failed;
        let state = match state {
            AgentState::Checking => IceConnectionState::Checking,
            AgentState::Connected => IceConnectionState::Connected,
            AgentState::Disconnected => IceConnectionState::Disconnected,
            AgentState::Failed => IceConnectionState::Failed,
        };
        self.announce(state, effects);
    }

    /// No candidate has come, and no check, for as long as checks may take.
    pub(super) fn handle_no_candidates(&mut self, effects: &mut Vec<Effect>) {
        if !self.agent_running && self.state == IceConnectionState::Checking {
            self.announce(IceConnectionState::Failed, effects);
        }
    }

    /// The session ends.
    pub(super) fn handle_stop(&mut self, effects: &mut Vec<Effect>) {
        self.announce(IceConnectionState::Closed, effects);
    }

    fn handle_check(
        &mut self,
        route: Route,
        message: &StunMessage<'_>,
        effects: &mut Vec<Effect>,
    ) -> Option<()> {
        let (ours, theirs) = message.username()?;
        let expected = ours == self.local.username_fragment
            && self
                .session
                .as_ref()
                .is_none_or(|session| session.remote.username_fragment == theirs);
        if !expected || !is_authentic(message, &self.local.password) {
            return None;
        }
        if let Some(session) = &self.session
            && let Some(claimed) = claimed_tie_breaker(message, session.role)
        {
            self.resolve_conflict(route, message.transaction_id(), claimed, effects);
            return Some(());
        }
        let priority = priority(message).unwrap_or_default();
        let name = self.remotes.admit(route.remote, priority)?;
        self.remotes.heard(route);
        let nominates = message.attribute(USE_CANDIDATE).is_some();
        self.checks_received
            .push(message.transaction_id(), CheckReceived { route, nominates });
        if self.session.is_none() {
            if self.early_checks.len() == MAX_EARLY_CHECKS {
                self.early_checks.pop_front();
            }
            self.early_checks
                .push_back((message.bytes().to_vec(), name));
            return Some(());
        }
        self.start_agent(effects);
        effects.push(Effect::GiveToAgent {
            bytes: message.bytes().to_vec(),
            from: name,
            then_hurry: false,
        });
        Some(())
    }

    fn handle_answer(
        &mut self,
        route: Route,
        message: &StunMessage<'_>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Option<()> {
        let session = self.session.as_ref()?;
        let transaction = message.transaction_id();
        let sent = self.checks_sent.get(transaction)?;
        if sent.remote != route.remote || !is_authentic(message, &session.remote.password) {
            return None;
        }
        // Every answer says what the peer saw of us (RFC 8445 §7.2.5.3.1).
        xor_mapped_address(message)?;
        let controlling = session.role == IceRole::Controlling;
        self.checks_sent.take(transaction);
        self.pacer.answered(route.remote);
        self.remotes.heard(route);
        if let Some(selected) = self.path.check_answered(route, sent.nominates, now) {
            effects.push(Effect::SelectPath(selected));
        }
        if self.path.selected() == Some(route) {
            effects.push(Effect::KeepAgentAlive);
        }
        let from = self.remotes.name(route.remote)?;
        let then_hurry =
            controlling && self.path.selected().is_none() && self.remotes.is_best(route.remote);
        effects.push(Effect::GiveToAgent {
            bytes: message.bytes().to_vec(),
            from,
            then_hurry,
        });
        Some(())
    }

    fn handle_refusal(
        &mut self,
        route: Route,
        message: &StunMessage<'_>,
        effects: &mut Vec<Effect>,
    ) -> Option<()> {
        let session = self.session.as_ref()?;
        let sent = self.checks_sent.get(message.transaction_id())?;
        let conflict = sent.remote == route.remote
            && is_authentic(message, &session.remote.password)
            && error_code(message) == Some(ROLE_CONFLICT);
        if !conflict {
            return None;
        }
        self.checks_sent.take(message.transaction_id());
        // A role that was changed since is not changed back (RFC 8445 §7.2.5.1).
        if sent.role == session.role {
            self.change_role(effects);
        }
        Some(())
    }

    /// Both sides claim our role (RFC 8445 §7.3.1.1).
    fn resolve_conflict(
        &mut self,
        route: Route,
        transaction: TransactionId,
        claimed: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(session) = &self.session else {
            return;
        };
        // Until the agent has said its number, silence: the peer asks again.
        let Some(own) = self.tie_breaker else {
            self.start_agent(effects);
            return;
        };
        let larger = own >= claimed;
        let give_way = match session.role {
            IceRole::Controlling => !larger,
            IceRole::Controlled => larger,
        };
        if give_way {
            self.change_role(effects);
            return;
        }
        let bytes = StunBuilder::new(StunClass::ErrorResponse, transaction)
            .error(ROLE_CONFLICT, "Role Conflict")
            .finish(Some(&self.local.password));
        effects.push(Effect::SendStun {
            socket: route.socket,
            stun: OutgoingStun {
                destination: route.remote,
                local_ip: route.local_ip,
                purpose: StunPurpose::ErrorResponse,
                bytes,
            },
        });
    }

    fn change_role(&mut self, effects: &mut Vec<Effect>) {
        let Some(session) = &mut self.session else {
            return;
        };
        if self.role_changes == MAX_ROLE_CHANGES {
            return;
        }
        self.role_changes += 1;
        session.role = match session.role {
            IceRole::Controlling => IceRole::Controlled,
            IceRole::Controlled => IceRole::Controlling,
        };
        effects.push(Effect::AnnounceRole(session.role));
        self.agent_running = false;
        self.tie_breaker = None;
        self.checks_sent.clear();
        self.checks_received.clear();
        self.path.role_changed();
        self.start_agent(effects);
    }

    fn send_check(
        &mut self,
        bytes: Vec<u8>,
        destination: SocketAddr,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(session) = &self.session else {
            return;
        };
        let Some(message) = StunMessage::parse(&bytes) else {
            return;
        };
        if self.tie_breaker.is_none() {
            self.tie_breaker = claimed_tie_breaker(&message, session.role);
        }
        if !self.pacer.admit(destination, now) {
            self.statistics.checks_held_back += 1;
            return;
        }
        let transaction = message.transaction_id();
        let sent = CheckSent {
            remote: destination,
            nominates: message.attribute(USE_CANDIDATE).is_some(),
            role: session.role,
        };
        self.checks_sent.push(transaction, sent);
        let known = self.remotes.route(destination);
        for (socket, (v4, v6)) in self.sockets.iter().copied().enumerate() {
            let goes_here = match known {
                Some(route) => route.socket == socket,
                None if destination.is_ipv4() => v4,
                None => v6,
            };
            if goes_here {
                effects.push(Effect::SendStun {
                    socket,
                    stun: OutgoingStun {
                        destination,
                        local_ip: known.and_then(|route| route.local_ip),
                        purpose: StunPurpose::Request(transaction),
                        bytes: bytes.clone(),
                    },
                });
            }
        }
    }

    /// The agent's answer authenticates the request that it answers, nomination included.
    fn send_answer(
        &mut self,
        bytes: Vec<u8>,
        transaction: TransactionId,
        destination: SocketAddr,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(CheckReceived { route, nominates }) = self.checks_received.take(transaction)
        else {
            return;
        };
        if route.remote != destination {
            return;
        }
        let bytes = if destination.is_ipv4() {
            bytes
        } else {
            // The agent has written the name that it knows the peer by.
            StunBuilder::new(StunClass::SuccessResponse, transaction)
                .xor_mapped_address(destination)
                .finish(Some(&self.local.password))
        };
        effects.push(Effect::SendStun {
            socket: route.socket,
            stun: OutgoingStun {
                destination,
                local_ip: route.local_ip,
                purpose: StunPurpose::SuccessResponse,
                bytes,
            },
        });
        let controlled = self
            .session
            .as_ref()
            .is_some_and(|session| session.role == IceRole::Controlled);
        if nominates
            && controlled
            && let Some(selected) = self.path.nominated(route, now)
        {
            effects.push(Effect::SelectPath(selected));
        }
    }

    /// Lets the agent check an address. `false` where there are too many.
    fn check_remote(
        &mut self,
        address: SocketAddr,
        candidate: &RemoteCandidate,
        effects: &mut Vec<Effect>,
    ) -> bool {
        // A check from there came first: the agent knows it as a peer-reflexive candidate.
        let discovered = self.agent_running && self.remotes.name(address).is_some();
        let Some(name) = self.remotes.admit(address, candidate.priority) else {
            return false;
        };
        let known = self
            .agent_candidates
            .iter()
            .any(|known| known.address == name);
        if known {
            return true;
        }
        let candidate = AgentCandidate {
            address: name,
            priority: candidate.priority,
            kind: candidate.kind,
        };
        self.agent_candidates.push(candidate.clone());
        if !self.agent_running {
            self.start_agent(effects);
        } else if !discovered {
            effects.push(Effect::AddToAgent(candidate));
        }
        true
    }

    /// There is no agent before there is something for it to check: it complains.
    fn start_agent(&mut self, effects: &mut Vec<Effect>) {
        let Some(session) = &self.session else {
            return;
        };
        if self.agent_running || self.given_up || self.state == IceConnectionState::Closed {
            return;
        }
        self.agent_running = true;
        effects.push(Effect::StartAgent {
            role: session.role,
            remote: session.remote.clone(),
            candidates: self.agent_candidates.clone(),
        });
        for (bytes, from) in self.early_checks.drain(..) {
            effects.push(Effect::GiveToAgent {
                bytes,
                from,
                then_hurry: false,
            });
        }
    }

    fn reaches(&self, address: SocketAddr) -> bool {
        self.sockets
            .iter()
            .any(|(v4, v6)| if address.is_ipv4() { *v4 } else { *v6 })
    }

    fn announce(&mut self, state: IceConnectionState, effects: &mut Vec<Effect>) {
        if self.state != state && self.state != IceConnectionState::Closed {
            self.state = state;
            effects.push(Effect::AnnounceState(state));
        }
    }
}

/// The number with which a message claims a role, if it does.
fn claimed_tie_breaker(message: &StunMessage<'_>, role: IceRole) -> Option<u64> {
    let attribute = match role {
        IceRole::Controlling => ICE_CONTROLLING,
        IceRole::Controlled => ICE_CONTROLLED,
    };
    tie_breaker(message, attribute)
}

/// Candidates kept before the other side's parameters are known.
const MAX_EARLY_CANDIDATES: usize = 256;
/// Checks kept before the other side's parameters are known; the oldest goes.
const MAX_EARLY_CHECKS: usize = 16;
/// Requests that the agent has not answered yet; the oldest goes.
const MAX_CHECKS_RECEIVED: usize = 64;
/// Requests of ours without an answer; the oldest goes.
const MAX_CHECKS_SENT: usize = 128;
/// Two sides that cannot agree in that many attempts never will.
const MAX_ROLE_CHANGES: u8 = 8;
