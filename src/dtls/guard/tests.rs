use proptest::prelude::*;
use webrtc_dtls::handshake::Handshake;

use super::*;
use crate::dtls::handshake::tests::client_hello;

/// A record as a peer would send it.
pub(in crate::dtls) fn record(content_type: u8, epoch: u16, contents: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, 0xfe, 0xfd];
    record.extend(epoch.to_be_bytes());
    record.extend([0, 0, 0, 0, 0, 7]);
    record.extend((contents.len() as u16).to_be_bytes());
    record.extend(contents);
    record
}

/// A record with one fragment of a handshake message.
pub(in crate::dtls) fn fragment(
    kind: u8,
    length: usize,
    sequence: u16,
    at: usize,
    bytes: &[u8],
) -> Vec<u8> {
    let mut contents = Vec::new();
    Fragment {
        kind,
        message_length: length,
        message_sequence: sequence,
        offset: at,
        bytes,
    }
    .write(&mut contents);
    record(HANDSHAKE, 0, &contents)
}

fn whole(kind: u8, sequence: u16, body: &[u8]) -> Vec<u8> {
    fragment(kind, body.len(), sequence, 0, body)
}

/// The inputs on which the crate was seen to panic, as they were found; each would end its reader.
pub(in crate::dtls) fn panicking_inputs() -> Vec<Vec<u8>> {
    let header = |kind: u8| {
        let mut bytes = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.push(kind);
        bytes
    };
    let hello = |kind: u8, zeros: usize| {
        let mut bytes = header(kind);
        bytes.extend(vec![0; zeros]);
        bytes.extend([1, 0]);
        bytes
    };
    let key_exchange = |kind: u8| {
        let mut bytes = header(kind);
        bytes.extend([0; 11]);
        bytes
    };
    vec![
        hello(1, 51),
        hello(2, 50),
        key_exchange(16),
        key_exchange(12),
    ]
}

/// The same bodies in records and fragments whose lengths are right, so that nothing but a look at
/// the whole message tells; once whole and once in fragments of one byte.
pub(in crate::dtls) fn panicking_messages(sequence: u16) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    for (kind, body) in panicking_bodies() {
        datagrams.push(whole(kind, sequence, &body));
        datagrams.push(
            (0..body.len())
                .flat_map(|at| fragment(kind, body.len(), sequence, at, &body[at..=at]))
                .collect(),
        );
    }
    datagrams
}

fn panicking_bodies() -> [(u8, Vec<u8>); 6] {
    [
        (kind::CLIENT_HELLO, [vec![0; 39], vec![0, 1, 0]].concat()),
        (kind::SERVER_HELLO, [vec![0; 38], vec![0, 1, 0]].concat()),
        (kind::CLIENT_KEY_EXCHANGE, vec![]),
        (kind::CLIENT_KEY_EXCHANGE, vec![0]),
        (kind::SERVER_KEY_EXCHANGE, vec![]),
        (kind::SERVER_KEY_EXCHANGE, vec![3]),
    ]
}

/// 60 000 fragments of one byte, the first one last: the crate recurses once for each, and the
/// whole process aborts.
pub(in crate::dtls) fn aborting_datagrams(kind: u8, sequence: u16) -> Vec<Vec<u8>> {
    let offsets: Vec<usize> = (0..60_000).rev().collect();
    offsets
        .chunks(40)
        .map(|chunk| {
            let fragments = chunk
                .iter()
                .map(|&at| fragment(kind, 60_000, sequence, at, b"x"));
            fragments.flatten().collect()
        })
        .collect()
}

fn accept(guard: &mut RecordGuard, datagram: &[u8]) -> (Verdict, Vec<Vec<u8>>) {
    let mut out = VecDeque::new();
    let verdict = guard.accept(datagram, &mut out);
    (verdict, out.into())
}

fn passed(guard: &mut RecordGuard, datagram: &[u8]) -> Vec<Vec<u8>> {
    accept(guard, datagram).1
}

fn hello() -> Vec<u8> {
    client_hello(&[(14, &[0, 4, 0, 1, 0, 7, 0])])
}

const FINISHED: &[u8] = &[9; 48];

