//! Moments and durations in the units of RTP and RTCP.

use std::time::Duration;

/// Wall time, told as time since 1970, in NTP form (RFC 3550 §4).
pub(crate) fn ntp_of_unix_time(since_1970: Duration) -> u64 {
    let seconds = since_1970.as_secs().wrapping_add(SECONDS_1900_TO_1970);
    let fraction = (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000;
    seconds << 32 | fraction
}

/// A duration in ticks of a clock, modulo 2³².
pub(super) fn in_clock_units(duration: Duration, rate_hz: u32) -> u32 {
    (duration.as_nanos() * u128::from(rate_hz) / 1_000_000_000) as u32
}

/// Ticks of a clock as a duration; endless where the clock stands still.
pub(super) fn of_clock_units(ticks: u32, rate_hz: u32) -> Duration {
    let nanoseconds = (u64::from(ticks) * 1_000_000_000).checked_div(u64::from(rate_hz));
    nanoseconds.map_or(Duration::MAX, Duration::from_nanos)
}

/// A duration in 1/65 536 s (RFC 3550 §6.4.1), at most the 18 hours that fit.
pub(super) fn in_65536ths(duration: Duration) -> u32 {
    let ticks = (duration.as_nanos() << 16) / 1_000_000_000;
    u32::try_from(ticks).unwrap_or(u32::MAX)
}

/// The same read back.
pub(super) fn of_65536ths(ticks: u32) -> Duration {
    Duration::from_nanos((u64::from(ticks) * 1_000_000_000) >> 16)
}

/// 70 years with 17 leap days (RFC 5905 §6).
const SECONDS_1900_TO_1970: u64 = 2_208_988_800;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_counts_from_1900() {
        assert_eq!(
            ntp_of_unix_time(Duration::from_millis(500)),
            2_208_988_800 << 32 | 1 << 31
        );
    }
}
