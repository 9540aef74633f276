//! Many who connect to one endpoint at the same time.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use ractor_webrtc::Certificate;
use tokio::task::JoinSet;

use crate::common::owner::{Calm, loopback, shared_endpoint};
use crate::counts::{Counts, heap, kibibytes};
use crate::side::{Side, connect};

/// Twice so many clients, each with a socket of its own, to servers of one socket.
pub(crate) async fn run(count: u64) {
    let root = Calm::spawn().await;
    let (socket, endpoint) = shared_endpoint().await;
    let certificate = Certificate::generate().unwrap();
    // All that there is to do for so many takes seconds of all cores, and meanwhile flights are repeated.
    let patient = || loopback().handshake_timeout(Duration::from_secs(60));
    let server = patient()
        .certificate(certificate)
        .endpoint(endpoint.clone());
    let mut counted: Vec<Counts> = Vec::new();
    for time in 1..=2 {
        let before = heap();
        let (began, cpu) = (Instant::now(), ProcessTime::now());
        let mut connecting = JoinSet::new();
        for _ in 0..count {
            let (root, settings) = (root.clone(), [patient(), server.clone()]);
            connecting.spawn(async move {
                let mut client = Side::new(&root).await;
                let mut server = Side::new(&root).await;
                connect(&mut client, &mut server, settings).await.unwrap();
                (client, server)
            });
        }
        let mut pairs = connecting.join_all().await;
        let (took, cpu) = (began.elapsed(), cpu.elapsed());
        let held = kibibytes(heap().saturating_sub(before)) / (2 * count) as f64;
        let statistics = endpoint.statistics().await.unwrap();
        assert_eq!(statistics.peers as u64, count, "peers of the endpoint");
        println!(
            "at_once: time {time}: {count} connected in {took:.2?}, {:.2} ms of CPU a pair, {held:.0} KiB of heap a peer",
            cpu.as_secs_f64() * 1_000.0 / count as f64,
        );
        // Now that all are there, each is still heard.
        for (client, server) in &mut pairs {
            client.speak(2).await.unwrap();
            server.hears().await.unwrap();
        }
        for (client, server) in pairs {
            client.end().await;
            server.end().await;
        }
        let counts = Counts::at_rest(&root.get_cell(), 0).await;
        println!("at_once: when all have gone: {counts}");
        counted.push(counts);
    }
    counted[1].hold_since(&counted[0]);
    root.stop_and_wait(None, None).await.unwrap();
    socket.stop_and_wait(None, None).await.unwrap();
}
