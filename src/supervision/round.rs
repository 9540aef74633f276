//! A restart under way. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::life::{Child, ChildKey, Phase};

/// Children that are stopped, and then started again.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) members: BTreeSet<ChildKey>,
    pub(super) stage: Stage,
    /// Nobody is started before; never without it.
    pub(super) not_before: Option<Instant>,
}

/// What is being done with all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Stopping,
    Waiting,
    Starting,
}

impl Round {
    pub(super) fn new(members: BTreeSet<ChildKey>, not_before: Option<Instant>) -> Self {
        Self {
            members,
            stage: Stage::Stopping,
            not_before,
        }
    }

    /// Takes over what another one has left to do; what it has started may stay.
    pub(super) fn absorb(&mut self, other: Self, children: &BTreeMap<ChildKey, Child>) {
        let is_open = |key: &ChildKey| {
            let is_up = |child: &Child| matches!(child.phase, Phase::Up { .. });
            other.stage != Stage::Starting || !children.get(key).is_some_and(is_up)
        };
        self.members
            .extend(other.members.iter().filter(|key| is_open(key)));
        self.not_before = self.not_before.zip(other.not_before).map(|(a, b)| a.max(b));
    }

    /// Whether the end of this child is waited for, or would be.
    pub(super) fn is_stopping(&self, key: ChildKey) -> bool {
        self.stage == Stage::Stopping && self.members.contains(&key)
    }

    /// When the pause before the starts is over.
    pub(super) fn starts_at(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.stage == Stage::Waiting)
    }
}
