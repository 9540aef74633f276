//! Where an actor's news goes, without knowing who listens.

use std::fmt;
use std::sync::Arc;

use ractor::{ActorCell, ActorRef, Message};

/// Carries events of type `E` into the mailbox of some actor that understands them.
///
/// Cheap to clone. It hides the listener's message type, so that a room knows its
/// events and never who hears them.
pub(crate) struct Outlet<E> {
    tell: Arc<dyn Fn(E) -> Result<(), ListenerGone> + Send + Sync>,
    listener: ActorCell,
}

/// The actor behind an [`Outlet`] has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the listening actor has stopped")]
pub(crate) struct ListenerGone;

impl<E: 'static> Outlet<E> {
    /// An outlet into the mailbox of an actor whose messages can be made from events.
    pub(crate) fn new<M>(listener: &ActorRef<M>) -> Self
    where
        M: Message + From<E>,
    {
        Self::with(listener, M::from)
    }

    /// An outlet that wraps every event with `wrap`.
    pub(crate) fn with<M>(
        listener: &ActorRef<M>,
        wrap: impl Fn(E) -> M + Send + Sync + 'static,
    ) -> Self
    where
        M: Message,
    {
        let actor = listener.clone();
        Self {
            tell: Arc::new(move |event| actor.cast(wrap(event)).map_err(|_| ListenerGone)),
            listener: listener.get_cell(),
        }
    }

    /// Puts the event into the listener's mailbox. Does not wait.
    pub(crate) fn tell(&self, event: E) -> Result<(), ListenerGone> {
        (self.tell)(event)
    }

    /// The actor that hears the events.
    pub(crate) fn listener(&self) -> &ActorCell {
        &self.listener
    }
}

impl<E> Clone for Outlet<E> {
    fn clone(&self) -> Self {
        Self {
            tell: Arc::clone(&self.tell),
            listener: self.listener.clone(),
        }
    }
}

impl<E> fmt::Debug for Outlet<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outlet")
            .field("listener", &self.listener.get_id())
            .finish()
    }
}
