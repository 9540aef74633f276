//! Handshake messages out of fragments (RFC 6347 §4.2.3): lost, repeated, overlapping, out of
//! order, and always bounded.

use std::collections::BTreeMap;

/// One fragment of a handshake message, as its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment<'a> {
    pub(super) kind: u8,
    /// Of the whole message.
    pub(super) message_length: usize,
    pub(super) message_sequence: u16,
    pub(super) offset: usize,
    pub(super) bytes: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads the first fragment of a record's contents, and what follows it.
    pub(super) fn read(contents: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = contents.split_first_chunk::<HEADER_BYTES>()?;
        let u24 = |at: usize| {
            (usize::from(header[at]) << 16)
                | (usize::from(header[at + 1]) << 8)
                | usize::from(header[at + 2])
        };
        let (message_length, offset, length) = (u24(1), u24(6), u24(9));
        let (bytes, rest) = rest.split_at_checked(length)?;
        if offset + length > message_length {
            return None;
        }
        let fragment = Self {
            kind: header[0],
            message_length,
            message_sequence: u16::from_be_bytes([header[4], header[5]]),
            offset,
            bytes,
        };
        Some((fragment, rest))
    }

    /// Writes header and bytes.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let u24 = |out: &mut Vec<u8>, value: usize| {
            out.extend([(value >> 16) as u8, (value >> 8) as u8, value as u8]);
        };
        out.push(self.kind);
        u24(out, self.message_length);
        out.extend(self.message_sequence.to_be_bytes());
        u24(out, self.offset);
        u24(out, self.bytes.len());
        out.extend(self.bytes);
    }
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) sequence: u16,
    pub(super) body: Vec<u8>,
}

/// Puts the fragments of one handshake together, message after message.
///
/// Bounds: what is held and what has been given out are together at most [`MAX_BYTES`], in at most
/// [`MAX_PIECES`] pieces held, of the next [`WINDOW`] messages. When there is no room, pieces of
/// later messages go first, then the new fragment; the peer repeats its flight anyway.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    next: u16,
    assemblies: BTreeMap<u16, Assembly>,
    /// Bytes of all messages given out.
    delivered_bytes: usize,
}

#[derive(Debug)]
struct Assembly {
    kind: u8,
    length: usize,
    /// By offset; they do not overlap.
    pieces: BTreeMap<usize, Vec<u8>>,
    bytes: usize,
}

impl Reassembly {
    /// The sequence number of the message that is to be given out next.
    pub(super) fn next(&self) -> u16 {
        self.next
    }

    /// Takes a fragment in; `false` when it is dropped.
    pub(super) fn add(&mut self, fragment: &Fragment<'_>) -> bool {
        let sequence = fragment.message_sequence;
        if sequence < self.next || sequence - self.next >= WINDOW {
            return false;
        }
        let fits = |assembly: &mut Assembly| {
            assembly.kind == fragment.kind && assembly.length == fragment.message_length
        };
        // Nothing is authenticated yet. Whoever came last is believed, or else one forged fragment
        // could keep the genuine message out for good.
        if !self.assemblies.get_mut(&sequence).is_none_or(fits) {
            self.assemblies.remove(&sequence);
        }
        if !self.make_room(sequence, fragment.bytes.len()) {
            return false;
        }
        self.assemblies
            .entry(sequence)
            .or_insert_with(|| Assembly {
                kind: fragment.kind,
                length: fragment.message_length,
                pieces: BTreeMap::new(),
                bytes: 0,
            })
            .add(fragment.offset, fragment.bytes);
        true
    }

    /// The next message in order, if it is complete. Unless it is then [accepted](Self::accept),
    /// because it was found unsound, its place waits for a better one.
    pub(super) fn take(&mut self) -> Option<Message> {
        if !self.assemblies.get(&self.next)?.is_complete() {
            return None;
        }
        let assembly = self.assemblies.remove(&self.next)?;
        let mut body = Vec::with_capacity(assembly.bytes);
        for piece in assembly.pieces.values() {
            body.extend_from_slice(piece);
        }
        Some(Message {
            kind: assembly.kind,
            sequence: self.next,
            body,
        })
    }

    /// The message that was taken is a good one; the next is that after it.
    pub(super) fn accept(&mut self, message: &Message) {
        self.delivered_bytes += message.body.len();
        self.next = message.sequence.saturating_add(1);
    }

    fn make_room(&mut self, sequence: u16, bytes: usize) -> bool {
        loop {
            let held: usize = self
                .assemblies
                .values()
                .map(|assembly| assembly.bytes)
                .sum();
            let pieces: usize = self.assemblies.values().map(|a| a.pieces.len()).sum();
            // One fragment may fill several gaps, but of no more pieces than there are already.
            let room = self.delivered_bytes + held + bytes <= MAX_BYTES && pieces < MAX_PIECES;
            if room {
                return true;
            }
            match self.assemblies.last_key_value() {
                Some((&last, _)) if last > sequence => self.assemblies.remove(&last),
                Some(_) | None => return false,
            };
        }
    }
}

impl Assembly {
    fn is_complete(&self) -> bool {
        self.bytes == self.length
    }

