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

/// Feedback that both want, in the order of the first. Of the two that tell how much may be sent, the one from which the sender
/// makes its own estimate.
pub(super) fn common_feedback(a: &RtpCodec, b: &RtpCodec) -> Vec<RtcpFeedback> {
    let both = a.feedback.iter().filter(|kind| b.feedback.contains(kind));
    let mut both: Vec<_> = both.cloned().collect();
    if both.contains(&RtcpFeedback::TransportCc) {
        both.retain(|kind| *kind != RtcpFeedback::Remb);
    }
    both
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
    let simulcast = Simulcast {
        recv,
        ..Simulcast::default()
    };
    (lines, Some(simulcast))
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
    let mut left: Vec<&mut PayloadType> = Vec::new();
    for entry in own {
        let theirs = accepted_sections(remote)
            .flat_map(|section| &section.codecs)
            .find(|theirs| entry.codec.matches(&theirs.codec));
        match theirs {
            Some(theirs) => entry.payload_type = theirs.payload_type,
            None => left.push(&mut entry.payload_type),
        }
        let their_rtx = theirs.and_then(|theirs| theirs.rtx_payload_type);
        match (&mut entry.rtx_payload_type, their_rtx) {
            (Some(rtx), Some(theirs)) => *rtx = theirs,
            (Some(rtx), None) => left.push(rtx),
            (None, _) => {}
        }
    }
    // Those that can keep their number do; only then the others look for one.
    left.retain(|number| {
        let number = **number;
        std::mem::replace(&mut taken[usize::from(number.get())], true)
    });
    for number in left {
        *number = free_payload_type(&mut taken, *number);
    }
}

fn mark(taken: &mut [bool; 128], payload_type: Option<PayloadType>) {
    if let Some(number) = payload_type {
        taken[usize::from(number.get())] = true;
    }
}

/// The next free number of the dynamic ranges (RFC 3551 §6, RFC 5761 §4). When all are taken
/// `wanted` is used twice: such an offer has sixty formats already.
fn free_payload_type(taken: &mut [bool; 128], wanted: PayloadType) -> PayloadType {
    let mut dynamic = (96..128).chain(35..64).filter_map(PayloadType::new);
    let free = dynamic
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
    let is_chosen = |chosen: &[(HeaderExtension, _)], extension: &HeaderExtension| {
        chosen.iter().any(|(e, _)| e == extension)
    };
    for entry in own.iter() {
        if let Some(known) = theirs().find(|theirs| theirs.extension == entry.extension) {
            chosen.push((entry.extension.clone(), Some(known.id)));
        }
    }
    // Those that can keep their identifier do; only then the others look for one.
    for entry in own.iter() {
        let free = !taken[usize::from(entry.id)];
        if free && !is_chosen(&chosen, &entry.extension) {
            taken[usize::from(entry.id)] = true;
            chosen.push((entry.extension.clone(), Some(entry.id)));
        }
    }
    for entry in own.iter() {
        if !is_chosen(&chosen, &entry.extension) {
            let free = free_identifier(&mut taken);
            chosen.push((entry.extension.clone(), free));
        }
    }
    own.retain_mut(|entry| {
        let mut chosen = chosen.iter();
        let id = chosen.find(|(e, _)| *e == entry.extension);
        let id = id.and_then(|(_, id)| *id);
        entry.id = id.unwrap_or(entry.id);
        id.is_some()
    });
}

