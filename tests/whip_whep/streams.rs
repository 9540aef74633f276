//! What viewers get, whoever comes first, goes and comes back.

use ractor_webrtc::MediaKind;
use ractor_webrtc::peer_connection::{Event, PeerConnectionState};
use ractor_webrtc::signaling::broadcaster::BroadcasterEvent;
use tokio::time::{Duration, interval};

use crate::client::{Client, Request, Server};
use crate::common::PATIENCE;
use crate::common::owner::{Ours, rtp_packet};

/// Sends sound that says who made it, until the viewers have heard it.
pub(crate) struct Voice<'a> {
    publisher: &'a Ours,
    says: u8,
    next: u16,
}

impl<'a> Voice<'a> {
    pub(crate) fn of(publisher: &'a Client, says: u8) -> Self {
        let publisher = &publisher.peer;
        Self {
            publisher,
            says,
            next: 0,
        }
    }

    fn speak(&mut self) {
        self.next += 1;
        let timestamp = u32::from(self.next) * 960;
        let packet = rtp_packet(111, self.next, timestamp, false, vec![self.says; 20]);
        let track = self.publisher.audio.id();
        self.publisher.peer.send_rtp(track, packet).unwrap();
    }

    /// Until this viewer hears this publisher.
    pub(crate) async fn reaches(&mut self, viewer: &mut Client) {
        let says = vec![self.says; 20];
        let mut ticks = interval(Duration::from_millis(20));
        let heard = async {
            loop {
                tokio::select! {
                    _ = ticks.tick() => self.speak(),
                    (kind, packet) = viewer.peer.expect_rtp() => {
                        if kind == MediaKind::Audio && packet.payload() == says {
                            return;
                        }
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, heard)
            .await
            .expect("the publisher is heard");
    }
}

pub(crate) async fn on_air(server: &mut Server) {
    let on_air = |event| matches!(event, BroadcasterEvent::OnAir { .. }).then_some(());
    server.expect(on_air).await;
}

#[tokio::test]
async fn viewers_get_what_is_published_whoever_comes_first() {
    let mut server = Server::start().await;
    let mut early = server.connected("/whep/stage").await;
    let publisher = server.connected("/whip/stage").await;
    on_air(&mut server).await;
    let mut late = server.connected("/whep/stage").await;
    let mut voice = Voice::of(&publisher, 1);
    voice.reaches(&mut early).await;
    voice.reaches(&mut late).await;
    let streams = server.snapshot().await.streams;
    assert_eq!(streams.len(), 1);
    assert!(streams[0].on_air);
    assert_eq!((streams[0].publishers, streams[0].viewers), (1, 2));
}

#[tokio::test]
async fn streams_do_not_mix() {
    let server = Server::start().await;
    let one = server.connected("/whip/one").await;
    let other = server.connected("/whip/other").await;
    let mut viewer = server.connected("/whep/other").await;
    let mut loud = Voice::of(&one, 1);
    for _ in 0..50 {
        loud.speak();
    }
    let says = vec![2; 20];
    let mut voice = Voice::of(&other, 2);
    voice.reaches(&mut viewer).await;
    while let Some(event) = viewer.peer.try_event() {
        if let Event::Rtp { packets, .. } = event {
            assert!(packets.iter().all(|packet| packet.payload() == says));
        }
    }
}

#[tokio::test]
async fn a_publisher_that_comes_back_is_heard_by_those_who_stayed() {
    let mut server = Server::start().await;
    let mut viewer = server.connected("/whep").await;
    for says in 1..=3 {
        let publisher = server.connected("/whip").await;
        on_air(&mut server).await;
        Voice::of(&publisher, says).reaches(&mut viewer).await;
        let delete = Request::new("DELETE", &publisher.location);
        assert_eq!(server.ask(&delete).await.status, 200);
        let off = |event| matches!(event, BroadcasterEvent::OffAir { .. }).then_some(());
        server.expect(off).await;
    }
    let state = viewer.peer.peer.connection_state();
    assert_eq!(state, PeerConnectionState::Connected);
    let while_nobody_publishes = server.ask(&Request::new("GET", &viewer.location)).await;
    assert_eq!(while_nobody_publishes.status, 204);
}

#[tokio::test]
async fn a_second_publisher_takes_over_once_it_is_connected() {
    let mut server = Server::start().await;
    let mut viewer = server.connected("/whep").await;
    let mut first = server.connected("/whip").await;
    on_air(&mut server).await;
    Voice::of(&first, 1).reaches(&mut viewer).await;

    // One that cannot connect disturbs nobody.
    let offer = include_str!("../data/sdp/chromium-sendonly-av.sdp");
    let stuck = server.ask(&crate::client::post("/whip", offer)).await;
    assert_eq!(stuck.status, 201);
    Voice::of(&first, 1).reaches(&mut viewer).await;

    let second = server.connected("/whip").await;
    on_air(&mut server).await;
    Voice::of(&second, 2).reaches(&mut viewer).await;
    let over = |event: &Event| {
        let closed = ractor_webrtc::peer_connection::DtlsTransportState::Closed;
        matches!(event, Event::DtlsTransportStateChange(state) if *state == closed).then_some(())
    };
    first.peer.expect("the server's goodbye", over).await;
    let gone = server.ask(&Request::new("GET", &first.location)).await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn viewers_that_come_and_go_are_told_and_leave_nothing() {
    let mut server = Server::start().await;
    let publisher = server.connected("/whip").await;
    on_air(&mut server).await;
    for _ in 0..3 {
        let viewer = server.connected("/whep").await;
        let joined = server.event().await;
        let BroadcasterEvent::ViewerJoined { viewer: peer, .. } = joined else {
            panic!("{joined:?}");
        };
        viewer.peer.peer.close().await;
        let left = server.event().await;
        let stream = "default".parse().unwrap();
        assert_eq!(
            left,
            BroadcasterEvent::ViewerLeft {
                stream,
                viewer: peer
            }
        );
    }
    assert_eq!(server.snapshot().await.streams[0].viewers, 0);
    publisher.peer.peer.close().await;
    server.is_empty().await;
}
