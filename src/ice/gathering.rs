//! Collecting our candidates: those of the machine at once, then what STUN servers see of us
//! (RFC 8445 §5.1.1).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use super::configuration::{IceConfiguration, IceTransportPolicy};
use super::local_candidate::{BoundSocket, InterfaceAddress, LocalCandidate, LocalCandidates};
use super::path::Route;
use super::stun::xor_mapped_address;
use crate::udp::{Families, StunClass, StunMessage, TransactionId};

/// One session's gathering, from its begin to its end.
#[derive(Debug)]
pub(super) struct Gathering {
    candidates: LocalCandidates,
    interfaces: Vec<InterfaceAddress>,
    probes: ServerProbes,
    /// Without the addresses of this machine (RFC 8828 §5.2).
    relay_only: bool,
    complete: bool,
}

/// What the shell must do, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GatheringEffect {
    Tell(LocalCandidate),
    Ask(ProbeRequest),
    /// Come back then, if not before.
    ArmTimer(Instant),
    Complete,
}

impl Gathering {
    /// Begins: `lookups` servers' names are being looked up.
    pub(super) fn begin(
        sockets: Vec<BoundSocket>,
        interfaces: Vec<InterfaceAddress>,
        configuration: &IceConfiguration,
        lookups: usize,
        now: Instant,
        effects: &mut Vec<GatheringEffect>,
    ) -> Self {
        let mut candidates = LocalCandidates::new(configuration.most_local_candidates);
        let hosts = candidates.add_hosts(&sockets, &interfaces, configuration);
        effects.extend(hosts.into_iter().map(GatheringEffect::Tell));
        let mut gathering = Self {
            candidates,
            interfaces,
            probes: ServerProbes::new(sockets, lookups, now),
            relay_only: configuration.transport_policy == IceTransportPolicy::Relay,
            complete: false,
        };
        gathering.go_on(now, effects);
        gathering
    }

    /// A server's name was looked up, and asked for so many relays; `fresh` gives transaction ids.
    pub(super) fn handle_server(
        &mut self,
        addresses: &[SocketAddr],
        relays: usize,
        fresh: impl FnMut() -> TransactionId,
        now: Instant,
        effects: &mut Vec<GatheringEffect>,
    ) {
        self.probes.relays += relays;
        self.probes.server_found(addresses, now, fresh);
        self.go_on(now, effects);
    }

    /// A relay that was asked for: its address, what the server saw of us, and the server; or there is none.
    pub(super) fn handle_relay(
        &mut self,
        relay: Option<(SocketAddr, SocketAddr, IpAddr)>,
        now: Instant,
        effects: &mut Vec<GatheringEffect>,
    ) {
        self.probes.relays = self.probes.relays.saturating_sub(1);
        if let Some((relayed, mapped, server)) = relay
            && !self.complete
        {
            let related = if self.relay_only { NOTHING } else { mapped };
            let candidate = self.candidates.add_relayed(relayed, related, server);
            effects.extend(candidate.map(GatheringEffect::Tell));
        }
        self.go_on(now, effects);
    }

    /// How many candidates are not offered, as there were too many.
    pub(super) fn left_out(&self) -> usize {
        self.candidates.left_out()
    }

    /// What was gathered so far.
    pub(super) fn candidates(&self) -> &[LocalCandidate] {
        self.candidates.known()
    }

    /// The address of ours that a socket is reached at from this route.
    pub(super) fn base_of(&self, route: Route) -> Option<SocketAddr> {
        let socket = self.probes.sockets.get(route.socket)?;
        Some(self.base(*socket, route))
    }

    pub(super) fn handle_timer(&mut self, now: Instant, effects: &mut Vec<GatheringEffect>) {
        self.go_on(now, effects);
    }

