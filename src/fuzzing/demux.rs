//! Who a datagram of an endpoint is for.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};

use super::input::Input;
use crate::udp::{
    ATTRIBUTE_HEADER, ChannelNumber, DatagramKind, HEADER, MAGIC_COOKIE, PeerKey, RouteTable,
    StunClass, StunMessage, TransactionId, USERNAME,
};

/// A game with the routes of an endpoint: peers come and go, ICE asks and answers, and strangers send STUN of all kinds.
///
/// An address belongs to nobody who has not proven to be there, one that somebody holds is taken from him only by who reads what
/// is sent to it, and the number of addresses of a peer is bounded. STUN that is read tells of nothing that is not in it.
pub(super) fn demux(data: &[u8]) {
    let mut input = Input::new(data);
    let mut game = Game::default();
    while input.has_move(MOST_MOVES) {
        game.play(&mut input);
        game.check();
    }
    game.leave();
}

#[derive(Default)]
struct Game {
    table: RouteTable,
    peers: HashMap<u8, PeerKey>,
    /// What a peer has shown, weakly or strongly.
    proven: HashSet<(PeerKey, SocketAddr)>,
    /// Requests under way.
    asked: HashMap<TransactionId, (PeerKey, SocketAddr, bool)>,
}

impl Game {
    fn play(&mut self, input: &mut Input<'_>) {
        match input.byte() % 7 {
            0 => self.register(input.byte() % 4),
            1 => self.unregister(input.byte() % 4),
            2 => {
                let (name, transaction, to) = (input.byte() % 4, input.byte(), address(input));
                let verifies = input.byte() & 1 == 0;
                if let Some(&key) = self.peers.get(&name) {
                    let id = TransactionId([name << 6 | transaction & 0x3f; 12]);
                    self.table.request_sent(key, id, to, verifies);
                    self.asked.insert(id, (key, to, verifies));
                }
            }
            3 => {
                let (name, from) = (input.byte() % 4, address(input));
                if let Some(&key) = self.peers.get(&name) {
                    let before = self.table.owner(from);
                    self.table.request_answered(key, from);
                    if before.is_none() {
                        self.proven.insert((key, from));
                    } else {
                        assert_eq!(self.table.owner(from), before, "taken by a weak proof");
                    }
                }
            }
            4 | 5 => {
                let from = address(input);
                let message = message(input);
                self.receive(from, &message);
            }
            _ => {
                let from = address(input);
                self.receive(from, input.block());
            }
        }
    }

    fn register(&mut self, name: u8) {
        let registered = self.table.register(format!("peer{name}"));
        assert_eq!(registered.is_ok(), !self.peers.contains_key(&name));
        if let Ok(key) = registered {
            self.peers.insert(name, key);
        }
    }

    fn unregister(&mut self, name: u8) {
        if let Some(key) = self.peers.remove(&name) {
            self.table.unregister(key);
            self.proven.retain(|(owner, _)| *owner != key);
            self.asked.retain(|_, (owner, ..)| *owner != key);
        }
    }

    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) {
        assert_read_within(datagram);
        let before = self.table.owner(from);
        let found = self.table.route_stun(from, datagram);
        let Some(message) = StunMessage::parse(datagram) else {
            assert!(found.is_err());
            assert_eq!(self.table.owner(from), before);
            return;
        };
        let id = message.transaction_id();
        let answers = match message.class() {
            StunClass::SuccessResponse => self.asked.get(&id).copied(),
            StunClass::Request | StunClass::Indication | StunClass::ErrorResponse => None,
        };
        match answers {
            Some((key, to, true)) if to == from && found.is_ok() => {
                self.proven.insert((key, from));
            }
            _ => assert_eq!(self.table.owner(from), before, "taken without a proof"),
        }
        if let (StunClass::Request, Ok(key)) = (message.class(), found) {
            let (ours, _) = message.username().expect("requests go by their name");
            let named = ours.strip_prefix("peer").and_then(|name| name.parse().ok());
            assert_eq!(named.and_then(|name: u8| self.peers.get(&name)), Some(&key));
        }
    }

    fn check(&self) {
        let mut held: HashMap<PeerKey, usize> = HashMap::new();
        for address in (0..=u8::MAX).map(at_port) {
            if let Some(key) = self.table.owner(address) {
                assert!(self.proven.contains(&(key, address)), "nobody was there");
                *held.entry(key).or_default() += 1;
            }
        }
        assert!(held.values().all(|count| *count <= MOST_ADDRESSES));
    }

    /// Nothing is left of who has gone.
    fn leave(mut self) {
        for name in 0..4 {
            self.unregister(name);
        }
        assert!((0..=u8::MAX).all(|port| self.table.owner(at_port(port)).is_none()));
        let empty = RouteTable::default();
        let text = format!("{:?}", self.table);
        let maps = |text: &str| text.split_once("peers").map(|(_, maps)| maps.to_owned());
        assert_eq!(maps(&text), maps(&format!("{empty:?}")));
    }
}

/// Whatever is read of a datagram lies within it.
fn assert_read_within(datagram: &[u8]) {
    let within = |part: &[u8]| datagram.windows(part.len().max(1)).any(|it| it == part);
    if let Some((_, contents)) = ChannelNumber::open(datagram) {
        assert!(DatagramKind::of(datagram).is_none());
        assert!(contents.is_empty() || within(contents));
    }
    let Some(message) = StunMessage::parse_any(datagram) else {
        return;
    };
    if StunMessage::parse(datagram).is_some() {
        assert_eq!(DatagramKind::of(datagram), Some(DatagramKind::Stun));
    }
    assert_eq!(message.bytes(), datagram);
    if let Some((ours, theirs)) = message.username() {
        let name = [ours.as_bytes(), b":", theirs.as_bytes()].concat();
        assert!(within(&name));
    }
    if let Some(at) = message.integrity_at() {
        assert!((HEADER..datagram.len() - ATTRIBUTE_HEADER + 1).contains(&at));
    }
}

/// A well-formed message of the fuzzer's choice: class, transaction, name of the receiver.
fn message(input: &mut Input<'_>) -> Vec<u8> {
    let (class, transaction, name) = (input.byte(), input.byte(), input.byte() % 5);
    let mut bytes = vec![class & 1, 1 | (class & 2) << 3, 0, 0];
    bytes.extend(MAGIC_COOKIE);
    bytes.extend([transaction; 12]);
    let username = format!("peer{name}:there");
    bytes.extend(USERNAME.to_be_bytes());
    bytes.extend([0, username.len() as u8]);
    bytes.extend(username.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes[3] = (bytes.len() - HEADER) as u8;
    bytes
}

fn address(input: &mut Input<'_>) -> SocketAddr {
    at_port(input.byte())
}

fn at_port(port: u8) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 1000 + u16::from(port)))
}

/// As the table says of itself.
const MOST_ADDRESSES: usize = 16;

/// A longer game only takes longer.
const MOST_MOVES: usize = 400;
