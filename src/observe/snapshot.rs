//! What a look shows.

use std::time::Duration;

use ractor::{ActorCell, ActorStatus};
use serde::{Serialize, Serializer};

use crate::lane::LaneDepth;
use crate::peer_connection::{
    DtlsTransportState, IceConnectionState, IceGatheringState, PeerConnectionState, SignalingState,
};
use crate::room::RoomSnapshot;
use crate::supervision::SupervisorSnapshot;

/// A tree of actors at one moment. JSON in camel case, times in milliseconds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TreeSnapshot {
    /// The actor that was looked at, and all below it.
    pub root: ActorSnapshot,
    /// How many there are.
    pub actors: usize,
    /// There are more, which were left out.
    pub is_truncated: bool,
    /// How long the look took.
    #[serde(serialize_with = "milliseconds")]
    pub took: Duration,
}

impl TreeSnapshot {
    /// All actors, each before those below it.
    pub fn all(&self) -> Vec<&ActorSnapshot> {
        let mut all = vec![&self.root];
        let mut next = 0;
        while let Some(actor) = all.get(next).copied() {
            all.extend(&actor.children);
            next += 1;
        }
        all
    }
}

/// An actor at one moment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ActorSnapshot {
    /// What ractor calls it; never used again for another one.
    pub id: String,
    /// The actor itself, to be stopped or killed for example. Not in JSON.
    #[serde(skip)]
    pub actor: ActorCell,
    /// What it is: `PeerConnection`, `IceTransport`, …; `None` of one that this crate does not know.
    pub kind: Option<String>,
    /// Which one: by its supervisor, its room, or ractor.
    pub name: Option<String>,
    /// Where it is in its life.
    pub state: ActorState,
    /// Whether it answers; `None` of one that is not asked.
    pub answer: Option<Answer>,
    /// How often its [`Supervisor`](crate::Supervisor) has started it again.
    pub restarts: Option<u64>,
    /// Queues of media that it reads or fills.
    pub lanes: Vec<LaneSnapshot>,
    /// What flows through it.
    pub traffic: Option<TrafficSnapshot>,
    /// What its kind shows of itself.
    pub detail: Option<ActorDetail>,
    /// Those that it supervises, oldest first.
    pub children: Vec<Self>,
}

/// Where an actor is in its life, as ractor tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ActorState {
    /// It has not taken a message yet.
    Starting,
    /// It takes messages, or waits for them.
    Running,
    /// It takes those that are there, and then stops.
    Draining,
    /// It is in its last hook.
    Stopping,
    /// It has ended.
    Stopped,
}

impl From<ActorStatus> for ActorState {
    fn from(status: ActorStatus) -> Self {
        match status {
            ActorStatus::Unstarted | ActorStatus::Starting => Self::Starting,
            ActorStatus::Running | ActorStatus::Upgrading => Self::Running,
            ActorStatus::Draining => Self::Draining,
            ActorStatus::Stopping => Self::Stopping,
            ActorStatus::Stopped => Self::Stopped,
        }
    }
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// It was answered, after so much time: of this the actor's own part is microseconds, the rest is its mailbox and the machine.
    #[serde(serialize_with = "milliseconds")]
    After(Duration),
    /// There was none in time: it hangs, has too much to do, or has ended meanwhile.
    Missing,
}

/// How full a queue of media is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LaneSnapshot {
    /// `inbound`: between the socket and the actor. `owner`: in the mailbox of the peer's owner. `waiting`: for room there. `outbound`: sent by
    /// hand. `route`: to other peers, the fullest.
    pub name: &'static str,
    /// What waits now.
    pub packets: usize,
    /// Its bytes.
    pub bytes: usize,
    /// The most that have ever waited.
    pub most_packets: usize,
    /// What fits; then the oldest go.
    pub packet_limit: usize,
}

impl LaneSnapshot {
    pub(super) fn new(name: &'static str, depth: LaneDepth) -> Self {
        Self {
            name,
            packets: depth.packets,
            bytes: depth.bytes,
            most_packets: depth.most_packets,
            packet_limit: depth.packet_limit,
        }
    }
}

/// What has flown through an actor since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TrafficSnapshot {
    /// From the network.
    pub bytes_received: u64,
    /// To the network.
    pub bytes_sent: u64,
    /// Bits a second since the last look of the same [`Observer`](super::Observer).
    pub received_bitrate: Option<u64>,
    /// The same of what was sent.
    pub sent_bitrate: Option<u64>,
}

/// What actors of a kind show beside what all have.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum ActorDetail {
    /// The five states of W3C's connection.
    PeerConnection {
        /// `connectionState`.
        connection_state: PeerConnectionState,
        /// `signalingState`.
        signaling_state: SignalingState,
        /// `iceGatheringState`.
        ice_gathering_state: IceGatheringState,
        /// `iceConnectionState`.
        ice_connection_state: IceConnectionState,
        /// `dtlsState`.
        dtls_state: DtlsTransportState,
    },
    /// Which way media takes.
    IceTransport {
        /// Our end of the selected pair, once there is one.
        local_address: Option<String>,
        /// Its other end.
        remote_address: Option<String>,
        /// How often a pair was selected: once, and once for each change of the way.
        selected_candidate_pair_changes: u32,
    },
    /// Who is there.
    Room(RoomSnapshot),
    /// How much is forwarded.
    Forwarder {
        /// Peers that it knows.
        peers: usize,
        /// Tracks that they publish.
        publications: usize,
        /// Tracks that they are sent.
        subscriptions: usize,
    },
    /// What came to a socket.
    UdpEndpoint {
        /// Peers registered now.
        peers: usize,
        /// Datagrams dropped because they were for nobody, from nobody that is verified, or not well formed.
        dropped: u64,
        /// Datagrams dropped by the kernel, where it tells.
        dropped_by_kernel: Option<u64>,
    },
    /// Its children, those that wait to be started again among them.
    Supervisor(SupervisorSnapshot),
}

fn milliseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64() * 1000.0)
}
