//! Sending: plain packets in, protected packets out.

use std::fmt;

use super::cipher::{Cipher, PacketId, SRTCP_INDEX_MASK};
use super::error::SrtpError;
use super::header::{RtcpHeader, RtpHeader, check_longest};
use super::key_derivation::Protocol;
use super::keys::SrtpMasterKey;
use super::profile::SrtpProfile;
use super::replay::RtpWindow;
use super::rollover::{INDEX_END, guess_index};
use super::ssrc_table::SsrcTable;

/// Protects what is sent in one direction (RFC 3711 §3.2, the sender's cryptographic context).
///
/// Keeps for each SSRC the rollover counter, which indices were used, and the next SRTCP index.
pub struct Protector {
    profile: SrtpProfile,
    rtp: Cipher,
    rtcp: Cipher,
    rtp_streams: SsrcTable<RtpWindow>,
    /// The next SRTCP index of each SSRC.
    rtcp_streams: SsrcTable<u32>,
    rtp_packets: u64,
    rtcp_packets: u64,
}

impl Protector {
    /// How many SSRCs are sent with at most, RTP and RTCP counted apart, unless
    /// [`with_max_ssrcs`](Self::with_max_ssrcs) says otherwise. They are chosen by
    /// us, so this guards against a mistake, not against the network: a room of thousands fits.
    pub const DEFAULT_MAX_SSRCS: usize = 16_384;

    /// A context that has protected nothing yet.
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
            rtp_packets: 0,
            rtcp_packets: 0,
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

    /// Protects the plain RTP packet `packet[start..]` where it lies and appends the tag:
    /// [`rtp_overhead`](SrtpProfile::rtp_overhead) bytes, for which no memory is asked if
    /// `packet` has them as spare capacity. What stands before `start` is not looked at.
    ///
    /// # Errors
    ///
    /// The packet is as it was after every one of them.
    ///
    /// - [`TooShort`](SrtpError::TooShort), [`TooLong`](SrtpError::TooLong),
    ///   [`Version`](SrtpError::Version): this is not an RTP packet.
    /// - [`Repeated`](SrtpError::Repeated): a packet with this sequence number was protected
    ///   before; [`TooOld`](SrtpError::TooOld): it is 1024 or more behind the newest, or before
    ///   the first.
    /// - [`TooManySsrcs`](SrtpError::TooManySsrcs), [`KeyExhausted`](SrtpError::KeyExhausted).
    pub fn protect_rtp(&mut self, packet: &mut Vec<u8>, start: usize) -> Result<(), SrtpError> {
        let plain = packet.get(start..).unwrap_or_default();
        let header = RtpHeader::parse(plain, 0)?;
        check_longest(plain.len() + self.profile.rtp_overhead())?;
        if self.rtp_packets >= RTP_PACKETS_PER_KEY {
            return Err(SrtpError::KeyExhausted);
        }

        let slot = self.rtp_streams.find(header.ssrc);
        let id = match slot {
            Some(slot) => next_rtp_id(header, self.rtp_streams.get(slot))?,
            None => {
                self.rtp_streams.check_room()?;
                PacketId {
                    ssrc: header.ssrc,
                    index: u64::from(header.sequence_number),
                }
            }
        };
        self.rtp.seal_rtp(packet, start, header.length, id)?;

        self.rtp_packets += 1;
        match slot {
            Some(slot) => self.rtp_streams.get_mut(slot).accept(id.index),
            None => self
                .rtp_streams
                .insert(id.ssrc, RtpWindow::starting_at(id.index))?,
        }
        Ok(())
    }

