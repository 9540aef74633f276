//! A page: a peer connection with a polite negotiator, and the listener of its participant, in one actor.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::jsep::SdpType;
use ractor_webrtc::perfect_negotiation::{
    NegotiationEvent, PerfectNegotiationError, PerfectNegotiationEvent, SignalingMessage,
};
use ractor_webrtc::room::{
    JoinError, JoinRequest, LeaveReason, Participant, ParticipantEvent, ParticipantId, Room,
    RoomEvent,
};
use ractor_webrtc::rtp::{AudioLevel, PayloadType, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
use ractor_webrtc::{
    Event, MediaKind, MediaStreamTrack, PeerConnection, PeerConnectionState, PeerEvent,
    PerfectNegotiation, Politeness, StreamId, TrackId,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::common::link::Link;
use super::common::owner::loopback;
use super::common::{PATIENCE, eventually};

/// A page that has joined. Dropping it ends it, as a closed tab does.
pub(crate) struct Page {
    pub(crate) participant: Participant,
    pub(crate) pc: PeerConnection,
    pub(crate) actor: ActorRef<PageMessage>,
    pub(crate) signalling: Arc<Signalling>,
    events: mpsc::UnboundedReceiver<PageEvent>,
    /// What it has heard of the room.
    pub(crate) heard: Vec<RoomEvent>,
    /// What its negotiator could not apply.
    pub(crate) failures: Vec<PerfectNegotiationError>,
    /// Packets by the stream that they came on, by kind.
    received: HashMap<(String, MediaKind), usize>,
    /// What has come from each camera or microphone.
    arrivals: HashMap<u32, Arrivals>,
    /// Where each remote track belongs.
    streams: HashMap<TrackId, (String, MediaKind)>,
    cameras: Vec<JoinHandle<()>>,
    sources: Vec<u32>,
}

/// The packets of one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrivals {
    first: u32,
    last: u32,
    pub(crate) count: u32,
    /// When the last of them came.
    pub(crate) at: Instant,
}

impl Arrivals {
    /// Of those between the first and the last.
    pub(crate) fn lost(&self) -> u32 {
        self.last - self.first + 1 - self.count
    }
}

/// How a page begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct PageOptions {
    /// What its first offer has.
    pub(crate) tracks: Vec<MediaStreamTrack>,
    /// All its media goes this way; its side is b.
    pub(crate) link: Option<Arc<Link>>,
}

/// What passed between the two sides.
#[derive(Debug, Default)]
pub(crate) struct Signalling {
    /// Offers that the room made.
    pub(crate) offers_of_room: AtomicUsize,
    /// Offers that the page made.
    pub(crate) offers_of_page: AtomicUsize,
}

/// What a page hears.
#[derive(Debug)]
pub(crate) enum PageEvent {
    Room(RoomEvent),
    Closed(LeaveReason),
    Peer(Event),
    Failed(PerfectNegotiationError),
}

#[derive(Debug)]
pub(crate) enum PageMessage {
    Room(ParticipantEvent),
    Peer(PeerEvent),
    Negotiation(PerfectNegotiationEvent),
}

impl From<ParticipantEvent> for PageMessage {
    fn from(event: ParticipantEvent) -> Self {
        Self::Room(event)
    }
}

impl From<PeerEvent> for PageMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

impl From<PerfectNegotiationEvent> for PageMessage {
    fn from(event: PerfectNegotiationEvent) -> Self {
        Self::Negotiation(event)
    }
}

impl Page {
    /// Joins with sound and pictures, in the page's first offer.
    pub(crate) async fn join(room: &Room, name: &str) -> Self {
        let stream = MediaStreamTrack::generate_stream_id();
        let kinds = [MediaKind::Audio, MediaKind::Video];
        let tracks = kinds.map(|kind| MediaStreamTrack::new(kind, [stream.clone()]));
        Self::join_with(room, JoinRequest::new(name), &tracks).await
    }

