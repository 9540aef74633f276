//! The peer connection.

mod state;

pub use self::state::{
    DtlsTransportState, IceConnectionState, IceGatheringState, PeerConnectionState, SignalingState,
};
