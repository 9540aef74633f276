//! IPv6 addresses under IPv4 names.
//!
//! The ICE agent is given one local candidate, an IPv4 one, so that one agent serves both families.
//! What it knows as an address in 240.0.0.0/4, which no network routes (RFC 1112 §4), is an
//! IPv6 address of the peer. IPv4 addresses stand for themselves.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Translates between the network's addresses and the agent's. Ports are the same in both.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    names: HashMap<(Ipv6Addr, u32), Ipv4Addr>,
    /// By the number that is in the name.
    addresses: Vec<(Ipv6Addr, u32)>,
}

impl AddressBook {
    /// What the agent is to call an address. `None` for one that cannot be a peer's, and where the
    /// book is full.
    pub(super) fn name_of(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        match address {
            SocketAddr::V4(v4) => (!is_name(*v4.ip())).then_some(address),
            SocketAddr::V6(v6) => {
                let name = self.name(*v6.ip(), v6.scope_id())?;
                Some(SocketAddr::new(name.into(), v6.port()))
            }
        }
    }

    /// What the agent's word for an address means.
    pub(super) fn meaning_of(&self, address: SocketAddr) -> Option<SocketAddr> {
        let IpAddr::V4(name) = address.ip() else {
            return None;
        };
        if !is_name(name) {
            return Some(address);
        }
        let number = usize::try_from(u32::from(name) - FIRST_NAME).ok()?;
        let (ip, scope) = self.addresses.get(number)?;
        Some(SocketAddrV6::new(*ip, address.port(), 0, *scope).into())
    }

    fn name(&mut self, ip: Ipv6Addr, scope: u32) -> Option<Ipv4Addr> {
        if let Some(name) = self.names.get(&(ip, scope)) {
            return Some(*name);
        }
        let number = u32::try_from(self.addresses.len()).ok()?;
        if number >= MAX_NAMES {
            return None;
        }
        let name = Ipv4Addr::from(FIRST_NAME + number);
        self.names.insert((ip, scope), name);
        self.addresses.push((ip, scope));
        Some(name)
    }
}

/// Whether this is one of the names that the book gives.
pub(super) fn is_name(ip: Ipv4Addr) -> bool {
    u32::from(ip) >= FIRST_NAME
}

/// 240.0.0.0.
const FIRST_NAME: u32 = 0xF000_0000;

/// More than the remote addresses that a session admits.
const MAX_NAMES: u32 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_stands_for_itself_and_ipv6_gets_one_name_for_all_ports() {
        let mut book = AddressBook::default();
        let v4: SocketAddr = "192.0.2.1:7".parse().unwrap();
        assert_eq!(book.name_of(v4), Some(v4));
        assert_eq!(book.meaning_of(v4), Some(v4));
        let v6: SocketAddr = "[2001:db8::1]:7".parse().unwrap();
        let other: SocketAddr = "[2001:db8::1]:8".parse().unwrap();
        let name = book.name_of(v6).unwrap();
        assert_eq!(name.to_string(), "240.0.0.0:7");
        assert_eq!(book.name_of(other), Some("240.0.0.0:8".parse().unwrap()));
        assert_eq!(book.meaning_of(name), Some(v6));
    }

    #[test]
    fn scopes_are_part_of_the_address() {
        let mut book = AddressBook::default();
        let ip: Ipv6Addr = "fe80::1".parse().unwrap();
        let one = SocketAddr::from(SocketAddrV6::new(ip, 7, 0, 1));
        let two = SocketAddr::from(SocketAddrV6::new(ip, 7, 0, 2));
        let (first, second) = (book.name_of(one).unwrap(), book.name_of(two).unwrap());
        assert_ne!(first, second);
        assert_eq!(book.meaning_of(second), Some(two));
    }

    #[test]
    fn nobody_comes_from_the_names_themselves_and_the_book_is_bounded() {
        let mut book = AddressBook::default();
        assert_eq!(book.name_of("240.0.0.0:7".parse().unwrap()), None);
        assert_eq!(book.name_of("255.255.255.255:7".parse().unwrap()), None);
        assert_eq!(book.meaning_of("240.0.0.0:7".parse().unwrap()), None);
        for number in 0..1000_u16 {
            let ip = Ipv6Addr::new(0x2001, 0xDB8, 0, 0, 0, 0, 0, number);
            let named = book.name_of(SocketAddr::new(ip.into(), 7)).is_some();
            assert_eq!(named, u32::from(number) < MAX_NAMES);
        }
    }
}
