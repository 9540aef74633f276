//! One child between its starts and its ends. Pure.

use std::time::{Duration, Instant};

use super::child::ChildId;
use super::policy::ChildPolicy;

/// Names a child for as long as it is one; greater for those added later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChildKey(u64);

/// Names one start of a child. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Incarnation(u64);

impl ChildKey {
    pub(super) fn new(number: u64) -> Self {
        Self(number)
    }
}

impl Incarnation {
    pub(super) fn new(number: u64) -> Self {
        Self(number)
    }
}

/// A child, whether it runs or not.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) id: ChildId,
    pub(super) policy: ChildPolicy,
    /// Part of the tree as it was built; it stays on the list when it has ended.
    pub(super) is_static: bool,
    pub(super) phase: Phase,
    pub(super) incarnation: Incarnation,
    /// How often it has been started.
    pub(super) starts: u64,
    failures_in_a_row: u32,
    /// Somebody wants it to go.
    pub(super) is_leaving: bool,
}

/// Where one child is between its starts and its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// To be started by the round that it is in.
    Down,
    Starting,
    Up {
        since: Instant,
    },
    Stopping {
        until: Instant,
        is_killed: bool,
    },
    /// Its work is done.
    Ended,
}

impl Child {
    pub(super) fn new(
        id: ChildId,
        policy: ChildPolicy,
        is_static: bool,
        incarnation: Incarnation,
    ) -> Self {
        Self {
            id,
            policy,
            is_static,
            phase: Phase::Down,
            incarnation,
            starts: 0,
            failures_in_a_row: 0,
            is_leaving: false,
        }
    }

    /// It runs.
    pub(super) fn up(&mut self, now: Instant) {
        self.phase = Phase::Up { since: now };
        self.starts += 1;
    }

    /// One that has run for long begins anew with its pauses.
    pub(super) fn note_run(&mut self, ran_for: Duration) {
        if self.policy.backoff.is_some_and(|it| ran_for > it.maximum) {
            self.failures_in_a_row = 0;
        }
    }

    /// How long to wait after one failure more.
    pub(super) fn pause_after_failure(&mut self) -> Duration {
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let backoff = self.policy.backoff;
        backoff.map_or(Duration::ZERO, |it| it.after(self.failures_in_a_row))
    }
}
