//! ICE: candidates, checks, the selected path (RFC 8445).

mod candidate;

pub(crate) use self::candidate::IceParameters;
pub use self::candidate::{IceCandidate, IceRole};
