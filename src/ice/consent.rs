//! Whether the peer still wants what it is sent (RFC 7675), and what its silence makes of the session's state.
//!
//! Asked on the selected path, by checks of our own: the agent below would take anything that it hears for consent, goes
//! by the wall clock, and asks on the pair that it selected first. Only answers count (§5.1). Their absence makes the state
//! `disconnected` soon, which may pass, and `failed` when consent has expired; then nothing is sent there any more.

use std::time::{Duration, Instant};

use super::path::Route;

/// The times of consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConsentTimes {
    /// Between two checks, before they are spread.
    pub(super) interval: Duration,
    /// Silence that makes the state `disconnected`.
    pub(super) disconnected: Duration,
    /// Further silence until consent has expired.
    pub(super) failed: Duration,
}

/// What silence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Fresh,
    /// Silent for longer than it should be.
    Doubtful,
    Expired,
}

/// Consent on one path, from its selection on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Consent {
    times: ConsentTimes,
    pub(super) route: Route,
    answered_at: Instant,
    check_at: Instant,
}

impl Consent {
    /// A path that was selected has just been answered on.
    pub(super) fn new(times: ConsentTimes, route: Route, now: Instant) -> Self {
        Self {
            times,
            route,
            answered_at: now,
            check_at: now + times.interval,
        }
    }

    /// A check was answered on this path.
    pub(super) fn answered(&mut self, now: Instant) {
        self.answered_at = now;
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        let silence = now.saturating_duration_since(self.answered_at);
        if silence >= self.times.disconnected + self.times.failed {
            Standing::Expired
        } else if silence >= self.times.disconnected {
            Standing::Doubtful
        } else {
            Standing::Fresh
        }
    }

    /// Whether a check is due; if so, the next one is `spread` (0.8 to 1.2) intervals from now (§5.1), so that
    /// many peers do not ask in step.
    pub(super) fn check_due(&mut self, spread: f64, now: Instant) -> bool {
        let due = self.check_at <= now;
        if due {
            self.check_at = now + self.times.interval.mul_f64(spread);
        }
        due
    }

    /// When to look again: at the next check, or when silence says something else.
    pub(super) fn next_due(&self, now: Instant) -> Instant {
        let doubtful_at = self.answered_at + self.times.disconnected;
        let expired_at = doubtful_at + self.times.failed;
        [doubtful_at, expired_at]
            .into_iter()
            .filter(|at| *at > now)
            .fold(self.check_at, Instant::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: ConsentTimes = ConsentTimes {
        interval: Duration::from_secs(2),
        disconnected: Duration::from_secs(5),
        failed: Duration::from_secs(25),
    };

    fn consent(now: Instant) -> Consent {
        let route = Route {
            socket: 0,
            remote: "192.0.2.1:7".parse().unwrap(),
            local_ip: None,
        };
        Consent::new(TIMES, route, now)
    }

    #[test]
    fn silence_is_doubtful_and_then_the_end_unless_an_answer_comes() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut consent = consent(start);
        for (seconds, standing) in [
            (4, Standing::Fresh),
            (5, Standing::Doubtful),
            (29, Standing::Doubtful),
            (30, Standing::Expired),
        ] {
            assert_eq!(consent.standing(after(seconds)), standing, "{seconds}");
        }
        consent.answered(after(29));
        assert_eq!(consent.standing(after(30)), Standing::Fresh);
        assert_eq!(consent.standing(after(59)), Standing::Expired);
    }

    #[test]
    fn checks_are_spread_and_every_change_has_its_moment() {
        let start = Instant::now();
        let mut consent = consent(start);
        let (mut now, mut checks, mut moments) = (start, 0, Vec::new());
        while consent.standing(now) != Standing::Expired {
            let before = consent.standing(now);
            now = consent.next_due(now);
            checks += u32::from(consent.check_due(1.2, now));
            if consent.standing(now) != before {
                moments.push(now - start);
            }
        }
        assert_eq!(moments, [Duration::from_secs(5), Duration::from_secs(30)]);
        // The first after two seconds, the others after 2.4 each.
        assert_eq!(checks, 12);
    }
}
