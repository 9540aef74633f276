//! What the log tells of peers: whose each line is, what an operator finds in it, and that media leaves no trace there.
#![allow(clippy::unwrap_used)]

mod common;

use std::fmt;
use std::sync::{Arc, Mutex};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::jsep::SessionDescription;
use ractor_webrtc::peer_connection::{PeerConnectionBuilder, PeerConnectionState};
use ractor_webrtc::supervision::ChildSpec;
use ractor_webrtc::{Event as PeerEvent, MediaKind, PeerConnection, Supervisor};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::{connect_ours, with_other_fingerprint};
use self::common::{PATIENCE, eventually};

#[tokio::test]
async fn every_line_is_in_the_span_of_the_peer_that_it_speaks_of() {
    let (log, _guard) = Log::listen(LevelFilter::TRACE);
    let mut alice = Ours::spawn(named("alice")).await;
    let mut bob = Ours::spawn(named("bob")).await;
    let ids = [&alice, &bob].map(|it| it.peer.id().to_string());
    connect_ours(&mut alice, &mut bob, None).await;
    for ours in [&mut alice, &mut bob] {
        ours.peer.close().await;
        ours.expect_closed().await;
    }
    let lines = log.lines();
    for line in &lines {
        let peer = line.peer.as_ref();
        let (id, label) = peer.unwrap_or_else(|| panic!("nobody's: {line:?}"));
        let number = ids.iter().position(|it| it == id).unwrap();
        assert_eq!(label, ["alice", "bob"][number]);
    }
    // Something of each room.
    for room in ["peer_connection", "ice", "dtls", "rtp_transport"] {
        let target = format!("ractor_webrtc::{room}");
        let told = |id: &str| {
            lines
                .iter()
                .any(|it| it.is_of(id) && it.target.starts_with(&target))
        };
        assert!(ids.iter().all(|id| told(id)), "{room} of both");
    }
}

#[tokio::test]
async fn the_life_of_a_peer_is_told_at_info_in_the_order_in_which_it_happens() {
    let (log, _guard) = Log::listen(LevelFilter::INFO);
    let mut alice = Ours::spawn(named("alice")).await;
    let mut bob = Ours::spawn(loopback()).await;
    connect_ours(&mut alice, &mut bob, None).await;
    alice.peer.close().await;
    alice.expect_closed().await;
    let id = alice.peer.id().to_string();
    let told: Vec<String> = log
        .lines()
        .into_iter()
        .filter(|line| line.is_of(&id))
        .map(|line| line.text)
        .collect();
    let begins_with = [
        "track track=",
        "track track=",
        "connection state=connecting",
        "path selected local=",
        "dtls done profile=Aead",
        "connection state=connected",
    ];
    for (line, begin) in told.iter().zip(begins_with) {
        assert!(line.starts_with(begin), "{told:#?}");
    }
    assert_eq!(told.last().unwrap(), "closed reason=Requested");
}

#[tokio::test]
async fn a_log_of_warnings_alone_says_whose_they_are_and_why_it_failed() {
    let (log, _guard) = Log::listen(LevelFilter::WARN);
    let mut alice = Ours::spawn(named("alice")).await;
    let mut bob = Ours::spawn(loopback()).await;
    let offer = alice.offer().await;
    let answer = bob.answer(&offer).await;
    alice.accept_answer(&with_other_fingerprint(&answer)).await;
    alice.expect_state(PeerConnectionState::Failed).await;
    let id = alice.peer.id().to_string();
    let lines = log.lines();
    let told: Vec<&str> = lines
        .iter()
        .filter(|line| line.is_of(&id))
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "dtls failed error=the remote certificate does not match its signalled fingerprint",
            "connection state=failed",
        ]
    );
}

#[tokio::test]
async fn a_refused_operation_is_told_with_its_reason() {
    let (log, _guard) = Log::listen(LevelFilter::DEBUG);
    let alice = Ours::spawn(named("alice")).await;
    let answer = SessionDescription::answer("v=0\r\n");
    alice.peer.set_remote_description(answer).await.unwrap_err();
    let lines = log.lines();
    let mut refused = lines
        .iter()
        .filter(|it| it.text.starts_with("an operation"));
    let line = refused.next().unwrap();
    assert_eq!(line.level, Level::DEBUG);
    assert_eq!(line.peer.as_ref().unwrap().1, "alice");
    assert!(line.text.contains("error="), "{line:?}");
}

