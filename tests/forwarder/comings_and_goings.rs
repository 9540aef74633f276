//! Peers come, go and change, and each client gets what it should.

use ractor_webrtc::MediaKind::{Audio, Video};
use ractor_webrtc::forwarder::{Forwarder, ForwarderEvent};

use crate::stage::Stage;

#[tokio::test]
async fn everybody_gets_all_others_whenever_they_come() {
    let mut stage = Stage::open(Forwarder::builder()).await;
    let ada = stage.join("ada", &[Audio, Video]).await;
    let _ada_plays = (ada.play(Audio), ada.play(Video));
    let bob = stage.join("bob", &[Audio, Video]).await;
    let _bob_plays = (bob.play(Audio), bob.play(Video));
    for kind in [Audio, Video] {
        ada.gets("bob", kind).await;
        bob.gets("ada", kind).await;
    }
    let eve = stage.join("eve", &[Audio]).await;
    let _eve_plays = eve.play(Audio);
    for kind in [Audio, Video] {
        eve.gets("ada", kind).await;
        eve.gets("bob", kind).await;
    }
    ada.gets("eve", Audio).await;
    bob.gets("eve", Audio).await;
    // Sound and picture of one are one stream, and no stream is two members'.
    let both: Vec<_> = eve.streams().into_values().collect();
    assert_eq!(both, [["audio", "video"].into(), ["audio", "video"].into()]);
    for member in [&ada, &bob, &eve] {
        member.has_missed_nothing();
    }
    let told = stage.told();
    let count = |wanted: fn(&ForwarderEvent) -> bool| told.iter().filter(|it| wanted(it)).count();
    assert_eq!(count(|it| matches!(it, ForwarderEvent::Published(_))), 5);
    assert_eq!(
        count(|it| matches!(it, ForwarderEvent::Subscribed { .. })),
        10
    );
    assert_eq!(told.len(), 15);
}
