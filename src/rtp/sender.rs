//! The sending side of one m-line: rewriting of packets, sender reports.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::{RtpBatch, RtpSource};
use super::clock::in_clock_units;
use super::continuity::{Continuity, Numbers};
use super::extension::{ExtensionMap, HeaderExtension};
use super::own_elements::{OwnElements, Said};
use super::packet::RtpPacket;
use super::pictures::PictureCodec;
use super::playout_delay::Lateness;
use super::retransmission::{
    Refused, Repeat, RetransmissionCache, Retransmitter, RtxHeader, RtxStream, Why,
};
use super::rtcp::{ReceptionReport, SenderReport};
use super::traffic::Traffic;
use super::types::{Mid, PayloadType, RtpTimestamp, SequenceNumber, Ssrc};
use crate::codec::{RtcpFeedback, RtpCodec};
use crate::jsep::{NegotiatedCodec, SendPlan};
use crate::track::MediaKind;

/// Gives packets of any origin the numbers that were negotiated for one m-line.
///
/// Marker and payload stay as they are; SSRC, payload type and header extensions become those of
/// this sender. Sequence number, timestamp and the numbers of pictures are the caller's, or go on across sources.
#[derive(Debug)]
pub(crate) struct RtpStreamSender {
    own: OwnElements,
    ssrc: Ssrc,
    cname: Arc<str>,
    codecs: Vec<NegotiatedCodec>,
    extensions: ExtensionMap,
    /// How packets of the sources seen lately are rewritten, the latest last; forgotten with
    /// every new plan. At most `REMEMBERED_SOURCES`.
    known: Vec<KnownSource>,
    packet_count: u32,
    octet_count: u32,
    clock: Option<SentClock>,
    continuity: Continuity,
    /// Answers requests for lost packets, where the remote side may make them.
    retransmitter: Option<Retransmitter>,
    cache_bytes: usize,
    /// Where retransmissions go; `None`: where the packets went.
    rtx_ssrc: Option<Ssrc>,
    /// Goes on even when it is not used for a while.
    rtx: Option<RtxStream>,
    /// How late what was lost goes.
    lateness: Lateness,
    traffic: Traffic,
    /// What was sent again.
    repeated: Traffic,
    /// Packets of padding alone.
    padding: Traffic,
}

/// A source seen lately, the application without one; and how its packets are rewritten.
#[derive(Debug)]
struct KnownSource {
    source: Option<Arc<RtpSource>>,
    rewrite: Option<Arc<Rewrite>>,
}

/// How packets of one source become packets of one sender.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rewrite {
    payload_types: PayloadTypes,
    pub(crate) clock_rate_hz: u32,
    /// `(incoming, outgoing)` identifiers of the elements that are kept.
    elements: Vec<(u8, u8)>,
    /// Whose pictures are numbered in the payload. Packets of the application may be of any codec.
    pub(super) pictures: Option<PictureCodec>,
}

#[derive(Debug, PartialEq, Eq)]
enum PayloadTypes {
    /// All packets have the codec of their source.
    One(PayloadType),
    /// Packets of the application name one of these; any other means the first.
    Choice(Vec<PayloadType>),
}

/// Which moment a timestamp stands for.
#[derive(Clone, Copy, Debug)]
struct SentClock {
    sequence: SequenceNumber,
    timestamp: RtpTimestamp,
    at: Instant,
    rate_hz: u32,
}

impl RtpStreamSender {
    /// Keeps so many bytes of what is sent, where it may have to be sent again.
    pub(crate) fn new(mid: &Mid, plan: &SendPlan, cache_bytes: usize) -> Self {
        Self {
            own: OwnElements::new(mid, plan),
            ssrc: plan.ssrc,
            cname: Arc::clone(&plan.cname),
            codecs: plan.codecs.clone(),
            extensions: plan.extensions.clone(),
            known: Vec::new(),
            packet_count: 0,
            octet_count: 0,
            clock: None,
            continuity: Continuity::default(),
            retransmitter: answers_requests(plan).then(|| Retransmitter::new(0, cache_bytes)),
            cache_bytes,
            rtx_ssrc: plan.rtx_ssrc,
            rtx: plan.rtx_ssrc.map(RtxStream::new),
            lateness: Lateness::default(),
            traffic: Traffic::default(),
            repeated: Traffic::default(),
            padding: Traffic::default(),
        }
    }

