//! Shell: the forwarder, the participants and their listeners.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::time::Instant;

use super::JoinRequest;
use super::builder::ConnectionSettings;
use super::error::JoinError;
use super::event::{
    LeaveReason, ParticipantEvent, ParticipantId, RoomCloseReason, RoomEvent, RoomId, RoomNews,
};
use super::limits::{RoomLimits, RoomTimes};
use super::listener::Listener;
use super::machine::{Audience, Effect, RoomMachine};
use super::message::RoomMessage;
use super::participant::{Participant, ParticipantActor, ParticipantArguments, ParticipantMessage};
use crate::forwarder::{Forwarder, ForwarderBuilder, ForwarderLimits};
use crate::outlet::{ListenerGone, Outlet};
use crate::peer_connection::CLOSE_DEADLINE;
use crate::start::spawn_linked;
use crate::stop::force_after;
use crate::timer::TimerTable;

/// The actor; all that changes lives in [`RoomShell`].
#[derive(Debug)]
pub(super) struct RoomActor;

/// What the builder hands over.
pub(super) struct RoomArguments {
    pub(super) id: RoomId,
    pub(super) connection: ConnectionSettings,
    pub(super) limits: RoomLimits,
    pub(super) times: RoomTimes,
    pub(super) owner: Outlet<RoomNews>,
}

/// State of the running actor.
pub(super) struct RoomShell {
    connection: ConnectionSettings,
    limits: RoomLimits,
    times: RoomTimes,
    machine: RoomMachine,
    forwarder: Forwarder,
    /// Those whose actors have not ended.
    places: BTreeMap<ParticipantId, Place>,
    by_actor: HashMap<ActorId, ParticipantId>,
    timers: TimerTable<RoomTimer>,
    effects: Vec<Effect>,
    life: Life,
}

/// A participant that runs.
struct Place {
    listener: Listener,
    /// `None` while it starts.
    actor: Option<ActorRef<ParticipantMessage>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum RoomTimer {
    Silence,
    Close,
}

/// Who hears of the room, up to its end.
struct Life {
    room: RoomId,
    owner: Outlet<RoomNews>,
    /// A failure until something better is known.
    reason: RoomCloseReason,
}

impl Actor for RoomActor {
    type Msg = RoomMessage;
    type State = RoomShell;
    type Arguments = RoomArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let RoomArguments {
            id,
            connection,
            limits,
            times,
            owner,
        } = arguments;
        Ok(RoomShell {
            forwarder: forwarder(&limits).spawn_linked(&myself).await?,
            machine: RoomMachine::new(limits.clone(), &times),
            connection,
            limits,
            times,
            places: BTreeMap::new(),
            by_actor: HashMap::new(),
            timers: TimerTable::new(),
            effects: Vec::new(),
            life: Life {
                room: id,
                owner,
                reason: RoomCloseReason::Crashed,
            },
        })
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if shell.life.reason == RoomCloseReason::Crashed {
            shell.life.reason = RoomCloseReason::Stopped;
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        shell.take(message, &myself).await;
        shell.perform_effects(&myself).await;
        Ok(())
    }

