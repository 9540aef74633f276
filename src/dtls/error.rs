//! What can go wrong with a DTLS transport.

use std::sync::Arc;
use std::time::Duration;

/// Why a DTLS transport failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DtlsError {
    /// The remote side's certificate is not the one that its description promised: it misbehaves,
    /// or somebody stands in between (RFC 8122 §5). Nothing was delivered.
    #[error("the remote certificate does not match its signalled fingerprint")]
    FingerprintMismatch,
    /// The remote description names only fingerprints that cannot be checked or are not to be
    /// trusted, `sha-1` for instance.
    #[error("the remote description has no fingerprint of a supported hash function")]
    NoSupportedFingerprint,
    /// The remote side has no SRTP protection profile in common with ours, or speaks no SRTP at
    /// all (RFC 5764 §4.1).
    #[error("no common srtp protection profile")]
    NoCommonSrtpProfile,
    /// The remote side gave up the handshake with this alert (RFC 5246 §7.2). The alert was not
    /// authenticated, but no further handshake message followed it.
    #[error("the remote side gave up the handshake with alert {description}")]
    PeerAlert {
        /// `AlertDescription` as a number.
        description: u8,
    },
    /// The handshake was not done in time.
    #[error("the handshake was not done after {after:?}")]
    HandshakeTimeout {
        /// How long was waited.
        after: Duration,
    },
    /// The handshake went wrong; the source tells how.
    #[error("the handshake failed")]
    Handshake(#[source] HandshakeError),
    /// The DTLS implementation below gave up a connection that neither side had closed, as after a panic in one of its tasks: its fault, or
    /// ours for letting bytes through to it that it cannot read. Negotiate a new connection; a report with the log is welcome.
    #[error("the dtls implementation gave up a connection that nobody closed")]
    Broken,
    /// A task of ours ended without a word, which is our fault.
    #[error("the handshake task died")]
    Internal,
}

/// What the DTLS implementation said when the handshake failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(transparent)]
pub struct HandshakeError(Arc<webrtc_dtls::Error>);

impl From<webrtc_dtls::Error> for DtlsError {
    fn from(error: webrtc_dtls::Error) -> Self {
        Self::Handshake(HandshakeError(Arc::new(error)))
    }
}
