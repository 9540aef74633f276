//! The estimator as a whole.

use std::time::{Duration, Instant};

use super::acknowledged::{AcknowledgedBitrate, Arrived};
use super::feedback::{Feedback, Told};
use super::groups::Groups;
use super::history::{NoNews, SentHistory};
use super::limited::ApplicationLimit;
use super::loss::LossBound;
use super::probing::{Probe, ProbeId, Prober, Situation};
use super::rate::RateControl;
use super::trend::{DelayTrend, Usage};
use crate::rtp::rtcp::TransportCc;

/// Bounds of the estimate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BandwidthConfig {
    /// Before anything is known. 300 kbit/s by default.
    pub(crate) start_bps: u64,
    /// 30 kbit/s by default: sound gets through.
    pub(crate) min_bps: u64,
    /// 20 Mbit/s by default.
    pub(crate) max_bps: u64,
}

impl Default for BandwidthConfig {
    fn default() -> Self {
        Self {
            start_bps: 300_000,
            min_bps: 30_000,
            max_bps: 20_000_000,
        }
    }
}

/// What the estimator wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BandwidthEffect {
    /// The estimate is a few per cent off the one told last.
    EstimateChanged(u64),
    /// Send a burst, to see whether it gets through.
    Probe(Probe),
}

/// What feedback has brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BandwidthCounters {
    /// Feedback that was read.
    pub(crate) feedbacks: u64,
    /// Feedback that could not be.
    pub(crate) malformed: u64,
    /// Packets reported as received, for the first time.
    pub(crate) received: u64,
    /// Packets reported as missing that have not been reported as received since.
    pub(crate) lost: u64,
    /// Numbers in feedback that were never sent, or are forgotten.
    pub(crate) unknown: u64,
    /// Packets reported as received again.
    pub(crate) repeated: u64,
    /// The receiver's clock has jumped.
    pub(crate) restarts: u64,
}

/// Reckons from feedback how much the path to one peer takes. See the [module](super).
#[derive(Debug)]
pub(crate) struct BandwidthEstimator {
    config: BandwidthConfig,
    /// What would be sent if it got through.
    desired_bps: f64,
    /// Times in here count from this one.
    epoch: Instant,
    history: SentHistory,
    clock: ArrivalClock,
    groups: Groups,
    trend: DelayTrend,
    acknowledged: AcknowledgedBitrate,
    rate: RateControl,
    loss: LossBound,
    prober: Prober,
    limit: ApplicationLimit,
    /// Of media, since the application limit was updated last.
    sent_bytes: u64,
    rtt_us: i64,
    /// From a report: feedback's own includes the time the receiver waits.
    reported_rtt_us: Option<i64>,
    /// When the first packet was sent after the last feedback.
    unanswered_since_us: Option<i64>,
    last_sent_us: i64,
    last_feedback_us: Option<i64>,
    /// The estimate before feedback stayed away.
    before_silence_bps: Option<f64>,
    /// The path has never been found to be full.
    is_new: bool,
    told_bps: f64,
    polled_us: i64,
    counters: BandwidthCounters,
    /// Of the feedback being read; empty in between.
    arrivals: Vec<Arrival>,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    packet: Arrived,
    cluster: u16,
}

impl BandwidthEstimator {
    pub(crate) fn new(config: BandwidthConfig, now: Instant) -> Self {
        let start_bps = config.start_bps.clamp(config.min_bps, config.max_bps) as f64;
        Self {
            config,
            desired_bps: f64::INFINITY,
            epoch: now,
            history: SentHistory::new(),
            clock: ArrivalClock::default(),
            groups: Groups::default(),
            trend: DelayTrend::new(),
            acknowledged: AcknowledgedBitrate::default(),
            rate: RateControl::new(start_bps),
            loss: LossBound::new(),
            prober: Prober::new(),
            limit: ApplicationLimit::default(),
            sent_bytes: 0,
            rtt_us: START_RTT_US,
            reported_rtt_us: None,
            unanswered_since_us: None,
            last_sent_us: 0,
            last_feedback_us: None,
            before_silence_bps: None,
            is_new: true,
            told_bps: start_bps,
            polled_us: 0,
            counters: BandwidthCounters::default(),
            arrivals: Vec::new(),
        }
    }

