//! The certificate that we show (W3C webrtc-pc §4.9).

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use ring::signature::KeyPair;
use webrtc_dtls::crypto::{Certificate as CrateCertificate, CryptoPrivateKeyKind};

use super::der::CertificateFields;
use super::fingerprint::Fingerprint;

/// A certificate and its private key. Cheap to clone; may be shared by any number of connections,
/// which then show the same identity.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<Inner>,
}

struct Inner {
    certificate: CrateCertificate,
    fingerprint: Fingerprint,
    expires: Option<SystemTime>,
}

/// Why a certificate could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The text has no `PRIVATE KEY` block.
    #[error("the text has no PRIVATE KEY block")]
    MissingPrivateKey,
    /// The key is encrypted, or in a form other than PKCS #8. `openssl pkcs8 -topk8 -nocrypt`
    /// makes one of the right form.
    #[error("{tag} blocks are not supported, only PRIVATE KEY (PKCS #8, not encrypted)")]
    UnsupportedKeyForm {
        /// What the block calls itself.
        tag: String,
    },
    /// The text has no `CERTIFICATE` block.
    #[error("the text has no CERTIFICATE block")]
    MissingCertificate,
    /// A block's end is missing.
    #[error("the {tag} block has no end")]
    Unterminated {
        /// What the block calls itself.
        tag: String,
    },
    /// A block holds something else than it says.
    #[error("a block holds something else than it says: {reason}")]
    Malformed {
        /// What was found.
        reason: String,
    },
    /// The key is of a kind that cannot be used, RSA for instance: ECDSA with the curve P-256 can,
    /// and Ed25519, which browsers do not take.
    #[error("the private key is neither ecdsa p-256 nor ed25519")]
    UnsupportedKey,
    /// The private key is not that of the (first) certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// No certificate could be made.
    #[error("no certificate could be made: {reason}")]
    Generation {
        /// What went wrong.
        reason: String,
    },
}

impl Certificate {
    /// A new self-signed one with an ECDSA P-256 key, which is what WebRTC peers must support (RFC
    /// 8827 §6.5). Takes about a tenth of a millisecond.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Generation`] when the system has no randomness to give.
    pub fn generate() -> Result<Self, CertificateError> {
        let certificate = CrateCertificate::generate_self_signed(vec!["WebRTC".to_owned()])
            .map_err(|error| CertificateError::Generation {
                reason: error.to_string(),
            })?;
        Self::new(certificate)
    }

    /// Reads a private key and its certificate from PEM text: one `PRIVATE KEY` block (PKCS #8) and
    /// at least one `CERTIFICATE` block, the peer's own first. Their order, other blocks and text
    /// in between do not matter. `openssl req -x509 -newkey ec -pkeyopt
    /// ec_paramgen_curve:prime256v1 -nodes` makes such files.
    ///
    /// # Errors
    ///
    /// Every [`CertificateError`] but [`CertificateError::Generation`].
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let pem = to_crate_pem(text)?;
        let certificate = CrateCertificate::from_pem(&pem).map_err(|error| {
            // What the crate says of a key that it can read and not use.
            if matches!(error, webrtc_dtls::Error::Other(_)) {
                return CertificateError::UnsupportedKey;
            }
            CertificateError::Malformed {
                reason: error.to_string(),
            }
        })?;
        Self::new(certificate)
    }

    /// Writes what [`from_pem`](Self::from_pem) reads, **private key included**: guard it as you
    /// would any key.
    pub fn to_pem(&self) -> String {
        let pem = self.inner.certificate.serialize_pem();
        let pem = pem.replace(CRATE_KEY_TAG, KEY_TAG).replace("\r\n", "\n");
        if pem.ends_with('\n') { pem } else { pem + "\n" }
    }

    /// The certificate's fingerprints, for `a=fingerprint` lines: one, SHA-256.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        vec![self.inner.fingerprint.clone()]
    }

    /// When the certificate ceases to be valid; none when it names no representable date. Peers of
    /// WebRTC go by the fingerprint and do not look at it.
    pub fn expires(&self) -> Option<SystemTime> {
        self.inner.expires
    }

    /// The certificate in DER.
    pub(crate) fn der(&self) -> &[u8] {
        self.inner.certificate.certificate[0].as_ref()
    }

    /// A copy for the crate, which wants its own.
    pub(super) fn to_crate(&self) -> CrateCertificate {
        self.inner.certificate.clone()
    }

    fn new(certificate: CrateCertificate) -> Result<Self, CertificateError> {
        let der = certificate
            .certificate
            .first()
            .ok_or(CertificateError::MissingCertificate)?
            .as_ref();
        let fields = CertificateFields::read(der).ok_or_else(|| CertificateError::Malformed {
            reason: "not an X.509 certificate".to_owned(),
        })?;
        let public_key = match &certificate.private_key.kind {
            CryptoPrivateKeyKind::Ecdsa256(key) => key.public_key().as_ref(),
            CryptoPrivateKeyKind::Ed25519(key) => key.public_key().as_ref(),
            CryptoPrivateKeyKind::Rsa256(_) => return Err(CertificateError::UnsupportedKey),
        };
        if public_key != fields.public_key {
            return Err(CertificateError::KeyMismatch);
        }
        let (fingerprint, expires) = (Fingerprint::sha256(der), fields.not_after);
        Ok(Self {
            inner: Arc::new(Inner {
                certificate,
                fingerprint,
                expires,
            }),
        })
    }
}

impl PartialEq for Certificate {
    /// Equal when the certificates are, byte by byte.
    fn eq(&self, other: &Self) -> bool {
        self.der() == other.der()
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    /// Never shows the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("fingerprint", &self.inner.fingerprint.to_string())
            .finish_non_exhaustive()
    }
}

