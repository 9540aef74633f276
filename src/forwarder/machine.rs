//! Who gets what: peers, publications and subscriptions, and what is to be done and told when they change.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem;
use std::time::Instant;

use super::error::{AddPeerError, SubscribeError};
use super::limits::ForwarderLimits;
use super::message::{ForwarderEvent, PeerNews};
use super::policy::{ForwardingPolicy, Publication};
use super::reconcile::{Feed, Order, Wanted};
use super::records::{Choice, Records, Row, SubscriptionRecord, Undecodable};
use super::runtime::{Hearsay, RequestId, Runtime, Waiter};
use super::snapshot::{ForwarderSnapshot, PublicationSnapshot, SubscriptionSnapshot};
use super::wish::LayerWish;
use crate::call::CallError;
use crate::peer_connection::PeerId;
use crate::track::TrackId;

/// Decides; the shell gives orders to the subscribers and carries their reports.
///
/// What must outlive it is in the records, and every change of them is noted. The rest is made anew from them.
pub(super) struct ForwarderMachine {
    pub(super) policy: Box<dyn ForwardingPolicy>,
    pub(super) limits: ForwarderLimits,
    pub(super) records: Records,
    /// As many as there are records of peers.
    pub(super) runtimes: BTreeMap<PeerId, Runtime>,
    /// The subscriptions that each publication feeds; as many as there are records of publications.
    pub(super) fed: BTreeMap<TrackId, BTreeSet<TrackId>>,
    changed: BTreeSet<Row>,
    /// Peers whose encodings are to be chosen anew: now, unless that was just done, or in a while.
    pub(super) unsettled: BTreeSet<PeerId>,
    pub(super) soon: BTreeSet<PeerId>,
    pub(super) later: BTreeSet<PeerId>,
    orders_given: u64,
}

/// What the shell does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Tell(ForwarderEvent),
    /// A subscriber for this peer.
    Start(PeerId),
    /// The peer has gone from the tables: no subscriber, and no handle.
    Stop(PeerId),
    /// Take the order, and give it to the subscriber.
    Order(PeerId),
    /// Come back to this peer, which did not answer.
    RetryLater(PeerId),
    Answer(RequestId, Outcome),
    /// Say to this peer how much it would be sent at best, in bits per second.
    Desire(PeerId, u64),
    /// Come back to the encodings of this peer then, and not at another time.
    SettleAt(PeerId, Instant),
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// What was waited for is no more.
    Ended,
    Refused(SubscribeError),
    Unanswered(CallError),
}

impl ForwarderMachine {
    pub(super) fn new(policy: Box<dyn ForwardingPolicy>, limits: ForwarderLimits) -> Self {
        Self {
            policy,
            limits,
            records: Records::default(),
            runtimes: BTreeMap::new(),
            fed: BTreeMap::new(),
            changed: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            soon: BTreeSet::new(),
            later: BTreeSet::new(),
            orders_given: 0,
        }
    }

    /// Goes on where another one has ended: with all its peers that run still.
    pub(super) fn restore(
        &mut self,
        records: Records,
        is_running: impl Fn(PeerId) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        self.records = records;
        for id in self.records.peers.keys() {
            let runtime = self.runtimes.entry(*id).or_default();
            runtime.joining = Some(Hearsay::default());
        }
        for (id, record) in &self.records.publications {
            self.fed.insert(*id, BTreeSet::new());
            if let Some(runtime) = self.runtimes.get_mut(&record.publication.publisher) {
                runtime.publications.insert(*id);
            }
        }
        for (id, record) in &self.records.subscriptions {
            if let Some(runtime) = self.runtimes.get_mut(&record.subscriber) {
                runtime.subscriptions.insert(*id);
            }
            if let Some(fed) = record.source.and_then(|it| self.fed.get_mut(&it)) {
                fed.insert(*id);
            }
        }
        let peers: Vec<_> = self.records.peers.keys().copied().collect();
        let (running, ended): (Vec<_>, Vec<_>) = peers.into_iter().partition(|it| is_running(*it));
        // Before what has ended gives orders to them.
        effects.extend(running.iter().copied().map(Effect::Start));
        for peer in ended {
            self.gone(peer, effects);
        }
        for peer in running {
            self.order(peer, effects);
        }
    }

