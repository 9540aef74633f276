//! What can go wrong with a packet or a key, and whose fault it is.

use std::fmt;

/// Why a packet was not protected or unprotected, or a context not made.
///
/// None of these ends a session: the next packet is treated as if the refused one had never come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SrtpError {
    /// Misuse: a master key or salt of a length that the profile does not have.
    #[error("the {part} has {actual} bytes, the profile wants {expected}")]
    KeyLength {
        /// Which of the two.
        part: KeyPart,
        /// What the profile wants.
        expected: usize,
        /// What was given.
        actual: usize,
    },
    /// The sender's fault (the caller's, when protecting): the packet ends before what its header
    /// announces, or before the tag.
    #[error("the packet has {actual} bytes, its header and trailer need {needed}")]
    TooShort {
        /// The least that it would take.
        needed: usize,
        /// What is there.
        actual: usize,
    },
    /// The sender's fault (the caller's, when protecting): longer than a datagram can be.
    #[error("the packet has {actual} bytes, more than a datagram carries")]
    TooLong {
        /// What is there, the tag included.
        actual: usize,
    },
    /// The sender's fault (the caller's, when protecting): not version 2 of RTP or RTCP.
    #[error("version {0} instead of 2")]
    Version(
        /// The version found.
        u8,
    ),
    /// Nobody's fault or an attacker's: the tag does not match. The packet was changed
    /// on its way, forged, or made with other keys.
    #[error("the authentication tag does not match")]
    AuthenticationFailed,
    /// The peer's fault or an attacker's: SRTCP without the encryption flag. WebRTC never sends it.
    #[error("srtcp without the encryption flag")]
    NotEncrypted,
    /// Receiving: the network or an attacker repeated a packet. Sending: misuse, this index
    /// was used before, and a second packet under it would break the cipher.
    #[error("index {index} of ssrc {ssrc:#010x} was there before")]
    Repeated {
        /// Whose packet.
        ssrc: u32,
        /// Rollover counter and sequence number (RTP), or SRTCP index.
        index: u64,
    },
    /// So far behind the newest packet that nobody can tell whether it was there before.
    #[error("index {index} of ssrc {ssrc:#010x} is older than the replay window")]
    TooOld {
        /// Whose packet.
        ssrc: u32,
        /// Rollover counter and sequence number (RTP), or SRTCP index.
        index: u64,
    },
    /// One SSRC more than this context keeps state for. Receiving: the (authenticated) peer's
    /// fault; sending: the caller's.
    #[error("more than {limit} ssrcs")]
    TooManySsrcs {
        /// How many there may be.
        limit: usize,
    },
    /// Nobody's fault: as many packets as one master key may protect have been (RFC 3711 §9.2).
    /// Only new keys help.
    #[error("the key has protected as many packets as it may")]
    KeyExhausted,
}

/// A part of an [`SrtpMasterKey`](super::SrtpMasterKey).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyPart {
    /// The master key.
    Key,
    /// The master salt.
    Salt,
}

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key => "master key",
            Self::Salt => "master salt",
        })
    }
}
