//! webrtc-ice: with `agent_conn` the only file that knows its callbacks, its `Arc<dyn …>` and its errors.
//!
//! An agent runs tasks of its own. They end when it is closed, and only then, so it lives in a guard
//! ([`AgentGuard`]) that closes it. It reads and writes through an [`AgentConn`].

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument;
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
use webrtc_ice::udp_network::UDPNetwork;

use super::agent_conn::{AgentConn, AgentMux, AgentPacket};
use super::candidate::{IceParameters, IceRole};
use super::configuration::IceConfiguration;
use super::effect::AgentCandidate;
use super::message::{AgentNumber, SessionFact, SessionRef};
use super::remote_candidate::CandidateKind;
use crate::lane::LaneReceiver;

/// The agent and all that runs for it. Dropping it closes the agent.
pub(super) struct AgentGuard {
    agent: OpenAgent,
    from_agent: LaneReceiver<AgentPacket>,
    /// Dials or accepts; never ends by itself where the checks fail.
    connecting: JoinHandle<()>,
    /// As long as it is not dropped, dialling goes on.
    _cancel: mpsc::Sender<()>,
}

/// An agent that is closed when this is dropped. Left open, it would run for ever.
struct OpenAgent {
    agent: Arc<Agent>,
    conn: Arc<AgentConn>,
    runtime: Handle,
}

impl OpenAgent {
    /// In a task of its own, so that an actor that is killed meanwhile leaves no open agent behind.
    async fn new(config: AgentConfig, conn: Arc<AgentConn>) -> Result<Self, AgentError> {
        let opening = async move {
            let agent = Agent::new(config).await?;
            Ok(Self {
                agent: Arc::new(agent),
                conn,
                runtime: Handle::current(),
            })
        };
        tokio::spawn(opening.in_current_span())
            .await
            .map_err(|_| AgentError::Interrupted)?
    }
}

impl Drop for OpenAgent {
    fn drop(&mut self) {
        // One that still gathers begins to read when it has been closed, and goes on until there is nothing to read from.
        self.conn.end();
        let agent = Arc::clone(&self.agent);
        self.runtime.spawn(async move {
            // It says whether it was closed already.
            let _closed = agent.close().await;
        });
    }
}

/// Why there is no agent.
#[derive(Debug, thiserror::Error)]
pub(super) enum AgentError {
    #[error("the ICE agent did not start")]
    Refused(#[from] webrtc_ice::Error),
    #[error("starting the ICE agent was interrupted")]
    Interrupted,
    /// A fault of the crate below, or of ours for letting bytes through that it cannot read.
    #[error("the ICE agent reads no more: a task of it has panicked or is stuck")]
    Deaf,
}

/// What an agent needs to begin.
pub(super) struct AgentArguments<'a> {
    pub(super) number: AgentNumber,
    pub(super) role: IceRole,
    pub(super) local: &'a IceParameters,
    pub(super) remote: IceParameters,
    pub(super) candidates: &'a [AgentCandidate],
    pub(super) configuration: &'a IceConfiguration,
    pub(super) session: SessionRef,
}

impl AgentGuard {
    /// Starts an agent and has it check `candidates`. Waits for the agent's locks only.
    pub(super) async fn start(arguments: AgentArguments<'_>) -> Result<Self, AgentError> {
        let session = arguments.session.clone();
        let (conn, from_agent) = AgentConn::new(move || session.tell(SessionFact::AgentSent));
        let config = agent_config(&arguments, &conn);
        let open = OpenAgent::new(config, Arc::clone(&conn)).await?;
        let agent = Arc::clone(&open.agent);
        conn.serve(&agent);
        agent.on_candidate(Box::new(|_| Box::pin(std::future::ready(()))));
        agent.gather_candidates()?;
        let (cancel, cancelled) = mpsc::channel(1);
        let connecting = connect(
            agent,
            cancelled,
            arguments.number,
            arguments.role,
            arguments.remote,
            arguments.session,
        );
        let guard = Self {
            agent: open,
            from_agent,
            connecting: tokio::spawn(connecting.in_current_span()),
            _cancel: cancel,
        };
        for candidate in arguments.candidates {
            guard.add(candidate);
        }
        Ok(guard)
    }

    /// Has the agent check another address.
    pub(super) fn add(&self, candidate: &AgentCandidate) {
        match to_webrtc(candidate) {
            Ok(candidate) => {
                // The only refusal is that of a TCP candidate.
                let _added = self.agent.agent.add_remote_candidate(&candidate);
            }
            Err(error) => tracing::debug!(%error, ?candidate, "the ICE agent refused a candidate"),
        }
    }

    /// A packet for the agent; `then_hurry` has it go on at once when it has read it.
    pub(super) fn give(&self, bytes: Vec<u8>, from: SocketAddr, then_hurry: bool) {
        self.agent.conn.give(bytes, from, then_hurry);
    }

    /// An error when the agent has not read for so long.
    pub(super) fn check(&self, patience: Duration) -> Result<(), AgentError> {
        if self.agent.conn.is_deaf(patience) {
            return Err(AgentError::Deaf);
        }
        Ok(())
    }

    /// Moves what the agent has sent into `into`.
    pub(super) fn take_packets(&mut self, into: &mut VecDeque<AgentPacket>) {
        self.from_agent.drain_into(into);
    }

    /// Packets that were dropped since last asked, because the transport was slower than the agent.
    pub(super) fn take_drops(&mut self) -> u64 {
        self.from_agent.take_drops().packets
    }
}

impl Drop for AgentGuard {
    fn drop(&mut self) {
        self.connecting.abort();
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
    session: SessionRef,
) {
    let IceParameters {
        username_fragment,
        password,
    } = remote;
    let mut report = Report {
        number,
        session,
        reason: Some("dialling panicked in the ICE implementation".to_owned()),
    };
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
    report.reason = result.err().map(|error| error.to_string());
}

/// Tells the session why there will be no connection, whatever happens: also when the crate panics. Nobody listens to an agent that was
/// given up.
struct Report {
    number: AgentNumber,
    session: SessionRef,
    reason: Option<String>,
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(reason) = self.reason.take() {
            let agent = self.number;
            self.session
                .tell(SessionFact::AgentFailed { agent, reason });
        }
    }
}

/// One local candidate, through our own mux; no names looked up; no socket but ours.
fn agent_config(arguments: &AgentArguments<'_>, conn: &Arc<AgentConn>) -> AgentConfig {
    let configuration = arguments.configuration;
    let offered = AtomicBool::new(false);
    AgentConfig {
        udp_network: UDPNetwork::Muxed(Arc::new(AgentMux::new(conn))),
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
        // It watches nothing by itself: see `consent`.
        disconnected_timeout: Some(Duration::ZERO),
        failed_timeout: Some(NEVER),
        keepalive_interval: Some(Duration::ZERO),
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

/// How often the agent repeats its checks. What of that leaves is for the pacer to say; what must not
/// wait for a tick does not (`hurry`).
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Longer than a session lasts.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Checks beyond those of the ticks: each request of the peer brings one.
const MARGIN: u16 = 100;

/// A direct pair that is about to answer is better than one through a NAT, or through a relay.
const REFLEXIVE_WAIT: Duration = Duration::from_millis(100);
const RELAYED_WAIT: Duration = Duration::from_millis(500);
