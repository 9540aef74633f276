//! An owner for everything that has one.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::forwarder::ForwarderEvent;
use ractor_webrtc::perfect_negotiation::PerfectNegotiationEvent;
use ractor_webrtc::room::{ParticipantEvent, RoomNews};

/// Owns whatever there is, and does nothing about it.
pub(crate) struct Ignorant;

/// What it was told.
pub(crate) struct Anything;

impl From<RoomNews> for Anything {
    fn from(_: RoomNews) -> Self {
        Self
    }
}

impl From<ParticipantEvent> for Anything {
    fn from(_: ParticipantEvent) -> Self {
        Self
    }
}

impl From<ForwarderEvent> for Anything {
    fn from(_: ForwarderEvent) -> Self {
        Self
    }
}

impl From<PerfectNegotiationEvent> for Anything {
    fn from(_: PerfectNegotiationEvent) -> Self {
        Self
    }
}

impl Ignorant {
    pub(crate) async fn spawn() -> ActorRef<Anything> {
        Actor::spawn(None, Self, ()).await.unwrap().0
    }
}

impl Actor for Ignorant {
    type Msg = Anything;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Anything>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<Anything>,
        _: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
