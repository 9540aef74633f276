//! Shell: keeps the streams, and passes requests on to them.

use std::collections::HashMap;

use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use super::error::PatchError;
use super::machine::BroadcasterMachine;
use super::message::{BroadcasterEvent, BroadcasterMessage};
use super::name::{Role, SessionId, StreamName};
use super::session::{OpenRequest, PatchRequest};
use super::stream::{self, StreamArguments, StreamMessage, StreamNews};
use super::{BroadcasterLimits, SHUT_DOWN_DEADLINE};
use crate::call::CallError;
use crate::outlet::Outlet;
use crate::peer_connection::PeerConnectionBuilder;
use crate::stop::{END_DEADLINE, force_after};
use crate::timer::TimerTable;

/// The actor; all that changes lives in [`BroadcasterShell`].
#[derive(Debug)]
pub(super) struct BroadcasterActor;

/// What the builder hands over.
#[derive(Debug)]
pub(super) struct BroadcasterArguments {
    pub(super) connection: PeerConnectionBuilder,
    pub(super) limits: BroadcasterLimits,
    pub(super) owner: Outlet<BroadcasterEvent>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct BroadcasterShell {
    machine: BroadcasterMachine,
    arguments: BroadcasterArguments,
    streams: HashMap<StreamName, ActorRef<StreamMessage>>,
    /// From when nobody is let in any more.
    shutting_down: bool,
    timers: TimerTable<ShutDown>,
}

/// The one timer: sessions have so long to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct ShutDown;

impl Actor for BroadcasterActor {
    type Msg = BroadcasterMessage;
    type State = BroadcasterShell;
    type Arguments = BroadcasterArguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<BroadcasterMessage>,
        arguments: BroadcasterArguments,
    ) -> Result<BroadcasterShell, ActorProcessingErr> {
        Ok(BroadcasterShell {
            machine: BroadcasterMachine::new(arguments.limits),
            arguments,
            streams: HashMap::new(),
            shutting_down: false,
            timers: TimerTable::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<BroadcasterMessage>,
        message: BroadcasterMessage,
        shell: &mut BroadcasterShell,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            BroadcasterMessage::Open { stream, request } => {
                shell.open(&myself, stream, request).await;
            }
            BroadcasterMessage::Patch {
                role,
                session,
                request,
            } => shell.patch(role, session, request),
            BroadcasterMessage::Close {
                role,
                session,
                reply,
            } => {
                let _gone = reply.send(shell.close(role, session));
            }
            BroadcasterMessage::Knows {
                role,
                session,
                reply,
            } => {
                let _gone = reply.send(shell.machine.find(role, session).is_some());
            }
            BroadcasterMessage::Snapshot { reply } => {
                let _gone = reply.send(shell.machine.snapshot());
            }
            BroadcasterMessage::ShutDown => shell.shut_down(&myself),
            BroadcasterMessage::Stream { stream, news } => shell.hear(stream, news),
            BroadcasterMessage::DeadlinePassed => shell.streams.clear(),
        }
        if shell.shutting_down && shell.streams.is_empty() {
            myself.stop(Some("it was shut down".to_owned()));
        }
        Ok(())
    }

    /// The table stands in the [door](super).
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<BroadcasterMessage>,
        event: SupervisionEvent,
        shell: &mut BroadcasterShell,
    ) -> Result<(), ActorProcessingErr> {
        let (child, message) = match event {
            SupervisionEvent::ActorTerminated(child, _, why) => (child, why.unwrap_or_default()),
            SupervisionEvent::ActorFailed(child, error) => (child, error.to_string()),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        let mut streams = shell.streams.iter();
        // One that was told to end is forgotten already, and another of its name may run.
        let failed = streams.find(|(_, actor)| actor.get_id() == child.get_id());
        if let Some(stream) = failed.map(|(name, _)| name.clone()) {
            tracing::error!(%stream, message, "a stream failed");
            shell.streams.remove(&stream);
            shell.machine.handle_stream_gone(&stream);
            shell.tell(BroadcasterEvent::StreamFailed { stream, message });
        }
        Ok(())
    }
}

impl BroadcasterShell {
    async fn open(
        &mut self,
        myself: &ActorRef<BroadcasterMessage>,
        name: StreamName,
        request: OpenRequest,
    ) {
        let session = SessionId::generate();
        let admitted = match self.shutting_down {
            true => Err(CallError::Stopped.into()),
            false => self.machine.handle_open(request.role, &name, session),
        };
        if let Err(refused) = admitted {
            // The asker may have given up.
            let _gone = request.reply.send(Err(refused));
            return;
        }
        match self.stream(myself, &name).await {
            Ok(stream) => {
                // One that fails in this moment drops the question, which is an answer too.
                let _ended = stream.cast(StreamMessage::Open { session, request });
            }
            Err(error) => {
                tracing::error!(%error, "a stream did not start");
                self.machine.handle_ended(session);
                let _gone = request.reply.send(Err(CallError::Stopped.into()));
            }
        }
    }

