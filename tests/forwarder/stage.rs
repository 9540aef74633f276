//! Who takes part: members, each one peer of the server with its client, and the server's Forwarder.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::forwarder::{Forwarder, ForwarderBuilder, ForwarderEvent, ForwarderSnapshot};
use ractor_webrtc::jsep::RtpTransceiver;
use ractor_webrtc::perfect_negotiation::{
    NegotiationEvent, PerfectNegotiation, PerfectNegotiationEvent, Politeness, SignalingMessage,
};
use ractor_webrtc::rtp::{PayloadType, RtcpPacket, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
use ractor_webrtc::{
    Event, MediaKind, MediaStreamTrack, PeerConnection, PeerConnectionBuilder, PeerEvent, PeerId,
    TrackId,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;

use crate::common::owner::loopback;
use crate::common::{PATIENCE, eventually};

/// The server: a place in the tree, a Forwarder, and what that has told.
pub(crate) struct Stage {
    /// Of a Forwarder that is its own.
    supervisor: Option<ActorRef<StageMessage>>,
    forwarder: Arc<Mutex<Forwarder>>,
    events: UnboundedReceiver<ForwarderEvent>,
    told: Vec<ForwarderEvent>,
}

/// Somebody with a client. Dropping it ends both of its peers.
pub(crate) struct Member {
    /// The server's peer.
    pub(crate) peer: PeerConnection,
    pub(crate) client: PeerConnection,
    owners: [ActorRef<OwnerMessage>; 2],
    heard: Arc<Mutex<Heard>>,
    name: &'static str,
    /// What its client sends.
    sources: Vec<Source>,
}

/// What the client sends on one track.
pub(crate) struct Source {
    pub(crate) track: MediaStreamTrack,
    next: Arc<Mutex<u16>>,
}

/// What a client hears and sees.
#[derive(Debug, Default)]
struct Heard {
    /// Tracks that are announced now.
    tracks: BTreeMap<TrackId, MediaStreamTrack>,
    /// Packets by stream: number, and what they say.
    packets: BTreeMap<Stream, Vec<(SequenceNumber, String)>>,
    /// How often it was asked for a keyframe.
    keyframes: usize,
}

/// What arrives on a track under one SSRC; an m-line that has paused goes on under another one.
pub(crate) type Stream = (TrackId, u32);

/// Sends a packet every few milliseconds until it is dropped.
pub(crate) struct Playing(JoinHandle<()>);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Stage {
    pub(crate) async fn open(builder: ForwarderBuilder) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let (supervisor, _) = Actor::spawn(None, Supervisor, sender).await.unwrap();
        let forwarder = builder.spawn_linked(&supervisor).await.unwrap();
        Self {
            supervisor: Some(supervisor),
            forwarder: Arc::new(Mutex::new(forwarder)),
            events,
            told: Vec::new(),
        }
    }

    /// Around a Forwarder that is somebody else's, and may be another one later.
    pub(crate) fn around(
        forwarder: Arc<Mutex<Forwarder>>,
        events: UnboundedReceiver<ForwarderEvent>,
    ) -> Self {
        Self {
            supervisor: None,
            forwarder,
            events,
            told: Vec::new(),
        }
    }

    pub(crate) fn forwarder(&self) -> Forwarder {
        self.forwarder.lock().unwrap().clone()
    }

    pub(crate) fn supervisor(&self) -> &ActorRef<StageMessage> {
        self.supervisor.as_ref().unwrap()
    }

    /// The actor of the Forwarder.
    pub(crate) fn hub(&self) -> ActorCell {
        self.supervisor().get_children().pop().unwrap()
    }

    /// Kills the Forwarder, and waits until it is gone.
    pub(crate) async fn kill(&self) {
        let hub = self.hub();
        hub.kill();
        hub.wait(None).await.unwrap();
        let what = "the forwarder's parts are gone";
        eventually(PATIENCE, what, async || {
            hub.get_children().is_empty().then_some(())
        })
        .await;
    }

    /// Another one in its place.
    pub(crate) async fn succeed(&self, builder: ForwarderBuilder) {
        let former = self.forwarder();
        let next = builder.succeeding(&former).spawn_linked(self.supervisor());
        *self.forwarder.lock().unwrap() = next.await.unwrap();
    }

    /// A member whose client sends these; the client offers, and is answered with what is published already.
    pub(crate) async fn join(&self, name: &'static str, kinds: &[MediaKind]) -> Member {
        let member = self.arrive(name, loopback(), loopback()).await;
        self.forwarder().add_peer(&member.peer).await.unwrap();
        let mut member = member;
        member.publish(kinds).await;
        member
    }

    /// A member that is not added yet.
    pub(crate) async fn arrive(
        &self,
        name: &'static str,
        server: PeerConnectionBuilder,
        client: PeerConnectionBuilder,
    ) -> Member {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let lines = [Arc::default(), Arc::default()];
        let [to_server, to_client]: &[Arc<OnceLock<PerfectNegotiation>>; 2] = &lines;
        let server = OwnerArguments {
            builder: server,
            politeness: Politeness::Impolite,
            myself: Arc::clone(to_server),
            remote: Arc::clone(to_client),
            ears: Ears::Server(Arc::clone(&self.forwarder)),
        };
        let client = OwnerArguments {
            builder: client,
            politeness: Politeness::Polite,
            myself: Arc::clone(to_client),
            remote: Arc::clone(to_server),
            ears: Ears::Client(Arc::clone(&heard)),
        };
        let (server, peer) = server.spawn().await;
        let (client_owner, client) = client.spawn().await;
        Member {
            peer,
            client,
            owners: [server, client_owner],
            heard,
            name,
            sources: Vec::new(),
        }
    }

    /// Waits for the event that `pick` wants; those before it are kept.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&ForwarderEvent) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let event = self.events.recv().await.unwrap();
                let found = pick(&event);
                self.told.push(event);
                if let Some(found) = found {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
    }

    /// All that was told since it was asked last.
    pub(crate) fn told(&mut self) -> Vec<ForwarderEvent> {
        while let Ok(event) = self.events.try_recv() {
            self.told.push(event);
        }
        std::mem::take(&mut self.told)
    }

    /// Without the rates of what arrives, which are others each time.
    pub(crate) async fn snapshot(&self) -> ForwarderSnapshot {
        let mut snapshot = self.forwarder().snapshot().await.unwrap();
        for publication in &mut snapshot.publications {
            publication.layers.clear();
        }
        snapshot
    }

    /// The publication that a track of a member's client has become.
    pub(crate) async fn publication(&self, publisher: &Member, kind: MediaKind) -> TrackId {
        let what = "the track is published";
        eventually(PATIENCE, what, async || {
            let snapshot = self.snapshot().await;
            let mut publications = snapshot.publications.iter().map(|it| &it.publication);
            let found = publications
                .find(|it| it.publisher == publisher.peer.id() && it.track.kind() == kind);
            found.map(|it| it.track.id())
        })
        .await
    }

    /// How many parts of the Forwarder there are.
    pub(crate) fn parts(&self) -> usize {
        self.hub().get_children().len()
    }
}

impl Member {
    pub(crate) fn id(&self) -> PeerId {
        self.peer.id()
    }

    /// Its client begins to send these.
    pub(crate) async fn publish(&mut self, kinds: &[MediaKind]) {
        let stream = MediaStreamTrack::generate_stream_id();
        for kind in kinds {
            let track = MediaStreamTrack::new(*kind, [stream.clone()]);
            self.client.add_track(&track).await.unwrap();
            let next = Arc::new(Mutex::new(1_000 + 10_000 * self.sources.len() as u16));
            self.sources.push(Source { track, next });
        }
    }

    /// Its client sends one of these no more.
    pub(crate) async fn take_back(&mut self, kind: MediaKind) {
        let index = self.sources.iter().position(|it| it.track.kind() == kind);
        let source = self.sources.remove(index.unwrap());
        let senders = self.client.senders().await.unwrap();
        let has = |track: Option<&MediaStreamTrack>| track.map(MediaStreamTrack::id);
        let of_source = senders
            .iter()
            .find(|it| has(it.track()) == Some(source.track.id()));
        self.client
            .remove_track(of_source.unwrap().id())
            .await
            .unwrap();
    }

    /// Its client sends on its first track of this kind, until the answer is dropped.
    pub(crate) fn play(&self, kind: MediaKind) -> Playing {
        self.play_as(match kind {
            MediaKind::Audio => Coding::Opus,
            MediaKind::Video => Coding::Vp8,
        })
    }

    /// The same in this coding.
    pub(crate) fn play_as(&self, coding: Coding) -> Playing {
        let of_kind = |it: &&Source| it.track.kind() == coding.kind();
        let source = self.sources.iter().find(of_kind).unwrap();
        let (client, track) = (self.client.clone(), source.track.clone());
        let (next, name) = (Arc::clone(&source.next), self.name);
        let heard = Arc::clone(&self.heard);
        let mut answered = None;
        Playing(tokio::spawn(async move {
            loop {
                let number = {
                    let mut next = next.lock().unwrap();
                    *next = next.wrapping_add(1);
                    *next
                };
                // As encoders do it: a keyframe at the beginning, and when it is asked for.
                let asked = Some(heard.lock().unwrap().keyframes);
                let packet = coding.packet(number, name, answered != asked);
                answered = asked;
                // Not connected yet, or no more.
                let _refused = client.send_rtp(track.id(), packet);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }))
    }

    /// Waits until its client gets something new from `name`, of this kind; in which stream.
    pub(crate) async fn gets(&self, name: &str, kind: MediaKind) -> Stream {
        let before = self.count(name, kind);
        let what = format!("{} gets {kind} from {name}", self.name);
        eventually(PATIENCE, &what, async || {
            (self.count(name, kind) > before + 3).then_some(())
        })
        .await;
        let heard = self.heard.lock().unwrap();
        let mut streams = heard.packets.iter();
        let from = |said: &str| said.split(' ').next() == Some(name);
        let last = streams.find(|(id, packets)| {
            heard.kind(**id) == Some(kind) && packets.last().is_some_and(|(_, said)| from(said))
        });
        *last.unwrap().0
    }

    /// How much its client has got from `name`, of this kind.
    pub(crate) fn count(&self, name: &str, kind: MediaKind) -> usize {
        let heard = self.heard.lock().unwrap();
        let of_kind = heard
            .packets
            .iter()
            .filter(|(id, _)| heard.kind(**id) == Some(kind));
        let packets = of_kind.flat_map(|(_, packets)| packets);
        packets
            .filter(|(_, said)| said.split(' ').next() == Some(name))
            .count()
    }

    /// How often its client was asked for a keyframe.
    pub(crate) fn keyframes(&self) -> usize {
        self.heard.lock().unwrap().keyframes
    }

    /// Waits until its client knows so many tracks that it is sent.
    pub(crate) async fn knows(&self, tracks: usize) {
        let what = format!("{} knows {tracks} tracks", self.name);
        eventually(PATIENCE, &what, async || {
            (self.heard.lock().unwrap().tracks.len() == tracks).then_some(())
        })
        .await;
    }

    /// The streams that its client sees, each with the kinds of its tracks.
    pub(crate) fn streams(&self) -> BTreeMap<String, BTreeSet<&'static str>> {
        let mut streams = BTreeMap::<_, BTreeSet<_>>::new();
        for track in self.heard.lock().unwrap().tracks.values() {
            let [stream] = track.streams() else {
                panic!("{track:?}");
            };
            let kinds = streams.entry(stream.to_string()).or_default();
            kinds.insert(track.kind().as_str());
        }
        streams
    }

    /// Its client has got no number twice and missed none, in any stream.
    pub(crate) fn has_missed_nothing(&self) {
        let heard = self.heard.lock().unwrap();
        for ((track, _), packets) in &heard.packets {
            for pair in packets.windows(2) {
                let [(before, earlier), (after, later)] = pair else {
                    unreachable!("windows of two")
                };
                let expected = before.0.wrapping_add(1);
                let name = self.name;
                assert_eq!(after.0, expected, "{name}, {track}: {earlier:?}, {later:?}");
            }
        }
    }

    pub(crate) async fn transceivers(&self) -> Vec<RtpTransceiver> {
        self.peer.transceivers().await.unwrap()
    }

    /// The local tracks of the server's peer.
    pub(crate) async fn sent_tracks(&self) -> Vec<TrackId> {
        let senders = self.peer.senders().await.unwrap();
        let tracks = senders.iter().filter_map(|it| it.track());
        tracks.map(MediaStreamTrack::id).collect()
    }

    /// The actor of the server's peer: started before its negotiator.
    pub(crate) fn actor(&self) -> ActorCell {
        let children = self.owner().get_children().into_iter();
        children.min_by_key(ActorCell::get_id).unwrap()
    }

    /// The owner of the server's peer.
    pub(crate) fn owner(&self) -> &ActorRef<OwnerMessage> {
        &self.owners[0]
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        for owner in &self.owners {
            owner.stop(None);
        }
    }
}

impl Heard {
    fn kind(&self, stream: Stream) -> Option<MediaKind> {
        // Muted ones are no longer announced, and have said what they have said.
        let packets = self.packets.get(&stream)?;
        let (_, said) = packets.first()?;
        let kinds = [MediaKind::Audio, MediaKind::Video];
        kinds.into_iter().find(|kind| said.ends_with(kind.as_str()))
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Track(track) => {
                self.tracks.insert(track.id(), track);
            }
            Event::TrackMuted(track) | Event::TrackEnded(track) => {
                self.tracks.remove(&track);
            }
            Event::Rtp {
                track_id, packets, ..
            } => {
                for packet in packets.iter() {
                    let said = Coding::said(packet.payload());
                    let stream = (track_id, packet.ssrc().0);
                    let heard = self.packets.entry(stream).or_default();
                    heard.push((packet.sequence_number(), said));
                }
            }
            Event::Rtcp { packets, .. } => {
                let asks = |it: &&RtcpPacket| {
                    matches!(
                        it,
                        RtcpPacket::PictureLossIndication(_) | RtcpPacket::FullIntraRequest(_)
                    )
                };
                self.keyframes += packets.iter().filter(asks).count();
            }
            _ => {}
        }
    }
}

