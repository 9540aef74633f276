//! Shell: carries STUN between endpoints and agent, and the machine's effects out.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use rand::Rng;
use tokio::time::Instant as TokioInstant;

use super::adapter::{AgentArguments, AgentGuard};
use super::agent_conn::AgentPacket;
use super::candidate::IceParameters;
use super::configuration::{IceConfiguration, IceTransportPolicy};
use super::effect::Effect;
use super::gathering::{Gathering, GatheringEffect};
use super::local_candidate::BoundSocket;
use super::lookups::{Lookups, interfaces};
use super::machine::IceMachine;
use super::message::{AgentNumber, IceEvent, IceMessage, IceTimer};
use super::path::Route;
use super::stun::StunBuilder;
use crate::lane::{LaneCapacity, LaneReceiver, Weigh, lane};
use crate::outlet::Outlet;
use crate::peer_connection::IceGatheringState;
use crate::timer::TimerTable;
use crate::udp::{
    DatagramSink, Datagrams, Families, MediaInbound, OutgoingStun, PeerSinks, Registration,
    StunClass, StunPurpose, TransactionId, TransportPath, UdpEndpoint,
};

/// The actor; all that changes lives in [`IceShell`].
#[derive(Debug)]
pub(super) struct IceActor;

/// What a start needs.
#[derive(Debug)]
pub(crate) struct IceArguments {
    /// Our credentials in this session.
    pub(crate) parameters: IceParameters,
    pub(crate) configuration: Arc<IceConfiguration>,
    /// The sockets to be reached at.
    pub(crate) endpoints: Vec<UdpEndpoint>,
    /// Where DTLS goes, from verified addresses.
    pub(crate) dtls: DatagramSink,
    /// Where RTP and RTCP go, from verified addresses.
    pub(crate) media: MediaInbound,
    pub(crate) outlet: Outlet<IceEvent>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct IceShell {
    machine: IceMachine,
    local: IceParameters,
    configuration: Arc<IceConfiguration>,
    /// Our places at the endpoints; they go with the actor.
    registrations: Vec<Registration>,
    from_network: LaneReceiver<FromEndpoint>,
    agent: Option<AgentGuard>,
    agents_started: u32,
    gathering: Option<Gathering>,
    lookups: Lookups,
    timers: TimerTable<IceTimer>,
    outlet: Outlet<IceEvent>,
    /// Reused between messages, empty in between.
    effects: Vec<Effect>,
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

impl Actor for IceActor {
    type Msg = IceMessage;
    type State = IceShell;
    type Arguments = IceArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let transport = myself.clone();
        let (to_us, from_network) = lane(STUN_CAPACITY, move || {
            // Datagrams for a transport that has stopped are for nobody.
            let _stopped = transport.cast(IceMessage::StunArrived);
        });
        let mut registrations = Vec::new();
        // Nothing may pass but through a relay, and there is none: then there are no sockets.
        let endpoints = match arguments.configuration.transport_policy {
            IceTransportPolicy::All => arguments.endpoints,
            IceTransportPolicy::Relay => Vec::new(),
        };
        for (number, endpoint) in endpoints.iter().enumerate() {
            let to_us = to_us.clone();
            let sinks = PeerSinks {
                stun: DatagramSink::new(move |datagrams| {
                    to_us.push(FromEndpoint { number, datagrams });
                }),
                dtls: arguments.dtls.clone(),
                media: arguments.media.clone(),
            };
            let ufrag = &arguments.parameters.username_fragment;
            registrations.push(endpoint.register(ufrag, sinks).await?);
        }
        let sockets = registrations
            .iter()
            .map(|registration| families(registration.socket().families()))
            .collect();
        Ok(IceShell {
            machine: IceMachine::new(arguments.parameters.clone(), sockets),
            local: arguments.parameters,
            configuration: arguments.configuration,
            registrations,
            from_network,
            agent: None,
            agents_started: 0,
            gathering: None,
            lookups: Lookups::default(),
            timers: TimerTable::new(),
            outlet: arguments.outlet,
            effects: Vec::new(),
            arrived: VecDeque::new(),
            packets: VecDeque::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            IceMessage::Gather => shell.gather(&myself),
            IceMessage::Start { role, remote } => {
                shell.machine.handle_start(role, remote, &mut shell.effects);
            }
            IceMessage::AddRemoteCandidate(candidate) => {
                let effects = &mut shell.effects;
                shell.machine.handle_remote_candidate(candidate, effects);
            }
            // Checks go on: a check of the peer may still bring an address (RFC 8838 §9).
            IceMessage::EndOfRemoteCandidates => {}
            IceMessage::Stop => shell.stop(&myself),
            IceMessage::StunArrived => shell.read_network(&myself),
            IceMessage::AgentSent => shell.read_agent(),
            IceMessage::AgentStateChanged { agent, state } => {
                if shell.is_current(agent) {
                    shell.machine.handle_agent_state(state, &mut shell.effects);
                }
            }
            IceMessage::AgentFailed { agent, reason } => {
                if shell.is_current(agent) {
                    return Err(reason.into());
                }
            }
            IceMessage::ServerLookedUp { addresses } => {
                shell.advance_gathering(&myself, |gathering, effects| {
                    let fresh = || TransactionId(rand::rng().random());
                    gathering.handle_server(&addresses, fresh, now(), effects);
                });
            }
            IceMessage::TimerFired { timer, generation } => {
                if shell.timers.accept(timer, generation) {
                    match timer {
                        IceTimer::Gathering => {
                            shell.advance_gathering(&myself, |gathering, effects| {
                                gathering.handle_timer(now(), effects);
                            });
                        }
                        IceTimer::NoCandidates => {
                            shell.machine.handle_no_candidates(&mut shell.effects);
                        }
                    }
                }
            }
        }
        shell.perform_effects(&myself).await
    }

    /// A transport has no children; whatever is linked to it all the same does not end it.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: SupervisionEvent,
        _shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

impl IceShell {
    async fn perform_effects(
        &mut self,
        myself: &ActorRef<IceMessage>,
    ) -> Result<(), ActorProcessingErr> {
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
                        transport: myself.clone(),
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
                Effect::SelectPath(route) => self.select_path(route, myself),
                Effect::KeepAgentAlive => {
                    if let Some(agent) = &self.agent {
                        agent.keep_alive();
                    }
                }
                Effect::AnnounceState(state) => self.tell(IceEvent::StateChanged(state), myself),
                Effect::AnnounceRole(role) => self.tell(IceEvent::RoleChanged(role), myself),
                Effect::RefuseCandidate { candidate, reason } => {
                    self.tell(
                        IceEvent::RemoteCandidateRefused { candidate, reason },
                        myself,
                    );
                }
                Effect::AwaitCandidates => {
                    let after =
                        self.configuration.disconnected_timeout + self.configuration.failed_timeout;
                    self.arm(IceTimer::NoCandidates, after, myself);
                }
            }
        }
        self.effects = effects;
        Ok(())
    }

    fn stop(&mut self, myself: &ActorRef<IceMessage>) {
        tracing::debug!(statistics = ?self.machine.statistics(), "ICE session ends");
        self.machine.handle_stop(&mut self.effects);
        myself.stop(None);
    }

    fn is_current(&self, agent: AgentNumber) -> bool {
        self.agent.is_some() && agent == AgentNumber(self.agents_started)
    }

    fn read_network(&mut self, myself: &ActorRef<IceMessage>) {
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
                self.advance_gathering(myself, |gathering, effects| {
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

    fn select_path(&self, route: Route, myself: &ActorRef<IceMessage>) {
        let Some(registration) = self.registrations.get(route.socket) else {
            return;
        };
        let socket = registration.socket().clone();
        let path = TransportPath::new(socket, route.remote, route.local_ip);
        self.tell(IceEvent::SelectedPathChanged(path), myself);
    }

    /// Without a listener there is nobody to work for.
    fn tell(&self, event: IceEvent, myself: &ActorRef<IceMessage>) {
        if self.outlet.tell(event).is_err() {
            myself.stop(Some("nobody listens".to_owned()));
        }
    }

    fn arm(&mut self, timer: IceTimer, after: std::time::Duration, myself: &ActorRef<IceMessage>) {
        self.timers.arm(timer, after, myself, move |generation| {
            IceMessage::TimerFired { timer, generation }
        });
    }
}

/// Gathering.
impl IceShell {
    fn gather(&mut self, myself: &ActorRef<IceMessage>) {
        if self.gathering.is_some() {
            return;
        }
        self.tell(
            IceEvent::GatheringStateChanged(IceGatheringState::Gathering),
            myself,
        );
        let sockets: Vec<BoundSocket> = self
            .registrations
            .iter()
            .map(|registration| BoundSocket {
                local_addr: registration.socket().local_addr(),
                families: registration.socket().families(),
            })
            .collect();
        if !sockets.is_empty() {
            self.lookups = Lookups::begin(&self.configuration.servers, myself);
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
        self.perform_gathering(effects, myself);
    }

    fn advance_gathering(
        &mut self,
        myself: &ActorRef<IceMessage>,
        step: impl FnOnce(&mut Gathering, &mut Vec<GatheringEffect>),
    ) {
        if let Some(gathering) = &mut self.gathering {
            let mut effects = Vec::new();
            step(gathering, &mut effects);
            self.perform_gathering(effects, myself);
        }
    }

    fn perform_gathering(&mut self, effects: Vec<GatheringEffect>, myself: &ActorRef<IceMessage>) {
        for effect in effects {
            match effect {
                GatheringEffect::Tell(candidate) => {
                    self.tell(IceEvent::CandidateGathered(candidate.to_string()), myself);
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
                    self.arm(IceTimer::Gathering, after, myself);
                }
                GatheringEffect::Complete => {
                    self.timers.disarm(IceTimer::Gathering);
                    self.lookups = Lookups::default();
                    self.tell(
                        IceEvent::GatheringStateChanged(IceGatheringState::Complete),
                        myself,
                    );
                }
            }
        }
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

/// STUN on its way to one transport. Policy of lanes: the oldest go.
const STUN_CAPACITY: LaneCapacity = LaneCapacity {
    packets: 128,
    bytes: 64 * 1024,
};
