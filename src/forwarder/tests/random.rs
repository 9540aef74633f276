//! Whatever peers do, in whatever order: each has what it should have, and nothing is left over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::limits::ForwarderLimits;
use super::super::message::{ForwarderEvent, PeerNews};
use super::super::policy::{AllOthers, ForwardingPolicy, Publication};
use super::super::wish::LayerWish;
use super::{FakePeer, World, remote};
use crate::peer_connection::PeerId;
use crate::rtp::{LayerLimit, LimitedRate, SimulcastLayer};
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

#[derive(Clone, Debug)]
enum Step {
    Join(u8),
    Remove(Index),
    Close(Index),
    AddAgain(Index),
    Send(Index, MediaKind),
    StopSending(Index),
    Subscribe(Index, Index),
    AddSlot(Index, MediaKind),
    Switch(Index, Option<Index>),
    Unsubscribe(Index),
    Pause(Index, bool),
    Negotiated(Index),
    /// Of a publication these encodings arrive, in kbit/s, each with so many sizes inside it.
    Layers(Index, [(u16, u8); 3]),
    /// The path to a peer takes so much, in kbit/s.
    Available(Index, u16),
    Wish(Index, LayerWish),
    Wait(u16),
    /// The subscriber of a peer does its order.
    CarryOut(Index),
    /// It does, and fails before it says so.
    Crash(Index),
    /// The Forwarder is killed and succeeded; meanwhile one peer begins to send, and one stops, or ends.
    Succeed(Index, Index, bool),
}

/// Everybody hears all others, and sees those who came before.
struct Guests;

impl ForwardingPolicy for Guests {
    fn subscribes(&mut self, subscriber: PeerId, publication: &Publication) -> bool {
        match publication.track.kind() {
            MediaKind::Audio => publication.publisher != subscriber,
            MediaKind::Video => publication.publisher < subscriber,
        }
    }
}

/// What should be there, found out in another way: pair by pair, in the order in which things happen.
#[derive(Default)]
struct Model {
    /// Peers that are added.
    present: BTreeSet<PeerId>,
    published: BTreeMap<TrackId, Publication>,
    paused: BTreeSet<TrackId>,
    /// Who gets what as long as it is published.
    pairs: BTreeSet<(PeerId, TrackId)>,
    /// Whose slot, what kind, what feeds it.
    slots: BTreeMap<TrackId, (PeerId, MediaKind, Option<TrackId>)>,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn each_peer_gets_what_the_policy_and_calls_by_hand_say(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut run = Run::new(World::new(Guests, ForwarderLimits::default()));
        for step in steps {
            run.take(step);
        }
        run.world.wait(Duration::from_secs(1));
        run.check_model();
        run.check_consistency();
        run.check_what_the_owner_knows();
        run.everybody_leaves();
    }

    #[test]
    fn limits_hold_and_what_they_kept_out_comes_when_there_is_room(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let limits = ForwarderLimits::default().publications_per_peer(2).subscriptions_per_peer(3);
        let mut run = Run::new(World::new(AllOthers, limits));
        for step in steps {
            run.take(step);
        }
        run.world.wait(Duration::from_secs(1));
        run.check_consistency();
        run.check_limits(limits);
        run.check_what_the_owner_knows();
        run.everybody_leaves();
    }
}

fn step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    prop_oneof![
        4 => (0..3_u8).prop_map(Step::Join),
        1 => index().prop_map(Step::Remove),
        1 => index().prop_map(Step::Close),
        1 => index().prop_map(Step::AddAgain),
        3 => (index(), kind()).prop_map(|(peer, kind)| Step::Send(peer, kind)),
        2 => index().prop_map(Step::StopSending),
        3 => (index(), index()).prop_map(|(peer, what)| Step::Subscribe(peer, what)),
        2 => (index(), kind()).prop_map(|(peer, kind)| Step::AddSlot(peer, kind)),
        3 => (index(), prop::option::of(index())).prop_map(|(what, to)| Step::Switch(what, to)),
        2 => index().prop_map(Step::Unsubscribe),
        1 => (index(), any::<bool>()).prop_map(|(what, paused)| Step::Pause(what, paused)),
        1 => index().prop_map(Step::Negotiated),
        3 => (index(), prop::array::uniform3((rate(), 1..4_u8))).prop_map(|(what, rates)| Step::Layers(what, rates)),
        2 => (index(), any::<u16>()).prop_map(|(peer, rate)| Step::Available(peer, rate)),
        1 => (index(), wish()).prop_map(|(what, wish)| Step::Wish(what, wish)),
        2 => (0..5000_u16).prop_map(Step::Wait),
        9 => index().prop_map(Step::CarryOut),
        1 => index().prop_map(Step::Crash),
        1 => (index(), index(), any::<bool>())
            .prop_map(|(starts, stops, ends)| Step::Succeed(starts, stops, ends)),
    ]
}

