//! Streams and codecs (webrtc-stats §6.1 to §6.9).

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::json;
use crate::rtp::Rid;
use crate::track::{MediaKind, TrackId};

/// A codec in use (`RTCCodecStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CodecStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// In the packets.
    pub payload_type: u8,
    /// The [`TransportStats`](super::TransportStats).
    pub transport_id: String,
    /// For example `video/VP8`.
    pub mime_type: String,
    /// Units of the RTP timestamp in a second.
    pub clock_rate: u32,
    /// Of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
    /// Format parameters as in `a=fmtp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdp_fmtp_line: Option<String>,
}

/// A stream that arrives (`RTCInboundRtpStreamStats`).
///
/// Packets and bytes are those of the stream and of its retransmissions, as they came; bytes are without headers and padding.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InboundRtpStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The stream's SSRC.
    pub ssrc: u32,
    /// Sound or pictures.
    #[serde(serialize_with = "json::kind")]
    pub kind: MediaKind,
    /// The [`TransportStats`](super::TransportStats).
    pub transport_id: String,
    /// The [`CodecStats`] of the latest packet.
    pub codec_id: String,
    /// The track, as [`Event::Track`](crate::Event::Track) told it. Not in the JSON.
    #[serde(skip)]
    pub track: TrackId,
    /// The track's [label](crate::MediaStreamTrack::label).
    pub track_identifier: String,
    /// The m-line.
    pub mid: String,
    /// Which of several encodings. Browsers receive no such, so theirs have no such member.
    #[serde(serialize_with = "json::rid", skip_serializing_if = "Option::is_none")]
    pub rid: Option<Rid>,
    /// The [`RemoteOutboundRtpStats`], once a report came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// Packets that came, retransmissions among them.
    pub packets_received: u64,
    /// Packets that have not come, retransmissions aside; fewer than nothing where duplicates came.
    pub packets_lost: i64,
    /// Of the arrival (RFC 3550 §6.4.1).
    #[serde(serialize_with = "json::seconds")]
    pub jitter: Duration,
    /// Payload that came.
    pub bytes_received: u64,
    /// Headers and padding that came.
    pub header_bytes_received: u64,
    /// When the latest packet came.
    #[serde(
        serialize_with = "json::maybe_milliseconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_packet_received_timestamp: Option<SystemTime>,
    /// Of the packets, those that came as retransmissions (RFC 4588); where none were negotiated, nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmitted_packets_received: Option<u64>,
    /// Of the bytes, those of retransmissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retransmitted_bytes_received: Option<u64>,
    /// The SSRC of retransmissions, once one came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtx_ssrc: Option<u32>,
    /// Packets sent that ask for lost ones.
    pub nack_count: u64,
    /// Picture loss indications sent; of pictures only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pli_count: Option<u64>,
    /// Full intra requests sent; of pictures only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fir_count: Option<u64>,
}

/// A stream that is sent, or was and may be again (`RTCOutboundRtpStreamStats`).
///
/// Packets count from when they are handed to the socket's queue. Bytes are without headers and padding.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OutboundRtpStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The stream's SSRC.
    pub ssrc: u32,
    /// Sound or pictures.
    #[serde(serialize_with = "json::kind")]
    pub kind: MediaKind,
    /// The [`TransportStats`](super::TransportStats).
    pub transport_id: String,
    /// The [`CodecStats`] of the latest packet.
    pub codec_id: String,
    /// The track; none after it was removed. Not in the JSON.
    #[serde(skip)]
    pub track: Option<TrackId>,
    /// The [`MediaSourceStats`], where the application is the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_source_id: Option<String>,
    /// The [`RemoteInboundRtpStats`], once a report came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_id: Option<String>,
    /// The m-line.
    pub mid: String,
    /// Which of several encodings.
    #[serde(serialize_with = "json::rid", skip_serializing_if = "Option::is_none")]
    pub rid: Option<Rid>,
    /// Packets sent.
    pub packets_sent: u64,
    /// Payload sent.
    pub bytes_sent: u64,
    /// Headers and padding sent.
    pub header_bytes_sent: u64,
    /// Of the packets, those sent again because the remote side asked for them.
    pub retransmitted_packets_sent: u64,
    /// Of the bytes, those sent again.
    pub retransmitted_bytes_sent: u64,
    /// The SSRC of retransmissions, where they were negotiated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtx_ssrc: Option<u32>,
    /// Packets received that ask for lost ones.
    pub nack_count: u64,
    /// Picture loss indications received; of pictures only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pli_count: Option<u64>,
    /// Full intra requests received; of pictures only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fir_count: Option<u64>,
    /// The m-line sends, and has a track.
    pub active: bool,
}

/// How the remote side receives a stream of ours, by its reports (`RTCRemoteInboundRtpStreamStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RemoteInboundRtpStats {
    /// Names this object.
    pub id: String,
    /// When the latest report came.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The stream's SSRC.
    pub ssrc: u32,
    /// Sound or pictures.
    #[serde(serialize_with = "json::kind")]
    pub kind: MediaKind,
    /// The [`TransportStats`](super::TransportStats).
    pub transport_id: String,
    /// The [`CodecStats`] that it is sent with.
    pub codec_id: String,
    /// Packets that did not arrive; fewer than nothing where duplicates did.
    pub packets_lost: i64,
    /// Of the arrival (RFC 3550 §6.4.1).
    #[serde(serialize_with = "json::seconds")]
    pub jitter: Duration,
    /// The [`OutboundRtpStats`].
    pub local_id: String,
    /// To the remote side and back, once a report has answered one of ours.
    #[serde(
        serialize_with = "json::maybe_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub round_trip_time: Option<Duration>,
    /// All measurements together.
    #[serde(serialize_with = "json::seconds")]
    pub total_round_trip_time: Duration,
    /// Lost packets between the last two reports, of one.
    pub fraction_lost: f64,
    /// How many there are.
    pub round_trip_time_measurements: u64,
}

/// What the remote side says it has sent (`RTCRemoteOutboundRtpStreamStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RemoteOutboundRtpStats {
    /// Names this object.
    pub id: String,
    /// When the latest report came.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The stream's SSRC.
    pub ssrc: u32,
    /// Sound or pictures.
    #[serde(serialize_with = "json::kind")]
    pub kind: MediaKind,
    /// The [`TransportStats`](super::TransportStats).
    pub transport_id: String,
    /// The [`CodecStats`] that it is received with.
    pub codec_id: String,
    /// Packets sent; wraps with the report's 32 bits.
    pub packets_sent: u32,
    /// Payload sent; wraps with the report's 32 bits.
    pub bytes_sent: u32,
    /// The [`InboundRtpStats`].
    pub local_id: String,
    /// When the latest report was sent, by the remote side's clock.
    #[serde(serialize_with = "json::milliseconds")]
    pub remote_timestamp: SystemTime,
    /// Reports that came.
    pub reports_sent: u64,
    /// To the remote side and back, where it has answered extended reports of ours (RFC 3611 §4.5): of one that sends while we only
    /// receive.
    #[serde(
        serialize_with = "json::maybe_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub round_trip_time: Option<Duration>,
    /// All measurements together.
    #[serde(serialize_with = "json::seconds")]
    pub total_round_trip_time: Duration,
    /// How many there are.
    pub round_trip_time_measurements: u64,
}

/// A track that the application sends by hand (`RTCMediaSourceStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct MediaSourceStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The track's [label](crate::MediaStreamTrack::label).
    pub track_identifier: String,
    /// Sound or pictures.
    #[serde(serialize_with = "json::kind")]
    pub kind: MediaKind,
}
