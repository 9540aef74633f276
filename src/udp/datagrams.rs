//! Datagrams of one peer that one read brought, and where they go.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use crate::lane::{LaneSender, Weigh};

/// Datagrams from one remote address, in one slab, in the order they arrived.
#[derive(Debug)]
pub(crate) struct Datagrams {
    pub(crate) remote: SocketAddr,
    /// The address of ours that they were sent to, where the system tells.
    pub(crate) local_ip: Option<IpAddr>,
    /// When the first of them reached the machine.
    pub(crate) received_at: Instant,
    /// One buffer a datagram, each its own to change, all slices of one slab.
    pub(crate) datagrams: Vec<BytesMut>,
}

impl Weigh for Datagrams {
    fn packets(&self) -> usize {
        self.datagrams.len()
    }

    fn bytes(&self) -> usize {
        self.datagrams.iter().map(BytesMut::len).sum()
    }
}

/// Where media datagrams of one peer go.
pub(crate) type MediaInbound = LaneSender<Datagrams>;

/// Where datagrams of some other kind go: whatever takes them without waiting and bounds
/// what it keeps. Cheap to clone.
#[derive(Clone)]
pub(crate) struct DatagramSink(Arc<dyn Fn(Datagrams) + Send + Sync>);

impl DatagramSink {
    /// `push` is called from the endpoint actor, which many peers share: it must neither wait nor
    /// parse.
    pub(crate) fn new(push: impl Fn(Datagrams) + Send + Sync + 'static) -> Self {
        Self(Arc::new(push))
    }

    pub(crate) fn push(&self, datagrams: Datagrams) {
        (self.0)(datagrams);
    }
}

impl From<LaneSender<Datagrams>> for DatagramSink {
    fn from(lane: LaneSender<Datagrams>) -> Self {
        Self::new(move |datagrams| lane.push(datagrams))
    }
}

impl fmt::Debug for DatagramSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatagramSink")
    }
}

/// Where the datagrams of one peer go, by kind (RFC 7983).
#[derive(Clone, Debug)]
pub(crate) struct PeerSinks {
    pub(crate) stun: DatagramSink,
    pub(crate) dtls: DatagramSink,
    pub(crate) media: MediaInbound,
}
