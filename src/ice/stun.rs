//! Authenticating STUN messages and writing our own (RFC 8489 §14).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::{Hmac, Mac};
use sha1::Sha1;

use crate::udp::{
    ATTRIBUTE_HEADER, BINDING, FINGERPRINT, HEADER, MAGIC_COOKIE, MESSAGE_INTEGRITY, StunClass,
    StunMessage, TransactionId,
};

/// Whether whoever wrote the message knows `password`: MESSAGE-INTEGRITY with a short-term
/// credential (RFC 8489 §9.1), and FINGERPRINT where there is one.
pub(super) fn is_authentic(message: &StunMessage<'_>, password: &str) -> bool {
    is_authentic_by(message, password.as_bytes())
}

/// The same for any key, as long-term credentials give one (RFC 8489 §9.2.2).
pub(super) fn is_authentic_by(message: &StunMessage<'_>, key: &[u8]) -> bool {
    let Some(at) = message.integrity_at() else {
        return false;
    };
    let Some(claimed) = message.attribute(MESSAGE_INTEGRITY) else {
        return false;
    };
    integrity(&message.bytes()[..at], key).is_some_and(|mac| mac.verify_slice(claimed).is_ok())
        && fingerprint_fits(message)
}

/// Value of XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
pub(super) fn xor_mapped_address(message: &StunMessage<'_>) -> Option<SocketAddr> {
    xor_address(message, XOR_MAPPED_ADDRESS)
}

