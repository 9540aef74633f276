//! What fails costs as little as it can.

use ractor::ActorCell;
use ractor_webrtc::MediaKind::{Audio, Video};
use ractor_webrtc::forwarder::{AddPeerError, Forwarder, ForwarderEvent, LayerWish, OnRequest};
use ractor_webrtc::{CallError, MediaStreamTrack, RtpTransceiverDirection};

use crate::common::{PATIENCE, eventually};
use crate::stage::Stage;

/// The parts of the Forwarder, in the order in which their peers came.
fn parts(stage: &Stage) -> Vec<ActorCell> {
    let mut parts = stage.hub().get_children();
    parts.sort_by_key(ActorCell::get_id);
    parts
}

#[tokio::test]
async fn a_part_that_fails_is_started_again_and_costs_no_packet() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Video]).await;
    let _ada_plays = ada.play(Video);
    let bob = stage.join("bob", &[Video]).await;
    bob.gets("ada", Video).await;
    let transceivers = bob.transceivers().await.len();
    parts(&stage)[1].kill();
    let restarted = stage
        .expect("a restart", |event| match event {
            ForwarderEvent::SubscriberRestarted { subscriber, .. } => Some(*subscriber),
            _ => None,
        })
        .await;
    assert_eq!(restarted, bob.id());
    bob.gets("ada", Video).await;
    let eve = stage.join("eve", &[Video]).await;
    let _eve_plays = eve.play(Video);
    bob.gets("eve", Video).await;
    bob.gets("ada", Video).await;
    bob.has_missed_nothing();
    assert_eq!(bob.transceivers().await.len(), transceivers + 1);
    assert_eq!(stage.parts(), 3);
}

#[tokio::test]
async fn a_part_that_fails_again_and_again_is_given_up_and_costs_no_other_peer() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Video]).await;
    let _ada_plays = ada.play(Video);
    let bob = stage.join("bob", &[Video]).await;
    let eve = stage.join("eve", &[]).await;
    eve.knows(2).await;
    for round in 0..6 {
        let part = match round {
            0 => parts(&stage).remove(1),
            _ => parts(&stage).remove(2),
        };
        part.kill();
        stage
            .expect("what becomes of it", |event| match event {
                ForwarderEvent::SubscriberRestarted { subscriber, .. } if round < 5 => {
                    Some(*subscriber)
                }
                ForwarderEvent::SubscriberFailed { subscriber, .. } if round == 5 => {
                    Some(*subscriber)
                }
                _ => None,
            })
            .await;
    }
    eve.knows(1).await;
    eve.gets("ada", Video).await;
    eve.has_missed_nothing();
    assert_eq!(stage.snapshot().await.peers, [ada.id(), eve.id()]);
    assert_eq!(stage.parts(), 2);
    drop(bob);
}

#[tokio::test]
async fn a_successor_finds_everything_again_while_media_goes_on() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Audio, Video]).await;
    let bob = stage.join("bob", &[Audio, Video]).await;
    let _plays = (
        ada.play(Audio),
        ada.play(Video),
        bob.play(Audio),
        bob.play(Video),
    );
    ada.gets("bob", Video).await;
    bob.gets("ada", Video).await;
    let before = stage.snapshot().await;
    stage.told();
    for _ in 0..3 {
        stage.kill().await;
        let (sound, picture) = (bob.gets("ada", Audio).await, bob.gets("ada", Video).await);
        stage.succeed(Forwarder::builder()).await;
        // It does no harm.
        for member in [&ada, &bob] {
            stage.forwarder().add_peer(&member.peer).await.unwrap();
        }
        assert_eq!(bob.gets("ada", Audio).await, sound);
        assert_eq!(bob.gets("ada", Video).await, picture);
        assert_eq!(stage.snapshot().await, before);
        assert_eq!(ada.transceivers().await.len(), 2);
        assert_eq!(bob.transceivers().await.len(), 2);
    }
    assert_eq!(stage.told(), []);
    for member in [&ada, &bob] {
        member.has_missed_nothing();
    }
    // And it works on: newcomers are served, and who leaves leaves nothing behind.
    let eve = stage.join("eve", &[Audio]).await;
    let _eve_plays = eve.play(Audio);
    eve.gets("bob", Video).await;
    bob.gets("eve", Audio).await;
    ada.peer.close().await;
    bob.knows(1).await;
    eve.knows(2).await;
}

