//! Shell: carries lanes and messages into the machine, its effects and packets out.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::time::Instant as TokioInstant;
use tracing::Span;

use super::machine::{Effect, MachineArguments, RtpTransportMachine, RtpTransportTimer};
use super::message::RtpTransportMessage;
use crate::codec::RtpCodec;
use crate::egress::{Membership, Reservation, SendingCommand, SendingCounters, SendingEvent};
use crate::lane::LaneReceiver;
use crate::metrics::MediaMeter;
use crate::outlet::Outlet;
use crate::peer_connection::{Event, Owner, PeerEvent, PeerId, note_event};
use crate::rtp::{Asked, ntp_of_unix_time};
use crate::timer::TimerTable;
use crate::turn::come_back;
use crate::udp::Datagrams;

/// The actor; all that changes lives in [`RtpTransportShell`].
#[derive(Debug)]
pub(super) struct RtpTransportActor;

/// What the handle hands over at start.
#[derive(Debug)]
pub(super) struct ActorArguments {
    pub(super) peer: PeerId,
    /// The peer's.
    pub(super) span: Span,
    pub(super) owner: Owner,
    pub(super) machine: MachineArguments,
    pub(super) inbound: LaneReceiver<Datagrams>,
    /// This peer's place at the actor that sends.
    pub(super) sending: Reservation,
    /// Where the doorbells find this actor.
    pub(super) myself: Arc<OnceLock<ActorRef<RtpTransportMessage>>>,
}

