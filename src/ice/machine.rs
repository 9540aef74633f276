//! One ICE session: its parameters, its candidates, its states, and when there is an agent.
//!
//! What passes between the network and the agent is in `checks`, conflicts of roles are in `roles`.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::candidate::{IceParameters, IceRole};
use super::consent::{Consent, ConsentTimes};
use super::effect::{AgentCandidate, Effect};
use super::ledger::Ledger;
use super::mdns;
use super::message::IceStatistics;
use super::pacer::CheckPacer;
use super::path::{PathFollower, Route};
use super::remote_candidate::{CandidateAddress, CandidateError, RemoteCandidate, Unusable};
use super::remotes::Remotes;
use super::ring::Ring;
use crate::peer_connection::IceConnectionState;

/// One ICE session, from its credentials to its end.
#[derive(Debug)]
pub(super) struct IceMachine {
    pub(super) local: IceParameters,
    /// Whether each socket reaches IPv4, and IPv6.
    pub(super) sockets: Vec<(bool, bool)>,
    /// The same of each relay; those are numbered after the sockets, and reach nothing before they are there.
    pub(super) relays: Vec<(bool, bool)>,
    /// There may be relays yet.
    pub(super) relays_expected: bool,
    pub(super) first_check_at: Option<Instant>,
    pub(super) session: Option<Session>,
    pub(super) state: IceConnectionState,
    /// Candidates whose names are to be looked up, if nothing else leads to the peer.
    pub(super) named: Vec<RemoteCandidate>,
    pub(super) agent_running: bool,
    /// The agent has failed: consent is gone, and only new credentials bring it back (RFC 7675 §5.1).
    pub(super) given_up: bool,
    /// Candidates that came before the other side's parameters.
    pub(super) early_candidates: Vec<String>,
    /// Checks that came before the agent runs, to be answered when it does.
    pub(super) early_checks: VecDeque<(Vec<u8>, SocketAddr)>,
    pub(super) remotes: Remotes,
    pub(super) pacer: CheckPacer,
    pub(super) path: PathFollower,
    pub(super) times: ConsentTimes,
    /// Of the selected path.
    pub(super) consent: Option<Consent>,
    /// Where the peer is heard while the selected path is silent.
    pub(super) elsewhere: Option<Route>,
    /// All of ours are known.
    pub(super) gathered: bool,
    /// The other side has no more.
    pub(super) remote_gathered: bool,
    /// The candidates that the agent was given.
    pub(super) agent_candidates: Vec<AgentCandidate>,
    pub(super) checks_received: Ring<CheckReceived>,
    pub(super) checks_sent: Ring<CheckSent>,
    pub(super) tie_breaker: Option<u64>,
    pub(super) role_changes: u8,
    pub(super) statistics: IceStatistics,
    pub(super) ledger: Ledger,
}

/// What is known once the other side's parameters are.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) role: IceRole,
    pub(super) remote: IceParameters,
}

/// An authentic request that the agent has not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckReceived {
    pub(super) route: Route,
    pub(super) nominates: bool,
    /// Its length: no answer is longer.
    pub(super) bytes: usize,
}

/// A request of ours that has no answer yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct CheckSent {
    pub(super) remote: SocketAddr,
    pub(super) nominates: bool,
    pub(super) role: IceRole,
    /// Its answer is the agent's.
    pub(super) is_agents: bool,
    pub(super) at: Instant,
}

impl IceMachine {
    /// `sockets`: whether each of them reaches IPv4, and IPv6.
    pub(super) fn new(
        local: IceParameters,
        sockets: Vec<(bool, bool)>,
        times: ConsentTimes,
    ) -> Self {
        Self {
            local,
            sockets,
            relays: Vec::new(),
            relays_expected: false,
            first_check_at: None,
            session: None,
            state: IceConnectionState::New,
            named: Vec::new(),
            agent_running: false,
            given_up: false,
            early_candidates: Vec::new(),
            early_checks: VecDeque::new(),
            remotes: Remotes::default(),
            pacer: CheckPacer::default(),
            path: PathFollower::default(),
            times,
            consent: None,
            elsewhere: None,
            gathered: false,
            remote_gathered: false,
            agent_candidates: Vec::new(),
            checks_received: Ring::new(MAX_CHECKS_RECEIVED),
            checks_sent: Ring::new(MAX_CHECKS_SENT),
            tie_breaker: None,
            role_changes: 0,
            statistics: IceStatistics::default(),
            ledger: Ledger::default(),
        }
    }

    pub(super) fn statistics(&self) -> IceStatistics {
        self.statistics
    }

    pub(super) fn statistics_mut(&mut self) -> &mut IceStatistics {
        &mut self.statistics
    }

