use proptest::prelude::*;

use super::*;

/// 2 Mbit/s: 625 bytes a millisecond, 6250 saved up, lots of 3125.
const ESTIMATE: u64 = 2_000_000;

struct Bench {
    pacer: Pacer<u32>,
    begin: Instant,
    released: Vec<u32>,
    dropped: Vec<u32>,
}

impl Bench {
    fn new(estimate: u64) -> Self {
        let begin = Instant::now();
        Self {
            pacer: Pacer::new(estimate, 2048, begin),
            begin,
            released: Vec::new(),
            dropped: Vec::new(),
        }
    }

    fn at(&self, micros: u64) -> Instant {
        self.begin + Duration::from_micros(micros)
    }

    /// Packets of 1000 bytes, named from `first` on; how many of them pass at once.
    fn send(&mut self, urgency: Urgency, names: std::ops::Range<u32>, micros: u64) -> usize {
        let now = self.at(micros);
        let passes = |name: &u32| {
            let passed = self.pacer.admit(urgency, 1000, now);
            if !passed {
                assert_eq!(self.pacer.queue(urgency, *name, 1000, now), None);
            }
            passed
        };
        names.filter(passes).count()
    }

    fn release(&mut self, micros: u64) -> Vec<u32> {
        let now = self.at(micros);
        let padding = self
            .pacer
            .release(now, &mut self.released, &mut self.dropped);
        assert_eq!(padding, 0);
        std::mem::take(&mut self.released)
    }

    /// Calls when it is asked to until nothing waits: when, in microseconds, and what went.
    fn drain(&mut self) -> Vec<(u64, Vec<u32>)> {
        let mut lots = Vec::new();
        while let Some(at) = self.pacer.next_release() {
            let micros = at.duration_since(self.begin).as_micros() as u64 + 1;
            lots.push((micros, self.release(micros)));
        }
        lots
    }
}

#[test]
fn far_below_the_estimate_all_passes_at_once() {
    let mut bench = Bench::new(20_000_000);
    for frame in 0..300 {
        // A frame of 8 packets 30 times a second is 2 Mbit/s.
        assert_eq!(bench.send(Urgency::Picture, 0..8, frame * 33_333), 8);
        assert_eq!(bench.pacer.next_release(), None);
    }
    assert_eq!(bench.pacer.counters(), PacerCounters::default());
}

#[test]
fn a_large_frame_leaves_in_lots_and_is_through_before_the_next_but_one() {
    let mut bench = Bench::new(ESTIMATE);
    // 6250 bytes were saved up.
    assert_eq!(bench.send(Urgency::Picture, 0..20, 0), 7);
    let lots = bench.drain();
    let sizes: Vec<_> = lots.iter().map(|(_, lot)| lot.len()).collect();
    assert_eq!(sizes, [4, 4, 4, 1]);
    let names: Vec<_> = lots.iter().flat_map(|(_, lot)| lot.clone()).collect();
    assert_eq!(names, (7..20).collect::<Vec<_>>());
    // 13 750 bytes beyond what was saved up, at 625 a millisecond.
    let last = lots.last().unwrap().0;
    assert!((18_000..23_000).contains(&last), "{last}");
    assert_eq!(bench.pacer.counters().delayed, 13);
}

#[test]
fn sound_never_waits_and_repairs_overtake_pictures() {
    let mut bench = Bench::new(ESTIMATE);
    assert_eq!(bench.send(Urgency::Picture, 0..10, 0), 7);
    assert_eq!(bench.send(Urgency::Sound, 100..102, 0), 2);
    assert_eq!(bench.send(Urgency::Repair, 200..202, 0), 0);
    // What comes later does not overtake its like, though there are tokens again.
    assert_eq!(bench.send(Urgency::Picture, 10..11, 60_000), 0);
    assert_eq!(bench.send(Urgency::Repair, 202..203, 60_000), 0);
    assert_eq!(bench.release(60_000), [200, 201, 202, 7, 8, 9, 10]);
    assert_eq!(bench.pacer.next_release(), None);
}

#[test]
fn pictures_that_wait_too_long_are_dropped_and_counted_and_repairs_are_not() {
    let mut bench = Bench::new(ESTIMATE);
    bench.send(Urgency::Picture, 0..9, 0);
    bench.send(Urgency::Repair, 100..101, 0);
    bench.send(Urgency::Picture, 9..11, 1_000_000);
    assert_eq!(bench.release(2_000_001), [100, 9, 10]);
    assert_eq!(bench.dropped, [7, 8]);
    assert_eq!(bench.pacer.counters().dropped, 2);
}

#[test]
fn each_queue_is_bounded_and_gives_its_oldest() {
    let mut bench = Bench::new(ESTIMATE);
    let now = bench.begin;
    for name in 0..2048 {
        assert_eq!(bench.pacer.queue(Urgency::Picture, name, 100, now), None);
        assert_eq!(bench.pacer.queue(Urgency::Repair, name, 100, now), None);
    }
    assert_eq!(bench.pacer.queue(Urgency::Picture, 7777, 100, now), Some(0));
    assert_eq!(bench.pacer.queue(Urgency::Repair, 8888, 100, now), Some(0));
    assert_eq!(bench.pacer.queue(Urgency::Repair, 9999, 100, now), Some(1));
    assert_eq!(bench.pacer.counters().dropped, 3);
    assert_eq!(bench.pacer.waiting_bytes, 2 * 2048 * 100);
}

