//! Shell: carries mailbox messages into the negotiation core and its decisions to the parts.

use std::iter;
use std::mem;
use std::sync::Arc;

use ractor::{
    Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus, RpcReplyPort, SupervisionEvent,
};
use rand::Rng;
use tokio::sync::{oneshot, watch};

use super::builder::Settings;
use super::close::Closing;
use super::event::{CloseReason, Event, Part, PeerEvent, PeerId};
use super::machine::{ConnectionMachine, PeerConnectionStates};
use super::message::PeerConnectionMessage;
use super::monitor::Monitor;
use super::registry::Listed;
use super::snapshot::{Descriptions, KnownTracks, Tracks};
use super::state::IceGatheringState;
use super::{PeerConnection, SpawnError};
use crate::dtls::{DtlsArguments, DtlsEvent, DtlsTransport};
use crate::ice::{IceArguments, IceEvent, IceParameters, IceTransport};
use crate::jsep::{Jsep, JsepArguments, JsepEffect};
use crate::outlet::{ListenerGone, Outlet};
use crate::rtp_transport::{RtpTransport, RtpTransportArguments};
use crate::udp::UdpEndpoint;

/// The actor; all that changes lives in [`PeerConnectionShell`].
#[derive(Debug)]
pub(super) struct PeerConnectionActor;

/// What the builder hands over.
#[derive(Debug)]
pub(super) struct PeerConnectionArguments {
    pub(super) id: PeerId,
    pub(super) settings: Settings,
    pub(super) owner: Outlet<PeerEvent>,
    /// Where the handle goes: it needs parts that only the started actor has.
    pub(super) handle: oneshot::Sender<PeerConnection>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct PeerConnectionShell {
    jsep: Jsep,
    connection: ConnectionMachine,
    pub(super) parts: Parts,
    tracks: Arc<KnownTracks>,
    /// Set once the end has begun; from then on only its own business is done.
    pub(super) closing: Option<Closing>,
    /// Reused between messages, empty in between.
    effects: Vec<JsepEffect>,
    events: Vec<Event>,
    /// Tells the end, however it comes. Dropped after everything above.
    pub(super) life: Life,
    _listed: Listed,
    _monitors: Vec<Monitor>,
}

/// The actors below.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) ice: IceTransport,
    pub(super) dtls: DtlsTransport,
    pub(super) rtp: RtpTransport,
    /// Own or shared.
    pub(super) endpoint: UdpEndpoint,
    pub(super) endpoint_is_own: bool,
}

/// The peer's life as others see it: the states in every handle, and the owner's last event.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) id: PeerId,
    owner: Outlet<PeerEvent>,
    states: watch::Sender<PeerConnectionStates>,
    /// What the owner hears last; a failure until something better is known.
    pub(super) reason: CloseReason,
    ended: bool,
}

impl Life {
    fn tell(&self, event: Event) -> Result<(), ListenerGone> {
        self.owner.tell(PeerEvent::new(self.id, event))
    }

    fn is_owner(&self, actor: &ActorCell) -> bool {
        self.owner.listener().get_id() == actor.get_id()
    }

    fn show(&self, states: PeerConnectionStates) {
        self.states.send_replace(states);
    }

    fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        // ractor kills the children of an actor that ends, without a hook of theirs.
        let owner = self.owner.listener().get_status();
        if self.reason == CloseReason::Crashed && owner >= ActorStatus::Stopping {
            self.reason = CloseReason::OwnerGone;
        }
        self.states.send_modify(PeerConnectionStates::close);
        let reason = self.reason.clone();
        tracing::debug!(peer = %self.id, ?reason, "peer connection ended");
        // The owner may be what ended.
        let _owner_is_gone = self.tell(Event::Closed { reason });
    }
}

/// A killed or panicked actor runs no hook of its own.
impl Drop for Life {
    fn drop(&mut self) {
        self.end();
    }
}

