//! The other side of the interop tests, proven against itself, so that a failure there is ours.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::time::Duration;

use futures_util::future::join_all;
use str0m::crypto::dtls::SrtpProfile;
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::rtp::rtcp::{Rtcp, SdesType};

use self::common::link::{Link, Verdict, Way};
use self::common::str0m_peer::{
    OfferedMedia, OutgoingRtp, Str0mEvent, Str0mOptions, Str0mPeer, mids_of, with_setup,
};

fn packet(payload_type: u8, index: u16) -> OutgoingRtp {
    OutgoingRtp {
        payload_type,
        sequence_number: u64::from(1_000 + index),
        timestamp: 90_000 + 3_000 * u32::from(index),
        marker: index.is_multiple_of(3),
        payload: (0..100 + index).map(|byte| byte as u8).collect(),
        extensions: Default::default(),
    }
}

/// Two connected peers with one sound and one picture m-line.
struct Pair {
    a: Str0mPeer,
    b: Str0mPeer,
    mids: Vec<Mid>,
}

async fn connect(setup: &str, link: Option<&Link>) -> Pair {
    let mut a = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    let mut b = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    let media = [MediaKind::Audio, MediaKind::Video]
        .map(|kind| OfferedMedia::new(kind, Direction::SendRecv));
    let (offer, mids) = a.create_offer(media.to_vec()).await;
    assert_eq!(mids, mids_of(&offer));
    let offer = link.map_or_else(|| offer.clone(), |link| link.description_of_a(&offer));
    let answer = b.accept_offer(&with_setup(&offer, setup)).await.unwrap();
    let answer = link.map_or_else(|| answer.clone(), |link| link.description_of_b(&answer));
    a.accept_answer(&answer).await.unwrap();
    a.expect_connected().await;
    b.expect_connected().await;
    Pair { a, b, mids }
}

async fn exchange(pair: &mut Pair) {
    for (mid, codec) in [(pair.mids[0], Codec::Opus), (pair.mids[1], Codec::Vp8)] {
        send(&pair.a, &mut pair.b, mid, codec).await;
        send(&pair.b, &mut pair.a, mid, codec).await;
    }
}

async fn send(from: &Str0mPeer, to: &mut Str0mPeer, mid: Mid, codec: Codec) {
    let payload_type = from.payload_type(mid, codec).await.unwrap();
    let ssrc = from.outgoing_ssrc(mid).await.unwrap();
    for index in 0..20 {
        let sent = packet(payload_type, index);
        assert!(from.write_rtp(mid, None, sent.clone()).await);
        let got = to.expect_rtp().await;
        assert_eq!(got.payload, sent.payload);
        assert_eq!(u64::from(got.sequence_number), sent.sequence_number);
        assert_eq!(got.timestamp, sent.timestamp);
        assert_eq!(got.marker, sent.marker);
        assert_eq!(got.payload_type, payload_type);
        assert_eq!(got.ssrc, ssrc);
        assert_eq!(got.extensions.mid, Some(mid));
    }
}

#[tokio::test]
async fn media_flows_both_ways_in_either_dtls_role() {
    for setup in ["active", "passive"] {
        let mut pair = connect(setup, None).await;
        let [a, b] = [&pair.a, &pair.b].map(Str0mPeer::observed_dtls);
        assert_eq!(a.active, Some(setup == "active"));
        assert_eq!(b.active, Some(setup == "passive"));
        assert_eq!(a.profile, Some(SrtpProfile::AEAD_AES_256_GCM));
        assert_eq!(a.profile, b.profile);
        assert_eq!(a.keying_material, b.keying_material);
        exchange(&mut pair).await;
    }
}

#[tokio::test]
async fn keyframe_requests_and_reports_arrive() {
    let mut pair = connect("active", None).await;
    exchange(&mut pair).await;
    let mid = pair.mids[1];
    assert!(pair.b.request_keyframe(mid, KeyframeRequestKind::Pli).await);
    pair.a
        .expect(SOON, "keyframe request", |event| match event {
            Str0mEvent::KeyframeRequest { mid, kind } => Some((mid, kind)),
            _ => None,
        })
        .await;
    let ssrc = pair.a.outgoing_ssrc(mid).await.unwrap();
    let count = pair
        .b
        .expect(SOON, "sender report", |event| match event {
            Str0mEvent::Rtcp(rtcp) => match *rtcp {
                Rtcp::SenderReport(report) if *report.sender_info.ssrc == ssrc => {
                    Some(report.sender_info.sender_packet_count)
                }
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(count, 20);
    pair.b
        .expect(SOON, "CNAME", |event| match event {
            Str0mEvent::Rtcp(rtcp) => match *rtcp {
                Rtcp::SourceDescription(sources) => sources
                    .reports
                    .iter()
                    .flat_map(|source| source.values.iter())
                    .any(|(kind, name)| *kind == SdesType::CNAME && !name.is_empty())
                    .then_some(()),
                _ => None,
            },
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn closing_is_seen_by_the_other_side() {
    let mut pair = connect("passive", None).await;
    pair.a.close().await;
    pair.b
        .expect(SOON, "close", |event| {
            matches!(event, Str0mEvent::Closed).then_some(())
        })
        .await;
}

#[tokio::test]
async fn a_lossy_link_delays_the_handshake_and_no_more() {
    join_all((0..4).map(async |seed| {
        let link = Link::lossy(seed, 0.1).await.unwrap();
        connect("active", Some(&link)).await;
    }))
    .await;
}

#[tokio::test]
async fn what_the_link_injects_comes_from_the_verified_address() {
    let (tap, mut tapped) = tokio::sync::mpsc::channel(64);
    let mut armed = false;
    let link = Link::new(move |way, datagram| {
        // The first media packet is held back and handed to the test.
        if way == Way::AToB && datagram[0] >> 6 == 2 && datagram[1] & 0x7f > 95 && !armed {
            armed = true;
            tap.try_send(datagram.to_vec()).unwrap();
            return Verdict::Drop;
        }
        Verdict::Forward
    })
    .await
    .unwrap();
    let mut pair = connect("active", Some(&link)).await;
    let payload_type = pair
        .a
        .payload_type(pair.mids[0], Codec::Opus)
        .await
        .unwrap();
    let sent = packet(payload_type, 0);
    assert!(pair.a.write_rtp(pair.mids[0], None, sent.clone()).await);
    let held = tapped.recv().await.unwrap();
    let mut changed = held.clone();
    *changed.last_mut().unwrap() ^= 1;
    link.inject_to_b(&changed).await.unwrap();
    link.inject_to_b(&held).await.unwrap();
    assert_eq!(pair.b.expect_rtp().await.payload, sent.payload);
}

const SOON: Duration = Duration::from_secs(5);
