//! The server's last flight, which nobody else repeats (RFC 6347 §4.2.4).
//!
//! The crate forgets a handshake as soon as it has sent ChangeCipherSpec and Finished. When they
//! are lost the client repeats its own flight in vain, and the connection never comes up. So they
//! are kept here, and sent again whenever the client shows that it waits for them.

use std::time::{Duration, Instant};

use super::fingerprint::DtlsRole;
use super::guard::{CHANGE_CIPHER_SPEC, HANDSHAKE, Record};

/// Remembers what was sent last, and when.
#[derive(Debug)]
pub(super) struct LastFlight {
    role: DtlsRole,
    datagrams: Vec<Vec<u8>>,
    sent_at: Option<Instant>,
    repetitions: usize,
}

impl LastFlight {
    pub(super) fn new(role: DtlsRole) -> Self {
        Self {
            role,
            datagrams: Vec::new(),
            sent_at: None,
            repetitions: 0,
        }
    }

    /// Looks at a datagram that is being sent, and keeps it when it belongs to the last flight. A
    /// client's does not: the server's answer to it ends the handshake.
    pub(super) fn note_sent(&mut self, datagram: &[u8], now: Instant) {
        let kept: usize = self.datagrams.iter().map(Vec::len).sum();
        let belongs = self.role == DtlsRole::Server && is_last_flight(datagram);
        if belongs && kept + datagram.len() <= MAX_BYTES {
            self.datagrams.push(datagram.to_vec());
            self.sent_at = Some(now);
        }
    }

    /// What to send again, now that the remote side has repeated itself: nothing, or the flight.
    /// Whoever forges such repetitions gets a bounded number of small answers, sent to an address
    /// that ICE has verified.
    pub(super) fn repeat(&mut self, now: Instant) -> &[Vec<u8>] {
        let due = self
            .sent_at
            .is_some_and(|sent_at| now.saturating_duration_since(sent_at) >= LEAST_INTERVAL);
        if !due || self.repetitions == MAX_REPETITIONS {
            return &[];
        }
        self.sent_at = Some(now);
        self.repetitions += 1;
        &self.datagrams
    }
}

fn is_last_flight(datagram: &[u8]) -> bool {
    Record::read(datagram).is_some_and(|(record, _)| {
        record.content_type == CHANGE_CIPHER_SPEC
            || (record.epoch == 1 && record.content_type == HANDSHAKE)
    })
}

/// ChangeCipherSpec and Finished have 75 bytes together.
const MAX_BYTES: usize = 1024;

/// Browsers repeat after 50 ms at the earliest; one flight comes in several datagrams, which are
/// to be answered once.
const LEAST_INTERVAL: Duration = Duration::from_millis(40);

/// At 50 % loss the chance that this many do not suffice is less than one in a million billions.
const MAX_REPETITIONS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const LAST: &[u8] = &[20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1];
    const HELLO_DONE: &[u8] = &[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 8, 0, 1, 14];
    const DATA: &[u8] = &[23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1];

    #[test]
    fn the_servers_last_flight_is_repeated_when_the_client_repeats_its_own() {
        let start = Instant::now();
        let mut flight = LastFlight::new(DtlsRole::Server);
        for datagram in [HELLO_DONE, LAST, DATA] {
            flight.note_sent(datagram, start);
        }
        let later = start + LEAST_INTERVAL;
        assert_eq!(flight.repeat(later), [LAST.to_vec()]);
    }

    #[test]
    fn repetitions_keep_their_distance_and_have_an_end() {
        let mut now = Instant::now();
        let mut flight = LastFlight::new(DtlsRole::Server);
        flight.note_sent(LAST, now);
        assert!(flight.repeat(now).is_empty(), "has just been sent");
        for _ in 0..MAX_REPETITIONS {
            now += LEAST_INTERVAL;
            assert_eq!(flight.repeat(now).len(), 1);
            assert!(flight.repeat(now).is_empty());
        }
        now += LEAST_INTERVAL;
        assert!(flight.repeat(now).is_empty());
    }

    #[test]
    fn a_client_repeats_nothing() {
        let start = Instant::now();
        let mut flight = LastFlight::new(DtlsRole::Client);
        flight.note_sent(LAST, start);
        assert!(flight.repeat(start + LEAST_INTERVAL).is_empty());
    }

    #[test]
    fn a_flight_without_end_is_not_kept() {
        let start = Instant::now();
        let mut flight = LastFlight::new(DtlsRole::Server);
        for _ in 0..1000 {
            flight.note_sent(LAST, start);
        }
        let kept: usize = flight.datagrams.iter().map(Vec::len).sum();
        assert!(kept <= MAX_BYTES);
    }
}