    /// What the other side calls itself, once that is known.
    pub(super) fn remote_username_fragment(&self) -> Option<&str> {
        let session = self.session.as_ref()?;
        Some(&session.remote.username_fragment)
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
        self.begin_checking(effects);
        effects.push(Effect::AwaitPath);
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
            Err(Unusable::Mdns) => self.wait_for_name(candidate, effects),
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

    /// A peer that reaches us is known by its checks before long; then nobody is asked for its name.
    fn wait_for_name(&mut self, candidate: RemoteCandidate, effects: &mut Vec<Effect>) {
        let CandidateAddress::Mdns(name) = &candidate.address else {
            return;
        };
        if !mdns::is_name(name) || self.named.len() >= MAX_NAMES || self.sockets.is_empty() {
            self.statistics.candidates_ignored += 1;
            return;
        }
        self.named.push(candidate);
        effects.push(Effect::AwaitNames);
    }

    /// The peer had its time to be heard.
    pub(super) fn handle_names_due(&mut self, effects: &mut Vec<Effect>) {
        if self.path.selected().is_some() {
            return;
        }
        for candidate in &self.named {
            if let CandidateAddress::Mdns(name) = &candidate.address {
                effects.push(Effect::LookUpName(name.clone()));
            }
        }
    }

    /// A name was looked up.
    pub(super) fn handle_name(&mut self, name: &str, ip: IpAddr, effects: &mut Vec<Effect>) {
        let found: Vec<_> = self
            .named
            .extract_if(
                ..,
                |it| matches!(&it.address, CandidateAddress::Mdns(known) if known == name),
            )
            .filter_map(|candidate| candidate.at(ip))
            .collect();
        for candidate in found {
            let Some(session) = &self.session else {
                return;
            };
            let usable = candidate.usable(&session.remote.username_fragment);
            let admitted = usable.is_ok_and(|address| {
                self.reaches(address) && self.check_remote(address, &candidate, effects)
            });
            self.statistics.candidates_ignored += u64::from(!admitted);
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
        self.ledger.signalled(address, candidate);
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
    pub(super) fn start_agent(&mut self, effects: &mut Vec<Effect>) {
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
        // What was waited for has come, and has the whole time for itself.
        effects.push(Effect::AwaitPath);
        for (bytes, from) in self.early_checks.drain(..) {
            effects.push(Effect::GiveToAgent {
                bytes,
                from,
                then_hurry: false,
            });
        }
    }

    /// Relays will be asked for, so that addresses count that no socket reaches.
    pub(super) fn expect_relays(&mut self) {
        self.relays_expected = true;
    }

    /// There is a relay; `number` as [`Route::socket`] has it.
    pub(super) fn handle_relay_ready(&mut self, number: usize, relayed: SocketAddr) {
        let Some(index) = number.checked_sub(self.sockets.len()) else {
            return;
        };
        if self.relays.len() <= index {
            self.relays.resize(index + 1, (false, false));
        }
        self.relays[index] = (relayed.is_ipv4(), relayed.is_ipv6());
    }

    /// There is none any more.
    pub(super) fn handle_relay_gone(&mut self, number: usize) {
        let index = number.checked_sub(self.sockets.len());
        if let Some(relay) = index.and_then(|index| self.relays.get_mut(index)) {
            *relay = (false, false);
        }
    }

    fn reaches(&self, address: SocketAddr) -> bool {
        // A relay has an IPv4 address unless it is asked for another (RFC 8656 §7.1).
        (self.relays_expected && address.is_ipv4())
            || self
                .sockets
                .iter()
                .any(|(v4, v6)| if address.is_ipv4() { *v4 } else { *v6 })
    }
}

/// Candidates kept before the other side's parameters are known.
const MAX_EARLY_CANDIDATES: usize = 256;
/// Candidates by name of one session; browsers have one for each network.
const MAX_NAMES: usize = 8;
/// Checks kept before the other side's parameters are known; the oldest goes.
pub(super) const MAX_EARLY_CHECKS: usize = 16;
/// Requests that the agent has not answered yet; the oldest goes.
const MAX_CHECKS_RECEIVED: usize = 64;
/// Requests of ours without an answer; the oldest goes.
const MAX_CHECKS_SENT: usize = 128;

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;

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
            "candidate:1 1 udp 9 0a1b.sub.local 9 typ host",
        ] {
            assert!(candidate(&mut machine, line).is_empty(), "{line}");
        }
        assert_eq!(machine.statistics().candidates_ignored, 4);
    }

    #[test]
    fn a_name_is_looked_up_where_nothing_else_leads_to_the_peer() {
        let line = "candidate:1 1 udp 9 0a1b.local 7 typ host";
        let mut machine = started(IceRole::Controlled);
        let effects = candidate(&mut machine, line);
        assert!(matches!(effects[..], [Effect::AwaitNames]));
        let mut effects = Vec::new();
        machine.handle_names_due(&mut effects);
        assert!(matches!(&effects[..], [Effect::LookUpName(name)] if name == "0a1b.local"));
        effects.clear();
        machine.handle_name("other.local", "192.0.2.1".parse().unwrap(), &mut effects);
        assert!(effects.is_empty());
        machine.handle_name("0a1b.local", "192.0.2.1".parse().unwrap(), &mut effects);
        assert!(matches!(
            effects[..],
            [Effect::StartAgent { .. }, Effect::AwaitPath]
        ));
        // A peer that was heard is not asked for.
        let mut machine = started(IceRole::Controlled);
        candidate(&mut machine, line);
        both_ways(&mut machine, peer(), 1, true);
        let mut effects = Vec::new();
        machine.handle_names_due(&mut effects);
        assert!(effects.is_empty());
    }

    #[test]
    fn names_that_stand_for_nothing_are_ignored_and_their_number_is_bounded() {
        let mut machine = started(IceRole::Controlled);
        for number in 0..100 {
            candidate(
                &mut machine,
                &format!("candidate:1 1 udp 9 a{number}.local 7 typ host"),
            );
        }
        let mut effects = Vec::new();
        machine.handle_names_due(&mut effects);
        assert_eq!(effects.len(), MAX_NAMES);
        effects.clear();
        machine.handle_name("a1.local", "224.0.0.1".parse().unwrap(), &mut effects);
        assert!(effects.is_empty());
    }

    #[test]
    fn a_candidate_of_a_family_that_no_socket_has_is_ignored() {
        let mut machine = IceMachine::new(parameters(HERE, OURS), vec![(true, false)], TIMES);
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
}
