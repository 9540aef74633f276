//! Why a supervisor or a child did not start, and why a supervisor ended.

use std::time::Duration;

use super::child::ChildId;
use super::event::ChildEnd;
use crate::call::{CallError, StartError};

/// Why a supervisor did not start. What it had started is stopped again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorStartError {
    /// Two children have the same name; the application's to mend.
    #[error("two children are called {0}")]
    Duplicate(ChildId),
    /// More children than the supervisor takes; the application's to mend, see
    /// [`max_children`](super::SupervisorBuilder::max_children).
    #[error("more than {limit} children")]
    TooManyChildren {
        /// How many it takes.
        limit: usize,
    },
    /// A child did not start.
    #[error("{child} did not start")]
    Child {
        /// Which one.
        child: ChildId,
        /// Why.
        #[source]
        error: ChildStartError,
    },
    /// The supervisor's own actor did not start.
    #[error(transparent)]
    Actor(#[from] StartError),
}

/// Why a child did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChildStartError {
    /// Its start returned an error, or panicked; this is what it said.
    #[error("{0}")]
    Failed(String),
    /// It took longer than [`start_within`](super::ChildSpec::start_within) says.
    #[error("not started within {0:?}")]
    Late(Duration),
    /// It ended before it could be supervised, or is supervised by another actor.
    #[error("ended before it was supervised")]
    NotSupervised,
}

/// Why a child was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartChildError {
    /// A child of this name is there; the application's to mend.
    #[error("there is a child called {0}")]
    Duplicate(ChildId),
    /// The supervisor has as many children as it takes.
    #[error("there are {limit} children already")]
    TooManyChildren {
        /// How many it takes.
        limit: usize,
    },
    /// It did not start, and is not tried again.
    #[error(transparent)]
    Start(#[from] ChildStartError),
    /// It was told to go, by [`stop_child`](super::Supervisor::stop_child), before it had started.
    #[error("stopped before it had started")]
    Stopped,
    /// The supervisor could not be asked, or ended meanwhile.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a child was not stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopChildError {
    /// There is no child of this name.
    #[error("there is no child called {0}")]
    Unknown(ChildId),
    /// The supervisor could not be asked, or ended meanwhile.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a supervisor ended by itself.
///
/// The supervisor above hears it as ractor's `SupervisionEvent::ActorFailed(actor, error)`, where
/// `error.downcast_ref::<SupervisorFailure>()` finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SupervisorFailure {
    /// Children have failed more often than [`RestartIntensity`](super::RestartIntensity) allows.
    #[error("more than {restarts} restarts within {period:?}: {child} {end}")]
    TooManyRestarts {
        /// Whose failure was one too many.
        child: ChildId,
        /// How that one ended.
        end: ChildEnd,
        /// How many may be.
        restarts: u32,
        /// Within which time.
        period: Duration,
    },
}
