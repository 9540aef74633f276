//! The echo example as a user meets it: Chromium with a fake camera and microphone on its page.
//!
//! The example's server runs inside the test, so that the test can ask what is left of a visitor who
//! has gone. Two pages are as much as two cores encode and decode, so one test runs at a time.
#![allow(clippy::unwrap_used)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
#[path = "../examples/echo/main.rs"]
#[allow(dead_code, reason = "the command line is not part of these tests")]
mod echo;

use std::fs;
use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use ractor_webrtc::PeerConnection;
use ractor_webrtc::signaling::websocket::WebSocketLimits;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::browser::{Browser, Page, all_peers_end, serve_site};
use self::echo::PAGE;
use self::echo::common::arguments::Arguments;
use self::echo::common::lobby::Lobby;
use self::echo::common::server::router;
use self::echo::forwarder::{Forwarder, ForwarderMessage};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_sees_and_hears_itself_with_vp8() {
    sees_and_hears_itself("VP8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_sees_and_hears_itself_with_h264() {
    sees_and_hears_itself("H264").await;
}

async fn sees_and_hears_itself(codec: &str) {
    let Some(stage) = Stage::set(Arguments::on_port(0)).await else {
        return;
    };
    let page = stage.start(&format!("?codec={codec}")).await;
    plays_both_tracks(&page).await;
    decodes_sixty_frames(&page).await;

    let figures = Figures::of(&page).await;
    assert_eq!(figures.video_codec.as_deref(), Some(codec), "{figures:#?}");
    assert_eq!(figures.audio_codec.as_deref(), Some("opus"), "{figures:#?}");
    assert!(
        figures.audio_energy > 0.0,
        "the beeps come back: {figures:#?}"
    );
    let cipher = figures.cipher.as_deref().unwrap_or_default();
    assert!(
        cipher.contains("AEAD_AES_"),
        "AES-GCM is preferred: {figures:#?}"
    );
    // The server's own reports arrived and made sense to the browser.
    assert!(
        figures
            .reported_round_trip
            .is_some_and(|seconds| seconds < 1.0),
        "{figures:#?}"
    );
    assert!(
        figures.reported_bytes.is_some_and(|bytes| bytes > 0),
        "{figures:#?}"
    );
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_pages_at_once_each_see_themselves() {
    let Some(stage) = Stage::set(Arguments::on_port(0)).await else {
        return;
    };
    let (one, other) = tokio::join!(stage.start("?codec=VP8"), stage.start("?codec=VP8"));
    tokio::join!(plays_both_tracks(&one), plays_both_tracks(&other));
    tokio::join!(decodes_sixty_frames(&one), decodes_sixty_frames(&other));
    assert_eq!(PeerConnection::all_running().len(), 2);
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_visitors_share_one_port() {
    let mut arguments = Arguments::on_port(0);
    arguments.udp = Some("127.0.0.1:0".parse().unwrap());
    let Some(stage) = Stage::set(arguments).await else {
        return;
    };
    let before = Footprint::now();
    let (one, other) = tokio::join!(stage.start("?codec=VP8"), stage.start("?codec=VP8"));
    tokio::join!(decodes_sixty_frames(&one), decodes_sixty_frames(&other));
    // A WebSocket each, and nothing else: media of both arrives on the lobby's own socket.
    assert_eq!(Footprint::now().sockets, before.sockets + 2);
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_visitor_two_seconds_after_the_page_is_closed() {
    let Some(stage) = Stage::set(Arguments::on_port(0)).await else {
        return;
    };
    let before = Footprint::now();
    for _ in 0..2 {
        let page = stage.start("").await;
        decodes_sixty_frames(&page).await;
        assert_eq!(PeerConnection::all_running().len(), 1);
        assert!(Footprint::now().tasks > before.tasks);

        page.close().await;
        let closed = Instant::now();
        while Footprint::now() != before {
            let left = Footprint::now();
            assert!(
                closed.elapsed() < GONE_LIMIT,
                "{left:?} is left, {before:?} was before"
            );
            // There is no event for a task or a socket that ends.
            sleep(Duration::from_millis(10)).await;
        }
    }
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crash_of_one_visitor_leaves_the_others_picture_running() {
    let Some(stage) = Stage::set(Arguments::on_port(0)).await else {
        return;
    };
    let survivor = stage.start("?codec=VP8").await;
    let crashing = stage.start("?codec=VP8&debug").await;
    tokio::join!(
        decodes_sixty_frames(&survivor),
        decodes_sixty_frames(&crashing)
    );
    let before = Figures::of(&survivor).await;

    crashing.click("crash").await;
    crashing
        .wait_until("element('state').textContent === 'failed'", START_LIMIT)
        .await;
    let said: String = crashing.eval("element('error').textContent").await;
    assert!(said.contains("your actor has ended"), "{said}");

    decodes_sixty_frames(&survivor).await;
    let after = Figures::of(&survivor).await;
    assert_eq!(after.connection_state, "connected");
    // A freeze may be this machine's: it decodes two pictures and unwinds a panic on two cores. What a
    // neighbour's crash must not cost is a packet.
    assert_eq!(after.packets_lost, before.packets_lost);
    assert_eq!(PeerConnection::all_running().len(), 1);

    // And whoever crashed may come back.
    crashing.click("start").await;
    decodes_sixty_frames(&crashing).await;
    stage.strike().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_and_start_bring_the_echo_back() {
    let Some(stage) = Stage::set(Arguments::on_port(0)).await else {
        return;
    };
    let page = stage.start("?codec=VP8").await;
    plays_both_tracks(&page).await;
    page.click("stop").await;
    page.wait_until("element('state').textContent === 'idle'", START_LIMIT)
        .await;
    page.click("start").await;
    plays_both_tracks(&page).await;
    decodes_sixty_frames(&page).await;
    stage.strike().await;
}

/// Went wrong once: a header extension was agreed on that promised feedback which was never sent, and
/// the browser, waiting for it, lowered its bitrate to 30 kbit/s within ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn the_browser_finds_that_it_may_send_more() {
    let Some(stage) = Stage::set(Arguments::on_port(0)).await else {
        return;
    };
    let page = stage.start("?codec=VP8").await;
    plays_both_tracks(&page).await;
    // It begins with 300 kbit/s, and goes by our feedback on when its packets arrived.
    let more = "figures().then(now => now.allowedBitrate > 1_000_000)";
    page.wait_until(more, Duration::from_secs(10)).await;
    stage.strike().await;
}

/// The pages of Elixir WebRTC's echo send three encodings of the picture and let the server choose.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_sends_simulcast_sees_its_first_encoding() {
    let Some(stage) = Stage::set(Arguments::on_port(0)).await else {
        return;
    };
    let page = stage.browser.open(&stage.url).await;
    let () = page.eval(SIMULCAST_PAGE).await;
    // The large picture comes last: the browser begins with the smallest, and adds the others as it finds
    // that the network takes them.
    let decoded = "figures(pc).then(now => now.framesDecoded >= 60)";
    page.wait_until(decoded, Duration::from_secs(60)).await;
    let size: [u32; 2] = page.eval("figures(pc).then(now => now.frameSize)").await;
    assert_eq!(size, [1280, 720]);
    stage.strike().await;
}

const SIMULCAST_PAGE: &str = "(async () => {
    window.pc = new RTCPeerConnection();
    const socket = new WebSocket(`ws://${location.host}/ws`);
    const say = (type, data) => socket.send(JSON.stringify({ type, data }));
    await new Promise(open => socket.onopen = open);
    socket.onmessage = async event => {
        const { type, data } = JSON.parse(event.data);
        if (type === 'answer') await pc.setRemoteDescription(data);
        if (type === 'ice') await pc.addIceCandidate(data);
    };
    pc.onicecandidate = ({ candidate }) => { if (candidate) say('ice', candidate); };
    const video = { width: { exact: 1280 }, height: { exact: 720 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video, audio: true });
    pc.addTransceiver(stream.getVideoTracks()[0], {
        direction: 'sendrecv',
        streams: [stream],
        sendEncodings: [
            { rid: 'h', maxBitrate: 1200000 },
            { rid: 'm', scaleResolutionDownBy: 2, maxBitrate: 600000 },
            { rid: 'l', scaleResolutionDownBy: 4, maxBitrate: 300000 },
        ],
    });
    pc.addTrack(stream.getAudioTracks()[0], stream);
    const offer = await pc.createOffer();
    await pc.setLocalDescription(offer);
    say('offer', offer);
})()";

/// Both remote tracks play within ten seconds of the page's start.
async fn plays_both_tracks(page: &Page) {
    let playing = "(remote => remote.srcObject?.getTracks().length === 2
        && remote.srcObject.getTracks().every(track => track.readyState === 'live' && !track.muted)
        && !remote.paused && remote.currentTime > 0)(element('remote'))";
    page.wait_until(playing, PLAY_LIMIT).await;
}

/// Sixty frames in five seconds, sound besides, and the picture's size is the sent one.
async fn decodes_sixty_frames(page: &Page) {
    page.wait_until(
        "session?.pc && figures().then(now => now.framesDecoded > 0)",
        PLAY_LIMIT,
    )
    .await;
    let begun = Figures::of(page).await;
    let decoded = format!(
        "figures().then(now => now.framesDecoded >= {})",
        begun.frames_decoded + 60
    );
    page.wait_until(&decoded, Duration::from_secs(5)).await;
    let now = Figures::of(page).await;
    assert!(
        now.audio_packets > begun.audio_packets + 50,
        "{begun:#?} {now:#?}"
    );
    let same =
        "figures().then(now => now.frameSize[0] && String(now.frameSize) === String(now.sentSize))";
    page.wait_until(same, PLAY_LIMIT).await;
}

/// What the page knows of its connection, a part of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    connection_state: String,
    frames_decoded: u64,
    audio_packets: u64,
    audio_energy: f64,
    packets_lost: i64,
    video_codec: Option<String>,
    audio_codec: Option<String>,
    cipher: Option<String>,
    reported_round_trip: Option<f64>,
    reported_bytes: Option<u64>,
}

