//! From text to [`Description`].

use std::io::Cursor;

use sdp::description::common::Attribute;
use sdp::description::media::MediaDescription;

use super::super::error::{MediaLine, NegotiationError};
use super::formats::Formats;
use super::guard::{Guarded, RawMediaLine, check_count, guard, malformed};
use super::{
    Description, MediaKind, RtpTransceiverDirection, Section, Setup, Source, TransportAttributes,
    attributes,
};
use crate::dtls::Fingerprint;
use crate::limits::PeerLimits;

impl Description {
    /// Reads a text of ours, or of a stranger within the default limits.
    ///
    /// # Errors
    ///
    /// As of [`parse_within`](Self::parse_within).
    #[cfg(any(test, fuzzing, feature = "signaling"))]
    pub(crate) fn parse(text: &str) -> Result<Self, NegotiationError> {
        Self::parse_within(text, &PeerLimits::default())
    }

    /// Reads a text of a stranger. What is not known is passed over, as RFC 8866 §5 asks.
    ///
    /// # Errors
    ///
    /// `TooLong`, `TooMany`, `Malformed`, `MalformedAttribute`.
    pub(crate) fn parse_within(text: &str, limits: &PeerLimits) -> Result<Self, NegotiationError> {
        let Guarded { text, lines } = guard(text, limits)?;
        let parsed = sdp::SessionDescription::unmarshal(&mut Cursor::new(text.as_bytes()))
            .map_err(|error| malformed(&error.to_string()))?;
        if parsed.media_descriptions.len() != lines.len() {
            return Err(malformed("m-line out of place"));
        }
        let session = SessionLevel::read(&parsed.attributes)?;
        let sections = lines.into_iter().zip(&parsed.media_descriptions);
        let sections = sections
            .enumerate()
            .map(|(index, (line, media))| read_section(index, line, media, &session))
            .collect::<Result<Vec<_>, _>>()?;
        let extensions = sections.iter().map(|section| section.extensions.len());
        check_count(
            extensions.max().unwrap_or_default(),
            limits.header_extensions,
            "header extensions in one m-line",
        )?;
        Ok(Self {
            session_id: parsed.origin.session_id,
            session_version: parsed.origin.session_version,
            bundles: session.bundles,
            ice_lite: session.ice_lite,
            extmap_allow_mixed: session.extmap_allow_mixed,
            sections,
        })
    }
}

/// What stands before the first m-line.
#[derive(Default)]
struct SessionLevel {
    bundles: Vec<Vec<super::Mid>>,
    ice_lite: bool,
    extmap_allow_mixed: bool,
    receiver_round_trip: bool,
    direction: RtpTransceiverDirection,
    transport: TransportAttributes,
}

impl SessionLevel {
    fn read(list: &[Attribute]) -> Result<Self, NegotiationError> {
        let mut session = Self::default();
        for attribute in list {
            let value = attribute.value.as_deref().unwrap_or_default();
            match attribute.key.as_str() {
                "group" => session.bundles.extend(attributes::bundle(value)),
                "ice-lite" => session.ice_lite = true,
                "extmap-allow-mixed" => session.extmap_allow_mixed = true,
                "rtcp-xr" => session.receiver_round_trip = attributes::receiver_round_trip(value),
                key => {
                    session.direction =
                        attributes::direction_word(key).unwrap_or(session.direction);
                    let read = read_transport(&mut session.transport, key, value);
                    read.map_err(|attribute| {
                        malformed(&format!("unreadable a={attribute} at session level"))
                    })?;
                }
            }
        }
        // Candidates belong to m-lines (RFC 8839 §5.1).
        session.transport.candidates.clear();
        Ok(session)
    }
}

fn read_section(
    index: usize,
    line: RawMediaLine,
    media: &MediaDescription,
    session: &SessionLevel,
) -> Result<Section, NegotiationError> {
    let mut section = blank_section(line, session);
    let mut formats = Formats::new();
    for attribute in &media.attributes {
        let value = attribute.value.as_deref().unwrap_or_default();
        let key = attribute.key.as_str();
        read_formats(&mut formats, key, value);
        read_media(&mut section, key, value)
            .and_then(|()| read_transport(&mut section.transport, key, value))
            .map_err(|attribute| NegotiationError::MalformedAttribute {
                line: MediaLine {
                    index,
                    mid: section.mid.clone(),
                },
                attribute,
            })?;
    }
    section.rejected &= !section.bundle_only;
    if let Some(kind) = section.kind {
        section.codecs = formats.into_codecs(kind, &section.formats);
    }
    inherit(&mut section.transport, &session.transport);
    Ok(section)
}

