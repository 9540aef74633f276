use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::rtp::batch::RtpSource;
use crate::rtp::extension::ExtensionMap;
use crate::rtp::types::PayloadType;

/// A packet of a stream of VP9.
#[derive(Clone, Copy, Debug)]
struct Vp9 {
    number: u16,
    picture: u32,
    spatial: u8,
    temporal: u8,
    /// The first two bits below the picture id: P, and whether a switch up is possible.
    predicted: bool,
    begins: bool,
    ends: bool,
    marker: bool,
}

impl Vp9 {
    fn packet(self) -> RtpPacket {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let first =
            0xa0 | flag(self.predicted, 0x40) | flag(self.begins, 0x08) | flag(self.ends, 0x04);
        let layer = self.temporal << 5 | 0x10 | self.spatial << 1;
        let id = self.picture as u8 & 0x7f;
        packet(
            self.number,
            self.picture,
            self.marker,
            &[first, id, layer, 0, 0xaa],
        )
    }
}

fn packet(number: u16, picture: u32, marker: bool, payload: &[u8]) -> RtpPacket {
    RtpPacket::new(
        PayloadType::new(96).unwrap(),
        SequenceNumber(number),
        RtpTimestamp(picture * 3000),
        Ssrc(1),
        marker,
        Bytes::copy_from_slice(payload),
    )
}

/// Pictures of `spatial` layers of two packets each, in the temporal order 0 2 1 2; every one of them may begin higher temporal layers. Those
/// that are key pictures are named.
fn vp9_stream(pictures: std::ops::Range<u32>, spatial: u8, keys: &[u32]) -> Vec<Vp9> {
    let mut packets = Vec::new();
    for picture in pictures {
        let is_key = keys.contains(&picture);
        let temporal = [0, 2, 1, 2][picture as usize % 4];
        for layer in 0..spatial {
            for half in 0..2 {
                packets.push(Vp9 {
                    number: ((picture * u32::from(spatial) + u32::from(layer)) * 2 + half) as u16,
                    picture,
                    spatial: layer,
                    temporal: if is_key { 0 } else { temporal },
                    predicted: !is_key,
                    begins: half == 0,
                    ends: half == 1,
                    marker: half == 1 && layer + 1 == spatial,
                });
            }
        }
    }
    packets
}

fn taken(filter: &mut LayerFilter, packet: &RtpPacket, codec: &RtpCodec) -> Option<RtpPacket> {
    filter.take(packet, codec, None)
}

fn taken_vp9(filter: &mut LayerFilter, packet: Vp9) -> Option<RtpPacket> {
    taken(filter, &packet.packet(), &RtpCodec::vp9(0))
}

fn limited(spatial: u8, temporal: u8) -> LayerFilter {
    let mut filter = LayerFilter::default();
    filter.set_limit(LayerLimit::at_most(spatial, temporal));
    filter
}

#[test]
fn what_is_above_the_limit_leaves_no_gap_and_the_last_of_a_picture_is_marked() {
    let mut filter = limited(2, 2);
    let stream = vp9_stream(0..8, 3, &[0]);
    let mut next = stream[0].number;
    let mut pictures = Vec::new();
    for one in stream {
        let kept = taken_vp9(&mut filter, one);
        assert_eq!(
            kept.is_some(),
            one.spatial < 2 && one.temporal < 2,
            "{one:?}"
        );
        if let Some(kept) = kept {
            assert_eq!(kept.sequence_number().0, next);
            assert_eq!(kept.marker(), one.ends && one.spatial == 1);
            assert_eq!(kept.payload(), one.packet().payload());
            assert_eq!(kept.timestamp(), one.packet().timestamp());
            next += 1;
            pictures.push(one.picture);
        }
    }
    pictures.dedup();
    assert_eq!(pictures, [0, 2, 4, 6]);
    assert!(!filter.wants_keyframe());
}

