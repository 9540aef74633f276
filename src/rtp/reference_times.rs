//! Answers to those who only receive, and would measure the round trip all the same (RFC 3611 §4.4, §4.5).

use std::collections::VecDeque;
use std::time::Instant;

use super::clock::in_65536ths;
use super::rtcp::{ExtendedReportBlock, LastReceiverReport, RtcpPacket};
use super::types::Ssrc;

/// The times that the remote side has told and were not answered yet.
#[derive(Debug, Default)]
pub(crate) struct ReferenceTimes {
    /// Who, the middle bits of the NTP time, and when it came. The oldest first, one for each SSRC.
    heard: VecDeque<(Ssrc, u32, Instant)>,
}

impl ReferenceTimes {
    /// RTCP came in.
    pub(crate) fn handle_rtcp(&mut self, packets: &[RtcpPacket], received_at: Instant) {
        for packet in packets {
            let RtcpPacket::ExtendedReport(report) = packet else {
                continue;
            };
            for block in &report.blocks {
                if let ExtendedReportBlock::ReceiverReferenceTime(ntp) = block {
                    self.note(report.ssrc, (ntp >> 16) as u32, received_at);
                }
            }
        }
    }

    fn note(&mut self, ssrc: Ssrc, ntp: u32, received_at: Instant) {
        self.heard.retain(|(known, ..)| *known != ssrc);
        if self.heard.len() == REMEMBERED {
            self.heard.pop_front();
        }
        self.heard.push_back((ssrc, ntp, received_at));
    }

    /// The answers for the next report, to those first who have waited longest; `None` when nobody waits.
    pub(crate) fn take_answers(&mut self, now: Instant) -> Option<ExtendedReportBlock> {
        let count = self.heard.len().min(ANSWERS_AT_ONCE);
        let answers = self.heard.drain(..count);
        let answer = |(ssrc, last_receiver_report, received_at)| {
            let since = now.saturating_duration_since(received_at);
            LastReceiverReport {
                ssrc,
                last_receiver_report,
                delay_since_last_receiver_report: in_65536ths(since),
            }
        };
        let answers: Vec<_> = answers.map(answer).collect();
        (count > 0).then_some(ExtendedReportBlock::LastReceiverReports(answers))
    }
}

/// More receivers than a session has streams; each of Chromium's asks for itself.
const REMEMBERED: usize = 64;

/// They share a datagram with the reports: 12 bytes each.
const ANSWERS_AT_ONCE: usize = 6;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::rtp::ExtendedReport;

    fn told(ssrc: u32, ntp: u64) -> Vec<RtcpPacket> {
        vec![RtcpPacket::ExtendedReport(ExtendedReport {
            ssrc: Ssrc(ssrc),
            blocks: vec![ExtendedReportBlock::ReceiverReferenceTime(ntp)],
        })]
    }

    fn answer(ssrc: u32, last: u32, delay: u32) -> LastReceiverReport {
        LastReceiverReport {
            ssrc: Ssrc(ssrc),
            last_receiver_report: last,
            delay_since_last_receiver_report: delay,
        }
    }

    #[test]
    fn c065_each_receivers_latest_time_is_answered_once_with_its_age() {
        let start = Instant::now();
        let mut times = ReferenceTimes::default();
        assert_eq!(times.take_answers(start), None);
        times.handle_rtcp(&told(1, 7 << 16), start);
        times.handle_rtcp(&told(2, 0x1111_2222_3333_4444), start);
        times.handle_rtcp(&told(1, 8 << 16), start + Duration::from_millis(500));
        let answers = times.take_answers(start + Duration::from_millis(1500));
        let expected = vec![answer(2, 0x2222_3333, 98_304), answer(1, 8, 65_536)];
        assert_eq!(
            answers,
            Some(ExtendedReportBlock::LastReceiverReports(expected))
        );
        assert_eq!(times.take_answers(start), None);
    }

    #[test]
    fn only_so_many_times_are_remembered_and_answered_at_once() {
        let start = Instant::now();
        let mut times = ReferenceTimes::default();
        for ssrc in 0..1000 {
            times.handle_rtcp(&told(ssrc, 0), start);
        }
        assert_eq!(times.heard.len(), REMEMBERED);
        for _ in 0..REMEMBERED.div_ceil(ANSWERS_AT_ONCE) {
            assert!(times.take_answers(start).is_some());
        }
        assert_eq!(times.take_answers(start), None);
    }
}
