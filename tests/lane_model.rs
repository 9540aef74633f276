//! Lanes under every interleaving of their users: the source of the crate on the locks of a model
//! checker.
//!
//! The reader is an actor in small: it waits for its mailbox, takes one message, drains, and waits
//! again. Nothing else makes it look into the lane, so what it has not seen when all is quiet was lost.
#![allow(clippy::unwrap_used)]

#[path = "../src/lane/queue.rs"]
mod queue;

/// Where the queue takes its locks from.
mod sync {
    pub(crate) use loom::sync::{Arc, Mutex, MutexGuard};
}

use std::collections::VecDeque;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use self::queue::{LaneCapacity, LaneDepth, LaneDrops, LaneReceiver, LaneSender, Weigh, lane};

/// What a sender pushes: whose it is and which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item {
    sender: usize,
    number: usize,
    packets: usize,
    bytes: usize,
}

impl Weigh for Item {
    fn packets(&self) -> usize {
        self.packets
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The reading actor's mailbox, with room for nothing but rings of the bell.
#[derive(Default)]
struct Mailbox {
    state: Mutex<MailboxState>,
    changed: Condvar,
}

#[derive(Default)]
struct MailboxState {
    rings: usize,
    senders_done: usize,
}

impl Mailbox {
    fn ring(&self) {
        let mut state = self.state.lock().unwrap();
        state.rings += 1;
        assert_eq!(
            state.rings, 1,
            "the bell was rung twice before it was heard"
        );
        self.changed.notify_one();
    }

    fn sender_done(&self) {
        self.state.lock().unwrap().senders_done += 1;
        self.changed.notify_one();
    }

    /// Waits for a ring and takes it. False once no more can come.
    fn heard(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        while state.rings == 0 && state.senders_done < SENDERS {
            state = self.changed.wait(state).unwrap();
        }
        let rung = state.rings > 0;
        state.rings = 0;
        rung
    }
}

/// How the reader takes what is there.
#[derive(Clone, Copy)]
enum Habit {
    All,
    /// This many packets a turn, then back into the mailbox.
    Turns(usize),
}

/// Two senders push `items` each while a reader of this habit drains; returns what it got and
/// how many packets were dropped.
fn run(
    capacity: LaneCapacity,
    habit: Habit,
    items: &[&[(usize, usize)]; SENDERS],
) -> (Vec<Item>, u64) {
    let mailbox = Arc::new(Mailbox::default());
    let bell = Arc::clone(&mailbox);
    let (sender, mut receiver) = lane(capacity, move || bell.ring());
    let senders: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(name, items)| {
            let (items, lane) = (numbered(name, items), sender.clone());
            let mailbox = Arc::clone(&mailbox);
            thread::spawn(move || {
                push_all(&lane, &items);
                mailbox.sender_done();
            })
        })
        .collect();
    let read = read(&mut receiver, &mailbox, habit, sender.capacity());
    for sender in senders {
        sender.join().unwrap();
    }
    assert_nothing_was_left(&mut receiver);
    let depth: LaneDepth = sender.depth();
    assert_eq!((depth.packets, depth.bytes), (0, 0));
    assert!(receiver.depth().most_packets <= depth.packet_limit);
    read
}

fn numbered(sender: usize, items: &[(usize, usize)]) -> Vec<Item> {
    items
        .iter()
        .enumerate()
        .map(|(number, &(packets, bytes))| Item {
            sender,
            number,
            packets,
            bytes,
        })
        .collect()
}

fn push_all(lane: &LaneSender<Item>, items: &[Item]) {
    for item in items {
        lane.push(*item);
    }
}

/// Reads when rung and only then, until the senders have gone.
fn read(
    receiver: &mut LaneReceiver<Item>,
    mailbox: &Mailbox,
    habit: Habit,
    capacity: LaneCapacity,
) -> (Vec<Item>, u64) {
    let (mut all, mut dropped) = (Vec::new(), 0);
    while mailbox.heard() {
        let mut out = VecDeque::new();
        match habit {
            Habit::All => receiver.drain_into(&mut out),
            Habit::Turns(packets) => {
                if receiver.drain_within(packets, &mut out) {
                    // Comes back by itself; were the bell armed, somebody might ring beside it.
                    mailbox.ring();
                }
            }
        }
        // A drop between these two lines is taken with the news of it still to come.
        dropped += receiver.take_drops().packets;
        assert!(
            dropped > 0 || !out.is_empty(),
            "the bell was rung for nothing"
        );
        assert!(out.iter().map(|item| item.packets).sum::<usize>() <= capacity.packets);
        assert!(out.iter().map(|item| item.bytes).sum::<usize>() <= capacity.bytes);
        all.extend(out);
    }
    (all, dropped)
}

fn assert_nothing_was_left(receiver: &mut LaneReceiver<Item>) {
    let mut left = VecDeque::new();
    receiver.drain_into(&mut left);
    assert!(left.is_empty(), "{left:?} was pushed and nobody was told");
    let drops = receiver.take_drops();
    assert_eq!(drops, LaneDrops::default(), "dropped and nobody was told");
}

/// What holds whatever the interleaving.
fn check(capacity: LaneCapacity, habit: Habit, items: [&'static [(usize, usize)]; SENDERS]) {
    model(move || {
        let (read, dropped) = run(capacity, habit, &items);
        for sender in 0..SENDERS {
            let numbers: Vec<_> = read
                .iter()
                .filter(|item| item.sender == sender)
                .map(|item| item.number)
                .collect();
            assert!(numbers.is_sorted_by(|a, b| a < b), "out of order: {read:?}");
        }
        let read: usize = read.iter().map(|item| item.packets).sum();
        let pushed: usize = items
            .iter()
            .flat_map(|items| items.iter())
            .map(|item| item.0)
            .sum();
        assert_eq!(read as u64 + dropped, pushed as u64);
        if pushed <= capacity.packets {
            assert_eq!(dropped, 0);
        }
    });
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(check);
}

#[test]
fn who_reads_only_when_rung_reads_everything() {
    check(
        AMPLE,
        Habit::All,
        [&[(1, 10), (1, 10)], &[(1, 10), (1, 10)]],
    );
}

#[test]
fn who_takes_turns_reads_everything_too() {
    check(
        AMPLE,
        Habit::Turns(1),
        [&[(1, 10), (1, 10)], &[(1, 10), (1, 10)]],
    );
}

#[test]
fn a_lane_full_of_packets_keeps_its_bound_and_counts_what_it_drops() {
    let items: [&[(usize, usize)]; SENDERS] = [&[(1, 10), (1, 10)], &[(1, 10), (2, 10)]];
    check(SCANT, Habit::All, items);
}

#[test]
fn a_lane_full_of_bytes_keeps_its_bound_and_counts_what_it_drops() {
    let items: [&[(usize, usize)]; SENDERS] = [&[(1, 15), (1, 15)], &[(1, 5), (1, 25)]];
    check(SCANT, Habit::All, items);
}

#[test]
fn a_full_lane_loses_nobodys_news_while_turns_are_taken() {
    let items: [&[(usize, usize)]; SENDERS] = [&[(1, 15), (1, 15)], &[(1, 15), (2, 25)]];
    check(SCANT, Habit::Turns(1), items);
}

#[test]
fn what_is_too_large_for_the_lane_is_told_as_well() {
    let items: [&[(usize, usize)]; SENDERS] = [&[(3, 10), (1, 10)], &[(1, 10), (1, 40)]];
    check(SCANT, Habit::All, items);
}

#[test]
fn nothing_is_kept_for_a_reader_that_goes_meanwhile() {
    #[derive(Clone)]
    struct Held(#[expect(dead_code, reason = "only its life is looked at")] Arc<()>);
    impl Weigh for Held {
        fn packets(&self) -> usize {
            1
        }
        fn bytes(&self) -> usize {
            1
        }
    }
    model(|| {
        let life = Arc::new(());
        let (sender, receiver) = lane(AMPLE, || {});
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let (lane, held) = (sender.clone(), Held(Arc::clone(&life)));
                thread::spawn(move || {
                    lane.push(held.clone());
                    lane.push(held);
                })
            })
            .collect();
        drop(receiver);
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(Arc::strong_count(&life), 1);
        drop(sender);
    });
}

const SENDERS: usize = 2;

/// Room for all that is pushed.
const AMPLE: LaneCapacity = LaneCapacity {
    packets: 4,
    bytes: 100,
};

/// Room for half of it.
const SCANT: LaneCapacity = LaneCapacity {
    packets: 2,
    bytes: 30,
};

/// Times that a thread is interrupted where it need not be, in one run.
const PREEMPTIONS: usize = 3;
