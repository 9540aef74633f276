//! Which encoding of a track a route gets, and from which packet on.

use std::mem;

use crate::egress::RouteLayer;
use crate::rtp::{Rid, RtpBatch, SimulcastLayer};

#[derive(Debug)]
pub(super) struct LayerChoice {
    layer: RouteLayer,
    /// The encoding that it gets; `None` until one comes, and of a track that has no encodings.
    playing: Option<Rid>,
    /// The encoding that it gets from its next keyframe on.
    next: Option<Rid>,
}

impl LayerChoice {
    pub(super) fn new(layer: RouteLayer) -> Self {
        let playing = match &layer {
            RouteLayer::Only(rid) => Some(rid.clone()),
            RouteLayer::Best { .. } => None,
        };
        Self {
            layer,
            playing,
            next: None,
        }
    }

    /// The encoding that it gets now.
    pub(super) fn playing(&self) -> Option<&Rid> {
        self.playing.as_ref()
    }

    /// Chooses among these encodings, the lowest first. Says which is to begin with a keyframe.
    pub(super) fn choose(&mut self, layers: &[SimulcastLayer]) -> Option<Rid> {
        let RouteLayer::Best { up_to } = &self.layer else {
            return None;
        };
        let best = best(layers, up_to.as_ref())?.rid.as_ref();
        let before = self.next.take();
        self.next = best.filter(|best| self.playing() != Some(*best)).cloned();
        self.next
            .clone()
            .filter(|next| before.as_ref() != Some(next))
    }

    /// The track has these encodings and no others.
    pub(super) fn keep(&mut self, rids: &[Rid]) {
        match self.layer {
            RouteLayer::Only(_) => {}
            RouteLayer::Best { .. } => {
                let is_left = |rid: &Rid| rids.contains(rid);
                self.playing = self.playing.take().filter(is_left);
                self.next = self.next.take().filter(is_left);
            }
        }
    }

    /// What of these packets it gets.
    pub(super) fn take(&mut self, rid: Option<&Rid>, batch: &RtpBatch) -> Option<RtpBatch> {
        if self.playing() == rid {
            return Some(batch.clone());
        }
        let is_next = self.next.is_some() && self.next.as_ref() == rid;
        if is_next && let Some(begin) = batch.keyframe() {
            self.playing = mem::take(&mut self.next);
            return Some(batch.starting_at(begin));
        }
        // The first that comes is better than nothing; whoever sends it waits for its keyframe.
        let is_first = self.playing.is_none();
        is_first.then(|| {
            self.playing = rid.cloned();
            batch.clone()
        })
    }
}

