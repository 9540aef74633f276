//! What passes between the network and the agent.
//!
//! The agent believes much of what it is told; so nothing reaches it that is not well formed, authentic and
//! expected. It knows one local address and IPv4 names only; so addresses are translated, and
//! answers to IPv6 peers are written anew. No answer is longer than its question, so that whoever writes a false address
//! upon one makes nothing larger. What is not authentic gets no answer at all, not even one that says why.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::candidate::IceRole;
use super::effect::Effect;
use super::machine::{CheckReceived, CheckSent, IceMachine, MAX_EARLY_CHECKS};
use super::path::Route;
use super::roles::claimed_tie_breaker;
use super::stun::{ROLE_CONFLICT, StunBuilder, USE_CANDIDATE, error_code, is_authentic, priority};
use crate::udp::{OutgoingStun, StunClass, StunMessage, StunPurpose, TransactionId};

impl IceMachine {
    /// A datagram that looks like STUN came in.
    pub(super) fn handle_stun(
        &mut self,
        route: Route,
        bytes: &[u8],
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let taken = StunMessage::parse(bytes).and_then(|message| match message.class() {
            StunClass::Request => self.handle_check(route, &message, now, effects),
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

    fn handle_check(
        &mut self,
        route: Route,
        message: &StunMessage<'_>,
        now: Instant,
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
            self.resolve_conflict(route, message, claimed, effects);
            return Some(());
        }
        let priority = priority(message).unwrap_or_default();
        let name = self.remotes.admit(route.remote, priority)?;
        self.remotes.heard(route);
        self.pacer.heard(route.remote);
        self.ledger.request_received(route);
        let nominates = message.attribute(USE_CANDIDATE).is_some();
        // One request that came on two ways is answered on one.
        let came_directly = self
            .checks_received
            .get(message.transaction_id())
            .is_some_and(|known| known.route.socket < route.socket);
        if came_directly {
            return Some(());
        }
        let received = CheckReceived {
            route,
            nominates,
            bytes: message.bytes().len(),
        };
        self.checks_received
            .push(message.transaction_id(), received);
        if self.session.is_none() {
            if self.early_checks.len() == MAX_EARLY_CHECKS {
                self.early_checks.pop_front();
            }
            self.early_checks
                .push_back((message.bytes().to_vec(), name));
            return Some(());
        }
        self.start_agent(effects);
        if self.given_up {
            return Some(());
        }
        self.look_for_peer(route, now, effects);
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
        let controlling = session.role == IceRole::Controlling;
        self.checks_sent.take(transaction);
        self.pacer.heard(route.remote);
        self.remotes.heard(route);
        let after = now.saturating_duration_since(sent.at);
        self.ledger.response_received(route, after);
        if let Some(selected) = self.path.check_answered(route, sent.nominates, now) {
            self.select(selected, now, effects);
        }
        self.answered_on(route, now, effects);
        if !sent.is_agents {
            return Some(());
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
            is_agents: true,
            at: now,
        };
        self.checks_sent.push(transaction, sent);
        for route in self.ways_to(destination, now) {
            self.ledger.request_sent(route, false);
            effects.push(Effect::SendStun {
                socket: route.socket,
                stun: OutgoingStun {
                    destination,
                    local_ip: route.local_ip,
                    purpose: StunPurpose::Request(transaction),
                    bytes: bytes.clone(),
                },
            });
        }
    }

    /// Where a check leaves: wherever the peer was heard from there; else on every socket that may reach it, and on relays
    /// when those had their time. The first answer counts, and a direct one is the faster one.
    fn ways_to(&mut self, destination: SocketAddr, now: Instant) -> Vec<Route> {
        let known = self.remotes.routes(destination);
        if !known.is_empty() {
            return known.to_vec();
        }
        let first_check_at = *self.first_check_at.get_or_insert(now);
        let relays_too =
            self.sockets.is_empty() || now.duration_since(first_check_at) >= RELAY_WAIT;
        let relays = if relays_too { &self.relays[..] } else { &[] };
        self.sockets
            .iter()
            .chain(relays)
            .enumerate()
            .filter(|(_, (v4, v6))| if destination.is_ipv4() { *v4 } else { *v6 })
            .map(|(socket, _)| Route {
                socket,
                remote: destination,
                local_ip: None,
            })
            .collect()
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
        let Some(received) = self.checks_received.take(transaction) else {
            return;
        };
        let CheckReceived {
            route, nominates, ..
        } = received;
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
        if bytes.len() > received.bytes {
            self.statistics.stun_discarded += 1;
            return;
        }
        self.ledger.response_sent(route);
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
            self.select(selected, now, effects);
        }
    }
}

/// A peer that is reached without a relay answers before that, as a rule; then nothing is asked of the relay.
const RELAY_WAIT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stun::integrity::MessageIntegrity;
    use stun::message::{Getter, Message};
    use stun::xoraddr::XorMappedAddress;

    use super::super::fixtures::*;
    use super::super::stun::ICE_CONTROLLING;
    use super::*;
    use crate::udp::{MESSAGE_INTEGRITY, USERNAME};

    #[test]
    fn an_authentic_check_wakes_the_agent_and_reaches_it() {
        let mut machine = started(IceRole::Controlled);
        let bytes = check(1, IceRole::Controlling, 1, false);
        let effects = network(&mut machine, peer(), &bytes);
        assert!(matches!(
            effects[..],
            [
                Effect::StartAgent { .. },
                Effect::AwaitPath,
                Effect::GiveToAgent { .. }
            ]
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
        for (from, bytes) in [
            (peer(), answer(2, THEIRS)),
            (peer(), answer(1, OURS)),
            (route("192.0.2.1:8"), answer(1, THEIRS)),
        ] {
            assert!(network(&mut machine, from, &bytes).is_empty());
        }
        assert_eq!(given(&network(&mut machine, peer(), &answer(1, THEIRS))), 1);
        assert!(network(&mut machine, peer(), &answer(1, THEIRS)).is_empty());
    }

    // ffmpeg's WHIP client (libavformat 62) leaves out what it saw of us (RFC 8445 §7.2.5.3.1), and never connected.
    #[test]
    fn an_answer_without_an_address_counts_since_none_is_needed() {
        let mut machine = started(IceRole::Controlled);
        let without_address = StunBuilder::new(StunClass::SuccessResponse, id(1));
        candidate(&mut machine, "candidate:1 1 udp 9 192.0.2.1 7 typ host");
        agent(
            &mut machine,
            peer().remote,
            own_check(1, IceRole::Controlled, 1, false),
        );
        let effects = network(&mut machine, peer(), &without_address.finish(Some(THEIRS)));
        assert_eq!(given(&effects), 1);
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
        let mut machine = IceMachine::new(parameters(HERE, OURS), vec![(true, true); 2], TIMES);
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