    pub(super) fn add_peer(
        &mut self,
        peer: PeerId,
        request: RequestId,
        effects: &mut Vec<Effect>,
    ) -> Result<(), AddPeerError> {
        if !self.is_present(peer) {
            let present = self.records.peers.values().filter(|it| !it.is_leaving);
            let limit = self.limits.peers;
            if present.count() >= limit {
                return Err(AddPeerError::TooManyPeers { limit });
            }
            self.welcome(peer, effects);
        } else if let Some(runtime) = self.runtimes.get_mut(&peer) {
            // Its owner may have told a Forwarder that had ended, and not us.
            runtime.is_looked_at_again = true;
        }
        self.wait(peer, request, None, effects);
        Ok(())
    }

    fn welcome(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        let record = self.records.peers.entry(peer).or_default();
        record.is_leaving = false;
        self.changed(Row::Peer(peer));
        let is_new = !self.runtimes.contains_key(&peer);
        let runtime = self.runtimes.entry(peer).or_default();
        runtime.joining = Some(Hearsay::default());
        if is_new {
            effects.push(Effect::Start(peer));
        }
        let published: Vec<_> = self.records.publications.keys().copied().collect();
        for publication in published {
            self.ask_policy(peer, publication, effects);
        }
    }

    /// Our tracks are taken off the peer before it is forgotten.
    pub(super) fn remove_peer(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        if self.is_present(peer) {
            self.strip(peer, effects);
            let record = self.records.peers.entry(peer).or_default();
            record.is_leaving = true;
            self.changed(Row::Peer(peer));
            self.order(peer, effects);
        }
    }

    /// The peer has ended, and all that was attached to it.
    pub(super) fn gone(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        if self.runtimes.contains_key(&peer) {
            self.strip(peer, effects);
            self.forget(peer, effects);
        }
    }

    /// Ends all that it publishes, and all that it is sent.
    fn strip(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        let Some(runtime) = self.runtimes.get_mut(&peer) else {
            return;
        };
        runtime.joining = None;
        runtime.refused_publications.clear();
        let publications = runtime.publications.clone();
        let subscriptions = runtime.subscriptions.clone();
        if let Some(record) = self.records.peers.get_mut(&peer) {
            record.refused.clear();
        }
        for publication in publications {
            self.unpublish(publication, effects);
        }
        for subscription in subscriptions {
            self.end_subscription(subscription, effects);
        }
    }

    /// The peer is gone from the tables.
    pub(super) fn forget(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        self.records.peers.remove(&peer);
        self.changed(Row::Peer(peer));
        if let Some(runtime) = self.runtimes.remove(&peer) {
            for waiter in runtime.orders.waiters() {
                effects.push(Effect::Answer(waiter.request, Outcome::Ended));
            }
            effects.push(Effect::Stop(peer));
        }
    }

    /// The peer's owner has passed this on.
    pub(super) fn hear(&mut self, peer: PeerId, news: PeerNews, effects: &mut Vec<Effect>) {
        let Some(runtime) = self.runtimes.get_mut(&peer) else {
            return;
        };
        match news {
            PeerNews::Track(track) => {
                runtime.hear_of(track.id());
                self.publish(peer, track, effects);
            }
            PeerNews::TrackGone(track) => {
                runtime.hear_of(track);
                self.take_back(peer, track, effects);
            }
            PeerNews::Negotiated => self.order(peer, effects),
            PeerNews::NoCommonCodec(mid) => {
                runtime.codecless.insert(mid);
                self.order(peer, effects);
            }
            PeerNews::CodecMismatch { track, codec } => {
                if runtime.subscriptions.contains(&track) {
                    self.cannot_decode(track, Undecodable::Codec(codec), effects);
                }
            }
            PeerNews::LayersChanged { track, layers } => self.hear_layers(peer, track, layers),
            PeerNews::AvailableBitrate(bits_per_second) => self.hear_bitrate(peer, bits_per_second),
            PeerNews::Closed => self.gone(peer, effects),
        }
    }

    /// The part that attaches tracks to this peer has failed.
    pub(super) fn subscriber_failed(
        &mut self,
        peer: PeerId,
        now: Instant,
        message: String,
        effects: &mut Vec<Effect>,
    ) {
        let Some(runtime) = self.runtimes.get_mut(&peer) else {
            return;
        };
        let subscriber = peer;
        if runtime.failures.note(now) {
            let event = ForwarderEvent::SubscriberFailed {
                subscriber,
                message,
            };
            effects.push(Effect::Tell(event));
            self.gone(peer, effects);
            return;
        }
        runtime.orders.lose();
        let event = ForwarderEvent::SubscriberRestarted {
            subscriber,
            message,
        };
        effects.extend([Effect::Tell(event), Effect::Start(peer)]);
        self.order(peer, effects);
    }