    /// Whether a datagram is a server's answer to us; if so, it is dealt with.
    pub(super) fn handle_datagram(
        &mut self,
        route: Route,
        bytes: &[u8],
        now: Instant,
        effects: &mut Vec<GatheringEffect>,
    ) -> bool {
        if self.complete {
            return false;
        }
        let Some(message) = StunMessage::parse(bytes) else {
            return false;
        };
        let Some((socket, server)) = self.probes.answered(message.transaction_id(), route.remote)
        else {
            return false;
        };
        let base = self.base(socket, route);
        let candidate = xor_mapped_address(&message)
            .filter(|_| message.class() == StunClass::SuccessResponse)
            .and_then(|mapped| self.candidates.add_reflexive(mapped, base, server));
        effects.extend(candidate.map(GatheringEffect::Tell));
        self.go_on(now, effects);
        true
    }

    /// Asks what is due, and says so when nothing is left to wait for.
    fn go_on(&mut self, now: Instant, effects: &mut Vec<GatheringEffect>) {
        if self.complete {
            return;
        }
        effects.extend(self.probes.due(now).into_iter().map(GatheringEffect::Ask));
        if let Some(due) = self.probes.next_due() {
            effects.push(GatheringEffect::ArmTimer(due));
        } else {
            self.complete = true;
            effects.push(GatheringEffect::Complete);
        }
    }

    /// The address of ours that a server's answer came to.
    fn base(&self, socket: BoundSocket, route: Route) -> SocketAddr {
        let bound = socket.local_addr;
        let ip = match route.local_ip {
            Some(ip) => ip,
            None if !bound.ip().is_unspecified() => bound.ip(),
            // The system does not tell; any of the family is as good a guess as another.
            None => self
                .interfaces
                .iter()
                .map(|address| address.ip)
                .find(|ip| ip.is_ipv4() == route.remote.is_ipv4() && !ip.is_loopback())
                .unwrap_or_else(|| bound.ip()),
        };
        SocketAddr::new(ip, bound.port())
    }
}

/// The servers of one session, from the look-up of their names to their answers.
#[derive(Debug)]
struct ServerProbes {
    sockets: Vec<BoundSocket>,
    /// Names that are being looked up.
    lookups: usize,
    /// Relays that servers were asked for.
    relays: usize,
    probes: Vec<Probe>,
    deadline: Instant,
}

/// One request to one server from one socket, repeated until it is answered.
#[derive(Debug)]
struct Probe {
    socket: usize,
    server: SocketAddr,
    transaction: TransactionId,
    attempts: u32,
    due: Instant,
}

/// A request to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProbeRequest {
    pub(super) socket: usize,
    pub(super) server: SocketAddr,
    pub(super) transaction: TransactionId,
}

impl ServerProbes {
    /// Begins with `lookups` names being looked up.
    fn new(sockets: Vec<BoundSocket>, lookups: usize, now: Instant) -> Self {
        Self {
            sockets,
            lookups,
            relays: 0,
            probes: Vec::new(),
            deadline: now + DEADLINE,
        }
    }

    /// A name was looked up; one address of each family is asked, from every socket that reaches it.
    fn server_found(
        &mut self,
        addresses: &[SocketAddr],
        now: Instant,
        mut fresh: impl FnMut() -> TransactionId,
    ) {
        self.lookups = self.lookups.saturating_sub(1);
        let v4 = addresses.iter().find(|address| address.is_ipv4());
        let v6 = addresses.iter().find(|address| address.is_ipv6());
        for server in v4.into_iter().chain(v6) {
            for (socket, bound) in self.sockets.iter().enumerate() {
                let reaches = match bound.families {
                    Families::V4 => server.is_ipv4(),
                    Families::V6 => server.is_ipv6(),
                    Families::Both => true,
                };
                if reaches && self.probes.len() < MAX_PROBES {
                    self.probes.push(Probe {
                        socket,
                        server: *server,
                        transaction: fresh(),
                        attempts: 0,
                        due: now,
                    });
                }
            }
        }
    }

