//! Sending for all peers of one socket: rewriting, protecting, handing to the kernel.
//!
//! [`Egress`] is the handle. The actor behind it holds the *sending half* of every peer of one
//! [`UdpEndpoint`](crate::udp::UdpEndpoint). A packet that goes to fifty peers thus wakes one task, not
//! fifty: it is sealed and sent fifty times back to back, with code, slab and tables in the cache.
//!
//! Started and supervised by the endpoint, without which it has nothing to do. Its members join
//! and leave:
//!
//! | what fails | what is lost | what we do | who hears it |
//! | --- | --- | --- | --- |
//! | a member's half panics | that half | throw it away, go on with the others | its [`SendingEvent::Failed`]: that peer closes |
//! | a member's receiving half ends or is killed | that peer | its guard is dropped: goodbye, routes end | streams of it end at their subscribers |
//! | a publisher ends | its streams | subscribers keep their numbering for the next source | |
//! | this actor | all halves | the endpoint fails as well | every peer of it: `Closed { PartFailed }` |
//!
//! # Queues
//!
//! | queue | bound | when full |
//! | --- | --- | --- |
//! | lane of a peer (by hand) | `MediaLimits::outbound` of the peer | the oldest goes; [`SendingEvent::Overflowed`] |
//! | lane of a stream (by route) | `MediaLimits::routed` of the publisher | the oldest goes; [`PublisherRequest::Overflowed`] |
//! | kept of an m-line, in case it is lost | 1 s, 2 MiB; nothing without `nack` | the oldest goes; `retransmission_missed` |
//! | sent again of an m-line | half of what it sends, bursts of 256 KiB | refused; `retransmission_suppressed` |
//! | waiting for its time on the path, of a peer | 2048 pictures and 2 s, 2048 retransmissions | a route goes on at its next keyframe; `paced_out` |
//! | socket | the kernel's | dropped; `send_failed` |
//!
//! A turn takes at most so much of one lane that other messages are heard within milliseconds; RTCP
//! and commands go by the mailbox and never wait behind a full lane.

mod actor;
mod congestion;
mod counters;
mod feeds;
mod held_back;
mod layers;
mod machine;
mod message;
mod outbox;
mod pacing;
mod retransmission;
mod routes;
mod sent_track;
mod snapshot;
mod way_out;

use std::sync::Arc;

use ractor::{ActorCell, ActorRef};

use self::actor::EgressActor;
pub(crate) use self::congestion::ArrivalReport;
pub(crate) use self::counters::SendingCounters;
pub(crate) use self::machine::ReportRequest;
#[cfg(any(test, fuzzing))]
pub(crate) use self::machine::SendingHalf;
use self::message::{EgressMessage, MemberId, NewMember};
pub(crate) use self::message::{
    LimitSetter, Outgoing, PublisherRequest, RouteLayer, RouteOrigin, RouteRefusal, SendingCommand,
    SendingEvent, StreamId, Subscription,
};
#[cfg(any(test, fuzzing))]
pub(crate) use self::outbox::Outbox;
pub(crate) use self::retransmission::RetransmissionRequest;
pub(crate) use self::sent_track::SentTrack;
pub(crate) use self::snapshot::{SendingSnapshot, SentStream};
use crate::call::{CallError, StartError, ask};
use crate::lane::{LaneCapacity, LaneDepth, LaneReceiver, LaneSender, lane};
use crate::limits::PeerLimits;
use crate::outlet::{ListenerGone, Outlet};
use crate::start::spawn_linked;

/// Handle to a running sending actor. Cheap to clone; dead once the actor has stopped.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    actor: ActorRef<EgressMessage>,
}

impl Egress {
    /// Starts a sending actor under `supervisor`.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the actor could not be started.
    pub(crate) async fn spawn(supervisor: ActorCell) -> Result<Self, StartError> {
        let actor = spawn_linked(EgressActor, (), supervisor).await?;
        Ok(Self { actor })
    }

    /// The actor, to be killed by tests.
    #[cfg(test)]
    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    /// A place for one peer; to be taken with [`Reservation::join`].
    pub(crate) fn reserve(&self, limits: PeerLimits) -> (SendingHandle, Reservation) {
        let capacity = LaneCapacity::from(limits.media.outbound);
        let id = MemberId::next();
        let actor = self.actor.clone();
        let (lane, outbound) = lane(capacity, move || {
            // A sending actor that has stopped drops its ends of the lanes.
            let _stopped = actor.cast(EgressMessage::OutboundRang { id });
        });
        let commands = Commands {
            id,
            actor: self.actor.clone(),
        };
        let reservation = Reservation {
            commands: commands.clone(),
            lane: lane.clone(),
            outbound,
            limits,
        };
        (SendingHandle { commands, lane }, reservation)
    }
}

