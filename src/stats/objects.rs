//! One object of a report, of whichever type.

use std::time::SystemTime;

use serde::Serialize;

use super::json;
use super::rtp::{
    CodecStats, InboundRtpStats, MediaSourceStats, OutboundRtpStats, RemoteInboundRtpStats,
    RemoteOutboundRtpStats,
};
use super::transport::{CandidatePairStats, CertificateStats, IceCandidateStats, TransportStats};
use crate::peer_connection::MediaStats;
use crate::track::TrackId;

macro_rules! objects {
    ($($(#[$doc:meta])* $variant:ident($contents:ty) = $name:literal,)+) => {
        /// One object of a report (`RTCStats`).
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(tag = "type")]
        #[non_exhaustive]
        pub enum Stats {
            $($(#[$doc])* #[serde(rename = $name)] $variant($contents),)+
        }

        /// What an object is (`RTCStatsType`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[non_exhaustive]
        pub enum StatsType {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)+
        }

        impl StatsType {
            /// The word that browsers use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        impl Stats {
            /// Names this object within every report of its peer.
            pub fn id(&self) -> &str {
                match self { $(Self::$variant(it) => &it.id,)+ }
            }

            /// When this was so.
            pub fn timestamp(&self) -> SystemTime {
                match self { $(Self::$variant(it) => it.timestamp,)+ }
            }

            /// What it is.
            pub fn stats_type(&self) -> StatsType {
                match self { $(Self::$variant(_) => StatsType::$variant,)+ }
            }
        }
    };
}

objects! {
    /// A codec in use.
    Codec(CodecStats) = "codec",
    /// A stream that arrives.
    InboundRtp(InboundRtpStats) = "inbound-rtp",
    /// A stream that is sent.
    OutboundRtp(OutboundRtpStats) = "outbound-rtp",
    /// How the remote side receives what we send.
    RemoteInboundRtp(RemoteInboundRtpStats) = "remote-inbound-rtp",
    /// What the remote side says that it sends.
    RemoteOutboundRtp(RemoteOutboundRtpStats) = "remote-outbound-rtp",
    /// A track that the application sends by hand.
    MediaSource(MediaSourceStats) = "media-source",
    /// The peer.
    PeerConnection(PeerConnectionStats) = "peer-connection",
    /// The transport.
    Transport(TransportStats) = "transport",
    /// Two candidates.
    CandidatePair(CandidatePairStats) = "candidate-pair",
    /// A candidate of ours.
    LocalCandidate(IceCandidateStats) = "local-candidate",
    /// A candidate of the remote side.
    RemoteCandidate(IceCandidateStats) = "remote-candidate",
    /// A certificate, ours or the remote side's.
    Certificate(CertificateStats) = "certificate",
    /// What the media path has counted. Ours, not W3C's.
    MediaPath(MediaPathStats) = "x-media-path",
    /// A queue of the media path. Ours, not W3C's.
    Lane(LaneStats) = "x-lane",
    /// What is kept of a stream to be sent again. Ours, not W3C's.
    RetransmissionCache(RetransmissionCacheStats) = "x-retransmission-cache",
    /// What the guards of ICE and DTLS have refused. Ours, not W3C's.
    Guards(GuardStats) = "x-guards",
}

/// The peer (`RTCPeerConnectionStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct PeerConnectionStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// Data channels that were open at some time.
    pub data_channels_opened: u32,
    /// Of those, the ones that are closed.
    pub data_channels_closed: u32,
}

/// Everything that came, went, or was dropped on its way through the queues of the media path: `x-media-path`, which
/// is ours and not W3C's. Its members are those of [`MediaStats`] in camel case.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MediaPathStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The counters.
    #[serde(flatten)]
    pub counters: MediaStats,
}

