//! Both sides change what they send whenever they like: a page that runs W3C's example of perfect
//! negotiation in Chromium, and ours, each in either role.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::{Html, Response};
use axum::routing::get;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::jsep::{RtpSender, RtpTransceiver, RtpTransceiverDirection};
use ractor_webrtc::peer_connection::DtlsTransportState;
use ractor_webrtc::perfect_negotiation::{
    NegotiationEvent, PerfectNegotiation, PerfectNegotiationEvent, Politeness,
};
use ractor_webrtc::rtp::RtcpPacket;
use ractor_webrtc::{
    Event, MediaKind, MediaStreamTrack, PeerConnection, PeerConnectionState, PeerEvent, Rid,
    TrackId,
};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use self::browser::{Browser, Page};

#[tokio::test(flavor = "multi_thread")]
async fn c101_twenty_changes_of_both_sides_at_once_end_in_agreement_and_the_picture_goes_on() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let mut servers = serve().await;
    let (one, two) = (
        Call::begin(&browser, &mut servers, "polite=true").await,
        Call::begin(&browser, &mut servers, "polite=false").await,
    );
    tokio::join!(glare(&one), glare(&two));
}

#[tokio::test(flavor = "multi_thread")]
async fn c024_tracks_are_replaced_on_both_sides_without_negotiation() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let mut servers = serve().await;
    let call = Call::begin(&browser, &mut servers, "polite=true").await;
    call.wait_for_picture().await;
    call.settle().await;
    let before = call.server.pc.current_local_description().await.unwrap();
    for (source, width) in [("small()", 160), ("camera.getVideoTracks()[0]", 320)] {
        let () = call.page.eval(&format!("replace({source})")).await;
        let wide = format!("width().then(now => now === {width})");
        call.page.wait_until(&wide, PATIENCE).await;
        call.wait_for_picture().await;
    }
    // Ours: another track in its place, which nothing is sent on, and the first again.
    let sender = call.server.video_sender().await;
    let echo = sender.track().unwrap().clone();
    let other = MediaStreamTrack::new(MediaKind::Video, []);
    for track in [&other, &echo] {
        let replaced = call.server.pc.replace_track(sender.id(), Some(track));
        replaced.await.unwrap();
    }
    call.wait_for_picture().await;
    let after = call.server.pc.current_local_description().await.unwrap();
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn c017_a_direction_that_changes_stops_the_picture_and_starts_it_again() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let mut servers = serve().await;
    let call = Call::begin(&browser, &mut servers, "polite=false").await;
    call.wait_for_picture().await;
    call.settle().await;
    for round in 1..=2 {
        let () = call.page.eval("direct('recvonly')").await;
        call.settle().await;
        assert_eq!(call.server.heard().muted.len(), round);
        let () = call.page.eval("direct('sendrecv')").await;
        call.settle().await;
        call.wait_for_picture().await;
    }
    // And ours: the page is not sent its picture while we only receive.
    let video = call.server.video_transceiver().await;
    let directions = [
        RtpTransceiverDirection::RecvOnly,
        RtpTransceiverDirection::SendRecv,
    ];
    for direction in directions {
        let changed = call.server.pc.set_direction(video.id(), direction);
        changed.await.unwrap();
        call.settle().await;
    }
    call.wait_for_picture().await;
    assert_eq!(call.server.failures(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn c032_simulcast_that_is_offered_in_a_running_call_arrives_by_encoding() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let mut servers = serve().await;
    let call = Call::begin(&browser, &mut servers, "polite=true&width=640").await;
    call.wait_for_picture().await;
    let () = call.page.eval("simulcast()").await;
    call.settle().await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let heard = call.server.heard();
        let layered = heard.remote.iter().find(|track| track.rids().len() == 3);
        let layered = layered.expect("a track of three encodings").id();
        let rids = heard
            .packets
            .keys()
            .filter(|(track, rid)| *track == layered && rid.is_some());
        if rids.count() >= 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{heard:?}");
        sleep(Duration::from_millis(50)).await;
    }
    call.wait_for_picture().await;
    assert_eq!(call.server.failures(), Vec::<String>::new());
}

