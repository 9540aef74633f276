//! Several endpoints that share the peers among them.
#![allow(clippy::unwrap_used)]

mod common;

use std::hint;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use ractor_webrtc::peer_connection::{Part, SpawnError};
use ractor_webrtc::udp::UdpEndpointError;
use ractor_webrtc::{CloseReason, MediaKind, UdpEndpointConfiguration, UdpEndpointPool};

use self::common::owner::{Calm, Ours, loopback, rtp_packet};
use self::common::session::connect_ours;
use self::common::{PATIENCE, eventually};

#[tokio::test]
async fn the_endpoints_of_a_pool_carry_their_peers_at_once() {
    let pool = pool(2).await;
    let mut pairs = Vec::new();
    for _ in 0..4 {
        pairs.push(connected(&pool).await);
    }
    assert_eq!(peers(&pool).await, [2, 2]);
    // All of them before anyone is waited for.
    for (number, (one, _)) in pairs.iter().enumerate() {
        send(one, number);
    }
    for (number, (_, two)) in pairs.iter_mut().enumerate() {
        assert_eq!(two.expect_rtp().await.1.payload(), payload(number));
    }
    for (number, (_, two)) in pairs.iter().enumerate() {
        send(two, number);
    }
    for (number, (one, _)) in pairs.iter_mut().enumerate() {
        assert_eq!(one.expect_rtp().await.1.payload(), payload(number));
    }
}

#[tokio::test]
async fn two_peers_of_one_pool_reach_each_other_where_their_endpoints_differ() {
    let pool = pool(2).await;
    let mut one = Ours::spawn(loopback().endpoint(pool.clone())).await;
    let mut two = Ours::spawn(loopback().endpoint(pool)).await;
    connect_ours(&mut one, &mut two, None).await;
}

#[tokio::test]
async fn a_peer_that_goes_makes_room_for_the_next() {
    let pool = pool(2).await;
    let settings = loopback().endpoint(pool.clone());
    let mut residents = Vec::new();
    for _ in 0..4 {
        residents.push(Ours::spawn(settings.clone()).await);
    }
    let one_goes = residents.pop().unwrap();
    one_goes.peer.close().await;
    eventually(PATIENCE, "a place that is free", async || {
        (peers(&pool).await.iter().sum::<usize>() == 3).then_some(())
    })
    .await;
    residents.push(Ours::spawn(settings).await);
    assert_eq!(peers(&pool).await, [2, 2]);
}

#[tokio::test]
async fn an_endpoint_that_dies_takes_its_peers_along_and_no_others() {
    let pool = pool(2).await;
    let mut pairs = [connected(&pool).await, connected(&pool).await];
    let (gone, lives) = (&pool.endpoints()[0], &pool.endpoints()[1]);
    let first_is_on = pairs[0].0.peer.local_description().await.unwrap().unwrap();
    let port = format!(" {} typ host", gone.local_addr().port());
    if !first_is_on.sdp.contains(&port) {
        pairs.swap(0, 1);
    }
    let [(doomed, _), (one, two)] = &mut pairs;

    gone.stop();
    let told = doomed.expect_closed().await;
    let part = Part::UdpEndpoint;
    assert!(
        matches!(&told, CloseReason::PartFailed { part: which, .. } if *which == part),
        "{told:?}"
    );
    send(one, 1);
    assert_eq!(two.expect_rtp().await.1.payload(), payload(1));

    // Newcomers all find the one that is left.
    let mut newcomers = Vec::new();
    for _ in 0..3 {
        newcomers.push(Ours::spawn(loopback().endpoint(pool.clone())).await);
    }
    assert_eq!(lives.statistics().await.unwrap().peers, 4);
    newcomers.push(Ours::spawn(loopback().endpoint(pool.endpoint().unwrap())).await);
    assert_eq!(lives.statistics().await.unwrap().peers, 5);
}

#[tokio::test]
async fn no_peer_is_spawned_where_all_endpoints_have_died() {
    let pool = pool(2).await;
    let owner = Ours::spawn(loopback()).await;
    pool.stop();
    let refused = eventually(PATIENCE, "the end of the pool", async || {
        let builder = loopback().endpoint(pool.clone());
        builder.spawn_linked(owner.owner()).await.err()
    })
    .await;
    assert!(
        matches!(refused, SpawnError::Endpoint(UdpEndpointError::Stopped)),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_endpoint_ends_while_it_starts_is_refused_or_ends_as_well() {
    // One in forty of these peers never heard of it: it registered at the endpoint before
    // it watched it, and the endpoint ended in between.
    for round in 0..200 {
        let pool = pool(1).await;
        let mut owner = Ours::spawn(loopback()).await;
        let doomed = pool.clone();
        let end = tokio::task::spawn_blocking(move || {
            // Any moment of the start, which takes about half a millisecond.
            let began = Instant::now();
            while began.elapsed() < Duration::from_micros(round * 5) {
                hint::spin_loop();
            }
            doomed.stop();
        });
        match loopback().endpoint(pool).spawn_linked(owner.owner()).await {
            Err(SpawnError::Endpoint(UdpEndpointError::Stopped)) => {}
            Err(other) => panic!("{other:?}"),
            Ok(_) => {
                let told = owner.expect_closed().await;
                assert!(matches!(told, CloseReason::PartFailed { .. }), "{told:?}");
            }
        }
        end.await.unwrap();
    }
}

/// A peer on the pool, and one that is not, connected.
async fn connected(pool: &UdpEndpointPool) -> (Ours, Ours) {
    let mut one = Ours::spawn(loopback().endpoint(pool.clone())).await;
    let mut two = Ours::spawn(loopback()).await;
    connect_ours(&mut one, &mut two, None).await;
    (one, two)
}

fn send(from: &Ours, number: usize) {
    let packet = rtp_packet(OPUS, 1, 1, true, payload(number));
    let track = from.local_track(MediaKind::Audio).id();
    from.peer.send_rtp(track, packet).unwrap();
}

fn payload(number: usize) -> Vec<u8> {
    format!("packet of pair {number}").into_bytes()
}

async fn peers(pool: &UdpEndpointPool) -> Vec<usize> {
    let mut peers = Vec::new();
    for endpoint in pool.endpoints() {
        peers.push(endpoint.statistics().await.unwrap().peers);
    }
    peers
}

async fn pool(count: usize) -> UdpEndpointPool {
    let supervisor = Calm::spawn().await;
    let configuration = UdpEndpointConfiguration::address("127.0.0.1:0".parse().unwrap());
    let count = NonZeroUsize::new(count).unwrap();
    UdpEndpointPool::spawn(configuration, count, supervisor.get_cell())
        .await
        .unwrap()
}

/// Payload type of Opus in our offers.
const OPUS: u8 = 111;
