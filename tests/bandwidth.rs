//! What a path takes is found out, followed, and told; what it does not take waits or is left out.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ractor_webrtc::track::MediaKind;

use self::common::adapting::AdaptingSource;
use self::common::link::Link;
use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::{Offerer, Session};
use self::common::str0m_peer::{IncomingRtp, Str0mEvent, Str0mOptions, Str0mPeer};

async fn connect(link: &Link) -> Session {
    let ours = Ours::spawn(loopback()).await;
    let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    Session::connect(ours, theirs, Offerer::Ours, false, Some(link)).await
}

#[tokio::test]
async fn the_estimate_finds_what_the_path_takes_and_follows_it() {
    let rate = Arc::new(AtomicU64::new(2_000_000));
    let link = Link::narrow(Arc::clone(&rate), QUEUE, ROUND_TRIP)
        .await
        .unwrap();
    let Session {
        mut ours,
        mut theirs,
        ..
    } = connect(&link).await;
    let mut camera = AdaptingSource::new(&ours, 4_000_000);

    let set_rate = |bps| rate.store(bps, Ordering::Relaxed);
    let drain = || while theirs.try_event().is_some() {};
    camera.follows_the_path(&mut ours, set_rate, drain).await;

    let stats = ours.peer.media_stats().await.unwrap();
    println!("{stats:?}");
    assert!(stats.padding_sent > 0 && stats.transport_feedback > 100);
    assert_eq!(
        (stats.transport_feedback_malformed, stats.malformed),
        (0, 0)
    );
    // Padding is for finding out, not for filling up.
    assert!(stats.padding_sent < stats.sent / 10, "{stats:?}");
}

#[tokio::test]
async fn sound_gets_through_where_the_picture_is_too_large_for_the_path() {
    let rate = Arc::new(AtomicU64::new(500_000));
    let link = Link::narrow(rate, QUEUE, ROUND_TRIP).await.unwrap();
    let Session {
        mut ours,
        mut theirs,
        ..
    } = connect(&link).await;
    let mut camera = AdaptingSource::new(&ours, LARGE);
    let mut heard = 0;
    let mut listen = || {
        while let Some(event) = theirs.try_event() {
            let is_sound = |it: &IncomingRtp| it.payload_type == 111;
            heard += usize::from(matches!(event, Str0mEvent::Rtp(it) if is_sound(&it)));
        }
    };
    // The first seconds are for finding out, and for the queue of the path to drain.
    let four = Duration::from_secs(4);
    camera.roll(&mut ours, four, Some(LARGE), &mut listen).await;

    let sound = ours.local_track(MediaKind::Audio).id();
    for number in 0..SOUNDS {
        let packet = rtp_packet(111, number, u32::from(number) * 960, false, vec![7; 80]);
        ours.peer.send_rtp(sound, packet).unwrap();
        let moment = Duration::from_millis(20);
        let large = Some(LARGE);
        camera.roll(&mut ours, moment, large, &mut listen).await;
    }
    let rest = Duration::from_millis(500);
    camera.roll(&mut ours, rest, Some(0), &mut listen).await;
    let stats = ours.peer.media_stats().await.unwrap();
    println!("{heard} of {SOUNDS} heard, {stats:?}");
    assert!(heard >= usize::from(SOUNDS) * 9 / 10, "{heard} of {SOUNDS}");
    assert!(stats.paced > 0 && stats.paced_out > 0, "{stats:?}");
}

/// Of the picture, in bits a second.
const LARGE: u64 = 3_000_000;

/// Six seconds of it.
const SOUNDS: u16 = 300;
const ROUND_TRIP: Duration = Duration::from_millis(40);
const QUEUE: Duration = Duration::from_millis(300);
