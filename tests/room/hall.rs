//! Where a room is: an actor that owns it, and what it has heard.

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::room::{
    ParticipantId, Room, RoomBuilder, RoomCloseReason, RoomEvent, RoomNews, RoomSnapshot,
};
use ractor_webrtc::{PeerConnection, UdpEndpoint};
use tokio::sync::mpsc;

use super::common::owner::{loopback, shared_endpoint};
use super::common::{PATIENCE, eventually};

/// A room with its owner. Dropping it ends both.
pub(crate) struct Hall {
    pub(crate) room: Room,
    pub(crate) owner: ActorRef<RoomNews>,
    news: mpsc::UnboundedReceiver<RoomEvent>,
    socket: ActorRef<()>,
    endpoint: UdpEndpoint,
}

impl Hall {
    /// All participants share a socket.
    pub(crate) async fn open() -> Self {
        Self::open_with(|builder| builder).await
    }

    pub(crate) async fn open_with(settings: impl FnOnce(RoomBuilder) -> RoomBuilder) -> Self {
        Self::open_sharing(|builder, shared| {
            settings(builder.connection(move || loopback().endpoint(shared.clone())))
        })
        .await
    }

    /// The settings say themselves who uses the socket.
    pub(crate) async fn open_sharing(
        settings: impl FnOnce(RoomBuilder, UdpEndpoint) -> RoomBuilder,
    ) -> Self {
        let (socket, endpoint) = shared_endpoint().await;
        let (news, heard) = mpsc::unbounded_channel();
        let (owner, _) = Actor::spawn(None, Owner, news).await.unwrap();
        let room = settings(Room::builder(), endpoint.clone());
        let room = room.spawn_linked(&owner).await.unwrap();
        Self {
            room,
            owner,
            news: heard,
            socket,
            endpoint,
        }
    }

    pub(crate) fn endpoint(&self) -> &UdpEndpoint {
        &self.endpoint
    }

    /// What was told and not read yet.
    pub(crate) fn news(&mut self) -> Vec<RoomEvent> {
        std::iter::from_fn(|| self.news.try_recv().ok()).collect()
    }

    /// Waits for what `pick` wants, and drops what comes before it.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&RoomEvent) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let event = self.news.recv().await;
                let event = event.unwrap_or_else(|| panic!("the owner ended, no {what}"));
                if let Some(found) = pick(&event) {
                    return found;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
    }

    pub(crate) async fn expect_closed(&mut self) -> RoomCloseReason {
        self.expect("end of the room", |event| match event {
            RoomEvent::Closed { reason } => Some(*reason),
            _ => None,
        })
        .await
    }

    pub(crate) async fn snapshot(&self) -> RoomSnapshot {
        self.room.snapshot().await.unwrap()
    }

    pub(crate) async fn present(&self) -> Vec<ParticipantId> {
        let snapshot = self.snapshot().await;
        snapshot.participants.iter().map(|one| one.id).collect()
    }

    /// The peer connections of those who are there.
    pub(crate) async fn connections(&self) -> Vec<PeerConnection> {
        let snapshot = self.snapshot().await;
        let peers: Vec<_> = snapshot.participants.iter().map(|one| one.peer).collect();
        let mut running = PeerConnection::all_running();
        running.retain(|pc| peers.contains(&Some(pc.id())));
        running
    }

    /// Waits until so many tracks are sent to others.
    pub(crate) async fn subscriptions(&self, count: usize) {
        let what = format!("{count} subscriptions");
        eventually(PATIENCE, &what, async || {
            let snapshot = self.snapshot().await;
            let all = snapshot.participants.iter();
            let now: usize = all.map(|one| one.subscriptions.len()).sum();
            (now == count).then_some(())
        })
        .await;
    }

    /// The actor of the room.
    pub(crate) fn cell(&self) -> ActorCell {
        let mut children = self.owner.get_children();
        assert_eq!(children.len(), 1, "the owner has a room");
        children.remove(0)
    }

    /// The children of the room, oldest first: its forwarder, as long as it has not failed, and then the participants in the
    /// order in which they came.
    pub(crate) fn parts(&self) -> Vec<ActorCell> {
        let mut children = self.cell().get_children();
        children.sort_by_key(ActorCell::get_id);
        children
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.owner.stop(None);
        self.socket.stop(None);
    }
}

struct Owner;

impl Actor for Owner {
    type Msg = RoomNews;
    type State = mpsc::UnboundedSender<RoomEvent>;
    type Arguments = mpsc::UnboundedSender<RoomEvent>;

    async fn pre_start(
        &self,
        _: ActorRef<RoomNews>,
        news: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(news)
    }

    async fn handle(
        &self,
        _: ActorRef<RoomNews>,
        news: RoomNews,
        state: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // A test that does not listen any more is no failure.
        let _unheard = state.send(news.event);
        Ok(())
    }

    /// Outlives its room.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<RoomNews>,
        _: SupervisionEvent,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
