//! What an agent takes for its socket: two lanes, and a way to make it hurry.

use std::any::Any;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant as TokioInstant;
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
    /// There is something that the agent has not come for, or not come back from.
    debt: Option<Debt>,
}

/// What the agent owes.
#[derive(Clone, Copy, Debug)]
struct Debt {
    /// When it was given the first packet since it had read all, or came for the last.
    since: Instant,
    /// When that was found to be long ago.
    noticed: Option<Instant>,
}

impl Debt {
    fn new(since: Instant) -> Self {
        Self {
            since,
            noticed: None,
        }
    }
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
                debt: None,
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
        self.inbox().debt.get_or_insert_with(|| Debt::new(now()));
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

    /// Whether the agent reads no more: something was given to it longer ago than that, and it has not come for more. What it reads in
    /// is a task of its own, and nobody else hears of a panic there. A process that was halted finds everything long ago, so
    /// that a second look decides.
    pub(super) fn is_deaf(&self, patience: Duration) -> bool {
        let mut inbox = self.inbox();
        let Some(debt) = &mut inbox.debt else {
            return false;
        };
        let now = now();
        if now.saturating_duration_since(debt.since) < patience {
            return false;
        }
        let noticed = *debt.noticed.get_or_insert(now);
        now.saturating_duration_since(noticed) >= patience.min(SECOND_LOOK)
    }

    /// Nothing between lock and unlock can panic half-way.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next packet, and whether the agent is to hurry about the one before.
    fn next(&self) -> (bool, Option<Incoming>) {
        let mut inbox = self.inbox();
        let Inbox {
            lane,
            drained,
            hurry,
            debt,
        } = &mut *inbox;
        if drained.is_empty() {
            lane.drain_into(drained);
        }
        let hurry_now = std::mem::take(hurry);
        let next = drained.pop_front();
        *hurry = next.as_ref().is_some_and(|next| next.then_hurry);
        *debt = next.as_ref().map(|_| Debt::new(now()));
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
                    #[cfg(test)]
                    assert!(packet.bytes != POISON, "told to");
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

/// Follows tokio's paused time in tests.
fn now() -> Instant {
    TokioInstant::now().into_std()
}

/// A task that is there at all has read by then.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// More would make the agent's list of addresses long.
const MAX_HURRIES: u16 = 32;

/// The port of the candidate that stands for all of ours; said to nobody.
const LOCAL_PORT: u16 = 9;

/// At this packet the task that reads panics: one of the agent's.
#[cfg(test)]
pub(super) const POISON: &[u8] = b"the agent panics here";
