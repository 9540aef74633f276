//! Which encoding each subscriber has.

use std::time::Duration;

use super::super::limits::ForwarderLimits;
use super::super::message::{ForwarderEvent as Event, PeerNews};
use super::super::policy::AllOthers;
use super::super::wish::LayerWish;
use super::{World, remote};
use crate::peer_connection::PeerId;
use crate::rtp::{LayerLimit, LimitedRate, Rid, SimulcastLayer};
use crate::track::MediaKind::{Audio, Video};
use crate::track::{MediaStreamTrack, TrackId};

const KILO: u64 = 1000;

/// What a camera sends in three encodings, those of them that arrive.
fn camera(active: &[&str]) -> Vec<SimulcastLayer> {
    let all = [("l", 150), ("m", 500), ("h", 1500)];
    let layer = |(rid, rate): (&str, u64)| SimulcastLayer {
        rid: Some(rid.into()),
        active: active.contains(&rid),
        bits_per_second: rate * KILO,
        limited: Vec::new(),
    };
    all.into_iter().map(layer).collect()
}

const ALL: [&str; 3] = ["l", "m", "h"];

/// What a camera sends in one encoding of three sizes at two rates.
fn scalable() -> SimulcastLayer {
    let rates = [
        ("L1T1", 100),
        ("L1T2", 150),
        ("L2T1", 300),
        ("L2T2", 500),
        ("L3T1", 900),
        ("L3T2", 1500),
    ];
    let limited = rates.map(|(limit, rate)| LimitedRate {
        limit: limit.parse().unwrap(),
        bits_per_second: rate * KILO,
    });
    SimulcastLayer {
        rid: None,
        active: true,
        bits_per_second: 1500 * KILO,
        limited: limited.to_vec(),
    }
}

/// Ada, who sends her camera in three encodings, and Bob, who gets it.
struct Call {
    world: World,
    ada: PeerId,
    bob: PeerId,
    track: MediaStreamTrack,
}

impl Call {
    fn begin() -> Self {
        let mut world = World::new(AllOthers, ForwarderLimits::default());
        let (ada, _) = world.join(&[]);
        let (bob, _) = world.join(&[]);
        let track = encoded();
        let sends = &mut world.peers.get_mut(&ada).unwrap().sends;
        sends.insert(track.id(), track.clone());
        world.hear(ada, PeerNews::Track(track.clone()));
        world.settle();
        Self {
            world,
            ada,
            bob,
            track,
        }
    }

    /// The same, with all three arriving.
    fn with_camera() -> Self {
        let mut call = Self::begin();
        call.arrives(&ALL);
        call
    }

    /// A while after whatever was before.
    fn arrives(&mut self, active: &[&str]) {
        let (ada, track) = (self.ada, self.track.id());
        self.world.wait(milliseconds(200));
        self.world.layers(ada, track, camera(active));
    }

    fn available(&mut self, kilobits: u64) {
        let news = PeerNews::AvailableBitrate(kilobits * KILO);
        self.world.hear(self.bob, news);
        self.world.settle();
    }

    fn wish(&mut self, wish: LayerWish) {
        let subscription = self.subscription();
        self.world.wish(subscription, wish);
    }

    fn subscription(&self) -> TrackId {
        self.world.subscription_to(self.bob, self.track.id())
    }

    /// The camera comes in one encoding with layers.
    fn arrives_in_layers(&mut self) {
        let (ada, track) = (self.ada, self.track.id());
        self.world.wait(milliseconds(200));
        self.world.layers(ada, track, vec![scalable()]);
    }

    /// How many layers Bob has.
    fn limit(&self) -> String {
        let subscription = self.subscription();
        let feed = self.world.peers[&self.bob].attached[&subscription].as_ref();
        feed.expect("a feed").limit.to_string()
    }

    /// The encoding that Bob has.
    fn has(&self) -> Option<String> {
        self.world.has(self.bob, self.track.id())
    }
}

