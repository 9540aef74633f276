//! Which m-line, track and encoding a packet belongs to (RFC 9143 §9.2, RFC 8852, RFC 4588).

mod heard;
mod streams;

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

pub(crate) use self::heard::HeardStream;
pub(crate) use self::streams::RtpStream;
use self::streams::{Heard, StreamTable};
use super::batch::RtpSource;
use super::extension::{HeaderExtension, read_token};
use super::packet::RtpPacket;
use super::types::{Mid, PayloadType, Rid, Ssrc};
use crate::codec::RtpCodec;
use crate::jsep::{MediaPlan, ReceivePlan};
use crate::track::{MediaKind, TrackId};

/// Finds the place of every packet, and learns from those that say where they belong.
#[derive(Debug)]
pub(crate) struct RtpDemuxer {
    sections: Vec<Section>,
    /// Identifiers that stand for MID, RID and repaired RID in any section: normally one each,
    /// since all sections of a bundle share them (RFC 9143 §7.1).
    mid_ids: Vec<u8>,
    rid_ids: Vec<u8>,
    repaired_rid_ids: Vec<u8>,
    /// What the remote description says of SSRCs.
    declared: HashMap<Ssrc, Declared>,
    streams: StreamTable,
}

/// Where a packet belongs.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    pub(crate) track: TrackId,
    pub(crate) rid: Option<&'a Rid>,
    pub(crate) source: &'a Arc<RtpSource>,
    /// The packet repeats one of this SSRC and payload type (RFC 4588).
    pub(crate) repairs: Option<(Ssrc, PayloadType)>,
    pub(crate) stream: &'a mut RtpStream,
}

/// Why a packet has no place. All of them are counted drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DemuxError {
    #[error("its mid belongs to no m-line that receives")]
    UnknownMid,
    #[error("its ssrc was announced under another mid")]
    SsrcOfAnotherMid,
    #[error("its rid is not one of the m-line's, or it should have one")]
    UnknownRid,
    #[error("its payload type is not negotiated for the m-line")]
    UnknownPayloadType,
    #[error("neither mid nor ssrc nor payload type leads to one m-line")]
    Unmatched,
    #[error("it repeats packets of a stream that was never heard")]
    UnknownOriginal,
}

#[derive(Clone, Debug)]
struct Section {
    mid: Mid,
    track: TrackId,
    rids: Vec<Rid>,
    /// The encodings name themselves in the packets.
    has_rid_extension: bool,
    payload_types: Vec<(PayloadType, Meaning)>,
    /// One for each codec of the plan, with the payload type of its media.
    sources: Vec<(PayloadType, Arc<RtpSource>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// Media of the codec of this index.
    Media { codec: usize },
    /// Retransmissions of it.
    Repair { codec: usize },
}

#[derive(Clone, Copy, Debug)]
struct Declared {
    section: usize,
    /// For a stream of retransmissions: what it repeats.
    repairs: Option<Ssrc>,
}

impl RtpDemuxer {
    /// Something is known of so many streams at a time.
    pub(crate) fn new(streams: usize) -> Self {
        Self {
            sections: Vec::new(),
            mid_ids: Vec::new(),
            rid_ids: Vec::new(),
            repaired_rid_ids: Vec::new(),
            declared: HashMap::new(),
            streams: StreamTable::new(streams),
        }
    }

    /// How many streams were forgotten for others.
    pub(crate) fn forgotten(&self) -> u64 {
        self.streams.forgotten
    }

    /// Takes over a new plan. Streams of m-lines that are still there stay known.
    pub(crate) fn apply(&mut self, plan: &MediaPlan) {
        let before = mem::take(&mut self.sections);
        self.declared.clear();
        self.mid_ids.clear();
        self.rid_ids.clear();
        self.repaired_rid_ids.clear();
        for section in &plan.sections {
            let Some(receive) = &section.receive else {
                continue;
            };
            self.declare(self.sections.len(), receive);
            remember(&mut self.mid_ids, receive, &HeaderExtension::Mid);
            remember(&mut self.rid_ids, receive, &HeaderExtension::Rid);
            remember(
                &mut self.repaired_rid_ids,
                receive,
                &HeaderExtension::RepairedRid,
            );
            self.sections.push(Section::new(&section.mid, receive));
        }
        let sections = &self.sections;
        self.streams.retain(|stream| {
            let mid = &before[stream.section].mid;
            let now = sections.iter().position(|it| it.mid == *mid);
            stream.section = now.unwrap_or(stream.section);
            now.is_some()
        });
    }

    fn declare(&mut self, section: usize, receive: &ReceivePlan) {
        let media = receive.ssrcs.iter().map(|ssrc| (*ssrc, None));
        let repairs = receive.rtx_ssrcs.iter().map(|(rtx, of)| (*rtx, Some(*of)));
        for (ssrc, repairs) in media.chain(repairs) {
            self.declared.insert(ssrc, Declared { section, repairs });
        }
    }

