//! webrtc-ice: the only file that knows its callbacks, its `Arc<dyn …>` and its errors.
//!
//! An agent runs tasks of its own. They end when it is closed, and only then, so it lives in a guard
//! ([`AgentGuard`]) that closes it. It reads and writes through an [`AgentConn`], which is a pair of lanes.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use ractor::ActorRef;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use webrtc_ice::agent::Agent;
use webrtc_ice::agent::agent_config::AgentConfig;
use webrtc_ice::candidate::candidate_base::{CandidateBase, CandidateBaseConfig};
use webrtc_ice::candidate::candidate_host::CandidateHostConfig;
use webrtc_ice::candidate::candidate_peer_reflexive::CandidatePeerReflexiveConfig;
use webrtc_ice::candidate::candidate_relay::CandidateRelayConfig;
use webrtc_ice::candidate::candidate_server_reflexive::CandidateServerReflexiveConfig;
use webrtc_ice::candidate::{Candidate, CandidateType};
use webrtc_ice::mdns::MulticastDnsMode;
use webrtc_ice::network_type::NetworkType;
use webrtc_ice::state::ConnectionState;
use webrtc_ice::udp_mux::UDPMux;
use webrtc_ice::udp_network::UDPNetwork;
use webrtc_util::Conn;

use super::candidate::{IceParameters, IceRole};
use super::configuration::IceConfiguration;
use super::machine::AgentCandidate;
use super::message::{AgentNumber, AgentState, IceMessage};
use super::remote_candidate::CandidateKind;
use crate::lane::{LaneCapacity, LaneReceiver, LaneSender, Weigh, lane};

