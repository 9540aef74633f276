//! What the kernel makes of what is sent.

use std::io;
use std::net::UdpSocket as StdSocket;

use socket2::{Domain, Protocol, Socket, Type};

use super::*;

/// A socket that is read by hand.
fn receiver() -> StdSocket {
    let socket = StdSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket
}

fn expect(receiver: &StdSocket, bytes: &[u8]) -> SocketAddr {
    let mut buffer = [0; 2000];
    let (length, from) = receiver.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], bytes);
    from
}

fn path(socket: &EndpointSocket, remote: &str) -> TransportPath {
    TransportPath::new(socket.clone(), remote.parse().unwrap(), None)
}

#[tokio::test]
async fn destinations_that_fail_cost_the_others_nothing() {
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut peer = Peer::new(&endpoint, "peer").await;
    let remote = verified(&endpoint, &peer, "127.0.0.1:0").await;
    let good = receiver();
    let to_good = TransportPath::new(endpoint.socket.clone(), good.local_addr().unwrap(), None);
    let closed = receiver().local_addr().unwrap().to_string();
    let failing = [
        (closed.as_str(), None),
        ("127.0.0.1:0", Some(io::ErrorKind::InvalidInput)),
        // Nobody has said that broadcasts are allowed.
        ("255.255.255.255:9", Some(io::ErrorKind::PermissionDenied)),
        // No way leads there from the loopback address.
        ("203.0.113.1:9", Some(io::ErrorKind::InvalidInput)),
        ("[::1]:9", Some(io::ErrorKind::AddrNotAvailable)),
    ]
    .map(|(remote, error)| (path(&endpoint.socket, remote), error));
    for round in 0..50 {
        for (path, error) in &failing {
            for segment in [None, Some(100)] {
                let sent = path.try_send(&[0x80; 250], segment);
                assert_eq!(sent.err().map(|error| error.kind()), *error, "{path:?}");
            }
        }
        to_good.try_send(&[round; 250], Some(100)).unwrap();
        for length in [100, 100, 50] {
            expect(&good, &vec![round; length]);
        }
        to_good.try_send(&[round; 70], None).unwrap();
        expect(&good, &[round; 70]);
        remote.send(&[0x80, round]).await.unwrap();
        assert_eq!(peer.media().await[0].datagrams[0][1], round);
    }
    assert!(!endpoint.statistics().await.unwrap().segmentation_refused);
}

#[tokio::test]
async fn where_the_kernel_refuses_to_split_batches_packets_go_one_by_one() {
    // Of UDP-Lite (RFC 3828) it splits none, whatever the device.
    let lite = |port| {
        let protocol = Protocol::from(136);
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(protocol))?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
        io::Result::Ok(StdSocket::from(socket))
    };
    let Ok(good) = lite(0) else {
        eprintln!("not tested: this kernel knows no UDP-Lite");
        return;
    };
    let socket = EndpointSocket::new(lite(0).unwrap()).unwrap();
    good.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let path = TransportPath::new(socket.clone(), good.local_addr().unwrap(), None);
    assert!(!socket.segmentation_refused());
    for round in 0..3 {
        path.try_send(&[round; 250], Some(100)).unwrap();
        for length in [100, 100, 50] {
            expect(&good, &vec![round; length]);
        }
        assert!(socket.segmentation_refused());
    }
}

#[tokio::test]
async fn a_socket_of_all_addresses_sends_from_the_one_it_is_told() {
    for bound in ["0.0.0.0:0", "[::]:0"] {
        let socket = EndpointSocket::new(StdSocket::bind(bound).unwrap()).unwrap();
        let good = receiver();
        let from = "127.0.0.2".parse().unwrap();
        let path = TransportPath::new(socket, good.local_addr().unwrap(), Some(from));
        path.try_send(&[1; 70], None).unwrap();
        path.try_send(&[2; 150], Some(100)).unwrap();
        assert_eq!(expect(&good, &[1; 70]).ip(), from);
        assert_eq!(expect(&good, &[2; 100]).ip(), from);
        assert_eq!(expect(&good, &[2; 50]).ip(), from);
    }
}

#[tokio::test]
async fn a_socket_of_one_address_sends_from_that() {
    let bound = StdSocket::bind("127.0.0.3:0").unwrap();
    let from = bound.local_addr().unwrap();
    let socket = EndpointSocket::new(bound).unwrap();
    let good = receiver();
    let path = TransportPath::new(socket, good.local_addr().unwrap(), Some(from.ip()));
    path.try_send(&[1; 70], None).unwrap();
    assert_eq!(expect(&good, &[1; 70]), from);
}

#[tokio::test]
async fn what_the_kernel_drops_for_want_of_room_is_told() {
    let configuration =
        UdpEndpointConfiguration::address("127.0.0.1:0".parse().unwrap()).buffer_bytes(8192, 8192);
    let full = EndpointSocket::new(configuration.bind().unwrap()).unwrap();
    assert_eq!(full.kernel_drops(), Some(0));
    let flood = receiver();
    for _ in 0..100 {
        flood.send_to(&[0x80; 1000], full.local_addr()).unwrap();
    }
    let dropped = full.kernel_drops().unwrap();
    assert!((50..100).contains(&dropped), "{dropped}");
}
