//! [`PeerConnection`]: one connection to one remote side, as an actor (W3C webrtc-pc §4.4).
//!
//! Started by [`PeerConnection::builder`]; told what to do through its handle; tells its
//! **owner**, any actor whose messages are `From<PeerEvent>`, what happens; [`PeerConnection::set_owner`] names
//! another one. It is
//! supervised by its first owner unless [`PeerConnectionBuilder::spawn`] names another supervisor, and is
//! itself the supervisor of its parts:
//!
//! | child | how it may end | what is lost | what we do | what the owner hears |
//! | --- | --- | --- | --- | --- |
//! | `UdpEndpoint` (own) | socket lost, panic | the way to the remote side | close everything | `Closed { PartFailed }` |
//! | `UdpEndpoint` (shared) | the same; watched, not a child | the same | the same | the same |
//! | `IceTransport` | panic | the ICE session | close everything | `Closed { PartFailed }` |
//! | `DtlsTransport` | panic | the DTLS session | close everything | `Closed { PartFailed }` |
//! | `RtpTransport` | panic | media state | close everything | `Closed { PartFailed }` |
//!
//! Nothing is restarted: a part without the remote side's state would be a lie. An ICE or DTLS session that
//! *fails* is not the end of its actor; it is a state, told as an event, and the peer lives on.
//!
//! The peer ends by [`PeerConnection::close`], when its owner or supervisor ends, or when one of its parts does.
//! Whatever the reason, the owner hears [`Event::Closed`] once and everything below is gone
//! within [`CLOSE_DEADLINE`].

mod actor;
mod builder;
mod close;
mod configuration;
mod error;
mod event;
mod journal;
mod life;
mod machine;
mod media;
mod message;
mod monitor;
mod owner;
mod parts;
mod registry;
mod route;
mod session;
mod shell;
mod snapshot;
mod state;
mod statistics;

use std::sync::Arc;
use std::time::Duration;

use ractor::{ActorCell, ActorRef, RpcReplyPort};
use tokio::sync::watch;

pub use self::builder::PeerConnectionBuilder;
pub use self::configuration::{Configuration, SetConfigurationError};
pub use self::error::{RouteError, SendError, SetOwnerError, SpawnError};
pub use self::event::{CloseReason, Event, Part, PeerEvent, PeerId};
pub(crate) use self::journal::note as note_event;
pub use self::machine::PeerConnectionStates;
use self::message::{PeerConnectionMessage as Message, TransceiverRequest as Request};
pub(crate) use self::monitor::Monitor;
pub(crate) use self::owner::Owner;
pub use self::route::RouteSource;
use self::snapshot::{Descriptions, KnownTracks};
pub use self::state::{
    DtlsTransportState, IceConnectionState, IceGatheringState, PeerConnectionState, SignalingState,
};
use self::statistics::StatsDesk;
use crate::call::{CallError, ask, ask_within};
use crate::codec::RtpCodec;
use crate::ice::IceCandidate;
use crate::jsep::{
    CandidateError, NegotiationError, RtpReceiver, RtpSender, RtpTransceiver,
    RtpTransceiverDirection, RtpTransceiverInit, SenderId, SessionDescription, TrackOrKind,
    TransceiverError, TransceiverId,
};
use crate::rtp_transport::RtpTransport;
pub use crate::rtp_transport::{MediaLimits, MediaStats, QueueLimit, RtpDelivery};
use crate::stop::force_after;
use crate::track::MediaStreamTrack;

/// Within this time after a close nothing of a peer is left: parts that have not ended by
/// themselves are killed.
pub const CLOSE_DEADLINE: Duration = Duration::from_millis(500);

/// Handle to a running peer connection (W3C `RTCPeerConnection`).
///
/// Cheap to clone; every clone means the same peer. It outlives the peer: calls on a closed
/// one fail with [`CallError::Stopped`], states read `closed`.
///
/// Operations are messages to the peer's actor and are carried out in the order they were
/// called, one after the other, as W3C's operations chain asks. They may be called from an event handler
/// of the owner. None of them waits for the network.
#[derive(Clone, Debug)]
pub struct PeerConnection {
    id: PeerId,
    actor: ActorRef<Message>,
    rtp: RtpTransport,
    tracks: Arc<KnownTracks>,
    stats: Arc<StatsDesk>,
    states: watch::Receiver<PeerConnectionStates>,
}

