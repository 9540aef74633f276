//! What was sent lately, and what of it may be sent again (RFC 4585 §6.2.1, RFC 4588).

mod history;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::history::{History, Kept};
use super::RtpBatch;
use super::continuity::Numbers;
use super::insistence::Insistence;
use super::packet::RtpPacket;
use super::sender::Rewrite;
use super::types::{PayloadType, SequenceNumber, Ssrc};

/// Answers requests for packets of one stream.
///
/// Bounded in what it keeps (see [`History`]) and in what it sends: no packet again before its receiver can have missed it, none
/// more than `MAX_REPEATS` times, and all of them together at most half of what the stream itself sends, so that
/// requests make nobody send a flood.
///
/// Where answers get lost they go twice, while there is room to spare. So does what nobody can miss in time.
#[derive(Debug)]
pub(crate) struct Retransmitter {
    history: History,
    insistence: Insistence,
    /// What was sent again lately: when last, and how often.
    repeated: HashMap<u16, Repeated>,
    /// So many bytes may be sent again.
    allowance: u32,
    /// What the stream had sent when the allowance was reckoned.
    octets: u32,
    /// Packets asked for that were there, and those that were not.
    hits: u64,
    misses: u64,
}

/// What is kept of one stream to be sent again, and how often it was of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RetransmissionCache {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

#[derive(Clone, Copy, Debug)]
struct Repeated {
    at: Instant,
    times: u8,
}

/// Numbers of a stream of retransmissions. They live as long as the SSRC: SRTP takes none twice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtxStream {
    ssrc: Ssrc,
    next: SequenceNumber,
}

/// A packet that is to be sent again.
#[derive(Debug)]
pub(crate) struct Repeat {
    pub(super) packet: RtpPacket,
    pub(super) numbers: Numbers,
    pub(super) rewrite: Arc<Rewrite>,
    /// `None`: as it was.
    pub(super) rtx: Option<RtxHeader>,
}

/// What the header of a retransmission has of its own (RFC 4588 §4).
#[derive(Clone, Copy, Debug)]
pub(super) struct RtxHeader {
    pub(super) ssrc: Ssrc,
    pub(super) payload_type: PayloadType,
    pub(super) sequence: SequenceNumber,
}

/// Why a packet goes a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its receiver has missed it already: it was asked for, or came late here.
    Missed,
    /// It ends a picture: that it is missing shows only with the next one.
    EndsPicture,
}

impl Why {
    /// So much has to be left.
    fn reserve(self) -> u32 {
        match self {
            Self::Missed => AT_ONCE / 4,
            Self::EndsPicture => AT_ONCE / 4 * 3,
        }
    }
}

/// Why a packet is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// No packet of this number has been sent.
    NeverSent,
    /// It is not kept any more, or was never here.
    NotKept,
    /// A limit is reached.
    TooMuch,
}

impl Retransmitter {
    /// `octets` is what the stream has sent so far.
    ///
    /// So many bytes of it are kept.
    pub(super) fn new(octets: u32, most_bytes: usize) -> Self {
        Self {
            history: History::new(most_bytes),
            insistence: Insistence::default(),
            repeated: HashMap::new(),
            allowance: AT_FIRST,
            octets,
            hits: 0,
            misses: 0,
        }
    }

    pub(super) fn cache(&self) -> RetransmissionCache {
        let (packets, bytes) = self.history.size();
        RetransmissionCache {
            packets,
            bytes,
            hits: self.hits,
            misses: self.misses,
        }
    }

    /// The packet of this index in a batch goes out with these numbers.
    pub(super) fn note(
        &mut self,
        batch: &RtpBatch,
        index: usize,
        rewrite: &Arc<Rewrite>,
        numbers: Numbers,
        now: Instant,
    ) {
        self.history.note(batch, index, rewrite, numbers, now);
    }

    /// Forgets what nobody will ask for any more.
    pub(super) fn forget_old(&mut self, now: Instant) {
        self.history.forget_old(now);
    }

    /// When the first one went that has a higher number than this, of those next to it.
    pub(super) fn sent_after(&self, sequence: SequenceNumber, now: Instant) -> Option<Instant> {
        let mut next = (1..=NEXT_TO_IT).map(|ahead| sequence.plus(ahead));
        next.find_map(|it| Some(self.history.find(it, now)?.sent_at))
    }

