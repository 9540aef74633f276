//! Stopping children for good: each is asked, and killed when it is late.

use std::time::Duration;

use ractor::ActorCell;
use tokio::time::Instant;

use super::machine::KILL_DEADLINE;

/// Stops these at once and waits for all, each within its deadline. Returns those that did not end when killed: nothing can
/// be done about a hook that blocks its thread.
pub(super) async fn stop_all(mut actors: Vec<(ActorCell, Duration)>) -> Vec<ActorCell> {
    actors.sort_by_key(|(_, deadline)| *deadline);
    let asked = Instant::now();
    for (actor, deadline) in &actors {
        if deadline.is_zero() {
            actor.kill();
        } else {
            actor.stop(None);
        }
    }
    let mut killed = Vec::new();
    for (actor, deadline) in actors {
        let left = deadline.saturating_sub(asked.elapsed());
        if actor.wait(Some(left)).await.is_err() {
            actor.kill();
            killed.push((actor, Instant::now()));
        }
    }
    let mut left_over = Vec::new();
    for (actor, at) in killed {
        let left = KILL_DEADLINE.saturating_sub(at.elapsed());
        if actor.wait(Some(left)).await.is_err() {
            left_over.push(actor);
        }
    }
    left_over
}
