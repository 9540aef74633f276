//! Settings of a supervisor, and how it starts.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ractor::{ActorCell, ActorRef, Message, SpawnErr};

use super::Supervisor;
use super::actor::{SupervisorActor, SupervisorArguments};
use super::child::{ChildSpec, START_DEADLINE};
use super::error::SupervisorStartError;
use super::event::SupervisorNews;
use super::intensity::RestartIntensity;
use super::machine::{KILL_DEADLINE, Settings};
use super::policy::{SHUTDOWN_DEADLINE, Strategy};
use crate::call::StartError;
use crate::outlet::Outlet;
use crate::start::{spawn, spawn_linked};

/// Settings of a new supervisor; see the [module](super).
#[derive(Clone)]
#[must_use = "a builder does nothing until it is spawned"]
pub struct SupervisorBuilder {
    settings: Settings,
    children: Vec<ChildSpec>,
    listener: Option<Outlet<SupervisorNews>>,
}

impl SupervisorBuilder {
    pub(super) fn new() -> Self {
        Self {
            settings: Settings {
                strategy: Strategy::default(),
                intensity: RestartIntensity::default(),
                max_children: MAX_CHILDREN,
            },
            children: Vec::new(),
            listener: None,
        }
    }

    /// Who is started again when one child has failed; it alone unless this is said.
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.settings.strategy = strategy;
        self
    }

    /// How many failures are too many.
    pub fn intensity(mut self, intensity: RestartIntensity) -> Self {
        self.settings.intensity = intensity;
        self
    }

    /// How many children there may be, those that are added later included: 10 000 unless this is said.
    pub fn max_children(mut self, limit: usize) -> Self {
        self.settings.max_children = limit;
        self
    }

    /// A child that is there from the beginning. The order counts: it is the one of the starts, and the other way round that of the
    /// stops.
    pub fn child(mut self, child: ChildSpec) -> Self {
        self.children.push(child);
        self
    }

    /// Tells an actor what happens to the children. It need not be the supervisor's supervisor, and may end before.
    pub fn reporting_to<M>(mut self, listener: &ActorRef<M>) -> Self
    where
        M: Message + From<SupervisorNews>,
    {
        self.listener = Some(Outlet::new(listener));
        self
    }

    /// How long the supervisor may take to stop: its children one after the other, and those of a
    /// [`Strategy::OneForOne`] that are added later together, if none of them is given more than five seconds. This is the time that
    /// [`ChildSpec::supervisor`] gives it.
    pub fn shutdown_deadline(&self) -> Duration {
        let each = self.children.iter().map(|child| child.policy.shutdown);
        let later = [SHUTDOWN_DEADLINE];
        let sum =
            |sum: Duration, one: Duration| sum.saturating_add(one).saturating_add(KILL_DEADLINE);
        each.chain(later).fold(Duration::ZERO, sum)
    }

    /// How long its children may take to start, one after the other.
    pub(super) fn start_deadline(&self) -> Duration {
        let each = self.children.iter().map(|child| child.start_deadline);
        each.fold(START_DEADLINE, Duration::saturating_add)
    }

    /// Starts the supervisor and its children under another supervisor, of whatever kind. Returns when all children run.
    ///
    /// # Errors
    ///
    /// [`SupervisorStartError`]. The children that ran already have been stopped then.
    pub async fn spawn_linked(
        self,
        supervisor: impl Into<ActorCell>,
    ) -> Result<Supervisor, SupervisorStartError> {
        self.start(Some(supervisor.into())).await
    }

    /// Starts the supervisor and its children at the top of a tree. Returns when all children run; where it ends by itself, only
    /// [`Supervisor::ended`] tells.
    ///
    /// # Errors
    ///
    /// [`SupervisorStartError`]. The children that ran already have been stopped then.
    pub async fn spawn(self) -> Result<Supervisor, SupervisorStartError> {
        self.start(None).await
    }

    async fn start(
        self,
        supervisor: Option<ActorCell>,
    ) -> Result<Supervisor, SupervisorStartError> {
        let limit = self.settings.max_children;
        if self.children.len() > limit {
            return Err(SupervisorStartError::TooManyChildren { limit });
        }
        let mut names = HashSet::new();
        if let Some(twice) = self.children.iter().find(|child| !names.insert(child.id())) {
            return Err(SupervisorStartError::Duplicate(twice.id().clone()));
        }
        let failure = Arc::new(OnceLock::new());
        let arguments = SupervisorArguments {
            settings: self.settings,
            children: self.children,
            listener: self.listener,
            failure: Arc::clone(&failure),
            span: tracing::Span::current(),
        };
        let started = match supervisor {
            Some(above) => spawn_linked(SupervisorActor, arguments, above).await,
            None => spawn(SupervisorActor, arguments).await,
        };
        let actor = started.map_err(start_error)?;
        Ok(Supervisor { actor, failure })
    }
}

/// What `pre_start` says comes through ractor as any error.
fn start_error(error: SpawnErr) -> SupervisorStartError {
    match error {
        SpawnErr::StartupFailed(cause) => match cause.downcast::<SupervisorStartError>() {
            Ok(ours) => *ours,
            Err(other) => StartError::from(SpawnErr::StartupFailed(other)).into(),
        },
        SpawnErr::ActorAlreadyStarted | SpawnErr::ActorAlreadyRegistered(_) => {
            StartError::from(error).into()
        }
    }
}

impl fmt::Debug for SupervisorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorBuilder")
            .field("settings", &self.settings)
            .field("children", &self.children)
            .finish_non_exhaustive()
    }
}

/// Peers by the thousand.
const MAX_CHILDREN: usize = 10_000;
