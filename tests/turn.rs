//! Calls through a TURN server: Debian's coturn.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;
#[path = "common/coturn.rs"]
mod coturn;

use std::time::{Duration, Instant};

use ractor_webrtc::MediaKind;
use ractor_webrtc::ice::{IceServer, IceTransportPolicy};
use ractor_webrtc::peer_connection::{Event, PeerConnectionBuilder, PeerConnectionState};

use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::{PATIENCE, eventually};
use self::coturn::Coturn;

fn relay_only(server: &Coturn) -> PeerConnectionBuilder {
    loopback()
        .ice_server(server.as_ice_server())
        .ice_transport_policy(IceTransportPolicy::Relay)
}

/// Both sides, connected.
async fn call(one: PeerConnectionBuilder, other: PeerConnectionBuilder) -> (Ours, Ours) {
    let mut one = Ours::spawn(one).await;
    let mut other = Ours::spawn(other).await;
    let offer = one.offer().await;
    let answer = other.answer(&offer).await;
    one.accept_answer(&answer).await;
    one.expect_connected().await;
    other.expect_connected().await;
    (one, other)
}

/// Packets of both kinds each way, up to the size that senders use; `first` is their first number, new each time.
async fn media_both_ways(one: &mut Ours, other: &mut Ours, first: u16) {
    for (number, size) in [(first, 50), (first + 20, 1150)] {
        one_way(one, other, number, size).await;
        one_way(other, one, number, size).await;
    }
}

async fn one_way(from: &mut Ours, to: &mut Ours, first: u16, size: usize) {
    for (kind, payload_type) in [(MediaKind::Audio, 111), (MediaKind::Video, 96)] {
        let track = from.local_track(kind).id();
        for number in first..first + 20 {
            let packet = rtp_packet(payload_type, number, 960, true, vec![7; size]);
            from.peer.send_rtp(track, packet).unwrap();
        }
        let mut arrived = 0;
        while arrived < 20 {
            let sizes = to.expect("RTP packets", |event| match event {
                Event::Rtp { packets, .. } => Some(
                    packets
                        .iter()
                        .map(|packet| packet.payload().len())
                        .collect::<Vec<_>>(),
                ),
                _ => None,
            });
            let sizes = sizes.await;
            assert!(sizes.iter().all(|found| *found == size), "{sizes:?}");
            arrived += sizes.len();
        }
    }
}

fn types(description: &str) -> Vec<String> {
    let lines = description.lines();
    let mut types: Vec<_> = lines
        .filter_map(|line| line.strip_prefix("a=candidate:"))
        .filter_map(|line| line.split_whitespace().nth(7))
        .map(str::to_owned)
        .collect();
    types.sort();
    types.dedup();
    types
}

async fn allocations_become(server: &Coturn, wanted: usize) {
    eventually(PATIENCE, "allocations are given back", async || {
        (server.allocations() == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn c087_a_call_between_two_that_may_use_relays_only() {
    let Some(server) = Coturn::start(&[]) else {
        return;
    };
    let (mut one, mut other) = call(relay_only(&server), relay_only(&server)).await;
    for side in [&one, &other] {
        let description = side.peer.local_description().await.unwrap().unwrap().sdp;
        assert_eq!(types(&description), ["relay"]);
        assert!(
            description.contains("raddr 0.0.0.0 rport 0"),
            "nothing of this machine is told: {description}"
        );
    }
    assert_eq!(server.allocations(), 2);
    media_both_ways(&mut one, &mut other, 0).await;
}

#[tokio::test]
async fn c086_an_allocation_is_given_back_however_a_peer_ends() {
    // Nonces that go stale at once: giving back takes another try.
    let Some(server) = Coturn::start(&["--stale-nonce=1"]) else {
        return;
    };
    let (one, other) = call(relay_only(&server), relay_only(&server)).await;
    assert_eq!(server.allocations(), 2);
    one.peer.close().await;
    allocations_become(&server, 1).await;
    other.owner().kill();
    allocations_become(&server, 0).await;
    let (one, other) = call(relay_only(&server), relay_only(&server)).await;
    assert_eq!(server.allocations(), 2);
    one.owner().stop(None);
    drop(other);
    allocations_become(&server, 0).await;
    // Before it was ever used, and while it is asked for.
    for _ in 0..5 {
        let asking = Ours::spawn(relay_only(&server)).await;
        asking.peer.set_local_description(None).await.unwrap();
        asking.owner().kill();
    }
    allocations_become(&server, 0).await;
}

#[tokio::test]
async fn one_side_behind_a_relay_reaches_one_that_is_not() {
    let Some(server) = Coturn::start(&[]) else {
        return;
    };
    let (mut one, mut other) = call(relay_only(&server), loopback()).await;
    media_both_ways(&mut one, &mut other, 0).await;
    let (mut one, mut other) = call(loopback(), relay_only(&server)).await;
    media_both_ways(&mut one, &mut other, 0).await;
}

#[tokio::test]
async fn peers_that_reach_each_other_directly_leave_the_relay_alone() {
    let Some(server) = Coturn::start(&[]) else {
        return;
    };
    let builder = || loopback().ice_server(server.as_ice_server());
    let (mut one, mut other) = call(builder(), builder()).await;
    let description = one.peer.local_description().await.unwrap().unwrap().sdp;
    assert_eq!(types(&description), ["host", "relay"]);
    media_both_ways(&mut one, &mut other, 0).await;
    let log = server.log();
    assert!(
        !log.contains("CHANNEL_BIND") && !log.contains("CREATE_PERMISSION"),
        "{log}"
    );
}

#[tokio::test]
async fn servers_that_refuse_or_are_silent_leave_the_call_to_others() {
    let Some(server) = Coturn::start(&[]) else {
        return;
    };
    let wrong = IceServer::with_credentials([server.url()], "ada", "byron").unwrap();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = format!("turn:{}", silent.local_addr().unwrap());
    let silent = IceServer::with_credentials([silent], "ada", "lovelace").unwrap();
    for (server, limit) in [
        (wrong, Duration::from_secs(2)),
        (silent, Duration::from_secs(7)),
    ] {
        let begun = Instant::now();
        let (mut one, mut other) = call(loopback().ice_server(server), loopback()).await;
        assert!(begun.elapsed() < limit, "{:?}", begun.elapsed());
        media_both_ways(&mut one, &mut other, 0).await;
    }
}

#[tokio::test]
async fn without_a_relay_a_relay_only_peer_has_no_candidate_and_fails() {
    let builder = || {
        loopback()
            .ice_transport_policy(IceTransportPolicy::Relay)
            .ice_timeouts(Duration::from_millis(200), Duration::from_millis(200))
    };
    let (mut one, mut other) = (Ours::spawn(builder()).await, Ours::spawn(loopback()).await);
    let offer = one.offer().await;
    assert_eq!(types(&offer), Vec::<String>::new());
    let answer = other.answer(&offer).await;
    one.accept_answer(&answer).await;
    one.expect_state(PeerConnectionState::Failed).await;
}
