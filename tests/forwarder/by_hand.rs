//! What the owner arranges itself, beside or instead of the policy.

use std::collections::BTreeSet;
use std::time::Duration;

use ractor_webrtc::MediaKind::{Audio, Video};
use ractor_webrtc::forwarder::{
    AddPeerError, Forwarder, ForwarderEvent, OnRequest, SubscribeError,
};
use ractor_webrtc::{CallError, MediaStreamTrack};

use crate::common::owner::loopback;
use crate::common::{PATIENCE, eventually};
use crate::stage::Stage;

#[tokio::test]
async fn a_slot_shows_one_source_after_another_as_one_stream() {
    let mut stage = Stage::open(Forwarder::builder().policy(OnRequest)).await;
    let cameras = [
        stage.join("ada", &[Video]).await,
        stage.join("bob", &[Video]).await,
    ];
    let _plays = cameras.each_ref().map(|it| it.play(Video));
    let eve = stage.join("eve", &[]).await;
    let slot = MediaStreamTrack::new(Video, [MediaStreamTrack::generate_stream_id()]);
    let forwarder = stage.forwarder();
    forwarder.add_slot(eve.id(), slot.clone()).await.unwrap();
    assert_eq!(eve.sent_tracks().await, [slot.id()]);
    eve.knows(1).await;
    let mut streams = BTreeSet::new();
    for round in 0..8 {
        let camera = &cameras[round % 2];
        let publication = stage.publication(camera, Video).await;
        forwarder.switch(slot.id(), publication).await.unwrap();
        let name = if round % 2 == 0 { "ada" } else { "bob" };
        streams.insert(eve.gets(name, Video).await);
    }
    assert_eq!(streams.len(), 1);
    eve.has_missed_nothing();
    assert_eq!(eve.transceivers().await.len(), 1);

    // The slot outlives what feeds it, and what feeds it comes back under another name.
    let [ada, bob] = &cameras;
    bob.peer.close().await;
    let ended = stage
        .expect("the end of the source", |event| match event {
            ForwarderEvent::SourceEnded { subscription, .. } => Some(*subscription),
            _ => None,
        })
        .await;
    assert_eq!(ended, slot.id());
    let publication = stage.publication(ada, Video).await;
    forwarder.switch(slot.id(), publication).await.unwrap();
    eve.gets("ada", Video).await;
    forwarder.switch(slot.id(), None).await.unwrap();
    forwarder.unsubscribe(slot.id());
    eve.knows(0).await;
    assert_eq!(eve.sent_tracks().await, []);
    eve.has_missed_nothing();
}

#[tokio::test]
async fn a_paused_publication_reaches_nobody_until_it_is_resumed() {
    let stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Audio]).await;
    let bob = stage.join("bob", &[]).await;
    let _plays = ada.play(Audio);
    bob.gets("ada", Audio).await;
    let publication = stage.publication(&ada, Audio).await;
    stage.forwarder().set_paused(publication, true);
    // Latecomers get nothing either.
    let eve = stage.join("eve", &[]).await;
    eve.knows(1).await;
    let what = "bob is sent nothing";
    eventually(PATIENCE, what, async || {
        let before = bob.count("ada", Audio);
        tokio::time::sleep(Duration::from_millis(50)).await;
        (bob.count("ada", Audio) == before).then_some(())
    })
    .await;
    assert!(stage.snapshot().await.publications[0].paused);
    assert_eq!(eve.count("ada", Audio), 0);
    assert_eq!(bob.transceivers().await.len(), 1);
    stage.forwarder().set_paused(publication, false);
    bob.gets("ada", Audio).await;
    eve.gets("ada", Audio).await;
    bob.has_missed_nothing();
}

#[tokio::test]
async fn subscriptions_by_hand_are_made_once_and_end_by_hand() {
    let mut stage = Stage::open(Forwarder::builder().policy(OnRequest)).await;
    let ada = stage.join("ada", &[Audio, Video]).await;
    let bob = stage.join("bob", &[]).await;
    let _plays = ada.play(Video);
    let publication = stage.publication(&ada, Video).await;
    let forwarder = stage.forwarder();
    let track = forwarder.subscribe(bob.id(), publication).await.unwrap();
    let again = forwarder.subscribe(bob.id(), publication).await.unwrap();
    assert_eq!(track, again);
    assert_eq!(bob.sent_tracks().await, [track.id()]);
    bob.gets("ada", Video).await;
    // Its own, too.
    let echo = forwarder.subscribe(ada.id(), publication).await.unwrap();
    ada.gets("ada", Video).await;
    forwarder.unsubscribe(echo.id());
    forwarder.unsubscribe(track.id());
    bob.knows(0).await;
    ada.knows(0).await;
    let ended = |event: &ForwarderEvent| match event {
        ForwarderEvent::Unsubscribed { subscription, .. } => Some(*subscription),
        _ => None,
    };
    assert_eq!(stage.expect("the end", ended).await, echo.id());
    assert_eq!(stage.expect("the end", ended).await, track.id());
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    let stage = Stage::open(Forwarder::builder().policy(OnRequest)).await;
    let ada = stage.join("ada", &[Audio, Video]).await;
    let sound = stage.publication(&ada, Audio).await;
    let camera = stage.publication(&ada, Video).await;
    let forwarder = stage.forwarder();
    let stranger = stage.arrive("bob", loopback(), loopback()).await;
    let unknown = stranger.id();
    assert_eq!(
        forwarder.subscribe(unknown, camera).await,
        Err(SubscribeError::UnknownPeer(unknown))
    );
    let local = MediaStreamTrack::new(Video, []);
    assert_eq!(
        forwarder.subscribe(ada.id(), local.id()).await,
        Err(SubscribeError::UnknownPublication(local.id()))
    );
    assert_eq!(
        forwarder.switch(local.id(), camera).await,
        Err(SubscribeError::UnknownSubscription(local.id()))
    );
    forwarder.add_slot(ada.id(), local.clone()).await.unwrap();
    assert_eq!(
        forwarder.add_slot(ada.id(), local.clone()).await,
        Err(SubscribeError::AlreadySubscribed(local.id()))
    );
    assert_eq!(
        forwarder.switch(local.id(), sound).await,
        Err(SubscribeError::KindMismatch {
            from: Audio,
            to: Video
        })
    );
    stranger.peer.close().await;
    let gone = forwarder.add_peer(&stranger.peer).await;
    assert_eq!(gone, Err(AddPeerError::Gone(unknown)));
    forwarder.stop();
    let stopped = SubscribeError::Call(CallError::Stopped);
    assert_eq!(forwarder.switch(local.id(), camera).await, Err(stopped));
}
