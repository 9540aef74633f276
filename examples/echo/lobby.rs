//! The supervisor of all visitors: lets them in, sees them go, lets the others live.

use std::collections::HashSet;

use ractor::rpc::CallResult;
use ractor::{
    Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent,
};
use ractor_webrtc::signaling::websocket::{Door, Goodbye};
use ractor_webrtc::{PeerConnectionBuilder, UdpEndpoint, UdpEndpointConfiguration};

use super::common::arguments::Arguments;
use super::common::signal::{Page, Signal};
use super::forwarder::{Forwarder, ForwarderMessage};

/// Handle to the running lobby.
#[derive(Clone, Debug)]
pub(crate) struct Lobby {
    actor: ActorRef<LobbyMessage>,
}

impl Lobby {
    /// Opens a lobby, and the shared UDP port if the arguments name one.
    pub(crate) async fn open(arguments: Arguments) -> Result<Self, ActorProcessingErr> {
        match Actor::spawn(None, LobbyActor, arguments).await {
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

impl Door for Lobby {
    type Incoming = Signal;
    type Outgoing = Signal;
    type Message = ForwarderMessage;

    async fn enter(&self, page: Page) -> Result<ActorRef<ForwarderMessage>, Goodbye> {
        let question = |reply| LobbyMessage::Enter { page, reply };
        match self.actor.call(question, None).await {
            Ok(CallResult::Success(answer)) => answer.map_err(Goodbye::try_again),
            _ => Err(Goodbye::try_again("the server is closing")),
        }
    }

    fn complain(&self, nonsense: &serde_json::Error) -> Option<Signal> {
        Some(Signal::complaint(nonsense))
    }
}

pub(crate) enum LobbyMessage {
    /// A page has opened its WebSocket.
    Enter {
        page: Page,
        reply: RpcReplyPort<Result<ActorRef<ForwarderMessage>, String>>,
    },
}

struct LobbyActor;

struct LobbyState {
    connections: PeerConnectionBuilder,
    limit: usize,
    visitors: HashSet<ActorId>,
}

impl Actor for LobbyActor {
    type Msg = LobbyMessage;
    type State = LobbyState;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<LobbyMessage>,
        arguments: Arguments,
    ) -> Result<LobbyState, ActorProcessingErr> {
        let mut connections = arguments.connections();
        if let Some(address) = arguments.udp {
            let configuration = UdpEndpointConfiguration::address(address);
            let endpoint = UdpEndpoint::spawn(configuration, myself.get_cell()).await?;
            connections = connections.endpoint(endpoint);
        }
        Ok(LobbyState {
            connections,
            limit: arguments.visitors,
            visitors: HashSet::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<LobbyMessage>,
        message: LobbyMessage,
        state: &mut LobbyState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            LobbyMessage::Enter { page, reply } => {
                let visitor = state.let_in(&myself, page).await;
                // The page may have gone while we were busy: then nobody will ever stop its actor.
                if let Err(ractor::MessagingErr::SendErr(Ok(visitor))) = reply.send(visitor) {
                    visitor.stop(None);
                }
            }
        }
        Ok(())
    }

    /// | child | how it ends | what we do | who notices |
    /// |---|---|---|---|
    /// | `Forwarder` | its page left | forget it | nobody |
    /// | `Forwarder` | it failed or panicked | log and forget it | its page, whose socket closes |
    /// | `UdpEndpoint` | its socket broke | stop: there is no media without it | everybody |
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<LobbyMessage>,
        event: SupervisionEvent,
        state: &mut LobbyState,
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
        if !state.visitors.remove(&child) {
            myself.stop(Some("the UDP endpoint has ended".to_owned()));
        }
        Ok(())
    }
}

impl LobbyState {
    async fn let_in(
        &mut self,
        myself: &ActorRef<LobbyMessage>,
        page: Page,
    ) -> Result<ActorRef<ForwarderMessage>, String> {
        if self.visitors.len() >= self.limit {
            return Err("there is no room for another visitor, try again later".to_owned());
        }
        let arguments = (page, self.connections.clone());
        let spawned = Actor::spawn_linked(None, Forwarder, arguments, myself.get_cell()).await;
        let (visitor, _) = spawned.map_err(|error| {
            tracing::error!(%error, "cannot start an actor for a visitor");
            "the server cannot start an actor for you".to_owned()
        })?;
        self.visitors.insert(visitor.get_id());
        Ok(visitor)
    }
}
