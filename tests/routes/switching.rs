//! What a viewer sees when the source of its track changes: one stream that goes on.

use std::time::{Duration, SystemTime};

use ractor_webrtc::jsep::RtpTransceiverDirection;
use ractor_webrtc::{MediaKind, MediaStreamTrack};
use str0m::rtp::rtcp::Rtcp;

use crate::common::owner::{loopback, rtp_packet, shared_endpoint};
use crate::common::session::Session;
use crate::common::str0m_peer::{IncomingRtp, Str0mEvent};
use crate::common::{PATIENCE, eventually};
use crate::stage::{Publisher, Viewer, go_on};

#[tokio::test]
async fn numbers_and_time_go_on_whatever_the_source() {
    let mut cameras = [
        Publisher::connect("near the wrap", 65_530, loopback()).await,
        Publisher::connect("far behind", 5, loopback()).await,
        Publisher::connect("far ahead", 30_000, loopback()).await,
    ];
    let mut viewer = Viewer::connect(loopback()).await;
    let mut got = Vec::new();
    for which in [0, 1, 2, 0, 2, 1, 0] {
        let camera = &mut cameras[which];
        viewer.watch(MediaKind::Video, camera).await;
        let sent = camera.publish(MediaKind::Video, 10).await;
        got.extend(viewer.gets(&sent).await);
    }
    go_on(&got);
    assert_eq!(got[0].sequence_number, 65_530);
}

#[tokio::test]
async fn a_route_that_ended_may_begin_again() {
    let mut camera = Publisher::connect("camera", 7, loopback()).await;
    let mut viewer = Viewer::connect(loopback()).await;
    let kind = MediaKind::Video;
    let mut got = Vec::new();
    for _ in 0..3 {
        viewer.watch(kind, &camera).await;
        // Twice is once.
        viewer.watch(kind, &camera).await;
        let sent = camera.publish(kind, 3).await;
        got.extend(viewer.gets(&sent).await);
        viewer.unwatch(kind).await;
        camera.is_heard_by_its_owner(kind).await;
    }
    go_on(&got);
}

/// However the publisher ends.
#[tokio::test]
async fn a_viewer_outlives_its_sources_and_goes_on_with_the_next() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || loopback().endpoint(endpoint.clone());
    let mut viewers = [
        Viewer::connect(builder()).await,
        Viewer::connect(loopback()).await,
    ];
    let mut got = [const { Vec::<IncomingRtp>::new() }; 2];
    let kind = MediaKind::Video;
    for (number, end) in [End::Closed, End::Killed, End::Crashed, End::OwnerKilled]
        .into_iter()
        .enumerate()
    {
        for builder in [builder(), loopback()] {
            let first = 20_000 * number as u16 + 3;
            let mut camera = Publisher::connect("camera", first, builder).await;
            for viewer in &viewers {
                viewer.watch(kind, &camera).await;
            }
            let sent = camera.publish(kind, 5).await;
            for (viewer, got) in viewers.iter_mut().zip(&mut got) {
                got.extend(viewer.gets(&sent).await);
            }
            end.befall(&camera).await;
        }
    }
    for got in &got {
        assert_eq!(got.len(), 40);
        go_on(got);
    }
}

enum End {
    Closed,
    Killed,
    Crashed,
    OwnerKilled,
}

impl End {
    async fn befall(&self, camera: &Publisher) {
        let owner = camera.session.ours.owner();
        match self {
            Self::Closed => camera.peer().close().await,
            Self::Killed => owner.get_children()[0].kill(),
            Self::Crashed => {
                // The media path is started before all others but the endpoint.
                let mut parts = owner.get_children()[0].get_children();
                parts.sort_by_key(ractor::ActorCell::get_id);
                parts[parts.len() - 3].kill();
            }
            Self::OwnerKilled => owner.kill(),
        }
    }
}

/// Went wrong: numbering began anew with every pause of the m-line, and SRTP, which remembers what was
/// sent, refused all of a source whose own numbers were lower.
#[tokio::test]
async fn what_is_sent_after_a_pause_of_the_m_line_is_another_stream() {
    let mut cameras = [
        Publisher::connect("first", 30_000, loopback()).await,
        Publisher::connect("second", 20_000, loopback()).await,
    ];
    let mut viewer = Viewer::connect(loopback()).await;
    let kind = MediaKind::Video;
    let mut got = Vec::new();
    for camera in &mut cameras {
        viewer.watch(kind, camera).await;
        let sent = camera.publish(kind, 3).await;
        got.extend(viewer.gets(&sent).await);
    }
    let inactive = RtpTransceiverDirection::Inactive;
    for direction in [inactive, RtpTransceiverDirection::SendRecv] {
        let transceivers = viewer.peer().transceivers().await.unwrap();
        let video = transceivers.iter().find(|it| it.kind() == kind).unwrap();
        let set = viewer.peer().set_direction(video.id(), direction);
        set.await.unwrap();
        renegotiate(&mut viewer.session).await;
        let sent = cameras[1].publish(kind, 3).await;
        if direction == inactive {
            let what = "three packets without an m-line";
            viewer
                .eventually(what, |stats| stats.not_negotiated == 3)
                .await;
        } else {
            let after = viewer.gets(&sent).await;
            assert_ne!(after[0].ssrc, got[0].ssrc);
            go_on(&after);
        }
    }
    go_on(&got);
}

