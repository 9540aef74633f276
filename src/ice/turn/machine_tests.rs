//! The rules of an allocation.

use std::sync::atomic::{AtomicU8, Ordering};

use proptest::prelude::*;

use super::super::server_side::{KEY, NONCE_VALUE, REALM_VALUE, TestServer, peer, server_answer};
use super::*;
use crate::ice::stun::StunBuilder;

fn fresh() -> TransactionId {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    TransactionId([NEXT.fetch_add(1, Ordering::Relaxed); 12])
}

struct Client {
    machine: TurnMachine,
    effects: Vec<TurnEffect>,
    now: Instant,
}

impl Client {
    fn new() -> Self {
        let (now, mut effects) = (Instant::now(), Vec::new());
        let machine = TurnMachine::new("ada", "lovelace", fresh, now, &mut effects);
        Self {
            machine,
            effects,
            now,
        }
    }

    /// One that has its allocation.
    fn allocated() -> Self {
        let mut client = Self::new();
        client.be_served(&mut TestServer::default());
        assert!(matches!(
            client.effects[..],
            [TurnEffect::AnnounceAllocated { .. }]
        ));
        client.effects.clear();
        client
    }

    /// The requests that are to be sent.
    fn requests(&mut self) -> Vec<Vec<u8>> {
        let mut requests = Vec::new();
        self.effects.retain(|effect| match effect {
            TurnEffect::Send(bytes) => {
                requests.push(bytes.clone());
                false
            }
            TurnEffect::AnnounceAllocated { .. }
            | TurnEffect::AnnounceChannel { .. }
            | TurnEffect::Fail(_) => true,
        });
        requests
    }

    /// Until the server has answered all that is asked.
    fn be_served(&mut self, server: &mut TestServer) {
        loop {
            let requests = self.requests();
            if requests.is_empty() {
                return;
            }
            for request in requests {
                if let Some(answer) = server.answer(&request) {
                    self.hear(&answer);
                }
            }
        }
    }

    fn hear(&mut self, bytes: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let relayed = self
            .machine
            .handle_datagram(bytes, self.now, &mut self.effects);
        relayed.map(|relayed| (relayed.peer, relayed.payload.to_vec()))
    }

    fn send(&mut self, port: u16) {
        self.machine
            .send(peer(port), vec![0, 1], self.now, &mut self.effects);
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.machine.next_due().filter(|due| *due <= end) {
            self.now = due;
            self.machine.handle_timer(due, &mut self.effects);
        }
        self.now = end;
    }
}

#[test]
fn c086_an_allocation_is_asked_for_with_what_the_server_wants_to_know() {
    let mut client = Client::new();
    let [first] = &client.requests()[..] else {
        panic!("one request");
    };
    let message = StunMessage::parse_any(first).unwrap();
    assert!(message.integrity_at().is_none());
    assert!(Client::allocated().machine.next_due().is_some());
}

#[test]
fn what_is_sent_first_waits_for_the_channel_and_the_rest_does_not() {
    let mut client = Client::allocated();
    client.send(1);
    client.send(1);
    let mut server = TestServer::default();
    let requests = client.requests();
    assert_eq!(requests.len(), 1, "the channel is asked for once");
    if let Some(answer) = server.answer(&requests[0]) {
        client.hear(&answer);
    }
    assert!(matches!(
        client.effects[0],
        TurnEffect::AnnounceChannel {
            channel: ChannelNumber::FIRST,
            ..
        }
    ));
    let expected = vec![0x40, 0, 0, 2, 0, 1];
    assert_eq!(client.requests(), [expected.clone(), expected.clone()]);
    client.send(1);
    assert_eq!(client.requests(), [expected]);
    let relayed = client.hear(&[0x40, 0, 0, 1, 9]);
    assert_eq!(relayed, Some((peer(1), vec![9])));
}