    /// A packet leaves under this transport-wide number. `bytes` is all that the path carries:
    /// header, payload, tag. To be called for every packet, in the order of the numbers.
    pub(crate) fn on_sent(
        &mut self,
        number: u16,
        bytes: usize,
        probe: Option<ProbeId>,
        now: Instant,
    ) {
        let now_us = self.micros(now);
        let cluster = probe.map_or(0, ProbeId::cluster);
        self.history.add(number, bytes, cluster, now_us);
        if probe.is_none() {
            self.sent_bytes += bytes as u64;
        }
        if now_us - self.last_sent_us > PAUSE_US {
            self.unanswered_since_us = None;
        }
        self.unanswered_since_us.get_or_insert(now_us);
        self.last_sent_us = now_us;
    }

    /// Feedback arrived. To be followed by [`poll`](Self::poll).
    pub(crate) fn on_feedback(&mut self, feedback: &TransportCc, now: Instant) {
        let now_us = self.micros(now);
        let Some(feedback) = Feedback::read(&feedback.body) else {
            self.counters.malformed += 1;
            return;
        };
        self.counters.feedbacks += 1;
        if !self.take_statuses(feedback, now_us) {
            return;
        }
        if self.last_feedback_us.replace(now_us).is_none() {
            self.prober.begin(self.rate.bps());
        }
        if let Some(before) = self.before_silence_bps.take() {
            // All was lost, whatever the rate: that is no measure of it.
            self.loss = LossBound::new();
            self.prober.try_again(before);
        }
        self.unanswered_since_us = None;
        self.note_round_trip(now_us);
        let probed = self.take_arrivals(now_us);
        self.estimate(probed, now_us);
    }

    /// A receiver report arrived: the highest loss of its blocks, once for all of them. It counts as long as there
    /// is no transport-wide feedback; the round-trip time always does.
    pub(crate) fn on_report(&mut self, fraction_lost: f64, rtt: Option<Duration>, now: Instant) {
        if let Some(rtt) = rtt {
            self.reported_rtt_us = Some(i64::try_from(rtt.as_micros()).unwrap_or(LONGEST_RTT_US));
        }
        let now_us = self.micros(now);
        let is_fresh = |last: i64| now_us - last < FEEDBACK_COUNTS_US;
        if !self.last_feedback_us.is_some_and(is_fresh) {
            let present = self.current_bps();
            let bps = self
                .loss
                .update_by_report(present, fraction_lost.clamp(0.0, 1.0));
            self.rate.raise_to(bps);
            self.rate.limit(bps);
            self.clamp();
            self.is_new &= !self.loss.is_falling();
        }
    }

    /// What would be sent if the path took it: no probe asks for more, and none at all while the
    /// estimate is above. Not known, there is no end.
    pub(crate) fn set_desired_bps(&mut self, bps: Option<u64>) {
        let desired = bps.map_or(f64::INFINITY, |bps| bps as f64);
        let rises = desired > self.desired_bps;
        self.desired_bps = desired;
        if rises && self.last_feedback_us.is_some() && desired > self.current_bps() {
            self.prober.want_more(self.current_bps());
        }
    }

    pub(crate) fn estimate_bps(&self) -> u64 {
        self.current_bps() as u64
    }

    /// The path has been found to be full once, so that the estimate is a measure of it, not just what was tried.
    pub(crate) fn has_met_limit(&self) -> bool {
        !self.is_new
    }

    /// A full queue stands before the path. It drains only while less is sent than estimated.
    pub(crate) fn is_full(&self) -> bool {
        self.loss.is_full()
    }

    pub(crate) fn counters(&self) -> BandwidthCounters {
        self.counters
    }

    /// To be called after feedback, and at [`poll_at`](Self::poll_at).
    pub(crate) fn poll(&mut self, now: Instant, effects: &mut Vec<BandwidthEffect>) {
        let now_us = self.micros(now);
        self.polled_us = now_us;
        self.note_silence(now_us);
        let present = self.current_bps();
        let sent_bytes = std::mem::take(&mut self.sent_bytes);
        self.limit.update(sent_bytes, present, now_us);
        if (present - self.told_bps).abs() > self.told_bps * WORTH_TELLING {
            self.told_bps = present;
            effects.push(BandwidthEffect::EstimateChanged(present as u64));
        }
        let situation = Situation {
            now_us,
            estimate_bps: present,
            ceiling_bps: self.desired_bps.min(self.config.max_bps as f64),
            is_limited: self.limit.is_limited(),
            is_new: self.is_new,
            is_calm: self.is_calm(now_us),
        };
        if self.last_feedback_us.is_some()
            && let Some(probe) = self.prober.poll(situation)
        {
            effects.push(BandwidthEffect::Probe(probe));
        }
    }

