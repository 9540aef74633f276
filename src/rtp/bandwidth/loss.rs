//! The bound by loss.
//!
//! Lost packets alone tell little: a radio loses one in ten at any rate, a full buffer loses what
//! is too much. The two are told apart in two ways. Where a queue stands all the while, its buffer is full. And
//! loss that goes with the rate is congestion, as Chromium's second loss based estimator has it: of a few
//! bandwidths near the present one, and for each the loss that the path would have anyway, that one is taken under
//! which what was seen is the most likely.

/// Follows the loss of what is sent.
#[derive(Debug)]
pub(super) struct LossBound {
    /// Of the latest stretches, the last one the latest; at most [`WINDOW`].
    observations: [Observation; WINDOW],
    count: usize,
    open: Open,
    delays: LeastDelay,
    cut: Option<Cut>,
    bps: Option<f64>,
    falling: bool,
    full: bool,
}

/// The bound was lowered because of a queue that stands. What it was before, to be taken back when that changes nothing.
#[derive(Clone, Copy, Debug)]
struct Cut {
    before_bps: Option<f64>,
    sent_bps: f64,
    /// The part that was lost.
    loss: f64,
    /// How many stretches of much less there were since, their packets, and how many of these were lost.
    after: (usize, f64, f64),
}

/// A stretch of sent packets that feedback has told of.
#[derive(Clone, Copy, Debug, Default)]
struct Observation {
    sent_bps: f64,
    packets: f64,
    lost: f64,
}

/// The stretch that is being filled.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    first_sent_us: Option<i64>,
    last_sent_us: i64,
    packets: u32,
    lost: u32,
    bytes: u64,
    least_delay_us: Option<i64>,
}

impl LossBound {
    pub(super) fn new() -> Self {
        Self {
            observations: [Observation::default(); WINDOW],
            count: 0,
            open: Open::default(),
            delays: LeastDelay::default(),
            cut: None,
            bps: None,
            falling: false,
            full: false,
        }
    }

    /// `None` while loss gives no reason for one.
    pub(super) fn bps(&self) -> Option<f64> {
        self.bps
    }

    /// The bound went down lately.
    pub(super) fn is_falling(&self) -> bool {
        self.falling
    }

    /// A queue stood all the while lately, and lost packets: it will as long as what it lets through is sent.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// So much has just got through: what was lost before was lost on a narrower path.
    pub(super) fn raise_to(&mut self, bps: f64) {
        if self.bps.is_some_and(|bound| bound < bps) {
            self.bps = Some(bps);
        }
    }

    pub(super) fn add(&mut self, sent_us: i64, bytes: u32, is_lost: bool) {
        let open = &mut self.open;
        open.first_sent_us.get_or_insert(sent_us);
        open.last_sent_us = open.last_sent_us.max(sent_us);
        open.packets += 1;
        open.lost += u32::from(is_lost);
        open.bytes += u64::from(bytes);
    }

    /// A packet took so long, by two clocks that have nothing to do with each other.
    pub(super) fn note_delay(&mut self, delay_us: i64) {
        let least = self.open.least_delay_us.get_or_insert(delay_us);
        *least = delay_us.min(*least);
    }

    /// Delays have nothing to do with those before.
    pub(super) fn forget_delays(&mut self) {
        self.open.least_delay_us = None;
        self.delays = LeastDelay::default();
    }

    /// A packet that was counted as lost has come after all.
    pub(super) fn take_back(&mut self) {
        if self.open.lost > 0 {
            self.open.lost -= 1;
        } else {
            let last = &mut self.observations[WINDOW - 1];
            last.lost = (last.lost - 1.0).max(0.0);
        }
    }

    /// After each feedback: `present_bps` is what is estimated now, `by_delay_bps` what would be without
    /// this bound, `acknowledged` what arrives.
    pub(super) fn update(
        &mut self,
        present_bps: f64,
        by_delay_bps: f64,
        acknowledged: Option<f64>,
    ) {
        if let Some(queue_stands) = self.close() {
            self.decide(present_bps, acknowledged, queue_stands);
        }
        if self.bps.is_some_and(|bps| bps >= by_delay_bps) {
            self.bps = None;
            self.falling = false;
        }
    }

