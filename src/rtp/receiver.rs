//! The receiving side of one stream: what receiver reports say (RFC 3550 §6.4, appendix A).

use std::mem;
use std::time::{Duration, Instant};

use super::clock::in_65536ths;
use super::rtcp::ReceptionReport;
use super::types::{RtpTimestamp, SequenceNumber, Ssrc};

/// Statistics of one incoming SSRC.
#[derive(Clone, Debug)]
pub(crate) struct RtpStreamReceiver {
    ssrc: Ssrc,
    packets: u64,
    sequence: Option<SequenceState>,
    jitter: Jitter,
    /// Middle bits of the last sender report's NTP time, and when it came.
    last_sender_report: Option<(u32, Instant)>,
    /// Values at the last report.
    reported_packets: u64,
    reported_expected: u32,
    reported_received: u32,
}

/// RFC 3550, A.1.
#[derive(Clone, Copy, Debug)]
struct SequenceState {
    highest: SequenceNumber,
    wraps: u32,
    base: u32,
    received: u32,
    /// The number that would prove that the sender jumped.
    after_jump: Option<SequenceNumber>,
}

/// RFC 3550, A.8: in timestamp units, scaled by 16.
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    scaled: u32,
    last: Option<(RtpTimestamp, Instant)>,
}

impl RtpStreamReceiver {
    pub(crate) fn new(ssrc: Ssrc) -> Self {
        Self {
            ssrc,
            packets: 0,
            sequence: None,
            jitter: Jitter::default(),
            last_sender_report: None,
            reported_packets: 0,
            reported_expected: 0,
            reported_received: 0,
        }
    }

    /// Takes note of a packet that came in.
    pub(crate) fn handle_packet(
        &mut self,
        sequence_number: SequenceNumber,
        timestamp: RtpTimestamp,
        clock_rate_hz: u32,
        received_at: Instant,
    ) {
        self.packets += 1;
        let Some(sequence) = &mut self.sequence else {
            self.restart(sequence_number);
            self.jitter.handle(timestamp, received_at, clock_rate_hz);
            return;
        };
        match sequence.handle(sequence_number) {
            Arrival::Ahead => self.jitter.handle(timestamp, received_at, clock_rate_hz),
            Arrival::Behind | Arrival::Suspect => {}
            Arrival::Jumped => {
                self.restart(sequence_number);
                self.jitter.last = Some((timestamp, received_at));
            }
        }
    }

    /// Takes note of a sender report of this stream.
    pub(crate) fn handle_sender_report(&mut self, ntp: u64, received_at: Instant) {
        self.last_sender_report = Some(((ntp >> 16) as u32, received_at));
    }

    /// The block of a report (RFC 3550 §6.4.1), on what came since the last one; `None` when
    /// nothing did.
    pub(crate) fn report(&mut self, now: Instant) -> Option<ReceptionReport> {
        if mem::replace(&mut self.reported_packets, self.packets) == self.packets {
            return None;
        }
        let sequence = self.sequence?;
        let expected = sequence.expected();
        let received = sequence.received;
        let expected_since = expected.wrapping_sub(self.reported_expected);
        let received_since = received.wrapping_sub(self.reported_received);
        self.reported_expected = expected;
        self.reported_received = received;
        let (last_sender_report, since) = match self.last_sender_report {
            Some((middle, at)) => (middle, now.saturating_duration_since(at)),
            None => (0, Duration::ZERO),
        };
        Some(ReceptionReport {
            ssrc: self.ssrc,
            fraction_lost: fraction_lost(expected_since, received_since),
            cumulative_lost: cumulative_lost(expected, received),
            extended_highest_sequence: sequence.extended_highest(),
            jitter: self.jitter.scaled >> 4,
            last_sender_report,
            delay_since_last_sender_report: in_65536ths(since),
        })
    }

    /// Lost packets so far (RFC 3550, A.3); fewer than nothing where duplicates came.
    pub(crate) fn lost(&self) -> i64 {
        self.sequence.map_or(0, |it| {
            i64::from(it.expected().wrapping_sub(it.received).cast_signed())
        })
    }

    /// Jitter of arrival in units of the packets' clock.
    pub(crate) fn jitter(&self) -> f64 {
        f64::from(self.jitter.scaled) / 16.0
    }

    fn restart(&mut self, first: SequenceNumber) {
        self.sequence = Some(SequenceState {
            highest: first,
            wraps: 0,
            base: u32::from(first.0),
            received: 1,
            after_jump: None,
        });
        self.reported_expected = 0;
        self.reported_received = 0;
    }
}

