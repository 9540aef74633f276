//! Both sides claim one role (RFC 8445 §7.3.1.1).
//!
//! The agent cannot change its role; where ours gives way, another agent takes over.

use super::candidate::IceRole;
use super::effect::Effect;
use super::machine::IceMachine;
use super::path::Route;
use super::stun::{ICE_CONTROLLED, ICE_CONTROLLING, ROLE_CONFLICT, StunBuilder, tie_breaker};
use crate::udp::{OutgoingStun, StunClass, StunMessage, StunPurpose};

impl IceMachine {
    /// Both sides claim our role (RFC 8445 §7.3.1.1).
    pub(super) fn resolve_conflict(
        &mut self,
        route: Route,
        message: &StunMessage<'_>,
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
        let bytes = StunBuilder::new(StunClass::ErrorResponse, message.transaction_id())
            .error(ROLE_CONFLICT, "Role Conflict")
            .finish(Some(&self.local.password));
        if bytes.len() > message.bytes().len() {
            self.statistics.stun_discarded += 1;
            return;
        }
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

    pub(super) fn change_role(&mut self, effects: &mut Vec<Effect>) {
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
}

/// The number with which a message claims a role, if it does.
pub(super) fn claimed_tie_breaker(message: &StunMessage<'_>, role: IceRole) -> Option<u64> {
    tie_breaker(message, role_attribute(role))
}

/// What a check says of its sender's role.
pub(super) fn role_attribute(role: IceRole) -> u16 {
    match role {
        IceRole::Controlling => ICE_CONTROLLING,
        IceRole::Controlled => ICE_CONTROLLED,
    }
}

/// Two sides that cannot agree in that many attempts never will.
const MAX_ROLE_CHANGES: u8 = 8;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::fixtures::*;
    use super::super::stun::{error_code, is_authentic};
    use super::*;

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
}
