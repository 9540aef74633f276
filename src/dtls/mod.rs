//! DTLS: handshake, certificates, keys for SRTP (RFC 5764, RFC 8827).
//!
//! `DtlsTransport` is the handle of a room around the crate `webrtc-dtls`. It is started by the
//! peer connection and linked to it; `DtlsTransport::close` ends it, and so does the end of
//! whoever hears its events. Handshakes start once both the role and a path are known; what
//! arrives earlier waits, bounded, in `DtlsInbound`.
//!
//! Nothing that comes from the network reaches the crate before `guard` has looked at it: the
//! crate panics on some inputs, trusts lengths, and ends a session because of plaintext.
//!
//! The actor has one child, the task that runs the crate:
//!
//! | child | how it may end | what is lost | what we do | what the owner hears |
//! | --- | --- | --- | --- | --- |
//! | connection task | handshake fails, times out | the attempt | state failed; may be started again | `Failed`, state failed |
//! | connection task | remote side closes | the connection | state closed; may be started again; a server listens for a new handshake | `ClosedByPeer`, state closed |
//! | connection task | panic in the crate | the attempt or the connection | as failed, or as closed | the same |
//! | the actor itself | killed | everything | its connection task still says goodbye, then ends | what its supervisor tells |

mod actor;
mod adapter;
mod certificate;
mod der;
mod error;
mod fingerprint;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod guard;
mod handshake;
mod inbound;
mod last_flight;
mod link;
mod machine;
mod message;
mod reassembly;
#[cfg(test)]
mod tests;
mod traffic;

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, ActorRef};
use tracing::Span;

use self::actor::{DtlsActor, DtlsActorArguments};
pub use self::certificate::{Certificate, CertificateError};
pub use self::error::{DtlsError, HandshakeError};
pub use self::fingerprint::{DtlsRole, Fingerprint, FingerprintError};
pub(crate) use self::inbound::DtlsInbound;
use self::link::PathSlot;
use self::message::DtlsMessage;
pub(crate) use self::message::{DtlsEvent, DtlsSession};
pub(crate) use self::traffic::DtlsTraffic;
use crate::call::StartError;
use crate::outlet::Outlet;
use crate::srtp::SrtpProfile;
use crate::start::spawn_linked;
use crate::udp::{HandshakeGate, TransportPath};

/// How long a handshake may take unless the arguments say otherwise.
pub(crate) const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// What a DTLS transport needs for its whole life.
#[derive(Clone, Debug)]
pub(crate) struct DtlsArguments {
    pub(crate) certificate: Certificate,
    /// Ours, best first. As server the first that the client has is taken; as client all are
    /// offered in this order.
    pub(crate) profiles: Vec<SrtpProfile>,
    /// Counted from the moment when role and path are known.
    pub(crate) handshake_timeout: Duration,
    /// Of all peers of the same socket.
    pub(crate) handshakes: HandshakeGate,
    pub(crate) outlet: Outlet<DtlsEvent>,
}

/// Handle to a running DTLS transport. Cheap to clone; dead once the transport has closed.
#[derive(Clone, Debug)]
pub(crate) struct DtlsTransport {
    actor: ActorRef<DtlsMessage>,
    inbound: DtlsInbound,
    path: PathSlot,
}

impl DtlsTransport {
    /// Starts a transport under `supervisor`, in the caller's span; it waits for [`start`](Self::start) and
    /// [`set_path`](Self::set_path).
    ///
    /// # Errors
    ///
    /// [`StartError`] when the actor could not be started.
    pub(crate) async fn spawn(
        arguments: DtlsArguments,
        supervisor: ActorCell,
    ) -> Result<Self, StartError> {
        let inbound = DtlsInbound::new();
        let path = PathSlot::default();
        let arguments = DtlsActorArguments {
            arguments,
            inbound: inbound.clone(),
            path: path.clone(),
            span: Span::current(),
        };
        let actor = spawn_linked(DtlsActor, arguments, supervisor).await?;
        Ok(Self {
            actor,
            inbound,
            path,
        })
    }

    /// Where DTLS packets of this peer go in.
    pub(crate) fn inbound(&self) -> DtlsInbound {
        self.inbound.clone()
    }

    /// Shakes hands as `role` as soon as there is a path, and trusts only a certificate with one
    /// of these fingerprints. Does nothing while a handshake or a connection with such a one is there; begins
    /// anew where it was with another one, after a failure and after the remote side closed. A server whose
    /// client closed goes on listening for it without being asked. Does not wait.
    pub(crate) fn start(&self, role: DtlsRole, remote_fingerprints: Vec<Fingerprint>) {
        self.tell(DtlsMessage::Start {
            role,
            remote_fingerprints,
        });
    }

    /// Sends over `path` from now on. Does not wait.
    pub(crate) fn set_path(&self, path: TransportPath) {
        self.tell(DtlsMessage::SetPath(Arc::new(path)));
    }

    /// Sends close_notify when connected, tells that the state is closed, and ends the actor. Does
    /// not wait.
    pub(crate) fn close(&self) {
        self.tell(DtlsMessage::Close);
    }

    /// What has come and gone so far. Never waits.
    pub(crate) fn traffic(&self) -> DtlsTraffic {
        DtlsTraffic {
            sent: self.path.sent(),
            received: self.inbound.received(),
            refused: self.inbound.refused(),
            overflow: self.inbound.drops().packets,
        }
    }

    /// The actor, for supervisors that want to recognise it.
    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    fn tell(&self, message: DtlsMessage) {
        // A transport that has ended needs no commands.
        let _ended = self.actor.cast(message);
    }
}
