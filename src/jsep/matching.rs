//! Which codecs, header extensions and encodings two sides have in common.

use super::direction::RtpTransceiverDirection;
use super::sdp::{Description, RidLine, Section, SectionCodec, SectionExtension, Simulcast};
use crate::codec::{RtcpFeedback, RtpCodec};
use crate::configuration::{CodecConfiguration, HeaderExtensionConfiguration, MediaConfiguration};
use crate::rtp::{HeaderExtension, PayloadType, Rid};
use crate::track::MediaKind;

/// The codecs of `offered` that are configured, with the numbers that were offered and our
/// parameters: what an answer says.
///
/// They keep the order of the offer, unless `preferences` gives one (RFC 9429 §5.3.1).
pub(super) fn answer_codecs(
    configuration: &MediaConfiguration,
    kind: MediaKind,
    preferences: &[RtpCodec],
    offered: &[SectionCodec],
) -> Vec<SectionCodec> {
    let mut ours: Vec<_> = preferred(configuration, kind, preferences);
    let mut found: Vec<(usize, SectionCodec)> = Vec::new();
    for theirs in offered {
        // Each of ours answers one of theirs only: the first.
        let Some(rank) = ours
            .iter()
            .position(|own| own.is_some_and(|own| own.codec.matches(&theirs.codec)))
        else {
            continue;
        };
        if let Some(own) = ours[rank].take() {
            found.push((rank, answer_codec(own, theirs)));
        }
    }
    if !preferences.is_empty() {
        found.sort_by_key(|(rank, _)| *rank);
    }
    found.into_iter().map(|(_, codec)| codec).collect()
}

fn answer_codec(own: &CodecConfiguration, theirs: &SectionCodec) -> SectionCodec {
    let own_rtx = own.rtx_payload_type;
    SectionCodec {
        codec: RtpCodec {
            fmtp: own.codec.answer_parameters(&theirs.codec),
            feedback: common_feedback(&own.codec, &theirs.codec),
            ..own.codec.clone()
        },
        payload_type: theirs.payload_type,
        rtx_payload_type: own_rtx.and(theirs.rtx_payload_type),
    }
}

/// The configured codecs of a kind in the order of the transceiver's preferences.
pub(super) fn preferred<'a>(
    configuration: &'a MediaConfiguration,
    kind: MediaKind,
    preferences: &[RtpCodec],
) -> Vec<Option<&'a CodecConfiguration>> {
    if preferences.is_empty() {
        return configuration.codecs(kind).map(Some).collect();
    }
    let by_preference = preferences.iter().map(|preference| {
        configuration
            .codecs(kind)
            .find(|entry| entry.codec.matches(preference))
    });
    by_preference.filter(Option::is_some).collect()
}

/// Feedback that both want, in the order of the first.
pub(super) fn common_feedback(a: &RtpCodec, b: &RtpCodec) -> Vec<RtcpFeedback> {
    let both = a.feedback.iter().filter(|kind| b.feedback.contains(kind));
    both.cloned().collect()
}

/// The offered header extensions that are configured, under the offered identifiers.
pub(super) fn answer_extensions(
    configuration: &MediaConfiguration,
    kind: MediaKind,
    offered: &[SectionExtension],
) -> Vec<SectionExtension> {
    let mut answered: Vec<SectionExtension> = Vec::new();
    for theirs in offered {
        let mut ours = configuration.header_extensions(kind);
        let known = ours.any(|entry| entry.extension == theirs.extension);
        let again = answered.iter().any(|e| e.extension == theirs.extension);
        if known && !again {
            answered.push(SectionExtension {
                direction: theirs.direction.reversed(),
                ..theirs.clone()
            });
        }
    }
    answered
}

/// What an answer says to offered simulcast: all encodings, as long as a format is left for
/// them (RFC 8853 §5.3.2, RFC 8851 §6.3).
pub(super) fn answer_simulcast(
    offered: &Section,
    codecs: &[SectionCodec],
) -> (Vec<RidLine>, Option<Simulcast>) {
    let mut lines = Vec::new();
    for rid in remote_encodings(offered) {
        let line = offered
            .rids
            .iter()
            .find(|line| line.send && line.rid == rid);
        let restrictions = line.and_then(|line| answer_restrictions(&line.restrictions, codecs));
        lines.extend(restrictions.map(|restrictions| RidLine {
            rid,
            send: false,
            restrictions,
        }));
    }
    let recv: Vec<Rid> = lines.iter().map(|line| line.rid.clone()).collect();
    if recv.is_empty() {
        return (Vec::new(), None);
    }
    let send = Vec::new();
    (lines, Some(Simulcast { send, recv }))
}

/// The encodings that the writer of this m-line sends: those of `a=simulcast` that `a=rid` knows.
pub(super) fn remote_encodings(section: &Section) -> Vec<Rid> {
    let mut rids: Vec<Rid> = Vec::new();
    for rid in section
        .simulcast
        .iter()
        .flat_map(|simulcast| &simulcast.send)
    {
        let declared = section
            .rids
            .iter()
            .any(|line| line.send && line.rid == *rid);
        if declared && !rids.contains(rid) {
            rids.push(rid.clone());
        }
    }
    rids
}

/// The restrictions without the formats that are not in the answer; `None` when none is left.
fn answer_restrictions(restrictions: &str, codecs: &[SectionCodec]) -> Option<String> {
    let accepted = |format: &&str| {
        let number = format.parse().ok().and_then(PayloadType::new);
        codecs
            .iter()
            .any(|codec| Some(codec.payload_type) == number)
    };
    let mut kept = Vec::new();
    for restriction in restrictions.split(';').filter(|text| !text.is_empty()) {
        let Some(formats) = restriction.trim().strip_prefix("pt=") else {
            kept.push(restriction.to_owned());
            continue;
        };
        let formats: Vec<_> = formats.split(',').filter(accepted).collect();
        if formats.is_empty() {
            return None;
        }
        kept.push(format!("pt={}", formats.join(",")));
    }
    Some(kept.join(";"))
}

