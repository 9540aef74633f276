//! Shell: keeps the sessions, hands each its messages, and tells what they say as one.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tracing::{Instrument, Span};

use super::candidate::IceParameters;
use super::configuration::IceConfiguration;
use super::generations::{Generations, Selection};
use super::message::{IceEvent, IceMessage, SessionNumber, SessionRef};
use super::remote_candidate::RemoteCandidate;
use super::session::Session;
use super::snapshot::IceSnapshot;
use crate::outlet::Outlet;
use crate::timer::TimerTable;
use crate::udp::{DatagramSink, MediaInbound, UdpEndpoint};

/// The actor; all that changes lives in [`IceShell`].
#[derive(Debug)]
pub(super) struct IceActor;

/// What a start needs.
#[derive(Debug)]
pub(crate) struct IceArguments {
    /// Our credentials in the first session.
    pub(crate) parameters: IceParameters,
    pub(crate) configuration: Arc<IceConfiguration>,
    /// The sockets to be reached at.
    pub(crate) endpoints: Vec<UdpEndpoint>,
    pub(crate) sinks: IceSinks,
    pub(crate) outlet: Outlet<IceEvent>,
}

/// Where goes what is not STUN, from verified addresses of all sessions.
#[derive(Clone, Debug)]
pub(crate) struct IceSinks {
    pub(crate) dtls: DatagramSink,
    /// RTP and RTCP.
    pub(crate) media: MediaInbound,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct IceShell {
    generations: Generations,
    /// Those that `generations` names, four at most.
    sessions: Vec<Session>,
    sessions_begun: u32,
    /// How often media was given another path, the first included.
    selections: u32,
    configuration: Arc<IceConfiguration>,
    endpoints: Vec<UdpEndpoint>,
    sinks: IceSinks,
    timers: TimerTable<FormerIsOver>,
    outlet: Outlet<IceEvent>,
    /// Reused between messages, empty in between.
    events: Vec<IceEvent>,
    span: Span,
}

/// The one timer of the transport itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FormerIsOver;

impl Actor for IceActor {
    type Msg = IceMessage;
    type State = IceShell;
    /// And the peer's span.
    type Arguments = (IceArguments, Span);

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (arguments, span): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let mut shell = IceShell {
            generations: Generations::new(SessionNumber(0)),
            sessions: Vec::new(),
            sessions_begun: 0,
            selections: 0,
            configuration: arguments.configuration,
            endpoints: arguments.endpoints,
            sinks: arguments.sinks,
            timers: TimerTable::new(),
            outlet: arguments.outlet,
            events: Vec::new(),
            span: span.clone(),
        };
        let session = shell.begin_session(arguments.parameters, &myself);
        session.instrument(span).await?;
        Ok(shell)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let span = shell.span.clone();
        shell.receive(message, &myself).instrument(span).await
    }

    /// The children are relays: one that stops has said why, or was stopped by us; one that crashed met what nobody had
    /// thought of.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        _shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(_, error) => Err(error),
            SupervisionEvent::ActorTerminated(..)
            | SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl IceShell {
    async fn receive(
        &mut self,
        message: IceMessage,
        myself: &ActorRef<IceMessage>,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            IceMessage::Gather => {
                let newest = self.generations.newest();
                self.gather(newest).await?;
                self.tell_events(newest, myself);
            }
            IceMessage::Start { role, remote } => {
                let gone = self.generations.start();
                self.end_session(gone);
                let agreed = self.generations.agreed();
                if let Some(session) = self.session(agreed) {
                    session.start(role, remote).await?;
                }
                self.tell_events(agreed, myself);
            }
            IceMessage::Restart { local } => self.restart(local, myself).await?,
            IceMessage::AbandonRestart => self.abandon_restart(myself),
            IceMessage::SetConfiguration(configuration) => self.configuration = configuration,
            IceMessage::AddRemoteCandidate(candidate) => {
                let number = self.session_of(&candidate);
                if let Some(session) = self.session(number) {
                    session.add_remote_candidate(candidate).await?;
                }
                self.tell_events(number, myself);
            }
            IceMessage::EndOfRemoteCandidates => {
                let agreed = self.generations.agreed();
                if let Some(session) = self.session(agreed) {
                    session.end_of_remote_candidates().await?;
                }
                self.tell_events(agreed, myself);
            }
            IceMessage::Snapshot { reply } => {
                // The asker may have given up waiting.
                let _gone = reply.send(self.snapshot());
            }
            IceMessage::Stop => self.stop(myself).await?,
            IceMessage::Session { session, fact } => {
                if let Some(session) = self.session(session) {
                    session.receive(fact).await?;
                }
                self.tell_events(session, myself);
            }
            IceMessage::FormerIsOver { generation } => {
                if self.timers.accept(FormerIsOver, generation) {
                    let former = self.generations.forget_former();
                    self.end_session(former);
                }
            }
        }
        Ok(())
    }

    /// A session with its own places at the endpoints. Waits for them, not for the network.
    async fn begin_session(
        &mut self,
        local: IceParameters,
        myself: &ActorRef<IceMessage>,
    ) -> Result<SessionNumber, ActorProcessingErr> {
        let session = SessionNumber(self.sessions_begun);
        self.sessions_begun += 1;
        let address = SessionRef {
            transport: myself.clone(),
            session,
        };
        let configuration = Arc::clone(&self.configuration);
        self.sessions
            .push(Session::new(address, local, configuration, &self.endpoints, &self.sinks).await?);
        Ok(session)
    }

