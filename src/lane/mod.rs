//! Bounded queues between actors: a ring of batches and one doorbell.
//!
//! ractor mailboxes are unbounded, so whatever the network can make grow travels in a
//! lane. Policy: when it is full, the **oldest** batch goes, and is counted. Whoever
//! pushes into an empty lane rings the bell (one message to the reading actor); whoever is rung
//! drains all that is there, or a turn's worth of it and then comes back for the rest.

mod queue;
#[cfg(test)]
mod tests;

pub(crate) use self::queue::{LaneCapacity, LaneDrops, LaneReceiver, LaneSender, Weigh, lane};

/// What a lane's ends meet at.
mod sync {
    pub(super) use std::sync::{Arc, Mutex, MutexGuard};
}
