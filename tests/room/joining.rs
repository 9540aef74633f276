//! Who comes in, who comes late, who comes again.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use ractor_webrtc::room::{JoinError, JoinRequest, LeaveReason, RoomEvent};
use ractor_webrtc::{MediaKind, MediaStreamTrack};

use super::common::{PATIENCE, eventually};
use super::hall::Hall;
use super::page::{Page, PageOptions};

const BOTH: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

#[tokio::test]
async fn three_in_a_room_each_receive_the_two_others() {
    let hall = Hall::open().await;
    let mut pages = Vec::new();
    for name in ["Ada", "Bob", "Cleo"] {
        pages.push(Page::join(&hall.room, name).await);
    }
    let everybody: Vec<_> = pages.iter().map(Page::id).collect();
    for page in &mut pages {
        let own = page.id();
        for other in everybody.iter().filter(|id| **id != own) {
            page.receives(*other).await;
        }
    }
    hall.subscriptions(12).await;
    for page in &mut pages {
        let own = page.id();
        let mut expected = HashSet::new();
        for other in everybody.iter().filter(|id| **id != own) {
            expected.extend(page.published_by(*other));
        }
        assert_eq!(expected.len(), 4);
        assert_eq!(page.shown().await, expected);
    }
}

#[tokio::test]
async fn who_comes_late_has_what_fits_in_the_answer_to_its_offer_and_the_rest_in_one_offer() {
    let hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    ada.receives(bob.id()).await;
    bob.receives(ada.id()).await;
    let mut cleo = Page::join(&hall.room, "Cleo").await;
    for other in [ada.id(), bob.id()] {
        cleo.receives(other).await;
    }
    let offers = &cleo.signalling.offers_of_room;
    assert_eq!(offers.load(Ordering::Relaxed), 1);
    // Four of others, two of them where it sends its own.
    assert_eq!(cleo.media_lines().await, 4);
    for page in [&mut ada, &mut bob] {
        page.receives(cleo.id()).await;
    }
}

