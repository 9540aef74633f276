//! Who goes, takes nothing along and leaves nothing behind.

use std::time::Duration;

use futures_util::future::join_all;
use ractor::{ActorCell, ActorRef};
use ractor_webrtc::peer_connection::{RouteError, RouteSource};
use ractor_webrtc::{CallError, MediaKind, PeerConnection, PeerEvent, TrackId};
use tokio::runtime::Handle;

use crate::common::owner::{loopback, shared_endpoint};
use crate::common::{PATIENCE, eventually};
use crate::stage::{Publisher, Viewer, go_on};

const KIND: MediaKind = MediaKind::Video;

#[tokio::test]
async fn a_viewer_that_goes_costs_publisher_and_other_viewers_no_packet() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || loopback().endpoint(endpoint.clone());
    let mut camera = Publisher::connect("camera", 7, builder()).await;
    let mut stays = Viewer::connect(builder()).await;
    stays.watch(KIND, &camera).await;
    let mut got = Vec::new();
    for (builder, kill) in [
        (builder(), false),
        (builder(), true),
        (loopback(), false),
        (loopback(), true),
    ] {
        let mut leaves = Viewer::connect(builder).await;
        leaves.watch(KIND, &camera).await;
        let sent = camera.publish(KIND, 10).await;
        leaves.gets(&sent).await;
        let end = async {
            if kill {
                leaves.session.ours.owner().get_children()[0].kill();
            } else {
                leaves.peer().close().await;
            }
        };
        let (more, ()) = tokio::join!(camera.publish(KIND, 30), end);
        got.extend(stays.gets(&sent).await);
        got.extend(stays.gets(&more).await);
    }
    go_on(&got);
    let stats = stays.stats().await;
    assert_eq!(stats.routed, 160);
    assert_eq!(stats.send_failed + stats.protect_failed, 0);
    assert_eq!(camera.stats().await.route_overflow, 0);
}

/// Went wrong: a viewer that was killed together with its socket never told the publisher, whose
/// owner got no media any more, and which kept the end of a lane for each of them, for ever.
#[tokio::test]
async fn the_owner_gets_media_again_however_the_last_viewer_ends() {
    let mut camera = Publisher::connect("camera", 7, loopback()).await;
    for kill in [false, true] {
        let mut viewer = Viewer::connect(loopback()).await;
        viewer.watch(KIND, &camera).await;
        let sent = camera.publish(KIND, 3).await;
        viewer.gets(&sent).await;
        if kill {
            viewer.session.ours.owner().get_children()[0].kill();
        } else {
            viewer.peer().close().await;
        }
        camera.is_heard_again_by_its_owner(KIND).await;
    }
    let (supervisor, endpoint) = shared_endpoint().await;
    let mut viewer = Viewer::connect(loopback().endpoint(endpoint)).await;
    viewer.watch(KIND, &camera).await;
    let sent = camera.publish(KIND, 3).await;
    viewer.gets(&sent).await;
    supervisor.stop(None);
    camera.is_heard_again_by_its_owner(KIND).await;
}

