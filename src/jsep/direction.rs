//! Which way media flows on a transceiver.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which way media flows, seen from our side (W3C `RTCRtpTransceiverDirection`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RtpTransceiverDirection {
    /// Both ways.
    #[default]
    SendRecv,
    /// From us to the remote side.
    SendOnly,
    /// From the remote side to us.
    RecvOnly,
    /// Neither way, for now.
    Inactive,
    /// Neither way, for good.
    Stopped,
}

impl RtpTransceiverDirection {
    /// The word of W3C and of the session description (which has no word for stopped ones).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
            Self::Stopped => "stopped",
        }
    }

    /// Whether we send.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether we receive.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The direction that sends and receives as told.
    pub(crate) const fn of(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// The same flow, seen from the other side.
    #[must_use]
    pub(crate) const fn reversed(self) -> Self {
        Self::of(self.receives(), self.sends())
    }

    /// What both allow, both seen from the same side (RFC 9429 §5.3.1).
    #[must_use]
    pub(crate) const fn intersect(self, other: Self) -> Self {
        Self::of(
            self.sends() && other.sends(),
            self.receives() && other.receives(),
        )
    }
}

impl fmt::Display for RtpTransceiverDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
