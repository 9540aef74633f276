//! When packets may leave: spread out a little, so that the burst of a large frame does not fill the queues
//! of the path, which would lose packets there and look like congestion.
//!
//! A token bucket that fills at two and a half times the estimate, and for all but sound a second one, larger and slower,
//! that fills at the estimate: a source that sends more than the path takes waits here, where sound
//! passes it by, and not in the path. While there are tokens, packets pass at
//! once; what the buckets do not hold waits and is released in lots of a few milliseconds, not packet by
//! packet, so that each lot still is one system call. Far below the estimate they are always full: all
//! passes, for the price of two subtractions.
//!
//! # How the sending half uses it
//!
//! For each packet of a batch, with the same `now`: [`admit`](Pacer::admit), else [`queue`](Pacer::queue). At
//! [`next_release`](Pacer::next_release): [`release`](Pacer::release). Packets wait unprotected, without their
//! transport-wide number: that is given when they leave, as is the time that is told to the estimator.
//! While [`probe`](Pacer::probe) names one, all that leaves is noted with it, and `release` says how much
//! padding is to fill it up.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::bandwidth::{Probe, ProbeId};

/// What a packet is to its receiver, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Sound is little and late at once: it never waits, and the rest waits a little longer for it.
    Sound,
    /// A retransmission: a picture has been waiting for it for a round trip.
    Repair,
    /// A picture; waits behind those.
    Picture,
}

/// Paces what one peer is sent. `T` is a packet that waits.
///
/// Bounds: so many packets in each of two queues, and [`LONGEST_WAIT`] for pictures. The oldest goes
/// first: it is the one whose time for showing is over.
#[derive(Debug)]
pub(crate) struct Pacer<T> {
    bytes_per_second: f64,
    /// Below zero after a packet that was larger than what was left.
    tokens: f64,
    /// The same over a longer time, for all but sound.
    budget: f64,
    filled_at: Instant,
    repairs: VecDeque<Waiting<T>>,
    pictures: VecDeque<Waiting<T>>,
    waiting_bytes: usize,
    most_packets: usize,
    probe: Option<Running>,
    counters: PacerCounters,
}

#[derive(Debug)]
struct Waiting<T> {
    packet: T,
    bytes: usize,
    since: Instant,
}

/// A probe that is being sent.
#[derive(Debug)]
struct Running {
    id: ProbeId,
    bytes_per_second: f64,
    left: usize,
    ends_at: Instant,
}

/// What became of packets, except those that passed at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PacerCounters {
    /// Packets that had to wait.
    pub(crate) delayed: u64,
    /// Of these, how many waited too long or had too many behind them.
    pub(crate) dropped: u64,
}

impl<T> Pacer<T> {
    /// In each of its two queues so many packets may wait, and one at least.
    pub(crate) fn new(estimate_bps: u64, most_packets: usize, now: Instant) -> Self {
        let mut pacer = Self {
            bytes_per_second: 0.0,
            tokens: 0.0,
            budget: 0.0,
            filled_at: now,
            repairs: VecDeque::new(),
            pictures: VecDeque::new(),
            waiting_bytes: 0,
            most_packets: most_packets.max(1),
            probe: None,
            counters: PacerCounters::default(),
        };
        pacer.set_estimate(estimate_bps);
        pacer.tokens = pacer.most_tokens();
        pacer.budget = pacer.most_budget();
        pacer
    }

    /// The path takes so much now.
    pub(crate) fn set_estimate(&mut self, bps: u64) {
        self.bytes_per_second = (bps.max(LEAST_BPS) as f64 / 8.0) * HEADROOM;
    }

    pub(crate) fn counters(&self) -> PacerCounters {
        self.counters
    }

    /// Whether a packet may leave now. One that may not is to be [queued](Self::queue): others may not
    /// overtake it.
    pub(crate) fn admit(&mut self, urgency: Urgency, bytes: usize, now: Instant) -> bool {
        self.fill(now);
        let passes = match urgency {
            Urgency::Sound => true,
            Urgency::Repair => self.tokens > 0.0 && self.budget > 0.0 && self.repairs.is_empty(),
            Urgency::Picture => self.tokens > 0.0 && self.budget > 0.0 && self.waiting_bytes == 0,
        };
        if passes {
            self.charge(bytes);
        }
        passes
    }