/// `None`: all that fit the one-byte form are taken, and the extension is offered no more.
fn free_identifier(taken: &mut [bool; 256]) -> Option<u8> {
    let free = (1..=14).find(|&id| !taken[usize::from(id)])?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn described(lines: &str) -> Description {
        let text = format!("v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\n{lines}");
        Description::parse(&text).unwrap()
    }

    fn numbers(configuration: &MediaConfiguration, kind: MediaKind) -> Vec<(u8, Option<u8>)> {
        let entries = configuration.codecs(kind);
        let numbers = entries.map(|entry| {
            let rtx = entry.rtx_payload_type.map(PayloadType::get);
            (entry.payload_type.get(), rtx)
        });
        numbers.collect()
    }

    fn identifiers(configuration: &MediaConfiguration) -> Vec<u8> {
        let extensions = configuration.header_extensions(MediaKind::Video);
        extensions.map(|entry| entry.id).collect()
    }

    #[test]
    fn c059_payload_types_are_adopted_and_the_others_make_room() {
        let default = MediaConfiguration::default();
        let ours = numbers(&default, MediaKind::Video);
        assert_eq!(ours[..2], [(96, Some(97)), (98, Some(99))]);
        // VP9 comes under the number of our VP8, without retransmissions.
        let remote = described(
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97\na=rtpmap:96 VP9/90000\n\
             a=rtpmap:97 red/90000\n",
        );
        let adopted = numbers(&adopt(&default, &remote), MediaKind::Video);
        assert_eq!(adopted[1], (96, Some(99)));
        let all = adopted.iter().flat_map(|&(pt, rtx)| [Some(pt), rtx]);
        let mut all: Vec<_> = all.flatten().collect();
        assert!(!all.contains(&97), "red is there");
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        // With retransmissions both numbers come along.
        let remote = described(
            "m=video 9 UDP/TLS/RTP/SAVPF 120 121\na=rtpmap:120 VP9/90000\n\
             a=rtpmap:121 rtx/90000\na=fmtp:121 apt=120\n",
        );
        let adopted = numbers(&adopt(&default, &remote), MediaKind::Video);
        assert_eq!(adopted[..2], [(96, Some(97)), (120, Some(121))]);
    }

    #[test]
    fn c059_identifiers_are_adopted_and_the_others_make_room() {
        let default = MediaConfiguration::default();
        assert_eq!(identifiers(&default), [3, 4, 5, 10, 11]);
        let remote = described(
            "m=video 9 UDP/TLS/RTP/SAVPF 96\na=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid\n\
             a=extmap:10 urn:3gpp:video-orientation\n",
        );
        let adopted = adopt(&default, &remote);
        // TWCC was 3 and RID was 10: those are taken. MID has its new number in all m-lines.
        let video = identifiers(&adopted);
        assert_eq!(video[1], 3);
        assert_eq!([video[2], video[4]], [5, 11]);
        assert!(![3, 5, 10, 11].contains(&video[0]) && ![3, 5, 10, 11].contains(&video[3]));
        let audio = adopted.header_extensions(MediaKind::Audio);
        let mut audio = audio.filter(|entry| entry.extension == HeaderExtension::Mid);
        assert_eq!(audio.next().map(|entry| entry.id), Some(3));
    }

    #[test]
    fn c059_what_has_nothing_in_common_changes_nothing() {
        let default = MediaConfiguration::default();
        let remote = described("m=video 9 UDP/TLS/RTP/SAVPF 35\na=rtpmap:35 H265/90000\n");
        assert_eq!(adopt(&default, &remote), default);
        let rejected = described("m=video 0 UDP/TLS/RTP/SAVPF 120\na=rtpmap:120 VP8/90000\n");
        assert_eq!(adopt(&default, &rejected), default);
    }

    #[test]
    fn c060_codecs_and_extensions_in_common_have_the_offered_numbers() {
        let default = MediaConfiguration::default();
        let remote = described(
            "m=video 9 UDP/TLS/RTP/SAVPF 50 51 52 53\na=rtpmap:50 H265/90000\n\
             a=rtpmap:51 vp8/90000\na=rtcp-fb:51 nack\na=rtcp-fb:* ccm fir\n\
             a=rtpmap:52 rtx/90000\na=fmtp:52 apt=51\na=rtpmap:53 VP8/90000\n\
             a=extmap:7/sendonly urn:ietf:params:rtp-hdrext:sdes:mid\na=extmap:8 urn:unknown\n",
        );
        let offered = &remote.sections[0];
        let codecs = answer_codecs(&default, MediaKind::Video, &[], &offered.codecs);
        assert_eq!(codecs.len(), 1);
        assert_eq!(codecs[0].payload_type.get(), 51);
        assert_eq!(codecs[0].rtx_payload_type.map(PayloadType::get), Some(52));
        let both = [RtcpFeedback::Nack, RtcpFeedback::Fir];
        assert_eq!(codecs[0].codec.feedback, both);
        let extensions = answer_extensions(&default, MediaKind::Video, &offered.extensions);
        let mid = SectionExtension {
            id: 7,
            direction: RtpTransceiverDirection::RecvOnly,
            extension: HeaderExtension::Mid,
        };
        assert_eq!(extensions, [mid]);
    }

    #[test]
    fn an_encoding_without_a_format_left_is_not_taken() {
        let remote = described(
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97\na=rtpmap:96 VP8/90000\na=rtpmap:97 H265/90000\n\
             a=rid:a send pt=96,97;max-width=640\na=rid:b send pt=97\na=rid:c send\n\
             a=rid:d recv\na=simulcast:send a;b;~c,d;e\n",
        );
        let offered = &remote.sections[0];
        let configuration = MediaConfiguration::default();
        let codecs = answer_codecs(&configuration, MediaKind::Video, &[], &offered.codecs);
        let (lines, simulcast) = answer_simulcast(offered, &codecs);
        let lines: Vec<_> = lines
            .iter()
            .map(|line| (line.rid.as_str(), line.restrictions.as_str()))
            .collect();
        assert_eq!(lines, [("a", "pt=96;max-width=640"), ("c", "")]);
        assert_eq!(simulcast.unwrap().recv, [Rid::from("a"), Rid::from("c")]);
    }
}
