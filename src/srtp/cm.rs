//! AES128_CM_HMAC_SHA1_80: AES in counter mode with HMAC-SHA1 (RFC 3711 §4.1.1, §4.2.1).

use aes::Aes128;
use aes::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherCoreWrapper};
use ctr::CtrCore;
use ctr::flavors::Ctr32BE;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

use super::cipher::{INDEX_WORD, PacketId};
use super::error::SrtpError;
use super::header::RtcpHeader;
use super::key_derivation::{Protocol, derive};
use super::keys::SrtpMasterKey;

/// The session keys of one protocol in one direction, key schedules done.
pub(super) struct CmCipher {
    aes: Aes128,
    salt: [u8; SALT],
    hmac: Hmac<Sha1>,
}

impl CmCipher {
    pub(super) fn derive(master: &SrtpMasterKey, protocol: Protocol) -> Self {
        let authentication: [u8; 20] = derive(master, protocol.authentication());
        Self::from_session_keys(
            &derive(master, protocol.encryption()),
            derive(master, protocol.salt()),
            &authentication,
        )
    }

    /// A cipher with these session keys.
    pub(super) fn from_session_keys(
        encryption: &[u8; 16],
        salt: [u8; SALT],
        authentication: &[u8; 20],
    ) -> Self {
        Self {
            aes: Aes128::new(encryption.into()),
            salt,
            hmac: <Hmac<Sha1> as Mac>::new_from_slice(authentication)
                .expect("hmac takes a key of any length"),
        }
    }

    /// The tag covers the packet and the rollover counter, which is not sent (RFC 3711 §4.2).
    pub(super) fn seal_rtp(
        &self,
        packet: &mut Vec<u8>,
        start: usize,
        header: usize,
        id: PacketId,
    ) -> Result<(), SrtpError> {
        self.apply_keystream(id, &mut packet[start + header..]);
        let tag = self.tag(&packet[start..], &rollover_counter(id));
        packet.extend_from_slice(&tag);
        Ok(())
    }

    /// Leaves the packet as it is when the tag does not match.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header: usize,
        id: PacketId,
    ) -> Result<usize, SrtpError> {
        let end = packet.len() - TAG;
        let (covered, tag) = packet.split_at_mut(end);
        self.verify(covered, &rollover_counter(id), tag)?;
        self.apply_keystream(id, &mut covered[header..]);
        Ok(end)
    }

    /// The tag covers the packet and the index word, and stands behind it (RFC 3711 §3.4).
    pub(super) fn seal_rtcp(
        &self,
        packet: &mut Vec<u8>,
        start: usize,
        id: PacketId,
    ) -> Result<(), SrtpError> {
        self.apply_keystream(id, &mut packet[start + RtcpHeader::LENGTH..]);
        packet.extend_from_slice(&id.index_word());
        let tag = self.tag(&packet[start..], &[]);
        packet.extend_from_slice(&tag);
        Ok(())
    }

    /// Leaves the packet as it is when the tag does not match.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], id: PacketId) -> Result<usize, SrtpError> {
        let end = packet.len() - TAG - INDEX_WORD;
        let (covered, tag) = packet.split_at_mut(end + INDEX_WORD);
        self.verify(covered, &[], tag)?;
        self.apply_keystream(id, &mut covered[RtcpHeader::LENGTH..end]);
        Ok(end)
    }

    /// The word before the tag of an SRTCP packet.
    pub(super) fn index_word(packet: &[u8]) -> [u8; INDEX_WORD] {
        *packet[..packet.len() - TAG]
            .last_chunk()
            .expect("the length was checked before the index is read")
    }

    /// Encrypts and decrypts. The counter is the low 16 bits of the block, 0 at first, and a
    /// datagram has at most 4096 blocks, so that counting in 32 bits never carries further.
    pub(super) fn apply_keystream(&self, id: PacketId, body: &mut [u8]) {
        let iv = self.iv(id);
        let core = CtrCore::<&Aes128, Ctr32BE>::inner_iv_init(&self.aes, (&iv).into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(body);
    }

    /// `(salt · 2¹⁶) ⊕ (ssrc · 2⁶⁴) ⊕ (index · 2¹⁶)` (RFC 3711 §4.1.1).
    fn iv(&self, id: PacketId) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[4..8].copy_from_slice(&id.ssrc.to_be_bytes());
        iv[8..SALT].copy_from_slice(&id.index.to_be_bytes()[2..]);
        for (byte, salt) in iv.iter_mut().zip(&self.salt) {
            *byte ^= salt;
        }
        iv
    }

    fn tag(&self, covered: &[u8], suffix: &[u8]) -> [u8; TAG] {
        let mut hmac = self.hmac.clone();
        hmac.update(covered);
        hmac.update(suffix);
        let full = hmac.finalize().into_bytes();
        *full.first_chunk().expect("a sha-1 digest has 20 bytes")
    }

    fn verify(&self, covered: &[u8], suffix: &[u8], tag: &[u8]) -> Result<(), SrtpError> {
        if bool::from(self.tag(covered, suffix).ct_eq(tag)) {
            Ok(())
        } else {
            Err(SrtpError::AuthenticationFailed)
        }
    }
}

fn rollover_counter(id: PacketId) -> [u8; 4] {
    ((id.index >> 16) as u32).to_be_bytes()
}

const SALT: usize = 14;

/// HMAC-SHA1 cut to 80 bits.
const TAG: usize = 10;