    /// The packet with this number, if it may be sent again now. `newest` is the highest number that was sent,
    /// `octets` how many bytes were.
    pub(super) fn take(
        &mut self,
        sequence: SequenceNumber,
        newest: SequenceNumber,
        octets: u32,
        round_trip: Duration,
        now: Instant,
    ) -> Result<Kept, Refused> {
        if sequence.distance_from(newest).is_positive() {
            return Err(Refused::NeverSent);
        }
        let Some(kept) = self.history.find(sequence, now) else {
            self.misses += 1;
            return Err(Refused::NotKept);
        };
        self.hits += 1;
        self.earn(octets);
        let cost = cost_of(&kept.packet);
        let before = self.repeated.get(&sequence.0).copied();
        // The number may have been another packet's, long ago.
        let before = before.filter(|it| now.saturating_duration_since(it.at) < history::KEPT_FOR);
        let times = before.map_or(0, |it| it.times);
        let sent_at = before.map_or(kept.sent_at, |it| it.at);
        // It is on its way still, or the request is. The other side's round trip may seem shorter than ours.
        let too_soon = now.saturating_duration_since(sent_at) < round_trip * 3 / 4;
        if too_soon || times >= MAX_REPEATS || cost > self.allowance {
            return Err(Refused::TooMuch);
        }
        self.allowance -= cost;
        self.insistence.note(times > 0);
        self.remember(sequence, times + 1, now);
        Ok(kept)
    }

    /// Whether a packet that has just gone out goes a second time at once: where answers get lost, and as much is left of what may be
    /// saved up as is to be kept for what is more urgent.
    pub(super) fn takes_second(&mut self, packet: &RtpPacket, octets: u32, why: Why) -> bool {
        if !self.insistence.lasts() {
            return false;
        }
        self.earn(octets);
        let left = self.allowance.checked_sub(cost_of(packet));
        let left = left.filter(|left| *left >= why.reserve());
        self.allowance = left.unwrap_or(self.allowance);
        left.is_some()
    }

    fn earn(&mut self, octets: u32) {
        let sent = octets.wrapping_sub(self.octets);
        self.octets = octets;
        self.allowance = self.allowance.saturating_add(sent / 2).min(AT_ONCE);
    }

    fn remember(&mut self, sequence: SequenceNumber, times: u8, now: Instant) {
        if self.repeated.len() >= MANY_REPEATED {
            let recent = |it: &Repeated| now.saturating_duration_since(it.at) < history::KEPT_FOR;
            self.repeated.retain(|_, it| recent(it));
        }
        self.repeated
            .insert(sequence.0, Repeated { at: now, times });
    }
}

impl RtxStream {
    /// A stream that begins at random (RFC 4588 §4): the SSRC was drawn at random, and so is what is made of it.
    /// Below 2¹⁵, as RFC 3711 §3.3.1 wants.
    pub(super) fn new(ssrc: Ssrc) -> Self {
        let first = (ssrc.0 ^ ssrc.0 >> 16) as u16 & 0x7fff;
        Self {
            ssrc,
            next: SequenceNumber(first),
        }
    }

    pub(super) fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The header of the next packet.
    pub(super) fn next(&mut self, payload_type: PayloadType) -> RtxHeader {
        let sequence = self.next;
        self.next = sequence.plus(1);
        RtxHeader {
            ssrc: self.ssrc,
            payload_type,
            sequence,
        }
    }
}

impl Repeat {
    /// As it came.
    pub(crate) fn packet(&self) -> &RtpPacket {
        &self.packet
    }

    /// Whether it goes out as it was, under a number that SRTP knows already.
    pub(crate) fn is_plain(&self) -> bool {
        self.rtx.is_none()
    }

    /// What is repeated, and how it is written.
    pub(crate) fn original(&self) -> (&Arc<Rewrite>, &RtpPacket, Numbers) {
        (&self.rewrite, &self.packet, self.numbers)
    }
}

fn cost_of(packet: &RtpPacket) -> u32 {
    packet.payload().len() as u32 + OVERHEAD_BYTES
}

/// So often is one packet sent again at most: a receiver that misses it then is not there.
const MAX_REPEATS: u8 = 10;

/// A gap is rarely wider.
const NEXT_TO_IT: u16 = 8;

/// What may be sent again of a stream that has hardly begun: a keyframe.
const AT_FIRST: u32 = 128 * 1024;

/// What may be saved up: a burst of loss of a quarter of a second at 8 Mbit/s.
const AT_ONCE: u32 = 256 * 1024;

/// Headers from IP on and the tag, so that small packets cost something, too.
const OVERHEAD_BYTES: u32 = 64;

/// So many are remembered before those that are too old are looked for.
const MANY_REPEATED: usize = 512;

#[cfg(test)]
mod tests;
