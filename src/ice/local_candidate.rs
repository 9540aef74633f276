//! Our own candidates: which there are, how they rank, how they are written.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::configuration::IceConfiguration;
use super::remote_candidate::CandidateKind;
use crate::udp::Families;

/// An address of an interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InterfaceAddress {
    pub(super) interface: String,
    pub(super) ip: IpAddr,
}

/// What matters of an endpoint for its candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BoundSocket {
    pub(super) local_addr: SocketAddr,
    pub(super) families: Families,
}

/// A candidate of ours. Displayed as `candidate:…` (RFC 8839 §5.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LocalCandidate {
    pub(super) foundation: usize,
    pub(super) priority: u32,
    pub(super) address: SocketAddr,
    pub(super) kind: CandidateKind,
    pub(super) related: Option<SocketAddr>,
}

impl fmt::Display for LocalCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relayed => "relay",
        };
        write!(
            f,
            "candidate:{} {COMPONENT} udp {} {} {} typ {kind}",
            self.foundation,
            self.priority,
            self.address.ip(),
            self.address.port()
        )?;
        match self.related {
            Some(related) => write!(f, " raddr {} rport {}", related.ip(), related.port()),
            None => Ok(()),
        }
    }
}

/// The candidates of one session, each told once.
#[derive(Debug)]
pub(super) struct LocalCandidates {
    limit: usize,
    /// How many were left out for the limit.
    left_out: usize,
    known: Vec<LocalCandidate>,
    /// Same type, base and server: same foundation (RFC 8445 §5.1.1.3).
    foundations: HashMap<(CandidateKind, IpAddr, Option<IpAddr>), usize>,
    /// Local preference of each base (RFC 8445 §5.1.2.1).
    preferences: HashMap<SocketAddr, u16>,
}

impl LocalCandidates {
    /// So many at most; those found first.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            left_out: 0,
            known: Vec::new(),
            foundations: HashMap::new(),
            preferences: HashMap::new(),
        }
    }

    /// How many were left out, as there were too many.
    pub(super) fn left_out(&self) -> usize {
        self.left_out
    }

    /// The host candidates of these sockets, best first.
    pub(super) fn add_hosts(
        &mut self,
        sockets: &[BoundSocket],
        interfaces: &[InterfaceAddress],
        configuration: &IceConfiguration,
    ) -> Vec<LocalCandidate> {
        let mut bases: Vec<SocketAddr> = sockets
            .iter()
            .flat_map(|socket| bases(socket, interfaces, configuration))
            .collect();
        // Stable, so that equal ranks keep the order of the sockets and interfaces.
        bases.sort_by_key(|base| rank(base.ip()));
        let mut added = Vec::new();
        for base in bases {
            let next = u16::MAX - u16::try_from(self.preferences.len()).unwrap_or(u16::MAX);
            self.preferences.entry(base).or_insert(next);
            for address in offered(base, configuration) {
                added.extend(self.add(CandidateKind::Host, address, base, None));
            }
        }
        added
    }

    /// All of them, in the order in which they were found.
    pub(super) fn known(&self) -> &[LocalCandidate] {
        &self.known
    }

    /// What a server saw of a base. `None` where that says nothing new.
    pub(super) fn add_reflexive(
        &mut self,
        mapped: SocketAddr,
        base: SocketAddr,
        server: IpAddr,
    ) -> Option<LocalCandidate> {
        self.add(CandidateKind::ServerReflexive, mapped, base, Some(server))
    }

    /// What a server relays for us; it is its own base (RFC 8445 §5.1.1.2), and `related` is what is told of us.
    pub(super) fn add_relayed(
        &mut self,
        relayed: SocketAddr,
        related: SocketAddr,
        server: IpAddr,
    ) -> Option<LocalCandidate> {
        // The later, the less: the servers' order is the user's.
        let next = u16::MAX - u16::try_from(self.preferences.len()).unwrap_or(u16::MAX);
        self.preferences.entry(relayed).or_insert(next);
        let candidate = self.add(CandidateKind::Relayed, relayed, relayed, Some(server))?;
        let related = Some(related);
        Some(LocalCandidate {
            related,
            ..candidate
        })
    }

    fn add(
        &mut self,
        kind: CandidateKind,
        address: SocketAddr,
        base: SocketAddr,
        server: Option<IpAddr>,
    ) -> Option<LocalCandidate> {
        // Redundant (RFC 8445 §5.1.3): the same address again, and the better kind came first.
        if self.known.iter().any(|known| known.address == address) {
            return None;
        }
        if self.known.len() >= self.limit {
            self.left_out += 1;
            return None;
        }
        let next = self.foundations.len() + 1;
        let foundation = *self
            .foundations
            .entry((kind, base.ip(), server))
            .or_insert(next);
        let preference = self.preferences.get(&base).copied().unwrap_or_default();
        let candidate = LocalCandidate {
            foundation,
            priority: priority(kind, preference),
            address,
            kind,
            related: (kind != CandidateKind::Host).then_some(base),
        };
        self.known.push(candidate.clone());
        Some(candidate)
    }
}

