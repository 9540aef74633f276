//! Handshake messages, looked at before the crate parses them (RFC 5246 §7.4, RFC 6347 §4.3.2).
//!
//! The crate indexes into some of them without looking at their length, and allocates what a
//! certificate's length field says. A message whose parts do not add up is none.

use super::fingerprint::DtlsRole;

/// Kinds of handshake messages, as numbered on the wire.
pub(super) mod kind {
    pub(in crate::dtls) const CLIENT_HELLO: u8 = 1;
    pub(in crate::dtls) const SERVER_HELLO: u8 = 2;
    pub(in crate::dtls) const HELLO_VERIFY_REQUEST: u8 = 3;
    pub(in crate::dtls) const CERTIFICATE: u8 = 11;
    pub(in crate::dtls) const SERVER_KEY_EXCHANGE: u8 = 12;
    pub(in crate::dtls) const CERTIFICATE_REQUEST: u8 = 13;
    pub(in crate::dtls) const SERVER_HELLO_DONE: u8 = 14;
    pub(in crate::dtls) const CERTIFICATE_VERIFY: u8 = 15;
    pub(in crate::dtls) const CLIENT_KEY_EXCHANGE: u8 = 16;
}

/// The longest message of a kind that a peer of ours in `role` may send in plaintext; none when it
/// may not send the kind at all.
pub(super) fn longest(role: DtlsRole, kind: u8) -> Option<usize> {
    match (role, kind) {
        // Post-quantum key shares make a ClientHello about 2 KiB long.
        (DtlsRole::Server, kind::CLIENT_HELLO) => Some(16 * 1024),
        (DtlsRole::Server, kind::CLIENT_KEY_EXCHANGE) => Some(1024),
        (DtlsRole::Client, kind::SERVER_HELLO | kind::SERVER_KEY_EXCHANGE) => Some(4 * 1024),
        (DtlsRole::Client, kind::HELLO_VERIFY_REQUEST) => Some(3 + 255),
        // Names of certificate authorities may stand there.
        (DtlsRole::Client, kind::CERTIFICATE_REQUEST) => Some(16 * 1024),
        (DtlsRole::Client, kind::SERVER_HELLO_DONE) => Some(0),
        (DtlsRole::Server, kind::CERTIFICATE_VERIFY) => Some(4 * 1024),
        (_, kind::CERTIFICATE) => Some(64 * 1024),
        _ => None,
    }
}

/// Whether the crate can parse a whole message without going out of bounds.
pub(super) fn is_sound(kind: u8, body: &[u8]) -> bool {
    let mut reader = Reader(body);
    let read = match kind {
        kind::CLIENT_HELLO => read_client_hello(&mut reader).map(|_extensions| ()),
        kind::SERVER_HELLO => read_server_hello(&mut reader),
        kind::HELLO_VERIFY_REQUEST => read_hello_verify_request(&mut reader),
        kind::CERTIFICATE => read_certificate(&mut reader),
        kind::SERVER_KEY_EXCHANGE => read_server_key_exchange(&mut reader),
        kind::CERTIFICATE_REQUEST => read_certificate_request(&mut reader),
        kind::SERVER_HELLO_DONE => Some(()),
        kind::CERTIFICATE_VERIFY => read_certificate_verify(&mut reader),
        kind::CLIENT_KEY_EXCHANGE => read_client_key_exchange(&mut reader),
        _ => None,
    };
    read.is_some() && reader.0.is_empty()
}

/// The SRTP protection profiles that a sound ClientHello offers, in its order (RFC 5764 §4.1.1).
pub(super) fn offered_srtp_profiles(client_hello: &[u8]) -> Vec<u16> {
    let find = || {
        let mut extensions = Reader(read_client_hello(&mut Reader(client_hello))?);
        while let Some((number, data)) = extensions.extension() {
            if number == USE_SRTP {
                return Reader(data).vector(Reader::u16);
            }
        }
        None
    };
    let (pairs, _odd) = find().unwrap_or_default().as_chunks::<2>();
    pairs.iter().copied().map(u16::from_be_bytes).collect()
}

