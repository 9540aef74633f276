//! The payload descriptor of VP8 (RFC 7741 §4.2).

use super::{Cursor, Places};

/// What stands before a payload of VP8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rtp) struct Vp8Descriptor {
    /// The first packet of the first partition.
    pub(in crate::rtp) begins_picture: bool,
    pub(in crate::rtp) places: Places,
    /// Of senders that tell.
    pub(in crate::rtp) layer: Option<Vp8Layer>,
    /// Where the frame begins.
    pub(in crate::rtp) end: usize,
}

/// Which temporal layer a picture is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rtp) struct Vp8Layer {
    /// 0 to 3.
    pub(in crate::rtp) temporal: u8,
    /// It refers to nothing but the lowest layer.
    pub(in crate::rtp) is_sync: bool,
}

impl Vp8Descriptor {
    /// `None` where it is cut off. All places are within the payload.
    pub(in crate::rtp) fn read(payload: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(payload);
        let first = cursor.byte()?;
        let mut descriptor = Self {
            // S, and PID 0.
            begins_picture: first & 0x17 == 0x10,
            places: Places::default(),
            layer: None,
            end: 1,
        };
        if first & 0x80 == 0 {
            return Some(descriptor);
        }
        let extended = cursor.byte()?;
        if extended & 0x80 != 0 {
            descriptor.places.id = Some(cursor.picture_id()?);
        }
        if extended & 0x40 != 0 {
            descriptor.places.base_layer = Some(cursor.place()?);
        }
        if extended & 0x30 != 0 {
            let at = cursor.place()?;
            descriptor.places.key = (extended & 0x10 != 0).then_some(at);
            descriptor.layer = (extended & 0x20 != 0).then(|| Vp8Layer::of(payload[at]));
        }
        descriptor.end = cursor.at;
        Some(descriptor)
    }
}

impl Vp8Layer {
    fn of(byte: u8) -> Self {
        Self {
            temporal: byte >> 6,
            is_sync: byte & 0x20 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn layer(temporal: u8, is_sync: bool) -> Option<Vp8Layer> {
        Some(Vp8Layer { temporal, is_sync })
    }

    #[test]
    fn c071_the_descriptor_tells_where_a_picture_begins_and_its_layer() {
        let table: &[(&[u8], bool, Option<Vp8Layer>, usize)] = &[
            (&[0x10], true, None, 1),
            (&[0x00], false, None, 1),
            (&[0x11], false, None, 1),
            // The reserved bit and N change nothing.
            (&[0x78], true, None, 1),
            (&[0x90, 0x80, 0x92, 0x34], true, None, 4),
            (&[0x90, 0xe0, 0x12, 0x01, 0x00], true, layer(0, false), 5),
            (&[0x80, 0xe0, 0x12, 0x01, 0xa0], false, layer(2, true), 5),
            (&[0x90, 0x20, 0x60], true, layer(1, true), 3),
            // TID without T means nothing.
            (&[0x90, 0x10, 0xe5], true, None, 3),
        ];
        for (payload, begins, layer, end) in table {
            let read = Vp8Descriptor::read(payload).unwrap();
            let told = (read.begins_picture, read.layer, read.end);
            assert_eq!(told, (*begins, *layer, *end), "{payload:x?}");
            assert_eq!(Vp8Descriptor::read(&payload[..end - 1]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_descriptor_within_them_or_none(payload in prop::collection::vec(any::<u8>(), 0..10)) {
            if let Some(read) = Vp8Descriptor::read(&payload) {
                prop_assert!(read.end <= payload.len() && read.end <= 6);
                let Places { id, base_layer, key } = read.places;
                let id = id.map(|(at, is_long)| at + usize::from(is_long));
                for at in [id, base_layer, key].into_iter().flatten() {
                    prop_assert!(at < read.end);
                }
            }
        }
    }
}