#[test]
fn a_picture_that_has_begun_is_sent_as_it_has_begun() {
    let mut filter = LayerFilter::default();
    let stream = vp9_stream(0..3, 2, &[0]);
    let [before, within, after] = [&stream[..5], &stream[5..8], &stream[8..]];
    let batch = received(before.iter().map(|one| one.packet()));
    assert!(filter.filter(&batch).changed.is_none());
    filter.set_limit(LayerLimit::at_most(1, 3));
    for one in within {
        assert!(taken_vp9(&mut filter, *one).is_some(), "{one:?}");
    }
    for one in after {
        assert_eq!(taken_vp9(&mut filter, *one).is_some(), one.spatial == 0);
    }
}

#[test]
fn a_higher_spatial_layer_waits_for_a_keyframe_and_says_so() {
    let mut filter = limited(1, 3);
    let sent = |filter: &mut LayerFilter, pictures, keys: &[u32]| -> Vec<_> {
        let stream = vp9_stream(pictures, 2, keys).into_iter();
        let sent = stream.filter(|one| taken_vp9(filter, *one).is_some());
        sent.map(|one| (one.picture, one.spatial)).collect()
    };
    let lower = |picture| [(picture, 0), (picture, 0)];
    assert_eq!(sent(&mut filter, 0..1, &[0]), lower(0));
    assert!(!filter.wants_keyframe());
    filter.set_limit(LayerLimit::NONE);
    assert_eq!(sent(&mut filter, 1..2, &[]), lower(1));
    assert!(filter.wants_keyframe());
    assert_eq!(sent(&mut filter, 2..3, &[2]).len(), 4);
    assert!(!filter.wants_keyframe());
    assert_eq!(sent(&mut filter, 3..4, &[]).len(), 4);
}

#[test]
fn who_may_send_no_more_than_there_is_wants_no_keyframe() {
    let mut filter = limited(3, 3);
    for one in vp9_stream(0..4, 2, &[0]) {
        assert!(taken_vp9(&mut filter, one).is_some());
    }
    assert!(!filter.wants_keyframe());
}

#[test]
fn a_repaired_packet_gets_its_place_and_an_unwanted_one_fills_its_own() {
    let mut filter = limited(1, 1);
    // One packet a picture, of temporal layers 0 2 1 2.
    let mut stream: Vec<_> = vp9_stream(0..9, 1, &[0]);
    stream.retain(|one| one.begins);
    for (number, one) in (100..).zip(&mut stream) {
        one.number = number;
    }
    let mut out = |index: usize| {
        let kept = taken_vp9(&mut filter, stream[index])?;
        Some((kept.sequence_number().0, kept.payload().is_empty()))
    };
    assert_eq!(out(0), Some((100, false)));
    assert_eq!(out(1), None);
    // 102 and 104 are lost.
    assert_eq!(out(3), None);
    assert_eq!(out(5), None);
    assert_eq!(
        out(8),
        Some((105, false)),
        "of five before it two may come yet, as may 106 and 107"
    );
    assert_eq!(out(4), Some((102, false)));
    assert_eq!(out(2), Some((101, true)), "not to be asked for");
    assert_eq!(out(1), None, "it was left out");
    assert_eq!(out(4), Some((102, false)), "twice is for others to find");
}

#[test]
fn pictures_of_vp8_close_up() {
    let mut filter = limited(1, 2);
    let vp8 = |number: u16, picture: u32, id: u8, temporal: u8, sync: bool| {
        let layer = temporal << 6 | u8::from(sync) << 5;
        let delta = u8::from(picture > 0);
        let payload = [0x90, 0xe0, 0x80, id, 7, layer, delta];
        packet(number, picture, true, &payload)
    };
    let mut out = |packet: RtpPacket| {
        let kept = taken(&mut filter, &packet, &RtpCodec::vp8())?;
        Some((kept.sequence_number().0, kept.payload()[3]))
    };
    assert_eq!(out(vp8(10, 0, 250, 0, false)), Some((10, 250)));
    assert_eq!(out(vp8(11, 1, 251, 2, true)), None);
    assert_eq!(out(vp8(12, 2, 252, 1, true)), Some((11, 251)));
    assert_eq!(out(vp8(13, 3, 253, 2, false)), None);
    assert_eq!(out(vp8(14, 3, 253, 2, false)), None, "the same picture");
    assert_eq!(out(vp8(15, 4, 254, 0, false)), Some((12, 252)));
    // Taken back, the limit lets in nothing that would refer to what was left out.
    filter.set_limit(LayerLimit::NONE);
    let mut out = |packet: RtpPacket| {
        let kept = taken(&mut filter, &packet, &RtpCodec::vp8())?;
        Some((kept.sequence_number().0, kept.payload()[3]))
    };
    assert_eq!(out(vp8(16, 5, 255, 2, false)), None);
    assert_eq!(out(vp8(17, 6, 0, 1, false)), Some((13, 253)));
    assert_eq!(out(vp8(18, 7, 1, 2, true)), Some((14, 254)));
}

