//! More than the machine can send: the oldest goes, is counted and told, and control goes on.
//!
//! Our side has one thread; all clients have another, so that what they need is not ours.

use std::time::{Duration, Instant};

use ractor_webrtc::peer_connection::{MediaLimits, QueueLimit, RouteSource};
use ractor_webrtc::{Event, MediaKind, MediaStreamTrack, PeerConnectionBuilder};
use str0m::format::Codec;
use str0m::media::{Mid, Pt};
use str0m::rtp::RtpWrite;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::common::owner::{Ours, loopback, shared_endpoint};
use crate::common::session::{Offerer, Session};
use crate::common::str0m_peer::{Str0mEvent, Str0mOptions, Str0mPeer};
use crate::common::{PATIENCE, eventually};
use crate::stage::expect_tracks;

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
        let write = theirs.with(move |rtc| write_frame(rtc, mid, payload_type, first));
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

fn write_frame(rtc: &mut str0m::Rtc, mid: Mid, payload_type: u8, first: u64) {
    let mut direct = rtc.direct_api();
    let stream = direct.stream_tx_by_mid(mid, None).unwrap();
    for number in first..first + FRAME_PACKETS {
        let pt = Pt::new_with_value(payload_type);
        let (time, now) = (first as u32 * 180, Instant::now());
        let payload = vec![number as u8; 1_100];
        stream.write_rtp(RtpWrite::new(pt, number.into(), time, now, payload));
    }
}

/// The thread of the clients.
struct Clients(Option<Runtime>);

impl Clients {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self(Some(runtime.unwrap()))
    }

    /// One of our peers, with so many pictures to send, and a client there.
    async fn connect(&self, builder: PeerConnectionBuilder, pictures: usize) -> Session {
        let ours = Ours::spawn(builder).await;
        for _ in 1..pictures {
            let screen = MediaStreamTrack::new(KIND, []);
            ours.peer.add_track(&screen).await.unwrap();
        }
        let clients: &Handle = self.0.as_ref().unwrap().handle();
        let theirs = clients.spawn(Str0mPeer::spawn(Str0mOptions::default()));
        let theirs = theirs.await.unwrap().unwrap();
        let mut session = Session::connect(ours, theirs, Offerer::Ours, false, None).await;
        expect_tracks(&mut session.ours).await;
        session
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // To wait for it is not allowed here.
        self.0.take().unwrap().shutdown_background();
    }
}

/// So many times each packet is sent.
const SCREENS: usize = 24;

const FRAME_PACKETS: u64 = 16;