/// The addresses that a socket can be reached at, before any NAT.
fn bases(
    socket: &BoundSocket,
    interfaces: &[InterfaceAddress],
    configuration: &IceConfiguration,
) -> Vec<SocketAddr> {
    let bound = socket.local_addr;
    let passes = |ip: IpAddr| {
        configuration
            .ip_filter
            .as_ref()
            .is_none_or(|filter| filter(ip))
    };
    if !bound.ip().is_unspecified() {
        // Whoever binds an address means it, loopback or not.
        return if passes(bound.ip()) {
            vec![bound]
        } else {
            Vec::new()
        };
    }
    interfaces
        .iter()
        .filter(|address| match socket.families {
            Families::V4 => address.ip.is_ipv4(),
            Families::V6 => address.ip.is_ipv6(),
            Families::Both => true,
        })
        .filter(|address| configuration.include_loopback || !address.ip.is_loopback())
        .filter(|address| is_offerable(address.ip))
        .filter(|address| {
            configuration
                .interface_filter
                .as_ref()
                .is_none_or(|filter| filter(&address.interface))
        })
        .filter(|address| passes(address.ip))
        .map(|address| SocketAddr::new(address.ip, bound.port()))
        .collect()
}

/// What stands for a base: itself, or the public addresses of its family.
fn offered(base: SocketAddr, configuration: &IceConfiguration) -> Vec<SocketAddr> {
    let public: Vec<SocketAddr> = configuration
        .nat_1to1
        .iter()
        .filter(|ip| ip.is_ipv4() == base.is_ipv4())
        .map(|ip| SocketAddr::new(*ip, base.port()))
        .collect();
    if public.is_empty() {
        vec![base]
    } else {
        public
    }
}

/// RFC 8445 §5.1.1.1; link-local IPv6 is left out as well, it means nothing without an interface.
fn is_offerable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_unicast_link_local() && !is_deprecated(v6),
    }
}

/// IPv4-mapped, IPv4-compatible and site-local addresses.
fn is_deprecated(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    ip.to_ipv4_mapped().is_some()
        || (segments[..6] == [0; 6] && !ip.is_loopback())
        || segments[0] & 0xFFC0 == 0xFEC0
}

/// IPv6 before IPv4 (RFC 8421 §4), loopback after all.
fn rank(ip: IpAddr) -> u8 {
    match ip {
        ip if ip.is_loopback() => 2,
        IpAddr::V6(_) => 0,
        IpAddr::V4(_) => 1,
    }
}

/// RFC 8445 §5.1.2.1.
fn priority(kind: CandidateKind, local_preference: u16) -> u32 {
    let type_preference: u32 = match kind {
        CandidateKind::Host => 126,
        CandidateKind::PeerReflexive => 110,
        CandidateKind::ServerReflexive => 100,
        CandidateKind::Relayed => 0,
    };
    (type_preference << 24) + (u32::from(local_preference) << 8) + (256 - COMPONENT)
}

