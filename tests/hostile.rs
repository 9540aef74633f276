//! Attacks on a live session through its real port: by a stranger, by whoever can send from the remote
//! side's verified address, and by the authenticated remote side itself. The session goes on.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::net::{SocketAddr, UdpSocket as StdSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ractor_webrtc::ice::IceCandidate;
use ractor_webrtc::peer_connection::{Event, PeerConnectionState};
use ractor_webrtc::rtp::RtpPacket;
use ractor_webrtc::srtp::SrtpProfile;
use ractor_webrtc::track::MediaKind;
use str0m::format::Codec;
use tokio::net::UdpSocket;

use self::common::eventually;
use self::common::link::Class;
use self::common::owner::{Ours, loopback, rtp_packet, shared_endpoint};
use self::common::poison::{
    AUTHENTICATED_RTCP, FRAGMENTS, RTP, bytes, damaged, fragment, plaintext_records, poison,
    renumbered,
};
use self::common::session::{Way, connect_ours};
use self::common::str0m_peer::OutgoingRtp;
use self::common::victim::{Victim, held_handshake};

#[tokio::test]
async fn bytes_that_panic_the_crates_below_end_no_session_whoever_sends_them() {
    for profile in PROFILES {
        for ours_is_client in [true, false] {
            let mut victim = Victim::connect(profile, ours_is_client).await;
            victim.goes_on().await;
            let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for datagram in poison() {
                stranger.send_to(&datagram, victim.address()).await.unwrap();
                victim.inject(&datagram).await;
            }
            victim.goes_on().await;
        }
    }
}

#[tokio::test]
async fn bytes_that_panic_the_crates_below_do_not_stop_a_handshake() {
    for ours_is_client in [true, false] {
        let (mut ours, mut theirs, link, gate) = held_handshake(ours_is_client).await;
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for datagram in poison() {
            let address = link.address_of_a().unwrap();
            stranger.send_to(&datagram, address).await.unwrap();
            link.inject_to_a(&datagram).await.unwrap();
        }
        gate.release();
        ours.expect_connected().await;
        theirs.expect_connected().await;
    }
}

// 60 000 fragments of one byte overflowed the stack of dtls 0.17.2's fragment buffer and aborted
// the process.
#[tokio::test]
async fn a_flood_of_handshake_fragments_ends_nothing() {
    let mut victim = Victim::connect(SrtpProfile::AeadAes128Gcm, false).await;
    for offset in (0..FRAGMENTS).rev() {
        victim.inject(&fragment(offset)).await;
    }
    victim.goes_on().await;
}

// The same before the handshake may cost this handshake: whoever sends from the verified address can always
// do that. It must not cost the process, and the peer still answers its owner.
#[tokio::test]
async fn a_flood_of_handshake_fragments_during_the_handshake_costs_no_more_than_it() {
    let (ours, _theirs, link, gate) = held_handshake(false).await;
    for offset in (0..FRAGMENTS).rev() {
        link.inject_to_a(&fragment(offset)).await.unwrap();
        if offset % 256 == 0 {
            // Room for the reader, or most would be lost in the socket buffer.
            tokio::task::yield_now().await;
        }
    }
    gate.release();
    assert!(ours.peer.local_description().await.unwrap().is_some());
    ours.peer.close().await;
}

#[tokio::test]
async fn c113_a_media_packet_changed_in_any_byte_or_cut_anywhere_does_not_reach_the_owner() {
    for profile in PROFILES {
        let mut victim = Victim::connect(profile, true).await;
        // The first packet of all: nothing is known of its stream yet.
        let first = victim.genuine_rtp().await;
        damage(&victim, &first).await;
        victim.inject(&first).await;
        expect_genuine(&mut victim).await;
        let second = victim.genuine_rtp().await;
        damage(&victim, &second).await;
        victim.inject(&second).await;
        expect_genuine(&mut victim).await;
        victim.goes_on().await;
    }
}

#[tokio::test]
async fn c113_reports_and_checks_changed_in_any_byte_or_cut_anywhere_end_nothing() {
    for class in [Class::Rtcp, Class::Stun] {
        let mut victim = Victim::connect(SrtpProfile::Aes128CmHmacSha1_80, false).await;
        victim.goes_on().await;
        victim.gate.hold(class);
        let gate = victim.gate.clone();
        eventually(common::PATIENCE, "a held datagram", async || {
            (!gate.held().is_empty()).then_some(())
        })
        .await;
        for datagram in victim.gate.release() {
            damage(&victim, &datagram).await;
            victim.inject(&datagram).await;
        }
        victim.goes_on().await;
    }
}

