//! What the path to one peer takes, and when its packets may leave.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::SendingCounters;
use super::message::SendingEvent;
use crate::rtp::{
    BandwidthConfig, BandwidthCounters, BandwidthEffect, BandwidthEstimator, Numbers, Pacer,
    PacerCounters, Repeat, Rewrite, RtpBatch, Ssrc, TransportCc, Urgency,
};

/// Estimates by feedback what a path takes, and paces what is sent over it.
///
/// Until the path has once been found to be full, pacing only takes the edge off bursts: a first keyframe does
/// not wait for an estimate.
#[derive(Debug)]
pub(super) struct Congestion {
    estimator: BandwidthEstimator,
    pacer: Pacer<Waiting>,
    demand: Demand,
    /// The transport-wide number of the next packet.
    next: u16,
    /// What the counters have been told.
    counted: (BandwidthCounters, PacerCounters),
    /// Empty between calls.
    effects: Vec<BandwidthEffect>,
}

/// A packet that waits until it may leave.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The stream that it is of.
    pub(super) ssrc: Ssrc,
    pub(super) packet: Delayed,
}

#[derive(Debug)]
pub(super) enum Delayed {
    Media(Media),
    Repeat(Repeat),
}

/// A packet that is to go out under these numbers: the one of this index in the batch.
#[derive(Clone, Debug)]
pub(super) struct Media {
    pub(super) batch: RtpBatch,
    pub(super) index: usize,
    pub(super) rewrite: Arc<Rewrite>,
    pub(super) numbers: Numbers,
    /// When its media was there.
    pub(super) at: Instant,
}

/// What the remote side says of how packets of ours arrive.
#[derive(Debug, Default)]
pub(crate) struct ArrivalReport {
    /// Transport-wide feedback, in the order it came.
    pub(crate) feedback: Vec<TransportCc>,
    /// The worst of what reports say of our streams, and the latest round trip.
    pub(crate) loss: Option<(f64, Option<Duration>)>,
}

impl Congestion {
    /// In each of two queues so many packets may wait.
    pub(super) fn new(most_packets: usize, now: Instant) -> Self {
        let estimator = BandwidthEstimator::new(BandwidthConfig::default(), now);
        let mut congestion = Self {
            pacer: Pacer::new(UNKNOWN_BPS, most_packets, now),
            estimator,
            demand: Demand::default(),
            next: 0,
            counted: <(BandwidthCounters, PacerCounters)>::default(),
            effects: Vec::new(),
        };
        congestion.update_desired();
        congestion
    }

    /// Whether a packet may leave now; one that may not is to [wait](Self::wait).
    pub(super) fn admit(&mut self, urgency: Urgency, bytes: usize, now: Instant) -> bool {
        if urgency != Urgency::Repair {
            self.demand.offered += bytes;
        }
        self.pacer.admit(urgency, bytes, now)
    }

    /// Lets a packet wait. Gives back the one that has waited longest when there are too many.
    pub(super) fn wait(
        &mut self,
        urgency: Urgency,
        packet: Waiting,
        bytes: usize,
        now: Instant,
    ) -> Option<Waiting> {
        self.pacer.queue(urgency, packet, bytes, now)
    }

    /// The transport-wide number of the packet that is written next. Whether it is used shows in
    /// [`note_sent`](Self::note_sent).
    pub(super) fn number(&self) -> u16 {
        self.next
    }

    /// The packet with the present number leaves, with all that the path carries of it from RTP on.
    pub(super) fn note_sent(&mut self, bytes: usize, now: Instant) {
        let probe = self.pacer.probe();
        self.estimator.on_sent(self.next, bytes, probe, now);
        self.next = self.next.wrapping_add(1);
    }

    /// The remote side has told how packets arrived; [`poll`](Self::poll) is to follow.
    pub(super) fn handle_report(&mut self, report: &ArrivalReport, now: Instant) {
        for feedback in &report.feedback {
            self.estimator.on_feedback(feedback, now);
        }
        if let Some((fraction_lost, round_trip)) = report.loss {
            self.estimator.on_report(fraction_lost, round_trip, now);
        }
    }

    /// More would be sent if the path took it.
    pub(super) fn set_desired(&mut self, bits_per_second: u64) {
        self.demand.told = bits_per_second;
        self.update_desired();
    }

    /// To be called after reports, and [when told](Self::wakes_at).
    pub(super) fn poll(&mut self, now: Instant, events: &mut Vec<SendingEvent>) {
        if self.demand.measure(now) {
            self.update_desired();
        }
        self.estimator.poll(now, &mut self.effects);
        for effect in self.effects.drain(..) {
            match effect {
                BandwidthEffect::EstimateChanged(bps) => {
                    events.push(SendingEvent::EstimateChanged(bps));
                }
                BandwidthEffect::Probe(probe) => self.pacer.start_probe(probe, now),
            }
        }
        self.pacer.set_estimate(self.pace_bps());
    }

