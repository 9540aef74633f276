//! The record guard: what the network sends, before the crate sees it (RFC 6347 §4.1).
//!
//! The crate indexes out of bounds on some handshake messages, recurses once per fragment, keeps
//! records of the next epoch without a bound, lets a forged record number shut out genuine ones,
//! and ends a session because of a plaintext alert. None of this is authenticated, so the guard:
//!
//! - puts plaintext handshake messages together itself (see [`Reassembly`]), looks at each whole
//!   message, and hands it on in records of its own making, with record numbers of its own;
//! - keeps alerts in plaintext to itself and only tells of them;
//! - holds back, bounded, what is encrypted until the crate has the keys for it;
//! - once the handshake is done, passes nothing but encrypted application data and alerts.
//!
//! Repeated messages need not reach the crate, because it repeats its own flights by the clock. The
//! one exception is a repeated first ClientHello: the crate repeats a HelloVerifyRequest only when
//! asked, so it is poked with an empty fragment.

use std::collections::VecDeque;
use std::mem;

use super::fingerprint::DtlsRole;
use super::handshake::{self, kind};
use super::reassembly::{Fragment, HEADER_BYTES, Message, Reassembly};

/// What a datagram told, apart from what it brought for the crate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// A plaintext alert, by its description. Nobody vouches for it.
    pub(super) alert: Option<u8>,
    /// There was a record that belongs to a handshake, new or repeated.
    pub(super) handshake: bool,
    /// The handshake is done here, but the remote side repeats a flight of its own: it has not
    /// seen our last one.
    pub(super) repeats_flight: bool,
}

/// Stands before the crate for one connection.
#[derive(Debug)]
pub(super) struct RecordGuard {
    role: DtlsRole,
    phase: Phase,
    reassembly: Reassembly,
    /// Record numbers given to plaintext records, from 0 on.
    next_record: u64,
    pokes: usize,
    finished_passed: usize,
    /// Profiles of the first sound ClientHello.
    offered_profiles: Option<Vec<u16>>,
    /// Records dropped since the beginning.
    dropped: u64,
}

#[derive(Debug)]
enum Phase {
    /// The crate has no keys yet; what is encrypted waits. `certificate_seen` tells whether a
    /// CertificateVerify is to follow the ClientKeyExchange.
    Keyless { held: Held, certificate_seen: bool },
    /// The crate has keys but has not been told that the remote side uses them.
    Keyed { held: Held },
    /// Encrypted records can be read; the handshake is not done yet. Data waits: nobody reads it,
    /// and it would block the crate's reader in front of Finished.
    Encrypted { data: VecDeque<Vec<u8>> },
    /// The handshake is done.
    Established,
}

/// Records of the encrypted part of the handshake that came early.
#[derive(Debug, Default)]
struct Held {
    change_cipher_spec: bool,
    records: VecDeque<Vec<u8>>,
}

impl RecordGuard {
    /// For a connection in which we are `role`.
    pub(super) fn new(role: DtlsRole) -> Self {
        Self {
            role,
            phase: Phase::Keyless {
                held: Held::default(),
                certificate_seen: false,
            },
            reassembly: Reassembly::default(),
            next_record: 0,
            pokes: 0,
            finished_passed: 0,
            offered_profiles: None,
            dropped: 0,
        }
    }

    /// Looks at a datagram and appends what is fit for the crate to `out`.
    pub(super) fn accept(&mut self, datagram: &[u8], out: &mut VecDeque<Vec<u8>>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut rest = datagram;
        while !rest.is_empty() {
            let Some((record, tail)) = Record::read(rest) else {
                // A datagram with a broken length is not worth guessing at.
                self.dropped += 1;
                break;
            };
            rest = tail;
            self.accept_record(&record, &mut verdict, out);
        }
        verdict
    }

    /// The SRTP protection profiles that the client offers; none before its hello was seen.
    pub(super) fn offered_profiles(&self) -> Option<&[u16]> {
        self.offered_profiles.as_deref()
    }

