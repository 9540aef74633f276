use bytes::BytesMut;
use proptest::prelude::*;
use webrtc_util::marshal::Unmarshal;

use super::*;

fn bytes_of(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn parse(hex: &str) -> Result<Vec<RtcpPacket>, RtcpError> {
    RtcpPacket::parse_compound(&bytes_of(hex))
}

fn is_unread(hex: &str) -> bool {
    matches!(parse(hex).as_deref(), Ok([RtcpPacket::Other(_)]))
}

#[test]
fn a_full_intra_request_that_is_too_short_is_not_read() {
    assert!(is_unread("84ce000100000000"));
    // Sound for its length, but half a request follows.
    assert!(is_unread("84ce0003000000000000000000000000"));
}

#[test]
fn a_remb_with_fewer_sources_than_it_counts_is_not_read() {
    assert!(is_unread("8fce0004000000000000000052454d4202000000"));
}

#[test]
fn a_remb_of_any_bitrate_is_read_and_shown() {
    let packets = parse("8fce0006000000000000000052454d4200ff00000000000000000000").unwrap();
    let [RtcpPacket::Remb(remb)] = &packets[..] else {
        panic!("{packets:?}");
    };
    assert_eq!(remb.bitrate_bps, u64::MAX);
    let _text = format!("{remb:?}");
}

#[test]
fn a_nack_that_is_too_short_is_not_read() {
    assert!(is_unread("81cd000100000000"));
    assert_eq!(
        parse("8100ff0000000000"),
        Err(RtcpError::Truncated { offset: 0 })
    );
}

/// Of Chromium 156, decrypted: it has lost two packets of 0x0d36a3d6, the other one is the stream of retransmissions.
#[test]
fn c109_a_nack_of_chromium_is_read_and_written_alike() {
    let datagram = "82c9000d fc8beecc \
        a2e87b19 00000000 000059f2 00000113 8f704807 00000e38 \
        0d36a3d6 aa000002 0000555d 0000054e 8f704807 00000e38 \
        81cd0003 fc8beecc 0d36a3d6 555b0001";
    let packets = parse(datagram).unwrap();
    let expected = Nack {
        sender_ssrc: Ssrc(0xfc8b_eecc),
        media_ssrc: Ssrc(0x0d36_a3d6),
        lost: vec![SequenceNumber(0x555b), SequenceNumber(0x555c)],
    };
    assert_eq!(packets[1], RtcpPacket::Nack(expected));
    let mut written = Vec::new();
    for packet in &packets {
        packet.write(&mut written).unwrap();
    }
    assert_eq!(written, bytes_of(datagram));
}

/// As RFC 3611 §4.4 and §4.5 draw them, behind an empty report, with a block of another type between them (§4.2).
#[test]
fn c065_an_extended_report_is_read_over_blocks_that_nobody_knows() {
    let datagram = "80c90001 00000007 \
        80cf000b 00000007 \
        04000002 11112222 33334444 \
        02300001 00010002 \
        05000003 0a0a0a0a 22223333 00018000 \
        ff000000";
    let packets = parse(datagram).unwrap();
    let other = |block_type, type_specific, body: &'static [u8]| {
        ExtendedReportBlock::Other(OtherBlock {
            block_type,
            type_specific,
            body: Bytes::from_static(body),
        })
    };
    let expected = RtcpPacket::ExtendedReport(ExtendedReport {
        ssrc: Ssrc(7),
        blocks: vec![
            ExtendedReportBlock::ReceiverReferenceTime(0x1111_2222_3333_4444),
            other(2, 0x30, &[0, 1, 0, 2]),
            ExtendedReportBlock::LastReceiverReports(vec![LastReceiverReport {
                ssrc: Ssrc(0x0a0a_0a0a),
                last_receiver_report: 0x2222_3333,
                delay_since_last_receiver_report: 0x1_8000,
            }]),
            other(255, 0, &[]),
        ],
    });
    assert_eq!(packets[1], expected);
    let mut written = Vec::new();
    for packet in &packets {
        packet.write(&mut written).unwrap();
    }
    assert_eq!(written, bytes_of(datagram));
}

#[test]
fn c065_an_extended_report_that_lies_about_its_blocks_is_not_read() {
    // A block beyond the packet, half a header.
    assert!(is_unread("80cf0003 00000007 04000002 11112222"));
    assert!(is_unread("80cf0002 00000007 0400ffff"));
    // Blocks of a known type with contents that do not fit are kept unread, the others count.
    for odd in ["04000001 11112222", "05000002 0a0a0a0a 22223333"] {
        let words = 2 + odd.len() / 9;
        let packets = parse(&format!("80cf{words:04x} 00000007 {odd}")).unwrap();
        let [RtcpPacket::ExtendedReport(report)] = &packets[..] else {
            panic!("{packets:?}");
        };
        assert!(matches!(report.blocks[..], [ExtendedReportBlock::Other(_)]));
    }
}

