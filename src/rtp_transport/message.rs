//! What the media path is told, and what it tells.

use ractor::RpcReplyPort;

use super::machine::RtpTransportTimer;
use super::publishing::RtpDelivery;
use super::snapshot::ReceivingSnapshot;
use super::stats::MediaStats;
use crate::egress::{PublisherRequest, SendingEvent};
use crate::jsep::MediaPlan;
use crate::rtp::Rid;
use crate::srtp::{SrtpMasterKey, SrtpProfile};
use crate::timer::Generation;
use crate::track::TrackId;

/// Mailbox of the media path. Media itself travels in lanes; these are few.
#[derive(Debug)]
pub(crate) enum RtpTransportMessage {
    // Commands and queries, from handles.
    /// The remote side protects with this key from now on.
    InstallKeys(SrtpProfile, SrtpMasterKey),
    /// Receive as negotiated, and speak for what is sent.
    Apply(MediaPlan),
    /// Send RTCP packets of the application.
    SendRtcp(EncodedRtcp),
    /// Ask the remote side for a keyframe.
    SendPli { track_id: TrackId, rid: Option<Rid> },
    /// Ask the remote side for a keyframe, not too often, and again until one comes.
    RequestKeyframe { track_id: TrackId, rid: Option<Rid> },
    /// Whether the owner gets the media of a remote track.
    SetDelivery {
        track: TrackId,
        delivery: RtpDelivery,
    },
    /// No other tracks are received any more.
    KeepTracks { received: Vec<TrackId> },
    /// Asks for the counters.
    Stats { reply: RpcReplyPort<MediaStats> },
    /// Asks for all that statistics tell of the receiving half.
    Snapshot {
        reply: RpcReplyPort<ReceivingSnapshot>,
    },
    /// Say goodbye and end.
    Stop,

    // Facts, from the actor's own helpers.
    /// Datagrams have come into the empty inbound lane.
    InboundRang,
    /// A sending actor wants what arrives here, or speaks of what it got.
    Publish(PublisherRequest),
    /// The sending half has news.
    Sending(SendingEvent),
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
