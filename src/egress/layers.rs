//! Limits of layers, one for each track.

use super::machine::SendingHalf;
use super::sent_track::SentTrack;
use crate::rtp::LayerLimit;
use crate::track::TrackId;

impl SendingHalf {
    /// No more of a track is sent from its next picture on, whatever feeds it.
    pub(super) fn set_layer_limit(&mut self, track: TrackId, limit: LayerLimit) {
        if limit == LayerLimit::NONE {
            self.layer_limits.remove(&track);
        } else {
            self.layer_limits.insert(track, limit);
        }
        self.limit_layers();
    }

    /// Forgets the limits of all tracks but these.
    pub(super) fn keep_layer_limits(&mut self, tracks: &[SentTrack]) {
        self.layer_limits
            .retain(|track, _| tracks.iter().any(|sent| sent.track == *track));
    }

    /// Each sender learns the limit of its track.
    pub(super) fn limit_layers(&mut self) {
        for sender in &mut self.senders {
            let limit = sender.track.and_then(|it| self.layer_limits.get(&it));
            sender.layers.set_limit(limit.copied().unwrap_or_default());
        }
    }
}
