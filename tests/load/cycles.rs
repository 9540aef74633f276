//! Connections that come and go.

use std::time::Instant;

use cpu_time::ProcessTime;
use ractor::ActorRef;
use ractor_webrtc::{Certificate, PeerConnectionBuilder};
use tokio::task::JoinSet;

use crate::common::owner::{Calm, loopback, shared_endpoint};
use crate::counts::{Counts, descendants, rounds};
use crate::side::{Side, connect};

/// Connects and closes so many pairs: a client with a socket of its own, a server with one for all.
pub(crate) async fn run(count: u64) {
    let root = Calm::spawn().await;
    let (socket, endpoint) = shared_endpoint().await;
    let certificate = Certificate::generate().unwrap();
    let client = loopback().certificate(certificate.clone());
    let server = loopback().certificate(certificate).endpoint(endpoint);
    let settings = [client, server];
    let mut counted: Vec<Counts> = Vec::new();
    let rounds = rounds(count);
    for round in 0..=rounds {
        let (began, cpu) = (Instant::now(), ProcessTime::now());
        let cycles = count.div_ceil(rounds);
        connect_and_close(&root, &settings, cycles).await;
        let counts = Counts::at_rest(&root.get_cell(), 0).await;
        println!(
            "cycles: {:>7} in {:.1?}, {:.2} ms of CPU each: {counts}",
            round * cycles,
            began.elapsed(),
            cpu.elapsed().as_secs_f64() * 1_000.0 / cycles as f64,
        );
        counted.push(counts);
    }
    // The first round fills tables and buffers.
    counted.last().unwrap().hold_since(&counted[0]);
    root.stop_and_wait(None, None).await.unwrap();
    socket.stop_and_wait(None, None).await.unwrap();
}

async fn connect_and_close(
    root: &ActorRef<()>,
    settings: &[PeerConnectionBuilder; 2],
    cycles: u64,
) {
    let mut running = JoinSet::new();
    for number in 0..cycles {
        if running.len() == AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        let (root, settings) = (root.clone(), settings.clone());
        running.spawn(async move { cycle(&root, settings, number).await });
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert_eq!(descendants(&root.get_cell()).len(), 0, "owners are left");
}

/// One of them, closed by either side, by both, or by nobody but their owners.
async fn cycle(root: &ActorRef<()>, settings: [PeerConnectionBuilder; 2], number: u64) {
    let mut client = Side::new(root).await;
    let mut server = Side::new(root).await;
    connect(&mut client, &mut server, settings).await.unwrap();
    let closing: &mut [&mut Side] = match number % 4 {
        0 => &mut [&mut client, &mut server],
        1 => &mut [&mut client],
        2 => &mut [&mut server],
        _ => &mut [],
    };
    for side in closing {
        side.peer.as_ref().unwrap().close().await;
        side.ends().await.expect("the owner is there");
    }
    client.end().await;
    server.end().await;
}

/// Pairs that overlap.
const AT_ONCE: usize = 8;
