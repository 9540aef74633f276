//! What a server does for weeks, in minutes: connections that come and go by the hundred thousand, parts that are killed, a thousand who
//! come at once, ten times the load, an hour of everything. Each is a program that prints its figures and fails where something
//! was lost or is left.
//!
//! Among the tests each runs for some seconds. In full, one after the other or those that are named:
//!
//! ```sh
//! cargo test --release --test load -- cycles=100000 kills=10000 at_once=1000 overload=60 soak=3600
//! ```
//!
//! | program | the number is of | what has to hold |
//! | --- | --- | --- |
//! | `cycles` | connections | no actor, task or file more than before, heap within a hundredth |
//! | `kills` | connections of which an actor is killed at a random step | the same; its peer ends in time and says so |
//! | `at_once` | peers that connect to one endpoint at the same time, twice | all connect and are heard |
//! | `overload` | seconds at ten times real time | memory stays, control answers, media recovers within a second |
//! | `soak` | seconds of a room with churn, loss and crashes | no leak, nobody stuck, no panic but those on purpose |
//!
//! The counts are of the process, so there is no test harness that runs things side by side.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod at_once;
#[path = "../common/mod.rs"]
mod common;
mod counts;
mod cycles;
#[path = "../room/hall.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod hall;
mod kills;
mod overload;
#[path = "../room/page.rs"]
#[allow(dead_code, reason = "each test file uses a part of it")]
mod page;
mod panics;
mod side;
mod soak;

use std::env;
use std::process::ExitCode;
use std::time::Instant;

use tokio::runtime::Builder;

/// A program, the number that it takes, and what it takes among the tests.
struct Program {
    name: &'static str,
    short: u64,
    run: fn(u64),
}

const PROGRAMS: [Program; 5] = [
    Program {
        name: "cycles",
        short: 80,
        run: |count| block_on(cycles::run(count)),
    },
    Program {
        name: "kills",
        short: 60,
        run: |count| block_on(kills::run(count)),
    },
    Program {
        name: "at_once",
        short: 20,
        run: |count| block_on(at_once::run(count)),
    },
    Program {
        name: "overload",
        short: 3,
        run: |seconds| block_on(overload::run(seconds)),
    },
    Program {
        name: "soak",
        short: 8,
        run: |seconds| block_on(soak::run(seconds)),
    },
];

fn main() -> ExitCode {
    panics::watch();
    let arguments: Vec<String> = env::args().skip(1).collect();
    // What `cargo test` hands to every test binary.
    let (flags, named): (Vec<&str>, Vec<&str>) =
        (arguments.iter().map(String::as_str)).partition(|argument| argument.starts_with('-'));
    for program in &PROGRAMS {
        let Some(amount) = wanted(program, &named) else {
            continue;
        };
        if flags.contains(&"--list") {
            println!("{}: test", program.name);
            continue;
        }
        let began = Instant::now();
        (program.run)(amount);
        println!("{}={amount}: held, {:.1?}\n", program.name, began.elapsed());
    }
    ExitCode::SUCCESS
}

/// How much of a program is to be run: without names all of them, shortly.
fn wanted(program: &Program, named: &[&str]) -> Option<u64> {
    if named.is_empty() {
        return Some(program.short);
    }
    named
        .iter()
        .find_map(|wanted| match wanted.split_once('=') {
            Some((name, amount)) if name == program.name => {
                Some(amount.parse().expect("a number behind the name"))
            }
            Some(_) => None,
            None => (*wanted == program.name).then_some(program.short),
        })
}

/// On a runtime of its own, so that nothing of one program is counted by the next.
fn block_on(program: impl Future<Output = ()>) {
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(program);
}
