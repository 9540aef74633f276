//! Datagrams of one peer that one read brought, and the way back.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::BytesMut;

/// Datagrams from one remote address, in one slab, in the order they arrived.
#[derive(Debug)]
pub(crate) struct Datagrams {
    pub(crate) remote: SocketAddr,
    pub(crate) received_at: Instant,
    /// One buffer a datagram, each its own to change, all slices of one slab.
    pub(crate) datagrams: Vec<BytesMut>,
}