    /// See the table in the room's door.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let child = match event {
            SupervisionEvent::ActorTerminated(child, ..) => child,
            SupervisionEvent::ActorFailed(child, error) => {
                tracing::warn!(room = %shell.life.room, %error, "an actor of a room failed");
                child
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        match shell.by_actor.remove(&child.get_id()) {
            Some(participant) => shell.participant_ended(participant, &myself).await,
            None => {
                shell
                    .machine
                    .handle_forwarder_ended(now(), &mut shell.effects);
                shell.perform_effects(&myself).await;
            }
        }
        Ok(())
    }
}

impl RoomShell {
    async fn take(&mut self, message: RoomMessage, myself: &ActorRef<RoomMessage>) {
        use RoomMessage as Message;

        let (machine, effects) = (&mut self.machine, &mut self.effects);
        match message {
            Message::Join {
                request,
                listener,
                reply,
            } => self.join(request, listener, reply, myself).await,
            Message::SetMuted {
                participant,
                scope,
                muted,
            } => {
                machine.handle_muted_by_moderator(participant, scope, muted, now(), effects);
            }
            Message::SetOwnMuted {
                participant,
                kind,
                muted,
            } => {
                machine.handle_muted_by_participant(participant, kind, muted, now(), effects);
            }
            Message::SetLabel {
                participant,
                stream,
                label,
            } => {
                machine.handle_labelled(participant, stream, label, effects);
            }
            Message::Snapshot { reply } => {
                // The asker may have given up.
                let _gone = reply.send(machine.snapshot());
            }
            Message::Close => machine.handle_close(RoomCloseReason::Requested, now(), effects),
            Message::PeerStarted { participant, peer } => {
                machine.handle_peer_started(participant, peer);
            }
            Message::ConnectionStateChanged { participant, state } => {
                machine.handle_connection_state(participant, state, effects);
            }
            Message::Heard {
                participant,
                publication,
                level,
            } => {
                machine.handle_heard(participant, publication, level, now(), effects);
            }
            Message::NegotiationFailed { participant, error } => {
                machine.handle_negotiation_failed(participant, error, effects);
            }
            Message::Leave {
                participant,
                reason,
            } => {
                machine.handle_leave(participant, reason, now(), effects);
            }
            Message::Forwarder(event) => machine.handle_forwarder_event(event, now(), effects),
            Message::SilenceChecked { generation } => {
                if self.timers.accept(RoomTimer::Silence, generation) {
                    machine.handle_silence_check(now(), effects);
                }
            }
            Message::CloseDeadlinePassed => machine.handle_close_deadline(effects),
        }
    }

    /// Waits for no more than an actor to be there; it starts its connection by itself, and answers.
    async fn join(
        &mut self,
        request: JoinRequest,
        listener: Outlet<ParticipantEvent>,
        reply: RpcReplyPort<Result<Participant, JoinError>>,
        myself: &ActorRef<RoomMessage>,
    ) {
        let listener = Listener::new(listener);
        let admitted = if listener.is_running() {
            self.machine.handle_join(request, now(), &mut self.effects)
        } else {
            Err(JoinError::ListenerGone)
        };
        let id = match admitted {
            Ok(id) => id,
            Err(refused) => {
                // The asker may have given up.
                let _gone = reply.send(Err(refused));
                return;
            }
        };
        let place = Place {
            listener: listener.clone(),
            actor: None,
        };
        self.places.insert(id, place);
        self.perform_effects(myself).await;
        let arguments = ParticipantArguments {
            id,
            room: myself.clone(),
            listener,
            forwarder: self.forwarder.clone(),
            connection: Arc::clone(&self.connection),
            limits: self.limits.clone(),
            times: self.times.clone(),
            reply,
        };
        let supervisor = myself.get_cell();
        match spawn_linked(ParticipantActor, arguments, supervisor).await {
            Ok(actor) => {
                self.by_actor.insert(actor.get_id(), id);
                if let Some(place) = self.places.get_mut(&id) {
                    place.actor = Some(actor);
                }
            }
            Err(error) => {
                tracing::error!(participant = %id, %error, "a participant did not start");
                self.participant_ended(id, myself).await;
            }
        }
    }

    /// Its listener hears of it before it is forgotten.
    async fn participant_ended(
        &mut self,
        participant: ParticipantId,
        myself: &ActorRef<RoomMessage>,
    ) {
        self.machine
            .handle_ended(participant, now(), &mut self.effects);
        self.perform_effects(myself).await;
        self.places.remove(&participant);
    }

    /// What is carried out may have effects of its own.
    async fn perform_effects(&mut self, myself: &ActorRef<RoomMessage>) {
        while !self.effects.is_empty() {
            for effect in std::mem::take(&mut self.effects) {
                self.perform(effect, myself).await;
            }
        }
    }

