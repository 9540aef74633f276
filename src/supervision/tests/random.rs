//! Whatever fails, in whatever order: no child runs twice, none that should run is forgotten, and all happens in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::{Strategy as Generator, *};
use proptest::sample::Index;

use crate::supervision::error::ChildStartError;
use crate::supervision::event::ChildEnd;
use crate::supervision::intensity::RestartIntensity;
use crate::supervision::life::{ChildKey, Incarnation, Phase};
use crate::supervision::machine::{Effect, KILL_DEADLINE, Settings, SupervisorMachine};
use crate::supervision::policy::{Backoff, ChildPolicy, Restart, Strategy};

/// One thing that may happen; children are chosen among all that ever were.
#[derive(Clone, Debug)]
enum Step {
    /// One that runs ends by itself.
    End(Index, ChildEnd),
    /// One that was asked to stop, or killed, does.
    Obey(Index),
    StartDone(Index, bool),
    Add(ChildPolicy),
    Remove(Index),
    Pass(Duration),
}

fn step() -> impl Generator<Value = Step> {
    let which = any::<Index>;
    prop_oneof![
        20 => (which(), end()).prop_map(|(who, end)| Step::End(who, end)),
        30 => which().prop_map(Step::Obey),
        40 => (which(), prop::bool::weighted(0.8)).prop_map(|(who, well)| Step::StartDone(who, well)),
        8 => policy().prop_map(Step::Add),
        5 => which().prop_map(Step::Remove),
        20 => (0..4_000_u64).prop_map(|ms| Step::Pass(Duration::from_millis(ms))),
    ]
}

fn end() -> impl Generator<Value = ChildEnd> {
    prop_oneof![
        Just(ChildEnd::Killed),
        Just(ChildEnd::Stopped(None)),
        Just(ChildEnd::Failed("on purpose".into())),
    ]
}

fn policy() -> impl Generator<Value = ChildPolicy> {
    let restart = prop_oneof![
        6 => Just(Restart::Permanent),
        2 => Just(Restart::Transient),
        1 => Just(Restart::Temporary),
    ];
    let backoff = prop::option::of(Just(Backoff::new(
        Duration::from_millis(500),
        Duration::from_secs(4),
    )));
    let shutdown = (0..3_u64).prop_map(Duration::from_secs);
    (restart, backoff, shutdown).prop_map(|(restart, backoff, shutdown)| ChildPolicy {
        restart,
        shutdown,
        backoff,
    })
}

