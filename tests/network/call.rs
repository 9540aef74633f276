//! A call from one page to another over the bad network, and what it was like.

use std::fs;
use std::time::Duration;

use ractor_webrtc::configuration::MediaFeature;
use ractor_webrtc::peer_connection::RouteSource;
use ractor_webrtc::{MediaConfiguration, MediaKind, PeerConnection, PeerConnectionBuilder};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;

use super::browser::{Browser, Page};
use super::common::owner::Ours;
use super::emulator::Conditions;
use super::link::{Network, SERVER};
use super::str0m_server::Str0mServer;

/// Who forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Ours,
    /// Lost packets are nobody's business.
    OursWithoutRepair,
    Str0m,
}

/// What is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) server: Server,
    /// So many milliseconds at least the page that looks on keeps a picture, if it says so (`jitterBufferTarget`).
    pub(crate) buffered: Option<u32>,
}

/// Of the camera.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sent {
    pub(crate) frames: u64,
    pub(crate) keyframes: u64,
    pub(crate) bytes: u64,
    pub(crate) height: u64,
    pub(crate) nacks: u64,
    pub(crate) retransmitted: u64,
    pub(crate) keyframe_requests: u64,
}

/// Of the page that looks on; times in seconds.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Seen {
    pub(crate) frames: u64,
    pub(crate) dropped: u64,
    pub(crate) bytes: u64,
    pub(crate) nacks: u64,
    pub(crate) retransmitted: u64,
    pub(crate) keyframe_requests: u64,
    pub(crate) freezes: u64,
    pub(crate) frozen: f64,
    still: f64,
    buffered: f64,
    emitted: u64,
}

/// What became of a call while the network was bad.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) sent: Sent,
    pub(crate) seen: Seen,
    length: Duration,
}

impl Outcome {
    /// The share of the frames sent that were decoded.
    pub(crate) fn decoded(&self) -> f64 {
        self.seen.frames as f64 / self.sent.frames as f64
    }

    /// The share of the time in which the picture stood still.
    pub(crate) fn frozen(&self) -> f64 {
        let still = if self.seen.still > LONGEST_FRAME {
            self.seen.still
        } else {
            0.0
        };
        ((self.seen.frozen + still) / self.length.as_secs_f64()).min(1.0)
    }

    /// How long a frame waited for its turn, on average.
    pub(crate) fn buffered(&self) -> Duration {
        Duration::from_secs_f64(self.seen.buffered / self.seen.emitted.max(1) as f64)
    }

    pub(crate) fn bits_per_second(&self) -> f64 {
        self.seen.bytes as f64 * 8.0 / self.length.as_secs_f64()
    }
}

/// Two pages and who forwards between them.
pub(crate) struct Call {
    camera: Page,
    viewer: Page,
    forwarder: Forwarder,
}

enum Forwarder {
    /// Our peers for camera and viewer.
    Ours(Box<[Ours; 2]>),
    Str0m {
        _server: Str0mServer,
    },
}

impl Call {
    /// A call that has begun, on a network as long as that of these conditions but good so far.
    pub(crate) async fn begin(
        browser: &Browser,
        network: &Network,
        Setting { server, buffered }: Setting,
        conditions: Conditions,
    ) -> Self {
        network.set(Conditions {
            delay: conditions.delay,
            ..Conditions::default()
        });
        let url = page();
        let camera = browser.open(&url).await;
        let viewer = browser.open(&url).await;
        let forwarder = match server {
            Server::Ours => connect_ours(&camera, &viewer, buffered, builder()).await,
            Server::OursWithoutRepair => {
                let media = MediaConfiguration::builder().feature(MediaFeature::Nack, false);
                let builder = builder().media(media.build().unwrap());
                connect_ours(&camera, &viewer, buffered, builder).await
            }
            Server::Str0m => connect_str0m(&camera, &viewer, buffered).await,
        };
        let plays = "seen().then(it => it.frames >= 10)";
        viewer.wait_until(plays, Duration::from_secs(30)).await;
        let call = Self {
            camera,
            viewer,
            forwarder,
        };
        call.expect_whole_picture().await;
        call
    }

    /// A browser begins with a smaller picture until it knows the network.
    async fn expect_whole_picture(&self) {
        let whole = "sent().then(it => it.height === 720)";
        self.camera.wait_until(whole, Duration::from_secs(30)).await;
    }

