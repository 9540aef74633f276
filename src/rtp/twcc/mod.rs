//! Feedback on transport-wide sequence numbers
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01).
//!
//! [`TwccRecorder`] keeps when numbered packets arrived and writes it down as feedback, from which
//! the sender reckons how much the path can take.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::rtcp::TransportCc;
use super::types::Ssrc;

/// Arrivals that have not been reported yet.
///
/// Every number is reported once, as received or as not: what comes after its number was reported
/// is dropped. Numbers that wait span at most [`WINDOW`]; a jump beyond it is a new beginning.
#[derive(Debug, Default)]
pub(crate) struct TwccRecorder {
    /// Reference times count from here; the draft leaves the origin open.
    epoch: Option<Instant>,
    /// Highest number since the beginning, unwrapped.
    highest: Option<i64>,
    /// The first number that has not been reported.
    next: i64,
    /// Feedback was taken since the beginning, so that `next` cannot go back any more.
    reported: bool,
    /// Arrival of unreported packets, in ticks.
    pending: BTreeMap<i64, i64>,
    /// When the first of them arrived.
    waiting_since: Option<Instant>,
    feedback_count: u8,
}

impl TwccRecorder {
    /// A packet of this number arrived. Duplicates and those that come too late are ignored.
    pub(crate) fn record(&mut self, sequence: u16, arrival: Instant) {
        let number = self.unwrap_number(sequence);
        if number < self.next {
            if self.reported {
                return;
            }
            self.next = number;
        }
        self.highest = self.highest.max(Some(number));
        let epoch = *self.epoch.get_or_insert(arrival);
        self.pending
            .entry(number)
            .or_insert_with(|| ticks_between(epoch, arrival));
        self.waiting_since.get_or_insert(arrival);
    }

    /// The number next to the highest one that ends in `sequence`; begins anew where that is out
    /// of reach, for then the sender has begun anew, too.
    fn unwrap_number(&mut self, sequence: u16) -> i64 {
        let near = self.highest.map(|highest| {
            let step = sequence.wrapping_sub(highest as u16).cast_signed();
            highest + i64::from(step)
        });
        match (near, self.highest) {
            (Some(number), Some(highest))
                if number - self.next < WINDOW && highest - number < WINDOW =>
            {
                number
            }
            (Some(_) | None, _) => {
                let number = i64::from(sequence);
                self.pending.clear();
                self.waiting_since = None;
                self.highest = None;
                self.reported = false;
                self.next = number;
                number
            }
        }
    }

    /// When feedback is due at the latest; `None` while nothing waits.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.waiting_since.map(|since| since + INTERVAL)
    }

    /// Whether feedback is due: something waits long enough, or enough waits.
    pub(crate) fn due(&self, now: Instant) -> bool {
        self.pending.len() >= ENOUGH || self.due_at().is_some_and(|at| at <= now)
    }

    /// Writes down all that waits. Mostly this is one packet; several where one would be too long
    /// or could not express the time between two arrivals.
    pub(crate) fn take_feedback(
        &mut self,
        sender_ssrc: Ssrc,
        media_ssrc: Ssrc,
    ) -> Vec<TransportCc> {
        let mut feedback = Vec::new();
        while let Some((body, covered)) = Draft::new(self.next, &self.pending)
            .map(|draft| draft.encode(self.next, self.feedback_count))
        {
            feedback.push(TransportCc {
                sender_ssrc,
                media_ssrc,
                body: body.into(),
            });
            self.feedback_count = self.feedback_count.wrapping_add(1);
            self.next += covered as i64;
            self.pending = self.pending.split_off(&self.next);
        }
        self.reported |= !feedback.is_empty();
        self.waiting_since = None;
        feedback
    }
}

/// How one number is reported (§3.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    NotReceived,
    /// Ticks since the packet before, in one byte.
    Small(u8),
    /// The same in two bytes, with sign.
    Large(i16),
}

impl Status {
    fn symbol(self) -> u16 {
        match self {
            Self::NotReceived => 0,
            Self::Small(_) => 1,
            Self::Large(_) => 2,
        }
    }

    fn delta_bytes(self) -> usize {
        usize::from(self.symbol())
    }
}

/// What one feedback packet could say, were there no limit to its length.
#[derive(Debug)]
struct Draft {
    /// In units of 64 ms.
    reference: i64,
    /// From the base number on; the last is of a packet that was received.
    statuses: Vec<Status>,
}

impl Draft {
    /// Goes as far as the times between arrivals can be expressed. `None` without arrivals.
    fn new(base: i64, pending: &BTreeMap<i64, i64>) -> Option<Self> {
        let (_, first) = pending.first_key_value()?;
        let reference = first.div_euclid(TICKS_PER_REFERENCE);
        let mut before = reference * TICKS_PER_REFERENCE;
        let mut statuses = Vec::new();
        for (number, ticks) in pending {
            let Some(status) = status_of(ticks - before) else {
                break;
            };
            before = *ticks;
            // The window bounds it.
            statuses.resize((number - base) as usize, Status::NotReceived);
            statuses.push(status);
        }
        Some(Self {
            reference,
            statuses,
        })
    }

