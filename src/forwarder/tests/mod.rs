//! The rules of forwarding, on peers that are plain values.
#![allow(clippy::wildcard_enum_match_arm)]

mod layers;
mod lines;
mod random;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::limits::ForwarderLimits;
use super::machine::{Effect, ForwarderMachine, Outcome};
use super::message::{ForwarderEvent, PeerNews};
use super::policy::{AllOthers, ForwardingPolicy};
use super::reconcile::{Attached, Feed, Inventory, Order, Report};
use super::records::Records;
use super::runtime::RequestId;
use crate::peer_connection::PeerId;
use crate::track::{MediaKind, MediaStreamTrack, StreamId, TrackId};

/// A machine, the peers it decides about, and what it has told.
struct World {
    machine: ForwarderMachine,
    effects: Vec<Effect>,
    memory: Records,
    peers: BTreeMap<PeerId, FakePeer>,
    told: Vec<ForwarderEvent>,
    answers: BTreeMap<RequestId, Outcome>,
    waiting: BTreeSet<RequestId>,
    retries: BTreeSet<PeerId>,
    requests: u64,
    now: Instant,
    /// When the encodings of a peer are to be looked at again.
    reviews: BTreeMap<PeerId, Instant>,
    /// What each peer was told that it would be sent at best.
    desired: BTreeMap<PeerId, u64>,
}

/// A peer connection together with its subscriber.
#[derive(Default)]
struct FakePeer {
    has_subscriber: bool,
    /// What its remote side sends.
    sends: BTreeMap<TrackId, MediaStreamTrack>,
    /// What it is sent, and from where.
    attached: BTreeMap<TrackId, Option<Feed>>,
    order: Option<Order>,
    is_unstable: bool,
}

impl World {
    fn new(policy: impl ForwardingPolicy, limits: ForwarderLimits) -> Self {
        Self {
            machine: ForwarderMachine::new(Box::new(policy), limits),
            effects: Vec::new(),
            memory: Records::default(),
            peers: BTreeMap::new(),
            told: Vec::new(),
            answers: BTreeMap::new(),
            waiting: BTreeSet::new(),
            retries: BTreeSet::new(),
            requests: 0,
            now: Instant::now(),
            reviews: BTreeMap::new(),
            desired: BTreeMap::new(),
        }
    }

    /// A peer whose remote side sends these, added and seen to.
    fn join(&mut self, kinds: &[MediaKind]) -> (PeerId, Vec<TrackId>) {
        let peer = PeerId::next();
        let tracks: Vec<_> = kinds.iter().map(|kind| remote(*kind)).collect();
        let ids = tracks.iter().map(MediaStreamTrack::id).collect();
        let sends = tracks.into_iter().map(|track| (track.id(), track));
        let fake = FakePeer {
            sends: sends.collect(),
            ..FakePeer::default()
        };
        self.peers.insert(peer, fake);
        let added = self.add(peer);
        assert_eq!(self.answers.get(&added), Some(&Outcome::Done));
        (peer, ids)
    }

    fn add(&mut self, peer: PeerId) -> RequestId {
        let request = self.request();
        let added = (self.machine).add_peer(peer, request, &mut self.effects);
        self.accepted(request, added).unwrap();
        self.settle();
        request
    }

    /// The Forwarder is killed, and another one goes on.
    fn succeed(&mut self) {
        let policy = std::mem::replace(&mut self.machine.policy, Box::new(AllOthers));
        self.machine = ForwarderMachine::new(policy, self.machine.limits);
        self.effects.clear();
        self.waiting.clear();
        self.reviews.clear();
        for fake in self.peers.values_mut() {
            fake.has_subscriber = false;
            fake.order = None;
        }
        let is_running = |id| self.peers.contains_key(&id);
        let records = self.memory.clone();
        self.machine.restore(records, is_running, &mut self.effects);
    }

    fn hear(&mut self, peer: PeerId, news: PeerNews) {
        self.machine.hear(peer, news, &mut self.effects);
    }

