//! What a supervisor knows at one moment.

use ractor::ActorCell;
use serde::Serialize;

use super::child::ChildId;
use super::life::Phase;
use super::policy::{Restart, Strategy};

/// The children of a supervisor. JSON in camel case.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SupervisorSnapshot {
    /// Who is started again with whom.
    pub strategy: Strategy,
    /// In the order in which they were added.
    pub children: Vec<ChildSnapshot>,
}

/// One child of a supervisor.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ChildSnapshot {
    /// Its name.
    pub id: ChildId,
    /// What it is doing.
    pub state: ChildState,
    /// Whether it is started again.
    pub restart: Restart,
    /// How often it was.
    pub restarts: u64,
    /// Its actor while it runs. Not in JSON.
    #[serde(skip)]
    pub actor: Option<ActorCell>,
}

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum ChildState {
    /// It will be started when its pause is over, or when those before it run.
    Waiting,
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It was asked to stop, or killed, and has not ended.
    Stopping,
    /// It has done its work, and is not started again by itself.
    Ended,
}

impl From<Phase> for ChildState {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Down => Self::Waiting,
            Phase::Starting => Self::Starting,
            Phase::Up { .. } => Self::Running,
            Phase::Stopping { .. } => Self::Stopping,
            Phase::Ended => Self::Ended,
        }
    }
}
