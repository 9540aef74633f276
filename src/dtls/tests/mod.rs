//! The room as its neighbours see it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::srtp::SrtpKeys;
use crate::udp::{Datagrams, EndpointSocket};

/// Passes every event to a channel.
struct Owner;

struct OwnerMessage(DtlsEvent);

impl From<DtlsEvent> for OwnerMessage {
    fn from(event: DtlsEvent) -> Self {
        Self(event)
    }
}

impl Actor for Owner {
    type Msg = OwnerMessage;
    type State = mpsc::UnboundedSender<DtlsEvent>;
    type Arguments = mpsc::UnboundedSender<DtlsEvent>;

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
        // A test that has seen enough may have dropped the other end.
        let _unheard = events.send(event);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: ractor::SupervisionEvent,
        _state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A transport under test with its owner.
struct Side {
    transport: DtlsTransport,
    certificate: Certificate,
    events: mpsc::UnboundedReceiver<DtlsEvent>,
    owner: ActorRef<OwnerMessage>,
}

impl Side {
    async fn new(profiles: &[SrtpProfile]) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (owner, _) = Actor::spawn(None, Owner, sender).await.unwrap();
        let certificate = Certificate::generate().unwrap();
        let arguments = DtlsArguments {
            certificate: certificate.clone(),
            profiles: profiles.to_vec(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            outlet: Outlet::new(&owner),
        };
        let transport = DtlsTransport::spawn(arguments, owner.get_cell())
            .await
            .unwrap();
        Self {
            transport,
            certificate,
            events,
            owner,
        }
    }

    async fn next(&mut self) -> DtlsEvent {
        self.events.recv().await.unwrap()
    }

    async fn expect_state(&mut self, state: DtlsTransportState) {
        match self.next().await {
            DtlsEvent::StateChanged(actual) => assert_eq!(actual, state),
            other => panic!("{other:?} instead of {state}"),
        }
    }

    /// From connecting to connected.
    async fn expect_keys(&mut self) -> SrtpKeys {
        self.expect_state(DtlsTransportState::Connecting).await;
        let keys = match self.next().await {
            DtlsEvent::KeysReady(keys) => keys,
            other => panic!("{other:?} instead of keys"),
        };
        self.expect_state(DtlsTransportState::Connected).await;
        keys
    }
}

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
            while let Ok((length, remote)) = reading.recv_from(&mut buffer).await {
                inbound.push(datagrams(remote, &buffer[..length]));
            }
        });
        Self {
            socket: EndpointSocket::new(socket).unwrap(),
            address,
            reader,
        }
    }

    fn path_to(&self, remote: SocketAddr) -> TransportPath {
        TransportPath {
            socket: self.socket.clone(),
            remote,
            local_ip: None,
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn datagrams(remote: SocketAddr, bytes: &[u8]) -> Datagrams {
    Datagrams {
        remote,
        local_ip: None,
        received_at: Instant::now(),
        datagrams: vec![BytesMut::from(bytes)],
    }
}

const ALL: [SrtpProfile; 3] = [
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::Aes128CmHmacSha1_80,
];

fn assert_mirrored(a: &SrtpKeys, b: &SrtpKeys) {
    assert_eq!(a.profile, b.profile);
    assert!(a.local == b.remote && a.remote == b.local);
    assert!(a.local != a.remote);
}

#[tokio::test]
async fn two_transports_agree_on_keys_over_loopback_with_every_profile() {
    for profile in ALL {
        let mut client = Side::new(&[profile]).await;
        let mut server = Side::new(&[profile]).await;
        let client_port = Port::new(client.transport.inbound());
        let server_port = Port::new(server.transport.inbound());
        client
            .transport
            .set_path(client_port.path_to(server_port.address));
        server
            .transport
            .set_path(server_port.path_to(client_port.address));
        server
            .transport
            .start(DtlsRole::Server, client.certificate.fingerprints());
        client
            .transport
            .start(DtlsRole::Client, server.certificate.fingerprints());
        let keys = client.expect_keys().await;
        assert_mirrored(&keys, &server.expect_keys().await);
        assert_eq!(keys.profile, profile);
    }
}
