//! However a peer is ended, in whatever state: soon nothing is left of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus};
use ractor_webrtc::PeerConnectionBuilder;
use ractor_webrtc::peer_connection::{CLOSE_DEADLINE, PeerConnectionState, PeerEvent};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::common::cut_short::cut_short;
use super::common::link::{Class, Gate, Link, Verdict, Way};
use super::common::owner::{Ours, loopback};
use super::common::session::connect_ours;
use super::common::{PATIENCE, eventually};
use super::runs;

/// Where a peer is when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Gathering,
    Offering,
    /// ICE looks for a path, and there is none.
    Checking,
    /// Datagrams of the handshake do not arrive.
    Handshaking,
    Connected,
    /// The first path carries media, and a second one is looked for.
    RestartingIce,
    Disconnected,
    Failed,
    /// The remote side has said that it goes.
    ClosedByRemote,
    /// Its owner hangs in a message.
    OwnerHangs,
}

/// What ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    /// By a call that is given up as soon as it waits.
    CloseGivenUp,
    OwnerStops,
    OwnerIsKilled,
    Kill,
    PartIsKilled,
}

const STATES: [State; 11] = [
    State::Fresh,
    State::Gathering,
    State::Offering,
    State::Checking,
    State::Handshaking,
    State::Connected,
    State::RestartingIce,
    State::Disconnected,
    State::Failed,
    State::ClosedByRemote,
    State::OwnerHangs,
];

const ENDS: [End; 6] = [
    End::Close,
    End::CloseGivenUp,
    End::OwnerStops,
    End::OwnerIsKilled,
    End::Kill,
    End::PartIsKilled,
];

#[tokio::test]
async fn c106_in_every_state_every_end_leaves_nothing_in_time() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    for end in ENDS {
        let before = tasks();
        let mut scenes = Vec::new();
        for state in STATES {
            scenes.push((state, reach(state).await));
        }
        for (state, scene) in scenes {
            scene.end(state, end).await;
        }
        eventually(PATIENCE, "the end of the last task", async || {
            (tasks() <= before).then_some(())
        })
        .await;
    }
}

/// One that is to end, and all that it needs to be where it is.
struct Scene {
    ours: Ours,
    owner: ActorCell,
    remote: Option<Ours>,
    _link: Option<Link>,
}

impl Scene {
    fn alone(ours: Ours) -> Self {
        Self {
            owner: ours.owner().get_cell(),
            ours,
            remote: None,
            _link: None,
        }
    }

    fn pair(ours: Ours, remote: Ours, link: Option<Link>) -> Self {
        Self {
            remote: Some(remote),
            _link: link,
            ..Self::alone(ours)
        }
    }

    /// Ends it so, and sees to it that all of it has gone though the remote side has not.
    async fn end(self, state: State, end: End) {
        let (peer, owner) = (&self.ours.peer, &self.owner);
        let mut actors = self.ours.owner().get_children();
        actors.extend(actors[0].get_children());
        let began = Instant::now();
        match end {
            End::Close => peer.close().await,
            End::CloseGivenUp => drop(cut_short(peer.close(), 1).await),
            End::OwnerStops => owner.stop(None),
            End::OwnerIsKilled => owner.kill(),
            End::Kill => actors[0].kill(),
            End::PartIsKilled => actors[actors.len() - 1].kill(),
        }
        // A stop does not reach an owner that hangs; that is not the peer's to mend.
        if (state, end) == (State::OwnerHangs, End::OwnerStops) {
            owner.kill();
        }
        let what = format!("{state:?}, {end:?}: the end of all actors");
        eventually(PATIENCE, &what, async || {
            let mut all = actors.iter();
            let ended = all.all(|actor| actor.get_status() == ActorStatus::Stopped);
            (ended && !runs(peer)).then_some(())
        })
        .await;
        let took = began.elapsed();
        let late = CLOSE_DEADLINE + Duration::from_millis(500);
        assert!(took < late, "{state:?}, {end:?} took {took:?}");
        assert_eq!(peer.connection_state(), PeerConnectionState::Closed);
        // One that hangs hears of nothing else.
        owner.kill();
    }
}

