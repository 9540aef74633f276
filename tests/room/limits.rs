//! What is too much, and what takes too long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor_webrtc::perfect_negotiation::SignalingMessage;
use ractor_webrtc::room::{
    JoinError, JoinRequest, LeaveReason, Room, RoomEvent, RoomLimits, RoomTimes,
};
use ractor_webrtc::{
    Event, IceCandidate, MediaKind, MediaStreamTrack, PeerConnectionState, SessionDescription,
};

use super::common::link::{Link, Verdict};
use super::common::owner::loopback;
use super::common::{PATIENCE, eventually};
use super::hall::Hall;
use super::page::{Page, PageEvent, PageOptions};

#[tokio::test]
async fn a_full_room_refuses_and_has_room_again_when_somebody_leaves() {
    let hall = Hall::open_with(|builder| {
        builder.limits(RoomLimits {
            participants: 2,
            ..RoomLimits::default()
        })
    })
    .await;
    let ada = Page::join(&hall.room, "Ada").await;
    let _bob = Page::join(&hall.room, "Bob").await;
    let options = PageOptions::default;
    let refused = Page::try_join(&hall.room, JoinRequest::new("Cleo"), options()).await;
    let error = refused.err().unwrap();
    assert!(
        matches!(error, JoinError::RoomFull { limit: 2 }),
        "{error:?}"
    );
    ada.participant.leave();
    let joined = Page::try_join(&hall.room, JoinRequest::new("Cleo"), options()).await;
    joined.unwrap();
}

#[tokio::test]
async fn tracks_beyond_the_limit_are_not_forwarded_and_the_publisher_is_told() {
    let hall = Hall::open_with(|builder| {
        builder.limits(RoomLimits {
            tracks_per_participant: 2,
            ..RoomLimits::default()
        })
    })
    .await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    let tracks: Vec<_> = (0..3)
        .map(|_| MediaStreamTrack::new(MediaKind::Video, []))
        .collect();
    let mut ada = Page::join_with(&hall.room, JoinRequest::new("Ada"), &tracks).await;
    let refused = ada.hears("refusal", |event| {
        matches!(event, RoomEvent::NotForwarded { .. })
    });
    let RoomEvent::NotForwarded { participant, .. } = refused.await else {
        unreachable!("that was waited for");
    };
    assert_eq!(participant, ada.id());
    bob.receives_kinds(ada.id(), &[MediaKind::Video]).await;
    eventually(PATIENCE, "two tracks", async || {
        (bob.shown().await.len() == 2).then_some(())
    })
    .await;
    let hears = |event: &RoomEvent| matches!(event, RoomEvent::NotForwarded { .. });
    assert!(!bob.heard.iter().any(hears), "it is no concern of others");
}

#[tokio::test]
async fn who_says_too_much_has_to_go_and_costs_nobody_else_a_thing() {
    let hall = Hall::open_with(|builder| {
        builder.limits(RoomLimits {
            messages_per_second: 10,
            message_burst: 40,
            ..RoomLimits::default()
        })
    })
    .await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    let mut noisy = Page::join_silently(&hall.room, JoinRequest::new("Noisy")).await;
    for _ in 0..1_000 {
        let candidate = IceCandidate::default();
        let message = SignalingMessage::Candidate(Some(candidate));
        noisy.participant.receive(message);
    }
    assert_eq!(noisy.expect_closed().await, LeaveReason::TooManyMessages);
    noisy.participant.receive(SignalingMessage::Candidate(None));
    bob.receives(ada.id()).await;
    ada.receives(bob.id()).await;
    assert_eq!(hall.present().await, [ada.id(), bob.id()]);
}

#[tokio::test]
async fn nonsense_is_told_to_who_has_said_it_and_changes_nothing() {
    let hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    bob.receives(ada.id()).await;
    for sdp in ["", "v=0\r\n", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"] {
        ada.forget();
        let nonsense = SessionDescription::offer(sdp);
        ada.participant
            .receive(SignalingMessage::Description(nonsense));
        let failed = |event: &RoomEvent| matches!(event, RoomEvent::NegotiationFailed { .. });
        ada.hears("what was wrong", failed).await;
        assert!(!bob.heard.iter().any(failed));
    }
    bob.heard
        .retain(|event| matches!(event, RoomEvent::Published { .. }));
    bob.receives(ada.id()).await;
}

