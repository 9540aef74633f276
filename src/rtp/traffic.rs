//! What one stream has carried, as W3C counts it (webrtc-stats §6.3, §6.5), and what was asked of it.

use std::collections::HashMap;
use std::time::Instant;

use super::packet::RtpPacket;
use super::rtcp::RtcpPacket;
use super::types::{PayloadType, RtpTimestamp, Ssrc};

/// Packets and bytes of one SSRC, retransmissions among them where they go under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) packets: u64,
    /// Without headers and padding.
    pub(crate) payload_bytes: u64,
    /// Headers with their extensions, and padding.
    pub(crate) header_bytes: u64,
    /// When the latest packet came or went, and as what.
    pub(crate) latest: Option<(Instant, PayloadType)>,
}

impl Traffic {
    /// Counts a packet that came in.
    pub(crate) fn count_received(&mut self, packet: &RtpPacket, at: Instant) {
        let (whole, payload) = (packet.weight_bytes(), packet.payload().len());
        self.count(whole, payload, packet.payload_type(), at);
    }

    /// Counts a packet of `whole` bytes, unprotected.
    pub(crate) fn count(
        &mut self,
        whole: usize,
        payload: usize,
        payload_type: PayloadType,
        at: Instant,
    ) {
        self.packets += 1;
        self.payload_bytes += payload as u64;
        self.header_bytes += whole.saturating_sub(payload) as u64;
        self.latest = Some((at, payload_type));
    }
}

/// What the remote side's last sender report on a stream said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SenderReportSeen {
    /// Its wall time in NTP form, by the remote side's clock.
    pub(crate) ntp: u64,
    /// The same moment on the clock of the stream.
    pub(crate) rtp_timestamp: RtpTimestamp,
    pub(crate) packet_count: u32,
    pub(crate) octet_count: u32,
    pub(crate) received_at: Instant,
    /// How many came so far.
    pub(crate) reports: u64,
}

/// How often something was asked of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestCounts {
    /// Packets that ask for lost ones.
    pub(crate) nacks: u64,
    pub(crate) plis: u64,
    pub(crate) firs: u64,
}

/// What was asked of streams, in one direction. Bounded by `MAX_STREAMS`; what goes beyond is not counted.
#[derive(Debug, Default)]
pub(crate) struct RequestTally {
    streams: HashMap<Ssrc, RequestCounts>,
}

impl RequestTally {
    /// Counts what a packet asks, if it asks for something.
    pub(crate) fn count(&mut self, packet: &RtcpPacket) {
        match packet {
            RtcpPacket::Nack(nack) => self.add(nack.media_ssrc, |it| it.nacks += 1),
            RtcpPacket::PictureLossIndication(request) => {
                self.add(request.media_ssrc, |it| it.plis += 1);
            }
            RtcpPacket::FullIntraRequest(request) => {
                for (ssrc, _) in &request.requests {
                    self.add(*ssrc, |it| it.firs += 1);
                }
            }
            RtcpPacket::SenderReport(_)
            | RtcpPacket::ReceiverReport(_)
            | RtcpPacket::SourceDescription(_)
            | RtcpPacket::Goodbye(_)
            | RtcpPacket::TransportCc(_)
            | RtcpPacket::Remb(_)
            | RtcpPacket::ExtendedReport(_)
            | RtcpPacket::Other(_) => {}
        }
    }

    /// What was asked of this stream.
    pub(crate) fn of(&self, ssrc: Ssrc) -> RequestCounts {
        self.streams.get(&ssrc).copied().unwrap_or_default()
    }

    /// All of it.
    pub(crate) fn all(&self) -> HashMap<Ssrc, RequestCounts> {
        self.streams.clone()
    }

    fn add(&mut self, ssrc: Ssrc, count: impl FnOnce(&mut RequestCounts)) {
        if self.streams.len() < MAX_STREAMS || self.streams.contains_key(&ssrc) {
            count(self.streams.entry(ssrc).or_default());
        }
    }
}

/// More than a session has streams each way; a peer that asks for others is not to fill memory.
const MAX_STREAMS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::{FullIntraRequest, Nack, PictureLossIndication, SequenceNumber};

    #[test]
    fn padding_counts_as_header() {
        let mut bytes = vec![0xa0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend([b'x', b'y', 0, 0, 3]);
        let packet = RtpPacket::parse(bytes.into()).unwrap();
        let mut traffic = Traffic::default();
        let now = Instant::now();
        traffic.count_received(&packet, now);
        assert_eq!((traffic.payload_bytes, traffic.header_bytes), (2, 15));
        assert_eq!(traffic.latest, Some((now, packet.payload_type())));
    }

    #[test]
    fn requests_are_counted_for_the_stream_that_they_name() {
        let mut tally = RequestTally::default();
        let (sender_ssrc, media_ssrc) = (Ssrc(1), Ssrc(2));
        tally.count(&RtcpPacket::Nack(Nack {
            sender_ssrc,
            media_ssrc,
            lost: vec![SequenceNumber(1), SequenceNumber(9)],
        }));
        tally.count(&RtcpPacket::PictureLossIndication(PictureLossIndication {
            sender_ssrc,
            media_ssrc,
        }));
        tally.count(&RtcpPacket::FullIntraRequest(FullIntraRequest {
            sender_ssrc,
            requests: vec![(Ssrc(3), 0), (media_ssrc, 1)],
        }));
        let (nacks, plis, firs) = (1, 1, 1);
        assert_eq!(tally.of(media_ssrc), RequestCounts { nacks, plis, firs });
        assert_eq!(tally.of(Ssrc(3)).firs, 1);
        assert_eq!(tally.of(sender_ssrc), RequestCounts::default());
    }

    #[test]
    fn c113_requests_about_ever_new_streams_are_bounded() {
        let mut tally = RequestTally::default();
        for number in 0..10_000 {
            let media_ssrc = Ssrc(number);
            let sender_ssrc = Ssrc(1);
            tally.count(&RtcpPacket::PictureLossIndication(PictureLossIndication {
                sender_ssrc,
                media_ssrc,
            }));
        }
        assert_eq!(tally.streams.len(), MAX_STREAMS);
    }
}
