//! How connections end, and what is left of them.

use ractor::ActorStatus;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::*;

/// Waits until only as many tasks are left as there were, in a time that stands still otherwise.
async fn expect_tasks(count: usize) {
    let alive = || Handle::current().metrics().num_alive_tasks();
    let back = async {
        while alive() != count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if timeout(Duration::from_secs(5), back).await.is_err() {
        panic!("{} tasks are left, {count} were there", alive());
    }
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn c054_closing_says_goodbye_and_ends() {
    let before = tasks();
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    client.transport.close();
    client.transport.close();
    client.expect_state(DtlsTransportState::Closed).await;
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
    server.expect_state(DtlsTransportState::Closed).await;
    client.receive(&[22; 30]);
    client.transport.close();
    client.expect_silence().await;
    assert_eq!(client.transport.cell().get_status(), ActorStatus::Stopped);
    client.end().await;
    server.end().await;
    expect_tasks(before).await;
}

#[tokio::test(start_paused = true)]
async fn c055_the_side_that_was_left_ignores_later_input() {
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    server.transport.close();
    assert_eq!(client.next().await, DtlsEvent::ClosedByPeer);
    client.expect_state(DtlsTransportState::Closed).await;
    client.receive(&[22; 30]);
    client.expect_silence().await;
    assert_eq!(client.transport.cell().get_status(), ActorStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn c048_the_side_that_was_left_may_connect_to_another_peer() {
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    client.transport.close();
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
    server.expect_state(DtlsTransportState::Closed).await;

    let mut other = Side::new(&ALL).await;
    other.set_wire(&Wire::new(&server, |_| Fate::Arrives));
    server.set_wire(&Wire::new(&other, |_| Fate::Arrives));
    connect(&mut other, &mut server).await;
}

/// Chromium does so when the m-line is stopped that its transport was made for; the server, which
/// had closed for good, answered nothing and the call was lost.
#[tokio::test(start_paused = true)]
async fn a_client_that_closes_and_says_hello_again_gets_new_keys() {
    let (mut client, mut server) = pair().await;
    let first = connect(&mut client, &mut server).await;
    client.transport.close();
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
    server.expect_state(DtlsTransportState::Closed).await;

    let mut again = Side::with_certificate(&ALL, client.certificate.clone()).await;
    again.set_wire(&Wire::new(&server, |_| Fate::Arrives));
    server.set_wire(&Wire::new(&again, |_| Fate::Arrives));
    again.start(DtlsRole::Client, &server.certificate);
    let second = again.expect_keys().await;
    assert_mirrored(&second, &server.expect_keys().await);
    assert!(first.local != second.local && first.remote != second.remote);
}

#[tokio::test(start_paused = true)]
async fn c103_whoever_says_hello_after_a_close_needs_the_same_certificate() {
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    client.transport.close();
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
    server.expect_state(DtlsTransportState::Closed).await;

    let stranger = Side::new(&ALL).await;
    stranger.set_wire(&Wire::new(&server, |_| Fate::Arrives));
    server.set_wire(&Wire::new(&stranger, |_| Fate::Arrives));
    stranger.start(DtlsRole::Client, &server.certificate);
    let error = server.expect_failure().await;
    assert_eq!(error, DtlsError::FingerprintMismatch);
}

#[tokio::test(start_paused = true)]
async fn c115_a_hello_that_nobody_vouches_for_leaves_a_running_association_alone() {
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    let stranger = Side::new(&ALL).await;
    stranger.set_wire(&Wire::new(&server, |_| Fate::Arrives));
    stranger.start(DtlsRole::Client, &server.certificate);
    tokio::time::sleep(DEFAULT_HANDSHAKE_TIMEOUT).await;
    server.expect_silence().await;
    client.expect_silence().await;
    client.transport.close();
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
}

#[tokio::test(start_paused = true)]
async fn closing_wins_over_listening_and_over_the_handshake_that_came_of_it() {
    for speaks in [false, true] {
        let before = tasks();
        let (mut client, mut server) = pair().await;
        connect(&mut client, &mut server).await;
        client.transport.close();
        assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
        server.expect_state(DtlsTransportState::Closed).await;
        let again = Side::with_certificate(&ALL, client.certificate.clone()).await;
        if speaks {
            // Its hello arrives, and no answer comes back.
            again.set_wire(&Wire::new(&server, |_| Fate::Arrives));
            again.start(DtlsRole::Client, &server.certificate);
            server.expect_state(DtlsTransportState::Connecting).await;
        }
        server.transport.close();
        if speaks {
            server.expect_state(DtlsTransportState::Closed).await;
        }
        server.expect_silence().await;
        let status = server.transport.cell().get_status();
        assert_eq!(status, ActorStatus::Stopped);
        for side in [client, server, again] {
            side.end().await;
        }
        expect_tasks(before).await;
    }
}

#[tokio::test(start_paused = true)]
async fn c056_a_killed_actor_says_goodbye_and_leaves_no_task() {
    let before = tasks();
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    client.transport.cell().kill();
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
    client.end().await;
    server.end().await;
    expect_tasks(before).await;
}

#[tokio::test(start_paused = true)]
async fn c106_closing_in_the_middle_of_a_handshake_leaves_no_task() {
    for role in [DtlsRole::Client, DtlsRole::Server] {
        let before = tasks();
        let mut side = Side::new(&ALL).await;
        let other = Side::new(&ALL).await;
        side.set_wire(&Wire::new(&other, |_| Fate::Arrives));
        side.start(role, &other.certificate);
        side.expect_state(DtlsTransportState::Connecting).await;
        side.transport.close();
        side.expect_state(DtlsTransportState::Closed).await;
        side.end().await;
        other.end().await;
        expect_tasks(before).await;
    }
}

#[tokio::test(start_paused = true)]
async fn c106_closing_before_and_after_everything_works() {
    let before = tasks();
    let mut new = Side::new(&ALL).await;
    new.transport.close();
    new.expect_state(DtlsTransportState::Closed).await;
    new.end().await;

    let (mut failed, other) = pair().await;
    failed.start(DtlsRole::Client, &other.certificate);
    failed.expect_failure().await;
    failed.transport.close();
    failed.expect_state(DtlsTransportState::Closed).await;
    failed.end().await;
    other.end().await;
    expect_tasks(before).await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_handshake_leaves_no_task() {
    let before = tasks();
    let (mut client, server) = pair().await;
    client.start(DtlsRole::Client, &server.certificate);
    client.expect_state(DtlsTransportState::Connecting).await;
    client.transport.cell().kill();
    client.end().await;
    server.end().await;
    expect_tasks(before).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_listener_the_transport_ends_and_says_goodbye() {
    let before = tasks();
    let (mut client, mut server) = pair().await;
    connect(&mut client, &mut server).await;
    client.owner.kill();
    assert_eq!(server.next().await, DtlsEvent::ClosedByPeer);
    server.end().await;
    expect_tasks(before).await;
}

#[tokio::test(start_paused = true)]
async fn an_unread_connection_costs_three_tasks_and_its_actor() {
    let (mut client, mut server) = pair().await;
    let before = tasks();
    connect(&mut client, &mut server).await;
    assert_eq!(tasks() - before, 2 * 3);
}
