//! The numbers that VP8 and VP9 give their pictures inside the payload, so that they can go on when the source of a
//! stream changes. Receivers find with them which picture refers to which.

use super::descriptor::{Places, Vp8Descriptor, Vp9Descriptor};
use crate::codec::RtpCodec;

/// Codecs whose payloads number their pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureCodec {
    Vp8,
    Vp9,
}

/// The numbers of one picture; 0 for those that its packets do not carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PictureNumbers {
    /// Counts pictures; 15 bits, of which some senders write the lower 7.
    id: u16,
    /// Counts pictures of the lowest temporal layer.
    base_layer: u8,
    /// Counts keyframes of the temporal layering; 5 bits, VP8 only.
    key: u8,
}

impl PictureNumbers {
    /// The numbers of the picture that follows this one.
    pub(crate) fn next(self) -> Self {
        self.plus(Self {
            id: 1,
            base_layer: 1,
            key: 1,
        })
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            id: self.id.wrapping_add(other.id) & LONG_ID,
            base_layer: self.base_layer.wrapping_add(other.base_layer),
            key: self.key.wrapping_add(other.key) & KEY,
        }
    }

    /// Those of a picture of the same stream, of which so many before it are not sent. Pictures that are left out are never of the lowest
    /// layer, which the other numbers count.
    pub(super) fn closing_up(self, left_out: u16) -> Self {
        Self {
            id: self.id.wrapping_sub(left_out) & LONG_ID,
            ..self
        }
    }

    /// What has to be added to `other` to come here.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            id: self.id.wrapping_sub(other.id) & LONG_ID,
            base_layer: self.base_layer.wrapping_sub(other.base_layer),
            key: self.key.wrapping_sub(other.key) & KEY,
        }
    }
}

impl PictureCodec {
    /// `None` for codecs that number nothing in their payload.
    pub(crate) fn of(codec: &RtpCodec) -> Option<Self> {
        let is = |name| codec.name.eq_ignore_ascii_case(name);
        if is("VP8") {
            Some(Self::Vp8)
        } else {
            is("VP9").then_some(Self::Vp9)
        }
    }

    /// The numbers of the picture that this payload is of; `None` where its descriptor is cut off.
    pub(crate) fn read(self, payload: &[u8]) -> Option<PictureNumbers> {
        let places = self.places(payload)?;
        let byte = |place: Option<usize>| place.map_or(0, |at| payload[at]);
        let id = match places.id {
            None => 0,
            Some((at, false)) => u16::from(payload[at] & 0x7f),
            Some((at, true)) => u16::from_be_bytes([payload[at], payload[at + 1]]) & LONG_ID,
        };
        Some(PictureNumbers {
            id,
            base_layer: byte(places.base_layer),
            key: byte(places.key) & KEY,
        })
    }

    /// Gives the picture other numbers, as far as it carries any.
    pub(crate) fn write(self, numbers: PictureNumbers, payload: &mut [u8]) {
        let Some(places) = self.places(payload) else {
            return;
        };
        match places.id {
            None => {}
            Some((at, false)) => payload[at] = numbers.id as u8 & 0x7f,
            Some((at, true)) => {
                payload[at..at + 2].copy_from_slice(&(numbers.id | !LONG_ID).to_be_bytes());
            }
        }
        if let Some(at) = places.base_layer {
            payload[at] = numbers.base_layer;
        }
        if let Some(at) = places.key {
            payload[at] = payload[at] & !KEY | numbers.key & KEY;
        }
    }

    /// All places are within the payload.
    fn places(self, payload: &[u8]) -> Option<Places> {
        match self {
            Self::Vp8 => Vp8Descriptor::read(payload).map(|it| it.places),
            Self::Vp9 => Vp9Descriptor::read(payload).map(|it| it.places),
        }
    }
}

