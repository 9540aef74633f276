//! A room to which everything happens that happens to rooms, for as long as one likes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ractor::ActorCell;
use ractor_webrtc::faults::{Fault, Hook, Injected};
use ractor_webrtc::room::{JoinRequest, ParticipantId, RoomLimits};
use ractor_webrtc::{Certificate, MediaKind, MediaStreamTrack, PeerConnectionState};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::common::link::Link;
use crate::common::owner::{Calm, loopback};
use crate::counts::{Counts, descendants};
use crate::hall::Hall;
use crate::page::{Page, PageOptions};
use crate::panics;

/// Comings, goings and crashes for so many seconds, in stretches. At the end of each the room has to come to itself, then everybody
/// goes, and nothing may be left.
pub(crate) async fn run(seconds: u64) {
    let root = Calm::spawn().await;
    let certificate = Certificate::generate().unwrap();
    let ends_at = Instant::now() + Duration::from_secs(seconds);
    let stretch = Duration::from_secs((seconds / STRETCHES).clamp(SHORTEST, LONGEST));
    let mut record = Record::default();
    let mut counted: Vec<Counts> = Vec::new();
    while Instant::now() < ends_at {
        let seed = counted.len() as u64;
        let mut soak = Soak::open(&certificate, seed).await;
        soak.go_on_for(stretch, &mut record).await;
        soak.comes_to_itself(&mut record).await;
        drop(soak);
        let counts = Counts::at_rest(&root.get_cell(), 0).await;
        println!("soak: {} left to go, {record}: {counts}", left(ends_at));
        counted.push(counts);
        panics::expect_no_other();
    }
    println!("soak: why visits ended: {:?}", record.ends);
    println!("soak: what was done to it: {:?}", record.done);
    // The first stretches fill tables and buffers.
    let warm = &counted[counted.len() / 4];
    counted.last().unwrap().hold_since(warm);
    root.stop_and_wait(None, None).await.unwrap();
}

/// What has happened.
#[derive(Default)]
struct Record {
    done: BTreeMap<&'static str, usize>,
    ends: BTreeMap<String, usize>,
    /// The longest that one who was there did not hear another.
    longest_silence: Duration,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let done = |what| self.done.get(what).copied().unwrap_or_default();
        let crashes: usize = (self.done.iter())
            .filter_map(|(what, count)| what.starts_with("crash").then_some(count))
            .sum();
        write!(
            f,
            "{} joined, {crashes} crashes, {} panics on purpose, longest silence {:.1?}",
            done("join"),
            panics::injected(),
            self.longest_silence,
        )
    }
}

/// One room and those who are there.
struct Soak {
    hall: Hall,
    certificate: Certificate,
    guests: Vec<Guest>,
    random: StdRng,
    joined: u64,
    /// What is to happen yet.
    faults: Vec<Injected>,
}

/// A page that is there, or about to be.
struct Guest {
    page: Page,
    /// It has asked to be let in, or has begun to be heard.
    since: Instant,
    is_connected: bool,
    /// Of its own side something was crashed: what it hears says nothing any more.
    goes_at: Option<Instant>,
    /// When both sound and pictures of another came last.
    heard: HashMap<ParticipantId, HashMap<MediaKind, Instant>>,
}

impl Soak {
    async fn open(certificate: &Certificate, seed: u64) -> Self {
        Self {
            hall: open_hall(certificate).await,
            certificate: certificate.clone(),
            guests: Vec::new(),
            random: StdRng::seed_from_u64(seed),
            joined: seed << 32,
            faults: Vec::new(),
        }
    }

