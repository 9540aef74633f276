//! The sending actor with real lanes and a real socket; the receiving halves are played by the tests.
#![allow(clippy::wildcard_enum_match_arm)]

use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::message::{
    LimitSetter, PublisherRequest, RouteLayer, RouteOrigin, SendingCommand, SendingEvent, StreamId,
    Subscription,
};
use super::retransmission::RetransmissionRequest;
use super::{Egress, Membership, Outgoing, RouteRefusal, SendingCounters, SendingHandle};
use crate::codec::RtpCodec;
use crate::fixtures::*;
use crate::lane::LaneCapacity;
use crate::limits::{MediaLimits, PeerLimits, QueueLimit};
use crate::outlet::{ListenerGone, Outlet};
use crate::rtp::{
    ExtensionMap, HeaderExtension, LayerLimit, RtcpPacket, RtpBatch, RtpPacket, RtpSource,
    RtpTimestamp, SequenceNumber, Ssrc,
};
use crate::track::TrackId;
use crate::udp::{EndpointSocket, TransportPath};

/// Passes on whatever it is told.
struct Listener<E>(PhantomData<fn(E)>);

impl<E: Send + Sync + 'static> Actor for Listener<E> {
    type Msg = E;
    type State = mpsc::UnboundedSender<E>;
    type Arguments = mpsc::UnboundedSender<E>;

    async fn pre_start(
        &self,
        _: ActorRef<E>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _: ActorRef<E>,
        event: E,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // A test that has ended does not listen.
        let _ended = events.send(event);
        Ok(())
    }
}

async fn listener<E: Send + Sync + 'static>() -> (ActorRef<E>, mpsc::UnboundedReceiver<E>) {
    let (events, inbox) = mpsc::unbounded_channel();
    let (actor, _) = Actor::spawn(None, Listener(PhantomData), events)
        .await
        .unwrap();
    (actor, inbox)
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), future).await.unwrap()
}

/// A peer that sends: its sending half, and its remote side.
struct Peer {
    handle: SendingHandle,
    membership: Membership,
    counters: Arc<SendingCounters>,
    events: mpsc::UnboundedReceiver<SendingEvent>,
    socket: UdpSocket,
    remote: Remote,
    session: Session,
}

impl Peer {
    async fn join(egress: &Egress) -> Self {
        Self::join_with(egress, ROOMY).await
    }

    async fn join_with(egress: &Egress, capacity: LaneCapacity) -> Self {
        let (actor, events) = listener().await;
        let LaneCapacity { packets, bytes } = capacity;
        let media = MediaLimits {
            outbound: QueueLimit { packets, bytes },
            ..MediaLimits::default()
        };
        let (handle, reservation) = egress.reserve(PeerLimits::default().media(media));
        let (membership, counters) = reservation.join(Outlet::with(&actor, |event| event));
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let session = session();
        handle.tell(SendingCommand::SetPath(path_to(
            socket.local_addr().unwrap(),
        )));
        handle.tell(SendingCommand::InstallKeys(keys().profile, keys().local));
        handle.tell(SendingCommand::Apply(session.plan.clone()));
        Self {
            handle,
            membership,
            counters,
            events,
            socket,
            remote: Remote::new(),
            session,
        }
    }

    fn send(&self, sequences: impl IntoIterator<Item = u16>) {
        self.handle.push(Outgoing {
            track: self.session.local.into(),
            batch: sequences.into_iter().map(made).collect(),
        });
    }

    /// Sends what the owner has got from another peer.
    fn forward(&self, ssrc: u32, sequences: impl IntoIterator<Item = u16>) {
        let codec = self.session.plan.sections[0].send.as_ref().unwrap().codecs[0]
            .codec
            .clone();
        let source = Arc::new(RtpSource {
            codec,
            extensions: ExtensionMap::default(),
        });
        let packets = sequences.into_iter().map(|it| made_by(ssrc, it));
        let batch = RtpBatch::received(packets.collect(), source, Instant::now());
        self.handle.push(Outgoing {
            track: self.session.local.into(),
            batch,
        });
    }

    async fn datagram(&self) -> Vec<u8> {
        let mut bytes = vec![0; 2048];
        let (length, _) = soon(self.socket.recv_from(&mut bytes)).await.unwrap();
        bytes.truncate(length);
        bytes
    }

    async fn packet(&mut self) -> RtpPacket {
        let datagram = self.datagram().await;
        self.remote.read_rtp(&datagram)
    }

