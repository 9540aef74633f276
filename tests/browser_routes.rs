//! Routes as Chromium sees them: its own picture, and another page's, past all owners, whom no request for a
//! keyframe needs either.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
mod common;

use std::time::Duration;

use ractor_webrtc::peer_connection::RouteSource;
use ractor_webrtc::{MediaKind, PeerConnectionBuilder};
use serde::Deserialize;
use serde_json::json;

use self::browser::{Browser, Page, serve};
use self::common::owner::{Ours, loopback, shared_endpoint};

/// As much as two cores encode and decode beside each other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_page_sees_and_hears_itself_by_route() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let caller = Caller::call(&browser, &serve(PAGE).await, loopback(), SMALL).await;
    let peer = &caller.ours.peer;
    for kind in KINDS {
        let track = caller.ours.local_track(kind).id();
        let set = peer.set_route(track, caller.source(kind));
        set.await.unwrap();
    }
    let figures = decodes(&caller.page, 60, SMALL).await;
    assert!(figures.sound > 50, "{figures:?}");
    assert_eq!(figures.packets_lost, 0, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_sees_another_and_a_change_of_the_source_does_not_freeze_it() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let url = serve(PAGE).await;
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || loopback().endpoint(endpoint.clone());
    let one = Caller::call(&browser, &url, builder(), SMALL).await;
    let other = Caller::call(&browser, &url, builder(), LARGE).await;
    let viewer = Caller::call(&browser, &url, builder(), NOTHING).await;

    let peer = viewer.ours.peer.clone();
    let tracks = KINDS.map(|kind| (kind, viewer.ours.local_track(kind).id()));
    let page = viewer.page;
    for (source, size) in [(&one, SMALL), (&other, LARGE), (&one, SMALL)] {
        for (kind, track) in tracks {
            peer.set_route(track, source.source(kind)).await.unwrap();
        }
        decodes(&page, 40, size).await;
    }
    let figures: Figures = page.eval("figures()").await;
    assert!(figures.longest_freeze < 1_000.0, "{figures:?}");
    assert!(figures.sound > 50, "{figures:?}");
    // Nothing looks as if it had been lost, and nothing is refused.
    assert_eq!(figures.packets_lost, 0, "{figures:?}");
    let stats = peer.media_stats().await.unwrap();
    assert_eq!(stats.protect_failed + stats.not_negotiated, 0, "{stats:?}");
}

/// A page, and our peer for it.
struct Caller {
    page: Page,
    ours: Ours,
}

impl Caller {
    /// Connects a page that sends pictures of this size.
    async fn call(
        browser: &Browser,
        url: &str,
        builder: PeerConnectionBuilder,
        [width, _]: [u32; 2],
    ) -> Self {
        let page = browser.open(url).await;
        let offer: String = page.eval(&format!("offer({width})")).await;
        let mut ours = Ours::spawn(builder).await;
        let answer = ours.answer(&offer).await;
        let () = page.eval(&format!("accept({})", json!(answer))).await;
        ours.expect_connected().await;
        Self { page, ours }
    }

    fn source(&self, kind: MediaKind) -> RouteSource {
        RouteSource::new(&self.ours.peer, self.ours.remote_track(kind).id())
    }
}

/// Waits until the picture has this size, and then for so many frames more.
async fn decodes(page: &Page, frames: u64, [width, height]: [u32; 2]) -> Figures {
    let changed = format!("figures().then(now => String(now.size) === '{width},{height}')");
    page.wait_until(&changed, Duration::from_secs(10)).await;
    let begun: Figures = page.eval("figures()").await;
    let enough = begun.frames + frames;
    let decoded = format!("figures().then(now => now.frames >= {enough})");
    page.wait_until(&decoded, Duration::from_secs(10)).await;
    page.eval("figures()").await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    frames: u64,
    sound: u64,
    packets_lost: i64,
    /// Milliseconds between two decoded frames at most.
    longest_freeze: f64,
}

const PAGE: &str = "<!doctype html><title>Routes</title><video id=remote autoplay></video><script>
    const pc = new RTCPeerConnection();
    const remote = new MediaStream();
    pc.ontrack = ({ track }) => {
        remote.addTrack(track);
        document.getElementById('remote').srcObject = remote;
    };
    async function offer(width) {
        if (width) {
            const video = { width: 640, height: 480 };
            const stream = await navigator.mediaDevices.getUserMedia({ video, audio: true });
            pc.addTrack(stream.getAudioTracks()[0], stream);
            // All pages share one camera.
            const sendEncodings = [{ scaleResolutionDownBy: 640 / width }];
            pc.addTransceiver(stream.getVideoTracks()[0], { streams: [stream], sendEncodings });
        } else {
            for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
        }
        await pc.setLocalDescription();
        while (pc.iceGatheringState !== 'complete') {
            await new Promise(next => pc.addEventListener('icegatheringstatechange', next, { once: true }));
        }
        return pc.localDescription.sdp;
    }
    async function accept(sdp) {
        await pc.setRemoteDescription({ type: 'answer', sdp });
        watch();
    }
    let longestFreeze = 0;
    async function watch() {
        for (let frames = 0, since = 0; ; await new Promise(next => setTimeout(next, 30))) {
            const now = await figures();
            if (frames) longestFreeze = Math.max(longestFreeze, performance.now() - since);
            if (now.frames !== frames) [frames, since] = [now.frames, performance.now()];
        }
    }
    async function figures() {
        const all = [...(await pc.getStats()).values()];
        const inbound = kind => all.find(one => one.type === 'inbound-rtp' && one.kind === kind) ?? {};
        const [audio, video] = [inbound('audio'), inbound('video')];
        return {
            frames: video.framesDecoded ?? 0,
            sound: audio.packetsReceived ?? 0,
            packetsLost: (audio.packetsLost ?? 0) + (video.packetsLost ?? 0),
            size: [video.frameWidth, video.frameHeight],
            longestFreeze,
        };
    }
</script>";

const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

const SMALL: [u32; 2] = [320, 240];
const LARGE: [u32; 2] = [640, 480];
/// Without a camera.
const NOTHING: [u32; 2] = [0, 0];
