//! Settings of a peer connection, and how it starts.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ractor::{ActorCell, ActorRef, Message, SpawnErr};
use tokio::sync::oneshot;

use super::actor::{PeerConnectionActor, PeerConnectionArguments};
use super::event::{PeerEvent, PeerId};
use super::journal;
use super::{PeerConnection, SpawnError};
use crate::call::StartError;
use crate::configuration::MediaConfiguration;
use crate::dtls::{Certificate, DEFAULT_HANDSHAKE_TIMEOUT};
use crate::ice::{IceConfiguration, IceServer, IceServerError, IceTransportPolicy};
use crate::limits::PeerLimits;
use crate::outlet::Outlet;
use crate::rtp_transport::MediaLimits;
use crate::srtp::SrtpProfile;
use crate::start::spawn_linked;
use crate::udp::{Seat, UdpEndpoint, UdpEndpointConfiguration, UdpEndpointError, UdpEndpointPool};

/// Settings of a new peer connection (W3C `RTCConfiguration`, and what a server needs beyond it).
///
/// ```no_run
/// # use ractor_webrtc::{PeerConnection, PeerEvent};
/// # async fn example<M: ractor::Message + From<PeerEvent>>(owner: ractor::ActorRef<M>)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// let pc = PeerConnection::builder()
///     .ice_server("stun:stun.example.org:3478")
///     .spawn_linked(&owner)
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is spawned"]
pub struct PeerConnectionBuilder {
    label: Option<String>,
    ice: IceConfiguration,
    /// The first server that was none; told at the start, so that the builder reads on.
    invalid_server: Option<IceServerError>,
    endpoint: EndpointChoice,
    certificate: Option<Certificate>,
    srtp_profiles: Vec<SrtpProfile>,
    handshake_timeout: Duration,
    media: Arc<MediaConfiguration>,
    limits: PeerLimits,
    audio_levels: Option<Duration>,
}

/// What the builder has settled.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) ice: Arc<IceConfiguration>,
    pub(super) endpoint: EndpointChoice,
    pub(super) certificate: Certificate,
    pub(super) srtp_profiles: Vec<SrtpProfile>,
    pub(super) handshake_timeout: Duration,
    pub(super) media: Arc<MediaConfiguration>,
    pub(super) limits: PeerLimits,
    pub(super) audio_levels: Option<Duration>,
}

/// Whose socket.
#[derive(Clone, Debug)]
pub(super) enum EndpointChoice {
    /// One of these, which many peers share; somebody else supervises them.
    Shared(UdpEndpointPool),
    /// One of the peer's own, a child of it; by default on any port of all families.
    Own(Option<UdpEndpointConfiguration>),
}

impl EndpointChoice {
    /// The endpoint to use, and whether it is the peer's own.
    pub(super) async fn open<M>(
        &self,
        peer: &ActorRef<M>,
    ) -> Result<(Seat, bool), UdpEndpointError> {
        match self {
            Self::Shared(pool) => Ok((pool.seat()?, false)),
            Self::Own(configuration) => {
                let endpoint =
                    UdpEndpoint::spawn(configuration.clone().unwrap_or_default(), peer.get_cell())
                        .await?;
                Ok((UdpEndpointPool::from(endpoint).seat()?, true))
            }
        }
    }
}

impl PeerConnectionBuilder {
    pub(super) fn new() -> Self {
        Self {
            label: None,
            ice: IceConfiguration::default(),
            invalid_server: None,
            endpoint: EndpointChoice::Own(None),
            certificate: None,
            srtp_profiles: SRTP_PROFILES.to_vec(),
            handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            media: Arc::clone(&DEFAULT_MEDIA),
            limits: PeerLimits::default(),
            audio_levels: None,
        }
    }

