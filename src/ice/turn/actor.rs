//! Shell: owns the socket towards the server, and tells apart what comes through the relay.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::mem;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use quinn_udp::{RecvMeta, Transmit};
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use rand::Rng;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant as TokioInstant, sleep_until, timeout};
use tracing::{Instrument, Span};

use super::RelayArguments;
use super::machine::{Relayed, TurnEffect, TurnMachine};
use super::message::{Arrival, Leaving, RelayEvent, RelayMessage};
use crate::ice::actor::IceSinks;
use crate::lane::{LaneCapacity, LaneReceiver, LaneSender, lane};
use crate::timer::TimerTable;
use crate::udp::{
    DatagramKind, DatagramSink, Datagrams, EndpointSocket, OutgoingStun, PeerKey, RouteTable,
    StunPurpose, TransactionId, canonical,
};

/// The actor; all that changes lives in [`RelayShell`].
#[derive(Debug)]
pub(super) struct RelayActor;

/// State of the running actor.
#[derive(Debug)]
pub(super) struct RelayShell {
    /// Before the allocation: nobody else reads while that is released.
    _reader: Reader,
    from_server: LaneReceiver<Arrival>,
    from_session: LaneReceiver<Leaving>,
    allocation: Allocation,
    /// Which of the peer's addresses are verified, as at an endpoint.
    routes: RouteTable,
    session: PeerKey,
    stun: DatagramSink,
    sinks: IceSinks,
    events: super::RelayOutlet,
    timers: TimerTable<Due>,
    arrived: VecDeque<Arrival>,
    leaving: VecDeque<Leaving>,
}

/// The one timer: what the machine has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Due;

impl Actor for RelayActor {
    type Msg = RelayMessage;
    type State = RelayShell;
    type Arguments = RelayArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        let bell = myself.clone();
        let (to_us, from_server) = lane(ARRIVALS, move || {
            // What arrives for a relay that has stopped is for nobody.
            let _stopped = bell.cast(RelayMessage::Arrived);
        });
        let mut routes = RouteTable::default();
        let session = routes.register(arguments.username_fragment)?;
        let reader = Reader::start(
            arguments.socket.clone(),
            arguments.server,
            to_us,
            arguments.span.clone(),
        );
        let mut effects = Vec::new();
        let machine = TurnMachine::new(
            &arguments.username,
            &arguments.credential,
            fresh_transaction,
            now(),
            &mut effects,
        );
        let mut shell = RelayShell {
            _reader: reader,
            from_server,
            from_session: arguments.from_session,
            allocation: Allocation {
                machine,
                socket: arguments.socket,
                server: arguments.server,
                runtime: Handle::current(),
                span: arguments.span,
            },
            routes,
            session,
            stun: arguments.stun,
            sinks: arguments.sinks,
            events: arguments.events,
            timers: TimerTable::new(),
            arrived: VecDeque::new(),
            leaving: VecDeque::new(),
        };
        shell.perform(effects, &myself);
        shell.arm(&myself);
        Ok(shell)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let span = &shell.allocation.span.clone();
        match message {
            RelayMessage::StunLeaves => span.in_scope(|| shell.send_stun(&myself)),
            // Media comes this way, and what it costs counts.
            RelayMessage::Arrived => shell.read(&myself),
            RelayMessage::TimerFired { generation } => {
                if shell.timers.accept(Due, generation) {
                    let mut effects = Vec::new();
                    shell.allocation.machine.handle_timer(now(), &mut effects);
                    span.in_scope(|| shell.perform(effects, &myself));
                }
            }
        }
        shell.arm(&myself);
        Ok(())
    }

    /// A relay has no children; whatever is linked to it all the same does not end it.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        _event: SupervisionEvent,
        _shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        Ok(())
    }
}

impl RelayShell {
    fn perform(&mut self, effects: Vec<TurnEffect>, myself: &ActorRef<RelayMessage>) {
        for effect in effects {
            match effect {
                TurnEffect::Send(bytes) => self.allocation.send(&bytes),
                TurnEffect::AnnounceAllocated { relayed, mapped } => {
                    self.events.tell(RelayEvent::Allocated { relayed, mapped });
                }
                TurnEffect::AnnounceChannel { peer, channel } => {
                    self.events.tell(RelayEvent::ChannelBound { peer, channel });
                }
                TurnEffect::Fail(error) => {
                    self.events.tell(RelayEvent::Failed(error));
                    myself.stop(None);
                }
            }
        }
    }

