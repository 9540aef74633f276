//! What the DTLS actor is told, and what it tells.

use std::fmt;
use std::sync::Arc;

use super::error::DtlsError;
use super::fingerprint::{DtlsRole, Fingerprint};
use super::link::Egress;
use super::machine::{Attempt, DtlsTimer};
use crate::peer_connection::DtlsTransportState;
use crate::srtp::SrtpKeys;
use crate::timer::Generation;

/// Mailbox of the DTLS actor.
pub(crate) enum DtlsMessage {
    // Commands, from handles.
    /// Shake hands as `role`, and accept a certificate with one of `remote_fingerprints` only.
    Start {
        role: DtlsRole,
        remote_fingerprints: Vec<Fingerprint>,
    },
    /// Send here from now on.
    SetPath(Arc<dyn Egress>),
    /// Say goodbye to the remote side, then end.
    Close,

    // Facts, from the actor's own helpers.
    /// The client of `attempt` has said hello.
    PeerSpoke { attempt: Attempt },
    /// The handshake of `attempt` is done.
    HandshakeCompleted {
        attempt: Attempt,
        outcome: HandshakeOutcome,
    },
    /// The handshake of `attempt` will never be done.
    HandshakeFailed { attempt: Attempt, error: DtlsError },
    /// The connection of `attempt` is over: the remote side closed it, or we did and it is done.
    ConnectionEnded { attempt: Attempt },
    /// A timer armed by this actor went off.
    TimerFired {
        timer: DtlsTimer,
        generation: Generation,
    },
}

/// What a handshake leaves behind.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct HandshakeOutcome {
    /// The remote side's certificate, in DER.
    pub(crate) peer_certificate: Vec<u8>,
    pub(crate) keys: SrtpKeys,
}

/// News for whoever owns a [`DtlsTransport`](super::DtlsTransport).
#[derive(PartialEq)]
pub(crate) enum DtlsEvent {
    /// The state changed.
    StateChanged(DtlsTransportState),
    /// The remote side is who it should be, and these are the keys for media. Comes before the
    /// state changes to connected.
    KeysReady(SrtpKeys),
    /// The transport failed; comes before the state changes to failed.
    Failed(DtlsError),
    /// The remote side closed the connection; comes before the state changes to closed.
    ClosedByPeer,
}

// Written by hand so that no key ever reaches a log.

impl fmt::Debug for DtlsMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start { .. } => "Start",
            Self::SetPath(_) => "SetPath",
            Self::Close => "Close",
            Self::PeerSpoke { .. } => "PeerSpoke",
            Self::HandshakeCompleted { .. } => "HandshakeCompleted",
            Self::HandshakeFailed { .. } => "HandshakeFailed",
            Self::ConnectionEnded { .. } => "ConnectionEnded",
            Self::TimerFired { .. } => "TimerFired",
        })
    }
}

impl fmt::Debug for HandshakeOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeOutcome")
            .field("profile", &self.keys.profile)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for DtlsEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateChanged(state) => f.debug_tuple("StateChanged").field(state).finish(),
            Self::KeysReady(keys) => f.debug_tuple("KeysReady").field(&keys.profile).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::ClosedByPeer => f.write_str("ClosedByPeer"),
        }
    }
}