    /// What is due now. Probes that were repeated often enough are given up.
    fn due(&mut self, now: Instant) -> VecDeque<ProbeRequest> {
        if now >= self.deadline {
            self.probes.clear();
            self.lookups = 0;
            self.relays = 0;
        }
        self.probes
            .retain(|probe| probe.due > now || probe.attempts < MAX_ATTEMPTS);
        let mut requests = VecDeque::new();
        for probe in self.probes.iter_mut().filter(|probe| probe.due <= now) {
            probe.due = now + FIRST_WAIT * 2_u32.pow(probe.attempts);
            probe.attempts += 1;
            requests.push_back(ProbeRequest {
                socket: probe.socket,
                server: probe.server,
                transaction: probe.transaction,
            });
        }
        requests
    }

    /// Takes the probe that an answer is for, if it came from where it was sent: the socket and server.
    fn answered(
        &mut self,
        transaction: TransactionId,
        from: SocketAddr,
    ) -> Option<(BoundSocket, IpAddr)> {
        let at = self
            .probes
            .iter()
            .position(|probe| probe.transaction == transaction && probe.server == from)?;
        let probe = self.probes.swap_remove(at);
        let socket = self.sockets.get(probe.socket)?;
        Some((*socket, probe.server.ip()))
    }

    /// When to look again; `None` when all is done.
    fn next_due(&self) -> Option<Instant> {
        if self.probes.is_empty() && self.lookups == 0 && self.relays == 0 {
            return None;
        }
        self.probes
            .iter()
            .map(|probe| probe.due)
            .chain([self.deadline])
            .min()
    }
}

/// Said where an address of this machine is not to be told.
const NOTHING: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// First wait for an answer, doubled with each repetition (RFC 8489 §6.2.1 begins with 500 ms; half of that,
/// as candidates are waited for).
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// Four requests, then up to two seconds for the last answer.
const MAX_ATTEMPTS: u32 = 4;
/// For all servers together, look-ups included.
const DEADLINE: Duration = Duration::from_secs(5);
/// Requests in flight; what goes beyond is not asked.
const MAX_PROBES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn probes(now: Instant) -> ServerProbes {
        let socket = BoundSocket {
            local_addr: "[::]:9".parse().unwrap(),
            families: Families::Both,
        };
        let mut probes = ServerProbes::new(vec![socket], 1, now);
        let mut number = 0;
        let addresses = [
            "198.51.100.1:3478",
            "198.51.100.2:3478",
            "[2001:db8::1]:3478",
        ];
        probes.server_found(&addresses.map(|text| text.parse().unwrap()), now, || {
            number += 1;
            TransactionId([number; 12])
        });
        probes
    }

    #[test]
    fn one_address_of_each_family_is_asked() {
        let now = Instant::now();
        let requests = probes(now).due(now);
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0].server.to_string(), "198.51.100.1:3478");
        assert_eq!(requests[1].server.to_string(), "[2001:db8::1]:3478");
    }

    #[test]
    fn an_unanswered_request_is_repeated_and_given_up() {
        let start = Instant::now();
        let mut probes = probes(start);
        let mut sent = 0;
        let mut now = start;
        while let Some(due) = probes.next_due() {
            now = due;
            sent += probes.due(now).len();
        }
        assert_eq!(sent, 2 * MAX_ATTEMPTS as usize);
        assert!(now - start <= DEADLINE);
    }

    #[test]
    fn an_answer_counts_from_the_server_only_and_once() {
        let now = Instant::now();
        let mut probes = probes(now);
        let id = TransactionId([1; 12]);
        let server: SocketAddr = "198.51.100.1:3478".parse().unwrap();
        assert!(
            probes
                .answered(id, "192.0.2.9:3478".parse().unwrap())
                .is_none()
        );
        assert_eq!(probes.answered(id, server).unwrap().1, server.ip());
        assert!(probes.answered(id, server).is_none());
    }

    #[test]
    fn a_name_that_nobody_answers_for_ends_at_the_deadline() {
        let now = Instant::now();
        let mut probes = ServerProbes::new(Vec::new(), 1, now);
        assert_eq!(probes.next_due(), Some(now + DEADLINE));
        assert!(probes.due(now + DEADLINE).is_empty());
        assert_eq!(probes.next_due(), None);
    }
}
