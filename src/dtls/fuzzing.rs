//! The guard before the crate `webrtc-dtls`, and the crate's own parser behind it.

use std::collections::VecDeque;

use webrtc_dtls::handshake::Handshake;

use super::fingerprint::DtlsRole;
use super::guard::{
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, LONGEST_DATAGRAM, Record, RecordGuard,
};
use super::reassembly::Fragment;
use crate::fuzzing::Input;

/// The first byte is our role; then datagrams of any kind, whole messages and fragments of them, and what the crate does meanwhile.
///
/// What passes is made of whole records no longer than the crate reads; messages in them come in order, once, and the crate
/// parses them without a panic; no more passes than has come, but for headers, and after the handshake nothing in plaintext does.
pub(crate) fn dtls(data: &[u8]) {
    let mut input = Input::new(data);
    let role = match input.byte() & 1 {
        0 => DtlsRole::Server,
        _ => DtlsRole::Client,
    };
    let mut game = Game {
        role,
        guard: RecordGuard::new(role),
        crate_side: CrateSide::default(),
        established: false,
        received: 0,
        passed: 0,
    };
    while input.has_move(MOST_MOVES) {
        game.play(&mut input);
    }
}

struct Game {
    role: DtlsRole,
    guard: RecordGuard,
    crate_side: CrateSide,
    established: bool,
    received: usize,
    passed: usize,
}

impl Game {
    fn play(&mut self, input: &mut Input<'_>) {
        let mut out = VecDeque::new();
        match input.byte() % 8 {
            0 => self.accept(input.long_block(), &mut out),
            1..=3 => {
                let datagram = handshake_record(input);
                self.accept(&datagram, &mut out);
            }
            4 => self.accept(&record(CHANGE_CIPHER_SPEC, 0, &[1]), &mut out),
            5 => {
                let kinds = [HANDSHAKE, ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC];
                let kind = kinds[usize::from(input.byte() % 4)];
                let datagram = record(kind, u16::from(input.byte() % 3), input.block());
                self.accept(&datagram, &mut out);
            }
            6 => {
                self.guard.note_encrypted_sent(&mut out);
                // A server's Finished comes last of all.
                self.established |= self.role == DtlsRole::Server;
            }
            _ => {
                self.guard.establish(&mut out);
                self.established = true;
            }
        }
        self.pass(&out);
    }

    fn accept(&mut self, datagram: &[u8], out: &mut VecDeque<Vec<u8>>) {
        self.received += datagram.len();
        let verdict = self.guard.accept(datagram, out);
        assert!(verdict.alert.is_none() || !self.established);
    }

    fn pass(&mut self, out: &VecDeque<Vec<u8>>) {
        for datagram in out {
            self.passed += datagram.len();
            assert!(datagram.len() <= LONGEST_DATAGRAM);
            let mut rest = &datagram[..];
            while !rest.is_empty() {
                let (record, behind) = Record::read(rest).expect("whole records");
                rest = behind;
                assert!(!self.established || record.epoch > 0);
                if (record.epoch, record.content_type) == (0, HANDSHAKE) {
                    self.crate_side.take(record.contents);
                } else if record.epoch == 0 {
                    assert_eq!(record.content_type, CHANGE_CIPHER_SPEC);
                }
            }
        }
        let headers = self.received / FRAGMENTED;
        assert!(self.passed <= self.received + headers + PASSES_UNASKED);
    }
}

/// What the crate has read: it puts fragments together, and parses whole messages.
#[derive(Default)]
struct CrateSide {
    next: u16,
    begun: Vec<u8>,
}

impl CrateSide {
    fn take(&mut self, contents: &[u8]) {
        let (fragment, rest) = Fragment::read(contents).expect("whole fragments");
        assert!(rest.is_empty());
        if fragment.message_sequence < self.next {
            // Poked, so that it repeats its own flight.
            assert!(fragment.bytes.is_empty());
            return;
        }
        assert_eq!(fragment.message_sequence, self.next);
        assert_eq!(fragment.offset, self.begun.len());
        self.begun.extend(fragment.bytes);
        if self.begun.len() == fragment.message_length {
            let whole = Fragment {
                offset: 0,
                bytes: &self.begun,
                ..fragment
            };
            let mut bytes = Vec::new();
            whole.write(&mut bytes);
            // The crate may refuse it, but must not panic.
            let _refused = Handshake::unmarshal(&mut bytes.as_slice());
            self.begun.clear();
            self.next += 1;
        }
    }
}

/// A datagram of one fragment, which may be a whole message, of the kinds and sequence numbers that are expected.
fn handshake_record(input: &mut Input<'_>) -> Vec<u8> {
    let kinds = [1, 2, 3, 11, 12, 13, 14, 15, 16, 20];
    let kind = kinds[usize::from(input.byte()) % kinds.len()];
    let message_sequence = u16::from(input.byte());
    let is_whole = input.byte() & 1 == 0;
    let (length, offset) = (usize::from(input.number()), usize::from(input.number()));
    let bytes = input.long_block();
    let mut contents = Vec::new();
    Fragment {
        kind,
        message_length: if is_whole { bytes.len() } else { length },
        message_sequence,
        offset: if is_whole { 0 } else { offset },
        bytes,
    }
    .write(&mut contents);
    record(HANDSHAKE, 0, &contents)
}

fn record(content_type: u8, epoch: u16, contents: &[u8]) -> Vec<u8> {
    let mut record = vec![content_type, 0xfe, 0xfd];
    record.extend(epoch.to_be_bytes());
    record.extend([0; 6]);
    record.extend((contents.len() as u16).to_be_bytes());
    record.extend(contents);
    record
}

/// A change of cipher that was kept for later, and the headers of one fragment more.
const PASSES_UNASKED: usize = 14 + 25;

/// Messages that came in larger records have a header of 25 bytes for each 8 KiB.
const FRAGMENTED: usize = 300;

const MOST_MOVES: usize = 500;
