//! What packets tell of the picture that they are of, and of its layers, without decoding: in front of a payload of VP8 or VP9, or in
//! a header extension for any codec.
//!
//! All of it is read from bytes of a stranger: what is cut off or contradicts itself is no descriptor, and no
//! more is kept than was read.

mod dependency;
mod vp8;
mod vp9;

pub(super) use self::dependency::{DependencyReader, FrameDependencies};
pub(super) use self::vp8::{Vp8Descriptor, Vp8Layer};
pub(super) use self::vp9::{Vp9Descriptor, Vp9Layer};

/// Where the numbers of a picture stand in a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// Of one byte, or of two.
    pub(super) id: Option<(usize, bool)>,
    pub(super) base_layer: Option<usize>,
    pub(super) key: Option<usize>,
}

/// Walks over a descriptor.
struct Cursor<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(payload: &'a [u8]) -> Self {
        Self { payload, at: 0 }
    }

    /// The next byte.
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.payload.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// Where the next byte stands.
    fn place(&mut self) -> Option<usize> {
        let at = self.at;
        self.byte().map(|_| at)
    }

    /// Where a picture id stands: it has one byte, or two if its first bit says so. The same in both codecs.
    fn picture_id(&mut self) -> Option<(usize, bool)> {
        let at = self.at;
        let is_long = self.byte()? & 0x80 != 0;
        if is_long {
            self.byte()?;
        }
        Some((at, is_long))
    }
}
