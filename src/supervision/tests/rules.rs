//! One rule after the other.

use std::time::{Duration, Instant};

use crate::call::CallError;
use crate::supervision::error::{
    ChildStartError, StartChildError, StopChildError, SupervisorFailure,
};
use crate::supervision::event::ChildEnd;
use crate::supervision::intensity::RestartIntensity;
use crate::supervision::life::{ChildKey, Incarnation, Phase};
use crate::supervision::machine::{Effect, KILL_DEADLINE, Settings, SupervisorMachine};
use crate::supervision::policy::{Backoff, ChildPolicy, Restart, Strategy};

const SECOND: Duration = Duration::from_secs(1);

/// A supervisor without actors; its children start and stop as the test says.
struct Stage {
    machine: SupervisorMachine,
    keys: Vec<ChildKey>,
    now: Instant,
}

impl Stage {
    /// With children `0`, `1`, … that run.
    fn new(strategy: Strategy, policies: &[ChildPolicy]) -> Self {
        let settings = Settings {
            strategy,
            intensity: RestartIntensity::new(3, 5 * SECOND),
            max_children: 5,
        };
        let mut machine = SupervisorMachine::new(settings);
        let now = Instant::now();
        let ids = (0..).map(|number: usize| number.to_string());
        let children = policies.iter().zip(ids);
        let keys = children.map(|(policy, id)| machine.adopt(id.into(), *policy, now));
        Self {
            keys: keys.collect(),
            machine,
            now,
        }
    }

    fn of_three(strategy: Strategy) -> Self {
        Self::new(strategy, &[ChildPolicy::default(); 3])
    }

    /// What the machine wants done, beside what it tells.
    fn act(
        &mut self,
        act: impl FnOnce(&mut SupervisorMachine, Instant, &mut Vec<Effect>),
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        act(&mut self.machine, self.now, &mut effects);
        effects.retain(|it| !matches!(it, Effect::TellEnd(..) | Effect::TellRestart { .. }));
        effects
    }

    fn ends(&mut self, child: usize, end: ChildEnd) -> Vec<Effect> {
        let key = self.keys[child];
        self.act(|machine, now, effects| machine.handle_ended(key, end, now, effects))
    }

    fn fails(&mut self, child: usize) -> Vec<Effect> {
        self.ends(child, ChildEnd::Failed("on purpose".into()))
    }

    fn stops(&mut self, child: usize) -> Vec<Effect> {
        self.ends(child, ChildEnd::Stopped(None))
    }

    /// The start that was wanted last is done.
    fn started(&mut self, child: usize) -> Vec<Effect> {
        let (key, incarnation) = self.start_of(child);
        self.act(|machine, now, effects| {
            assert!(machine.handle_started(key, incarnation, now, effects));
        })
    }

    fn start_fails(&mut self, child: usize) -> Vec<Effect> {
        let (key, incarnation) = self.start_of(child);
        let error = ChildStartError::Failed("on purpose".into());
        self.act(|machine, now, effects| {
            machine.handle_start_failed(key, incarnation, error, now, effects);
        })
    }

    fn start_of(&self, child: usize) -> (ChildKey, Incarnation) {
        let key = self.keys[child];
        (key, self.machine.children[&key].incarnation)
    }

    fn add(&mut self, id: &str, policy: ChildPolicy) -> Result<Vec<Effect>, StartChildError> {
        let (mut added, id) = (None, id.into());
        let effects = self.act(|machine, now, effects| {
            added = Some(machine.handle_start_child(id, policy, now, effects));
        });
        self.keys.push(added.unwrap()?);
        Ok(effects)
    }

    fn remove(&mut self, id: &str) -> Result<Vec<Effect>, StopChildError> {
        let (mut removed, id) = (None, id.into());
        let effects = self.act(|machine, now, effects| {
            removed = Some(machine.handle_stop_child(&id, now, effects));
        });
        removed.unwrap().map(|_| effects)
    }

    /// Time passes up to the next deadline, which is so far away.
    fn wait(&mut self, after: Duration) -> Vec<Effect> {
        let due = self.machine.next_deadline().unwrap();
        assert_eq!(due - self.now, after);
        self.now = due;
        self.act(|machine, now, effects| machine.handle_time(now, effects))
    }

    fn is_start(&self, effects: &[Effect], child: usize) -> bool {
        let (key, incarnation) = self.start_of(child);
        effects == [Effect::Start(key, incarnation)]
    }

    fn phase(&self, child: usize) -> Phase {
        self.machine.children[&self.keys[child]].phase
    }
}

fn policy(restart: Restart) -> ChildPolicy {
    ChildPolicy {
        restart,
        ..ChildPolicy::default()
    }
}

