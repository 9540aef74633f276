//! What an agent takes for its socket: two lanes, and a way to make it hurry.

use std::any::Any;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::Notify;
use webrtc_ice::agent::Agent;
use webrtc_ice::candidate::Candidate;
use webrtc_ice::candidate::candidate_base::CandidateBaseConfig;
use webrtc_ice::candidate::candidate_host::CandidateHostConfig;
use webrtc_ice::udp_mux::UDPMux;
use webrtc_util::Conn;

use crate::lane::{LaneCapacity, LaneReceiver, LaneSender, Weigh, lane};

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

/// Gives the agent its one connection.
pub(super) struct AgentMux {
    conn: Arc<AgentConn>,
}

impl AgentMux {
    pub(super) fn new(conn: &Arc<AgentConn>) -> Self {
        Self {
            conn: Arc::clone(conn),
        }
    }
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
pub(super) struct AgentConn {
    to_agent: LaneSender<Incoming>,
    inbox: Mutex<Inbox>,
    arrived: Arc<Notify>,
    to_transport: LaneSender<AgentPacket>,
    agent: OnceLock<Weak<Agent>>,
    hurries: AtomicU16,
    has_ended: AtomicBool,
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
    /// The connection, and what the agent sends on it; the bell rings for that.
    pub(super) fn new(
        bell: impl Fn() + Send + Sync + 'static,
    ) -> (Arc<Self>, LaneReceiver<AgentPacket>) {
        let (to_transport, from_agent) = lane(CAPACITY, bell);
        let arrived = Arc::new(Notify::new());
        let bell = Arc::clone(&arrived);
        let (to_agent, lane) = lane(CAPACITY, move || bell.notify_one());
        let conn = Self {
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
            has_ended: AtomicBool::new(false),
        };
        (Arc::new(conn), from_agent)
    }

    /// This is the agent that reads and writes here.
    pub(super) fn serve(&self, agent: &Arc<Agent>) {
        // A second agent on one connection would be a mistake of ours; the first one stays.
        let _set_once = self.agent.set(Arc::downgrade(agent));
    }

    /// A packet for the agent; `then_hurry` has it go on at once when it has read it.
    pub(super) fn give(&self, bytes: Vec<u8>, from: SocketAddr, then_hurry: bool) {
        self.to_agent.push(Incoming {
            bytes,
            from,
            then_hurry,
        });
    }

    /// Nothing is read any more: whoever reads, or is about to, is told so.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
        self.arrived.notify_one();
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
            if self.has_ended.load(Ordering::Acquire) {
                return Err(webrtc_util::Error::ErrUseClosedNetworkConn);
            }
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

/// More would make the agent's list of addresses long.
const MAX_HURRIES: u16 = 32;

/// The port of the candidate that stands for all of ours; said to nobody.
const LOCAL_PORT: u16 = 9;
