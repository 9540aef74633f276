//! Who gets what arrives: other peers by route, the owner by event.

use std::collections::HashMap;

use super::delivery::Arrival;
use crate::egress::{StreamId, Subscription};
use crate::rtp::Rid;
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
    /// At most one for each track, encoding and sending actor.
    subscriptions: Vec<Subscription>,
    deliveries: HashMap<TrackId, RtpDelivery>,
}

impl Publishing {
    pub(super) fn subscribe(&mut self, subscription: Subscription) {
        self.subscriptions.push(subscription);
    }

    pub(super) fn unsubscribe(&mut self, stream: StreamId) {
        self.subscriptions.retain(|known| known.stream != stream);
    }

    /// What a stream consists of, if it is taken.
    pub(super) fn source(&self, stream: StreamId) -> Option<(TrackId, Option<Rid>)> {
        let known = self.subscriptions.iter().find(|it| it.stream == stream)?;
        Some((known.track, known.rid.clone()))
    }

    /// Tracks that are not received any more are forgotten, with all that concerns them.
    pub(super) fn retain(&mut self, received: impl Fn(TrackId) -> bool) {
        self.subscriptions.retain(|known| received(known.track));
        self.deliveries.retain(|track, _| received(*track));
    }

    pub(super) fn set_delivery(&mut self, track: TrackId, delivery: RtpDelivery) {
        self.deliveries.insert(track, delivery);
    }

    /// Gives a batch to everyone who subscribed to its encoding, and back if the owner is to have it.
    pub(super) fn hand_on(&self, arrival: Arrival) -> Option<Arrival> {
        let mut routed = false;
        for subscription in &self.subscriptions {
            if subscription.track != arrival.track_id {
                continue;
            }
            routed = true;
            if subscription.rid == arrival.rid {
                subscription.lane.push(arrival.batch.clone());
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