    fn pace_bps(&self) -> u64 {
        let estimate = self.estimator.estimate_bps();
        if !self.estimator.has_met_limit() {
            estimate.max(UNKNOWN_BPS)
        } else if self.estimator.is_full() {
            estimate - estimate / DRAINS
        } else {
            estimate
        }
    }

    fn update_desired(&mut self) {
        self.estimator.set_desired_bps(Some(self.demand.bps()));
    }

    /// Takes out what may leave now, and what has waited too long. Tells how many bytes of padding are to follow;
    /// [`note_padding`](Self::note_padding) hears how many did.
    pub(super) fn release(
        &mut self,
        now: Instant,
        released: &mut Vec<Waiting>,
        dropped: &mut Vec<Waiting>,
    ) -> usize {
        self.pacer.release(now, released, dropped)
    }

    pub(super) fn note_padding(&mut self, bytes: usize) {
        self.pacer.note_padding(bytes);
    }

    /// No picture of this stream that waits is to be sent any more.
    pub(super) fn discard(&mut self, ssrc: Ssrc) {
        self.pacer.discard(|waiting| waiting.ssrc == ssrc);
    }

    /// When something is due; to be asked again after packets were sent.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        let due = [self.pacer.next_release(), self.estimator.poll_at()];
        due.into_iter().flatten().min()
    }

    /// What the path takes, once the remote side has said something of it.
    pub(super) fn estimate_bps(&self) -> Option<u64> {
        let is_told = self.estimator.counters().received > 0;
        is_told.then(|| self.estimator.estimate_bps())
    }

    /// Tells the counters what has happened since this was called last.
    pub(super) fn count(&mut self, counters: &SendingCounters) {
        let now = (self.estimator.counters(), self.pacer.counters());
        let (estimator, pacer) = std::mem::replace(&mut self.counted, now);
        let counts = [
            (
                &counters.transport_feedback,
                now.0.feedbacks,
                estimator.feedbacks,
            ),
            (
                &counters.transport_feedback_malformed,
                now.0.malformed,
                estimator.malformed,
            ),
            (
                &counters.transport_feedback_unknown,
                now.0.unknown,
                estimator.unknown,
            ),
            (&counters.paced, now.1.delayed, pacer.delayed),
            (&counters.paced_out, now.1.dropped, pacer.dropped),
        ];
        for (counter, now, before) in counts {
            counter.add((now - before) as usize);
        }
    }
}

/// How much would be sent if the path took it: probing goes no further.
#[derive(Debug, Default)]
struct Demand {
    /// By the application.
    told: u64,
    /// Bytes of media that were to be sent since the last measurement.
    offered: usize,
    since: Option<Instant>,
    /// What was offered lately.
    measured: Option<f64>,
}

impl Demand {
    /// Measures what is offered, now and then. Says whether it is something else than before.
    fn measure(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed < MEASURED_FOR {
            return false;
        }
        let bps = self.offered as f64 * 8.0 / passed.as_secs_f64();
        self.offered = 0;
        self.since = Some(now);
        let before = self.measured;
        let is_near = |before: f64| (FALLEN..=RISEN).contains(&(bps / before.max(1.0)));
        if before.is_some_and(is_near) {
            return false;
        }
        // Sources pause between scenes: they are not to be taken at their word at once.
        self.measured = Some(before.map_or(bps, |before| bps.max(before * SINKS_TO)));
        true
    }

    fn bps(&self) -> u64 {
        let measured = self.measured.map_or(AT_FIRST, |bps| bps * HEADROOM);
        self.told.max(measured as u64)
    }
}

/// A path is taken to carry that before it has been found to be full.
const UNKNOWN_BPS: u64 = 8_000_000;

/// Before anything is known of what is offered: one good picture.
const AT_FIRST: f64 = 4e6;

/// The part of the estimate that is not sent while a full queue stands before the path: what waits there is lost to
/// sound, too.
const DRAINS: u64 = 10;

const MEASURED_FOR: Duration = Duration::from_millis(500);

/// Times what was measured before: differences between are none.
const FALLEN: f64 = 0.7;
const RISEN: f64 = 1.2;
const SINKS_TO: f64 = 0.8;

/// Times what is offered: whoever sends more in the next second finds it known that it gets through.
const HEADROOM: f64 = 1.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_follows_what_is_offered_and_what_is_told() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut demand = Demand::default();
        assert!(!demand.measure(start));
        assert_eq!(demand.bps(), AT_FIRST as u64);
        demand.offered = 62_500;
        assert!(demand.measure(after(500)));
        assert_eq!(demand.bps(), 1_500_000);
        demand.offered = 70_000;
        assert!(!demand.measure(after(1000)), "nearly the same");
        demand.told = 3_000_000;
        assert_eq!(demand.bps(), 3_000_000);
        demand.told = 0;
        assert!(demand.measure(after(1500)), "nothing");
        assert_eq!(demand.bps(), 1_200_000, "sinks slowly");
    }
}
