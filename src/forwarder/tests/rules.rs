//! Rule by rule.

use std::time::{Duration, Instant};

use super::super::error::{AddPeerError, SubscribeError};
use super::super::limits::ForwarderLimits;
use super::super::machine::Outcome;
use super::super::message::{ForwarderEvent as Event, PeerNews};
use super::super::policy::{AllOthers, OnRequest};
use super::super::reconcile::{Attached, Report};
use super::{RequestId, World, remote};
use crate::call::CallError;
use crate::codec::RtpCodec;
use crate::jsep::TransceiverError;
use crate::peer_connection::PeerId;
use crate::rtp::{Mid, Rid};
use crate::track::MediaKind::{Audio, Video};
use crate::track::{MediaStreamTrack, TrackId};

fn room() -> World {
    World::new(AllOthers, ForwarderLimits::default())
}

fn by_hand() -> World {
    World::new(OnRequest, ForwarderLimits::default())
}

impl World {
    fn subscribe(&mut self, peer: PeerId, publication: TrackId) -> (TrackId, RequestId) {
        let request = self.request();
        let effects = &mut self.effects;
        let begun = (self.machine).subscribe(peer, publication, request, effects);
        let track = self.accepted(request, begun).unwrap();
        (track.id(), request)
    }

    fn slot(&mut self, peer: PeerId) -> TrackId {
        let track = MediaStreamTrack::new(Video, []);
        let request = self.request();
        let added = (self.machine).add_slot(peer, track.clone(), request, &mut self.effects);
        self.accepted(request, added).unwrap();
        self.settle();
        track.id()
    }

    fn switch(&mut self, slot: TrackId, to: TrackId) {
        let request = self.request();
        let effects = &mut self.effects;
        let switched = self.machine.switch(slot, Some(to), request, effects);
        self.accepted(request, switched).unwrap();
        self.settle();
    }

    /// Its one subscription.
    fn subscription(&self, peer: PeerId) -> TrackId {
        let tracks: Vec<_> = self.peers[&peer].attached.keys().collect();
        let [track] = tracks.as_slice() else {
            panic!("{tracks:?}");
        };
        **track
    }
}

/// Without what cannot be known beforehand.
fn names(events: Vec<Event>) -> Vec<(&'static str, PeerId, Option<TrackId>)> {
    let name = |event| match event {
        Event::Published(it) => ("published", it.publisher, Some(it.track.id())),
        Event::Unpublished {
            publisher,
            publication,
        } => ("unpublished", publisher, Some(publication)),
        Event::Subscribed {
            subscriber,
            publication,
            ..
        } => ("subscribed", subscriber, Some(publication)),
        Event::Unsubscribed {
            subscriber,
            publication,
            ..
        } => ("unsubscribed", subscriber, publication),
        Event::SourceEnded {
            subscriber,
            publication,
            ..
        } => ("source ended", subscriber, Some(publication)),
        Event::LayerChanged {
            subscriber,
            publication,
            ..
        } => ("layer changed", subscriber, Some(publication)),
        Event::LayerLimitChanged {
            subscriber,
            publication,
            ..
        } => ("layer limit changed", subscriber, Some(publication)),
        Event::CannotDecode {
            subscriber,
            publication,
            ..
        } => ("cannot decode", subscriber, Some(publication)),
        Event::Refused {
            subscriber,
            publication,
            ..
        } => ("refused", subscriber, Some(publication)),
        Event::PublicationRefused {
            publisher, track, ..
        } => ("publication refused", publisher, Some(track)),
        Event::SubscriberRestarted { subscriber, .. } => ("restarted", subscriber, None),
        Event::SubscriberFailed { subscriber, .. } => ("failed", subscriber, None),
    };
    events.into_iter().map(name).collect()
}

#[test]
fn a_newcomer_gets_what_is_there_and_gives_what_it_brings() {
    let mut world = room();
    let (ada, tracks) = world.join(&[Audio, Video]);
    let [sound, camera] = tracks[..] else {
        unreachable!("two were given")
    };
    let published = |track| ("published", ada, Some(track));
    assert_eq!(names(world.news()), [published(sound), published(camera)]);
    let (bob, tracks) = world.join(&[Video]);
    let expected = [
        ("subscribed", bob, Some(sound)),
        ("subscribed", bob, Some(camera)),
        ("published", bob, Some(tracks[0])),
        ("subscribed", ada, Some(tracks[0])),
    ];
    assert_eq!(names(world.news()), expected);
    world.hear(ada, PeerNews::Closed);
    world.settle();
    let expected = [
        ("unsubscribed", bob, Some(sound)),
        ("unpublished", ada, Some(sound)),
        ("unsubscribed", bob, Some(camera)),
        ("unpublished", ada, Some(camera)),
        ("unsubscribed", ada, Some(tracks[0])),
    ];
    assert_eq!(names(world.news()), expected);
    assert_eq!(world.feeds(bob), [].into());
}

