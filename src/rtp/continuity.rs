//! Numbers that go on when the source of a stream changes.

use std::time::Instant;

use super::clock::in_clock_units;
use super::packet::RtpPacket;
use super::pictures::{PictureCodec, PictureNumbers};
use super::types::{RtpTimestamp, SequenceNumber, Ssrc};

/// What tells one outgoing packet from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) sequence: SequenceNumber,
    pub(crate) timestamp: RtpTimestamp,
    /// Those of the picture, where the codec has any and we know it.
    pub(crate) pictures: Option<PictureNumbers>,
}

impl Numbers {
    /// Those that the packet has already.
    pub(crate) fn of(packet: &RtpPacket, codec: Option<PictureCodec>) -> Self {
        Self {
            sequence: packet.sequence_number(),
            timestamp: packet.timestamp(),
            pictures: codec.and_then(|codec| codec.read(packet.payload())),
        }
    }
}

/// Places packets of changing sources in one outgoing stream: the first of a new source follows the
/// newest that was sent, and the timestamp goes on by the time between them; so do the numbers of its pictures.
///
/// The numbers of the very first source stay as they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Continuity {
    mapping: Option<Mapping>,
    newest: Option<Sent>,
    renumbers: bool,
}

/// How numbers of the present source become ours.
#[derive(Clone, Copy, Debug)]
struct Mapping {
    ssrc: Ssrc,
    newest: SequenceNumber,
    /// Steps from the first packet since the change to the newest.
    span: u32,
    sequence_offset: u16,
    timestamp_offset: u32,
    picture_offset: PictureNumbers,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    numbers: Numbers,
    at: Instant,
}

impl Continuity {
    /// Whether numbers have been changed, so that nobody but this value knows which come next.
    pub(crate) fn renumbers(&self) -> bool {
        self.renumbers
    }

    /// The next packet is the first of another source.
    pub(crate) fn change_source(&mut self) {
        self.mapping = None;
    }

    /// The numbers of a packet of the present source that came `at`; `None` for one from before the
    /// change, whose place is taken. An SSRC not seen before is a change as well.
    pub(crate) fn place(
        &mut self,
        packet: &RtpPacket,
        clock_rate_hz: u32,
        codec: Option<PictureCodec>,
        at: Instant,
    ) -> Option<Numbers> {
        let sequence = packet.sequence_number();
        let theirs = Numbers::of(packet, codec);
        let mapping = match &mut self.mapping {
            Some(mapping) if mapping.ssrc == packet.ssrc() => mapping,
            Some(_) | None => {
                let first =
                    Mapping::following(self.newest, packet.ssrc(), theirs, clock_rate_hz, at);
                self.renumbers |= self.newest.is_some();
                self.mapping.insert(first)
            }
        };
        mapping.take(sequence)?;
        let numbers = mapping.apply(theirs);
        self.note(numbers, at);
        Some(numbers)
    }

    /// The highest number that was sent.
    pub(crate) fn newest(&self) -> Option<SequenceNumber> {
        self.newest.map(|sent| sent.numbers.sequence)
    }

    /// A packet goes out with these numbers.
    pub(crate) fn note(&mut self, numbers: Numbers, at: Instant) {
        let is_newest = self.newest.is_none_or(|newest| {
            numbers
                .sequence
                .distance_from(newest.numbers.sequence)
                .is_positive()
        });
        if is_newest {
            self.newest = Some(Sent { numbers, at });
        }
    }
}

impl Mapping {
    fn following(
        newest: Option<Sent>,
        ssrc: Ssrc,
        first: Numbers,
        clock_rate_hz: u32,
        at: Instant,
    ) -> Self {
        let mut mapping = Self {
            ssrc,
            newest: first.sequence,
            span: 0,
            sequence_offset: 0,
            timestamp_offset: 0,
            picture_offset: PictureNumbers::default(),
        };
        if let Some(Sent {
            numbers,
            at: before,
        }) = newest
        {
            let passed = at.saturating_duration_since(before);
            // At least one, so that no two frames have one timestamp.
            let passed = in_clock_units(passed, clock_rate_hz).max(1);
            let sequence = numbers.sequence.plus(1).0;
            let timestamp = numbers.timestamp.0.wrapping_add(passed);
            mapping.sequence_offset = sequence.wrapping_sub(first.sequence.0);
            mapping.timestamp_offset = timestamp.wrapping_sub(first.timestamp.0);
            if let (Some(before), Some(first)) = (numbers.pictures, first.pictures) {
                mapping.picture_offset = before.next().minus(first);
            }
        }
        mapping
    }

    fn take(&mut self, sequence: SequenceNumber) -> Option<()> {
        let ahead = sequence.distance_from(self.newest);
        if ahead > 0 {
            self.newest = sequence;
            self.span = self.span.saturating_add(u32::from(ahead.unsigned_abs()));
            return Some(());
        }
        (u32::from(ahead.unsigned_abs()) <= self.span).then_some(())
    }

