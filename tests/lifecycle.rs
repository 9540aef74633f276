//! How a peer connection ends, and what is left of it: nothing.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::time::{Duration, Instant};

use ractor_webrtc::{
    CallError, CloseReason, DtlsTransportState, Event, IceCandidate, MediaKind, MediaStreamTrack,
    NegotiationError, Part, PeerConnection, PeerConnectionState, SendError, SignalingState,
};
use tokio::runtime::Handle;

use common::eventually;
use common::owner::{Owned, connected_pair, negotiate};

fn closed(event: Event) -> Option<CloseReason> {
    match event {
        Event::Closed { reason } => Some(reason),
        _ => None,
    }
}

#[tokio::test]
async fn c008_all_running_has_the_started_and_not_the_stopped() {
    let peer = Owned::spawn().await;
    let id = peer.pc.id();
    assert!(PeerConnection::all_running().iter().any(|pc| pc.id() == id));
    peer.pc.close().await;
    assert!(PeerConnection::all_running().iter().all(|pc| pc.id() != id));
}

#[tokio::test]
async fn c009_all_states_start_new() {
    let peer = Owned::spawn().await;
    let states = peer.pc.states();
    assert_eq!(states.dtls_transport, DtlsTransportState::New);
    assert_eq!(states.connection, PeerConnectionState::New);
    assert_eq!(states.signaling, SignalingState::Stable);
}

#[tokio::test]
async fn c027_after_close_every_call_says_so_and_no_state_event_is_told() {
    let (mut one, _two, [audio, _]) = connected_pair().await;
    while one.events.try_recv().is_ok() {}
    one.pc.close().await;
    let last = one.next(Some).await;
    assert_eq!(closed(last), Some(CloseReason::Requested));
    assert!(one.events.try_recv().is_err(), "closed is the last event");
    assert_eq!(one.pc.connection_state(), PeerConnectionState::Closed);
    assert_eq!(one.pc.signaling_state(), SignalingState::Closed);
    assert_eq!(
        one.pc.create_offer().await.unwrap_err(),
        NegotiationError::Call(CallError::Stopped)
    );
    assert_eq!(
        one.pc.send_pli(audio.id(), None).unwrap_err(),
        SendError::Closed
    );
    one.pc.close().await;
}

#[tokio::test]
async fn c106_close_works_before_negotiation_while_gathering_and_during_the_handshake() {
    let mut fresh = Owned::spawn().await;
    fresh.pc.close().await;
    assert_eq!(fresh.next(closed).await, CloseReason::Requested);

    let mut gathering = Owned::spawn().await;
    gathering.add(MediaKind::Audio).await;
    gathering.pc.set_local_description(None).await.unwrap();
    gathering.pc.close().await;
    assert_eq!(gathering.next(closed).await, CloseReason::Requested);

    let (mut one, mut two) = (Owned::spawn().await, Owned::spawn().await);
    one.add(MediaKind::Audio).await;
    negotiate(&mut one, &mut two).await;
    one.reaches(PeerConnectionState::Connecting).await;
    one.pc.close().await;
    assert_eq!(one.next(closed).await, CloseReason::Requested);
}

#[tokio::test]
async fn c106_nothing_of_a_closed_pair_is_left() {
    let before = Handle::current().metrics().num_alive_tasks();
    {
        let (one, two, _) = connected_pair().await;
        let began = Instant::now();
        one.pc.close().await;
        two.pc.close().await;
        assert!(began.elapsed() < Duration::from_secs(2));
        one.owner.stop_and_wait(None, None).await.unwrap();
        two.owner.stop_and_wait(None, None).await.unwrap();
    }
    eventually(Duration::from_secs(5), || {
        Handle::current().metrics().num_alive_tasks() <= before
    })
    .await;
}

