//! Hearing of the end of actors that are neither child nor parent.

use ractor::ActorCell;

/// While it lives, the watcher is told as a supervisor would be when the watched actor ends. Gives up its
/// entry on drop: the watched one may outlive thousands of watchers.
#[derive(Debug)]
pub(crate) struct Monitor {
    watcher: ActorCell,
    watched: ActorCell,
}

impl Monitor {
    pub(crate) fn new(watcher: ActorCell, watched: ActorCell) -> Self {
        watcher.monitor(watched.clone());
        Self { watcher, watched }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.watcher.unmonitor(self.watched.clone());
    }
}