/// What an encoding takes with each of its sizes, of which each takes four times as much as the one below it.
fn sized(rate: u64, sizes: u8) -> Vec<LimitedRate> {
    let limited = |size: u8| LimitedRate {
        limit: LayerLimit::at_most(size, 1),
        bits_per_second: rate >> (2 * (sizes - size)),
    };
    let several = 1..if sizes > 1 { sizes + 1 } else { 1 };
    several.map(limited).collect()
}

/// Nothing of one that pauses.
fn rate() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), 1..5000_u16]
}

fn wish() -> impl Strategy<Value = LayerWish> {
    prop_oneof![
        Just(LayerWish::Automatic),
        Just(LayerWish::UpTo("b".into())),
        Just(LayerWish::Only("c".into())),
        (0..5_000_000_u64).prop_map(LayerWish::UpToBitrate),
        (1..4_u8).prop_map(|sizes| LayerWish::UpToLayers(LayerLimit::NONE.with_spatial(sizes))),
    ]
}

fn kind() -> impl Strategy<Value = MediaKind> {
    prop::sample::select(&[MediaKind::Audio, MediaKind::Video][..])
}

struct Run {
    world: World,
    model: Model,
    /// Passes by a minute with each crash, so that none is one too many.
    now: Instant,
}

impl Run {
    fn new(world: World) -> Self {
        Self {
            world,
            model: Model::default(),
            now: Instant::now(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join(tracks) => self.join(tracks),
            Step::Remove(index) => self.with(index, |run, peer| {
                run.world.machine.remove_peer(peer, &mut run.world.effects);
                run.model.leave(peer);
            }),
            Step::Close(index) => self.with(index, |run, peer| {
                run.world.peers.remove(&peer);
                run.world.hear(peer, PeerNews::Closed);
                run.model.leave(peer);
            }),
            Step::AddAgain(index) => self.with(index, Self::add_again),
            Step::Send(index, kind) => self.with(index, |run, peer| {
                let track = run.send(peer, kind);
                run.world.hear(peer, PeerNews::Track(track.clone()));
                run.model.publish(peer, &track);
            }),
            Step::StopSending(index) => self.with(index, |run, peer| {
                if let Some(track) = run.stop_sending(peer) {
                    run.world.hear(peer, PeerNews::TrackGone(track));
                    run.model.unpublish(track);
                }
            }),
            Step::Subscribe(peer, what) => self.with(peer, |run, peer| run.subscribe(peer, what)),
            Step::AddSlot(peer, kind) => self.with(peer, |run, peer| run.add_slot(peer, kind)),
            Step::Switch(what, to) => self.switch(what, to),
            Step::Unsubscribe(index) => self.unsubscribe(index),
            Step::Pause(index, paused) => self.pause(index, paused),
            Step::Negotiated(index) => {
                self.with(index, |run, peer| {
                    run.world.hear(peer, PeerNews::Negotiated)
                });
            }
            Step::Layers(index, rates) => self.layers(index, rates),
            Step::Available(index, kilobits) => self.with(index, |run, peer| {
                let news = PeerNews::AvailableBitrate(u64::from(kilobits) * 1000);
                run.world.hear(peer, news);
            }),
            Step::Wish(index, wish) => {
                let subscriptions = self.world.machine.records.subscriptions.keys();
                let subscriptions: Vec<_> = subscriptions.copied().collect();
                if !subscriptions.is_empty() {
                    let id = *index.get(&subscriptions);
                    let effects = &mut self.world.effects;
                    self.world.machine.set_layers(id, wish, effects);
                }
            }
            Step::Wait(milliseconds) => {
                self.world.pass(Duration::from_millis(milliseconds.into()));
            }
            Step::CarryOut(index) => self.with_order(index, World::carry_out),
            Step::Crash(index) => {
                let now = self.now;
                self.with_order(index, |world, peer| {
                    let _unheard = world.peers.get_mut(&peer).unwrap().carry_out();
                    let effects = &mut world.effects;
                    let message = "crashed".to_owned();
                    world.machine.subscriber_failed(peer, now, message, effects);
                });
                self.now += Duration::from_secs(60);
            }
            Step::Succeed(starts, stops, ends) => self.succeed(starts, stops, ends),
        }
        self.world.perform();
    }

    fn with(&mut self, index: Index, act: impl FnOnce(&mut Self, PeerId)) {
        let peers: Vec<_> = self.world.peers.keys().copied().collect();
        if !peers.is_empty() {
            act(self, *index.get(&peers));
        }
    }

    fn with_order(&mut self, index: Index, act: impl FnOnce(&mut World, PeerId)) {
        let ordered = self.world.peers.iter();
        let ordered = ordered.filter(|(_, peer)| peer.order.is_some());
        let ordered: Vec<_> = ordered.map(|(id, _)| *id).collect();
        if !ordered.is_empty() {
            act(&mut self.world, *index.get(&ordered));
        }
    }

    fn join(&mut self, tracks: u8) {
        if self.world.peers.len() >= 8 {
            return;
        }
        let peer = PeerId::next();
        self.world.peers.insert(peer, FakePeer::default());
        for _ in 0..tracks {
            self.send(peer, MediaKind::Video);
        }
        self.add_again(peer);
    }

    fn add_again(&mut self, peer: PeerId) {
        let request = self.world.request();
        let effects = &mut self.world.effects;
        let added = self.world.machine.add_peer(peer, request, effects);
        self.world.accepted(request, added).unwrap();
        if self.model.present.insert(peer) {
            self.model.ask_all_for(peer);
            for track in self.world.peers[&peer].sends.values() {
                self.model.publish(peer, track);
            }
        }
    }

    fn send(&mut self, peer: PeerId, kind: MediaKind) -> MediaStreamTrack {
        let track = remote(kind);
        let fake = self.world.peers.get_mut(&peer).unwrap();
        fake.sends.insert(track.id(), track.clone());
        track
    }

    fn stop_sending(&mut self, peer: PeerId) -> Option<TrackId> {
        let fake = self.world.peers.get_mut(&peer).unwrap();
        fake.sends.pop_first().map(|(id, _)| id)
    }

    fn subscribe(&mut self, peer: PeerId, what: Index) {
        let published: Vec<_> = self
            .world
            .machine
            .records
            .publications
            .keys()
            .copied()
            .collect();
        if published.is_empty() {
            return;
        }
        let publication = *what.get(&published);
        let request = self.world.request();
        let effects = &mut self.world.effects;
        let begun = (self.world.machine).subscribe(peer, publication, request, effects);
        if self.world.accepted(request, begun).is_ok() {
            self.model.subscribe(peer, publication);
        } else {
            let limit = self.world.machine.limits.subscriptions_per_peer;
            assert!(!self.model.present.contains(&peer) || limit < 4);
        }
    }

    fn add_slot(&mut self, peer: PeerId, kind: MediaKind) {
        let track = MediaStreamTrack::new(kind, []);
        let request = self.world.request();
        let effects = &mut self.world.effects;
        let added = (self.world.machine).add_slot(peer, track.clone(), request, effects);
        if self.world.accepted(request, added).is_ok() {
            self.model.slots.insert(track.id(), (peer, kind, None));
        }
    }

    fn switch(&mut self, what: Index, to: Option<Index>) {
        let records = &self.world.machine.records;
        let subscriptions: Vec<_> = records.subscriptions.values().cloned().collect();
        let published: Vec<_> = records.publications.keys().copied().collect();
        if subscriptions.is_empty() {
            return;
        }
        let subscription = what.get(&subscriptions);
        let to = to.filter(|_| !published.is_empty());
        let to = to.map(|index| *index.get(&published));
        let request = self.world.request();
        let effects = &mut self.world.effects;
        let id = subscription.track.id();
        let switched = self.world.machine.switch(id, to, request, effects);
        if self.world.accepted(request, switched).is_ok() {
            self.model.switch(
                subscription.subscriber,
                &subscription.track,
                subscription.source,
                to,
            );
        }
    }

    fn unsubscribe(&mut self, index: Index) {
        let subscriptions = self.world.machine.records.subscriptions.values();
        let subscriptions: Vec<_> = subscriptions.cloned().collect();
        if subscriptions.is_empty() {
            return;
        }
        let one = index.get(&subscriptions);
        let id = one.track.id();
        let effects = &mut self.world.effects;
        self.world.machine.unsubscribe(id, effects);
        if self.model.slots.remove(&id).is_none() {
            let source = one.source.expect("it is no slot");
            self.model.pairs.remove(&(one.subscriber, source));
        }
    }

    fn pause(&mut self, index: Index, paused: bool) {
        let published: Vec<_> = self
            .world
            .machine
            .records
            .publications
            .keys()
            .copied()
            .collect();
        if published.is_empty() {
            return;
        }
        let publication = *index.get(&published);
        let effects = &mut self.world.effects;
        self.world.machine.set_paused(publication, paused, effects);
        if paused {
            self.model.paused.insert(publication);
        } else {
            self.model.paused.remove(&publication);
        }
    }

    fn layers(&mut self, index: Index, rates: [(u16, u8); 3]) {
        let records = self.world.machine.records.publications.values();
        let published: Vec<_> = records.map(|it| it.publication.clone()).collect();
        if published.is_empty() {
            return;
        }
        let Publication {
            publisher, track, ..
        } = index.get(&published);
        let layer = |(rid, (rate, sizes)): (&str, (u16, u8))| SimulcastLayer {
            rid: Some(rid.into()),
            active: rate > 0,
            bits_per_second: u64::from(rate) * 1000,
            limited: sized(u64::from(rate) * 1000, sizes),
        };
        let mut layers: Vec<_> = ["a", "b", "c"].into_iter().zip(rates).map(layer).collect();
        layers.sort_by_key(|it| it.bits_per_second);
        let track = track.id();
        let news = PeerNews::LayersChanged { track, layers };
        self.world.hear(*publisher, news);
    }

    /// What happens between the two is heard by nobody.
    fn succeed(&mut self, starts: Index, stops: Index, ends: bool) {
        self.with(starts, |run, peer| {
            let track = run.send(peer, MediaKind::Audio);
            run.model.publish(peer, &track);
        });
        self.with(stops, |run, peer| {
            if ends {
                run.world.peers.remove(&peer);
                run.model.leave(peer);
            } else if let Some(track) = run.stop_sending(peer) {
                run.model.unpublish(track);
            }
        });
        self.world.succeed();
    }

    fn check_model(&self) {
        for (peer, fake) in &self.world.peers {
            let mut expected = self.model.feeds(*peer);
            let mut found: Vec<_> = fake
                .attached
                .values()
                .map(|feed| feed.as_ref().map(|it| it.track))
                .collect();
            expected.sort();
            found.sort();
            assert_eq!(found, expected, "{peer}");
        }
    }

    /// The machine's tables, its indices and the peers agree.
    fn check_consistency(&self) {
        let World { machine, peers, .. } = &self.world;
        let records = &machine.records;
        assert!(machine.runtimes.keys().eq(records.peers.keys()));
        assert!(machine.fed.keys().eq(records.publications.keys()));
        let fed: usize = machine.fed.values().map(BTreeSet::len).sum();
        let with_source = records.subscriptions.values();
        assert_eq!(fed, with_source.filter(|it| it.source.is_some()).count());
        for record in records.peers.values() {
            assert!(!record.is_leaving && record.releasing.is_empty());
        }
        for (id, fake) in peers {
            let attached: BTreeSet<_> = fake.attached.keys().copied().collect();
            let runtime = machine.runtimes.get(id);
            let subscriptions = runtime.map(|it| it.subscriptions.clone());
            assert_eq!(attached, subscriptions.unwrap_or_default(), "{id}");
            assert_eq!(fake.has_subscriber, runtime.is_some());
        }
        self.check_layers();
        self.check_rates();
        assert!(self.world.retries.is_empty());
        assert!(self.world.waiting.is_empty(), "everybody is answered");
    }

    /// What a subscriber is sent of all pictures fits, or is the least that there is; but where one encoding is asked for by name.
    fn check_rates(&self) {
        let World { machine, peers, .. } = &self.world;
        let records = &machine.records;
        for (id, fake) in peers {
            let available = records.peers.get(id).and_then(|it| it.available_bitrate);
            let (mut spent, mut is_least) = (0, true);
            for (track, feed) in &fake.attached {
                let (Some(record), Some(feed)) = (records.subscriptions.get(track), feed) else {
                    continue;
                };
                if record.track.kind() == MediaKind::Audio {
                    spent += 64_000;
                    continue;
                }
                let layers = &records.publications[&feed.track].layers;
                let Some(fed) = layers.iter().find(|it| it.rid == feed.rid && it.active) else {
                    continue;
                };
                let is_within = |it: &&LimitedRate| it.limit.but_at_most(feed.limit) == it.limit;
                let part = fed.limited.iter().rfind(is_within);
                spent += part.map_or(fed.bits_per_second, |it| it.bits_per_second);
                let is_lowest = layers.iter().find(|it| it.active) == Some(fed);
                let is_smallest = part.is_none_or(|it| fed.limited[0] == *it);
                let is_named = matches!(record.wish, LayerWish::Only(_));
                is_least &= is_named || (is_lowest && is_smallest);
                if let LayerWish::UpToLayers(most) = record.wish {
                    assert_eq!(feed.limit.but_at_most(most), feed.limit);
                }
            }
            let fits = available.is_none_or(|available| spent <= available);
            assert!(fits || is_least, "{spent} of {available:?}");
        }
    }

    /// Nobody is fed with an encoding that pauses while another one arrives, nor with one that it was not told of.
    fn check_layers(&self) {
        let World { machine, peers, .. } = &self.world;
        let records = &machine.records;
        let video = records.subscriptions.values();
        for record in video.filter(|it| it.track.kind() == MediaKind::Video) {
            let feed = peers[&record.subscriber].attached[&record.track.id()].as_ref();
            let Some(feed) = feed else { continue };
            let layers = &records.publications[&feed.track].layers;
            let fed = layers.iter().find(|it| it.rid == feed.rid);
            if layers.iter().any(|it| it.active) {
                assert!(fed.is_some_and(|it| it.active), "{feed:?} of {layers:?}");
            }
        }
    }

    fn check_limits(&self, limits: ForwarderLimits) {
        let machine = &self.world.machine;
        for (id, runtime) in &machine.runtimes {
            assert!(runtime.publications.len() <= limits.publications_per_peer);
            assert!(runtime.subscriptions.len() <= limits.subscriptions_per_peer);
            let is_full = runtime.publications.len() == limits.publications_per_peer;
            assert!(is_full || runtime.refused_publications.is_empty());
            let published = runtime.publications.len() + runtime.refused_publications.len();
            assert_eq!(published, self.world.peers[id].sends.len(), "{id}");
            let refused = &machine.records.peers[id].refused;
            let is_full = runtime.subscriptions.len() == limits.subscriptions_per_peer;
            assert!(is_full || refused.is_empty());
            for publication in refused {
                assert!(machine.records.publications.contains_key(publication));
            }
        }
    }

    /// Whoever hears the events, and knows its own calls, knows what there is.
    fn check_what_the_owner_knows(&self) {
        let mut published = BTreeSet::new();
        let mut subscriptions = BTreeSet::new();
        for event in &self.world.told {
            match event {
                ForwarderEvent::Published(publication) => {
                    assert!(published.insert(publication.track.id()));
                }
                ForwarderEvent::Unpublished { publication, .. } => {
                    assert!(published.remove(publication));
                }
                ForwarderEvent::Subscribed {
                    publication,
                    subscription,
                    ..
                } => {
                    assert!(published.contains(publication));
                    assert!(subscriptions.insert(subscription.id()));
                }
                ForwarderEvent::Unsubscribed { subscription, .. } => {
                    subscriptions.remove(subscription);
                }
                ForwarderEvent::SourceEnded { .. }
                | ForwarderEvent::LayerChanged { .. }
                | ForwarderEvent::LayerLimitChanged { .. }
                | ForwarderEvent::CannotDecode { .. }
                | ForwarderEvent::Refused { .. }
                | ForwarderEvent::PublicationRefused { .. }
                | ForwarderEvent::SubscriberRestarted { .. }
                | ForwarderEvent::SubscriberFailed { .. } => {}
            }
        }
        let records = &self.world.machine.records;
        assert!(published.iter().eq(records.publications.keys()));
        let following = records.subscriptions.iter().filter(|(_, it)| it.follows());
        for (id, _) in following {
            assert!(subscriptions.remove(id), "never told: {id}");
        }
        // What is left was switched, and is a slot.
        for id in subscriptions {
            assert!(
                records.subscriptions.contains_key(&id),
                "never taken back: {id}"
            );
        }
    }

    fn everybody_leaves(mut self) {
        let peers: Vec<_> = self.world.peers.keys().copied().collect();
        for (number, peer) in peers.into_iter().enumerate() {
            if number % 2 == 0 {
                self.world
                    .machine
                    .remove_peer(peer, &mut self.world.effects);
            } else {
                self.world.peers.remove(&peer);
                self.world.hear(peer, PeerNews::Closed);
            }
        }
        self.world.settle();
        let machine = &self.world.machine;
        assert_eq!(machine.records, super::Records::default());
        assert!(machine.runtimes.is_empty() && machine.fed.is_empty());
        for fake in self.world.peers.values() {
            assert!(fake.attached.is_empty() && !fake.has_subscriber);
        }
    }
}

impl Model {
    fn leave(&mut self, peer: PeerId) {
        self.present.remove(&peer);
        let published = self.published.clone();
        for (track, publication) in published {
            if publication.publisher == peer {
                self.unpublish(track);
            }
        }
        self.pairs.retain(|(subscriber, _)| *subscriber != peer);
        self.slots.retain(|_, (subscriber, ..)| *subscriber != peer);
    }

