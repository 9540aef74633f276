//! `Stream`: what is published under one name, and who watches it.
//!
//! Started and supervised by the Broadcaster with the first session of its name, ended by it after the last. It decides who is
//! on air; the sessions themselves ask the Forwarder for what they are to be sent, so that a stuck one delays nobody.
//!
//! | child | how it may end | what is lost | what we do | what the Broadcaster hears |
//! | --- | --- | --- | --- | --- |
//! | `Session` | its client ends it, no connection, panic | one publisher or viewer | forget it | [`StreamNews::SessionEnded`] |
//! | `Forwarder` | panic | nothing: routes go on | start a successor, which knows what it knew; after five of them end | nothing; that the stream failed |

mod actor;
mod machine;
mod message;

use ractor::{ActorCell, ActorRef, SpawnErr};

use self::actor::StreamActor;
pub(super) use self::actor::StreamArguments;
pub(super) use self::message::{StreamMessage, StreamNews};
use crate::start::spawn_linked;

/// Starts a stream below its Broadcaster.
pub(super) async fn spawn(
    arguments: StreamArguments,
    broadcaster: ActorCell,
) -> Result<ActorRef<StreamMessage>, SpawnErr> {
    let actor = spawn_linked(StreamActor, arguments, broadcaster).await?;
    Ok(actor)
}
