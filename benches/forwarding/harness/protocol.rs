//! What the driver asks a server process: one line of JSON a request, and one for each answer, which is a
//! `Result<_, String>`. A server that has started says `Ok(())` unasked.

use serde::{Deserialize, Serialize};

/// What is asked.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Request {
    /// Let a client in: the answer's SDP.
    Join { role: Role, offer: String },
    /// What has the process used so far? A [`Usage`].
    Usage,
    /// How many packets do you say you have sent? A `u64`.
    Sent,
    /// Do something small that passes every mailbox of the media path: `()`.
    Control,
}

/// Which way a client's media goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum Role {
    Publisher,
    Viewer,
}

/// What a server process has used since it started.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Usage {
    /// CPU time, in user space and in the kernel for it.
    pub(crate) cpu_us: u64,
    pub(crate) rss_bytes: u64,
    /// Where the allocator counts.
    pub(crate) heap: Option<Heap>,
}

/// What an allocator has counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Heap {
    pub(crate) bytes: u64,
    pub(crate) allocations: u64,
}
