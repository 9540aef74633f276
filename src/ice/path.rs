//! Which path media takes (RFC 8445 §8).
//!
//! The agent picks one pair and keeps it. A browser that controls the session may nominate another one
//! later, so the path follows the nominations: a check of the peer with USE-CANDIDATE that our agent
//! answered, on a path where a check of ours was answered (RFC 8445 §7.3.1.5; consent, RFC 7675 §5.1).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// A way between the peer and us: a socket of ours, its address, the peer's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    /// Number of the endpoint.
    pub(super) socket: usize,
    pub(super) remote: SocketAddr,
    pub(super) local_ip: Option<IpAddr>,
}

/// Follows checks and nominations; its answers are the path to take from then on.
#[derive(Debug, Default)]
pub(super) struct PathFollower {
    /// Where checks of ours were answered, the latest at the end.
    working: VecDeque<(Route, Instant)>,
    /// Nominated by the peer, not known to work yet.
    awaited: Option<Route>,
    selected: Option<Route>,
}

impl PathFollower {
    /// The path in use.
    pub(super) fn selected(&self) -> Option<Route> {
        self.selected
    }

    /// A check of ours was answered; `nominating` if it said USE-CANDIDATE.
    pub(super) fn check_answered(
        &mut self,
        route: Route,
        nominating: bool,
        now: Instant,
    ) -> Option<Route> {
        self.working.retain(|(known, _)| *known != route);
        self.working.push_back((route, now));
        if self.working.len() > MAX_WORKING {
            self.working.pop_front();
        }
        if nominating || self.awaited == Some(route) {
            self.select(route)
        } else {
            None
        }
    }

    /// The peer nominated this path, authentically.
    pub(super) fn nominated(&mut self, route: Route, now: Instant) -> Option<Route> {
        let works = self.working.iter().any(|(known, answered_at)| {
            *known == route && now.duration_since(*answered_at) < CONSENT
        });
        if works {
            self.select(route)
        } else {
            self.awaited = Some(route);
            None
        }
    }

    /// Forgets nominations that were made to the other role. The path stays.
    pub(super) fn role_changed(&mut self) {
        self.awaited = None;
    }

    fn select(&mut self, route: Route) -> Option<Route> {
        self.awaited = None;
        (self.selected.replace(route) != Some(route)).then_some(route)
    }
}

/// How long an answer speaks for a path (RFC 7675 §5.1).
const CONSENT: Duration = Duration::from_secs(30);

/// As many pairs as may work at one time.
const MAX_WORKING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn route(port: u16) -> Route {
        Route {
            socket: 0,
            remote: SocketAddr::from(([192, 0, 2, 1], port)),
            local_ip: None,
        }
    }

    #[test]
    fn a_nomination_counts_once_the_path_is_known_to_work() {
        let mut follower = PathFollower::default();
        let now = Instant::now();
        assert_eq!(follower.nominated(route(1), now), None);
        assert_eq!(follower.check_answered(route(2), false, now), None);
        assert_eq!(
            follower.check_answered(route(1), false, now),
            Some(route(1))
        );
        assert_eq!(follower.selected(), Some(route(1)));
    }

    #[test]
    fn a_later_nomination_moves_the_path_and_back() {
        let mut follower = PathFollower::default();
        let now = Instant::now();
        for port in [1, 2] {
            follower.check_answered(route(port), false, now);
        }
        assert_eq!(follower.nominated(route(1), now), Some(route(1)));
        assert_eq!(follower.nominated(route(1), now), None);
        assert_eq!(follower.nominated(route(2), now), Some(route(2)));
        assert_eq!(follower.nominated(route(1), now), Some(route(1)));
    }

    #[test]
    fn an_answer_from_long_ago_does_not_make_a_path_work() {
        let mut follower = PathFollower::default();
        let now = Instant::now();
        follower.check_answered(route(1), false, now);
        assert_eq!(follower.nominated(route(1), now + CONSENT), None);
        assert_eq!(
            follower.check_answered(route(1), false, now + CONSENT),
            Some(route(1))
        );
    }

    #[test]
    fn our_own_nomination_selects_when_it_is_answered() {
        let mut follower = PathFollower::default();
        let now = Instant::now();
        assert_eq!(follower.check_answered(route(1), false, now), None);
        assert_eq!(follower.check_answered(route(1), true, now), Some(route(1)));
        assert_eq!(follower.check_answered(route(1), true, now), None);
    }

    #[test]
    fn only_the_latest_nomination_is_awaited_and_paths_are_bounded() {
        let mut follower = PathFollower::default();
        let now = Instant::now();
        follower.nominated(route(1), now);
        follower.nominated(route(2), now);
        assert_eq!(follower.check_answered(route(1), false, now), None);
        for port in 100..200 {
            follower.check_answered(route(port), false, now);
        }
        assert_eq!(follower.working.len(), MAX_WORKING);
        assert_eq!(
            follower.check_answered(route(2), false, now),
            Some(route(2))
        );
    }
}
