//! Routes from a track that is sent in several encodings, and what its owner hears of them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ractor_webrtc::peer_connection::RouteSource;
use ractor_webrtc::rtp::Rid;
use ractor_webrtc::{Event, MediaKind, TrackId};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind as Str0mKind, Mid};
use tokio::time::interval;

use crate::common::PATIENCE;
use crate::common::owner::{Ours, loopback};
use crate::common::str0m_peer::{
    IncomingRtp, OfferedMedia, OutgoingRtp, Str0mEvent, Str0mOptions, Str0mPeer,
};
use crate::stage::{Viewer, go_on, payload};

#[tokio::test]
async fn a_route_takes_the_encoding_that_it_names() {
    let mut camera = Camera::connect().await;
    let mut viewer = Viewer::connect(loopback()).await;
    let mut got = Vec::new();
    for (wanted, other) in [("h", "l"), ("l", "h"), ("h", "l")] {
        let source = camera.source().rid(Rid::from(wanted));
        let set = viewer.peer().set_route(viewer.track(KIND), source);
        set.await.unwrap();
        // What played before goes on until the other begins.
        if !got.is_empty() {
            let sent = camera.write(other).await;
            got.push(viewer.next(KIND).await);
            assert_eq!(got.last().unwrap().payload, sent);
        }
        for round in 0..5 {
            if round > 0 {
                camera.write(other).await;
            }
            let sent = camera.write(wanted).await;
            got.push(viewer.next(KIND).await);
            assert_eq!(got.last().unwrap().payload, sent);
        }
    }
    go_on(&got);
}

// A route to a track in several encodings carried nothing unless it named one.
#[tokio::test]
async fn a_route_that_names_no_encoding_takes_the_best_that_arrives() {
    let mut camera = Camera::connect().await;
    let mut viewer = Viewer::connect(loopback()).await;
    let set = viewer.peer().set_route(viewer.track(KIND), camera.source());
    set.await.unwrap();
    let (mut got, mut frames) = (Vec::new(), interval(FRAME));
    for (sent, best) in [
        (&["l", "h"][..], "h"),
        (&["l"], "l"),
        (&["l", "h"], "h"),
        (&["h"], "h"),
    ] {
        let begun = Instant::now();
        let is_best = |packet: &IncomingRtp| packet.payload[2..].starts_with(best.as_bytes());
        loop {
            assert!(begun.elapsed() < PATIENCE, "never got {best}");
            frames.tick().await;
            for rid in sent {
                camera.write(rid).await;
            }
            while let Some(event) = viewer.session.theirs.try_event() {
                if let Str0mEvent::Rtp(packet) = event {
                    got.push(*packet);
                }
            }
            if got.iter().rev().take(5).filter(|it| is_best(it)).count() == 5 {
                break;
            }
        }
        // What has paused is left within a second.
        assert!(begun.elapsed() < Duration::from_secs(1), "{best}");
    }
    go_on(&got);
}

// The owner of a track hears which of its encodings arrive, and what they take.
#[tokio::test]
async fn encodings_that_come_and_pause_are_told() {
    let (mut camera, mut frames) = (Camera::connect().await, interval(FRAME));
    for (sent, active) in [
        (&["h", "l"][..], [true, true]),
        (&["l"], [true, false]),
        (&["h", "l"], [true, true]),
        (&[], [false, false]),
    ] {
        let begun = Instant::now();
        let told = loop {
            assert!(begun.elapsed() < PATIENCE, "{sent:?} was never told");
            frames.tick().await;
            for rid in sent {
                camera.write(rid).await;
            }
            if let Some(Event::LayersChanged { track_id, layers }) = camera.ours.try_event() {
                assert_eq!(track_id, camera.track());
                let now: Vec<_> = layers.iter().map(|layer| layer.active).collect();
                if now == active {
                    break layers;
                }
            }
        };
        let names: Vec<_> = told.iter().map(|it| it.rid.as_ref().unwrap()).collect();
        assert_eq!(names, ["l", "h"].map(Rid::from).each_ref(), "{told:?}");
        assert!(told[0].bits_per_second * 2 < told[1].bits_per_second);
    }
}

const KIND: MediaKind = MediaKind::Video;

/// Between two pictures.
const FRAME: Duration = Duration::from_millis(30);

/// Sends one track in two encodings.
struct Camera {
    ours: Ours,
    client: Str0mPeer,
    mid: Mid,
    payload_type: u8,
    numbers: HashMap<&'static str, u64>,
}

impl Camera {
    async fn connect() -> Self {
        let mut ours = Ours::spawn(loopback()).await;
        let mut client = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
        let media = OfferedMedia {
            rids: vec!["h", "l"],
            ..OfferedMedia::new(Str0mKind::Video, Direction::SendOnly)
        };
        let (offer, mids) = client.create_offer(vec![media]).await;
        let answer = ours.answer(&offer).await;
        client.accept_answer(&answer).await.unwrap();
        ours.expect_connected().await;
        client.expect_connected().await;
        let payload_type = client.payload_type(mids[0], Codec::Vp8).await.unwrap();
        Self {
            ours,
            client,
            mid: mids[0],
            payload_type,
            numbers: HashMap::from([("h", 30_000), ("l", 60)]),
        }
    }

    fn track(&self) -> TrackId {
        self.ours.remote_track(KIND).id()
    }

    fn source(&self) -> RouteSource {
        RouteSource::new(&self.ours.peer, self.track())
    }

    /// A keyframe of this encoding; those of the higher one are larger.
    async fn write(&mut self, rid: &'static str) -> Vec<u8> {
        let number = self.numbers.get_mut(rid).unwrap();
        *number += 1;
        let mut text = format!("{rid} {number}");
        if rid == "h" {
            text += &"*".repeat(500);
        }
        let packet = OutgoingRtp {
            payload_type: self.payload_type,
            sequence_number: *number,
            timestamp: 3_000 * *number as u32,
            marker: true,
            payload: payload(text.clone(), KIND),
            extensions: Default::default(),
        };
        let written = (self.client).write_rtp(self.mid, Some(rid.into()), packet);
        assert!(written.await);
        payload(text, KIND)
    }
}
