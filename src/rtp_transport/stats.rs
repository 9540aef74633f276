//! What the media path has counted.

/// Everything that came, went, or was dropped on the way, since the transport started.
///
/// Each drop is counted once, at the place where it happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RtpTransportStats {
    /// RTP packets that were decrypted.
    pub(crate) rtp_received: u64,
    /// Their bytes, decrypted.
    pub(crate) rtp_bytes_received: u64,
    /// RTCP datagrams that were decrypted and read.
    pub(crate) rtcp_received: u64,
    /// Retransmissions that were turned back into the packets they repeat.
    pub(crate) repaired: u64,
    /// Packets told to the owner.
    pub(crate) delivered: u64,
    /// Datagrams lost because this actor did not keep up.
    pub(crate) inbound_overflow: u64,
    /// Packets lost because the owner did not keep up.
    pub(crate) owner_overflow: u64,
    /// RTCP packets that the owner was not told, because there were too many.
    pub(crate) feedback_overflow: u64,
    /// Datagrams that came before there were keys.
    pub(crate) received_without_keys: u64,
    /// Datagrams with a wrong tag, played back, or otherwise not acceptable to SRTP.
    pub(crate) unprotect_failed: u64,
    /// Decrypted datagrams that are no sound RTP or RTCP.
    pub(crate) malformed: u64,
    /// Packets that belong to no stream that was negotiated.
    pub(crate) unrouted: u64,
    /// Retransmissions that repeat nothing.
    pub(crate) probes: u64,

    /// RTP and RTCP datagrams that the socket took.
    pub(crate) sent: u64,
    /// Their bytes.
    pub(crate) bytes_sent: u64,
    /// Packets lost because this actor did not keep up with those who send.
    pub(crate) outbound_overflow: u64,
    /// Packets that had nowhere to go yet: no path or no keys.
    pub(crate) not_connected: u64,
    /// Packets of a track that is not sent here, or of a codec that was not negotiated.
    pub(crate) not_negotiated: u64,
    /// Packets that SRTP refused, such as a sequence number sent before.
    pub(crate) protect_failed: u64,
    /// Datagrams that the socket did not take.
    pub(crate) send_failed: u64,
    /// Requests about a track of which nothing is known yet.
    pub(crate) feedback_without_stream: u64,
}
