//! Which packets have come, and which are missing: feedback on arrival times, and requests for what was lost.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::input::Input;
use crate::rtp::{
    Arrived, BandwidthConfig, BandwidthEstimator, MissingPackets, RtcpPacket, SequenceNumber, Ssrc,
    TransportCc, TwccRecorder,
};

/// Packets arrive under transport-wide numbers, and feedback on them is written, read, and reckoned with.
///
/// Feedback is sound, has no more bytes than a packet may have, tells of each packet once, and of none that has not come as if it
/// had.
pub(super) fn arrivals(data: &[u8]) {
    let mut input = Input::new(data);
    let mut now = Instant::now();
    let mut recorder = TwccRecorder::default();
    let mut last = input.number();
    let mut arrived = HashSet::new();
    while input.has_move(MOST_MOVES) {
        let step = input.byte();
        now += Duration::from_micros(u64::from(input.number()) << (step & 7));
        last = match step >> 3 & 3 {
            0 => last.wrapping_add(1),
            1 => last.wrapping_add(u16::from(input.byte())),
            2 => last.wrapping_sub(u16::from(input.byte())),
            _ => input.number(),
        };
        recorder.record(last, now);
        arrived.insert(last);
        if step & 0x20 != 0 || recorder.due(now) {
            take_feedback(&mut recorder, &arrived);
            assert!(!recorder.due(now) && recorder.due_at().is_none());
        }
    }
    take_feedback(&mut recorder, &arrived);
}

fn take_feedback(recorder: &mut TwccRecorder, arrived: &HashSet<u16>) {
    for feedback in recorder.take_feedback(Ssrc(1), Ssrc(2)) {
        let read = written_and_read(RtcpPacket::TransportCc(feedback));
        let RtcpPacket::TransportCc(TransportCc { body, .. }) = &read else {
            panic!("{read:?} is no feedback")
        };
        assert!(body.len() < LONGEST_PACKET);
        let base = u16::from_be_bytes([body[0], body[1]]);
        let count = u16::from_be_bytes([body[2], body[3]]);
        let now = Instant::now();
        let mut estimator = BandwidthEstimator::new(BandwidthConfig::default(), now);
        // The history of what was sent is shorter than what numbers can tell apart.
        let begin = base.wrapping_sub(1);
        for ahead in 0..=count.min(LONGEST_HISTORY) {
            estimator.on_sent(begin.wrapping_add(ahead), 1200, None, now);
        }
        let RtcpPacket::TransportCc(feedback) = &read else {
            return;
        };
        estimator.on_feedback(feedback, now);
        let counters = estimator.counters();
        assert_eq!((counters.malformed, counters.repeated), (0, 0));
        let numbers = (0..count).map(|ahead| base.wrapping_add(ahead));
        let come = numbers.filter(|number| arrived.contains(number)).count() as u64;
        assert!(counters.received <= come, "told of what has not come");
    }
}

fn written_and_read(packet: RtcpPacket) -> RtcpPacket {
    let mut bytes = Vec::new();
    packet.write(&mut bytes).expect("our own packets fit");
    let mut read = RtcpPacket::parse_compound(&Bytes::from(bytes)).expect("they are sound");
    assert_eq!(read.len(), 1);
    read.remove(0)
}

/// A stream whose packets are lost, overtake each other and are repeated.
///
/// What is asked for has not come, is asked for within its time and not more often than there is room, and the list of what is
/// missing stays short. Who waits until something is due finds it done.
pub(super) fn missing(data: &[u8]) {
    let mut input = Input::new(data);
    let mut now = Instant::now();
    let mut missing = MissingPackets::default();
    let mut last = SequenceNumber(input.number());
    let mut come = HashSet::new();
    let mut round_trip = Duration::from_millis(50);
    while input.has_move(MOST_MOVES) {
        let step = input.byte();
        match step & 7 {
            0..=2 => {
                last = last.plus(u16::from(step >> 3));
                note(&mut come, last, missing.arrive(last, round_trip, now));
                if step & 7 == 2 {
                    missing.expect_next(last, now);
                }
            }
            3 => {
                let number = last.plus(0_u16.wrapping_sub(u16::from(step >> 3) + 1));
                note(&mut come, number, missing.arrive(number, round_trip, now));
            }
            4 => {
                last = SequenceNumber(input.number());
                note(&mut come, last, missing.arrive(last, round_trip, now));
            }
            5 => {
                let number = last.plus(u16::from(step >> 3).wrapping_sub(16));
                note(&mut come, number, missing.repair(number, round_trip, now));
            }
            6 => {
                now += Duration::from_millis(u64::from(step >> 3));
                round_trip = Duration::from_millis(u64::from(input.byte()) * 4);
            }
            _ => now += Duration::from_millis(u64::from(input.byte())),
        }
        ask(&mut missing, &come, round_trip, step, now);
    }
    // In the end everything is given up.
    for _ in 0..MOST_REQUESTS {
        let Some(due) = missing.due_at() else {
            return;
        };
        now = now.max(due);
        ask(&mut missing, &come, round_trip, u8::MAX, now);
    }
    panic!("asked for without end");
}

/// Another beginning may come to numbers that there were before it, and what is too old for the stream may be of the next one.
fn note(come: &mut HashSet<u16>, number: SequenceNumber, arrived: Arrived) {
    match arrived {
        Arrived::Ahead | Arrived::Late(_) => drop(come.insert(number.0)),
        Arrived::Jumped => *come = HashSet::from([number.0]),
        Arrived::Again => {}
    }
}

fn ask(
    missing: &mut MissingPackets,
    come: &HashSet<u16>,
    round_trip: Duration,
    room: u8,
    now: Instant,
) {
    let room = usize::from(room);
    let mut lost = Vec::new();
    missing.ask(now, round_trip, room, &mut lost);
    assert!(missing.len() <= MOST_MISSING);
    assert!(lost.len() <= room);
    let asked: HashSet<_> = lost.iter().map(|number| number.0).collect();
    assert_eq!(asked.len(), lost.len(), "one asked for twice at once");
    assert!(asked.is_disjoint(come), "asked for what has come");
    assert!(
        missing.due_at().is_none_or(|due| due > now),
        "asked too early"
    );
}

/// So many numbers the estimator knows at a time.
const LONGEST_HISTORY: u16 = 2000;

/// No path carries more.
const LONGEST_PACKET: usize = 1500;

const MOST_MISSING: usize = 512;

/// Of all that can be missing, each as often as it may be asked for.
const MOST_REQUESTS: usize = 100_000;

const MOST_MOVES: usize = 2000;
