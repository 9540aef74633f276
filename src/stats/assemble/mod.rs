//! From what the parts of a peer show to one report.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::json;
use super::objects::{
    GuardStats, LaneStats, MediaPathStats, PeerConnectionStats, RetransmissionCacheStats, Stats,
};
use super::report::StatsReport;
use super::rtp::{
    CodecStats, InboundRtpStats, MediaSourceStats, OutboundRtpStats, RemoteInboundRtpStats,
    RemoteOutboundRtpStats,
};
use super::transport::{
    CandidatePairState, CandidatePairStats, CertificateStats, IceCandidateStats, IceCandidateType,
    TransportStats,
};
use crate::codec::RtpCodec;
use crate::dtls::{Certificate, DtlsSession, DtlsTraffic, Fingerprint};
use crate::egress::{SendingSnapshot, SentStream};
use crate::ice::{CandidateKind, CandidateSnapshot, IceSnapshot, PairSnapshot};
use crate::peer_connection::{IceGatheringState, PeerConnectionStates};
use crate::rtp::{HeardStream, PayloadType, RequestCounts, SenderReportSeen, Ssrc};
use crate::rtp_transport::{ReceivingSnapshot, Reception};
use crate::srtp::SrtpProfile;
use crate::track::{MediaKind, TrackId};

/// What all parts of a peer show at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(crate) at: Instant,
    /// The wall time of `at`.
    pub(crate) wall: SystemTime,
    pub(crate) states: PeerConnectionStates,
    pub(crate) control: ControlSnapshot,
    pub(crate) ice: IceSnapshot,
    pub(crate) dtls: DtlsTraffic,
    pub(crate) receiving: ReceivingSnapshot,
    pub(crate) sending: SendingSnapshot,
}

/// What the peer connection itself knows.
#[derive(Clone, Debug)]
pub(crate) struct ControlSnapshot {
    /// All tracks by the names that descriptions give them.
    pub(crate) labels: HashMap<TrackId, Arc<str>>,
    pub(crate) certificate: Certificate,
    /// Of the handshake that was done last.
    pub(crate) session: Option<DtlsSession>,
}

impl Sources {
    /// The report. Takes no time to speak of, and none of the parts'.
    pub(crate) fn report(&self) -> StatsReport {
        let mut objects = Vec::new();
        self.add_inbound(&mut objects);
        self.add_outbound(&mut objects);
        if self.has_transport() {
            self.add_transport(&mut objects);
        }
        objects.push(Stats::PeerConnection(PeerConnectionStats {
            id: "P".to_owned(),
            timestamp: self.wall,
            data_channels_opened: 0,
            data_channels_closed: 0,
        }));
        objects.push(Stats::MediaPath(MediaPathStats {
            id: "XM".to_owned(),
            timestamp: self.wall,
            counters: self.receiving.counters,
        }));
        self.add_lanes(&mut objects);
        if self.has_transport() {
            objects.push(Stats::Guards(self.guards()));
        }
        StatsReport::new(self.wall, objects)
    }

    fn guards(&self) -> GuardStats {
        let counted = self.ice.counted;
        GuardStats {
            id: "XG".to_owned(),
            timestamp: self.wall,
            stun_refused: counted.stun_discarded,
            stun_overflow: counted.stun_dropped,
            checks_held_back: counted.checks_held_back,
            candidates_ignored: counted.candidates_ignored,
            dtls_refused: self.dtls.refused,
            dtls_overflow: self.dtls.overflow,
        }
    }

    fn add_lanes(&self, objects: &mut Vec<Stats>) {
        let counters = &self.receiving.counters;
        for (name, lane) in self.receiving.depths.by_name() {
            objects.push(Stats::Lane(LaneStats {
                id: format!("XL-{name}"),
                timestamp: self.wall,
                name,
                packets_waiting: lane.packets,
                bytes_waiting: lane.bytes,
                most_packets_waiting: lane.most_packets,
                packet_limit: lane.packet_limit,
                packets_dropped: match name {
                    "inbound" => counters.inbound_overflow,
                    "waiting" => counters.owner_overflow,
                    "outbound" => counters.outbound_overflow,
                    "route" => counters.route_overflow,
                    // What does not fit into the mailbox waits.
                    _ => 0,
                },
            }));
        }
    }

    /// As in browsers, there is none before the first description is applied.
    fn has_transport(&self) -> bool {
        self.states.ice_gathering != IceGatheringState::New || self.ice.role.is_some()
    }

