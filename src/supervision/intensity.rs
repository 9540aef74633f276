//! How many restarts are too many.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often a supervisor starts children again before it takes itself for the problem, and ends.
///
/// ```
/// # use std::time::Duration;
/// # use ractor_webrtc::supervision::RestartIntensity;
/// let patient = RestartIntensity::new(10, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartIntensity {
    /// Failures that are followed by a restart.
    pub restarts: u32,
    /// Within this time. One more, and the supervisor ends.
    pub period: Duration,
}

impl RestartIntensity {
    /// So many restarts within a period.
    pub const fn new(restarts: u32, period: Duration) -> Self {
        Self { restarts, period }
    }

    /// A failure for which nothing is ever started again.
    pub const NEVER: Self = Self::new(0, Duration::ZERO);
}

/// Three restarts within five seconds.
impl Default for RestartIntensity {
    fn default() -> Self {
        Self::new(3, Duration::from_secs(5))
    }
}

/// Failures of the last period; never more than may be, and one.
#[derive(Debug, Default)]
pub(crate) struct RestartLog {
    failures: VecDeque<Instant>,
}

impl RestartLog {
    /// Notes a failure; says whether it is one too many.
    pub(crate) fn note(&mut self, intensity: RestartIntensity, now: Instant) -> bool {
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < intensity.period;
        self.failures.retain(is_recent);
        let is_too_many = self.failures.len() >= intensity.restarts as usize;
        if !is_too_many {
            self.failures.push_back(now);
        }
        is_too_many
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn as_many_as_may_be_are_not_too_many_and_one_more_is() {
        let (mut log, now) = (RestartLog::default(), Instant::now());
        let intensity = RestartIntensity::new(2, 5 * SECOND);
        assert!(!log.note(intensity, now));
        assert!(!log.note(intensity, now + SECOND));
        assert!(log.note(intensity, now + 4 * SECOND));
    }

    #[test]
    fn what_is_older_than_the_period_does_not_count() {
        let (mut log, now) = (RestartLog::default(), Instant::now());
        let intensity = RestartIntensity::new(2, 5 * SECOND);
        for second in [0, 3, 5, 8, 10, 13] {
            assert!(!log.note(intensity, now + second * SECOND), "{second}");
        }
        assert!(log.note(intensity, now + 14 * SECOND));
    }

    #[test]
    fn where_nothing_may_be_started_again_the_first_failure_is_too_many() {
        let mut log = RestartLog::default();
        assert!(log.note(RestartIntensity::NEVER, Instant::now()));
    }

    #[test]
    fn the_log_stays_as_short_as_what_it_has_to_know() {
        let (mut log, mut now) = (RestartLog::default(), Instant::now());
        for _ in 0..10_000 {
            now += SECOND / 2;
            let _too_many = log.note(RestartIntensity::default(), now);
        }
        assert!(log.failures.len() <= 3);
    }
}
