//! What is looked at before the crate `sdp` sees a text.
//!
//! The crate fails a whole description for one m-line of an unknown kind or transport, which a
//! browser would just reject, and for lines that nothing here reads. So the first are replaced
//! and the second left out. It also takes any length.

use std::borrow::Cow;

use super::super::error::NegotiationError;
use crate::limits::PeerLimits;

/// A text that is fit for the crate, and its m-lines as they stood.
pub(super) struct Guarded {
    pub(super) text: String,
    pub(super) lines: Vec<RawMediaLine>,
}

/// The words of one `m=`.
pub(super) struct RawMediaLine {
    pub(super) media: String,
    pub(super) port: u16,
    pub(super) protocol: String,
    pub(super) formats: Vec<String>,
}

pub(super) fn guard(sdp: &str, limits: &PeerLimits) -> Result<Guarded, NegotiationError> {
    if sdp.len() > limits.description_bytes {
        return Err(NegotiationError::TooLong {
            bytes: sdp.len(),
            limit: limits.description_bytes,
        });
    }
    let mut text = String::with_capacity(sdp.len());
    let mut lines = Vec::new();
    let mut attributes = 0;
    for line in sdp.split('\n') {
        let line = line.trim_end();
        check_characters(line)?;
        let Some(line) = fit_line(line, &mut lines, limits)? else {
            continue;
        };
        attributes += usize::from(line.starts_with("a="));
        check_count(attributes, limits.attributes, "attributes")?;
        check_count(lines.len(), limits.transceivers, "m-lines")?;
        text.push_str(&line);
        text.push_str("\r\n");
    }
    Ok(Guarded { text, lines })
}

/// The line for the crate; `None`: it goes without.
fn fit_line<'a>(
    line: &'a str,
    lines: &mut Vec<RawMediaLine>,
    limits: &PeerLimits,
) -> Result<Option<Cow<'a, str>>, NegotiationError> {
    let kind = line.get(..2).unwrap_or(line);
    match kind {
        "" | "i=" | "u=" | "e=" | "p=" | "c=" | "b=" | "r=" | "z=" | "k=" => Ok(None),
        "m=" => {
            let raw = RawMediaLine::parse(&line[2..], limits.formats)?;
            let known = raw.is_known_to_the_crate();
            lines.push(raw);
            Ok(Some(if known {
                Cow::Borrowed(line)
            } else {
                Cow::Borrowed("m=application 0 UDP 0")
            }))
        }
        _ => Ok(Some(Cow::Borrowed(line))),
    }
}

/// A stray carriage return or other control character could smuggle a line into a description
/// that quotes this one.
fn check_characters(line: &str) -> Result<(), NegotiationError> {
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(malformed("control character inside a line"));
    }
    Ok(())
}

pub(super) fn check_count(
    count: usize,
    limit: usize,
    what: &'static str,
) -> Result<(), NegotiationError> {
    if count > limit {
        return Err(NegotiationError::TooMany { what, limit });
    }
    Ok(())
}

impl RawMediaLine {
    fn parse(value: &str, most_formats: usize) -> Result<Self, NegotiationError> {
        let mut words = value.split_ascii_whitespace().map(str::to_owned);
        let (Some(media), Some(port), Some(protocol)) = (words.next(), words.next(), words.next())
        else {
            return Err(malformed("m-line with too few words"));
        };
        let formats: Vec<String> = words.by_ref().take(most_formats).collect();
        check_count(
            formats.len() + words.count(),
            most_formats,
            "formats in one m-line",
        )?;
        if formats.is_empty() {
            return Err(malformed("m-line without formats"));
        }
        let port = port.split('/').next().and_then(|port| port.parse().ok());
        let Some(port) = port else {
            return Err(malformed("m-line with an unreadable port"));
        };
        Ok(Self {
            media,
            port,
            protocol,
            formats,
        })
    }

    fn is_known_to_the_crate(&self) -> bool {
        let media = ["audio", "video", "text", "application", "message", "image"];
        let protocols = [
            "UDP", "RTP", "AVP", "SAVP", "SAVPF", "TLS", "DTLS", "SCTP", "AVPF", "udptl",
        ];
        media.contains(&self.media.as_str())
            && self
                .protocol
                .split('/')
                .all(|word| protocols.contains(&word))
    }
}

pub(super) fn malformed(reason: &str) -> NegotiationError {
    NegotiationError::Malformed {
        reason: reason.to_owned(),
    }
}
