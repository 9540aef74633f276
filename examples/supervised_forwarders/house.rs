//! The tree: what is started, by whom, and what happens when it fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use ractor_webrtc::observe::{Observer, TreeSnapshot};
use ractor_webrtc::room::{Room, RoomEvent, RoomLimits, RoomNews};
use ractor_webrtc::signaling::websocket::{Door, Goodbye};
use ractor_webrtc::supervision::{
    Backoff, ChildSpec, Restart, RestartIntensity, Strategy, SupervisorBuilder,
    SupervisorStartError,
};
use ractor_webrtc::udp::UdpEndpointError;
use ractor_webrtc::{Supervisor, UdpEndpoint, UdpEndpointConfiguration};
use tokio::sync::{Mutex, watch};

use super::common::arguments::Arguments;
use super::common::program::Failure;
use super::visitor::{Arrival, Page, PageNews, PageRequest, Visitor, VisitorMessage};

/// The rooms that there are.
pub(crate) const ROOMS: [&str; 2] = ["blue", "green"];

/// Where the endpoint that runs now is found: it is another one after each restart.
type Endpoints = watch::Receiver<Option<UdpEndpoint>>;

/// Handle to the running tree. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct House {
    supervisor: Supervisor,
    observer: Arc<Mutex<Observer>>,
    arguments: Arc<Arguments>,
    /// How many pages have come so far.
    visits: Arc<AtomicU64>,
}

impl House {
    /// Builds the tree, with an empty room for each name.
    pub(crate) async fn build(arguments: Arguments) -> Result<Self, SupervisorStartError> {
        let arguments = Arc::new(arguments);
        let (told, endpoints) = watch::channel(None);
        let settings = Arc::clone(&arguments);
        let supervisor = Supervisor::builder()
            .strategy(Strategy::RestForOne)
            .intensity(OFTEN)
            .child(endpoint(&arguments, told))
            .child(ChildSpec::supervisor("rooms", move || {
                rooms(&settings, &endpoints)
            }))
            .child(ChildSpec::supervisor("pages", Supervisor::builder))
            .spawn()
            .await?;
        let observer = Observer::new()
            .kind::<KeeperMessage>("Keeper")
            .kind::<VisitorMessage>("Visitor");
        Ok(Self {
            supervisor,
            observer: Arc::new(Mutex::new(observer)),
            arguments,
            visits: Arc::default(),
        })
    }

    /// Where pages come into a room.
    pub(crate) fn door(&self, room: &'static str) -> RoomDoor {
        let house = self.clone();
        RoomDoor { house, room }
    }

    /// The tree as it is now.
    pub(crate) async fn look(&self) -> TreeSnapshot {
        let mut observer = self.observer.lock().await;
        observer.look(self.supervisor.clone()).await
    }

    /// Kills an actor of the tree: the hardest end that there is, without a last word. Says whether there is one of that name.
    pub(crate) async fn kill(&self, actor: &str) -> bool {
        let tree = self.look().await;
        let all = tree.all();
        let victim = all.into_iter().find(|it| it.id == actor);
        if let Some(victim) = victim {
            tracing::info!(actor, kind = ?victim.kind, name = ?victim.name, "killed by a page");
            victim.actor.kill();
        }
        victim.is_some()
    }

    /// Ends all of it, the pages first.
    pub(crate) async fn close(&self) {
        self.supervisor.stop().await;
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&self) -> Failure {
        match self.supervisor.ended().await {
            Some(failure) => failure.into(),
            None => "the supervisor was killed".into(),
        }
    }

    /// `None` while it is being started again.
    async fn room(&self, name: &str) -> Option<Room> {
        let rooms = self.supervisor.child_supervisor("rooms").await.ok()??;
        let keeper: ActorRef<KeeperMessage> = rooms.child(name).await.ok()??;
        let question = |reply| KeeperMessage::Room { reply };
        match keeper.call(question, Some(Duration::from_secs(1))).await {
            Ok(CallResult::Success(room)) => Some(room),
            _ => None,
        }
    }

