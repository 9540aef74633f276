//! A sender, a path and a receiver in simulated time. The estimator under test and the pacer work at one end,
//! the recorder of transport-wide feedback at the other.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::rtp::bandwidth::{BandwidthConfig, BandwidthEffect, BandwidthEstimator};
use crate::rtp::pacer::{Pacer, Urgency};
use crate::rtp::rtcp::TransportCc;
use crate::rtp::{Ssrc, TwccRecorder};

/// What the path does to packets.
#[derive(Clone, Debug)]
pub(super) struct Path {
    /// From when, in milliseconds, and bit/s.
    pub(super) rates: Vec<(u64, f64)>,
    /// What waits longer does not get in.
    pub(super) queue_ms: f64,
    pub(super) delay_ms: f64,
    /// From when on it takes so much longer.
    pub(super) detour: Option<(u64, f64)>,
    /// Up to so much earlier or later, keeping the order.
    pub(super) jitter_ms: f64,
    pub(super) loss: f64,
    /// Of others: from when, until when, bit/s.
    pub(super) competing: Option<(u64, u64, f64)>,
    /// Nothing gets through from when until when.
    pub(super) cut: Option<(u64, u64)>,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            rates: vec![(0, 2e6)],
            queue_ms: 300.0,
            delay_ms: 25.0,
            detour: None,
            jitter_ms: 1.0,
            loss: 0.0,
            competing: None,
            cut: None,
        }
    }
}

impl Path {
    pub(super) fn of(rates: &[(u64, f64)]) -> Self {
        Self {
            rates: rates.to_vec(),
            ..Self::default()
        }
    }

    fn rate_at(&self, ms: u64) -> f64 {
        let past = self.rates.iter().rev().find(|(from, _)| *from <= ms);
        past.unwrap().1
    }

    /// What is left of it for us.
    fn share_at(&self, ms: u64) -> f64 {
        let taken = match self.competing {
            Some((from, until, bps)) if (from..until).contains(&ms) => bps,
            _ => 0.0,
        };
        self.rate_at(ms) - taken
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Media {
    /// No more than this, else as much as is estimated.
    pub(super) most_bps: f64,
    /// Every so many frames one is larger than the others, times the second.
    pub(super) keyframes: Option<(u64, f64)>,
    /// Probes are filled up; else they are declined.
    pub(super) answers_probes: bool,
    /// Transport-wide number of the first packet.
    pub(super) first_number: u16,
    pub(super) feedback_ms: u64,
    /// As told to the estimator.
    pub(super) desired_bps: Option<u64>,
}

impl Default for Media {
    fn default() -> Self {
        Self {
            most_bps: f64::INFINITY,
            keyframes: None,
            answers_probes: true,
            first_number: 0,
            feedback_ms: 100,
            desired_bps: None,
        }
    }
}

/// What was to be seen, a line each millisecond.
pub(super) struct Trace {
    pub(super) lines: Vec<Line>,
    pub(super) estimator: BandwidthEstimator,
    pub(super) sent: u64,
    pub(super) probes: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) estimate_bps: f64,
    pub(super) share_bps: f64,
    pub(super) queue_ms: f64,
}

impl Trace {
    /// Seconds from `from_ms` until the estimate is at this part of our share of the path.
    pub(super) fn reaches(&self, from_ms: usize, part: f64) -> f64 {
        let lines = &self.lines[from_ms..];
        let found = lines
            .iter()
            .position(|line| line.estimate_bps >= line.share_bps * part);
        found.map_or(f64::INFINITY, |ms| ms as f64 / 1000.0)
    }

    /// The longest time for which the estimate was more than this part of our share, in seconds.
    pub(super) fn longest_above(&self, part: f64) -> f64 {
        let (mut longest, mut current) = (0, 0);
        for line in &self.lines {
            current = if line.estimate_bps > line.share_bps * part {
                current + 1
            } else {
                0
            };
            longest = longest.max(current);
        }
        f64::from(longest) / 1000.0
    }

    pub(super) fn mean(&self, ms: std::ops::Range<usize>, of: impl Fn(&Line) -> f64) -> f64 {
        let lines = &self.lines[ms];
        lines.iter().map(of).sum::<f64>() / lines.len() as f64
    }

