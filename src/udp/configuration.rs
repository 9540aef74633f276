//! What socket an endpoint is to have, and why it could not.

use std::io;
use std::iter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use rand::Rng;
use socket2::{Domain, Protocol, Socket, Type};

use crate::call::StartError;
use crate::limits::EndpointLimits;

/// Which address and port an endpoint takes, and how much the kernel buffers for it.
///
/// ```
/// use ractor_webrtc::udp::UdpEndpointConfiguration;
///
/// // Both families, any free port.
/// let any = UdpEndpointConfiguration::dual_stack();
/// // IPv4, a free port out of a range that a firewall lets through.
/// let ranged = UdpEndpointConfiguration::ipv4().port_range(50_000..=50_100);
/// // One port for everybody.
/// let fixed = UdpEndpointConfiguration::address("192.0.2.7:3478".parse().unwrap());
/// # let _ = (any, ranged, fixed);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpEndpointConfiguration {
    ip: IpAddr,
    ports: RangeInclusive<u16>,
    receive_buffer_bytes: usize,
    send_buffer_bytes: usize,
    pub(super) limits: EndpointLimits,
}

impl UdpEndpointConfiguration {
    /// All IPv4 addresses of the machine, any free port.
    pub fn ipv4() -> Self {
        Self::address((Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// All IPv6 and IPv4 addresses of the machine, any free port.
    pub fn dual_stack() -> Self {
        Self::address((Ipv6Addr::UNSPECIFIED, 0).into())
    }

    /// This address and port; port 0 is any free one. An unspecified IPv6 address takes IPv4 as well.
    ///
    /// On a machine that serves on one address, name it: packets then cost less to send than from
    /// a socket of all addresses, which must say with each packet where it comes from.
    pub fn address(address: SocketAddr) -> Self {
        Self {
            ip: address.ip(),
            ports: address.port()..=address.port(),
            receive_buffer_bytes: BUFFER_BYTES,
            send_buffer_bytes: BUFFER_BYTES,
            limits: EndpointLimits::default(),
        }
    }

    /// A free port of this range. Where the search begins is random, so that many endpoints of
    /// one range find theirs at once.
    #[must_use]
    pub fn port_range(self, ports: RangeInclusive<u16>) -> Self {
        Self { ports, ..self }
    }

    /// How much the kernel is asked to buffer on the way in and out, in bytes. It may grant less
    /// (`net.core.rmem_max`, `wmem_max`); see
    /// [`UdpEndpoint::buffer_sizes`](super::UdpEndpoint::buffer_sizes).
    #[must_use]
    pub fn buffer_bytes(self, receive: usize, send: usize) -> Self {
        Self {
            receive_buffer_bytes: receive,
            send_buffer_bytes: send,
            ..self
        }
    }

    /// How much of everything the endpoint takes: an [`EndpointLimits`], or all [`Limits`](crate::Limits), of which it takes its own part.
    #[must_use]
    pub fn limits(self, limits: impl Into<EndpointLimits>) -> Self {
        Self {
            limits: limits.into(),
            ..self
        }
    }

    /// Binds the socket.
    pub(super) fn bind(&self) -> Result<std::net::UdpSocket, UdpEndpointError> {
        let (first, last) = (*self.ports.start(), *self.ports.end());
        if first == last {
            return self
                .bind_port(first)
                .map_err(|source| UdpEndpointError::Bind {
                    address: SocketAddr::new(self.ip, first),
                    source,
                });
        }
        let exhausted = || UdpEndpointError::PortsExhausted {
            ip: self.ip,
            first,
            last,
        };
        let count = u32::from(last)
            .checked_sub(first.into())
            .ok_or_else(exhausted)?
            + 1;
        let start = rand::rng().random_range(0..count);
        for step in 0..count {
            let offset = u16::try_from((start + step) % count).expect("less than the range");
            match self.bind_port(first + offset) {
                Ok(socket) => return Ok(socket),
                // Privileged ports within the range are as good as taken ones.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied
                    ) => {}
                Err(source) => {
                    return Err(UdpEndpointError::Bind {
                        address: SocketAddr::new(self.ip, first + offset),
                        source,
                    });
                }
            }
        }
        Err(exhausted())
    }

    /// Binds sockets for a pool: a fixed port and those after it, or whatever is free.
    pub(super) fn bind_several(
        &self,
        count: NonZeroUsize,
    ) -> Result<Vec<std::net::UdpSocket>, UdpEndpointError> {
        let first = *self.ports.start();
        if first == 0 || first != *self.ports.end() {
            return iter::repeat_with(|| self.bind())
                .take(count.get())
                .collect();
        }
        let neighbours = first..=u16::MAX;
        if neighbours.len() < count.get() {
            return Err(UdpEndpointError::PortsExhausted {
                ip: self.ip,
                first,
                last: u16::MAX,
            });
        }
        neighbours
            .take(count.get())
            .map(|port| self.clone().port_range(port..=port).bind())
            .collect()
    }

    fn bind_port(&self, port: u16) -> io::Result<std::net::UdpSocket> {
        let address = SocketAddr::new(self.ip, port);
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            socket.set_only_v6(!self.ip.is_unspecified())?;
        }
        // The kernel grants what it is configured to; less is slower under load, not wrong.
        if let Err(error) = socket
            .set_recv_buffer_size(self.receive_buffer_bytes)
            .and_then(|()| socket.set_send_buffer_size(self.send_buffer_bytes))
        {
            tracing::debug!(%error, "socket buffers keep their default size");
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    }
}

/// [`UdpEndpointConfiguration::dual_stack`], or [`ipv4`](UdpEndpointConfiguration::ipv4) on a machine
/// without IPv6.
impl Default for UdpEndpointConfiguration {
    fn default() -> Self {
        let dual_stack = Self::dual_stack();
        if dual_stack.bind_port(0).is_ok() {
            dual_stack
        } else {
            Self::ipv4()
        }
    }
}

/// What the kernel granted for one socket, in bytes as it counts them (Linux: twice what was
/// asked, for its own bookkeeping).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpBufferSizes {
    /// On the way in.
    pub receive: usize,
    /// On the way out.
    pub send: usize,
}

/// Why an endpoint could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UdpEndpointError {
    /// Every port of the range is taken (or the range is empty).
    #[error("no free UDP port on {ip} between {first} and {last}")]
    PortsExhausted {
        /// The address that was tried.
        ip: IpAddr,
        /// First port of the range.
        first: u16,
        /// Last port of the range.
        last: u16,
    },
    /// The system refused this address and port.
    #[error("cannot use UDP address {address}")]
    Bind {
        /// The address that was tried.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The endpoint has stopped, or all endpoints of the pool have.
    #[error("udp endpoint has stopped")]
    Stopped,
    /// It has as many peers as its [`EndpointLimits`] say, and so have all other running ones of the pool: try again when a peer has ended, or
    /// have more endpoints.
    #[error("udp endpoint has {limit} peers already")]
    Full {
        /// The limit.
        limit: usize,
    },
    /// The actor did not start.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Room for some 30 ms at a gigabit.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback(port: u16) -> UdpEndpointConfiguration {
        UdpEndpointConfiguration::address(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn a_range_gives_each_port_once_and_then_says_that_it_is_used_up() {
        // Three neighbours that are free now.
        let (first, held) = (20_000..60_000)
            .step_by(7)
            .find_map(|first| {
                let held: Vec<_> = (first..first + 3)
                    .map_while(|port| loopback(port).bind().ok())
                    .collect();
                (held.len() == 3).then_some((first, held))
            })
            .unwrap();
        drop(held);
        let configuration = loopback(0).port_range(first..=first + 2);
        let sockets: Vec<_> = (0..3).map(|_| configuration.bind().unwrap()).collect();
        let mut ports: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap().port())
            .collect();
        ports.sort_unstable();
        assert_eq!(ports, [first, first + 1, first + 2]);
        let error = configuration.bind().unwrap_err();
        assert!(
            matches!(error, UdpEndpointError::PortsExhausted { first: f, .. } if f == first),
            "{error}"
        );
        drop(sockets);
        assert!(configuration.bind().is_ok());
    }

    #[test]
    #[allow(clippy::reversed_empty_ranges)]
    fn an_empty_range_has_no_free_port() {
        let error = loopback(0).port_range(9..=8).bind().unwrap_err();
        assert!(matches!(error, UdpEndpointError::PortsExhausted { .. }));
    }

    #[test]
    fn a_taken_port_is_named() {
        let held = loopback(0).bind().unwrap();
        let address = held.local_addr().unwrap();
        let error = UdpEndpointConfiguration::address(address)
            .bind()
            .unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