impl World {
    fn layers(&mut self, peer: PeerId, track: TrackId, layers: Vec<SimulcastLayer>) {
        self.hear(peer, PeerNews::LayersChanged { track, layers });
        self.settle();
    }

    fn wish(&mut self, subscription: TrackId, wish: LayerWish) {
        self.machine
            .set_layers(subscription, wish, &mut self.effects);
        self.settle();
    }

    fn subscription_to(&self, peer: PeerId, publication: TrackId) -> TrackId {
        let track = self.machine.following(peer, publication);
        track.expect("a subscription").id()
    }

    /// The encoding by which a peer is fed; an asterisk where the route finds it by itself.
    fn has(&self, peer: PeerId, publication: TrackId) -> Option<String> {
        let subscription = self.subscription_to(peer, publication);
        let feed = self.peers[&peer].attached[&subscription].as_ref()?;
        let rid = feed.rid.as_ref().map_or("*", Rid::as_str);
        Some(rid.to_owned())
    }

    /// Time passes, and what is due happens and is done.
    pub(super) fn wait(&mut self, duration: Duration) {
        self.settle();
        self.pass(duration);
        self.settle();
    }

    /// Time passes, and what is due happens.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let next = self.reviews.iter().min_by_key(|(_, at)| **at);
            let Some((peer, at)) = next.map(|(peer, at)| (*peer, *at)) else {
                break;
            };
            if at > end {
                break;
            }
            self.now = self.now.max(at);
            self.reviews.remove(&peer);
            self.machine.layers_due(peer);
            self.perform();
        }
        self.now = end;
    }
}