#[tokio::test]
async fn a_successor_tells_what_has_changed_while_there_was_none() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let mut ada = stage.join("ada", &[Audio, Video]).await;
    let bob = stage.join("bob", &[Audio]).await;
    let eve = stage.join("eve", &[]).await;
    eve.knows(3).await;
    let camera = stage.publication(&ada, Video).await;
    let sound_of_bob = stage.publication(&bob, Audio).await;
    stage.told();
    stage.kill().await;
    ada.take_back(Video).await;
    let what = "the server's peer has heard of it";
    eventually(PATIENCE, what, async || {
        let transceivers = ada.transceivers().await;
        let received = transceivers.iter().filter(|it| {
            let current = it.current_direction();
            current.is_some_and(RtpTransceiverDirection::receives)
        });
        (received.count() == 1).then_some(())
    })
    .await;
    bob.peer.close().await;
    stage.succeed(Forwarder::builder()).await;
    let mut over = Vec::new();
    for _ in 0..2 {
        let one = stage
            .expect("an end", |event| match event {
                ForwarderEvent::Unpublished { publication, .. } => Some(*publication),
                _ => None,
            })
            .await;
        over.push(one);
    }
    assert_eq!(over, [sound_of_bob, camera]);
    eve.knows(1).await;
    assert_eq!(stage.snapshot().await.peers, [ada.id(), eve.id()]);
    let _plays = ada.play(Audio);
    eve.gets("ada", Audio).await;
    eve.has_missed_nothing();
}

/// Slots, wishes, pauses and what was unsubscribed by hand are what they were.
#[tokio::test]
async fn a_successor_keeps_what_was_done_by_hand() {
    let stage = Stage::open(Forwarder::builder().policy(OnRequest)).await;
    let ada = stage.join("ada", &[Audio, Video]).await;
    let bob = stage.join("bob", &[]).await;
    let sound = stage.publication(&ada, Audio).await;
    let camera = stage.publication(&ada, Video).await;
    let forwarder = stage.forwarder();
    let slot = MediaStreamTrack::new(Video, []);
    forwarder.add_slot(bob.id(), slot.clone()).await.unwrap();
    forwarder.switch(slot.id(), camera).await.unwrap();
    let heard = forwarder.subscribe(bob.id(), sound).await.unwrap();
    forwarder.set_paused(sound, true);
    forwarder.set_layers(slot.id(), LayerWish::UpTo("m".into()));
    let before = stage.snapshot().await;
    let _plays = (ada.play(Audio), ada.play(Video));
    bob.gets("ada", Video).await;
    stage.kill().await;
    stage.succeed(Forwarder::builder().policy(OnRequest)).await;
    let forwarder = stage.forwarder();
    forwarder.add_peer(&bob.peer).await.unwrap();
    assert_eq!(stage.snapshot().await, before);
    bob.gets("ada", Video).await;
    assert_eq!(bob.count("ada", Audio), 0);
    forwarder.set_paused(sound, false);
    bob.gets("ada", Audio).await;
    forwarder.unsubscribe(heard.id());
    bob.knows(1).await;
    bob.has_missed_nothing();
}

/// A peer whose actor stands still with the first thing that it has to tell, until the gate opens.
mod stuck {
    use std::sync::{Mutex, MutexGuard};

    use ractor::{Actor, ActorProcessingErr, ActorRef};
    use ractor_webrtc::{Event, PeerConnection, PeerEvent};

    use crate::common::owner::loopback;

    static GATE: Mutex<()> = Mutex::new(());

    pub(super) struct Owner;

    pub(super) struct Message;

    impl From<PeerEvent> for Message {
        fn from(event: PeerEvent) -> Self {
            if let Event::NegotiationNeeded = event.event {
                tokio::task::block_in_place(|| drop(GATE.lock().unwrap()));
            }
            Self
        }
    }

    impl Actor for Owner {
        type Msg = Message;
        type State = ();
        type Arguments = ();

        async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<(), ActorProcessingErr> {
            Ok(())
        }
    }

    pub(super) fn close_gate() -> MutexGuard<'static, ()> {
        GATE.lock().unwrap()
    }

    pub(super) async fn peer() -> (ActorRef<Message>, PeerConnection) {
        let (owner, _) = Actor::spawn(None, Owner, ()).await.unwrap();
        let peer = loopback().spawn_linked(&owner).await.unwrap();
        (owner, peer)
    }
}

#[allow(
    clippy::await_holding_lock,
    reason = "the gate is for a peer to stand before"
)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_stuck_delays_nobody() {
    let stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Audio, Video]).await;
    let _plays = (ada.play(Audio), ada.play(Video));
    for kind in [Audio, Video] {
        stage.publication(&ada, kind).await;
    }
    let forwarder = stage.forwarder();
    let (owner, peer) = stuck::peer().await;
    let gate = stuck::close_gate();
    let adding = tokio::spawn({
        let (forwarder, peer) = (forwarder.clone(), peer.clone());
        async move { forwarder.add_peer(&peer).await }
    });
    let bob = stage.join("bob", &[Video]).await;
    let _bob_plays = bob.play(Video);
    bob.gets("ada", Video).await;
    ada.gets("bob", Video).await;
    let unanswered = AddPeerError::Call(CallError::Timeout);
    assert_eq!(adding.await.unwrap(), Err(unanswered));
    drop(gate);
    let what = "it gets what it should have got";
    eventually(PATIENCE, what, async || {
        let senders = peer.senders().await.unwrap();
        let tracks = senders.iter().filter(|it| it.track().is_some());
        (tracks.count() == 3).then_some(())
    })
    .await;
    owner.stop(None);
}
