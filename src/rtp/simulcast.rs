//! Which encodings of a track arrive, and what they take (simulcast, RFC 8853).

use std::time::{Duration, Instant};

use super::layers::{LayerBytes, LimitedRate};
use super::types::Rid;

/// One encoding of a remote track of pictures, as it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimulcastLayer {
    /// Its name in the session description; `None` for the only one of a track without simulcast.
    pub rid: Option<Rid>,
    /// It arrives. A page pauses encodings that its path does not take, or with `setParameters`.
    pub active: bool,
    /// What it took of the path within the last second, headers of RTP included; while it pauses, what it took before. Zero
    /// for one that has never been seen.
    pub bits_per_second: u64,
    /// What it takes with fewer of the layers that it has inside itself (SVC), as `bits_per_second` measured: for each
    /// [limit](crate::peer_connection::PeerConnection::set_layer_limit) that leaves something out, by size and then by how often there is a picture. The
    /// last is the whole. Empty while it pauses, and where it has one layer or says nothing of them.
    pub limited: Vec<LimitedRate>,
}

/// What has come of one encoding in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    /// Without headers and padding: padding alone is no picture.
    pub(crate) payload_bytes: u64,
    pub(crate) bytes: u64,
    /// The same by layer, where it says of which it is.
    pub(crate) layers: LayerBytes,
}

/// Watches the encodings of one track.
///
/// Told from time to time what has come so far, it costs nothing per packet; what each layer takes is counted by
/// [`LayerMeter`](super::layers::LayerMeter).
#[derive(Debug)]
pub(crate) struct LayerWatch {
    /// The lowest first, as far as is known; those never seen last.
    meters: Vec<Meter>,
    told: Vec<SimulcastLayer>,
    told_at: Option<Instant>,
}

#[derive(Debug)]
struct Meter {
    rid: Option<Rid>,
    received: Received,
    /// Bytes and durations of the latest windows, since it became active.
    windows: [(u64, Duration); WINDOWS],
    /// What came of each layer in them.
    layers: [LayerBytes; WINDOWS],
    /// How many windows there were since then.
    measured: usize,
    /// What has passed since the latest of them.
    idle: Duration,
    heard_at: Option<Instant>,
    /// Windows in which others of the track came and this one did not, one after the other.
    missed: u32,
    active: bool,
    rate: f64,
    /// Of some seconds, for the order.
    average: f64,
}

impl Meter {
    fn new(rid: Option<Rid>) -> Self {
        Self {
            rid,
            received: Received::default(),
            windows: [(0, Duration::ZERO); WINDOWS],
            layers: [LayerBytes::default(); WINDOWS],
            measured: 0,
            idle: Duration::ZERO,
            heard_at: None,
            missed: 0,
            active: false,
            rate: 0.0,
            average: 0.0,
        }
    }

    /// Takes what has come so far. Says what of it is new.
    fn take(&mut self, received: Received) -> Received {
        let before = std::mem::replace(&mut self.received, received);
        received.since(&before)
    }

    fn note(&mut self, new: &Received, others_came: bool, window: Duration, now: Instant) {
        self.idle += window;
        if new.is_picture() {
            // What a pause ends with says nothing of what it takes.
            let lasted = if self.active { self.idle } else { window };
            self.measure(new, lasted);
            self.idle = Duration::ZERO;
            self.heard_at = Some(now);
            self.missed = 0;
            self.active = true;
        } else if others_came {
            self.missed += 1;
        }
        let quiet = self.heard_at.map(|at| now.saturating_duration_since(at));
        if self.missed >= MISSED || quiet.is_some_and(|quiet| quiet >= SILENCE) {
            self.active = false;
            self.measured = 0;
        }
    }

    fn measure(&mut self, new: &Received, window: Duration) {
        self.windows[self.measured % WINDOWS] = (new.bytes, window);
        self.layers[self.measured % WINDOWS] = new.layers;
        self.measured += 1;
        let kept = &self.windows[..self.measured.min(WINDOWS)];
        let bytes: u64 = kept.iter().map(|(bytes, _)| bytes).sum();
        let lasted: Duration = kept.iter().map(|(_, lasted)| lasted).sum();
        if lasted.is_zero() {
            return;
        }
        self.rate = bytes as f64 * 8.0 / lasted.as_secs_f64();
        if self.average == 0.0 {
            self.average = self.rate;
        }
        self.average += (self.rate - self.average) * AVERAGING;
    }

    fn is_settled(&self) -> bool {
        self.measured >= WINDOWS || !self.active
    }

    /// Both were seen, and this one clearly takes more. Two that take about the same stay as they are.
    fn is_above(&self, other: &Self) -> bool {
        let factor = if self.is_settled() && other.is_settled() {
            CLEARLY
        } else {
            BEYOND_DOUBT
        };
        self.average > other.average * factor
    }

