//! What negotiation tells the media path to do.

use std::sync::Arc;

use super::direction::RtpTransceiverDirection;
use super::encodings::agreed_encodings;
use super::matching::{common_feedback, sent_extensions};
use super::sdp::{Section, SectionCodec};
use super::transceiver::{Encoding, Transceiver};
use crate::codec::RtpCodec;
use crate::rtp::{ExtensionMap, HeaderExtension, Mid, PayloadType, Rid, Ssrc};
use crate::track::{MediaKind, TrackId};

/// The whole of the negotiated media: one section for each m-line that carries RTP and is
/// not rejected. Replaces the plan before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MediaPlan {
    pub(crate) sections: Vec<MediaSection>,
}

/// One m-line of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaSection {
    pub(crate) mid: Mid,
    pub(crate) kind: MediaKind,
    /// Reduced-size RTCP was negotiated (RFC 5506).
    pub(crate) reduced_size_rtcp: bool,
    /// Whoever only receives may measure the round trip by extended reports (RFC 3611 §5.1).
    pub(crate) receiver_round_trip: bool,
    /// What we may send; `None` where the direction forbids it.
    pub(crate) send: Option<SendPlan>,
    /// The encodings that are sent besides that one.
    pub(crate) further: Vec<SendPlan>,
    /// What may arrive; `None` where the direction forbids it.
    pub(crate) receive: Option<ReceivePlan>,
}

/// One encoding of the sending half of an m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendPlan {
    /// The sender's track; `None` when it has none now.
    pub(crate) track: Option<TrackId>,
    /// Its name among our encodings.
    pub(crate) rid: Option<Rid>,
    /// The remote side takes it by this name, which its packets bear.
    pub(crate) is_named: bool,
    pub(crate) ssrc: Ssrc,
    pub(crate) rtx_ssrc: Option<Ssrc>,
    pub(crate) cname: Arc<str>,
    /// Negotiated codecs, preferred first, with the payload types that the remote side chose.
    pub(crate) codecs: Vec<NegotiatedCodec>,
    pub(crate) extensions: ExtensionMap,
}

impl MediaSection {
    /// All encodings that are sent.
    pub(crate) fn sends(&self) -> impl Iterator<Item = &SendPlan> {
        self.send.iter().chain(&self.further)
    }
}

/// The receiving half of an m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReceivePlan {
    pub(crate) track: TrackId,
    /// SSRCs that the remote description names for this m-line (`a=ssrc`), without RTX ones.
    pub(crate) ssrcs: Vec<Ssrc>,
    /// `(rtx, primary)` as `a=ssrc-group:FID` pairs them.
    pub(crate) rtx_ssrcs: Vec<(Ssrc, Ssrc)>,
    pub(crate) rids: Vec<Rid>,
    pub(crate) codecs: Vec<NegotiatedCodec>,
    pub(crate) extensions: ExtensionMap,
}

/// One codec as both sides agreed on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NegotiatedCodec {
    pub(crate) codec: Arc<RtpCodec>,
    pub(crate) payload_type: PayloadType,
    /// The payload type of its retransmissions (RFC 4588), where negotiated.
    pub(crate) rtx_payload_type: Option<PayloadType>,
}

/// The plan of one m-line, from the two descriptions that agree on it; `None` where it carries no
/// media.
pub(super) fn plan_section(
    transceiver: &Transceiver,
    local: &Section,
    remote: &Section,
    mixed: bool,
    cname: &Arc<str>,
) -> Option<MediaSection> {
    let mid = local.mid.clone()?;
    if local.rejected || remote.rejected || transceiver.stopped {
        return None;
    }
    let direction = match transceiver.current_direction {
        Some(direction) if !transceiver.stopping => direction,
        Some(_) | None => RtpTransceiverDirection::Inactive,
    };
    let mut sends = if direction.sends() {
        send_plans(transceiver, local, remote, mixed, cname)
    } else {
        Vec::new()
    }
    .into_iter();
    Some(MediaSection {
        mid,
        kind: transceiver.kind,
        reduced_size_rtcp: local.rtcp_rsize && remote.rtcp_rsize,
        receiver_round_trip: local.receiver_round_trip && remote.receiver_round_trip,
        send: sends.next(),
        further: sends.collect(),
        receive: direction
            .receives()
            .then(|| receive_plan(transceiver, local, remote, mixed)),
    })
}

