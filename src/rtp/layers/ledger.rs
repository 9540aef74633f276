//! What was left out of a stream, so that what stays closes up.

use std::collections::VecDeque;

use super::limit::Layers;
use crate::rtp::types::{RtpTimestamp, SequenceNumber};

/// Remembers for the latest numbers of a source which of them were left out, and which layers went out when.
///
/// Bounded: of what is further back than `KEPT_NUMBERS`, or before the last `MAX_RUNS` that were left out, nobody knows
/// any more, and what comes so late has no place.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    newest: SequenceNumber,
    /// What was before it is forgotten.
    floor: SequenceNumber,
    /// The oldest first.
    runs: VecDeque<Run>,
    /// From which number on which layers have gone out, the oldest first; never empty.
    eras: VecDeque<(SequenceNumber, Layers)>,
    /// Of all runs there ever were.
    total: Shift,
    /// When the latest picture was that was left out.
    left_out: Option<RtpTimestamp>,
}

/// Neighbours that were left out.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: SequenceNumber,
    count: u16,
    size: Shift,
}

/// How many numbers of packets and of pictures are not used; both wrap around.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) packets: u16,
    pub(super) pictures: u16,
}

impl Ledger {
    /// A source begins with this number, and with these layers of it.
    pub(super) fn new(first: SequenceNumber, layers: Layers) -> Self {
        Self {
            newest: first,
            floor: first,
            runs: VecDeque::new(),
            eras: VecDeque::from([(first, layers)]),
            total: Shift::default(),
            left_out: None,
        }
    }

    pub(super) fn newest(&self) -> SequenceNumber {
        self.newest
    }

    /// The layers that go out now.
    pub(super) fn layers(&self) -> Layers {
        self.eras.back().expect("never empty").1
    }

    /// How far back what comes now moves.
    pub(super) fn shift(&self) -> Shift {
        self.total
    }

    /// A packet that is newer than all before has come.
    pub(super) fn advance(&mut self, newest: SequenceNumber) {
        self.newest = newest;
        if newest.distance_from(self.floor) > KEPT_NUMBERS {
            self.raise_floor(SequenceNumber(
                newest.0.wrapping_sub(KEPT_NUMBERS.unsigned_abs()),
            ));
        }
    }

    /// From this number on, the newest, other layers go out.
    pub(super) fn change_layers(&mut self, since: SequenceNumber, layers: Layers) {
        if self.layers() == layers {
            return;
        }
        self.eras.push_back((since, layers));
        if self.eras.len() > MAX_ERAS {
            let floor = self.eras[1].0;
            self.raise_floor(floor);
        }
    }

    /// The newest packet is left out; it is of the picture of this time.
    pub(super) fn leave_out(&mut self, timestamp: RtpTimestamp) {
        let begins_picture = self.left_out.replace(timestamp) != Some(timestamp);
        let one = Shift {
            packets: 1,
            pictures: u16::from(begins_picture),
        };
        self.total = self.total.plus(one);
        if let Some(run) = self.runs.back_mut()
            && run.first.plus(run.count) == self.newest
        {
            run.count += 1;
            run.size = run.size.plus(one);
            return;
        }
        self.runs.push_back(Run {
            first: self.newest,
            count: 1,
            size: one,
        });
        if self.runs.len() > MAX_RUNS {
            let floor = self.runs[1].first;
            self.raise_floor(floor);
        }
    }

    /// The layers that went out when the packet of this number, which comes late, should have come, and how far back it
    /// moves. `None` when it was left out before, or nobody knows.
    pub(super) fn at(&self, sequence: SequenceNumber) -> Option<(Layers, Shift)> {
        if sequence.distance_from(self.floor).is_negative() {
            return None;
        }
        let mut shift = self.total;
        for run in self.runs.iter().rev() {
            let behind = sequence.distance_from(run.first);
            if behind.is_negative() {
                shift = shift.minus(run.size);
                continue;
            }
            if behind.unsigned_abs() < run.count {
                return None;
            }
            break;
        }
        let is_past = |era: &&(SequenceNumber, Layers)| sequence.distance_from(era.0) >= 0;
        let (_, layers) = self.eras.iter().rev().find(is_past)?;
        Some((*layers, shift))
    }

    /// Forgets what was before. Nothing that is kept is so far back that its number could be taken for one to come.
    fn raise_floor(&mut self, floor: SequenceNumber) {
        self.floor = floor;
        let is_over = |run: &Run| floor.distance_from(run.first.plus(run.count)) >= 0;
        while self.runs.front().is_some_and(is_over) {
            self.runs.pop_front();
        }
        while let Some((since, _)) = self.eras.get(1)
            && floor.distance_from(*since) >= 0
        {
            self.eras.pop_front();
        }
        let first = self.eras.front_mut().expect("never empty");
        if floor.distance_from(first.0).is_positive() {
            first.0 = floor;
        }
    }
}

impl Shift {
    fn plus(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            pictures: self.pictures.wrapping_add(other.pictures),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            packets: self.packets.wrapping_sub(other.packets),
            pictures: self.pictures.wrapping_sub(other.pictures),
        }
    }
}

/// Seconds of a stream of 16 Mbit/s, and a quarter of what the numbers can tell apart.
const KEPT_NUMBERS: i16 = 8192;

