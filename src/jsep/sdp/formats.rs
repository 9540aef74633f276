//! The codecs of an m-line: `a=rtpmap`, `a=fmtp` and `a=rtcp-fb`, put together by payload type.

use super::SectionCodec;
use super::attributes::is_graphic;
use crate::codec::{RtcpFeedback, RtpCodec};
use crate::rtp::PayloadType;
use crate::track::MediaKind;

/// What the attributes say of each payload type, by number.
pub(super) struct Formats {
    entries: [Entry; 128],
    feedback_for_all: Vec<RtcpFeedback>,
}

#[derive(Clone, Default)]
struct Entry {
    map: Option<Map>,
    fmtp: Option<String>,
    feedback: Vec<RtcpFeedback>,
}

#[derive(Clone)]
struct Map {
    name: String,
    clock_rate_hz: u32,
    channels: Option<u8>,
}

impl Formats {
    pub(super) fn new() -> Self {
        let mut formats = Self {
            entries: std::array::from_fn(|_| Entry::default()),
            feedback_for_all: Vec::new(),
        };
        // RFC 3551 §6: these need no a=rtpmap.
        for (number, name) in [(0, "PCMU"), (8, "PCMA"), (9, "G722")] {
            formats.entries[number].map = Some(Map {
                name: name.to_owned(),
                clock_rate_hz: 8000,
                channels: None,
            });
        }
        formats
    }

    /// Unreadable values say nothing: their payload types stay unknown.
    pub(super) fn rtpmap(&mut self, value: &str) {
        if let Some((entry, text)) = self.entry(value) {
            entry.map = map(text);
        }
    }

    pub(super) fn fmtp(&mut self, value: &str) {
        if let Some((entry, text)) = self.entry(value) {
            entry.fmtp = Some(text.to_owned());
        }
    }

    pub(super) fn rtcp_fb(&mut self, value: &str) {
        let feedback = match value.strip_prefix("* ") {
            Some(text) => RtcpFeedback::from_words(text).map(|f| (&mut self.feedback_for_all, f)),
            None => self.entry(value).and_then(|(entry, text)| {
                RtcpFeedback::from_words(text).map(|f| (&mut entry.feedback, f))
            }),
        };
        if let Some((list, feedback)) = feedback
            && !list.contains(&feedback)
        {
            list.push(feedback);
        }
    }

    /// The entry of the payload type that the value begins with, and the rest of the value.
    fn entry<'a>(&mut self, value: &'a str) -> Option<(&mut Entry, &'a str)> {
        let (number, text) = value.split_once(' ')?;
        let number: usize = number.parse().ok()?;
        Some((self.entries.get_mut(number)?, text.trim()))
    }

    /// The codecs of the list, in its order.
    pub(super) fn into_codecs(self, kind: MediaKind, list: &[String]) -> Vec<SectionCodec> {
        let rtx = self.rtx_by_apt(list);
        let mut seen = [false; 128];
        let mut codecs = Vec::new();
        for number in listed(list) {
            let index = usize::from(number.get());
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            if let Some(codec) = self.codec(kind, index) {
                codecs.push(SectionCodec {
                    codec,
                    payload_type: number,
                    rtx_payload_type: rtx[index],
                });
            }
        }
        codecs
    }

    fn codec(&self, kind: MediaKind, index: usize) -> Option<RtpCodec> {
        let entry = &self.entries[index];
        let map = entry.map.as_ref().filter(|map| !map.is_rtx())?;
        let mut feedback = entry.feedback.clone();
        for general in &self.feedback_for_all {
            if !feedback.contains(general) {
                feedback.push(general.clone());
            }
        }
        Some(RtpCodec {
            kind,
            name: map.name.clone(),
            clock_rate_hz: map.clock_rate_hz,
            channels: map.channels,
            fmtp: entry.fmtp.clone().unwrap_or_default(),
            feedback,
        })
    }

    /// The retransmission format of each payload type (RFC 4588 §8.6).
    fn rtx_by_apt(&self, list: &[String]) -> [Option<PayloadType>; 128] {
        let mut rtx = [None; 128];
        for number in listed(list) {
            let entry = &self.entries[usize::from(number.get())];
            if !entry.map.as_ref().is_some_and(Map::is_rtx) {
                continue;
            }
            let apt = entry.fmtp.as_deref().and_then(apt);
            if let Some(slot) = apt.and_then(|apt| rtx.get_mut(apt)) {
                slot.get_or_insert(number);
            }
        }
        rtx
    }
}

impl Map {
    fn is_rtx(&self) -> bool {
        self.name.eq_ignore_ascii_case("rtx")
    }
}

/// Payload types of the format list; those that look like RTCP are passed over (RFC 5761 §4).
fn listed(list: &[String]) -> impl Iterator<Item = PayloadType> {
    list.iter()
        .filter_map(|format| PayloadType::new(format.parse().ok()?))
        .filter(|number| !(64..96).contains(&number.get()))
}

/// `opus/48000/2`.
fn map(text: &str) -> Option<Map> {
    let mut parts = text.split('/');
    let name = parts
        .next()
        .filter(|name| !name.is_empty() && is_graphic(name))?;
    let clock_rate_hz = parts.next()?.parse().ok().filter(|&rate: &u32| rate > 0)?;
    let channels = match parts.next() {
        Some(channels) => Some(channels.parse().ok()?),
        None => None,
    };
    Some(Map {
        name: name.to_owned(),
        clock_rate_hz,
        channels,
    })
}

fn apt(fmtp: &str) -> Option<usize> {
    let parameter = |text: &str| text.trim().strip_prefix("apt=")?.trim().parse().ok();
    fmtp.split(';').find_map(parameter)
}
