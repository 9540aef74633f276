//! What a Forwarder knows, as plain values: enough for another one to go on from.

use std::collections::{BTreeMap, BTreeSet};

use super::policy::Publication;
use super::wish::LayerWish;
use crate::codec::RtpCodec;
use crate::peer_connection::PeerId;
use crate::rtp::{LayerLimit, Rid, SimulcastLayer};
use crate::track::{MediaStreamTrack, TrackId};

/// The three tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) peers: BTreeMap<PeerId, PeerRecord>,
    /// By remote track.
    pub(super) publications: BTreeMap<TrackId, PublicationRecord>,
    /// By local track.
    pub(super) subscriptions: BTreeMap<TrackId, SubscriptionRecord>,
}

/// A peer that was added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PeerRecord {
    /// It was removed, and is kept until our tracks are off it.
    pub(super) is_leaving: bool,
    /// Tracks of subscriptions that are over and may be attached still.
    pub(super) releasing: BTreeSet<TrackId>,
    /// Publications that the policy gives it and a limit has kept out.
    pub(super) refused: BTreeSet<TrackId>,
    /// What the path to it takes, in bits per second, once that is known.
    pub(super) available_bitrate: Option<u64>,
}

/// A remote track that others may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicationRecord {
    pub(super) publication: Publication,
    pub(super) is_paused: bool,
    /// What arrives of it, the lowest encoding first; nothing before something has arrived.
    pub(super) layers: Vec<SimulcastLayer>,
}

/// A local track of a peer that we feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SubscriptionRecord {
    pub(super) subscriber: PeerId,
    pub(super) track: MediaStreamTrack,
    /// The publication that feeds it.
    pub(super) source: Option<TrackId>,
    pub(super) origin: Origin,
    /// It has been seen on a sender, and its end is to be told.
    pub(super) is_attached: bool,
    /// What the subscriber was last said to be unable to decode, of this source.
    pub(super) undecodable: Option<Undecodable>,
    /// Which encoding it is to have.
    pub(super) wish: LayerWish,
    /// The most that there was room for; it may be of an encoding that pauses.
    pub(super) granted: Option<Grant>,
    /// The encoding that it has.
    pub(super) choice: Choice,
    /// How many layers of it.
    pub(super) limit: LayerLimit,
}

/// An encoding, and as many layers of it as there are within a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    /// `None` for the only encoding of a publication.
    pub(super) rid: Option<Rid>,
    pub(super) limit: LayerLimit,
}

/// Which encoding feeds a subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Choice {
    /// The best that arrives: of a publication in one encoding, or while nothing is known of its encodings.
    #[default]
    Any,
    Layer(Rid),
}

/// Whose wish a subscription is, and how long it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The policy's, as long as its publication.
    Policy,
    /// Somebody's by hand, as long as its publication.
    Hand,
    /// Somebody's by hand, until it is ended by hand.
    Slot,
}

/// What a subscriber cannot decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undecodable {
    /// This codec, which it is sent.
    Codec(RtpCodec),
    /// All that we know of its kind of media.
    Everything,
}

/// Names one row of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Row {
    Peer(PeerId),
    Publication(TrackId),
    Subscription(TrackId),
}

impl Records {
    /// Makes one row what it is in `from`, or takes it away when it is not there.
    pub(super) fn copy_row(&mut self, row: Row, from: &Self) {
        match row {
            Row::Peer(id) => copy(&mut self.peers, id, &from.peers),
            Row::Publication(id) => copy(&mut self.publications, id, &from.publications),
            Row::Subscription(id) => copy(&mut self.subscriptions, id, &from.subscriptions),
        }
    }
}

impl SubscriptionRecord {
    /// It ends with what feeds it.
    pub(super) fn follows(&self) -> bool {
        match self.origin {
            Origin::Policy | Origin::Hand => true,
            Origin::Slot => false,
        }
    }

    /// What is known of its source is of no use for another one.
    pub(super) fn forget_source(&mut self) {
        self.undecodable = None;
        self.granted = None;
        self.choice = Choice::Any;
        self.limit = LayerLimit::NONE;
    }
}

impl Grant {
    pub(super) fn choice(&self) -> Choice {
        self.rid.clone().map_or(Choice::Any, Choice::Layer)
    }
}

fn copy<K: Ord + Copy, V: Clone>(to: &mut BTreeMap<K, V>, key: K, from: &BTreeMap<K, V>) {
    match from.get(&key) {
        Some(value) => {
            to.insert(key, value.clone());
        }
        None => {
            to.remove(&key);
        }
    }
}
