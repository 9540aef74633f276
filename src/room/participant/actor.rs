//! Shell: a peer connection, its negotiator, and the page's listener.

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::time::Instant;

use super::Participant;
use super::machine::{Effect, ParticipantMachine, ParticipantTimer};
use super::message::{PageRequest, ParticipantMessage, WaitingLimit};
use crate::forwarder::Forwarder;
use crate::peer_connection::{
    Event, Monitor, PeerConnection, PeerConnectionState, PeerEvent, RtpDelivery,
};
use crate::perfect_negotiation::{
    NegotiationEvent, PerfectNegotiation, PerfectNegotiationEvent, Politeness,
};
use crate::room::builder::ConnectionSettings;
use crate::room::error::JoinError;
use crate::room::event::{LeaveReason, ParticipantEvent, ParticipantId};
use crate::room::limits::{RoomLimits, RoomTimes};
use crate::room::listener::Listener;
use crate::room::message::RoomMessage;
use crate::room::speakers::Speakers;
use crate::timer::TimerTable;

/// The actor; all that changes lives in [`ParticipantShell`].
#[derive(Debug)]
pub(in crate::room) struct ParticipantActor;

/// What the room hands over.
pub(in crate::room) struct ParticipantArguments {
    pub(in crate::room) id: ParticipantId,
    pub(in crate::room) room: ActorRef<RoomMessage>,
    pub(in crate::room) listener: Listener,
    pub(in crate::room) forwarder: Forwarder,
    pub(in crate::room) connection: ConnectionSettings,
    pub(in crate::room) limits: RoomLimits,
    pub(in crate::room) times: RoomTimes,
    /// Whoever waits to join.
    pub(in crate::room) reply: RpcReplyPort<Result<Participant, JoinError>>,
}

/// State of the running actor.
pub(in crate::room) struct ParticipantShell {
    id: ParticipantId,
    room: ActorRef<RoomMessage>,
    listener: Listener,
    forwarder: Forwarder,
    times: RoomTimes,
    waiting: WaitingLimit,
    machine: ParticipantMachine,
    timers: TimerTable<ParticipantTimer>,
    effects: Vec<Effect>,
    /// Until it has started.
    starting: Option<(
        ConnectionSettings,
        RpcReplyPort<Result<Participant, JoinError>>,
    )>,
    /// Once it has started.
    parts: Option<Parts>,
    /// The room was asked to let it go.
    is_leaving: bool,
    _watched_listener: Monitor,
}

/// The children.
struct Parts {
    peer: PeerConnection,
    negotiation: PerfectNegotiation,
}

impl Actor for ParticipantActor {
    type Msg = ParticipantMessage;
    type State = ParticipantShell;
    type Arguments = ParticipantArguments;

