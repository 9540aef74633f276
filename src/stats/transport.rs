//! The transport, candidates and certificates (webrtc-stats §6.12 to §6.15).

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::json;
use crate::dtls::DtlsRole;
use crate::ice::IceRole;
use crate::peer_connection::{DtlsTransportState, IceConnectionState};

/// The transport that all media shares (`RTCTransportStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TransportStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// Datagrams of media (RTP, RTCP) and of DTLS that the socket took.
    pub packets_sent: u64,
    /// Datagrams of media and DTLS that came, whatever became of them.
    pub packets_received: u64,
    /// Their bytes, protected.
    pub bytes_sent: u64,
    /// Their bytes, protected.
    pub bytes_received: u64,
    /// `unknown` before both descriptions are there.
    #[serde(serialize_with = "json::ice_role")]
    pub ice_role: Option<IceRole>,
    /// Ours.
    pub ice_local_username_fragment: String,
    /// As [`PeerConnection::dtls_transport_state`](crate::PeerConnection::dtls_transport_state).
    pub dtls_state: DtlsTransportState,
    /// As [`PeerConnection::ice_connection_state`](crate::PeerConnection::ice_connection_state).
    pub ice_state: IceConnectionState,
    /// The [`CandidatePairStats`] that media takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_candidate_pair_id: Option<String>,
    /// Our [`CertificateStats`].
    pub local_certificate_id: String,
    /// The remote side's [`CertificateStats`], once it was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote_certificate_id: Option<String>,
    /// Four hexadecimal digits as on the wire: `FEFD` is DTLS 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_version: Option<&'static str>,
    /// By the name that IANA gives it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dtls_cipher: Option<&'static str>,
    /// `unknown` before the handshake is done.
    #[serde(serialize_with = "json::dtls_role")]
    pub dtls_role: Option<DtlsRole>,
    /// By the name that IANA gives it (RFC 5764 §4.1.2, RFC 7714 §14.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub srtp_cipher: Option<&'static str>,
    /// How often media was given another pair, the first included.
    pub selected_candidate_pair_changes: u32,
}

/// A candidate, as `local-candidate` or `remote-candidate` (`RTCIceCandidateStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct IceCandidateStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The [`TransportStats`].
    pub transport_id: String,
    /// An IP address.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Always `udp`.
    pub protocol: &'static str,
    /// What it is.
    pub candidate_type: IceCandidateType,
    /// By RFC 8445 §5.1.2.
    pub priority: u32,
    /// What candidates of one kind have in common (RFC 8445 §5.1.1.3); unknown of one found by a check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub foundation: Option<String>,
    /// The address that a server saw otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related_address: Option<String>,
    /// Its port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related_port: Option<u16>,
    /// Of the session that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

/// What a candidate is (`RTCIceCandidateType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IceCandidateType {
    /// An address of the machine, or one that its network maps to it port by port.
    Host,
    /// What a server saw of it.
    Srflx,
    /// What the other side saw of it.
    Prflx,
    /// One of a TURN server.
    Relay,
}

/// Two candidates and what has passed between them (`RTCIceCandidatePairStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CandidatePairStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// The [`TransportStats`].
    pub transport_id: String,
    /// Our [`IceCandidateStats`].
    pub local_candidate_id: String,
    /// The remote side's [`IceCandidateStats`].
    pub remote_candidate_id: String,
    /// Whether it works.
    pub state: CandidatePairState,
    /// It is the selected pair, or was.
    pub nominated: bool,
    /// Datagrams of media and DTLS sent on it. Known of a pair that is the only one that media ever took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_sent: Option<u64>,
    /// Datagrams received on it; known of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_received: Option<u64>,
    /// Their bytes; known of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_sent: Option<u64>,
    /// Their bytes; known of the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_received: Option<u64>,
    /// All round trips together; `responsesReceived` says of how many.
    #[serde(serialize_with = "json::seconds")]
    pub total_round_trip_time: Duration,
    /// Of the latest check or consent check that was answered.
    #[serde(
        serialize_with = "json::maybe_seconds",
        skip_serializing_if = "Option::is_none"
    )]
    pub current_round_trip_time: Option<Duration>,
    /// What the path takes, in bits a second, by transport-wide feedback on what we send. Only of the selected pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_outgoing_bitrate: Option<f64>,
    /// Checks that came.
    pub requests_received: u64,
    /// Checks sent, those for consent aside.
    pub requests_sent: u64,
    /// Answers that came, those to checks for consent included.
    pub responses_received: u64,
    /// Answers sent.
    pub responses_sent: u64,
    /// Checks for consent sent (RFC 7675).
    pub consent_requests_sent: u64,
}

/// How far the checks of a pair have come (`RTCStatsIceCandidatePairState`). Which pairs are still to be checked is the
/// agent's secret; so there is neither `frozen` nor `waiting`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CandidatePairState {
    /// Nothing was answered yet.
    InProgress,
    /// The session has given up.
    Failed,
    /// Something was answered.
    Succeeded,
}

/// A certificate (`RTCCertificateStats`).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CertificateStats {
    /// Names this object.
    pub id: String,
    /// When this was so.
    #[serde(serialize_with = "json::milliseconds")]
    pub timestamp: SystemTime,
    /// `AB:CD:…`, as in the session description.
    pub fingerprint: String,
    /// `sha-256`.
    pub fingerprint_algorithm: String,
    /// In DER, as Base64.
    pub base64_certificate: String,
}
