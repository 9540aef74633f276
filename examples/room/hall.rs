//! The supervisor of room and visitors.

use std::collections::HashSet;

use ractor::rpc::CallResult;
use ractor::{
    Actor, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, SupervisionEvent,
};
use ractor_webrtc::room::{Room, RoomEvent, RoomLimits, RoomNews};
use ractor_webrtc::signaling::websocket::{Door, Goodbye};
use ractor_webrtc::{StartError, UdpEndpoint};

use super::common::arguments::Arguments;
use super::visitor::{Arrival, Page, PageNews, PageRequest, Visitor, VisitorMessage};

/// Handle to the running hall.
#[derive(Clone, Debug)]
pub(crate) struct Hall {
    actor: ActorRef<HallMessage>,
}

impl Hall {
    /// Opens the hall with an empty room, and the shared UDP port if the arguments name one.
    pub(crate) async fn open(arguments: Arguments) -> Result<Self, ActorProcessingErr> {
        match Actor::spawn(None, HallActor, arguments).await {
            Ok((actor, _)) => Ok(Self { actor }),
            // What `pre_start` said, without the actor around it.
            Err(SpawnErr::StartupFailed(error)) => Err(error),
            Err(error) => Err(error.into()),
        }
    }

    /// The room that is open now.
    pub(crate) async fn room(&self) -> Option<Room> {
        let question = |reply| HallMessage::Room { reply };
        match self.actor.call(question, None).await {
            Ok(CallResult::Success(room)) => Some(room),
            _ => None,
        }
    }

    /// Ends every visit, and waits until all is gone.
    pub(crate) async fn close(&self) {
        // It may have stopped before; that is what we want.
        let _stopped = self.actor.stop_and_wait(None, None).await;
    }
}

impl Door for Hall {
    type Incoming = PageRequest;
    type Outgoing = PageNews;
    type Message = VisitorMessage;

    async fn enter(&self, page: Page) -> Result<ActorRef<VisitorMessage>, Goodbye> {
        let question = |reply| HallMessage::Enter { page, reply };
        match self.actor.call(question, None).await {
            Ok(CallResult::Success(answer)) => answer.map_err(Goodbye::try_again),
            _ => Err(Goodbye::try_again("the server is closing")),
        }
    }

    fn complain(&self, nonsense: &serde_json::Error) -> Option<PageNews> {
        Some(PageNews::Error(format!(
            "that is not understood: {nonsense}"
        )))
    }
}

pub(crate) enum HallMessage {
    /// A page has opened its WebSocket.
    Enter {
        page: Page,
        reply: RpcReplyPort<Result<ActorRef<VisitorMessage>, String>>,
    },
    /// Which room is open.
    Room { reply: RpcReplyPort<Room> },
    /// Something has happened in a room.
    News(RoomNews),
}

impl From<RoomNews> for HallMessage {
    fn from(news: RoomNews) -> Self {
        Self::News(news)
    }
}

struct HallActor;

struct HallState {
    arguments: Arguments,
    endpoint: Option<UdpEndpoint>,
    room: Room,
    visitors: HashSet<ActorId>,
}

impl Actor for HallActor {
    type Msg = HallMessage;
    type State = HallState;
    type Arguments = Arguments;

    async fn pre_start(
        &self,
        myself: ActorRef<HallMessage>,
        arguments: Arguments,
    ) -> Result<HallState, ActorProcessingErr> {
        let endpoint = arguments.endpoint(myself.get_cell()).await?;
        Ok(HallState {
            room: open_room(&arguments, endpoint.as_ref(), &myself).await?,
            arguments,
            endpoint,
            visitors: HashSet::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<HallMessage>,
        message: HallMessage,
        state: &mut HallState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            HallMessage::Enter { page, reply } => {
                let visitor = state.let_in(&myself, page).await;
                // The page may have gone while we were busy: then nobody will ever stop its actor.
                if let Err(ractor::MessagingErr::SendErr(Ok(visitor))) = reply.send(visitor) {
                    visitor.stop(None);
                }
            }
            HallMessage::Room { reply } => {
                let _gone = reply.send(state.room.clone());
            }
            HallMessage::News(RoomNews { room, event, .. }) => {
                tracing::info!(?event, "news");
                // Its visitors have been sent out, and their pages come again by themselves.
                if matches!(event, RoomEvent::Closed { .. }) && room == state.room.id() {
                    let endpoint = state.endpoint.as_ref();
                    state.room = open_room(&state.arguments, endpoint, &myself).await?;
                }
            }
        }
        Ok(())
    }

    /// | child | how it ends | what we do | who notices |
    /// |---|---|---|---|
    /// | `Visitor` | its page left | forget it | nobody; the room tells that the participant left |
    /// | `Visitor` | it failed or panicked | log and forget it | its page, whose socket closes |
    /// | `Room` | it failed | open another when its last news comes | all pages, which join again |
    /// | `UdpEndpoint` | its socket broke | stop: there is no media without it | everybody |
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<HallMessage>,
        event: SupervisionEvent,
        state: &mut HallState,
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
        if !state.visitors.remove(&child)
            && let Some(endpoint) = &state.endpoint
            && endpoint.statistics().await.is_err()
        {
            myself.stop(Some("the UDP endpoint has ended".to_owned()));
        }
        Ok(())
    }
}

async fn open_room(
    arguments: &Arguments,
    endpoint: Option<&UdpEndpoint>,
    owner: &ActorRef<HallMessage>,
) -> Result<Room, StartError> {
    let connections = arguments.connections(endpoint);
    let limits = RoomLimits {
        participants: arguments.visitors,
        ..RoomLimits::default()
    };
    Room::builder()
        .connection(move || connections.clone())
        .limits(limits)
        .spawn_linked(owner)
        .await
}

impl HallState {
    async fn let_in(
        &mut self,
        myself: &ActorRef<HallMessage>,
        page: Page,
    ) -> Result<ActorRef<VisitorMessage>, String> {
        // How many may join is the room's to say; this is for pages that only open sockets.
        if self.visitors.len() >= self.arguments.visitors * 2 {
            return Err("too many pages are open, try again later".to_owned());
        }
        let arrival = Arrival {
            page,
            room: self.room.clone(),
            ice_servers: self.arguments.ice_servers.clone(),
        };
        let spawned = Actor::spawn_linked(None, Visitor, arrival, myself.get_cell()).await;
        let (visitor, _) = spawned.map_err(|error| {
            tracing::error!(%error, "cannot start an actor for a visitor");
            "the server cannot start an actor for you".to_owned()
        })?;
        self.visitors.insert(visitor.get_id());
        Ok(visitor)
    }
}
