//! [`Room`]: many peers, each sending to all others and receiving from all others.
//!
//! A room is a supervision tree of its own, started by [`Room::builder`] with any actor as owner and supervisor whose
//! messages are `From<RoomNews>`:
//!
//! ```text
//! owner                             your actor: hears RoomNews
//! └── Room                          who is there, who speaks, who is muted
//!     ├── Forwarder                 who gets which track
//!     └── Participant × n           owner of:
//!         ├── PeerConnection
//!         └── PerfectNegotiation    impolite: pages are polite
//! ```
//!
//! Whoever is to take part is let in with [`Room::join`], with a *listener*: the actor that carries messages to its page, that
//! of its WebSocket as a rule. The listener hears [`ParticipantEvent`]s; what the page says, it gives to the [`Participant`]. From
//! there on all happens by itself: negotiation with either side free to begin, tracks of others as they come and go, who
//! speaks, what is muted, and leaving, for whatever reason, of which there is one for each that leaves
//! ([`LeaveReason`]).
//!
//! What may fail, and what then:
//!
//! | child | how it may end | what is lost | what we do | what the owner hears |
//! | --- | --- | --- | --- | --- |
//! | `Participant` | we ended it | its visit | nothing | [`Left`](RoomEvent::Left), before, with the reason |
//! | `Participant` | panic, kill | its visit, with connection and negotiator | take its tracks from the others | `Left { Crashed }` |
//! | `Forwarder` | panic, kill | who gets what; what is forwarded goes on | start another, which finds peers and tracks again; after too many failures end the room | [`ForwarderRestarted`](RoomEvent::ForwarderRestarted), or [`Closed { ForwarderFailed }`](RoomEvent::Closed) |
//!
//! A failure in one participant, in its connection or its negotiator, is the end of that visit and of nothing else. Children of a
//! participant and what happens with them stand in the table of `participant/mod.rs`: whatever ends, the participant
//! leaves with a reason.
//!
//! The room ends by [`Room::close`], when its owner ends, or as in the table. Its participants then hear
//! [`ParticipantEvent::Closed`] with [`LeaveReason::RoomClosed`], the owner [`RoomEvent::Closed`].
//!
//! Packets never pass the room: they go from media path to media path by route.

mod actor;
mod builder;
mod error;
mod event;
mod limits;
mod listener;
mod machine;
mod member;
mod message;
mod participant;
mod publications;
mod snapshot;
mod speakers;
#[cfg(test)]
mod tests;

use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{ActorCell, ActorRef, Message};

pub use self::builder::RoomBuilder;
pub use self::error::JoinError;
pub use self::event::{
    LeaveReason, MuteScope, MutedBy, ParticipantEvent, ParticipantId, RoomCloseReason, RoomEvent,
    RoomId, RoomNews,
};
pub use self::limits::{RoomLimits, RoomTimes};
pub(crate) use self::message::RoomMessage;
pub use self::participant::Participant;
pub use self::snapshot::{ParticipantSnapshot, PublicationSnapshot, RoomSnapshot};
use crate::call::{CallError, ask};
use crate::outlet::Outlet;
use crate::peer_connection::CLOSE_DEADLINE;
use crate::stop::force_after;

/// Who wants to join.
#[derive(Clone, Debug)]
#[must_use = "a request joins nobody"]
pub struct JoinRequest {
    pub(crate) name: String,
    pub(crate) key: Option<String>,
}

impl JoinRequest {
    /// A participant of this name, which others are shown. It need not be unlike others'.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            key: None,
        }
    }

    /// Tells who it is when it comes again. If somebody with the same key is in the room, this one takes its place: others
    /// hear [`Left`](RoomEvent::Left) with [`LeaveReason::Replaced`], and [`Joined`](RoomEvent::Joined). What the moderator
    /// has muted by kind stays muted.
    ///
    /// So a page that is reloaded, or loses its WebSocket, leaves no ghost. Whoever knows the key can throw its holder out:
    /// let pages make one at random and keep it to themselves, or take the name of the user's session.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