    /// All that the peer should have; given to its subscriber now.
    pub(super) fn take_order(&mut self, peer: PeerId) -> Option<Order> {
        let runtime = self.runtimes.get(&peer)?;
        let record = self.records.peers.get(&peer)?;
        let subscriptions = runtime.subscriptions.iter();
        let subscriptions = subscriptions.filter_map(|id| self.records.subscriptions.get(id));
        let wanted = subscriptions.map(|subscription| Wanted {
            track: subscription.track.clone(),
            feed: self.feed(subscription),
        });
        let order = Order {
            number: self.orders_given,
            wanted: wanted.collect(),
            released: record.releasing.iter().copied().collect(),
        };
        self.orders_given += 1;
        let runtime = self.runtimes.get_mut(&peer)?;
        if mem::take(&mut runtime.is_looked_at_again) {
            runtime.joining.get_or_insert_default();
        }
        runtime.orders.give(order.number);
        Some(order)
    }

    fn feed(&self, subscription: &SubscriptionRecord) -> Option<Feed> {
        let source = self.records.publications.get(&subscription.source?)?;
        let Publication {
            publisher, track, ..
        } = &source.publication;
        let is_off = source.is_paused || subscription.wish == LayerWish::Off;
        (!is_off).then(|| Feed {
            publisher: *publisher,
            track: track.id(),
            rid: match &subscription.choice {
                Choice::Any => None,
                Choice::Layer(rid) => Some(rid.clone()),
            },
            limit: subscription.limit,
        })
    }

    /// Something of what the peer should have has changed, or of what it has.
    pub(super) fn order(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        self.unsettled.insert(peer);
        self.give(peer, effects);
    }

    /// The same, where its encodings are settled.
    pub(super) fn give(&mut self, peer: PeerId, effects: &mut Vec<Effect>) {
        let runtime = self.runtimes.get_mut(&peer);
        if runtime.is_some_and(|runtime| runtime.orders.ask()) {
            effects.push(Effect::Order(peer));
        }
    }

    /// Somebody waits until the peer has what it should have now.
    pub(super) fn wait(
        &mut self,
        peer: PeerId,
        request: RequestId,
        subscription: Option<TrackId>,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(runtime) = self.runtimes.get_mut(&peer) {
            runtime.orders.wait(Waiter {
                request,
                subscription,
            });
            self.order(peer, effects);
        }
    }

    /// It was added, and not removed since.
    pub(super) fn is_present(&self, peer: PeerId) -> bool {
        let record = self.records.peers.get(&peer);
        record.is_some_and(|record| !record.is_leaving)
    }

    /// The peer's record is another now.
    pub(super) fn changed(&mut self, row: Row) {
        self.changed.insert(row);
    }

    /// Brings a copy of the records up to date.
    pub(super) fn copy_changes(&mut self, to: &mut Records) {
        for row in mem::take(&mut self.changed) {
            to.copy_row(row, &self.records);
        }
    }

    pub(super) fn snapshot(&self) -> ForwarderSnapshot {
        let publications = self.records.publications.iter();
        let subscriptions = self.records.subscriptions.values();
        let refused = self.records.peers.values().map(|it| it.refused.len());
        let refused_publications = self.runtimes.values();
        let present = self.records.peers.iter().filter(|(_, it)| !it.is_leaving);
        ForwarderSnapshot {
            peers: present.map(|(id, _)| *id).collect(),
            publications: publications
                .map(|(id, record)| PublicationSnapshot {
                    publication: record.publication.clone(),
                    paused: record.is_paused,
                    subscriptions: self.fed.get(id).map_or(0, BTreeSet::len),
                    layers: record.layers.clone(),
                })
                .collect(),
            subscriptions: subscriptions
                .map(|record| SubscriptionSnapshot {
                    subscriber: record.subscriber,
                    track: record.track.clone(),
                    publication: record.source,
                    is_slot: !record.follows(),
                    is_attached: record.is_attached,
                    wish: record.wish.clone(),
                    rid: match &record.choice {
                        Choice::Any => None,
                        Choice::Layer(rid) => Some(rid.clone()),
                    },
                    limit: record.limit,
                })
                .collect(),
            refused_publications: refused_publications
                .map(|it| it.refused_publications.len())
                .sum(),
            refused_subscriptions: refused.sum(),
        }
    }
}

impl Runtime {
    fn hear_of(&mut self, track: TrackId) {
        if let Some(Hearsay(heard)) = &mut self.joining {
            heard.insert(track);
        }
    }
}

impl fmt::Debug for ForwarderMachine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwarderMachine")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