#[test]
fn one_for_one_starts_the_one_that_failed_and_touches_no_other() {
    let mut stage = Stage::of_three(Strategy::OneForOne);
    let effects = stage.fails(1);
    assert!(stage.is_start(&effects, 1));
    assert_eq!(stage.started(1), []);
    assert_eq!(stage.machine.next_deadline(), None);
}

#[test]
fn one_for_all_stops_the_others_from_the_last_to_the_first_and_starts_all_from_the_first() {
    let mut stage = Stage::of_three(Strategy::OneForAll);
    assert_eq!(stage.fails(1), [Effect::Stop(stage.keys[2])]);
    assert_eq!(stage.stops(2), [Effect::Stop(stage.keys[0])]);
    for child in 0..3 {
        let effects = if child == 0 {
            stage.stops(0)
        } else {
            stage.started(child - 1)
        };
        assert!(stage.is_start(&effects, child), "{child}: {effects:?}");
    }
    assert_eq!(stage.started(2), []);
}

#[test]
fn rest_for_one_leaves_those_before_alone() {
    let mut stage = Stage::of_three(Strategy::RestForOne);
    assert_eq!(stage.fails(1), [Effect::Stop(stage.keys[2])]);
    let effects = stage.stops(2);
    assert!(stage.is_start(&effects, 1));
    let effects = stage.started(1);
    assert!(stage.is_start(&effects, 2));
    assert!(matches!(stage.phase(0), Phase::Up { .. }));
}

#[test]
fn a_failure_before_a_restart_under_way_widens_it_and_one_within_is_part_of_it() {
    let mut stage = Stage::of_three(Strategy::RestForOne);
    assert_eq!(stage.fails(1), [Effect::Stop(stage.keys[2])]);
    // Waited for, and not counted.
    let effects = stage.fails(2);
    assert!(stage.is_start(&effects, 1));
    // Now the first: whoever was being started is not waited for.
    let (second, _) = stage.start_of(1);
    let effects = stage.fails(0);
    assert_eq!(effects[0], Effect::AbortStart(second));
    assert!(stage.is_start(&effects[1..], 0), "{effects:?}");
    let effects = stage.started(0);
    assert!(stage.is_start(&effects, 1));
}

#[test]
fn what_a_restart_has_started_already_stays_when_a_later_one_fails_again() {
    let mut stage = Stage::of_three(Strategy::RestForOne);
    stage.fails(0);
    stage.stops(2);
    stage.stops(1);
    stage.started(0);
    let effects = stage.start_fails(1);
    assert!(stage.is_start(&effects, 1));
    assert!(matches!(stage.phase(0), Phase::Up { .. }));
}

#[test]
fn a_permanent_child_is_started_again_however_it_ends_a_transient_one_when_it_fails_a_temporary_one_never()
 {
    let killed = ChildEnd::Killed;
    let stopped = ChildEnd::Stopped(Some("done".into()));
    for (restart, end, is_started) in [
        (Restart::Permanent, &stopped, true),
        (Restart::Permanent, &killed, true),
        (Restart::Transient, &stopped, false),
        (Restart::Transient, &killed, true),
        (Restart::Temporary, &stopped, false),
        (Restart::Temporary, &killed, false),
    ] {
        let mut stage = Stage::new(Strategy::OneForOne, &[policy(restart)]);
        let effects = stage.ends(0, end.clone());
        let found = effects.iter().any(|it| matches!(it, Effect::Start(..)));
        assert_eq!(found, is_started, "{restart:?} {end:?}");
        let is_known = stage.machine.children.contains_key(&stage.keys[0]);
        assert_eq!(is_known, restart != Restart::Temporary);
    }
}

#[test]
fn of_those_that_go_along_a_temporary_one_is_stopped_for_good_and_one_that_had_ended_comes_back() {
    let policies = [Restart::Permanent, Restart::Temporary, Restart::Transient].map(policy);
    let mut stage = Stage::new(Strategy::OneForAll, &policies);
    assert_eq!(stage.stops(2), []);
    assert_eq!(stage.phase(2), Phase::Ended);
    assert_eq!(stage.fails(0), [Effect::Stop(stage.keys[1])]);
    let effects = stage.stops(1);
    assert_eq!(effects[0], Effect::Forget(stage.keys[1], None));
    assert!(stage.is_start(&effects[1..], 0));
    let effects = stage.started(0);
    assert!(stage.is_start(&effects, 2));
}