    /// Sequence numbers of the next packets.
    async fn numbers(&mut self, count: usize) -> Vec<u16> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            numbers.push(self.packet().await.sequence_number().0);
        }
        numbers
    }

    async fn event(&mut self) -> SendingEvent {
        soon(self.events.recv()).await.unwrap()
    }

    async fn route(&self, origin: impl Into<Option<RouteOrigin>>) -> Result<(), RouteRefusal> {
        let track = self.session.local;
        self.handle.set_route(track, origin.into()).await.unwrap()
    }
}

/// A peer whose track others take.
struct Publisher {
    actor: ActorRef<PublisherRequest>,
    requests: mpsc::UnboundedReceiver<PublisherRequest>,
    track: TrackId,
    ssrc: u32,
}

impl Publisher {
    async fn new(ssrc: u32) -> Self {
        let (actor, requests) = listener().await;
        Self {
            actor,
            requests,
            track: session().remote,
            ssrc,
        }
    }

    fn origin(&self, capacity: LaneCapacity) -> RouteOrigin {
        RouteOrigin {
            track: self.track,
            layer: RouteLayer::Best { up_to: None },
            publisher: Outlet::with(&self.actor, |request| request),
            capacity,
            subscribers: 16,
        }
    }

    /// The next one that is not about keyframes.
    async fn request(&mut self) -> PublisherRequest {
        loop {
            match soon(self.requests.recv()).await.unwrap() {
                PublisherRequest::RequestKeyframe { .. } => {}
                other => return other,
            }
        }
    }

    /// Nobody here takes this stream any more.
    async fn is_left(&mut self, subscription: &Subscription) {
        match self.request().await {
            PublisherRequest::Unsubscribe { stream } => assert_eq!(stream, subscription.stream),
            other => panic!("{other:?}"),
        }
    }

    /// How often it was asked for a keyframe of this stream since the last request, and for nothing else.
    fn keyframe_requests(&mut self, of: StreamId) -> usize {
        let mut count = 0;
        while let Ok(request) = self.requests.try_recv() {
            match request {
                PublisherRequest::RequestKeyframe { stream } => assert_eq!(stream, of),
                other => panic!("{other:?}"),
            }
            count += 1;
        }
        count
    }

    async fn subscription(&mut self) -> Subscription {
        match self.request().await {
            PublisherRequest::Subscribe(subscription) => subscription,
            other => panic!("{other:?}"),
        }
    }

    /// The next one, behind the end of the one before.
    async fn subscription_after_end(&mut self) -> Subscription {
        assert!(matches!(
            self.request().await,
            PublisherRequest::Unsubscribe { .. }
        ));
        self.subscription().await
    }

    fn batch(&self, sequences: impl IntoIterator<Item = u16>) -> RtpBatch {
        let packets = sequences.into_iter();
        packets.map(|it| made_by(self.ssrc, it)).collect()
    }

