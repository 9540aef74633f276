//! What a Forwarder has at one moment.

use super::policy::Publication;
use super::wish::LayerWish;
use crate::peer_connection::PeerId;
use crate::rtp::{LayerLimit, Rid, SimulcastLayer};
use crate::track::{MediaStreamTrack, TrackId};

/// All that a Forwarder forwards, as it was when asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForwarderSnapshot {
    /// The peers, in the order in which they came to be.
    pub peers: Vec<PeerId>,
    /// What is published, oldest first.
    pub publications: Vec<PublicationSnapshot>,
    /// Who is sent what, slots included, oldest first.
    pub subscriptions: Vec<SubscriptionSnapshot>,
    /// Publications that a limit has kept out.
    pub refused_publications: usize,
    /// Subscriptions that a limit, or the subscriber's peer connection, has kept out.
    pub refused_subscriptions: usize,
}

/// A publication, as it was when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicationSnapshot {
    /// What is published.
    pub publication: Publication,
    /// It is kept back from everybody.
    pub paused: bool,
    /// How many get it, or would if it were not paused.
    pub subscriptions: usize,
    /// What arrives of it, the lowest encoding first; empty for sound, and before anything has arrived.
    pub layers: Vec<SimulcastLayer>,
}

/// A subscription, as it was when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionSnapshot {
    /// Who is sent the track.
    pub subscriber: PeerId,
    /// The track it is sent.
    pub track: MediaStreamTrack,
    /// The publication that feeds it; `None` for a slot that is empty.
    pub publication: Option<TrackId>,
    /// It outlives its publication.
    pub is_slot: bool,
    /// A sender of the subscriber has it. One that waits for its m-line, or for its peer, is not attached yet.
    pub is_attached: bool,
    /// Which encoding and which layers it is to have, where there are several.
    pub wish: LayerWish,
    /// Which encoding it has; `None` where there is one, or while nothing is known of them.
    pub rid: Option<Rid>,
    /// How many of the layers inside that encoding it has.
    pub limit: LayerLimit,
}
