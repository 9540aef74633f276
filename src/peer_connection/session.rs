//! What a running session lets itself be asked for besides descriptions and transceivers.

use super::message::{PeerConnectionMessage as Message, TransceiverRequest as Request};
use super::{Configuration, PeerConnection, SetConfigurationError};
use crate::call::{CallError, ask};
use crate::codec::RtpCodec;
use crate::jsep::{ParametersError, RtpSendParameters, SenderId};

impl PeerConnection {
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
