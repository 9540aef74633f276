//! What a subscriber's path takes, divided over what it is to be sent.

use std::time::{Duration, Instant};

/// One subscription that may have one of several encodings, or has to have one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// What each encoding takes that it may have, in bits per second, the lowest first. Never empty.
    pub(super) steps: Vec<u64>,
    /// The one that it has; `None` when it has none yet.
    pub(super) had: Option<usize>,
}

/// What is available, as far as it is known, and what of it other things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    pub(super) available: Option<u64>,
    /// What is sent in any case.
    pub(super) reserved: u64,
}

/// When a subscriber may have more: once there has been room for a while, and for longer after it turned out that there was none.
#[derive(Debug)]
pub(super) struct Pace {
    room_since: Option<Instant>,
    hold: Duration,
    rose_at: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            room_since: None,
            hold: HOLD,
            rose_at: None,
        }
    }
}

impl Demand {
    /// The highest that it may have now.
    fn limit(&self, may_rise: bool) -> usize {
        let last = self.steps.len() - 1;
        self.had.filter(|_| !may_rise).unwrap_or(last).min(last)
    }

    /// What a step has to find room for: more than it takes, where it is more than before.
    fn price(&self, step: usize) -> u64 {
        let cost = self.steps[step];
        if self.had.is_some_and(|had| step <= had) {
            cost
        } else {
            with_margin(cost)
        }
    }
}

impl Pace {
    /// The step that each is to have now, and when to decide again though nothing changes.
    ///
    /// What does not fit is given up at once, and what is new begins with what fits. More is given when there has been room for it for
    /// some time. So is what one has to give up for the others, when all have what fits.
    pub(super) fn decide(
        &mut self,
        now: Instant,
        budget: Budget,
        demands: &mut [Demand],
    ) -> (Vec<usize>, Option<Instant>) {
        let Some(room) = budget.room() else {
            *self = Self::default();
            return (demands.iter().map(|it| it.limit(true)).collect(), None);
        };
        let picks = divide(room, demands, false);
        let is_less = |(demand, pick): (&Demand, &usize)| demand.had.is_some_and(|had| *pick < had);
        if demands.iter().zip(&picks).any(is_less) {
            self.fall(now);
        }
        for (demand, pick) in demands.iter_mut().zip(&picks) {
            demand.had = Some(*pick);
        }
        let more = divide(room, demands, true);
        if more == picks {
            self.room_since = None;
            return (picks, None);
        }
        let due = *self.room_since.get_or_insert(now) + self.hold;
        if now < due {
            return (picks, Some(due));
        }
        self.rise(now);
        (more, None)
    }

    fn fall(&mut self, now: Instant) {
        self.room_since = None;
        let was_in_vain = |at: Instant| now.saturating_duration_since(at) < PROBATION;
        if self.rose_at.take().is_some_and(was_in_vain) {
            self.hold = (self.hold * 2).min(LONGEST_HOLD);
        }
    }

    fn rise(&mut self, now: Instant) {
        let was_good = |at: Instant| now.saturating_duration_since(at) >= PROBATION;
        if self.rose_at.is_some_and(was_good) {
            self.hold = HOLD;
        }
        self.room_since = None;
        self.rose_at = Some(now);
    }
}

impl Budget {
    fn room(self) -> Option<u64> {
        let available = self.available?;
        Some(available.saturating_sub(self.reserved))
    }
}

/// What would be sent if the path took everything, with what it takes to find that out.
pub(super) fn desired(reserved: u64, demands: &[Demand]) -> u64 {
    let highest = demands.iter().filter_map(|it| it.steps.last());
    with_margin(reserved + highest.sum::<u64>())
}

/// Everybody gets the lowest, whether there is room or not. Then, the cheapest step first, the next ones, as long as there is room.
fn divide(room: u64, demands: &[Demand], may_rise: bool) -> Vec<usize> {
    let mut picks = vec![0; demands.len()];
    let mut spent: u64 = demands.iter().map(|it| it.price(0)).sum();
    let mut open: Vec<usize> = (0..demands.len()).collect();
    loop {
        open.retain(|index| picks[*index] < demands[*index].limit(may_rise));
        let price = |index: usize| demands[index].price(picks[index] + 1);
        let Some(next) = open.iter().copied().min_by_key(|index| price(*index)) else {
            return picks;
        };
        let before = demands[next].price(picks[next]);
        let after = spent.saturating_sub(before).saturating_add(price(next));
        if after <= room {
            spent = after;
            picks[next] += 1;
        } else {
            open.retain(|index| *index != next);
        }
    }
}