    /// Takes over what a renegotiation changed; counts and clock go on.
    pub(crate) fn apply(&mut self, mid: &Mid, plan: &SendPlan) {
        let before = std::mem::replace(self, Self::new(mid, plan, self.cache_bytes));
        if before.ssrc != self.ssrc {
            return;
        }
        self.packet_count = before.packet_count;
        self.octet_count = before.octet_count;
        self.clock = before.clock;
        self.continuity = before.continuity;
        self.lateness = before.lateness;
        self.traffic = before.traffic;
        self.repeated = before.repeated;
        self.padding = before.padding;
        let writes_alike = before.own == self.own
            && before.codecs == self.codecs
            && before.extensions == self.extensions;
        if let Some(retransmitter) = &mut self.retransmitter {
            // SRTP must not see the same number with other bytes: what was sent otherwise is forgotten.
            *retransmitter = match before.retransmitter {
                Some(before) if writes_alike => before,
                Some(_) | None => Retransmitter::new(before.octet_count, self.cache_bytes),
            };
        }
        let known = before.rtx;
        let goes_on = |rtx: &RtxStream| self.rtx_ssrc.is_none_or(|ssrc| ssrc == rtx.ssrc());
        self.rtx = known.filter(goes_on).or(self.rtx);
    }

    /// The next packet that is [placed](Self::place) comes from another source.
    pub(crate) fn change_source(&mut self) {
        self.continuity.change_source();
    }

    /// The numbers of a packet whose sender has numbered it: they are kept, unless what was sent before was
    /// numbered here, so that nobody else knows which come next.
    pub(crate) fn keep_or_place(
        &mut self,
        rewrite: &Rewrite,
        packet: &RtpPacket,
        at: Instant,
    ) -> Option<Numbers> {
        if self.continuity.renumbers() {
            self.place(rewrite, packet, at)
        } else {
            let numbers = Numbers::of(packet, rewrite.pictures);
            self.continuity.note(numbers, at);
            Some(numbers)
        }
    }

    /// The numbers under which a packet goes on from what was sent before; `None` for one from
    /// before the last change of the source.
    pub(crate) fn place(
        &mut self,
        rewrite: &Rewrite,
        packet: &RtpPacket,
        at: Instant,
    ) -> Option<Numbers> {
        self.continuity
            .place(packet, rewrite.clock_rate_hz, rewrite.pictures, at)
    }

    pub(crate) fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Sound or pictures; `None` when no codec is left.
    pub(crate) fn kind(&self) -> Option<MediaKind> {
        self.codecs.first().map(|codec| codec.codec.kind)
    }

    pub(crate) fn cname(&self) -> &Arc<str> {
        &self.cname
    }

    /// How packets of this source are rewritten; `None` when their codec is not negotiated here.
    /// Allocates only for a source that it has not seen lately.
    pub(crate) fn rewrite_for(&mut self, source: Option<&Arc<RtpSource>>) -> Option<Arc<Rewrite>> {
        let seen = self
            .known
            .iter()
            .find(|known| match (&known.source, source) {
                (Some(known), Some(source)) => Arc::ptr_eq(known, source),
                (None, None) => true,
                (Some(_), None) | (None, Some(_)) => false,
            });
        if let Some(known) = seen {
            return known.rewrite.clone();
        }
        let rewrite = match source {
            Some(source) => self.rewrite_of_source(source),
            None => self.rewrite_of_application(),
        }
        .map(Arc::new);
        if self.known.len() == REMEMBERED_SOURCES {
            self.known.remove(0);
        }
        self.known.push(KnownSource {
            source: source.cloned(),
            rewrite: rewrite.clone(),
        });
        rewrite
    }

    fn rewrite_of_source(&self, source: &RtpSource) -> Option<Rewrite> {
        let codec = self
            .codecs
            .iter()
            .find(|ours| *ours.codec == *source.codec)
            .or_else(|| {
                self.codecs
                    .iter()
                    .find(|ours| ours.codec.matches(&source.codec))
            })?;
        let elements = source
            .extensions
            .entries
            .iter()
            .filter(|(_, extension)| extension.is_forwarded() && self.has_room_for(extension))
            .filter_map(|(id, extension)| Some((*id, self.extensions.id(extension)?)))
            .collect();
        Some(Rewrite {
            payload_types: PayloadTypes::One(codec.payload_type),
            clock_rate_hz: codec.codec.clock_rate_hz,
            elements,
            pictures: PictureCodec::of(&codec.codec),
        })
    }

    /// A structure takes more than the short form of an element has, and without it the other descriptors mean nothing.
    fn has_room_for(&self, extension: &HeaderExtension) -> bool {
        *extension != HeaderExtension::DependencyDescriptor || self.extensions.allows_two_byte()
    }

    fn rewrite_of_application(&self) -> Option<Rewrite> {
        let preferred = self.codecs.first()?;
        Some(Rewrite {
            payload_types: PayloadTypes::Choice(
                self.codecs.iter().map(|codec| codec.payload_type).collect(),
            ),
            clock_rate_hz: preferred.codec.clock_rate_hz,
            elements: self
                .extensions
                .entries
                .iter()
                .filter(|(_, extension)| extension.is_forwarded())
                .map(|(id, _)| (*id, *id))
                .collect(),
            pictures: None,
        })
    }

    /// Whether each packet, and each retransmission, is to have its number among all that this transport sends.
    pub(crate) fn counts_for_transport(&self) -> bool {
        self.own.has_transport_number()
    }

