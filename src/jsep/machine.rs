//! The negotiation of one peer connection: descriptions in, decisions out (RFC 9429).

use std::fmt;
use std::sync::Arc;

use rand::Rng;

use super::answer;
use super::candidates::{LocalCandidates, RemoteCandidates};
use super::credentials::LocalCredentials;
use super::description::{SdpType, SessionDescription};
use super::effect::JsepEffect;
use super::error::NegotiationError;
use super::offer;
use super::plan::{MediaPlan, MediaSection, plan_section};
use super::rollback::StablePoint;
use super::sdp::Description;
use super::transceiver::{Transceiver, TransceiverId};
use super::validate::RemoteTransport;
use crate::configuration::MediaConfiguration;
use crate::dtls::{DtlsRole, Fingerprint};
use crate::ice::IceParameters;
use crate::limits::PeerLimits;
use crate::peer_connection::SignalingState;
use crate::rtp::{Mid, Ssrc};

/// What a negotiation begins with.
#[derive(Debug)]
pub(crate) struct JsepArguments {
    pub(crate) configuration: Arc<MediaConfiguration>,
    /// Our credentials, until an ICE restart.
    pub(crate) ice: IceParameters,
    /// Of our certificate.
    pub(crate) fingerprints: Vec<Fingerprint>,
    /// RTCP's canonical name of this end; one for all tracks of the connection.
    pub(crate) cname: Arc<str>,
    pub(crate) limits: PeerLimits,
}

/// Signalling state, transceivers and descriptions of one peer connection.
pub(crate) struct Jsep {
    /// Of our certificate.
    pub(super) fingerprints: Vec<Fingerprint>,
    pub(super) cname: Arc<str>,
    pub(super) limits: PeerLimits,
    pub(super) credentials: LocalCredentials,
    /// With the numbers that the remote side taught us.
    pub(super) configuration: Arc<MediaConfiguration>,
    pub(super) state: SignalingState,
    pub(super) transceivers: Vec<Transceiver>,
    /// What the last finished exchange agreed on.
    pub(super) current: Descriptions,
    /// What the exchange under way has brought.
    pub(super) pending: Descriptions,
    /// The offer or answer made last, until something is applied.
    pub(super) created: Option<Created>,
    /// What a rollback goes back to; `None` in `Stable`.
    pub(super) stable: Option<StablePoint>,
    /// What the media path goes by: the two sides of the last answer, local first.
    pub(super) agreed: Option<(Arc<Applied>, Arc<Applied>)>,
    pub(super) transport: Option<Transport>,
    pub(super) negotiation_needed: bool,
    pub(super) gathering_started: bool,
    pub(super) local_candidates: LocalCandidates,
    pub(super) remote_candidates: RemoteCandidates,
    pub(super) session_id: u64,
    pub(super) session_version: u64,
    /// Numbers below have been mids of ours.
    pub(super) next_mid: u32,
}

/// A pair of descriptions.
#[derive(Clone, Default)]
pub(super) struct Descriptions {
    pub(super) local: Option<Arc<Applied>>,
    pub(super) remote: Option<Arc<Applied>>,
}

/// A description that was applied.
pub(super) struct Applied {
    pub(super) kind: SdpType,
    /// As it came or was made; without candidates where it is ours.
    pub(super) text: String,
    pub(super) description: Description,
    /// Of a remote one, unless all its m-lines are rejected.
    pub(super) transport: Option<RemoteTransport>,
}

/// A description of ours that may be applied.
#[derive(Clone)]
pub(super) struct Created {
    pub(super) kind: SdpType,
    pub(super) text: String,
    pub(super) description: Description,
    /// Its ICE credentials.
    pub(super) ice: IceParameters,
    /// Whose each m-line is.
    pub(super) owners: Vec<Option<TransceiverId>>,
    /// The first mid that is still free.
    pub(super) next_mid: u32,
}

/// What ICE and DTLS were started with.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pub(super) remote: RemoteTransport,
    pub(super) dtls_role: DtlsRole,
}

impl Transport {
    /// Whether the association that runs is with who has these fingerprints.
    pub(super) fn is_of(&self, found: &RemoteTransport) -> bool {
        let known = &self.remote.fingerprints;
        found.fingerprints.iter().all(|one| known.contains(one))
    }
}