/// Handle to a running room. Cheap to clone; without effect once the room has ended.
///
/// See the [module](self) for what it does.
#[derive(Clone, Debug)]
pub struct Room {
    id: RoomId,
    actor: ActorRef<RoomMessage>,
}

impl Room {
    /// Settings of a new room; [`spawn_linked`](RoomBuilder::spawn_linked) starts it.
    pub fn builder() -> RoomBuilder {
        RoomBuilder::new()
    }

    /// Names this room in its news.
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Lets somebody in. Returns when its peer connection runs and what others publish is attached to it, so that the answer
    /// to its first offer may carry that. It leaves when `listener` ends. A listener is for one participant: its events do
    /// not say whose they are.
    ///
    /// May be called from a handler of the listener, and of the room's owner. Who gives up waiting has not joined.
    ///
    /// # Errors
    ///
    /// [`JoinError`] says whose fault it was; nobody has joined then.
    pub async fn join<M>(
        &self,
        request: JoinRequest,
        listener: &ActorRef<M>,
    ) -> Result<Participant, JoinError>
    where
        M: Message + From<ParticipantEvent>,
    {
        let listener = Outlet::new(listener);
        let join = |reply| RoomMessage::Join {
            request,
            listener,
            reply,
        };
        match self.actor.call(join, Some(JOIN_TIMEOUT)).await {
            Ok(CallResult::Success(joined)) => joined,
            Ok(CallResult::Timeout) => Err(CallError::Timeout.into()),
            Ok(CallResult::SenderError) => Err(self.dropped()),
            Err(_) => Err(CallError::Stopped.into()),
        }
    }

    /// The moderator's mute: whether a participant's sound or pictures, or one of its tracks, are kept from all others.
    /// Undoes no mute of the participant's own. Taking it back for a kind does so for the single tracks of that kind.
    ///
    /// Does not wait. A participant or track that is gone is passed over.
    pub fn set_muted(&self, participant: ParticipantId, scope: impl Into<MuteScope>, muted: bool) {
        self.cast(RoomMessage::SetMuted {
            participant,
            scope: scope.into(),
            muted,
        });
    }

    /// The moderator's remove: the participant leaves with [`LeaveReason::Removed`]. Does not wait; nothing keeps it from
    /// joining again but the application.
    pub fn remove(&self, participant: ParticipantId) {
        self.cast(RoomMessage::Leave {
            participant,
            reason: LeaveReason::Removed,
        });
    }

    /// Who is there, and what they publish.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the room has ended.
    pub async fn snapshot(&self) -> Result<RoomSnapshot, CallError> {
        ask(&self.actor, |reply| RoomMessage::Snapshot { reply }).await
    }

    /// Ends the room: everybody leaves with [`LeaveReason::RoomClosed`], and their connections are closed. Returns when
    /// all is gone, a second and a half later at the latest. Closing twice is fine, also from a handler of the owner.
    pub async fn close(&self) {
        self.cast(RoomMessage::Close);
        // The room keeps its deadline itself. The margin covers a busy machine, and what is behind it a room that is stuck.
        force_after(self.actor.get_cell(), CLOSE_DEADLINE * 3)
            .wait()
            .await;
    }

    /// Why nobody answered: the participant went before it was all there, or the room did.
    fn dropped(&self) -> JoinError {
        if ractor::ACTIVE_STATES.contains(&self.actor.get_status()) {
            JoinError::Left
        } else {
            CallError::Stopped.into()
        }
    }

    /// A room that has ended wants nothing any more.
    fn cast(&self, message: RoomMessage) {
        let _ended = self.actor.cast(message);
    }
}

impl From<Room> for ActorCell {
    fn from(room: Room) -> Self {
        room.actor.get_cell()
    }
}

/// To start a peer connection and attach up to hundreds of tracks to it, on a busy machine.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);
