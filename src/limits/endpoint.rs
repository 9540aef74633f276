//! Of one socket.

use super::define::limits;

limits! {
    /// What one [`UdpEndpoint`](crate::UdpEndpoint) takes.
    ///
    /// Each peer has four actors, and one more for each TURN server that relays for it, so their number is bounded with that of the peers.
    EndpointLimits {
        /// Peers at the same time: 16,384. More are refused when they are spawned, with
        /// [`UdpEndpointError::Full`](crate::udp::UdpEndpointError::Full), and counted
        /// ([`peers_refused`](crate::udp::UdpEndpointStatistics::peers_refused)). A peer counts until it has ended.
        peers: 16 * 1024,
        /// DTLS handshakes at the same time: 1024, some 50 MiB. The next one waits for its turn, which is counted
        /// ([`handshakes_delayed`](crate::udp::UdpEndpointStatistics::handshakes_delayed)), and fails if that takes longer than
        /// [`handshake_timeout`](crate::PeerConnectionBuilder::handshake_timeout). A server's handshake begins when the remote side has said hello.
        handshakes: 1024,
    }
}
