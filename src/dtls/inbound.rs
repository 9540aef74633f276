//! The queue between the endpoint, which must never wait, and the connection task.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::traffic::Counted;
use crate::udp::{DatagramSink, Datagrams};

/// Where DTLS packets of one peer go in. Cheap to clone.
///
/// Bound: [`MAX_PACKETS`] and [`MAX_BYTES`]. When it is full the **newest** packet is dropped and
/// counted: a handshake needs its oldest packets first, and repeats what is lost.
#[derive(Clone)]
pub(crate) struct DtlsInbound {
    shared: Arc<Shared>,
}

/// What was dropped since the queue was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DtlsDrops {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Notify,
    received: Counted,
    refused: AtomicU64,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Vec<u8>>,
    bytes: usize,
    drops: DtlsDrops,
    closed: bool,
}

impl DtlsInbound {
    pub(super) fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                queue: Mutex::default(),
                arrived: Notify::new(),
                received: Counted::default(),
                refused: AtomicU64::new(0),
            }),
        }
    }

    /// Puts the packets of one read at the end. Never waits.
    ///
    /// They are copied: a few hundred bytes once in a while, which otherwise would each keep the
    /// whole slab of a read alive.
    pub(crate) fn push(&self, datagrams: Datagrams) {
        {
            let mut queue = self.queue();
            for datagram in &datagrams.datagrams {
                self.shared.received.add(datagram);
                queue.push(datagram);
            }
        }
        self.shared.arrived.notify_one();
    }

    /// How many packets wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue().packets.len()
    }

    /// Packets that came, whether they were kept or not, and their bytes.
    pub(super) fn received(&self) -> (u64, u64) {
        self.shared.received.get()
    }

    /// The guard has kept back so many records of what was taken out.
    pub(super) fn note_refused(&self, records: u64) {
        self.shared.refused.fetch_add(records, Ordering::Relaxed);
    }

    /// How many records were kept back.
    pub(super) fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// What was dropped so far.
    pub(crate) fn drops(&self) -> DtlsDrops {
        self.queue().drops
    }

    /// The oldest packet; waits until there is one. There is one reader at a time. Nothing is lost
    /// when the wait is given up.
    pub(super) async fn pop(&self) -> Vec<u8> {
        loop {
            if let Some(packet) = self.try_pop() {
                return packet;
            }
            // A packet that came in between has left a permit behind.
            self.shared.arrived.notified().await;
        }
    }

    /// Takes nothing in any more and forgets what is there.
    pub(super) fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        queue.packets = VecDeque::new();
        queue.bytes = 0;
    }

    fn try_pop(&self) -> Option<Vec<u8>> {
        let mut queue = self.queue();
        let packet = queue.packets.pop_front()?;
        queue.bytes -= packet.len();
        Some(packet)
    }

    /// Nothing between lock and unlock can panic half-way, so a poisoned queue is a sound one.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.shared
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<DtlsInbound> for DatagramSink {
    fn from(inbound: DtlsInbound) -> Self {
        Self::new(move |datagrams| inbound.push(datagrams))
    }
}

impl Queue {
    fn push(&mut self, packet: &[u8]) {
        if self.closed {
            return;
        }
        if self.packets.len() == MAX_PACKETS || self.bytes + packet.len() > MAX_BYTES {
            self.drops.packets += 1;
            self.drops.bytes += packet.len() as u64;
            return;
        }
        self.bytes += packet.len();
        self.packets.push_back(packet.to_vec());
    }
}

impl fmt::Debug for DtlsInbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DtlsInbound")
            .field("waiting", &self.waiting())
            .field("drops", &self.drops())
            .finish_non_exhaustive()
    }
}

/// Two flights of a large certificate chain, or what SCTP sends in one round trip.
const MAX_PACKETS: usize = 128;

/// A handshake's 64 KiB, twice.
const MAX_BYTES: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Instant;

    use bytes::BytesMut;

    use super::*;

    fn datagrams(sizes: &[usize]) -> Datagrams {
        Datagrams {
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
            local_ip: None,
            received_at: Instant::now(),
            datagrams: sizes.iter().map(|&size| BytesMut::zeroed(size)).collect(),
        }
    }

    #[tokio::test]
    async fn packets_come_out_as_they_went_in() {
        let inbound = DtlsInbound::new();
        inbound.push(datagrams(&[1, 2]));
        inbound.push(datagrams(&[3]));
        for size in 1..=3 {
            assert_eq!(inbound.pop().await.len(), size);
        }
        let waiting = tokio::spawn({
            let inbound = inbound.clone();
            async move { inbound.pop().await.len() }
        });
        inbound.push(datagrams(&[4]));
        assert_eq!(waiting.await.unwrap(), 4);
    }

    #[tokio::test]
    async fn the_newest_go_when_packets_or_bytes_run_out() {
        let inbound = DtlsInbound::new();
        inbound.push(datagrams(&[1; MAX_PACKETS]));
        inbound.push(datagrams(&[7]));
        let lost = |packets, bytes| DtlsDrops { packets, bytes };
        assert_eq!(inbound.drops(), lost(1, 7));
        assert_eq!(inbound.pop().await.len(), 1);
        inbound.push(datagrams(&[MAX_BYTES]));
        assert_eq!(inbound.drops(), lost(2, 7 + MAX_BYTES as u64));
        inbound.push(datagrams(&[8]));
        assert_eq!(inbound.drops().packets, 2);
    }

    #[test]
    fn a_closed_queue_holds_nothing() {
        let inbound = DtlsInbound::new();
        inbound.push(datagrams(&[1]));
        inbound.close();
        inbound.push(datagrams(&[1]));
        assert_eq!(inbound.queue().packets.len(), 0);
    }
}