/// Whether a sound Certificate message names no certificate at all; no CertificateVerify follows
/// such a one.
pub(super) fn is_empty_certificate(body: &[u8]) -> bool {
    body.len() == 3
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<usize> {
        self.number(1)
    }

    fn u16(&mut self) -> Option<usize> {
        self.number(2)
    }

    fn u24(&mut self) -> Option<usize> {
        self.number(3)
    }

    fn number(&mut self, bytes: usize) -> Option<usize> {
        let bytes = self.take(bytes)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, &byte| (sum << 8) | usize::from(byte)),
        )
    }

    /// A length read by `length`, and that many bytes.
    fn vector(&mut self, length: impl Fn(&mut Self) -> Option<usize>) -> Option<&'a [u8]> {
        let length = length(self)?;
        self.take(length)
    }

    fn extension(&mut self) -> Option<(usize, &'a [u8])> {
        Some((self.u16()?, self.vector(Self::u16)?))
    }

    /// A block of extensions, each of which fits.
    fn extensions(&mut self) -> Option<&'a [u8]> {
        let block = self.vector(Self::u16)?;
        let mut extensions = Reader(block);
        while !extensions.0.is_empty() {
            extensions.extension()?;
        }
        Some(block)
    }

    fn version_and_random(&mut self) -> Option<&'a [u8]> {
        self.take(2 + 32)
    }
}

fn read_client_hello<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    reader.version_and_random()?;
    // The crate reads on right behind the length, so whatever follows would be misread. WebRTC
    // clients resume no sessions and leave it empty (RFC 9147 §5.3 demands so of DTLS 1.3).
    let session_id = reader.vector(Reader::u8)?;
    if !session_id.is_empty() {
        return None;
    }
    let _cookie = reader.vector(Reader::u8)?;
    let cipher_suites = reader.vector(Reader::u16)?;
    let _compression_methods = reader.vector(Reader::u8)?;
    if cipher_suites.len() % 2 != 0 {
        return None;
    }
    reader.extensions()
}

fn read_server_hello(reader: &mut Reader<'_>) -> Option<()> {
    reader.version_and_random()?;
    let _session_id = reader.vector(Reader::u8)?;
    let _cipher_suite_and_compression = reader.take(2 + 1)?;
    let _extensions = reader.extensions()?;
    Some(())
}

fn read_hello_verify_request(reader: &mut Reader<'_>) -> Option<()> {
    let _version = reader.take(2)?;
    let _cookie = reader.vector(Reader::u8)?;
    Some(())
}

fn read_certificate(reader: &mut Reader<'_>) -> Option<()> {
    let mut chain = Reader(reader.vector(Reader::u24)?);
    while !chain.0.is_empty() {
        let _certificate = chain.vector(Reader::u24)?;
    }
    Some(())
}

fn read_server_key_exchange(reader: &mut Reader<'_>) -> Option<()> {
    let _curve_type_and_curve = reader.take(1 + 2)?;
    let _public_key = reader.vector(Reader::u8)?;
    read_certificate_verify(reader)
}

fn read_certificate_request(reader: &mut Reader<'_>) -> Option<()> {
    let _certificate_types = reader.vector(Reader::u8)?;
    let algorithms = reader.vector(Reader::u16)?;
    let _authorities = reader.vector(Reader::u16)?;
    (algorithms.len() % 2 == 0).then_some(())
}

fn read_certificate_verify(reader: &mut Reader<'_>) -> Option<()> {
    let _hash_and_signature_algorithm = reader.take(2)?;
    let _signature = reader.vector(Reader::u16)?;
    Some(())
}

fn read_client_key_exchange(reader: &mut Reader<'_>) -> Option<()> {
    let public_key = reader.vector(Reader::u8)?;
    (!public_key.is_empty()).then_some(())
}

