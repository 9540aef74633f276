//! What a page and its actor say to each other.

use ractor_webrtc::signaling::websocket;
use ractor_webrtc::{IceCandidate, PeerConnection, SessionDescription};
use serde::{Deserialize, Serialize};

use super::lobby::Language;
use super::program::Failure;

/// The actor's line to its page.
pub(crate) type Page = websocket::Page<Signal>;

/// A signal on its way to the actor.
pub(crate) type FromPage = websocket::FromPage<Signal>;

/// One message on the WebSocket, `{"type":"offer","data":{…}}`: the signalling protocol of the examples of
/// Elixir WebRTC, so that a page written for them works here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub(crate) enum Signal {
    /// An offer, from either side.
    Offer(SessionDescription),
    /// The answer to it.
    Answer(SessionDescription),
    /// A candidate, as soon as it is found; a page may say `null` when it has no more.
    Ice(Option<IceCandidate>),
    /// To the page only: what was wrong with its last message. Pages that do not know it ignore it.
    Error(String),
    /// From the page only: its actor shall panic. There to be tried, and for tests.
    Crash,
}

impl Language for Signal {
    fn error(text: String) -> Self {
        Self::Error(text)
    }
}

impl Signal {
    /// Does what the page asks for: it offers, we answer.
    pub(crate) async fn apply(self, pc: &PeerConnection, page: &Page) -> Result<(), Failure> {
        match self {
            Self::Offer(offer) => {
                pc.set_remote_description(offer).await?;
                let answer = pc.create_answer().await?;
                pc.set_local_description(answer.clone()).await?;
                page.say(&Self::Answer(answer))?;
            }
            Self::Answer(answer) => pc.set_remote_description(answer).await?,
            Self::Ice(candidate) => pc.add_ice_candidate(candidate).await?,
            Self::Error(complaint) => tracing::info!(complaint, "a page complains"),
            Self::Crash => panic!("a page asked its actor to crash"),
        }
        Ok(())
    }
}
