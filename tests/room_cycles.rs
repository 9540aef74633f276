//! Thousands join a room and leave it, by every way in and out: nothing of them is left. One test, for the counts are of
//! the process.
//!
//! As part of the tests 500 do. The whole thing, some minutes:
//!
//! ```sh
//! ROOM_CYCLES=10000 cargo test --test room_cycles -- --nocapture
//! ```
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;
#[path = "room/hall.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod hall;
#[path = "room/page.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod page;

use std::alloc::System;
use std::fs;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use ractor_webrtc::jsep::RtpTransceiverDirection;
use ractor_webrtc::perfect_negotiation::SignalingMessage;
use ractor_webrtc::room::{JoinRequest, Participant, ParticipantEvent, Room};
use ractor_webrtc::{Certificate, MediaKind, PeerConnection, SessionDescription};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Handle;

use self::common::eventually;
use self::common::owner::{RunningOwner, loopback, shared_endpoint};
use self::hall::Hall;
use self::page::Page;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// One stays all the time, and is sent what the others publish while they are there.
#[tokio::test]
async fn who_came_and_went_has_left_no_actor_no_task_no_socket_and_no_memory() {
    let cycles = std::env::var("ROOM_CYCLES").map_or(CYCLES, |it| it.parse().unwrap());
    let mut hall = quick_hall().await;
    let mut stays = Page::join(&hall.room, "Stays").await;
    stays.expect_connected().await;
    let offers = [
        offer(RtpTransceiverDirection::SendRecv).await,
        offer(RtpTransceiverDirection::RecvOnly).await,
    ];
    let began = Instant::now();
    let mut counted = Vec::new();
    for round in 1..=ROUNDS {
        for start in (0..cycles / ROUNDS).step_by(AT_ONCE) {
            let mut visits = Vec::new();
            for number in start..start + AT_ONCE {
                visits.push(Visit::begin(&hall.room, &mut stays, &offers, number).await);
            }
            for (number, visit) in visits.into_iter().enumerate() {
                visit.end(&hall, start / AT_ONCE + number).await;
            }
            stays.forget();
            hall.news();
        }
        let counts = Counts::at_rest(&hall, &mut stays).await;
        let so_far = round * cycles / ROUNDS;
        println!("{so_far} cycles, {:?}: {counts:?}", began.elapsed());
        counted.push(counts);
    }
    assert_eq!(stays.failures, []);
    // The first rounds fill tables and buffers.
    let (before, after) = (&counted[ROUNDS / 2 - 1], &counted[ROUNDS - 1]);
    assert_eq!(after.peers, 2, "the two sides of the one who stays");
    assert_eq!(after.actors, before.actors);
    assert_eq!(after.descriptors, before.descriptors);
    // The timer that waits for silence is there or has just gone off.
    assert!(after.tasks <= before.tasks + 1, "{counted:#?}");
    let grown = after.heap.saturating_sub(before.heap);
    assert!(grown < BOUND, "{grown} bytes more: {counted:#?}");
}

/// Somebody who comes, and how far it gets.
enum Visit {
    /// With a page that has a connection, or is about to.
    Page(Box<Page>),
    /// Without.
    Voice(Participant, ActorRef<ParticipantEvent>),
}

impl Visit {
    async fn begin(
        room: &Room,
        stays: &mut Page,
        offers: &[SessionDescription; 2],
        number: usize,
    ) -> Self {
        match number % 20 {
            0 => {
                let mut page = Page::join(room, "Sees all").await;
                page.receives(stays.id()).await;
                stays.receives(page.id()).await;
                Self::Page(Box::new(page))
            }
            1 => Self::Page(Box::new(Page::join(room, "Hasty").await)),
            offering @ 2..14 => {
                let (participant, listener) = join(room, number).await;
                let offer = offers[offering % 2].clone();
                participant.receive(SignalingMessage::Description(offer));
                Self::Voice(participant, listener)
            }
            _ => {
                let (participant, listener) = join(room, number).await;
                Self::Voice(participant, listener)
            }
        }
    }

