//! Which encodings of the remote tracks arrive, told when that changes.
//!
//! What has come is read from the counts of the streams now and then, so that a packet costs nothing.

use std::time::{Duration, Instant};

use crate::rtp::{LAYER_WINDOW, LayerWatch, RtpDemuxer, SimulcastLayer};
use crate::track::TrackId;

#[derive(Debug, Default)]
pub(super) struct Layers {
    /// Every track of pictures that is received.
    tracks: Vec<(TrackId, LayerWatch)>,
    /// When it was looked last; `None` while nothing comes.
    checked_at: Option<Instant>,
    is_armed: bool,
}

impl Layers {
    /// Takes over which tracks and encodings were negotiated. What is known of those that stay is kept.
    pub(super) fn apply(&mut self, demuxer: &RtpDemuxer) {
        let mut before = std::mem::take(&mut self.tracks);
        for (track, rids) in demuxer.pictures() {
            let known = before.iter().position(|(known, _)| *known == track);
            let known = known.map(|index| before.swap_remove(index).1);
            let known = known.filter(|watch| watch.is_of(rids));
            let watch = known.unwrap_or_else(|| LayerWatch::new(rids));
            self.tracks.push((track, watch));
        }
    }

    /// The tracks of which something has changed, each with its encodings, the lowest first. To be called whenever something came.
    pub(super) fn check(
        &mut self,
        now: Instant,
        demuxer: &RtpDemuxer,
    ) -> Vec<(TrackId, Vec<SimulcastLayer>)> {
        let Some(before) = self.checked_at.filter(|_| !self.tracks.is_empty()) else {
            self.checked_at = Some(now);
            return Vec::new();
        };
        let window = now.saturating_duration_since(before);
        if window < LAYER_WINDOW {
            return Vec::new();
        }
        let mut changed = Vec::new();
        for (track, watch) in &mut self.tracks {
            let received = |rid: Option<&_>| demuxer.received(*track, rid);
            if let Some(layers) = watch.check(now, window, received) {
                changed.push((*track, layers.to_vec()));
            }
        }
        self.checked_at = Some(now).filter(|_| self.is_active());
        changed
    }

    /// The encodings of a track, as told last.
    pub(super) fn told(&self, track: TrackId) -> &[SimulcastLayer] {
        let known = self.tracks.iter().find(|(known, _)| *known == track);
        known.map_or(&[], |(_, watch)| watch.told())
    }

    /// When to [check](Self::check) even though nothing comes, unless that was said before.
    pub(super) fn arm(&mut self, now: Instant) -> Option<Instant> {
        let is_due = self.is_active() && !self.is_armed;
        self.is_armed |= is_due;
        is_due.then(|| now + QUIET_CHECK)
    }

    /// The time has come.
    pub(super) fn disarm(&mut self) {
        self.is_armed = false;
    }

    fn is_active(&self) -> bool {
        self.tracks.iter().any(|(_, watch)| watch.is_active())
    }
}

/// Half of what makes silence of a whole track.
const QUIET_CHECK: Duration = Duration::from_secs(1);
