//! Fingerprints of certificates (RFC 8122).

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

/// `a=fingerprint`: hash function and digest of a certificate.
///
/// Reads and writes the value of the SDP attribute, `sha-256 AB:CD:…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// Lower case, for example `sha-256`.
    pub algorithm: String,
    /// The digest's bytes.
    pub digest: Vec<u8>,
}

/// Who opens the DTLS handshake (RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// Sends the ClientHello; `a=setup:active`.
    Client,
    /// Waits for it; `a=setup:passive`.
    Server,
}

/// Why the value of an `a=fingerprint` line could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// It is not a hash function, one blank and a digest.
    #[error("a fingerprint is a hash function, a blank and a digest")]
    Shape,
    /// The digest is not pairs of hexadecimal digits with colons in between.
    #[error("the digest is not pairs of hexadecimal digits with colons in between")]
    Digest,
    /// The digest is not as long as the hash function makes it.
    #[error("a {algorithm} digest has {expected} bytes, not {actual}")]
    Length {
        /// The hash function.
        algorithm: String,
        /// What it yields.
        expected: usize,
        /// What is there.
        actual: usize,
    },
}

/// What comparing a certificate with fingerprints came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FingerprintCheck {
    Matches,
    Differs,
    /// None of the fingerprints is of a hash function that we trust.
    NoneSupported,
}

impl Fingerprint {
    /// The SHA-256 fingerprint of a certificate in DER.
    pub(crate) fn sha256(der: &[u8]) -> Self {
        Self {
            algorithm: HashFunction::Sha256.name().to_owned(),
            digest: HashFunction::Sha256.digest(der),
        }
    }

    /// Whether we trust its hash function: sha-256, sha-384 or sha-512. RFC 8122 §5 forbids md2
    /// and md5, and sha-1 has had collisions since.
    pub fn is_supported(&self) -> bool {
        HashFunction::named(&self.algorithm).is_some()
    }

