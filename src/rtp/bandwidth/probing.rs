//! Trying out more than is sent: when to ask for a probe, and what one has shown.

/// A burst that the estimator asks for: `bytes` at `bitrate_bps`, in five packets or more. Media counts as
/// well as retransmissions and padding, as long as each packet is noted with the probe's `id`.
///
/// A sender with nothing to fill it with may decline by doing nothing. A new one replaces what is left of
/// the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) id: ProbeId,
    pub(crate) bitrate_bps: u64,
    pub(crate) bytes: usize,
}

/// Names a probe among the latest ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ProbeId(u16);

impl ProbeId {
    /// Never zero, and fits fourteen bits.
    pub(super) fn cluster(self) -> u16 {
        self.0
    }
}

/// What the prober has to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Situation {
    pub(super) now_us: i64,
    pub(super) estimate_bps: f64,
    /// No more is wanted.
    pub(super) ceiling_bps: f64,
    /// The sender sends far less than it might.
    pub(super) is_limited: bool,
    /// The path has never been found to be full.
    pub(super) is_new: bool,
    /// Neither delay nor loss have risen lately.
    pub(super) is_calm: bool,
}

/// Asks for probes, one at a time.
#[derive(Debug)]
pub(super) struct Prober {
    /// The latest ones; results may come until they are replaced.
    clusters: [Cluster; MOST_CLUSTERS],
    last_id: u16,
    /// To be tried next, at once.
    next_bps: Option<f64>,
    /// For the result of the last one.
    waits_until_us: Option<i64>,
    last_us: Option<i64>,
    settled_us: i64,
}

/// The packets of one probe.
#[derive(Clone, Copy, Debug, Default)]
struct Cluster {
    id: u16,
    target_bps: f64,
    /// It tries all that is wanted.
    is_last: bool,
    bytes: u64,
    first: Option<Packet>,
    received_bytes: u64,
    packets: u32,
    first_sent_us: i64,
    last_sent_us: i64,
    last_sent_bytes: u32,
    last_arrival_us: i64,
}

/// The first to arrive.
#[derive(Clone, Copy, Debug)]
struct Packet {
    arrival_us: i64,
    bytes: u32,
}

impl Prober {
    pub(super) fn new() -> Self {
        Self {
            clusters: [Cluster::default(); MOST_CLUSTERS],
            last_id: 0,
            next_bps: None,
            waits_until_us: None,
            last_us: None,
            settled_us: 0,
        }
    }

    /// Feedback has begun: nothing is known yet.
    pub(super) fn begin(&mut self, start_bps: f64) {
        self.next_bps = Some(start_bps * FIRST_STEP);
    }

    /// More is wanted than is known to get through.
    pub(super) fn want_more(&mut self, estimate_bps: f64) {
        self.next_bps.get_or_insert(estimate_bps * STEP);
    }

    /// So much got through once.
    pub(super) fn try_again(&mut self, bps: f64) {
        self.next_bps = Some(bps);
    }

    pub(super) fn poll(&mut self, situation: Situation) -> Option<Probe> {
        let Situation { now_us, .. } = situation;
        if self.waits_until_us.is_some_and(|until| now_us < until) {
            return None;
        }
        self.waits_until_us = None;
        if !situation.is_calm || situation.estimate_bps >= situation.ceiling_bps * NEARLY {
            return None;
        }
        let target_bps = match self.next_bps.take() {
            Some(next) => next,
            None if self.is_due(&situation) => situation.estimate_bps * STEP,
            None => return None,
        };
        Some(self.start(target_bps, &situation))
    }

    /// A probe is on its way, or the queue that it may have made.
    pub(super) fn is_settling(&self, now_us: i64) -> bool {
        self.waits_until_us.is_some_and(|until| now_us < until) || now_us < self.settled_us
    }

    /// Nothing has been tried for a while.
    fn is_due(&self, situation: &Situation) -> bool {
        let interval_us = match situation {
            Situation {
                is_limited: true, ..
            } => LIMITED_INTERVAL_US,
            Situation { is_new: true, .. } => NEW_INTERVAL_US,
            _ => INTERVAL_US,
        };
        self.last_us
            .is_some_and(|last| situation.now_us - last >= interval_us)
    }

