//! Supervisors with actors below them, in paused time.
#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "a test picks the events that it wants"
)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, ActorStatus, SupervisionEvent};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::supervision::{
    Backoff, ChildEnd, ChildSpec, ChildStartError, ChildState, Restart, RestartIntensity,
    StartChildError, StopChildError, Strategy, Supervisor, SupervisorBuilder, SupervisorEvent,
    SupervisorFailure, SupervisorNews, SupervisorStartError,
};

const SECOND: Duration = Duration::from_secs(1);

/// What the workers of a test have done, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, name: &str, what: &str) {
        self.0.lock().unwrap().push(format!("{name} {what}"));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// An actor that does as it is told, and keeps a diary.
#[derive(Clone)]
struct Worker {
    name: &'static str,
    diary: Diary,
    habit: Habit,
}

#[derive(Clone, Default)]
struct Habit {
    hangs_in_post_stop: bool,
    panics_in_post_start: Arc<AtomicBool>,
    /// So many starts fail from now on.
    failing_starts: Arc<AtomicU32>,
    start_takes: Duration,
}

#[derive(Debug)]
enum Order {
    Panic,
    Fail,
    Stop,
    Hang,
    /// From the first word that comes until the other end is dropped.
    Block(std::sync::mpsc::Receiver<()>),
}

impl Actor for Worker {
    type Msg = Order;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Order>, (): ()) -> Result<(), ActorProcessingErr> {
        tokio::time::sleep(self.habit.start_takes).await;
        let failing = &self.habit.failing_starts;
        let left = failing.load(Ordering::Relaxed);
        if left > 0 {
            failing.store(left - 1, Ordering::Relaxed);
            panic!("no start on purpose");
        }
        self.diary.note(self.name, "started");
        Ok(())
    }

    async fn post_start(&self, _: ActorRef<Order>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        if self
            .habit
            .panics_in_post_start
            .swap(false, Ordering::Relaxed)
        {
            panic!("in post_start on purpose");
        }
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<Order>,
        order: Order,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        match order {
            Order::Panic => panic!("on purpose"),
            Order::Fail => return Err("an error on purpose".into()),
            Order::Stop => myself.stop(Some("done".into())),
            Order::Hang => std::future::pending().await,
            // Whoever waits for the same worker goes to another.
            Order::Block(until) => tokio::task::block_in_place(|| {
                let _begun = until.recv();
                let _dropped = until.recv();
            }),
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Order>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.diary.note(self.name, "stopping");
        if self.habit.hangs_in_post_stop {
            std::future::pending::<()>().await;
        }
        self.diary.note(self.name, "stopped");
        Ok(())
    }
}

fn worker(name: &'static str, diary: &Diary) -> ChildSpec {
    worker_with(name, diary, Habit::default())
}

fn worker_with(name: &'static str, diary: &Diary, habit: Habit) -> ChildSpec {
    let worker = Worker {
        name,
        diary: diary.clone(),
        habit,
    };
    ChildSpec::actor(name, move || (worker.clone(), ()))
}

/// Stands above a supervisor, or beside it, and passes on what it hears.
struct Witness(UnboundedSender<Heard>);

#[derive(Debug)]
enum Heard {
    News(SupervisorEvent),
    Failed(ActorProcessingErr),
    Ended,
}

impl Actor for Witness {
    type Msg = SupervisorNews;
    type State = ();
    type Arguments = ();

    async fn pre_start(
        &self,
        _: ActorRef<SupervisorNews>,
        (): (),
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<SupervisorNews>,
        news: SupervisorNews,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let _over = self.0.send(Heard::News(news.event));
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _: ActorRef<SupervisorNews>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        let heard = match event {
            SupervisionEvent::ActorFailed(_, error) => Heard::Failed(error),
            SupervisionEvent::ActorTerminated(..) => Heard::Ended,
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {
                return Ok(());
            }
        };
        let _over = self.0.send(heard);
        Ok(())
    }
}

