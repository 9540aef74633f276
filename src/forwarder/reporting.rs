//! What subscribers report, and who has waited for it.

use std::collections::BTreeMap;
use std::mem;

use super::error::SubscribeError;
use super::machine::{Effect, ForwarderMachine, Outcome};
use super::message::ForwarderEvent;
use super::reconcile::{Attached, Inventory, Report};
use super::records::{Origin, Row, Undecodable};
use super::runtime::{Hearsay, Waiter};
use crate::peer_connection::PeerId;
use crate::rtp::LayerLimit;
use crate::track::{MediaStreamTrack, TrackId};

impl ForwarderMachine {
    pub(super) fn report(&mut self, peer: PeerId, report: Report, effects: &mut Vec<Effect>) {
        let runtime = self.runtimes.get_mut(&peer);
        let finished = runtime.and_then(|it| it.orders.finish(report.order));
        let Some((waiters, is_due)) = finished else {
            return;
        };
        if is_due {
            effects.push(Effect::Order(peer));
        }
        match report.outcome {
            Ok(inventory) => self.take_stock(peer, inventory, &waiters, effects),
            Err(error) => {
                let answer = |it: Waiter| Effect::Answer(it.request, Outcome::Unanswered(error));
                effects.extend(waiters.into_iter().map(answer));
                effects.push(Effect::RetryLater(peer));
            }
        }
    }

    fn take_stock(
        &mut self,
        peer: PeerId,
        inventory: Inventory,
        waiters: &[Waiter],
        effects: &mut Vec<Effect>,
    ) {
        self.note_released(peer, &inventory.released);
        self.note_attached(peer, inventory.attached, effects);
        let mut refused = BTreeMap::new();
        for (subscription, error) in inventory.refused {
            let is_told = waiters
                .iter()
                .any(|it| it.subscription == Some(subscription));
            self.note_refused(subscription, &error, !is_told, effects);
            refused.insert(subscription, error);
        }
        self.note_receiving(peer, inventory.receiving, inventory.is_stable, effects);
        for waiter in waiters {
            let outcome = match waiter.subscription {
                Some(subscription) => self.outcome_of(subscription, &refused),
                None if self.is_present(peer) => Outcome::Done,
                None => Outcome::Ended,
            };
            effects.push(Effect::Answer(waiter.request, outcome));
        }
        let record = self.records.peers.get(&peer);
        if record.is_some_and(|record| record.is_leaving && record.releasing.is_empty()) {
            self.forget(peer, effects);
        }
    }

    fn outcome_of(
        &self,
        subscription: TrackId,
        refused: &BTreeMap<TrackId, SubscribeError>,
    ) -> Outcome {
        match refused.get(&subscription) {
            Some(error) => Outcome::Refused(error.clone()),
            None if self.records.subscriptions.contains_key(&subscription) => Outcome::Done,
            None => Outcome::Ended,
        }
    }

    fn note_released(&mut self, peer: PeerId, released: &[TrackId]) {
        if let Some(record) = self.records.peers.get_mut(&peer)
            && !released.is_empty()
        {
            for track in released {
                record.releasing.remove(track);
            }
            self.changed(Row::Peer(peer));
        }
    }

    fn note_attached(&mut self, peer: PeerId, attached: Vec<Attached>, effects: &mut Vec<Effect>) {
        let runtime = self.runtimes.get_mut(&peer);
        let codecless = runtime.map(|it| mem::take(&mut it.codecless));
        let codecless = codecless.unwrap_or_default();
        for Attached { track, mid } in attached {
            self.note_subscribed(track, effects);
            if mid.is_some_and(|mid| codecless.contains(&mid)) {
                self.cannot_decode(track, Undecodable::Everything, effects);
            }
        }
    }

    fn note_subscribed(&mut self, id: TrackId, effects: &mut Vec<Effect>) {
        let record = self.records.subscriptions.get_mut(&id);
        let Some(record) = record.filter(|record| !record.is_attached) else {
            return;
        };
        record.is_attached = true;
        let is_limited = record.limit != LayerLimit::NONE;
        if let Some(publication) = record.source.filter(|_| record.follows()) {
            let event = ForwarderEvent::Subscribed {
                subscriber: record.subscriber,
                publication,
                subscription: record.track.clone(),
            };
            effects.push(Effect::Tell(event));
        }
        self.changed(Row::Subscription(id));
        self.tell_layer(id, effects);
        if is_limited {
            self.tell_limit(id, effects);
        }
    }

    fn note_refused(
        &mut self,
        id: TrackId,
        error: &SubscribeError,
        is_to_be_told: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(record) = self.records.subscriptions.get(&id) else {
            return;
        };
        let (subscriber, source) = (record.subscriber, record.source);
        let by_policy = record.origin == Origin::Policy;
        if let Some(publication) = source.filter(|_| is_to_be_told || by_policy) {
            self.refuse(subscriber, publication, error.clone(), effects);
        }
        self.end_subscription(id, effects);
    }

    /// Of tracks that events have spoken of, the events are right. The others are what they are when no exchange
    /// of descriptions is under way.
    fn note_receiving(
        &mut self,
        peer: PeerId,
        receiving: Vec<MediaStreamTrack>,
        is_stable: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(runtime) = self.runtimes.get_mut(&peer) else {
            return;
        };
        let Some(Hearsay(heard)) = runtime.joining.take() else {
            return;
        };
        let is_received = |track: TrackId| receiving.iter().any(|it| it.id() == track);
        let known = runtime.publications.iter().copied();
        let is_over = |track: &TrackId| is_stable && !heard.contains(track) && !is_received(*track);
        let over: Vec<_> = known.filter(is_over).collect();
        for track in receiving {
            if !heard.contains(&track.id()) {
                self.publish(peer, track, effects);
            }
        }
        for track in over {
            self.take_back(peer, track, effects);
        }
        if !is_stable && let Some(runtime) = self.runtimes.get_mut(&peer) {
            runtime.joining = Some(Hearsay(heard));
        }
    }
}
