//! The streams that have been heard.

use std::collections::HashMap;
use std::time::Instant;

use crate::rtp::layers::LayerMeter;
use crate::rtp::nack::MissingPackets;
use crate::rtp::receiver::RtpStreamReceiver;
use crate::rtp::remote_clock::{MediaTime, RemoteClock};
use crate::rtp::round_trip::MeasuredTrips;
use crate::rtp::rtcp::SenderReport;
use crate::rtp::traffic::{SenderReportSeen, Traffic};
use crate::rtp::types::{Rid, Ssrc};

/// One SSRC that has been heard.
#[derive(Debug)]
pub(crate) struct RtpStream {
    /// Index among the sections of the current plan.
    pub(super) section: usize,
    /// A packet named the section itself; nothing weaker moves the stream elsewhere.
    pub(super) named_its_section: bool,
    pub(crate) rid: Option<Rid>,
    pub(super) is_repair: bool,
    last_heard: u64,
    pub(crate) statistics: RtpStreamReceiver,
    /// What is to be asked for, where that was negotiated.
    pub(crate) missing: MissingPackets,
    pub(crate) traffic: Traffic,
    pub(crate) layers: LayerMeter,
    /// The remote side's last report on it.
    pub(super) report: Option<SenderReportSeen>,
    /// What its sender has answered.
    pub(crate) round_trips: MeasuredTrips,
}

/// What one packet said of its stream.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) section: usize,
    pub(super) named: bool,
    pub(super) rid: Option<Rid>,
    pub(super) is_repair: bool,
}

impl RtpStream {
    /// The remote side reports on what it sent.
    pub(crate) fn handle_sender_report(&mut self, report: &SenderReport, received_at: Instant) {
        self.statistics
            .handle_sender_report(report.ntp, received_at);
        self.report = Some(SenderReportSeen {
            ntp: report.ntp,
            rtp_timestamp: report.rtp_timestamp,
            packet_count: report.packet_count,
            octet_count: report.octet_count,
            received_at,
            reports: self.report.map_or(0, |before| before.reports) + 1,
        });
    }

    /// What the remote side's last report says of the time of the stream.
    pub(crate) fn media_time(&self, clock: &RemoteClock) -> Option<MediaTime> {
        let report = self.report?;
        clock.media_time(report.ntp, report.rtp_timestamp)
    }
}

/// So many at most: a new one takes the place of the one that has been silent longest.
#[derive(Debug)]
pub(super) struct StreamTable {
    streams: HashMap<Ssrc, RtpStream>,
    limit: usize,
    /// How many had to go for others.
    pub(super) forgotten: u64,
    /// Counts packets, to know who has been silent longest.
    tick: u64,
}

impl StreamTable {
    /// So many streams, and one at least.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            streams: HashMap::new(),
            limit: limit.max(1),
            forgotten: 0,
            tick: 0,
        }
    }

    pub(super) fn hear(&mut self, ssrc: Ssrc, heard: Heard) -> &mut RtpStream {
        self.tick += 1;
        if self.streams.len() >= self.limit && !self.streams.contains_key(&ssrc) {
            self.forget_the_most_silent();
        }
        let stream = self.streams.entry(ssrc).or_insert_with(|| RtpStream {
            section: heard.section,
            named_its_section: false,
            rid: None,
            is_repair: heard.is_repair,
            last_heard: 0,
            statistics: RtpStreamReceiver::new(ssrc),
            missing: MissingPackets::default(),
            traffic: Traffic::default(),
            layers: LayerMeter::default(),
            report: None,
            round_trips: MeasuredTrips::default(),
        });
        stream.last_heard = self.tick;
        stream.section = heard.section;
        stream.named_its_section |= heard.named;
        stream.is_repair = heard.is_repair;
        if stream.rid != heard.rid {
            stream.rid = heard.rid;
        }
        stream
    }

    pub(super) fn get(&self, ssrc: Ssrc) -> Option<&RtpStream> {
        self.streams.get(&ssrc)
    }

    pub(super) fn get_mut(&mut self, ssrc: Ssrc) -> Option<&mut RtpStream> {
        self.streams.get_mut(&ssrc)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Ssrc, &RtpStream)> {
        self.streams.iter().map(|(ssrc, stream)| (*ssrc, stream))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Ssrc, &mut RtpStream)> {
        self.streams
            .iter_mut()
            .map(|(ssrc, stream)| (*ssrc, stream))
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&mut RtpStream) -> bool) {
        self.streams.retain(|_, stream| keep(stream));
    }

    /// The one heard last of those that match.
    pub(super) fn latest(&self, matches: impl Fn(&RtpStream) -> bool) -> Option<Ssrc> {
        self.streams
            .iter()
            .filter(|(_, stream)| matches(stream))
            .max_by_key(|(_, stream)| stream.last_heard)
            .map(|(ssrc, _)| *ssrc)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.streams.len()
    }

    fn forget_the_most_silent(&mut self) {
        let silent = self
            .streams
            .iter()
            .min_by_key(|(_, stream)| stream.last_heard)
            .map(|(ssrc, _)| *ssrc);
        if let Some(ssrc) = silent {
            self.streams.remove(&ssrc);
            self.forgotten += 1;
        }
    }
}
