//! A look at running actors: what it shows of connected peers, rooms and supervisors, and that it ends when they hang.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::faults::{Fault, Hook, part};
use ractor_webrtc::observe::{
    ActorDetail, ActorSnapshot, ActorState, Answer, Observer, TreeSnapshot, observe,
};
use ractor_webrtc::peer_connection::PeerConnectionState;
use ractor_webrtc::room::{JoinRequest, ParticipantEvent, Room, RoomNews};
use ractor_webrtc::supervision::{ChildSpec, RestartIntensity, Supervisor};
use ractor_webrtc::{MediaKind, PeerEvent, UdpEndpoint};

use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::connect_ours;
use self::common::{PATIENCE, eventually};

#[tokio::test]
async fn a_connected_peer_shows_its_parts_their_states_lanes_and_bitrates() {
    let (mut alice, mut bob) = connected().await;
    let mut observer = Observer::new();
    let first = observer.look(alice.peer.clone()).await;
    assert_eq!(
        kinds(&first),
        [
            "PeerConnection",
            "UdpEndpoint",
            "RtpTransport",
            "DtlsTransport",
            "IceTransport",
            "Egress",
        ]
    );
    assert_eq!(first.actors, 6);
    assert_eq!(first.root.name, Some(alice.peer.id().to_string()));
    let Some(ActorDetail::PeerConnection {
        connection_state, ..
    }) = first.root.detail
    else {
        panic!("{:?}", first.root);
    };
    assert_eq!(connection_state, PeerConnectionState::Connected);
    let ice = of_kind(&first, "IceTransport");
    let Some(ActorDetail::IceTransport {
        local_address,
        remote_address,
        ..
    }) = &ice.detail
    else {
        panic!("{ice:?}");
    };
    assert!(local_address.as_ref().unwrap().starts_with("127.0.0.1:"));
    assert!(remote_address.as_ref().unwrap().starts_with("127.0.0.1:"));
    let rtp = of_kind(&first, "RtpTransport");
    assert_eq!(rtp.traffic.unwrap().sent_bitrate, None);
    let lanes: Vec<_> = rtp.lanes.iter().map(|lane| lane.name).collect();
    assert_eq!(lanes, ["inbound", "owner", "waiting", "outbound", "route"]);
    assert!(
        rtp.lanes
            .iter()
            .all(|lane| lane.packets <= lane.packet_limit)
    );

    for number in 1..=50 {
        send(&alice, number);
        bob.expect_rtp().await;
    }
    let second = observer.look(alice.peer.clone()).await;
    let traffic = of_kind(&second, "RtpTransport").traffic.unwrap();
    assert!(traffic.bytes_sent > 50 * 100, "{traffic:?}");
    assert!(traffic.sent_bitrate.unwrap() > 0);
    let other = observe(bob.peer.clone()).await;
    assert!(
        of_kind(&other, "RtpTransport")
            .traffic
            .unwrap()
            .bytes_received
            > 50 * 100
    );
    alice.peer.close().await;
    alice.expect_closed().await;
    let gone = observe(alice.peer.clone()).await;
    assert_eq!(gone.root.state, ActorState::Stopped);
    assert_eq!((gone.actors, gone.root.answer), (1, None));
}

#[tokio::test]
async fn a_look_ends_in_time_when_parts_hang_and_says_which() {
    let (alice, bob) = connected().await;
    let limit = Duration::from_millis(100);
    let mut observer = Observer::new().answer_within(limit);
    for (name, kind) in [("RtpTransport", "RtpTransport"), ("Ice", "IceTransport")] {
        let hanging = part(&alice.peer.clone().into(), name);
        let fault = Fault::hang().in_actor(&hanging).at(Hook::Handle).inject();
        let begun = Instant::now();
        let tree = observer.look(alice.peer.clone()).await;
        let took = begun.elapsed();
        assert!(took < 20 * limit, "{took:?}");
        fault.struck().await;
        assert_eq!(of_kind(&tree, kind).answer, Some(Answer::Missing));
        let answered = |it: &&ActorSnapshot| matches!(it.answer, Some(Answer::After(_)));
        assert!(
            tree.all().into_iter().filter(answered).count() >= 2,
            "{tree:?}"
        );
        assert_eq!(of_kind(&tree, kind).state, ActorState::Running);
    }
    // Nothing that was looked at is any worse for it.
    assert_eq!(bob.peer.connection_state(), PeerConnectionState::Connected);
}

#[tokio::test]
async fn a_room_shows_who_is_who_below_it() {
    let (owner, _) = Actor::spawn(None, Listener, ()).await.unwrap();
    let room = Room::builder()
        .connection(loopback)
        .spawn_linked(&owner)
        .await
        .unwrap();
    for name in ["Ada", "Bob"] {
        room.join(JoinRequest::new(name), &owner).await.unwrap();
    }
    let tree = observe(owner.get_cell()).await;
    assert_eq!(tree.root.kind, None);
    let shown = of_kind(&tree, "Room");
    let Some(ActorDetail::Room(inside)) = &shown.detail else {
        panic!("{shown:?}");
    };
    assert_eq!(inside.participants.len(), 2);
    let names: Vec<_> = shown
        .children
        .iter()
        .filter(|it| it.kind.as_deref() == Some("Participant"))
        .map(|it| it.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["Ada", "Bob"]);
    let forwarder = of_kind(&tree, "Forwarder");
    let Some(ActorDetail::Forwarder { peers, .. }) = forwarder.detail else {
        panic!("{forwarder:?}");
    };
    assert_eq!(peers, 2);
    room.close().await;
}

