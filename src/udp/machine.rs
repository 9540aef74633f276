//! Who a datagram is for (RFC 7983), and which addresses are trusted with more than STUN.
//!
//! An address is **verified** for a peer once ICE has shown that the peer is there. Two strengths:
//! our agent answered an authenticated request from it (whoever sent it knows the password, yet
//! may have forged the address), or an answer came from it to a request that we sent to it (whoever
//! sent that answer reads what is sent to the address). The weaker one takes only addresses that are free,
//! so that a peer cannot pull another one's media to itself with a forged source address.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::stun::{StunClass, StunMessage, TransactionId};

/// Names one registration at one endpoint. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PeerKey(u64);

/// Kinds of datagrams that share a port (RFC 7983 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DatagramKind {
    Stun,
    Dtls,
    Media,
}

impl DatagramKind {
    /// By the first byte. `None` for ZRTP, TURN channels, QUIC and what nobody has defined.
    pub(crate) fn of(datagram: &[u8]) -> Option<Self> {
        match datagram.first()? {
            0..=3 => Some(Self::Stun),
            20..=63 => Some(Self::Dtls),
            128..=191 => Some(Self::Media),
            4..=19 | 64..=127 | 192..=255 => None,
        }
    }
}

/// Why a datagram went nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// Not STUN, DTLS or RTP; or STUN that is not well formed.
    Malformed,
    /// STUN for a username fragment, a transaction or an address that nobody here has.
    UnknownPeer,
    /// DTLS or RTP from an address that ICE has not verified.
    Unverified,
}

/// The name is taken by another registration of this endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another session at this endpoint has the same username fragment")]
pub(crate) struct UsernameFragmentTaken;

/// The routes of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    next: u64,
    peers: HashMap<PeerKey, Peer>,
    by_username_fragment: HashMap<String, PeerKey>,
    by_address: HashMap<SocketAddr, Owners>,
    by_transaction: HashMap<TransactionId, PeerKey>,
}

#[derive(Debug)]
struct Peer {
    username_fragment: String,
    /// Verified addresses, the one that was verified last at the end.
    addresses: VecDeque<SocketAddr>,
    /// Our requests that have no answer yet, oldest first.
    requests: VecDeque<Request>,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    transaction: TransactionId,
    destination: SocketAddr,
    /// Whether an answer shows that the peer is there; that of a STUN server does not.
    verifies: bool,
}

/// Who an address belongs to. An ICE restart has two registrations with one address for a while:
/// the newer one goes first, the older one has it back if the newer one goes.
#[derive(Debug)]
struct Owners {
    current: PeerKey,
    former: Vec<PeerKey>,
}

impl RouteTable {
    pub(crate) fn register(
        &mut self,
        username_fragment: String,
    ) -> Result<PeerKey, UsernameFragmentTaken> {
        if self.by_username_fragment.contains_key(&username_fragment) {
            return Err(UsernameFragmentTaken);
        }
        let key = PeerKey(self.next);
        self.next += 1;
        self.by_username_fragment
            .insert(username_fragment.clone(), key);
        let peer = Peer {
            username_fragment,
            addresses: VecDeque::new(),
            requests: VecDeque::new(),
        };
        self.peers.insert(key, peer);
        Ok(key)
    }

    /// Forgets a peer and all that was learned through it.
    pub(crate) fn unregister(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.remove(&key) else {
            return;
        };
        self.by_username_fragment.remove(&peer.username_fragment);
        for address in peer.addresses {
            self.release(key, address);
        }
        for request in peer.requests {
            self.by_transaction.remove(&request.transaction);
        }
    }

    /// Who a STUN message is for. Requests go by USERNAME before anything else: a new peer may
    /// come from an address that an old one had.
    pub(crate) fn route_stun(
        &mut self,
        remote: SocketAddr,
        datagram: &[u8],
    ) -> Result<PeerKey, DropReason> {
        let message = StunMessage::parse(datagram).ok_or(DropReason::Malformed)?;
        let found = match message.class() {
            StunClass::Request => message
                .username()
                .and_then(|(ours, _)| self.by_username_fragment.get(ours).copied()),
            StunClass::SuccessResponse => self.answered(message.transaction_id(), remote, true),
            StunClass::ErrorResponse => self.answered(message.transaction_id(), remote, false),
            StunClass::Indication => self.owner(remote),
        };
        found.ok_or(DropReason::UnknownPeer)
    }

    /// The peer that a verified address belongs to.
    pub(crate) fn owner(&self, address: SocketAddr) -> Option<PeerKey> {
        self.by_address.get(&address).map(|owners| owners.current)
    }

