//! Whole transports on loopback: the sides that the tests bring together.
#![allow(clippy::wildcard_enum_match_arm)]

mod amplification;
mod connecting;
mod ending;
mod following;
mod gathering;
mod independent;
mod restarting;
mod sharing;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::remote_candidate::RemoteCandidate;
use super::*;
use crate::lane::{LaneCapacity, LaneReceiver, lane};
use crate::outlet::Outlet;
use crate::peer_connection::{IceConnectionState, IceGatheringState};
use crate::udp::{DatagramSink, Datagrams, TransportPath, UdpEndpoint, UdpEndpointConfiguration};

const PATIENCE: Duration = Duration::from_secs(10);

/// Passes events on to a test, and what its transport says when it fails.
struct Recorder(Option<mpsc::UnboundedSender<String>>);

impl Actor for Recorder {
    type Msg = IceEvent;
    type State = mpsc::UnboundedSender<IceEvent>;
    type Arguments = mpsc::UnboundedSender<IceEvent>;

    async fn pre_start(
        &self,
        _: ActorRef<IceEvent>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _: ActorRef<IceEvent>,
        event: IceEvent,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let _gone = events.send(event);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<IceEvent>,
        event: SupervisionEvent,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let (Some(failures), SupervisionEvent::ActorFailed(_, error)) = (&self.0, event) {
            let _gone = failures.send(error.to_string());
        }
        Ok(())
    }
}

/// One transport, its owner, and what comes out of it.
struct Side {
    transport: IceTransport,
    parameters: IceParameters,
    owner: ActorRef<IceEvent>,
    events: mpsc::UnboundedReceiver<IceEvent>,
    failures: mpsc::UnboundedReceiver<String>,
    dtls: mpsc::UnboundedReceiver<Datagrams>,
    media: LaneReceiver<Datagrams>,
    media_rung: mpsc::UnboundedReceiver<()>,
    path: Option<TransportPath>,
}

/// Short enough for a test to see the end of consent.
fn impatient() -> IceConfiguration {
    IceConfiguration {
        disconnected_timeout: Duration::from_millis(600),
        failed_timeout: Duration::from_millis(600),
        consent_interval: Duration::from_millis(200),
        ..IceConfiguration::default()
    }
}

impl Side {
    async fn new(endpoints: Vec<UdpEndpoint>, configuration: IceConfiguration) -> Self {
        let (events_in, events) = mpsc::unbounded_channel();
        let (failures_in, failures) = mpsc::unbounded_channel();
        let recorder = Recorder(Some(failures_in));
        let (owner, _) = Actor::spawn(None, recorder, events_in).await.unwrap();
        let (dtls_in, dtls) = mpsc::unbounded_channel();
        let (bell, media_rung) = mpsc::unbounded_channel();
        let capacity = LaneCapacity {
            packets: 100,
            bytes: 1_000_000,
        };
        let (media_in, media) = lane(capacity, move || {
            let _gone = bell.send(());
        });
        let parameters = IceParameters::generate();
        let arguments = IceArguments {
            parameters: parameters.clone(),
            configuration: Arc::new(configuration),
            endpoints,
            sinks: IceSinks {
                dtls: DatagramSink::new(move |datagrams| {
                    let _gone = dtls_in.send(datagrams);
                }),
                media: media_in,
            },
            outlet: Outlet::new(&owner),
        };
        let transport = IceTransport::spawn(arguments, owner.get_cell())
            .await
            .unwrap();
        Self {
            transport,
            parameters,
            owner,
            events,
            failures,
            dtls,
            media,
            media_rung,
            path: None,
        }
    }

    async fn on(address: &str) -> Self {
        Self::new(vec![endpoint(address).await], IceConfiguration::default()).await
    }

    async fn event(&mut self) -> IceEvent {
        timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("the owner lives")
    }

    /// All candidates, once gathering is complete.
    async fn candidates(&mut self) -> Vec<String> {
        self.transport.gather();
        let mut candidates = Vec::new();
        loop {
            match self.event().await {
                IceEvent::CandidateGathered { candidate, .. } => candidates.push(candidate),
                IceEvent::GatheringStateChanged(IceGatheringState::Complete) => return candidates,
                IceEvent::GatheringStateChanged(_) => {}
                other => panic!("{other:?} while gathering"),
            }
        }
    }

    async fn state(&mut self, wanted: IceConnectionState) {
        loop {
            match self.event().await {
                IceEvent::StateChanged(state) if state == wanted => return,
                IceEvent::SelectedPathChanged(path) => self.path = Some(path),
                _ => {}
            }
        }
    }

    /// Connected, and the path is known.
    async fn connected(&mut self) -> TransportPath {
        self.state(IceConnectionState::Connected).await;
        while self.path.is_none() {
            if let IceEvent::SelectedPathChanged(path) = self.event().await {
                self.path = Some(path);
            }
        }
        self.path.clone().unwrap()
    }

    async fn next_media(&mut self) -> Datagrams {
        timeout(PATIENCE, self.media_rung.recv()).await.unwrap();
        let mut out = VecDeque::new();
        self.media.drain_into(&mut out);
        out.pop_front().unwrap()
    }
}

async fn endpoint(address: &str) -> UdpEndpoint {
    // An endpoint of nobody's, that outlives its test's peers.
    let (events, _) = mpsc::unbounded_channel();
    let (supervisor, _) = Actor::spawn(None, Recorder(None), events).await.unwrap();
    let configuration = UdpEndpointConfiguration::address(address.parse().unwrap());
    UdpEndpoint::spawn(configuration, supervisor.get_cell())
        .await
        .unwrap()
}

/// For a transport that nothing is expected of.
fn no_sinks() -> IceSinks {
    let capacity = LaneCapacity {
        packets: 1,
        bytes: 1,
    };
    IceSinks {
        dtls: DatagramSink::new(drop),
        media: lane(capacity, || {}).0,
    }
}

/// Gives each the other's candidates and lets both go.
async fn introduce(one: &mut Side, other: &mut Side) {
    introduce_as(one, IceRole::Controlling, other, IceRole::Controlled).await;
}

async fn introduce_as(one: &mut Side, role: IceRole, other: &mut Side, others_role: IceRole) {
    let (ones, others) = (one.candidates().await, other.candidates().await);
    assert!(!ones.is_empty() && !others.is_empty());
    one.transport.start(role, other.parameters.clone(), false);
    other
        .transport
        .start(others_role, one.parameters.clone(), false);
    for candidate in others {
        one.transport.add_remote_candidate(candidate);
    }
    for candidate in ones {
        other.transport.add_remote_candidate(candidate);
    }
}

/// Sends a packet of media each way, and sees it arrive.
async fn exchange_media(one: &mut Side, other: &mut Side) {
    let (there, back) = (one.path.clone().unwrap(), other.path.clone().unwrap());
    there.try_send(&[0x80; 30], None).unwrap();
    assert_eq!(other.next_media().await.datagrams[0][..], [0x80; 30]);
    back.try_send(&[0x81; 30], None).unwrap();
    assert_eq!(one.next_media().await.datagrams[0][..], [0x81; 30]);
}
