//! What must be known of a plain header before a packet is touched, with every bound checked.

use super::error::SrtpError;

/// What SRTP needs of an RTP header (RFC 3550 §5.1). It stays in the clear, so it can be read
/// before the tag is verified, and must not be believed before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtpHeader {
    pub(super) ssrc: u32,
    pub(super) sequence_number: u16,
    /// Fixed part, CSRC list and extension block; never more than the packet has.
    pub(super) length: usize,
}

/// What SRTCP needs of the first header of a compound packet (RFC 3550 §6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RtcpHeader {
    pub(super) ssrc: u32,
}

impl RtpHeader {
    /// Reads the header of a packet that ends in `trailer` bytes that are not RTP.
    pub(super) fn parse(packet: &[u8], trailer: usize) -> Result<Self, SrtpError> {
        check_length(packet.len(), RTP_FIXED + trailer)?;
        check_version(packet[0])?;
        let mut length = RTP_FIXED + 4 * usize::from(packet[0] & 0x0f);
        if packet[0] & 0x10 != 0 {
            check_length(packet.len(), length + 4 + trailer)?;
            let words = u16::from_be_bytes([packet[length + 2], packet[length + 3]]);
            length += 4 + 4 * usize::from(words);
        }
        check_length(packet.len(), length + trailer)?;
        Ok(Self {
            ssrc: u32::from_be_bytes([packet[8], packet[9], packet[10], packet[11]]),
            sequence_number: u16::from_be_bytes([packet[2], packet[3]]),
            length,
        })
    }
}

impl RtcpHeader {
    /// Header and SSRC of the sender stay in the clear (RFC 3711 §3.4).
    pub(super) const LENGTH: usize = 8;

    /// Reads the first header of a packet that ends in `trailer` bytes that are not RTCP.
    pub(super) fn parse(packet: &[u8], trailer: usize) -> Result<Self, SrtpError> {
        check_length(packet.len(), Self::LENGTH + trailer)?;
        check_version(packet[0])?;
        Ok(Self {
            ssrc: u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]),
        })
    }
}

/// Refuses what no datagram can carry. Far below what one nonce may encrypt: 2¹⁶ blocks with
/// AES-CM (RFC 3711 §4.1.1), 2³⁶ bytes with GCM.
pub(super) fn check_longest(protected_length: usize) -> Result<(), SrtpError> {
    if protected_length <= LONGEST_PACKET {
        Ok(())
    } else {
        Err(SrtpError::TooLong {
            actual: protected_length,
        })
    }
}

fn check_length(actual: usize, needed: usize) -> Result<(), SrtpError> {
    if actual >= needed {
        Ok(())
    } else {
        Err(SrtpError::TooShort { needed, actual })
    }
}

fn check_version(first_byte: u8) -> Result<(), SrtpError> {
    match first_byte >> 6 {
        2 => Ok(()),
        other => Err(SrtpError::Version(other)),
    }
}

const RTP_FIXED: usize = 12;

/// A UDP length field counts to this.
const LONGEST_PACKET: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    /// Two CSRCs, and an extension block of three words after them.
    fn full() -> Vec<u8> {
        let mut packet = vec![0x92, 96, 0x12, 0x34, 0, 0, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd];
        packet.extend([0; 8]);
        packet.extend([0xbe, 0xde, 0, 3]);
        packet.extend([0; 12]);
        packet
    }

    #[test]
    fn csrcs_and_extension_count_as_header() {
        let header = RtpHeader {
            ssrc: 0xaabb_ccdd,
            sequence_number: 0x1234,
            length: 36,
        };
        assert_eq!(RtpHeader::parse(&full(), 0), Ok(header));
    }

    #[test]
    fn a_header_cut_anywhere_is_refused() {
        let packet = full();
        for end in 0..packet.len() {
            let cut = RtpHeader::parse(&packet[..end], 0);
            assert!(matches!(cut, Err(SrtpError::TooShort { .. })), "{end}");
        }
    }

    #[test]
    fn the_trailer_is_not_taken_for_header() {
        let mut packet = full();
        packet.extend([0; 15]);
        let refused = SrtpError::TooShort {
            needed: 52,
            actual: 51,
        };
        assert_eq!(RtpHeader::parse(&packet, 16), Err(refused));
        packet.push(0);
        assert!(RtpHeader::parse(&packet, 16).is_ok());
    }

    #[test]
    fn other_versions_are_refused() {
        for version in [0, 1, 3] {
            let packet = [version << 6; 12];
            let refused = SrtpError::Version(version);
            assert_eq!(RtpHeader::parse(&packet, 0), Err(refused));
            assert_eq!(RtcpHeader::parse(&packet, 0), Err(refused));
        }
    }

    #[test]
    fn rtcp_needs_a_sender_ssrc() {
        let packet = [0x80, 201, 0, 1, 0, 0, 0, 9];
        assert_eq!(RtcpHeader::parse(&packet, 0), Ok(RtcpHeader { ssrc: 9 }));
        for end in 0..packet.len() {
            assert!(RtcpHeader::parse(&packet[..end], 0).is_err());
        }
    }
}
