//! How much arrives.

use std::collections::VecDeque;

/// The bitrate of the latest packets that arrived, over half a second of them.
#[derive(Debug, Default)]
pub(super) struct AcknowledgedBitrate {
    /// In the order of arrival, at most [`MOST`].
    packets: VecDeque<Arrived>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) sent_us: i64,
    pub(super) arrival_us: i64,
    pub(super) bytes: u32,
}

impl AcknowledgedBitrate {
    /// To be called in the order of arrival.
    pub(super) fn add(&mut self, packet: Arrived) {
        let latest = self.packets.back().map(|last| last.arrival_us);
        // What an earlier feedback could have said comes late by the receiver's own disorder.
        if latest.is_some_and(|latest| packet.arrival_us < latest - LATE_US) {
            return;
        }
        self.packets.push_back(packet);
        let is_enough = |packets: &VecDeque<Arrived>| {
            let age = packet.arrival_us - packets[0].arrival_us;
            packets.len() > MOST
                || age > LONGEST_US
                || (age > WINDOW_US && packets.len() > LEAST_IN_WINDOW)
        };
        while is_enough(&self.packets) {
            self.packets.pop_front();
        }
    }

    /// The lower one of the rates at which they were sent and received: what was held up and
    /// arrives at once, or leaves a queue behind others, says nothing of the path.
    /// `None` before there are enough.
    pub(super) fn bps(&self) -> Option<f64> {
        bps_of(&self.packets, 0)
    }

    /// The same of the last fifth of a second, if that is more: when a queue has grown behind a large
    /// frame, what came before it says nothing of the path.
    pub(super) fn peak_bps(&self) -> Option<f64> {
        let latest_us = self.packets.back()?.arrival_us;
        let old = self
            .packets
            .partition_point(|it| it.arrival_us < latest_us - SHORT_WINDOW_US);
        let long = self.bps()?;
        Some(bps_of(&self.packets, old).map_or(long, |short| short.max(long)))
    }
}

fn bps_of(packets: &VecDeque<Arrived>, from: usize) -> Option<f64> {
    if packets.len() - from < LEAST {
        return None;
    }
    let received = rate(packets.range(from..).map(|it| (it.arrival_us, it.bytes)))?;
    let sent = rate(packets.range(from..).map(|it| (it.sent_us, it.bytes)))?;
    Some(sent.min(received))
}

/// Of packets by their times. The longest silence among them counts like the second longest, for it
/// is a pause of the sender or of the receiver's clock.
fn rate(packets: impl Iterator<Item = (i64, u32)>) -> Option<f64> {
    let (mut first, mut last, mut before) = (i64::MAX, i64::MIN, None);
    let (mut longest, mut second) = (0, 0);
    let (mut bytes, mut first_bytes) = (0_u64, 0);
    for (at, size) in packets {
        bytes += u64::from(size);
        if at < first {
            (first, first_bytes) = (at, size);
        }
        last = last.max(at);
        let gap = before.map_or(0, |before| at - before);
        before = Some(at);
        if gap > longest {
            (longest, second) = (gap, longest);
        } else {
            second = second.max(gap);
        }
    }
    let duration = last.checked_sub(first)? - longest + second;
    // The first one only opens the interval.
    let bits = (bytes - u64::from(first_bytes)) * 8;
    (duration > 0).then(|| bits as f64 * 1e6 / duration.max(SHORTEST_US) as f64)
}

/// Long enough for frames and feedback to even out, short enough to see a path shrink.
const WINDOW_US: i64 = 500_000;

const SHORT_WINDOW_US: i64 = 200_000;

/// Slow senders are measured longer.
const LEAST_IN_WINDOW: usize = 20;
const LONGEST_US: i64 = 2_000_000;

/// Bounds the memory and the work; 8 Mbit/s in half a second.
const MOST: usize = 500;

const LEAST: usize = 10;

const LATE_US: i64 = 1_000_000;

/// A rate is not measured from a few packets that came at once.
const SHORTEST_US: i64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(packets: impl IntoIterator<Item = (i64, i64)>) -> Option<f64> {
        let mut bitrate = AcknowledgedBitrate::default();
        for (sent, arrival) in packets {
            bitrate.add(Arrived {
                sent_us: sent * 1000,
                arrival_us: arrival * 1000,
                bytes: 1250,
            });
        }
        bitrate.bps()
    }

    #[test]
    fn an_even_stream_has_its_rate() {
        // 10 000 bits every 10 ms.
        assert_eq!(measured((0..9).map(|i| (i * 10, i * 10))), None);
        let rate = measured((0..200).map(|i| (i * 10, 30 + i * 10))).unwrap();
        assert!((rate - 1e6).abs() < 1e-3, "{rate}");
    }

    #[test]
    fn the_lower_one_of_sent_and_received_counts() {
        let squeezed = measured((0..100).map(|i| (i * 5, i * 10))).unwrap();
        let held_up = measured((0..100).map(|i| (i * 10, 1000 + i * 2))).unwrap();
        assert!((squeezed - 1e6).abs() < 1e4, "{squeezed}");
        assert!((held_up - 1e6).abs() < 3e4, "{held_up}");
    }

    #[test]
    fn a_pause_does_not_count() {
        let rate = measured((0..20).map(|i| {
            let at = i * 10 + if i < 10 { 0 } else { 250 };
            (at, at)
        }));
        assert!((rate.unwrap() - 1e6).abs() < 1e-3, "{rate:?}");
    }

    #[test]
    fn memory_is_bounded_and_times_may_be_anything() {
        let mut bitrate = AcknowledgedBitrate::default();
        for step in 0..10_000_i64 {
            bitrate.add(Arrived {
                sent_us: step,
                arrival_us: (step * 7919) % 13_001 - 6000,
                bytes: 1200,
            });
            assert!(bitrate.packets.len() <= MOST);
        }
        assert!(bitrate.bps().is_some_and(f64::is_finite));
    }
}