    /// When to call [`poll`](Self::poll) at the latest; `None` while nothing is sent. To be asked again after
    /// packets were.
    pub(crate) fn poll_at(&self) -> Option<Instant> {
        if self.polled_us - self.last_sent_us > PAUSE_US {
            return None;
        }
        let since_us = self.unanswered_since_us?.max(self.polled_us);
        let at_us = u64::try_from(since_us + POLL_US).unwrap_or_default();
        Some(self.epoch + Duration::from_micros(at_us))
    }

    /// Finds what is spoken of; false when there is no news.
    fn take_statuses(&mut self, feedback: Feedback<'_>, now_us: i64) -> bool {
        let (reference, has_jumped) = self.clock.unwrap(feedback.reference, now_us);
        let mut has_news = false;
        for told in feedback.statuses() {
            match told {
                Told::Received { number, ticks } => match self.history.receive(number, now_us) {
                    Ok(sent) => {
                        has_news = true;
                        self.counters.received += 1;
                        if sent.was_missing {
                            self.counters.lost -= 1;
                            self.loss.take_back();
                        } else {
                            self.loss.add(sent.at_us, sent.bytes, false);
                        }
                        let packet = Arrived {
                            sent_us: sent.at_us,
                            arrival_us: reference.base_us + ticks * TICK_US,
                            bytes: sent.bytes,
                        };
                        self.arrivals.push(Arrival {
                            packet,
                            cluster: sent.cluster,
                        });
                    }
                    Err(NoNews::Unknown) => self.counters.unknown += 1,
                    Err(NoNews::Repeated) => self.counters.repeated += 1,
                },
                Told::Missing { first, count } => {
                    let unknown = self.history.miss(first, count, |sent| {
                        has_news = true;
                        self.counters.lost += 1;
                        self.loss.add(sent.at_us, sent.bytes, true);
                    });
                    self.counters.unknown += u64::from(unknown);
                }
            }
        }
        if has_news {
            self.clock.last = Some(reference);
        }
        if has_news && has_jumped {
            self.restart();
        }
        has_news
    }

    /// The receiver's times have nothing to do with those before.
    fn restart(&mut self) {
        self.counters.restarts += 1;
        self.groups = Groups::default();
        self.trend = DelayTrend::new();
        self.acknowledged = AcknowledgedBitrate::default();
        self.loss.forget_delays();
    }

    fn note_round_trip(&mut self, now_us: i64) {
        let latest = self.arrivals.iter().map(|it| it.packet.sent_us).max();
        if let Some(latest) = latest {
            let sample = (now_us - latest).clamp(1000, LONGEST_RTT_US);
            self.rtt_us += (sample - self.rtt_us) / 8;
        }
    }

    /// Feeds what arrived, in the order of arrival; tells what probes have shown.
    fn take_arrivals(&mut self, now_us: i64) -> Option<f64> {
        self.arrivals
            .sort_unstable_by_key(|it| (it.packet.arrival_us, it.packet.sent_us));
        let mut probed: Option<f64> = None;
        for Arrival { packet, cluster } in self.arrivals.drain(..) {
            self.acknowledged.add(packet);
            self.loss.note_delay(packet.arrival_us - packet.sent_us);
            if let Some(delta) = self.groups.add(packet.sent_us, packet.arrival_us) {
                self.trend.add(delta);
            }
            let shown = self.prober.note_arrival(
                cluster,
                packet.sent_us,
                packet.arrival_us,
                packet.bytes,
                now_us,
            );
            probed = shown.or(probed);
        }
        self.arrivals.shrink_to(MOST_KEPT);
        probed
    }

