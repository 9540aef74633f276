//! What strangers and forgers send costs no memory, and what a remote side says costs in proportion. One test at a time, for the
//! count is of the process.
#![allow(clippy::unwrap_used)]

mod common;

use std::alloc::System;

use ractor_webrtc::SessionDescription;
use ractor_webrtc::srtp::SrtpProfile;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::net::UdpSocket;
use tokio::sync::Mutex;

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
    let _alone = ALONE.lock().await;
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

#[tokio::test]
async fn a_description_costs_memory_in_proportion_to_its_length() {
    let _alone = ALONE.lock().await;
    for line in LINES {
        let mut text = HEAD.to_owned();
        for number in 0.. {
            let line = line.replace("{}", &number.to_string());
            if text.len() + line.len() > LONGEST {
                break;
            }
            text.push_str(&line);
        }
        let ours = Ours::spawn(loopback()).await;
        let (length, before) = (text.len(), heap_bytes());
        let allocated = ALLOCATOR.stats().bytes_allocated;
        let applied = ours
            .peer
            .set_remote_description(SessionDescription::offer(text));
        let applied = applied.await;
        // All that was ever taken bounds what was held at any time.
        let taken = ALLOCATOR.stats().bytes_allocated - allocated;
        let kept = heap_bytes().saturating_sub(before);
        println!("{line:?}: {length} bytes, {taken} taken, {kept} kept, {applied:?}");
        assert!(taken < 16 * length, "{line:?}: {taken} bytes for {length}");
        assert!(kept < length, "{line:?}: {kept} bytes of {length}");
        ours.peer.close().await;
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

/// What may come over and over in one m-line.
const LINES: [&str; 8] = [
    "a=ssrc:{} cname:x\r\n",
    "a=candidate:1 1 udp {} 192.0.2.1 9 typ host\r\n",
    "a=rtcp-fb:111 x{}\r\n",
    "a=fmtp:111 {}=1;a=2;b=3\r\n",
    "a=rid:r{} send\r\n",
    "a=msid:s{} t\r\n",
    "a=x{}\r\n",
    "\n",
];

const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=setup:actpass\r\na=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n\
    a=fingerprint:sha-256 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n";

/// `PeerLimits::description_bytes`.
const LONGEST: usize = 256 * 1024;

static ALONE: Mutex<()> = Mutex::const_new(());

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
