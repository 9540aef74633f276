//! Sockets shared by many peers: batched reads, demultiplexing, batched sends.
//!
//! [`UdpEndpoint`] is the handle, [`UdpEndpointPool`] several of them; the actor behind it owns one UDP
//! socket. It reads in batches, tells STUN, DTLS and (S)RTP apart by their first byte (RFC 7983), and gives each to the peer that it is for,
//! without parsing more of it than a bounded walk over STUN attributes. Media for all peers is sent by
//! its one child, the `Egress` actor; DTLS and STUN go straight to the socket.
//!
//! Started by the application, for many peers, or by a peer connection, for itself; linked to whoever
//! started it. It ends with its supervisor or by [`UdpEndpoint::stop`]; errors that the network reports
//! never end it. When its child fails, it fails too: nothing could be sent any more.

mod actor;
mod channel;
mod configuration;
mod datagrams;
#[cfg(target_os = "linux")]
mod kernel_drops;
mod machine;
mod message;
mod places;
mod pool;
mod receive;
mod registration;
mod segments;
mod socket;
mod stun;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use ractor::{ACTIVE_STATES, ActorCell, ActorRef};
use tracing::Span;

use self::actor::{UdpActor, UdpArguments};
pub(crate) use self::channel::ChannelNumber;
pub use self::configuration::{UdpBufferSizes, UdpEndpointConfiguration, UdpEndpointError};
pub(crate) use self::datagrams::{DatagramSink, Datagrams, MediaInbound, PeerSinks};
pub(crate) use self::machine::{DatagramKind, PeerKey, RouteTable, UsernameFragmentTaken};
pub use self::message::UdpEndpointStatistics;
pub(crate) use self::message::UdpMessage;
pub(crate) use self::message::{OutgoingStun, StunPurpose};
pub(crate) use self::places::HandshakeGate;
use self::places::Seats;
pub(crate) use self::pool::Seat;
pub use self::pool::UdpEndpointPool;
pub(crate) use self::registration::Registration;
pub(crate) use self::socket::{EndpointSocket, Families, TransportPath, canonical};
pub(crate) use self::stun::{
    ATTRIBUTE_HEADER, BINDING, FINGERPRINT, HEADER, MAGIC_COOKIE, MESSAGE_INTEGRITY, StunClass,
    StunMessage, TransactionId, USERNAME,
};
use crate::call::{CallError, StartError, ask};
use crate::egress::Egress;
use crate::limits::EndpointLimits;
use crate::start::spawn_linked;
use crate::stop::{END_DEADLINE, StopOnDrop, force_after};

/// Handle to a running endpoint. Cheap to clone; dead once the endpoint has stopped.
///
/// Peers are told apart by the remote address, so an endpoint carries one connection for each
/// address at the other end: two peers of the same endpoint cannot connect to each other.
#[derive(Clone, Debug)]
pub struct UdpEndpoint {
    actor: ActorRef<UdpMessage>,
    socket: EndpointSocket,
    egress: Egress,
    /// Of the peers that were spawned with it.
    seats: Arc<Seats>,
    handshakes: HandshakeGate,
}

impl UdpEndpoint {
    /// Binds a socket and starts an endpoint for it under `supervisor`. What it logs is in the caller's span.
    ///
    /// # Errors
    ///
    /// [`UdpEndpointError`]: the address or all ports of the range are taken, or the actor
    /// could not be started.
    pub async fn spawn(
        configuration: UdpEndpointConfiguration,
        supervisor: ActorCell,
    ) -> Result<Self, UdpEndpointError> {
        Self::start(configuration.bind()?, configuration.limits, supervisor).await
    }

    /// Starts an endpoint for a bound socket.
    async fn start(
        bound: UdpSocket,
        limits: EndpointLimits,
        supervisor: ActorCell,
    ) -> Result<Self, UdpEndpointError> {
        let socket = EndpointSocket::of(bound)?;
        let arguments = UdpArguments {
            socket: socket.clone(),
            span: Span::current(),
        };
        let actor = spawn_linked(UdpActor, arguments, supervisor)
            .await
            .map_err(StartError::from)?;
        let half = StopOnDrop::new(actor.get_cell());
        let egress = Egress::spawn(actor.get_cell()).await?;
        half.keep();
        Ok(Self {
            actor,
            socket,
            egress,
            seats: Arc::new(Seats::new(limits.peers)),
            handshakes: HandshakeGate::new(limits.handshakes),
        })
    }

    /// The address that the socket is bound to. Unspecified where it takes all of the machine's.
    pub fn local_addr(&self) -> SocketAddr {
        self.socket.local_addr()
    }

    /// What the kernel granted for the socket's buffers; `None` where it does not tell.
    pub fn buffer_sizes(&self) -> Option<UdpBufferSizes> {
        let (receive, send) = self.socket.buffer_sizes().ok()?;
        Some(UdpBufferSizes { receive, send })
    }

    /// What the endpoint has counted. Waits for the actor's turn, three seconds at most; the kernel's part of it is
    /// looked up by the caller, some microseconds for each hundred sockets of the machine.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the actor is gone or stuck.
    pub async fn statistics(&self) -> Result<UdpEndpointStatistics, CallError> {
        let counted = ask(&self.actor, |reply| UdpMessage::Statistics { reply }).await?;
        Ok(UdpEndpointStatistics {
            dropped_by_kernel: self.socket.kernel_drops(),
            peers_refused: self.seats.refused(),
            handshakes: self.handshakes.running(),
            handshakes_waiting: self.handshakes.waiting(),
            handshakes_delayed: self.handshakes.delayed(),
            ..counted
        })
    }

    /// Stops reading. The socket closes when the last peer that sends on it has gone. Does not wait. One that is stuck is killed after
    /// a second.
    pub fn stop(&self) {
        self.actor.stop(None);
        force_after(self.cell(), END_DEADLINE);
    }

    /// The actor, to be watched.
    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    /// The actor that sends media for all peers of this endpoint.
    pub(crate) fn egress(&self) -> &Egress {
        &self.egress
    }

    /// Lets so many handshakes of its peers happen at the same time.
    pub(crate) fn handshakes(&self) -> &HandshakeGate {
        &self.handshakes
    }

    /// Whether the actor has not ended yet.
    pub(crate) fn is_running(&self) -> bool {
        ACTIVE_STATES.contains(&self.actor.get_status())
    }

    /// Has datagrams for an ICE session delivered from now on, until the registration is dropped.
    pub(crate) async fn register(
        &self,
        username_fragment: &str,
        sinks: PeerSinks,
    ) -> Result<Registration, RegisterError> {
        let username_fragment = username_fragment.to_owned();
        let registration = ask(&self.actor, |reply| UdpMessage::Register {
            username_fragment,
            sinks,
            reply,
        })
        .await??;
        Ok(registration)
    }
}

impl From<UdpEndpoint> for ActorCell {
    fn from(endpoint: UdpEndpoint) -> Self {
        endpoint.actor.get_cell()
    }
}

/// Why an endpoint does not deliver to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegisterError {
    #[error(transparent)]
    Taken(#[from] UsernameFragmentTaken),
    #[error("the UDP endpoint does not answer")]
    Endpoint(#[from] CallError),
}
