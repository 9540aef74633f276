//! Media over a network that loses: what is missing is asked for and sent again, hop by hop (RFC 4585, RFC 4588).
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "../common/mod.rs"]
mod common;
mod hostile;
#[allow(dead_code)]
#[path = "../routes/stage.rs"]
mod stage;

use std::collections::BTreeSet;
use std::time::Duration;

use ractor_webrtc::MediaConfiguration;
use ractor_webrtc::configuration::MediaFeature;
use ractor_webrtc::peer_connection::{Event, MediaStats, PeerConnectionBuilder};
use ractor_webrtc::track::MediaKind;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use str0m::rtp::rtcp::Rtcp;
use tokio::time::{Instant, interval, timeout_at};

use self::common::link::{Class, Link, Verdict};
use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::{Offerer, Session, connect_ours};
use self::common::str0m_peer::{Str0mEvent, Str0mOptions, Str0mPeer};
use self::stage::{Publisher, Viewer};

#[tokio::test]
async fn c109_at_10_percent_loss_and_60_ms_a_forwarded_picture_arrives() {
    let (near, far) = (far(1).await, far(2).await);
    let mut publisher = Publisher::of("camera", 60_000, client(Some(&near)).await);
    answer_all_requests(&publisher).await;
    let mut viewer = Viewer {
        session: client(Some(&far)).await,
    };
    viewer.watch(MediaKind::Video, &publisher).await;
    let got = carry(&mut publisher, &mut viewer).await;

    let published = publisher.stats().await;
    let watched = viewer.stats().await;
    println!("{got} of {PACKETS}\nfrom the publisher: {published:?}\nto the viewer: {watched:?}");
    assert!(got >= PACKETS - PACKETS / 200, "{got} of {PACKETS}");
    // Both hops have lost something, and both have repaired it.
    let expected = (PACKETS as f64 * LOSS / 2.0) as u64;
    assert!(published.nacks_sent > 0 && published.repaired > expected);
    assert!(watched.nacks_received > 0 && watched.retransmitted > expected);
    // What was lost on either hop, and what goes twice because repairs get lost: half of the stream at most.
    let bound = PACKETS as f64 * (LOSS + 0.5) + 128.0 * 1024.0 / 900.0;
    assert!(watched.retransmitted < bound as u64);
    assert_eq!(watched.protect_failed, 0);
}

#[tokio::test]
async fn a_viewer_s_loss_never_reaches_the_publisher() {
    let far = far(3).await;
    let mut publisher = Publisher::of("camera", 1, client(None).await);
    let mut viewer = Viewer {
        session: client(Some(&far)).await,
    };
    viewer.watch(MediaKind::Video, &publisher).await;
    let got = carry(&mut publisher, &mut viewer).await;

    assert!(got >= PACKETS - PACKETS / 200, "{got} of {PACKETS}");
    let watched = viewer.stats().await;
    assert!(
        watched.nacks_received > 0 && watched.retransmitted > 0,
        "{watched:?}"
    );
    let published = publisher.stats().await;
    assert_eq!((published.nacks_sent, published.repaired), (0, 0));
    while let Some(event) = publisher.session.theirs.try_event() {
        if let Str0mEvent::Rtcp(rtcp) = event {
            assert!(!matches!(*rtcp, Rtcp::Nack(_)), "{rtcp:?}");
        }
    }
}

#[tokio::test]
async fn c109_between_peers_of_ours_all_packets_arrive_with_a_format_for_retransmissions() {
    let (sent, received, got) = between_ours(far(4).await, loopback()).await;
    println!("{got} of {PACKETS}\nsent: {sent:?}\nreceived: {received:?}");
    assert!(got >= PACKETS - PACKETS / 200, "{got} of {PACKETS}");
    assert!(sent.retransmitted > 0 && received.repaired > 0);
    assert_eq!(sent.protect_failed, 0);
}

#[tokio::test]
async fn c109_and_without_one() {
    let (sent, received, got) = between_ours(far(5).await, without(MediaFeature::Rtx)).await;
    println!("{got} of {PACKETS}\nsent: {sent:?}\nreceived: {received:?}");
    assert!(got >= PACKETS - PACKETS / 200, "{got} of {PACKETS}");
    assert!(sent.retransmitted > 0 && received.repaired > 0);
    assert_eq!(sent.protect_failed, 0);
    // SRTP refuses what comes twice: the answers to both of two requests of which one was thought to be lost.
    let twice = sent.retransmitted.saturating_sub(received.repaired);
    assert!(received.unprotect_failed <= twice);
}

