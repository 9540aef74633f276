//! What a request means to an ICE session (RFC 9725 §4.3).

use super::etag::{EntityTag, IfMatch};
use crate::signaling::broadcaster::error::PatchError;
use crate::signaling::sdpfrag::{IceCredentials, SdpFragment};

/// The ICE session that runs, as requests name it.
#[derive(Debug)]
pub(super) struct SessionMachine {
    etag: EntityTag,
    /// Of the client.
    username_fragment: String,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Take the candidates.
    Trickle,
    /// Restart ICE with these credentials of the client.
    Restart(IceCredentials),
}

impl SessionMachine {
    pub(super) fn new(credentials: IceCredentials) -> Self {
        Self {
            etag: EntityTag::generate(),
            username_fragment: credentials.username_fragment,
        }
    }

    pub(super) fn etag(&self) -> EntityTag {
        self.etag
    }

    /// The client's part of the session that runs.
    pub(super) fn username_fragment(&self) -> &str {
        &self.username_fragment
    }

    /// Other credentials ask for a restart, whatever `If-Match` says, as long as it matches (RFC 9725 §4.3.3).
    pub(super) fn handle_patch(
        &self,
        if_match: &IfMatch,
        fragment: &SdpFragment,
    ) -> Result<Decision, PatchError> {
        if *if_match == IfMatch::Missing {
            return Err(PatchError::PreconditionRequired);
        }
        if !if_match.matches(self.etag) {
            return Err(PatchError::PreconditionFailed);
        }
        let same = |given: &IceCredentials| given.username_fragment == self.username_fragment;
        Ok(match fragment.credentials()? {
            Some(given) if !same(&given) => Decision::Restart(given),
            Some(_) | None => Decision::Trickle,
        })
    }

    /// From now on requests name another ICE session.
    pub(super) fn handle_restarted(&mut self, credentials: IceCredentials) {
        *self = Self::new(credentials);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(username_fragment: &str) -> IceCredentials {
        IceCredentials {
            username_fragment: username_fragment.to_owned(),
            password: "P2uYro0UCOQ4zxjKXaWCBui1".to_owned(),
        }
    }

    fn fragment(username_fragment: &str) -> SdpFragment {
        let text = format!("a=ice-ufrag:{username_fragment}\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1");
        text.parse().unwrap()
    }

    fn tag(machine: &SessionMachine) -> IfMatch {
        IfMatch::read([&*machine.etag().to_string()])
    }

    #[test]
    fn candidates_name_the_session_that_they_are_for() {
        let machine = SessionMachine::new(credentials("EsAw"));
        for fragment in [fragment("EsAw"), SdpFragment::default()] {
            for if_match in [tag(&machine), IfMatch::Any] {
                let decision = machine.handle_patch(&if_match, &fragment);
                assert_eq!(decision, Ok(Decision::Trickle));
            }
            let unnamed = machine.handle_patch(&IfMatch::Missing, &fragment);
            assert_eq!(unnamed, Err(PatchError::PreconditionRequired));
            let other = machine.handle_patch(&IfMatch::read(["\"0\""]), &fragment);
            assert_eq!(other, Err(PatchError::PreconditionFailed));
        }
    }

    #[test]
    fn other_credentials_restart_and_late_candidates_of_before_do_not() {
        let mut machine = SessionMachine::new(credentials("EsAw"));
        let before = tag(&machine);
        let restart = Ok(Decision::Restart(credentials("ysXw")));
        assert_eq!(
            machine.handle_patch(&IfMatch::Any, &fragment("ysXw")),
            restart
        );
        assert_eq!(machine.handle_patch(&before, &fragment("ysXw")), restart);
        machine.handle_restarted(credentials("ysXw"));
        let late = machine.handle_patch(&before, &fragment("EsAw"));
        assert_eq!(late, Err(PatchError::PreconditionFailed));
        let decision = machine.handle_patch(&tag(&machine), &fragment("ysXw"));
        assert_eq!(decision, Ok(Decision::Trickle));
    }
}
