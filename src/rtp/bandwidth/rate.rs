//! What the usage of the path makes of the estimate: up while there is room, down to below what
//! arrives when queues grow (draft-ietf-rmcat-gcc-02 §5.5).

use super::trend::Usage;

/// The estimate by delay.
#[derive(Debug)]
pub(super) struct RateControl {
    bps: f64,
    /// Since when it rises; `None` while it is held.
    rising_since_us: Option<i64>,
    last_decrease_us: Option<i64>,
    capacity: Capacity,
}

impl RateControl {
    pub(super) fn new(start_bps: f64) -> Self {
        Self {
            bps: start_bps,
            rising_since_us: None,
            last_decrease_us: None,
            capacity: Capacity::default(),
        }
    }

    pub(super) fn bps(&self) -> f64 {
        self.bps
    }

    pub(super) fn last_decrease_us(&self) -> Option<i64> {
        self.last_decrease_us
    }

    /// A probe has shown that so much gets through.
    pub(super) fn raise_to(&mut self, bps: f64) {
        self.bps = self.bps.max(bps);
    }

    /// So much and no more, for another reason than the delay.
    pub(super) fn limit(&mut self, bps: f64) {
        self.bps = self.bps.min(bps);
    }

    /// After each feedback; `acknowledged` is what arrives, `peak` the most of it that a queue let through lately.
    pub(super) fn update(
        &mut self,
        usage: Usage,
        acknowledged: Option<f64>,
        peak: Option<f64>,
        rtt_us: i64,
        now_us: i64,
    ) {
        match usage {
            Usage::Over => self.decrease(peak, rtt_us, now_us),
            // The queue is to drain before it is filled again.
            Usage::Under => self.rising_since_us = None,
            Usage::Normal => self.increase(acknowledged, rtt_us, now_us),
        }
    }

    fn increase(&mut self, acknowledged: Option<f64>, rtt_us: i64, now_us: i64) {
        let since_us = self.rising_since_us.replace(now_us).unwrap_or(now_us);
        let elapsed = ((now_us - since_us) as f64 / 1e6).clamp(0.0, LONGEST_STEP);
        if let Some(acknowledged) = acknowledged
            && self.capacity.is_below(acknowledged)
        {
            self.capacity.forget();
        }
        let raised = if self.capacity.bps.is_some() {
            self.bps + additive_bps(self.bps, rtt_us) * elapsed
        } else {
            self.bps * GROWTH.powf(elapsed)
        };
        // What nobody sends is not known to get through.
        let most = acknowledged.map_or(f64::INFINITY, |bps| bps * MOST_AHEAD + AHEAD_BPS);
        self.bps = raised.min(most.max(self.bps));
    }

    fn decrease(&mut self, peak: Option<f64>, rtt_us: i64, now_us: i64) {
        self.rising_since_us = None;
        let shortest_us = rtt_us.clamp(LEAST_PAUSE_US, MOST_PAUSE_US);
        let is_soon = self
            .last_decrease_us
            .is_some_and(|last_us| now_us - last_us < shortest_us);
        let is_far = peak.is_some_and(|bps| bps < self.bps / 2.0);
        if is_soon && !is_far {
            return;
        }
        let Some(peak) = peak else {
            self.last_decrease_us = Some(now_us);
            self.bps /= 2.0;
            return;
        };
        if self.capacity.is_above(peak) {
            self.capacity.forget();
        }
        let mut reduced = peak * REDUCTION;
        if reduced > self.bps
            && let Some(capacity) = self.capacity.bps
        {
            // Arrivals in a burst: what is known of the path is the better measure.
            reduced = capacity * REDUCTION;
        }
        self.bps = self.bps.min(reduced);
        self.capacity.note_overuse(peak);
        self.last_decrease_us = Some(now_us);
    }
}

/// About one packet more in each response time.
fn additive_bps(bps: f64, rtt_us: i64) -> f64 {
    let frame_bits = bps / FRAMES_PER_SECOND;
    let packets = (frame_bits / PACKET_BITS).ceil().max(1.0);
    let response = 2.0 * (rtt_us as f64 / 1e6 + DETECTION);
    (frame_bits / packets / response).max(LEAST_ADDITIVE_BPS)
}

/// What arrived when the path was overused: where its capacity was, and how sure that is.
#[derive(Debug, Default)]
struct Capacity {
    bps: Option<f64>,
    /// Relative to the square root of the estimate in kbit/s.
    variance: f64,
}

impl Capacity {
    fn note_overuse(&mut self, acknowledged: f64) {
        let sample = acknowledged / 1000.0;
        let mean = self.bps.map_or(sample, |bps| {
            (1.0 - SMOOTHING) * bps / 1000.0 + SMOOTHING * sample
        });
        let error = mean - sample;
        let variance = if self.bps.is_some() {
            self.variance
        } else {
            LEAST_VARIANCE
        };
        self.variance = ((1.0 - SMOOTHING) * variance + SMOOTHING * error * error / mean.max(1.0))
            .clamp(LEAST_VARIANCE, MOST_VARIANCE);
        self.bps = Some(mean * 1000.0);
    }

    /// So much arrives that the path must have grown.
    fn is_below(&self, acknowledged: f64) -> bool {
        self.bps
            .is_some_and(|bps| acknowledged > bps + self.spread_bps(bps))
    }