/// Estimates and encoders waver; and what is lost is sent again.
fn with_margin(cost: u64) -> u64 {
    cost.saturating_add(cost / 5)
}

/// How long there has to be room before more is sent.
const HOLD: Duration = Duration::from_secs(2);

/// The same after several times in vain.
const LONGEST_HOLD: Duration = Duration::from_secs(32);

/// More that is given up again so soon was in vain.
const PROBATION: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KILO: u64 = 1000;

    fn demand(steps: &[u64], had: Option<usize>) -> Demand {
        Demand {
            steps: steps.iter().map(|step| step * KILO).collect(),
            had,
        }
    }

    fn budget(available: u64) -> Budget {
        Budget {
            available: Some(available * KILO),
            reserved: 0,
        }
    }

    const THREE: [u64; 3] = [150, 500, 1500];

    /// A subscriber with time, and what it has.
    struct Bench {
        pace: Pace,
        demands: Vec<Demand>,
        start: Instant,
        now: Instant,
    }

    impl Bench {
        fn new(demands: Vec<Demand>) -> Self {
            let now = Instant::now();
            Self {
                pace: Pace::default(),
                demands,
                start: now,
                now,
            }
        }

        fn decide(&mut self, available: u64) -> Vec<usize> {
            let budget = budget(available);
            let (picks, _) = self.pace.decide(self.now, budget, &mut self.demands);
            for (demand, pick) in self.demands.iter_mut().zip(&picks) {
                demand.had = Some(*pick);
            }
            picks
        }

        /// Decides until everybody has this; says after how many milliseconds.
        fn until(&mut self, available: u64, expected: &[usize]) -> u64 {
            let start = self.now;
            while self.decide(available) != expected {
                self.now += Duration::from_millis(100);
                assert!(
                    self.now < start + Duration::from_secs(100),
                    "{:?}",
                    self.demands
                );
            }
            u64::try_from((self.now - start).as_millis()).unwrap()
        }
    }

    #[test]
    fn without_an_estimate_everybody_has_the_best() {
        let mut demands = [demand(&THREE, Some(0)), demand(&[300], None)];
        let unknown = Budget {
            available: None,
            reserved: 1,
        };
        let decided = Pace::default().decide(Instant::now(), unknown, &mut demands);
        assert_eq!(decided, (vec![2, 0], None));
    }

    #[test]
    fn what_is_new_begins_with_what_fits() {
        let picks = |available| Bench::new(vec![demand(&THREE, None)]).decide(available);
        assert_eq!(picks(300), [0]);
        assert_eq!(picks(700), [1]);
        assert_eq!(picks(2000), [2]);
    }

    #[test]
    fn what_does_not_fit_is_given_up_at_once_and_taken_again_when_there_was_room_for_a_while() {
        let mut bench = Bench::new(vec![demand(&THREE, Some(2))]);
        assert_eq!(bench.decide(1500), [2]);
        assert_eq!(bench.decide(1400), [1]);
        assert_eq!(bench.decide(400), [0]);
        // There is room for what it takes, and nothing to spare.
        assert_eq!(bench.decide(550), [0]);
        assert_eq!(bench.until(650, &[1]), 2000);
    }

    #[test]
    fn room_that_comes_and_goes_is_no_room() {
        let mut bench = Bench::new(vec![demand(&THREE, Some(1))]);
        for turn in 0..100 {
            let available = if turn % 15 == 14 { 1000 } else { 2000 };
            assert_eq!(bench.decide(available), [1]);
            bench.now += Duration::from_millis(100);
        }
    }

    #[test]
    fn who_has_risen_in_vain_waits_longer_each_time_and_less_when_it_was_good() {
        let mut bench = Bench::new(vec![demand(&THREE, Some(1))]);
        let mut waited = Vec::new();
        for _ in 0..7 {
            waited.push(bench.until(2000, &[2]));
            bench.now += Duration::from_secs(1);
            assert_eq!(bench.decide(1000), [1]);
        }
        assert_eq!(waited, [2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000]);
        bench.until(2000, &[2]);
        bench.now += Duration::from_secs(20);
        assert_eq!(bench.decide(1000), [1]);
        bench.until(2000, &[2]);
        bench.now += Duration::from_secs(20);
        assert_eq!(bench.decide(1000), [1]);
        assert!(bench.now - bench.start > Duration::from_secs(100));
    }

    #[test]
    fn two_share_the_cheapest_steps_first() {
        let mut bench = Bench::new(vec![demand(&THREE, Some(2)), demand(&THREE, Some(0))]);
        // All fits, so that nobody gives up anything before the other may have it.
        assert_eq!(bench.decide(2000), [2, 0]);
        assert_eq!(bench.until(2000, &[1, 1]), 2000);
        assert_eq!(bench.until(2500, &[2, 1]), 2000);
        assert_eq!(bench.until(2500, &[2, 1]), 0);
    }

    #[test]
    fn what_is_reserved_comes_first_and_the_lowest_stays() {
        let mut pace = Pace::default();
        let mut demands = [demand(&THREE, Some(1)), demand(&[500], Some(0))];
        let scarce = Budget {
            available: Some(600 * KILO),
            reserved: 100 * KILO,
        };
        let (picks, _) = pace.decide(Instant::now(), scarce, &mut demands);
        assert_eq!(picks, [0, 0]);
        assert_eq!(desired(100 * KILO, &demands), 2520 * KILO);
    }

    fn demands() -> impl Strategy<Value = Vec<Demand>> {
        let steps = prop::collection::vec(0_u64..3_000_000, 1..5);
        let one = (steps, prop::option::of(0_usize..5)).prop_map(|(mut steps, had)| {
            steps.sort_unstable();
            let had = had.map(|had| had.min(steps.len() - 1));
            Demand { steps, had }
        });
        prop::collection::vec(one, 0..8)
    }

    fn cost(demands: &[Demand], picks: &[usize]) -> u64 {
        let all = demands.iter().zip(picks);
        all.map(|(demand, pick)| demand.steps[*pick]).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_given_fits_or_is_the_lowest(
            available in 0_u64..10_000_000,
            reserved in 0_u64..1_000_000,
            demands in demands(),
        ) {
            let budget = Budget { available: Some(available), reserved };
            let (picks, _) = Pace::default().decide(Instant::now(), budget, &mut demands.clone());
            let spent = reserved + cost(&demands, &picks);
            prop_assert!(spent <= available || picks.iter().all(|pick| *pick == 0));
        }

        #[test]
        fn nobody_has_more_before_the_time_and_who_has_what_fits_keeps_it(
            available in 0_u64..10_000_000,
            demands in demands(),
        ) {
            let mut pace = Pace::default();
            let now = Instant::now();
            let budget = Budget { available: Some(available), reserved: 0 };
            let (picks, due) = pace.decide(now, budget, &mut demands.clone());
            for (demand, pick) in demands.iter().zip(&picks) {
                prop_assert!(demand.had.is_none_or(|had| *pick <= had));
            }
            let had: Option<Vec<_>> = demands.iter().map(|it| it.had).collect();
            if let Some(had) = had && cost(&demands, &had) <= available {
                prop_assert_eq!(&picks, &had);
            }
            prop_assert!(due.is_none_or(|due| due == now + HOLD));
        }

        // An estimate that stays is the end of all changes, after one rise at most.
        #[test]
        fn a_steady_path_leads_to_rest(
            available in 0_u64..10_000_000,
            demands in demands(),
        ) {
            let mut bench = Bench::new(demands);
            let mut changes = 0;
            let mut before = bench.decide(available / KILO);
            for _ in 0..200 {
                bench.now += Duration::from_millis(500);
                let picks = bench.decide(available / KILO);
                changes += usize::from(picks != before);
                before = picks;
            }
            prop_assert!(changes <= 3, "{} changes", changes);
        }

        #[test]
        fn nobody_could_have_one_more(room in 0_u64..10_000_000, demands in demands()) {
            let picks = divide(room, &demands, true);
            let price = |demand: &Demand, pick: usize| demand.price(pick);
            let spent: u64 = demands.iter().zip(&picks).map(|(it, pick)| price(it, *pick)).sum();
            for (demand, pick) in demands.iter().zip(&picks) {
                if *pick < demand.limit(true) {
                    let more = spent - price(demand, *pick) + price(demand, pick + 1);
                    prop_assert!(more > room);
                }
            }
        }
    }
}
