//! What the media path is told, and what it tells.

use ractor::RpcReplyPort;

use super::machine::RtpTransportTimer;
use super::stats::MediaStats;
use crate::jsep::MediaPlan;
use crate::lane::Weigh;
use crate::rtp::{Rid, RtpBatch};
use crate::srtp::SrtpKeys;
use crate::timer::Generation;
use crate::track::TrackId;
use crate::udp::TransportPath;

/// Mailbox of the media path. Media itself travels in lanes; these are few.
#[derive(Debug)]
pub(crate) enum RtpTransportMessage {
    // Commands and queries, from handles.
    /// Send over this path from now on.
    SetPath(TransportPath),
    /// Protect with these keys from now on.
    InstallKeys(SrtpKeys),
    /// Send and receive as negotiated.
    Apply(MediaPlan),
    /// Send RTCP packets of the application.
    SendRtcp(EncodedRtcp),
    /// Ask the remote side for a keyframe.
    SendPli { track_id: TrackId, rid: Option<Rid> },
    /// Asks for the counters.
    Stats { reply: RpcReplyPort<MediaStats> },
    /// Say goodbye and end.
    Stop,

    // Facts, from the actor's own helpers.
    /// Datagrams have come into the empty inbound lane.
    InboundRang,
    /// Packets have come into the empty outbound lane.
    OutboundRang,
    /// The owner has taken what it was told, and more may be told.
    CreditReturned,
    /// A timer armed by this actor went off.
    TimerFired {
        timer: RtpTransportTimer,
        generation: Generation,
    },
}

/// RTCP packets of the application, written by the handle, so that the caller hears of mistakes.
#[derive(Debug)]
pub(crate) struct EncodedRtcp {
    pub(super) bytes: Vec<u8>,
    pub(super) begins_with_report: bool,
}

/// Packets of one track on their way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(super) track_id: TrackId,
    pub(super) batch: RtpBatch,
}

impl Weigh for Outgoing {
    fn packets(&self) -> usize {
        self.batch.len()
    }

    fn bytes(&self) -> usize {
        self.batch.weight_bytes()
    }
}
