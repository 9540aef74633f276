//! The end of a peer: parts stop in order, and are killed when they are late.

use std::collections::HashSet;

use ractor::{ActorCell, ActorId, ActorRef};

use super::CLOSE_DEADLINE;
use super::event::CloseReason;
use super::message::PeerConnectionMessage;
use super::shell::PeerConnectionShell;
use crate::timer::TimerTable;

/// An end under way.
#[derive(Debug)]
pub(super) struct Closing {
    /// Children that have not ended yet.
    left: HashSet<ActorId>,
    /// Armed once; given up with the rest.
    _deadline: TimerTable<Deadline>,
}

/// The one timer of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Deadline;

impl PeerConnectionShell {
    /// Media says goodbye and DTLS closes first, since both need the path; ICE and the peer's own endpoint
    /// follow when they are done.
    pub(super) fn begin_close(
        &mut self,
        reason: CloseReason,
        myself: &ActorRef<PeerConnectionMessage>,
    ) {
        if self.closing.is_some() {
            return;
        }
        self.life.reason = reason;
        self.close_negotiation();
        self.parts.rtp.stop();
        self.parts.dtls.close();
        let left = myself
            .get_children()
            .iter()
            .map(ActorCell::get_id)
            .collect();
        let mut deadline = TimerTable::new();
        deadline.arm(Deadline, CLOSE_DEADLINE, myself, |_| {
            PeerConnectionMessage::CloseDeadlinePassed
        });
        self.closing = Some(Closing {
            left,
            _deadline: deadline,
        });
        self.continue_close(myself);
    }

    /// A child has ended, asked to or not.
    pub(super) fn part_ended(
        &mut self,
        child: &ActorCell,
        message: String,
        myself: &ActorRef<PeerConnectionMessage>,
    ) {
        let part = self.parts.identify(child);
        tracing::debug!(?part, message, "an actor of the peer ended");
        if self.closing.is_none()
            && let Some(part) = part
        {
            self.begin_close(CloseReason::PartFailed { part, message }, myself);
        }
        if let Some(closing) = &mut self.closing {
            closing.left.remove(&child.get_id());
        }
        self.continue_close(myself);
    }

    /// The parts had their time.
    pub(super) fn kill_what_is_left(&self, myself: &ActorRef<PeerConnectionMessage>) {
        for child in myself.get_children() {
            child.kill();
        }
        myself.stop(None);
    }

    fn continue_close(&self, myself: &ActorRef<PeerConnectionMessage>) {
        let Some(closing) = &self.closing else {
            return;
        };
        let needs_the_path =
            [self.parts.rtp.cell(), self.parts.dtls.cell()].map(|cell| cell.get_id());
        if needs_the_path.iter().any(|id| closing.left.contains(id)) {
            return;
        }
        self.parts.ice.stop();
        let only_the_endpoint_is_left = closing
            .left
            .iter()
            .all(|id| *id == self.parts.endpoint.cell().get_id());
        if only_the_endpoint_is_left && self.parts.endpoint_is_own {
            self.parts.endpoint.stop();
        }
        if closing.left.is_empty() {
            myself.stop(None);
        }
    }
}
