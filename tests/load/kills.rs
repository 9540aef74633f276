//! Connections of which any actor is killed at any step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ractor::{ActorRef, ActorStatus};
use ractor_webrtc::{Certificate, CloseReason, PeerConnectionBuilder};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::common::cut_short::cut_short;
use crate::common::owner::{Calm, loopback, shared_endpoint};
use crate::counts::{Counts, rounds};
use crate::side::{Side, connect};

/// Connects so many pairs, gives each up at some step, kills one of its actors, and ends what is left.
pub(crate) async fn run(count: u64) {
    let root = Calm::spawn().await;
    let (socket, endpoint) = shared_endpoint().await;
    let certificate = Certificate::generate().unwrap();
    let client = loopback().certificate(certificate);
    let shares = [client.clone(), client.clone().endpoint(endpoint)];
    let alone = [client.clone(), client];
    let mut counted: Vec<Counts> = Vec::new();
    let mut ends = BTreeMap::new();
    let rounds = rounds(count);
    for round in 0..=rounds {
        let began = Instant::now();
        let kills = count.div_ceil(rounds);
        let mut running = JoinSet::new();
        for number in round * kills..(round + 1) * kills {
            if running.len() == AT_ONCE {
                note(&mut ends, running.join_next().await.unwrap().unwrap());
            }
            let settings = if number % 2 == 0 { &shares } else { &alone };
            let (root, settings) = (root.clone(), settings.clone());
            running.spawn(async move { kill(&root, settings, number).await });
        }
        while let Some(ended) = running.join_next().await {
            note(&mut ends, ended.unwrap());
        }
        let counts = Counts::at_rest(&root.get_cell(), 0).await;
        println!(
            "kills: {:>6} in {:.1?}: {counts}",
            round * kills,
            began.elapsed()
        );
        counted.push(counts);
    }
    println!("kills: what the owners heard: {ends:?}");
    // The first round fills tables and buffers.
    counted.last().unwrap().hold_since(&counted[0]);
    root.stop_and_wait(None, None).await.unwrap();
    socket.stop_and_wait(None, None).await.unwrap();
}

fn note(ends: &mut BTreeMap<String, usize>, heard: Option<CloseReason>) {
    let name = match heard {
        None => "nothing, or was killed".to_owned(),
        Some(CloseReason::PartFailed { part, .. }) => format!("{part:?} failed"),
        Some(reason) => format!("{reason:?}"),
    };
    *ends.entry(name).or_default() += 1;
}

/// One of them. What its owner has heard, if it was not the one that was killed.
async fn kill(
    root: &ActorRef<()>,
    settings: [PeerConnectionBuilder; 2],
    seed: u64,
) -> Option<CloseReason> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut client = Side::new(root).await;
    let mut server = Side::new(root).await;
    let connecting = connect(&mut client, &mut server, settings);
    let connected = cut_short(connecting, random.random_range(0..MOST_POLLS)).await;
    if let Some(outcome) = connected {
        outcome.unwrap();
    }
    let mut sides = [client, server];
    let hit = random.random_range(0..2);
    let actors = sides[hit].actors();
    let victim = random.random_range(0..actors.len());
    actors[victim].kill();
    until("the end of one that was killed", || {
        actors[victim].get_status() == ActorStatus::Stopped
    })
    .await;
    let has_peer = actors.len() > 1;
    let heard = match victim {
        0 => None,
        _ if has_peer => sides[hit].ends().await,
        _ => None,
    };
    // What is below a peer has gone, whatever of it was killed; the owner stays if it was not the one.
    until("the end of all that was hit", || {
        sides[hit].actors().len() == 1
    })
    .await;
    let owner = sides[hit].owner.get_status();
    assert_eq!(owner >= ActorStatus::Stopping, victim == 0);
    for side in sides {
        side.end().await;
    }
    heard
}

/// Waits for what no event tells.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON, "not within {SOON:?}: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Between the moment in which a part fails and the end of its peer: the deadline, and a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Pairs that overlap.
const AT_ONCE: usize = 8;

/// A pair is connected after some forty.
const MOST_POLLS: usize = 60;
