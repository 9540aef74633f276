//! [`Forwarder`]: tracks of publishing peers go to subscribing peers, as a policy says or by hand.
//!
//! A *publication* is a remote track of a peer, a *subscription* is a local track of another peer that a publication
//! feeds. Both are named by the [`TrackId`] of their track. The Forwarder decides and arranges; packets go by route
//! ([`PeerConnection::set_route`]) from media path to media path and never pass it.
//!
//! Peers stay their owners': these make them, negotiate for them
//! ([`PerfectNegotiation`](crate::perfect_negotiation::PerfectNegotiation) hears that a negotiation is needed; what is changed together is one), close them,
//! and pass their events on with [`Forwarder::handle_event`].
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

#[allow(dead_code)] // The same.
mod actor;
mod error;
mod limits;
#[allow(dead_code)] // The hub is yet to read what handles ask.
mod message;
mod policy;
mod snapshot;

use std::fmt;
use std::time::Duration;

use ractor::rpc::CallResult;
use ractor::{Actor, ActorRef, Message, RpcReplyPort};

use self::actor::{ForwarderActor, ForwarderArguments};
pub use self::error::{AddPeerError, SubscribeError};
pub use self::limits::ForwarderLimits;
pub use self::message::ForwarderEvent;
use self::message::{ForwarderMessage, PeerNews};
pub use self::policy::{AllOthers, ForwardingPolicy, OnRequest, Publication};
pub use self::snapshot::{ForwarderSnapshot, PublicationSnapshot, SubscriptionSnapshot};
use crate::call::{CallError, StartError, ask};
use crate::outlet::Outlet;
use crate::peer_connection::{Event, PeerConnection, PeerEvent, PeerId, SignalingState};
use crate::track::{MediaStreamTrack, TrackId};

/// Handle to a running Forwarder. Cheap to clone; without effect once the Forwarder has ended.
///
/// See the [module](self) for what it does. It may be used from any task, also from a handler of the owner of the
/// Forwarder or of a peer: what it awaits waits for peer connections, never for the network, and never calls back.
#[derive(Clone, Debug)]
pub struct Forwarder {
    actor: ActorRef<ForwarderMessage>,
}

/// Settings of a new Forwarder.
#[must_use = "a builder does nothing until it is spawned"]
pub struct ForwarderBuilder {
    policy: Box<dyn ForwardingPolicy>,
    limits: ForwarderLimits,
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
    pub fn limits(self, limits: ForwarderLimits) -> Self {
        Self { limits, ..self }
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
        let arguments = ForwarderArguments {
            policy: self.policy,
            limits: self.limits,
            owner: Outlet::new(owner),
        };
        let supervisor = owner.get_cell();
        let (actor, _) = Actor::spawn_linked(None, ForwarderActor, arguments, supervisor).await?;
        Ok(Forwarder { actor })
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
        }
    }

    /// Publishes the remote tracks of a peer, present and future, and lets it subscribe. Returns once the policy's
    /// subscriptions to what is published already are attached, so that a description made afterwards carries them. The peer stays its owner's. Adding it twice is
    /// fine.
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

    /// What there is now: publications, subscriptions, counts. Waits for the Forwarder's turn, one second at most.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the Forwarder has ended.
    pub async fn snapshot(&self) -> Result<ForwarderSnapshot, CallError> {
        ask(&self.actor, |reply| ForwarderMessage::Snapshot { reply }).await
    }

    /// Ends the Forwarder; peers, their tracks and routes stay as they are. Does not wait.
    pub fn stop(&self) {
        self.cast(ForwarderMessage::Stop);
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
        } else if let Event::Closed { .. } = event {
            Some(Self::Closed)
        } else {
            None
        }
    }
}

/// A peer connection that is stuck is found out after a second; one that is busy may have dozens of tracks to attach.
const ARRANGE_TIMEOUT: Duration = Duration::from_secs(5);
