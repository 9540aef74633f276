//! Where a picture begins that stands for itself, by the first bytes of a packet's payload.

use super::descriptor::{Vp8Descriptor, Vp9Descriptor};
use crate::codec::RtpCodec;

/// Codecs whose keyframes can be told from the outside, without decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyframeMark {
    Vp8,
    Vp9,
    H264,
    H265,
    Av1,
}

impl KeyframeMark {
    /// The mark of this codec; `None` where there is none, as for sound, or where we know none.
    pub(crate) fn of(codec: &RtpCodec) -> Option<Self> {
        const KNOWN: [(&str, KeyframeMark); 5] = [
            ("VP8", KeyframeMark::Vp8),
            ("VP9", KeyframeMark::Vp9),
            ("H264", KeyframeMark::H264),
            ("H265", KeyframeMark::H265),
            ("AV1", KeyframeMark::Av1),
        ];
        let known = KNOWN
            .iter()
            .find(|(name, _)| codec.name.eq_ignore_ascii_case(name));
        known.map(|(_, mark)| *mark)
    }

    /// Whether a decoder may begin with the packet of this payload. A payload that is cut off begins nothing.
    pub(crate) fn begins_keyframe(self, payload: &[u8]) -> bool {
        let begins = match self {
            Self::Vp8 => begins_vp8(payload),
            Self::Vp9 => begins_vp9(payload),
            Self::H264 => begins_h264(payload),
            Self::H265 => begins_h265(payload),
            // N: the first packet of a coded video sequence (AV1 RTP §4.4).
            Self::Av1 => payload.first().map(|header| header & 0x08 != 0),
        };
        begins.unwrap_or(false)
    }
}

/// The beginning of a frame whose inverse key frame flag is 0 (RFC 7741 §4.2, §4.3).
fn begins_vp8(payload: &[u8]) -> Option<bool> {
    let descriptor = Vp8Descriptor::read(payload)?;
    if !descriptor.begins_picture {
        return Some(false);
    }
    let frame_header = *payload.get(descriptor.end)?;
    Some(frame_header & 0x01 == 0)
}

/// The beginning of a frame that refers to no other, of the lowest spatial layer (RFC 9628 §4.2).
fn begins_vp9(payload: &[u8]) -> Option<bool> {
    Some(Vp9Descriptor::read(payload)?.begins_keyframe())
}

/// A sequence parameter set or the beginning of an IDR slice, alone, aggregated or fragmented (RFC 6184 §5.2).
fn begins_h264(payload: &[u8]) -> Option<bool> {
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    let kind = payload.first()? & 0x1f;
    Some(match kind {
        STAP_A => aggregated(&payload[1..]).any(|unit| is_h264_entry(unit[0] & 0x1f)),
        FU_A => {
            let fragment = payload.get(1)?;
            fragment & 0x80 != 0 && is_h264_entry(fragment & 0x1f)
        }
        _ => is_h264_entry(kind),
    })
}

fn is_h264_entry(kind: u8) -> bool {
    const IDR: u8 = 5;
    const SEQUENCE_PARAMETERS: u8 = 7;
    matches!(kind, IDR | SEQUENCE_PARAMETERS)
}

/// A parameter set or the beginning of a slice at a random access point (RFC 7798 §4.4).
fn begins_h265(payload: &[u8]) -> Option<bool> {
    const AGGREGATION: u8 = 48;
    const FRAGMENTATION: u8 = 49;
    let kind = payload.first()? >> 1 & 0x3f;
    let unit = payload.get(2..)?;
    Some(match kind {
        AGGREGATION => aggregated(unit).any(|unit| is_h265_entry(unit[0] >> 1 & 0x3f)),
        FRAGMENTATION => {
            let fragment = unit.first()?;
            fragment & 0x80 != 0 && is_h265_entry(fragment & 0x3f)
        }
        _ => is_h265_entry(kind),
    })
}

fn is_h265_entry(kind: u8) -> bool {
    const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=23;
    const PARAMETER_SETS: std::ops::RangeInclusive<u8> = 32..=34;
    RANDOM_ACCESS.contains(&kind) || PARAMETER_SETS.contains(&kind)
}