#[tokio::test]
async fn c107_when_the_owner_dies_the_remote_side_sees_dtls_close() {
    let (one, mut two, _) = connected_pair().await;
    let id = one.pc.id();
    one.owner.kill();
    two.next(|event| {
        matches!(
            event,
            Event::DtlsTransportStateChange(DtlsTransportState::Closed)
        )
        .then_some(())
    })
    .await;
    eventually(Duration::from_secs(2), || {
        PeerConnection::all_running().iter().all(|pc| pc.id() != id)
    })
    .await;
}

#[tokio::test]
async fn c028_when_the_remote_side_closes_only_dtls_is_closed() {
    let (one, mut two, _) = connected_pair().await;
    one.pc.close().await;
    two.next(|event| {
        matches!(
            event,
            Event::DtlsTransportStateChange(DtlsTransportState::Closed)
        )
        .then_some(())
    })
    .await;
    assert_eq!(two.pc.connection_state(), PeerConnectionState::Connected);
    assert!(two.pc.create_offer().await.is_ok());
    two.pc.close().await;
}

#[tokio::test]
async fn a_killed_part_closes_the_peer_and_its_name_is_told_once() {
    let (mut one, _two, _) = connected_pair().await;
    let children = one.owner.get_children();
    let [peer] = children.as_slice() else {
        panic!("one child, the peer connection");
    };
    let part = peer.get_children().into_iter().next().unwrap();
    part.kill();
    let reason = one.next(closed).await;
    assert!(
        matches!(reason, CloseReason::PartFailed { .. }),
        "{reason:?}"
    );
    assert_eq!(one.pc.connection_state(), PeerConnectionState::Closed);
}

#[tokio::test]
async fn a_killed_peer_tells_its_owner_that_it_crashed() {
    let (mut one, _two, _) = connected_pair().await;
    one.owner.get_children()[0].kill();
    assert_eq!(one.next(closed).await, CloseReason::Crashed);
    assert_eq!(one.pc.connection_state(), PeerConnectionState::Closed);
}

#[tokio::test]
async fn a_peer_ends_with_an_owner_that_is_not_its_supervisor() {
    let supervisor = Owned::spawn().await;
    let owner = Owned::spawn().await;
    let pc = PeerConnection::builder()
        .include_loopback(true)
        .spawn(&owner.owner, supervisor.owner.get_cell())
        .await
        .unwrap();
    owner.owner.stop(None);
    eventually(Duration::from_secs(2), || {
        pc.connection_state() == PeerConnectionState::Closed
    })
    .await;
}

#[tokio::test]
async fn a_peer_ends_with_the_endpoint_that_it_shares() {
    let host = Owned::spawn().await;
    let endpoint = ractor_webrtc::UdpEndpoint::spawn(
        ractor_webrtc::UdpEndpointConfiguration::default(),
        host.owner.get_cell(),
    )
    .await
    .unwrap();
    let mut peer = Owned::with(PeerConnection::builder().endpoint(endpoint.clone())).await;
    endpoint.stop();
    let reason = peer.next(closed).await;
    assert!(
        matches!(
            reason,
            CloseReason::PartFailed {
                part: Part::UdpEndpoint,
                ..
            }
        ),
        "{reason:?}"
    );
}

#[tokio::test]
async fn wrong_calls_are_answered_and_the_peer_lives_on() {
    let peer = Owned::spawn().await;
    let stranger = MediaStreamTrack::new(MediaKind::Audio, []);
    assert_eq!(
        peer.pc.send_rtp(stranger.id(), Vec::new()).unwrap_err(),
        SendError::UnknownTrack(stranger.id())
    );
    assert!(matches!(
        peer.pc.create_answer().await.unwrap_err(),
        NegotiationError::InvalidState { .. }
    ));
    let garbage = ractor_webrtc::SessionDescription::offer("garbage");
    assert!(peer.pc.set_remote_description(garbage).await.is_err());
    let candidate = IceCandidate {
        candidate: "candidate:rubbish".to_owned(),
        sdp_mid: Some("0".to_owned()),
        ..IceCandidate::default()
    };
    // Without a remote description it waits, whatever it is worth.
    let _queued_or_refused = peer.pc.add_ice_candidate(candidate).await;
    assert!(peer.pc.create_offer().await.is_ok());
}