    /// We sent an encrypted record. A client's first one is its Finished: the crate has keys. (As
    /// server it has them earlier, see [`Self::deliver`].) A server's comes last of all.
    pub(super) fn note_encrypted_sent(&mut self, out: &mut VecDeque<Vec<u8>>) {
        match self.role {
            DtlsRole::Client => self.become_keyed(out),
            DtlsRole::Server => self.establish(out),
        }
    }

    /// The handshake is done.
    pub(super) fn establish(&mut self, out: &mut VecDeque<Vec<u8>>) {
        if let Phase::Encrypted { data } = mem::replace(&mut self.phase, Phase::Established) {
            out.extend(data);
        }
        self.reassembly = Reassembly::default();
    }

    /// How many records were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn accept_record(
        &mut self,
        record: &Record<'_>,
        verdict: &mut Verdict,
        out: &mut VecDeque<Vec<u8>>,
    ) {
        let established = matches!(self.phase, Phase::Established);
        let passed = match (record.epoch, record.content_type) {
            (0, CHANGE_CIPHER_SPEC | HANDSHAKE) | (1, HANDSHAKE) if established => {
                verdict.repeats_flight = true;
                false
            }
            (0, _) if established => false,
            (0, HANDSHAKE) => {
                verdict.handshake = true;
                self.accept_handshake(record.contents, out)
            }
            (0, CHANGE_CIPHER_SPEC) => {
                verdict.handshake = true;
                record.contents == [1] && self.accept_change_cipher_spec(out)
            }
            (0, ALERT) => {
                verdict.alert = read_alert(record.contents);
                false
            }
            (1, HANDSHAKE | ALERT | APPLICATION_DATA) => {
                verdict.handshake |= record.content_type == HANDSHAKE;
                self.accept_encrypted(record, out)
            }
            _ => false,
        };
        self.dropped += u64::from(!passed);
    }

    fn accept_handshake(&mut self, mut contents: &[u8], out: &mut VecDeque<Vec<u8>>) -> bool {
        let mut passed = !contents.is_empty();
        while !contents.is_empty() {
            let Some((fragment, rest)) = Fragment::read(contents) else {
                return false;
            };
            contents = rest;
            passed &= self.accept_fragment(&fragment, out);
        }
        passed
    }

    fn accept_fragment(&mut self, fragment: &Fragment<'_>, out: &mut VecDeque<Vec<u8>>) -> bool {
        if fragment.message_sequence < self.reassembly.next() {
            self.poke(fragment, out);
            return true;
        }
        let expected = self.is_expected(fragment)
            && handshake::longest(self.role, fragment.kind)
                .is_some_and(|longest| fragment.message_length <= longest);
        if !expected || !self.reassembly.add(fragment) {
            return false;
        }
        let mut records = Vec::new();
        while let Some(message) = self.reassembly.take() {
            if !handshake::is_sound(message.kind, &message.body) {
                self.dropped += 1;
                break;
            }
            self.reassembly.accept(&message);
            self.deliver(&message, &mut records, out);
        }
        flush(records, out);
        true
    }

    /// Hellos come first and nothing else does; so a forged message of another kind cannot take
    /// their place.
    fn is_expected(&self, fragment: &Fragment<'_>) -> bool {
        let sequence = fragment.message_sequence;
        match self.role {
            // The crate always asks for a second ClientHello with its cookie.
            DtlsRole::Server => (fragment.kind == kind::CLIENT_HELLO) == (sequence < 2),
            DtlsRole::Client => {
                let first =
                    [kind::SERVER_HELLO, kind::HELLO_VERIFY_REQUEST].contains(&fragment.kind);
                sequence > 0 || first
            }
        }
    }

    /// Puts a sound message into records for the crate.
    fn deliver(
        &mut self,
        message: &Message,
        records: &mut Vec<Vec<u8>>,
        out: &mut VecDeque<Vec<u8>>,
    ) {
        let mut offset = 0;
        loop {
            let end = message.body.len().min(offset + LONGEST_FRAGMENT);
            let fragment = Fragment {
                kind: message.kind,
                message_length: message.body.len(),
                message_sequence: message.sequence,
                offset,
                bytes: &message.body[offset..end],
            };
            records.push(self.plaintext_record(HANDSHAKE, |out| fragment.write(out)));
            offset = end;
            if offset == message.body.len() {
                break;
            }
        }
        match (message.kind, &mut self.phase) {
            (kind::CLIENT_HELLO, _) => {
                self.offered_profiles
                    .get_or_insert_with(|| handshake::offered_srtp_profiles(&message.body));
            }
            (
                kind::CERTIFICATE,
                Phase::Keyless {
                    certificate_seen, ..
                },
            ) => {
                *certificate_seen = !handshake::is_empty_certificate(&message.body);
            }
            (kind::CERTIFICATE_VERIFY, _)
            | (
                kind::CLIENT_KEY_EXCHANGE,
                Phase::Keyless {
                    certificate_seen: false,
                    ..
                },
            ) => {
                // The crate makes its keys as it reads this, before it reads the next datagram.
                flush(mem::take(records), out);
                self.become_keyed(out);
            }
            _ => {}
        }
    }

    fn become_keyed(&mut self, out: &mut VecDeque<Vec<u8>>) {
        if let Phase::Keyless { held, .. } = &mut self.phase {
            let held = mem::take(held);
            let told = held.change_cipher_spec;
            self.phase = Phase::Keyed { held };
            if told {
                self.accept_change_cipher_spec(out);
            }
        }
    }

    fn accept_change_cipher_spec(&mut self, out: &mut VecDeque<Vec<u8>>) -> bool {
        match &mut self.phase {
            Phase::Keyless { held, .. } => held.change_cipher_spec = true,
            Phase::Keyed { held } => {
                let early = mem::take(&mut held.records);
                self.phase = Phase::Encrypted {
                    data: VecDeque::new(),
                };
                let record = self.plaintext_record(CHANGE_CIPHER_SPEC, |out| out.push(1));
                out.push_back(record);
                for record in early {
                    self.pass_encrypted(record, out);
                }
            }
            // A repeated one changes nothing.
            Phase::Encrypted { .. } | Phase::Established => {}
        }
        true
    }

    fn accept_encrypted(&mut self, record: &Record<'_>, out: &mut VecDeque<Vec<u8>>) -> bool {
        // The crate subtracts the overhead of GCM without looking.
        if record.contents.len() < GCM_OVERHEAD || record.whole.len() > LONGEST_DATAGRAM {
            return false;
        }
        match &mut self.phase {
            Phase::Keyless { held, .. } | Phase::Keyed { held } => {
                if record.content_type != HANDSHAKE || record.whole.len() > LONGEST_FINISHED {
                    return false;
                }
                if held.records.len() == MAX_HELD {
                    held.records.pop_front();
                }
                held.records.push_back(record.whole.to_vec());
                true
            }
            Phase::Encrypted { data } if record.content_type == APPLICATION_DATA => {
                let room = data.len() < MAX_HELD;
                if room {
                    data.push_back(record.whole.to_vec());
                }
                room
            }
            Phase::Encrypted { .. } | Phase::Established => {
                self.pass_encrypted(record.whole.to_vec(), out)
            }
        }
    }

    /// Fragments inside an encrypted record cannot be seen here, so their number is bounded by the
    /// size and the number of records instead: whoever has the keys could send them too.
    fn pass_encrypted(&mut self, record: Vec<u8>, out: &mut VecDeque<Vec<u8>>) -> bool {
        if record[0] == HANDSHAKE {
            if record.len() > LONGEST_FINISHED || self.finished_passed == MAX_FINISHED {
                return false;
            }
            self.finished_passed += 1;
        }
        out.push_back(record);
        true
    }

    fn poke(&mut self, fragment: &Fragment<'_>, out: &mut VecDeque<Vec<u8>>) {
        let first_hello_repeated = self.role == DtlsRole::Server
            && self.reassembly.next() == 1
            && fragment.kind == kind::CLIENT_HELLO
            && fragment.offset == 0;
        if first_hello_repeated && self.pokes < MAX_POKES {
            self.pokes += 1;
            let empty = Fragment {
                bytes: &[],
                ..*fragment
            };
            let record = self.plaintext_record(HANDSHAKE, |out| empty.write(out));
            out.push_back(record);
        }
    }

    fn plaintext_record(&mut self, content_type: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut record = vec![content_type, 0xfe, 0xfd, 0, 0];
        record.extend(&self.next_record.to_be_bytes()[2..]);
        self.next_record += 1;
        record.extend([0, 0]);
        write(&mut record);
        let length = (record.len() - RECORD_HEADER_BYTES) as u16;
        record[11..13].copy_from_slice(&length.to_be_bytes());
        record
    }
}