enum Arrival {
    Ahead,
    /// Late or twice.
    Behind,
    /// Far off; believed only when the next one follows it.
    Suspect,
    Jumped,
}

impl SequenceState {
    fn handle(&mut self, number: SequenceNumber) -> Arrival {
        let ahead = number.0.wrapping_sub(self.highest.0);
        if ahead != 0 && ahead < MAX_DROPOUT {
            if number.0 < self.highest.0 {
                self.wraps = self.wraps.wrapping_add(1);
            }
            self.highest = number;
        } else if ahead != 0 && ahead <= u16::MAX - MAX_MISORDER {
            if self.after_jump == Some(number) {
                return Arrival::Jumped;
            }
            self.after_jump = Some(number.plus(1));
            return Arrival::Suspect;
        } else {
            self.received = self.received.wrapping_add(1);
            return Arrival::Behind;
        }
        self.after_jump = None;
        self.received = self.received.wrapping_add(1);
        Arrival::Ahead
    }

    fn extended_highest(&self) -> u32 {
        self.wraps << 16 | u32::from(self.highest.0)
    }

    fn expected(&self) -> u32 {
        self.extended_highest()
            .wrapping_sub(self.base)
            .wrapping_add(1)
    }
}

impl Jitter {
    fn handle(&mut self, timestamp: RtpTimestamp, at: Instant, clock_rate_hz: u32) {
        let last = self.last.replace((timestamp, at));
        let Some((last_timestamp, last_at)) = last else {
            return;
        };
        let elapsed = at.saturating_duration_since(last_at).as_nanos();
        let arrived =
            (elapsed * u128::from(clock_rate_hz) / 1_000_000_000).min(u128::from(u32::MAX)) as i64;
        let deviation =
            (arrived - i64::from(timestamp.distance_from(last_timestamp))).unsigned_abs();
        // A pause or a new time line is no jitter.
        if deviation > u64::from(clock_rate_hz) * MAX_JITTER_SECONDS {
            return;
        }
        // Both terms are far below 2³¹: at most five seconds of the fastest clock, times 16.
        let scaled = u64::from(self.scaled) + deviation - ((u64::from(self.scaled) + 8) >> 4);
        self.scaled = u32::try_from(scaled).unwrap_or(u32::MAX);
    }
}

/// RFC 3550, A.3: 1/256 of what was expected; none lost when more came than was expected.
fn fraction_lost(expected: u32, received: u32) -> u8 {
    let lost = expected.wrapping_sub(received).cast_signed();
    if expected == 0 || lost <= 0 {
        return 0;
    }
    let fraction = (u64::from(lost.unsigned_abs()) << 8) / u64::from(expected);
    u8::try_from(fraction).unwrap_or(u8::MAX)
}

/// RFC 3550, A.3: clamped to 24 bits with sign.
fn cumulative_lost(expected: u32, received: u32) -> i32 {
    expected
        .wrapping_sub(received)
        .cast_signed()
        .clamp(-0x80_0000, 0x7f_ffff)
}

/// A gap that still is loss (RFC 3550, A.1).
const MAX_DROPOUT: u16 = 3000;

/// How far behind a packet still is a late one (RFC 3550, A.1).
const MAX_MISORDER: u16 = 100;

