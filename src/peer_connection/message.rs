//! What a peer connection is told.

use ractor::RpcReplyPort;

use super::configuration::{Configuration, SetConfigurationError};
use super::error::SetOwnerError;
use super::event::PeerEvent;
use super::snapshot::Descriptions;
use crate::codec::RtpCodec;
use crate::dtls::DtlsEvent;
use crate::ice::{IceCandidate, IceEvent};
use crate::jsep::{
    CandidateError, NegotiationError, ParametersError, RtpSendParameters, RtpSender,
    RtpTransceiver, RtpTransceiverDirection, RtpTransceiverInit, SenderId, SessionDescription,
    TrackOrKind, TransceiverError, TransceiverId,
};
use crate::outlet::Outlet;
use crate::stats::ControlSnapshot;
use crate::track::MediaStreamTrack;

/// Mailbox of the peer connection.
#[derive(Debug)]
pub(crate) enum PeerConnectionMessage {
    // Commands and queries, from handles.
    /// `createOffer()`.
    CreateOffer {
        reply: RpcReplyPort<Result<SessionDescription, NegotiationError>>,
    },
    /// `createAnswer()`.
    CreateAnswer {
        reply: RpcReplyPort<Result<SessionDescription, NegotiationError>>,
    },
    /// `setLocalDescription()`, with or without a description.
    SetLocalDescription {
        description: Option<SessionDescription>,
        reply: RpcReplyPort<Result<(), NegotiationError>>,
    },
    /// `setRemoteDescription()`.
    SetRemoteDescription {
        description: SessionDescription,
        reply: RpcReplyPort<Result<(), NegotiationError>>,
    },
    /// `addIceCandidate()`; `None` says that no more will come.
    AddIceCandidate {
        candidate: Option<IceCandidate>,
        reply: RpcReplyPort<Result<(), CandidateError>>,
    },
    /// `restartIce()`.
    RestartIce { reply: RpcReplyPort<()> },
    /// `getConfiguration()`.
    Configuration { reply: RpcReplyPort<Configuration> },
    /// `setConfiguration()`.
    SetConfiguration {
        configuration: Configuration,
        reply: RpcReplyPort<Result<(), SetConfigurationError>>,
    },
    /// Tell somebody else from now on.
    SetOwner {
        owner: Outlet<PeerEvent>,
        reply: RpcReplyPort<Result<(), SetOwnerError>>,
    },
    /// One of the operations on transceivers.
    Transceiver(TransceiverRequest),
    /// The four descriptions.
    Descriptions { reply: RpcReplyPort<Descriptions> },
    /// Asks for what the peer connection itself adds to statistics.
    Stats {
        reply: RpcReplyPort<ControlSnapshot>,
    },
    /// `close()`.
    Close,

    // Facts, from the parts below.
    /// The ICE transport has news.
    Ice(IceEvent),
    /// The DTLS transport has news.
    Dtls(DtlsEvent),
    /// The parts had their time to end by themselves.
    CloseDeadlinePassed,
}

/// Operations on transceivers, senders and receivers.
#[derive(Debug)]
pub(crate) enum TransceiverRequest {
    /// `addTrack()`.
    AddTrack {
        track: MediaStreamTrack,
        reply: RpcReplyPort<Result<RtpSender, TransceiverError>>,
    },
    /// The same on a transceiver that may have sent before.
    AddTrackTo {
        transceiver: TransceiverId,
        track: MediaStreamTrack,
        reply: RpcReplyPort<Result<RtpSender, TransceiverError>>,
    },
    /// `removeTrack()`.
    RemoveTrack {
        sender: SenderId,
        reply: RpcReplyPort<Result<(), TransceiverError>>,
    },
    /// `sender.replaceTrack()`.
    ReplaceTrack {
        sender: SenderId,
        track: Option<MediaStreamTrack>,
        reply: RpcReplyPort<Result<(), TransceiverError>>,
    },
    /// `addTransceiver()`.
    AddTransceiver {
        media: TrackOrKind,
        init: RtpTransceiverInit,
        reply: RpcReplyPort<Result<RtpTransceiver, TransceiverError>>,
    },
    /// `transceiver.direction = …`.
    SetDirection {
        transceiver: TransceiverId,
        direction: RtpTransceiverDirection,
        reply: RpcReplyPort<Result<(), TransceiverError>>,
    },
    /// `transceiver.setCodecPreferences()`.
    SetCodecPreferences {
        transceiver: TransceiverId,
        codecs: Vec<RtpCodec>,
        reply: RpcReplyPort<Result<(), TransceiverError>>,
    },
    /// `sender.getParameters()`.
    Parameters {
        sender: SenderId,
        reply: RpcReplyPort<Result<RtpSendParameters, ParametersError>>,
    },
    /// `sender.setParameters()`.
    SetParameters {
        sender: SenderId,
        parameters: RtpSendParameters,
        reply: RpcReplyPort<Result<(), ParametersError>>,
    },
    /// Which codec a sender sends.
    SetSenderCodec {
        sender: SenderId,
        codec: RtpCodec,
        reply: RpcReplyPort<Result<(), ParametersError>>,
    },
    /// `transceiver.stop()`.
    StopTransceiver {
        transceiver: TransceiverId,
        reply: RpcReplyPort<Result<(), TransceiverError>>,
    },
    /// `getTransceivers()`.
    Transceivers {
        reply: RpcReplyPort<Vec<RtpTransceiver>>,
    },
}

impl From<TransceiverRequest> for PeerConnectionMessage {
    fn from(request: TransceiverRequest) -> Self {
        Self::Transceiver(request)
    }
}
