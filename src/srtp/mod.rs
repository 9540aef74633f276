//! SRTP and SRTCP in place (RFC 3711, RFC 7714): encrypt what goes out, verify and decrypt what
//! comes in.
//!
//! Pure values: no task, no socket, no clock. A [`Protector`] holds the state of one direction of
//! sending, an [`Unprotector`] that of one direction of receiving; both are made from one
//! [`SrtpMasterKey`] of the [`SrtpKeys`] that DTLS exports (RFC 5764).
//!
//! # What holds
//!
//! - **In place.** A packet is protected where it lies, at the end of a slab, and unprotected where
//!   it was received. Nothing is allocated per packet once the stream is known (and the slab has
//!   room for the tag).
//! - **Nothing before the tag.** Rollover counter, replay window and the entry of an SSRC are made
//!   and moved only by a packet whose authentication tag was verified. Forged packets cost CPU
//!   time and nothing else.
//! - **Bounded.** The number of SSRCs per direction is limited; one more is a typed error.
//! - **No input panics.** The RTP header is measured (CSRC list, extension block) before anything
//!   is done; lengths are checked on every path.
//! - **No index twice.** A [`Protector`] refuses to seal a second packet under the same SSRC,
//!   sequence number and rollover counter, because with AES-GCM two packets under one
//!   nonce give away the authentication key (RFC 7714 §8.4). To retransmit without RTX, send the
//!   protected bytes again. (The media path makes them anew, of a packet that it kept unchanged.)
//!
//! # What is left out, on purpose
//!
//! No master key identifier (none is ever offered), key derivation rate 0 (RFC 5764 §4.1.2), no
//! unencrypted SRTCP (RFC 7714 §9.3; WebRTC has no use for it), no encrypted header extensions
//! (RFC 6904, RFC 9335). The rollover counter starts at 0 and is never searched for: a sender
//! should begin below sequence number 2¹⁵ (RFC 3711 §3.3.1), and after a gap of more than 2¹⁵ lost
//! packets a stream needs a new SSRC or new keys.
//!
//! # Example
//!
//! ```
//! use bytes::BytesMut;
//! use ractor_webrtc::srtp::{Protector, SrtpMasterKey, SrtpProfile, Unprotector};
//!
//! # fn main() -> Result<(), ractor_webrtc::srtp::SrtpError> {
//! let profile = SrtpProfile::AeadAes128Gcm;
//! let key = SrtpMasterKey { key: vec![7; profile.key_len()], salt: vec![9; profile.salt_len()] };
//! let mut protector = Protector::new(profile, &key)?;
//! let mut unprotector = Unprotector::new(profile, &key)?;
//!
//! // Version 2, payload type 96, sequence number 1, timestamp 0, SSRC 42, three bytes of payload.
//! let plain = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 42, b'a', b'b', b'c'];
//! let mut slab = plain.to_vec();
//! protector.protect_rtp(&mut slab, 0)?;
//! assert_eq!(slab.len(), plain.len() + profile.rtp_overhead());
//!
//! let mut packet = BytesMut::from(&slab[..]);
//! unprotector.unprotect_rtp(&mut packet)?;
//! assert_eq!(packet[..], plain);
//! # Ok(())
//! # }
//! ```

mod cipher;
mod cm;
mod error;
mod gcm;
mod header;
mod key_derivation;
mod keys;
mod profile;
mod protector;
mod replay;
mod rollover;
mod ssrc_table;
mod unprotector;

pub use self::error::{KeyPart, SrtpError};
pub use self::keys::{SrtpKeys, SrtpMasterKey};
pub use self::profile::SrtpProfile;
pub use self::protector::Protector;
pub use self::unprotector::Unprotector;

#[cfg(test)]
mod tests;