fn strategy() -> impl Generator<Value = Strategy> {
    prop_oneof![
        Just(Strategy::OneForOne),
        Just(Strategy::OneForAll),
        Just(Strategy::RestForOne),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn all_that_should_run_does_in_the_end_once_and_in_order(
        strategy in strategy(),
        restarts in 0..30_u32,
        policies in prop::collection::vec(policy(), 0..6),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(strategy, restarts, policies);
        for step in steps {
            world.take(step);
            world.check();
        }
        world.settle();
    }
}

/// The supervisor, and what its shell would have.
struct World {
    settings: Settings,
    machine: SupervisorMachine,
    now: Instant,
    /// All that ever were, in their order.
    keys: Vec<ChildKey>,
    policies: BTreeMap<ChildKey, ChildPolicy>,
    actors: BTreeMap<ChildKey, Actor>,
    starting: BTreeMap<ChildKey, Incarnation>,
    /// Which actor each child has is told by these.
    incarnations: u64,
    failures: Vec<Instant>,
    gave_up: bool,
}

#[derive(Clone, Copy, Debug)]
struct Actor {
    number: u64,
    is_asked: bool,
}

impl World {
    fn new(strategy: Strategy, restarts: u32, policies: Vec<ChildPolicy>) -> Self {
        let settings = Settings {
            strategy,
            intensity: RestartIntensity::new(restarts, Duration::from_secs(10)),
            max_children: 8,
        };
        let mut world = Self {
            settings,
            machine: SupervisorMachine::new(settings),
            now: Instant::now(),
            keys: Vec::new(),
            policies: BTreeMap::new(),
            actors: BTreeMap::new(),
            starting: BTreeMap::new(),
            incarnations: 0,
            failures: Vec::new(),
            gave_up: false,
        };
        for policy in policies {
            let id = world.keys.len().to_string();
            let key = world.machine.adopt(id.into(), policy, world.now);
            world.keys.push(key);
            world.policies.insert(key, policy);
            world.runs(key);
        }
        world
    }

    fn take(&mut self, step: Step) {
        if self.gave_up {
            return;
        }
        let mut effects = Vec::new();
        let (machine, now) = (&mut self.machine, self.now);
        match step {
            Step::End(who, end) => {
                if let Some(key) = pick(who, self.actors.keys()) {
                    self.end(key, end);
                }
            }
            Step::Obey(who) => {
                let asked = self.actors.iter().filter(|(_, actor)| actor.is_asked);
                if let Some(key) = pick(who, asked.map(|(key, _)| key)) {
                    self.actors.remove(&key);
                    machine.handle_ended(key, ChildEnd::Stopped(None), now, &mut effects);
                }
            }
            Step::StartDone(who, well) => {
                if let Some(key) = pick(who, self.starting.keys()) {
                    self.start_done(key, well, &mut effects);
                }
            }
            Step::Add(policy) => {
                let id = self.keys.len().to_string();
                let added = machine.handle_start_child(id.into(), policy, now, &mut effects);
                if let Ok(key) = added {
                    self.keys.push(key);
                    self.policies.insert(key, policy);
                }
            }
            Step::Remove(who) => {
                if !self.keys.is_empty() {
                    let id = who.index(self.keys.len()).to_string();
                    let _unknown = machine.handle_stop_child(&id.into(), now, &mut effects);
                }
            }
            Step::Pass(time) => {
                self.now += time;
                machine.handle_time(self.now, &mut effects);
            }
        }
        self.perform(effects);
    }

    fn end(&mut self, key: ChildKey, end: ChildEnd) {
        let mut effects = Vec::new();
        self.actors.remove(&key);
        self.note_end(key, &end);
        self.machine.handle_ended(key, end, self.now, &mut effects);
        self.perform(effects);
    }

    fn start_done(&mut self, key: ChildKey, well: bool, effects: &mut Vec<Effect>) {
        let incarnation = self.starting.remove(&key).unwrap();
        if well {
            let accepted = self
                .machine
                .handle_started(key, incarnation, self.now, effects);
            assert!(accepted, "a start that was not given up");
            self.runs(key);
        } else {
            if self.machine.children[&key].starts > 0 {
                self.failures.push(self.now);
            }
            let error = ChildStartError::NotSupervised;
            (self.machine).handle_start_failed(key, incarnation, error, self.now, effects);
        }
    }

    fn runs(&mut self, key: ChildKey) {
        self.incarnations += 1;
        let actor = Actor {
            number: self.incarnations,
            is_asked: false,
        };
        assert!(self.actors.insert(key, actor).is_none(), "it runs twice");
    }

    /// One that nobody waits for, and that should run, counts.
    fn note_end(&mut self, key: ChildKey, end: &ChildEnd) {
        let is_up = matches!(self.machine.children[&key].phase, Phase::Up { .. });
        let is_awaited = self.machine.rounds.iter().any(|it| it.is_stopping(key));
        let restart = self.policies[&key].restart;
        let counts =
            restart == Restart::Permanent || (restart == Restart::Transient && !end.is_normal());
        if is_up && !is_awaited && counts && !self.gave_up {
            self.failures.push(self.now);
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            assert!(!self.gave_up, "{effect:?} after the end");
            match effect {
                Effect::Start(key, incarnation) => {
                    assert!(!self.actors.contains_key(&key), "it runs already");
                    self.check_those_before(key);
                    assert!(self.starting.insert(key, incarnation).is_none());
                }
                Effect::AbortStart(key) => {
                    self.starting.remove(&key).expect("a start to give up");
                }
                Effect::Stop(key) | Effect::Kill(key) => {
                    let actor = self.actors.get_mut(&key).expect("an actor to stop");
                    actor.is_asked = true;
                }
                Effect::Abandon(key) => {
                    let actor = self.actors.remove(&key).expect("an actor to give up");
                    assert!(actor.is_asked);
                }
                Effect::Forget(key, _) => {
                    assert!(!self.actors.contains_key(&key), "forgotten while it runs");
                    assert!(
                        !self.starting.contains_key(&key),
                        "forgotten while it starts"
                    );
                }
                Effect::GiveUp(_) => self.gave_up = true,
                Effect::TellEnd(..) | Effect::TellRestart { .. } => {}
            }
        }
    }

    /// Where children build on others, those run.
    fn check_those_before(&self, key: ChildKey) {
        if self.settings.strategy == Strategy::OneForOne {
            return;
        }
        let is_restart = self
            .machine
            .children
            .get(&key)
            .is_some_and(|it| it.starts > 0);
        for (before, child) in self.machine.children.range(..key) {
            let runs = self.actors.contains_key(before);
            let is_done =
                child.phase == Phase::Ended || matches!(child.phase, Phase::Stopping { .. });
            // One that was added is started beside another that was.
            let is_new = child.starts == 0;
            assert!(
                runs || is_done || is_new || !is_restart,
                "{before:?} before {key:?}"
            );
        }
    }

    fn check(&self) {
        let intensity = self.settings.intensity;
        let since = |at: &&Instant| self.now.saturating_duration_since(**at) < intensity.period;
        let recent = self.failures.iter().filter(since).count();
        assert!(
            self.gave_up || recent <= intensity.restarts as usize,
            "{recent} failures within the period"
        );
        for (key, child) in &self.machine.children {
            let runs = self.actors.contains_key(key);
            match child.phase {
                Phase::Up { .. } | Phase::Stopping { .. } => assert!(runs || self.gave_up),
                Phase::Starting => assert!(self.starting.contains_key(key)),
                Phase::Down => assert!(!runs),
                Phase::Ended => assert!(!runs && child.is_static),
            }
        }
        if !self.gave_up {
            let known = |key: &ChildKey| self.machine.children.contains_key(key);
            assert!(self.actors.keys().all(known), "an actor that is nobody's");
            assert!(self.starting.keys().all(known), "a start that is nobody's");
        }
    }

    /// All obey, all starts go well, and time passes, until nothing is left to be done.
    fn run_out(&mut self) {
        for _ in 0..100 {
            if self.gave_up {
                return;
            }
            let asked = self.actors.iter().find(|(_, actor)| actor.is_asked);
            let asked = asked.map(|(key, _)| *key);
            let mut effects = Vec::new();
            if let Some(key) = asked {
                self.actors.remove(&key);
                let end = ChildEnd::Stopped(None);
                self.machine.handle_ended(key, end, self.now, &mut effects);
            } else if let Some(key) = self.starting.keys().next().copied() {
                self.start_done(key, true, &mut effects);
            } else if let Some(at) = self.machine.next_deadline() {
                assert!(at >= self.now, "due and not done");
                assert!(at - self.now <= Duration::from_secs(4) + KILL_DEADLINE);
                self.now = at;
                self.machine.handle_time(self.now, &mut effects);
            }
            self.perform(effects);
            self.check();
        }
    }

    fn settle(&mut self) {
        self.run_out();
        if self.gave_up {
            return;
        }
        assert!(self.machine.rounds.is_empty(), "{:?}", self.machine.rounds);
        assert_eq!(self.machine.next_deadline(), None);
        for (key, child) in &self.machine.children {
            let runs = self.actors.contains_key(key);
            assert!(runs || child.phase == Phase::Ended, "{key:?} is forgotten");
        }
        self.check_groups();
    }

    /// A failure now concerns those that it should, and no others.
    fn check_groups(&mut self) {
        let Some(key) = self.actors.keys().nth(self.actors.len() / 2).copied() else {
            return;
        };
        let strategy = self.settings.strategy;
        let before = self.actors.clone();
        let is_to_run = self.policies[&key].restart != Restart::Temporary;
        self.now += Duration::from_secs(60);
        self.end(key, ChildEnd::Killed);
        self.run_out();
        if self.gave_up {
            return;
        }
        for (other, actor) in before {
            let is_same = self.actors.get(&other).map(|it| it.number) == Some(actor.number);
            let is_concerned = match strategy {
                Strategy::OneForOne => other == key,
                Strategy::OneForAll => is_to_run || other == key,
                Strategy::RestForOne => other == key || (is_to_run && other > key),
            };
            assert_eq!(is_same, !is_concerned, "{other:?} when {key:?} failed");
        }
    }
}

fn pick<'a>(who: Index, among: impl Iterator<Item = &'a ChildKey>) -> Option<ChildKey> {
    let among: Vec<_> = among.copied().collect();
    (!among.is_empty()).then(|| among[who.index(among.len())])
}