/// Descriptors of Chromium: three temporal layers.
#[test]
fn the_dependency_descriptor_tells_layers_of_any_codec() {
    let mut filter = limited(1, 1);
    let structure = "800001800214eaa860414d1410208427013f00ef";
    let out = |filter: &mut LayerFilter, number: u16, descriptor: &str| {
        let packet = packet(number, number.into(), true, &[0x10, 0x00]);
        let packet = packet
            .with_extensions(&[(12, &bytes_of(descriptor))])
            .unwrap();
        let kept = filter.take(&packet, &RtpCodec::av1(), Some(12))?;
        Some(kept.sequence_number().0)
    };
    // Templates of the temporal layers 0, 2, 1, 2, and 0 again.
    assert_eq!(out(&mut filter, 1, structure), Some(1));
    assert_eq!(out(&mut filter, 2, "c30002"), None);
    assert_eq!(out(&mut filter, 3, "c20003"), None);
    assert_eq!(out(&mut filter, 4, "c40004"), None);
    assert_eq!(out(&mut filter, 5, "c10005"), Some(2));
    filter.set_limit(LayerLimit::NONE);
    assert_eq!(
        out(&mut filter, 6, "c30006"),
        None,
        "not a frame to begin with"
    );
    assert_eq!(
        out(&mut filter, 9, "c10009"),
        Some(5),
        "which has a switch indication"
    );
    assert_eq!(out(&mut filter, 10, "c3000a"), Some(6));
    assert_eq!(out(&mut filter, 11, "c2000b"), Some(7));
}

#[test]
fn a_limit_that_comes_later_knows_the_structure_from_before() {
    let mut filter = LayerFilter::default();
    let described = |number: u16, descriptor: &str| {
        let packet = packet(number, number.into(), true, &[0x10, 0x00]);
        packet
            .with_extensions(&[(12, &bytes_of(descriptor))])
            .unwrap()
    };
    let source = Arc::new(RtpSource {
        codec: Arc::new(RtpCodec::av1()),
        extensions: ExtensionMap {
            entries: vec![(12, HeaderExtension::DependencyDescriptor)],
            mixed: true,
        },
    });
    let out = |filter: &mut LayerFilter, packet: RtpPacket| {
        let batch = RtpBatch::received([packet].into(), Arc::clone(&source), Instant::now());
        filter.filter(&batch).left_out
    };
    let key = described(1, "800001800214eaa860414d1410208427013f00ef");
    assert_eq!(out(&mut filter, key), 0);
    filter.set_limit(LayerLimit::at_most(1, 1));
    // The picture that comes next may have begun already.
    assert_eq!(out(&mut filter, described(2, "c30002")), 0);
    assert_eq!(out(&mut filter, described(3, "c20003")), 1);
}

#[test]
fn another_source_begins_with_the_limit_at_once() {
    let mut filter = limited(1, 1);
    for one in vp9_stream(0..4, 2, &[0]) {
        taken_vp9(&mut filter, one);
    }
    for one in vp9_stream(50..51, 2, &[50]) {
        let packet = one.packet();
        let other = packet.placed(Ssrc(2), packet.sequence_number(), packet.timestamp());
        let kept = taken(&mut filter, &other, &RtpCodec::vp9(0));
        assert_eq!(
            kept.map(|it| it.sequence_number()),
            (one.spatial == 0).then_some(packet.sequence_number())
        );
    }
}

