//! What lies between two peers, and does what it likes.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::fuzzing::Input;

/// Two sockets, each of which stands for a peer to the other one, and one of a stranger.
///
/// For each datagram that passes, one command is read, with what it needs. As long as there is no media, what is genuine
/// comes first, and in its order.
pub(super) struct Wire<'a> {
    /// The stand-in of each peer.
    sockets: [UdpSocket; 2],
    stranger: UdpSocket,
    /// Where the peers are.
    peers: [Cell<Option<SocketAddr>>; 2],
    commands: RefCell<Input<'a>>,
    phase: Cell<Phase>,
    seen: RefCell<Seen>,
    /// What the stranger has said, in bytes.
    said: Cell<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Media,
    Calm,
}

#[derive(Default)]
struct Seen {
    datagrams: Vec<Vec<u8>>,
    /// Those that come after the next one of their way.
    late: [Option<Vec<u8>>; 2],
}

impl<'a> Wire<'a> {
    pub(super) async fn new(commands: Input<'a>) -> Self {
        Self {
            sockets: [bind().await, bind().await],
            stranger: bind().await,
            peers: [Cell::new(None), Cell::new(None)],
            commands: RefCell::new(commands),
            phase: Cell::new(Phase::Handshake),
            seen: RefCell::default(),
            said: Cell::new(0),
        }
    }

    /// A description of that peer as the other one is to see it: its candidate leads to the stand-in.
    pub(super) fn describe(&self, which: usize, sdp: &str) -> String {
        let stand_in = address(&self.sockets[which]);
        let redirected = |line: &str| {
            let mut fields: Vec<_> = line.split(' ').collect();
            if !line.starts_with("a=candidate:") || fields.len() < 8 {
                return format!("{line}\r\n");
            }
            let there = format!("{}:{}", fields[4], fields[5]);
            self.peers[which].set(there.parse().ok());
            let (ip, port) = (stand_in.ip().to_string(), stand_in.port().to_string());
            (fields[4], fields[5]) = (&ip, &port);
            format!("{}\r\n", fields.join(" "))
        };
        sdp.lines().map(redirected).collect()
    }

    /// From now on datagrams may get lost, and overtake each other.
    pub(super) fn begin_media(&self) {
        self.phase.set(Phase::Media);
    }

    /// From now on everything arrives, and nothing else.
    pub(super) fn calm_down(&self) {
        self.phase.set(Phase::Calm);
    }

    /// Carries what comes, for ever.
    pub(super) async fn carry(&self) {
        let mut buffers = [vec![0; LONGEST], vec![0; LONGEST]];
        let [first, second] = &mut buffers;
        loop {
            // What peer 0 sends arrives where it takes peer 1 to be.
            let (to, length, from) = tokio::select! {
                Ok((length, from)) = self.sockets[1].recv_from(first) => (1, length, from),
                Ok((length, from)) = self.sockets[0].recv_from(second) => (0, length, from),
            };
            if self.peers[1 - to].get() != Some(from) {
                continue;
            }
            let datagram = match to {
                1 => first[..length].to_vec(),
                _ => second[..length].to_vec(),
            };
            self.pass(to, datagram).await;
        }
    }

    async fn pass(&self, to: usize, datagram: Vec<u8>) {
        let late = self.seen.borrow_mut().late[to].take();
        let fate = match self.phase.get() {
            Phase::Calm => Fate::default(),
            Phase::Handshake => Fate {
                original: Original::First,
                ..self.decide(&datagram)
            },
            Phase::Media => self.decide(&datagram),
        };
        self.remember(&datagram);
        if fate.original == Original::First {
            self.send(to, &datagram).await;
        }
        for forged in &fate.forged {
            self.send(to, forged).await;
        }
        for (forged, peer) in fate.of_stranger.iter().zip([to, 1 - to]) {
            self.speak(forged, peer).await;
        }
        match fate.original {
            Original::First | Original::Lost => {}
            Original::Last => self.send(to, &datagram).await,
            Original::Late => self.seen.borrow_mut().late[to] = Some(datagram),
        }
        if let Some(late) = late {
            self.send(to, &late).await;
        }
    }

