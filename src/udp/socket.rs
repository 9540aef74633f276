//! The socket itself, shared by whoever sends.
//!
//! Packets of one size to one peer leave in one system call (GSO). Packets to different peers take one call
//! each: `sendmmsg` would gather those, and was measured. Copying, sealing and sending 1100 bytes for each of
//! fifty peers, on one core over loopback, costs 1.33 µs a packet by `sendto` and 1.26 µs by one `sendmmsg` for all fifty
//! where nobody reads, 2.16 and 2.03 µs where each packet wakes a reader: 5 and 6 %, and 2 to 4 % of frames that go by GSO. What it
//! asks for is a batch across peers, whose errors must be told apart again, and calls that no crate here makes.
//! Control messages cost more than the call that `sendmmsg` saves: with type of service and source address
//! `sendmsg` takes 1.61 and 2.45 µs. So a lone packet goes without them where it can.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
#[cfg(target_os = "linux")]
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::channel::ChannelNumber;
use super::configuration::{UdpEndpointConfiguration, UdpEndpointError};
use super::segments::{Refusals, send_segments};

/// A UDP socket that can send equal-sized packets in one system call. Cheap to clone.
///
/// IPv4 addresses are written as IPv4 here, on a dual-stack socket too. The socket closes
/// when the last clone goes.
#[derive(Clone, Debug)]
pub(crate) struct EndpointSocket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: UdpSocket,
    state: UdpSocketState,
    local_addr: SocketAddr,
    families: Families,
    /// Whether the system knows how to split batches at all.
    segments: bool,
    /// It does not, or refused to on some way.
    segmentation_refused: AtomicBool,
}

/// Which addresses a socket reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Families {
    V4,
    V6,
    Both,
}

/// Where a peer is reached: everything that DTLS and media need to send.
#[derive(Clone, Debug)]
pub(crate) struct TransportPath {
    pub(crate) socket: EndpointSocket,
    /// The peer, or the TURN server in between.
    pub(crate) remote: SocketAddr,
    /// Source address to send from, where the socket has several.
    pub(crate) local_ip: Option<IpAddr>,
    /// Through a TURN server, what stands for the peer there.
    channel: Option<ChannelNumber>,
    /// The kernel does not split batches on this way.
    segmentation_refused: Arc<AtomicBool>,
    /// Set when the peer does not consent any more (RFC 7675 §5.1).
    revoked: Arc<AtomicBool>,
}

impl TransportPath {
    /// The way from `socket`, and this address of it, to `remote`.
    pub(crate) fn new(
        socket: EndpointSocket,
        remote: SocketAddr,
        local_ip: Option<IpAddr>,
    ) -> Self {
        let segmentation_refused = Arc::new(AtomicBool::new(!socket.inner.segments));
        Self {
            socket,
            remote,
            local_ip,
            channel: None,
            segmentation_refused,
            revoked: Arc::default(),
        }
    }

    /// Whether a TURN server stands in between.
    pub(crate) fn is_relayed(&self) -> bool {
        self.channel.is_some()
    }

    /// The way to a peer through this channel of a TURN server.
    pub(crate) fn through(
        socket: EndpointSocket,
        server: SocketAddr,
        channel: ChannelNumber,
    ) -> Self {
        Self {
            channel: Some(channel),
            ..Self::new(socket, server, None)
        }
    }

    /// Sends nothing any more once `revoked` is set.
    pub(crate) fn revocable(self, revoked: &Arc<AtomicBool>) -> Self {
        let revoked = Arc::clone(revoked);
        Self { revoked, ..self }
    }

    /// Sends `contents`: one datagram, or several of `segment` bytes each (the last may be
    /// shorter). Never waits. Through a relay it costs a copy, for each datagram gets a header.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotConnected`] when the peer's consent has expired,
    /// [`io::ErrorKind::WouldBlock`] when the socket's buffer is full, and what the kernel says;
    /// of several datagrams, some may have left all the same.
    pub(crate) fn try_send(&self, contents: &[u8], segment: Option<usize>) -> io::Result<()> {
        if self.revoked.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        match self.channel {
            None => self.transmit(contents, segment),
            Some(channel) => {
                let (wrapped, segment) = channel.wrap(contents, segment)?;
                self.transmit(&wrapped, segment)
            }
        }
    }

    fn transmit(&self, contents: &[u8], segment: Option<usize>) -> io::Result<()> {
        let transmit = Transmit {
            destination: self.remote,
            ecn: None,
            contents,
            segment_size: None,
            src_ip: self.local_ip,
        };
        match segment.filter(|size| *size > 0 && *size < contents.len()) {
            None => self.socket.try_send(&transmit),
            Some(segment) => {
                let refused = Refusals {
                    here: &self.segmentation_refused,
                    anywhere: &self.socket.inner.segmentation_refused,
                };
                let transmit = self.socket.as_kernel_writes(&transmit)?;
                send_segments(&transmit, segment, refused, |transmit| {
                    self.socket.hand_over(transmit)
                })
            }
        }
    }
}

