//! Fingerprints of certificates (RFC 8122).

/// `a=fingerprint`: hash function and digest of a certificate.
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
