//! What the remote side says of how our packets arrive, for the sending half's estimate of the path.

use std::mem;
use std::time::{Duration, Instant};

use crate::egress::ArrivalReport;
use crate::rtp::{Allowance, RtcpPacket, Ssrc, TransportCc};

/// Collects it during a drain.
#[derive(Debug)]
pub(super) struct ArrivalInbox {
    feedback: Vec<TransportCc>,
    /// The worst that reports say of a stream of ours, in 256ths.
    loss: Option<u8>,
    /// How much feedback is read: each may speak of tens of thousands of packets.
    allowance: Allowance,
    overflow: u64,
}

impl Default for ArrivalInbox {
    fn default() -> Self {
        Self {
            feedback: Vec::new(),
            loss: None,
            allowance: Allowance::new(FEEDBACK_PER_SECOND, FEEDBACK_AT_ONCE),
            overflow: 0,
        }
    }
}

impl ArrivalInbox {
    /// Takes feedback, and what reports say of streams of ours.
    pub(super) fn handle_rtcp(
        &mut self,
        packets: &[RtcpPacket],
        received_at: Instant,
        is_ours: impl Fn(Ssrc) -> bool,
    ) {
        for packet in packets {
            if let RtcpPacket::TransportCc(feedback) = packet {
                match self.allowance.take(1, received_at) {
                    0 => self.overflow += 1,
                    _ => self.feedback.push(feedback.clone()),
                }
            }
            let blocks = packet.reception_reports().iter();
            let losses = blocks.filter(|block| is_ours(block.ssrc));
            let worst = losses.map(|block| block.fraction_lost).max();
            self.loss = self.loss.max(worst);
        }
    }

    /// What has come since this was asked; and how much was left unread.
    pub(super) fn take(&mut self, round_trip: Option<Duration>) -> (Option<ArrivalReport>, u64) {
        let lost = mem::take(&mut self.loss);
        let report = ArrivalReport {
            feedback: mem::take(&mut self.feedback),
            loss: lost.map(|lost| (f64::from(lost) / 256.0, round_trip)),
        };
        let is_news = !report.feedback.is_empty() || report.loss.is_some();
        (is_news.then_some(report), mem::take(&mut self.overflow))
    }
}

/// Twenty a second are usual, a hundred on a path of 50 Mbit/s.
const FEEDBACK_PER_SECOND: u32 = 400;
const FEEDBACK_AT_ONCE: u32 = 200;