#[tokio::test]
async fn what_is_overtaken_or_comes_twice_is_hardly_asked_for() {
    let mut random = StdRng::seed_from_u64(7);
    let link = Link::new(move |_, datagram| {
        let is_rtp = Class::of(datagram) == Class::Rtp;
        match random.random_range(0..100) {
            0..20 if is_rtp => Verdict::Later(Duration::from_millis(50 + 18)),
            20..30 if is_rtp => Verdict::LaterTwice(Duration::from_millis(50)),
            _ => Verdict::Later(Duration::from_millis(50)),
        }
    });
    let (sent, received, got) = between_ours(link.await.unwrap(), loopback()).await;
    println!("{got} of {PACKETS}\nsent: {sent:?}\nreceived: {received:?}");
    assert_eq!(got, PACKETS);
    // A fifth was overtaken.
    assert!(sent.retransmitted < PACKETS as u64 / 50, "{sent:?}");
}

#[tokio::test]
async fn c109_where_nack_was_not_negotiated_nobody_asks_and_nobody_answers() {
    let (sent, received, got) = between_ours(far(6).await, without(MediaFeature::Nack)).await;
    println!("{got} of {PACKETS}");
    let lost = (PACKETS as f64 * LOSS) as usize;
    assert!(got < PACKETS - lost / 2, "{got} of {PACKETS}");
    assert_eq!(received.nacks_sent, 0);
    assert_eq!((sent.nacks_received, sent.retransmitted), (0, 0));
}

async fn far(seed: u64) -> Link {
    Link::far(seed, LOSS, ROUND_TRIP).await.unwrap()
}

/// One of our peers with a client on str0m.
async fn client(link: Option<&Link>) -> Session {
    let ours = Ours::spawn(loopback()).await;
    let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    let mut session = Session::connect(ours, theirs, Offerer::Ours, false, link).await;
    session.ours.expect_tracks().await;
    session
}

/// str0m does not answer any more when more than 15 % of what it sends are retransmissions.
async fn answer_all_requests(publisher: &Publisher) {
    let mid = publisher.session.mid(MediaKind::Video);
    let stack = &publisher.session.theirs;
    let set = stack.with(move |rtc| {
        let mut direct = rtc.direct_api();
        let stream = direct.stream_tx_by_mid(mid, None).unwrap();
        stream.set_rtx_cache(1024, Duration::from_secs(3), None);
    });
    set.await;
}

/// Publishes a picture for a while; how many different packets of it the viewer's client gets.
async fn carry(publisher: &mut Publisher, viewer: &mut Viewer) -> usize {
    let mut pace = interval(PACE);
    let mut got = BTreeSet::new();
    for _ in 0..PACKETS {
        pace.tick().await;
        publisher.publish(MediaKind::Video, 1).await;
    }
    let end = Instant::now() + LAST_REPAIRS;
    while let Ok(event) = timeout_at(end, viewer.session.theirs.event()).await {
        if let Str0mEvent::Rtp(packet) = event.expect("a client that runs") {
            assert!(got.insert(packet.payload), "twice");
        }
    }
    got.len()
}

/// Sends a picture from one peer of ours to another; the counters of both, and how many packets arrived.
async fn between_ours(
    link: Link,
    builder: PeerConnectionBuilder,
) -> (MediaStats, MediaStats, usize) {
    let mut from = Ours::spawn(builder.clone()).await;
    let mut to = Ours::spawn(builder).await;
    connect_ours(&mut from, &mut to, Some(&link)).await;
    let track = from.local_track(MediaKind::Video).id();
    let mut pace = interval(PACE);
    let mut got = BTreeSet::new();
    let mut take = |event| {
        if let Event::Rtp { packets, .. } = event {
            for packet in &packets {
                assert!(got.insert(packet.sequence_number().0), "twice");
            }
        }
    };
    for step in 0..PACKETS as u16 {
        pace.tick().await;
        let number = 65_000_u16.wrapping_add(step);
        let packet = rtp_packet(96, number, u32::from(step) * 400, true, vec![7; 900]);
        from.peer.send_rtp(track, packet).unwrap();
        // What nobody takes would be lost for want of room.
        while let Some(event) = to.try_event() {
            take(event);
        }
    }
    let end = Instant::now() + LAST_REPAIRS;
    while let Ok(event) = timeout_at(end, to.event()).await {
        take(event.expect("an owner that runs"));
    }
    let sent = from.peer.media_stats().await.unwrap();
    let received = to.peer.media_stats().await.unwrap();
    (sent, received, got.len())
}

fn without(feature: MediaFeature) -> PeerConnectionBuilder {
    let media = MediaConfiguration::builder().feature(feature, false);
    loopback().media(media.build().unwrap())
}

const LOSS: f64 = 0.1;
const ROUND_TRIP: Duration = Duration::from_millis(60);

/// 2 Mbit/s of packets as video has them.
const PACE: Duration = Duration::from_millis(4);
const PACKETS: usize = 1500;

/// Longer than anything is asked for.
const LAST_REPAIRS: Duration = Duration::from_millis(1200);