#[test]
fn a_child_that_is_late_is_killed_and_one_that_survives_that_is_left_to_itself() {
    let mut stage = Stage::of_three(Strategy::RestForOne);
    stage.fails(1);
    assert_eq!(stage.wait(5 * SECOND), [Effect::Kill(stage.keys[2])]);
    let effects = stage.wait(KILL_DEADLINE);
    assert_eq!(effects[0], Effect::Abandon(stage.keys[2]));
    assert!(stage.is_start(&effects[1..], 1));
}

#[test]
fn without_time_to_stop_a_child_is_killed_at_once() {
    let hard = ChildPolicy {
        shutdown: Duration::ZERO,
        ..ChildPolicy::default()
    };
    let mut stage = Stage::new(Strategy::OneForAll, &[ChildPolicy::default(), hard]);
    assert_eq!(stage.fails(0), [Effect::Kill(stage.keys[1])]);
}

#[test]
fn pauses_double_up_to_the_maximum_and_begin_anew_after_a_long_run() {
    let patient = ChildPolicy {
        backoff: Some(Backoff::new(2 * SECOND, 6 * SECOND)),
        ..ChildPolicy::default()
    };
    let mut stage = Stage::new(Strategy::OneForOne, &[patient]);
    for pause in [2, 4, 6] {
        assert_eq!(stage.fails(0), []);
        let effects = stage.wait(pause * SECOND);
        assert!(stage.is_start(&effects, 0));
        stage.started(0);
    }
    stage.now += 7 * SECOND;
    stage.fails(0);
    stage.wait(2 * SECOND);
}

#[test]
fn a_start_that_fails_is_one_more_failure_with_a_longer_pause() {
    let patient = ChildPolicy {
        backoff: Some(Backoff::new(SECOND, 60 * SECOND)),
        ..ChildPolicy::default()
    };
    let mut stage = Stage::new(Strategy::OneForOne, &[patient]);
    stage.fails(0);
    stage.wait(SECOND);
    assert_eq!(stage.start_fails(0), []);
    stage.wait(2 * SECOND);
}

#[test]
fn one_failure_too_many_and_the_supervisor_gives_up_with_a_reason() {
    let mut stage = Stage::of_three(Strategy::OneForOne);
    for child in [0, 1, 0] {
        stage.fails(child);
        stage.started(child);
    }
    let failure = SupervisorFailure::TooManyRestarts {
        child: "2".into(),
        end: ChildEnd::Killed,
        restarts: 3,
        period: 5 * SECOND,
    };
    assert_eq!(
        failure.to_string(),
        "more than 3 restarts within 5s: 2 was killed"
    );
    assert_eq!(stage.ends(2, ChildEnd::Killed), [Effect::GiveUp(failure)]);
    // Nothing more is decided.
    assert_eq!(stage.fails(0), []);
    assert_eq!(stage.machine.next_deadline(), None);
}

#[test]
fn failures_that_a_restart_brings_about_itself_are_not_counted() {
    let mut stage = Stage::of_three(Strategy::OneForAll);
    stage.fails(0);
    stage.fails(2);
    let effects = stage.fails(1);
    assert!(stage.is_start(&effects, 0));
    for child in 0..3 {
        stage.started(child);
    }
    // Two more are allowed.
    assert_ne!(stage.fails(0), []);
    assert_eq!(stage.stops(2), [Effect::Stop(stage.keys[1])]);
}

#[test]
fn a_child_is_added_once_and_only_where_there_is_room() {
    let mut stage = Stage::of_three(Strategy::OneForOne);
    let effects = stage.add("more", ChildPolicy::default()).unwrap();
    assert!(stage.is_start(&effects, 3));
    let again = stage.add("more", ChildPolicy::default());
    assert_eq!(again, Err(StartChildError::Duplicate("more".into())));
    stage.add("one more", ChildPolicy::default()).unwrap();
    let full = stage.add("too many", ChildPolicy::default());
    assert_eq!(full, Err(StartChildError::TooManyChildren { limit: 5 }));
}

#[test]
fn an_added_child_that_does_not_start_is_forgotten_and_counts_for_nothing() {
    let mut stage = Stage::of_three(Strategy::OneForOne);
    for _ in 0..10 {
        stage.add("more", ChildPolicy::default()).unwrap();
        let last = stage.keys.len() - 1;
        let error = StartChildError::Start(ChildStartError::Failed("on purpose".into()));
        let gone = Effect::Forget(stage.keys[last], Some(error));
        assert_eq!(stage.start_fails(last), [gone]);
    }
    assert_eq!(stage.machine.children.len(), 3);
}

#[test]
fn a_child_that_is_added_while_all_are_started_again_waits_for_its_turn() {
    let mut stage = Stage::of_three(Strategy::OneForAll);
    stage.fails(0);
    assert_eq!(stage.add("more", ChildPolicy::default()).unwrap(), []);
    stage.stops(2);
    stage.stops(1);
    stage.started(0);
    stage.started(1);
    let effects = stage.started(2);
    assert!(stage.is_start(&effects, 3));
}

