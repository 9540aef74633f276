//! The peer connection.

mod event;
mod state;

pub use self::event::{CloseReason, Event, PeerEvent, PeerId};
pub use self::state::{
    DtlsTransportState, IceConnectionState, IceGatheringState, PeerConnectionState, SignalingState,
};
