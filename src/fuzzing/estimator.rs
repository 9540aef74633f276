//! The estimate of what a path takes, and the pacing by it, under feedback of a stranger.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::input::Input;
use crate::rtp::{
    BandwidthConfig, BandwidthEffect, BandwidthEstimator, Pacer, Ssrc, TransportCc, Urgency,
};

/// Packets are sent and paced, and whoever receives them says what it likes of how they arrived.
///
/// The estimate stays within its bounds; probes are small and not faster than the estimate may ever be; nothing is counted that was not
/// sent; the pacer loses no packet, and whoever comes when something is due finds it done.
pub(super) fn estimator(data: &[u8]) {
    let mut input = Input::new(data);
    let mut game = Game::new();
    while input.has_move(MOST_MOVES) {
        game.play(&mut input);
        game.check();
    }
    game.wait();
}

struct Game {
    config: BandwidthConfig,
    estimator: BandwidthEstimator,
    pacer: Pacer<u64>,
    now: Instant,
    next: u16,
    sent: u64,
    /// Packets that were given to the pacer, and those that have left it.
    given: u64,
    gone: u64,
}

impl Game {
    fn new() -> Self {
        let now = Instant::now();
        let config = BandwidthConfig::default();
        Self {
            config,
            estimator: BandwidthEstimator::new(config, now),
            pacer: Pacer::new(config.start_bps, 2048, now),
            now,
            next: 0,
            sent: 0,
            given: 0,
            gone: 0,
        }
    }

    fn play(&mut self, input: &mut Input<'_>) {
        match input.byte() % 8 {
            0 => self.send(input),
            1 => self.hear(input.block()),
            2 => {
                let feedback = written(input, self.next);
                self.hear(&feedback);
            }
            3 => self.pass(Duration::from_micros(u64::from(input.number()) << 3)),
            4 => self.pass(Duration::from_millis(u64::from(input.number()))),
            5 => {
                let lost = f64::from(input.byte()) / 128.0 - 0.5;
                let trip = Duration::from_micros(u64::from(input.word()));
                self.estimator.on_report(lost, Some(trip), self.now);
            }
            6 => {
                let desired = input.word();
                let desired = (desired != 0).then_some(u64::from(desired));
                self.estimator.set_desired_bps(desired);
            }
            _ => {
                let remainder = u64::from(input.byte() % 4);
                let before = self.pacer.counters().dropped;
                self.pacer.discard(|packet| packet % 4 == remainder);
                self.gone += self.pacer.counters().dropped - before;
            }
        }
    }

    fn send(&mut self, input: &mut Input<'_>) {
        let (count, kind, bytes) = (input.byte() % 64, input.byte(), input.number() % 1500);
        let urgency = match kind % 3 {
            0 => Urgency::Picture,
            1 => Urgency::Repair,
            _ => Urgency::Sound,
        };
        let bytes = usize::from(bytes) + LEAST_BYTES;
        for _ in 0..count {
            self.given += 1;
            if self.pacer.admit(urgency, bytes, self.now) {
                self.leave(bytes);
            } else {
                assert_ne!(urgency, Urgency::Sound, "sound never waits");
                let oldest = self.pacer.queue(urgency, self.given, bytes, self.now);
                self.gone += u64::from(oldest.is_some());
            }
        }
    }

    fn leave(&mut self, bytes: usize) {
        self.gone += 1;
        self.note_sent(bytes);
    }

    fn note_sent(&mut self, bytes: usize) {
        let probe = self.pacer.probe();
        self.estimator.on_sent(self.next, bytes, probe, self.now);
        self.next = self.next.wrapping_add(1);
        self.sent += 1;
    }

    fn hear(&mut self, body: &[u8]) {
        let feedback = TransportCc {
            sender_ssrc: Ssrc(1),
            media_ssrc: Ssrc(2),
            body: Bytes::copy_from_slice(body),
        };
        self.estimator.on_feedback(&feedback, self.now);
        self.poll();
    }

    fn poll(&mut self) {
        let mut effects = Vec::new();
        self.estimator.poll(self.now, &mut effects);
        assert!(effects.len() <= 2);
        for effect in effects {
            match effect {
                BandwidthEffect::EstimateChanged(bps) => self.pacer.set_estimate(bps),
                BandwidthEffect::Probe(probe) => {
                    assert!(probe.bitrate_bps <= self.config.max_bps, "{probe:?}");
                    assert!(probe.bytes <= LARGEST_PROBE, "{probe:?}");
                    self.pacer.start_probe(probe, self.now);
                }
            }
        }
        let due = self.estimator.poll_at();
        assert!(due.is_none_or(|due| due > self.now), "due again at once");
    }

    /// Time passes, and what becomes due meanwhile is done.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..MOST_TURNS {
            let due = [self.estimator.poll_at(), self.pacer.next_release()];
            let Some(due) = due.into_iter().flatten().min().filter(|due| *due <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(due);
            self.turn();
        }
        // Packets of a few bytes at a high rate; what is left is done in the next move.
        self.now = until;
    }

    fn turn(&mut self) {
        self.poll();
        let (mut released, mut dropped) = (Vec::new(), Vec::new());
        let padding = self.pacer.release(self.now, &mut released, &mut dropped);
        self.gone += dropped.len() as u64;
        for _ in &released {
            self.leave(1200);
        }
        assert!(padding <= LARGEST_PROBE);
        if padding > 0 {
            self.note_sent(padding);
            self.pacer.note_padding(padding);
        }
    }

    fn check(&self) {
        let bounds = self.config.min_bps..=self.config.max_bps;
        let estimate = self.estimator.estimate_bps();
        assert!(bounds.contains(&estimate), "{estimate}");
        let counters = self.estimator.counters();
        assert!(counters.received + counters.lost <= self.sent);
        assert!(self.gone <= self.given);
    }

    /// In the end every packet has left or was dropped, and nothing is due any more.
    fn wait(mut self) {
        for _ in 0..MOST_WAITING {
            let due = [self.estimator.poll_at(), self.pacer.next_release()];
            let Some(due) = due.into_iter().flatten().min() else {
                break;
            };
            self.now = self.now.max(due);
            self.turn();
        }
        assert_eq!(self.gone, self.given, "packets wait for ever");
        assert_eq!(self.pacer.next_release(), None);
    }
}

/// Well-formed feedback of the fuzzer's choice on what was sent lately.
fn written(input: &mut Input<'_>, next: u16) -> Vec<u8> {
    let (behind, count) = (u16::from(input.byte()), u16::from(input.byte()));
    let reference = input.word();
    let mut body = next.wrapping_sub(behind).to_be_bytes().to_vec();
    body.extend(count.to_be_bytes());
    body.extend(&reference.to_be_bytes()[1..]);
    body.push(input.byte());
    let symbol = u16::from(input.byte() % 4);
    body.extend((symbol << 13 | count).to_be_bytes());
    match symbol {
        1 => body.extend((0..count).map(|_| input.byte())),
        2 => (0..count).for_each(|_| body.extend(input.number().to_be_bytes())),
        _ => {}
    }
    body
}

/// A twentieth of a second at the highest bitrate is less.
const LARGEST_PROBE: usize = 125_000;

/// A packet without a payload.
const LEAST_BYTES: usize = 40;

/// Of one move; more only take longer.
const MOST_TURNS: usize = 500;

/// The pacer empties both its queues at its lowest rate.
const MOST_WAITING: usize = 200_000;

const MOST_MOVES: usize = 300;
