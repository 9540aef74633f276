//! How much of everything there may be: all limits of this crate that an application may have a reason to change, in one value.
//!
//! Whatever a remote side, a page or a stranger can cause to grow has a bound. Most bounds follow from a protocol and are constants where
//! they are used; the guide [on limits](crate::guides::advanced::limits) lists them all. Those here depend on what an application is for.
//!
//! ```
//! use ractor_webrtc::limits::{EndpointLimits, Limits, PeerLimits};
//! use ractor_webrtc::room::RoomLimits;
//!
//! // A server of small calls, on a small machine.
//! let limits = Limits::default()
//!     .peer(PeerLimits::default().transceivers(32).ssrcs(64))
//!     .endpoint(EndpointLimits::default().peers(500))
//!     .room(RoomLimits { participants: 8, ..RoomLimits::default() });
//! # assert_eq!(limits.endpoint.peers, 500);
//! ```
//!
//! Each part goes where it counts; every builder that has limits takes its part, or the whole value:
//!
//! ```no_run
//! # use ractor_webrtc::limits::Limits;
//! # use ractor_webrtc::room::{Room, RoomNews};
//! # use ractor_webrtc::{PeerConnection, UdpEndpoint, UdpEndpointConfiguration};
//! # async fn example<M: ractor::Message + From<RoomNews>>(
//! #     owner: ractor::ActorRef<M>, limits: Limits,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let configuration = UdpEndpointConfiguration::ipv4().limits(&limits);
//! let endpoint = UdpEndpoint::spawn(configuration, owner.get_cell()).await?;
//! let peer = PeerConnection::builder().endpoint(endpoint).limits(&limits);
//! let room = Room::builder()
//!     .connection(move || peer.clone())
//!     .limits(&limits)
//!     .spawn_linked(&owner)
//!     .await?;
//! # Ok(())
//! # }
//! ```

mod define;
mod endpoint;
mod peer;

pub use self::endpoint::EndpointLimits;
pub use self::peer::PeerLimits;
pub use crate::forwarder::ForwarderLimits;
pub use crate::peer_connection::{MediaLimits, QueueLimit};
pub use crate::room::RoomLimits;
#[cfg(feature = "signaling")]
pub use crate::signaling::{broadcaster::BroadcasterLimits, websocket::WebSocketLimits};

/// All limits. The default suits a server of calls and rooms on a machine of a few cores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Of each peer connection.
    pub peer: PeerLimits,
    /// Of each socket.
    pub endpoint: EndpointLimits,
    /// Of each Forwarder.
    pub forwarder: ForwarderLimits,
    /// Of each room.
    pub room: RoomLimits,
    /// Of each Broadcaster.
    #[cfg(feature = "signaling")]
    pub broadcaster: BroadcasterLimits,
    /// Of each page with a WebSocket.
    #[cfg(feature = "signaling")]
    pub web_socket: WebSocketLimits,
}

/// For each part a setter, and the way out of the whole.
macro_rules! parts {
    ($($(#[$attribute:meta])* $part:ident: $Limits:ident, $doc:literal;)*) => {
        impl Limits {
            $(
                $(#[$attribute])*
                #[doc = $doc]
                #[must_use]
                pub fn $part(self, $part: $Limits) -> Self {
                    Self { $part, ..self }
                }
            )*
        }

        $(
            $(#[$attribute])*
            impl From<&Limits> for $Limits {
                fn from(limits: &Limits) -> Self {
                    limits.$part.clone()
                }
            }
        )*
    };
}

parts! {
    peer: PeerLimits, "So much each peer connection.";
    endpoint: EndpointLimits, "So much each socket.";
    forwarder: ForwarderLimits, "So much each Forwarder.";
    room: RoomLimits, "So much each room.";
    #[cfg(feature = "signaling")]
    broadcaster: BroadcasterLimits, "So much each Broadcaster.";
    #[cfg(feature = "signaling")]
    web_socket: WebSocketLimits, "So much each page with a WebSocket.";
}

#[cfg(test)]
mod tests;
