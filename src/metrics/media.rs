//! What a media path adds to the figures.

use metrics::{counter, gauge};

use super::names::{self, Figure};
use crate::peer_connection::MediaStats;
use crate::rtp_transport::LaneDepths;

/// One media path's part of the figures: what it has added so far. What it counts towards a gauge goes with it.
#[derive(Debug, Default)]
pub(crate) struct MediaMeter {
    counted: MediaStats,
    waiting: LaneDepths,
}

impl MediaMeter {
    /// Adds what has been counted since the last time.
    pub(crate) fn publish(&mut self, counted: &MediaStats, waiting: &LaneDepths) {
        let before = figures(&self.counted);
        for ((figure, count), (_, before)) in figures(counted).into_iter().zip(before) {
            let more = count.saturating_sub(before);
            if more > 0 {
                figure.counter().increment(more);
            }
        }
        self.counted = *counted;
        self.show(*waiting);
    }

    fn show(&mut self, waiting: LaneDepths) {
        let before = self.waiting.by_name();
        for ((lane, now), (_, before)) in waiting.by_name().into_iter().zip(before) {
            if now.packets != before.packets {
                let more = now.packets as f64 - before.packets as f64;
                gauge!(names::LANE_PACKETS, names::LANE => lane).increment(more);
            }
        }
        self.waiting = waiting;
    }
}

impl Drop for MediaMeter {
    fn drop(&mut self) {
        self.show(LaneDepths::default());
    }
}

impl Figure {
    pub(super) fn counter(self) -> metrics::Counter {
        match self.label {
            Some((name, value)) => counter!(self.name, name => value),
            None => counter!(self.name),
        }
    }
}

/// Every count under its name. A field that is new must be placed here.
pub(super) fn figures(counted: &MediaStats) -> Vec<(Figure, u64)> {
    let MediaStats {
        rtp_received,
        rtp_bytes_received,
        rtcp_received,
        repaired,
        delivered,
        inbound_overflow,
        owner_overflow,
        feedback_overflow,
        received_without_keys,
        unprotect_failed,
        ssrcs_refused,
        streams_forgotten,
        malformed,
        unrouted,
        probes,
        repeated,
        nacks_sent,
        unrepaired,
        jumps,
        keyframe_requests_sent,
        keyframes_given_up,
        keyframe_requests_received,
        sent,
        bytes_sent,
        routed,
        outbound_overflow,
        route_overflow,
        not_connected,
        not_negotiated,
        displaced,
        before_switch,
        before_keyframe,
        above_layer_limit,
        protect_failed,
        send_failed,
        nacks_received,
        retransmitted,
        retransmission_missed,
        retransmission_suppressed,
        retransmission_unknown,
        paced,
        paced_out,
        padding_sent,
        transport_feedback,
        transport_feedback_malformed,
        transport_feedback_unknown,
        transport_feedback_overflow,
        feedback_without_stream,
        keyframe_requests_impossible,
    } = *counted;
    let plain = |name| Figure { name, label: None };
    let labeled = |name, label, value| Figure {
        name,
        label: Some((label, value)),
    };
    let dropped = |reason| labeled(names::DROPPED, names::REASON, reason);
    let refused = |reason| labeled(names::REFUSED, names::REASON, reason);
    let unneeded = |reason| labeled(names::UNNEEDED, names::REASON, reason);
    let useless = |reason| labeled(names::FEEDBACK_REFUSED, names::REASON, reason);
    let went = |name, direction| labeled(name, names::DIRECTION, direction);
    vec![
        (plain(names::RTP_PACKETS_RECEIVED), rtp_received),
        (plain(names::RTP_BYTES_RECEIVED), rtp_bytes_received),
        (plain(names::RTCP_DATAGRAMS_RECEIVED), rtcp_received),
        (plain(names::DELIVERED), delivered),
        (plain(names::ROUTED), routed),
        (plain(names::DATAGRAMS_SENT), sent),
        (plain(names::BYTES_SENT), bytes_sent),
        (dropped("inbound_overflow"), inbound_overflow),
        (dropped("owner_overflow"), owner_overflow),
        (dropped("feedback_overflow"), feedback_overflow),
        (dropped("received_without_keys"), received_without_keys),
        (dropped("unprotect_failed"), unprotect_failed),
        (dropped("ssrcs_refused"), ssrcs_refused),
        (plain(names::STREAMS_FORGOTTEN), streams_forgotten),
        (dropped("malformed"), malformed),
        (dropped("unrouted"), unrouted),
        (dropped("outbound_overflow"), outbound_overflow),
        (dropped("route_overflow"), route_overflow),
        (dropped("not_connected"), not_connected),
        (dropped("not_negotiated"), not_negotiated),
        (dropped("displaced"), displaced),
        (dropped("before_switch"), before_switch),
        (dropped("before_keyframe"), before_keyframe),
        (dropped("above_layer_limit"), above_layer_limit),
        (dropped("paced_out"), paced_out),
        (dropped("protect_failed"), protect_failed),
        (dropped("send_failed"), send_failed),
        (dropped("feedback_without_stream"), feedback_without_stream),
        (
            dropped("keyframe_requests_impossible"),
            keyframe_requests_impossible,
        ),
        (plain(names::PACED), paced),
        (plain(names::PADDING), padding_sent),
        (plain(names::FEEDBACK), transport_feedback),
        (useless("malformed"), transport_feedback_malformed),
        (useless("unknown"), transport_feedback_unknown),
        (useless("overflow"), transport_feedback_overflow),
        (went(names::NACKS, "sent"), nacks_sent),
        (went(names::NACKS, "received"), nacks_received),
        (plain(names::REPAIRED), repaired),
        (plain(names::UNREPAIRED), unrepaired),
        (plain(names::JUMPS), jumps),
        (plain(names::RETRANSMITTED), retransmitted),
        (refused("missed"), retransmission_missed),
        (refused("suppressed"), retransmission_suppressed),
        (refused("unknown"), retransmission_unknown),
        (unneeded("probe"), probes),
        (unneeded("repeated"), repeated),
        (
            went(names::KEYFRAME_REQUESTS, "sent"),
            keyframe_requests_sent,
        ),
        (
            went(names::KEYFRAME_REQUESTS, "received"),
            keyframe_requests_received,
        ),
        (plain(names::GIVEN_UP), keyframes_given_up),
    ]
}