/// The units of an aggregation, each behind two bytes of length; none of them is empty. Ends where a length
/// says more than there is.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 || length > behind.len() {
            return None;
        }
        let (unit, behind) = behind.split_at(length);
        rest = behind;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::KeyframeMark::*;
    use super::*;

    #[test]
    fn codecs_are_known_by_name_without_case() {
        let known = |name: &str| {
            KeyframeMark::of(&RtpCodec {
                name: name.to_owned(),
                ..RtpCodec::vp8()
            })
        };
        assert_eq!(known("vp8"), Some(Vp8));
        assert_eq!(known("AV1"), Some(Av1));
        assert_eq!(known("opus"), None);
    }

    /// Beginnings of packets, and whether they begin a keyframe. Those marked with a star are of Chromium.
    const PACKETS: &[(KeyframeMark, &[u8], bool)] = &[
        (Vp8, &[0x10, 0x00], true),
        (Vp8, &[0x10, 0x01], false),
        // * X with a picture id of 15 bits, T0, TID and KEYIDX.
        (
            Vp8,
            &[0x90, 0x80, 0xd3, 0x11, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a],
            true,
        ),
        (Vp8, &[0x90, 0xe0, 0xd3, 0x11, 0x2a, 0x40, 0x50], true),
        (Vp8, &[0x90, 0xe0, 0xd3, 0x11, 0x2a, 0x40, 0x51], false),
        (Vp8, &[0x90, 0x80, 0x12, 0x50], true),
        // A later packet, and a later partition.
        (Vp8, &[0x00, 0x00], false),
        (Vp8, &[0x11, 0x00], false),
        // The reserved bit and N change nothing.
        (Vp8, &[0x38, 0x00], true),
        (Vp9, &[0x08], true),
        (Vp9, &[0x0c], true),
        (Vp9, &[0x48], false),
        (Vp9, &[0x04], false),
        // * I, L, F=0, B: a picture id of 15 bits, then layers.
        (Vp9, &[0xaa, 0x92, 0x34, 0x00, 0x01], true),
        (Vp9, &[0xaa, 0x92, 0x34, 0x02, 0x01], false),
        (Vp9, &[0xa8, 0x12, 0x00, 0x01], true),
        (Vp9, &[0x28, 0x04, 0x01], false),
        (H264, &[0x67, 0x42, 0xe0], true),
        (H264, &[0x65, 0x88], true),
        (H264, &[0x68, 0xce], false),
        (H264, &[0x61, 0xe0], false),
        // * SPS and PPS together.
        (H264, &[0x78, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xce], true),
        (H264, &[0x78, 0, 2, 0x09, 0xf0, 0, 2, 0x65, 0x88], true),
        (H264, &[0x78, 0, 2, 0x09, 0xf0, 0, 9, 0x65, 0x88], false),
        (H264, &[0x78, 0, 0, 0x67, 0x42], false),
        (H264, &[0x7c, 0x85, 0x88], true),
        (H264, &[0x7c, 0x45, 0x88], false),
        (H264, &[0x7c, 0x81, 0xe0], false),
        (H265, &[0x40, 0x01, 0x0c], true),
        (H265, &[0x26, 0x01, 0xaf], true),
        (H265, &[0x02, 0x01, 0xd0], false),
        (
            H265,
            &[0x60, 0x01, 0, 2, 0x40, 0x01, 0, 2, 0x42, 0x01],
            true,
        ),
        (H265, &[0x60, 0x01, 0, 2, 0x02, 0x01], false),
        (H265, &[0x62, 0x01, 0x93], true),
        (H265, &[0x62, 0x01, 0x53], false),
        (H265, &[0x62, 0x01, 0x81], false),
        (Av1, &[0x18, 0x0a], true),
        (Av1, &[0x10, 0x30], false),
        (Av1, &[0x90, 0x30], false),
    ];

    #[test]
    fn a_keyframe_is_known_by_its_first_packet() {
        for (mark, payload, begins) in PACKETS {
            assert_eq!(
                mark.begins_keyframe(payload),
                *begins,
                "{mark:?} {payload:x?}"
            );
        }
    }

    #[test]
    fn a_payload_cut_short_panics_nowhere() {
        for (mark, payload, _) in PACKETS {
            for length in 0..payload.len() {
                mark.begins_keyframe(&payload[..length]);
            }
        }
        for mark in [Vp8, Vp9, H264, H265, Av1] {
            assert!(!mark.begins_keyframe(&[]));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer(payload in prop::collection::vec(any::<u8>(), 0..40)) {
            for mark in [Vp8, Vp9, H264, H265, Av1] {
                mark.begins_keyframe(&payload);
            }
        }
    }
}