#[test]
fn an_added_child_that_has_done_its_work_is_forgotten() {
    let mut stage = Stage::of_three(Strategy::OneForOne);
    stage.add("more", policy(Restart::Transient)).unwrap();
    stage.started(3);
    assert_eq!(stage.stops(3), [Effect::Forget(stage.keys[3], None)]);
}

#[test]
fn a_child_that_is_taken_away_stops_and_does_not_come_back() {
    let mut stage = Stage::of_three(Strategy::OneForAll);
    assert_eq!(stage.remove("1").unwrap(), [Effect::Stop(stage.keys[1])]);
    assert_eq!(stage.fails(1), [Effect::Forget(stage.keys[1], None)]);
    let unknown = stage.remove("1");
    assert_eq!(unknown, Err(StopChildError::Unknown("1".into())));
}

#[test]
fn a_child_that_is_taken_away_during_its_pause_does_not_come_back() {
    let patient = ChildPolicy {
        backoff: Some(Backoff::new(SECOND, SECOND)),
        ..ChildPolicy::default()
    };
    let mut stage = Stage::new(Strategy::OneForOne, &[patient]);
    stage.fails(0);
    let gone = Effect::Forget(stage.keys[0], Some(StartChildError::Stopped));
    assert_eq!(stage.remove("0").unwrap(), [gone]);
    assert_eq!(stage.machine.next_deadline(), None);
    assert!(stage.machine.rounds.is_empty());
}

#[test]
fn a_child_that_is_taken_away_while_it_starts_is_not_waited_for() {
    let mut stage = Stage::of_three(Strategy::RestForOne);
    stage.fails(1);
    stage.stops(2);
    let (key, incarnation) = stage.start_of(1);
    let effects = stage.remove("1").unwrap();
    assert_eq!(effects[0], Effect::AbortStart(key));
    assert!(matches!(effects[1], Effect::Forget(forgotten, _) if forgotten == key));
    assert!(stage.is_start(&effects[2..], 2));
    // It was quicker than that.
    stage.act(|machine, now, effects| {
        assert!(!machine.handle_started(key, incarnation, now, effects));
    });
}

#[test]
fn a_start_that_was_given_up_is_not_taken_for_the_next_one() {
    let mut stage = Stage::of_three(Strategy::OneForAll);
    stage.fails(0);
    stage.stops(2);
    stage.stops(1);
    stage.started(0);
    let (key, former) = stage.start_of(1);
    stage.fails(0);
    stage.started(0);
    assert_ne!(stage.start_of(1), (key, former));
    stage.act(|machine, now, effects| {
        assert!(!machine.handle_started(key, former, now, effects));
    });
    assert_eq!(stage.phase(1), Phase::Starting);
}

#[test]
fn at_the_end_children_that_came_later_stop_together_and_the_others_from_the_last_to_the_first() {
    let mut stage = Stage::of_three(Strategy::OneForOne);
    for child in [3, 4] {
        let id = child.to_string();
        stage.add(&id, ChildPolicy::default()).unwrap();
        stage.started(child);
    }
    let order = stage.machine.order_of_stopping().into_iter();
    let order = order.map(|group| group.into_iter().map(|(key, _)| key).collect());
    let keys = &stage.keys;
    let expected = [
        vec![keys[4], keys[3]],
        vec![keys[2]],
        vec![keys[1]],
        vec![keys[0]],
    ];
    assert_eq!(order.collect::<Vec<Vec<_>>>(), expected);
}

#[test]
fn where_children_need_each_other_they_stop_one_by_one_when_they_came_later_as_well() {
    let mut stage = Stage::new(Strategy::RestForOne, &[ChildPolicy::default()]);
    stage.add("1", ChildPolicy::default()).unwrap();
    stage.started(1);
    let order = stage.machine.order_of_stopping();
    let sizes: Vec<usize> = order.iter().map(Vec::len).collect();
    assert_eq!(sizes, [0, 1, 1]);
    assert_eq!(order[1][0].0, stage.keys[1]);
}

#[test]
fn errors_say_who_and_what() {
    let late = ChildStartError::Late(SECOND);
    assert_eq!(
        StartChildError::from(late.clone()).to_string(),
        "not started within 1s"
    );
    let end = ChildEnd::NotStarted(late);
    assert_eq!(end.to_string(), "did not start: not started within 1s");
    let gone = StopChildError::from(CallError::Stopped);
    assert_eq!(gone.to_string(), "actor has stopped");
}
