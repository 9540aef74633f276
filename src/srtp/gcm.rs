//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).

use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};

use super::cipher::{INDEX_WORD, PacketId};
use super::error::SrtpError;
use super::header::RtcpHeader;
use super::key_derivation::{Protocol, derive};
use super::keys::SrtpMasterKey;

/// The session key and salt of one protocol in one direction.
pub(super) struct GcmCipher {
    key: LessSafeKey,
    salt: [u8; SALT],
}

impl GcmCipher {
    pub(super) fn derive_128(master: &SrtpMasterKey, protocol: Protocol) -> Self {
        let key: [u8; 16] = derive(master, protocol.encryption());
        Self::from_session_keys(&key, derive(master, protocol.salt()))
    }

    pub(super) fn derive_256(master: &SrtpMasterKey, protocol: Protocol) -> Self {
        let key: [u8; 32] = derive(master, protocol.encryption());
        Self::from_session_keys(&key, derive(master, protocol.salt()))
    }

    /// A cipher with these session keys; the key has 16 or 32 bytes.
    pub(super) fn from_session_keys(key: &[u8], salt: [u8; SALT]) -> Self {
        let algorithm = if key.len() == 16 {
            &AES_128_GCM
        } else {
            &AES_256_GCM
        };
        let key = UnboundKey::new(algorithm, key).expect("a session key has 16 or 32 bytes");
        Self {
            key: LessSafeKey::new(key),
            salt,
        }
    }

    /// The whole header is authenticated, what follows is encrypted as well (RFC 7714 §8.2).
    pub(super) fn seal_rtp(
        &self,
        packet: &mut Vec<u8>,
        start: usize,
        header: usize,
        id: PacketId,
    ) -> Result<(), SrtpError> {
        let (header, body) = packet[start..].split_at_mut(header);
        let tag = self.seal(id, header, body)?;
        packet.extend_from_slice(tag.as_ref());
        Ok(())
    }

    /// What stood behind the header is lost when the tag does not match.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        id: PacketId,
    ) -> Result<usize, SrtpError> {
        let (aad, body) = packet.split_at_mut(header);
        Ok(header + self.open(id, aad, body)?)
    }

    /// First header, SSRC and index word are authenticated, the rest is encrypted as well
    /// (RFC 7714 §9.2); the tag stands before the index word.
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut Vec<u8>,
        start: usize,
        id: PacketId,
    ) -> Result<(), SrtpError> {
        let word = id.index_word();
        let (header, body) = packet[start..].split_at_mut(RtcpHeader::LENGTH);
        let tag = self.seal(id, &srtcp_aad(header, word), body)?;
        packet.extend_from_slice(tag.as_ref());
        packet.extend_from_slice(&word);
        Ok(())
    }

    /// What stood behind the header is lost when the tag does not match.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], id: PacketId) -> Result<usize, SrtpError> {
        let word = Self::index_word(packet);
        let end = packet.len() - INDEX_WORD;
        let (header, body) = packet[..end].split_at_mut(RtcpHeader::LENGTH);
        Ok(RtcpHeader::LENGTH + self.open(id, &srtcp_aad(header, word), body)?)
    }

    /// The last word of an SRTCP packet.
    pub(super) fn index_word(packet: &[u8]) -> [u8; INDEX_WORD] {
        *packet
            .last_chunk()
            .expect("the length was checked before the index is read")
    }

    fn seal(&self, id: PacketId, aad: &[u8], body: &mut [u8]) -> Result<Tag, SrtpError> {
        let actual = body.len();
        self.key
            .seal_in_place_separate_tag(self.nonce(id), Aad::from(aad), body)
            .map_err(|_| SrtpError::TooLong { actual })
    }

    /// `body` ends in the tag.
    fn open(&self, id: PacketId, aad: &[u8], body: &mut [u8]) -> Result<usize, SrtpError> {
        self.key
            .open_in_place(self.nonce(id), Aad::from(aad), body)
            .map(|plain| plain.len())
            .map_err(|_| SrtpError::AuthenticationFailed)
    }

    /// Two zero bytes, SSRC and 48 bits of index, under the salt (RFC 7714 §8.1 and §9.1: an
    /// SRTCP index in place of rollover counter and sequence number comes to the same).
    fn nonce(&self, id: PacketId) -> Nonce {
        let mut nonce = [0; SALT];
        nonce[2..6].copy_from_slice(&id.ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&id.index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(&self.salt) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// What SRTCP authenticates beside the encrypted part (RFC 7714 §9.2).
fn srtcp_aad(header: &[u8], index_word: [u8; INDEX_WORD]) -> [u8; RtcpHeader::LENGTH + INDEX_WORD] {
    let mut aad = [0; RtcpHeader::LENGTH + INDEX_WORD];
    aad[..RtcpHeader::LENGTH].copy_from_slice(header);
    aad[RtcpHeader::LENGTH..].copy_from_slice(&index_word);
    aad
}

const SALT: usize = 12;