    fn add_inbound(&self, objects: &mut Vec<Stats>) {
        for stream in &self.receiving.heard {
            let kind = stream.codec.kind;
            let id = id_of(Way::In, kind, stream.ssrc);
            let codec_id = self.add_codec(Way::In, stream.payload_type, &stream.codec, objects);
            let remote_id = stream.report.map(|report| {
                let (id, remote) = (id.clone(), id_of(Way::RemoteOut, kind, stream.ssrc));
                let report = self.remote_outbound(stream, &report, &remote, id, &codec_id);
                objects.push(Stats::RemoteOutboundRtp(report));
                remote
            });
            objects.push(Stats::InboundRtp(
                self.inbound(stream, id, codec_id, remote_id),
            ));
        }
    }

    fn inbound(
        &self,
        stream: &HeardStream,
        id: String,
        codec_id: String,
        remote_id: Option<String>,
    ) -> InboundRtpStats {
        let asked = self.sending.requests.get(&stream.ssrc);
        let RequestCounts { nacks, plis, firs } = asked.copied().unwrap_or_default();
        let is_video = stream.codec.kind == MediaKind::Video;
        let repair = stream.repair.map(|(_, traffic)| traffic);
        let (media, repeated) = (stream.traffic, repair.unwrap_or_default());
        let latest = [media.latest, repeated.latest].into_iter().flatten();
        InboundRtpStats {
            id,
            timestamp: self.wall,
            ssrc: stream.ssrc.0,
            kind: stream.codec.kind,
            transport_id: TRANSPORT.to_owned(),
            codec_id,
            track: stream.track,
            track_identifier: self.label(stream.track),
            mid: stream.mid.to_string(),
            rid: stream.rid.clone(),
            remote_id,
            packets_received: media.packets + repeated.packets,
            packets_lost: stream.lost,
            jitter: in_seconds(stream.jitter, &stream.codec),
            bytes_received: media.payload_bytes + repeated.payload_bytes,
            header_bytes_received: media.header_bytes + repeated.header_bytes,
            last_packet_received_timestamp: latest.map(|(at, _)| self.time_of(at)).max(),
            retransmitted_packets_received: repair.map(|it| it.packets),
            retransmitted_bytes_received: repair.map(|it| it.payload_bytes),
            rtx_ssrc: stream.repair.map(|(ssrc, _)| ssrc.0),
            nack_count: nacks,
            pli_count: is_video.then_some(plis),
            fir_count: is_video.then_some(firs),
        }
    }

    fn remote_outbound(
        &self,
        stream: &HeardStream,
        report: &SenderReportSeen,
        id: &str,
        local_id: String,
        codec_id: &str,
    ) -> RemoteOutboundRtpStats {
        RemoteOutboundRtpStats {
            id: id.to_owned(),
            timestamp: self.time_of(report.received_at),
            ssrc: stream.ssrc.0,
            kind: stream.codec.kind,
            transport_id: TRANSPORT.to_owned(),
            codec_id: codec_id.to_owned(),
            packets_sent: report.packet_count,
            bytes_sent: report.octet_count,
            local_id,
            remote_timestamp: time_of_ntp(report.ntp),
            reports_sent: report.reports,
            round_trip_time: stream.round_trips.latest,
            total_round_trip_time: stream.round_trips.total,
            round_trip_time_measurements: stream.round_trips.measurements,
        }
    }

    fn add_outbound(&self, objects: &mut Vec<Stats>) {
        for stream in &self.sending.streams {
            let Some((payload_type, codec)) = &stream.codec else {
                continue;
            };
            let id = id_of(Way::Out, codec.kind, stream.ssrc);
            let codec_id = self.add_codec(Way::Out, *payload_type, codec, objects);
            let by_hand = stream.track.filter(|_| !stream.routed);
            let media_source_id =
                by_hand.map(|track| self.add_media_source(track, codec.kind, objects));
            let observed = &self.receiving.observed;
            let observed = observed.iter().find(|it| it.ssrc == stream.ssrc);
            let remote_id = observed.and_then(|it| it.reception).map(|reception| {
                let (id, remote) = (id.clone(), id_of(Way::RemoteIn, codec.kind, stream.ssrc));
                let report = self.remote_inbound(&reception, codec, &remote, id, &codec_id);
                objects.push(Stats::RemoteInboundRtp(report));
                remote
            });
            let requests = observed.map(|it| it.requests).unwrap_or_default();
            objects.extend(stream.cache.map(|cache| {
                Stats::RetransmissionCache(RetransmissionCacheStats {
                    id: format!("XR-{}", stream.ssrc.0),
                    timestamp: self.wall,
                    ssrc: stream.ssrc.0,
                    local_id: id.clone(),
                    track: stream.track,
                    packets: cache.packets,
                    bytes: cache.bytes,
                    hits: cache.hits,
                    misses: cache.misses,
                })
            }));
            objects.push(Stats::OutboundRtp(OutboundRtpStats {
                id,
                codec_id,
                media_source_id,
                remote_id,
                ..self.outbound(stream, codec.kind, requests)
            }));
        }
    }

