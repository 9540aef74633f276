//! A peer that may end at any moment, and its owner.

use ractor::{Actor, ActorCell, ActorRef};
use ractor_webrtc::peer_connection::{Event, PeerConnectionState, PeerEvent};
use ractor_webrtc::{
    CloseReason, IceCandidate, MediaKind, MediaStreamTrack, PeerConnection, PeerConnectionBuilder,
    SessionDescription,
};
use tokio::sync::mpsc;

use crate::common::PATIENCE;
use crate::common::owner::{EVENT_QUEUE, Owner, rtp_packet};

/// What went wrong: as a rule somebody has ended.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A peer below its owner, and what that has heard.
pub(crate) struct Side {
    pub(crate) owner: ActorRef<PeerEvent>,
    events: mpsc::Receiver<Event>,
    /// Once it has started.
    pub(crate) peer: Option<PeerConnection>,
}

impl Side {
    /// The owner alone.
    pub(crate) async fn new(root: &ActorRef<()>) -> Self {
        let (heard, events) = mpsc::channel(EVENT_QUEUE);
        let owner = Actor::spawn_linked(None, Owner, heard, root.get_cell());
        Self {
            owner: owner.await.unwrap().0,
            events,
            peer: None,
        }
    }

    /// Starts the peer, which will send sound.
    async fn start(&mut self, builder: PeerConnectionBuilder) -> Result<PeerConnection, Failure> {
        let peer = builder.spawn_linked(&self.owner).await?;
        self.peer = Some(peer.clone());
        let track = MediaStreamTrack::new(MediaKind::Audio, []);
        peer.add_track(&track).await?;
        Ok(peer)
    }

    /// The next event but the last.
    async fn event(&mut self) -> Result<Event, Failure> {
        match self.events.recv().await {
            Some(Event::Closed { reason }) => Err(format!("closed: {reason:?}").into()),
            Some(event) => Ok(event),
            None => Err("the owner has ended".into()),
        }
    }

    /// The local description with all candidates.
    async fn gathered(&mut self) -> Result<String, Failure> {
        while !matches!(self.event().await?, Event::IceCandidate(None)) {}
        let peer = self.peer.as_ref().expect("started");
        let description = peer.local_description().await?;
        Ok(description.ok_or("no description")?.sdp)
    }

    async fn connected(&mut self) -> Result<(), Failure> {
        let peer = self.peer.clone().expect("started");
        loop {
            match peer.connection_state() {
                PeerConnectionState::Connected => return Ok(()),
                PeerConnectionState::Failed => {
                    return Err(format!("the connection failed: {:?}", peer.states()).into());
                }
                _ => drop(self.event().await?),
            }
        }
    }

    /// Sends one packet of sound.
    pub(crate) async fn speak(&self, number: u16) -> Result<(), Failure> {
        let peer = self.peer.as_ref().expect("started");
        let sender = peer.senders().await?.remove(0);
        let track = sender.track().expect("added").id();
        let packet = rtp_packet(OPUS, number, u32::from(number) * 960, true, vec![1; 40]);
        Ok(peer.send_rtp(track, packet)?)
    }

    /// Waits for a packet of the other side.
    pub(crate) async fn hears(&mut self) -> Result<(), Failure> {
        while !matches!(self.event().await?, Event::Rtp { .. }) {}
        Ok(())
    }

    /// Waits for the last event, if the owner is there to hear it.
    ///
    /// # Panics
    ///
    /// When it does not come in time, or something comes after it.
    pub(crate) async fn ends(&mut self) -> Option<CloseReason> {
        let last = async {
            loop {
                match self.events.recv().await? {
                    Event::Closed { reason } => return Some(reason),
                    _ => continue,
                }
            }
        };
        let reason = tokio::time::timeout(PATIENCE, last);
        let reason = reason.await.expect("`Closed` in time")?;
        let later = self.events.try_recv();
        assert!(later.is_err(), "{later:?} after `Closed`");
        Some(reason)
    }

    /// Ends the owner, and the peer with it.
    pub(crate) async fn end(self) {
        self.owner.stop(None);
        let ended = self.owner.wait(Some(PATIENCE)).await;
        ended.expect("the owner ends in time");
    }

    /// All actors of this side.
    pub(crate) fn actors(&self) -> Vec<ActorCell> {
        let mut all = vec![self.owner.get_cell()];
        all.extend(crate::counts::descendants(&self.owner.get_cell()));
        all
    }
}

/// Connects a client to a server, as pages do, but for trickle; a packet passes each way.
pub(crate) async fn connect(
    client: &mut Side,
    server: &mut Side,
    settings: [PeerConnectionBuilder; 2],
) -> Result<(), Failure> {
    let [of_client, of_server] = settings;
    let one = client.start(of_client).await?;
    one.set_local_description(None).await?;
    let offer = SessionDescription::offer(client.gathered().await?);
    let two = server.start(of_server).await?;
    two.set_remote_description(offer).await?;
    two.set_local_description(None).await?;
    let answer = SessionDescription::answer(server.gathered().await?);
    one.set_remote_description(answer).await?;
    one.add_ice_candidate(None::<IceCandidate>).await?;
    client.connected().await?;
    server.connected().await?;
    client.speak(1).await?;
    server.hears().await?;
    server.speak(1).await?;
    client.hears().await
}

/// Payload type of Opus in our offers.
const OPUS: u8 = 111;