impl PeerConnection {
    /// Settings of a new peer connection; [`spawn_linked`](PeerConnectionBuilder::spawn_linked) starts it.
    pub fn builder() -> PeerConnectionBuilder {
        PeerConnectionBuilder::new()
    }

    /// Handles of all peer connections that run in this process now, oldest first.
    pub fn all_running() -> Vec<Self> {
        registry::all()
    }

    /// Names this peer in its events.
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Makes an offer of the present transceivers (W3C §4.4.2, RFC 9429 §5.2). Changes nothing yet.
    ///
    /// # Errors
    ///
    /// [`NegotiationError::InvalidState`] when closed or while a remote offer waits for its answer.
    pub async fn create_offer(&self) -> Result<SessionDescription, NegotiationError> {
        self.ask(|reply| Message::CreateOffer { reply }).await
    }

    /// Makes an answer to the remote offer (W3C §4.4.2, RFC 9429 §5.3). Changes nothing yet.
    ///
    /// # Errors
    ///
    /// [`NegotiationError::InvalidState`] when there is no remote offer.
    pub async fn create_answer(&self) -> Result<SessionDescription, NegotiationError> {
        self.ask(|reply| Message::CreateAnswer { reply }).await
    }

    /// Applies a description of our own; gathering of candidates begins with the first. Without one
    /// (`None`) it makes the offer or answer that fits the signalling state first.
    ///
    /// # Errors
    ///
    /// [`NegotiationError::InvalidState`] when the description does not fit the signalling state,
    /// [`NegotiationError::InvalidModification`] when it is not what this peer made.
    pub async fn set_local_description(
        &self,
        description: impl Into<Option<SessionDescription>>,
    ) -> Result<(), NegotiationError> {
        let description = description.into();
        self.ask(|reply| Message::SetLocalDescription { description, reply })
            .await
    }

    /// Applies the remote side's description. Nothing of it is applied when any part of it is refused.
    ///
    /// # Errors
    ///
    /// [`NegotiationError`]: one variant for each way in which a description can be wrong, naming the m-line.
    pub async fn set_remote_description(
        &self,
        description: SessionDescription,
    ) -> Result<(), NegotiationError> {
        self.ask(|reply| Message::SetRemoteDescription { description, reply })
            .await
    }

    /// Adds a candidate of the remote side; `None`, or an empty one, says that no more will come.
    /// Candidates that come before the remote description wait for it.
    ///
    /// # Errors
    ///
    /// [`CandidateError`] names what is wrong with the candidate; the peer lives on.
    pub async fn add_ice_candidate(
        &self,
        candidate: impl Into<Option<IceCandidate>>,
    ) -> Result<(), CandidateError> {
        let candidate = candidate.into();
        self.ask(|reply| Message::AddIceCandidate { candidate, reply })
            .await
    }

    /// Adds a local track to be sent, on a free transceiver of its kind or on a new one (W3C §5.1).
    ///
    /// # Errors
    ///
    /// [`TransceiverError::TrackAlreadyAdded`] when it is being sent already,
    /// [`TransceiverError::TooMany`] past the limit, [`TransceiverError::Closed`] when closed.
    pub async fn add_track(&self, track: &MediaStreamTrack) -> Result<RtpSender, TransceiverError> {
        let track = track.clone();
        self.ask(|reply| Request::AddTrack { track, reply }).await
    }

    /// Sends a local track on a transceiver without one, which may have sent before: `add_track` leaves such alone (W3C §5.1).
    pub(crate) async fn add_track_to(
        &self,
        transceiver: TransceiverId,
        track: &MediaStreamTrack,
    ) -> Result<RtpSender, TransceiverError> {
        let track = track.clone();
        self.ask(|reply| Request::AddTrackTo {
            transceiver,
            track,
            reply,
        })
        .await
    }

