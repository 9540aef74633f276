use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::{LaneCapacity, LaneDepth, LaneDrops, LaneReceiver, LaneSender, Weigh, lane};

#[derive(Debug, PartialEq, Eq)]
struct Item(usize, usize);

impl Weigh for Item {
    fn packets(&self) -> usize {
        self.0
    }
    fn bytes(&self) -> usize {
        self.1
    }
}

fn counted() -> (LaneSender<Item>, LaneReceiver<Item>, Arc<AtomicUsize>) {
    let rings = Arc::new(AtomicUsize::new(0));
    let bell = Arc::clone(&rings);
    let (sender, receiver) = lane(CAPACITY, move || {
        bell.fetch_add(1, Ordering::Relaxed);
    });
    (sender, receiver, rings)
}

#[test]
fn the_bell_rings_once_until_drained() {
    let (sender, mut receiver, rings) = counted();
    sender.push(Item(1, 1));
    sender.push(Item(1, 1));
    assert_eq!(rings.load(Ordering::Relaxed), 1);
    let mut out = VecDeque::new();
    receiver.drain_into(&mut out);
    assert_eq!(out.len(), 2);
    sender.push(Item(1, 1));
    assert_eq!(rings.load(Ordering::Relaxed), 2);
}

#[test]
fn the_oldest_go_when_packets_or_bytes_run_out() {
    let (sender, mut receiver, _) = counted();
    for bytes in 1..=5 {
        sender.push(Item(1, bytes));
    }
    sender.push(Item(1, 90));
    let mut out = VecDeque::new();
    receiver.drain_into(&mut out);
    assert_eq!(out, [Item(1, 4), Item(1, 5), Item(1, 90)]);
    assert_eq!(
        receiver.take_drops(),
        LaneDrops {
            packets: 3,
            bytes: 6
        }
    );
    assert_eq!(receiver.take_drops(), LaneDrops::default());
}

#[test]
fn a_lane_tells_how_full_it_is_and_was() {
    let (sender, mut receiver, _) = counted();
    sender.push(Item(1, 7));
    sender.push(Item(2, 8));
    let depth = LaneDepth {
        packets: 3,
        bytes: 15,
        most_packets: 3,
        packet_limit: CAPACITY.packets,
    };
    assert_eq!(sender.depth(), depth);
    receiver.drain_into(&mut VecDeque::new());
    sender.push(Item(1, 7));
    let (packets, bytes) = (1, 7);
    let now = LaneDepth {
        packets,
        bytes,
        ..depth
    };
    assert_eq!(receiver.depth(), now);
}

#[test]
fn an_item_larger_than_the_lane_leaves_the_others_alone() {
    let (sender, mut receiver, _) = counted();
    sender.push(Item(1, 1));
    sender.push(Item(5, 5));
    let mut out = VecDeque::new();
    receiver.drain_into(&mut out);
    assert_eq!(out, [Item(1, 1)]);
    assert_eq!(receiver.take_drops().packets, 5);
}

#[test]
fn the_reader_hears_of_an_item_larger_than_the_lane() {
    // Where nothing but such items came, nobody was told that they were dropped.
    let (sender, mut receiver, rings) = counted();
    sender.push(Item(5, 5));
    assert_eq!(rings.load(Ordering::Relaxed), 1);
    let mut out = VecDeque::new();
    receiver.drain_into(&mut out);
    assert_eq!((out.len(), receiver.take_drops().packets), (0, 5));
}

#[test]
fn a_turn_takes_what_fits_and_the_bell_stays_rung_until_nothing_is_left() {
    let (sender, mut receiver, rings) = counted();
    sender.push(Item(1, 1));
    sender.push(Item(2, 2));
    sender.push(Item(1, 3));
    let mut out = VecDeque::new();
    assert!(receiver.drain_within(2, &mut out));
    assert_eq!(out, [Item(1, 1)]);
    sender.push(Item(1, 4));
    assert_eq!(rings.load(Ordering::Relaxed), 1);
    assert!(!receiver.drain_within(4, &mut out));
    assert_eq!(out, [Item(1, 1), Item(2, 2), Item(1, 3), Item(1, 4)]);
    sender.push(Item(1, 5));
    assert_eq!(rings.load(Ordering::Relaxed), 2);
}

#[test]
fn a_turn_too_small_for_an_item_takes_it_all_the_same() {
    let (sender, mut receiver, _) = counted();
    sender.push(Item(3, 1));
    sender.push(Item(1, 2));
    let mut out = VecDeque::new();
    assert!(receiver.drain_within(0, &mut out));
    assert_eq!(out, [Item(3, 1)]);
}

#[test]
fn what_a_turn_took_makes_room() {
    let (sender, mut receiver, _) = counted();
    sender.push(Item(2, 50));
    sender.push(Item(2, 50));
    let mut out = VecDeque::new();
    assert!(receiver.drain_within(2, &mut out));
    sender.push(Item(2, 50));
    assert_eq!(receiver.take_drops(), LaneDrops::default());
    assert!(!receiver.drain_within(4, &mut out));
    assert_eq!(out.len(), 3);
}

