//! Channels of TURN (RFC 8656 §12): four bytes in front of what a relay carries.

use std::io;

/// Stands for one peer at one relay, between us and the TURN server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ChannelNumber(u16);

impl ChannelNumber {
    /// The first one that may be used.
    pub(crate) const FIRST: Self = Self(0x4000);

    /// The one after this; there are 4096.
    pub(crate) fn next(self) -> Option<Self> {
        (self.0 < LAST).then_some(Self(self.0 + 1))
    }

    /// As it stands in messages.
    pub(crate) fn to_be_bytes(self) -> [u8; 2] {
        self.0.to_be_bytes()
    }

    /// Reads ChannelData: the number, and what came through the channel.
    pub(crate) fn open(datagram: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = datagram.split_first_chunk::<HEADER>()?;
        let number = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if !(Self::FIRST.0..=LAST).contains(&number) {
            return None;
        }
        // There may be padding (§12.5).
        Some((Self(number), rest.get(..length)?))
    }

    /// Writes ChannelData: `contents`, or each of its segments of `segment` bytes, and the size of the
    /// segments that this makes. Padding is for streams (§12.5).
    ///
    /// # Errors
    ///
    /// A datagram longer than its length can be written.
    pub(crate) fn wrap(
        self,
        contents: &[u8],
        segment: Option<usize>,
    ) -> io::Result<(Vec<u8>, Option<usize>)> {
        let size = segment
            .filter(|size| *size > 0)
            .unwrap_or_else(|| contents.len().max(1));
        let count = contents.len().div_ceil(size);
        let mut wrapped = Vec::with_capacity(contents.len() + count * HEADER);
        for datagram in contents.chunks(size) {
            let length = u16::try_from(datagram.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
            wrapped.extend(self.to_be_bytes());
            wrapped.extend(length.to_be_bytes());
            wrapped.extend(datagram);
        }
        Ok((wrapped, segment.map(|size| size + HEADER)))
    }
}

const HEADER: usize = 4;
/// What follows up to 0x7FFF is reserved (§12).
const LAST: u16 = 0x4FFF;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_segment_gets_its_own_header() {
        let (wrapped, segment) = ChannelNumber::FIRST.wrap(&[7; 5], Some(2)).unwrap();
        let expected = [0x40, 0, 0, 2, 7, 7, 0x40, 0, 0, 2, 7, 7, 0x40, 0, 0, 1, 7];
        assert_eq!((&wrapped[..], segment), (&expected[..], Some(6)));
        let (wrapped, segment) = ChannelNumber::FIRST.wrap(&[7; 5], None).unwrap();
        assert_eq!((wrapped.len(), segment), (9, None));
        assert!(ChannelNumber::FIRST.wrap(&[0; 70_000], None).is_err());
    }

    #[test]
    fn what_claims_more_than_there_is_or_is_no_channel_is_refused() {
        let opened = ChannelNumber::open(&[0x40, 1, 0, 2, 8, 9, 0, 0]);
        assert_eq!(opened, Some((ChannelNumber(0x4001), &[8, 9][..])));
        for datagram in [
            &[0x40, 0, 0, 3, 1, 2][..],
            &[0x40, 0, 0],
            &[0x50, 0, 0, 0],
            &[0x3F, 0, 0, 0],
        ] {
            assert_eq!(ChannelNumber::open(datagram), None);
        }
    }

    #[test]
    fn the_numbers_end() {
        let numbers = std::iter::successors(Some(ChannelNumber::FIRST), |number| number.next());
        assert_eq!(numbers.count(), 4096);
    }

    proptest! {
        #[test]
        fn what_is_wrapped_is_opened(contents in prop::collection::vec(any::<u8>(), 1..2000)) {
            let (wrapped, _) = ChannelNumber::FIRST.wrap(&contents, None).unwrap();
            prop_assert_eq!(ChannelNumber::open(&wrapped), Some((ChannelNumber::FIRST, &contents[..])));
        }
    }
}
