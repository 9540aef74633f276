//! A client of TURN over UDP (RFC 8656): one allocation, and a channel to each peer.
//!
//! A subset. Peers are reached through channels only: binding one also permits its peer (§12), so that neither
//! CreatePermission nor Send is needed; it costs the server one entry more and each packet 4 bytes in place of 36.
//! Data indications are understood, for they bring what a permitted peer sends from another port.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::channels::{Channels, Sending};
use super::exchange::{Exchange, Purpose, Verdict};
use super::message::RelayError;
use crate::ice::stun::{XOR_MAPPED_ADDRESS, xor_address};
use crate::udp::{ChannelNumber, StunClass, StunMessage, TransactionId, canonical};

/// One allocation, from the first request to its release.
#[derive(Debug)]
pub(super) struct TurnMachine {
    exchange: Exchange,
    phase: Phase,
    channels: Channels,
    /// Waits for its channel.
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    discarded: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Allocating,
    /// To be refreshed then.
    Allocated {
        relayed: SocketAddr,
        refresh_at: Instant,
    },
    Releasing,
    Over,
}

/// What the shell must do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TurnEffect {
    /// To the server.
    Send(Vec<u8>),
    AnnounceAllocated {
        relayed: SocketAddr,
        mapped: SocketAddr,
    },
    AnnounceChannel {
        peer: SocketAddr,
        channel: ChannelNumber,
    },
    Fail(RelayError),
}

/// A peer's datagram, within the one that the server sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relayed<'a> {
    pub(super) peer: SocketAddr,
    pub(super) payload: &'a [u8],
}

impl TurnMachine {
    /// Asks for an allocation. `fresh` gives transaction ids that nobody can guess.
    pub(super) fn new(
        username: &str,
        password: &str,
        fresh: fn() -> TransactionId,
        now: Instant,
        effects: &mut Vec<TurnEffect>,
    ) -> Self {
        let mut machine = Self {
            exchange: Exchange::new(username, password, fresh),
            phase: Phase::Allocating,
            channels: Channels::default(),
            waiting: VecDeque::new(),
            discarded: 0,
        };
        machine.ask(Purpose::Allocate, now, effects);
        machine
    }

    /// One that has nothing and asks for nothing.
    pub(super) fn over() -> Self {
        Self {
            exchange: Exchange::new("", "", || TransactionId([0; 12])),
            phase: Phase::Over,
            channels: Channels::default(),
            waiting: VecDeque::new(),
            discarded: 0,
        }
    }