    /// Without transport-wide feedback there are only the reports of the receiver, and the rule of
    /// the draft (§6): grow below two per cent, shrink above ten.
    pub(super) fn update_by_report(&mut self, present_bps: f64, fraction_lost: f64) -> f64 {
        self.falling = fraction_lost > 0.1;
        if self.falling {
            present_bps * (1.0 - fraction_lost / 2.0)
        } else if fraction_lost < 0.02 {
            present_bps * 1.05
        } else {
            present_bps
        }
    }

    /// Ends the stretch when it is long enough; tells whether there was a queue all along.
    fn close(&mut self) -> Option<bool> {
        let open = self.open;
        let duration_us = open.last_sent_us - open.first_sent_us.unwrap_or(open.last_sent_us);
        if duration_us < STRETCH_US || open.packets < LEAST_PACKETS {
            return None;
        }
        self.observations.rotate_left(1);
        self.observations[WINDOW - 1] = Observation {
            sent_bps: open.bytes as f64 * 8e6 / duration_us as f64,
            packets: f64::from(open.packets),
            lost: f64::from(open.lost),
        };
        self.count = (self.count + 1).min(WINDOW);
        self.open = Open::default();
        let queue_us = open
            .least_delay_us
            .map(|delay_us| self.delays.above_least(delay_us, open.last_sent_us));
        Some(queue_us.is_some_and(|queue_us| queue_us > STANDING_US))
    }

    fn decide(&mut self, present_bps: f64, acknowledged: Option<f64>, queue_stands: bool) {
        let seen = &self.observations[WINDOW - self.count..];
        let packets: f64 = seen.iter().map(|it| it.packets).sum();
        let lost: f64 = seen.iter().map(|it| it.lost).sum();
        self.falling = false;
        self.full = false;
        if lost < packets * LITTLE_LOSS {
            self.bps = self.bps.map(|bps| bps * RISE);
            return;
        }
        // A queue that never drains and loses packets is a full buffer. And nobody can use a path that
        // loses a good deal, whoever is to blame.
        let overflows = queue_stands && loses(seen, 1, FULL_LOSS);
        if !queue_stands {
            self.cut = None;
        } else if (overflows || self.cut.is_some()) && self.cut_in_vain() {
            return;
        }
        self.full = overflows;
        let seen = &self.observations[WINDOW - self.count..];
        if (overflows || loses(seen, MUCH_STRETCHES, MUCH_LOSS))
            && let Some(acknowledged) = acknowledged
        {
            self.falling = true;
            self.bps = Some(present_bps.min(acknowledged));
            return;
        }
        let likelier = |best: (f64, f64), bps: f64| {
            let likelihood = likelihood(seen, bps);
            if likelihood > best.1 {
                (bps, likelihood)
            } else {
                best
            }
        };
        let (best, _) = CANDIDATES
            .iter()
            .map(|factor| factor * present_bps)
            .chain(acknowledged.map(|bps| (bps * BELOW_ACKNOWLEDGED).min(present_bps)))
            .fold((present_bps, f64::NEG_INFINITY), likelier);
        self.falling = best < present_bps;
        if self.falling || self.bps.is_some() {
            self.bps = Some(best);
        }
    }
}

impl LossBound {
    /// A queue stands, and packets are lost. Where much less is sent than when that was seen first, and for some time as many are
    /// lost, it is no queue of ours: the way has become longer, and loses packets anyway. Then the bound is what it was before.
    fn cut_in_vain(&mut self) -> bool {
        let latest = self.observations[WINDOW - 1];
        let cut = self.cut.get_or_insert(Cut {
            before_bps: self.bps,
            sent_bps: latest.sent_bps,
            loss: latest.lost / latest.packets,
            after: (0, 0.0, 0.0),
        });
        if latest.sent_bps > cut.sent_bps * MUCH_LESS {
            cut.loss = cut.loss.max(latest.lost / latest.packets);
            cut.after = (0, 0.0, 0.0);
            return false;
        }
        let (stretches, packets, lost) = &mut cut.after;
        *stretches += 1;
        *packets += latest.packets;
        *lost += latest.lost;
        let in_vain = *stretches >= CUT_STRETCHES && *lost > *packets * cut.loss * AS_MUCH;
        if in_vain {
            self.bps = cut.before_bps;
            self.cut = None;
            self.forget_delays();
        }
        in_vain
    }
}

