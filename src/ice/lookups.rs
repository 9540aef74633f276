//! What the system is asked: its own addresses, and those of servers.

use tokio::task::JoinHandle;

use super::local_candidate::InterfaceAddress;
use super::message::{SessionFact, SessionRef};
use super::server::{IceServer, IceServerScheme, IceServerUrl};

/// Look-ups of servers' names, each in a task that tells its result; aborted when dropped.
#[derive(Debug, Default)]
pub(super) struct Lookups(Vec<JoinHandle<()>>);

impl Lookups {
    /// Looks up the `stun:` servers.
    pub(super) fn begin(servers: &[IceServer], session: &SessionRef) -> Self {
        let urls = servers.iter().flat_map(IceServer::urls);
        let (stun, others): (Vec<_>, Vec<_>) =
            urls.partition(|url| url.scheme() == IceServerScheme::Stun);
        if let Some(url) = others.first() {
            tracing::warn!(%url, "only stun: servers are asked so far; no candidate from this one");
        }
        let tasks = stun
            .into_iter()
            .take(MAX_SERVERS)
            .map(|url| tokio::spawn(look_up(url.clone(), session.clone())));
        Self(tasks.collect())
    }

    /// How many results there will be.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

impl Drop for Lookups {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

async fn look_up(url: IceServerUrl, session: SessionRef) {
    let addresses = match tokio::net::lookup_host((url.host(), url.port())).await {
        Ok(addresses) => addresses.take(MAX_ADDRESSES).collect(),
        Err(error) => {
            tracing::warn!(%url, %error, "no address for this server");
            Vec::new()
        }
    };
    session.tell(SessionFact::ServerLookedUp { addresses });
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
