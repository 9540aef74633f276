//! Negotiation through the actors: what the owner hears, and operations that meet each other.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use ractor_webrtc::codec::RtpCodec;
use ractor_webrtc::configuration::CodecConfiguration;
use ractor_webrtc::rtp::PayloadType;
use ractor_webrtc::{Event, MediaConfiguration, MediaKind, SessionDescription};

use self::common::owner::{Ours, loopback};

#[tokio::test]
async fn c035_the_owner_hears_which_codecs_each_side_had() {
    let only = |codec| {
        let codec = CodecConfiguration::new(codec, PayloadType::new(100).unwrap());
        let builder = MediaConfiguration::builder().codecs(MediaKind::Video, [codec]);
        loopback().media(builder.build().unwrap())
    };
    let mut one = Ours::spawn(only(RtpCodec::vp8())).await;
    let mut two = Ours::spawn(only(RtpCodec::h264(1))).await;
    let offer = one.offer().await;
    two.peer
        .set_remote_description(SessionDescription::offer(offer))
        .await
        .unwrap();
    two.peer.set_local_description(None).await.unwrap();
    let (kind, ours, theirs) = two
        .expect("codecs that do not meet", |event| match event {
            Event::NoCommonCodec {
                kind,
                local,
                remote,
                ..
            } => Some((*kind, local[0].name.clone(), remote[0].name.clone())),
            _ => None,
        })
        .await;
    assert_eq!(kind, MediaKind::Video);
    assert_eq!((ours.as_str(), theirs.as_str()), ("H264", "VP8"));
}