#[tokio::test]
async fn a_supervisor_shows_names_restarts_and_those_that_wait_and_its_json_is_what_a_page_reads() {
    let builder = Supervisor::builder().intensity(RestartIntensity::new(9, Duration::from_secs(9)));
    let supervisor = builder
        .child(ChildSpec::actor("listener", || (Listener, ())))
        .spawn()
        .await
        .unwrap();
    let former: ActorRef<ListenerMessage> = supervisor.child("listener").await.unwrap().unwrap();
    former.kill();
    let mut observer = Observer::new().kind::<ListenerMessage>("Listener");
    let tree = eventually(PATIENCE, "another listener", async || {
        let tree = observer.look(supervisor.clone()).await;
        let child = tree.root.children.first()?;
        (child.restarts == Some(1)).then_some(tree)
    })
    .await;
    let json = serde_json::to_value(&tree).unwrap();
    assert_eq!(json["root"]["kind"], "Supervisor");
    assert_eq!(json["root"]["children"][0]["kind"], "Listener");
    assert_eq!(json["root"]["children"][0]["name"], "listener");
    assert_eq!(json["root"]["children"][0]["restarts"], 1);
    assert_eq!(json["root"]["children"][0]["state"], "running");
    assert_eq!(
        json["root"]["detail"]["supervisor"]["strategy"],
        "oneForOne"
    );
    assert_eq!(
        json["root"]["detail"]["supervisor"]["children"][0]["state"],
        "running"
    );
    assert!(json["root"]["answer"]["after"].as_f64().unwrap() >= 0.0);
    assert!(json["took"].as_f64().unwrap() > 0.0);
    supervisor.stop().await;
}

#[tokio::test]
async fn of_more_actors_than_are_wanted_those_further_down_are_left_out() {
    let supervisor = Supervisor::builder().spawn().await.unwrap();
    for number in 0..10 {
        let spec = ChildSpec::actor(number.to_string(), || (Listener, ()));
        supervisor.start_child(spec).await.unwrap();
    }
    let tree = Observer::new().max_actors(5).look(supervisor.clone()).await;
    assert!(tree.is_truncated);
    assert_eq!(tree.actors, 5);
    assert_eq!(tree.root.children.len(), 4);
    let whole = observe(supervisor.clone()).await;
    assert!(!whole.is_truncated);
    supervisor.stop().await;
}

#[tokio::test]
async fn a_look_at_two_hundred_peers_asks_all_of_them_at_once() {
    let (socket, endpoint) = common::owner::shared_endpoint().await;
    let (owner, _) = Actor::spawn(None, Listener, ()).await.unwrap();
    for _ in 0..200 {
        let peer = loopback().endpoint(endpoint.clone());
        peer.spawn_linked(&owner).await.unwrap();
    }
    let mut observer = Observer::new().answer_within(PATIENCE);
    let tree = observer.look(owner.get_cell()).await;
    println!("{} actors in {:?}", tree.actors, tree.took);
    assert_eq!(tree.actors, 1 + 200 * 4);
    let missing = |it: &&ActorSnapshot| it.answer == Some(Answer::Missing);
    assert_eq!(tree.all().into_iter().filter(missing).count(), 0);
    socket.stop(None);
    owner.stop(None);
}

#[tokio::test]
async fn a_shared_endpoint_shows_its_peers() {
    let (socket, endpoint) = common::owner::shared_endpoint().await;
    let mut alice = Ours::spawn(loopback().endpoint(endpoint.clone())).await;
    alice.offer().await;
    let tree = eventually(PATIENCE, "a registered peer", async || {
        let tree = observe(UdpEndpoint::clone(&endpoint)).await;
        match tree.root.detail {
            Some(ActorDetail::UdpEndpoint { peers: 1, .. }) => Some(tree),
            _ => None,
        }
    })
    .await;
    assert_eq!(kinds(&tree), ["UdpEndpoint", "Egress"]);
    socket.stop(None);
}

/// Two peers between which a packet has passed.
async fn connected() -> (Ours, Ours) {
    let mut alice = Ours::spawn(loopback()).await;
    let mut bob = Ours::spawn(loopback()).await;
    connect_ours(&mut alice, &mut bob, None).await;
    send(&alice, 0);
    bob.expect_rtp().await;
    (alice, bob)
}

fn send(ours: &Ours, number: u16) {
    let track = ours.local_track(MediaKind::Audio).id();
    let packet = rtp_packet(111, number, u32::from(number) * 960, false, vec![1; 100]);
    ours.peer.send_rtp(track, packet).unwrap();
}

/// Each before those below it.
fn kinds(tree: &TreeSnapshot) -> Vec<&str> {
    let all = tree.all().into_iter();
    all.map(|it| it.kind.as_deref().unwrap()).collect()
}

fn of_kind<'a>(tree: &'a TreeSnapshot, kind: &str) -> &'a ActorSnapshot {
    let mut all = tree.all().into_iter();
    let found = all.find(|it| it.kind.as_deref() == Some(kind));
    found.unwrap_or_else(|| panic!("no {kind} in {tree:?}"))
}

/// Owns a room, and listens to its participants; it says nothing.
struct Listener;

enum ListenerMessage {
    Peer,
    News,
    Participant,
}

impl From<PeerEvent> for ListenerMessage {
    fn from(_: PeerEvent) -> Self {
        Self::Peer
    }
}

impl From<RoomNews> for ListenerMessage {
    fn from(_: RoomNews) -> Self {
        Self::News
    }
}

impl From<ParticipantEvent> for ListenerMessage {
    fn from(_: ParticipantEvent) -> Self {
        Self::Participant
    }
}

impl Actor for Listener {
    type Msg = ListenerMessage;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<ListenerMessage>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<ListenerMessage>,
        message: ListenerMessage,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ListenerMessage::Peer | ListenerMessage::News | ListenerMessage::Participant => Ok(()),
        }
    }
}
