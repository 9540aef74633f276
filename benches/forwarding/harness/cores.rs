//! Which core does what.

use std::num::NonZeroUsize;
use std::process::Command;
use std::thread::available_parallelism;

/// Where driver and server run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// The server on the first, the driver on the second; a server of several workers on all.
    Apart,
    /// Wherever the kernel likes.
    Anywhere,
}

impl Cores {
    /// Moves this process to its core, if there are two and the tool `taskset` is at hand.
    pub(crate) fn divide() -> Self {
        let pinned = available_parallelism().is_ok_and(|cores| cores.get() >= 2)
            && Command::new("taskset")
                .args(["--all-tasks", "--cpu-list", "--pid", "1"])
                .arg(std::process::id().to_string())
                .output()
                .is_ok_and(|output| output.status.success());
        if pinned { Self::Apart } else { Self::Anywhere }
    }

    /// The list of cores that a server gets.
    pub(crate) fn of_server(self, workers: NonZeroUsize) -> Option<String> {
        match self {
            // From the driver it would inherit the driver's.
            Self::Apart if workers.get() > 1 => Some(format!("0-{}", workers.get() - 1)),
            Self::Apart => Some("0".to_owned()),
            Self::Anywhere => None,
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Apart => "server pinned to core 0, driver and clients to core 1",
            Self::Anywhere => "nothing pinned to a core (no `taskset`, or only one core)",
        }
    }
}
