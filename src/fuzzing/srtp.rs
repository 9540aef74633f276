//! SRTP: hostile packets, and sessions in which genuine packets are lost, reordered, repeated,
//! changed and cut.

use std::collections::BTreeSet;

use bytes::BytesMut;

use crate::srtp::{Protector, SrtpError, SrtpMasterKey, SrtpProfile, Unprotector};

/// The first byte chooses the profile and one of two games: the rest is one packet from a
/// stranger, or the rest is what happens in a session, four bytes each.
pub(super) fn srtp(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else {
        return;
    };
    let profile = match choice % 3 {
        0 => SrtpProfile::AeadAes128Gcm,
        1 => SrtpProfile::AeadAes256Gcm,
        _ => SrtpProfile::Aes128CmHmacSha1_80,
    };
    if choice & 0x80 == 0 {
        one_packet(profile, rest);
    } else {
        Session::new(profile).play(rest);
    }
}

/// Received, it is refused; sent, it is refused or arrives as it was.
fn one_packet(profile: SrtpProfile, packet: &[u8]) {
    let (mut protector, mut unprotector) = contexts(profile);
    let untouched = format!("{unprotector:?}");
    let mut received = BytesMut::from(packet);
    assert!(unprotector.unprotect_rtp(&mut received).is_err());
    let mut received = BytesMut::from(packet);
    assert!(unprotector.unprotect_rtcp(&mut received).is_err());
    assert_eq!(format!("{unprotector:?}"), untouched);

    let mut slab = packet.to_vec();
    if protector.protect_rtp(&mut slab, 0).is_ok() {
        let mut received = BytesMut::from(&slab[..]);
        assert_eq!(unprotector.unprotect_rtp(&mut received), Ok(()));
        assert_eq!(received, packet);
    } else {
        assert_eq!(slab, packet, "a refused packet is left as it was");
    }
    let mut slab = packet.to_vec();
    if protector.protect_rtcp(&mut slab, 0).is_ok() {
        let mut received = BytesMut::from(&slab[..]);
        assert_eq!(unprotector.unprotect_rtcp(&mut received), Ok(()));
        assert_eq!(received, packet);
    } else {
        assert_eq!(slab, packet, "a refused packet is left as it was");
    }
}

/// A stream of RTP, the packets under way, and what its receiver should make of them.
struct Session {
    protector: Protector,
    unprotector: Unprotector,
    sent: Vec<Sent>,
    /// The index of the newest packet sent; the low bits are its sequence number.
    newest_sent: u64,
    accepted: BTreeSet<u64>,
}

struct Sent {
    index: u64,
    plain: Vec<u8>,
    packet: Vec<u8>,
}

impl Session {
    fn new(profile: SrtpProfile) -> Self {
        let (protector, unprotector) = contexts(profile);
        Self {
            protector,
            unprotector,
            sent: Vec::new(),
            newest_sent: 0,
            accepted: BTreeSet::new(),
        }
    }

    fn play(mut self, moves: &[u8]) {
        for step in moves.chunks_exact(4).take(MOST_MOVES) {
            let (how, which, value) = (step[0], step[1], u16::from_be_bytes([step[2], step[3]]));
            if how % 6 == 0 {
                // Up to a quarter of a cycle ahead, so that wraps are not rare.
                self.send(self.newest_sent + 1 + u64::from(value >> 2), which);
            } else if how % 6 == 1 {
                self.send(
                    self.newest_sent.saturating_sub(u64::from(value >> 4)),
                    which,
                );
            } else if !self.sent.is_empty() {
                let which = usize::from(which) % self.sent.len();
                match how % 6 {
                    2 | 3 => self.deliver(which),
                    4 => self.deliver_changed(which, usize::from(value >> 8), value as u8),
                    _ => self.deliver_cut(which, usize::from(value)),
                }
            }
        }
    }

    /// Protects the packet with this index, which is refused if it was protected before.
    fn send(&mut self, index: u64, shape: u8) {
        let plain = plain_packet(index as u16, shape);
        let mut packet = plain.clone();
        let before = self.sent.iter().any(|sent| sent.index == index);
        match self.protector.protect_rtp(&mut packet, 0) {
            Ok(()) => {
                assert!(!before, "an index was used twice");
                self.newest_sent = self.newest_sent.max(index);
                self.sent.push(Sent {
                    index,
                    plain,
                    packet,
                });
            }
            Err(SrtpError::Repeated { .. }) => assert!(before),
            Err(SrtpError::TooOld { .. }) => assert!(index + 1024 <= self.newest_sent),
            Err(other) => panic!("refused with {other}"),
        }
    }

    fn deliver(&mut self, which: usize) {
        let sent = &self.sent[which];
        let result = unprotect(&mut self.unprotector, &sent.packet);
        if let Some(acceptable) = self.is_acceptable(sent.index) {
            assert_eq!(result.is_ok(), acceptable, "{result:?}");
        }
        if let Ok(plain) = result {
            assert_eq!(plain, sent.plain);
            assert!(self.accepted.insert(sent.index), "accepted twice");
        }
    }

    /// Whether the receiver must take a genuine packet; `None` where it may guess wrong.
    fn is_acceptable(&self, index: u64) -> Option<bool> {
        let Some(&newest) = self.accepted.last() else {
            // The rollover counter of a receiver starts at 0.
            return Some(index <= 0xffff);
        };
        if index.abs_diff(newest) >= 0x8000 {
            return None;
        }
        Some(index + 1024 > newest && !self.accepted.contains(&index))
    }

    fn deliver_changed(&mut self, which: usize, position: usize, difference: u8) {
        let mut packet = self.sent[which].packet.clone();
        let position = position % packet.len();
        packet[position] ^= difference.max(1);
        self.refuse(&packet);
    }

    fn deliver_cut(&mut self, which: usize, end: usize) {
        let packet = self.sent[which].packet.clone();
        self.refuse(&packet[..end % packet.len()]);
    }

    fn refuse(&mut self, packet: &[u8]) {
        let before = format!("{:?}", self.unprotector);
        assert!(unprotect(&mut self.unprotector, packet).is_err());
        assert_eq!(format!("{:?}", self.unprotector), before);
    }
}

fn unprotect(unprotector: &mut Unprotector, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut received = BytesMut::from(packet);
    unprotector.unprotect_rtp(&mut received)?;
    Ok(received.to_vec())
}

/// A packet whose CSRCs, extension block and payload are as many as the bits of `shape` say.
fn plain_packet(sequence_number: u16, shape: u8) -> Vec<u8> {
    let (csrcs, extension) = (shape & 0x03, shape & 0x04);
    let mut packet = vec![0x80 | csrcs | extension << 2, 96];
    packet.extend(sequence_number.to_be_bytes());
    packet.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    packet.resize(packet.len() + 4 * usize::from(csrcs), 0xcc);
    if extension != 0 {
        packet.extend([0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0]);
    }
    packet.resize(packet.len() + usize::from(shape >> 3), 0x55);
    packet
}

fn contexts(profile: SrtpProfile) -> (Protector, Unprotector) {
    let key = SrtpMasterKey {
        key: vec![1; profile.key_len()],
        salt: vec![2; profile.salt_len()],
    };
    (
        Protector::new(profile, &key).expect("the key fits"),
        Unprotector::new(profile, &key).expect("the key fits"),
    )
}

/// Enough for several wraps; a longer game only takes longer.
const MOST_MOVES: usize = 200;