    /// Packets as they come from a network, coded so, with these payloads.
    fn coded(&self, codec: &Arc<RtpSource>, packets: &[(u16, &'static [u8])]) -> RtpBatch {
        let packet = |(sequence, payload): &(u16, &'static [u8])| {
            let bytes = rtp_bytes(VIDEO, *sequence, Ssrc(self.ssrc), &[], payload);
            RtpPacket::parse(bytes.into()).unwrap()
        };
        let packets = packets.iter().map(packet).collect();
        RtpBatch::received(packets, Arc::clone(codec), Instant::now())
    }
}

fn source(codec: RtpCodec) -> Arc<RtpSource> {
    Arc::new(RtpSource {
        codec: Arc::new(codec),
        extensions: ExtensionMap::default(),
    })
}

fn made_by(ssrc: u32, sequence: u16) -> RtpPacket {
    let packet = made(sequence);
    RtpPacket::new(
        packet.payload_type(),
        packet.sequence_number(),
        packet.timestamp(),
        Ssrc(ssrc),
        packet.marker(),
        packet.payload().to_vec(),
    )
}

/// A viewer that plays what one of two publishers sends, from its packet 1 on.
struct Watching {
    viewer: Peer,
    one: Publisher,
    other: Publisher,
    first: Subscription,
    vp8: Arc<RtpSource>,
}

impl Watching {
    async fn begin() -> Self {
        let egress = egress().await;
        let mut viewer = Peer::join(&egress).await;
        let mut one = Publisher::new(1).await;
        let vp8 = source(RtpCodec::vp8());
        viewer.route(one.origin(ROOMY)).await.unwrap();
        let first = one.subscription().await;
        first.lane.push(one.coded(&vp8, &[(1, KEY)]));
        viewer.numbers(1).await;
        Self {
            viewer,
            one,
            other: Publisher::new(2).await,
            first,
            vp8,
        }
    }
}

fn path_to(remote: SocketAddr) -> TransportPath {
    let ours = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    TransportPath::new(EndpointSocket::new(ours).unwrap(), remote, None)
}

async fn egress() -> Egress {
    let (supervisor, _) = listener::<()>().await;
    Egress::spawn(supervisor.get_cell()).await.unwrap()
}

/// Beginnings of VP8 frames, and of a packet that is not the first of its frame.
const KEY: &[u8] = &[0x10, 0];
const DELTA: &[u8] = &[0x10, 1];
const LATER: &[u8] = &[0, 0];

const ROOMY: LaneCapacity = LaneCapacity {
    packets: 10_000,
    bytes: 10_000_000,
};

const NARROW: LaneCapacity = LaneCapacity {
    packets: 4,
    bytes: 10_000,
};

#[tokio::test]
async fn a_panic_in_one_half_costs_that_peer_alone() {
    let egress = egress().await;
    let mut first = Peer::join(&egress).await;
    let mut second = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    first.route(publisher.origin(ROOMY)).await.unwrap();
    second.route(publisher.origin(ROOMY)).await.unwrap();
    let stream = publisher.subscription().await;

    first.handle.tell(SendingCommand::Panic);
    stream.lane.push(publisher.batch([5, 6]));

    assert_eq!(second.numbers(2).await, [5, 6]);
    match first.event().await {
        SendingEvent::Failed(message) => assert_eq!(message, "told to"),
        other => panic!("{other:?}"),
    }
    // Nothing of it is left that could be sent or fed.
    first.send([1]);
    let gone = first.handle.set_route(first.session.local, None).await;
    assert!(gone.is_err());
    assert_eq!(first.counters.sent.get(), 0);
}

#[tokio::test]
async fn one_lane_feeds_all_who_take_the_same_track() {
    let egress = egress().await;
    let mut publisher = Publisher::new(1).await;
    let mut viewers = Vec::new();
    for _ in 0..5 {
        let viewer = Peer::join(&egress).await;
        viewer.route(publisher.origin(ROOMY)).await.unwrap();
        viewers.push(viewer);
    }
    let stream = publisher.subscription().await;
    stream.lane.push(publisher.batch([65_535, 0, 1]));
    for viewer in &mut viewers {
        assert_eq!(viewer.numbers(3).await, [65_535, 0, 1]);
        assert_eq!(viewer.counters.routed.get(), 3);
    }
    // Subscribed to once, and a keyframe wanted for each of them.
    assert_eq!(publisher.keyframe_requests(stream.stream), 5);
}

#[tokio::test]
async fn c110_a_picture_begins_with_a_keyframe_and_the_source_is_asked_for_it() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    viewer.route(publisher.origin(ROOMY)).await.unwrap();
    let stream = publisher.subscription().await;
    let vp8 = source(RtpCodec::vp8());
    let rest = publisher.coded(&vp8, &[(8, DELTA), (9, LATER), (10, KEY), (11, LATER)]);
    stream.lane.push(rest);
    assert_eq!(viewer.numbers(2).await, [10, 11]);
    stream.lane.push(publisher.coded(&vp8, &[(12, DELTA)]));
    assert_eq!(viewer.numbers(1).await, [12]);
    assert_eq!(viewer.counters.before_keyframe.get(), 2);
    // For the route, and for what was held back.
    assert_eq!(publisher.keyframe_requests(stream.stream), 2);

    // Another source begins in the same way, and its numbers go on without a gap for what was held back.
    let mut other = Publisher::new(2).await;
    viewer.route(other.origin(ROOMY)).await.unwrap();
    let stream = other.subscription().await;
    let rest = other.coded(&vp8, &[(500, DELTA), (501, KEY)]);
    stream.lane.push(rest);
    assert_eq!(viewer.numbers(1).await, [13]);
}

#[tokio::test]
async fn the_old_picture_goes_on_until_the_new_one_begins() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let (mut one, mut other) = (Publisher::new(1).await, Publisher::new(2).await);
    let vp8 = source(RtpCodec::vp8());
    viewer.route(one.origin(ROOMY)).await.unwrap();
    let first = one.subscription().await;
    first.lane.push(one.coded(&vp8, &[(1, KEY), (2, DELTA)]));
    assert_eq!(viewer.numbers(2).await, [1, 2]);

