//! Behaviours of whole peers that no other file is about.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::time::Duration;

use ractor::Actor;
use ractor_webrtc::peer_connection::{MediaStats, PeerConnectionState, SetOwnerError};
use ractor_webrtc::rtp::{HeaderExtension, RtpPacket};
use ractor_webrtc::{Event, MediaConfiguration, MediaKind, PeerConnection};

use self::common::eventually;
use self::common::owner::{Ours, RunningOwner, Supervisor, loopback, rtp_packet};
use self::common::session::connect_ours;

#[tokio::test]
async fn c005_events_go_to_the_owner_that_was_named_and_after_a_change_to_the_new_one() {
    let (supervisor, _) = Actor::spawn(None, Supervisor, ()).await.unwrap();
    let mut one = Ours::spawn_below(loopback(), supervisor.get_cell()).await;
    let mut two = Ours::spawn(loopback()).await;
    connect_ours(&mut one, &mut two, None).await;

    // Media arrives while the owner changes, five times.
    let mut heard = Vec::new();
    let mut sent = 0;
    for _ in 0..5 {
        for _ in 0..20 {
            sent += 1;
            send_audio(&two, sent);
            tokio::task::yield_now().await;
        }
        let before = one.change_owner(RunningOwner::spawn().await).await;
        // The death of the one before is nobody's business.
        heard.extend(before.end().await.iter().flat_map(audio_numbers));
    }
    while heard.len() < usize::from(sent) {
        let event = tokio::time::timeout(Duration::from_secs(5), one.event()).await;
        heard.extend(audio_numbers(&event.unwrap().unwrap()));
    }
    assert_eq!(heard, (1..=sent).collect::<Vec<_>>());

    // News of the peer connection itself goes the same way.
    one.peer.restart_ice().await.unwrap();
    one.expect("negotiation needed", |event| {
        matches!(event, Event::NegotiationNeeded).then_some(())
    })
    .await;

    let peer = one.peer.clone();
    drop(one);
    eventually(
        Duration::from_secs(2),
        "the end with its owner",
        async || (peer.connection_state() == PeerConnectionState::Closed).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn c005_a_new_owner_that_is_gone_is_refused_and_the_peer_lives_on() {
    let (supervisor, _) = Actor::spawn(None, Supervisor, ()).await.unwrap();
    let mut peer = Ours::spawn_below(loopback(), supervisor.get_cell()).await;
    let gone = RunningOwner::spawn().await;
    let actor = gone.actor().clone();
    gone.end().await;
    let refused = peer.peer.set_owner(&actor).await;
    assert_eq!(refused, Err(SetOwnerError::OwnerGone));
    // The same one again is still watched afterwards.
    let same = peer.owner().clone();
    peer.peer.set_owner(&same).await.unwrap();
    peer.offer().await;
    same.stop(None);
    eventually(
        Duration::from_secs(2),
        "the end with its owner",
        async || (peer.peer.connection_state() == PeerConnectionState::Closed).then_some(()),
    )
    .await;
    let late = peer.peer.set_owner(&actor).await;
    assert!(matches!(
        late,
        Err(SetOwnerError::Closed | SetOwnerError::Call(_))
    ));
}

fn send_audio(from: &Ours, number: u16) {
    let packet = rtp_packet(111, number, 960 * u32::from(number), false, vec![1; 100]);
    from.peer.send_rtp(from.audio.id(), packet).unwrap();
}

fn audio_numbers(event: &Event) -> Vec<u16> {
    match event {
        Event::Rtp { packets, .. } => packets.iter().map(|it| it.sequence_number().0).collect(),
        _ => Vec::new(),
    }
}

/// The shape is ours; W3C's statistics have an issue of their own.
#[tokio::test]
async fn c026_statistics_are_empty_before_and_count_what_went_after() {
    let mut one = Ours::spawn(loopback()).await;
    let mut two = Ours::spawn(loopback()).await;
    for side in [&one, &two] {
        let stats = side.peer.media_stats().await.unwrap();
        assert_eq!(stats, MediaStats::default());
    }
    connect_ours(&mut one, &mut two, None).await;
    for number in 0..10 {
        let packet = rtp_packet(111, 1_000 + number, 960, false, vec![1; 100]);
        one.peer.send_rtp(one.audio.id(), packet).unwrap();
        two.expect_rtp().await;
    }
    let stats = two.peer.media_stats().await.unwrap();
    assert_eq!((stats.rtp_received, stats.delivered), (10, 10));
    assert!(stats.rtp_bytes_received >= 1_000);
}

#[tokio::test]
async fn c029_with_the_actor_at_the_top_everything_below_dies() {
    let (supervisor, _) = Actor::spawn(None, Supervisor, ()).await.unwrap();
    let peer = Ours::spawn_below(loopback(), supervisor.get_cell()).await;
    let [below] = &supervisor.get_children()[..] else {
        panic!("one peer");
    };
    let mut all = below.get_children();
    assert!(all.len() >= 4, "endpoint, ICE, DTLS and media");
    all.push(below.clone());
    supervisor.stop(None);
    for actor in all {
        actor.wait(Some(Duration::from_secs(2))).await.unwrap();
    }
    let id = peer.peer.id();
    eventually(Duration::from_secs(2), "no entry is left", async || {
        let running = PeerConnection::all_running();
        running.iter().all(|one| one.id() != id).then_some(())
    })
    .await;
}

#[tokio::test]
async fn c111_a_forward_keeps_header_extensions_by_uri_and_drops_the_rest() {
    // The publisher has other identifiers than the viewer, and one extension more.
    let shared = || {
        let uris = [
            "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            "urn:3gpp:video-orientation",
            "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
        ];
        let others = uris.map(|uri| HeaderExtension::Other(uri.to_owned()));
        [HeaderExtension::AudioLevel].into_iter().chain(others)
    };
    let private = HeaderExtension::Other("urn:example:private".to_owned());
    let numbered = |first: u8, more: Option<HeaderExtension>| {
        let all = shared().chain(more).chain([HeaderExtension::Mid]);
        let all: Vec<_> = (first..).zip(all).collect();
        let builder = MediaConfiguration::builder()
            .header_extensions(MediaKind::Audio, [])
            .header_extensions(MediaKind::Video, all);
        loopback().media(builder.build().unwrap())
    };
    let mut publisher = Ours::spawn(numbered(2, Some(private.clone()))).await;
    let mut ingress = Ours::spawn(numbered(2, Some(private))).await;
    let mut egress = Ours::spawn(numbered(8, None)).await;
    let mut viewer = Ours::spawn(numbered(5, None)).await;
    connect_ours(&mut publisher, &mut ingress, None).await;
    connect_ours(&mut egress, &mut viewer, None).await;

    let values: [(u8, &[u8]); 6] = [
        (2, &[0x85]),
        (3, &[1, 2, 3]),
        (4, &[4, 5, 6]),
        (5, &[3]),
        (6, &[7; 12]),
        (7, b"private"),
    ];
    let packet = rtp_packet(96, 1_000, 9_000, true, vec![1; 50]);
    let packet = packet.with_extensions(&values).unwrap();
    publisher
        .peer
        .send_rtp(publisher.video.id(), packet)
        .unwrap();
    let batch = ingress
        .expect("media", |event| match event {
            Event::Rtp { packets, .. } => Some(packets.clone()),
            _ => None,
        })
        .await;
    egress.peer.send_rtp(egress.video.id(), batch).unwrap();
    let (_, arrived) = viewer.expect_rtp().await;
    let expected = values[..5].iter().zip(8..);
    let expected: Vec<_> = expected
        .map(|((_, value), id)| (id, value.to_vec()))
        .collect();
    let mut found = elements(&arrived);
    let mid = found.iter().position(|(id, _)| *id == 13).unwrap();
    assert_eq!(found.remove(mid).1, b"1", "each session has its own mid");
    assert_eq!(found, expected);
}

fn elements(packet: &RtpPacket) -> Vec<(u8, Vec<u8>)> {
    let elements = packet.extensions();
    let mut elements: Vec<_> = elements.map(|(id, value)| (id, value.to_vec())).collect();
    elements.sort_unstable();
    elements
}