    /// Compares a certificate in DER with all fingerprints of its description. Only those of the
    /// strongest hash function count, and one of them suffices (RFC 8122 §5).
    pub(crate) fn check(fingerprints: &[Self], der: &[u8]) -> FingerprintCheck {
        let function = |fingerprint: &Self| HashFunction::named(&fingerprint.algorithm);
        let Some(strongest) = fingerprints.iter().filter_map(function).max() else {
            return FingerprintCheck::NoneSupported;
        };
        let actual = strongest.digest(der);
        let matches = fingerprints
            .iter()
            .filter(|fingerprint| function(fingerprint) == Some(strongest))
            .any(|fingerprint| bool::from(fingerprint.digest.ct_eq(&actual)));
        if matches {
            FingerprintCheck::Matches
        } else {
            FingerprintCheck::Differs
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.algorithm)?;
        for (index, byte) in self.digest.iter().enumerate() {
            let separator = if index == 0 { ' ' } else { ':' };
            write!(f, "{separator}{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads the value of an `a=fingerprint` line. Hash functions that we do not know are read
    /// too: whether one is good enough is asked later, of all fingerprints together.
    fn from_str(value: &str) -> Result<Self, Self::Err> {
        let (algorithm, digest) = value
            .trim()
            .split_once(' ')
            .ok_or(FingerprintError::Shape)?;
        if algorithm.is_empty() || !algorithm.bytes().all(is_token_byte) {
            return Err(FingerprintError::Shape);
        }
        let algorithm = algorithm.to_ascii_lowercase();
        let digest = read_digest(digest.trim())?;
        if let Some(function) = HashFunction::named(&algorithm)
            && function.digest_bytes() != digest.len()
        {
            return Err(FingerprintError::Length {
                algorithm,
                expected: function.digest_bytes(),
                actual: digest.len(),
            });
        }
        Ok(Self { algorithm, digest })
    }
}

fn read_digest(text: &str) -> Result<Vec<u8>, FingerprintError> {
    if text.len() > LONGEST_DIGEST_TEXT {
        return Err(FingerprintError::Digest);
    }
    text.split(':')
        .map(|pair| {
            let hexadecimal = pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !hexadecimal {
                return Err(FingerprintError::Digest);
            }
            u8::from_str_radix(pair, 16).map_err(|_| FingerprintError::Digest)
        })
        .collect()
}

/// `token` of RFC 4566 §9, as far as names of hash functions go.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Those that we trust, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum HashFunction {
    Sha256,
    Sha384,
    Sha512,
}

impl HashFunction {
    fn named(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|function| name.eq_ignore_ascii_case(function.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    fn digest_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// Three characters a byte for the longest hash in use, with room for longer ones to come.
const LONGEST_DIGEST_TEXT: usize = 3 * 256;

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    const DER: &[u8] = b"stands for a certificate";

    fn of(function: HashFunction, der: &[u8]) -> Fingerprint {
        Fingerprint {
            algorithm: function.name().to_owned(),
            digest: function.digest(der),
        }
    }

    #[test]
    fn a_fingerprint_survives_being_written_and_read() {
        let fingerprint = Fingerprint::sha256(DER);
        let text = fingerprint.to_string();
        assert!(text.starts_with("sha-256 "));
        assert_eq!(text.len(), "sha-256 ".len() + 32 * 3 - 1);
        assert_eq!(text.parse(), Ok(fingerprint.clone()));
        assert_eq!(text.to_lowercase().parse(), Ok(fingerprint.clone()));
        assert_eq!(
            text.replace("sha-256", "SHA-256").parse(),
            Ok(fingerprint),
            "RFC 8122 §5: the hash function is not case sensitive"
        );
    }

    #[test]
    fn nonsense_is_refused_with_the_reason() {
        let parse = |text: &str| text.parse::<Fingerprint>().unwrap_err();
        assert_eq!(parse(""), FingerprintError::Shape);
        assert_eq!(parse("sha-256"), FingerprintError::Shape);
        assert_eq!(parse("sha/256 AA"), FingerprintError::Shape);
        assert_eq!(parse("sha-1 AA:B"), FingerprintError::Digest);
        assert_eq!(parse("sha-1 AA:+B"), FingerprintError::Digest);
        assert_eq!(parse("sha-1 AA::BB"), FingerprintError::Digest);
        assert_eq!(
            parse("sha-256 AA:BB"),
            FingerprintError::Length {
                algorithm: "sha-256".to_owned(),
                expected: 32,
                actual: 2
            }
        );
    }

    #[test]
    fn one_match_of_the_strongest_function_suffices() {
        for function in [
            HashFunction::Sha256,
            HashFunction::Sha384,
            HashFunction::Sha512,
        ] {
            let right = of(function, DER);
            let wrong = of(function, b"other");
            let check = |list: &[Fingerprint]| Fingerprint::check(list, DER);
            assert_eq!(check(slice::from_ref(&wrong)), FingerprintCheck::Differs);
            assert_eq!(check(slice::from_ref(&right)), FingerprintCheck::Matches);
            assert_eq!(check(&[wrong, right]), FingerprintCheck::Matches);
        }
    }

    #[test]
    fn a_weaker_match_does_not_make_up_for_a_stronger_mismatch() {
        let list = [
            of(HashFunction::Sha256, DER),
            of(HashFunction::Sha512, b"other"),
        ];
        assert_eq!(Fingerprint::check(&list, DER), FingerprintCheck::Differs);
    }

    #[test]
    fn sha_1_is_never_enough() {
        let sha1: Fingerprint = "sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33"
            .parse()
            .unwrap();
        assert!(!sha1.is_supported());
        assert_eq!(
            Fingerprint::check(slice::from_ref(&sha1), DER),
            FingerprintCheck::NoneSupported
        );
        assert_eq!(
            Fingerprint::check(&[sha1, Fingerprint::sha256(DER)], DER),
            FingerprintCheck::Matches
        );
        assert_eq!(
            Fingerprint::check(&[], DER),
            FingerprintCheck::NoneSupported
        );
    }

    #[test]
    fn a_digest_of_another_length_never_matches() {
        let mut short = Fingerprint::sha256(DER);
        short.digest.truncate(31);
        assert_eq!(Fingerprint::check(&[short], DER), FingerprintCheck::Differs);
    }
}
