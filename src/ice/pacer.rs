//! How often one address is asked.
//!
//! The agent repeats every check at every tick until it is answered. What it sends to addresses that a
//! stranger named must not be that much (RFC 8445 §14, §19.5.1): checks without an answer get rarer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Decides which of the agent's checks leave.
#[derive(Debug, Default)]
pub(super) struct CheckPacer {
    /// The one asked last at the end.
    destinations: VecDeque<Destination>,
}

#[derive(Debug)]
struct Destination {
    address: SocketAddr,
    sent_at: Instant,
    unanswered: u32,
}

impl CheckPacer {
    /// Whether a check may leave now; if so, it counts as sent.
    pub(super) fn admit(&mut self, address: SocketAddr, now: Instant) -> bool {
        let known = self
            .destinations
            .iter()
            .position(|known| known.address == address)
            .and_then(|at| self.destinations.remove(at));
        let (destination, admitted) = match known {
            None => (
                Destination {
                    address,
                    sent_at: now,
                    unanswered: 1,
                },
                true,
            ),
            Some(known) if now.duration_since(known.sent_at) < pause(known.unanswered) => {
                (known, false)
            }
            Some(known) => (
                Destination {
                    address,
                    sent_at: now,
                    unanswered: known.unanswered.saturating_add(1),
                },
                true,
            ),
        };
        self.destinations.push_back(destination);
        if self.destinations.len() > MAX_DESTINATIONS {
            self.destinations.pop_front();
        }
        admitted
    }

    /// The peer was heard from there, authentically: what the agent says next is in reply to that
    /// (RFC 8445 §7.3.1.4), and leaves at once.
    pub(super) fn heard(&mut self, address: SocketAddr) {
        self.destinations.retain(|known| known.address != address);
    }
}

/// Time until the next check after this many without an answer: short at first, as everything on
/// the way may just be waking up; then RFC 8445's 500 ms (§14.3).
fn pause(unanswered: u32) -> Duration {
    let doubled = FIRST_PAUSE * 2_u32.saturating_pow((unanswered / 4).min(8));
    doubled.min(LONGEST_PAUSE)
}

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// As many as a session admits remote addresses.
const MAX_DESTINATIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// Checks that leave in three seconds of one attempt a millisecond.
    fn admitted(pacer: &mut CheckPacer, start: Instant) -> usize {
        (0..3000)
            .filter(|ms| pacer.admit(address(1), start + Duration::from_millis(*ms)))
            .count()
    }

    #[test]
    fn an_address_that_never_answers_is_asked_ever_more_rarely() {
        let mut pacer = CheckPacer::default();
        let start = Instant::now();
        let first = admitted(&mut pacer, start);
        let later = admitted(&mut pacer, start + Duration::from_secs(3));
        assert!((15..=25).contains(&first), "{first}");
        assert!(later <= 7, "{later}");
    }

    #[test]
    fn a_peer_that_is_heard_is_asked_at_once() {
        let mut pacer = CheckPacer::default();
        let now = Instant::now();
        assert!(pacer.admit(address(1), now));
        assert!(!pacer.admit(address(1), now));
        pacer.heard(address(1));
        assert!(pacer.admit(address(1), now));
    }

    #[test]
    fn addresses_do_not_slow_each_other_and_their_number_is_bounded() {
        let mut pacer = CheckPacer::default();
        let now = Instant::now();
        for port in 0..1000 {
            assert!(pacer.admit(address(port), now));
            assert!(!pacer.admit(address(port), now));
        }
        assert_eq!(pacer.destinations.len(), MAX_DESTINATIONS);
    }
}
