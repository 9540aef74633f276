//! How much media may wait in a mailbox that itself has no bound.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::lane::LaneDepth;

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
}

/// Counts what has been given out and not come back. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CreditLimit {
    shared: Arc<Shared>,
}

/// Media that is on its way to the owner; comes back when this is dropped.
pub(crate) struct Credit {
    shared: Arc<Shared>,
    load: Load,
}

struct Shared {
    limit: Load,
    packets: AtomicUsize,
    bytes: AtomicUsize,
    /// The most packets that have ever been out.
    most_packets: AtomicUsize,
    /// The giver has more and wants to hear when half of the limit is free again.
    wanted: AtomicBool,
    bell: Box<dyn Fn() + Send + Sync>,
}

impl CreditLimit {
    /// `bell` is rung when credit has come back after [`take`](Self::take) refused. It must
    /// not wait.
    pub(crate) fn new(limit: Load, bell: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            shared: Arc::new(Shared {
                limit,
                packets: AtomicUsize::new(0),
                bytes: AtomicUsize::new(0),
                most_packets: AtomicUsize::new(0),
                wanted: AtomicBool::new(false),
                bell: Box::new(bell),
            }),
        }
    }

    /// What is out now.
    pub(crate) fn depth(&self) -> LaneDepth {
        let shared = &*self.shared;
        LaneDepth {
            packets: shared.packets.load(Ordering::SeqCst),
            bytes: shared.bytes.load(Ordering::SeqCst),
            most_packets: shared.most_packets.load(Ordering::Relaxed),
            packet_limit: shared.limit.packets,
        }
    }

    /// Takes credit for `load`; `None` while too much is out. A load larger than the whole limit
    /// is let through alone, so that it cannot block for ever.
    ///
    /// There is one taker: the count can only fall behind its back.
    pub(crate) fn take(&self, load: Load) -> Option<Credit> {
        if !self.shared.has_room(load) {
            self.shared.wanted.store(true, Ordering::SeqCst);
            // What came back between the look and the flag rang no bell.
            if !self.shared.has_room(load) {
                return None;
            }
            self.shared.wanted.store(false, Ordering::SeqCst);
        }
        let before = self
            .shared
            .packets
            .fetch_add(load.packets, Ordering::SeqCst);
        self.shared
            .most_packets
            .fetch_max(before + load.packets, Ordering::Relaxed);
        self.shared.bytes.fetch_add(load.bytes, Ordering::SeqCst);
        Some(Credit {
            shared: Arc::clone(&self.shared),
            load,
        })
    }
}

impl Shared {
    fn has_room(&self, load: Load) -> bool {
        let packets = self.packets.load(Ordering::SeqCst);
        let bytes = self.bytes.load(Ordering::SeqCst);
        packets == 0
            || (packets + load.packets <= self.limit.packets
                && bytes + load.bytes <= self.limit.bytes)
    }

    fn is_half_free(&self) -> bool {
        self.packets.load(Ordering::SeqCst) <= self.limit.packets / 2
            && self.bytes.load(Ordering::SeqCst) <= self.limit.bytes / 2
    }
}

impl Drop for Credit {
    fn drop(&mut self) {
        let shared = &*self.shared;
        shared.bytes.fetch_sub(self.load.bytes, Ordering::SeqCst);
        shared
            .packets
            .fetch_sub(self.load.packets, Ordering::SeqCst);
        if shared.wanted.load(Ordering::SeqCst)
            && shared.is_half_free()
            && shared.wanted.swap(false, Ordering::SeqCst)
        {
            (shared.bell)();
        }
    }
}

impl fmt::Debug for CreditLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreditLimit")
            .field("packets", &self.shared.packets)
            .field("bytes", &self.shared.bytes)
            .finish()
    }
}

impl fmt::Debug for Credit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credit").field("load", &self.load).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Load = Load {
        packets: 1,
        bytes: 10,
    };

    fn limited() -> (CreditLimit, Arc<AtomicUsize>) {
        let rings = Arc::new(AtomicUsize::new(0));
        let bell = Arc::clone(&rings);
        let limit = Load {
            packets: 4,
            bytes: 1000,
        };
        let credit = CreditLimit::new(limit, move || {
            bell.fetch_add(1, Ordering::SeqCst);
        });
        (credit, rings)
    }

    #[test]
    fn no_more_goes_out_than_the_limit() {
        let (limit, _) = limited();
        let out: Vec<_> = std::iter::from_fn(|| limit.take(ONE)).collect();
        assert_eq!(out.len(), 4);
        drop(out);
        assert!(
            limit
                .take(Load {
                    packets: 1,
                    bytes: 900
                })
                .is_some()
        );
    }

    #[test]
    fn the_bell_rings_once_when_half_has_come_back_after_a_refusal() {
        let (limit, rings) = limited();
        let mut out: Vec<_> = std::iter::from_fn(|| limit.take(ONE)).collect();
        out.pop();
        assert_eq!(rings.load(Ordering::SeqCst), 0);
        out.pop();
        assert_eq!(rings.load(Ordering::SeqCst), 1);
        out.clear();
        assert_eq!(rings.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn nothing_rings_while_nothing_was_refused() {
        let (limit, rings) = limited();
        drop(limit.take(ONE));
        assert_eq!(rings.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_load_beyond_the_limit_goes_alone() {
        let (limit, _) = limited();
        let large = Load {
            packets: 9,
            bytes: 9000,
        };
        let out = limit.take(large);
        assert!(out.is_some());
        assert!(limit.take(ONE).is_none());
    }
}