/// A server's guard that has let the client's whole plaintext through.
fn keyed_server() -> RecordGuard {
    let mut guard = RecordGuard::new(DtlsRole::Server);
    for (sequence, (kind, body)) in [
        (kind::CLIENT_HELLO, hello()),
        (kind::CLIENT_HELLO, hello()),
        (kind::CERTIFICATE, vec![0, 0, 4, 0, 0, 1, 1]),
        (kind::CLIENT_KEY_EXCHANGE, vec![1, 1]),
        (kind::CERTIFICATE_VERIFY, vec![4, 3, 0, 1, 1]),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(
            passed(&mut guard, &whole(kind, sequence as u16, &body)).len(),
            1
        );
    }
    guard
}

#[test]
fn the_guard_is_still_needed() {
    // Should this fail, the crate has learned to look before it indexes.
    for (kind, body) in panicking_bodies() {
        let message = whole(kind, 0, &body);
        let parsed = std::panic::catch_unwind(|| {
            Handshake::unmarshal(&mut &message[RECORD_HEADER_BYTES..]).is_ok()
        });
        assert!(parsed.is_err(), "{kind}");
    }
}

#[test]
fn inputs_that_make_the_crate_panic_do_not_reach_it() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut guard = RecordGuard::new(role);
        for sequence in 0..4 {
            for datagram in panicking_inputs()
                .into_iter()
                .chain(panicking_messages(sequence))
            {
                assert!(passed(&mut guard, &datagram).is_empty(), "{datagram:x?}");
            }
        }
        assert!(guard.dropped() > 0);
    }
    // And the place of the genuine message is free.
    let mut guard = RecordGuard::new(DtlsRole::Server);
    for datagram in panicking_messages(0) {
        passed(&mut guard, &datagram);
    }
    assert_eq!(
        passed(&mut guard, &whole(kind::CLIENT_HELLO, 0, &hello())).len(),
        1
    );
}

#[test]
fn the_input_that_aborts_the_process_stays_small() {
    for (role, kind) in [
        (DtlsRole::Server, kind::CLIENT_HELLO),
        (DtlsRole::Client, kind::CERTIFICATE),
    ] {
        let mut guard = RecordGuard::new(role);
        for datagram in aborting_datagrams(kind, u16::from(role == DtlsRole::Client)) {
            assert!(passed(&mut guard, &datagram).is_empty());
        }
    }
}

#[test]
fn a_certificate_that_lies_about_its_length_does_not_pass() {
    let mut guard = RecordGuard::new(DtlsRole::Client);
    let server_hello = [vec![0; 38], vec![0, 0]].concat();
    assert_eq!(
        passed(&mut guard, &whole(kind::SERVER_HELLO, 0, &server_hello)).len(),
        1
    );
    // 20 bytes that made the crate allocate 16 MiB.
    let lie = whole(
        kind::CERTIFICATE,
        1,
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
    );
    assert!(passed(&mut guard, &lie).is_empty());
    // As in its header.
    let header = fragment(kind::CERTIFICATE, 0xff_ffff, 1, 0, &[0; 8]);
    assert!(passed(&mut guard, &header).is_empty());
    let honest = whole(kind::CERTIFICATE, 1, &[0, 0, 4, 0, 0, 1, 1]);
    assert_eq!(passed(&mut guard, &honest).len(), 1);
}

#[test]
fn a_hello_in_fragments_is_put_together_and_its_profiles_are_known() {
    let hello = hello();
    let (first, second) = (&hello[..30], &hello[20..]);
    let parts = [
        fragment(kind::CLIENT_HELLO, hello.len(), 0, 0, first),
        fragment(kind::CLIENT_HELLO, hello.len(), 0, 20, second),
    ];
    for order in [[0, 0, 1], [1, 1, 0]] {
        let mut guard = RecordGuard::new(DtlsRole::Server);
        assert!(passed(&mut guard, &parts[order[0]]).is_empty());
        assert!(passed(&mut guard, &parts[order[1]]).is_empty(), "repeated");
        assert_eq!(guard.offered_profiles(), None);
        assert_eq!(
            passed(&mut guard, &parts[order[2]]),
            [{
                let mut expected = whole(kind::CLIENT_HELLO, 0, &hello);
                expected[10] = 0;
                expected
            }],
            "one record, in one piece"
        );
        assert_eq!(guard.offered_profiles(), Some(&[1, 7][..]));
    }
}