    fn estimate(&mut self, probed: Option<f64>, now_us: i64) {
        let acknowledged = self.acknowledged.bps();
        let rtt_us = self.reported_rtt_us.unwrap_or(self.rtt_us);
        let usage = match self.trend.usage() {
            // The queue is our own probe's: it is to drain, and says nothing of what is sent else.
            Usage::Over if self.prober.is_settling(now_us) => Usage::Under,
            usage @ (Usage::Over | Usage::Normal | Usage::Under) => usage,
        };
        let peak = match usage {
            Usage::Over => self.acknowledged.peak_bps(),
            Usage::Normal | Usage::Under => None,
        };
        self.rate.update(usage, acknowledged, peak, rtt_us, now_us);
        if let Some(probed) = probed.filter(|_| usage != Usage::Over) {
            self.rate.raise_to(probed);
            self.loss.raise_to(probed);
        }
        self.clamp();
        let present = self.current_bps();
        self.loss.update(present, self.rate.bps(), acknowledged);
        self.is_new &= self.rate.last_decrease_us().is_none() && self.loss.bps().is_none();
    }

    /// Nothing comes back of what is sent: the path is cut, or holds it for seconds.
    fn note_silence(&mut self, now_us: i64) {
        let Some(since_us) = self.unanswered_since_us else {
            return;
        };
        if self.last_feedback_us.is_some()
            && now_us - since_us > SILENCE_US
            && now_us - self.last_sent_us < PAUSE_US
        {
            let present = self.current_bps();
            self.before_silence_bps.get_or_insert(present);
            self.rate.limit(present / 2.0);
            self.clamp();
            self.unanswered_since_us = Some(since_us + SILENCE_STEP_US);
        }
    }

    fn is_calm(&self, now_us: i64) -> bool {
        let is_recent = |decrease: i64| now_us - decrease < CALM_US;
        self.trend.usage() != Usage::Over
            && !self.loss.is_falling()
            && !self.rate.last_decrease_us().is_some_and(is_recent)
    }

    fn current_bps(&self) -> f64 {
        let bound = self.loss.bps().unwrap_or(f64::INFINITY);
        let (least, most) = (self.config.min_bps as f64, self.config.max_bps as f64);
        self.rate.bps().min(bound).min(most).max(least)
    }

    fn clamp(&mut self) {
        self.rate.limit(self.config.max_bps as f64);
        self.rate.raise_to(self.config.min_bps as f64);
    }

    fn micros(&self, at: Instant) -> i64 {
        at.saturating_duration_since(self.epoch).as_micros() as i64
    }
}

/// The receiver's clock, of which feedback tells the lower 24 bits.
#[derive(Debug, Default)]
struct ArrivalClock {
    last: Option<Reference>,
}

#[derive(Clone, Copy, Debug)]
struct Reference {
    told: u32,
    base_us: i64,
    heard_us: i64,
}

impl ArrivalClock {
    /// The reference time without wrap-around, and whether it has jumped.
    fn unwrap(&self, told: u32, heard_us: i64) -> (Reference, bool) {
        let before = self.last.unwrap_or(Reference {
            told,
            base_us: 0,
            heard_us,
        });
        // Shifted up, so that the difference of 24 bits has its sign.
        let step = (told.wrapping_sub(before.told) << 8).cast_signed() >> 8;
        let step_us = i64::from(step) * REFERENCE_US;
        let is_off = (step_us - (heard_us - before.heard_us)).abs() > LARGEST_JUMP_US;
        let reference = Reference {
            told,
            // After a jump all begins anew; many of them are not to add up.
            base_us: if is_off { 0 } else { before.base_us + step_us },
            heard_us,
        };
        (reference, is_off)
    }
}

/// Unit of the reference time (§3.1).
const REFERENCE_US: i64 = 64_000;

/// Unit of the deltas (§3.1.5).
const TICK_US: i64 = 250;

/// Two feedbacks are further apart at the receiver than here, by more than any queue.
const LARGEST_JUMP_US: i64 = 3_000_000;

const START_RTT_US: i64 = 200_000;
const LONGEST_RTT_US: i64 = 10_000_000;

/// Room that is kept for the next feedback; usual ones name a tenth of it.
const MOST_KEPT: usize = 512;

/// Told when it is off by more.
const WORTH_TELLING: f64 = 0.05;

/// Without trouble for so long, a probe may be sent.
const CALM_US: i64 = 2_000_000;

/// Of feedback, while packets are sent; and until the next step.
const SILENCE_US: i64 = 2_000_000;
const SILENCE_STEP_US: i64 = 1_000_000;

/// Whoever sends nothing for so long hears nothing either.
const PAUSE_US: i64 = 1_000_000;

const FEEDBACK_COUNTS_US: i64 = 5_000_000;

const POLL_US: i64 = 250_000;
