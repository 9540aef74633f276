//! Making offers (RFC 9429 §5.2).

use super::description::SdpType;
use super::direction::RtpTransceiverDirection;
use super::encodings::{announce, ask_again, names_encodings};
use super::machine::{Created, Jsep};
use super::matching::preferred;
use super::sdp::{
    Description, Msid, Section, SectionCodec, SectionExtension, Setup, Source, TransportAttributes,
};
use super::transceiver::{Transceiver, TransceiverId};
use crate::configuration::MediaConfiguration;
use crate::ice::IceParameters;
use crate::rtp::{Mid, Rid};

/// The offer of all transceivers as they are now: m-lines that exist keep their place, rejected
/// ones are used again, new ones follow.
///
/// A rejected m-line in front of all that are in use stays empty. Chromium takes the first m-line
/// in use, whatever the order of the BUNDLE group, for the one whose transport all share; a
/// newcomer there has none yet, and its answer fails or comes with new ICE credentials.
pub(super) fn build(jsep: &Jsep, ice: IceParameters) -> Created {
    let mut mids = FreeMids::new(jsep);
    let mut newcomers = jsep
        .transceivers
        .iter()
        .filter(|t| t.mid.is_none() && !t.stopping && !t.stopped);
    let before = lines_before(jsep);
    let in_use = |section| owner(jsep, section).is_some_and(|t| !t.stopping && !t.stopped);
    let first_in_use = before.iter().position(in_use).unwrap_or(0);
    let mut lines: Vec<(Section, Option<TransceiverId>)> = Vec::new();
    for (index, before) in before.iter().enumerate() {
        let owner = owner(jsep, before);
        let id = owner.map(|owner| owner.id);
        lines.push(match owner {
            Some(owner) if owner.stopping || owner.stopped => (rejected(before), id),
            Some(owner) => {
                let mid = before.mid.clone();
                (offer_section(jsep, owner, &ice, mid, Some(before)), id)
            }
            None if index < first_in_use => (rejected(before), None),
            None => match newcomers.next() {
                Some(t) => (
                    offer_section(jsep, t, &ice, Some(mids.next()), None),
                    Some(t.id),
                ),
                None => (rejected(before), None),
            },
        });
    }
    for newcomer in newcomers {
        let section = offer_section(jsep, newcomer, &ice, Some(mids.next()), None);
        lines.push((section, Some(newcomer.id)));
    }
    let next_mid = mids.number;
    Created {
        next_mid,
        ..finish(jsep, SdpType::Offer, lines, ice, bundled_before(jsep))
    }
}

/// Puts m-lines together into a description of ours. `order` is what the BUNDLE group had: it is
/// kept, since the first of the group is the one whose transport all share (RFC 9143 §7.2.1), and
/// a newcomer there would be asked for a new one.
pub(super) fn finish(
    jsep: &Jsep,
    kind: SdpType,
    lines: Vec<(Section, Option<TransceiverId>)>,
    ice: IceParameters,
    order: &[Mid],
) -> Created {
    let (sections, owners): (Vec<Section>, _) = lines.into_iter().unzip();
    let in_use = sections.iter().filter(|section| !section.rejected);
    let mut bundled: Vec<Mid> = in_use.filter_map(|section| section.mid.clone()).collect();
    bundled.sort_by_key(|mid| order.iter().position(|o| o == mid).unwrap_or(usize::MAX));
    let description = Description {
        session_id: jsep.session_id,
        session_version: jsep.session_version + 1,
        bundles: if bundled.is_empty() {
            Vec::new()
        } else {
            vec![bundled]
        },
        ice_lite: false,
        extmap_allow_mixed: true,
        sections,
    };
    Created {
        kind,
        text: description.to_string(),
        description,
        ice,
        owners,
        next_mid: jsep.next_mid,
    }
}

/// The first of the BUNDLE group that the last answer agreed to (RFC 9429 §5.2.2). The others follow in the order of
/// their m-lines: it means nothing, but there are readers that take no other.
fn bundled_before(jsep: &Jsep) -> &[Mid] {
    let bundle = jsep.last_answer().and_then(|answer| answer.bundles.first());
    bundle.map_or(&[], |bundle| &bundle[..bundle.len().min(1)])
}