#[test]
fn plaintext_records_get_numbers_of_our_own() {
    // A forged record number far ahead would shut out all genuine ones.
    let mut guard = RecordGuard::new(DtlsRole::Server);
    let mut far = whole(kind::CLIENT_HELLO, 0, &hello());
    far[5..11].fill(0xff);
    let near = whole(kind::CLIENT_HELLO, 1, &hello());
    for (number, datagram) in [far, near].iter().enumerate() {
        assert_eq!(
            passed(&mut guard, datagram)[0][5..11],
            [0, 0, 0, 0, 0, number as u8]
        );
    }
}

#[test]
fn a_repeated_first_hello_only_pokes_the_crate() {
    let mut guard = RecordGuard::new(DtlsRole::Server);
    let hello = whole(kind::CLIENT_HELLO, 0, &hello());
    passed(&mut guard, &hello);
    for _ in 0..MAX_POKES {
        assert_eq!(
            passed(&mut guard, &hello)[0].len(),
            RECORD_HEADER_BYTES + HEADER_BYTES
        );
    }
    assert!(passed(&mut guard, &hello).is_empty());
}

#[test]
fn large_messages_come_in_datagrams_that_the_crate_can_read() {
    let mut guard = RecordGuard::new(DtlsRole::Client);
    let server_hello = [vec![0; 38], vec![0, 0]].concat();
    passed(&mut guard, &whole(kind::SERVER_HELLO, 0, &server_hello));
    let mut body = vec![0, 0x4e, 0x23, 0, 0x4e, 0x20];
    body.resize(6 + 20_000, 5);
    let mut out = Vec::new();
    for at in (0..body.len()).step_by(1000) {
        let end = body.len().min(at + 1000);
        out.extend(passed(
            &mut guard,
            &fragment(kind::CERTIFICATE, body.len(), 1, at, &body[at..end]),
        ));
    }
    assert_eq!(out.len(), 3);
    assert!(
        out.iter()
            .all(|datagram| datagram.len() <= LONGEST_DATAGRAM)
    );
}

#[test]
fn records_of_unknown_kinds_versions_and_epochs_are_dropped() {
    let mut guard = RecordGuard::new(DtlsRole::Server);
    for content_type in [0, 19, 24, 25, 63, 255] {
        assert!(passed(&mut guard, &record(content_type, 0, &[1; 30])).is_empty());
    }
    for epoch in [2, 3, u16::MAX] {
        assert!(passed(&mut guard, &record(HANDSHAKE, epoch, &[1; 30])).is_empty());
    }
    assert!(passed(&mut guard, &record(APPLICATION_DATA, 0, &[1; 30])).is_empty());
    let mut old = whole(kind::CLIENT_HELLO, 0, &hello());
    old[1] = 3;
    assert!(passed(&mut guard, &old).is_empty());
}

#[test]
fn alerts_in_plaintext_are_told_and_not_passed() {
    let mut guard = RecordGuard::new(DtlsRole::Server);
    let fatal = accept(&mut guard, &record(ALERT, 0, &[2, 40]));
    assert_eq!((fatal.0.alert, fatal.1), (Some(40), vec![]));
    let warning = accept(&mut guard, &record(ALERT, 0, &[1, 90]));
    assert_eq!(warning.0.alert, None);
    let goodbye = accept(&mut guard, &record(ALERT, 0, &[1, 0]));
    assert_eq!(goodbye.0.alert, Some(0));
}

#[test]
fn what_is_encrypted_waits_for_keys_and_stays_in_order() {
    let mut guard = RecordGuard::new(DtlsRole::Server);
    let finished = record(HANDSHAKE, 1, FINISHED);
    assert!(passed(&mut guard, &finished).is_empty());
    assert!(passed(&mut guard, &record(CHANGE_CIPHER_SPEC, 0, &[1])).is_empty());
    for (sequence, kind, body) in [
        (0, kind::CLIENT_HELLO, hello()),
        (1, kind::CLIENT_HELLO, hello()),
        (2, kind::CERTIFICATE, vec![0, 0, 4, 0, 0, 1, 1]),
        (3, kind::CLIENT_KEY_EXCHANGE, vec![1, 1]),
    ] {
        assert_eq!(passed(&mut guard, &whole(kind, sequence, &body)).len(), 1);
    }
    let last = whole(kind::CERTIFICATE_VERIFY, 4, &[4, 3, 0, 1, 1]);
    let out = passed(&mut guard, &last);
    assert_eq!(out.len(), 3);
    assert_eq!((out[0][0], out[1][0]), (HANDSHAKE, CHANGE_CIPHER_SPEC));
    assert_eq!(out[2], finished);
}