/// What a client sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coding {
    Opus,
    Vp8,
    H264,
}

impl Coding {
    fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::Vp8 | Self::H264 => MediaKind::Video,
        }
    }

    fn payload_type(self) -> PayloadType {
        let number = match self {
            Self::Opus => 111,
            Self::Vp8 => 96,
            Self::H264 => 108,
        };
        PayloadType::new(number).unwrap()
    }

    /// What a packet begins with; a route lets no video through before a keyframe.
    fn mark(self, is_keyframe: bool) -> &'static [u8] {
        match (self, is_keyframe) {
            (Self::Opus, _) => &[0xff],
            (Self::Vp8, true) => &[0x10, 0],
            (Self::Vp8, false) => &[0x10, 1],
            (Self::H264, true) => &[0x67],
            (Self::H264, false) => &[0x61],
        }
    }

    fn packet(self, number: u16, name: &str, is_keyframe: bool) -> RtpPacket {
        let ticks = match self.kind() {
            MediaKind::Audio => 240,
            MediaKind::Video => 450,
        };
        let said = format!("{name} {number} {}", self.kind());
        RtpPacket::new(
            self.payload_type(),
            SequenceNumber(number),
            RtpTimestamp(u32::from(number).wrapping_mul(ticks)),
            Ssrc(1),
            true,
            [self.mark(is_keyframe), said.as_bytes()].concat(),
        )
    }

    /// What a payload says behind its mark.
    fn said(payload: &[u8]) -> String {
        let marked = [Self::Opus, Self::Vp8, Self::H264].map(|it| [it.mark(true), it.mark(false)]);
        let mut marks = marked.iter().flatten();
        let said = marks.find_map(|mark| payload.strip_prefix(*mark));
        String::from_utf8_lossy(said.unwrap()).into_owned()
    }
}

