//! Whole connections over a link that loses every fifth datagram.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use ractor_webrtc::track::MediaKind;

use self::common::link::Link;
use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::connect_ours;

// dtls 0.17.2 sends the server's last flight once: when that one datagram was lost, the client
// waited for ever, and of 200 handshakes at this loss some 36 never completed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_handshakes_at_20_percent_loss_all_complete() {
    let started = Instant::now();
    let mut times: Vec<_> = stream::iter(0..HANDSHAKES)
        .map(|seed| tokio::spawn(handshake(seed)))
        .buffer_unordered(AT_ONCE)
        .map(Result::unwrap)
        .collect()
        .await;
    times.sort_unstable();
    println!(
        "{} handshakes in {:?}: median {:?}, slowest {:?}",
        times.len(),
        started.elapsed(),
        times[times.len() / 2],
        times[times.len() - 1],
    );
    assert_eq!(times.len() as u64, HANDSHAKES);
}

/// Connects, and sees media through both ways.
async fn handshake(seed: u64) -> std::time::Duration {
    let link = Link::lossy(seed, LOSS).await.unwrap();
    let mut offerer = Ours::spawn(loopback()).await;
    let mut answerer = Ours::spawn(loopback()).await;
    let started = Instant::now();
    connect_ours(&mut offerer, &mut answerer, Some(&link)).await;
    let took = started.elapsed();
    send_until_seen(&offerer, &mut answerer).await;
    send_until_seen(&answerer, &mut offerer).await;
    took
}

/// So many packets that all being lost is no chance, but a fault.
async fn send_until_seen(from: &Ours, to: &mut Ours) {
    let track = from.local_track(MediaKind::Audio).id();
    for number in 0..40 {
        let packet = rtp_packet(111, number, u32::from(number) * 960, false, vec![7; 80]);
        from.peer.send_rtp(track, packet).unwrap();
    }
    to.expect_rtp().await;
}

const HANDSHAKES: u64 = 200;
const LOSS: f64 = 0.2;
/// As many as two cores carry without making time-outs of their own.
const AT_ONCE: usize = 32;