    /// Joins with these tracks, in the page's first offer.
    pub(crate) async fn join_with(
        room: &Room,
        request: JoinRequest,
        tracks: &[MediaStreamTrack],
    ) -> Self {
        let options = PageOptions {
            tracks: tracks.to_vec(),
            link: None,
        };
        let mut page = Self::try_join(room, request, options).await.unwrap();
        for track in tracks {
            page.film(track, LOUD);
        }
        page
    }

    /// Joins and says nothing.
    pub(crate) async fn join_silently(room: &Room, request: JoinRequest) -> Self {
        Self::join_with(room, request, &[]).await
    }

    pub(crate) async fn try_join(
        room: &Room,
        request: JoinRequest,
        options: PageOptions,
    ) -> Result<Self, JoinError> {
        let (events, heard) = mpsc::unbounded_channel();
        let (started, starts) = oneshot::channel();
        let signalling = Arc::<Signalling>::default();
        let arguments = PageArguments {
            room: room.clone(),
            request,
            options,
            events,
            started,
            signalling: Arc::clone(&signalling),
        };
        let (actor, _) = Actor::spawn(None, PageActor, arguments).await.unwrap();
        let (participant, pc) = starts.await.unwrap()?;
        Ok(Self {
            participant,
            pc,
            actor,
            signalling,
            events: heard,
            heard: Vec::new(),
            failures: Vec::new(),
            received: HashMap::new(),
            arrivals: HashMap::new(),
            streams: HashMap::new(),
            cameras: Vec::new(),
            sources: Vec::new(),
        })
    }

    pub(crate) fn id(&self) -> ParticipantId {
        self.participant.id()
    }

    /// Sends one track of each of these kinds, on one stream, and media on each.
    pub(crate) async fn publish(
        &mut self,
        kinds: &[MediaKind],
    ) -> (StreamId, Vec<MediaStreamTrack>) {
        let stream = MediaStreamTrack::generate_stream_id();
        let mut tracks = Vec::new();
        for kind in kinds {
            let track = MediaStreamTrack::new(*kind, [stream.clone()]);
            self.pc.add_track(&track).await.unwrap();
            self.film(&track, LOUD);
            tracks.push(track);
        }
        (stream, tracks)
    }

    /// Sends a packet each fiftieth of a second, on a track that it has.
    pub(crate) fn film(&mut self, track: &MediaStreamTrack, level: i8) {
        self.film_every(Duration::from_millis(20), track, level);
    }

    /// Sends a packet each time that so much has passed.
    pub(crate) fn film_every(&mut self, pause: Duration, track: &MediaStreamTrack, level: i8) {
        let (pc, track) = (self.pc.clone(), track.clone());
        let source = NEXT_SOURCE.fetch_add(1, Ordering::Relaxed);
        self.sources.push(source);
        self.cameras.push(tokio::spawn(async move {
            for number in 0.. {
                let packet = packet(track.kind(), source, number, level);
                if pc.send_rtp(track.id(), packet).is_err() {
                    return;
                }
                tokio::time::sleep(pause).await;
            }
        }));
    }

    /// Sends no more, though its tracks stay.
    pub(crate) fn stop_filming(&mut self) {
        self.cameras.drain(..).for_each(|camera| camera.abort());
    }

    /// Takes everything that is there already.
    pub(crate) fn catch_up(&mut self) -> Option<LeaveReason> {
        let mut closed = None;
        while let Ok(event) = self.events.try_recv() {
            self.note(&event);
            if let PageEvent::Closed(reason) = event {
                closed = Some(reason);
            }
        }
        closed
    }

    /// Keeps nothing of what it has heard but failures.
    pub(crate) fn forget(&mut self) {
        self.catch_up();
        self.heard.clear();
        self.received.clear();
    }

