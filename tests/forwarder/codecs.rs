//! Codecs and keyframes, on both sides.

use ractor_webrtc::MediaConfiguration;
use ractor_webrtc::MediaKind::{Audio, Video};
use ractor_webrtc::codec::RtpCodec;
use ractor_webrtc::configuration::CodecConfiguration;
use ractor_webrtc::forwarder::{Forwarder, ForwarderEvent, SubscribeError};
use ractor_webrtc::rtp::PayloadType;

use crate::common::owner::loopback;
use crate::common::{PATIENCE, eventually};
use crate::stage::{Coding, Member, Stage};

/// A member whose client knows no other video codec than this one.
async fn join_with(stage: &Stage, name: &'static str, video: RtpCodec, number: u8) -> Member {
    let number = PayloadType::new(number).unwrap();
    let media = MediaConfiguration::builder()
        .codecs(Video, [CodecConfiguration::new(video, number)])
        .build()
        .unwrap();
    let member = stage
        .arrive(name, loopback(), loopback().media(media))
        .await;
    stage.forwarder().add_peer(&member.peer).await.unwrap();
    member
}

#[tokio::test]
async fn a_subscriber_that_cannot_decode_is_told_of_and_gets_what_it_can_when_that_comes() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Video]).await;
    let playing = ada.play(Video);
    let bob = join_with(&stage, "bob", RtpCodec::h264(1), 108).await;
    let eve = stage.join("eve", &[]).await;
    eve.gets("ada", Video).await;
    let (subscriber, publication, codec) = stage
        .expect("what cannot be decoded", |event| match event {
            ForwarderEvent::CannotDecode {
                subscriber,
                publication,
                codec,
                ..
            } => Some((*subscriber, *publication, codec.clone())),
            _ => None,
        })
        .await;
    assert_eq!(subscriber, bob.id());
    assert_eq!(publication, stage.publication(&ada, Video).await);
    assert_eq!(codec.unwrap().name, "VP8");
    assert_eq!(bob.count("ada", Video), 0);
    stage.told();

    drop(playing);
    let _playing = ada.play_as(Coding::H264);
    bob.gets("ada", Video).await;
    eve.gets("ada", Video).await;
    bob.has_missed_nothing();
    assert_eq!(stage.told(), []);
}

#[tokio::test]
async fn an_m_line_that_the_client_rejects_is_told_and_not_offered_again() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Audio, Video]).await;
    let _plays = (ada.play(Audio), ada.play(Video));
    let unheard_of = RtpCodec {
        name: "H999".to_owned(),
        ..RtpCodec::h264(1)
    };
    let bob = join_with(&stage, "bob", unheard_of, 108).await;
    let (publication, error) = stage
        .expect("a refusal", |event| match event {
            ForwarderEvent::Refused {
                publication, error, ..
            } => Some((*publication, error.clone())),
            _ => None,
        })
        .await;
    assert_eq!(publication, stage.publication(&ada, Video).await);
    assert_eq!(error, SubscribeError::Rejected);
    bob.gets("ada", Audio).await;
    // Changes that follow offer it no more.
    let _eve = stage.join("eve", &[Audio]).await;
    bob.knows(2).await;
    assert_eq!(bob.transceivers().await.len(), 2);
    let snapshot = stage.snapshot().await;
    let subscriptions = snapshot.subscriptions.iter();
    assert_eq!(
        subscriptions.filter(|it| it.subscriber == bob.id()).count(),
        2
    );
}

#[tokio::test]
async fn a_keyframe_is_asked_for_when_a_subscriber_comes_and_when_it_switches() {
    let stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Video]).await;
    let eve = stage.join("eve", &[Video]).await;
    let _plays = (ada.play(Video), eve.play(Video));
    let asked = |who: &Member| who.keyframes();
    assert_eq!(eve.keyframes(), 0);
    let bob = stage.join("bob", &[]).await;
    bob.gets("ada", Video).await;
    for publisher in [&ada, &eve] {
        let what = "the publisher is asked for a keyframe";
        eventually(PATIENCE, what, async || {
            (asked(publisher) > 0).then_some(())
        })
        .await;
    }
    let before = asked(&eve);
    let from_ada = stage.publication(&ada, Video).await;
    let from_eve = stage.publication(&eve, Video).await;
    let subscriptions = stage.snapshot().await.subscriptions;
    let mut of_bob = subscriptions.iter().filter(|it| it.subscriber == bob.id());
    let of_bob = of_bob.find(|it| it.publication == Some(from_ada)).unwrap();
    let forwarder = stage.forwarder();
    let switched = forwarder.switch(of_bob.track.id(), from_eve).await;
    switched.unwrap();
    let what = "the other publisher is asked";
    eventually(PATIENCE, what, async || {
        (asked(&eve) > before).then_some(())
    })
    .await;
}