#[test]
fn what_comes_from_nobody_that_was_permitted_is_discarded() {
    let mut client = Client::allocated();
    client.send(1);
    client.be_served(&mut TestServer::default());
    let indication = |port: u16, ip: [u8; 4]| {
        StunBuilder::of(DATA_INDICATION, StunClass::Indication, fresh())
            .xor_address(XOR_PEER_ADDRESS, (ip, port).into())
            .attribute(DATA, &[5, 6])
            .finish_by(None)
    };
    let same_host = client.hear(&indication(9, [192, 0, 2, 1]));
    assert_eq!(same_host, Some((peer(9), vec![5, 6])));
    assert_eq!(client.hear(&indication(9, [192, 0, 2, 2])), None);
    assert_eq!(client.hear(&[0x40, 1, 0, 1, 9]), None, "no such channel");
    assert_eq!(client.machine.discarded(), 2);
}

#[test]
fn answers_that_were_not_asked_for_or_are_of_somebody_else_change_nothing() {
    let mut client = Client::new();
    let request = client.requests().remove(0);
    let transaction = StunMessage::parse_any(&request).unwrap().transaction_id();
    let allocated = |key: Option<&[u8]>, transaction| {
        server_answer(3, StunClass::SuccessResponse, transaction)
            .xor_address(XOR_RELAYED_ADDRESS, peer(5))
            .xor_mapped_address(peer(6))
            .finish_by(key)
    };
    for bytes in [
        allocated(None, transaction),
        allocated(Some(&KEY), transaction),
        allocated(Some(&KEY), TransactionId([0xFF; 12])),
    ] {
        client.hear(&bytes);
        assert!(client.effects.is_empty(), "no key has been agreed on");
    }
    assert_eq!(client.machine.discarded(), 3);
}

#[test]
fn a_server_that_is_never_content_is_given_up() {
    for code in [401, 438] {
        let mut client = Client::new();
        let mut rounds = 0;
        while let [request] = &client.requests()[..] {
            let transaction = StunMessage::parse_any(request).unwrap().transaction_id();
            let refusal = server_answer(3, StunClass::ErrorResponse, transaction)
                .error(code, "")
                .attribute(0x0014, REALM_VALUE)
                .attribute(0x0015, NONCE_VALUE)
                .finish_by(None);
            client.hear(&refusal);
            rounds += 1;
            assert!(rounds < 10);
        }
        let failed = TurnEffect::Fail(RelayError::Unauthorized);
        assert_eq!(client.effects, [failed]);
        assert_eq!(client.machine.next_due(), None);
    }
}

#[test]
fn c086_a_server_that_refuses_or_makes_no_sense_is_given_up() {
    let refusals = [
        (486, true, RelayError::Refused(486)),
        (300, true, RelayError::Refused(300)),
        (401, false, RelayError::Nonsense),
    ];
    for (code, with_realm, expected) in refusals {
        let mut client = Client::new();
        let request = client.requests().remove(0);
        let transaction = StunMessage::parse_any(&request).unwrap().transaction_id();
        let mut answer = server_answer(3, StunClass::ErrorResponse, transaction).error(code, "");
        if with_realm {
            answer = answer.attribute(0x0014, REALM_VALUE);
        }
        client.hear(&answer.finish_by(None));
        assert_eq!(client.effects, [TurnEffect::Fail(expected)]);
    }
    let mut client = Client::new();
    client.pass(Duration::from_secs(60));
    let silence = TurnEffect::Fail(RelayError::NoAnswer);
    assert_eq!(client.requests().len(), 5);
    assert_eq!(client.effects, [silence]);
}

#[test]
fn an_address_that_nobody_can_reach_is_no_allocation() {
    let mut client = Client::new();
    let mut server = TestServer {
        relayed: "0.0.0.0:5".parse().unwrap(),
        ..TestServer::default()
    };
    client.be_served(&mut server);
    assert_eq!(client.effects, [TurnEffect::Fail(RelayError::Nonsense)]);
}

