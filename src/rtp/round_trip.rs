//! How long a packet takes to the remote side and an answer back.

use std::time::{Duration, Instant};

use super::rtcp::ReceptionReport;
use super::sent_reports::SentReports;

/// The smoothed time of a round trip, from reports (RFC 3550 §6.4.1) and from requests that were
/// answered.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip {
    smoothed: Option<Duration>,
    reports: SentReports<REMEMBERED_REPORTS>,
}

impl RoundTrip {
    /// What is known, within bounds that no lie of the remote side moves; a guess before that.
    pub(crate) fn current(&self) -> Duration {
        self.smoothed.unwrap_or(INITIAL).clamp(SHORTEST, LONGEST)
    }

    /// The same once it was measured, without bounds.
    pub(crate) fn measured(&self) -> Option<Duration> {
        self.smoothed
    }

    /// A sender report with this time goes out.
    pub(crate) fn handle_report_sent(&mut self, ntp: u64, at: Instant) {
        self.reports.note(ntp, at);
    }

    /// The remote side reports on what we send. A block that names none of our reports says nothing
    /// of the time.
    pub(crate) fn handle_block(&mut self, block: &ReceptionReport, received_at: Instant) {
        let (named, delay) = (
            block.last_sender_report,
            block.delay_since_last_sender_report,
        );
        self.handle_answer(named, delay, received_at);
    }

    /// The remote side answers the report with this time, so many 1/65 536 s after it came there.
    pub(crate) fn handle_answer(&mut self, named: u32, delay: u32, received_at: Instant) {
        let answered = self.reports.answered(named, delay, received_at);
        if let Some(travelled) = answered.and_then(|(since, kept)| since.checked_sub(kept)) {
            // The weight that RFC 6298 §2 gives it.
            self.add(travelled, 8);
        }
    }

    /// A request for a lost packet was answered after this time. Whoever answers may have taken some of it, and the first request may have
    /// been lost: what is short counts for more.
    pub(crate) fn handle_repair(&mut self, sample: Duration) {
        let weight = if self.smoothed.is_some_and(|before| sample < before) {
            4
        } else {
            16
        };
        self.add(sample, weight);
    }

    /// One more measurement, with one part in `weight`.
    fn add(&mut self, sample: Duration, weight: u32) {
        let sample = sample.min(LONGEST);
        self.smoothed = Some(match self.smoothed {
            None => sample,
            Some(before) => before - before / weight + sample / weight,
        });
    }
}

/// Before anything is measured: most paths are shorter.
const INITIAL: Duration = Duration::from_millis(100);

/// Timers and turns of actors take some of it on the shortest path.
const SHORTEST: Duration = Duration::from_millis(10);

/// Beyond it nobody can talk to each other.
const LONGEST: Duration = Duration::from_millis(800);

/// Enough for a report a second on the longest path, and for the first ones that come close together.
const REMEMBERED_REPORTS: usize = 8;

/// The round trips that reports have measured (webrtc-stats §6.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MeasuredTrips {
    pub(crate) latest: Option<Duration>,
    pub(crate) total: Duration,
    pub(crate) measurements: u64,
}

impl MeasuredTrips {
    pub(crate) fn add(&mut self, trip: Duration) {
        self.latest = Some(trip);
        self.total += trip;
        self.measurements += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::Ssrc;

    fn block(last_sender_report: u32, delay: u32) -> ReceptionReport {
        ReceptionReport {
            ssrc: Ssrc(1),
            fraction_lost: 0,
            cumulative_lost: 0,
            extended_highest_sequence: 0,
            jitter: 0,
            last_sender_report,
            delay_since_last_sender_report: delay,
        }
    }

    #[test]
    fn c065_a_report_block_tells_the_time_on_the_way() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.current(), INITIAL);
        round_trip.handle_report_sent(0x1111_2222_3333_4444, start);
        // 500 ms were spent there (RFC 3550 §6.4.1, figure 2).
        let received_at = start + Duration::from_millis(560);
        round_trip.handle_block(&block(0x2222_3333, 1 << 15), received_at);
        assert_eq!(round_trip.current(), Duration::from_millis(60));
        round_trip.handle_block(
            &block(0x2222_3333, 1 << 15),
            received_at + Duration::from_millis(80),
        );
        assert_eq!(round_trip.current(), Duration::from_millis(70));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::default();
        round_trip.handle_report_sent(1 << 16, start);
        // No report of ours; none at all; kept longer than it was away.
        for (named, kept) in [(7, 0), (0, 0), (1, u32::MAX)] {
            round_trip.handle_block(&block(named, kept), start + Duration::from_secs(1));
        }
        assert_eq!(round_trip.smoothed, None);
        round_trip.handle_block(&block(1, 0), start + Duration::from_secs(3600));
        assert_eq!(round_trip.current(), LONGEST);
    }

    #[test]
    fn only_so_many_reports_are_remembered() {
        let start = Instant::now();
        let mut round_trip = RoundTrip::default();
        for number in 1..=100_u64 {
            round_trip.handle_report_sent(number << 16, start);
        }
        assert_eq!(round_trip.reports.len(), REMEMBERED_REPORTS);
        round_trip.handle_block(&block(1, 0), start);
        assert_eq!(round_trip.smoothed, None);
        round_trip.handle_block(&block(100, 0), start);
        assert_eq!(round_trip.current(), SHORTEST);
    }
}