    /// The routes know before the network does, so that no answer can overtake them.
    fn send_stun(&mut self, myself: &ActorRef<RelayMessage>) {
        let mut leaving = mem::take(&mut self.leaving);
        self.from_session.drain_into(&mut leaving);
        let mut effects = Vec::new();
        for Leaving(stun) in leaving.drain(..) {
            self.note(&stun);
            let OutgoingStun {
                destination, bytes, ..
            } = stun;
            self.allocation
                .machine
                .send(destination, bytes, now(), &mut effects);
        }
        self.leaving = leaving;
        self.perform(effects, myself);
    }

    fn note(&mut self, stun: &OutgoingStun) {
        match stun.purpose {
            StunPurpose::Request(transaction) => {
                self.routes
                    .request_sent(self.session, transaction, stun.destination, true);
            }
            // Servers are asked from endpoints; their answers would say nothing here.
            StunPurpose::ServerRequest(_) | StunPurpose::ErrorResponse => {}
            StunPurpose::SuccessResponse => {
                self.routes.request_answered(self.session, stun.destination);
            }
        }
    }

    fn read(&mut self, myself: &ActorRef<RelayMessage>) {
        let mut arrived = mem::take(&mut self.arrived);
        self.from_server.drain_into(&mut arrived);
        for Arrival {
            received_at,
            datagrams,
        } in arrived.drain(..)
        {
            let mut group: Option<(DatagramKind, Datagrams)> = None;
            for datagram in &datagrams {
                let mut effects = Vec::new();
                let relayed =
                    self.allocation
                        .machine
                        .handle_datagram(datagram, now(), &mut effects);
                self.perform(effects, myself);
                let sorted = relayed.and_then(|relayed| self.sort(relayed));
                let Some((kind, remote, payload)) = sorted else {
                    continue;
                };
                match &mut group {
                    Some((of, so_far)) if *of == kind && so_far.remote == remote => {
                        so_far.datagrams.push(payload);
                    }
                    Some(_) | None => {
                        self.hand_on(group.take());
                        let datagrams = Datagrams {
                            remote,
                            local_ip: None,
                            received_at,
                            datagrams: vec![payload],
                        };
                        group = Some((kind, datagrams));
                    }
                }
            }
            self.hand_on(group);
        }
        self.arrived = arrived;
    }

    /// What it is, where it is for us: DTLS and media from addresses that ICE has verified only.
    fn sort(&mut self, relayed: Relayed<'_>) -> Option<(DatagramKind, SocketAddr, BytesMut)> {
        let Relayed { peer, payload } = relayed;
        let kind = DatagramKind::of(payload)?;
        let is_ours = match kind {
            DatagramKind::Stun => self.routes.route_stun(peer, payload).is_ok(),
            DatagramKind::Dtls | DatagramKind::Media => self.routes.owner(peer).is_some(),
        };
        is_ours.then(|| (kind, peer, BytesMut::from(payload)))
    }

    fn hand_on(&self, group: Option<(DatagramKind, Datagrams)>) {
        match group {
            Some((DatagramKind::Stun, datagrams)) => self.stun.push(datagrams),
            Some((DatagramKind::Dtls, datagrams)) => self.sinks.dtls.push(datagrams),
            Some((DatagramKind::Media, datagrams)) => self.sinks.media.push(datagrams),
            None => {}
        }
    }

    fn arm(&mut self, myself: &ActorRef<RelayMessage>) {
        match self.allocation.machine.next_due() {
            Some(due) => {
                let after = due.saturating_duration_since(now());
                self.timers
                    .arm(Due, after, myself, |generation| RelayMessage::TimerFired {
                        generation,
                    });
            }
            None => self.timers.disarm(Due),
        }
    }
}

/// An allocation that is given back when this is dropped, however the actor ends.
#[derive(Debug)]
struct Allocation {
    machine: TurnMachine,
    socket: EndpointSocket,
    server: SocketAddr,
    runtime: Handle,
    /// The peer's.
    span: Span,
}

