//! Two sides that change their tracks whenever they like, over a slow line, in virtual time.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::jsep::{RtpTransceiver, RtpTransceiverDirection, SdpType};
use ractor_webrtc::peer_connection::SignalingState;
use ractor_webrtc::perfect_negotiation::{
    NegotiationEvent, PerfectNegotiation, PerfectNegotiationError, PerfectNegotiationEvent,
    Politeness, SignalingMessage,
};
use ractor_webrtc::{
    IceCandidate, MediaKind, MediaStreamTrack, PeerConnection, PeerEvent, SessionDescription,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::time::sleep;

use self::common::owner::loopback;

#[tokio::test(start_paused = true)]
async fn c101_twenty_offers_that_meet_end_in_twenty_agreements() {
    let mut line = Line::open(|| Duration::from_millis(50)).await;
    for round in 0..20 {
        // Both change at the same moment: neither has heard of the other's offer when it makes its own.
        for side in &line.sides {
            change_in_round(&side.pc, round).await;
        }
        line.settle().await;
        line.assert_agreement().await;
    }
    assert_eq!(line.ignored_by(POLITE), 0);
    assert_eq!(line.ignored_by(IMPOLITE), 20);
    assert_eq!(line.failures(), []);
}

#[tokio::test(start_paused = true)]
async fn c101_changes_at_any_time_end_in_agreement() {
    for seed in 0..8 {
        let mut delays = StdRng::seed_from_u64(seed + 1_000);
        let delay = move || Duration::from_millis(delays.random_range(0..80));
        let mut line = Line::open(delay).await;
        let mut dice = StdRng::seed_from_u64(seed);
        for _ in 0..40 {
            let side = dice.random_range(0..2);
            change_at_random(&line.sides[side].pc, &mut dice).await;
            sleep(Duration::from_millis(dice.random_range(0..60))).await;
        }
        line.settle().await;
        line.assert_agreement().await;
        assert_eq!(line.failures(), [], "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn candidates_of_an_ignored_offer_are_nobodys_failure() {
    let mut line = Line::open(|| Duration::from_millis(50)).await;
    change_in_round(&line.sides[POLITE].pc, 0).await;
    line.settle().await;
    let [polite, impolite] = &line.sides;
    let foreign = || {
        SignalingMessage::Candidate(Some(IceCandidate {
            candidate: "candidate:1 1 udp 2122194687 192.0.2.2 40070 typ host".to_owned(),
            sdp_mid: Some("0".to_owned()),
            sdp_m_line_index: None,
            username_fragment: Some("foreign".to_owned()),
        }))
    };
    let offer = polite.pc.create_offer().await.unwrap();
    impolite.pc.set_local_description(None).await.unwrap();
    impolite
        .negotiation
        .receive(SignalingMessage::Description(offer.clone()));
    impolite.negotiation.receive(foreign());
    line.pause().await;
    assert_eq!(line.failures(), []);

    // Once an offer is taken, a candidate that belongs nowhere is worth a word.
    let [_, impolite] = &line.sides;
    let rollback = SessionDescription {
        kind: SdpType::Rollback,
        sdp: String::new(),
    };
    impolite.pc.set_local_description(rollback).await.unwrap();
    impolite
        .negotiation
        .receive(SignalingMessage::Description(offer));
    impolite.negotiation.receive(foreign());
    let failed = line.sides[IMPOLITE].failures.recv().await.unwrap();
    let PerfectNegotiationError::Candidate(_) = failed else {
        panic!("{failed}");
    };
}

#[tokio::test(start_paused = true)]
async fn who_answers_wrongly_is_offered_three_times_and_may_still_offer() {
    let (mut side, mut said) = Side::spawn(Politeness::Impolite).await;
    let audio = MediaStreamTrack::new(MediaKind::Audio, []);
    side.pc.add_track(&audio).await.unwrap();
    for _ in 0..3 {
        let offer = next_description(&mut said).await;
        assert_eq!(offer.kind, SdpType::Offer);
        let wrong = SessionDescription::answer("v=0\r\n");
        side.negotiation
            .receive(SignalingMessage::Description(wrong));
        let failed = side.failures.recv().await.unwrap();
        let PerfectNegotiationError::RemoteDescription { kind, .. } = failed else {
            panic!("{failed}");
        };
        assert_eq!(kind, SdpType::Answer);
    }
    // The last one is taken back and not made again: it is in nobody's way.
    let (other, mut other_said) = Side::spawn(Politeness::Polite).await;
    let audio = MediaStreamTrack::new(MediaKind::Audio, []);
    other.pc.add_track(&audio).await.unwrap();
    let offer = next_description(&mut other_said).await;
    side.negotiation
        .receive(SignalingMessage::Description(offer));
    let answer = next_description(&mut said).await;
    assert_eq!(answer.kind, SdpType::Answer);
    assert_eq!(side.pc.signaling_state(), SignalingState::Stable);
    assert_eq!(side.pc.transceivers().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_negotiator_ends_with_its_peer_connection() {
    let (side, _said) = Side::spawn(Politeness::Polite).await;
    assert_eq!(side.owner.get_children().len(), 2);
    side.pc.close().await;
    common::eventually(Duration::from_secs(5), "both to end", async || {
        side.owner.get_children().is_empty().then_some(())
    })
    .await;
    side.negotiation.receive(SignalingMessage::Candidate(None));
}

/// One that all sides know, by the number of the round.
async fn change_in_round(pc: &PeerConnection, round: usize) {
    let transceivers = pc.transceivers().await.unwrap();
    let newest = transceivers.iter().rfind(|one| !one.is_stopped());
    match (round % 5, newest) {
        (1, _) => {
            let direction = RtpTransceiverDirection::RecvOnly;
            pc.add_transceiver(MediaKind::Audio, direction.into())
                .await
                .unwrap();
        }
        (2, _) => pc.restart_ice().await.unwrap(),
        (3, Some(newest)) => pc.stop_transceiver(newest.id()).await.unwrap(),
        _ => {
            let track = MediaStreamTrack::new(MediaKind::Video, []);
            pc.add_track(&track).await.unwrap();
        }
    }
}

/// Anything that an application may ask for; what does not fit is refused and changes nothing.
async fn change_at_random(pc: &PeerConnection, dice: &mut StdRng) {
    let transceivers = pc.transceivers().await.unwrap();
    let kind = if dice.random_bool(0.5) {
        MediaKind::Audio
    } else {
        MediaKind::Video
    };
    let chosen =
        (!transceivers.is_empty()).then(|| &transceivers[dice.random_range(0..transceivers.len())]);
    let direction = DIRECTIONS[dice.random_range(0..DIRECTIONS.len())];
    let refused = match (dice.random_range(0..7), chosen) {
        (0, Some(chosen)) => pc.set_direction(chosen.id(), direction).await.err(),
        (1, Some(chosen)) => pc.stop_transceiver(chosen.id()).await.err(),
        (2, Some(chosen)) => pc.remove_track(chosen.sender().id()).await.err(),
        (3, Some(chosen)) => {
            let track = MediaStreamTrack::new(chosen.kind(), []);
            let replaced = pc.replace_track(chosen.sender().id(), Some(&track));
            replaced.await.err()
        }
        (4, _) => {
            pc.restart_ice().await.unwrap();
            None
        }
        (5, _) => pc.add_transceiver(kind, direction.into()).await.err(),
        _ => {
            let track = MediaStreamTrack::new(kind, []);
            pc.add_track(&track).await.err()
        }
    };
    let _does_not_fit = refused;
}

const DIRECTIONS: [RtpTransceiverDirection; 4] = [
    RtpTransceiverDirection::SendRecv,
    RtpTransceiverDirection::SendOnly,
    RtpTransceiverDirection::RecvOnly,
    RtpTransceiverDirection::Inactive,
];

/// Two sides, and what goes from one to the other, in order, each message after a delay.
struct Line {
    sides: [Side; 2],
    traffic: Arc<Traffic>,
}

const POLITE: usize = 0;
const IMPOLITE: usize = 1;

#[derive(Debug, Default)]
struct Traffic {
    messages: AtomicUsize,
    /// Made by each side.
    offers: [AtomicUsize; 2],
    answers: [AtomicUsize; 2],
}

impl Line {
    async fn open(mut delay: impl FnMut() -> Duration) -> Self {
        let (polite, from_polite) = Side::spawn(Politeness::Polite).await;
        let (impolite, from_impolite) = Side::spawn(Politeness::Impolite).await;
        let traffic = Arc::new(Traffic::default());
        let delays: Vec<Duration> = (0..100).map(|_| delay()).collect();
        for (from, said, to) in [
            (POLITE, from_polite, &impolite),
            (IMPOLITE, from_impolite, &polite),
        ] {
            let to = to.negotiation.clone();
            tokio::spawn(carry(from, said, to, delays.clone(), Arc::clone(&traffic)));
        }
        let sides = [polite, impolite];
        Self { sides, traffic }
    }

    /// Long enough for whatever is on its way.
    async fn pause(&self) {
        sleep(Duration::from_millis(500)).await;
    }

    /// Until both have nothing more to say.
    async fn settle(&self) {
        let mut before = usize::MAX;
        for _ in 0..200 {
            self.pause().await;
            let now = self.traffic.messages.load(Ordering::Relaxed);
            let states = self.sides.each_ref().map(|side| side.pc.signaling_state());
            if now == before && states == [SignalingState::Stable; 2] {
                return;
            }
            before = now;
        }
        panic!("they never come to an end");
    }

    /// Each m-line is there on both sides, and one sends what the other receives.
    async fn assert_agreement(&self) {
        let [polite, impolite] = &self.sides;
        let ours = agreed(&polite.pc.transceivers().await.unwrap());
        let theirs = agreed(&impolite.pc.transceivers().await.unwrap());
        let theirs = theirs.into_iter();
        let theirs = theirs.map(|(mid, direction)| (mid, direction.map(from_the_other_side)));
        assert_eq!(ours, theirs.collect());
    }

    /// Offers to this side that have no answer.
    fn ignored_by(&self, side: usize) -> usize {
        let offered = self.traffic.offers[1 - side].load(Ordering::Relaxed);
        offered - self.traffic.answers[side].load(Ordering::Relaxed)
    }

    fn failures(&mut self) -> Vec<PerfectNegotiationError> {
        let mut failures = Vec::new();
        for side in &mut self.sides {
            while let Ok(failure) = side.failures.try_recv() {
                failures.push(failure);
            }
        }
        failures
    }
}

fn from_the_other_side(direction: RtpTransceiverDirection) -> RtpTransceiverDirection {
    match direction {
        RtpTransceiverDirection::SendOnly => RtpTransceiverDirection::RecvOnly,
        RtpTransceiverDirection::RecvOnly => RtpTransceiverDirection::SendOnly,
        same => same,
    }
}

/// What was agreed on, by mid.
fn agreed(transceivers: &[RtpTransceiver]) -> BTreeMap<String, Option<RtpTransceiverDirection>> {
    let live = transceivers.iter().filter(|one| !one.is_stopped());
    live.map(|one| {
        let mid = one.mid().map(ToString::to_string);
        (mid.unwrap_or_default(), one.current_direction())
    })
    .collect()
}

async fn carry(
    from: usize,
    mut said: UnboundedReceiver<SignalingMessage>,
    to: PerfectNegotiation,
    delays: Vec<Duration>,
    traffic: Arc<Traffic>,
) {
    let mut delays = delays.iter().cycle();
    while let Some(message) = said.recv().await {
        traffic.messages.fetch_add(1, Ordering::Relaxed);
        if let SignalingMessage::Description(description) = &message {
            let count = match description.kind {
                SdpType::Offer => &traffic.offers,
                _ => &traffic.answers,
            };
            count[from].fetch_add(1, Ordering::Relaxed);
        }
        sleep(*delays.next().unwrap()).await;
        to.receive(message);
    }
}

async fn next_description(said: &mut UnboundedReceiver<SignalingMessage>) -> SessionDescription {
    loop {
        if let SignalingMessage::Description(description) = said.recv().await.unwrap() {
            return description;
        }
    }
}

/// One side: an owner of a peer connection and its negotiator, as an application would be one.
struct Side {
    pc: PeerConnection,
    negotiation: PerfectNegotiation,
    owner: ActorRef<OwnerMessage>,
    failures: UnboundedReceiver<PerfectNegotiationError>,
}

impl Side {
    async fn spawn(politeness: Politeness) -> (Self, UnboundedReceiver<SignalingMessage>) {
        let (said, hears) = mpsc::unbounded_channel();
        let (failed, failures) = mpsc::unbounded_channel();
        let (started, mut handles) = mpsc::unbounded_channel();
        let arguments = OwnerArguments {
            politeness,
            said,
            failed,
            started,
        };
        let (owner, _) = Actor::spawn(None, Owner, arguments).await.unwrap();
        let (pc, negotiation) = handles.recv().await.unwrap();
        let side = Self {
            pc,
            negotiation,
            owner,
            failures,
        };
        (side, hears)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        self.owner.stop(None);
    }
}

struct Owner;

struct OwnerArguments {
    politeness: Politeness,
    said: UnboundedSender<SignalingMessage>,
    failed: UnboundedSender<PerfectNegotiationError>,
    started: UnboundedSender<(PeerConnection, PerfectNegotiation)>,
}

struct OwnerState {
    negotiation: PerfectNegotiation,
    said: UnboundedSender<SignalingMessage>,
    failed: UnboundedSender<PerfectNegotiationError>,
}

enum OwnerMessage {
    Peer(PeerEvent),
    Negotiation(PerfectNegotiationEvent),
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

impl Actor for Owner {
    type Msg = OwnerMessage;
    type State = OwnerState;
    type Arguments = OwnerArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<OwnerMessage>,
        arguments: OwnerArguments,
    ) -> Result<OwnerState, ActorProcessingErr> {
        let OwnerArguments {
            politeness,
            said,
            failed,
            started,
        } = arguments;
        let pc = loopback().spawn_linked(&myself).await?;
        let negotiation = PerfectNegotiation::spawn_linked(&pc, politeness, &myself).await?;
        started.send((pc, negotiation.clone()))?;
        Ok(OwnerState {
            negotiation,
            said,
            failed,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<OwnerMessage>,
        message: OwnerMessage,
        state: &mut OwnerState,
    ) -> Result<(), ActorProcessingErr> {
        // A test that does not listen any more is no failure.
        match message {
            OwnerMessage::Peer(event) => state.negotiation.handle_event(&event),
            OwnerMessage::Negotiation(PerfectNegotiationEvent { event, .. }) => match event {
                NegotiationEvent::Send(message) => {
                    let _unheard = state.said.send(message);
                }
                NegotiationEvent::Failed(error) => {
                    let _unheard = state.failed.send(error);
                }
                _ => {}
            },
        }
        Ok(())
    }

    /// Outlives both.
    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<OwnerMessage>,
        _: SupervisionEvent,
        _: &mut OwnerState,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}
