//! What a route carries, what it leaves out, and what it refuses.

use std::time::Duration;

use ractor_webrtc::peer_connection::{RouteError, RouteSource, RtpDelivery};
use ractor_webrtc::rtp::RtcpPacket;
use ractor_webrtc::{CallError, Event, MediaKind, MediaStreamTrack};
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind as Str0mKind};

use crate::common::owner::{Ours, loopback, rtp_packet, shared_endpoint};
use crate::common::session::{Offerer, connect_ours, negotiate};
use crate::common::str0m_peer::{OfferedMedia, OutgoingRtp, Str0mEvent, Str0mOptions, Str0mPeer};
use crate::common::{PATIENCE, eventually};
use crate::stage::{Publisher, Viewer, codec_of, connect, go_on, other_numbers, payload};

#[tokio::test]
async fn every_viewer_gets_every_packet_as_its_own_negotiation_has_it() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let mut publisher =
        Publisher::connect("camera", 7, loopback().endpoint(endpoint.clone())).await;
    let mut viewers = [
        Viewer::connect(loopback().endpoint(endpoint.clone())).await,
        Viewer::connect(other_numbers().endpoint(endpoint.clone())).await,
        Viewer::connect(other_numbers()).await,
    ];
    for kind in [MediaKind::Audio, MediaKind::Video] {
        for viewer in &viewers {
            viewer.watch(kind, &publisher).await;
        }
        let sent = publisher.publish(kind, 30).await;
        let mut payload_types = Vec::new();
        for viewer in &mut viewers {
            let got = viewer.gets(&sent).await;
            go_on(&got);
            let mid = viewer.session.mid(kind);
            let payload_type = viewer
                .session
                .theirs
                .payload_type(mid, codec_of(kind))
                .await;
            for (sent, got) in sent.iter().zip(&got) {
                assert_eq!(Some(got.payload_type), payload_type);
                assert_eq!(got.ssrc, viewer.session.promised(kind).0);
                assert_eq!(got.sequence_number, sent.packet.sequence_number as u16);
                assert_eq!(got.timestamp, sent.packet.timestamp);
                let (level, voice) = (got.extensions.audio_level, got.extensions.voice_activity);
                assert_eq!(level, sent.packet.extensions.audio_level);
                assert_eq!(voice, sent.packet.extensions.voice_activity);
            }
            payload_types.extend(payload_type);
        }
        assert_ne!(payload_types[0], payload_types[1]);
    }
    let stats = viewers[0].stats().await;
    assert_eq!(stats.routed, 60);
    assert_eq!(publisher.stats().await.delivered, 0);
}

#[tokio::test]
async fn the_owner_gets_routed_media_when_it_wants_to_and_otherwise_not() {
    let mut publisher = Publisher::connect("camera", 7, loopback()).await;
    let mut viewer = Viewer::connect(loopback()).await;
    let (kind, track) = (MediaKind::Video, publisher.track(MediaKind::Video));
    publisher.is_heard_by_its_owner(kind).await;

    viewer.watch(kind, &publisher).await;
    let sent = publisher.publish(kind, 3).await;
    viewer.gets(&sent).await;
    assert_eq!(publisher.stats().await.delivered, 1);

    let deliver = |publisher: &Publisher, delivery| {
        let set = publisher.peer().set_rtp_delivery(track, delivery);
        set.unwrap();
    };
    deliver(&publisher, RtpDelivery::Always);
    // The first that it hears of since: nothing of what was routed comes late.
    publisher.is_heard_by_its_owner(kind).await;

    deliver(&publisher, RtpDelivery::Never);
    let sent = publisher.publish(kind, 3).await;
    viewer.next(kind).await;
    viewer.gets(&sent).await;
    viewer.unwatch(kind).await;
    publisher.publish(kind, 3).await;
    // Sound goes the same way behind it.
    publisher.is_heard_by_its_owner(MediaKind::Audio).await;

    deliver(&publisher, RtpDelivery::UnlessRouted);
    publisher.is_heard_by_its_owner(kind).await;
    assert_eq!(publisher.stats().await.delivered, 4);
}

