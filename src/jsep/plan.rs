//! What negotiation tells the media path to do.

use std::sync::Arc;

use crate::codec::RtpCodec;
use crate::rtp::{ExtensionMap, Mid, PayloadType, Rid, Ssrc};
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
    /// What we may send; `None` where the direction forbids it.
    pub(crate) send: Option<SendPlan>,
    /// What may arrive; `None` where the direction forbids it.
    pub(crate) receive: Option<ReceivePlan>,
}

/// The sending half of an m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SendPlan {
    /// The sender's track; `None` when it has none now.
    pub(crate) track: Option<TrackId>,
    pub(crate) ssrc: Ssrc,
    pub(crate) rtx_ssrc: Option<Ssrc>,
    pub(crate) cname: Arc<str>,
    /// Negotiated codecs, preferred first, with the payload types that the remote side chose.
    pub(crate) codecs: Vec<NegotiatedCodec>,
    pub(crate) extensions: ExtensionMap,
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
