//! Whole endpoints on loopback.

mod load;
mod pool;
mod sending;

use std::collections::VecDeque;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::lane::{LaneCapacity, LaneReceiver, lane};

/// A supervisor that lets everything happen.
struct Calm;

impl Actor for Calm {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        _: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

async fn endpoint(address: &str) -> UdpEndpoint {
    let (supervisor, _) = Actor::spawn(None, Calm, ()).await.unwrap();
    let configuration = UdpEndpointConfiguration::address(address.parse().unwrap());
    UdpEndpoint::spawn(configuration, supervisor.get_cell())
        .await
        .unwrap()
}

/// A registered peer, and what comes for it.
struct Peer {
    registration: Registration,
    stun: mpsc::UnboundedReceiver<Datagrams>,
    media: LaneReceiver<Datagrams>,
    media_rung: mpsc::UnboundedReceiver<()>,
}

impl Peer {
    async fn new(endpoint: &UdpEndpoint, name: &str) -> Self {
        let (stun_in, stun) = mpsc::unbounded_channel();
        let (bell, media_rung) = mpsc::unbounded_channel();
        let capacity = LaneCapacity {
            packets: 10_000,
            bytes: 100_000_000,
        };
        let (media_in, media) = lane(capacity, move || {
            let _gone = bell.send(());
        });
        let sinks = PeerSinks {
            stun: DatagramSink::new(move |datagrams| {
                let _gone = stun_in.send(datagrams);
            }),
            dtls: DatagramSink::new(drop),
            media: media_in,
        };
        Self {
            registration: endpoint.register(name, sinks).await.unwrap(),
            stun,
            media,
            media_rung,
        }
    }

    /// Has the endpoint believe that `address` is this peer's, as a good answer of the agent does.
    fn verify(&self, address: SocketAddr) {
        self.registration.send_stun(OutgoingStun {
            destination: address,
            local_ip: None,
            purpose: StunPurpose::SuccessResponse,
            bytes: vec![1; 20],
        });
    }

    async fn media(&mut self) -> VecDeque<Datagrams> {
        timeout(PATIENCE, self.media_rung.recv()).await.unwrap();
        let mut out = VecDeque::new();
        self.media.drain_into(&mut out);
        out
    }
}

/// A socket of the peer's that the endpoint has just sent something to.
async fn verified(endpoint: &UdpEndpoint, peer: &Peer, address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).await.unwrap();
    peer.verify(socket.local_addr().unwrap());
    let mut buffer = [0; 100];
    socket.recv(&mut buffer).await.unwrap();
    let mut to = endpoint.local_addr();
    if to.ip().is_unspecified() {
        to.set_ip(socket.local_addr().unwrap().ip());
    }
    socket.connect(to).await.unwrap();
    socket
}

fn request(username: &str) -> Vec<u8> {
    use ::stun::attributes::ATTR_USERNAME;
    use ::stun::message::{BINDING_REQUEST, Message};
    use ::stun::textattrs::Username;
    let mut message = Message::new();
    message
        .build(&[
            Box::new(BINDING_REQUEST),
            Box::new(Username::new(ATTR_USERNAME, username.to_owned())),
        ])
        .unwrap();
    message.raw
}

#[tokio::test]
async fn a_check_reaches_the_peer_that_it_names() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut one = Peer::new(&endpoint, "one").await;
    let mut other = Peer::new(&endpoint, "other").await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for name in ["nobody:x", "other:x", "one:x"] {
        socket
            .send_to(&request(name), endpoint.local_addr())
            .await
            .unwrap();
    }
    let datagrams = one.stun.recv().await.unwrap();
    let message = StunMessage::parse(&datagrams.datagrams[0]).unwrap();
    assert_eq!(message.username(), Some(("one", "x")));
    assert_eq!(datagrams.remote, socket.local_addr().unwrap());
    assert_eq!(datagrams.local_ip, Some(endpoint.local_addr().ip()));
    assert!(other.stun.recv().await.is_some());
    assert_eq!(endpoint.statistics().await.unwrap().unknown_peer, 1);
}

#[tokio::test]
async fn a_burst_arrives_whole_and_in_order() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut peer = Peer::new(&endpoint, "peer").await;
    let socket = verified(&endpoint, &peer, "127.0.0.1:0").await;
    // More than one turn of the actor reads.
    let count = 300_u16;
    for number in 0..count {
        let mut packet = [0x80; 200];
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        socket.send(&packet).await.unwrap();
    }
    let mut numbers = Vec::new();
    while numbers.len() < usize::from(count) {
        for datagrams in peer.media().await {
            for datagram in &datagrams.datagrams {
                assert_eq!(datagram.len(), 200);
                numbers.push(u16::from_be_bytes([datagram[2], datagram[3]]));
            }
        }
    }
    assert!(numbers.iter().copied().eq(0..count));
}