/// State of the running actor.
#[derive(Debug)]
pub(super) struct RtpTransportShell {
    machine: RtpTransportMachine,
    peer: PeerId,
    span: Span,
    owner: Owner,
    inbound: LaneReceiver<Datagrams>,
    /// The sending half; it goes when this is dropped, however this actor ends.
    sending: Membership,
    counters: Arc<SendingCounters>,
    meter: MediaMeter,
    timers: TimerTable<RtpTransportTimer>,
    // Reused between messages, empty in between.
    effects: Vec<Effect>,
    drained: VecDeque<Datagrams>,
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
        let (sending, counters) = arguments
            .sending
            .join(Outlet::with(&myself, RtpTransportMessage::Sending));
        // Nobody else sets it, and an actor starts once.
        let _set = arguments.myself.set(myself);
        Ok(RtpTransportShell {
            machine: RtpTransportMachine::new(arguments.machine),
            peer: arguments.peer,
            span: arguments.span,
            owner: arguments.owner,
            inbound: arguments.inbound,
            sending,
            counters,
            meter: MediaMeter::default(),
            timers: TimerTable::new(),
            effects: Vec::new(),
            drained: VecDeque::new(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        shell: &mut Self::State,
    ) -> Result<(), ActorProcessingErr> {
        // Entering a span costs something where a subscriber listens, and packets are not to pay for it.
        let is_media = matches!(message, RtpTransportMessage::InboundRang);
        let more = if is_media {
            shell.receive(message, &myself)?
        } else {
            let span = shell.span.clone();
            span.in_scope(|| shell.receive(message, &myself))?
        };
        if more {
            come_back(&myself, RtpTransportMessage::InboundRang).await;
        }
        Ok(())
    }
}

impl RtpTransportShell {
    /// Says whether it is to go on with what arrived.
    fn receive(
        &mut self,
        message: RtpTransportMessage,
        myself: &ActorRef<RtpTransportMessage>,
    ) -> Result<bool, ActorProcessingErr> {
        let (machine, effects) = (&mut self.machine, &mut self.effects);
        let mut more = false;
        match message {
            RtpTransportMessage::InboundRang => more = self.drain_inbound(),
            // A key that does not fit its profile is a fault of our own, and media cannot flow.
            RtpTransportMessage::InstallKeys(profile, remote) => {
                machine.install_key(profile, &remote)?;
            }
            RtpTransportMessage::Apply(plan) => machine.apply(&plan),
            RtpTransportMessage::SendRtcp(rtcp) => machine.handle_rtcp(rtcp, effects),
            RtpTransportMessage::SendPli { track_id, rid } => {
                let asked = Asked {
                    track: track_id,
                    rid,
                };
                machine.send_keyframe_request(&asked, false, effects);
            }
            RtpTransportMessage::RequestKeyframe { track_id, rid } => {
                machine.request_keyframe(track_id, rid, now(), effects);
            }
            RtpTransportMessage::SetDelivery { track, delivery } => {
                machine.set_delivery(track, delivery);
            }
            RtpTransportMessage::KeepTracks { received } => machine.keep_tracks(&received),
            RtpTransportMessage::Stats { reply } => {
                // The asker may have given up waiting.
                let _gone = reply.send(machine.stats().with_sending(&self.counters));
            }
            RtpTransportMessage::Snapshot { reply } => {
                let depths = machine.depths(self.inbound.depth(), self.sending.depth());
                let mut snapshot = machine.snapshot(depths);
                snapshot.counters = snapshot.counters.with_sending(&self.counters);
                // The asker may have given up waiting.
                let _gone = reply.send(snapshot);
            }
            RtpTransportMessage::Publish(request) => {
                machine.handle_publisher_request(request, now(), effects);
            }
            RtpTransportMessage::Sending(event) => self.hear_sending(event, myself)?,
            RtpTransportMessage::CreditReturned => {
                machine.handle_credit_returned(now(), effects);
            }
            RtpTransportMessage::TimerFired { timer, generation } => {
                if self.timers.accept(timer, generation) {
                    machine.handle_timer(timer, now(), ntp_now(), effects);
                    if timer == RtpTransportTimer::Report {
                        self.publish();
                    }
                }
            }
            RtpTransportMessage::Stop => {
                // Without the actor that sends nobody can say goodbye.
                if self.sending.tell(SendingCommand::Close).is_err() {
                    myself.stop(None);
                }
            }
        }
        self.perform_effects(myself);
        Ok(more)
    }

    /// A turn's worth: then others take what it has brought, and other messages get their turn. Says
    /// whether something is left.
    fn drain_inbound(&mut self) -> bool {
        let more = self
            .inbound
            .drain_within(PACKETS_PER_TURN, &mut self.drained);
        for datagrams in self.drained.drain(..) {
            self.machine.handle_datagrams(datagrams);
        }
        let lost = self.inbound.take_drops();
        self.machine.finish_inbound(lost, now(), &mut self.effects);
        more
    }

    /// Adds to the figures of the process what has been counted since the last time.
    fn publish(&mut self) {
        if cfg!(feature = "metrics") {
            let counted = self.machine.stats().with_sending(&self.counters);
            let depths = self
                .machine
                .depths(self.inbound.depth(), self.sending.depth());
            self.meter.publish(&counted, &depths);
        }
    }

    fn hear_sending(
        &mut self,
        event: SendingEvent,
        myself: &ActorRef<RtpTransportMessage>,
    ) -> Result<(), ActorProcessingErr> {
        let effects = &mut self.effects;
        match event {
            SendingEvent::ActivityChanged { active } => {
                self.machine.handle_activity(active, now(), effects);
            }
            SendingEvent::Overflowed(lost) => {
                self.machine.handle_outbound_drops(lost, now(), effects);
            }
            SendingEvent::CodecMismatch { track, codec } => {
                effects.push(Effect::Tell(Event::RouteCodecMismatch {
                    track_id: track,
                    codec: RtpCodec::clone(&codec),
                }));
            }
            SendingEvent::EstimateChanged(bits_per_second) => {
                effects.push(Effect::Tell(Event::AvailableOutgoingBitrate {
                    bits_per_second,
                }));
            }
            // The other half without this one would be a peer that only listens.
            SendingEvent::Failed(message) => return Err(message.into()),
            SendingEvent::Closed => myself.stop(None),
        }
        Ok(())
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
                Effect::NoteSilentSource(Asked { track, rid }) => {
                    let rid = rid.as_ref().map(tracing::field::display);
                    tracing::warn!(parent: &self.span, %track, rid, "no keyframe comes, and no more is asked for");
                }
                Effect::Send(command) => {
                    // Where the actor that sends is gone, so is the endpoint, and the peer hears of that.
                    let _gone = self.sending.tell(command);
                }
            }
        }
        self.effects = effects;
    }

    /// Without an owner there is nobody to work for.
    fn tell(&self, event: Event, myself: &ActorRef<RtpTransportMessage>) {
        note_event(&self.span, &event);
        if self.owner.tell(PeerEvent::new(self.peer, event)).is_err() {
            myself.stop(Some("owner is gone".to_owned()));
        }
    }
}

/// However the actor ends: what it has counted is known to nobody afterwards.
impl Drop for RtpTransportShell {
    fn drop(&mut self) {
        let counted = self.machine.stats().with_sending(&self.counters);
        tracing::debug!(parent: &self.span, ?counted, "media ends");
        self.publish();
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

/// What one turn takes from the network: a fraction of what a route or an owner's queue holds, so that a
/// pile that a stall has left overflows none of them while their readers have time.
const PACKETS_PER_TURN: usize = 256;