    fn note(&mut self, event: &PageEvent) {
        match event {
            PageEvent::Room(event) => self.heard.push(event.clone()),
            PageEvent::Failed(error) => self.failures.push(error.clone()),
            PageEvent::Peer(Event::Track(track)) => {
                let stream = track.streams().first().map(ToString::to_string);
                let place = (stream.unwrap_or_default(), track.kind());
                self.streams.insert(track.id(), place);
            }
            PageEvent::Peer(Event::Rtp {
                track_id, packets, ..
            }) => {
                let place = self.streams.get(track_id).expect("a track that was told");
                *self.received.entry(place.clone()).or_default() += packets.len();
                for packet in packets.iter() {
                    self.note_arrival(packet.payload());
                }
            }
            _ => {}
        }
    }

    fn note_arrival(&mut self, payload: &[u8]) {
        let (source, number) = said(payload);
        let now = Instant::now();
        let arrivals = self.arrivals.entry(source).or_insert(Arrivals {
            first: number,
            last: number,
            count: 0,
            at: now,
        });
        arrivals.first = arrivals.first.min(number);
        arrivals.last = arrivals.last.max(number);
        arrivals.count += 1;
        arrivals.at = now;
    }

    /// What has come from what others send, by [`source`](Self::sources).
    pub(crate) fn arrivals(&mut self) -> &HashMap<u32, Arrivals> {
        self.catch_up();
        &self.arrivals
    }

    /// Counts anew.
    pub(crate) fn forget_arrivals(&mut self) {
        self.catch_up();
        self.arrivals.clear();
    }

    /// The names of what it films and records, as others get them.
    pub(crate) fn sources(&self) -> &[u32] {
        &self.sources
    }

