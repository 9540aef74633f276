//! The heart of the example: owns one visitor's connection and sends everything back.

use std::collections::HashMap;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::{
    Event, MediaKind, MediaStreamTrack, PeerConnection, PeerConnectionState, PeerEvent, RtcpPacket,
    TrackId,
};

use super::common::lobby::Arrival;
use super::common::program::with_causes;
use super::common::signal::{FromPage, Page, Signal};

/// The actor of one visitor.
#[derive(Clone, Copy)]
pub(crate) struct Forwarder;

/// What it is told: by its page, and by its connection.
pub(crate) enum ForwarderMessage {
    Page(FromPage),
    Peer(PeerEvent),
}

impl From<FromPage> for ForwarderMessage {
    fn from(message: FromPage) -> Self {
        Self::Page(message)
    }
}

/// This is all that makes an actor the owner of a connection.
impl From<PeerEvent> for ForwarderMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

pub(crate) struct ForwarderState {
    page: Page,
    pc: PeerConnection,
    /// What the page sends us; of each kind the first track.
    inbound: HashMap<MediaKind, MediaStreamTrack>,
    /// What we send to the page.
    outbound: HashMap<MediaKind, TrackId>,
}

impl Actor for Forwarder {
    type Msg = ForwarderMessage;
    type State = ForwarderState;
    type Arguments = Arrival<ForwarderMessage>;

    async fn pre_start(
        &self,
        myself: ActorRef<ForwarderMessage>,
        arrival: Arrival<ForwarderMessage>,
    ) -> Result<ForwarderState, ActorProcessingErr> {
        let pc = arrival.connection.spawn_linked(&myself).await?;
        // One stream for both tracks: the page plays them in time with each other.
        let stream = MediaStreamTrack::generate_stream_id();
        let mut outbound = HashMap::new();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let track = MediaStreamTrack::new(kind, [stream.clone()]);
            pc.add_track(&track).await?;
            outbound.insert(kind, track.id());
        }
        Ok(ForwarderState {
            page: arrival.page,
            pc,
            inbound: HashMap::new(),
            outbound,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<ForwarderMessage>,
        message: ForwarderMessage,
        state: &mut ForwarderState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ForwarderMessage::Page(FromPage { message, .. }) => {
                // What a page gets wrong is told to that page, and no reason to end.
                if let Err(error) = message.apply(&state.pc, &state.page).await {
                    state.page.say(&Signal::Error(with_causes(&*error)))?;
                }
            }
            ForwarderMessage::Peer(PeerEvent { event, .. }) => state.take_event(event, &myself)?,
        }
        Ok(())
    }

    /// The connection is the only child, and without it there is nothing to forward.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<ForwarderMessage>,
        event: SupervisionEvent,
        _state: &mut ForwarderState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) = event {
            myself.stop(Some("the connection has ended".to_owned()));
        }
        Ok(())
    }
}

impl ForwarderState {
    /// The events are many, and there will be more; an owner listens to those it has use for.
    #[allow(clippy::wildcard_enum_match_arm)]
    fn take_event(
        &mut self,
        event: Event,
        myself: &ActorRef<ForwarderMessage>,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            Event::IceCandidate(Some(candidate)) => self.page.say(&Signal::Ice(Some(candidate)))?,
            Event::Track(track) => {
                self.inbound.entry(track.kind()).or_insert(track);
            }
            Event::Rtp {
                track_id,
                rid,
                packets,
            } => {
                let from = self.inbound.values().find(|track| track.id() == track_id);
                // Of simulcast encodings one is enough: the first that the page lists.
                if let Some(track) = from.filter(|track| track.rids().first() == rid.as_ref()) {
                    self.pc.send_rtp(self.outbound[&track.kind()], packets)?;
                }
            }
            // The page could not decode its echo. Whoever made the picture has to make a
            // new one from scratch, and that is the page as well.
            Event::Rtcp { packets, .. } if packets.iter().any(RtcpPacket::asks_for_keyframe) => {
                if let Some(video) = self.inbound.get(&MediaKind::Video) {
                    self.pc
                        .send_pli(video.id(), video.rids().first().cloned())?;
                }
            }
            Event::ConnectionStateChange(PeerConnectionState::Failed) | Event::Closed { .. } => {
                myself.stop(Some("the connection has ended".to_owned()));
            }
            _ => {}
        }
        Ok(())
    }
}
