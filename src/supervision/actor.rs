//! Shell: the actors of children, their starts, and whoever waits for one of them.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ractor::{
    Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent,
};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use super::child::{ChildId, ChildSpec};
use super::error::{
    ChildStartError, StartChildError, StopChildError, SupervisorFailure, SupervisorStartError,
};
use super::event::{ChildEnd, SupervisorEvent, SupervisorNews};
use super::life::{ChildKey, Incarnation};
use super::machine::{Effect, Settings, SupervisorMachine};
use super::message::SupervisorMessage;
use super::shutdown::stop_all;
use super::snapshot::{ChildSnapshot, SupervisorSnapshot};
use super::start::{Start, start};
use crate::outlet::Outlet;
use crate::timer::TimerTable;

/// The actor; all that changes lives in [`SupervisorShell`].
#[derive(Debug)]
pub(super) struct SupervisorActor;

/// What the builder hands over.
pub(super) struct SupervisorArguments {
    pub(super) settings: Settings,
    pub(super) children: Vec<ChildSpec>,
    pub(super) listener: Option<Outlet<SupervisorNews>>,
    /// Why it gave up, for its handles.
    pub(super) failure: Arc<OnceLock<SupervisorFailure>>,
    pub(super) span: Span,
}

/// State of the running actor.
pub(super) struct SupervisorShell {
    settings: Settings,
    machine: SupervisorMachine,
    slots: HashMap<ChildKey, Slot>,
    by_actor: HashMap<ActorId, ChildKey>,
    /// Actors that have come while something is being started, and how those ended that have: which child they are is told with
    /// the end of the start.
    unclaimed: HashMap<ActorId, (ActorCell, Option<ChildEnd>)>,
    timers: TimerTable<Due>,
    effects: Vec<Effect>,
    listener: Option<Outlet<SupervisorNews>>,
    failure: Arc<OnceLock<SupervisorFailure>>,
    span: Span,
    myself: ActorId,
}

/// What belongs to one child.
struct Slot {
    spec: ChildSpec,
    actor: Option<ActorCell>,
    start: Option<Start>,
    waiting_for_start: Option<RpcReplyPort<Result<ActorCell, StartChildError>>>,
    waiting_for_end: Vec<RpcReplyPort<Result<(), StopChildError>>>,
}

/// The machine says when something is due; there is one timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Due;

impl Actor for SupervisorActor {
    type Msg = SupervisorMessage;
    type State = SupervisorShell;
    type Arguments = SupervisorArguments;

    /// Nobody above hears of a supervisor that did not start but who starts it, so that its children are started here.
    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let span = arguments.span.clone();
        let (shell, children) = SupervisorShell::new(&myself, arguments);
        Ok(shell.start_all(children, &myself).instrument(span).await?)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let span = shell.span.clone();
        span.in_scope(|| {
            shell.take(message, &myself);
            shell.perform_effects(&myself);
        });
        Ok(())
    }

    /// Children may end as they like: what follows is the machine's to decide. See the table in the room's door.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let span = shell.span.clone();
        span.in_scope(|| {
            match event {
                SupervisionEvent::ActorStarted(actor) => shell.actor_came(actor),
                SupervisionEvent::ActorTerminated(actor, _, reason) => {
                    let end = match reason {
                        Some(reason) if reason == KILLED => ChildEnd::Killed,
                        reason => ChildEnd::Stopped(reason),
                    };
                    shell.actor_ended(&actor, end);
                }
                SupervisionEvent::ActorFailed(actor, error) => {
                    shell.actor_ended(&actor, ChildEnd::Failed(error.to_string()));
                }
                SupervisionEvent::ProcessGroupChanged(_) => {}
            }
            shell.perform_effects(&myself);
        });
        Ok(())
    }

    /// However it is stopped: by its handle, by a supervisor above, or because it has given up.
    async fn post_stop(
        &self,
        myself: ActorRef<Self::Msg>,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let span = shell.span.clone();
        shell.shut_down(&myself).instrument(span).await;
        match shell.failure.get() {
            Some(failure) => Err(failure.clone().into()),
            None => Ok(()),
        }
    }
}

