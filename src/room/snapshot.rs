//! What a room knows at one moment.

use serde::Serialize;

use super::event::{MutedBy, ParticipantId};
use crate::peer_connection::{PeerConnectionState, PeerId};
use crate::track::{MediaKind, StreamId, TrackId};

/// Who is in a room, and what they publish. JSON in camel case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RoomSnapshot {
    /// In the order in which they came.
    pub participants: Vec<ParticipantSnapshot>,
    /// Who speaks, the loudest first.
    pub speaking: Vec<ParticipantId>,
}

/// One participant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ParticipantSnapshot {
    /// Who.
    pub id: ParticipantId,
    /// Its name, as it gave it.
    pub name: String,
    /// Its peer connection, once it runs; of those in [`PeerConnection::all_running`](crate::PeerConnection::all_running) the one to
    /// ask for statistics. Not in JSON.
    #[serde(skip)]
    pub peer: Option<PeerId>,
    /// The state of its connection.
    pub connection: PeerConnectionState,
    /// What it publishes, oldest first.
    pub publications: Vec<PublicationSnapshot>,
    /// What it is sent.
    pub subscriptions: Vec<TrackId>,
}

/// One track that a participant publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PublicationSnapshot {
    /// Its name in events.
    pub id: TrackId,
    /// Sound or pictures.
    pub kind: MediaKind,
    /// What others' pages see.
    pub stream: StreamId,
    /// What the participant calls the stream.
    pub label: Option<String>,
    /// Who has muted it, if anybody.
    pub muted_by: Option<MutedBy>,
}
