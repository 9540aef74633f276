//! Compound RTCP packets: reports, names, goodbye (RFC 3550 §6, RFC 8108 §5.3).
//!
//! A compound is a list of packets that make one datagram.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::rtcp::{
    ExtendedReport, ExtendedReportBlock, Goodbye, ReceiverReport, ReceptionReport, RtcpPacket,
    SenderReport, SourceDescriptionChunk,
};
use super::types::Ssrc;

/// Who speaks: an SSRC of ours and its canonical name.
#[derive(Clone, Debug)]
pub(crate) struct Speaker {
    pub(crate) ssrc: Ssrc,
    pub(crate) cname: Arc<str>,
}

impl Speaker {
    fn chunk(&self) -> SourceDescriptionChunk {
        RtcpPacket::canonical_name(self.ssrc, &self.cname)
    }

    /// What stands before feedback: an empty report, and a name.
    pub(crate) fn introduction(&self) -> [RtcpPacket; 2] {
        let report = ReceiverReport {
            ssrc: self.ssrc,
            reports: Vec::new(),
        };
        [
            RtcpPacket::ReceiverReport(report),
            RtcpPacket::SourceDescription(vec![self.chunk()]),
        ]
    }

    /// Receiver reports with all these blocks.
    pub(crate) fn receiver_reports(&self, blocks: &[ReceptionReport]) -> Vec<Report> {
        let report = |blocks: &[ReceptionReport]| {
            Report::Receiver(ReceiverReport {
                ssrc: self.ssrc,
                reports: blocks.to_vec(),
            })
        };
        blocks.chunks(MAX_BLOCKS).map(report).collect()
    }

    /// Feedback: alone where reduced size was negotiated (RFC 5506), else behind an empty report.
    pub(crate) fn feedback(
        &self,
        feedback: impl IntoIterator<Item = RtcpPacket>,
        reduced_size: bool,
    ) -> Vec<RtcpPacket> {
        let introduction = (!reduced_size).then(|| self.introduction());
        let introduction = introduction.into_iter().flatten();
        introduction.chain(feedback).collect()
    }

    /// Says that these sources leave (§6.6).
    pub(crate) fn goodbye(&self, leaving: &[Ssrc]) -> Vec<Vec<RtcpPacket>> {
        let goodbye = |ssrcs: &[Ssrc]| {
            let goodbye = Goodbye {
                ssrcs: ssrcs.to_vec(),
                reason: Bytes::new(),
            };
            self.feedback([RtcpPacket::Goodbye(goodbye)], false)
        };
        leaving.chunks(MAX_BLOCKS).map(goodbye).collect()
    }
}

/// What a compound packet may begin with.
#[derive(Debug)]
pub(crate) enum Report {
    Sender(SenderReport),
    Receiver(ReceiverReport),
}

impl Report {
    /// RFC 3550 §6.4.
    fn wire_bytes(&self) -> usize {
        match self {
            Self::Sender(report) => 28 + 24 * report.reports.len(),
            Self::Receiver(report) => 8 + 24 * report.reports.len(),
        }
    }
}

impl From<Report> for RtcpPacket {
    fn from(report: Report) -> Self {
        match report {
            Report::Sender(report) => Self::SenderReport(report),
            Report::Receiver(report) => Self::ReceiverReport(report),
        }
    }
}

/// Reports, each with who makes it, in as few compounds as they fit. Each begins with a report
/// and has the name of everyone who speaks in it (§6.1).
///
/// The last one carries what `speaker` says besides (RFC 3611).
pub(crate) fn compound_reports(
    reports: Vec<(Report, Speaker)>,
    speaker: &Speaker,
    extended: Vec<ExtendedReportBlock>,
) -> Vec<Vec<RtcpPacket>> {
    let mut compounds = Vec::new();
    let mut packets = Vec::new();
    let mut names: Vec<SourceDescriptionChunk> = Vec::new();
    let mut bytes = 0;
    for (report, speaker) in reports {
        let more = report.wire_bytes() + CHUNK_BYTES + speaker.cname.len();
        let full = bytes + more > MAX_COMPOUND_BYTES || names.len() == MAX_BLOCKS;
        if full && !packets.is_empty() {
            packets.push(RtcpPacket::SourceDescription(mem::take(&mut names)));
            compounds.push(mem::take(&mut packets));
            bytes = 0;
        }
        bytes += more;
        packets.push(report.into());
        if names.iter().all(|chunk| chunk.ssrc != speaker.ssrc) {
            names.push(speaker.chunk());
        }
    }
    if !packets.is_empty() {
        packets.push(RtcpPacket::SourceDescription(names));
        compounds.push(packets);
    }
    if let Some(last) = compounds.last_mut().filter(|_| !extended.is_empty()) {
        last.push(RtcpPacket::ExtendedReport(ExtendedReport {
            ssrc: speaker.ssrc,
            blocks: extended,
        }));
    }
    compounds
}

/// What five bits count (§6.4.1).
pub(crate) const MAX_BLOCKS: usize = 31;

/// A source description chunk, but for the name: SSRC, type, length, end and padding, and the header.
const CHUNK_BYTES: usize = 16;

/// Leaves room for an extended report and the tag within the smallest MTU of the internet, 1280 bytes.
const MAX_COMPOUND_BYTES: usize = 1100;