impl SupervisorShell {
    fn new(
        myself: &ActorRef<SupervisorMessage>,
        arguments: SupervisorArguments,
    ) -> (Self, Vec<ChildSpec>) {
        let shell = Self {
            settings: arguments.settings,
            machine: SupervisorMachine::new(arguments.settings),
            slots: HashMap::new(),
            by_actor: HashMap::new(),
            unclaimed: HashMap::new(),
            timers: TimerTable::new(),
            effects: Vec::new(),
            listener: arguments.listener,
            failure: arguments.failure,
            span: arguments.span,
            myself: myself.get_id(),
        };
        (shell, arguments.children)
    }

    async fn start_all(
        mut self,
        children: Vec<ChildSpec>,
        myself: &ActorRef<SupervisorMessage>,
    ) -> Result<Self, SupervisorStartError> {
        for spec in children {
            match start(&spec, myself.get_cell()).await {
                Ok(actor) => {
                    let (id, policy) = (spec.id.clone(), spec.policy);
                    let key = self.machine.adopt(id, policy, now());
                    self.slots.insert(key, Slot::new(spec));
                    self.child_runs(key, actor);
                }
                Err(error) => {
                    self.shut_down(myself).await;
                    let child = spec.id;
                    return Err(SupervisorStartError::Child { child, error });
                }
            }
        }
        Ok(self)
    }

    fn take(&mut self, message: SupervisorMessage, myself: &ActorRef<SupervisorMessage>) {
        match message {
            SupervisorMessage::StartChild { spec, reply } => self.start_child(spec, reply),
            SupervisorMessage::StopChild { id, reply } => self.stop_child(&id, reply),
            SupervisorMessage::Child { id, reply } => {
                let key = self.machine.find(&id);
                let slot = key.and_then(|key| self.slots.get(&key));
                answer(reply, slot.and_then(|slot| slot.actor.clone()));
            }
            SupervisorMessage::Failure { reply } => answer(reply, Arc::clone(&self.failure)),
            SupervisorMessage::Snapshot { reply } => answer(reply, self.snapshot()),
            SupervisorMessage::Started {
                key,
                incarnation,
                outcome,
            } => self.start_done(key, incarnation, outcome),
            SupervisorMessage::TimeCame { generation } => {
                if self.timers.accept(Due, generation) {
                    self.machine.handle_time(now(), &mut self.effects);
                }
            }
        }
        self.end_strays(myself);
    }

    fn start_child(
        &mut self,
        spec: ChildSpec,
        reply: RpcReplyPort<Result<ActorCell, StartChildError>>,
    ) {
        let (id, policy) = (spec.id.clone(), spec.policy);
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        match machine.handle_start_child(id, policy, now(), effects) {
            Ok(key) => {
                let mut slot = Slot::new(spec);
                slot.waiting_for_start = Some(reply);
                self.slots.insert(key, slot);
            }
            Err(error) => answer(reply, Err(error)),
        }
    }

    fn stop_child(&mut self, id: &ChildId, reply: RpcReplyPort<Result<(), StopChildError>>) {
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        match machine.handle_stop_child(id, now(), effects) {
            Ok(key) => self.slot(key).waiting_for_end.push(reply),
            Err(error) => answer(reply, Err(error)),
        }
    }

    fn start_done(
        &mut self,
        key: ChildKey,
        incarnation: Incarnation,
        outcome: Result<ActorCell, ChildStartError>,
    ) {
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        match outcome {
            Ok(actor) => {
                if !machine.handle_started(key, incarnation, now(), effects) {
                    actor.kill();
                    return;
                }
                let end = self.unclaimed.remove(&actor.get_id());
                self.slot(key).start = None;
                self.child_runs(key, actor);
                if let Some((actor, Some(end))) = end {
                    self.actor_ended(&actor, end);
                }
            }
            Err(error) => {
                if let Some(slot) = self.slots.get_mut(&key) {
                    slot.start = None;
                }
                machine.handle_start_failed(key, incarnation, error, now(), effects);
            }
        }
    }

