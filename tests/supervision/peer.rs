//! A peer connection and its parts.

use std::time::Duration;

use ractor::{ActorCell, ActorStatus};
use ractor_webrtc::faults::{Fault, Hook, part, running_below};
use ractor_webrtc::peer_connection::{
    CLOSE_DEADLINE, CloseReason, DtlsTransportState, Event, Part, PeerConnectionState, SpawnError,
};
use ractor_webrtc::{CallError, NegotiationError};

use super::call::{Call, ENDS, End, Outcome};
use super::common::owner::{Ours, RunningOwner, loopback, shared_endpoint};
use super::common::session::{connect_ours, with_other_fingerprint};
use super::common::{PATIENCE, eventually};

#[tokio::test]
async fn c107_close_is_told_to_both_sides() {
    let call = Call::connect().await;
    call.victim.peer.close().await;
    let outcome = call.outcome().await;
    assert_eq!(outcome.reason, CloseReason::Requested);
    assert!(outcome.goodbye && outcome.close_notify, "{outcome:?}");
}

/// What sends for a peer with a socket of its own goes down with it, so that nobody says BYE.
#[tokio::test]
async fn c107_a_peer_connection_that_fails_is_told_once_and_the_remote_side_sees_close_notify() {
    for end in ENDS {
        let call = Call::connect().await;
        let fault = call.end(&call.part("PeerConnection"), end);
        call.ask_around();
        let outcome = call.outcome().await;
        let expected = match end {
            End::Stop => CloseReason::Stopped,
            End::Kill | End::Error | End::Panic => CloseReason::Crashed,
        };
        assert_eq!(outcome.reason, expected, "{end:?}");
        assert!(outcome.close_notify, "{end:?}: {outcome:?}");
        in_time(&outcome);
        drop(fault);
    }
}

#[tokio::test]
async fn c107_a_peer_connection_on_a_shared_socket_that_fails_says_bye_as_well() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    for end in ENDS {
        let call = Call::connect_with(loopback().endpoint(endpoint.clone())).await;
        let fault = call.end(&call.part("PeerConnection"), end);
        call.ask_around();
        let outcome = call.outcome().await;
        assert!(
            outcome.goodbye && outcome.close_notify,
            "{end:?}: {outcome:?}"
        );
        drop(fault);
    }
}

#[tokio::test]
async fn c107_an_ice_transport_that_fails_ends_its_peer() {
    a_part_fails("Ice", Part::IceTransport, true).await;
}

#[tokio::test]
async fn c107_an_rtp_transport_that_fails_ends_its_peer() {
    a_part_fails("RtpTransport", Part::RtpTransport, true).await;
}

#[tokio::test]
async fn c107_a_socket_of_its_own_that_fails_ends_its_peer() {
    a_part_fails("Udp", Part::UdpEndpoint, false).await;
}

#[tokio::test]
async fn c107_a_sending_actor_that_fails_ends_the_socket_and_its_peer() {
    a_part_fails("Egress", Part::UdpEndpoint, false).await;
}

/// It is told nothing while it is connected; at its last message it fails in vain.
#[tokio::test]
async fn c107_a_dtls_transport_that_fails_ends_its_peer() {
    for end in ENDS {
        let call = Call::connect().await;
        let fault = call.end(&call.part("Dtls"), end);
        let is_at_the_end = fault.is_some();
        if is_at_the_end {
            call.victim.peer.close().await;
        }
        let outcome = call.outcome().await;
        if is_at_the_end {
            assert_eq!(outcome.reason, CloseReason::Requested);
        } else {
            expect_part(&outcome, Part::DtlsTransport);
        }
        assert!(
            outcome.goodbye && outcome.close_notify,
            "{end:?}: {outcome:?}"
        );
        in_time(&outcome);
    }
}

#[tokio::test]
async fn c107_a_dtls_transport_that_fails_in_its_handshake_ends_its_peer() {
    for message in ["Start", "SetPath", "HandshakeCompleted"] {
        let mut one = Ours::spawn(loopback()).await;
        let mut two = Ours::spawn(loopback()).await;
        let dtls = part(one.owner(), "Dtls");
        let fault = Fault::panic().in_actor(&dtls).message(message).inject();
        let offer = one.offer().await;
        let answer = two.answer(&offer).await;
        one.accept_answer(&answer).await;
        let reason = one.expect_closed().await;
        assert!(
            is_part(&reason, Part::DtlsTransport),
            "{message}: {reason:?}"
        );
        assert_eq!(fault.strikes(), 1);
        expect_nothing_left(one.owner()).await;
    }
}