#[test]
fn streams_that_are_named_alike_stay_those_of_their_peers() {
    let mut world = room();
    let (ada, _) = world.join(&[Audio, Video]);
    let (bob, _) = world.join(&[Audio]);
    let streams = |world: &mut World| -> Vec<_> {
        let news = world.news().into_iter();
        let published = news.filter_map(|event| match event {
            Event::Published(publication) => Some(publication.streams),
            _ => None,
        });
        published.collect()
    };
    let [sound, camera, other] = &streams(&mut world)[..] else {
        panic!("three were published");
    };
    assert_eq!(sound, camera);
    assert_eq!(sound.len(), 1);
    assert_ne!(sound, other);
    // What is published anew is called as before, and what belongs to no stream gets one of its own.
    world.hear(ada, PeerNews::Track(remote(Video)));
    world.hear(bob, PeerNews::Track(MediaStreamTrack::new(Audio, [])));
    world.hear(bob, PeerNews::Track(MediaStreamTrack::new(Audio, [])));
    world.settle();
    let [again, one, another] = &streams(&mut world)[..] else {
        panic!("three were published");
    };
    assert_eq!(again, sound);
    assert_eq!((one.len(), another.len()), (1, 1));
    assert_ne!(one, another);
}

#[test]
fn a_track_with_other_encodings_is_another_publication() {
    let mut world = room();
    let (ada, _) = world.join(&[]);
    let (bob, _) = world.join(&[]);
    let one = remote(Video);
    let encoded = |rids: [&str; 2]| {
        let streams = one.streams().to_vec();
        one.renamed(one.label(), streams, rids.map(Rid::from))
    };
    world.hear(ada, PeerNews::Track(encoded(["low", "high"])));
    world.settle();
    // Told again as it was it is the same, and otherwise another one.
    world.news();
    world.hear(ada, PeerNews::Track(encoded(["low", "high"])));
    world.settle();
    assert_eq!(world.news(), []);
    world.hear(ada, PeerNews::Track(encoded(["high", "low"])));
    world.settle();
    let track = Some(one.id());
    let expected = [
        ("unsubscribed", bob, track),
        ("unpublished", ada, track),
        ("published", ada, track),
        ("subscribed", bob, track),
    ];
    assert_eq!(names(world.news()), expected);
}

#[test]
fn events_are_right_where_they_contradict_what_is_read() {
    let mut world = room();
    let peer = PeerId::next();
    let (stays, goes) = (remote(Audio), remote(Video));
    let mut fake = super::FakePeer::default();
    for track in [&stays, &goes] {
        fake.sends.insert(track.id(), track.clone());
    }
    world.peers.insert(peer, fake);
    let request = world.request();
    let added = world.machine.add_peer(peer, request, &mut world.effects);
    world.accepted(request, added).unwrap();
    world.perform();
    world.hear(peer, PeerNews::TrackGone(goes.id()));
    world.settle();
    assert_eq!(names(world.news()), [("published", peer, Some(stays.id()))]);
}

/// A successor that meets an exchange under way takes nothing for over before that is.
#[test]
fn what_is_not_agreed_on_yet_may_still_be() {
    let mut world = room();
    let (ada, tracks) = world.join(&[Video]);
    world.news();
    let fake = world.peers.get_mut(&ada).unwrap();
    fake.is_unstable = true;
    let track = fake.sends.remove(&tracks[0]).unwrap();
    world.succeed();
    world.settle();
    assert_eq!(world.news(), []);
    let fake = world.peers.get_mut(&ada).unwrap();
    fake.is_unstable = false;
    fake.sends.insert(track.id(), track);
    world.hear(ada, PeerNews::Negotiated);
    world.settle();
    assert_eq!(world.news(), []);
    world.succeed();
    world.peers.get_mut(&ada).unwrap().sends.clear();
    world.settle();
    assert_eq!(names(world.news()), [("unpublished", ada, Some(tracks[0]))]);
}

#[test]
fn a_peer_that_does_not_answer_is_asked_again_and_whoever_waits_is_told() {
    let mut world = by_hand();
    let (_, tracks) = world.join(&[Video]);
    let (bob, _) = world.join(&[]);
    let (track, request) = world.subscribe(bob, tracks[0]);
    world.perform();
    let order = world.peers.get_mut(&bob).unwrap().order.take().unwrap();
    let report = Report {
        order: order.number,
        outcome: Err(CallError::Timeout),
    };
    world.machine.report(bob, report, &mut world.effects);
    world.perform();
    assert_eq!(
        world.answers[&request],
        Outcome::Unanswered(CallError::Timeout)
    );
    assert!(world.retries.remove(&bob));
    assert_eq!(world.peers[&bob].order, None);
    world.machine.order(bob, &mut world.effects);
    world.settle();
    assert_eq!(world.subscription(bob), track);
}

