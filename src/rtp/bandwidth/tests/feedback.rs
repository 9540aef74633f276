use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::rtp::{Ssrc, TwccRecorder};

/// Number, and ticks since the reference time of what arrived; missing ones singly.
fn told(body: &[u8]) -> Option<Vec<(u16, Option<i64>)>> {
    let mut all = Vec::new();
    for told in Feedback::read(body)?.statuses() {
        match told {
            Told::Received { number, ticks } => all.push((number, Some(ticks))),
            Told::Missing { first, count } => {
                all.extend((0..count).map(|step| (first.wrapping_add(step), None)));
            }
        }
    }
    Some(all)
}

/// After base, count and reference time: the bytes, and how many milliseconds each packet came after the
/// one before.
fn check(base: u16, reference: u32, rest: &[u8], millis: &[i64]) {
    let [_, r0, r1, r2] = reference.to_be_bytes();
    let head = [
        (base >> 8) as u8,
        base as u8,
        0,
        millis.len() as u8,
        r0,
        r1,
        r2,
        0,
    ];
    let body = [&head[..], rest].concat();
    assert_eq!(Feedback::read(&body).unwrap().reference, reference);
    let told = told(&body).unwrap();
    let mut before = 0;
    let mut found = Vec::new();
    for (step, (number, ticks)) in told.iter().enumerate() {
        assert_eq!(*number, base.wrapping_add(step as u16));
        let ticks = ticks.unwrap();
        found.push((ticks - before) / 4);
        before = ticks;
    }
    assert_eq!(found, millis);
}

/// Sent by Chromium to media servers, with what libwebrtc and they made of it.
#[test]
fn c067_what_chromium_writes_is_read() {
    // With padding behind the deltas.
    check(13, 35_504, &[0x20, 1, 0xe4, 1], &[57]);
    check(
        14,
        35_504,
        &[0x20, 4, 0xe8, 8, 12, 0xdc, 0, 2],
        &[58, 2, 3, 55],
    );
    let small = [0xf0, 0x18, 0x14, 0x24, 0x58, 1];
    check(
        18,
        35_505,
        &[&[0x20, 5][..], &small].concat(),
        &[60, 6, 5, 9, 22],
    );
    let millis = [
        3, 5, 5, 0, 10, 0, 0, 4, 0, 1, 0, 2, 0, 2, 0, 2, 0, 2, 0, 1, 0, 4,
    ];
    let ticks: Vec<u8> = millis.iter().map(|ms| *ms as u8 * 4).collect();
    check(2924, 617_873, &[&[0x20, 22], &ticks[..]].concat(), &millis);
    // A reference time in the upper half.
    check(1, 0xbd_57aa, &[0x20, 2, 0x8c, 0x44], &[35, 17]);
    check(
        942,
        818_997,
        &[0x20, 6, 0x9c, 0x34, 0x24, 0x14, 0x10, 0x34],
        &[39, 13, 9, 5, 4, 13],
    );
    let run = [0xd8, 0, 0x18, 0x14, 0x18, 0x14, 0x18, 0x14, 0x18, 0];
    check(
        1969,
        1_683_633,
        &[&[0x20, 9], &run[..]].concat(),
        &[54, 0, 6, 5, 6, 5, 6, 5, 6],
    );
    // A run and a vector of two bits, with a negative delta.
    let mixed = [8, 0, 0, 0, 0x58, 4, 0, 0, 0x20, 0xff, 0xfc, 4, 0, 0, 0, 0];
    let millis = [2, 0, 0, 0, 22, 1, 0, 0, 8, -1, 1, 0];
    check(
        5376,
        1_684_065,
        &[&[0x20, 9, 0xe5, 0], &mixed[..]].concat(),
        &millis,
    );
}

