//! Why somebody was not let in.

use crate::call::{CallError, StartError};
use crate::peer_connection::SpawnError;

/// Why nobody joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// As many are there as [`RoomLimits::participants`](super::RoomLimits::participants) allows; try again later.
    #[error("the room is full: it takes {limit}")]
    RoomFull {
        /// So many are let in.
        limit: usize,
    },
    /// The name or the key is longer than [`RoomLimits::text_bytes`](super::RoomLimits::text_bytes); the page's to mend.
    #[error("the {what} is longer than {limit} bytes")]
    TooLong {
        /// `name` or `key`.
        what: &'static str,
        /// So long it may be.
        limit: usize,
    },
    /// The listener has ended already: nobody would hear what happens.
    #[error("the listening actor has stopped")]
    ListenerGone,
    /// No peer connection could be had, for example because no port is free.
    #[error("no peer connection could be started")]
    Connection(#[from] SpawnError),
    /// An actor did not start.
    #[error("an actor of the participant did not start")]
    Actor(#[from] StartError),
    /// The participant was removed, or replaced under its key, before it was all there.
    #[error("the participant has left already")]
    Left,
    /// The room has ended, or did not answer within ten seconds.
    #[error(transparent)]
    Call(#[from] CallError),
}
