//! The socket itself, shared by whoever sends.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use quinn_udp::{Transmit, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A UDP socket that can send equal-sized packets in one system call. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct EndpointSocket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    socket: UdpSocket,
    state: UdpSocketState,
    local_addr: SocketAddr,
    /// The kernel refused segmentation once; packets go one by one since.
    segmentation_refused: AtomicBool,
}

/// Where a peer is reached: everything that DTLS and media need to send.
#[derive(Clone, Debug)]
pub(crate) struct TransportPath {
    pub(crate) socket: EndpointSocket,
    pub(crate) remote: SocketAddr,
    /// Source address to send from, where the socket has several.
    pub(crate) local_ip: Option<IpAddr>,
}

impl TransportPath {
    /// Sends `contents`: one datagram, or several of `segment` bytes each (the last may be
    /// shorter). Never waits.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when the socket's buffer is full, and what the kernel says.
    pub(crate) fn try_send(&self, contents: &[u8], segment: Option<usize>) -> io::Result<()> {
        self.socket.try_send(&Transmit {
            destination: self.remote,
            ecn: None,
            contents,
            segment_size: segment,
            src_ip: self.local_ip,
        })
    }
}

impl EndpointSocket {
    /// Takes over a bound, non-blocking socket.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        let state = UdpSocketState::new((&socket).into())?;
        let local_addr = socket.local_addr()?;
        Ok(Self {
            inner: Arc::new(Inner {
                socket,
                state,
                local_addr,
                segmentation_refused: AtomicBool::new(false),
            }),
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr
    }

    /// Sends without waiting; splits the transmit itself where the kernel cannot.
    pub(crate) fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let inner = &*self.inner;
        inner.socket.try_io(Interest::WRITABLE, || {
            inner.state.try_send((&inner.socket).into(), transmit)
        })
    }

    /// Whether segmentation has been given up.
    pub(crate) fn segmentation_refused(&self) -> bool {
        self.inner.segmentation_refused.load(Ordering::Relaxed)
    }
}
