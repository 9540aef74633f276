//! Which actors of the crate run, what they are, and below whom.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use ractor::{ActorCell, ActorId};

/// How many have started so far.
static STARTED: AtomicU64 = AtomicU64::new(0);

static RUNNING: LazyLock<Mutex<HashMap<ActorId, Entry>>> = LazyLock::new(Mutex::default);

#[derive(Debug)]
struct Entry {
    part: &'static str,
    supervisor: ActorId,
    /// They are numbered as they start.
    number: u64,
    cell: ActorCell,
}

/// An actor of this crate that runs.
#[derive(Clone, Debug)]
pub struct RunningPart {
    /// Its type, without `Actor`.
    pub part: &'static str,
    /// To be killed or stopped by, and to wait for.
    pub cell: ActorCell,
}

/// A running actor's entry; dropping it takes it out.
#[derive(Debug)]
pub(super) struct Registered(ActorId);

impl Registered {
    pub(super) fn new(part: &'static str, supervisor: ActorId, cell: ActorCell) -> Self {
        let id = cell.get_id();
        let entry = Entry {
            part,
            supervisor,
            number: STARTED.fetch_add(1, Ordering::Relaxed),
            cell,
        };
        running().insert(id, entry);
        Self(id)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        // Dropped after the lock is given back.
        let _entry = running().remove(&self.0);
    }
}

/// The actors of this crate below another, at any depth, and that one itself if it is of this crate; oldest first.
pub fn running_below(ancestor: &ActorCell) -> Vec<RunningPart> {
    let ancestor = ancestor.get_id();
    let running = running();
    let mut found: Vec<_> = running
        .iter()
        .filter(|(id, _)| is_below_in(&running, **id, ancestor))
        .map(|(_, entry)| RunningPart {
            part: entry.part,
            cell: entry.cell.clone(),
        })
        .collect();
    found.sort_by_key(|it| it.cell.get_id());
    found
}

/// The oldest actor of this name below another.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn part(ancestor: &ActorCell, part: &str) -> ActorCell {
    let found = running_below(ancestor);
    let found = found.into_iter().find(|it| it.part == part);
    found
        .unwrap_or_else(|| panic!("no {part} below {}", ancestor.get_id()))
        .cell
}

/// How many actors have started so far.
pub(super) fn started() -> u64 {
    STARTED.load(Ordering::Relaxed)
}

/// Whether an actor has started when so many had.
pub(super) fn is_newer(id: ActorId, started: u64) -> bool {
    let running = running();
    running.get(&id).is_some_and(|it| it.number >= started)
}

/// Whether an actor is this one or below it.
pub(super) fn is_below(id: ActorId, ancestor: ActorId) -> bool {
    is_below_in(&running(), id, ancestor)
}

fn is_below_in(running: &HashMap<ActorId, Entry>, mut id: ActorId, ancestor: ActorId) -> bool {
    while id != ancestor {
        let Some(entry) = running.get(&id) else {
            return false;
        };
        id = entry.supervisor;
    }
    true
}

fn running() -> MutexGuard<'static, HashMap<ActorId, Entry>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}