    /// Finds the place of a packet.
    ///
    /// # Errors
    ///
    /// [`DemuxError`] when there is none; the packet is to be dropped and counted.
    pub(crate) fn route(&mut self, packet: &RtpPacket) -> Result<Route<'_>, DemuxError> {
        let (section, named) = self.find_section(packet)?;
        let place = &self.sections[section];
        let meaning = place
            .meaning(packet.payload_type())
            .ok_or(DemuxError::UnknownPayloadType)?;
        let mut rid = self.find_rid(packet, section, meaning)?;
        let (codec, repairs) = match meaning {
            Meaning::Media { codec } => (codec, None),
            Meaning::Repair { codec } => {
                let original = self
                    .find_original(packet.ssrc(), section, rid.as_ref())
                    .ok_or(DemuxError::UnknownOriginal)?;
                let heard = self.streams.get(original);
                rid = rid.or_else(|| heard.and_then(|it| it.rid.clone()));
                (codec, Some((original, place.sources[codec].0)))
            }
        };
        let heard = Heard {
            section,
            named,
            rid,
            is_repair: repairs.is_some(),
        };
        let stream = self.streams.hear(packet.ssrc(), heard);
        let place = &self.sections[section];
        Ok(Route {
            track: place.track,
            // In the plan's words: the stream itself is lent for its statistics.
            rid: stream
                .rid
                .as_ref()
                .and_then(|rid| place.rids.iter().find(|known| *known == rid)),
            source: &place.sources[codec].1,
            repairs,
            stream,
        })
    }

    /// The m-line of a packet, and whether the packet names it itself.
    fn find_section(&self, packet: &RtpPacket) -> Result<(usize, bool), DemuxError> {
        let stream = self.streams.get(packet.ssrc());
        if let Some(mid) = token(packet, &self.mid_ids) {
            return match stream {
                Some(stream) if self.sections[stream.section].mid.as_str() == mid => {
                    Ok((stream.section, true))
                }
                Some(stream) if stream.named_its_section => Err(DemuxError::SsrcOfAnotherMid),
                Some(_) | None => {
                    let section = self.section(mid).ok_or(DemuxError::UnknownMid)?;
                    Ok((section, true))
                }
            };
        }
        if let Some(stream) = stream {
            return Ok((stream.section, false));
        }
        if let Some(declared) = self.declared.get(&packet.ssrc()) {
            return Ok((declared.section, false));
        }
        let mut candidates = (0..self.sections.len()).filter(|index| {
            self.sections[*index]
                .meaning(packet.payload_type())
                .is_some()
        });
        match (candidates.next(), candidates.next()) {
            (Some(only), None) => Ok((only, false)),
            (Some(_), Some(_)) | (None, _) => Err(DemuxError::Unmatched),
        }
    }

    fn section(&self, mid: &str) -> Option<usize> {
        self.sections.iter().position(|it| it.mid.as_str() == mid)
    }

    /// The encoding of a packet; `None` where the m-line has only one.
    fn find_rid(
        &self,
        packet: &RtpPacket,
        index: usize,
        meaning: Meaning,
    ) -> Result<Option<Rid>, DemuxError> {
        let section = &self.sections[index];
        if section.rids.is_empty() {
            return Ok(None);
        }
        let ids = match meaning {
            Meaning::Media { .. } => &self.rid_ids,
            Meaning::Repair { .. } => &self.repaired_rid_ids,
        };
        if let Some(named) = token(packet, ids) {
            let rid = section.rids.iter().find(|rid| rid.as_str() == named);
            return rid.cloned().map(Some).ok_or(DemuxError::UnknownRid);
        }
        if let Some(stream) = self.streams.get(packet.ssrc())
            && stream.section == index
            && stream.rid.is_some()
        {
            return Ok(stream.rid.clone());
        }
        match meaning {
            // Its original tells.
            Meaning::Repair { .. } => Ok(None),
            Meaning::Media { .. } if section.has_rid_extension => Err(DemuxError::UnknownRid),
            Meaning::Media { .. } => Ok(None),
        }
    }

    /// The stream whose packets `ssrc` repeats: as declared, by the encoding, or the only one
    /// that there is.
    fn find_original(&self, ssrc: Ssrc, section: usize, rid: Option<&Rid>) -> Option<Ssrc> {
        if let Some(declared) = self.declared.get(&ssrc) {
            return declared.repairs;
        }
        if rid.is_none() && !self.sections[section].rids.is_empty() {
            return None;
        }
        self.streams
            .latest(|it| it.section == section && !it.is_repair && it.rid.as_ref() == rid)
    }

