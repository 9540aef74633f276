//! One participant as its room knows it. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use super::JoinRequest;
use super::event::{MutedBy, ParticipantId, RoomEvent};
use super::limits::RoomLimits;
use super::snapshot::{ParticipantSnapshot, PublicationSnapshot};
use crate::forwarder::Publication;
use crate::peer_connection::{PeerConnectionState, PeerId};
use crate::track::{MediaKind, StreamId, TrackId};

/// Somebody in the room.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) key: Option<String>,
    pub(super) peer: Option<PeerId>,
    pub(super) connection: PeerConnectionState,
    pub(super) publications: BTreeMap<TrackId, Published>,
    /// By the names that its page gives to streams.
    pub(super) labels: Vec<(StreamId, String)>,
    pub(super) subscriptions: BTreeSet<TrackId>,
    pub(super) mutes: Mutes,
}

/// A track that a member publishes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) kind: MediaKind,
    /// As others see it.
    pub(super) stream: StreamId,
    /// As its page calls it.
    pub(super) source: Option<StreamId>,
}

/// What is muted of one member.
#[derive(Clone, Debug, Default)]
pub(super) struct Mutes {
    pub(super) own: HashSet<MediaKind>,
    pub(super) moderated: HashSet<MediaKind>,
    /// Whether they are published now or not: a track that pauses does not shake it off.
    pub(super) moderated_tracks: HashMap<TrackId, MediaKind>,
}

impl Member {
    pub(super) fn new(request: JoinRequest, mutes: Mutes) -> Self {
        Self {
            name: request.name,
            key: request.key,
            peer: None,
            connection: PeerConnectionState::New,
            publications: BTreeMap::new(),
            labels: Vec::new(),
            subscriptions: BTreeSet::new(),
            mutes,
        }
    }

    /// Who keeps a publication from the others; the moderator's word counts more.
    pub(super) fn muted_by(&self, publication: TrackId) -> Option<MutedBy> {
        let kind = self.publications.get(&publication)?.kind;
        let mutes = &self.mutes;
        if mutes.moderated.contains(&kind) || mutes.moderated_tracks.contains_key(&publication) {
            Some(MutedBy::Moderator)
        } else {
            mutes.own.contains(&kind).then_some(MutedBy::Participant)
        }
    }

    pub(super) fn muted(&self) -> BTreeMap<TrackId, Option<MutedBy>> {
        let publications = self.publications.keys();
        publications.map(|id| (*id, self.muted_by(*id))).collect()
    }

    pub(super) fn label(&self, source: &StreamId) -> Option<&str> {
        let mut labels = self.labels.iter();
        let found = labels.find(|(stream, _)| stream == source);
        found.map(|(_, label)| label.as_str())
    }

    /// Whether the label was taken.
    pub(super) fn relabel(
        &mut self,
        limits: &RoomLimits,
        source: &StreamId,
        label: &Option<String>,
    ) -> bool {
        let Some(label) = label else {
            self.labels.retain(|(stream, _)| stream != source);
            return true;
        };
        if label.len() > limits.text_bytes || source.as_str().len() > limits.text_bytes {
            return false;
        }
        if let Some((_, known)) = self.labels.iter_mut().find(|(stream, _)| stream == source) {
            known.clone_from(label);
            return true;
        }
        let has_room = self.labels.len() < limits.labels_per_participant;
        if has_room {
            self.labels.push((source.clone(), label.clone()));
        }
        has_room
    }

    pub(super) fn published(&self, participant: ParticipantId, publication: TrackId) -> RoomEvent {
        let shown = self.publication(publication);
        RoomEvent::Published {
            participant,
            publication,
            kind: shown.kind,
            stream: shown.stream,
            label: shown.label,
            muted_by: shown.muted_by,
        }
    }

    fn publication(&self, id: TrackId) -> PublicationSnapshot {
        let published = &self.publications[&id];
        let label = published.source.as_ref().and_then(|it| self.label(it));
        PublicationSnapshot {
            id,
            kind: published.kind,
            stream: published.stream.clone(),
            label: label.map(ToOwned::to_owned),
            muted_by: self.muted_by(id),
        }
    }

    pub(super) fn snapshot(&self, id: ParticipantId) -> ParticipantSnapshot {
        let publications = self.publications.keys();
        ParticipantSnapshot {
            id,
            name: self.name.clone(),
            peer: self.peer,
            connection: self.connection,
            publications: publications.map(|id| self.publication(*id)).collect(),
            subscriptions: self.subscriptions.iter().copied().collect(),
        }
    }
}

impl Published {
    pub(super) fn of(publication: &Publication) -> Self {
        let stream = publication.streams.first();
        Self {
            kind: publication.track.kind(),
            stream: stream.expect("a publication has a stream").clone(),
            source: publication.track.streams().first().cloned(),
        }
    }
}

pub(super) fn set<T: Hash + Eq>(all: &mut HashSet<T>, one: T, is_in: bool) {
    if is_in {
        all.insert(one);
    } else {
        all.remove(&one);
    }
}
