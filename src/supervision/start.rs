//! One start of one child, in a task of its own: a factory may take its time, and may never come back.

use ractor::{ActorCell, ActorRef};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::Instrument;

use super::child::ChildSpec;
use super::error::ChildStartError;
use super::life::{ChildKey, Incarnation};
use super::message::SupervisorMessage;

/// A start under way; dropping it ends it.
#[derive(Debug)]
pub(super) struct Start(JoinHandle<()>);

impl Start {
    /// The supervisor hears how it went.
    pub(super) fn begin(
        key: ChildKey,
        incarnation: Incarnation,
        spec: &ChildSpec,
        supervisor: &ActorRef<SupervisorMessage>,
    ) -> Self {
        let (spec, supervisor) = (spec.clone(), supervisor.clone());
        let task = async move {
            let outcome = start(&spec, supervisor.get_cell()).await;
            let started = SupervisorMessage::Started {
                key,
                incarnation,
                outcome,
            };
            // A supervisor that has ended takes its children with it.
            let _ended = supervisor.cast(started);
        };
        Self(tokio::spawn(task.in_current_span()))
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts a child and makes sure that it is supervised. A factory's panic is its error.
pub(super) async fn start(
    spec: &ChildSpec,
    supervisor: ActorCell,
) -> Result<ActorCell, ChildStartError> {
    let deadline = spec.start_deadline;
    let (factory, parent) = (spec.start.clone(), supervisor.clone());
    let work = async move { factory(parent).await };
    let mut task = Aborting(tokio::spawn(work.in_current_span()));
    let actor = match timeout(deadline, &mut task.0).await {
        Ok(Ok(Ok(actor))) => actor,
        Ok(Ok(Err(error))) => return Err(ChildStartError::Failed(error.to_string())),
        Ok(Err(panicked)) => return Err(ChildStartError::Failed(panicked.to_string())),
        Err(_elapsed) => return Err(ChildStartError::Late(deadline)),
    };
    if actor.try_get_supervisor().is_none() {
        actor.link(supervisor.clone());
    }
    if actor.try_get_supervisor() == Some(supervisor) {
        return Ok(actor);
    }
    actor.kill();
    Err(ChildStartError::NotSupervised)
}

/// A task that ends with whoever waits for it.
struct Aborting<T>(JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
