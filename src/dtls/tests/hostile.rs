//! What strangers send, through a live transport.

use std::{io, mem};

use super::*;
use crate::dtls::guard::tests::{
    aborting_datagrams, fragment, panicking_inputs, panicking_messages, record,
};
use crate::dtls::guard::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, Record};
use crate::dtls::handshake::tests::client_hello;
use crate::dtls::link::POISON;
use crate::dtls::reassembly::Fragment;

/// Everything that was seen to end a reader of the crate, but for alerts.
fn poison() -> Vec<Vec<u8>> {
    let mut poison = panicking_inputs();
    for sequence in 0..8 {
        poison.extend(panicking_messages(sequence));
    }
    for content_type in [0, 19, 24, 63, 64, 255] {
        poison.push(record(content_type, 0, &[1; 20]));
        poison.push(record(content_type, 1, &[1; 40]));
    }
    poison.push(record(APPLICATION_DATA, 0, b"plain"));
    poison.push(record(CHANGE_CIPHER_SPEC, 0, &[2]));
    poison.push(record(CHANGE_CIPHER_SPEC, 1, &[1; 40]));
    for length in [1, 8, 9, 16, 23, 24, 40] {
        poison.push(record(HANDSHAKE, 1, &vec![7; length]));
        poison.push(record(ALERT, 1, &vec![7; length]));
        poison.push(record(APPLICATION_DATA, 1, &vec![7; length]));
        poison.push(record(APPLICATION_DATA, 2, &vec![7; length]));
    }
    poison
}