    /// Without what it names.
    fn outbound(
        &self,
        stream: &SentStream,
        kind: MediaKind,
        requests: RequestCounts,
    ) -> OutboundRtpStats {
        let is_video = kind == MediaKind::Video;
        let (first, repeated, padding) = (stream.traffic, stream.repeated, stream.padding);
        OutboundRtpStats {
            id: String::new(),
            timestamp: self.wall,
            ssrc: stream.ssrc.0,
            kind,
            transport_id: TRANSPORT.to_owned(),
            codec_id: String::new(),
            track: stream.track,
            media_source_id: None,
            remote_id: None,
            mid: stream.mid.to_string(),
            rid: stream.rid.clone(),
            packets_sent: first.packets + repeated.packets + padding.packets,
            bytes_sent: first.payload_bytes + repeated.payload_bytes,
            header_bytes_sent: first.header_bytes + repeated.header_bytes + padding.header_bytes,
            retransmitted_packets_sent: repeated.packets,
            retransmitted_bytes_sent: repeated.payload_bytes,
            rtx_ssrc: stream.rtx_ssrc.map(|ssrc| ssrc.0),
            nack_count: requests.nacks,
            pli_count: is_video.then_some(requests.plis),
            fir_count: is_video.then_some(requests.firs),
            active: stream.active,
        }
    }

    fn remote_inbound(
        &self,
        reception: &Reception,
        codec: &RtpCodec,
        id: &str,
        local_id: String,
        codec_id: &str,
    ) -> RemoteInboundRtpStats {
        let report = &reception.report;
        RemoteInboundRtpStats {
            id: id.to_owned(),
            timestamp: self.time_of(reception.received_at),
            ssrc: report.ssrc.0,
            kind: codec.kind,
            transport_id: TRANSPORT.to_owned(),
            codec_id: codec_id.to_owned(),
            packets_lost: report.cumulative_lost.into(),
            jitter: in_seconds(report.jitter.into(), codec),
            local_id,
            round_trip_time: reception.round_trip,
            total_round_trip_time: reception.total_round_trip,
            fraction_lost: f64::from(report.fraction_lost) / 256.0,
            round_trip_time_measurements: reception.measurements,
        }
    }

    /// The object of a codec, which may be there already; gives its id.
    fn add_codec(
        &self,
        way: Way,
        payload_type: PayloadType,
        codec: &RtpCodec,
        objects: &mut Vec<Stats>,
    ) -> String {
        let (letter, number) = (way.letter(), payload_type.get());
        let parameters = Some(codec.fmtp.clone()).filter(|fmtp| !fmtp.is_empty());
        let mut id = format!("C{letter}{TRANSPORT}_{number}");
        if let Some(parameters) = &parameters {
            id.push('_');
            id.push_str(parameters);
        }
        if !objects.iter().any(|known| known.id() == id) {
            objects.push(Stats::Codec(CodecStats {
                id: id.clone(),
                timestamp: self.wall,
                payload_type: number,
                transport_id: TRANSPORT.to_owned(),
                mime_type: format!("{}/{}", codec.kind, codec.name),
                clock_rate: codec.clock_rate_hz,
                channels: codec.channels,
                sdp_fmtp_line: parameters,
            }));
        }
        id
    }

    /// The same of a source; several senders may have one track.
    fn add_media_source(
        &self,
        track: TrackId,
        kind: MediaKind,
        objects: &mut Vec<Stats>,
    ) -> String {
        let id = format!("S{}-{track}", letter_of(kind));
        if !objects.iter().any(|known| known.id() == id) {
            objects.push(Stats::MediaSource(MediaSourceStats {
                id: id.clone(),
                timestamp: self.wall,
                track_identifier: self.label(track),
                kind,
            }));
        }
        id
    }