    /// An actor for a page, which ends with it and is not started again.
    async fn receive(&self, arrival: Arrival) -> Option<ActorRef<VisitorMessage>> {
        let pages = self.supervisor.child_supervisor("pages").await.ok()??;
        let number = self.visits.fetch_add(1, Ordering::Relaxed);
        // It starts once.
        let arrival = std::sync::Mutex::new(Some(arrival));
        let visitor = ChildSpec::new(format!("page {number}"), move |supervisor| {
            let arrival = arrival.lock().ok().and_then(|mut it| it.take());
            async move {
                let arrival = arrival.ok_or("a page comes in once")?;
                let started = Actor::spawn_linked(None, Visitor, arrival, supervisor).await?;
                Ok::<_, ActorProcessingErr>(started.0)
            }
        });
        let started = pages.start_child(visitor.restart(Restart::Temporary)).await;
        started.ok().map(Into::into)
    }
}

/// The socket for everybody's media. A port that was named may be taken for a moment after a restart.
fn endpoint(arguments: &Arguments, told: watch::Sender<Option<UdpEndpoint>>) -> ChildSpec {
    let anywhere = (arguments.listen.ip(), 0).into();
    let address = arguments.udp.unwrap_or(anywhere);
    let endpoint = ChildSpec::new("endpoint", move |supervisor| {
        let told = told.clone();
        async move {
            let configuration = UdpEndpointConfiguration::address(address);
            let endpoint = UdpEndpoint::spawn(configuration, supervisor).await?;
            told.send_replace(Some(endpoint.clone()));
            Ok::<_, UdpEndpointError>(endpoint)
        }
    });
    endpoint.backoff(Backoff::new(
        Duration::from_millis(50),
        Duration::from_secs(1),
    ))
}

fn rooms(arguments: &Arc<Arguments>, endpoints: &Endpoints) -> SupervisorBuilder {
    let room = |name: &str| {
        let place = (Arc::clone(arguments), endpoints.clone());
        ChildSpec::actor(name, move || (Keeper, place.clone()))
    };
    let rooms = Supervisor::builder().intensity(OFTEN);
    ROOMS
        .into_iter()
        .map(room)
        .fold(rooms, SupervisorBuilder::child)
}

/// Where one room is.
#[derive(Clone, Debug)]
pub(crate) struct RoomDoor {
    house: House,
    room: &'static str,
}

impl Door for RoomDoor {
    type Incoming = PageRequest;
    type Outgoing = PageNews;
    type Message = VisitorMessage;

    async fn enter(&self, page: Page) -> Result<ActorRef<VisitorMessage>, Goodbye> {
        let later = || Goodbye::try_again("the room is being started again");
        let room = self.house.room(self.room).await.ok_or_else(later)?;
        let arrival = Arrival {
            page,
            room,
            ice_servers: self.house.arguments.ice_servers.clone(),
        };
        self.house.receive(arrival).await.ok_or_else(later)
    }

    fn complain(&self, nonsense: &serde_json::Error) -> Option<PageNews> {
        Some(PageNews::Error(format!(
            "that is not understood: {nonsense}"
        )))
    }
}

/// Owns a room, and fails when it does: its supervisor starts another one, with another room.
struct Keeper;

enum KeeperMessage {
    /// The room itself.
    Room { reply: RpcReplyPort<Room> },
    /// What happens in it.
    News(RoomNews),
}

impl From<RoomNews> for KeeperMessage {
    fn from(news: RoomNews) -> Self {
        Self::News(news)
    }
}

impl Actor for Keeper {
    type Msg = KeeperMessage;
    type State = Room;
    type Arguments = (Arc<Arguments>, Endpoints);

    async fn pre_start(
        &self,
        myself: ActorRef<KeeperMessage>,
        (arguments, endpoints): Self::Arguments,
    ) -> Result<Room, ActorProcessingErr> {
        let endpoint = endpoints.borrow().clone();
        let connections = arguments.connections(endpoint.as_ref());
        let limits = RoomLimits {
            participants: arguments.visitors,
            ..RoomLimits::default()
        };
        let room = Room::builder()
            .connection(move || connections.clone())
            .limits(limits);
        Ok(room.spawn_linked(&myself).await?)
    }

    async fn handle(
        &self,
        _: ActorRef<KeeperMessage>,
        message: KeeperMessage,
        room: &mut Room,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            KeeperMessage::Room { reply } => {
                let _gone = reply.send(room.clone());
                Ok(())
            }
            KeeperMessage::News(RoomNews { event, .. }) => {
                if let RoomEvent::Closed { reason } = event {
                    return Err(format!("the room closed: {reason:?}").into());
                }
                Ok(())
            }
        }
    }
}

/// Who plays with the buttons is no reason to give up.
const OFTEN: RestartIntensity = RestartIntensity::new(20, Duration::from_secs(10));
