//! Datagrams of one peer that one read brought, and where they go.

use std::fmt;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use crate::lane::{LaneSender, Weigh};

/// Datagrams from one remote address, in one slab, in the order they arrived.
#[derive(Debug)]
pub(crate) struct Datagrams {
    pub(crate) remote: SocketAddr,
    /// The address of ours that they were sent to, where the system tells.
    pub(crate) local_ip: Option<IpAddr>,
    /// When the first of them reached the machine.
    pub(crate) received_at: Instant,
    /// One buffer a datagram, each its own to change, all slices of one slab.
    pub(crate) datagrams: Vec<BytesMut>,
}

impl Weigh for Datagrams {
    fn packets(&self) -> usize {
        self.datagrams.len()
    }

    fn bytes(&self) -> usize {
        self.datagrams.iter().map(BytesMut::len).sum()
    }
}

/// Where media datagrams of one peer go.
pub(crate) type MediaInbound = LaneSender<Datagrams>;

impl Datagrams {
    /// Puts them into a lane, in parts where one read has brought much beside what the lane holds: else a full
    /// lane would lose all of it at once.
    pub(super) fn push_into(mut self, lane: &MediaInbound) {
        let part = lane.capacity().packets_per_item();
        while self.datagrams.len() > part {
            let rest = self.datagrams.split_off(part);
            lane.push(Self {
                datagrams: mem::replace(&mut self.datagrams, rest),
                ..self
            });
        }
        lane.push(self);
    }
}

/// Where datagrams of some other kind go: whatever takes them without waiting and bounds
/// what it keeps. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DatagramSink(Arc<dyn Fn(Datagrams) + Send + Sync>);

impl DatagramSink {
    /// `push` is called from the endpoint actor, which many peers share: it must neither wait nor
    /// parse.
    pub(crate) fn new(push: impl Fn(Datagrams) + Send + Sync + 'static) -> Self {
        Self(Arc::new(push))
    }

    pub(crate) fn push(&self, datagrams: Datagrams) {
        (self.0)(datagrams);
    }
}

impl From<LaneSender<Datagrams>> for DatagramSink {
    fn from(lane: LaneSender<Datagrams>) -> Self {
        Self::new(move |datagrams| lane.push(datagrams))
    }
}

impl fmt::Debug for DatagramSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatagramSink")
    }
}

/// Where the datagrams of one peer go, by kind (RFC 7983).
#[derive(Clone, Debug)]
pub(crate) struct PeerSinks {
    pub(crate) stun: DatagramSink,
    pub(crate) dtls: DatagramSink,
    pub(crate) media: MediaInbound,
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::lane::{LaneCapacity, LaneDrops, lane};

    fn datagrams(count: u8) -> Datagrams {
        Datagrams {
            remote: SocketAddr::from(([192, 0, 2, 1], 9)),
            local_ip: None,
            received_at: Instant::now(),
            datagrams: (0..count)
                .map(|number| BytesMut::from(&[number][..]))
                .collect(),
        }
    }

    /// The first byte of each datagram that is left of so many, and what was dropped.
    fn left_of(count: u8, capacity: LaneCapacity) -> (Vec<u8>, LaneDrops) {
        let (sender, mut receiver) = lane(capacity, || {});
        datagrams(count).push_into(&sender);
        let mut out = VecDeque::new();
        receiver.drain_into(&mut out);
        let left = out.iter().flat_map(|part| &part.datagrams);
        (left.map(|one| one[0]).collect(), receiver.take_drops())
    }

    #[test]
    fn more_than_a_small_lane_holds_loses_its_oldest_part_and_not_all() {
        // With a limit below what one read may bring, nothing came through where much came.
        let capacity = LaneCapacity {
            packets: 40,
            bytes: 1 << 20,
        };
        let (left, drops) = left_of(95, capacity);
        assert_eq!(left, Vec::from_iter(60..95));
        assert_eq!(drops.packets, 60);
        let (left, drops) = left_of(40, capacity);
        assert_eq!(left, Vec::from_iter(0..40));
        assert_eq!(drops.packets, 0);
    }

    #[test]
    fn the_smallest_lane_takes_the_last_datagram() {
        let capacity = LaneCapacity {
            packets: 1,
            bytes: 1,
        };
        assert_eq!(left_of(3, capacity).0, [2]);
    }
}
