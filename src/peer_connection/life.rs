//! What others see of a peer's life, up to its end.

use ractor::{ActorCell, ActorStatus};
use tokio::sync::watch;
use tracing::Span;

use super::event::{CloseReason, Event, PeerEvent, PeerId};
use super::journal;
use super::machine::PeerConnectionStates;
use super::owner::Owner;
use crate::dtls::DtlsError;
use crate::metrics::PeerMeter;
use crate::outlet::{ListenerGone, Outlet};

/// The peer's life as others see it: the states in every handle, and the owner's last event.
#[derive(Debug)]
pub(super) struct Life {
    id: PeerId,
    /// Around all that the log tells of the peer.
    pub(super) span: Span,
    owner: Owner,
    supervisor: ActorCell,
    states: watch::Sender<PeerConnectionStates>,
    meter: PeerMeter,
    /// What the owner hears last; a failure until something better is known.
    pub(super) reason: CloseReason,
    ended: bool,
}

impl Life {
    pub(super) fn new(
        id: PeerId,
        span: Span,
        owner: Owner,
        supervisor: ActorCell,
        states: watch::Sender<PeerConnectionStates>,
    ) -> Self {
        Self {
            id,
            span,
            owner,
            supervisor,
            states,
            meter: PeerMeter::new(),
            reason: CloseReason::Crashed,
            ended: false,
        }
    }

    pub(super) fn tell(&self, event: Event) -> Result<(), ListenerGone> {
        journal::note(&self.span, &event);
        self.owner.tell(PeerEvent::new(self.id, event))
    }

    pub(super) fn is_owner(&self, actor: &ActorCell) -> bool {
        self.owner.is(actor)
    }

    /// Whoever was the owner hears nothing more, the last event included.
    pub(super) fn change_owner(&self, to: Outlet<PeerEvent>) {
        self.owner.change(to);
    }

    pub(super) fn show(&mut self, states: PeerConnectionStates) {
        self.meter.states(states);
        self.states.send_replace(states);
    }

    pub(super) fn dtls_failed(&self, error: &DtlsError) {
        self.meter.dtls_failed(error);
    }

    pub(super) fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        // ractor kills the children of an actor that ends, without a hook of theirs.
        if self.reason == CloseReason::Crashed {
            if self.owner.status() >= ActorStatus::Stopping {
                self.reason = CloseReason::OwnerGone;
            } else if self.supervisor.get_status() >= ActorStatus::Stopping {
                self.reason = CloseReason::Stopped;
            }
        }
        self.states.send_modify(PeerConnectionStates::close);
        self.meter.ended(&self.reason);
        let reason = self.reason.clone();
        // The owner may be what ended.
        let _owner_is_gone = self.tell(Event::Closed { reason });
    }
}

/// A killed or panicked actor runs no hook of its own.
impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}
