//! The same media both ways between a peer of ours and `str0m`, an independent stack: either side
//! offers, all three SRTP profiles, either DTLS role.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::time::Duration;

use futures_util::future::join_all;
use ractor_webrtc::peer_connection::{CloseReason, DtlsTransportState, Event};
use ractor_webrtc::rtp::RtcpPacket;
use ractor_webrtc::srtp::SrtpProfile;
use ractor_webrtc::track::MediaKind;
use str0m::config::DtlsVersion;
use str0m::crypto::dtls::SrtpProfile as Str0mProfile;
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind};
use str0m::rtp::rtcp::{Rtcp, SdesType};

use self::common::owner::{Ours, loopback, shared_endpoint};
use self::common::session::{Offerer, Session};
use self::common::str0m_peer::{OfferedMedia, OutgoingRtp, Str0mEvent, Str0mOptions, Str0mPeer};

async fn connect(offerer: Offerer, profile: SrtpProfile, ours_is_client: bool) -> Session {
    let ours = Ours::spawn(loopback().srtp_profiles([profile])).await;
    let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    Session::connect(ours, theirs, offerer, ours_is_client, None).await
}

async fn media_flows(offerer: Offerer, profile: SrtpProfile, ours_is_client: bool) {
    let mut session = connect(offerer, profile, ours_is_client).await;
    let expected = match profile {
        SrtpProfile::AeadAes128Gcm => Str0mProfile::AEAD_AES_128_GCM,
        SrtpProfile::AeadAes256Gcm => Str0mProfile::AEAD_AES_256_GCM,
        _ => Str0mProfile::AES128_CM_SHA1_80,
    };
    assert_eq!(session.theirs.observed_dtls().profile, Some(expected));
    session.exchange().await;
}

macro_rules! media_flows {
    ($($name:ident: $offerer:ident, $profile:ident, $client:literal;)+) => {
        $(
            #[tokio::test]
            async fn $name() {
                media_flows(Offerer::$offerer, SrtpProfile::$profile, $client).await;
            }
        )+
    };
}

media_flows! {
    media_flows_ours_offers_gcm_128_as_client: Ours, AeadAes128Gcm, true;
    media_flows_ours_offers_gcm_128_as_server: Ours, AeadAes128Gcm, false;
    media_flows_ours_offers_gcm_256_as_client: Ours, AeadAes256Gcm, true;
    media_flows_ours_offers_gcm_256_as_server: Ours, AeadAes256Gcm, false;
    media_flows_ours_offers_cm_80_as_client: Ours, Aes128CmHmacSha1_80, true;
    media_flows_ours_offers_cm_80_as_server: Ours, Aes128CmHmacSha1_80, false;
    media_flows_str0m_offers_gcm_128_as_client: Str0m, AeadAes128Gcm, true;
    media_flows_str0m_offers_gcm_128_as_server: Str0m, AeadAes128Gcm, false;
    media_flows_str0m_offers_gcm_256_as_client: Str0m, AeadAes256Gcm, true;
    media_flows_str0m_offers_gcm_256_as_server: Str0m, AeadAes256Gcm, false;
    media_flows_str0m_offers_cm_80_as_client: Str0m, Aes128CmHmacSha1_80, true;
    media_flows_str0m_offers_cm_80_as_server: Str0m, Aes128CmHmacSha1_80, false;
}

#[tokio::test]
async fn with_all_profiles_allowed_a_gcm_one_is_chosen() {
    for ours_is_client in [true, false] {
        let ours = Ours::spawn(loopback()).await;
        let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
        let mut session = Session::connect(ours, theirs, Offerer::Ours, ours_is_client, None).await;
        let chosen = session.theirs.observed_dtls().profile;
        assert!(
            matches!(
                chosen,
                Some(Str0mProfile::AEAD_AES_128_GCM | Str0mProfile::AEAD_AES_256_GCM)
            ),
            "{chosen:?}"
        );
        session.exchange().await;
    }
}

