//! The actor of one page: owns its connections, and the Forwarder between them.

use std::collections::HashMap;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::forwarder::{Forwarder, ForwarderEvent};
use ractor_webrtc::{
    Event, PeerConnection, PeerConnectionBuilder, PeerConnectionState, PeerEvent, PeerId,
    SessionDescription, TrackId,
};

use super::common::lobby::Arrival;
use super::common::program::{Failure, with_causes};
use super::signal::{FromPage, Name, Page, StudioSignal, wish};

#[derive(Clone, Copy)]
pub(crate) struct Studio;

pub(crate) enum StudioMessage {
    Page(FromPage),
    Peer(PeerEvent),
    Forwarder(ForwarderEvent),
}

impl From<FromPage> for StudioMessage {
    fn from(said: FromPage) -> Self {
        Self::Page(said)
    }
}

impl From<PeerEvent> for StudioMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

impl From<ForwarderEvent> for StudioMessage {
    fn from(event: ForwarderEvent) -> Self {
        Self::Forwarder(event)
    }
}

pub(crate) struct StudioState {
    myself: ActorRef<StudioMessage>,
    page: Page,
    /// How connections are set up.
    connections: PeerConnectionBuilder,
    forwarder: Forwarder,
    peers: HashMap<Name, PeerConnection>,
    /// What each screen is sent.
    subscriptions: HashMap<Name, TrackId>,
}

impl Actor for Studio {
    type Msg = StudioMessage;
    type State = StudioState;
    type Arguments = Arrival<StudioMessage, StudioSignal>;

    async fn pre_start(
        &self,
        myself: ActorRef<StudioMessage>,
        arrival: Self::Arguments,
    ) -> Result<StudioState, ActorProcessingErr> {
        Ok(StudioState {
            // Everybody gets what all others publish: the screens the camera, and the camera nothing.
            forwarder: Forwarder::builder().spawn_linked(&myself).await?,
            myself,
            page: arrival.page,
            connections: arrival.connection,
            peers: HashMap::new(),
            subscriptions: HashMap::new(),
        })
    }

    async fn handle(
        &self,
        _: ActorRef<StudioMessage>,
        message: StudioMessage,
        state: &mut StudioState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            StudioMessage::Page(said) => {
                if let Err(error) = state.take_signal(said.message).await {
                    let text = with_causes(&*error);
                    state.page.say(&StudioSignal::Error { text })?;
                }
            }
            StudioMessage::Peer(event) => {
                // First of all: it is how the Forwarder knows what arrives, and what each path takes.
                state.forwarder.handle_event(&event);
                state.take_peer_event(event)?;
            }
            StudioMessage::Forwarder(event) => state.take_forwarder_event(event)?,
        }
        Ok(())
    }

    /// Whichever child ends, the demonstration is over; the page begins another one.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<StudioMessage>,
        event: SupervisionEvent,
        _: &mut StudioState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) = event {
            myself.stop(Some("a part of it has ended".to_owned()));
        }
        Ok(())
    }
}

impl StudioState {
    async fn take_signal(&mut self, signal: StudioSignal) -> Result<(), Failure> {
        match signal {
            StudioSignal::Offer { of, description } => {
                let description = self.answer(of, description).await?;
                self.page.say(&StudioSignal::Answer { of, description })?;
            }
            StudioSignal::Ice { of, candidate } => {
                if let Some(peer) = self.peers.get(&of) {
                    peer.add_ice_candidate(candidate).await?;
                }
            }
            StudioSignal::Wish { of, layer } => {
                if let Some(subscription) = self.subscriptions.get(&of) {
                    self.forwarder.set_layers(*subscription, wish(&layer));
                }
            }
            StudioSignal::Answer { .. }
            | StudioSignal::Layers { .. }
            | StudioSignal::Gets { .. }
            | StudioSignal::Path { .. }
            | StudioSignal::Error { .. } => return Err("that is for pages to hear".into()),
        }
        Ok(())
    }

    /// A page offers each of its connections once.
    async fn answer(
        &mut self,
        name: Name,
        offer: SessionDescription,
    ) -> Result<SessionDescription, Failure> {
        if self.peers.contains_key(&name) {
            return Err("that connection has been offered already".into());
        }
        let peer = self.connections.clone().spawn_linked(&self.myself).await?;
        self.peers.insert(name, peer.clone());
        peer.set_remote_description(offer).await?;
        // What is published already is in the answer.
        self.forwarder.add_peer(&peer).await?;
        let answer = peer.create_answer().await?;
        peer.set_local_description(answer.clone()).await?;
        Ok(answer)
    }

    /// An owner listens to the events that it has use for.
    #[allow(clippy::wildcard_enum_match_arm)]
    fn take_peer_event(
        &self,
        PeerEvent { peer, event, .. }: PeerEvent,
    ) -> Result<(), ActorProcessingErr> {
        let Some(of) = self.name_of(peer) else {
            return Ok(());
        };
        match event {
            Event::IceCandidate(candidate) => {
                self.page.say(&StudioSignal::Ice { of, candidate })?
            }
            Event::LayersChanged { layers, .. } => {
                let layers = layers.iter().map(Into::into).collect();
                self.page.say(&StudioSignal::Layers { layers })?;
            }
            Event::AvailableOutgoingBitrate { bits_per_second } => {
                let bitrate = bits_per_second;
                self.page.say(&StudioSignal::Path { of, bitrate })?;
            }
            Event::ConnectionStateChange(PeerConnectionState::Failed) => {
                let text = format!("the connection of {of:?} has failed");
                self.page.say(&StudioSignal::Error { text })?;
            }
            _ => {}
        }
        Ok(())
    }

    #[allow(clippy::wildcard_enum_match_arm)]
    fn take_forwarder_event(&mut self, event: ForwarderEvent) -> Result<(), ActorProcessingErr> {
        match event {
            ForwarderEvent::Subscribed {
                subscriber,
                subscription,
                ..
            } => {
                if let Some(name) = self.name_of(subscriber) {
                    self.subscriptions.insert(name, subscription.id());
                }
            }
            ForwarderEvent::LayerChanged {
                subscriber, rid, ..
            } => {
                if let Some(of) = self.name_of(subscriber) {
                    let rid = rid.to_string();
                    self.page.say(&StudioSignal::Gets { of, rid })?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn name_of(&self, peer: PeerId) -> Option<Name> {
        let mut peers = self.peers.iter();
        let found = peers.find(|(_, known)| known.id() == peer);
        found.map(|(name, _)| *name)
    }
}
