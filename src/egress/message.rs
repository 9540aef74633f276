//! What the sending actor is told, and what it tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ractor::{ActorRef, RpcReplyPort};

use super::congestion::ArrivalReport;
use super::counters::SendingCounters;
use super::machine::ReportRequest;
use super::retransmission::RetransmissionRequest;
use super::routes::Destination;
use super::sent_track::SentTrack;
use super::snapshot::SendingSnapshot;
use crate::codec::RtpCodec;
use crate::jsep::MediaPlan;
use crate::lane::{LaneCapacity, LaneDrops, LaneReceiver, LaneSender, Weigh};
use crate::limits::PeerLimits;
use crate::outlet::{ListenerGone, Outlet};
use crate::rtp::{LayerLimit, Rid, RtcpPacket, RtpBatch};
use crate::srtp::{SrtpMasterKey, SrtpProfile};
use crate::timer::Generation;
use crate::track::TrackId;
use crate::udp::TransportPath;

/// Names one sending half. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MemberId(u64);

/// Names one routed stream at one sending actor. Never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StreamId(u64);

impl MemberId {
    pub(super) fn next() -> Self {
        Self(next())
    }
}

impl StreamId {
    pub(super) fn next() -> Self {
        Self(next())
    }
}

fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Mailbox of the sending actor. Media itself travels in lanes; these are few.
#[derive(Debug)]
pub(crate) enum EgressMessage {
    // Commands, from the receiving halves.
    /// A peer begins to send here.
    Join { id: MemberId, member: NewMember },
    /// A peer's half is to do something.
    Command {
        id: MemberId,
        command: SendingCommand,
    },
    /// A peer is gone, however it ended.
    Leave { id: MemberId },

