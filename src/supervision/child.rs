//! What a supervisor knows of a child before it runs.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, SpawnErr};
use serde::{Serialize, Serializer};

use super::builder::SupervisorBuilder;
use super::policy::{Backoff, ChildPolicy, Restart};

/// What a supervisor calls one of its children; a name within that supervisor and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildId(Arc<str>);

impl ChildId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for ChildId {
    fn from(name: T) -> Self {
        Self(name.into())
    }
}

impl Serialize for ChildId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A child: how it is started, whether it is started again, and how long it may take to end.
///
/// ```
/// # use std::time::Duration;
/// # use ractor::{Actor, ActorProcessingErr, ActorRef};
/// # use ractor_webrtc::supervision::{Backoff, ChildSpec, Restart};
/// # struct Recorder;
/// # impl Actor for Recorder {
/// #     type Msg = (); type State = (); type Arguments = &'static str;
/// #     async fn pre_start(&self, _: ActorRef<()>, _: &'static str) -> Result<(), ActorProcessingErr> { Ok(()) }
/// # }
/// let spec = ChildSpec::actor("recorder", || (Recorder, "/var/recordings"))
///     .restart(Restart::Transient)
///     .shutdown(Duration::from_secs(10))
///     .backoff(Backoff::new(Duration::from_millis(100), Duration::from_secs(10)));
/// ```
#[derive(Clone)]
#[must_use = "a specification starts nothing"]
pub struct ChildSpec {
    pub(super) id: ChildId,
    pub(super) start: Factory,
    pub(super) start_deadline: Duration,
    pub(super) policy: ChildPolicy,
}

/// Starts a child under the supervisor that it is given.
pub(super) type Factory = Arc<dyn Fn(ActorCell) -> Starting + Send + Sync>;

/// A child that is being started.
pub(super) type Starting =
    Pin<Box<dyn Future<Output = Result<ActorCell, ActorProcessingErr>> + Send>>;

impl ChildSpec {
    /// A child that `start` starts, whatever that takes; it is called again for each restart, with the supervisor under which
    /// the child is to run. It returns the actor, or a handle of this crate.
    ///
    /// Where others need the handle, `start` is the place that hands the new one out. It starts one actor: another that it links to
    /// the supervisor is nobody's, and killed.
    pub fn new<F, S, T, E>(id: impl Into<ChildId>, start: F) -> Self
    where
        F: Fn(ActorCell) -> S + Send + Sync + 'static,
        S: Future<Output = Result<T, E>> + Send + 'static,
        T: Into<ActorCell>,
        E: Into<ActorProcessingErr>,
    {
        Self {
            id: id.into(),
            start: Arc::new(move |supervisor| {
                let starting = start(supervisor);
                Box::pin(async move { starting.await.map(Into::into).map_err(Into::into) })
            }),
            start_deadline: START_DEADLINE,
            policy: ChildPolicy::default(),
        }
    }

    /// A child that is one actor of yours; `make` is called again for each restart.
    pub fn actor<A: Actor>(
        id: impl Into<ChildId>,
        make: impl Fn() -> (A, A::Arguments) + Send + Sync + 'static,
    ) -> Self {
        Self::new(id, move |supervisor| {
            let (actor, arguments) = make();
            async move {
                let started = Actor::spawn_linked(None, actor, arguments, supervisor).await?;
                Ok::<_, SpawnErr>(started.0)
            }
        })
    }

    /// A child that is a supervisor itself. It has the time to end that all its children have together.
    pub fn supervisor(
        id: impl Into<ChildId>,
        make: impl Fn() -> SupervisorBuilder + Send + Sync + 'static,
    ) -> Self {
        let shutdown = make().shutdown_deadline();
        let start_deadline = make().start_deadline();
        let spec = Self::new(id, move |supervisor| {
            let builder = make();
            async move { builder.spawn_linked(supervisor).await }
        });
        spec.shutdown(shutdown).start_within(start_deadline)
    }

    /// Whether it is started again when it has ended; always, unless this is said.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.policy.restart = restart;
        self
    }

    /// How long it may take to end once it is asked to; then it is killed. Five seconds unless this is said; with
    /// `Duration::ZERO` it is killed at once.
    pub fn shutdown(mut self, deadline: Duration) -> Self {
        self.policy.shutdown = deadline;
        self
    }

    /// How long it may take to start; then the start has failed. Ten seconds unless this is said.
    pub fn start_within(mut self, deadline: Duration) -> Self {
        self.start_deadline = deadline;
        self
    }

    /// How long to wait before it is started again; not at all unless this is said.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.policy.backoff = Some(backoff);
        self
    }

    /// What the supervisor calls it.
    pub fn id(&self) -> &ChildId {
        &self.id
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("start_deadline", &self.start_deadline)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Longer than a peer connection takes on a busy machine, which gathers nothing before it has started.
pub(super) const START_DEADLINE: Duration = Duration::from_secs(10);