    /// Some time of it under these conditions.
    pub(crate) async fn endure(
        &self,
        network: &Network,
        conditions: Conditions,
        length: Duration,
    ) -> Outcome {
        network.set(conditions);
        sleep(SETTLING).await;
        let (sent, seen) = (self.sent().await, self.seen().await);
        sleep(length).await;
        Outcome {
            sent: self.sent().await.since(&sent),
            seen: self.seen().await.since(&seen),
            length,
        }
    }

    pub(crate) async fn sent(&self) -> Sent {
        self.camera.eval("sent()").await
    }

    pub(crate) async fn seen(&self) -> Seen {
        self.viewer.eval("seen()").await
    }

    /// What our peers have counted.
    pub(crate) async fn print_counters(&self) {
        if let Forwarder::Ours(peers) = &self.forwarder {
            for ours in peers.iter() {
                println!("{:?}", ours.peer.media_stats().await.unwrap());
            }
        }
    }

    pub(crate) async fn end(self) {
        self.camera.close().await;
        self.viewer.close().await;
    }
}

/// A page that looks on, and our peer for it; nobody sends yet.
pub(crate) async fn look_on(browser: &Browser) -> (Page, Ours) {
    let page = browser.open(&page()).await;
    let ours = answer_with(&page, false, None, builder()).await;
    (page, ours)
}

async fn connect_ours(
    camera: &Page,
    viewer: &Page,
    buffered: Option<u32>,
    builder: PeerConnectionBuilder,
) -> Forwarder {
    let [camera, viewer] = [
        answer_with(camera, true, None, builder.clone()).await,
        answer_with(viewer, false, buffered, builder).await,
    ];
    let track = viewer.local_track(MediaKind::Video).id();
    let source = camera.remote_track(MediaKind::Video).id();
    let source = RouteSource::new(&camera.peer, source);
    viewer.peer.set_route(track, source).await.unwrap();
    Forwarder::Ours(Box::new([camera, viewer]))
}

async fn answer_with(
    page: &Page,
    is_camera: bool,
    buffered: Option<u32>,
    builder: PeerConnectionBuilder,
) -> Ours {
    let offer: String = page.eval(&format!("offer({is_camera})")).await;
    let mut ours = Ours::spawn(builder).await;
    let answer = json!(ours.answer(&offer).await);
    accept(page, &answer, buffered).await;
    ours.expect_connected().await;
    ours
}

async fn accept(page: &Page, answer: &serde_json::Value, buffered: Option<u32>) {
    let buffered = json!(buffered);
    let () = page.eval(&format!("accept({answer}, {buffered})")).await;
}

async fn connect_str0m(camera: &Page, viewer: &Page, buffered: Option<u32>) -> Forwarder {
    let server = Str0mServer::start();
    for (page, is_camera) in [(camera, true), (viewer, false)] {
        let offer: String = page.eval(&format!("offer({is_camera})")).await;
        let answer = json!(server.answer(&offer));
        accept(page, &answer, buffered.filter(|_| !is_camera)).await;
        let connected = "pc.connectionState === 'connected'";
        page.wait_until(connected, Duration::from_secs(15)).await;
    }
    Forwarder::Str0m { _server: server }
}

fn builder() -> PeerConnectionBuilder {
    PeerConnection::builder().ip_filter(|ip| ip.to_string() == SERVER)
}

/// A page from the disk may use the camera, too, and needs no network.
fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/page.html");
    assert!(fs::exists(path).unwrap(), "{path}");
    format!("file://{path}")
}

impl Sent {
    fn since(&self, before: &Self) -> Self {
        Self {
            frames: self.frames - before.frames,
            keyframes: self.keyframes - before.keyframes,
            bytes: self.bytes - before.bytes,
            height: self.height,
            nacks: self.nacks - before.nacks,
            retransmitted: self.retransmitted - before.retransmitted,
            keyframe_requests: self.keyframe_requests - before.keyframe_requests,
        }
    }
}

impl Seen {
    fn since(&self, before: &Self) -> Self {
        Self {
            frames: self.frames - before.frames,
            dropped: self.dropped - before.dropped,
            bytes: self.bytes - before.bytes,
            nacks: self.nacks - before.nacks,
            retransmitted: self.retransmitted - before.retransmitted,
            keyframe_requests: self.keyframe_requests - before.keyframe_requests,
            freezes: self.freezes - before.freezes,
            frozen: self.frozen - before.frozen,
            still: self.still,
            buffered: self.buffered - before.buffered,
            emitted: self.emitted - before.emitted,
        }
    }
}

/// What a browser calls a freeze lasts longer than this at 20 frames a second.
const LONGEST_FRAME: f64 = 0.2;

/// What was on its way before the conditions changed does not count.
const SETTLING: Duration = Duration::from_secs(5);
