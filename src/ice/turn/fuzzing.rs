//! A TURN server that says what it likes, and peers behind it.

use std::cell::Cell;
use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use super::machine::{DATA, DATA_INDICATION, TurnEffect, TurnMachine, XOR_PEER_ADDRESS};
use super::server_side::{TestServer, peer};
use crate::fuzzing::Input;
use crate::ice::stun::StunBuilder;
use crate::udp::{StunClass, TransactionId};

/// One allocation: a server that grants and refuses, whose answers come changed, late, twice or not at all, and datagrams of
/// strangers and of peers.
///
/// A datagram makes us send a bounded number of others. What is handed on came from an address that we have sent to, and was
/// in the datagram. Nothing happens any more once it is over, and in silence everything ends.
pub(crate) fn turn(data: &[u8]) {
    let mut input = Input::new(data);
    let mut game = Game::new();
    while input.has_move(MOST_MOVES) {
        game.play(&mut input);
        game.settle();
    }
    game.end();
}

struct Game {
    machine: TurnMachine,
    server: TestServer,
    effects: Vec<TurnEffect>,
    /// Requests that the server has not seen yet.
    asked: VecDeque<Vec<u8>>,
    /// The last answer, to be sent again.
    answer: Vec<u8>,
    now: Instant,
    /// Ports of peers that we have sent to.
    sent_to: HashSet<u16>,
    failed: bool,
}

impl Game {
    fn new() -> Self {
        FRESH.set(0);
        let (now, mut effects) = (Instant::now(), Vec::new());
        let machine = TurnMachine::new("ada", "lovelace", fresh, now, &mut effects);
        let mut game = Self {
            machine,
            server: TestServer::default(),
            effects,
            asked: VecDeque::new(),
            answer: Vec::new(),
            now,
            sent_to: HashSet::new(),
            failed: false,
        };
        game.settle();
        game
    }

    fn play(&mut self, input: &mut Input<'_>) {
        match input.byte() % 10 {
            0 => {
                self.serve();
                self.receive(&self.answer.clone());
            }
            1 => {
                self.serve();
                let mut changed = self.answer.clone();
                let at = usize::from(input.number()) % changed.len().max(1);
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= input.byte();
                }
                self.receive(&changed);
            }
            2 => self.receive(&self.answer.clone()),
            3 => self.receive(input.long_block()),
            4 => self.pass(Duration::from_millis(u64::from(input.number()) << 3)),
            5 => {
                let port = u16::from(input.byte() % 8);
                let bytes = input.block().to_vec();
                self.sent_to.insert(port);
                let (machine, effects) = (&mut self.machine, &mut self.effects);
                machine.send(peer(port), bytes, self.now, effects);
            }
            6 => {
                let port = u16::from(input.byte());
                let indication = StunBuilder::of(
                    DATA_INDICATION,
                    StunClass::Indication,
                    TransactionId([9; 12]),
                )
                .xor_address(XOR_PEER_ADDRESS, peer(port))
                .attribute(DATA, input.block())
                .finish(None);
                self.receive(&indication);
            }
            7 => {
                let mut channel = vec![0x40, input.byte() % 10];
                let payload = input.block();
                channel.extend((payload.len() as u16).to_be_bytes());
                channel.extend(payload);
                self.receive(&channel);
            }
            8 => {
                let nonce = vec![input.byte(); 1 + usize::from(input.byte())];
                self.server.nonce = nonce;
                self.server.lifetime = input.word();
            }
            _ => self.machine.release(self.now, &mut self.effects),
        }
    }

    /// The server answers the oldest request.
    fn serve(&mut self) {
        while let Some(request) = self.asked.pop_front() {
            if let Some(answer) = self.server.answer(&request) {
                self.answer = answer;
                return;
            }
        }
    }

    fn receive(&mut self, datagram: &[u8]) {
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        let relayed = machine.handle_datagram(datagram, self.now, effects);
        if let Some(relayed) = relayed {
            let known = |port: &u16| peer(*port).ip() == relayed.peer.ip();
            assert!(self.sent_to.iter().any(known), "of a peer unheard of");
            let inside = datagram.as_ptr_range();
            let payload = relayed.payload.as_ptr_range();
            assert!(inside.start <= payload.start && payload.end <= inside.end);
        }
    }

    /// Time passes, and what becomes due meanwhile is done.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(due) = self.machine.next_due().filter(|due| *due <= until) {
            self.wake(due);
        }
        self.now = until;
    }

    fn wake(&mut self, due: Instant) {
        self.now = self.now.max(due);
        self.machine.handle_timer(self.now, &mut self.effects);
        self.settle();
        let due = self.machine.next_due();
        assert!(due.is_none_or(|due| due > self.now), "due again at once");
    }

    fn settle(&mut self) {
        let over = self.failed && self.effects.is_empty();
        assert!(over || !self.failed, "it goes on after its end");
        let mut sent = 0;
        for effect in self.effects.drain(..) {
            match effect {
                TurnEffect::Send(bytes) => {
                    sent += 1;
                    assert!(bytes.len() <= LONGEST, "{}", bytes.len());
                    self.asked.push_back(bytes);
                }
                TurnEffect::AnnounceAllocated { relayed, .. } => assert_ne!(relayed.port(), 0),
                TurnEffect::AnnounceChannel { peer, .. } => {
                    assert!(self.sent_to.contains(&peer.port()));
                }
                TurnEffect::Fail(_) => self.failed = true,
            }
        }
        assert!(sent <= MOST_SENT, "{sent} at once");
        self.asked.truncate(MOST_ASKED);
    }

    /// Nobody answers any more.
    fn end(mut self) {
        self.machine.release(self.now, &mut self.effects);
        self.settle();
        for _ in 0..MOST_WAKES {
            let Some(due) = self.machine.next_due() else {
                break;
            };
            self.wake(due);
        }
        assert!(self.machine.is_over(), "it never ends");
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        machine.send(peer(1), vec![1], self.now, effects);
        assert!(effects.is_empty());
    }
}

/// Each another one, and the same in every run.
fn fresh() -> TransactionId {
    let number = FRESH.get();
    FRESH.set(number + 1);
    let mut id = [0xfa; 12];
    id[..4].copy_from_slice(&number.to_be_bytes());
    TransactionId(id)
}

thread_local! {
    static FRESH: Cell<u32> = const { Cell::new(0) };
}

/// All that waits for a channel, or all requests repeated at once, of which there is one for each peer and three besides.
const MOST_SENT: usize = 16;

/// A request with the longest realm and nonce, or a datagram that the game sends.
const LONGEST: usize = 2048;

/// A release is repeated four times.
const MOST_WAKES: usize = 8;

const MOST_ASKED: usize = 64;
const MOST_MOVES: usize = 300;
