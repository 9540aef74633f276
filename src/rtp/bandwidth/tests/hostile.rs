//! Feedback that is wrong, strange or malicious.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use crate::rtp::Ssrc;
use crate::rtp::bandwidth::{BandwidthConfig, BandwidthEffect, BandwidthEstimator};
use crate::rtp::rtcp::TransportCc;

fn feedback(body: &[u8]) -> TransportCc {
    TransportCc {
        sender_ssrc: Ssrc(1),
        media_ssrc: Ssrc(2),
        body: Bytes::copy_from_slice(body),
    }
}

/// Of one run of packets received at once.
fn received(base: u16, count: u8, reference: u32) -> TransportCc {
    let [_, r0, r1, r2] = reference.to_be_bytes();
    let [b0, b1] = base.to_be_bytes();
    let head = [b0, b1, 0, count, r0, r1, r2, 0, 0x20, count];
    feedback(&[&head[..], &vec![0; usize::from(count)]].concat())
}

struct Bench {
    begin: Instant,
    estimator: BandwidthEstimator,
}

impl Bench {
    /// Has sent packets 0 to 99, one each millisecond.
    fn new() -> Self {
        let begin = Instant::now();
        let mut bench = Self {
            begin,
            estimator: BandwidthEstimator::new(BandwidthConfig::default(), begin),
        };
        bench.send(0..100, 0);
        bench
    }

    fn at(&self, ms: u64) -> Instant {
        self.begin + Duration::from_millis(ms)
    }

    fn send(&mut self, numbers: std::ops::Range<u16>, from_ms: u64) {
        for (ms, number) in numbers.enumerate() {
            let at = self.at(from_ms + ms as u64);
            self.estimator.on_sent(number, 1200, None, at);
        }
    }

    fn hear(&mut self, feedback: &TransportCc, ms: u64) {
        let at = self.at(ms);
        self.estimator.on_feedback(feedback, at);
    }
}

#[test]
fn feedback_on_packets_that_were_never_sent_is_counted_and_changes_nothing() {
    let mut bench = Bench::new();
    bench.hear(&received(100, 50, 7), 150);
    bench.hear(&received(40_000, 50, 9_000_000), 160);
    // 65 535 numbers, all missing: those that were sent count once.
    let head = [0, 0, 255, 255, 0, 0, 7, 0];
    let missing = [&head[..], &[0x1f, 255].repeat(9)].concat();
    bench.hear(&feedback(&missing), 170);
    bench.hear(&feedback(&missing), 180);
    let counters = bench.estimator.counters();
    assert_eq!(counters.feedbacks, 4);
    assert_eq!(counters.received, 0);
    assert_eq!(counters.lost, 100);
    assert_eq!(counters.unknown, 100 + 2 * (65_535 - 100));
    assert_eq!(counters.restarts, 0);
    assert_eq!(bench.estimator.estimate_bps(), 300_000);
}

#[test]
fn repeated_feedback_counts_once() {
    let mut bench = Bench::new();
    bench.hear(&received(0, 50, 7), 150);
    let once = bench.estimator.estimate_bps();
    for ms in 151..200 {
        bench.hear(&received(0, 50, 7), ms);
    }
    let counters = bench.estimator.counters();
    assert_eq!((counters.received, counters.repeated), (50, 49 * 50));
    assert_eq!(bench.estimator.estimate_bps(), once);
}

#[test]
fn what_was_missing_and_comes_after_all_is_not_lost() {
    let mut bench = Bench::new();
    bench.hear(&feedback(&[0, 0, 0, 50, 0, 0, 7, 0, 0, 50]), 150);
    assert_eq!(bench.estimator.counters().lost, 50);
    bench.hear(&received(0, 60, 7), 160);
    let counters = bench.estimator.counters();
    assert_eq!((counters.received, counters.lost), (60, 0));
}

#[test]
fn a_jump_of_the_clock_begins_anew_and_its_wrap_does_not() {
    let mut bench = Bench::new();
    // 64 ms each, over the end of 24 bits.
    bench.hear(&received(0, 20, 0xff_ffff), 100);
    bench.hear(&received(20, 20, 0), 164);
    bench.hear(&received(40, 20, 1), 228);
    assert_eq!(bench.estimator.counters().restarts, 0);
    // A day ahead, and back.
    bench.hear(&received(60, 20, 1_350_001), 292);
    bench.hear(&received(80, 20, 2), 356);
    assert_eq!(bench.estimator.counters().restarts, 2);
    assert!(bench.estimator.estimate_bps() >= 300_000);
}

