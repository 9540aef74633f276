//! Connectivity with Chromium: through a TURN server, and with its addresses hidden behind names.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
#[path = "../examples/common/mod.rs"]
#[allow(dead_code, reason = "the command line is not part of these tests")]
mod common;
#[path = "common/coturn.rs"]
mod coturn;

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex as StdMutex;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::ice::IceTransportPolicy;
use ractor_webrtc::peer_connection::PeerConnectionBuilder;
use ractor_webrtc::rtp::RtcpPacket;
use ractor_webrtc::signaling::websocket::{Door, Goodbye, WebSocketLimits};
use ractor_webrtc::{Event, MediaKind, MediaStreamTrack, PeerConnection, PeerEvent, TrackId};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use self::browser::{Browser, Page as Tab, serve_site};
use self::common::server::{Asset, router};
use self::common::signal::{FromPage, Page, Signal};
use self::coturn::Coturn;

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_may_use_relays_only_and_see_each_other() {
    let Some(server) = Coturn::start(&[]) else {
        return;
    };
    let ice_server = server.as_ice_server();
    let relayed = move || {
        PeerConnection::builder()
            .include_loopback(true)
            .ice_server(ice_server.clone())
            .ice_transport_policy(IceTransportPolicy::Relay)
    };
    let configuration = json!({
        "iceServers": [server.as_ice_server()],
        "iceTransportPolicy": "relay",
    });
    let Some(stage) = Stage::set(relayed).await else {
        return;
    };
    let page = stage.call(&configuration.to_string()).await;
    decodes(&page, 60).await;
    let pair: Pair = page.eval("pair()").await;
    assert_eq!((&*pair.local, &*pair.remote), ("relay", "relay"));
    assert_eq!(server.allocations(), 2);
    // That its socket closes ends our side. (A tab that is closed leaves its own allocation to time out.)
    let () = page.eval("pc.close(), socket.close()").await;
    for _ in 0..500 {
        if server.allocations() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("allocations are left: {}", server.log());
}

/// The page is told no candidate, so that nothing but its own name leads to it.
#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_hides_its_addresses_is_found_by_its_names() {
    let browser = Browser::launch_hiding_addresses();
    let builder = || PeerConnection::builder().include_loopback(true);
    let Some(stage) = Stage::with(browser, builder).await else {
        return;
    };
    let page = stage.browser.open(&stage.url).await;
    let () = page.eval("listen()").await;
    page.wait_until(
        "pc.connectionState === 'connected'",
        Duration::from_secs(15),
    )
    .await;
    let candidates: Vec<String> = page.eval("candidates").await;
    let hidden = |candidate: &String| candidate.contains(".local ");
    assert!(
        !candidates.is_empty() && candidates.iter().all(hidden),
        "{candidates:?}"
    );
}

/// What a page sent comes back to it, so a gap in either direction is one in the frames that it receives.
#[tokio::test(flavor = "multi_thread")]
async fn an_ice_restart_from_either_side_costs_no_two_hundred_milliseconds_of_picture() {
    let builder = || PeerConnection::builder().include_loopback(true);
    let Some(stage) = Stage::set(builder).await else {
        return;
    };
    let page = stage.call("{}").await;
    decodes(&page, 60).await;
    // A busy machine delays frames as well: what it does by itself is measured beside.
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..6 {
        let () = page.eval("watchFrames()").await;
        decodes(&page, 60).await;
        without.push(page.eval::<f64>("longestGap").await);
        let before: Transport = page.eval("transport()").await;
        let () = page.eval("watchFrames()").await;
        if round % 2 == 0 {
            let () = page.eval("(pc.restartIce(), offer())").await;
        } else {
            let [ours] = &PeerConnection::all_running()[..] else {
                panic!("one peer");
            };
            ours.restart_ice().await.unwrap();
        }
        let moved = format!(
            "transport().then(now => now.name !== '{}' && now.changes > {})",
            before.name, before.changes
        );
        page.wait_until(&moved, Duration::from_secs(10)).await;
        // Until the session before is gone on our side too.
        decodes(&page, 100).await;
        let gap: f64 = page.eval("longestGap").await;
        println!("round {round}: longest gap between two frames {gap:.0} ms");
        assert!(gap > 0.0);
        with.push(gap);
        let states: Vec<String> = page.eval("states").await;
        assert_eq!(
            states.last().map(String::as_str),
            Some("connected"),
            "{states:?}"
        );
        assert!(
            !states.iter().any(|state| state == "disconnected"),
            "{states:?}"
        );
    }
    let bound = median(&mut without).max(100.0) * 2.0;
    assert!(
        median(&mut with) < bound,
        "{with:?} ms; {without:?} ms without"
    );
}