#[tokio::test]
async fn a_route_may_be_older_than_both_connections() {
    let mut publishing = Ours::spawn(loopback()).await;
    let mut client = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    let media = OfferedMedia::new(Str0mKind::Video, Direction::SendOnly);
    let (offer, mids) = client.create_offer(vec![media]).await;
    let answer = publishing.answer(&offer).await;
    let source = RouteSource::new(
        &publishing.peer,
        publishing.remote_track(MediaKind::Video).id(),
    );

    let mut watching = Ours::spawn(loopback()).await;
    let set = watching.peer.set_route(watching.video.id(), source);
    set.await.unwrap();

    client.accept_answer(&answer).await.unwrap();
    publishing.expect_connected().await;
    client.expect_connected().await;
    let payload_type = client.payload_type(mids[0], Codec::Vp8).await.unwrap();
    let packet = |number: u16| OutgoingRtp {
        payload_type,
        sequence_number: number.into(),
        timestamp: 0,
        marker: true,
        payload: [0x10, 0, number as u8].repeat(30),
        extensions: Default::default(),
    };
    assert!(client.write_rtp(mids[0], None, packet(1)).await);
    eventually(PATIENCE, "counted", async || {
        let stats = watching.peer.media_stats().await.unwrap();
        (stats.not_connected == 1).then_some(())
    })
    .await;

    let mut screen = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
    negotiate(&mut watching, &mut screen, Offerer::Ours, None, None).await;
    watching.expect_connected().await;
    screen.expect_connected().await;
    assert!(client.write_rtp(mids[0], None, packet(2)).await);
    assert_eq!(screen.expect_rtp().await.payload, [0x10, 0, 2].repeat(30));
}

#[tokio::test]
async fn what_cannot_be_a_route_is_refused() {
    let publisher = Publisher::connect("camera", 7, loopback()).await;
    let viewer = Viewer::connect(loopback()).await;
    let (audio, video) = (
        viewer.track(MediaKind::Audio),
        viewer.track(MediaKind::Video),
    );
    let stranger = MediaStreamTrack::new(MediaKind::Video, []).id();
    let set =
        async |track, source: &RouteSource| viewer.peer().set_route(track, source.clone()).await;

    let camera = publisher.source(MediaKind::Video);
    let unknown = Err(RouteError::UnknownTrack(stranger));
    assert_eq!(set(stranger, &camera).await, unknown);
    let elsewhere = RouteSource::new(publisher.peer(), stranger);
    let unknown = Err(RouteError::UnknownSource(stranger));
    assert_eq!(set(video, &elsewhere).await, unknown);
    let mismatch = RouteError::KindMismatch {
        from: MediaKind::Video,
        to: MediaKind::Audio,
    };
    assert_eq!(set(audio, &camera).await, Err(mismatch));
    // What the peer sends is not what arrives from it.
    let own = publisher.session.ours.video.id();
    let backwards = RouteSource::new(publisher.peer(), own);
    let unknown = Err(RouteError::UnknownSource(own));
    assert_eq!(set(video, &backwards).await, unknown);

    publisher.peer().close().await;
    assert_eq!(set(video, &camera).await, Err(RouteError::SourceClosed));

    let live = Publisher::connect("other camera", 7, loopback()).await;
    viewer.peer().close().await;
    let stopped = Err(RouteError::Call(CallError::Stopped));
    let camera = live.source(MediaKind::Video);
    assert_eq!(set(video, &camera).await, stopped);
    assert_eq!(viewer.peer().set_route(video, None).await, stopped);
}

#[tokio::test]
async fn what_is_sent_by_hand_on_a_routed_track_is_counted_and_not_sent() {
    let mut publisher = Publisher::connect("camera", 7, loopback()).await;
    let mut viewer = Viewer::connect(loopback()).await;
    let kind = MediaKind::Video;
    viewer.watch(kind, &publisher).await;
    let by_hand = rtp_packet(96, 1, 1, true, b"by hand".to_vec());
    viewer.peer().send_rtp(viewer.track(kind), by_hand).unwrap();
    viewer
        .eventually("displaced", |stats| stats.displaced == 1)
        .await;
    let sent = publisher.publish(kind, 2).await;
    viewer.gets(&sent).await;
}

