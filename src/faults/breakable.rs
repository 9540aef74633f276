//! An actor in which something can go wrong.

use std::fmt::Debug;
use std::sync::OnceLock;

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::fault::{Hook, Seen, is_any, meet};
use super::kind::kind_of;
use super::register::Registered;
use crate::start::part_name;

/// Does what the actor within does, and fails where it is told to.
#[derive(Debug)]
pub(crate) struct Breakable<A> {
    actor: A,
    supervisor: ActorId,
    registered: OnceLock<Registered>,
}

/// An actor that fails where it is told to; it is to be started below `supervisor`.
pub(crate) fn breakable<A: Actor>(actor: A, supervisor: &ActorCell) -> Breakable<A> {
    Breakable {
        actor,
        supervisor: supervisor.get_id(),
        registered: OnceLock::new(),
    }
}

impl<A: Actor> Breakable<A> {
    /// `None` while no fault is waiting for anybody.
    fn about_to(&self, hook: Hook, message: impl FnOnce() -> Option<String>) -> Option<Seen> {
        is_any().then(|| Seen {
            part: part_name::<A>(),
            hook,
            message: message(),
        })
    }
}

impl<A> Actor for Breakable<A>
where
    A: Actor,
    A::Msg: Debug,
{
    type Msg = A::Msg;
    type State = A::State;
    type Arguments = A::Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let cell = myself.get_cell();
        let registered = Registered::new(part_name::<A>(), self.supervisor, cell.clone());
        // An actor starts once.
        let _first = self.registered.set(registered);
        let seen = self.about_to(Hook::PreStart, || None);
        before(&cell, seen.as_ref()).await?;
        let state = self.actor.pre_start(myself, arguments).await?;
        after(&cell, seen.as_ref()).await?;
        Ok(state)
    }

    async fn post_start(
        &self,
        myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let cell = myself.get_cell();
        let seen = self.about_to(Hook::PostStart, || None);
        before(&cell, seen.as_ref()).await?;
        self.actor.post_start(myself, state).await?;
        after(&cell, seen.as_ref()).await
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Some(seen) = self.about_to(Hook::Handle, || Some(kind_of(&message))) else {
            return self.actor.handle(myself, message, state).await;
        };
        let cell = myself.get_cell();
        before(&cell, Some(&seen)).await?;
        self.actor.handle(myself, message, state).await?;
        after(&cell, Some(&seen)).await
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let cell = myself.get_cell();
        let seen = self.about_to(Hook::HandleSupervisorEvt, || Some(event_name(&event)));
        before(&cell, seen.as_ref()).await?;
        self.actor
            .handle_supervisor_evt(myself, event, state)
            .await?;
        after(&cell, seen.as_ref()).await
    }

    async fn post_stop(
        &self,
        myself: ActorRef<Self::Msg>,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let cell = myself.get_cell();
        let seen = self.about_to(Hook::PostStop, || None);
        before(&cell, seen.as_ref()).await?;
        self.actor.post_stop(myself, state).await?;
        after(&cell, seen.as_ref()).await
    }
}

async fn before(cell: &ActorCell, seen: Option<&Seen>) -> Result<(), ActorProcessingErr> {
    match seen {
        Some(seen) => meet(cell, seen, false).await,
        None => Ok(()),
    }
}

async fn after(cell: &ActorCell, seen: Option<&Seen>) -> Result<(), ActorProcessingErr> {
    match seen {
        Some(seen) => meet(cell, seen, true).await,
        None => Ok(()),
    }
}

fn event_name(event: &SupervisionEvent) -> String {
    let name = match event {
        SupervisionEvent::ActorStarted(_) => "ActorStarted",
        SupervisionEvent::ActorTerminated(..) => "ActorTerminated",
        SupervisionEvent::ActorFailed(..) => "ActorFailed",
        SupervisionEvent::ProcessGroupChanged(_) => "ProcessGroupChanged",
    };
    name.to_owned()
}