#[test]
fn a_packet_longer_than_the_datagram_spoils_all() {
    assert_eq!(
        parse("80c9000100000001 80c9000200000001"),
        Err(RtcpError::Truncated { offset: 8 })
    );
    assert_eq!(parse(""), Err(RtcpError::Truncated { offset: 0 }));
    assert_eq!(parse("80c9"), Err(RtcpError::Truncated { offset: 0 }));
}

#[test]
fn padding_is_taken_off_wherever_it_stands() {
    let padded = "a0c90002 00000001 00000004";
    let expected = RtcpPacket::ReceiverReport(ReceiverReport {
        ssrc: Ssrc(1),
        reports: Vec::new(),
    });
    assert_eq!(parse(padded), Ok(vec![expected.clone()]));
    // str0m pads transport-wide feedback in front of its other reports: all of them were thrown away.
    let both = parse(&format!("{padded} 80c9000100000001"));
    assert_eq!(both, Ok(vec![expected; 2]));
    assert_eq!(
        parse("a0c90001 00000009"),
        Err(RtcpError::Padding { offset: 0 })
    );
    assert_eq!(parse("a0c90000"), Err(RtcpError::Padding { offset: 0 }));
}

#[test]
fn another_version_is_refused() {
    assert_eq!(
        parse("40c9000100000001"),
        Err(RtcpError::Version { version: 1 })
    );
}

#[test]
fn what_cannot_be_written_leaves_the_buffer_as_it_was() {
    let report = ReceptionReport {
        ssrc: Ssrc(1),
        fraction_lost: 0,
        cumulative_lost: 0,
        extended_highest_sequence: 0,
        jitter: 0,
        last_sender_report: 0,
        delay_since_last_sender_report: 0,
    };
    for packet in [
        RtcpPacket::ReceiverReport(ReceiverReport {
            ssrc: Ssrc(1),
            reports: vec![report; 32],
        }),
        RtcpPacket::Goodbye(Goodbye {
            ssrcs: Vec::new(),
            reason: vec![b'x'; 256].into(),
        }),
        RtcpPacket::Other(OtherRtcp {
            packet_type: 204,
            count: 0,
            body: Bytes::from_static(b"odd"),
        }),
    ] {
        let mut into = vec![1];
        assert!(matches!(
            packet.write(&mut into),
            Err(RtcpError::Unwritable { .. })
        ));
        assert_eq!(into, [1]);
    }
}

fn ssrcs() -> impl Strategy<Value = Vec<Ssrc>> {
    proptest::collection::vec(any::<u32>().prop_map(Ssrc), 0..31)
}

fn text() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 1..255).prop_map(Bytes::from)
}

fn reports() -> impl Strategy<Value = Vec<ReceptionReport>> {
    let report = (
        any::<(u32, u8, u32, u32, u32, u32)>(),
        -0x80_0000i32..0x80_0000,
    );
    let report = report.prop_map(
        |((ssrc, fraction_lost, highest, jitter, last, delay), cumulative_lost)| ReceptionReport {
            ssrc: Ssrc(ssrc),
            fraction_lost,
            cumulative_lost,
            extended_highest_sequence: highest,
            jitter,
            last_sender_report: last,
            delay_since_last_sender_report: delay,
        },
    );
    proptest::collection::vec(report, 0..31)
}

fn blocks() -> impl Strategy<Value = ExtendedReportBlock> {
    let answer = any::<(u32, u32, u32)>().prop_map(|(ssrc, last, delay)| LastReceiverReport {
        ssrc: Ssrc(ssrc),
        last_receiver_report: last,
        delay_since_last_receiver_report: delay,
    });
    let body = proptest::collection::vec(any::<[u8; 4]>(), 0..9);
    prop_oneof![
        any::<u64>().prop_map(ExtendedReportBlock::ReceiverReferenceTime),
        proptest::collection::vec(answer, 0..9).prop_map(ExtendedReportBlock::LastReceiverReports),
        (8u8.., any::<u8>(), body).prop_map(|(block_type, type_specific, body)| {
            ExtendedReportBlock::Other(OtherBlock {
                block_type,
                type_specific,
                body: body.concat().into(),
            })
        }),
    ]
}

