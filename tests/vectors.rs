//! RTCP recorded from a browser, read and written, beside what the browser's statistics said of the same call.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use ractor_webrtc::rtp::{RtcpPacket, SequenceNumber, Ssrc};

#[test]
fn c065_sender_reports_of_chromium_say_what_its_statistics_say() {
    for (name, ssrc, packets, octets) in [
        ("audio-report", 3_307_410_278, 297, 22_815),
        ("video-report", 3_677_843_734, 198, 149_037),
    ] {
        let [
            RtcpPacket::SenderReport(report),
            RtcpPacket::SourceDescription(chunks),
        ] = &read(name)[..]
        else {
            panic!("{name}: {:?}", read(name));
        };
        assert_eq!(report.ssrc, Ssrc(ssrc));
        assert_eq!((report.packet_count, report.octet_count), (packets, octets));
        assert_eq!(report.reports, []);
        // 22 November 2026, by the seconds since 1900.
        assert_eq!(report.ntp >> 32, 0xeead_c9cd);
        assert_eq!(chunks.len(), 1);
    }
}

#[test]
fn c065_a_receiver_report_of_chromium_has_both_streams_and_no_loss() {
    let packets = read("receiver-report");
    let [
        RtcpPacket::ReceiverReport(report),
        RtcpPacket::ExtendedReport(_),
    ] = &packets[..]
    else {
        panic!("{packets:?}");
    };
    let [_, video] = &report.reports[..] else {
        panic!("{report:?}");
    };
    assert_eq!(video.ssrc, Ssrc(687_756_104));
    assert_eq!((video.cumulative_lost, video.fraction_lost), (0, 0));
    assert_eq!(video.jitter, 0x36);
}

#[test]
fn c064_a_request_of_chromium_names_the_packet_that_it_misses() {
    let packets = read("nack");
    let [
        RtcpPacket::ReceiverReport(_),
        RtcpPacket::Nack(nack),
        RtcpPacket::ExtendedReport(_),
    ] = &packets[..]
    else {
        panic!("{packets:?}");
    };
    assert_eq!(nack.media_ssrc, Ssrc(0xfed2_38a5));
    assert_eq!(nack.lost, [SequenceNumber(0x64d3)]);
}

#[test]
fn c067_feedback_of_chromium_is_read_with_and_without_padding() {
    for (name, media, first, count) in [
        ("feedback", 687_756_104, 0x020b, 6),
        ("padded-feedback", 1_793_461_013, 0x0226, 5),
    ] {
        let packets = read(name);
        let [RtcpPacket::TransportCc(feedback)] = &packets[..] else {
            panic!("{packets:?}");
        };
        assert_eq!(feedback.media_ssrc, Ssrc(media));
        let number = |at: usize| u16::from_be_bytes([feedback.body[at], feedback.body[at + 1]]);
        assert_eq!((number(0), number(2)), (first, count), "{name}");
    }
}

#[test]
fn what_chromium_writes_is_written_alike() {
    for (name, datagram) in recorded() {
        // Padding carries nothing, and none is written.
        if name == "padded-feedback" {
            continue;
        }
        let mut written = Vec::new();
        for packet in RtcpPacket::parse_compound(&datagram).unwrap() {
            packet.write(&mut written).unwrap();
        }
        assert_eq!(written, datagram, "{name}");
    }
}

fn read(name: &str) -> Vec<RtcpPacket> {
    let (_, datagram) = recorded().find(|(known, _)| *known == name).unwrap();
    RtcpPacket::parse_compound(&datagram).unwrap()
}

/// Each datagram with its name.
fn recorded() -> impl Iterator<Item = (&'static str, Bytes)> {
    let lines = include_str!("data/rtcp/chromium-156.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(|line| {
        let (name, hex) = line.split_once(' ').unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (name, (0..hex.len()).step_by(2).map(byte).collect())
    })
}
