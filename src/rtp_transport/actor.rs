//! Shell: carries lanes and messages into the machine, its effects and packets out.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant as TokioInstant;

use super::machine::{Effect, MachineArguments, RtpTransportMachine, RtpTransportTimer};
use super::message::{Outgoing, RtpTransportMessage};
use super::outbox::Outbox;
use crate::lane::LaneReceiver;
use crate::outlet::Outlet;
use crate::peer_connection::{Event, PeerEvent, PeerId};
use crate::rtp::ntp_of_unix_time;
use crate::timer::TimerTable;
use crate::udp::{Datagrams, TransportPath};

/// The actor; all that changes lives in [`RtpTransportShell`].
#[derive(Debug)]
pub(super) struct RtpTransportActor;

/// What the handle hands over at start.
#[derive(Debug)]
pub(super) struct ActorArguments {
    pub(super) peer: PeerId,
    pub(super) owner: Outlet<PeerEvent>,
    pub(super) machine: MachineArguments,
    pub(super) inbound: LaneReceiver<Datagrams>,
    pub(super) outbound: LaneReceiver<Outgoing>,
    /// Where the doorbells find this actor.
    pub(super) myself: Arc<OnceLock<ActorRef<RtpTransportMessage>>>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct RtpTransportShell {
    machine: RtpTransportMachine,
    peer: PeerId,
    owner: Outlet<PeerEvent>,
    path: Option<TransportPath>,
    inbound: LaneReceiver<Datagrams>,
    outbound: LaneReceiver<Outgoing>,
    timers: TimerTable<RtpTransportTimer>,
    // Reused between messages, empty in between.
    effects: Vec<Effect>,
    outbox: Outbox,
    drained_datagrams: VecDeque<Datagrams>,
    drained_outgoing: VecDeque<Outgoing>,
}

impl Actor for RtpTransportActor {
    type Msg = RtpTransportMessage;
    type State = RtpTransportShell;
    type Arguments = ActorArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: Self::Arguments,
    ) -> Result<Self::State, ActorProcessingErr> {
        // Nobody else sets it, and an actor starts once.
        let _set = arguments.myself.set(myself);
        Ok(RtpTransportShell {
            machine: RtpTransportMachine::new(arguments.machine),
            peer: arguments.peer,
            owner: arguments.owner,
            path: None,
            inbound: arguments.inbound,
            outbound: arguments.outbound,
            timers: TimerTable::new(),
            effects: Vec::new(),
            outbox: Outbox::default(),
            drained_datagrams: VecDeque::new(),
            drained_outgoing: VecDeque::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        let machine = &mut shell.machine;
        match message {
            RtpTransportMessage::InboundRang => shell.drain_inbound(),
            RtpTransportMessage::OutboundRang => shell.drain_outbound(),
            RtpTransportMessage::SetPath(path) => shell.path = Some(path),
            // Keys that do not fit their profile are a fault of our own, and media cannot flow.
            RtpTransportMessage::InstallKeys(keys) => machine.install_keys(&keys)?,
            RtpTransportMessage::Apply(plan) => machine.apply(&plan, &mut shell.outbox),
            RtpTransportMessage::SendRtcp(rtcp) => machine.handle_rtcp(&rtcp, &mut shell.outbox),
            RtpTransportMessage::SendPli { track_id, rid } => {
                machine.send_pli(track_id, rid.as_ref(), &mut shell.outbox);
            }
            RtpTransportMessage::Stats { reply } => {
                // The asker may have given up waiting.
                let _gone = reply.send(machine.stats());
            }
            RtpTransportMessage::CreditReturned => {
                machine.handle_credit_returned(now(), &mut shell.effects);
            }
            RtpTransportMessage::TimerFired { timer, generation } => {
                if shell.timers.accept(timer, generation) {
                    let (outbox, effects) = (&mut shell.outbox, &mut shell.effects);
                    machine.handle_timer(timer, now(), ntp_now(), outbox, effects);
                }
            }
            RtpTransportMessage::Stop => myself.stop(None),
        }
        shell.flush();
        shell.perform_effects(&myself);
        Ok(())
    }

    /// Says goodbye, as far as that is possible without waiting.
    async fn post_stop(
        &self,
        _myself: ActorRef<Self::Msg>,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        shell.machine.goodbye(&mut shell.outbox);
        shell.flush();
        Ok(())
    }
}

impl RtpTransportShell {
    /// At most what the lane holds, so that other messages get their turn.
    fn drain_inbound(&mut self) {
        self.inbound.drain_into(&mut self.drained_datagrams);
        for datagrams in self.drained_datagrams.drain(..) {
            self.machine.handle_datagrams(datagrams);
        }
        let lost = self.inbound.take_drops();
        let (outbox, effects) = (&mut self.outbox, &mut self.effects);
        self.machine.finish_inbound(lost, now(), outbox, effects);
    }

    fn drain_outbound(&mut self) {
        self.outbound.drain_into(&mut self.drained_outgoing);
        self.machine
            .handle_outbound_drops(self.outbound.take_drops());
        let now = now();
        let mut drained = mem::take(&mut self.drained_outgoing);
        for outgoing in drained.drain(..) {
            if self.path.is_none() {
                self.machine.handle_no_path(outgoing.batch.len());
                continue;
            }
            let (outbox, effects) = (&mut self.outbox, &mut self.effects);
            self.machine
                .handle_outgoing(&outgoing, now, outbox, effects);
            if self.outbox.is_large() {
                self.flush();
            }
        }
        self.drained_outgoing = drained;
    }

    /// Hands all packets to the socket. What it does not take is lost, as on any network, and
    /// counted: to wait would make everything behind it late.
    fn flush(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        for (bytes, segment, packets) in self.outbox.runs() {
            match &self.path {
                Some(path) => {
                    let taken = path.try_send(bytes, segment).is_ok();
                    self.machine.handle_sent(packets, bytes.len(), taken);
                }
                None => self.machine.handle_no_path(packets),
            }
        }
        self.outbox.clear();
    }

    fn perform_effects(&mut self, myself: &ActorRef<RtpTransportMessage>) {
        let mut effects = mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Arm(timer, at) => {
                    let after = at.saturating_duration_since(now());
                    self.timers.arm(timer, after, myself, move |generation| {
                        RtpTransportMessage::TimerFired { timer, generation }
                    });
                }
                Effect::Tell(event) => self.tell(event, myself),
            }
        }
        self.effects = effects;
    }

    /// Without an owner there is nobody to work for.
    fn tell(&self, event: Event, myself: &ActorRef<RtpTransportMessage>) {
        if self.owner.tell(PeerEvent::new(self.peer, event)).is_err() {
            myself.stop(Some("owner is gone".to_owned()));
        }
    }
}

/// The one place where this room reads the clock; follows tokio's paused time in tests.
fn now() -> Instant {
    TokioInstant::now().into_std()
}

/// Wall time, for sender reports only. A clock before 1970 counts as 1970.
fn ntp_now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    ntp_of_unix_time(since_1970.unwrap_or_default())
}
