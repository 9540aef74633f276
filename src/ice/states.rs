//! The states of one session, from what is known (W3C §5.6.3), and its end.
//!
//! W3C waits with `failed` for the end of gathering and of the other side's candidates. Like browsers, we do not wait for ever: a
//! peer that never says that it has no more would never be given up.

use std::time::Instant;

use super::candidate::IceRole;
use super::consent::{Consent, Standing};
use super::effect::Effect;
use super::machine::{CheckSent, IceMachine};
use super::path::Route;
use super::roles::role_attribute;
use super::stun::{PRIORITY, StunBuilder, USE_CANDIDATE};
use crate::peer_connection::IceConnectionState;
use crate::udp::{OutgoingStun, StunClass, StunPurpose, TransactionId, USERNAME};

/// What a check of our own needs that nobody may guess.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    pub(super) transaction: TransactionId,
    /// From 0.8 to 1.2 (RFC 7675 §5.1).
    pub(super) spread: f64,
}

impl IceMachine {
    /// All candidates of ours are known.
    pub(super) fn handle_gathered(&mut self, effects: &mut Vec<Effect>) {
        self.gathered = true;
        self.complete(effects);
    }

    /// The other side has no more candidates. Checks go on: a check of the peer may still bring an address
    /// (RFC 8838 §9).
    pub(super) fn handle_end_of_remote_candidates(&mut self, effects: &mut Vec<Effect>) {
        self.remote_gathered = true;
        self.complete(effects);
    }

    /// No path was found for as long as that may take. Where nothing was checked at all, something may still come.
    pub(super) fn handle_no_path(&mut self, effects: &mut Vec<Effect>) {
        if self.path.selected().is_some() || self.state != IceConnectionState::Checking {
            return;
        }
        if self.agent_running {
            self.give_up(effects);
        }
        self.announce(IceConnectionState::Failed, effects);
    }

    /// Media goes this way from now on.
    pub(super) fn select(&mut self, route: Route, now: Instant, effects: &mut Vec<Effect>) {
        self.ledger.selected(route);
        let consent = Consent::new(self.times, route, now);
        effects.push(Effect::SelectPath(route));
        effects.push(Effect::AwaitConsent(consent.next_due(now)));
        self.consent = Some(consent);
        self.connected(effects);
    }

    /// A check was answered on this way.
    pub(super) fn answered_on(&mut self, route: Route, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(consent) = self.consent.as_mut().filter(|it| it.route == route) {
            consent.answered(now);
            self.connected(effects);
        }
    }

    /// It is time to look after consent.
    pub(super) fn handle_consent_due(
        &mut self,
        dice: Dice,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(mut consent) = self.consent else {
            return;
        };
        let (standing, route) = (consent.standing(now), consent.route);
        match standing {
            Standing::Fresh => {}
            Standing::Doubtful => self.announce(IceConnectionState::Disconnected, effects),
            Standing::Expired => {
                self.give_up(effects);
                self.announce(IceConnectionState::Failed, effects);
                return;
            }
        }
        let moved = self
            .elsewhere
            .take()
            .filter(|_| standing == Standing::Doubtful);
        let check_due = moved.is_none() && consent.check_due(dice.spread, now);
        self.consent = Some(consent);
        effects.push(Effect::AwaitConsent(consent.next_due(now)));
        if let Some(moved) = moved {
            self.check(moved, true, dice.transaction, now, effects);
        } else if check_due {
            self.check(route, false, dice.transaction, now, effects);
        }
    }

    /// The peer is heard on a way that is not the selected one, which is silent: it has moved, or a NAT in between has
    /// forgotten it. What answers there is taken. As the controlled side we do so without a nomination, which RFC 8445 §8 does not
    /// know: a controlling peer whose NAT moved it has no reason to nominate again.
    pub(super) fn look_for_peer(&mut self, route: Route, now: Instant, effects: &mut Vec<Effect>) {
        let elsewhere = self.consent.is_some_and(|consent| consent.route != route);
        if elsewhere && self.state == IceConnectionState::Disconnected {
            self.elsewhere = Some(route);
            effects.push(Effect::AwaitConsent(now));
        }
    }

