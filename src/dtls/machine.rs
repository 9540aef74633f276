//! When a handshake begins, what its end means, and who is told: without clock, task or socket.

use std::time::{Duration, Instant};

use super::error::DtlsError;
use super::fingerprint::{DtlsRole, Fingerprint, FingerprintCheck};
use super::message::{DtlsEvent, DtlsSession, HandshakeOutcome};
use crate::peer_connection::DtlsTransportState;

/// Identifies one handshake and the connection that comes of it, so that news of an earlier one
/// can be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum DtlsTimer {
    /// The handshake must be done by now.
    Handshake,
}

/// What the shell must do, in order.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Shake hands in a task of its own.
    Connect {
        attempt: Attempt,
        role: DtlsRole,
        fingerprints: Vec<Fingerprint>,
    },
    /// Say goodbye if there is somebody to say it to, and end the connection task. It tells when
    /// it is done.
    HangUp,
    Arm(DtlsTimer, Instant),
    Disarm(DtlsTimer),
    Announce(DtlsEvent),
    /// End the actor.
    Stop,
}

#[derive(Debug)]
pub(crate) struct DtlsMachine {
    handshake_timeout: Duration,
    path_known: bool,
    next_attempt: u64,
    phase: Phase,
}

/// What exists only in a state, lives in it.
#[derive(Debug)]
enum Phase {
    /// Waits for a role, or for a path, or both.
    New {
        orders: Option<Orders>,
    },
    Connecting {
        attempt: Attempt,
        orders: Orders,
    },
    Connected {
        attempt: Attempt,
        orders: Orders,
    },
    /// `leaving` is the connection that we have hung up, while it says goodbye.
    Closed {
        leaving: Option<Attempt>,
    },
    /// The remote side closed, and may speak again: this attempt listens for its hello.
    Left {
        attempt: Attempt,
        orders: Orders,
    },
    Failed,
}

/// What the negotiation decided.
#[derive(Clone, Debug)]
struct Orders {
    role: DtlsRole,
    fingerprints: Vec<Fingerprint>,
}

impl Orders {
    /// Whether who has these fingerprints is the peer that was meant.
    fn are_for(&self, fingerprints: &[Fingerprint]) -> bool {
        let known = |one| self.fingerprints.contains(one);
        fingerprints.iter().all(known)
    }
}

impl DtlsMachine {
    pub(crate) fn new(handshake_timeout: Duration) -> Self {
        Self {
            handshake_timeout,
            path_known: false,
            next_attempt: 0,
            phase: Phase::New { orders: None },
        }
    }

    pub(crate) fn state(&self) -> DtlsTransportState {
        match self.phase {
            Phase::New { .. } => DtlsTransportState::New,
            Phase::Connecting { .. } => DtlsTransportState::Connecting,
            Phase::Connected { .. } => DtlsTransportState::Connected,
            Phase::Closed { .. } | Phase::Left { .. } => DtlsTransportState::Closed,
            Phase::Failed => DtlsTransportState::Failed,
        }
    }

    /// A new association may follow a closed or a failed one, for instance when an ICE restart
    /// leads to another peer; it replaces a running one whose peer had another certificate, and any other
    /// running one is left alone (RFC 8842 §4). So is a server that listens for the peer that left.
    pub(crate) fn handle_start(
        &mut self,
        role: DtlsRole,
        fingerprints: Vec<Fingerprint>,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        match &self.phase {
            Phase::New { .. } | Phase::Failed | Phase::Closed { leaving: None } => {}
            Phase::Connecting { orders, .. } | Phase::Connected { orders, .. } => {
                if orders.are_for(&fingerprints) {
                    return;
                }
                effects.push(Effect::Disarm(DtlsTimer::Handshake));
                effects.push(Effect::HangUp);
            }
            Phase::Left { orders, .. } => {
                if role == orders.role && orders.are_for(&fingerprints) {
                    return;
                }
                effects.push(Effect::HangUp);
            }
            // The actor is about to end.
            Phase::Closed { leaving: Some(_) } => return,
        }
        let orders = Orders { role, fingerprints };
        self.phase = Phase::New {
            orders: Some(orders),
        };
        self.connect_if_ready(now, effects);
    }

    pub(crate) fn handle_path(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.path_known = true;
        self.connect_if_ready(now, effects);
    }

    /// The handshake of this attempt has begun, by the remote side's hello.
    pub(crate) fn handle_peer_spoke(
        &mut self,
        spoken_to: Attempt,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        if let Phase::Left { attempt, orders } = &self.phase
            && *attempt == spoken_to
        {
            let (attempt, orders) = (*attempt, orders.clone());
            self.begin(attempt, orders, now, effects);
        }
    }

