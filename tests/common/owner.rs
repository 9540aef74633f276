//! An owner that passes everything it hears to a channel, and two of them that talk.

use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::{
    Event, MediaKind, MediaStreamTrack, PeerConnection, PeerConnectionBuilder, PeerConnectionState,
    PeerEvent,
};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Long enough for a busy machine, short enough to notice a hang.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Test owner: a supervisor that lets its children end, and a relay of events.
#[derive(Debug)]
pub(crate) struct Relay;

#[derive(Debug)]
pub(crate) struct RelayMessage(PeerEvent);

impl From<PeerEvent> for RelayMessage {
    fn from(event: PeerEvent) -> Self {
        Self(event)
    }
}

impl Actor for Relay {
    type Msg = RelayMessage;
    type State = mpsc::UnboundedSender<Event>;
    type Arguments = mpsc::UnboundedSender<Event>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        RelayMessage(event): Self::Msg,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // A test that has seen enough drops its end.
        let _seen_enough = events.send(event.event);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: SupervisionEvent,
        _events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A peer connection with its owner and the events that the owner hears.
pub(crate) struct Owned {
    pub(crate) pc: PeerConnection,
    pub(crate) owner: ActorRef<RelayMessage>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
}

impl Owned {
    /// A peer on loopback.
    pub(crate) async fn spawn() -> Self {
        Self::with(PeerConnection::builder()).await
    }

    /// A peer as `builder` says, with loopback candidates.
    pub(crate) async fn with(builder: PeerConnectionBuilder) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (owner, _) = Actor::spawn(None, Relay, sender).await.unwrap();
        let pc = builder
            .include_loopback(true)
            .ip_filter(|ip| ip.is_loopback())
            .spawn_linked(&owner)
            .await
            .unwrap();
        Self { pc, owner, events }
    }

    /// The first event for which `pick` has a value; those before it are lost.
    pub(crate) async fn next<T>(&mut self, pick: impl Fn(Event) -> Option<T>) -> T {
        let found = async {
            loop {
                let event = self.events.recv().await.expect("the owner lives");
                if let Some(value) = pick(event) {
                    return value;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("the event comes")
    }

    /// Waits for this state of the connection.
    pub(crate) async fn reaches(&mut self, state: PeerConnectionState) {
        self.next(|event| match event {
            Event::ConnectionStateChange(now) if now == state => Some(()),
            _ => None,
        })
        .await;
    }

    /// Adds a track to be sent.
    pub(crate) async fn add(&self, kind: MediaKind) -> MediaStreamTrack {
        let track = MediaStreamTrack::new(kind, [MediaStreamTrack::generate_stream_id()]);
        self.pc.add_track(&track).await.unwrap();
        track
    }

    /// Waits until all local candidates are known.
    pub(crate) async fn gathered(&mut self) {
        self.next(|event| matches!(event, Event::IceCandidate(None)).then_some(()))
            .await;
    }
}

/// One exchange of offer and answer, with all candidates in the descriptions.
pub(crate) async fn negotiate(offerer: &mut Owned, answerer: &mut Owned) {
    let first = offerer.pc.local_description().await.unwrap().is_none();
    offerer.pc.set_local_description(None).await.unwrap();
    if first {
        offerer.gathered().await;
    }
    let offer = offerer.pc.local_description().await.unwrap().unwrap();
    let first = answerer.pc.local_description().await.unwrap().is_none();
    answerer.pc.set_remote_description(offer).await.unwrap();
    answerer.pc.set_local_description(None).await.unwrap();
    if first {
        answerer.gathered().await;
    }
    let answer = answerer.pc.local_description().await.unwrap().unwrap();
    offerer.pc.set_remote_description(answer).await.unwrap();
}

/// Two of ours, connected, with one track of each kind from the first to the second.
pub(crate) async fn connected_pair() -> (Owned, Owned, [MediaStreamTrack; 2]) {
    let (mut one, mut two) = (Owned::spawn().await, Owned::spawn().await);
    let tracks = [one.add(MediaKind::Audio).await, one.add(MediaKind::Video).await];
    negotiate(&mut one, &mut two).await;
    one.reaches(PeerConnectionState::Connected).await;
    two.reaches(PeerConnectionState::Connected).await;
    (one, two, tracks)
}
