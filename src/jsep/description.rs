//! Session descriptions as applications carry them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a description is for (W3C `RTCSdpType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SdpType {
    /// Proposes a session.
    Offer,
    /// Answers, not yet for good.
    Pranswer,
    /// Answers.
    Answer,
    /// Takes the last offer back.
    Rollback,
}

impl fmt::Display for SdpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offer => "offer",
            Self::Pranswer => "pranswer",
            Self::Answer => "answer",
            Self::Rollback => "rollback",
        })
    }
}

/// An offer or answer. Its JSON is the browser's: `{"type":"offer","sdp":"…"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDescription {
    /// What it is for.
    #[serde(rename = "type")]
    pub kind: SdpType,
    /// The description (RFC 8866); empty for a rollback.
    #[serde(default)]
    pub sdp: String,
}

impl SessionDescription {
    /// An offer with this text.
    pub fn offer(sdp: impl Into<String>) -> Self {
        Self {
            kind: SdpType::Offer,
            sdp: sdp.into(),
        }
    }

    /// An answer with this text.
    pub fn answer(sdp: impl Into<String>) -> Self {
        Self {
            kind: SdpType::Answer,
            sdp: sdp.into(),
        }
    }
}
