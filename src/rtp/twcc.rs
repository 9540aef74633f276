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
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use rtcp::transport_feedbacks::transport_layer_cc::{
        PacketStatusChunk, SymbolTypeTcc, TransportLayerCc,
    };
    use webrtc_util::marshal::Unmarshal;

    use super::*;
    use crate::rtp::RtcpPacket;

    /// Sequence number and, of a packet that was received, ticks on the recorder's clock.
    type Decoded = Vec<(u16, Option<i64>)>;

    fn wire(feedback: &TransportCc) -> Vec<u8> {
        let mut bytes = Vec::new();
        let packet = RtcpPacket::TransportCc(feedback.clone());
        packet.write(&mut bytes).unwrap();
        bytes
    }

    fn parsed(feedback: &TransportCc) -> TransportLayerCc {
        let mut bytes = Bytes::from(wire(feedback));
        TransportLayerCc::unmarshal(&mut bytes).unwrap()
    }

    fn symbols(chunks: &[PacketStatusChunk]) -> Vec<SymbolTypeTcc> {
        let of = |chunk: &PacketStatusChunk| match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                vec![run.packet_status_symbol; usize::from(run.run_length)]
            }
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.clone(),
        };
        chunks.iter().flat_map(of).collect()
    }

    /// Read by another implementation.
    fn decode(feedback: &TransportCc) -> Decoded {
        let packet = parsed(feedback);
        let mut ticks = i64::from(packet.reference_time) * 256;
        let mut deltas = packet.recv_deltas.iter();
        symbols(&packet.packet_chunks)
            .into_iter()
            .take(usize::from(packet.packet_status_count))
            .enumerate()
            .map(|(index, symbol)| {
                let number = packet.base_sequence_number.wrapping_add(index as u16);
                let received = symbol != SymbolTypeTcc::PacketNotReceived;
                let at = received.then(|| {
                    ticks += deltas.next().unwrap().delta / 250;
                    ticks
                });
                (number, at)
            })
            .collect()
    }

    struct Bench {
        recorder: TwccRecorder,
        begin: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                recorder: TwccRecorder::default(),
                begin: Instant::now(),
            }
        }

        fn after(&self, micros: u64) -> Instant {
            self.begin + Duration::from_micros(micros)
        }

        /// Milliseconds.
        fn record(&mut self, sequence: u16, at: u64) {
            let at = self.after(at * 1000);
            self.recorder.record(sequence, at);
        }

        fn take(&mut self) -> Vec<TransportCc> {
            self.recorder.take_feedback(Ssrc(1), Ssrc(2))
        }

        fn take_decoded(&mut self) -> Vec<Decoded> {
            self.take().iter().map(decode).collect()
        }
    }

    #[test]
    fn c067_packets_in_order_are_one_run_with_their_times() {
        let mut bench = Bench::new();
        for step in 0..20_u16 {
            bench.record(7 + step, u64::from(step) * 5);
        }
        let feedback = bench.take();
        let packet = parsed(&feedback[0]);
        assert_eq!((packet.sender_ssrc, packet.media_ssrc), (1, 2));
        assert_eq!(packet.packet_chunks.len(), 1);
        let expected: Decoded = (0..20).map(|i| (7 + i, Some(i64::from(i) * 20))).collect();
        assert_eq!(decode(&feedback[0]), expected);
        // And the same bytes by hand: base, count, reference, number of the feedback, one run.
        let body = &feedback[0].body;
        assert_eq!(body[..10], [0, 7, 0, 20, 0, 0, 0, 0, 0x20, 20]);
        assert_eq!(body[10..], [[0].as_slice(), &[20; 19], &[0; 2]].concat());
        assert!(bench.take().is_empty());
    }

    #[test]
    fn c067_gaps_within_and_between_feedbacks_are_reported() {
        let mut bench = Bench::new();
        bench.record(1, 0);
        bench.record(3, 1);
        assert_eq!(
            bench.take_decoded(),
            [[(1, Some(0)), (2, None), (3, Some(4))]]
        );
        bench.record(6, 64);
        assert_eq!(
            bench.take_decoded(),
            [[(4, None), (5, None), (6, Some(256))]]
        );
    }

    #[test]
    fn c067_numbers_wrap() {
        let mut bench = Bench::new();
        for (index, sequence) in [65_534, 65_535, 1].into_iter().enumerate() {
            bench.record(sequence, index as u64);
        }
        let expected = [
            (65_534, Some(0)),
            (65_535, Some(4)),
            (0, None),
            (1, Some(8)),
        ];
        assert_eq!(bench.take_decoded(), [expected]);
        bench.record(2, 3);
        assert_eq!(bench.take_decoded(), [[(2, Some(12))]]);
    }

    #[test]
    fn c067_a_packet_out_of_order_is_reported_in_its_place_unless_its_number_was() {
        let mut bench = Bench::new();
        bench.record(10, 100);
        bench.record(12, 101);
        bench.record(11, 102);
        // Before the first one, and nothing was reported yet; a duplicate changes nothing.
        bench.record(9, 103);
        bench.record(12, 110);
        let ticks = [(9, Some(12)), (10, Some(0)), (11, Some(8)), (12, Some(4))];
        assert_eq!(bench.take_decoded(), [ticks]);
        bench.record(11, 120);
        bench.record(8, 121);
        assert!(bench.take().is_empty());
        assert_eq!(bench.recorder.due_at(), None);
    }

    #[test]
    fn c067_runs_and_vectors_are_chosen_by_what_they_hold() {
        let chunks = |received: &[(u16, u64)]| {
            let mut bench = Bench::new();
            for (sequence, at) in received {
                bench.record(*sequence, *at);
            }
            let feedback = bench.take();
            assert_eq!(feedback.len(), 1);
            let words = parsed(&feedback[0]).packet_chunks.len();
            let body = feedback[0].body.clone();
            (0..words)
                .map(|i| u16::from_be_bytes([body[8 + 2 * i], body[9 + 2 * i]]))
                .collect::<Vec<_>>()
        };
        // Every second one: fourteen in a word, the rest in another.
        let alternating: Vec<_> = (0..8).map(|i| (2 * i, u64::from(i))).collect();
        assert_eq!(chunks(&alternating), [0b10_10101010101010, 0x2001]);
        // A long gap is a run, whatever stands around it: 0 and 1 share a word with twelve lost.
        assert_eq!(
            chunks(&[(0, 0), (1, 0), (1014, 0)]),
            [0b10_11000000000000, 1000, 0x2001]
        );
        // Large deltas want two bits.
        assert_eq!(
            chunks(&[(0, 0), (1, 100), (3, 101)]),
            [0b11_01_10_00_01_000000]
        );
        // Alone they are a run again.
        let slow: Vec<_> = (0..9).map(|i| (i, 100 * (u64::from(i) + 1))).collect();
        assert_eq!(chunks(&slow), [0b11_01_10_10_10_10_10_10, 0x4002]);
    }

    #[test]
    fn c067_a_time_that_does_not_fit_begins_another_feedback() {
        let mut bench = Bench::new();
        bench.record(0, 0);
        // 8.19 s is what sixteen bits with sign can say.
        bench.record(1, 8_191);
        bench.record(3, 20_000);
        let feedback = bench.take();
        assert_eq!(feedback.len(), 2);
        assert_eq!(decode(&feedback[0]), [(0, Some(0)), (1, Some(32_764))]);
        assert_eq!(decode(&feedback[1]), [(2, None), (3, Some(80_000))]);
        let counts: Vec<_> = feedback.iter().map(|it| parsed(it).fb_pkt_count).collect();
        assert_eq!(counts, [0, 1]);
    }

    #[test]
    fn c067_many_packets_are_split_into_feedbacks_that_fit_a_datagram() {
        let mut bench = Bench::new();
        for sequence in 0..4000 {
            bench.record(sequence, u64::from(sequence) * 70);
        }
        let feedback = bench.take();
        assert!(feedback.len() > 1);
        assert!(feedback.iter().all(|it| wire(it).len() <= 900));
        let all: Decoded = feedback.iter().flat_map(decode).collect();
        let expected: Decoded = (0..4000).map(|i| (i, Some(i64::from(i) * 280))).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn c067_a_jump_begins_anew_and_a_gap_does_not_grow_memory() {
        let mut bench = Bench::new();
        bench.record(0, 0);
        bench.record(9_000, 1);
        assert_eq!(bench.take_decoded(), [[(9_000, Some(4))]]);
        bench.record(100, 2);
        assert_eq!(bench.take_decoded(), [[(100, Some(8))]]);
        // Never reported, each within reach of the one before.
        for sequence in (101..30_000).step_by(4_000) {
            bench.record(sequence, 3);
            let waiting = bench.recorder.highest.unwrap() - bench.recorder.next;
            assert!(waiting < WINDOW, "{waiting}");
        }
    }

    #[test]
    fn c067_the_count_of_feedbacks_wraps() {
        let mut bench = Bench::new();
        for sequence in 0..300_u16 {
            bench.record(sequence, u64::from(sequence));
            let count = parsed(&bench.take()[0]).fb_pkt_count;
            assert_eq!(count, sequence as u8);
        }
    }

    #[test]
    fn c067_feedback_is_due_after_a_while_or_when_much_waits_and_never_when_idle() {
        let mut bench = Bench::new();
        assert!(!bench.recorder.due(bench.after(0)));
        bench.record(0, 0);
        bench.record(1, 50);
        assert!(!bench.recorder.due(bench.after(99_999)));
        assert!(bench.recorder.due(bench.after(100_000)));
        bench.take();
        assert!(!bench.recorder.due(bench.after(900_000)));
        for sequence in 2..102 {
            assert!(!bench.recorder.due(bench.after(200_000)));
            bench.record(sequence, 200);
        }
        assert!(bench.recorder.due(bench.after(200_000)));
    }

    proptest! {
        /// Steps of numbers and of microseconds, the latter also backwards: nothing is lost or
        /// invented, and times are exact to a tick.
        #[test]
        fn c067_what_is_decoded_is_what_was_recorded(
            first in any::<u16>(),
            steps in prop::collection::vec((1..20_u16, -20_000..9_000_000_i64), 1..300),
        ) {
            let mut bench = Bench::new();
            bench.recorder.record(first, bench.after(0));
            let (mut sequence, mut at) = (first, 0_i64);
            let mut expected = vec![(first, Some(0))];
            for (step, micros) in steps {
                expected.extend((1..step).map(|lost| (sequence.wrapping_add(lost), None)));
                sequence = sequence.wrapping_add(step);
                at = (at + micros).max(0);
                bench.recorder.record(sequence, bench.after(at.unsigned_abs()));
                expected.push((sequence, Some(at / 250)));
            }
            let feedback = bench.take();
            prop_assert!(feedback.iter().all(|it| wire(it).len() <= 900));
            let all: Decoded = feedback.iter().flat_map(decode).collect();
            prop_assert_eq!(all, expected);
        }

        /// Whatever comes: bounded, no panic, and no number twice until a new beginning.
        #[test]
        fn c067_any_numbers_are_taken(
            received in prop::collection::vec((any::<u16>(), 0..1_000_000_u64), 0..300),
        ) {
            let mut bench = Bench::new();
            for (sequence, at) in received {
                bench.recorder.record(sequence, bench.after(at));
                let waiting = bench.recorder.highest.unwrap() - bench.recorder.next;
                prop_assert!(waiting < WINDOW);
            }
            for feedback in bench.take() {
                decode(&feedback);
            }
        }
    }
}