    pub(super) fn least(&self, ms: std::ops::Range<usize>) -> f64 {
        let estimates = self.lines[ms].iter().map(|line| line.estimate_bps);
        estimates.fold(f64::INFINITY, f64::min)
    }

    pub(super) fn most(&self, ms: std::ops::Range<usize>) -> f64 {
        let estimates = self.lines[ms].iter().map(|line| line.estimate_bps);
        estimates.fold(0.0, f64::max)
    }

    /// The estimate at every second in kbit/s, for the eye.
    pub(super) fn by_second(&self) -> String {
        let kbps = |line: &Line| format!("{:.0}", line.estimate_bps / 1000.0);
        let lines = self.lines.iter().step_by(1000);
        lines.map(kbps).collect::<Vec<_>>().join(" ")
    }
}

/// Runs it for so many seconds.
pub(super) fn run(
    path: &Path,
    media: &Media,
    config: BandwidthConfig,
    seed: u64,
    seconds: u64,
) -> Trace {
    let mut link = Link::new(path.clone(), *media, config, seed);
    let mut lines = Vec::new();
    for ms in 0..seconds * 1000 {
        link.step(ms);
        lines.push(Line {
            estimate_bps: link.estimator.estimate_bps() as f64,
            share_bps: path.share_at(ms),
            queue_ms: (link.busy_until_us - ms as f64 * 1000.0).max(0.0) / 1000.0,
        });
    }
    Trace {
        lines,
        estimator: link.estimator,
        sent: link.sent,
        probes: link.probes,
    }
}

struct Link {
    path: Path,
    media: Media,
    begin: Instant,
    random: Random,
    estimator: BandwidthEstimator,
    effects: Vec<BandwidthEffect>,
    // The sender.
    frames: u64,
    pacer: Pacer<usize>,
    number: u16,
    sent: u64,
    probes: usize,
    // The path.
    busy_until_us: f64,
    competing_due_us: f64,
    last_arrival_us: u64,
    travelling: BinaryHeap<Reverse<(u64, u16)>>,
    // The receiver.
    recorder: TwccRecorder,
    returning: VecDeque<(u64, TransportCc)>,
}

impl Link {
    fn new(path: Path, media: Media, config: BandwidthConfig, seed: u64) -> Self {
        let begin = Instant::now();
        let mut estimator = BandwidthEstimator::new(config, begin);
        estimator.set_desired_bps(media.desired_bps);
        Self {
            number: media.first_number,
            path,
            media,
            begin,
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            estimator,
            effects: Vec::new(),
            frames: 0,
            pacer: Pacer::new(config.start_bps, 2048, begin),
            sent: 0,
            probes: 0,
            busy_until_us: 0.0,
            competing_due_us: 0.0,
            last_arrival_us: 0,
            travelling: BinaryHeap::new(),
            recorder: TwccRecorder::default(),
            returning: VecDeque::new(),
        }
    }

    fn at(&self, us: u64) -> Instant {
        self.begin + Duration::from_micros(us)
    }

    fn step(&mut self, ms: u64) {
        let now_us = ms * 1000;
        self.make_frames(now_us);
        self.release(now_us);
        self.compete(ms);
        self.receive(now_us);
        if ms.is_multiple_of(self.media.feedback_ms) {
            self.feed_back(now_us);
        }
        self.hear(now_us);
    }

    /// Thirty a second, of as many bits as make up the bitrate.
    fn make_frames(&mut self, now_us: u64) {
        if now_us < self.frames * 33_333 {
            return;
        }
        let bps = (self.estimator.estimate_bps() as f64).min(self.media.most_bps);
        let usual = bps / 30.0 / 8.0;
        let size = match self.media.keyframes {
            Some((every, times)) if self.frames.is_multiple_of(every) => usual * times,
            // The others are smaller, so that the bitrate is the same.
            Some((every, times)) => usual * (every as f64 - times) / (every as f64 - 1.0),
            None => usual,
        };
        let now = self.at(now_us);
        let mut left = size as usize;
        while left > 0 {
            let bytes = left.min(1200);
            left -= bytes;
            if self.pacer.admit(Urgency::Picture, bytes, now) {
                self.send(bytes, now_us);
            } else {
                self.pacer.queue(Urgency::Picture, bytes, bytes, now);
            }
        }
        self.frames += 1;
    }

