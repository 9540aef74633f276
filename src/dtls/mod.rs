//! DTLS: handshake, certificates, keys for SRTP (RFC 5764).

mod fingerprint;

pub use self::fingerprint::{DtlsRole, Fingerprint};