    async fn perform(&mut self, effect: Effect, myself: &ActorRef<RoomMessage>) {
        match effect {
            Effect::Tell(audience, event) => {
                if self.tell(audience, event).is_err() {
                    myself.stop(None);
                }
            }
            Effect::Expel(participant, reason) => {
                if let Some(place) = self.places.get(&participant) {
                    place.expel(reason);
                }
            }
            Effect::RemovePeer(peer) => self.forwarder.remove_peer(peer),
            Effect::SetPaused(publication, paused) => {
                self.forwarder.set_paused(publication, paused);
            }
            Effect::StartForwarder => self.restart_forwarder(myself).await,
            Effect::AwaitSilence(at) => {
                let timer = RoomTimer::Silence;
                let after = at.saturating_duration_since(now());
                self.timers.arm(timer, after, myself, |generation| {
                    RoomMessage::SilenceChecked { generation }
                });
            }
            Effect::AwaitEnd => self.timers.arm(RoomTimer::Close, CLOSING, myself, |_| {
                RoomMessage::CloseDeadlinePassed
            }),
            // Children that are left are killed with their parent.
            Effect::End(reason) => {
                self.life.reason = reason;
                myself.stop(None);
            }
        }
    }

    /// It goes on where the former one has ended; each participant is told where to tell now.
    async fn restart_forwarder(&mut self, myself: &ActorRef<RoomMessage>) {
        let builder = forwarder(&self.limits).succeeding(&self.forwarder);
        let forwarder = match builder.spawn_linked(myself).await {
            Ok(forwarder) => forwarder,
            Err(error) => {
                tracing::error!(room = %self.life.room, %error, "no forwarder for a room");
                let effects = &mut self.effects;
                self.machine.handle_forwarder_ended(now(), effects);
                return;
            }
        };
        for participant in self
            .places
            .values()
            .filter_map(|place| place.actor.as_ref())
        {
            let _ended = participant.cast(ParticipantMessage::Adopt(forwarder.clone()));
        }
        self.forwarder = forwarder;
        tracing::info!(room = %self.life.room, "the forwarder of a room was started again");
        // One that does not answer has failed again, or is about to.
        if let Ok(shown) = self.forwarder.snapshot().await {
            let effects = &mut self.effects;
            self.machine
                .handle_forwarder_restarted(&shown, now(), effects);
        }
    }

    /// Fails when the owner is gone.
    fn tell(&self, audience: Audience, event: RoomEvent) -> Result<(), ListenerGone> {
        for (id, place) in &self.places {
            let hears = match audience {
                Audience::Owner => false,
                Audience::All => true,
                Audience::Others(but) => *id != but,
                Audience::One(one) | Audience::Newcomer(one) => *id == one,
            };
            if hears {
                place.tell(event.clone());
            }
        }
        match audience {
            Audience::Newcomer(_) => Ok(()),
            Audience::Owner | Audience::All | Audience::Others(_) | Audience::One(_) => {
                self.life.tell(event)
            }
        }
    }
}

impl Place {
    fn expel(&self, reason: LeaveReason) {
        self.listener.close(reason);
        if let Some(actor) = &self.actor {
            let _ended = actor.cast(ParticipantMessage::End);
            force_after(actor.get_cell(), CLOSING);
        }
    }

    /// The participant watches its listener.
    fn tell(&self, event: RoomEvent) {
        let _gone = self.listener.tell(ParticipantEvent::Room(event));
    }
}

/// However the room ends.
impl Drop for Place {
    fn drop(&mut self) {
        self.listener.close(LeaveReason::RoomClosed);
    }
}

impl Life {
    fn tell(&self, event: RoomEvent) -> Result<(), ListenerGone> {
        let room = self.room;
        self.owner.tell(RoomNews { room, event })
    }
}

/// A killed or panicked actor runs no hook of its own.
impl Drop for Life {
    fn drop(&mut self) {
        let reason = self.reason;
        // The owner may be what ended.
        let _gone = self.tell(RoomEvent::Closed { reason });
    }
}

fn forwarder(limits: &RoomLimits) -> ForwarderBuilder {
    let limits = ForwarderLimits::default()
        // Those who are leaving included.
        .peers(2 * limits.participants)
        .publications_per_peer(limits.tracks_per_participant)
        .subscriptions_per_peer(MAX_SUBSCRIPTIONS);
    Forwarder::builder().limits(limits)
}

/// The machine takes plain instants; tests may pause the clock behind them.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// A connection has its own deadline; the room's is behind it.
const CLOSING: Duration = CLOSE_DEADLINE.saturating_mul(2);

/// A session has 256 m-lines at most, and the page wants some for itself.
const MAX_SUBSCRIPTIONS: usize = 240;
