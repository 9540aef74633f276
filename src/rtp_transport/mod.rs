//! The media path of one peer: SRTP, demultiplexing, reports (RFC 3550, RFC 3711, RFC 8834).
//!
//! [`RtpTransport`] is the handle. Datagrams come in through a lane, straight from the endpoint;
//! decrypted media goes straight to the owner, and by route to other peers. What the peer sends is the
//! business of its *sending half*, which lives with those of all other peers of the same socket
//! in one [`Egress`] actor; this one tells it what was negotiated.
//!
//! Started and supervised by the peer connection, it has no children. It ends when told to
//! (with an RTCP BYE), when the owner is gone, when its sending half has failed, or with its supervisor. It
//! cannot be restarted: the counters of SRTP die with it, and with them the session.
//!
//! # Queues
//!
//! | queue | bound | when full |
//! | --- | --- | --- |
//! | inbound lane | 4096 datagrams, 4 MiB | the oldest goes; `inbound_overflow`, announced |
//! | owner's mailbox | 512 packets, 512 KiB of media not yet consumed | the next waits here |
//! | waiting for the mailbox | 1024 packets, 1 MiB | the oldest goes; `owner_overflow`, announced |
//! | RTCP for the owner | 64 KiB/s, bursts of 128 KiB | dropped; `feedback_overflow` |
//! | packets to be asked for | 512 of a stream, 4096 in all, 1 s | given up; `unrepaired` |
//! | packets asked for by the remote side | 2048/s, bursts of 1024 | dropped; `retransmission_suppressed` |
//! | arrivals not yet reported | 8192 numbers, 100 ms | forgotten, begun anew |
//! | lane of each route | 1024 packets, 1 MiB | the oldest goes; `route_overflow`, announced |
//! | outbound lane | 2048 packets, 2 MiB | the oldest goes; `outbound_overflow`, announced |
//! | socket | the kernel's | dropped; `send_failed` |
//!
//! "Announced" is [`Event::RtpDropped`](crate::peer_connection::Event::RtpDropped), at most once a
//! second.

mod actor;
mod arrivals;
mod audio_levels;
mod choice;
mod congestion;
mod delivery;
mod depths;
mod feedback;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod inbound;
mod keyframes;
mod layers;
mod limits;
mod machine;
mod maximum_bitrate;
mod message;
mod observed;
mod publishing;
mod repairs;
mod snapshot;
mod speakers;
mod stats;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ractor::{ActorCell, ActorRef};
use rand::Rng;
use tracing::Span;

use self::actor::{ActorArguments, RtpTransportActor};
pub(crate) use self::depths::LaneDepths;
pub use self::limits::{MediaLimits, QueueLimit};
use self::machine::MachineArguments;
use self::message::EncodedRtcp;
pub(crate) use self::message::RtpTransportMessage;
pub(crate) use self::observed::Reception;
pub use self::publishing::RtpDelivery;
pub(crate) use self::snapshot::ReceivingSnapshot;
pub use self::stats::MediaStats;
use crate::call::{CallError, StartError, ask};
use crate::egress::{
    Egress, LimitSetter, Outgoing, RouteLayer, RouteOrigin, RouteRefusal, SendingCommand,
    SendingHandle, SendingSnapshot, SentTrack,
};
use crate::jsep::MediaPlan;
use crate::lane::{LaneCapacity, lane};
use crate::limits::PeerLimits;
use crate::outlet::Outlet;
use crate::peer_connection::{Owner, PeerId};
use crate::rtp::{CreditLimit, LayerLimit, Rid, RtcpError, RtcpPacket, RtpBatch};
use crate::srtp::SrtpKeys;
use crate::start::spawn_linked;
use crate::track::TrackId;
use crate::udp::{MediaInbound, TransportPath};

/// What a media path needs to start.
#[derive(Clone, Debug)]
pub(crate) struct RtpTransportArguments {
    pub(crate) peer: PeerId,
    /// Hears media, feedback and drops.
    pub(crate) owner: Owner,
    pub(crate) limits: PeerLimits,
    /// How often the owner hears how loud a track is; never without it.
    pub(crate) audio_levels: Option<Duration>,
    /// Sends for this peer and all others of the same socket.
    pub(crate) egress: Egress,
}

