//! Publications come and go.

use std::collections::BTreeSet;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::machine::{Effect, ForwarderMachine};
use super::message::ForwarderEvent;
use super::policy::Publication;
use super::records::{Origin, PublicationRecord, Row};
use crate::peer_connection::PeerId;
use crate::track::{MediaStreamTrack, StreamId, TrackId};

impl ForwarderMachine {
    /// A peer sends this track, in case nobody knew.
    pub(super) fn publish(
        &mut self,
        peer: PeerId,
        track: MediaStreamTrack,
        effects: &mut Vec<Effect>,
    ) {
        if !self.is_present(peer) {
            return;
        }
        let publication = Publication {
            publisher: peer,
            streams: streams_for_others(peer, &track),
            track,
        };
        let id = publication.track.id();
        if let Some(known) = self.records.publications.get(&id) {
            if is_the_same(&known.publication, &publication) {
                return;
            }
            self.unpublish(id, effects);
        }
        if self.has_room_for(&publication, effects) {
            self.open(publication, effects);
        }
    }

    /// Past the limit the track is kept for later.
    fn has_room_for(&mut self, publication: &Publication, effects: &mut Vec<Effect>) -> bool {
        let Publication {
            publisher, track, ..
        } = publication;
        let limit = self.limits.publications_per_peer;
        let Some(runtime) = self.runtimes.get_mut(publisher) else {
            return false;
        };
        if runtime.publications.len() < limit {
            runtime.refused_publications.remove(&track.id());
            return true;
        }
        let refused = &mut runtime.refused_publications;
        if refused.insert(track.id(), track.clone()).is_none() {
            let event = ForwarderEvent::PublicationRefused {
                publisher: *publisher,
                track: track.id(),
                limit,
            };
            effects.push(Effect::Tell(event));
        }
        false
    }

    fn open(&mut self, publication: Publication, effects: &mut Vec<Effect>) {
        let id = publication.track.id();
        if let Some(runtime) = self.runtimes.get_mut(&publication.publisher) {
            runtime.publications.insert(id);
        }
        let event = ForwarderEvent::Published(publication.clone());
        effects.push(Effect::Tell(event));
        let record = PublicationRecord {
            publication,
            is_paused: false,
            layers: Vec::new(),
        };
        self.records.publications.insert(id, record);
        self.fed.insert(id, BTreeSet::new());
        self.changed(Row::Publication(id));
        let peers: Vec<_> = self.records.peers.keys().copied().collect();
        for peer in peers {
            self.ask_policy(peer, id, effects);
        }
    }

    /// A peer does not send this track any more. One that was kept for later takes its place.
    pub(super) fn take_back(&mut self, peer: PeerId, track: TrackId, effects: &mut Vec<Effect>) {
        let known = self.records.publications.get(&track);
        let is_its_own = known.is_none_or(|known| known.publication.publisher == peer);
        let Some(runtime) = self.runtimes.get_mut(&peer).filter(|_| is_its_own) else {
            return;
        };
        runtime.refused_publications.remove(&track);
        self.unpublish(track, effects);
        let limit = self.limits.publications_per_peer;
        let runtime = self.runtimes.get_mut(&peer);
        let runtime = runtime.filter(|it| it.publications.len() < limit);
        let next = runtime.and_then(|it| it.refused_publications.pop_first());
        if let Some((_, next)) = next {
            self.publish(peer, next, effects);
        }
    }

    pub(super) fn unpublish(&mut self, id: TrackId, effects: &mut Vec<Effect>) {
        let Some(record) = self.records.publications.remove(&id) else {
            return;
        };
        self.changed(Row::Publication(id));
        let publisher = record.publication.publisher;
        if let Some(runtime) = self.runtimes.get_mut(&publisher) {
            runtime.publications.remove(&id);
        }
        let fed = self.fed.remove(&id).unwrap_or_default();
        let mut with_room = BTreeSet::new();
        for subscription in fed {
            with_room.extend(self.lose_source(subscription, effects));
        }
        self.no_longer_refused(id);
        let event = ForwarderEvent::Unpublished {
            publisher,
            publication: id,
        };
        effects.push(Effect::Tell(event));
        for peer in with_room {
            self.fill(peer, effects);
        }
    }

    /// What fed a subscription is over, and the subscription too unless it is a slot. Says who has room then.
    fn lose_source(&mut self, id: TrackId, effects: &mut Vec<Effect>) -> Option<PeerId> {
        let record = self.records.subscriptions.get_mut(&id)?;
        if record.follows() {
            return self.end_subscription(id, effects);
        }
        let subscriber = record.subscriber;
        record.forget_source();
        if let Some(publication) = record.source.take() {
            let event = ForwarderEvent::SourceEnded {
                subscriber,
                publication,
                subscription: id,
            };
            effects.push(Effect::Tell(event));
        }
        self.changed(Row::Subscription(id));
        self.order(subscriber, effects);
        None
    }

    fn no_longer_refused(&mut self, publication: TrackId) {
        let mut concerned = Vec::new();
        for (peer, record) in &mut self.records.peers {
            if record.refused.remove(&publication) {
                concerned.push(Row::Peer(*peer));
            }
        }
        for row in concerned {
            self.changed(row);
        }
    }

    pub(super) fn set_paused(&mut self, id: TrackId, paused: bool, effects: &mut Vec<Effect>) {
        let Some(record) = self.records.publications.get_mut(&id) else {
            return;
        };
        record.is_paused = paused;
        self.changed(Row::Publication(id));
        for subscription in self.fed.get(&id).cloned().unwrap_or_default() {
            let record = self.records.subscriptions.get(&subscription);
            if let Some(subscriber) = record.map(|record| record.subscriber) {
                self.order(subscriber, effects);
            }
        }
    }

    /// Once for each pair, when the later of the two comes.
    pub(super) fn ask_policy(&mut self, peer: PeerId, id: TrackId, effects: &mut Vec<Effect>) {
        let Some(record) = self.records.publications.get(&id) else {
            return;
        };
        if !self.is_present(peer) || !self.policy.subscribes(peer, &record.publication) {
            return;
        }
        if let Err(error) = self.begin_subscription(peer, id, Origin::Policy, effects) {
            self.refuse(peer, id, error, effects);
        }
    }
}

/// Whether subscribers would see no difference.
fn is_the_same(known: &Publication, now: &Publication) -> bool {
    known.streams == now.streams && known.track.rids() == now.track.rids()
}

/// The streams of a remote track by other names, which no page can make up for another peer's.
fn streams_for_others(publisher: PeerId, track: &MediaStreamTrack) -> Vec<StreamId> {
    if track.streams().is_empty() {
        return vec![stream_for_others(publisher, &track.id().to_string())];
    }
    let streams = track.streams().iter();
    streams
        .map(|stream| stream_for_others(publisher, stream.as_str()))
        .collect()
}

/// A hash rather than a table: it is the same each time, and nothing is kept of what pages make up.
fn stream_for_others(publisher: PeerId, stream: &str) -> StreamId {
    let hash = Sha256::digest(format!("{publisher} {stream}"));
    let mut name = String::with_capacity(32);
    for byte in &hash[..16] {
        let _infallible = write!(name, "{byte:02x}");
    }
    StreamId::from(name.as_str())
}