    viewer.route(other.origin(ROOMY)).await.unwrap();
    let second = other.subscription().await;
    second
        .lane
        .push(other.coded(&vp8, &[(70, DELTA), (71, LATER)]));
    first.lane.push(one.coded(&vp8, &[(3, DELTA)]));
    assert_eq!(viewer.numbers(1).await, [3]);
    second
        .lane
        .push(other.coded(&vp8, &[(72, LATER), (73, KEY), (74, DELTA)]));
    assert_eq!(viewer.numbers(2).await, [4, 5]);
    one.is_left(&first).await;
    second.lane.push(other.coded(&vp8, &[(75, DELTA)]));
    assert_eq!(viewer.numbers(1).await, [6]);
    assert_eq!(viewer.counters.before_keyframe.get(), 3);
    assert_eq!(viewer.counters.routed.get(), 3 + 3 + 1);
}

#[tokio::test]
async fn who_goes_back_before_the_new_picture_begins_has_missed_nothing() {
    let Watching {
        mut viewer,
        one,
        mut other,
        first,
        vp8,
    } = Watching::begin().await;
    viewer.route(other.origin(ROOMY)).await.unwrap();
    let second = other.subscription().await;
    viewer.route(one.origin(ROOMY)).await.unwrap();
    other.is_left(&second).await;
    first.lane.push(one.coded(&vp8, &[(2, DELTA)]));
    assert_eq!(viewer.numbers(1).await, [2]);
}

#[tokio::test]
async fn a_picture_does_not_go_on_for_ever_when_the_new_one_does_not_begin() {
    let Watching {
        mut viewer,
        mut one,
        mut other,
        first: _plays,
        vp8,
    } = Watching::begin().await;
    let switched_at = Instant::now();
    viewer.route(other.origin(ROOMY)).await.unwrap();
    let second = other.subscription().await;
    assert!(matches!(
        one.request().await,
        PublisherRequest::Unsubscribe { .. }
    ));
    assert!(switched_at.elapsed() >= Duration::from_secs(1));
    second.lane.push(other.coded(&vp8, &[(8, DELTA), (9, KEY)]));
    assert_eq!(viewer.numbers(1).await, [2]);
}

#[tokio::test]
async fn what_plays_may_end_before_its_successor_begins() {
    let Watching {
        mut viewer,
        one: _source,
        mut other,
        first,
        vp8,
    } = Watching::begin().await;
    viewer.route(other.origin(ROOMY)).await.unwrap();
    let second = other.subscription().await;
    drop(first);
    second.lane.push(other.coded(&vp8, &[(8, DELTA), (9, KEY)]));
    assert_eq!(viewer.numbers(1).await, [2]);
    drop(second);
    viewer.send([3]);
    assert_eq!(viewer.numbers(1).await, [3], "by hand again");
}

#[tokio::test]
async fn c110_packets_held_back_ask_now_and_then_and_a_wish_at_once() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    viewer.route(publisher.origin(ROOMY)).await.unwrap();
    let stream = publisher.subscription().await;
    let vp8 = source(RtpCodec::vp8());
    for number in 0..50 {
        stream.lane.push(publisher.coded(&vp8, &[(number, DELTA)]));
    }
    stream.lane.push(publisher.coded(&vp8, &[(50, KEY)]));
    viewer.numbers(1).await;
    let asked = publisher.keyframe_requests(stream.stream);
    assert!((2..10).contains(&asked), "{asked}");

    let track = viewer.session.local;
    viewer
        .handle
        .tell(SendingCommand::RequestKeyframe(track.into()));
    // Not its own, and of no route.
    viewer.handle.tell(SendingCommand::RequestKeyframe(
        viewer.session.remote.into(),
    ));
    viewer.route(None).await.unwrap();
    viewer
        .handle
        .tell(SendingCommand::RequestKeyframe(track.into()));
    viewer.route(None).await.unwrap();
    match publisher.requests.recv().await {
        Some(PublisherRequest::RequestKeyframe { stream: of }) => assert_eq!(of, stream.stream),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        publisher.requests.try_recv(),
        Ok(PublisherRequest::Unsubscribe { .. })
    ));
    assert!(publisher.requests.try_recv().is_err());
}

