//! Whose offer counts when both sides have made one (W3C webrtc-pc §10.7), and when to stop asking.

use std::collections::VecDeque;

use super::Politeness;
use crate::ice::IceCandidate;
use crate::jsep::{CandidateError, SdpType, SessionDescription};
use crate::peer_connection::SignalingState;

/// Decides; the shell talks to the peer connection.
///
/// W3C's example keeps two flags more, for operations that are under way: here each is one message to the
/// peer connection, carried out before the next thing is looked at.
#[derive(Debug)]
pub(super) struct NegotiationMachine {
    politeness: Politeness,
    /// The ICE session of our description that was sent last.
    described: Option<String>,
    /// The ICE sessions that the remote side has described, in offers that were taken or ignored.
    heard: VecDeque<String>,
    /// The offer that came last was ignored, and candidates of it may follow.
    ignoring: bool,
    /// Answers that could not be applied, since the last description that could.
    refusals: u8,
}

/// What to do with a description of the remote side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Our own offer stands.
    Ignore,
    Apply,
    ApplyAndAnswer,
}

impl NegotiationMachine {
    pub(super) fn new(politeness: Politeness) -> Self {
        Self {
            politeness,
            described: None,
            heard: VecDeque::new(),
            ignoring: false,
            refusals: 0,
        }
    }

    /// Whether to make an offer now. While an exchange is under way its end asks again.
    pub(super) fn handle_negotiation_needed(&self, state: SignalingState) -> bool {
        state == SignalingState::Stable && self.refusals < MAX_REFUSALS
    }

    pub(super) fn handle_description(
        &mut self,
        description: &SessionDescription,
        state: SignalingState,
    ) -> Decision {
        let is_offer = description.kind == SdpType::Offer;
        let collides = is_offer && state != SignalingState::Stable;
        self.ignoring = collides && self.politeness == Politeness::Impolite;
        self.remember_session(&description.sdp);
        match (self.ignoring, is_offer) {
            (true, _) => Decision::Ignore,
            (false, true) => Decision::ApplyAndAnswer,
            (false, false) => Decision::Apply,
        }
    }

    /// A description of ours is sent.
    pub(super) fn handle_described(&mut self, description: &SessionDescription) {
        self.described = username_fragment(&description.sdp);
    }

    /// Whether a candidate of ours is worth sending. One that was found for an offer which has been taken
    /// back meanwhile is nobody's; one that was found before is in the description that was sent.
    pub(super) fn handle_candidate_found(&self, candidate: &IceCandidate) -> bool {
        match (&self.described, &candidate.username_fragment) {
            (Some(described), Some(found)) => described == found,
            (None, _) | (_, None) => true,
        }
    }

    /// A description of the remote side was applied: it makes sense to talk to it.
    pub(super) fn handle_applied(&mut self) {
        self.refusals = 0;
    }

    /// A description of the remote side was refused; whether to take our offer back. An offer that has had a wrong
    /// answer gets no other, and would stand in the way of all that follow.
    pub(super) fn handle_refused(&mut self, kind: SdpType, state: SignalingState) -> bool {
        let answers = matches!(kind, SdpType::Answer | SdpType::Pranswer);
        let waiting = matches!(
            state,
            SignalingState::HaveLocalOffer | SignalingState::HaveRemotePranswer
        );
        if answers && waiting {
            self.refusals = self.refusals.saturating_add(1);
        }
        answers && waiting
    }

    /// Whether a candidate that was refused is worth a word. Those of an offer that was ignored are not, and those of
    /// a session that is over neither: browsers send them when the next one has begun.
    pub(super) fn handle_candidate_refused(&self, error: &CandidateError) -> bool {
        let comes_late = match error {
            CandidateError::UnknownUsernameFragment { username_fragment } => {
                self.heard.contains(username_fragment)
            }
            CandidateError::Call(_)
            | CandidateError::Closed
            | CandidateError::MissingMediaLine
            | CandidateError::UnknownMid { .. }
            | CandidateError::UnknownMediaLineIndex { .. }
            | CandidateError::Malformed { .. }
            | CandidateError::TooMany { .. } => false,
        };
        !self.ignoring && !comes_late
    }

    fn remember_session(&mut self, sdp: &str) {
        let described = username_fragment(sdp).filter(|it| !self.heard.contains(it));
        self.heard.extend(described);
        if self.heard.len() > MAX_HEARD {
            self.heard.pop_front();
        }
    }
}

/// All m-lines share one transport: the first that names a session names that of all.
fn username_fragment(sdp: &str) -> Option<String> {
    let mut lines = sdp.lines();
    let fragment = lines.find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    fragment
        .filter(|fragment| fragment.len() <= 256)
        .map(ToOwned::to_owned)
}

/// Candidates of an older one are not on their way any more.
const MAX_HEARD: usize = 8;

