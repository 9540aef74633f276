//! Subscriptions come, go and change.

use super::error::SubscribeError;
use super::machine::{Effect, ForwarderMachine};
use super::message::ForwarderEvent;
use super::records::{Choice, Origin, Row, SubscriptionRecord, Undecodable};
use super::runtime::RequestId;
use super::wish::LayerWish;
use crate::peer_connection::PeerId;
use crate::rtp::LayerLimit;
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

impl ForwarderMachine {
    /// The answer is for when the request is done.
    pub(super) fn subscribe(
        &mut self,
        subscriber: PeerId,
        publication: TrackId,
        request: RequestId,
        effects: &mut Vec<Effect>,
    ) -> Result<MediaStreamTrack, SubscribeError> {
        self.check_present(subscriber)?;
        let track = match self.following(subscriber, publication) {
            Some(track) => track,
            None => self.begin_subscription(subscriber, publication, Origin::Hand, effects)?,
        };
        if let Some(record) = self.records.peers.get_mut(&subscriber)
            && record.refused.remove(&publication)
        {
            self.changed(Row::Peer(subscriber));
        }
        self.wait(subscriber, request, Some(track.id()), effects);
        Ok(track)
    }

    /// The track by which a peer has a publication already.
    pub(super) fn following(
        &self,
        subscriber: PeerId,
        publication: TrackId,
    ) -> Option<MediaStreamTrack> {
        let subscriptions = self.runtimes.get(&subscriber)?.subscriptions.iter();
        let mut records = subscriptions.filter_map(|id| self.records.subscriptions.get(id));
        let following = records.find(|it| it.source == Some(publication) && it.follows())?;
        Some(following.track.clone())
    }

