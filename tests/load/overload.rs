//! Ten times what a camera sends in real time: by hand to an owner that manages half of it, and to viewers by route.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::configuration::MediaFeature;
use ractor_webrtc::peer_connection::{Event, PeerEvent, RouteSource, RtpDelivery};
use ractor_webrtc::{MediaConfiguration, MediaKind, PeerConnectionBuilder};
use str0m::format::Codec;
use str0m::media::Mid;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use crate::common::clients::{Clients, write_frame};
use crate::common::owner::{Calm, Ours, loopback, shared_endpoint};
use crate::common::session::Session;
use crate::common::str0m_peer::{Str0mEvent, Str0mPeer};
use crate::common::{PATIENCE, eventually};
use crate::counts::{Counts, heap, kibibytes};

/// Floods for so many seconds, then sends what a camera does.
pub(crate) async fn run(seconds: u64) {
    let root = Calm::spawn().await;
    let (socket, endpoint) = shared_endpoint().await;
    let before = Counts::at_rest(&root.get_cell(), 0).await;
    let stage = Stage::set(settings().endpoint(endpoint), &root).await;
    stage.times.store(OVERLOAD, Ordering::Relaxed);
    let mut watched = stage.watch(Duration::from_secs(seconds)).await;
    println!("overload: {}", stage.told().await);
    stage.times.store(1, Ordering::Relaxed);
    let recovered = stage.recovers().await;
    println!("overload: {}", watched.told());
    println!("overload: both have media of now {recovered:.1?} after its end");
    watched.hold(seconds);
    // Among other tests the machine is busy with them.
    let bound = if seconds < FULL {
        PATIENCE
    } else {
        Duration::from_secs(1)
    };
    assert!(recovered < bound, "{recovered:?}");
    stage.end().await;
    let after = Counts::at_rest(&root.get_cell(), 0).await;
    assert_eq!((after.actors, after.tasks), (before.actors, before.tasks));
    assert_eq!(after.descriptors, before.descriptors);
    root.stop_and_wait(None, None).await.unwrap();
    socket.stop_and_wait(None, None).await.unwrap();
}

/// Without estimates and repairs: clients that get no time of a busy machine are to us what a narrow path is, and this is about us.
fn settings() -> PeerConnectionBuilder {
    let media = MediaConfiguration::builder()
        .feature(MediaFeature::TransportWideFeedback, false)
        .feature(MediaFeature::Nack, false);
    loopback().media(media.build().unwrap())
}

/// A camera, its slow owner, and a wall of screens.
struct Stage {
    camera: Ours,
    wall: Ours,
    slow: ActorRef<PeerEvent>,
    by_owner: Arc<Seen>,
    by_viewer: Arc<Seen>,
    /// Of what a camera sends.
    times: Arc<AtomicU64>,
    offered: Arc<AtomicU64>,
    builder: PeerConnectionBuilder,
    /// With all that runs there.
    _clients: Clients,
}

impl Stage {
    async fn set(builder: PeerConnectionBuilder, root: &ActorRef<()>) -> Self {
        let clients = Clients::start();
        let camera = clients.connect(builder.clone(), 1).await;
        let wall = clients.connect(builder.clone(), SCREENS).await;
        let (peer, picture) = (&camera.ours.peer, camera.ours.remote_track(KIND).id());
        route(&wall.ours, RouteSource::new(peer, picture)).await;
        peer.set_rtp_delivery(picture, RtpDelivery::Always).unwrap();
        let clock = Instant::now();
        let [by_owner, by_viewer] = [(); 2].map(|()| Arc::new(Seen::new(clock)));
        let slow = Actor::spawn_linked(None, Slow, Arc::clone(&by_owner), root.get_cell());
        let (slow, _) = slow.await.unwrap();
        peer.set_owner(&slow).await.unwrap();
        let (times, offered) = (Arc::new(AtomicU64::new(1)), Arc::<AtomicU64>::default());
        let mid = camera.mid(KIND);
        let payload_type = camera.theirs.payload_type(mid, Codec::Vp8).await.unwrap();
        let Session { ours, theirs, .. } = camera;
        let film = Film {
            client: theirs,
            mid,
            payload_type,
            times: Arc::clone(&times),
            offered: Arc::clone(&offered),
            clock,
        };
        clients.runtime().spawn(film.run());
        let screens = watch_screens(wall.theirs, Arc::clone(&by_viewer));
        clients.runtime().spawn(screens);
        Self {
            camera: ours,
            wall: wall.ours,
            slow,
            by_owner,
            by_viewer,
            times,
            offered,
            builder,
            _clients: clients,
        }
    }

