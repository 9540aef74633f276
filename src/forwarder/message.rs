//! What a Forwarder is told, and what it tells.

use ractor::RpcReplyPort;

use super::error::{AddPeerError, SubscribeError};
use super::policy::Publication;
use super::reconcile::Report;
use super::snapshot::ForwarderSnapshot;
use super::wish::LayerWish;
use crate::codec::RtpCodec;
use crate::peer_connection::{PeerConnection, PeerId};
use crate::rtp::{LayerLimit, Mid, Rid, SimulcastLayer};
use crate::timer::Generation;
use crate::track::{MediaStreamTrack, TrackId};

/// Mailbox of a Forwarder.
#[derive(Debug)]
pub(crate) enum ForwarderMessage {
    // Commands and queries, from handles.
    /// Publish what the peer sends, and let it subscribe. Answered when it has what it gets.
    AddPeer {
        peer: PeerConnection,
        reply: RpcReplyPort<Result<(), AddPeerError>>,
    },
    /// Take its tracks from others, and others' tracks from it.
    RemovePeer(PeerId),
    /// The owner of a peer has passed on what it heard.
    Heard { peer: PeerId, news: PeerNews },
    /// Send this publication to this peer. Answered when it is attached.
    Subscribe {
        subscriber: PeerId,
        publication: TrackId,
        reply: RpcReplyPort<Result<MediaStreamTrack, SubscribeError>>,
    },
    /// Send this track to this peer, whatever feeds it later. Answered when it is attached.
    AddSlot {
        subscriber: PeerId,
        track: MediaStreamTrack,
        reply: RpcReplyPort<Result<(), SubscribeError>>,
    },
    /// Feed a subscription from another publication, or from none. Answered when it is fed.
    Switch {
        subscription: TrackId,
        publication: Option<TrackId>,
        reply: RpcReplyPort<Result<(), SubscribeError>>,
    },
    /// End a subscription.
    Unsubscribe(TrackId),
    /// Keep a publication back from everybody, or no more.
    SetPaused { publication: TrackId, paused: bool },
    /// Which encoding a subscription is to have.
    SetLayers {
        subscription: TrackId,
        wish: LayerWish,
    },
    /// Which encoding a peer is to have of a publication.
    SetLayersOf {
        subscriber: PeerId,
        publication: TrackId,
        wish: LayerWish,
    },
    /// All that there is.
    Snapshot {
        reply: RpcReplyPort<ForwarderSnapshot>,
    },
    /// The owner has no more use for the Forwarder.
    Stop,

    // Facts, from the actor's own parts.
    /// A subscriber has done what it was ordered to, or could not.
    Reported { peer: PeerId, report: Report },
    /// A peer has ended, whatever its owner says.
    PeerEnded(PeerId),
    /// A peer that did not answer has had some time.
    RetryDue {
        peer: PeerId,
        generation: Generation,
    },
    /// The encodings that a peer is sent are to be looked at again.
    LayersDue {
        peer: PeerId,
        generation: Generation,
    },
}

/// What is of interest to a Forwarder among the events of a peer connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerNews {
    /// The remote side sends this track.
    Track(MediaStreamTrack),
    /// The remote side does not send this track any more, perhaps for a while.
    TrackGone(TrackId),
    /// An exchange of descriptions is over.
    Negotiated,
    /// No codec is known to both sides of this m-line.
    NoCommonCodec(Mid),
    /// What feeds this local track is in a codec that the remote side has not agreed to.
    CodecMismatch { track: TrackId, codec: RtpCodec },
    /// What arrives of a remote track of pictures, the lowest encoding first.
    LayersChanged {
        track: TrackId,
        layers: Vec<SimulcastLayer>,
    },
    /// What the path to the remote side takes, in bits per second.
    AvailableBitrate(u64),
    /// The peer has ended.
    Closed,
}

