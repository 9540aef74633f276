//! What feedback says, read by another implementation.

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
    assert_eq!(chunks(&alternating), [0b1010_1010_1010_1010, 0x2001]);
    // A long gap is a run, whatever stands around it: 0 and 1 share a word with twelve lost.
    assert_eq!(
        chunks(&[(0, 0), (1, 0), (1014, 0)]),
        [0b1011_0000_0000_0000, 1000, 0x2001]
    );
    // Large deltas want two bits.
    assert_eq!(
        chunks(&[(0, 0), (1, 100), (3, 101)]),
        [0b1101_1000_0100_0000]
    );
    // Alone they are a run again.
    let slow: Vec<_> = (0..9).map(|i| (i, 100 * (u64::from(i) + 1))).collect();
    assert_eq!(chunks(&slow), [0b1101_1010_1010_1010, 0x4002]);
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