    fn publish(&mut self, peer: PeerId, track: &MediaStreamTrack) {
        let row = Publication::new(peer, track.clone(), []);
        if self.present.contains(&peer) && self.published.insert(track.id(), row).is_none() {
            for subscriber in self.present.clone() {
                self.ask(subscriber, track.id());
            }
        }
    }

    fn unpublish(&mut self, track: TrackId) {
        self.published.remove(&track);
        self.paused.remove(&track);
        self.pairs.retain(|(_, publication)| *publication != track);
        for (.., source) in self.slots.values_mut() {
            if *source == Some(track) {
                *source = None;
            }
        }
    }

    /// What has ended and is not known to have is not there for long.
    fn subscribe(&mut self, peer: PeerId, publication: TrackId) {
        if self.published.contains_key(&publication) {
            self.pairs.insert((peer, publication));
        }
    }

    fn ask_all_for(&mut self, peer: PeerId) {
        let published: Vec<_> = self.published.keys().copied().collect();
        for publication in published {
            self.ask(peer, publication);
        }
    }

    fn ask(&mut self, subscriber: PeerId, id: TrackId) {
        if Guests.subscribes(subscriber, &self.published[&id]) {
            self.pairs.insert((subscriber, id));
        }
    }

    fn switch(
        &mut self,
        subscriber: PeerId,
        track: &MediaStreamTrack,
        from: Option<TrackId>,
        to: Option<TrackId>,
    ) {
        if !self.slots.contains_key(&track.id()) {
            self.pairs
                .remove(&(subscriber, from.expect("it is no slot")));
        }
        let to = to.filter(|it| self.published.contains_key(it));
        let slot = (subscriber, track.kind(), to);
        self.slots.insert(track.id(), slot);
    }

    /// What feeds the tracks of a peer, a track without a source or with a paused one included.
    fn feeds(&self, peer: PeerId) -> Vec<Option<TrackId>> {
        let playing = |publication: &TrackId| !self.paused.contains(publication);
        let pairs = self
            .pairs
            .iter()
            .filter(|(subscriber, _)| *subscriber == peer);
        let pairs = pairs.map(|(_, publication)| Some(*publication).filter(playing));
        let slots = self
            .slots
            .values()
            .filter(|(subscriber, ..)| *subscriber == peer);
        pairs
            .chain(slots.map(|(.., source)| (*source).filter(playing)))
            .collect()
    }
}
