//! One session of the transport, from its credentials to its end: its places at the endpoints, its agent, its gathering.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::ActorProcessingErr;
use rand::Rng;
use tokio::time::Instant as TokioInstant;

use super::actor::IceSinks;
use super::adapter::{AgentArguments, AgentGuard};
use super::agent_conn::AgentPacket;
use super::candidate::{IceParameters, IceRole};
use super::configuration::{IceConfiguration, IceTransportPolicy};
use super::effect::Effect;
use super::gathering::{Gathering, GatheringEffect};
use super::local_candidate::BoundSocket;
use super::lookups::{Lookups, interfaces};
use super::machine::IceMachine;
use super::message::{AgentNumber, IceEvent, IceTimer, SessionFact, SessionNumber, SessionRef};
use super::path::Route;
use super::stun::StunBuilder;
use crate::lane::{LaneCapacity, LaneReceiver, Weigh, lane};
use crate::peer_connection::IceGatheringState;
use crate::timer::TimerTable;
use crate::udp::{
    DatagramSink, Datagrams, Families, OutgoingStun, PeerSinks, Registration, StunClass,
    StunPurpose, TransactionId, TransportPath, UdpEndpoint,
};

/// A running session. All that it has goes with it.
#[derive(Debug)]
pub(super) struct Session {
    /// The mailbox, as its helpers see it.
    address: SessionRef,
    machine: IceMachine,
    local: IceParameters,
    configuration: Arc<IceConfiguration>,
    /// Our places at the endpoints.
    registrations: Vec<Registration>,
    from_network: LaneReceiver<FromEndpoint>,
    agent: Option<AgentGuard>,
    agents_started: u32,
    gathering: Option<Gathering>,
    lookups: Lookups,
    timers: TimerTable<IceTimer>,
    /// Reused between messages, empty in between.
    effects: Vec<Effect>,
    /// What the transport is to tell of this session.
    events: Vec<IceEvent>,
    arrived: VecDeque<FromEndpoint>,
    packets: VecDeque<AgentPacket>,
}

/// What came in, and at which endpoint.
#[derive(Debug)]
struct FromEndpoint {
    number: usize,
    datagrams: Datagrams,
}

impl Weigh for FromEndpoint {
    fn packets(&self) -> usize {
        self.datagrams.packets()
    }

    fn bytes(&self) -> usize {
        self.datagrams.bytes()
    }
}

impl Session {
    /// Takes its place at the endpoints. Waits for their turns.
    ///
    /// # Errors
    ///
    /// An endpoint has stopped, or has another session of the same username fragment.
    pub(super) async fn new(
        address: SessionRef,
        local: IceParameters,
        configuration: Arc<IceConfiguration>,
        endpoints: &[UdpEndpoint],
        sinks: &IceSinks,
    ) -> Result<Self, ActorProcessingErr> {
        let bell = address.clone();
        let (to_us, from_network) =
            lane(STUN_CAPACITY, move || bell.tell(SessionFact::StunArrived));
        let mut registrations = Vec::new();
        // Nothing may pass but through a relay, and there is none: then there are no sockets.
        let endpoints = match configuration.transport_policy {
            IceTransportPolicy::All => endpoints,
            IceTransportPolicy::Relay => &[],
        };
        for (number, endpoint) in endpoints.iter().enumerate() {
            let to_us = to_us.clone();
            let sinks = PeerSinks {
                stun: DatagramSink::new(move |datagrams| {
                    to_us.push(FromEndpoint { number, datagrams });
                }),
                dtls: sinks.dtls.clone(),
                media: sinks.media.clone(),
            };
            registrations.push(endpoint.register(&local.username_fragment, sinks).await?);
        }
        let sockets = registrations
            .iter()
            .map(|registration| families(registration.socket().families()))
            .collect();
        Ok(Self {
            machine: IceMachine::new(local.clone(), sockets),
            address,
            local,
            configuration,
            registrations,
            from_network,
            agent: None,
            agents_started: 0,
            gathering: None,
            lookups: Lookups::default(),
            timers: TimerTable::new(),
            effects: Vec::new(),
            events: Vec::new(),
            arrived: VecDeque::new(),
            packets: VecDeque::new(),
        })
    }

    pub(super) fn number(&self) -> SessionNumber {
        self.address.session
    }

    /// Moves what there is to tell into `into`.
    pub(super) fn take_events(&mut self, into: &mut Vec<IceEvent>) {
        into.append(&mut self.events);
    }

    pub(super) async fn start(
        &mut self,
        role: IceRole,
        remote: IceParameters,
    ) -> Result<(), ActorProcessingErr> {
        self.machine.handle_start(role, remote, &mut self.effects);
        self.perform_effects().await
    }