#[test]
fn a_client_hears_encrypted_records_once_it_has_sent_its_own() {
    let mut guard = RecordGuard::new(DtlsRole::Client);
    let finished = record(HANDSHAKE, 1, FINISHED);
    assert!(passed(&mut guard, &record(CHANGE_CIPHER_SPEC, 0, &[1])).is_empty());
    assert!(passed(&mut guard, &finished).is_empty());
    let mut out = VecDeque::new();
    guard.note_encrypted_sent(&mut out);
    assert_eq!(out.len(), 2);
    assert_eq!(out[1], finished);
    assert_eq!(passed(&mut guard, &finished), vec![finished]);
}

#[test]
fn data_that_overtakes_finished_waits_for_the_end_of_the_handshake() {
    let data: Vec<_> = (0..20)
        .map(|byte| record(APPLICATION_DATA, 1, &[byte; 40]))
        .collect();
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let mut out = VecDeque::new();
        let mut guard = match role {
            DtlsRole::Server => keyed_server(),
            DtlsRole::Client => {
                let mut guard = RecordGuard::new(role);
                guard.note_encrypted_sent(&mut out);
                guard
            }
        };
        passed(&mut guard, &record(CHANGE_CIPHER_SPEC, 0, &[1]));
        for record in &data {
            assert!(passed(&mut guard, record).is_empty());
        }
        match role {
            // A server's last flight ends its handshake.
            DtlsRole::Server => guard.note_encrypted_sent(&mut out),
            DtlsRole::Client => guard.establish(&mut out),
        }
        assert_eq!(out, &data[..MAX_HELD], "the oldest, as many as are held");
        assert_eq!(passed(&mut guard, &data[19]), vec![data[19].clone()]);
    }
}

#[test]
fn early_encrypted_records_are_few_and_small() {
    let mut guard = RecordGuard::new(DtlsRole::Client);
    for byte in 0..100 {
        passed(&mut guard, &record(HANDSHAKE, 1, &[byte; 48]));
    }
    assert!(passed(&mut guard, &record(HANDSHAKE, 1, &[1; 200])).is_empty());
    passed(&mut guard, &record(CHANGE_CIPHER_SPEC, 0, &[1]));
    let mut out = VecDeque::new();
    guard.note_encrypted_sent(&mut out);
    assert_eq!(out.len(), 1 + MAX_HELD);
    assert_eq!(out[MAX_HELD][13], 99, "the newest are kept");
}

#[test]
fn fragments_inside_encrypted_records_are_bounded_by_their_records() {
    let mut guard = keyed_server();
    passed(&mut guard, &record(CHANGE_CIPHER_SPEC, 0, &[1]));
    let count = (0..10_000)
        .filter(|_| !passed(&mut guard, &record(HANDSHAKE, 1, &[1; 100])).is_empty())
        .count();
    assert_eq!(count, MAX_FINISHED);
}

#[test]
fn encrypted_records_shorter_than_the_ciphers_overhead_are_dropped() {
    let mut guard = keyed_server();
    passed(&mut guard, &record(CHANGE_CIPHER_SPEC, 0, &[1]));
    for length in 1..GCM_OVERHEAD {
        let short = record(ALERT, 1, &vec![0; length]);
        assert!(passed(&mut guard, &short).is_empty());
    }
    guard.establish(&mut VecDeque::new());
    let short = record(APPLICATION_DATA, 1, &[0; GCM_OVERHEAD - 1]);
    assert!(passed(&mut guard, &short).is_empty());
}

#[test]
fn c115_after_the_handshake_only_encrypted_data_and_alerts_pass() {
    let mut guard = keyed_server();
    guard.establish(&mut VecDeque::new());
    for content_type in 0..=255 {
        for epoch in [0, 2] {
            let (verdict, out) = accept(&mut guard, &record(content_type, epoch, &[1; 40]));
            assert!(out.is_empty());
            assert_eq!(verdict.alert, None);
        }
        let encrypted = record(content_type, 1, &[1; 40]);
        let expected = [ALERT, APPLICATION_DATA].contains(&content_type);
        assert_eq!(!passed(&mut guard, &encrypted).is_empty(), expected);
    }
}

