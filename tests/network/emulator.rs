//! What a bad network does to a datagram, without a socket or a clock of its own.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// How bad it is, either way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions {
    /// Shares from 0 to 1.
    pub(crate) loss: f64,
    pub(crate) reordered: f64,
    pub(crate) duplicated: f64,
    /// One way.
    pub(crate) delay: Duration,
    /// So much more or less, at random; neighbours keep their order.
    pub(crate) jitter: Duration,
    /// With a queue of `QUEUE` before it; what finds no room is lost.
    pub(crate) bits_per_second: Option<u64>,
}

/// One direction of the network.
#[derive(Debug)]
pub(crate) struct Direction {
    random: StdRng,
    /// When the bottleneck is free again.
    free_at: Option<Instant>,
    /// Nobody arrives before who was sent earlier, but for those that are reordered.
    latest: Option<Instant>,
    pub(crate) counts: Counts,
}

/// What became of the datagrams of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) carried: u64,
    pub(crate) lost: u64,
    pub(crate) overflowed: u64,
    pub(crate) bytes: u64,
}

impl Direction {
    /// The same seed loses the same ones.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: StdRng::seed_from_u64(seed),
            free_at: None,
            latest: None,
            counts: Counts::default(),
        }
    }

    /// When a datagram of so many bytes arrives that was sent `now`: never, once or twice.
    pub(crate) fn decide(
        &mut self,
        conditions: &Conditions,
        bytes: usize,
        now: Instant,
    ) -> impl Iterator<Item = Instant> + use<> {
        let arrives = self.pass(conditions, bytes, now);
        let twice = arrives.filter(|_| self.random.random_bool(conditions.duplicated));
        arrives.into_iter().chain(twice)
    }

    fn pass(&mut self, conditions: &Conditions, bytes: usize, now: Instant) -> Option<Instant> {
        if self.random.random_bool(conditions.loss) {
            self.counts.lost += 1;
            return None;
        }
        let Some(through) = self.queue(conditions, bytes, now) else {
            self.counts.overflowed += 1;
            return None;
        };
        self.counts.carried += 1;
        self.counts.bytes += bytes as u64;
        let jitter = conditions
            .jitter
            .mul_f64(self.random.random_range(0.0..=2.0));
        let delay = (conditions.delay + jitter).saturating_sub(conditions.jitter);
        let arrives = through + delay;
        if self.random.random_bool(conditions.reordered) {
            return Some(arrives + OVERTAKEN_BY);
        }
        let arrives = self.latest.map_or(arrives, |latest| arrives.max(latest));
        self.latest = Some(arrives);
        Some(arrives)
    }

    /// When the bottleneck is through with it; `None` when its queue is full.
    fn queue(&mut self, conditions: &Conditions, bytes: usize, now: Instant) -> Option<Instant> {
        let Some(rate) = conditions.bits_per_second else {
            return Some(now);
        };
        let begins = self.free_at.map_or(now, |free| free.max(now));
        if begins - now > QUEUE {
            return None;
        }
        let takes = Duration::from_secs_f64(bytes as f64 * 8.0 / rate as f64);
        self.free_at = Some(begins + takes);
        self.free_at
    }
}

/// What is reordered comes so much later than its neighbours.
const OVERTAKEN_BY: Duration = Duration::from_millis(20);

/// As long as datagrams wait at a bottleneck.
const QUEUE: Duration = Duration::from_millis(200);

/// So many datagrams of `bytes`, one each millisecond: when they arrive, in milliseconds.
fn arrivals(conditions: Conditions, count: u64, bytes: usize) -> (Vec<u64>, Counts) {
    let (mut direction, start) = (Direction::new(1), Instant::now());
    let mut all = Vec::new();
    for sent in 0..count {
        let now = start + Duration::from_millis(sent);
        let arrive = direction.decide(&conditions, bytes, now);
        all.extend(arrive.map(|at| (at - start).as_millis() as u64));
    }
    (all, direction.counts)
}

#[test]
fn a_good_network_only_takes_its_time() {
    let conditions = Conditions {
        delay: Duration::from_millis(30),
        ..Conditions::default()
    };
    assert_eq!(
        arrivals(conditions, 100, 1000).0,
        (30..130).collect::<Vec<_>>()
    );
}

#[test]
fn a_tenth_is_lost_and_another_comes_twice() {
    let conditions = Conditions {
        loss: 0.1,
        duplicated: 0.1,
        ..Conditions::default()
    };
    let (arrived, counts) = arrivals(conditions, 10_000, 1000);
    assert!((900..1100).contains(&counts.lost), "{counts:?}");
    let twice = arrived.len() as u64 - counts.carried;
    assert!((800..1000).contains(&twice), "{twice}");
}

#[test]
fn neighbours_keep_their_order_but_for_those_that_are_told_not_to() {
    let jittery = Conditions {
        delay: Duration::from_millis(50),
        jitter: Duration::from_millis(20),
        ..Conditions::default()
    };
    assert!(arrivals(jittery, 1000, 1000).0.is_sorted());
    let reordered = Conditions {
        reordered: 0.05,
        ..jittery
    };
    let arrived = arrivals(reordered, 1000, 1000).0;
    let overtaken = arrived.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!((20..80).contains(&overtaken), "{overtaken}");
}

#[test]
fn a_bottleneck_takes_what_it_takes_and_its_queue_is_short() {
    let conditions = Conditions {
        bits_per_second: Some(1_000_000),
        ..Conditions::default()
    };
    // Eight times too much for it.
    let (arrived, counts) = arrivals(conditions, 1000, 1000);
    assert!((140..160).contains(&counts.carried), "{counts:?}");
    assert_eq!(counts.overflowed, 1000 - counts.carried);
    let queued = arrived.last().unwrap() - 1000;
    assert!((190..=210).contains(&queued), "{queued}");
}
