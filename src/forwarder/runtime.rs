//! What the hub keeps of a peer only while it runs: how far its subscriber is, and who waits for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use super::allocation::Pace;
use crate::rtp::Mid;
use crate::track::{MediaStreamTrack, TrackId};

/// A peer at work.
#[derive(Debug, Default)]
pub(super) struct Runtime {
    /// Its remote tracks that others may have.
    pub(super) publications: BTreeSet<TrackId>,
    /// Its remote tracks for which there was no room.
    pub(super) refused_publications: BTreeMap<TrackId, MediaStreamTrack>,
    /// The local tracks that it is to be sent.
    pub(super) subscriptions: BTreeSet<TrackId>,
    /// What its remote side sends is not known yet but by hearsay.
    pub(super) joining: Option<Hearsay>,
    /// It was added again: the next order brings what its remote side sends, as when it was new.
    pub(super) is_looked_at_again: bool,
    /// M-lines without a common codec, of tracks yet to be found out.
    pub(super) codecless: BTreeSet<Mid>,
    pub(super) orders: Orders,
    pub(super) pace: Pace,
    /// What it would be sent at best, as its peer was told.
    pub(super) desired: Option<u64>,
    /// When its encodings were chosen last.
    pub(super) layers_settled_at: Option<Instant>,
    /// When its encodings are looked at again though nothing changes.
    pub(super) layers_due: Option<Instant>,
    pub(super) failures: Failures,
}

/// The tracks that events have spoken of since the peer was added. They are newer than what is read from the peer.
#[derive(Debug, Default)]
pub(super) struct Hearsay(pub(super) BTreeSet<TrackId>);

/// Names somebody who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// Who waits, and for what: a subscription, or (`None`) all that the peer has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) request: RequestId,
    pub(super) subscription: Option<TrackId>,
}

/// At most one order is under way; what changes meanwhile is in the next.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// The number of the one that is under way.
    under_way: Option<u64>,
    /// Something has changed since the last.
    is_due: bool,
    /// Who waits for the one that is under way.
    served: Vec<Waiter>,
    /// Who waits for the next.
    queued: Vec<Waiter>,
}

impl Orders {
    /// An order is due; whether it is to be given now.
    pub(super) fn ask(&mut self) -> bool {
        let first = !mem::replace(&mut self.is_due, true);
        first && self.under_way.is_none()
    }

    /// Somebody waits for the next one.
    pub(super) fn wait(&mut self, waiter: Waiter) {
        self.queued.push(waiter);
    }

    /// The order of this number is given.
    pub(super) fn give(&mut self, number: u64) {
        self.is_due = false;
        self.under_way = Some(number);
        self.served.append(&mut self.queued);
    }

    /// An answer has come: who has waited for it, and whether the next order is to be given now. Nothing, when it
    /// answers another order than the one that is under way.
    pub(super) fn finish(&mut self, number: u64) -> Option<(Vec<Waiter>, bool)> {
        if self.under_way != Some(number) {
            return None;
        }
        self.under_way = None;
        Some((mem::take(&mut self.served), self.is_due))
    }

    /// No answer will come: the order is due again, and its waiters wait for that.
    pub(super) fn lose(&mut self) {
        self.under_way = None;
        self.is_due = false;
        self.queued.append(&mut self.served);
    }

    /// Everybody who waits.
    pub(super) fn waiters(self) -> impl Iterator<Item = Waiter> {
        self.served.into_iter().chain(self.queued)
    }
}

/// How often a part has failed of late.
#[derive(Debug, Default)]
pub(super) struct Failures(VecDeque<Instant>);

impl Failures {
    /// One more; whether it is one too many.
    pub(super) fn note(&mut self, now: Instant) -> bool {
        let is_old = |then: &Instant| now.saturating_duration_since(*then) > FAILURE_PERIOD;
        while self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len() > MAX_FAILURES
    }
}

/// So many failures within the period are mended; the next is one too many.
const MAX_FAILURES: usize = 5;

/// A part that fails for a reason of its peer's fails at each try; one that fails by chance does not so often.
const FAILURE_PERIOD: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn waiter(number: u64) -> Waiter {
        Waiter {
            request: RequestId(number),
            subscription: None,
        }
    }

    #[test]
    fn one_order_is_under_way_at_a_time_and_what_comes_meanwhile_is_in_the_next() {
        let mut orders = Orders::default();
        orders.wait(waiter(1));
        assert!(orders.ask());
        assert!(!orders.ask());
        orders.give(7);
        orders.wait(waiter(2));
        orders.wait(waiter(3));
        assert!(!orders.ask());
        assert!(!orders.ask());
        assert_eq!(orders.finish(7), Some((vec![waiter(1)], true)));
        orders.give(8);
        assert_eq!(orders.finish(8), Some((vec![waiter(2), waiter(3)], false)));
        assert!(orders.ask());
    }

    #[test]
    fn a_late_answer_to_a_lost_order_answers_nobody() {
        let mut orders = Orders::default();
        orders.wait(waiter(1));
        orders.ask();
        orders.give(7);
        orders.lose();
        assert!(orders.ask());
        assert_eq!(orders.finish(7), None);
        orders.give(8);
        assert_eq!(orders.finish(7), None);
        assert_eq!(orders.finish(8), Some((vec![waiter(1)], false)));
    }

    #[test]
    fn five_failures_a_minute_are_mended() {
        let start = Instant::now();
        let mut failures = Failures::default();
        let at = |seconds| start + Duration::from_secs(seconds);
        for second in 0..5 {
            assert!(!failures.note(at(second)));
        }
        assert!(failures.note(at(59)));
        assert!(!failures.note(at(200)));
    }
}
