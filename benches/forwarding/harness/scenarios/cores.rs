//! How much more a server carries with two cores than with one.
//!
//! Where the machine has only two, the server cannot have both to itself: publisher and viewers need theirs. So the
//! viewers stop reading, and what the server sent is counted by the server. A packet that nobody
//! reads costs the kernel less than one that wakes a reader, with one core as with two. The publisher runs on, a
//! small part of the second core; the load says how much the server got.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::{Bench, CROWD, Failure, Pace, ServerKind, at_load};

pub(super) async fn compare(bench: &Bench) -> Result<(), Failure> {
    println!("| server | workers | published/s | sent/s | % of a core | CPU µs per packet |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for kind in bench.arguments.servers.iter().filter(|kind| kind.is_ours()) {
        let mut session = bench.session_of(*kind, CROWD, ONE).await?;
        let pace = at_load(&mut session, bench.load_pace(), PART).await?;
        drop(session);
        let one = carried(bench, *kind, ONE, pace.times(EXCESS / PART)).await?;
        let two = carried(bench, *kind, TWO, pace.times(2.0 * EXCESS / PART)).await?;
        println!(
            "\n{kind}: two cores carry {:.2} times one; by the same CPU time it would be {:.2}\n",
            two.sent_per_second() / one.sent_per_second(),
            2.0 * one.cpu_per_packet() / two.cpu_per_packet(),
        );
    }
    Ok(())
}

/// What a saturated server does in a while.
#[derive(Debug)]
struct Carried {
    sent: u64,
    elapsed: Duration,
    cpu: Duration,
}

async fn carried(
    bench: &Bench,
    kind: ServerKind,
    workers: NonZeroUsize,
    pace: Pace,
) -> Result<Carried, Failure> {
    let mut session = bench.session_of(kind, CROWD, workers).await?;
    session.viewers.stop_reading()?;
    session
        .publisher
        .send(pace.packets_in(WARM_UP), pace)
        .await?;
    let sent_before = session.server.sent().await?;
    let before = session.server.usage().await?;
    let started = Instant::now();
    let packets = pace.packets_in(DURATION);
    session.publisher.send(packets, pace).await?;
    let elapsed = started.elapsed();
    let after = session.server.usage().await?;
    let carried = Carried {
        sent: session.server.sent().await? - sent_before,
        elapsed,
        cpu: Duration::from_micros(after.cpu_us - before.cpu_us),
    };
    println!(
        "| {kind} | {workers} | {:.0} | {:.0} | {:.0} | {:.2} |",
        packets as f64 / elapsed.as_secs_f64(),
        carried.sent_per_second(),
        carried.cpu.as_secs_f64() * 100.0 / elapsed.as_secs_f64(),
        carried.cpu_per_packet() * 1e6,
    );
    Ok(carried)
}

impl Carried {
    fn sent_per_second(&self) -> f64 {
        self.sent as f64 / self.elapsed.as_secs_f64()
    }

    /// In seconds.
    fn cpu_per_packet(&self) -> f64 {
        self.cpu.as_secs_f64() / self.sent as f64
    }
}

const ONE: NonZeroUsize = NonZeroUsize::MIN;
const TWO: NonZeroUsize = ONE.saturating_add(1);

/// So much more than a whole core, judged by what a part of it carries while everything is read.
const EXCESS: f64 = 2.5;
const PART: f64 = 0.4;

const WARM_UP: Duration = Duration::from_secs(1);
const DURATION: Duration = Duration::from_secs(4);
