//! One RTP packet: a checked view into shared bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::element::{ElementForm, Elements};
use super::error::RtpError;
use super::types::{PayloadType, RtpTimestamp, SequenceNumber, Ssrc};

/// One RTP packet in the clear (RFC 3550 §5.1).
///
/// Cheap to clone: the bytes are shared. All lengths were checked when it was made, so that no
/// method fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpPacket {
    /// The packet as it came, or just the payload of one that was made here.
    buffer: Bytes,
    payload_type: PayloadType,
    marker: bool,
    sequence_number: SequenceNumber,
    timestamp: RtpTimestamp,
    ssrc: Ssrc,
    form: ElementForm,
    /// Contributing sources stand from byte 12 on.
    csrc_count: u8,
    padding: u8,
    /// Where the elements of the header extension stand in `buffer`; empty without.
    extension_start: u32,
    extension_end: u32,
    payload_start: u32,
}

impl RtpPacket {
    /// A packet made by the application.
    ///
    /// Payload type and SSRC are rewritten when it is sent: what counts is the codec that was
    /// negotiated and the SSRC of the sender. A payload type that is not negotiated stands for the
    /// preferred codec.
    pub fn new(
        payload_type: PayloadType,
        sequence_number: SequenceNumber,
        timestamp: RtpTimestamp,
        ssrc: Ssrc,
        marker: bool,
        payload: impl Into<Bytes>,
    ) -> Self {
        Self {
            buffer: payload.into(),
            payload_type,
            marker,
            sequence_number,
            timestamp,
            ssrc,
            form: ElementForm::None,
            csrc_count: 0,
            padding: 0,
            extension_start: 0,
            extension_end: 0,
            payload_start: 0,
        }
    }

    /// The same packet with these header extension elements `(identifier, value)` and no others.
    ///
    /// The identifiers are those negotiated with the peer that it will be sent to.
    ///
    /// # Errors
    ///
    /// [`RtpError::InvalidElement`] for identifier 0 and for a value of more than 255 bytes.
    pub fn with_extensions(&self, elements: &[(u8, &[u8])]) -> Result<Self, RtpError> {
        // Two-byte form holds whatever can be written at all; the sender picks the form anew.
        let mut block = BytesMut::with_capacity(self.payload().len() + 32);
        for &(id, value) in elements {
            let length = value.len();
            let invalid = RtpError::InvalidElement { id, length };
            let short = u8::try_from(length).map_err(|_| invalid)?;
            if id == 0 || block.len() + 2 + length > MAX_ELEMENTS_BYTES {
                return Err(invalid);
            }
            block.put_u8(id);
            block.put_u8(short);
            block.put_slice(value);
        }
        // At most `MAX_ELEMENTS_BYTES`.
        let extension_end = block.len() as u32;
        block.put_slice(self.payload());
        Ok(Self {
            buffer: block.freeze(),
            form: if elements.is_empty() {
                ElementForm::None
            } else {
                ElementForm::TwoByte
            },
            csrc_count: 0,
            padding: 0,
            extension_start: 0,
            extension_end,
            payload_start: extension_end,
            ..self.clone()
        })
    }

    /// Reads a packet as it came from the network, checking every length in it.
    ///
    /// # Errors
    ///
    /// [`RtpError`] says what is wrong with the bytes.
    pub fn parse(buffer: Bytes) -> Result<Self, RtpError> {
        let bytes = &buffer[..];
        let length = bytes.len();
        let Some(fixed) = bytes.first_chunk::<FIXED_HEADER_BYTES>() else {
            return Err(RtpError::Truncated { length });
        };
        if length > MAX_DATAGRAM_BYTES {
            return Err(RtpError::TooLong { length });
        }
        let version = fixed[0] >> 6;
        if version != 2 {
            return Err(RtpError::Version { version });
        }
        let csrc_count = fixed[0] & 0x0f;
        let after_csrcs = FIXED_HEADER_BYTES + 4 * usize::from(csrc_count);
        let extension = if fixed[0] & 0x10 != 0 {
            read_extension(bytes, after_csrcs)?
        } else {
            Extension {
                form: ElementForm::None,
                start: after_csrcs,
                end: after_csrcs,
            }
        };
        if extension.end > length {
            return Err(RtpError::Truncated { length });
        }
        let padding = read_padding(fixed[0] & 0x20 != 0, &bytes[extension.end..])?;
        Ok(Self {
            payload_type: PayloadType::from_low_bits(fixed[1]),
            marker: fixed[1] & 0x80 != 0,
            sequence_number: SequenceNumber(u16::from_be_bytes([fixed[2], fixed[3]])),
            timestamp: RtpTimestamp(be_u32(&fixed[4..8])),
            ssrc: Ssrc(be_u32(&fixed[8..12])),
            form: extension.form,
            csrc_count,
            padding,
            // Within `MAX_DATAGRAM_BYTES`.
            extension_start: extension.start as u32,
            extension_end: extension.end as u32,
            payload_start: extension.end as u32,
            buffer,
        })
    }

