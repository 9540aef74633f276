//! The actor of one page: carries messages between the page and its participant.

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::perfect_negotiation::SignalingMessage;
use ractor_webrtc::room::{JoinRequest, LeaveReason, Participant, ParticipantEvent, ParticipantId};
use ractor_webrtc::room::{Room, RoomEvent};
use ractor_webrtc::signaling::websocket::{self, Goodbye, WebSocketLimits};
use ractor_webrtc::{IceCandidate, IceServer, MediaKind, SessionDescription};
use serde::{Deserialize, Serialize};

use super::common::program::with_causes;

/// A description grows with every participant, and whoever comes late is told of all.
pub(crate) fn limits() -> WebSocketLimits {
    WebSocketLimits {
        message_bytes: 1024 * 1024,
        backlog: 1024,
        ..WebSocketLimits::default()
    }
}

/// What a page says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum PageRequest {
    /// Its user wants to come in. The key is a secret of the page, by which it is known again when it comes back.
    Join { name: String, key: String },
    /// A stream of the page is the camera, or the screen.
    Label { stream: String, label: String },
    /// The user does not want to be heard or seen now, or wants to again.
    Mute { kind: MediaKind, muted: bool },
    /// The user goes.
    Leave,
    /// An offer or an answer, as in W3C's example of perfect negotiation.
    Description(SessionDescription),
    /// A candidate; `null` after the last.
    Candidate(Option<IceCandidate>),
}

/// What a page is told.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum PageNews {
    /// It has joined, and this is its own name in what happens in the room.
    Welcome {
        participant: ParticipantId,
        ice_servers: Vec<IceServer>,
    },
    /// Something has happened in the room.
    Room(RoomEvent),
    /// It is not in the room any more.
    Closed(LeaveReason),
    /// What was wrong with its last message.
    Error(String),
    /// `description` and `candidate`.
    #[serde(untagged)]
    Signal(SignalingMessage),
}

pub(crate) type Page = websocket::Page<PageNews>;

pub(crate) type FromPage = websocket::FromPage<PageRequest>;

pub(crate) struct Visitor;

pub(crate) enum VisitorMessage {
    Page(FromPage),
    Participant(ParticipantEvent),
}

impl From<FromPage> for VisitorMessage {
    fn from(said: FromPage) -> Self {
        Self::Page(said)
    }
}

/// This is all that makes an actor the listener of a participant.
impl From<ParticipantEvent> for VisitorMessage {
    fn from(event: ParticipantEvent) -> Self {
        Self::Participant(event)
    }
}

/// What a visitor starts with.
pub(crate) struct Arrival {
    pub(crate) page: Page,
    pub(crate) room: Room,
    pub(crate) ice_servers: Vec<IceServer>,
}

pub(crate) struct VisitorState {
    arrival: Arrival,
    /// Once the page has joined.
    participant: Option<Participant>,
}

/// It has no children: the participant is the room's, and leaves when we end.
impl Actor for Visitor {
    type Msg = VisitorMessage;
    type State = VisitorState;
    type Arguments = Arrival;

    async fn pre_start(
        &self,
        _: ActorRef<VisitorMessage>,
        arrival: Arrival,
    ) -> Result<VisitorState, ActorProcessingErr> {
        Ok(VisitorState {
            arrival,
            participant: None,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<VisitorMessage>,
        message: VisitorMessage,
        state: &mut VisitorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            VisitorMessage::Page(FromPage { message, .. }) => state.obey(message, &myself).await?,
            VisitorMessage::Participant(event) => state.report(event)?,
        }
        Ok(())
    }
}

impl VisitorState {
    /// Does what the page asks for.
    async fn obey(
        &mut self,
        request: PageRequest,
        myself: &ActorRef<VisitorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        match (request, &self.participant) {
            (PageRequest::Join { name, key }, None) => self.join(name, key, myself).await?,
            (PageRequest::Description(description), Some(me)) => {
                me.receive(SignalingMessage::Description(description));
            }
            (PageRequest::Candidate(candidate), Some(me)) => {
                me.receive(SignalingMessage::Candidate(candidate));
            }
            (PageRequest::Label { stream, label }, Some(me)) => me.set_label(&*stream, label),
            (PageRequest::Mute { kind, muted }, Some(me)) => me.set_muted(kind, muted),
            (PageRequest::Leave, Some(me)) => me.leave(),
            (PageRequest::Join { .. }, Some(_)) => self.complain("you have joined already")?,
            (_, None) => self.complain("you have not joined yet")?,
        }
        Ok(())
    }

    async fn join(
        &mut self,
        name: String,
        key: String,
        myself: &ActorRef<VisitorMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let Arrival {
            page,
            room,
            ice_servers,
        } = &self.arrival;
        match room.join(JoinRequest::new(name).key(key), myself).await {
            Ok(participant) => {
                page.say(&PageNews::Welcome {
                    participant: participant.id(),
                    ice_servers: ice_servers.clone(),
                })?;
                self.participant = Some(participant);
            }
            Err(refusal) => page.hang_up(Goodbye::try_again(with_causes(&refusal))),
        }
        Ok(())
    }

    /// Tells the page what its participant has told.
    fn report(&self, event: ParticipantEvent) -> Result<(), ActorProcessingErr> {
        let page = &self.arrival.page;
        match event {
            ParticipantEvent::Send(message) => page.say(&PageNews::Signal(message))?,
            ParticipantEvent::Room(event) => page.say(&PageNews::Room(event))?,
            ParticipantEvent::Closed { reason } => {
                page.say(&PageNews::Closed(reason))?;
                page.hang_up(Goodbye::normal("you are not in the room any more"));
            }
            // What is added to the room later is nothing for this page.
            _ => {}
        }
        Ok(())
    }

    fn complain(&self, complaint: &str) -> Result<(), websocket::PageError> {
        self.arrival
            .page
            .say(&PageNews::Error(complaint.to_owned()))
    }
}
