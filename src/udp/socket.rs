//! The socket itself, shared by whoever sends.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::channel::ChannelNumber;
use super::configuration::{UdpEndpointConfiguration, UdpEndpointError};

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
    /// The kernel refused segmentation once; packets go one by one since.
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
    pub(crate) channel: Option<ChannelNumber>,
}

impl TransportPath {
    /// Sends `contents`: one datagram, or several of `segment` bytes each (the last may be
    /// shorter). Never waits. Through a relay it costs a copy, for each datagram gets a header.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when the socket's buffer is full, and what the kernel says;
    /// of several datagrams, some may have left all the same.
    pub(crate) fn try_send(&self, contents: &[u8], segment: Option<usize>) -> io::Result<()> {
        match self.channel {
            None => self.transmit(contents, segment),
            Some(channel) => {
                let (wrapped, segment) = channel.wrap(contents, segment)?;
                self.transmit(&wrapped, segment)
            }
        }
    }

    fn transmit(&self, contents: &[u8], segment: Option<usize>) -> io::Result<()> {
        self.socket.try_send(&Transmit {
            destination: self.remote,
            ecn: None,
            contents,
            segment_size: segment,
            src_ip: self.local_ip,
        })
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
        Ok(Self {
            inner: Arc::new(Inner {
                socket,
                state,
                local_addr,
                families,
                segmentation_refused: AtomicBool::new(false),
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

    /// Sends without waiting; splits the transmit itself where the kernel cannot.
    ///
    /// Asks the kernel each time rather than the runtime's last news of it, which says "not writable" of
    /// a new socket until the reactor has run once.
    pub(crate) fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let inner = &*self.inner;
        if !self.reaches(transmit.destination.ip()) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let transmit = Transmit {
            destination: self.as_kernel_writes(transmit.destination),
            src_ip: transmit.src_ip.map(|ip| self.ip_as_kernel_writes(ip)),
            ..transmit.clone()
        };
        send_segments(&transmit, &inner.segmentation_refused, |transmit| {
            inner.state.try_send((&inner.socket).into(), transmit)
        })
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

    /// Whether segmentation has been given up.
    pub(crate) fn segmentation_refused(&self) -> bool {
        self.inner.segmentation_refused.load(Ordering::Relaxed)
    }

    fn as_kernel_writes(&self, address: SocketAddr) -> SocketAddr {
        match (self.inner.families, address) {
            (Families::Both, SocketAddr::V4(v4)) => {
                SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
            }
            (Families::V4 | Families::V6 | Families::Both, address) => address,
        }
    }

    fn ip_as_kernel_writes(&self, ip: IpAddr) -> IpAddr {
        match (self.inner.families, ip) {
            (Families::Both, IpAddr::V4(v4)) => v4.to_ipv6_mapped().into(),
            (Families::V4 | Families::V6 | Families::Both, ip) => ip,
        }
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

/// Sends in as few calls as `send` allows: whole, in chunks that the kernel takes, or one by one
/// where it refuses to segment. That is found out once and remembered in `refused`.
fn send_segments(
    transmit: &Transmit<'_>,
    refused: &AtomicBool,
    mut send: impl FnMut(&Transmit<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let Some(segment) = transmit
        .segment_size
        .filter(|size| *size > 0 && *size < transmit.contents.len())
    else {
        return send(&Transmit {
            segment_size: None,
            ..transmit.clone()
        });
    };
    let chunk = segment * (MAX_SEGMENTS.min(MAX_PAYLOAD / segment)).max(1);
    for contents in transmit.contents.chunks(chunk) {
        let whole = Transmit {
            contents,
            ..transmit.clone()
        };
        if refused.load(Ordering::Relaxed) {
            send_one_by_one(&whole, segment, &mut send)?;
            continue;
        }
        match send(&whole) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => {
                // A wrong address fails here as well; then segmentation is not to blame.
                send_one_by_one(&whole, segment, &mut send)?;
                if contents.len() > segment && !refused.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "no segmentation offload on this socket; packets go one by one");
                }
            }
        }
    }
    Ok(())
}

fn send_one_by_one(
    transmit: &Transmit<'_>,
    segment: usize,
    send: &mut impl FnMut(&Transmit<'_>) -> io::Result<()>,
) -> io::Result<()> {
    transmit.contents.chunks(segment).try_for_each(|contents| {
        send(&Transmit {
            contents,
            segment_size: None,
            ..transmit.clone()
        })
    })
}

/// Said where not even the address of a socket is known.
const UNKNOWN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Linux `UDP_MAX_SEGMENTS`.
const MAX_SEGMENTS: usize = 64;
/// Largest payload of one IPv4 datagram, which bounds a segmented send too.
const MAX_PAYLOAD: usize = 65_507;

#[cfg(test)]
mod tests {
    use super::*;

    fn transmit(contents: &[u8], segment_size: Option<usize>) -> Transmit<'_> {
        Transmit {
            destination: SocketAddr::from(([192, 0, 2, 1], 9)),
            ecn: None,
            contents,
            segment_size,
            src_ip: None,
        }
    }

    /// Sizes of what was sent, each with its segment size.
    fn sent(
        transmit: &Transmit<'_>,
        refused: &AtomicBool,
        mut verdict: impl FnMut(&Transmit<'_>) -> io::Result<()>,
    ) -> (Vec<(usize, Option<usize>)>, io::Result<()>) {
        let mut calls = Vec::new();
        let result = send_segments(transmit, refused, |transmit| {
            calls.push((transmit.contents.len(), transmit.segment_size));
            verdict(transmit)
        });
        (calls, result)
    }

    #[test]
    fn a_batch_goes_in_chunks_that_the_kernel_takes() {
        let contents = vec![0; 1200 * 100 + 7];
        let refused = AtomicBool::new(false);
        let (calls, result) = sent(&transmit(&contents, Some(1200)), &refused, |_| Ok(()));
        result.unwrap();
        assert_eq!(
            calls,
            [(64_800, Some(1200)), (120_007 - 64_800, Some(1200)),]
        );
        let contents = vec![0; 100 * 65];
        let (calls, _) = sent(&transmit(&contents, Some(100)), &refused, |_| Ok(()));
        assert_eq!(calls, [(6400, Some(100)), (100, Some(100))]);
    }

    #[test]
    fn a_kernel_that_refuses_segmentation_is_asked_once() {
        let contents = [0; 250];
        let refused = AtomicBool::new(false);
        let refuse = |transmit: &Transmit<'_>| match transmit.segment_size {
            Some(_) => Err(io::Error::from_raw_os_error(5)),
            None => Ok(()),
        };
        let (calls, result) = sent(&transmit(&contents, Some(100)), &refused, refuse);
        result.unwrap();
        assert_eq!(
            calls,
            [(250, Some(100)), (100, None), (100, None), (50, None)]
        );
        let (calls, _) = sent(&transmit(&contents, Some(100)), &refused, refuse);
        assert_eq!(calls, [(100, None), (100, None), (50, None)]);
    }

    #[test]
    fn a_failure_that_is_not_about_segmentation_does_not_give_it_up() {
        let refused = AtomicBool::new(false);
        let (_, result) = sent(&transmit(&[0; 250], Some(100)), &refused, |_| {
            Err(io::ErrorKind::NetworkUnreachable.into())
        });
        assert!(result.is_err());
        let (calls, result) = sent(&transmit(&[0; 250], Some(100)), &refused, |_| {
            Err(io::ErrorKind::WouldBlock.into())
        });
        assert_eq!(calls.len(), 1);
        assert!(result.is_err());
        assert!(!refused.load(Ordering::Relaxed));
    }

    #[test]
    fn one_datagram_is_sent_without_segmentation() {
        let refused = AtomicBool::new(false);
        for segment in [None, Some(0), Some(100), Some(200)] {
            let (calls, _) = sent(&transmit(&[0; 100], segment), &refused, |_| Ok(()));
            assert_eq!(calls, [(100, None)]);
        }
    }

    #[test]
    fn mapped_addresses_are_written_as_ipv4() {
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:9".parse().unwrap();
        assert_eq!(canonical(mapped), SocketAddr::from(([192, 0, 2, 1], 9)));
        let v6: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
        assert_eq!(canonical(v6), v6);
    }
}