#[tokio::test]
async fn a_batch_of_one_frame_is_one_message_of_separate_packets() {
    let sender = endpoint("127.0.0.1:0").await;
    let receiver = endpoint("127.0.0.1:0").await;
    let mut peer = Peer::new(&receiver, "peer").await;
    peer.verify(sender.local_addr());
    // Answered by nobody; its turn comes after the one above.
    receiver.statistics().await.unwrap();
    let path = TransportPath::new(sender.socket.clone(), receiver.local_addr(), None);
    path.try_send(&[0x80; 1200 * 10 + 7], Some(1200)).unwrap();
    let mut sizes = Vec::new();
    while sizes.len() < 11 {
        for mut datagrams in peer.media().await {
            // Each can be changed without the others noticing.
            datagrams.datagrams[0][0] = 0;
            assert!(datagrams.datagrams[1..].iter().all(|one| one[0] == 0x80));
            sizes.extend(datagrams.datagrams.iter().map(|one| one.len()));
        }
    }
    assert_eq!(sizes, [[1200; 10].as_slice(), &[7]].concat());
}

#[tokio::test]
async fn ipv4_peers_of_a_dual_stack_socket_have_ipv4_addresses() {
    let endpoint = endpoint("[::]:0").await;
    let mut peer = Peer::new(&endpoint, "peer").await;
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let socket = verified(&endpoint, &peer, address).await;
        socket.send(&[0x80; 20]).await.unwrap();
        let datagrams = peer.media().await.pop_front().unwrap();
        let from = socket.local_addr().unwrap();
        assert_eq!(datagrams.remote, from);
        assert_eq!(datagrams.local_ip, Some(from.ip()));
    }
}

#[tokio::test]
async fn empty_and_senseless_datagrams_are_counted_and_dropped() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut peer = Peer::new(&endpoint, "peer").await;
    let socket = verified(&endpoint, &peer, "127.0.0.1:0").await;
    for bytes in [&[][..], &[0; 3], &[15; 30], &[64; 30], &[255; 30]] {
        socket.send(bytes).await.unwrap();
    }
    socket.send(&[0x80; 20]).await.unwrap();
    assert_eq!(peer.media().await.len(), 1);
    assert_eq!(endpoint.statistics().await.unwrap().malformed, 4);
}

#[tokio::test]
async fn a_destination_that_refuses_ends_nothing() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut peer = Peer::new(&endpoint, "peer").await;
    let gone = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let refusing = gone.local_addr().unwrap();
    drop(gone);
    for _ in 0..10 {
        peer.verify(refusing);
        peer.verify("[::1]:9".parse().unwrap());
    }
    let socket = verified(&endpoint, &peer, "127.0.0.1:0").await;
    socket.send(&[0x80; 20]).await.unwrap();
    assert_eq!(peer.media().await.len(), 1);
    assert_eq!(endpoint.statistics().await.unwrap().send_errors, 10);
}

#[tokio::test]
async fn a_dropped_registration_takes_its_name_and_addresses_along() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let peer = Peer::new(&endpoint, "peer").await;
    let socket = verified(&endpoint, &peer, "127.0.0.1:0").await;
    drop(peer);
    socket.send(&[0x80; 20]).await.unwrap();
    let other = Peer::new(&endpoint, "peer").await;
    let _socket = verified(&endpoint, &other, "127.0.0.1:0").await;
    timeout(PATIENCE, async {
        while endpoint.statistics().await.unwrap().unverified == 0 {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_stopped_endpoint_frees_its_port_when_its_last_user_goes() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let address = endpoint.local_addr();
    let peer = Peer::new(&endpoint, "peer").await;
    endpoint.cell().stop_and_wait(None, None).await.unwrap();
    assert!(endpoint.statistics().await.is_err());
    drop((endpoint, peer));
    timeout(PATIENCE, async {
        while UdpSocket::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn without_the_actor_that_sends_an_endpoint_fails() {
    let endpoint = endpoint("127.0.0.1:0").await;
    endpoint.egress().cell().kill();
    let ended = endpoint.cell();
    timeout(PATIENCE, ended.wait(None)).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_kernels_buffers_are_asked_for_and_told() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let sizes = endpoint.buffer_sizes().unwrap();
    assert!(sizes.receive >= 200_000, "{sizes:?}");
    assert!(sizes.send >= 200_000, "{sizes:?}");
    let (supervisor, _) = Actor::spawn(None, Calm, ()).await.unwrap();
    let small = UdpEndpointConfiguration::ipv4().buffer_bytes(20_000, 30_000);
    let small = UdpEndpoint::spawn(small, supervisor.get_cell())
        .await
        .unwrap();
    let sizes = small.buffer_sizes().unwrap();
    // Linux counts its own bookkeeping.
    assert!((20_000..=40_000).contains(&sizes.receive), "{sizes:?}");
    assert!((30_000..=60_000).contains(&sizes.send), "{sizes:?}");
}

#[tokio::test]
async fn messages_on_their_way_to_the_endpoint_are_bounded() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let peer = Peer::new(&endpoint, "peer").await;
    // On one thread the endpoint has no turn between these.
    for _ in 0..1000 {
        peer.verify("[::1]:9".parse().unwrap());
    }
    assert_eq!(endpoint.statistics().await.unwrap().send_errors, 64);
}

/// How long a test waits for what must come at once.
const PATIENCE: Duration = Duration::from_secs(10);
