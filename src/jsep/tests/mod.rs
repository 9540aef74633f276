//! The negotiation as a whole: two machines that talk, and recorded descriptions.

mod bombs;
mod candidates;
mod conformance;
mod feedback;
mod limits;
mod media_lines;
mod parameters;
mod random;
mod random_str0m;
mod recorded;
mod refused;
mod remote_errors;
mod restart;
mod rollback;
mod simulcast;

use std::sync::Arc;

use super::{
    Jsep, JsepArguments, JsepEffect, NegotiationError, RtpReceiver, RtpTransceiver,
    RtpTransceiverDirection, SessionDescription,
};
use crate::configuration::MediaConfiguration;
use crate::dtls::Fingerprint;
use crate::ice::IceParameters;
use crate::limits::PeerLimits;
use crate::peer_connection::SignalingState;
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

/// One end of a negotiation and all that it asked for since it was looked at last.
pub(super) struct End {
    pub(super) jsep: Jsep,
    effects: Vec<JsepEffect>,
}

impl End {
    pub(super) fn new(name: &str) -> Self {
        Self::with(name, MediaConfiguration::default())
    }

    pub(super) fn with(name: &str, configuration: MediaConfiguration) -> Self {
        Self::made(name, configuration, PeerLimits::default())
    }

    pub(super) fn limited(name: &str, limits: PeerLimits) -> Self {
        Self::made(name, MediaConfiguration::default(), limits)
    }

    fn made(name: &str, configuration: MediaConfiguration, limits: PeerLimits) -> Self {
        let jsep = Jsep::new(JsepArguments {
            limits,
            configuration: Arc::new(configuration),
            ice: IceParameters {
                username_fragment: format!("{name}frag"),
                password: format!("{name}passwordpasswordpassword"),
            },
            fingerprints: vec![Fingerprint {
                algorithm: "sha-256".to_owned(),
                digest: name.bytes().cycle().take(32).collect(),
            }],
            cname: Arc::from(name),
        });
        Self {
            jsep,
            effects: Vec::new(),
        }
    }

    /// What has been asked for since the last call.
    pub(super) fn effects(&mut self) -> Vec<JsepEffect> {
        std::mem::take(&mut self.effects)
    }

    /// The same, without what the media path and the transports are told.
    pub(super) fn events(&mut self) -> Vec<JsepEffect> {
        let mut events = self.effects();
        events.retain(|effect| {
            matches!(
                effect,
                JsepEffect::SignalingStateChanged(_)
                    | JsepEffect::NegotiationNeeded
                    | JsepEffect::Track(_)
                    | JsepEffect::TrackMuted(_)
                    | JsepEffect::TrackEnded(_)
                    | JsepEffect::NoCommonCodec { .. }
            )
        });
        events
    }

    /// The same, without state changes.
    pub(super) fn news(&mut self) -> Vec<JsepEffect> {
        let mut news = self.events();
        news.retain(|effect| !matches!(effect, JsepEffect::SignalingStateChanged(_)));
        news
    }

    pub(super) fn add_track(&mut self, kind: MediaKind) -> MediaStreamTrack {
        let stream = MediaStreamTrack::generate_stream_id();
        let track = MediaStreamTrack::new(kind, [stream]);
        self.jsep.add_track(&track, &mut self.effects).unwrap();
        track
    }

    pub(super) fn add_transceiver(
        &mut self,
        kind: MediaKind,
        direction: RtpTransceiverDirection,
    ) -> RtpTransceiver {
        self.jsep
            .add_transceiver(kind.into(), direction.into(), &mut self.effects)
            .unwrap()
    }

    pub(super) fn set_direction(&mut self, index: usize, direction: RtpTransceiverDirection) {
        let id = self.transceiver(index).id();
        self.jsep
            .set_direction(id, direction, &mut self.effects)
            .unwrap();
    }

    pub(super) fn stop(&mut self, index: usize) {
        let id = self.transceiver(index).id();
        self.jsep.stop_transceiver(id, &mut self.effects).unwrap();
    }

    pub(super) fn transceiver(&self, index: usize) -> RtpTransceiver {
        self.jsep.transceivers()[index].clone()
    }

    pub(super) fn directions(&self) -> Vec<RtpTransceiverDirection> {
        let transceivers = self.jsep.transceivers();
        transceivers.iter().map(RtpTransceiver::direction).collect()
    }

    /// The pending one, or else the current one.
    pub(super) fn local_description(&self) -> Option<SessionDescription> {
        let pending = self.jsep.pending_local_description();
        pending.or_else(|| self.jsep.current_local_description())
    }

    /// The pending one, or else the current one.
    pub(super) fn remote_description(&self) -> Option<SessionDescription> {
        let pending = self.jsep.pending_remote_description();
        pending.or_else(|| self.jsep.current_remote_description())
    }

    pub(super) fn receivers(&self) -> Vec<RtpReceiver> {
        let transceivers = self.jsep.transceivers();
        transceivers.iter().map(|t| t.receiver().clone()).collect()
    }

    pub(super) fn offer(&mut self) -> SessionDescription {
        let offer = self.jsep.create_offer().unwrap();
        self.set_local(offer.clone()).unwrap();
        offer
    }

    pub(super) fn answer(&mut self) -> SessionDescription {
        let answer = self.jsep.create_answer().unwrap();
        self.set_local(answer.clone()).unwrap();
        answer
    }

    pub(super) fn set_local(&mut self, given: SessionDescription) -> Result<(), NegotiationError> {
        self.jsep
            .set_local_description(Some(given), &mut self.effects)
    }

    pub(super) fn set_remote(&mut self, given: SessionDescription) -> Result<(), NegotiationError> {
        self.jsep.set_remote_description(given, &mut self.effects)
    }

    pub(super) fn offer_from(&mut self, sdp: &str) -> Result<(), NegotiationError> {
        self.set_remote(SessionDescription::offer(sdp))
    }
}

/// A whole exchange; the first offers.
pub(super) fn negotiate(offerer: &mut End, answerer: &mut End) {
    let offer = offerer.offer();
    answerer.set_remote(offer).unwrap();
    let answer = answerer.answer();
    offerer.set_remote(answer).unwrap();
    assert_eq!(offerer.jsep.signaling_state(), SignalingState::Stable);
    assert_eq!(answerer.jsep.signaling_state(), SignalingState::Stable);
}

/// The ids of the tracks that were announced.
pub(super) fn announced(effects: &[JsepEffect]) -> Vec<TrackId> {
    let mut tracks = Vec::new();
    for effect in effects {
        if let JsepEffect::Track(track) = effect {
            tracks.push(track.id());
        }
    }
    tracks
}

/// `(port, kind)` of each m-line.
pub(super) fn media_lines(description: &SessionDescription) -> Vec<(u16, String)> {
    let lines = description
        .sdp
        .lines()
        .filter_map(|line| line.strip_prefix("m="));
    let lines = lines.map(|line| {
        let mut words = line.split(' ');
        let kind = words.next().unwrap().to_owned();
        (words.next().unwrap().parse().unwrap(), kind)
    });
    lines.collect()
}
