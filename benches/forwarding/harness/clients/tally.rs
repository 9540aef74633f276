//! What one viewer got of the stream.

use std::ops::Range;

use super::PAYLOAD_TYPE;
use super::histogram::Histogram;
use super::stream::SentTimes;

/// Counts packets by position in the stream.
#[derive(Debug)]
pub(crate) struct Tally {
    sent: SentTimes,
    /// The packet that came furthest.
    newest: Option<Anchor>,
    /// Which positions count.
    window: Range<u64>,
    /// Bit for bit, the positions of the window that have come.
    seen: Vec<u64>,
    counts: Counts,
    latency: Histogram,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    sequence_number: u16,
    position: u64,
}

/// Packets of one window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) received: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// Decrypted and right in every byte.
    pub(crate) proven: u64,
    /// Decrypted and wrong, or not where the sequence number says.
    pub(crate) wrong: u64,
}

impl Tally {
    pub(super) fn new(sent: SentTimes) -> Self {
        Self {
            sent,
            newest: None,
            window: 0..0,
            seen: Vec::new(),
            counts: Counts::default(),
            latency: Histogram::new(),
        }
    }

    /// Whether it is known which packet a sequence number means.
    pub(crate) fn is_calibrated(&self) -> bool {
        self.newest.is_some()
    }

    /// From now on these positions count, from zero.
    pub(crate) fn open(&mut self, window: Range<u64>) {
        self.seen = vec![0; (window.end - window.start).div_ceil(64) as usize];
        self.window = window;
        self.counts = Counts::default();
        self.latency = Histogram::new();
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    pub(crate) fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// A packet came.
    pub(super) fn note(&mut self, header: RtpHeader, arrived_at: u64) {
        let Some(newest) = self.newest else {
            return;
        };
        let ahead = header.sequence_number.wrapping_sub(newest.sequence_number) as i16;
        let position = newest.position.wrapping_add_signed(ahead.into());
        if ahead > 0 {
            self.newest = Some(Anchor {
                sequence_number: header.sequence_number,
                position,
            });
        }
        if !self.window.contains(&position) {
            return;
        }
        let index = position - self.window.start;
        let (word, bit) = (&mut self.seen[index as usize / 64], 1 << (index % 64));
        if *word & bit != 0 {
            self.counts.duplicated += 1;
            return;
        }
        *word |= bit;
        self.counts.received += 1;
        self.counts.reordered += u64::from(ahead < 0);
        self.latency.record(self.sent.age(position, arrived_at));
    }

    /// A packet was decrypted, and its payload is that of `position`, or of none.
    pub(super) fn prove(&mut self, sequence_number: u16, position: Option<u64>) {
        let Some(position) = position else {
            self.counts.wrong += 1;
            return;
        };
        let Some(newest) = self.newest else {
            self.newest = Some(Anchor {
                sequence_number,
                position,
            });
            return;
        };
        let ahead = sequence_number.wrapping_sub(newest.sequence_number) as i16;
        let expected = newest.position.wrapping_add_signed(ahead.into());
        if position != expected {
            self.counts.wrong += 1;
        } else if self.window.contains(&position) {
            self.counts.proven += 1;
        }
    }
}

/// What SRTP leaves in the clear.
#[derive(Clone, Copy, Debug)]
pub(super) struct RtpHeader {
    sequence_number: u16,
}

impl RtpHeader {
    /// Of a datagram that is RTP and not RTCP (RFC 7983 §7, RFC 5761 §4), and media of the stream: what goes a second time is not.
    pub(super) fn read(datagram: &[u8]) -> Option<Self> {
        let header = datagram.first_chunk::<12>()?;
        let is_media = (128..=191).contains(&header[0]) && header[1] & 0x7f == *PAYLOAD_TYPE;
        is_media.then(|| Self {
            sequence_number: u16::from_be_bytes([header[2], header[3]]),
        })
    }
}