fn packets() -> impl Strategy<Value = RtcpPacket> {
    let two = || any::<(u32, u32)>().prop_map(|(one, other)| (Ssrc(one), Ssrc(other)));
    prop_oneof![
        (any::<(u32, u64, u32, u32, u32)>(), reports()).prop_map(
            |((ssrc, ntp, timestamp, packet_count, octet_count), reports)| {
                RtcpPacket::SenderReport(SenderReport {
                    ssrc: Ssrc(ssrc),
                    ntp,
                    rtp_timestamp: RtpTimestamp(timestamp),
                    packet_count,
                    octet_count,
                    reports,
                })
            }
        ),
        (any::<u32>(), reports()).prop_map(|(ssrc, reports)| {
            RtcpPacket::ReceiverReport(ReceiverReport {
                ssrc: Ssrc(ssrc),
                reports,
            })
        }),
        proptest::collection::vec((any::<u32>(), text(), 1u8..9), 0..31).prop_map(|chunks| {
            let chunk = |(ssrc, text, kind)| SourceDescriptionChunk {
                ssrc: Ssrc(ssrc),
                items: vec![(kind, text)],
            };
            RtcpPacket::SourceDescription(chunks.into_iter().map(chunk).collect())
        }),
        (ssrcs(), text())
            .prop_map(|(ssrcs, reason)| { RtcpPacket::Goodbye(Goodbye { ssrcs, reason }) }),
        two().prop_map(|(sender_ssrc, media_ssrc)| {
            RtcpPacket::PictureLossIndication(PictureLossIndication {
                sender_ssrc,
                media_ssrc,
            })
        }),
        (two(), proptest::collection::vec(any::<(u32, u8)>(), 1..20)).prop_map(
            |((sender_ssrc, _), requests)| {
                let request = |(ssrc, command)| (Ssrc(ssrc), command);
                RtcpPacket::FullIntraRequest(FullIntraRequest {
                    sender_ssrc,
                    requests: requests.into_iter().map(request).collect(),
                })
            }
        ),
        (
            two(),
            any::<u16>(),
            proptest::collection::btree_set(0u16..200, 1..60)
        )
            .prop_map(|((sender_ssrc, media_ssrc), first, steps)| {
                let number = |step| SequenceNumber(first).plus(step);
                RtcpPacket::Nack(Nack {
                    sender_ssrc,
                    media_ssrc,
                    lost: steps.into_iter().map(number).collect(),
                })
            }),
        (two(), 0u64..0x4_0000, 0u32..46, ssrcs()).prop_map(
            |((sender_ssrc, _), mantissa, exponent, ssrcs)| {
                RtcpPacket::Remb(Remb {
                    sender_ssrc,
                    bitrate_bps: mantissa << exponent,
                    ssrcs,
                })
            }
        ),
        (any::<u32>(), proptest::collection::vec(blocks(), 0..5)).prop_map(|(ssrc, blocks)| {
            RtcpPacket::ExtendedReport(ExtendedReport {
                ssrc: Ssrc(ssrc),
                blocks,
            })
        }),
    ]
}