    /// Lets a packet wait. Gives back the oldest when there are too many.
    pub(crate) fn queue(
        &mut self,
        urgency: Urgency,
        packet: T,
        bytes: usize,
        now: Instant,
    ) -> Option<T> {
        let queue = match urgency {
            Urgency::Sound | Urgency::Repair => &mut self.repairs,
            Urgency::Picture => &mut self.pictures,
        };
        self.counters.delayed += 1;
        self.waiting_bytes += bytes;
        queue.push_back(Waiting {
            packet,
            bytes,
            since: now,
        });
        let oldest = (queue.len() > self.most_packets)
            .then(|| queue.pop_front())
            .flatten()?;
        Some(self.drop_waiting(oldest))
    }

    /// Takes out all that may leave now, in its order, and what has waited too long. Tells how many bytes of
    /// padding are to follow for the sake of a probe; [`note_padding`](Self::note_padding) hears how many did.
    pub(crate) fn release(
        &mut self,
        now: Instant,
        released: &mut Vec<T>,
        dropped: &mut Vec<T>,
    ) -> usize {
        self.fill(now);
        while let Some(oldest) = self.pictures.front()
            && oldest.is_late(now)
            && let Some(oldest) = self.pictures.pop_front()
        {
            dropped.push(self.drop_waiting(oldest));
        }
        while self.tokens > 0.0
            && let Some(next) = self.next_waiting()
        {
            self.waiting_bytes -= next.bytes;
            self.charge(next.bytes);
            released.push(next.packet);
        }
        self.padding()
    }

    fn next_waiting(&mut self) -> Option<Waiting<T>> {
        if !self.has_budget() {
            return None;
        }
        (self.repairs.pop_front()).or_else(|| self.pictures.pop_front())
    }

    /// A probe is to be filled, whatever the budget: it is short.
    fn has_budget(&self) -> bool {
        self.budget > 0.0 || self.running().is_some()
    }

    /// Takes out the pictures that are no longer to be sent.
    pub(crate) fn discard(&mut self, is_void: impl Fn(&T) -> bool) {
        let (waiting_bytes, dropped) = (&mut self.waiting_bytes, &mut self.counters.dropped);
        self.pictures.retain(|waiting| {
            let stays = !is_void(&waiting.packet);
            if !stays {
                *waiting_bytes -= waiting.bytes;
                *dropped += 1;
            }
            stays
        });
    }

    /// When to call [`release`](Self::release) next; `None` while nothing waits.
    pub(crate) fn next_release(&self) -> Option<Instant> {
        let lot = match self.running() {
            // Padding makes up for what does not wait.
            Some(probe) => probe.lot(),
            None if self.waiting_bytes == 0 => return None,
            None => (self.rate() * LOT).min(self.waiting_bytes as f64),
        };
        let mut seconds = ((lot - self.tokens) / self.rate()).max(0.0);
        if !self.has_budget() {
            let earns = self.bytes_per_second * BUDGET;
            seconds = seconds.max((earns * LOT - self.budget) / earns);
        }
        // Rounded up: a moment too early, nothing could leave, and it would be too early again.
        let wait = Duration::from_secs_f64(seconds.min(LONGEST_SLEEP)) + Duration::from_micros(1);
        Some(self.filled_at + wait)
    }

    /// Sends at the bitrate of the probe until as many bytes have gone. What is left of one before is
    /// forgotten.
    pub(crate) fn start_probe(&mut self, probe: Probe, now: Instant) {
        self.fill(now);
        let bytes_per_second = probe.bitrate_bps.max(LEAST_BPS) as f64 / 8.0;
        let duration = Duration::from_secs_f64(probe.bytes as f64 / bytes_per_second);
        self.probe = Some(Running {
            id: probe.id,
            bytes_per_second,
            left: probe.bytes,
            ends_at: now + duration * 2,
        });
        // What was saved up would go faster than the probe.
        self.tokens = self.tokens.min(1.0);
    }

