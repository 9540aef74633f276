//! The transforms behind one face: what a context does with a packet, whatever the profile.

use super::cm::CmCipher;
use super::error::SrtpError;
use super::gcm::GcmCipher;
use super::key_derivation::Protocol;
use super::keys::SrtpMasterKey;
use super::profile::SrtpProfile;

/// What makes the nonce of a packet unique under its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PacketId {
    pub(super) ssrc: u32,
    /// Rollover counter and sequence number (48 bits), or SRTCP index (31 bits).
    pub(super) index: u64,
}

impl PacketId {
    /// Encryption flag and SRTCP index, as they stand behind the packet (RFC 3711 §3.4).
    pub(super) fn index_word(self) -> [u8; INDEX_WORD] {
        debug_assert!(self.index <= u64::from(SRTCP_INDEX_MASK), "31 bits");
        (ENCRYPTED | (self.index as u32 & SRTCP_INDEX_MASK)).to_be_bytes()
    }
}

/// Session keys of one protocol in one direction.
///
/// The lengths that these methods rely on (header, trailer) are checked by their callers.
pub(super) enum Cipher {
    Gcm(Box<GcmCipher>),
    Cm(Box<CmCipher>),
}

impl Cipher {
    /// Derives the session keys. The master key has been checked against the profile.
    pub(super) fn new(profile: SrtpProfile, master: &SrtpMasterKey, protocol: Protocol) -> Self {
        match profile {
            SrtpProfile::AeadAes128Gcm => {
                Self::Gcm(Box::new(GcmCipher::derive_128(master, protocol)))
            }
            SrtpProfile::AeadAes256Gcm => {
                Self::Gcm(Box::new(GcmCipher::derive_256(master, protocol)))
            }
            SrtpProfile::Aes128CmHmacSha1_80 => {
                Self::Cm(Box::new(CmCipher::derive(master, protocol)))
            }
        }
    }

    /// Encrypts `packet[start + header..]` and appends the tag.
    pub(super) fn seal_rtp(
        &self,
        packet: &mut Vec<u8>,
        start: usize,
        header: usize,
        id: PacketId,
    ) -> Result<(), SrtpError> {
        match self {
            Self::Gcm(cipher) => cipher.seal_rtp(packet, start, header, id),
            Self::Cm(cipher) => cipher.seal_rtp(packet, start, header, id),
        }
    }

    /// Verifies, decrypts, and tells the length of the plain packet.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        id: PacketId,
    ) -> Result<usize, SrtpError> {
        match self {
            Self::Gcm(cipher) => cipher.open_rtp(packet, header, id),
            Self::Cm(cipher) => cipher.open_rtp(packet, header, id),
        }
    }

    /// Encrypts behind the first header and SSRC, appends tag and index word.
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut Vec<u8>,
        start: usize,
        id: PacketId,
    ) -> Result<(), SrtpError> {
        match self {
            Self::Gcm(cipher) => cipher.seal_rtcp(packet, start, id),
            Self::Cm(cipher) => cipher.seal_rtcp(packet, start, id),
        }
    }

    /// Verifies, decrypts, and tells the length of the plain packet.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], id: PacketId) -> Result<usize, SrtpError> {
        match self {
            Self::Gcm(cipher) => cipher.open_rtcp(packet, id),
            Self::Cm(cipher) => cipher.open_rtcp(packet, id),
        }
    }

    /// The SRTCP index that the sender claims, if it says that the packet is encrypted.
    pub(super) fn srtcp_index(&self, packet: &[u8]) -> Result<u64, SrtpError> {
        let word = match self {
            Self::Gcm(_) => GcmCipher::index_word(packet),
            Self::Cm(_) => CmCipher::index_word(packet),
        };
        let word = u32::from_be_bytes(word);
        if word & ENCRYPTED == 0 {
            return Err(SrtpError::NotEncrypted);
        }
        Ok(u64::from(word & SRTCP_INDEX_MASK))
    }
}

/// Bytes of the word with the encryption flag and the SRTCP index.
pub(super) const INDEX_WORD: usize = 4;

/// The highest SRTCP index (RFC 3711 §3.4: 31 bits).
pub(super) const SRTCP_INDEX_MASK: u32 = 0x7fff_ffff;

const ENCRYPTED: u32 = 0x8000_0000;