impl Jsep {
    pub(crate) fn new(arguments: JsepArguments) -> Self {
        Self {
            configuration: arguments.configuration,
            fingerprints: arguments.fingerprints,
            cname: arguments.cname,
            limits: arguments.limits,
            credentials: LocalCredentials::new(arguments.ice),
            state: SignalingState::Stable,
            transceivers: Vec::new(),
            current: Descriptions::default(),
            pending: Descriptions::default(),
            created: None,
            stable: None,
            agreed: None,
            transport: None,
            negotiation_needed: false,
            gathering_started: false,
            local_candidates: LocalCandidates::default(),
            remote_candidates: RemoteCandidates::default(),
            // RFC 9429 §5.2.1: 63 random bits.
            session_id: rand::rng().random::<u64>() >> 1,
            session_version: 0,
            next_mid: 0,
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(crate) fn signaling_state(&self) -> SignalingState {
        self.state
    }

    /// Makes an offer of all transceivers as they are now. Nothing but the next
    /// `set_local_description` depends on it.
    pub(crate) fn create_offer(&mut self) -> Result<SessionDescription, NegotiationError> {
        match self.state {
            SignalingState::Stable | SignalingState::HaveLocalOffer => {}
            SignalingState::HaveRemoteOffer
            | SignalingState::HaveLocalPranswer
            | SignalingState::HaveRemotePranswer
            | SignalingState::Closed => return Err(self.invalid_state("create_offer")),
        }
        let ice = self.credentials.for_offer();
        let created = offer::build(self, ice);
        let offer = SessionDescription::offer(created.text.clone());
        self.created = Some(created);
        Ok(offer)
    }

    /// Makes an answer to the remote offer. Nothing but the next `set_local_description` depends
    /// on it.
    pub(crate) fn create_answer(&mut self) -> Result<SessionDescription, NegotiationError> {
        let remote = match self.state {
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer => {
                self.pending.remote.clone()
            }
            SignalingState::Stable
            | SignalingState::HaveLocalOffer
            | SignalingState::HaveRemotePranswer
            | SignalingState::Closed => None,
        };
        let Some(remote) = remote else {
            return Err(self.invalid_state("create_answer"));
        };
        let restarts = self.restarts(remote.transport.as_ref());
        let ice = self.credentials.for_answer(restarts);
        let created = answer::build(self, &remote, ice);
        let answer = SessionDescription::answer(created.text.clone());
        self.created = Some(created);
        Ok(answer)
    }

    /// Applies a description of ours. `None`: makes the offer or answer that is due
    /// (W3C §4.4.2).
    pub(crate) fn set_local_description(
        &mut self,
        description: Option<SessionDescription>,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), NegotiationError> {
        let due = self.due_kind();
        let kind = description.as_ref().map_or(due, |given| given.kind);
        if kind == SdpType::Rollback {
            return self.roll_back(Side::Local, effects);
        }
        let next = self.next_state(Side::Local, kind)?;
        let mut created = self.take_created(kind, description)?;
        created.kind = kind;
        match kind {
            SdpType::Offer => self.apply_local_offer(created, next, effects),
            SdpType::Pranswer => {
                // The same may follow as the final answer.
                let again = created.clone();
                self.apply_local_answer(created, next, effects);
                self.created = Some(again);
            }
            SdpType::Answer => self.apply_local_answer(created, next, effects),
            SdpType::Rollback => {}
        }
        Ok(())
    }

    /// Applies a description of the remote side. An offer that meets one of ours takes ours back
    /// first (W3C §4.4.1.5).
    pub(crate) fn set_remote_description(
        &mut self,
        description: SessionDescription,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), NegotiationError> {
        let SessionDescription { kind, sdp } = description;
        match kind {
            SdpType::Rollback => self.roll_back(Side::Remote, effects),
            SdpType::Offer => self.apply_remote_offer(sdp, effects),
            SdpType::Answer | SdpType::Pranswer => {
                let next = self.next_state(Side::Remote, kind)?;
                self.apply_remote_answer(kind, sdp, next, effects)
            }
        }
    }

    /// Has the next offer begin another ICE session, and tells the owner that one is due (W3C
    /// `restartIce()`). Before anything was gathered there is nothing to restart.
    pub(crate) fn restart_ice(&mut self, effects: &mut Vec<JsepEffect>) {
        self.replace_credentials();
        self.update_negotiation_needed(effects);
    }

    /// The same without a word to the owner: what was gathered is out of date, but may serve on
    /// (RFC 9429 §4.1.18, *needs-ice-restart*).
    pub(crate) fn replace_credentials(&mut self) {
        if self.gathering_started && self.state != SignalingState::Closed {
            self.credentials.replace_all();
        }
    }

    pub(crate) fn current_local_description(&self) -> Option<SessionDescription> {
        self.current.local.as_ref().map(|a| self.with_candidates(a))
    }

    pub(crate) fn pending_local_description(&self) -> Option<SessionDescription> {
        self.pending.local.as_ref().map(|a| self.with_candidates(a))
    }

    pub(crate) fn current_remote_description(&self) -> Option<SessionDescription> {
        self.current.remote.as_ref().map(|a| a.as_it_came())
    }

    pub(crate) fn pending_remote_description(&self) -> Option<SessionDescription> {
        self.pending.remote.as_ref().map(|a| a.as_it_came())
    }

    /// The plan as `ApplyMedia` told it last.
    pub(crate) fn media_plan(&self) -> MediaPlan {
        let Some((local, remote)) = &self.agreed else {
            return MediaPlan::default();
        };
        let (local, remote) = (&local.description, &remote.description);
        let pairs = local.sections.iter().zip(&remote.sections);
        let sections = pairs.filter_map(|(ours, theirs)| {
            let transceiver = self.transceiver_of(ours.mid.as_ref()?)?;
            let mixed = local.allows_mixed(ours) && remote.allows_mixed(theirs);
            let mut section = plan_section(transceiver, ours, theirs, mixed, &self.cname)?;
            section.restrict(&transceiver.sender);
            Some(section)
        });
        MediaPlan {
            sections: sections.collect(),
        }
    }

    /// What was negotiated for a transceiver, if anything was.
    pub(super) fn negotiated_section(&self, transceiver: &Transceiver) -> Option<MediaSection> {
        let (local, remote) = self.agreed.as_ref()?;
        let (local, remote) = (&local.description, &remote.description);
        let index = local.position(transceiver.mid.as_ref()?)?;
        let (ours, theirs) = (&local.sections[index], remote.sections.get(index)?);
        let mixed = local.allows_mixed(ours) && remote.allows_mixed(theirs);
        plan_section(transceiver, ours, theirs, mixed, &self.cname)
    }

    /// No effects: W3C fires no event. All transceivers are stopped.
    pub(crate) fn close(&mut self) {
        self.state = SignalingState::Closed;
        for transceiver in &mut self.transceivers {
            transceiver.stopping = true;
            transceiver.stopped = true;
        }
        self.agreed = None;
        self.created = None;
        self.remote_candidates = RemoteCandidates::default();
    }

    /// The answer, ours or theirs, of the exchange that the media path goes by.
    pub(super) fn last_answer(&self) -> Option<&Description> {
        let (local, remote) = self.agreed.as_ref()?;
        let answer = if local.kind == SdpType::Offer {
            remote
        } else {
            local
        };
        Some(&answer.description)
    }

    /// Whether the remote side begins another ICE session than the one that runs.
    pub(super) fn restarts(&self, found: Option<&RemoteTransport>) -> bool {
        match (&self.transport, found) {
            (Some(running), Some(found)) => running.remote.ice != found.ice,
            (None, _) | (_, None) => false,
        }
    }

    pub(super) fn transceiver_of(&self, mid: &Mid) -> Option<&Transceiver> {
        let mut transceivers = self.transceivers.iter();
        transceivers.find(|transceiver| transceiver.mid.as_ref() == Some(mid))
    }

    pub(super) fn transceiver_of_mut(&mut self, mid: &Mid) -> Option<&mut Transceiver> {
        let mut transceivers = self.transceivers.iter_mut();
        transceivers.find(|transceiver| transceiver.mid.as_ref() == Some(mid))
    }

    /// Two numbers that no sender of ours has.
    pub(super) fn fresh_ssrcs(&self) -> (Ssrc, Ssrc) {
        let used = |ssrc| {
            let senders = self.transceivers.iter().map(|t| &t.sender);
            let mut encodings = senders.flat_map(|sender| &sender.encodings);
            encodings.any(|encoding| encoding.ssrc == ssrc || encoding.rtx_ssrc == ssrc)
        };
        let mut rng = rand::rng();
        // 0 means «none» in feedback messages.
        let mut next = || loop {
            let ssrc = Ssrc(rng.random_range(1..=u32::MAX));
            if !used(ssrc) {
                break ssrc;
            }
        };
        let primary = next();
        loop {
            let rtx = next();
            if rtx != primary {
                return (primary, rtx);
            }
        }
    }

    pub(super) fn invalid_state(&self, operation: &'static str) -> NegotiationError {
        NegotiationError::InvalidState {
            operation,
            state: self.state,
        }
    }

    pub(super) fn change_state(&mut self, next: SignalingState, effects: &mut Vec<JsepEffect>) {
        if self.state != next {
            self.state = next;
            effects.push(JsepEffect::SignalingStateChanged(next));
        }
    }

    /// The transitions of RFC 9429 §3.2, but for rollbacks.
    pub(super) fn next_state(
        &self,
        side: Side,
        kind: SdpType,
    ) -> Result<SignalingState, NegotiationError> {
        use SdpType::{Answer, Offer, Pranswer};
        use SignalingState as S;
        match (side, kind, self.state) {
            (Side::Local, Offer, S::Stable | S::HaveLocalOffer) => Ok(S::HaveLocalOffer),
            (Side::Remote, Offer, S::Stable | S::HaveRemoteOffer) => Ok(S::HaveRemoteOffer),
            (Side::Local, Answer, S::HaveRemoteOffer | S::HaveLocalPranswer)
            | (Side::Remote, Answer, S::HaveLocalOffer | S::HaveRemotePranswer) => Ok(S::Stable),
            (Side::Local, Pranswer, S::HaveRemoteOffer | S::HaveLocalPranswer) => {
                Ok(S::HaveLocalPranswer)
            }
            (Side::Remote, Pranswer, S::HaveLocalOffer | S::HaveRemotePranswer) => {
                Ok(S::HaveRemotePranswer)
            }
            (Side::Local, _, _) => Err(self.invalid_state("set_local_description")),
            (Side::Remote, _, _) => Err(self.invalid_state("set_remote_description")),
        }
    }

    fn due_kind(&self) -> SdpType {
        match self.state {
            SignalingState::Stable
            | SignalingState::HaveLocalOffer
            | SignalingState::HaveRemotePranswer
            | SignalingState::Closed => SdpType::Offer,
            SignalingState::HaveRemoteOffer | SignalingState::HaveLocalPranswer => SdpType::Answer,
        }
    }

    /// The description made last, if it is the given one; a new one when none is given (or one
    /// without text, which W3C treats alike).
    fn take_created(
        &mut self,
        kind: SdpType,
        description: Option<SessionDescription>,
    ) -> Result<Created, NegotiationError> {
        let text = description.map(|given| given.sdp).unwrap_or_default();
        if text.is_empty() {
            match kind {
                SdpType::Offer | SdpType::Rollback => self.create_offer()?,
                SdpType::Answer | SdpType::Pranswer => self.create_answer()?,
            };
            return self
                .created
                .take()
                .ok_or(NegotiationError::InvalidModification);
        }
        let offers = kind == SdpType::Offer;
        self.created
            .take_if(|created| created.text == text && (created.kind == SdpType::Offer) == offers)
            .ok_or(NegotiationError::InvalidModification)
    }

    fn with_candidates(&self, applied: &Applied) -> SessionDescription {
        let mut description = applied.description.clone();
        if let Some(index) = description.tagged() {
            let transport = &mut description.sections[index].transport;
            let fragment = transport.ice_ufrag.as_deref().unwrap_or_default();
            if let Some(gathered) = self.local_candidates.of(fragment) {
                transport.candidates.clone_from(&gathered.list);
                transport.end_of_candidates = gathered.complete;
            }
        }
        SessionDescription {
            kind: applied.kind,
            sdp: description.to_string(),
        }
    }
}

impl Applied {
    fn as_it_came(&self) -> SessionDescription {
        SessionDescription {
            kind: self.kind,
            sdp: self.text.clone(),
        }
    }
}

// The descriptions hold ICE passwords: they stay out of logs.
impl fmt::Debug for Jsep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jsep")
            .field("state", &self.state)
            .field("transceivers", &self.transceivers)
            .finish_non_exhaustive()
    }
}

/// Whose description.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Local,
    Remote,
}
