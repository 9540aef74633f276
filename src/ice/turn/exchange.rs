//! Requests to the server and their answers, with a long-term credential (RFC 8489 §9.2).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};

use super::machine::{LIFETIME, XOR_PEER_ADDRESS};
use super::message::RelayError;
use crate::ice::stun::{ERROR_CODE, StunBuilder, error_code, is_authentic_by};
use crate::udp::{ChannelNumber, StunClass, StunMessage, TransactionId, USERNAME};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Allocate,
    Refresh,
    Release,
    Bind {
        peer: SocketAddr,
        channel: ChannelNumber,
    },
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not asked for, or not of the server that knows the password.
    NotOurs,
    /// It wants to be asked in another way: this.
    AskedAgain(Vec<u8>),
    Granted(Purpose),
    Refused(Purpose, RelayError),
}

/// Requests under way, and what they are authenticated by.
#[derive(Debug)]
pub(super) struct Exchange {
    username: String,
    password: String,
    /// What the server said last to be authenticated by.
    challenge: Option<Challenge>,
    requests: Vec<Request>,
    fresh: fn() -> TransactionId,
}

#[derive(Debug)]
struct Challenge {
    realm: Vec<u8>,
    nonce: Vec<u8>,
    key: [u8; 16],
}

#[derive(Debug)]
struct Request {
    transaction: TransactionId,
    purpose: Purpose,
    bytes: Vec<u8>,
    authenticated: bool,
    attempts: u32,
    /// How often the server has sent another challenge.
    challenged: u32,
    due: Instant,
}

impl Exchange {
    pub(super) fn new(username: &str, password: &str, fresh: fn() -> TransactionId) -> Self {
        Self {
            username: username.to_owned(),
            password: password.to_owned(),
            challenge: None,
            requests: Vec::new(),
            fresh,
        }
    }

    /// A new request, to be sent now.
    pub(super) fn ask(&mut self, purpose: Purpose, now: Instant) -> Vec<u8> {
        self.ask_again(purpose, 0, now)
    }

    /// Whether the server has told what to authenticate by.
    pub(super) fn has_key(&self) -> bool {
        self.challenge.is_some()
    }

    /// Waits for no answer any more.
    pub(super) fn forget(&mut self) {
        self.requests.clear();
    }

    /// What is to be repeated now, and what was repeated often enough.
    pub(super) fn due(&mut self, now: Instant) -> (Vec<Vec<u8>>, Vec<Purpose>) {
        let given_up = self
            .requests
            .extract_if(.., |it| it.due <= now && it.attempts == MAX_ATTEMPTS)
            .map(|request| request.purpose)
            .collect();
        let mut repeated = Vec::new();
        for request in self.requests.iter_mut().filter(|it| it.due <= now) {
            request.due = now + FIRST_WAIT * 2_u32.pow(request.attempts);
            request.attempts += 1;
            repeated.push(request.bytes.clone());
        }
        (repeated, given_up)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.requests.iter().map(|request| request.due).min()
    }

    /// An answer came from the server's address.
    pub(super) fn judge(&mut self, message: &StunMessage<'_>, now: Instant) -> Verdict {
        let transaction = message.transaction_id();
        let Some(at) = self
            .requests
            .iter()
            .position(|request| request.transaction == transaction)
        else {
            return Verdict::NotOurs;
        };
        let authentic = self
            .challenge
            .as_ref()
            .is_some_and(|challenge| is_authentic_by(message, &challenge.key));
        match message.class() {
            StunClass::SuccessResponse if authentic => {
                Verdict::Granted(self.requests.swap_remove(at).purpose)
            }
            // Challenges cannot be authenticated, and servers leave other refusals as they are; whoever
            // guesses 96 random bits may refuse (RFC 8489 §9.2.5).
            StunClass::ErrorResponse if message.attribute(ERROR_CODE).is_some() => {
                let request = self.requests.swap_remove(at);
                self.refused(&request, message, now)
            }
            StunClass::SuccessResponse
            | StunClass::ErrorResponse
            | StunClass::Request
            | StunClass::Indication => Verdict::NotOurs,
        }
    }

