//! How much of something may happen within a time.

use std::time::Instant;

/// So many a second, and so many at once: what is not used is saved up to that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    per_second: f64,
    at_once: f64,
    left: f64,
    measured_at: Option<Instant>,
}

impl Allowance {
    pub(crate) fn new(per_second: u32, at_once: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            at_once: f64::from(at_once),
            left: f64::from(at_once),
            measured_at: None,
        }
    }

    /// How much may happen now.
    pub(crate) fn left(&mut self, now: Instant) -> usize {
        if let Some(before) = self.measured_at.replace(now) {
            let passed = now.saturating_duration_since(before).as_secs_f64();
            self.left = (self.left + passed * self.per_second).min(self.at_once);
        }
        // Never negative, and cut off below one.
        self.left as usize
    }

    /// So much has happened of what was [left](Self::left).
    pub(crate) fn spend(&mut self, count: usize) {
        self.left = (self.left - count as f64).max(0.0);
    }

    /// Spends as much of `wanted` as is left; says how much.
    pub(crate) fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let taken = wanted.min(self.left(now));
        self.spend(taken);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_used_is_saved_up_to_the_limit() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut allowance = Allowance::new(100, 10);
        assert_eq!(allowance.take(25, start), 10);
        assert_eq!(allowance.take(1, start), 0);
        assert_eq!(allowance.take(25, after(50)), 5);
        assert_eq!(allowance.take(25, after(10_000)), 10);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let start = Instant::now();
        let mut allowance = Allowance::new(100, 10);
        assert_eq!(allowance.take(10, start + Duration::from_secs(5)), 10);
        assert_eq!(allowance.take(10, start), 0);
    }
}
