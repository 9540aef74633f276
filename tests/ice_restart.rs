//! ICE restarts with a peer that is not ours.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor_webrtc::peer_connection::PeerConnectionState;

use self::common::link::{Link, Verdict};
use self::common::owner::{Ours, loopback};
use self::common::session::{Offerer, Session};
use self::common::str0m_peer::{Str0mOptions, Str0mPeer};

async fn session(ours: Ours, offerer: Offerer, link: Option<&Link>) -> Session {
    let theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    Session::connect(ours, theirs, offerer, false, link).await
}

/// The exchange that restarts, over a link if there is one.
async fn restart(session: &mut Session, offerer: Offerer, link: Option<&Link>) {
    let to_theirs =
        |sdp: &str| link.map_or_else(|| sdp.to_owned(), |link| link.description_of_a(sdp));
    let to_ours =
        |sdp: &str| link.map_or_else(|| sdp.to_owned(), |link| link.description_of_b(sdp));
    let Session { ours, theirs, .. } = session;
    match offerer {
        Offerer::Ours => {
            ours.peer.restart_ice().await.unwrap();
            let offer = ours.offer().await;
            let answer = theirs.accept_offer(&to_theirs(&offer)).await.unwrap();
            ours.accept_answer(&to_ours(&answer)).await;
        }
        Offerer::Str0m => {
            let offer = theirs.create_restart_offer().await;
            let answer = ours.answer(&to_ours(&offer)).await;
            theirs.accept_answer(&to_theirs(&answer)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn c101_either_side_restarts_whoever_offered_first() {
    for first in [Offerer::Ours, Offerer::Str0m] {
        let mut session = session(Ours::spawn(loopback()).await, first, None).await;
        session.exchange().await;
        for offerer in [Offerer::Ours, Offerer::Str0m, Offerer::Str0m, Offerer::Ours] {
            restart(&mut session, offerer, None).await;
            session.exchange().await;
        }
        let state = session.ours.peer.connection_state();
        assert_eq!(state, PeerConnectionState::Connected);
    }
}

#[tokio::test]
async fn c104_a_restart_brings_a_failed_connection_back_on_another_path() {
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = Arc::clone(&cut);
    let link = Link::new(move |_, _| match is_cut.load(Ordering::Relaxed) {
        true => Verdict::Drop,
        false => Verdict::Forward,
    });
    let link = link.await.unwrap();
    let brief = Duration::from_millis(500);
    let ours = Ours::spawn(loopback().ice_timeouts(brief, brief)).await;
    let mut session = session(ours, Offerer::Ours, Some(&link)).await;
    session.exchange().await;
    cut.store(true, Ordering::Relaxed);
    let ours = &mut session.ours;
    ours.expect_state(PeerConnectionState::Disconnected).await;
    ours.expect_state(PeerConnectionState::Failed).await;
    let another = Link::new(|_, _| Verdict::Forward).await.unwrap();
    restart(&mut session, Offerer::Ours, Some(&another)).await;
    session
        .ours
        .expect_state(PeerConnectionState::Connected)
        .await;
    // DTLS and SRTP went on as they were.
    session.exchange().await;
}
