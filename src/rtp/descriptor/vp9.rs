//! The payload descriptor of VP9 (RFC 9628 §4.2), as far as the references of a picture; of the structure that may stand behind them
//! nobody who forwards has need.

use super::{Cursor, Places};

/// What stands before a payload of VP9.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rtp) struct Vp9Descriptor {
    /// P: the frame refers to other pictures.
    pub(in crate::rtp) is_predicted: bool,
    /// B: the first packet of a frame, which is what one spatial layer has in a picture.
    pub(in crate::rtp) begins_frame: bool,
    /// E: its last packet.
    pub(in crate::rtp) ends_frame: bool,
    pub(in crate::rtp) places: Places,
    /// Of senders that tell.
    pub(in crate::rtp) layer: Option<Vp9Layer>,
}

/// Which layers a frame is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rtp) struct Vp9Layer {
    /// 0 to 7.
    pub(in crate::rtp) temporal: u8,
    /// 0 to 7.
    pub(in crate::rtp) spatial: u8,
    /// U: no later picture of a higher temporal layer refers to one before this, but for those of this layer and lower ones.
    pub(in crate::rtp) switches_up: bool,
}

impl Vp9Descriptor {
    /// `None` where it is cut off, or names more references than there may be. All places are within the payload.
    pub(in crate::rtp) fn read(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(payload);
        let first = cursor.byte()?;
        let has = |flag| first & flag != 0;
        let (is_predicted, is_flexible) = (has(0x40), has(0x10));
        let mut descriptor = Self {
            is_predicted,
            begins_frame: has(0x08),
            ends_frame: has(0x04),
            places: Places::default(),
            layer: None,
        };
        if has(0x80) {
            descriptor.places.id = Some(cursor.picture_id()?);
        }
        if has(0x20) {
            descriptor.layer = Some(Vp9Layer::of(cursor.byte()?));
            if !is_flexible {
                descriptor.places.base_layer = Some(cursor.place()?);
            }
        }
        if is_flexible && is_predicted {
            pass_references(&mut cursor)?;
        }
        Some(descriptor)
    }

    /// Whether a decoder may begin here.
    pub(in crate::rtp) fn begins_keyframe(&self) -> bool {
        let is_lowest = self.layer.is_none_or(|layer| layer.spatial == 0);
        self.begins_frame && !self.is_predicted && is_lowest
    }
}

/// P_DIFF, with a bit that says whether another one follows.
fn pass_references(cursor: &mut Cursor<'_>) -> Option<()> {
    for _ in 0..MAX_REFERENCES {
        if cursor.byte()? & 0x01 == 0 {
            return Some(());
        }
    }
    None
}

impl Vp9Layer {
    fn of(byte: u8) -> Self {
        Self {
            temporal: byte >> 5,
            spatial: byte >> 1 & 0x07,
            switches_up: byte & 0x10 != 0,
        }
    }
}

/// RFC 9628 §4.2: "up to 3 times".
const MAX_REFERENCES: usize = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layer(temporal: u8, spatial: u8, switches_up: bool) -> Option<Vp9Layer> {
        Some(Vp9Layer {
            temporal,
            spatial,
            switches_up,
        })
    }

    fn read(payload: &[u8]) -> Vp9Descriptor {
        Vp9Descriptor::read(payload).unwrap()
    }

    #[test]
    fn layers_are_read_in_flexible_mode_and_in_the_other() {
        let table: &[(&[u8], Option<Vp9Layer>)] = &[
            (&[0x08], None),
            (&[0x88, 0x12], None),
            (&[0xa8, 0x12, 0x00, 0x07], layer(0, 0, false)),
            (&[0xac, 0x92, 0x34, 0x55, 0x07], layer(2, 2, true)),
            (&[0x20, 0xe2, 0x07], layer(7, 1, false)),
            // F: no TL0PICIDX, but references where there is prediction.
            (&[0xb8, 0x12, 0x14], layer(0, 2, true)),
            (&[0xf8, 0x12, 0x34, 0x02], layer(1, 2, true)),
            (&[0xf8, 0x12, 0x34, 0x03, 0x02], layer(1, 2, true)),
        ];
        for (payload, layer) in table {
            assert_eq!(read(payload).layer, *layer, "{payload:x?}");
            for length in 0..payload.len() {
                assert_eq!(Vp9Descriptor::read(&payload[..length]), None);
            }
        }
    }

    #[test]
    fn a_frame_begins_and_ends_where_it_says() {
        for (first, begins, ends) in [
            (0x08, true, false),
            (0x00, false, false),
            (0x04, false, true),
            (0x0c, true, true),
        ] {
            let read = read(&[first]);
            assert_eq!((read.begins_frame, read.ends_frame), (begins, ends));
        }
    }

    #[test]
    fn a_decoder_begins_at_the_lowest_layer_of_a_picture_that_refers_to_no_other() {
        assert!(read(&[0x08]).begins_keyframe());
        assert!(read(&[0xa8, 0x12, 0x00, 0x01]).begins_keyframe());
        assert!(!read(&[0xa8, 0x12, 0x02, 0x01]).begins_keyframe());
        assert!(!read(&[0x48]).begins_keyframe());
        assert!(!read(&[0x04]).begins_keyframe());
    }

    #[test]
    fn more_references_than_there_may_be_are_no_descriptor() {
        assert!(Vp9Descriptor::read(&[0x58, 0x03, 0x05, 0x06]).is_some());
        assert_eq!(Vp9Descriptor::read(&[0x58, 0x03, 0x05, 0x07, 0x02]), None);
    }

    /// Of Chromium 156: a key picture of two spatial layers, and the next picture.
    #[test]
    fn layers_of_chromium_are_read() {
        let [first, upper, last, next] = [
            "bafeb61030014000",
            "b9feb6138702020004fe03be",
            "b5feb61342c4b5215689aa28",
            "fdfeb4500287000000027e01",
        ]
        .map(|hex| read(&bytes_of(hex)));
        assert!(first.begins_keyframe());
        assert_eq!(first.layer, layer(0, 0, true));
        assert_eq!(upper.layer, layer(0, 1, true));
        assert!(upper.begins_frame && !upper.is_predicted && !upper.begins_keyframe());
        assert!(last.ends_frame && !last.begins_frame);
        assert_eq!(next.layer, layer(2, 0, true));
        assert!(next.is_predicted && next.begins_frame && next.ends_frame);
    }

    fn bytes_of(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.map(|pair| byte(pair).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_descriptor_within_them_or_none(payload in prop::collection::vec(any::<u8>(), 0..10)) {
            if let Some(read) = Vp9Descriptor::read(&payload) {
                let id = read.places.id.map(|(at, is_long)| at + usize::from(is_long));
                for at in [id, read.places.base_layer].into_iter().flatten() {
                    prop_assert!(at < payload.len());
                }
                prop_assert_eq!(read.places.key, None);
            }
        }
    }
}
