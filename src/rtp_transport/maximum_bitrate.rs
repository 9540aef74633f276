//! How much may be sent to a remote side that estimates it by itself (REMB, draft-alvestrand-rmcat-remb).

use std::time::{Duration, Instant};

use crate::codec::RtcpFeedback;
use crate::jsep::MediaPlan;
use crate::rtp::RtcpPacket;

/// The remote side's word, where that was negotiated. It never is beside transport-wide feedback, from which
/// the sender makes a better estimate; browsers send such words then too, and far too low.
#[derive(Debug, Default)]
pub(super) struct MaximumBitrate {
    is_negotiated: bool,
    latest: Option<u64>,
    told: Option<(u64, Instant)>,
}

impl MaximumBitrate {
    pub(super) fn apply(&mut self, plan: &MediaPlan) {
        let sent = plan.sections.iter().flat_map(|it| it.sends());
        let mut codecs = sent.flat_map(|send| &send.codecs);
        let is_negotiated = codecs.any(|it| it.codec.feedback.contains(&RtcpFeedback::Remb));
        if !is_negotiated {
            *self = Self::default();
        }
        self.is_negotiated = is_negotiated;
    }

    /// The latest word, in bits per second.
    pub(super) fn latest(&self) -> Option<u64> {
        self.latest
    }

    /// RTCP came in.
    pub(super) fn handle_rtcp(&mut self, packets: &[RtcpPacket]) {
        for packet in packets {
            if let (true, RtcpPacket::Remb(remb)) = (self.is_negotiated, packet) {
                self.latest = Some(remb.bitrate_bps);
            }
        }
    }

    /// What it is, in bits per second, where that is news: a change of five per cent, at most ten times a second. A smaller
    /// one, or one that comes sooner, is told with a later word, of which there is one a second at least.
    pub(super) fn take_news(&mut self, now: Instant) -> Option<u64> {
        let latest = self.latest?;
        if let Some((before, at)) = self.told {
            let changed = latest.abs_diff(before) >= (before / 20).max(1);
            if !changed || now < at + LEAST_INTERVAL {
                return None;
            }
        }
        self.told = Some((latest, now));
        Some(latest)
    }
}

/// Whoever chooses layers by it cannot do so more often.
const LEAST_INTERVAL: Duration = Duration::from_millis(100);