/// The m-lines of the latest local or remote description: places that must be kept.
fn lines_before(jsep: &Jsep) -> &[Section] {
    let latest = [&jsep.pending.local, &jsep.current.local];
    let latest = latest.into_iter().flatten().next();
    latest.map_or(&[], |applied| applied.description.sections.as_slice())
}

/// `None`: the m-line is rejected and nobody's. It may be used again.
fn owner<'a>(jsep: &'a Jsep, section: &Section) -> Option<&'a Transceiver> {
    jsep.transceiver_of(section.mid.as_ref()?)
}

fn offer_section(
    jsep: &Jsep,
    transceiver: &Transceiver,
    ice: &IceParameters,
    mid: Option<Mid>,
    before: Option<&Section>,
) -> Section {
    let before = before.filter(|section| !section.rejected);
    let codecs = offer_codecs(&jsep.configuration, transceiver, before);
    let mut section = Section {
        media: transceiver.kind.as_str().to_owned(),
        kind: Some(transceiver.kind),
        protocol: "UDP/TLS/RTP/SAVPF".to_owned(),
        formats: formats(&codecs),
        rejected: false,
        bundle_only: false,
        mid,
        direction: transceiver.direction,
        transport: local_transport(jsep, ice, Setup::ActPass),
        rtcp_mux: true,
        rtcp_rsize: true,
        receiver_round_trip: true,
        extmap_allow_mixed: false,
        codecs,
        extensions: offer_extensions(&jsep.configuration, transceiver, before),
        msids: Vec::new(),
        sources: Vec::new(),
        flows: Vec::new(),
        rids: Vec::new(),
        simulcast: None,
    };
    if let Some(before) = before.filter(|_| section.direction.receives()) {
        ask_again(&mut section, before);
    }
    let rids = transceiver.sender.rids();
    describe_sender(&mut section, transceiver, &jsep.cname, rids);
    section
}

/// Every configured codec, under the number it has in this m-line already.
fn offer_codecs(
    configuration: &MediaConfiguration,
    transceiver: &Transceiver,
    before: Option<&Section>,
) -> Vec<SectionCodec> {
    let before = before.map_or(&[][..], |section| &section.codecs);
    let known = |codec| before.iter().find(|known| known.codec.matches(codec));
    let preferences = &transceiver.preferences;
    let entries = preferred(configuration, transceiver.kind, preferences);
    let mut codecs: Vec<SectionCodec> = Vec::new();
    for entry in entries.into_iter().flatten() {
        let known = known(&entry.codec);
        let offered = SectionCodec {
            codec: entry.codec.clone(),
            payload_type: known.map_or(entry.payload_type, |known| known.payload_type),
            rtx_payload_type: known
                .and_then(|known| known.rtx_payload_type)
                .or(entry.rtx_payload_type),
        };
        // A remote side may have given other m-lines other numbers; within one they are unique.
        if !codecs.iter().any(|earlier| overlap(earlier, &offered)) {
            codecs.push(offered);
        }
    }
    codecs
}

fn overlap(a: &SectionCodec, b: &SectionCodec) -> bool {
    let numbers = |codec: &SectionCodec| [Some(codec.payload_type), codec.rtx_payload_type];
    numbers(a)
        .into_iter()
        .flatten()
        .any(|number| numbers(b).contains(&Some(number)))
}

fn offer_extensions(
    configuration: &MediaConfiguration,
    transceiver: &Transceiver,
    before: Option<&Section>,
) -> Vec<SectionExtension> {
    let before = before.map_or(&[][..], |section| &section.extensions);
    let mut extensions: Vec<SectionExtension> = Vec::new();
    for entry in configuration.header_extensions(transceiver.kind) {
        let known = before
            .iter()
            .find(|known| known.extension == entry.extension);
        let id = known.map_or(entry.id, |known| known.id);
        if !extensions.iter().any(|earlier| earlier.id == id) {
            extensions.push(SectionExtension {
                id,
                direction: RtpTransceiverDirection::SendRecv,
                extension: entry.extension.clone(),
            });
        }
    }
    extensions
}

