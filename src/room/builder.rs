//! Settings of a room, and how it starts.

use std::fmt;
use std::sync::Arc;

use ractor::{ActorRef, Message};

use super::Room;
use super::actor::{RoomActor, RoomArguments};
use super::event::{RoomId, RoomNews};
use super::limits::{RoomLimits, RoomTimes};
use crate::call::StartError;
use crate::outlet::Outlet;
use crate::peer_connection::{PeerConnection, PeerConnectionBuilder};
use crate::start::spawn_linked;

/// Settings of a new room.
///
/// ```no_run
/// # use ractor_webrtc::room::{Room, RoomLimits, RoomNews};
/// # use ractor_webrtc::{PeerConnection, UdpEndpoint};
/// # async fn example<M: ractor::Message + From<RoomNews>>(
/// #     owner: ractor::ActorRef<M>, endpoint: UdpEndpoint,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let room = Room::builder()
///     .connection(move || PeerConnection::builder().endpoint(endpoint.clone()))
///     .limits(RoomLimits { participants: 12, ..RoomLimits::default() })
///     .spawn_linked(&owner)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until it is spawned"]
pub struct RoomBuilder {
    connection: ConnectionSettings,
    limits: RoomLimits,
    times: RoomTimes,
}

/// Makes the settings of each participant's peer connection.
pub(super) type ConnectionSettings = Arc<dyn Fn() -> PeerConnectionBuilder + Send + Sync>;

impl RoomBuilder {
    pub(super) fn new() -> Self {
        Self {
            connection: Arc::new(PeerConnection::builder),
            limits: RoomLimits::default(),
            times: RoomTimes::default(),
        }
    }

    /// How the peer connection of each participant is set up: certificate, socket, ICE servers, codecs. The room sets the
    /// interval of audio levels ([`RoomTimes::audio_level`]).
    pub fn connection(
        mut self,
        settings: impl Fn() -> PeerConnectionBuilder + Send + Sync + 'static,
    ) -> Self {
        self.connection = Arc::new(settings);
        self
    }

    /// How many, and how much of each.
    pub fn limits(mut self, limits: impl Into<RoomLimits>) -> Self {
        self.limits = limits.into();
        self
    }

    /// How long the room waits for what.
    pub fn times(mut self, times: RoomTimes) -> Self {
        self.times = times;
        self
    }

    /// Starts the room with `owner` as its owner and supervisor.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the actor did not start.
    pub async fn spawn_linked<M>(self, owner: &ActorRef<M>) -> Result<Room, StartError>
    where
        M: Message + From<RoomNews>,
    {
        let id = RoomId::next();
        let arguments = RoomArguments {
            id,
            connection: self.connection,
            limits: self.limits,
            times: self.times,
            owner: Outlet::new(owner),
        };
        let supervisor = owner.get_cell();
        let actor = spawn_linked(RoomActor, arguments, supervisor).await?;
        Ok(Room { id, actor })
    }
}

impl fmt::Debug for RoomBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomBuilder")
            .field("limits", &self.limits)
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}
