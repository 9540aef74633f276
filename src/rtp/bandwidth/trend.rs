//! Whether the queues of the path grow: the trend of delay (draft-ietf-rmcat-gcc-02 §5.3, with the
//! line fitted by least squares that Chromium uses instead of the Kalman filter) and the detector
//! with its adaptive threshold (§5.4).

use super::groups::GroupDelta;

/// How the path is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// Queues stay as they are.
    #[default]
    Normal,
    /// Queues grow.
    Over,
    /// Queues drain.
    Under,
}

/// Follows the delay of groups and tells the usage.
#[derive(Debug)]
pub(super) struct DelayTrend {
    /// Time of arrival and smoothed delay in milliseconds, the latest [`WINDOW`] in a ring.
    points: [(f64, f64); WINDOW],
    count: u64,
    origin_us: i64,
    accumulated_ms: f64,
    smoothed_ms: f64,
    slope: f64,
    detector: Detector,
}

impl DelayTrend {
    pub(super) fn new() -> Self {
        Self {
            points: [(0.0, 0.0); WINDOW],
            count: 0,
            origin_us: 0,
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            slope: 0.0,
            detector: Detector::new(),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        self.detector.usage
    }

    pub(super) fn add(&mut self, delta: GroupDelta) {
        if self.count == 0 {
            self.origin_us = delta.at_us;
        }
        self.accumulated_ms += millis(delta.arrival_us - delta.sent_us);
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        let at_ms = millis(delta.at_us - self.origin_us);
        self.points[(self.count % WINDOW as u64) as usize] = (at_ms, self.smoothed_ms);
        self.count += 1;
        if self.count >= WINDOW as u64 {
            self.slope = slope(&self.points).unwrap_or(self.slope);
        }
        self.detector
            .detect(self.slope, self.count, millis(delta.sent_us), at_ms);
    }
}

/// Of the line with the least squares; `None` where all points are of one time.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (above, below) = points.iter().fold((0.0, 0.0), |(above, below), (x, y)| {
        let distance = x - mean_x;
        (above + distance * (y - mean_y), below + distance * distance)
    });
    (below > 0.0).then(|| above / below)
}

/// Compares the trend with a threshold that follows it, so that a path that always trembles does
/// not look overused, and TCP beside us cannot starve us.
#[derive(Debug)]
struct Detector {
    usage: Usage,
    threshold_ms: f64,
    last_ms: Option<f64>,
    last_slope: f64,
    /// How long the trend has been above the threshold, and in how many groups.
    over: Option<(f64, u32)>,
}

impl Detector {
    fn new() -> Self {
        Self {
            usage: Usage::Normal,
            threshold_ms: THRESHOLD_MS,
            last_ms: None,
            last_slope: 0.0,
            over: None,
        }
    }

    fn detect(&mut self, slope: f64, count: u64, sent_ms: f64, at_ms: f64) {
        let trend_ms = slope * count.min(MOST_COUNTED) as f64 * GAIN;
        if trend_ms > self.threshold_ms {
            let (time, groups) = match self.over {
                // Nobody knows when within the last group it began.
                None => (sent_ms / 2.0, 1),
                Some((time, groups)) => (time + sent_ms, groups + 1),
            };
            self.over = Some((time, groups));
            if time > OVERUSE_MS && groups > 1 && slope >= self.last_slope {
                self.over = Some((0.0, 0));
                self.usage = Usage::Over;
            }
        } else {
            self.over = None;
            self.usage = if trend_ms < -self.threshold_ms {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.last_slope = slope;
        self.adapt(trend_ms.abs(), at_ms);
    }

    fn adapt(&mut self, trend_ms: f64, at_ms: f64) {
        let elapsed_ms = (at_ms - self.last_ms.unwrap_or(at_ms)).clamp(0.0, MOST_ELAPSED_MS);
        self.last_ms = Some(at_ms);
        // A sudden change of the path says nothing of how it trembles.
        if trend_ms > self.threshold_ms + MOST_ABOVE_MS {
            return;
        }
        let speed = if trend_ms < self.threshold_ms {
            SPEED_DOWN
        } else {
            SPEED_UP
        };
        self.threshold_ms = (self.threshold_ms
            + speed * (trend_ms - self.threshold_ms) * elapsed_ms)
            .clamp(LEAST_THRESHOLD_MS, MOST_THRESHOLD_MS);
    }
}

fn millis(micros: i64) -> f64 {
    micros as f64 / 1000.0
}

/// Groups the line is drawn through.
const WINDOW: usize = 20;

const SMOOTHING: f64 = 0.9;

/// The slope times the count of groups times this is compared with the threshold.
const GAIN: f64 = 4.0;
const MOST_COUNTED: u64 = 60;

/// §5.4: threshold at the beginning, its bounds, K_u and K_d per millisecond, and what is skipped.
const THRESHOLD_MS: f64 = 12.5;
const LEAST_THRESHOLD_MS: f64 = 6.0;
const MOST_THRESHOLD_MS: f64 = 600.0;
const SPEED_UP: f64 = 0.0087;
const SPEED_DOWN: f64 = 0.039;
const MOST_ABOVE_MS: f64 = 15.0;
const MOST_ELAPSED_MS: f64 = 100.0;

/// How long the trend must be above it (§5.4).
const OVERUSE_MS: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups every 20 ms, each `extra_us` later than the one before.
    fn follow(trend: &mut DelayTrend, begin_us: i64, extra_us: impl Fn(i64) -> i64) -> Vec<Usage> {
        (0..60)
            .map(|step| {
                trend.add(GroupDelta {
                    sent_us: 20_000,
                    arrival_us: 20_000 + extra_us(step),
                    at_us: begin_us + step * 20_000,
                });
                trend.usage()
            })
            .collect()
    }

    #[test]
    fn a_growing_queue_is_overuse_and_a_draining_one_underuse() {
        let mut trend = DelayTrend::new();
        let even = follow(&mut trend, 0, |_| 0);
        assert!(even.iter().all(|usage| *usage == Usage::Normal));
        let growing = follow(&mut trend, 1_200_000, |_| 2_000);
        let first = growing.iter().position(|usage| *usage == Usage::Over);
        assert!(first.is_some_and(|first| first < 15), "{first:?}");
        let draining = follow(&mut trend, 2_400_000, |_| -2_000);
        assert!(draining.contains(&Usage::Under));
    }

    #[test]
    fn a_path_that_trembles_is_not_overused() {
        let mut trend = DelayTrend::new();
        // Up and down by 10 ms, evenly.
        let usage = follow(
            &mut trend,
            0,
            |step| {
                if step % 2 == 0 { 10_000 } else { -10_000 }
            },
        );
        assert!(!usage.contains(&Usage::Over), "{usage:?}");
    }

    #[test]
    fn the_slope_is_that_of_the_line() {
        let line: Vec<_> = (0..20)
            .map(|x| (f64::from(x), 3.0 * f64::from(x)))
            .collect();
        let found = slope(&line).unwrap();
        assert!((found - 3.0).abs() < 1e-9);
        assert_eq!(slope(&[(1.0, 2.0), (1.0, 3.0)]), None);
    }
}
