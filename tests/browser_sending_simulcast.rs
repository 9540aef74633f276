//! The encodings of a page on their way through two servers to another page, and in a negotiation that we begin.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use ractor_webrtc::jsep::{
    RtpEncodingParameters, RtpTransceiverDirection, RtpTransceiverInit, SessionDescription,
};
use ractor_webrtc::peer_connection::{Event, RouteSource};
use ractor_webrtc::rtp::Rid;
use ractor_webrtc::track::{MediaKind, MediaStreamTrack};
use serde_json::json;

use self::browser::{Browser, Page, serve};
use self::common::eventually;
use self::common::owner::{Ours, loopback};
use self::common::session::connect_ours;

/// A page whose camera arrives at a server in three encodings.
struct Publisher {
    page: Page,
    server: Ours,
    camera: MediaStreamTrack,
}

impl Publisher {
    async fn begin(browser: &Browser) -> Self {
        let page = browser.open(&serve(PAGE).await).await;
        let mut server = Ours::spawn(loopback()).await;
        let offer: String = page.eval("publish()").await;
        let answer = server.answer(&offer).await;
        let () = page.eval(&format!("answered({})", json!(answer))).await;
        server.expect_connected().await;
        let camera = server.remote_track(MediaKind::Video).clone();
        assert_eq!(camera.rids(), RIDS.map(Rid::from));
        Self {
            page,
            server,
            camera,
        }
    }

    /// Waits until each encoding has sent so many frames more.
    async fn sends_all(&self, more: u64) {
        let sent = async || -> BTreeMap<String, u64> { self.page.eval("framesSent()").await };
        let before = sent().await;
        eventually(PATIENCE, "frames of all three encodings", async || {
            let now = sent().await;
            let enough = |rid: &&str| {
                let before = before.get(*rid).copied().unwrap_or_default();
                now.get(*rid).is_some_and(|now| *now >= before + more)
            };
            RIDS.iter().all(enough).then_some(())
        })
        .await;
    }
}

/// An offer of ours did not ask for the encodings again. Chromium sent only the first from then on.
#[tokio::test(flavor = "multi_thread")]
async fn c032_an_offer_of_ours_leaves_a_page_its_encodings() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let mut publisher = Publisher::begin(&browser).await;
    publisher.sends_all(5).await;
    let server = &publisher.server.peer;
    let sound = RtpTransceiverInit::from(RtpTransceiverDirection::SendOnly);
    server
        .add_transceiver(MediaKind::Audio, sound)
        .await
        .unwrap();
    server.set_local_description(None).await.unwrap();
    let offer = server.local_description().await.unwrap().unwrap().sdp;
    let answer: String = publisher
        .page
        .eval(&format!("answer({})", json!(offer)))
        .await;
    assert!(answer.contains("a=simulcast:send q;h;f"), "{answer}");
    let answer = SessionDescription::answer(answer);
    server.set_remote_description(answer).await.unwrap();

    publisher.sends_all(10).await;
    let mut left: Vec<Rid> = RIDS.map(Rid::from).to_vec();
    while publisher.server.try_event().is_some() {}
    while !left.is_empty() {
        let arrived = publisher.server.expect("an encoding", |event| match event {
            Event::Rtp { rid, .. } => rid.clone(),
            _ => None,
        });
        let arrived = arrived.await;
        left.retain(|rid| *rid != arrived);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_encodings_of_a_page_go_from_server_to_server_and_a_page_sees_each() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let publisher = Publisher::begin(&browser).await;
    let (camera, page) = (&publisher.camera, &publisher.page);

    let (mut onward, mut second) = (Ours::spawn(loopback()).await, Ours::spawn(loopback()).await);
    let sent = MediaStreamTrack::new(MediaKind::Video, []);
    let init = RtpTransceiverInit {
        direction: RtpTransceiverDirection::SendOnly,
        send_encodings: RIDS.map(RtpEncodingParameters::with_rid).to_vec(),
        ..RtpTransceiverInit::default()
    };
    onward.peer.add_transceiver(&sent, init).await.unwrap();
    connect_ours(&mut onward, &mut second, None).await;
    for rid in camera.rids() {
        let source = RouteSource::new(&publisher.server.peer, camera.id()).rid(rid.clone());
        let set = onward.peer.set_route_encoding(sent.id(), rid, source);
        set.await.unwrap();
    }

    let mut viewer = Ours::spawn(loopback()).await;
    let offer = viewer.offer().await;
    let answer: String = page.eval(&format!("watch({})", json!(offer))).await;
    viewer.accept_answer(&answer).await;
    viewer.expect_connected().await;
    let mut tracks = second.remote.iter();
    let arrives = tracks.find(|track| track.rids() == camera.rids()).unwrap();
    for (rid, height) in [("q", 180), ("h", 360), ("f", 720), ("q", 180)] {
        let source = RouteSource::new(&second.peer, arrives.id()).rid(rid.into());
        let set = viewer.peer.set_route(viewer.video.id(), source);
        set.await.unwrap();
        let shown = format!("frameHeight().then(now => now === {height})");
        page.wait_until(&shown, PATIENCE).await;
    }
}

const RIDS: [&str; 3] = ["q", "h", "f"];

/// The highest encoding begins when the page has found out what its path takes.
const PATIENCE: Duration = Duration::from_secs(60);

const PAGE: &str = r"<!doctype html>
<video id='video' autoplay muted playsinline></video>
<script>
let sender, receiver;

async function described(pc) {
  await pc.setLocalDescription();
  while (pc.iceGatheringState !== 'complete') await new Promise(done => setTimeout(done, 10));
  return pc.localDescription.sdp;
}

async function publish() {
  const video = { width: 1280, height: 720, frameRate: 15 };
  const camera = await navigator.mediaDevices.getUserMedia({ video });
  sender = new RTCPeerConnection();
  sender.addTransceiver(camera.getVideoTracks()[0], {
    direction: 'sendonly',
    sendEncodings: [
      { rid: 'q', scaleResolutionDownBy: 4 },
      { rid: 'h', scaleResolutionDownBy: 2 },
      { rid: 'f' },
    ],
  });
  return described(sender);
}

async function answered(sdp) {
  await sender.setRemoteDescription({ type: 'answer', sdp });
}

async function answer(sdp) {
  await sender.setRemoteDescription({ type: 'offer', sdp });
  return described(sender);
}

async function framesSent() {
  const frames = {};
  for (const stats of (await sender.getStats()).values()) {
    if (stats.type === 'outbound-rtp' && stats.rid) frames[stats.rid] = stats.framesSent ?? 0;
  }
  return frames;
}

async function watch(sdp) {
  receiver = new RTCPeerConnection();
  receiver.ontrack = ({ track }) => {
    if (track.kind === 'video') document.getElementById('video').srcObject = new MediaStream([track]);
  };
  await receiver.setRemoteDescription({ type: 'offer', sdp });
  return described(receiver);
}

async function frameHeight() {
  for (const stats of (await receiver.getStats()).values()) {
    if (stats.type === 'inbound-rtp' && stats.kind === 'video') return stats.frameHeight ?? 0;
  }
  return 0;
}
</script>";
