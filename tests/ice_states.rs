//! What the owner sees of a network that fails, at a tenth of the usual times: half a second of silence is
//! `disconnected`, two and a half more are `failed`.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor_webrtc::peer_connection::{Event, IceConnectionState as State, PeerConnectionBuilder};
use tokio::time::{Instant, sleep, timeout_at};

use self::common::link::{Link, Verdict};
use self::common::owner::{Ours, loopback, rtp_packet};

/// Two peers of ours and the network between them.
struct Scene {
    offerer: Ours,
    answerer: Ours,
    link: Link,
    cut: Arc<AtomicBool>,
}

impl Scene {
    async fn new() -> Self {
        Self::with(false).await
    }

    /// The offerer, who decides on pairs, is b on the link if it is to be the one who moves.
    async fn with(offerer_moves: bool) -> Self {
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        let link = Link::new(move |_, _| match is_cut.load(Ordering::Relaxed) {
            true => Verdict::Drop,
            false => Verdict::Forward,
        });
        let link = link.await.unwrap();
        let mut offerer = Ours::spawn(brief()).await;
        let mut answerer = Ours::spawn(brief()).await;
        let offer = offerer.offer().await;
        let answer = if offerer_moves {
            let answer = answerer.answer(&link.description_of_b(&offer)).await;
            link.description_of_a(&answer)
        } else {
            let answer = answerer.answer(&link.description_of_a(&offer)).await;
            link.description_of_b(&answer)
        };
        offerer.accept_answer(&answer).await;
        for side in [&mut offerer, &mut answerer] {
            expect_completed(side).await;
        }
        Self {
            offerer,
            answerer,
            link,
            cut,
        }
    }

    /// Nothing passes for so long.
    async fn outage(&self, time: Duration) {
        self.cut.store(true, Ordering::Relaxed);
        sleep(time).await;
        self.cut.store(false, Ordering::Relaxed);
    }

    /// What both are told until then.
    async fn told(&mut self, until: Instant) -> [Vec<State>; 2] {
        [
            states(&mut self.offerer, until).await,
            states(&mut self.answerer, until).await,
        ]
    }

    async fn media_passes(&mut self, number: u16) {
        one_passes(&self.offerer, &mut self.answerer, number).await;
        one_passes(&self.answerer, &mut self.offerer, number).await;
    }
}

async fn one_passes(from: &Ours, to: &mut Ours, number: u16) {
    let packet = rtp_packet(111, number, 960, false, vec![7; 20]);
    from.peer.send_rtp(from.audio.id(), packet).unwrap();
    to.expect_rtp().await;
}

fn brief() -> PeerConnectionBuilder {
    let ms = Duration::from_millis;
    loopback()
        .ice_timeouts(ms(500), ms(2500))
        .consent_interval(ms(100))
}

/// Both descriptions had all candidates, so nothing more is awaited.
async fn expect_completed(side: &mut Ours) {
    if side.peer.states().ice_connection != State::Completed {
        side.expect("ICE state completed", |event| match event {
            Event::IceConnectionStateChange(State::Completed) => Some(()),
            _ => None,
        })
        .await;
    }
    while side.try_event().is_some() {}
}

async fn states(side: &mut Ours, until: Instant) -> Vec<State> {
    let mut states = Vec::new();
    while let Ok(event) = timeout_at(until, side.event()).await {
        if let Some(Event::IceConnectionStateChange(state)) = event {
            states.push(state);
        }
    }
    states
}

fn after(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

#[tokio::test]
async fn c104_a_path_that_dies_for_a_moment_is_not_worth_a_word() {
    let mut scene = Scene::new().await;
    scene.outage(Duration::from_millis(150)).await;
    let told = scene.told(after(800)).await;
    assert_eq!(told, [vec![], vec![]]);
    scene.media_passes(1).await;
}

#[tokio::test]
async fn c104_a_path_that_dies_for_a_while_is_disconnected_and_comes_back_by_itself() {
    let mut scene = Scene::new().await;
    scene.outage(Duration::from_millis(1500)).await;
    let told = scene.told(after(600)).await;
    let expected = vec![State::Disconnected, State::Connected, State::Completed];
    assert_eq!(told, [expected.clone(), expected]);
    scene.media_passes(1).await;
}

#[tokio::test]
async fn c104_a_path_that_dies_for_good_is_failed_when_consent_has_expired() {
    let mut scene = Scene::new().await;
    scene.cut.store(true, Ordering::Relaxed);
    let told = scene.told(after(2700)).await;
    assert_eq!(told, [vec![State::Disconnected], vec![State::Disconnected]]);
    let told = scene.told(after(800)).await;
    assert_eq!(told, [vec![State::Failed], vec![State::Failed]]);
    // That the network is back does not bring consent back.
    scene.cut.store(false, Ordering::Relaxed);
    assert_eq!(scene.told(after(600)).await, [vec![], vec![]]);
}

/// A NAT on the way forgets b and gives it another port; a has to find it again, whoever of both decides on the pair.
#[tokio::test]
async fn an_address_of_the_other_side_that_changes_is_followed() {
    for offerer_moves in [false, true] {
        let mut scene = Scene::with(offerer_moves).await;
        for number in 1..3 {
            scene.link.move_b().await.unwrap();
            let told = scene.told(after(1200)).await;
            // Who has moved does not notice; who sees it does, as soon as it would notice silence.
            let noticed = vec![State::Disconnected, State::Connected, State::Completed];
            let expected = match offerer_moves {
                false => [noticed, vec![]],
                true => [vec![], noticed],
            };
            assert_eq!(told, expected, "{offerer_moves}");
            scene.media_passes(number).await;
        }
    }
}
