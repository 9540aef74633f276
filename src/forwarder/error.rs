//! Why a Forwarder did not do as asked.

use crate::call::CallError;
use crate::jsep::TransceiverError;
use crate::peer_connection::PeerId;
use crate::track::{MediaKind, TrackId};

/// Why a peer was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddPeerError {
    /// There are as many as the limits allow: try again when one has gone.
    #[error("more than {limit} peers")]
    TooManyPeers {
        /// The limit.
        limit: usize,
    },
    /// The peer has ended, or was removed before it had its tracks.
    #[error("{0} has ended or was removed")]
    Gone(PeerId),
    /// The Forwarder has stopped, or the peer does not answer. In the latter case it is added all the same, and gets
    /// its tracks when it answers again.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why a peer does not get a track.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The peer was not added, or has gone.
    #[error("{0} is not a peer of this forwarder")]
    UnknownPeer(PeerId),
    /// No peer publishes this track, or not any more.
    #[error("{0} is not published")]
    UnknownPublication(TrackId),
    /// No peer is sent this track by this Forwarder, or not any more.
    #[error("{0} is not a subscription")]
    UnknownSubscription(TrackId),
    /// A slot has this track already.
    #[error("{0} is a subscription already")]
    AlreadySubscribed(TrackId),
    /// Audio cannot be sent as video, nor the other way round.
    #[error("a subscription to {to} cannot be fed with {from}")]
    KindMismatch {
        /// What the publication is.
        from: MediaKind,
        /// What the subscription is.
        to: MediaKind,
    },
    /// The peer is sent as many tracks as the limits allow.
    #[error("more than {limit} subscriptions of one peer")]
    TooManySubscriptions {
        /// The limit.
        limit: usize,
    },
    /// The peer connection of the subscriber did not take the track.
    #[error("the subscriber's peer connection did not take the track")]
    Transceiver(#[from] TransceiverError),
    /// The remote side has rejected the m-line.
    #[error("the remote side rejected the m-line")]
    Rejected,
    /// It ended before it was attached: somebody unsubscribed, the peer was removed, or the publication ended.
    #[error("the subscription has ended")]
    Ended,
    /// The Forwarder has stopped, or the subscriber does not answer. In the latter case it gets the track when it
    /// answers again.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl SubscribeError {
    /// What was refused may be taken when another subscription of the peer has ended.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::TooManySubscriptions { .. } | Self::Transceiver(TransceiverError::TooMany { .. })
        )
    }
}