    /// Protects once more what was protected before: the same bytes, without which the cipher would be broken
    /// (RFC 7714 §8.4). The outcome is the same, too, so that nobody learns more from two of them.
    ///
    /// # Errors
    ///
    /// Those of [`protect_rtp`](Self::protect_rtp), but for [`Repeated`](SrtpError::Repeated);
    /// [`TooOld`](SrtpError::TooOld) also where no packet of this index was protected.
    pub(crate) fn protect_rtp_again(
        &mut self,
        packet: &mut Vec<u8>,
        start: usize,
    ) -> Result<(), SrtpError> {
        let plain = packet.get(start..).unwrap_or_default();
        let header = RtpHeader::parse(plain, 0)?;
        check_longest(plain.len() + self.profile.rtp_overhead())?;
        if self.rtp_packets >= RTP_PACKETS_PER_KEY {
            return Err(SrtpError::KeyExhausted);
        }
        let ssrc = header.ssrc;
        let sealed = match self.rtp_streams.find(ssrc) {
            Some(slot) => next_rtp_id(header, self.rtp_streams.get(slot)),
            None => Err(SrtpError::TooOld { ssrc, index: 0 }),
        };
        let index = match sealed {
            Err(SrtpError::Repeated { index, .. }) => index,
            Ok(PacketId { index, .. }) => return Err(SrtpError::TooOld { ssrc, index }),
            Err(error) => return Err(error),
        };
        let id = PacketId { ssrc, index };
        self.rtp.seal_rtp(packet, start, header.length, id)?;
        self.rtp_packets += 1;
        Ok(())
    }

    /// Protects the plain, possibly compound RTCP packet `packet[start..]` where it lies and
    /// appends [`rtcp_overhead`](SrtpProfile::rtcp_overhead) bytes.
    ///
    /// # Errors
    ///
    /// The packet is as it was after every one of them.
    ///
    /// - [`TooShort`](SrtpError::TooShort), [`TooLong`](SrtpError::TooLong),
    ///   [`Version`](SrtpError::Version): this is not an RTCP packet.
    /// - [`TooManySsrcs`](SrtpError::TooManySsrcs), [`KeyExhausted`](SrtpError::KeyExhausted).
    pub fn protect_rtcp(&mut self, packet: &mut Vec<u8>, start: usize) -> Result<(), SrtpError> {
        let plain = packet.get(start..).unwrap_or_default();
        let header = RtcpHeader::parse(plain, 0)?;
        check_longest(plain.len() + self.profile.rtcp_overhead())?;
        if self.rtcp_packets >= RTCP_PACKETS_PER_KEY {
            return Err(SrtpError::KeyExhausted);
        }

        let slot = self.rtcp_streams.find(header.ssrc);
        let index = match slot {
            Some(slot) => *self.rtcp_streams.get(slot),
            None => {
                self.rtcp_streams.check_room()?;
                0
            }
        };
        if index > SRTCP_INDEX_MASK {
            return Err(SrtpError::KeyExhausted);
        }
        let id = PacketId {
            ssrc: header.ssrc,
            index: u64::from(index),
        };
        self.rtcp.seal_rtcp(packet, start, id)?;

        self.rtcp_packets += 1;
        match slot {
            Some(slot) => *self.rtcp_streams.get_mut(slot) = index + 1,
            None => self.rtcp_streams.insert(id.ssrc, index + 1)?,
        }
        Ok(())
    }
}

/// The index of one more packet of a known stream, if it was not used before.
fn next_rtp_id(header: RtpHeader, window: &RtpWindow) -> Result<PacketId, SrtpError> {
    let ssrc = header.ssrc;
    let newest = window.newest();
    let index = guess_index(newest, header.sequence_number).ok_or(SrtpError::KeyExhausted)?;
    // A packet from just before the first one of the stream, across the wrap, has no index.
    // Sealed a cycle ahead it would, if it were lost, leave the receiver a rollover behind for
    // good.
    if index + RtpWindow::WIDTH > newest + CYCLE {
        return Err(SrtpError::TooOld { ssrc, index });
    }
    window
        .check(index)
        .map_err(|refusal| refusal.of(ssrc, index))?;
    Ok(PacketId { ssrc, index })
}

impl fmt::Debug for Protector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Protector")
            .field("profile", &self.profile)
            .field("rtp_ssrcs", &self.rtp_streams.len())
            .field("rtcp_ssrcs", &self.rtcp_streams.len())
            .field("rtp_packets", &self.rtp_packets)
            .field("rtcp_packets", &self.rtcp_packets)
            .finish_non_exhaustive()
    }
}

const CYCLE: u64 = 1 << 16;

/// All streams of a master key together (RFC 3711 §9.2, RFC 7714 §12).
const RTP_PACKETS_PER_KEY: u64 = INDEX_END;

