//! What a supervisor tells of its children.

use std::fmt;
use std::time::Duration;

use ractor::{ActorCell, ActorId};

use super::child::ChildId;
use super::error::{ChildStartError, SupervisorFailure};

/// News of one supervisor, as it arrives at whoever it [reports to](super::SupervisorBuilder::reporting_to).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SupervisorNews {
    /// Whose news it is.
    pub supervisor: ActorId,
    /// What happened.
    pub event: SupervisorEvent,
}

/// What happened to the children of a supervisor.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SupervisorEvent {
    /// A child runs.
    ChildStarted {
        /// Its name.
        child: ChildId,
        /// This incarnation of it.
        actor: ActorCell,
        /// How often it was started before.
        restarts: u64,
    },
    /// A child has ended, or did not start again.
    ChildEnded {
        /// Its name.
        child: ChildId,
        /// How.
        end: ChildEnd,
    },
    /// A child did not end within its deadline, and is killed.
    ChildKilled {
        /// Its name.
        child: ChildId,
    },
    /// Children will be started again, in this order; those of them that run are stopped before.
    Restarting {
        /// Whose failure it was.
        because: ChildId,
        /// All that go along, itself included.
        children: Vec<ChildId>,
        /// Not before so much time has passed.
        after: Duration,
    },
    /// A child is none any more: it was stopped, or has ended and is not started again.
    ChildRemoved {
        /// Its name.
        child: ChildId,
    },
    /// The supervisor stops all its children, and fails.
    GaveUp(SupervisorFailure),
}

/// How a child has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChildEnd {
    /// It stopped, with the reason that whoever stopped it gave.
    Stopped(Option<String>),
    /// It was killed.
    Killed,
    /// A panic or an `Err` in one of its hooks; this is what it said.
    Failed(String),
    /// It was to be started again, and did not start.
    NotStarted(ChildStartError),
    /// Killed, it did not end: a hook of it blocks its thread, and never comes to a point where it could be interrupted. It is left to
    /// itself.
    Abandoned,
}

impl ChildEnd {
    /// Whether this is how one ends that has done its work.
    pub fn is_normal(&self) -> bool {
        matches!(self, Self::Stopped(_))
    }
}

impl fmt::Display for ChildEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped(None) => f.write_str("stopped"),
            Self::Stopped(Some(reason)) => write!(f, "stopped: {reason}"),
            Self::Killed => f.write_str("was killed"),
            Self::Failed(message) => write!(f, "failed: {message}"),
            Self::NotStarted(error) => write!(f, "did not start: {error}"),
            Self::Abandoned => f.write_str("did not end when killed"),
        }
    }
}