#[test]
fn a_probe_is_filled_with_media_and_padding_at_its_bitrate() {
    let mut bench = Bench::new(ESTIMATE);
    let probe = probe(4_000_000, 10_000);
    bench.pacer.start_probe(probe, bench.begin);
    assert_eq!(bench.pacer.probe(), Some(probe.id));
    assert_eq!(bench.send(Urgency::Picture, 0..4, 0), 1);
    let (mut sent, mut micros) = (1000, 0);
    while let Some(at) = bench.pacer.next_release() {
        micros = at.duration_since(bench.begin).as_micros() as u64 + 1;
        let now = bench.at(micros);
        let padding = bench
            .pacer
            .release(now, &mut bench.released, &mut bench.dropped);
        sent += bench.released.drain(..).count() * 1000;
        if padding > 0 {
            assert!((900..=2000).contains(&padding), "{padding}");
            bench.pacer.note_padding(padding);
            sent += padding;
        }
    }
    assert_eq!((sent, bench.pacer.probe()), (10_000, Some(probe.id)));
    bench.send(Urgency::Sound, 9..10, micros + 1);
    assert_eq!(bench.pacer.probe(), None);
    // 20 ms, less the first and the last lot.
    assert!((15_000..21_000).contains(&micros), "{micros}");
}

#[test]
fn a_probe_that_cannot_be_filled_ends() {
    let mut bench = Bench::new(ESTIMATE);
    bench
        .pacer
        .start_probe(probe(4_000_000, 10_000), bench.begin);
    let at = bench.pacer.next_release().unwrap();
    let padding = bench
        .pacer
        .release(at, &mut bench.released, &mut bench.dropped);
    assert!(padding > 0);
    bench.pacer.note_padding(0);
    assert_eq!(
        (bench.pacer.probe(), bench.pacer.next_release()),
        (None, None)
    );
    // So does one that nobody goes on with.
    bench.pacer.start_probe(probe(4_000_000, 10_000), at);
    bench.send(Urgency::Sound, 0..1, 1_000_000);
    assert_eq!(bench.pacer.probe(), None);
}

#[test]
fn a_new_estimate_changes_the_pace_of_what_waits() {
    let mut bench = Bench::new(100_000);
    bench.send(Urgency::Picture, 0..20, 0);
    let slow = bench.pacer.next_release().unwrap();
    bench.pacer.set_estimate(50_000_000);
    let fast = bench.pacer.next_release().unwrap();
    assert!(fast < slow);
    assert_eq!(bench.release(10_000).len(), 16);
}

fn probe(bitrate_bps: u64, bytes: usize) -> Probe {
    use crate::rtp::bandwidth::{BandwidthConfig, BandwidthEffect, BandwidthEstimator};
    use crate::rtp::rtcp::TransportCc;
    // The estimator alone makes names for probes.
    let begin = Instant::now();
    let mut estimator = BandwidthEstimator::new(BandwidthConfig::default(), begin);
    estimator.on_sent(0, 100, None, begin);
    let feedback = TransportCc {
        sender_ssrc: crate::rtp::Ssrc(1),
        media_ssrc: crate::rtp::Ssrc(2),
        body: vec![0, 0, 0, 1, 0, 0, 0, 0, 0x20, 1, 0].into(),
    };
    estimator.on_feedback(&feedback, begin);
    let mut effects = Vec::new();
    estimator.poll(begin, &mut effects);
    let [BandwidthEffect::Probe(probe)] = effects[..] else {
        panic!("{effects:?}");
    };
    Probe {
        bitrate_bps,
        bytes,
        ..probe
    }
}

proptest! {
    /// Whatever comes when: nothing is lost or doubled, the order within an urgency is kept, and pictures go
    /// no faster than the bucket allows.
    #[test]
    fn what_goes_in_comes_out_once_in_order_and_at_the_pace(
        steps in prop::collection::vec((0..30_000_u64, 0..12_u32, 0..3_u8), 1..100),
    ) {
        let mut bench = Bench::new(ESTIMATE);
        let (mut micros, mut name) = (0, 0);
        let mut gone = Vec::new();
        let mut expected = Vec::new();
        for (wait, count, urgency) in steps {
            micros += wait;
            gone.extend(bench.release(micros));
            let now = bench.at(micros);
            let urgency = match urgency {
                0 => Urgency::Repair,
                _ => Urgency::Picture,
            };
            for _ in 0..count {
                expected.push(name);
                if bench.pacer.admit(urgency, 1000, now) {
                    gone.push(name);
                } else {
                    bench.pacer.queue(urgency, name, 1000, now);
                }
                name += 1;
            }
            let most = 6250.0 + 0.625 * micros as f64 + 1000.0;
            prop_assert!(gone.len() as f64 * 1000.0 <= most);
        }
        gone.extend(bench.drain().into_iter().flat_map(|(_, lot)| lot));
        gone.extend(bench.dropped);
        gone.sort_unstable();
        prop_assert_eq!(gone, expected);
        prop_assert_eq!(bench.pacer.waiting_bytes, 0);
    }
}