/// Two paths are one where they share socket and addresses.
impl PartialEq for TransportPath {
    fn eq(&self, other: &Self) -> bool {
        self.remote == other.remote
            && self.channel == other.channel
            && self.local_ip == other.local_ip
            && Arc::ptr_eq(&self.socket.inner, &other.socket.inner)
    }
}

impl EndpointSocket {
    /// A socket of nobody's but the caller's.
    pub(crate) fn bind(configuration: &UdpEndpointConfiguration) -> Result<Self, UdpEndpointError> {
        Self::of(configuration.bind()?)
    }

    /// The same for one that is bound already.
    pub(crate) fn of(bound: std::net::UdpSocket) -> Result<Self, UdpEndpointError> {
        let address = bound.local_addr();
        Self::new(bound).map_err(|source| UdpEndpointError::Bind {
            address: address.unwrap_or(UNKNOWN),
            source,
        })
    }

    /// Takes over a bound, non-blocking socket.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let local_addr = socket.local_addr()?;
        let families = match local_addr {
            SocketAddr::V4(_) => Families::V4,
            SocketAddr::V6(_) if SockRef::from(&socket).only_v6()? => Families::V6,
            SocketAddr::V6(address) if !address.ip().is_unspecified() => Families::V6,
            SocketAddr::V6(_) => Families::Both,
        };
        let socket = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        let segments = state.max_gso_segments() > 1;
        Ok(Self {
            inner: Arc::new(Inner {
                socket,
                state,
                local_addr,
                families,
                segments,
                segmentation_refused: AtomicBool::new(!segments),
            }),
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// Which addresses can be sent to.
    pub(crate) fn families(&self) -> Families {
        self.inner.families
    }

    /// Whether `remote` is of a family that this socket sends to.
    pub(crate) fn reaches(&self, remote: IpAddr) -> bool {
        match self.inner.families {
            Families::V4 => remote.is_ipv4(),
            Families::V6 => remote.is_ipv6(),
            Families::Both => true,
        }
    }

    /// Sends one datagram without waiting.
    pub(crate) fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.hand_over(&self.as_kernel_writes(transmit)?)
    }

    /// Asks the kernel each time rather than the runtime's last news of it, which says "not writable" of
    /// a new socket until the reactor has run once.
    fn hand_over(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let inner = &*self.inner;
        if transmit.segment_size.is_some() || transmit.src_ip.is_some() || transmit.ecn.is_some() {
            return inner.state.try_send((&inner.socket).into(), transmit);
        }
        let destination = transmit.destination.into();
        loop {
            match SockRef::from(&inner.socket).send_to(transmit.contents, &destination) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return sent.map(|_| ()),
            }
        }
    }

    /// Reads what is there, one buffer a message, without waiting.
    pub(crate) fn try_receive(
        &self,
        buffers: &mut [io::IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> io::Result<usize> {
        let inner = &*self.inner;
        inner.socket.try_io(Interest::READABLE, || {
            inner
                .state
                .recv((&inner.socket).into(), buffers, &mut *meta)
        })
    }

    /// Waits until there is something to read.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        self.inner.socket.readable().await
    }

    /// Sizes of the kernel's receive and send buffers in bytes, as the kernel counts them.
    pub(crate) fn buffer_sizes(&self) -> io::Result<(usize, usize)> {
        let socket = SockRef::from(&self.inner.socket);
        Ok((socket.recv_buffer_size()?, socket.send_buffer_size()?))
    }

    /// Datagrams that the kernel dropped before they were read, where it tells.
    pub(crate) fn kernel_drops(&self) -> Option<u64> {
        #[cfg(target_os = "linux")]
        return super::kernel_drops::kernel_drops(self.inner.socket.as_fd());
        #[cfg(not(target_os = "linux"))]
        None
    }

    /// Whether batches are not split by the kernel, on some way at least.
    pub(crate) fn segmentation_refused(&self) -> bool {
        self.inner.segmentation_refused.load(Ordering::Relaxed)
    }

    /// The transmit with addresses in the socket's own family. A socket that is bound to one address
    /// need not be told which to send from.
    fn as_kernel_writes<'a>(&self, transmit: &Transmit<'a>) -> io::Result<Transmit<'a>> {
        let inner = &*self.inner;
        if !self.reaches(transmit.destination.ip()) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let bound_to_all = inner.local_addr.ip().is_unspecified();
        let dual = inner.families == Families::Both;
        Ok(Transmit {
            destination: match transmit.destination {
                SocketAddr::V4(v4) if dual => {
                    SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
                }
                SocketAddr::V4(_) | SocketAddr::V6(_) => transmit.destination,
            },
            src_ip: transmit.src_ip.filter(|_| bound_to_all).map(|ip| match ip {
                IpAddr::V4(v4) if dual => v4.to_ipv6_mapped().into(),
                IpAddr::V4(_) | IpAddr::V6(_) => ip,
            }),
            ..transmit.clone()
        })
    }
}

/// The address as this crate writes it: IPv4 as IPv4, no flow label.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(v4.into(), v6.port()),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
    }
}

/// Said where not even the address of a socket is known.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_written_as_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:9".parse().unwrap();
        assert_eq!(canonical(mapped), SocketAddr::from(([192, 0, 2, 1], 9)));
        let v6: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
        assert_eq!(canonical(v6), v6);
    }
}
