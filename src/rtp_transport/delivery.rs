//! Media on its way to the owner, whose mailbox has no bound of its own.
//!
//! What has been put into the mailbox is counted until the owner is done with it; above a limit
//! further media waits here, and when that fills up, too, the **oldest goes**, is counted and
//! announced. So memory is bounded by both limits together, whatever the owner does.

use std::collections::VecDeque;

use crate::lane::{LaneDepth, LaneDrops};
use crate::peer_connection::Event;
use crate::rtp::{CreditLimit, Load, Rid, RtpBatch};
use crate::track::TrackId;

/// One [`Event::Rtp`] that has not been told yet.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) track_id: TrackId,
    pub(super) rid: Option<Rid>,
    pub(super) batch: RtpBatch,
}

impl Arrival {
    fn load(&self) -> Load {
        Load {
            packets: self.batch.len(),
            bytes: self.batch.weight_bytes(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Delivery {
    credit: CreditLimit,
    capacity: Load,
    waiting: VecDeque<Arrival>,
    load: Load,
    /// The most packets that have ever waited here.
    most_packets: usize,
}

impl Delivery {
    /// `credit` bounds what is in the owner's mailbox, `capacity` what waits here.
    pub(super) fn new(credit: CreditLimit, capacity: Load) -> Self {
        Self {
            credit,
            capacity,
            waiting: VecDeque::new(),
            load: Load::default(),
            most_packets: 0,
        }
    }

    /// Puts media at the end. To be followed by [`next`](Self::next) until there is nothing more to
    /// tell, and then by [`trim`](Self::trim): what the mailbox takes at once never counts as waiting.
    pub(super) fn push(&mut self, arrival: Arrival) {
        let load = arrival.load();
        self.load.packets += load.packets;
        self.load.bytes += load.bytes;
        self.waiting.push_back(arrival);
    }

    /// Throws away the oldest of what waits, until the rest fits. Says what went.
    pub(super) fn trim(&mut self) -> LaneDrops {
        let mut drops = LaneDrops::default();
        while self.load.packets > self.capacity.packets || self.load.bytes > self.capacity.bytes {
            let Some(oldest) = self.take_first() else {
                break;
            };
            let lost = oldest.load();
            drops.packets += lost.packets as u64;
            drops.bytes += lost.bytes as u64;
        }
        self.most_packets = self.most_packets.max(self.load.packets);
        drops
    }

    /// What is in the owner's mailbox now.
    pub(super) fn with_owner(&self) -> LaneDepth {
        self.credit.depth()
    }

    /// What waits here now.
    pub(super) fn waiting(&self) -> LaneDepth {
        LaneDepth {
            packets: self.load.packets,
            bytes: self.load.bytes,
            most_packets: self.most_packets,
            packet_limit: self.capacity.packets,
        }
    }

    /// The next event for the owner, as long as there is media and the owner keeps up.
    pub(super) fn next(&mut self) -> Option<Event> {
        let credit = self.credit.take(self.waiting.front()?.load())?;
        let arrival = self.take_first()?;
        Some(Event::Rtp {
            track_id: arrival.track_id,
            rid: arrival.rid,
            packets: arrival.batch.with_credit(credit),
        })
    }

    fn take_first(&mut self) -> Option<Arrival> {
        let first = self.waiting.pop_front()?;
        let load = first.load();
        self.load.packets -= load.packets;
        self.load.bytes -= load.bytes;
        Some(first)
    }
}
