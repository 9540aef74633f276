//! When media was made: the remote side's wall clock, read off its sender reports and mapped to ours.
//!
//! All streams of a peer are mapped by one clock. How far the mapping is off does not matter then to who plays sound and
//! pictures in time with each other; that it is the same for both does.

use std::time::{Duration, Instant};

use super::clock::of_clock_units;
use super::rtcp::RtcpPacket;
use super::types::RtpTimestamp;

/// The wall clock of one remote side.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RemoteClock {
    /// A moment of the remote side's clock in NTP form, and of ours.
    known: Option<(u64, Instant)>,
}

/// A moment of a stream's own clock, and of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MediaTime {
    pub(super) timestamp: RtpTimestamp,
    pub(super) at: Instant,
}

impl RemoteClock {
    /// RTCP came in.
    pub(crate) fn handle_rtcp(&mut self, packets: &[RtcpPacket], received_at: Instant) {
        for packet in packets {
            if let RtcpPacket::SenderReport(report) = packet {
                self.handle_sender_report(report.ntp, received_at);
            }
        }
    }

    /// A sender report was written when the remote side's clock showed `ntp`.
    ///
    /// The one that took least time on its way says most of the clock. Those that took longer move it a little, since two
    /// clocks never go alike.
    fn handle_sender_report(&mut self, ntp: u64, received_at: Instant) {
        let expected = self.moment(ntp).unwrap_or(received_at);
        let at = match received_at.checked_duration_since(expected) {
            Some(late) if late < SET_ANEW => expected + late / FOLLOWS,
            Some(_) | None => received_at,
        };
        self.known = Some((ntp, at));
    }

    /// What a sender report says of the time of its stream: at this timestamp the remote side's clock showed `ntp`.
    pub(crate) fn media_time(&self, ntp: u64, timestamp: RtpTimestamp) -> Option<MediaTime> {
        let at = self.moment(ntp)?;
        Some(MediaTime { timestamp, at })
    }

    /// Our time when the remote side's clock shows `ntp`.
    fn moment(&self, ntp: u64) -> Option<Instant> {
        let (known, at) = self.known?;
        let since = ntp.wrapping_sub(known).cast_signed();
        let distance = of_ntp_units(since.unsigned_abs());
        if since.is_negative() {
            at.checked_sub(distance)
        } else {
            at.checked_add(distance)
        }
    }
}

impl MediaTime {
    /// When the media of this timestamp was made; `None` where that is so far from its arrival that one of
    /// the clocks has jumped, or the remote side says what cannot be.
    pub(super) fn of(
        &self,
        timestamp: RtpTimestamp,
        rate_hz: u32,
        received_at: Instant,
    ) -> Option<Instant> {
        let since = timestamp.distance_from(self.timestamp);
        let distance = of_clock_units(since.unsigned_abs(), rate_hz);
        let at = if since.is_negative() {
            self.at.checked_sub(distance)
        } else {
            self.at.checked_add(distance)
        }?;
        let late = received_at.saturating_duration_since(at);
        let early = at.saturating_duration_since(received_at);
        (late.max(early) <= MAX_DELAY).then_some(at)
    }
}

/// A duration in 2⁻³² s.
fn of_ntp_units(units: u64) -> Duration {
    let nanoseconds = ((units & 0xffff_ffff) * 1_000_000_000) >> 32;
    Duration::from_secs(units >> 32) + Duration::from_nanos(nanoseconds)
}

/// A report that comes so late was not late: the clock was set.
const SET_ANEW: Duration = Duration::from_secs(1);

/// Clocks drift by some 50 µs a second, reports come once in one to five seconds.
const FOLLOWS: u32 = 32;

/// Nobody makes media so long before it is sent.
const MAX_DELAY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 90_000;
    const NTP: u64 = 0xe000_0000_0000_0000;

    fn ntp(milliseconds: u64) -> u64 {
        NTP + (milliseconds << 32) / 1000
    }

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn c066_media_is_mapped_by_what_the_fastest_report_said() {
        let start = Instant::now();
        let mut clock = RemoteClock::default();
        assert_eq!(clock.media_time(NTP, RtpTimestamp(0)), None);
        clock.handle_sender_report(ntp(1000), after(start, 1050));
        clock.handle_sender_report(ntp(2000), after(start, 2010));
        // One that was held up: the clock stays nearly where it was.
        clock.handle_sender_report(ntp(3000), after(start, 3330));
        let time = clock.media_time(ntp(3000), RtpTimestamp(500)).unwrap();
        assert_eq!(time.at, after(start, 3020));
        let made_at = time.of(RtpTimestamp(500 + 9000), RATE, after(start, 3400));
        assert_eq!(made_at, Some(after(start, 3120)));
        let before = time.of(
            RtpTimestamp(500_u32.wrapping_sub(9000)),
            RATE,
            after(start, 3400),
        );
        assert_eq!(before, Some(after(start, 2920)));
    }

    #[test]
    fn a_clock_that_was_set_is_believed_anew() {
        let start = Instant::now();
        let mut clock = RemoteClock::default();
        clock.handle_sender_report(ntp(5_000_000), after(start, 1000));
        for written in [0, 9_000_000] {
            clock.handle_sender_report(ntp(written), after(start, 2000));
            let time = clock.media_time(ntp(written), RtpTimestamp(0)).unwrap();
            assert_eq!(time.at, after(start, 2000));
        }
    }

    #[test]
    fn a_timestamp_far_from_its_arrival_is_not_mapped() {
        let start = Instant::now();
        let mut clock = RemoteClock::default();
        clock.handle_sender_report(NTP, start);
        let time = clock.media_time(NTP, RtpTimestamp(0)).unwrap();
        assert_eq!(time.of(RtpTimestamp(RATE * 6), RATE, start), None);
        assert_eq!(time.of(RtpTimestamp(0), RATE, after(start, 6000)), None);
        assert_eq!(time.of(RtpTimestamp(u32::MAX / 2), 0, start), None);
    }

    proptest! {
        #[test]
        fn c113_no_report_upsets_the_clock(
            reports in prop::collection::vec((any::<u64>(), 0_u64..100_000, any::<u32>(), any::<u32>()), 1..50),
        ) {
            let start = Instant::now();
            let mut clock = RemoteClock::default();
            for (ntp, milliseconds, timestamp, packet) in reports {
                let at = after(start, milliseconds);
                clock.handle_sender_report(ntp, at);
                let time = clock.media_time(ntp, RtpTimestamp(timestamp)).unwrap();
                if let Some(made_at) = time.of(RtpTimestamp(packet), RATE, at) {
                    let far = made_at.max(at) - made_at.min(at);
                    prop_assert!(far <= MAX_DELAY);
                }
            }
        }
    }
}
