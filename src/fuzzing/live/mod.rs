//! Two live peers whose traffic is tampered with on its way: sockets, actors, and the crates below with the tasks that they spawn.
#![allow(clippy::wildcard_enum_match_arm)]

mod wire;

use std::cell::Cell;
use std::collections::HashSet;
use std::panic;
use std::sync::Once;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use self::wire::Wire;
use super::input::Input;
use crate::jsep::SessionDescription;
use crate::peer_connection::{
    Event, IceGatheringState, PeerConnection, PeerConnectionState, PeerEvent,
};
use crate::rtp::{PayloadType, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc};
use crate::track::{MediaKind, MediaStreamTrack};

/// What is done to each datagram of a handshake and of a call, one after the other: forged copies of it follow, it is repeated, comes
/// later or, once there is media, not at all; see [`Wire`].
///
/// The handshake succeeds, since genuine datagrams come first. Nothing panics, in whatever task; neither side ends; what is
/// told was sent; strangers are told nothing that is longer than what they say; and in the end media flows both ways.
pub(super) fn live(data: &[u8]) {
    notice_panics();
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system has what a runtime needs");
    runtime.block_on(play(data));
    // What still runs ends with the runtime, and its panics count as well.
    drop(runtime);
    assert!(!PANICKED.take(), "a task has panicked");
}

async fn play(data: &[u8]) {
    let wire = Wire::new(Input::new(data)).await;
    let mut ends = [End::new().await, End::new().await];
    let carry = async {
        let offer = ends[0].describe(None).await;
        let answer = ends[1].describe(Some(wire.describe(0, &offer))).await;
        ends[0].accept(wire.describe(1, &answer)).await;
        for end in &mut ends {
            end.expect(|end| end.connected).await;
        }
        wire.begin_media();
        for round in 0..ROUNDS {
            for end in &mut ends {
                end.send(round);
            }
            // So that each side gets its turn, and repairs and reports theirs now and then.
            sleep(Duration::from_millis(u64::from(round % 8 == 7) * 8)).await;
        }
        wire.calm_down();
        meet_again(&mut ends).await;
    };
    timeout(PATIENCE, async {
        tokio::select! {
            () = carry => {}
            () = wire.carry() => {}
        }
    })
    .await
    .expect("a call is over within seconds");
    wire.check().await;
}

/// Media flows both ways, and only what was sent has come.
async fn meet_again(ends: &mut [End; 2]) {
    let mut number = ROUNDS;
    for from in [0, 1] {
        ends[1 - from].heard.clear();
        while ends[1 - from].heard.is_empty() {
            number += 1;
            ends[from].send(number);
            let arrival = timeout(Duration::from_millis(20), ends[1 - from].hear());
            // Lost; the next one may arrive.
            let _lost = arrival.await;
        }
    }
    for (end, other) in [(0, 1), (1, 0)] {
        assert_eq!(
            ends[end].peer.connection_state(),
            PeerConnectionState::Connected
        );
        assert!(ends[end].heard.is_subset(&ends[other].sent), "never sent");
    }
}

/// One side, and its owner.
struct End {
    peer: PeerConnection,
    events: mpsc::UnboundedReceiver<Event>,
    track: MediaStreamTrack,
    connected: bool,
    gathered: bool,
    sent: HashSet<Vec<u8>>,
    heard: HashSet<Vec<u8>>,
}

impl End {
    async fn new() -> Self {
        let (told, events) = mpsc::unbounded_channel();
        let owner = Actor::spawn(None, Owner, told).await;
        let (owner, _) = owner.expect("the owner has nothing to fail with");
        let builder = PeerConnection::builder()
            .include_loopback(true)
            .ip_filter(|ip| ip.is_ipv4() && ip.is_loopback());
        let peer = builder.spawn_linked(&owner).await.expect("loopback is up");
        let track = MediaStreamTrack::new(MediaKind::Video, []);
        peer.add_track(&track).await.expect("it is new");
        Self {
            peer,
            events,
            track,
            connected: false,
            gathered: false,
            sent: HashSet::new(),
            heard: HashSet::new(),
        }
    }

    /// An offer, or the answer to one, with all candidates.
    async fn describe(&mut self, offer: Option<String>) -> String {
        if let Some(offer) = offer {
            let offer = SessionDescription::offer(offer);
            let taken = self.peer.set_remote_description(offer).await;
            taken.expect("the offer is ours");
        }
        let described = self.peer.set_local_description(None).await;
        described.expect("it is due");
        self.expect(|end| end.gathered).await;
        let description = self.peer.local_description().await;
        let description = description.expect("the peer is there");
        description.expect("it was set").sdp
    }

    async fn accept(&self, answer: String) {
        let answer = SessionDescription::answer(answer);
        let taken = self.peer.set_remote_description(answer).await;
        taken.expect("the answer is ours");
    }

    fn send(&mut self, number: u16) {
        // A keyframe of VP8, and its number.
        let mut payload = vec![0x10, 0];
        payload.extend(number.to_be_bytes());
        payload.resize(40 + usize::from(number % 5) * 250, number as u8);
        let packet = RtpPacket::new(
            PayloadType::new(96).expect("below 128"),
            SequenceNumber(number),
            RtpTimestamp(u32::from(number) * 3000),
            Ssrc(1),
            true,
            payload.clone(),
        );
        let sent = self.peer.send_rtp(self.track.id(), packet);
        assert!(sent.is_ok(), "it has ended: {sent:?}");
        self.sent.insert(payload);
    }

    async fn expect(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            self.hear().await;
        }
    }

    /// The next event.
    async fn hear(&mut self) {
        let event = self.events.recv().await;
        match event.expect("the owner outlives its peer") {
            Event::ConnectionStateChange(state) => {
                assert_ne!(state, PeerConnectionState::Failed);
                self.connected |= state == PeerConnectionState::Connected;
            }
            Event::IceGatheringStateChange(state) => {
                self.gathered |= state == IceGatheringState::Complete;
            }
            Event::Rtp { packets, .. } => {
                let payloads = packets.iter().map(|packet| packet.payload().to_vec());
                self.heard.extend(payloads);
            }
            Event::Closed { reason } => panic!("a peer has ended: {reason:?}"),
            _ => {}
        }
    }
}

/// Passes all events on.
struct Owner;

impl Actor for Owner {
    type Msg = PeerEvent;
    type State = mpsc::UnboundedSender<Event>;
    type Arguments = mpsc::UnboundedSender<Event>;

    async fn pre_start(
        &self,
        _: ActorRef<PeerEvent>,
        events: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(events)
    }

    async fn handle(
        &self,
        _: ActorRef<PeerEvent>,
        event: PeerEvent,
        events: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // A game that is over listens no more.
        let _over = events.send(event.event);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<PeerEvent>,
        _: SupervisionEvent,
        _: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

/// A panic that is caught, as those in tasks and actors are, is noted. All of a game runs on one thread. (Under libFuzzer, any panic aborts
/// at once.)
fn notice_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICKED.set(true);
            before(panic);
        }));
    });
    PANICKED.set(false);
}

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Packets each way while the wire tampers with them.
const ROUNDS: u16 = 48;

/// For a whole call; DTLS repeats a flight after a second.
const PATIENCE: Duration = Duration::from_secs(15);
