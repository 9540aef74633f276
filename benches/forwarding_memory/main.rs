//! What forwarding holds and allocates; the servers of `cargo bench --bench forwarding`, with a counting allocator.

#[path = "../forwarding/harness/mod.rs"]
mod harness;

use std::alloc::System;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use self::harness::Heap;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> ExitCode {
    harness::main(|| Some(heap()))
}

fn heap() -> Heap {
    let stats = ALLOCATOR.stats();
    // Growth and shrinkage by reallocation are already in the two sums.
    let held = stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated);
    Heap {
        bytes: held as u64,
        allocations: (stats.allocations + stats.reallocations) as u64,
    }
}
