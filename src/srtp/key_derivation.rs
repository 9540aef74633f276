//! Session keys from the master key (RFC 3711 §4.3; RFC 6188 §3 and RFC 7714 §11 for 256 bits).

use aes::cipher::{KeyIvInit, StreamCipher};
use aes::{Aes128, Aes256};
use ctr::Ctr32BE;

use super::keys::SrtpMasterKey;

/// What a session key is for (RFC 3711 §4.3.1, §4.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

/// Which of the two protocols a set of session keys protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Rtp,
    Rtcp,
}

impl Protocol {
    pub(super) const fn encryption(self) -> Label {
        match self {
            Self::Rtp => Label::RtpEncryption,
            Self::Rtcp => Label::RtcpEncryption,
        }
    }

    pub(super) const fn authentication(self) -> Label {
        match self {
            Self::Rtp => Label::RtpAuthentication,
            Self::Rtcp => Label::RtcpAuthentication,
        }
    }

    pub(super) const fn salt(self) -> Label {
        match self {
            Self::Rtp => Label::RtpSalt,
            Self::Rtcp => Label::RtcpSalt,
        }
    }
}

/// Derives `N` bytes for a purpose. The master key has been checked against its profile.
///
/// The key derivation rate is 0 (RFC 5764 §4.1.2), so that the packet index has no part in it.
/// A salt of 96 bits stands to the left, filled up with zeros (RFC 7714 §11).
pub(super) fn derive<const N: usize>(master: &SrtpMasterKey, label: Label) -> [u8; N] {
    let mut iv = [0; 16];
    for (byte, salt) in iv[..14].iter_mut().zip(&master.salt) {
        *byte = *salt;
    }
    iv[7] ^= label as u8;

    let mut out = [0; N];
    // At most 256 blocks: the low 32 bits never carry, and the counter never runs out.
    if let Ok(mut prf) = Ctr32BE::<Aes256>::new_from_slices(&master.key, &iv) {
        prf.apply_keystream(&mut out);
    } else {
        Ctr32BE::<Aes128>::new_from_slices(&master.key, &iv)
            .expect("a checked master key has 16 or 32 bytes")
            .apply_keystream(&mut out);
    }
    out
}
