//! More than the machine can send: the oldest goes, is counted and told, and control goes on.
//!
//! Our side has one thread; all clients have another, so that what they need is not ours.

use std::time::{Duration, Instant};

use ractor_webrtc::peer_connection::{MediaLimits, QueueLimit, RouteSource};
use ractor_webrtc::{Event, MediaKind};
use str0m::format::Codec;

use crate::common::clients::{Clients, write_frame};
use crate::common::owner::{loopback, shared_endpoint};
use crate::common::session::Session;
use crate::common::str0m_peer::Str0mEvent;
use crate::common::{PATIENCE, eventually};

const KIND: MediaKind = MediaKind::Video;

#[tokio::test]
async fn in_a_flood_the_oldest_goes_and_control_answers() {
    let clients = Clients::start();
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || loopback().endpoint(endpoint.clone());
    let limits = MediaLimits {
        routed: QueueLimit {
            packets: FRAME_PACKETS as usize / 2,
            bytes: 64 << 10,
        },
        ..MediaLimits::default()
    };
    let camera = clients.connect(builder().media_limits(limits), 1).await;
    let mut wall = clients.connect(builder(), SCREENS).await;
    let beside = clients.connect(builder(), 1).await;
    let (mid, peer) = (camera.mid(KIND), camera.ours.peer.clone());
    let [picture, sound] = [KIND, MediaKind::Audio]
        .map(|kind| RouteSource::new(&peer, camera.ours.remote_track(kind).id()));
    for sender in wall.ours.peer.senders().await.unwrap() {
        let track = sender.track().unwrap();
        if track.kind() == KIND {
            let set = wall.ours.peer.set_route(track.id(), picture.clone());
            set.await.unwrap();
        }
    }

    let Session {
        mut ours, theirs, ..
    } = camera;
    let payload_type = theirs.payload_type(mid, Codec::Vp8).await.unwrap();
    let write = async |first| {
        let payload = |number| vec![number as u8; 1_100];
        let write = theirs
            .with(move |rtc| write_frame(rtc, mid, payload_type, first, FRAME_PACKETS, payload));
        write.await;
    };
    let mut number = 1_000;
    let flood = async {
        loop {
            write(number).await;
            number += FRAME_PACKETS;
        }
    };
    let mut told = Vec::new();
    let listen = async {
        while told.len() < 3 {
            let drops = |event: &Event| match event {
                Event::RtpDropped { packets, .. } => Some(*packets),
                _ => None,
            };
            let packets = ours.expect("announcement of drops", drops).await;
            told.push((Instant::now(), packets));
        }
    };
    let mut waits = Vec::new();
    let (screen, other) = (&beside.ours.peer, beside.ours.audio.id());
    let probes = async {
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        loop {
            beat.tick().await;
            let asked = Instant::now();
            // One asks the media path, the other the actor that sends.
            peer.media_stats().await.unwrap();
            screen.set_route(other, sound.clone()).await.unwrap();
            waits.push(asked.elapsed());
        }
    };
    tokio::select! {
        () = flood => {}
        () = listen => {}
        () = probes => {}
    }
    waits.sort();
    let nearly_all = waits[waits.len() * 9 / 10];
    assert!(nearly_all < Duration::from_millis(100), "{waits:?}");

    let lost = peer.media_stats().await.unwrap().route_overflow;
    assert!(told.iter().map(|(_, packets)| packets).sum::<u64>() <= lost);
    for pair in told.windows(2) {
        let between = pair[1].0.duration_since(pair[0].0);
        assert!(between > Duration::from_millis(900), "{told:?}");
    }

    // A frame is twice what a route holds: its last packet comes through. A client that has been flooded
    // loses packets, too.
    eventually(PATIENCE, "a packet after the flood", async || {
        number += FRAME_PACKETS;
        write(number).await;
        let last = vec![(number + FRAME_PACKETS - 1) as u8; 1_100];
        let mut found = None;
        while let Some(event) = wall.theirs.try_event() {
            if let Str0mEvent::Rtp(packet) = event
                && packet.payload == last
            {
                found = Some(());
            }
        }
        found
    })
    .await;
}

/// So many times each packet is sent.
const SCREENS: usize = 24;

const FRAME_PACKETS: u64 = 16;
