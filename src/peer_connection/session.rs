//! What a running session lets itself be asked for besides descriptions and transceivers.

use super::message::PeerConnectionMessage as Message;
use super::{Configuration, PeerConnection, SetConfigurationError};
use crate::call::{CallError, ask};

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
}