#[test]
fn frames_of_the_dependency_descriptor_are_numbered_on_from_source_to_source() {
    let mut filter = LayerFilter::default();
    let source = Arc::new(RtpSource {
        codec: Arc::new(RtpCodec::av1()),
        extensions: ExtensionMap {
            entries: vec![(12, HeaderExtension::DependencyDescriptor)],
            mixed: true,
        },
    });
    let mut out = |ssrc: u32, number: u16, frame: u16| {
        let [high, low] = frame.to_be_bytes();
        let plain = packet(number, number.into(), true, &[0x10, 0x00]);
        let plain = plain.placed(Ssrc(ssrc), plain.sequence_number(), plain.timestamp());
        let described = plain.with_extensions(&[(3, b"x"), (12, &[0xc1, high, low]), (4, b"y")]);
        let packets = [described.unwrap()];
        let batch = RtpBatch::received(packets.into(), Arc::clone(&source), Instant::now());
        let filtered = filter.filter(&batch);
        let sent = &filtered.changed.as_ref().unwrap_or(&batch)[0];
        let value = sent.extension(12).unwrap();
        assert_eq!((value[0], sent.extension(4)), (0xc1, Some(&b"y"[..])));
        assert_eq!(sent.payload(), [0x10, 0x00]);
        u16::from_be_bytes([value[1], value[2]])
    };
    assert_eq!(out(1, 1, 65_535), 65_535);
    assert_eq!(out(1, 2, 0), 0);
    assert_eq!(out(2, 1, 500), 1);
    assert_eq!(out(2, 3, 503), 4);
    assert_eq!(out(2, 2, 502), 3);
    assert_eq!(out(1, 9, 7), 5);
}

#[test]
fn without_a_limit_nothing_is_touched() {
    let mut filter = LayerFilter::default();
    let stream = vp9_stream(0..4, 3, &[0]);
    let batch = received(stream.iter().map(|one| one.packet()));
    let filtered = filter.filter(&batch);
    assert!(filtered.changed.is_none() && filtered.left_out == 0);
    filter.set_limit(LayerLimit::at_most(1, 1));
    let made: RtpBatch = stream.iter().map(|one| one.packet()).collect();
    assert!(
        filter.filter(&made).changed.is_none(),
        "made by the application"
    );
}

fn received(packets: impl Iterator<Item = RtpPacket>) -> RtpBatch {
    let source = Arc::new(RtpSource {
        codec: Arc::new(RtpCodec::vp9(0)),
        extensions: ExtensionMap::default(),
    });
    RtpBatch::received(packets.collect(), source, Instant::now())
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
    digits.map(|pair| byte(pair).unwrap()).collect()
}

proptest! {
    /// Whatever the limits, and whatever is lost and swapped on the way: no two packets go out under one number, they keep their
    /// order, and where nothing was lost nothing seems to be.
    #[test]
    fn numbers_close_up_whatever_happens(
        start: u16,
        limits in prop::collection::vec((1_u8..4, 1_u8..4), 40),
        lost in prop::collection::vec(0_u8..10, 240),
        loses: bool,
    ) {
        let mut filter = LayerFilter::default();
        let stream = vp9_stream(0..40, 3, &[0, 9, 22]);
        let mut sent: Vec<(u16, u16)> = Vec::new();
        let mut late = Vec::new();
        let mut take = |filter: &mut LayerFilter, one: Vp9| {
            let number = start.wrapping_add(one.number);
            if let Some(kept) = taken_vp9(filter, Vp9 { number, ..one }) {
                sent.push((one.number, kept.sequence_number().0.wrapping_sub(start)));
            }
        };
        for (index, one) in stream.into_iter().enumerate() {
            let (spatial, temporal) = limits[one.picture as usize];
            filter.set_limit(LayerLimit::at_most(spatial, temporal));
            match lost[index] {
                0 if loses && index > 0 => late.push(one),
                1 if loses => late.drain(..).for_each(|it| take(&mut filter, it)),
                _ => take(&mut filter, one),
            }
        }
        late.drain(..).for_each(|it| take(&mut filter, it));
        sent.sort_unstable();
        for pair in sent.windows(2) {
            prop_assert!(pair[0].0 < pair[1].0, "one packet goes out once");
            prop_assert!(pair[0].1 < pair[1].1, "order is kept");
        }
        let numbers: Vec<_> = sent.iter().map(|it| it.1).collect();
        if !loses {
            let expected: Vec<_> = (0..numbers.len() as u16).collect();
            prop_assert_eq!(numbers, expected);
        }
    }
}