    /// The session ends.
    pub(super) fn handle_stop(&mut self, effects: &mut Vec<Effect>) {
        self.consent = None;
        self.announce(IceConnectionState::Closed, effects);
    }

    /// Only new credentials bring it back (RFC 7675 §5.1).
    fn give_up(&mut self, effects: &mut Vec<Effect>) {
        self.given_up = true;
        self.agent_running = false;
        self.consent = None;
        effects.push(Effect::GiveUp);
    }

    fn connected(&mut self, effects: &mut Vec<Effect>) {
        if self.state != IceConnectionState::Completed {
            self.announce(IceConnectionState::Connected, effects);
            self.complete(effects);
        }
    }

    /// Nothing is left to be checked: the pair is nominated, and no candidate will come.
    fn complete(&mut self, effects: &mut Vec<Effect>) {
        if self.state == IceConnectionState::Connected && self.gathered && self.remote_gathered {
            self.announce(IceConnectionState::Completed, effects);
        }
    }

    fn announce(&mut self, state: IceConnectionState, effects: &mut Vec<Effect>) {
        if self.state != state && self.state != IceConnectionState::Closed {
            self.state = state;
            effects.push(Effect::AnnounceState(state));
        }
    }

    pub(super) fn begin_checking(&mut self, effects: &mut Vec<Effect>) {
        self.announce(IceConnectionState::Checking, effects);
    }

    /// A check that is not the agent's; `takes` the path where it is answered.
    fn check(
        &mut self,
        route: Route,
        takes: bool,
        transaction: TransactionId,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let (Some(session), Some(tie_breaker)) = (&self.session, self.tie_breaker) else {
            return;
        };
        let (role, remote) = (session.role, &session.remote);
        let name = format!(
            "{}:{}",
            remote.username_fragment, self.local.username_fragment
        );
        let mut builder = StunBuilder::new(StunClass::Request, transaction)
            .attribute(USERNAME, name.as_bytes())
            .attribute(role_attribute(role), &tie_breaker.to_be_bytes())
            .attribute(PRIORITY, &PEER_REFLEXIVE.to_be_bytes());
        if takes && role == IceRole::Controlling {
            builder = builder.attribute(USE_CANDIDATE, &[]);
        }
        let bytes = builder.finish(Some(&remote.password));
        let sent = CheckSent {
            remote: route.remote,
            nominates: takes,
            role,
            is_agents: false,
            at: now,
        };
        self.checks_sent.push(transaction, sent);
        self.ledger.request_sent(route, !takes);
        effects.push(Effect::SendStun {
            socket: route.socket,
            stun: OutgoingStun {
                destination: route.remote,
                local_ip: route.local_ip,
                purpose: StunPurpose::Request(transaction),
                bytes,
            },
        });
    }
}

/// The priority of a peer-reflexive candidate of ours, should the peer find one by this (RFC 8445 §7.1.1).
pub(super) const PEER_REFLEXIVE: u32 = (110 << 24) | (0xFFFF << 8) | 0xFF;

#[cfg(test)]
mod tests {
    use super::super::fixtures::*;
    use super::*;
    use crate::ice::stun::is_authentic;
    use crate::udp::StunMessage;

    use IceConnectionState as State;
    use std::time::Duration;

    /// A session that has a path, at this moment.
    fn connected(role: IceRole) -> (IceMachine, Instant) {
        let mut machine = started(role);
        let now = Instant::now();
        let mut effects = Vec::new();
        let bytes = check(1, opposite(role), 1, true);
        machine.handle_stun(peer(), &bytes, now, &mut effects);
        machine.handle_agent_packet(answer(1, OURS), peer().remote, now, &mut effects);
        let nominates = role == IceRole::Controlling;
        let bytes = own_check(1, role, 9, nominates);
        machine.handle_agent_packet(bytes, peer().remote, now, &mut effects);
        machine.handle_stun(peer(), &answer(1, THEIRS), now, &mut effects);
        assert_eq!(states(&effects), [State::Connected]);
        (machine, now)
    }

