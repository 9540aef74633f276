//! Who gets what arrives: other peers by route, the owner by event.

use std::collections::HashMap;

use super::choice::LayerChoice;
use super::delivery::Arrival;
use crate::egress::{StreamId, Subscription};
use crate::lane::LaneDepth;
use crate::rtp::{Asked, Rid, SimulcastLayer};
use crate::track::TrackId;

/// Whether the owner gets [`Event::Rtp`](crate::peer_connection::Event::Rtp) of a remote track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RtpDelivery {
    /// Always: beside the routes, to record or to look at what they carry.
    Always,
    /// While no route takes the track anywhere.
    #[default]
    UnlessRouted,
    /// Never.
    Never,
}

/// The streams that others take, and what the owner wants to have.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    /// At most one for each track, wish and sending actor.
    takers: Vec<Taker>,
    deliveries: HashMap<TrackId, RtpDelivery>,
}

/// One that takes a stream.
#[derive(Debug)]
struct Taker {
    subscription: Subscription,
    choice: LayerChoice,
}

impl Taker {
    /// The encodings of its track are these. Says what is to begin with a keyframe.
    fn choose(&mut self, layers: &[SimulcastLayer]) -> Option<Asked> {
        let rid = self.choice.choose(layers)?;
        Some(Asked {
            track: self.subscription.track,
            rid: Some(rid),
        })
    }
}

impl Publishing {
    /// Says what is to begin with a keyframe, where the encodings of the track are known.
    pub(super) fn subscribe(
        &mut self,
        subscription: Subscription,
        layers: &[SimulcastLayer],
    ) -> Option<Asked> {
        let mut taker = Taker {
            choice: LayerChoice::new(subscription.layer.clone()),
            subscription,
        };
        let asked = taker.choose(layers);
        self.takers.push(taker);
        asked
    }

    pub(super) fn unsubscribe(&mut self, stream: StreamId) {
        self.takers.retain(|it| it.subscription.stream != stream);
    }

    /// The encodings of a track have changed; the lowest is the first. Says which are to begin with a keyframe.
    pub(super) fn choose(&mut self, track: TrackId, layers: &[SimulcastLayer]) -> Vec<Asked> {
        let takers = self.takers.iter_mut();
        let takers = takers.filter(|it| it.subscription.track == track);
        takers.filter_map(|it| it.choose(layers)).collect()
    }

    /// What a stream consists of now, if it is taken.
    pub(super) fn source(&self, stream: StreamId) -> Option<Asked> {
        let takers = &self.takers;
        let known = takers.iter().find(|it| it.subscription.stream == stream)?;
        Some(Asked {
            track: known.subscription.track,
            rid: known.choice.playing().cloned(),
        })
    }

    /// A track has these encodings and no others.
    pub(super) fn keep_encodings(&mut self, track: TrackId, rids: &[Rid]) {
        for taker in &mut self.takers {
            if taker.subscription.track == track {
                taker.choice.keep(rids);
            }
        }
    }

    /// Tracks that are not received any more are forgotten, with all that concerns them.
    pub(super) fn retain(&mut self, received: impl Fn(TrackId) -> bool) {
        self.takers.retain(|it| received(it.subscription.track));
        self.deliveries.retain(|track, _| received(*track));
    }

    /// What waits on all routes, and the most that has on any.
    pub(super) fn depth(&self) -> LaneDepth {
        let lanes = self.takers.iter().map(|it| it.subscription.lane.depth());
        lanes.fold(LaneDepth::default(), |sum, lane| LaneDepth {
            packets: sum.packets + lane.packets,
            bytes: sum.bytes + lane.bytes,
            most_packets: sum.most_packets.max(lane.most_packets),
            packet_limit: lane.packet_limit,
        })
    }

    pub(super) fn set_delivery(&mut self, track: TrackId, delivery: RtpDelivery) {
        self.deliveries.insert(track, delivery);
    }

    /// Gives a batch to everyone who takes its encoding, and back if the owner is to have it.
    pub(super) fn hand_on(&mut self, arrival: Arrival) -> Option<Arrival> {
        let mut routed = false;
        for taker in &mut self.takers {
            if taker.subscription.track != arrival.track_id {
                continue;
            }
            routed = true;
            if let Some(batch) = taker.choice.take(arrival.rid.as_ref(), &arrival.batch) {
                taker.subscription.lane.push(batch);
            }
        }
        let delivery = self.deliveries.get(&arrival.track_id).copied();
        let wanted = match delivery.unwrap_or_default() {
            RtpDelivery::Always => true,
            RtpDelivery::UnlessRouted => !routed,
            RtpDelivery::Never => false,
        };
        wanted.then_some(arrival)
    }
}
