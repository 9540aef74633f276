//! Relays: allocations at TURN servers (RFC 8656), each with a socket of its own.
//!
//! [`Relay`] is the handle; the actor behind it keeps one allocation and looks to a session like one more socket: STUN messages
//! go in, what the peer sends comes out, sorted as at an endpoint. DTLS and media leave by
//! the [`TransportPath`] that [`Relay::path`] gives, without passing the actor.
//!
//! A socket of its own, because a server knows allocations by the addresses between which they were asked for (§3.2):
//! peers that share a port, or two sessions of one peer, cannot each have one there.
//!
//! Started by a session of an ICE transport and supervised by that transport, which ends with it when it crashes. It
//! ends when its handle is dropped, with its supervisor, or by itself after `RelayEvent::Failed`. However it
//! ends, a guard gives the allocation back.

mod actor;
mod channels;
mod exchange;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod machine;
mod message;
#[cfg(any(test, fuzzing))]
mod server_side;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ractor::{ActorCell, ActorRef};
use tracing::Span;

use self::actor::RelayActor;
pub(crate) use self::message::RelayEvent;
use self::message::{Leaving, RelayMessage};
use super::actor::IceSinks;
use crate::lane::{LaneCapacity, LaneReceiver, LaneSender, lane};
use crate::start::spawn_linked;
use crate::stop::{END_DEADLINE, force_after};
use crate::udp::{
    ChannelNumber, DatagramSink, EndpointSocket, OutgoingStun, TransportPath,
    UdpEndpointConfiguration,
};

/// Handle to a running relay. Dropping it gives the allocation back.
#[derive(Debug)]
pub(super) struct Relay {
    actor: ActorRef<RelayMessage>,
    to_server: LaneSender<Leaving>,
    socket: EndpointSocket,
    server: SocketAddr,
    channels: HashMap<SocketAddr, ChannelNumber>,
}

/// What a session says of the relay that it wants.
#[derive(Debug)]
pub(super) struct RelayRequest {
    pub(super) server: SocketAddr,
    pub(super) username: String,
    pub(super) credential: String,
    /// Address of ours to ask from, unspecified where any will do.
    pub(super) local_ip: IpAddr,
    /// Ours, in the session.
    pub(super) username_fragment: String,
    /// Where the peer's STUN messages go.
    pub(super) stun: DatagramSink,
    pub(super) sinks: IceSinks,
    pub(super) events: RelayOutlet,
}

/// What a start needs.
#[derive(Debug)]
struct RelayArguments {
    socket: EndpointSocket,
    server: SocketAddr,
    username: String,
    credential: String,
    username_fragment: String,
    from_session: LaneReceiver<Leaving>,
    stun: DatagramSink,
    sinks: IceSinks,
    events: RelayOutlet,
    /// The peer's.
    span: Span,
}

/// Where a relay's news goes. Cheap to clone.
#[derive(Clone)]
pub(super) struct RelayOutlet(Arc<dyn Fn(RelayEvent) + Send + Sync>);

impl RelayOutlet {
    pub(super) fn new(tell: impl Fn(RelayEvent) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    fn tell(&self, event: RelayEvent) {
        (self.0)(event);
    }
}

impl fmt::Debug for RelayOutlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayOutlet")
    }
}

/// Why there is no relay.
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayStartError {
    #[error("no socket for a relay")]
    Socket(#[from] crate::udp::UdpEndpointError),
    #[error("the relay did not start")]
    Start(#[from] ractor::SpawnErr),
}

impl Relay {
    /// Binds a socket and asks for an allocation. Waits for neither the server nor the network.
    pub(super) async fn spawn(
        request: RelayRequest,
        supervisor: ActorCell,
    ) -> Result<Self, RelayStartError> {
        let configuration = UdpEndpointConfiguration::address((request.local_ip, 0).into());
        let socket = EndpointSocket::bind(&configuration)?;
        // The bell needs the actor, and the actor the lane.
        let bell: Arc<std::sync::OnceLock<ActorRef<RelayMessage>>> = Arc::default();
        let rung = Arc::clone(&bell);
        let (to_server, from_session) = lane(LEAVING, move || {
            if let Some(actor) = rung.get() {
                // A relay that has stopped sends nothing; ICE notices by the silence.
                let _stopped = actor.cast(RelayMessage::StunLeaves);
            }
        });
        let arguments = RelayArguments {
            socket: socket.clone(),
            server: request.server,
            username: request.username,
            credential: request.credential,
            username_fragment: request.username_fragment,
            from_session,
            stun: request.stun,
            sinks: request.sinks,
            events: request.events,
            span: Span::current(),
        };
        let actor = spawn_linked(RelayActor, arguments, supervisor).await?;
        let _first = bell.set(actor.clone());
        Ok(Self {
            actor,
            to_server,
            socket,
            server: request.server,
            channels: HashMap::new(),
        })
    }

    /// Sends a STUN message to the peer, after noting what it means for the routes. Does not wait.
    pub(super) fn send_stun(&self, stun: OutgoingStun) {
        self.to_server.push(Leaving(stun));
    }

    /// Notes [`RelayEvent::ChannelBound`].
    pub(super) fn channel_bound(&mut self, peer: SocketAddr, channel: ChannelNumber) {
        self.channels.insert(peer, channel);
    }

    /// The way to the peer, once there is a channel.
    pub(super) fn path(&self, peer: SocketAddr) -> Option<TransportPath> {
        let channel = *self.channels.get(&peer)?;
        let path = TransportPath::through(self.socket.clone(), self.server, channel);
        Some(path)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.actor.stop(None);
        force_after(self.actor.get_cell(), END_DEADLINE);
    }
}

/// STUN on its way to the relay. Policy of lanes: the oldest go.
const LEAVING: LaneCapacity = LaneCapacity {
    packets: 64,
    bytes: 64 * 1024,
};