    /// Appends the packet as it goes on the wire; with this number among all of the transport where the stream
    /// [has such](Self::counts_for_transport). Allocates nothing while `slab` has room.
    ///
    /// The MID stands in every packet, and the RID of one of several encodings: they cost some bytes, and the receiver can place the
    /// stream whichever packet comes first.
    pub(crate) fn write_outgoing(
        &self,
        rewrite: &Rewrite,
        packet: &RtpPacket,
        numbers: Numbers,
        transport: Option<u16>,
        slab: &mut Vec<u8>,
    ) {
        let head = Head {
            payload_type: rewrite.payload_type(packet),
            sequence: numbers.sequence,
            timestamp: numbers.timestamp,
            ssrc: self.ssrc,
            transport,
            repeats: false,
        };
        self.write_header(Some((rewrite, packet)), head, slab);
        write_payload(rewrite, packet, numbers, slab);
    }

    /// Appends a packet once more: as it was, byte for byte; or in the format for retransmissions, behind its
    /// number (RFC 4588 §4).
    pub(crate) fn write_repeat(&self, repeat: &Repeat, transport: Option<u16>, slab: &mut Vec<u8>) {
        let Repeat {
            packet,
            numbers,
            rewrite,
            rtx,
        } = repeat;
        let Some(rtx) = rtx else {
            return self.write_outgoing(rewrite, packet, *numbers, None, slab);
        };
        let head = Head {
            payload_type: rtx.payload_type,
            sequence: rtx.sequence,
            timestamp: numbers.timestamp,
            ssrc: rtx.ssrc,
            transport,
            repeats: true,
        };
        self.write_header(Some((rewrite, packet)), head, slab);
        slab.extend_from_slice(&numbers.sequence.0.to_be_bytes());
        write_payload(rewrite, packet, *numbers, slab);
    }

    /// Whether [padding](Self::write_padding) can be sent: where retransmissions have a stream of their own, and
    /// something was sent before.
    pub(crate) fn can_pad(&self) -> bool {
        self.padding_type().is_some()
    }

    fn padding_type(&self) -> Option<(SentClock, PayloadType)> {
        let (_, latest) = self.traffic.latest?;
        let payload_type = self.rtx_payload_type(latest)?;
        self.clock.map(|clock| (clock, payload_type))
    }

    /// Appends a packet that is nothing but padding, `bytes` of it, 255 at the most (RFC 3550 §5.1), as a
    /// retransmission that repeats nothing: there, a receiver misses nothing. Without effect where it
    /// [cannot](Self::can_pad).
    pub(crate) fn write_padding(
        &mut self,
        bytes: usize,
        transport: Option<u16>,
        slab: &mut Vec<u8>,
    ) {
        let (Some((clock, payload_type)), Some(rtx)) = (self.padding_type(), &mut self.rtx) else {
            return;
        };
        let rtx = rtx.next(payload_type);
        let head = Head {
            payload_type,
            sequence: rtx.sequence,
            timestamp: clock.timestamp,
            ssrc: rtx.ssrc,
            transport,
            repeats: true,
        };
        let start = slab.len();
        self.write_header(None, head, slab);
        slab[start] |= 0x20;
        let count = bytes.clamp(1, 255);
        slab.resize(slab.len() + count - 1, 0);
        slab.push(count as u8);
    }

    /// Under which payload type packets of this one are sent again, where they are so in a stream of their own.
    fn rtx_payload_type(&self, payload_type: PayloadType) -> Option<PayloadType> {
        self.rtx_ssrc?;
        let mut codecs = self.codecs.iter();
        codecs
            .find(|it| it.payload_type == payload_type)?
            .rtx_payload_type
    }

    /// Appends a header, with what is kept of the packet's own.
    fn write_header(&self, packet: Option<(&Rewrite, &RtpPacket)>, head: Head, slab: &mut Vec<u8>) {
        let start = slab.len();
        let marker = packet.is_some_and(|(_, packet)| packet.marker());
        let marker = u8::from(marker) << 7;
        slab.extend_from_slice(&[0x80, marker | head.payload_type.get()]);
        slab.extend_from_slice(&head.sequence.0.to_be_bytes());
        slab.extend_from_slice(&head.timestamp.0.to_be_bytes());
        slab.extend_from_slice(&head.ssrc.0.to_be_bytes());
        for csrc in packet.into_iter().flat_map(|(_, packet)| packet.csrcs()) {
            slab.extend_from_slice(&csrc.0.to_be_bytes());
            slab[start] += 1;
        }
        let kept = packet.into_iter().flat_map(|(rewrite, packet)| {
            let elements = packet.extensions();
            elements.filter_map(|(id, value)| Some((rewrite.element(id)?, value)))
        });
        let said = Said {
            transport: head.transport,
            playout: self.lateness.asks().filter(|_| !head.repeats),
            repeats: head.repeats,
        };
        if self.own.write(said, kept, slab) {
            slab[start] |= 0x10;
        }
    }

