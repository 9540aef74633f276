//! Why a session was not begun, or not changed.

use super::session::OfferError;
use crate::call::CallError;
use crate::jsep::{CandidateError, NegotiationError};
use crate::peer_connection::SpawnError;

/// Why a session was not begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There are as many as the limits allow: try again when one has gone.
    #[error("the server has as many {whom} as it takes")]
    Full {
        /// Publishers or viewers.
        whom: &'static str,
    },
    /// The offer is not one for a session like this: its sender's to mend.
    #[error("the offer is not one for this")]
    Offer(#[from] OfferError),
    /// The offer was refused, its sender's to mend, or the peer connection has failed.
    #[error("the offer was not taken")]
    Negotiation(#[from] NegotiationError),
    /// No connection could be set up on this side.
    #[error("no peer connection could be started")]
    Connection(#[from] SpawnError),
    /// The tracks of the session were not taken by the stream.
    #[error("the stream cannot take the session: {reason}")]
    Forwarder {
        /// What it said.
        reason: String,
    },
    /// The Broadcaster, the stream or the session has ended, or is stuck.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a session was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchError {
    /// There is no such session, or not any more.
    #[error("there is no such session")]
    UnknownSession,
    /// The request does not say which ICE session it means.
    #[error("which ICE session is meant has to be said: If-Match is missing")]
    PreconditionRequired,
    /// The request means an ICE session that is over.
    #[error("that ICE session is over; If-Match names another one than runs now")]
    PreconditionFailed,
    /// An ICE restart of the same session is under way.
    #[error("an ICE restart of this session is under way")]
    RestartUnderWay,
    /// The fragment contradicts itself.
    #[error("the fragment cannot be used")]
    Fragment(#[from] super::super::sdpfrag::SdpFragmentError),
    /// A candidate was refused.
    #[error("a candidate was refused")]
    Candidate(#[from] CandidateError),
    /// The ICE restart was refused.
    #[error("the ICE restart was refused")]
    Restart(#[from] NegotiationError),
    /// The Broadcaster, the stream or the session has ended, or is stuck.
    #[error(transparent)]
    Call(#[from] CallError),
}
