//! What feeds the tracks of one peer by route: the stream that is sent, and the one that is to take its place.

use std::collections::HashMap;
use std::mem;

use super::message::StreamId;
use super::sent_track::SentTrack;

/// At most two streams for each track.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    tracks: HashMap<SentTrack, Feed>,
}

#[derive(Clone, Copy, Debug)]
struct Feed {
    playing: StreamId,
    /// Waits for a keyframe.
    next: Option<StreamId>,
}

impl Feed {
    fn streams(self) -> impl Iterator<Item = StreamId> {
        [Some(self.playing), self.next].into_iter().flatten()
    }
}

impl Feeds {
    /// Whether a track is fed at all.
    pub(super) fn contains(&self, track: SentTrack) -> bool {
        self.tracks.contains_key(&track)
    }

    pub(super) fn tracks(&self) -> Vec<SentTrack> {
        self.tracks.keys().copied().collect()
    }

    /// The stream that is sent.
    pub(super) fn playing(&self, track: SentTrack) -> Option<StreamId> {
        self.tracks.get(&track).map(|feed| feed.playing)
    }

    /// Both streams of a track.
    pub(super) fn streams(&self, track: SentTrack) -> impl Iterator<Item = StreamId> {
        self.tracks
            .get(&track)
            .copied()
            .into_iter()
            .flat_map(Feed::streams)
    }

    /// The stream that is sent in the end.
    pub(super) fn goal(&self, track: SentTrack) -> Option<StreamId> {
        let feed = self.tracks.get(&track)?;
        feed.next.or(Some(feed.playing))
    }

    /// This stream is sent now.
    pub(super) fn set(&mut self, track: SentTrack, playing: StreamId) {
        let next = None;
        self.tracks.insert(track, Feed { playing, next });
    }

    /// No stream is sent any more. Says which there were.
    pub(super) fn clear(&mut self, track: SentTrack) -> Vec<StreamId> {
        let feed = self.tracks.remove(&track);
        feed.into_iter().flat_map(Feed::streams).collect()
    }

    /// This stream is to take the place of the one that is sent. The one that is sent may be kept in this way, too.
    pub(super) fn prepare(&mut self, track: SentTrack, stream: StreamId) {
        if let Some(feed) = self.tracks.get_mut(&track) {
            feed.next = (feed.playing != stream).then_some(stream);
        }
    }

    /// The next stream takes its place, if there is one. Says which it was that was sent before.
    pub(super) fn promote(&mut self, track: SentTrack) -> Option<StreamId> {
        let feed = self.tracks.get_mut(&track)?;
        let next = feed.next.take()?;
        Some(mem::replace(&mut feed.playing, next))
    }

    /// A stream is over. Says whether it was the one that is sent; the next one, if any, takes its place then.
    pub(super) fn end(&mut self, track: SentTrack, stream: StreamId) -> bool {
        let Some(feed) = self.tracks.get_mut(&track) else {
            return false;
        };
        if feed.playing != stream {
            feed.next = feed.next.filter(|next| *next != stream);
            return false;
        }
        if self.promote(track).is_none() {
            self.tracks.remove(&track);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::{MediaKind, MediaStreamTrack};

    fn track() -> SentTrack {
        MediaStreamTrack::new(MediaKind::Video, []).id().into()
    }

    #[test]
    fn a_prepared_stream_takes_its_place_when_it_is_promoted() {
        let (track, mut feeds) = (track(), Feeds::default());
        let [one, other] = [StreamId::next(), StreamId::next()];
        feeds.set(track, one);
        feeds.prepare(track, other);
        assert_eq!(feeds.playing(track), Some(one));
        assert_eq!(feeds.goal(track), Some(other));
        assert_eq!(feeds.streams(track).collect::<Vec<_>>(), [one, other]);
        assert_eq!(feeds.promote(track), Some(one));
        assert_eq!(feeds.streams(track).collect::<Vec<_>>(), [other]);
        assert_eq!(feeds.promote(track), None);
    }

    #[test]
    fn who_goes_back_to_what_is_sent_prepares_nothing() {
        let (track, mut feeds) = (track(), Feeds::default());
        let [one, other] = [StreamId::next(), StreamId::next()];
        feeds.set(track, one);
        feeds.prepare(track, other);
        feeds.prepare(track, one);
        assert_eq!(feeds.streams(track).collect::<Vec<_>>(), [one]);
    }

    #[test]
    fn a_stream_that_is_over_leaves_its_place_to_the_next() {
        let (track, mut feeds) = (track(), Feeds::default());
        let [one, other] = [StreamId::next(), StreamId::next()];
        feeds.set(track, one);
        feeds.prepare(track, other);
        assert!(feeds.end(track, one));
        assert_eq!(feeds.playing(track), Some(other));
        assert!(feeds.end(track, other));
        assert!(!feeds.contains(track));

        feeds.set(track, one);
        feeds.prepare(track, other);
        assert!(!feeds.end(track, other));
        assert_eq!(feeds.goal(track), Some(one));
    }
}