/// Handle to a running media path. Cheap to clone; dead once the path has stopped.
#[derive(Clone, Debug)]
pub(crate) struct RtpTransport {
    actor: ActorRef<RtpTransportMessage>,
    inbound: MediaInbound,
    sending: SendingHandle,
    routed: LaneCapacity,
    subscribers: usize,
}

impl RtpTransport {
    /// Starts a media path under `supervisor`, in the caller's span. Nothing flows before keys, path and plan are there.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the actor could not be started.
    pub(crate) async fn spawn(
        arguments: RtpTransportArguments,
        supervisor: ActorCell,
    ) -> Result<Self, StartError> {
        let PeerLimits {
            media: limits,
            ssrcs,
            subscribers,
            ..
        } = arguments.limits;
        let myself = Arc::new(OnceLock::new());
        let (inbound, inbound_end) = lane(
            limits.inbound.into(),
            doorbell(&myself, || RtpTransportMessage::InboundRang),
        );
        let (sending, reservation) = arguments.egress.reserve(arguments.limits);
        let credit = CreditLimit::new(
            limits.owner.into(),
            doorbell(&myself, || RtpTransportMessage::CreditReturned),
        );
        let arguments = ActorArguments {
            peer: arguments.peer,
            span: Span::current(),
            owner: arguments.owner,
            machine: MachineArguments {
                credit,
                waiting: limits.waiting.into(),
                batch_packets: limits.batch_packets(),
                ssrcs,
                audio_levels: arguments.audio_levels,
                seed: rand::rng().random(),
            },
            inbound: inbound_end,
            sending: reservation,
            myself,
        };
        let actor = spawn_linked(RtpTransportActor, arguments, supervisor).await?;
        Ok(Self {
            actor,
            inbound,
            sending,
            routed: limits.routed.into(),
            subscribers,
        })
    }

    /// Where the endpoint puts this peer's media datagrams.
    pub(crate) fn inbound(&self) -> MediaInbound {
        self.inbound.clone()
    }

    /// Sends over `path` from now on.
    pub(crate) fn set_path(&self, path: TransportPath) {
        self.sending.tell(SendingCommand::SetPath(path));
    }

    /// Protects with `keys` from now on. What is sent by whoever hears of it afterwards is protected.
    pub(crate) fn install_keys(&self, keys: SrtpKeys) {
        self.sending
            .tell(SendingCommand::InstallKeys(keys.profile, keys.local));
        self.cast(RtpTransportMessage::InstallKeys(keys.profile, keys.remote));
    }

    /// Sends and receives as negotiated.
    pub(crate) fn apply(&self, plan: MediaPlan) {
        self.sending.tell(SendingCommand::Apply(plan.clone()));
        self.cast(RtpTransportMessage::Apply(plan));
    }

    /// Sends packets of a local track, from any task. Does not wait; see the module for
    /// what happens when more is sent than leaves.
    pub(crate) fn send_rtp(&self, track: impl Into<SentTrack>, batch: RtpBatch) {
        // From here on this transport's own bound counts, not that of its owner's mailbox.
        let batch = batch.without_credit();
        let track = track.into();
        self.sending.push(Outgoing { track, batch });
    }

    /// Feeds a local track from another peer's track, or from nowhere. Waits for the sending actor's
    /// turn, three seconds at most.
    ///
    /// # Errors
    ///
    /// [`CallError`] when this peer is gone or stuck; [`RouteRefusal`] says why the publisher does not feed it.
    pub(crate) async fn set_route(
        &self,
        track: SentTrack,
        origin: Option<RouteOrigin>,
    ) -> Result<Result<(), RouteRefusal>, CallError> {
        self.sending.set_route(track, origin).await
    }

    /// Sends at most so many layers of a local track.
    pub(crate) fn set_layer_limit(&self, track: TrackId, limit: LayerLimit, set_by: LimitSetter) {
        let command = SendingCommand::SetLayerLimit {
            track,
            limit,
            set_by,
        };
        self.sending.tell(command);
    }

