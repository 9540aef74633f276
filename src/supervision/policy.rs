//! What a supervisor does when a child has ended, or is to.

use std::time::Duration;

use serde::Serialize;

/// Who is started again when one child has failed.
///
/// Those who go along are stopped first, the last started one first, each within its deadline; then all of them are started in the
/// order in which they were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Strategy {
    /// It alone: children know nothing of each other.
    #[default]
    OneForOne,
    /// All: none can do without any other.
    OneForAll,
    /// It and those that were added after it: each builds on the ones before.
    RestForOne,
}

/// Whether a child that has ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Restart {
    /// However it has ended.
    #[default]
    Permanent,
    /// If it has failed: by a panic, an `Err` of a hook, or a kill. One that stops has done its work.
    Transient,
    /// Never.
    Temporary,
}

/// How long to wait before a child is started again: longer each time, until it has run for a while.
///
/// ```
/// # use std::time::Duration;
/// # use ractor_webrtc::supervision::Backoff;
/// // 100 ms, 200 ms, 400 ms, … and never more than 10 s.
/// let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// At most. A child that has run for longer than this begins anew with the first.
    pub maximum: Duration,
}

impl Backoff {
    /// From one duration to another, twice as long each time.
    pub const fn new(first: Duration, maximum: Duration) -> Self {
        Self { first, maximum }
    }

    /// The pause after so many failures in a row.
    pub(super) fn after(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        self.first.saturating_mul(1 << doublings).min(self.maximum)
    }
}

/// What is decided by for one child.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChildPolicy {
    pub(super) restart: Restart,
    /// To end by itself.
    pub(super) shutdown: Duration,
    pub(super) backoff: Option<Backoff>,
}

impl Default for ChildPolicy {
    fn default() -> Self {
        Self {
            restart: Restart::default(),
            shutdown: SHUTDOWN_DEADLINE,
            backoff: None,
        }
    }
}

/// For a peer connection to say goodbye, and for a room to be left by all, with some to spare.
pub(super) const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_maximum_and_overflows_nowhere() {
        let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        let after = |failures| backoff.after(failures).as_millis();
        assert_eq!([1, 2, 3, 4, 5].map(after), [100, 200, 400, 800, 1000]);
        assert_eq!(after(u32::MAX), 1000);
        let longest = Backoff::new(Duration::MAX, Duration::MAX);
        assert_eq!(longest.after(u32::MAX), Duration::MAX);
    }
}
