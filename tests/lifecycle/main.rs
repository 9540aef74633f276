//! How a peer connection ends, and what is left of it: nothing.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod cancelled;
#[path = "../common/mod.rs"]
mod common;
mod hanging;
mod ignorant;
mod states;

use std::time::Duration;

use ractor_webrtc::peer_connection::{
    DtlsTransportState, Event, Part, PeerConnectionState, SignalingState, SpawnError,
};
use ractor_webrtc::{
    CallError, CloseReason, IceCandidate, MediaKind, MediaStreamTrack, NegotiationError,
    PeerConnection, RtpBatch, SendError, SessionDescription,
};
use tokio::runtime::Handle;
use tokio::time::Instant;

use self::common::eventually;
use self::common::owner::{Ours, loopback, shared_endpoint};
use self::common::session::connect_ours;

#[tokio::test]
async fn c008_all_running_has_the_started_and_not_the_stopped() {
    let peer = Ours::spawn(loopback()).await;
    assert!(runs(&peer.peer));
    peer.peer.close().await;
    assert!(!runs(&peer.peer));
}

#[tokio::test]
async fn c009_all_states_start_new() {
    let peer = Ours::spawn(loopback()).await;
    let states = peer.peer.states();
    assert_eq!(states.dtls_transport, DtlsTransportState::New);
    assert_eq!(states.connection, PeerConnectionState::New);
    assert_eq!(states.signaling, SignalingState::Stable);
}

#[tokio::test]
async fn c027_after_close_every_call_says_so_and_closed_is_the_last_event() {
    let (mut one, _two) = pair().await;
    while one.try_event().is_some() {}
    one.peer.close().await;

    let last = one.event().await.unwrap();
    assert!(matches!(
        last,
        Event::Closed {
            reason: CloseReason::Requested
        }
    ));
    assert!(one.try_event().is_none());
    assert_eq!(one.peer.connection_state(), PeerConnectionState::Closed);
    assert_eq!(one.peer.signaling_state(), SignalingState::Closed);
    assert_eq!(
        one.peer.create_offer().await.unwrap_err(),
        NegotiationError::Call(CallError::Stopped)
    );
    let track = one.audio.id();
    assert_eq!(
        one.peer.send_pli(track, None).unwrap_err(),
        SendError::Closed
    );
    one.peer.close().await;
}

#[tokio::test]
async fn c028_when_the_remote_side_closes_only_dtls_is_closed() {
    let (one, mut two) = pair().await;
    one.peer.close().await;
    expect_dtls_closed(&mut two).await;
    assert_eq!(two.peer.connection_state(), PeerConnectionState::Connected);
    assert!(two.peer.create_offer().await.is_ok());
    two.peer.close().await;
}

#[tokio::test]
async fn c106_close_works_before_negotiation_while_gathering_and_during_the_handshake() {
    let mut fresh = Ours::spawn(loopback()).await;
    close_in_time(&mut fresh).await;

    let mut gathering = Ours::spawn(loopback()).await;
    gathering.peer.set_local_description(None).await.unwrap();
    close_in_time(&mut gathering).await;

    let mut one = Ours::spawn(loopback()).await;
    let mut two = Ours::spawn(loopback()).await;
    let offer = one.offer().await;
    let answer = two.answer(&offer).await;
    one.accept_answer(&answer).await;
    one.expect_state(PeerConnectionState::Connecting).await;
    close_in_time(&mut one).await;
}