/// All streams of a master key together (RFC 3711 §9.2, RFC 7714 §12).
const RTCP_PACKETS_PER_KEY: u64 = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::Unprotector;

    fn master(profile: SrtpProfile) -> SrtpMasterKey {
        SrtpMasterKey {
            key: vec![1; profile.key_len()],
            salt: vec![2; profile.salt_len()],
        }
    }

    fn protector() -> Protector {
        let profile = SrtpProfile::AeadAes128Gcm;
        Protector::new(profile, &master(profile)).unwrap()
    }

    fn rtp(sequence_number: u16) -> Vec<u8> {
        let number = sequence_number.to_be_bytes();
        vec![0x80, 96, number[0], number[1], 0, 0, 0, 0, 0, 0, 0, 1]
    }

    fn rtcp() -> Vec<u8> {
        vec![0x80, 201, 0, 1, 0, 0, 0, 1]
    }

    #[test]
    fn what_was_protected_is_protected_again_to_the_same_bytes() {
        for profile in [SrtpProfile::AeadAes128Gcm, SrtpProfile::Aes128CmHmacSha1_80] {
            let mut protector = Protector::new(profile, &master(profile)).unwrap();
            let mut first = rtp(0xffff);
            protector.protect_rtp(&mut first, 0).unwrap();
            // After the rollover, too.
            protector.protect_rtp(&mut rtp(0), 0).unwrap();
            let mut again = rtp(0xffff);
            protector.protect_rtp_again(&mut again, 0).unwrap();
            assert_eq!(first, again);
        }
    }

    #[test]
    fn what_was_not_protected_is_not_protected_again() {
        let mut protector = protector();
        let unknown = Err(SrtpError::TooOld { ssrc: 1, index: 0 });
        assert_eq!(protector.protect_rtp_again(&mut rtp(0), 0), unknown);
        protector.protect_rtp(&mut rtp(5), 0).unwrap();
        protector.protect_rtp(&mut rtp(2000), 0).unwrap();
        for sequence_number in [5, 1999, 2001] {
            let index = u64::from(sequence_number);
            let refused = Err(SrtpError::TooOld { ssrc: 1, index });
            let outcome = protector.protect_rtp_again(&mut rtp(sequence_number), 0);
            assert_eq!(outcome, refused);
        }
        assert_eq!(protector.protect_rtp(&mut rtp(1999), 0), Ok(()));
    }

    #[test]
    fn after_the_last_rollover_the_key_is_exhausted() {
        let mut protector = protector();
        let window = RtpWindow::starting_at(INDEX_END - 2);
        protector.rtp_streams.insert(1, window).unwrap();
        assert_eq!(protector.protect_rtp(&mut rtp(0xffff), 0), Ok(()));
        let refused = Err(SrtpError::KeyExhausted);
        assert_eq!(protector.protect_rtp(&mut rtp(0), 0), refused);
    }

    #[test]
    fn all_streams_of_a_key_are_counted_together() {
        let mut protector = protector();
        protector.rtp_packets = RTP_PACKETS_PER_KEY - 1;
        assert_eq!(protector.protect_rtp(&mut rtp(1), 0), Ok(()));
        let refused = Err(SrtpError::KeyExhausted);
        assert_eq!(protector.protect_rtp(&mut rtp(2), 0), refused);

        protector.rtcp_packets = RTCP_PACKETS_PER_KEY - 1;
        assert_eq!(protector.protect_rtcp(&mut rtcp(), 0), Ok(()));
        assert_eq!(protector.protect_rtcp(&mut rtcp(), 0), refused);
    }

    #[test]
    fn the_last_srtcp_index_is_used_and_none_after_it() {
        for profile in [
            SrtpProfile::AeadAes128Gcm,
            SrtpProfile::AeadAes256Gcm,
            SrtpProfile::Aes128CmHmacSha1_80,
        ] {
            let mut protector = Protector::new(profile, &master(profile)).unwrap();
            protector.rtcp_streams.insert(1, SRTCP_INDEX_MASK).unwrap();
            let mut packet = rtcp();
            assert_eq!(protector.protect_rtcp(&mut packet, 0), Ok(()));
            let mut unprotector = Unprotector::new(profile, &master(profile)).unwrap();
            let length = unprotector.open_rtcp(&mut packet).unwrap();
            assert_eq!(packet[..length], rtcp());

            let refused = Err(SrtpError::KeyExhausted);
            assert_eq!(protector.protect_rtcp(&mut rtcp(), 0), refused);
        }
    }
}
