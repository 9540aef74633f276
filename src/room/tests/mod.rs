//! The rules of a room, without actors.

mod random;
mod rules;

use std::time::{Duration, Instant};

use super::JoinRequest;
use super::error::JoinError;
use super::event::{LeaveReason, ParticipantId, RoomEvent};
use super::limits::{RoomLimits, RoomTimes};
use super::machine::{Audience, Effect, RoomMachine};
use crate::forwarder::{
    ForwarderEvent, ForwarderSnapshot, LayerWish, Publication, PublicationSnapshot,
    SubscriptionSnapshot,
};
use crate::peer_connection::PeerId;
use crate::rtp::AudioLevel;
use crate::track::{MediaKind, MediaStreamTrack, StreamId, TrackId};

/// A room without actors, and what its forwarder would tell.
struct Stage {
    machine: RoomMachine,
    now: Instant,
}

impl Stage {
    fn new(limits: RoomLimits) -> Self {
        let machine = RoomMachine::new(limits, &RoomTimes::default());
        Self {
            machine,
            now: Instant::now(),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// What the machine wants done.
    fn act(
        &mut self,
        act: impl FnOnce(&mut RoomMachine, Instant, &mut Vec<Effect>),
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        act(&mut self.machine, self.now, &mut effects);
        effects
    }

    fn try_join(
        &mut self,
        request: JoinRequest,
    ) -> (Result<ParticipantId, JoinError>, Vec<Effect>) {
        let mut effects = Vec::new();
        let joined = self.machine.handle_join(request, self.now, &mut effects);
        (joined, effects)
    }

    /// Somebody with a peer.
    fn join(&mut self, name: &str) -> (ParticipantId, PeerId) {
        self.join_as(JoinRequest::new(name)).0
    }

    fn join_as(&mut self, request: JoinRequest) -> ((ParticipantId, PeerId), Vec<Effect>) {
        let (joined, effects) = self.try_join(request);
        let participant = joined.unwrap();
        let peer = PeerId::next();
        self.machine.handle_peer_started(participant, peer);
        ((participant, peer), effects)
    }

    fn leave(&mut self, participant: ParticipantId, reason: LeaveReason) -> Vec<Effect> {
        self.act(|machine, now, all| machine.handle_leave(participant, reason, now, all))
    }

    fn forwarder(&mut self, event: ForwarderEvent) -> Vec<Effect> {
        self.act(|machine, now, all| machine.handle_forwarder_event(event, now, all))
    }

    fn publish(&mut self, peer: PeerId, kind: MediaKind, source: &str) -> (TrackId, Vec<Effect>) {
        let publication = publication(peer, kind, source);
        let id = publication.track.id();
        (id, self.forwarder(ForwarderEvent::Published(publication)))
    }

    fn subscribe(&mut self, subscriber: PeerId, publication: TrackId) -> Vec<Effect> {
        self.forwarder(ForwarderEvent::Subscribed {
            subscriber,
            publication,
            subscription: MediaStreamTrack::new(MediaKind::Video, []),
        })
    }
}

/// Of a sender that does not know speech.
fn level(dbov: i8) -> AudioLevel {
    AudioLevel {
        voice: false,
        level: dbov.unsigned_abs(),
    }
}

/// As a forwarder names it: no other peer has such a stream.
fn publication(peer: PeerId, kind: MediaKind, source: &str) -> Publication {
    let track = MediaStreamTrack::new(kind, [StreamId::from(source)]);
    Publication::new(peer, track, [seen(peer, source)])
}

/// What a forwarder shows that has these publications, and sends these to these.
fn snapshot(publications: &[Publication], sent: &[(PeerId, TrackId)]) -> ForwarderSnapshot {
    let publications = publications.iter().map(|publication| PublicationSnapshot {
        publication: publication.clone(),
        paused: false,
        subscriptions: 0,
        layers: Vec::new(),
    });
    let subscriptions = sent
        .iter()
        .map(|(subscriber, publication)| SubscriptionSnapshot {
            subscriber: *subscriber,
            track: MediaStreamTrack::new(MediaKind::Video, []),
            publication: Some(*publication),
            is_slot: false,
            is_attached: true,
            wish: LayerWish::Automatic,
            rid: None,
            limit: crate::rtp::LayerLimit::NONE,
        });
    ForwarderSnapshot {
        publications: publications.collect(),
        subscriptions: subscriptions.collect(),
        ..ForwarderSnapshot::default()
    }
}

/// What others see of a stream.
fn seen(peer: PeerId, source: &str) -> StreamId {
    StreamId::from(format!("{peer} {source}").as_str())
}

/// What is told, without the rest.
fn told(effects: &[Effect]) -> Vec<(Audience, RoomEvent)> {
    let told = effects.iter().filter_map(|effect| match effect {
        Effect::Tell(audience, event) => Some((*audience, event.clone())),
        Effect::Expel(..)
        | Effect::RemovePeer(_)
        | Effect::SetPaused(..)
        | Effect::StartForwarder
        | Effect::AwaitSilence(_)
        | Effect::AwaitEnd
        | Effect::End(_) => None,
    });
    told.collect()
}
