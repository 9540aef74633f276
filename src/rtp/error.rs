//! What can be wrong with an RTP packet.

/// Why bytes are not an RTP packet. The sender's fault, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtpError {
    /// Shorter than its own header says.
    #[error("packet of {length} bytes ends within its header")]
    Truncated {
        /// Bytes that came.
        length: usize,
    },
    /// Larger than a datagram can be.
    #[error("packet of {length} bytes is larger than a datagram")]
    TooLong {
        /// Bytes that came.
        length: usize,
    },
    /// Not version 2.
    #[error("rtp version {version} instead of 2")]
    Version {
        /// The version that it names.
        version: u8,
    },
    /// An element of the header extension reaches beyond the extension.
    #[error("header extension element {id} is longer than the extension")]
    ExtensionElement {
        /// Identifier of the element.
        id: u8,
    },
    /// The count of padding bytes is zero or more than there are.
    #[error("padding of {padding} bytes in {available}")]
    Padding {
        /// What the last byte says.
        padding: u8,
        /// Bytes after the header.
        available: usize,
    },
    /// An element of a header extension that cannot be written: its identifier is 0 or its
    /// value is longer than 255 bytes, or all of them together are too many.
    #[error("header extension element {id} of {length} bytes cannot be written")]
    InvalidElement {
        /// Identifier of the element.
        id: u8,
        /// Length of its value.
        length: usize,
    },
}
