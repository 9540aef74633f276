//! Packets as they were sent, without copies of them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::rtp::RtpBatch;
use crate::rtp::continuity::Numbers;
use crate::rtp::packet::RtpPacket;
use crate::rtp::pictures::PictureNumbers;
use crate::rtp::sender::Rewrite;
use crate::rtp::types::{RtpTimestamp, SequenceNumber};

/// What one stream has sent within `KEPT_FOR`, so many bytes of it at most; the oldest goes.
///
/// It refers to the batches that were sent, and remembers how their numbers were changed. However many
/// streams send a batch, its packets are there once.
#[derive(Debug)]
pub(super) struct History {
    runs: VecDeque<Run>,
    bytes: usize,
    most_bytes: usize,
}

/// Neighbours of one batch that were sent with the same change of numbers.
#[derive(Debug)]
struct Run {
    packets: Arc<[RtpPacket]>,
    rewrite: Arc<Rewrite>,
    /// Index of the first, and one past the last.
    start: usize,
    end: usize,
    change: Change,
    /// As sent: the number of the first, and how far those of the others are from it.
    anchor: SequenceNumber,
    lowest: i16,
    highest: i16,
    bytes: usize,
    sent_at: Instant,
}

/// What was added to the numbers of packets.
#[derive(Clone, Copy, Debug)]
struct Change {
    sequence: u16,
    timestamp: u32,
    /// `None` where those of pictures are unknown, or were left.
    pictures: Option<PictureNumbers>,
}

/// A packet that was found, and how it was sent.
#[derive(Debug)]
pub(in crate::rtp) struct Kept {
    pub(in crate::rtp) packet: RtpPacket,
    pub(in crate::rtp) numbers: Numbers,
    pub(in crate::rtp) rewrite: Arc<Rewrite>,
    pub(in crate::rtp) sent_at: Instant,
}

impl History {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self {
            runs: VecDeque::new(),
            bytes: 0,
            most_bytes,
        }
    }

    pub(super) fn note(
        &mut self,
        batch: &RtpBatch,
        index: usize,
        rewrite: &Arc<Rewrite>,
        numbers: Numbers,
        now: Instant,
    ) {
        let packet = &batch[index];
        let bytes = packet.weight_bytes() + OVERHEAD_BYTES;
        self.bytes += bytes;
        if let Some(run) = self.runs.back_mut()
            && run.is_continued(batch, index, numbers)
        {
            run.extend(numbers.sequence, bytes);
            return;
        }
        self.forget_old(now);
        let theirs = Numbers::of(packet, rewrite.pictures);
        self.runs.push_back(Run {
            packets: Arc::clone(batch.shared()),
            rewrite: Arc::clone(rewrite),
            start: index,
            end: index + 1,
            change: Change::between(theirs, numbers),
            anchor: numbers.sequence,
            lowest: 0,
            highest: 0,
            bytes,
            sent_at: now,
        });
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        while let Some(oldest) = self.runs.front()
            && (oldest.is_old(now) || self.bytes > self.most_bytes)
        {
            self.bytes -= oldest.bytes;
            self.runs.pop_front();
        }
    }

    /// How many packets are kept, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        let packets = self.runs.iter().map(|run| run.end - run.start).sum();
        (packets, self.bytes)
    }

    /// The packet that was sent with this number.
    pub(super) fn find(&self, sequence: SequenceNumber, now: Instant) -> Option<Kept> {
        // From the newest on: what is asked for was sent a round trip ago.
        let recent = self.runs.iter().rev();
        recent
            .take_while(|run| !run.is_old(now))
            .find_map(|run| run.find(sequence))
    }
}

impl Run {
    fn is_continued(&self, batch: &RtpBatch, index: usize, numbers: Numbers) -> bool {
        Arc::ptr_eq(&self.packets, batch.shared())
            && self.end == index
            && self.numbers(&batch[index]) == numbers
    }

    fn extend(&mut self, sequence: SequenceNumber, bytes: usize) {
        let distance = sequence.distance_from(self.anchor);
        self.lowest = self.lowest.min(distance);
        self.highest = self.highest.max(distance);
        self.end += 1;
        self.bytes += bytes;
    }

    fn find(&self, sequence: SequenceNumber) -> Option<Kept> {
        let distance = sequence.distance_from(self.anchor);
        if !(self.lowest..=self.highest).contains(&distance) {
            return None;
        }
        let packets = self.packets[self.start..self.end].iter();
        let mut sent = packets.map(|packet| (packet, self.numbers(packet)));
        let (packet, numbers) = sent.find(|(_, numbers)| numbers.sequence == sequence)?;
        Some(Kept {
            packet: packet.clone(),
            numbers,
            rewrite: Arc::clone(&self.rewrite),
            sent_at: self.sent_at,
        })
    }

    fn numbers(&self, packet: &RtpPacket) -> Numbers {
        self.change.of(Numbers::of(packet, self.rewrite.pictures))
    }

    fn is_old(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.sent_at) > KEPT_FOR
    }
}

impl Change {
    fn between(theirs: Numbers, ours: Numbers) -> Self {
        let pictures = ours.pictures.zip(theirs.pictures);
        Self {
            sequence: ours.sequence.0.wrapping_sub(theirs.sequence.0),
            timestamp: ours.timestamp.0.wrapping_sub(theirs.timestamp.0),
            pictures: pictures.map(|(ours, theirs)| ours.minus(theirs)),
        }
    }

    fn of(&self, theirs: Numbers) -> Numbers {
        let pictures = theirs.pictures.zip(self.pictures);
        Numbers {
            sequence: theirs.sequence.plus(self.sequence),
            timestamp: RtpTimestamp(theirs.timestamp.0.wrapping_add(self.timestamp)),
            pictures: pictures.map(|(theirs, added)| theirs.plus(added)),
        }
    }
}

/// What comes later than that is of no use to a player that keeps up. A receiver of ours gives up then, too.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(1);

/// What keeping a packet takes beside its bytes, so that the number of packets is bounded, too.
const OVERHEAD_BYTES: usize = 64;

#[cfg(test)]
impl History {
    pub(super) fn runs(&self) -> usize {
        self.runs.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