    /// What the log calls the peer, beside its [`PeerId`]: the name of who is at the other side, for instance.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a STUN or TURN server: a URL, or an [`IceServer`] (W3C `iceServers`). A URL that is none is told when
    /// the peer is spawned.
    pub fn ice_server<S>(mut self, server: S) -> Self
    where
        S: TryInto<IceServer>,
        S::Error: Into<IceServerError>,
    {
        match server.try_into() {
            Ok(server) => self.ice.servers.push(server),
            Err(error) => {
                self.invalid_server.get_or_insert_with(|| error.into());
            }
        }
        self
    }

    /// Replaces all STUN and TURN servers.
    pub fn ice_servers(mut self, servers: impl IntoIterator<Item = IceServer>) -> Self {
        self.ice.servers = servers.into_iter().collect();
        self
    }

    /// Which candidates may be used (W3C `iceTransportPolicy`).
    pub fn ice_transport_policy(mut self, policy: IceTransportPolicy) -> Self {
        self.ice.transport_policy = policy;
        self
    }

    /// Uses a socket that many peers share, in place of one of the peer's own: a
    /// [`UdpEndpoint`], or that one of a [`UdpEndpointPool`] which has the fewest peers when this one
    /// is spawned.
    pub fn endpoint(mut self, endpoint: impl Into<UdpEndpointPool>) -> Self {
        self.endpoint = EndpointChoice::Shared(endpoint.into());
        self
    }

    /// The peer's own socket takes the first free port of this range.
    pub fn port_range(mut self, ports: RangeInclusive<u16>) -> Self {
        self.endpoint =
            EndpointChoice::Own(Some(UdpEndpointConfiguration::default().port_range(ports)));
        self
    }

    /// The peer's own socket is made as this configuration says.
    pub fn own_endpoint(mut self, configuration: UdpEndpointConfiguration) -> Self {
        self.endpoint = EndpointChoice::Own(Some(configuration));
        self
    }

    /// Offers host candidates only of the network interfaces whose names pass.
    pub fn interface_filter(
        mut self,
        passes: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.ice.interface_filter = Some(Arc::new(passes));
        self
    }

    /// Offers host candidates only of the addresses that pass.
    pub fn ip_filter(mut self, passes: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        self.ice.ip_filter = Some(Arc::new(passes));
        self
    }

    /// The public addresses of a host behind 1:1 NAT: offered in place of the host's own.
    pub fn nat_1to1(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.ice.nat_1to1 = addresses.into_iter().collect();
        self
    }

    /// Offers loopback addresses too: for machines without a network, and for tests.
    pub fn include_loopback(mut self, include: bool) -> Self {
        self.ice.include_loopback = include;
        self
    }

    /// How long the remote side may leave checks unanswered before ICE says `disconnected`, and how much longer before
    /// it says `failed` (defaults 5 s and 25 s). Then its consent has expired (RFC 7675 §5.1, which says 30 s in all), nothing is
    /// sent to it any more, and only an ICE restart helps. Both together is also how long a first path is looked for.
    pub fn ice_timeouts(mut self, disconnected: Duration, failed: Duration) -> Self {
        self.ice.disconnected_timeout = disconnected;
        self.ice.failed_timeout = failed;
        self
    }

    /// How often the remote side is asked whether it is there and wants what it is sent, give or take a fifth (default
    /// 2 s). The shorter of the two times of [`Self::ice_timeouts`] should have room for two questions.
    pub fn consent_interval(mut self, interval: Duration) -> Self {
        self.ice.consent_interval = interval;
        self
    }

    /// Uses this certificate; one may serve any number of peers. By default each peer makes its own
    /// (ECDSA P-256).
    pub fn certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// The SRTP profiles to agree on, best first. By default AES-GCM before AES-CM: it costs
    /// a quarter.
    pub fn srtp_profiles(mut self, profiles: impl IntoIterator<Item = SrtpProfile>) -> Self {
        self.srtp_profiles = profiles.into_iter().collect();
        self
    }

    /// How long the DTLS handshake may take before it has failed (default 15 s).
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Codecs, header extensions and feedback.
    pub fn media(mut self, media: impl Into<Arc<MediaConfiguration>>) -> Self {
        self.media = media.into();
        self
    }

