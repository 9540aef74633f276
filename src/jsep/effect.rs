//! What negotiation asks of the actor around it.

use super::plan::MediaPlan;
use crate::codec::RtpCodec;
use crate::dtls::{DtlsRole, Fingerprint};
use crate::ice::{IceParameters, IceRole};
use crate::peer_connection::SignalingState;
use crate::rtp::Mid;
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

/// One thing to do or to tell, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsepEffect {
    /// To the owner.
    SignalingStateChanged(SignalingState),
    /// To the owner: an offer is due.
    NegotiationNeeded,
    /// To the owner: the remote side sends this track from now on.
    Track(MediaStreamTrack),
    /// To the owner: the remote side sends this track no more, perhaps for a while.
    TrackMuted(TrackId),
    /// To the owner: this remote track is over.
    TrackEnded(TrackId),
    /// To the owner: an m-line carries nothing since no codec is known to both sides. What each
    /// knows, preferred first.
    NoCommonCodec {
        mid: Mid,
        kind: MediaKind,
        local: Vec<RtpCodec>,
        remote: Vec<RtpCodec>,
    },
    /// To ICE: collect candidates. Comes once.
    StartGathering,
    /// To the media path: from now on, this.
    ApplyMedia(MediaPlan),
    /// To ICE: begin another session with these credentials beside the one that runs, and collect
    /// its candidates.
    RestartIce { local: IceParameters },
    /// To ICE: the session begun last will not come to be.
    AbandonIceRestart,
    /// To ICE and DTLS: both descriptions are known. Comes once, and again at the end of each
    /// exchange that restarts ICE; DTLS goes on then, unless it is over.
    StartTransports {
        ice_role: IceRole,
        remote_ice: IceParameters,
        remote_ice_lite: bool,
        dtls_role: DtlsRole,
        /// Any one of them must be the remote certificate's; never empty.
        fingerprints: Vec<Fingerprint>,
    },
    /// To ICE, for the session started last; only after `StartTransports`. `candidate:…` without
    /// `a=`.
    AddRemoteCandidate(String),
    /// To ICE; only after `StartTransports`.
    EndOfRemoteCandidates,
}