    fn opposite(role: IceRole) -> IceRole {
        match role {
            IceRole::Controlling => IceRole::Controlled,
            IceRole::Controlled => IceRole::Controlling,
        }
    }

    fn due(machine: &mut IceMachine, number: u8, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        let dice = Dice {
            transaction: id(number),
            spread: 1.0,
        };
        machine.handle_consent_due(dice, now, &mut effects);
        effects
    }

    fn after(now: Instant, seconds: u64) -> Instant {
        now + Duration::from_secs(seconds)
    }

    #[test]
    fn consent_is_asked_for_in_the_sessions_name_and_its_answer_is_ours() {
        for role in [IceRole::Controlling, IceRole::Controlled] {
            let (mut machine, now) = connected(role);
            let effects = due(&mut machine, 7, after(now, 2));
            let stun = sent(&effects).unwrap();
            let message = StunMessage::parse(&stun.bytes).unwrap();
            assert_eq!(message.username(), Some((THERE, HERE)));
            assert!(is_authentic(&message, THEIRS));
            assert!(message.attribute(role_attribute(role)).is_some());
            assert!(message.attribute(USE_CANDIDATE).is_none());
            assert_eq!(stun.destination, peer().remote);
            let mut effects = Vec::new();
            machine.handle_stun(peer(), &answer(7, THEIRS), after(now, 3), &mut effects);
            assert_eq!(given(&effects), 0, "the agent has not asked");
            assert_eq!(states(&due(&mut machine, 8, after(now, 7))), []);
            assert_eq!(
                states(&due(&mut machine, 9, after(now, 8))),
                [State::Disconnected]
            );
        }
    }

    #[test]
    fn c104_silence_disconnects_an_answer_reconnects_and_long_silence_is_final() {
        let (mut machine, now) = connected(IceRole::Controlled);
        assert_eq!(
            states(&due(&mut machine, 7, after(now, 5))),
            [State::Disconnected]
        );
        let mut effects = Vec::new();
        machine.handle_stun(peer(), &answer(7, THEIRS), after(now, 6), &mut effects);
        assert_eq!(states(&effects), [State::Connected]);
        due(&mut machine, 8, after(now, 11));
        let effects = due(&mut machine, 9, after(now, 36));
        assert_eq!(states(&effects), [State::Failed]);
        assert!(matches!(effects[0], Effect::GiveUp));
        let late = after(now, 37);
        let mut effects = Vec::new();
        machine.handle_stun(peer(), &answer(9, THEIRS), late, &mut effects);
        let bytes = check(10, IceRole::Controlling, 1, true);
        machine.handle_stun(peer(), &bytes, late, &mut effects);
        let begun = |effect: &Effect| matches!(effect, Effect::StartAgent { .. });
        assert_eq!(
            (states(&effects), effects.iter().any(begun)),
            (vec![], false)
        );
        assert!(due(&mut machine, 11, late).is_empty());
    }

    /// The peer's own checks arrive, so it is there; but ours are not answered, so it may not want anything.
    #[test]
    fn c084_requests_of_the_peer_are_no_consent() {
        let (mut machine, now) = connected(IceRole::Controlled);
        for seconds in 1..30 {
            let number = 100 + u8::try_from(seconds).unwrap();
            let bytes = check(number, IceRole::Controlling, 1, true);
            machine.handle_stun(peer(), &bytes, after(now, seconds), &mut Vec::new());
        }
        assert_eq!(
            states(&due(&mut machine, 7, after(now, 30))),
            [State::Failed]
        );
    }

