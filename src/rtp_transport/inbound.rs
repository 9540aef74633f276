//! From protected datagrams to batches and RTCP packets.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use super::arrivals::Arrivals;
use super::audio_levels::AudioLevels;
use super::delivery::Arrival;
use super::repairs::Repairs;
use super::stats::MediaStats;
use crate::rtp::{
    MediaTime, RemoteClock, Rid, RtcpPacket, RtpBatch, RtpDemuxer, RtpPacket, RtpSource,
};
use crate::srtp::{SrtpError, Unprotector};
use crate::track::TrackId;
use crate::udp::Datagrams;

/// The way in. Holds what one drain has brought until [`finish`](Self::finish).
#[derive(Debug)]
pub(super) struct Inbound {
    pub(super) demuxer: RtpDemuxer,
    pub(super) arrivals: Arrivals,
    pub(super) levels: AudioLevels,
    pub(super) repairs: Repairs,
    clock: RemoteClock,
    unprotector: Option<Unprotector>,
    batch_packets: usize,
    groups: Vec<Group>,
    /// Empty vectors of earlier drains.
    spare: Vec<Vec<RtpPacket>>,
}

/// Packets of one drain that become one batch.
#[derive(Debug)]
struct Group {
    track_id: TrackId,
    rid: Option<Rid>,
    source: Arc<RtpSource>,
    received_at: Instant,
    media_time: Option<MediaTime>,
    /// They were asked for.
    repaired: bool,
    packets: Vec<RtpPacket>,
}

impl Inbound {
    /// So many packets travel together at most, and of so many streams something is known.
    pub(super) fn new(batch_packets: usize, ssrcs: usize, levels: AudioLevels) -> Self {
        Self {
            demuxer: RtpDemuxer::new(ssrcs),
            arrivals: Arrivals::default(),
            levels,
            repairs: Repairs::default(),
            clock: RemoteClock::default(),
            unprotector: None,
            batch_packets,
            groups: Vec::new(),
            spare: Vec::new(),
        }
    }

    pub(super) fn install(&mut self, unprotector: Unprotector) {
        self.unprotector = Some(unprotector);
    }

    /// Decrypts and sorts one read's datagrams. Each RTCP datagram is given to `on_rtcp`, with its
    /// length, in its turn.
    pub(super) fn handle_datagrams(
        &mut self,
        datagrams: Datagrams,
        stats: &mut MediaStats,
        mut on_rtcp: impl FnMut(&mut RtpDemuxer, Vec<RtcpPacket>, usize),
    ) {
        let received_at = datagrams.received_at;
        let Some(unprotector) = &mut self.unprotector else {
            stats.received_without_keys += datagrams.datagrams.len() as u64;
            return;
        };
        for mut datagram in datagrams.datagrams {
            let is_rtcp = is_rtcp(&datagram);
            let outcome = if is_rtcp {
                unprotector.unprotect_rtcp(&mut datagram)
            } else {
                unprotector.unprotect_rtp(&mut datagram)
            };
            if let Err(error) = outcome {
                if matches!(error, SrtpError::TooManySsrcs { .. }) {
                    stats.ssrcs_refused += 1;
                } else {
                    stats.unprotect_failed += 1;
                }
                continue;
            }
            if !is_rtcp {
                let mut sorter = Sorter {
                    arrivals: &mut self.arrivals,
                    levels: &mut self.levels,
                    repairs: &mut self.repairs,
                    clock: &self.clock,
                    groups: &mut self.groups,
                    spare: &mut self.spare,
                    stats,
                };
                sorter.handle_rtp(datagram, received_at, &mut self.demuxer);
                continue;
            }
            let length = datagram.len();
            match RtcpPacket::parse_compound(&datagram.freeze()) {
                Ok(packets) => {
                    stats.rtcp_received += 1;
                    self.repairs.handle_rtcp(&packets, received_at, stats);
                    self.clock.handle_rtcp(&packets, received_at);
                    on_rtcp(&mut self.demuxer, packets, length);
                }
                Err(_) => stats.malformed += 1,
            }
        }
        stats.streams_forgotten = self.demuxer.forgotten();
    }

    /// Gives `deliver` one batch for each track, encoding and codec that this drain brought, in
    /// the order of their first packets; several where a stall has piled up many packets, so
    /// that whoever cannot take all of them loses only the oldest.
    pub(super) fn finish(&mut self, mut deliver: impl FnMut(Arrival)) {
        for mut group in self.groups.drain(..) {
            while !group.packets.is_empty() {
                let count = group.packets.len().min(self.batch_packets);
                let packets = group.packets.drain(..count).collect();
                let source = Arc::clone(&group.source);
                let batch = RtpBatch::received(packets, source, group.received_at);
                deliver(Arrival {
                    track_id: group.track_id,
                    rid: group.rid.clone(),
                    batch: batch
                        .with_media_time(group.media_time)
                        .with_repaired(group.repaired),
                });
            }
            if self.spare.len() < MAX_SPARE && group.packets.capacity() <= MAX_SPARE_PACKETS {
                self.spare.push(group.packets);
            }
        }
    }
}