    /// Stops sending a sender's track; its transceiver stays (W3C §5.1).
    ///
    /// # Errors
    ///
    /// [`TransceiverError::UnknownSender`] when there is no such sender.
    pub async fn remove_track(&self, sender: SenderId) -> Result<(), TransceiverError> {
        self.ask(|reply| Request::RemoveTrack { sender, reply })
            .await
    }

    /// Sends another track of the same kind, or none, without negotiation (W3C §5.2).
    ///
    /// # Errors
    ///
    /// [`TransceiverError::UnknownSender`] when there is no such sender,
    /// [`TransceiverError::KindMismatch`] when the track is of the other kind.
    pub async fn replace_track(
        &self,
        sender: SenderId,
        track: Option<&MediaStreamTrack>,
    ) -> Result<(), TransceiverError> {
        let track = track.cloned();
        self.ask(|reply| Request::ReplaceTrack {
            sender,
            track,
            reply,
        })
        .await
    }

    /// Adds a transceiver for a kind of media or for a track (W3C §5.1).
    ///
    /// # Errors
    ///
    /// [`TransceiverError::TooMany`] past the limit, [`TransceiverError::Closed`] when closed.
    pub async fn add_transceiver(
        &self,
        media: impl Into<TrackOrKind>,
        init: RtpTransceiverInit,
    ) -> Result<RtpTransceiver, TransceiverError> {
        let media = media.into();
        self.ask(|reply| Request::AddTransceiver { media, init, reply })
            .await
    }

    /// Changes what a transceiver would like to do, from the next negotiation on (W3C §5.4).
    ///
    /// # Errors
    ///
    /// [`TransceiverError::UnknownTransceiver`] when there is no such transceiver,
    /// [`TransceiverError::Stopped`] when it is stopped.
    pub async fn set_direction(
        &self,
        transceiver: TransceiverId,
        direction: RtpTransceiverDirection,
    ) -> Result<(), TransceiverError> {
        self.ask(|reply| Request::SetDirection {
            transceiver,
            direction,
            reply,
        })
        .await
    }

    /// Which codecs a transceiver negotiates, best first; none named means the configured ones (W3C
    /// `setCodecPreferences`).
    ///
    /// # Errors
    ///
    /// [`TransceiverError::UnknownTransceiver`] when there is no such transceiver,
    /// [`TransceiverError::NoPreferredCodec`] when none of the codecs is configured.
    pub async fn set_codec_preferences(
        &self,
        transceiver: TransceiverId,
        codecs: Vec<RtpCodec>,
    ) -> Result<(), TransceiverError> {
        self.ask(|reply| Request::SetCodecPreferences {
            transceiver,
            codecs,
            reply,
        })
        .await
    }

    /// Stops a transceiver for good; its m-line is given up in the next negotiation (W3C §5.4).
    ///
    /// # Errors
    ///
    /// [`TransceiverError::UnknownTransceiver`] when there is no such transceiver.
    pub async fn stop_transceiver(
        &self,
        transceiver: TransceiverId,
    ) -> Result<(), TransceiverError> {
        self.ask(|reply| Request::StopTransceiver { transceiver, reply })
            .await
    }

