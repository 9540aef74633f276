//! Writing.

use super::{
    CNAME, FullIntraRequest, Goodbye, Nack, PictureLossIndication, REMB_NAME, ReceptionReport,
    Remb, RtcpError, RtcpPacket, SenderReport, SourceDescriptionChunk, TransportCc, format,
    packet_type,
};
use crate::rtp::types::{SequenceNumber, Ssrc};

impl RtcpPacket {
    /// Appends the packet as it goes on the wire.
    ///
    /// # Errors
    ///
    /// [`RtcpError::Unwritable`] when a part is larger than its field; `into` is then as before.
    pub fn write(&self, into: &mut Vec<u8>) -> Result<(), RtcpError> {
        let start = into.len();
        let written = self.write_unfinished(into).and_then(|(kind, count)| {
            let words = (into.len() - start) / 4 - 1;
            let words = u16::try_from(words).map_err(|_| unwritable("length"))?;
            into[start..start + 2].copy_from_slice(&[0x80 | count, kind]);
            into[start + 2..start + 4].copy_from_slice(&words.to_be_bytes());
            Ok(())
        });
        if written.is_err() {
            into.truncate(start);
        }
        written
    }

    /// Appends an empty header and the body; says what belongs into the header.
    fn write_unfinished(&self, into: &mut Vec<u8>) -> Result<(u8, u8), RtcpError> {
        into.extend_from_slice(&[0; 4]);
        Ok(match self {
            Self::SenderReport(report) => {
                write_sender_report(report, into);
                let blocks = five_bits("reports", report.reports.len())?;
                (packet_type::SENDER_REPORT, blocks)
            }
            Self::ReceiverReport(report) => {
                put_ssrc(report.ssrc, into);
                write_reports(&report.reports, into);
                let blocks = five_bits("reports", report.reports.len())?;
                (packet_type::RECEIVER_REPORT, blocks)
            }
            Self::SourceDescription(chunks) => {
                write_chunks(chunks, into)?;
                let chunks = five_bits("chunks", chunks.len())?;
                (packet_type::SOURCE_DESCRIPTION, chunks)
            }
            Self::Goodbye(goodbye) => {
                write_goodbye(goodbye, into)?;
                let sources = five_bits("ssrcs", goodbye.ssrcs.len())?;
                (packet_type::GOODBYE, sources)
            }
            Self::PictureLossIndication(PictureLossIndication {
                sender_ssrc,
                media_ssrc,
            }) => {
                put_ssrc(*sender_ssrc, into);
                put_ssrc(*media_ssrc, into);
                (packet_type::PAYLOAD_FEEDBACK, format::PLI)
            }
            Self::FullIntraRequest(request) => {
                write_full_intra_request(request, into);
                (packet_type::PAYLOAD_FEEDBACK, format::FIR)
            }
            Self::Nack(nack) => {
                write_nack(nack, into);
                (packet_type::TRANSPORT_FEEDBACK, format::NACK)
            }
            Self::TransportCc(TransportCc {
                sender_ssrc,
                media_ssrc,
                body,
            }) => {
                put_ssrc(*sender_ssrc, into);
                put_ssrc(*media_ssrc, into);
                put_words(body, into)?;
                (packet_type::TRANSPORT_FEEDBACK, format::TRANSPORT_CC)
            }
            Self::Remb(remb) => {
                write_remb(remb, into)?;
                (packet_type::PAYLOAD_FEEDBACK, format::APPLICATION)
            }
            Self::ExtendedReport(report) => {
                put_ssrc(report.ssrc, into);
                for block in &report.blocks {
                    block.write(into)?;
                }
                (packet_type::EXTENDED_REPORT, 0)
            }
            Self::Other(other) => {
                put_words(&other.body, into)?;
                (
                    other.packet_type,
                    five_bits("count", usize::from(other.count))?,
                )
            }
        })
    }

    /// A source description that gives one source its canonical name (RFC 3550 §6.5.1), cut to the
    /// 255 bytes that it may have.
    pub(crate) fn canonical_name(ssrc: Ssrc, name: &str) -> SourceDescriptionChunk {
        let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
        SourceDescriptionChunk {
            ssrc,
            items: vec![(CNAME, bytes::Bytes::copy_from_slice(name))],
        }
    }
}

fn write_sender_report(report: &SenderReport, into: &mut Vec<u8>) {
    put_ssrc(report.ssrc, into);
    into.extend_from_slice(&report.ntp.to_be_bytes());
    put_u32(report.rtp_timestamp.0, into);
    put_u32(report.packet_count, into);
    put_u32(report.octet_count, into);
    write_reports(&report.reports, into);
}

