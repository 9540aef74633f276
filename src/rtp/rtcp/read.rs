//! Reading: a walk that checks every length before it looks at what is there.

use bytes::{Buf, Bytes};

use super::{
    ExtendedReport, ExtendedReportBlock, FullIntraRequest, Goodbye, Nack, OtherRtcp,
    PictureLossIndication, REMB_NAME, ReceiverReport, ReceptionReport, Remb, RtcpError, RtcpPacket,
    SenderReport, SourceDescriptionChunk, TransportCc, format, packet_type,
};
use crate::rtp::types::{RtpTimestamp, SequenceNumber, Ssrc};

impl RtcpPacket {
    /// Reads the packets of one datagram, in their order.
    ///
    /// A packet whose contents do not fit its type is handed over unread, as
    /// [`RtcpPacket::Other`], so that it does not take its neighbours with it.
    ///
    /// # Errors
    ///
    /// [`RtcpError`] when lengths, version or padding are wrong: then nothing of the datagram can
    /// be believed (RFC 3550, A.2).
    pub fn parse_compound(datagram: &Bytes) -> Result<Vec<Self>, RtcpError> {
        let mut packets = Vec::new();
        let mut offset = 0;
        if datagram.is_empty() {
            return Err(RtcpError::Truncated { offset });
        }
        while offset < datagram.len() {
            let frame = Frame::read(datagram, offset)?;
            offset = frame.end;
            packets.push(frame.into_packet());
        }
        Ok(packets)
    }
}

/// One packet, its limits checked.
struct Frame {
    packet_type: u8,
    count: u8,
    /// After the header, without padding.
    body: Bytes,
    end: usize,
}

impl Frame {
    fn read(datagram: &Bytes, offset: usize) -> Result<Self, RtcpError> {
        let head = datagram[offset..]
            .first_chunk::<HEADER_BYTES>()
            .ok_or(RtcpError::Truncated { offset })?;
        let version = head[0] >> 6;
        if version != 2 {
            return Err(RtcpError::Version { version });
        }
        let words = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let start = offset + HEADER_BYTES;
        let end = start + 4 * words;
        if end > datagram.len() {
            return Err(RtcpError::Truncated { offset });
        }
        let mut body_end = end;
        if head[0] & 0x20 != 0 {
            // RFC 3550 §6.4.1 has it in the last packet of a compound one only, but others pad transport-wide feedback
            // wherever it stands.
            let padding = datagram[start..end].last().copied().unwrap_or(0);
            let padding = usize::from(padding);
            if padding == 0 || padding > end - start {
                return Err(RtcpError::Padding { offset });
            }
            body_end -= padding;
        }
        Ok(Self {
            packet_type: head[1],
            count: head[0] & 0x1f,
            body: datagram.slice(start..body_end),
            end,
        })
    }

    fn into_packet(self) -> RtcpPacket {
        let mut body = Reader(self.body.clone());
        let packet = match (self.packet_type, self.count) {
            (packet_type::SENDER_REPORT, count) => sender_report(&mut body, count),
            (packet_type::RECEIVER_REPORT, count) => receiver_report(&mut body, count),
            (packet_type::SOURCE_DESCRIPTION, count) => source_description(&mut body, count),
            (packet_type::GOODBYE, count) => goodbye(&mut body, count),
            (packet_type::TRANSPORT_FEEDBACK, format::NACK) => nack(&mut body),
            (packet_type::TRANSPORT_FEEDBACK, format::TRANSPORT_CC) => transport_cc(&mut body),
            (packet_type::PAYLOAD_FEEDBACK, format::PLI) => picture_loss_indication(&mut body),
            (packet_type::PAYLOAD_FEEDBACK, format::FIR) => full_intra_request(&mut body),
            (packet_type::PAYLOAD_FEEDBACK, format::APPLICATION) => remb(&mut body),
            (packet_type::EXTENDED_REPORT, _) => extended_report(&mut body),
            _ => None,
        };
        packet.unwrap_or(RtcpPacket::Other(OtherRtcp {
            packet_type: self.packet_type,
            count: self.count,
            body: self.body,
        }))
    }
}

fn sender_report(body: &mut Reader, count: u8) -> Option<RtcpPacket> {
    Some(RtcpPacket::SenderReport(SenderReport {
        ssrc: body.ssrc()?,
        ntp: u64::from(body.u32()?) << 32 | u64::from(body.u32()?),
        rtp_timestamp: RtpTimestamp(body.u32()?),
        packet_count: body.u32()?,
        octet_count: body.u32()?,
        reports: reception_reports(body, count)?,
    }))
}

fn receiver_report(body: &mut Reader, count: u8) -> Option<RtcpPacket> {
    Some(RtcpPacket::ReceiverReport(ReceiverReport {
        ssrc: body.ssrc()?,
        reports: reception_reports(body, count)?,
    }))
}

fn reception_reports(body: &mut Reader, count: u8) -> Option<Vec<ReceptionReport>> {
    (0..count).map(|_| reception_report(body)).collect()
}

