//! The queue itself. Where its locks come from is the parent's affair: `tests/lane_model.rs` puts this
//! file on those of a model checker.

use std::collections::VecDeque;
use std::fmt;
use std::mem;
use std::sync::PoisonError;

use super::sync::{Arc, Mutex, MutexGuard};

/// What an item of a lane counts for.
pub(crate) trait Weigh {
    /// Packets in this item.
    fn packets(&self) -> usize;
    /// Bytes in this item.
    fn bytes(&self) -> usize;
}

/// How much a lane holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LaneCapacity {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
}

/// What a lane has thrown away since it was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneDrops {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// How full a lane is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneDepth {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
    /// The most packets that have ever waited.
    pub(crate) most_packets: usize,
    /// What fits.
    pub(crate) packet_limit: usize,
}

/// The end that is pushed into. Cheap to clone.
pub(crate) struct LaneSender<T> {
    shared: Arc<Shared<T>>,
}

/// The end that is drained; there is one. Dropping it empties the lane for good.
pub(crate) struct LaneReceiver<T> {
    shared: Arc<Shared<T>>,
}

/// A lane and the bell that is rung when it stops being empty. The bell must not wait.
pub(crate) fn lane<T: Weigh>(
    capacity: LaneCapacity,
    bell: impl Fn() + Send + Sync + 'static,
) -> (LaneSender<T>, LaneReceiver<T>) {
    let shared = Arc::new(Shared {
        capacity,
        bell: Box::new(bell),
        ring: Mutex::new(Ring {
            items: VecDeque::new(),
            packets: 0,
            bytes: 0,
            most_packets: 0,
            rung: false,
            closed: false,
            drops: LaneDrops::default(),
        }),
    });
    let sender = LaneSender {
        shared: Arc::clone(&shared),
    };
    (sender, LaneReceiver { shared })
}

struct Shared<T> {
    capacity: LaneCapacity,
    bell: Box<dyn Fn() + Send + Sync>,
    ring: Mutex<Ring<T>>,
}

struct Ring<T> {
    items: VecDeque<T>,
    packets: usize,
    bytes: usize,
    most_packets: usize,
    /// The bell has been rung and nobody has drained all since.
    rung: bool,
    closed: bool,
    drops: LaneDrops,
}

impl<T> Shared<T> {
    /// Nothing between lock and unlock can panic half-way, so a poisoned ring is a sound one.
    fn ring(&self) -> MutexGuard<'_, Ring<T>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn depth(&self) -> LaneDepth {
        let ring = self.ring();
        LaneDepth {
            packets: ring.packets,
            bytes: ring.bytes,
            most_packets: ring.most_packets,
            packet_limit: self.capacity.packets,
        }
    }
}

impl<T: Weigh> LaneSender<T> {
    /// Puts an item at the end; the oldest ones go where it does not fit. An item larger than the
    /// whole lane is dropped itself, and the reader hears of that as well. Never waits.
    pub(crate) fn push(&self, item: T) {
        let (packets, bytes) = (item.packets(), item.bytes());
        let capacity = self.shared.capacity;
        let must_ring = {
            let mut ring = self.shared.ring();
            if ring.closed {
                return;
            }
            if packets > capacity.packets || bytes > capacity.bytes {
                ring.drops.packets += packets as u64;
                ring.drops.bytes += bytes as u64;
            } else {
                ring.make_room(packets, bytes, capacity);
                ring.packets += packets;
                ring.bytes += bytes;
                ring.most_packets = ring.most_packets.max(ring.packets);
                ring.items.push_back(item);
            }
            !mem::replace(&mut ring.rung, true)
        };
        if must_ring {
            (self.shared.bell)();
        }
    }
}

impl<T> LaneSender<T> {
    /// What fits into the lane.
    pub(crate) fn capacity(&self) -> LaneCapacity {
        self.shared.capacity
    }

    /// What waits in it now.
    pub(crate) fn depth(&self) -> LaneDepth {
        self.shared.depth()
    }
}

impl<T: Weigh> Ring<T> {
    fn make_room(&mut self, packets: usize, bytes: usize, capacity: LaneCapacity) {
        while self.packets + packets > capacity.packets || self.bytes + bytes > capacity.bytes {
            let Some(oldest) = self.take_oldest() else {
                return;
            };
            self.drops.packets += oldest.packets() as u64;
            self.drops.bytes += oldest.bytes() as u64;
        }
    }

    fn take_oldest(&mut self) -> Option<T> {
        let oldest = self.items.pop_front()?;
        self.packets -= oldest.packets();
        self.bytes -= oldest.bytes();
        Some(oldest)
    }
}

impl<T> LaneReceiver<T> {
    /// Moves all that is there into `into` and re-arms the bell.
    pub(crate) fn drain_into(&mut self, into: &mut VecDeque<T>) {
        let mut ring = self.shared.ring();
        ring.rung = false;
        ring.packets = 0;
        ring.bytes = 0;
        if into.is_empty() {
            mem::swap(&mut ring.items, into);
        } else {
            into.append(&mut ring.items);
        }
    }

    /// Moves items from the front into `into`: as many as fit into `packets` packets, but one at
    /// least where there is one. Says whether something is left: then nobody rings, and the reader
    /// comes back by itself; otherwise the bell is armed again.
    pub(crate) fn drain_within(&mut self, packets: usize, into: &mut VecDeque<T>) -> bool
    where
        T: Weigh,
    {
        let mut ring = self.shared.ring();
        let before = into.len();
        let mut taken = 0;
        while let Some(oldest) = ring.items.front() {
            taken += oldest.packets();
            if taken > packets && into.len() > before {
                break;
            }
            into.extend(ring.take_oldest());
        }
        ring.rung = !ring.items.is_empty();
        ring.rung
    }

    /// What waits in it now.
    pub(crate) fn depth(&self) -> LaneDepth {
        self.shared.depth()
    }

    /// What was thrown away since the last call.
    pub(crate) fn take_drops(&mut self) -> LaneDrops {
        mem::take(&mut self.shared.ring().drops)
    }
}

impl<T> Drop for LaneReceiver<T> {
    fn drop(&mut self) {
        let mut ring = self.shared.ring();
        ring.closed = true;
        let items = mem::take(&mut ring.items);
        drop(ring);
        drop(items);
    }
}

impl<T> Clone for LaneSender<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for LaneSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneSender")
    }
}

impl<T> fmt::Debug for LaneReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LaneReceiver")
    }
}
