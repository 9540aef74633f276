//! One participant: owner of a peer connection and of its negotiator.
//!
//! Started by the room for each that joins, and supervised by it. Ends when the room says so; what happens to it, it
//! tells the room, which decides.
//!
//! | child | how it may end | what is lost | what we do | what the room hears |
//! | --- | --- | --- | --- | --- |
//! | `PeerConnection` | a part of it fails, panic, kill | the connection | end | `Leave { ConnectionFailed }` |
//! | `PerfectNegotiation` | panic, kill | what is being negotiated | close the connection, end | `Leave { Crashed }` |
//! | listener (watched, no child) | its page has gone | whom to tell | close the connection, end | `Leave { ListenerGone }` |

mod actor;
mod machine;
mod message;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ractor::ActorRef;

pub(super) use self::actor::{ParticipantActor, ParticipantArguments};
pub(super) use self::message::ParticipantMessage;
use self::message::{PageRequest, WaitingLimit};
use super::event::{LeaveReason, ParticipantId};
use super::message::RoomMessage;
use crate::forwarder::LayerWish;
use crate::perfect_negotiation::SignalingMessage;
use crate::track::{MediaKind, StreamId, TrackId};

/// Handle to a participant of a [`Room`](super::Room). Cheap to clone; without effect once it has left.
///
/// What comes from its page goes through it. None of its methods waits.
#[derive(Clone, Debug)]
pub struct Participant {
    id: ParticipantId,
    actor: ActorRef<ParticipantMessage>,
    room: ActorRef<RoomMessage>,
    waiting: WaitingLimit,
    /// It was asked to leave, for it does not keep up with its page.
    is_overrun: Arc<AtomicBool>,
}

impl Participant {
    fn new(
        id: ParticipantId,
        actor: &ActorRef<ParticipantMessage>,
        room: &ActorRef<RoomMessage>,
        waiting: WaitingLimit,
    ) -> Self {
        Self {
            id,
            actor: actor.clone(),
            room: room.clone(),
            waiting,
            is_overrun: Arc::default(),
        }
    }

    /// Its name in events. Tell the page, so that it knows which ones are about itself.
    pub fn id(&self) -> ParticipantId {
        self.id
    }

    /// Takes what the page has said, in the order in which it was said.
    pub fn receive(&self, message: SignalingMessage) {
        self.request(PageRequest::Signal(message));
    }

    /// What the participant calls one of its streams, `camera` or `screen` for example, or nothing any more. Everybody is told
    /// ([`RoomEvent::Labelled`](super::RoomEvent::Labelled)) as soon as a track of that stream is published.
    ///
    /// `stream` is the page's own name for it: the `id` of the `MediaStream` that it gave to `addTrack`.
    pub fn set_label(&self, stream: impl Into<StreamId>, label: impl Into<Option<String>>) {
        let (stream, label) = (stream.into(), label.into());
        self.request(PageRequest::SetLabel { stream, label });
    }

    /// Whether the participant's own sound or pictures are kept from all others, those that it publishes later included.
    /// They go on arriving here, unless the page stops sending them.
    pub fn set_muted(&self, kind: MediaKind, muted: bool) {
        self.request(PageRequest::SetMuted { kind, muted });
    }

    /// Which encoding the participant is sent of another's publication in several (simulcast): the lowest of a picture that its page
    /// shows small, [`Off`](LayerWish::Off) for one that it does not show. Within that, what its path takes.
    pub fn set_layers(&self, publication: TrackId, wish: LayerWish) {
        self.request(PageRequest::SetLayers { publication, wish });
    }

    /// Leaves the room.
    pub fn leave(&self) {
        self.leave_for(LeaveReason::Left);
    }

    /// One that has left wants nothing any more.
    fn request(&self, request: PageRequest) {
        match self.waiting.admit(request) {
            Some(request) => {
                let _ended = self.actor.cast(ParticipantMessage::Page(request));
            }
            // Once: the room's mailbox has no bound either.
            None if !self.is_overrun.swap(true, Ordering::Relaxed) => {
                self.leave_for(LeaveReason::TooManyMessages);
            }
            None => {}
        }
    }

    fn leave_for(&self, reason: LeaveReason) {
        let participant = self.id;
        let _ended = self.room.cast(RoomMessage::Leave {
            participant,
            reason,
        });
    }
}