#[tokio::test]
async fn every_default_video_codec_is_negotiated_and_carried() {
    for codec in [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1] {
        for offerer in [Offerer::Ours, Offerer::Str0m] {
            let ours = Ours::spawn(loopback()).await;
            let options = Str0mOptions {
                codecs: vec![Codec::Opus, codec],
                ..Str0mOptions::default()
            };
            let theirs = Str0mPeer::spawn(options).await.unwrap();
            let mut session = Session::connect(ours, theirs, offerer, true, None).await;
            session.send(MediaKind::Video, codec).await;
            session.receive(MediaKind::Video, codec).await;
        }
    }
}

#[tokio::test]
async fn a_keyframe_request_of_the_remote_side_reaches_the_owner() {
    let mut session = connect(Offerer::Ours, SrtpProfile::AeadAes128Gcm, true).await;
    session.exchange().await;
    let mid = session.mid(MediaKind::Video);
    let (ssrc, _) = session.promised(MediaKind::Video);
    let asked = session
        .theirs
        .request_keyframe(mid, KeyframeRequestKind::Pli)
        .await;
    assert!(asked);
    let video = session.ours.video.id();
    let (track_id, pli) = session
        .ours
        .expect("picture loss indication", |event| match event {
            Event::Rtcp {
                track_id, packets, ..
            } => packets.iter().find_map(|packet| match packet {
                RtcpPacket::PictureLossIndication(pli) => Some((*track_id, *pli)),
                _ => None,
            }),
            _ => None,
        })
        .await;
    assert_eq!(track_id, Some(video));
    assert_eq!(pli.media_ssrc.0, ssrc);
}

#[tokio::test]
async fn our_keyframe_request_reaches_the_remote_side() {
    let mut session = connect(Offerer::Str0m, SrtpProfile::AeadAes128Gcm, false).await;
    session.exchange().await;
    let track = session.ours.remote_track(MediaKind::Video).id();
    session.ours.peer.send_pli(track, None).unwrap();
    let request = session
        .theirs
        .expect(SOON, "keyframe request", |event| match event {
            Str0mEvent::KeyframeRequest { mid, kind } => Some((mid, kind)),
            _ => None,
        })
        .await;
    let mid = session.mid(MediaKind::Video);
    assert_eq!(request, (mid, KeyframeRequestKind::Pli));
}

