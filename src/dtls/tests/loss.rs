//! Bad networks, the same every time.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant as TokioInstant;

use super::*;

/// A network that loses this share of datagrams.
fn lossy(seed: u64, loss: f64) -> impl FnMut(&[u8]) -> Fate + Send + 'static {
    let mut random = StdRng::seed_from_u64(seed);
    move |_| {
        if random.random_bool(loss) {
            Fate::IsLost
        } else {
            Fate::Arrives
        }
    }
}

/// A network that loses, doubles, delays and reorders.
fn rough(seed: u64) -> impl FnMut(&[u8]) -> Fate + Send + 'static {
    let mut random = StdRng::seed_from_u64(seed);
    move |_| match random.random_range(0..10) {
        0 => Fate::IsLost,
        1 => Fate::ArrivesTwice,
        2..6 => Fate::ArrivesAfter(Duration::from_millis(random.random_range(0..300))),
        _ => Fate::Arrives,
    }
}

/// Shakes hands over such networks and tells how long each took.
async fn shake_hands<N>(count: u64, network: impl Fn(u64) -> N) -> Vec<Duration>
where
    N: FnMut(&[u8]) -> Fate + Send + 'static,
{
    let mut taken = Vec::new();
    for seed in 0..count {
        let (mut client, mut server) = pair_with(network(2 * seed), network(2 * seed + 1)).await;
        let begun = TokioInstant::now();
        connect(&mut client, &mut server).await;
        taken.push(begun.elapsed());
        client.end().await;
        server.end().await;
    }
    taken.sort();
    taken
}

#[tokio::test(start_paused = true)]
async fn two_hundred_handshakes_at_a_fifth_of_loss_all_complete() {
    let begun = Instant::now();
    let taken = shake_hands(200, |seed| lossy(seed, 0.2)).await;
    println!(
        "200 handshakes at 20 % loss: median {:?}, 95 % within {:?}, longest {:?}; run in {:?}",
        taken[100],
        taken[190],
        taken[199],
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn handshakes_complete_at_half_of_loss() {
    let taken = shake_hands(20, |seed| lossy(1000 + seed, 0.5)).await;
    println!("20 handshakes at 50 % loss: longest {:?}", taken[19]);
}

#[tokio::test(start_paused = true)]
async fn handshakes_complete_over_a_network_that_reorders_and_doubles() {
    let taken = shake_hands(50, rough).await;
    println!(
        "50 handshakes over a rough network: longest {:?}",
        taken[49]
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_last_flight_is_repeated() {
    // What is lost is all that the server sends in the moment in which it is done.
    let mut lost = 0;
    let (mut client, mut server) = pair_with(
        |_| Fate::Arrives,
        move |datagram| {
            if datagram[0] == 20 && lost < 3 {
                lost += 1;
                return Fate::IsLost;
            }
            Fate::Arrives
        },
    )
    .await;
    start(&client, &server);
    server.expect_keys().await;
    client.expect_keys().await;
}

#[tokio::test(start_paused = true)]
async fn c053_both_sides_give_up_on_a_network_that_loses_everything() {
    let (mut client, mut server) = pair_with(|_| Fate::IsLost, |_| Fate::IsLost).await;
    let begun = TokioInstant::now();
    start(&client, &server);
    let expected = DtlsError::HandshakeTimeout {
        after: DEFAULT_HANDSHAKE_TIMEOUT,
    };
    assert_eq!(client.expect_failure().await, expected);
    assert_eq!(server.expect_failure().await, expected);
    assert!(begun.elapsed() < DEFAULT_HANDSHAKE_TIMEOUT + Duration::from_millis(10));
}
