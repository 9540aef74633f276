//! What a connection costs: time and CPU from `spawn` to `connected` on loopback with both sides
//! in this process, and heap per idle connected peer; beside it the same of `str0m`.
//!
//! `cargo bench --bench setup`. Aims: 5 ms of CPU for both sides together, 60 KiB of heap a peer.
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::alloc::System;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use ractor_webrtc::dtls::Certificate;
use ractor_webrtc::peer_connection::PeerConnectionBuilder;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use str0m::media::{Direction, MediaKind};

use self::common::owner::{Ours, RunningOwner, loopback, shared_endpoint};
use self::common::session::connect_ours;
use self::common::str0m_peer::{OfferedMedia, Str0mOptions, Str0mPeer};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        println!("one connection, both sides in this process, {RUNS} runs");
        println!(
            "{:<34}{:>11}{:>11}{:>13}{:>11}",
            "", "median", "p90", "CPU median", "CPU p90"
        );
        let (_supervisor, shared) = shared_endpoint().await;
        let certificate = Certificate::generate().unwrap();
        let own = async || our_pair(loopback(), loopback()).await;
        // Two peers of one socket cannot tell each other apart, so one side is a server, whose peers
        // share a socket, and the other side is its clients.
        let server = async || our_pair(loopback().endpoint(shared.clone()), loopback()).await;
        let with_certificate = || loopback().certificate(certificate.clone());
        let cheapest = async || {
            our_pair(
                with_certificate().endpoint(shared.clone()),
                with_certificate(),
            )
            .await
        };
        measure_setup(OWN, &own).await;
        measure_setup(SHARED, &server).await;
        measure_setup(CERTIFICATE, &cheapest).await;
        measure_setup("str0m", str0m_pair).await;
        println!();
        println!(
            "heap per idle connected peer, {PAIRS} pairs, {} s after the last",
            SETTLE.as_secs()
        );
        let owners = measure_heap("the test's owners alone", async || {
            (RunningOwner::spawn().await, RunningOwner::spawn().await)
        })
        .await;
        let own = measure_heap(OWN, &own).await;
        let server = measure_heap(SHARED, &server).await;
        measure_heap(CERTIFICATE, &cheapest).await;
        println!(
            "so, without its owner, a peer on an own endpoint holds {:.1} KiB, on a shared one {:.1} KiB",
            own - owners,
            2.0 * server - own - owners,
        );
        measure_heap("str0m", str0m_pair).await;
    });
}

/// Connects and drops pairs one after the other.
async fn measure_setup<P>(name: &str, connect: impl AsyncFn() -> P) {
    for _ in 0..WARM_UP {
        connect().await;
    }
    let mut wall = Vec::with_capacity(RUNS);
    let mut cpu = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let (started, started_cpu) = (Instant::now(), ProcessTime::now());
        let pair = connect().await;
        wall.push(started.elapsed());
        cpu.push(started_cpu.elapsed());
        drop(pair);
        // What is left of the pair ends on its own time, not on that of the next one.
        tokio::time::sleep(PAUSE).await;
    }
    println!(
        "{name:<34}{:>8.2} ms{:>8.2} ms{:>10.2} ms{:>8.2} ms",
        milliseconds(&mut wall, 50),
        milliseconds(&mut wall, 90),
        milliseconds(&mut cpu, 50),
        milliseconds(&mut cpu, 90),
    );
}

/// Connects many pairs, keeps them, and counts what they hold.
async fn measure_heap<P>(name: &str, connect: impl AsyncFn() -> P) -> f64 {
    let before = heap_bytes();
    let mut pairs = Vec::with_capacity(PAIRS);
    for _ in 0..PAIRS {
        pairs.push(connect().await);
    }
    tokio::time::sleep(SETTLE).await;
    let held = heap_bytes().saturating_sub(before);
    let peers = 2 * pairs.len();
    drop(pairs);
    tokio::time::sleep(SETTLE).await;
    let left = heap_bytes().saturating_sub(before);
    let per_peer = kibibytes(held, peers);
    println!(
        "{name:<34}{per_peer:>7.1} KiB a peer, {:.1} KiB a peer left after dropping them",
        kibibytes(left, peers),
    );
    per_peer
}

/// Two of our peers, each with a test's owner.
async fn our_pair(offerer: PeerConnectionBuilder, answerer: PeerConnectionBuilder) -> (Ours, Ours) {
    let mut offerer = Ours::spawn(offerer).await;
    let mut answerer = Ours::spawn(answerer).await;
    connect_ours(&mut offerer, &mut answerer, None).await;
    (offerer, answerer)
}

async fn str0m_pair() -> (Str0mPeer, Str0mPeer) {
    let options = Str0mOptions {
        report_rtcp: false,
        ..Str0mOptions::default()
    };
    let mut offerer = Str0mPeer::spawn(options.clone()).await.unwrap();
    let mut answerer = Str0mPeer::spawn(options).await.unwrap();
    let media = [MediaKind::Audio, MediaKind::Video]
        .map(|kind| OfferedMedia::new(kind, Direction::SendRecv));
    let (offer, _) = offerer.create_offer(media.to_vec()).await;
    let answer = answerer.accept_offer(&offer).await.unwrap();
    offerer.accept_answer(&answer).await.unwrap();
    offerer.expect_connected().await;
    answerer.expect_connected().await;
    (offerer, answerer)
}

fn heap_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    // Growth and shrinkage by reallocation are already in the two sums.
    stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated)
}

#[allow(clippy::cast_precision_loss)]
fn kibibytes(bytes: usize, peers: usize) -> f64 {
    bytes as f64 / peers as f64 / 1_024.0
}

fn milliseconds(samples: &mut [Duration], percent: usize) -> f64 {
    samples.sort_unstable();
    samples[(samples.len() - 1) * percent / 100].as_secs_f64() * 1_000.0
}

const OWN: &str = "own endpoints";
const SHARED: &str = "one side on a shared endpoint";
const CERTIFICATE: &str = "the same, certificate shared too";

const WARM_UP: usize = 5;
const RUNS: usize = 60;
const PAIRS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);
const SETTLE: Duration = Duration::from_secs(2);