/// A remote side that answers wrongly again and again is offered nothing more until it says something that
/// makes sense.
const MAX_REFUSALS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use SignalingState::{
        HaveLocalOffer, HaveLocalPranswer, HaveRemoteOffer, HaveRemotePranswer, Stable,
    };

    fn described(kind: SdpType, username_fragment: &str) -> SessionDescription {
        let sdp = format!("v=0\r\na=ice-ufrag:{username_fragment}\r\na=ice-ufrag:other\r\n");
        SessionDescription { kind, sdp }
    }

    fn unknown(username_fragment: &str) -> CandidateError {
        CandidateError::UnknownUsernameFragment {
            username_fragment: username_fragment.to_owned(),
        }
    }

    #[test]
    fn c101_only_the_impolite_side_ignores_and_only_an_offer_that_meets_its_own() {
        let table = [
            (SdpType::Offer, Stable, false),
            (SdpType::Offer, HaveLocalOffer, true),
            (SdpType::Offer, HaveRemotePranswer, true),
            (SdpType::Answer, HaveLocalOffer, false),
            (SdpType::Pranswer, HaveLocalOffer, false),
            (SdpType::Rollback, HaveRemoteOffer, false),
        ];
        for (kind, state, collides) in table {
            let expected = if kind == SdpType::Offer {
                Decision::ApplyAndAnswer
            } else {
                Decision::Apply
            };
            let given = described(kind, "abcd");
            let mut polite = NegotiationMachine::new(Politeness::Polite);
            assert_eq!(polite.handle_description(&given, state), expected);
            let mut impolite = NegotiationMachine::new(Politeness::Impolite);
            let expected = if collides { Decision::Ignore } else { expected };
            assert_eq!(impolite.handle_description(&given, state), expected);
        }
    }

    #[test]
    fn candidates_of_sessions_that_were_heard_of_are_never_worth_a_word_nor_others_after_an_ignored_offer()
     {
        let mut machine = NegotiationMachine::new(Politeness::Impolite);
        let malformed = CandidateError::Malformed { part: "port" };
        assert!(machine.handle_candidate_refused(&unknown("abcd")));
        machine.handle_description(&described(SdpType::Offer, "abcd"), HaveLocalOffer);
        assert!(!machine.handle_candidate_refused(&unknown("abcd")));
        assert!(!machine.handle_candidate_refused(&malformed));
        machine.handle_description(&described(SdpType::Answer, "efgh"), HaveLocalOffer);
        assert!(!machine.handle_candidate_refused(&unknown("abcd")));
        assert!(!machine.handle_candidate_refused(&unknown("efgh")));
        assert!(machine.handle_candidate_refused(&unknown("ijkl")));
        assert!(machine.handle_candidate_refused(&malformed));
        for number in 0..100 {
            let fragment = number.to_string();
            machine.handle_description(&described(SdpType::Offer, &fragment), HaveLocalOffer);
        }
        assert_eq!(machine.heard.len(), MAX_HEARD);
    }

    #[test]
    fn candidates_go_with_the_description_that_was_sent_last() {
        let found = |fragment: Option<&str>| IceCandidate {
            username_fragment: fragment.map(ToOwned::to_owned),
            ..IceCandidate::default()
        };
        let mut machine = NegotiationMachine::new(Politeness::Polite);
        assert!(machine.handle_candidate_found(&found(Some("abcd"))));
        machine.handle_described(&described(SdpType::Offer, "abcd"));
        assert!(machine.handle_candidate_found(&found(Some("abcd"))));
        assert!(machine.handle_candidate_found(&found(None)));
        assert!(!machine.handle_candidate_found(&found(Some("efgh"))));
    }

    #[test]
    fn an_offer_is_made_in_stable_only() {
        let machine = NegotiationMachine::new(Politeness::Polite);
        assert!(machine.handle_negotiation_needed(Stable));
        for state in [
            HaveLocalOffer,
            HaveRemoteOffer,
            HaveLocalPranswer,
            HaveRemotePranswer,
            SignalingState::Closed,
        ] {
            assert!(!machine.handle_negotiation_needed(state));
        }
    }

    #[test]
    fn after_three_wrong_answers_nothing_is_offered_until_something_makes_sense() {
        let mut machine = NegotiationMachine::new(Politeness::Impolite);
        for _ in 0..MAX_REFUSALS {
            assert!(machine.handle_negotiation_needed(Stable));
            assert!(machine.handle_refused(SdpType::Answer, HaveLocalOffer));
        }
        assert!(!machine.handle_negotiation_needed(Stable));
        assert!(!machine.handle_refused(SdpType::Offer, Stable));
        assert!(!machine.handle_refused(SdpType::Answer, Stable));
        machine.handle_applied();
        assert!(machine.handle_negotiation_needed(Stable));
    }
}
