//! Shell: carries lanes and commands into the sending halves, and their packets to the socket.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::time::Instant as TokioInstant;

use super::counters::SendingCounters;
use super::machine::SendingHalf;
use super::message::{
    EgressMessage, EgressTimer, MemberId, NewMember, Outgoing, PublisherRequest, RouteOrigin,
    RouteRefusal, SendingCommand, SendingEvent, StreamId, Subscription,
};
use super::outbox::Outbox;
use super::routes::{Destination, Origin, Role, RouteTable};
use super::sent_track::SentTrack;
use crate::lane::{LaneReceiver, lane};
use crate::outlet::{ListenerGone, Outlet};
use crate::rtp::RtpBatch;
use crate::timer::TimerTable;
use crate::turn::come_back;
use crate::udp::TransportPath;

/// The actor; all that changes lives in [`EgressShell`].
#[derive(Debug)]
pub(super) struct EgressActor;

/// State of the running actor.
#[derive(Debug)]
pub(super) struct EgressShell {
    myself: ActorRef<EgressMessage>,
    members: HashMap<MemberId, Member>,
    routes: RouteTable<Incoming>,
    timers: TimerTable<EgressTimer>,
    // Reused between messages, empty in between.
    outbox: Outbox,
    events: Vec<SendingEvent>,
    drained: VecDeque<Outgoing>,
    drained_stream: VecDeque<RtpBatch>,
}

/// A peer that sends here.
#[derive(Debug)]
struct Member {
    half: SendingHalf,
    counters: Arc<SendingCounters>,
    path: Option<TransportPath>,
    outbound: LaneReceiver<Outgoing>,
    listener: Outlet<SendingEvent>,
    /// When its timer goes off next.
    wakes_at: Option<Instant>,
}

/// A stream that comes in here. Its publisher hears when it is dropped, however this actor ends.
#[derive(Debug)]
struct Incoming {
    stream: StreamId,
    lane: LaneReceiver<RtpBatch>,
    publisher: Outlet<PublisherRequest>,
    /// When packets that were held back last made us ask for a keyframe.
    starved_at: Option<Instant>,
}

impl Incoming {
    /// Asks the publisher for a keyframe; it knows how often its source may be asked.
    fn request_keyframe(&self) {
        let stream = self.stream;
        // A publisher that is gone has ended the stream.
        let _gone = (self.publisher).tell(PublisherRequest::RequestKeyframe { stream });
    }

    /// The same, now and then while packets are held back.
    fn starve(&mut self, now: Instant) {
        let asked = |at: Instant| now.saturating_duration_since(at) < STARVING_INTERVAL;
        if !self.starved_at.is_some_and(asked) {
            self.starved_at = Some(now);
            self.request_keyframe();
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let stream = self.stream;
        // A publisher that is gone has ended the stream itself.
        let _gone = self
            .publisher
            .tell(PublisherRequest::Unsubscribe { stream });
    }
}

impl Actor for EgressActor {
    type Msg = EgressMessage;
    type State = EgressShell;
    type Arguments = ();

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        (): Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(EgressShell {
            myself,
            members: HashMap::new(),
            routes: RouteTable::default(),
            timers: TimerTable::new(),
            outbox: Outbox::default(),
            events: Vec::new(),
            drained: VecDeque::new(),
            drained_stream: VecDeque::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            EgressMessage::Join { id, member } => shell.join(id, member),
            EgressMessage::Command { id, command } => shell.command(id, command),
            EgressMessage::Leave { id } => shell.close(id),
            EgressMessage::OutboundRang { id } => {
                if shell.drain_outbound(id) {
                    come_back(&myself, EgressMessage::OutboundRang { id }).await;
                }
            }
            EgressMessage::StreamRang { stream } => {
                if shell.drain_stream(stream) {
                    come_back(&myself, EgressMessage::StreamRang { stream }).await;
                }
            }
            EgressMessage::PublisherGone { stream } => shell.close_stream(stream),
            EgressMessage::TimerFired { timer, generation } => {
                if shell.timers.accept(timer, generation) {
                    shell.handle_timer(timer);
                }
            }
        }
        Ok(())
    }
}

impl EgressShell {
    fn join(&mut self, id: MemberId, member: NewMember) {
        let member = Member {
            half: SendingHalf::new(Arc::clone(&member.counters), &member.limits),
            counters: member.counters,
            path: None,
            outbound: member.outbound,
            listener: member.listener,
            wakes_at: None,
        };
        self.members.insert(id, member);
    }

