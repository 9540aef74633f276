//! What a page and its studio say to each other.

use ractor_webrtc::forwarder::LayerWish;
use ractor_webrtc::rtp::SimulcastLayer;
use ractor_webrtc::signaling::websocket;
use ractor_webrtc::{IceCandidate, SessionDescription};
use serde::{Deserialize, Serialize};

use super::common::lobby::Language;

/// The studio's line to its page.
pub(crate) type Page = websocket::Page<StudioSignal>;

/// A signal on its way to the studio.
pub(crate) type FromPage = websocket::FromPage<StudioSignal>;

/// One of the connections of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Name {
    Camera,
    Left,
    Right,
}

/// One message on the WebSocket, `{"type": "wish", "of": "left", "layer": "m"}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(crate) enum StudioSignal {
    /// From the page.
    Offer {
        of: Name,
        description: SessionDescription,
    },
    /// To the page.
    Answer {
        of: Name,
        description: SessionDescription,
    },
    /// A candidate, from either side.
    Ice {
        of: Name,
        candidate: Option<IceCandidate>,
    },
    /// From the page: what a screen is to show. `auto`, `off`, or the name of an encoding.
    Wish { of: Name, layer: String },
    /// To the page: what arrives from the camera, the lowest encoding first.
    Layers { layers: Vec<Layer> },
    /// To the page: what a screen gets.
    Gets { of: Name, rid: String },
    /// To the page: what the path to a screen takes, in bits per second.
    Path { of: Name, bitrate: u64 },
    /// To the page: what was wrong with its last message.
    Error { text: String },
}

/// An encoding of the camera.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Layer {
    rid: Option<String>,
    active: bool,
    bitrate: u64,
}

impl Language for StudioSignal {
    fn error(text: String) -> Self {
        Self::Error { text }
    }
}

impl From<&SimulcastLayer> for Layer {
    fn from(layer: &SimulcastLayer) -> Self {
        Self {
            rid: layer.rid.as_ref().map(ToString::to_string),
            active: layer.active,
            bitrate: layer.bits_per_second,
        }
    }
}

/// What the page's buttons mean.
pub(crate) fn wish(layer: &str) -> LayerWish {
    match layer {
        "auto" => LayerWish::Automatic,
        "off" => LayerWish::Off,
        rid => LayerWish::Only(rid.into()),
    }
}