async fn witness() -> (ActorRef<SupervisorNews>, UnboundedReceiver<Heard>) {
    let (sender, receiver) = unbounded_channel();
    let (actor, _) = Actor::spawn(None, Witness(sender), ()).await.unwrap();
    (actor, receiver)
}

/// Passes over what comes before.
async fn expect<T>(
    heard: &mut UnboundedReceiver<Heard>,
    wanted: impl Fn(&Heard) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let next = heard.recv().await.expect("a witness that listens");
            if let Some(found) = wanted(&next) {
                return found;
            }
        }
    };
    tokio::time::timeout(600 * SECOND, search).await.unwrap()
}

/// The next start of a child, with its actor and how often it was started before.
async fn started(heard: &mut UnboundedReceiver<Heard>, name: &str) -> (ActorRef<Order>, u64) {
    expect(heard, |it| match it {
        Heard::News(SupervisorEvent::ChildStarted {
            child,
            actor,
            restarts,
        }) if child.as_str() == name => Some((actor.clone().into(), *restarts)),
        _ => None,
    })
    .await
}

async fn ended(heard: &mut UnboundedReceiver<Heard>, name: &str) -> ChildEnd {
    expect(heard, |it| match it {
        Heard::News(SupervisorEvent::ChildEnded { child, end }) if child.as_str() == name => {
            Some(end.clone())
        }
        _ => None,
    })
    .await
}

async fn child(supervisor: &Supervisor, name: &str) -> ActorRef<Order> {
    supervisor
        .child(name)
        .await
        .unwrap()
        .expect("a child that runs")
}

/// Many failures are fine.
fn patient() -> SupervisorBuilder {
    Supervisor::builder().intensity(RestartIntensity::new(100, SECOND))
}

