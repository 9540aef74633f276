//! A room of eight, in which every actor of one visitor, and those that serve all, fail at every hook and every message, one after the
//! other: the seven others lose nothing of each other.
//!
//! As part of the tests each actor fails at one message, and is killed once. The whole thing, some minutes:
//!
//! ```sh
//! cargo test --test supervision -- --ignored --nocapture every_message
//! ```
//!
//! `FAULTS_AT=Forwarder` leaves those places whose name has that in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};
use std::{env, fs};

use ractor_webrtc::faults::{Fault, Hook, Injected, Seen};
use ractor_webrtc::forwarder::LayerWish;
use ractor_webrtc::room::{JoinRequest, LeaveReason, ParticipantId, RoomEvent, RoomLimits};
use ractor_webrtc::{MediaKind, MediaStreamTrack, PeerConnection, PeerConnectionBuilder, TrackId};
use tokio::time::timeout;

use super::common::owner::{loopback, shared_endpoint};
use super::common::{PATIENCE, eventually};
use super::hall::Hall;
use super::page::{Page, PageOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c117_every_actor_of_one_of_eight_fails_at_some_message_and_the_others_lose_nothing() {
    let mut eight = Eight::open(loopback).await;
    let all = eight.all_that_happens().await;
    let mut by_part = BTreeMap::<_, Vec<_>>::new();
    for place in all.into_iter().filter(|it| it.hook == Hook::Handle) {
        by_part.entry(place.part).or_default().push(place);
    }
    for mut places in by_part.into_values() {
        let place = places.swap_remove(places.len() / 2);
        eight.strike(&place, Fault::panic()).await;
    }
    eight.report();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c117_every_actor_of_one_of_eight_is_killed_and_the_others_lose_nothing() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let mut eight = Eight::open(move || loopback().endpoint(endpoint.clone())).await;
    for part in [
        "Dtls",
        "Ice",
        "Participant",
        "PeerConnection",
        "RtpTransport",
    ] {
        let place = Seen {
            part,
            hook: Hook::Handle,
            message: None,
        };
        eight.strike(&place, Fault::kill()).await;
    }
    eight.report();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn c117_every_actor_of_one_of_eight_fails_at_every_message_and_the_others_lose_nothing() {
    let mut eight = Eight::open(loopback).await;
    let mut all = eight.all_that_happens().await;
    let wanted = env::var("FAULTS_AT").unwrap_or_default();
    all.retain(|place| format!("{place:?}").contains(&wanted));
    for (name, fault) in [
        ("panic", Fault::panic()),
        ("error", Fault::error()),
        ("kill", Fault::kill()),
        ("panic behind it", Fault::panic().after()),
    ] {
        for place in &all {
            // Some messages come now and then.
            for _ in 0..3 {
                if eight.strike(place, fault.clone()).await {
                    break;
                }
            }
        }
        println!("{name}:");
        eight.report();
        eight.missed.clear();
    }
}

/// A room, and seven who stay.
struct Eight {
    hall: Hall,
    watchers: Vec<Page>,
    struck: usize,
    /// Places that nobody came to.
    missed: Vec<Seen>,
    /// Packets that got through since the path has lost any.
    got: u32,
    /// Faults of which nothing can be said, because the machine was too busy.
    voided: usize,
    dropped_by_kernel: HashMap<String, u64>,
    began: Instant,
}

impl Eight {
    async fn open(connection: impl Fn() -> PeerConnectionBuilder + Send + Sync + 'static) -> Self {
        let hall = Hall::open_with(|builder| {
            let limits = RoomLimits {
                forwarder_restarts: usize::MAX,
                ..RoomLimits::default()
            };
            builder.connection(connection).limits(limits)
        })
        .await;
        let mut watchers = Vec::new();
        for number in 0..7 {
            let watcher = join(&hall, &format!("Watcher {number}")).await;
            watchers.push(watcher.unwrap());
        }
        let mut eight = Self {
            hall,
            watchers,
            struck: 0,
            missed: Vec::new(),
            got: 0,
            voided: 0,
            dropped_by_kernel: dropped_by_kernel(),
            began: Instant::now(),
        };
        eight.everybody_gets_everybody().await;
        eight
    }

    /// Where actors come by during one visit, but for the room itself, without which there is none.
    async fn all_that_happens(&mut self) -> BTreeSet<Seen> {
        let noted = Fault::none().below(&self.hall.cell()).inject();
        let never = Fault::none().in_part("Nobody").inject();
        let closed = self.visit(&never, true).await;
        assert_eq!(closed, Some(LeaveReason::Left));
        self.at_rest(&in_part("Nobody")).await;
        let mut seen = noted.seen();
        seen.retain(|it| it.part != "Room");
        seen
    }

    /// Lets this happen there to who comes now, and looks at what has become of all others. Says whether it has happened.
    async fn strike(&mut self, place: &Seen, fault: Fault) -> bool {
        let fault = fault.in_part(place.part).at(place.hook);
        let fault = fault.below(&self.hall.cell());
        let fault = match &place.message {
            Some(message) => fault.message(message),
            None => fault,
        };
        // The Forwarder is there already, and comes back; so do its parts.
        let serves_all = ["Forwarder", "Subscriber"].contains(&place.part);
        let fault = if serves_all { fault } else { fault.newborn() };
        let injected = fault.inject();
        let closed = self.visit(&injected, serves_all).await;
        self.at_rest(place).await;
        let has_struck = injected.strikes() > 0;
        drop(injected);
        if has_struck {
            self.struck += 1;
            self.missed.retain(|other| other != place);
        } else if !self.missed.contains(place) {
            self.missed.push(place.clone());
        }
        let expected = match place.part {
            "Forwarder" | "Subscriber" => &[LeaveReason::Left][..],
            "Participant" | "PerfectNegotiation" => &[LeaveReason::Crashed, LeaveReason::Left],
            _ => &[LeaveReason::ConnectionFailed, LeaveReason::Left],
        };
        // Who was struck at once has not joined.
        let is_expected = closed.as_ref().is_none_or(|it| expected.contains(it));
        assert!(is_expected, "{place:?}: {closed:?}");
        self.everybody_gets_everybody().await;
        self.expect_nothing_lost(place).await;
        for page in &self.watchers {
            assert_eq!(page.failures, [], "{place:?}");
        }
        has_struck
    }

    /// Somebody comes, does all that a visitor can do, and leaves; that is cut short by a fault, unless it is to do no
    /// harm. Tells why it left, if it ever joined.
    async fn visit(&mut self, fault: &Injected, is_harmless: bool) -> Option<LeaveReason> {
        let mut page = join(&self.hall, "Victim").await?;
        let source = self.watchers[0].sources()[1];
        tokio::select! {
            () = fault.struck(), if !is_harmless => {}
            () = live(&mut page, &self.hall, source) => {}
        }
        page.participant.leave();
        Some(page.expect_closed().await)
    }

    /// Who came has gone, and what had to come back is there.
    async fn at_rest(&self, place: &Seen) {
        let (hall, stay) = (&self.hall, self.watchers.len());
        let what = format!("only those who stay, after {place:?}");
        eventually(PATIENCE, &what, async || {
            // A busy machine may take its time with an answer.
            let there = hall.room.snapshot().await.ok()?.participants.len();
            (there == stay && hall.parts().len() == stay + 1).then_some(())
        })
        .await;
    }

    /// From now on.
    async fn everybody_gets_everybody(&mut self) {
        let sources = self.sources();
        let began = Instant::now();
        for page in &mut self.watchers {
            let own = page.sources().to_vec();
            let mut others = sources.clone();
            others.retain(|it| !own.contains(it));
            eventually(PATIENCE, "media of all others", async || {
                let arrivals = page.arrivals();
                let comes = |source| arrivals.get(source).is_some_and(|it| it.at > began);
                others.iter().all(comes).then_some(())
            })
            .await;
        }
    }

    fn sources(&self) -> Vec<u32> {
        let pages = self.watchers.iter();
        pages.flat_map(|page| page.sources().to_vec()).collect()
    }

    /// Packets that those who stay have got of each other, and how many they have not got.
    fn counted(&mut self) -> (u32, u32) {
        let sources = self.sources();
        let mut all = (0, 0);
        for page in &mut self.watchers {
            for (_, arrivals) in page.arrivals().iter().filter(|it| sources.contains(it.0)) {
                all.0 += arrivals.count;
                all.1 += arrivals.lost();
            }
        }
        all
    }

    /// Unless the path has lost something: where the kernel throws away what nobody has read in time, nothing can be said.
    async fn expect_nothing_lost(&mut self, place: &Seen) {
        let (got, lost) = self.counted();
        let dropped = dropped_by_kernel();
        let before = |inode| self.dropped_by_kernel.get(inode).copied();
        let has_lost = |(inode, now): (_, &u64)| *now > before(inode).unwrap_or_default();
        let path_has_lost = dropped.iter().any(has_lost);
        self.dropped_by_kernel.extend(dropped);
        if path_has_lost {
            self.voided += 1;
            self.watchers.iter_mut().for_each(Page::forget_arrivals);
            return;
        }
        if lost > 0 {
            let losses = self.losses();
            for page in &self.watchers {
                if losses.iter().any(|(who, ..)| *who == page.id()) {
                    let there = connection(&self.hall, page.id()).await;
                    println!("{}, its page: {:?}", page.id(), page.pc.media_stats().await);
                    let there = there.unwrap().media_stats().await;
                    println!("{}, its server: {there:?}", page.id());
                }
            }
            panic!("{place:?}: {losses:?}");
        }
        self.got = got;
    }

    /// Who has lost how much of whom.
    fn losses(&mut self) -> Vec<(ParticipantId, u32, u32)> {
        let sources = self.sources();
        let mut all = Vec::new();
        for page in &mut self.watchers {
            let me = page.id();
            let arrivals = page.arrivals().iter();
            let lost = arrivals.filter(|(source, it)| sources.contains(source) && it.lost() > 0);
            all.extend(lost.map(|(source, it)| (me, *source, it.lost())));
        }
        all
    }

    fn report(&mut self) {
        let (struck, voided, got) = (self.struck, self.voided, self.got);
        let (missed, took) = (self.missed.len(), self.began.elapsed());
        println!("{struck} faults in {took:?}: {got} packets among the others, none lost");
        println!(
            "{voided} times the kernel lost some; not come by: {missed} {:?}",
            self.missed
        );
        assert!(10 * missed <= struck, "too many were not come by");
        assert!(2 * voided <= struck, "the machine is too busy to tell");
    }
}

/// At whatever it is told first.
fn in_part(part: &'static str) -> Seen {
    Seen {
        part,
        hook: Hook::Handle,
        message: None,
    }
}

/// What each socket of this process has lost so far, because nobody read it in time. By inode.
fn dropped_by_kernel() -> HashMap<String, u64> {
    let links = fs::read_dir("/proc/self/fd").into_iter().flatten();
    let targets = links.filter_map(|it| fs::read_link(it.ok()?.path()).ok());
    let ours: BTreeSet<String> = targets
        .filter_map(|it| {
            let inode = it.to_str()?.strip_prefix("socket:[")?;
            Some(inode.trim_end_matches(']').to_owned())
        })
        .collect();
    let table = fs::read_to_string("/proc/self/net/udp").unwrap_or_default();
    let rows = table
        .lines()
        .map(|it| it.split_whitespace().collect::<Vec<_>>());
    let drops = rows.filter_map(|row| {
        let inode = row.get(9).filter(|inode| ours.contains(**inode))?;
        Some(((*inode).to_owned(), row.last()?.parse().ok()?))
    });
    drops.collect()
}

/// With sound and pictures, at a pace that leaves a busy machine time: what its sockets hold lasts for a second.
async fn join(hall: &Hall, name: &str) -> Option<Page> {
    let stream = MediaStreamTrack::generate_stream_id();
    let kinds = [MediaKind::Audio, MediaKind::Video];
    let tracks = kinds.map(|kind| MediaStreamTrack::new(kind, [stream.clone()]));
    let options = PageOptions {
        tracks: tracks.to_vec(),
        link: None,
    };
    let joined = Page::try_join(&hall.room, JoinRequest::new(name), options).await;
    let mut page = joined.ok()?;
    for track in &tracks {
        page.film_every(Duration::from_millis(50), track, -20);
    }
    Some(page)
}

/// All that a visitor and the application can do.
async fn live(page: &mut Page, hall: &Hall, source: u32) {
    eventually(PATIENCE, "media", async || {
        page.arrivals().contains_key(&source).then_some(())
    })
    .await;
    let me = page.id();
    page.participant.set_muted(MediaKind::Audio, true);
    hall.room.set_muted(me, MediaKind::Video, true);
    hall.room.set_muted(me, MediaKind::Video, false);
    page.hears("mute", |event| matches!(event, RoomEvent::Muted { .. }))
        .await;
    let published = page.heard.iter().find_map(|event| match event {
        RoomEvent::Published { publication, .. } => Some(*publication),
        _ => None,
    });
    if let Some(publication) = published {
        let wish = LayerWish::UpToBitrate(1_000_000);
        page.participant.set_layers(publication, wish);
    }
    let (stream, _) = page.publish(&[MediaKind::Video]).await;
    page.participant.set_label(stream, "a screen".to_owned());
    if let Some(connection) = connection(hall, me).await {
        touch(&connection).await;
    }
    // Until timers have gone off that do so once in a second.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
}

/// The server's side of a visitor.
async fn connection(hall: &Hall, visitor: ParticipantId) -> Option<PeerConnection> {
    let snapshot = hall.room.snapshot().await.ok()?;
    let mut there = snapshot.participants.iter();
    let peer = there.find(|it| it.id == visitor)?.peer?;
    let mut running = PeerConnection::all_running().into_iter();
    running.find(|it| it.id() == peer)
}

/// Asks a connection all that can be asked of it, and restarts ICE. Answers are of no interest: it may fail at any of it.
async fn touch(peer: &PeerConnection) {
    let _ = peer.get_stats(None).await;
    let _ = peer.media_stats().await;
    let _ = peer.create_offer().await;
    let _ = peer.create_answer().await;
    if let Ok(configuration) = peer.configuration().await {
        let _ = peer.set_configuration(configuration).await;
    }
    for sender in peer.senders().await.unwrap_or_default().iter().take(1) {
        if let Ok(parameters) = peer.parameters(sender.id()).await {
            let _ = peer.set_parameters(sender.id(), parameters).await;
        }
    }
    for transceiver in peer.transceivers().await.unwrap_or_default() {
        let track: TrackId = transceiver.receiver().track().id();
        let _ = peer.send_pli(track, None);
        let _ = peer.request_keyframe(track, None);
    }
    let _ = timeout(PATIENCE, peer.restart_ice()).await;
}
