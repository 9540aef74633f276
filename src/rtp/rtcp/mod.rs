//! RTCP packets: our own types, a reader that checks every length, a writer
//! (RFC 3550 §6, RFC 3611, RFC 4585, RFC 5104).

mod extended;
mod read;
mod write;

use bytes::Bytes;

use super::types::{RtpTimestamp, SequenceNumber, Ssrc};

/// One RTCP packet. Several travel together as a compound packet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RtcpPacket {
    /// What a sender has sent, and what it has received (RFC 3550 §6.4.1).
    SenderReport(SenderReport),
    /// What a receiver has received (RFC 3550 §6.4.2).
    ReceiverReport(ReceiverReport),
    /// Who the sources are (RFC 3550 §6.5).
    SourceDescription(Vec<SourceDescriptionChunk>),
    /// Sources that leave (RFC 3550 §6.6).
    Goodbye(Goodbye),
    /// The picture is damaged, a keyframe is wanted (RFC 4585 §6.3.1).
    PictureLossIndication(PictureLossIndication),
    /// A keyframe is wanted, damage or not (RFC 5104 §4.3.1).
    FullIntraRequest(FullIntraRequest),
    /// Packets that did not arrive (RFC 4585 §6.2.1).
    Nack(Nack),
    /// Arrival times of packets with transport-wide numbers.
    TransportCc(TransportCc),
    /// The bitrate that a receiver believes it can take (draft-alvestrand-rmcat-remb).
    Remb(Remb),
    /// What a report has no room for (RFC 3611).
    ExtendedReport(ExtendedReport),
    /// Any other packet, unread.
    Other(OtherRtcp),
}

impl RtcpPacket {
    /// Whether it asks for a keyframe: a picture loss indication or a full intra request.
    pub fn asks_for_keyframe(&self) -> bool {
        matches!(
            self,
            Self::PictureLossIndication(_) | Self::FullIntraRequest(_)
        )
    }

    /// The answers to receivers' reference times in it, each with who answers.
    pub(crate) fn last_receiver_reports(
        &self,
    ) -> impl Iterator<Item = (Ssrc, &LastReceiverReport)> {
        let report = match self {
            Self::ExtendedReport(report) => Some(report),
            Self::SenderReport(_)
            | Self::ReceiverReport(_)
            | Self::SourceDescription(_)
            | Self::Goodbye(_)
            | Self::PictureLossIndication(_)
            | Self::FullIntraRequest(_)
            | Self::Nack(_)
            | Self::TransportCc(_)
            | Self::Remb(_)
            | Self::Other(_) => None,
        };
        report.into_iter().flat_map(|report| {
            let answers = report.blocks.iter().flat_map(|block| match block {
                ExtendedReportBlock::LastReceiverReports(answers) => answers.as_slice(),
                ExtendedReportBlock::ReceiverReferenceTime(_) | ExtendedReportBlock::Other(_) => {
                    &[]
                }
            });
            answers.map(|answer| (report.ssrc, answer))
        })
    }

    /// What it says of how sources are received; nothing unless it is a report.
    pub(crate) fn reception_reports(&self) -> &[ReceptionReport] {
        match self {
            Self::SenderReport(report) => &report.reports,
            Self::ReceiverReport(report) => &report.reports,
            Self::SourceDescription(_)
            | Self::Goodbye(_)
            | Self::PictureLossIndication(_)
            | Self::FullIntraRequest(_)
            | Self::Nack(_)
            | Self::TransportCc(_)
            | Self::Remb(_)
            | Self::ExtendedReport(_)
            | Self::Other(_) => &[],
        }
    }
}

/// Why bytes are not RTCP (the sender's fault), or why a packet cannot be written (the caller's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcpError {
    /// Nothing, or a packet that is longer than what is left of the datagram.
    #[error("rtcp packet at byte {offset} reaches beyond the datagram")]
    Truncated {
        /// Where the packet begins.
        offset: usize,
    },
    /// Not version 2.
    #[error("rtcp version {version} instead of 2")]
    Version {
        /// The version that it names.
        version: u8,
    },
    /// Padding that is not there.
    #[error("rtcp packet at byte {offset} has wrong padding")]
    Padding {
        /// Where the packet begins.
        offset: usize,
    },
    /// More than 31 blocks, chunks or sources, a text of more than 255 bytes, or a body that is
    /// too long or no multiple of four bytes.
    #[error("{part} of an rtcp packet cannot be written")]
    Unwritable {
        /// What does not fit.
        part: &'static str,
    },
}

/// Body of a sender report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SenderReport {
    /// The sender.
    pub ssrc: Ssrc,
    /// Wall time of the report in NTP form: seconds since 1900 in the upper 32 bits.
    pub ntp: u64,
    /// The same moment on the clock of the packets.
    pub rtp_timestamp: RtpTimestamp,
    /// Packets sent so far; wraps.
    pub packet_count: u32,
    /// Payload bytes sent so far; wraps.
    pub octet_count: u32,
    /// What it has received from others.
    pub reports: Vec<ReceptionReport>,
}

/// Body of a receiver report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverReport {
    /// The reporter.
    pub ssrc: Ssrc,
    /// What it has received.
    pub reports: Vec<ReceptionReport>,
}