    /// The SSRCs under which the encodings of this track arrive, or the one of `rid`: those heard
    /// last, or else the one that the description names.
    pub(crate) fn media_ssrcs(&self, track: TrackId, rid: Option<&Rid>) -> Vec<Ssrc> {
        let Some(index) = self.sections.iter().position(|it| it.track == track) else {
            return Vec::new();
        };
        let heard = |wanted: Option<&Rid>| {
            self.streams
                .latest(|it| it.section == index && !it.is_repair && it.rid.as_ref() == wanted)
        };
        match rid {
            Some(rid) => heard(Some(rid)).into_iter().collect(),
            None if !self.sections[index].rids.is_empty() => {
                let rids = self.sections[index].rids.iter();
                rids.filter_map(|rid| heard(Some(rid))).collect()
            }
            None => heard(None)
                .or_else(|| self.declared_ssrc(index))
                .into_iter()
                .collect(),
        }
    }

    /// Sound or pictures, by what was negotiated for a remote track.
    pub(crate) fn kind_of(&self, track: TrackId) -> Option<MediaKind> {
        let section = self.sections.iter().find(|it| it.track == track)?;
        section.sources.first().map(|(_, source)| source.codec.kind)
    }

    /// The codec that this stream was heard in last, or the preferred one of its m-line before it was heard.
    pub(crate) fn codec_of(&self, ssrc: Ssrc) -> Option<&RtpCodec> {
        let stream = self.streams.get(ssrc);
        let section = match stream {
            Some(stream) => stream.section,
            None => self.declared.get(&ssrc)?.section,
        };
        let sources = &self.sections[section].sources;
        let heard = stream.and_then(|stream| stream.traffic.latest);
        let is_heard = |(known, _): &&(PayloadType, _)| heard.is_some_and(|(_, it)| it == *known);
        let (_, source) = sources.iter().find(is_heard).or_else(|| sources.first())?;
        Some(&source.codec)
    }

    fn declared_ssrc(&self, section: usize) -> Option<Ssrc> {
        self.declared
            .iter()
            .filter(|(_, it)| it.section == section && it.repairs.is_none())
            .map(|(ssrc, _)| *ssrc)
            .min()
    }

    /// The track that packets of this SSRC belong to.
    pub(crate) fn track_of(&self, ssrc: Ssrc) -> Option<TrackId> {
        let section = match self.streams.get(ssrc) {
            Some(stream) => Some(stream.section),
            None => self.declared.get(&ssrc).map(|it| it.section),
        };
        section.map(|index| self.sections[index].track)
    }

    /// The same, and which of its encodings they are of.
    pub(crate) fn place_of(&self, ssrc: Ssrc) -> Option<(TrackId, Option<Rid>)> {
        let rid = self.streams.get(ssrc).and_then(|it| it.rid.clone());
        Some((self.track_of(ssrc)?, rid))
    }

    /// The stream of this SSRC, if it has been heard.
    pub(crate) fn stream_mut(&mut self, ssrc: Ssrc) -> Option<&mut RtpStream> {
        self.streams.get_mut(ssrc)
    }

    /// All streams that have been heard.
    pub(crate) fn streams_mut(&mut self) -> impl Iterator<Item = (Ssrc, &mut RtpStream)> {
        self.streams.iter_mut()
    }
}

impl Section {
    fn new(mid: &Mid, receive: &ReceivePlan) -> Self {
        let mut payload_types = Vec::new();
        for (codec, negotiated) in receive.codecs.iter().enumerate() {
            payload_types.push((negotiated.payload_type, Meaning::Media { codec }));
            if let Some(rtx) = negotiated.rtx_payload_type {
                payload_types.push((rtx, Meaning::Repair { codec }));
            }
        }
        Self {
            mid: mid.clone(),
            track: receive.track,
            rids: receive.rids.clone(),
            has_rid_extension: receive.extensions.id(&HeaderExtension::Rid).is_some(),
            payload_types,
            sources: receive
                .codecs
                .iter()
                .map(|negotiated| {
                    let source = RtpSource {
                        codec: Arc::clone(&negotiated.codec),
                        extensions: receive.extensions.clone(),
                    };
                    (negotiated.payload_type, Arc::new(source))
                })
                .collect(),
        }
    }

    fn meaning(&self, payload_type: PayloadType) -> Option<Meaning> {
        self.payload_types
            .iter()
            .find(|(known, _)| *known == payload_type)
            .map(|(_, meaning)| *meaning)
    }
}

fn remember(ids: &mut Vec<u8>, receive: &ReceivePlan, extension: &HeaderExtension) {
    if let Some(id) = receive.extensions.id(extension)
        && !ids.contains(&id)
    {
        ids.push(id);
    }
}

/// The text that the packet carries under one of these identifiers.
fn token<'a>(packet: &'a RtpPacket, ids: &[u8]) -> Option<&'a str> {
    ids.iter()
        .find_map(|id| packet.extension(*id))
        .and_then(read_token)
}

#[cfg(test)]
mod tests;
