//! A Forwarder, and a room around it, that come back and find the peers that outlived them.
//!
//! ```text
//! House                restarts the room
//! ├── OwnRoom          restarts the Forwarder; a room as an application makes one
//! │   └── Forwarder
//! └── members          each the owner of a peer connection; here they are nobody's children
//! ```

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use ractor_webrtc::MediaKind::{Audio, Video};
use ractor_webrtc::faults::{Fault, Hook};
use ractor_webrtc::forwarder::{Forwarder, ForwarderEvent};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::stage::{Member, Playing, Stage, StageMessage};

#[tokio::test]
async fn c117_a_forwarder_that_fails_comes_back_within_a_second_and_media_never_stops() {
    let mut scene = Scene::open().await;
    for fault in [Fault::panic(), Fault::error(), Fault::kill()] {
        let fault = fault.in_part("Forwarder").at(Hook::Handle);
        let fault = fault.below(&scene.room());
        scene
            .expect_back(async |scene| {
                let injected = fault.inject();
                // Whatever it is told next is its end.
                let _unanswered = scene.stage.forwarder().snapshot().await;
                injected.struck().await;
            })
            .await;
    }
    scene.a_newcomer_is_served().await;
}

#[tokio::test]
async fn c117_a_room_that_fails_comes_back_within_a_second_and_finds_its_peers() {
    let mut scene = Scene::open().await;
    for _ in 0..3 {
        let room = scene.room();
        scene.expect_back(async |_| room.kill()).await;
    }
    scene.a_newcomer_is_served().await;
}