#[tokio::test]
async fn who_begins_to_send_asks_for_the_keyframes_of_its_routes() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    viewer.route(publisher.origin(ROOMY)).await.unwrap();
    let stream = publisher.subscription().await;
    let apply = |viewer: &Peer| {
        let plan = viewer.session.plan.clone();
        viewer.handle.tell(SendingCommand::Apply(plan));
    };
    apply(&viewer);
    stream.lane.push(publisher.batch([1]));
    viewer.numbers(1).await;
    assert_eq!(publisher.keyframe_requests(stream.stream), 2);
    // Its decoder has something to go on with now.
    apply(&viewer);
    stream.lane.push(publisher.batch([2]));
    viewer.numbers(1).await;
    assert_eq!(publisher.keyframe_requests(stream.stream), 0);
}

#[tokio::test]
async fn a_codec_that_the_remote_side_does_not_know_is_told_once() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    viewer.route(publisher.origin(ROOMY)).await.unwrap();
    let stream = publisher.subscription().await;
    let [vp8, av1] = [RtpCodec::vp8(), RtpCodec::av1()].map(source);
    let told = async |viewer: &mut Peer| loop {
        match viewer.event().await {
            SendingEvent::ActivityChanged { .. } => {}
            SendingEvent::CodecMismatch { track, codec } => {
                assert_eq!(track, viewer.session.local);
                break codec;
            }
            other => panic!("{other:?}"),
        }
    };
    for number in 0..3 {
        stream.lane.push(publisher.coded(&av1, &[(number, KEY)]));
    }
    assert_eq!(told(&mut viewer).await, av1.codec);
    stream
        .lane
        .push(publisher.coded(&vp8, &[(3, DELTA), (4, KEY)]));
    assert_eq!(viewer.numbers(1).await, [4]);
    stream.lane.push(publisher.coded(&av1, &[(5, KEY)]));
    assert_eq!(told(&mut viewer).await, av1.codec);
    viewer.route(None).await.unwrap();
    assert!(viewer.events.try_recv().is_err());
    assert_eq!(viewer.counters.not_negotiated.get(), 4);
}

#[tokio::test]
async fn numbers_go_on_when_the_source_changes() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let (mut one, mut two) = (Publisher::new(1).await, Publisher::new(2).await);
    viewer.send([9]);
    viewer.route(one.origin(ROOMY)).await.unwrap();
    let first = one.subscription().await;
    first.lane.push(one.batch([500, 501]));
    assert_eq!(viewer.numbers(3).await, [9, 10, 11]);

    viewer.route(two.origin(ROOMY)).await.unwrap();
    let second = two.subscription().await;
    one.is_left(&first).await;
    // What the old source still sends goes nowhere.
    first.lane.push(one.batch([502]));
    second.lane.push(two.batch([7, 6, 8]));
    assert_eq!(viewer.numbers(2).await, [12, 13]);
    assert_eq!(viewer.counters.before_switch.get(), 1);
}

#[tokio::test]
async fn while_a_route_feeds_a_track_nothing_is_sent_by_hand() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    viewer.route(publisher.origin(ROOMY)).await.unwrap();
    let stream = publisher.subscription().await;
    viewer.send([1, 2]);
    stream.lane.push(publisher.batch([40]));
    assert_eq!(viewer.numbers(1).await, [40]);
    viewer.route(None).await.unwrap();
    viewer.send([41]);
    assert_eq!(viewer.numbers(1).await, [41]);
    assert_eq!(viewer.counters.displaced.get(), 2);
    // A route that begins behind other packets is renumbered, and what follows it by hand as well.
    viewer.route(publisher.origin(ROOMY)).await.unwrap();
    let stream = publisher.subscription_after_end().await;
    stream.lane.push(publisher.batch([7]));
    assert_eq!(viewer.numbers(1).await, [42]);
    viewer.route(None).await.unwrap();
    viewer.send([3, 4]);
    assert_eq!(viewer.numbers(2).await, [43, 44]);
}

/// Who forwarded by hand could not go on with another source: its numbers lay anywhere, SRTP refused those
/// behind, and a received batch cannot be numbered anew by its owner.
#[tokio::test]
async fn what_is_forwarded_by_hand_is_numbered_on_when_its_source_changes() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    viewer.forward(1, [500, 501]);
    assert_eq!(viewer.numbers(2).await, [500, 501]);
    // A loss stays one.
    viewer.forward(1, [503]);
    assert_eq!(viewer.numbers(1).await, [503]);
    viewer.forward(2, [7, 8]);
    viewer.forward(2, [9]);
    assert_eq!(viewer.numbers(3).await, [504, 505, 506]);
    assert_eq!(viewer.counters.protect_failed.get(), 0);
}