    async fn go_on_for(&mut self, time: Duration, record: &mut Record) {
        let ends_at = Instant::now() + time;
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < ends_at {
            beat.tick().await;
            self.look(record);
            self.expect_nobody_stuck();
            if self.room().is_none() {
                self.reopen(|_| {}).await;
            }
            let dice = self.random.random_range(0..100);
            let crowded = self.guests.len() >= MOST;
            match dice {
                _ if self.guests.len() < FEWEST => self.join(record).await,
                0..15 if !crowded => self.join(record).await,
                15..22 => self.leave(record).await,
                22..30 => self.crash(record).await,
                30..34 => self.inject(record),
                _ => {}
            }
        }
    }

    /// Nothing more is done to it: in the end all hear all.
    async fn comes_to_itself(&mut self, record: &mut Record) {
        let began = Instant::now();
        self.forget_faults(record, 0);
        if self.room().is_none() {
            self.reopen(|_| {}).await;
        }
        for guest in &mut self.guests {
            guest.heard.clear();
        }
        loop {
            self.look(record);
            self.expect_nobody_stuck();
            let all = self.guests.iter().all(|guest| {
                let mut others = self.guests.iter().filter(|other| other.id() != guest.id());
                others.all(|other| guest.hears(other.id()).is_some())
            });
            let doomed = self.guests.iter().any(|guest| guest.goes_at.is_some());
            if all && !doomed {
                return;
            }
            assert!(began.elapsed() < STUCK, "the room does not come to itself");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sees who has come, who is heard, and who has gone.
    fn look(&mut self, record: &mut Record) {
        let now = Instant::now();
        let ids: Vec<ParticipantId> = self.guests.iter().map(Guest::id).collect();
        self.guests.retain_mut(|guest| {
            if let Some(end) = guest.look(now, &ids) {
                *record.ends.entry(end).or_default() += 1;
                return false;
            }
            true
        });
        for (guest, other, silence) in self.silences() {
            if silence > record.longest_silence {
                if silence > REMARKABLE {
                    println!("soak: {guest} has not heard {other} for {silence:.1?}");
                }
                record.longest_silence = silence;
            }
        }
    }

    /// How long those who are there have not heard each other.
    fn silences(&self) -> Vec<(ParticipantId, ParticipantId, Duration)> {
        let now = Instant::now();
        let present = || self.guests.iter().filter(|guest| guest.goes_at.is_none());
        let mut silences = Vec::new();
        for guest in present().filter(|guest| guest.is_connected) {
            for other in present().filter(|other| other.is_connected && other.id() != guest.id()) {
                let together = guest.since.max(other.since);
                let heard = guest.hears(other.id()).unwrap_or(together);
                silences.push((guest.id(), other.id(), now - heard.max(together)));
            }
        }
        silences
    }

    fn expect_nobody_stuck(&self) {
        for guest in self.guests.iter().filter(|guest| guest.goes_at.is_none()) {
            let waits = !guest.is_connected && guest.since.elapsed() > STUCK;
            assert!(!waits, "{} does not connect", guest.id());
        }
        for (guest, other, silence) in self.silences() {
            assert!(
                silence < STUCK,
                "{guest} has not heard {other} for {silence:?}"
            );
        }
    }

    async fn join(&mut self, record: &mut Record) {
        self.joined += 1;
        let link = Arc::new(Link::lossy(self.joined, LOSS).await.unwrap());
        let stream = MediaStreamTrack::generate_stream_id();
        let kinds = [MediaKind::Audio, MediaKind::Video];
        let tracks = kinds.map(|kind| MediaStreamTrack::new(kind, [stream.clone()]));
        let options = PageOptions {
            tracks: tracks.to_vec(),
            link: Some(link),
        };
        let request = JoinRequest::new(format!("guest {}", self.joined));
        let joining = Page::try_join(&self.hall.room, request, options);
        let joined = timeout(STUCK, joining)
            .await
            .expect("who joins is answered");
        let what = match joined {
            Ok(mut page) => {
                for track in &tracks {
                    page.film(track, LOUD);
                }
                self.guests.push(Guest::new(page));
                "join"
            }
            // The participant panicked on purpose, or was crashed.
            Err(_) => "join in vain",
        };
        *record.done.entry(what).or_default() += 1;
    }

    async fn leave(&mut self, record: &mut Record) {
        if self.guests.is_empty() {
            return;
        }
        let chosen = self.random.random_range(0..self.guests.len());
        let way = self.random.random_range(0..4);
        let guest = &mut self.guests[chosen];
        let what = match way {
            0 => {
                guest.page.participant.leave();
                "leave"
            }
            1 => {
                self.hall.room.remove(guest.id());
                "remove"
            }
            2 => {
                guest.page.pc.close().await;
                "close a page's connection"
            }
            // As a closed tab.
            _ => {
                drop(self.guests.swap_remove(chosen));
                "drop a page"
            }
        };
        *record.done.entry(what).or_default() += 1;
    }

    /// Kills any actor, some kinds of them more often than their number would have it.
    async fn crash(&mut self, record: &mut Record) {
        let Some(room) = self.room() else {
            return;
        };
        let what = match self.random.random_range(0..100) {
            0..45 => self.kill_one_of(descendants(&room), "crash below the room"),
            45..60 => self.kill_one_of(room.get_children(), "crash a child of the room"),
            60..90 => self.crash_page(),
            90..96 => {
                self.reopen(|_| room.kill()).await;
                "crash the room"
            }
            _ => {
                self.reopen(|hall| hall.endpoint().stop()).await;
                "crash the endpoint"
            }
        };
        *record.done.entry(what).or_default() += 1;
    }

    /// Has some part of the room fail at some hook, when it comes to that.
    fn inject(&mut self, record: &mut Record) {
        let blows: [fn() -> Fault; 3] = [Fault::panic, Fault::error, Fault::kill];
        let blow = blows.choose(&mut self.random).expect("there are three");
        let part = PARTS.choose(&mut self.random).expect("there are some");
        let hook = HOOKS.choose(&mut self.random).expect("there are five");
        let fault = blow().in_part(part).at(*hook).below(&self.hall.owner);
        // What hangs in its last hook is to be killed at its deadline; elsewhere nobody has told it to end.
        let hangs = *hook == Hook::PostStop && self.random.random_bool(0.5);
        let fault = if hangs {
            Fault::hang()
                .in_part(part)
                .at(*hook)
                .below(&self.hall.owner)
        } else {
            fault
        };
        self.faults.push(fault.inject());
        self.forget_faults(record, AWAITED_FAULTS);
    }

    fn forget_faults(&mut self, record: &mut Record, but: usize) {
        while self.faults.len() > but {
            let strikes = self.faults.remove(0).strikes();
            *record.done.entry("crash where it comes to it").or_default() += strikes;
        }
    }

    /// As long as there is one.
    fn room(&self) -> Option<ActorCell> {
        self.hall.owner.get_children().pop()
    }

    fn kill_one_of(&mut self, actors: Vec<ActorCell>, what: &'static str) -> &'static str {
        if let Some(victim) = actors.choose(&mut self.random) {
            victim.kill();
        }
        what
    }

    fn crash_page(&mut self) -> &'static str {
        if let Some(chosen) = (0..self.guests.len())
            .collect::<Vec<_>>()
            .choose(&mut self.random)
        {
            let guest = &mut self.guests[*chosen];
            guest.goes_at = Some(Instant::now() + Duration::from_secs(1));
            let actors = descendants(&guest.page.actor.get_cell());
            return self.kill_one_of(actors, "crash below a page");
        }
        "crash nothing"
    }

    /// All who are there have to be told, and come again to another room.
    async fn reopen(&mut self, end: impl FnOnce(&Hall)) {
        end(&self.hall);
        // Of a page of which something was crashed nothing is known any more.
        let present = self
            .guests
            .iter_mut()
            .filter(|guest| guest.goes_at.is_none());
        for guest in present {
            let told = timeout(STUCK, guest.page.expect_closed());
            told.await.expect("all hear of the end");
        }
        self.guests.clear();
        self.faults.clear();
        self.hall = open_hall(&self.certificate).await;
    }
}

impl Guest {
    fn new(page: Page) -> Self {
        Self {
            page,
            since: Instant::now(),
            is_connected: false,
            goes_at: None,
            heard: HashMap::new(),
        }
    }

    fn id(&self) -> ParticipantId {
        self.page.id()
    }

    /// Takes what has come. Why it has gone, if it has.
    fn look(&mut self, now: Instant, others: &[ParticipantId]) -> Option<String> {
        if let Some(reason) = self.page.catch_up() {
            return Some(format!("{reason:?}"));
        }
        if self.goes_at.is_some_and(|at| at <= now) {
            return Some("gave up".to_owned());
        }
        let state = self.page.pc.connection_state();
        if state == PeerConnectionState::Closed && self.goes_at.is_none() {
            // The room sees it by its own.
            self.goes_at = Some(now + Duration::from_secs(1));
        }
        if state == PeerConnectionState::Connected && !self.is_connected {
            self.is_connected = true;
            self.since = now;
        }
        let received = self.page.take_received();
        for other in others {
            for place in self.page.published_by(*other) {
                if received.contains_key(&place) {
                    self.heard.entry(*other).or_default().insert(place.1, now);
                }
            }
        }
        None
    }

    /// Since when not, both in sound and pictures.
    fn hears(&self, other: ParticipantId) -> Option<Instant> {
        let heard = self.heard.get(&other)?;
        let kinds = [MediaKind::Audio, MediaKind::Video];
        let [sound, pictures] = kinds.map(|kind| heard.get(&kind).copied());
        Some(sound?.min(pictures?))
    }
}

/// A room whose participants panic now and then.
async fn open_hall(certificate: &Certificate) -> Hall {
    let certificate = certificate.clone();
    Hall::open_sharing(move |builder, endpoint| {
        let limits = RoomLimits {
            forwarder_restarts: usize::MAX,
            ..RoomLimits::default()
        };
        builder.limits(limits).connection(move || {
            now_and_then();
            loopback()
                .certificate(certificate.clone())
                .endpoint(endpoint.clone())
                .ip_filter(|ip| {
                    now_and_then();
                    ip.is_ipv4() && ip.is_loopback()
                })
        })
    })
    .await
}

/// Panics in whatever actor asks.
fn now_and_then() {
    if rand::rng().random_bool(0.02) {
        panics::on_purpose();
    }
}

fn left(ends_at: Instant) -> String {
    let left = ends_at.saturating_duration_since(Instant::now());
    format!("{:.0?}", Duration::from_secs(left.as_secs()))
}

/// What fails where it comes to it. The others are killed.
const PARTS: [&str; 9] = [
    "PeerConnection",
    "Ice",
    "Dtls",
    "RtpTransport",
    "Forwarder",
    "Subscriber",
    "Room",
    "Participant",
    "PerfectNegotiation",
];

const HOOKS: [Hook; 5] = [
    Hook::PreStart,
    Hook::PostStart,
    Hook::Handle,
    Hook::HandleSupervisorEvt,
    Hook::PostStop,
];

/// At the same time.
const AWAITED_FAULTS: usize = 3;

const STRETCHES: u64 = 30;
/// Seconds.
const SHORTEST: u64 = 4;
/// Seconds.
const LONGEST: u64 = 120;

const BEAT: Duration = Duration::from_millis(100);
const FEWEST: usize = 3;
const MOST: usize = 8;

/// Of all datagrams between a page and the room, either way.
const LOSS: f64 = 0.03;

/// In dBov.
const LOUD: i8 = -20;

/// Longer than what a crash of the forwarder costs.
const REMARKABLE: Duration = Duration::from_secs(5);

/// Longer than what a lossy handshake takes on a busy machine.
const STUCK: Duration = Duration::from_secs(20);
