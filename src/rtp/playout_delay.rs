//! How long receivers of pictures wait before they show them.

use std::time::{Duration, Instant};

/// Between which bounds a receiver keeps the time from a picture's arrival to its display: the value of the header extension
/// [`HeaderExtension::PlayoutDelay`](super::HeaderExtension::PlayoutDelay). Steps are 10 ms, from 0 to [`PlayoutDelay::LONGEST`].
///
/// Both bounds zero mean: show it at once, and never mind smoothness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// At least so long.
    pub min: Duration,
    /// At most so long.
    pub max: Duration,
}

impl PlayoutDelay {
    /// The longest that can be said: 40.95 seconds.
    pub const LONGEST: Duration = Duration::from_millis(STEP_MS as u64 * MAX_STEPS as u64);

    /// As though nothing had been said.
    pub const ANY: Self = Self {
        min: Duration::ZERO,
        max: Self::LONGEST,
    };

    /// Reads the extension's value; `None` when it has another length than three bytes, or its bounds are the wrong way round.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let [high, middle, low] = *value else {
            return None;
        };
        let [min, max] = [
            u16::from(high) << 4 | u16::from(middle) >> 4,
            u16::from(middle & 0x0f) << 8 | u16::from(low),
        ];
        let of_steps = |steps| Duration::from_millis(u64::from(steps) * u64::from(STEP_MS));
        (min <= max).then(|| Self {
            min: of_steps(min),
            max: of_steps(max),
        })
    }

    /// The extension's value. What lies between two steps is rounded down, what is too long becomes [`PlayoutDelay::LONGEST`].
    pub fn to_bytes(self) -> [u8; 3] {
        let [min, max] = [self.min, self.max].map(|bound| {
            let steps = bound.as_millis() / u128::from(STEP_MS);
            steps.min(u128::from(MAX_STEPS)) as u16
        });
        let [[min_high, min_low], [max_high, max_low]] = [min, max].map(u16::to_be_bytes);
        [
            min_high << 4 | min_low >> 4,
            min_low << 4 | max_high,
            max_low,
        ]
    }
}

/// How late the packets of a stream come that were lost at first, and how long its receiver should wait for them.
///
/// A receiver that adapts by itself shows a picture as soon as nearly all came in time; where repairs get lost as well, it stands still
/// several times a minute for those that needed a third attempt. So it is asked to wait as long as all but the two latest packets of the last
/// seconds took, less what it bears anyway, while that is worth saying.
#[derive(Debug, Default)]
pub(super) struct Lateness {
    /// The latest packets of this while, the latest first; and of the while before.
    latest: [Duration; SPARED + 1],
    before: [Duration; SPARED + 1],
    since: Option<Instant>,
    asked: Asked,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Nothing,
    /// To wait at least so long.
    ToWait(Duration),
    /// Not to wait any longer.
    ToGoOn,
}

impl Lateness {
    /// A packet goes so much later than it should have.
    pub(super) fn note(&mut self, late: Duration, now: Instant) {
        self.turn(now);
        let rank = self.latest.partition_point(|it| *it >= late);
        if let Some(after @ [_, ..]) = self.latest.get_mut(rank..) {
            after.rotate_right(1);
            after[0] = late;
        }
        self.ask();
    }

    /// Time has passed. What is [asked](Self::asks) changes only here and with [`note`](Self::note).
    pub(super) fn turn(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed < WHILE {
            return;
        }
        self.since = Some(now);
        let ended = std::mem::take(&mut self.latest);
        self.before = if passed < 2 * WHILE {
            ended
        } else {
            Default::default()
        };
        if self.asked == Asked::ToGoOn {
            self.asked = Asked::Nothing;
        }
        self.ask();
    }

    /// What packets should say of it now.
    pub(super) fn asks(&self) -> Option<PlayoutDelay> {
        match self.asked {
            Asked::Nothing => None,
            Asked::ToWait(min) => Some(PlayoutDelay {
                min,
                ..PlayoutDelay::ANY
            }),
            Asked::ToGoOn => Some(PlayoutDelay::ANY),
        }
    }

