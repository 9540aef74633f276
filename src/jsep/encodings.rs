//! Several encodings of what a sender sends (simulcast, RFC 8853).

use super::error::TransceiverError;
use super::machine::Jsep;
use super::parameters::{RtpEncodingParameters, check_of_the_encoder};
use super::sdp::{RidLine, Section, Simulcast};
use super::transceiver::Encoding;
use crate::rtp::{HeaderExtension, Rid};
use crate::track::MediaKind;

impl Jsep {
    /// Gives a new sender its encodings.
    pub(super) fn encode(&mut self, index: usize, encodings: Vec<RtpEncodingParameters>) {
        for (number, parameters) in encodings.into_iter().enumerate() {
            if number > 0 {
                let ssrcs = self.fresh_ssrcs();
                let sender = &mut self.transceivers[index].sender;
                sender.encodings.push(Encoding::new(ssrcs));
            }
            let encoding = &mut self.transceivers[index].sender.encodings[number];
            encoding.rid = parameters.rid;
            encoding.active = parameters.active;
            encoding.codec = parameters.codec;
        }
    }
}

/// The encodings of a new sender, as W3C §5.1 (`addTransceiver`) makes them of what was given.
pub(super) fn check_encodings(
    kind: MediaKind,
    mut given: Vec<RtpEncodingParameters>,
) -> Result<Vec<RtpEncodingParameters>, TransceiverError> {
    let invalid = |problem| Err(TransceiverError::InvalidEncodings { problem });
    for (index, encoding) in given.iter().enumerate() {
        if check_of_the_encoder(encoding).is_err() {
            return invalid("rates and sizes are for an encoder, and nothing is encoded here");
        }
        let Some(rid) = &encoding.rid else {
            if given.len() > 1 {
                return invalid("all of several encodings need a name");
            }
            continue;
        };
        if !is_short_rid(rid) {
            return invalid("a name has one to sixteen letters and digits");
        }
        if given[..index].iter().any(|it| it.rid.as_ref() == Some(rid)) {
            return invalid("two encodings have the same name");
        }
    }
    given.truncate(match kind {
        MediaKind::Audio => 1,
        MediaKind::Video => MAX_ENCODINGS,
    });
    if let [only] = &mut given[..] {
        only.rid = None;
    }
    Ok(given)
}

/// What every reader of RFC 8851 takes (older ones know neither `-` nor `_`), and what fits the one-byte form
/// of a header extension (RFC 8285 §4.2).
fn is_short_rid(rid: &Rid) -> bool {
    let text = rid.as_str();
    (1..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Says in a description of ours that these encodings are sent. Packets name theirs, so no SSRC is told.
pub(super) fn announce(section: &mut Section, rids: Vec<Rid>) {
    let lines = rids.iter().map(|rid| RidLine {
        rid: rid.clone(),
        send: true,
        restrictions: String::new(),
    });
    section.rids.extend(lines);
    section.simulcast.get_or_insert_default().send = rids;
}

/// Asks once more for the encodings that an m-line of ours has asked for before: an offer that does not ask for them any more makes
/// a browser send only the first.
pub(super) fn ask_again(section: &mut Section, before: &Section) {
    let Some(simulcast) = before.simulcast.as_ref().filter(|it| !it.recv.is_empty()) else {
        return;
    };
    let lines = before.rids.iter().filter(|line| !line.send);
    section.rids.extend(lines.cloned());
    section.simulcast.get_or_insert_default().recv = simulcast.recv.clone();
}

/// Whether packets of this m-line can say which encoding they are of.
pub(super) fn names_encodings(section: &Section) -> bool {
    let mut extensions = section.extensions.iter();
    extensions.any(|it| it.extension == HeaderExtension::Rid)
}

/// The encodings that this side takes by name.
pub(super) fn taken_encodings(section: &Section) -> Vec<Rid> {
    let simulcast = section.simulcast.as_ref();
    let listed = simulcast.map_or(&[][..], |simulcast| &simulcast.recv);
    let declared = |rid: &&Rid| {
        let mut lines = section.rids.iter();
        lines.any(|line| !line.send && line.rid == **rid)
    };
    listed.iter().filter(declared).cloned().collect()
}

/// The encodings that one side sends and the other takes, in the order of the sender.
pub(super) fn agreed_encodings(sender: &Section, receiver: &Section) -> Vec<Rid> {
    let simulcast = sender.simulcast.as_ref();
    let sent = simulcast.map_or(&[][..], |simulcast: &Simulcast| &simulcast.send);
    let taken = taken_encodings(receiver);
    sent.iter()
        .filter(|rid| taken.contains(rid))
        .cloned()
        .collect()
}

/// Browsers send three; each is a stream with a history.
const MAX_ENCODINGS: usize = 8;
