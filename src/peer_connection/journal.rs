//! What the log tells of a peer: a span around all that its actors do, and a line for each thing that an operator
//! wants to know.
//!
//! Lines are written where the owner is told, so that both know the same. Media is not among them: nothing is
//! written, and no span is entered, for what is received, delivered, forwarded or sent.

use tracing::{Span, debug, error_span, info, trace, warn};

use super::event::{CloseReason, Event, PeerId};
use super::state::PeerConnectionState;
use crate::dtls::DtlsSession;
use crate::udp::TransportPath;

/// The peer's span. Of the highest level, so that a log of warnings alone says whose they are, too; within the
/// caller's span, where there is one.
pub(super) fn span(id: PeerId, label: Option<&str>) -> Span {
    error_span!("peer", %id, label)
}

/// A line for what the owner is told.
pub(crate) fn note(span: &Span, event: &Event) {
    match event {
        Event::ConnectionStateChange(state @ PeerConnectionState::Failed) => {
            warn!(parent: span, %state, "connection");
        }
        Event::ConnectionStateChange(state) => info!(parent: span, %state, "connection"),
        Event::SignalingStateChange(state) => debug!(parent: span, %state, "signaling"),
        Event::IceConnectionStateChange(state) => debug!(parent: span, %state, "ice"),
        Event::IceGatheringStateChange(state) => debug!(parent: span, %state, "gathering"),
        Event::DtlsTransportStateChange(state) => debug!(parent: span, %state, "dtls"),
        Event::DtlsTransportError(error) => {
            warn!(parent: span, error = error as &(dyn std::error::Error + 'static), "dtls failed");
        }
        Event::IceCandidate(Some(candidate)) => {
            debug!(parent: span, candidate = candidate.candidate, "local candidate");
        }
        Event::IceCandidate(None) => debug!(parent: span, "no more local candidates"),
        Event::NegotiationNeeded => debug!(parent: span, "negotiation needed"),
        Event::Track(track) => {
            info!(parent: span, track = %track.id(), kind = %track.kind(), "track")
        }
        Event::TrackMuted(track) => debug!(parent: span, %track, "track muted"),
        Event::TrackEnded(track) => info!(parent: span, %track, "track ended"),
        Event::NoCommonCodec { mid, kind, .. } => {
            warn!(parent: span, %mid, %kind, "no codec that both sides know");
        }
        Event::RouteCodecMismatch { track_id, codec } => {
            warn!(parent: span, track = %track_id, codec = &*codec.name, "the remote side does not take the codec of a route");
        }
        Event::RtpDropped { packets, bytes } => {
            warn!(parent: span, packets, bytes, "media dropped: somebody does not keep up");
        }
        Event::Closed { reason } => note_end(span, reason),
        Event::LayersChanged { track_id, layers } => {
            trace!(parent: span, track = %track_id, ?layers, "layers");
        }
        Event::AvailableOutgoingBitrate { bits_per_second } => {
            trace!(parent: span, bits_per_second, "available outgoing bitrate");
        }
        // Media, or as frequent.
        Event::Rtp { .. } | Event::Rtcp { .. } | Event::AudioLevel { .. } => {}
    }
}

fn note_end(span: &Span, reason: &CloseReason) {
    match reason {
        CloseReason::Requested | CloseReason::OwnerGone | CloseReason::Stopped => {
            info!(parent: span, ?reason, "closed");
        }
        CloseReason::Crashed | CloseReason::PartFailed { .. } => {
            warn!(parent: span, ?reason, "closed");
        }
    }
}

/// Media and DTLS take another way.
pub(super) fn note_path(span: &Span, path: &TransportPath) {
    let local = path.socket.local_addr();
    let (remote, relayed) = (path.remote, path.is_relayed());
    info!(parent: span, %local, %remote, relayed, "path selected");
}

/// Keys are agreed.
pub(super) fn note_keys(span: &Span, session: &DtlsSession) {
    info!(parent: span, profile = ?session.srtp_profile, role = ?session.role, "dtls done");
}
