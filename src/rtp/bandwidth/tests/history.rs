use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;

fn filled(first: u16, count: u16) -> SentHistory {
    let mut history = SentHistory::new();
    for step in 0..count {
        history.add(
            first.wrapping_add(step),
            1000 + usize::from(step),
            0,
            i64::from(step) * 1000,
        );
    }
    history
}

fn missed(history: &mut SentHistory, first: u16, count: u16) -> (Vec<u32>, u16) {
    let mut bytes = Vec::new();
    let unknown = history.miss(first, count, |sent| bytes.push(sent.bytes));
    (bytes, unknown)
}

#[test]
fn what_was_sent_is_known_once() {
    let mut history = filled(65_530, 10);
    history.add(4, 70_000, 77, 20_000);
    let sent = history.receive(4, 30_000).unwrap();
    let expected = Sent {
        at_us: 20_000,
        bytes: 65_535,
        cluster: 77,
        was_missing: false,
    };
    assert_eq!(sent, expected);
    assert_eq!(history.receive(4, 30_000), Err(NoNews::Repeated));
    assert_eq!(history.receive(5, 30_000), Err(NoNews::Unknown));
    assert_eq!(history.receive(65_529, 30_000), Err(NoNews::Unknown));
    assert_eq!(history.receive(65_530, 30_000).unwrap().bytes, 1000);
}

#[test]
fn a_missing_packet_is_missed_once_and_may_still_come() {
    let mut history = filled(10, 5);
    assert_eq!(missed(&mut history, 12, 2), (vec![1002, 1003], 0));
    assert_eq!(missed(&mut history, 8, 10), (vec![1000, 1001, 1004], 5));
    assert_eq!(missed(&mut history, 0, u16::MAX), (vec![], u16::MAX - 5));
    assert!(history.receive(12, 5000).unwrap().was_missing);
    assert_eq!(missed(&mut history, 12, 1), (vec![], 0));
    // All that there are, none of them sent.
    assert_eq!(
        missed(&mut history, 15, u16::MAX - 20),
        (vec![], u16::MAX - 20)
    );
}

#[test]
fn numbers_left_out_were_never_sent_and_far_ones_begin_anew() {
    let mut history = filled(0, 3);
    history.add(6, 500, 0, 10_000);
    assert_eq!(history.receive(4, 10_000), Err(NoNews::Unknown));
    assert_eq!(missed(&mut history, 3, 4), (vec![500], 3));
    assert_eq!(history.receive(2, 10_000).unwrap().bytes, 1002);
    history.add(5000, 600, 0, 11_000);
    assert_eq!(history.receive(1, 11_000), Err(NoNews::Unknown));
    assert_eq!(history.receive(5000, 11_000).unwrap().bytes, 600);
    // Backwards.
    history.add(4000, 700, 0, 12_000);
    assert_eq!(history.receive(5000, 12_000), Err(NoNews::Unknown));
    assert_eq!(history.receive(4000, 12_000).unwrap().bytes, 700);
}

#[test]
fn what_is_old_is_forgotten() {
    let mut history = filled(0, 2);
    history.add(2, 800, 0, 5 * SECOND);
    assert_eq!(history.receive(0, LONGEST_US).unwrap().bytes, 1000);
    assert_eq!(history.receive(1, LONGEST_US + 1001), Err(NoNews::Unknown));
    // Longer than the shortened time can tell: 2^32 µs are 71 minutes.
    assert_eq!(
        history.receive(2, 5 * SECOND + (1 << 32)),
        Err(NoNews::Unknown)
    );
}

#[test]
fn room_grows_with_what_is_on_the_way_and_no_further() {
    let mut history = SentHistory::new();
    // Answered at once, it stays small.
    for number in 0..20_000_u16 {
        history.add(number, 1200, 0, i64::from(number));
        assert!(history.receive(number, i64::from(number)).is_ok());
    }
    assert_eq!(history.entries.len(), LEAST);
    // Never answered, it ends at the most.
    for number in 20_000..50_000_u16 {
        history.add(number, 1200, 0, i64::from(number));
    }
    assert_eq!(history.entries.len(), MOST);
    assert_eq!(size_of::<Entry>(), 8);
    assert_eq!(history.receive(41_000, 50_000), Err(NoNews::Unknown));
    assert!(history.receive(49_999 - 8191, 50_000).is_ok());
}

proptest! {
    /// Against a map of all that was sent, over wraps, gaps and growth.
    #[test]
    fn it_knows_what_a_map_would_know(
        first in any::<u16>(),
        steps in prop::collection::vec((0..4_u16, any::<bool>(), 0..600_u16), 1..1500),
    ) {
        let mut history = SentHistory::new();
        let mut sent = HashMap::new();
        let mut number = first;
        for (index, (gap, answered, back)) in steps.into_iter().enumerate() {
            number = number.wrapping_add(1 + gap / 3);
            let now_us = index as i64 * 500;
            history.add(number, 100 + index % 1000, 0, now_us);
            sent.insert(number, (100 + index % 1000, now_us));
            if answered {
                let asked = number.wrapping_sub(back);
                let known = sent.remove(&asked);
                let found = history.receive(asked, now_us).ok();
                let found = found.map(|it| (it.bytes as usize, it.at_us));
                prop_assert_eq!(found, known);
            }
        }
    }
}
