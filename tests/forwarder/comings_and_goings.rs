//! Peers come, go and change, and each client gets what it should.

use std::time::Duration;

use ractor_webrtc::MediaKind::{Audio, Video};
use ractor_webrtc::TrackId;
use ractor_webrtc::forwarder::{
    AddPeerError, Forwarder, ForwarderEvent, ForwarderLimits, SubscribeError,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::common::owner::loopback;
use crate::stage::{Member, Stage};

#[tokio::test]
async fn everybody_gets_all_others_whenever_they_come() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Audio, Video]).await;
    let _ada_plays = (ada.play(Audio), ada.play(Video));
    let bob = stage.join("bob", &[Audio, Video]).await;
    let _bob_plays = (bob.play(Audio), bob.play(Video));
    for kind in [Audio, Video] {
        ada.gets("bob", kind).await;
        bob.gets("ada", kind).await;
    }
    let eve = stage.join("eve", &[Audio]).await;
    let _eve_plays = eve.play(Audio);
    for kind in [Audio, Video] {
        eve.gets("ada", kind).await;
        eve.gets("bob", kind).await;
    }
    ada.gets("eve", Audio).await;
    bob.gets("eve", Audio).await;
    // Sound and picture of one are one stream, and no stream is two members'.
    let both: Vec<_> = eve.streams().into_values().collect();
    assert_eq!(both, [["audio", "video"].into(), ["audio", "video"].into()]);
    for member in [&ada, &bob, &eve] {
        member.has_missed_nothing();
    }
    let told = stage.told();
    let count = |wanted: fn(&ForwarderEvent) -> bool| told.iter().filter(|it| wanted(it)).count();
    assert_eq!(count(|it| matches!(it, ForwarderEvent::Published(_))), 5);
    assert_eq!(
        count(|it| matches!(it, ForwarderEvent::Subscribed { .. })),
        10
    );
    assert_eq!(told.len(), 15);
}

#[tokio::test]
async fn a_peer_that_is_removed_lives_on_without_what_it_had_and_gave() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Audio]).await;
    let bob = stage.join("bob", &[Audio]).await;
    let _plays = (ada.play(Audio), bob.play(Audio));
    ada.gets("bob", Audio).await;
    bob.gets("ada", Audio).await;
    stage.forwarder().remove_peer(ada.id());
    ada.knows(0).await;
    bob.knows(0).await;
    assert_eq!(ada.sent_tracks().await, []);
    assert_eq!(bob.sent_tracks().await, []);
    let snapshot = stage.snapshot().await;
    assert_eq!(snapshot.peers, [bob.id()]);
    assert_eq!(stage.parts(), 1);
    stage.expect("the end", unpublished).await;

    // It may come back, on the m-lines that there are.
    stage.forwarder().add_peer(&ada.peer).await.unwrap();
    ada.gets("bob", Audio).await;
    bob.gets("ada", Audio).await;
    assert_eq!(ada.transceivers().await.len(), 1);
    assert_eq!(bob.transceivers().await.len(), 1);
}

fn unpublished(event: &ForwarderEvent) -> Option<TrackId> {
    match event {
        ForwarderEvent::Unpublished { publication, .. } => Some(*publication),
        _ => None,
    }
}

/// Whoever owned the peer may be gone too, and passes nothing on.
#[tokio::test]
async fn the_end_of_a_peer_is_noticed_however_it_comes() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let bob = stage.join("bob", &[Audio]).await;
    for how in ["closed", "killed", "crashed"] {
        let ada = stage.join("ada", &[Audio, Video]).await;
        let _plays = ada.play(Video);
        bob.gets("ada", Video).await;
        match how {
            "closed" => ada.peer.close().await,
            "killed" => ada.actor().kill(),
            _ => ada.owner().kill(),
        }
        for _ in 0..2 {
            stage.expect(how, unpublished).await;
        }
        bob.knows(0).await;
        assert_eq!(stage.parts(), 1, "{how}");
        assert_eq!(stage.snapshot().await.subscriptions, []);
        assert_eq!(bob.transceivers().await.len(), 2, "{how}");
    }
}

#[tokio::test]
async fn a_client_that_stops_sending_and_begins_again_uses_the_same_m_lines() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let mut ada = stage.join("ada", &[Audio, Video]).await;
    let bob = stage.join("bob", &[]).await;
    for _ in 0..3 {
        let playing = ada.play(Video);
        bob.gets("ada", Video).await;
        drop(playing);
        ada.take_back(Video).await;
        stage.expect("the end", unpublished).await;
        bob.knows(1).await;
        let stream = bob.streams();
        ada.publish(&[Video]).await;
        bob.knows(2).await;
        assert_eq!(bob.transceivers().await.len(), 2);
        // Sound and picture are of different streams of the client now.
        assert!(bob.streams().len() > stream.len());
    }
    bob.has_missed_nothing();
}

