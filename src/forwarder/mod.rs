//! [`Forwarder`]: tracks of publishing peers go to subscribing peers, as a policy says or by hand.
//!
//! A *publication* is a remote track of a peer, a *subscription* is a local track of another peer that a publication
//! feeds. Both are named by the [`TrackId`] of their track. The Forwarder decides and arranges; packets go by route
//! ([`PeerConnection::set_route`]) from media path to media path and never pass it.
//!
//! Peers stay their owners': these make them, negotiate for them
//! ([`PerfectNegotiation`](crate::perfect_negotiation::PerfectNegotiation) hears that a negotiation is needed; what is changed together is one), close them,
//! and pass their events on with [`Forwarder::handle_event`]. Media of a publication that nobody has goes to its owner as
//! [`Event::Rtp`]; whoever has no use for it says so with
//! [`PeerConnection::set_rtp_delivery`].
//!
//! A subscription gets a transceiver of its subscriber that sends nothing and, as far as the remote side knows, has
//! not sent since the last negotiation; a new one where there is none. A track waits for the next negotiation rather than take a new
//! one while another is being given back. So a subscriber has no more transceivers than it ever had tracks at a time.
//!
//! Of a publication in several encodings (simulcast) each subscriber has the one that its wish ([`Forwarder::set_layers`]) and its
//! path allow: what [`Event::AvailableOutgoingBitrate`] says is there is divided over all that it is sent. Sound comes first; of every
//! picture the lowest encoding is sent whatever happens; then the cheapest step up of any picture, and so on. When less is there than is sent,
//! something goes down at once; it goes up when there has been room, and some to spare, for two seconds, and for up to half a
//! minute where that was in vain before. An encoding that its publisher pauses is left, and taken again when it comes back. Where nothing is known of
//! the path, because the remote side sends no transport-wide feedback, subscribers have the best that they wish.
//!
//! The layers inside an encoding (SVC) are steps between the encodings: by size, and then by how often there is a picture. Of a larger picture than
//! the smallest no more than one temporal layer is left out. What is above the chosen step is left out on the way to the subscriber, beside what
//! [`PeerConnection::set_layer_limit`] says of the same track: the lower of both limits holds, and neither overwrites the other.
//!
//! # Who fails, and what it costs
//!
//! Started by [`ForwarderBuilder::spawn_linked`]; its owner is its supervisor. It ends with its owner and by
//! [`Forwarder::stop`]. It has a child for each of its peers, which attaches tracks to that one and sets its routes, so
//! that a peer which does not answer, or upsets its part, delays and costs no other. What a peer should have is told
//! to its part as a whole and one order at a time; changes that come meanwhile are one order together. So nothing piles up
//! before a slow part, and in the Forwarder's own mailbox there is one report of each part beside what owners say.
//!
//! | child | how it may end | what is lost | what we do | what the owner hears |
//! | --- | --- | --- | --- | --- |
//! | part of a peer | panic, killed | what it was about to attach | start it again: it looks at what is there, and does the rest | `SubscriberRestarted` |
//! | the same | the sixth time within a minute | what the peer publishes and has | remove the peer | `SubscriberFailed`, `Unpublished`, `Unsubscribed` |
//! | the same | told to, when its peer has gone | nothing | nothing | nothing |
//!
//! A peer connection that ends is no child, and is watched: its publications and subscriptions end with it, even where
//! its owner is gone and passes nothing on. One that does not answer within three seconds is asked again two seconds later, and so on.
//!
//! When the Forwarder itself fails or is killed, routes go on: they live in the media path. Its handles keep what it knew;
//! give one of them to [`ForwarderBuilder::succeeding`], and a new Forwarder goes on from there. It asks each peer what it
//! receives and sends (`transceivers()`), finds its predecessor's tracks by their names, and adds, removes and tells
//! what has changed meanwhile. A new one without that knows nothing of the tracks of the former, and adds its own.
//!
//! ```no_run
//! use ractor::{Actor, ActorProcessingErr, ActorRef};
//! use ractor_webrtc::forwarder::{Forwarder, ForwarderEvent};
//! use ractor_webrtc::{PeerConnection, PeerEvent, SessionDescription};
//!
//! struct Stage;
//!
//! enum StageMessage {
//!     Join(SessionDescription),
//!     Peer(PeerEvent),
//!     Forwarder(ForwarderEvent),
//! }
//! # impl From<PeerEvent> for StageMessage {
//! #     fn from(event: PeerEvent) -> Self {
//! #         Self::Peer(event)
//! #     }
//! # }
//! # impl From<ForwarderEvent> for StageMessage {
//! #     fn from(event: ForwarderEvent) -> Self {
//! #         Self::Forwarder(event)
//! #     }
//! # }
//!
//! impl Actor for Stage {
//!     type Msg = StageMessage;
//!     type State = Forwarder;
//!     type Arguments = ();
//!
//!     async fn pre_start(
//!         &self,
//!         myself: ActorRef<StageMessage>,
//!         (): (),
//!     ) -> Result<Forwarder, ActorProcessingErr> {
//!         Ok(Forwarder::builder().spawn_linked(&myself).await?)
//!     }
//!
//!     async fn handle(
//!         &self,
//!         myself: ActorRef<StageMessage>,
//!         message: StageMessage,
//!         forwarder: &mut Forwarder,
//!     ) -> Result<(), ActorProcessingErr> {
//!         match message {
//!             StageMessage::Join(offer) => {
//!                 let pc = PeerConnection::builder().spawn_linked(&myself).await?;
//!                 pc.set_remote_description(offer).await?;
//!                 // What others publish is in the answer.
//!                 forwarder.add_peer(&pc).await?;
//!                 pc.set_local_description(None).await?;
//!             }
//!             StageMessage::Peer(event) => forwarder.handle_event(&event),
//!             StageMessage::Forwarder(event) => println!("{event:?}"),
//!         }
//!         Ok(())
//!     }
//! }
//! ```