/// A queue of the media path: `x-lane`, which is ours and not W3C's.
///
/// `inbound` is what the endpoint has read and nobody has decrypted; `owner` what is in the owner's mailbox, `waiting` what waits for
/// that to have room; `outbound` what was sent by hand; `route` what goes to other peers, of all routes that begin
/// at this peer together.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LaneStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// `inbound`, `owner`, `waiting`, `outbound` or `route`.
    pub name: &'static str,
    /// Packets that wait now.
    pub packets_waiting: usize,
    /// Their bytes.
    pub bytes_waiting: usize,
    /// The most packets that have ever waited; on one route, for routes.
    pub most_packets_waiting: usize,
    /// The most that may wait, as [`MediaLimits`](crate::peer_connection::MediaLimits) say; on one route, for routes, and 0 while there is none.
    pub packet_limit: usize,
    /// Packets lost because it was full.
    pub packets_dropped: u64,
}

/// What is kept of a stream to be sent again: `x-retransmission-cache`, which is ours and not W3C's. There where the remote side may ask for
/// packets (`nack`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RetransmissionCacheStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The stream.
    pub ssrc: u32,
    /// The [`OutboundRtpStats`] of the stream.
    pub local_id: String,
    /// The track, where there is one.
    #[serde(skip)]
    pub track: Option<TrackId>,
    /// Packets that are kept. Those that many peers are sent are in memory once.
    pub packets: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Packets that were asked for and found. Limits may have forbidden to send them all the same.
    pub hits: u64,
    /// Packets that were asked for and not kept any more.
    pub misses: u64,
}

/// What did not get as far as ICE and DTLS: `x-guards`, which is ours and not W3C's. There from the first description on; what is counted of ICE is
/// that of the running session. Much of it comes of repetition and of reordering, so that some is always there; what grows without an end is sent on purpose.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct GuardStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// STUN messages that were not well formed, not authentic, not expected, or whose answer would have been larger than they were.
    pub stun_refused: u64,
    /// STUN messages lost because this machine did not keep up.
    pub stun_overflow: u64,
    /// Checks of ours that were held back, since they came too soon after the last one to the same address.
    pub checks_held_back: u64,
    /// Remote candidates of no use here, or more than are checked.
    pub candidates_ignored: u64,
    /// DTLS records that were not sound, not expected at that moment, or too many.
    pub dtls_refused: u64,
    /// Datagrams of DTLS lost because more came than a handshake reads.
    pub dtls_overflow: u64,
}

impl Stats {
    /// The track that a stream of ours belongs to.
    pub(super) fn track(&self) -> Option<TrackId> {
        if let Self::InboundRtp(it) = self {
            return Some(it.track);
        }
        if let Self::RetransmissionCache(it) = self {
            return it.track;
        }
        let Self::OutboundRtp(it) = self else {
            return None;
        };
        it.track
    }

    /// The objects that this one names.
    pub(super) fn references(&self) -> Vec<&str> {
        let named: Vec<Option<&String>> = match self {
            Self::Codec(it) => vec![Some(&it.transport_id)],
            Self::InboundRtp(it) => vec![
                Some(&it.transport_id),
                Some(&it.codec_id),
                it.remote_id.as_ref(),
            ],
            Self::OutboundRtp(it) => vec![
                Some(&it.transport_id),
                Some(&it.codec_id),
                it.media_source_id.as_ref(),
                it.remote_id.as_ref(),
            ],
            Self::RemoteInboundRtp(it) => vec![
                Some(&it.transport_id),
                Some(&it.codec_id),
                Some(&it.local_id),
            ],
            Self::RemoteOutboundRtp(it) => vec![
                Some(&it.transport_id),
                Some(&it.codec_id),
                Some(&it.local_id),
            ],
            Self::Transport(it) => vec![
                it.selected_candidate_pair_id.as_ref(),
                Some(&it.local_certificate_id),
                it.remote_certificate_id.as_ref(),
            ],
            Self::CandidatePair(it) => vec![
                Some(&it.transport_id),
                Some(&it.local_candidate_id),
                Some(&it.remote_candidate_id),
            ],
            Self::LocalCandidate(it) | Self::RemoteCandidate(it) => vec![Some(&it.transport_id)],
            Self::MediaSource(_)
            | Self::PeerConnection(_)
            | Self::Certificate(_)
            | Self::MediaPath(_)
            | Self::Guards(_)
            | Self::Lane(_) => Vec::new(),
            Self::RetransmissionCache(it) => vec![Some(&it.local_id)],
        };
        named.into_iter().flatten().map(String::as_str).collect()
    }
}
