//! What the running peer connection does with each message: the negotiation core decides, the parts do.

use std::collections::HashMap;
use std::error::Error;
use std::mem;
use std::sync::Arc;

use ractor::{ACTIVE_STATES, ActorRef, RpcReplyPort};

use super::close::Closing;
use super::configuration::{Configuration, InForce, SetConfigurationError};
use super::error::SetOwnerError;
use super::event::{CloseReason, Event, PeerEvent};
use super::journal;
use super::life::Life;
use super::machine::ConnectionMachine;
use super::message::{PeerConnectionMessage, TransceiverRequest};
use super::monitor::Monitor;
use super::parts::Parts;
use super::registry::Listed;
use super::snapshot::{Descriptions, KnownTracks, Sent, Tracks};
use super::state::IceGatheringState;
use crate::dtls::{DtlsEvent, DtlsSession};
use crate::ice::IceEvent;
use crate::jsep::{Jsep, JsepEffect};
use crate::outlet::Outlet;
use crate::stats::ControlSnapshot;

/// State of the running actor.
#[derive(Debug)]
pub(super) struct PeerConnectionShell {
    pub(super) jsep: Jsep,
    pub(super) connection: ConnectionMachine,
    pub(super) configuration: InForce,
    pub(super) parts: Parts,
    pub(super) tracks: Arc<KnownTracks>,
    /// What was agreed on in the handshake that was done last.
    pub(super) dtls_session: Option<DtlsSession>,
    /// Set once the end has begun; from then on only its own business is done.
    pub(super) closing: Option<Closing>,
    /// Reused between messages, empty in between.
    pub(super) effects: Vec<JsepEffect>,
    pub(super) events: Vec<Event>,
    /// Tells the end, however it comes. Dropped after everything above.
    pub(super) life: Life,
    pub(super) _listed: Listed,
    pub(super) watched_owner: Monitor,
}

