//! What has been heard, for statistics.

use std::sync::Arc;

use super::{Meaning, RtpDemuxer, RtpStream, Section};
use crate::codec::RtpCodec;
use crate::rtp::round_trip::MeasuredTrips;
use crate::rtp::simulcast::Received;
use crate::rtp::traffic::{SenderReportSeen, Traffic};
use crate::rtp::types::{Mid, PayloadType, Rid, Ssrc};
use crate::track::{MediaKind, TrackId};

/// One stream of media that has been heard.
#[derive(Clone, Debug)]
pub(crate) struct HeardStream {
    pub(crate) ssrc: Ssrc,
    pub(crate) track: TrackId,
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    /// Of the latest packet.
    pub(crate) codec: Arc<RtpCodec>,
    pub(crate) payload_type: PayloadType,
    pub(crate) traffic: Traffic,
    /// Fewer than nothing where duplicates came.
    pub(crate) lost: i64,
    /// In units of the codec's clock.
    pub(crate) jitter: f64,
    pub(crate) report: Option<SenderReportSeen>,
    /// What its sender has answered.
    pub(crate) round_trips: MeasuredTrips,
    /// Its retransmissions.
    pub(crate) repair: Option<(Ssrc, Traffic)>,
}

impl RtpDemuxer {
    /// Every stream of media that has been heard, with its retransmissions, in the order of their SSRCs.
    pub(crate) fn heard(&self) -> Vec<HeardStream> {
        let (repairs, media): (Vec<_>, Vec<_>) =
            self.streams.iter().partition(|(_, it)| it.is_repair);
        let mut heard: Vec<_> = media
            .into_iter()
            .filter_map(|(ssrc, stream)| self.heard_stream(ssrc, stream))
            .collect();
        for (ssrc, stream) in repairs {
            let original = self.find_original(ssrc, stream.section, stream.rid.as_ref());
            let repaired = heard.iter_mut().find(|it| Some(it.ssrc) == original);
            if let Some(repaired) = repaired {
                repaired.repair = Some((ssrc, stream.traffic));
            }
        }
        heard.sort_by_key(|it| it.ssrc);
        heard
    }

    /// The tracks of pictures, each with the names of its encodings.
    pub(crate) fn pictures(&self) -> impl Iterator<Item = (TrackId, &[Rid])> {
        let is_video = |section: &&Section| {
            let source = section.sources.first();
            source.is_some_and(|(_, source)| source.codec.kind == MediaKind::Video)
        };
        let pictures = self.sections.iter().filter(is_video);
        pictures.map(|section| (section.track, &section.rids[..]))
    }

    /// What has come of one encoding of a track, without what was repeated.
    pub(crate) fn received(&self, track: TrackId, rid: Option<&Rid>) -> Received {
        let mut received = Received::default();
        for (_, stream) in self.streams.iter() {
            let section = self.sections.get(stream.section);
            let is_it = section.is_some_and(|section| section.track == track)
                && stream.rid.as_ref() == rid
                && !stream.is_repair;
            if is_it {
                let traffic = &stream.traffic;
                received.payload_bytes += traffic.payload_bytes;
                received.bytes += traffic.payload_bytes + traffic.header_bytes;
                received.layers.add_all(stream.layers.bytes());
            }
        }
        received
    }

    fn heard_stream(&self, ssrc: Ssrc, stream: &RtpStream) -> Option<HeardStream> {
        let section = self.sections.get(stream.section)?;
        let (_, payload_type) = stream.traffic.latest?;
        let Some(Meaning::Media { codec }) = section.meaning(payload_type) else {
            return None;
        };
        Some(HeardStream {
            ssrc,
            track: section.track,
            mid: section.mid.clone(),
            rid: stream.rid.clone(),
            codec: Arc::clone(&section.sources[codec].1.codec),
            payload_type,
            traffic: stream.traffic,
            lost: stream.statistics.lost(),
            jitter: stream.statistics.jitter(),
            report: stream.report,
            round_trips: stream.round_trips,
            repair: None,
        })
    }
}
