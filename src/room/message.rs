//! What a room is told.

use ractor::RpcReplyPort;

use super::JoinRequest;
use super::error::JoinError;
use super::event::{LeaveReason, MuteScope, ParticipantEvent, ParticipantId};
use super::participant::Participant;
use super::snapshot::RoomSnapshot;
use crate::forwarder::ForwarderEvent;
use crate::outlet::Outlet;
use crate::peer_connection::{PeerConnectionState, PeerId};
use crate::perfect_negotiation::PerfectNegotiationError;
use crate::rtp::AudioLevel;
use crate::timer::Generation;
use crate::track::{MediaKind, StreamId, TrackId};

/// Mailbox of a room.
///
/// Its participants are bounded in number and each in what it says in a second; what their connections tell is passed on
/// only where it changes something.
#[derive(Debug)]
pub(crate) enum RoomMessage {
    // Commands and queries, from handles.
    /// Let somebody in; the participant answers when it is all there.
    Join {
        request: JoinRequest,
        listener: Outlet<ParticipantEvent>,
        reply: RpcReplyPort<Result<Participant, JoinError>>,
    },
    /// From the moderator.
    SetMuted {
        participant: ParticipantId,
        scope: MuteScope,
        muted: bool,
    },
    /// From the participant itself.
    SetOwnMuted {
        participant: ParticipantId,
        kind: MediaKind,
        muted: bool,
    },
    /// From a participant: what it calls one of its streams.
    SetLabel {
        participant: ParticipantId,
        stream: StreamId,
        label: Option<String>,
    },
    /// All that is known.
    Snapshot { reply: RpcReplyPort<RoomSnapshot> },
    /// Everybody leaves, and the room ends.
    Close,

    // Facts, from participants.
    /// Its peer connection runs, and the forwarder is about to be given it.
    PeerStarted {
        participant: ParticipantId,
        peer: PeerId,
    },
    /// Its connection has another state.
    ConnectionStateChanged {
        participant: ParticipantId,
        state: PeerConnectionState,
    },
    /// How loud one of its tracks is.
    Heard {
        participant: ParticipantId,
        publication: TrackId,
        level: AudioLevel,
    },
    /// A description or a candidate could not be applied.
    NegotiationFailed {
        participant: ParticipantId,
        error: PerfectNegotiationError,
    },
    /// It has to go; from its handle, or from itself.
    Leave {
        participant: ParticipantId,
        reason: LeaveReason,
    },

    // Facts, from the forwarder.
    /// The forwarder has news.
    Forwarder(ForwarderEvent),

    // Facts, from the room's own timers.
    /// Somebody may have fallen silent.
    SilenceChecked { generation: Generation },
    /// Those who were to end had their time.
    CloseDeadlinePassed,
}

impl From<ForwarderEvent> for RoomMessage {
    fn from(event: ForwarderEvent) -> Self {
        Self::Forwarder(event)
    }
}