    fn remember(&self, datagram: &[u8]) {
        let seen = &mut self.seen.borrow_mut().datagrams;
        if seen.len() < MOST_SEEN {
            seen.push(datagram.to_vec());
        }
    }

    /// Reads the command for a datagram.
    fn decide(&self, datagram: &[u8]) -> Fate {
        let mut input = self.commands.borrow_mut();
        let mut fate = Fate::default();
        if input.is_empty() {
            return fate;
        }
        let command = input.byte();
        fate.original = match command >> 6 {
            0 | 1 => Original::First,
            2 => Original::Last,
            _ if command & 0x20 == 0 => Original::Late,
            _ => Original::Lost,
        };
        let seen = self.seen.borrow();
        let count = seen.datagrams.len().max(1);
        let earlier = |input: &mut Input<'_>| {
            let which = usize::from(input.byte()) % count;
            seen.datagrams.get(which).cloned().unwrap_or_default()
        };
        let mut forged = datagram.to_vec();
        match command % 10 {
            0 => return fate,
            1 | 2 => change(&mut forged, &mut input),
            3 => forged.truncate(usize::from(input.number()) % (datagram.len() + 1)),
            4 => fate.forged = vec![forged.clone(); usize::from(input.byte() % 8)],
            5 => forged = earlier(&mut input),
            6 => {
                let other = earlier(&mut input);
                let at = usize::from(input.number()) % (forged.len().min(other.len()) + 1);
                forged.truncate(at);
                forged.extend(&other[at..]);
            }
            7 => {
                let first = forged.first().copied();
                forged = first
                    .into_iter()
                    .chain(input.block().iter().copied())
                    .collect();
            }
            8 => {
                forged = earlier(&mut input);
                change(&mut forged, &mut input);
            }
            _ => {
                change(&mut forged, &mut input);
                fate.of_stranger = vec![forged.clone(), forged.clone()];
            }
        }
        fate.forged.push(forged);
        fate
    }

    async fn send(&self, to: usize, datagram: &[u8]) {
        if let Some(peer) = self.peers[to].get() {
            // A full buffer is loss, as on any network.
            let _lost = self.sockets[1 - to].send_to(datagram, peer).await;
        }
    }

    async fn speak(&self, datagram: &[u8], to: usize) {
        if let Some(peer) = self.peers[to].get() {
            self.said.set(self.said.get() + datagram.len());
            let _lost = self.stranger.send_to(datagram, peer).await;
        }
    }

    /// Nobody tells a stranger more than it has said.
    pub(super) async fn check(&self) {
        let (mut buffer, mut told) = (vec![0; LONGEST], 0);
        let instantly = Duration::from_millis(1);
        while let Ok(Ok(length)) = timeout(instantly, self.stranger.recv(&mut buffer)).await {
            told += length;
        }
        assert!(told <= self.said.get(), "{told} of {}", self.said.get());
    }
}

/// What becomes of a datagram, and what comes with it.
#[derive(Default)]
struct Fate {
    original: Original,
    forged: Vec<Vec<u8>>,
    of_stranger: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Original {
    #[default]
    First,
    Last,
    Late,
    Lost,
}

/// Changes up to four bytes, never none.
fn change(datagram: &mut [u8], input: &mut Input<'_>) {
    for _ in 0..=input.byte() % 4 {
        let at = usize::from(input.number()) % datagram.len().max(1);
        if let Some(byte) = datagram.get_mut(at) {
            *byte ^= input.byte().max(1);
        }
    }
}

async fn bind() -> UdpSocket {
    let bound = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    bound.expect("loopback has a free port")
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}

const LONGEST: usize = 65_536;

/// Of which copies may come again.
const MOST_SEEN: usize = 256;