/// Two seconds of a stream of 60 pictures each of which is cut.
const MAX_RUNS: usize = 128;

const MAX_ERAS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shift(packets: u16, pictures: u16) -> Shift {
        Shift { packets, pictures }
    }

    fn layers(temporal: u8) -> Layers {
        Layers {
            spatial: 0,
            temporal,
        }
    }

    /// A ledger in which packets 12 and 13 of one picture and 15 of another were left out.
    fn example() -> Ledger {
        let mut ledger = Ledger::new(SequenceNumber(10), layers(0));
        for (number, left_out) in [
            (11, None),
            (12, Some(1)),
            (13, Some(1)),
            (14, None),
            (15, Some(2)),
            (16, None),
        ] {
            ledger.advance(SequenceNumber(number));
            if let Some(timestamp) = left_out {
                ledger.leave_out(RtpTimestamp(timestamp));
            }
        }
        ledger
    }

    #[test]
    fn what_is_behind_a_gap_closes_up() {
        let ledger = example();
        assert_eq!(ledger.shift(), shift(3, 2));
        let at = |number| ledger.at(SequenceNumber(number)).map(|(_, shift)| shift);
        assert_eq!(at(11), Some(shift(0, 0)));
        assert_eq!(at(14), Some(shift(2, 1)));
        assert_eq!(at(16), Some(shift(3, 2)));
    }

    #[test]
    fn what_was_left_out_stays_so_and_what_was_before_has_no_place() {
        let ledger = example();
        for number in [9, 12, 13, 15] {
            assert_eq!(ledger.at(SequenceNumber(number)), None, "{number}");
        }
    }

    #[test]
    fn who_comes_late_finds_the_layers_of_its_time() {
        let mut ledger = Ledger::new(SequenceNumber(10), layers(2));
        ledger.advance(SequenceNumber(20));
        ledger.change_layers(SequenceNumber(20), layers(0));
        ledger.advance(SequenceNumber(30));
        ledger.change_layers(SequenceNumber(30), layers(1));
        let at = |number| ledger.at(SequenceNumber(number)).map(|(layers, _)| layers);
        assert_eq!(at(19), Some(layers(2)));
        assert_eq!(at(20), Some(layers(0)));
        assert_eq!(at(29), Some(layers(0)));
        assert_eq!(at(31), Some(layers(1)));
    }

    #[test]
    fn a_long_stream_does_not_make_it_grow_nor_wrap_into_its_past() {
        let mut ledger = Ledger::new(SequenceNumber(65_000), layers(0));
        for step in 1..300_000_u32 {
            let number = SequenceNumber(65_000).plus(step as u16);
            ledger.advance(number);
            if step.is_multiple_of(2) {
                ledger.leave_out(RtpTimestamp(step));
            }
            if step.is_multiple_of(1000) {
                ledger.change_layers(number, layers((step / 1000 % 2) as u8));
            }
            assert!(ledger.runs.len() <= MAX_RUNS && ledger.eras.len() <= MAX_ERAS);
            let back = |steps: u16| SequenceNumber(number.0.wrapping_sub(steps));
            let before = ledger.at(back(1));
            assert_eq!(before.is_none(), !step.is_multiple_of(2) && step > 2);
            assert_eq!(ledger.at(back(20_000)), None);
        }
        // Nothing is left out any more, for a long time.
        for step in 0..100_000_u32 {
            let number = ledger.newest().plus(1);
            ledger.advance(number);
            let before = SequenceNumber(number.0.wrapping_sub(1));
            assert_eq!(
                ledger.at(before).map(|it| it.1),
                Some(ledger.shift()),
                "{step}"
            );
        }
        assert!(ledger.runs.is_empty());
    }

    proptest! {
        /// As reckoned by who remembers everything.
        #[test]
        fn the_shift_is_what_was_left_out_before(
            first: u16,
            steps in prop::collection::vec((1_u16..4, any::<bool>(), 0_u32..3), 1..100),
        ) {
            let mut ledger = Ledger::new(SequenceNumber(first), layers(0));
            let mut left_out = Vec::new();
            let mut number = first;
            let (mut timestamp, mut pictures) = (0, 0);
            for (step, leaves_out, passed) in steps {
                number = number.wrapping_add(step);
                timestamp += passed;
                ledger.advance(SequenceNumber(number));
                if leaves_out {
                    ledger.leave_out(RtpTimestamp(timestamp));
                    let news = left_out.last().is_none_or(|(_, before)| *before != timestamp);
                    pictures += u16::from(news);
                    left_out.push((number, timestamp));
                }
            }
            prop_assert_eq!(ledger.shift(), shift(left_out.len() as u16, pictures));
            for back in 0..=number.wrapping_sub(first) {
                let sequence = number.wrapping_sub(back);
                let before = left_out.iter().filter(|it| it.0.wrapping_sub(first) < sequence.wrapping_sub(first));
                let was_left_out = left_out.iter().any(|it| it.0 == sequence);
                let expected = (!was_left_out).then_some(before.count() as u16);
                let told = ledger.at(SequenceNumber(sequence)).map(|it| it.1.packets);
                prop_assert_eq!(told, expected);
            }
        }
    }
}