fn reception_report(body: &mut Reader) -> Option<ReceptionReport> {
    let ssrc = body.ssrc()?;
    let loss = body.u32()?;
    Some(ReceptionReport {
        ssrc,
        fraction_lost: (loss >> 24) as u8,
        // 24 bits with sign: up to the top and back.
        cumulative_lost: (loss << 8).cast_signed() >> 8,
        extended_highest_sequence: body.u32()?,
        jitter: body.u32()?,
        last_sender_report: body.u32()?,
        delay_since_last_sender_report: body.u32()?,
    })
}

/// Chunks are padded to words with zeros, of which at least one ends the items (RFC 3550 §6.5).
fn source_description(body: &mut Reader, count: u8) -> Option<RtcpPacket> {
    let mut chunks = Vec::new();
    for _ in 0..count {
        let before = body.remaining();
        let ssrc = body.ssrc()?;
        let mut items = Vec::new();
        loop {
            let kind = body.u8()?;
            if kind == 0 {
                break;
            }
            let length = body.u8()?;
            items.push((kind, body.bytes(usize::from(length))?));
        }
        let used = before - body.remaining();
        body.bytes(used.next_multiple_of(4) - used)?;
        chunks.push(SourceDescriptionChunk { ssrc, items });
    }
    Some(RtcpPacket::SourceDescription(chunks))
}

fn goodbye(body: &mut Reader, count: u8) -> Option<RtcpPacket> {
    let ssrcs = (0..count).map(|_| body.ssrc()).collect::<Option<_>>()?;
    let reason = match body.u8() {
        Some(length) => body.bytes(usize::from(length))?,
        None => Bytes::new(),
    };
    Some(RtcpPacket::Goodbye(Goodbye { ssrcs, reason }))
}

/// RFC 4585 §6.2.1: a number, and one bit for each of the sixteen after it.
fn nack(body: &mut Reader) -> Option<RtcpPacket> {
    let (sender_ssrc, media_ssrc) = (body.ssrc()?, body.ssrc()?);
    let mut lost = Vec::new();
    while body.remaining() > 0 {
        let (first, following) = (SequenceNumber(body.u16()?), body.u16()?);
        lost.push(first);
        lost.extend(
            (0..16)
                .filter(|bit| following >> bit & 1 == 1)
                .map(|bit| first.plus(bit + 1)),
        );
    }
    Some(RtcpPacket::Nack(Nack {
        sender_ssrc,
        media_ssrc,
        lost,
    }))
}

fn transport_cc(body: &mut Reader) -> Option<RtcpPacket> {
    Some(RtcpPacket::TransportCc(TransportCc {
        sender_ssrc: body.ssrc()?,
        media_ssrc: body.ssrc()?,
        body: body.rest(),
    }))
}

fn picture_loss_indication(body: &mut Reader) -> Option<RtcpPacket> {
    Some(RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: body.ssrc()?,
        media_ssrc: body.ssrc()?,
    }))
}

fn full_intra_request(body: &mut Reader) -> Option<RtcpPacket> {
    let (sender_ssrc, _unused) = (body.ssrc()?, body.ssrc()?);
    let mut requests = Vec::new();
    while body.remaining() > 0 {
        requests.push((body.ssrc()?, body.u8()?));
        let _reserved = body.bytes(3)?;
    }
    Some(RtcpPacket::FullIntraRequest(FullIntraRequest {
        sender_ssrc,
        requests,
    }))
}

/// draft-alvestrand-rmcat-remb-03 §2.2.
fn remb(body: &mut Reader) -> Option<RtcpPacket> {
    let (sender_ssrc, _unused) = (body.ssrc()?, body.ssrc()?);
    if body.bytes(REMB_NAME.len())? != REMB_NAME[..] {
        return None;
    }
    let word = body.u32()?;
    let (count, exponent, mantissa) = (word >> 24, word >> 18 & 0x3f, word & 0x3_ffff);
    let bitrate = u128::from(mantissa) << exponent;
    Some(RtcpPacket::Remb(Remb {
        sender_ssrc,
        bitrate_bps: u64::try_from(bitrate).unwrap_or(u64::MAX),
        ssrcs: (0..count).map(|_| body.ssrc()).collect::<Option<_>>()?,
    }))
}

/// Blocks of a type that is not known are skipped over by their length (RFC 3611 §3).
fn extended_report(body: &mut Reader) -> Option<RtcpPacket> {
    let ssrc = body.ssrc()?;
    let mut blocks = Vec::new();
    while body.remaining() > 0 {
        blocks.push(ExtendedReportBlock::read(body)?);
    }
    Some(RtcpPacket::ExtendedReport(ExtendedReport { ssrc, blocks }))
}

/// Takes from the front; `None` when there is not enough.
pub(super) struct Reader(Bytes);

impl Reader {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub(super) fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        (!self.0.is_empty()).then(|| self.0.get_u8())
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        (self.0.len() >= 2).then(|| self.0.get_u16())
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        (self.0.len() >= 4).then(|| self.0.get_u32())
    }

    pub(super) fn ssrc(&mut self) -> Option<Ssrc> {
        self.u32().map(Ssrc)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<Bytes> {
        (self.0.len() >= length).then(|| self.0.split_to(length))
    }

    pub(super) fn rest(&mut self) -> Bytes {
        self.0.split_off(0)
    }
}

/// Version to length (RFC 3550 §6.4.1).
const HEADER_BYTES: usize = 4;
