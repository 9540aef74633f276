//! What has been counted of each pair, for statistics (webrtc-stats §7.14).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::path::Route;
use super::remote_candidate::RemoteCandidate;

/// Counts of all pairs of one session. Bounded by `MAX_PAIRS` and `MAX_SIGNALLED`; what goes beyond is not counted.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pairs: HashMap<(usize, SocketAddr), PairCounts>,
    /// Candidates as the other side wrote them.
    signalled: HashMap<SocketAddr, RemoteCandidate>,
}

/// What has passed on one pair: a socket or relay of ours and an address of the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PairCounts {
    /// Ours, where the system has told it.
    pub(crate) local_ip: Option<IpAddr>,
    pub(crate) requests_sent: u64,
    pub(crate) requests_received: u64,
    pub(crate) responses_sent: u64,
    pub(crate) responses_received: u64,
    /// Of the requests sent, those that ask for consent.
    pub(crate) consent_requests_sent: u64,
    pub(crate) round_trip: Option<Duration>,
    pub(crate) total_round_trip: Duration,
    /// It is, or was, the selected one.
    pub(crate) nominated: bool,
}

impl Ledger {
    /// A check leaves on this way.
    pub(super) fn request_sent(&mut self, route: Route, for_consent: bool) {
        self.note(route, |pair| {
            pair.requests_sent += 1;
            pair.consent_requests_sent += u64::from(for_consent);
        });
    }

    /// An authentic check came in.
    pub(super) fn request_received(&mut self, route: Route) {
        self.note(route, |pair| pair.requests_received += 1);
    }

    /// A check is answered.
    pub(super) fn response_sent(&mut self, route: Route) {
        self.note(route, |pair| pair.responses_sent += 1);
    }

    /// A check of ours was answered, after that time.
    pub(super) fn response_received(&mut self, route: Route, after: Duration) {
        self.note(route, |pair| {
            pair.responses_received += 1;
            pair.round_trip = Some(after);
            pair.total_round_trip += after;
        });
    }

    /// Media goes this way from now on.
    pub(super) fn selected(&mut self, route: Route) {
        self.note(route, |pair| pair.nominated = true);
    }

    /// The other side has told of a candidate.
    pub(super) fn signalled(&mut self, address: SocketAddr, candidate: &RemoteCandidate) {
        if self.signalled.len() < MAX_SIGNALLED {
            self.signalled
                .entry(address)
                .or_insert_with(|| candidate.clone());
        }
    }

    /// The candidates that the other side told of, by their addresses.
    pub(super) fn told(&self) -> &HashMap<SocketAddr, RemoteCandidate> {
        &self.signalled
    }

    /// All pairs on which something has passed.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (Route, PairCounts)> {
        self.pairs.iter().map(|(&(socket, remote), pair)| {
            let local_ip = pair.local_ip;
            let route = Route {
                socket,
                remote,
                local_ip,
            };
            (route, *pair)
        })
    }

    fn note(&mut self, route: Route, count: impl FnOnce(&mut PairCounts)) {
        let key = (route.socket, route.remote);
        if self.pairs.len() < MAX_PAIRS || self.pairs.contains_key(&key) {
            let pair = self.pairs.entry(key).or_default();
            pair.local_ip = route.local_ip.or(pair.local_ip);
            count(pair);
        }
    }
}

/// As many addresses as a peer may have, on a socket and a relay each.
const MAX_PAIRS: usize = 64;

/// As many addresses as a peer may have.
const MAX_SIGNALLED: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn route(port: u16, local_ip: Option<IpAddr>) -> Route {
        Route {
            socket: 0,
            remote: SocketAddr::from(([192, 0, 2, 1], port)),
            local_ip,
        }
    }

    #[test]
    fn what_passes_on_a_way_is_counted_for_its_pair_and_their_number_is_bounded() {
        let mut ledger = Ledger::default();
        let ours = IpAddr::from([198, 51, 100, 1]);
        ledger.request_sent(route(1, None), false);
        ledger.response_received(route(1, Some(ours)), Duration::from_millis(30));
        ledger.request_sent(route(1, Some(ours)), true);
        ledger.response_received(route(1, Some(ours)), Duration::from_millis(50));
        for port in 2..1000 {
            ledger.request_received(route(port, None));
        }
        assert_eq!(ledger.pairs().count(), MAX_PAIRS);
        let pair = ledger.pairs().find(|(way, _)| way.remote.port() == 1);
        let expected = PairCounts {
            local_ip: Some(ours),
            requests_sent: 2,
            responses_received: 2,
            consent_requests_sent: 1,
            round_trip: Some(Duration::from_millis(50)),
            total_round_trip: Duration::from_millis(80),
            ..PairCounts::default()
        };
        assert_eq!(pair, Some((route(1, Some(ours)), expected)));
    }
}