    #[test]
    fn c084_a_pair_is_completed_when_nothing_more_can_come() {
        let (mut machine, _) = connected(IceRole::Controlled);
        let mut effects = Vec::new();
        machine.handle_end_of_remote_candidates(&mut effects);
        assert_eq!(states(&effects), []);
        machine.handle_gathered(&mut effects);
        machine.handle_gathered(&mut effects);
        assert_eq!(states(&effects), [State::Completed]);
        // In the other order of things, the states are passed through all the same.
        let mut machine = started(IceRole::Controlled);
        let mut effects = Vec::new();
        machine.handle_end_of_remote_candidates(&mut effects);
        machine.handle_gathered(&mut effects);
        machine.select(peer(), Instant::now(), &mut effects);
        assert_eq!(states(&effects), [State::Connected, State::Completed]);
    }

    #[test]
    fn a_completed_pair_that_was_silent_is_completed_again() {
        let (mut machine, now) = connected(IceRole::Controlled);
        machine.handle_end_of_remote_candidates(&mut Vec::new());
        machine.handle_gathered(&mut Vec::new());
        assert_eq!(
            states(&due(&mut machine, 7, after(now, 5))),
            [State::Disconnected]
        );
        let mut effects = Vec::new();
        machine.handle_stun(peer(), &answer(7, THEIRS), after(now, 6), &mut effects);
        assert_eq!(states(&effects), [State::Connected, State::Completed]);
    }

    #[test]
    fn a_peer_that_moved_is_found_where_it_is_heard() {
        for role in [IceRole::Controlling, IceRole::Controlled] {
            a_peer_that_moved_is_found(role);
        }
    }

    fn a_peer_that_moved_is_found(role: IceRole) {
        let (mut machine, now) = connected(role);
        let moved = route("192.0.2.9:9");
        let hear = |machine: &mut IceMachine, number, now| {
            let mut effects = Vec::new();
            let bytes = check(number, opposite(role), 1, false);
            machine.handle_stun(moved, &bytes, now, &mut effects);
            effects
        };
        assert!(sent(&hear(&mut machine, 20, after(now, 1))).is_none());
        due(&mut machine, 7, after(now, 5));
        let effects = hear(&mut machine, 21, after(now, 6));
        assert!(matches!(
            effects[..],
            [Effect::AwaitConsent(_), Effect::GiveToAgent { .. }]
        ));
        let effects = due(&mut machine, 22, after(now, 6));
        let stun = sent(&effects).unwrap();
        assert_eq!(stun.destination, moved.remote);
        let message = StunMessage::parse(&stun.bytes).unwrap();
        let nominates = role == IceRole::Controlling;
        assert_eq!(message.attribute(USE_CANDIDATE).is_some(), nominates);
        let mut effects = Vec::new();
        machine.handle_stun(moved, &answer(22, THEIRS), after(now, 7), &mut effects);
        assert_eq!(selected(&effects), Some(moved));
        assert_eq!(states(&effects), [State::Connected]);
    }

    #[test]
    fn without_any_candidate_the_session_fails_in_the_end_and_may_still_begin() {
        let mut machine = started(IceRole::Controlled);
        let mut effects = Vec::new();
        machine.handle_no_path(&mut effects);
        assert_eq!(states(&effects), [State::Failed]);
        let bytes = check(1, IceRole::Controlling, 1, false);
        assert_eq!(given(&network(&mut machine, peer(), &bytes)), 1);
    }

    #[test]
    fn checks_that_lead_nowhere_are_final() {
        let mut machine = started(IceRole::Controlled);
        candidate(&mut machine, "candidate:1 1 udp 9 192.0.2.1 7 typ host");
        let mut effects = Vec::new();
        machine.handle_no_path(&mut effects);
        assert!(matches!(effects[0], Effect::GiveUp));
        assert_eq!(states(&effects), [State::Failed]);
        let bytes = check(1, IceRole::Controlling, 1, false);
        assert_eq!(given(&network(&mut machine, peer(), &bytes)), 0);
        machine.handle_stop(&mut effects);
        machine.handle_stop(&mut effects);
        assert_eq!(states(&effects), [State::Failed, State::Closed]);
    }
}
