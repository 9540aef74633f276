//! Which report of ours an answer names.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::clock::of_65536ths;

/// The reports that went out lately, at most `N`: what is measured by them does not depend on the wall clock, and
/// reports that were not sent measure nothing.
#[derive(Debug, Default)]
pub(crate) struct SentReports<const N: usize> {
    /// Middle bits of the NTP time, and when it was sent.
    reports: VecDeque<(u32, Instant)>,
}

impl<const N: usize> SentReports<N> {
    /// A report with this time goes out.
    pub(crate) fn note(&mut self, ntp: u64, at: Instant) {
        if self.reports.len() == N {
            self.reports.pop_front();
        }
        self.reports.push_back(((ntp >> 16) as u32, at));
    }

    /// How long it was from the report that is named to its answer, and how much of that the remote side says it took, in
    /// 1/65 536 s (RFC 3550 §6.4.1, RFC 3611 §4.5). `None` for an answer that names none of those that are remembered.
    pub(crate) fn answered(
        &self,
        named: u32,
        delay: u32,
        received_at: Instant,
    ) -> Option<(Duration, Duration)> {
        let (_, sent_at) = self.reports.iter().rev().find(|(ntp, _)| *ntp == named)?;
        let since = received_at.saturating_duration_since(*sent_at);
        Some((since, of_65536ths(delay)))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.reports.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3550 §6.4.1, figure 2: 6.125 s there and back.
    #[test]
    fn c066_the_example_of_rfc_3550() {
        let mut reports = SentReports::<4>::default();
        let sent = Instant::now();
        reports.note(0xb44d_b705_2000_0000, sent);
        let received =
            sent + (Duration::from_millis(46_864_500) - Duration::from_millis(46_853_125));
        let (since, delay) = reports
            .answered(0xb705_2000, 0x0005_4000, received)
            .unwrap();
        assert_eq!(delay, Duration::from_millis(5_250));
        assert_eq!(since - delay, Duration::from_millis(6_125));
    }
}