/// The way into one peer's sending half, for the peer's handles. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SendingHandle {
    commands: Commands,
    lane: LaneSender<Outgoing>,
}

impl SendingHandle {
    /// Puts packets into the peer's lane. Does not wait.
    pub(crate) fn push(&self, outgoing: Outgoing) {
        self.lane.push(outgoing);
    }

    /// Tells the sending half what to do. Does not wait.
    pub(crate) fn tell(&self, command: SendingCommand) {
        // Where the half is gone, so is the peer.
        let _gone = self.commands.tell(command);
    }

    /// Feeds a track of this peer from another peer's track, or from nowhere. Waits for the
    /// actor's turn, three seconds at most.
    ///
    /// # Errors
    ///
    /// [`CallError`] when this peer's half is gone or stuck; [`RouteRefusal`] says why the publisher does not feed it.
    pub(crate) async fn set_route(
        &self,
        track: impl Into<SentTrack>,
        origin: Option<RouteOrigin>,
    ) -> Result<Result<(), RouteRefusal>, CallError> {
        let Commands { id, actor } = &self.commands;
        let track = track.into();
        ask(actor, |reply| EgressMessage::Command {
            id: *id,
            command: SendingCommand::SetRoute {
                track,
                origin,
                reply,
            },
        })
        .await
    }
}

impl SendingHandle {
    /// What the sending half shows of itself for statistics. Waits for the actor's turn, three seconds at most.
    ///
    /// # Errors
    ///
    /// [`CallError`] when this peer's half is gone or stuck.
    pub(crate) async fn snapshot(&self) -> Result<SendingSnapshot, CallError> {
        let Commands { id, actor } = &self.commands;
        ask(actor, |reply| EgressMessage::Command {
            id: *id,
            command: SendingCommand::Snapshot { reply },
        })
        .await
    }
}

/// Commands to one peer's sending half.
#[derive(Clone, Debug)]
struct Commands {
    id: MemberId,
    actor: ActorRef<EgressMessage>,
}

impl Commands {
    fn tell(&self, command: SendingCommand) -> Result<(), ListenerGone> {
        let message = EgressMessage::Command {
            id: self.id,
            command,
        };
        self.actor.cast(message).map_err(|_| ListenerGone)
    }
}

/// A place that is not taken yet.
#[derive(Debug)]
pub(crate) struct Reservation {
    commands: Commands,
    lane: LaneSender<Outgoing>,
    outbound: LaneReceiver<Outgoing>,
    limits: PeerLimits,
}

impl Reservation {
    /// Begins to send. `listener` hears of it; the counters may be read at any time.
    pub(crate) fn join(self, listener: Outlet<SendingEvent>) -> (Membership, Arc<SendingCounters>) {
        let counters = Arc::new(SendingCounters::default());
        let member = NewMember {
            outbound: self.outbound,
            counters: Arc::clone(&counters),
            limits: self.limits,
            listener,
        };
        let Commands { id, actor } = &self.commands;
        // Where the sending actor is gone, so is the endpoint, and the peer hears of that.
        let _gone = actor.cast(EgressMessage::Join { id: *id, member });
        let membership = Membership {
            commands: self.commands,
            lane: self.lane,
        };
        (membership, counters)
    }
}

/// A peer's place at a sending actor. Dropping it ends the sending half, with a goodbye.
#[derive(Debug)]
pub(crate) struct Membership {
    commands: Commands,
    lane: LaneSender<Outgoing>,
}

impl Membership {
    /// Tells the sending half what to do. Does not wait.
    ///
    /// # Errors
    ///
    /// [`ListenerGone`] when the sending actor is gone.
    pub(crate) fn tell(&self, command: SendingCommand) -> Result<(), ListenerGone> {
        self.commands.tell(command)
    }

    /// What waits to be sent by hand.
    pub(crate) fn depth(&self) -> LaneDepth {
        self.lane.depth()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let Commands { id, actor } = &self.commands;
        // Where the sending actor is gone, so is the half.
        let _gone = actor.cast(EgressMessage::Leave { id: *id });
    }
}

#[cfg(test)]
mod tests;
