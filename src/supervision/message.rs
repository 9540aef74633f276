//! What a supervisor is told.

use std::sync::{Arc, OnceLock};

use ractor::{ActorCell, RpcReplyPort};

use super::child::{ChildId, ChildSpec};
use super::error::{ChildStartError, StartChildError, StopChildError, SupervisorFailure};
use super::life::{ChildKey, Incarnation};
use super::snapshot::SupervisorSnapshot;
use crate::timer::Generation;

/// Mailbox of a supervisor.
#[derive(Debug)]
pub(crate) enum SupervisorMessage {
    // Commands and queries, from handles.
    /// One child more; answered when it runs, or does not.
    StartChild {
        spec: ChildSpec,
        reply: RpcReplyPort<Result<ActorCell, StartChildError>>,
    },
    /// One child less; answered when it has ended.
    StopChild {
        id: ChildId,
        reply: RpcReplyPort<Result<(), StopChildError>>,
    },
    /// The actor of a child, if it runs.
    Child {
        id: ChildId,
        reply: RpcReplyPort<Option<ActorCell>>,
    },
    /// Where it says why it has given up, for one more handle.
    Failure {
        reply: RpcReplyPort<Arc<OnceLock<SupervisorFailure>>>,
    },
    /// All children.
    Snapshot {
        reply: RpcReplyPort<SupervisorSnapshot>,
    },

    // Facts, from its own tasks and timers.
    /// A start is done.
    Started {
        key: ChildKey,
        incarnation: Incarnation,
        outcome: Result<ActorCell, ChildStartError>,
    },
    /// Something is due.
    TimeCame { generation: Generation },
}