/// RFC 5764 §9.
const USE_SRTP: usize = 14;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A ClientHello with these extensions.
    pub(in crate::dtls) fn client_hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let mut block = Vec::new();
        for (number, data) in extensions {
            block.extend(number.to_be_bytes());
            block.extend((data.len() as u16).to_be_bytes());
            block.extend(*data);
        }
        let mut body = vec![0xfe, 0xfd];
        body.extend([7; 32]);
        // No session, no cookie, one cipher suite, no compression.
        body.extend([0, 0, 0, 2, 0xc0, 0x2b, 1, 0]);
        body.extend((block.len() as u16).to_be_bytes());
        body.extend(block);
        body
    }

    #[test]
    fn profiles_are_read_in_the_clients_order() {
        let hello = client_hello(&[
            (10, &[0, 2, 0, 29]),
            (14, &[0, 6, 0, 1, 0, 8, 0, 7, 0]),
            (23, &[]),
        ]);
        assert!(is_sound(kind::CLIENT_HELLO, &hello));
        assert_eq!(offered_srtp_profiles(&hello), [1, 8, 7]);
    }

    #[test]
    fn a_client_without_srtp_offers_nothing() {
        let hello = client_hello(&[(23, &[])]);
        assert!(is_sound(kind::CLIENT_HELLO, &hello));
        assert!(offered_srtp_profiles(&hello).is_empty());
        let lie = client_hello(&[(14, &[0, 60, 0, 1])]);
        assert!(offered_srtp_profiles(&lie).is_empty());
    }

    #[test]
    fn a_client_hello_cut_anywhere_is_unsound() {
        let hello = client_hello(&[(14, &[0, 2, 0, 7, 0]), (23, &[])]);
        for length in 0..hello.len() {
            assert!(!is_sound(kind::CLIENT_HELLO, &hello[..length]), "{length}");
        }
    }

    #[test]
    fn an_extension_block_of_one_byte_is_unsound() {
        // Where the crate indexes behind the block's end.
        let mut hello = client_hello(&[]);
        hello.truncate(hello.len() - 2);
        hello.extend([0, 1, 0]);
        assert!(!is_sound(kind::CLIENT_HELLO, &hello));
        let mut server_hello = vec![0; 2 + 32 + 1 + 2 + 1];
        server_hello.extend([0, 1, 0]);
        assert!(!is_sound(kind::SERVER_HELLO, &server_hello));
    }

    #[test]
    fn key_exchanges_too_short_for_a_length_are_unsound() {
        for body in [&[][..], &[0], &[1], &[0, 0], &[2, 1]] {
            assert!(!is_sound(kind::CLIENT_KEY_EXCHANGE, body), "{body:?}");
            assert!(!is_sound(kind::SERVER_KEY_EXCHANGE, body), "{body:?}");
        }
        assert!(is_sound(kind::CLIENT_KEY_EXCHANGE, &[2, 1, 1]));
        assert!(is_sound(
            kind::SERVER_KEY_EXCHANGE,
            &[3, 0, 29, 1, 9, 4, 3, 0, 1, 5]
        ));
    }

    #[test]
    fn a_certificate_longer_than_its_message_is_unsound() {
        // Section of lengths only: 16 MiB to allocate, 6 bytes to send.
        assert!(!is_sound(
            kind::CERTIFICATE,
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
        ));
        assert!(!is_sound(kind::CERTIFICATE, &[0, 0, 4, 0, 0, 2, 1]));
        assert!(is_sound(kind::CERTIFICATE, &[0, 0, 4, 0, 0, 1, 1]));
        assert!(is_sound(kind::CERTIFICATE, &[0, 0, 0]));
    }

    #[test]
    fn each_side_may_send_only_its_own_messages() {
        assert!(longest(DtlsRole::Server, kind::SERVER_HELLO).is_none());
        assert!(longest(DtlsRole::Client, kind::CLIENT_HELLO).is_none());
        // Finished comes encrypted, HelloRequest and unknown kinds not at all.
        for kind in [0, 4, 20, 22, 255] {
            assert!(longest(DtlsRole::Server, kind).is_none());
            assert!(longest(DtlsRole::Client, kind).is_none());
        }
    }
}
