//! How many peers an endpoint has, and how many of them shake hands at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places of peers. A peer that finds none is refused.
#[derive(Debug)]
pub(super) struct Seats {
    taken: AtomicUsize,
    limit: usize,
    refused: AtomicU64,
}

impl Seats {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            taken: AtomicUsize::new(0),
            limit,
            refused: AtomicU64::new(0),
        }
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes one if so many are taken now; who was slower than somebody else looks again.
    pub(super) fn take(&self, seen: usize) -> bool {
        self.taken
            .compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    pub(super) fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }

    /// A peer was sent away.
    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Lets so many handshakes happen at the same time. Cheap to clone. Who comes when all places are taken waits, the first the shortest.
#[derive(Clone, Debug)]
pub(crate) struct HandshakeGate {
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct Gate {
    places: Arc<Semaphore>,
    limit: usize,
    waiting: AtomicUsize,
    delayed: AtomicU64,
}

/// A place, for as long as it is kept.
#[derive(Debug)]
#[must_use]
pub(crate) struct HandshakePlace {
    _permit: OwnedSemaphorePermit,
}

impl HandshakeGate {
    /// So many places, and one at least.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            gate: Arc::new(Gate {
                places: Arc::new(Semaphore::new(limit)),
                limit,
                waiting: AtomicUsize::new(0),
                delayed: AtomicU64::new(0),
            }),
        }
    }

    /// A place, once there is one. Who gives up waiting has none.
    pub(crate) async fn enter(&self) -> HandshakePlace {
        let places = &self.gate.places;
        let permit = match Arc::clone(places).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_none_free) => {
                let _waiting = Waiting::begin(&self.gate);
                let permit = Arc::clone(places).acquire_owned().await;
                permit.expect("nobody closes this semaphore")
            }
        };
        HandshakePlace { _permit: permit }
    }

    pub(super) fn running(&self) -> usize {
        self.gate.limit - self.gate.places.available_permits()
    }

    pub(super) fn waiting(&self) -> usize {
        self.gate.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn delayed(&self) -> u64 {
        self.gate.delayed.load(Ordering::Relaxed)
    }
}

/// Somebody waits, until this is dropped.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn begin(gate: &'a Gate) -> Self {
        gate.waiting.fetch_add(1, Ordering::Relaxed);
        gate.delayed.fetch_add(1, Ordering::Relaxed);
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_handshakes_happen_at_a_time_and_the_next_waits_its_turn() {
        let gate = HandshakeGate::new(2);
        let (first, _second) = (gate.enter().await, gate.enter().await);
        assert_eq!((gate.running(), gate.waiting(), gate.delayed()), (2, 0, 0));
        let given_up = timeout(Duration::from_secs(1), gate.enter()).await;
        assert!(given_up.is_err());
        assert_eq!((gate.running(), gate.waiting(), gate.delayed()), (2, 0, 1));
        let third = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter().await }
        });
        tokio::task::yield_now().await;
        assert_eq!((gate.running(), gate.waiting(), gate.delayed()), (2, 1, 2));
        drop(first);
        let _third = third.await.unwrap();
        assert_eq!((gate.running(), gate.waiting(), gate.delayed()), (2, 0, 2));
    }
}
