//! Header extensions by URI (RFC 8285).

/// A header extension that this crate knows by name (W3C `RTCRtpHeaderExtensionParameters.uri`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HeaderExtension {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid` (RFC 9143).
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id` (RFC 8852).
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id` (RFC 8852).
    RepairedRid,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`.
    TransportWideCc,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level` (RFC 6464).
    AudioLevel,
    /// Any other, by its URI.
    Other(String),
}

/// Which extension stands behind which identifier in one direction of one m-line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtensionMap {
    /// `(identifier 1..=255, extension)`, no identifier and no extension twice.
    pub(crate) entries: Vec<(u8, HeaderExtension)>,
}