    /// What the payload is, by the numbers of the session it came from.
    pub fn payload_type(&self) -> PayloadType {
        self.payload_type
    }

    /// The marker bit: for video the last packet of a frame, for audio the first after silence.
    pub fn marker(&self) -> bool {
        self.marker
    }

    /// Its place in the stream.
    pub fn sequence_number(&self) -> SequenceNumber {
        self.sequence_number
    }

    /// When its first sample was taken, on the codec's clock.
    pub fn timestamp(&self) -> RtpTimestamp {
        self.timestamp
    }

    /// The stream it belongs to.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The payload, without padding.
    pub fn payload(&self) -> &[u8] {
        &self.buffer[self.payload_start as usize..self.buffer.len() - usize::from(self.padding)]
    }

    /// The payload as shared bytes, without a copy.
    pub fn payload_bytes(&self) -> Bytes {
        self.buffer
            .slice(self.payload_start as usize..self.buffer.len() - usize::from(self.padding))
    }

    /// Whether it came with padding.
    pub fn has_padding(&self) -> bool {
        self.padding != 0
    }

    /// Contributing sources: who was mixed into this.
    pub fn csrcs(&self) -> impl Iterator<Item = Ssrc> + '_ {
        let end = FIXED_HEADER_BYTES + 4 * usize::from(self.csrc_count);
        // A packet of the application has none, and a buffer of any length.
        self.buffer
            .get(FIXED_HEADER_BYTES..end)
            .unwrap_or_default()
            .chunks_exact(4)
            .map(|word| Ssrc(be_u32(word)))
    }

    /// The value of the first header extension element with this identifier (RFC 8285).
    pub fn extension(&self, id: u8) -> Option<&[u8]> {
        self.extensions()
            .find(|(found, _)| *found == id)
            .map(|(_, value)| value)
    }

    /// All elements `(identifier, value)` of the header extension, in their order.
    pub fn extensions(&self) -> impl Iterator<Item = (u8, &[u8])> + Clone {
        Elements::new(
            self.form,
            &self.buffer[self.extension_start as usize..self.extension_end as usize],
        )
    }

    /// The same packet in another place of a stream, or in another stream.
    pub(super) fn placed(
        &self,
        ssrc: Ssrc,
        sequence_number: SequenceNumber,
        timestamp: RtpTimestamp,
    ) -> Self {
        Self {
            ssrc,
            sequence_number,
            timestamp,
            ..self.clone()
        }
    }

    /// The same packet with the marker bit set.
    pub(super) fn marked(self) -> Self {
        Self {
            marker: true,
            ..self
        }
    }

    /// The same packet without a payload.
    pub(super) fn emptied(self) -> Self {
        Self {
            buffer: self.buffer.slice(..self.payload_start as usize),
            padding: 0,
            ..self
        }
    }

    /// The same packet with another value, of the same length, of a header extension element that it has.
    pub(super) fn with_extension_changed(&self, id: u8, change: impl FnOnce(&mut [u8])) -> Self {
        let Some(value) = self.extension(id) else {
            return self.clone();
        };
        // The value is a part of the buffer.
        let start = value.as_ptr() as usize - self.buffer.as_ptr() as usize;
        let range = start..start + value.len();
        let mut buffer = BytesMut::from(&self.buffer[..]);
        change(&mut buffer[range]);
        Self {
            buffer: buffer.freeze(),
            ..self.clone()
        }
    }

    /// The same packet with a payload of the same length, in bytes of its own.
    pub(super) fn with_payload_changed(self, change: impl FnOnce(&mut [u8])) -> Self {
        let mut buffer = BytesMut::from(&self.buffer[..]);
        let end = buffer.len() - usize::from(self.padding);
        change(&mut buffer[self.payload_start as usize..end]);
        Self {
            buffer: buffer.freeze(),
            ..self
        }
    }

    /// How many bytes it holds, header included as far as it came with one.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The packet that this one repeats (RFC 4588 §4), in the place of the original.
    ///
    /// `None` when there is nothing in it: a probe for bandwidth.
    pub(crate) fn unwrap_retransmission(
        &self,
        ssrc: Ssrc,
        payload_type: PayloadType,
    ) -> Option<Self> {
        let (original, rest) = self.payload().split_first_chunk::<2>()?;
        if rest.is_empty() {
            return None;
        }
        Some(Self {
            ssrc,
            payload_type,
            sequence_number: SequenceNumber(u16::from_be_bytes(*original)),
            payload_start: self.payload_start + 2,
            ..self.clone()
        })
    }
}

