//! Candidates of our own.

use ::stun::agent::TransactionId as TheirId;
use ::stun::fingerprint::FINGERPRINT;
use ::stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message};
use ::stun::xoraddr::XorMappedAddress;
use tokio::net::UdpSocket;

use super::*;

/// A STUN server that sees everybody at one address; deaf to the first `ignored` requests.
async fn server(ignored: usize) -> (SocketAddr, tokio::task::JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut buffer = [0; 1500];
        for number in 0.. {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let mut request = Message::new();
            request.write(&buffer[..length]).unwrap();
            assert_eq!(request.typ, BINDING_REQUEST);
            if number < ignored {
                continue;
            }
            let mut response = Message::new();
            response
                .build(&[
                    Box::new(BINDING_SUCCESS),
                    Box::new(TheirId(request.transaction_id.0)),
                    Box::new(XorMappedAddress {
                        ip: "203.0.113.9".parse().unwrap(),
                        port: from.port(),
                    }),
                    Box::new(FINGERPRINT),
                ])
                .unwrap();
            socket.send_to(&response.raw, from).await.unwrap();
        }
    });
    (address, task)
}

fn with_server(url: &str) -> IceConfiguration {
    IceConfiguration {
        servers: vec![IceServer::new([url]).unwrap()],
        ..IceConfiguration::default()
    }
}

#[tokio::test]
async fn a_stun_server_gives_a_server_reflexive_candidate() {
    for (ignored, name) in [(0, "127.0.0.1"), (1, "localhost")] {
        let (address, _server) = server(ignored).await;
        let configuration = with_server(&format!("stun:{name}:{}", address.port()));
        let endpoint = endpoint("127.0.0.1:0").await;
        let port = endpoint.local_addr().port();
        let mut side = Side::new(vec![endpoint], configuration).await;
        assert_eq!(
            side.candidates().await,
            [
                format!("candidate:1 1 udp 2130706431 127.0.0.1 {port} typ host"),
                format!(
                    "candidate:2 1 udp 1694498815 203.0.113.9 {port} typ srflx raddr 127.0.0.1 \
                     rport {port}"
                ),
            ]
        );
    }
}

#[tokio::test]
async fn a_stun_server_on_a_dual_stack_socket_names_the_base_that_it_was_reached_from() {
    let (address, _server) = server(0).await;
    let configuration = IceConfiguration {
        include_loopback: true,
        ..with_server(&format!("stun:127.0.0.1:{}", address.port()))
    };
    let mut side = Side::new(vec![endpoint("[::]:0").await], configuration).await;
    let candidates = side.candidates().await;
    let reflexive = candidates.last().unwrap();
    assert!(
        reflexive.contains("typ srflx raddr 127.0.0.1"),
        "{candidates:?}"
    );
}

#[tokio::test]
async fn the_answer_of_a_stun_server_does_not_verify_its_address_for_media() {
    let (address, server) = server(0).await;
    let endpoint = endpoint("127.0.0.1:0").await;
    let configuration = with_server(&format!("stun:{address}"));
    let mut side = Side::new(vec![endpoint.clone()], configuration).await;
    assert_eq!(side.candidates().await.len(), 2);
    server.abort();
    let _aborted = server.await;
    let socket = UdpSocket::bind(address).await.unwrap();
    socket
        .send_to(&[0x80; 40], endpoint.local_addr())
        .await
        .unwrap();
    timeout(PATIENCE, async {
        while endpoint.statistics().await.unwrap().unverified == 0 {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_server_that_has_no_address_does_not_keep_gathering_from_its_end() {
    let configuration = with_server("stun:nobody.invalid");
    let mut side = Side::new(vec![endpoint("127.0.0.1:0").await], configuration).await;
    assert_eq!(side.candidates().await.len(), 1);
    // Asked again, it does nothing.
    side.transport.gather();
    side.transport.stop();
    assert!(matches!(
        side.event().await,
        IceEvent::StateChanged(IceConnectionState::Closed)
    ));
}

#[tokio::test]
async fn c087_with_the_relay_policy_and_no_relay_there_are_no_candidates_and_no_checks() {
    let relay = IceServer::with_credentials(["turn:127.0.0.1:9"], "u", "c").unwrap();
    let configuration = IceConfiguration {
        servers: vec![relay],
        transport_policy: IceTransportPolicy::Relay,
        ..impatient()
    };
    let endpoint = endpoint("127.0.0.1:0").await;
    let mut side = Side::new(vec![endpoint.clone()], configuration).await;
    assert!(side.candidates().await.is_empty());
    side.transport
        .start(IceRole::Controlling, IceParameters::generate(), false);
    side.transport
        .add_remote_candidate("candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned());
    side.state(IceConnectionState::Failed).await;
    assert_eq!(endpoint.statistics().await.unwrap().peers, 0);
}

#[tokio::test]
async fn a_wildcard_socket_offers_the_machines_addresses_and_loopback_on_request_only() {
    let mut without = Side::new(
        vec![endpoint("0.0.0.0:0").await],
        IceConfiguration::default(),
    )
    .await;
    let candidates = without.candidates().await;
    assert!(!candidates.iter().any(|line| line.contains(" 127.0.0.1 ")));
    let configuration = IceConfiguration {
        include_loopback: true,
        ..IceConfiguration::default()
    };
    let mut with = Side::new(vec![endpoint("0.0.0.0:0").await], configuration).await;
    let candidates = with.candidates().await;
    assert!(candidates.iter().any(|line| line.contains(" 127.0.0.1 ")));
    for line in candidates {
        RemoteCandidate::parse(&line).unwrap();
    }
}
