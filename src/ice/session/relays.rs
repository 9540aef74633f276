//! A session's relays: which servers are asked, and what they say.

use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Session, now, numbered};
use crate::ice::lookups::AskedServer;
use crate::ice::message::SessionFact;
use crate::ice::turn::{Relay, RelayEvent, RelayOutlet, RelayRequest};

/// A relay, from the request to its end.
#[derive(Debug)]
pub(super) struct RelaySlot {
    pub(super) relay: Option<Relay>,
    server: SocketAddr,
    /// Its address, once it has one.
    pub(super) relayed: Option<SocketAddr>,
    /// Gathering waits for it.
    awaited: bool,
}

impl Session {
    /// Asks a server for a relay where it is one, and gives how many were asked for.
    pub(super) async fn open_relay(&mut self, server: usize, addresses: &[SocketAddr]) -> usize {
        let asked = self.lookups.server(server).cloned();
        let Some(AskedServer {
            url,
            relay: Some(credentials),
        }) = asked
        else {
            return 0;
        };
        let way = addresses.iter().find_map(|server| {
            let local_ip = self.bound.iter().find_map(|it| base_for(*server, it.ip()));
            Some((*server, local_ip?))
        });
        let Some((server, local_ip)) = way.filter(|_| self.relays.len() < MAX_RELAYS) else {
            return 0;
        };
        let index = self.relays.len();
        let number = self.registrations.len() + index;
        let session = self.address.clone();
        let request = RelayRequest {
            server,
            username: credentials.username().unwrap_or_default().to_owned(),
            credential: credentials.credential().unwrap_or_default().to_owned(),
            local_ip,
            username_fragment: self.local.username_fragment.clone(),
            stun: numbered(&self.to_us, number),
            sinks: self.sinks.clone(),
            events: RelayOutlet::new(move |event| {
                session.tell(SessionFact::Relay {
                    number: index,
                    event,
                });
            }),
        };
        match Relay::spawn(request, self.address.transport.get_cell()).await {
            Ok(relay) => {
                self.relays.push(RelaySlot {
                    relay: Some(relay),
                    server,
                    relayed: None,
                    awaited: true,
                });
                1
            }
            Err(error) => {
                tracing::warn!(%url, %error, "no relay of this server");
                0
            }
        }
    }

    pub(super) fn hear_relay(&mut self, index: usize, event: RelayEvent) {
        let number = self.registrations.len() + index;
        let Some(slot) = self.relays.get_mut(index) else {
            return;
        };
        let server = slot.server;
        let told = match event {
            RelayEvent::Allocated { relayed, mapped } => {
                slot.relayed = Some(relayed);
                self.machine.handle_relay_ready(number, relayed);
                Some((relayed, mapped, server.ip()))
            }
            RelayEvent::ChannelBound { peer, channel } => {
                if let Some(relay) = &mut slot.relay {
                    relay.channel_bound(peer, channel);
                }
                return;
            }
            RelayEvent::Failed(error) => {
                tracing::warn!(%server, %error, "no relay, or not any more");
                slot.relay = None;
                self.machine.handle_relay_gone(number);
                None
            }
        };
        if mem::take(&mut slot.awaited) {
            self.advance_gathering(|gathering, effects| {
                gathering.handle_relay(told, now(), effects);
            });
        }
    }
}

/// From where to ask a server, next to an endpoint that is bound to that address.
fn base_for(server: SocketAddr, endpoint: IpAddr) -> Option<IpAddr> {
    match (server, endpoint) {
        (SocketAddr::V4(_), IpAddr::V4(_)) | (SocketAddr::V6(_), IpAddr::V6(_)) => Some(endpoint),
        // A socket of all addresses is one of all IPv4 addresses too.
        (SocketAddr::V4(_), IpAddr::V6(any)) if any.is_unspecified() => {
            Some(Ipv4Addr::UNSPECIFIED.into())
        }
        (SocketAddr::V4(_), IpAddr::V6(_)) | (SocketAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// Relays of one session: each is a socket here and an allocation there.
const MAX_RELAYS: usize = 4;
