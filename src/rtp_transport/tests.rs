//! The running actor: lanes, sockets, timers, an owner with a mailbox.
#![allow(clippy::wildcard_enum_match_arm)]

use std::mem;
use std::net::{Ipv4Addr, UdpSocket as StdSocket};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, ActorStatus};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::fixtures::*;
use crate::peer_connection::{Event, PeerEvent};
use crate::rtp::{PictureLossIndication, RtpPacket, SequenceNumber, Ssrc};
use crate::udp::EndpointSocket;

/// Test owner: passes every event to a channel.
struct Listener;

struct OwnerMessage(PeerEvent);

impl From<PeerEvent> for OwnerMessage {
    fn from(event: PeerEvent) -> Self {
        Self(event)
    }
}

impl Actor for Listener {
    type Msg = OwnerMessage;
    type State = mpsc::UnboundedSender<PeerEvent>;
    type Arguments = mpsc::UnboundedSender<PeerEvent>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        OwnerMessage(event): Self::Msg,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(events.send(event)?)
    }
}

/// A transport, its owner's events, and the remote side on a socket of its own.
struct Scene {
    transport: RtpTransport,
    peer: PeerId,
    events: mpsc::UnboundedReceiver<PeerEvent>,
    owner: ActorRef<OwnerMessage>,
    told: Owner,
    supervisor: ActorRef<OwnerMessage>,
    socket: UdpSocket,
    remote: Remote,
    session: Session,
}

async fn owner() -> (ActorRef<OwnerMessage>, mpsc::UnboundedReceiver<PeerEvent>) {
    let (events, inbox) = mpsc::unbounded_channel();
    let (owner, _) = Actor::spawn(None, Listener, events).await.unwrap();
    (owner, inbox)
}

impl Scene {
    async fn new(limits: MediaLimits) -> Self {
        let (owner, events) = owner().await;
        let (supervisor, _) = self::owner().await;
        let peer = PeerId::next();
        let egress = Egress::spawn(supervisor.get_cell()).await.unwrap();
        let told = Owner::new(Outlet::new(&owner));
        let arguments = RtpTransportArguments {
            peer,
            owner: told.clone(),
            limits: PeerLimits::default().media(limits),
            audio_levels: None,
            egress,
        };
        let transport = RtpTransport::spawn(arguments, supervisor.get_cell())
            .await
            .unwrap();
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let ours = StdSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let session = session();
        transport.set_path(TransportPath::new(
            EndpointSocket::new(ours).unwrap(),
            socket.local_addr().unwrap(),
            None,
        ));
        transport.install_keys(keys());
        transport.apply(session.plan.clone());
        Self {
            transport,
            peer,
            events,
            owner,
            told,
            supervisor,
            socket,
            remote: Remote::new(),
            session,
        }
    }

    /// Puts one read with these video packets into the inbound lane.
    fn arrive(&mut self, sequences: impl IntoIterator<Item = u16>) {
        let brought = sequences
            .into_iter()
            .map(|sequence| self.remote.rtp(&video(sequence)))
            .collect();
        let inbound = self.transport.inbound();
        inbound.push(datagrams(Instant::now(), brought));
    }

    async fn event(&mut self) -> Event {
        let event = timeout(PATIENCE, self.events.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(event.peer, self.peer);
        event.event
    }

    async fn batch(&mut self) -> RtpBatch {
        match self.event().await {
            Event::Rtp { packets, .. } => packets,
            other => panic!("{other:?}"),
        }
    }

    /// The next datagram on the wire.
    async fn datagram(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; 65_536];
        let receive = self.socket.recv_from(&mut bytes);
        let (length, _) = timeout(PATIENCE, receive).await.unwrap().unwrap();
        bytes.truncate(length);
        bytes
    }

    /// Waits until everything cast so far has been handled.
    async fn settle(&self) -> MediaStats {
        self.transport.stats().await.unwrap()
    }
}