#[tokio::test]
async fn a_publisher_that_goes_leaves_its_subscribers_to_the_next() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let (mut one, mut two) = (Publisher::new(1).await, Publisher::new(2).await);
    viewer.route(one.origin(ROOMY)).await.unwrap();
    let first = one.subscription().await;
    first.lane.push(one.batch([3]));
    assert_eq!(viewer.numbers(1).await, [3]);
    drop(first);
    // The track is free again for what is sent by hand, and for the next.
    viewer.send([4]);
    assert_eq!(viewer.numbers(1).await, [4]);
    viewer.route(two.origin(ROOMY)).await.unwrap();
    let second = two.subscription().await;
    second.lane.push(two.batch([900]));
    assert_eq!(viewer.numbers(1).await, [5]);
}

#[tokio::test]
async fn a_route_from_a_publisher_that_is_gone_is_refused_and_changes_nothing() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let (mut alive, gone) = (Publisher::new(1).await, Publisher::new(2).await);
    viewer.route(alive.origin(ROOMY)).await.unwrap();
    let stream = alive.subscription().await;
    let origin = gone.origin(ROOMY);
    gone.actor
        .stop_and_wait(None, Some(Duration::from_secs(5)))
        .await
        .unwrap();
    let gone = RouteRefusal::PublisherGone(ListenerGone);
    assert_eq!(viewer.route(origin).await, Err(gone));
    stream.lane.push(alive.batch([1]));
    assert_eq!(viewer.numbers(1).await, [1]);
}

#[tokio::test]
async fn a_stream_goes_to_as_many_as_its_publisher_lets_it_and_to_no_more() {
    let egress = egress().await;
    let (first, second) = (Peer::join(&egress).await, Peer::join(&egress).await);
    let mut third = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    let origin = RouteOrigin {
        subscribers: 2,
        ..publisher.origin(ROOMY)
    };
    first.route(origin.clone()).await.unwrap();
    let stream = publisher.subscription().await;
    second.route(origin.clone()).await.unwrap();
    let refused = Err(RouteRefusal::TooMany { limit: 2 });
    assert_eq!(third.route(origin.clone()).await, refused);
    // Who has it may ask again, and who lets go of it makes room.
    second.route(origin.clone()).await.unwrap();
    first.route(None).await.unwrap();
    third.route(origin).await.unwrap();
    stream.lane.push(publisher.batch([1]));
    assert_eq!(third.numbers(1).await, [1]);
}

#[tokio::test]
async fn a_stream_that_may_go_nowhere_is_not_kept() {
    let egress = egress().await;
    let viewer = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    let origin = RouteOrigin {
        subscribers: 0,
        ..publisher.origin(ROOMY)
    };
    let refused = Err(RouteRefusal::TooMany { limit: 0 });
    assert_eq!(viewer.route(origin).await, refused);
    let stream = publisher.subscription().await.stream;
    let ended = publisher.request().await;
    assert!(matches!(ended, PublisherRequest::Unsubscribe { stream: it } if it == stream));
}