/// Through the bounded queue without a loss.
async fn feed(side: &Side, datagrams: Vec<Vec<u8>>) {
    for datagram in datagrams {
        side.receive(&datagram);
        while side.transport.inbound.waiting() > 0 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(side.transport.inbound.drops(), DtlsDrops::default());
}

/// Whether the readers of both sides are still alive: goodbyes arrive only then.
async fn assert_alive(client: Side, mut server: Side) {
    client.transport.close();
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
}

#[tokio::test(start_paused = true)]
async fn poison_before_the_handshake_does_not_prevent_it() {
    let (mut client, mut server) = pair().await;
    server.start(DtlsRole::Server, &client.certificate);
    feed(&server, poison()).await;
    client.start(DtlsRole::Client, &server.certificate);
    let keys = client.expect_keys().await;
    assert_mirrored(&keys, &server.expect_keys().await);
    assert_alive(client, server).await;
}

/// A server whose client has closed, and that client's certificate.
async fn left_server() -> (Side, Certificate) {
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    client.transport.close();
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
    server.expect_state(DtlsTransportState::Closed).await;
    (server, client.certificate.clone())
}

#[tokio::test(start_paused = true)]
async fn poison_after_a_close_neither_begins_a_handshake_nor_prevents_one() {
    let (mut server, certificate) = left_server().await;
    feed(&server, poison()).await;
    server.expect_silence().await;
    let mut again = Side::with_certificate(&ALL, certificate).await;
    again.set_wire(&Wire::new(&server, |_| Fate::Arrives));
    server.set_wire(&Wire::new(&again, |_| Fate::Arrives));
    again.start(DtlsRole::Client, &server.certificate);
    let keys = again.expect_keys().await;
    assert_mirrored(&keys, &server.expect_keys().await);
    assert_alive(again, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_hellos_after_a_close_gets_few_answers_and_less_than_it_sends() {
    let (mut server, _) = left_server().await;
    let (hellos, mut heard) = mpsc::unbounded_channel();
    let stranger = Side::new(&ALL).await;
    stranger.set_wire(&Wire::new(&server, move |hello| {
        let _enough = hellos.send(hello.to_vec());
        Fate::IsLost
    }));
    stranger.start(DtlsRole::Client, &server.certificate);
    let hello = heard.recv().await.unwrap();

    let (answers, mut answered) = mpsc::unbounded_channel();
    server.set_wire(&Wire::new(&stranger, move |answer| {
        let _enough = answers.send(answer.len());
        Fate::IsLost
    }));
    feed(&server, vec![hello.clone(); 2000]).await;
    server.expect_state(DtlsTransportState::Connecting).await;
    let after = DEFAULT_HANDSHAKE_TIMEOUT;
    let failed = DtlsEvent::Failed(DtlsError::HandshakeTimeout { after });
    assert_eq!(server.next().await, failed);
    let mut lengths = Vec::new();
    while let Ok(length) = answered.try_recv() {
        lengths.push(length);
    }
    assert!((1..=300).contains(&lengths.len()), "{}", lengths.len());
    assert!(lengths.iter().all(|length| *length <= hello.len()));
}

#[tokio::test(start_paused = true)]
async fn poison_for_a_client_that_waits_does_not_prevent_the_handshake() {
    let (mut client, mut server) = pair().await;
    client.start(DtlsRole::Client, &server.certificate);
    feed(&client, poison()).await;
    server.start(DtlsRole::Server, &client.certificate);
    let keys = client.expect_keys().await;
    assert_mirrored(&keys, &server.expect_keys().await);
    assert_alive(client, server).await;
}

#[tokio::test(start_paused = true)]
async fn poison_between_all_packets_of_a_handshake_does_not_prevent_it() {
    // Each piece of poison once, before a packet of either side; then the network is clean.
    let spoiled = |to: &Side| {
        let (inbound, mut rest) = (to.transport.inbound(), poison());
        Wire::new(to, move |_| {
            for datagram in rest.drain(..rest.len().min(20)) {
                inbound.push(datagrams(&datagram));
            }
            Fate::Arrives
        })
    };
    let (mut client, mut server) = (Side::new(&ALL).await, Side::new(&ALL).await);
    client.set_wire(&spoiled(&server));
    server.set_wire(&spoiled(&client));
    connect(&mut client, &mut server).await;
    assert_alive(client, server).await;
}

#[tokio::test(start_paused = true)]
async fn c113_poison_after_the_handshake_does_not_end_the_session() {
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    feed(&client, poison()).await;
    feed(&server, poison()).await;
    assert_alive(client, server).await;
}

#[tokio::test(start_paused = true)]
async fn c113_no_changed_byte_and_no_cut_of_an_encrypted_record_ends_the_session() {
    let (sent, mut goodbyes) = mpsc::unbounded_channel();
    let (mut client, mut server) = pair_with(
        move |datagram| {
            if datagram[0] == ALERT {
                let _unread = sent.send(datagram.to_vec());
                return Fate::IsLost;
            }
            Fate::Arrives
        },
        |_| Fate::Arrives,
    )
    .await;
    connect(&mut client, &mut server).await;
    client.transport.close();
    let goodbye = goodbyes.recv().await.unwrap();
    let cuts = (0..goodbye.len()).map(|length| goodbye[..length].to_vec());
    let changes = (0..goodbye.len() * 8).map(|bit| {
        let mut changed = goodbye.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    feed(&server, cuts.chain(changes).collect()).await;
    server.expect_silence().await;
    server.receive(&goodbye);
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
}

#[tokio::test(start_paused = true)]
async fn the_input_that_aborts_the_process_only_costs_time() {
    let (mut client, mut server) = pair().await;
    server.start(DtlsRole::Server, &client.certificate);
    feed(&server, aborting_datagrams(1, 0)).await;
    client.start(DtlsRole::Client, &server.certificate);
    let keys = client.expect_keys().await;
    assert_mirrored(&keys, &server.expect_keys().await);
    feed(&server, aborting_datagrams(11, 2)).await;
    assert_alive(client, server).await;
}

#[tokio::test(start_paused = true)]
async fn c115_plaintext_after_the_handshake_is_ignored() {
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    for side in [&client, &server] {
        feed(
            side,
            vec![
                record(ALERT, 0, &[2, 40]),
                record(ALERT, 0, &[1, 0]),
                record(APPLICATION_DATA, 0, b"plain"),
                record(99, 0, b"unknown"),
            ],
        )
        .await;
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    client.expect_silence().await;
    server.expect_silence().await;
    assert_alive(client, server).await;
}

#[tokio::test(start_paused = true)]
async fn a_forged_alert_does_not_end_a_handshake_that_goes_on() {
    // Before every packet of the handshake somebody claims to have given up.
    let spoiled = |to: &Side| {
        let inbound = to.transport.inbound();
        let mut lose = true;
        Wire::new(to, move |_| {
            inbound.push(datagrams(&record(ALERT, 0, &[2, 40])));
            lose = !lose;
            if lose { Fate::IsLost } else { Fate::Arrives }
        })
    };
    let (mut client, mut server) = (Side::new(&ALL).await, Side::new(&ALL).await);
    client.set_wire(&spoiled(&server));
    server.set_wire(&spoiled(&client));
    connect(&mut client, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn c113_any_changed_byte_or_cut_during_a_handshake_costs_a_repetition_at_most() {
    // Each packet is first sent changed or cut, then intact when it is repeated.
    for seed in 0..40_usize {
        let spoil = move |to: &Side| {
            let inbound = to.transport.inbound();
            let (mut count, mut spoiled) = (0, false);
            Wire::new(to, move |datagram| {
                count += 1;
                if count <= 6 && !mem::replace(&mut spoiled, true) {
                    let mut broken = datagram.to_vec();
                    let at = (seed * 31 + count * 7) % broken.len();
                    if seed % 2 == 0 {
                        broken.truncate(at);
                    } else {
                        // Lengths, kinds, epochs; not what only the far end can check.
                        broken[at % 13] ^= 1 << (seed % 8);
                    }
                    inbound.push(datagrams(&broken));
                    return Fate::IsLost;
                }
                spoiled = false;
                Fate::Arrives
            })
        };
        let (mut client, mut server) = (Side::new(&ALL).await, Side::new(&ALL).await);
        client.set_wire(&spoil(&server));
        server.set_wire(&spoil(&client));
        connect(&mut client, &mut server).await;
    }
}

// The crate reads in a task of its own. After a panic there, a connection looked as if the remote side had closed it.
#[tokio::test(start_paused = true)]
async fn a_reader_of_the_crate_that_panics_fails_the_connection_and_says_so() {
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    let mut contents = vec![0; 24];
    contents.extend(POISON);
    server.receive(&record(APPLICATION_DATA, 1, &contents));
    let failed = DtlsEvent::Failed(DtlsError::Broken);
    assert_eq!(server.next().await, failed);
    server.expect_state(DtlsTransportState::Failed).await;
    // The remote side is told goodbye all the same.
    assert_eq!(client.next().await, DtlsEvent::ClosedByPeer);
}

#[tokio::test(start_paused = true)]
async fn a_reader_of_the_crate_that_panics_fails_the_handshake_and_says_so() {
    let (client, mut server) = pair().await;
    server.start(DtlsRole::Server, &client.certificate);
    let hello = client_hello(&[(14, &[0, 2, 0, 7, 0]), (99, POISON)]);
    server.receive(&fragment(1, hello.len(), 0, 0, &hello));
    assert_eq!(server.expect_failure().await, DtlsError::Broken);
}

/// A network that tears each handshake message into pieces, each of which repeats a part of its neighbour, and brings the last
/// one first.
struct Shredder {
    to: DtlsInbound,
}

impl Shredder {
    fn shred(&self, whole: &Fragment<'_>) {
        let mut starts: Vec<_> = (0..whole.bytes.len()).step_by(40).rev().collect();
        if starts.is_empty() {
            starts.push(0);
        }
        for start in starts {
            let end = whole.bytes.len().min(start + 60);
            let piece = fragment(
                whole.kind,
                whole.message_length,
                whole.message_sequence,
                whole.offset + start,
                &whole.bytes[start..end],
            );
            self.to.push(datagrams(&piece));
        }
    }
}

impl Egress for Shredder {
    fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let mut rest = datagram;
        while let Some((record, tail)) = Record::read(rest) {
            if record.epoch == 0 && record.content_type == HANDSHAKE {
                let mut contents = record.contents;
                while let Some((message, more)) = Fragment::read(contents) {
                    self.shred(&message);
                    contents = more;
                }
            } else {
                self.to.push(datagrams(&rest[..rest.len() - tail.len()]));
            }
            rest = tail;
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_in_pieces_that_overlap_and_come_in_no_order_completes() {
    let (mut client, mut server) = pair().await;
    for (from, to) in [(&client, &server), (&server, &client)] {
        let to = to.transport.inbound();
        let shredder: Arc<dyn Egress> = Arc::new(Shredder { to });
        from.transport.tell(DtlsMessage::SetPath(shredder));
    }
    connect(&mut client, &mut server).await;
    assert_alive(client, server).await;
}

// Pieces that never make a whole, from the verified address, cost the handshake its time and nothing else.
#[tokio::test(start_paused = true)]
async fn pieces_that_never_end_cost_a_handshake_no_more_than_its_time() {
    let (client, mut server) = pair().await;
    server.start(DtlsRole::Server, &client.certificate);
    server.expect_state(DtlsTransportState::Connecting).await;
    for round in 0..40 {
        let pieces = (0..100).map(|at| fragment(1, 8_000, 0, 1 + 79 * at, &[round; 3]));
        feed(&server, pieces.collect()).await;
    }
    let after = DEFAULT_HANDSHAKE_TIMEOUT;
    let failed = DtlsEvent::Failed(DtlsError::HandshakeTimeout { after });
    assert_eq!(server.next().await, failed);
}
