//! One session of the transport, from its credentials to its end: its places at the endpoints, its agent, its gathering.

mod relays;

use std::collections::VecDeque;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ractor::ActorProcessingErr;
use rand::Rng;
use tokio::time::Instant as TokioInstant;

use self::relays::RelaySlot;
use super::actor::IceSinks;
use super::adapter::{AgentArguments, AgentError, AgentGuard};
use super::agent_conn::AgentPacket;
#[cfg(test)]
use super::agent_conn::POISON;
use super::candidate::{IceParameters, IceRole};
use super::configuration::{IceConfiguration, IceTransportPolicy};
use super::consent::ConsentTimes;
use super::effect::Effect;
use super::gathering::{Gathering, GatheringEffect};
use super::local_candidate::BoundSocket;
use super::lookups::{Lookups, NameLookups, interfaces};
use super::machine::IceMachine;
use super::message::{AgentNumber, IceEvent, IceTimer, SessionFact, SessionNumber, SessionRef};
use super::path::Route;
use super::snapshot::IceSnapshot;
use super::states::Dice;
use super::stun::StunBuilder;
use super::turn::Relay;
use crate::lane::{LaneCapacity, LaneReceiver, LaneSender, Weigh, lane};
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
    /// The addresses that the endpoints are bound to.
    bound: Vec<SocketAddr>,
    /// Our places at the endpoints.
    registrations: Vec<Registration>,
    /// Numbered after the registrations.
    relays: Vec<RelaySlot>,
    sinks: IceSinks,
    /// For relays.
    to_us: LaneSender<FromEndpoint>,
    from_network: LaneReceiver<FromEndpoint>,
    agent: Option<AgentGuard>,
    agents_started: u32,
    /// The peer does not want to be sent anything any more.
    revoked: Arc<AtomicBool>,
    gathering: Option<Gathering>,
    lookups: Lookups,
    names: NameLookups,
    timers: TimerTable<IceTimer>,
    /// Reused between messages, empty in between.
    effects: Vec<Effect>,
    /// What the transport is to tell of this session.
    events: Vec<IceEvent>,
    arrived: VecDeque<FromEndpoint>,
    packets: VecDeque<AgentPacket>,
}

