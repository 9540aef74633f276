//! A picture from one Chromium page to another over two links that lose a tenth of it, either way: each hop asks for
//! what is missing and answers who asks.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
mod common;

use std::time::Duration;

use ractor_webrtc::configuration::MediaFeature;
use ractor_webrtc::peer_connection::RouteSource;
use ractor_webrtc::{MediaConfiguration, MediaKind, PeerConnectionBuilder};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::sleep;

use self::browser::{Browser, Page, serve};
use self::common::link::Link;
use self::common::owner::{Ours, loopback};

/// As much as two cores encode and decode beside each other.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn at_10_percent_loss_and_60_ms_a_page_sees_another() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let (sent, seen) = call(&browser, loopback()).await;
    // The page has answered us, and we have answered the page.
    assert!(sent.nacks > 0 && sent.retransmitted > 0, "{sent:?}");
    assert!(seen.nacks > 0 && seen.retransmitted > 0, "{seen:?}");
    // Nearly all of them, on a machine that has the time; without any of it a seventh.
    assert!(seen.frames * 4 >= sent.frames * 3, "{sent:?} {seen:?}");
}

/// What the test above would see without any of it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "for the figures: run it with --ignored --nocapture"]
async fn without_repair() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let media = MediaConfiguration::builder().feature(MediaFeature::Nack, false);
    let (sent, seen) = call(&browser, loopback().media(media.build().unwrap())).await;
    assert_eq!((sent.retransmitted, seen.retransmitted), (0, 0));
}

/// A call of some seconds; what the page that sends has sent, and what the other has seen.
async fn call(browser: &Browser, builder: PeerConnectionBuilder) -> (Figures, Figures) {
    let url = serve(PAGE).await;
    let camera = Caller::call(browser, &url, builder.clone(), "camera", 1).await;
    let viewer = Caller::call(browser, &url, builder, "viewer", 2).await;
    let track = viewer.ours.local_track(MediaKind::Video).id();
    let source = camera.ours.remote_track(MediaKind::Video).id();
    let source = RouteSource::new(&camera.ours.peer, source);
    viewer.ours.peer.set_route(track, source).await.unwrap();
    let begun = "figures('inbound-rtp').then(now => now.frames >= 1)";
    viewer.page.wait_until(begun, Duration::from_secs(30)).await;

    let before = (camera.sent().await, viewer.seen().await);
    sleep(LENGTH).await;
    let (sent, seen) = (camera.sent().await, viewer.seen().await);
    let (sent, seen) = (sent.since(&before.0), seen.since(&before.1));
    println!("sent: {sent:?}\nseen: {seen:?}");
    for ours in [&camera.ours, &viewer.ours] {
        println!("{:?}", ours.peer.media_stats().await.unwrap());
    }
    (sent, seen)
}

/// A page, and our peer for it, far from each other.
struct Caller {
    page: Page,
    ours: Ours,
    _link: Link,
}

impl Caller {
    async fn call(
        browser: &Browser,
        url: &str,
        builder: PeerConnectionBuilder,
        role: &str,
        seed: u64,
    ) -> Self {
        let link = Link::far(seed, LOSS, ROUND_TRIP).await.unwrap();
        let page = browser.open(url).await;
        let offer: String = page.eval(&format!("offer('{role}')")).await;
        let mut ours = Ours::spawn(builder).await;
        let answer = ours.answer(&link.description_of_a(&offer)).await;
        let answer = json!(link.description_of_b(&answer));
        let () = page.eval(&format!("accept({answer})")).await;
        ours.expect_connected().await;
        Self {
            page,
            ours,
            _link: link,
        }
    }

    async fn sent(&self) -> Figures {
        self.page.eval("figures('outbound-rtp')").await
    }

    async fn seen(&self) -> Figures {
        self.page.eval("figures('inbound-rtp')").await
    }
}

/// Of one direction.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    /// Sent, or decoded.
    frames: u64,
    packets: u64,
    /// Requests, and packets that came or went because of them.
    nacks: u64,
    retransmitted: u64,
    keyframe_requests: u64,
    /// Seconds.
    frozen: f64,
}

impl Figures {
    fn since(&self, before: &Self) -> Self {
        Self {
            frames: self.frames - before.frames,
            packets: self.packets - before.packets,
            nacks: self.nacks - before.nacks,
            retransmitted: self.retransmitted - before.retransmitted,
            keyframe_requests: self.keyframe_requests - before.keyframe_requests,
            frozen: self.frozen - before.frozen,
        }
    }
}

const PAGE: &str = "<!doctype html><title>Repair</title><video id=remote autoplay></video><script>
    const pc = new RTCPeerConnection();
    pc.ontrack = ({ track }) => {
        document.getElementById('remote').srcObject = new MediaStream([track]);
    };
    async function offer(role) {
        const video = { width: 1280, height: 720, frameRate: 30 };
        const stream = await navigator.mediaDevices.getUserMedia({ video });
        const sendEncodings = [{ scaleResolutionDownBy: role === 'camera' ? 1 : 4 }];
        pc.addTransceiver(stream.getVideoTracks()[0], { streams: [stream], sendEncodings });
        await pc.setLocalDescription();
        while (pc.iceGatheringState !== 'complete') {
            await new Promise(next => pc.addEventListener('icegatheringstatechange', next, { once: true }));
        }
        return pc.localDescription.sdp;
    }
    async function accept(sdp) {
        await pc.setRemoteDescription({ type: 'answer', sdp });
    }
    async function figures(type) {
        const one = [...(await pc.getStats()).values()].find(one => one.type === type) ?? {};
        return {
            frames: one.framesDecoded ?? one.framesSent ?? 0,
            packets: one.packetsReceived ?? one.packetsSent ?? 0,
            nacks: one.nackCount ?? 0,
            retransmitted: one.retransmittedPacketsReceived ?? one.retransmittedPacketsSent ?? 0,
            keyframeRequests: one.pliCount ?? 0,
            frozen: one.totalFreezesDuration ?? 0,
        };
    }
</script>";

const LOSS: f64 = 0.1;
const ROUND_TRIP: Duration = Duration::from_millis(60);
const LENGTH: Duration = Duration::from_secs(10);
