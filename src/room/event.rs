//! What a room tells: to its owner, and to its participants.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize, Serializer};

use crate::codec::RtpCodec;
use crate::peer_connection::PeerConnectionState;
use crate::perfect_negotiation::{PerfectNegotiationError, SignalingMessage};
use crate::track::{MediaKind, StreamId, TrackId};

/// Names one room within this process. Never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RoomId(u64);

impl RoomId {
    /// The next name.
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "room-{}", self.0)
    }
}

/// Names one participant within this process, of whatever room. Never used again for another one. In JSON a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ParticipantId(u64);

impl ParticipantId {
    /// The next name.
    pub(super) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "participant-{}", self.0)
    }
}

/// News of one room, as it arrives in its owner's mailbox.
///
/// An actor becomes the owner of rooms by having `From<RoomNews>` for its message type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RoomNews {
    /// Which room.
    pub room: RoomId,
    /// What happened.
    pub event: RoomEvent,
}

/// News of one participant, as it arrives in its listener's mailbox.
///
/// An actor becomes a listener by having `From<ParticipantEvent>` for its message type; as a rule it is
/// the actor of the page's WebSocket.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ParticipantEvent {
    /// To be carried to the page, in this order.
    Send(SignalingMessage),
    /// Something happened in the room. A newcomer hears first who is there, what they publish and who speaks, and
    /// from then on all that concerns everybody, its own publications and mutes included, but not of its own coming and
    /// going.
    Room(RoomEvent),
    /// The participant has left, and this is its last event.
    Closed {
        /// Why.
        reason: LeaveReason,
    },
}