mod actor;
mod allocation;
mod candidates;
mod error;
mod layers;
mod limits;
mod machine;
mod memory;
mod message;
mod policy;
mod publishing;
mod reconcile;
mod records;
mod reporting;
mod runtime;
mod snapshot;
mod subscriber;
mod subscribing;
mod wish;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{ActorCell, ActorRef, Message, RpcReplyPort};

use self::actor::{ForwarderActor, ForwarderArguments};
pub use self::error::{AddPeerError, SubscribeError};
pub use self::limits::ForwarderLimits;
use self::memory::Memory;
pub use self::message::ForwarderEvent;
pub(crate) use self::message::ForwarderMessage;
use self::message::PeerNews;
pub use self::policy::{AllOthers, ForwardingPolicy, OnRequest, Publication};
pub use self::snapshot::{ForwarderSnapshot, PublicationSnapshot, SubscriptionSnapshot};
pub use self::wish::LayerWish;
use crate::call::{CallError, StartError, ask};
use crate::outlet::Outlet;
use crate::peer_connection::{Event, PeerConnection, PeerEvent, PeerId, SignalingState};
use crate::start::spawn_linked;
use crate::stop::{END_DEADLINE, force_after};
use crate::track::{MediaStreamTrack, TrackId};

/// Handle to a running Forwarder. Cheap to clone; without effect once the Forwarder has ended.
///
/// See the [module](self) for what it does. It may be used from any task, also from a handler of the owner of the
/// Forwarder or of a peer: what it awaits waits for peer connections, never for the network, and never calls back.
#[derive(Clone, Debug)]
pub struct Forwarder {
    actor: ActorRef<ForwarderMessage>,
    memory: Arc<Memory>,
}

/// Settings of a new Forwarder.
#[must_use = "a builder does nothing until it is spawned"]
pub struct ForwarderBuilder {
    policy: Box<dyn ForwardingPolicy>,
    limits: ForwarderLimits,
    former: Option<Forwarder>,
}

impl ForwarderBuilder {
    /// Who gets what, unasked (default [`AllOthers`]).
    pub fn policy(self, policy: impl ForwardingPolicy) -> Self {
        Self {
            policy: Box::new(policy),
            ..self
        }
    }

    /// How much is taken on.
    pub fn limits(self, limits: impl Into<ForwarderLimits>) -> Self {
        let limits = limits.into();
        Self { limits, ..self }
    }

    /// Goes on where a Forwarder has ended that failed or was killed, with its peers, publications, subscriptions and
    /// pauses. Routes have gone on meanwhile, and no track is added, removed or numbered anew. The owner hears what
    /// has changed since, and not again what it knows. Peers that were added need not be added again, and
    /// it does no harm. The policy is asked of pairs that are new.
    ///
    /// A former one that still runs is killed. What it knew goes to its first successor.
    pub fn succeeding(self, former: &Forwarder) -> Self {
        Self {
            former: Some(former.clone()),
            ..self
        }
    }