#[tokio::test]
async fn our_sender_reports_arrive_with_the_promised_cname() {
    let mut session = connect(Offerer::Ours, SrtpProfile::AeadAes256Gcm, false).await;
    session.exchange().await;
    let (ssrc, cname) = session.promised(MediaKind::Audio);
    let packets = session
        .theirs
        .expect(REPORT, "sender report", |event| match event {
            Str0mEvent::Rtcp(rtcp) => match *rtcp {
                Rtcp::SenderReport(report) if *report.sender_info.ssrc == ssrc => {
                    Some(report.sender_info.sender_packet_count)
                }
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(packets, 5);
    // Compound: the description of the source follows the report (RFC 3550 §6.1).
    let said = session
        .theirs
        .expect(SOON, "source description", |event| match event {
            Str0mEvent::Rtcp(rtcp) => match *rtcp {
                Rtcp::SourceDescription(sources) => sources
                    .reports
                    .iter()
                    .find(|source| *source.ssrc == ssrc)
                    .and_then(|source| {
                        let mut values = source.values.iter();
                        values.find(|(kind, _)| *kind == SdesType::CNAME)
                    })
                    .map(|(_, name)| name.clone()),
                _ => None,
            },
            _ => None,
        })
        .await;
    assert_eq!(said, cname);
}

#[tokio::test]
async fn our_receiver_reports_speak_of_the_packets_that_came() {
    let mut session = connect(Offerer::Ours, SrtpProfile::Aes128CmHmacSha1_80, true).await;
    session.exchange().await;
    let mid = session.mid(MediaKind::Video);
    let ssrc = session.theirs.outgoing_ssrc(mid).await.unwrap();
    let report = session
        .theirs
        .expect(REPORT, "reception report", |event| match event {
            Str0mEvent::Rtcp(rtcp) => {
                let reports = match *rtcp {
                    Rtcp::SenderReport(report) => report.reports,
                    Rtcp::ReceiverReport(report) => report.reports,
                    _ => return None,
                };
                let mut blocks = reports.iter();
                blocks.find(|block| *block.ssrc == ssrc).copied()
            }
            _ => None,
        })
        .await;
    assert_eq!(report.fraction_lost, 0);
    assert_eq!(report.packets_lost, 0);
}

#[tokio::test]
async fn the_remote_side_s_reports_reach_the_owner() {
    let mut session = connect(Offerer::Str0m, SrtpProfile::AeadAes128Gcm, true).await;
    session.exchange().await;
    let (ours, _) = session.promised(MediaKind::Video);
    let mid = session.mid(MediaKind::Video);
    let theirs = session.theirs.outgoing_ssrc(mid).await.unwrap();
    let report = session
        .ours
        .expect_rtcp("report on our video", |packet| {
            let reports = match packet {
                RtcpPacket::SenderReport(report) => &report.reports,
                RtcpPacket::ReceiverReport(report) => &report.reports,
                _ => return None,
            };
            reports.iter().find(|block| block.ssrc.0 == ours).copied()
        })
        .await;
    assert_eq!(report.fraction_lost, 0);
    session
        .ours
        .expect_rtcp("sender report", |packet| match packet {
            RtcpPacket::SenderReport(report) if report.ssrc.0 == theirs => Some(()),
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn candidates_trickle_both_ways() {
    let mut ours = Ours::spawn(loopback()).await;
    let mut theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    let offer = ours.peer.create_offer().await.unwrap();
    assert!(!offer.sdp.contains("a=candidate"));
    ours.peer
        .set_local_description(offer.clone())
        .await
        .unwrap();
    let answer = theirs.accept_offer(&offer.sdp).await.unwrap();
    let (candidates, answer): (Vec<&str>, Vec<&str>) = answer
        .lines()
        .partition(|line| line.starts_with("a=candidate:"));
    ours.accept_answer(&format!("{}\r\n", answer.join("\r\n")))
        .await;
    for line in candidates {
        let candidate = ractor_webrtc::ice::IceCandidate {
            candidate: line.strip_prefix("a=").unwrap().to_owned(),
            sdp_m_line_index: Some(0),
            ..Default::default()
        };
        ours.peer.add_ice_candidate(candidate).await.unwrap();
    }
    ours.peer.add_ice_candidate(None).await.unwrap();
    loop {
        let candidate = ours
            .expect("candidate", |event| match event {
                Event::IceCandidate(candidate) => Some(candidate.clone()),
                _ => None,
            })
            .await;
        let Some(candidate) = candidate else {
            break;
        };
        theirs
            .add_remote_candidate(&candidate.candidate)
            .await
            .unwrap();
    }
    ours.expect_connected().await;
    theirs.expect_connected().await;
}

#[tokio::test]
async fn the_remote_side_s_close_is_told() {
    for ours_is_client in [true, false] {
        let mut session = connect(Offerer::Ours, SrtpProfile::AeadAes128Gcm, ours_is_client).await;
        session.exchange().await;
        session.theirs.close().await;
        session
            .ours
            .expect("closed DTLS", |event| match event {
                Event::DtlsTransportStateChange(DtlsTransportState::Closed) => Some(()),
                _ => None,
            })
            .await;
    }
}

#[tokio::test]
async fn our_close_is_seen_by_the_remote_side() {
    for ours_is_client in [true, false] {
        let mut session = connect(Offerer::Str0m, SrtpProfile::AeadAes128Gcm, ours_is_client).await;
        session.exchange().await;
        session.ours.peer.close().await;
        session
            .theirs
            .expect(SOON, "close", |event| {
                matches!(event, Str0mEvent::Closed).then_some(())
            })
            .await;
        let reason = session
            .ours
            .expect("last event", |event| match event {
                Event::Closed { reason } => Some(reason.clone()),
                _ => None,
            })
            .await;
        assert_eq!(reason, CloseReason::Requested);
    }
}

// c107: whoever kills the owner must not leave the remote side waiting for consent to expire.
#[tokio::test]
async fn c107_when_the_owner_ends_or_is_killed_the_remote_side_is_told() {
    for kill in [false, true] {
        let mut session = connect(Offerer::Ours, SrtpProfile::AeadAes128Gcm, true).await;
        session.exchange().await;
        if kill {
            session.ours.owner().kill();
        } else {
            session.ours.owner().stop(None);
        }
        session
            .theirs
            .expect(SOON, "close", |event| {
                matches!(event, Str0mEvent::Closed).then_some(())
            })
            .await;
    }
}

#[tokio::test]
async fn a_peer_that_would_rather_speak_dtls_1_3_is_met_at_1_2() {
    for ours_is_client in [true, false] {
        let ours = Ours::spawn(loopback()).await;
        let options = Str0mOptions {
            dtls_version: DtlsVersion::Auto,
            ..Str0mOptions::default()
        };
        let theirs = Str0mPeer::spawn(options).await.unwrap();
        let mut session = Session::connect(ours, theirs, Offerer::Ours, ours_is_client, None).await;
        session.exchange().await;
    }
}

#[tokio::test]
async fn an_ice_lite_peer_is_reached() {
    for offerer in [Offerer::Ours, Offerer::Str0m] {
        let ours = Ours::spawn(loopback()).await;
        let options = Str0mOptions {
            ice_lite: true,
            ..Str0mOptions::default()
        };
        let theirs = Str0mPeer::spawn(options).await.unwrap();
        let mut session = Session::connect(ours, theirs, offerer, true, None).await;
        session.exchange().await;
    }
}

#[tokio::test]
async fn many_peers_share_one_socket_and_one_that_leaves_costs_the_others_nothing() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let mut sessions = join_all((0..8).map(async |number| {
        let ours = Ours::spawn(loopback().endpoint(endpoint.clone())).await;
        let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
        let offerer = if number % 2 == 0 {
            Offerer::Ours
        } else {
            Offerer::Str0m
        };
        Session::connect(ours, theirs, offerer, number < 4, None).await
    }))
    .await;
    let port = format!(" {} typ host", endpoint.local_addr().port());
    for session in &mut sessions {
        assert!(session.local.contains(&port), "{}", session.local);
        session.exchange().await;
    }
    let leaving = sessions.pop().unwrap();
    leaving.ours.peer.close().await;
    for session in &mut sessions {
        session.exchange().await;
    }
}

#[tokio::test]
async fn simulcast_packets_carry_the_name_of_their_encoding() {
    let mut ours = Ours::spawn(loopback()).await;
    let mut theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    let rids = ["h", "m", "l"];
    let media = OfferedMedia {
        rids: rids.to_vec(),
        ..OfferedMedia::new(str0m::media::MediaKind::Video, Direction::SendOnly)
    };
    let (offer, mids) = theirs.create_offer(vec![media]).await;
    let answer = ours.answer(&offer).await;
    theirs.accept_answer(&answer).await.unwrap();
    ours.expect_connected().await;
    theirs.expect_connected().await;
    let payload_type = theirs.payload_type(mids[0], Codec::Vp8).await.unwrap();
    for (number, rid) in rids.into_iter().enumerate() {
        let packet = OutgoingRtp {
            payload_type,
            sequence_number: 100,
            timestamp: 1,
            marker: true,
            payload: vec![number as u8; 50],
            extensions: Default::default(),
        };
        assert!(theirs.write_rtp(mids[0], Some(rid.into()), packet).await);
        let (heard, first) = ours
            .expect("RTP packet", |event| match event {
                Event::Rtp { rid, packets, .. } => {
                    Some((rid.clone(), packets[0].payload().first().copied()))
                }
                _ => None,
            })
            .await;
        assert_eq!(heard.as_ref().map(|rid| rid.as_str()), Some(rid));
        assert_eq!(first, Some(number as u8));
    }
    assert_eq!(ours.remote.len(), 1);
    let announced: Vec<&str> = ours.remote[0]
        .rids()
        .iter()
        .map(|rid| rid.as_str())
        .collect();
    assert_eq!(announced, rids);
}

/// For what one message brings.
const SOON: Duration = Duration::from_secs(5);

/// Reports come every few seconds.
const REPORT: Duration = Duration::from_secs(15);
