//! Shell of the hub: gives orders to subscribers, carries their reports, and answers who waits for them.

use std::collections::HashMap;
use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::time::Instant as TokioInstant;

use super::error::{AddPeerError, SubscribeError};
use super::limits::ForwarderLimits;
use super::machine::{Effect, ForwarderMachine, Outcome};
use super::memory::Memory;
use super::message::{ForwarderEvent, ForwarderMessage};
use super::policy::ForwardingPolicy;
use super::reconcile::Order;
use super::runtime::RequestId;
use super::subscriber::Subscriber;
use crate::outlet::Outlet;
use crate::peer_connection::{PeerConnection, PeerConnectionState, PeerId};
use crate::timer::TimerTable;
use crate::track::MediaStreamTrack;

/// The actor; all that changes lives in [`ForwarderShell`].
#[derive(Debug)]
pub(super) struct ForwarderActor;

/// What the builder hands over.
pub(super) struct ForwarderArguments {
    pub(super) policy: Box<dyn ForwardingPolicy>,
    pub(super) limits: ForwarderLimits,
    /// What a former one knew, or nothing.
    pub(super) memory: Arc<Memory>,
    pub(super) owner: Outlet<ForwarderEvent>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct ForwarderShell {
    machine: ForwarderMachine,
    effects: Vec<Effect>,
    memory: Arc<Memory>,
    owner: Outlet<ForwarderEvent>,
    peers: HashMap<PeerId, PeerConnection>,
    subscribers: HashMap<PeerId, Subscriber>,
    /// Who waits for what.
    pending: HashMap<RequestId, Pending>,
    requests: u64,
    retries: TimerTable<PeerId>,
    reviews: TimerTable<PeerId>,
}

/// An answer that waits for a subscriber.
#[derive(Debug)]
enum Pending {
    AddPeer(PeerId, RpcReplyPort<Result<(), AddPeerError>>),
    Subscribe(
        MediaStreamTrack,
        RpcReplyPort<Result<MediaStreamTrack, SubscribeError>>,
    ),
    /// A slot, or another source.
    Change(RpcReplyPort<Result<(), SubscribeError>>),
}

impl Actor for ForwarderActor {
    type Msg = ForwarderMessage;
    type State = ForwarderShell;
    type Arguments = ForwarderArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let (records, peers) = arguments.memory.read();
        let mut shell = ForwarderShell {
            machine: ForwarderMachine::new(arguments.policy, arguments.limits),
            effects: Vec::new(),
            memory: arguments.memory,
            owner: arguments.owner,
            peers,
            subscribers: HashMap::new(),
            pending: HashMap::new(),
            requests: 0,
            retries: TimerTable::new(),
            reviews: TimerTable::new(),
        };
        let is_running = |id| {
            let peer = shell.peers.get(&id);
            peer.is_some_and(|peer| peer.connection_state() != PeerConnectionState::Closed)
        };
        (shell.machine).restore(records, is_running, &mut shell.effects);
        shell.perform_effects(&myself).await?;
        Ok(shell)
    }

    /// Waits for nothing but the start of a child.
    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        shell.receive(message, &myself);
        shell.perform_effects(&myself).await
    }

    /// See the table in the room's door.
    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorTerminated(child, _, reason) => {
                let message = reason.unwrap_or_else(|| "stopped".to_owned());
                shell.child_ended(&child, message);
            }
            SupervisionEvent::ActorFailed(child, error) => {
                shell.child_ended(&child, error.to_string());
            }
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => {}
        }
        shell.perform_effects(&myself).await
    }
}