/// The agent and all that runs for it. Dropping it closes the agent.
pub(super) struct AgentGuard {
    agent: Arc<Agent>,
    conn: Arc<AgentConn>,
    from_agent: LaneReceiver<AgentPacket>,
    /// Dials or accepts; never ends by itself where the checks fail.
    connecting: JoinHandle<()>,
    /// As long as it is not dropped, dialling goes on.
    _cancel: mpsc::Sender<()>,
    runtime: Handle,
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
#[error("the ICE agent did not start")]
pub(super) struct AgentError(#[from] webrtc_ice::Error);

/// What an agent needs to begin.
pub(super) struct AgentArguments<'a> {
    pub(super) number: AgentNumber,
    pub(super) role: IceRole,
    pub(super) local: &'a IceParameters,
    pub(super) remote: IceParameters,
    pub(super) candidates: &'a [AgentCandidate],
    pub(super) configuration: &'a IceConfiguration,
    pub(super) transport: ActorRef<IceMessage>,
}

/// A packet that the agent sends.
#[derive(Debug)]
pub(super) struct AgentPacket {
    pub(super) bytes: Vec<u8>,
    pub(super) to: SocketAddr,
}

impl Weigh for AgentPacket {
    fn packets(&self) -> usize {
        1
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl AgentGuard {
    /// Starts an agent and has it check `candidates`. Waits for the agent's locks only.
    pub(super) async fn start(arguments: AgentArguments<'_>) -> Result<Self, AgentError> {
        let transport = arguments.transport.clone();
        let (to_transport, from_agent) = lane(CAPACITY, move || {
            // A transport that has stopped drops the agent as well.
            let _stopped = transport.cast(IceMessage::AgentSent);
        });
        let conn = Arc::new(AgentConn::new(to_transport));
        let agent = Arc::new(Agent::new(agent_config(&arguments, &conn)).await?);
        let (cancel, cancelled) = mpsc::channel(1);
        // From here on the guard closes the agent, whatever goes wrong.
        let mut guard = Self {
            connecting: tokio::spawn(async {}),
            runtime: Handle::current(),
            agent: Arc::clone(&agent),
            conn: Arc::clone(&conn),
            from_agent,
            _cancel: cancel,
        };
        // A second agent in the same guard would be a mistake of ours; the first one stays.
        let _set_once = conn.agent.set(Arc::downgrade(&agent));
        report_states(&agent, arguments.number, arguments.transport.clone());
        agent.on_candidate(Box::new(|_| Box::pin(std::future::ready(()))));
        agent.gather_candidates()?;
        for candidate in arguments.candidates {
            guard.add(candidate);
        }
        guard.connecting = tokio::spawn(connect(
            agent,
            cancelled,
            arguments.number,
            arguments.role,
            arguments.remote,
            arguments.transport,
        ));
        Ok(guard)
    }

    /// Has the agent check another address.
    pub(super) fn add(&self, candidate: &AgentCandidate) {
        match to_webrtc(candidate) {
            Ok(candidate) => {
                // The only refusal is that of a TCP candidate.
                let _added = self.agent.add_remote_candidate(&candidate);
            }
            Err(error) => tracing::debug!(%error, ?candidate, "the ICE agent refused a candidate"),
        }
    }

    /// A packet for the agent; `then_hurry` has it go on at once when it has read it.
    pub(super) fn give(&self, bytes: Vec<u8>, from: SocketAddr, then_hurry: bool) {
        self.conn.to_agent.push(Incoming {
            bytes,
            from,
            then_hurry,
        });
    }

    /// Moves what the agent has sent into `into`.
    pub(super) fn take_packets(&mut self, into: &mut VecDeque<AgentPacket>) {
        self.from_agent.drain_into(into);
    }

    /// Packets that were dropped since last asked, because the transport was slower than the agent.
    pub(super) fn take_drops(&mut self) -> u64 {
        self.from_agent.take_drops().packets
    }

    /// Lets the agent take its pair for alive.
    pub(super) fn keep_alive(&self) {
        if let Some(pair) = self.agent.get_selected_candidate_pair() {
            pair.remote.seen(false);
        }
    }
}

impl Drop for AgentGuard {
    fn drop(&mut self) {
        self.connecting.abort();
        let agent = Arc::clone(&self.agent);
        self.runtime.spawn(async move {
            // It says whether it was closed already.
            let _closed = agent.close().await;
        });
    }
}

impl fmt::Debug for AgentGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgentGuard")
    }
}

async fn connect(
    agent: Arc<Agent>,
    cancelled: mpsc::Receiver<()>,
    number: AgentNumber,
    role: IceRole,
    remote: IceParameters,
    transport: ActorRef<IceMessage>,
) {
    let IceParameters {
        username_fragment,
        password,
    } = remote;
    // The connection that this gives is for data, which does not pass here.
    let result = match role {
        IceRole::Controlling => agent
            .dial(cancelled, username_fragment, password)
            .await
            .map(drop),
        IceRole::Controlled => agent
            .accept(cancelled, username_fragment, password)
            .await
            .map(drop),
    };
    if let Err(error) = result {
        // A transport that has stopped does not wait for this.
        let _stopped = transport.cast(IceMessage::AgentFailed {
            agent: number,
            reason: error.to_string(),
        });
    }
}

fn report_states(agent: &Agent, number: AgentNumber, transport: ActorRef<IceMessage>) {
    agent.on_connection_state_change(Box::new(move |state| {
        let state = match state {
            ConnectionState::Checking => Some(AgentState::Checking),
            ConnectionState::Connected | ConnectionState::Completed => Some(AgentState::Connected),
            ConnectionState::Disconnected => Some(AgentState::Disconnected),
            ConnectionState::Failed => Some(AgentState::Failed),
            ConnectionState::Unspecified | ConnectionState::New | ConnectionState::Closed => None,
        };
        if let Some(state) = state {
            // A transport that has stopped has dropped the agent as well.
            let _stopped = transport.cast(IceMessage::AgentStateChanged {
                agent: number,
                state,
            });
        }
        Box::pin(std::future::ready(()))
    }));
}

/// One local candidate, through our own mux; no names looked up; no socket but ours.
fn agent_config(arguments: &AgentArguments<'_>, conn: &Arc<AgentConn>) -> AgentConfig {
    let configuration = arguments.configuration;
    let offered = AtomicBool::new(false);
    AgentConfig {
        udp_network: UDPNetwork::Muxed(Arc::new(AgentMux {
            conn: Arc::clone(conn),
        })),
        local_ufrag: arguments.local.username_fragment.clone(),
        local_pwd: arguments.local.password.clone(),
        multicast_dns_mode: MulticastDnsMode::Disabled,
        network_types: vec![NetworkType::Udp4],
        candidate_types: vec![CandidateType::Host],
        include_loopback: true,
        // Whichever IPv4 address the machine has first: it stands for all of ours.
        ip_filter: Arc::new(Some(Box::new(move |ip: IpAddr| {
            ip.is_ipv4() && !offered.swap(true, Ordering::Relaxed)
        }))),
        is_controlling: arguments.role == IceRole::Controlling,
        check_interval: CHECK_INTERVAL,
        max_binding_requests: Some(max_checks(configuration)),
        disconnected_timeout: Some(configuration.disconnected_timeout),
        failed_timeout: Some(configuration.failed_timeout),
        keepalive_interval: Some(configuration.keepalive_interval),
        host_acceptance_min_wait: Some(Duration::ZERO),
        prflx_acceptance_min_wait: Some(Duration::ZERO),
        srflx_acceptance_min_wait: Some(REFLEXIVE_WAIT),
        relay_acceptance_min_wait: Some(RELAYED_WAIT),
        ..AgentConfig::default()
    }
}

/// A pair that is given up is never tried again by a controlling agent, so it is not given up as long as
/// the agent has not.
fn max_checks(configuration: &IceConfiguration) -> u16 {
    let whole = configuration.disconnected_timeout + configuration.failed_timeout;
    let ticks = whole.as_millis() / CHECK_INTERVAL.as_millis();
    u16::try_from(ticks)
        .unwrap_or(u16::MAX)
        .saturating_add(MARGIN)
}

fn to_webrtc(
    candidate: &AgentCandidate,
) -> Result<Arc<dyn Candidate + Send + Sync>, webrtc_ice::Error> {
    let base_config = CandidateBaseConfig {
        network: "udp".to_owned(),
        address: candidate.address.ip().to_string(),
        port: candidate.address.port(),
        component: 1,
        priority: candidate.priority,
        ..CandidateBaseConfig::default()
    };
    let candidate: CandidateBase = match candidate.kind {
        CandidateKind::Host => CandidateHostConfig {
            base_config,
            ..CandidateHostConfig::default()
        }
        .new_candidate_host()?,
        CandidateKind::ServerReflexive => CandidateServerReflexiveConfig {
            base_config,
            ..CandidateServerReflexiveConfig::default()
        }
        .new_candidate_server_reflexive()?,
        CandidateKind::PeerReflexive => CandidatePeerReflexiveConfig {
            base_config,
            ..CandidatePeerReflexiveConfig::default()
        }
        .new_candidate_peer_reflexive()?,
        CandidateKind::Relayed => CandidateRelayConfig {
            base_config,
            ..CandidateRelayConfig::default()
        }
        .new_candidate_relay()?,
    };
    Ok(Arc::new(candidate))
}

/// Gives the agent its one connection.
struct AgentMux {
    conn: Arc<AgentConn>,
}

#[async_trait]
impl UDPMux for AgentMux {
    async fn close(&self) -> Result<(), webrtc_util::Error> {
        Ok(())
    }

