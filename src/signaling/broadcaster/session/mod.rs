//! `Session`: one publisher or viewer, from its offer to its end.
//!
//! Started and supervised by its stream; owner of one peer connection, its only child. It ends when its client or its stream ends it, when
//! its connection fails or was never made, and when nobody waits for its answer any more. Its stream hears that
//! from ractor, as of any child; what it tells besides is [`Connected`].
//!
//! | child | how it may end | what is lost | what we do | what the stream hears |
//! | --- | --- | --- | --- | --- |
//! | `PeerConnection` | closed, failed, panic | the connection | end: there is no session without it | that the session ended |

mod actor;
mod etag;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod machine;
mod message;
mod offer;

use ractor::{ActorCell, ActorRef, SpawnErr};

use self::actor::SessionActor;
pub(super) use self::actor::SessionArguments;
pub use self::etag::{EntityTag, IfMatch};
pub(super) use self::message::{Connected, OpenRequest, PatchRequest, SessionMessage, Source};
pub use self::message::{Opened, Patched};
pub use self::offer::OfferError;
use crate::start::spawn_linked;

/// Starts a session below its stream. Returns before it has done anything.
pub(super) async fn spawn(
    arguments: SessionArguments,
    stream: ActorCell,
) -> Result<ActorRef<SessionMessage>, SpawnErr> {
    let actor = spawn_linked(SessionActor, arguments, stream).await?;
    Ok(actor)
}