/// The least that packets took within the last half to whole minute: without a queue.
#[derive(Debug, Default)]
struct LeastDelay {
    current: Option<i64>,
    before: Option<i64>,
    since_us: i64,
}

impl LeastDelay {
    /// How much longer it took this time.
    fn above_least(&mut self, delay_us: i64, now_us: i64) -> i64 {
        if now_us - self.since_us > REMEMBERED_US {
            self.since_us = now_us;
            self.before = self.current.take();
        }
        let current = self.current.map_or(delay_us, |least| least.min(delay_us));
        self.current = Some(current);
        delay_us - self.before.map_or(current, |least| least.min(current))
    }
}

/// Whether more than such a part is lost of the latest stretches. Of few packets nothing can be said.
fn loses(seen: &[Observation], stretches: usize, part: f64) -> bool {
    let latest = seen.iter().rev().take(stretches);
    let (packets, lost) = latest.fold((0.0, 0.0), |(packets, lost), it| {
        (packets + it.packets, lost + it.lost)
    });
    packets >= MANY_PACKETS * stretches as f64 && lost > packets * part
}

/// Of what was seen, if the path took `bps` and lost some packets anyway, as many as makes it the
/// likeliest. A larger bandwidth is preferred a little, so that what could be either is not
/// taken for congestion.
fn likelihood(seen: &[Observation], bps: f64) -> f64 {
    let inherent = likeliest_inherent_loss(seen, bps);
    weighted(seen)
        .map(|(weight, it)| {
            let loss = it.expected_loss(bps, inherent);
            let fits = it.lost * loss.ln() + (it.packets - it.lost) * (1.0 - loss).ln();
            weight * (fits + PREFERENCE * it.packets * bps.max(1.0).ln())
        })
        .sum()
}