#[test]
fn c086_allocation_and_channel_are_kept_for_an_hour_and_nonces_may_change() {
    let mut client = Client::allocated();
    let mut server = TestServer::default();
    client.send(1);
    client.be_served(&mut server);
    client.effects.clear();
    for minute in 0..60_u8 {
        server.nonce = vec![minute; 8];
        client.pass(Duration::from_secs(60));
        client.send(1);
        client.be_served(&mut server);
    }
    assert!(client.effects.is_empty(), "{:?}", client.effects);
    assert!(
        (10..=13).contains(&server.refreshed),
        "{}",
        server.refreshed
    );
    assert!((12..=16).contains(&server.bound), "{}", server.bound);
}

#[test]
fn a_lifetime_of_nothing_or_of_ages_is_not_believed() {
    for (lifetime, refreshes) in [(0, 100..=121), (u32::MAX, 2..=3)] {
        let mut client = Client::new();
        let mut server = TestServer {
            lifetime,
            ..TestServer::default()
        };
        client.be_served(&mut server);
        for _ in 0..1800 {
            client.pass(Duration::from_secs(2));
            client.be_served(&mut server);
        }
        assert!(
            refreshes.contains(&server.refreshed),
            "{}",
            server.refreshed
        );
    }
}

#[test]
fn c086_a_release_is_repeated_until_it_is_answered() {
    let mut client = Client::allocated();
    client.machine.release(client.now, &mut client.effects);
    let lost = client.requests();
    assert_eq!(lost.len(), 1);
    client.pass(Duration::from_millis(250));
    let mut server = TestServer {
        nonce: b"another".to_vec(),
        ..TestServer::default()
    };
    client.be_served(&mut server);
    assert!(client.machine.is_over());
    assert_eq!(server.released, 1);
    client.machine.release(client.now, &mut client.effects);
    assert!(client.requests().is_empty());
}

/// Found by fuzzing: channels that became due while the release was repeated were asked for again, of an allocation that was
/// no more, and its end waited for the answers.
#[test]
fn what_is_given_back_asks_for_no_channels() {
    let mut client = Client::allocated();
    client.send(1);
    client.be_served(&mut TestServer::default());
    // The channel would be due in a second.
    client.pass(Duration::from_secs(239));
    client.send(1);
    client.effects.clear();
    client.machine.release(client.now, &mut client.effects);
    client.pass(Duration::from_secs(8));
    let methods: Vec<_> = client
        .requests()
        .iter()
        .map(|request| StunMessage::parse_any(request).unwrap().method())
        .collect();
    assert_eq!(methods, [4; 5]);
    assert!(client.machine.is_over());
}

#[test]
fn a_peer_of_another_family_is_not_asked_for() {
    let mut client = Client::allocated();
    let address = "[2001:db8::1]:5".parse().unwrap();
    client
        .machine
        .send(address, vec![0], client.now, &mut client.effects);
    assert!(client.effects.is_empty());
}

proptest! {
    #[test]
    fn whatever_a_server_sends_nothing_panics_and_little_is_kept(
        datagrams in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..200, any::<u8>(), any::<prop::sample::Index>()), 1..60)
    ) {
        let mut client = Client::allocated();
        client.send(1);
        let mut server = TestServer::default();
        // Answers to what is asked, with a byte changed and cut somewhere.
        for (which, at, byte, cut) in datagrams {
            client.send(u16::try_from(at).unwrap());
            client.pass(Duration::from_secs(10));
            let requests = client.requests();
            if requests.is_empty() {
                continue;
            }
            let request: &Vec<u8> = which.get(&requests);
            if let Some(mut answer) = server.answer(request) {
                let length = answer.len();
                answer[at % length] ^= byte;
                answer.truncate(length - cut.index(length) % 9);
                client.hear(&answer);
            }
            prop_assert!(client.machine.waiting.len() <= MAX_WAITING);
        }
    }
}