    /// The packet from its base number on, and how many numbers it speaks of.
    fn encode(&self, base: i64, feedback_count: u8) -> (Vec<u8>, usize) {
        let (chunks, covered) = self.chunks();
        let mut body = Vec::with_capacity(MAX_BODY_BYTES + 3);
        body.extend_from_slice(&(base as u16).to_be_bytes());
        body.extend_from_slice(&(covered as u16).to_be_bytes());
        // The lower 24 bits, wrapping after twelve days.
        body.extend_from_slice(&(self.reference as u32).to_be_bytes()[1..]);
        body.push(feedback_count);
        for chunk in chunks {
            body.extend_from_slice(&chunk.to_be_bytes());
        }
        for status in &self.statuses[..covered] {
            match status {
                Status::NotReceived => {}
                Status::Small(delta) => body.push(*delta),
                Status::Large(delta) => body.extend_from_slice(&delta.to_be_bytes()),
            }
        }
        body.resize(body.len().next_multiple_of(4), 0);
        (body, covered)
    }

    /// As many chunks as fit into a packet, and how many statuses they hold. A run of lost packets
    /// is short and a chunk of received ones far below the limit, so that at least one arrival is
    /// always among them.
    fn chunks(&self) -> (Vec<u16>, usize) {
        let mut chunks = Vec::new();
        let (mut covered, mut bytes) = (0, FIXED_BODY_BYTES);
        while covered < self.statuses.len() {
            let rest = &self.statuses[covered..];
            let (chunk, count) = next_chunk(rest);
            let deltas: usize = rest[..count].iter().map(|it| it.delta_bytes()).sum();
            bytes += CHUNK_BYTES + deltas;
            if bytes > MAX_BODY_BYTES {
                break;
            }
            chunks.push(chunk);
            covered += count;
        }
        (chunks, covered)
    }
}

/// `None` when the time cannot be expressed.
fn status_of(delta: i64) -> Option<Status> {
    u8::try_from(delta)
        .map(Status::Small)
        .or_else(|_| i16::try_from(delta).map(Status::Large))
        .ok()
}

/// The chunk that holds the most of what comes next, and how much that is: a run of equal
/// statuses (§3.1.3), else a vector of fourteen or, where large deltas are among them, of seven
/// (§3.1.4).
fn next_chunk(statuses: &[Status]) -> (u16, usize) {
    let first = statuses[0].symbol();
    let run = statuses
        .iter()
        .take(if first == 0 {
            MAX_RUN
        } else {
            MAX_RECEIVED_RUN
        })
        .take_while(|status| status.symbol() == first)
        .count();
    let fourteen = &statuses[..statuses.len().min(14)];
    let is_plain = fourteen.iter().all(|status| status.symbol() < 2);
    let (symbols, bits, head) = match is_plain {
        true => (fourteen, 1, 0b10),
        false => (&fourteen[..fourteen.len().min(7)], 2, 0b11),
    };
    if run >= symbols.len() {
        return (first << 13 | run as u16, run);
    }
    let vector = symbols.iter().enumerate().map(|(index, status)| {
        let place = 14 - bits * (index + 1);
        status.symbol() << place
    });
    (
        vector.fold(head << 14, |word, bit| word | bit),
        symbols.len(),
    )
}

/// Ticks of 250 µs from `epoch` to `at`, rounded down; negative when `at` is the earlier one.
fn ticks_between(epoch: Instant, at: Instant) -> i64 {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let signed = match at.checked_duration_since(epoch) {
        Some(after) => micros(after),
        None => -micros(epoch.duration_since(at)),
    };
    signed.div_euclid(TICK_MICROS)
}

/// Numbers that may wait, lost ones among them: seconds of any stream, and far less than half of
/// the numbers that there are, so that forth and back can be told apart.
const WINDOW: i64 = 8192;

/// Time between two feedbacks while packets keep coming: often enough for the sender to see a queue
/// grow, at a few kbit/s.
const INTERVAL: Duration = Duration::from_millis(100);

/// Packets that are not left to wait out the interval: 10 Mbit/s and more.
const ENOUGH: usize = 100;

/// Unit of the deltas (§3.1.5).
const TICK_MICROS: i64 = 250;

/// The reference time counts in 64 ms (§3.1).
const TICKS_PER_REFERENCE: i64 = 256;

/// Base number, count of statuses, reference time, count of feedbacks.
const FIXED_BODY_BYTES: usize = 8;

const CHUNK_BYTES: usize = 2;

/// Leaves room for header, report, the longest of names and the tag in the smallest MTU of the
/// internet, 1280 bytes.
const MAX_BODY_BYTES: usize = 880;

/// Thirteen bits (§3.1.3).
const MAX_RUN: usize = 8191;

/// So that no chunk alone brings more deltas than fit.
const MAX_RECEIVED_RUN: usize = 128;

#[cfg(test)]
mod tests;
