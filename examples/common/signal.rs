//! What a page and its actor say to each other.

use ractor_webrtc::signaling::websocket;
use ractor_webrtc::{IceCandidate, SessionDescription};
use serde::{Deserialize, Serialize};

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

impl Signal {
    /// What a page hears whose message is none of these.
    pub(crate) fn complaint(nonsense: &serde_json::Error) -> Self {
        Self::Error(format!("that is not a signal: {nonsense}"))
    }
}