    fn start(&mut self, wanted_bps: f64, situation: &Situation) -> Probe {
        let target_bps = wanted_bps.min(situation.ceiling_bps);
        self.last_id = self.last_id % MOST_ID + 1;
        let bytes = (target_bps / 8.0 * DURATION).max(LEAST_BYTES);
        self.clusters.rotate_left(1);
        self.clusters[MOST_CLUSTERS - 1] = Cluster {
            id: self.last_id,
            target_bps,
            is_last: wanted_bps > target_bps,
            bytes: bytes as u64,
            ..Cluster::default()
        };
        let duration_us = (bytes * 8e6 / target_bps) as i64;
        self.waits_until_us = Some(situation.now_us + duration_us + PATIENCE_US);
        self.last_us = Some(situation.now_us);
        Probe {
            id: ProbeId(self.last_id),
            bitrate_bps: target_bps as u64,
            bytes: bytes as usize,
        }
    }

    /// A packet of a probe arrived. Tells what the probe shows by now.
    pub(super) fn note_arrival(
        &mut self,
        id: u16,
        sent_us: i64,
        arrival_us: i64,
        bytes: u32,
        now_us: i64,
    ) -> Option<f64> {
        let cluster = self.clusters.iter_mut().find(|it| it.id == id && id != 0)?;
        cluster.add(sent_us, arrival_us, bytes);
        let shown = cluster.shown_bps()?;
        if id == self.last_id && self.waits_until_us.is_some() && cluster.is_whole() {
            self.waits_until_us = None;
            self.settled_us = now_us + SETTLING_US;
            if !cluster.is_last && shown >= cluster.target_bps * GOES_ON {
                self.next_bps = Some(shown * STEP);
            }
        }
        Some(shown)
    }
}

impl Cluster {
    fn add(&mut self, sent_us: i64, arrival_us: i64, bytes: u32) {
        if self.packets == 0 {
            self.first_sent_us = sent_us;
            self.last_sent_us = i64::MIN;
            self.last_arrival_us = arrival_us;
        }
        self.first_sent_us = self.first_sent_us.min(sent_us);
        if sent_us >= self.last_sent_us {
            (self.last_sent_us, self.last_sent_bytes) = (sent_us, bytes);
        }
        if self.first.is_none_or(|first| arrival_us < first.arrival_us) {
            self.first = Some(Packet { arrival_us, bytes });
        }
        self.last_arrival_us = self.last_arrival_us.max(arrival_us);
        self.received_bytes += u64::from(bytes);
        self.packets += 1;
    }

    fn is_whole(&self) -> bool {
        self.packets >= LEAST_PACKETS
            && self.received_bytes as f64 >= self.bytes as f64 * LEAST_RECEIVED
    }

    /// `None` while too little of it has come, or when the times make no sense.
    fn shown_bps(&self) -> Option<f64> {
        let first = self.first.filter(|_| self.is_whole())?;
        let rate = |bytes: u64, duration_us: i64| {
            let is_sound = (1..LONGEST_US).contains(&duration_us);
            is_sound.then(|| bytes as f64 * 8e6 / duration_us as f64)
        };
        // The last one sent only closes the interval of sending, the first received opens the other.
        let sent = rate(
            self.received_bytes - u64::from(self.last_sent_bytes),
            self.last_sent_us - self.first_sent_us,
        )?;
        let received = rate(
            self.received_bytes - u64::from(first.bytes),
            self.last_arrival_us.checked_sub(first.arrival_us)?,
        )?;
        if received > sent * FASTEST {
            return None;
        }
        Some(if received < sent * UNSATURATED {
            // That is what the path takes, and it is to be left some room.
            received * UTILIZATION
        } else {
            sent.min(received)
        })
    }
}

const MOST_CLUSTERS: usize = 4;

/// Fourteen bits.
const MOST_ID: u16 = 0x3fff;

/// Times the bitrate at the start.
const FIRST_STEP: f64 = 3.0;

/// Until the queue of a probe has drained and feedback has told so.
const SETTLING_US: i64 = 300_000;

/// Times what is known.
const STEP: f64 = 2.0;

/// The path took as much of the probe: the next one may be larger.
const GOES_ON: f64 = 0.7;

/// Of the ceiling.
const NEARLY: f64 = 0.95;

/// Seconds: short, so that the queue it makes on a full path is.
const DURATION: f64 = 0.02;
const LEAST_BYTES: f64 = 5000.0;
const LEAST_PACKETS: u32 = 4;
const LEAST_RECEIVED: f64 = 0.8;

/// From the end of a probe to its result.
const PATIENCE_US: i64 = 1_000_000;
const LONGEST_US: i64 = 1_000_000;