#[tokio::test]
async fn a_peer_that_goes_says_goodbye_and_gives_up_its_routes() {
    let egress = egress().await;
    let mut viewer = Peer::join(&egress).await;
    let mut publisher = Publisher::new(1).await;
    viewer.route(publisher.origin(ROOMY)).await.unwrap();
    let stream = publisher.subscription().await;
    stream.lane.push(publisher.batch([1]));
    viewer.packet().await;
    // As when the peer's receiving half is killed.
    drop(viewer.membership);
    let (mut bytes, socket) = (vec![0; 2048], viewer.socket);
    let (length, _) = soon(socket.recv_from(&mut bytes)).await.unwrap();
    let goodbye = viewer.remote.read_rtcp(&bytes[..length]);
    assert!(matches!(goodbye.last(), Some(RtcpPacket::Goodbye(_))));
    match publisher.request().await {
        PublisherRequest::Unsubscribe { stream: ended } => assert_eq!(ended, stream.stream),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_close_is_confirmed_after_the_goodbye() {
    let egress = egress().await;
    let mut peer = Peer::join(&egress).await;
    peer.send([1]);
    peer.packet().await;
    peer.membership.tell(SendingCommand::Close).unwrap();
    while !matches!(peer.event().await, SendingEvent::Closed) {}
    let datagram = peer.datagram().await;
    let goodbye = peer.remote.read_rtcp(&datagram);
    assert!(matches!(goodbye.last(), Some(RtcpPacket::Goodbye(_))));
}

#[tokio::test(flavor = "current_thread")]
async fn c116_what_does_not_fit_into_a_lane_is_told_to_whose_it_was() {
    let egress = egress().await;
    let mut viewer = Peer::join_with(&egress, NARROW).await;
    let mut publisher = Publisher::new(1).await;
    // On one thread the sending actor does not run before this test waits.
    for sequence in 1..=6 {
        viewer.send([sequence]);
    }
    assert_eq!(viewer.numbers(4).await, [3, 4, 5, 6]);
    loop {
        match viewer.event().await {
            SendingEvent::Overflowed(lost) => {
                assert_eq!(lost.packets, 2);
                break;
            }
            SendingEvent::ActivityChanged { active } => assert!(active),
            other => panic!("{other:?}"),
        }
    }
    viewer.route(publisher.origin(NARROW)).await.unwrap();
    let stream = publisher.subscription().await;
    for sequence in 1..=5 {
        stream.lane.push(publisher.batch([sequence]));
    }
    match publisher.request().await {
        PublisherRequest::Overflowed(lost) => assert_eq!(lost.packets, 1),
        other => panic!("{other:?}"),
    }
    viewer.numbers(4).await;
}

#[tokio::test]
async fn commands_are_heard_between_the_turns_of_a_full_lane() {
    let egress = egress().await;
    let peer = Peer::join(&egress).await;
    let publisher = Publisher::new(1).await;
    let (counters, handled) = (Arc::clone(&peer.counters), Arc::new(AtomicU64::new(0)));
    let at_that_time = Arc::clone(&handled);
    let origin = RouteOrigin {
        // Called by the sending actor when it comes to the command.
        publisher: Outlet::with(&publisher.actor, move |request| {
            let packets = counters.sent.get() + counters.send_failed.get();
            at_that_time.store(packets, Ordering::SeqCst);
            request
        }),
        ..publisher.origin(ROOMY)
    };
    for start in 0..8 {
        peer.send((0..1000).map(|step| start * 1000 + step));
    }
    peer.route(origin).await.unwrap();
    // Asked behind eight thousand packets, answered after the first turn of them.
    assert_eq!(handled.load(Ordering::SeqCst), 1000);
}

// One poll of the actor was all the turns of a full lane; what else runs on its thread waited for
// hundreds of milliseconds where a packet goes to many.
#[tokio::test]
async fn other_tasks_run_between_the_turns_of_a_full_lane() {
    let egress = egress().await;
    let peer = Peer::join(&egress).await;
    for start in 0..8 {
        peer.send((0..1000).map(|step| start * 1000 + step));
    }
    let sent = || peer.counters.sent.get() + peer.counters.send_failed.get();
    let mut seen = vec![0];
    while sent() < 8000 {
        tokio::task::yield_now().await;
        seen.push(sent());
    }
    seen.dedup();
    assert_eq!(seen, Vec::from_iter((0..=8000).step_by(1000)));
}

/// VP8 of two temporal layers: the lowest, and one above that refers to that alone.
const LOWER: &[u8] = &[0x90, 0x20, 0x00, 1];
const UPPER: &[u8] = &[0x90, 0x20, 0x60, 1];

#[tokio::test]
async fn layers_above_the_limit_of_a_track_are_left_out_without_a_gap() {
    let Watching {
        mut viewer,
        one,
        first,
        vp8,
        ..
    } = Watching::begin().await;
    let (track, limit) = (viewer.session.local, LayerLimit::at_most(1, 1));
    let set = |viewer: &Peer, limit| {
        let set_by = LimitSetter::Application;
        let command = SendingCommand::SetLayerLimit {
            track,
            limit,
            set_by,
        };
        viewer.handle.tell(command);
    };
    set(&viewer, limit);
    let push = |packets| first.lane.push(one.coded(&vp8, packets));
    push(&[(2, LOWER), (3, UPPER), (4, LOWER), (5, UPPER), (6, LOWER)]);
    assert_eq!(viewer.numbers(3).await, [2, 3, 4]);
    assert_eq!(viewer.counters.above_layer_limit.get(), 2);
    // What was negotiated anew, this time with requests for lost packets, has the same limit.
    let send = viewer.session.plan.sections[0].send.as_mut().unwrap();
    send.codecs[0].codec = Arc::new(RtpCodec::vp8());
    send.rtx_ssrc = Some(Ssrc(0x77));
    viewer
        .handle
        .tell(SendingCommand::Apply(viewer.session.plan.clone()));
    push(&[(7, UPPER), (8, LOWER)]);
    assert_eq!(viewer.numbers(1).await, [5]);
    set(&viewer, LayerLimit::NONE);
    push(&[(9, UPPER), (10, LOWER)]);
    assert_eq!(viewer.numbers(2).await, [6, 7]);
    // What left no gap is sent again under the number that it had.
    let request = RetransmissionRequest {
        ssrc: OUR_SSRC,
        lost: vec![SequenceNumber(7)],
        round_trip: Duration::ZERO,
    };
    viewer.handle.tell(SendingCommand::Retransmit(request));
    assert_eq!(viewer.packet().await.timestamp(), RtpTimestamp(10 * 3000));
}

#[tokio::test]
async fn the_limits_by_hand_and_of_a_forwarder_both_hold_whichever_comes_or_goes_first() {
    let Watching {
        mut viewer,
        one,
        first,
        vp8,
        ..
    } = Watching::begin().await;
    let track = viewer.session.local;
    let (low, all) = (LayerLimit::at_most(1, 1), LayerLimit::NONE);
    let (by_hand, chosen) = (LimitSetter::Application, LimitSetter::Forwarder);
    let steps = [
        (low, by_hand, 1),
        (all, chosen, 1),
        (low, chosen, 1),
        (all, by_hand, 1),
        (all, chosen, 2),
    ];
    let (mut source, mut sent) = (2, 2);
    for (limit, set_by, count) in steps {
        viewer.handle.tell(SendingCommand::SetLayerLimit {
            track,
            limit,
            set_by,
        });
        let packets = [(source, LOWER), (source + 1, UPPER)];
        first.lane.push(one.coded(&vp8, &packets));
        let expected: Vec<_> = (sent..sent + count).collect();
        assert_eq!(viewer.numbers(usize::from(count)).await, expected);
        (source, sent) = (source + 2, sent + count);
    }
    assert_eq!(viewer.counters.above_layer_limit.get(), 4);
}

#[tokio::test]
async fn a_route_asks_for_the_keyframe_that_a_higher_spatial_layer_needs() {
    let Watching {
        mut viewer,
        mut one,
        first,
        ..
    } = Watching::begin().await;
    // As Chromium describes two spatial layers that refer to each other in key pictures only.
    let structure = "c00001800514853aaaa8018004004002a02a0060010015d34514174d144c70087432165111854\
                     3276809f8077813f80ef8";
    let hex = structure.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
    let structure: Vec<_> = hex.map(|pair| byte(pair).unwrap()).collect();
    let described = Arc::new(RtpSource {
        codec: Arc::new(RtpCodec::vp8()),
        extensions: ExtensionMap {
            entries: vec![(12, HeaderExtension::DependencyDescriptor)],
            mixed: true,
        },
    });
    let push = |one: &Publisher, number: u16, payload: &'static [u8], descriptor: &[u8]| {
        let plain = one.coded(&described, &[(number, payload)]);
        let packet = plain[0].with_extensions(&[(12, descriptor)]).unwrap();
        let source = Arc::clone(&described);
        let batch = RtpBatch::received([packet].into(), source, Instant::now());
        first.lane.push(batch);
    };
    let (track, limit) = (viewer.session.local, LayerLimit::at_most(1, 3));
    viewer.handle.tell(SendingCommand::SetLayerLimit {
        track,
        limit,
        set_by: LimitSetter::Application,
    });
    push(&one, 2, KEY, &structure);
    push(&one, 3, DELTA, &[0xc1, 0, 2]);
    push(&one, 4, DELTA, &[0xc6, 0, 3]);
    push(&one, 5, DELTA, &[0xc1, 0, 4]);
    assert_eq!(viewer.numbers(3).await, [2, 3, 4]);
    one.keyframe_requests(first.stream);
    let limit = LayerLimit::NONE;
    viewer.handle.tell(SendingCommand::SetLayerLimit {
        track,
        limit,
        set_by: LimitSetter::Application,
    });
    push(&one, 6, DELTA, &[0xc6, 0, 5]);
    push(&one, 7, DELTA, &[0xc1, 0, 6]);
    assert_eq!(viewer.numbers(1).await, [5]);
    assert_eq!(one.keyframe_requests(first.stream), 1);
}