    /// Its rate, or that of its layers, is clearly another one than was told; or it has other layers.
    fn differs(&self, told: &SimulcastLayer) -> bool {
        if is_change(told.bits_per_second, self.rate as u64) {
            return true;
        }
        let limited = self.limited();
        let mut pairs = told.limited.iter().zip(&limited);
        told.limited.len() != limited.len()
            || pairs.any(|(told, now)| {
                told.limit != now.limit || is_change(told.bits_per_second, now.bits_per_second)
            })
    }

    fn layer(&self) -> SimulcastLayer {
        SimulcastLayer {
            rid: self.rid.clone(),
            active: self.active,
            bits_per_second: self.rate as u64,
            limited: self.limited(),
        }
    }

    /// One that pauses takes none of its layers now, and is not known to have the same when it comes back.
    fn limited(&self) -> Vec<LimitedRate> {
        let mut layers = LayerBytes::default();
        for window in &self.layers[..self.measured.min(WINDOWS)] {
            layers.add_all(window);
        }
        layers.limited(self.rate)
    }
}

impl Received {
    /// A part of a picture came.
    fn is_picture(&self) -> bool {
        self.payload_bytes > 0
    }

    /// A stream that is forgotten takes its counts along.
    fn since(&self, before: &Self) -> Self {
        Self {
            payload_bytes: self.payload_bytes.saturating_sub(before.payload_bytes),
            bytes: self.bytes.saturating_sub(before.bytes),
            layers: self.layers.since(&before.layers),
        }
    }
}

impl LayerWatch {
    /// For a track of these encodings; of a single one without a name where there are none. Until their rates tell, the one
    /// that its sender prefers, and names first (RFC 8853 §5.2), is taken for the highest.
    pub(crate) fn new(rids: &[Rid]) -> Self {
        let named = rids.iter().rev().cloned().map(Some);
        let only = rids.is_empty().then_some(None);
        Self {
            meters: named.chain(only).map(Meter::new).collect(),
            told: Vec::new(),
            told_at: None,
        }
    }

    /// Whether it watches these encodings and no others.
    pub(crate) fn is_of(&self, rids: &[Rid]) -> bool {
        let of = |meter: &Meter| meter.rid.as_ref().is_none_or(|rid| rids.contains(rid));
        self.meters.len() == rids.len().max(1)
            && self.meters.iter().all(of)
            && rids.is_empty() == self.meters.iter().all(|meter| meter.rid.is_none())
    }

    /// Takes what has come until now; `window` has passed since the last time. The answer is all encodings, the lowest
    /// first, when something of them has changed that matters.
    pub(crate) fn check(
        &mut self,
        now: Instant,
        window: Duration,
        received: impl Fn(Option<&Rid>) -> Received,
    ) -> Option<&[SimulcastLayer]> {
        let mut new = [Received::default(); MAX_LAYERS];
        for (meter, new) in self.meters.iter_mut().zip(&mut new) {
            *new = meter.take(received(meter.rid.as_ref()));
        }
        let any = new.iter().any(Received::is_picture);
        for (meter, new) in self.meters.iter_mut().zip(&new) {
            meter.note(new, any, window, now);
        }
        self.sort();
        if !self.has_news(now) {
            return None;
        }
        self.told_at = Some(now);
        self.told.clear();
        self.told.extend(self.meters.iter().map(Meter::layer));
        Some(&self.told)
    }

    /// What was told last.
    pub(crate) fn told(&self) -> &[SimulcastLayer] {
        &self.told
    }

    /// Some encoding arrives.
    pub(crate) fn is_active(&self) -> bool {
        self.meters.iter().any(|meter| meter.active)
    }

    /// Keeps what was in order in its order.
    fn sort(&mut self) {
        self.meters.sort_by_key(|meter| meter.heard_at.is_none());
        let seen = self.meters.iter().filter(|it| it.heard_at.is_some());
        let seen = seen.count();
        for end in (1..seen).rev() {
            for index in 0..end {
                if self.meters[index].is_above(&self.meters[index + 1]) {
                    self.meters.swap(index, index + 1);
                }
            }
        }
    }

    fn has_news(&self, now: Instant) -> bool {
        if self.told.is_empty() {
            return self.is_active();
        }
        let told_just_now = |at: Instant| now.saturating_duration_since(at) < LEAST_INTERVAL;
        let may_tell_rates = !self.told_at.is_some_and(told_just_now);
        self.meters.iter().zip(&self.told).any(|(meter, told)| {
            meter.rid != told.rid
                || meter.active != told.active
                || (may_tell_rates && meter.differs(told))
        })
    }
}

fn is_change(before: u64, rate: u64) -> bool {
    let before = before as f64;
    (rate as f64 - before).abs() > LEAST_CHANGE.max(before * CHANGE)
}