    /// A request of ours is about to leave, to the peer (`verifies`) or to a server.
    pub(crate) fn request_sent(
        &mut self,
        key: PeerKey,
        transaction: TransactionId,
        destination: SocketAddr,
        verifies: bool,
    ) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if self.by_transaction.insert(transaction, key).is_some() {
            // A repetition.
            peer.requests
                .retain(|known| known.transaction != transaction);
        }
        peer.requests.push_back(Request {
            transaction,
            destination,
            verifies,
        });
        if peer.requests.len() > MAX_REQUESTS
            && let Some(oldest) = peer.requests.pop_front()
        {
            self.by_transaction.remove(&oldest.transaction);
        }
    }

    /// Our agent is about to answer an authenticated request from `address`.
    pub(crate) fn request_answered(&mut self, key: PeerKey, address: SocketAddr) {
        match self.owner(address) {
            None => self.claim(key, address),
            Some(owner) if owner == key => self.touch(key, address),
            Some(_) => {}
        }
    }

    /// An answer came. From where the request went, and a successful one, it verifies the address.
    fn answered(
        &mut self,
        transaction: TransactionId,
        remote: SocketAddr,
        success: bool,
    ) -> Option<PeerKey> {
        let Some(key) = self.by_transaction.get(&transaction).copied() else {
            return self.owner(remote);
        };
        let peer = self.peers.get_mut(&key)?;
        let at = peer
            .requests
            .iter()
            .position(|request| request.transaction == transaction)?;
        let request = *peer.requests.get(at)?;
        if request.destination != remote {
            // Somebody guesses, or the far side's NAT is symmetric (RFC 8445 §7.2.5.2.1).
            return None;
        }
        peer.requests.remove(at);
        self.by_transaction.remove(&transaction);
        if success && request.verifies {
            match self.owner(remote) {
                Some(owner) if owner == key => self.touch(key, remote),
                Some(_) | None => self.claim(key, remote),
            }
        }
        Some(key)
    }

    fn claim(&mut self, key: PeerKey, address: SocketAddr) {
        if !self.peers.contains_key(&key) {
            return;
        }
        let owners = self.by_address.entry(address).or_insert_with(|| Owners {
            current: key,
            former: Vec::new(),
        });
        if owners.current != key {
            owners.former.retain(|former| *former != key);
            owners.former.push(owners.current);
            owners.current = key;
        }
        self.touch(key, address);
    }

    /// Notes that the address was verified just now; the one that was not for longest goes where
    /// there are too many.
    fn touch(&mut self, key: PeerKey, address: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&key) else {
            return;
        };
        if peer.addresses.back() == Some(&address) {
            return;
        }
        peer.addresses.retain(|known| *known != address);
        peer.addresses.push_back(address);
        if peer.addresses.len() > MAX_ADDRESSES
            && let Some(oldest) = peer.addresses.pop_front()
        {
            self.release(key, oldest);
        }
    }

    fn release(&mut self, key: PeerKey, address: SocketAddr) {
        let Some(owners) = self.by_address.get_mut(&address) else {
            return;
        };
        if owners.current != key {
            owners.former.retain(|former| *former != key);
        } else if let Some(former) = owners.former.pop() {
            owners.current = former;
        } else {
            self.by_address.remove(&address);
        }
    }
}

/// Verified addresses kept per peer: as many as a peer has pairs that work at one time.
const MAX_ADDRESSES: usize = 16;