/// The likelihood has one maximum; where it stops to rise is found by halving.
fn likeliest_inherent_loss(seen: &[Observation], bps: f64) -> f64 {
    let (mut low, mut high) = (LEAST_INHERENT, MOST_INHERENT);
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        let rise: f64 = weighted(seen)
            .map(|(weight, it)| {
                let loss = it.expected_loss(bps, middle);
                let slope = 1.0 - it.excess(bps);
                let received = it.packets - it.lost;
                weight * slope * (it.lost / loss - received / (1.0 - loss))
            })
            .sum();
        if rise > 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// What is older counts less.
fn weighted(seen: &[Observation]) -> impl Iterator<Item = (f64, &Observation)> {
    let mut weight = 1.0;
    seen.iter().rev().map(move |observation| {
        weight *= FADING;
        (weight, observation)
    })
}

impl Observation {
    /// The part of what was sent that does not fit.
    fn excess(&self, bps: f64) -> f64 {
        if self.sent_bps > bps {
            (self.sent_bps - bps) / self.sent_bps
        } else {
            0.0
        }
    }

    fn expected_loss(&self, bps: f64, inherent: f64) -> f64 {
        (inherent + (1.0 - inherent) * self.excess(bps)).clamp(1e-6, 1.0 - 1e-6)
    }
}

/// Five seconds of stretches.
const WINDOW: usize = 20;
const STRETCH_US: i64 = 250_000;
const LEAST_PACKETS: u32 = 10;
const FADING: f64 = 0.95;

/// Below one in a hundred nothing is to be explained.
const LITTLE_LOSS: f64 = 0.01;

/// Then only what arrives is sent. A quarter: retransmission does not make up for it any more. Over a second,
/// for a path that loses one in ten now and then loses one in four.
const MUCH_LOSS: f64 = 0.25;
const MUCH_STRETCHES: usize = 4;
const MANY_PACKETS: f64 = 10.0;

/// The same while a queue stands.
const FULL_LOSS: f64 = 0.02;

/// Long enough for a queue to drain: a second and a half.
const CUT_STRETCHES: usize = 6;

/// Of what was sent, and of the loss, before a cut.
const MUCH_LESS: f64 = 0.75;
const AS_MUCH: f64 = 0.5;

/// The shortest delay of a stretch above the shortest of all: trembling alone does not make it.
const STANDING_US: i64 = 10_000;
const REMEMBERED_US: i64 = 30_000_000;

/// For each stretch without loss.
const RISE: f64 = 1.05;

const CANDIDATES: [f64; 3] = [1.02, 1.0, 0.95];
const BELOW_ACKNOWLEDGED: f64 = 0.95;

const PREFERENCE: f64 = 0.02;

const LEAST_INHERENT: f64 = 0.001;
const MOST_INHERENT: f64 = 0.3;
const HALVINGS: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// Stretches of 300 ms at these rates; `loss` of the rate is lost, evenly.
    fn sent(bound: &mut LossBound, rates: &[f64], loss: impl Fn(f64) -> f64) {
        let mut at_us = bound.open.last_sent_us;
        for rate in rates {
            let count = (rate * 0.3 / 9600.0).round();
            let mut owed = 0.0;
            for _ in 0..count as u32 {
                at_us += (300_000.0 / count) as i64;
                owed += loss(*rate);
                let is_lost = owed >= 1.0;
                owed -= f64::from(u8::from(is_lost));
                bound.add(at_us, 1200, is_lost);
            }
            let arrives = rate * (1.0 - loss(*rate));
            bound.update(*rate, rate * 1.1, Some(arrives));
        }
    }

    const RISING: [f64; 6] = [1.0e6, 1.2e6, 1.5e6, 1.8e6, 2.2e6, 2.6e6];

    #[test]
    fn loss_that_does_not_go_with_the_rate_is_no_reason() {
        let mut bound = LossBound::new();
        sent(&mut bound, &RISING, |_| 0.1);
        assert_eq!(bound.bps(), None);
    }

    #[test]
    fn loss_that_begins_above_a_rate_bounds_it() {
        let mut bound = LossBound::new();
        sent(&mut bound, &RISING, |rate| (1.0 - 2e6 / rate).max(0.0));
        let bps = bound.bps().unwrap();
        assert!((1.8e6..2.2e6).contains(&bps), "{bps}");
        assert!(bound.is_falling());
        // When it ends, the bound goes after a while.
        sent(&mut bound, &[1.8e6; 30], |_| 0.0);
        assert_eq!(bound.bps(), None);
    }

    #[test]
    fn too_much_loss_bounds_by_what_arrives() {
        let mut bound = LossBound::new();
        sent(&mut bound, &[2e6; 4], |_| 0.4);
        let bps = bound.bps().unwrap();
        assert!((1.15e6..1.25e6).contains(&bps), "{bps}");
    }

    #[test]
    fn loss_of_a_queue_that_never_drains_bounds_by_what_arrives() {
        let with_queue = |queue_us: i64| {
            let mut bound = LossBound::new();
            bound.note_delay(-5_000_000);
            sent(&mut bound, &[2e6], |_| 0.0);
            bound.note_delay(-5_000_000 + queue_us);
            sent(&mut bound, &[2e6], |_| 0.05);
            assert_eq!(bound.is_full(), bound.bps().is_some());
            bound.bps()
        };
        assert_eq!(with_queue(5_000), None);
        assert!((with_queue(30_000).unwrap() - 1.9e6).abs() < 1e4);
    }

    #[test]
    fn a_packet_that_comes_late_is_not_lost() {
        let mut bound = LossBound::new();
        for step in 0..5 {
            bound.add(step * 60_000, 1200, true);
            bound.take_back();
        }
        assert_eq!(bound.open.lost, 0);
        bound.take_back();
        assert_eq!(bound.observations[WINDOW - 1].lost, 0.0);
    }

    #[test]
    fn reports_alone_go_by_the_rule_of_the_draft() {
        let mut bound = LossBound::new();
        assert!((bound.update_by_report(1e6, 0.0) - 1.05e6).abs() < 1.0);
        assert!((bound.update_by_report(1e6, 0.05) - 1e6).abs() < 1.0);
        assert!((bound.update_by_report(1e6, 0.2) - 0.9e6).abs() < 1.0);
    }
}