    /// Starts the Forwarder with `owner` as owner and supervisor.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the actor did not start.
    pub async fn spawn_linked<M>(self, owner: &ActorRef<M>) -> Result<Forwarder, StartError>
    where
        M: Message + From<ForwarderEvent>,
    {
        let memory = match &self.former {
            Some(former) => former.hand_over().await,
            None => Arc::default(),
        };
        let arguments = ForwarderArguments {
            policy: self.policy,
            limits: self.limits,
            memory: Arc::clone(&memory),
            owner: Outlet::new(owner),
        };
        let supervisor = owner.get_cell();
        let actor = spawn_linked(ForwarderActor, arguments, supervisor).await?;
        // Not before: from one that has not started, or was not waited for, the next has to go on.
        if let Some(former) = &self.former {
            former.memory.forget();
        }
        Ok(Forwarder { actor, memory })
    }
}

impl fmt::Debug for ForwarderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwarderBuilder")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Forwarder {
    /// Settings of a new Forwarder; [`spawn_linked`](ForwarderBuilder::spawn_linked) starts it.
    pub fn builder() -> ForwarderBuilder {
        ForwarderBuilder {
            policy: Box::new(AllOthers),
            limits: ForwarderLimits::default(),
            former: None,
        }
    }

    /// Publishes the remote tracks of a peer, present and future, and lets it subscribe. Returns once the policy's
    /// subscriptions to what is published already are attached, so that a description made afterwards carries them. The peer stays its owner's. One that is
    /// added again is looked at again.
    ///
    /// Waits for the peer connection, five seconds at most.
    ///
    /// # Errors
    ///
    /// [`AddPeerError::TooManyPeers`] past the limit, [`AddPeerError::Gone`] when the peer has ended,
    /// [`AddPeerError::Call`] when the Forwarder has ended or the peer does not answer.
    pub async fn add_peer(&self, peer: &PeerConnection) -> Result<(), AddPeerError> {
        let peer = peer.clone();
        self.arrange(|reply| ForwarderMessage::AddPeer { peer, reply })
            .await
    }

    /// Takes the peer's tracks from others and others' tracks from the peer, which lives on. Does not wait.
    pub fn remove_peer(&self, peer: PeerId) {
        self.cast(ForwarderMessage::RemovePeer(peer));
    }

    /// Passes on what a peer connection has told. All events of all its peers are to be given; those that are of no
    /// interest, and those of other peers, are passed over. Does not wait.
    pub fn handle_event(&self, event: &PeerEvent) {
        if let Some(news) = PeerNews::of(&event.event) {
            let peer = event.peer;
            self.cast(ForwarderMessage::Heard { peer, news });
        }
    }

    /// Sends a publication to a peer, beside what the policy says; the answer is the local track by which. One that
    /// it has already is answered with the track by which it has it. Ends with the publication.
    ///
    /// Waits for the peer connection, five seconds at most. Where the track waits for an m-line that is being given
    /// back, it is attached, and told as [`ForwarderEvent::Subscribed`], after the next negotiation.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] says why the peer does not get it.
    pub async fn subscribe(
        &self,
        subscriber: PeerId,
        publication: TrackId,
    ) -> Result<MediaStreamTrack, SubscribeError> {
        self.arrange(|reply| ForwarderMessage::Subscribe {
            subscriber,
            publication,
            reply,
        })
        .await
    }

    /// Sends `track` to a peer: a *slot*, a subscription that nothing feeds yet, to be [switched](Self::switch) at will.
    /// It is there until [`unsubscribe`](Self::unsubscribe), whatever comes and goes. Waits as [`subscribe`](Self::subscribe) does.
    ///
    /// # Errors
    ///
    /// [`SubscribeError`] says why the peer does not get it.
    pub async fn add_slot(
        &self,
        subscriber: PeerId,
        track: MediaStreamTrack,
    ) -> Result<(), SubscribeError> {
        self.arrange(|reply| ForwarderMessage::AddSlot {
            subscriber,
            track,
            reply,
        })
        .await
    }

    /// Feeds a subscription from another publication of its kind, or from none. No negotiation is needed, and sequence
    /// numbers and timestamps go on. From then on the subscription is a slot, which outlives what feeds it.
    /// Waits as [`subscribe`](Self::subscribe) does.
    ///
    /// # Errors
    ///
    /// [`SubscribeError::UnknownSubscription`], [`SubscribeError::UnknownPublication`],
    /// [`SubscribeError::KindMismatch`], [`SubscribeError::Call`].
    pub async fn switch(
        &self,
        subscription: TrackId,
        publication: impl Into<Option<TrackId>>,
    ) -> Result<(), SubscribeError> {
        let publication = publication.into();
        self.arrange(|reply| ForwarderMessage::Switch {
            subscription,
            publication,
            reply,
        })
        .await
    }

    /// Ends a subscription, of the policy or by hand. The policy is not asked again. Does not wait.
    pub fn unsubscribe(&self, subscription: TrackId) {
        self.cast(ForwarderMessage::Unsubscribe(subscription));
    }

    /// Keeps a publication back from everybody until it is resumed: a mute by the server. No negotiation is needed. Does not wait.
    pub fn set_paused(&self, publication: TrackId, paused: bool) {
        self.cast(ForwarderMessage::SetPaused {
            publication,
            paused,
        });
    }

    /// Which encoding a subscription is to have of a publication in several (simulcast), and which of the layers inside it (SVC);
    /// [`LayerWish::Automatic`] until told otherwise. It stays when the subscription is [switched](Self::switch). Does not wait.
    pub fn set_layers(&self, subscription: TrackId, wish: LayerWish) {
        self.cast(ForwarderMessage::SetLayers { subscription, wish });
    }

    /// The same for the subscription by which a peer has a publication, if it has it.
    pub(crate) fn set_layers_of(&self, subscriber: PeerId, publication: TrackId, wish: LayerWish) {
        self.cast(ForwarderMessage::SetLayersOf {
            subscriber,
            publication,
            wish,
        });
    }

    /// What there is now: publications, subscriptions, counts. Waits for the Forwarder's turn, three seconds at most.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the Forwarder has ended.
    pub async fn snapshot(&self) -> Result<ForwarderSnapshot, CallError> {
        ask(&self.actor, |reply| ForwarderMessage::Snapshot { reply }).await
    }

    /// Ends the Forwarder; peers, their tracks and routes stay as they are. Does not wait. One that is stuck is killed after a second.
    pub fn stop(&self) {
        self.cast(ForwarderMessage::Stop);
        force_after(self.actor.get_cell(), END_DEADLINE);
    }

    /// A copy of what it knew, once it writes nothing more to it.
    async fn hand_over(&self) -> Arc<Memory> {
        self.actor.kill();
        // It writes between two awaits, so that one which is killed has ended when it comes to the next.
        let _late = self.actor.wait(Some(HAND_OVER_TIMEOUT)).await;
        Arc::new(self.memory.copy())
    }

    /// Asks for what takes as long as a peer connection takes to do several things.
    async fn arrange<T, E>(
        &self,
        query: impl FnOnce(RpcReplyPort<Result<T, E>>) -> ForwarderMessage,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<CallError> + Send + 'static,
    {
        match self.actor.call(query, Some(ARRANGE_TIMEOUT)).await {
            Ok(CallResult::Success(answer)) => answer,
            Ok(CallResult::Timeout) => Err(CallError::Timeout.into()),
            Ok(CallResult::SenderError) | Err(_) => Err(CallError::Stopped.into()),
        }
    }

    /// One that has ended wants nothing any more.
    fn cast(&self, message: ForwarderMessage) {
        let _ended = self.actor.cast(message);
    }
}

