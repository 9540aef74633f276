//! What a running session lets itself be asked for besides descriptions and transceivers.

use ractor::{ActorRef, Message as ActorMessage};

use super::message::{PeerConnectionMessage as Message, TransceiverRequest as Request};
use super::{Configuration, PeerConnection, PeerEvent, SetConfigurationError, SetOwnerError};
use crate::call::{CallError, ask};
use crate::codec::RtpCodec;
use crate::jsep::{ParametersError, RtpSendParameters, SenderId};
use crate::outlet::Outlet;

impl PeerConnection {
    /// Gives the peer to another owner. Once this has returned, all events go to `owner`, those of media included; what
    /// was told before stays in the mailbox of the one before, and nothing is told to both. The peer ends
    /// with the new owner, and no longer with the one before. Naming the same owner again changes nothing.
    ///
    /// The supervisor stays who it was. A peer of [`spawn_linked`](super::PeerConnectionBuilder::spawn_linked) has its first
    /// owner for it, and so ends with that one still. Peers that are to be handed on are started with
    /// [`spawn`](super::PeerConnectionBuilder::spawn), below somebody who lives longer than their owners.
    ///
    /// Media that waits in the mailbox of the one before counts towards the bound of
    /// [`MediaLimits`](super::MediaLimits) until it is consumed or dropped. Whoever negotiates by
    /// [`PerfectNegotiation`](crate::perfect_negotiation::PerfectNegotiation) passes on the events it wants as before.
    ///
    /// ```
    /// # use ractor_webrtc::{PeerConnection, PeerEvent};
    /// # async fn example<M: ractor::Message + From<PeerEvent>>(lobby: ractor::ActorRef<M>, room: ractor::ActorRef<M>)
    /// # -> Result<(), Box<dyn std::error::Error>> {
    /// # let supervisor = lobby.get_cell();
    /// let pc = PeerConnection::builder().spawn(&lobby, supervisor).await?;
    /// pc.set_owner(&room).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SetOwnerError::OwnerGone`] when `owner` has ended, [`SetOwnerError::Closed`] when the peer is closing,
    /// [`SetOwnerError::Call`] when it has ended. The owner stays who it was.
    pub async fn set_owner<M>(&self, owner: &ActorRef<M>) -> Result<(), SetOwnerError>
    where
        M: ActorMessage + From<PeerEvent>,
    {
        let owner = Outlet::new(owner);
        self.ask(|reply| Message::SetOwner { owner, reply }).await
    }

    /// Has the next offer restart ICE (W3C `restartIce()`, RFC 8445 §9): after a path was lost, or to use another
    /// network. [`Event::NegotiationNeeded`](super::Event::NegotiationNeeded) follows; the offer made then, and the
    /// answer to it, bring new credentials and candidates. Media keeps to the old path until the new one works.
    ///
    /// Before the first negotiation there is nothing to restart, and nothing happens.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn restart_ice(&self) -> Result<(), CallError> {
        ask(&self.actor, |reply| Message::RestartIce { reply }).await
    }

    /// The servers, policy and certificate in force (W3C `getConfiguration()`).
    ///
    /// # Errors
    ///
    /// [`CallError`] when the peer has ended.
    pub async fn configuration(&self) -> Result<Configuration, CallError> {
        ask(&self.actor, |reply| Message::Configuration { reply }).await
    }

    /// Changes ICE servers and policy (W3C `setConfiguration()`). They count from the next gathering of candidates on. Where
    /// candidates were gathered before, the next offer restarts ICE (RFC 9429 §4.1.18); for an offer at once call
    /// [`restart_ice`](Self::restart_ice).
    ///
    /// ```
    /// # use ractor_webrtc::{IceServer, PeerConnection};
    /// # async fn example(pc: PeerConnection) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut configuration = pc.configuration().await?;
    /// configuration.ice_servers = vec![IceServer::new(["stun:stun.example.org"])?];
    /// pc.set_configuration(configuration).await?;
    /// pc.restart_ice().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`SetConfigurationError::InvalidModification`] when the certificate is another one,
    /// [`SetConfigurationError::Closed`] when closed.
    pub async fn set_configuration(
        &self,
        configuration: Configuration,
    ) -> Result<(), SetConfigurationError> {
        self.ask(|reply| Message::SetConfiguration {
            configuration,
            reply,
        })
        .await
    }

    /// What a sender sends, and what it negotiated (W3C `sender.getParameters()`).
    ///
    /// # Errors
    ///
    /// [`ParametersError::UnknownSender`] when there is no such sender.
    pub async fn parameters(&self, sender: SenderId) -> Result<RtpSendParameters, ParametersError> {
        self.ask(|reply| Request::Parameters { sender, reply })
            .await
    }

    /// Changes what a sender sends, without negotiation (W3C `sender.setParameters()`). Takes what
    /// [`parameters`](Self::parameters) gave last, with other encodings.
    ///
    /// ```
    /// # use ractor_webrtc::PeerConnection;
    /// # use ractor_webrtc::jsep::{ParametersError, SenderId};
    /// # async fn example(pc: PeerConnection, sender: SenderId) -> Result<(), ParametersError> {
    /// let mut parameters = pc.parameters(sender).await?;
    /// parameters.encodings[0].active = false;
    /// pc.set_parameters(sender, parameters).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ParametersError::NotRead`] when the parameters were not read since they changed last,
    /// [`ParametersError::InvalidModification`] when something else than an encoding differs,
    /// [`ParametersError::NotSupported`] for what only an encoder could do,
    /// [`ParametersError::CodecNotNegotiated`], [`ParametersError::Stopped`] and
    /// [`ParametersError::UnknownSender`] as they say.
    pub async fn set_parameters(
        &self,
        sender: SenderId,
        parameters: RtpSendParameters,
    ) -> Result<(), ParametersError> {
        self.ask(|reply| Request::SetParameters {
            sender,
            parameters,
            reply,
        })
        .await
    }

    /// Sends this codec of those negotiated, and no other: packets sent by hand get its payload type, and what
    /// comes by route in another codec is dropped and counted. Holds until it is changed, or a negotiation leaves the
    /// codec out.
    ///
    /// # Errors
    ///
    /// [`ParametersError::CodecNotNegotiated`] when it is not among the negotiated ones, for instance before the
    /// first negotiation, [`ParametersError::DoesNotSend`] when the transceiver's direction forbids it,
    /// [`ParametersError::Stopped`] and [`ParametersError::UnknownSender`] as they say.
    pub async fn set_sender_codec(
        &self,
        sender: SenderId,
        codec: RtpCodec,
    ) -> Result<(), ParametersError> {
        self.ask(|reply| Request::SetSenderCodec {
            sender,
            codec,
            reply,
        })
        .await
    }
}
