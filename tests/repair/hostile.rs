//! Peers that ask for too much, or for what never was.

use std::time::Duration;

use ractor_webrtc::rtp::{Nack, RtcpPacket, SequenceNumber, Ssrc};
use ractor_webrtc::track::MediaKind;

use crate::common::owner::{Ours, loopback, rtp_packet};
use crate::common::session::connect_ours;
use crate::common::{PATIENCE, eventually};

#[tokio::test]
async fn a_storm_of_requests_is_answered_within_limits() {
    let (victim, mut attacker) = pair().await;
    send(&victim, 0..400);
    let (_, first) = attacker.expect_rtp().await;
    // All of it is there, so that the victim has sent all of it.
    eventually(PATIENCE, "all of it", async || {
        let stats = attacker.peer.media_stats().await.unwrap();
        (stats.rtp_received == 400).then_some(())
    })
    .await;
    // Before that nobody can have missed it.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let before = victim.peer.media_stats().await.unwrap();
    // Each names what was sent; together they ask for it ten times within a round trip.
    let requests = 10 * 400 / 100;
    for request in 0..requests {
        let start = request % 4 * 100;
        ask(&attacker, first.ssrc(), start..start + 100);
    }
    let after = eventually(PATIENCE, "all requests", async || {
        let stats = victim.peer.media_stats().await.unwrap();
        let all = stats.nacks_received == u64::from(requests);
        (all && stats.retransmitted > 100).then_some(stats)
    })
    .await;
    // 128 KiB of what has hardly begun, and half of what was sent.
    let resent = after.bytes_sent - before.bytes_sent;
    assert!(resent < 128 * 1024 + 400 * 1_000 / 2 + 20_000, "{resent}");
    assert!(after.retransmission_suppressed > 3_000, "{after:?}");
    assert_eq!(after.protect_failed, 0);
    // And the call goes on.
    send(&victim, 400..401);
    attacker
        .expect("what comes after it", |event| {
            let ractor_webrtc::peer_connection::Event::Rtp { packets, .. } = event else {
                return None;
            };
            let mut numbers = packets.iter().map(|packet| packet.sequence_number().0);
            numbers.any(|number| number == 400).then_some(())
        })
        .await;
}

#[tokio::test]
async fn requests_for_what_was_never_sent_are_counted_and_change_nothing() {
    let (victim, mut attacker) = pair().await;
    send(&victim, 10..20);
    let (_, first) = attacker.expect_rtp().await;
    let before = victim.peer.media_stats().await.unwrap();
    ask(&attacker, first.ssrc(), 20..120);
    ask(&attacker, Ssrc(0x0bad_0bad), 10..20);
    ask(&attacker, first.ssrc(), 0..10);
    let after = eventually(PATIENCE, "all requests", async || {
        let stats = victim.peer.media_stats().await.unwrap();
        let counted = stats.retransmission_unknown + stats.retransmission_missed;
        (counted == 120).then_some(stats)
    })
    .await;
    assert_eq!(after.retransmission_unknown, 110);
    assert_eq!(after.retransmission_missed, 10);
    assert_eq!(after.retransmitted, before.retransmitted);
}

#[tokio::test]
async fn c109_a_jump_asks_for_a_keyframe_and_for_no_packet() {
    let (mut sender, receiver) = pair().await;
    send(&sender, 1..5);
    send(&sender, 30_001..30_005);
    sender
        .expect_rtcp("a keyframe request", |packet| {
            matches!(packet, RtcpPacket::PictureLossIndication(_)).then_some(())
        })
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stats = receiver.peer.media_stats().await.unwrap();
    assert_eq!((stats.jumps, stats.nacks_sent), (1, 0));
}

#[tokio::test]
async fn jumps_and_gaps_without_end_make_no_flood_of_requests() {
    let (sender, receiver) = pair().await;
    for step in 0..2_000_u16 {
        // Gaps as wide as are still asked for.
        let number = step.wrapping_mul(256);
        send(&sender, number..number.saturating_add(1));
        tokio::task::yield_now().await;
    }
    eventually(PATIENCE, "all of it, and requests", async || {
        let stats = receiver.peer.media_stats().await.unwrap();
        (stats.rtp_received == 2_000 && stats.nacks_sent > 0).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let stats = receiver.peer.media_stats().await.unwrap();
    // 1024 numbers at once and 2048 a second, sixteen of them in a word at least where they are so many.
    assert!(stats.bytes_sent < 40_000, "{stats:?}");
    assert!(stats.unrepaired > 100_000, "{stats:?}");
}

/// Two peers of ours, connected.
async fn pair() -> (Ours, Ours) {
    let (mut one, mut other) = (Ours::spawn(loopback()).await, Ours::spawn(loopback()).await);
    connect_ours(&mut one, &mut other, None).await;
    (one, other)
}

/// Sends a picture of packets of 900 bytes.
fn send(from: &Ours, numbers: std::ops::Range<u16>) {
    let track = from.local_track(MediaKind::Video).id();
    for number in numbers {
        let packet = rtp_packet(96, number, u32::from(number) * 400, true, vec![7; 900]);
        from.peer.send_rtp(track, packet).unwrap();
    }
}

fn ask(from: &Ours, media_ssrc: Ssrc, numbers: std::ops::Range<u16>) {
    let nack = Nack {
        sender_ssrc: Ssrc(1),
        media_ssrc,
        lost: numbers.map(SequenceNumber).collect(),
    };
    from.peer.send_rtcp(vec![RtcpPacket::Nack(nack)]).unwrap();
}