    /// Asks all the time what a program may ask while media flows, and looks at the heap.
    async fn watch(&self, time: Duration) -> Watched {
        let mut watched = Watched::default();
        let began = Instant::now();
        let mut beat = interval(PROBE);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while began.elapsed() < time {
            beat.tick().await;
            let asked = Instant::now();
            self.camera.peer.get_stats(None).await.unwrap();
            watched.answers.push(asked.elapsed());
            let asked = Instant::now();
            self.wall.peer.transceivers().await.unwrap();
            watched.answers.push(asked.elapsed());
            let asked = Instant::now();
            let another = Ours::spawn(self.builder.clone()).await;
            another.peer.create_offer().await.unwrap();
            watched.newcomers.push(asked.elapsed());
            another.peer.close().await;
            watched.heap.push(heap());
        }
        watched
    }

    async fn told(&self) -> String {
        let stats = self.camera.peer.media_stats().await.unwrap();
        format!(
            "{} packets offered, {} taken by the owner and {} dropped before it, {} by the screens",
            self.offered.load(Ordering::Relaxed),
            self.by_owner.packets.load(Ordering::Relaxed),
            stats.owner_overflow,
            self.by_viewer.packets.load(Ordering::Relaxed),
        )
    }

    /// From the end of the flood until both owner and viewer get what is sent now.
    async fn recovers(&self) -> Duration {
        let ended = self.by_owner.clock.elapsed();
        eventually(PATIENCE, "media of now", async || {
            let seen = [&self.by_owner, &self.by_viewer];
            seen.iter()
                .all(|seen| seen.is_live_since(ended))
                .then_some(())
        })
        .await;
        self.by_owner.clock.elapsed() - ended
    }

    async fn end(self) {
        self.slow.stop(None);
        self.slow.wait(Some(PATIENCE)).await.unwrap();
    }
}

async fn route(wall: &Ours, source: RouteSource) {
    for sender in wall.peer.senders().await.unwrap() {
        let track = sender.track().unwrap();
        if track.kind() == KIND {
            let set = wall.peer.set_route(track.id(), source.clone());
            set.await.unwrap();
        }
    }
}

/// What was asked during the flood, and how it was answered.
#[derive(Default)]
struct Watched {
    answers: Vec<Duration>,
    newcomers: Vec<Duration>,
    heap: Vec<usize>,
}

impl Watched {
    fn told(&mut self) -> String {
        self.answers.sort_unstable();
        self.newcomers.sort_unstable();
        format!(
            "answers: {}; a new peer and its offer: {}; heap {:.0} … {:.0} KiB at most in the two halves",
            spread(&self.answers),
            spread(&self.newcomers),
            kibibytes(self.halves()[0]),
            kibibytes(self.halves()[1]),
        )
    }

    /// The most in each half of the time.
    fn halves(&self) -> [usize; 2] {
        let (first, second) = self.heap.split_at(self.heap.len() / 2);
        [first, second].map(|half| half.iter().copied().max().unwrap_or_default())
    }

    fn hold(&self, seconds: u64) {
        let slowest = if seconds < FULL {
            nearly_all(&self.answers)
        } else {
            self.answers[self.answers.len() - 1]
        };
        assert!(
            slowest < Duration::from_millis(100),
            "an answer took {slowest:?}"
        );
        let [first, second] = self.halves();
        assert!(
            second < first + first / 10 + SLACK,
            "heap grows: {first} … {second}"
        );
    }
}

fn spread(sorted: &[Duration]) -> String {
    let median = sorted[sorted.len() / 2];
    let most = sorted[sorted.len() - 1];
    format!(
        "{} of {median:.1?} (median), {:.1?} (p90), {most:.1?} (longest)",
        sorted.len(),
        nearly_all(sorted)
    )
}

fn nearly_all(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() * 9 / 10]
}

/// The camera at the other side.
struct Film {
    client: Str0mPeer,
    mid: Mid,
    payload_type: u8,
    times: Arc<AtomicU64>,
    offered: Arc<AtomicU64>,
    clock: Instant,
}