/// Unanswered requests kept per peer; the oldest goes. Four seconds of checks at the adapter's pace.
const MAX_REQUESTS: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn response(class: u16, transaction: u8) -> Vec<u8> {
        let mut bytes = (class | 1).to_be_bytes().to_vec();
        bytes.extend([0, 0, 0x21, 0x12, 0xA4, 0x42]);
        bytes.extend([transaction; 12]);
        bytes
    }

    fn request(username: &str) -> Vec<u8> {
        let mut value = username.as_bytes().to_vec();
        value.resize(value.len().next_multiple_of(4), 0);
        let mut bytes = vec![0, 1, 0, u8::try_from(value.len() + 4).unwrap()];
        bytes.extend([0x21, 0x12, 0xA4, 0x42]);
        bytes.extend([9; 12]);
        bytes.extend([0, 6, 0, u8::try_from(username.len()).unwrap()]);
        bytes.extend(value);
        bytes
    }

    fn success(transaction: u8) -> Vec<u8> {
        response(0x0100, transaction)
    }

    fn two() -> (RouteTable, PeerKey, PeerKey) {
        let mut table = RouteTable::default();
        let old = table.register("old".to_owned()).unwrap();
        let new = table.register("new".to_owned()).unwrap();
        (table, old, new)
    }

    #[test]
    fn kinds_are_told_by_the_first_byte() {
        let kinds = [
            (0, Some(DatagramKind::Stun)),
            (3, Some(DatagramKind::Stun)),
            (4, None),
            (19, None),
            (20, Some(DatagramKind::Dtls)),
            (63, Some(DatagramKind::Dtls)),
            (64, None),
            (127, None),
            (128, Some(DatagramKind::Media)),
            (191, Some(DatagramKind::Media)),
            (192, None),
            (255, None),
        ];
        for (byte, kind) in kinds {
            assert_eq!(DatagramKind::of(&[byte]), kind, "{byte}");
        }
        assert_eq!(DatagramKind::of(&[]), None);
    }

    #[test]
    fn a_request_goes_by_username_even_from_the_address_of_another_peer() {
        let (mut table, old, new) = two();
        table.request_answered(old, address(1));
        assert_eq!(table.route_stun(address(1), &request("new:x")), Ok(new));
        assert_eq!(table.route_stun(address(1), &request("old:x")), Ok(old));
        assert_eq!(
            table.route_stun(address(1), &request("other:x")),
            Err(DropReason::UnknownPeer)
        );
    }

    #[test]
    fn answering_a_request_takes_a_free_address_and_never_that_of_another_peer() {
        let (mut table, old, new) = two();
        assert_eq!(table.owner(address(1)), None);
        table.request_answered(old, address(1));
        table.request_answered(new, address(1));
        assert_eq!(table.owner(address(1)), Some(old));
    }

    #[test]
    fn an_answer_from_where_the_request_went_takes_the_address_over() {
        let (mut table, old, new) = two();
        table.request_answered(old, address(1));
        table.request_sent(new, TransactionId([5; 12]), address(1), true);
        assert_eq!(table.route_stun(address(1), &success(5)), Ok(new));
        assert_eq!(table.owner(address(1)), Some(new));
    }

    #[test]
    fn an_answer_from_elsewhere_or_an_error_verifies_nothing() {
        let (mut table, old, _) = two();
        table.request_sent(old, TransactionId([5; 12]), address(1), true);
        assert_eq!(
            table.route_stun(address(2), &success(5)),
            Err(DropReason::UnknownPeer)
        );
        assert_eq!(table.route_stun(address(1), &response(0x0110, 5)), Ok(old));
        assert_eq!(table.owner(address(1)), None);
        assert_eq!(table.owner(address(2)), None);
    }

    #[test]
    fn the_answer_of_a_server_is_delivered_and_verifies_nothing() {
        let (mut table, old, _) = two();
        table.request_sent(old, TransactionId([5; 12]), address(1), false);
        assert_eq!(table.route_stun(address(1), &success(5)), Ok(old));
        assert_eq!(table.owner(address(1)), None);
    }

    #[test]
    fn an_answer_counts_once() {
        let (mut table, old, _) = two();
        table.request_sent(old, TransactionId([5; 12]), address(1), true);
        assert_eq!(table.route_stun(address(1), &success(5)), Ok(old));
        table.release(old, address(1));
        assert_eq!(
            table.route_stun(address(1), &success(5)),
            Err(DropReason::UnknownPeer)
        );
    }

    #[test]
    fn a_restarted_session_that_goes_gives_the_address_back() {
        let (mut table, old, new) = two();
        table.request_answered(old, address(1));
        table.request_sent(new, TransactionId([5; 12]), address(1), true);
        table.route_stun(address(1), &success(5)).unwrap();
        table.unregister(new);
        assert_eq!(table.owner(address(1)), Some(old));
        table.unregister(old);
        assert_eq!(table.owner(address(1)), None);
    }

    #[test]
    fn nothing_of_a_peer_is_left_after_it_went() {
        let (mut table, old, new) = two();
        for port in 1..100 {
            table.request_answered(old, address(port));
            table.request_sent(old, TransactionId([port as u8; 12]), address(port), true);
        }
        table.unregister(old);
        table.unregister(new);
        assert!(table.peers.is_empty());
        assert!(table.by_username_fragment.is_empty());
        assert!(table.by_address.is_empty());
        assert!(table.by_transaction.is_empty());
    }

    #[test]
    fn a_peer_holds_a_bounded_number_of_addresses_and_requests() {
        let (mut table, old, _) = two();
        for number in 0..1000_u16 {
            table.request_answered(old, address(number));
            // The one in use is verified again and again.
            table.request_answered(old, address(0));
            let mut id = [0; 12];
            id[..2].copy_from_slice(&number.to_be_bytes());
            table.request_sent(old, TransactionId(id), address(number), true);
        }
        assert_eq!(table.by_address.len(), MAX_ADDRESSES);
        assert_eq!(table.by_transaction.len(), MAX_REQUESTS);
        assert_eq!(table.owner(address(0)), Some(old));
    }

    #[test]
    fn a_name_is_given_once_until_it_is_free_again() {
        let (mut table, old, _) = two();
        assert_eq!(table.register("old".to_owned()), Err(UsernameFragmentTaken));
        table.unregister(old);
        assert!(table.register("old".to_owned()).is_ok());
    }
}