/// `set_route` takes its turn after what was sent before it, and before what is sent after it.
#[tokio::test]
async fn a_route_begins_and_ends_between_packets_sent_by_hand() {
    let mut publisher = Publisher::connect("camera", 7, loopback()).await;
    let mut viewer = Viewer::connect(loopback()).await;
    let (kind, track) = (MediaKind::Video, viewer.track(MediaKind::Video));
    let by_hand = |number: u16| {
        let payload = format!("by hand {number}").into_bytes();
        let packet = rtp_packet(96, number, 960 * u32::from(number), true, payload);
        viewer.peer().send_rtp(track, packet).unwrap();
    };
    by_hand(1);
    by_hand(2);
    let begun = viewer.peer().set_route(track, publisher.source(kind));
    begun.await.unwrap();
    by_hand(3);
    let sent = publisher.publish(kind, 2).await;
    for number in [1, 2] {
        let got = viewer.next(kind).await;
        assert_eq!(got.payload, format!("by hand {number}").into_bytes());
        assert_eq!(got.sequence_number, number);
    }
    let got = viewer.gets(&sent).await;
    assert_eq!(
        [3, 4],
        [0, 1].map(|index: usize| got[index].sequence_number)
    );
    viewer.unwatch(kind).await;
    let payload = b"by hand 5".to_vec();
    let packet = rtp_packet(96, 5, 960 * 5, true, payload.clone());
    viewer.peer().send_rtp(track, packet).unwrap();
    assert_eq!(viewer.next(kind).await.payload, payload);
    assert_eq!(viewer.stats().await.displaced, 1);
}

#[tokio::test]
async fn a_codec_that_a_viewer_does_not_know_is_counted_there_and_others_get_it() {
    let mut publisher = Publisher::connect("camera", 7, loopback()).await;
    let knowing = Viewer::connect(loopback()).await;
    let options = Str0mOptions {
        codecs: vec![Codec::Opus, Codec::Vp8],
        ..Str0mOptions::default()
    };
    let ignorant = Viewer {
        session: connect(loopback(), options).await,
    };
    let kind = MediaKind::Video;
    let mut viewers = [knowing, ignorant];
    for viewer in &viewers {
        viewer.watch(kind, &publisher).await;
    }
    let mut got = [const { Vec::new() }; 2];
    for codec in [Codec::Vp8, Codec::H264, Codec::Vp8] {
        let sent = publisher.publish_as(kind, codec, 3).await;
        got[0].extend(viewers[0].gets(&sent).await);
        if codec == Codec::Vp8 {
            got[1].extend(viewers[1].gets(&sent).await);
        }
    }
    assert_eq!(viewers[1].stats().await.not_negotiated, 3);
    let mismatch = |event: &Event| match event {
        Event::RouteCodecMismatch { track_id, codec } => Some((*track_id, codec.name.clone())),
        _ => None,
    };
    let track = viewers[1].track(kind);
    let ours = &mut viewers[1].session.ours;
    let told = ours.expect("a mismatch", mismatch).await;
    assert_eq!(told, (track, "H264".to_owned()));
    while let Some(event) = ours.try_event() {
        assert_eq!(mismatch(&event), None, "told once");
    }
    // What it cannot have is no loss.
    for got in &got {
        go_on(got);
    }
}

#[tokio::test]
async fn c110_a_viewer_s_keyframe_request_goes_to_the_source_and_its_owner_hears_of_it() {
    let mut publisher = Publisher::connect("camera", 7, loopback()).await;
    let mut viewer = Viewer::connect(loopback()).await;
    let kind = MediaKind::Video;
    viewer.watch(kind, &publisher).await;
    is_asked(&mut publisher).await;
    let sent = publisher.publish(kind, 1).await;
    viewer.gets(&sent).await;

    let mid = viewer.session.mid(kind);
    let pli = KeyframeRequestKind::Pli;
    assert!(viewer.session.theirs.request_keyframe(mid, pli).await);
    let track = viewer
        .session
        .ours
        .expect("picture loss indication", |event| match event {
            Event::Rtcp {
                track_id, packets, ..
            } => packets
                .iter()
                .any(|packet| matches!(packet, RtcpPacket::PictureLossIndication(_)))
                .then_some(*track_id),
            _ => None,
        })
        .await;
    assert_eq!(track, Some(viewer.track(kind)));

    is_asked(&mut publisher).await;
    // Until it answers.
    is_asked(&mut publisher).await;
}