    fn command(&mut self, id: MemberId, command: SendingCommand) {
        match command {
            SendingCommand::SetPath(path) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.path = Some(path);
                }
            }
            SendingCommand::InstallKeys(profile, local) => {
                let installed = self.with_half(id, |half, _, _| half.install_key(profile, &local));
                // A key that does not fit its profile is a fault of our own, and media cannot flow.
                if let Some(Err(error)) = installed {
                    self.fail(id, error.to_string());
                }
                self.request_wanted(id);
            }
            SendingCommand::Apply(plan) => {
                self.with_half(id, |half, wire, _| half.apply(&plan, wire.outbox));
                self.request_wanted(id);
            }
            SendingCommand::Rtcp { packets, encoded } => {
                self.with_half(id, |half, wire, _| {
                    half.send_rtcp(&packets, &encoded, wire.outbox);
                });
            }
            SendingCommand::Arrivals(report) => {
                self.with_half(id, |half, _, events| {
                    half.handle_arrivals(&report, now(), events);
                });
            }
            SendingCommand::SetDesiredBitrate(bits_per_second) => {
                self.with_half(id, |half, _, _| half.set_desired_bitrate(bits_per_second));
            }
            SendingCommand::Retransmit(request) => {
                self.with_half(id, |half, wire, _| {
                    half.retransmit(&request, now(), wire.outbox);
                });
            }
            SendingCommand::Report(request) => {
                self.with_half(id, |half, wire, events| {
                    half.send_reports(request, wire.outbox, events);
                });
            }
            SendingCommand::SetRoute {
                track,
                origin,
                reply,
            } => self.set_route(Destination { member: id, track }, origin, reply),
            SendingCommand::SetLayerLimit {
                track,
                limit,
                set_by,
            } => {
                if let Some(half) = self.half(id) {
                    half.set_layer_limit(track, limit, set_by);
                }
            }
            SendingCommand::KeepRoutes(tracks) => {
                self.keep_routes(id, &tracks);
                if let Some(half) = self.half(id) {
                    half.keep_layer_limits(&tracks);
                }
            }
            SendingCommand::RequestKeyframe(track) => {
                let member = self.members.get(&id);
                let streams = member.map(|member| member.half.feeds(track));
                self.request_keyframes(streams.unwrap_or_default());
            }
            SendingCommand::Snapshot { reply } => {
                if let Some(member) = self.members.get(&id) {
                    // The asker may have given up waiting.
                    let _gone = reply.send(member.half.snapshot());
                }
            }
            SendingCommand::Close => {
                let listener = self.members.get(&id).map(|member| member.listener.clone());
                self.close(id);
                // Whoever asked for it may be gone meanwhile.
                let _gone = listener.map(|listener| listener.tell(SendingEvent::Closed));
            }
            #[cfg(test)]
            SendingCommand::Panic => {
                self.with_half(id, |_, _, _| panic!("told to"));
            }
        }
    }

    /// Lets a half do something, sends what it has written and tells what has happened. A panic
    /// costs that half alone.
    fn with_half<T>(
        &mut self,
        id: MemberId,
        act: impl FnOnce(&mut SendingHalf, &mut Wire<'_>, &mut Vec<SendingEvent>) -> T,
    ) -> Option<T> {
        let member = self.members.get_mut(&id)?;
        let events = &mut self.events;
        let mut wire = Wire {
            outbox: &mut self.outbox,
            path: member.path.as_ref(),
            counters: &member.counters,
        };
        // What a panic leaves half-done is the half, which is dropped, and the buffers, which are cleared.
        let acted = catch_unwind(AssertUnwindSafe(|| {
            let outcome = act(&mut member.half, &mut wire, events);
            wire.flush();
            outcome
        }));
        match acted {
            Ok(outcome) => {
                for event in self.events.drain(..) {
                    // A receiving half that ends takes its membership along.
                    let _gone = member.listener.tell(event);
                }
                self.wake(id);
                Some(outcome)
            }
            Err(panic) => {
                self.outbox.clear();
                self.events.clear();
                self.fail(id, text_of(panic.as_ref()));
                None
            }
        }
    }

    /// Comes back to a half when something is due there.
    fn wake(&mut self, id: MemberId) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let Some(at) = member.half.wakes_at() else {
            return;
        };
        if member.wakes_at.is_none_or(|armed| at < armed) {
            member.wakes_at = Some(at);
            let after = at.saturating_duration_since(now());
            self.arm(EgressTimer::Pace(id), after);
        }
    }

    fn arm(&mut self, timer: EgressTimer, after: Duration) {
        let fired = move |generation| EgressMessage::TimerFired { timer, generation };
        self.timers.arm(timer, after, &self.myself, fired);
    }

    fn handle_timer(&mut self, timer: EgressTimer) {
        match timer {
            EgressTimer::Switch(destination) => self.cut(destination),
            EgressTimer::Pace(id) => {
                if let Some(member) = self.members.get_mut(&id) {
                    member.wakes_at = None;
                }
                let now = now();
                let paced =
                    self.with_half(id, |half, wire, events| half.pace(now, wire.outbox, events));
                if paced.unwrap_or(false) {
                    self.request_wanted(id);
                }
            }
        }
    }

    /// A turn of a peer's lane. Says whether something is left.
    fn drain_outbound(&mut self, id: MemberId) -> bool {
        let Some(member) = self.members.get_mut(&id) else {
            return false;
        };
        let mut drained = mem::take(&mut self.drained);
        let more = member.outbound.drain_within(PACKETS_PER_TURN, &mut drained);
        let lost = member.outbound.take_drops();
        let now = now();
        self.with_half(id, |half, wire, events| {
            if lost.packets > 0 {
                events.push(SendingEvent::Overflowed(lost));
            }
            for outgoing in drained.drain(..) {
                half.send_by_hand(&outgoing, now, wire.outbox, events);
                wire.flush_if_large();
            }
        });
        drained.clear();
        self.drained = drained;
        more
    }

    /// A turn of a stream's lane, for all its destinations. Says whether something is left.
    fn drain_stream(&mut self, stream: StreamId) -> bool {
        let Some((incoming, destinations)) = self.routes.get_mut(stream) else {
            return false;
        };
        let destinations = destinations.to_vec();
        let mut batches = mem::take(&mut self.drained_stream);
        let packets = PACKETS_PER_TURN / destinations.len().max(1);
        let more = incoming.lane.drain_within(packets, &mut batches);
        let lost = incoming.lane.take_drops();
        if lost.packets > 0 {
            // A publisher that is gone needs no telling.
            let _gone = incoming.publisher.tell(PublisherRequest::Overflowed(lost));
        }
        let now = now();
        let mut starving = false;
        for (destination, mut role) in destinations {
            let Destination { member, track } = destination;
            let mut left = None;
            let held_back = self.with_half(member, |half, wire, events| {
                let mut held_back = false;
                for batch in &batches {
                    if role == Role::Next && half.can_begin(track, batch) {
                        left = half.promote(track);
                        role = Role::Playing;
                    }
                    held_back |= match role {
                        Role::Playing => half.send_routed(track, batch, now, wire.outbox, events),
                        Role::Next => true,
                    };
                    wire.flush_if_large();
                }
                held_back
            });
            starving |= held_back.unwrap_or(false);
            if let Some(left) = left {
                self.take_over(stream, left, destination);
            }
        }
        if starving && let Some((incoming, _)) = self.routes.get_mut(stream) {
            incoming.starve(now);
        }
        batches.clear();
        self.drained_stream = batches;
        more
    }

    fn set_route(
        &mut self,
        destination: Destination,
        origin: Option<RouteOrigin>,
        reply: RpcReplyPort<Result<(), RouteRefusal>>,
    ) {
        if !self.members.contains_key(&destination.member) {
            // The reply port is dropped, which tells the asker that the peer is gone.
            return;
        }
        let outcome = match origin {
            Some(origin) => {
                let limit = origin.subscribers;
                self.open_stream(origin)
                    .map_err(RouteRefusal::from)
                    .and_then(|stream| self.join_stream(destination, stream, limit))
            }
            None => {
                self.end_feeds(destination);
                Ok(())
            }
        };
        // The asker may have given up waiting.
        let _gone = reply.send(outcome);
    }

    /// The stream of this origin, asked for at its publisher if it does not come in yet.
    fn open_stream(&mut self, origin: RouteOrigin) -> Result<StreamId, ListenerGone> {
        let key = Origin {
            track: origin.track,
            layer: origin.layer,
        };
        if let Some(stream) = self.routes.find(&key) {
            return Ok(stream);
        }
        let stream = StreamId::next();
        let bell = self.myself.clone();
        let (sender, receiver) = lane(origin.capacity, move || {
            // A sending actor that has stopped drops its ends of the lanes.
            let _stopped = bell.cast(EgressMessage::StreamRang { stream });
        });
        let subscription = Subscription {
            track: key.track,
            layer: key.layer.clone(),
            stream,
            lane: sender,
            subscriber: self.myself.clone(),
        };
        origin
            .publisher
            .tell(PublisherRequest::Subscribe(subscription))?;
        let incoming = Incoming {
            stream,
            lane: receiver,
            publisher: origin.publisher,
            starved_at: None,
        };
        self.routes.open(stream, key, incoming);
        Ok(stream)
    }

    /// Feeds the destination from a stream that has not too many already.
    fn join_stream(
        &mut self,
        destination: Destination,
        stream: StreamId,
        limit: usize,
    ) -> Result<(), RouteRefusal> {
        if !self.routes.has_room(stream, destination, limit) {
            // One that was opened for this alone goes again.
            drop(self.routes.close_unused(stream));
            return Err(RouteRefusal::TooMany { limit });
        }
        self.feed(destination, stream);
        Ok(())
    }

    /// From now on this stream feeds the destination.
    fn feed(&mut self, destination: Destination, stream: StreamId) {
        let Some(half) = self.half(destination.member) else {
            return;
        };
        if half.feed(destination.track) == Some(stream) {
            return;
        }
        let (role, left) = half.set_feed(destination.track, stream);
        self.timers.disarm(EgressTimer::Switch(destination));
        self.routes.join(stream, destination, role);
        self.request_keyframes([stream]);
        if role == Role::Next && self.is_another_track(stream, destination) {
            self.arm(EgressTimer::Switch(destination), PLAYS_ON);
        }
        for stream in left {
            drop(self.routes.leave(stream, destination));
        }
    }

    fn half(&mut self, id: MemberId) -> Option<&mut SendingHalf> {
        self.members.get_mut(&id).map(|member| &mut member.half)
    }

    /// Whether what plays at the destination is not just another encoding of the same.
    fn is_another_track(&self, stream: StreamId, destination: Destination) -> bool {
        let Destination { member, track } = destination;
        let half = self.members.get(&member).map(|member| &member.half);
        let streams = half.map(|half| half.feeds(track)).unwrap_or_default();
        let other = streams.into_iter().find(|other| *other != stream);
        other.and_then(|other| self.routes.track(other)) != self.routes.track(stream)
    }

    /// The stream plays at the destination now, in the place of the one that it has left.
    fn take_over(&mut self, stream: StreamId, left: StreamId, destination: Destination) {
        self.timers.disarm(EgressTimer::Switch(destination));
        self.routes.join(stream, destination, Role::Playing);
        drop(self.routes.leave(left, destination));
    }

    /// Who switched to another track has seen enough of the one before.
    fn cut(&mut self, destination: Destination) {
        let Destination { member, track } = destination;
        let Some(half) = self.half(member) else {
            return;
        };
        if let (Some(left), Some(stream)) = (half.promote(track), half.feed(track)) {
            self.take_over(stream, left, destination);
        }
    }

    /// Asks for the keyframes without which a peer cannot be sent what it is to get.
    fn request_wanted(&mut self, id: MemberId) {
        let member = self.members.get(&id);
        let wanted = member.map(|member| member.half.wanted_keyframes());
        self.request_keyframes(wanted.unwrap_or_default());
    }

    fn request_keyframes(&mut self, streams: impl IntoIterator<Item = StreamId>) {
        for stream in streams {
            if let Some((incoming, _)) = self.routes.get_mut(stream) {
                incoming.request_keyframe();
            }
        }
    }

    fn keep_routes(&mut self, id: MemberId, tracks: &[SentTrack]) {
        let Some(member) = self.members.get(&id) else {
            return;
        };
        for track in member.half.fed_tracks() {
            if !tracks.contains(&track) {
                self.end_feeds(Destination { member: id, track });
            }
        }
    }

    /// From now on no stream feeds the destination.
    fn end_feeds(&mut self, destination: Destination) {
        self.timers.disarm(EgressTimer::Switch(destination));
        let Some(half) = self.half(destination.member) else {
            return;
        };
        for stream in half.end_feeds(destination.track) {
            drop(self.routes.leave(stream, destination));
        }
    }

    /// The publisher has ended a stream.
    fn close_stream(&mut self, stream: StreamId) {
        let Some((_incoming, destinations)) = self.routes.close(stream) else {
            return;
        };
        for (destination, _) in destinations {
            let Destination { member, track } = destination;
            let Some(half) = self.half(member) else {
                continue;
            };
            half.end_feed(track, stream);
            if let Some(next) = half.feed(track) {
                self.timers.disarm(EgressTimer::Switch(destination));
                self.routes.join(next, destination, Role::Playing);
            }
        }
    }

    fn fail(&mut self, id: MemberId, message: String) {
        if let Some(member) = self.remove(id) {
            // A receiving half that ends takes its membership along.
            let _gone = member.listener.tell(SendingEvent::Failed(message));
        }
    }

    fn close(&mut self, id: MemberId) {
        self.with_half(id, |half, wire, _| half.goodbye(wire.outbox));
        self.remove(id);
    }

    fn remove(&mut self, id: MemberId) -> Option<Member> {
        self.keep_routes(id, &[]);
        self.timers.disarm(EgressTimer::Pace(id));
        self.members.remove(&id)
    }
}

