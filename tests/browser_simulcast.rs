//! The simulcast example as its users meet it: Chromium sends three encodings, and two screens of it change between them.
#![allow(clippy::unwrap_used)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
mod common;
#[path = "../examples/simulcast/main.rs"]
#[allow(dead_code, reason = "the command line is not part of these tests")]
mod simulcast;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ractor_webrtc::signaling::websocket::WebSocketLimits;
use serde::Deserialize;
use serde_json::Value;

use self::browser::{Browser, Page, serve_site};
use self::common::link::Link;
use self::simulcast::common::arguments::Arguments;
use self::simulcast::common::server::router;

/// As much as two cores encode and decode beside each other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn two_screens_take_different_encodings_of_vp8_and_change_them_twenty_times() {
    let _turn = TURN.lock().await;
    changes_twenty_times("VP8").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_screens_take_different_encodings_of_vp9_and_change_them_twenty_times() {
    let _turn = TURN.lock().await;
    changes_twenty_times("VP9").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_screens_take_different_encodings_of_h264_and_change_them_twenty_times() {
    let _turn = TURN.lock().await;
    changes_twenty_times("H264").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_screens_take_different_encodings_of_av1_and_change_them_twenty_times() {
    let _turn = TURN.lock().await;
    changes_twenty_times("AV1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_pauses_its_highest_encoding_leaves_no_screen_behind() {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let page = start(&browser, "VP8").await;
    shows(&page, "left", "h").await;
    shows(&page, "right", "h").await;
    let () = page.eval("watchScreens()").await;
    page.click("send-h").await;
    let fell = shows(&page, "left", "m")
        .await
        .max(shows(&page, "right", "m").await);
    eprintln!("fell after {fell:?}");
    // Noticed within half a second or so; the picture goes on with the next keyframe.
    assert!(fell < Duration::from_millis(1500), "{fell:?}");
    page.click("send-m").await;
    shows(&page, "left", "l").await;
    page.click("send-m").await;
    shows(&page, "left", "m").await;
    page.click("send-h").await;
    shows(&page, "left", "h").await;
    shows(&page, "right", "h").await;
    for screen in SCREENS {
        let figures = Figures::of(&page, screen).await;
        assert!(figures.longest_gap < 1_500.0, "{screen}: {figures:?}");
        assert_eq!(figures.packets_lost, 0, "{screen}: {figures:?}");
    }
}

// A screen whose path gets narrow got more than it took, and showed a still.
#[tokio::test(flavor = "multi_thread")]
async fn a_screen_whose_path_gets_narrow_goes_down_and_comes_back_and_the_other_one_does_not_notice()
 {
    let _turn = TURN.lock().await;
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let rate = Arc::new(AtomicU64::new(WIDE));
    let link = Link::narrow(Arc::clone(&rate), QUEUE, ROUND_TRIP);
    let link = link.await.unwrap();
    let page = open(&browser, "VP8").await;
    let () = page.eval("detour('right')").await;
    page.click("start").await;
    carry(&page, &link).await;
    page.wait_until("arriving() === 3", PATIENCE).await;
    shows(&page, "left", "h").await;
    shows(&page, "right", "h").await;
    let () = page.eval("watchScreens()").await;

    rate.store(NARROW, Ordering::Relaxed);
    let lower = "shows('right', 2) || shows('right', 4)";
    let fell = page.wait_until(lower, PATIENCE).await;
    rate.store(WIDE, Ordering::Relaxed);
    let rose = shows(&page, "right", "h").await;
    let [left, right] = [
        Figures::of(&page, "left").await,
        Figures::of(&page, "right").await,
    ];
    eprintln!("fell after {fell:?}, rose after {rose:?}: {left:?} {right:?}");
    assert!(fell < Duration::from_secs(10), "{fell:?}");
    assert!(left.longest_gap < 1_500.0, "{left:?}");
    assert_eq!(
        (left.packets_lost, left.keyframe_requests),
        (0, 0),
        "{left:?}"
    );
}

/// Carries what is said about the screen on the detour over the link, until it is connected.
async fn carry(page: &Page, link: &Link) {
    let begun = Instant::now();
    let connected = "connections.right?.connectionState === 'connected'";
    while !page.eval::<bool>(connected).await {
        assert!(begun.elapsed() < PATIENCE, "never connected");
        let (said, heard): (Vec<Value>, Vec<Value>) = page.eval("underway()").await;
        for mut signal in said {
            // The page is what the path gets narrow to.
            if redirect(
                &mut signal,
                |text| link.description_of_b(text),
                |text| link.candidate_of_b(text),
            ) {
                let () = page
                    .eval(&format!("detours.say({signal}), undefined"))
                    .await;
            }
        }
        for mut signal in heard {
            if redirect(
                &mut signal,
                |text| link.description_of_a(text),
                |text| link.candidate_of_a(text),
            ) {
                let () = page.eval(&format!("detours.receive({signal})")).await;
            }
        }
    }
}

/// Says whether the link can carry it.
fn redirect(
    signal: &mut Value,
    description: impl Fn(&str) -> String,
    candidate: impl Fn(&str) -> Option<String>,
) -> bool {
    if let Some(sdp) = signal.pointer_mut("/description/sdp") {
        *sdp = description(sdp.as_str().unwrap()).into();
    }
    let Some(found) = signal.pointer_mut("/candidate/candidate") else {
        return true;
    };
    match candidate(found.as_str().unwrap()) {
        Some(redirected) => {
            *found = redirected.into();
            true
        }
        None => false,
    }
}

async fn changes_twenty_times(codec: &str) {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let page = start(&browser, codec).await;
    press(&page, "left", "h").await;
    press(&page, "right", "l").await;
    shows(&page, "left", "h").await;
    shows(&page, "right", "l").await;
    let () = page.eval("watchScreens()").await;
    let before = [
        Figures::of(&page, SCREENS[0]).await,
        Figures::of(&page, SCREENS[1]).await,
    ];
    for turn in 0..TURNS {
        let (left, right) = (CIRCLE[turn % 4], CIRCLE[(turn + 2) % 4]);
        press(&page, "left", left).await;
        press(&page, "right", right).await;
        shows(&page, "left", left).await;
        shows(&page, "right", right).await;
    }
    for (screen, before) in SCREENS.into_iter().zip(before) {
        let figures = Figures::of(&page, screen).await;
        eprintln!("{codec}, {screen}: {figures:?}");
        assert_eq!(figures.codec, format!("video/{codec}"));
        assert!(figures.longest_gap < 500.0, "{screen}: {figures:?}");
        // Chromium calls a freeze what lasts for 150 ms longer than usual: there may be some, and none may be long.
        let froze = figures.freeze_seconds - before.freeze_seconds;
        let freezes = figures.freezes - before.freezes;
        assert!(froze <= 0.5 * freezes as f64, "{screen}: {figures:?}");
        // A decoder that cannot go on asks for a keyframe.
        assert_eq!(
            figures.keyframe_requests, before.keyframe_requests,
            "{screen}: {figures:?}"
        );
        assert_eq!(figures.packets_lost, 0, "{screen}: {figures:?}");
        let frames = figures.frames - before.frames;
        let dropped = figures.dropped - before.dropped;
        assert!(
            frames > 100 && dropped * 20 < frames,
            "{screen}: {figures:?}"
        );
    }
}

/// Opens the page, and waits until all encodings arrive at the server.
async fn start(browser: &Browser, codec: &str) -> Page {
    let page = open(browser, codec).await;
    page.click("start").await;
    page.wait_until("arriving() === 3", PATIENCE).await;
    page
}

async fn open(browser: &Browser, codec: &str) -> Page {
    let lobby = simulcast::open(Arguments::on_port(0)).await.unwrap();
    let pages = router(simulcast::PAGE, lobby, WebSocketLimits::default());
    let (url, _task) = serve_site(pages).await;
    let page = browser
        .open(&format!("{url}?codec={codec}&width=960"))
        .await;
    let () = page.eval(TOOLS).await;
    page
}

async fn press(page: &Page, screen: &str, layer: &str) {
    page.click(&format!("{screen}-{layer}")).await;
}

/// Waits until a screen shows this encoding: its part of the camera's width.
async fn shows(page: &Page, screen: &str, layer: &str) -> Duration {
    let begun = Instant::now();
    let part = match layer {
        "h" => 1,
        "m" => 2,
        _ => 4,
    };
    let shown = format!("shows('{screen}', {part})");
    page.wait_until(&shown, PATIENCE).await;
    begun.elapsed()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    codec: String,
    frames: u64,
    dropped: u64,
    freezes: u64,
    freeze_seconds: f64,
    keyframe_requests: u64,
    packets_lost: i64,
    /// Milliseconds between two pictures at most.
    longest_gap: f64,
}

impl Figures {
    async fn of(page: &Page, screen: &str) -> Self {
        page.eval(&format!("figures('{screen}')")).await
    }
}

const SCREENS: [&str; 2] = ["left", "right"];

const TURNS: usize = 20;

/// Room for every encoding; and for the lowest, or the next with fewer pictures a second.
const WIDE: u64 = 5_000_000;
const NARROW: u64 = 250_000;

const QUEUE: Duration = Duration::from_millis(300);
const ROUND_TRIP: Duration = Duration::from_millis(40);

/// Up and down, by one and by two.
const CIRCLE: [&str; 4] = ["m", "h", "l", "h"];

/// For a page that starts its camera and connects, while others encode.
const PATIENCE: Duration = Duration::from_secs(30);

const TOOLS: &str = "window.arriving = () =>
    [...document.querySelectorAll('[data-arrives]')].filter(cell => cell.textContent.includes('kbit')).length;
window.shows = (name, part) => {
    const { width } = document.getElementById('camera').srcObject.getVideoTracks()[0].getSettings();
    return screens[name].video.videoWidth === Math.floor(width / part);
};
window.detour = name => {
    const [said, heard] = [[], []];
    window.detours = { say, receive };
    window.underway = () => [said.splice(0), heard.splice(0)];
    window.say = signal => signal.of === name ? said.push(JSON.parse(JSON.stringify(signal))) : detours.say(signal);
    window.receive = async signal => {
        const isPath = signal.of === name && ['answer', 'ice'].includes(signal.type);
        return isPath ? heard.push(signal) : detours.receive(signal);
    };
};
window.gaps = {};
window.watchScreens = () => {
    for (const name of ['left', 'right']) {
        const { video } = screens[name];
        let before = null;
        gaps[name] = 0;
        const see = now => {
            if (before) gaps[name] = Math.max(gaps[name], now - before);
            before = now;
            video.requestVideoFrameCallback(see);
        };
        video.requestVideoFrameCallback(see);
    }
};
window.figures = async name => {
    const all = [...(await connections[name].getStats()).values()];
    const video = all.find(({ type }) => type === 'inbound-rtp');
    return {
        codec: all.find(({ id }) => id === video.codecId).mimeType,
        frames: video.framesDecoded,
        dropped: video.framesDropped,
        freezes: video.freezeCount,
        freezeSeconds: video.totalFreezesDuration,
        keyframeRequests: video.pliCount + video.firCount,
        packetsLost: video.packetsLost,
        longestGap: gaps[name] ?? 0,
    };
}, undefined";
