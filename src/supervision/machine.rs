//! Who is started again after a failure, who is stopped before, in which order and when.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::child::ChildId;
use super::error::{ChildStartError, StartChildError, StopChildError, SupervisorFailure};
use super::event::ChildEnd;
use super::intensity::{RestartIntensity, RestartLog};
use super::life::{Child, ChildKey, Incarnation, Phase};
use super::policy::{ChildPolicy, Restart, Strategy};
use super::round::{Round, Stage};

/// Decides; the shell owns the actors and the time.
#[derive(Debug)]
pub(super) struct SupervisorMachine {
    settings: Settings,
    log: RestartLog,
    /// In the order in which they were added.
    pub(super) children: BTreeMap<ChildKey, Child>,
    /// Restarts under way; no child is in two of them.
    pub(super) rounds: Vec<Round>,
    last: u64,
    /// It has given up, or is stopping: the rest is [`Self::order_of_stopping`].
    is_over: bool,
}

/// How a supervisor acts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) strategy: Strategy,
    pub(super) intensity: RestartIntensity,
    pub(super) max_children: usize,
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Start it, and come back with [`SupervisorMachine::handle_started`] or [`SupervisorMachine::handle_start_failed`].
    Start(ChildKey, Incarnation),
    /// Not that start any more.
    AbortStart(ChildKey),
    /// Ask it to stop.
    Stop(ChildKey),
    /// It is late.
    Kill(ChildKey),
    /// It will not end; it is no child any more.
    Abandon(ChildKey),
    /// It has ended.
    TellEnd(ChildKey, ChildEnd),
    /// These will be started.
    TellRestart {
        because: ChildKey,
        children: Vec<ChildKey>,
        after: Duration,
    },
    /// It is not on the list any more. Where it never ran, this is why.
    Forget(ChildKey, Option<StartChildError>),
    /// Stop all, and fail.
    GiveUp(SupervisorFailure),
}

