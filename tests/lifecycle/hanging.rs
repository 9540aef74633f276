//! A part that never returns from a hook: every stop has a deadline after which it is forced.

use std::time::Duration;

use futures_util::future::join_all;
use ractor::{ActorCell, ActorRef, ActorStatus};
use ractor_webrtc::faults::{Fault, Hook, Injected, part, running_below};
use ractor_webrtc::peer_connection::CLOSE_DEADLINE;
use ractor_webrtc::room::{JoinRequest, Participant, Room};
use ractor_webrtc::{
    Forwarder, PerfectNegotiation, Politeness, UdpEndpoint, UdpEndpointConfiguration,
};
use tokio::time::Instant;

use super::common::owner::{Ours, loopback};
use super::common::session::connect_ours;
use super::common::{PATIENCE, eventually};
use super::ignorant::{Anything, Ignorant};

const PARTS: [&str; 6] = [
    "PeerConnection",
    "Ice",
    "Dtls",
    "RtpTransport",
    "Udp",
    "Egress",
];

const PARTS_OF_A_ROOM: [&str; 6] = [
    "Room",
    "Forwarder",
    "Subscriber",
    "Participant",
    "PerfectNegotiation",
    "PeerConnection",
];

#[tokio::test]
async fn a_connected_peer_closes_in_time_whatever_of_it_hangs() {
    let hooks = [Hook::Handle, Hook::PostStop];
    let all = hooks
        .iter()
        .flat_map(|hook| PARTS.map(|part| close_while_it_hangs(part, *hook)));
    join_all(all).await;
}

async fn close_while_it_hangs(part: &'static str, hook: Hook) {
    let mut ours = Ours::spawn(loopback()).await;
    let mut remote = Ours::spawn(loopback()).await;
    connect_ours(&mut ours, &mut remote, None).await;
    let actors = running_below(ours.owner());
    let fault = Fault::hang().in_part(part).at(hook).below(ours.owner());
    let _hangs = fault.inject();
    let began = Instant::now();
    ours.peer.close().await;
    let took = began.elapsed();
    // The peer's own actor is waited for twice as long.
    let late = CLOSE_DEADLINE * 2 + MARGIN;
    assert!(
        took < late,
        "{part} hangs in {hook:?}: closed after {took:?}"
    );
    for it in actors {
        let what = format!("{part} hangs in {hook:?}: the end of {}", it.part);
        has_ended(&it.cell, &what).await;
    }
    // A peer whose end was forced says so all the same.
    ours.expect_closed().await;
}

#[tokio::test]
async fn a_close_that_nobody_waits_for_is_forced_too() {
    let ours = Ours::spawn(loopback()).await;
    let peer = part(ours.owner(), "PeerConnection");
    let _hangs = hang(&peer, Hook::Handle);
    let pc = ours.peer.clone();
    let closing = tokio::spawn(async move { pc.close().await });
    tokio::task::yield_now().await;
    closing.abort();
    has_ended(&peer, "the peer").await;
}

#[tokio::test]
async fn a_participant_that_hangs_is_gone_after_a_second() {
    let scene = Scene::open().await;
    let participant = part(&scene.owner, "Participant");
    let _hangs = hang(&participant, Hook::Handle);
    scene.participant.leave();
    eventually(PATIENCE, "an empty room", async || {
        let present = scene.room.snapshot().await.unwrap().participants;
        present.is_empty().then_some(())
    })
    .await;
    has_ended(&participant, "the participant").await;
    scene.close_in_time().await;
}

#[tokio::test]
async fn a_room_closes_in_time_whatever_of_it_hangs() {
    let hooks = [Hook::Handle, Hook::PostStop];
    let all = hooks.iter().flat_map(|hook| {
        PARTS_OF_A_ROOM.map(async |part| {
            let scene = Scene::open().await;
            let fault = Fault::hang().in_part(part).at(*hook);
            let _hangs = fault.below(&scene.owner).inject();
            scene.close_in_time().await;
        })
    });
    join_all(all).await;
}

#[tokio::test]
async fn what_stands_alone_ends_within_a_second_though_it_hangs() {
    let owner = Ignorant::spawn().await;
    let peer = Ours::spawn(loopback()).await;
    let forwarder = Forwarder::builder().spawn_linked(&owner).await.unwrap();
    let negotiation = PerfectNegotiation::spawn_linked(&peer.peer, Politeness::Polite, &owner);
    let negotiation = negotiation.await.unwrap();
    let configuration = UdpEndpointConfiguration::address("127.0.0.1:0".parse().unwrap());
    let endpoint = UdpEndpoint::spawn(configuration, owner.get_cell())
        .await
        .unwrap();
    let names = ["Forwarder", "PerfectNegotiation", "Udp"];
    let actors = names.map(|name| part(&owner, name));
    let _hang = actors.each_ref().map(|actor| hang(actor, Hook::PostStop));
    forwarder.stop();
    negotiation.stop();
    endpoint.stop();
    for (name, actor) in names.iter().zip(&actors) {
        has_ended(actor, name).await;
    }
    owner.stop(None);
}

/// A room and who is there.
struct Scene {
    owner: ActorRef<Anything>,
    room: Room,
    participant: Participant,
}

impl Scene {
    async fn open() -> Self {
        let owner = Ignorant::spawn().await;
        let room = Room::builder().connection(loopback).spawn_linked(&owner);
        let room = room.await.unwrap();
        let joining = room.join(JoinRequest::new("Ada"), &owner);
        Self {
            participant: joining.await.unwrap(),
            owner,
            room,
        }
    }

    async fn close_in_time(self) {
        let actors = running_below(&self.owner);
        let began = Instant::now();
        self.room.close().await;
        let took = began.elapsed();
        assert!(took < CLOSE_DEADLINE * 3 + MARGIN, "closed after {took:?}");
        for it in actors {
            has_ended(&it.cell, it.part).await;
        }
        self.owner.stop(None);
    }
}

fn hang(actor: &ActorCell, hook: Hook) -> Injected {
    Fault::hang().in_actor(actor).at(hook).inject()
}

async fn has_ended(actor: &ActorCell, what: &str) {
    eventually(Duration::from_secs(2), what, async || {
        (actor.get_status() == ActorStatus::Stopped).then_some(())
    })
    .await;
}

/// Of a busy machine.
const MARGIN: Duration = Duration::from_millis(500);