#[test]
fn a_repeated_flight_is_noticed_after_the_handshake_only() {
    let mut guard = keyed_server();
    let parts = [
        whole(kind::CLIENT_KEY_EXCHANGE, 3, &[1, 1]),
        record(CHANGE_CIPHER_SPEC, 0, &[1]),
        record(HANDSHAKE, 1, FINISHED),
    ];
    for established in [false, true] {
        for part in &parts {
            assert_eq!(accept(&mut guard, part).0.repeats_flight, established);
        }
        assert!(
            !accept(&mut guard, &record(APPLICATION_DATA, 1, &[1; 40]))
                .0
                .repeats_flight
        );
        guard.establish(&mut VecDeque::new());
    }
}

#[test]
fn a_datagram_broken_in_the_middle_keeps_its_head() {
    let mut guard = RecordGuard::new(DtlsRole::Server);
    let mut datagram = whole(kind::CLIENT_HELLO, 0, &hello());
    datagram.extend([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1]);
    assert_eq!(passed(&mut guard, &datagram).len(), 1);
}

/// A sound message of each kind.
fn sound_bodies() -> Vec<(u8, Vec<u8>)> {
    let signature = [4, 3, 0, 3, 1, 2, 3];
    vec![
        (
            kind::CLIENT_HELLO,
            client_hello(&[
                (0, &[0, 4, 0, 0, 1, b'x']),
                (10, &[0, 4, 0, 29, 0, 23]),
                (11, &[1, 0]),
                (13, &[0, 2, 4, 3]),
                (14, &[0, 4, 0, 1, 0, 7, 0]),
                (23, &[]),
                (65281, &[0]),
            ]),
        ),
        (
            kind::SERVER_HELLO,
            [vec![0xfe; 34], vec![0, 0xc0, 0x2b, 0, 0, 4, 0, 23, 0, 0]].concat(),
        ),
        (kind::HELLO_VERIFY_REQUEST, vec![0xfe, 0xfd, 2, 1, 1]),
        (kind::CERTIFICATE, vec![0, 0, 5, 0, 0, 2, 1, 1]),
        (
            kind::SERVER_KEY_EXCHANGE,
            [vec![3, 0, 29, 2, 1, 1], signature.to_vec()].concat(),
        ),
        (kind::CERTIFICATE_REQUEST, vec![1, 64, 0, 2, 4, 3, 0, 0]),
        (kind::SERVER_HELLO_DONE, vec![]),
        (kind::CERTIFICATE_VERIFY, signature.to_vec()),
        (kind::CLIENT_KEY_EXCHANGE, vec![2, 1, 1]),
    ]
}

#[test]
fn every_kind_of_sound_message_is_seen_as_such() {
    for (kind, body) in sound_bodies() {
        assert!(handshake::is_sound(kind, &body), "{kind}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_crate_survives_whatever_is_found_sound(
        which in 0usize..9,
        changes in proptest::collection::vec((0usize..120, any::<u8>()), 0..4),
        cut in 0usize..120,
    ) {
        let (kind, mut body) = sound_bodies().swap_remove(which);
        for (at, value) in changes {
            if let Some(byte) = body.get_mut(at) {
                *byte = value;
            }
        }
        body.truncate(cut.max(1));
        if handshake::is_sound(kind, &body) {
            let message = whole(kind, 0, &body);
            // The result does not matter, that there is one does.
            let _ = Handshake::unmarshal(&mut &message[RECORD_HEADER_BYTES..]);
        }
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_grow(
        server in any::<bool>(),
        datagrams in proptest::collection::vec(
            (any::<u8>(), 0u16..3, proptest::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let role = if server { DtlsRole::Server } else { DtlsRole::Client };
        let mut guard = RecordGuard::new(role);
        for (content_type, epoch, bytes) in datagrams {
            passed(&mut guard, &bytes);
            let out = passed(&mut guard, &record(20 + content_type % 5, epoch, &bytes));
            prop_assert!(out.iter().map(Vec::len).sum::<usize>() < 2000);
        }
    }
}
