//! Who is kept from the others, and who speaks.

use ractor_webrtc::MediaKind;
use ractor_webrtc::forwarder::LayerWish;
use ractor_webrtc::room::{MutedBy, RoomEvent};

use super::common::{PATIENCE, eventually};
use super::hall::Hall;
use super::page::Page;

#[tokio::test]
async fn who_mutes_itself_is_heard_by_nobody_until_it_unmutes() {
    let hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    bob.receives(ada.id()).await;
    ada.participant.set_muted(MediaKind::Audio, true);
    let muted = bob
        .hears("mute", |event| matches!(event, RoomEvent::Muted { .. }))
        .await;
    let RoomEvent::Muted {
        participant,
        publication,
        by,
    } = muted
    else {
        unreachable!("that was waited for");
    };
    assert_eq!((participant, by), (ada.id(), MutedBy::Participant));
    // It is told itself as well.
    ada.hears("its own mute", |event| *event == muted).await;
    is_silent(&mut bob, MediaKind::Audio).await;
    ada.participant.set_muted(MediaKind::Audio, false);
    let unmuted = RoomEvent::Unmuted {
        participant,
        publication,
    };
    bob.hears("unmute", |event| *event == unmuted).await;
    bob.receives(ada.id()).await;
}

// A page that shows nothing of somebody was sent the picture all the same.
#[tokio::test]
async fn who_wants_no_picture_of_somebody_is_sent_none_and_the_others_are() {
    let hall = Hall::open().await;
    let ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    bob.receives(ada.id()).await;
    let snapshot = hall.snapshot().await;
    let mut of_ada = snapshot.participants[0].publications.iter();
    let camera = of_ada.find(|it| it.kind == MediaKind::Video).unwrap().id;
    bob.participant.set_layers(camera, LayerWish::Off);
    is_silent(&mut bob, MediaKind::Video).await;
    bob.receives_kinds(ada.id(), &[MediaKind::Audio]).await;
    let mut cleo = Page::join(&hall.room, "Cleo").await;
    cleo.receives(ada.id()).await;
    bob.participant.set_layers(camera, LayerWish::Automatic);
    bob.receives(ada.id()).await;
}

#[tokio::test]
async fn the_moderator_mutes_and_the_participant_cannot_undo_it() {
    let mut hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    bob.receives(ada.id()).await;
    let snapshot = hall.snapshot().await;
    let of_ada = &snapshot.participants[0].publications;
    let camera = of_ada
        .iter()
        .find(|it| it.kind == MediaKind::Video)
        .unwrap()
        .id;
    hall.room.set_muted(ada.id(), camera, true);
    let muted = RoomEvent::Muted {
        participant: ada.id(),
        publication: camera,
        by: MutedBy::Moderator,
    };
    ada.hears("mute", |event| *event == muted).await;
    ada.participant.set_muted(MediaKind::Video, false);
    is_silent(&mut bob, MediaKind::Video).await;
    // Who comes now is told, and gets sound alone.
    let mut cleo = Page::join(&hall.room, "Cleo").await;
    let published = cleo.hears(
        "camera",
        |event| matches!(event, RoomEvent::Published { publication, .. } if *publication == camera),
    );
    let RoomEvent::Published { muted_by, .. } = published.await else {
        unreachable!("that was waited for");
    };
    assert_eq!(muted_by, Some(MutedBy::Moderator));
    cleo.receives_kinds(ada.id(), &[MediaKind::Audio]).await;
    cleo.receives(bob.id()).await;
    hall.room.set_muted(ada.id(), MediaKind::Video, false);
    for page in [&mut bob, &mut cleo] {
        page.receives(ada.id()).await;
    }
    assert!(hall.news().contains(&muted));
}

#[tokio::test]
async fn what_a_muted_participant_publishes_later_is_muted_from_the_beginning() {
    let hall = Hall::open().await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    bob.receives(ada.id()).await;
    ada.participant.set_muted(MediaKind::Video, true);
    bob.hears("mute", |event| matches!(event, RoomEvent::Muted { .. }))
        .await;
    ada.publish(&[MediaKind::Video]).await;
    bob.hears("second camera", |event| {
        let by = Some(MutedBy::Participant);
        matches!(event, RoomEvent::Published { muted_by, .. } if *muted_by == by)
    })
    .await;
    eventually(PATIENCE, "three tracks of Ada", async || {
        (bob.shown().await.len() == 3).then_some(())
    })
    .await;
    is_silent(&mut bob, MediaKind::Video).await;
}

#[tokio::test]
async fn everybody_hears_who_speaks_and_who_falls_silent() {
    let mut hall = Hall::open().await;
    let mut ada = Page::join(&hall.room, "Ada").await;
    let mut bob = Page::join(&hall.room, "Bob").await;
    let both = |event: &RoomEvent| {
        let RoomEvent::Speaking { participants } = event else {
            return false;
        };
        participants.len() == 2
    };
    ada.hears("both speak", both).await;
    bob.hears("both speak", both).await;
    bob.stop_filming();
    let only_ada = RoomEvent::Speaking {
        participants: vec![ada.id()],
    };
    bob.hears("only Ada speaks", |event| *event == only_ada)
        .await;
    ada.participant.set_muted(MediaKind::Audio, true);
    let nobody = RoomEvent::Speaking {
        participants: Vec::new(),
    };
    hall.expect("nobody speaks", |event| (*event == nobody).then_some(()))
        .await;
    assert_eq!(hall.snapshot().await.speaking, []);
}

/// A packet that was on its way counts for nothing; after it, none comes while the other kind does.
pub(crate) async fn is_silent(page: &mut Page, kind: MediaKind) {
    eventually(PATIENCE, "silence", async || {
        page.count(kind);
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        (page.count(kind) == 0).then_some(())
    })
    .await;
}