    fn child_runs(&mut self, key: ChildKey, actor: ActorCell) {
        self.by_actor.insert(actor.get_id(), key);
        let restarts = self.machine.children[&key].starts - 1;
        let slot = self.slot(key);
        slot.actor = Some(actor.clone());
        if let Some(reply) = slot.waiting_for_start.take() {
            answer(reply, Ok(actor.clone()));
        }
        let child = slot.spec.id.clone();
        tracing::debug!(%child, actor = %actor.get_id(), restarts, "child started");
        self.tell(SupervisorEvent::ChildStarted {
            child,
            actor,
            restarts,
        });
    }

    fn actor_came(&mut self, actor: ActorCell) {
        if !self.by_actor.contains_key(&actor.get_id()) {
            self.unclaimed.insert(actor.get_id(), (actor, None));
        }
    }

    fn actor_ended(&mut self, actor: &ActorCell, end: ChildEnd) {
        if let Some(key) = self.by_actor.remove(&actor.get_id()) {
            self.slot(key).actor = None;
            let effects = &mut self.effects;
            self.machine.handle_ended(key, end, now(), effects);
        } else if self.is_starting() {
            let entry = (actor.clone(), Some(end));
            self.unclaimed.insert(actor.get_id(), entry);
        }
    }

    fn is_starting(&self) -> bool {
        self.slots.values().any(|slot| slot.start.is_some())
    }

    /// Once nothing is being started, nobody will claim them: they are of starts that were given up.
    fn end_strays(&mut self, myself: &ActorRef<SupervisorMessage>) {
        if self.unclaimed.is_empty() || self.is_starting() {
            return;
        }
        for (_, (actor, end)) in self.unclaimed.drain() {
            if end.is_none() {
                tracing::warn!(supervisor = %myself.get_id(), actor = %actor.get_id(), "an actor that is no child is killed");
                actor.kill();
            }
        }
    }

    fn perform_effects(&mut self, myself: &ActorRef<SupervisorMessage>) {
        for effect in std::mem::take(&mut self.effects) {
            self.perform(effect, myself);
        }
        self.end_strays(myself);
        match self.machine.next_deadline() {
            Some(at) => {
                let after = at.saturating_duration_since(now());
                self.timers.arm(Due, after, myself, |generation| {
                    SupervisorMessage::TimeCame { generation }
                });
            }
            None => self.timers.disarm(Due),
        }
    }

