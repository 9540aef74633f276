//! What has come and gone, for statistics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Datagrams of DTLS one way, and their bytes. Read by other tasks than those that count, so the two agree only at rest.
#[derive(Debug, Default)]
pub(super) struct Counted {
    packets: AtomicU64,
    bytes: AtomicU64,
}

/// Datagrams of DTLS both ways, each with their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DtlsTraffic {
    pub(crate) sent: (u64, u64),
    pub(crate) received: (u64, u64),
    /// Records that the guard has kept back.
    pub(crate) refused: u64,
    /// Datagrams for which there was no room.
    pub(crate) overflow: u64,
}

impl Counted {
    pub(super) fn add(&self, datagram: &[u8]) {
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes
            .fetch_add(datagram.len() as u64, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> (u64, u64) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (get(&self.packets), get(&self.bytes))
    }
}