    fn ask(&mut self) {
        let mut all = [self.latest, self.before].concat();
        all.sort_unstable_by(|a, b| b.cmp(a));
        let wanted = all[SPARED].saturating_sub(BEARABLE).min(LONGEST_WISH);
        self.asked = match self.asked {
            _ if wanted >= WORTH_SAYING => Asked::ToWait(wanted),
            Asked::ToWait(_) => Asked::ToGoOn,
            same @ (Asked::Nothing | Asked::ToGoOn) => same,
        };
    }
}

/// The unit of the extension.
const STEP_MS: u16 = 10;

/// Each bound has twelve bits.
const MAX_STEPS: u16 = 0xfff;

/// What was late is remembered for one to two of these.
const WHILE: Duration = Duration::from_secs(5);

/// So many packets in that time may come too late to be shown in time.
const SPARED: usize = 2;

/// So late a picture may be shown without standing still: receivers wait a little by themselves, and the next picture waits for this one.
const BEARABLE: Duration = Duration::from_millis(50);

/// Less than that needs no asking.
const WORTH_SAYING: Duration = Duration::from_millis(100);

/// People talk to each other: a picture that stands still now and then is better than more.
const LONGEST_WISH: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_value_is_two_numbers_of_twelve_bits() {
        let delay = PlayoutDelay {
            min: ms(120),
            max: ms(2560),
        };
        assert_eq!(delay.to_bytes(), [0x00, 0xc1, 0x00]);
        assert_eq!(PlayoutDelay::ANY.to_bytes(), [0x00, 0x0f, 0xff]);
        assert_eq!(PlayoutDelay::parse(&[0x00, 0xc0, 0x0b]), None, "min > max");
        assert_eq!(PlayoutDelay::parse(&[0x00, 0x0f]), None);
        let endless = PlayoutDelay {
            min: Duration::MAX,
            max: Duration::MAX,
        };
        assert_eq!(endless.to_bytes(), [0xff; 3]);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_the_same(value: [u8; 3]) {
            if let Some(delay) = PlayoutDelay::parse(&value) {
                prop_assert_eq!(delay.to_bytes(), value);
            }
        }
    }

    #[test]
    fn the_receiver_is_asked_to_wait_for_all_but_the_two_latest() {
        let now = Instant::now();
        let mut lateness = Lateness::default();
        for late in [90, 240, 85, 600] {
            lateness.note(ms(late), now);
        }
        assert_eq!(lateness.asks(), None, "the third is 90 ms late");
        lateness.note(ms(180), now);
        assert_eq!(lateness.asks().unwrap().min, ms(130));
        lateness.note(ms(2000), now);
        assert_eq!(lateness.asks().unwrap().min, ms(190));
        lateness.note(ms(2000), now);
        lateness.note(ms(2000), now);
        assert_eq!(lateness.asks().unwrap().min, LONGEST_WISH);
    }

    #[test]
    fn when_the_path_is_better_again_it_is_told_to_go_on_and_then_nothing() {
        let start = Instant::now();
        let mut lateness = Lateness::default();
        for _ in 0..3 {
            lateness.note(ms(200), start);
        }
        lateness.turn(start + WHILE);
        assert_eq!(lateness.asks().unwrap().min, ms(150), "remembered");
        lateness.note(ms(300), start + WHILE);
        lateness.turn(start + 2 * WHILE);
        assert_eq!(lateness.asks(), Some(PlayoutDelay::ANY));
        lateness.turn(start + 2 * WHILE + ms(1));
        assert_eq!(lateness.asks(), Some(PlayoutDelay::ANY));
        lateness.turn(start + 3 * WHILE);
        assert_eq!(lateness.asks(), None);
    }

    #[test]
    fn what_was_long_ago_counts_no_more_whenever_that_is_looked_at() {
        let start = Instant::now();
        let mut lateness = Lateness::default();
        for _ in 0..3 {
            lateness.note(ms(200), start);
        }
        lateness.note(ms(200), start + 2 * WHILE);
        assert_eq!(lateness.asks(), Some(PlayoutDelay::ANY));
    }
}