#[test]
fn c067_the_examples_of_the_draft_are_read() {
    // §3.1.3: 221 packets not received. §3.1.4: one not received, five received, three not, three
    // received, two not.
    let body = [
        0, 5, 0, 235, 0, 0, 1, 9, 0x00, 0xdd, 0x9f, 0x1c, 1, 2, 3, 4, 5, 6, 7, 8,
    ];
    let feedback = Feedback::read(&body).unwrap();
    let all: Vec<_> = feedback.statuses().collect();
    let one = |first| Told::Missing { first, count: 1 };
    let at = |number, ticks| Told::Received { number, ticks };
    assert_eq!(
        all[0],
        Told::Missing {
            first: 5,
            count: 221
        }
    );
    assert_eq!(
        all[1..7],
        [
            one(226),
            at(227, 1),
            at(228, 3),
            at(229, 6),
            at(230, 10),
            at(231, 15)
        ]
    );
    assert_eq!(all[7..10], [one(232), one(233), one(234)]);
    assert_eq!(
        all[10..],
        [at(235, 21), at(236, 28), at(237, 36), one(238), one(239)]
    );
    // The other two examples have the symbol that is reserved since.
    assert!(told(&[0, 5, 0, 24, 0, 0, 1, 9, 0x60, 0x18]).is_none());
    assert!(told(&[0, 5, 0, 7, 0, 0, 1, 9, 0xcd, 0x50, 1, 2, 3]).is_none());
}

#[test]
fn c067_a_vector_from_a_receiver_that_misses_the_first() {
    let body = [
        0x18, 0x53, 0, 2, 0x19, 0xb2, 0x9e, 0xa2, 0xc4, 0x00, 0x00, 0x00,
    ];
    assert_eq!(told(&body).unwrap(), [(6227, None), (6228, Some(0))]);
    // A later one of Chromium: seven of two bits, the last one counted.
    let body = [
        0x00, 0x27, 0x00, 0x0d, 0x5f, 0xc2, 0xf1, 0x03, 0xbf, 0x8e, 0x10, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x1c, 0x04, 0x00,
    ];
    let told = told(&body).unwrap();
    assert_eq!(told.len(), 13);
    assert_eq!(told.iter().filter(|(_, ticks)| ticks.is_none()).count(), 3);
}

#[test]
fn c067_statuses_beyond_the_count_and_bytes_beyond_the_deltas_are_nothing() {
    // Ten in the run, two counted; numbers wrap.
    let body = [0xff, 0xff, 0, 2, 0, 0, 0, 0, 0x20, 10, 4, 8, 99, 99];
    assert_eq!(told(&body).unwrap(), [(65_535, Some(4)), (0, Some(12))]);
    assert_eq!(told(&[0, 1, 0, 0, 0, 0, 0, 0]).unwrap(), []);
    // Runs of none lead nowhere.
    let empty_runs = [0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0x60, 0, 0x20, 1, 4];
    assert_eq!(told(&empty_runs).unwrap(), [(1, Some(4))]);
    assert!(told(&[0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).is_none());
}

#[test]
fn c067_a_delta_too_few_is_too_few() {
    let whole = [0, 1, 0, 3, 0, 0, 0, 0, 0xd9, 0x00, 4, 0, 1, 8];
    // Small, large, small.
    assert_eq!(
        told(&whole).unwrap(),
        [(1, Some(4)), (2, Some(5)), (3, Some(13))]
    );
    for length in 0..whole.len() {
        assert!(told(&whole[..length]).is_none(), "{length}");
    }
}

proptest! {
    /// Steps of numbers and of microseconds, the latter also backwards.
    #[test]
    fn c067_what_our_own_receiver_writes_is_read(
        first in any::<u16>(),
        steps in prop::collection::vec((1..40_u16, -20_000..9_000_000_i64), 1..300),
    ) {
        let begin = Instant::now();
        let mut recorder = TwccRecorder::default();
        let (mut number, mut micros) = (first, 0_i64);
        recorder.record(number, begin);
        let mut expected = vec![(number, Some(0))];
        for (step, after) in steps {
            expected.extend((1..step).map(|lost| (number.wrapping_add(lost), None)));
            number = number.wrapping_add(step);
            micros = (micros + after).max(0);
            recorder.record(number, begin + Duration::from_micros(micros.unsigned_abs()));
            expected.push((number, Some(micros / 250)));
        }
        let mut all = Vec::new();
        for feedback in recorder.take_feedback(Ssrc(1), Ssrc(2)) {
            let reference = Feedback::read(&feedback.body).unwrap().reference;
            let since = |ticks| i64::from(reference) * 256 + ticks;
            let told = told(&feedback.body).unwrap();
            all.extend(told.into_iter().map(|(number, ticks)| (number, ticks.map(since))));
        }
        prop_assert_eq!(all, expected);
    }

    /// No panic, and no more numbers than counted.
    #[test]
    fn c067_any_bytes_are_read(body in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Some(told) = told(&body) {
            prop_assert_eq!(told.len(), usize::from(u16::from_be_bytes([body[2], body[3]])));
        }
    }
}
