//! A bounded walk over STUN messages (RFC 8489 §5): enough to route them, no more.

use std::fmt;

/// Pairs an answer with its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TransactionId(pub(crate) [u8; 12]);

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Class of a message (RFC 8489 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StunClass {
    Request,
    Indication,
    SuccessResponse,
    ErrorResponse,
}

/// A datagram whose header and attributes are known to lie within it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StunMessage<'a> {
    bytes: &'a [u8],
    integrity_at: Option<usize>,
}

impl<'a> StunMessage<'a> {
    /// `None` for whatever is not one whole well-formed Binding message.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        Self::parse_any(bytes).filter(|message| message.method() == BINDING)
    }

    /// `None` for whatever is not one whole well-formed message.
    ///
    /// Nothing but FINGERPRINT may follow MESSAGE-INTEGRITY: what stands there is not
    /// authenticated (RFC 8489 §14.5), and the ICE agent behind us would believe it.
    pub(crate) fn parse_any(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER>()?;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let well_formed = header[0] & 0xC0 == 0
            && header[4..8] == MAGIC_COOKIE
            && length % 4 == 0
            && bytes.len() == HEADER + length;
        if !well_formed {
            return None;
        }
        let mut message = Self {
            bytes,
            integrity_at: None,
        };
        let mut at = HEADER;
        for count in 0.. {
            if at == bytes.len() {
                break;
            }
            let (kind, value) = message.attribute_at(at)?;
            if count == MAX_ATTRIBUTES || (message.integrity_at.is_some() && kind != FINGERPRINT) {
                return None;
            }
            if kind == MESSAGE_INTEGRITY {
                message.integrity_at = Some(at);
            }
            at += ATTRIBUTE_HEADER + value.len().next_multiple_of(4);
        }
        Some(message)
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What it is about, the two bits of the class masked away.
    pub(crate) fn method(&self) -> u16 {
        u16::from_be_bytes([self.bytes[0], self.bytes[1]]) & METHOD_MASK
    }

    pub(crate) fn class(&self) -> StunClass {
        match (self.bytes[0] & 1, self.bytes[1] & 0x10) {
            (0, 0) => StunClass::Request,
            (0, _) => StunClass::Indication,
            (_, 0) => StunClass::SuccessResponse,
            (_, _) => StunClass::ErrorResponse,
        }
    }

    pub(crate) fn transaction_id(&self) -> TransactionId {
        let id = self.bytes[8..]
            .first_chunk::<12>()
            .expect("parsed: 20 bytes of header");
        TransactionId(*id)
    }

    /// Where MESSAGE-INTEGRITY begins: all before it is what it vouches for.
    pub(crate) fn integrity_at(&self) -> Option<usize> {
        self.integrity_at
    }

    /// The value of the first attribute of a kind.
    pub(crate) fn attribute(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut at = HEADER;
        while at < self.bytes.len() {
            let (kind, value) = self.attribute_at(at)?;
            if kind == wanted {
                return Some(value);
            }
            at += ATTRIBUTE_HEADER + value.len().next_multiple_of(4);
        }
        None
    }

    /// Both halves of USERNAME: the receiver's fragment, then the sender's (RFC 8445 §7.2.2).
    pub(crate) fn username(&self) -> Option<(&'a str, &'a str)> {
        std::str::from_utf8(self.attribute(USERNAME)?)
            .ok()?
            .split_once(':')
    }

    /// Kind and value of the attribute that begins at `at`, padding checked.
    fn attribute_at(&self, at: usize) -> Option<(u16, &'a [u8])> {
        let rest = self.bytes.get(at..)?;
        let head = rest.first_chunk::<ATTRIBUTE_HEADER>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let padded = length.next_multiple_of(4);
        let value = rest.get(ATTRIBUTE_HEADER..ATTRIBUTE_HEADER + padded)?;
        Some((u16::from_be_bytes([head[0], head[1]]), &value[..length]))
    }
}