    /// Keeps what is new of these bytes.
    fn add(&mut self, offset: usize, bytes: &[u8]) {
        let end = offset + bytes.len();
        let mut at = offset;
        // The piece that begins before may reach into the new bytes.
        if let Some((&start, piece)) = self.pieces.range(..=offset).next_back() {
            at = at.max(start + piece.len());
        }
        while at < end {
            let next = self.pieces.range(at..end).next();
            let (gap_end, resume) = match next {
                Some((&start, piece)) => (start, start + piece.len()),
                None => (end, end),
            };
            if at < gap_end {
                let piece = bytes[at - offset..gap_end - offset].to_vec();
                self.bytes += piece.len();
                self.pieces.insert(at, piece);
            }
            at = resume;
        }
    }
}

pub(super) const HEADER_BYTES: usize = 12;

/// Of all messages of one handshake together. A chain of a few certificates is 5 KiB.
const MAX_BYTES: usize = 64 * 1024;

/// Held at a time. A certificate of 64 KiB in datagrams of 1200 bytes makes 55.
const MAX_PIECES: usize = 256;

/// How many messages ahead fragments are kept; a whole flight has six at most (RFC 6347 §4.2.4).
const WINDOW: u16 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fragment(sequence: u16, length: usize, offset: usize, bytes: &[u8]) -> Fragment<'_> {
        Fragment {
            kind: 11,
            message_length: length,
            message_sequence: sequence,
            offset,
            bytes,
        }
    }

    fn message(sequence: u16, body: &[u8]) -> Message {
        Message {
            kind: 11,
            sequence,
            body: body.to_vec(),
        }
    }

    #[test]
    fn a_header_that_lies_about_its_length_is_no_fragment() {
        let mut bytes = Vec::new();
        fragment(0, 4, 0, b"abcd").write(&mut bytes);
        assert_eq!(
            Fragment::read(&bytes),
            Some((fragment(0, 4, 0, b"abcd"), &[][..]))
        );
        assert_eq!(Fragment::read(&bytes[..15]), None, "shorter than it says");
        bytes[8] = 1;
        assert_eq!(Fragment::read(&bytes), None, "reaches behind its message");
        assert_eq!(Fragment::read(&[]), None);
    }

    #[test]
    fn messages_come_out_in_order_however_they_came_in() {
        let mut reassembly = Reassembly::default();
        assert!(reassembly.add(&fragment(1, 2, 0, b"xy")));
        assert_eq!(reassembly.take(), None);
        assert!(reassembly.add(&fragment(0, 4, 2, b"cd")));
        assert!(reassembly.add(&fragment(0, 4, 0, b"ab")));
        for expected in [message(0, b"abcd"), message(1, b"xy")] {
            let taken = reassembly.take().unwrap();
            assert_eq!(taken, expected);
            reassembly.accept(&taken);
        }
        assert_eq!(reassembly.next(), 2);
    }

    #[test]
    fn an_empty_message_is_complete_at_once() {
        let mut reassembly = Reassembly::default();
        assert!(reassembly.add(&fragment(0, 0, 0, b"")));
        assert_eq!(reassembly.take(), Some(message(0, b"")));
    }

    #[test]
    fn a_refused_message_leaves_its_place_to_a_better_one() {
        let mut reassembly = Reassembly::default();
        assert!(reassembly.add(&fragment(0, 2, 0, b"no")));
        assert!(reassembly.take().is_some());
        assert!(reassembly.add(&fragment(0, 3, 0, b"yes")));
        assert_eq!(reassembly.take(), Some(message(0, b"yes")));
    }

    #[test]
    fn one_forged_fragment_does_not_keep_the_message_out() {
        let mut reassembly = Reassembly::default();
        assert!(reassembly.add(&fragment(0, 9000, 17, b"forged")));
        assert!(reassembly.add(&fragment(0, 3, 0, b"yes")));
        assert_eq!(reassembly.take(), Some(message(0, b"yes")));
    }

    #[test]
    fn sixty_thousand_fragments_of_one_byte_hold_256_pieces() {
        let mut reassembly = Reassembly::default();
        let kept = (0..60_000)
            .rev()
            .filter(|&offset| reassembly.add(&fragment(0, 60_000, offset, b"x")))
            .count();
        assert_eq!(kept, MAX_PIECES);
        assert_eq!(reassembly.take(), None);
        // And the genuine message still gets through.
        assert!(reassembly.add(&fragment(0, 3, 0, b"yes")));
        assert_eq!(reassembly.take(), Some(message(0, b"yes")));
    }

    #[test]
    fn later_messages_make_room_for_earlier_ones() {
        let mut reassembly = Reassembly::default();
        let large = vec![0; 30_000];
        assert!(reassembly.add(&fragment(2, 30_000, 0, &large)));
        assert!(reassembly.add(&fragment(3, 30_000, 0, &large)));
        assert!(!reassembly.add(&fragment(4, 30_000, 0, &large)), "no room");
        assert!(reassembly.add(&fragment(0, 30_000, 0, &large)));
        assert!(!reassembly.assemblies.contains_key(&3));
        assert!(!reassembly.add(&fragment(16, 1, 0, b"x")), "too far ahead");
    }

    proptest! {
        #[test]
        fn any_cut_and_order_yields_the_message(
            body in proptest::collection::vec(any::<u8>(), 1..400),
            cuts in proptest::collection::vec((0usize..400, 1usize..200), 0..40),
        ) {
            let mut reassembly = Reassembly::default();
            for (offset, length) in cuts {
                let offset = offset.min(body.len());
                let end = (offset + length).min(body.len());
                reassembly.add(&fragment(0, body.len(), offset, &body[offset..end]));
            }
            reassembly.add(&fragment(0, body.len(), 0, &body));
            prop_assert_eq!(reassembly.take(), Some(message(0, &body)));
        }
    }
}
