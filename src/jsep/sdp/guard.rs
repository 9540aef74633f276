//! What is looked at before the crate `sdp` sees a text.
//!
//! The crate fails a whole description for one m-line of an unknown kind or transport, which a
//! browser would just reject, and for lines that nothing here reads. So the first are replaced
//! and the second left out. It also takes any length.

use std::borrow::Cow;

use super::super::error::NegotiationError;

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

pub(super) fn guard(sdp: &str) -> Result<Guarded, NegotiationError> {
    if sdp.len() > MAX_BYTES {
        return Err(NegotiationError::TooLong {
            bytes: sdp.len(),
            limit: MAX_BYTES,
        });
    }
    let mut text = String::with_capacity(sdp.len());
    let mut lines = Vec::new();
    let mut attributes = 0;
    for line in sdp.split('\n') {
        let line = line.trim_end();
        check_characters(line)?;
        let Some(line) = fit_line(line, &mut lines)? else {
            continue;
        };
        attributes += usize::from(line.starts_with("a="));
        check_count(attributes, MAX_ATTRIBUTES, "attributes")?;
        check_count(lines.len(), MAX_MEDIA_LINES, "m-lines")?;
        text.push_str(&line);
        text.push_str("\r\n");
    }
    Ok(Guarded { text, lines })
}

/// The line for the crate; `None`: it goes without.
fn fit_line<'a>(
    line: &'a str,
    lines: &mut Vec<RawMediaLine>,
) -> Result<Option<Cow<'a, str>>, NegotiationError> {
    let kind = line.get(..2).unwrap_or(line);
    match kind {
        "" | "i=" | "u=" | "e=" | "p=" | "c=" | "b=" | "r=" | "z=" | "k=" => Ok(None),
        "m=" => {
            let raw = RawMediaLine::parse(&line[2..])?;
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

fn check_count(count: usize, limit: usize, what: &'static str) -> Result<(), NegotiationError> {
    if count > limit {
        return Err(NegotiationError::TooMany { what, limit });
    }
    Ok(())
}

impl RawMediaLine {
    fn parse(value: &str) -> Result<Self, NegotiationError> {
        let mut words = value.split_ascii_whitespace().map(str::to_owned);
        let (Some(media), Some(port), Some(protocol)) = (words.next(), words.next(), words.next())
        else {
            return Err(malformed("m-line with too few words"));
        };
        let formats: Vec<String> = words.collect();
        if formats.is_empty() {
            return Err(malformed("m-line without formats"));
        }
        if formats.len() > MAX_FORMATS {
            let limit = MAX_FORMATS;
            let what = "formats in one m-line";
            return Err(NegotiationError::TooMany { what, limit });
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

/// Six videos and three audios of Chromium take 36 kB.
const MAX_BYTES: usize = 256 * 1024;

/// Each may become a transceiver.
const MAX_MEDIA_LINES: usize = 256;

/// Nine m-lines of Chromium take 1300.
const MAX_ATTRIBUTES: usize = 16 * 1024;

/// There are 128 payload types.
const MAX_FORMATS: usize = 256;