    pub(crate) fn handle_handshake_completed(
        &mut self,
        attempt: Attempt,
        outcome: HandshakeOutcome,
        effects: &mut Vec<Effect>,
    ) {
        let Some(orders) = self.orders_of(attempt) else {
            return;
        };
        // The crate was told to check as well; nothing is handed out on its word alone.
        match Fingerprint::check(&orders.fingerprints, &outcome.peer_certificate) {
            FingerprintCheck::Matches => {
                let orders = orders.clone();
                let HandshakeOutcome {
                    peer_certificate,
                    keys,
                } = outcome;
                let session = DtlsSession::new(orders.role, keys.profile, peer_certificate);
                self.phase = Phase::Connected { attempt, orders };
                effects.push(Effect::Disarm(DtlsTimer::Handshake));
                effects.push(Effect::Announce(DtlsEvent::KeysReady { keys, session }));
                self.announce_state(effects);
            }
            FingerprintCheck::Differs => self.fail(DtlsError::FingerprintMismatch, effects),
            FingerprintCheck::NoneSupported => {
                self.fail(DtlsError::NoSupportedFingerprint, effects);
            }
        }
    }

    pub(crate) fn handle_handshake_failed(
        &mut self,
        attempt: Attempt,
        error: DtlsError,
        effects: &mut Vec<Effect>,
    ) {
        if self.orders_of(attempt).is_some() {
            self.fail(error, effects);
        } else if matches!(self.phase, Phase::Left { attempt: listening, .. } if listening == attempt)
        {
            // Nobody had spoken, so nothing has changed.
            self.phase = Phase::Closed { leaving: None };
        }
    }