/// Somebody has cut a route, or it was lost some other way: a Forwarder that comes back sees to it.
#[tokio::test]
async fn c117_media_that_has_stopped_is_resumed_by_a_room_that_comes_back_and_numbers_go_on() {
    let scene = Scene::open().await;
    let known = scene.stage.snapshot().await;
    let camera = scene.stage.publication(&scene.ada, Video).await;
    let mut subscriptions = known.subscriptions.iter();
    let fed = subscriptions
        .find(|it| it.publication == Some(camera))
        .unwrap();
    let picture = scene.bob.gets("ada", Video).await;
    scene
        .bob
        .peer
        .set_route(fed.track.id(), None)
        .await
        .unwrap();
    scene.bob.gets("ada", Audio).await;
    let (stopped, asked) = (scene.bob.count("ada", Video), scene.ada.keyframes());
    scene.bob.gets("ada", Audio).await;
    assert_eq!(scene.bob.count("ada", Video), stopped, "it has stopped");
    let began = Instant::now();
    scene.room().kill();
    assert_eq!(
        scene.bob.gets("ada", Video).await,
        picture,
        "in the same stream"
    );
    let took = began.elapsed();
    println!("resumed after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(scene.ada.keyframes() > asked, "it asks for a keyframe");
    scene.bob.has_missed_nothing();
}

#[tokio::test]
async fn c117_a_part_of_the_forwarder_that_fails_comes_back_and_media_never_stops() {
    let mut scene = Scene::open().await;
    let fault = Fault::panic().in_part("Subscriber").below(&scene.room());
    let injected = fault.at(Hook::Handle).inject();
    let forwarder = scene.stage.forwarder();
    forwarder.add_peer(&scene.bob.peer).await.unwrap();
    injected.struck().await;
    scene
        .stage
        .expect("a restart", |event| {
            matches!(event, ForwarderEvent::SubscriberRestarted { .. }).then_some(())
        })
        .await;
    scene.a_newcomer_is_served().await;
}

/// Two members who send to each other.
struct Scene {
    house: ActorRef<()>,
    stage: Stage,
    starts: watch::Receiver<usize>,
    ada: Member,
    bob: Member,
    _plays: [Playing; 4],
}

impl Scene {
    async fn open() -> Self {
        let (events, told) = mpsc::unbounded_channel();
        let (started, mut starts) = watch::channel(0);
        let place = Place {
            forwarder: Arc::default(),
            events,
            started: Arc::new(started),
        };
        let (house, _) = Actor::spawn(None, House, place.clone()).await.unwrap();
        starts.wait_for(|count| *count == 1).await.unwrap();
        let forwarder = Arc::clone(place.forwarder.get().unwrap());
        let stage = Stage::around(forwarder, told);
        let ada = stage.join("ada", &[Audio, Video]).await;
        let bob = stage.join("bob", &[Audio, Video]).await;
        let plays = [&ada, &bob].map(|it| [it.play(Audio), it.play(Video)]);
        let [[first, second], [third, fourth]] = plays;
        for kind in [Audio, Video] {
            ada.gets("bob", kind).await;
            bob.gets("ada", kind).await;
        }
        Self {
            house,
            stage,
            starts,
            ada,
            bob,
            _plays: [first, second, third, fourth],
        }
    }

    /// The actor between the house and the Forwarder.
    fn room(&self) -> ActorCell {
        self.house.get_children().remove(0)
    }

    /// Lets the Forwarder end, and sees it back: with all that it knew, on the same media lines, and nothing lost.
    async fn expect_back(&mut self, end: impl AsyncFnOnce(&Self)) {
        let known = self.stage.snapshot().await;
        let agreed = self.descriptions().await;
        let (sound, picture) = (
            self.bob.gets("ada", Audio).await,
            self.bob.gets("ada", Video).await,
        );
        self.starts.mark_unchanged();
        let began = Instant::now();
        end(self).await;
        self.starts.changed().await.unwrap();
        assert_eq!(self.stage.snapshot().await, known);
        let back = began.elapsed();
        assert_eq!(self.bob.gets("ada", Audio).await, sound);
        assert_eq!(self.bob.gets("ada", Video).await, picture);
        let took = began.elapsed();
        println!("back after {back:?}, media was looked at after {took:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        for member in [&self.ada, &self.bob] {
            member.has_missed_nothing();
        }
        assert_eq!(self.descriptions().await, agreed, "nothing was negotiated");
    }

    async fn descriptions(&self) -> Vec<Option<String>> {
        let mut all = Vec::new();
        for member in [&self.ada, &self.bob] {
            for peer in [&member.peer, &member.client] {
                let description = peer.local_description().await.unwrap();
                all.push(description.map(|it| it.sdp));
            }
        }
        all
    }

    async fn a_newcomer_is_served(&self) {
        let eve = self.stage.join("eve", &[Video]).await;
        let _plays = eve.play(Video);
        eve.gets("ada", Video).await;
        self.bob.gets("eve", Video).await;
        for member in [&self.ada, &self.bob, &eve] {
            member.has_missed_nothing();
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.house.stop(None);
    }
}

/// What outlives a room of one's own: whoever restarts it keeps it.
#[derive(Clone)]
struct Place {
    /// The one that there is, or was last.
    forwarder: Arc<OnceLock<Arc<Mutex<Forwarder>>>>,
    events: mpsc::UnboundedSender<ForwarderEvent>,
    started: Arc<watch::Sender<usize>>,
}

impl Place {
    /// Another Forwarder, which goes on where the former one has ended.
    async fn start(&self, owner: &ActorRef<StageMessage>) -> Result<(), ActorProcessingErr> {
        let former = self.forwarder.get().map(|it| it.lock().unwrap().clone());
        let builder = match &former {
            Some(former) => Forwarder::builder().succeeding(former),
            None => Forwarder::builder(),
        };
        let forwarder = builder.spawn_linked(owner).await?;
        let place = self
            .forwarder
            .get_or_init(|| Arc::new(Mutex::new(forwarder.clone())));
        *place.lock().unwrap() = forwarder;
        self.started.send_modify(|count| *count += 1);
        Ok(())
    }
}

/// Restarts its room, whatever happens to that.
struct House;

impl Actor for House {
    type Msg = ();
    type State = Place;
    type Arguments = Place;

    async fn pre_start(
        &self,
        myself: ActorRef<()>,
        place: Place,
    ) -> Result<Place, ActorProcessingErr> {
        Actor::spawn_linked(None, OwnRoom, place.clone(), myself.get_cell()).await?;
        Ok(place)
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<()>,
        event: SupervisionEvent,
        place: &mut Place,
    ) -> Result<(), ActorProcessingErr> {
        if has_ended(&event) {
            Actor::spawn_linked(None, OwnRoom, place.clone(), myself.get_cell()).await?;
        }
        Ok(())
    }
}

/// Restarts its Forwarder.
struct OwnRoom;

impl Actor for OwnRoom {
    type Msg = StageMessage;
    type State = Place;
    type Arguments = Place;

    async fn pre_start(
        &self,
        myself: ActorRef<StageMessage>,
        place: Place,
    ) -> Result<Place, ActorProcessingErr> {
        place.start(&myself).await?;
        Ok(place)
    }

    async fn handle(
        &self,
        _: ActorRef<StageMessage>,
        StageMessage(event): StageMessage,
        place: &mut Place,
    ) -> Result<(), ActorProcessingErr> {
        // The test may be over.
        let _over = place.events.send(event);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<StageMessage>,
        event: SupervisionEvent,
        place: &mut Place,
    ) -> Result<(), ActorProcessingErr> {
        if has_ended(&event) {
            place.start(&myself).await?;
        }
        Ok(())
    }
}

fn has_ended(event: &SupervisionEvent) -> bool {
    matches!(
        event,
        SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..)
    )
}