    /// Counts a packet that went out under these numbers. `at` is when its media was there: the
    /// arrival of a forwarded packet, or now; and `made_at`, where it is known, when it was made.
    pub(crate) fn count(
        &mut self,
        rewrite: &Rewrite,
        packet: &RtpPacket,
        numbers: Numbers,
        at: Instant,
        made_at: impl FnOnce() -> Option<Instant>,
    ) {
        self.packet_count = self.packet_count.wrapping_add(1);
        self.octet_count = self.octet_count.wrapping_add(packet.payload().len() as u32);
        self.continuity.note(numbers, at);
        if self.clock.is_none_or(|clock| clock.precedes(numbers)) {
            self.clock = Some(SentClock {
                sequence: numbers.sequence,
                timestamp: numbers.timestamp,
                at: made_at().unwrap_or(at),
                rate_hz: rewrite.clock_rate_hz,
            });
        }
    }

    /// Keeps a packet that went out, the one of this index in the batch, in case that it is lost on its way.
    pub(crate) fn keep(
        &mut self,
        batch: &RtpBatch,
        index: usize,
        rewrite: &Arc<Rewrite>,
        numbers: Numbers,
        now: Instant,
    ) {
        if let Some(retransmitter) = &mut self.retransmitter {
            retransmitter.note(batch, index, rewrite, numbers, now);
        }
    }

    /// A packet goes out that comes later than others of its stream, because it was lost on its way to us.
    pub(crate) fn note_late(&mut self, numbers: Numbers, now: Instant) {
        let overtaken_at = self
            .retransmitter
            .as_ref()
            .and_then(|it| it.sent_after(numbers.sequence, now));
        if let Some(at) = overtaken_at {
            let late = now.saturating_duration_since(at);
            self.lateness.note(late, now);
        }
    }

    /// Forgets what was kept and nobody will ask for any more.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        self.lateness.turn(now);
        if let Some(retransmitter) = &mut self.retransmitter {
            retransmitter.forget_old(now);
        }
    }

    /// Keeps nothing more, and forgets what was kept, until [`apply`](Self::apply) says that it may send.
    pub(crate) fn pause(&mut self) {
        self.retransmitter = None;
    }

    /// What is kept to be sent again, where anything is.
    pub(crate) fn retransmission_cache(&self) -> Option<RetransmissionCache> {
        self.retransmitter.as_ref().map(Retransmitter::cache)
    }

    /// The packet that was sent with this number, to be sent again.
    pub(crate) fn repeat(
        &mut self,
        sequence: SequenceNumber,
        round_trip: Duration,
        now: Instant,
    ) -> Result<Repeat, Refused> {
        let newest = self.continuity.newest().ok_or(Refused::NeverSent)?;
        let retransmitter = self.retransmitter.as_mut().ok_or(Refused::NotKept)?;
        let kept = retransmitter.take(sequence, newest, self.octet_count, round_trip, now)?;
        let late = now.saturating_duration_since(kept.sent_at);
        self.lateness.note(late, now);
        let rtx = self.next_rtx(&kept.rewrite, &kept.packet);
        Ok(Repeat {
            packet: kept.packet,
            numbers: kept.numbers,
            rewrite: kept.rewrite,
            rtx,
        })
    }

    /// A packet in the format for retransmissions, sent before or not; `None` where there is no such format.
    pub(crate) fn as_repair(
        &mut self,
        rewrite: &Arc<Rewrite>,
        packet: &RtpPacket,
        numbers: Numbers,
    ) -> Option<Repeat> {
        self.retransmitter.as_ref()?;
        let rtx = self.next_rtx(rewrite, packet)?;
        Some(Repeat {
            packet: packet.clone(),
            numbers,
            rewrite: Arc::clone(rewrite),
            rtx: Some(rtx),
        })
    }

    /// Whether a packet that has just gone out had better go once more. Only where there is a format for
    /// retransmissions: elsewhere SRTP would take the second for an attack.
    pub(crate) fn wants_second(&mut self, packet: &RtpPacket, why: Why) -> bool {
        let octets = self.octet_count;
        let retransmitter = self.retransmitter.as_mut();
        self.rtx.is_some() && retransmitter.is_some_and(|it| it.takes_second(packet, octets, why))
    }

    /// The header of the next retransmission of a packet; `None` where it goes out as it was.
    fn next_rtx(&mut self, rewrite: &Rewrite, packet: &RtpPacket) -> Option<RtxHeader> {
        let payload_type = self.rtx_payload_type(rewrite.payload_type(packet))?;
        Some(self.rtx.as_mut()?.next(payload_type))
    }

    /// Whether nothing was sent with a higher number.
    pub(crate) fn is_newest(&self, numbers: Numbers) -> bool {
        self.continuity.newest() == Some(numbers.sequence)
    }

    /// The same for statistics: a packet that took `whole` bytes before it was protected.
    pub(crate) fn count_bytes(
        &mut self,
        rewrite: &Rewrite,
        packet: &RtpPacket,
        whole: usize,
        now: Instant,
    ) {
        let payload_type = rewrite.payload_type(packet);
        self.traffic
            .count(whole, packet.payload().len(), payload_type, now);
    }

    /// The same of one that was sent again.
    pub(crate) fn count_repeat(&mut self, repeat: &Repeat, whole: usize, now: Instant) {
        let (payload_type, payload) = match &repeat.rtx {
            Some(rtx) => (rtx.payload_type, 2 + repeat.packet.payload().len()),
            None => {
                let payload_type = repeat.rewrite.payload_type(&repeat.packet);
                (payload_type, repeat.packet.payload().len())
            }
        };
        self.repeated.count(whole, payload, payload_type, now);
    }

    /// The same of one that was padding alone.
    pub(crate) fn count_padding(&mut self, whole: usize, now: Instant) {
        if let Some((_, payload_type)) = self.padding_type() {
            self.padding.count(whole, 0, payload_type, now);
        }
    }

    /// What was sent first, what was sent again, and padding.
    pub(crate) fn traffic(&self) -> [Traffic; 3] {
        [self.traffic, self.repeated, self.padding]
    }

    /// The codec of a payload type, and of the preferred one without it.
    pub(crate) fn codec_of(
        &self,
        payload_type: Option<PayloadType>,
    ) -> Option<(PayloadType, Arc<RtpCodec>)> {
        let named = |it: &&NegotiatedCodec| payload_type.is_none_or(|one| one == it.payload_type);
        let codec = self.codecs.iter().find(named)?;
        Some((codec.payload_type, Arc::clone(&codec.codec)))
    }

    /// Where retransmissions go.
    pub(crate) fn rtx_ssrc(&self) -> Option<Ssrc> {
        self.rtx_ssrc
    }

    /// A report on what was sent (RFC 3550 §6.4.1); `None` while nothing was. `ntp` is the wall
    /// time of `now`.
    pub(crate) fn report(
        &self,
        now: Instant,
        ntp: u64,
        reports: Vec<ReceptionReport>,
    ) -> Option<SenderReport> {
        Some(SenderReport {
            ssrc: self.ssrc,
            ntp,
            rtp_timestamp: self.clock?.timestamp_at(now),
            packet_count: self.packet_count,
            octet_count: self.octet_count,
            reports,
        })
    }

    pub(crate) fn packet_count(&self) -> u32 {
        self.packet_count
    }
}

