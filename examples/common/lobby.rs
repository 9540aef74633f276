//! The supervisor of all visitors: lets them in, sees them go, lets the others live.

use ractor::rpc::CallResult;
use ractor::{
    Actor, ActorProcessingErr, ActorRef, Message, RpcReplyPort, SpawnErr, SupervisionEvent,
};
use ractor_webrtc::PeerConnectionBuilder;
use ractor_webrtc::signaling::websocket::{Door, Goodbye};

use super::arguments::Arguments;
use super::signal::{FromPage, Page, Signal};

/// What a visitor's actor starts with.
pub(crate) struct Arrival<M> {
    pub(crate) page: Page,
    /// How its connection is set up.
    pub(crate) connection: PeerConnectionBuilder,
    /// Who is there already.
    pub(crate) others: Vec<ActorRef<M>>,
}

/// Handle to a running lobby, whose visitors' actors are told `M`.
pub(crate) struct Lobby<M> {
    actor: ActorRef<LobbyMessage<M>>,
}

impl<M: Message> Lobby<M> {
    /// Opens a lobby for so many visitors, and the shared UDP port if the arguments name one. `prepare` has the last word on how
    /// connections are set up.
    pub(crate) async fn open<V>(
        visitor: V,
        arguments: Arguments,
        prepare: fn(PeerConnectionBuilder) -> PeerConnectionBuilder,
    ) -> Result<Self, ActorProcessingErr>
    where
        V: Actor<Msg = M, Arguments = Arrival<M>> + Copy,
    {
        match Actor::spawn(None, LobbyActor(visitor), (arguments, prepare)).await {
            Ok((actor, _)) => Ok(Self { actor }),
            // What `pre_start` said, without the actor around it.
            Err(SpawnErr::StartupFailed(error)) => Err(error),
            Err(error) => Err(error.into()),
        }
    }

    /// Ends every visit, and waits until all is gone.
    pub(crate) async fn close(&self) {
        // It may have stopped before; that is what we want.
        let _stopped = self.actor.stop_and_wait(None, None).await;
    }
}

impl<M> Clone for Lobby<M> {
    fn clone(&self) -> Self {
        let actor = self.actor.clone();
        Self { actor }
    }
}

impl<M: Message + From<FromPage>> Door for Lobby<M> {
    type Incoming = Signal;
    type Outgoing = Signal;
    type Message = M;

    async fn enter(&self, page: Page) -> Result<ActorRef<M>, Goodbye> {
        let question = |reply| LobbyMessage { page, reply };
        match self.actor.call(question, None).await {
            Ok(CallResult::Success(answer)) => answer.map_err(Goodbye::try_again),
            _ => Err(Goodbye::try_again("the server is closing")),
        }
    }

    fn complain(&self, nonsense: &serde_json::Error) -> Option<Signal> {
        Some(Signal::Error(format!("that is not a signal: {nonsense}")))
    }
}

/// A page has opened its WebSocket.
pub(crate) struct LobbyMessage<M> {
    page: Page,
    reply: RpcReplyPort<Result<ActorRef<M>, String>>,
}

/// `V` is the visitors' actor.
struct LobbyActor<V>(V);

struct LobbyState<M> {
    connections: PeerConnectionBuilder,
    limit: usize,
    visitors: Vec<ActorRef<M>>,
}

impl<M, V> Actor for LobbyActor<V>
where
    M: Message,
    V: Actor<Msg = M, Arguments = Arrival<M>> + Copy,
{
    type Msg = LobbyMessage<M>;
    type State = LobbyState<M>;
    type Arguments = (
        Arguments,
        fn(PeerConnectionBuilder) -> PeerConnectionBuilder,
    );

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (arguments, prepare): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let endpoint = arguments.endpoint(myself.get_cell()).await?;
        let connections = arguments.connections(endpoint.as_ref());
        Ok(LobbyState {
            connections: prepare(connections),
            limit: arguments.visitors,
            visitors: Vec::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        LobbyMessage { page, reply }: Self::Msg,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let visitor = state.let_in(self.0, &myself, page).await;
        // The page may have gone while we were busy: then nobody will ever stop its actor.
        if let Err(ractor::MessagingErr::SendErr(Ok(visitor))) = reply.send(visitor) {
            visitor.stop(None);
        }
        Ok(())
    }

    /// | child | how it ends | what we do | who notices |
    /// |---|---|---|---|
    /// | visitor | its page left | forget it | nobody |
    /// | visitor | it failed or panicked | log and forget it | its page, whose socket closes |
    /// | `UdpEndpoint` | its socket broke | stop: there is no media without it | everybody |
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let child = match &event {
            SupervisionEvent::ActorTerminated(child, _, _) => child.get_id(),
            SupervisionEvent::ActorFailed(child, error) => {
                tracing::warn!(%error, "an actor failed");
                child.get_id()
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        let position = state.visitors.iter().position(|it| it.get_id() == child);
        match position {
            Some(visitor) => drop(state.visitors.remove(visitor)),
            None => myself.stop(Some("the UDP endpoint has ended".to_owned())),
        }
        Ok(())
    }
}

impl<M: Message> LobbyState<M> {
    async fn let_in<V>(
        &mut self,
        visitor: V,
        myself: &ActorRef<LobbyMessage<M>>,
        page: Page,
    ) -> Result<ActorRef<M>, String>
    where
        V: Actor<Msg = M, Arguments = Arrival<M>>,
    {
        if self.visitors.len() >= self.limit {
            return Err("there is no room for another visitor, try again later".to_owned());
        }
        let arrival = Arrival {
            page,
            connection: self.connections.clone(),
            others: self.visitors.clone(),
        };
        let spawned = Actor::spawn_linked(None, visitor, arrival, myself.get_cell()).await;
        let (visitor, _) = spawned.map_err(|error| {
            tracing::error!(%error, "cannot start an actor for a visitor");
            "the server cannot start an actor for you".to_owned()
        })?;
        self.visitors.push(visitor.clone());
        Ok(visitor)
    }
}
