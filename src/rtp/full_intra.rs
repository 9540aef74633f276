//! Command numbers of full intra requests: a repetition bears the number of what it repeats
//! (RFC 5104 §4.3.1.1).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::types::Ssrc;

/// The SSRC of who asks, and of whom.
type Pairing = (Ssrc, Ssrc);

/// The numbers that we have used, of the pairings used lately.
#[derive(Debug, Default)]
pub(crate) struct SentCommands {
    numbers: VecDeque<(Pairing, u8)>,
}

impl SentCommands {
    /// The number of a request; the one before it where it repeats that. Where a number was forgotten, or the source has another
    /// SSRC now, any number is a good beginning.
    pub(crate) fn number(&mut self, asker: Ssrc, source: Ssrc, repeats: bool) -> u8 {
        let pairing = (asker, source);
        let known = self.numbers.iter_mut().find(|(it, _)| *it == pairing);
        if let Some((_, number)) = known {
            *number = number.wrapping_add(u8::from(!repeats));
            return *number;
        }
        if self.numbers.len() == REMEMBERED {
            self.numbers.pop_front();
        }
        self.numbers.push_back((pairing, 0));
        0
    }
}

/// The requests of the remote side that were heard lately.
#[derive(Debug, Default)]
pub(crate) struct HeardCommands {
    heard: VecDeque<(Pairing, u8, Instant)>,
}

impl HeardCommands {
    /// Takes note of a request, and says whether it is one to be acted upon: its number is another than that of the one before
    /// it, or that one is so long ago that its keyframe must have been lost.
    pub(crate) fn is_due(&mut self, asker: Ssrc, source: Ssrc, number: u8, at: Instant) -> bool {
        let pairing = (asker, source);
        let known = self.heard.iter().position(|(it, ..)| *it == pairing);
        let before = known.and_then(|index| self.heard.remove(index));
        let repeated = before.filter(|(_, known, since)| {
            *known == number && at.saturating_duration_since(*since) < REPETITION
        });
        if self.heard.len() == REMEMBERED {
            self.heard.pop_front();
        }
        self.heard
            .push_back(repeated.unwrap_or((pairing, number, at)));
        repeated.is_none()
    }
}

/// More pairings than a session has streams that are asked at a time; whoever comes beyond them is not to fill memory.
const REMEMBERED: usize = 64;

/// How long a request counts as repeated: the longest round trip twice, and the time to encode.
const REPETITION: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: Ssrc = Ssrc(1);

    #[test]
    fn c110_a_new_request_has_the_next_number_and_a_repetition_the_same() {
        let mut commands = SentCommands::default();
        let mut number = |source, repeats| commands.number(ASKER, Ssrc(source), repeats);
        assert_eq!([number(7, false), number(7, true), number(7, true)], [0; 3]);
        assert_eq!([number(7, false), number(7, true)], [1; 2]);
        assert_eq!(number(8, true), 0, "each source has numbers of its own");
        assert_eq!(number(7, false), 2);
        for _ in 0..253 {
            number(7, false);
        }
        assert_eq!(number(7, false), 0, "eight bits");
    }

    #[test]
    fn c110_a_request_that_is_repeated_is_one_request() {
        let start = Instant::now();
        let mut commands = HeardCommands::default();
        let mut due = |source, number, milliseconds| {
            let at = start + Duration::from_millis(milliseconds);
            commands.is_due(ASKER, Ssrc(source), number, at)
        };
        assert!(due(7, 5, 0));
        assert!(!due(7, 5, 100));
        assert!(due(8, 5, 100), "of another source");
        assert!(due(7, 6, 200));
        assert!(!due(7, 6, 2100));
        assert!(due(7, 6, 2200), "the answer must have been lost");
        assert!(!due(7, 6, 2300));
        assert!(due(7, 5, 2400));
    }

    #[test]
    fn only_so_many_pairings_are_remembered() {
        let now = Instant::now();
        let (mut sent, mut heard) = (SentCommands::default(), HeardCommands::default());
        for source in 0..1000 {
            sent.number(ASKER, Ssrc(source), false);
            heard.is_due(ASKER, Ssrc(source), 0, now);
        }
        assert_eq!(
            (sent.numbers.len(), heard.heard.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
