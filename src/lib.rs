//! WebRTC for Rust servers as supervised [`ractor`] actors and typed messages.
//!
//! A [`PeerConnection`] is an actor; its **owner**, any actor of yours whose messages are `From<PeerEvent>`,
//! hears what happens as messages: tracks, packets, candidates, states. There are no callbacks
//! and no locks in your code, and what may fail is supervised.
//!
//! ```text
//! your supervisor
//! ├── UdpEndpoint             a socket for many peers (optional, else one per peer)
//! └── your actor, or a Room   the owner: gets the events; or a Forwarder beside it arranges who gets what
//!     └── PeerConnection      signalling: offers, answers, transceivers
//!         ├── IceTransport    which path leads to the remote side
//!         ├── DtlsTransport   who the remote side is, and the keys
//!         └── RtpTransport    media: SRTP, RTP, RTCP
//! ```
//!
//! This is all it takes to send back what a browser sends:
//!
//! ```no_run
//! use std::collections::HashMap;
//! use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
//! use ractor_webrtc::{
//!     Event, MediaKind, MediaStreamTrack, PeerConnection, PeerEvent, SessionDescription, TrackId,
//! };
//!
//! struct Echo;
//!
//! enum EchoMessage {
//!     Offer(SessionDescription, RpcReplyPort<SessionDescription>),
//!     Peer(PeerEvent),
//! }
//!
//! impl From<PeerEvent> for EchoMessage {
//!     fn from(event: PeerEvent) -> Self {
//!         Self::Peer(event)
//!     }
//! }
//!
//! struct EchoState {
//!     pc: PeerConnection,
//!     outbound: HashMap<MediaKind, TrackId>,
//!     inbound: HashMap<TrackId, MediaKind>,
//! }
//!
//! impl Actor for Echo {
//!     type Msg = EchoMessage;
//!     type State = EchoState;
//!     type Arguments = ();
//!
//!     async fn pre_start(
//!         &self,
//!         myself: ActorRef<EchoMessage>,
//!         _: (),
//!     ) -> Result<EchoState, ActorProcessingErr> {
//!         let pc = PeerConnection::builder().spawn_linked(&myself).await?;
//!         let stream = MediaStreamTrack::generate_stream_id();
//!         let mut outbound = HashMap::new();
//!         for kind in [MediaKind::Audio, MediaKind::Video] {
//!             let track = MediaStreamTrack::new(kind, [stream.clone()]);
//!             pc.add_track(&track).await?;
//!             outbound.insert(kind, track.id());
//!         }
//!         Ok(EchoState { pc, outbound, inbound: HashMap::new() })
//!     }
//!
//!     async fn handle(
//!         &self,
//!         _: ActorRef<EchoMessage>,
//!         message: EchoMessage,
//!         state: &mut EchoState,
//!     ) -> Result<(), ActorProcessingErr> {
//!         match message {
//!             EchoMessage::Offer(offer, reply) => {
//!                 state.pc.set_remote_description(offer).await?;
//!                 let answer = state.pc.create_answer().await?;
//!                 state.pc.set_local_description(answer.clone()).await?;
//!                 reply.send(answer)?;
//!             }
//!             EchoMessage::Peer(PeerEvent { event: Event::Track(track), .. }) => {
//!                 state.inbound.insert(track.id(), track.kind());
//!             }
//!             EchoMessage::Peer(PeerEvent { event: Event::Rtp { track_id, packets, .. }, .. }) => {
//!                 state.pc.send_rtp(state.outbound[&state.inbound[&track_id]], packets)?;
//!             }
//!             EchoMessage::Peer(_) => {}
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # Where things are
//!
//! | module | what is in it | standard |
//! | --- | --- | --- |
//! | [`peer_connection`] | the peer, its settings, events and states | W3C webrtc-pc |
//! | [`perfect_negotiation`] | an actor that negotiates for both sides to change tracks at any time | W3C webrtc-pc §10.7 |
//! | [`forwarder`] | an actor that gives tracks of some peers to others | |
//! | [`room`] | many peers, each sending and receiving | |
//! | [`supervision`] | starts actors, and starts them again when they fail | |
//! | [`jsep`] | descriptions, transceivers, what negotiation may refuse | RFC 9429 |
//! | [`ice`] | candidates, servers | RFC 8445, 8838 |
//! | [`dtls`] | certificates, fingerprints | RFC 5764, 8122 |
//! | [`srtp`] | protection of media, usable by itself | RFC 3711, 7714 |
//! | [`rtp`] | packets and reports | RFC 3550, 8285 |
//! | [`observe`] | a look at actors while they run | |
//! | [`stats`] | what `getStats()` tells | W3C webrtc-stats |
//! | [`udp`] | sockets that many peers share | RFC 7983 |
#![cfg_attr(
    feature = "metrics",
    doc = "| [`metrics`] | figures of all peers together, for Prometheus for instance | |"
)]
#![cfg_attr(
    feature = "signaling",
    doc = "| [`signaling`] | what a web server needs: WebSockets for pages, WHIP and WHEP | RFC 6455, 9725 |"
)]
//! | [`configuration`], [`codec`] | what to negotiate | |
//! | [`limits`] | how much of everything there may be | |
//! | [`track`] | tracks and streams | |
//!
//! The guides start at [`guides::introduction::intro`]; in the repository they are under `guides/`.

pub mod call;
pub mod codec;
pub mod configuration;
pub mod dtls;
mod egress;
#[cfg(feature = "fault-injection")]
#[doc(hidden)]
pub mod faults;
#[cfg(not(feature = "fault-injection"))]
#[path = "faults/off.rs"]
mod faults;
// Fuzzing uses a part of it.
#[cfg(any(test, fuzzing))]
#[cfg_attr(not(test), allow(dead_code))]
#[allow(clippy::unwrap_used)]
mod fixtures;
pub mod forwarder;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(any(doc, doctest))]
pub mod guides;
pub mod ice;
pub mod jsep;
mod lane;
pub mod limits;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "metrics/off.rs"]
mod metrics;
pub mod observe;
mod outlet;
pub mod peer_connection;
pub mod perfect_negotiation;
pub mod room;
pub mod rtp;
mod rtp_transport;
#[cfg(feature = "signaling")]
pub mod signaling;
pub mod srtp;
mod start;
pub mod stats;
mod stop;
pub mod supervision;
mod timer;
pub mod track;
mod turn;
pub mod udp;

pub use self::call::{CallError, StartError};
pub use self::configuration::MediaConfiguration;
pub use self::dtls::Certificate;
pub use self::forwarder::{Forwarder, ForwarderEvent, ForwarderLimits};
pub use self::ice::{IceCandidate, IceServer, IceTransportPolicy};
pub use self::jsep::{
    CandidateError, NegotiationError, RtpTransceiverDirection, RtpTransceiverInit, SdpType,
    SessionDescription, TransceiverError,
};
pub use self::limits::Limits;
pub use self::peer_connection::{
    CloseReason, Event, PeerConnection, PeerConnectionBuilder, PeerConnectionState, PeerEvent,
    PeerId, SendError, SpawnError,
};
pub use self::perfect_negotiation::{PerfectNegotiation, Politeness};
pub use self::room::{Participant, Room, RoomEvent};
pub use self::rtp::{Rid, RtcpPacket, RtpBatch, RtpPacket};
pub use self::srtp::SrtpProfile;
pub use self::supervision::Supervisor;
pub use self::track::{MediaKind, MediaStreamTrack, StreamId, TrackId};
pub use self::udp::{UdpEndpoint, UdpEndpointConfiguration, UdpEndpointPool};