    /// The probe that what leaves now belongs to, the last of it included.
    pub(crate) fn probe(&self) -> Option<ProbeId> {
        self.probe.as_ref().map(|probe| probe.id)
    }

    /// So many bytes of padding have been sent. None ends the probe: there is nothing to fill it with.
    pub(crate) fn note_padding(&mut self, bytes: usize) {
        if bytes == 0 {
            self.probe = None;
        }
        self.charge(bytes);
    }

    fn padding(&self) -> usize {
        match self.running() {
            Some(probe) if self.waiting_bytes == 0 && self.tokens >= probe.lot().floor() => {
                (self.tokens.ceil() as usize).min(probe.left)
            }
            Some(_) | None => 0,
        }
    }

    fn running(&self) -> Option<&Running> {
        self.probe.as_ref().filter(|probe| probe.left > 0)
    }

    fn rate(&self) -> f64 {
        self.running()
            .map_or(self.bytes_per_second, |probe| probe.bytes_per_second)
    }

    fn most_tokens(&self) -> f64 {
        (self.rate() * BURST).max(LEAST_BURST)
    }

    fn fill(&mut self, now: Instant) {
        // Packets of one batch are asked for with one time.
        if now <= self.filled_at {
            return;
        }
        self.probe
            .take_if(|probe| probe.left == 0 || probe.ends_at <= now);
        let elapsed = now.duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + elapsed * self.rate()).min(self.most_tokens());
        let earned = elapsed * self.bytes_per_second * BUDGET;
        self.budget = (self.budget + earned).min(self.most_budget());
    }

    fn most_budget(&self) -> f64 {
        self.bytes_per_second * BUDGET * SAVED
    }

    fn charge(&mut self, bytes: usize) {
        self.tokens -= bytes as f64;
        self.budget = (self.budget - bytes as f64).max(-self.most_budget());
        if let Some(probe) = &mut self.probe {
            probe.left = probe.left.saturating_sub(bytes);
        }
    }

    fn drop_waiting(&mut self, waiting: Waiting<T>) -> T {
        self.waiting_bytes -= waiting.bytes;
        self.counters.dropped += 1;
        waiting.packet
    }
}

impl Running {
    fn lot(&self) -> f64 {
        let usual = (self.bytes_per_second * PROBE_LOT).max(LEAST_PROBE_LOT);
        usual.min(self.left as f64)
    }
}

impl<T> Waiting<T> {
    fn is_late(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) > LONGEST_WAIT
    }
}

/// Times the estimate: a frame is through before the next one comes, and its burst does not fill a queue. What
/// Chromium paces at.
const HEADROOM: f64 = 2.5;

/// Seconds that may be saved up: that much of a frame leaves at once.
const BURST: f64 = 0.01;

/// What all but sound may take over a longer time, of the rate at which lots leave: the estimate and hardly more. It has room for
/// sound, so that a queue that stands on the path drains.
const BUDGET: f64 = 1.02 / HEADROOM;

/// Seconds of it that may be saved up: a keyframe.
const SAVED: f64 = 0.5;

/// Bytes: three packets, however low the estimate, so that a run is more than one.
const LEAST_BURST: f64 = 3600.0;

/// Seconds of what waits that are released together: two hundred times a second at the most.
const LOT: f64 = 0.005;

/// The same for a probe, which is short and is to be even; and bytes, so that its packets are no crumbs.
const PROBE_LOT: f64 = 0.002;
const LEAST_PROBE_LOT: f64 = 1000.0;

/// A picture has not been sent for so long that nobody waits for it any more. Long enough for a keyframe to
/// get through where the estimate is low.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(2);

const LEAST_BPS: u64 = 10_000;

/// Seconds, so that a debt cannot silence it for long.
const LONGEST_SLEEP: f64 = 1.0;

#[cfg(test)]
mod tests;