    fn apply(&self, theirs: Numbers) -> Numbers {
        Numbers {
            sequence: theirs.sequence.plus(self.sequence_offset),
            timestamp: RtpTimestamp(theirs.timestamp.0.wrapping_add(self.timestamp_offset)),
            pictures: (theirs.pictures).map(|numbers| numbers.plus(self.picture_offset)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::types::PayloadType;
    use super::*;

    const RATE: u32 = 90_000;

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> RtpPacket {
        RtpPacket::new(
            PayloadType::new(96).unwrap(),
            SequenceNumber(sequence),
            RtpTimestamp(timestamp),
            Ssrc(ssrc),
            false,
            Bytes::new(),
        )
    }

    fn placed(continuity: &mut Continuity, packet: &RtpPacket, at: Instant) -> Option<(u16, u32)> {
        let numbers = continuity.place(packet, RATE, None, at)?;
        Some((numbers.sequence.0, numbers.timestamp.0))
    }

    #[test]
    fn the_first_source_keeps_its_numbers() {
        let now = Instant::now();
        let mut continuity = Continuity::default();
        for (sequence, timestamp) in [(65_534, 10), (65_535, 10), (0, 3010)] {
            let numbers = placed(&mut continuity, &packet(1, sequence, timestamp), now);
            assert_eq!(numbers, Some((sequence, timestamp)));
        }
    }

    #[test]
    fn a_new_source_follows_the_newest_packet_and_the_clock() {
        let now = Instant::now();
        let mut continuity = Continuity::default();
        placed(&mut continuity, &packet(1, 100, 1000), now);
        placed(&mut continuity, &packet(1, 102, 1000), now);
        placed(&mut continuity, &packet(1, 101, 1000), now);
        continuity.change_source();
        let later = now + Duration::from_millis(100);
        let first = placed(&mut continuity, &packet(2, 7, 5), later);
        assert_eq!(first, Some((103, 10_000)));
        assert_eq!(
            placed(&mut continuity, &packet(2, 8, 3005), later),
            Some((104, 13_000))
        );
    }

    #[test]
    fn another_ssrc_of_the_same_source_is_a_change() {
        let now = Instant::now();
        let mut continuity = Continuity::default();
        placed(&mut continuity, &packet(1, 100, 1000), now);
        assert_eq!(
            placed(&mut continuity, &packet(9, 5000, 77), now),
            Some((101, 1001))
        );
    }

    #[test]
    fn what_is_older_than_the_first_packet_of_a_source_has_no_place() {
        let now = Instant::now();
        let mut continuity = Continuity::default();
        placed(&mut continuity, &packet(1, 100, 1000), now);
        continuity.change_source();
        placed(&mut continuity, &packet(2, 50, 0), now);
        assert_eq!(placed(&mut continuity, &packet(2, 49, 0), now), None);
        placed(&mut continuity, &packet(2, 53, 0), now);
        assert_eq!(
            placed(&mut continuity, &packet(2, 51, 0), now).map(|it| it.0),
            Some(102)
        );
        assert_eq!(placed(&mut continuity, &packet(2, 49, 0), now), None);
    }

    #[test]
    fn packets_sent_by_hand_count_as_a_source() {
        let now = Instant::now();
        let mut continuity = Continuity::default();
        continuity.note(Numbers::of(&packet(0, 9, 90), None), now);
        assert!(!continuity.renumbers());
        assert_eq!(
            placed(&mut continuity, &packet(2, 500, 0), now),
            Some((10, 91))
        );
        assert!(continuity.renumbers());
    }

    #[test]
    fn c070_pictures_are_numbered_on_from_those_of_the_source_before() {
        let now = Instant::now();
        let mut continuity = Continuity::default();
        let mut place = |ssrc, sequence, id: [u8; 2]| {
            let payload = Bytes::copy_from_slice(&[0x90, 0x80, id[0] | 0x80, id[1], 0]);
            let packet = RtpPacket::new(
                PayloadType::new(96).unwrap(),
                SequenceNumber(sequence),
                RtpTimestamp(0),
                Ssrc(ssrc),
                false,
                payload.clone(),
            );
            let codec = Some(PictureCodec::Vp8);
            let numbers = continuity.place(&packet, RATE, codec, now).unwrap();
            let mut payload = payload.to_vec();
            PictureCodec::Vp8.write(numbers.pictures.unwrap(), &mut payload);
            [payload[2] & 0x7f, payload[3]]
        };
        assert_eq!(place(1, 10, [0x7f, 0xfe]), [0x7f, 0xfe]);
        assert_eq!(place(1, 11, [0x7f, 0xff]), [0x7f, 0xff]);
        assert_eq!(place(2, 500, [0x12, 0x34]), [0, 0]);
        assert_eq!(place(2, 501, [0x12, 0x34]), [0, 0], "the same picture");
        assert_eq!(place(2, 502, [0x12, 0x35]), [0, 1]);
        assert_eq!(place(3, 9, [0, 0]), [0, 2]);
    }

    proptest! {
        /// However often the source changes, each new packet comes out as the next number, and
        /// packets that were swapped on the way come out swapped.
        #[test]
        fn numbers_never_jump_nor_repeat(
            sources in prop::collection::vec((any::<u16>(), any::<u32>(), 1_u16..600), 1..20),
        ) {
            let now = Instant::now();
            let mut continuity = Continuity::default();
            let mut expected: Option<u16> = None;
            for (ssrc, (start, timestamp, count)) in (0..).zip(sources) {
                continuity.change_source();
                for step in 0..count {
                    let packet = packet(ssrc, start.wrapping_add(step), timestamp);
                    let (sequence, _) = placed(&mut continuity, &packet, now).unwrap();
                    if let Some(expected) = expected {
                        prop_assert_eq!(sequence, expected);
                    }
                    expected = Some(sequence.wrapping_add(1));
                    if step > 1 {
                        let again = packet.sequence_number().plus(u16::MAX);
                        let again = self::packet(ssrc, again.0, timestamp);
                        let (before, _) = placed(&mut continuity, &again, now).unwrap();
                        prop_assert_eq!(before, sequence.wrapping_sub(1));
                    }
                }
            }
        }
    }
}
