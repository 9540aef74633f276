//! What has come of a keyframe whose beginning has not.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::rtp::RtpBatch;

/// Packets that wait for a keyframe to begin: where its first packet was lost on the way to us and is repaired, they follow it, so
/// that the picture does not begin damaged. Bounded by `MANY` and `LONGEST_WAIT`; the oldest goes.
#[derive(Debug, Default)]
pub(super) struct HeldBack {
    packets: VecDeque<Held>,
}

/// The packet of this index in its batch. Batches are shared: to hold one costs a reference.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) batch: RtpBatch,
    pub(super) index: usize,
    since: Instant,
}

impl HeldBack {
    pub(super) fn keep(&mut self, batch: &RtpBatch, index: usize, now: Instant) {
        let is_old = |it: &Held| now.saturating_duration_since(it.since) > LONGEST_WAIT;
        while self.packets.len() >= MANY || self.packets.front().is_some_and(is_old) {
            self.packets.pop_front();
        }
        self.packets.push_back(Held {
            batch: batch.clone(),
            index,
            since: now,
        });
    }

    /// A keyframe begins with this packet: gives the others of its stream that come after it, in the order of their numbers, and
    /// forgets all.
    pub(super) fn take_after(&mut self, batch: &RtpBatch, first: usize, now: Instant) -> Vec<Held> {
        let first = &batch[first];
        let follows = |it: &Held| {
            let packet = &it.batch[it.index];
            let number = packet.sequence_number();
            packet.ssrc() == first.ssrc()
                && it.batch.source() == batch.source()
                && number.distance_from(first.sequence_number()) > 0
                && now.saturating_duration_since(it.since) <= LONGEST_WAIT
        };
        let mut after: Vec<_> = self.packets.drain(..).filter(follows).collect();
        after.sort_by_key(|it| {
            let number = it.batch[it.index].sequence_number();
            number.distance_from(first.sequence_number())
        });
        after
    }
}

/// A large keyframe, and what follows it within a repair.
const MANY: usize = 256;

/// What takes longer to repair is repeated: another keyframe has been asked for.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::codec::RtpCodec;
    use crate::fixtures::{VIDEO, rtp_bytes};
    use crate::rtp::{ExtensionMap, RtpPacket, RtpSource, Ssrc};

    fn batch(ssrc: u32, numbers: &[u16], now: Instant) -> RtpBatch {
        let source = Arc::new(RtpSource {
            codec: Arc::new(RtpCodec::vp8()),
            extensions: ExtensionMap::default(),
        });
        let packets = numbers.iter().map(|number| {
            let bytes = rtp_bytes(VIDEO, *number, Ssrc(ssrc), &[], &[0x10, 1]);
            RtpPacket::parse(bytes.into()).unwrap()
        });
        RtpBatch::received(packets.collect(), source, now)
    }

    fn held(ssrc: u32, numbers: &[u16], now: Instant) -> HeldBack {
        let mut held = HeldBack::default();
        let batch = batch(ssrc, numbers, now);
        for index in 0..numbers.len() {
            held.keep(&batch, index, now);
        }
        held
    }

    fn after(held: &mut HeldBack, first: u16, now: Instant) -> Vec<u16> {
        let after = held.take_after(&batch(1, &[first], now), 0, now);
        let numbers = after.iter().map(|it| it.batch[it.index].sequence_number());
        numbers.map(|number| number.0).collect()
    }

    #[test]
    fn what_follows_the_first_packet_is_given_once_and_in_order() {
        let now = Instant::now();
        let mut held = held(1, &[65_533, 1, 0, 3], now);
        assert_eq!(after(&mut held, 65_535, now), [0, 1, 3]);
        assert_eq!(after(&mut held, 65_535, now), [] as [u16; 0]);
    }

    #[test]
    fn what_is_of_another_stream_or_too_old_is_forgotten() {
        let now = Instant::now();
        let mut other = held(2, &[5], now);
        assert_eq!(after(&mut other, 4, now), [] as [u16; 0]);
        let mut old = held(1, &[5], now);
        let later = now + LONGEST_WAIT + Duration::from_millis(1);
        assert_eq!(after(&mut old, 4, later), [] as [u16; 0]);
    }

    #[test]
    fn no_more_than_a_keyframe_is_held() {
        let now = Instant::now();
        let numbers: Vec<u16> = (1..1000).collect();
        let mut held = held(1, &numbers, now);
        assert_eq!(held.packets.len(), MANY);
        assert_eq!(after(&mut held, 0, now).len(), MANY);
    }
}