    fn add_transport(&self, objects: &mut Vec<Stats>) {
        let local_certificate = self.certificate(self.control.certificate.der());
        let session = self.control.session.as_ref();
        let remote_certificate = session.map(|it| self.certificate(&it.peer_certificate));
        let selected = self.ice.pairs.iter().find(|pair| pair.selected);
        let DtlsTraffic { sent, received, .. } = self.traffic();
        objects.push(Stats::Transport(TransportStats {
            id: TRANSPORT.to_owned(),
            timestamp: self.wall,
            packets_sent: sent.0,
            packets_received: received.0,
            bytes_sent: sent.1,
            bytes_received: received.1,
            ice_role: self.ice.role,
            ice_local_username_fragment: self.ice.username_fragment.clone(),
            dtls_state: self.states.dtls_transport,
            ice_state: self.states.ice_connection,
            selected_candidate_pair_id: selected.map(|pair| self.pair_id(pair)),
            local_certificate_id: local_certificate.id.clone(),
            remote_certificate_id: remote_certificate.as_ref().map(|it| it.id.clone()),
            tls_version: session.map(|_| DTLS_1_2),
            dtls_cipher: session.map(|it| it.cipher_suite),
            dtls_role: session.map(|it| it.role),
            srtp_cipher: session.map(|it| name_of(it.srtp_profile)),
            selected_candidate_pair_changes: self.ice.selections,
        }));
        let certificates = [Some(local_certificate), remote_certificate];
        objects.extend(certificates.into_iter().flatten().map(Stats::Certificate));
        let pairs = self.ice.pairs.iter();
        objects.extend(pairs.map(|pair| Stats::CandidatePair(self.pair(pair))));
        let local = self.ice.local.iter();
        objects.extend(local.map(|it| Stats::LocalCandidate(self.candidate(LOCAL, it))));
        let remote = self.ice.remote.iter();
        objects.extend(remote.map(|it| Stats::RemoteCandidate(self.candidate(REMOTE, it))));
    }

    fn certificate(&self, der: &[u8]) -> CertificateStats {
        let text = Fingerprint::sha256(der).to_string();
        let (algorithm, fingerprint) = text.split_once(' ').unwrap_or_default();
        CertificateStats {
            id: format!("CF{fingerprint}"),
            timestamp: self.wall,
            fingerprint: fingerprint.to_owned(),
            fingerprint_algorithm: algorithm.to_owned(),
            base64_certificate: json::base64(der),
        }
    }

    fn pair_id(&self, pair: &PairSnapshot) -> String {
        let local = candidate_id(LOCAL, &self.ice.local[pair.local]);
        let remote = candidate_id(REMOTE, &self.ice.remote[pair.remote]);
        format!("CP{local}_{remote}")
    }

    fn pair(&self, pair: &PairSnapshot) -> CandidatePairStats {
        let counts = &pair.counts;
        let sole = pair.selected && self.ice.selections == 1;
        let DtlsTraffic { sent, received, .. } = self.traffic();
        CandidatePairStats {
            id: self.pair_id(pair),
            timestamp: self.wall,
            transport_id: TRANSPORT.to_owned(),
            local_candidate_id: candidate_id(LOCAL, &self.ice.local[pair.local]),
            remote_candidate_id: candidate_id(REMOTE, &self.ice.remote[pair.remote]),
            state: match counts.responses_received {
                _ if self.ice.given_up => CandidatePairState::Failed,
                0 => CandidatePairState::InProgress,
                _ => CandidatePairState::Succeeded,
            },
            nominated: counts.nominated,
            packets_sent: sole.then_some(sent.0),
            packets_received: sole.then_some(received.0),
            bytes_sent: sole.then_some(sent.1),
            bytes_received: sole.then_some(received.1),
            total_round_trip_time: counts.total_round_trip,
            current_round_trip_time: counts.round_trip,
            available_outgoing_bitrate: (self.sending.estimate_bps)
                .or(self.receiving.maximum_bitrate)
                .filter(|_| pair.selected)
                .map(|bps| bps as f64),
            requests_received: counts.requests_received,
            requests_sent: counts.requests_sent - counts.consent_requests_sent,
            responses_received: counts.responses_received,
            responses_sent: counts.responses_sent,
            consent_requests_sent: counts.consent_requests_sent,
        }
    }

