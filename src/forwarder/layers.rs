//! Which encoding each subscription has, and how many of its layers: by its wish, by what arrives, and by what the path to its subscriber takes.

use std::mem;
use std::time::{Duration, Instant};

use super::allocation::{Budget, desired};
use super::candidates::Candidates;
use super::machine::{Effect, ForwarderMachine};
use super::message::ForwarderEvent;
use super::records::{Choice, Row};
use super::wish::LayerWish;
use crate::peer_connection::PeerId;
use crate::rtp::SimulcastLayer;
use crate::track::{MediaKind, TrackId};

impl ForwarderMachine {
    pub(super) fn set_layers(
        &mut self,
        subscription: TrackId,
        wish: LayerWish,
        effects: &mut Vec<Effect>,
    ) {
        let Some(record) = self.records.subscriptions.get_mut(&subscription) else {
            return;
        };
        if record.wish == wish {
            return;
        }
        record.wish = wish;
        // What somebody asks for, he gets at once, as far as there is room.
        record.granted = None;
        let subscriber = record.subscriber;
        self.changed(Row::Subscription(subscription));
        self.order(subscriber, effects);
    }

    /// The encodings of a publication, the lowest first, are these now.
    pub(super) fn hear_layers(
        &mut self,
        publisher: PeerId,
        track: TrackId,
        layers: Vec<SimulcastLayer>,
    ) {
        let record = self.records.publications.get_mut(&track);
        let Some(record) = record.filter(|it| it.publication.publisher == publisher) else {
            return;
        };
        let before = mem::replace(&mut record.layers, layers);
        let is_alike = |(before, now): (&SimulcastLayer, &SimulcastLayer)| {
            before.rid == now.rid && before.active == now.active
        };
        let only_rates =
            before.len() == record.layers.len() && before.iter().zip(&record.layers).all(is_alike);
        self.changed(Row::Publication(track));
        for subscription in self.fed.get(&track).into_iter().flatten() {
            let Some(record) = self.records.subscriptions.get(subscription) else {
                continue;
            };
            let due = if only_rates {
                &mut self.later
            } else {
                &mut self.soon
            };
            due.insert(record.subscriber);
        }
    }

    /// What the path to a peer takes.
    pub(super) fn hear_bitrate(&mut self, peer: PeerId, bits_per_second: u64) {
        if let Some(record) = self.records.peers.get_mut(&peer) {
            record.available_bitrate = Some(bits_per_second);
            self.changed(Row::Peer(peer));
            self.unsettled.insert(peer);
        }
    }

    /// The time has come to look at a peer's encodings again.
    pub(super) fn layers_due(&mut self, peer: PeerId) {
        if let Some(runtime) = self.runtimes.get_mut(&peer) {
            runtime.layers_due = None;
            self.unsettled.insert(peer);
        }
    }

    /// Chooses the encodings of all peers for which something has changed. To be called after each message.
    pub(super) fn settle_layers(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        for peer in mem::take(&mut self.soon) {
            // A publisher whose encodings come and go is not to keep everybody busy.
            let settled_at = self.runtimes.get(&peer).and_then(|it| it.layers_settled_at);
            let due = settled_at.map(|at| at + SETTLE_INTERVAL);
            if due.is_some_and(|due| due > now) {
                self.settle_at(peer, due, effects);
            } else {
                self.unsettled.insert(peer);
            }
        }
        for peer in mem::take(&mut self.unsettled) {
            self.later.remove(&peer);
            if let Some(runtime) = self.runtimes.get_mut(&peer) {
                runtime.layers_settled_at = Some(now);
            }
            let due = self.settle(peer, now, effects);
            self.settle_at(peer, due, effects);
        }
        for peer in mem::take(&mut self.later) {
            self.settle_at(peer, Some(now + RATES_INTERVAL), effects);
        }
    }

    /// No later than that.
    fn settle_at(&mut self, peer: PeerId, at: Option<Instant>, effects: &mut Vec<Effect>) {
        let Some((runtime, at)) = self.runtimes.get_mut(&peer).zip(at) else {
            return;
        };
        if runtime.layers_due.is_none_or(|due| at < due) {
            runtime.layers_due = Some(at);
            effects.push(Effect::SettleAt(peer, at));
        }
    }