/// Somebody wants a keyframe of its camera.
async fn is_asked(publisher: &mut Publisher) {
    let camera = publisher.session.mid(MediaKind::Video);
    let request = |event| match event {
        Str0mEvent::KeyframeRequest { mid, .. } => Some(mid),
        _ => None,
    };
    let theirs = &mut publisher.session.theirs;
    let asked = theirs.expect(PATIENCE, "keyframe request", request).await;
    assert_eq!(asked, camera);
}

#[tokio::test]
async fn the_owner_hears_how_loud_a_track_is_when_it_wants_to() {
    let builder = loopback().audio_level_interval(Duration::from_millis(1));
    let mut publisher = Publisher::connect("singer", 40, builder).await;
    let (kind, microphone) = (MediaKind::Audio, publisher.track(MediaKind::Audio));
    let told = eventually(PATIENCE, "an audio level", async || {
        publisher.publish(kind, 3).await;
        while let Some(event) = publisher.session.ours.try_event() {
            if let Event::AudioLevel { track_id, level } = event {
                return Some((track_id, level));
            }
        }
        None
    })
    .await;
    assert_eq!(told.0, microphone);
    assert!(
        told.1.voice && (40..127).contains(&told.1.level),
        "{told:?}"
    );
}

#[tokio::test]
async fn a_client_may_watch_itself() {
    let mut publisher = Publisher::connect("mirror", 65_530, loopback()).await;
    let kinds = [MediaKind::Audio, MediaKind::Video];
    for kind in kinds {
        let track = publisher.session.ours.local_track(kind).id();
        let set = publisher.peer().set_route(track, publisher.source(kind));
        set.await.unwrap();
    }
    for kind in kinds {
        for sent in publisher.publish(kind, 20).await {
            let got = publisher.session.theirs.expect_rtp().await;
            assert_eq!(got.payload, sent.packet.payload);
            assert_eq!(got.sequence_number, sent.packet.sequence_number as u16);
        }
    }
    assert_eq!(publisher.stats().await.delivered, 0);
}

#[tokio::test]
async fn two_clients_watch_each_other() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || loopback().endpoint(endpoint.clone());
    let mut one = Publisher::connect("one", 7, builder()).await;
    let mut other = Publisher::connect("other", 60_000, builder()).await;
    let kind = MediaKind::Video;
    for (from, to) in [(&one, &other), (&other, &one)] {
        let track = to.session.ours.local_track(kind).id();
        to.peer().set_route(track, from.source(kind)).await.unwrap();
    }
    for (from, to) in [(0, 1), (1, 0)] {
        let both = [&mut one, &mut other];
        for sent in both[from].publish(kind, 20).await {
            let got = both[to].session.theirs.expect_rtp().await;
            assert_eq!(got.payload, sent.packet.payload);
        }
    }
}

/// Two peers of ours that send each other back what they get: a mistake, and one that costs no more
/// than the packets in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_loop_of_routes_harms_nobody_else_and_ends_with_a_route() {
    let mut one = Ours::spawn(loopback()).await;
    let mut other = Ours::spawn(loopback()).await;
    connect_ours(&mut one, &mut other, None).await;
    one.expect_tracks().await;
    other.expect_tracks().await;
    let to_itself = async |ours: &Ours| {
        let source = RouteSource::new(&ours.peer, ours.remote_track(MediaKind::Video).id());
        ours.peer.set_route(ours.video.id(), source).await.unwrap();
    };
    to_itself(&other).await;
    let (peer, track) = (&one.peer, one.video.id());
    let rounds = async || peer.media_stats().await.unwrap().routed;
    let mut number = 0;
    eventually(PATIENCE, "many rounds", async || {
        // The first of a loop may come back before there is one.
        peer.set_route(track, None).await.unwrap();
        number += 1_000;
        let text = payload("round and round".to_owned(), MediaKind::Video);
        let packet = rtp_packet(96, number, 1, true, text);
        peer.send_rtp(track, packet).unwrap();
        to_itself(&one).await;
        (rounds().await > 100).then_some(())
    })
    .await;

    let mut publisher = Publisher::connect("camera", 7, loopback()).await;
    let mut viewer = Viewer::connect(loopback()).await;
    viewer.watch(MediaKind::Video, &publisher).await;
    let sent = publisher.publish(MediaKind::Video, 20).await;
    viewer.gets(&sent).await;

    peer.set_route(track, None).await.unwrap();
    let before = rounds().await;
    other.peer.close().await;
    assert_eq!(rounds().await, before);
}