    fn candidate(&self, side: char, candidate: &CandidateSnapshot) -> IceCandidateStats {
        IceCandidateStats {
            id: candidate_id(side, candidate),
            timestamp: self.wall,
            transport_id: TRANSPORT.to_owned(),
            address: candidate.address.ip().to_string(),
            port: candidate.address.port(),
            protocol: "udp",
            candidate_type: match candidate.kind {
                CandidateKind::Host => IceCandidateType::Host,
                CandidateKind::ServerReflexive => IceCandidateType::Srflx,
                CandidateKind::PeerReflexive => IceCandidateType::Prflx,
                CandidateKind::Relayed => IceCandidateType::Relay,
            },
            priority: candidate.priority,
            foundation: candidate.foundation.clone(),
            related_address: candidate.related.map(|it| it.ip().to_string()),
            related_port: candidate.related.map(|it| it.port()),
            username_fragment: candidate.username_fragment.clone(),
        }
    }

    /// Datagrams of media and of DTLS together.
    fn traffic(&self) -> DtlsTraffic {
        let (media, dtls) = (&self.receiving, self.dtls);
        let add = |one: (u64, u64), other: (u64, u64)| (one.0 + other.0, one.1 + other.1);
        DtlsTraffic {
            sent: add((media.counters.sent, media.counters.bytes_sent), dtls.sent),
            received: add(media.received, dtls.received),
            ..dtls
        }
    }

    fn label(&self, track: TrackId) -> String {
        // A track that negotiation took away a moment ago has no other name any more.
        let known = self.control.labels.get(&track);
        known.map_or_else(|| track.to_string(), |label| (**label).to_owned())
    }

    fn time_of(&self, at: Instant) -> SystemTime {
        let ago = self.at.saturating_duration_since(at);
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}

/// Which way a stream goes, and who says so.
#[derive(Clone, Copy, Debug)]
enum Way {
    In,
    Out,
    RemoteIn,
    RemoteOut,
}

impl Way {
    fn letter(self) -> char {
        match self {
            Self::In | Self::RemoteIn => 'I',
            Self::Out | Self::RemoteOut => 'O',
        }
    }
}

fn id_of(way: Way, kind: MediaKind, ssrc: Ssrc) -> String {
    let remote = match way {
        Way::In | Way::Out => "",
        Way::RemoteIn | Way::RemoteOut => "R",
    };
    format!(
        "{remote}{}{TRANSPORT}{}{}",
        way.letter(),
        letter_of(kind),
        ssrc.0
    )
}

fn letter_of(kind: MediaKind) -> char {
    match kind {
        MediaKind::Audio => 'A',
        MediaKind::Video => 'V',
    }
}

/// A restart of ICE makes new candidates of the same addresses, so the session's name is part of it.
fn candidate_id(side: char, candidate: &CandidateSnapshot) -> String {
    let session = candidate.username_fragment.as_deref().unwrap_or_default();
    format!("I{side}{session}-{}", candidate.address)
}

fn in_seconds(units: f64, codec: &RtpCodec) -> Duration {
    Duration::from_secs_f64(units / f64::from(codec.clock_rate_hz.max(1)))
}

/// A time before 1970 counts as 1970.
fn time_of_ntp(ntp: u64) -> SystemTime {
    let seconds = (ntp >> 32).saturating_sub(SECONDS_1900_TO_1970);
    let nanos = ((ntp & 0xffff_ffff) * 1_000_000_000) >> 32;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

fn name_of(profile: SrtpProfile) -> &'static str {
    match profile {
        SrtpProfile::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
        SrtpProfile::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
        SrtpProfile::Aes128CmHmacSha1_80 => "SRTP_AES128_CM_HMAC_SHA1_80",
    }
}

/// The one transport that bundling leaves.
const TRANSPORT: &str = "T01";

/// Marks candidates in their ids.
const LOCAL: char = 'L';
const REMOTE: char = 'R';

/// `ProtocolVersion` of the only version that is spoken here (RFC 6347 §4.1).
const DTLS_1_2: &str = "FEFD";

/// 70 years with 17 leap days (RFC 5905 §6).
const SECONDS_1900_TO_1970: u64 = 2_208_988_800;

#[cfg(test)]
mod tests;
