//! The supervisor of all visitors: lets them in, sees them go, lets the others live.

use std::marker::PhantomData;

use ractor::rpc::CallResult;
use ractor::{
    Actor, ActorProcessingErr, ActorRef, Message, RpcReplyPort, SpawnErr, SupervisionEvent,
};
use ractor_webrtc::PeerConnectionBuilder;
use ractor_webrtc::signaling::websocket::{Door, FromPage, Goodbye, Page};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::Arguments;
use super::signal::Signal;

/// What pages and their actors say to each other.
pub(crate) trait Language: Serialize + DeserializeOwned + Send + 'static {
    /// To the page: what was wrong with its last message.
    fn error(text: String) -> Self;
}

/// What a visitor's actor starts with.
pub(crate) struct Arrival<M, S = Signal> {
    pub(crate) page: Page<S>,
    /// How its connection is set up.
    pub(crate) connection: PeerConnectionBuilder,
    /// Who is there already.
    pub(crate) others: Vec<ActorRef<M>>,
}

/// Handle to a running lobby, whose visitors' actors are told `M`, and whose pages speak `S`.
pub(crate) struct Lobby<M, S: Language = Signal> {
    actor: ActorRef<LobbyMessage<M, S>>,
}

impl<M: Message, S: Language> Lobby<M, S> {
    /// Opens a lobby for so many visitors, and the shared UDP port if the arguments name one. `prepare` has the last word on how
    /// connections are set up.
    pub(crate) async fn open<V>(
        visitor: V,
        arguments: Arguments,
        prepare: fn(PeerConnectionBuilder) -> PeerConnectionBuilder,
    ) -> Result<Self, ActorProcessingErr>
    where
        V: Actor<Msg = M, Arguments = Arrival<M, S>> + Copy,
    {
        let lobby = LobbyActor(visitor, PhantomData);
        match Actor::spawn(None, lobby, (arguments, prepare)).await {
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

impl<M, S: Language> Clone for Lobby<M, S> {
    fn clone(&self) -> Self {
        let actor = self.actor.clone();
        Self { actor }
    }
}

impl<M: Message + From<FromPage<S>>, S: Language> Door for Lobby<M, S> {
    type Incoming = S;
    type Outgoing = S;
    type Message = M;

    async fn enter(&self, page: Page<S>) -> Result<ActorRef<M>, Goodbye> {
        let question = |reply| LobbyMessage { page, reply };
        match self.actor.call(question, None).await {
            Ok(CallResult::Success(answer)) => answer.map_err(Goodbye::try_again),
            _ => Err(Goodbye::try_again("the server is closing")),
        }
    }

    fn complain(&self, nonsense: &serde_json::Error) -> Option<S> {
        Some(S::error(format!("that is not a signal: {nonsense}")))
    }
}

/// A page has opened its WebSocket.
pub(crate) struct LobbyMessage<M, S> {
    page: Page<S>,
    reply: RpcReplyPort<Result<ActorRef<M>, String>>,
}

/// `V` is the visitors' actor.
struct LobbyActor<V, S>(V, PhantomData<fn(S)>);

struct LobbyState<M> {
    connections: PeerConnectionBuilder,
    limit: usize,
    visitors: Vec<ActorRef<M>>,
}

impl<M, S, V> Actor for LobbyActor<V, S>
where
    M: Message,
    S: Language,
    V: Actor<Msg = M, Arguments = Arrival<M, S>> + Copy,
{
    type Msg = LobbyMessage<M, S>;
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
    async fn let_in<V, S: Language>(
        &mut self,
        visitor: V,
        myself: &ActorRef<LobbyMessage<M, S>>,
        page: Page<S>,
    ) -> Result<ActorRef<M>, String>
    where
        V: Actor<Msg = M, Arguments = Arrival<M, S>>,
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