    /// By every way out; one of them takes the newest along, whoever that is.
    async fn end(self, hall: &Hall, number: usize) {
        let (participant, listener) = match &self {
            Self::Page(page) => (&page.participant, page.actor.get_cell()),
            Self::Voice(participant, listener) => (participant, listener.get_cell()),
        };
        match number % 6 {
            0 => participant.leave(),
            1 => hall.room.remove(participant.id()),
            2 => listener.kill(),
            3 => {
                let participants = hall.parts().split_off(1 + STAYING);
                if let Some(newest) = participants.last() {
                    newest.kill();
                }
            }
            4 => {
                if let Self::Page(page) = &self {
                    page.pc.close().await;
                }
            }
            _ => {}
        }
        listener.stop(None);
    }
}

/// A listener that listens to nothing; every fifth has the key of the one before.
async fn join(room: &Room, number: usize) -> (Participant, ActorRef<ParticipantEvent>) {
    let (listener, _) = Actor::spawn(None, Deaf, ()).await.unwrap();
    let request = JoinRequest::new("Voice");
    let request = if number.is_multiple_of(5) {
        request.key("the same")
    } else {
        request
    };
    let participant = room.join(request, &listener).await.unwrap();
    (participant, listener)
}

struct Deaf;

impl Actor for Deaf {
    type Msg = ParticipantEvent;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<ParticipantEvent>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// What there is of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    /// Peer connections of the process.
    peers: usize,
    /// Actors below the room.
    actors: usize,
    /// Of the runtime.
    tasks: usize,
    /// Open files of the process, sockets included.
    descriptors: usize,
    /// Bytes.
    heap: usize,
}

impl Counts {
    /// When all who came have gone.
    async fn at_rest(hall: &Hall, stays: &mut Page) -> Self {
        let room = hall.cell();
        eventually(LONG, "those alone who stay", async || {
            let parts = hall.parts().len() == 1 + STAYING;
            let peers = PeerConnection::all_running().len() == 2 * STAYING;
            let sent = stays.shown().await.is_empty();
            (parts && peers && sent).then_some(())
        })
        .await;
        // Tasks of those who have ended take their leave one after the other.
        let mut tasks = usize::MAX;
        let mut unchanged = 0;
        eventually(LONG, "no task that ends", async || {
            let now = Handle::current().metrics().num_alive_tasks();
            unchanged = if now == tasks { unchanged + 1 } else { 0 };
            tasks = now;
            (unchanged == 50).then_some(())
        })
        .await;
        stays.forget();
        let stats = ALLOCATOR.stats();
        Self {
            peers: PeerConnection::all_running().len(),
            actors: descendants(&room),
            tasks,
            descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
            heap: stats
                .bytes_allocated
                .saturating_sub(stats.bytes_deallocated),
        }
    }
}

fn descendants(actor: &ActorCell) -> usize {
    let children = actor.get_children();
    children.len() + children.iter().map(descendants).sum::<usize>()
}

/// What a page says first, made once for thousands.
async fn offer(direction: RtpTransceiverDirection) -> SessionDescription {
    let owner = RunningOwner::spawn().await;
    let pc = loopback().spawn_linked(owner.actor()).await.unwrap();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        pc.add_transceiver(kind, direction.into()).await.unwrap();
    }
    let offer = pc.create_offer().await.unwrap();
    pc.close().await;
    owner.end().await;
    offer
}

/// With one certificate for all: to make them is not what this is about.
async fn quick_hall() -> Hall {
    let certificate = Certificate::generate().unwrap();
    let (_socket, endpoint) = shared_endpoint().await;
    Hall::open_with(|builder| {
        builder.connection(move || {
            let connection = loopback().endpoint(endpoint.clone());
            connection.certificate(certificate.clone())
        })
    })
    .await
}

const CYCLES: usize = 500;

const ROUNDS: usize = 10;

/// Visits that overlap.
const AT_ONCE: usize = 10;

/// Participants that stay.
const STAYING: usize = 1;

const LONG: Duration = Duration::from_secs(60);

const BOUND: usize = 64 << 10;
