//! How much waits on the media path.

use super::machine::RtpTransportMachine;
use crate::lane::LaneDepth;

/// What waits at each place where media can wait; see the table in the room's door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneDepths {
    /// Between the endpoint and this actor.
    pub(crate) inbound: LaneDepth,
    /// In the owner's mailbox.
    pub(crate) owner: LaneDepth,
    /// For the owner's mailbox.
    pub(crate) waiting: LaneDepth,
    /// What is sent by hand.
    pub(crate) outbound: LaneDepth,
    /// On all routes that begin here; the most of any of them.
    pub(crate) route: LaneDepth,
}

impl LaneDepths {
    /// Each with its name.
    pub(crate) fn by_name(&self) -> [(&'static str, LaneDepth); 5] {
        [
            ("inbound", self.inbound),
            ("owner", self.owner),
            ("waiting", self.waiting),
            ("outbound", self.outbound),
            ("route", self.route),
        ]
    }
}

impl RtpTransportMachine {
    /// Of the places that the machine knows, beside the two lanes that it does not.
    pub(super) fn depths(&self, inbound: LaneDepth, outbound: LaneDepth) -> LaneDepths {
        LaneDepths {
            inbound,
            owner: self.delivery.with_owner(),
            waiting: self.delivery.waiting(),
            outbound,
            route: self.publishing.depth(),
        }
    }
}