    /// Where a route from a remote track of this peer begins.
    pub(crate) fn origin(&self, track: TrackId, layer: RouteLayer) -> RouteOrigin {
        RouteOrigin {
            track,
            layer,
            publisher: Outlet::with(&self.actor, RtpTransportMessage::Publish),
            capacity: self.routed,
            subscribers: self.subscribers,
        }
    }

    /// Whether the owner gets the media of a remote track.
    pub(crate) fn set_delivery(&self, track: TrackId, delivery: RtpDelivery) {
        self.cast(RtpTransportMessage::SetDelivery { track, delivery });
    }

    /// Only these tracks are sent and received from now on: routes of others end.
    pub(crate) fn keep_tracks(&self, sent: Vec<SentTrack>, received: Vec<TrackId>) {
        self.sending.tell(SendingCommand::KeepRoutes(sent));
        self.cast(RtpTransportMessage::KeepTracks { received });
    }

    /// Sends RTCP packets together, behind an empty report where they need one.
    ///
    /// # Errors
    ///
    /// [`RtcpError::Unwritable`] when a part of a packet is larger than its field.
    pub(crate) fn send_rtcp(&self, packets: &[RtcpPacket]) -> Result<(), RtcpError> {
        let mut bytes = Vec::new();
        for packet in packets {
            packet.write(&mut bytes)?;
        }
        if !bytes.is_empty() {
            self.cast(RtpTransportMessage::SendRtcp(EncodedRtcp {
                bytes,
                begins_with_report: matches!(
                    packets.first(),
                    Some(RtcpPacket::SenderReport(_) | RtcpPacket::ReceiverReport(_))
                ),
            }));
        }
        Ok(())
    }

    /// So much would be sent if the path took it.
    pub(crate) fn set_desired_bitrate(&self, bits_per_second: u64) {
        (self.sending).tell(SendingCommand::SetDesiredBitrate(bits_per_second));
    }

    /// Asks the remote side for a keyframe of its track: of one encoding, or of all.
    pub(crate) fn send_pli(&self, track_id: TrackId, rid: Option<Rid>) {
        self.cast(RtpTransportMessage::SendPli { track_id, rid });
    }

    /// Asks the same, not more often than is good, and again until a keyframe comes.
    pub(crate) fn request_keyframe(&self, track_id: TrackId, rid: Option<Rid>) {
        self.cast(RtpTransportMessage::RequestKeyframe { track_id, rid });
    }

    /// The counters. Waits for the actor's turn, three seconds at most.
    ///
    /// # Errors
    ///
    /// [`CallError`] when the actor is gone or stuck.
    pub(crate) async fn stats(&self) -> Result<MediaStats, CallError> {
        ask(&self.actor, |reply| RtpTransportMessage::Stats { reply }).await
    }

    /// What both halves show of themselves for statistics. Waits for the turn of both, three seconds at most.
    ///
    /// # Errors
    ///
    /// [`CallError`] when one of them is gone or stuck.
    pub(crate) async fn snapshot(&self) -> Result<(ReceivingSnapshot, SendingSnapshot), CallError> {
        let receiving = ask(&self.actor, |reply| RtpTransportMessage::Snapshot { reply });
        tokio::try_join!(receiving, self.sending.snapshot())
    }

    /// Sends a goodbye and ends.
    pub(crate) fn stop(&self) {
        self.cast(RtpTransportMessage::Stop);
    }

    /// The actor, for whoever supervises it.
    pub(crate) fn cell(&self) -> ActorCell {
        self.actor.get_cell()
    }

    fn cast(&self, message: RtpTransportMessage) {
        // A path that has stopped has no use for it, and its supervisor knows.
        let _stopped = self.actor.cast(message);
    }
}

/// A bell that rings at an actor which is yet to start.
fn doorbell(
    actor: &Arc<OnceLock<ActorRef<RtpTransportMessage>>>,
    message: fn() -> RtpTransportMessage,
) -> impl Fn() + Send + Sync + 'static {
    let actor = Arc::clone(actor);
    move || {
        if let Some(actor) = actor.get() {
            // A path that has stopped drops its ends of the lanes.
            let _stopped = actor.cast(message());
        }
    }
}

#[cfg(test)]
mod machine_tests;
#[cfg(test)]
mod tests;
