//! What strangers and forgers send costs no memory. One test, for the count is of the process.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::System;

use ractor_webrtc::srtp::SrtpProfile;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::net::UdpSocket;

use self::common::link::Link;
use self::common::link::Verdict;
use self::common::owner::{Ours, loopback};
use self::common::session::{Offerer, Session};
use self::common::str0m_peer::{Str0mOptions, Str0mPeer};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

// 200 000 forged SSRCs grew the context of webrtc-srtp 0.17.2 by 27 MB, for ever.
#[tokio::test]
async fn forged_packets_leave_no_memory_behind() {
    for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
        let link = Link::new(|_, _| Verdict::Forward).await.unwrap();
        let ours = Ours::spawn(loopback().srtp_profiles([profile])).await;
        let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
        let mut session = Session::connect(ours, theirs, Offerer::Ours, true, Some(&link)).await;
        session.exchange().await;
        attack(&link, 0, WARM_UP).await;
        session.exchange().await;
        let before = heap_bytes();
        attack(&link, WARM_UP, FORGED).await;
        session.exchange().await;
        let grown = heap_bytes().saturating_sub(before);
        assert!(grown < BOUND, "{profile:?}: {grown} bytes more");
    }
}

/// Forged media, reports, checks and handshakes, half from the verified address and half from
/// nowhere.
async fn attack(link: &Link, from: u32, count: u32) {
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = link.address_of_a().unwrap();
    for number in from..from + count {
        for datagram in forged(number) {
            link.inject_to_a(&datagram).await.unwrap();
            stranger.send_to(&datagram, address).await.unwrap();
        }
        if number.is_multiple_of(16) {
            // Room for the readers: what overflows a socket buffer attacks nobody.
            tokio::task::yield_now().await;
        }
    }
}

fn forged(number: u32) -> [Vec<u8>; 4] {
    let mut rtp = vec![0x80, 111, 0, 1, 0, 0, 0, 0];
    rtp.extend(number.to_be_bytes());
    rtp.extend([7; 60]);
    let mut rtcp = vec![0x81, 201, 0, 1];
    rtcp.extend(number.to_be_bytes());
    rtcp.extend([7; 40]);
    rtcp[44..48].copy_from_slice(&(0x8000_0000 | number).to_be_bytes());
    let mut stun = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 0, 0, 0, 0, 0, 0, 0, 0];
    stun.extend(number.to_be_bytes());
    let mut dtls = vec![22, 0xfe, 0xfd, 0, 0, 0, 0];
    dtls.extend(number.to_be_bytes());
    dtls.extend([0, 13, 1, 0, 0xff, 0xff]);
    dtls.extend((number as u16).to_be_bytes());
    dtls.extend([0, 0, 0, 0, 0, 1, 7]);
    [rtp, rtcp, stun, dtls]
}

fn heap_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated)
}

/// So that buffers have their size before the count begins.
const WARM_UP: u32 = 2_000;
const FORGED: u32 = 20_000;
/// Less than 30 bytes for each forged SSRC; noise of reports and timers fits in it.
const BOUND: usize = 512 * 1_024;