    /// Waits for what `pick` wants.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&PageEvent) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let event = self.events.recv().await;
                let event = event.unwrap_or_else(|| panic!("the page ended, no {what}"));
                let found = pick(&event);
                self.note(&event);
                if let Some(found) = found {
                    return found;
                }
                let closed = matches!(event, PageEvent::Closed(_));
                assert!(!closed, "{event:?} while waiting for {what}");
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("no {what} within {PATIENCE:?}"))
    }

    /// Waits for news of the room, of before or to come.
    pub(crate) async fn hears(
        &mut self,
        what: &str,
        wanted: impl Fn(&RoomEvent) -> bool,
    ) -> RoomEvent {
        if let Some(heard) = self.heard.iter().find(|event| wanted(event)) {
            return heard.clone();
        }
        self.expect(what, |event| match event {
            PageEvent::Room(event) if wanted(event) => Some(event.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn expect_closed(&mut self) -> LeaveReason {
        self.expect("end", |event| match event {
            PageEvent::Closed(reason) => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn expect_connected(&mut self) {
        if self.pc.connection_state() == PeerConnectionState::Connected {
            return;
        }
        self.expect("connection", |event| match event {
            PageEvent::Peer(Event::ConnectionStateChange(PeerConnectionState::Connected)) => {
                Some(())
            }
            _ => None,
        })
        .await;
    }

    /// The streams on which others publish, as this page has been told.
    pub(crate) fn published_by(&self, other: ParticipantId) -> HashSet<(String, MediaKind)> {
        let mut all = HashMap::new();
        for event in &self.heard {
            match event {
                RoomEvent::Published {
                    participant,
                    publication,
                    stream,
                    kind,
                    ..
                } if *participant == other => {
                    all.insert(*publication, (stream.to_string(), *kind));
                }
                RoomEvent::Unpublished { publication, .. } => {
                    all.remove(publication);
                }
                _ => {}
            }
        }
        all.into_values().collect()
    }

    /// Waits until media of both kinds comes from the other, on the streams that it was told to be the other's.
    pub(crate) async fn receives(&mut self, other: ParticipantId) {
        let kinds = [MediaKind::Audio, MediaKind::Video];
        self.receives_kinds(other, &kinds).await;
    }

    /// The same for these kinds. Packets of before do not count.
    pub(crate) async fn receives_kinds(&mut self, other: ParticipantId, kinds: &[MediaKind]) {
        self.catch_up();
        self.received.clear();
        let what = format!("media of {other} at {}", self.id());
        eventually(PATIENCE, &what, async || {
            self.catch_up();
            let published = self.published_by(other);
            let comes = |kind: &MediaKind| {
                let mut of_kind = published.iter().filter(|it| it.1 == *kind);
                of_kind.any(|place| self.received.contains_key(place))
            };
            kinds.iter().all(comes).then_some(())
        })
        .await;
    }

    /// Packets since the last time.
    pub(crate) fn count(&mut self, kind: MediaKind) -> usize {
        let received = self.take_received();
        let of_kind = received.iter().filter(|(place, _)| place.1 == kind);
        of_kind.map(|(_, count)| count).sum()
    }

    /// The same by the streams that they came on.
    pub(crate) fn take_received(&mut self) -> HashMap<(String, MediaKind), usize> {
        self.catch_up();
        std::mem::take(&mut self.received)
    }

    /// Remote tracks that the room sends now, by stream and kind, as transceivers show them.
    pub(crate) async fn shown(&self) -> HashSet<(String, MediaKind)> {
        let transceivers = self.pc.transceivers().await.unwrap();
        let receiving = transceivers.iter().filter(|one| {
            let direction = one.current_direction();
            !one.is_stopped() && direction.is_some_and(|it| it.receives())
        });
        let tracks = receiving.map(|one| one.receiver().track());
        let places = tracks.map(|track| {
            let stream = track.streams().first().map(ToString::to_string);
            (stream.unwrap_or_default(), track.kind())
        });
        places.collect()
    }

    /// Offers that the room has made to it.
    pub(crate) fn offers(&self) -> usize {
        self.signalling.offers_of_room.load(Ordering::Relaxed)
    }

    pub(crate) async fn media_lines(&self) -> usize {
        self.pc.transceivers().await.unwrap().len()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.stop_filming();
        self.actor.stop(None);
    }
}

/// Speech near a microphone, in dBov.
const LOUD: i8 = -20;

static NEXT_SOURCE: AtomicU32 = AtomicU32::new(1);

/// Each of a picture a whole one, and of sound as loud as told. It says whose it is, and its number.
fn packet(kind: MediaKind, source: u32, number: u32, level: i8) -> RtpPacket {
    let (payload_type, ticks, mut payload) = match kind {
        MediaKind::Audio => (111, 960, vec![0xfc, 1, 2, 3]),
        // The start of a VP8 keyframe (RFC 7741 §4.2, §4.3).
        MediaKind::Video => (96, 1_800, vec![0x10, 0x00, 1, 2, 3]),
    };
    payload.extend(source.to_be_bytes());
    payload.extend(number.to_be_bytes());
    let packet = RtpPacket::new(
        PayloadType::new(payload_type).unwrap(),
        SequenceNumber(number as u16),
        RtpTimestamp(number.wrapping_mul(ticks)),
        Ssrc(7),
        true,
        payload,
    );
    if kind == MediaKind::Video {
        return packet;
    }
    let level = AudioLevel {
        voice: false,
        level: level.unsigned_abs(),
    };
    // The default number of the header extension.
    packet.with_extensions(&[(1, &[level.to_byte()])]).unwrap()
}

/// What a payload says at its end.
fn said(payload: &[u8]) -> (u32, u32) {
    let (rest, number) = payload.split_last_chunk().unwrap();
    let (_, source) = rest.split_last_chunk().unwrap();
    (u32::from_be_bytes(*source), u32::from_be_bytes(*number))
}

struct PageActor;

struct PageArguments {
    room: Room,
    request: JoinRequest,
    events: mpsc::UnboundedSender<PageEvent>,
    started: oneshot::Sender<Result<(Participant, PeerConnection), JoinError>>,
    signalling: Arc<Signalling>,
    options: PageOptions,
}

struct PageState {
    participant: Option<Participant>,
    negotiation: PerfectNegotiation,
    events: mpsc::UnboundedSender<PageEvent>,
    signalling: Arc<Signalling>,
    link: Option<Arc<Link>>,
}

impl Actor for PageActor {
    type Msg = PageMessage;
    type State = PageState;
    type Arguments = PageArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<PageMessage>,
        arguments: PageArguments,
    ) -> Result<PageState, ActorProcessingErr> {
        let pc = loopback().spawn_linked(&myself).await?;
        let negotiation =
            PerfectNegotiation::spawn_linked(&pc, Politeness::Polite, &myself).await?;
        for track in &arguments.options.tracks {
            pc.add_track(track).await?;
        }
        // As the actor of a WebSocket does: in a handler of the listener.
        let joined = arguments.room.join(arguments.request, &myself).await;
        let participant = joined.as_ref().ok().cloned();
        let _gone = (arguments.started).send(joined.map(|participant| (participant, pc)));
        Ok(PageState {
            participant,
            negotiation,
            events: arguments.events,
            signalling: arguments.signalling,
            link: arguments.options.link,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<PageMessage>,
        message: PageMessage,
        state: &mut PageState,
    ) -> Result<(), ActorProcessingErr> {
        let Some(participant) = &state.participant else {
            myself.stop(None);
            return Ok(());
        };
        let event = match message {
            PageMessage::Room(ParticipantEvent::Send(message)) => {
                count_offer(&state.signalling.offers_of_room, &message);
                if let Some(message) = over_link(state.link.as_deref(), End::Room, message) {
                    state.negotiation.receive(message);
                }
                return Ok(());
            }
            PageMessage::Room(ParticipantEvent::Room(event)) => PageEvent::Room(event),
            PageMessage::Room(ParticipantEvent::Closed { reason }) => PageEvent::Closed(reason),
            PageMessage::Room(_) => return Ok(()),
            PageMessage::Peer(event) => {
                state.negotiation.handle_event(&event);
                PageEvent::Peer(event.event)
            }
            PageMessage::Negotiation(PerfectNegotiationEvent { event, .. }) => match event {
                NegotiationEvent::Send(message) => {
                    count_offer(&state.signalling.offers_of_page, &message);
                    if let Some(message) = over_link(state.link.as_deref(), End::Page, message) {
                        participant.receive(message);
                    }
                    return Ok(());
                }
                NegotiationEvent::Failed(error) => PageEvent::Failed(error),
                _ => return Ok(()),
            },
        };
        // A test that does not listen any more is no failure.
        let _unheard = state.events.send(event);
        Ok(())
    }

    /// A page whose connection was taken from it still hears of the room.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<PageMessage>,
        _: SupervisionEvent,
        _: &mut PageState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

fn count_offer(offers: &AtomicUsize, message: &SignalingMessage) {
    if let SignalingMessage::Description(description) = message
        && description.kind == SdpType::Offer
    {
        offers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who has said something.
#[derive(Clone, Copy, Debug)]
enum End {
    Room,
    Page,
}

/// What the other side is to hear, so that all goes over the link; `None` for a candidate that cannot.
fn over_link(
    link: Option<&Link>,
    from: End,
    message: SignalingMessage,
) -> Option<SignalingMessage> {
    let Some(link) = link else {
        return Some(message);
    };
    match message {
        SignalingMessage::Description(mut description) => {
            description.sdp = match from {
                End::Room => link.description_of_a(&description.sdp),
                End::Page => link.description_of_b(&description.sdp),
            };
            Some(SignalingMessage::Description(description))
        }
        SignalingMessage::Candidate(Some(mut candidate)) => {
            candidate.candidate = match from {
                End::Room => link.candidate_of_a(&candidate.candidate),
                End::Page => link.candidate_of_b(&candidate.candidate),
            }?;
            Some(SignalingMessage::Candidate(Some(candidate)))
        }
        SignalingMessage::Candidate(None) => Some(message),
    }
}