#[tokio::test]
async fn a_page_that_only_watches_says_nothing_first() {
    let hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    ada.hears("own camera", is_published).await;
    let mut viewer = Page::join_silently(&hall.room, JoinRequest::new("Viewer")).await;
    viewer.receives(ada.id()).await;
    let signalling = &viewer.signalling;
    assert_eq!(signalling.offers_of_page.load(Ordering::Relaxed), 0);
    assert_eq!(signalling.offers_of_room.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn ten_tracks_that_come_together_are_two_negotiations_at_most() {
    let mut hall = Hall::open_with(|builder| {
        builder.limits(ractor_webrtc::room::RoomLimits {
            tracks_per_participant: 10,
            ..Default::default()
        })
    })
    .await;
    let mut viewer = Page::join(&hall.room, "Viewer").await;
    viewer.expect_connected().await;
    let kinds = (0..10).map(|number| BOTH[number % 2]);
    let tracks = kinds.map(|kind| {
        let stream = MediaStreamTrack::generate_stream_id();
        MediaStreamTrack::new(kind, [stream])
    });
    let tracks: Vec<MediaStreamTrack> = tracks.collect();
    let ada = Page::join_with(&hall.room, JoinRequest::new("Ada"), &tracks).await;
    eventually(PATIENCE, "ten tracks at the viewer", async || {
        (viewer.shown().await.len() == 10).then_some(())
    })
    .await;
    viewer.receives(ada.id()).await;
    let made = viewer.signalling.offers_of_room.load(Ordering::Relaxed);
    assert!((1..=2).contains(&made), "{made} offers");
    assert!(hall.news().iter().all(|event| !failed(event)));
}

#[tokio::test]
async fn a_page_shares_its_screen_by_an_offer_of_its_own_while_the_room_makes_one() {
    let hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    bob.receives(ada.id()).await;
    ada.receives(bob.id()).await;
    // Both add something at the same time: each is offered what the other adds.
    ada.publish(&[MediaKind::Video]).await;
    let (stream, _) = bob.publish(&BOTH).await;
    bob.participant.set_label(stream, "screen".to_owned());
    hall.subscriptions(7).await;
    let labelled = ada.hears("label of the screen", |event| match event {
        RoomEvent::Published { label, .. } | RoomEvent::Labelled { label, .. } => {
            label.as_deref() == Some("screen")
        }
        _ => false,
    });
    let (RoomEvent::Published { stream, .. } | RoomEvent::Labelled { stream, .. }) = labelled.await
    else {
        unreachable!("those alone are waited for");
    };
    let screen: Vec<_> = BOTH
        .iter()
        .map(|kind| (stream.to_string(), *kind))
        .collect();
    eventually(PATIENCE, "the screen at Ada", async || {
        let shown = ada.shown().await;
        screen
            .iter()
            .all(|track| shown.contains(track))
            .then_some(())
    })
    .await;
    eventually(PATIENCE, "the second camera at Bob", async || {
        (bob.shown().await.len() == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_page_that_comes_again_takes_its_own_place() {
    let mut hall = Hall::open().await;
    let mut other = Page::join(&hall.room, "Other").await;
    let page = || JoinRequest::new("Ada").key("secret");
    let mut former = Page::join_silently(&hall.room, page()).await;
    former.publish(&BOTH).await;
    other.receives(former.id()).await;
    let mut latter = Page::join_silently(&hall.room, page()).await;
    latter.publish(&BOTH).await;
    assert_eq!(former.expect_closed().await, LeaveReason::Replaced);
    other.receives(latter.id()).await;
    latter.receives(other.id()).await;
    let told: Vec<RoomEvent> = (other.heard.iter())
        .filter(|event| matches!(event, RoomEvent::Left { .. } | RoomEvent::Joined { .. }))
        .cloned()
        .collect();
    let joined = |page: &Page| RoomEvent::Joined {
        participant: page.id(),
        name: "Ada".to_owned(),
    };
    let left = RoomEvent::Left {
        participant: former.id(),
        reason: LeaveReason::Replaced,
    };
    assert_eq!(told, [joined(&former), left, joined(&latter)]);
    assert!(
        latter
            .heard
            .iter()
            .all(|event| !matches!(event, RoomEvent::Left { .. }))
    );
    let own = other.published_by(latter.id());
    assert_eq!(other.shown().await, own, "nothing of the former is left");
    hall.subscriptions(4).await;
    assert_eq!(hall.present().await, [other.id(), latter.id()]);
    assert!(hall.news().iter().all(|event| !failed(event)));
}

#[tokio::test]
async fn two_pages_whose_streams_have_the_same_name_stay_two() {
    let hall = Hall::open().await;
    let mut viewer = Page::join_silently(&hall.room, JoinRequest::new("Viewer")).await;
    let mut pages = Vec::new();
    for name in ["Ada", "Bob"] {
        let page = Page::join_silently(&hall.room, JoinRequest::new(name)).await;
        let track = MediaStreamTrack::new(MediaKind::Video, ["camera".into()]);
        page.pc.add_track(&track).await.unwrap();
        pages.push((page, track));
    }
    for (page, track) in &mut pages {
        page.film(track, -20);
        viewer.receives_kinds(page.id(), &[MediaKind::Video]).await;
    }
    assert_eq!(viewer.shown().await.len(), 2);
}

#[tokio::test]
async fn whose_listener_has_ended_does_not_join_and_nobody_joins_a_room_that_is_over() {
    let hall = Hall::open().await;
    let listener = Page::join_silently(&hall.room, JoinRequest::new("Ada")).await;
    listener.actor.stop_and_wait(None, None).await.unwrap();
    let joined = hall
        .room
        .join(JoinRequest::new("Bob"), &listener.actor)
        .await;
    assert!(matches!(joined, Err(JoinError::ListenerGone)), "{joined:?}");
    hall.room.close().await;
    let joined = Page::try_join(&hall.room, JoinRequest::new("Cleo"), PageOptions::default()).await;
    let error = joined.err().unwrap();
    assert!(matches!(error, JoinError::Call(_)), "{error:?}");
}

#[tokio::test]
async fn who_does_not_wait_until_it_has_joined_has_not_joined() {
    let mut hall = Hall::open().await;
    let listener = Page::join_silently(&hall.room, JoinRequest::new("Listener")).await;
    hall.expect("the listener itself", |event| {
        is_joined(event).then_some(())
    })
    .await;
    let join = hall.room.join(JoinRequest::new("Hasty"), &listener.actor);
    tokio::select! {
        // One poll sends the request.
        biased;
        _ = join => panic!("nobody joins in no time"),
        () = std::future::ready(()) => {}
    }
    let reason = hall
        .expect("end of the hasty one", |event| match event {
            RoomEvent::Left { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await;
    assert_eq!(reason, LeaveReason::Left);
    assert_eq!(hall.present().await, [listener.id()]);
}

#[tokio::test]
async fn without_a_port_nobody_joins_and_nothing_is_left() {
    let hall = Hall::open().await;
    hall.endpoint().stop();
    let joined = Page::try_join(&hall.room, JoinRequest::new("Ada"), PageOptions::default()).await;
    let error = joined.err().unwrap();
    assert!(matches!(error, JoinError::Connection(_)), "{error:?}");
    eventually(PATIENCE, "nobody is left", async || {
        (hall.parts().len() == 1).then_some(())
    })
    .await;
    assert_eq!(hall.present().await, []);
}

fn is_published(event: &RoomEvent) -> bool {
    matches!(event, RoomEvent::Published { .. })
}

fn is_joined(event: &RoomEvent) -> bool {
    matches!(event, RoomEvent::Joined { .. })
}

fn failed(event: &RoomEvent) -> bool {
    matches!(
        event,
        RoomEvent::NegotiationFailed { .. } | RoomEvent::NotForwarded { .. }
    )
}
