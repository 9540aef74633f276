use super::super::types::{RtpTimestamp, SequenceNumber};
use super::*;
use crate::codec::RtpCodec;
use crate::jsep::{MediaSection, NegotiatedCodec};
use crate::rtp::ExtensionMap;
use crate::track::{MediaKind, MediaStreamTrack};

const MID: u8 = 4;
const RID: u8 = 10;
const REPAIRED_RID: u8 = 11;

fn payload_type(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

fn negotiated(name: &str, number: u8, rtx: Option<u8>) -> NegotiatedCodec {
    NegotiatedCodec {
        codec: Arc::new(RtpCodec {
            kind: MediaKind::Video,
            name: name.to_owned(),
            clock_rate_hz: 90_000,
            channels: None,
            fmtp: String::new(),
            feedback: Vec::new(),
        }),
        payload_type: payload_type(number),
        rtx_payload_type: rtx.map(payload_type),
    }
}

/// An m-line whose codecs have payload type and RTX payload type.
fn section(mid: &str, codecs: &[(u8, Option<u8>)]) -> MediaSection {
    let codecs = codecs
        .iter()
        .map(|(number, rtx)| negotiated(&format!("codec{number}"), *number, *rtx));
    MediaSection {
        further: Vec::new(),
        mid: mid.into(),
        kind: MediaKind::Video,
        reduced_size_rtcp: true,
        receiver_round_trip: false,
        send: None,
        receive: Some(ReceivePlan {
            track: MediaStreamTrack::new(MediaKind::Video, []).id(),
            ssrcs: Vec::new(),
            rtx_ssrcs: Vec::new(),
            rids: Vec::new(),
            codecs: codecs.collect(),
            extensions: ExtensionMap {
                entries: vec![
                    (MID, HeaderExtension::Mid),
                    (RID, HeaderExtension::Rid),
                    (REPAIRED_RID, HeaderExtension::RepairedRid),
                ],
                mixed: false,
            },
        }),
    }
}

fn receive(section: &mut MediaSection) -> &mut ReceivePlan {
    section.receive.as_mut().unwrap()
}

fn demuxer(sections: &[MediaSection]) -> RtpDemuxer {
    let mut demuxer = RtpDemuxer::new(MAX_STREAMS);
    demuxer.apply(&MediaPlan {
        sections: sections.to_vec(),
    });
    demuxer
}

fn packet(ssrc: u32, number: u8, elements: &[(u8, &str)]) -> RtpPacket {
    let elements: Vec<_> = elements
        .iter()
        .map(|(id, text)| (*id, text.as_bytes()))
        .collect();
    RtpPacket::new(
        payload_type(number),
        SequenceNumber(1),
        RtpTimestamp(2),
        Ssrc(ssrc),
        false,
        &[0, 9, 1][..],
    )
    .with_extensions(&elements)
    .unwrap()
}

/// Track and encoding of a packet.
fn place(demuxer: &mut RtpDemuxer, packet: &RtpPacket) -> Result<(TrackId, String), DemuxError> {
    demuxer.route(packet).map(|route| {
        let rid = route.rid.map_or("", Rid::as_str).to_owned();
        (route.track, rid)
    })
}

fn track(section: &MediaSection) -> TrackId {
    section.receive.as_ref().unwrap().track
}

#[test]
fn c062_packets_of_an_ssrc_go_where_its_mid_said() {
    let sections = [section("0", &[(96, None)]), section("1", &[(96, None)])];
    let mut demuxer = demuxer(&sections);
    let second = Ok((track(&sections[1]), String::new()));
    assert_eq!(place(&mut demuxer, &packet(7, 96, &[(MID, "1")])), second);
    assert_eq!(place(&mut demuxer, &packet(7, 96, &[(MID, "1")])), second);
    assert_eq!(place(&mut demuxer, &packet(7, 96, &[])), second);
}

#[test]
fn c062_an_ssrc_that_appears_with_another_mid_is_refused_and_stays_where_it_was() {
    let sections = [section("0", &[(96, None)]), section("1", &[(96, None)])];
    let mut demuxer = demuxer(&sections);
    place(&mut demuxer, &packet(7, 96, &[(MID, "0")])).unwrap();
    assert_eq!(
        place(&mut demuxer, &packet(7, 96, &[(MID, "1")])),
        Err(DemuxError::SsrcOfAnotherMid)
    );
    assert_eq!(
        place(&mut demuxer, &packet(7, 96, &[])),
        Ok((track(&sections[0]), String::new()))
    );
}

#[test]
fn a_mid_overrules_what_was_only_guessed() {
    let mut sections = [section("0", &[(96, None)]), section("1", &[(96, None)])];
    receive(&mut sections[0]).ssrcs = vec![Ssrc(7)];
    let mut demuxer = demuxer(&sections);
    assert_eq!(
        place(&mut demuxer, &packet(7, 96, &[])),
        Ok((track(&sections[0]), String::new()))
    );
    assert_eq!(
        place(&mut demuxer, &packet(7, 96, &[(MID, "1")])),
        Ok((track(&sections[1]), String::new()))
    );
}

#[test]
fn an_unknown_mid_is_refused() {
    let mut demuxer = demuxer(&[section("0", &[(96, None)])]);
    assert_eq!(
        place(&mut demuxer, &packet(7, 96, &[(MID, "9")])),
        Err(DemuxError::UnknownMid)
    );
}

#[test]
fn c063_an_unknown_ssrc_is_placed_by_a_payload_type_of_one_section() {
    let sections = [
        section("0", &[(96, None), (98, None)]),
        section("1", &[(98, None)]),
    ];
    let mut demuxer = demuxer(&sections);
    assert_eq!(
        place(&mut demuxer, &packet(7, 96, &[])),
        Ok((track(&sections[0]), String::new()))
    );
    // From now on its SSRC tells, even with a payload type of both.
    assert_eq!(
        place(&mut demuxer, &packet(7, 98, &[])),
        Ok((track(&sections[0]), String::new()))
    );
}

#[test]
fn c063_what_nothing_matches_is_refused() {
    let sections = [section("0", &[(96, None)]), section("1", &[(96, None)])];
    let mut demuxer = demuxer(&sections);
    assert_eq!(
        place(&mut demuxer, &packet(7, 96, &[])),
        Err(DemuxError::Unmatched)
    );
    assert_eq!(
        place(&mut demuxer, &packet(7, 50, &[])),
        Err(DemuxError::Unmatched)
    );
    assert_eq!(
        place(&mut demuxer, &packet(7, 50, &[(MID, "0")])),
        Err(DemuxError::UnknownPayloadType)
    );
    assert!(demuxer.streams.len() == 0, "nothing is learned from those");
}

#[test]
fn c032_packets_of_three_encodings_are_told_apart_by_mid_and_rid() {
    let mut video = section("v", &[(96, Some(97))]);
    receive(&mut video).rids = vec!["h".into(), "m".into(), "l".into()];
    let mut demuxer = demuxer(&[section("a", &[(111, None)]), video.clone()]);
    for (ssrc, rid) in [(1, "h"), (2, "m"), (3, "l")] {
        let named = packet(ssrc, 96, &[(MID, "v"), (RID, rid)]);
        let expected = Ok((track(&video), rid.to_owned()));
        assert_eq!(place(&mut demuxer, &named), expected);
        assert_eq!(place(&mut demuxer, &packet(ssrc, 96, &[])), expected);
    }
    assert_eq!(
        place(&mut demuxer, &packet(4, 96, &[(MID, "v"), (RID, "x")])),
        Err(DemuxError::UnknownRid)
    );
    assert_eq!(
        place(&mut demuxer, &packet(4, 96, &[(MID, "v")])),
        Err(DemuxError::UnknownRid)
    );

    let repair = packet(12, 97, &[(MID, "v"), (REPAIRED_RID, "m")]);
    let route = demuxer.route(&repair).unwrap();
    assert_eq!(route.rid.map(Rid::as_str), Some("m"));
    assert_eq!(route.repairs, Some((Ssrc(2), payload_type(96))));
    assert_eq!(
        demuxer.media_ssrcs(track(&video), Some(&"m".into())),
        [Ssrc(2)]
    );
    assert_eq!(
        demuxer.media_ssrcs(track(&video), None),
        [Ssrc(1), Ssrc(2), Ssrc(3)]
    );
}

#[test]
fn a_declared_repair_stream_repeats_its_pair() {
    let mut video = section("v", &[(96, Some(97))]);
    receive(&mut video).ssrcs = vec![Ssrc(1), Ssrc(2)];
    receive(&mut video).rtx_ssrcs = vec![(Ssrc(11), Ssrc(1)), (Ssrc(12), Ssrc(2))];
    let mut demuxer = demuxer(&[video.clone(), section("w", &[(96, Some(97))])]);
    let repair = packet(12, 97, &[]);
    let route = demuxer.route(&repair).unwrap();
    assert_eq!(route.track, track(&video));
    assert_eq!(route.repairs, Some((Ssrc(2), payload_type(96))));
}

#[test]
fn an_undeclared_repair_stream_repeats_the_only_stream_of_its_section() {
    let mut demuxer = demuxer(&[section("v", &[(96, Some(97))])]);
    let repair = packet(11, 97, &[(MID, "v")]);
    assert_eq!(
        demuxer.route(&repair).err(),
        Some(DemuxError::UnknownOriginal)
    );
    place(&mut demuxer, &packet(1, 96, &[(MID, "v")])).unwrap();
    let route = demuxer.route(&repair).unwrap();
    assert_eq!(route.repairs, Some((Ssrc(1), payload_type(96))));
}

#[test]
fn a_new_plan_keeps_the_streams_of_sections_that_stay() {
    let sections = [section("0", &[(96, None)]), section("1", &[(96, None)])];
    let mut demuxer = demuxer(&sections);
    place(&mut demuxer, &packet(7, 96, &[(MID, "0")])).unwrap();
    place(&mut demuxer, &packet(8, 96, &[(MID, "1")])).unwrap();
    demuxer.apply(&MediaPlan {
        sections: vec![section("x", &[(96, None)]), sections[1].clone()],
    });
    assert_eq!(
        place(&mut demuxer, &packet(8, 96, &[])),
        Ok((track(&sections[1]), String::new()))
    );
    assert_eq!(
        place(&mut demuxer, &packet(7, 96, &[])),
        Err(DemuxError::Unmatched)
    );
}

/// What a peer's limits say by default.
const MAX_STREAMS: usize = 256;

#[test]
fn the_table_of_streams_is_bounded_and_forgets_the_most_silent() {
    let mut demuxer = demuxer(&[section("0", &[(96, None)])]);
    place(&mut demuxer, &packet(0, 96, &[])).unwrap();
    for ssrc in 1..2000 {
        place(&mut demuxer, &packet(ssrc, 96, &[])).unwrap();
        place(&mut demuxer, &packet(0, 96, &[])).unwrap();
    }
    assert_eq!(demuxer.streams.len(), MAX_STREAMS);
    assert_eq!(demuxer.forgotten(), 2000 - MAX_STREAMS as u64);
    assert!(demuxer.streams.get(Ssrc(0)).is_some());
    assert!(demuxer.streams.get(Ssrc(1999)).is_some());
    assert!(demuxer.streams.get(Ssrc(1)).is_none());
}

#[test]
fn before_anything_is_heard_the_description_names_the_stream() {
    let mut video = section("v", &[(96, Some(97))]);
    receive(&mut video).ssrcs = vec![Ssrc(5)];
    receive(&mut video).rtx_ssrcs = vec![(Ssrc(4), Ssrc(5))];
    let mut demuxer = demuxer(&[video.clone()]);
    assert_eq!(demuxer.media_ssrcs(track(&video), None), [Ssrc(5)]);
    assert_eq!(demuxer.track_of(Ssrc(5)), Some(track(&video)));
    place(&mut demuxer, &packet(6, 96, &[(MID, "v")])).unwrap();
    assert_eq!(demuxer.media_ssrcs(track(&video), None), [Ssrc(6)]);
    assert_eq!(demuxer.media_ssrcs(track(&video), Some(&"h".into())), []);
}