/// Owner of the Forwarder, and no more.
struct Supervisor;

pub(crate) struct StageMessage(pub(crate) ForwarderEvent);

impl From<ForwarderEvent> for StageMessage {
    fn from(event: ForwarderEvent) -> Self {
        Self(event)
    }
}

impl Actor for Supervisor {
    type Msg = StageMessage;
    type State = UnboundedSender<ForwarderEvent>;
    type Arguments = UnboundedSender<ForwarderEvent>;

    async fn pre_start(
        &self,
        _: ActorRef<StageMessage>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _: ActorRef<StageMessage>,
        StageMessage(event): StageMessage,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // The test may be over.
        let _over = events.send(event);
        Ok(())
    }

    /// The test decides who succeeds a Forwarder.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<StageMessage>,
        _: SupervisionEvent,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// Owner of one peer connection and its negotiator.
struct Owner;

struct OwnerArguments {
    builder: PeerConnectionBuilder,
    politeness: Politeness,
    myself: Arc<OnceLock<PerfectNegotiation>>,
    remote: Arc<OnceLock<PerfectNegotiation>>,
    ears: Ears,
}

/// Who gets the events.
enum Ears {
    Server(Arc<Mutex<Forwarder>>),
    Client(Arc<Mutex<Heard>>),
}

struct OwnerState {
    peer: PeerConnection,
    negotiation: PerfectNegotiation,
    remote: Arc<OnceLock<PerfectNegotiation>>,
    ears: Ears,
}

pub(crate) enum OwnerMessage {
    Peer(PeerEvent),
    Negotiation(PerfectNegotiationEvent),
    GivePeer(UnboundedSender<PeerConnection>),
}

impl From<PeerEvent> for OwnerMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

impl From<PerfectNegotiationEvent> for OwnerMessage {
    fn from(event: PerfectNegotiationEvent) -> Self {
        Self::Negotiation(event)
    }
}

impl OwnerArguments {
    async fn spawn(self) -> (ActorRef<OwnerMessage>, PeerConnection) {
        let (owner, _) = Actor::spawn(None, Owner, self).await.unwrap();
        let (sender, mut peers) = mpsc::unbounded_channel();
        owner.cast(OwnerMessage::GivePeer(sender)).unwrap();
        let peer = peers.recv().await.unwrap();
        (owner, peer)
    }
}

impl Actor for Owner {
    type Msg = OwnerMessage;
    type State = OwnerState;
    type Arguments = OwnerArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<OwnerMessage>,
        arguments: OwnerArguments,
    ) -> Result<OwnerState, ActorProcessingErr> {
        let peer = arguments.builder.spawn_linked(&myself).await?;
        let politeness = arguments.politeness;
        let negotiation = PerfectNegotiation::spawn_linked(&peer, politeness, &myself).await?;
        arguments.myself.set(negotiation.clone()).unwrap();
        Ok(OwnerState {
            peer,
            negotiation,
            remote: arguments.remote,
            ears: arguments.ears,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<OwnerMessage>,
        message: OwnerMessage,
        state: &mut OwnerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            OwnerMessage::Peer(event) => {
                state.negotiation.handle_event(&event);
                match &state.ears {
                    Ears::Server(forwarder) => forwarder.lock().unwrap().handle_event(&event),
                    Ears::Client(heard) => heard.lock().unwrap().hear(event.event),
                }
            }
            OwnerMessage::Negotiation(event) => match event.event {
                NegotiationEvent::Send(message) => state.send(message),
                NegotiationEvent::Failed(error) => panic!("{}: {error:?}", event.peer),
                _ => {}
            },
            OwnerMessage::GivePeer(to) => to.send(state.peer.clone())?,
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<OwnerMessage>,
        _: SupervisionEvent,
        _: &mut OwnerState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

impl OwnerState {
    /// Nothing is to be said before both are there.
    fn send(&self, message: SignalingMessage) {
        self.remote.get().unwrap().receive(message);
    }
}
