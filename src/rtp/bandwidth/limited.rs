//! Whether the sender has less to send than it might.

/// A budget that fills at two thirds of the estimate and is spent by what is sent: full, the sender is
/// limited by what it has, not by the path.
#[derive(Debug, Default)]
pub(super) struct ApplicationLimit {
    bits: f64,
    last_us: Option<i64>,
    is_limited: bool,
}

impl ApplicationLimit {
    pub(super) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// So many bytes of media were sent since the last time.
    pub(super) fn update(&mut self, sent_bytes: u64, estimate_bps: f64, now_us: i64) {
        let elapsed_us = now_us - self.last_us.replace(now_us).unwrap_or(now_us);
        let fill_bps = estimate_bps * USUAL;
        let most = fill_bps * WINDOW;
        let filled = self.bits + fill_bps * elapsed_us as f64 / 1e6 - sent_bytes as f64 * 8.0;
        self.bits = filled.clamp(-most, most);
        let level = self.bits / most;
        self.is_limited = level > if self.is_limited { ENDS } else { BEGINS };
    }
}

/// Of the estimate.
const USUAL: f64 = 0.65;

/// Seconds: pauses between frames and after keyframes do not count.
const WINDOW: f64 = 0.5;
const BEGINS: f64 = 0.8;
const ENDS: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of frames, every fifth one large.
    fn sends(limit: &mut ApplicationLimit, from_us: i64, bps: f64) -> bool {
        for step in 1..=30 {
            let weight = if step % 5 == 0 { 3.0 } else { 0.5 };
            let bytes = (bps / 30.0 / 8.0 * weight) as u64;
            limit.update(bytes, 1e6, from_us + step * 33_333);
        }
        limit.is_limited()
    }

    #[test]
    fn who_sends_half_is_limited_and_who_sends_nearly_all_is_not() {
        let mut limit = ApplicationLimit::default();
        assert!(!sends(&mut limit, 0, 0.9e6));
        assert!(!sends(&mut limit, 1_000_000, 0.8e6));
        sends(&mut limit, 2_000_000, 0.2e6);
        assert!(sends(&mut limit, 3_000_000, 0.2e6));
        assert!(!sends(&mut limit, 4_000_000, 0.9e6));
    }

    #[test]
    fn silence_is_a_limit() {
        let mut limit = ApplicationLimit::default();
        limit.update(1000, 1e6, 0);
        limit.update(0, 1e6, 10_000_000);
        assert!(limit.is_limited());
    }
}
