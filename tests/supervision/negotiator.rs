//! A negotiator that an owner has started by hand.

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::faults::{Fault, Hook, running_below};
use ractor_webrtc::perfect_negotiation::{
    NegotiationEvent, PerfectNegotiationEvent, SignalingMessage,
};
use ractor_webrtc::{
    Event, MediaKind, MediaStreamTrack, PeerEvent, PerfectNegotiation, Politeness,
};
use tokio::sync::mpsc;

use super::call::Call;

/// It keeps nothing that another would miss.
#[tokio::test]
async fn c107_a_negotiator_that_fails_costs_what_it_was_about_and_another_goes_on() {
    let mut call = Call::connect().await;
    let (sender, mut heard) = mpsc::unbounded_channel();
    let (owner, _) = Actor::spawn(None, Owner, sender).await.unwrap();
    let peer = call.victim.peer.clone();
    let needed = PeerEvent::new(peer.id(), Event::NegotiationNeeded);
    for fault in [Fault::panic(), Fault::error(), Fault::kill()] {
        let negotiation = PerfectNegotiation::spawn_linked(&peer, Politeness::Polite, &owner);
        let negotiation = negotiation.await.unwrap();
        let injected = fault.at(Hook::Handle).below(&owner).inject();
        negotiation.handle_event(&needed);
        injected.struck().await;
        assert!(matches!(heard.recv().await, Some(Heard::Ended)));
        assert_eq!(running_below(&owner).len(), 0);
        call.talk().await;
    }
    let track = MediaStreamTrack::new(MediaKind::Video, []);
    peer.add_track(&track).await.unwrap();
    let negotiation = PerfectNegotiation::spawn_linked(&peer, Politeness::Polite, &owner);
    negotiation.await.unwrap().handle_event(&needed);
    let said = heard.recv().await;
    let Some(Heard::Event(NegotiationEvent::Send(SignalingMessage::Description(offer)))) = said
    else {
        panic!("{said:?}");
    };
    assert_eq!(offer.sdp.matches("m=video").count(), 2);
    owner.stop(None);
}

struct Owner;

#[derive(Debug)]
enum Heard {
    Event(NegotiationEvent),
    Ended,
}

impl Actor for Owner {
    type Msg = PerfectNegotiationEvent;
    type State = mpsc::UnboundedSender<Heard>;
    type Arguments = mpsc::UnboundedSender<Heard>;

    async fn pre_start(
        &self,
        _: ActorRef<PerfectNegotiationEvent>,
        heard: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(heard)
    }

    async fn handle(
        &self,
        _: ActorRef<PerfectNegotiationEvent>,
        news: PerfectNegotiationEvent,
        heard: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        heard.send(Heard::Event(news.event))?;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<PerfectNegotiationEvent>,
        event: SupervisionEvent,
        heard: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if !matches!(event, SupervisionEvent::ActorStarted(_)) {
            heard.send(Heard::Ended)?;
        }
        Ok(())
    }
}
