//! Handshakes that come about, and those that must not.

use std::net::UdpSocket as StdUdpSocket;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::Instant as TokioInstant;
use webrtc_dtls::config::{ClientAuthType, Config, ExtendedMasterSecretType};
use webrtc_dtls::conn::DTLSConn;
use webrtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use super::*;
use crate::udp::EndpointSocket;

/// A socket on loopback whose packets go to a transport.
struct Port {
    socket: EndpointSocket,
    address: SocketAddr,
    reader: JoinHandle<()>,
}

impl Port {
    fn new(inbound: DtlsInbound) -> Self {
        let socket = StdUdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        let reading = socket.try_clone().unwrap();
        reading.set_nonblocking(true).unwrap();
        let reading = UdpSocket::from_std(reading).unwrap();
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 2048];
            while let Ok(length) = reading.recv(&mut buffer).await {
                inbound.push(datagrams(&buffer[..length]));
            }
        });
        Self {
            socket: EndpointSocket::new(socket).unwrap(),
            address,
            reader,
        }
    }

    fn path_to(&self, remote: SocketAddr) -> TransportPath {
        TransportPath::new(self.socket.clone(), remote, None)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

#[tokio::test]
async fn c052_both_roles_agree_on_keys_over_loopback_with_every_profile() {
    for profile in ALL {
        let mut client = Side::new(&[profile]).await;
        let mut server = Side::new(&[profile]).await;
        let client_port = Port::new(client.transport.inbound());
        let server_port = Port::new(server.transport.inbound());
        let to_server = client_port.path_to(server_port.address);
        let to_client = server_port.path_to(client_port.address);
        client.transport.set_path(to_server);
        server.transport.set_path(to_client);
        assert_eq!(connect(&mut client, &mut server).await.profile, profile);
    }
}

/// The crate alone, as some peer that is not us.
async fn plain_peer(
    remote: SocketAddr,
    socket: UdpSocket,
    profiles: &[SrtpProtectionProfile],
    certificate: &Certificate,
    is_client: bool,
) -> Result<DTLSConn, webrtc_dtls::Error> {
    socket.connect(remote).await.unwrap();
    let config = Config {
        certificates: vec![certificate.to_crate()],
        srtp_protection_profiles: profiles.to_vec(),
        client_auth: ClientAuthType::RequireAnyClientCert,
        extended_master_secret: ExtendedMasterSecretType::Require,
        insecure_skip_verify: true,
        flight_interval: Duration::from_millis(100),
        ..Config::default()
    };
    DTLSConn::new(Arc::new(socket), config, is_client, None).await
}

/// Connects us in `role` with a plain peer that has these profiles.
async fn connect_plain(
    role: DtlsRole,
    profiles: &[SrtpProtectionProfile],
) -> (Side, Port, DTLSConn) {
    let mut us = Side::new(&ALL).await;
    let port = Port::new(us.transport.inbound());
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    us.transport
        .set_path(port.path_to(socket.local_addr().unwrap()));
    let certificate = Certificate::generate().unwrap();
    us.start(role, &certificate);
    let is_client = role == DtlsRole::Server;
    let peer = plain_peer(port.address, socket, profiles, &certificate, is_client);
    let peer = peer.await.unwrap();
    us.expect_keys().await;
    (us, port, peer)
}

#[tokio::test]
async fn our_best_profile_is_chosen_whatever_the_clients_order() {
    // As Chromium lists them.
    let offered = [
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
    ];
    let (_us, _port, peer) = connect_plain(DtlsRole::Server, &offered).await;
    assert_eq!(
        peer.selected_srtpprotection_profile(),
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm
    );
    let (_us, _port, peer) = connect_plain(DtlsRole::Server, &offered[..2]).await;
    assert_eq!(
        peer.selected_srtpprotection_profile(),
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm
    );
    let (_us, _port, peer) = connect_plain(DtlsRole::Server, &offered[..1]).await;
    assert_eq!(
        peer.selected_srtpprotection_profile(),
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80
    );
}

#[tokio::test]
async fn a_server_that_is_not_ours_chooses_among_ours() {
    for profile in [
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
    ] {
        let (_us, _port, peer) = connect_plain(DtlsRole::Client, &[profile]).await;
        assert_eq!(peer.selected_srtpprotection_profile(), profile);
    }
}

#[tokio::test]
async fn data_of_the_peer_does_not_block_its_goodbye() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let profile = SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm;
        let (mut us, _port, peer) = connect_plain(role, &[profile]).await;
        for size in [0, 1, 1000] {
            peer.write(&vec![1; size], None).await.unwrap();
        }
        peer.close().await.unwrap();
        assert_eq!(us.next().await, DtlsEvent::ClosedByPeer);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_common_profile_both_sides_fail() {
    for (clients, servers) in [(0, 2), (2, 0)] {
        let mut client = Side::new(&ALL[clients..=clients]).await;
        let mut server = Side::new(&ALL[servers..=servers]).await;
        client.set_wire(&Wire::new(&server, |_| Fate::Arrives));
        server.set_wire(&Wire::new(&client, |_| Fate::Arrives));
        start(&client, &server);
        assert_eq!(
            server.expect_failure().await,
            DtlsError::NoCommonSrtpProfile
        );
        assert_eq!(
            client.expect_failure().await,
            DtlsError::PeerAlert { description: 71 },
            "insufficient_security"
        );
    }
}

#[tokio::test]
async fn a_client_without_srtp_is_refused() {
    let mut us = Side::new(&ALL).await;
    let port = Port::new(us.transport.inbound());
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    us.transport
        .set_path(port.path_to(socket.local_addr().unwrap()));
    let certificate = Certificate::generate().unwrap();
    us.start(DtlsRole::Server, &certificate);
    let peer = tokio::spawn(async move {
        let peer = plain_peer(port.address, socket, &[], &certificate, true);
        peer.await.unwrap().read(&mut [0; 16], None).await
    });
    assert_eq!(us.expect_failure().await, DtlsError::NoCommonSrtpProfile);
    assert!(peer.await.unwrap().is_err(), "told goodbye");
}

#[tokio::test(start_paused = true)]
async fn c103_a_server_refuses_a_client_with_another_certificate() {
    let (mut client, mut server) = pair().await;
    server.start(DtlsRole::Server, &Certificate::generate().unwrap());
    client.start(DtlsRole::Client, &server.certificate);
    assert_eq!(
        server.expect_failure().await,
        DtlsError::FingerprintMismatch
    );
    assert_eq!(
        client.expect_failure().await,
        DtlsError::PeerAlert { description: 42 },
        "bad_certificate"
    );
}

#[tokio::test(start_paused = true)]
async fn c103_a_client_refuses_a_server_with_another_certificate() {
    let (mut client, mut server) = pair().await;
    server.start(DtlsRole::Server, &client.certificate);
    client.start(DtlsRole::Client, &Certificate::generate().unwrap());
    assert_eq!(
        client.expect_failure().await,
        DtlsError::FingerprintMismatch
    );
    assert_eq!(
        server.expect_failure().await,
        DtlsError::PeerAlert { description: 42 }
    );
}

#[tokio::test(start_paused = true)]
async fn c103_a_description_with_sha_1_alone_is_refused_by_both_roles() {
    let sha1 = vec![Fingerprint {
        algorithm: "sha-1".to_owned(),
        digest: vec![0; 20],
    }];
    let (mut client, server) = pair().await;
    server.start(DtlsRole::Server, &client.certificate);
    client.transport.start(DtlsRole::Client, sha1.clone());
    let error = client.expect_failure().await;
    assert_eq!(error, DtlsError::NoSupportedFingerprint);

    let (client, mut server_too) = pair().await;
    server_too.transport.start(DtlsRole::Server, sha1);
    client.start(DtlsRole::Client, &server_too.certificate);
    let error = server_too.expect_failure().await;
    assert_eq!(error, DtlsError::NoSupportedFingerprint);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_above_the_limit_of_its_socket_waits_for_its_turn() {
    for hold_client in [true, false] {
        let (mut client, mut server) = pair().await;
        let held = if hold_client { &client } else { &server };
        let place = held.handshakes.enter().await;
        start(&client, &server);
        client.expect_state(DtlsTransportState::Connecting).await;
        server.expect_state(DtlsTransportState::Connecting).await;
        tokio::time::sleep(DEFAULT_HANDSHAKE_TIMEOUT / 2).await;
        assert!(client.events.is_empty() && server.events.is_empty());
        drop(place);
        for side in [&mut client, &mut server] {
            assert!(matches!(side.next().await, DtlsEvent::KeysReady { .. }));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_whose_turn_never_comes_fails_in_its_time() {
    let (client, mut server) = pair().await;
    let _place = server.handshakes.enter().await;
    start(&client, &server);
    let error = server.expect_failure().await;
    let after = DEFAULT_HANDSHAKE_TIMEOUT;
    assert_eq!(error, DtlsError::HandshakeTimeout { after });
}

#[tokio::test]
async fn one_certificate_may_be_shared_and_may_come_from_openssl() {
    let pem = include_str!("../../../tests/fixtures/openssl-p256-test-only.pem");
    let certificate = Certificate::from_pem(pem).unwrap();
    let mut client = Side::with_certificate(&ALL, certificate.clone()).await;
    let mut server = Side::with_certificate(&ALL, certificate).await;
    client.set_wire(&Wire::new(&server, |_| Fate::Arrives));
    server.set_wire(&Wire::new(&client, |_| Fate::Arrives));
    connect(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn c046_packets_before_the_start_are_kept() {
    let (mut client, mut server) = pair().await;
    client.start(DtlsRole::Client, &server.certificate);
    client.expect_state(DtlsTransportState::Connecting).await;
    while server.transport.inbound.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let begun = TokioInstant::now();
    server.start(DtlsRole::Server, &client.certificate);
    server.expect_keys().await;
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing was repeated");
}

#[tokio::test(start_paused = true)]
async fn c049_the_active_side_speaks_first_and_the_passive_side_waits() {
    let (client, mut server) = pair_with(
        |_| Fate::IsLost,
        |_| panic!("a server has nothing to say before a client has spoken"),
    )
    .await;
    server.start(DtlsRole::Server, &client.certificate);
    assert_eq!(
        server.expect_failure().await,
        DtlsError::HandshakeTimeout {
            after: DEFAULT_HANDSHAKE_TIMEOUT
        }
    );
}

#[tokio::test(start_paused = true)]
async fn c050_a_lost_first_packet_is_repeated_within_a_second() {
    let mut first = true;
    let (mut client, mut server) = pair_with(
        move |_| {
            if std::mem::take(&mut first) {
                Fate::IsLost
            } else {
                Fate::Arrives
            }
        },
        |_| Fate::Arrives,
    )
    .await;
    let begun = TokioInstant::now();
    connect(&mut client, &mut server).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn c051_nothing_is_sent_and_no_clock_runs_until_there_is_a_path() {
    let (mut client, mut server) = (Side::new(&ALL).await, Side::new(&ALL).await);
    start(&client, &server);
    tokio::time::advance(2 * DEFAULT_HANDSHAKE_TIMEOUT).await;
    client.expect_silence().await;
    server.expect_silence().await;
    client.set_wire(&Wire::new(&server, |_| Fate::Arrives));
    server.set_wire(&Wire::new(&client, |_| Fate::Arrives));
    let keys = client.expect_keys().await;
    assert_mirrored(&keys, &server.expect_keys().await);
}

#[tokio::test(start_paused = true)]
async fn a_path_may_change_in_the_middle_of_a_handshake() {
    let (mut client, mut server) = pair_with(|_| Fate::IsLost, |_| Fate::Arrives).await;
    start(&client, &server);
    client.expect_state(DtlsTransportState::Connecting).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    client.set_wire(&Wire::new(&server, |_| Fate::Arrives));
    assert!(matches!(client.next().await, DtlsEvent::KeysReady { .. }));
    server.expect_keys().await;
}
