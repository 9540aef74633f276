//! One read: what the kernel has, sorted by peer, copied once.

use std::cell::RefCell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use quinn_udp::{BATCH_SIZE, RecvMeta};

use super::datagrams::Datagrams;
use super::machine::{DatagramKind, DropReason, PeerKey, RouteTable};
use super::message::UdpEndpointStatistics;
use super::socket::{EndpointSocket, canonical};

/// Reads once and hands what came to `deliver`, one call per peer, kind and address.
///
/// The buffers belong to the thread, not to the socket: a process with thousands of sockets
/// has as many as it has worker threads.
pub(super) fn read_once(
    socket: &EndpointSocket,
    routes: &mut RouteTable,
    statistics: &mut UdpEndpointStatistics,
    now: Instant,
    deliver: impl FnMut(PeerKey, DatagramKind, Datagrams),
) -> io::Result<()> {
    SCRATCH.with_borrow_mut(|scratch| {
        let messages = scratch.receive(socket)?;
        let clock = Clock::new(now);
        scratch.sort(messages, routes, statistics, &clock);
        scratch.hand_on(deliver);
        Ok(())
    })
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

struct Scratch {
    /// Zeroed by the system, page by page as they are first written.
    bytes: Vec<u8>,
    meta: [RecvMeta; BATCH_SIZE],
    groups: Vec<Group>,
    pieces: Vec<Piece>,
}

/// Datagrams of one peer, one kind, one address.
struct Group {
    peer: PeerKey,
    kind: DatagramKind,
    remote: SocketAddr,
    local_ip: Option<IpAddr>,
    received_at: Instant,
    datagrams: usize,
    bytes: usize,
}

/// Where one datagram lies.
struct Piece {
    group: usize,
    start: usize,
    length: usize,
}

impl Scratch {
    fn new() -> Self {
        Self {
            bytes: vec![0; BATCH_SIZE * BUFFER],
            meta: [RecvMeta::default(); BATCH_SIZE],
            groups: Vec::new(),
            pieces: Vec::new(),
        }
    }

    fn receive(&mut self, socket: &EndpointSocket) -> io::Result<usize> {
        let mut chunks = self.bytes.chunks_exact_mut(BUFFER);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] = std::array::from_fn(|_| {
            IoSliceMut::new(chunks.next().expect("one chunk for each message"))
        });
        socket.try_receive(&mut buffers, &mut self.meta)
    }

    fn sort(
        &mut self,
        messages: usize,
        routes: &mut RouteTable,
        statistics: &mut UdpEndpointStatistics,
        clock: &Clock,
    ) {
        for (index, meta) in self.meta[..messages].iter().enumerate() {
            let remote = canonical(meta.addr);
            let local_ip = meta.dst_ip.map(|ip| ip.to_canonical());
            let received_at = clock.at(meta.timestamp);
            let owner = routes.owner(remote);
            let (start, end) = (index * BUFFER, index * BUFFER + meta.len.min(BUFFER));
            statistics.bytes_received += (end - start) as u64;
            // An empty datagram has no stride and nothing to say.
            let stride = meta.stride.max(1);
            for start in (start..end).step_by(stride) {
                let length = stride.min(end - start);
                statistics.datagrams_received += 1;
                let datagram = &self.bytes[start..start + length];
                let found = match DatagramKind::of(datagram) {
                    Some(DatagramKind::Stun) => routes
                        .route_stun(remote, datagram)
                        .map(|peer| (peer, DatagramKind::Stun)),
                    Some(kind) => owner.map(|peer| (peer, kind)).ok_or(DropReason::Unverified),
                    None => Err(DropReason::Malformed),
                };
                match found {
                    Ok((peer, kind)) => {
                        let group = Group {
                            peer,
                            kind,
                            remote,
                            local_ip,
                            received_at,
                            datagrams: 0,
                            bytes: 0,
                        };
                        let group = find_or_add(&mut self.groups, group, length);
                        self.pieces.push(Piece {
                            group,
                            start,
                            length,
                        });
                    }
                    Err(DropReason::Malformed) => statistics.malformed += 1,
                    Err(DropReason::UnknownPeer) => statistics.unknown_peer += 1,
                    Err(DropReason::Unverified) => statistics.unverified += 1,
                }
            }
        }
    }

    fn hand_on(&mut self, mut deliver: impl FnMut(PeerKey, DatagramKind, Datagrams)) {
        for (index, group) in self.groups.drain(..).enumerate() {
            let mut slab = BytesMut::with_capacity(group.bytes);
            let mut datagrams = Vec::with_capacity(group.datagrams);
            for piece in self.pieces.iter().filter(|piece| piece.group == index) {
                slab.extend_from_slice(&self.bytes[piece.start..piece.start + piece.length]);
                // The last one takes the slab itself, so that a single datagram is not shared at all.
                datagrams.push(if datagrams.len() + 1 == group.datagrams {
                    std::mem::take(&mut slab)
                } else {
                    slab.split()
                });
            }
            deliver(
                group.peer,
                group.kind,
                Datagrams {
                    remote: group.remote,
                    local_ip: group.local_ip,
                    received_at: group.received_at,
                    datagrams,
                },
            );
        }
        self.pieces.clear();
    }
}

/// The group that a datagram joins; looked for from the end, where its neighbours are.
fn find_or_add(groups: &mut Vec<Group>, group: Group, length: usize) -> usize {
    let index = groups
        .iter()
        .rposition(|known| {
            known.peer == group.peer
                && known.kind == group.kind
                && known.remote == group.remote
                && known.local_ip == group.local_ip
        })
        .unwrap_or_else(|| {
            groups.push(group);
            groups.len() - 1
        });
    groups[index].datagrams += 1;
    groups[index].bytes += length;
    index
}

/// Turns the kernel's time of arrival into ours.
struct Clock {
    now: Instant,
    since_epoch: Duration,
}

impl Clock {
    fn new(now: Instant) -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self { now, since_epoch }
    }

    fn at(&self, timestamp: Option<Duration>) -> Instant {
        let age = timestamp
            .and_then(|timestamp| self.since_epoch.checked_sub(timestamp))
            .filter(|age| *age < PLAUSIBLE_AGE)
            .unwrap_or_default();
        self.now.checked_sub(age).unwrap_or(self.now)
    }
}

/// Whatever the kernel may hand over at once: 64 segments of GRO, or the largest datagram.
const BUFFER: usize = 64 * 1024;

/// A datagram that seems to have waited longer says that the system's clock was set.
const PLAUSIBLE_AGE: Duration = Duration::from_secs(1);
