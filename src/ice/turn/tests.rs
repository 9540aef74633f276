//! A relay and a server of the test's, on loopback.
#![allow(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use ractor::Actor;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::machine::{DATA, DATA_INDICATION, XOR_PEER_ADDRESS};
use super::server_side::{TestServer, peer};
use super::*;
use crate::ice::stun::StunBuilder;
use crate::lane::lane;
use crate::udp::{Datagrams, StunClass, StunMessage, StunPurpose, TransactionId, USERNAME};

const PATIENCE: Duration = Duration::from_secs(10);

/// Supervises, and does nothing else.
struct Nobody;

impl Actor for Nobody {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ractor::ActorProcessingErr> {
        Ok(())
    }
}

/// A relay, what comes out of it, and the server.
struct Scene {
    relay: Relay,
    server: UdpSocket,
    client: SocketAddr,
    brain: TestServer,
    events: mpsc::UnboundedReceiver<RelayEvent>,
    stun: mpsc::UnboundedReceiver<Datagrams>,
    dtls: mpsc::UnboundedReceiver<Datagrams>,
    media_rung: mpsc::UnboundedReceiver<()>,
    media: LaneReceiver<Datagrams>,
}

impl Scene {
    /// With its allocation.
    async fn new() -> Self {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (supervisor, _) = Actor::spawn(None, Nobody, ()).await.unwrap();
        let (events_in, events) = mpsc::unbounded_channel();
        let (stun_in, stun) = mpsc::unbounded_channel();
        let (dtls_in, dtls) = mpsc::unbounded_channel();
        let (bell, media_rung) = mpsc::unbounded_channel();
        let (media_in, media) = lane(LEAVING, move || {
            let _gone = bell.send(());
        });
        let request = RelayRequest {
            server: server.local_addr().unwrap(),
            username: "ada".to_owned(),
            credential: "lovelace".to_owned(),
            local_ip: "127.0.0.1".parse().unwrap(),
            username_fragment: "here".to_owned(),
            stun: DatagramSink::new(move |datagrams| {
                let _gone = stun_in.send(datagrams);
            }),
            sinks: IceSinks {
                dtls: DatagramSink::new(move |datagrams| {
                    let _gone = dtls_in.send(datagrams);
                }),
                media: media_in,
            },
            events: RelayOutlet::new(move |event| {
                let _gone = events_in.send(event);
            }),
        };
        let relay = Relay::spawn(request, supervisor.get_cell()).await.unwrap();
        let mut scene = Self {
            client: relay.socket.local_addr(),
            relay,
            server,
            brain: TestServer::default(),
            events,
            stun,
            dtls,
            media_rung,
            media,
        };
        scene.serve(2).await;
        let event = scene.events.recv().await.unwrap();
        assert!(matches!(event, RelayEvent::Allocated { .. }));
        scene
    }

    /// Answers so many requests.
    async fn serve(&mut self, requests: usize) {
        for _ in 0..requests {
            let request = self.next().await;
            let answer = self.brain.answer(&request).expect("a request");
            self.says(&answer).await;
        }
    }

    async fn next(&self) -> Vec<u8> {
        let mut buffer = [0; 2000];
        let read = timeout(PATIENCE, self.server.recv_from(&mut buffer));
        let (length, _) = read.await.unwrap().unwrap();
        buffer[..length].to_vec()
    }

    async fn says(&self, bytes: &[u8]) {
        self.server.send_to(bytes, self.client).await.unwrap();
    }

    /// A channel to the peer, through which this check has gone.
    async fn check(&mut self, transaction: TransactionId) {
        self.relay.send_stun(OutgoingStun {
            destination: peer(1),
            local_ip: None,
            purpose: StunPurpose::Request(transaction),
            bytes: StunBuilder::new(StunClass::Request, transaction).finish(None),
        });
        self.serve(1).await;
        match self.events.recv().await.unwrap() {
            RelayEvent::ChannelBound { peer, channel } => self.relay.channel_bound(peer, channel),
            other => panic!("{other:?}"),
        }
        let wrapped = self.next().await;
        let (_, check) = ChannelNumber::open(&wrapped).unwrap();
        assert!(StunMessage::parse(check).is_some());
    }

    async fn says_on_channel(&self, payload: &[u8]) {
        let (wrapped, _) = ChannelNumber::FIRST.wrap(payload, None).unwrap();
        self.says(&wrapped).await;
    }
}

