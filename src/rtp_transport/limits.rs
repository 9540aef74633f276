//! How much media may queue up.

use crate::lane::LaneCapacity;
use crate::rtp::Load;

/// How much media one peer connection may have waiting, at each place where it can wait. Above
/// a limit the oldest goes; every drop is counted.
///
/// ```
/// # use ractor_webrtc::peer_connection::{MediaLimits, QueueLimit};
/// let limits = MediaLimits {
///     owner: QueueLimit { packets: 100, bytes: 200_000 },
///     ..MediaLimits::default()
/// };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaLimits {
    /// From the socket to the media path: 4096 packets, 4 MiB. Four seconds at 10 Mbit/s.
    pub inbound: QueueLimit,
    /// From the application, which sends by hand, to the media path: 2048 packets, 2 MiB.
    pub outbound: QueueLimit,
    /// From this peer by route to each of the sockets that it is sent on, for each track and encoding:
    /// 1024 packets, 1 MiB.
    pub routed: QueueLimit,
    /// In the owner's mailbox, not yet dropped or sent on: 512 packets, 512 KiB. What is there is
    /// never taken back; what comes after it waits.
    pub owner: QueueLimit,
    /// Waiting for the owner's mailbox: 1024 packets, 1 MiB.
    pub waiting: QueueLimit,
}

/// A limit of one queue. Whichever is reached first counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimit {
    /// In packets.
    pub packets: usize,
    /// In bytes.
    pub bytes: usize,
}

impl Default for MediaLimits {
    fn default() -> Self {
        let limit = |packets: usize, kibibytes: usize| QueueLimit {
            packets,
            bytes: kibibytes << 10,
        };
        Self {
            inbound: limit(4096, 4096),
            outbound: limit(2048, 2048),
            routed: limit(1024, 1024),
            owner: limit(512, 512),
            waiting: limit(1024, 1024),
        }
    }
}

impl MediaLimits {
    /// How many packets may travel together on a route.
    pub(super) fn batch_packets(&self) -> usize {
        let route = LaneCapacity::from(self.routed);
        route.packets_per_item().min(MAX_BATCH_PACKETS)
    }
}

/// What one system call sends of it, and few enough for a turn that sends it to hundreds to end
/// within milliseconds.
const MAX_BATCH_PACKETS: usize = 64;

impl From<QueueLimit> for LaneCapacity {
    fn from(limit: QueueLimit) -> Self {
        let QueueLimit { packets, bytes } = limit;
        Self { packets, bytes }
    }
}

impl From<QueueLimit> for Load {
    fn from(limit: QueueLimit) -> Self {
        let QueueLimit { packets, bytes } = limit;
        Self { packets, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A batch larger than its lane went whole: of a flood on a short route nothing came through.
    #[test]
    fn what_travels_together_is_a_part_of_what_a_route_holds() {
        let limits = |packets, bytes| MediaLimits {
            routed: QueueLimit { packets, bytes },
            ..MediaLimits::default()
        };
        for (limits, expected) in [
            (MediaLimits::default(), 64),
            (limits(100_000, usize::MAX), 64),
            (limits(64, 1 << 20), 16),
            (limits(1024, 60_000), 10),
            (limits(1, 1), 1),
        ] {
            assert_eq!(limits.batch_packets(), expected, "{limits:?}");
        }
    }
}