    /// A datagram of the server; gives what is in it, where it is a peer's.
    pub(super) fn handle_datagram<'a>(
        &mut self,
        bytes: &'a [u8],
        now: Instant,
        effects: &mut Vec<TurnEffect>,
    ) -> Option<Relayed<'a>> {
        if let Some((channel, payload)) = ChannelNumber::open(bytes) {
            let peer = self.channels.peer(channel);
            self.discarded += u64::from(peer.is_none());
            return peer.map(|peer| Relayed { peer, payload });
        }
        let Some(message) = StunMessage::parse_any(bytes) else {
            self.discarded += 1;
            return None;
        };
        match message.class() {
            StunClass::Indication => self.open_indication(&message),
            StunClass::SuccessResponse | StunClass::ErrorResponse => {
                self.handle_answer(&message, now, effects);
                None
            }
            StunClass::Request => None,
        }
    }

    /// Sends to a peer, once there is a channel.
    pub(super) fn send(
        &mut self,
        peer: SocketAddr,
        bytes: Vec<u8>,
        now: Instant,
        effects: &mut Vec<TurnEffect>,
    ) {
        let Phase::Allocated { relayed, .. } = self.phase else {
            return;
        };
        if relayed.is_ipv4() != peer.is_ipv4() {
            return;
        }
        match self.channels.sending(peer, now) {
            Sending::On(channel) => effects.extend(wrapped(channel, &bytes)),
            Sending::After(request) => {
                if self.waiting.len() == MAX_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back((peer, bytes));
                if let Some(channel) = request {
                    self.ask(Purpose::Bind { peer, channel }, now, effects);
                }
            }
            Sending::Never => {}
        }
    }

    /// Something is due.
    pub(super) fn handle_timer(&mut self, now: Instant, effects: &mut Vec<TurnEffect>) {
        let (repeated, given_up) = self.exchange.due(now);
        effects.extend(repeated.into_iter().map(TurnEffect::Send));
        for purpose in given_up {
            self.handle_refusal(purpose, RelayError::NoAnswer, effects);
        }
        // What is given back, or lost, needs no channels.
        let Phase::Allocated { refresh_at, .. } = &mut self.phase else {
            return;
        };
        if *refresh_at <= now {
            // Put off until its answer says when.
            *refresh_at = now + FOREVER;
            self.ask(Purpose::Refresh, now, effects);
        }
        for (peer, channel) in self.channels.due(now) {
            self.ask(Purpose::Bind { peer, channel }, now, effects);
        }
    }

    /// When to look again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let refresh = match self.phase {
            Phase::Allocated { refresh_at, .. } => Some(refresh_at),
            Phase::Allocating | Phase::Releasing => None,
            Phase::Over => return None,
        };
        let binding = self.channels.next_due().filter(|_| refresh.is_some());
        [self.exchange.next_due(), refresh, binding]
            .into_iter()
            .flatten()
            .min()
    }

    /// Gives the allocation back (§7.2), where there may be one.
    pub(super) fn release(&mut self, now: Instant, effects: &mut Vec<TurnEffect>) {
        let begun = match self.phase {
            Phase::Allocated { .. } => true,
            // A request is under way that may be granted.
            Phase::Allocating => self.exchange.has_key(),
            Phase::Releasing | Phase::Over => return,
        };
        self.exchange.forget();
        self.phase = Phase::Over;
        if begun {
            self.phase = Phase::Releasing;
            self.ask(Purpose::Release, now, effects);
        }
    }

    /// Whether nothing more is to be expected.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Datagrams of the server that meant nothing.
    pub(super) fn discarded(&self) -> u64 {
        self.discarded
    }

    fn ask(&mut self, purpose: Purpose, now: Instant, effects: &mut Vec<TurnEffect>) {
        effects.push(TurnEffect::Send(self.exchange.ask(purpose, now)));
    }

    /// Only from whom a channel has permitted.
    fn open_indication<'a>(&mut self, message: &StunMessage<'a>) -> Option<Relayed<'a>> {
        let opened = (message.method() == DATA_INDICATION)
            .then(|| {
                let peer = canonical(xor_address(message, XOR_PEER_ADDRESS)?);
                let payload = message.attribute(DATA)?;
                let permitted = self.channels.permits(peer.ip());
                permitted.then_some(Relayed { peer, payload })
            })
            .flatten();
        self.discarded += u64::from(opened.is_none());
        opened
    }

    fn handle_answer(
        &mut self,
        message: &StunMessage<'_>,
        now: Instant,
        effects: &mut Vec<TurnEffect>,
    ) {
        match self.exchange.judge(message, now) {
            Verdict::NotOurs => self.discarded += 1,
            Verdict::AskedAgain(bytes) => effects.push(TurnEffect::Send(bytes)),
            Verdict::Refused(purpose, error) => self.handle_refusal(purpose, error, effects),
            Verdict::Granted(Purpose::Allocate) => self.handle_allocated(message, now, effects),
            Verdict::Granted(Purpose::Refresh) => {
                if let Phase::Allocated { refresh_at, .. } = &mut self.phase {
                    *refresh_at = now + refresh_after(message);
                }
            }
            Verdict::Granted(Purpose::Bind { peer, channel }) => {
                if self.channels.bound(peer, now) {
                    effects.push(TurnEffect::AnnounceChannel { peer, channel });
                }
                let ready: VecDeque<_>;
                (ready, self.waiting) = std::mem::take(&mut self.waiting)
                    .into_iter()
                    .partition(|(to, _)| *to == peer);
                effects.extend(
                    ready
                        .iter()
                        .filter_map(|(_, bytes)| wrapped(channel, bytes)),
                );
            }
            Verdict::Granted(Purpose::Release) => self.phase = Phase::Over,
        }
    }

    fn handle_allocated(
        &mut self,
        message: &StunMessage<'_>,
        now: Instant,
        effects: &mut Vec<TurnEffect>,
    ) {
        let relayed = xor_address(message, XOR_RELAYED_ADDRESS)
            .map(canonical)
            .filter(|relayed| is_reachable(*relayed));
        let mapped = xor_address(message, XOR_MAPPED_ADDRESS).map(canonical);
        let (Some(relayed), Some(mapped)) = (relayed, mapped) else {
            self.fail(RelayError::Nonsense, effects);
            return;
        };
        self.phase = Phase::Allocated {
            relayed,
            refresh_at: now + refresh_after(message),
        };
        effects.push(TurnEffect::AnnounceAllocated { relayed, mapped });
    }

    fn handle_refusal(
        &mut self,
        purpose: Purpose,
        error: RelayError,
        effects: &mut Vec<TurnEffect>,
    ) {
        match purpose {
            Purpose::Allocate | Purpose::Refresh => self.fail(error, effects),
            Purpose::Bind { peer, .. } => {
                match error {
                    RelayError::NoAnswer => self.channels.lapsed(peer),
                    RelayError::Unauthorized | RelayError::Refused(_) | RelayError::Nonsense => {
                        self.channels.refused(peer);
                    }
                }
                self.waiting.retain(|(to, _)| *to != peer);
            }
            Purpose::Release => self.phase = Phase::Over,
        }
    }

    fn fail(&mut self, error: RelayError, effects: &mut Vec<TurnEffect>) {
        self.exchange.forget();
        self.phase = Phase::Over;
        effects.push(TurnEffect::Fail(error));
    }
}

/// A candidate that nobody can reach is none.
fn is_reachable(address: SocketAddr) -> bool {
    let ip = address.ip();
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()
}

fn wrapped(channel: ChannelNumber, bytes: &[u8]) -> Option<TurnEffect> {
    let (wrapped, _) = channel.wrap(bytes, None).ok()?;
    Some(TurnEffect::Send(wrapped))
}

/// Half of what the server grants, so that there is time to ask more than once; and neither all the time nor
/// never, whatever it says.
fn refresh_after(message: &StunMessage<'_>) -> Duration {
    let granted = message
        .attribute(LIFETIME)
        .and_then(|value| value.first_chunk())
        .map_or(DEFAULT_LIFETIME, |seconds| {
            Duration::from_secs(u32::from_be_bytes(*seconds).into())
        });
    (granted / 2).clamp(SHORTEST_REFRESH, LONGEST_REFRESH)
}

/// Methods and attributes of RFC 8656 §17 and §18.
pub(super) const DATA_INDICATION: u16 = 0x0007;
pub(super) const XOR_PEER_ADDRESS: u16 = 0x0012;
pub(super) const DATA: u16 = 0x0013;
pub(super) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
pub(super) const LIFETIME: u16 = 0x000D;

/// RFC 8656 §3.2.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
const SHORTEST_REFRESH: Duration = Duration::from_secs(30);
const LONGEST_REFRESH: Duration = Duration::from_secs(1800);
/// Longer than a request takes to be answered or given up.
const FOREVER: Duration = Duration::from_secs(3600);

/// Datagrams that wait for channels; the oldest goes. ICE repeats itself.
const MAX_WAITING: usize = 16;

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