    /// How much of everything the peer takes: a [`PeerLimits`], or all [`Limits`](crate::Limits), of which it takes its own part.
    pub fn limits(mut self, limits: impl Into<PeerLimits>) -> Self {
        self.limits = limits.into();
        self
    }

    /// How much media may wait, for the network and for the owner: [`PeerLimits::media`] alone.
    pub fn media_limits(mut self, limits: MediaLimits) -> Self {
        self.limits.media = limits;
        self
    }

    /// Tells the owner how loud each remote audio track is ([`Event::AudioLevel`](super::Event::AudioLevel)), so often while sound arrives. By
    /// default it is not told.
    ///
    /// The remote side measures (RFC 6464) and says so in each packet, where that header extension is negotiated; by
    /// default it is, and browsers do.
    pub fn audio_level_interval(mut self, interval: Duration) -> Self {
        self.audio_levels = Some(interval);
        self
    }

    /// Starts the peer with `owner` as its owner and supervisor.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] says which part could not start.
    pub async fn spawn_linked<M>(self, owner: &ActorRef<M>) -> Result<PeerConnection, SpawnError>
    where
        M: Message + From<PeerEvent>,
    {
        self.spawn(owner, owner.get_cell()).await
    }

    /// Starts the peer under another supervisor than its owner. It ends with either of them.
    ///
    /// # Errors
    ///
    /// [`SpawnError`] says which part could not start.
    pub async fn spawn<M>(
        self,
        owner: &ActorRef<M>,
        supervisor: ActorCell,
    ) -> Result<PeerConnection, SpawnError>
    where
        M: Message + From<PeerEvent>,
    {
        let (handle, mut started) = oneshot::channel();
        let id = PeerId::next();
        let arguments = PeerConnectionArguments {
            id,
            span: journal::span(id, self.label.as_deref()),
            settings: self.settle()?,
            owner: Outlet::new(owner),
            supervisor: supervisor.clone(),
            handle,
        };
        spawn_linked(PeerConnectionActor, arguments, supervisor)
            .await
            .map_err(start_error)?;
        // Without waiting: whoever gave up here would leave a peer behind that nobody knows.
        Ok(started
            .try_recv()
            .expect("a peer connection that has started has sent its handle"))
    }

    fn settle(self) -> Result<Settings, SpawnError> {
        if let Some(error) = self.invalid_server {
            return Err(error.into());
        }
        let certificate = match self.certificate {
            Some(certificate) => certificate,
            None => Certificate::generate()?,
        };
        Ok(Settings {
            ice: Arc::new(IceConfiguration {
                most_local_candidates: self.limits.local_candidates,
                ..self.ice
            }),
            endpoint: self.endpoint,
            certificate,
            srtp_profiles: self.srtp_profiles,
            handshake_timeout: self.handshake_timeout,
            media: self.media,
            limits: self.limits,
            audio_levels: self.audio_levels,
        })
    }
}

/// The actor's hooks speak in boxed errors; what they carry is ours.
fn start_error(error: SpawnErr) -> SpawnError {
    match error {
        SpawnErr::StartupFailed(cause) => match cause.downcast::<SpawnError>() {
            Ok(ours) => *ours,
            Err(other) => StartError::from(SpawnErr::StartupFailed(other)).into(),
        },
        SpawnErr::ActorAlreadyStarted | SpawnErr::ActorAlreadyRegistered(_) => {
            StartError::from(error).into()
        }
    }
}

/// AES-GCM costs a quarter of AES-CM with SHA-1; 256 bits a little more than 128.
const SRTP_PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::Aes128CmHmacSha1_80,
];

/// One for all peers that want no other.
static DEFAULT_MEDIA: LazyLock<Arc<MediaConfiguration>> =
    LazyLock::new(|| Arc::new(MediaConfiguration::default()));