/// As few datagrams as they fit into: the crate looks for a whole flight after each.
fn flush(records: Vec<Vec<u8>>, out: &mut VecDeque<Vec<u8>>) {
    let mut datagram = Vec::new();
    for record in records {
        if !datagram.is_empty() && datagram.len() + record.len() > LONGEST_DATAGRAM {
            out.push_back(mem::take(&mut datagram));
        }
        datagram.extend(record);
    }
    if !datagram.is_empty() {
        out.push_back(datagram);
    }
}

/// One record of a datagram.
pub(super) struct Record<'a> {
    pub(super) content_type: u8,
    pub(super) epoch: u16,
    pub(super) contents: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads the first record, and what follows it. Records of other protocols and empty ones are
    /// none.
    pub(super) fn read(datagram: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, _) = datagram.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let (whole, rest) = datagram.split_at_checked(RECORD_HEADER_BYTES + length)?;
        // DTLS 1.2, or the 1.0 that first flights carry for the sake of old peers.
        let version_known = header[1] == 0xfe && [0xfd, 0xff].contains(&header[2]);
        if !version_known || length == 0 {
            return None;
        }
        let record = Self {
            content_type: header[0],
            epoch: u16::from_be_bytes([header[3], header[4]]),
            contents: &whole[RECORD_HEADER_BYTES..],
            whole,
        };
        Some((record, rest))
    }
}

