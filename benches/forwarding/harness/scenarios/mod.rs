//! What is measured.

mod cores;
mod fan_out;
mod limit;
mod memory;
mod saturation;

use std::num::NonZeroUsize;
use std::time::Duration;

use tokio::runtime::Builder;

use super::Failure;
use super::arguments::{Arguments, Scenario};
use super::clients::{Clients, Pace, Shape};
use super::cores::Cores;
use super::report::{Row, print_doubts, print_rows};
use super::servers::ServerKind;
use super::session::{Session, Surroundings, Window};

/// Runs the scenarios that are asked for.
pub(crate) fn measure(arguments: &Arguments) -> Result<(), Failure> {
    in_driver(arguments, async |bench| {
        for scenario in &arguments.scenarios {
            println!("\n## {}\n", scenario.title());
            match scenario {
                Scenario::FanOut => fan_out::every(bench).await?,
                Scenario::HalfLoad => limit::half_load(bench).await?,
                Scenario::Limit => limit::ramp(bench).await?,
                Scenario::Saturation => saturation::every(bench).await?,
                Scenario::TwoCores => cores::compare(bench).await?,
            }
        }
        Ok(())
    })
}

/// Heap and allocations, with a counting allocator.
pub(crate) fn measure_memory(arguments: &Arguments) -> Result<(), Failure> {
    in_driver(arguments, async |bench| memory::every(bench).await)
}

fn in_driver(
    arguments: &Arguments,
    work: impl AsyncFnOnce(&Bench) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let cores = Cores::divide();
    println!("{}", cores.describe());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let arguments = arguments.clone();
    runtime.block_on(async {
        if arguments.awake {
            tokio::spawn(stay_awake());
        }
        work(&Bench { arguments, cores }).await
    })
}

/// Keeps this thread from waiting for its sockets, but makes way for others on its core.
async fn stay_awake() {
    loop {
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
}

/// What every scenario knows.
#[derive(Debug)]
struct Bench {
    arguments: Arguments,
    cores: Cores,
}

impl Bench {
    /// Where to begin where the rate varies.
    fn load_pace(&self) -> Pace {
        self.arguments.pace(self.arguments.shapes[0])
    }

    async fn session(&self, kind: ServerKind, fanout: usize) -> Result<Session, Failure> {
        self.session_of(kind, fanout, self.arguments.workers).await
    }

    /// With another number of workers than the command line says.
    async fn session_of(
        &self,
        kind: ServerKind,
        fanout: usize,
        workers: NonZeroUsize,
    ) -> Result<Session, Failure> {
        let surroundings = Surroundings {
            cores: self.cores,
            workers,
            clients: Clients {
                gro: self.arguments.gro,
                repairs: self.arguments.repairs,
            },
        };
        Session::start(kind, fanout, surroundings).await
    }
}

/// The rate at which the server is busy for that part of the time. What a packet costs falls as packets
/// come closer, so it is found step by step.
async fn at_load(session: &mut Session, mut pace: Pace, load: f64) -> Result<Pace, Failure> {
    for _ in 0..APPROACHES {
        let window = session.window(pace, APPROACH).await?;
        // No more at once than what the first guess can be trusted with.
        pace = pace.times((load / window.load()).min(MAX_STEP));
    }
    Ok(pace)
}

/// Some windows at one pace, after a warm-up. A rate that the server cannot carry is halved until it can.
async fn measure_row(bench: &Bench, session: &mut Session, mut pace: Pace) -> Result<Row, Failure> {
    for _ in 0..HALVINGS {
        let window = session.window(pace, WARM_UP).await?;
        if window.elapsed < WARM_UP.mul_f64(BEHIND) {
            break;
        }
        pace = pace.times(0.5);
    }
    let mut windows = Vec::new();
    for _ in 0..bench.arguments.runs {
        windows.push(session.window(pace, bench.arguments.window).await?);
    }
    session.row(pace, windows).await
}

impl Session {
    async fn row(&mut self, pace: Pace, windows: Vec<Window>) -> Result<Row, Failure> {
        let rss = self.server.usage().await?.rss_bytes - self.idle.rss_bytes;
        Ok(Row {
            server: self.kind,
            fanout: self.fanout,
            srtp: self.viewers.srtp_profile().ok_or("nobody is connected")?,
            pace,
            windows,
            rss_per_peer: rss / (self.fanout as u64 + 1),
        })
    }
}

/// Viewers where a server is to be saturated: so many that the publisher's part is small.
const CROWD: usize = 200;

const APPROACHES: usize = 4;
const APPROACH: Duration = Duration::from_millis(500);
const MAX_STEP: f64 = 4.0;

const WARM_UP: Duration = Duration::from_millis(500);

/// Who takes so much longer than it should has more to do than it can.
const BEHIND: f64 = 1.5;
const HALVINGS: usize = 4;