    fn perform(&mut self, effect: Effect, myself: &ActorRef<SupervisorMessage>) {
        match effect {
            Effect::Start(key, incarnation) => {
                let slot = self.slot(key);
                let start = Start::begin(key, incarnation, &slot.spec, myself);
                slot.start = Some(start);
            }
            Effect::AbortStart(key) => self.slot(key).start = None,
            Effect::Stop(key) => {
                if let Some(actor) = &self.slot(key).actor {
                    actor.stop(None);
                }
            }
            Effect::Kill(key) => self.kill(key),
            Effect::Abandon(key) => self.abandon(key, myself),
            Effect::TellEnd(key, end) => self.tell_end(key, end),
            Effect::TellRestart {
                because,
                children,
                after,
            } => self.tell_restart(because, &children, after),
            Effect::Forget(key, error) => self.forget(key, error),
            Effect::GiveUp(failure) => {
                let error = &failure as &(dyn std::error::Error + 'static);
                tracing::error!(error, "a supervisor gives up");
                self.tell(SupervisorEvent::GaveUp(failure.clone()));
                // It gives up once.
                let _first = self.failure.set(failure);
                myself.stop(None);
            }
        }
    }

    fn kill(&mut self, key: ChildKey) {
        let slot = self.slot(key);
        if let Some(actor) = &slot.actor {
            actor.kill();
        }
        let (child, deadline) = (slot.spec.id.clone(), slot.spec.policy.shutdown);
        if !deadline.is_zero() {
            tracing::warn!(%child, ?deadline, "a child did not stop in time, and is killed");
            self.tell(SupervisorEvent::ChildKilled { child });
        }
    }

    fn abandon(&mut self, key: ChildKey, myself: &ActorRef<SupervisorMessage>) {
        if let Some(actor) = self.slot(key).actor.take() {
            self.by_actor.remove(&actor.get_id());
            actor.unlink(myself.get_cell());
        }
    }

    fn tell_end(&mut self, key: ChildKey, end: ChildEnd) {
        let child = self.slot(key).spec.id.clone();
        if end.is_normal() {
            tracing::debug!(%child, %end, "child ended");
        } else {
            tracing::warn!(%child, %end, "child ended");
        }
        self.tell(SupervisorEvent::ChildEnded { child, end });
    }

    fn tell_restart(&mut self, because: ChildKey, children: &[ChildKey], after: Duration) {
        let name = |key: &ChildKey| self.slots[key].spec.id.clone();
        let (because, children) = (name(&because), children.iter().map(name).collect());
        tracing::info!(%because, ?children, ?after, "children are started again");
        self.tell(SupervisorEvent::Restarting {
            because,
            children,
            after,
        });
    }

    fn forget(&mut self, key: ChildKey, error: Option<StartChildError>) {
        let Some(slot) = self.slots.remove(&key) else {
            return;
        };
        if let Some((reply, error)) = slot.waiting_for_start.zip(error) {
            answer(reply, Err(error));
        } else {
            let child = slot.spec.id;
            self.tell(SupervisorEvent::ChildRemoved { child });
        }
        for reply in slot.waiting_for_end {
            answer(reply, Ok(()));
        }
    }

    /// Whoever hears of it may have ended.
    fn tell(&self, event: SupervisorEvent) {
        if let Some(listener) = &self.listener {
            let supervisor = self.myself;
            let _gone = listener.tell(SupervisorNews { supervisor, event });
        }
    }

    /// Bounded by the deadlines of all children.
    async fn shut_down(&mut self, myself: &ActorRef<SupervisorMessage>) {
        for slot in self.slots.values_mut() {
            slot.start = None;
        }
        for group in self.machine.order_of_stopping() {
            let actor = |(key, deadline)| Some((self.slots.get(&key)?.actor.clone()?, deadline));
            let actors = group.into_iter().filter_map(actor).collect();
            for left in stop_all(actors).await {
                tracing::error!(actor = %left.get_id(), "a child does not end though it was killed");
            }
        }
        for stray in myself.get_children() {
            stray.kill();
        }
    }

    fn snapshot(&self) -> SupervisorSnapshot {
        let child = |key: &ChildKey| {
            let (child, slot) = (&self.machine.children[key], &self.slots[key]);
            ChildSnapshot {
                id: slot.spec.id.clone(),
                state: child.phase.into(),
                restart: slot.spec.policy.restart,
                restarts: child.starts.saturating_sub(1),
                actor: slot.actor.clone(),
            }
        };
        SupervisorSnapshot {
            strategy: self.settings.strategy,
            children: self.machine.children.keys().map(child).collect(),
        }
    }

    fn slot(&mut self, key: ChildKey) -> &mut Slot {
        self.slots.get_mut(&key).expect("a child of our own")
    }
}

/// A killed or panicked actor runs no hook, and ractor passes over children that are about to stop.
impl Drop for SupervisorShell {
    fn drop(&mut self) {
        for actor in self.slots.values().filter_map(|slot| slot.actor.as_ref()) {
            actor.kill();
        }
    }
}

impl Slot {
    fn new(spec: ChildSpec) -> Self {
        Self {
            spec,
            actor: None,
            start: None,
            waiting_for_start: None,
            waiting_for_end: Vec::new(),
        }
    }
}

fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, value: T) {
    // The asker may have given up.
    let _gone = reply.send(value);
}

/// The machine takes plain instants; tests may pause the clock behind them.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// How ractor says that an actor was killed.
const KILLED: &str = "killed";