impl SupervisorMachine {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            settings,
            log: RestartLog::default(),
            children: BTreeMap::new(),
            rounds: Vec::new(),
            last: 0,
            is_over: false,
        }
    }

    /// A child that was started before the supervisor was.
    pub(super) fn adopt(&mut self, id: ChildId, policy: ChildPolicy, now: Instant) -> ChildKey {
        let (key, _) = self.insert(id, policy, true);
        self.child(key).up(now);
        key
    }

    /// One more child, which is started now or, where a restart is under way that it belongs to, with the others.
    pub(super) fn handle_start_child(
        &mut self,
        id: ChildId,
        policy: ChildPolicy,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<ChildKey, StartChildError> {
        let limit = self.settings.max_children;
        if self.find(&id).is_some() {
            return Err(StartChildError::Duplicate(id));
        }
        if self.children.len() >= limit {
            return Err(StartChildError::TooManyChildren { limit });
        }
        let (key, incarnation) = self.insert(id, policy, false);
        let is_alone = self.settings.strategy == Strategy::OneForOne;
        match self.rounds.first_mut().filter(|_| !is_alone) {
            Some(round) => {
                round.members.insert(key);
                self.advance(now, effects);
            }
            None => {
                self.child(key).phase = Phase::Starting;
                effects.push(Effect::Start(key, incarnation));
            }
        }
        Ok(key)
    }

    /// Says whether the start was still wanted; the actor of another is to be killed.
    pub(super) fn handle_started(
        &mut self,
        key: ChildKey,
        incarnation: Incarnation,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if !self.is_starting(key, incarnation) {
            return false;
        }
        self.child(key).up(now);
        self.advance(now, effects);
        true
    }

    /// A start that failed is a failure like any other, but for the first one.
    pub(super) fn handle_start_failed(
        &mut self,
        key: ChildKey,
        incarnation: Incarnation,
        error: ChildStartError,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_starting(key, incarnation) {
            return;
        }
        let child = self.child(key);
        child.phase = Phase::Down;
        if child.starts == 0 {
            self.forget(key, Some(error.into()), effects);
            self.advance(now, effects);
            return;
        }
        let end = ChildEnd::NotStarted(error);
        effects.push(Effect::TellEnd(key, end.clone()));
        self.fail(key, end, now, effects);
    }

    /// A child has ended, asked to or not.
    pub(super) fn handle_ended(
        &mut self,
        key: ChildKey,
        end: ChildEnd,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(child) = self.children.get_mut(&key) else {
            return;
        };
        if self.is_over {
            return;
        }
        let ran_for = match child.phase {
            Phase::Up { since } => Some(now.saturating_duration_since(since)),
            Phase::Stopping { .. } => None,
            // It is not one that we wait for.
            Phase::Down | Phase::Starting | Phase::Ended => return,
        };
        effects.push(Effect::TellEnd(key, end.clone()));
        child.phase = Phase::Down;
        let Some(ran_for) = ran_for else {
            if child.is_leaving {
                self.forget(key, None, effects);
            }
            self.advance(now, effects);
            return;
        };
        child.note_run(ran_for);
        let is_to_run = match child.policy.restart {
            Restart::Permanent => true,
            Restart::Transient => !end.is_normal(),
            Restart::Temporary => false,
        };
        // It would have been stopped by and by.
        let is_awaited = self.rounds.iter().any(|round| round.is_stopping(key));
        if is_to_run && !is_awaited {
            self.fail(key, end, now, effects);
            return;
        }
        if !is_to_run && !is_awaited {
            self.retire(key, effects);
        }
        self.advance(now, effects);
    }

    /// Somebody wants a child to go; it is not started again, whatever was going on.
    pub(super) fn handle_stop_child(
        &mut self,
        id: &ChildId,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<ChildKey, StopChildError> {
        let Some(key) = self.find(id) else {
            return Err(StopChildError::Unknown(id.clone()));
        };
        for round in &mut self.rounds {
            round.members.remove(&key);
        }
        let child = self.child(key);
        child.is_leaving = true;
        match child.phase {
            Phase::Up { .. } => self.stop(key, now, effects),
            Phase::Stopping { .. } => {}
            Phase::Starting => {
                effects.push(Effect::AbortStart(key));
                self.forget(key, Some(StartChildError::Stopped), effects);
            }
            Phase::Down | Phase::Ended => {
                self.forget(key, Some(StartChildError::Stopped), effects);
            }
        }
        self.advance(now, effects);
        Ok(key)
    }

    /// To be called at [`Self::next_deadline`].
    pub(super) fn handle_time(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let mut abandoned = Vec::new();
        for (key, child) in &mut self.children {
            let Phase::Stopping { until, is_killed } = &mut child.phase else {
                continue;
            };
            if *until > now {
                continue;
            }
            if *is_killed {
                abandoned.push(*key);
            } else {
                effects.push(Effect::Kill(*key));
                *is_killed = true;
                *until = now + KILL_DEADLINE;
            }
        }
        for key in abandoned {
            effects.push(Effect::Abandon(key));
            self.handle_ended(key, ChildEnd::Abandoned, now, effects);
        }
        self.advance(now, effects);
    }

    /// When something is due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let stops = self
            .children
            .values()
            .filter_map(|child| match child.phase {
                Phase::Stopping { until, .. } => Some(until),
                Phase::Down | Phase::Starting | Phase::Up { .. } | Phase::Ended => None,
            });
        let rounds = self.rounds.iter().filter_map(Round::starts_at);
        stops.chain(rounds).min().filter(|_| !self.is_over)
    }

    /// Nothing is started any more. Who is to be stopped, one group after the other, each at once: children that know
    /// nothing of each other and came later all together, then the others one by one, the last one first.
    pub(super) fn order_of_stopping(&mut self) -> Vec<Vec<(ChildKey, Duration)>> {
        self.is_over = true;
        let are_alone = self.settings.strategy == Strategy::OneForOne;
        let (mut together, mut one_by_one) = (Vec::new(), Vec::new());
        for (key, child) in self.children.iter().rev() {
            let stop = (*key, child.policy.shutdown);
            if are_alone && !child.is_static {
                together.push(stop);
            } else {
                one_by_one.push(vec![stop]);
            }
        }
        one_by_one.insert(0, together);
        one_by_one
    }

    pub(super) fn find(&self, id: &ChildId) -> Option<ChildKey> {
        let mut children = self.children.iter();
        children
            .find(|(_, child)| child.id == *id)
            .map(|(key, _)| *key)
    }

    fn is_starting(&self, key: ChildKey, incarnation: Incarnation) -> bool {
        let is_that =
            |child: &Child| child.phase == Phase::Starting && child.incarnation == incarnation;
        !self.is_over && self.children.get(&key).is_some_and(is_that)
    }

    fn insert(
        &mut self,
        id: ChildId,
        policy: ChildPolicy,
        is_static: bool,
    ) -> (ChildKey, Incarnation) {
        let key = ChildKey::new(self.next());
        let incarnation = Incarnation::new(self.next());
        let child = Child::new(id, policy, is_static, incarnation);
        self.children.insert(key, child);
        (key, incarnation)
    }

    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn child(&mut self, key: ChildKey) -> &mut Child {
        self.children.get_mut(&key).expect("a key of our own")
    }

    /// A child that is down has to be started again, and others with it.
    fn fail(&mut self, key: ChildKey, end: ChildEnd, now: Instant, effects: &mut Vec<Effect>) {
        let intensity = self.settings.intensity;
        if self.log.note(intensity, now) {
            self.is_over = true;
            effects.push(Effect::GiveUp(SupervisorFailure::TooManyRestarts {
                child: self.children[&key].id.clone(),
                end,
                restarts: intensity.restarts,
                period: intensity.period,
            }));
            return;
        }
        let after = self.child(key).pause_after_failure();
        let mut round = Round::new(self.affected_by(key), now.checked_add(after));
        for other in std::mem::take(&mut self.rounds) {
            if round.members.is_disjoint(&other.members) {
                self.rounds.push(other);
            } else {
                round.absorb(other, &self.children);
            }
        }
        effects.push(Effect::TellRestart {
            because: key,
            children: round.members.iter().copied().collect(),
            after,
        });
        self.rounds.push(round);
        self.advance(now, effects);
    }

    /// Whom a failure concerns. Temporary ones that run are stopped and not started again.
    fn affected_by(&self, key: ChildKey) -> BTreeSet<ChildKey> {
        let keys = self.children.iter();
        let staying = keys
            .filter(|(_, child)| !child.is_leaving)
            .map(|(key, _)| *key);
        match self.settings.strategy {
            Strategy::OneForOne => BTreeSet::from([key]),
            Strategy::OneForAll => staying.collect(),
            Strategy::RestForOne => staying.filter(|other| *other >= key).collect(),
        }
    }

    /// Does what can be done now of all restarts.
    fn advance(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.is_over {
            return;
        }
        let mut rounds = std::mem::take(&mut self.rounds);
        rounds.retain_mut(|round| !self.advance_round(round, now, effects));
        self.rounds = rounds;
    }

    /// Says whether all is done.
    fn advance_round(
        &mut self,
        round: &mut Round,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> bool {
        if round.stage == Stage::Stopping {
            if !self.stop_last(round, now, effects) {
                return false;
            }
            round.stage = Stage::Waiting;
        }
        if round.stage == Stage::Waiting {
            // One that is too far away to be a time never comes.
            if round.not_before.is_none_or(|at| now < at) {
                return round.members.is_empty();
            }
            round.stage = Stage::Starting;
        }
        self.start_first(round, effects)
    }

    /// Stops the last one that runs. Says whether none does.
    fn stop_last(&mut self, round: &mut Round, now: Instant, effects: &mut Vec<Effect>) -> bool {
        for key in round.members.clone().into_iter().rev() {
            let child = self.child(key);
            match child.phase {
                Phase::Down | Phase::Ended => {}
                Phase::Stopping { .. } => return false,
                Phase::Up { .. } => {
                    self.stop(key, now, effects);
                    return false;
                }
                Phase::Starting => {
                    child.phase = Phase::Down;
                    effects.push(Effect::AbortStart(key));
                }
            }
            let child = &self.children[&key];
            if child.policy.restart == Restart::Temporary && child.starts > 0 {
                round.members.remove(&key);
                self.forget(key, None, effects);
            }
        }
        true
    }

    /// Starts the first one that does not run. Says whether all do.
    fn start_first(&mut self, round: &Round, effects: &mut Vec<Effect>) -> bool {
        for key in &round.members {
            match self.child(*key).phase {
                Phase::Up { .. } => {}
                Phase::Starting | Phase::Stopping { .. } => return false,
                Phase::Down | Phase::Ended => {
                    let incarnation = Incarnation::new(self.next());
                    let child = self.child(*key);
                    child.incarnation = incarnation;
                    child.phase = Phase::Starting;
                    effects.push(Effect::Start(*key, incarnation));
                    return false;
                }
            }
        }
        true
    }

    fn stop(&mut self, key: ChildKey, now: Instant, effects: &mut Vec<Effect>) {
        let child = self.child(key);
        let deadline = child.policy.shutdown;
        let is_killed = deadline.is_zero();
        let deadline = if is_killed { KILL_DEADLINE } else { deadline };
        // A deadline that no clock shows is none for a life time.
        let until = now.checked_add(deadline).unwrap_or(now + AGES);
        child.phase = Phase::Stopping { until, is_killed };
        effects.push(if is_killed {
            Effect::Kill(key)
        } else {
            Effect::Stop(key)
        });
    }

    /// It has ended, and is not started again by itself.
    fn retire(&mut self, key: ChildKey, effects: &mut Vec<Effect>) {
        let child = self.child(key);
        if child.is_static && child.policy.restart != Restart::Temporary {
            child.phase = Phase::Ended;
            for round in &mut self.rounds {
                round.members.remove(&key);
            }
        } else {
            self.forget(key, None, effects);
        }
    }

    fn forget(&mut self, key: ChildKey, error: Option<StartChildError>, effects: &mut Vec<Effect>) {
        for round in &mut self.rounds {
            round.members.remove(&key);
        }
        self.children.remove(&key);
        effects.push(Effect::Forget(key, error));
    }
}

/// For one that was killed to be gone: it takes no longer than to the next point where its hook waits.
pub(super) const KILL_DEADLINE: Duration = Duration::from_secs(1);

/// A hundred years.
const AGES: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