const LONG_ID: u16 = 0x7fff;
const KEY: u8 = 0x1f;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::PictureCodec::*;
    use super::*;

    fn numbers(id: u16, base_layer: u8, key: u8) -> PictureNumbers {
        PictureNumbers {
            id,
            base_layer,
            key,
        }
    }

    /// Descriptors, and what they say.
    const PAYLOADS: &[(PictureCodec, &[u8], [u16; 3])] = &[
        (Vp8, &[0x10, 0], [0, 0, 0]),
        (Vp8, &[0x90, 0x80, 0xd3, 0x11, 0], [0x5311, 0, 0]),
        (Vp8, &[0x90, 0x80, 0x53, 0], [0x53, 0, 0]),
        (
            Vp8,
            &[0x90, 0xe0, 0xd3, 0x11, 0x2a, 0x40],
            [0x5311, 0x2a, 0],
        ),
        (Vp8, &[0x90, 0xf0, 0x53, 0x2a, 0xff, 0], [0x53, 0x2a, 0x1f]),
        (Vp8, &[0x90, 0x10, 0x65, 0], [0, 0, 5]),
        (Vp9, &[0x08], [0, 0, 0]),
        (Vp9, &[0x8a, 0xff, 0xfe, 0], [0x7ffe, 0, 0]),
        (Vp9, &[0xaa, 0x92, 0x34, 0, 0x77], [0x1234, 0x77, 0]),
        (Vp9, &[0xba, 0x12, 0, 0x77], [0x12, 0, 0]),
    ];

    #[test]
    fn c070_numbers_are_read_and_written_where_they_stand() {
        for (codec, payload, [id, base_layer, key]) in PAYLOADS {
            let read = codec.read(payload).unwrap();
            let expected = numbers(*id, *base_layer as u8, *key as u8);
            assert_eq!(read, expected, "{payload:x?}");
            let mut changed = payload.to_vec();
            codec.write(read, &mut changed);
            assert_eq!(changed, *payload, "written as they were");
        }
    }

    #[test]
    fn c070_numbers_roll_over_and_are_never_negative() {
        let last = numbers(0x7fff, 0xff, 0x1f);
        assert_eq!(last.next(), numbers(0, 0, 0));
        assert_eq!(numbers(3, 2, 1).minus(last).plus(last), numbers(3, 2, 1));
        let mut long = [0x90, 0xf0, 0xff, 0xff, 0xff, 0xff];
        Vp8.write(last.next(), &mut long);
        assert_eq!(long, [0x90, 0xf0, 0x80, 0, 0, 0xe0]);
        let mut short = [0x90, 0x80, 0x7f, 0];
        Vp8.write(numbers(0x180, 0, 0), &mut short);
        assert_eq!(short, [0x90, 0x80, 0, 0]);
    }

    #[test]
    fn a_descriptor_cut_short_says_nothing_and_stays_as_it_is() {
        for (codec, payload, _) in PAYLOADS {
            for length in 0..payload.len() {
                let mut cut = payload[..length].to_vec();
                codec.write(numbers(1, 1, 1), &mut cut);
                assert_eq!(cut.len(), length);
            }
            assert_eq!(codec.read(&[]), None);
        }
        assert_eq!(Vp8.read(&[0x90, 0xf0, 0xff]), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            mut payload in prop::collection::vec(any::<u8>(), 0..12),
            id in 0..=LONG_ID,
            base_layer: u8,
            key in 0..=KEY,
        ) {
            for codec in [Vp8, Vp9] {
                let Some(before) = codec.read(&payload) else { continue };
                codec.write(numbers(id, base_layer, key), &mut payload);
                let after = codec.read(&payload).unwrap();
                let of = |now: u16, was: u16, new: u16| now == new || now == new & 0x7f || was == 0 && now == 0;
                prop_assert!(of(after.id, before.id, id));
                prop_assert!(of(after.base_layer.into(), before.base_layer.into(), base_layer.into()));
                prop_assert!(of(after.key.into(), before.key.into(), key.into()));
            }
        }
    }
}