    /// Whoever is not refused is answered.
    fn accepted<T, E>(&mut self, request: RequestId, outcome: Result<T, E>) -> Result<T, E> {
        if outcome.is_ok() {
            self.waiting.insert(request);
        }
        outcome
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    /// Everything that is due, until nothing is.
    fn settle(&mut self) {
        self.perform();
        while let Some(peer) = self.next_ordered() {
            self.carry_out(peer);
        }
    }

    fn next_ordered(&self) -> Option<PeerId> {
        let mut peers = self.peers.iter();
        peers.find_map(|(id, peer)| peer.order.is_some().then_some(*id))
    }

    fn perform(&mut self) {
        self.machine.settle_layers(self.now, &mut self.effects);
        self.machine.copy_changes(&mut self.memory);
        assert_eq!(self.memory, self.machine.records, "all changes are noted");
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Tell(event) => self.told.push(event),
                Effect::Start(peer) => {
                    let fake = self.peers.get_mut(&peer).unwrap();
                    fake.has_subscriber = true;
                    fake.order = None;
                }
                Effect::Stop(peer) => {
                    if let Some(fake) = self.peers.get_mut(&peer) {
                        fake.has_subscriber = false;
                        fake.order = None;
                    }
                }
                Effect::Order(peer) => {
                    let Some(fake) = self.peers.get_mut(&peer) else {
                        continue;
                    };
                    if fake.has_subscriber {
                        assert_eq!(fake.order, None, "one order at a time");
                        fake.order = self.machine.take_order(peer);
                    }
                }
                Effect::RetryLater(peer) => {
                    self.retries.insert(peer);
                }
                Effect::Answer(request, outcome) => {
                    let before = self.answers.insert(request, outcome);
                    assert_eq!(before, None, "answered once");
                    self.waiting.remove(&request);
                }
                Effect::Desire(peer, bits_per_second) => {
                    self.desired.insert(peer, bits_per_second);
                }
                Effect::SettleAt(peer, at) => {
                    self.reviews.insert(peer, at);
                }
            }
        }
    }

    /// The peer's subscriber does what it was ordered to, and says so.
    fn carry_out(&mut self, peer: PeerId) {
        let fake = self.peers.get_mut(&peer).unwrap();
        let report = fake.carry_out();
        self.machine.report(peer, report, &mut self.effects);
        self.perform();
    }

    /// The same, with a word of one's own in the report.
    fn carry_out_but(&mut self, peer: PeerId, change: impl FnOnce(&mut Inventory)) {
        let fake = self.peers.get_mut(&peer).unwrap();
        let mut report = fake.carry_out();
        change(report.outcome.as_mut().unwrap());
        self.machine.report(peer, report, &mut self.effects);
        self.perform();
    }

    /// What it has told since it was asked last.
    fn news(&mut self) -> Vec<ForwarderEvent> {
        std::mem::take(&mut self.told)
    }

    /// What a peer is sent: publications, in no order.
    fn feeds(&self, peer: PeerId) -> BTreeSet<TrackId> {
        let feeds = self.peers[&peer].attached.values().flatten();
        feeds.map(|feed| feed.track).collect()
    }
}

impl FakePeer {
    fn carry_out(&mut self) -> Report {
        let order = self.order.take().expect("an order");
        for track in &order.released {
            self.attached.remove(track);
        }
        for wanted in &order.wanted {
            self.attached.insert(wanted.track.id(), wanted.feed.clone());
        }
        let attached = self.attached.keys().map(|track| Attached {
            track: *track,
            mid: None,
        });
        Report {
            order: order.number,
            outcome: Ok(Inventory {
                is_stable: !self.is_unstable,
                receiving: self.sends.values().cloned().collect(),
                attached: attached.collect(),
                released: order.released,
                refused: Vec::new(),
            }),
        }
    }
}

fn remote(kind: MediaKind) -> MediaStreamTrack {
    MediaStreamTrack::new(kind, [StreamId::from("camera")])
}
