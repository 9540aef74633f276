//! What fails, and who notices.

use ractor::ActorCell;
use ractor_webrtc::signaling::broadcaster::BroadcasterEvent;

use crate::client::{Request, Server};
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
async fn without_a_broadcaster_requests_are_put_off() {
    let server = Server::start().await;
    let client = server.connected("/whip").await;
    server.broadcaster.stop();
    let mut peer = Ours::spawn(loopback()).await;
    let offer = peer.offer().await;
    eventually(PATIENCE, "an end", async || {
        let reply = server.ask(&crate::client::post("/whip", &offer)).await;
        (reply.status == 503).then_some(())
    })
    .await;
    let gone = server.ask(&Request::new("DELETE", &client.location)).await;
    assert_eq!(gone.status, 404);
}