/// A line may carry the client's own picture one way and another's the other way. With the first goes the second, which
/// is not to be lost by that.
#[tokio::test]
async fn a_client_that_stops_a_transceiver_loses_nothing_that_it_is_sent() {
    let stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Video]).await;
    let bob = stage.join("bob", &[Video]).await;
    let _plays = ada.play(Video);
    bob.gets("ada", Video).await;
    let transceivers = bob.client.transceivers().await.unwrap();
    let [shared] = transceivers.as_slice() else {
        panic!("{transceivers:?}");
    };
    bob.client.stop_transceiver(shared.id()).await.unwrap();
    ada.knows(0).await;
    bob.gets("ada", Video).await;
}

/// Went wrong in the making: a track took a new m-line while one was being given back.
#[tokio::test]
async fn there_are_never_more_transceivers_than_tracks_at_a_time() {
    let stage = Stage::open(Forwarder::builder()).await;
    let bob = stage.join("bob", &[]).await;
    let mut guests = Vec::new();
    for round in 0..12 {
        if guests.len() == 3 {
            let left: Member = guests.remove(round % 3);
            left.peer.close().await;
        }
        guests.push(stage.join("guest", &[Audio, Video]).await);
    }
    bob.knows(6).await;
    let playing: Vec<_> = guests.iter().map(|it| it.play(Video)).collect();
    bob.gets("guest", Video).await;
    assert_eq!(bob.transceivers().await.len(), 6);
    assert_eq!(bob.streams().len(), 3);
    drop(playing);
}

#[tokio::test]
async fn after_random_comings_and_goings_nothing_is_left_over() {
    for seed in 0..3 {
        let stage = Stage::open(Forwarder::builder()).await;
        let watcher = stage.join("watcher", &[]).await;
        let mut dice = StdRng::seed_from_u64(seed);
        let mut guests: Vec<Member> = Vec::new();
        let mut peak = 0;
        for _ in 0..20 {
            if guests.len() == 5 || (!guests.is_empty() && dice.random_bool(0.4)) {
                let guest = guests.swap_remove(dice.random_range(0..guests.len()));
                match dice.random_range(0..3) {
                    0 => guest.peer.close().await,
                    1 => guest.owner().kill(),
                    _ => stage.forwarder().remove_peer(guest.id()),
                }
            } else {
                guests.push(stage.join("guest", &[Audio, Video]).await);
            }
            // Those who have gone are heard of in their own time.
            peak = peak.max(2 * stage.snapshot().await.peers.len());
            tokio::time::sleep(Duration::from_millis(dice.random_range(0..40))).await;
        }
        let count = guests.len();
        watcher.knows(2 * count).await;
        for guest in &guests {
            guest.knows(2 * (count - 1)).await;
        }
        assert!(watcher.transceivers().await.len() <= peak);
        for guest in guests.drain(..) {
            stage.forwarder().remove_peer(guest.id());
            guest.knows(0).await;
            assert_eq!(guest.sent_tracks().await, []);
        }
        watcher.knows(0).await;
        assert_eq!(watcher.sent_tracks().await, []);
        let snapshot = stage.snapshot().await;
        assert_eq!(snapshot.peers, [watcher.id()]);
        assert_eq!(snapshot.publications, []);
        assert_eq!(snapshot.subscriptions, []);
        assert_eq!(stage.parts(), 1);
    }
}

#[tokio::test]
async fn limits_are_told_and_hold_and_make_room() {
    let limits = ForwarderLimits::default().peers(3).publications_per_peer(1);
    let builder = Forwarder::builder().limits(limits.subscriptions_per_peer(1));
    let mut stage = Stage::open(builder).await;
    let mut ada = stage.join("ada", &[Audio, Video]).await;
    let bob = stage.join("bob", &[Video]).await;
    let eve = stage.join("eve", &[]).await;
    let late = stage.arrive("late", loopback(), loopback()).await;
    let refused = stage.forwarder().add_peer(&late.peer).await;
    assert_eq!(refused, Err(AddPeerError::TooManyPeers { limit: 3 }));

    let (publisher, limit) = stage
        .expect("a track too many", |event| match event {
            ForwarderEvent::PublicationRefused {
                publisher, limit, ..
            } => Some((*publisher, *limit)),
            _ => None,
        })
        .await;
    assert_eq!((publisher, limit), (ada.id(), 1));
    let (subscriber, error) = stage
        .expect("a subscription too many", |event| match event {
            ForwarderEvent::Refused {
                subscriber, error, ..
            } => Some((*subscriber, error.clone())),
            _ => None,
        })
        .await;
    assert_eq!(subscriber, eve.id());
    assert_eq!(error, SubscribeError::TooManySubscriptions { limit: 1 });

    // One of Ada's and one of Bob's are published; when hers ends her other one is, and Eve gets Bob's.
    eve.knows(1).await;
    ada.take_back(Audio).await;
    let playing = (ada.play(Video), bob.play(Video));
    eve.gets("bob", Video).await;
    bob.gets("ada", Video).await;
    drop(playing);
    bob.peer.close().await;
    let playing = ada.play(Video);
    eve.gets("ada", Video).await;
    drop(playing);
}
