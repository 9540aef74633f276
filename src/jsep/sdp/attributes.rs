//! Single attributes, each read from its value (the part behind the colon).

use super::{Msid, RidLine, RtpTransceiverDirection, SectionExtension, Simulcast};
use crate::rtp::{HeaderExtension, Mid, Rid, Ssrc};
use crate::track::StreamId;

/// `a=mid` (RFC 5888 §4).
pub(super) fn mid(value: &str) -> Option<Mid> {
    let fits = !value.is_empty() && value.len() <= MAX_TOKEN && is_graphic(value);
    fits.then(|| Mid::from(value))
}

/// The mids of `a=group:BUNDLE`; `None` for other groups (RFC 9143 §5).
pub(super) fn bundle(value: &str) -> Option<Vec<Mid>> {
    let mut words = value.split_ascii_whitespace();
    (words.next() == Some("BUNDLE")).then(|| words.take(MAX_BUNDLED).filter_map(mid).collect())
}

/// `a=extmap` (RFC 8285 §8): `4/sendonly urn:… attributes`.
pub(super) fn extension(value: &str) -> Option<SectionExtension> {
    let mut words = value.split_ascii_whitespace();
    let (number, uri) = (words.next()?, words.next()?);
    let (id, direction) = match number.split_once('/') {
        Some((id, direction)) => (id, direction_word(direction)?),
        None => (number, RtpTransceiverDirection::SendRecv),
    };
    let id = id.parse().ok().filter(|&id: &u8| id > 0)?;
    is_graphic(uri).then(|| SectionExtension {
        id,
        direction,
        extension: HeaderExtension::from_uri(uri),
    })
}

/// The word of a direction attribute (RFC 8866 §6.7).
pub(super) fn direction_word(word: &str) -> Option<RtpTransceiverDirection> {
    match word {
        "sendrecv" => Some(RtpTransceiverDirection::SendRecv),
        "sendonly" => Some(RtpTransceiverDirection::SendOnly),
        "recvonly" => Some(RtpTransceiverDirection::RecvOnly),
        "inactive" => Some(RtpTransceiverDirection::Inactive),
        _ => None,
    }
}

/// Whether `a=rtcp-xr` (RFC 3611 §5.1) wants reports that measure the round trip of receivers: `rcvr-rtt=all:10000`. How large they
/// may become does not matter, ours are small.
pub(super) fn receiver_round_trip(value: &str) -> bool {
    let mut formats = value.split_ascii_whitespace();
    formats.any(|format| {
        let mode = format.strip_prefix("rcvr-rtt=");
        let mode = mode.map(|mode| mode.split(':').next().unwrap_or_default());
        matches!(mode, Some("all" | "sender"))
    })
}

/// `a=msid` (RFC 8830 §2): `stream track`.
pub(super) fn msid(value: &str) -> Option<Msid> {
    let mut words = value.split_ascii_whitespace();
    let stream = words.next().filter(|id| is_graphic(id))?;
    Some(Msid {
        stream: (stream != "-").then(|| StreamId::from(stream)),
        track: words
            .next()
            .filter(|id| is_graphic(id))
            .map(ToOwned::to_owned),
    })
}

/// `a=ssrc` (RFC 5576 §4.1): the source, its attribute and the attribute's value.
pub(super) fn ssrc(value: &str) -> Option<(Ssrc, &str, &str)> {
    let (ssrc, attribute) = value.split_once(' ').unwrap_or((value, ""));
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    Some((Ssrc(ssrc.parse().ok()?), name, value))
}

/// The pair of `a=ssrc-group:FID` (RFC 5576 §4.2); `None` for other groups.
pub(super) fn flow(value: &str) -> Option<(Ssrc, Ssrc)> {
    let mut words = value.split_ascii_whitespace();
    let is_flow = words.next() == Some("FID");
    let mut number = || Some(Ssrc(words.next()?.parse().ok()?));
    is_flow.then(|| Some((number()?, number()?))).flatten()
}

/// `a=rid` (RFC 8851 §4): `hi send max-width=1280`.
pub(super) fn rid(value: &str) -> Option<RidLine> {
    let mut words = value.splitn(3, ' ');
    let id = words.next().filter(|id| is_rid(id))?;
    let send = match words.next()? {
        "send" => true,
        "recv" => false,
        _ => return None,
    };
    let restrictions = words.next().unwrap_or_default().trim();
    let fits = restrictions
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic());
    fits.then(|| RidLine {
        rid: Rid::from(id),
        send,
        restrictions: restrictions.to_owned(),
    })
}

/// `a=simulcast` (RFC 8853 §5.1): `send q;h,h2;~f recv …`.
pub(super) fn simulcast(value: &str) -> Option<Simulcast> {
    let mut words = value.split_ascii_whitespace();
    let mut simulcast = Simulcast::default();
    while let Some(direction) = words.next() {
        let mut rids = Vec::new();
        for alternatives in words.next()?.split(';') {
            let (rid, paused) = first_alternative(alternatives);
            simulcast.paused.extend(paused.then(|| rid.clone()));
            rids.push(rid);
        }
        match direction {
            "send" => simulcast.send = rids,
            "recv" => simulcast.recv = rids,
            _ => return None,
        }
    }
    let bounded = simulcast.send.len().max(simulcast.recv.len()) <= MAX_ENCODINGS;
    bounded.then_some(simulcast)
}

/// `~` marks an encoding that begins paused; it is one all the same.
fn first_alternative(alternatives: &str) -> (Rid, bool) {
    let first = alternatives.split(',').next().unwrap_or_default();
    let name = first.trim_start_matches('~');
    (Rid::from(name), name.len() < first.len())
}

fn is_rid(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= MAX_TOKEN && text.bytes().all(allowed)
}

/// Printable and without blanks: fit to stand in a description of ours.
pub(super) fn is_graphic(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The longest value of a header extension in its two-byte form (RFC 8285 §4.3), which is where
/// mids and rids travel.
const MAX_TOKEN: usize = 255;

/// As many as there can be m-lines; a longer list would only cost time.
const MAX_BUNDLED: usize = 256;

/// Browsers send three encodings; each more costs state.
const MAX_ENCODINGS: usize = 16;