/// What the crate makes of the same packet, in our words, as far as it reads it right.
fn read_by_the_crate(bytes: &[u8]) -> Option<RtcpPacket> {
    let mut bytes = BytesMut::from(bytes);
    let theirs = rtcp::packet::unmarshal(&mut bytes).ok()?.pop()?;
    let any = theirs.as_any();
    if let Some(it) = any
        .downcast_ref::<rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication>()
    {
        return Some(RtcpPacket::PictureLossIndication(PictureLossIndication {
            sender_ssrc: Ssrc(it.sender_ssrc),
            media_ssrc: Ssrc(it.media_ssrc),
        }));
    }
    if let Some(it) =
        any.downcast_ref::<rtcp::payload_feedbacks::full_intra_request::FullIntraRequest>()
    {
        return Some(RtcpPacket::FullIntraRequest(FullIntraRequest {
            sender_ssrc: Ssrc(it.sender_ssrc),
            requests: it
                .fir
                .iter()
                .map(|it| (Ssrc(it.ssrc), it.sequence_number))
                .collect(),
        }));
    }
    if let Some(it) =
        any.downcast_ref::<rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack>()
    {
        return Some(RtcpPacket::Nack(Nack {
            sender_ssrc: Ssrc(it.sender_ssrc),
            media_ssrc: Ssrc(it.media_ssrc),
            lost: it
                .nacks
                .iter()
                .flat_map(|it| it.packet_list())
                .map(SequenceNumber)
                .collect(),
        }));
    }
    if let Some(it) = any.downcast_ref::<rtcp::goodbye::Goodbye>() {
        return Some(RtcpPacket::Goodbye(Goodbye {
            ssrcs: it.sources.iter().map(|it| Ssrc(*it)).collect(),
            reason: it.reason.clone(),
        }));
    }
    if let Some(it) = any.downcast_ref::<rtcp::source_description::SourceDescription>() {
        let chunk =
            |it: &rtcp::source_description::SourceDescriptionChunk| SourceDescriptionChunk {
                ssrc: Ssrc(it.source),
                items: it
                    .items
                    .iter()
                    .map(|it| (it.sdes_type as u8, it.text.clone()))
                    .collect(),
            };
        return Some(RtcpPacket::SourceDescription(
            it.chunks.iter().map(chunk).collect(),
        ));
    }
    if let Some(it) = any.downcast_ref::<rtcp::sender_report::SenderReport>() {
        return Some(RtcpPacket::SenderReport(SenderReport {
            ssrc: Ssrc(it.ssrc),
            ntp: it.ntp_time,
            rtp_timestamp: RtpTimestamp(it.rtp_time),
            packet_count: it.packet_count,
            octet_count: it.octet_count,
            reports: it.reports.iter().map(report_of_the_crate).collect(),
        }));
    }
    any.downcast_ref::<rtcp::receiver_report::ReceiverReport>()
        .map(|it| {
            RtcpPacket::ReceiverReport(ReceiverReport {
                ssrc: Ssrc(it.ssrc),
                reports: it.reports.iter().map(report_of_the_crate).collect(),
            })
        })
}

fn report_of_the_crate(it: &rtcp::reception_report::ReceptionReport) -> ReceptionReport {
    ReceptionReport {
        ssrc: Ssrc(it.ssrc),
        fraction_lost: it.fraction_lost,
        // It reads the 24 bits without their sign.
        cumulative_lost: (it.total_lost << 8).cast_signed() >> 8,
        extended_highest_sequence: it.last_sequence_number,
        jitter: it.jitter,
        last_sender_report: it.last_sender_report,
        delay_since_last_sender_report: it.delay,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(packets in proptest::collection::vec(packets(), 1..5)) {
        let mut bytes = Vec::new();
        for packet in &packets {
            packet.write(&mut bytes).unwrap();
        }
        prop_assert_eq!(RtcpPacket::parse_compound(&bytes.into()), Ok(packets));
    }

    #[test]
    fn the_rtcp_crate_reads_what_is_written(packet in packets()) {
        let mut bytes = Vec::new();
        packet.write(&mut bytes).unwrap();
        if let RtcpPacket::ExtendedReport(report) = &packet {
            let theirs = rtcp::extended_report::ExtendedReport::unmarshal(&mut BytesMut::from(&bytes[..]));
            prop_assert_eq!(theirs.unwrap().reports.len(), report.blocks.len());
        } else if !matches!(packet, RtcpPacket::Remb(_)) {
            prop_assert_eq!(read_by_the_crate(&bytes), Some(packet));
        } else {
            // It keeps the bitrate as a float; that it reads the packet at all must do.
            let mut bytes = BytesMut::from(&bytes[..]);
            rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate
                ::unmarshal(&mut bytes).unwrap();
        }
    }

    #[test]
    fn no_bytes_upset_the_reader(
        mut bytes in proptest::collection::vec(any::<u8>(), 4..120), kind in 198u8..210, count in 0u8..32
    ) {
        let _any = RtcpPacket::parse_compound(&Bytes::copy_from_slice(&bytes));
        // Most random bytes are no RTCP at all; help them past the header.
        bytes.truncate(bytes.len() / 4 * 4);
        let words = (bytes.len() / 4 - 1) as u8;
        bytes[..4].copy_from_slice(&[0x80 | count, kind, 0, words]);
        prop_assert_eq!(RtcpPacket::parse_compound(&bytes.into()).map(|it| it.len()), Ok(1));
    }

    #[test]
    fn a_cut_or_a_changed_byte_does_no_harm(packet in packets(), at in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut bytes = Vec::new();
        packet.write(&mut bytes).unwrap();
        let at = at.index(bytes.len());
        let _cut = RtcpPacket::parse_compound(&Bytes::copy_from_slice(&bytes[..at]));
        bytes[at] = value;
        let _changed = RtcpPacket::parse_compound(&bytes.into());
    }
}
