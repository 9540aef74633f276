//! What an ICE session is told about the network that it may use.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::server::IceServer;
use crate::limits::PeerLimits;

/// Which candidates may be used (W3C `RTCIceTransportPolicy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IceTransportPolicy {
    /// All of them.
    #[default]
    All,
    /// Only those of a relay: nothing is sent but through a TURN server, and no address of this machine is told. Without
    /// a relay there are no candidates, and the connection fails.
    Relay,
}

/// Says of an interface, by its name, whether it may be used.
pub(crate) type InterfaceFilter = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Says of an address of this machine whether it may be used.
pub(crate) type IpFilter = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// Settings of ICE sessions. Shared by all sessions of a peer connection.
#[derive(Clone)]
pub(crate) struct IceConfiguration {
    pub(crate) servers: Vec<IceServer>,
    pub(crate) transport_policy: IceTransportPolicy,
    pub(crate) interface_filter: Option<InterfaceFilter>,
    pub(crate) ip_filter: Option<IpFilter>,
    /// Public addresses that stand for this machine's own ones of the same family, ports kept.
    pub(crate) nat_1to1: Vec<IpAddr>,
    /// Offers 127.0.0.1 and ::1 too. (A socket that is bound to one of them offers it anyway.)
    pub(crate) include_loopback: bool,
    /// Silence on the selected path after which the state is `Disconnected`.
    pub(crate) disconnected_timeout: Duration,
    /// Further silence after which it is `Failed`.
    pub(crate) failed_timeout: Duration,
    /// Between two consent checks on the selected path, give or take a fifth (RFC 7675 §5.1).
    pub(crate) consent_interval: Duration,
    /// Of each gathering.
    pub(crate) most_local_candidates: usize,
}

impl Default for IceConfiguration {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            transport_policy: IceTransportPolicy::All,
            interface_filter: None,
            ip_filter: None,
            nat_1to1: Vec::new(),
            include_loopback: false,
            disconnected_timeout: Duration::from_secs(5),
            failed_timeout: Duration::from_secs(25),
            consent_interval: Duration::from_secs(2),
            most_local_candidates: PeerLimits::default().local_candidates,
        }
    }
}

impl fmt::Debug for IceConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceConfiguration")
            .field("servers", &self.servers)
            .field("transport_policy", &self.transport_policy)
            .field("interface_filter", &self.interface_filter.is_some())
            .field("ip_filter", &self.ip_filter.is_some())
            .field("nat_1to1", &self.nat_1to1)
            .field("include_loopback", &self.include_loopback)
            .field("disconnected_timeout", &self.disconnected_timeout)
            .field("failed_timeout", &self.failed_timeout)
            .field("consent_interval", &self.consent_interval)
            .field("most_local_candidates", &self.most_local_candidates)
            .finish()
    }
}
