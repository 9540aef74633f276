use proptest::prelude::*;

use super::*;

const RTT: Duration = Duration::from_millis(60);

const NOTHING: [u16; 0] = [];

struct Stream {
    missing: MissingPackets,
    start: Instant,
}

impl Stream {
    /// One that has begun with the packets of these numbers.
    fn of(numbers: &[u16]) -> Self {
        let mut stream = Self {
            missing: MissingPackets::default(),
            start: Instant::now(),
        };
        for number in numbers {
            stream.arrive(*number, 0);
        }
        stream
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn arrive(&mut self, number: u16, millis: u64) -> Arrived {
        let now = self.at(millis);
        self.missing.arrive(SequenceNumber(number), RTT, now)
    }

    fn repair(&mut self, number: u16, millis: u64) -> Arrived {
        let now = self.at(millis);
        self.missing.repair(SequenceNumber(number), RTT, now)
    }

    fn expect_next(&mut self, number: u16, millis: u64) {
        let now = self.at(millis);
        self.missing.expect_next(SequenceNumber(number), now);
    }

    fn ask(&mut self, millis: u64) -> Vec<u16> {
        self.ask_within(1000, millis)
    }

    fn ask_within(&mut self, room: usize, millis: u64) -> Vec<u16> {
        let mut lost = Vec::new();
        self.missing.ask(self.at(millis), RTT, room, &mut lost);
        lost.into_iter().map(|number| number.0).collect()
    }

    fn due_in(&self) -> Option<u64> {
        let due = self.missing.due_at()?;
        Some(due.saturating_duration_since(self.start).as_millis() as u64)
    }
}

fn asked_after(round_trip: u64) -> Arrived {
    Arrived::Late(Late {
        asked: true,
        round_trip: Some(Duration::from_millis(round_trip)),
    })
}

const OVERTAKEN: Arrived = Arrived::Late(Late {
    asked: false,
    round_trip: None,
});

#[test]
fn without_loss_nothing_is_due() {
    let mut stream = Stream::of(&[65_534, 65_535, 0, 1]);
    assert_eq!(stream.due_in(), None);
    assert_eq!(stream.ask(10_000), NOTHING);
}

#[test]
fn c109_a_gap_is_asked_for_once_a_round_trip_until_it_is_closed() {
    let mut stream = Stream::of(&[1, 2, 5]);
    assert_eq!(stream.due_in(), Some(5));
    assert_eq!(stream.ask(4), NOTHING);
    assert_eq!(stream.ask(5), [3, 4]);
    // A round trip and an eighth later.
    assert_eq!(stream.due_in(), Some(72));
    assert_eq!(stream.ask(72), NOTHING);
    assert_eq!(stream.repair(3, 72), asked_after(67));
    assert_eq!(stream.ask(73), [4]);
    assert_eq!(stream.repair(4, 150), asked_by_which());
    assert_eq!(stream.due_in(), None);
    assert_eq!(stream.ask(10_000), NOTHING);
}

/// It was asked for twice, and the answer may be to either.
fn asked_by_which() -> Arrived {
    Arrived::Late(Late {
        asked: true,
        round_trip: None,
    })
}

#[test]
fn c064_the_wrap_is_no_gap_and_a_gap_goes_across_the_wrap() {
    let mut stream = Stream::of(&[65_533]);
    stream.arrive(1, 0);
    assert_eq!(stream.ask(5), [65_534, 65_535, 0]);
    assert_eq!(stream.repair(65_535, 70), asked_after(65));
    assert_eq!(stream.ask(73), [65_534, 0]);
}

#[test]
fn c064_packets_out_of_order_are_not_asked_for() {
    let mut stream = Stream::of(&[1, 3]);
    assert_eq!(stream.arrive(2, 4), OVERTAKEN);
    assert_eq!(stream.ask(5), NOTHING);
    assert_eq!(stream.arrive(2, 5), Arrived::Again);
}

// On a path that reorders by more than the least patience every packet that was overtaken was asked
// for, and came twice.
#[test]
fn patience_grows_to_what_the_path_needs_and_shrinks_again() {
    let mut stream = Stream::of(&[1, 3]);
    assert_eq!(stream.ask(5), [2]);
    // Long before an answer can be there.
    assert_eq!(stream.arrive(2, 20), asked_by_which());
    stream.arrive(5, 100);
    assert_eq!(stream.due_in(), Some(120));
    assert_eq!(stream.arrive(4, 119), OVERTAKEN);
    for step in 0..200 {
        let at = 1000 + 100 * u64::from(step);
        stream.arrive(7 + 2 * step, at);
        stream.ask(at + 30);
        stream.repair(6 + 2 * step, at + 95);
    }
    stream.arrive(407, 30_000);
    assert_eq!(stream.due_in(), Some(30_005));
}

#[test]
fn c109_a_jump_is_not_asked_for() {
    for jump in [MAX_GAP as u16 + 2, 30_000, 32_767] {
        let mut stream = Stream::of(&[1, 3]);
        assert_eq!(stream.arrive(3 + jump, 1), Arrived::Jumped);
        assert_eq!(stream.missing.len(), 0, "nothing from before it either");
        assert_eq!(stream.ask(1000), NOTHING);
        assert_eq!(stream.arrive(4 + jump, 2), Arrived::Ahead);
    }
    let mut stream = Stream::of(&[1]);
    assert_eq!(stream.arrive(2 + MAX_GAP as u16, 1), Arrived::Ahead);
    assert_eq!(stream.ask(10).len(), MAX_GAP as usize);
}

#[test]
fn going_back_far_is_believed_when_the_next_packet_confirms_it() {
    let mut stream = Stream::of(&[30_000]);
    assert_eq!(stream.arrive(5, 0), Arrived::Again);
    assert_eq!(stream.arrive(30_001, 0), Arrived::Ahead);
    assert_eq!(stream.arrive(6, 0), Arrived::Again);
    assert_eq!(stream.arrive(7, 0), Arrived::Jumped);
    assert_eq!(stream.arrive(8, 0), Arrived::Ahead);
    assert_eq!(stream.ask(1000), NOTHING);
}

#[test]
fn c109_what_is_missing_is_bounded_and_the_oldest_goes() {
    let mut stream = Stream::of(&[0]);
    for step in 1..=4_u16 {
        stream.arrive(step * 200, 0);
    }
    assert_eq!(stream.missing.len(), MAX_MISSING);
    let asked = stream.ask(5);
    assert_eq!(asked.len(), MAX_MISSING);
    assert_eq!(asked.last(), Some(&799));
    // And none of them is further behind than anybody remembers.
    for number in 801..2000 {
        stream.arrive(number, 10);
    }
    stream.arrive(2001, 10);
    assert_eq!(stream.missing.len(), 1);
}

#[test]
fn c109_requests_are_limited_in_number_and_time() {
    let mut stream = Stream::of(&[1, 3]);
    let mut asked = 0;
    for millis in 0..10_000 {
        asked += stream.ask(millis).len();
    }
    // All but the first of them twice.
    assert_eq!(asked, 2 * usize::from(MAX_REQUESTS) - 1);
    assert_eq!(stream.due_in(), None);

    let mut stream = Stream::of(&[1, 3]);
    assert_eq!(stream.ask(1001), NOTHING);
    assert_eq!(stream.missing.take_given_up(), 1);
    assert_eq!(stream.missing.take_given_up(), 0);
    // It is of use to whoever still waits.
    assert_eq!(stream.arrive(2, 1100), asked_by_which());
}

#[test]
fn what_finds_no_room_is_asked_for_later() {
    let mut stream = Stream::of(&[1, 5]);
    assert_eq!(stream.ask_within(2, 5), [2, 3]);
    assert_eq!(stream.due_in(), Some(25));
    assert_eq!(stream.ask_within(2, 25), [4]);
}

#[test]
fn rtx_for_nothing_changes_nothing() {
    let mut stream = Stream::of(&[]);
    assert_eq!(stream.repair(7, 0), Arrived::Again);
    let mut stream = Stream::of(&[1000, 1001, 1003]);
    for number in [1001, 1003, 999, 20_000, 1003 + 258, 60_000] {
        let expected = if number == 999 {
            Arrived::Ahead
        } else {
            Arrived::Again
        };
        assert_eq!(stream.repair(number, 0), expected, "{number}");
    }
    assert_eq!(stream.missing.len(), 1);
    // A tail that nobody misses yet.
    assert_eq!(stream.repair(1004, 0), Arrived::Ahead);
    assert_eq!(stream.arrive(1004, 0), Arrived::Again);
}

// With a first guess far below the truth each packet was asked for several times, no answer was clear, and
// the guess stayed.
#[test]
fn an_answer_that_is_there_too_soon_is_one_to_a_request_before() {
    let mut stream = Stream::of(&[1, 3]);
    for millis in 0..100 {
        stream.ask(millis);
    }
    // Requests at 5 and 73 ms.
    assert_eq!(stream.repair(2, 99), asked_after(94));
}

// Where several answers had been lost the last was taken for one to the first request: round trips seemed long, and the next
// packet waited for its second request.
#[test]
fn an_answer_after_several_requests_tells_no_more_than_the_time_between_them() {
    let mut stream = Stream::of(&[1, 3]);
    for millis in 0..495 {
        stream.ask(millis);
    }
    // Requests at 5, 73, 141, … and 481 ms.
    assert_eq!(stream.repair(2, 495), asked_after(70));
}

#[test]
fn c109_where_a_repair_had_to_be_tried_again_each_request_goes_twice() {
    let mut stream = Stream::of(&[1, 3]);
    assert_eq!(stream.ask(5), [2]);
    assert_eq!(stream.ask(16), NOTHING);
    assert_eq!(stream.ask(73), [2]);
    assert_eq!(stream.ask(82), NOTHING);
    assert_eq!(stream.ask(83), [2]);
    assert_eq!(stream.due_in(), Some(140));
    assert_eq!(stream.repair(2, 95), asked_after(90));
    // And at once.
    stream.arrive(5, 200);
    assert_eq!(stream.due_in(), Some(200));
    assert_eq!(stream.ask(200), [4]);
    assert_eq!(stream.ask(210), [4]);
    assert_eq!(stream.repair(4, 261), asked_after(61));
    assert_eq!(stream.due_in(), None);
}

/// One in which a request had to be repeated, up to number 3.
fn insisting() -> Stream {
    let mut stream = Stream::of(&[1, 3]);
    for millis in 0..90 {
        stream.ask(millis);
    }
    stream.repair(2, 90);
    stream
}

#[test]
fn c109_what_must_follow_in_a_picture_is_asked_for_before_it_is_missed() {
    let mut stream = insisting();
    stream.arrive(4, 100);
    stream.expect_next(4, 100);
    assert_eq!(stream.due_in(), Some(115));
    assert_eq!(stream.ask(114), NOTHING);
    assert_eq!(stream.ask(115), [5]);
    assert_eq!(stream.due_in(), None, "once");
    // The next picture shows that it is missing: the request counts.
    stream.arrive(6, 150);
    assert_eq!(stream.ask(150), [5]);
    assert_eq!(stream.due_in(), Some(182));
    assert_eq!(stream.repair(5, 176), asked_after(61));
}

#[test]
fn what_must_follow_and_comes_is_not_asked_for_and_one_that_is_slow_teaches_patience() {
    let mut stream = insisting();
    stream.arrive(4, 100);
    stream.expect_next(4, 100);
    stream.arrive(5, 110);
    assert_eq!(stream.ask(115), NOTHING);
    stream.expect_next(5, 110);
    assert_eq!(stream.ask(125), [6]);
    stream.arrive(6, 140);
    stream.expect_next(6, 140);
    assert_eq!(
        stream.due_in(),
        Some(170),
        "ten, and the twenty that it took"
    );
    // A repetition of one that nobody misses yet teaches nothing.
    assert_eq!(stream.ask(170), [7]);
    assert_eq!(stream.repair(7, 231), Arrived::Ahead);
    stream.expect_next(7, 231);
    assert!(stream.due_in() < Some(262));
}

#[test]
fn where_repairs_come_through_nothing_is_asked_for_in_advance() {
    let mut stream = Stream::of(&[1]);
    stream.expect_next(1, 0);
    assert_eq!(stream.due_in(), None);
    // Nor after one that is not the latest.
    let mut stream = insisting();
    stream.expect_next(2, 100);
    assert_eq!(stream.due_in(), None);
}

#[test]
fn a_packet_from_before_the_first_one_is_no_repetition() {
    let mut stream = Stream::of(&[10]);
    assert_eq!(stream.arrive(9, 0), Arrived::Ahead);
    assert_eq!(stream.arrive(9, 0), Arrived::Again);
}

proptest! {
    #[test]
    fn no_packets_upset_the_bounds(
        packets in prop::collection::vec((any::<u16>(), any::<bool>(), 0_u64..50), 1..300)
    ) {
        let mut stream = Stream::of(&[]);
        let mut millis = 0;
        for (number, repair, passed) in packets {
            millis += passed;
            if repair {
                stream.repair(number, millis);
            } else {
                stream.arrive(number, millis);
                stream.expect_next(number, millis);
            }
            prop_assert!(stream.missing.len() <= MAX_MISSING);
            prop_assert!(stream.ask(millis).len() <= MAX_MISSING);
            prop_assert!(stream.missing.due_at().is_none_or(|due| due > stream.at(millis)));
        }
    }

    /// Whatever is lost and in whatever order the rest comes, exactly that is asked for.
    #[test]
    fn exactly_what_is_lost_is_asked_for(
        first in any::<u16>(),
        lost in prop::collection::btree_set(1_u16..200, 0..100),
        swaps in prop::collection::vec(1_usize..199, 0..50),
    ) {
        let mut numbers: Vec<u16> = (0..=200).filter(|step| !lost.contains(step)).collect();
        for at in swaps {
            // Neither the first nor the last.
            if at + 2 < numbers.len() {
                numbers.swap(at, at + 1);
            }
        }
        let mut stream = Stream::of(&[]);
        for step in numbers {
            stream.arrive(first.wrapping_add(step), 0);
        }
        let expected: Vec<u16> = lost.iter().map(|step| first.wrapping_add(*step)).collect();
        prop_assert_eq!(stream.ask(5), expected);
    }
}