/// Both descriptions anew, over the connection that there is.
async fn renegotiate(session: &mut Session) {
    let (ours, theirs) = (&session.ours, &session.theirs);
    ours.peer.set_local_description(None).await.unwrap();
    let offer = ours.peer.local_description().await.unwrap().unwrap();
    let answer = theirs.accept_offer(&offer.sdp).await.unwrap();
    ours.accept_answer(&answer).await;
}

#[tokio::test]
async fn a_track_that_its_sender_gives_up_takes_its_route_along() {
    let mut camera = Publisher::connect("camera", 7, loopback()).await;
    let mut viewer = Viewer::connect(loopback()).await;
    let kind = MediaKind::Video;
    viewer.watch(kind, &camera).await;
    let sent = camera.publish(kind, 1).await;
    let mut got = viewer.gets(&sent).await;

    let senders = viewer.peer().senders().await.unwrap();
    let track = Some(viewer.track(kind));
    let is_video = |it: &&ractor_webrtc::jsep::RtpSender| it.track().map(|it| it.id()) == track;
    let sender = senders.iter().find(is_video).unwrap().id();
    let other = MediaStreamTrack::new(kind, []);
    let replaced = viewer.peer().replace_track(sender, Some(&other));
    replaced.await.unwrap();
    camera.is_heard_again_by_its_owner(kind).await;

    viewer
        .peer()
        .set_route(other.id(), camera.source(kind))
        .await
        .unwrap();
    let sent = camera.publish(kind, 2).await;
    got.extend(viewer.gets(&sent).await);
    go_on(&got);

    viewer.peer().remove_track(sender).await.unwrap();
    camera.is_heard_again_by_its_owner(kind).await;
}

#[tokio::test]
async fn a_source_that_its_client_takes_back_ends_the_route() {
    let mut camera = Publisher::connect("camera", 7, loopback()).await;
    let mut viewer = Viewer::connect(loopback()).await;
    let kind = MediaKind::Video;
    viewer.watch(kind, &camera).await;
    let sent = camera.publish(kind, 1).await;
    viewer.gets(&sent).await;
    let transceivers = camera.peer().transceivers().await.unwrap();
    let video = transceivers.iter().find(|it| it.kind() == kind).unwrap();
    camera.peer().stop_transceiver(video.id()).await.unwrap();
    renegotiate(&mut camera.session).await;
    let mut number = 1_000;
    let heard = eventually(PATIENCE, "the application may send", async || {
        number += 1;
        let by_hand = rtp_packet(96, number, 1, true, b"by hand".to_vec());
        let track = viewer.track(kind);
        viewer.peer().send_rtp(track, by_hand).unwrap();
        match viewer.session.theirs.try_event() {
            Some(Str0mEvent::Rtp(packet)) => Some(packet.payload),
            _ => None,
        }
    })
    .await;
    assert_eq!(heard, b"by hand");
}

/// What the viewer's sender reports say of the time is true before and after a change.
#[tokio::test]
async fn sender_reports_tell_the_same_time_after_a_change() {
    let mut cameras = [
        Publisher::connect("first", 7, loopback()).await,
        Publisher::connect("second", 40_000, loopback()).await,
    ];
    let mut viewer = Viewer::connect(loopback()).await;
    let kind = MediaKind::Video;
    let mut seen = Vec::new();
    for camera in &mut cameras {
        viewer.watch(kind, camera).await;
        let sent = camera.publish(kind, 1).await;
        viewer.gets(&sent).await;
        seen.push(sender_report(&mut viewer).await);
    }
    let [(first_ntp, first), (second_ntp, second)] = [seen[0], seen[1]];
    let passed = second_ntp.duration_since(first_ntp).unwrap().as_secs_f64();
    let ticks = f64::from(second.wrapping_sub(first)) / 90_000.0;
    assert!(
        (passed - ticks).abs() < 0.005,
        "{passed} s, {ticks} s of ticks"
    );
}

/// Wall time and timestamp of the next one on the picture.
async fn sender_report(viewer: &mut Viewer) -> (SystemTime, u32) {
    let (ssrc, _) = viewer.session.promised(MediaKind::Video);
    let pick = |event| match event {
        Str0mEvent::Rtcp(rtcp) => match *rtcp {
            Rtcp::SenderReport(report) if *report.sender_info.ssrc == ssrc => {
                let info = report.sender_info;
                Some((info.ntp_time, info.rtp_time.numer() as u32))
            }
            _ => None,
        },
        _ => None,
    };
    viewer
        .session
        .theirs
        .expect(Duration::from_secs(5), "sender report", pick)
        .await
}
