//! What an endpoint is told.

use std::net::{IpAddr, SocketAddr};

use ractor::RpcReplyPort;

use super::datagrams::PeerSinks;
use super::machine::{PeerKey, UsernameFragmentTaken};
use super::registration::{Credit, Registration};
use super::stun::TransactionId;

/// Mailbox of an endpoint.
#[derive(Debug)]
pub(crate) enum UdpMessage {
    // Commands and queries, from handles.
    /// A peer takes a username fragment.
    Register {
        username_fragment: String,
        sinks: PeerSinks,
        reply: RpcReplyPort<Result<Registration, UsernameFragmentTaken>>,
    },
    /// A peer's registration was dropped.
    Unregister { peer: PeerKey },
    /// A peer's ICE session sends a STUN message.
    SendStun {
        peer: PeerKey,
        stun: OutgoingStun,
        credit: Credit,
    },
    /// Asks what has been counted.
    Statistics {
        reply: RpcReplyPort<UdpEndpointStatistics>,
    },

    // Facts, from the actor's own helpers.
    /// The socket has something to read, or had at the last turn.
    Readable,
}

/// A STUN message on its way out, and what it means for the routes.
#[derive(Debug)]
pub(crate) struct OutgoingStun {
    pub(crate) destination: SocketAddr,
    /// Address to send from: where the request came in that this answers.
    pub(crate) local_ip: Option<IpAddr>,
    pub(crate) purpose: StunPurpose,
    pub(crate) bytes: Vec<u8>,
}

/// What a STUN message of ours means for the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StunPurpose {
    /// The answer to this request will be for the same peer.
    Request(TransactionId),
    /// The same, of a server: its answer says nothing about the peer.
    ServerRequest(TransactionId),
    /// The sender of the request is authenticated.
    SuccessResponse,
    /// Says nothing about the other side.
    ErrorResponse,
}

/// What an endpoint has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpEndpointStatistics {
    /// Datagrams read.
    pub datagrams_received: u64,
    /// Their bytes.
    pub bytes_received: u64,
    /// Dropped: not STUN, DTLS or RTP, or STUN that is not well formed.
    pub malformed: u64,
    /// Dropped: STUN for nobody here.
    pub unknown_peer: u64,
    /// Dropped: DTLS or RTP from an address that ICE has not verified.
    pub unverified: u64,
    /// Dropped by the kernel before the endpoint could read them, because the socket's receive buffer was
    /// full: the endpoint does not keep up, or the buffer is small for the bursts that come
    /// ([`buffer_bytes`](super::UdpEndpointConfiguration::buffer_bytes)). `None` where the system does not tell;
    /// Linux does.
    pub dropped_by_kernel: Option<u64>,
    /// Errors that the socket reported while reading; it lives on.
    pub read_errors: u64,
    /// STUN messages that could not be sent.
    pub send_errors: u64,
    /// Peers registered now.
    pub peers: usize,
    /// Peers that were not spawned, as there were as many as [`EndpointLimits::peers`](crate::limits::EndpointLimits::peers).
    pub peers_refused: u64,
    /// DTLS handshakes under way now.
    pub handshakes: usize,
    /// Those that wait for their turn now.
    pub handshakes_waiting: usize,
    /// Those that had to wait, as there were as many as [`EndpointLimits::handshakes`](crate::limits::EndpointLimits::handshakes).
    pub handshakes_delayed: u64,
    /// The kernel refuses to split a batch into datagrams, on the way to one remote address at
    /// least, so that each of them costs a system call there.
    pub segmentation_refused: bool,
}