impl From<Forwarder> for ActorCell {
    fn from(forwarder: Forwarder) -> Self {
        forwarder.actor.get_cell()
    }
}

impl PeerNews {
    /// What the event is to a Forwarder, if it is anything.
    fn of(event: &Event) -> Option<Self> {
        if let Event::Track(track) = event {
            Some(Self::Track(track.clone()))
        } else if let Event::TrackMuted(track) | Event::TrackEnded(track) = event {
            Some(Self::TrackGone(*track))
        } else if let Event::SignalingStateChange(SignalingState::Stable) = event {
            Some(Self::Negotiated)
        } else if let Event::NoCommonCodec { mid, .. } = event {
            Some(Self::NoCommonCodec(mid.clone()))
        } else if let Event::RouteCodecMismatch { track_id, codec } = event {
            let (track, codec) = (*track_id, codec.clone());
            Some(Self::CodecMismatch { track, codec })
        } else if let Event::LayersChanged { track_id, layers } = event {
            let (track, layers) = (*track_id, layers.clone());
            Some(Self::LayersChanged { track, layers })
        } else if let Event::AvailableOutgoingBitrate { bits_per_second } = event {
            Some(Self::AvailableBitrate(*bits_per_second))
        } else if let Event::Closed { .. } = event {
            Some(Self::Closed)
        } else {
            None
        }
    }
}

/// A Forwarder never waits for longer than it takes to start an actor.
const HAND_OVER_TIMEOUT: Duration = Duration::from_secs(1);

/// A peer connection that is stuck is found out after a second; one that is busy may have dozens of tracks to attach.
const ARRANGE_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