    async fn restart(
        &mut self,
        local: IceParameters,
        myself: &ActorRef<IceMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let number = self.begin_session(local, myself).await?;
        let gone = self.generations.propose(number);
        self.end_session(gone);
        self.gather(number).await?;
        self.tell_events(number, myself);
        Ok(())
    }

    fn abandon_restart(&mut self, myself: &ActorRef<IceMessage>) {
        let Some(gone) = self.generations.abandon() else {
            return;
        };
        self.end_session(Some(gone));
        let state = self.generations.gathering();
        self.tell(IceEvent::GatheringStateChanged(state), myself);
    }

    async fn gather(&mut self, number: SessionNumber) -> Result<(), ActorProcessingErr> {
        let configuration = Arc::clone(&self.configuration);
        if let Some(session) = self.session(number) {
            session.gather(&configuration).await?;
        }
        Ok(())
    }

    async fn stop(&mut self, myself: &ActorRef<IceMessage>) -> Result<(), ActorProcessingErr> {
        // What is left is one session, which says that it is closed.
        let current = self.generations.close();
        self.sessions.retain(|session| session.number() == current);
        if let Some(session) = self.session(current) {
            session.stop().await?;
        }
        self.tell_events(current, myself);
        myself.stop(None);
        Ok(())
    }

    /// The session that a remote candidate is for: the one whose name it bears, else the one that was agreed on last.
    fn session_of(&self, candidate: &str) -> SessionNumber {
        let bears = RemoteCandidate::parse(candidate)
            .ok()
            .and_then(|candidate| candidate.username_fragment);
        bears
            .and_then(|fragment| self.sessions.iter().find(|it| it.is_with(&fragment)))
            .map_or_else(|| self.generations.agreed(), Session::number)
    }

    /// Of the session that carries media; pairs that were selected in sessions before count as changes.
    fn snapshot(&self) -> IceSnapshot {
        let current = self.generations.current();
        let session = self.sessions.iter().find(|it| it.number() == current);
        let mut snapshot = session.map(Session::snapshot).unwrap_or_default();
        snapshot.selections = self.selections;
        snapshot
    }

    fn session(&mut self, number: SessionNumber) -> Option<&mut Session> {
        self.sessions
            .iter_mut()
            .find(|session| session.number() == number)
    }

    fn end_session(&mut self, number: Option<SessionNumber>) {
        self.sessions
            .retain(|session| Some(session.number()) != number);
    }

    /// Tells of one session what counts of the whole.
    fn tell_events(&mut self, number: SessionNumber, myself: &ActorRef<IceMessage>) {
        let mut events = std::mem::take(&mut self.events);
        if let Some(session) = self.session(number) {
            session.take_events(&mut events);
        }
        for event in events.drain(..) {
            self.tell_of(number, event, myself);
        }
        self.events = events;
    }

    fn tell_of(&mut self, number: SessionNumber, event: IceEvent, myself: &ActorRef<IceMessage>) {
        match event {
            IceEvent::StateChanged(state) => {
                if let Some(state) = self.generations.state_changed(number, state) {
                    self.tell(IceEvent::StateChanged(state), myself);
                }
            }
            IceEvent::GatheringStateChanged(state) => {
                if self.generations.gathering_changed(number, state) {
                    self.tell(event, myself);
                }
            }
            IceEvent::CandidateGathered { .. } => {
                // The other side has no use for more of an older session.
                if number == self.generations.newest() {
                    self.tell(event, myself);
                }
            }
            IceEvent::SelectedPathChanged(_) => self.path_selected(number, event, myself),
            IceEvent::RemoteCandidateRefused { .. } | IceEvent::RoleChanged(_) => {
                self.tell(event, myself);
            }
        }
    }

    fn path_selected(
        &mut self,
        number: SessionNumber,
        event: IceEvent,
        myself: &ActorRef<IceMessage>,
    ) {
        match self.generations.selected(number) {
            Selection::Follow => {
                self.selections += 1;
                self.tell(event, myself);
            }
            Selection::TakeOver { gone } => {
                self.selections += 1;
                self.end_session(gone);
                self.timers.arm(FormerIsOver, LINGER, myself, |generation| {
                    IceMessage::FormerIsOver { generation }
                });
                self.tell(event, myself);
                if let Some(state) = self.generations.news() {
                    self.tell(IceEvent::StateChanged(state), myself);
                }
            }
            Selection::Ignore => {}
        }
    }

    /// Without a listener there is nobody to work for.
    fn tell(&self, event: IceEvent, myself: &ActorRef<IceMessage>) {
        if self.outlet.tell(event).is_err() {
            myself.stop(Some("nobody listens".to_owned()));
        }
    }
}

/// What ends with the actor says so in the peer's span.
impl Drop for IceShell {
    fn drop(&mut self) {
        self.span.in_scope(|| self.sessions.clear());
    }
}

/// How long the former session stays: the other side may switch to the new pair later than we do, and until then
/// checks and sends on the old one. RFC 8445 §8.3 waits three seconds before candidates are freed.
const LINGER: Duration = Duration::from_secs(3);
