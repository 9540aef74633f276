//! Starting an actor below another.

use std::any::{TypeId, type_name};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Mutex, PoisonError};

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
    note_kind::<A>();
    let actor = breakable(actor, &supervisor);
    let (actor, _) = Actor::spawn_linked(None, actor, arguments, supervisor).await?;
    Ok(actor)
}

/// Starts an actor at the top of a tree.
pub(crate) async fn spawn<A: Actor>(
    actor: A,
    arguments: A::Arguments,
) -> Result<ActorRef<A::Msg>, SpawnErr> {
    note_kind::<A>();
    let (actor, _) = Actor::spawn(None, actor, arguments).await?;
    Ok(actor)
}

/// What an actor is, if it is one of this crate's: the name of its handle.
pub(crate) fn kind_of(actor: &ActorCell) -> Option<&'static str> {
    let kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    kinds.get(&actor.get_type_id()).copied()
}

/// The type's own name, without its path and without `Actor`.
pub(crate) fn part_name<A>() -> &'static str {
    let name = type_name::<A>();
    let name = name.rsplit("::").next().unwrap_or(name);
    name.strip_suffix("Actor").unwrap_or(name)
}

/// No two kinds of actors take the same messages.
fn note_kind<A: Actor>() {
    let kind = match part_name::<A>() {
        "Udp" => "UdpEndpoint",
        "Ice" => "IceTransport",
        "Dtls" => "DtlsTransport",
        name => name,
    };
    let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    kinds.insert(TypeId::of::<A::Msg>(), kind);
}

/// As many as there are kinds of actors here, by their messages: ractor knows no more of a running actor.
static KINDS: Mutex<BTreeMap<TypeId, &str>> = Mutex::new(BTreeMap::new());