#[tokio::test]
async fn who_never_connects_has_to_go_and_who_needs_no_connection_may_stay() {
    let hall = Hall::open_with(|builder| {
        builder.times(RoomTimes {
            connecting: Duration::from_millis(300),
            ..RoomTimes::default()
        })
    })
    .await;
    let watches = Page::join_silently(&hall.room, JoinRequest::new("Watches")).await;
    let link = Link::new(|_, _| Verdict::Drop).await.unwrap();
    let options = PageOptions {
        tracks: vec![MediaStreamTrack::new(MediaKind::Audio, [])],
        link: Some(Arc::new(link)),
    };
    let unreachable = Page::try_join(&hall.room, JoinRequest::new("Unreachable"), options).await;
    let mut unreachable = unreachable.unwrap();
    assert_eq!(
        unreachable.expect_closed().await,
        LeaveReason::NeverConnected
    );
    assert_eq!(hall.present().await, [watches.id()]);
}

#[tokio::test]
async fn who_is_lost_has_to_go_after_its_time_and_not_before() {
    let (room, mut page, cut) = cuttable(Duration::from_millis(300)).await;
    cut.store(true, Ordering::Relaxed);
    let failed = |event: &RoomEvent| {
        let lost = PeerConnectionState::Failed;
        matches!(event, RoomEvent::ConnectionStateChanged { state, .. } if *state == lost)
    };
    page.hears("that it is lost", failed).await;
    assert_eq!(room.present().await, [page.id()]);
    assert_eq!(page.expect_closed().await, LeaveReason::ConnectionLost);
}

#[tokio::test]
async fn an_ice_restart_of_the_page_saves_the_visit() {
    let (hall, mut page, cut) = cuttable(Duration::from_secs(30)).await;
    let mut other = Page::join(&hall.room, "Other").await;
    other.receives(page.id()).await;
    cut.store(true, Ordering::Relaxed);
    let state = |wanted: PeerConnectionState| {
        let id = page.id();
        move |event: &RoomEvent| {
            matches!(event, RoomEvent::ConnectionStateChanged { participant, state }
                if *participant == id && *state == wanted)
        }
    };
    let (failed, connected) = (
        state(PeerConnectionState::Failed),
        state(PeerConnectionState::Connected),
    );
    other.hears("that it is lost", failed).await;
    other.forget();
    cut.store(false, Ordering::Relaxed);
    page.pc.restart_ice().await.unwrap();
    other.hears("that it is back", connected).await;
    assert_eq!(page.catch_up(), None);
    // Its tracks and those of others have stayed where they were.
    page.expect("media of the other", |event| match event {
        PageEvent::Peer(Event::Rtp { .. }) => Some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn nobody_is_too_long() {
    let hall = Hall::open().await;
    let request = JoinRequest::new("x".repeat(1_000));
    let refused = Page::try_join(&hall.room, request, PageOptions::default()).await;
    let error = refused.err().unwrap();
    assert!(
        matches!(error, JoinError::TooLong { what: "name", .. }),
        "{error:?}"
    );
}

/// A connected page whose way can be cut, in a room that waits so long for it to come back.
async fn cuttable(reconnecting: Duration) -> (Hall, Page, Arc<AtomicBool>) {
    let quick = || {
        loopback()
            .ice_timeouts(Duration::from_millis(400), Duration::from_millis(200))
            .consent_interval(Duration::from_millis(100))
    };
    let hall = Hall::open_with(|_| {
        Room::builder().connection(quick).times(RoomTimes {
            reconnecting,
            ..RoomTimes::default()
        })
    })
    .await;
    let cut = Arc::<AtomicBool>::default();
    let is_cut = Arc::clone(&cut);
    let link = Link::new(move |_, _| {
        if is_cut.load(Ordering::Relaxed) {
            Verdict::Drop
        } else {
            Verdict::Forward
        }
    });
    let tracks = vec![
        MediaStreamTrack::new(MediaKind::Audio, []),
        MediaStreamTrack::new(MediaKind::Video, []),
    ];
    let options = PageOptions {
        tracks: tracks.clone(),
        link: Some(Arc::new(link.await.unwrap())),
    };
    let page = Page::try_join(&hall.room, JoinRequest::new("Far"), options).await;
    let mut page = page.unwrap();
    for track in &tracks {
        page.film(track, -20);
    }
    page.expect_connected().await;
    (hall, page, cut)
}
