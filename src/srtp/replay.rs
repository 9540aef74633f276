//! Which packets of a stream have been seen (RFC 3711 §3.3.2).

use super::error::SrtpError;

/// A sliding window over packet indices: the newest one, and one bit for each of the `64 * WORDS`
/// indices that end with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReplayWindow<const WORDS: usize> {
    newest: u64,
    /// Bit `index % width` belongs to `index`.
    seen: [u64; WORDS],
}

/// The window of an RTP stream: 1024 packets, where RFC 3711 §3.3.2 asks for 64 at least.
///
/// A packet that was lost and is sent again without RTX arrives a round trip or more late, when
/// the stream has moved on: at 10 Mbit/s by some hundred packets within half a second. 1024
/// covers that with 128 bytes a stream.
pub(super) type RtpWindow = ReplayWindow<16>;

/// The window of an SRTCP sender: 128 packets. Some tens are sent a second, and none twice.
pub(super) type RtcpWindow = ReplayWindow<2>;

/// Why an index is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Repeated,
    TooOld,
}

impl Refusal {
    /// The error that says so.
    pub(super) const fn of(self, ssrc: u32, index: u64) -> SrtpError {
        match self {
            Self::Repeated => SrtpError::Repeated { ssrc, index },
            Self::TooOld => SrtpError::TooOld { ssrc, index },
        }
    }
}

impl<const WORDS: usize> ReplayWindow<WORDS> {
    /// How many indices it covers.
    pub(super) const WIDTH: u64 = 64 * WORDS as u64;

    /// A window that has seen this index and no other.
    pub(super) const fn starting_at(index: u64) -> Self {
        let mut window = Self {
            newest: index,
            seen: [0; WORDS],
        };
        window.mark(index);
        window
    }

    /// The highest index that was accepted.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether this index may still come. Changes nothing.
    pub(super) const fn check(&self, index: u64) -> Result<(), Refusal> {
        if index > self.newest {
            Ok(())
        } else if self.newest - index >= Self::WIDTH {
            Err(Refusal::TooOld)
        } else if self.seen[Self::word(index)] & Self::bit(index) != 0 {
            Err(Refusal::Repeated)
        } else {
            Ok(())
        }
    }

    /// Takes note of an index that passed [`check`](Self::check) and whose tag was verified.
    pub(super) fn accept(&mut self, index: u64) {
        if index > self.newest {
            if index - self.newest >= Self::WIDTH {
                self.seen = [0; WORDS];
            } else {
                for skipped in self.newest + 1..index {
                    self.seen[Self::word(skipped)] &= !Self::bit(skipped);
                }
            }
            self.newest = index;
        }
        self.mark(index);
    }

    const fn mark(&mut self, index: u64) {
        self.seen[Self::word(index)] |= Self::bit(index);
    }

    const fn word(index: u64) -> usize {
        (index % Self::WIDTH / 64) as usize
    }

    const fn bit(index: u64) -> u64 {
        1 << (index % 64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_index_is_accepted_once() {
        let mut window = RtpWindow::starting_at(5);
        assert_eq!(window.check(5), Err(Refusal::Repeated));
        assert_eq!(window.check(4), Ok(()));
        window.accept(4);
        assert_eq!(window.check(4), Err(Refusal::Repeated));
        assert_eq!(window.newest(), 5);
    }

    #[test]
    fn the_window_ends_exactly_at_its_width() {
        let mut window = RtpWindow::starting_at(0);
        window.accept(5000);
        assert_eq!(window.check(5000 - 1023), Ok(()));
        assert_eq!(window.check(5000 - 1024), Err(Refusal::TooOld));
    }

    #[test]
    fn a_gap_leaves_the_skipped_open_and_the_seen_closed() {
        let mut window = RtpWindow::starting_at(100);
        window.accept(100 + 1023);
        assert_eq!(window.check(100), Err(Refusal::Repeated));
        for index in 101..100 + 1023 {
            assert_eq!(window.check(index), Ok(()), "{index}");
        }
        window.accept(100 + 1024);
        assert_eq!(window.check(100), Err(Refusal::TooOld));
        assert_eq!(window.check(101), Ok(()));
    }

    proptest! {
        #[test]
        fn the_window_agrees_with_a_plain_set(
            start in 0_u64..1 << 40,
            steps in prop::collection::vec(-300_i64..400, 1..300),
        ) {
            let mut window = RtcpWindow::starting_at(start);
            let mut set = BTreeSet::from([start]);
            for step in steps {
                let newest = *set.last().expect("never empty");
                let index = newest.saturating_add_signed(step);
                let expected = if index + RtcpWindow::WIDTH <= newest {
                    Err(Refusal::TooOld)
                } else if set.contains(&index) {
                    Err(Refusal::Repeated)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(index), expected);
                if expected.is_ok() {
                    window.accept(index);
                    set.insert(index);
                }
            }
        }
    }
}
