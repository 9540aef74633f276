//! How the figures are called.

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::media::figures;
use crate::dtls::DtlsError;
use crate::peer_connection::{CloseReason, MediaStats, PeerConnectionState};
use crate::rtp_transport::LaneDepths;

/// A series of counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    /// Its name and value.
    pub(super) label: Option<(&'static str, &'static str)>,
}

/// Tells the recorder that is installed what each figure means, and has each appear with all its labels, so that rates are
/// right from the first count on. To be called once, before the first peer starts.
pub fn describe() {
    for (name, unit, text) in COUNTERS {
        describe_counter!(*name, *unit, *text);
    }
    describe_gauge!(PEERS, Unit::Count, "running peers by connection state");
    describe_gauge!(
        LANE_PACKETS,
        Unit::Count,
        "packets waiting in the queues of the media path"
    );
    describe_histogram!(
        CONNECT_SECONDS,
        Unit::Seconds,
        "time that peers take to connect"
    );
    for (figure, _) in figures(&MediaStats::default()) {
        figure.counter().increment(0);
    }
    for name in [PEERS_STARTED, ICE_FAILURES, ICE_DISCONNECTIONS] {
        counter!(name).increment(0);
    }
    for reason in CLOSE_REASONS {
        counter!(PEERS_CLOSED, REASON => *reason).increment(0);
    }
    for reason in DTLS_REASONS {
        counter!(DTLS_FAILURES, REASON => *reason).increment(0);
    }
    for state in STATES {
        gauge!(PEERS, STATE => state.as_str()).increment(0);
    }
    for (lane, _) in LaneDepths::default().by_name() {
        gauge!(LANE_PACKETS, LANE => lane).increment(0);
    }
    let _registered = histogram!(CONNECT_SECONDS);
}

pub(super) fn of_close_reason(reason: &CloseReason) -> &'static str {
    match reason {
        CloseReason::Requested => "requested",
        CloseReason::OwnerGone => "owner_gone",
        CloseReason::Stopped => "stopped",
        CloseReason::Crashed => "crashed",
        CloseReason::PartFailed { .. } => "part_failed",
    }
}

pub(super) fn of_dtls_error(error: &DtlsError) -> &'static str {
    match error {
        DtlsError::FingerprintMismatch | DtlsError::NoSupportedFingerprint => "fingerprint",
        DtlsError::NoCommonSrtpProfile => "srtp_profile",
        DtlsError::PeerAlert { .. } => "peer_alert",
        DtlsError::HandshakeTimeout { .. } => "timeout",
        DtlsError::Handshake(_) => "handshake",
        DtlsError::Broken | DtlsError::Internal => "internal",
    }
}

pub(super) const STATE: &str = "state";
pub(super) const REASON: &str = "reason";
pub(super) const DIRECTION: &str = "direction";
pub(super) const LANE: &str = "lane";

pub(super) const PEERS: &str = "ractor_webrtc_peers";
pub(super) const PEERS_STARTED: &str = "ractor_webrtc_peers_started_total";
pub(super) const PEERS_CLOSED: &str = "ractor_webrtc_peers_closed_total";
pub(super) const CONNECT_SECONDS: &str = "ractor_webrtc_connect_seconds";
pub(super) const ICE_FAILURES: &str = "ractor_webrtc_ice_failures_total";
pub(super) const ICE_DISCONNECTIONS: &str = "ractor_webrtc_ice_disconnections_total";
pub(super) const DTLS_FAILURES: &str = "ractor_webrtc_dtls_failures_total";
pub(super) const RTP_PACKETS_RECEIVED: &str = "ractor_webrtc_rtp_packets_received_total";
pub(super) const RTP_BYTES_RECEIVED: &str = "ractor_webrtc_rtp_bytes_received_total";
pub(super) const RTCP_DATAGRAMS_RECEIVED: &str = "ractor_webrtc_rtcp_datagrams_received_total";
pub(super) const DELIVERED: &str = "ractor_webrtc_packets_delivered_total";
pub(super) const ROUTED: &str = "ractor_webrtc_packets_routed_total";
pub(super) const DATAGRAMS_SENT: &str = "ractor_webrtc_datagrams_sent_total";
pub(super) const BYTES_SENT: &str = "ractor_webrtc_bytes_sent_total";
pub(super) const DROPPED: &str = "ractor_webrtc_packets_dropped_total";
pub(super) const PACED: &str = "ractor_webrtc_packets_paced_total";
pub(super) const PADDING: &str = "ractor_webrtc_padding_packets_sent_total";
pub(super) const FEEDBACK: &str = "ractor_webrtc_transport_feedback_total";
pub(super) const FEEDBACK_REFUSED: &str = "ractor_webrtc_transport_feedback_refused_total";
pub(super) const NACKS: &str = "ractor_webrtc_nacks_total";
pub(super) const REPAIRED: &str = "ractor_webrtc_packets_repaired_total";
pub(super) const UNREPAIRED: &str = "ractor_webrtc_packets_unrepaired_total";
pub(super) const JUMPS: &str = "ractor_webrtc_stream_jumps_total";
pub(super) const STREAMS_FORGOTTEN: &str = "ractor_webrtc_streams_forgotten_total";
pub(super) const RETRANSMITTED: &str = "ractor_webrtc_packets_retransmitted_total";
pub(super) const REFUSED: &str = "ractor_webrtc_retransmissions_refused_total";
pub(super) const UNNEEDED: &str = "ractor_webrtc_retransmissions_unneeded_total";
pub(super) const KEYFRAME_REQUESTS: &str = "ractor_webrtc_keyframe_requests_total";
pub(super) const GIVEN_UP: &str = "ractor_webrtc_keyframes_given_up_total";
pub(super) const LANE_PACKETS: &str = "ractor_webrtc_lane_packets";

