//! [`Supervisor`]: starts actors, and starts them again when they fail.
//!
//! A supervisor is an actor whose only work is its children. It is told for each how it is started ([`ChildSpec`]), and for all who goes
//! along when one fails ([`Strategy`]), how often that may happen ([`RestartIntensity`]) and after which pause ([`Backoff`]). Supervisors
//! below supervisors make a tree; the guide `supervision` builds one. Names are each supervisor's own: nothing is registered globally.
//!
//! ```
//! # use std::time::Duration;
//! # use ractor::{Actor, ActorProcessingErr, ActorRef};
//! # use ractor_webrtc::supervision::{ChildSpec, RestartIntensity, Strategy, Supervisor};
//! # struct Directory; struct Lobby;
//! # macro_rules! actor { ($name:ty) => { impl Actor for $name {
//! #     type Msg = (); type State = (); type Arguments = ();
//! #     async fn pre_start(&self, _: ActorRef<()>, _: ()) -> Result<(), ActorProcessingErr> { Ok(()) }
//! # } } }
//! # actor!(Directory); actor!(Lobby);
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let supervisor = Supervisor::builder()
//!     .strategy(Strategy::RestForOne)
//!     .intensity(RestartIntensity::new(5, Duration::from_secs(10)))
//!     .child(ChildSpec::actor("directory", || (Directory, ())))
//!     .child(ChildSpec::actor("lobby", || (Lobby, ())))
//!     .spawn()
//!     .await?;
//! let lobby: Option<ActorRef<()>> = supervisor.child("lobby").await?;
//! assert!(lobby.is_some());
//! supervisor.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! | what happens | what is lost | what we do | what is told |
//! | --- | --- | --- | --- |
//! | a child fails: panic, `Err`, kill | it, and who goes along by the strategy | stop those, wait for the pause, start all in order | [`ChildEnded`](SupervisorEvent::ChildEnded), [`Restarting`](SupervisorEvent::Restarting), [`ChildStarted`](SupervisorEvent::ChildStarted) |
//! | a child stops by itself | it | the same if it is [`Restart::Permanent`] | the same, or `ChildEnded` and, where it is taken from the list, [`ChildRemoved`](SupervisorEvent::ChildRemoved) |
//! | a child does not start again, or takes too long | the attempt | count a failure, and try again | `ChildEnded { NotStarted }`, `Restarting` |
//! | a child does not stop within its deadline | what its `post_stop` had left to do | kill it | [`ChildKilled`](SupervisorEvent::ChildKilled) |
//! | a child does not end when killed: it blocks its thread | that thread | leave it to itself after a second, and go on | `ChildEnded { Abandoned }` |
//! | too many failures within the period | all children | stop them, the last one first, and fail | [`GaveUp`](SupervisorEvent::GaveUp); the supervisor above hears [`SupervisorFailure`] |
//! | the supervisor is stopped | all children | stop them, the last one first, each within its deadline | |
//! | the supervisor is killed, or panics | all children | they are killed | the supervisor above hears it |
//!
//! It never waits: starts are tasks, with deadlines, and the others are supervised meanwhile.
//!
//! # Queues
//!
//! Children are [`max_children`](SupervisorBuilder::max_children) at most. What is told of them is a few messages for each start, which are
//! bounded by the intensity and by who calls [`Supervisor::start_child`].

mod actor;
mod builder;
mod child;
mod error;
mod event;
mod intensity;
mod life;
mod machine;
mod message;
mod policy;
mod round;
mod shutdown;
mod snapshot;
mod start;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ractor::{ActorCell, ActorRef, Message};

pub use self::builder::SupervisorBuilder;
pub use self::child::{ChildId, ChildSpec};
pub use self::error::{
    ChildStartError, StartChildError, StopChildError, SupervisorFailure, SupervisorStartError,
};
pub use self::event::{ChildEnd, SupervisorEvent, SupervisorNews};
pub use self::intensity::RestartIntensity;
pub(crate) use self::intensity::RestartLog;
pub(crate) use self::message::SupervisorMessage;
pub use self::policy::{Backoff, Restart, Strategy};
pub use self::snapshot::{ChildSnapshot, ChildState, SupervisorSnapshot};
use crate::call::{CallError, ask, ask_within};

