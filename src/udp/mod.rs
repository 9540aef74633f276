//! Sockets shared by many peers: batched reads, demultiplexing, batched sends.

mod datagrams;
mod socket;

pub(crate) use self::datagrams::Datagrams;
pub(crate) use self::socket::{EndpointSocket, TransportPath};