/// As many encodings as a description may name.
const MAX_LAYERS: usize = 16;

/// Between two looks at what has come.
pub(crate) const WINDOW: Duration = Duration::from_millis(200);

/// A second: several frames of each, however slow.
const WINDOWS: usize = 5;

/// One that others have passed by so often pauses: half a second at the rate of a camera, more of a slow screen.
const MISSED: u32 = 2;

/// A track of which nothing comes pauses. A screen on which nothing happens is sent once in a second.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);

/// The weight of a window in the average: some two seconds.
const AVERAGING: f64 = 0.1;

/// Twice as much is usual between one encoding and the next.
const CLEARLY: f64 = 1.25;

/// The same of encodings that have just begun: browsers begin slowly, and with all of them alike.
const BEYOND_DOUBT: f64 = 2.0;

/// Rates that change are told no more often.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// What counts as a change of a rate: this part of it, and so many bits per second.
const CHANGE: f64 = 0.2;
const LEAST_CHANGE: f64 = 16_000.0;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    /// Encodings with what has come of each, in bytes.
    struct Bench {
        watch: LayerWatch,
        received: HashMap<Option<Rid>, u64>,
        now: Instant,
    }

    type News = Vec<(String, bool)>;

    impl Bench {
        fn new(rids: &[&str]) -> Self {
            let rids: Vec<Rid> = rids.iter().map(|rid| Rid::from(*rid)).collect();
            Self {
                watch: LayerWatch::new(&rids),
                received: HashMap::new(),
                now: Instant::now(),
            }
        }

        /// A window in which this came, in kbit/s.
        fn window(&mut self, rates: &[(&str, u64)]) -> Option<Vec<SimulcastLayer>> {
            for (rid, rate) in rates {
                let rid = (!rid.is_empty()).then(|| Rid::from(*rid));
                *self.received.entry(rid).or_default() += rate * 1000 / 8 / 5;
            }
            self.now += WINDOW;
            let received = |rid: Option<&Rid>| {
                let bytes = self.received.get(&rid.cloned()).copied();
                let bytes = bytes.unwrap_or_default();
                Received {
                    payload_bytes: bytes,
                    bytes,
                    ..Received::default()
                }
            };
            let news = self.watch.check(self.now, WINDOW, received);
            news.map(<[_]>::to_vec)
        }

        /// Who is said to be active, lowest first, in windows until something is said.
        fn news(&mut self, rates: &[(&str, u64)], within: usize) -> (usize, News) {
            for windows in 1..=within {
                if let Some(news) = self.window(rates) {
                    return (windows, named(&news));
                }
            }
            panic!("nothing was told within {within} windows");
        }
    }

    fn named(layers: &[SimulcastLayer]) -> News {
        let name = |rid: &Option<Rid>| rid.as_ref().map_or("", Rid::as_str).to_owned();
        layers.iter().map(|it| (name(&it.rid), it.active)).collect()
    }

    fn told(expected: &[(&str, bool)]) -> News {
        let told = expected.iter();
        told.map(|(rid, active)| ((*rid).to_owned(), *active))
            .collect()
    }

    const ALL: [(&str, u64); 3] = [("h", 1500), ("m", 500), ("l", 150)];

    // They were in the order of their first rates, which said nothing.
    #[test]
    fn encodings_that_begin_alike_are_in_the_order_of_the_description_until_their_rates_tell() {
        let mut bench = Bench::new(&["h", "m", "l"]);
        let names = |news: &[SimulcastLayer]| {
            let names = named(news).into_iter().map(|(rid, _)| rid);
            names.collect::<Vec<_>>()
        };
        let news = bench.window(&[("h", 140), ("m", 75), ("l", 110)]).unwrap();
        assert_eq!(names(&news), ["l", "m", "h"]);
        let mut bench = Bench::new(&["l", "m", "h"]);
        bench.window(&[("h", 140), ("m", 75), ("l", 110)]).unwrap();
        for _ in 0..50 {
            bench.window(&ALL);
        }
        assert_eq!(names(bench.watch.told()), ["l", "m", "h"]);
    }

    #[test]
    fn encodings_are_told_when_they_come_the_lowest_first_whatever_their_order_in_the_description()
    {
        let mut bench = Bench::new(&["h", "m", "l"]);
        assert_eq!(bench.window(&[]), None);
        let news = bench.window(&ALL).unwrap();
        assert_eq!(named(&news), told(&[("l", true), ("m", true), ("h", true)]));
        let rates: Vec<_> = news.iter().map(|it| it.bits_per_second).collect();
        assert_eq!(rates, [150_000, 500_000, 1_500_000]);
    }

    #[test]
    fn an_encoding_that_others_pass_by_pauses_within_half_a_second_and_comes_back_at_once() {
        let mut bench = Bench::new(&["l", "m", "h"]);
        bench.window(&ALL);
        for _ in 0..20 {
            assert_eq!(bench.window(&ALL), None);
        }
        let (windows, news) = bench.news(&ALL[1..], 5);
        assert_eq!(windows, 2);
        assert_eq!(news, told(&[("l", true), ("m", true), ("h", false)]));
        let paused = bench.watch.told()[2].bits_per_second;
        assert_eq!(paused, 1_500_000, "what it takes when it comes back");
        assert_eq!(bench.news(&ALL, 1).1[2], ("h".to_owned(), true));
    }

    #[test]
    fn a_track_of_which_nothing_comes_pauses_after_two_seconds() {
        let mut bench = Bench::new(&[]);
        assert_eq!(bench.news(&[("", 800)], 1).1, told(&[("", true)]));
        let (windows, news) = bench.news(&[], 20);
        assert_eq!((windows, news), (10, told(&[("", false)])));
        assert!(!bench.watch.is_active());
    }

    // Slow screens come in a window now and then, all encodings with each other.
    #[test]
    fn slow_encodings_do_not_pause() {
        let mut bench = Bench::new(&["l", "h"]);
        bench.window(&ALL);
        for turn in 0..200 {
            let rates: &[_] = if turn % 5 == 0 { &ALL } else { &[] };
            bench.window(rates);
            assert!(bench.watch.told().iter().all(|it| it.active));
        }
    }

    #[test]
    fn rates_are_told_when_they_have_changed_by_a_fifth_and_once_in_a_second() {
        let mut bench = Bench::new(&["l"]);
        bench.window(&[("l", 500)]);
        for _ in 0..20 {
            assert_eq!(bench.window(&[("l", 560)]), None);
        }
        let mut times = Vec::new();
        for window in 0..40 {
            let rate = if window < 20 { 1000 } else { 2000 };
            times.extend(bench.window(&[("l", rate)]).map(|_| window));
        }
        assert!(times.len() >= 2, "{times:?}");
        assert!(
            times.windows(2).all(|pair| pair[1] - pair[0] >= 5),
            "{times:?}"
        );
        assert!(bench.watch.told()[0].bits_per_second > 1_600_000);
    }

    #[test]
    fn padding_is_no_picture() {
        let mut watch = LayerWatch::new(&[]);
        let padding = Received {
            payload_bytes: 0,
            bytes: 10_000,
            ..Received::default()
        };
        assert_eq!(watch.check(Instant::now(), WINDOW, |_| padding), None);
        assert!(!watch.is_active());
    }

    #[test]
    fn two_of_about_the_same_rate_keep_their_order() {
        let mut bench = Bench::new(&["a", "b"]);
        bench.window(&[("a", 300), ("b", 900)]);
        for turn in 0..200 {
            let (a, b) = if turn % 10 < 5 {
                (420, 400)
            } else {
                (400, 420)
            };
            if let Some(news) = bench.window(&[("a", a), ("b", b)]) {
                assert_eq!(named(&news), told(&[("a", true), ("b", true)]));
            }
        }
        for _ in 0..30 {
            bench.window(&[("a", 1000), ("b", 300)]);
        }
        assert_eq!(named(bench.watch.told()), told(&[("b", true), ("a", true)]));
    }

    #[test]
    fn a_watch_is_of_its_encodings_alone() {
        let rids: Vec<Rid> = vec!["l".into(), "h".into()];
        let watch = LayerWatch::new(&rids);
        assert!(watch.is_of(&rids));
        assert!(watch.is_of(&["h".into(), "l".into()]));
        assert!(!watch.is_of(&rids[..1]) && !watch.is_of(&[]));
        assert!(!watch.is_of(&["l".into(), "x".into()]));
        assert!(LayerWatch::new(&[]).is_of(&[]));
        assert!(!LayerWatch::new(&[]).is_of(&rids[..1]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_comes_all_are_told_and_activity_is_what_came_last(
            windows in prop::collection::vec(prop::array::uniform3(0_u64..3000), 1..60),
        ) {
            let rids = ["a", "b", "c"];
            let mut bench = Bench::new(&rids);
            for rates in &windows {
                let rates: Vec<_> = rids.into_iter().zip(rates.iter().copied()).collect();
                let news = bench.window(&rates);
                if let Some(news) = news {
                    let mut names: Vec<_> = named(&news).into_iter().map(|it| it.0).collect();
                    names.sort();
                    prop_assert_eq!(names, rids);
                }
                for (rid, rate) in rates {
                    let rid = Some(Rid::from(rid));
                    let layer = bench.watch.told().iter().find(|it| it.rid == rid);
                    // What has come is active at once; less than one byte is nothing.
                    if rate > 0 {
                        prop_assert!(layer.is_some_and(|it| it.active));
                    }
                }
            }
        }
    }
}