fn median(gaps: &mut [f64]) -> f64 {
    gaps.sort_by(f64::total_cmp);
    gaps[gaps.len() / 2]
}

#[derive(Debug, Deserialize)]
struct Transport {
    /// What the page calls itself in the ICE session.
    name: String,
    /// How often it has selected another pair.
    changes: u32,
}

/// Makes the table of `guides/advanced/connectivity.md`. Wants a network of its own, as root:
///
/// ```text
/// ip netns add ice && ip -n ice link set lo up && ip -n ice link add d0 type veth peer name d1
/// ip -n ice link set d1 up && ip -n ice addr add 10.77.0.1/24 dev d0 && ip -n ice link set d0 up && ip -n ice route add default via 10.77.0.2
/// ip netns exec ice cargo test --test browser_ice -- --ignored --nocapture
/// ```
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes three minutes and a network namespace, in which it cuts the network"]
async fn what_the_owner_sees_of_a_network_that_fails() {
    let builder = PeerConnection::builder;
    let Some(stage) = Stage::set(builder).await else {
        return;
    };
    for seconds in [3, 15, 40] {
        let page = stage.call("{}").await;
        decodes(&page, 30).await;
        TOLD.lock().unwrap().clear();
        let begun = Instant::now();
        run("nft add table inet cut");
        run("nft add chain inet cut in { type filter hook input priority 0; }");
        run("nft add rule inet cut in meta l4proto udp drop");
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        run("nft delete table inet cut");
        tokio::time::sleep(Duration::from_secs(8)).await;
        report(&format!("cut for {seconds} s"), begun, &page).await;
        let () = page.eval("pc.close(), socket.close()").await;
    }
    for restarts in [false, true] {
        let page = stage.call("{}").await;
        decodes(&page, 30).await;
        TOLD.lock().unwrap().clear();
        let begun = Instant::now();
        run("ip addr add 10.78.0.1/24 dev d0");
        run("ip addr del 10.77.0.1/24 dev d0");
        run("ip route replace default via 10.78.0.2");
        if restarts {
            // A browser looks at its interfaces every two seconds.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let () = page.eval("(pc.restartIce(), offer())").await;
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        report(
            &format!("address changes, page restarts: {restarts}"),
            begun,
            &page,
        )
        .await;
        let () = page.eval("pc.close(), socket.close()").await;
        run("ip addr flush dev d0");
        run("ip addr add 10.77.0.1/24 dev d0");
        run("ip route replace default via 10.77.0.2");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn report(what: &str, begun: Instant, page: &Tab) {
    println!("{what}:");
    for (at, event) in TOLD.lock().unwrap().iter() {
        println!("  {:5.1} s {event}", at.duration_since(begun).as_secs_f32());
    }
    let before: u32 = page.eval("frames()").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after: u32 = page.eval("frames()").await;
    println!("  frames in a second afterwards: {}", after - before);
}

fn run(command: &str) {
    let mut words = command.split(' ');
    let status = Command::new(words.next().unwrap()).args(words).status();
    assert!(status.unwrap().success(), "{command}");
}

/// What the owners of all peers heard of their states.
static TOLD: StdMutex<Vec<(Instant, String)>> = StdMutex::new(Vec::new());

/// The selected pair, by the types of its candidates.
#[derive(Debug, Deserialize)]
struct Pair {
    local: String,
    remote: String,
}

/// So many frames more than now.
async fn decodes(page: &Tab, frames: u32) {
    let decoded =
        format!("(window.start ??= await frames(), (await frames()) >= window.start + {frames})");
    let condition = format!("(async () => {decoded})()");
    let () = page.eval("window.start = undefined").await;
    page.wait_until(&condition, Duration::from_secs(20)).await;
}

/// A server that echoes, and a browser to visit it; one at a time.
struct Stage {
    browser: Browser,
    url: String,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    async fn set(
        builder: impl Fn() -> PeerConnectionBuilder + Send + Sync + 'static,
    ) -> Option<Self> {
        Self::with(Browser::launch(), builder).await
    }

    async fn with(
        browser: impl Future<Output = Option<Browser>>,
        builder: impl Fn() -> PeerConnectionBuilder + Send + Sync + 'static,
    ) -> Option<Self> {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let browser = browser.await?;
        let door = Callers(Arc::new(builder));
        let (url, _task) = serve_site(router(PAGE, door, WebSocketLimits::default())).await;
        Some(Self {
            browser,
            url,
            _turn: turn,
        })
    }

    /// A page that has called, with this configuration.
    async fn call(&self, configuration: &str) -> Tab {
        let page = self.browser.open(&self.url).await;
        let () = page.eval(&format!("call({configuration})")).await;
        page
    }
}

const PAGE: &[Asset] = &[Asset {
    path: "/",
    content_type: "text/html",
    body: "<!doctype html><title>ICE</title><video id=echo autoplay muted></video><script>
        let pc, socket, longestGap = 0;
        const states = [];
        const say = (type, data) => socket.send(JSON.stringify({ type, data }));
        async function offer() {
            await pc.setLocalDescription();
            say('offer', pc.localDescription);
        }
        async function call(configuration) {
            pc = new RTCPeerConnection(configuration);
            pc.ontrack = ({ streams }) => { document.getElementById('echo').srcObject = streams[0]; };
            pc.onicecandidate = ({ candidate }) => { if (candidate) say('ice', candidate); };
            socket = new WebSocket(`ws://${location.host}/ws`);
            await new Promise(open => socket.onopen = open);
            pc.onconnectionstatechange = () => states.push(pc.connectionState);
            socket.onmessage = async event => {
                const { type, data } = JSON.parse(event.data);
                if (type === 'offer') {
                    await pc.setRemoteDescription(data);
                    await pc.setLocalDescription();
                    say('answer', pc.localDescription);
                }
                if (type === 'ice') await pc.addIceCandidate(data);
                if (type === 'answer') await pc.setRemoteDescription(data);
            };
            const video = { width: 320, height: 240, frameRate: 30 };
            const stream = await navigator.mediaDevices.getUserMedia({ video, audio: true });
            stream.getTracks().forEach(track => pc.addTrack(track, stream));
            await offer();
        }
        // A page without any permission, that wants to hear nothing of where the other side is.
        const candidates = [];
        async function listen() {
            pc = new RTCPeerConnection();
            pc.addTransceiver('video', { direction: 'recvonly' });
            pc.onicecandidate = ({ candidate }) => {
                if (!candidate?.candidate) return;
                candidates.push(candidate.candidate);
                say('ice', candidate);
            };
            socket = new WebSocket(`ws://${location.host}/ws`);
            await new Promise(open => socket.onopen = open);
            socket.onmessage = async event => {
                const { type, data } = JSON.parse(event.data);
                if (type === 'answer') await pc.setRemoteDescription(data);
            };
            await offer();
        }
        async function stats() { return [...(await pc.getStats()).values()]; }
        async function frames() {
            const video = one => one.type === 'inbound-rtp' && one.kind === 'video';
            return (await stats()).find(video)?.framesDecoded ?? 0;
        }
        // By when frames arrived: what this machine makes of them is not the network's fault.
        function watchFrames() {
            longestGap = 0;
            const video = document.getElementById('echo');
            let last;
            const see = (_, { receiveTime }) => {
                if (last) longestGap = Math.max(longestGap, receiveTime - last);
                last = receiveTime;
                video.requestVideoFrameCallback(see);
            };
            video.requestVideoFrameCallback(see);
        }
        async function transport() {
            const transport = (await stats()).find(one => one.type === 'transport');
            const { iceLocalUsernameFragment: name, selectedCandidatePairChanges: changes } = transport;
            return { name, changes };
        }
        async function pair() {
            const all = await stats();
            const by = id => all.find(one => one.id === id);
            const pair = by(all.find(one => one.type === 'transport').selectedCandidatePairId);
            const [local, remote] = [by(pair.localCandidateId), by(pair.remoteCandidateId)];
            return { local: local.candidateType, remote: remote.candidateType };
        }
    </script>",
}];

/// Lets every page in, without a supervisor: the test is over before anything goes wrong.
#[derive(Clone)]
struct Callers(Arc<dyn Fn() -> PeerConnectionBuilder + Send + Sync>);

impl Door for Callers {
    type Incoming = Signal;
    type Outgoing = Signal;
    type Message = EchoMessage;

    async fn enter(&self, page: Page) -> Result<ActorRef<EchoMessage>, Goodbye> {
        let builder = (self.0)();
        let spawned = Actor::spawn(None, Echo, (page, builder)).await;
        spawned
            .map(|(actor, _)| actor)
            .map_err(|error| Goodbye::error(error.to_string()))
    }
}

/// Answers, and sends back what it gets.
struct Echo;

enum EchoMessage {
    Page(FromPage),
    Peer(PeerEvent),
}

impl From<FromPage> for EchoMessage {
    fn from(message: FromPage) -> Self {
        Self::Page(message)
    }
}

impl From<PeerEvent> for EchoMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

struct EchoState {
    page: Page,
    pc: PeerConnection,
    inbound: HashMap<TrackId, MediaKind>,
    outbound: HashMap<MediaKind, TrackId>,
}

impl Actor for Echo {
    type Msg = EchoMessage;
    type State = EchoState;
    type Arguments = (Page, PeerConnectionBuilder);

    async fn pre_start(
        &self,
        myself: ActorRef<EchoMessage>,
        (page, builder): Self::Arguments,
    ) -> Result<EchoState, ActorProcessingErr> {
        let pc = builder.spawn_linked(&myself).await?;
        let stream = MediaStreamTrack::generate_stream_id();
        let mut outbound = HashMap::new();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let track = MediaStreamTrack::new(kind, [stream.clone()]);
            pc.add_track(&track).await?;
            outbound.insert(kind, track.id());
        }
        Ok(EchoState {
            page,
            pc,
            inbound: HashMap::new(),
            outbound,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<EchoMessage>,
        message: EchoMessage,
        state: &mut EchoState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            EchoMessage::Page(FromPage { message, .. }) => match message {
                Signal::Offer(offer) => {
                    state.pc.set_remote_description(offer).await?;
                    let answer = state.pc.create_answer().await?;
                    state.pc.set_local_description(answer.clone()).await?;
                    state.page.say(&Signal::Answer(answer))?;
                }
                Signal::Ice(candidate) => state.pc.add_ice_candidate(candidate).await?,
                Signal::Answer(answer) => state.pc.set_remote_description(answer).await?,
                other => panic!("a calling page does not say {other:?}"),
            },
            EchoMessage::Peer(PeerEvent { event, .. }) => match event {
                // What the page has lost, it has lost of its own picture.
                Event::Rtcp { packets, .. } => {
                    let asks = |packet: &_| matches!(packet, RtcpPacket::PictureLossIndication(_));
                    let video = state
                        .inbound
                        .iter()
                        .find(|(_, kind)| **kind == MediaKind::Video);
                    if let Some((track, _)) = video.filter(|_| packets.iter().any(asks)) {
                        state.pc.send_pli(*track, None)?;
                    }
                }
                Event::IceConnectionStateChange(state) => {
                    TOLD.lock()
                        .unwrap()
                        .push((Instant::now(), format!("ice {state}")));
                }
                Event::ConnectionStateChange(state) => {
                    TOLD.lock()
                        .unwrap()
                        .push((Instant::now(), format!("connection {state}")));
                }
                Event::IceCandidate(Some(candidate)) => {
                    state.page.say(&Signal::Ice(Some(candidate)))?;
                }
                // At first it is the page that offers.
                Event::NegotiationNeeded if !state.inbound.is_empty() => {
                    let offer = state.pc.create_offer().await?;
                    state.pc.set_local_description(offer.clone()).await?;
                    state.page.say(&Signal::Offer(offer))?;
                }
                Event::Track(track) => {
                    state.inbound.insert(track.id(), track.kind());
                }
                Event::Rtp {
                    track_id, packets, ..
                } => {
                    let kind = state.inbound[&track_id];
                    state.pc.send_rtp(state.outbound[&kind], packets)?;
                }
                _ => {}
            },
        }
        Ok(())
    }
}
