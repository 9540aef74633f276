//! What the system is asked: its own addresses, and those of servers.

use tokio::task::JoinHandle;
use tracing::Instrument;

use super::local_candidate::InterfaceAddress;
use super::mdns;
use super::message::{SessionFact, SessionRef};
use super::server::{IceServer, IceServerScheme, IceServerTransport, IceServerUrl};

/// Look-ups of servers' names, each in a task that tells its result; aborted when dropped.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    servers: Vec<AskedServer>,
    tasks: Vec<JoinHandle<()>>,
}

/// A server that is asked for candidates.
#[derive(Clone, Debug)]
pub(super) struct AskedServer {
    pub(super) url: IceServerUrl,
    /// Whose credentials are needed, where it relays.
    pub(super) relay: Option<IceServer>,
}

impl Lookups {
    /// Looks up the `stun:` servers, and the `turn:` servers that are reached over UDP.
    pub(super) fn begin(servers: &[IceServer], session: &SessionRef) -> Self {
        let servers: Vec<_> = servers
            .iter()
            .flat_map(|server| server.urls().iter().map(move |url| (server, url)))
            .filter_map(|(server, url)| asked(server, url))
            .take(MAX_SERVERS)
            .collect();
        let tasks = servers
            .iter()
            .enumerate()
            .map(|(number, server)| {
                let looking = look_up(number, server.url.clone(), session.clone());
                tokio::spawn(looking.in_current_span())
            })
            .collect();
        Self { servers, tasks }
    }

    /// How many results there will be.
    pub(super) fn count(&self) -> usize {
        self.tasks.len()
    }

    /// Whether any of the servers relays.
    pub(super) fn has_relays(&self) -> bool {
        self.servers.iter().any(|server| server.relay.is_some())
    }

    /// The server of a result.
    pub(super) fn server(&self, number: usize) -> Option<&AskedServer> {
        self.servers.get(number)
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn asked(server: &IceServer, url: &IceServerUrl) -> Option<AskedServer> {
    let over_udp = url.transport() != Some(IceServerTransport::Tcp);
    let relay = match url.scheme() {
        IceServerScheme::Stun => None,
        IceServerScheme::Turn if over_udp => Some(server.clone()),
        IceServerScheme::Turn | IceServerScheme::Stuns | IceServerScheme::Turns => {
            tracing::warn!(%url, "servers are asked over UDP only; no candidate from this one");
            return None;
        }
    };
    let url = url.clone();
    Some(AskedServer { url, relay })
}

async fn look_up(server: usize, url: IceServerUrl, session: SessionRef) {
    let addresses = match tokio::net::lookup_host((url.host(), url.port())).await {
        Ok(addresses) => addresses.take(MAX_ADDRESSES).collect(),
        Err(error) => {
            tracing::warn!(%url, %error, "no address for this server");
            Vec::new()
        }
    };
    session.tell(SessionFact::ServerLookedUp { server, addresses });
}

/// Look-ups of `.local` names; aborted when dropped.
#[derive(Debug, Default)]
pub(super) struct NameLookups(Vec<(String, JoinHandle<()>)>);

impl NameLookups {
    /// Asks the local network, once for each name.
    pub(super) fn look_up(&mut self, name: String, session: &SessionRef) {
        if self.0.iter().any(|(known, _)| *known == name) {
            return;
        }
        let (wanted, session) = (name.clone(), session.clone());
        let looking = async move {
            if let Some(ip) = mdns::look_up(&wanted).await {
                session.tell(SessionFact::NameLookedUp { name: wanted, ip });
            }
        };
        self.0.push((name, tokio::spawn(looking.in_current_span())));
    }
}

impl Drop for NameLookups {
    fn drop(&mut self) {
        for (_, task) in &self.0 {
            task.abort();
        }
    }
}

/// The addresses of this machine. One short system call.
pub(super) fn interfaces() -> Vec<InterfaceAddress> {
    match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces
            .into_iter()
            .map(|interface| InterfaceAddress {
                ip: interface.ip(),
                interface: interface.name,
            })
            .collect(),
        Err(error) => {
            tracing::warn!(%error, "the system does not tell its addresses; no host candidates");
            Vec::new()
        }
    }
}

/// Servers asked in one session, and addresses looked at of each.
const MAX_SERVERS: usize = 8;
const MAX_ADDRESSES: usize = 16;