    /// The transceivers as they are now, in the order of their making.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn transceivers(&self) -> Result<Vec<RtpTransceiver>, CallError> {
        ask(&self.actor, |reply| Request::Transceivers { reply }.into()).await
    }

    /// The senders of all transceivers that are not stopped.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn senders(&self) -> Result<Vec<RtpSender>, CallError> {
        let transceivers = self.transceivers().await?;
        let live = transceivers.into_iter().filter(|one| !one.is_stopped());
        Ok(live.map(|one| one.sender().clone()).collect())
    }

    /// The receivers of all transceivers that are not stopped.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn receivers(&self) -> Result<Vec<RtpReceiver>, CallError> {
        let transceivers = self.transceivers().await?;
        let live = transceivers.into_iter().filter(|one| !one.is_stopped());
        Ok(live.map(|one| one.receiver().clone()).collect())
    }

    /// The local description that is being negotiated, else the one in force, with the
    /// candidates gathered so far.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn local_description(&self) -> Result<Option<SessionDescription>, CallError> {
        let all = self.descriptions().await?;
        Ok(all.pending_local.or(all.current_local))
    }

    /// The remote description that is being negotiated, else the one in force.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn remote_description(&self) -> Result<Option<SessionDescription>, CallError> {
        let all = self.descriptions().await?;
        Ok(all.pending_remote.or(all.current_remote))
    }

    /// The local description in force.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn current_local_description(&self) -> Result<Option<SessionDescription>, CallError> {
        Ok(self.descriptions().await?.current_local)
    }

    /// The local description that waits for the end of its negotiation.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn pending_local_description(&self) -> Result<Option<SessionDescription>, CallError> {
        Ok(self.descriptions().await?.pending_local)
    }

    /// The remote description in force.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn current_remote_description(
        &self,
    ) -> Result<Option<SessionDescription>, CallError> {
        Ok(self.descriptions().await?.current_remote)
    }

    /// The remote description that waits for the end of its negotiation.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn pending_remote_description(
        &self,
    ) -> Result<Option<SessionDescription>, CallError> {
        Ok(self.descriptions().await?.pending_remote)
    }

    /// The five states at this moment. Never waits; reads `closed` once the peer has ended.
    pub fn states(&self) -> PeerConnectionStates {
        *self.states.borrow()
    }

    /// The connection in one word.
    pub fn connection_state(&self) -> PeerConnectionState {
        self.states().connection
    }

    /// Where offer and answer stand.
    pub fn signaling_state(&self) -> SignalingState {
        self.states().signaling
    }

    /// Whether the remote side is reachable.
    pub fn ice_connection_state(&self) -> IceConnectionState {
        self.states().ice_connection
    }

    /// Whether candidates are being collected.
    pub fn ice_gathering_state(&self) -> IceGatheringState {
        self.states().ice_gathering
    }

    /// Whether keys are agreed.
    pub fn dtls_transport_state(&self) -> DtlsTransportState {
        self.states().dtls_transport
    }

    /// Ends the peer: the remote side is told (RTCP BYE, DTLS close_notify), then all parts stop. Returns
    /// when the peer's actors are gone, at the latest after [`CLOSE_DEADLINE`]. Closing twice is fine,
    /// in any state, also from an event handler of the owner. Who does not wait for the end has told the peer to end all the same, once
    /// the future was polled.
    pub async fn close(&self) {
        // An actor that is gone needs no telling.
        let _gone = self.actor.cast(Message::Close);
        // The actor keeps its deadline itself. The margin covers a busy machine, and what is behind it an actor that is stuck.
        force_after(self.actor.get_cell(), CLOSE_DEADLINE * 2)
            .wait()
            .await;
    }

    /// Has another actor told of the peer's end as its supervisor is, for as long as the answer lives.
    pub(crate) fn monitored_by(&self, watcher: ActorCell) -> Monitor {
        Monitor::new(watcher, self.actor.get_cell())
    }

    /// The actor.
    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    /// Whether it takes its turn, in so much time.
    pub(crate) async fn answers_within(&self, limit: Duration) -> Result<(), CallError> {
        ask_within(limit, &self.actor, |reply| Message::Configuration { reply }).await?;
        Ok(())
    }

    /// One error out of "could not ask" and "was refused".
    async fn ask<Q, T, E>(
        &self,
        query: impl FnOnce(RpcReplyPort<Result<T, E>>) -> Q,
    ) -> Result<T, E>
    where
        Q: Into<Message>,
        T: Send + 'static,
        E: From<CallError> + Send + 'static,
    {
        ask(&self.actor, |reply| query(reply).into()).await?
    }

    async fn descriptions(&self) -> Result<Descriptions, CallError> {
        ask(&self.actor, |reply| Message::Descriptions { reply }).await
    }
}

impl From<PeerConnection> for ActorCell {
    fn from(peer: PeerConnection) -> Self {
        peer.cell()
    }
}
