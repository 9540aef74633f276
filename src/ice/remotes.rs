//! The peer's addresses: which are admitted, what the agent calls them, how they are reached.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::address_book::AddressBook;
use super::path::Route;

/// Addresses of one peer, signalled and discovered.
#[derive(Debug, Default)]
pub(super) struct Remotes {
    known: HashMap<SocketAddr, Remote>,
    book: AddressBook,
}

#[derive(Debug)]
struct Remote {
    priority: u32,
    /// The agent's name for it.
    name: SocketAddr,
    /// Where the peer was heard, the latest for each socket; in the order of the sockets, so that
    /// relays come last.
    routes: Vec<Route>,
}

impl Remotes {
    /// The agent's name for an address of the peer, new or not; `None` where the peer has too many.
    pub(super) fn admit(&mut self, address: SocketAddr, priority: u32) -> Option<SocketAddr> {
        if let Some(known) = self.known.get(&address) {
            return Some(known.name);
        }
        if self.known.len() >= MAX_REMOTES {
            return None;
        }
        let name = self.book.name_of(address)?;
        let remote = Remote {
            priority,
            name,
            routes: Vec::new(),
        };
        self.known.insert(address, remote);
        Some(name)
    }

    /// The agent's name for an address that was admitted.
    pub(super) fn name(&self, address: SocketAddr) -> Option<SocketAddr> {
        self.known.get(&address).map(|remote| remote.name)
    }

    /// What the agent means by a name.
    pub(super) fn address(&self, name: SocketAddr) -> Option<SocketAddr> {
        self.book.meaning_of(name)
    }

    /// The peer was heard, authentically, on this route.
    pub(super) fn heard(&mut self, route: Route) {
        if let Some(remote) = self.known.get_mut(&route.remote) {
            match remote
                .routes
                .binary_search_by_key(&route.socket, |known| known.socket)
            {
                Ok(at) => remote.routes[at] = route,
                Err(at) => remote.routes.insert(at, route),
            }
        }
    }

    /// The ways to an address, once the peer was heard from there.
    pub(super) fn routes(&self, address: SocketAddr) -> &[Route] {
        self.known
            .get(&address)
            .map_or(&[], |remote| &remote.routes)
    }

    /// All addresses with the priorities that they were admitted with.
    pub(super) fn all(&self) -> impl Iterator<Item = (SocketAddr, u32)> {
        self.known
            .iter()
            .map(|(address, remote)| (*address, remote.priority))
    }

    /// Whether no other address of the peer ranks higher.
    pub(super) fn is_best(&self, address: SocketAddr) -> bool {
        self.known.get(&address).is_some_and(|own| {
            self.known
                .values()
                .all(|other| other.priority <= own.priority)
        })
    }
}

/// Addresses of one peer, signalled and discovered. What goes beyond is not checked. (The agent's effort grows
/// with the square of it while nothing answers.)
const MAX_REMOTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn a_peer_has_a_bounded_number_of_addresses() {
        let mut remotes = Remotes::default();
        let admitted = (1..1000)
            .filter(|port| remotes.admit(address(*port), 0).is_some())
            .count();
        assert_eq!(admitted, MAX_REMOTES);
        assert_eq!(remotes.admit(address(1), 0), Some(address(1)));
        assert_eq!(remotes.name(address(999)), None);
    }

    #[test]
    fn the_best_address_is_the_one_that_no_other_outranks() {
        let mut remotes = Remotes::default();
        remotes.admit(address(1), 5);
        remotes.admit(address(2), 7);
        assert!(!remotes.is_best(address(1)));
        assert!(remotes.is_best(address(2)));
        assert!(!remotes.is_best(address(3)));
    }

    #[test]
    fn the_ways_to_an_address_are_where_it_was_heard_last_on_each_socket() {
        let mut remotes = Remotes::default();
        let mut route = Route {
            socket: 0,
            remote: address(1),
            local_ip: None,
        };
        remotes.heard(route);
        assert_eq!(remotes.routes(address(1)), []);
        remotes.admit(address(1), 0);
        route.socket = 2;
        remotes.heard(route);
        let relayed = route;
        route.socket = 0;
        remotes.heard(route);
        route.local_ip = Some(address(3).ip());
        remotes.heard(route);
        assert_eq!(remotes.routes(address(1)), [route, relayed]);
    }
}
