//! Why a peer connection did not start, and why media was not taken.

use crate::dtls::CertificateError;
use crate::ice::IceServerError;
use crate::rtp::RtcpError;
use crate::track::TrackId;
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
    Actor(#[from] crate::call::StartError),
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
    /// No receiver of this peer has this track.
    #[error("no receiver of this peer connection has {0}")]
    UnknownReceiver(TrackId),
    /// An RTCP packet says more than its fields hold; the application's to mend.
    #[error("rtcp packet cannot be written")]
    InvalidRtcp(#[from] RtcpError),
}
