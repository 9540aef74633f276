//! Who hears a participant's events: one last word, and none after it.

use std::sync::{Arc, Mutex, PoisonError};

use ractor::{ACTIVE_STATES, ActorCell};

use super::event::{LeaveReason, ParticipantEvent};
use crate::outlet::{ListenerGone, Outlet};

/// The actor that hears a participant's events; shared by the room and the participant. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    actor: ActorCell,
    /// `None` after the last event.
    open: Arc<Mutex<Option<Outlet<ParticipantEvent>>>>,
}

impl Listener {
    pub(super) fn new(outlet: Outlet<ParticipantEvent>) -> Self {
        Self {
            actor: outlet.listener().clone(),
            open: Arc::new(Mutex::new(Some(outlet))),
        }
    }

    pub(super) fn actor(&self) -> &ActorCell {
        &self.actor
    }

    pub(super) fn is_running(&self) -> bool {
        ACTIVE_STATES.contains(&self.actor.get_status())
    }

    /// Puts the event into the listener's mailbox, unless the last one is there. Does not wait.
    ///
    /// The lock is held meanwhile, so that nothing comes behind the last event.
    pub(super) fn tell(&self, event: ParticipantEvent) -> Result<(), ListenerGone> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map_or(Ok(()), |outlet| outlet.tell(event))
    }

    /// Tells the last event, the first time.
    pub(super) fn close(&self, reason: LeaveReason) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outlet) = open.take() {
            // It may be what ended.
            let _gone = outlet.tell(ParticipantEvent::Closed { reason });
        }
    }
}