    fn refused(&mut self, request: &Request, message: &StunMessage<'_>, now: Instant) -> Verdict {
        let code = error_code(message).unwrap_or_default();
        let purpose = request.purpose;
        let asks_for_more = match code {
            UNAUTHENTICATED => !request.authenticated,
            STALE_NONCE => true,
            _ => return Verdict::Refused(purpose, RelayError::Refused(code)),
        };
        let writable = self.username.len() <= MAX_USERNAME;
        if !asks_for_more || !writable || request.challenged == MAX_CHALLENGES {
            return Verdict::Refused(purpose, RelayError::Unauthorized);
        }
        match self.challenged(message) {
            Some(challenge) => self.challenge = Some(challenge),
            None => return Verdict::Refused(purpose, RelayError::Nonsense),
        }
        Verdict::AskedAgain(self.ask_again(purpose, request.challenged + 1, now))
    }

    fn challenged(&self, message: &StunMessage<'_>) -> Option<Challenge> {
        let realm = message.attribute(REALM)?;
        let nonce = message.attribute(NONCE)?;
        if realm.len() > MAX_TEXT || nonce.len() > MAX_TEXT {
            return None;
        }
        let key = Md5::new()
            .chain_update(&self.username)
            .chain_update(b":")
            .chain_update(realm)
            .chain_update(b":")
            .chain_update(&self.password)
            .finalize();
        Some(Challenge {
            realm: realm.to_vec(),
            nonce: nonce.to_vec(),
            key: key.into(),
        })
    }

    fn ask_again(&mut self, purpose: Purpose, challenged: u32, now: Instant) -> Vec<u8> {
        let transaction = (self.fresh)();
        let bytes = self.write(purpose, transaction);
        self.requests.push(Request {
            transaction,
            purpose,
            bytes: bytes.clone(),
            authenticated: self.has_key(),
            attempts: 1,
            challenged,
            due: now + FIRST_WAIT,
        });
        bytes
    }

    fn write(&self, purpose: Purpose, transaction: TransactionId) -> Vec<u8> {
        let request = |method| StunBuilder::of(method, StunClass::Request, transaction);
        let builder = match purpose {
            Purpose::Allocate => request(ALLOCATE).attribute(REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]),
            Purpose::Refresh => request(REFRESH),
            Purpose::Release => request(REFRESH).attribute(LIFETIME, &[0; 4]),
            Purpose::Bind { peer, channel } => {
                let [high, low] = channel.to_be_bytes();
                request(CHANNEL_BIND)
                    .attribute(CHANNEL_NUMBER, &[high, low, 0, 0])
                    .xor_address(XOR_PEER_ADDRESS, peer)
            }
        };
        match &self.challenge {
            None => builder.finish_by(None),
            Some(challenge) => builder
                .attribute(USERNAME, self.username.as_bytes())
                .attribute(REALM, &challenge.realm)
                .attribute(NONCE, &challenge.nonce)
                .finish_by(Some(&challenge.key)),
        }
    }
}

/// RFC 8656 §17.
const ALLOCATE: u16 = 0x0003;
const REFRESH: u16 = 0x0004;
const CHANNEL_BIND: u16 = 0x0009;

/// RFC 8656 §18 and RFC 8489 §18.3.
const CHANNEL_NUMBER: u16 = 0x000C;
const REALM: u16 = 0x0014;
const NONCE: u16 = 0x0015;
const REQUESTED_TRANSPORT: u16 = 0x0019;
/// The protocol number of UDP.
const UDP: u8 = 17;

const UNAUTHENTICATED: u16 = 401;
const STALE_NONCE: u16 = 438;

/// First wait for an answer, doubled with each repetition (RFC 8489 §6.2.1 begins with 500 ms; half of that, as for
/// STUN servers).
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The last one has four seconds to be answered; eight in all.
const MAX_ATTEMPTS: u32 = 5;
/// A server that never is content is not asked for ever.
const MAX_CHALLENGES: u32 = 3;
/// RFC 8489 §14.3.
const MAX_USERNAME: usize = 508;
/// REALM and NONCE are shorter than 128 characters (RFC 8489 §14.9, §14.10), which are up to 763 bytes.
const MAX_TEXT: usize = 763;
