//! What breaks, and who notices.

use std::sync::atomic::{AtomicUsize, Ordering};

use ractor::{ActorCell, ActorStatus};
use ractor_webrtc::MediaKind;
use ractor_webrtc::room::{
    JoinError, JoinRequest, LeaveReason, RoomCloseReason, RoomEvent, RoomLimits,
};

use super::common::owner::{loopback, shared_endpoint};
use super::common::{PATIENCE, eventually};
use super::hall::Hall;
use super::muting::is_silent;
use super::page::{Page, PageOptions};

#[tokio::test]
async fn one_peers_failure_is_one_peers_failure() {
    let mut hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    // The participant itself, its peer connection, its negotiator.
    type Choose = fn(&ActorCell) -> ActorCell;
    let victims: [(Choose, LeaveReason); 3] = [
        (|participant| participant.clone(), LeaveReason::Crashed),
        (
            |participant| child(participant, 0),
            LeaveReason::ConnectionFailed,
        ),
        (|participant| child(participant, 1), LeaveReason::Crashed),
    ];
    for (choose, reason) in victims {
        let mut goes = Page::join(&hall.room, "Goes").await;
        ada.receives(goes.id()).await;
        goes.receives(ada.id()).await;
        let participant = hall.parts().pop().unwrap();
        choose(&participant).kill();
        assert_eq!(goes.expect_closed().await, reason);
        let left = RoomEvent::Left {
            participant: goes.id(),
            reason,
        };
        bob.hears("who left", |event| *event == left).await;
        ada.receives(bob.id()).await;
        bob.receives(ada.id()).await;
        eventually(PATIENCE, "its tracks are gone", async || {
            (ada.shown().await == ada.published_by(bob.id())).then_some(())
        })
        .await;
        eventually(PATIENCE, "its actors are gone", async || {
            (participant.get_status() == ActorStatus::Stopped).then_some(())
        })
        .await;
    }
    assert_eq!(hall.present().await, [ada.id(), bob.id()]);
    assert_eq!(ada.catch_up(), None);
    assert!(
        hall.news()
            .iter()
            .all(|event| *event != RoomEvent::ForwarderRestarted)
    );
}

#[tokio::test]
async fn a_forwarder_that_fails_is_started_again_and_nobody_sees_it() {
    let mut hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    ada.receives(bob.id()).await;
    bob.receives(ada.id()).await;
    hall.subscriptions(4).await;
    let before = (ada.shown().await, ada.media_lines().await);
    let offers = (ada.offers(), bob.offers());
    hall.parts()[0].kill();
    let restarted = RoomEvent::ForwarderRestarted;
    hall.expect("another forwarder", |event| {
        (*event == restarted).then_some(())
    })
    .await;
    // Media goes on, and the new one knows what there is: who comes and who goes is seen to.
    let mut cleo = Page::join(&hall.room, "Cleo").await;
    for page in [&mut ada, &mut bob] {
        page.receives(cleo.id()).await;
        cleo.receives(page.id()).await;
    }
    cleo.participant.leave();
    eventually(PATIENCE, "what there was before Cleo", async || {
        (ada.shown().await == before.0).then_some(())
    })
    .await;
    bob.receives(ada.id()).await;
    assert!(ada.media_lines().await <= before.1 + 2);
    // For Cleo's coming and going at most two each.
    assert!(ada.offers() <= offers.0 + 4 && bob.offers() <= offers.1 + 4);
    let published = |event: &RoomEvent| matches!(event, RoomEvent::Unpublished { .. });
    assert!(
        !hall.news().iter().any(published),
        "nothing was unpublished"
    );
}

#[tokio::test]
async fn what_is_muted_stays_muted_when_the_forwarder_fails() {
    let mut hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    bob.receives(ada.id()).await;
    hall.room.set_muted(ada.id(), MediaKind::Audio, true);
    bob.hears("mute", |event| matches!(event, RoomEvent::Muted { .. }))
        .await;
    hall.parts()[0].kill();
    // Said while there is none.
    hall.room.set_muted(ada.id(), MediaKind::Video, true);
    let restarted = RoomEvent::ForwarderRestarted;
    hall.expect("another forwarder", |event| {
        (*event == restarted).then_some(())
    })
    .await;
    ada.receives(bob.id()).await;
    is_silent(&mut bob, MediaKind::Audio).await;
    is_silent(&mut bob, MediaKind::Video).await;
}

#[tokio::test]
async fn a_forwarder_that_fails_too_often_ends_the_room() {
    let mut hall = Hall::open_with(|builder| {
        builder.limits(RoomLimits {
            forwarder_restarts: 1,
            ..RoomLimits::default()
        })
    })
    .await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    hall.parts()[0].kill();
    let restarted = RoomEvent::ForwarderRestarted;
    hall.expect("another forwarder", |event| {
        (*event == restarted).then_some(())
    })
    .await;
    hall.parts().pop().unwrap().kill();
    assert_eq!(ada.expect_closed().await, LeaveReason::RoomClosed);
    assert_eq!(hall.expect_closed().await, RoomCloseReason::ForwarderFailed);
}

#[tokio::test]
async fn a_panic_on_the_way_in_is_the_end_of_one_visit() {
    // The application's closure, for example, of which the actor that calls it cannot know.
    let calls = AtomicUsize::new(0);
    let (_socket, endpoint) = shared_endpoint().await;
    let hall = Hall::open_with(|builder| {
        builder.connection(move || {
            assert_ne!(calls.fetch_add(1, Ordering::Relaxed), 1, "panics once");
            loopback().endpoint(endpoint.clone())
        })
    })
    .await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let request = JoinRequest::new("Unlucky");
    let joined = Page::try_join(&hall.room, request, PageOptions::default()).await;
    let error = joined.err().unwrap();
    assert!(matches!(error, JoinError::Left), "{error:?}");
    let crashed = |event: &RoomEvent| {
        let crashed = LeaveReason::Crashed;
        matches!(event, RoomEvent::Left { reason, .. } if *reason == crashed)
    };
    ada.hears("who crashed", crashed).await;
    let bob = Page::join(&hall.room, "Bob").await;
    ada.receives(bob.id()).await;
}

#[tokio::test]
async fn a_room_that_is_killed_takes_all_along_and_everybody_hears_of_it() {
    let mut hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    ada.receives(bob.id()).await;
    let participants = hall.parts();
    hall.cell().kill();
    for page in [&mut ada, &mut bob] {
        assert_eq!(page.expect_closed().await, LeaveReason::RoomClosed);
    }
    assert_eq!(hall.expect_closed().await, RoomCloseReason::Crashed);
    for participant in participants {
        participant.wait(None).await.unwrap();
    }
    let joined = hall.room.join(JoinRequest::new("Cleo"), &ada.actor).await;
    assert!(joined.is_err());
}

#[tokio::test]
async fn a_room_ends_with_its_owner() {
    let hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let room = hall.cell();
    hall.owner.kill();
    assert_eq!(ada.expect_closed().await, LeaveReason::RoomClosed);
    room.wait(None).await.unwrap();
}

/// In the order in which they were started.
fn child(parent: &ActorCell, number: usize) -> ActorCell {
    let mut children = parent.get_children();
    children.sort_by_key(ActorCell::get_id);
    children.remove(number)
}