// What an owner told a Forwarder that had just ended, its successor never heard.
#[test]
fn a_peer_that_is_added_again_is_looked_at_again() {
    let mut room = room();
    let (publisher, tracks) = room.join(&[Audio]);
    let comes = remote(Video);
    let sends = &mut room.peers.get_mut(&publisher).unwrap().sends;
    sends.clear();
    sends.insert(comes.id(), comes.clone());
    room.told.clear();
    room.add(publisher);
    let told = names(std::mem::take(&mut room.told));
    let expected = [
        ("published", publisher, Some(comes.id())),
        ("unpublished", publisher, Some(tracks[0])),
    ];
    assert_eq!(told, expected);
    room.add(publisher);
    assert_eq!(names(std::mem::take(&mut room.told)), []);
}

#[test]
fn a_part_that_fails_too_often_takes_its_peer_along() {
    let mut world = room();
    let (ada, tracks) = world.join(&[Video]);
    let (bob, _) = world.join(&[]);
    world.news();
    let start = Instant::now();
    for second in 0..6 {
        let now = start + Duration::from_secs(second);
        let message = "failed".to_owned();
        let effects = &mut world.effects;
        world.machine.subscriber_failed(ada, now, message, effects);
        world.settle();
    }
    let mut expected = vec![("restarted", ada, None); 5];
    expected.push(("failed", ada, None));
    expected.push(("unsubscribed", bob, Some(tracks[0])));
    expected.push(("unpublished", ada, Some(tracks[0])));
    assert_eq!(names(world.news()), expected);
    assert!(!world.peers[&ada].has_subscriber);
}

#[test]
fn what_cannot_be_decoded_is_told_once_and_again_when_it_is_another_thing() {
    let mut world = room();
    let (_, tracks) = world.join(&[Video]);
    let (bob, _) = world.join(&[]);
    let camera = tracks[0];
    let track = world.subscription(bob);
    world.news();
    let mismatch = |codec| PeerNews::CodecMismatch { track, codec };
    for codec in [RtpCodec::h264(1), RtpCodec::h264(1), RtpCodec::av1()] {
        world.hear(bob, mismatch(codec));
    }
    world.settle();
    let told = |codec| Event::CannotDecode {
        subscriber: bob,
        publication: camera,
        subscription: track,
        codec,
    };
    let expected = [told(Some(RtpCodec::h264(1))), told(Some(RtpCodec::av1()))];
    assert_eq!(world.news(), expected);
    // It stays, and says so again when it is fed anew.
    assert_eq!(world.feeds(bob), [camera].into());
    let (_, tracks) = world.join(&[Video]);
    world.news();
    world.switch(track, tracks[0]);
    world.hear(bob, mismatch(RtpCodec::av1()));
    // Of an empty slot, or of somebody else's, nothing is said.
    world.hear(PeerId::next(), mismatch(RtpCodec::vp8()));
    let slot = world.slot(bob);
    let codec = RtpCodec::vp8();
    world.hear(bob, PeerNews::CodecMismatch { track: slot, codec });
    world.settle();
    assert_eq!(
        names(world.news()),
        [("cannot decode", bob, Some(tracks[0]))]
    );
}

#[test]
fn an_m_line_without_a_common_codec_is_told_by_its_track() {
    let mut world = room();
    let (_, tracks) = world.join(&[Video]);
    let (bob, _) = world.join(&[]);
    let track = world.subscription(bob);
    world.news();
    let [ours, foreign] = ["0", "1"].map(Mid::from);
    for _ in 0..2 {
        world.hear(bob, PeerNews::NoCommonCodec(ours.clone()));
        world.hear(bob, PeerNews::NoCommonCodec(foreign.clone()));
        world.hear(bob, PeerNews::Negotiated);
        world.perform();
        let mid = Some(ours.clone());
        world.carry_out_but(bob, |it| it.attached = vec![Attached { track, mid }]);
        world.settle();
    }
    let told = Event::CannotDecode {
        subscriber: bob,
        publication: tracks[0],
        subscription: track,
        codec: None,
    };
    assert_eq!(world.news(), [told]);
}

#[test]
fn a_track_that_the_remote_side_rejects_is_over() {
    let mut world = room();
    let (_, tracks) = world.join(&[Video]);
    let (bob, _) = world.join(&[]);
    let track = world.subscription(bob);
    world.news();
    world.hear(bob, PeerNews::Negotiated);
    world.perform();
    world.carry_out_but(bob, |it| {
        it.attached.clear();
        it.refused.push((track, SubscribeError::Rejected));
    });
    world.settle();
    let expected = [
        ("refused", bob, Some(tracks[0])),
        ("unsubscribed", bob, Some(tracks[0])),
    ];
    assert_eq!(names(world.news()), expected);
    assert_eq!(world.feeds(bob), [].into());
    assert_eq!(world.machine.snapshot().refused_subscriptions, 0);
}

