//! What the media path has counted.

use serde::Serialize;

use crate::egress::SendingCounters;

/// Everything that came, went, or was dropped on the way, since the peer connection started.
///
/// Each drop is counted once, at the place where it happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MediaStats {
    /// RTP packets that were decrypted.
    pub rtp_received: u64,
    /// Their bytes, decrypted.
    pub rtp_bytes_received: u64,
    /// RTCP datagrams that were decrypted and read.
    pub rtcp_received: u64,
    /// Packets that were missing and came as retransmissions: turned back into what they repeat, or
    /// late after they had been asked for.
    pub repaired: u64,
    /// Packets told to the owner.
    pub delivered: u64,
    /// Datagrams lost because this actor did not keep up.
    pub inbound_overflow: u64,
    /// Packets lost because the owner did not keep up.
    pub owner_overflow: u64,
    /// RTCP packets that the owner was not told, because there were too many.
    pub feedback_overflow: u64,
    /// Datagrams that came before there were keys.
    pub received_without_keys: u64,
    /// Datagrams with a wrong tag, played back, or otherwise not acceptable to SRTP.
    pub unprotect_failed: u64,
    /// Genuine datagrams of one SSRC more than SRTP takes in a session: four times [`PeerLimits::ssrcs`](crate::limits::PeerLimits::ssrcs).
    pub ssrcs_refused: u64,
    /// SSRCs that were forgotten for others, as there were more than [`PeerLimits::ssrcs`](crate::limits::PeerLimits::ssrcs) at a time.
    pub streams_forgotten: u64,
    /// Decrypted datagrams that are no sound RTP or RTCP.
    pub malformed: u64,
    /// Packets that belong to no stream that was negotiated.
    pub unrouted: u64,
    /// Retransmissions that repeat nothing.
    pub probes: u64,
    /// Retransmissions of packets that had come already, or that nobody waits for.
    pub repeated: u64,
    /// NACK packets sent: requests for packets that are missing.
    pub nacks_sent: u64,
    /// Packets that never came, though they were asked for as often as it makes sense.
    pub unrepaired: u64,
    /// Jumps of a stream over more packets than can be asked for.
    pub jumps: u64,
    /// Requests for a keyframe that the remote side was sent, by hand and for routes.
    pub keyframe_requests_sent: u64,
    /// Keyframes that never came, though they were asked for as often as it makes sense.
    pub keyframes_given_up: u64,
    /// Requests for a keyframe that the remote side sent.
    pub keyframe_requests_received: u64,

    /// RTP and RTCP datagrams that the socket took.
    pub sent: u64,
    /// Their bytes.
    pub bytes_sent: u64,
    /// Packets that came by route, from other peers.
    pub routed: u64,
    /// Packets sent by hand and lost because sending did not keep up.
    pub outbound_overflow: u64,
    /// Packets lost on their way by route to other peers because sending did not keep up there;
    /// counted once, however many were to have them.
    pub route_overflow: u64,
    /// Packets that had nowhere to go yet: no path or no keys.
    pub not_connected: u64,
    /// Packets of a track that is not sent here, or of a codec that was not negotiated.
    pub not_negotiated: u64,
    /// Packets sent by hand on a track that a route feeds.
    pub displaced: u64,
    /// Packets of a route from before its source was changed, which came late.
    pub before_switch: u64,
    /// Packets of a route held back until a keyframe begins, after its source was changed or while this
    /// peer was not connected.
    pub before_keyframe: u64,
    /// Packets of layers above the limit of their track.
    pub above_layer_limit: u64,
    /// Packets that SRTP refused, such as a sequence number sent before.
    pub protect_failed: u64,
    /// Datagrams that the socket did not take.
    pub send_failed: u64,
    /// NACK packets received: requests for packets that the remote side misses.
    pub nacks_received: u64,
    /// Packets sent again, and packets that had been lost on their way to us, which go on as retransmissions.
    pub retransmitted: u64,
    /// Packets asked for that are not kept any more, or that never came to be sent.
    pub retransmission_missed: u64,
    /// Packets asked for too soon, too often, or beyond what may be sent again.
    pub retransmission_suppressed: u64,
    /// Packets asked for of a stream or with a number that was never sent.
    pub retransmission_unknown: u64,
    /// Packets that had to wait, so that bursts do not fill the queues of the path.
    pub paced: u64,
    /// Of these, packets that were not sent, because they had waited too long or too many did: more is to be sent
    /// than the path takes.
    pub paced_out: u64,
    /// Packets of padding sent, to find out whether the path takes more.
    pub padding_sent: u64,
    /// Transport-wide feedback that was read.
    pub transport_feedback: u64,
    /// Transport-wide feedback that was not sound.
    pub transport_feedback_malformed: u64,
    /// Packets that transport-wide feedback names and that were never sent, or too long ago.
    pub transport_feedback_unknown: u64,
    /// Transport-wide feedback left unread, because there was too much.
    pub transport_feedback_overflow: u64,
    /// Requests about a track of which nothing is known yet.
    pub feedback_without_stream: u64,
    /// Requests for keyframes that could not be made: neither `nack pli` nor `ccm fir` was negotiated for the codec.
    pub keyframe_requests_impossible: u64,
}

impl MediaStats {
    /// The same with what the sending half has counted.
    pub(super) fn with_sending(self, counters: &SendingCounters) -> Self {
        Self {
            sent: counters.sent.get(),
            bytes_sent: counters.bytes_sent.get(),
            routed: counters.routed.get(),
            not_connected: counters.not_connected.get(),
            not_negotiated: counters.not_negotiated.get(),
            displaced: counters.displaced.get(),
            before_switch: counters.before_switch.get(),
            before_keyframe: counters.before_keyframe.get(),
            above_layer_limit: counters.above_layer_limit.get(),
            protect_failed: counters.protect_failed.get(),
            send_failed: counters.send_failed.get(),
            retransmitted: counters.retransmitted.get(),
            retransmission_missed: counters.retransmission_missed.get(),
            retransmission_suppressed: self.retransmission_suppressed
                + counters.retransmission_suppressed.get(),
            retransmission_unknown: counters.retransmission_unknown.get(),
            paced: counters.paced.get(),
            paced_out: counters.paced_out.get(),
            padding_sent: counters.padding_sent.get(),
            transport_feedback: counters.transport_feedback.get(),
            transport_feedback_malformed: counters.transport_feedback_malformed.get(),
            transport_feedback_unknown: counters.transport_feedback_unknown.get(),
            ..self
        }
    }
}
