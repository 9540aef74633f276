//! Bounded queues between actors: a ring of batches and one doorbell.
//!
//! ractor mailboxes are unbounded, so whatever the network can make grow travels in a
//! lane. Policy: when it is full, the **oldest** batch goes, and is counted. Whoever
//! pushes into an empty lane rings the bell (one message to the reading actor); whoever is rung
//! drains all that is there, or a turn's worth of it and then comes back for the rest.

mod queue;
#[cfg(test)]
mod tests;

pub(crate) use self::queue::{
    LaneCapacity, LaneDepth, LaneDrops, LaneReceiver, LaneSender, Weigh, lane,
};

impl LaneCapacity {
    /// How many packets may travel in one item: a quarter of what the lane holds, so that a full one loses its
    /// oldest part, and not all that one wake-up has brought.
    pub(crate) fn packets_per_item(self) -> usize {
        (self.packets.min(self.bytes / FULL_PACKET_BYTES) / 4).max(1)
    }
}

/// What a path carries, as a rule.
const FULL_PACKET_BYTES: usize = 1500;

/// What a lane's ends meet at.
mod sync {
    pub(super) use std::sync::{Arc, Mutex, MutexGuard};
}