/// No network delays one packet that much more than the one before it.
const MAX_JITTER_SECONDS: u64 = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 90_000;

    struct Stream {
        receiver: RtpStreamReceiver,
        start: Instant,
    }

    impl Stream {
        fn new() -> Self {
            Self {
                receiver: RtpStreamReceiver::new(Ssrc(7)),
                start: Instant::now(),
            }
        }

        fn receive(&mut self, sequence: u16, timestamp: u32, millis: u64) {
            self.receiver.handle_packet(
                SequenceNumber(sequence),
                RtpTimestamp(timestamp),
                RATE,
                self.start + Duration::from_millis(millis),
            );
        }

        fn report(&mut self) -> ReceptionReport {
            self.receiver.report(self.start).unwrap()
        }
    }

    #[test]
    fn nothing_received_is_nothing_to_report() {
        assert_eq!(RtpStreamReceiver::new(Ssrc(7)).report(Instant::now()), None);
    }

    #[test]
    fn c065_loss_is_counted_since_the_last_report_and_in_all() {
        let mut stream = Stream::new();
        for sequence in [10, 11, 13] {
            stream.receive(sequence, 0, 0);
        }
        let report = stream.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (64, 1));
        assert_eq!(report.extended_highest_sequence, 13);
        for sequence in 14..=17 {
            stream.receive(sequence, 0, 0);
        }
        let report = stream.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 1));
    }

    #[test]
    fn c065_the_extended_sequence_number_counts_wraps() {
        let mut stream = Stream::new();
        for sequence in [65_534, 65_535, 0, 2] {
            stream.receive(sequence, 0, 0);
        }
        // A late one from before the wrap is neither loss nor a new wrap.
        stream.receive(65_533, 0, 0);
        stream.receive(3, 0, 0);
        let report = stream.report();
        assert_eq!(report.extended_highest_sequence, 0x1_0003);
        assert_eq!(report.cumulative_lost, 0);
    }

    #[test]
    fn duplicates_make_the_loss_negative_but_never_the_fraction() {
        let mut stream = Stream::new();
        for sequence in [1, 1, 1, 2] {
            stream.receive(sequence, 0, 0);
        }
        let report = stream.report();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, -2));
    }

    #[test]
    fn c065_a_jump_of_the_sender_starts_anew_when_the_next_packet_confirms_it() {
        let mut stream = Stream::new();
        stream.receive(1, 0, 0);
        stream.receive(30_000, 0, 0);
        assert_eq!(stream.report().extended_highest_sequence, 1);
        stream.receive(30_001, 0, 0);
        let report = stream.report();
        assert_eq!(report.extended_highest_sequence, 30_001);
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 0));
    }

    #[test]
    fn c065_jitter_is_smoothed_over_sixteen_packets() {
        let mut stream = Stream::new();
        stream.receive(1, 0, 0);
        // 20 ms apart on the clock, 30 ms on the way: 10 ms too late are 900 units.
        stream.receive(2, 1800, 30);
        assert_eq!(stream.report().jitter, 900 / 16);
        stream.receive(3, 3600, 50);
        // 900 - (900 + 8) / 16 = 844
        assert_eq!(stream.report().jitter, 844 / 16);
    }

    #[test]
    fn c108_jitter_survives_the_wrap_of_the_timestamp() {
        let mut stream = Stream::new();
        let first = u32::MAX - 899;
        for (step, millis) in [(0, 0), (1, 10), (2, 20), (3, 30)] {
            stream.receive(step, first.wrapping_add(900 * u32::from(step)), millis);
        }
        assert_eq!(stream.report().jitter, 0);
    }

    #[test]
    fn a_pause_is_no_jitter() {
        let mut stream = Stream::new();
        stream.receive(1, 0, 0);
        stream.receive(2, 900, 60_000);
        stream.receive(3, 1800, 60_010);
        assert_eq!(stream.report().jitter, 0);
    }

    #[test]
    fn c065_the_last_sender_report_is_named_with_its_age() {
        let mut stream = Stream::new();
        stream.receive(1, 0, 0);
        let report = stream.report();
        assert_eq!(report.last_sender_report, 0);
        assert_eq!(report.delay_since_last_sender_report, 0);
        stream
            .receiver
            .handle_sender_report(0x1111_2222_3333_4444, stream.start);
        let now = stream.start + Duration::from_millis(1500);
        assert_eq!(stream.receiver.report(now), None, "nothing came since");
        stream.receive(2, 0, 0);
        let report = stream.receiver.report(now).unwrap();
        assert_eq!(report.last_sender_report, 0x2222_3333);
        assert_eq!(report.delay_since_last_sender_report, 65_536 + 32_768);
    }

    #[test]
    fn c108_the_fraction_never_exceeds_255() {
        assert_eq!(fraction_lost(1000, 0), 255);
        assert_eq!(fraction_lost(1, 0), 255);
        assert_eq!(fraction_lost(4, 3), 64);
        assert_eq!(fraction_lost(0, 5), 0);
    }

    proptest! {
        #[test]
        fn no_sequence_of_packets_upsets_the_counts(
            packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0u64..100_000), 1..200)
        ) {
            let mut stream = Stream::new();
            for (sequence, timestamp, millis) in packets {
                stream.receive(sequence, timestamp, millis);
                let _report = stream.report();
            }
        }

        #[test]
        fn without_loss_no_loss_is_reported(first in any::<u16>(), count in 1u16..5000) {
            let mut stream = Stream::new();
            for step in 0..count {
                stream.receive(first.wrapping_add(step), u32::from(step) * 900, u64::from(step) * 10);
            }
            let report = stream.report();
            prop_assert_eq!((report.fraction_lost, report.cumulative_lost, report.jitter), (0, 0, 0));
            prop_assert_eq!(report.extended_highest_sequence, u32::from(first) + u32::from(count) - 1);
        }
    }
}