#[test]
fn a_turn_at_an_empty_lane_arms_the_bell() {
    let (sender, mut receiver, rings) = counted();
    let mut out = VecDeque::new();
    assert!(!receiver.drain_within(4, &mut out));
    sender.push(Item(1, 1));
    assert_eq!(rings.load(Ordering::Relaxed), 1);
}

#[test]
fn nothing_is_kept_once_the_reader_is_gone() {
    struct Held(#[expect(dead_code, reason = "only its life is looked at")] Arc<()>);
    impl Weigh for Held {
        fn packets(&self) -> usize {
            1
        }
        fn bytes(&self) -> usize {
            1
        }
    }
    let rings = Arc::new(AtomicUsize::new(0));
    let bell = Arc::clone(&rings);
    let (sender, receiver) = lane(CAPACITY, move || {
        bell.fetch_add(1, Ordering::Relaxed);
    });
    let life = Arc::new(());
    sender.push(Held(Arc::clone(&life)));
    assert_eq!(Arc::strong_count(&life), 2);
    drop(receiver);
    assert_eq!(Arc::strong_count(&life), 1);
    sender.push(Held(Arc::clone(&life)));
    assert_eq!(Arc::strong_count(&life), 1);
    assert_eq!(rings.load(Ordering::Relaxed), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize, usize),
    Drain,
    DrainWithin(usize),
    TakeDrops,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Some larger than the lane, some that weigh nothing in one measure.
    let push = (0..6_usize, 0..120_usize).prop_map(|(packets, bytes)| Step::Push(packets, bytes));
    let step = prop_oneof![
        8 => push,
        1 => Just(Step::Drain),
        2 => (0..6_usize).prop_map(Step::DrainWithin),
        1 => Just(Step::TakeDrops),
    ];
    proptest::collection::vec(step, 0..60)
}

/// The lane as one would write it down: add, then throw away from the front until it fits.
#[derive(Default)]
struct Plain {
    items: Vec<(usize, usize)>,
    drops: LaneDrops,
    rung: bool,
    rings: usize,
}

impl Plain {
    fn push(&mut self, packets: usize, bytes: usize) {
        if packets > CAPACITY.packets || bytes > CAPACITY.bytes {
            self.count((packets, bytes));
        } else {
            self.items.push((packets, bytes));
        }
        while self.packets() > CAPACITY.packets || self.bytes() > CAPACITY.bytes {
            let oldest = self.items.remove(0);
            self.count(oldest);
        }
        if !self.rung {
            self.rung = true;
            self.rings += 1;
        }
    }

    fn drain_within(&mut self, packets: usize) -> Vec<(usize, usize)> {
        let fitting = (1..=self.items.len())
            .take_while(|count| {
                *count == 1
                    || self.items[..*count]
                        .iter()
                        .map(|item| item.0)
                        .sum::<usize>()
                        <= packets
            })
            .count();
        let taken = self.items.drain(..fitting).collect();
        self.rung = !self.items.is_empty();
        taken
    }

    fn count(&mut self, (packets, bytes): (usize, usize)) {
        self.drops.packets += packets as u64;
        self.drops.bytes += bytes as u64;
    }

    fn packets(&self) -> usize {
        self.items.iter().map(|item| item.0).sum()
    }

    fn bytes(&self) -> usize {
        self.items.iter().map(|item| item.1).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]
    #[test]
    fn a_lane_does_what_a_list_that_is_cut_from_the_front_does(steps in steps()) {
        let (sender, mut receiver, rings) = counted();
        let mut plain = Plain::default();
        for step in steps {
            match step {
                Step::Push(packets, bytes) => {
                    sender.push(Item(packets, bytes));
                    plain.push(packets, bytes);
                }
                Step::Drain => {
                    let mut out = VecDeque::new();
                    receiver.drain_into(&mut out);
                    let out: Vec<_> = out.into_iter().map(|item| (item.0, item.1)).collect();
                    prop_assert_eq!(out, plain.drain_within(usize::MAX));
                }
                Step::DrainWithin(packets) => {
                    let mut out = VecDeque::new();
                    let left = receiver.drain_within(packets, &mut out);
                    let out: Vec<_> = out.into_iter().map(|item| (item.0, item.1)).collect();
                    prop_assert_eq!(out, plain.drain_within(packets));
                    prop_assert_eq!(left, !plain.items.is_empty());
                }
                Step::TakeDrops => {
                    prop_assert_eq!(receiver.take_drops(), mem::take(&mut plain.drops));
                }
            }
            prop_assert_eq!(rings.load(Ordering::Relaxed), plain.rings);
        }
    }
}

const CAPACITY: LaneCapacity = LaneCapacity {
    packets: 4,
    bytes: 100,
};
