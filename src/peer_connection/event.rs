//! What a peer connection tells its owner.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::state::{
    DtlsTransportState, IceConnectionState, IceGatheringState, PeerConnectionState, SignalingState,
};
use crate::codec::RtpCodec;
use crate::dtls::DtlsError;
use crate::ice::IceCandidate;
use crate::rtp::{AudioLevel, Mid, Rid, RtcpPacket, RtpBatch, SimulcastLayer};
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

/// Names one peer connection within this process. Never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(u64);

impl PeerId {
    /// The next name.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer-{}", self.0)
    }
}

/// News of one peer connection, as it arrives in its owner's mailbox.
///
/// An actor becomes an owner by having `From<PeerEvent>` for its message type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerEvent {
    /// Whose news it is.
    pub peer: PeerId,
    /// What happened.
    pub event: Event,
}

impl PeerEvent {
    /// An event of that peer. Owners get theirs from the connection; making one by hand is for
    /// tests.
    pub fn new(peer: PeerId, event: Event) -> Self {
        Self { peer, event }
    }
}

/// What happened to a peer connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The whole connection changed its state (W3C `connectionstatechange`).
    ConnectionStateChange(PeerConnectionState),
    /// The exchange of offer and answer changed its state (W3C `signalingstatechange`).
    SignalingStateChange(SignalingState),
    /// ICE changed its state (W3C `iceconnectionstatechange`).
    IceConnectionStateChange(IceConnectionState),
    /// The collection of local candidates changed its state (W3C `icegatheringstatechange`).
    IceGatheringStateChange(IceGatheringState),
    /// DTLS changed its state (W3C `statechange` of `RTCDtlsTransport`).
    DtlsTransportStateChange(DtlsTransportState),
    /// DTLS has failed, and this is why (W3C `error` of `RTCDtlsTransport`). The state follows.
    DtlsTransportError(DtlsError),
    /// A local candidate to be carried to the remote side; `None` after the last one of this
    /// gathering (W3C `icecandidate`).
    IceCandidate(Option<IceCandidate>),
    /// A new offer is needed for what was changed locally (W3C `negotiationneeded`).
    NegotiationNeeded,
    /// The remote side added a track (W3C `track`).
    Track(MediaStreamTrack),
    /// The remote side stopped sending on this track, perhaps for a while (W3C `mute`).
    TrackMuted(TrackId),
    /// This track is over (W3C `ended`).
    TrackEnded(TrackId),
    /// Nothing can flow on an m-line: no codec is known to both sides. An offered m-line of that
    /// kind is rejected by our answer, and its track ends.
    NoCommonCodec {
        /// The m-line.
        mid: Mid,
        /// Sound or pictures.
        kind: MediaKind,
        /// The codecs that we would take, preferred first.
        local: Vec<RtpCodec>,
        /// The codecs that the remote side named, in its order.
        remote: Vec<RtpCodec>,
    },
    /// Media arrived.
    Rtp {
        /// The remote track.
        track_id: TrackId,
        /// The simulcast encoding; `None` without simulcast.
        rid: Option<Rid>,
        /// The packets, decrypted, in the order they arrived.
        packets: RtpBatch,
    },
    /// What a route brings for one of our tracks is coded in a way that the remote side has not agreed to decode.
    /// It is dropped (`not_negotiated`) until its source changes the codec, or another source is set. Told once for
    /// each source and codec.
    RouteCodecMismatch {
        /// The local track.
        track_id: TrackId,
        /// The codec of its source.
        codec: RtpCodec,
    },
    /// How loud a remote track was since the last time, while sound arrives; see
    /// [`audio_level_interval`](super::PeerConnectionBuilder::audio_level_interval).
    AudioLevel {
        /// The remote track.
        track_id: TrackId,
        /// The loudest of the interval; speech if any of it was.
        level: AudioLevel,
    },
    /// The remote side sends other encodings of a track of pictures than before, or they take more or less of the path: one
    /// has begun or paused (told within about half a second while others go on), or a rate has changed by a fifth
    /// (told once in a second at most).
    LayersChanged {
        /// The remote track.
        track_id: TrackId,
        /// All its encodings, the lowest first as far as their bitrates tell; those that have never come last. A track
        /// without simulcast has one, without a name.
        layers: Vec<SimulcastLayer>,
    },
    /// The estimate of what the path to the remote side takes has changed by five per cent or more. Told only where
    /// the remote side sends transport-wide feedback; begins once that comes. One that has none, and agreed to `goog-remb`,
    /// estimates by itself: then this is what it says.
    AvailableOutgoingBitrate {
        /// All that is sent counts: media, retransmissions and their headers, from RTP on.
        bits_per_second: u64,
    },
    /// Reports and feedback arrived. Transport-wide feedback is not among them: it is for the estimate, see
    /// [`AvailableOutgoingBitrate`](Self::AvailableOutgoingBitrate).
    Rtcp {
        /// The track they speak of: one of ours for feedback on what we send, a remote one for
        /// the reports of its sender; `None` when they speak of several or of none.
        track_id: Option<TrackId>,
        /// Which encoding of the track, where it is sent in several (simulcast).
        rid: Option<Rid>,
        /// The packets, in the order they arrived.
        packets: Vec<RtcpPacket>,
    },
    /// Media was thrown away, the oldest first, because the owner did not keep up with its events,
    /// or this machine with the network. Told at most once a second, with all that was lost since
    /// the last time.
    RtpDropped {
        /// Lost packets.
        packets: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The connection is gone, and this is its last event.
    Closed {
        /// Why.
        reason: CloseReason,
    },
}

/// Why a peer connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// [`close`](super::PeerConnection::close) was called.
    Requested,
    /// The owner is gone, so that nobody is left to work for.
    OwnerGone,
    /// The actor was stopped from outside, by its supervisor as a rule, or that has ended itself.
    Stopped,
    /// The actor itself failed or was killed; ractor tells its supervisor the text of a panic or error.
    Crashed,
    /// A part of the peer failed, and the peer cannot do without it.
    PartFailed {
        /// Which one.
        part: Part,
        /// What it said last.
        message: String,
    },
}

/// The parts of a peer connection, each an actor of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The socket, the peer's own or a shared one.
    UdpEndpoint,
    /// ICE.
    IceTransport,
    /// DTLS.
    DtlsTransport,
    /// The media path.
    RtpTransport,
}
