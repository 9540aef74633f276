//! Who goes, for whatever reason: nothing of it is left.

use ractor_webrtc::peer_connection::DtlsTransportState;
use ractor_webrtc::room::{LeaveReason, RoomCloseReason, RoomEvent};
use ractor_webrtc::{Event, PeerConnection};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::common::{PATIENCE, eventually};
use super::hall::Hall;
use super::page::{Page, PageEvent};

#[tokio::test]
async fn who_leaves_is_told_of_with_the_reason_and_its_tracks_are_taken_from_the_others() {
    let mut hall = Hall::open().await;
    let mut stays = Page::join(&hall.room, "Stays").await;
    type Leave = fn(&Hall, &Page);
    let ways: [(Leave, LeaveReason); 3] = [
        (|_, page| page.participant.leave(), LeaveReason::Left),
        (
            |hall, page| hall.room.remove(page.id()),
            LeaveReason::Removed,
        ),
        (|_, page| page.actor.kill(), LeaveReason::ListenerGone),
    ];
    for (leave, reason) in ways {
        let mut goes = Page::join(&hall.room, "Goes").await;
        stays.receives(goes.id()).await;
        goes.receives(stays.id()).await;
        leave(&hall, &goes);
        if reason != LeaveReason::ListenerGone {
            assert_eq!(goes.expect_closed().await, reason);
        }
        let left = RoomEvent::Left {
            participant: goes.id(),
            reason,
        };
        stays.hears("who left", |event| *event == left).await;
        hall.expect("who left", |event| (*event == left).then_some(()))
            .await;
        sees_nobody(&stays).await;
    }
    // What is sent to the next is sent where the former was.
    assert_eq!(stays.media_lines().await, 2);
    only_these_are_left(&hall, &[&stays]).await;
}

#[tokio::test]
async fn a_page_that_closes_its_connection_has_left() {
    let hall = Hall::open().await;
    let mut stays = Page::join(&hall.room, "Stays").await;
    let mut goes = Page::join(&hall.room, "Goes").await;
    stays.receives(goes.id()).await;
    goes.stop_filming();
    goes.pc.close().await;
    assert_eq!(goes.expect_closed().await, LeaveReason::ConnectionClosed);
    sees_nobody(&stays).await;
}

#[tokio::test]
async fn the_page_of_who_is_removed_sees_its_connection_closed() {
    let hall = Hall::open().await;
    let mut page = Page::join(&hall.room, "Ada").await;
    page.expect_connected().await;
    hall.room.remove(page.id());
    page.expect_closed().await;
    page.expect("end of DTLS", |event| {
        let closed = DtlsTransportState::Closed;
        let PageEvent::Peer(Event::DtlsTransportStateChange(state)) = event else {
            return None;
        };
        (*state == closed).then_some(())
    })
    .await;
}

#[tokio::test]
async fn when_a_room_closes_everybody_hears_it_last_and_nothing_runs_any_more() {
    let mut hall = Hall::open().await;
    let mut pages = Vec::new();
    for name in ["Ada", "Bob"] {
        pages.push(Page::join(&hall.room, name).await);
    }
    let [ada, bob] = &mut pages[..] else {
        unreachable!("two have joined");
    };
    ada.receives(bob.id()).await;
    let (room, connections) = (hall.cell(), hall.connections().await);
    assert_eq!(connections.len(), 2);
    hall.room.close().await;
    assert_eq!(room.get_status(), ractor::ActorStatus::Stopped);
    for page in &mut pages {
        assert_eq!(page.expect_closed().await, LeaveReason::RoomClosed);
        let told_others = page
            .heard
            .iter()
            .any(|event| matches!(event, RoomEvent::Left { .. }));
        assert!(
            !told_others,
            "everybody goes, and nobody need be told of the others"
        );
    }
    assert_eq!(hall.expect_closed().await, RoomCloseReason::Requested);
    assert_eq!(hall.news(), []);
    assert_eq!(room.get_children().len(), 0);
    let running = PeerConnection::all_running();
    let running: Vec<_> = running.iter().map(PeerConnection::id).collect();
    assert!(connections.iter().all(|pc| !running.contains(&pc.id())));
    hall.room.close().await;
}

#[tokio::test]
async fn twenty_joins_and_leaves_in_random_order_leave_no_track_anywhere() {
    let mut hall = Hall::open().await;
    let mut stays = Page::join(&hall.room, "Stays").await;
    let mut dice = StdRng::seed_from_u64(5);
    let mut pages: Vec<Page> = Vec::new();
    let mut most = 0;
    let (mut joined, mut left) = (0, 0);
    while joined < 20 || left < 20 {
        let comes = joined < 20 && (pages.is_empty() || dice.random_bool(0.5));
        if comes {
            pages.push(Page::join(&hall.room, "Somebody").await);
            joined += 1;
            most = most.max(pages.len());
        } else {
            let goes = pages.swap_remove(dice.random_range(0..pages.len()));
            match dice.random_range(0..3) {
                0 => goes.participant.leave(),
                1 => goes.actor.kill(),
                _ => drop(goes),
            }
            left += 1;
        }
        // Some are in the middle of a negotiation when the next thing happens, some are not.
        let waits = dice.random_bool(0.3);
        if let Some(newest) = pages.last().filter(|_| waits) {
            stays.receives(newest.id()).await;
        }
    }
    sees_nobody(&stays).await;
    let lines = stays.media_lines().await;
    assert!(lines <= 2 * (most + 1), "{lines} m-lines, {most} at a time");
    only_these_are_left(&hall, &[&stays]).await;
    let told = hall.news();
    let failed = told
        .iter()
        .filter(|event| matches!(event, RoomEvent::NegotiationFailed { .. }));
    assert_eq!(failed.count(), 0);
    assert_eq!(stays.failures, []);
    // And who comes now has all, and no more.
    let mut late = Page::join(&hall.room, "Late").await;
    late.receives(stays.id()).await;
    stays.receives(late.id()).await;
    assert_eq!(late.shown().await, late.published_by(stays.id()));
    assert_eq!(stays.shown().await, stays.published_by(late.id()));
}

/// Nothing is shown to it, and nothing is attached for it.
async fn sees_nobody(page: &Page) {
    eventually(PATIENCE, "no track of others", async || {
        page.shown().await.is_empty().then_some(())
    })
    .await;
}

/// Of actors, and of tracks with their senders.
async fn only_these_are_left(hall: &Hall, pages: &[&Page]) {
    eventually(PATIENCE, "no participant is left over", async || {
        (hall.parts().len() == 1 + pages.len()).then_some(())
    })
    .await;
    let pages: Vec<_> = pages.iter().map(|page| page.id()).collect();
    assert_eq!(hall.present().await, pages);
    for pc in hall.connections().await {
        for sender in pc.senders().await.unwrap() {
            assert_eq!(sender.track(), None, "{} sends something", pc.id());
        }
    }
}