/// What stands in a header before the contributing sources.
#[derive(Clone, Copy, Debug)]
struct Head {
    payload_type: PayloadType,
    sequence: SequenceNumber,
    timestamp: RtpTimestamp,
    ssrc: Ssrc,
    /// The number among all packets of the transport.
    transport: Option<u16>,
    /// In the stream of retransmissions.
    repeats: bool,
}

/// Appends the payload, with the numbers of its picture.
fn write_payload(rewrite: &Rewrite, packet: &RtpPacket, numbers: Numbers, slab: &mut Vec<u8>) {
    let start = slab.len();
    slab.extend_from_slice(packet.payload());
    if let (Some(codec), Some(pictures)) = (rewrite.pictures, numbers.pictures) {
        codec.write(pictures, &mut slab[start..]);
    }
}

/// Whether the remote side may ask for packets again.
fn answers_requests(plan: &SendPlan) -> bool {
    let mut codecs = plan.codecs.iter();
    codecs.any(|it| it.codec.feedback.contains(&RtcpFeedback::Nack))
}

impl SentClock {
    /// What the clock of the stream shows at this moment.
    fn timestamp_at(&self, now: Instant) -> RtpTimestamp {
        let since = now.saturating_duration_since(self.at);
        let until = self.at.saturating_duration_since(now);
        let timestamp = (self.timestamp.0)
            .wrapping_add(in_clock_units(since, self.rate_hz))
            .wrapping_sub(in_clock_units(until, self.rate_hz));
        RtpTimestamp(timestamp)
    }

    /// The first packet of a frame is the one least delayed by pacing; one of an older frame has been
    /// delayed by whatever made it late.
    fn precedes(&self, numbers: Numbers) -> bool {
        let ahead = numbers.sequence.distance_from(self.sequence);
        self.timestamp != numbers.timestamp && ahead.is_positive()
    }
}

impl Rewrite {
    fn payload_type(&self, packet: &RtpPacket) -> PayloadType {
        match &self.payload_types {
            PayloadTypes::One(payload_type) => *payload_type,
            PayloadTypes::Choice(all) => {
                let named = packet.payload_type();
                match all.first() {
                    Some(first) if !all.contains(&named) => *first,
                    Some(_) | None => named,
                }
            }
        }
    }

    fn element(&self, incoming: u8) -> Option<u8> {
        self.elements
            .iter()
            .find(|(from, _)| *from == incoming)
            .map(|(_, to)| *to)
    }
}

