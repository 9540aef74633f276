//! What transport-wide feedback says (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

/// One feedback whose length was checked: all that it announces is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Feedback<'a> {
    base: u16,
    count: u16,
    /// In units of 64 ms, modulo 2^24; of the receiver's clock.
    pub(super) reference: u32,
    chunks: &'a [u8],
    deltas: &'a [u8],
}

/// What it says of packets, in the order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It arrived so many ticks of 250 µs after the reference time.
    Received { number: u16, ticks: i64 },
    /// These have not arrived so far.
    Missing { first: u16, count: u16 },
}

impl<'a> Feedback<'a> {
    /// `None` when it is shorter than it says, or holds a status that means nothing.
    pub(super) fn read(body: &'a [u8]) -> Option<Self> {
        let (fixed, rest) = body.split_first_chunk::<FIXED_BYTES>()?;
        let count = u16::from_be_bytes([fixed[2], fixed[3]]);
        let mut left = count;
        let (mut chunk_bytes, mut delta_bytes) = (0, 0);
        while left > 0 {
            let chunk = Chunk::first_of(rest.get(chunk_bytes..)?)?;
            let covered = chunk.len().min(left);
            delta_bytes += chunk.delta_bytes(covered)?;
            chunk_bytes += CHUNK_BYTES;
            left -= covered;
        }
        let (chunks, deltas) = rest.split_at(chunk_bytes);
        (deltas.len() >= delta_bytes).then_some(Self {
            base: u16::from_be_bytes([fixed[0], fixed[1]]),
            count,
            reference: u32::from_be_bytes([0, fixed[4], fixed[5], fixed[6]]),
            chunks,
            deltas,
        })
    }

    /// However many numbers it names, there are no more items than it has bits.
    pub(super) fn statuses(self) -> Statuses<'a> {
        Statuses {
            feedback: self,
            chunk: Chunk(0),
            place: 0,
            number: self.base,
            left: self.count,
            ticks: 0,
        }
    }
}

/// See [`Feedback::statuses`].
#[derive(Debug)]
pub(super) struct Statuses<'a> {
    /// What is left of chunks and deltas.
    feedback: Feedback<'a>,
    chunk: Chunk,
    /// Within the chunk.
    place: u16,
    number: u16,
    left: u16,
    ticks: i64,
}

impl Statuses<'_> {
    fn take_delta(&mut self, symbol: u16) -> Option<i64> {
        let deltas = self.feedback.deltas;
        let (delta, rest) = if symbol == SMALL {
            let (small, rest) = deltas.split_first()?;
            (i64::from(*small), rest)
        } else {
            let (large, rest) = deltas.split_first_chunk()?;
            (i64::from(i16::from_be_bytes(*large)), rest)
        };
        self.feedback.deltas = rest;
        Some(delta)
    }

    fn advance(&mut self, count: u16) {
        self.place += count;
        self.left -= count;
        self.number = self.number.wrapping_add(count);
    }
}

impl Iterator for Statuses<'_> {
    type Item = Told;

    fn next(&mut self) -> Option<Told> {
        while self.left > 0 && self.place >= self.chunk.len() {
            self.chunk = Chunk::first_of(self.feedback.chunks)?;
            self.feedback.chunks = self.feedback.chunks.get(CHUNK_BYTES..)?;
            self.place = 0;
        }
        if self.left == 0 {
            return None;
        }
        let number = self.number;
        let symbol = self.chunk.symbol(self.place);
        if symbol == NOT_RECEIVED {
            let count = if self.chunk.is_run() {
                self.chunk.len().min(self.left)
            } else {
                1
            };
            self.advance(count);
            return Some(Told::Missing {
                first: number,
                count,
            });
        }
        self.ticks += self.take_delta(symbol)?;
        self.advance(1);
        Some(Told::Received {
            number,
            ticks: self.ticks,
        })
    }
}

/// Statuses of several packets in two bytes (§3.1.3, §3.1.4). Zero is a run of none.
#[derive(Clone, Copy, Debug)]
struct Chunk(u16);

impl Chunk {
    fn first_of(bytes: &[u8]) -> Option<Self> {
        let word = bytes.first_chunk()?;
        Some(Self(u16::from_be_bytes(*word)))
    }

    fn is_run(self) -> bool {
        self.0 >> 15 == 0
    }

    fn len(self) -> u16 {
        match self.0 >> 14 {
            0b11 => 7,
            0b10 => 14,
            _ => self.0 & MAX_RUN,
        }
    }

    fn symbol(self, place: u16) -> u16 {
        match self.0 >> 14 {
            0b11 => self.0 >> (12 - 2 * place) & 0b11,
            0b10 => self.0 >> (13 - place) & 1,
            _ => self.0 >> 13,
        }
    }

    /// Of its first statuses; `None` when one of them is reserved.
    fn delta_bytes(self, statuses: u16) -> Option<usize> {
        if self.is_run() {
            let symbol = self.symbol(0);
            let bytes = usize::from(symbol) * usize::from(statuses);
            return (symbol != RESERVED || statuses == 0).then_some(bytes);
        }
        (0..statuses)
            .map(|place| self.symbol(place))
            .map(|symbol| (symbol != RESERVED).then_some(usize::from(symbol)))
            .sum()
    }
}

/// Base number, count of statuses, reference time, count of feedbacks.
const FIXED_BYTES: usize = 8;

const CHUNK_BYTES: usize = 2;

/// Thirteen bits.
const MAX_RUN: u16 = 0x1fff;

/// Symbols (§3.1.1); their value is the size of the delta that goes with them.
const NOT_RECEIVED: u16 = 0;
const SMALL: u16 = 1;
const RESERVED: u16 = 3;

#[cfg(test)]
#[path = "tests/feedback.rs"]
mod tests;