    async fn get_conn(
        self: Arc<Self>,
        _ufrag: &str,
    ) -> Result<Arc<dyn Conn + Send + Sync>, webrtc_util::Error> {
        Ok(Arc::clone(&self.conn) as Arc<dyn Conn + Send + Sync>)
    }

    async fn remove_conn_by_ufrag(&self, _ufrag: &str) {}
}

/// What the agent reads from and writes to.
struct AgentConn {
    to_agent: LaneSender<Incoming>,
    inbox: Mutex<Inbox>,
    arrived: Arc<Notify>,
    to_transport: LaneSender<AgentPacket>,
    agent: OnceLock<Weak<Agent>>,
    hurries: AtomicU16,
}

struct Inbox {
    lane: LaneReceiver<Incoming>,
    drained: VecDeque<Incoming>,
    /// The agent has been given something that it should act on when it has read it.
    hurry: bool,
}

/// A packet for the agent.
#[derive(Debug)]
struct Incoming {
    bytes: Vec<u8>,
    from: SocketAddr,
    then_hurry: bool,
}

impl Weigh for Incoming {
    fn packets(&self) -> usize {
        1
    }

    fn bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl AgentConn {
    fn new(to_transport: LaneSender<AgentPacket>) -> Self {
        let arrived = Arc::new(Notify::new());
        let bell = Arc::clone(&arrived);
        let (to_agent, lane) = lane(CAPACITY, move || bell.notify_one());
        Self {
            to_agent,
            inbox: Mutex::new(Inbox {
                lane,
                drained: VecDeque::new(),
                hurry: false,
            }),
            arrived,
            to_transport,
            agent: OnceLock::new(),
            hurries: AtomicU16::new(0),
        }
    }

    /// The next packet, and whether the agent is to hurry about the one before.
    fn next(&self) -> (bool, Option<Incoming>) {
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let Inbox {
            lane,
            drained,
            hurry,
        } = &mut *inbox;
        if drained.is_empty() {
            lane.drain_into(drained);
        }
        let hurry_now = std::mem::take(hurry);
        let next = drained.pop_front();
        *hurry = next.as_ref().is_some_and(|next| next.then_hurry);
        (hurry_now, next)
    }

    /// Has the agent look at its pairs now instead of at its next tick. A new remote candidate does that,
    /// and one of a family that it has no local candidate for does nothing else.
    fn hurry(&self) {
        let Some(agent) = self.agent.get().and_then(Weak::upgrade) else {
            return;
        };
        let number = self.hurries.fetch_add(1, Ordering::Relaxed);
        if number >= MAX_HURRIES {
            return;
        }
        let config = CandidateHostConfig {
            base_config: CandidateBaseConfig {
                network: "udp".to_owned(),
                // Discarded by every router (RFC 6666); nothing is ever sent there.
                address: "100::".to_owned(),
                port: number + 1,
                component: 1,
                ..CandidateBaseConfig::default()
            },
            ..CandidateHostConfig::default()
        };
        if let Ok(candidate) = config.new_candidate_host() {
            let candidate: Arc<dyn Candidate + Send + Sync> = Arc::new(candidate);
            // The only refusal is that of a TCP candidate.
            let _added = agent.add_remote_candidate(&candidate);
        }
    }
}

#[async_trait]
impl Conn for AgentConn {
    async fn connect(&self, _address: SocketAddr) -> Result<(), webrtc_util::Error> {
        Ok(())
    }

