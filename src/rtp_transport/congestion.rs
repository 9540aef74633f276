//! What the remote side says of how our packets arrive, for the sending half's estimate of the path.

use std::time::{Duration, Instant};

use crate::egress::ArrivalReport;
use crate::rtp::{Allowance, RtcpPacket, Ssrc};

/// Collects it during a drain.
#[derive(Debug)]
pub(super) struct ArrivalInbox {
    report: ArrivalReport,
    /// How much feedback is read: each may speak of tens of thousands of packets.
    allowance: Allowance,
    overflow: u64,
}

impl Default for ArrivalInbox {
    fn default() -> Self {
        Self {
            report: ArrivalReport::default(),
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
                    _ => self.report.feedback.push(feedback.clone()),
                }
            }
            let blocks = packet.reception_reports().iter();
            let losses = blocks.filter(|block| is_ours(block.ssrc));
            if let Some(worst) = losses.map(|block| block.fraction_lost).max() {
                let lost = f64::from(worst) / 256.0;
                let before = self.report.loss.map_or(0.0, |(before, _)| before);
                self.report.loss = Some((lost.max(before), None));
            }
        }
    }

    /// What has come since this was asked; and how much was left unread.
    pub(super) fn take(&mut self, round_trip: Option<Duration>) -> (Option<ArrivalReport>, u64) {
        let overflow = std::mem::take(&mut self.overflow);
        if self.report.feedback.is_empty() && self.report.loss.is_none() {
            return (None, overflow);
        }
        let mut report = std::mem::take(&mut self.report);
        report.loss = report.loss.map(|(lost, _)| (lost, round_trip));
        (Some(report), overflow)
    }
}

/// Twenty a second are usual, a hundred on a path of 50 Mbit/s.
const FEEDBACK_PER_SECOND: u32 = 400;
const FEEDBACK_AT_ONCE: u32 = 200;
