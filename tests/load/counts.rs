//! What there is of everything that can leak.

use std::alloc::System;
use std::fmt;
use std::fs;
use std::time::Duration;

use ractor::ActorCell;
use ractor_webrtc::PeerConnection;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::runtime::Handle;

use crate::common::eventually;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What there is of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Peer connections of the process.
    pub(crate) peers: usize,
    /// Actors below the one that was named.
    pub(crate) actors: usize,
    /// Of the runtime: each actor has one.
    pub(crate) tasks: usize,
    /// Open files of the process, sockets included.
    pub(crate) descriptors: usize,
    /// Bytes.
    pub(crate) heap: usize,
}

impl Counts {
    /// Once `peers` are left, and nothing ends any more.
    pub(crate) async fn at_rest(root: &ActorCell, peers: usize) -> Self {
        eventually(LONG, "the end of those who go", async || {
            (PeerConnection::all_running().len() == peers).then_some(())
        })
        .await;
        let mut last = (usize::MAX, usize::MAX);
        let mut unchanged = 0;
        // What ends last has no event.
        eventually(LONG, "no task that ends", async || {
            let now = (tasks(), descriptors());
            unchanged = if now == last { unchanged + 1 } else { 0 };
            last = now;
            (unchanged == 40).then_some(())
        })
        .await;
        Self {
            peers: PeerConnection::all_running().len(),
            actors: descendants(root).len(),
            tasks: last.0,
            descriptors: last.1,
            heap: heap(),
        }
    }

    /// That nothing is left of what was done in between.
    ///
    /// # Panics
    ///
    /// When something is.
    pub(crate) fn hold_since(&self, before: &Self) {
        assert_eq!(self.peers, before.peers, "peers");
        assert_eq!(self.actors, before.actors, "actors");
        assert_eq!(self.tasks, before.tasks, "tasks");
        assert_eq!(self.descriptors, before.descriptors, "open files");
        // What a table keeps for the next is not lost, and weighs something where there is little else.
        let bound = (before.heap + before.heap / 100).max(before.heap + SLACK);
        assert!(self.heap <= bound, "heap: {before} … {self}");
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} peers, {} actors, {} tasks, {} files, {:.1} KiB of heap, {:.1} MiB resident",
            self.peers,
            self.actors,
            self.tasks,
            self.descriptors,
            kibibytes(self.heap),
            resident() as f64 / 1_048_576.0,
        )
    }
}

/// In how many parts so many are done, with a look at the counts behind each, and one part before them that fills tables and buffers.
pub(crate) fn rounds(count: u64) -> u64 {
    if count < 1_000 { 2 } else { 10 }
}

/// All actors below.
pub(crate) fn descendants(actor: &ActorCell) -> Vec<ActorCell> {
    let mut all = actor.get_children();
    let mut looked_at = 0;
    while let Some(next) = all.get(looked_at) {
        let children = next.get_children();
        all.extend(children);
        looked_at += 1;
    }
    all
}

/// Bytes that are allocated now.
pub(crate) fn heap() -> usize {
    let stats = ALLOCATOR.stats();
    // Growth and shrinkage by reallocation are already in the two sums.
    (stats.bytes_allocated).saturating_sub(stats.bytes_deallocated)
}

/// Bytes that the kernel has given to the process, free ones of the allocator included.
pub(crate) fn resident() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * PAGE
}

pub(crate) fn kibibytes(bytes: usize) -> f64 {
    bytes as f64 / 1_024.0
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

const LONG: Duration = Duration::from_secs(60);

/// On Linux where these programs run.
const PAGE: usize = 4_096;

const SLACK: usize = 16 << 10;