    /// Whether the other side calls itself so in this session.
    pub(super) fn is_with(&self, username_fragment: &str) -> bool {
        self.machine
            .remote_username_fragment()
            .is_some_and(|known| known == username_fragment)
    }

    pub(super) async fn add_remote_candidate(
        &mut self,
        candidate: String,
    ) -> Result<(), ActorProcessingErr> {
        self.machine
            .handle_remote_candidate(candidate, &mut self.effects);
        self.perform_effects().await
    }

    pub(super) async fn stop(&mut self) -> Result<(), ActorProcessingErr> {
        self.machine.handle_stop(&mut self.effects);
        self.perform_effects().await
    }

    pub(super) async fn receive(&mut self, fact: SessionFact) -> Result<(), ActorProcessingErr> {
        match fact {
            SessionFact::StunArrived => self.read_network(),
            SessionFact::AgentSent => self.read_agent(),
            SessionFact::AgentStateChanged { agent, state } => {
                if self.is_current(agent) {
                    self.machine.handle_agent_state(state, &mut self.effects);
                }
            }
            SessionFact::AgentFailed { agent, reason } => {
                if self.is_current(agent) {
                    return Err(reason.into());
                }
            }
            SessionFact::ServerLookedUp { addresses } => {
                self.advance_gathering(|gathering, effects| {
                    let fresh = || TransactionId(rand::rng().random());
                    gathering.handle_server(&addresses, fresh, now(), effects);
                });
            }
            SessionFact::TimerFired { timer, generation } => {
                if self.timers.accept(timer, generation) {
                    self.timer_fired(timer);
                }
            }
        }
        self.perform_effects().await
    }

    fn timer_fired(&mut self, timer: IceTimer) {
        match timer {
            IceTimer::Gathering => self.advance_gathering(|gathering, effects| {
                gathering.handle_timer(now(), effects);
            }),
            IceTimer::NoCandidates => self.machine.handle_no_candidates(&mut self.effects),
        }
    }

    async fn perform_effects(&mut self) -> Result<(), ActorProcessingErr> {
        let mut effects = mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::StartAgent {
                    role,
                    remote,
                    candidates,
                } => {
                    self.agents_started += 1;
                    let arguments = AgentArguments {
                        number: AgentNumber(self.agents_started),
                        role,
                        local: &self.local,
                        remote,
                        candidates: &candidates,
                        configuration: &self.configuration,
                        session: self.address.clone(),
                    };
                    // The one before goes first: it must not answer any more.
                    self.agent = None;
                    // Boxed: it happens once, and would make every actor larger by its size.
                    self.agent = Some(Box::pin(AgentGuard::start(arguments)).await?);
                }
                Effect::AddToAgent(candidate) => {
                    if let Some(agent) = &self.agent {
                        agent.add(&candidate);
                    }
                }
                Effect::GiveToAgent {
                    bytes,
                    from,
                    then_hurry,
                } => {
                    if let Some(agent) = &self.agent {
                        agent.give(bytes, from, then_hurry);
                    }
                }
                Effect::SendStun { socket, stun } => self.send(socket, stun),
                Effect::SelectPath(route) => self.select_path(route),
                Effect::KeepAgentAlive => {
                    if let Some(agent) = &self.agent {
                        agent.keep_alive();
                    }
                }
                Effect::AnnounceState(state) => self.events.push(IceEvent::StateChanged(state)),
                Effect::AnnounceRole(role) => self.events.push(IceEvent::RoleChanged(role)),
                Effect::RefuseCandidate { candidate, reason } => {
                    self.events
                        .push(IceEvent::RemoteCandidateRefused { candidate, reason });
                }
                Effect::AwaitCandidates => {
                    let after =
                        self.configuration.disconnected_timeout + self.configuration.failed_timeout;
                    self.arm(IceTimer::NoCandidates, after);
                }
            }
        }
        self.effects = effects;
        Ok(())
    }

    fn is_current(&self, agent: AgentNumber) -> bool {
        self.agent.is_some() && agent == AgentNumber(self.agents_started)
    }

    fn read_network(&mut self) {
        let mut arrived = mem::take(&mut self.arrived);
        self.from_network.drain_into(&mut arrived);
        for FromEndpoint { number, datagrams } in arrived.drain(..) {
            let route = Route {
                socket: number,
                remote: datagrams.remote,
                local_ip: datagrams.local_ip,
            };
            for datagram in &datagrams.datagrams {
                let mut is_for_gathering = false;
                self.advance_gathering(|gathering, effects| {
                    is_for_gathering = gathering.handle_datagram(route, datagram, now(), effects);
                });
                if !is_for_gathering {
                    self.machine
                        .handle_stun(route, datagram, now(), &mut self.effects);
                }
            }
        }
        self.arrived = arrived;
        self.machine.statistics_mut().stun_dropped += self.from_network.take_drops().packets;
    }

    fn read_agent(&mut self) {
        let Some(agent) = &mut self.agent else {
            return;
        };
        agent.take_packets(&mut self.packets);
        self.machine.statistics_mut().stun_dropped += agent.take_drops();
        for packet in self.packets.drain(..) {
            self.machine
                .handle_agent_packet(packet.bytes, packet.to, now(), &mut self.effects);
        }
    }

    fn send(&self, socket: usize, stun: OutgoingStun) {
        if let Some(registration) = self.registrations.get(socket) {
            registration.send_stun(stun);
        }
    }

    fn select_path(&mut self, route: Route) {
        let Some(registration) = self.registrations.get(route.socket) else {
            return;
        };
        let path = TransportPath {
            socket: registration.socket().clone(),
            remote: route.remote,
            local_ip: route.local_ip,
        };
        self.events.push(IceEvent::SelectedPathChanged(path));
    }

    fn arm(&mut self, timer: IceTimer, after: Duration) {
        let session = self.address.session;
        self.timers
            .arm(timer, after, &self.address.transport, move |generation| {
                SessionFact::TimerFired { timer, generation }.of(session)
            });
    }
}