/// Handle to a running supervisor. Cheap to clone; without effect once the supervisor has ended. Dropping it ends nothing.
///
/// See the [module](self) for what it does.
#[derive(Clone, Debug)]
pub struct Supervisor {
    actor: ActorRef<SupervisorMessage>,
    failure: Arc<OnceLock<SupervisorFailure>>,
}

impl Supervisor {
    /// Settings of a new supervisor.
    pub fn builder() -> SupervisorBuilder {
        SupervisorBuilder::new()
    }

    /// Adds a child behind all others. Returns its actor when it runs. One that does not start this first time is not tried again.
    ///
    /// Dropping the future changes nothing: the child is started all the same.
    ///
    /// # Errors
    ///
    /// [`StartChildError`]; the supervisor has no such child then, or had it before.
    pub async fn start_child(&self, spec: ChildSpec) -> Result<ActorCell, StartChildError> {
        // It may have to wait for a restart of those before it, and that for their ends.
        let deadline = spec.start_deadline.saturating_add(MARGIN);
        let start = |reply| SupervisorMessage::StartChild { spec, reply };
        ask_within(deadline, &self.actor, start).await?
    }

    /// Stops a child, and takes it from the list, whatever it was doing. Returns when it has ended, for which it has its deadline.
    ///
    /// # Errors
    ///
    /// [`StopChildError`].
    pub async fn stop_child(&self, id: impl Into<ChildId>) -> Result<(), StopChildError> {
        let id = id.into();
        // The supervisor keeps the deadline.
        let stop = |reply| SupervisorMessage::StopChild { id, reply };
        ask_within(STOP_TIMEOUT, &self.actor, stop).await?
    }

    /// The actor of a child; `None` if there is none of that name, or it does not run now, or it takes other messages.
    ///
    /// A child that is started again is another actor. Whoever keeps what this returns learns from
    /// [`SupervisorBuilder::reporting_to`] when to ask again.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the supervisor has ended.
    pub async fn child<M: Message>(
        &self,
        id: impl Into<ChildId>,
    ) -> Result<Option<ActorRef<M>>, CallError> {
        let id = id.into();
        let actor = ask(&self.actor, |reply| SupervisorMessage::Child { id, reply }).await?;
        let takes_those = |actor: &ActorCell| actor.is_message_type_of::<M>() == Some(true);
        Ok(actor.filter(takes_those).map(Into::into))
    }

    /// A child that is a supervisor itself, as long as this incarnation of it runs; `None` if there is none of that name.
    ///
    /// # Errors
    ///
    /// [`CallError`] when this supervisor has ended, or that one meanwhile.
    pub async fn child_supervisor(
        &self,
        id: impl Into<ChildId>,
    ) -> Result<Option<Self>, CallError> {
        let Some(actor) = self.child(id).await? else {
            return Ok(None);
        };
        let failure = ask(&actor, |reply| SupervisorMessage::Failure { reply }).await?;
        Ok(Some(Self { actor, failure }))
    }

    /// All children, and what they are doing.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the supervisor has ended.
    pub async fn snapshot(&self) -> Result<SupervisorSnapshot, CallError> {
        ask(&self.actor, |reply| SupervisorMessage::Snapshot { reply }).await
    }

    /// Stops all children, the last one first, each within its deadline, and then the supervisor. Returns when all is gone. Not to be
    /// called from a child, for whose end it would wait.
    pub async fn stop(&self) {
        self.actor.stop(None);
        self.ended().await;
    }

    /// Waits until the supervisor has ended. Says why, if it gave up by itself.
    pub async fn ended(&self) -> Option<SupervisorFailure> {
        // Without a limit it does not fail.
        let _ended = self.actor.wait(None).await;
        self.failure.get().cloned()
    }
}

impl From<Supervisor> for ActorCell {
    fn from(supervisor: Supervisor) -> Self {
        supervisor.actor.get_cell()
    }
}

/// For a supervisor that is busy, and for the children before the new one.
const MARGIN: Duration = Duration::from_secs(30);

/// Longer than any deadline that makes sense for one child.
const STOP_TIMEOUT: Duration = Duration::from_secs(3600);
