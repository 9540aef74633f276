//! What the remote side says of what we send, for statistics.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::rtp::{ReceptionReport, RequestCounts, RequestTally, RtcpPacket, SentReports, Ssrc};

/// What is known of one stream of ours, as the remote side has it.
#[derive(Clone, Debug)]
pub(crate) struct ObservedStream {
    pub(crate) ssrc: Ssrc,
    pub(crate) requests: RequestCounts,
    pub(crate) reception: Option<Reception>,
}

/// The latest report on one stream of ours, and the round trips that reports have measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reception {
    pub(crate) report: ReceptionReport,
    pub(crate) received_at: Instant,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) total_round_trip: Duration,
    pub(crate) measurements: u64,
}

/// Keeps it. Only streams that we send are kept, so the remote side cannot fill memory.
#[derive(Debug, Default)]
pub(super) struct Observed {
    receptions: HashMap<Ssrc, Reception>,
    requests: RequestTally,
    sent: SentReports<REMEMBERED>,
}

impl Observed {
    /// Streams of these SSRCs are sent from now on; the others are forgotten.
    pub(super) fn retain(&mut self, is_ours: impl Fn(Ssrc) -> bool) {
        self.receptions.retain(|ssrc, _| is_ours(*ssrc));
    }

    /// A report with this time goes out.
    pub(super) fn handle_report_sent(&mut self, ntp: u64, now: Instant) {
        self.sent.note(ntp, now);
    }

    /// RTCP came in.
    pub(super) fn handle_rtcp(
        &mut self,
        packets: &[RtcpPacket],
        received_at: Instant,
        is_ours: impl Fn(Ssrc) -> bool,
    ) {
        for packet in packets {
            self.requests.count(packet);
            let blocks = packet.reception_reports().iter();
            for block in blocks.filter(|block| is_ours(block.ssrc)) {
                self.handle_block(*block, received_at);
            }
        }
    }

    /// What the answers to our extended reports measure (RFC 3611 §4.5), each with the SSRC of who answers.
    pub(super) fn round_trips(
        &self,
        packets: &[RtcpPacket],
        received_at: Instant,
        is_ours: impl Fn(Ssrc) -> bool,
    ) -> impl Iterator<Item = (Ssrc, Duration)> {
        let answers = packets.iter().flat_map(RtcpPacket::last_receiver_reports);
        answers.filter_map(move |(sender, answer)| {
            let (named, delay) = (
                answer.last_receiver_report,
                answer.delay_since_last_receiver_report,
            );
            let trip = self.round_trip(named, delay, received_at);
            Some((sender, trip.filter(|_| is_ours(answer.ssrc))?))
        })
    }

    fn handle_block(&mut self, report: ReceptionReport, received_at: Instant) {
        let (named, delay) = (
            report.last_sender_report,
            report.delay_since_last_sender_report,
        );
        let measured = self.round_trip(named, delay, received_at);
        let before = self.receptions.get(&report.ssrc);
        let reception = Reception {
            report,
            received_at,
            round_trip: measured.or_else(|| before?.round_trip),
            total_round_trip: before.map_or(Duration::ZERO, |it| it.total_round_trip)
                + measured.unwrap_or_default(),
            measurements: before.map_or(0, |it| it.measurements) + u64::from(measured.is_some()),
        };
        self.receptions.insert(report.ssrc, reception);
    }

    /// RFC 3550 §6.4.1: from our report to the answer, less the time that the remote side kept it.
    fn round_trip(&self, named: u32, delay: u32, received_at: Instant) -> Option<Duration> {
        let (since, kept) = self.sent.answered(named, delay, received_at)?;
        // The delay is told in steps of 15 µs, which may make a short trip one of less than nothing.
        (kept <= since + Duration::from_millis(1)).then(|| since.saturating_sub(kept))
    }

    /// What is known of these streams.
    pub(super) fn of(&self, ssrcs: impl Iterator<Item = Ssrc>) -> Vec<ObservedStream> {
        ssrcs
            .map(|ssrc| ObservedStream {
                ssrc,
                requests: self.requests.of(ssrc),
                reception: self.receptions.get(&ssrc).copied(),
            })
            .collect()
    }
}

/// A report a second on the longest path, and the first ones that come close together.
const REMEMBERED: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::ReceiverReport;

    const OURS: Ssrc = Ssrc(7);
    const NTP: u64 = 0x1111_2222_3333_4444;

    fn report(ssrc: Ssrc, last_sender_report: u32, delay: Duration) -> Vec<RtcpPacket> {
        vec![RtcpPacket::ReceiverReport(ReceiverReport {
            ssrc: Ssrc(1),
            reports: vec![ReceptionReport {
                ssrc,
                fraction_lost: 64,
                cumulative_lost: 5,
                extended_highest_sequence: 100,
                jitter: 90,
                last_sender_report,
                delay_since_last_sender_report: (delay.as_secs_f64() * 65_536.0) as u32,
            }],
        })]
    }

    fn reception(observed: &Observed) -> Option<Reception> {
        observed.of([OURS].into_iter())[0].reception
    }

    #[test]
    fn a_round_trip_is_the_time_between_our_report_and_the_answer_less_the_delay() {
        let (mut observed, start) = (Observed::default(), Instant::now());
        observed.handle_report_sent(NTP, start);
        let delay = Duration::from_millis(500);
        for (after, trips) in [(540, 1), (1560, 2)] {
            let kept = delay * u32::try_from(after / 540).unwrap() + delay * (trips - 1);
            let packets = report(OURS, 0x2222_3333, kept);
            let received_at = start + Duration::from_millis(after);
            observed.handle_rtcp(&packets, received_at, |it| it == OURS);
            let reception = reception(&observed).unwrap();
            assert_eq!(reception.measurements, u64::from(trips));
            let expected = Duration::from_millis(after) - kept;
            let error = reception.round_trip.unwrap().abs_diff(expected);
            assert!(error < Duration::from_micros(50), "{reception:?}");
        }
    }

    #[test]
    fn c113_reports_that_answer_nothing_of_ours_measure_nothing_and_are_not_kept() {
        let (mut observed, start) = (Observed::default(), Instant::now());
        observed.handle_report_sent(NTP, start);
        let at = start + Duration::from_millis(50);
        let ours = |ssrc| ssrc == OURS;
        observed.handle_rtcp(&report(OURS, 0x1234, Duration::ZERO), at, ours);
        observed.handle_rtcp(&report(OURS, 0x2222_3333, Duration::MAX), at, ours);
        let kept = reception(&observed).unwrap();
        assert_eq!((kept.round_trip, kept.measurements), (None, 0));
        assert_eq!(kept.report.cumulative_lost, 5);
        for number in 100..1000 {
            let packets = report(Ssrc(number), 0x2222_3333, Duration::ZERO);
            observed.handle_rtcp(&packets, at, ours);
        }
        assert_eq!(observed.receptions.len(), 1);
        observed.retain(|_| false);
        assert!(reception(&observed).is_none());
    }
}
