//! What outlives a Forwarder that is killed: its handles keep it, and a successor goes on from it.

use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::records::Records;
use crate::peer_connection::{PeerConnection, PeerId};

/// Written by the actor after each message that it has decided about, before anything is done about it: so nothing
/// is attached that is not written down.
#[derive(Debug, Default)]
pub(super) struct Memory {
    remembered: Mutex<Remembered>,
}

/// What the actor knew.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    pub(super) records: Records,
    pub(super) peers: HashMap<PeerId, PeerConnection>,
}

impl Memory {
    /// Writes something down.
    pub(super) fn write(&self, write: impl FnOnce(&mut Remembered)) {
        write(&mut self.lock());
    }

    /// All of it.
    pub(super) fn copy(&self) -> Self {
        let (records, peers) = self.read();
        Self {
            remembered: Mutex::new(Remembered { records, peers }),
        }
    }

    /// Nothing stays behind.
    pub(super) fn forget(&self) {
        // What it was is dropped after the lock.
        let _forgotten = mem::take(&mut *self.lock());
    }

    /// A copy of the records, and the peers.
    pub(super) fn read(&self) -> (Records, HashMap<PeerId, PeerConnection>) {
        let remembered = self.lock();
        (remembered.records.clone(), remembered.peers.clone())
    }

    /// Rows are copied one by one, each whole; no code runs under the lock that could leave one half-written.
    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