    /// Quick, for the room waits for it.
    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        // Watched first, so that the end of the listener is seen here or told.
        let watched = Monitor::new(myself.get_cell(), arguments.listener.actor().clone());
        let mut shell = ParticipantShell::new(arguments, watched);
        if !shell.listener.is_running() {
            shell.leave(LeaveReason::ListenerGone);
        }
        Ok(shell)
    }

    async fn post_start(
        &self,
        myself: ActorRef<Self::Msg>,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let Some((connection, reply)) = shell.starting.take() else {
            return Ok(());
        };
        let started = shell.start(&connection, &myself).await;
        if let Err(error) = &started {
            tracing::warn!(participant = %shell.id, %error, "no peer connection for a participant");
            shell.leave(LeaveReason::ConnectionFailed);
        }
        if reply.send(started.map(|()| shell.handle(&myself))).is_err() {
            // Nobody waits any more: nobody would ever make it leave.
            shell.leave(LeaveReason::Left);
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ParticipantMessage::Page(request) => shell.take_request(request.take()),
            ParticipantMessage::Adopt(forwarder) => shell.adopt(forwarder).await,
            ParticipantMessage::End => {
                if let Some(parts) = &shell.parts {
                    parts.peer.close().await;
                }
                myself.stop(None);
            }
            ParticipantMessage::Peer(event) => shell.take_peer_event(&event),
            ParticipantMessage::Negotiation(event) => shell.take_negotiation_event(event),
            ParticipantMessage::TimerFired { timer, generation } => {
                if shell.timers.accept(timer, generation) {
                    shell.machine.handle_timer(timer, &mut shell.effects);
                }
            }
        }
        shell.perform_effects(&myself);
        Ok(())
    }

    /// See the table in the room's door.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(who, ..) => shell.part_ended(&who),
            SupervisionEvent::ActorFailed(who, error) => {
                tracing::warn!(participant = %shell.id, %error, "a part of a participant failed");
                shell.part_ended(&who);
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl ParticipantShell {
    fn new(arguments: ParticipantArguments, watched_listener: Monitor) -> Self {
        let ParticipantArguments {
            id,
            room,
            listener,
            forwarder,
            connection,
            limits,
            times,
            reply,
        } = arguments;
        Self {
            id,
            room,
            listener,
            forwarder,
            waiting: WaitingLimit::new(limits.message_burst),
            machine: ParticipantMachine::new(&limits, times.clone()),
            times,
            timers: TimerTable::new(),
            effects: Vec::new(),
            starting: Some((connection, reply)),
            parts: None,
            is_leaving: false,
            _watched_listener: watched_listener,
        }
    }

    /// The room is told of the peer before the forwarder is, which tells the room of it.
    async fn start(
        &mut self,
        connection: &ConnectionSettings,
        myself: &ActorRef<ParticipantMessage>,
    ) -> Result<(), JoinError> {
        if self.is_leaving {
            return Err(JoinError::ListenerGone);
        }
        let settings = connection()
            .label(self.id.to_string())
            .audio_level_interval(self.times.audio_level);
        let peer = settings.spawn_linked(myself).await?;
        let negotiation = PerfectNegotiation::spawn_linked(&peer, Politeness::Impolite, myself);
        let negotiation = negotiation.await?;
        self.tell_room(RoomMessage::PeerStarted {
            participant: self.id,
            peer: peer.id(),
        });
        self.give_to_forwarder(&peer).await;
        self.parts = Some(Parts { peer, negotiation });
        Ok(())
    }

    fn handle(&self, myself: &ActorRef<ParticipantMessage>) -> Participant {
        Participant::new(self.id, myself, &self.room, self.waiting.clone())
    }

    async fn adopt(&mut self, forwarder: Forwarder) {
        self.forwarder = forwarder;
        // It knows the peer, and looks at it again: what was told to nobody meanwhile is not lost.
        if let Some(parts) = &self.parts {
            self.give_to_forwarder(&parts.peer).await;
        }
    }

    /// One that does not answer is about to be replaced, and the next one is given the peer again.
    async fn give_to_forwarder(&self, peer: &PeerConnection) {
        if let Err(error) = self.forwarder.add_peer(peer).await {
            tracing::warn!(participant = %self.id, %error, "the forwarder did not take a peer at once");
        }
    }

    fn take_request(&mut self, request: PageRequest) {
        let now = Instant::now().into_std();
        if self.is_leaving || !self.machine.handle_request(now, &mut self.effects) {
            return;
        }
        let participant = self.id;
        match request {
            PageRequest::Signal(message) => {
                if let Some(parts) = &self.parts {
                    parts.negotiation.receive(message);
                }
            }
            PageRequest::SetMuted { kind, muted } => self.tell_room(RoomMessage::SetOwnMuted {
                participant,
                kind,
                muted,
            }),
            PageRequest::SetLabel { stream, label } => self.tell_room(RoomMessage::SetLabel {
                participant,
                stream,
                label,
            }),
            PageRequest::SetLayers { publication, wish } => {
                if let Some(parts) = &self.parts {
                    let peer = parts.peer.id();
                    self.forwarder.set_layers_of(peer, publication, wish);
                }
            }
        }
    }

    fn take_peer_event(&mut self, event: &PeerEvent) {
        let Some(parts) = &self.parts else {
            return;
        };
        self.forwarder.handle_event(event);
        if let Event::NegotiationNeeded = event.event {
            self.machine.handle_negotiation_needed(&mut self.effects);
        } else {
            parts.negotiation.handle_event(event);
            self.take_event(&event.event);
        }
    }

    /// The events are many; the negotiator and the forwarder see to the others.
    #[allow(clippy::wildcard_enum_match_arm)]
    fn take_event(&mut self, event: &Event) {
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        match event {
            Event::SignalingStateChange(state) => machine.handle_signaling_state(*state, effects),
            Event::ConnectionStateChange(state) => machine.handle_connection_state(*state, effects),
            Event::IceConnectionStateChange(state) => machine.handle_ice_state(*state, effects),
            Event::DtlsTransportStateChange(state) => machine.handle_dtls_state(*state, effects),
            Event::Track(track) => {
                if let Some(parts) = &self.parts {
                    // Also while nobody is there to have it. One that is gone again needs no telling.
                    let delivery = RtpDelivery::Never;
                    let _gone = parts.peer.set_rtp_delivery(track.id(), delivery);
                }
            }
            Event::AudioLevel { track_id, level } if Speakers::matters(*level) => {
                self.tell_room(RoomMessage::Heard {
                    participant: self.id,
                    publication: *track_id,
                    level: *level,
                });
            }
            Event::Closed { reason } => {
                tracing::debug!(participant = %self.id, ?reason, "a participant's connection ended");
                self.leave(LeaveReason::ConnectionFailed);
            }
            _ => {}
        }
    }

    fn take_negotiation_event(&mut self, event: PerfectNegotiationEvent) {
        match event.event {
            NegotiationEvent::Send(message) => {
                if self.listener.tell(ParticipantEvent::Send(message)).is_err() {
                    self.leave(LeaveReason::ListenerGone);
                }
            }
            NegotiationEvent::Failed(error) => self.tell_room(RoomMessage::NegotiationFailed {
                participant: self.id,
                error,
            }),
        }
    }

    /// Whoever else ends takes the visit along.
    fn part_ended(&mut self, who: &ActorCell) {
        if who.get_id() == self.listener.actor().get_id() {
            self.leave(LeaveReason::ListenerGone);
            return;
        }
        // A negotiator ends with its connection, and may be heard of first.
        let has_failed = |parts: &Parts| {
            let state = parts.peer.connection_state();
            parts.negotiation.is(who) && state != PeerConnectionState::Closed
        };
        if self.parts.as_ref().is_some_and(has_failed) {
            self.leave(LeaveReason::Crashed);
        } else {
            self.leave(LeaveReason::ConnectionFailed);
        }
    }

    fn perform_effects(&mut self, myself: &ActorRef<ParticipantMessage>) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Arm(timer, after) => {
                    self.timers.arm(timer, after, myself, move |generation| {
                        ParticipantMessage::TimerFired { timer, generation }
                    })
                }
                Effect::Disarm(timer) => self.timers.disarm(timer),
                Effect::Announce(state) => self.tell_room(RoomMessage::ConnectionStateChanged {
                    participant: self.id,
                    state,
                }),
                Effect::Offer => {
                    if let Some(Parts { peer, negotiation }) = &self.parts {
                        let needed = Event::NegotiationNeeded;
                        negotiation.handle_event(&PeerEvent::new(peer.id(), needed));
                    }
                }
                Effect::Leave(reason) => self.leave(reason),
            }
        }
    }

    /// Asks the room, once: it tells everybody, and then says `End`.
    fn leave(&mut self, reason: LeaveReason) {
        if !self.is_leaving {
            self.is_leaving = true;
            let participant = self.id;
            self.tell_room(RoomMessage::Leave {
                participant,
                reason,
            });
        }
    }

    /// One that has ended ends us as well.
    fn tell_room(&self, message: RoomMessage) {
        let _ended = self.room.cast(message);
    }
}