    fn release(&mut self, now_us: u64) {
        let now = self.at(now_us);
        if self.pacer.next_release().is_none_or(|at| at > now) {
            return;
        }
        let (mut released, mut dropped) = (Vec::new(), Vec::new());
        let padding = self.pacer.release(now, &mut released, &mut dropped);
        for bytes in released {
            self.send(bytes, now_us);
        }
        if padding > 0 && self.media.answers_probes {
            for _ in 0..padding.div_ceil(1000) {
                self.send(padding.min(1000), now_us);
            }
        }
        if padding > 0 {
            let sent = padding.div_ceil(1000) * padding.min(1000);
            self.pacer
                .note_padding(if self.media.answers_probes { sent } else { 0 });
        }
    }

    fn send(&mut self, bytes: usize, at_us: u64) {
        let at = self.at(at_us);
        let probe = self.pacer.probe();
        self.estimator.on_sent(self.number, bytes, probe, at);
        self.sent += 1;
        if let Some(arrival_us) = self.pass(bytes, at_us as f64)
            && self.random.next() >= self.path.loss
        {
            let jitter = (self.random.next() * 2.0 - 1.0) * self.path.jitter_ms * 1000.0;
            let longer = self.path.detour.filter(|(from, _)| at_us >= *from * 1000);
            let delay_ms = self.path.delay_ms + longer.map_or(0.0, |(_, more)| more);
            let delay_us = (delay_ms * 1000.0 + jitter).max(0.0);
            let arrival_us = ((arrival_us + delay_us) as u64).max(self.last_arrival_us);
            self.last_arrival_us = arrival_us;
            self.travelling.push(Reverse((arrival_us, self.number)));
        }
        self.number = self.number.wrapping_add(1);
    }

    /// Through the queue.
    fn pass(&mut self, bytes: usize, at_us: f64) -> Option<f64> {
        let ms = (at_us / 1000.0) as u64;
        if self
            .path
            .cut
            .is_some_and(|(from, until)| (from..until).contains(&ms))
        {
            return None;
        }
        let begin_us = self.busy_until_us.max(at_us);
        if begin_us - at_us > self.path.queue_ms * 1000.0 {
            return None;
        }
        let rate = self.path.rate_at(ms);
        self.busy_until_us = begin_us + bytes as f64 * 8e6 / rate;
        Some(self.busy_until_us)
    }

    fn compete(&mut self, ms: u64) {
        let Some((from, until, bps)) = self.path.competing else {
            return;
        };
        if !(from..until).contains(&ms) {
            return;
        }
        self.competing_due_us = self.competing_due_us.max(ms as f64 * 1000.0);
        while self.competing_due_us < (ms + 1) as f64 * 1000.0 {
            self.pass(1200, self.competing_due_us);
            self.competing_due_us += 1200.0 * 8e6 / bps;
        }
    }

    fn receive(&mut self, now_us: u64) {
        while let Some(Reverse((at_us, number))) = self.travelling.peek().copied()
            && at_us <= now_us
        {
            self.travelling.pop();
            // The receiver's clock began at another time.
            let at = self.at(at_us + 77_777_777);
            self.recorder.record(number, at);
        }
    }

    fn feed_back(&mut self, now_us: u64) {
        let due_us = now_us + (self.path.delay_ms * 1000.0) as u64;
        for feedback in self.recorder.take_feedback(Ssrc(1), Ssrc(2)) {
            self.returning.push_back((due_us, feedback));
        }
    }

    fn hear(&mut self, now_us: u64) {
        let now = self.at(now_us);
        let mut is_due = self.estimator.poll_at().is_some_and(|at| at <= now);
        while self
            .returning
            .front()
            .is_some_and(|(due, _)| *due <= now_us)
        {
            let (_, feedback) = self.returning.pop_front().unwrap();
            self.estimator.on_feedback(&feedback, now);
            is_due = true;
        }
        if !is_due {
            return;
        }
        self.estimator.poll(now, &mut self.effects);
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                BandwidthEffect::EstimateChanged(bps) => {
                    assert_eq!(bps, self.estimator.estimate_bps());
                    self.pacer.set_estimate(bps);
                }
                BandwidthEffect::Probe(probe) => {
                    self.probes += 1;
                    self.pacer.start_probe(probe, now);
                }
            }
        }
    }
}

/// Good enough for packets, and the same every time.
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}
