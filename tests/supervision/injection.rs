//! The faults of the other tests: they strike where they are told to, and nowhere else.

use ractor::ActorStatus;
use ractor_webrtc::faults::{Fault, Hook, RunningPart, part, running_below};
use ractor_webrtc::{CallError, CloseReason, NegotiationError, SpawnError};

use super::common::owner::{Ours, RunningOwner, loopback};
use super::common::session::connect_ours;
use super::common::{PATIENCE, eventually};

#[tokio::test]
async fn every_part_of_a_peer_is_found_by_its_name() {
    let peer = Ours::spawn(loopback()).await;
    let running = running_below(peer.owner());
    let mut names: Vec<_> = running.iter().map(|it: &RunningPart| it.part).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "Dtls",
            "Egress",
            "Ice",
            "PeerConnection",
            "RtpTransport",
            "Udp"
        ]
    );
    let egress = part(peer.owner(), "Egress");
    let endpoint = part(peer.owner(), "Udp");
    assert_eq!(endpoint.get_children(), [egress]);
    peer.peer.close().await;
    let what = "none of them is listed";
    eventually(PATIENCE, what, async || {
        running_below(peer.owner()).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_fault_strikes_the_part_that_it_names_at_the_message_that_it_names_and_once() {
    let mut one = Ours::spawn(loopback()).await;
    let two = Ours::spawn(loopback()).await;
    let injected = Fault::panic()
        .in_part("Ice")
        .below(one.owner())
        .at(Hook::Handle)
        .message("Gather")
        .inject();
    two.peer.set_local_description(None).await.unwrap();
    assert_eq!(injected.strikes(), 0);
    one.peer.set_local_description(None).await.unwrap();
    injected.struck().await;
    let told = one.expect_closed().await;
    assert!(matches!(told, CloseReason::PartFailed { .. }), "{told:?}");
    let again = loopback().spawn_linked(one.owner()).await.unwrap();
    again.set_local_description(None).await.unwrap();
    assert!(again.create_offer().await.is_ok());
    assert_eq!(injected.strikes(), 1);
    drop(two);
}

#[tokio::test]
async fn a_fault_that_was_taken_back_does_not_strike() {
    let peer = Ours::spawn(loopback()).await;
    drop(Fault::error().below(peer.owner()).inject());
    assert!(peer.peer.create_offer().await.is_ok());
}

#[tokio::test]
async fn a_fault_behind_a_hook_lets_it_do_its_work() {
    let mut peer = Ours::spawn(loopback()).await;
    let fault = Fault::error().in_part("PeerConnection").at(Hook::Handle);
    let injected = fault.below(peer.owner()).after().inject();
    assert!(peer.peer.create_offer().await.is_ok());
    injected.struck().await;
    assert_eq!(peer.expect_closed().await, CloseReason::Crashed);
}

#[tokio::test]
async fn a_fault_before_a_hook_does_not() {
    let mut peer = Ours::spawn(loopback()).await;
    let fault = Fault::kill().in_part("PeerConnection");
    let injected = fault.below(peer.owner()).inject();
    let refused = peer.peer.create_offer().await.unwrap_err();
    assert_eq!(refused, NegotiationError::Call(CallError::Stopped));
    injected.struck().await;
    assert_eq!(peer.expect_closed().await, CloseReason::Crashed);
}

#[tokio::test]
async fn a_part_that_does_not_start_is_struck_too() {
    let owner = RunningOwner::spawn().await;
    for hook in [Hook::PreStart, Hook::PostStart] {
        let fault = Fault::panic().in_part("RtpTransport").at(hook);
        let injected = fault.below(owner.actor()).inject();
        let spawned = loopback().spawn_linked(owner.actor()).await;
        injected.struck().await;
        if hook == Hook::PreStart {
            let refused = spawned.unwrap_err();
            assert!(matches!(refused, SpawnError::Actor(_)), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn what_hangs_is_killed() {
    let peer = Ours::spawn(loopback()).await;
    let dtls = part(peer.owner(), "Dtls");
    let fault = Fault::hang().in_actor(&dtls).message("Close");
    let injected = fault.inject();
    peer.peer.close().await;
    assert_eq!(injected.strikes(), 1);
    let what = "it has ended";
    eventually(PATIENCE, what, async || {
        (dtls.get_status() == ActorStatus::Stopped).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_happens_is_noted_without_doing_harm() {
    let mut one = Ours::spawn(loopback()).await;
    let mut two = Ours::spawn(loopback()).await;
    let noted = Fault::none().below(one.owner()).inject();
    connect_ours(&mut one, &mut two, None).await;
    let seen = noted.seen();
    let has = |part: &str, message: &str| {
        let mut of_part = seen.iter().filter(|it| it.part == part);
        of_part.any(|it| it.message.as_deref() == Some(message))
    };
    assert!(has("PeerConnection", "SetRemoteDescription"));
    assert!(has("Dtls", "HandshakeCompleted"));
    assert!(has("Egress", "Command/InstallKeys"));
}