impl Film {
    async fn run(self) {
        let mut number = 1_000;
        let mut beat = interval(FRAME);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            beat.tick().await;
            for _ in 0..self.times.load(Ordering::Relaxed) {
                let (mid, payload_type, first) = (self.mid, self.payload_type, number);
                let stamp = self.clock.elapsed().as_micros() as u64;
                let write = self.client.with(move |rtc| {
                    let payload = |_| stamped(stamp);
                    write_frame(rtc, mid, payload_type, first, FRAME_PACKETS, payload);
                });
                write.await;
                number += FRAME_PACKETS;
                self.offered.fetch_add(FRAME_PACKETS, Ordering::Relaxed);
            }
        }
    }
}

async fn watch_screens(mut client: Str0mPeer, seen: Arc<Seen>) {
    while let Some(event) = client.event().await {
        if let Str0mEvent::Rtp(packet) = event {
            seen.note(&packet.payload);
        }
    }
}

/// The start of a VP8 keyframe (RFC 7741 §4.2, §4.3), and when it was made.
fn stamped(micros: u64) -> Vec<u8> {
    let mut payload = vec![0; PAYLOAD];
    payload[0] = 0x10;
    payload[STAMP].copy_from_slice(&micros.to_be_bytes());
    payload
}

/// What has arrived somewhere.
struct Seen {
    clock: Instant,
    packets: AtomicU64,
    /// When the newest was made, in microseconds.
    made: AtomicU64,
    /// How old it was when it came.
    age: AtomicU64,
}

impl Seen {
    fn new(clock: Instant) -> Self {
        Self {
            clock,
            packets: AtomicU64::default(),
            made: AtomicU64::default(),
            age: AtomicU64::default(),
        }
    }

    fn note(&self, payload: &[u8]) {
        let Some(Ok(stamp)) = payload.get(STAMP).map(TryInto::try_into) else {
            return;
        };
        let made = u64::from_be_bytes(stamp);
        let age = (self.clock.elapsed().as_micros() as u64).saturating_sub(made);
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.made.store(made, Ordering::Relaxed);
        self.age.store(age, Ordering::Relaxed);
    }

    fn is_live_since(&self, since: Duration) -> bool {
        u128::from(self.made.load(Ordering::Relaxed)) > since.as_micros()
            && u128::from(self.age.load(Ordering::Relaxed)) < LIVE.as_micros()
    }
}

/// An owner that takes its time with each packet.
struct Slow;

/// What it has seen, and when it is done with that.
struct SlowState {
    seen: Arc<Seen>,
    free_at: tokio::time::Instant,
}

impl Actor for Slow {
    type Msg = PeerEvent;
    type State = SlowState;
    type Arguments = Arc<Seen>;

    async fn pre_start(
        &self,
        _: ActorRef<PeerEvent>,
        seen: Arc<Seen>,
    ) -> Result<SlowState, ActorProcessingErr> {
        Ok(SlowState {
            seen,
            free_at: tokio::time::Instant::now(),
        })
    }

    async fn handle(
        &self,
        _: ActorRef<PeerEvent>,
        event: PeerEvent,
        state: &mut SlowState,
    ) -> Result<(), ActorProcessingErr> {
        if let Event::Rtp { packets, .. } = event.event {
            // Sleeps are of whole milliseconds; what one was too long, the next is shorter.
            let earliest = tokio::time::Instant::now() - Duration::from_millis(5);
            state.free_at = state.free_at.max(earliest) + SLOWNESS * packets.len() as u32;
            sleep_until(state.free_at).await;
            for packet in packets.iter() {
                state.seen.note(packet.payload());
            }
        }
        Ok(())
    }
}

/// So many seconds are the proof; fewer are a test among others.
const FULL: u64 = 60;

const KIND: MediaKind = MediaKind::Video;

/// Of what a camera sends.
const OVERLOAD: u64 = 10;

/// Each packet is sent to so many.
const SCREENS: usize = 4;

/// Thirty pictures a second, of 16 packets of 1100 bytes: 4.2 Mbit/s.
const FRAME: Duration = Duration::from_micros(33_333);
const FRAME_PACKETS: u64 = 16;
const PAYLOAD: usize = 1_100;
const STAMP: std::ops::Range<usize> = 8..16;

/// Five times what a camera sends, half of the flood.
const SLOWNESS: Duration = Duration::from_micros(417);

const PROBE: Duration = Duration::from_millis(50);

/// Media that comes so soon is of now.
const LIVE: Duration = Duration::from_millis(100);

const SLACK: usize = 1 << 20;
