//! The part of a Forwarder that attaches tracks to one peer: a child for each, so that a peer which is stuck, or upsets
//! its part, delays and costs no other.
//!
//! It is told what the peer should have, looks at what the peer has, and does the rest. It keeps nothing that it could
//! not find out again.

use std::collections::HashMap;

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::task::JoinSet;

use super::error::SubscribeError;
use super::message::ForwarderMessage;
use super::reconcile::{Attached, Attachments, Feed, Inventory, Line, Order, Report, Step};
use crate::call::{CallError, StartError};
use crate::jsep::{RtpTransceiver, RtpTransceiverDirection, TransceiverError};
use crate::peer_connection::{
    Monitor, PeerConnection, PeerId, RouteError, RouteSource, SignalingState,
};
use crate::rtp::LayerLimit;
use crate::start::spawn_linked;
use crate::stop::{END_DEADLINE, force_after};
use crate::track::{MediaStreamTrack, TrackId};

/// Handle to the part of one peer.
#[derive(Debug)]
pub(super) struct Subscriber {
    actor: ActorRef<SubscriberMessage>,
}

/// Mailbox of the part: what the peer should have. One at a time, since the hub waits for the report.
#[derive(Debug)]
pub(super) struct SubscriberMessage {
    order: Order,
    /// Who feeds what is wanted.
    publishers: HashMap<PeerId, PeerConnection>,
}

/// The actor; all that changes lives in [`SubscriberShell`].
#[derive(Debug)]
struct SubscriberActor;

#[derive(Debug)]
struct SubscriberArguments {
    peer: PeerConnection,
    hub: ActorRef<ForwarderMessage>,
}

/// State of the running actor.
#[derive(Debug)]
struct SubscriberShell {
    peer: PeerConnection,
    hub: ActorRef<ForwarderMessage>,
    attachments: Attachments,
    /// The routes that are set.
    fed: HashMap<TrackId, Option<Feed>>,
    /// The peer's end is heard of even where its owner is gone, and passes nothing on.
    _watched: Monitor,
}

/// Why an order was not carried out.
#[derive(Debug)]
enum Trouble {
    /// There is nobody to carry it out for.
    PeerEnded,
    Unanswered(CallError),
}

impl Subscriber {
    pub(super) async fn spawn(
        peer: &PeerConnection,
        hub: &ActorRef<ForwarderMessage>,
    ) -> Result<Self, StartError> {
        let arguments = SubscriberArguments {
            peer: peer.clone(),
            hub: hub.clone(),
        };
        let supervisor = hub.get_cell();
        let actor = spawn_linked(SubscriberActor, arguments, supervisor).await?;
        Ok(Self { actor })
    }

    /// Does not wait; [`ForwarderMessage::Reported`] follows.
    pub(super) fn carry_out(&self, order: Order, publishers: HashMap<PeerId, PeerConnection>) {
        // One that has failed is started again, and gets an order of its own.
        let _failed = self.actor.cast(SubscriberMessage { order, publishers });
    }

    pub(super) fn stop(&self) {
        self.actor.stop(None);
        force_after(self.actor.get_cell(), END_DEADLINE);
    }

    pub(super) fn is(&self, actor: &ActorCell) -> bool {
        self.actor.get_id() == actor.get_id()
    }
}

impl Actor for SubscriberActor {
    type Msg = SubscriberMessage;
    type State = SubscriberShell;
    type Arguments = SubscriberArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let SubscriberArguments { peer, hub } = arguments;
        Ok(SubscriberShell {
            _watched: peer.monitored_by(myself.get_cell()),
            peer,
            hub,
            attachments: Attachments::default(),
            fed: HashMap::new(),
        })
    }

    /// Waits for the peer connection and for the media path of the peer, three seconds at most for each answer.
    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let outcome = shell.carry_out(&message).await;
        let outcome = match outcome {
            Ok(inventory) => Ok(inventory),
            Err(Trouble::Unanswered(error)) => Err(error),
            Err(Trouble::PeerEnded) => {
                shell.tell(ForwarderMessage::PeerEnded(shell.peer.id()));
                return Ok(());
            }
        };
        let report = Report {
            order: message.order.number,
            outcome,
        };
        let peer = shell.peer.id();
        shell.tell(ForwarderMessage::Reported { peer, report });
        Ok(())
    }

    /// There are no children: who has ended is the peer connection, which is watched.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(..) | SupervisionEvent::ActorFailed(..) => {
                shell.tell(ForwarderMessage::PeerEnded(shell.peer.id()));
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        Ok(())
    }
}

impl SubscriberShell {
    async fn carry_out(&mut self, message: &SubscriberMessage) -> Result<Inventory, Trouble> {
        let SubscriberMessage { order, publishers } = message;
        let mut transceivers = self.transceivers().await?;
        let plan = (self.attachments).plan(Line::of_use(&transceivers), order);
        let rejected = plan.rejected.into_iter();
        let mut refused: Vec<_> = rejected.map(|id| (id, SubscribeError::Rejected)).collect();
        if !plan.steps.is_empty() {
            for step in plan.steps {
                refused.extend(self.take(step).await?);
            }
            transceivers = self.transceivers().await?;
        }
        let lines = Line::of_use(&transceivers);
        self.feed(order, publishers, &lines).await?;
        Ok(Inventory {
            is_stable: self.peer.signaling_state() == SignalingState::Stable,
            receiving: receiving(&transceivers),
            attached: attached(order, &lines),
            released: released(order, &lines),
            refused,
        })
    }

    async fn transceivers(&self) -> Result<Vec<RtpTransceiver>, Trouble> {
        Ok(self.peer.transceivers().await?)
    }