/// Value of an attribute that is written as XOR-MAPPED-ADDRESS is.
pub(super) fn xor_address(message: &StunMessage<'_>, attribute: u16) -> Option<SocketAddr> {
    let value = message.attribute(attribute)?;
    let (head, address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([head[2] ^ MAGIC_COOKIE[0], head[3] ^ MAGIC_COOKIE[1]]);
    let mask = address_mask(message.transaction_id());
    let ip = match (head[1], address.len()) {
        (FAMILY_IPV4, 4) => IpAddr::from(Ipv4Addr::from(xored(address.first_chunk::<4>()?, &mask))),
        (FAMILY_IPV6, 16) => {
            IpAddr::from(Ipv6Addr::from(xored(address.first_chunk::<16>()?, &mask)))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Code of ERROR-CODE (RFC 8489 §14.8).
pub(super) fn error_code(message: &StunMessage<'_>) -> Option<u16> {
    let value = message.attribute(ERROR_CODE)?.first_chunk::<4>()?;
    Some(u16::from(value[2] & 7) * 100 + u16::from(value[3]))
}

/// An attribute of eight bytes as a number: ICE-CONTROLLING and ICE-CONTROLLED.
pub(super) fn tie_breaker(message: &StunMessage<'_>, attribute: u16) -> Option<u64> {
    let value = message.attribute(attribute)?;
    Some(u64::from_be_bytes(*value.first_chunk::<8>()?))
}

/// PRIORITY (RFC 8445 §16.1).
pub(super) fn priority(message: &StunMessage<'_>) -> Option<u32> {
    let value = message.attribute(PRIORITY)?;
    Some(u32::from_be_bytes(*value.first_chunk::<4>()?))
}

/// A message of ours, attribute by attribute.
#[derive(Debug)]
pub(super) struct StunBuilder {
    bytes: Vec<u8>,
    transaction: TransactionId,
}

impl StunBuilder {
    /// A Binding message.
    pub(super) fn new(class: StunClass, transaction: TransactionId) -> Self {
        Self::of(BINDING, class, transaction)
    }

    /// A message of any method below 16, whose bits those of the class do not part.
    pub(super) fn of(method: u16, class: StunClass, transaction: TransactionId) -> Self {
        let class: u16 = match class {
            StunClass::Request => 0,
            StunClass::Indication => 0x0010,
            StunClass::SuccessResponse => 0x0100,
            StunClass::ErrorResponse => 0x0110,
        };
        let mut bytes = Vec::with_capacity(128);
        bytes.extend((method | class).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC_COOKIE);
        bytes.extend(transaction.0);
        Self { bytes, transaction }
    }

    #[must_use]
    pub(super) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len()).expect("attributes of ours are short");
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend(length.to_be_bytes());
        self.bytes.extend(value);
        self.bytes
            .resize(self.bytes.len().next_multiple_of(ATTRIBUTE_HEADER), 0);
        self.write_length(0);
        self
    }

    #[must_use]
    pub(super) fn xor_mapped_address(self, address: SocketAddr) -> Self {
        self.xor_address(XOR_MAPPED_ADDRESS, address)
    }

    #[must_use]
    pub(super) fn xor_address(self, attribute: u16, address: SocketAddr) -> Self {
        let mask = address_mask(self.transaction);
        let port = address.port().to_be_bytes();
        let mut value = vec![0, 0, port[0] ^ MAGIC_COOKIE[0], port[1] ^ MAGIC_COOKIE[1]];
        match address.ip() {
            IpAddr::V4(ip) => {
                value[1] = FAMILY_IPV4;
                value.extend(xored(&ip.octets(), &mask));
            }
            IpAddr::V6(ip) => {
                value[1] = FAMILY_IPV6;
                value.extend(xored(&ip.octets(), &mask));
            }
        }
        self.attribute(attribute, &value)
    }

    #[must_use]
    pub(super) fn error(self, code: u16, reason: &str) -> Self {
        let [class, number] = [code / 100, code % 100]
            .map(|part| u8::try_from(part).expect("codes have three digits"));
        let mut value = vec![0, 0, class, number];
        value.extend(reason.as_bytes());
        self.attribute(ERROR_CODE, &value)
    }

    /// Adds MESSAGE-INTEGRITY, where there is a password, and FINGERPRINT.
    pub(super) fn finish(self, password: Option<&str>) -> Vec<u8> {
        self.finish_by(password.map(str::as_bytes))
    }

    /// The same with any key.
    pub(super) fn finish_by(mut self, key: Option<&[u8]>) -> Vec<u8> {
        if let Some(mac) = key.and_then(|key| integrity(&self.bytes, key)) {
            self = self.attribute(MESSAGE_INTEGRITY, &mac.finalize().into_bytes());
        }
        self.write_length(FINGERPRINT_SIZE);
        let sum = fingerprint(&self.bytes);
        self.attribute(FINGERPRINT, &sum.to_be_bytes()).bytes
    }

    /// Writes the length, counting `coming` bytes that are not there yet.
    fn write_length(&mut self, coming: usize) {
        let length =
            u16::try_from(self.bytes.len() - HEADER + coming).expect("messages of ours are short");
        self.bytes[2..4].copy_from_slice(&length.to_be_bytes());
    }
}

/// The MAC over all that precedes MESSAGE-INTEGRITY, with the length as if the message ended with it
/// (RFC 8489 §14.5).
fn integrity(before: &[u8], key: &[u8]) -> Option<Hmac<Sha1>> {
    let length = u16::try_from(before.len() - HEADER + INTEGRITY_SIZE).ok()?;
    // HMAC takes keys of any length.
    let mut mac = Hmac::<Sha1>::new_from_slice(key).ok()?;
    mac.update(&before[..2]);
    mac.update(&length.to_be_bytes());
    mac.update(&before[4..]);
    Some(mac)
}

/// A message without FINGERPRINT passes: integrity says more.
fn fingerprint_fits(message: &StunMessage<'_>) -> bool {
    let Some(claimed) = message.attribute(FINGERPRINT) else {
        return true;
    };
    let bytes = message.bytes();
    let before = bytes.len().saturating_sub(FINGERPRINT_SIZE);
    claimed == fingerprint(&bytes[..before]).to_be_bytes()
}

/// RFC 8489 §14.7.
fn fingerprint(before: &[u8]) -> u32 {
    let crc = before.iter().fold(u32::MAX, |crc, byte| {
        let index = (crc ^ u32::from(*byte)) & 0xFF;
        (crc >> 8) ^ CRC_TABLE[index as usize]
    });
    !crc ^ 0x5354_554E
}

fn address_mask(transaction: TransactionId) -> [u8; 16] {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE);
    mask[4..].copy_from_slice(&transaction.0);
    mask
}

fn xored<const N: usize>(bytes: &[u8; N], mask: &[u8; 16]) -> [u8; N] {
    std::array::from_fn(|at| bytes[at] ^ mask[at])
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ 0xEDB8_8320
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

/// CRC-32 of ITU V.42, as FINGERPRINT wants it.
static CRC_TABLE: [u32; 256] = crc_table();

/// RFC 8489 §18.3.
pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
/// RFC 8489 §18.3.
pub(super) const ERROR_CODE: u16 = 0x0009;
/// RFC 8445 §20.1.
pub(super) const PRIORITY: u16 = 0x0024;
/// RFC 8445 §20.1.
pub(super) const USE_CANDIDATE: u16 = 0x0025;
/// RFC 8445 §20.1.
pub(super) const ICE_CONTROLLED: u16 = 0x8029;
/// RFC 8445 §20.1.
pub(super) const ICE_CONTROLLING: u16 = 0x802A;
/// RFC 8445 §20.2.
pub(super) const ROLE_CONFLICT: u16 = 487;

const FAMILY_IPV4: u8 = 1;
const FAMILY_IPV6: u8 = 2;
/// MESSAGE-INTEGRITY with its header.
const INTEGRITY_SIZE: usize = 24;
/// FINGERPRINT with its header.
const FINGERPRINT_SIZE: usize = 8;

#[cfg(test)]
mod tests {
    use stun::agent::TransactionId as TheirId;
    use stun::attributes::ATTR_USERNAME;
    use stun::error_code::ErrorCodeAttribute;
    use stun::fingerprint::{FINGERPRINT as THEIR_FINGERPRINT, FingerprintAttr};
    use stun::integrity::MessageIntegrity;
    use stun::message::{BINDING_REQUEST, Getter, Message};
    use stun::textattrs::Username;
    use stun::xoraddr::XorMappedAddress;

    use super::*;

    const ID: TransactionId = TransactionId([3; 12]);

    fn decoded(bytes: &[u8]) -> Message {
        let mut message = Message {
            raw: bytes.to_vec(),
            ..Message::default()
        };
        message.decode().unwrap();
        message
    }

    #[test]
    fn an_independent_parser_reads_our_success_response() {
        for address in ["192.0.2.1:4242", "[2001:db8::7]:65535"] {
            let address: SocketAddr = address.parse().unwrap();
            let bytes = StunBuilder::new(StunClass::SuccessResponse, ID)
                .xor_mapped_address(address)
                .finish(Some("password"));
            let mut message = decoded(&bytes);
            let mut theirs = XorMappedAddress::default();
            theirs.get_from(&message).unwrap();
            assert_eq!(SocketAddr::new(theirs.ip, theirs.port), address);
            MessageIntegrity(b"password".to_vec())
                .check(&mut message)
                .unwrap();
            FingerprintAttr.check(&message).unwrap();
            let ours = StunMessage::parse(&bytes).unwrap();
            assert_eq!(xor_mapped_address(&ours), Some(address));
            assert_eq!(ours.class(), StunClass::SuccessResponse);
            assert!(is_authentic(&ours, "password"));
            assert!(!is_authentic(&ours, "Password"));
        }
    }

    #[test]
    fn an_independent_parser_reads_our_role_conflict() {
        let bytes = StunBuilder::new(StunClass::ErrorResponse, ID)
            .error(ROLE_CONFLICT, "Role Conflict")
            .finish(Some("password"));
        let message = decoded(&bytes);
        let mut code = ErrorCodeAttribute::default();
        code.get_from(&message).unwrap();
        assert_eq!(code.code.0, ROLE_CONFLICT);
        assert_eq!(
            error_code(&StunMessage::parse(&bytes).unwrap()),
            Some(ROLE_CONFLICT)
        );
    }

    #[test]
    fn a_request_of_an_independent_writer_is_authentic_until_a_byte_changes() {
        let mut message = Message::new();
        message
            .build(&[
                Box::new(BINDING_REQUEST),
                Box::new(TheirId([1; 12])),
                Box::new(Username::new(ATTR_USERNAME, "a:b".to_owned())),
                Box::new(MessageIntegrity(b"password".to_vec())),
                Box::new(THEIR_FINGERPRINT),
            ])
            .unwrap();
        let bytes = message.raw;
        assert!(is_authentic(
            &StunMessage::parse(&bytes).unwrap(),
            "password"
        ));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x04;
            let passes = StunMessage::parse(&changed)
                .is_some_and(|message| is_authentic(&message, "password"));
            assert!(!passes, "byte {at}");
        }
    }

    #[test]
    fn without_integrity_nothing_is_authentic() {
        let bytes = StunBuilder::new(StunClass::Request, ID).finish(None);
        assert!(!is_authentic(&StunMessage::parse(&bytes).unwrap(), ""));
        FingerprintAttr.check(&decoded(&bytes)).unwrap();
    }

    #[test]
    fn the_test_vector_of_rfc_5769_is_authentic() {
        let hex = "000100582112a442b7e7a701bc34d686fa87dfae\
                   802200105354554e207465737420636c69656e74\
                   002400046e0001ff80290008932ff9b151263b36\
                   00060009\
                   6576746a3a68367659202020\
                   000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
                   80280004e57a3bcf";
        let bytes: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let message = StunMessage::parse(&bytes).unwrap();
        assert_eq!(message.username(), Some(("evtj", "h6vY")));
        assert_eq!(priority(&message), Some(0x6E00_01FF));
        assert_eq!(
            tie_breaker(&message, ICE_CONTROLLED),
            Some(0x932F_F9B1_5126_3B36)
        );
        assert!(is_authentic(&message, "VOkJxbRl1RmTxUk/WvJxBt"));
    }
}