/// The description of an alert that ends the session: a fatal one, or close_notify.
fn read_alert(contents: &[u8]) -> Option<u8> {
    match *contents {
        [FATAL, description] | [_, description @ CLOSE_NOTIFY] => Some(description),
        _ => None,
    }
}

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;

const FATAL: u8 = 2;
const CLOSE_NOTIFY: u8 = 0;

pub(super) const RECORD_HEADER_BYTES: usize = 13;

/// What the crate reads at once. No peer of WebRTC sends more: SCTP keeps to the path's MTU.
pub(super) const LONGEST_DATAGRAM: usize = 8192;

/// So that record and fragment header fit beside it.
const LONGEST_FRAGMENT: usize = LONGEST_DATAGRAM - RECORD_HEADER_BYTES - HEADER_BYTES;

/// Explicit nonce and tag of AES-GCM, the only cipher that we offer (RFC 5288 §3).
const GCM_OVERHEAD: usize = 8 + 16;

/// A record with Finished has 61 bytes: two headers, 12 bytes of digest, GCM's overhead.
const LONGEST_FINISHED: usize = 128;

/// Repeated flights bring one each, so a handshake of 15 s has about a hundred.
const MAX_FINISHED: usize = 256;

/// Finished may come early, and the first packets of SCTP; each of them is repeated if need be.
const MAX_HELD: usize = 8;

/// One per repeated ClientHello. The crate keeps some sixty bytes for each.
const MAX_POKES: usize = 256;

#[cfg(test)]
pub(super) mod tests;