    /// So little arrives at overuse that it must have shrunk.
    fn is_above(&self, acknowledged: f64) -> bool {
        self.bps
            .is_some_and(|bps| acknowledged < bps - self.spread_bps(bps))
    }

    fn spread_bps(&self, bps: f64) -> f64 {
        3000.0 * (self.variance * bps / 1000.0).sqrt()
    }

    fn forget(&mut self) {
        *self = Self::default();
    }
}

/// A second (§5.5).
const GROWTH: f64 = 1.08;
const LONGEST_STEP: f64 = 1.0;

/// Of what arrives (§5.5).
const REDUCTION: f64 = 0.85;

/// How far the estimate may go ahead of what arrives. The draft says 1.5; a sender that has less to
/// send than the path takes would then be told a good deal more than the path takes, for ever. Larger
/// steps are the business of probes, which see whether it gets through.
const MOST_AHEAD: f64 = 1.25;
const AHEAD_BPS: f64 = 10_000.0;

const FRAMES_PER_SECOND: f64 = 30.0;
const PACKET_BITS: f64 = 1200.0 * 8.0;
const LEAST_ADDITIVE_BPS: f64 = 4000.0;

/// Seconds until a queue is seen to grow (§5.5).
const DETECTION: f64 = 0.1;

/// One after another, the effect of the first having been seen.
const LEAST_PAUSE_US: i64 = 10_000;
const MOST_PAUSE_US: i64 = 200_000;

/// §5.5 recommends it for the mean and the variance.
const SMOOTHING: f64 = 0.05;
const LEAST_VARIANCE: f64 = 0.4;
const MOST_VARIANCE: f64 = 2.5;

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: i64 = 50_000;

    /// Feedback every 100 ms; all that is estimated arrives, at most `capacity`.
    fn run(rate: &mut RateControl, from_us: i64, steps: i64, capacity: f64) {
        for step in 0..steps {
            let acknowledged = rate.bps().min(capacity);
            let now_us = from_us + step * 100_000;
            rate.update(Usage::Normal, Some(acknowledged), None, RTT, now_us);
        }
    }

    #[test]
    fn without_a_limit_it_grows_by_eight_percent_a_second() {
        let mut rate = RateControl::new(1e6);
        run(&mut rate, 0, 101, f64::INFINITY);
        assert!((rate.bps() / 1e6 - 1.08_f64.powi(10)).abs() < 1e-6);
    }

    #[test]
    fn it_goes_no_further_ahead_than_a_quarter_of_what_arrives() {
        let mut rate = RateControl::new(1e6);
        run(&mut rate, 0, 1000, 1e6);
        assert!((rate.bps() - 1.26e6).abs() < 1.0, "{}", rate.bps());
        // Nor does it fall when less is sent.
        rate.update(Usage::Normal, Some(1e5), None, RTT, 200_000_000);
        assert!((rate.bps() - 1.26e6).abs() < 1.0);
    }

    #[test]
    fn overuse_reduces_it_to_below_what_arrives_once_in_a_round_trip() {
        let mut rate = RateControl::new(2e6);
        rate.update(Usage::Over, None, Some(1.5e6), RTT, 1_000_000);
        assert!((rate.bps() - 0.85 * 1.5e6).abs() < 1.0);
        rate.update(Usage::Over, None, Some(1.4e6), RTT, 1_020_000);
        assert!((rate.bps() - 0.85 * 1.5e6).abs() < 1.0);
        rate.update(Usage::Over, None, Some(1.4e6), RTT, 1_060_000);
        assert!((rate.bps() - 0.85 * 1.4e6).abs() < 1.0);
        // Far less arrives: at once.
        rate.update(Usage::Over, None, Some(0.5e6), RTT, 1_061_000);
        assert!((rate.bps() - 0.85 * 0.5e6).abs() < 1.0);
    }

    #[test]
    fn near_the_known_capacity_it_grows_by_packets_and_beyond_it_freely_again() {
        let mut rate = RateControl::new(2e6);
        rate.update(Usage::Over, None, Some(2e6), RTT, 0);
        let reduced = rate.bps();
        run(&mut rate, 1_000_000, 11, f64::INFINITY);
        let in_a_second = rate.bps() - reduced;
        assert!((20e3..50e3).contains(&in_a_second), "{in_a_second}");
        // More arrives than was thought possible.
        rate.raise_to(3e6);
        run(&mut rate, 3_000_000, 11, f64::INFINITY);
        assert!(rate.bps() > 3e6 * 1.07, "{}", rate.bps());
    }

    #[test]
    fn it_is_held_while_queues_drain_and_halved_where_nothing_is_known() {
        let mut rate = RateControl::new(1e6);
        rate.update(Usage::Under, Some(1e6), None, RTT, 0);
        rate.update(Usage::Under, Some(1e6), None, RTT, 5_000_000);
        rate.update(Usage::Normal, Some(1e6), None, RTT, 6_000_000);
        assert!((rate.bps() - 1e6).abs() < 1e-6);
        rate.update(Usage::Over, None, None, RTT, 7_000_000);
        assert!((rate.bps() - 5e5).abs() < 1e-6);
    }
}
