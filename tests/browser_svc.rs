//! Layers inside one stream as Chromium sends and sees them: a page sends several, another one gets some of them, other ones each
//! time that the limit changes, and never a picture that it cannot decode.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
mod common;

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::configuration::{MediaConfiguration, MediaFeature};
use ractor_webrtc::forwarder::{Forwarder, ForwarderEvent, LayerWish, OnRequest};
use ractor_webrtc::peer_connection::{Event, PeerEvent, RouteSource};
use ractor_webrtc::rtp::LayerLimit;
use ractor_webrtc::{MediaKind, PeerConnectionBuilder};
use serde::Deserialize;
use serde_json::json;

use self::browser::{Browser, Page, serve};
use self::common::owner::{Ours, loopback, shared_endpoint};

/// As much as two cores encode and decode beside each other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Spatial layers that refer to each other in key pictures only: up it goes at a keyframe that the route asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_the_limit_through_the_layers_of_vp9() {
    let limits = [
        ("L3T3", 960, 1.0),
        ("L1T3", 240, 1.0),
        ("L2T3", 480, 1.0),
        ("L3T1", 960, 0.25),
        ("L1T1", 240, 0.25),
        ("L2T2", 480, 0.5),
        ("L1T2", 240, 0.5),
        ("L3T3", 960, 1.0),
        ("L2T3", 480, 1.0),
        ("L1T1", 240, 0.25),
        ("L3T3", 960, 1.0),
    ];
    follows("VP9", "L3T3_KEY", &limits).await;
}