impl Allocation {
    fn send(&self, bytes: &[u8]) {
        send(&self.socket, self.server, bytes);
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        let _inside = self.span.clone().entered();
        let discarded = self.machine.discarded();
        tracing::debug!(server = %self.server, discarded, "relay ends");
        let mut effects = Vec::new();
        self.machine.release(now(), &mut effects);
        for effect in effects {
            if let TurnEffect::Send(bytes) = effect {
                self.send(&bytes);
            }
        }
        if !self.machine.is_over() {
            let (socket, server) = (self.socket.clone(), self.server);
            let machine = mem::replace(&mut self.machine, TurnMachine::over());
            // Should it be lost, the server gives it up by itself within its lifetime.
            self.runtime
                .spawn(timeout(RELEASE, release(machine, socket, server)).in_current_span());
        }
    }
}

/// Sees the release through: it may be lost, or the server want another nonce.
async fn release(mut machine: TurnMachine, socket: EndpointSocket, server: SocketAddr) {
    let mut buffer = vec![0; BUFFER];
    while let Some(due) = machine.next_due() {
        let mut effects = Vec::new();
        tokio::select! {
            () = sleep_until(due.into()) => machine.handle_timer(now(), &mut effects),
            readable = socket.readable() => {
                if readable.is_err() {
                    return;
                }
                for datagram in read_once(&socket, server, &mut buffer).unwrap_or_default() {
                    machine.handle_datagram(&datagram, now(), &mut effects);
                }
            }
        }
        for effect in effects {
            if let TurnEffect::Send(bytes) = effect {
                send(&socket, server, &bytes);
            }
        }
    }
}

fn send(socket: &EndpointSocket, server: SocketAddr, bytes: &[u8]) {
    let sent = socket.try_send(&Transmit {
        destination: server,
        ecn: None,
        contents: bytes,
        segment_size: None,
        src_ip: None,
    });
    if let Err(error) = sent {
        tracing::debug!(%server, %error, "not sent to the TURN server");
    }
}

/// The task that reads the socket into the lane. Aborted when dropped.
#[derive(Debug)]
struct Reader(JoinHandle<()>);

impl Reader {
    fn start(
        socket: EndpointSocket,
        server: SocketAddr,
        to: LaneSender<Arrival>,
        span: Span,
    ) -> Self {
        let reading = async move {
            let mut buffer = vec![0; BUFFER];
            while socket.readable().await.is_ok() {
                match read_once(&socket, server, &mut buffer) {
                    Ok(datagrams) if datagrams.is_empty() => {}
                    Ok(datagrams) => to.push(Arrival {
                        received_at: now(),
                        datagrams,
                    }),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // What the network says of the server; a pause, should it say nothing else.
                    Err(error) => {
                        tracing::debug!(%server, %error, "socket reported an error");
                        tokio::time::sleep(ERROR_PAUSE).await;
                    }
                }
            }
        };
        Self(tokio::spawn(reading.instrument(span)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What one read brings; only what the server sent, and not more than a lane takes.
fn read_once(
    socket: &EndpointSocket,
    server: SocketAddr,
    buffer: &mut [u8],
) -> io::Result<VecDeque<BytesMut>> {
    let mut meta = [RecvMeta::default()];
    socket.try_receive(&mut [IoSliceMut::new(buffer)], &mut meta)?;
    let [meta] = meta;
    if canonical(meta.addr) != server {
        return Ok(VecDeque::new());
    }
    let whole = &buffer[..meta.len.min(buffer.len())];
    let datagrams = whole.chunks(meta.stride.max(1)).map(BytesMut::from);
    Ok(datagrams.collect())
}

fn fresh_transaction() -> TransactionId {
    TransactionId(rand::rng().random())
}

/// Follows tokio's paused time in tests.
fn now() -> Instant {
    TokioInstant::now().into_std()
}

/// From the server to the actor. Policy of lanes: the oldest go.
const ARRIVALS: LaneCapacity = LaneCapacity {
    packets: 2048,
    bytes: 4 * 1024 * 1024,
};

/// Whatever the kernel may hand over at once.
const BUFFER: usize = 64 * 1024;

/// How long a socket that does nothing but fail is left alone.
const ERROR_PAUSE: Duration = Duration::from_millis(20);

/// For giving an allocation back.
const RELEASE: Duration = Duration::from_secs(2);
