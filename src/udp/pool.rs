//! Several endpoints that share the peers among them.

use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ractor::ActorCell;

use super::{UdpEndpoint, UdpEndpointConfiguration, UdpEndpointError};
use crate::stop::StopOnDrop;

/// Endpoints that share the peers of a server among them, one for each core as a rule. Cheap to clone.
///
/// One endpoint does its work one step after the other, and so keeps one core busy at most. Each endpoint of
/// a pool has a socket and a port of its own, and not one port with the others (`SO_REUSEPORT`): all that a
/// peer sends, STUN as well as media, and all that is sent to it must meet in one table, and the
/// kernel, which would choose the socket by a hash of the addresses, does not know the peers. A peer that
/// comes from a second address would meet a stranger.
///
/// Give the pool to
/// [`PeerConnectionBuilder::endpoint`](crate::peer_connection::PeerConnectionBuilder::endpoint): each peer
/// then takes the endpoint that has the fewest when it is spawned, and keeps it.
///
/// The endpoints are children of the supervisor that started them, each for itself. Where one ends, its peers
/// do ([`CloseReason::PartFailed`](crate::peer_connection::CloseReason::PartFailed)); the pool goes on with
/// the others and never gives out the dead one. It does not come back: a supervisor that wants the full
/// number again starts a new pool for the peers to come. A supervisor that keeps ractor's own
/// `handle_supervisor_evt` stops with the first endpoint that does, and takes the others along.
///
/// ```no_run
/// # use ractor_webrtc::{PeerConnection, PeerEvent, UdpEndpointConfiguration, UdpEndpointPool};
/// # async fn example<M: ractor::Message + From<PeerEvent>>(owner: ractor::ActorRef<M>)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// // Ports 50000, 50001, … as many as there are cores.
/// let configuration = UdpEndpointConfiguration::address("0.0.0.0:50000".parse()?);
/// let pool = UdpEndpointPool::spawn_per_core(configuration, owner.get_cell()).await?;
/// let settings = PeerConnection::builder().endpoint(pool);
/// let peer = settings.clone().spawn_linked(&owner).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct UdpEndpointPool {
    endpoints: Arc<[UdpEndpoint]>,
    /// Where the next search begins, so that equals take turns.
    turn: Arc<AtomicUsize>,
}

impl UdpEndpointPool {
    /// Binds `count` sockets and starts an endpoint for each under `supervisor`.
    ///
    /// Port 0 gives each endpoint any free port, a range a free one out of it, and a fixed port P the
    /// ports from P on, one after the other.
    ///
    /// # Errors
    ///
    /// [`UdpEndpointError::Bind`] names the port that is taken, [`UdpEndpointError::PortsExhausted`] says that
    /// there are fewer ports than endpoints. None of the endpoints runs then.
    pub async fn spawn(
        configuration: UdpEndpointConfiguration,
        count: NonZeroUsize,
        supervisor: ActorCell,
    ) -> Result<Self, UdpEndpointError> {
        let mut endpoints = Vec::with_capacity(count.get());
        let mut started = Vec::with_capacity(count.get());
        for socket in configuration.bind_several(count)? {
            let endpoint =
                UdpEndpoint::start(socket, configuration.limits, supervisor.clone()).await?;
            started.push(StopOnDrop::new(endpoint.cell()));
            endpoints.push(endpoint);
        }
        started.into_iter().for_each(StopOnDrop::keep);
        Ok(Self::of(endpoints))
    }

    /// [`spawn`](Self::spawn) with one endpoint for each core that this process may use.
    ///
    /// # Errors
    ///
    /// As of [`spawn`](Self::spawn).
    pub async fn spawn_per_core(
        configuration: UdpEndpointConfiguration,
        supervisor: ActorCell,
    ) -> Result<Self, UdpEndpointError> {
        let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Self::spawn(configuration, cores, supervisor).await
    }

    fn of(endpoints: Vec<UdpEndpoint>) -> Self {
        Self {
            endpoints: endpoints.into(),
            turn: Arc::default(),
        }
    }

    /// All endpoints, those that have stopped too, in the order of their ports where these are fixed.
    pub fn endpoints(&self) -> &[UdpEndpoint] {
        &self.endpoints
    }

    /// The running endpoint with the fewest peers; of several, each in turn. It counts the peer only
    /// once that is spawned: who spawns many at once should give the builder the pool itself.
    ///
    /// # Errors
    ///
    /// [`UdpEndpointError::Stopped`] when none is running.
    pub fn endpoint(&self) -> Result<UdpEndpoint, UdpEndpointError> {
        let (endpoint, _) = self.emptiest()?;
        Ok(endpoint.clone())
    }

    /// Stops all endpoints, and thereby their peers. Does not wait.
    pub fn stop(&self) {
        self.endpoints.iter().for_each(UdpEndpoint::stop);
    }

    /// A place for one peer more, where there are the fewest.
    pub(crate) fn seat(&self) -> Result<Seat, UdpEndpointError> {
        loop {
            let (endpoint, peers) = self.emptiest()?;
            let limit = endpoint.seats.limit();
            if peers >= limit {
                endpoint.seats.refuse();
                return Err(UdpEndpointError::Full { limit });
            }
            // Where somebody was faster, this one may be the emptiest no more.
            if endpoint.seats.take(peers) {
                return Ok(Seat(endpoint.clone()));
            }
        }
    }

    fn emptiest(&self) -> Result<(&UdpEndpoint, usize), UdpEndpointError> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.endpoints.len();
        let (before, from_first) = self.endpoints.split_at(first);
        from_first
            .iter()
            .chain(before)
            .filter(|endpoint| endpoint.is_running())
            .map(|endpoint| (endpoint, endpoint.seats.taken()))
            .min_by_key(|(_, peers)| *peers)
            .ok_or(UdpEndpointError::Stopped)
    }
}

/// A pool of one.
impl From<UdpEndpoint> for UdpEndpointPool {
    fn from(endpoint: UdpEndpoint) -> Self {
        Self::of(vec![endpoint])
    }
}

/// An endpoint that counts one peer more while this lives.
#[derive(Debug)]
pub(crate) struct Seat(UdpEndpoint);

impl Deref for Seat {
    type Target = UdpEndpoint;

    fn deref(&self) -> &UdpEndpoint {
        &self.0
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.give_back();
    }
}
