//! Which peer connections are running in this process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::PeerConnection;
use super::event::PeerId;

static RUNNING: Mutex<BTreeMap<PeerId, PeerConnection>> = Mutex::new(BTreeMap::new());

/// Keeps a peer connection on the list for as long as its actor lives, however it ends.
#[derive(Debug)]
pub(super) struct Listed(PeerId);

impl Listed {
    pub(super) fn new(peer: PeerConnection) -> Self {
        let id = peer.id();
        running().insert(id, peer);
        Self(id)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let entry = running().remove(&self.0);
        // The handle is dropped after the lock is given back.
        drop(entry);
    }
}

/// Handles of all that run, oldest first.
pub(super) fn all() -> Vec<PeerConnection> {
    running().values().cloned().collect()
}

/// No code runs under the lock that could leave the map half-changed.
fn running() -> MutexGuard<'static, BTreeMap<PeerId, PeerConnection>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
