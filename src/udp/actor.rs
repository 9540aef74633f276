//! Shell: owns the socket, reads it, and keeps the routes.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn_udp::Transmit;
use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant as TokioInstant;
use tracing::Span;

use super::datagrams::PeerSinks;
use super::machine::{DatagramKind, PeerKey, RouteTable};
use super::message::{OutgoingStun, StunPurpose, UdpEndpointStatistics, UdpMessage};
use super::receive::read_once;
use super::registration::Registration;
use super::socket::EndpointSocket;
use crate::turn::come_back;

/// The actor; all that changes lives in [`UdpShell`].
#[derive(Debug)]
pub(super) struct UdpActor;

/// What a start needs.
#[derive(Debug)]
pub(super) struct UdpArguments {
    pub(super) socket: EndpointSocket,
    /// Of whoever started it.
    pub(super) span: Span,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct UdpShell {
    socket: EndpointSocket,
    routes: RouteTable,
    sinks: HashMap<PeerKey, PeerSinks>,
    statistics: UdpEndpointStatistics,
    reader: Reader,
    span: Span,
}

impl Actor for UdpActor {
    type Msg = UdpMessage;
    type State = UdpShell;
    type Arguments = UdpArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        Ok(UdpShell {
            reader: Reader::start(arguments.socket.clone(), myself),
            socket: arguments.socket,
            routes: RouteTable::default(),
            sinks: HashMap::new(),
            statistics: UdpEndpointStatistics::default(),
            span: arguments.span,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            UdpMessage::Register {
                username_fragment,
                sinks,
                reply,
            } => {
                let registration = shell.routes.register(username_fragment).map(|peer| {
                    shell.sinks.insert(peer, sinks);
                    Registration::new(myself, shell.socket.clone(), peer)
                });
                // Where the asker gave up waiting, the guard goes and unregisters.
                let _gone = reply.send(registration);
            }
            UdpMessage::Unregister { peer } => shell.unregister(peer),
            UdpMessage::SendStun {
                peer,
                stun,
                credit: _given_back_when_sent,
            } => shell.send_stun(peer, &stun),
            UdpMessage::Statistics { reply } => {
                let statistics = UdpEndpointStatistics {
                    peers: shell.sinks.len(),
                    segmentation_refused: shell.socket.segmentation_refused(),
                    ..shell.statistics
                };
                // The asker may have given up waiting.
                let _gone = reply.send(statistics);
            }
            UdpMessage::Readable => {
                if shell.read_a_turn() {
                    come_back(&myself, UdpMessage::Readable).await;
                }
            }
        }
        Ok(())
    }

    /// The one child sends for all peers. It has thrown away what could fail alone; without it nothing
    /// is sent any more, so the endpoint fails, and every peer hears of it.
    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        _shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        match event {
            SupervisionEvent::ActorFailed(_, error) => {
                Err(format!("the sending actor failed: {error}").into())
            }
            SupervisionEvent::ActorTerminated(..) => Err("the sending actor ended".into()),
            SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => Ok(()),
        }
    }
}

impl UdpShell {
    fn unregister(&mut self, peer: PeerKey) {
        self.routes.unregister(peer);
        self.sinks.remove(&peer);
    }

    /// The routes know before the network does, so that no answer can overtake them.
    fn send_stun(&mut self, peer: PeerKey, stun: &OutgoingStun) {
        match stun.purpose {
            StunPurpose::Request(transaction) => {
                self.routes
                    .request_sent(peer, transaction, stun.destination, true);
            }
            StunPurpose::ServerRequest(transaction) => {
                self.routes
                    .request_sent(peer, transaction, stun.destination, false);
            }
            StunPurpose::SuccessResponse => {
                self.routes.request_answered(peer, stun.destination);
            }
            StunPurpose::ErrorResponse => {}
        }
        let sent = self.socket.try_send(&Transmit {
            destination: stun.destination,
            ecn: None,
            contents: &stun.bytes,
            segment_size: None,
            src_ip: stun.local_ip,
        });
        if let Err(error) = sent {
            self.statistics.send_errors += 1;
            tracing::debug!(parent: &self.span, destination = %stun.destination, %error, "STUN message not sent");
        }
    }

    /// Reads until there is nothing left or the turn is over; then others get theirs first. Says
    /// whether it is to go on at once.
    fn read_a_turn(&mut self) -> bool {
        let mut failed = 0;
        for _ in 0..READS_PER_TURN {
            let sinks = &self.sinks;
            let read = read_once(
                &self.socket,
                &mut self.routes,
                &mut self.statistics,
                now(),
                |peer, kind, datagrams| {
                    let Some(sinks) = sinks.get(&peer) else {
                        return;
                    };
                    match kind {
                        DatagramKind::Stun => sinks.stun.push(datagrams),
                        DatagramKind::Dtls => sinks.dtls.push(datagrams),
                        DatagramKind::Media => datagrams.push_into(&sinks.media),
                    }
                },
            );
            match read {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.reader.rearm();
                    return false;
                }
                // What the network says of one destination (ECONNREFUSED and the like) is no
                // reason to stop listening to all others.
                Err(error) => {
                    tracing::debug!(parent: &self.span, %error, "socket reported an error");
                    self.statistics.read_errors += 1;
                    failed += 1;
                }
            }
        }
        let only_failed = failed == READS_PER_TURN;
        if only_failed {
            self.reader.rearm_after_pause();
        }
        !only_failed
    }
}

/// The task that waits for the socket on behalf of the actor: one message, then silence until
/// re-armed. Aborted when dropped.
#[derive(Debug)]
struct Reader {
    armed: Arc<Notify>,
    paused: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Reader {
    fn start(socket: EndpointSocket, actor: ActorRef<UdpMessage>) -> Self {
        let (armed, paused) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (on_armed, on_paused) = (Arc::clone(&armed), Arc::clone(&paused));
        let task = tokio::spawn(async move {
            while socket.readable().await.is_ok() && actor.cast(UdpMessage::Readable).is_ok() {
                tokio::select! {
                    () = on_armed.notified() => {}
                    () = on_paused.notified() => tokio::time::sleep(ERROR_PAUSE).await,
                }
            }
        });
        Self {
            armed,
            paused,
            task,
        }
    }

    fn rearm(&self) {
        self.armed.notify_one();
    }

    fn rearm_after_pause(&self) {
        self.paused.notify_one();
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The one place where this room reads the clock.
fn now() -> Instant {
    TokioInstant::now().into_std()
}

/// Reads in one turn of the actor: 256 messages of up to 64 datagrams each, some milliseconds at
/// most, before commands are heard again.
const READS_PER_TURN: usize = 8;

/// How long a socket that does nothing but fail is left alone.
const ERROR_PAUSE: Duration = Duration::from_millis(20);
