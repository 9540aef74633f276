//! Every call is given up at every place where it waits: what it began is whole or undone, and the peer goes on.

use std::num::NonZeroUsize;
use std::pin::Pin;

use ractor::{ActorCell, ActorRef};
use ractor_webrtc::faults::{Fault, Hook};
use ractor_webrtc::jsep::{SenderId, TransceiverId};
use ractor_webrtc::peer_connection::{PeerEvent, RouteSource};
use ractor_webrtc::room::{JoinRequest, Room};
use ractor_webrtc::{
    Forwarder, IceCandidate, MediaKind, MediaStreamTrack, PeerConnection, RtpTransceiverDirection,
    SdpType, SessionDescription, TrackId, UdpEndpoint, UdpEndpointConfiguration, UdpEndpointPool,
};
use tokio::runtime::Handle;

use super::common::cut_short::cut_short;
use super::common::owner::{Ours, RunningOwner, loopback, rtp_packet, shared_endpoint};
use super::common::session::connect_ours;
use super::common::{PATIENCE, eventually};
use super::ignorant::Ignorant;

#[tokio::test]
async fn a_spawn_that_is_given_up_leaves_nothing() {
    let owner = RunningOwner::spawn().await;
    let (_socket, endpoint) = shared_endpoint().await;
    for builder in [loopback(), loopback().endpoint(endpoint.clone())] {
        let before = tasks();
        for polls in 1.. {
            let spawning = builder.clone().spawn_linked(owner.actor());
            if let Some(spawned) = cut_short(spawning, polls).await {
                spawned.unwrap().close().await;
                break;
            }
            nothing_is_left(owner.actor(), before).await;
            assert_eq!(endpoint.statistics().await.unwrap().peers, 0);
        }
        nothing_is_left(owner.actor(), before).await;
    }
}

