//! Session descriptions with meaning: typed attributes over the lines that the crate `sdp` reads,
//! and the text that is written from them (RFC 8866, RFC 9429 §5).

mod attributes;
mod formats;
mod guard;
mod parse;
mod write;

use std::fmt;

use super::direction::RtpTransceiverDirection;
use super::error::MediaLine;
use crate::codec::RtpCodec;
use crate::dtls::Fingerprint;
use crate::rtp::{HeaderExtension, Mid, PayloadType, Rid, Ssrc};
use crate::track::{MediaKind, StreamId};

/// A whole description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) session_id: u64,
    pub(crate) session_version: u64,
    /// `a=group:BUNDLE`, as many as there are.
    pub(crate) bundles: Vec<Vec<Mid>>,
    pub(crate) ice_lite: bool,
    pub(crate) extmap_allow_mixed: bool,
    pub(crate) sections: Vec<Section>,
}

/// One m-line and what belongs to it. What stands at session level counts for every one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The first word, as it stands.
    pub(crate) media: String,
    /// `None`: not RTP, or not of a kind or over a transport that is known here.
    pub(crate) kind: Option<MediaKind>,
    /// For example `UDP/TLS/RTP/SAVPF`, as it stands.
    pub(crate) protocol: String,
    /// The format list, as it stands.
    pub(crate) formats: Vec<String>,
    /// Port 0 without `a=bundle-only` (RFC 9143 §6).
    pub(crate) rejected: bool,
    pub(crate) bundle_only: bool,
    pub(crate) mid: Option<Mid>,
    pub(crate) direction: RtpTransceiverDirection,
    pub(crate) transport: TransportAttributes,
    pub(crate) rtcp_mux: bool,
    pub(crate) rtcp_rsize: bool,
    /// `a=rtcp-xr` with `rcvr-rtt` (RFC 3611 §5.1).
    pub(crate) receiver_round_trip: bool,
    /// At this level; the whole description may say so too.
    pub(crate) extmap_allow_mixed: bool,
    /// In the order of the format list.
    pub(crate) codecs: Vec<SectionCodec>,
    pub(crate) extensions: Vec<SectionExtension>,
    pub(crate) msids: Vec<Msid>,
    pub(crate) sources: Vec<Source>,
    /// `(primary, retransmission)` of each `a=ssrc-group:FID`.
    pub(crate) flows: Vec<(Ssrc, Ssrc)>,
    pub(crate) rids: Vec<RidLine>,
    pub(crate) simulcast: Option<Simulcast>,
}

/// What an m-line says of ICE and DTLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TransportAttributes {
    pub(crate) ice_ufrag: Option<String>,
    pub(crate) ice_pwd: Option<String>,
    pub(crate) fingerprints: Vec<Fingerprint>,
    pub(crate) setup: Option<Setup>,
    /// `candidate:…`, unread.
    pub(crate) candidates: Vec<String>,
    pub(crate) end_of_candidates: bool,
}

/// `a=setup` (RFC 4145 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    ActPass,
    Active,
    Passive,
    /// `holdconn`, or a word that nobody knows.
    Other,
}

/// One format of the list with all that is said of it. Its retransmissions are a part of it, not
/// a format of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SectionCodec {
    pub(crate) codec: RtpCodec,
    pub(crate) payload_type: PayloadType,
    pub(crate) rtx_payload_type: Option<PayloadType>,
}

/// One `a=extmap`; the direction is that of the side that wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SectionExtension {
    pub(crate) id: u8,
    pub(crate) direction: RtpTransceiverDirection,
    pub(crate) extension: HeaderExtension,
}

/// One `a=msid` (RFC 8830).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Msid {
    /// `None`: `-`.
    pub(crate) stream: Option<StreamId>,
    pub(crate) track: Option<String>,
}

/// One source that `a=ssrc` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) ssrc: Ssrc,
    pub(crate) cname: Option<String>,
}

/// One `a=rid` (RFC 8851).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RidLine {
    pub(crate) rid: Rid,
    /// The side that wrote it sends this encoding.
    pub(crate) send: bool,
    /// Empty, or `pt=…;max-width=…`.
    pub(crate) restrictions: String,
}

/// `a=simulcast` (RFC 8853), the first alternative of each encoding.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Simulcast {
    pub(crate) send: Vec<Rid>,
    pub(crate) recv: Vec<Rid>,
    /// Those of both that begin paused.
    pub(crate) paused: Vec<Rid>,
}

impl Description {
    /// The place of an m-line by its mid.
    pub(crate) fn position(&self, mid: &Mid) -> Option<usize> {
        self.sections
            .iter()
            .position(|section| section.mid.as_ref() == Some(mid))
    }

    /// The m-line by its mid.
    pub(crate) fn section(&self, mid: &Mid) -> Option<&Section> {
        self.sections
            .iter()
            .find(|section| section.mid.as_ref() == Some(mid))
    }

    /// The m-line whose transport all share: the first of the BUNDLE group that is not rejected
    /// (RFC 9143 §7.2.1), or the only one.
    pub(crate) fn tagged(&self) -> Option<usize> {
        let bundled = self.bundles.iter().flatten().filter_map(|mid| {
            self.position(mid)
                .filter(|&index| !self.sections[index].rejected)
        });
        bundled
            .into_iter()
            .next()
            .or_else(|| self.sections.iter().position(|section| !section.rejected))
    }

    /// Whether one-byte and two-byte header extensions may alternate in this m-line of the
    /// description (RFC 8285 §6). Firefox says so in each, Chromium for all.
    pub(crate) fn allows_mixed(&self, section: &Section) -> bool {
        self.extmap_allow_mixed || section.extmap_allow_mixed
    }

    /// Names an m-line in an error.
    pub(crate) fn line(&self, index: usize) -> MediaLine {
        MediaLine {
            index,
            mid: self.sections.get(index).and_then(|s| s.mid.clone()),
        }
    }
}

impl Section {
    /// The SSRCs that carry media, retransmissions left out.
    pub(crate) fn primary_ssrcs(&self) -> Vec<Ssrc> {
        let is_rtx = |ssrc| self.flows.iter().any(|&(_, rtx)| rtx == ssrc);
        let ssrcs = self.sources.iter().map(|source| source.ssrc);
        ssrcs.filter(|&ssrc| !is_rtx(ssrc)).collect()
    }
}

impl Setup {
    fn from_word(word: &str) -> Self {
        match word {
            "actpass" => Self::ActPass,
            "active" => Self::Active,
            "passive" => Self::Passive,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Other => "holdconn",
        })
    }
}