/// Spatial layers that build on each other in every picture.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_the_limit_through_layers_of_vp9_that_build_on_each_other() {
    let limits = [
        ("L2T3", 640, 1.0),
        ("L1T3", 320, 1.0),
        ("L2T3", 640, 1.0),
        ("L1T1", 320, 0.25),
    ];
    follows("VP9", "L2T3", &limits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_the_limit_through_the_layers_of_av1() {
    let limits = [
        ("L1T3", 640, 1.0),
        ("L1T1", 640, 0.25),
        ("L1T3", 640, 1.0),
        ("L1T2", 640, 0.5),
        ("L1T3", 640, 1.0),
        ("L1T1", 640, 0.25),
        ("L1T2", 640, 0.5),
        ("L1T1", 640, 0.25),
        ("L1T3", 640, 1.0),
        ("L1T2", 640, 0.5),
        ("L1T3", 640, 1.0),
    ];
    follows("AV1", "L1T3", &limits).await;
}

/// Without the dependency descriptor, which it does not ask for, Chromium decodes no more than one spatial layer of AV1.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_sent_the_lowest_spatial_layer_of_av1() {
    let limits = [("L1T3", 320, 1.0), ("L1T1", 320, 0.25), ("L1T2", 320, 0.5)];
    follows("AV1", "L2T3_KEY", &limits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_the_limit_through_the_layers_of_vp8() {
    let limits = [
        ("L1T1", 640, 0.25),
        ("L1T2", 640, 0.5),
        ("L1T3", 640, 1.0),
        ("L1T1", 640, 0.25),
    ];
    follows("VP8", "L1T3", &limits).await;
}

/// A Forwarder chooses: what the path takes, of what is wished for. The estimate is made up, so that the machine's own does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_the_layers_of_vp9_that_its_path_and_its_wish_allow() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let url = serve(PAGE).await;
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || loopback().endpoint(endpoint.clone());
    let camera = "send('VP9', 'L3T3_KEY', 960, 540)";
    let sender = Caller::call(&browser, &url, builder(), camera).await;
    let viewer = Caller::call(&browser, &url, builder(), "receive('VP9')").await;
    let (owner, _) = Actor::spawn(None, Deaf, ()).await.unwrap();
    let forwarder = Forwarder::builder().policy(OnRequest);
    let forwarder = forwarder.spawn_linked(&owner).await.unwrap();
    for ours in [&sender.ours, &viewer.ours] {
        forwarder.add_peer(&ours.peer).await.unwrap();
    }
    let (slot, peer) = (
        viewer.ours.local_track(MediaKind::Video),
        viewer.ours.peer.clone(),
    );
    let camera = sender.ours.remote_track(MediaKind::Video).id();
    forwarder.add_slot(peer.id(), slot.clone()).await.unwrap();
    forwarder.switch(slot.id(), camera).await.unwrap();
    let mut publisher = sender.ours;
    let hub = forwarder.clone();
    tokio::spawn(async move {
        while let Some(event) = publisher.event().await {
            hub.handle_event(&PeerEvent::new(publisher.peer.id(), event));
        }
    });
    let available = |bits_per_second| {
        let event = Event::AvailableOutgoingBitrate { bits_per_second };
        forwarder.handle_event(&PeerEvent::new(peer.id(), event));
    };

    sender
        .page
        .wait_until("sending('L3T3_KEY', 960)", PATIENCE)
        .await;
    shows(&viewer.page, 960).await;
    viewer.page.wait_until("settle()", PATIENCE).await;
    // No camera of a browser sends so little, and none so much.
    available(30_000);
    shows(&viewer.page, 240).await;
    available(20_000_000);
    shows(&viewer.page, 960).await;
    for (wish, width) in [(1, 240), (2, 480), (1, 240), (3, 960)] {
        let wish = LayerWish::UpToLayers(LayerLimit::NONE.with_spatial(wish));
        forwarder.set_layers(slot.id(), wish);
        shows(&viewer.page, width).await;
    }
    // By hand nothing is taken back by the Forwarder, and nothing of the Forwarder's by hand.
    peer.set_layer_limit(slot.id(), LayerLimit::at_most(2, 3))
        .unwrap();
    shows(&viewer.page, 480).await;
    forwarder.set_layers(slot.id(), LayerWish::UpToBitrate(1));
    shows(&viewer.page, 240).await;
    peer.set_layer_limit(slot.id(), LayerLimit::NONE).unwrap();
    forwarder.set_layers(slot.id(), LayerWish::Automatic);
    shows(&viewer.page, 960).await;

    let snapshot = forwarder.snapshot().await.unwrap();
    eprintln!("{:?}", snapshot.publications[0].layers);
    plays_on(&viewer.page).await;
    let stats = peer.media_stats().await.unwrap();
    assert!(stats.above_layer_limit > 0, "{stats:?}");
}

/// Owns a Forwarder, and has no use for what it tells.
struct Deaf;

struct Told;

impl From<ForwarderEvent> for Told {
    fn from(_: ForwarderEvent) -> Self {
        Self
    }
}

impl Actor for Deaf {
    type Msg = Told;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Told>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// One page sends in this mode; another one gets, one after the other, what is within these limits: pictures of this width, and
/// this share of those that there are.
async fn follows(codec: &str, mode: &str, limits: &[(&str, u32, f64)]) {
    let _turn = TURN.lock().await;
    // Chromium makes no spatial layer smaller than a certain size.
    let [width, height] = if mode.starts_with("L3") {
        [960, 540]
    } else {
        [640, 480]
    };
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let url = serve(PAGE).await;
    let (_supervisor, endpoint) = shared_endpoint().await;
    let media = MediaConfiguration::builder()
        // VP8 and VP9 say their layers in the payload.
        .feature(MediaFeature::DependencyDescriptor, codec == "AV1")
        .build()
        .unwrap();
    let builder = || loopback().endpoint(endpoint.clone()).media(media.clone());
    let sender = Caller::call(
        &browser,
        &url,
        builder(),
        &format!("send('{codec}', '{mode}', {width}, {height})"),
    )
    .await;
    let viewer = Caller::call(&browser, &url, builder(), &format!("receive('{codec}')")).await;
    let (peer, track) = (
        &viewer.ours.peer,
        viewer.ours.local_track(MediaKind::Video).id(),
    );
    let set = |limit: &str| peer.set_layer_limit(track, limit.parse().unwrap());
    set(limits[0].0).unwrap();
    let camera = sender.ours.remote_track(MediaKind::Video).id();
    peer.set_route(track, RouteSource::new(&sender.ours.peer, camera))
        .await
        .unwrap();

    // Until all layers are there.
    let complete = format!("sending('{mode}', {width})");
    sender.page.wait_until(&complete, PATIENCE).await;
    shows(&viewer.page, limits[0].1).await;
    viewer.page.wait_until("settle()", PATIENCE).await;
    for (limit, width, share) in limits {
        set(limit).unwrap();
        shows(&viewer.page, *width).await;
        let [sent, seen] = [&sender.page, &viewer.page].map(rate);
        let (sent, seen) = tokio::join!(sent, seen);
        let found = seen / sent;
        eprintln!(
            "{codec} {mode} within {limit}: {width} wide, {found:.2} of {sent:.1} frames a second"
        );
        assert!(
            (found - share).abs() < 0.17,
            "{limit}: {found:.2} of the frames"
        );
    }
    plays_on(&viewer.page).await;
    let stats = peer.media_stats().await.unwrap();
    assert!(stats.above_layer_limit > 0, "{stats:?}");
    assert_eq!(
        stats.retransmission_unknown + stats.protect_failed,
        0,
        "{stats:?}"
    );
}

/// A page, and our peer for it.
struct Caller {
    page: Page,
    ours: Ours,
}

impl Caller {
    async fn call(
        browser: &Browser,
        url: &str,
        builder: PeerConnectionBuilder,
        offer: &str,
    ) -> Self {
        let page = browser.open(url).await;
        let offer: String = page.eval(offer).await;
        let mut ours = Ours::spawn(builder).await;
        let answer = ours.answer(&offer).await;
        let () = page.eval(&format!("accept({})", json!(answer))).await;
        ours.expect_connected().await;
        Self { page, ours }
    }
}

/// Waits until the picture is so wide.
async fn shows(page: &Page, width: u32) {
    let changed = format!("figures().then(now => now.width === {width})");
    page.wait_until(&changed, PATIENCE).await;
}

/// Since it has settled, the page has seen no freeze, no loss and nothing that it could not decode.
async fn plays_on(page: &Page) {
    let figures: Figures = page.eval("figures()").await;
    eprintln!("{figures:?}");
    assert!(figures.longest_freeze < 500.0, "{figures:?}");
    assert_eq!(
        figures.packets_lost, 0,
        "nothing that is left out seems lost: {figures:?}"
    );
    assert_eq!(
        figures.pictures_lost, 0,
        "no request for a keyframe: {figures:?}"
    );
}

/// Frames a second, over a while.
async fn rate(page: &Page) -> f64 {
    page.eval("rate(2000)").await
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    packets_lost: i64,
    /// How often the page has asked for a keyframe.
    pictures_lost: u64,
    /// Milliseconds between two decoded frames at most, since it was asked to settle.
    longest_freeze: f64,
}

const PATIENCE: Duration = Duration::from_secs(20);

const PAGE: &str = "<!doctype html><title>Layers</title><video id=remote autoplay muted></video><script>
    const pc = new RTCPeerConnection();
    pc.ontrack = ({ streams }) => document.getElementById('remote').srcObject = streams[0];
    async function send(codec, scalabilityMode, width, height) {
        const video = { width, height, frameRate: 20 };
        const stream = await navigator.mediaDevices.getUserMedia({ video });
        const sendEncodings = [{ scalabilityMode, maxBitrate: 2500000 }];
        const [track] = stream.getVideoTracks();
        track.contentHint = 'motion';
        return offer(codec, pc.addTransceiver(track, { streams: [stream], sendEncodings }));
    }
    async function receive(codec) {
        return offer(codec, pc.addTransceiver('video', { direction: 'recvonly' }));
    }
    async function offer(codec, transceiver) {
        const { codecs } = RTCRtpReceiver.getCapabilities('video');
        const wanted = ['video/' + codec, 'video/rtx'];
        transceiver.setCodecPreferences(codecs.filter(it => wanted.includes(it.mimeType)));
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
    let lossesBefore = 0;
    async function watch() {
        for (let frames = 0, since = 0; ; await new Promise(next => setTimeout(next, 30))) {
            const { framesDecoded } = await stats('inbound-rtp');
            if (frames) longestFreeze = Math.max(longestFreeze, performance.now() - since);
            if (framesDecoded !== frames) [frames, since] = [framesDecoded, performance.now()];
        }
    }
    async function stats(type) {
        return [...(await pc.getStats()).values()].find(one => one.type === type) ?? {};
    }
    async function figures() {
        const { frameWidth, packetsLost, pliCount, firCount } = await stats('inbound-rtp');
        const picturesLost = (pliCount ?? 0) + (firCount ?? 0) - lossesBefore;
        return { width: frameWidth, packetsLost, picturesLost, longestFreeze };
    }
    async function sending(mode, width) {
        const { scalabilityMode, frameWidth } = await stats('outbound-rtp');
        return scalabilityMode === mode && frameWidth === width;
    }
    // What happens until all layers are there is not judged.
    async function settle() {
        longestFreeze = 0;
        lossesBefore = 0;
        lossesBefore = (await figures()).picturesLost;
        return true;
    }
    async function frames() {
        // What is encoded counts each spatial layer.
        const [taken, seen] = [await stats('media-source'), await stats('inbound-rtp')];
        return taken.frames ?? seen.framesDecoded ?? 0;
    }
    async function rate(millis) {
        const [before, since] = [await frames(), performance.now()];
        await new Promise(next => setTimeout(next, millis));
        return (await frames() - before) * 1000 / (performance.now() - since);
    }
</script>";
