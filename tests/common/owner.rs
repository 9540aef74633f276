//! A test's own peers: an owner that passes events to a channel, and what tests do with them.

use std::collections::VecDeque;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::jsep::SessionDescription;
use ractor_webrtc::peer_connection::{
    CloseReason, Event, PeerConnection, PeerConnectionBuilder, PeerConnectionState, PeerEvent,
};
use ractor_webrtc::rtp::{PayloadType, RtcpPacket, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
use ractor_webrtc::track::{MediaKind, MediaStreamTrack, TrackId};
use ractor_webrtc::udp::{UdpEndpoint, UdpEndpointConfiguration};
use tokio::sync::mpsc;

use super::PATIENCE;

/// Passes every event to a channel and outlives its peer.
pub(crate) struct Owner;

impl Actor for Owner {
    type Msg = PeerEvent;
    type State = mpsc::Sender<Event>;
    type Arguments = mpsc::Sender<Event>;

    async fn pre_start(
        &self,
        _myself: ActorRef<PeerEvent>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _myself: ActorRef<PeerEvent>,
        event: PeerEvent,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // A test that reads too little, or no more, is not the peer's concern.
        let _full = events.try_send(event.event);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<PeerEvent>,
        _event: SupervisionEvent,
        _events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// One of our peers, its owner and what it has told.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) peer: PeerConnection,
    /// What it sends.
    pub(crate) audio: MediaStreamTrack,
    pub(crate) video: MediaStreamTrack,
    /// What the remote side has announced.
    pub(crate) remote: Vec<MediaStreamTrack>,
    /// Came with the last packet that [`Ours::expect_rtp`] gave, and is given next.
    heard: VecDeque<(TrackId, RtpPacket)>,
    owner: RunningOwner,
}

/// A running owner; dropping it stops the actor, and with it the peer.
#[derive(Debug)]
pub(crate) struct RunningOwner {
    actor: ActorRef<PeerEvent>,
    events: mpsc::Receiver<Event>,
}

impl RunningOwner {
    pub(crate) async fn spawn() -> Self {
        let (sender, events) = mpsc::channel(EVENT_QUEUE);
        let (actor, _) = Actor::spawn(None, Owner, sender).await.unwrap();
        Self { actor, events }
    }

    /// Ends the actor, and gives what it has heard and nobody has read.
    pub(crate) async fn end(mut self) -> Vec<Event> {
        self.actor.drain().unwrap();
        self.actor.wait(None).await.unwrap();
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// The actor.
    pub(crate) fn actor(&self) -> &ActorRef<PeerEvent> {
        &self.actor
    }
}

impl Drop for RunningOwner {
    fn drop(&mut self) {
        self.actor.stop(None);
    }
}

/// Settings for a machine without a network.
pub(crate) fn loopback() -> PeerConnectionBuilder {
    PeerConnection::builder()
        .include_loopback(true)
        .ip_filter(|ip| ip.is_ipv4() && ip.is_loopback())
}

impl Ours {
    /// A peer that will send one sound and one picture track.
    pub(crate) async fn spawn(builder: PeerConnectionBuilder) -> Self {
        let owner = RunningOwner::spawn().await;
        let supervisor = owner.actor.get_cell();
        Self::spawn_with(builder, owner, supervisor).await
    }

    /// The same with another supervisor than its owner.
    pub(crate) async fn spawn_below(builder: PeerConnectionBuilder, supervisor: ActorCell) -> Self {
        Self::spawn_with(builder, RunningOwner::spawn().await, supervisor).await
    }

    async fn spawn_with(
        builder: PeerConnectionBuilder,
        owner: RunningOwner,
        supervisor: ActorCell,
    ) -> Self {
        let peer = builder.spawn(&owner.actor, supervisor).await.unwrap();
        let stream = MediaStreamTrack::generate_stream_id();
        let [audio, video] = [MediaKind::Audio, MediaKind::Video]
            .map(|kind| MediaStreamTrack::new(kind, [stream.clone()]));
        peer.add_track(&audio).await.unwrap();
        peer.add_track(&video).await.unwrap();
        Self {
            peer,
            audio,
            video,
            remote: Vec::new(),
            heard: VecDeque::new(),
            owner,
        }
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        let event = self.owner.events.recv().await;
        self.note(event.as_ref());
        event
    }

    /// An event that is there already.
    pub(crate) fn try_event(&mut self) -> Option<Event> {
        let event = self.owner.events.try_recv().ok();
        self.note(event.as_ref());
        event
    }

    fn note(&mut self, event: Option<&Event>) {
        if let Some(Event::Track(track)) = event {
            self.remote.push(track.clone());
        }
    }

    /// Waits for the event that `pick` wants and drops those before it.
    ///
    /// # Panics
    ///
    /// When the peer ends, or time runs out, before it comes.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&Event) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let event = self.event().await;
                let event = event.unwrap_or_else(|| panic!("owner ended, no {what}"));
                if let Some(found) = pick(&event) {
                    return found;
                }
                if let Event::Closed { reason } = event {
                    panic!("peer closed ({reason:?}) while waiting for {what}");
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
    }

    /// Waits until the whole connection is in `state`.
    pub(crate) async fn expect_state(&mut self, state: PeerConnectionState) {
        if self.peer.connection_state() == state {
            return;
        }
        let name = format!("connection state {state}");
        self.expect(&name, |event| match event {
            Event::ConnectionStateChange(now) if *now == state => Some(()),
            _ => None,
        })
        .await;
    }

    pub(crate) async fn expect_connected(&mut self) {
        self.expect_state(PeerConnectionState::Connected).await;
    }

    /// Waits until sound and picture of the remote side are announced.
    pub(crate) async fn expect_tracks(&mut self) {
        while self.remote.len() < 2 {
            self.event().await.expect("an owner that runs");
        }
    }

    /// Waits for the last event and tells why the peer ended.
    pub(crate) async fn expect_closed(&mut self) -> CloseReason {
        self.expect("closed", |event| match event {
            Event::Closed { reason } => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// The next packet, of whatever track, with the track's kind.
    pub(crate) async fn expect_rtp(&mut self) -> (MediaKind, RtpPacket) {
        while self.heard.is_empty() {
            let (track_id, packets) = self
                .expect("RTP packet", |event| match event {
                    Event::Rtp {
                        track_id, packets, ..
                    } => Some((*track_id, packets.clone())),
                    _ => None,
                })
                .await;
            self.heard
                .extend(packets.iter().map(|packet| (track_id, packet.clone())));
        }
        let (track_id, packet) = self.heard.pop_front().expect("just filled");
        let track = self.remote.iter().find(|track| track.id() == track_id);
        (track.expect("a track that was announced").kind(), packet)
    }

    /// The first RTCP packet that `pick` wants.
    pub(crate) async fn expect_rtcp<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&RtcpPacket) -> Option<T>,
    ) -> T {
        self.expect(what, |event| match event {
            Event::Rtcp { packets, .. } => packets.iter().find_map(&mut pick),
            _ => None,
        })
        .await
    }

    /// The track that the remote side sends.
    pub(crate) fn remote_track(&self, kind: MediaKind) -> &MediaStreamTrack {
        let mut tracks = self.remote.iter();
        tracks.find(|track| track.kind() == kind).unwrap()
    }

    /// The track that is sent.
    pub(crate) fn local_track(&self, kind: MediaKind) -> &MediaStreamTrack {
        match kind {
            MediaKind::Audio => &self.audio,
            MediaKind::Video => &self.video,
        }
    }

    /// The local description once all candidates are in it.
    pub(crate) async fn gathered(&mut self) -> String {
        self.expect("end of candidates", |event| {
            matches!(event, Event::IceCandidate(None)).then_some(())
        })
        .await;
        self.peer.local_description().await.unwrap().unwrap().sdp
    }

    /// An offer with all candidates, applied here.
    pub(crate) async fn offer(&mut self) -> String {
        self.peer.set_local_description(None).await.unwrap();
        self.gathered().await
    }

    /// The answer to `offer` with all candidates, applied here.
    pub(crate) async fn answer(&mut self, offer: &str) -> String {
        let offer = SessionDescription::offer(offer);
        self.peer.set_remote_description(offer).await.unwrap();
        self.peer.set_local_description(None).await.unwrap();
        self.gathered().await
    }

    /// Takes the answer of the remote side.
    pub(crate) async fn accept_answer(&self, answer: &str) {
        let answer = SessionDescription::answer(answer);
        self.peer.set_remote_description(answer).await.unwrap();
    }

    /// Gives the peer to another owner; what this one has not read is lost to the test.
    pub(crate) async fn change_owner(&mut self, to: RunningOwner) -> RunningOwner {
        self.peer.set_owner(&to.actor).await.unwrap();
        std::mem::replace(&mut self.owner, to)
    }

    /// Its owner.
    pub(crate) fn owner(&self) -> &ActorRef<PeerEvent> {
        &self.owner.actor
    }
}

/// A supervisor that takes no part in the end of its children.
pub(crate) struct Calm;

impl Calm {
    pub(crate) async fn spawn() -> ActorRef<()> {
        Actor::spawn(None, Self, ()).await.unwrap().0
    }
}

impl Actor for Calm {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<()>,
        _: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// Nothing but a place in the tree, and gone when a child fails.
pub(crate) struct Supervisor;

impl Actor for Supervisor {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A socket on loopback for many peers.
pub(crate) async fn shared_endpoint() -> (ActorRef<()>, UdpEndpoint) {
    let (supervisor, _) = Actor::spawn(None, Supervisor, ()).await.unwrap();
    let configuration = UdpEndpointConfiguration::address("127.0.0.1:0".parse().unwrap());
    let endpoint = UdpEndpoint::spawn(configuration, supervisor.get_cell())
        .await
        .unwrap();
    (supervisor, endpoint)
}

/// A packet as an application makes it: the SSRC is not the one that goes out.
pub(crate) fn rtp_packet(
    payload_type: u8,
    sequence_number: u16,
    timestamp: u32,
    marker: bool,
    payload: Vec<u8>,
) -> RtpPacket {
    RtpPacket::new(
        PayloadType::new(payload_type).unwrap(),
        SequenceNumber(sequence_number),
        RtpTimestamp(timestamp),
        Ssrc(0xdead_beef),
        marker,
        payload,
    )
}

/// Events beyond these are lost to the test.
pub(crate) const EVENT_QUEUE: usize = 65_536;