    async fn recv(&self, buffer: &mut [u8]) -> Result<usize, webrtc_util::Error> {
        self.recv_from(buffer).await.map(|(length, _)| length)
    }

    /// The agent calls this again when it is done with the packet before.
    async fn recv_from(
        &self,
        buffer: &mut [u8],
    ) -> Result<(usize, SocketAddr), webrtc_util::Error> {
        loop {
            let (hurry, next) = self.next();
            if hurry {
                self.hurry();
            }
            match next {
                None => self.arrived.notified().await,
                Some(packet) => {
                    // What does not fit was never STUN of ours.
                    if let Some(room) = buffer.get_mut(..packet.bytes.len()) {
                        room.copy_from_slice(&packet.bytes);
                        return Ok((packet.bytes.len(), packet.from));
                    }
                }
            }
        }
    }

    async fn send(&self, _buffer: &[u8]) -> Result<usize, webrtc_util::Error> {
        Err(webrtc_util::Error::ErrNoRemAddr)
    }

    async fn send_to(
        &self,
        buffer: &[u8],
        target: SocketAddr,
    ) -> Result<usize, webrtc_util::Error> {
        self.to_transport.push(AgentPacket {
            bytes: buffer.to_vec(),
            to: target,
        });
        Ok(buffer.len())
    }

    fn local_addr(&self) -> Result<SocketAddr, webrtc_util::Error> {
        Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), LOCAL_PORT))
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        None
    }

    async fn close(&self) -> Result<(), webrtc_util::Error> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }
}

/// Packets between agent and transport, each way. Policy of lanes: the oldest go.
const CAPACITY: LaneCapacity = LaneCapacity {
    packets: 64,
    bytes: 64 * 1024,
};

/// How often the agent repeats its checks. What of that leaves is for the pacer to say; what must not
/// wait for a tick does not (`hurry`).
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Checks beyond those of the ticks: each request of the peer brings one.
const MARGIN: u16 = 100;

/// A direct pair that is about to answer is better than one through a NAT, or through a relay.
const REFLEXIVE_WAIT: Duration = Duration::from_millis(100);
const RELAYED_WAIT: Duration = Duration::from_millis(500);

/// More would make the agent's list of addresses long.
const MAX_HURRIES: u16 = 32;

/// The port of the candidate that stands for all of ours; said to nobody.
const LOCAL_PORT: u16 = 9;
