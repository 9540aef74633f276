//! What fails, and who notices.

use std::time::Duration;

use ractor::ActorCell;
use ractor_webrtc::faults::{Fault, running_below};
use ractor_webrtc::peer_connection::{DtlsTransportState, Event};
use ractor_webrtc::signaling::broadcaster::BroadcasterEvent;
use tokio::time::Instant;

use crate::client::{Client, Request, Server, post};
use crate::common::owner::{Ours, loopback};
use crate::common::{PATIENCE, eventually};
use crate::streams::{Voice, on_air};

/// The children of the one stream, oldest first: its Forwarder, then its sessions.
fn parts(server: &Server) -> Vec<ActorCell> {
    let mut parts = server.streams().remove(0).get_children();
    parts.sort_by_key(ActorCell::get_id);
    parts
}

#[tokio::test]
async fn a_session_that_fails_is_one_session() {
    let mut server = Server::start().await;
    let publisher = server.connected("/whip").await;
    on_air(&mut server).await;
    let lost = server.connected("/whep").await;
    let mut other = server.connected("/whep").await;
    parts(&server)[2].kill();
    let left = |event| matches!(event, BroadcasterEvent::ViewerLeft { .. }).then_some(());
    server.expect(left).await;
    let gone = server.ask(&Request::new("GET", &lost.location)).await;
    assert_eq!(gone.status, 404);
    Voice::of(&publisher, 1).reaches(&mut other).await;
}

#[tokio::test]
async fn a_forwarder_that_fails_is_succeeded_and_nobody_notices() {
    let mut server = Server::start().await;
    let mut viewer = server.connected("/whep").await;
    let first = server.connected("/whip").await;
    on_air(&mut server).await;
    Voice::of(&first, 1).reaches(&mut viewer).await;
    let mut forwarder = parts(&server).remove(0);
    let mut all = Vec::new();
    for _ in 0..3 {
        let others = parts(&server);
        forwarder.kill();
        forwarder = eventually(PATIENCE, "a successor", async || {
            let is_new = |part: &ActorCell| others.iter().all(|one| one.get_id() != part.get_id());
            parts(&server).into_iter().find(is_new)
        })
        .await;
        Voice::of(&first, 1).reaches(&mut viewer).await;
        // Who comes, and who takes over, after that.
        let mut late = server.connected("/whep").await;
        Voice::of(&first, 1).reaches(&mut late).await;
        all.push(late);
    }
    let second = server.connected("/whip").await;
    on_air(&mut server).await;
    Voice::of(&second, 2).reaches(&mut viewer).await;
}

#[tokio::test]
async fn a_stream_that_fails_is_one_stream_and_begins_anew_with_who_comes_next() {
    let mut server = Server::start().await;
    let lost = server.connected("/whip/one").await;
    let stream = server.streams().remove(0);
    let other = server.connected("/whip/other").await;
    let mut viewer = server.connected("/whep/other").await;
    stream.kill();
    let failed = |event| {
        if let BroadcasterEvent::StreamFailed { stream, .. } = event {
            Some(stream)
        } else {
            None
        }
    };
    let failed = server.expect(failed).await;
    assert_eq!(failed.as_str(), "one");
    let gone = server.ask(&Request::new("DELETE", &lost.location)).await;
    assert_eq!(gone.status, 404);
    Voice::of(&other, 1).reaches(&mut viewer).await;
    let mut viewer = server.connected("/whep/one").await;
    let next = server.connected("/whip/one").await;
    Voice::of(&next, 2).reaches(&mut viewer).await;
}

#[tokio::test]
async fn a_broadcaster_that_fails_takes_its_sessions_along_and_every_client_sees_it() {
    for fault in [Fault::panic(), Fault::kill()] {
        let server = Server::start().await;
        let mut clients = [
            server.connected("/whip").await,
            server.connected("/whep").await,
        ];
        let broadcaster = server.actor();
        let injected = fault.in_actor(&broadcaster).inject();
        assert!(server.broadcaster.snapshot().await.is_err());
        injected.struck().await;
        for client in &mut clients {
            expect_goodbye(client).await;
        }
        eventually(PATIENCE, "nothing is left", async || {
            running_below(&broadcaster).is_empty().then_some(())
        })
        .await;
        let reply = server.ask(&post("/whip", &clients[0].offer)).await;
        assert_eq!(reply.status, 503);
    }
}

#[tokio::test]
async fn who_is_there_when_the_broadcaster_is_shut_down_is_told() {
    let server = Server::start().await;
    let mut clients = [
        server.connected("/whip").await,
        server.connected("/whep").await,
        server.connected("/whep/other").await,
    ];
    let begun = Instant::now();
    server.broadcaster.shut_down().await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    for client in &mut clients {
        expect_goodbye(client).await;
    }
    // Others are put off, and nothing is there any more.
    let mut peer = Ours::spawn(loopback()).await;
    let offer = peer.offer().await;
    let reply = server.ask(&post("/whip", &offer)).await;
    assert_eq!(reply.status, 503);
    assert!(reply.field("retry-after").parse::<u32>().unwrap() > 0);
    let gone = server
        .ask(&Request::new("DELETE", &clients[0].location))
        .await;
    assert_eq!(gone.status, 404);
    server.broadcaster.shut_down().await;
}

async fn expect_goodbye(client: &mut Client) {
    let closed = |event: &Event| {
        let closed = DtlsTransportState::Closed;
        matches!(event, Event::DtlsTransportStateChange(state) if *state == closed).then_some(())
    };
    client.peer.expect("the server's goodbye", closed).await;
}