#[test]
fn what_a_peer_connection_has_no_room_for_is_tried_again_when_there_is_some() {
    let mut world = room();
    let (ada, cameras) = world.join(&[Video, Video]);
    let [first, second] = cameras[..] else {
        unreachable!("two were given")
    };
    let bob = PeerId::next();
    world.peers.insert(bob, super::FakePeer::default());
    let request = world.request();
    let added = world.machine.add_peer(bob, request, &mut world.effects);
    world.accepted(request, added).unwrap();
    world.perform();
    let full = SubscribeError::from(TransceiverError::TooMany { limit: 1 });
    world.news();
    world.carry_out_but(bob, |it| {
        let refused = it.attached.pop().unwrap();
        it.refused.push((refused.track, full.clone()));
    });
    world.settle();
    let expected = [
        ("subscribed", bob, Some(first)),
        ("refused", bob, Some(second)),
    ];
    assert_eq!(names(world.news()), expected);
    assert_eq!(world.machine.snapshot().refused_subscriptions, 1);
    world.hear(ada, PeerNews::TrackGone(first));
    world.settle();
    assert_eq!(world.feeds(bob), [second].into());
    assert_eq!(world.machine.snapshot().refused_subscriptions, 0);

    // What was asked for by hand is answered, and neither told nor tried again.
    let mut world = by_hand();
    let (_, tracks) = world.join(&[Video]);
    let (bob, _) = world.join(&[]);
    world.news();
    let (track, request) = world.subscribe(bob, tracks[0]);
    world.perform();
    world.carry_out_but(bob, |it| {
        it.attached.clear();
        it.refused.push((track, full.clone()));
    });
    world.settle();
    assert_eq!(world.answers[&request], Outcome::Refused(full));
    assert_eq!(world.news(), []);
    assert_eq!(world.machine.snapshot().refused_subscriptions, 0);
}

#[test]
fn a_slot_outlives_what_feeds_it_and_so_does_what_was_switched() {
    let mut world = room();
    let (ada, tracks) = world.join(&[Video]);
    let (bob, _) = world.join(&[]);
    let (eve, _) = world.join(&[]);
    let (switched, slot) = (world.subscription(bob), world.slot(eve));
    for track in [switched, slot] {
        world.switch(track, tracks[0]);
    }
    world.news();
    world.hear(ada, PeerNews::TrackGone(tracks[0]));
    world.settle();
    let expected = [
        ("source ended", bob, Some(tracks[0])),
        ("unsubscribed", eve, Some(tracks[0])),
        ("source ended", eve, Some(tracks[0])),
        ("unpublished", ada, Some(tracks[0])),
    ];
    assert_eq!(names(world.news()), expected);
    assert_eq!(world.peers[&bob].attached, [(switched, None)].into());
    assert_eq!(world.peers[&eve].attached, [(slot, None)].into());
    world.machine.unsubscribe(slot, &mut world.effects);
    world.settle();
    assert_eq!(names(world.news()), [("unsubscribed", eve, None)]);
}

#[test]
fn whoever_waits_for_what_ends_meanwhile_is_told_that() {
    let mut world = by_hand();
    let (ada, tracks) = world.join(&[Video]);
    let (bob, _) = world.join(&[]);
    let (_, subscribed) = world.subscribe(bob, tracks[0]);
    world.perform();
    world.hear(ada, PeerNews::Closed);
    let added = world.request();
    let again = world.machine.add_peer(bob, added, &mut world.effects);
    world.accepted(added, again).unwrap();
    world.hear(bob, PeerNews::Closed);
    world.settle();
    assert_eq!(world.answers[&subscribed], Outcome::Ended);
    assert_eq!(world.answers[&added], Outcome::Ended);
    assert!(world.waiting.is_empty());
}

#[test]
fn peers_beyond_the_limit_are_refused_and_those_that_leave_make_room_at_once() {
    let limits = ForwarderLimits::default().peers(1);
    let mut world = World::new(AllOthers, limits);
    let (ada, _) = world.join(&[]);
    let bob = PeerId::next();
    let request = world.request();
    let refused = world.machine.add_peer(bob, request, &mut world.effects);
    assert_eq!(refused, Err(AddPeerError::TooManyPeers { limit: 1 }));
    world.machine.remove_peer(ada, &mut world.effects);
    let added = world.machine.add_peer(bob, request, &mut world.effects);
    assert_eq!(added, Ok(()));
}
