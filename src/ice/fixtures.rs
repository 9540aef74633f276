//! A session in the hands of a test: what the peer, the agent and the network do.
#![allow(clippy::wildcard_enum_match_arm)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::candidate::{IceParameters, IceRole};
use super::consent::ConsentTimes;
use super::effect::Effect;
use super::machine::IceMachine;
use super::path::Route;
pub(super) use super::roles::role_attribute;
use super::stun::{ROLE_CONFLICT, StunBuilder, USE_CANDIDATE};
use crate::peer_connection::IceConnectionState;
use crate::udp::{OutgoingStun, StunClass, TransactionId, USERNAME};

pub(super) const HERE: &str = "here";
pub(super) const OURS: &str = "our password, long enough";
pub(super) const THERE: &str = "there";
pub(super) const THEIRS: &str = "their password, long enough";

pub(super) const TIMES: ConsentTimes = ConsentTimes {
    interval: Duration::from_secs(2),
    disconnected: Duration::from_secs(5),
    failed: Duration::from_secs(25),
};

pub(super) fn parameters(username_fragment: &str, password: &str) -> IceParameters {
    IceParameters {
        username_fragment: username_fragment.to_owned(),
        password: password.to_owned(),
    }
}

pub(super) fn machine() -> IceMachine {
    IceMachine::new(parameters(HERE, OURS), vec![(true, true)], TIMES)
}

pub(super) fn started(role: IceRole) -> IceMachine {
    let mut machine = machine();
    machine.handle_start(role, parameters(THERE, THEIRS), &mut Vec::new());
    machine
}

pub(super) fn route(address: &str) -> Route {
    Route {
        socket: 0,
        remote: address.parse().unwrap(),
        local_ip: None,
    }
}

pub(super) fn peer() -> Route {
    route("192.0.2.1:7")
}

pub(super) fn id(number: u8) -> TransactionId {
    TransactionId([number; 12])
}

/// A check of the peer.
pub(super) fn check(number: u8, role: IceRole, tie_breaker: u64, nominates: bool) -> Vec<u8> {
    let mut builder = StunBuilder::new(StunClass::Request, id(number))
        .attribute(USERNAME, b"here:there")
        .attribute(role_attribute(role), &tie_breaker.to_be_bytes());
    if nominates {
        builder = builder.attribute(USE_CANDIDATE, &[]);
    }
    builder.finish(Some(OURS))
}

/// A check of our agent.
pub(super) fn own_check(number: u8, role: IceRole, tie_breaker: u64, nominates: bool) -> Vec<u8> {
    let mut builder = StunBuilder::new(StunClass::Request, id(number))
        .attribute(USERNAME, b"there:here")
        .attribute(role_attribute(role), &tie_breaker.to_be_bytes());
    if nominates {
        builder = builder.attribute(USE_CANDIDATE, &[]);
    }
    builder.finish(Some(THEIRS))
}

pub(super) fn answer(number: u8, password: &str) -> Vec<u8> {
    StunBuilder::new(StunClass::SuccessResponse, id(number))
        .xor_mapped_address("203.0.113.1:9".parse().unwrap())
        .finish(Some(password))
}

pub(super) fn conflict(number: u8) -> Vec<u8> {
    StunBuilder::new(StunClass::ErrorResponse, id(number))
        .error(ROLE_CONFLICT, "Role Conflict")
        .finish(Some(THEIRS))
}

pub(super) fn network(machine: &mut IceMachine, route: Route, bytes: &[u8]) -> Vec<Effect> {
    let mut effects = Vec::new();
    machine.handle_stun(route, bytes, Instant::now(), &mut effects);
    effects
}

pub(super) fn agent(machine: &mut IceMachine, to: SocketAddr, bytes: Vec<u8>) -> Vec<Effect> {
    let mut effects = Vec::new();
    machine.handle_agent_packet(bytes, to, Instant::now(), &mut effects);
    effects
}

pub(super) fn candidate(machine: &mut IceMachine, line: &str) -> Vec<Effect> {
    let mut effects = Vec::new();
    machine.handle_remote_candidate(line.to_owned(), &mut effects);
    effects
}

pub(super) fn given(effects: &[Effect]) -> usize {
    let given = |effect: &&Effect| matches!(effect, Effect::GiveToAgent { .. });
    effects.iter().filter(given).count()
}

pub(super) fn selected(effects: &[Effect]) -> Option<Route> {
    effects.iter().find_map(|effect| match effect {
        Effect::SelectPath(route) => Some(*route),
        _ => None,
    })
}

pub(super) fn sent(effects: &[Effect]) -> Option<&OutgoingStun> {
    effects.iter().find_map(|effect| match effect {
        Effect::SendStun { stun, .. } => Some(stun),
        _ => None,
    })
}

pub(super) fn new_role(effects: &[Effect]) -> Option<IceRole> {
    effects.iter().find_map(|effect| match effect {
        Effect::AnnounceRole(role) => Some(*role),
        _ => None,
    })
}

/// The peer checks `route` and our agent answers, then checks it in turn and is answered.
pub(super) fn both_ways(machine: &mut IceMachine, route: Route, number: u8, nominates: bool) {
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

pub(super) fn states(effects: &[Effect]) -> Vec<IceConnectionState> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::AnnounceState(state) => Some(*state),
            _ => None,
        })
        .collect()
}