/// A forwarder switches between a handful of sources (layers, speakers); more cost a look-up
/// and an allocation.
const REMEMBERED_SOURCES: usize = 8;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;
    use webrtc_util::marshal::{Marshal, Unmarshal};

    use super::*;

    fn codec(name: &str, fmtp: &str) -> Arc<RtpCodec> {
        Arc::new(RtpCodec {
            kind: MediaKind::Video,
            name: name.to_owned(),
            clock_rate_hz: 90_000,
            channels: None,
            fmtp: fmtp.to_owned(),
            feedback: Vec::new(),
        })
    }

    fn negotiated(number: u8, codec: Arc<RtpCodec>) -> NegotiatedCodec {
        NegotiatedCodec {
            codec,
            payload_type: PayloadType::new(number).unwrap(),
            rtx_payload_type: None,
        }
    }

    fn extensions(entries: &[(u8, HeaderExtension)]) -> ExtensionMap {
        ExtensionMap {
            entries: entries.to_vec(),
            mixed: false,
        }
    }

    fn plan(extensions: ExtensionMap) -> SendPlan {
        SendPlan {
            rid: None,
            is_named: false,
            track: None,
            ssrc: Ssrc(0x1234_5678),
            rtx_ssrc: None,
            cname: "us".into(),
            codecs: vec![
                negotiated(96, codec("VP8", "")),
                negotiated(
                    98,
                    codec("H264", "packetization-mode=1;profile-level-id=42e01f"),
                ),
                negotiated(
                    100,
                    codec("H264", "packetization-mode=0;profile-level-id=42e01f"),
                ),
            ],
            extensions,
        }
    }

    fn sender(extensions: ExtensionMap) -> RtpStreamSender {
        RtpStreamSender::new(&"0".into(), &plan(extensions), 0)
    }

    fn source(codec: Arc<RtpCodec>, entries: &[(u8, HeaderExtension)]) -> Arc<RtpSource> {
        Arc::new(RtpSource {
            codec,
            extensions: extensions(entries),
        })
    }

    fn packet(number: u8) -> RtpPacket {
        RtpPacket::new(
            PayloadType::new(number).unwrap(),
            SequenceNumber(65_535),
            RtpTimestamp(0xfedc_ba98),
            Ssrc(1),
            true,
            &[1, 2, 3][..],
        )
    }

    fn sent(
        sender: &mut RtpStreamSender,
        source: Option<&Arc<RtpSource>>,
        packet: &RtpPacket,
    ) -> RtpPacket {
        let rewrite = sender.rewrite_for(source).unwrap();
        let mut slab = vec![0xee; 3];
        sender.write_outgoing(&rewrite, packet, Numbers::of(packet, None), None, &mut slab);
        assert_eq!(slab[..3], [0xee; 3]);
        RtpPacket::parse(Bytes::copy_from_slice(&slab[3..])).unwrap()
    }

    #[test]
    fn c007_sequence_timestamp_marker_and_payload_are_kept() {
        let mut sender = sender(extensions(&[(4, HeaderExtension::Mid)]));
        let source = source(codec("vp8", ""), &[(1, HeaderExtension::AudioLevel)]);
        let incoming = packet(120)
            .with_extensions(&[(1, &[7]), (9, &[8])])
            .unwrap();

        let outgoing = sent(&mut sender, Some(&source), &incoming);

        assert_eq!(outgoing.sequence_number(), SequenceNumber(65_535));
        assert_eq!(outgoing.timestamp(), RtpTimestamp(0xfedc_ba98));
        assert!(outgoing.marker());
        assert_eq!(outgoing.payload(), [1, 2, 3]);
        assert_eq!(outgoing.ssrc(), Ssrc(0x1234_5678));
        assert_eq!(outgoing.payload_type().get(), 96);
        // The audio level is not negotiated with this receiver, 9 with nobody.
        let elements: Vec<_> = outgoing.extensions().collect();
        assert_eq!(elements, [(4, &b"0"[..])]);
    }

    #[test]
    fn extensions_are_renumbered_by_uri() {
        let orientation = HeaderExtension::Other("urn:3gpp:video-orientation".to_owned());
        let mut sender = sender(extensions(&[
            (4, HeaderExtension::Mid),
            (5, orientation.clone()),
            (6, HeaderExtension::TransportWideCc),
        ]));
        let source = source(
            codec("VP8", ""),
            &[
                (1, HeaderExtension::Mid),
                (2, orientation),
                (3, HeaderExtension::TransportWideCc),
            ],
        );
        let incoming = packet(120)
            .with_extensions(&[(1, b"x"), (2, &[3]), (3, &[0, 1])])
            .unwrap();

        let outgoing = sent(&mut sender, Some(&source), &incoming);

        let elements: Vec<_> = outgoing.extensions().collect();
        assert_eq!(elements, [(4, &b"0"[..]), (5, &[3][..])]);
    }

    /// A sender whose packets have transport-wide numbers, if it does not have to repeat some as they were.
    fn counting(feedback: &[RtcpFeedback], rtx: Option<u8>) -> RtpStreamSender {
        let mut plan = plan(extensions(&[(6, HeaderExtension::TransportWideCc)]));
        let codec = Arc::make_mut(&mut plan.codecs[0].codec);
        codec.feedback = feedback.to_vec();
        plan.codecs.truncate(1);
        plan.codecs[0].rtx_payload_type = rtx.and_then(PayloadType::new);
        plan.rtx_ssrc = rtx.map(|_| Ssrc(0x9999));
        RtpStreamSender::new(&"0".into(), &plan, 0)
    }

    #[test]
    fn a_packet_has_its_number_among_all_of_the_transport_where_that_was_negotiated() {
        let mut sender = counting(&[RtcpFeedback::TransportCc], None);
        assert!(sender.counts_for_transport());
        let rewrite = sender.rewrite_for(None).unwrap();
        let mut slab = Vec::new();
        let packet = packet(96);
        let numbers = Numbers::of(&packet, None);
        sender.write_outgoing(&rewrite, &packet, numbers, Some(0x0102), &mut slab);
        let written = RtpPacket::parse(Bytes::from(slab)).unwrap();
        assert_eq!(written.extensions().collect::<Vec<_>>(), [(6, &[1, 2][..])]);
        // Without feedback, a number is for nothing.
        assert!(!counting(&[], None).counts_for_transport());
    }

    #[test]
    fn c109_a_packet_that_may_have_to_be_sent_again_as_it_was_has_no_number_of_the_transport() {
        let feedback = [RtcpFeedback::TransportCc, RtcpFeedback::Nack];
        assert!(!counting(&feedback, None).counts_for_transport());
        assert!(counting(&feedback, Some(97)).counts_for_transport());
    }

    #[test]
    fn padding_is_a_retransmission_of_nothing() {
        let feedback = [RtcpFeedback::TransportCc, RtcpFeedback::Nack];
        let mut sender = counting(&feedback, Some(97));
        assert!(!sender.can_pad(), "nothing was sent yet");
        let rewrite = sender.rewrite_for(None).unwrap();
        let (packet, now) = (packet(96), Instant::now());
        sender.count(&rewrite, &packet, Numbers::of(&packet, None), now, || None);
        sender.count_bytes(&rewrite, &packet, 20, now);
        assert!(sender.can_pad());
        for (wanted, padding) in [(1000, 255), (100, 100), (0, 1)] {
            let mut slab = Vec::new();
            sender.write_padding(wanted, Some(7), &mut slab);
            let header = 12 + 4 + 4;
            assert_eq!(slab.len(), header + padding);
            assert_eq!(slab.last(), Some(&(padding as u8)));
            let written = RtpPacket::parse(Bytes::from(slab)).unwrap();
            assert_eq!(written.ssrc(), Ssrc(0x9999));
            assert_eq!(written.payload_type().get(), 97);
            assert!(written.payload().is_empty());
        }
        let mut plain = counting(&feedback[..1], None);
        plain.count(&rewrite, &packet, Numbers::of(&packet, None), now, || None);
        plain.count_bytes(&rewrite, &packet, 20, now);
        assert!(!plain.can_pad(), "no format for retransmissions");
    }

    #[test]
    fn a_codec_is_found_by_name_and_what_changes_its_bitstream() {
        let mut sender = sender(ExtensionMap::default());
        let of = |fmtp| source(codec("h264", fmtp), &[]);
        for (fmtp, expected) in [
            ("packetization-mode=1;profile-level-id=42c015", Some(98)),
            ("profile-level-id=42e01f", Some(100)),
            ("packetization-mode=1;profile-level-id=640032", None),
        ] {
            let rewrite = sender.rewrite_for(Some(&of(fmtp)));
            let number = rewrite.map(|it| it.payload_type(&packet(1)).get());
            assert_eq!(number, expected, "{fmtp}");
        }
        assert!(
            sender
                .rewrite_for(Some(&source(codec("VP9", ""), &[])))
                .is_none()
        );
    }

    #[test]
    fn a_packet_of_the_application_chooses_among_the_negotiated_payload_types() {
        let mut sender = sender(ExtensionMap::default());
        assert_eq!(
            sent(&mut sender, None, &packet(98)).payload_type().get(),
            98
        );
        assert_eq!(sent(&mut sender, None, &packet(7)).payload_type().get(), 96);
    }

    #[test]
    fn long_elements_take_the_two_byte_form_where_it_is_allowed() {
        let long = HeaderExtension::Other("long".to_owned());
        let entries = [(4, HeaderExtension::Mid), (5, long)];
        let incoming = packet(96).with_extensions(&[(5, &[9; 17])]).unwrap();

        let mut strict = sender(extensions(&entries));
        let outgoing = sent(&mut strict, None, &incoming);
        assert_eq!(outgoing.extensions().collect::<Vec<_>>(), [(4, &b"0"[..])]);

        let mut mixing = sender(ExtensionMap {
            mixed: true,
            ..extensions(&entries)
        });
        let outgoing = sent(&mut mixing, None, &incoming);
        assert_eq!(
            outgoing.extensions().collect::<Vec<_>>(),
            [(4, &b"0"[..]), (5, &[9; 17][..])]
        );
    }

    #[test]
    fn without_elements_there_is_no_extension() {
        let mut sender = sender(ExtensionMap::default());
        let rewrite = sender.rewrite_for(None).unwrap();
        let mut slab = Vec::new();
        sender.write_outgoing(
            &rewrite,
            &packet(96),
            Numbers::of(&packet(96), None),
            None,
            &mut slab,
        );
        assert_eq!(slab.len(), 12 + 3);
        assert_eq!(slab[0], 0x80);
    }

    // A repaired packet, on its way for a round trip longer than its frame, set the clock back by as much
    // in the next report: sound and picture fell out of step.
    #[test]
    fn a_packet_that_comes_late_does_not_move_the_clock_of_reports() {
        let mut sender = sender(ExtensionMap::default());
        let rewrite = sender.rewrite_for(None).unwrap();
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        for (sequence, timestamp, at) in [(1, 0, 0), (3, 9_000, 100), (2, 0, 150)] {
            let numbers = Numbers {
                sequence: SequenceNumber(sequence),
                timestamp: RtpTimestamp(timestamp),
                pictures: None,
            };
            sender.count(&rewrite, &packet(96), numbers, after(at), || None);
        }
        let report = sender.report(after(200), 1, Vec::new()).unwrap();
        assert_eq!(report.rtp_timestamp, RtpTimestamp(18_000));
    }

    #[test]
    fn c066_a_sender_report_maps_wall_time_to_timestamps_and_counts() {
        let mut sender = sender(ExtensionMap::default());
        let start = Instant::now();
        assert_eq!(sender.report(start, 1, Vec::new()), None);
        let rewrite = sender.rewrite_for(None).unwrap();
        sender.count(
            &rewrite,
            &packet(96),
            Numbers::of(&packet(96), None),
            start,
            || None,
        );
        // A later packet of the same frame does not move the clock.
        sender.count(
            &rewrite,
            &packet(96),
            Numbers::of(&packet(96), None),
            start + Duration::from_millis(20),
            || None,
        );

        let now = start + Duration::from_millis(500);
        let report = sender
            .report(now, 0x1122_3344_5566_7788, Vec::new())
            .unwrap();

        assert_eq!(report.ssrc, Ssrc(0x1234_5678));
        assert_eq!(report.ntp, 0x1122_3344_5566_7788);
        assert_eq!(report.rtp_timestamp, RtpTimestamp(0xfedc_ba98 + 45_000));
        assert_eq!((report.packet_count, report.octet_count), (2, 6));
    }

    #[test]
    fn counts_survive_a_renegotiation_of_the_same_ssrc() {
        let mut sender = sender(ExtensionMap::default());
        let rewrite = sender.rewrite_for(None).unwrap();
        sender.count(
            &rewrite,
            &packet(96),
            Numbers::of(&packet(96), None),
            Instant::now(),
            || None,
        );
        sender.apply(&"0".into(), &plan(ExtensionMap::default()));
        assert_eq!(sender.packet_count(), 1);
        let other = SendPlan {
            ssrc: Ssrc(9),
            ..plan(ExtensionMap::default())
        };
        sender.apply(&"0".into(), &other);
        assert_eq!(sender.packet_count(), 0);
    }

    proptest! {
        #[test]
        fn the_rtp_crate_reads_what_is_written(
            mixed in any::<bool>(),
            payload in proptest::collection::vec(any::<u8>(), 1..40),
            value in proptest::collection::vec(any::<u8>(), 1..30),
        ) {
            let other = HeaderExtension::Other("x".to_owned());
            let mut sender = sender(ExtensionMap {
                mixed, ..extensions(&[(4, HeaderExtension::Mid), (5, other)])
            });
            let rewrite = sender.rewrite_for(None).unwrap();
            let incoming = RtpPacket::new(
                PayloadType::new(96).unwrap(), SequenceNumber(1), RtpTimestamp(2), Ssrc(3), false, payload.clone(),
            ).with_extensions(&[(5, &value)]).unwrap();
            let mut slab = Vec::new();
            sender.write_outgoing(&rewrite, &incoming, Numbers::of(&incoming, None), None, &mut slab);

            let theirs = rtp::packet::Packet::unmarshal(&mut &slab[..]).unwrap();
            prop_assert_eq!(&theirs.payload[..], &payload[..]);
            prop_assert_eq!(theirs.header.ssrc, 0x1234_5678);
            prop_assert_eq!(theirs.header.get_extension(4).unwrap(), Bytes::from_static(b"0"));
            let kept = theirs.header.get_extension(5);
            prop_assert_eq!(kept.as_deref(), (mixed || value.len() <= 16).then_some(&value[..]));
            let ours = RtpPacket::parse(slab.into()).unwrap();
            prop_assert_eq!(ours.payload(), &theirs.payload[..]);
            let _size = theirs.marshal().unwrap();
        }
    }
}