/// Chromium closes DTLS with the m-line that it was made for, and begins it anew for those that are
/// left. Ours had closed for good, and the picture stood still.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_stops_its_first_transceiver_keeps_the_others_and_may_add_it_again() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let mut servers = serve().await;
    for query in ["polite=true", "polite=false"] {
        let call = Call::begin(&browser, &mut servers, query).await;
        call.wait_for_picture().await;
        call.settle().await;
        // The microphone goes, and comes back.
        let () = call.page.eval("void pc.getTransceivers()[0].stop()").await;
        call.settle().await;
        call.wait_for_connection().await;
        call.wait_for_picture().await;
        let known = call.server.heard().remote.len();
        let () = call.page.eval("void add(tone.clone())").await;
        call.settle().await;
        call.server.wait_for_packets_of(known).await;
        call.wait_for_picture().await;
        // Now the camera comes first, and goes.
        let () = call.page.eval("void pc.getTransceivers()[0].stop()").await;
        call.settle().await;
        call.wait_for_connection().await;
        call.server.wait_for_packets_of(known).await;
        assert_eq!(call.server.failures(), Vec::<String>::new());
    }
}

async fn glare(call: &Call) {
    call.wait_for_picture().await;
    for round in 0..20 {
        let changed = format!("void change({round})");
        let changed = call.page.eval::<()>(&changed);
        tokio::join!(changed, call.server.change(round));
        call.settle().await;
    }
    call.wait_for_picture().await;
    let seen = call.seen().await;
    let collisions = seen.ignored + seen.rolled_back;
    assert!(collisions >= 10, "{seen:?}");
    // What was stopped makes room for what comes.
    assert!(seen.lines <= 16, "{seen:?}");
    assert_eq!(call.server.failures(), Vec::<String>::new());
}

/// Directions by mid, as the page has them; `None` where nothing is agreed on yet.
type Agreed = BTreeMap<String, Option<RtpTransceiverDirection>>;

/// A page, and our side of its call.
struct Call {
    page: Page,
    server: Server,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    signaling: String,
    agreed: Agreed,
    errors: Vec<String>,
    ignored: u32,
    rolled_back: u32,
    messages: u64,
    lines: usize,
}

impl Call {
    async fn begin(browser: &Browser, servers: &mut Servers, query: &str) -> Self {
        let page = browser.open(&format!("{}?{query}", servers.url)).await;
        let server = servers.started.recv().await.unwrap();
        let () = page.eval("start()").await;
        Self { page, server }
    }

    /// What comes back of the camera's picture, by way of our side.
    async fn wait_for_picture(&self) {
        let before: u32 = self.page.eval("decoded()").await;
        let more = format!("decoded().then(now => now >= {before} + 10)");
        self.page.wait_until(&more, PATIENCE).await;
    }