/// What happened in a Forwarder, as it arrives in its owner's mailbox.
///
/// An actor becomes the owner of one by having `From<ForwarderEvent>` for its message type. Publications and
/// subscriptions are named by the [`TrackId`]s of their tracks, which no two Forwarders of a process share.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwarderEvent {
    /// A peer sends a track, which others may have from now on.
    Published(Publication),
    /// A publication is over: its peer does not send it any more, perhaps for a while, or has gone.
    Unpublished {
        /// Whose it was.
        publisher: PeerId,
        /// The remote track.
        publication: TrackId,
    },
    /// A peer is sent a publication: its sender has the track, and the media path feeds it. The remote side hears
    /// of it with the next description.
    Subscribed {
        /// Who gets it.
        subscriber: PeerId,
        /// What it gets, by the remote track of its publisher.
        publication: TrackId,
        /// The local track by which it gets it.
        subscription: MediaStreamTrack,
    },
    /// A subscription is over. Told for each that was told with [`Self::Subscribed`], and for each slot that was
    /// attached.
    Unsubscribed {
        /// Who had it.
        subscriber: PeerId,
        /// What fed it last, if anything did.
        publication: Option<TrackId>,
        /// The local track.
        subscription: TrackId,
    },
    /// The publication that fed a slot is over. The slot stays, and sends nothing until it is switched.
    SourceEnded {
        /// Whose slot it is.
        subscriber: PeerId,
        /// What fed it.
        publication: TrackId,
        /// The slot.
        subscription: TrackId,
    },
    /// A subscriber cannot decode what its publisher sends, and is sent nothing rather than what it cannot read. The
    /// subscription stays, since publishers change codecs. Told again when it is another codec that does not fit.
    CannotDecode {
        /// Who cannot.
        subscriber: PeerId,
        /// What it cannot decode.
        publication: TrackId,
        /// The local track by which it would get it.
        subscription: TrackId,
        /// What the publisher sends; `None` when the subscriber knows no codec of that kind of media that we do,
        /// so that nothing would fit.
        codec: Option<RtpCodec>,
    },
    /// A subscription has another encoding of its publication than before (simulcast), or its first one: what its wish
    /// ([`set_layers`](super::Forwarder::set_layers)), its publisher and its path allow. The picture changes at the next keyframe.
    LayerChanged {
        /// Who gets it.
        subscriber: PeerId,
        /// What it gets.
        publication: TrackId,
        /// The local track by which it gets it.
        subscription: TrackId,
        /// The encoding.
        rid: Rid,
    },
    /// A subscription has more or fewer of the layers inside its encoding (SVC) than before, for the same reasons. Fewer come with
    /// the next picture, more where the stream allows it.
    LayerLimitChanged {
        /// Who gets it.
        subscriber: PeerId,
        /// What it gets.
        publication: TrackId,
        /// The local track by which it gets it.
        subscription: TrackId,
        /// As many layers as there are within this; [`LayerLimit::NONE`]: all of them.
        limit: LayerLimit,
    },
    /// A peer was to get a publication, and does not: a limit was reached, or its peer connection or its remote side
    /// did not take the track. Where it was a limit, it gets it when room has become. What was asked for by hand and
    /// refused at once is answered, and not told.
    Refused {
        /// Who does not get it.
        subscriber: PeerId,
        /// What it does not get.
        publication: TrackId,
        /// Why.
        error: SubscribeError,
    },
    /// A peer sends more tracks than the limits allow to be published. This one is published when another one of it
    /// has ended.
    PublicationRefused {
        /// Whose track it is.
        publisher: PeerId,
        /// The remote track.
        track: TrackId,
        /// The limit.
        limit: usize,
    },
    /// The part of the Forwarder that attaches tracks to one peer has failed and was started again. Routes have gone on
    /// meanwhile.
    SubscriberRestarted {
        /// Whose part it was.
        subscriber: PeerId,
        /// What it said last.
        message: String,
    },
    /// That part has failed too often. The peer is removed from the Forwarder, whose tracks may be left on it: close it.
    SubscriberFailed {
        /// Whose part it was.
        subscriber: PeerId,
        /// What it said last.
        message: String,
    },
}