/// What happened in a room.
///
/// As JSON each is an object with a `type`, to be sent to pages as it is:
///
/// ```json
/// {"type": "joined", "participant": 3, "name": "Ada"}
/// {"type": "left", "participant": 3, "reason": "connectionLost"}
/// {"type": "connectionStateChanged", "participant": 3, "state": "disconnected"}
/// {"type": "published", "participant": 3, "publication": 17, "kind": "video",
///  "stream": "5f0c…", "label": "camera", "mutedBy": null}
/// {"type": "unpublished", "participant": 3, "publication": 17}
/// {"type": "labelled", "participant": 3, "stream": "5f0c…", "label": "screen"}
/// {"type": "muted", "participant": 3, "publication": 17, "by": "moderator"}
/// {"type": "unmuted", "participant": 3, "publication": 17}
/// {"type": "subscribed", "participant": 4, "publication": 17}
/// {"type": "unsubscribed", "participant": 4, "publication": 17}
/// {"type": "cannotDecode", "participant": 4, "publication": 17, "codec": "H264"}
/// {"type": "notForwarded", "participant": 3, "publication": 17, "error": "…"}
/// {"type": "speaking", "participants": [3, 5]}
/// {"type": "negotiationFailed", "participant": 4, "error": "…"}
/// {"type": "forwarderRestarted"}
/// {"type": "closed", "reason": "requested"}
/// ```
///
/// The owner hears all of them. Participants hear those marked *everybody*; those marked *the one
/// concerned* only the participant that they name.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
#[non_exhaustive]
pub enum RoomEvent {
    /// Somebody came in. Everybody else.
    Joined {
        /// Who.
        participant: ParticipantId,
        /// Its name, as it gave it: show it as text.
        name: String,
    },
    /// Somebody went. Everybody else; what it published and was sent is gone with it, without further events.
    Left {
        /// Who.
        participant: ParticipantId,
        /// Why.
        reason: LeaveReason,
    },
    /// A participant's connection changed its state. Everybody.
    ConnectionStateChanged {
        /// Whose.
        participant: ParticipantId,
        /// What it is now.
        state: PeerConnectionState,
    },
    /// A participant sends a track, and others may be sent it. Everybody.
    Published {
        /// Who.
        participant: ParticipantId,
        /// Names the track in further events, and in [`Room::set_muted`](super::Room::set_muted).
        publication: TrackId,
        /// Sound or pictures.
        kind: MediaKind,
        /// What the others' pages see as `event.streams[0].id` of their `track` event: so they know whose it is. Tracks that
        /// belong together have the same.
        stream: StreamId,
        /// What the participant calls the stream, for example `camera` or `screen`.
        label: Option<String>,
        /// Who has muted it, if anybody.
        muted_by: Option<MutedBy>,
    },
    /// A participant has stopped sending a track. Everybody.
    Unpublished {
        /// Who.
        participant: ParticipantId,
        /// Which track.
        publication: TrackId,
    },
    /// A participant has changed what it calls a stream. Everybody.
    Labelled {
        /// Who.
        participant: ParticipantId,
        /// The stream, by the name that others see.
        stream: StreamId,
        /// What it is called now.
        label: Option<String>,
    },
    /// Nobody is sent this publication until it is unmuted. Everybody. Told again when somebody else holds the mute.
    Muted {
        /// Whose publication it is.
        participant: ParticipantId,
        /// Which one.
        publication: TrackId,
        /// Who wants it so; the moderator where both do.
        by: MutedBy,
    },
    /// A publication is sent again. Everybody.
    Unmuted {
        /// Whose publication it is.
        participant: ParticipantId,
        /// Which one.
        publication: TrackId,
    },
    /// A participant is to be sent a publication, after the negotiation for it. The one concerned.
    Subscribed {
        /// Who is sent it.
        participant: ParticipantId,
        /// What.
        publication: TrackId,
    },
    /// A participant is no longer sent a publication. The one concerned.
    Unsubscribed {
        /// Who was sent it.
        participant: ParticipantId,
        /// What.
        publication: TrackId,
    },
    /// A participant is sent nothing of a publication, because it has not agreed to decode its codec. The one
    /// concerned.
    CannotDecode {
        /// Who would be sent it.
        participant: ParticipantId,
        /// What.
        publication: TrackId,
        /// What it is coded in, in JSON by name; `None` when the page knows no codec of that kind of media that we
        /// do.
        #[serde(serialize_with = "name_of")]
        codec: Option<RtpCodec>,
    },
    /// A track is not forwarded, to some participant or to any: a limit was reached, or a connection refused it. The one
    /// concerned.
    NotForwarded {
        /// Who publishes it, where nobody gets it; else who does not get it.
        participant: ParticipantId,
        /// What.
        publication: TrackId,
        /// Why, in words.
        error: String,
    },
    /// Who speaks has changed. Everybody.
    Speaking {
        /// All who speak now, the loudest first; empty when nobody does.
        participants: Vec<ParticipantId>,
    },
    /// Something that a page said could not be applied, or something could not be said to it. It stays, and what
    /// was negotiated before goes on. The one concerned.
    NegotiationFailed {
        /// Whose page.
        participant: ParticipantId,
        /// What went wrong, and whose doing it was; in JSON in words, with its causes.
        #[serde(serialize_with = "in_words")]
        error: PerfectNegotiationError,
    },
    /// The forwarder had failed, and was started again. What was forwarded went on meanwhile. The owner only.
    ForwarderRestarted,
    /// The room has ended, and this is its last event. The owner only; participants hear
    /// [`ParticipantEvent::Closed`].
    Closed {
        /// Why.
        reason: RoomCloseReason,
    },
}

/// Whose wish a mute is. In JSON `"participant"` or `"moderator"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MutedBy {
    /// The participant itself ([`Participant::set_muted`](super::Participant::set_muted)).
    Participant,
    /// The application ([`Room::set_muted`](super::Room::set_muted)): the participant cannot undo it.
    Moderator,
}

/// What is muted of a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MuteScope {
    /// All its tracks of this kind, also those that it publishes later.
    Kind(MediaKind),
    /// One track.
    Publication(TrackId),
}

impl From<MediaKind> for MuteScope {
    fn from(kind: MediaKind) -> Self {
        Self::Kind(kind)
    }
}

impl From<TrackId> for MuteScope {
    fn from(publication: TrackId) -> Self {
        Self::Publication(publication)
    }
}

/// Why a participant is no longer in the room. In JSON the name in camel case, for example `"connectionLost"`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum LeaveReason {
    /// It said so ([`Participant::leave`](super::Participant::leave)), or whoever wanted to join did not wait for it.
    Left,
    /// Another one has joined with the same key: the same page after a reload, as a rule.
    Replaced,
    /// The application has removed it ([`Room::remove`](super::Room::remove)).
    Removed,
    /// Its listener has ended: its WebSocket is closed, as a rule.
    ListenerGone,
    /// It was not connected in time ([`RoomTimes::connecting`](super::RoomTimes::connecting)).
    NeverConnected,
    /// The way to it was lost and not found again in time ([`RoomTimes::reconnecting`](super::RoomTimes::reconnecting)).
    ConnectionLost,
    /// The page has closed its peer connection.
    ConnectionClosed,
    /// Its connection could not be secured, or its peer connection could not be started or failed; the log has more.
    ConnectionFailed,
    /// An actor of the participant failed or was killed. No other participant is concerned.
    Crashed,
    /// It said more than [`RoomLimits`](super::RoomLimits) allow.
    TooManyMessages,
    /// The room has ended.
    RoomClosed,
}