/// The configuration with the numbers that the remote description uses, so that later offers of
/// ours use them too (RFC 9429 §5.2.2 keeps what was negotiated; m-lines that are new then agree
/// with those that are not, as RFC 9143 §9.1 and §10 want of bundled ones).
///
/// What the remote side does not know gets a free number where its own is taken.
pub(super) fn adopt(
    configuration: &MediaConfiguration,
    remote: &Description,
) -> MediaConfiguration {
    let mut adopted = configuration.clone();
    adopt_payload_types(adopted.all_codecs_mut(), remote);
    adopt_identifiers(adopted.all_extensions_mut(), remote);
    adopted
}

fn adopt_payload_types(own: &mut [CodecConfiguration], remote: &Description) {
    let mut taken = [false; 128];
    for codec in accepted_sections(remote).flat_map(|section| &section.codecs) {
        mark(&mut taken, Some(codec.payload_type));
        mark(&mut taken, codec.rtx_payload_type);
    }
    let mut pending = Vec::new();
    for (index, entry) in own.iter_mut().enumerate() {
        let theirs = accepted_sections(remote)
            .flat_map(|section| &section.codecs)
            .find(|theirs| entry.codec.matches(&theirs.codec));
        match theirs {
            Some(theirs) => {
                entry.payload_type = theirs.payload_type;
                let adopted = entry.rtx_payload_type.and(theirs.rtx_payload_type);
                let own_rtx = entry.rtx_payload_type;
                entry.rtx_payload_type = adopted.or(own_rtx);
                pending.push((index, false, adopted.is_none()));
            }
            None => pending.push((index, true, true)),
        }
    }
    for (index, move_primary, move_rtx) in pending {
        let entry = &mut own[index];
        if move_primary {
            entry.payload_type = free_payload_type(&mut taken, entry.payload_type);
        }
        if move_rtx && let Some(rtx) = entry.rtx_payload_type {
            entry.rtx_payload_type = Some(free_payload_type(&mut taken, rtx));
        }
    }
}

fn mark(taken: &mut [bool; 128], payload_type: Option<PayloadType>) {
    if let Some(number) = payload_type {
        taken[usize::from(number.get())] = true;
    }
}

/// `wanted` if it is free, else the next one of the dynamic ranges (RFC 3551 §6, RFC 5761 §4). When all
/// are taken the wanted one is used twice: such an offer has more than 90 formats already.
fn free_payload_type(taken: &mut [bool; 128], wanted: PayloadType) -> PayloadType {
    let dynamic = (96..128).chain(35..64).filter_map(PayloadType::new);
    let free = std::iter::once(wanted)
        .chain(dynamic)
        .find(|number| !taken[usize::from(number.get())])
        .unwrap_or(wanted);
    mark(taken, Some(free));
    free
}

fn adopt_identifiers(own: &mut Vec<HeaderExtensionConfiguration>, remote: &Description) {
    let theirs = || accepted_sections(remote).flat_map(|section| &section.extensions);
    let mut taken = [false; 256];
    for extension in theirs() {
        taken[usize::from(extension.id)] = true;
    }
    // One extension has one identifier in all m-lines, whatever kind taught it.
    let mut chosen: Vec<(HeaderExtension, Option<u8>)> = Vec::new();
    for entry in own.iter() {
        let known = theirs().find(|theirs| theirs.extension == entry.extension);
        if let Some(known) = known {
            chosen.push((entry.extension.clone(), Some(known.id)));
        }
    }
    own.retain_mut(|entry| {
        let seen = chosen.iter().find(|(e, _)| *e == entry.extension);
        let id = match seen {
            Some((_, id)) => *id,
            None => {
                let id = free_identifier(&mut taken, entry.id);
                chosen.push((entry.extension.clone(), id));
                id
            }
        };
        entry.id = id.unwrap_or(entry.id);
        id.is_some()
    });
}

/// `None`: all that fit the one-byte form are taken, and the extension is offered no more.
fn free_identifier(taken: &mut [bool; 256], wanted: u8) -> Option<u8> {
    let mut candidates = std::iter::once(wanted).chain(1..=14);
    let free = candidates.find(|&id| !taken[usize::from(id)])?;
    taken[usize::from(free)] = true;
    Some(free)
}

fn accepted_sections(description: &Description) -> impl Iterator<Item = &Section> {
    let sections = description.sections.iter();
    sections.filter(|section| section.kind.is_some() && !section.rejected)
}

/// The extensions of two m-lines that answer each other, as `(id, extension)`: those that
/// `writer` may send to the other side.
pub(super) fn sent_extensions(writer: &Section, reader: &Section) -> Vec<(u8, HeaderExtension)> {
    let mut sent: Vec<(u8, HeaderExtension)> = Vec::new();
    for theirs in &reader.extensions {
        let ours = writer
            .extensions
            .iter()
            .find(|ours| ours.extension == theirs.extension && ours.id == theirs.id);
        let flows = ours.is_some_and(|ours| flows(ours.direction, theirs.direction));
        if flows && !sent.iter().any(|(_, e)| *e == theirs.extension) {
            sent.push((theirs.id, theirs.extension.clone()));
        }
    }
    sent
}

fn flows(writer: RtpTransceiverDirection, reader: RtpTransceiverDirection) -> bool {
    writer.sends() && reader.receives()
}
