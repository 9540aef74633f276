//! Routes that have ended leave no memory behind. One test, for the count is of the process.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;
#[path = "routes/stage.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod stage;

use std::alloc::System;

use ractor_webrtc::configuration::MediaFeature;
use ractor_webrtc::{MediaConfiguration, MediaKind, PeerConnection, PeerConnectionBuilder};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use self::common::owner::{loopback, shared_endpoint};
use self::common::{PATIENCE, eventually};
use self::stage::{Publisher, Viewer};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KIND: MediaKind = MediaKind::Video;

/// Publishers come and go before viewers that stay, viewers before a publisher that stays, by every kind of
/// end, on one socket and on others.
#[tokio::test]
async fn who_came_by_a_route_and_went_costs_nothing() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || forgetful().endpoint(endpoint.clone());
    let mut stays = Publisher::connect("stays", 7, builder()).await;
    let mut watches = Viewer::connect(builder()).await;
    let mut measured = Vec::new();
    for _ in 0..ROUNDS {
        for number in 0..VISITS {
            let builder = if number % 4 < 2 {
                builder()
            } else {
                forgetful()
            };
            let mut viewer = Viewer::connect(builder.clone()).await;
            viewer.watch(KIND, &stays).await;
            let sent = stays.publish(KIND, 5).await;
            viewer.gets(&sent).await;
            let mut camera = Publisher::connect("goes", 7 + number, builder).await;
            watches.watch(KIND, &camera).await;
            let sent = camera.publish(KIND, 5).await;
            watches.gets(&sent).await;
            for ours in [&viewer.session.ours, &camera.session.ours] {
                if number % 2 == 0 {
                    ours.peer.close().await;
                } else {
                    ours.owner().get_children()[0].kill();
                }
            }
        }
        eventually(PATIENCE, "only those who stay run", async || {
            (PeerConnection::all_running().len() == 2).then_some(())
        })
        .await;
        while stays.session.ours.try_event().is_some() {}
        while watches.session.ours.try_event().is_some() {}
        while watches.session.theirs.try_event().is_some() {}
        while stays.session.theirs.try_event().is_some() {}
        let stats = ALLOCATOR.stats();
        measured.push(
            stats
                .bytes_allocated
                .saturating_sub(stats.bytes_deallocated),
        );
    }
    // The first rounds fill tables and buffers.
    let grown = measured[ROUNDS - 1].saturating_sub(measured[ROUNDS / 2]);
    assert!(grown < BOUND, "{grown} bytes more: {measured:?}");
}

/// Keeps nothing of what it has sent: what may be asked for again stays for a second, as long as this test takes.
fn forgetful() -> PeerConnectionBuilder {
    let media = MediaConfiguration::builder().feature(MediaFeature::Nack, false);
    loopback().media(media.build().unwrap())
}

const ROUNDS: usize = 6;
const VISITS: u16 = 4;
/// The ends of forgotten lanes came to 24 KiB. Buffers of those who stay, at the clients above all, double now and then.
const BOUND: usize = 16 << 10;