const COUNTERS: &[(&str, Unit, &str)] = &[
    (PEERS_STARTED, Unit::Count, "peers that were started"),
    (PEERS_CLOSED, Unit::Count, "peers that have ended"),
    (ICE_FAILURES, Unit::Count, "times that ICE failed"),
    (
        ICE_DISCONNECTIONS,
        Unit::Count,
        "times that ICE lost its path, perhaps for a while",
    ),
    (DTLS_FAILURES, Unit::Count, "DTLS handshakes that failed"),
    (RTP_PACKETS_RECEIVED, Unit::Count, "RTP packets decrypted"),
    (RTP_BYTES_RECEIVED, Unit::Bytes, "bytes of RTP decrypted"),
    (
        RTCP_DATAGRAMS_RECEIVED,
        Unit::Count,
        "RTCP datagrams decrypted and read",
    ),
    (DELIVERED, Unit::Count, "packets told to owners"),
    (ROUTED, Unit::Count, "packets that came by route"),
    (DATAGRAMS_SENT, Unit::Count, "RTP and RTCP datagrams sent"),
    (BYTES_SENT, Unit::Bytes, "bytes of RTP and RTCP sent"),
    (DROPPED, Unit::Count, "packets that went no further"),
    (
        PACED,
        Unit::Count,
        "packets that waited for their turn in a pacer",
    ),
    (
        PADDING,
        Unit::Count,
        "packets of padding sent to probe a path",
    ),
    (FEEDBACK, Unit::Count, "transport-wide feedback received"),
    (
        FEEDBACK_REFUSED,
        Unit::Count,
        "transport-wide feedback of no use",
    ),
    (NACKS, Unit::Count, "requests for missing packets"),
    (
        REPAIRED,
        Unit::Count,
        "missing packets that came when asked for",
    ),
    (UNREPAIRED, Unit::Count, "missing packets that never came"),
    (
        JUMPS,
        Unit::Count,
        "jumps of a stream over more than can be asked for",
    ),
    (
        STREAMS_FORGOTTEN,
        Unit::Count,
        "streams forgotten for others, above the limit of a peer",
    ),
    (RETRANSMITTED, Unit::Count, "packets sent again"),
    (REFUSED, Unit::Count, "packets asked for and not sent again"),
    (
        UNNEEDED,
        Unit::Count,
        "retransmissions that brought nothing",
    ),
    (KEYFRAME_REQUESTS, Unit::Count, "requests for keyframes"),
    (GIVEN_UP, Unit::Count, "keyframes that never came"),
];

const CLOSE_REASONS: &[&str] = &[
    "requested",
    "owner_gone",
    "stopped",
    "crashed",
    "part_failed",
];

const DTLS_REASONS: &[&str] = &[
    "fingerprint",
    "srtp_profile",
    "peer_alert",
    "timeout",
    "handshake",
    "internal",
];

const STATES: &[PeerConnectionState] = &[
    PeerConnectionState::New,
    PeerConnectionState::Connecting,
    PeerConnectionState::Connected,
    PeerConnectionState::Disconnected,
    PeerConnectionState::Failed,
    PeerConnectionState::Closed,
];