/// While the sender leaves a good part of the estimate unused; while nothing is known yet; and while the
/// sender fills the path: the estimate then grows by itself, but takes a quarter of a minute to find a path
/// that has become four times as wide.
const LIMITED_INTERVAL_US: i64 = 5_000_000;
const NEW_INTERVAL_US: i64 = 2_000_000;
const INTERVAL_US: i64 = 5_000_000;

/// Received faster than sent, times this: held up somewhere, and no measure.
const FASTEST: f64 = 2.0;
const UNSATURATED: f64 = 0.9;
const UTILIZATION: f64 = 0.95;

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Situation = Situation {
        now_us: 0,
        estimate_bps: 300e3,
        ceiling_bps: 10e6,
        is_limited: false,
        is_new: false,
        is_calm: true,
    };

    fn at(now_us: i64, estimate_bps: f64) -> Situation {
        Situation {
            now_us,
            estimate_bps,
            ..CALM
        }
    }

    /// Sends a probe in packets of 1000 bytes through a path of this bitrate.
    fn send(prober: &mut Prober, probe: Probe, path_bps: f64, from_us: i64) -> Option<f64> {
        let gap = |bps: f64| (8e9 / bps) as i64;
        let mut shown = None;
        for index in 0..(probe.bytes as i64).div_euclid(1000).max(5) {
            let sent_us = from_us + index * gap(probe.bitrate_bps as f64);
            let arrival_us = from_us + 50_000 + index * gap(path_bps.min(probe.bitrate_bps as f64));
            shown = prober.note_arrival(probe.id.cluster(), sent_us, arrival_us, 1000, from_us);
        }
        shown
    }

    #[test]
    fn the_start_climbs_in_steps_until_the_path_is_full() {
        let mut prober = Prober::new();
        assert_eq!(prober.poll(CALM), None);
        prober.begin(300e3);
        let mut targets = Vec::new();
        let mut shown = 300e3;
        let mut now_us = 0;
        while let Some(probe) = prober.poll(at(now_us, shown)) {
            targets.push(probe.bitrate_bps / 1000);
            shown = send(&mut prober, probe, 2.5e6, now_us).unwrap();
            now_us += 100_000;
        }
        assert_eq!(targets, [900, 1800, 3600]);
        assert!((shown - 0.95 * 2.5e6).abs() < 1e4, "{shown}");
    }

    #[test]
    fn one_that_is_declined_is_given_up_and_asked_for_again_later() {
        let mut prober = Prober::new();
        prober.begin(300e3);
        assert!(prober.poll(CALM).is_some());
        assert_eq!(prober.poll(at(900_000, 300e3)), None);
        assert_eq!(prober.poll(at(4_900_000, 300e3)), None);
        let again = prober.poll(at(5_000_000, 300e3)).unwrap();
        assert_eq!(again.bitrate_bps, 600_000);
        let limited = Situation {
            is_limited: true,
            ..at(12_000_000, 300e3)
        };
        assert!(prober.poll(limited).is_some());
    }

    #[test]
    fn nothing_is_tried_while_the_path_is_in_trouble_or_no_more_is_wanted() {
        let mut prober = Prober::new();
        prober.begin(300e3);
        let troubled = Situation {
            is_calm: false,
            ..CALM
        };
        assert_eq!(prober.poll(troubled), None);
        let content = Situation {
            ceiling_bps: 300e3,
            ..CALM
        };
        assert_eq!(prober.poll(content), None);
        let nearly = Situation {
            ceiling_bps: 400e3,
            ..CALM
        };
        assert_eq!(prober.poll(nearly).unwrap().bitrate_bps, 400_000);
    }

    #[test]
    fn a_probe_with_strange_times_shows_nothing() {
        let mut prober = Prober::new();
        prober.begin(300e3);
        let id = prober.poll(CALM).unwrap().id.cluster();
        for (sent, arrival) in [(0, i64::MAX), (1, i64::MIN), (2, 0), (3, 0), (4, 5)] {
            assert_eq!(prober.note_arrival(id, sent, arrival, 1200, 0), None);
        }
        assert_eq!(prober.note_arrival(0, 0, 0, 1200, 0), None);
        assert_eq!(prober.note_arrival(id + 1, 0, 0, 1200, 0), None);
        // All at once, and faster than sent.
        prober.begin(300e3);
        let id = prober.poll(at(2_000_000, 300e3)).unwrap().id.cluster();
        for step in 0..6 {
            assert_eq!(prober.note_arrival(id, step * 10_000, step, 1000, 0), None);
        }
    }
}