/// How one source is received (RFC 3550 §6.4.1, report block).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceptionReport {
    /// The source that is reported on.
    pub ssrc: Ssrc,
    /// Loss since the last report, in 1/256.
    pub fraction_lost: u8,
    /// Lost packets so far; 24 bits, negative when duplicates came.
    pub cumulative_lost: i32,
    /// Highest sequence number received, with the count of wraps in the upper 16 bits.
    pub extended_highest_sequence: u32,
    /// Jitter of arrival in units of the packets' clock.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 without one.
    pub last_sender_report: u32,
    /// Time since that report came, in 1/65 536 s.
    pub delay_since_last_sender_report: u32,
}

/// What is said of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDescriptionChunk {
    /// The source.
    pub ssrc: Ssrc,
    /// `(type, text)`; type 1 is the canonical name.
    pub items: Vec<(u8, Bytes)>,
}

/// Body of a goodbye.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goodbye {
    /// The sources that leave.
    pub ssrcs: Vec<Ssrc>,
    /// Why; empty without a reason.
    pub reason: Bytes,
}

/// Body of a picture loss indication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureLossIndication {
    /// Who asks.
    pub sender_ssrc: Ssrc,
    /// Whose picture is damaged.
    pub media_ssrc: Ssrc,
}

/// Body of a full intra request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullIntraRequest {
    /// Who asks.
    pub sender_ssrc: Ssrc,
    /// `(source, command number)`; a repeated request repeats its number.
    pub requests: Vec<(Ssrc, u8)>,
}

/// Body of a generic NACK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Who misses packets.
    pub sender_ssrc: Ssrc,
    /// Whose packets.
    pub media_ssrc: Ssrc,
    /// Which packets.
    pub lost: Vec<SequenceNumber>,
}

/// Transport-wide congestion control feedback
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01), its statuses unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportCc {
    /// Who reports.
    pub sender_ssrc: Ssrc,
    /// Some source of the transport.
    pub media_ssrc: Ssrc,
    /// From the base sequence number on.
    pub body: Bytes,
}

/// Body of a receiver estimated maximum bitrate message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remb {
    /// Who estimates.
    pub sender_ssrc: Ssrc,
    /// For all sources together.
    pub bitrate_bps: u64,
    /// The sources.
    pub ssrcs: Vec<Ssrc>,
}

/// Body of an extended report (RFC 3611 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedReport {
    /// The reporter.
    pub ssrc: Ssrc,
    /// What it reports.
    pub blocks: Vec<ExtendedReportBlock>,
}

/// One block of an extended report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtendedReportBlock {
    /// The reporter's wall time in NTP form, from one that may send nothing else it could be answered by (RFC 3611 §4.4).
    ReceiverReferenceTime(u64),
    /// The answers to such times (RFC 3611 §4.5).
    LastReceiverReports(Vec<LastReceiverReport>),
    /// Any other block, unread.
    Other(OtherBlock),
}

/// The answer to one receiver reference time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastReceiverReport {
    /// Whose time it was.
    pub ssrc: Ssrc,
    /// Middle 32 bits of the NTP time that it told; 0 without one.
    pub last_receiver_report: u32,
    /// Time since it came, in 1/65 536 s.
    pub delay_since_last_receiver_report: u32,
}

/// A block of an extended report that this crate does not read: of another type, or with contents that do not
/// fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherBlock {
    /// Block type (RFC 3611 §6.2).
    pub block_type: u8,
    /// The byte after it, which means something else for each type.
    pub type_specific: u8,
    /// What follows the length; a multiple of four bytes.
    pub body: Bytes,
}

/// An RTCP packet that this crate does not read: of an unknown type, or with contents that do not
/// fit its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherRtcp {
    /// RTCP packet type, 192 to 223.
    pub packet_type: u8,
    /// The five bits of count or format.
    pub count: u8,
    /// What follows the first four bytes, without padding; a multiple of four bytes.
    pub body: Bytes,
}

/// Packet types (RFC 3550 §12.1, RFC 4585 §6.1).
mod packet_type {
    pub(super) const SENDER_REPORT: u8 = 200;
    pub(super) const RECEIVER_REPORT: u8 = 201;
    pub(super) const SOURCE_DESCRIPTION: u8 = 202;
    pub(super) const GOODBYE: u8 = 203;
    pub(super) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(super) const PAYLOAD_FEEDBACK: u8 = 206;
    pub(super) const EXTENDED_REPORT: u8 = 207;
}

/// Feedback formats (RFC 4585 §6.2, §6.3, RFC 5104 §4.3; 15 is used without a standard).
mod format {
    pub(super) const NACK: u8 = 1;
    pub(super) const TRANSPORT_CC: u8 = 15;
    pub(super) const PLI: u8 = 1;
    pub(super) const FIR: u8 = 4;
    pub(super) const APPLICATION: u8 = 15;
}

/// Blocks of extended reports (RFC 3611 §4.4, §4.5).
mod block_type {
    pub(super) const RECEIVER_REFERENCE_TIME: u8 = 4;
    pub(super) const LAST_RECEIVER_REPORTS: u8 = 5;
}

/// Type of the canonical name among source description items (RFC 3550 §6.5.1).
const CNAME: u8 = 1;

/// First word of a REMB body (draft-alvestrand-rmcat-remb-03 §2.2).
const REMB_NAME: [u8; 4] = *b"REMB";

#[cfg(test)]
mod tests;
