//! Which encoding each subscription has: by its wish, by what arrives, and by what the path to its subscriber takes.

use std::mem;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::allocation::{Budget, Demand, desired};
use super::machine::{Effect, ForwarderMachine};
use super::message::ForwarderEvent;
use super::records::{Choice, Row, SubscriptionRecord};
use super::wish::LayerWish;
use crate::peer_connection::PeerId;
use crate::rtp::{Rid, SimulcastLayer};
use crate::track::{MediaKind, TrackId};

/// What of a publication a subscription may have.
struct Candidates {
    subscription: TrackId,
    /// Names and rates, the lowest first.
    layers: Vec<(Option<Rid>, u64)>,
    had: Option<usize>,
}

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
        let (rid, _) = candidates.layers[pick].clone();
        // What was granted and has paused stays granted: it may come back without waiting for room.
        let granted = if candidates.had == Some(pick) && record.granted.is_some() {
            record.granted.clone()
        } else {
            rid.clone()
        };
        let choice = rid.map_or(Choice::Any, Choice::Layer);
        let is_same = record.choice == choice;
        if is_same && record.granted == granted {
            return false;
        }
        (record.granted, record.choice) = (granted, choice);
        self.changed(Row::Subscription(id));
        if !is_same {
            self.tell_layer(id, effects);
        }
        !is_same
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
}

impl Candidates {
    /// None where nothing arrives, or nothing is known: what there is then, the route finds by itself.
    fn of(
        subscription: TrackId,
        record: &SubscriptionRecord,
        layers: &[SimulcastLayer],
    ) -> Option<Self> {
        let position = |rid: &Rid| layers.iter().position(|it| it.rid.as_ref() == Some(rid));
        let granted = record.granted.as_ref().and_then(position);
        let active = |range: Range<usize>| range.filter(|index| layers[*index].active);
        let all = || active(0..layers.len());
        let lowest = all().next()?;
        let mut allowed: Vec<usize> = match &record.wish {
            LayerWish::Automatic | LayerWish::Off => all().collect(),
            LayerWish::UpTo(rid) => {
                let highest = position(rid).map_or(layers.len(), |index| index + 1);
                active(0..highest).collect()
            }
            LayerWish::UpToBitrate(most) => all()
                .filter(|index| {
                    let slack = if granted == Some(*index) { most / 5 } else { 0 };
                    layers[*index].bits_per_second <= most.saturating_add(slack)
                })
                .collect(),
            LayerWish::Only(rid) => match position(rid) {
                Some(index) => active(0..index + 1).next_back().into_iter().collect(),
                None => all().collect(),
            },
        };
        if allowed.is_empty() {
            allowed.push(lowest);
        }
        let had = granted.map(|granted| {
            let below = allowed.iter().rposition(|index| *index <= granted);
            below.unwrap_or(0)
        });
        let layer = |index: usize| (layers[index].rid.clone(), layers[index].bits_per_second);
        Some(Self {
            subscription,
            layers: allowed.into_iter().map(layer).collect(),
            had,
        })
    }

    fn demand(&self) -> Demand {
        Demand {
            steps: self.layers.iter().map(|(_, rate)| *rate).collect(),
            had: self.had,
        }
    }
}

/// What sound takes, with its headers: Opus at the rate of a browser.
const SOUND: u64 = 64_000;

/// Between two looks because encodings come and go: a part of what it takes to notice that one pauses.
const SETTLE_INTERVAL: Duration = Duration::from_millis(200);

/// Rates change all the time; it is enough to look at them now and then.
const RATES_INTERVAL: Duration = Duration::from_secs(1);
