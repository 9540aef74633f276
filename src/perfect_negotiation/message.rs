//! What a negotiator is told, and what it tells.

use serde::{Deserialize, Serialize};

use crate::ice::IceCandidate;
use crate::jsep::{CandidateError, NegotiationError, SdpType, SessionDescription};
use crate::peer_connection::PeerId;

/// Mailbox of a negotiator.
#[derive(Debug)]
pub(crate) enum PerfectNegotiationMessage {
    /// The remote side has said this; from the owner's signalling.
    Received(SignalingMessage),
    /// The peer connection needs an offer; its owner passes it on.
    NegotiationNeeded,
    /// The peer connection has found a candidate, or all; its owner passes it on.
    CandidateFound(Option<IceCandidate>),
    /// The peer connection is gone, or the owner has no more use for the negotiator.
    Stop,
}

/// What the two sides tell each other. Its JSON is that of the example in W3C's text: `{"description": {…}}`,
/// `{"candidate": {…}}`, and `{"candidate": null}` when no more will come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SignalingMessage {
    /// An offer or an answer.
    Description(SessionDescription),
    /// An address to try; `None` after the last.
    Candidate(Option<IceCandidate>),
}

/// News of one negotiator, as it arrives in its owner's mailbox.
///
/// An actor becomes the owner of one by having `From<PerfectNegotiationEvent>` for its message type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PerfectNegotiationEvent {
    /// Whose negotiation it is.
    pub peer: PeerId,
    /// What happened.
    pub event: NegotiationEvent,
}

/// What happened to a negotiation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NegotiationEvent {
    /// To be carried to the remote side, in this order.
    Send(SignalingMessage),
    /// Something could not be applied. The negotiation goes on without it.
    Failed(PerfectNegotiationError),
}

/// What went wrong in a negotiation, and whose doing it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PerfectNegotiationError {
    /// What the remote side described was refused. Where it was an answer, our offer has been taken back and is
    /// made again, three times at most in a row.
    #[error("the {kind} of the remote side was refused")]
    RemoteDescription {
        /// What it was.
        kind: SdpType,
        /// Why.
        #[source]
        error: NegotiationError,
    },
    /// A candidate of the remote side was refused.
    #[error("a candidate of the remote side was refused")]
    Candidate(#[source] CandidateError),
    /// No offer or answer could be made: somebody else negotiates on the same peer connection, or it does
    /// not answer.
    #[error("no description of ours could be applied")]
    LocalDescription(#[source] NegotiationError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signalling_is_the_json_of_the_example_in_the_standard() {
        let described = SignalingMessage::Description(SessionDescription::offer("v=0"));
        let found = SignalingMessage::Candidate(Some(IceCandidate::default()));
        let texts = [
            (described, r#"{"description":{"type":"offer","sdp":"v=0"}}"#),
            (SignalingMessage::Candidate(None), r#"{"candidate":null}"#),
        ];
        for (message, text) in texts {
            assert_eq!(serde_json::to_string(&message).unwrap(), text);
            assert_eq!(
                serde_json::from_str::<SignalingMessage>(text).unwrap(),
                message
            );
        }
        let of_a_browser = r#"{"candidate":{"candidate":"","sdpMid":null,"sdpMLineIndex":null}}"#;
        assert_eq!(
            serde_json::from_str::<SignalingMessage>(of_a_browser).unwrap(),
            found
        );
    }
}
