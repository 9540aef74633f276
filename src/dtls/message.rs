//! What the DTLS actor is told, and what it tells.

use std::fmt;
use std::sync::Arc;

use super::der::CertificateFields;
use super::error::DtlsError;
use super::fingerprint::{DtlsRole, Fingerprint};
use super::link::Egress;
use super::machine::{Attempt, DtlsTimer};
use crate::peer_connection::DtlsTransportState;
use crate::srtp::{SrtpKeys, SrtpProfile};
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
    /// The connection of `attempt` is over, and neither side has closed it: the crate below has given it up.
    ConnectionBroke { attempt: Attempt },
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

/// What was agreed on in a handshake, for statistics.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct DtlsSession {
    pub(crate) role: DtlsRole,
    /// By the name that IANA gives it.
    pub(crate) cipher_suite: &'static str,
    pub(crate) srtp_profile: SrtpProfile,
    /// The remote side's certificate, in DER.
    pub(crate) peer_certificate: Vec<u8>,
}

impl DtlsSession {
    /// Of the two suites that are offered, the peer's certificate tells which one was taken where we are the client; as server
    /// we have one only (RFC 8422 §2).
    pub(super) fn new(role: DtlsRole, profile: SrtpProfile, peer_certificate: Vec<u8>) -> Self {
        let by_rsa = role == DtlsRole::Client
            && CertificateFields::read(&peer_certificate).is_some_and(|it| it.has_rsa_key());
        Self {
            role,
            cipher_suite: if by_rsa {
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"
            } else {
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
            },
            srtp_profile: profile,
            peer_certificate,
        }
    }
}

impl fmt::Debug for DtlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsSession")
            .field("role", &self.role)
            .field("cipher_suite", &self.cipher_suite)
            .field("srtp_profile", &self.srtp_profile)
            .finish_non_exhaustive()
    }
}

/// News for whoever owns a [`DtlsTransport`](super::DtlsTransport).
#[derive(PartialEq)]
pub(crate) enum DtlsEvent {
    /// The state changed.
    StateChanged(DtlsTransportState),
    /// The remote side is who it should be, and these are the keys for media. Comes before the
    /// state changes to connected.
    KeysReady {
        keys: SrtpKeys,
        session: DtlsSession,
    },
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
            Self::ConnectionBroke { .. } => "ConnectionBroke",
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
            Self::KeysReady { keys, .. } => {
                f.debug_tuple("KeysReady").field(&keys.profile).finish()
            }
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
            Self::ClosedByPeer => f.write_str("ClosedByPeer"),
        }
    }
}
