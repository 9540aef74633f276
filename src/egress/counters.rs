//! What a sending half has counted, to be read from any actor without asking.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one peer's sending half; `MediaStats` tells them to the application and says
/// what each of them means.
#[derive(Debug, Default)]
pub(crate) struct SendingCounters {
    pub(crate) sent: Counter,
    pub(crate) bytes_sent: Counter,
    pub(crate) routed: Counter,
    pub(crate) not_connected: Counter,
    pub(crate) not_negotiated: Counter,
    pub(crate) displaced: Counter,
    pub(crate) before_switch: Counter,
    pub(crate) before_keyframe: Counter,
    pub(crate) above_layer_limit: Counter,
    pub(crate) protect_failed: Counter,
    pub(crate) send_failed: Counter,
    pub(crate) retransmitted: Counter,
    pub(crate) retransmission_unknown: Counter,
    pub(crate) retransmission_missed: Counter,
    pub(crate) retransmission_suppressed: Counter,
    pub(crate) paced: Counter,
    pub(crate) paced_out: Counter,
    pub(crate) padding_sent: Counter,
    pub(crate) transport_feedback: Counter,
    pub(crate) transport_feedback_malformed: Counter,
    pub(crate) transport_feedback_unknown: Counter,
}

/// One count. Written by the actor that sends, read by others; they agree only in the end.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: usize) {
        self.0.fetch_add(more as u64, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