#[tokio::test]
async fn a_client_that_is_gone_costs_the_others_no_packet() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || loopback().endpoint(endpoint.clone());
    let mut camera = Publisher::connect("camera", 7, builder()).await;
    let mut stays = Viewer::connect(builder()).await;
    let gone = Viewer::connect(builder()).await;
    for viewer in [&stays, &gone] {
        viewer.watch(KIND, &camera).await;
    }
    // Its port is closed, so that the kernel hears that nobody is there.
    let Viewer { session } = gone;
    let (ours, theirs) = (session.ours, session.theirs);
    drop(theirs);
    let mut got = Vec::new();
    for _ in 0..10 {
        let sent = camera.publish(KIND, 20).await;
        got.extend(stays.gets(&sent).await);
    }
    go_on(&got);
    assert_eq!(ours.peer.media_stats().await.unwrap().routed, 200);
    assert_eq!(stays.stats().await.send_failed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_viewers_come_and_go_while_packets_flow() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    {
        let (supervisor, endpoint) = shared_endpoint().await;
        let builder = || loopback().endpoint(endpoint.clone());
        let mut camera = Publisher::connect("camera", 60_000, builder()).await;
        let source = camera.source(KIND);
        let mut stays = Viewer::connect(builder()).await;
        stays.watch(KIND, &camera).await;

        let visit = async |number: usize| {
            let mut viewer = Viewer::connect(builder()).await;
            let set = viewer.peer().set_route(viewer.track(KIND), source.clone());
            set.await.unwrap();
            let mut got = Vec::new();
            for _ in 0..10 {
                got.push(viewer.next(KIND).await);
            }
            go_on(&got);
            match number % 4 {
                0 => viewer.peer().close().await,
                1 => viewer.session.ours.owner().get_children()[0].kill(),
                2 => viewer.unwatch(KIND).await,
                _ => {}
            }
        };
        let visits = async {
            for round in 0..10 {
                join_all((0..10).map(|number| visit(10 * round + number))).await;
            }
        };
        let flow = async {
            let mut got = Vec::new();
            loop {
                let sent = camera.publish(KIND, 2).await;
                got.extend(stays.gets(&sent).await);
                go_on(&got[got.len() - 2..]);
            }
        };
        tokio::select! {
            () = visits => {}
            () = flow => {}
        }
        let stats = stays.stats().await;
        assert_eq!(stats.protect_failed + stats.send_failed, 0);
        // None of them is subscribed still: without the last one its owner gets all.
        stays.unwatch(KIND).await;
        camera.is_heard_again_by_its_owner(KIND).await;
        supervisor.stop(None);
    }
    eventually(PATIENCE, "no task left", async || {
        (tasks() <= before).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn races_of_routes_and_ends_leave_nothing_behind() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    {
        let (supervisor, endpoint) = shared_endpoint().await;
        let builder = || loopback().endpoint(endpoint.clone());
        let mut cameras = Vec::new();
        for builder in [builder(), loopback(), builder(), loopback()] {
            cameras.push(Publisher::connect("camera", 7, builder).await);
        }
        let mut viewers = Vec::new();
        for builder in [builder(), loopback(), builder(), loopback()] {
            viewers.push(Viewer::connect(builder).await);
        }
        let mut racers = Vec::new();
        for number in 0..32 {
            let sources: Vec<_> = cameras.iter().map(|it| it.source(KIND)).collect();
            let viewer = &viewers[number % viewers.len()];
            let (peer, track) = (viewer.peer().clone(), viewer.track(KIND));
            racers.push(tokio::spawn(race(number, peer, track, sources)));
        }
        let flow = async {
            for _ in 0..20 {
                for camera in &mut cameras {
                    camera.publish(KIND, 2).await;
                }
            }
        };
        flow.await;
        let ends = [cameras[0].peer(), cameras[1].peer(), viewers[0].peer()];
        join_all(ends.map(PeerConnection::close)).await;
        viewers[1].session.ours.owner().get_children()[0].kill();
        for racer in racers {
            racer.await.unwrap();
        }
        // The living are as they were.
        let (camera, viewer) = (&mut cameras[2], &mut viewers[3]);
        viewer.unwatch(KIND).await;
        viewer.watch(KIND, camera).await;
        let sent = camera.publish(KIND, 1).await.remove(0).packet.payload;
        while viewer.next(KIND).await.payload != sent {}
        supervisor.stop(None);
    }
    eventually(PATIENCE, "no task left", async || {
        (tasks() <= before).then_some(())
    })
    .await;
}

/// Sets routes as fast as it can, gives up on every third, and tells whatever else than an end of
/// a peer stands in the way.
async fn race(number: usize, peer: PeerConnection, track: TrackId, sources: Vec<RouteSource>) {
    for step in 0..200 {
        let source = sources.get((number + step) % (sources.len() + 1)).cloned();
        let set = peer.set_route(track, source);
        if step % 3 == 0 {
            // Asked and not waited for: it is carried out all the same, or not at all.
            let _given_up = tokio::time::timeout(Duration::ZERO, set).await;
            continue;
        }
        match set.await {
            Ok(())
            | Err(
                RouteError::SourceClosed
                | RouteError::UnknownSource(_)
                | RouteError::UnknownTrack(_)
                | RouteError::Call(CallError::Stopped),
            ) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn an_endpoint_with_live_routes_ends_whole() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for stop_supervisor in [true, false] {
        let (supervisor, endpoint) = shared_endpoint().await;
        let builder = || loopback().endpoint(endpoint.clone());
        let mut camera = Publisher::connect("camera", 7, builder()).await;
        let mut viewers = [
            Viewer::connect(builder()).await,
            Viewer::connect(loopback()).await,
        ];
        for viewer in &viewers {
            viewer.watch(KIND, &camera).await;
        }
        let sent = camera.publish(KIND, 20).await;
        for viewer in &mut viewers {
            viewer.gets(&sent).await;
        }
        // Packets are on their way when it ends.
        camera.publish(KIND, 20).await;
        if stop_supervisor {
            supervisor.stop(None);
        } else {
            endpoint.stop();
        }
        drop((camera, viewers));
        supervisor.stop(None);
        eventually(PATIENCE, "no task left", async || {
            (tasks() <= before).then_some(())
        })
        .await;
    }
}

/// Killed while its lanes are full, in the middle of whatever it does.
#[tokio::test(flavor = "multi_thread")]
async fn a_media_path_that_dies_in_a_flood_takes_nobody_along() {
    let (_supervisor, endpoint) = shared_endpoint().await;
    let builder = || loopback().endpoint(endpoint.clone());
    let mut cameras = [
        Publisher::connect("dies", 7, builder()).await,
        Publisher::connect("stays", 7, builder()).await,
    ];
    let mut viewers = [
        Viewer::connect(builder()).await,
        Viewer::connect(builder()).await,
        Viewer::connect(loopback()).await,
    ];
    for viewer in &viewers {
        viewer.watch(KIND, &cameras[0]).await;
        viewer.watch(MediaKind::Audio, &cameras[1]).await;
    }
    let [dies, stays] = &mut cameras;
    let victims = [
        media_path(dies.session.ours.owner()),
        media_path(viewers[0].session.ours.owner()),
    ];
    dies.publish(KIND, 200).await;
    for victim in victims {
        victim.kill();
    }
    let sent = stays.publish(MediaKind::Audio, 20).await;
    for viewer in &mut viewers[1..] {
        viewer.gets(&sent).await;
        viewer.watch(KIND, stays).await;
    }
    let sent = stays.publish(KIND, 20).await;
    for viewer in &mut viewers[1..] {
        // What was sent before the end may still be there.
        while viewer.next(KIND).await.payload != sent[0].packet.payload {}
        viewer.gets(&sent[1..]).await;
    }
}

/// Of a peer that shares its socket: the first of its parts.
fn media_path(owner: &ActorRef<PeerEvent>) -> ActorCell {
    let parts = owner.get_children()[0].get_children();
    parts.into_iter().min_by_key(ActorCell::get_id).unwrap()
}