/// Where a packet belongs.
struct Place<'a> {
    track: TrackId,
    rid: Option<&'a Rid>,
    source: &'a Arc<RtpSource>,
    media_time: Option<MediaTime>,
    repaired: bool,
}

/// The fields that sorting one packet touches.
struct Sorter<'a> {
    arrivals: &'a mut Arrivals,
    levels: &'a mut AudioLevels,
    repairs: &'a mut Repairs,
    clock: &'a RemoteClock,
    groups: &'a mut Vec<Group>,
    spare: &'a mut Vec<Vec<RtpPacket>>,
    stats: &'a mut MediaStats,
}

impl Sorter<'_> {
    fn handle_rtp(&mut self, datagram: BytesMut, received_at: Instant, demuxer: &mut RtpDemuxer) {
        self.stats.rtp_received += 1;
        self.stats.rtp_bytes_received += datagram.len() as u64;
        let Ok(packet) = RtpPacket::parse(datagram.freeze()) else {
            self.stats.malformed += 1;
            return;
        };
        self.arrivals.record(&packet, received_at);
        let Ok(route) = demuxer.route(&packet) else {
            self.stats.unrouted += 1;
            return;
        };
        route.stream.traffic.count_received(&packet, received_at);
        route.stream.statistics.handle_packet(
            packet.sequence_number(),
            packet.timestamp(),
            route.source.codec.clock_rate_hz,
            received_at,
        );
        (self.levels).record(route.track, route.source, &packet, received_at);
        let Some((ssrc, payload_type)) = route.repairs else {
            route.stream.layers.count(&packet, route.source);
            let missing = &mut route.stream.missing;
            let repaired =
                self.repairs
                    .handle_media(missing, route.source, &packet, received_at, self.stats);
            let place = Place {
                track: route.track,
                rid: route.rid,
                source: route.source,
                media_time: route.stream.media_time(self.clock),
                repaired,
            };
            self.group(&place, received_at).push(packet);
            return;
        };
        let Some(original) = packet.unwrap_retransmission(ssrc, payload_type) else {
            self.stats.probes += 1;
            return;
        };
        // The stream that it belongs to is another one of the same table.
        let (track, rid) = (route.track, route.rid.cloned());
        let source = Arc::clone(route.source);
        let stream = demuxer.stream_mut(ssrc);
        let media_time = stream.as_ref().and_then(|it| it.media_time(self.clock));
        let missing = stream.map(|stream| &mut stream.missing);
        let number = original.sequence_number();
        let wanted = self
            .repairs
            .handle_repair(missing, &source, number, received_at, self.stats);
        if wanted {
            let place = Place {
                track,
                rid: rid.as_ref(),
                source: &source,
                media_time,
                repaired: true,
            };
            self.group(&place, received_at).push(original);
        }
    }

    /// The packets of this drain that a packet of this place belongs to.
    fn group(&mut self, route: &Place<'_>, received_at: Instant) -> &mut Vec<RtpPacket> {
        // A drain brings few streams, and mostly runs of one: the latest is looked at first.
        let known = self.groups.iter().rposition(|group| {
            group.track_id == route.track
                && group.repaired == route.repaired
                && Arc::ptr_eq(&group.source, route.source)
                && group.rid.as_ref() == route.rid
        });
        let index = known.unwrap_or_else(|| {
            self.groups.push(Group {
                track_id: route.track,
                rid: route.rid.cloned(),
                source: Arc::clone(route.source),
                received_at,
                media_time: route.media_time,
                repaired: route.repaired,
                packets: self.spare.pop().unwrap_or_default(),
            });
            self.groups.len() - 1
        });
        &mut self.groups[index].packets
    }
}

/// Whether a datagram is RTCP, by the payload types that RTP leaves free (RFC 5761 §4).
fn is_rtcp(datagram: &[u8]) -> bool {
    datagram
        .get(1)
        .is_some_and(|byte| (192..=223).contains(byte))
}

/// Vectors kept for the next drain: a few tracks with their encodings.
const MAX_SPARE: usize = 16;

/// Larger ones are given back to the allocator.
const MAX_SPARE_PACKETS: usize = 512;
