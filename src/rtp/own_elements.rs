//! What a sender says of itself in the header extensions of its packets (RFC 8285), beside what it hands on.

use super::element::{
    ElementForm, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, fits_one_byte, write_element,
};
use super::extension::HeaderExtension;
use super::playout_delay::PlayoutDelay;
use super::types::{Mid, Rid};
use crate::codec::RtcpFeedback;
use crate::jsep::{NegotiatedCodec, SendPlan};

/// What the packets of one stream say, and under which identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnElements {
    mid: Mid,
    mid_id: Option<u8>,
    /// Which encoding of several.
    rid: Option<Rid>,
    /// Under which identifiers a packet says so, and one that repeats another.
    rid_ids: [Option<u8>; 2],
    /// Of the transport-wide number, where packets of this stream have one.
    transport_id: Option<u8>,
    /// Of the delay that receivers of this stream may be asked for.
    playout_id: Option<u8>,
    /// Whether elements may be written that do not fit the short form.
    allows_two_byte: bool,
}

/// What one packet says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    /// The number among all packets of the transport.
    pub(super) transport: Option<u16>,
    /// How long its receiver is asked to wait, unless what is handed on says that already.
    pub(super) playout: Option<PlayoutDelay>,
    /// In the stream of retransmissions.
    pub(super) repeats: bool,
}

impl OwnElements {
    pub(super) fn new(mid: &Mid, plan: &SendPlan) -> Self {
        let id = |extension| plan.extensions.id(&extension);
        Self {
            mid: mid.clone(),
            mid_id: id(HeaderExtension::Mid),
            rid: plan.rid.clone().filter(|_| plan.is_named),
            rid_ids: [HeaderExtension::Rid, HeaderExtension::RepairedRid].map(id),
            transport_id: transport_id(plan),
            playout_id: playout_id(plan),
            allows_two_byte: plan.extensions.allows_two_byte(),
        }
    }

    /// Whether packets of the stream have a number among all of the transport.
    pub(super) fn has_transport_number(&self) -> bool {
        self.transport_id.is_some()
    }

    /// Appends the header extension, with the elements that are `kept` of the packet's own; says whether there is anything to say.
    pub(super) fn write<'a>(
        &self,
        said: Said,
        kept: impl Iterator<Item = (u8, &'a [u8])> + Clone,
        slab: &mut Vec<u8>,
    ) -> bool {
        let mid = self.mid_id.map(|id| (id, self.mid.as_str().as_bytes()));
        let rid = self.rid.as_ref().map(|rid| rid.as_str().as_bytes());
        let rid = self.rid_ids[usize::from(said.repeats)].zip(rid);
        let number = said.transport.map(u16::to_be_bytes);
        let number = self.transport_id.zip(number.as_ref());
        let number = number.map(|(id, number)| (id, &number[..]));
        let playout = said.playout.map(PlayoutDelay::to_bytes);
        let playout = self.playout_id.zip(playout.as_ref());
        let playout = playout.filter(|(own, _)| !kept.clone().any(|(id, _)| id == *own));
        let playout = playout.map(|(id, delay)| (id, &delay[..]));
        let own = || mid.into_iter().chain(rid).chain(number).chain(playout);
        let fits = |id, value: &[u8]| fits_one_byte(id, value.len());
        let all_fit = own().all(|(id, value)| fits(id, value))
            && kept.clone().all(|(id, value)| fits(id, value));
        let form = if self.allows_two_byte && !all_fit {
            ElementForm::TwoByte
        } else {
            ElementForm::OneByte
        };
        let start = slab.len();
        let profile = match form {
            ElementForm::TwoByte => TWO_BYTE_PROFILE,
            ElementForm::OneByte | ElementForm::None => ONE_BYTE_PROFILE,
        };
        slab.extend_from_slice(&profile.to_be_bytes());
        slab.extend_from_slice(&[0, 0]);
        let mut write = |(id, value): (u8, &[u8])| {
            if form == ElementForm::TwoByte || fits(id, value) {
                write_element(form, id, value, slab);
            }
        };
        own().for_each(&mut write);
        kept.for_each(write);
        if slab.len() == start + 4 {
            slab.truncate(start);
            return false;
        }
        slab.resize(start + (slab.len() - start).next_multiple_of(4), 0);
        // The elements came out of one packet: far less than 65 535 words.
        let words = (slab.len() - start) / 4 - 1;
        slab[start + 2..start + 4].copy_from_slice(&(words as u16).to_be_bytes());
        true
    }
}

/// The element of the transport-wide number, where packets are to have one. What is sent again as it was cannot get
/// another number: a stream that may have to goes without.
fn transport_id(plan: &SendPlan) -> Option<u8> {
    let repeats_plainly = |it: &NegotiatedCodec| {
        it.codec.feedback.contains(&RtcpFeedback::Nack) && it.rtx_payload_type.is_none()
    };
    let counts = |it: &NegotiatedCodec| it.codec.feedback.contains(&RtcpFeedback::TransportCc);
    let codecs = &plan.codecs;
    let is_counted = codecs.iter().any(counts) && !codecs.iter().any(repeats_plainly);
    let id = plan.extensions.id(&HeaderExtension::TransportWideCc);
    id.filter(|_| is_counted)
}

/// The element in which a receiver of pictures is asked to wait. What is sent again as it was cannot say anything new.
fn playout_id(plan: &SendPlan) -> Option<u8> {
    plan.rtx_ssrc?;
    plan.extensions.id(&HeaderExtension::PlayoutDelay)
}
