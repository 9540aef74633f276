//! Candidates as applications carry them, and the parameters of an ICE session.

use std::fmt;

use rand::Rng;
use rand::distr::Alphanumeric;
use serde::{Deserialize, Serialize};

/// A candidate to be carried to the other side (W3C `RTCIceCandidateInit`).
///
/// Its JSON is the browser's own. An empty `candidate` says that no more will come (RFC 8838 §8.1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IceCandidate {
    /// `candidate:…` as in RFC 8839 §5.1, without `a=`.
    #[serde(default)]
    pub candidate: String,
    /// The m-line it belongs to, by `a=mid`.
    #[serde(default)]
    pub sdp_mid: Option<String>,
    /// The m-line it belongs to, by index.
    #[serde(default, rename = "sdpMLineIndex")]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE session it belongs to.
    #[serde(default)]
    pub username_fragment: Option<String>,
}

/// Credentials of one side of one ICE session (RFC 8839 §5.4).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IceParameters {
    pub(crate) username_fragment: String,
    pub(crate) password: String,
}

impl IceParameters {
    /// Fresh ones: 47 bits of name, so that a socket may have many, and 142 bits of password
    /// (RFC 8445 §5.3 asks for 24 and 128).
    pub(crate) fn generate() -> Self {
        let random = |length| {
            rand::rng()
                .sample_iter(Alphanumeric)
                .take(length)
                .map(char::from)
                .collect()
        };
        Self {
            username_fragment: random(8),
            password: random(24),
        }
    }
}

/// The password stays out of logs.
impl fmt::Debug for IceParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceParameters")
            .field("username_fragment", &self.username_fragment)
            .finish_non_exhaustive()
    }
}

/// Which side decides on the pair (RFC 8445 §6.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IceRole {
    /// Nominates.
    Controlling,
    /// Follows.
    Controlled,
}
