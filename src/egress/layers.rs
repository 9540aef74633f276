//! Limits of layers, one for each track.

use super::machine::SendingHalf;
use super::message::LimitSetter;
use super::sent_track::SentTrack;
use crate::rtp::LayerLimit;
use crate::track::TrackId;

/// The limits of one track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LayerLimits {
    by_hand: LayerLimit,
    chosen: LayerLimit,
}

impl LayerLimits {
    /// What both allow.
    fn lower(&self) -> LayerLimit {
        self.by_hand.but_at_most(self.chosen)
    }
}

impl SendingHalf {
    /// No more of a track is sent from its next picture on, whatever feeds it. Who has set the limit may change it; that of others holds as
    /// well.
    pub(super) fn set_layer_limit(
        &mut self,
        track: TrackId,
        limit: LayerLimit,
        set_by: LimitSetter,
    ) {
        let limits = self.layer_limits.entry(track).or_default();
        match set_by {
            LimitSetter::Application => limits.by_hand = limit,
            LimitSetter::Forwarder => limits.chosen = limit,
        }
        if *limits == LayerLimits::default() {
            self.layer_limits.remove(&track);
        }
        self.limit_layers();
    }

    /// Forgets the limits of all tracks but these.
    pub(super) fn keep_layer_limits(&mut self, tracks: &[SentTrack]) {
        let is_kept = |track: &TrackId| tracks.iter().any(|it| it.track == *track);
        self.layer_limits.retain(|track, _| is_kept(track));
    }

    /// Each sender learns the limit of its track.
    pub(super) fn limit_layers(&mut self) {
        for sender in &mut self.senders {
            let limit = sender.track.and_then(|it| self.layer_limits.get(&it));
            let limit = limit.map_or(LayerLimit::NONE, LayerLimits::lower);
            sender.layers.set_limit(limit);
        }
    }
}