/// What came in, and at which endpoint or relay.
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
        let bound = endpoints.iter().map(UdpEndpoint::local_addr).collect();
        let mut registrations = Vec::new();
        // Nothing may pass but through a relay.
        let endpoints = match configuration.transport_policy {
            IceTransportPolicy::All => endpoints,
            IceTransportPolicy::Relay => &[],
        };
        for (number, endpoint) in endpoints.iter().enumerate() {
            let sinks = PeerSinks {
                stun: numbered(&to_us, number),
                dtls: sinks.dtls.clone(),
                media: sinks.media.clone(),
            };
            registrations.push(endpoint.register(&local.username_fragment, sinks).await?);
        }
        let sockets = registrations
            .iter()
            .map(|registration| families(registration.socket().families()))
            .collect();
        let times = ConsentTimes {
            interval: configuration.consent_interval,
            disconnected: configuration.disconnected_timeout,
            failed: configuration.failed_timeout,
        };
        Ok(Self {
            machine: IceMachine::new(local.clone(), sockets, times),
            address,
            local,
            configuration,
            bound,
            registrations,
            relays: Vec::new(),
            sinks: sinks.clone(),
            to_us,
            from_network,
            agent: None,
            agents_started: 0,
            revoked: Arc::default(),
            gathering: None,
            lookups: Lookups::default(),
            names: NameLookups::default(),
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

    /// What it shows of itself for statistics.
    pub(super) fn snapshot(&self) -> IceSnapshot {
        let gathering = self.gathering.as_ref();
        let candidates = gathering.map_or(&[][..], Gathering::candidates);
        self.machine.snapshot(candidates, |route| {
            match route.socket.checked_sub(self.registrations.len()) {
                Some(relay) => self.relays.get(relay)?.relayed,
                None => gathering?.base_of(route),
            }
        })
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

    pub(super) async fn end_of_remote_candidates(&mut self) -> Result<(), ActorProcessingErr> {
        self.machine
            .handle_end_of_remote_candidates(&mut self.effects);
        self.perform_effects().await
    }

    pub(super) async fn stop(&mut self) -> Result<(), ActorProcessingErr> {
        self.machine.handle_stop(&mut self.effects);
        self.perform_effects().await
    }

    pub(super) async fn receive(&mut self, fact: SessionFact) -> Result<(), ActorProcessingErr> {
        match fact {
            SessionFact::StunArrived => {
                self.read_network();
                self.check_agent()?;
            }
            SessionFact::AgentSent => self.read_agent(),
            SessionFact::AgentFailed { agent, reason } => {
                if self.is_current(agent) {
                    return Err(reason.into());
                }
            }
            SessionFact::ServerLookedUp { server, addresses } => {
                let relays = self.open_relay(server, &addresses).await;
                self.advance_gathering(|gathering, effects| {
                    let fresh = || TransactionId(rand::rng().random());
                    gathering.handle_server(&addresses, relays, fresh, now(), effects);
                });
            }
            SessionFact::NameLookedUp { name, ip } => {
                self.machine.handle_name(&name, ip, &mut self.effects);
            }
            SessionFact::Relay { number, event } => self.hear_relay(number, event),
            #[cfg(test)]
            SessionFact::PoisonAgent => {
                if let Some(agent) = &self.agent {
                    agent.give(POISON.to_vec(), ([127, 0, 0, 1], 9).into(), false);
                }
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
            IceTimer::Names => self.machine.handle_names_due(&mut self.effects),
            IceTimer::NoPath => self.machine.handle_no_path(&mut self.effects),
            IceTimer::Consent => {
                let dice = Dice {
                    transaction: TransactionId(rand::rng().random()),
                    spread: rand::rng().random_range(0.8..1.2),
                };
                self.machine
                    .handle_consent_due(dice, now(), &mut self.effects);
            }
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
                Effect::AwaitConsent(at) => {
                    self.arm(IceTimer::Consent, at.saturating_duration_since(now()));
                }
                Effect::GiveUp => {
                    self.agent = None;
                    self.revoked.store(true, Ordering::Relaxed);
                }
                Effect::AnnounceState(state) => self.events.push(IceEvent::StateChanged(state)),
                Effect::AnnounceRole(role) => self.events.push(IceEvent::RoleChanged(role)),
                Effect::RefuseCandidate { candidate, reason } => {
                    self.events
                        .push(IceEvent::RemoteCandidateRefused { candidate, reason });
                }
                Effect::AwaitNames => self.arm(IceTimer::Names, NAMES_WAIT),
                Effect::LookUpName(name) => self.names.look_up(name, &self.address),
                Effect::AwaitPath => {
                    let after =
                        self.configuration.disconnected_timeout + self.configuration.failed_timeout;
                    self.arm(IceTimer::NoPath, after);
                }
            }
        }
        self.effects = effects;
        Ok(())
    }

    /// What arrives shows whether the agent still reads. Where nothing does, consent expires.
    fn check_agent(&self) -> Result<(), AgentError> {
        let patience = self.configuration.disconnected_timeout.max(LEAST_PATIENCE);
        self.agent
            .as_ref()
            .map_or(Ok(()), |agent| agent.check(patience))
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
        } else if let Some(relay) = self.relay(socket) {
            relay.send_stun(stun);
        }
    }

    fn relay(&self, socket: usize) -> Option<&Relay> {
        let slot = self
            .relays
            .get(socket.checked_sub(self.registrations.len())?);
        slot?.relay.as_ref()
    }

    fn select_path(&mut self, route: Route) {
        let path = match self.registrations.get(route.socket) {
            Some(registration) => Some(TransportPath::new(
                registration.socket().clone(),
                route.remote,
                route.local_ip,
            )),
            // A check was answered on that way, so there is a channel.
            None => self
                .relay(route.socket)
                .and_then(|relay| relay.path(route.remote)),
        };
        let path = path.map(|path| path.revocable(&self.revoked));
        self.events.extend(path.map(IceEvent::SelectedPathChanged));
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
    pub(super) async fn gather(
        &mut self,
        configuration: &Arc<IceConfiguration>,
    ) -> Result<(), ActorProcessingErr> {
        if self.gathering.is_some() {
            return Ok(());
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
        if !self.bound.is_empty() {
            self.lookups = Lookups::begin(&self.configuration.servers, &self.address);
        }
        if self.lookups.has_relays() {
            self.machine.expect_relays();
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
        self.perform_effects().await
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
                    self.note_left_out();
                    self.timers.disarm(IceTimer::Gathering);
                    self.lookups = Lookups::default();
                    self.tell_gathering(IceGatheringState::Complete);
                    self.machine.handle_gathered(&mut self.effects);
                }
            }
        }
    }

    /// More addresses than are offered are a matter of how the machine is set up.
    fn note_left_out(&self) {
        let left_out = self.gathering.as_ref().map_or(0, Gathering::left_out);
        if left_out > 0 {
            let limit = self.configuration.most_local_candidates;
            tracing::warn!(left_out, limit, "local candidates are not offered");
        }
    }

    fn tell_gathering(&mut self, state: IceGatheringState) {
        self.events.push(IceEvent::GatheringStateChanged(state));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        tracing::debug!(statistics = ?self.machine.statistics(), "ice session ends");
    }
}

/// Takes STUN messages as those of that endpoint or relay.
fn numbered(to_us: &LaneSender<FromEndpoint>, number: usize) -> DatagramSink {
    let to_us = to_us.clone();
    DatagramSink::new(move |datagrams| to_us.push(FromEndpoint { number, datagrams }))
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

/// For a peer that reaches us, so that nobody is asked for its name.
const NAMES_WAIT: Duration = Duration::from_millis(500);

/// STUN on its way to one session. Policy of lanes: the oldest go.
const STUN_CAPACITY: LaneCapacity = LaneCapacity {
    packets: 128,
    bytes: 64 * 1024,
};

/// With the agent: a thread that has its task may be kept waiting by a busy machine for as long as that.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);
