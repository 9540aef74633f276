//! When to ask a source for a keyframe: not too often, and again until one comes.

use std::mem;
use std::time::{Duration, Instant};

use super::types::Rid;
use crate::track::TrackId;

/// The encoding of a remote track that is asked; all of them without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) track: TrackId,
    pub(crate) rid: Option<Rid>,
}

impl Asked {
    fn includes(&self, track: TrackId, rid: Option<&Rid>) -> bool {
        self.track == track && (self.rid.is_none() || self.rid.as_ref() == rid)
    }
}

/// The requests of one peer's sources. One entry for each track and encoding that was ever asked.
#[derive(Debug, Default)]
pub(crate) struct KeyframeRequests {
    sources: Vec<Source>,
    given_up: Vec<Asked>,
}

#[derive(Debug)]
struct Source {
    asked: Asked,
    /// When it was asked last.
    at: Option<Instant>,
    /// Somebody waits for a keyframe: how often it was asked since the last one.
    waiting: Option<u32>,
}

impl Source {
    /// When it is to be asked next.
    fn due(&self, now: Instant) -> Option<Instant> {
        let times = self.waiting?;
        let Some(at) = self.at else { return Some(now) };
        Some(
            at + match times {
                0 => LEAST_INTERVAL,
                1..=QUICK_REPEATS => QUICK_INTERVAL,
                _ => SLOW_INTERVAL,
            },
        )
    }
}

impl KeyframeRequests {
    /// Somebody wants a keyframe. To be followed by [`take_due`](Self::take_due).
    pub(crate) fn want(&mut self, asked: Asked) {
        match self.sources.iter_mut().find(|known| known.asked == asked) {
            Some(source) => {
                source.waiting.get_or_insert(0);
            }
            None => self.sources.push(Source {
                asked,
                at: None,
                waiting: Some(0),
            }),
        }
    }

    /// Whether somebody waits for a keyframe of this encoding.
    pub(crate) fn is_awaited(&self, track: TrackId, rid: Option<&Rid>) -> bool {
        self.sources
            .iter()
            .any(|it| it.waiting.is_some() && it.asked.includes(track, rid))
    }

    /// A keyframe of this encoding has begun to arrive.
    pub(crate) fn note_arrival(&mut self, track: TrackId, rid: Option<&Rid>) {
        for source in &mut self.sources {
            // One that was on its way before anybody could be asked counts too.
            if source.asked.includes(track, rid) {
                source.waiting = None;
            }
        }
    }

    /// Those to be asked now, each with whether that repeats the request before it. A source that has never answered is given up after a while; whoever still
    /// waits will want one again.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<(Asked, bool)> {
        let mut due = Vec::new();
        for source in &mut self.sources {
            if source.due(now).is_none_or(|at| at > now) {
                continue;
            }
            source.at = Some(now);
            let times = source.waiting.unwrap_or_default() + 1;
            source.waiting = (times < MOST_REPEATS).then_some(times);
            if source.waiting.is_none() {
                self.given_up.push(source.asked.clone());
            }
            due.push((source.asked.clone(), times > 1));
        }
        due
    }

    /// Those that were asked for the last time since the last call.
    pub(crate) fn take_given_up(&mut self) -> Vec<Asked> {
        mem::take(&mut self.given_up)
    }

    /// When [`take_due`](Self::take_due) is to be called next.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.sources.iter().filter_map(|it| it.due(now)).min()
    }

    /// Other tracks are forgotten.
    pub(crate) fn retain(&mut self, received: impl Fn(TrackId) -> bool) {
        self.sources.retain(|source| received(source.asked.track));
    }
}

/// No source is asked more often. Browsers' encoders make no more than one in this time either.
const LEAST_INTERVAL: Duration = Duration::from_millis(300);

/// Until a lost request is repeated: a long round trip, and the time to encode.
const QUICK_INTERVAL: Duration = Duration::from_millis(500);
const QUICK_REPEATS: u32 = 6;

/// A source that did not answer so far is paused, as a rule.
const SLOW_INTERVAL: Duration = Duration::from_secs(2);

/// About a minute.
const MOST_REPEATS: u32 = 32;

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;
    use crate::track::{MediaKind, MediaStreamTrack};

    fn camera() -> Asked {
        Asked {
            track: MediaStreamTrack::new(MediaKind::Video, []).id(),
            rid: None,
        }
    }

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn c110_a_source_is_asked_at_once_and_not_again_by_who_comes_meanwhile() {
        let start = Instant::now();
        let (camera, mut requests) = (camera(), KeyframeRequests::default());
        requests.want(camera.clone());
        assert_eq!(requests.take_due(start), [(camera.clone(), false)]);
        for milliseconds in 0..500 {
            requests.want(camera.clone());
            assert_eq!(requests.take_due(after(start, milliseconds)), []);
        }
    }

    #[test]
    fn c110_a_request_is_repeated_until_a_keyframe_comes() {
        let start = Instant::now();
        let (camera, mut requests) = (camera(), KeyframeRequests::default());
        requests.want(camera.clone());
        requests.take_due(start);
        assert_eq!(requests.next_due(start), Some(after(start, 500)));
        assert_eq!(
            requests.take_due(after(start, 500)),
            [(camera.clone(), true)]
        );
        assert!(requests.is_awaited(camera.track, None));
        requests.note_arrival(camera.track, None);
        assert!(!requests.is_awaited(camera.track, None));
        assert_eq!(requests.next_due(start), None);
        assert_eq!(requests.take_due(after(start, 60_000)), []);
    }

    #[test]
    fn c110_after_a_keyframe_the_next_request_waits_for_the_least_interval() {
        let start = Instant::now();
        let (camera, mut requests) = (camera(), KeyframeRequests::default());
        requests.want(camera.clone());
        requests.take_due(start);
        requests.note_arrival(camera.track, None);
        requests.want(camera.clone());
        assert_eq!(requests.take_due(after(start, 299)), []);
        assert_eq!(requests.take_due(after(start, 300)), [(camera, false)]);
    }

    #[test]
    fn a_source_that_never_answers_is_given_up() {
        let start = Instant::now();
        let (camera, mut requests) = (camera(), KeyframeRequests::default());
        requests.want(camera.clone());
        let (mut now, mut asked) = (start, 0);
        while let Some(at) = requests.next_due(now) {
            now = at;
            asked += requests.take_due(now).len();
        }
        assert_eq!(asked, 32);
        assert_eq!(requests.take_given_up(), from_ref(&camera));
        assert_eq!(requests.take_given_up(), []);
        assert!(now < after(start, 60_000));
        requests.want(camera.clone());
        assert_eq!(requests.take_due(after(now, 300)), [(camera, false)]);
    }

    #[test]
    fn an_encoding_answers_for_itself_and_for_all() {
        let (camera, mut requests) = (camera(), KeyframeRequests::default());
        requests.want(camera.clone());
        let low = Asked {
            rid: Some("low".into()),
            ..camera
        };
        let high: Rid = "high".into();
        requests.want(low.clone());
        requests.note_arrival(low.track, Some(&high));
        assert!(requests.is_awaited(low.track, low.rid.as_ref()));
        assert!(!requests.is_awaited(low.track, Some(&high)));
        requests.note_arrival(low.track, low.rid.as_ref());
        assert!(!requests.is_awaited(low.track, low.rid.as_ref()));
    }

    #[test]
    fn tracks_that_are_gone_are_forgotten() {
        let (camera, mut requests) = (camera(), KeyframeRequests::default());
        requests.want(camera);
        requests.retain(|_| false);
        assert_eq!(requests.next_due(Instant::now()), None);
    }
}
