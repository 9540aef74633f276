//! Receiving: protected packets in, plain packets out.

use std::fmt;

use bytes::BytesMut;

use super::cipher::{Cipher, PacketId};
use super::error::SrtpError;
use super::header::{RtcpHeader, RtpHeader, check_longest};
use super::key_derivation::Protocol;
use super::keys::SrtpMasterKey;
use super::profile::SrtpProfile;
use super::replay::{ReplayWindow, RtcpWindow, RtpWindow};
use super::rollover::guess_index;
use super::ssrc_table::{Slot, SsrcTable};

/// Verifies and decrypts what is received in one direction (RFC 3711 §3.2, the receiver's
/// cryptographic context).
///
/// Keeps for each SSRC the rollover counter and which packets were seen, all of it moved only
/// by packets whose tag was verified.
pub struct Unprotector {
    profile: SrtpProfile,
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: SsrcTable<RtpWindow>,
    rtcp_streams: SsrcTable<RtcpWindow>,
}

impl Unprotector {
    /// How many SSRCs of one peer are kept at most, RTP and RTCP counted apart, unless
    /// [`with_max_ssrcs`](Self::with_max_ssrcs) says otherwise. Only who has the keys can make
    /// an entry; 1024 of them take some 200 KiB.
    pub const DEFAULT_MAX_SSRCS: usize = 1024;

    /// A context that has seen nothing yet.
    ///
    /// # Errors
    ///
    /// [`SrtpError::KeyLength`] where key or salt does not fit the profile.
    pub fn new(profile: SrtpProfile, master: &SrtpMasterKey) -> Result<Self, SrtpError> {
        master.check(profile)?;
        Ok(Self {
            profile,
            rtp: Cipher::new(profile, master, Protocol::Rtp),
            rtcp: Cipher::new(profile, master, Protocol::Rtcp),
            rtp_streams: SsrcTable::new(Self::DEFAULT_MAX_SSRCS),
            rtcp_streams: SsrcTable::new(Self::DEFAULT_MAX_SSRCS),
        })
    }

    /// The same with another bound on the number of SSRCs, RTP and RTCP counted apart.
    #[must_use]
    pub fn with_max_ssrcs(mut self, limit: usize) -> Self {
        self.rtp_streams.set_limit(limit);
        self.rtcp_streams.set_limit(limit);
        self
    }

    /// The profile that it was made with.
    pub const fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Verifies and decrypts one SRTP packet where it lies, and cuts it to the plain packet.
    ///
    /// # Errors
    ///
    /// The packet is worthless after every one of them (with GCM its payload may be
    /// overwritten), and this context is as it was.
    ///
    /// - [`TooShort`](SrtpError::TooShort), [`TooLong`](SrtpError::TooLong),
    ///   [`Version`](SrtpError::Version): this is not an SRTP packet.
    /// - [`AuthenticationFailed`](SrtpError::AuthenticationFailed): changed, forged, or from
    ///   other keys.
    /// - [`Repeated`](SrtpError::Repeated), [`TooOld`](SrtpError::TooOld): a replay, or too
    ///   late to tell.
    /// - [`TooManySsrcs`](SrtpError::TooManySsrcs): genuine, but of one SSRC too many.
    /// - [`KeyExhausted`](SrtpError::KeyExhausted): beyond the last index of its SSRC.
    pub fn unprotect_rtp(&mut self, packet: &mut BytesMut) -> Result<(), SrtpError> {
        let length = self.open_rtp(packet)?;
        packet.truncate(length);
        Ok(())
    }

    /// Verifies and decrypts one SRTCP packet where it lies, and cuts it to the plain packet.
    ///
    /// # Errors
    ///
    /// As [`unprotect_rtp`](Self::unprotect_rtp), and [`NotEncrypted`](SrtpError::NotEncrypted)
    /// for a packet without the encryption flag, authenticated or not.
    pub fn unprotect_rtcp(&mut self, packet: &mut BytesMut) -> Result<(), SrtpError> {
        let length = self.open_rtcp(packet)?;
        packet.truncate(length);
        Ok(())
    }

    /// As [`unprotect_rtp`](Self::unprotect_rtp), for a packet that cannot be cut: tells the length
    /// of the plain packet at its beginning.
    pub(crate) fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        check_longest(packet.len())?;
        let header = RtpHeader::parse(packet, self.profile.rtp_overhead())?;
        let ssrc = header.ssrc;
        let slot = self.rtp_streams.find(ssrc);
        let index = match slot {
            Some(slot) => {
                let newest = self.rtp_streams.get(slot).newest();
                guess_index(newest, header.sequence_number).ok_or(SrtpError::KeyExhausted)?
            }
            None => u64::from(header.sequence_number),
        };
        let id = PacketId { ssrc, index };
        check_replay(&self.rtp_streams, slot, id)?;
        let length = self.rtp.open_rtp(packet, header.length, id)?;
        remember(&mut self.rtp_streams, slot, id)?;
        Ok(length)
    }

    /// As [`unprotect_rtcp`](Self::unprotect_rtcp), for a packet that cannot be cut.
    pub(crate) fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        check_longest(packet.len())?;
        let RtcpHeader { ssrc } = RtcpHeader::parse(packet, self.profile.rtcp_overhead())?;
        let index = self.rtcp.srtcp_index(packet)?;
        let id = PacketId { ssrc, index };
        let slot = self.rtcp_streams.find(ssrc);
        check_replay(&self.rtcp_streams, slot, id)?;
        let length = self.rtcp.open_rtcp(packet, id)?;
        remember(&mut self.rtcp_streams, slot, id)?;
        Ok(length)
    }
}

/// Before the tag is verified: refuses what is known to be old, changes nothing.
fn check_replay<const WORDS: usize>(
    streams: &SsrcTable<ReplayWindow<WORDS>>,
    slot: Option<Slot>,
    id: PacketId,
) -> Result<(), SrtpError> {
    slot.map_or(Ok(()), |slot| streams.get(slot).check(id.index))
        .map_err(|refusal| refusal.of(id.ssrc, id.index))
}

/// After the tag was verified: the only place where a packet changes a context.
fn remember<const WORDS: usize>(
    streams: &mut SsrcTable<ReplayWindow<WORDS>>,
    slot: Option<Slot>,
    id: PacketId,
) -> Result<(), SrtpError> {
    match slot {
        Some(slot) => {
            streams.get_mut(slot).accept(id.index);
            Ok(())
        }
        None => streams.insert(id.ssrc, ReplayWindow::starting_at(id.index)),
    }
}

impl fmt::Debug for Unprotector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unprotector")
            .field("profile", &self.profile)
            .field("rtp_ssrcs", &self.rtp_streams.len())
            .field("rtcp_ssrcs", &self.rtcp_streams.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::rollover::INDEX_END;

    #[test]
    fn after_the_last_rollover_the_key_is_exhausted() {
        let profile = SrtpProfile::Aes128CmHmacSha1_80;
        let key = SrtpMasterKey {
            key: vec![1; profile.key_len()],
            salt: vec![2; profile.salt_len()],
        };
        let mut unprotector = Unprotector::new(profile, &key).unwrap();
        let window = RtpWindow::starting_at(INDEX_END - 1);
        unprotector.rtp_streams.insert(1, window).unwrap();
        let mut packet = [0; 40];
        packet[..12].copy_from_slice(&[0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let refused = Err(SrtpError::KeyExhausted);
        assert_eq!(unprotector.open_rtp(&mut packet), refused);
    }
}
