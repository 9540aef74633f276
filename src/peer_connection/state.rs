//! The states that W3C webrtc-pc names.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! state {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// The word that browsers use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

state! {
    /// Where the exchange of offer and answer stands (W3C §4.3.1).
    SignalingState {
        /// No exchange is under way.
        #[default] Stable = "stable",
        /// A local offer is applied and waits for its answer.
        HaveLocalOffer = "have-local-offer",
        /// A remote offer is applied and waits for its answer.
        HaveRemoteOffer = "have-remote-offer",
        /// A remote offer and a provisional local answer are applied.
        HaveLocalPranswer = "have-local-pranswer",
        /// A local offer and a provisional remote answer are applied.
        HaveRemotePranswer = "have-remote-pranswer",
        /// Closed for good.
        Closed = "closed",
    }
}

state! {
    /// Whether local candidates are being collected (W3C §4.3.2).
    IceGatheringState {
        /// Not begun.
        #[default] New = "new",
        /// Under way.
        Gathering = "gathering",
        /// All are known.
        Complete = "complete",
    }
}

state! {
    /// State of the ICE transport, also `iceConnectionState` (W3C §5.6.3, §4.3.4).
    IceConnectionState {
        /// Waiting for remote candidates.
        #[default] New = "new",
        /// Looking for a pair of candidates that works.
        Checking = "checking",
        /// A working pair is in use, better ones may follow.
        Connected = "connected",
        /// A working pair is in use and all others are decided.
        Completed = "completed",
        /// The remote side has been silent for a while; may come back by itself.
        Disconnected = "disconnected",
        /// No pair works; only an ICE restart helps.
        Failed = "failed",
        /// Closed for good.
        Closed = "closed",
    }
}

state! {
    /// State of the DTLS transport (W3C §5.5.1).
    DtlsTransportState {
        /// Not begun.
        #[default] New = "new",
        /// The handshake is under way.
        Connecting = "connecting",
        /// The handshake is done and the fingerprint is the promised one.
        Connected = "connected",
        /// Closed, by either side.
        Closed = "closed",
        /// The handshake failed, or the fingerprint was not the promised one.
        Failed = "failed",
    }
}

state! {
    /// The whole connection in one word, computed from ICE and DTLS (W3C §4.3.3).
    PeerConnectionState {
        /// Nothing is under way.
        #[default] New = "new",
        /// ICE or DTLS is being set up.
        Connecting = "connecting",
        /// Media may flow.
        Connected = "connected",
        /// The remote side has been silent for a while.
        Disconnected = "disconnected",
        /// ICE or DTLS failed.
        Failed = "failed",
        /// Closed for good.
        Closed = "closed",
    }
}