#[tokio::test]
async fn what_comes_through_is_sorted_as_at_an_endpoint_and_believed_as_little() {
    let mut scene = Scene::new().await;
    let transaction = TransactionId([1; 12]);
    scene.check(transaction).await;
    // The peer is not verified yet: no DTLS, no media; a check for somebody else is not for us.
    scene.says_on_channel(&[22; 20]).await;
    scene.says_on_channel(&[0x80; 20]).await;
    let check = |name: &[u8]| {
        StunBuilder::new(StunClass::Request, TransactionId([2; 12]))
            .attribute(USERNAME, name)
            .finish(Some("x"))
    };
    scene.says_on_channel(&check(b"elsewhere:x")).await;
    scene.says_on_channel(&check(b"here:x")).await;
    let stun = scene.stun.recv().await.unwrap();
    assert_eq!((stun.remote, stun.datagrams.len()), (peer(1), 1));
    // An answer to our check, from where it went, verifies it.
    let answer = StunBuilder::new(StunClass::SuccessResponse, transaction).finish(None);
    scene.says_on_channel(&answer).await;
    scene.stun.recv().await.unwrap();
    assert!(scene.dtls.try_recv().is_err() && scene.media_rung.try_recv().is_err());
    scene.says_on_channel(&[22; 20]).await;
    let dtls = timeout(PATIENCE, scene.dtls.recv()).await.unwrap().unwrap();
    assert_eq!(
        (dtls.remote, &dtls.datagrams[0][..]),
        (peer(1), &[22; 20][..])
    );
    scene.says_on_channel(&[0x80; 20]).await;
    timeout(PATIENCE, scene.media_rung.recv()).await.unwrap();
    let mut media = std::collections::VecDeque::new();
    scene.media.drain_into(&mut media);
    assert_eq!(&media[0].datagrams[0][..], [0x80; 20]);
    // The same host, from a port that nobody has verified.
    let indication = StunBuilder::of(DATA_INDICATION, StunClass::Indication, transaction)
        .xor_address(XOR_PEER_ADDRESS, peer(2))
        .attribute(DATA, &[22; 20])
        .finish_by(None);
    scene.says(&indication).await;
    scene.says_on_channel(&[22; 21]).await;
    let dtls = timeout(PATIENCE, scene.dtls.recv()).await.unwrap().unwrap();
    assert_eq!(dtls.datagrams[0].len(), 21);
}

#[tokio::test]
async fn media_leaves_on_the_channel_each_packet_with_its_header() {
    let mut scene = Scene::new().await;
    assert!(scene.relay.path(peer(1)).is_none());
    scene.check(TransactionId([1; 12])).await;
    let path = scene.relay.path(peer(1)).unwrap();
    path.try_send(&[0x80; 100], Some(40)).unwrap();
    for size in [40, 40, 20] {
        let wrapped = scene.next().await;
        let (channel, packet) = ChannelNumber::open(&wrapped).unwrap();
        assert_eq!(
            (channel, packet),
            (ChannelNumber::FIRST, &[0x80; 40][..size])
        );
        assert_eq!(wrapped.len(), size + 4);
    }
}

#[tokio::test]
async fn a_stranger_that_knows_the_port_is_not_the_server() {
    let mut scene = Scene::new().await;
    let transaction = TransactionId([1; 12]);
    scene.check(transaction).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let answer = StunBuilder::new(StunClass::SuccessResponse, transaction).finish(None);
    let (wrapped, _) = ChannelNumber::FIRST.wrap(&answer, None).unwrap();
    stranger.send_to(&wrapped, scene.client).await.unwrap();
    scene.says_on_channel(&answer).await;
    scene.stun.recv().await.unwrap();
    // Of two that were sent, the server's came; and both had been sent before this one is answered.
    scene.says_on_channel(&answer).await;
    assert_eq!(scene.stun.recv().await.unwrap().datagrams.len(), 1);
    assert!(scene.stun.try_recv().is_err());
}

#[tokio::test]
async fn a_relay_that_is_dropped_gives_its_allocation_back() {
    let mut scene = Scene::new().await;
    let actor = scene.relay.actor.get_cell();
    drop(scene.relay);
    // The last thing that it says, which it repeats until it is answered.
    let mut buffer = [0; 500];
    let read = timeout(PATIENCE, scene.server.recv_from(&mut buffer));
    let (length, _) = read.await.unwrap().unwrap();
    let answer = scene.brain.answer(&buffer[..length]).unwrap();
    scene.server.send_to(&answer, scene.client).await.unwrap();
    assert_eq!(scene.brain.released, 1);
    timeout(PATIENCE, actor.wait(None)).await.unwrap().unwrap();
    assert!(scene.events.recv().await.is_none());
}
