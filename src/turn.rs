//! Actors that take turns.

use ractor::{ActorRef, Message};

/// Leaves the rest of an actor's work for another turn, and lets all others have theirs first: those who
/// wrote to it, and those who run on the same thread. Without the latter one poll of the actor would be all
/// the turns that tokio's budget allows, hundreds of milliseconds where packets are sent to many.
pub(crate) async fn come_back<M: Message>(myself: &ActorRef<M>, message: M) {
    // Refused only when the actor is stopping, and then there is no other turn.
    let _stopping = myself.cast(message);
    tokio::task::yield_now().await;
}