    /// One operation; the answer is a track that cannot be attached, and why.
    async fn take(&mut self, step: Step) -> Result<Option<(TrackId, SubscribeError)>, Trouble> {
        let (track, outcome) = match &step {
            Step::Remove(sender) => {
                return match self.peer.remove_track(*sender).await {
                    Ok(()) => Ok(None),
                    Err(error) => trouble(error).map(|_without_effect| None),
                };
            }
            Step::AddTo(line, track) => (track, self.peer.add_track_to(*line, track).await),
            Step::Add(track) => (track, self.peer.add_track(track).await),
        };
        let id = track.id();
        let Err(error) = outcome else {
            self.attachments.attached(id);
            self.fed.remove(&id);
            return Ok(None);
        };
        match (trouble(error)?, step) {
            // By somebody else, the owner perhaps, or a former Forwarder with its last breath.
            (TransceiverError::TrackAlreadyAdded { track }, _) if track == id => Ok(None),
            // The line has changed since it was looked at, and its negotiation is told.
            (_, Step::AddTo(..)) => Ok(None),
            (error, Step::Add(_) | Step::Remove(_)) => Ok(Some((id, error.into()))),
        }
    }

    /// Sets the routes that are not as they should be. All are asked for at once: the sending actor, which may be
    /// busy with packets, answers them in one turn.
    async fn feed(
        &mut self,
        order: &Order,
        publishers: &HashMap<PeerId, PeerConnection>,
        lines: &[Line],
    ) -> Result<(), Trouble> {
        let is_wanted = |id: &TrackId| order.wanted.iter().any(|it| it.track.id() == *id);
        self.fed.retain(|track, _| is_wanted(track));
        let mut routes = JoinSet::new();
        for wanted in &order.wanted {
            let (track, feed) = (wanted.track.id(), &wanted.feed);
            let is_attached = lines.iter().any(|line| line.track == Some(track));
            let before = self.fed.get(&track);
            if !is_attached || before == Some(feed) {
                continue;
            }
            let limit = feed.as_ref().map_or(LayerLimit::NONE, |feed| feed.limit);
            self.peer.choose_layer_limit(track, limit);
            let before = before.and_then(Option::as_ref);
            if let (Some(before), Some(now)) = (before, feed)
                && before.has_route_of(now)
            {
                self.fed.insert(track, feed.clone());
                continue;
            }
            let source = feed.as_ref().and_then(|feed| source(feed, publishers));
            let (peer, feed) = (self.peer.clone(), feed.clone());
            routes.spawn(async move { (track, feed, peer.set_route(track, source).await) });
        }
        while let Some(set) = routes.join_next().await {
            let (track, feed, outcome) =
                set.expect("setting a route neither panics nor is aborted");
            match outcome {
                Ok(()) => {
                    self.fed.insert(track, feed);
                }
                Err(RouteError::Call(error)) => return Err(error.into()),
                Err(error @ RouteError::TooMany { .. }) => {
                    let peer = self.peer.id();
                    tracing::warn!(%peer, %track, %error, "not forwarded");
                }
                // One end of it is over, and an event says so.
                Err(
                    RouteError::UnknownTrack(_)
                    | RouteError::UnknownEncoding(_)
                    | RouteError::UnknownSource(_)
                    | RouteError::SourceClosed
                    | RouteError::KindMismatch { .. },
                ) => {}
            }
        }
        Ok(())
    }

    fn tell(&self, message: ForwarderMessage) {
        // A hub that has ended takes its parts along.
        let _ended = self.hub.cast(message);
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Stopped => Self::PeerEnded,
            CallError::Timeout => Self::Unanswered(error),
        }
    }
}

/// Gives back an error that concerns one operation, and no more.
fn trouble(error: TransceiverError) -> Result<TransceiverError, Trouble> {
    match error {
        TransceiverError::Call(error) => Err(error.into()),
        TransceiverError::Closed => Err(Trouble::PeerEnded),
        TransceiverError::UnknownTransceiver { .. }
        | TransceiverError::UnknownSender { .. }
        | TransceiverError::Stopped { .. }
        | TransceiverError::TrackAlreadyAdded { .. }
        | TransceiverError::KindMismatch { .. }
        | TransceiverError::InvalidDirection { .. }
        | TransceiverError::InvalidEncodings { .. }
        | TransceiverError::NoPreferredCodec
        | TransceiverError::TooMany { .. } => Ok(error),
    }
}

fn source(feed: &Feed, publishers: &HashMap<PeerId, PeerConnection>) -> Option<RouteSource> {
    let source = RouteSource::new(publishers.get(&feed.publisher)?, feed.track);
    Some(match &feed.rid {
        Some(rid) => source.rid(rid.clone()),
        None => source,
    })
}

/// The tracks that the remote side sends, as far as both sides have agreed.
fn receiving(transceivers: &[RtpTransceiver]) -> Vec<MediaStreamTrack> {
    let receive = |one: &&RtpTransceiver| {
        let current = one.current_direction();
        !one.is_stopping() && current.is_some_and(RtpTransceiverDirection::receives)
    };
    let received = transceivers.iter().filter(receive);
    received.map(|one| one.receiver().track().clone()).collect()
}

fn attached(order: &Order, lines: &[Line]) -> Vec<Attached> {
    let wanted = order.wanted.iter().map(|wanted| wanted.track.id());
    let attached = wanted.filter_map(|track| {
        let line = lines.iter().find(|line| line.track == Some(track))?;
        let mid = line.mid.clone();
        Some(Attached { track, mid })
    });
    attached.collect()
}

fn released(order: &Order, lines: &[Line]) -> Vec<TrackId> {
    let is_off = |track: &TrackId| lines.iter().all(|line| line.track != Some(*track));
    let released = order.released.iter().copied();
    released.filter(is_off).collect()
}
