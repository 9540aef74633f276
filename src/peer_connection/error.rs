//! Why a peer connection did not start, and why its owner stays, why media was not taken or routed.

use crate::call::{CallError, StartError};
use crate::dtls::CertificateError;
use crate::ice::IceServerError;
use crate::rtp::RtcpError;
use crate::track::{MediaKind, TrackId};
use crate::udp::UdpEndpointError;

/// Why a peer connection did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// An ICE server is none; the application's to mend.
    #[error("an ICE server is invalid")]
    IceServer(#[from] IceServerError),
    /// No certificate could be made.
    #[error("certificate could not be made")]
    Certificate(#[from] CertificateError),
    /// No socket could be had for the peer's own endpoint, or the shared ones have stopped.
    #[error("no udp endpoint could be had")]
    Endpoint(#[from] UdpEndpointError),
    /// The owner has ended already.
    #[error("the owner has stopped")]
    OwnerGone,
    /// An actor of the peer did not start.
    #[error("an actor of the peer did not start")]
    Actor(#[from] StartError),
}

/// Why a peer connection keeps the owner that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetOwnerError {
    /// The new owner has ended already.
    #[error("the new owner has stopped")]
    OwnerGone,
    /// The peer connection is closing, and tells its end to the owner that it has.
    #[error("peer connection is closed")]
    Closed,
    /// The peer could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// Why packets were not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The peer connection has ended; drop the handle.
    #[error("peer connection is closed")]
    Closed,
    /// No sender of this peer has this track: add it with `add_track` first. Remote tracks cannot
    /// be sent on: give the peer a local track of the same kind.
    #[error("no sender of this peer connection has {0}")]
    UnknownTrack(TrackId),
    /// The sender of this track has several encodings and none was named, or none of the name that was given: see
    /// [`RtpSender::rids`](super::RtpSender::rids).
    #[error("{0} is not sent in this encoding")]
    UnknownEncoding(TrackId),
    /// No receiver of this peer has this track.
    #[error("no receiver of this peer connection has {0}")]
    UnknownReceiver(TrackId),
    /// An RTCP packet says more than its fields hold; the application's to mend.
    #[error("rtcp packet cannot be written")]
    InvalidRtcp(#[from] RtcpError),
}

/// Why a track was not fed by route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// No sender of this peer has this track.
    #[error("no sender of this peer connection has {0}")]
    UnknownTrack(TrackId),
    /// The sender of this track has several encodings and none was named, or none of the name that was given.
    #[error("{0} is not sent in this encoding")]
    UnknownEncoding(TrackId),
    /// No receiver of the other peer has this track.
    #[error("no receiver of the source has {0}")]
    UnknownSource(TrackId),
    /// Audio cannot be sent as video, nor the other way round.
    #[error("a route from {from} to {to} carries nothing")]
    KindMismatch {
        /// What the source is.
        from: MediaKind,
        /// What the track is.
        to: MediaKind,
    },
    /// As many peers of this one's socket take the track, or this encoding of it, as the publisher's [`PeerLimits::subscribers`](crate::limits::PeerLimits::subscribers)
    /// say.
    #[error("the source goes to {limit} tracks already")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// The peer where the route begins has ended.
    #[error("the peer connection of the source has ended")]
    SourceClosed,
    /// This peer could not be asked.
    #[error(transparent)]
    Call(#[from] CallError),
}
