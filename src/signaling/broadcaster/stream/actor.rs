//! Shell: starts sessions, and passes on between them, the Forwarder and the Broadcaster.

use std::collections::HashMap;

use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::machine::{Effect, StreamMachine};
use super::message::{StreamMessage, StreamNews};
use crate::forwarder::{Forwarder, ForwarderBuilder, ForwarderEvent, ForwarderLimits, OnRequest};
use crate::outlet::Outlet;
use crate::peer_connection::{CLOSE_DEADLINE, PeerConnectionBuilder};
use crate::signaling::broadcaster::BroadcasterLimits;
use crate::signaling::broadcaster::error::PatchError;
use crate::signaling::broadcaster::name::SessionId;
use crate::signaling::broadcaster::session::{
    self, Connected, OpenRequest, PatchRequest, SessionArguments, SessionMessage,
};
use crate::stop::force_after;

/// The actor; all that changes lives in [`StreamShell`].
#[derive(Debug)]
pub(super) struct StreamActor;

/// What the Broadcaster hands over.
#[derive(Debug)]
pub(in crate::signaling::broadcaster) struct StreamArguments {
    pub(in crate::signaling::broadcaster) connection: PeerConnectionBuilder,
    pub(in crate::signaling::broadcaster) limits: BroadcasterLimits,
    pub(in crate::signaling::broadcaster) broadcaster: Outlet<StreamNews>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct StreamShell {
    machine: StreamMachine,
    effects: Vec<Effect>,
    forwarder: Forwarder,
    /// Of the Forwarder.
    restarts: u32,
    arguments: StreamArguments,
    sessions: HashMap<SessionId, ActorRef<SessionMessage>>,
    /// Which child is which session.
    names: HashMap<ActorId, SessionId>,
}

impl Actor for StreamActor {
    type Msg = StreamMessage;
    type State = StreamShell;
    type Arguments = StreamArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<StreamMessage>,
        arguments: StreamArguments,
    ) -> Result<StreamShell, ActorProcessingErr> {
        let forwarder = forwarder(arguments.limits).spawn_linked(&myself).await?;
        Ok(StreamShell {
            machine: StreamMachine::default(),
            effects: Vec::new(),
            forwarder,
            restarts: 0,
            arguments,
            sessions: HashMap::new(),
            names: HashMap::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<StreamMessage>,
        message: StreamMessage,
        shell: &mut StreamShell,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            StreamMessage::Open { session, request } => {
                shell.open(&myself, session, request).await;
            }
            StreamMessage::Patch { session, request } => shell.patch(session, request),
            StreamMessage::Close(session) => shell.end(session, "its client has ended it"),
            StreamMessage::CloseAll => {
                for &session in shell.sessions.keys() {
                    shell.end(session, "the server is shut down");
                }
            }
            StreamMessage::Connected { session, peer } => {
                let StreamShell {
                    machine, effects, ..
                } = shell;
                machine.handle_connected(session, peer, effects);
            }
            StreamMessage::Forwarder(event) => shell.hear(event),
        }
        shell.perform_effects();
        Ok(())
    }

    /// The table stands in the [door](super).
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<StreamMessage>,
        event: SupervisionEvent,
        shell: &mut StreamShell,
    ) -> Result<(), ActorProcessingErr> {
        let (child, said) = match event {
            SupervisionEvent::ActorTerminated(child, _, said) => (child, said),
            SupervisionEvent::ActorFailed(child, error) => {
                tracing::error!(%error, "a part of a stream failed");
                (child, Some(error.to_string()))
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        let Some(session) = shell.names.remove(&child.get_id()) else {
            return shell.replace_forwarder(&myself, said).await;
        };
        shell.sessions.remove(&session);
        shell.machine.handle_ended(session, &mut shell.effects);
        shell.perform_effects();
        Ok(())
    }
}

impl StreamShell {
    async fn open(
        &mut self,
        myself: &ActorRef<StreamMessage>,
        session: SessionId,
        request: OpenRequest,
    ) {
        let role = request.role;
        let arguments = SessionArguments {
            id: session,
            request,
            connection: self.arguments.connection.clone(),
            forwarder: self.forwarder.clone(),
            limits: self.arguments.limits,
            stream: Outlet::with(myself, move |Connected(peer)| StreamMessage::Connected {
                session,
                peer,
            }),
        };
        self.machine.handle_opened(session, role);
        match session::spawn(arguments, myself.get_cell()).await {
            Ok(actor) => {
                self.names.insert(actor.get_id(), session);
                self.sessions.insert(session, actor);
            }
            // The question went down with it, which is the answer.
            Err(error) => {
                tracing::error!(%error, "a session did not start");
                self.machine.handle_ended(session, &mut self.effects);
            }
        }
    }

    fn patch(&self, session: SessionId, request: PatchRequest) {
        match self.sessions.get(&session) {
            Some(actor) => {
                // One that has just ended drops the question, which is an answer too.
                let _ended = actor.cast(SessionMessage::Patch(request));
            }
            None => {
                let _gone = request.reply.send(Err(PatchError::UnknownSession));
            }
        }
    }

    /// Routes have gone on meanwhile, and the next Forwarder knows what the last one knew.
    async fn replace_forwarder(
        &mut self,
        myself: &ActorRef<StreamMessage>,
        said: Option<String>,
    ) -> Result<(), ActorProcessingErr> {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            let said = said.unwrap_or_default();
            return Err(format!("the forwarder has failed too often, last with: {said}").into());
        }
        let builder = forwarder(self.arguments.limits).succeeding(&self.forwarder);
        self.forwarder = builder.spawn_linked(myself).await?;
        for &session in self.sessions.keys() {
            self.cast(session, SessionMessage::Forwarder(self.forwarder.clone()));
        }
        Ok(())
    }

    /// Its connection is closed within half of the time.
    fn end(&self, session: SessionId, why: &'static str) {
        self.cast(session, SessionMessage::End(why));
        if let Some(actor) = self.sessions.get(&session) {
            force_after(actor.get_cell(), CLOSE_DEADLINE * 2);
        }
    }

    fn hear(&mut self, event: ForwarderEvent) {
        let Self {
            machine, effects, ..
        } = self;
        if let ForwarderEvent::Published(publication) = event {
            let track = &publication.track;
            machine.handle_published(publication.publisher, track.id(), track.kind(), effects);
        } else if let ForwarderEvent::Unpublished { publication, .. } = event {
            machine.handle_unpublished(publication, effects);
        } else if let ForwarderEvent::CannotDecode {
            subscriber, codec, ..
        } = event
        {
            effects.push(Effect::Tell(StreamNews::CannotDecode {
                viewer: subscriber,
                codec,
            }));
        }
    }

    fn perform_effects(&mut self) {
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Feed { viewer, source } => {
                    self.cast(viewer, SessionMessage::Source(source));
                }
                Effect::Replace(session) => {
                    self.end(session, "another publisher has taken its place");
                }
                // Without a Broadcaster the stream is ending as well.
                Effect::Tell(news) => {
                    let _gone = self.arguments.broadcaster.tell(news);
                }
            }
        }
    }

    /// One that has just ended needs nothing any more.
    fn cast(&self, session: SessionId, message: SessionMessage) {
        if let Some(actor) = self.sessions.get(&session) {
            let _ended = actor.cast(message);
        }
    }
}

/// Nobody gets anything but what its session asks for.
fn forwarder(limits: BroadcasterLimits) -> ForwarderBuilder {
    Forwarder::builder()
        .policy(OnRequest)
        .limits(ForwarderLimits::default().peers(limits.publishers + limits.viewers))
}

/// In the life of one stream: a Forwarder that goes on failing has a reason to.
const MAX_RESTARTS: u32 = 5;
