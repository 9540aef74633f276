//! Who hears a peer's events.

use std::sync::{Arc, PoisonError, RwLock};

use ractor::{ActorCell, ActorStatus};

use super::event::PeerEvent;
use crate::outlet::{ListenerGone, Outlet};

/// The owner that there is now, shared by all actors of one peer that tell it something: a change counts for all of
/// them in the same moment. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    current: Arc<RwLock<Outlet<PeerEvent>>>,
}

impl Owner {
    pub(crate) fn new(outlet: Outlet<PeerEvent>) -> Self {
        Self {
            current: Arc::new(RwLock::new(outlet)),
        }
    }

    /// Puts the event into the owner's mailbox. Does not wait. The lock is held meanwhile, so that none comes to
    /// the one before after a change.
    pub(crate) fn tell(&self, event: PeerEvent) -> Result<(), ListenerGone> {
        self.read(|outlet| outlet.tell(event))
    }

    /// Events go there from now on.
    pub(crate) fn change(&self, to: Outlet<PeerEvent>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = to;
    }

    pub(super) fn is(&self, actor: &ActorCell) -> bool {
        self.read(|outlet| outlet.listener().get_id()) == actor.get_id()
    }

    pub(super) fn status(&self) -> ActorStatus {
        self.read(|outlet| outlet.listener().get_status())
    }

    /// One store replaces an outlet, so that it is whole even behind a panic.
    fn read<T>(&self, look: impl FnOnce(&Outlet<PeerEvent>) -> T) -> T {
        look(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}
