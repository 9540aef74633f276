//! Floods of offers, sessions and clients leave nothing behind. One test, for the counts are of the process.
#![allow(clippy::unwrap_used)]

#[path = "whip_whep/client.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod client;
mod common;

use std::alloc::System;
use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use ractor_webrtc::PeerConnection;
use ractor_webrtc::signaling::broadcaster::BroadcasterLimits;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Handle;

use self::client::{Request, Server, post};
use self::common::{PATIENCE, eventually};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[tokio::test]
async fn thousands_of_sessions_hold_what_the_limits_allow_and_leave_nothing() {
    let limits = BroadcasterLimits::default()
        .publishers(10)
        .viewers(10)
        .connect(Duration::from_millis(300));
    let server = Server::start_with(limits, |it| it).await;
    flood(&server, 20).await;
    let before = Counts::of(&server).await;
    flood(&server, 150).await;
    let after = Counts::of(&server).await;
    assert_eq!((after.tasks, after.files), (before.tasks, before.files));
    let grown = after.bytes.saturating_sub(before.bytes);
    println!("{grown} bytes more");
    assert!(grown < BOUND, "{grown} bytes more");
}

/// In each round: offers of clients that never come, on streams of their own, most of them refused; sessions that are ended at
/// once; and two clients that connect and vanish.
async fn flood(server: &Server, rounds: usize) {
    for round in 0..rounds {
        let asked = (0..25).map(|index| async move {
            let path = format!("/whip/{round}-{index}");
            let opened = server.ask(&post(&path, CHROMIUM)).await;
            match opened.status {
                201 if index % 2 == 0 => {
                    let delete = Request::new("DELETE", opened.field("location"));
                    assert_eq!(server.ask(&delete).await.status, 200);
                }
                201 | 503 => {}
                other => panic!("{other}"),
            }
        });
        join_all(asked).await;
        let streams = server.snapshot().await.streams;
        let sessions = streams.iter().map(|stream| stream.publishers);
        assert!(sessions.sum::<usize>() <= 10);
        let peers = PeerConnection::all_running().len();
        // Those of the clients, and what is just ending.
        assert!(peers <= 40, "{peers} connections");
        if round % 10 == 0 {
            let viewers = join_all([server.connected("/whep"), server.connected("/whep/x")]);
            drop(viewers.await);
        }
    }
}

/// What a process can run out of.
struct Counts {
    tasks: usize,
    files: usize,
    bytes: usize,
}

impl Counts {
    /// Once all is quiet.
    async fn of(server: &Server) -> Self {
        server.is_empty().await;
        eventually(PATIENCE, "no connections", async || {
            PeerConnection::all_running().is_empty().then_some(())
        })
        .await;
        let mut last = None;
        // What ends last has no event: two looks at the same count will do.
        let settled = eventually(PATIENCE, "quiet", async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = (
                Handle::current().metrics().num_alive_tasks(),
                fs::read_dir("/proc/self/fd").unwrap().count(),
            );
            (last.replace(now) == Some(now)).then_some(now)
        })
        .await;
        let stats = ALLOCATOR.stats();
        Self {
            tasks: settled.0,
            files: settled.1,
            bytes: stats
                .bytes_allocated
                .saturating_sub(stats.bytes_deallocated),
        }
    }
}

const CHROMIUM: &str = include_str!("data/sdp/chromium-sendonly-av.sdp");

/// 3750 offers and 30 connections: less than 140 bytes for each.
const BOUND: usize = 512 * 1024;
