//! Offers, answers and what they decide (RFC 9429). Pure.

mod answer;
mod apply;
mod candidates;
mod credentials;
mod description;
mod direction;
mod effect;
mod encodings;
mod error;
mod machine;
mod matching;
mod negotiation_needed;
mod offer;
mod parameters;
mod plan;
mod remote;
mod rollback;
mod sdp;
#[cfg(test)]
mod tests;
mod transceiver;
mod transceivers;
mod validate;

pub use self::description::{SdpType, SessionDescription};
pub use self::direction::RtpTransceiverDirection;
pub(crate) use self::effect::JsepEffect;
pub use self::error::{
    CandidateError, MediaLine, NegotiationError, ParametersError, TransceiverError,
};
pub(crate) use self::machine::{Jsep, JsepArguments};
pub use self::parameters::{
    RtcpParameters, RtpCodecParameters, RtpEncodingParameters, RtpSendParameters, TransactionId,
};
#[cfg(any(test, fuzzing))]
pub(crate) use self::plan::MediaSection;
pub(crate) use self::plan::{MediaPlan, NegotiatedCodec, ReceivePlan, SendPlan};
#[cfg(any(test, fuzzing, feature = "signaling"))]
pub(crate) use self::sdp::Description;
pub use self::transceiver::{
    ReceiverId, RtpReceiver, RtpSender, RtpTransceiver, RtpTransceiverInit, SenderId, TrackOrKind,
    TransceiverId,
};
