//! What becomes of a session: candidates that come late, ICE restarts, ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ractor_webrtc::peer_connection::{Event, PeerConnectionState};
use ractor_webrtc::signaling::broadcaster::BroadcasterLimits;
use ractor_webrtc::signaling::sdpfrag::SdpFragment;
use tokio::time::Instant;

use crate::client::{Client, FRAGMENT, Reply, Request, Server, patch, post};
use crate::common::link::{Link, Verdict};
use crate::common::owner::{Ours, loopback};

/// The lines of a description that a fragment carries, its first m-line among them.
fn fragment_of(description: &str, with_candidates: bool) -> String {
    let (session, media) = description.split_once("m=").unwrap();
    let media = media.split("\r\nm=").next().unwrap();
    let wanted = ["a=ice-ufrag:", "a=ice-pwd:", "a=group:"];
    let session = session
        .lines()
        .filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    let wanted = ["a=mid:", "a=ice-ufrag:", "a=ice-pwd:"];
    let late = ["a=candidate:", "a=end-of-candidates"];
    let media = media.lines().enumerate().filter(|(index, line)| {
        let is_late = late.iter().any(|name| line.starts_with(name));
        *index == 0
            || wanted.iter().any(|name| line.starts_with(name))
            || is_late && with_candidates
    });
    let media = media.map(|(index, line)| match index {
        0 => format!("m={line}\r\n"),
        _ => format!("{line}\r\n"),
    });
    session
        .map(|line| format!("{line}\r\n"))
        .chain(media)
        .collect()
}

/// Without what trickles.
fn bare(offer: &str) -> String {
    let late = |line: &&str| line.starts_with("a=candidate:") || line.starts_with("a=end-of");
    let lines = offer.lines().filter(|line| !late(line));
    lines.map(|line| format!("{line}\r\n")).collect()
}

/// The client's half of an ICE restart (RFC 9725 §4.3.3): its answer is the former one with what the server says.
async fn restart(server: &Server, client: &mut Client, if_match: &str) -> Reply {
    let peer = &client.peer.peer;
    peer.restart_ice().await.unwrap();
    let offer = client.peer.offer().await;
    let fragment = fragment_of(&offer, true);
    let request = patch(&client.location, &fragment).with("if-match", if_match);
    let reply = server.ask(&request).await;
    if reply.status == 200 {
        let answer = with_ice_of(&client.answer, &reply.body);
        client.peer.accept_answer(&answer).await;
        client.answer = answer;
        client.etag = reply.field("etag").to_owned();
    }
    reply
}

fn with_ice_of(answer: &str, fragment: &str) -> String {
    let fragment: SdpFragment = fragment.parse().unwrap();
    let credentials = fragment.credentials().unwrap().unwrap();
    let mut first = true;
    let mut text = String::new();
    for line in bare(answer).lines() {
        let line = match line.split_once(':').map(|(name, _)| name) {
            Some("a=ice-ufrag") => format!("a=ice-ufrag:{}", credentials.username_fragment),
            Some("a=ice-pwd") => format!("a=ice-pwd:{}", credentials.password),
            _ => line.to_owned(),
        };
        text += &format!("{line}\r\n");
        if line.starts_with("a=mid:") && std::mem::take(&mut first) {
            for candidate in &fragment.media[0].candidates {
                text += &format!("a={candidate}\r\n");
            }
        }
    }
    text
}

#[tokio::test]
async fn candidates_may_come_after_the_offer() {
    let server = Server::start().await;
    let mut peer = Ours::spawn(loopback()).await;
    let offer = peer.offer().await;
    let reply = server.ask(&post("/whip", &bare(&offer))).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let (location, etag) = (reply.field("location"), reply.field("etag"));
    peer.accept_answer(&reply.body).await;
    let fragment = fragment_of(&offer, true);
    let late = patch(location, &fragment).with("if-match", etag);
    let reply = server.ask(&late).await;
    assert_eq!((reply.status, &*reply.body), (204, ""), "{reply:?}");
    assert!(reply.fields("etag").is_empty());
    peer.expect_connected().await;
}

#[tokio::test]
async fn a_fragment_says_which_ice_session_it_is_of() {
    let server = Server::start().await;
    let client = server.join("/whip").await;
    let fragment = fragment_of(&client.offer, true);
    let request = patch(&client.location, &fragment);
    let reply = server.ask(&request).await;
    assert_eq!(reply.status, 428);
    assert!(reply.detail().contains("If-Match"));
    for other in ["\"0\"", "W/\"0\"", "nonsense"] {
        let reply = server.ask(&request.clone().with("if-match", other)).await;
        assert_eq!(reply.status, 412, "{other}");
        reply.detail();
    }
    for right in [
        &*client.etag,
        "*",
        "\"*\"",
        &format!("\"0\", {}", client.etag),
    ] {
        let reply = server.ask(&request.clone().with("if-match", right)).await;
        assert_eq!(reply.status, 204, "{right}");
    }
}