    /// The answer says when to look again though nothing changes.
    fn settle(&mut self, peer: PeerId, now: Instant, effects: &mut Vec<Effect>) -> Option<Instant> {
        let (reserved, candidates) = self.candidates(peer);
        let available = self.records.peers.get(&peer)?.available_bitrate;
        let mut demands: Vec<_> = candidates.iter().map(Candidates::demand).collect();
        let runtime = self.runtimes.get_mut(&peer)?;
        let budget = Budget {
            available,
            reserved,
        };
        let wanted = desired(reserved, &demands);
        let (picks, due) = (runtime.pace).decide(now, budget, &mut demands);
        if available.is_some() && runtime.desired.replace(wanted) != Some(wanted) {
            effects.push(Effect::Desire(peer, wanted));
        }
        let mut is_changed = false;
        for (candidate, pick) in candidates.into_iter().zip(picks) {
            is_changed |= self.grant(candidate, pick, effects);
        }
        if is_changed {
            self.give(peer, effects);
        }
        due
    }

    /// What a peer is sent in any case, in bits per second, and what there is to choose from.
    fn candidates(&self, peer: PeerId) -> (u64, Vec<Candidates>) {
        let (mut reserved, mut candidates) = (0, Vec::new());
        let subscriptions = self.runtimes.get(&peer).map(|it| &it.subscriptions);
        for id in subscriptions.into_iter().flatten() {
            let Some(record) = self.records.subscriptions.get(id) else {
                continue;
            };
            let source = record
                .source
                .and_then(|it| self.records.publications.get(&it));
            let Some(source) = source.filter(|it| !it.is_paused) else {
                continue;
            };
            if record.wish == LayerWish::Off {
                continue;
            }
            if record.track.kind() == MediaKind::Audio {
                reserved += SOUND;
            } else if let Some(found) = Candidates::of(*id, record, &source.layers) {
                candidates.push(found);
            }
        }
        (reserved, candidates)
    }

    /// Says whether the subscription is to be fed otherwise than before.
    fn grant(&mut self, candidates: Candidates, pick: usize, effects: &mut Vec<Effect>) -> bool {
        let id = candidates.subscription;
        let Some(record) = self.records.subscriptions.get_mut(&id) else {
            return false;
        };
        let grant = candidates.steps[pick].grant.clone();
        let (limit, choice) = (grant.limit, grant.choice());
        // What was granted and has paused stays granted: it may come back without waiting for room.
        let granted = match &record.granted {
            Some(granted) if candidates.had == Some(pick) => granted.clone(),
            Some(_) | None => grant,
        };
        let (is_same, is_alike) = (record.choice == choice, record.limit == limit);
        if is_same && is_alike && record.granted.as_ref() == Some(&granted) {
            return false;
        }
        (record.granted, record.choice, record.limit) = (Some(granted), choice, limit);
        self.changed(Row::Subscription(id));
        if !is_same {
            self.tell_layer(id, effects);
        }
        if !is_alike {
            self.tell_limit(id, effects);
        }
        !(is_same && is_alike)
    }

    /// Tells which encoding a subscription has, once the subscription itself has been told.
    pub(super) fn tell_layer(&self, id: TrackId, effects: &mut Vec<Effect>) {
        let record = self.records.subscriptions.get(&id);
        let Some(record) = record.filter(|it| it.is_attached) else {
            return;
        };
        if let (Some(publication), Choice::Layer(rid)) = (record.source, &record.choice) {
            let event = ForwarderEvent::LayerChanged {
                subscriber: record.subscriber,
                publication,
                subscription: id,
                rid: rid.clone(),
            };
            effects.push(Effect::Tell(event));
        }
    }

    /// Tells how many layers a subscription is sent, once the subscription itself has been told.
    pub(super) fn tell_limit(&self, id: TrackId, effects: &mut Vec<Effect>) {
        let record = self.records.subscriptions.get(&id);
        let Some(record) = record.filter(|it| it.is_attached) else {
            return;
        };
        if let Some(publication) = record.source {
            let event = ForwarderEvent::LayerLimitChanged {
                subscriber: record.subscriber,
                publication,
                subscription: id,
                limit: record.limit,
            };
            effects.push(Effect::Tell(event));
        }
    }
}

/// What sound takes, with its headers: Opus at the rate of a browser.
const SOUND: u64 = 64_000;

/// Between two looks because encodings come and go: a part of what it takes to notice that one pauses.
const SETTLE_INTERVAL: Duration = Duration::from_millis(200);

/// Rates change all the time; it is enough to look at them now and then.
const RATES_INTERVAL: Duration = Duration::from_secs(1);
