//! The relay that forwards by hand, as its users meet it: two pages of Chromium see and hear each other.
#![allow(clippy::unwrap_used)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
#[path = "../examples/relay_by_hand/main.rs"]
#[allow(dead_code, reason = "the command line is not part of these tests")]
mod relay;

use std::time::Duration;

use ractor_webrtc::signaling::websocket::WebSocketLimits;
use serde::Deserialize;

use self::browser::{Browser, Page, serve_site};
use self::relay::common::arguments::Arguments;
use self::relay::common::server::router;

#[tokio::test(flavor = "multi_thread")]
async fn two_pages_see_and_hear_each_other_and_again_when_one_reloads() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let lobby = relay::open(Arguments::on_port(0)).await.unwrap();
    let pages = router(relay::PAGE, lobby, WebSocketLimits::default());
    let (url, _task) = serve_site(pages).await;

    let (one, other) = (browser.open(&url).await, browser.open(&url).await);
    start(&one, STANDARD).await;
    start(&other, WIDE).await;
    // Each sees the shape that the other one sends.
    sees(&one, WIDE).await;
    sees(&other, STANDARD).await;

    let before = Figures::of(&one).await;
    other.reload().await;
    start(&other, SQUARE).await;
    sees(&one, SQUARE).await;
    sees(&other, STANDARD).await;
    // To the one who stayed it is the same stream: nothing was negotiated, nothing looks lost or out of order.
    let after = Figures::of(&one).await;
    assert_eq!(after.ssrc, before.ssrc);
    assert!(
        after.packets_lost <= before.packets_lost,
        "{before:?} {after:?}"
    );
    let codec = after.codec.as_deref();
    assert_eq!(codec, Some("video/VP8"));

    // A third one waits until somebody leaves.
    let third = browser.open(&url).await;
    start(&third, WIDE).await;
    let waits = "element('error').textContent.includes('no room')";
    third.wait_until(waits, PATIENCE).await;
    other.close().await;
    sees(&third, STANDARD).await;
    sees(&one, WIDE).await;
}

/// Presses Start. The pages of a browser share one camera, and with it its size, so each draws a picture of its own instead.
async fn start(page: &Page, [width, height]: [u32; 2]) {
    let () = page.eval(TOOLS).await;
    let () = page.eval(&format!("draw({width}, {height})")).await;
    page.click("start").await;
}

/// Decodes pictures of this shape (a busy browser sends them smaller), twenty of them, and sound.
async fn sees(page: &Page, [width, height]: [u32; 2]) {
    let size = format!(
        "figures(pc).then(now => Math.abs(now.width / now.height - {width} / {height}) < 0.05)"
    );
    page.wait_until(&format!("pc && {size}"), PATIENCE).await;
    let begun = Figures::of(page).await;
    let more = format!(
        "figures(pc).then(now => now.frames >= {} && now.sound > {})",
        begun.frames + 20,
        begun.sound + 20
    );
    page.wait_until(&more, PATIENCE).await;
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    frames: u64,
    sound: u64,
    ssrc: Option<u32>,
    codec: Option<String>,
    packets_lost: i64,
}

impl Figures {
    async fn of(page: &Page) -> Self {
        page.eval("figures(pc)").await
    }
}

const STANDARD: [u32; 2] = [320, 240];
const WIDE: [u32; 2] = [480, 270];
const SQUARE: [u32; 2] = [320, 320];

const TOOLS: &str = "window.draw = (width, height) => {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const pen = canvas.getContext('2d');
    let step = 0;
    setInterval(() => {
        pen.fillStyle = `hsl(${step} 80% 50%)`;
        pen.fillRect(step++ * 7 % width, step * 3 % height, 60, 60);
    }, 66);
    const picture = canvas.captureStream(15).getVideoTracks()[0];
    const camera = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async () => {
        const stream = await camera({ audio: true });
        stream.addTrack(picture);
        return stream;
    };
};
window.figures = async pc => {
    const all = [...(await pc.getStats()).values()];
    const inbound = kind => all.find(one => one.type === 'inbound-rtp' && one.kind === kind) ?? {};
    const [audio, video] = [inbound('audio'), inbound('video')];
    return {
        frames: video.framesDecoded ?? 0,
        sound: audio.packetsReceived ?? 0,
        width: video.frameWidth,
        height: video.frameHeight,
        ssrc: video.ssrc,
        codec: all.find(one => one.id === video.codecId)?.mimeType,
        packetsLost: (audio.packetsLost ?? 0) + (video.packetsLost ?? 0),
    };
}, undefined";

/// For a page that starts its camera and connects, while others encode.
const PATIENCE: Duration = Duration::from_secs(20);