fn encoded() -> MediaStreamTrack {
    let one = remote(Video);
    let streams = one.streams().to_vec();
    one.renamed(one.label(), streams, ["h", "m", "l"].map(Rid::from))
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn some(rid: &str) -> Option<String> {
    Some(rid.to_owned())
}

#[test]
fn before_anything_is_known_the_route_finds_what_arrives() {
    let mut call = Call::begin();
    assert_eq!(call.has(), some("*"));
    call.available(300);
    assert_eq!(call.has(), some("*"));
    call.arrives(&["l"]);
    assert_eq!(call.has(), some("l"));
    // What pauses altogether is left as it is.
    call.arrives(&[]);
    assert_eq!(call.has(), some("l"));
}

#[test]
fn without_an_estimate_a_subscriber_has_the_best_that_arrives() {
    let mut call = Call::with_camera();
    assert_eq!(call.has(), some("h"));
    call.arrives(&["l", "m"]);
    assert_eq!(call.has(), some("m"));
    call.arrives(&["l"]);
    assert_eq!(call.has(), some("l"));
    call.arrives(&ALL);
    assert_eq!(call.has(), some("h"));
    assert!(call.world.desired.is_empty());
}

#[test]
fn with_an_estimate_it_has_what_fits_goes_down_at_once_and_up_after_a_while() {
    let mut call = Call::begin();
    call.available(700);
    call.arrives(&ALL);
    assert_eq!(call.has(), some("m"));
    call.available(400);
    assert_eq!(call.has(), some("l"));
    call.available(2500);
    assert_eq!(call.has(), some("l"));
    call.world.wait(milliseconds(1999));
    assert_eq!(call.has(), some("l"));
    call.world.wait(milliseconds(1));
    assert_eq!(call.has(), some("h"));
    // The highest, and a fifth to spare.
    assert_eq!(call.world.desired[&call.bob], 1800 * KILO);
}

#[test]
fn a_pause_is_no_lack_of_room_what_comes_back_is_taken_at_once() {
    let mut call = Call::begin();
    call.available(1600);
    call.arrives(&["l"]);
    call.arrives(&ALL);
    call.world.wait(milliseconds(60_000));
    assert_eq!(call.has(), some("m"), "a rise needs something to spare");
    call.available(2500);
    call.world.wait(milliseconds(2000));
    assert_eq!(call.has(), some("h"));
    call.available(1600);
    call.arrives(&["l"]);
    assert_eq!(call.has(), some("l"));
    call.arrives(&["l", "m"]);
    assert_eq!(call.has(), some("m"));
    call.arrives(&ALL);
    assert_eq!(call.has(), some("h"));
}

#[test]
fn an_encoding_that_grows_out_of_its_room_is_left() {
    let mut call = Call::begin();
    call.available(2000);
    call.arrives(&ALL);
    let mut grown = camera(&ALL);
    grown[2].bits_per_second = 2200 * KILO;
    let (ada, track) = (call.ada, call.track.id());
    call.world.layers(ada, track, grown);
    // Rates are looked at now and then.
    call.world.wait(milliseconds(1000));
    assert_eq!(call.has(), some("m"));
}

#[test]
fn a_wish_bounds_the_choice_and_is_granted_at_once() {
    let mut call = Call::begin();
    call.available(2500);
    call.arrives(&ALL);
    assert_eq!(call.has(), some("h"));
    for (wish, expected) in [
        (LayerWish::UpTo("m".into()), some("m")),
        (LayerWish::UpToBitrate(400 * KILO), some("l")),
        (LayerWish::UpToBitrate(1), some("l")),
        (LayerWish::Only("m".into()), some("m")),
        (LayerWish::Only("h".into()), some("h")),
        (LayerWish::Off, None),
        (LayerWish::UpTo("unknown".into()), some("h")),
        (LayerWish::Only("unknown".into()), some("h")),
        (LayerWish::Automatic, some("h")),
    ] {
        call.wish(wish.clone());
        assert_eq!(call.has(), expected, "{wish:?}");
    }
    let snapshot = call.world.machine.snapshot();
    assert_eq!(snapshot.subscriptions[0].rid, Some("h".into()));
    assert_eq!(snapshot.publications[0].layers, camera(&ALL));
}

#[test]
fn who_names_one_encoding_has_it_whatever_the_path_takes_and_the_next_lower_while_it_pauses() {
    let mut call = Call::with_camera();
    call.wish(LayerWish::Only("m".into()));
    call.available(100);
    assert_eq!(call.has(), some("m"));
    call.arrives(&["l", "h"]);
    assert_eq!(call.has(), some("l"));
    call.arrives(&["h"]);
    assert_eq!(call.has(), some("h"));
    call.arrives(&ALL);
    assert_eq!(call.has(), some("m"));
}

#[test]
fn sound_comes_first_and_of_each_picture_the_lowest_stays() {
    let mut world = World::new(AllOthers, ForwarderLimits::default());
    let (ada, _) = world.join(&[Audio]);
    let (bob, _) = world.join(&[]);
    let tracks = [encoded(), encoded()];
    for track in &tracks {
        world.hear(ada, PeerNews::Track(track.clone()));
        world.settle();
        world.layers(ada, track.id(), camera(&ALL));
        world.wait(milliseconds(200));
    }
    let have = |world: &World| tracks.each_ref().map(|track| world.has(bob, track.id()));
    world.hear(bob, PeerNews::AvailableBitrate(100 * KILO));
    world.settle();
    assert_eq!(have(&world), [some("l"), some("l")]);
    // Two of 150, and one more step of 500 with a fifth to spare: sound has its share before that.
    for (available, expected) in [(750, ["l", "l"]), (830, ["m", "l"]), (1300, ["m", "m"])] {
        world.hear(bob, PeerNews::AvailableBitrate(available * KILO));
        world.settle();
        world.wait(milliseconds(2000));
        assert_eq!(have(&world), expected.map(some), "{available}");
    }
    assert_eq!(world.desired[&bob], (64 + 3000) * KILO * 6 / 5);
}

#[test]
fn a_picture_in_one_encoding_goes_as_it_is_and_takes_its_share() {
    let mut call = Call::with_camera();
    let screen = remote(Video);
    call.world.hear(call.ada, PeerNews::Track(screen.clone()));
    call.world.settle();
    let only = SimulcastLayer {
        rid: None,
        active: true,
        bits_per_second: 1000 * KILO,
        limited: Vec::new(),
    };
    call.world.layers(call.ada, screen.id(), vec![only]);
    call.available(1700);
    assert_eq!(call.has(), some("m"));
    assert_eq!(call.world.has(call.bob, screen.id()), some("*"));
    call.available(1100);
    assert_eq!(call.has(), some("l"));
    assert_eq!(call.world.has(call.bob, screen.id()), some("*"));
}

#[test]
fn what_is_kept_back_takes_nothing() {
    let mut call = Call::with_camera();
    call.available(2500);
    let (id, effects) = (call.track.id(), &mut call.world.effects);
    call.world.machine.set_paused(id, true, effects);
    call.world.settle();
    assert_eq!(call.has(), None);
    assert_eq!(call.world.desired[&call.bob], 0);
}

#[test]
fn changes_are_told_after_the_subscription() {
    let mut call = Call::begin();
    call.available(700);
    call.world.news();
    call.arrives(&ALL);
    call.available(400);
    call.available(400);
    let told: Vec<_> = call.world.news();
    let changed = |rid: &str| Event::LayerChanged {
        subscriber: call.bob,
        publication: call.track.id(),
        subscription: call.subscription(),
        rid: rid.into(),
    };
    assert_eq!(told, [changed("m"), changed("l")]);
    let (carol, _) = call.world.join(&[]);
    let told = call.world.news();
    let [
        Event::Subscribed { .. },
        Event::LayerChanged {
            subscriber, rid, ..
        },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert_eq!((*subscriber, rid.as_str()), (carol, "h"));
}

#[test]
fn a_successor_goes_on_with_what_there_was() {
    let mut call = Call::with_camera();
    call.available(700);
    call.wish(LayerWish::UpTo("h".into()));
    call.world.succeed();
    call.world.news();
    call.world.settle();
    assert_eq!(call.has(), some("m"));
    assert_eq!(call.world.news(), []);
    call.available(2500);
    call.world.wait(milliseconds(2000));
    assert_eq!(call.has(), some("h"));
}

#[test]
fn another_source_is_chosen_from_anew_and_the_wish_stays() {
    let mut call = Call::with_camera();
    call.available(2500);
    let other = encoded();
    call.world.hear(call.ada, PeerNews::Track(other.clone()));
    call.world.settle();
    call.wish(LayerWish::UpTo("m".into()));
    let (subscription, request) = (call.subscription(), call.world.request());
    let effects = &mut call.world.effects;
    let switched = (call.world.machine).switch(subscription, Some(other.id()), request, effects);
    call.world.accepted(request, switched).unwrap();
    call.world.settle();
    let fed = |call: &Call| {
        let feed = call.world.peers[&call.bob].attached[&subscription].clone();
        feed.unwrap().rid
    };
    assert_eq!(fed(&call), None);
    let (ada, other) = (call.ada, other.id());
    call.world.wait(milliseconds(200));
    call.world.layers(ada, other, camera(&ALL));
    assert_eq!(fed(&call), Some("m".into()));
}

// Each change of a publisher's was an order to each subscriber.
#[test]
fn encodings_that_come_and_go_all_the_time_are_looked_at_now_and_then() {
    let mut call = Call::with_camera();
    call.world.news();
    let (ada, track) = (call.ada, call.track.id());
    for turn in 0..100 {
        let active: &[&str] = if turn % 3 == 0 { &["l"] } else { &ALL };
        call.world.layers(ada, track, camera(active));
        call.world.wait(milliseconds(10));
    }
    let changes = call.world.news().len();
    assert!((1..=6).contains(&changes), "{changes}");
    call.world.wait(milliseconds(200));
    assert_eq!(call.has(), some("l"), "what was last");
}

#[test]
fn what_others_say_of_a_track_that_is_not_theirs_counts_for_nothing() {
    let mut call = Call::with_camera();
    let (bob, track) = (call.bob, call.track.id());
    call.world.layers(bob, track, camera(&["l"]));
    assert_eq!(call.has(), some("h"));
}

#[test]
fn of_one_encoding_with_layers_it_has_those_that_fit() {
    let mut call = Call::begin();
    call.available(700);
    assert_eq!(call.limit(), "all", "nothing is known of it");
    call.arrives_in_layers();
    assert_eq!((call.has(), call.limit()), (some("*"), "L2T2".to_owned()));
    call.available(400);
    assert_eq!(call.limit(), "L2T1");
    call.available(50);
    assert_eq!(call.limit(), "L1T1", "of every picture something is sent");
    call.available(2500);
    assert_eq!(call.limit(), "L1T1");
    call.world.wait(milliseconds(2000));
    assert_eq!(call.limit(), "all");
    assert_eq!(call.world.desired[&call.bob], 1800 * KILO);
}

#[test]
fn without_an_estimate_nothing_is_left_out() {
    let mut call = Call::begin();
    call.arrives_in_layers();
    assert_eq!(call.limit(), "all");
}

#[test]
fn a_wish_bounds_the_layers_and_is_granted_at_once() {
    let mut call = Call::begin();
    call.available(2500);
    call.arrives_in_layers();
    for (wish, expected) in [
        (LayerWish::UpToLayers(LayerLimit::at_most(2, 1)), "L2T1"),
        (
            LayerWish::UpToLayers(LayerLimit::NONE.with_spatial(1)),
            "L1",
        ),
        (LayerWish::UpToBitrate(400 * KILO), "L2T1"),
        (LayerWish::UpToBitrate(1), "L1T1"),
        (LayerWish::Only("unknown".into()), "all"),
        (LayerWish::Automatic, "all"),
    ] {
        call.wish(wish.clone());
        assert_eq!(call.limit(), expected, "{wish:?}");
    }
    call.wish(LayerWish::UpToLayers(LayerLimit::at_most(1, 2)));
    let snapshot = call.world.machine.snapshot();
    assert_eq!(snapshot.subscriptions[0].limit.to_string(), "L1T2");
}

#[test]
fn limits_are_told_after_the_subscription_and_a_whole_is_no_limit() {
    let mut call = Call::begin();
    call.arrives_in_layers();
    call.world.news();
    call.available(700);
    call.available(700);
    let changed = |limit: &str| Event::LayerLimitChanged {
        subscriber: call.bob,
        publication: call.track.id(),
        subscription: call.subscription(),
        limit: limit.parse().unwrap(),
    };
    let expected = [changed("L2T2")];
    assert_eq!(call.world.news(), expected);
    let (_carol, _) = call.world.join(&[]);
    let told = call.world.news();
    assert!(matches!(&told[..], [Event::Subscribed { .. }]), "{told:?}");
}

#[test]
fn layers_that_the_publisher_leaves_out_for_a_while_come_back_without_waiting() {
    let mut call = Call::begin();
    call.available(2500);
    call.arrives_in_layers();
    call.available(1600);
    let mut smaller = scalable();
    smaller.limited.truncate(4);
    smaller.bits_per_second = 500 * KILO;
    let (ada, track) = (call.ada, call.track.id());
    call.world.layers(ada, track, vec![smaller]);
    call.world.wait(milliseconds(1000));
    assert_eq!(call.limit(), "all");
    call.arrives_in_layers();
    call.world.wait(milliseconds(1000));
    assert_eq!(call.limit(), "all");
}

#[test]
fn a_successor_leaves_the_limits_as_they_are() {
    let mut call = Call::begin();
    call.available(700);
    call.arrives_in_layers();
    call.world.succeed();
    call.world.news();
    call.world.settle();
    assert_eq!(call.limit(), "L2T2");
    assert_eq!(call.world.news(), []);
}
