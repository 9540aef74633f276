//! Latencies of millions of packets in little memory.

use std::time::Duration;

/// Counts by size; each bucket is as wide as a thirty-second of what is in it, or less.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            counts: vec![0; bucket(u64::MAX) + 1],
            total: 0,
        }
    }

    pub(crate) fn record(&mut self, duration: Duration) {
        self.counts[bucket(duration.as_nanos() as u64)] += 1;
        self.total += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// The duration that this part of all (0 to 1) did not exceed.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let rank = (part * self.total as f64).ceil() as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        Duration::from_nanos(upper_end(reached.unwrap_or_default()))
    }
}

fn bucket(value: u64) -> usize {
    let value = value.max(STEPS);
    let octave = value.ilog2() - STEPS.ilog2();
    octave as usize * STEPS as usize + (value >> octave) as usize - STEPS as usize
}

fn upper_end(bucket: usize) -> u64 {
    let (octave, step) = (bucket as u64 / STEPS, bucket as u64 % STEPS);
    (STEPS + step + 1) << octave
}

/// Buckets from a number to its double.
const STEPS: u64 = 32;