#[tokio::test]
async fn c107_a_part_that_does_not_start_leaves_nothing_behind() {
    let owner = RunningOwner::spawn().await;
    for name in [
        "Udp",
        "Egress",
        "RtpTransport",
        "Dtls",
        "Ice",
        "PeerConnection",
    ] {
        for fault in [Fault::panic(), Fault::error(), Fault::kill()] {
            let fault = fault.in_part(name).at(Hook::PreStart).below(owner.actor());
            let injected = fault.inject();
            let refused = loopback().spawn_linked(owner.actor()).await.unwrap_err();
            assert_eq!(injected.strikes(), 1, "{name}");
            let is_known = match name {
                "Udp" | "Egress" => matches!(refused, SpawnError::Endpoint(_)),
                _ => matches!(refused, SpawnError::Actor(_)),
            };
            assert!(is_known, "{name}: {refused:?}");
            expect_nothing_left(owner.actor()).await;
        }
    }
    assert_eq!(
        owner.end().await.len(),
        0,
        "nothing was told of peers that never were"
    );
}

#[tokio::test]
async fn c107_a_peer_that_fails_as_soon_as_it_has_started_is_told_so() {
    for name in [
        "PeerConnection",
        "Ice",
        "Dtls",
        "RtpTransport",
        "Udp",
        "Egress",
    ] {
        let owner = RunningOwner::spawn().await;
        let fault = Fault::panic().in_part(name).at(Hook::PostStart);
        let injected = fault.below(owner.actor()).inject();
        // It may have its handle by then, or not.
        let spawned = loopback().spawn_linked(owner.actor()).await;
        injected.struck().await;
        expect_nothing_left(owner.actor()).await;
        let told = owner.end().await;
        match told.as_slice() {
            [Event::Closed { .. }] => {}
            [] => assert!(spawned.is_err(), "{name}: nobody was told"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn c107_a_peer_that_fails_while_it_hears_of_a_part_still_tells_its_end() {
    let call = Call::connect().await;
    let peer = call.part("PeerConnection");
    let fault = Fault::panic().in_actor(&peer).at(Hook::HandleSupervisorEvt);
    let injected = fault.inject();
    call.part("RtpTransport").kill();
    injected.struck().await;
    let outcome = call.outcome().await;
    assert_eq!(outcome.reason, CloseReason::Crashed);
    assert!(outcome.close_notify, "{outcome:?}");
}

#[tokio::test]
async fn c107_a_fault_in_the_very_end_changes_nothing() {
    for name in [
        "PeerConnection",
        "Ice",
        "Dtls",
        "RtpTransport",
        "Udp",
        "Egress",
    ] {
        let call = Call::connect().await;
        let actor = call.part(name);
        let fault = Fault::panic().in_actor(&actor).at(Hook::PostStop).inject();
        call.victim.peer.close().await;
        let outcome = call.outcome().await;
        assert_eq!(outcome.reason, CloseReason::Requested, "{name}");
        assert!(outcome.close_notify, "{name}: {outcome:?}");
        in_time(&outcome);
        // What sends is killed with its socket.
        assert_eq!(fault.strikes(), usize::from(name != "Egress"), "{name}");
    }
}

#[tokio::test]
async fn c107_a_part_that_does_not_end_is_killed_at_the_deadline() {
    for (name, message) in [("RtpTransport", "Stop"), ("Dtls", "Close"), ("Ice", "Stop")] {
        let call = Call::connect().await;
        let actor = call.part(name);
        let fault = Fault::hang().in_actor(&actor).message(message).inject();
        call.victim.peer.close().await;
        let outcome = call.outcome().await;
        assert_eq!(fault.strikes(), 1, "{name}");
        assert_eq!(outcome.reason, CloseReason::Requested, "{name}");
        assert!(outcome.close_notify, "{name}: {outcome:?}");
        assert_eq!(actor.get_status(), ActorStatus::Stopped);
    }
}

#[tokio::test]
async fn c107_an_owner_that_ends_by_whatever_way_takes_its_peer_along() {
    for kill in [false, true] {
        for apart in [false, true] {
            let supervisor = RunningOwner::spawn().await;
            let mut one = match apart {
                false => Ours::spawn(loopback()).await,
                true => Ours::spawn_below(loopback(), supervisor.actor().get_cell()).await,
            };
            let mut two = Ours::spawn(loopback()).await;
            connect_ours(&mut one, &mut two, None).await;
            let above = if apart {
                supervisor.actor()
            } else {
                one.owner()
            };
            let actors = running_below(above);
            assert_eq!(actors.len(), 6);
            if kill {
                one.owner().kill();
            } else {
                one.owner().stop(None);
            }
            expect_dtls_closed(&mut two).await;
            for actor in actors {
                let what = format!("{} has ended", actor.part);
                eventually(2 * CLOSE_DEADLINE, &what, async || {
                    (actor.cell.get_status() == ActorStatus::Stopped).then_some(())
                })
                .await;
            }
        }
    }
}

#[tokio::test]
async fn c107_a_supervisor_that_ends_takes_peers_along_and_their_owners_hear_it() {
    for kill in [false, true] {
        let supervisor = RunningOwner::spawn().await;
        let mut one = Ours::spawn_below(loopback(), supervisor.actor().get_cell()).await;
        let mut two = Ours::spawn(loopback()).await;
        connect_ours(&mut one, &mut two, None).await;
        if kill {
            supervisor.actor().kill();
        } else {
            supervisor.actor().stop(None);
        }
        // It said that the peer had crashed.
        assert_eq!(one.expect_closed().await, CloseReason::Stopped);
        expect_dtls_closed(&mut two).await;
        expect_nothing_left(supervisor.actor()).await;
    }
}

#[tokio::test]
async fn c107_a_shared_socket_that_ends_by_whatever_way_is_the_end_of_its_peers_and_of_no_other() {
    for name in ["Udp", "Egress"] {
        for end in ENDS {
            let (supervisor, endpoint) = shared_endpoint().await;
            let call = Call::connect_with(loopback().endpoint(endpoint.clone())).await;
            let mut beside = Ours::spawn(loopback().endpoint(endpoint.clone())).await;
            let mut other = Call::connect().await;
            let actor = part(&supervisor, name);
            let fault = call.end(&actor, end);
            call.ask_around();
            let outcome = call.outcome().await;
            expect_part(&outcome, Part::UdpEndpoint);
            assert!(outcome.close_notify, "{name} {end:?}: {outcome:?}");
            in_time(&outcome);
            assert!(is_part(&beside.expect_closed().await, Part::UdpEndpoint));
            other.talk().await;
            drop(fault);
            let refused = loopback()
                .endpoint(endpoint)
                .spawn_linked(beside.owner())
                .await;
            assert!(
                matches!(refused, Err(SpawnError::Endpoint(_))),
                "{refused:?}"
            );
        }
    }
}

/// DTLS alone is closed; the peer waits for what its owner makes of it.
#[tokio::test]
async fn c107_a_remote_side_that_closes_is_told_and_ends_nothing() {
    let Call {
        mut victim, remote, ..
    } = Call::connect().await;
    remote.peer.close().await;
    expect_dtls_closed(&mut victim).await;
    assert_eq!(running_below(victim.owner()).len(), 6);
    assert!(victim.peer.create_offer().await.is_ok());
    victim.peer.close().await;
    assert_eq!(victim.expect_closed().await, CloseReason::Requested);
}

#[tokio::test]
async fn c107_a_dtls_handshake_that_fails_is_a_state_and_ends_nothing() {
    let mut one = Ours::spawn(loopback()).await;
    let mut two = Ours::spawn(loopback()).await;
    let offer = one.offer().await;
    let answer = two.answer(&with_other_fingerprint(&offer)).await;
    one.accept_answer(&answer).await;
    two.expect_state(PeerConnectionState::Failed).await;
    assert_eq!(two.peer.states().dtls_transport, DtlsTransportState::Failed);
    assert_eq!(running_below(two.owner()).len(), 6);
    assert!(two.peer.create_offer().await.is_ok());
}

#[tokio::test]
async fn c107_calls_on_a_peer_that_is_gone_say_so_at_once() {
    let Call { victim, .. } = Call::connect().await;
    part(victim.owner(), "PeerConnection").kill();
    expect_nothing_left(victim.owner()).await;
    let stopped = NegotiationError::Call(CallError::Stopped);
    assert_eq!(victim.peer.create_offer().await.unwrap_err(), stopped);
    assert!(victim.peer.get_stats(None).await.is_err());
}

/// By all ways, and each with the same that follows.
async fn a_part_fails(name: &str, which: Part, says_bye: bool) {
    for end in ENDS {
        let call = Call::connect().await;
        let fault = call.end(&call.part(name), end);
        call.ask_around();
        let outcome = call.outcome().await;
        expect_part(&outcome, which);
        assert!(outcome.close_notify, "{end:?}: {outcome:?}");
        assert_eq!(outcome.goodbye, says_bye, "{end:?}: {outcome:?}");
        in_time(&outcome);
        drop(fault);
    }
}

fn expect_part(outcome: &Outcome, which: Part) {
    assert!(is_part(&outcome.reason, which), "{outcome:?}");
}

fn is_part(reason: &CloseReason, which: Part) -> bool {
    matches!(reason, CloseReason::PartFailed { part, .. } if *part == which)
}

/// With some patience for a busy machine, and for a message to fail at.
fn in_time(outcome: &Outcome) {
    let deadline = CLOSE_DEADLINE + Duration::from_secs(1);
    assert!(outcome.gone < deadline, "{outcome:?}");
}

async fn expect_dtls_closed(peer: &mut Ours) {
    peer.expect("close_notify", |event| {
        let closed = DtlsTransportState::Closed;
        matches!(event, Event::DtlsTransportStateChange(state) if *state == closed).then_some(())
    })
    .await;
}

async fn expect_nothing_left(ancestor: &ActorCell) {
    eventually(PATIENCE, "no actor is left", async || {
        running_below(ancestor).is_empty().then_some(())
    })
    .await;
}