impl Actor for PeerConnectionActor {
    type Msg = PeerConnectionMessage;
    type State = PeerConnectionShell;
    type Arguments = PeerConnectionArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let PeerConnectionArguments {
            id,
            settings,
            owner,
            handle,
        } = arguments;
        let ice = IceParameters::generate();
        let jsep = Jsep::new(JsepArguments {
            configuration: Arc::clone(&settings.media),
            ice: ice.clone(),
            fingerprints: settings.certificate.fingerprints(),
            cname: cname(),
        });
        let parts = Parts::spawn(id, &settings, ice, &owner, &myself).await?;
        let monitors = parts.monitors(&owner, &myself);
        let (states, watched) = watch::channel(PeerConnectionStates::default());
        let tracks = Arc::new(KnownTracks::default());
        let peer = PeerConnection {
            id,
            actor: myself,
            rtp: parts.rtp.clone(),
            tracks: Arc::clone(&tracks),
            states: watched,
        };
        // The builder may have been cancelled; then the supervisor stops us.
        let _cancelled = handle.send(peer.clone());
        Ok(PeerConnectionShell {
            jsep,
            connection: ConnectionMachine::default(),
            parts,
            tracks,
            closing: None,
            effects: Vec::new(),
            events: Vec::new(),
            life: Life {
                id,
                owner,
                states,
                reason: CloseReason::Crashed,
                ended: false,
            },
            _listed: Listed::new(peer),
            _monitors: monitors,
        })
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if shell.closing.is_none() {
            shell.life.reason = CloseReason::Stopped;
        }
        shell.life.end();
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        shell.receive(message, &myself);
        Ok(())
    }

    /// See the table in the room's door.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, ..) | SupervisionEvent::ActorFailed(who, _)
                if shell.life.is_owner(&who) =>
            {
                shell.begin_close(CloseReason::OwnerGone, &myself);
            }
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                let message = reason.unwrap_or_else(|| "stopped".to_owned());
                shell.part_ended(&child, message, &myself);
            }
            SupervisionEvent::ActorFailed(child, error) => {
                shell.part_ended(&child, error.to_string(), &myself);
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl Parts {
    async fn spawn(
        id: PeerId,
        settings: &Settings,
        ice: IceParameters,
        owner: &Outlet<PeerEvent>,
        myself: &ActorRef<PeerConnectionMessage>,
    ) -> Result<Self, SpawnError> {
        let (endpoint, endpoint_is_own) = settings.endpoint.open(myself).await?;
        let rtp = RtpTransport::spawn(
            RtpTransportArguments {
                peer: id,
                owner: owner.clone(),
                limits: settings.media_limits,
            },
            myself.get_cell(),
        )
        .await?;
        let dtls = DtlsTransport::spawn(
            DtlsArguments {
                certificate: settings.certificate.clone(),
                profiles: settings.srtp_profiles.clone(),
                handshake_timeout: settings.handshake_timeout,
                outlet: Outlet::with(myself, PeerConnectionMessage::Dtls),
            },
            myself.get_cell(),
        )
        .await?;
        let ice = IceTransport::spawn(
            IceArguments {
                parameters: ice,
                configuration: Arc::clone(&settings.ice),
                endpoints: vec![endpoint.clone()],
                dtls: dtls.inbound().into(),
                media: rtp.inbound(),
                outlet: Outlet::with(myself, PeerConnectionMessage::Ice),
            },
            myself.get_cell(),
        )
        .await?;
        Ok(Self {
            ice,
            dtls,
            rtp,
            endpoint,
            endpoint_is_own,
        })
    }

    /// What we depend on without being linked to it: the owner, who need not be the supervisor, and
    /// a shared endpoint.
    fn monitors(
        &self,
        owner: &Outlet<PeerEvent>,
        myself: &ActorRef<PeerConnectionMessage>,
    ) -> Vec<Monitor> {
        let shared = (!self.endpoint_is_own).then(|| self.endpoint.cell());
        iter::once(owner.listener().clone())
            .chain(shared)
            .map(|watched| Monitor::new(myself.get_cell(), watched))
            .collect()
    }

    /// Which part an actor is.
    pub(super) fn identify(&self, child: &ActorCell) -> Option<Part> {
        let id = child.get_id();
        [
            (self.ice.cell().get_id(), Part::IceTransport),
            (self.dtls.cell().get_id(), Part::DtlsTransport),
            (self.rtp.cell().get_id(), Part::RtpTransport),
            (self.endpoint.cell().get_id(), Part::UdpEndpoint),
        ]
        .into_iter()
        .find_map(|(part_id, part)| (part_id == id).then_some(part))
    }
}

impl PeerConnectionShell {
    fn receive(
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
                self.operate(reply, myself, |jsep, effects| {
                    jsep.set_local_description(description, effects)
                });
            }
            Message::SetRemoteDescription { description, reply } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.set_remote_description(description, effects)
                });
            }
            Message::AddIceCandidate { candidate, reply } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.add_ice_candidate(candidate.unwrap_or_default(), effects)
                });
            }
            Message::AddTrack { track, reply } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.add_track(&track, effects)
                });
            }
            Message::RemoveTrack { sender, reply } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.remove_track(sender, effects)
                });
            }
            Message::ReplaceTrack {
                sender,
                track,
                reply,
            } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.replace_track(sender, track, effects)
                });
            }
            Message::AddTransceiver { media, init, reply } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.add_transceiver(media, init, effects)
                });
            }
            Message::SetDirection {
                transceiver,
                direction,
                reply,
            } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.set_direction(transceiver, direction, effects)
                });
            }
            Message::SetCodecPreferences {
                transceiver,
                codecs,
                reply,
            } => {
                self.operate(reply, myself, |jsep, _| {
                    jsep.set_codec_preferences(transceiver, codecs)
                });
            }
            Message::StopTransceiver { transceiver, reply } => {
                self.operate(reply, myself, |jsep, effects| {
                    jsep.stop_transceiver(transceiver, effects)
                });
            }
            Message::Transceivers { reply } => answer(reply, self.jsep.transceivers()),
            Message::Descriptions { reply } => answer(reply, self.descriptions()),
            Message::Close => self.begin_close(CloseReason::Requested, myself),
            Message::Ice(event) => self.hear_ice(event, myself),
            Message::Dtls(event) => self.hear_dtls(event, myself),
            Message::CloseDeadlinePassed => self.kill_what_is_left(myself),
        }
    }

    /// One operation, one full drain of its effects, then the answer: who asked finds the world as
    /// the answer says.
    fn operate<T: Send + 'static, E: Send + 'static>(
        &mut self,
        reply: RpcReplyPort<Result<T, E>>,
        myself: &ActorRef<PeerConnectionMessage>,
        operation: impl FnOnce(&mut Jsep, &mut Vec<JsepEffect>) -> Result<T, E>,
    ) {
        let outcome = operation(&mut self.jsep, &mut self.effects);
        self.publish_tracks();
        self.perform_effects(myself);
        answer(reply, outcome);
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
            JsepEffect::NoCommonCodec { mid, kind } => {
                tracing::warn!(peer = %self.life.id, %mid, %kind, "no codec in common, m-line rejected");
            }
            JsepEffect::StartGathering => self.parts.ice.gather(),
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

    /// Who may be sent and asked for keyframes, for handles that must answer at once.
    fn publish_tracks(&self) {
        let mut tracks = Tracks::default();
        for transceiver in self.jsep.transceivers() {
            tracks
                .sent
                .extend(transceiver.sender().track().map(|track| track.id()));
            tracks.received.insert(transceiver.receiver().track().id());
        }
        self.tracks.set(tracks);
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
            IceEvent::CandidateGathered(candidate) => {
                let candidate = self.jsep.add_local_candidate(candidate);
                self.events.push(Event::IceCandidate(Some(candidate)));
            }
            IceEvent::SelectedPathChanged(path) => {
                self.parts.rtp.set_path(path.clone());
                self.parts.dtls.set_path(path);
            }
            IceEvent::RemoteCandidateRefused { candidate, reason } => {
                tracing::debug!(peer = %self.life.id, candidate, %reason, "remote candidate refused");
            }
            IceEvent::RoleChanged(role) => {
                tracing::debug!(peer = %self.life.id, ?role, "ice role conflict resolved");
            }
        }
        self.tell_events(myself);
    }

    fn hear_gathering(&mut self, state: IceGatheringState) {
        self.connection.gathering_changed(state, &mut self.events);
        if state == IceGatheringState::Complete {
            self.jsep.local_gathering_complete();
            self.events.push(Event::IceCandidate(None));
        }
    }

    fn hear_dtls(&mut self, event: DtlsEvent, myself: &ActorRef<PeerConnectionMessage>) {
        if self.closing.is_some() {
            return;
        }
        match event {
            DtlsEvent::StateChanged(state) => self.connection.dtls_changed(state, &mut self.events),
            DtlsEvent::KeysReady(keys) => self.parts.rtp.install_keys(keys),
            DtlsEvent::Failed(error) => {
                tracing::warn!(peer = %self.life.id, %error, "dtls failed");
            }
            DtlsEvent::ClosedByPeer => {
                tracing::debug!(peer = %self.life.id, "the remote side closed dtls");
            }
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

    /// From here on negotiation is over: nothing of it is told any more.
    pub(super) fn close_negotiation(&mut self) {
        self.jsep.close();
        self.connection.close();
        self.tracks.set(Tracks::default());
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

fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, value: T) {
    // The asker may have given up waiting.
    let _gone = reply.send(value);
}

/// A canonical name that says nothing of the host (RFC 7022 §4.2).
fn cname() -> Arc<str> {
    format!("{:024x}", rand::rng().random::<u128>() >> 32).into()
}