#[tokio::test]
async fn c113_handshake_datagrams_changed_or_cut_after_their_originals_end_nothing() {
    for ours_is_client in [true, false] {
        let (mut ours, mut theirs, link, gate) = held_handshake(ours_is_client).await;
        let carry = async {
            loop {
                // Whole flights, or the copies of a datagram would come before its neighbour.
                let flight = gate.take();
                for datagram in &flight {
                    link.inject_to_a(datagram).await.unwrap();
                }
                for datagram in flight.iter().flat_map(|datagram| damaged(datagram)) {
                    link.inject_to_a(&datagram).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            () = carry => {}
            () = ours.expect_connected() => {}
        }
        gate.release();
        theirs.expect_connected().await;
    }
}

// Later flights are signed as a whole: whoever can put a changed one in front of the original fails
// the handshake, by RFC 6347 and everywhere. The first flight is not yet part of that.
#[tokio::test]
async fn c113_first_handshake_datagrams_changed_or_cut_before_their_originals_end_nothing() {
    for ours_is_client in [true, false] {
        let (mut ours, mut theirs, link, gate) = held_handshake(ours_is_client).await;
        eventually(common::PATIENCE, "a held flight", async || {
            (!gate.held().is_empty()).then_some(())
        })
        .await;
        for datagram in gate.release() {
            for damaged in damaged(&datagram) {
                link.inject_to_a(&damaged).await.unwrap();
            }
            link.inject_to_a(&datagram).await.unwrap();
        }
        ours.expect_connected().await;
        theirs.expect_connected().await;
    }
}

#[tokio::test]
async fn c114_srtcp_without_the_encryption_flag_or_with_a_wrong_tag_is_dropped() {
    for profile in PROFILES {
        let mut victim = Victim::connect(profile, false).await;
        victim.goes_on().await;
        let (ssrc, _) = victim.session.promised(MediaKind::Video);
        let pli = picture_loss_indication(ssrc);
        // Unencrypted, with the flag clear, and no tag, or one of zeros.
        let mut clear = pli.clone();
        clear.extend([0, 0, 0, 77]);
        victim.inject(&clear).await;
        clear.extend([0; 16]);
        victim.inject(&clear).await;
        let mut wrong = pli;
        victim.protector().protect_rtcp(&mut wrong, 0).unwrap();
        for place in 0..wrong.len() {
            let mut one = wrong.clone();
            one[place] ^= 0x80;
            victim.inject(&one).await;
        }
        let heard = heard_before_next_packet(&mut victim).await;
        assert!(!heard.iter().any(is_pli_of_attacker), "{heard:?}");
        // The same packet, untouched, is a request like any other.
        victim.inject(&wrong).await;
        victim
            .session
            .ours
            .expect("the genuine one", |event| {
                is_pli_of_attacker(event).then_some(())
            })
            .await;
        victim.goes_on().await;
    }
}

#[tokio::test]
async fn c114_a_forged_packet_moves_neither_rollover_counter_nor_replay_window() {
    for profile in PROFILES {
        let mut victim = Victim::connect(profile, true).await;
        // Before the first genuine packet: the window begins with what is genuine.
        let first = victim.genuine_rtp().await;
        for ahead in [1_u16, 100, 20_000, 40_000, 65_000] {
            victim.inject(&renumbered(&first, ahead)).await;
        }
        victim.inject(&first).await;
        expect_genuine(&mut victim).await;
        for _ in 0..30 {
            let genuine = victim.genuine_rtp().await;
            for ahead in [1_u16, 64, 1_000, 30_000, 33_000, 65_535] {
                victim.inject(&renumbered(&genuine, ahead)).await;
            }
            victim.inject(&genuine).await;
            expect_genuine(&mut victim).await;
        }
        victim.goes_on().await;
    }
}

#[tokio::test]
async fn a_repeated_packet_reaches_the_owner_once() {
    for profile in PROFILES {
        let mut victim = Victim::connect(profile, true).await;
        let genuine = victim.genuine_rtp().await;
        for _ in 0..3 {
            victim.inject(&genuine).await;
        }
        expect_genuine(&mut victim).await;
        victim.goes_on().await;
    }
}

#[tokio::test]
async fn c115_plaintext_records_after_the_handshake_are_dropped() {
    for ours_is_client in [true, false] {
        let mut victim = Victim::connect(SrtpProfile::AeadAes256Gcm, ours_is_client).await;
        for datagram in plaintext_records() {
            victim.inject(&datagram).await;
            let states = victim.session.ours.peer.states();
            assert_eq!(states.connection, PeerConnectionState::Connected);
        }
        victim.goes_on().await;
    }
}

#[tokio::test]
async fn rtcp_that_panics_the_crates_below_ends_nothing_from_the_authenticated_peer_either() {
    for profile in PROFILES {
        let mut victim = Victim::connect(profile, false).await;
        let mut protector = victim.protector();
        for hex in AUTHENTICATED_RTCP {
            let mut packet = bytes(hex);
            // One that the protector itself refuses cannot come from a peer either.
            if protector.protect_rtcp(&mut packet, 0).is_ok() {
                victim.inject(&packet).await;
            }
        }
        victim.goes_on().await;
    }
}

#[tokio::test]
async fn rtp_with_broken_extensions_ends_nothing_from_the_authenticated_peer_either() {
    for profile in PROFILES {
        let mut victim = Victim::connect(profile, false).await;
        let mut protector = victim.protector();
        for hex in RTP {
            let mut packet = bytes(hex);
            if protector.protect_rtp(&mut packet, 0).is_ok() {
                victim.inject(&packet).await;
            }
        }
        victim.goes_on().await;
    }
}

// A component above 255 overflowed in webrtc-ice 0.17.2's reading of a candidate.
#[tokio::test]
async fn candidates_of_nonsense_are_refused_by_value_and_the_peer_lives_on() {
    let mut victim = Victim::connect(SrtpProfile::AeadAes128Gcm, true).await;
    for candidate in [
        "candidate:x 257 tcp 0 1.2.3.4 9 x host",
        "candidate:x 257 udp 0 1.2.3.4 9 typ host",
        "candidate:1 1 udp 99999999999999999999 1.2.3.4 9 typ host",
        "candidate:1 1 udp 1 1.2.3.4 99999 typ host",
        "candidate:1 1 udp 1 not-an-address 9 typ host",
        "candidate:",
        "candidate",
        "\u{0}\u{fffd}",
    ] {
        let candidate = IceCandidate {
            candidate: candidate.to_owned(),
            sdp_m_line_index: Some(0),
            ..IceCandidate::default()
        };
        // Refused or ignored is for the negotiation to say; neither is the end.
        let _verdict = victim.session.ours.peer.add_ice_candidate(candidate).await;
    }
    victim.goes_on().await;
}

#[tokio::test]
async fn a_stranger_s_media_and_handshakes_reach_nobody() {
    let mut victim = Victim::connect(SrtpProfile::AeadAes128Gcm, true).await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // A genuine packet, from the wrong place.
    let genuine = victim.genuine_rtp().await;
    stranger.send_to(&genuine, victim.address()).await.unwrap();
    let heard = heard_before_next_packet(&mut victim).await;
    assert!(
        !heard.iter().any(|event| matches!(event, Event::Rtp { .. })),
        "{heard:?}"
    );
    // It was not even looked at: from the right place it is new.
    victim.inject(&genuine).await;
    expect_genuine(&mut victim).await;
}

// Whoever could have the first one read from anywhere could have a certificate sent to anybody.
#[tokio::test]
async fn a_first_client_hello_is_taken_from_the_verified_address_alone() {
    let (mut ours, mut theirs, link, gate) = held_handshake(false).await;
    let hello = eventually(common::PATIENCE, "a held hello", async || {
        gate.held().first().cloned()
    })
    .await;
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for _ in 0..10 {
        let address = link.address_of_a().unwrap();
        stranger.send_to(&hello, address).await.unwrap();
    }
    let mut answer = [0; 2048];
    let answered = tokio::time::timeout(Duration::from_millis(300), stranger.recv(&mut answer));
    assert!(answered.await.is_err());
    // It has begun nothing: from the verified address it begins the handshake.
    for datagram in gate.release() {
        link.inject_to_a(&datagram).await.unwrap();
    }
    ours.expect_connected().await;
    theirs.expect_connected().await;
}

#[tokio::test]
async fn a_repeated_request_reaches_the_owner_once() {
    for profile in PROFILES {
        let mut victim = Victim::connect(profile, false).await;
        victim.goes_on().await;
        let (ssrc, _) = victim.session.promised(MediaKind::Video);
        let mut request = picture_loss_indication(ssrc);
        victim.protector().protect_rtcp(&mut request, 0).unwrap();
        for _ in 0..5 {
            victim.inject(&request).await;
        }
        let heard = heard_before_next_packet(&mut victim).await;
        let times = heard.iter().filter(|event| is_pli_of_attacker(event));
        assert_eq!(times.count(), 1, "{heard:?}");
        victim.goes_on().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_garbage_at_a_shared_endpoint_ends_no_session_there() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let mut served = Ours::spawn(loopback().endpoint(endpoint.clone())).await;
    let mut client = Ours::spawn(loopback()).await;
    connect_ours(&mut served, &mut client, None).await;

    let over = Arc::new(AtomicBool::new(false));
    let flood = flood(endpoint.local_addr(), Arc::clone(&over));
    let mut number = 0;
    for _ in 0..100 {
        number += 1;
        send_numbered(&client, number);
        tokio::time::sleep(Duration::from_millis(10)).await;
        // The endpoint hears commands all the time.
        endpoint.statistics().await.unwrap();
    }
    // Where the kernel's buffer overflows, genuine packets go as well; some come through.
    served.expect_rtp().await;
    over.store(true, Ordering::Relaxed);
    let sent = flood.join().unwrap();
    let counted = endpoint.statistics().await.unwrap();
    let dropped = counted.malformed + counted.unknown_peer + counted.unverified;
    assert!(sent > 1000 && dropped > 1000, "{sent} sent, {counted:?}");

    // What it left in the kernel's buffer still takes the place of genuine packets. The endpoint
    // reads in order: once a packet sent after the flood has come, nothing of it is left.
    let first_after = number + 1;
    loop {
        number += 1;
        send_numbered(&client, number);
        let heard = async { while payload_number(&served.expect_rtp().await.1) < first_after {} };
        if tokio::time::timeout(Duration::from_millis(50), heard)
            .await
            .is_ok()
        {
            break;
        }
    }
    // From here on nothing is lost any more.
    for _ in 0..20 {
        number += 1;
        send_numbered(&client, number);
        // Some that the flood has held up may come before it.
        while payload_number(&served.expect_rtp().await.1) != number {}
    }
    for peer in [&served, &client] {
        assert_eq!(peer.peer.connection_state(), PeerConnectionState::Connected);
    }
}

/// Sends what nobody wants as fast as it goes; tells how much that was.
fn flood(to: SocketAddr, over: Arc<AtomicBool>) -> JoinHandle<u64> {
    thread::spawn(move || {
        let stranger = StdSocket::bind("127.0.0.1:0").unwrap();
        let garbage: Vec<_> = (0..=255_u8).map(|first| vec![first; 300]).collect();
        let mut sent = 0;
        while !over.load(Ordering::Relaxed) {
            for datagram in &garbage {
                // A full buffer is no reason to stop.
                sent += u64::from(stranger.send_to(datagram, to).is_ok());
            }
        }
        sent
    })
}

fn send_numbered(from: &Ours, number: u16) {
    let payload = number.to_be_bytes().to_vec();
    let packet = rtp_packet(OPUS, number, u32::from(number) * 960, true, payload);
    let track = from.local_track(MediaKind::Audio).id();
    from.peer.send_rtp(track, packet).unwrap();
}

fn payload_number(packet: &RtpPacket) -> u16 {
    u16::from_be_bytes(packet.payload().try_into().unwrap())
}

async fn damage(victim: &Victim, datagram: &[u8]) {
    for damaged in damaged(datagram) {
        victim.inject(&damaged).await;
    }
}

/// The held packet comes, and it is the first media that the owner hears of.
async fn expect_genuine(victim: &mut Victim) {
    let (kind, packet) = victim.session.ours.expect_rtp().await;
    assert_eq!(kind, MediaKind::Audio);
    assert_eq!(packet.payload(), b"the genuine one");
}

/// All that the owner hears until a packet that is sent now.
async fn heard_before_next_packet(victim: &mut Victim) -> Vec<Event> {
    let mid = victim.session.mid(MediaKind::Video);
    let payload_type = victim
        .session
        .theirs
        .payload_type(mid, Codec::Vp8)
        .await
        .unwrap();
    let packet = OutgoingRtp {
        payload_type,
        sequence_number: victim
            .session
            .next_number(Way::Receive, MediaKind::Video)
            .into(),
        timestamp: 1,
        marker: false,
        payload: b"fence".to_vec(),
        extensions: Default::default(),
    };
    assert!(victim.session.theirs.write_rtp(mid, None, packet).await);
    let mut heard = Vec::new();
    victim
        .session
        .ours
        .expect("the fence", |event| {
            if let Event::Rtp { packets, .. } = event
                && packets.iter().any(|packet| packet.payload() == b"fence")
            {
                return Some(());
            }
            heard.push(event.clone());
            None
        })
        .await;
    heard
}

fn picture_loss_indication(media_ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x81, 206, 0, 2];
    packet.extend(ATTACKER_SSRC.to_be_bytes());
    packet.extend(media_ssrc.to_be_bytes());
    packet
}

fn is_pli_of_attacker(event: &Event) -> bool {
    use ractor_webrtc::rtp::RtcpPacket;
    let Event::Rtcp { packets, .. } = event else {
        return false;
    };
    packets.iter().any(|packet| {
        matches!(packet, RtcpPacket::PictureLossIndication(pli) if pli.sender_ssrc.0 == ATTACKER_SSRC)
    })
}

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::Aes128CmHmacSha1_80,
];

const ATTACKER_SSRC: u32 = 0x5eed_0001;

/// Payload type of Opus in our offers.
const OPUS: u8 = 111;