/// Gathering.
impl Session {
    /// Begins; asked again, it does nothing. `configuration` is the one set last.
    pub(super) fn gather(&mut self, configuration: &Arc<IceConfiguration>) {
        if self.gathering.is_some() {
            return;
        }
        self.configuration = Arc::clone(configuration);
        self.tell_gathering(IceGatheringState::Gathering);
        let sockets: Vec<BoundSocket> = self
            .registrations
            .iter()
            .map(|registration| BoundSocket {
                local_addr: registration.socket().local_addr(),
                families: registration.socket().families(),
            })
            .collect();
        if !sockets.is_empty() {
            self.lookups = Lookups::begin(&self.configuration.servers, &self.address);
        }
        let mut effects = Vec::new();
        self.gathering = Some(Gathering::begin(
            sockets,
            interfaces(),
            &self.configuration,
            self.lookups.count(),
            now(),
            &mut effects,
        ));
        self.perform_gathering(effects);
    }

    fn advance_gathering(&mut self, step: impl FnOnce(&mut Gathering, &mut Vec<GatheringEffect>)) {
        if let Some(gathering) = &mut self.gathering {
            let mut effects = Vec::new();
            step(gathering, &mut effects);
            self.perform_gathering(effects);
        }
    }

    fn perform_gathering(&mut self, effects: Vec<GatheringEffect>) {
        for effect in effects {
            match effect {
                GatheringEffect::Tell(candidate) => {
                    self.events.push(IceEvent::CandidateGathered {
                        candidate: candidate.to_string(),
                        username_fragment: self.local.username_fragment.clone(),
                    });
                }
                GatheringEffect::Ask(request) => {
                    let stun = OutgoingStun {
                        destination: request.server,
                        local_ip: None,
                        purpose: StunPurpose::ServerRequest(request.transaction),
                        bytes: StunBuilder::new(StunClass::Request, request.transaction)
                            .finish(None),
                    };
                    self.send(request.socket, stun);
                }
                GatheringEffect::ArmTimer(at) => {
                    let after = at.saturating_duration_since(now());
                    self.arm(IceTimer::Gathering, after);
                }
                GatheringEffect::Complete => {
                    self.timers.disarm(IceTimer::Gathering);
                    self.lookups = Lookups::default();
                    self.tell_gathering(IceGatheringState::Complete);
                }
            }
        }
    }

    fn tell_gathering(&mut self, state: IceGatheringState) {
        self.events.push(IceEvent::GatheringStateChanged(state));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        tracing::debug!(statistics = ?self.machine.statistics(), "ICE session ends");
    }
}

/// Whether IPv4, and IPv6, can be reached.
fn families(families: Families) -> (bool, bool) {
    match families {
        Families::V4 => (true, false),
        Families::V6 => (false, true),
        Families::Both => (true, true),
    }
}

/// The one place where this room reads the clock; follows tokio's paused time in tests.
fn now() -> Instant {
    TokioInstant::now().into_std()
}

/// STUN on its way to one session. Policy of lanes: the oldest go.
const STUN_CAPACITY: LaneCapacity = LaneCapacity {
    packets: 128,
    bytes: 64 * 1024,
};