impl ForwarderShell {
    fn receive(&mut self, message: ForwarderMessage, myself: &ActorRef<ForwarderMessage>) {
        use ForwarderMessage as Message;

        match message {
            Message::AddPeer { peer, reply } => self.add_peer(peer, reply),
            Message::RemovePeer(peer) => self.machine.remove_peer(peer, &mut self.effects),
            Message::Heard { peer, news } => self.machine.hear(peer, news, &mut self.effects),
            Message::Subscribe {
                subscriber,
                publication,
                reply,
            } => {
                let request = self.next_request();
                let effects = &mut self.effects;
                let begun = (self.machine).subscribe(subscriber, publication, request, effects);
                match begun {
                    Ok(track) => self.keep(request, Pending::Subscribe(track, reply)),
                    Err(error) => answer(reply, Err(error)),
                }
            }
            Message::AddSlot {
                subscriber,
                track,
                reply,
            } => self.change(reply, |machine, request, effects| {
                machine.add_slot(subscriber, track, request, effects)
            }),
            Message::Switch {
                subscription,
                publication,
                reply,
            } => self.change(reply, |machine, request, effects| {
                machine.switch(subscription, publication, request, effects)
            }),
            Message::Unsubscribe(subscription) => {
                self.machine.unsubscribe(subscription, &mut self.effects);
            }
            Message::SetPaused {
                publication,
                paused,
            } => (self.machine).set_paused(publication, paused, &mut self.effects),
            Message::SetLayers { subscription, wish } => {
                (self.machine).set_layers(subscription, wish, &mut self.effects);
            }
            Message::SetLayersOf {
                subscriber,
                publication,
                wish,
            } => {
                if let Some(track) = self.machine.following(subscriber, publication) {
                    (self.machine).set_layers(track.id(), wish, &mut self.effects);
                }
            }
            Message::Snapshot { reply } => answer(reply, self.machine.snapshot()),
            Message::Stop => myself.stop(None),
            Message::Reported { peer, report } => {
                self.machine.report(peer, report, &mut self.effects);
            }
            Message::PeerEnded(peer) => self.machine.gone(peer, &mut self.effects),
            Message::RetryDue { peer, generation } => {
                if self.retries.accept(peer, generation) {
                    self.machine.order(peer, &mut self.effects);
                }
            }
            Message::LayersDue { peer, generation } => {
                if self.reviews.accept(peer, generation) {
                    self.machine.layers_due(peer);
                }
            }
        }
    }

    fn add_peer(&mut self, peer: PeerConnection, reply: RpcReplyPort<Result<(), AddPeerError>>) {
        let (id, request) = (peer.id(), self.next_request());
        if let Err(error) = self.machine.add_peer(id, request, &mut self.effects) {
            answer(reply, Err(error));
            return;
        }
        self.keep(request, Pending::AddPeer(id, reply));
        self.memory.write(|it| {
            it.peers.insert(id, peer.clone());
        });
        self.peers.insert(id, peer);
    }

    fn change(
        &mut self,
        reply: RpcReplyPort<Result<(), SubscribeError>>,
        change: impl FnOnce(
            &mut ForwarderMachine,
            RequestId,
            &mut Vec<Effect>,
        ) -> Result<(), SubscribeError>,
    ) {
        let request = self.next_request();
        match change(&mut self.machine, request, &mut self.effects) {
            Ok(()) => self.keep(request, Pending::Change(reply)),
            Err(error) => answer(reply, Err(error)),
        }
    }

    fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }

    fn keep(&mut self, request: RequestId, pending: Pending) {
        self.pending.insert(request, pending);
    }

    fn child_ended(&mut self, child: &ActorCell, message: String) {
        let mut subscribers = self.subscribers.iter();
        let ended = subscribers.find(|(_, subscriber)| subscriber.is(child));
        // One that was told to stop is no longer known.
        if let Some(peer) = ended.map(|(peer, _)| *peer) {
            let effects = &mut self.effects;
            (self.machine).subscriber_failed(peer, now(), message, effects);
        }
    }

    /// What was decided is written down before it is done.
    async fn perform_effects(
        &mut self,
        myself: &ActorRef<ForwarderMessage>,
    ) -> Result<(), ActorProcessingErr> {
        self.machine.settle_layers(now(), &mut self.effects);
        (self.memory).write(|it| self.machine.copy_changes(&mut it.records));
        let mut effects = mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Tell(event) => {
                    if self.owner.tell(event).is_err() {
                        myself.stop(None);
                    }
                }
                Effect::Start(peer) => self.start(peer, myself).await?,
                Effect::Stop(peer) => self.stop(peer),
                Effect::Order(peer) => self.give_order(peer),
                Effect::RetryLater(peer) => {
                    let message = move |generation| ForwarderMessage::RetryDue { peer, generation };
                    self.retries.arm(peer, RETRY_INTERVAL, myself, message);
                }
                Effect::Answer(request, outcome) => self.answer(request, outcome),
                Effect::Desire(peer, bits_per_second) => {
                    if let Some(peer) = self.peers.get(&peer) {
                        peer.set_desired_bitrate(bits_per_second);
                    }
                }
                Effect::SettleAt(peer, at) => {
                    let after = at.saturating_duration_since(now());
                    let message =
                        move |generation| ForwarderMessage::LayersDue { peer, generation };
                    self.reviews.arm(peer, after, myself, message);
                }
            }
        }
        self.effects = effects;
        Ok(())
    }

    async fn start(
        &mut self,
        id: PeerId,
        myself: &ActorRef<ForwarderMessage>,
    ) -> Result<(), ActorProcessingErr> {
        if let Some(peer) = self.peers.get(&id) {
            let subscriber = Subscriber::spawn(peer, myself).await?;
            self.subscribers.insert(id, subscriber);
        }
        Ok(())
    }

    fn stop(&mut self, peer: PeerId) {
        self.retries.disarm(peer);
        self.reviews.disarm(peer);
        if let Some(subscriber) = self.subscribers.remove(&peer) {
            subscriber.stop();
        }
        self.peers.remove(&peer);
        self.memory.write(|it| {
            it.peers.remove(&peer);
        });
    }

    fn give_order(&mut self, peer: PeerId) {
        // The peer may have gone since the order was due.
        let Some(subscriber) = self.subscribers.get(&peer) else {
            return;
        };
        if let Some(order) = self.machine.take_order(peer) {
            subscriber.carry_out(order.clone(), self.publishers(&order));
        }
    }

    fn publishers(&self, order: &Order) -> HashMap<PeerId, PeerConnection> {
        let feeds = order.wanted.iter().filter_map(|it| it.feed.as_ref());
        let mut publishers = HashMap::new();
        for feed in feeds {
            if let Some(peer) = self.peers.get(&feed.publisher) {
                let publisher = publishers.entry(feed.publisher);
                publisher.or_insert_with(|| peer.clone());
            }
        }
        publishers
    }

    fn answer(&mut self, request: RequestId, outcome: Outcome) {
        let Some(pending) = self.pending.remove(&request) else {
            return;
        };
        match pending {
            Pending::AddPeer(peer, reply) => answer(reply, outcome.for_peer(peer)),
            Pending::Subscribe(track, reply) => {
                answer(reply, outcome.for_subscription().map(|()| track));
            }
            Pending::Change(reply) => answer(reply, outcome.for_subscription()),
        }
    }
}

impl Outcome {
    /// Nothing is refused to a peer as such.
    fn for_peer(self, peer: PeerId) -> Result<(), AddPeerError> {
        match self {
            Self::Done | Self::Refused(_) => Ok(()),
            Self::Ended => Err(AddPeerError::Gone(peer)),
            Self::Unanswered(error) => Err(error.into()),
        }
    }

    fn for_subscription(self) -> Result<(), SubscribeError> {
        match self {
            Self::Done => Ok(()),
            Self::Ended => Err(SubscribeError::Ended),
            Self::Refused(error) => Err(error),
            Self::Unanswered(error) => Err(error.into()),
        }
    }
}

impl fmt::Debug for ForwarderArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwarderArguments")
            .field("limits", &self.limits)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

fn answer<T: Send + 'static>(reply: RpcReplyPort<T>, value: T) {
    // The asker may have given up waiting.
    let _gone = reply.send(value);
}

/// The one place where this room reads the clock; follows tokio's paused time in tests.
fn now() -> Instant {
    TokioInstant::now().into_std()
}

/// A peer connection that has not answered for a second is stuck, as a rule for good.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