fn write_reports(reports: &[ReceptionReport], into: &mut Vec<u8>) {
    for report in reports {
        put_ssrc(report.ssrc, into);
        let lost = report.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff);
        let lost = lost.cast_unsigned() & 0xff_ffff;
        put_u32(u32::from(report.fraction_lost) << 24 | lost, into);
        put_u32(report.extended_highest_sequence, into);
        put_u32(report.jitter, into);
        put_u32(report.last_sender_report, into);
        put_u32(report.delay_since_last_sender_report, into);
    }
}

fn write_chunks(chunks: &[SourceDescriptionChunk], into: &mut Vec<u8>) -> Result<(), RtcpError> {
    for chunk in chunks {
        let start = into.len();
        put_ssrc(chunk.ssrc, into);
        for (kind, text) in &chunk.items {
            if *kind == 0 {
                return Err(unwritable("item type"));
            }
            into.push(*kind);
            put_text("item", text, into)?;
        }
        // At least one zero ends the items.
        let length = (into.len() - start + 1).next_multiple_of(4);
        into.resize(start + length, 0);
    }
    Ok(())
}

fn write_goodbye(goodbye: &Goodbye, into: &mut Vec<u8>) -> Result<(), RtcpError> {
    for ssrc in &goodbye.ssrcs {
        put_ssrc(*ssrc, into);
    }
    if !goodbye.reason.is_empty() {
        let start = into.len();
        put_text("reason", &goodbye.reason, into)?;
        into.resize(start + (into.len() - start).next_multiple_of(4), 0);
    }
    Ok(())
}

fn write_full_intra_request(request: &FullIntraRequest, into: &mut Vec<u8>) {
    put_ssrc(request.sender_ssrc, into);
    // The media source of the header is not used (RFC 5104 §4.3.1.2).
    put_u32(0, into);
    for (ssrc, command) in &request.requests {
        put_ssrc(*ssrc, into);
        into.extend_from_slice(&[*command, 0, 0, 0]);
    }
}

/// Numbers that follow each other within sixteen share a word.
fn write_nack(nack: &Nack, into: &mut Vec<u8>) {
    put_ssrc(nack.sender_ssrc, into);
    put_ssrc(nack.media_ssrc, into);
    let mut word: Option<(SequenceNumber, u16)> = None;
    for number in &nack.lost {
        match &mut word {
            Some((first, following)) if (1..=16).contains(&number.distance_from(*first)) => {
                *following |= 1 << (number.distance_from(*first) - 1);
            }
            Some((first, _)) if number == first => {}
            Some(_) | None => {
                put_nack_word(word, into);
                word = Some((*number, 0));
            }
        }
    }
    put_nack_word(word, into);
}

fn put_nack_word(word: Option<(SequenceNumber, u16)>, into: &mut Vec<u8>) {
    if let Some((first, following)) = word {
        into.extend_from_slice(&first.0.to_be_bytes());
        into.extend_from_slice(&following.to_be_bytes());
    }
}

fn write_remb(remb: &Remb, into: &mut Vec<u8>) -> Result<(), RtcpError> {
    put_ssrc(remb.sender_ssrc, into);
    put_u32(0, into);
    into.extend_from_slice(&REMB_NAME);
    let count = u8::try_from(remb.ssrcs.len()).map_err(|_| unwritable("ssrcs"))?;
    // 18 bits are left of the bitrate, rounded down.
    let exponent = (u64::BITS - remb.bitrate_bps.leading_zeros()).saturating_sub(18);
    let mantissa = (remb.bitrate_bps >> exponent) as u32;
    put_u32(u32::from(count) << 24 | exponent << 18 | mantissa, into);
    for ssrc in &remb.ssrcs {
        put_ssrc(*ssrc, into);
    }
    Ok(())
}

pub(super) fn put_ssrc(ssrc: Ssrc, into: &mut Vec<u8>) {
    put_u32(ssrc.0, into);
}

pub(super) fn put_u32(word: u32, into: &mut Vec<u8>) {
    into.extend_from_slice(&word.to_be_bytes());
}

fn put_text(part: &'static str, text: &[u8], into: &mut Vec<u8>) -> Result<(), RtcpError> {
    into.push(u8::try_from(text.len()).map_err(|_| unwritable(part))?);
    into.extend_from_slice(text);
    Ok(())
}

fn put_words(words: &[u8], into: &mut Vec<u8>) -> Result<(), RtcpError> {
    if !words.len().is_multiple_of(4) {
        return Err(unwritable("body"));
    }
    into.extend_from_slice(words);
    Ok(())
}

fn five_bits(part: &'static str, count: usize) -> Result<u8, RtcpError> {
    u8::try_from(count)
        .ok()
        .filter(|count| *count < 32)
        .ok_or_else(|| unwritable(part))
}

pub(super) fn unwritable(part: &'static str) -> RtcpError {
    RtcpError::Unwritable { part }
}
