//! What is to go wrong, and where.

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ractor::{ActorCell, ActorId, ActorProcessingErr};
use tokio::sync::watch;

use super::register::{is_below, is_newer, started};

/// What is to go wrong, and where. Takes effect with [`inject`](Self::inject).
///
/// It strikes every actor of this crate at every hook unless something is said to the contrary, before the hook, and once.
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    blow: Blow,
    part: Option<String>,
    actor: Option<ActorId>,
    below: Option<ActorId>,
    newer: Option<u64>,
    hook: Option<Hook>,
    message: Option<String>,
    is_after: bool,
    is_repeated: bool,
}

/// Where ractor calls an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "they have ractor's names")]
pub enum Hook {
    PreStart,
    PostStart,
    Handle,
    HandleSupervisorEvt,
    PostStop,
}

/// Where an actor was when a fault looked at it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// The actor's type, without `Actor`.
    pub part: &'static str,
    /// What it was about to do, or had done.
    pub hook: Hook,
    /// What it was told, if it was.
    pub message: Option<String>,
}

/// A fault that may strike. Dropping it takes it back.
#[derive(Debug)]
pub struct Injected(Arc<Trap>);

#[derive(Clone, Copy, Debug)]
enum Blow {
    Panic,
    Error,
    Kill,
    Hang,
    None,
}

#[derive(Debug)]
struct Trap {
    fault: Fault,
    strikes: watch::Sender<usize>,
    seen: Mutex<BTreeSet<Seen>>,
}

impl Fault {
    /// A panic.
    pub fn panic() -> Self {
        Self::new(Blow::Panic)
    }

    /// An `Err` of the hook.
    pub fn error() -> Self {
        Self::new(Blow::Error)
    }

    /// A kill, in the middle of the hook.
    pub fn kill() -> Self {
        Self::new(Blow::Kill)
    }

    /// The hook waits for ever; a kill ends that.
    pub fn hang() -> Self {
        Self::new(Blow::Hang)
    }

    /// Nothing; but where it would have struck is noted, again and again.
    pub fn none() -> Self {
        Self::new(Blow::None).again()
    }

    fn new(blow: Blow) -> Self {
        Self {
            blow,
            part: None,
            actor: None,
            below: None,
            newer: None,
            hook: None,
            message: None,
            is_after: false,
            is_repeated: false,
        }
    }

    /// Actors of this name only.
    pub fn in_part(mut self, part: &str) -> Self {
        self.part = Some(part.to_owned());
        self
    }

    /// This actor only.
    pub fn in_actor(mut self, actor: &ActorCell) -> Self {
        self.actor = Some(actor.get_id());
        self
    }

    /// Only this actor and those below it, whenever they start.
    pub fn below(mut self, ancestor: &ActorCell) -> Self {
        self.below = Some(ancestor.get_id());
        self
    }

    /// Only actors that start from now on.
    pub fn newborn(mut self) -> Self {
        self.newer = Some(started());
        self
    }

    /// At this hook only.
    pub fn at(mut self, hook: Hook) -> Self {
        self.hook = Some(hook);
        self
    }

    /// At this kind of message only, with or without the kind inside it. The messages of
    /// [`Hook::HandleSupervisorEvt`] are called as ractor calls its events.
    pub fn message(mut self, kind: &str) -> Self {
        self.message = Some(kind.to_owned());
        self
    }

    /// When the hook has done its work.
    pub fn after(mut self) -> Self {
        self.is_after = true;
        self
    }

    /// Every time, and not only the first.
    pub fn again(mut self) -> Self {
        self.is_repeated = true;
        self
    }

    /// From now on, until what is returned is dropped.
    #[must_use = "dropping it takes the fault back"]
    pub fn inject(self) -> Injected {
        let trap = Arc::new(Trap {
            fault: self,
            strikes: watch::Sender::new(0),
            seen: Mutex::default(),
        });
        let mut traps = traps();
        traps.push(Arc::clone(&trap));
        COUNT.store(traps.len(), Ordering::Relaxed);
        Injected(trap)
    }

    fn is_at(&self, actor: ActorId, seen: &Seen, is_after: bool) -> bool {
        let is_message = |wanted: &String| {
            let kind = seen.message.as_deref().unwrap_or_default();
            kind == wanted || kind.split('/').next() == Some(wanted.as_str())
        };
        self.is_after == is_after
            && self.hook.is_none_or(|hook| hook == seen.hook)
            && self.part.as_deref().is_none_or(|part| part == seen.part)
            && self.message.as_ref().is_none_or(is_message)
            && self.actor.is_none_or(|wanted| wanted == actor)
            && self.newer.is_none_or(|started| is_newer(actor, started))
            && self.below.is_none_or(|ancestor| is_below(actor, ancestor))
    }
}

impl Injected {
    /// Waits until it has struck.
    pub async fn struck(&self) {
        let mut strikes = self.0.strikes.subscribe();
        // The sender lives as long as we do.
        let _closed = strikes.wait_for(|count| *count > 0).await;
    }

    /// How often it has struck.
    #[must_use]
    pub fn strikes(&self) -> usize {
        *self.0.strikes.borrow()
    }

    /// Where it has struck, each place once.
    #[must_use]
    pub fn seen(&self) -> BTreeSet<Seen> {
        self.0.seen().clone()
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        let mut traps = traps();
        traps.retain(|other| !Arc::ptr_eq(other, &self.0));
        COUNT.store(traps.len(), Ordering::Relaxed);
    }
}

impl Trap {
    /// Says whether it strikes this time.
    fn strike(&self, seen: &Seen) -> bool {
        let strikes = self.strikes.send_if_modified(|count| {
            let strikes = *count == 0 || self.fault.is_repeated;
            *count += usize::from(strikes);
            strikes
        });
        if strikes {
            self.seen().insert(seen.clone());
        }
        strikes
    }

    fn seen(&self) -> MutexGuard<'_, BTreeSet<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is any fault at all.
pub(super) fn is_any() -> bool {
    COUNT.load(Ordering::Relaxed) > 0
}

/// Lets happen what is to happen at this place.
pub(super) async fn meet(
    actor: &ActorCell,
    seen: &Seen,
    is_after: bool,
) -> Result<(), ActorProcessingErr> {
    let id = actor.get_id();
    let mut blows = Vec::new();
    for trap in traps().iter() {
        if trap.fault.is_at(id, seen, is_after) && trap.strike(seen) {
            blows.push(trap.fault.blow);
        }
    }
    for blow in blows {
        match blow {
            Blow::None => {}
            // Without a report on standard error: it is no surprise.
            Blow::Panic => resume_unwind(Box::new(format!("a fault on purpose: {seen:?}"))),
            Blow::Error => return Err(format!("a fault on purpose: {seen:?}").into()),
            Blow::Kill => {
                actor.kill();
                std::future::pending().await
            }
            Blow::Hang => std::future::pending().await,
        }
    }
    Ok(())
}

fn traps() -> MutexGuard<'static, Vec<Arc<Trap>>> {
    TRAPS.lock().unwrap_or_else(PoisonError::into_inner)
}

static TRAPS: Mutex<Vec<Arc<Trap>>> = Mutex::new(Vec::new());

/// How many there are, to be asked without a lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);
