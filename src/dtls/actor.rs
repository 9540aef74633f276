//! Shell: carries mailbox messages into the machine and its effects out.

use std::mem;
use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant as TokioInstant;
use tracing::Span;

use super::DtlsArguments;
use super::adapter::{ConnectionArguments, ConnectionTask};
use super::inbound::DtlsInbound;
use super::link::PathSlot;
use super::machine::{DtlsMachine, DtlsTimer, Effect};
use super::message::{DtlsEvent, DtlsMessage};
use crate::timer::TimerTable;

/// The actor; all that changes lives in [`DtlsShell`].
#[derive(Debug)]
pub(super) struct DtlsActor;

#[derive(Debug)]
pub(super) struct DtlsActorArguments {
    pub(super) arguments: DtlsArguments,
    pub(super) inbound: DtlsInbound,
    pub(super) path: PathSlot,
    /// The peer's.
    pub(super) span: Span,
}

/// State of the running actor. Dropping it ends the connection task.
#[derive(Debug)]
pub(super) struct DtlsShell {
    machine: DtlsMachine,
    arguments: DtlsArguments,
    inbound: DtlsInbound,
    path: PathSlot,
    connection: Option<ConnectionTask>,
    span: Span,
    timers: TimerTable<DtlsTimer>,
    /// Reused between messages, empty in between.
    effects: Vec<Effect>,
}

impl Actor for DtlsActor {
    type Msg = DtlsMessage;
    type State = DtlsShell;
    type Arguments = DtlsActorArguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let DtlsActorArguments {
            arguments,
            inbound,
            path,
            span,
        } = arguments;
        Ok(DtlsShell {
            machine: DtlsMachine::new(arguments.handshake_timeout),
            arguments,
            inbound,
            path,
            connection: None,
            span,
            timers: TimerTable::new(),
            effects: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let span = shell.span.clone();
        span.in_scope(|| shell.receive(message, &myself));
        Ok(())
    }
}

impl DtlsShell {
    fn receive(&mut self, message: DtlsMessage, myself: &ActorRef<DtlsMessage>) {
        let effects = &mut self.effects;
        match message {
            DtlsMessage::Start {
                role,
                remote_fingerprints,
            } => {
                self.machine
                    .handle_start(role, remote_fingerprints, now(), effects);
            }
            DtlsMessage::SetPath(path) => {
                self.path.set(path);
                self.machine.handle_path(now(), effects);
            }
            DtlsMessage::Close => self.machine.handle_close(effects),
            DtlsMessage::PeerSpoke { attempt } => {
                self.machine.handle_peer_spoke(attempt, now(), effects);
            }
            DtlsMessage::HandshakeCompleted { attempt, outcome } => {
                self.machine
                    .handle_handshake_completed(attempt, outcome, effects);
            }
            DtlsMessage::HandshakeFailed { attempt, error } => {
                self.machine
                    .handle_handshake_failed(attempt, error, effects);
            }
            DtlsMessage::ConnectionEnded { attempt } => {
                self.machine.handle_connection_ended(attempt, effects);
            }
            DtlsMessage::ConnectionBroke { attempt } => {
                self.machine.handle_connection_broke(attempt, effects);
            }
            DtlsMessage::TimerFired { timer, generation } => {
                if self.timers.accept(timer, generation) {
                    self.machine.handle_timer(timer, effects);
                }
            }
        }
        self.perform_effects(myself);
    }

    fn perform_effects(&mut self, myself: &ActorRef<DtlsMessage>) {
        let mut effects = mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Connect {
                    attempt,
                    role,
                    fingerprints,
                } => {
                    let arguments = ConnectionArguments {
                        attempt,
                        role,
                        fingerprints,
                        certificate: self.arguments.certificate.clone(),
                        profiles: self.arguments.profiles.clone(),
                        handshakes: self.arguments.handshakes.clone(),
                        inbound: self.inbound.clone(),
                        path: self.path.clone(),
                        actor: myself.clone(),
                    };
                    self.connection = Some(ConnectionTask::spawn(arguments));
                }
                Effect::HangUp => self.connection = None,
                Effect::Arm(timer, at) => {
                    let after = at.saturating_duration_since(now());
                    self.timers.arm(timer, after, myself, move |generation| {
                        DtlsMessage::TimerFired { timer, generation }
                    });
                }
                Effect::Disarm(timer) => self.timers.disarm(timer),
                Effect::Announce(event) => self.tell(event, myself),
                Effect::Stop => myself.stop(None),
            }
        }
        self.effects = effects;
    }

    /// Without a listener there is nobody to work for.
    fn tell(&self, event: DtlsEvent, myself: &ActorRef<DtlsMessage>) {
        if self.arguments.outlet.tell(event).is_err() {
            myself.stop(Some("nobody listens any more".to_owned()));
        }
    }
}

impl Drop for DtlsShell {
    fn drop(&mut self) {
        // Clones of the queue live on in the endpoint.
        self.inbound.close();
    }
}

/// The one place where this room reads the clock; follows tokio's paused time in tests.
pub(super) fn now() -> Instant {
    TokioInstant::now().into_std()
}
