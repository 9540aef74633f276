//! What both benchmarks share: a server process, clients on an independent stack, and the scenarios.

mod arguments;
mod child;
mod clients;
mod cores;
mod kernel;
#[path = "../../../tests/common/str0m_peer/observed.rs"]
mod observed;
mod protocol;
mod report;
mod scenarios;
mod servers;
mod session;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use self::arguments::{Arguments, Command};
pub(crate) use self::protocol::Heap;

/// Whatever goes wrong here ends the run.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Serves or measures, as the command line says. `heap` tells what the allocator has counted, if it counts.
pub(crate) fn main(heap: fn() -> Option<Heap>) -> ExitCode {
    let outcome =
        Arguments::parse(std::env::args().skip(1)).and_then(|arguments| match arguments.command {
            Command::Serve(kind) => servers::serve(kind, arguments.workers, heap),
            Command::Measure if heap().is_some() => scenarios::measure_memory(&arguments),
            Command::Measure => scenarios::measure(&arguments),
            Command::Nothing => {
                println!("{USAGE}");
                Ok(())
            }
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A server that has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(20);

const USAGE: &str = "\
cargo bench --bench forwarding [-- ARGUMENTS]         CPU, loss and latency
cargo bench --bench forwarding_memory [-- ARGUMENTS]  heap and allocations

  --scenarios LIST  fanout, half, limit, saturation, cores
  --servers LIST    ours-route, ours-route-own-sockets, ours-hand, ours-hand-own-sockets,
                    str0m, webrtc, webrtc-cm
  --fanout LIST     numbers of viewers
  --load-fanout N   viewers where the rate varies
  --shape LIST      framed, paced; limit, saturation and cores take the first
  --rate NUMBER     packets a second that are published
  --runs NUMBER     windows that are measured of each
  --seconds NUMBER  how long each of them is
  --gro on|off      whether the viewers' sockets take what was sent as one (GSO) as one; off, the
                    kernel takes it apart for them, at the sender's expense
  --awake on|off    whether the clients' core never sleeps: waking it is at the sender's expense, too
  --workers NUMBER  threads of a server's runtime; str0m has one in any case

Lists are separated by commas.";