impl Figures {
    async fn of(page: &Page) -> Self {
        page.eval("figures()").await
    }
}

/// What a process holds that a visitor could leave behind.
#[derive(Debug, PartialEq, Eq)]
struct Footprint {
    peers: usize,
    tasks: usize,
    sockets: usize,
}

impl Footprint {
    fn now() -> Self {
        let files = fs::read_dir("/proc/self/fd")
            .into_iter()
            .flatten()
            .flatten();
        let names = files.filter_map(|file| fs::read_link(file.path()).ok());
        Self {
            peers: PeerConnection::all_running().len(),
            tasks: Handle::current().metrics().num_alive_tasks(),
            sockets: names
                .filter(|name| name.to_string_lossy().starts_with("socket:"))
                .count(),
        }
    }
}

/// A running example and a browser to visit it.
struct Stage {
    browser: Browser,
    url: String,
    lobby: Lobby<ForwarderMessage>,
    server: JoinHandle<()>,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    /// `None` where there is no browser.
    async fn set(arguments: Arguments) -> Option<Self> {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let browser = Browser::launch().await?;
        let lobby = Lobby::open(Forwarder, arguments, |it| it).await.unwrap();
        // Otherwise the browser keeps connections for later, and they would count as left behind.
        let pages = router(PAGE, lobby.clone(), WebSocketLimits::default());
        let (url, server) = serve_site(pages.layer(map_response(close_connection))).await;
        Some(Self {
            browser,
            url,
            lobby,
            server,
            _turn: turn,
        })
    }

    /// Opens the page and presses Start.
    async fn start(&self, query: &str) -> Page {
        let page = self.browser.open(&format!("{}{query}", self.url)).await;
        page.click("start").await;
        page
    }

    /// Ends the example; everything of its visitors has to end with it, however many are there.
    async fn strike(self) {
        self.lobby.close().await;
        all_peers_end(GONE_LIMIT).await;
        self.server.abort();
    }
}

async fn close_connection(mut response: Response) -> Response {
    if response.status().is_success() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

/// For what the page does by itself.
const START_LIMIT: Duration = Duration::from_secs(10);

const PLAY_LIMIT: Duration = Duration::from_secs(10);

/// Half a second for the peers' own deadline, the rest for a machine that encodes video meanwhile.
const GONE_LIMIT: Duration = Duration::from_secs(2);
