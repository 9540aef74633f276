//! What the feature `fault-injection` would break, not broken.

use ractor::{Actor, ActorCell};

/// The actor as it is.
pub(crate) fn breakable<A: Actor>(actor: A, _supervisor: &ActorCell) -> A {
    actor
}