    pub(super) fn add_slot(
        &mut self,
        subscriber: PeerId,
        track: MediaStreamTrack,
        request: RequestId,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SubscribeError> {
        self.check_present(subscriber)?;
        let id = track.id();
        if self.records.subscriptions.contains_key(&id) {
            return Err(SubscribeError::AlreadySubscribed(id));
        }
        self.check_room(subscriber)?;
        if let Some(record) = self.records.peers.get_mut(&subscriber)
            && record.releasing.remove(&id)
        {
            self.changed(Row::Peer(subscriber));
        }
        self.insert_subscription(subscriber, track, None, Origin::Slot, effects);
        self.wait(subscriber, request, Some(id), effects);
        Ok(())
    }

    pub(super) fn switch(
        &mut self,
        subscription: TrackId,
        publication: Option<TrackId>,
        request: RequestId,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SubscribeError> {
        let unknown = SubscribeError::UnknownSubscription(subscription);
        let record = self.records.subscriptions.get(&subscription);
        let to = record.ok_or(unknown)?.track.kind();
        if let Some(publication) = publication {
            let from = self.kind_of(publication)?;
            if from != to {
                return Err(SubscribeError::KindMismatch { from, to });
            }
        }
        let subscriber = self.refeed(subscription, publication);
        if let Some(subscriber) = subscriber {
            self.wait(subscriber, request, Some(subscription), effects);
        }
        Ok(())
    }

    fn refeed(&mut self, subscription: TrackId, source: Option<TrackId>) -> Option<PeerId> {
        let record = self.records.subscriptions.get_mut(&subscription)?;
        record.origin = Origin::Slot;
        if record.source != source {
            record.forget_source();
            if let Some(fed) = record.source.and_then(|it| self.fed.get_mut(&it)) {
                fed.remove(&subscription);
            }
            if let Some(fed) = source.and_then(|it| self.fed.get_mut(&it)) {
                fed.insert(subscription);
            }
            record.source = source;
        }
        let subscriber = record.subscriber;
        self.changed(Row::Subscription(subscription));
        Some(subscriber)
    }

    pub(super) fn unsubscribe(&mut self, subscription: TrackId, effects: &mut Vec<Effect>) {
        if let Some(subscriber) = self.end_subscription(subscription, effects) {
            self.fill(subscriber, effects);
        }
    }

    pub(super) fn begin_subscription(
        &mut self,
        subscriber: PeerId,
        publication: TrackId,
        origin: Origin,
        effects: &mut Vec<Effect>,
    ) -> Result<MediaStreamTrack, SubscribeError> {
        let unknown = SubscribeError::UnknownPublication(publication);
        let record = self.records.publications.get(&publication).ok_or(unknown)?;
        self.check_room(subscriber)?;
        let published = &record.publication;
        let track = MediaStreamTrack::new(published.track.kind(), published.streams.clone());
        let source = Some(publication);
        self.insert_subscription(subscriber, track.clone(), source, origin, effects);
        Ok(track)
    }

    fn insert_subscription(
        &mut self,
        subscriber: PeerId,
        track: MediaStreamTrack,
        source: Option<TrackId>,
        origin: Origin,
        effects: &mut Vec<Effect>,
    ) {
        let id = track.id();
        let record = SubscriptionRecord {
            subscriber,
            track,
            source,
            origin,
            is_attached: false,
            undecodable: None,
            wish: LayerWish::default(),
            granted: None,
            choice: Choice::default(),
            limit: LayerLimit::NONE,
        };
        self.records.subscriptions.insert(id, record);
        self.changed(Row::Subscription(id));
        if let Some(runtime) = self.runtimes.get_mut(&subscriber) {
            runtime.subscriptions.insert(id);
        }
        if let Some(fed) = source.and_then(|it| self.fed.get_mut(&it)) {
            fed.insert(id);
        }
        self.order(subscriber, effects);
    }

    /// Its track is taken off the subscriber, who may have room for another one then.
    pub(super) fn end_subscription(
        &mut self,
        id: TrackId,
        effects: &mut Vec<Effect>,
    ) -> Option<PeerId> {
        let record = self.records.subscriptions.remove(&id)?;
        self.changed(Row::Subscription(id));
        let subscriber = record.subscriber;
        if let Some(fed) = record.source.and_then(|it| self.fed.get_mut(&it)) {
            fed.remove(&id);
        }
        if let Some(runtime) = self.runtimes.get_mut(&subscriber) {
            runtime.subscriptions.remove(&id);
        }
        if let Some(peer) = self.records.peers.get_mut(&subscriber) {
            peer.releasing.insert(id);
            self.changed(Row::Peer(subscriber));
        }
        if record.is_attached {
            let event = ForwarderEvent::Unsubscribed {
                subscriber,
                publication: record.source,
                subscription: id,
            };
            effects.push(Effect::Tell(event));
        }
        self.order(subscriber, effects);
        Some(subscriber)
    }

    /// A publication that the policy gives to a peer, and that the peer cannot have now. Where room may come, it
    /// is given then.
    pub(super) fn refuse(
        &mut self,
        subscriber: PeerId,
        publication: TrackId,
        error: SubscribeError,
        effects: &mut Vec<Effect>,
    ) {
        if error.may_pass()
            && let Some(record) = self.records.peers.get_mut(&subscriber)
        {
            record.refused.insert(publication);
            self.changed(Row::Peer(subscriber));
        }
        let event = ForwarderEvent::Refused {
            subscriber,
            publication,
            error,
        };
        effects.push(Effect::Tell(event));
    }

    /// Gives a peer what it was refused for want of room, the oldest first.
    pub(super) fn fill(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        while self.is_present(peer) && self.check_room(peer).is_ok() {
            let record = self.records.peers.get_mut(&peer);
            let Some(next) = record.and_then(|it| it.refused.pop_first()) else {
                return;
            };
            self.changed(Row::Peer(peer));
            let begun = self.begin_subscription(peer, next, Origin::Policy, effects);
            debug_assert!(begun.is_ok(), "what is refused is published: {begun:?}");
        }
    }

    /// What feeds this subscription is nothing that its subscriber can decode.
    pub(super) fn cannot_decode(
        &mut self,
        subscription: TrackId,
        what: Undecodable,
        effects: &mut Vec<Effect>,
    ) {
        let Some(record) = self.records.subscriptions.get_mut(&subscription) else {
            return;
        };
        let Some(publication) = record
            .source
            .filter(|_| record.undecodable.as_ref() != Some(&what))
        else {
            return;
        };
        let codec = match &what {
            Undecodable::Codec(codec) => Some(codec.clone()),
            Undecodable::Everything => None,
        };
        record.undecodable = Some(what);
        let event = ForwarderEvent::CannotDecode {
            subscriber: record.subscriber,
            publication,
            subscription,
            codec,
        };
        self.changed(Row::Subscription(subscription));
        effects.push(Effect::Tell(event));
    }

    fn check_present(&self, peer: PeerId) -> Result<(), SubscribeError> {
        if self.is_present(peer) {
            return Ok(());
        }
        Err(SubscribeError::UnknownPeer(peer))
    }

    fn check_room(&self, subscriber: PeerId) -> Result<(), SubscribeError> {
        let limit = self.limits.subscriptions_per_peer;
        let runtime = self.runtimes.get(&subscriber);
        if runtime.is_some_and(|runtime| runtime.subscriptions.len() >= limit) {
            return Err(SubscribeError::TooManySubscriptions { limit });
        }
        Ok(())
    }

    fn kind_of(&self, publication: TrackId) -> Result<MediaKind, SubscribeError> {
        let record = self.records.publications.get(&publication);
        let record = record.ok_or(SubscribeError::UnknownPublication(publication))?;
        Ok(record.publication.track.kind())
    }
}