struct Extension {
    form: ElementForm,
    start: usize,
    end: usize,
}

/// The header extension (RFC 3550 §5.3.1), each element of it checked (RFC 8285 §4).
fn read_extension(bytes: &[u8], at: usize) -> Result<Extension, RtpError> {
    let length = bytes.len();
    let truncated = RtpError::Truncated { length };
    let head = bytes.get(at..at + 4).ok_or(truncated)?;
    let profile = u16::from_be_bytes([head[0], head[1]]);
    let words = u16::from_be_bytes([head[2], head[3]]);
    let start = at + 4;
    let end = start + 4 * usize::from(words);
    let block = bytes.get(start..end).ok_or(truncated)?;
    let form = ElementForm::of_profile(profile);
    Elements::new(form, block)
        .check()
        .map_err(|id| RtpError::ExtensionElement { id })?;
    Ok(Extension { form, start, end })
}

/// How many bytes at the end are padding (RFC 3550 §5.1).
fn read_padding(flagged: bool, after_header: &[u8]) -> Result<u8, RtpError> {
    if !flagged {
        return Ok(0);
    }
    let available = after_header.len();
    let padding = after_header.last().copied().unwrap_or(0);
    if padding == 0 || usize::from(padding) > available {
        return Err(RtpError::Padding { padding, available });
    }
    Ok(padding)
}

fn be_u32(word: &[u8]) -> u32 {
    word.iter()
        .fold(0, |sum, byte| (sum << 8) | u32::from(*byte))
}

/// Version to SSRC (RFC 3550 §5.1).
pub(super) const FIXED_HEADER_BYTES: usize = 12;

/// What the length field of UDP can say (RFC 768).
const MAX_DATAGRAM_BYTES: usize = 65_535;

