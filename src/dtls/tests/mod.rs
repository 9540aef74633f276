//! The room as its neighbours see it.

mod closing;
mod handshake;
mod hostile;
mod loss;
mod openssl;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;

use super::*;
use crate::dtls::inbound::DtlsDrops;
use crate::dtls::link::Egress;
use crate::peer_connection::DtlsTransportState;
use crate::srtp::SrtpKeys;
use crate::udp::{Datagrams, HandshakeGate};

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
        _event: SupervisionEvent,
        _events: &mut Self::State,
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
    /// Lets one handshake happen at a time.
    handshakes: HandshakeGate,
}

impl Side {
    async fn new(profiles: &[SrtpProfile]) -> Self {
        Self::with_certificate(profiles, Certificate::generate().unwrap()).await
    }

    async fn with_certificate(profiles: &[SrtpProfile], certificate: Certificate) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (owner, _) = Actor::spawn(None, Owner, sender).await.unwrap();
        let handshakes = HandshakeGate::new(1);
        let arguments = DtlsArguments {
            certificate: certificate.clone(),
            profiles: profiles.to_vec(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            handshakes: handshakes.clone(),
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
            handshakes,
        }
    }

    fn start(&self, role: DtlsRole, remote: &Certificate) {
        self.transport.start(role, remote.fingerprints());
    }

    /// Sends through `wire` from now on.
    fn set_wire(&self, wire: &Arc<Wire>) {
        let path: Arc<dyn Egress> = Arc::clone(wire) as Arc<dyn Egress>;
        self.transport.tell(DtlsMessage::SetPath(path));
    }

    /// Something from the network.
    fn receive(&self, datagram: &[u8]) {
        self.transport.inbound.push(datagrams(datagram));
    }

    async fn next(&mut self) -> DtlsEvent {
        self.events.recv().await.unwrap()
    }

    async fn expect_state(&mut self, state: DtlsTransportState) {
        assert_eq!(self.next().await, DtlsEvent::StateChanged(state));
    }

    /// Once the actor has seen to all that it was told, it has told nothing.
    async fn expect_silence(&mut self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(self.events.try_recv().is_err());
    }

    /// From connecting to connected.
    async fn expect_keys(&mut self) -> SrtpKeys {
        self.expect_state(DtlsTransportState::Connecting).await;
        let event = self.next().await;
        let DtlsEvent::KeysReady { keys, .. } = event else {
            panic!("{event:?} instead of keys");
        };
        self.expect_state(DtlsTransportState::Connected).await;
        keys
    }

    /// From connecting to failed.
    async fn expect_failure(&mut self) -> DtlsError {
        self.expect_state(DtlsTransportState::Connecting).await;
        let event = self.next().await;
        let DtlsEvent::Failed(error) = event else {
            panic!("{event:?} instead of a failure");
        };
        self.expect_state(DtlsTransportState::Failed).await;
        error
    }

    async fn end(self) {
        self.transport.close();
        self.owner.stop_and_wait(None, None).await.unwrap();
    }
}

/// What becomes of a datagram.
enum Fate {
    Arrives,
    IsLost,
    ArrivesTwice,
    ArrivesAfter(Duration),
}

type Judge = Box<dyn FnMut(&[u8]) -> Fate + Send>;

/// A way to another transport without a network.
struct Wire {
    to: DtlsInbound,
    judge: Mutex<Judge>,
}

impl Wire {
    fn new(to: &Side, judge: impl FnMut(&[u8]) -> Fate + Send + 'static) -> Arc<Self> {
        Arc::new(Self {
            to: to.transport.inbound(),
            judge: Mutex::new(Box::new(judge)),
        })
    }
}

impl Egress for Wire {
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let fate = (self.judge.lock().unwrap())(datagram);
        match fate {
            Fate::Arrives => self.to.push(datagrams(datagram)),
            Fate::IsLost => {}
            Fate::ArrivesTwice => {
                self.to.push(datagrams(datagram));
                self.to.push(datagrams(datagram));
            }
            Fate::ArrivesAfter(delay) => {
                let (to, late) = (self.to.clone(), datagrams(datagram));
                tokio::spawn(async move {
                    tokio::time::sleep(delay).await;
                    to.push(late);
                });
            }
        }
        Ok(())
    }
}

/// A client and a server with good wires in between, not started.
async fn pair() -> (Side, Side) {
    pair_with(|_| Fate::Arrives, |_| Fate::Arrives).await
}

async fn pair_with(
    to_server: impl FnMut(&[u8]) -> Fate + Send + 'static,
    to_client: impl FnMut(&[u8]) -> Fate + Send + 'static,
) -> (Side, Side) {
    let (client, server) = (Side::new(&ALL).await, Side::new(&ALL).await);
    client.set_wire(&Wire::new(&server, to_server));
    server.set_wire(&Wire::new(&client, to_client));
    (client, server)
}

fn start(client: &Side, server: &Side) {
    server.start(DtlsRole::Server, &client.certificate);
    client.start(DtlsRole::Client, &server.certificate);
}

async fn connect(client: &mut Side, server: &mut Side) -> SrtpKeys {
    start(client, server);
    let keys = client.expect_keys().await;
    assert_mirrored(&keys, &server.expect_keys().await);
    keys
}

fn assert_mirrored(a: &SrtpKeys, b: &SrtpKeys) {
    assert_eq!(a.profile, b.profile);
    assert!(a.local == b.remote && a.remote == b.local);
    assert!(a.local != a.remote);
}

fn datagrams(bytes: &[u8]) -> Datagrams {
    Datagrams {
        remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
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
