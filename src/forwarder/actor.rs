//! Shell of the hub.

use std::fmt;

use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::limits::ForwarderLimits;
use super::message::{ForwarderEvent, ForwarderMessage};
use super::policy::ForwardingPolicy;
use crate::outlet::Outlet;

/// The actor; all that changes lives in its state.
#[derive(Debug)]
pub(super) struct ForwarderActor;

/// What the builder hands over.
pub(super) struct ForwarderArguments {
    pub(super) policy: Box<dyn ForwardingPolicy>,
    pub(super) limits: ForwarderLimits,
    pub(super) owner: Outlet<ForwarderEvent>,
}

impl fmt::Debug for ForwarderArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwarderArguments")
            .field("limits", &self.limits)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

impl Actor for ForwarderActor {
    type Msg = ForwarderMessage;
    type State = ForwarderArguments;
    type Arguments = ForwarderArguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(arguments)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        _shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        if let ForwarderMessage::Stop = message {
            myself.stop(None);
        }
        Ok(())
    }
}