/// Far beyond what a packet can carry, and small enough for every field that counts it.
const MAX_ELEMENTS_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtp::packet::Packet as CratePacket;
    use webrtc_util::marshal::{Marshal, Unmarshal};

    use super::*;

    fn parse(hex: &str) -> Result<RtpPacket, RtpError> {
        RtpPacket::parse(bytes_of(hex))
    }

    fn bytes_of(hex: &str) -> Bytes {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn payload_type(number: u8) -> PayloadType {
        PayloadType::new(number).unwrap()
    }

    #[test]
    fn a_one_byte_element_longer_than_the_packet_is_refused() {
        let outcome = parse("900000000000000000000000bede000100000019");
        assert_eq!(outcome, Err(RtpError::ExtensionElement { id: 1 }));
        // Identifier 0 with a length ends the list, whatever the length (RFC 8285 §4.2); here the
        // padding that is announced is missing, too.
        let outcome = parse("b00000000000000000000000bede000100000009");
        let (padding, available) = (0, 0);
        assert_eq!(outcome, Err(RtpError::Padding { padding, available }));
    }

    #[test]
    fn a_two_byte_element_longer_than_the_packet_is_refused() {
        let outcome = parse("9000000000000000000000001000000100000901");
        assert_eq!(outcome, Err(RtpError::ExtensionElement { id: 9 }));
    }

    #[test]
    fn a_two_byte_element_without_its_length_is_refused() {
        let outcome = parse("900000000000000000000000100000020000000000000005");
        assert_eq!(outcome, Err(RtpError::ExtensionElement { id: 5 }));
    }

    #[test]
    fn an_extension_longer_than_the_packet_is_refused() {
        assert_eq!(
            parse("900000000000000000000000100000010000000100"),
            Err(RtpError::ExtensionElement { id: 1 })
        );
        let packet = parse("900000000000000000000000bede0002000000000300000000").unwrap();
        assert_eq!(packet.extensions().count(), 0);
        assert_eq!(
            parse("900000000000000000000000bede000200000000"),
            Err(RtpError::Truncated { length: 20 })
        );
    }

    #[test]
    fn every_cut_of_a_packet_is_refused_or_read_without_panic() {
        let whole = bytes_of(
            "b2e0 0001 00000002 00000003 00000004 00000005 bede0002 10aa2201 02030000 0102030402",
        );
        let packet = RtpPacket::parse(whole.clone()).unwrap();
        assert_eq!(packet.payload(), [1, 2, 3]);
        for length in 0..whole.len() {
            if let Ok(cut) = RtpPacket::parse(whole.slice(..length)) {
                let _elements = cut.extensions().count();
                let _payload = cut.payload();
            }
        }
    }

    #[test]
    fn all_fields_are_read() {
        let packet = parse(
            "b2e0 0001 00000002 00000003 00000004 00000005 bede0002 10aa2201 02030000 0102030402",
        )
        .unwrap();
        assert_eq!(packet.payload_type(), payload_type(0x60));
        assert!(packet.marker());
        assert_eq!(packet.sequence_number(), SequenceNumber(1));
        assert_eq!(packet.timestamp(), RtpTimestamp(2));
        assert_eq!(packet.ssrc(), Ssrc(3));
        assert_eq!(packet.csrcs().collect::<Vec<_>>(), [Ssrc(4), Ssrc(5)]);
        assert_eq!(packet.extension(1), Some(&[0xaa][..]));
        assert_eq!(packet.extension(2), Some(&[1, 2, 3][..]));
        assert_eq!(packet.extension(3), None);
        assert!(packet.has_padding());
    }

    #[test]
    fn elements_after_identifier_fifteen_are_not_considered() {
        let packet = parse("900000000000000000000000bede0002 10aaf120 0020bb00 07").unwrap();
        let elements: Vec<_> = packet.extensions().collect();
        assert_eq!(elements, [(1, &[0xaa][..])]);
        assert_eq!(packet.payload(), [7]);
    }

    #[test]
    fn a_two_byte_block_with_any_application_bits_is_read() {
        let packet = parse("900000000000000000000000100f0002 0102aabb 10000000 07").unwrap();
        let elements: Vec<_> = packet.extensions().collect();
        assert_eq!(elements, [(1, &[0xaa, 0xbb][..]), (16, &[][..])]);
    }

    #[test]
    fn an_extension_of_another_profile_has_no_elements() {
        let packet = parse("900000000000000000000000 abac0001 ffffffff 07").unwrap();
        assert_eq!(packet.extensions().count(), 0);
        assert_eq!(packet.payload(), [7]);
    }

    #[test]
    fn padding_of_zero_or_more_than_there_is_is_refused() {
        let head = "a00000000000000000000000";
        for (tail, padding, available) in [("", 0, 0), ("0700", 0, 2), ("0703", 3, 2)] {
            assert_eq!(
                parse(&format!("{head}{tail}")),
                Err(RtpError::Padding { padding, available })
            );
        }
        assert_eq!(parse(&format!("{head}0002")).unwrap().payload(), [0u8; 0]);
    }

    #[test]
    fn other_versions_are_refused() {
        let outcome = parse("400000000000000000000000");
        assert_eq!(outcome, Err(RtpError::Version { version: 1 }));
    }

    #[test]
    fn a_retransmission_gives_back_the_original() {
        let rtx = parse("80e1 0009 00000002 0000000b 0102 aabb").unwrap();
        let original = rtx
            .unwrap_retransmission(Ssrc(3), payload_type(96))
            .unwrap();
        assert_eq!(original.sequence_number(), SequenceNumber(0x0102));
        assert_eq!(original.ssrc(), Ssrc(3));
        assert_eq!(original.payload_type(), payload_type(96));
        assert_eq!(original.payload(), [0xaa, 0xbb]);
        assert!(original.marker());
    }

    /// Of Chromium 156, decrypted, its payload cut.
    #[test]
    fn c109_a_retransmission_of_chromium_gives_back_the_original() {
        let rtx = parse(
            "90e1 1b48 dbc4c013 7a4d688c bede0002 41001290 30000000 0143 9080f5f0910b00e4222f",
        )
        .unwrap();
        let original = rtx
            .unwrap_retransmission(Ssrc(7), payload_type(96))
            .unwrap();
        assert_eq!(original.sequence_number(), SequenceNumber(0x0143));
        assert_eq!(original.timestamp(), RtpTimestamp(0xdbc4_c013));
        assert!(original.marker());
        assert_eq!(original.payload(), &bytes_of("9080f5f0910b00e4222f")[..]);
        assert_eq!(original.extension(9), Some(&b"0"[..]));
    }

    #[test]
    fn a_probe_that_repeats_nothing_gives_nothing() {
        for hex in [
            "80e1 0009 00000002 0000000b",
            "80e1 0009 00000002 0000000b 0102",
            "a0e1 0009 00000002 0000000b 0102 00000004",
            "a0e1 0009 00000002 0000000b 000002",
        ] {
            let rtx = parse(hex).unwrap();
            assert_eq!(rtx.unwrap_retransmission(Ssrc(3), payload_type(96)), None);
        }
    }

    #[test]
    fn a_packet_of_the_application_carries_what_it_was_given() {
        let packet = RtpPacket::new(
            payload_type(111),
            SequenceNumber(5),
            RtpTimestamp(6),
            Ssrc(7),
            true,
            vec![1, 2, 3],
        );
        assert_eq!(packet.payload(), [1, 2, 3]);
        assert_eq!(packet.csrcs().count(), 0);
        assert_eq!(packet.extensions().count(), 0);

        let extended = packet.with_extensions(&[(1, &[9]), (200, &[])]).unwrap();
        let elements: Vec<_> = extended.extensions().collect();
        assert_eq!(elements, [(1, &[9][..]), (200, &[][..])]);
        assert_eq!(extended.payload(), [1, 2, 3]);
        assert!(packet.with_extensions(&[(0, &[9])]).is_err());
        assert!(packet.with_extensions(&[(1, &[0; 256])]).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_upset_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            // Most random bytes are of the wrong version; help them past it.
            for first in [bytes.first().copied().unwrap_or(0), 0x90, 0xb3] {
                let mut bytes = bytes.clone();
                if let Some(byte) = bytes.first_mut() { *byte = first; }
                if bytes.len() > 14 && first == 0x90 { bytes[12..14].copy_from_slice(&[0xbe, 0xde]); }
                if let Ok(packet) = RtpPacket::parse(bytes.into()) {
                    let _all = (packet.extensions().count(), packet.payload().len(), packet.csrcs().count());
                }
            }
        }

        #[test]
        fn what_the_rtp_crate_writes_is_read(
            seq in any::<u16>(), timestamp in any::<u32>(), ssrc in any::<u32>(), marker in any::<bool>(),
            number in 0u8..128, payload in proptest::collection::vec(any::<u8>(), 1..50),
            csrc in proptest::collection::vec(any::<u32>(), 0..4),
            ids in proptest::collection::btree_map(1u8..15, proptest::collection::vec(any::<u8>(), 1..=16), 0..4),
        ) {
            let mut theirs = CratePacket {
                header: rtp::header::Header {
                    version: 2, marker, payload_type: number, sequence_number: seq, timestamp, ssrc,
                    csrc: csrc.clone(), ..Default::default()
                },
                payload: payload.clone().into(),
            };
            for (id, value) in &ids {
                theirs.header.set_extension(*id, value.clone().into()).unwrap();
            }
            let ours = RtpPacket::parse(theirs.marshal().unwrap()).unwrap();
            prop_assert_eq!(ours.sequence_number(), SequenceNumber(seq));
            prop_assert_eq!(ours.timestamp(), RtpTimestamp(timestamp));
            prop_assert_eq!(ours.ssrc(), Ssrc(ssrc));
            prop_assert_eq!(ours.marker(), marker);
            prop_assert_eq!(ours.payload_type().get(), number);
            prop_assert_eq!(ours.payload(), &payload[..]);
            prop_assert_eq!(ours.csrcs().map(|it| it.0).collect::<Vec<_>>(), csrc);
            for (id, value) in &ids {
                prop_assert_eq!(ours.extension(*id), Some(&value[..]));
            }
            // Their reader agrees with ours on the same bytes.
            let again = CratePacket::unmarshal(&mut theirs.marshal().unwrap()).unwrap();
            prop_assert_eq!(&again.payload[..], ours.payload());
        }
    }
}