/// Why a room has ended. In JSON the name in camel case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum RoomCloseReason {
    /// [`Room::close`](super::Room::close) was called.
    Requested,
    /// The forwarder failed too often ([`RoomLimits::forwarder_restarts`](super::RoomLimits::forwarder_restarts)).
    ForwarderFailed,
    /// The room was stopped from outside, by its supervisor as a rule.
    Stopped,
    /// The room itself failed or was killed.
    Crashed,
}

fn name_of<S: Serializer>(codec: &Option<RtpCodec>, serializer: S) -> Result<S::Ok, S::Error> {
    codec
        .as_ref()
        .map(|codec| &codec.name)
        .serialize(serializer)
}

fn in_words<S: Serializer>(
    error: &PerfectNegotiationError,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&with_causes(error))
}

/// An error and what is behind it, in one line.
pub(super) fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jsep::{NegotiationError, SdpType};
    use crate::track::MediaStreamTrack;

    const ADA: ParticipantId = ParticipantId(3);

    fn video() -> MediaStreamTrack {
        MediaStreamTrack::new(MediaKind::Video, [StreamId::from("s")])
    }

    #[test]
    fn who_and_what_is_json_that_a_page_can_switch_on() {
        let publication = video().id();
        let number = serde_json::to_value(publication).unwrap();
        assert!(number.is_u64());
        let told = [
            (
                RoomEvent::Joined {
                    participant: ADA,
                    name: "Ada".to_owned(),
                },
                json!({"type": "joined", "participant": 3, "name": "Ada"}),
            ),
            (
                RoomEvent::Left {
                    participant: ADA,
                    reason: LeaveReason::ConnectionLost,
                },
                json!({"type": "left", "participant": 3, "reason": "connectionLost"}),
            ),
            (
                RoomEvent::ConnectionStateChanged {
                    participant: ADA,
                    state: PeerConnectionState::Disconnected,
                },
                json!({"type": "connectionStateChanged", "participant": 3, "state": "disconnected"}),
            ),
            (
                RoomEvent::Published {
                    participant: ADA,
                    publication,
                    kind: MediaKind::Video,
                    stream: StreamId::from("s"),
                    label: None,
                    muted_by: Some(MutedBy::Participant),
                },
                json!({
                    "type": "published", "participant": 3, "publication": number, "kind": "video",
                    "stream": "s", "label": null, "mutedBy": "participant",
                }),
            ),
            (
                RoomEvent::Muted {
                    participant: ADA,
                    publication,
                    by: MutedBy::Moderator,
                },
                json!({"type": "muted", "participant": 3, "publication": number, "by": "moderator"}),
            ),
            (
                RoomEvent::Speaking {
                    participants: vec![ADA],
                },
                json!({"type": "speaking", "participants": [3]}),
            ),
            (
                RoomEvent::ForwarderRestarted,
                json!({"type": "forwarderRestarted"}),
            ),
            (
                RoomEvent::Closed {
                    reason: RoomCloseReason::ForwarderFailed,
                },
                json!({"type": "closed", "reason": "forwarderFailed"}),
            ),
        ];
        for (event, expected) in told {
            assert_eq!(serde_json::to_value(&event).unwrap(), expected);
        }
    }

    #[test]
    fn codecs_are_json_by_name_and_errors_in_words_with_their_causes() {
        let publication = video().id();
        let cannot = RoomEvent::CannotDecode {
            participant: ADA,
            publication,
            codec: Some(RtpCodec::h264(1)),
        };
        assert_eq!(serde_json::to_value(&cannot).unwrap()["codec"], "H264");
        let error = PerfectNegotiationError::RemoteDescription {
            kind: SdpType::Offer,
            error: NegotiationError::Call(crate::CallError::Stopped),
        };
        let failed = RoomEvent::NegotiationFailed {
            participant: ADA,
            error,
        };
        assert_eq!(
            serde_json::to_value(&failed).unwrap()["error"],
            "the offer of the remote side was refused: actor has stopped"
        );
    }
}