/// The highest of those that arrive and are wanted, or else the lowest that arrives: rather another picture than none.
fn best<'a>(layers: &'a [SimulcastLayer], up_to: Option<&Rid>) -> Option<&'a SimulcastLayer> {
    let highest = layers
        .iter()
        .position(|it| up_to.is_some() && it.rid.as_ref() == up_to);
    let highest = highest.map_or(layers.len(), |index| index + 1);
    let (wanted, above) = layers.split_at(highest);
    let wanted = wanted.iter().rfind(|it| it.active);
    wanted.or_else(|| above.iter().find(|it| it.active))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;
    use crate::codec::RtpCodec;
    use crate::rtp::{
        ExtensionMap, PayloadType, RtpPacket, RtpSource, RtpTimestamp, SequenceNumber, Ssrc,
    };

    const KEYFRAME: [u8; 2] = [0x10, 0];
    const DELTA: [u8; 2] = [0x10, 1];

    fn batch(payloads: &[[u8; 2]]) -> RtpBatch {
        let packets = payloads.iter().enumerate().map(|(number, payload)| {
            RtpPacket::new(
                PayloadType::new(96).unwrap(),
                SequenceNumber(number as u16),
                RtpTimestamp(0),
                Ssrc(1),
                false,
                payload.to_vec(),
            )
        });
        let source = RtpSource {
            codec: Arc::new(RtpCodec::vp8()),
            extensions: ExtensionMap::default(),
        };
        RtpBatch::received(packets.collect(), Arc::new(source), Instant::now())
    }

    fn layers(layers: &[(&str, bool)]) -> Vec<SimulcastLayer> {
        let layer = |(rid, active): &(&str, bool)| SimulcastLayer {
            rid: Some((*rid).into()),
            active: *active,
            bits_per_second: 0,
            limited: Vec::new(),
        };
        layers.iter().map(layer).collect()
    }

    fn best_choice(up_to: Option<&str>) -> LayerChoice {
        LayerChoice::new(RouteLayer::Best {
            up_to: up_to.map(Into::into),
        })
    }

    /// How many of a batch of a keyframe go through.
    fn takes(choice: &mut LayerChoice, rid: &str, payloads: &[[u8; 2]]) -> usize {
        let taken = choice.take(Some(&rid.into()), &batch(payloads));
        taken.map_or(0, |taken| taken.len())
    }

    #[test]
    fn a_named_encoding_is_the_only_one() {
        let mut choice = LayerChoice::new(RouteLayer::Only("m".into()));
        let paused = layers(&[("l", true), ("m", false)]);
        assert_eq!(choice.choose(&paused), None);
        choice.keep(&["l".into()]);
        assert_eq!(takes(&mut choice, "l", &[KEYFRAME]), 0);
        assert_eq!(takes(&mut choice, "m", &[DELTA]), 1);
    }

    #[test]
    fn the_first_that_comes_plays_until_a_better_one_begins_a_keyframe() {
        let mut choice = best_choice(None);
        assert_eq!(takes(&mut choice, "l", &[DELTA]), 1);
        let both = layers(&[("l", true), ("h", true)]);
        assert_eq!(choice.choose(&both), Some("h".into()));
        // It was asked for, and need not be again.
        assert_eq!(choice.choose(&both), None);
        assert_eq!(takes(&mut choice, "h", &[DELTA]), 0);
        assert_eq!(takes(&mut choice, "l", &[DELTA]), 1);
        // What of the picture before came with it would be no picture.
        assert_eq!(takes(&mut choice, "h", &[DELTA, KEYFRAME, DELTA]), 2);
        assert_eq!(takes(&mut choice, "l", &[KEYFRAME]), 0);
    }

    #[test]
    fn one_that_pauses_is_left_for_the_next_and_taken_again_when_it_comes_back() {
        let mut choice = best_choice(None);
        assert_eq!(takes(&mut choice, "h", &[KEYFRAME]), 1);
        let all = layers(&[("l", true), ("m", true), ("h", true)]);
        let paused = layers(&[("l", true), ("m", true), ("h", false)]);
        assert_eq!(choice.choose(&all), None);
        assert_eq!(choice.choose(&paused), Some("m".into()));
        assert_eq!(takes(&mut choice, "m", &[KEYFRAME]), 1);
        assert_eq!(choice.choose(&all), Some("h".into()));
        // Paused again before its keyframe came.
        assert_eq!(choice.choose(&paused), None);
        assert_eq!(takes(&mut choice, "h", &[KEYFRAME]), 0);
        assert_eq!(takes(&mut choice, "m", &[DELTA]), 1);
    }

    #[test]
    fn nothing_better_than_what_is_wanted_while_something_else_comes() {
        let mut choice = best_choice(Some("m"));
        assert_eq!(takes(&mut choice, "h", &[KEYFRAME]), 1);
        let all = layers(&[("l", true), ("m", true), ("h", true)]);
        assert_eq!(choice.choose(&all), Some("m".into()));
        let high = layers(&[("l", false), ("m", false), ("h", true)]);
        assert_eq!(choice.choose(&high), None);
        assert_eq!(takes(&mut choice, "h", &[DELTA]), 1);
        let none = layers(&[("l", false), ("m", false), ("h", false)]);
        assert_eq!(choice.choose(&none), None);
        assert_eq!(choice.playing(), Some(&"h".into()));
    }

    #[test]
    fn a_track_without_encodings_goes_through() {
        let mut choice = best_choice(None);
        assert!(choice.take(None, &batch(&[DELTA])).is_some());
        let only = [SimulcastLayer {
            rid: None,
            active: true,
            bits_per_second: 0,
            limited: Vec::new(),
        }];
        assert_eq!(choice.choose(&only), None);
        assert!(choice.take(None, &batch(&[DELTA])).is_some());
    }

    #[test]
    fn a_track_may_lose_its_encodings_and_get_some() {
        let mut choice = best_choice(None);
        assert_eq!(takes(&mut choice, "h", &[KEYFRAME]), 1);
        choice.keep(&[]);
        assert!(choice.take(None, &batch(&[KEYFRAME])).is_some());
        choice.keep(&["l".into()]);
        assert_eq!(takes(&mut choice, "l", &[KEYFRAME]), 1);
    }
}