impl PeerConnectionShell {
    pub(super) fn receive(
        &mut self,
        message: PeerConnectionMessage,
        myself: &ActorRef<PeerConnectionMessage>,
    ) {
        use PeerConnectionMessage as Message;

        match message {
            Message::CreateOffer { reply } => {
                self.operate(reply, myself, |jsep, _| jsep.create_offer())
            }
            Message::CreateAnswer { reply } => {
                self.operate(reply, myself, |jsep, _| jsep.create_answer());
            }
            Message::SetLocalDescription { description, reply } => {
                self.change(reply, myself, |jsep, effects| {
                    jsep.set_local_description(description, effects)
                });
            }
            Message::SetRemoteDescription { description, reply } => {
                self.change(reply, myself, |jsep, effects| {
                    jsep.set_remote_description(description, effects)
                });
            }
            Message::AddIceCandidate { candidate, reply } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.add_ice_candidate(candidate.unwrap_or_default(), effects)
                });
            }
            Message::RestartIce { reply } => {
                self.jsep.restart_ice(&mut self.effects);
                self.perform_effects(myself);
                answer(reply, ());
            }
            Message::Configuration { reply } => answer(reply, self.configuration.snapshot()),
            Message::SetConfiguration {
                configuration,
                reply,
            } => answer(reply, self.set_configuration(configuration)),
            Message::SetOwner { owner, reply } => answer(reply, self.set_owner(owner, myself)),
            Message::Transceiver(request) => self.receive_transceiver(request, myself),
            Message::Descriptions { reply } => answer(reply, self.descriptions()),
            Message::Stats { reply } => answer(reply, self.statistics()),
            Message::Close => self.begin_close(CloseReason::Requested, myself),
            Message::Ice(event) => self.hear_ice(event, myself),
            Message::Dtls(event) => self.hear_dtls(event, myself),
            Message::CloseDeadlinePassed => self.kill_what_is_left(myself),
        }
    }

    fn receive_transceiver(
        &mut self,
        request: TransceiverRequest,
        myself: &ActorRef<PeerConnectionMessage>,
    ) {
        use TransceiverRequest as Request;

        match request {
            Request::AddTrack { track, reply } => {
                self.change(reply, myself, |jsep, effects| {
                    jsep.add_track(&track, effects)
                });
            }
            Request::AddTrackTo {
                transceiver,
                track,
                reply,
            } => self.change(reply, myself, |jsep, effects| {
                jsep.add_track_to(transceiver, &track, effects)
            }),
            Request::RemoveTrack { sender, reply } => {
                self.change(reply, myself, |jsep, effects| {
                    jsep.remove_track(sender, effects)
                });
            }
            Request::ReplaceTrack {
                sender,
                track,
                reply,
            } => {
                self.change(reply, myself, |jsep, effects| {
                    jsep.replace_track(sender, track, effects)
                });
            }
            Request::AddTransceiver { media, init, reply } => {
                self.change(reply, myself, |jsep, effects| {
                    jsep.add_transceiver(media, init, effects)
                });
            }
            Request::SetDirection {
                transceiver,
                direction,
                reply,
            } => {
                self.change(reply, myself, |jsep, effects| {
                    jsep.set_direction(transceiver, direction, effects)
                });
            }
            Request::SetCodecPreferences {
                transceiver,
                codecs,
                reply,
            } => {
                self.change(reply, myself, |jsep, _| {
                    jsep.set_codec_preferences(transceiver, codecs)
                });
            }
            Request::Parameters { sender, reply } => {
                self.operate(reply, myself, |jsep, _| jsep.parameters(sender));
            }
            Request::SetParameters {
                sender,
                parameters,
                reply,
            } => self.operate(reply, myself, |jsep, effects| {
                jsep.set_parameters(sender, &parameters, effects)
            }),
            Request::SetSenderCodec {
                sender,
                codec,
                reply,
            } => self.operate(reply, myself, |jsep, effects| {
                jsep.set_sender_codec(sender, codec, effects)
            }),
            Request::StopTransceiver { transceiver, reply } => {
                self.change(reply, myself, |jsep, effects| {
                    jsep.stop_transceiver(transceiver, effects)
                });
            }
            Request::Transceivers { reply } => answer(reply, self.jsep.transceivers()),
        }
    }

    fn set_configuration(&mut self, wanted: Configuration) -> Result<(), SetConfigurationError> {
        if self.closing.is_some() {
            return Err(SetConfigurationError::Closed);
        }
        if self.configuration.change(wanted)? {
            let ice = Arc::clone(&self.configuration.ice);
            self.parts.ice.set_configuration(ice);
            self.jsep.replace_credentials();
        }
        Ok(())
    }

    /// The new owner is watched first, so that its end is seen here or told. What is told of the end of the one
    /// before finds nobody whom it concerns.
    fn set_owner(
        &mut self,
        owner: Outlet<PeerEvent>,
        myself: &ActorRef<PeerConnectionMessage>,
    ) -> Result<(), SetOwnerError> {
        if self.closing.is_some() {
            return Err(SetOwnerError::Closed);
        }
        let listener = owner.listener().clone();
        // The end of one watch ends them all between two actors.
        let watched = (!self.life.is_owner(&listener))
            .then(|| Monitor::new(myself.get_cell(), listener.clone()));
        if !ACTIVE_STATES.contains(&listener.get_status()) {
            return Err(SetOwnerError::OwnerGone);
        }
        if let Some(watched) = watched {
            self.watched_owner = watched;
            self.life.change_owner(owner);
        }
        Ok(())
    }

    /// One operation, one full drain of its effects, then the answer: who asked finds the world as
    /// the answer says.
    fn operate<T: Send + 'static, E: Error + Send + 'static>(
        &mut self,
        reply: RpcReplyPort<Result<T, E>>,
        myself: &ActorRef<PeerConnectionMessage>,
        operation: impl FnOnce(&mut Jsep, &mut Vec<JsepEffect>) -> Result<T, E>,
    ) {
        let outcome = operation(&mut self.jsep, &mut self.effects);
        if let Err(error) = &outcome {
            let error = error as &(dyn Error + 'static);
            tracing::debug!(error, "an operation is refused");
        }
        self.perform_effects(myself);
        answer(reply, outcome);
    }

    /// An operation that may change which tracks are sent or received. Handles know them before the
    /// owner hears of them, so that it may use them at once.
    fn change<T: Send + 'static, E: Error + Send + 'static>(
        &mut self,
        reply: RpcReplyPort<Result<T, E>>,
        myself: &ActorRef<PeerConnectionMessage>,
        operation: impl FnOnce(&mut Jsep, &mut Vec<JsepEffect>) -> Result<T, E>,
    ) {
        let (known, rtp) = (Arc::clone(&self.tracks), self.parts.rtp.clone());
        self.operate(reply, myself, |jsep, effects| {
            let outcome = operation(jsep, effects);
            if known.set(tracks_of(jsep)) {
                let (sent, received) = known.all();
                rtp.keep_tracks(sent, received);
            }
            outcome
        });
    }

    fn perform_effects(&mut self, myself: &ActorRef<PeerConnectionMessage>) {
        let mut effects = mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
        self.tell_events(myself);
    }

    fn perform(&mut self, effect: JsepEffect) {
        match effect {
            JsepEffect::SignalingStateChanged(state) => {
                self.connection.signaling_changed(state, &mut self.events);
            }
            JsepEffect::NegotiationNeeded => self.events.push(Event::NegotiationNeeded),
            JsepEffect::Track(track) => self.events.push(Event::Track(track)),
            JsepEffect::TrackMuted(track) => self.events.push(Event::TrackMuted(track)),
            JsepEffect::TrackEnded(track) => self.events.push(Event::TrackEnded(track)),
            JsepEffect::NoCommonCodec {
                mid,
                kind,
                local,
                remote,
            } => self.events.push(Event::NoCommonCodec {
                mid,
                kind,
                local,
                remote,
            }),
            JsepEffect::StartGathering => self.parts.ice.gather(),
            JsepEffect::RestartIce { local } => self.parts.ice.restart(local),
            JsepEffect::AbandonIceRestart => self.parts.ice.abandon_restart(),
            JsepEffect::StartTransports {
                ice_role,
                remote_ice,
                remote_ice_lite,
                dtls_role,
                fingerprints,
            } => {
                self.parts.ice.start(ice_role, remote_ice, remote_ice_lite);
                self.parts.dtls.start(dtls_role, fingerprints);
            }
            JsepEffect::AddRemoteCandidate(candidate) => {
                self.parts.ice.add_remote_candidate(candidate);
            }
            JsepEffect::EndOfRemoteCandidates => self.parts.ice.end_of_remote_candidates(),
            JsepEffect::ApplyMedia(plan) => self.parts.rtp.apply(plan),
        }
    }

    fn hear_ice(&mut self, event: IceEvent, myself: &ActorRef<PeerConnectionMessage>) {
        if self.closing.is_some() {
            return;
        }
        match event {
            IceEvent::StateChanged(state) => self.connection.ice_changed(state, &mut self.events),
            IceEvent::GatheringStateChanged(state) => {
                self.hear_gathering(state);
            }
            IceEvent::CandidateGathered {
                candidate,
                username_fragment,
            } => {
                let candidate = self.jsep.add_local_candidate(candidate, username_fragment);
                let candidate = candidate.map(|candidate| Event::IceCandidate(Some(candidate)));
                self.events.extend(candidate);
            }
            IceEvent::SelectedPathChanged(path) => {
                journal::note_path(&self.life.span, &path);
                self.parts.rtp.set_path(path.clone());
                self.parts.dtls.set_path(path);
            }
            IceEvent::RemoteCandidateRefused { candidate, reason } => {
                tracing::debug!(candidate, %reason, "remote candidate refused");
            }
            IceEvent::RoleChanged(role) => {
                tracing::debug!(?role, "ice role conflict resolved");
            }
        }
        self.tell_events(myself);
    }

    fn hear_gathering(&mut self, state: IceGatheringState) {
        self.connection.gathering_changed(state, &mut self.events);
        if state == IceGatheringState::Complete && self.jsep.local_gathering_complete() {
            self.events.push(Event::IceCandidate(None));
        }
    }

    fn hear_dtls(&mut self, event: DtlsEvent, myself: &ActorRef<PeerConnectionMessage>) {
        if self.closing.is_some() {
            return;
        }
        match event {
            DtlsEvent::StateChanged(state) => self.connection.dtls_changed(state, &mut self.events),
            DtlsEvent::KeysReady { keys, session } => {
                journal::note_keys(&self.life.span, &session);
                self.parts.rtp.install_keys(keys);
                self.dtls_session = Some(session);
            }
            DtlsEvent::Failed(error) => {
                self.life.dtls_failed(&error);
                self.events.push(Event::DtlsTransportError(error));
            }
            DtlsEvent::ClosedByPeer => tracing::debug!("the remote side closed dtls"),
        }
        self.tell_events(myself);
    }

    fn descriptions(&self) -> Descriptions {
        Descriptions {
            current_local: self.jsep.current_local_description(),
            pending_local: self.jsep.pending_local_description(),
            current_remote: self.jsep.current_remote_description(),
            pending_remote: self.jsep.pending_remote_description(),
        }
    }

    fn statistics(&self) -> ControlSnapshot {
        let mut labels = HashMap::new();
        for transceiver in self.jsep.transceivers() {
            let received = transceiver.receiver().track();
            for track in transceiver.sender().track().into_iter().chain([received]) {
                labels.insert(track.id(), track.label().into());
            }
        }
        ControlSnapshot {
            labels,
            certificate: self.configuration.certificate.clone(),
            session: self.dtls_session.clone(),
        }
    }

    /// From here on negotiation is over: nothing of it is told any more.
    pub(super) fn close_negotiation(&mut self) {
        self.jsep.close();
        self.connection.close();
        // The media path ends with its peer, and its routes with it.
        let _gone = self.tracks.set(Tracks::default());
        self.life.show(self.connection.states());
    }

    /// Tells the owner what has gathered in `events`, and every handle the states.
    fn tell_events(&mut self, myself: &ActorRef<PeerConnectionMessage>) {
        if self.events.is_empty() {
            return;
        }
        self.life.show(self.connection.states());
        let mut events = mem::take(&mut self.events);
        let told = events.drain(..).try_for_each(|event| self.life.tell(event));
        events.clear();
        self.events = events;
        if told.is_err() {
            self.begin_close(CloseReason::OwnerGone, myself);
        }
    }
}

/// Who may be sent and asked for keyframes, for handles that must answer at once.
fn tracks_of(jsep: &Jsep) -> Tracks {
    let mut tracks = Tracks::default();
    for transceiver in jsep.transceivers() {
        let sender = transceiver.sender();
        tracks.sent.extend(sender.track().map(|track| {
            let rids = sender.rids().to_vec();
            let kind = track.kind();
            (track.id(), Sent { kind, rids })
        }));
        let received = transceiver.receiver().track();
        tracks.received.insert(received.id(), received.kind());
    }
    tracks
}

fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, value: T) {
    // The asker may have given up waiting.
    let _gone = reply.send(value);
}
