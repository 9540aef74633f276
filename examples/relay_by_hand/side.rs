//! One side of the relay: owns the connection to its page, and hands what comes from there to the other side's.

use std::collections::HashMap;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::signaling::websocket::Goodbye;
use ractor_webrtc::{
    Event, MediaKind, MediaStreamTrack, PeerConnection, PeerConnectionState, PeerEvent, RtcpPacket,
    TrackId,
};

use super::common::lobby::Arrival;
use super::common::program::with_causes;
use super::common::signal::{FromPage, Page, Signal};

#[derive(Clone, Copy)]
pub(crate) struct Side;

pub(crate) enum SideMessage {
    Page(FromPage),
    Peer(PeerEvent),
    /// Somebody is on the other side, perhaps somebody new.
    Meet(Contact),
}

impl From<FromPage> for SideMessage {
    fn from(said: FromPage) -> Self {
        Self::Page(said)
    }
}

impl From<PeerEvent> for SideMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

/// What one side has to know of the other.
#[derive(Clone)]
pub(crate) struct Contact {
    actor: ActorRef<SideMessage>,
    pc: PeerConnection,
    /// The tracks on which its page is sent something.
    outbound: HashMap<MediaKind, TrackId>,
    /// The tracks that its page sends.
    inbound: HashMap<TrackId, MediaKind>,
}

pub(crate) struct SideState {
    page: Page,
    me: Contact,
    other: Option<Contact>,
    /// Who was there when we came.
    others: Vec<ActorRef<SideMessage>>,
}

impl Actor for Side {
    type Msg = SideMessage;
    type State = SideState;
    type Arguments = Arrival<SideMessage>;

    async fn pre_start(
        &self,
        myself: ActorRef<SideMessage>,
        arrival: Arrival<SideMessage>,
    ) -> Result<SideState, ActorProcessingErr> {
        let pc = arrival.connection.spawn_linked(&myself).await?;
        let stream = MediaStreamTrack::generate_stream_id();
        let mut outbound = HashMap::new();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let track = MediaStreamTrack::new(kind, [stream.clone()]);
            pc.add_track(&track).await?;
            outbound.insert(kind, track.id());
        }
        let me = Contact {
            actor: myself,
            pc,
            outbound,
            inbound: HashMap::new(),
        };
        Ok(SideState {
            page: arrival.page,
            me,
            other: None,
            others: arrival.others,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<SideMessage>,
        message: SideMessage,
        state: &mut SideState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            SideMessage::Page(FromPage { message, .. }) => {
                if let Err(error) = message.apply(&state.me.pc, &state.page).await {
                    state.page.say(&Signal::Error(with_causes(&*error)))?;
                }
            }
            SideMessage::Peer(PeerEvent { event, .. }) => state.take_event(event)?,
            SideMessage::Meet(contact) => state.meet(contact),
        }
        Ok(())
    }

    /// The connection is the only child, and without it there is nothing to relay.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SideMessage>,
        event: SupervisionEvent,
        _: &mut SideState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) = event {
            myself.stop(Some("the connection has ended".to_owned()));
        }
        Ok(())
    }
}

impl SideState {
    /// An owner listens to the events that it has use for.
    #[allow(clippy::wildcard_enum_match_arm)]
    fn take_event(&mut self, event: Event) -> Result<(), ActorProcessingErr> {
        match event {
            Event::IceCandidate(found) => self.page.say(&Signal::Ice(found))?,
            Event::Track(track) => {
                self.me.inbound.insert(track.id(), track.kind());
                self.others.iter().for_each(|other| self.introduce(other));
            }
            Event::Rtp {
                track_id, packets, ..
            } => {
                if let (Some(other), Some(kind)) = (&self.other, self.me.inbound.get(&track_id)) {
                    // It may be gone at any moment; that is no reason to go as well.
                    let _gone = other.pc.send_rtp(other.outbound[kind], packets);
                }
            }
            // Our page cannot decode what it sees: whoever sends that has to begin anew. So it does when we join.
            Event::Rtcp { packets, .. } => {
                let wanted = |it: &_| matches!(it, RtcpPacket::PictureLossIndication(_));
                if packets.iter().any(wanted) {
                    self.ask_for_keyframe();
                }
            }
            Event::ConnectionStateChange(PeerConnectionState::Connected) => self.ask_for_keyframe(),
            Event::NoCommonCodec { kind, .. } => {
                let complaint =
                    format!("your browser and the relay have no codec for {kind} in common");
                self.page.say(&Signal::Error(complaint))?;
            }
            Event::ConnectionStateChange(PeerConnectionState::Failed) => {
                self.page
                    .hang_up(Goodbye::error("the connection has failed"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whoever introduces himself and is new to us has to know us too.
    fn meet(&mut self, contact: Contact) {
        let former = self.other.replace(contact.clone());
        if former.is_none_or(|former| former.pc.id() != contact.pc.id()) {
            self.introduce(&contact.actor);
        }
        self.ask_for_keyframe();
    }

    fn introduce(&self, other: &ActorRef<SideMessage>) {
        // It may be gone meanwhile: whoever comes next will introduce himself.
        let _gone = other.cast(SideMessage::Meet(self.me.clone()));
    }

    fn ask_for_keyframe(&self) {
        if let Some(other) = &self.other {
            let tracks = other.inbound.iter();
            for (camera, _) in tracks.filter(|(_, kind)| **kind == MediaKind::Video) {
                let _gone = other.pc.request_keyframe(*camera, None);
            }
        }
    }
}
