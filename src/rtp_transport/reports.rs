//! Compound RTCP packets: reports, names, goodbye (RFC 3550 §6, RFC 8108 §5.3).

use std::sync::Arc;

use super::outbox::Outbox;
use super::stats::MediaStats;
use crate::rtp::{
    Goodbye, ReceiverReport, ReceptionReport, RtcpPacket, SenderReport, SourceDescriptionChunk,
    Ssrc,
};
use crate::srtp::Protector;

/// Who speaks: an SSRC of ours and its canonical name.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    pub(super) ssrc: Ssrc,
    pub(super) cname: Arc<str>,
}

impl Speaker {
    fn chunk(&self) -> SourceDescriptionChunk {
        RtcpPacket::canonical_name(self.ssrc, &self.cname)
    }

    /// What stands before feedback: an empty report, and a name.
    fn introduction(&self) -> [RtcpPacket; 2] {
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
    pub(super) fn receiver_reports(&self, blocks: &[ReceptionReport]) -> Vec<Report> {
        let report = |blocks: &[ReceptionReport]| {
            Report::Receiver(ReceiverReport {
                ssrc: self.ssrc,
                reports: blocks.to_vec(),
            })
        };
        blocks.chunks(MAX_BLOCKS).map(report).collect()
    }
}

/// What a compound packet may begin with.
#[derive(Debug)]
pub(super) enum Report {
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

/// Puts RTCP into the outbox, protected.
pub(super) struct RtcpWriter<'a> {
    pub(super) protector: &'a mut Protector,
    pub(super) outbox: &'a mut Outbox,
    pub(super) stats: &'a mut MediaStats,
}

impl RtcpWriter<'_> {
    /// Sends reports, each with who makes it, in as few datagrams as they fit. Each datagram begins
    /// with a report and has the name of everyone who speaks in it (§6.1).
    pub(super) fn write_reports(&mut self, reports: Vec<(Report, Speaker)>) {
        let mut packets = Vec::new();
        let mut names: Vec<SourceDescriptionChunk> = Vec::new();
        let mut bytes = 0;
        for (report, speaker) in reports {
            let more = report.wire_bytes() + CHUNK_BYTES + speaker.cname.len();
            let full = bytes + more > MAX_COMPOUND_BYTES || names.len() == MAX_BLOCKS;
            if full && !packets.is_empty() {
                packets.push(RtcpPacket::SourceDescription(std::mem::take(&mut names)));
                self.write(&packets);
                packets.clear();
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
            self.write(&packets);
        }
    }

    /// Sends feedback: alone where reduced size was negotiated (RFC 5506), else behind an empty
    /// report.
    pub(super) fn write_feedback(
        &mut self,
        feedback: Vec<RtcpPacket>,
        speaker: &Speaker,
        reduced_size: bool,
    ) {
        let mut packets = Vec::new();
        if !reduced_size {
            packets.extend(speaker.introduction());
        }
        packets.extend(feedback);
        self.write(&packets);
    }

    /// Sends packets that are written already, behind an empty report where that is missing.
    pub(super) fn write_encoded(&mut self, encoded: &[u8], speaker: Option<&Speaker>) {
        let mut head = Vec::new();
        if let Some(speaker) = speaker {
            head.extend(speaker.introduction());
        }
        self.append(&head, encoded);
    }

    /// Says that these sources leave (§6.6).
    pub(super) fn write_goodbye(&mut self, leaving: &[Ssrc], speaker: &Speaker) {
        for ssrcs in leaving.chunks(MAX_BLOCKS) {
            let goodbye = RtcpPacket::Goodbye(Goodbye {
                ssrcs: ssrcs.to_vec(),
                reason: bytes::Bytes::new(),
            });
            self.write_feedback(vec![goodbye], speaker, false);
        }
    }

    fn write(&mut self, packets: &[RtcpPacket]) {
        self.append(packets, &[]);
    }

    fn append(&mut self, packets: &[RtcpPacket], encoded: &[u8]) {
        let protector = &mut *self.protector;
        let outcome = self.outbox.append(|slab, start| {
            for packet in packets {
                packet.write(slab).map_err(|_| Unsendable)?;
            }
            slab.extend_from_slice(encoded);
            protector.protect_rtcp(slab, start).map_err(|_| Unsendable)
        });
        if outcome.is_err() {
            self.stats.protect_failed += 1;
        }
    }
}

/// Not written, for a reason that only the count tells.
struct Unsendable;

/// What five bits count (§6.4.1).
pub(super) const MAX_BLOCKS: usize = 31;

/// A source description chunk, but for the name: SSRC, type, length, end and padding, and the header.
const CHUNK_BYTES: usize = 16;

/// Leaves room for the tag within the smallest MTU of the internet, 1280 bytes.
const MAX_COMPOUND_BYTES: usize = 1100;