#[tokio::test]
async fn starts_ends_and_restarts_of_supervised_children_are_told_with_their_names() {
    let (log, _guard) = Log::listen(LevelFilter::DEBUG);
    let child = ChildSpec::actor("idle", || (Idle, ()));
    let supervisor = Supervisor::builder().child(child).spawn().await.unwrap();
    let idle: ActorRef<()> = supervisor.child("idle").await.unwrap().unwrap();
    idle.kill();
    eventually(PATIENCE, "another child", async || {
        let next = supervisor.child::<()>("idle").await.unwrap()?;
        (next.get_id() != idle.get_id()).then_some(())
    })
    .await;
    supervisor.stop().await;
    let lines = log.lines().into_iter();
    let told: Vec<_> = lines
        .filter(|line| line.target.starts_with("ractor_webrtc::supervision"))
        .map(|line| (line.level, line.text))
        .collect();
    let expected = [
        (Level::DEBUG, "child started child=idle"),
        (Level::WARN, "child ended child=idle end=was killed"),
        (Level::INFO, "children are started again because=idle"),
        (Level::DEBUG, "child started child=idle"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for ((level, text), (wanted, begin)) in told.iter().zip(expected) {
        assert!(*level == wanted && text.starts_with(begin), "{told:#?}");
    }
}

/// Does nothing, for as long as it may.
struct Idle;

impl Actor for Idle {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

#[tokio::test]
async fn media_writes_no_line_and_enters_no_span() {
    let (log, _guard) = Log::listen(LevelFilter::DEBUG);
    let mut alice = Ours::spawn(named("alice")).await;
    let mut bob = Ours::spawn(named("bob")).await;
    connect_ours(&mut alice, &mut bob, None).await;
    send(&alice.peer, &alice, 0..1);
    bob.expect_rtp().await;
    let (lines, entered) = (log.lines().len(), log.entered());
    send(&alice.peer, &alice, 1..COUNT);
    let mut missing = usize::from(COUNT) - 1;
    while missing > 0 {
        missing -= bob.expect("media", packets).await;
    }
    assert_eq!(log.lines()[lines..], []);
    // Reports and feedback have timers, and those of a second or two are not many.
    let entered = log.entered() - entered;
    assert!(entered < usize::from(COUNT) / 4, "{entered} times");
}

fn named(label: &str) -> PeerConnectionBuilder {
    loopback().label(label)
}

/// Packets of the sound track, each in a batch of its own.
fn send(peer: &PeerConnection, ours: &Ours, numbers: std::ops::Range<u16>) {
    let track = ours.local_track(MediaKind::Audio).id();
    for number in numbers {
        let packet = rtp_packet(111, number, u32::from(number) * 960, false, vec![1; 50]);
        peer.send_rtp(track, packet).unwrap();
    }
}

fn packets(event: &PeerEvent) -> Option<usize> {
    let PeerEvent::Rtp { packets, .. } = event else {
        return None;
    };
    Some(packets.len())
}

/// Everything that this crate has told on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    lines: Vec<Line>,
    entered: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Line {
    level: Level,
    target: String,
    /// The message, then the fields.
    text: String,
    /// Id and label in the nearest span of a peer.
    peer: Option<(String, String)>,
}

impl Line {
    fn is_of(&self, id: &str) -> bool {
        self.peer.as_ref().is_some_and(|(peer, _)| peer == id)
    }
}

impl Log {
    /// Listens until the guard is dropped. A test has its thread for itself, with all its actors.
    fn listen(level: LevelFilter) -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = tracing_subscriber::registry()
            .with(log.clone().with_filter(level))
            .set_default();
        (log, guard)
    }

    fn lines(&self) -> Vec<Line> {
        self.0.lock().unwrap().lines.clone()
    }

    /// How often a peer's span was entered.
    fn entered(&self) -> usize {
        self.0.lock().unwrap().entered
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Log {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(fields);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if context.span(id).unwrap().name() == "peer" {
            self.0.lock().unwrap().entered += 1;
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if !metadata.target().starts_with("ractor_webrtc") {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut spans = context.event_scope(event).into_iter().flatten();
        let peer = spans.find(|span| span.name() == "peer").map(|span| {
            let extensions = span.extensions();
            let of = extensions.get::<Fields>().unwrap();
            (of.get("id"), of.get("label"))
        });
        self.0.lock().unwrap().lines.push(Line {
            level: *metadata.level(),
            target: metadata.target().to_owned(),
            text: fields.to_string(),
            peer,
        });
    }
}

/// Fields of a span or a line, as text.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn get(&self, name: &str) -> String {
        let mut fields = self.0.iter();
        fields
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.push((field.name(), value.to_string()));
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.get("message"))?;
        for (name, value) in self.0.iter().filter(|(name, _)| *name != "message") {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// Packets that are sent one by one.
const COUNT: u16 = 1_000;