#[tokio::test(start_paused = true)]
async fn a_child_comes_back_after_a_panic_an_error_a_kill_and_a_stop_and_whoever_listens_hears_how_it_ended()
 {
    let (diary, (listener, mut heard)) = (Diary::default(), witness().await);
    let builder = patient().child(worker("a", &diary)).reporting_to(&listener);
    let supervisor = builder.spawn().await.unwrap();
    let failed = |text: &str| ChildEnd::Failed(text.into());
    for (number, (order, end)) in [
        (Some(Order::Panic), failed("on purpose")),
        (Some(Order::Fail), failed("an error on purpose")),
        (None, ChildEnd::Killed),
        (Some(Order::Stop), ChildEnd::Stopped(Some("done".into()))),
    ]
    .into_iter()
    .enumerate()
    {
        let (actor, restarts) = started(&mut heard, "a").await;
        assert_eq!(restarts, number as u64);
        match order {
            Some(order) => actor.cast(order).unwrap(),
            None => actor.kill(),
        }
        let told = ended(&mut heard, "a").await;
        match (&told, &end) {
            (ChildEnd::Failed(told), ChildEnd::Failed(end)) => assert!(told.contains(end)),
            _ => assert_eq!(told, end),
        }
    }
    started(&mut heard, "a").await;
    let shown = supervisor.snapshot().await.unwrap();
    assert_eq!(shown.children[0].restarts, 4);
    assert_eq!(shown.children[0].state, ChildState::Running);
    supervisor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn children_start_in_order_and_stop_the_other_way_round_one_after_the_other() {
    let diary = Diary::default();
    let names = ["a", "b", "c"];
    let children = names.map(|name| worker(name, &diary));
    let builder = children
        .into_iter()
        .fold(patient(), SupervisorBuilder::child);
    let supervisor = builder.spawn().await.unwrap();
    assert_eq!(diary.take(), ["a started", "b started", "c started"]);
    supervisor.stop().await;
    let stopped = [
        "c stopping",
        "c stopped",
        "b stopping",
        "b stopped",
        "a stopping",
        "a stopped",
    ];
    assert_eq!(diary.take(), stopped);
    assert_eq!(supervisor.ended().await, None);
}

#[tokio::test(start_paused = true)]
async fn when_all_go_along_they_stop_the_last_one_first_with_their_hooks_and_start_from_the_first()
{
    let (diary, (listener, mut heard)) = (Diary::default(), witness().await);
    let children = ["a", "b", "c"].map(|name| worker(name, &diary));
    let builder = patient()
        .strategy(Strategy::OneForAll)
        .reporting_to(&listener);
    let builder = children.into_iter().fold(builder, SupervisorBuilder::child);
    let supervisor = builder.spawn().await.unwrap();
    let (last, _) = started(&mut heard, "c").await;
    diary.take();
    child(&supervisor, "a").await.cast(Order::Panic).unwrap();
    started(&mut heard, "c").await;
    let expected = [
        "c stopping",
        "c stopped",
        "b stopping",
        "b stopped",
        "a started",
        "b started",
        "c started",
    ];
    assert_eq!(diary.take(), expected);
    assert_ne!(child(&supervisor, "c").await.get_id(), last.get_id());
    supervisor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_child_that_hangs_when_it_should_stop_is_killed_at_its_deadline() {
    for order in [None, Some(Order::Hang)] {
        let diary = Diary::default();
        let habit = Habit {
            hangs_in_post_stop: true,
            ..Habit::default()
        };
        let hanging = worker_with("hanging", &diary, habit).shutdown(3 * SECOND);
        let builder = patient().child(worker("a", &diary)).child(hanging);
        let supervisor = builder.spawn().await.unwrap();
        let actor = child(&supervisor, "hanging").await;
        if let Some(order) = order {
            actor.cast(order).unwrap();
        }
        let asked = Instant::now();
        supervisor.stop().await;
        let took = asked.elapsed();
        assert!((3 * SECOND..4 * SECOND).contains(&took), "{took:?}");
        assert_eq!(actor.get_status(), ActorStatus::Stopped);
        assert!(
            diary
                .take()
                .ends_with(&["a stopping".into(), "a stopped".into()])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_restart_a_child_that_hangs_is_killed_at_its_deadline_and_the_restart_goes_on() {
    let (diary, (listener, mut heard)) = (Diary::default(), witness().await);
    let habit = Habit {
        hangs_in_post_stop: true,
        ..Habit::default()
    };
    let hanging = worker_with("hanging", &diary, habit).shutdown(3 * SECOND);
    let builder = patient()
        .strategy(Strategy::RestForOne)
        .reporting_to(&listener);
    let builder = builder.child(worker("a", &diary)).child(hanging);
    let supervisor = builder.spawn().await.unwrap();
    started(&mut heard, "hanging").await;
    let failed = Instant::now();
    child(&supervisor, "a").await.kill();
    expect(&mut heard, |it| match it {
        Heard::News(SupervisorEvent::ChildKilled { child }) => Some(child.clone()),
        _ => None,
    })
    .await;
    assert_eq!(ended(&mut heard, "hanging").await, ChildEnd::Killed);
    started(&mut heard, "hanging").await;
    assert_eq!(failed.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn starts_that_panic_fail_or_hang_are_tried_again_after_their_pauses() {
    let (diary, (listener, mut heard)) = (Diary::default(), witness().await);
    let habit = Habit::default();
    let failing = Arc::clone(&habit.failing_starts);
    let spec = worker_with("a", &diary, habit).backoff(Backoff::new(SECOND, 60 * SECOND));
    let supervisor = patient()
        .child(spec)
        .reporting_to(&listener)
        .spawn()
        .await
        .unwrap();
    let (actor, _) = started(&mut heard, "a").await;
    failing.store(2, Ordering::Relaxed);
    let failed = Instant::now();
    actor.kill();
    ended(&mut heard, "a").await;
    for _ in 0..2 {
        let end = ended(&mut heard, "a").await;
        let ChildEnd::NotStarted(ChildStartError::Failed(message)) = &end else {
            panic!("{end:?}");
        };
        assert!(message.contains("no start on purpose"), "{message}");
    }
    let (_, restarts) = started(&mut heard, "a").await;
    assert_eq!((restarts, failed.elapsed().as_secs()), (1, 1 + 2 + 4));
    supervisor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_panics_or_never_comes_back_is_an_error_and_leaves_nothing_behind() {
    let supervisor = patient().spawn().await.unwrap();
    let panicking = ChildSpec::new("panicking", |_| async {
        panic!("in a factory on purpose");
        #[allow(unreachable_code)]
        Ok::<ActorCell, ActorProcessingErr>(unreachable!())
    });
    let error = supervisor.start_child(panicking).await.unwrap_err();
    let StartChildError::Start(ChildStartError::Failed(message)) = &error else {
        panic!("{error:?}");
    };
    assert!(message.contains("panic"), "{message}");
    let (diary, spawned) = (Diary::default(), Arc::new(Mutex::new(None)));
    let (worker, kept) = (
        Worker {
            name: "a",
            diary,
            habit: Habit::default(),
        },
        Arc::clone(&spawned),
    );
    let hanging = ChildSpec::new("hanging", move |above| {
        let (worker, kept) = (worker.clone(), Arc::clone(&kept));
        async move {
            let (actor, _) = Actor::spawn_linked(None, worker, (), above).await?;
            *kept.lock().unwrap() = Some(actor.clone());
            std::future::pending::<()>().await;
            Ok::<_, ActorProcessingErr>(actor)
        }
    });
    let error = supervisor
        .start_child(hanging.start_within(2 * SECOND))
        .await;
    let late = StartChildError::Start(ChildStartError::Late(2 * SECOND));
    assert_eq!(error.unwrap_err(), late);
    let stray = spawned.lock().unwrap().take().unwrap();
    stray.wait(Some(SECOND)).await.unwrap();
    assert!(supervisor.snapshot().await.unwrap().children.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_ends_before_its_start_is_told_is_noticed() {
    let (diary, (listener, mut heard)) = (Diary::default(), witness().await);
    let habit = Habit::default();
    let panics = Arc::clone(&habit.panics_in_post_start);
    let builder = patient()
        .child(worker_with("a", &diary, habit))
        .reporting_to(&listener);
    let supervisor = builder.spawn().await.unwrap();
    let (actor, _) = started(&mut heard, "a").await;
    panics.store(true, Ordering::Relaxed);
    actor.kill();
    assert_eq!(ended(&mut heard, "a").await, ChildEnd::Killed);
    let end = ended(&mut heard, "a").await;
    let is_known = matches!(end, ChildEnd::Failed(_) | ChildEnd::NotStarted(_));
    assert!(is_known, "{end:?}");
    started(&mut heard, "a").await;
    supervisor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_too_many_failures_children_stop_with_their_hooks_and_the_supervisor_above_hears_why()
{
    let (diary, (above, mut heard)) = (Diary::default(), witness().await);
    let builder = Supervisor::builder()
        .intensity(RestartIntensity::new(1, 10 * SECOND))
        .reporting_to(&above)
        .child(worker("a", &diary))
        .child(worker("b", &diary));
    let supervisor = builder.spawn_linked(above.get_cell()).await.unwrap();
    for _ in 0..2 {
        started(&mut heard, "b").await.0.cast(Order::Fail).unwrap();
    }
    let expected = SupervisorFailure::TooManyRestarts {
        child: "b".into(),
        end: ChildEnd::Failed("an error on purpose".into()),
        restarts: 1,
        period: 10 * SECOND,
    };
    let failure = expect(&mut heard, |it| match it {
        Heard::Failed(error) => Some(error.downcast_ref::<SupervisorFailure>().cloned()),
        _ => None,
    });
    assert_eq!(failure.await.as_ref(), Some(&expected));
    assert_eq!(supervisor.ended().await, Some(expected));
    assert!(
        diary
            .take()
            .ends_with(&["a stopping".into(), "a stopped".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_that_gives_up_is_started_again_by_the_one_above_with_all_its_children() {
    let (diary, (listener, mut heard)) = (Diary::default(), witness().await);
    let inner = {
        let diary = diary.clone();
        move || {
            let builder = Supervisor::builder().intensity(RestartIntensity::NEVER);
            builder
                .child(worker("a", &diary))
                .child(worker("b", &diary))
        }
    };
    let spec = ChildSpec::supervisor("inner", inner);
    let outer = patient().child(spec).reporting_to(&listener);
    let outer = outer.spawn().await.unwrap();
    started(&mut heard, "inner").await;
    diary.take();
    let inner = outer.child_supervisor("inner").await.unwrap().unwrap();
    child(&inner, "b").await.kill();
    assert!(inner.ended().await.is_some());
    let end = ended(&mut heard, "inner").await;
    assert!(end.to_string().contains("more than 0 restarts"), "{end}");
    started(&mut heard, "inner").await;
    assert!(
        diary
            .take()
            .ends_with(&["a started".into(), "b started".into()])
    );
    outer.stop().await;
    assert_eq!(
        diary.take(),
        ["b stopping", "b stopped", "a stopping", "a stopped"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_whose_child_does_not_start_does_not_start_and_stops_the_others() {
    let diary = Diary::default();
    let habit = Habit::default();
    habit.failing_starts.store(1, Ordering::Relaxed);
    let builder = patient()
        .child(worker("a", &diary))
        .child(worker_with("b", &diary, habit));
    // It hears nothing of it: who asks is told.
    let (above, mut heard) = witness().await;
    let error = builder.spawn_linked(above.get_cell()).await.unwrap_err();
    assert!(matches!(&error, SupervisorStartError::Child { child, .. } if child.as_str() == "b"));
    assert_eq!(diary.take(), ["a started", "a stopping", "a stopped"]);
    let twice = patient()
        .child(worker("a", &diary))
        .child(worker("a", &diary));
    let error = twice.spawn().await.unwrap_err();
    assert_eq!(error.to_string(), "two children are called a");
    above.stop(None);
    above.wait(None).await.unwrap();
    assert!(heard.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_killed_supervisor_takes_all_along_also_one_that_hangs_in_its_last_hook() {
    // ractor kills the children of an actor that ends, but for those that are about to stop.
    let diary = Diary::default();
    let habit = Habit {
        hangs_in_post_stop: true,
        ..Habit::default()
    };
    let hanging = worker_with("hanging", &diary, habit);
    let supervisor = patient()
        .child(hanging)
        .child(worker("b", &diary))
        .spawn()
        .await
        .unwrap();
    let (hanging, b) = (
        child(&supervisor, "hanging").await,
        child(&supervisor, "b").await,
    );
    hanging.stop(None);
    while hanging.get_status() != ActorStatus::Stopping {
        tokio::task::yield_now().await;
    }
    ActorCell::from(supervisor.clone()).kill();
    supervisor.ended().await;
    for actor in [hanging, b] {
        actor.wait(Some(SECOND)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn children_come_and_go_by_names_that_others_may_have_as_well() {
    let (diary, (listener, mut heard)) = (Diary::default(), witness().await);
    let one = patient().reporting_to(&listener).spawn().await.unwrap();
    let other = patient().child(worker("a", &diary)).spawn().await.unwrap();
    let actor = one.start_child(worker("a", &diary)).await.unwrap();
    assert_ne!(actor.get_id(), child(&other, "a").await.get_id());
    let again = one.start_child(worker("a", &diary)).await.unwrap_err();
    assert_eq!(again, StartChildError::Duplicate("a".into()));
    assert!(
        one.child::<()>("a").await.unwrap().is_none(),
        "of another type"
    );
    one.stop_child("a").await.unwrap();
    assert_eq!(actor.get_status(), ActorStatus::Stopped);
    assert!(diary.take().contains(&"a stopped".into()));
    expect(&mut heard, |it| match it {
        Heard::News(SupervisorEvent::ChildRemoved { child }) => Some(child.clone()),
        _ => None,
    })
    .await;
    assert_eq!(
        one.stop_child("a").await,
        Err(StopChildError::Unknown("a".into()))
    );
    assert!(other.child::<Order>("a").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_is_taken_away_while_it_starts_never_runs_and_whoever_wanted_it_hears_that() {
    let diary = Diary::default();
    let supervisor = patient().spawn().await.unwrap();
    let habit = Habit {
        start_takes: 5 * SECOND,
        ..Habit::default()
    };
    let (spec, starter) = (worker_with("a", &diary, habit), supervisor.clone());
    let wanted = tokio::spawn(async move { starter.start_child(spec).await });
    while supervisor.snapshot().await.unwrap().children.is_empty() {
        tokio::task::yield_now().await;
    }
    supervisor.stop_child("a").await.unwrap();
    assert_eq!(wanted.await.unwrap().unwrap_err(), StartChildError::Stopped);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(diary.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn while_a_child_takes_long_to_start_the_supervisor_stops_at_once() {
    let (diary, habit) = (
        Diary::default(),
        Habit {
            start_takes: 5 * SECOND,
            ..Habit::default()
        },
    );
    let (supervisor, spec) = (
        patient().spawn().await.unwrap(),
        worker_with("a", &diary, habit),
    );
    let starter = supervisor.clone();
    let wanted = tokio::spawn(async move { starter.start_child(spec).await });
    while supervisor.snapshot().await.unwrap().children.is_empty() {
        tokio::task::yield_now().await;
    }
    let asked = Instant::now();
    supervisor.stop().await;
    assert!(asked.elapsed() < SECOND);
    wanted.await.unwrap().unwrap_err();
    assert_eq!(diary.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_thousand_children_of_a_supervisor_stop_together() {
    let diary = Diary::default();
    let supervisor = patient().spawn().await.unwrap();
    for number in 0..1000 {
        let habit = Habit {
            hangs_in_post_stop: true,
            ..Habit::default()
        };
        let worker = Worker {
            name: "one of many",
            diary: diary.clone(),
            habit,
        };
        let spec = ChildSpec::actor(format!("{number}"), move || (worker.clone(), ()));
        let spec = spec.restart(Restart::Temporary).shutdown(2 * SECOND);
        supervisor.start_child(spec).await.unwrap();
    }
    let children = ActorCell::from(supervisor.clone()).get_children();
    let asked = Instant::now();
    supervisor.stop().await;
    assert!(asked.elapsed() < 3 * SECOND, "{:?}", asked.elapsed());
    assert_eq!(children.len(), 1000);
    assert!(
        children
            .iter()
            .all(|it| it.get_status() == ActorStatus::Stopped)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_blocks_its_thread_is_left_to_itself_and_another_takes_its_place() {
    let (diary, (listener, mut heard)) = (Diary::default(), witness().await);
    let builder = patient()
        .strategy(Strategy::RestForOne)
        .reporting_to(&listener);
    let blocked = worker("blocked", &diary).shutdown(Duration::ZERO);
    let builder = builder.child(worker("a", &diary)).child(blocked);
    let supervisor = builder.spawn().await.unwrap();
    let (actor, _) = started(&mut heard, "blocked").await;
    let (hold, until) = std::sync::mpsc::sync_channel(0);
    actor.cast(Order::Block(until)).unwrap();
    // Taken by a child that blocks; one that has not begun can still be killed.
    hold.send(()).unwrap();
    child(&supervisor, "a").await.kill();
    assert_eq!(ended(&mut heard, "blocked").await, ChildEnd::Abandoned);
    started(&mut heard, "blocked").await;
    drop(hold);
    supervisor.stop().await;
}