/// The way out of one peer.
struct Wire<'a> {
    outbox: &'a mut Outbox,
    path: Option<&'a TransportPath>,
    counters: &'a SendingCounters,
}

impl Wire<'_> {
    /// Hands all packets to the socket. What it does not take is lost, as on any network, and
    /// counted: to wait would make everything behind it late.
    fn flush(&mut self) {
        for (bytes, segment, packets) in self.outbox.runs() {
            let Some(path) = self.path else {
                self.counters.not_connected.add(packets);
                continue;
            };
            if path.try_send(bytes, segment).is_ok() {
                self.counters.sent.add(packets);
                self.counters.bytes_sent.add(bytes.len());
            } else {
                self.counters.send_failed.add(packets);
            }
        }
        self.outbox.clear();
    }

    /// Sends before more is written, so that the slab stays in the cache.
    fn flush_if_large(&mut self) {
        if self.outbox.is_large() {
            self.flush();
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic that says nothing".to_owned())
}

/// The one place where this room reads the clock; follows tokio's paused time in tests.
fn now() -> Instant {
    TokioInstant::now().into_std()
}

/// Between two requests for a keyframe that packets cause which cannot be sent without.
const STARVING_INTERVAL: Duration = Duration::from_millis(100);

/// How long a picture goes on after a switch to another track whose keyframe does not come. Whoever switches
/// wants to see something else, be it nothing.
const PLAYS_ON: Duration = Duration::from_secs(1);

/// What one turn sends of one lane: some milliseconds, before others get theirs.
const PACKETS_PER_TURN: usize = 1024;