/// The counters, once they are as they should be: the sending half counts in its own time.
async fn stats_when(transport: &RtpTransport, wanted: impl Fn(&MediaStats) -> bool) -> MediaStats {
    let counted = async {
        loop {
            let stats = transport.stats().await.unwrap();
            if wanted(&stats) {
                return stats;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.unwrap()
}

/// How long a test waits for what must come at once.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn what_arrives_reaches_the_owner_and_goes_back_over_the_socket() {
    let mut scene = Scene::new(MediaLimits::default()).await;
    scene.arrive(1..=40);
    let batch = scene.batch().await;
    assert_eq!(batch.len(), 40);

    scene.transport.send_rtp(scene.session.local, batch);

    for sequence in 1..=40 {
        let datagram = scene.datagram().await;
        let packet = scene.remote.read_rtp(&datagram);
        assert_eq!(packet.sequence_number().0, sequence);
        assert_eq!(packet.ssrc(), OUR_SSRC);
        assert_eq!(packet.payload(), [7; 100]);
    }
    let stats = scene.settle().await;
    assert_eq!((stats.sent, stats.send_failed), (40, 0));
}

#[tokio::test]
async fn packets_of_different_sizes_all_arrive_in_order() {
    let mut scene = Scene::new(MediaLimits::default()).await;
    let sizes = [10, 10, 5, 900, 900, 900, 20, 1200, 1200];
    let batch = sizes.iter().enumerate().map(|(index, size)| {
        let made = made(index as u16);
        RtpPacket::new(
            made.payload_type(),
            made.sequence_number(),
            made.timestamp(),
            Ssrc(0),
            false,
            vec![1; *size],
        )
    });
    scene
        .transport
        .send_rtp(scene.session.local, batch.collect());
    for size in sizes {
        let datagram = scene.datagram().await;
        assert_eq!(scene.remote.read_rtp(&datagram).payload().len(), size);
    }
}

#[tokio::test]
async fn without_a_path_packets_are_counted_and_forgotten() {
    let (owner, _events) = owner().await;
    let arguments = RtpTransportArguments {
        peer: PeerId::next(),
        owner: Owner::new(Outlet::new(&owner)),
        limits: PeerLimits::default(),
        audio_levels: None,
        egress: Egress::spawn(owner.get_cell()).await.unwrap(),
    };
    let transport = RtpTransport::spawn(arguments, owner.get_cell())
        .await
        .unwrap();
    let session = session();
    transport.install_keys(keys());
    transport.apply(session.plan.clone());
    transport.send_rtp(session.local, made(1).into());
    let stats = stats_when(&transport, |stats| stats.not_connected > 0).await;
    assert_eq!((stats.not_connected, stats.sent), (1, 0));
}

#[tokio::test]
async fn c110_a_pli_goes_out_and_one_comes_in() {
    let mut scene = Scene::new(MediaLimits::default()).await;
    scene.arrive([1]);
    let _first = scene.batch().await;
    scene.transport.send_pli(scene.session.remote, None);
    let datagram = scene.datagram().await;
    let expected = RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: OUR_SSRC,
        media_ssrc: THEIR_SSRC,
    });
    assert_eq!(scene.remote.read_rtcp(&datagram).last(), Some(&expected));

    let request = RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: THEIR_SSRC,
        media_ssrc: OUR_SSRC,
    });
    let brought = vec![scene.remote.rtcp(std::slice::from_ref(&request))];
    let inbound = scene.transport.inbound();
    inbound.push(datagrams(Instant::now(), brought));
    match scene.event().await {
        Event::Rtcp {
            track_id, packets, ..
        } => {
            assert_eq!(track_id, Some(scene.session.local));
            assert_eq!(packets, [request]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn c108_reports_come_about_once_a_second_while_something_is_sent() {
    let mut scene = Scene::new(MediaLimits::default()).await;
    let started = tokio::time::Instant::now();
    for sequence in 0..10 {
        let batch = made(sequence).into();
        scene.transport.send_rtp(scene.session.local, batch);
        let datagram = scene.datagram().await;
        assert_eq!(
            scene.remote.read_rtp(&datagram).sequence_number().0,
            sequence
        );
        // With all tasks idle, paused time jumps to the report's timer.
        let datagram = scene.datagram().await;
        let packets = scene.remote.read_rtcp(&datagram);
        assert!(matches!(
            packets[..],
            [
                RtcpPacket::SenderReport(_),
                RtcpPacket::SourceDescription(_)
            ]
        ));
    }
    let seconds = started.elapsed().as_secs_f64();
    assert!((5.0..15.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn c116_a_slow_owner_gets_the_newest_once_it_catches_up() {
    let limit = QueueLimit {
        packets: 4,
        bytes: 1 << 20,
    };
    let mut scene = Scene::new(MediaLimits {
        owner: limit,
        waiting: limit,
        ..MediaLimits::default()
    })
    .await;
    for sequence in 1..=20 {
        scene.arrive([sequence]);
        scene.settle().await;
    }
    // The test is the slow one: what it has taken from the channel it still holds.
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(scene.batch().await);
    }
    assert!(matches!(
        scene.event().await,
        Event::RtpDropped { packets: 1, .. }
    ));
    let numbers = |batches: &[RtpBatch]| -> Vec<u16> {
        let packets = batches.iter().flat_map(|batch| batch.iter());
        packets.map(|it| it.sequence_number().0).collect()
    };
    assert_eq!(numbers(&held), [1, 2, 3, 4]);
    held.clear();
    for _ in 0..4 {
        held.push(scene.batch().await);
    }
    assert_eq!(numbers(&held), [17, 18, 19, 20]);
    let stats = scene.settle().await;
    assert_eq!((stats.delivered, stats.owner_overflow), (8, 12));
}

#[tokio::test]
async fn c108_stopping_says_goodbye() {
    let mut scene = Scene::new(MediaLimits::default()).await;
    scene
        .transport
        .send_rtp(scene.session.local, made(1).into());
    let _packet = scene.datagram().await;
    scene.transport.stop();
    let datagram = scene.datagram().await;
    let packets = scene.remote.read_rtcp(&datagram);
    assert!(matches!(packets.last(), Some(RtcpPacket::Goodbye(_))));
    let cell = scene.transport.cell();
    timeout(PATIENCE, cell.wait(None)).await.unwrap().unwrap();
    assert_eq!(cell.get_status(), ActorStatus::Stopped);
    assert_eq!(scene.transport.stats().await, Err(CallError::Stopped));
    // Using a dead handle does no harm.
    scene
        .transport
        .send_rtp(scene.session.local, made(2).into());
}

#[tokio::test]
async fn after_a_change_the_new_owner_gets_what_waits_once_the_one_before_gives_back_its_credit() {
    let limit = QueueLimit {
        packets: 4,
        bytes: 1 << 20,
    };
    let mut scene = Scene::new(MediaLimits {
        owner: limit,
        ..MediaLimits::default()
    })
    .await;
    for sequence in 1..=6 {
        scene.arrive([sequence]);
        scene.settle().await;
    }
    let (new, events) = owner().await;
    scene.told.change(Outlet::new(&new));
    let mut before = mem::replace(&mut scene.events, events);
    // Never read: what is left in its channel goes with the channel.
    scene.owner.stop(None);
    scene.owner.wait(None).await.unwrap();
    assert_eq!(before.len(), 4);
    scene.settle().await;
    assert!(scene.events.is_empty());
    before.close();
    drop(before);
    for sequence in [5, 6] {
        let batch = scene.batch().await;
        assert_eq!(batch[0].sequence_number(), SequenceNumber(sequence));
    }
    let stats = scene.settle().await;
    assert_eq!((stats.delivered, stats.owner_overflow), (6, 0));
}

#[tokio::test]
async fn without_an_owner_the_transport_ends() {
    let mut scene = Scene::new(MediaLimits::default()).await;
    scene.owner.stop(None);
    scene.owner.wait(None).await.unwrap();
    scene.arrive([1]);
    let cell = scene.transport.cell();
    timeout(PATIENCE, cell.wait(None)).await.unwrap().unwrap();
    // As ractor does for every supervisor that does not say otherwise.
    let supervisor = scene.supervisor.wait(None);
    timeout(PATIENCE, supervisor).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_panic_in_the_sending_half_fails_the_transport() {
    let scene = Scene::new(MediaLimits::default()).await;
    scene.transport.sending.tell(SendingCommand::Panic);
    let cell = scene.transport.cell();
    timeout(PATIENCE, cell.wait(None)).await.unwrap().unwrap();
    // As ractor does for every supervisor that does not say otherwise.
    let supervisor = scene.supervisor.wait(None);
    timeout(PATIENCE, supervisor).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_is_told_to_the_caller() {
    let scene = Scene::new(MediaLimits::default()).await;
    let goodbye = RtcpPacket::Goodbye(crate::rtp::Goodbye {
        ssrcs: vec![Ssrc(1); 32],
        reason: bytes::Bytes::new(),
    });
    assert_eq!(
        scene.transport.send_rtcp(&[goodbye]),
        Err(RtcpError::Unwritable { part: "ssrcs" })
    );
}

// A pile was taken at once; what did not fit into the owner's queues was lost, however quick the owner.
#[tokio::test]
async fn a_quick_owner_gets_all_of_a_pile_that_a_stall_has_left() {
    let mut scene = Scene::new(MediaLimits::default()).await;
    for start in 0..60 {
        scene.arrive((0..50).map(|step| 50 * start + step));
    }
    let mut got = 0;
    while got < 3_000 {
        match scene.event().await {
            Event::Rtp { packets, .. } => got += packets.len(),
            other => panic!("{other:?} after {got} packets"),
        }
    }
}
