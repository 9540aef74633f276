//! The negotiation of one peer connection: descriptions in, decisions out (RFC 9429).

use std::sync::Arc;

use super::description::SessionDescription;
use super::direction::RtpTransceiverDirection;
use super::effect::JsepEffect;
use super::error::{CandidateError, NegotiationError, TransceiverError};
use super::plan::MediaPlan;
use super::transceiver::{
    RtpReceiver, RtpSender, RtpTransceiver, RtpTransceiverInit, SenderId, TrackOrKind,
    TransceiverId,
};
use crate::codec::RtpCodec;
use crate::configuration::MediaConfiguration;
use crate::dtls::Fingerprint;
use crate::ice::{IceCandidate, IceParameters};
use crate::peer_connection::SignalingState;
use crate::track::MediaStreamTrack;

/// What a negotiation begins with.
pub(crate) struct JsepArguments {
    pub(crate) configuration: Arc<MediaConfiguration>,
    /// Our credentials.
    pub(crate) ice: IceParameters,
    /// Of our certificate.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// RTCP's canonical name of this end; one for all tracks of the connection.
    pub(crate) cname: Arc<str>,
}

/// Signalling state, transceivers and descriptions of one peer connection.
pub(crate) struct Jsep {
    arguments: JsepArguments,
}

#[allow(unused_variables, clippy::todo)]
impl Jsep {
    pub(crate) fn new(arguments: JsepArguments) -> Self {
        Self { arguments }
    }

    // Descriptions.
    pub(crate) fn signaling_state(&self) -> SignalingState {
        todo!()
    }
    /// Pure in effect: may be called any number of times in `Stable` and `HaveLocalOffer`.
    pub(crate) fn create_offer(&mut self) -> Result<SessionDescription, NegotiationError> {
        todo!()
    }
    pub(crate) fn create_answer(&mut self) -> Result<SessionDescription, NegotiationError> {
        todo!()
    }
    /// `None`: makes the offer or answer that is due (W3C §4.4.2).
    pub(crate) fn set_local_description(
        &mut self,
        description: Option<SessionDescription>,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), NegotiationError> {
        todo!()
    }
    pub(crate) fn set_remote_description(
        &mut self,
        description: SessionDescription,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), NegotiationError> {
        todo!()
    }
    pub(crate) fn local_description(&self) -> Option<SessionDescription> {
        todo!()
    }
    pub(crate) fn current_local_description(&self) -> Option<SessionDescription> {
        todo!()
    }
    pub(crate) fn pending_local_description(&self) -> Option<SessionDescription> {
        todo!()
    }
    pub(crate) fn remote_description(&self) -> Option<SessionDescription> {
        todo!()
    }
    pub(crate) fn current_remote_description(&self) -> Option<SessionDescription> {
        todo!()
    }
    pub(crate) fn pending_remote_description(&self) -> Option<SessionDescription> {
        todo!()
    }

    // Candidates.
    pub(crate) fn add_ice_candidate(
        &mut self,
        candidate: IceCandidate,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), CandidateError> {
        todo!()
    }
    /// `candidate` is `candidate:…`. Returns what the owner carries to the remote side.
    pub(crate) fn add_local_candidate(&mut self, candidate: String) -> IceCandidate {
        todo!()
    }
    /// From now on the local descriptions say `a=end-of-candidates`.
    pub(crate) fn local_gathering_complete(&mut self) {
        todo!()
    }

    // Transceivers.
    pub(crate) fn transceivers(&self) -> Vec<RtpTransceiver> {
        todo!()
    }
    pub(crate) fn senders(&self) -> Vec<RtpSender> {
        todo!()
    }
    pub(crate) fn receivers(&self) -> Vec<RtpReceiver> {
        todo!()
    }
    pub(crate) fn add_track(
        &mut self,
        track: &MediaStreamTrack,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<RtpSender, TransceiverError> {
        todo!()
    }
    pub(crate) fn remove_track(
        &mut self,
        sender: SenderId,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), TransceiverError> {
        todo!()
    }
    pub(crate) fn replace_track(
        &mut self,
        sender: SenderId,
        track: Option<MediaStreamTrack>,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), TransceiverError> {
        todo!()
    }
    pub(crate) fn add_transceiver(
        &mut self,
        source: TrackOrKind,
        init: RtpTransceiverInit,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<RtpTransceiver, TransceiverError> {
        todo!()
    }
    pub(crate) fn set_direction(
        &mut self,
        id: TransceiverId,
        direction: RtpTransceiverDirection,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), TransceiverError> {
        todo!()
    }
    pub(crate) fn set_codec_preferences(
        &mut self,
        id: TransceiverId,
        codecs: Vec<RtpCodec>,
    ) -> Result<(), TransceiverError> {
        todo!()
    }
    pub(crate) fn stop_transceiver(
        &mut self,
        id: TransceiverId,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), TransceiverError> {
        todo!()
    }

    /// The plan as `ApplyMedia` told it last.
    pub(crate) fn media_plan(&self) -> MediaPlan {
        todo!()
    }
    /// No effects: W3C fires none.
    pub(crate) fn close(&mut self) {
        todo!()
    }
}