/// The format list of these codecs.
pub(super) fn formats(codecs: &[SectionCodec]) -> Vec<String> {
    let mut formats = Vec::new();
    for codec in codecs {
        formats.push(codec.payload_type.get().to_string());
        formats.extend(codec.rtx_payload_type.map(|rtx| rtx.get().to_string()));
    }
    // An m-line without a format is not one; such a transceiver finds no common codec.
    if formats.is_empty() {
        formats.push("0".to_owned());
    }
    formats
}

/// Credentials and fingerprints, the same in every m-line: they share one transport.
pub(super) fn local_transport(
    jsep: &Jsep,
    ice: &IceParameters,
    setup: Setup,
) -> TransportAttributes {
    TransportAttributes {
        ice_ufrag: Some(ice.username_fragment.clone()),
        ice_pwd: Some(ice.password.clone()),
        fingerprints: jsep.fingerprints.clone(),
        setup: Some(setup),
        candidates: Vec::new(),
        end_of_candidates: false,
    }
}

/// What is sent on this m-line: streams, track, and SSRCs, or the names of several encodings. Nothing where the direction forbids
/// it.
pub(super) fn describe_sender(
    section: &mut Section,
    transceiver: &Transceiver,
    cname: &str,
    rids: Vec<Rid>,
) {
    if !section.direction.sends() {
        return;
    }
    section.msids = msids(transceiver);
    if rids.len() > 1 && names_encodings(section) {
        return announce(section, rids);
    }
    let sender = transceiver.sender.first();
    let source = |ssrc| Source {
        ssrc,
        cname: Some(cname.to_owned()),
    };
    section.sources.push(source(sender.ssrc));
    if section
        .codecs
        .iter()
        .any(|codec| codec.rtx_payload_type.is_some())
    {
        section.sources.push(source(sender.rtx_ssrc));
        section.flows.push((sender.ssrc, sender.rtx_ssrc));
    }
}

/// One for each stream; one without stream where there is none (RFC 9429 §5.2.1).
pub(super) fn msids(transceiver: &Transceiver) -> Vec<Msid> {
    let sender = &transceiver.sender;
    let msid = |stream| Msid {
        stream,
        track: Some(sender.msid_track.clone()),
    };
    if sender.streams.is_empty() {
        return vec![msid(None)];
    }
    sender.streams.iter().cloned().map(Some).map(msid).collect()
}

/// The m-line as one that is not wanted: port 0, and no more than tells which it is.
pub(super) fn rejected(section: &Section) -> Section {
    let codecs: Vec<_> = section.codecs.iter().take(1).cloned().collect();
    let codecs: Vec<_> = codecs
        .into_iter()
        .map(|codec| SectionCodec {
            rtx_payload_type: None,
            ..codec
        })
        .collect();
    Section {
        media: section.media.clone(),
        kind: section.kind,
        protocol: section.protocol.clone(),
        formats: if codecs.is_empty() {
            section.formats.iter().take(1).cloned().collect()
        } else {
            formats(&codecs)
        },
        rejected: true,
        bundle_only: false,
        mid: section.mid.clone(),
        direction: RtpTransceiverDirection::Inactive,
        transport: TransportAttributes::default(),
        rtcp_mux: false,
        rtcp_rsize: false,
        receiver_round_trip: false,
        extmap_allow_mixed: false,
        codecs,
        extensions: Vec::new(),
        msids: Vec::new(),
        sources: Vec::new(),
        flows: Vec::new(),
        rids: Vec::new(),
        simulcast: None,
    }
}

/// Hands out mids that no m-line has or had.
struct FreeMids<'a> {
    jsep: &'a Jsep,
    number: u32,
}

impl<'a> FreeMids<'a> {
    fn new(jsep: &'a Jsep) -> Self {
        let number = jsep.next_mid;
        Self { jsep, number }
    }

    fn next(&mut self) -> Mid {
        loop {
            let mid = Mid::from(self.number.to_string().as_str());
            self.number += 1;
            if !self.is_used(&mid) {
                return mid;
            }
        }
    }

    fn is_used(&self, mid: &Mid) -> bool {
        let Jsep {
            pending, current, ..
        } = self.jsep;
        let known = [
            &pending.local,
            &pending.remote,
            &current.local,
            &current.remote,
        ];
        let described = known.into_iter().flatten();
        self.jsep.transceiver_of(mid).is_some()
            || described
                .into_iter()
                .any(|applied| applied.description.position(mid).is_some())
    }
}