#[tokio::test]
async fn c106_nothing_of_a_closed_pair_is_left() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    let (mut one, mut two) = pair().await;
    close_in_time(&mut one).await;
    close_in_time(&mut two).await;
    one.owner().stop_and_wait(None, None).await.unwrap();
    two.owner().stop_and_wait(None, None).await.unwrap();
    eventually(Duration::from_secs(5), "no task left", async || {
        (tasks() <= before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn c107_when_the_owner_dies_the_remote_side_sees_dtls_close() {
    let (one, mut two) = pair().await;
    one.owner().kill();
    expect_dtls_closed(&mut two).await;
    expect_gone(&one.peer).await;
}

#[tokio::test]
async fn c107_a_part_that_dies_closes_the_peer_and_the_owner_is_told_which() {
    for part in 0..PARTS {
        let (mut one, _two) = pair().await;
        let peer = one.owner().get_children().remove(0);
        let mut parts = peer.get_children();
        parts.sort_by_key(ractor::ActorCell::get_id);
        assert_eq!(parts.len(), PARTS);
        parts[part].kill();
        let told = one.expect_closed().await;
        assert!(matches!(told, CloseReason::PartFailed { .. }), "{told:?}");
        assert_eq!(one.peer.connection_state(), PeerConnectionState::Closed);
        expect_gone(&one.peer).await;
    }
}

#[tokio::test]
async fn c107_a_peer_that_dies_tells_its_owner_so() {
    let (mut one, _two) = pair().await;
    one.owner().get_children()[0].kill();
    assert_eq!(one.expect_closed().await, CloseReason::Crashed);
    assert_eq!(one.peer.connection_state(), PeerConnectionState::Closed);
    expect_gone(&one.peer).await;
}

#[tokio::test]
async fn c107_a_peer_ends_with_an_owner_that_is_not_its_supervisor() {
    let owner = Ours::spawn(loopback()).await;
    let supervisor = Ours::spawn(loopback()).await;
    let peer = loopback()
        .spawn(owner.owner(), supervisor.owner().get_cell())
        .await
        .unwrap();
    owner.owner().stop(None);
    expect_gone(&peer).await;
}

#[tokio::test]
async fn no_peer_is_spawned_for_an_owner_that_has_ended() {
    // It ran on for ever: nobody tells the end of an owner that ended before it was watched.
    let owner = Ours::spawn(loopback()).await;
    let supervisor = Ours::spawn(loopback()).await;
    owner.owner().stop_and_wait(None, None).await.unwrap();
    let refused = loopback()
        .spawn(owner.owner(), supervisor.owner().get_cell())
        .await
        .unwrap_err();
    assert!(matches!(refused, SpawnError::OwnerGone), "{refused}");
}

#[tokio::test]
async fn c107_a_peer_ends_with_the_endpoint_that_it_shares() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let mut peer = Ours::spawn(loopback().endpoint(endpoint.clone())).await;
    endpoint.stop();
    let told = peer.expect_closed().await;
    let part = Part::UdpEndpoint;
    assert!(
        matches!(&told, CloseReason::PartFailed { part: which, .. } if *which == part),
        "{told:?}"
    );
}

#[tokio::test]
async fn wrong_calls_are_answered_and_the_peer_lives_on() {
    let peer = Ours::spawn(loopback()).await;
    let pc = &peer.peer;
    let stranger = MediaStreamTrack::new(MediaKind::Audio, []).id();
    let nothing = RtpBatch::from_iter([]);
    assert_eq!(
        pc.send_rtp(stranger, nothing).unwrap_err(),
        SendError::UnknownTrack(stranger)
    );
    assert!(matches!(
        pc.create_answer().await.unwrap_err(),
        NegotiationError::InvalidState { .. }
    ));
    for garbage in ["", "garbage", "v=0\r\n", "v=0\r\no=\r\n"] {
        let refused = pc.set_remote_description(SessionDescription::offer(garbage));
        assert!(refused.await.is_err(), "{garbage:?}");
    }
    let nowhere = IceCandidate {
        candidate: "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned(),
        ..IceCandidate::default()
    };
    assert!(pc.add_ice_candidate(nowhere).await.is_err());
    assert!(pc.create_offer().await.is_ok());
}

/// The children of a connected peer that has its own endpoint.
const PARTS: usize = 4;

async fn pair() -> (Ours, Ours) {
    let mut one = Ours::spawn(loopback()).await;
    let mut two = Ours::spawn(loopback()).await;
    connect_ours(&mut one, &mut two, None).await;
    (one, two)
}

async fn close_in_time(peer: &mut Ours) {
    let began = Instant::now();
    peer.peer.close().await;
    assert!(began.elapsed() < Duration::from_secs(1), "a second is late");
    assert_eq!(peer.expect_closed().await, CloseReason::Requested);
}

async fn expect_dtls_closed(peer: &mut Ours) {
    peer.expect("end of DTLS", |event| {
        let closed = DtlsTransportState::Closed;
        matches!(event, Event::DtlsTransportStateChange(state) if *state == closed).then_some(())
    })
    .await;
}

async fn expect_gone(peer: &PeerConnection) {
    eventually(Duration::from_secs(2), "peer is gone", async || {
        (!runs(peer)).then_some(())
    })
    .await;
}

fn runs(peer: &PeerConnection) -> bool {
    let mut running = PeerConnection::all_running().into_iter();
    running.any(|other| other.id() == peer.id())
}
