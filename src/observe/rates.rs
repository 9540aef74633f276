//! Bitrates: what has come to be counted between one look and the next. Pure.

use std::collections::HashMap;
use std::time::Instant;

use super::actors::Found;
use super::snapshot::{ActorSnapshot, TrafficSnapshot};

/// What was counted at the last look.
#[derive(Debug, Default)]
pub(super) struct Rates {
    before: HashMap<String, (Instant, TrafficSnapshot)>,
}

impl Rates {
    /// Fills in the bitrates of all that are seen now, and forgets those that are not.
    pub(super) fn note(&mut self, now: Instant, found: &mut [Found]) {
        let all = found.iter_mut().map(|one| &mut one.snapshot);
        self.note_each(now, all);
    }

    fn note_each<'a>(&mut self, now: Instant, all: impl Iterator<Item = &'a mut ActorSnapshot>) {
        let before = std::mem::take(&mut self.before);
        for ActorSnapshot { id, traffic, .. } in all {
            let Some(traffic) = traffic else {
                continue;
            };
            if let Some((at, former)) = before.get(id) {
                traffic.compare(former, now.saturating_duration_since(*at).as_secs_f64());
            }
            self.before.insert(id.clone(), (now, *traffic));
        }
    }
}

impl TrafficSnapshot {
    fn compare(&mut self, former: &Self, seconds: f64) {
        let rate = |now: u64, before: u64| {
            let bits = now.saturating_sub(before) as f64 * 8.0;
            (seconds > 0.0).then(|| (bits / seconds).round() as u64)
        };
        self.received_bitrate = rate(self.bytes_received, former.bytes_received);
        self.sent_bitrate = rate(self.bytes_sent, former.bytes_sent);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn counted(bytes_received: u64, bytes_sent: u64) -> TrafficSnapshot {
        TrafficSnapshot {
            bytes_received,
            bytes_sent,
            ..TrafficSnapshot::default()
        }
    }

    #[test]
    fn a_bitrate_is_what_was_counted_since_over_the_time_that_has_passed() {
        let mut now = counted(3_000, 250);
        now.compare(&counted(1_000, 0), 0.5);
        assert_eq!(now.received_bitrate, Some(32_000));
        assert_eq!(now.sent_bitrate, Some(4_000));
    }

    #[test]
    fn without_time_between_there_is_no_rate_and_a_count_that_went_back_is_none() {
        let mut now = counted(3_000, 0);
        now.compare(&counted(1_000, 500), 0.0);
        assert_eq!((now.received_bitrate, now.sent_bitrate), (None, None));
        now.compare(&counted(1_000, 500), Duration::from_secs(1).as_secs_f64());
        assert_eq!(now.sent_bitrate, Some(0));
    }
}