async fn reach(state: State) -> Scene {
    match state {
        State::Fresh => Scene::alone(Ours::spawn(brief()).await),
        State::Gathering => {
            let ours = Ours::spawn(brief()).await;
            ours.peer.set_local_description(None).await.unwrap();
            Scene::alone(ours)
        }
        State::Offering => {
            let mut ours = Ours::spawn(brief()).await;
            ours.offer().await;
            Scene::alone(ours)
        }
        State::Checking => {
            let link = Link::new(|_, _| Verdict::Drop).await.unwrap();
            negotiated(link, PeerConnectionState::Connecting).await
        }
        State::Handshaking => {
            let gate = Gate::default();
            let link = gate.link().await.unwrap();
            gate.hold(Class::Dtls);
            negotiated(link, PeerConnectionState::Connecting).await
        }
        State::Connected => connected(None).await,
        State::RestartingIce => {
            let mut scene = connected(None).await;
            scene.ours.peer.restart_ice().await.unwrap();
            let offer = scene.ours.offer().await;
            let remote = scene.remote.as_mut().expect("a pair");
            // Its candidates do not come, so that the second path is not found.
            let answer = remote.answer(&offer).await;
            let lines = answer.lines().filter(|line| !line.contains("a=candidate"));
            let answer: String = lines.map(|line| format!("{line}\r\n")).collect();
            scene.ours.accept_answer(&answer).await;
            scene
        }
        State::Disconnected => cut_off(PeerConnectionState::Disconnected).await,
        State::Failed => cut_off(PeerConnectionState::Failed).await,
        State::ClosedByRemote => {
            let scene = connected(None).await;
            scene.remote.as_ref().expect("a pair").peer.close().await;
            scene
        }
        State::OwnerHangs => owner_hangs().await,
    }
}

fn brief() -> PeerConnectionBuilder {
    let ms = Duration::from_millis;
    loopback()
        .ice_timeouts(ms(300), ms(300))
        .consent_interval(ms(60))
}

/// The link stands between them; ours is a.
async fn negotiated(link: Link, until: PeerConnectionState) -> Scene {
    let mut ours = Ours::spawn(loopback()).await;
    let mut remote = Ours::spawn(loopback()).await;
    let offer = ours.offer().await;
    let answer = remote.answer(&link.description_of_a(&offer)).await;
    ours.accept_answer(&link.description_of_b(&answer)).await;
    ours.expect_state(until).await;
    Scene::pair(ours, remote, Some(link))
}

async fn connected(link: Option<Link>) -> Scene {
    let mut ours = Ours::spawn(brief()).await;
    let mut remote = Ours::spawn(brief()).await;
    connect_ours(&mut ours, &mut remote, link.as_ref()).await;
    Scene::pair(ours, remote, link)
}

/// The remote side has vanished, without a word.
async fn cut_off(until: PeerConnectionState) -> Scene {
    let is_cut = Arc::new(AtomicBool::new(false));
    let cut = Arc::clone(&is_cut);
    let link = Link::new(
        move |_: Way, _: &[u8]| match is_cut.load(Ordering::Relaxed) {
            true => Verdict::Drop,
            false => Verdict::Forward,
        },
    );
    let mut scene = connected(Some(link.await.unwrap())).await;
    cut.store(true, Ordering::Relaxed);
    scene.ours.expect_state(until).await;
    scene
}

/// A connected peer is given to an owner that takes one event and never comes back.
async fn owner_hangs() -> Scene {
    let mut scene = connected(None).await;
    let (hanging, _) = Actor::spawn(None, Hanging, ()).await.unwrap();
    scene.ours.peer.set_owner(&hanging).await.unwrap();
    hanging.cast(Hang).unwrap();
    scene.owner = hanging.get_cell();
    scene
}

struct Hanging;

impl Actor for Hanging {
    type Msg = Hang;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Hang>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Hang>,
        _: Hang,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        std::future::pending().await
    }
}

/// What it is told is of no matter.
struct Hang;

impl From<PeerEvent> for Hang {
    fn from(_: PeerEvent) -> Self {
        Self
    }
}