    async fn wait_for_connection(&self) {
        let connected = "pc.connectionState === 'connected'";
        self.page.wait_until(connected, PATIENCE).await;
        let deadline = Instant::now() + PATIENCE;
        while self.server.pc.connection_state() != PeerConnectionState::Connected
            || self.server.pc.dtls_transport_state() != DtlsTransportState::Connected
        {
            assert!(Instant::now() < deadline, "{:?}", self.server.heard());
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn seen(&self) -> Seen {
        self.page.eval("state()").await
    }

    /// Until both sides say the same, and nothing more for a while.
    async fn settle(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut before = u64::MAX;
        loop {
            sleep(DELAY * 6).await;
            let seen = self.seen().await;
            assert_eq!(seen.errors, Vec::<String>::new(), "{}", self.page.log());
            let ours = self.server.agreed().await;
            let agreed = seen.signaling == "stable" && ours.as_ref() == Some(&seen.agreed);
            if agreed && seen.messages == before {
                return;
            }
            assert!(Instant::now() < deadline, "{seen:?}\nours: {ours:?}");
            before = seen.messages;
        }
    }
}

/// Our side of one call, as the test sees it.
struct Server {
    pc: PeerConnection,
    heard: Arc<Mutex<Heard>>,
}

/// What our side's owner was told.
#[derive(Clone, Debug, Default)]
struct Heard {
    remote: Vec<MediaStreamTrack>,
    muted: Vec<TrackId>,
    dtls: Vec<DtlsTransportState>,
    packets: HashMap<(TrackId, Option<Rid>), u64>,
    failures: Vec<String>,
}

impl Server {
    async fn change(&self, round: usize) {
        let transceivers = self.pc.transceivers().await.unwrap();
        let live = transceivers.iter().filter(|one| !one.is_stopping());
        let newest = live.skip(2).last();
        let track = |kind| MediaStreamTrack::new(kind, [MediaStreamTrack::generate_stream_id()]);
        match (round % 7, newest) {
            (2, Some(newest)) => self.pc.stop_transceiver(newest.id()).await.unwrap(),
            (3, Some(newest)) => {
                let wanted = RtpTransceiverDirection::SendOnly;
                // The page may have stopped it at this very moment.
                let _stopped = self.pc.set_direction(newest.id(), wanted).await;
            }
            (4, Some(newest)) => self.pc.remove_track(newest.sender().id()).await.unwrap(),
            (5, _) => self.pc.restart_ice().await.unwrap(),
            (1, _) => drop(self.pc.add_track(&track(MediaKind::Audio)).await.unwrap()),
            _ => drop(self.pc.add_track(&track(MediaKind::Video)).await.unwrap()),
        }
    }

    /// `None` while something has no m-line yet.
    async fn agreed(&self) -> Option<Agreed> {
        let transceivers = self.pc.transceivers().await.unwrap();
        let of_the_page = |direction| match direction {
            RtpTransceiverDirection::SendOnly => RtpTransceiverDirection::RecvOnly,
            RtpTransceiverDirection::RecvOnly => RtpTransceiverDirection::SendOnly,
            same => same,
        };
        let of = |one: &RtpTransceiver| {
            let direction = one.current_direction().map(of_the_page);
            Some((one.mid()?.to_string(), direction))
        };
        let live = transceivers.iter().filter(|one| !one.is_stopped());
        live.map(of).collect()
    }

    async fn transceivers(&self) -> Vec<RtpTransceiver> {
        self.pc.transceivers().await.unwrap()
    }

    /// That of the picture which goes back.
    async fn video_transceiver(&self) -> RtpTransceiver {
        let transceivers = self.transceivers().await.into_iter();
        let mut video = transceivers.filter(|one| one.kind() == MediaKind::Video);
        video.next().unwrap()
    }

    async fn video_sender(&self) -> RtpSender {
        self.video_transceiver().await.sender().clone()
    }

    /// Until more arrives on the remote track after the first `known` ones.
    async fn wait_for_packets_of(&self, known: usize) {
        let count = || {
            let heard = self.heard();
            let track = heard.remote.get(known).map(MediaStreamTrack::id);
            let of_the_track = heard
                .packets
                .iter()
                .filter(|((from, _), _)| Some(*from) == track);
            of_the_track.map(|(_, count)| count).sum::<u64>()
        };
        let (before, deadline) = (count(), Instant::now() + PATIENCE);
        while count() < before + 10 {
            assert!(Instant::now() < deadline, "{:?}", self.heard());
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn heard(&self) -> Heard {
        self.heard.lock().unwrap().clone()
    }

    fn failures(&self) -> Vec<String> {
        self.heard().failures
    }
}

/// Where pages come from, and our sides as they begin.
struct Servers {
    url: String,
    started: mpsc::UnboundedReceiver<Server>,
}

async fn serve() -> Servers {
    let (starts, started) = mpsc::unbounded_channel();
    let page = Html(include_str!("fixtures/negotiation.html"));
    let app = Router::new()
        .route("/", get(async move || page))
        .route("/ws", get(enter))
        .with_state(starts);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Servers { url, started }
}

#[derive(Deserialize)]
struct Parameters {
    /// Whether the page is.
    polite: bool,
}

async fn enter(
    Query(parameters): Query<Parameters>,
    State(starts): State<mpsc::UnboundedSender<Server>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let politeness = if parameters.polite {
        Politeness::Impolite
    } else {
        Politeness::Polite
    };
    upgrade.on_upgrade(move |socket| async move {
        let (says, said) = mpsc::unbounded_channel();
        let arguments = OwnerArguments {
            politeness,
            says,
            starts,
        };
        let (owner, _) = Actor::spawn(None, Owner, arguments).await.unwrap();
        carry(socket, owner.clone(), said).await;
        owner.stop(None);
    })
}

/// Each way takes a while, so that what is said at the same time meets on the way.
async fn carry(
    mut socket: WebSocket,
    owner: ActorRef<OwnerMessage>,
    mut said: mpsc::UnboundedReceiver<String>,
) {
    let (mut to_page, mut to_owner) = (Delayed::default(), Delayed::default());
    loop {
        tokio::select! {
            text = said.recv() => {
                let Some(text) = text else { return };
                to_page.push(text);
            }
            message = socket.recv() => {
                let Some(Ok(message)) = message else { return };
                let Message::Text(text) = message else { continue };
                to_owner.push(text.to_string());
            }
            text = to_page.next() => {
                if socket.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            text = to_owner.next() => {
                if owner.cast(OwnerMessage::Page(text)).is_err() {
                    return;
                }
            }
        }
    }
}

#[derive(Default)]
struct Delayed(std::collections::VecDeque<(Instant, String)>);

impl Delayed {
    fn push(&mut self, text: String) {
        self.0.push_back((Instant::now() + DELAY, text));
    }

    /// Never, while there is none.
    async fn next(&mut self) -> String {
        let Some((due, _)) = self.0.front() else {
            return std::future::pending().await;
        };
        sleep_until(*due).await;
        self.0.pop_front().unwrap().1
    }
}

/// Our side: negotiates, and sends the page's first picture back.
struct Owner;

struct OwnerArguments {
    politeness: Politeness,
    says: mpsc::UnboundedSender<String>,
    starts: mpsc::UnboundedSender<Server>,
}

struct OwnerState {
    pc: PeerConnection,
    negotiation: PerfectNegotiation,
    says: mpsc::UnboundedSender<String>,
    heard: Arc<Mutex<Heard>>,
    /// Goes back on this.
    echo: TrackId,
    camera: Option<TrackId>,
}

enum OwnerMessage {
    Page(String),
    Peer(PeerEvent),
    Negotiation(PerfectNegotiationEvent),
}

impl From<PeerEvent> for OwnerMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

impl From<PerfectNegotiationEvent> for OwnerMessage {
    fn from(event: PerfectNegotiationEvent) -> Self {
        Self::Negotiation(event)
    }
}

impl Actor for Owner {
    type Msg = OwnerMessage;
    type State = OwnerState;
    type Arguments = OwnerArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<OwnerMessage>,
        arguments: OwnerArguments,
    ) -> Result<OwnerState, ActorProcessingErr> {
        let OwnerArguments {
            politeness,
            says,
            starts,
        } = arguments;
        let pc = PeerConnection::builder()
            .include_loopback(true)
            .spawn_linked(&myself)
            .await?;
        let negotiation = PerfectNegotiation::spawn_linked(&pc, politeness, &myself).await?;
        let stream = MediaStreamTrack::generate_stream_id();
        let [audio, video] = [MediaKind::Audio, MediaKind::Video]
            .map(|kind| MediaStreamTrack::new(kind, [stream.clone()]));
        pc.add_track(&audio).await?;
        pc.add_track(&video).await?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        starts.send(Server {
            pc: pc.clone(),
            heard: Arc::clone(&heard),
        })?;
        Ok(OwnerState {
            pc,
            negotiation,
            says,
            heard,
            echo: video.id(),
            camera: None,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<OwnerMessage>,
        message: OwnerMessage,
        state: &mut OwnerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            OwnerMessage::Page(text) => state.negotiation.receive(serde_json::from_str(&text)?),
            OwnerMessage::Negotiation(PerfectNegotiationEvent { event, .. }) => match event {
                NegotiationEvent::Send(message) => {
                    state.says.send(serde_json::to_string(&message)?)?;
                }
                NegotiationEvent::Failed(error) => {
                    let failures = &mut state.heard.lock().unwrap().failures;
                    failures.push(format!("{error}: {error:?}"));
                }
                _ => {}
            },
            OwnerMessage::Peer(event) => {
                state.negotiation.handle_event(&event);
                state.take(event.event)?;
            }
        }
        Ok(())
    }
}

impl OwnerState {
    fn take(&mut self, event: Event) -> Result<(), ActorProcessingErr> {
        match event {
            Event::Track(track) => {
                if track.kind() == MediaKind::Video {
                    self.camera.get_or_insert_with(|| track.id());
                }
                let remote = &mut self.heard.lock().unwrap().remote;
                if remote.iter().all(|known| known.id() != track.id()) {
                    remote.push(track);
                }
            }
            Event::DtlsTransportStateChange(state) => self.heard.lock().unwrap().dtls.push(state),
            Event::TrackMuted(track) => self.heard.lock().unwrap().muted.push(track),
            Event::Rtp {
                track_id,
                rid,
                packets,
            } => {
                let count = packets.len() as u64;
                let counted = &mut self.heard.lock().unwrap().packets;
                *counted.entry((track_id, rid)).or_default() += count;
                if self.camera == Some(track_id) {
                    // It may just have been replaced by another.
                    let _not_sent = self.pc.send_rtp(self.echo, packets);
                }
            }
            Event::Rtcp { packets, .. } => {
                let asks = |packet: &_| matches!(packet, RtcpPacket::PictureLossIndication(_));
                if let Some(camera) = self.camera.filter(|_| packets.iter().any(asks)) {
                    self.pc.send_pli(camera, None)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Of signalling, each way.
const DELAY: Duration = Duration::from_millis(15);

const PATIENCE: Duration = Duration::from_secs(15);