#[test]
fn truncated_feedback_is_counted() {
    let mut bench = Bench::new();
    let whole = received(0, 10, 7).body;
    for length in 0..whole.len() {
        bench.hear(&feedback(&whole[..length]), 150);
    }
    let counters = bench.estimator.counters();
    assert_eq!(counters.malformed, whole.len() as u64);
    assert_eq!((counters.feedbacks, counters.received), (0, 0));
}

#[test]
fn reports_of_loss_count_only_where_there_is_no_feedback() {
    let mut bench = Bench::new();
    bench.estimator.on_report(0.5, None, bench.begin);
    assert_eq!(bench.estimator.estimate_bps(), 225_000);
    bench.estimator.on_report(0.0, None, bench.begin);
    assert_eq!(bench.estimator.estimate_bps(), 236_250);
    bench.hear(&received(0, 20, 7), 100);
    let rtt = Some(Duration::from_millis(80));
    bench.estimator.on_report(0.9, rtt, bench.at(200));
    assert!(bench.estimator.estimate_bps() >= 236_250);
    bench
        .estimator
        .on_report(f64::NAN, Some(Duration::MAX), bench.at(9_000));
    assert!(bench.estimator.estimate_bps() >= 30_000);
}

/// Feedback on the last packets before a pause may be lost like any other packet.
#[test]
fn who_pauses_keeps_the_estimate() {
    let mut bench = Bench::new();
    bench.hear(&received(0, 50, 7), 150);
    let before = bench.estimator.estimate_bps();
    let mut effects = Vec::new();
    let mut calls = 0;
    bench.send(100..101, 151);
    while let Some(at) = bench.estimator.poll_at() {
        bench.estimator.poll(at, &mut effects);
        calls += 1;
        assert!(calls < 10);
    }
    bench.send(101..102, 60_000);
    let at = bench.at(60_250);
    assert_eq!(bench.estimator.poll_at(), Some(at));
    bench.estimator.poll(at, &mut effects);
    assert_eq!(bench.estimator.estimate_bps(), before);
}

#[test]
fn who_sends_nothing_is_not_to_be_called() {
    let begin = Instant::now();
    let mut estimator = BandwidthEstimator::new(BandwidthConfig::default(), begin);
    assert_eq!(estimator.poll_at(), None);
    estimator.on_sent(0, 100, None, begin);
    let due = estimator.poll_at().unwrap();
    assert_eq!(due, begin + Duration::from_millis(250));
    let mut effects = Vec::new();
    estimator.poll(due, &mut effects);
    assert_eq!(estimator.poll_at(), Some(due + Duration::from_millis(250)));
    // A peer that never reports is asked for nothing and loses nothing.
    estimator.poll(begin + Duration::from_secs(60), &mut effects);
    assert_eq!(effects, []);
    assert_eq!(estimator.estimate_bps(), 300_000);
}

proptest! {
    /// Packets sent under any numbers, any feedback, at any times: within the bounds, no panic, and what
    /// is asked for is reasonable.
    #[test]
    fn any_feedback_is_taken(
        steps in prop::collection::vec(
            (
                prop::collection::vec(any::<u8>(), 0..60),
                0..3_u16,
                0..40_u16,
                0..2_000_000_u64,
            ),
            0..60,
        ),
        first in any::<u16>(),
    ) {
        let mut bench = Bench::new();
        let (mut number, mut micros) = (first, 0);
        let mut effects = Vec::new();
        for (mut body, gap, count, wait) in steps {
            for _ in 0..count {
                bench.estimator.on_sent(number, 1200, None, bench.begin + Duration::from_micros(micros));
                number = number.wrapping_add(1);
            }
            number = number.wrapping_add(gap * 700);
            micros += wait;
            let now = bench.begin + Duration::from_micros(micros);
            // Mostly about packets that were sent, with a length that is credible.
            if body.len() > 9 && body[9] & 1 == 0 {
                body[..2].copy_from_slice(&number.wrapping_sub(20).to_be_bytes());
                body[2] = 0;
            }
            bench.estimator.on_feedback(&feedback(&body), now);
            bench.estimator.poll(now, &mut effects);
            let estimate = bench.estimator.estimate_bps();
            prop_assert!((30_000..=20_000_000).contains(&estimate));
            for effect in effects.drain(..) {
                match effect {
                    BandwidthEffect::EstimateChanged(bps) => prop_assert_eq!(bps, estimate),
                    BandwidthEffect::Probe(probe) => prop_assert!(probe.bytes <= 50_000),
                }
            }
        }
    }
}
