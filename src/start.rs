//! Starting an actor below another.

use std::fmt::Debug;

use ractor::{Actor, ActorCell, ActorRef, SpawnErr};

use crate::faults::breakable;

/// Starts an actor below another, which supervises it.
pub(crate) async fn spawn_linked<A>(
    actor: A,
    arguments: A::Arguments,
    supervisor: ActorCell,
) -> Result<ActorRef<A::Msg>, SpawnErr>
where
    A: Actor,
    A::Msg: Debug,
{
    let actor = breakable(actor, &supervisor);
    let (actor, _) = Actor::spawn_linked(None, actor, arguments, supervisor).await?;
    Ok(actor)
}