/// Size of the fixed header (RFC 8489 §5).
pub(crate) const HEADER: usize = 20;
/// Size of an attribute's type and length (RFC 8489 §14).
pub(crate) const ATTRIBUTE_HEADER: usize = 4;
/// RFC 8489 §5.
pub(crate) const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];
/// The method of all ICE messages (RFC 8489 §18.2), with the two bits of the class masked away.
pub(crate) const BINDING: u16 = 0x0001;
const METHOD_MASK: u16 = 0xFEEF;

/// RFC 8489 §18.3.
pub(crate) const USERNAME: u16 = 0x0006;
/// RFC 8489 §18.3.
pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
/// RFC 8489 §18.3.
pub(crate) const FINGERPRINT: u16 = 0x8028;

/// Browsers send about ten.
const MAX_ATTRIBUTES: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stun::agent::TransactionId as TheirId;
    use stun::attributes::ATTR_USERNAME;
    use stun::fingerprint::FINGERPRINT as THEIR_FINGERPRINT;
    use stun::integrity::MessageIntegrity;
    use stun::message::{BINDING_REQUEST, BINDING_SUCCESS, Message, Setter};
    use stun::textattrs::Username;

    use super::*;

    fn built(setters: &[Box<dyn Setter>]) -> Vec<u8> {
        let mut message = Message::new();
        message.build(setters).unwrap();
        message.raw
    }

    fn request() -> Vec<u8> {
        built(&[
            Box::new(BINDING_REQUEST),
            Box::new(TheirId([7; 12])),
            Box::new(Username::new(ATTR_USERNAME, "here:there".to_owned())),
            Box::new(MessageIntegrity(b"password".to_vec())),
            Box::new(THEIR_FINGERPRINT),
        ])
    }

    #[test]
    fn a_request_shows_its_username_and_transaction() {
        let bytes = request();
        let message = StunMessage::parse(&bytes).unwrap();
        assert_eq!(message.class(), StunClass::Request);
        assert_eq!(message.username(), Some(("here", "there")));
        assert_eq!(message.transaction_id(), TransactionId([7; 12]));
        assert!(message.integrity_at().is_some());
    }

    #[test]
    fn a_success_response_is_told_from_a_request() {
        let bytes = built(&[Box::new(BINDING_SUCCESS), Box::new(TheirId([1; 12]))]);
        let message = StunMessage::parse(&bytes).unwrap();
        assert_eq!(message.class(), StunClass::SuccessResponse);
        assert_eq!(message.username(), None);
    }

    #[test]
    fn a_request_cut_anywhere_is_refused() {
        let bytes = request();
        for length in 0..bytes.len() {
            assert!(StunMessage::parse(&bytes[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn what_follows_the_integrity_is_not_believed() {
        let mut message = Message::new();
        message
            .build(&[
                Box::new(BINDING_REQUEST),
                Box::new(MessageIntegrity(b"password".to_vec())),
                Box::new(Username::new(ATTR_USERNAME, "here:there".to_owned())),
            ])
            .unwrap();
        assert!(StunMessage::parse(&message.raw).is_none());
    }

    #[test]
    fn other_methods_and_too_many_attributes_are_refused() {
        let mut allocate = request();
        allocate[1] = 3;
        assert!(StunMessage::parse(&allocate).is_none());
        assert_eq!(StunMessage::parse_any(&allocate).unwrap().method(), 3);
        let mut many = vec![0, 1, 0, 0];
        many.extend(MAGIC_COOKIE);
        many.extend([0; 12]);
        many.extend([0x7F, 0xFF, 0, 0].repeat(MAX_ATTRIBUTES + 1));
        let length = u16::try_from(many.len() - HEADER).unwrap();
        many[2..4].copy_from_slice(&length.to_be_bytes());
        assert!(StunMessage::parse(&many).is_none());
    }

    proptest! {
        #[test]
        fn changed_bytes_never_panic(at in 0_usize..100, byte: u8, cut in 0_usize..100) {
            let mut bytes = request();
            let length = bytes.len();
            bytes[at % length] = byte;
            bytes.truncate(length - cut % length);
            if let Some(message) = StunMessage::parse(&bytes) {
                let _seen = (message.class(), message.username(), message.attribute(0x24));
            }
        }

        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>) {
            if let Some(message) = StunMessage::parse(&bytes) {
                let _seen = (message.class(), message.username(), message.attribute(0x24));
            }
        }
    }
}