/// RTP, with RTCP beside it.
const COMPONENT: u32 = 1;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn interface(name: &str, ip: &str) -> InterfaceAddress {
        InterfaceAddress {
            interface: name.to_owned(),
            ip: ip.parse().unwrap(),
        }
    }

    fn machine() -> Vec<InterfaceAddress> {
        vec![
            interface("lo", "127.0.0.1"),
            interface("lo", "::1"),
            interface("eth0", "192.0.2.1"),
            interface("eth0", "2001:db8::1"),
            interface("eth0", "fe80::1"),
            interface("docker0", "172.17.0.1"),
        ]
    }

    fn socket(local_addr: &str, families: Families) -> BoundSocket {
        BoundSocket {
            local_addr: local_addr.parse().unwrap(),
            families,
        }
    }

    fn hosts(socket: BoundSocket, configuration: &IceConfiguration) -> Vec<String> {
        LocalCandidates::new(64)
            .add_hosts(&[socket], &machine(), configuration)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn dual_stack() -> BoundSocket {
        socket("[::]:4242", Families::Both)
    }

    #[test]
    fn host_candidates_are_written_as_rfc_8839_says_ipv6_first() {
        assert_eq!(
            hosts(dual_stack(), &IceConfiguration::default()),
            [
                "candidate:1 1 udp 2130706431 2001:db8::1 4242 typ host",
                "candidate:2 1 udp 2130706175 192.0.2.1 4242 typ host",
                "candidate:3 1 udp 2130705919 172.17.0.1 4242 typ host",
            ]
        );
    }

    #[test]
    fn our_own_reader_reads_what_we_write() {
        use super::super::remote_candidate::RemoteCandidate;
        for line in hosts(dual_stack(), &IceConfiguration::default()) {
            let read = RemoteCandidate::parse(&line).unwrap();
            assert_eq!(read.usable("x").unwrap().port(), 4242);
        }
    }

    #[test]
    fn loopback_is_offered_on_request_and_last() {
        let configuration = IceConfiguration {
            include_loopback: true,
            ..IceConfiguration::default()
        };
        let lines = hosts(socket("0.0.0.0:9", Families::V4), &configuration);
        assert_eq!(lines.len(), 3);
        assert!(lines[2].contains(" 127.0.0.1 9 "), "{lines:?}");
    }

    #[test]
    fn a_socket_bound_to_one_address_offers_that_one() {
        assert_eq!(
            hosts(
                socket("127.0.0.1:9", Families::V4),
                &IceConfiguration::default()
            ),
            ["candidate:1 1 udp 2130706431 127.0.0.1 9 typ host"]
        );
    }

    #[test]
    fn filters_decide_by_interface_and_by_address() {
        let configuration = IceConfiguration {
            interface_filter: Some(Arc::new(|name| name != "docker0")),
            ip_filter: Some(Arc::new(|ip: IpAddr| ip.is_ipv4())),
            ..IceConfiguration::default()
        };
        let lines = hosts(dual_stack(), &configuration);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].contains(" 192.0.2.1 "));
    }

    #[test]
    fn public_addresses_replace_those_of_their_family_once() {
        let configuration = IceConfiguration {
            nat_1to1: vec!["203.0.113.7".parse().unwrap()],
            ..IceConfiguration::default()
        };
        assert_eq!(
            hosts(dual_stack(), &configuration),
            [
                "candidate:1 1 udp 2130706431 2001:db8::1 4242 typ host",
                "candidate:2 1 udp 2130706175 203.0.113.7 4242 typ host",
            ]
        );
    }

    #[test]
    fn a_reflexive_candidate_names_its_base_and_repeats_nothing() {
        let mut candidates = LocalCandidates::new(64);
        let sockets = [socket("0.0.0.0:9", Families::V4)];
        candidates.add_hosts(&sockets, &machine(), &IceConfiguration::default());
        let base: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let server: IpAddr = "198.51.100.1".parse().unwrap();
        let mapped: SocketAddr = "203.0.113.7:1234".parse().unwrap();
        let candidate = candidates.add_reflexive(mapped, base, server).unwrap();
        assert_eq!(
            candidate.to_string(),
            "candidate:3 1 udp 1694498815 203.0.113.7 1234 typ srflx raddr 192.0.2.1 rport 9"
        );
        assert_eq!(candidates.add_reflexive(mapped, base, server), None);
        assert_eq!(candidates.add_reflexive(base, base, server), None);
    }
}