    fn patch(&self, role: Role, session: SessionId, request: PatchRequest) {
        match self.stream_of(role, session) {
            Some(stream) => {
                // One that has just ended drops the question, which is an answer too.
                let _ended = stream.cast(StreamMessage::Patch { session, request });
            }
            None => {
                let _gone = request.reply.send(Err(PatchError::UnknownSession));
            }
        }
    }

    /// The stream of this name, which begins now if there is none.
    async fn stream(
        &mut self,
        myself: &ActorRef<BroadcasterMessage>,
        name: &StreamName,
    ) -> Result<ActorRef<StreamMessage>, SpawnErr> {
        if let Some(stream) = self.streams.get(name) {
            return Ok(stream.clone());
        }
        let stream = name.clone();
        let news = move |news| BroadcasterMessage::Stream {
            stream: stream.clone(),
            news,
        };
        let arguments = StreamArguments {
            connection: self.arguments.connection.clone().label(name.to_string()),
            limits: self.arguments.limits,
            broadcaster: Outlet::with(myself, news),
        };
        let stream = stream::spawn(arguments, myself.get_cell()).await?;
        self.streams.insert(name.clone(), stream.clone());
        Ok(stream)
    }

    fn stream_of(&self, role: Role, session: SessionId) -> Option<&ActorRef<StreamMessage>> {
        self.streams.get(self.machine.find(role, session)?)
    }

    fn close(&mut self, role: Role, session: SessionId) -> bool {
        let Some(name) = self.machine.handle_close(role, session) else {
            return false;
        };
        if let Some(stream) = self.streams.get(&name) {
            // One that has just failed has taken the session along.
            let _ended = stream.cast(StreamMessage::Close(session));
        }
        true
    }

    fn shut_down(&mut self, myself: &ActorRef<BroadcasterMessage>) {
        if std::mem::replace(&mut self.shutting_down, true) {
            return;
        }
        for stream in self.streams.values() {
            // One that has just failed has taken its sessions along.
            let _ended = stream.cast(StreamMessage::CloseAll);
        }
        let passed = |_generation| BroadcasterMessage::DeadlinePassed;
        self.timers
            .arm(ShutDown, SHUT_DOWN_DEADLINE, myself, passed);
    }

    fn hear(&mut self, stream: StreamName, news: StreamNews) {
        match news {
            StreamNews::OnAir(publisher) => {
                self.machine.handle_on_air(&stream, true);
                self.tell(BroadcasterEvent::OnAir { stream, publisher });
            }
            StreamNews::OffAir => {
                self.machine.handle_on_air(&stream, false);
                self.tell(BroadcasterEvent::OffAir { stream });
            }
            StreamNews::ViewerJoined(viewer) => {
                self.tell(BroadcasterEvent::ViewerJoined { stream, viewer });
            }
            StreamNews::ViewerLeft(viewer) => {
                self.tell(BroadcasterEvent::ViewerLeft { stream, viewer });
            }
            StreamNews::CannotDecode { viewer, codec } => {
                self.tell(BroadcasterEvent::CannotDecode {
                    stream,
                    viewer,
                    codec,
                });
            }
            StreamNews::SessionEnded(session) => {
                if let Some(empty) = self.machine.handle_ended(session)
                    && let Some(actor) = self.streams.remove(&empty)
                {
                    actor.stop(Some("its last session has ended".to_owned()));
                    force_after(actor.get_cell(), END_DEADLINE);
                }
            }
        }
    }

    /// An owner that is gone takes the Broadcaster along, being its supervisor.
    fn tell(&self, event: BroadcasterEvent) {
        let _gone = self.arguments.owner.tell(event);
    }
}