    /// The connection is over, by the remote side's wish or after ours.
    pub(crate) fn handle_connection_ended(&mut self, ended: Attempt, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Connected { attempt, orders } if *attempt == ended => {
                let orders = orders.clone();
                self.phase = Phase::Closed { leaving: None };
                effects.push(Effect::HangUp);
                effects.push(Effect::Announce(DtlsEvent::ClosedByPeer));
                self.announce_state(effects);
                if orders.role == DtlsRole::Server {
                    self.listen(orders, effects);
                }
            }
            Phase::Closed {
                leaving: Some(attempt),
            } if *attempt == ended => effects.push(Effect::Stop),
            // Of an earlier attempt.
            Phase::New { .. }
            | Phase::Connecting { .. }
            | Phase::Connected { .. }
            | Phase::Closed { .. }
            | Phase::Left { .. }
            | Phase::Failed => {}
        }
    }

    /// The crate below has given up a connection that nobody closed. Media has its keys, but nothing of DTLS would be heard
    /// any more, a goodbye least of all.
    pub(crate) fn handle_connection_broke(&mut self, broken: Attempt, effects: &mut Vec<Effect>) {
        match &self.phase {
            Phase::Connected { attempt, .. } if *attempt == broken => {
                self.fail(DtlsError::Broken, effects);
            }
            // It said goodbye on our behalf, as well as it could.
            Phase::Closed {
                leaving: Some(attempt),
            } if *attempt == broken => effects.push(Effect::Stop),
            // Of an earlier attempt.
            Phase::New { .. }
            | Phase::Connecting { .. }
            | Phase::Connected { .. }
            | Phase::Closed { .. }
            | Phase::Left { .. }
            | Phase::Failed => {}
        }
    }

    /// Chromium leaves and comes back at once when the m-line that its transport was made for is
    /// stopped. Nothing tells a server whether that is so but the next ClientHello, which costs
    /// nothing to wait for. A client would have to knock at a door that may be closed for good.
    fn listen(&mut self, orders: Orders, effects: &mut Vec<Effect>) {
        let attempt = self.connect(&orders, effects);
        self.phase = Phase::Left { attempt, orders };
    }

    pub(crate) fn handle_timer(&mut self, timer: DtlsTimer, effects: &mut Vec<Effect>) {
        match (timer, &self.phase) {
            (DtlsTimer::Handshake, Phase::Connecting { .. }) => {
                let after = self.handshake_timeout;
                self.fail(DtlsError::HandshakeTimeout { after }, effects);
            }
            (
                DtlsTimer::Handshake,
                Phase::New { .. }
                | Phase::Connected { .. }
                | Phase::Closed { .. }
                | Phase::Left { .. }
                | Phase::Failed,
            ) => {}
        }
    }

    /// Closing twice is closing once.
    pub(crate) fn handle_close(&mut self, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Connected { attempt, .. } => {
                self.phase = Phase::Closed {
                    leaving: Some(attempt),
                };
                effects.push(Effect::HangUp);
                self.announce_state(effects);
            }
            Phase::New { .. } | Phase::Connecting { .. } | Phase::Failed => {
                self.phase = Phase::Closed { leaving: None };
                effects.push(Effect::Disarm(DtlsTimer::Handshake));
                effects.push(Effect::HangUp);
                self.announce_state(effects);
                effects.push(Effect::Stop);
            }
            Phase::Closed { leaving: None } | Phase::Left { .. } => effects.push(Effect::Stop),
            Phase::Closed { leaving: Some(_) } => {}
        }
    }

    fn connect_if_ready(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Phase::New { orders } = &mut self.phase else {
            return;
        };
        let Some(orders) = orders.take_if(|_| self.path_known) else {
            return;
        };
        let attempt = self.connect(&orders, effects);
        self.begin(attempt, orders, now, effects);
    }

    fn connect(&mut self, orders: &Orders, effects: &mut Vec<Effect>) -> Attempt {
        let attempt = Attempt(self.next_attempt);
        self.next_attempt += 1;
        effects.push(Effect::Connect {
            attempt,
            role: orders.role,
            fingerprints: orders.fingerprints.clone(),
        });
        attempt
    }

    fn begin(&mut self, attempt: Attempt, orders: Orders, now: Instant, effects: &mut Vec<Effect>) {
        let deadline = now + self.handshake_timeout;
        effects.push(Effect::Arm(DtlsTimer::Handshake, deadline));
        self.phase = Phase::Connecting { attempt, orders };
        self.announce_state(effects);
    }

    /// What was decided for this attempt, if it is the one under way.
    fn orders_of(&self, wanted: Attempt) -> Option<&Orders> {
        match &self.phase {
            Phase::Connecting { attempt, orders } if *attempt == wanted => Some(orders),
            Phase::New { .. }
            | Phase::Connecting { .. }
            | Phase::Connected { .. }
            | Phase::Closed { .. }
            | Phase::Left { .. }
            | Phase::Failed => None,
        }
    }

    fn fail(&mut self, error: DtlsError, effects: &mut Vec<Effect>) {
        self.phase = Phase::Failed;
        effects.push(Effect::Disarm(DtlsTimer::Handshake));
        effects.push(Effect::HangUp);
        effects.push(Effect::Announce(DtlsEvent::Failed(error)));
        self.announce_state(effects);
    }

    fn announce_state(&self, effects: &mut Vec<Effect>) {
        effects.push(Effect::Announce(DtlsEvent::StateChanged(self.state())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::{SrtpKeys, SrtpMasterKey, SrtpProfile};

    const TIMEOUT: Duration = Duration::from_secs(15);
    const DER: &[u8] = b"stands for a certificate";
    const FIRST: Attempt = Attempt(0);

    fn outcome() -> HandshakeOutcome {
        let key = |byte| SrtpMasterKey {
            key: vec![byte; 16],
            salt: vec![byte; 12],
        };
        HandshakeOutcome {
            peer_certificate: DER.to_vec(),
            keys: SrtpKeys {
                profile: SrtpProfile::AeadAes128Gcm,
                local: key(1),
                remote: key(2),
            },
        }
    }

    fn right() -> Vec<Fingerprint> {
        vec![Fingerprint::sha256(DER)]
    }

    fn state(state: DtlsTransportState) -> Effect {
        Effect::Announce(DtlsEvent::StateChanged(state))
    }

    /// A machine whose first handshake is under way, to be accepted with these fingerprints.
    fn connecting(fingerprints: Vec<Fingerprint>) -> (DtlsMachine, Vec<Effect>) {
        let (mut machine, mut effects) = (DtlsMachine::new(TIMEOUT), Vec::new());
        let now = Instant::now();
        machine.handle_path(now, &mut effects);
        machine.handle_start(DtlsRole::Server, fingerprints, now, &mut effects);
        effects.clear();
        (machine, effects)
    }

    fn connected() -> (DtlsMachine, Vec<Effect>) {
        let (mut machine, mut effects) = connecting(right());
        machine.handle_handshake_completed(FIRST, outcome(), &mut effects);
        effects.clear();
        (machine, effects)
    }

    #[test]
    fn a_handshake_begins_once_role_and_path_are_known_in_either_order() {
        let now = Instant::now();
        let begun = [
            Effect::Connect {
                attempt: FIRST,
                role: DtlsRole::Client,
                fingerprints: right(),
            },
            Effect::Arm(DtlsTimer::Handshake, now + TIMEOUT),
            state(DtlsTransportState::Connecting),
        ];
        let (mut machine, mut effects) = (DtlsMachine::new(TIMEOUT), Vec::new());
        machine.handle_path(now, &mut effects);
        assert!(effects.is_empty());
        machine.handle_start(DtlsRole::Client, right(), now, &mut effects);
        assert_eq!(effects, begun);

        let (mut machine, mut effects) = (DtlsMachine::new(TIMEOUT), Vec::new());
        machine.handle_start(DtlsRole::Client, right(), now, &mut effects);
        assert!(effects.is_empty());
        machine.handle_path(now, &mut effects);
        assert_eq!(effects, begun);
    }

    #[test]
    fn c047_a_second_start_changes_nothing() {
        for (mut machine, mut effects) in [connecting(right()), connected()] {
            let before = machine.state();
            machine.handle_start(DtlsRole::Client, Vec::new(), Instant::now(), &mut effects);
            machine.handle_path(Instant::now(), &mut effects);
            assert!(effects.is_empty());
            assert_eq!(machine.state(), before);
        }
    }

    #[test]
    fn keys_are_told_before_the_state() {
        let (mut machine, mut effects) = connecting(right());
        machine.handle_handshake_completed(FIRST, outcome(), &mut effects);
        assert_eq!(
            effects,
            [
                Effect::Disarm(DtlsTimer::Handshake),
                Effect::Announce(DtlsEvent::KeysReady {
                    keys: outcome().keys,
                    session: DtlsSession::new(
                        DtlsRole::Server,
                        SrtpProfile::AeadAes128Gcm,
                        DER.to_vec()
                    ),
                }),
                state(DtlsTransportState::Connected),
            ]
        );
    }

    #[test]
    fn c103_no_keys_are_told_for_a_certificate_that_was_not_promised() {
        let sha1 = Fingerprint {
            algorithm: "sha-1".to_owned(),
            digest: vec![0; 20],
        };
        for (fingerprints, error) in [
            (
                vec![Fingerprint::sha256(b"another")],
                DtlsError::FingerprintMismatch,
            ),
            (vec![sha1], DtlsError::NoSupportedFingerprint),
            (Vec::new(), DtlsError::NoSupportedFingerprint),
        ] {
            let (mut machine, mut effects) = connecting(fingerprints);
            machine.handle_handshake_completed(FIRST, outcome(), &mut effects);
            assert_eq!(
                effects,
                [
                    Effect::Disarm(DtlsTimer::Handshake),
                    Effect::HangUp,
                    Effect::Announce(DtlsEvent::Failed(error)),
                    state(DtlsTransportState::Failed),
                ]
            );
        }
    }

    #[test]
    fn a_handshake_that_takes_too_long_fails() {
        let (mut machine, mut effects) = connecting(right());
        machine.handle_timer(DtlsTimer::Handshake, &mut effects);
        let error = DtlsError::HandshakeTimeout { after: TIMEOUT };
        assert!(effects.contains(&Effect::Announce(DtlsEvent::Failed(error))));
        effects.clear();
        machine.handle_handshake_completed(FIRST, outcome(), &mut effects);
        assert!(effects.is_empty(), "too late");
        assert_eq!(machine.state(), DtlsTransportState::Failed);
    }

    #[test]
    fn c048_a_closed_or_failed_transport_may_be_started_again() {
        let (mut closed, mut effects) = connected();
        closed.handle_connection_ended(FIRST, &mut effects);
        let (mut failed, _) = connecting(right());
        failed.handle_handshake_failed(FIRST, DtlsError::Internal, &mut effects);
        for mut machine in [closed, failed] {
            effects.clear();
            machine.handle_start(DtlsRole::Client, right(), Instant::now(), &mut effects);
            let begins = |effect: &_| {
                matches!(
                    effect,
                    Effect::Connect {
                        role: DtlsRole::Client,
                        ..
                    }
                )
            };
            assert!(effects.iter().any(begins));
            assert_eq!(machine.state(), DtlsTransportState::Connecting);
            effects.clear();
            machine.handle_handshake_failed(FIRST, DtlsError::Internal, &mut effects);
            machine.handle_handshake_completed(FIRST, outcome(), &mut effects);
            machine.handle_connection_ended(FIRST, &mut effects);
            assert!(effects.is_empty(), "news of the first attempt are stale");
        }
    }

    #[test]
    fn a_server_that_was_left_listens_and_connects_when_its_peer_speaks_again() {
        let now = Instant::now();
        let second = Attempt(1);
        let (mut machine, mut effects) = connected();
        machine.handle_peer_spoke(FIRST, now, &mut effects);
        machine.handle_peer_spoke(second, now, &mut effects);
        assert!(effects.is_empty(), "the association runs");
        machine.handle_connection_ended(FIRST, &mut effects);
        let left = [
            Effect::HangUp,
            Effect::Announce(DtlsEvent::ClosedByPeer),
            state(DtlsTransportState::Closed),
            Effect::Connect {
                attempt: second,
                role: DtlsRole::Server,
                fingerprints: right(),
            },
        ];
        assert_eq!(effects, left);
        effects.clear();
        machine.handle_start(DtlsRole::Server, right(), now, &mut effects);
        machine.handle_handshake_completed(second, outcome(), &mut effects);
        machine.handle_timer(DtlsTimer::Handshake, &mut effects);
        assert!(effects.is_empty(), "nobody has spoken");
        machine.handle_peer_spoke(second, now, &mut effects);
        let begun = [
            Effect::Arm(DtlsTimer::Handshake, now + TIMEOUT),
            state(DtlsTransportState::Connecting),
        ];
        assert_eq!(effects, begun);
        machine.handle_handshake_completed(second, outcome(), &mut effects);
        assert_eq!(machine.state(), DtlsTransportState::Connected);
    }

    #[test]
    fn a_client_that_was_left_does_not_knock() {
        let (mut machine, mut effects) = (DtlsMachine::new(TIMEOUT), Vec::new());
        let now = Instant::now();
        machine.handle_path(now, &mut effects);
        machine.handle_start(DtlsRole::Client, right(), now, &mut effects);
        machine.handle_handshake_completed(FIRST, outcome(), &mut effects);
        effects.clear();
        machine.handle_connection_ended(FIRST, &mut effects);
        let left = [
            Effect::HangUp,
            Effect::Announce(DtlsEvent::ClosedByPeer),
            state(DtlsTransportState::Closed),
        ];
        assert_eq!(effects, left);
    }

    #[test]
    fn c028_a_running_association_makes_way_for_a_peer_with_another_certificate_only() {
        let now = Instant::now();
        let other = vec![Fingerprint::sha256(b"another certificate")];
        for (mut machine, mut effects) in [connected(), connecting(right())] {
            let before = machine.state();
            machine.handle_start(DtlsRole::Client, right(), now, &mut effects);
            assert!(effects.is_empty());
            assert_eq!(machine.state(), before);
            machine.handle_start(DtlsRole::Client, other.clone(), now, &mut effects);
            let begun = [
                Effect::Disarm(DtlsTimer::Handshake),
                Effect::HangUp,
                Effect::Connect {
                    attempt: Attempt(1),
                    role: DtlsRole::Client,
                    fingerprints: other.clone(),
                },
                Effect::Arm(DtlsTimer::Handshake, now + TIMEOUT),
                state(DtlsTransportState::Connecting),
            ];
            assert_eq!(effects, begun);
            effects.clear();
            machine.handle_handshake_completed(FIRST, outcome(), &mut effects);
            machine.handle_connection_ended(FIRST, &mut effects);
            assert!(effects.is_empty(), "news of the first attempt are stale");
        }
    }

    #[test]
    fn closing_a_connection_says_goodbye_before_the_actor_ends() {
        let (mut machine, mut effects) = connected();
        machine.handle_close(&mut effects);
        assert_eq!(effects, [Effect::HangUp, state(DtlsTransportState::Closed)]);
        effects.clear();
        machine.handle_close(&mut effects);
        machine.handle_start(DtlsRole::Client, right(), Instant::now(), &mut effects);
        assert!(effects.is_empty());
        machine.handle_connection_ended(FIRST, &mut effects);
        assert_eq!(effects, [Effect::Stop]);
    }

    #[test]
    fn closing_without_a_connection_ends_the_actor_at_once() {
        let new = (DtlsMachine::new(TIMEOUT), Vec::new());
        let mut failed = connecting(right());
        failed.0.handle_timer(DtlsTimer::Handshake, &mut failed.1);
        failed.1.clear();
        for (mut machine, mut effects) in [new, connecting(right()), failed] {
            machine.handle_close(&mut effects);
            assert_eq!(
                effects,
                [
                    Effect::Disarm(DtlsTimer::Handshake),
                    Effect::HangUp,
                    state(DtlsTransportState::Closed),
                    Effect::Stop,
                ]
            );
        }
        let (mut closed, mut effects) = connected();
        closed.handle_connection_ended(FIRST, &mut effects);
        effects.clear();
        closed.handle_close(&mut effects);
        assert_eq!(effects, [Effect::Stop]);
    }
}
