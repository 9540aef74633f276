//! Ends that do not depend on the good will of whoever is to end.

use std::time::Duration;

use ractor::ActorCell;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Lets an actor that was told to end do so, and kills it when it has not within `deadline`: one that never returns from a
/// hook hears of nothing else. Goes on when whoever asked waits no longer.
///
/// Outside of a runtime nobody could keep the time, and nothing is forced.
pub(crate) fn force_after(actor: ActorCell, deadline: Duration) -> Forced {
    let task = Handle::try_current().map(|runtime| {
        runtime.spawn(async move {
            if actor.wait(Some(deadline)).await.is_err() {
                tracing::warn!(actor = %actor.get_id(), ?deadline, "an actor does not end, and is killed");
                actor.kill();
                // What is stuck without waiting for anything cannot be killed either.
                let _stuck = actor.wait(Some(deadline)).await;
            }
        })
    });
    Forced { task: task.ok() }
}

/// An end under way. May be dropped.
#[derive(Debug)]
pub(crate) struct Forced {
    task: Option<JoinHandle<()>>,
}

impl Forced {
    /// Waits for it.
    pub(crate) async fn wait(self) {
        if let Some(task) = self.task {
            // It goes when the runtime does.
            let _aborted = task.await;
        }
    }
}

/// An actor of which nobody knows yet. Ends with this, where the rest of what it belongs to does not start, or whoever wanted
/// it waits no longer.
#[derive(Debug)]
pub(crate) struct StopOnDrop(Option<ActorCell>);

impl StopOnDrop {
    pub(crate) fn new(actor: ActorCell) -> Self {
        Self(Some(actor))
    }

    /// It is known now.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(actor) = self.0.take() {
            actor.stop(None);
            force_after(actor, END_DEADLINE);
        }
    }
}

/// For an actor that has nothing to do but to end.
pub(crate) const END_DEADLINE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use ractor::{Actor, ActorProcessingErr, ActorRef, ActorStatus};
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(500);

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_by_itself_is_waited_for_and_no_longer() {
        let (actor, _) = Actor::spawn(None, Deaf, ()).await.unwrap();
        let began = Instant::now();
        actor.stop(None);
        force_after(actor.get_cell(), DEADLINE).wait().await;
        assert!(began.elapsed() < DEADLINE);
        assert_eq!(actor.get_status(), ActorStatus::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_killed_at_the_deadline_though_nobody_waits() {
        let (actor, _) = Actor::spawn(None, Deaf, ()).await.unwrap();
        let (hangs, hanging) = oneshot::channel();
        actor.cast(hangs).unwrap();
        hanging.await.unwrap();
        let began = Instant::now();
        actor.stop(None);
        drop(force_after(actor.get_cell(), DEADLINE));
        actor.wait(None).await.unwrap();
        // Timers go by milliseconds.
        let late = began.elapsed() - DEADLINE;
        assert!(late <= Duration::from_millis(1), "{late:?}");
    }

    /// Never comes back from a message.
    struct Deaf;

    impl Actor for Deaf {
        type Msg = oneshot::Sender<()>;
        type State = ();
        type Arguments = ();

        async fn pre_start(
            &self,
            _: ActorRef<Self::Msg>,
            (): (),
        ) -> Result<(), ActorProcessingErr> {
            Ok(())
        }

        async fn handle(
            &self,
            _: ActorRef<Self::Msg>,
            hangs: Self::Msg,
            (): &mut (),
        ) -> Result<(), ActorProcessingErr> {
            hangs.send(()).expect("the test waits for it");
            std::future::pending().await
        }
    }
}