    // Facts, from the lanes and from publishers.
    /// Packets have come into a peer's empty lane, or are left there.
    OutboundRang { id: MemberId },
    /// Packets have come into a stream's empty lane, or are left there.
    StreamRang { stream: StreamId },
    /// The peer that published a stream is gone, or has ended it.
    PublisherGone { stream: StreamId },
    /// A timer armed by this actor went off.
    TimerFired {
        timer: EgressTimer,
        generation: Generation,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EgressTimer {
    /// A track has waited long enough for the keyframe of its next stream.
    Switch(Destination),
    /// Packets of a peer may leave, or its estimate is to be looked at.
    Pace(MemberId),
}

/// A peer that begins to send.
#[derive(Debug)]
pub(crate) struct NewMember {
    /// What the application sends by hand.
    pub(super) outbound: LaneReceiver<Outgoing>,
    pub(super) counters: Arc<SendingCounters>,
    pub(super) limits: PeerLimits,
    /// The peer's receiving half.
    pub(super) listener: Outlet<SendingEvent>,
}

/// Who limits the layers of a track: each has a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitSetter {
    Application,
    Forwarder,
}

/// What one peer's sending half is to do.
#[derive(Debug)]
pub(crate) enum SendingCommand {
    /// Send over this path from now on.
    SetPath(TransportPath),
    /// Protect with this key from now on.
    InstallKeys(SrtpProfile, SrtpMasterKey),
    /// Send as negotiated.
    Apply(MediaPlan),
    /// Send these RTCP packets in one datagram, the encoded ones last.
    Rtcp {
        packets: Vec<RtcpPacket>,
        encoded: Vec<u8>,
    },
    /// Reckon with what the remote side says of how packets arrived.
    Arrivals(ArrivalReport),
    /// So much would be sent if the path took it, in bits a second.
    SetDesiredBitrate(u64),
    /// Send packets again.
    Retransmit(RetransmissionRequest),
    /// Send the reports that are due.
    Report(ReportRequest),
    /// Feed a track from another peer's track, or from nowhere.
    SetRoute {
        track: SentTrack,
        origin: Option<RouteOrigin>,
        reply: RpcReplyPort<Result<(), RouteRefusal>>,
    },
    /// Send at most so many layers of a track, and no more than others allow.
    SetLayerLimit {
        track: TrackId,
        limit: LayerLimit,
        set_by: LimitSetter,
    },
    /// End the routes of all tracks but these.
    KeepRoutes(Vec<SentTrack>),
    /// The remote side wants a keyframe of a track.
    RequestKeyframe(SentTrack),
    /// Asks for all that statistics tell of the half.
    Snapshot {
        reply: RpcReplyPort<SendingSnapshot>,
    },
    /// Say goodbye and end.
    Close,
    /// Fail as a fault of ours would.
    #[cfg(test)]
    Panic,
}

/// What a peer's receiving half hears of its sending half.
#[derive(Debug)]
pub(crate) enum SendingEvent {
    /// Something is sent, so that reports are due; or nothing has been for a while.
    ActivityChanged { active: bool },
    /// Packets sent by hand were thrown away, because sending did not keep up.
    Overflowed(LaneDrops),
    /// What a route brings for a track has a codec that the remote side has not agreed to.
    CodecMismatch {
        track: TrackId,
        codec: Arc<RtpCodec>,
    },
    /// The path takes more or less than was told before, in bits a second.
    EstimateChanged(u64),
    /// The half is gone through a fault of its own.
    Failed(String),
    /// The half has said goodbye and is gone.
    Closed,
}

/// Where a route begins: a remote track of some peer, one encoding of it.
#[derive(Clone, Debug)]
pub(crate) struct RouteOrigin {
    pub(crate) track: TrackId,
    pub(crate) layer: RouteLayer,
    /// The peer's receiving half.
    pub(crate) publisher: Outlet<PublisherRequest>,
    /// How much may wait between the publisher and one sending actor.
    pub(crate) capacity: LaneCapacity,
    /// How many destinations it may have at one sending actor.
    pub(crate) subscribers: usize,
}

/// Why a route is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RouteRefusal {
    #[error(transparent)]
    PublisherGone(#[from] ListenerGone),
    /// Its origin has as many destinations as its peer's limits say.
    #[error("more than {limit} destinations")]
    TooMany { limit: usize },
}

/// Which encoding of a track a route takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RouteLayer {
    /// This one and no other.
    Only(Rid),
    /// The best that arrives, up to this one where one is named: the publisher chooses.
    Best { up_to: Option<Rid> },
}

/// What a publishing peer's receiving half is asked.
#[derive(Debug)]
pub(crate) enum PublisherRequest {
    /// Hand on what arrives.
    Subscribe(Subscription),
    /// Nobody wants this stream any more.
    Unsubscribe { stream: StreamId },
    /// Somebody who takes this stream waits for a keyframe.
    RequestKeyframe { stream: StreamId },
    /// Packets on their way to subscribers were thrown away, because sending did not keep up.
    Overflowed(LaneDrops),
}

/// The publisher's end of a stream. The sending actor hears when it is dropped.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) track: TrackId,
    pub(crate) layer: RouteLayer,
    pub(crate) stream: StreamId,
    pub(crate) lane: LaneSender<RtpBatch>,
    pub(super) subscriber: ActorRef<EgressMessage>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let stream = self.stream;
        // Where the sending actor is gone, the stream is too.
        let _gone = self
            .subscriber
            .cast(EgressMessage::PublisherGone { stream });
    }
}

/// Packets of one track, or of one of its encodings, on their way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) track: SentTrack,
    pub(crate) batch: RtpBatch,
}

impl Weigh for Outgoing {
    fn packets(&self) -> usize {
        self.batch.packets()
    }

    fn bytes(&self) -> usize {
        self.batch.bytes()
    }
}

impl Weigh for RtpBatch {
    fn packets(&self) -> usize {
        self.len()
    }

    fn bytes(&self) -> usize {
        self.weight_bytes()
    }
}