/// One for each encoding that the remote side takes by name; else one, of the first encoding.
fn send_plans(
    transceiver: &Transceiver,
    local: &Section,
    remote: &Section,
    mixed: bool,
    cname: &Arc<str>,
) -> Vec<SendPlan> {
    let sender = &transceiver.sender;
    // What we send bears the numbers and follows the parameters of its reader (RFC 3264 §5.1).
    let codecs = negotiated_codecs(&remote.codecs, &local.codecs);
    let uses_rtx = codecs.iter().any(|c| c.rtx_payload_type.is_some());
    let mut extensions = sent_extensions(local, remote);
    // The one-byte form takes 16 bytes (RFC 8285 §4.2); longer mids go without.
    let mid_fits = local.mid.as_ref().is_some_and(|m| m.as_str().len() <= 16);
    extensions.retain(|(_, extension)| mid_fits || *extension != HeaderExtension::Mid);
    let named = extensions.iter().any(|(_, it)| *it == HeaderExtension::Rid);
    let mut rids = agreed_encodings(local, remote);
    rids.retain(|rid| named && sender.encoding(Some(rid)).is_some());
    let plan = |encoding: &Encoding| SendPlan {
        track: sender.track.as_ref().map(|track| track.id()),
        rid: encoding.rid.clone(),
        is_named: !rids.is_empty(),
        ssrc: encoding.ssrc,
        rtx_ssrc: uses_rtx.then_some(encoding.rtx_ssrc),
        cname: Arc::clone(cname),
        codecs: codecs.clone(),
        extensions: ExtensionMap {
            entries: extensions.clone(),
            mixed,
        },
    };
    if rids.is_empty() {
        return vec![plan(sender.first())];
    }
    let paused = |rid: &Rid| remote.simulcast.iter().any(|it| it.paused.contains(rid));
    let encodings = rids.iter().filter_map(|rid| sender.encoding(Some(rid)));
    let mut plans: Vec<_> = encodings.map(plan).collect();
    for plan in &mut plans {
        let rid = plan.rid.as_ref();
        plan.track.take_if(|_| rid.is_some_and(paused));
    }
    plans
}

fn receive_plan(
    transceiver: &Transceiver,
    local: &Section,
    remote: &Section,
    mixed: bool,
) -> ReceivePlan {
    let rids = local.simulcast.as_ref().map(|simulcast| &simulcast.recv);
    ReceivePlan {
        track: transceiver.receiver.track.id(),
        ssrcs: remote.primary_ssrcs(),
        rtx_ssrcs: (remote.flows.iter())
            .map(|&(primary, rtx)| (rtx, primary))
            .collect(),
        rids: rids.cloned().unwrap_or_default(),
        codecs: negotiated_codecs(&local.codecs, &remote.codecs),
        extensions: ExtensionMap {
            entries: sent_extensions(remote, local),
            mixed,
        },
    }
}

/// The codecs of the reader that the writer knows too, in the reader's order and with the
/// reader's numbers and parameters.
fn negotiated_codecs(reader: &[SectionCodec], writer: &[SectionCodec]) -> Vec<NegotiatedCodec> {
    let mut negotiated = Vec::new();
    for codec in reader {
        let Some(other) = writer.iter().find(|o| codec.codec.matches(&o.codec)) else {
            continue;
        };
        negotiated.push(NegotiatedCodec {
            codec: Arc::new(RtpCodec {
                feedback: common_feedback(&codec.codec, &other.codec),
                ..codec.codec.clone()
            }),
            payload_type: codec.payload_type,
            rtx_payload_type: codec
                .rtx_payload_type
                .filter(|_| other.rtx_payload_type.is_some()),
        });
    }
    negotiated
}
