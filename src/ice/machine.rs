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
        self.pacer.heard(route.remote);
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
        self.pacer.heard(route.remote);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stun::integrity::MessageIntegrity;
    use stun::message::{Getter, Message};
    use stun::xoraddr::XorMappedAddress;

    use super::*;
    use crate::udp::{MESSAGE_INTEGRITY, USERNAME};

    const HERE: &str = "here";
    const OURS: &str = "our password, long enough";
    const THERE: &str = "there";
    const THEIRS: &str = "their password, long enough";

    fn parameters(username_fragment: &str, password: &str) -> IceParameters {
        IceParameters {
            username_fragment: username_fragment.to_owned(),
            password: password.to_owned(),
        }
    }

    fn machine() -> IceMachine {
        IceMachine::new(parameters(HERE, OURS), vec![(true, true)])
    }

    fn started(role: IceRole) -> IceMachine {
        let mut machine = machine();
        machine.handle_start(role, parameters(THERE, THEIRS), &mut Vec::new());
        machine
    }

    fn route(address: &str) -> Route {
        Route {
            socket: 0,
            remote: address.parse().unwrap(),
            local_ip: None,
        }
    }

    fn peer() -> Route {
        route("192.0.2.1:7")
    }

    fn id(number: u8) -> TransactionId {
        TransactionId([number; 12])
    }

    /// A check of the peer.
    fn check(number: u8, role: IceRole, tie_breaker: u64, nominates: bool) -> Vec<u8> {
        let mut builder = StunBuilder::new(StunClass::Request, id(number))
            .attribute(USERNAME, b"here:there")
            .attribute(role_attribute(role), &tie_breaker.to_be_bytes());
        if nominates {
            builder = builder.attribute(USE_CANDIDATE, &[]);
        }
        builder.finish(Some(OURS))
    }

    /// A check of our agent.
    fn own_check(number: u8, role: IceRole, tie_breaker: u64, nominates: bool) -> Vec<u8> {
        let mut builder = StunBuilder::new(StunClass::Request, id(number))
            .attribute(USERNAME, b"there:here")
            .attribute(role_attribute(role), &tie_breaker.to_be_bytes());
        if nominates {
            builder = builder.attribute(USE_CANDIDATE, &[]);
        }
        builder.finish(Some(THEIRS))
    }

    fn role_attribute(role: IceRole) -> u16 {
        match role {
            IceRole::Controlling => ICE_CONTROLLING,
            IceRole::Controlled => ICE_CONTROLLED,
        }
    }

    fn answer(number: u8, password: &str) -> Vec<u8> {
        StunBuilder::new(StunClass::SuccessResponse, id(number))
            .xor_mapped_address("203.0.113.1:9".parse().unwrap())
            .finish(Some(password))
    }

    fn conflict(number: u8) -> Vec<u8> {
        StunBuilder::new(StunClass::ErrorResponse, id(number))
            .error(ROLE_CONFLICT, "Role Conflict")
            .finish(Some(THEIRS))
    }

    fn network(machine: &mut IceMachine, route: Route, bytes: &[u8]) -> Vec<Effect> {
        let mut effects = Vec::new();
        machine.handle_stun(route, bytes, Instant::now(), &mut effects);
        effects
    }

    fn agent(machine: &mut IceMachine, to: SocketAddr, bytes: Vec<u8>) -> Vec<Effect> {
        let mut effects = Vec::new();
        machine.handle_agent_packet(bytes, to, Instant::now(), &mut effects);
        effects
    }

    fn candidate(machine: &mut IceMachine, line: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        machine.handle_remote_candidate(line.to_owned(), &mut effects);
        effects
    }

    fn given(effects: &[Effect]) -> usize {
        let given = |effect: &&Effect| matches!(effect, Effect::GiveToAgent { .. });
        effects.iter().filter(given).count()
    }

    fn selected(effects: &[Effect]) -> Option<Route> {
        effects.iter().find_map(|effect| match effect {
            Effect::SelectPath(route) => Some(*route),
            _ => None,
        })
    }

    fn sent(effects: &[Effect]) -> Option<&OutgoingStun> {
        effects.iter().find_map(|effect| match effect {
            Effect::SendStun { stun, .. } => Some(stun),
            _ => None,
        })
    }

    fn new_role(effects: &[Effect]) -> Option<IceRole> {
        effects.iter().find_map(|effect| match effect {
            Effect::AnnounceRole(role) => Some(*role),
            _ => None,
        })
    }

    /// The peer checks `route` and our agent answers, then checks it in turn and is answered.
    fn both_ways(machine: &mut IceMachine, route: Route, number: u8, nominates: bool) {
        let bytes = check(number, IceRole::Controlling, 1, nominates);
        network(machine, route, &bytes);
        let name = machine.remotes.name(route.remote).unwrap();
        agent(machine, name, answer(number, OURS));
        agent(
            machine,
            name,
            own_check(number, IceRole::Controlled, 1, false),
        );
        network(machine, route, &answer(number, THEIRS));
    }

    #[test]
    fn an_authentic_check_wakes_the_agent_and_reaches_it() {
        let mut machine = started(IceRole::Controlled);
        let bytes = check(1, IceRole::Controlling, 1, false);
        let effects = network(&mut machine, peer(), &bytes);
        assert!(matches!(
            effects[..],
            [Effect::StartAgent { .. }, Effect::GiveToAgent { .. }]
        ));
    }

    #[test]
    fn c080_checks_that_are_not_authentic_meet_silence() {
        let request = |password| {
            move |username: &[u8]| {
                StunBuilder::new(StunClass::Request, id(1))
                    .attribute(USERNAME, username)
                    .attribute(ICE_CONTROLLING, &1_u64.to_be_bytes())
                    .finish(password)
            }
        };
        let mut broken_fingerprint = check(1, IceRole::Controlling, 1, false);
        *broken_fingerprint.last_mut().unwrap() ^= 1;
        let mut appended = check(1, IceRole::Controlling, 1, false);
        appended.extend([0, 0x25, 0, 0]);
        let length = u16::try_from(appended.len() - 20).unwrap();
        appended[2..4].copy_from_slice(&length.to_be_bytes());
        let short_integrity = StunBuilder::new(StunClass::Request, id(1))
            .attribute(USERNAME, b"here:there")
            .attribute(MESSAGE_INTEGRITY, &[0; 4])
            .finish(None);
        let without_username = StunBuilder::new(StunClass::Request, id(1)).finish(Some(OURS));
        for bytes in [
            request(Some(OURS))(b"other:there"),
            request(Some(OURS))(b"here:other"),
            request(Some(OURS))(b"here"),
            request(Some(OURS))(b"\xFF:there"),
            request(Some(THEIRS))(b"here:there"),
            request(None)(b"here:there"),
            without_username,
            short_integrity,
            broken_fingerprint,
            appended,
        ] {
            let mut machine = started(IceRole::Controlled);
            assert!(network(&mut machine, peer(), &bytes).is_empty());
            assert_eq!(machine.statistics().stun_discarded, 1);
        }
    }

    #[test]
    fn c082_answers_that_were_not_asked_for_are_discarded() {
        let mut machine = started(IceRole::Controlled);
        candidate(&mut machine, "candidate:1 1 udp 9 192.0.2.1 7 typ host");
        agent(
            &mut machine,
            peer().remote,
            own_check(1, IceRole::Controlled, 1, false),
        );
        let without_address = StunBuilder::new(StunClass::SuccessResponse, id(1));
        for (from, bytes) in [
            (peer(), answer(2, THEIRS)),
            (peer(), answer(1, OURS)),
            (route("192.0.2.1:8"), answer(1, THEIRS)),
            (peer(), without_address.finish(Some(THEIRS))),
        ] {
            assert!(network(&mut machine, from, &bytes).is_empty());
        }
        assert_eq!(given(&network(&mut machine, peer(), &answer(1, THEIRS))), 1);
        assert!(network(&mut machine, peer(), &answer(1, THEIRS)).is_empty());
    }

    #[test]
    fn an_indication_is_no_sign_of_life() {
        let mut machine = started(IceRole::Controlled);
        let bytes = StunBuilder::new(StunClass::Indication, id(1)).finish(None);
        assert!(network(&mut machine, peer(), &bytes).is_empty());
    }

    #[test]
    fn a_controlled_side_follows_nominations_of_paths_that_work() {
        let mut machine = started(IceRole::Controlled);
        let (first, second) = (peer(), route("192.0.2.2:7"));
        both_ways(&mut machine, first, 1, true);
        assert_eq!(machine.path.selected(), Some(first));
        both_ways(&mut machine, second, 2, false);
        assert_eq!(machine.path.selected(), Some(first));
        let bytes = check(3, IceRole::Controlling, 1, true);
        assert_eq!(selected(&network(&mut machine, second, &bytes)), None);
        // The agent's answer is what makes the nomination count.
        let effects = agent(&mut machine, second.remote, answer(3, OURS));
        assert_eq!(selected(&effects), Some(second));
        assert_eq!(
            sent(&effects).unwrap().purpose,
            StunPurpose::SuccessResponse
        );
    }

    #[test]
    fn a_nominated_path_that_does_not_answer_is_not_taken() {
        let mut machine = started(IceRole::Controlled);
        let bytes = check(1, IceRole::Controlling, 1, true);
        network(&mut machine, peer(), &bytes);
        let effects = agent(&mut machine, peer().remote, answer(1, OURS));
        assert_eq!(selected(&effects), None);
    }

    #[test]
    fn a_controlling_side_takes_the_path_that_it_nominated() {
        let mut machine = started(IceRole::Controlling);
        candidate(&mut machine, "candidate:1 1 udp 9 192.0.2.1 7 typ host");
        let bytes = own_check(1, IceRole::Controlling, 1, false);
        agent(&mut machine, peer().remote, bytes);
        let effects = network(&mut machine, peer(), &answer(1, THEIRS));
        assert_eq!(selected(&effects), None);
        assert!(matches!(
            effects[..],
            [Effect::GiveToAgent {
                then_hurry: true,
                ..
            }]
        ));
        let bytes = own_check(2, IceRole::Controlling, 1, true);
        agent(&mut machine, peer().remote, bytes);
        let effects = network(&mut machine, peer(), &answer(2, THEIRS));
        assert_eq!(selected(&effects), Some(peer()));
    }

    #[test]
    fn an_answer_on_the_selected_path_keeps_the_agent_alive() {
        let mut machine = started(IceRole::Controlled);
        both_ways(&mut machine, peer(), 1, true);
        let later = Instant::now() + std::time::Duration::from_secs(1);
        let bytes = own_check(2, IceRole::Controlled, 1, false);
        machine.handle_agent_packet(bytes, peer().remote, later, &mut Vec::new());
        let effects = network(&mut machine, peer(), &answer(2, THEIRS));
        assert!(matches!(
            effects[..],
            [Effect::KeepAgentAlive, Effect::GiveToAgent { .. }]
        ));
    }

    #[test]
    fn an_ipv6_peer_reads_its_own_address_in_our_answer() {
        let mut machine = started(IceRole::Controlled);
        let route = route("[2001:db8::7]:4242");
        let bytes = check(1, IceRole::Controlling, 1, false);
        let effects = network(&mut machine, route, &bytes);
        let Some(Effect::GiveToAgent { from, .. }) = effects.last() else {
            panic!("{effects:?}");
        };
        assert!(from.is_ipv4());
        let effects = agent(&mut machine, *from, answer(1, OURS));
        let stun = sent(&effects).unwrap();
        assert_eq!(stun.destination, route.remote);
        let mut message = Message {
            raw: stun.bytes.clone(),
            ..Message::default()
        };
        message.decode().unwrap();
        let mut mapped = XorMappedAddress::default();
        mapped.get_from(&message).unwrap();
        assert_eq!(SocketAddr::new(mapped.ip, mapped.port), route.remote);
        MessageIntegrity(OURS.as_bytes().to_vec())
            .check(&mut message)
            .unwrap();
    }

    #[test]
    fn an_answer_leaves_from_where_the_request_came_in() {
        let mut machine = IceMachine::new(parameters(HERE, OURS), vec![(true, true); 2]);
        machine.handle_start(
            IceRole::Controlled,
            parameters(THERE, THEIRS),
            &mut Vec::new(),
        );
        for (socket, ip) in [(1, "198.51.100.1"), (0, "198.51.100.2")] {
            let route = Route {
                socket,
                local_ip: Some(ip.parse().unwrap()),
                ..peer()
            };
            let number = u8::try_from(socket).unwrap();
            let bytes = check(number, IceRole::Controlling, 1, false);
            network(&mut machine, route, &bytes);
        }
        let effects = agent(&mut machine, peer().remote, answer(1, OURS));
        assert!(matches!(effects[..], [Effect::SendStun { socket: 1, .. }]));
        assert_eq!(
            sent(&effects).unwrap().local_ip,
            Some("198.51.100.1".parse().unwrap())
        );
    }

    #[test]
    fn c081_of_two_controlling_sides_the_larger_number_stays() {
        for (own, claimed, gives_way) in [(5, 9, true), (9, 5, false), (7, 7, false)] {
            let mut machine = started(IceRole::Controlling);
            let bytes = own_check(1, IceRole::Controlling, own, false);
            agent(&mut machine, peer().remote, bytes);
            let bytes = check(2, IceRole::Controlling, claimed, false);
            let effects = network(&mut machine, peer(), &bytes);
            if gives_way {
                assert_eq!(new_role(&effects), Some(IceRole::Controlled));
                assert!(matches!(effects[1], Effect::StartAgent { .. }));
            } else {
                let stun = sent(&effects).unwrap();
                assert_eq!(stun.purpose, StunPurpose::ErrorResponse);
                let message = StunMessage::parse(&stun.bytes).unwrap();
                assert_eq!(error_code(&message), Some(ROLE_CONFLICT));
                assert!(is_authentic(&message, OURS));
            }
        }
    }

    #[test]
    fn c081_of_two_controlled_sides_the_larger_number_takes_control() {
        for (own, claimed, takes_control) in [(5, 9, false), (9, 5, true), (7, 7, true)] {
            let mut machine = started(IceRole::Controlled);
            let bytes = own_check(1, IceRole::Controlled, own, false);
            agent(&mut machine, peer().remote, bytes);
            let bytes = check(2, IceRole::Controlled, claimed, false);
            let effects = network(&mut machine, peer(), &bytes);
            let expected = takes_control.then_some(IceRole::Controlling);
            assert_eq!(new_role(&effects), expected);
            assert_eq!(sent(&effects).is_some(), !takes_control);
        }
    }

    #[test]
    fn c081_a_role_conflict_told_by_the_peer_changes_the_role_once() {
        let mut machine = started(IceRole::Controlling);
        for number in [1, 2] {
            let later = Instant::now() + std::time::Duration::from_secs(number.into());
            let bytes = own_check(number, IceRole::Controlling, 1, false);
            machine.handle_agent_packet(bytes, peer().remote, later, &mut Vec::new());
        }
        let effects = network(&mut machine, peer(), &conflict(1));
        assert_eq!(new_role(&effects), Some(IceRole::Controlled));
        assert!(network(&mut machine, peer(), &conflict(2)).is_empty());
        assert!(network(&mut machine, peer(), &conflict(3)).is_empty());
    }

    #[test]
    fn roles_are_not_changed_for_ever() {
        let mut machine = started(IceRole::Controlling);
        let changes = (0..100).filter(|number| {
            let role = machine.session.as_ref().unwrap().role;
            let mut effects = Vec::new();
            let later = Instant::now() + std::time::Duration::from_secs(u64::from(*number));
            let bytes = own_check(*number, role, 1, false);
            machine.handle_agent_packet(bytes, peer().remote, later, &mut effects);
            new_role(&network(&mut machine, peer(), &conflict(*number))).is_some()
        });
        assert_eq!(changes.count(), usize::from(MAX_ROLE_CHANGES));
    }

    #[test]
    fn c102_candidates_that_come_early_wait_for_the_other_sides_parameters() {
        let mut machine = machine();
        for port in 1..=300 {
            let line = format!("candidate:1 1 udp 9 192.0.2.1 {port} typ host");
            let refused = candidate(&mut machine, &line);
            assert_eq!(refused.is_empty(), port <= MAX_EARLY_CANDIDATES);
        }
        let mut effects = Vec::new();
        machine.handle_start(IceRole::Controlled, parameters(THERE, THEIRS), &mut effects);
        let added = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::AddToAgent(_) | Effect::StartAgent { .. }));
        // The rest are more than the agent is given.
        assert_eq!(added.count(), 32);
        assert_eq!(candidate(&mut machine, "nonsense").len(), 1);
    }

    #[test]
    fn candidates_of_no_use_are_counted_and_nothing_more() {
        let mut machine = started(IceRole::Controlled);
        for line in [
            "candidate:1 1 tcp 9 192.0.2.1 9 typ host tcptype active",
            "candidate:1 2 udp 9 192.0.2.1 9 typ host",
            "candidate:1 1 udp 9 192.0.2.1 9 typ host ufrag old",
            "candidate:1 1 udp 9 0a1b.local 9 typ host",
        ] {
            assert!(candidate(&mut machine, line).is_empty(), "{line}");
        }
        assert_eq!(machine.statistics().candidates_ignored, 3);
        assert_eq!(machine.statistics().mdns_candidates_ignored, 1);
    }

    #[test]
    fn a_candidate_of_a_family_that_no_socket_has_is_ignored() {
        let mut machine = IceMachine::new(parameters(HERE, OURS), vec![(true, false)]);
        machine.handle_start(
            IceRole::Controlled,
            parameters(THERE, THEIRS),
            &mut Vec::new(),
        );
        let line = "candidate:1 1 udp 9 2001:db8::1 7 typ host";
        assert!(candidate(&mut machine, line).is_empty());
    }

    #[test]
    fn checks_that_come_early_are_answered_at_the_start() {
        let mut machine = machine();
        for number in 0..100 {
            let bytes = check(number, IceRole::Controlling, 1, false);
            assert!(network(&mut machine, peer(), &bytes).is_empty());
        }
        let mut effects = Vec::new();
        machine.handle_start(IceRole::Controlled, parameters(THERE, THEIRS), &mut effects);
        assert_eq!(given(&effects), MAX_EARLY_CHECKS);
    }

    #[test]
    fn states_are_told_when_they_change_and_failure_is_final() {
        let mut machine = started(IceRole::Controlled);
        let mut effects = Vec::new();
        for state in [
            AgentState::Checking,
            AgentState::Connected,
            AgentState::Connected,
            AgentState::Disconnected,
            AgentState::Failed,
        ] {
            machine.handle_agent_state(state, &mut effects);
        }
        let bytes = check(1, IceRole::Controlling, 1, false);
        machine.handle_stun(peer(), &bytes, Instant::now(), &mut effects);
        machine.handle_stop(&mut effects);
        machine.handle_stop(&mut effects);
        let states: Vec<_> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::AnnounceState(state) => Some(*state),
                Effect::StartAgent { .. } => panic!("consent is gone"),
                _ => None,
            })
            .collect();
        assert_eq!(
            states,
            [
                IceConnectionState::Connected,
                IceConnectionState::Disconnected,
                IceConnectionState::Failed,
                IceConnectionState::Closed,
            ]
        );
    }

    #[test]
    fn without_any_candidate_the_session_fails_in_the_end_and_may_still_begin() {
        let mut machine = started(IceRole::Controlled);
        let mut effects = Vec::new();
        machine.handle_no_candidates(&mut effects);
        assert!(matches!(
            effects[..],
            [Effect::AnnounceState(IceConnectionState::Failed)]
        ));
        let bytes = check(1, IceRole::Controlling, 1, false);
        assert_eq!(given(&network(&mut machine, peer(), &bytes)), 1);
    }

    proptest! {
        #[test]
        fn c113_a_changed_byte_never_reaches_the_agent(at in 0_usize..200, mask in 1_u8.., cut in 0_usize..200) {
            let mut machine = started(IceRole::Controlled);
            candidate(&mut machine, "candidate:1 1 udp 9 192.0.2.1 7 typ host");
            agent(&mut machine, peer().remote, own_check(1, IceRole::Controlled, 1, false));
            for mut bytes in [check(2, IceRole::Controlling, 1, true), answer(1, THEIRS), conflict(1)] {
                let length = bytes.len();
                let cut = cut % length;
                if cut > 0 {
                    bytes.truncate(cut);
                } else {
                    bytes[at % length] ^= mask;
                }
                prop_assert!(network(&mut machine, peer(), &bytes).is_empty());
            }
        }
    }
}