fn blank_section(line: RawMediaLine, session: &SessionLevel) -> Section {
    let kind = match line.media.as_str() {
        "audio" => Some(MediaKind::Audio),
        "video" => Some(MediaKind::Video),
        _ => None,
    };
    // RFC 9429 §5.1.2 has the list; what counts is that it is RTP and, by the fingerprint, DTLS.
    let is_rtp = matches!(
        line.protocol.as_str(),
        "UDP/TLS/RTP/SAVPF"
            | "UDP/TLS/RTP/SAVP"
            | "TCP/DTLS/RTP/SAVPF"
            | "TCP/DTLS/RTP/SAVP"
            | "TCP/TLS/RTP/SAVPF"
            | "TCP/TLS/RTP/SAVP"
            | "RTP/SAVPF"
            | "RTP/SAVP"
    );
    Section {
        media: line.media,
        kind: kind.filter(|_| is_rtp),
        protocol: line.protocol,
        formats: line.formats,
        rejected: line.port == 0,
        bundle_only: false,
        mid: None,
        direction: session.direction,
        transport: TransportAttributes::default(),
        rtcp_mux: false,
        rtcp_rsize: false,
        receiver_round_trip: session.receiver_round_trip,
        extmap_allow_mixed: false,
        codecs: Vec::new(),
        extensions: Vec::new(),
        msids: Vec::new(),
        sources: Vec::new(),
        flows: Vec::new(),
        rids: Vec::new(),
        simulcast: None,
    }
}

fn read_formats(formats: &mut Formats, key: &str, value: &str) {
    match key {
        "rtpmap" => formats.rtpmap(value),
        "fmtp" => formats.fmtp(value),
        "rtcp-fb" => formats.rtcp_fb(value),
        _ => {}
    }
}

/// Fails with the name of an attribute that cannot be read and cannot be done without.
fn read_media(section: &mut Section, key: &str, value: &str) -> Result<(), &'static str> {
    match key {
        "mid" => section.mid = Some(attributes::mid(value).ok_or("mid")?),
        "bundle-only" => section.bundle_only = true,
        "rtcp-mux" => section.rtcp_mux = true,
        "rtcp-rsize" => section.rtcp_rsize = true,
        "rtcp-xr" => section.receiver_round_trip = attributes::receiver_round_trip(value),
        "extmap-allow-mixed" => section.extmap_allow_mixed = true,
        "extmap" => {
            let known = |id| section.extensions.iter().any(|e| e.id == id);
            let read = attributes::extension(value).filter(|read| !known(read.id));
            section.extensions.extend(read);
        }
        "msid" if section.msids.len() < MAX_PER_SECTION => {
            section.msids.extend(attributes::msid(value));
        }
        "ssrc" => read_source(&mut section.sources, value),
        "ssrc-group" if section.flows.len() < MAX_PER_SECTION => {
            section.flows.extend(attributes::flow(value));
        }
        "rid" if section.rids.len() < MAX_PER_SECTION => {
            section.rids.extend(attributes::rid(value));
        }
        "simulcast" => section.simulcast = attributes::simulcast(value),
        key => {
            section.direction = attributes::direction_word(key).unwrap_or(section.direction);
        }
    }
    Ok(())
}

fn read_source(sources: &mut Vec<Source>, value: &str) {
    let Some((ssrc, attribute, value)) = attributes::ssrc(value) else {
        return;
    };
    let cname = (attribute == "cname" && !value.is_empty()).then(|| value.to_owned());
    if let Some(source) = sources.iter_mut().find(|source| source.ssrc == ssrc) {
        source.cname = source.cname.take().or(cname);
    } else if sources.len() < MAX_PER_SECTION {
        sources.push(Source { ssrc, cname });
    }
}

/// As [`read_media`], for what may stand at session level too.
fn read_transport(
    transport: &mut TransportAttributes,
    key: &str,
    value: &str,
) -> Result<(), &'static str> {
    match key {
        "ice-ufrag" => transport.ice_ufrag = Some(value.to_owned()),
        "ice-pwd" => transport.ice_pwd = Some(value.to_owned()),
        "fingerprint" => {
            let fingerprint: Fingerprint = value.parse().map_err(|_| "fingerprint")?;
            let list = &mut transport.fingerprints;
            if list.len() < MAX_FINGERPRINTS && !list.contains(&fingerprint) {
                list.push(fingerprint);
            }
        }
        "setup" => transport.setup = Some(Setup::from_word(value)),
        "candidate" if transport.candidates.len() < MAX_PER_SECTION => {
            transport.candidates.push(format!("candidate:{value}"));
        }
        "end-of-candidates" => transport.end_of_candidates = true,
        _ => {}
    }
    Ok(())
}

/// What an m-line leaves open, the session level says.
fn inherit(transport: &mut TransportAttributes, session: &TransportAttributes) {
    let TransportAttributes {
        ice_ufrag,
        ice_pwd,
        fingerprints,
        setup,
        candidates: _,
        end_of_candidates,
    } = session;
    transport.ice_ufrag = transport.ice_ufrag.take().or_else(|| ice_ufrag.clone());
    transport.ice_pwd = transport.ice_pwd.take().or_else(|| ice_pwd.clone());
    if transport.fingerprints.is_empty() {
        transport.fingerprints.clone_from(fingerprints);
    }
    transport.setup = transport.setup.or(*setup);
    transport.end_of_candidates |= end_of_candidates;
}

/// Of sources, groups, encodings and candidates in one m-line; the rest is passed over.
const MAX_PER_SECTION: usize = 256;

/// aiortc sends three, one for each hash function.
const MAX_FINGERPRINTS: usize = 16;