/// The crate wants the key first, a tag of its own for it, and nothing else in between.
fn to_crate_pem(text: &str) -> Result<String, CertificateError> {
    let (mut key, mut certificates) = (None, Vec::new());
    let mut unsupported = None;
    for block in blocks(text) {
        let (tag, body) = block?;
        match tag {
            KEY_TAG | CRATE_KEY_TAG => key = key.or(Some(body)),
            CERTIFICATE_TAG => certificates.push(body),
            _ if tag.ends_with(KEY_TAG) => unsupported = Some(tag.to_owned()),
            _ => {}
        }
    }
    let key = match (key, unsupported) {
        (Some(key), _) => key,
        (None, Some(tag)) => return Err(CertificateError::UnsupportedKeyForm { tag }),
        (None, None) => return Err(CertificateError::MissingPrivateKey),
    };
    if certificates.is_empty() {
        return Err(CertificateError::MissingCertificate);
    }
    let mut pem = block(CRATE_KEY_TAG, key);
    for certificate in certificates {
        pem += &block(CERTIFICATE_TAG, certificate);
    }
    Ok(pem)
}

fn block(tag: &str, body: &str) -> String {
    format!("-----BEGIN {tag}-----\n{body}\n-----END {tag}-----\n")
}

/// The blocks of a PEM text (RFC 7468): what they call themselves and what is inside.
fn blocks(mut text: &str) -> impl Iterator<Item = Result<(&str, &str), CertificateError>> {
    std::iter::from_fn(move || {
        let (_, after_begin) = text.split_once("-----BEGIN ")?;
        let (tag, rest) = after_begin.split_once("-----")?;
        let end = format!("-----END {tag}-----");
        let Some((body, rest)) = rest.split_once(end.as_str()) else {
            text = "";
            let tag = tag.to_owned();
            return Some(Err(CertificateError::Unterminated { tag }));
        };
        text = rest;
        Some(Ok((tag, body.trim())))
    })
}

const KEY_TAG: &str = "PRIVATE KEY";
const CRATE_KEY_TAG: &str = "PRIVATE_KEY";
const CERTIFICATE_TAG: &str = "CERTIFICATE";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const OPENSSL: &str = include_str!("../../tests/fixtures/openssl-p256-test-only.pem");

    #[test]
    fn a_file_made_by_openssl_loads() {
        let certificate = Certificate::from_pem(OPENSSL).unwrap();
        assert_eq!(
            certificate.fingerprints()[0].to_string(),
            "sha-256 39:85:3C:6E:D4:A6:32:E0:AD:19:10:82:1A:ED:26:2E:3A:E5:C5:CA:97:C8:89:ED:4B:FF:\
             09:1D:37:A4:C4:89",
            "as `openssl x509 -fingerprint -sha256` prints it"
        );
        assert_eq!(
            certificate.expires(),
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(4_948_938_585)),
            "2126-10-29 09:09:45 UTC"
        );
    }

    #[test]
    fn key_and_certificate_may_come_in_any_order_and_with_crlf() {
        let (head, certificate) = OPENSSL.split_at(OPENSSL.find("-----BEGIN CERT").unwrap());
        let turned = format!("{certificate}{head}").replace('\n', "\r\n");
        assert_eq!(
            Certificate::from_pem(&turned),
            Certificate::from_pem(OPENSSL)
        );
    }

    #[test]
    fn a_generated_one_survives_pem_with_ordinary_tags() {
        let certificate = Certificate::generate().unwrap();
        let pem = certificate.to_pem();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert!(pem.ends_with("-----END CERTIFICATE-----\n"));
        assert!(!pem.contains('_'));
        assert_eq!(Certificate::from_pem(&pem), Ok(certificate.clone()));
        assert!(certificate.expires().unwrap() > SystemTime::now());
    }

    #[test]
    fn two_generated_ones_differ() {
        let (a, b) = (Certificate::generate(), Certificate::generate());
        assert_ne!(a.unwrap().fingerprints(), b.unwrap().fingerprints());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let load = |text: &str| Certificate::from_pem(text).unwrap_err();
        let (key, certificate) = OPENSSL.split_at(OPENSSL.find("-----BEGIN CERT").unwrap());
        assert_eq!(load(""), CertificateError::MissingPrivateKey);
        assert_eq!(load(certificate), CertificateError::MissingPrivateKey);
        assert_eq!(load(key), CertificateError::MissingCertificate);
        assert_eq!(
            load(&OPENSSL.replace("PRIVATE KEY", "EC PRIVATE KEY")),
            CertificateError::UnsupportedKeyForm {
                tag: "EC PRIVATE KEY".to_owned()
            }
        );
        assert_eq!(
            load(&OPENSSL[..OPENSSL.len() - 10]),
            CertificateError::Unterminated {
                tag: "CERTIFICATE".to_owned()
            }
        );
        assert!(matches!(
            load(&OPENSSL.replace("MIGH", "AAAA")),
            CertificateError::Malformed { .. }
        ));
        assert!(matches!(
            load(&OPENSSL.replace("MIIB", "AAAA")),
            CertificateError::Malformed { .. }
        ));
        let other = Certificate::generate().unwrap().to_pem();
        let other_certificate = &other[other.find("-----BEGIN CERT").unwrap()..];
        assert_eq!(
            load(&format!("{key}{other_certificate}")),
            CertificateError::KeyMismatch
        );
    }

    #[test]
    fn debug_never_shows_the_key() {
        let certificate = Certificate::from_pem(OPENSSL).unwrap();
        let shown = format!("{certificate:?}");
        assert!(shown.contains("39:85:3C"));
        assert!(shown.len() < 200, "{shown}");
    }
}
