//! The pages of the WHIP and WHEP example in Chromium, and a client there that nobody here wrote.
#![allow(clippy::unwrap_used)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
#[path = "../examples/whip_whep/main.rs"]
#[allow(dead_code, reason = "the command line is not part of these tests")]
mod whip_whep;

use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::Html;
use axum::routing::get;
use ractor_webrtc::signaling::broadcaster::Broadcaster;
use serde::Deserialize;
use tokio::task::JoinHandle;

use self::browser::{Browser, Page, serve_site};
use self::whip_whep::arguments::{Arguments, Command};
use self::whip_whep::station::Station;

/// As much as two cores encode and decode beside each other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn three_watch_what_one_publishes_in_vp8_from_the_first_second_on() {
    one_to_three("VP8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_watch_what_one_publishes_in_h264_from_the_first_second_on() {
    one_to_three("H264").await;
}

/// Each viewer comes when the publisher is on air, from nothing: its page has just been loaded.
async fn one_to_three(codec: &str) {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let server = Server::start("").await;
    let publisher = server.publish(&browser, codec).await;
    let mut viewers = Vec::new();
    for number in 1..=3 {
        viewers.push(
            server
                .watch_cold(&browser, &format!("{codec}, viewer {number}"))
                .await,
        );
    }
    for viewer in &viewers {
        let figures = plays(viewer, 30).await;
        assert_eq!(figures.codec, format!("video/{codec}"));
        assert!(figures.sound > 0, "{figures:?}");
    }
    let shown: String = publisher.eval("element('codec').textContent").await;
    assert_eq!(shown, codec);
    let streams = server.broadcaster().snapshot().await.unwrap().streams;
    assert_eq!((streams[0].publishers, streams[0].viewers), (1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_may_come_first_and_stay_when_the_publisher_goes_and_comes_back() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let server = Server::start("").await;
    let viewer = server.watch(&browser).await;
    let waiting = "element('state').textContent === 'connected' && element('picture').textContent === 'nobody publishes'";
    viewer.wait_until(waiting, PATIENCE).await;
    let () = viewer.eval("void (window.first = session)").await;
    let publisher = server.publish(&browser, "VP8").await;
    plays(&viewer, 20).await;
    for codec in ["H264", "VP8"] {
        publisher.click("stop").await;
        let gone = "element('picture').textContent === 'nobody publishes'";
        viewer.wait_until(gone, PATIENCE).await;
        // A page that goes without a word, and another that publishes in another codec.
        let next = server.publish(&browser, codec).await;
        let figures = plays(&viewer, 20).await;
        assert_eq!(figures.codec, format!("video/{codec}"));
        next.click("stop").await;
        let () = publisher.eval("publish(camera)").await;
        plays(&viewer, 20).await;
    }
    assert!(
        viewer.eval::<bool>("session === window.first").await,
        "it was one session"
    );
    assert_eq!(
        viewer.eval::<String>("element('error').textContent").await,
        ""
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_page_takes_the_stream_over_and_the_first_is_told() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let server = Server::start("").await;
    let first = server.publish(&browser, "VP8").await;
    let viewer = server.watch(&browser).await;
    plays(&viewer, 10).await;
    let _second = server.publish(&browser, "VP8").await;
    let told = "element('error').textContent.includes('somebody else publishes')";
    first.wait_until(told, PATIENCE).await;
    plays(&viewer, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_the_token_is_told_and_with_it_gets_in() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let server = Server::start("--token sesame").await;
    let path = "/publish?stream=secret&token=sesame&width=320";
    let publisher = browser.open(&server.url(path)).await;
    publisher.click("camera").await;
    let viewer = browser
        .open(&server.url("/?stream=secret&token=wrong"))
        .await;
    let told =
        "element('error').textContent.includes('not the right one') && !element('ask').hidden";
    viewer.wait_until(told, PATIENCE).await;
    let () = viewer
        .eval("void (element('token').value = 'sesame')")
        .await;
    let () = viewer.eval("element('ask').requestSubmit()").await;
    plays(&viewer, 10).await;
}

/// The client of the npm package `whip-whep`: see `tests/data/whip-whep`.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_nobody_here_wrote_publishes_restarts_ice_and_stops() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    // It writes an unreadable description where a restart brings more than one candidate: here there is one.
    let server = Server::start("--token sesame --public-viewing --udp 127.0.0.1:0").await;
    let viewer = server.watch(&browser).await;
    let page = browser.open(&server.url("/other")).await;
    let () = page.eval("publish('/whip', 'sesame')").await;
    plays(&viewer, 30).await;
    let (before, after): (String, String) = page.eval("restart()").await;
    assert_ne!(before, after, "another ICE session has another tag");
    plays(&viewer, 30).await;
    let () = page.eval("client.stop()").await;
    let gone = "element('picture').textContent === 'nobody publishes'";
    viewer.wait_until(gone, PATIENCE).await;
    let streams = server.broadcaster().snapshot().await.unwrap().streams;
    assert_eq!((streams[0].publishers, streams[0].on_air), (0, false));
}

/// The example, and beside it a page with the other client.
struct Server {
    station: Station,
    origin: String,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(line: &str) -> Self {
        let line = line.split_whitespace().map(str::to_owned);
        let Ok(Command::Run(arguments)) = Arguments::parse(|_| None, line) else {
            panic!("these arguments are fine");
        };
        let station = Station::open(&arguments).await.unwrap();
        let script = include_str!("data/whip-whep/whip.js");
        let router = whip_whep::router(&station, &arguments)
            .route("/other", get(async || Html(OTHER)))
            .route(
                "/whip.js",
                get(async move || ([(CONTENT_TYPE, "text/javascript")], script)),
            );
        let (url, task) = serve_site(router).await;
        Self {
            station,
            origin: url.trim_end_matches('/').to_owned(),
            task,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    fn broadcaster(&self) -> &Broadcaster {
        self.station.broadcaster()
    }

    /// A page that publishes, once it is connected.
    async fn publish(&self, browser: &Browser, codec: &str) -> Page {
        let path = format!("/publish?width=320&codec={codec}");
        let page = browser.open(&self.url(&path)).await;
        page.click("camera").await;
        let connected = "element('state').textContent === 'connected'";
        page.wait_until(connected, PATIENCE).await;
        page
    }

    /// A page that has its first frame within a second. Where the machine is busy with something else, it may take three
    /// attempts, each from nothing.
    async fn watch_cold(&self, browser: &Browser, name: &str) -> Page {
        for _ in 0..3 {
            let viewer = self.watch(browser).await;
            plays(&viewer, 10).await;
            let first: f64 = viewer.eval("firstFrame").await;
            println!("{name}: first frame after {first:.0} ms");
            if first < 1000.0 {
                return viewer;
            }
            viewer.close().await;
        }
        panic!("{name} waited more than a second each time");
    }

    async fn watch(&self, browser: &Browser) -> Page {
        browser.open(&self.url("/")).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Waits for so many frames more than there were.
async fn plays(page: &Page, frames: u64) -> Figures {
    let read = format!("({FIGURES})(session)");
    let before: Option<Figures> = page.eval(&read).await;
    let enough = before.map_or(0, |figures| figures.frames) + frames;
    let decoded = format!("{read}.then(now => now?.frames >= {enough})");
    page.wait_until(&decoded, PATIENCE).await;
    page.eval(&read).await
}

#[derive(Debug, Deserialize)]
struct Figures {
    frames: u64,
    sound: u64,
    codec: String,
}

/// What the connection of a viewer has decoded.
const FIGURES: &str = "async session => {
    if (!session) return null;
    const all = [...(await session.stats()).values()];
    const inbound = kind => all.find(one => one.type === 'inbound-rtp' && one.kind === kind);
    const [audio, video] = [inbound('audio'), inbound('video')];
    const codec = all.find(one => one.id === video?.codecId)?.mimeType ?? '';
    return { frames: video?.framesDecoded ?? 0, sound: audio?.packetsReceived ?? 0, codec };
}";

const OTHER: &str = "<!doctype html><title>Another client</title><script type=module>
    import { WHIPClient } from './whip.js';
    window.client = new WHIPClient();
    window.publish = async (url, token) => {
        const video = { width: 320, height: 240 };
        const stream = await navigator.mediaDevices.getUserMedia({ video, audio: true });
        window.pc = new RTCPeerConnection();
        for (const track of stream.getTracks()) pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
        await client.publish(pc, new URL(url, location.href), token);
    };
    window.restart = async () => {
        const before = client.etag;
        await client.restart();
        return [before, client.etag];
    };
</script>";

const PATIENCE: Duration = Duration::from_secs(20);