#[tokio::test]
async fn an_endpoint_whose_start_is_given_up_leaves_nothing() {
    let owner = RunningOwner::spawn().await;
    let supervisor = || owner.actor().get_cell();
    let configuration = || UdpEndpointConfiguration::address("127.0.0.1:0".parse().unwrap());
    let before = tasks();
    for polls in 1.. {
        let starting = UdpEndpoint::spawn(configuration(), supervisor());
        if let Some(started) = cut_short(starting, polls).await {
            started.unwrap().stop();
            break;
        }
        nothing_is_left(owner.actor(), before).await;
    }
    for polls in 1.. {
        let several = NonZeroUsize::new(3).unwrap();
        let starting = UdpEndpointPool::spawn(configuration(), several, supervisor());
        if let Some(started) = cut_short(starting, polls).await {
            started.unwrap().stop();
            break;
        }
        nothing_is_left(owner.actor(), before).await;
    }
    nothing_is_left(owner.actor(), before).await;
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_a_peer_that_goes_on() {
    let before = tasks();
    let mut ours = Ours::spawn(loopback()).await;
    let mut remote = Ours::spawn(loopback()).await;
    connect_ours(&mut ours, &mut remote, None).await;
    ours.expect_tracks().await;
    let scene = Scene::new(&ours, &remote).await;
    for (name, call) in CALLS {
        for polls in 1.. {
            let finished = cut_short(call(&scene), polls).await.is_some();
            let answered = scene.peer.transceivers().await;
            answered
                .unwrap_or_else(|error| panic!("after {name}, given up at poll {polls}: {error}"));
            if finished {
                break;
            }
        }
    }
    drop(scene);
    ours.peer.set_route(ours.audio.id(), None).await.unwrap();
    let packet = rtp_packet(96, 1, 960, true, vec![0x10, 0, 1, 2]);
    ours.peer.send_rtp(ours.video.id(), packet).unwrap();
    remote.expect_rtp().await;
    // Told once polled, and not undone by giving it up.
    assert!(cut_short(ours.peer.close(), 1).await.is_none());
    ours.expect_closed().await;
    drop((ours, remote));
    eventually(PATIENCE, "no task is left", async || {
        (tasks() <= before).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_room_and_a_join_that_are_given_up_leave_nothing() {
    let before = tasks();
    let owner = Ignorant::spawn().await;
    let with_owner = tasks();
    let room = until_done(async |polls| {
        let opening = Room::builder().connection(loopback).spawn_linked(&owner);
        let opened = cut_short(opening, polls).await;
        if opened.is_none() {
            nothing_is_left(&owner, with_owner).await;
        }
        opened.map(Result::unwrap)
    })
    .await;
    let empty = tasks();
    let joined = until_done(async |polls| {
        let joining = room.join(JoinRequest::new("Ada"), &owner);
        let joined = cut_short(joining, polls).await;
        if joined.is_none() {
            eventually(PATIENCE, "nobody is there", async || {
                let present = room.snapshot().await.unwrap().participants;
                (present.is_empty() && tasks() <= empty).then_some(())
            })
            .await;
        }
        joined.map(Result::unwrap)
    })
    .await;
    assert_eq!(
        room.snapshot().await.unwrap().participants[0].id,
        joined.id()
    );
    assert!(cut_short(room.close(), 1).await.is_none());
    nothing_is_left(&owner, with_owner).await;
    owner.stop_and_wait(None, None).await.unwrap();
    assert_eq!(tasks(), before);
}

#[tokio::test]
async fn a_forwarder_whose_succession_is_given_up_is_succeeded_by_the_next() {
    // What it knew was taken from it before its successor ran: who gave that up, or whose successor did not start, had lost it all.
    let owner = Ignorant::spawn().await;
    let peer = Ours::spawn(loopback()).await;
    let first = Forwarder::builder().spawn_linked(&owner).await.unwrap();
    first.add_peer(&peer.peer).await.unwrap();
    let next = until_done(async |polls| {
        let succeeding = Forwarder::builder().succeeding(&first).spawn_linked(&owner);
        cut_short(succeeding, polls).await.map(Result::unwrap)
    })
    .await;
    assert_eq!(next.snapshot().await.unwrap().peers.len(), 1);
    let fault = Fault::error().in_part("Forwarder").at(Hook::PreStart);
    let injected = fault.below(&owner).inject();
    let failed = Forwarder::builder().succeeding(&next).spawn_linked(&owner);
    assert!(failed.await.is_err());
    assert_eq!(injected.strikes(), 1);
    let last = Forwarder::builder().succeeding(&next).spawn_linked(&owner);
    let last = last.await.unwrap();
    assert_eq!(last.snapshot().await.unwrap().peers.len(), 1);
    for (name, call) in FORWARDER_CALLS {
        for polls in 1.. {
            let finished = cut_short(call(&last, &peer), polls).await.is_some();
            let answered = last.snapshot().await;
            answered
                .unwrap_or_else(|error| panic!("after {name}, given up at poll {polls}: {error}"));
            if finished {
                break;
            }
        }
    }
}

/// Something that a peer may be asked.
type Call = for<'a> fn(&'a Scene) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What the calls are about.
struct Scene {
    peer: PeerConnection,
    track: TrackId,
    source: RouteSource,
    sender: SenderId,
    transceiver: TransceiverId,
    offer: SessionDescription,
    owner: ActorRef<PeerEvent>,
}

impl Scene {
    async fn new(ours: &Ours, remote: &Ours) -> Self {
        let peer = ours.peer.clone();
        let transceiver = peer.transceivers().await.unwrap().remove(0);
        Self {
            source: RouteSource::new(&peer, ours.remote_track(MediaKind::Audio).id()),
            track: ours.audio.id(),
            sender: transceiver.sender().id(),
            transceiver: transceiver.id(),
            offer: remote.peer.create_offer().await.unwrap(),
            owner: ours.owner().clone(),
            peer,
        }
    }
}

fn rollback() -> SessionDescription {
    SessionDescription {
        kind: SdpType::Rollback,
        sdp: String::new(),
    }
}

/// A call of this name with these arguments, whatever comes of it.
macro_rules! call {
    ($name:ident($scene:ident $(, $argument:expr)*)) => {
        (stringify!($name), |$scene| {
            Box::pin(async move { let _whatever = $scene.peer.$name($($argument),*).await; })
        })
    };
}

const CALLS: [(&str, Call); 31] = [
    call!(create_offer(scene)),
    call!(set_local_description(scene, None)),
    call!(set_local_description(scene, rollback())),
    call!(set_remote_description(scene, scene.offer.clone())),
    call!(create_answer(scene)),
    call!(set_local_description(scene, None)),
    call!(add_ice_candidate(scene, None::<IceCandidate>)),
    call!(add_track(
        scene,
        &MediaStreamTrack::new(MediaKind::Audio, [])
    )),
    call!(add_transceiver(
        scene,
        MediaKind::Video,
        RtpTransceiverDirection::SendOnly.into()
    )),
    call!(set_direction(
        scene,
        scene.transceiver,
        RtpTransceiverDirection::SendRecv
    )),
    call!(set_codec_preferences(scene, scene.transceiver, Vec::new())),
    call!(replace_track(scene, scene.sender, None)),
    call!(remove_track(scene, scene.sender)),
    call!(stop_transceiver(scene, scene.transceiver)),
    call!(transceivers(scene)),
    call!(senders(scene)),
    call!(receivers(scene)),
    call!(local_description(scene)),
    call!(remote_description(scene)),
    call!(current_local_description(scene)),
    call!(pending_local_description(scene)),
    call!(current_remote_description(scene)),
    call!(pending_remote_description(scene)),
    call!(restart_ice(scene)),
    call!(configuration(scene)),
    call!(parameters(scene, scene.sender)),
    call!(set_owner(scene, &scene.owner)),
    call!(set_route(scene, scene.track, scene.source.clone())),
    call!(media_stats(scene)),
    call!(get_stats(scene, None)),
    call!(get_stats(scene, scene.track)),
];

/// Something that a Forwarder may be asked.
type ForwarderCall = for<'a> fn(&'a Forwarder, &'a Ours) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

const FORWARDER_CALLS: [(&str, ForwarderCall); 4] = [
    ("add_peer", |forwarder, ours| {
        Box::pin(async move {
            let _whatever = forwarder.add_peer(&ours.peer).await;
        })
    }),
    ("add_slot", |forwarder, ours| {
        let slot = MediaStreamTrack::new(MediaKind::Video, []);
        Box::pin(async move {
            let _whatever = forwarder.add_slot(ours.peer.id(), slot).await;
        })
    }),
    ("switch", |forwarder, ours| {
        Box::pin(async move {
            let _whatever = forwarder.switch(ours.video.id(), None).await;
        })
    }),
    ("snapshot", |forwarder, _| {
        Box::pin(async move {
            let _whatever = forwarder.snapshot().await;
        })
    }),
];

/// With one poll more each time, until something comes of it.
async fn until_done<T>(mut attempt: impl AsyncFnMut(usize) -> Option<T>) -> T {
    let mut polls = 0;
    loop {
        polls += 1;
        if let Some(done) = attempt(polls).await {
            return done;
        }
    }
}

/// Waits until the owner has no child and there are no more tasks than before.
async fn nothing_is_left(owner: &ActorCell, before: usize) {
    eventually(PATIENCE, "nothing is left", async || {
        let children = owner.get_children();
        (children.is_empty() && tasks() <= before).then_some(())
    })
    .await;
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}