#[tokio::test]
async fn a_fragment_that_is_none_is_refused_and_the_session_goes_on() {
    let server = Server::start().await;
    let client = server.connected("/whip").await;
    let refused = [
        ("hello", "line 1"),
        ("a=candidate:1 1 udp 1 192.0.2.1 9 typ host", "no m-line"),
        (
            "m=audio\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host",
            "no mid",
        ),
        ("m=audio\r\na=mid:0\r\na=candidate:what", "candidate"),
        (
            "m=audio\r\na=mid:nobody\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host",
            "nobody",
        ),
        ("a=ice-ufrag:abcd", "ice-ufrag"),
        ("a=ice-ufrag:abcd\r\na=ice-pwd:short", "ICE credentials"),
    ];
    for (fragment, reason) in refused {
        let request = patch(&client.location, fragment).with("if-match", "*");
        let reply = server.ask(&request).await;
        assert_eq!(reply.status, 400, "{fragment}: {reply:?}");
        assert!(reply.detail().contains(reason), "{reply:?}");
    }
    // What this side cannot use is passed over (RFC 9725 §4.3.2).
    let tcp = "m=audio\r\na=mid:0\r\na=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active";
    let tcp = tcp.replace(
        "a=mid:0",
        client
            .offer
            .lines()
            .find(|l| l.starts_with("a=mid:"))
            .unwrap(),
    );
    let reply = server
        .ask(&patch(&client.location, &tcp).with("if-match", "*"))
        .await;
    assert_eq!(reply.status, 204, "{reply:?}");
    let known = server.ask(&Request::new("GET", &client.location)).await;
    assert_eq!(known.status, 204);
}

#[tokio::test]
async fn c9725_an_ice_restart_exchanges_ice_alone_and_the_connection_goes_on() {
    let server = Server::start().await;
    let mut client = server.connected("/whep").await;
    let before = client.etag.clone();
    let late = fragment_of(&client.offer, true);
    for if_match in ["*", "\"*\""] {
        let etag = client.etag.clone();
        let reply = restart(&server, &mut client, if_match).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.field("content-type"), FRAGMENT);
        assert_ne!(reply.field("etag"), etag);
        let fragment: SdpFragment = reply.body.parse().unwrap();
        assert_eq!(fragment.media.len(), 1);
        assert!(!fragment.media[0].candidates.is_empty() && fragment.is_last());
    }
    // What was on its way meanwhile is of an ICE session that is over.
    let late = patch(&client.location, &late).with("if-match", &before);
    assert_eq!(server.ask(&late).await.status, 412);
    let ended = server.ask(&Request::new("DELETE", &client.location)).await;
    assert_eq!(ended.status, 200);
}

#[tokio::test]
async fn a_client_that_has_lost_its_network_restarts_on_another() {
    let server = Server::start().await;
    let cut = Arc::new(AtomicBool::new(false));
    let is_cut = Arc::clone(&cut);
    let link = Link::new(move |_, _| match is_cut.load(Ordering::Relaxed) {
        true => Verdict::Drop,
        false => Verdict::Forward,
    });
    let link = link.await.unwrap();
    let [brief, long] = [500, 20_000].map(Duration::from_millis);
    let mut peer = Ours::spawn(loopback().ice_timeouts(brief, long)).await;
    let offer = peer.offer().await;
    let request = link.description_of_a(&offer);
    let reply = server.ask(&post("/whip", &request)).await;
    peer.accept_answer(&link.description_of_b(&reply.body))
        .await;
    peer.expect_connected().await;
    cut.store(true, Ordering::Relaxed);
    peer.expect_state(PeerConnectionState::Disconnected).await;
    let mut client = Client {
        peer,
        location: reply.field("location").to_owned(),
        etag: reply.field("etag").to_owned(),
        offer,
        answer: reply.body,
    };
    // Past the link.
    let reply = restart(&server, &mut client, "*").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    client.peer.expect_connected().await;
}

#[tokio::test]
async fn an_ice_restart_with_the_tag_that_runs_is_one_too() {
    let server = Server::start().await;
    let mut client = server.connected("/whip").await;
    let etag = client.etag.clone();
    let reply = restart(&server, &mut client, &etag).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn who_deletes_a_session_ends_its_connection_and_is_told_that_it_is_gone() {
    let server = Server::start().await;
    let mut client = server.connected("/whip").await;
    // A tag changes nothing here (RFC 9725 §4.3.1).
    let delete = Request::new("DELETE", &client.location).with("if-match", "\"0\"");
    let reply = server.ask(&delete).await;
    assert_eq!((reply.status, &*reply.body), (200, ""));
    for again in [delete, Request::new("GET", &client.location)] {
        assert_eq!(server.ask(&again).await.status, 404);
    }
    let closed = |event: &Event| {
        let closed = ractor_webrtc::peer_connection::DtlsTransportState::Closed;
        matches!(event, Event::DtlsTransportStateChange(state) if *state == closed).then_some(())
    };
    client.peer.expect("the server's goodbye", closed).await;
    server.is_empty().await;
}

#[tokio::test]
async fn a_client_that_goes_without_a_word_leaves_nothing() {
    let server = Server::start().await;
    let client = server.connected("/whep").await;
    client.peer.peer.close().await;
    server.is_empty().await;
    let gone = server.ask(&Request::new("DELETE", &client.location)).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn a_session_that_never_connects_is_ended() {
    let limits = BroadcasterLimits::default().connect(Duration::from_millis(300));
    let server = Server::start_with(limits, |it| it).await;
    let offer = include_str!("../data/sdp/chromium-sendonly-av.sdp");
    let opened = server.ask(&post("/whip", offer)).await;
    assert_eq!(opened.status, 201);
    let begun = Instant::now();
    server.is_empty().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    let gone = server
        .ask(&Request::new("GET", opened.field("location")))
        .await;
    assert_eq!(gone.status, 404);
}
