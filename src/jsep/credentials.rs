//! Our ICE credentials, and when they change (W3C `restartIce()`, RFC 9429 §5.2.2, RFC 8839 §4.4.1.1.1).

use crate::ice::IceParameters;

/// The ICE credentials of our side: a set for each ICE session, two sessions at most at a time.
#[derive(Debug)]
pub(super) struct LocalCredentials {
    /// Of the session in force, or of the first one that is gathered for.
    current: IceParameters,
    /// Of a restart that a description of ours has begun and no exchange has concluded.
    begun: Option<IceParameters>,
    /// Of the restart to come; kept, so that whatever is made until then says the same.
    next: Option<IceParameters>,
    /// The username fragments that are not wanted any more (W3C `[[LocalIceCredentialsToReplace]]`).
    to_replace: Vec<String>,
}

impl LocalCredentials {
    pub(super) fn new(first: IceParameters) -> Self {
        Self {
            current: first,
            begun: None,
            next: None,
            to_replace: Vec::new(),
        }
    }

    /// Of the session that was gathered for last.
    pub(super) fn latest(&self) -> &IceParameters {
        self.begun.as_ref().unwrap_or(&self.current)
    }

    /// Whether one of the two sessions has this fragment.
    pub(super) fn knows(&self, username_fragment: &str) -> bool {
        let both = [Some(&self.current), self.begun.as_ref()];
        let mut known = both.into_iter().flatten();
        known.any(|known| known.username_fragment == username_fragment)
    }

    /// What an offer says now: something new where a restart is due.
    pub(super) fn for_offer(&mut self) -> IceParameters {
        if self.to_replace.contains(&self.latest().username_fragment) {
            return self.fresh();
        }
        self.latest().clone()
    }

    /// What an answer says now. `restarts`: the offer does, so the answer has to.
    pub(super) fn for_answer(&mut self, restarts: bool) -> IceParameters {
        match (restarts, &self.begun) {
            (false, _) => self.current.clone(),
            // A provisional answer has said so already.
            (true, Some(begun)) => begun.clone(),
            (true, None) => self.fresh(),
        }
    }

    /// A description with these credentials is applied; whether that begins another session.
    pub(super) fn begin(&mut self, used: &IceParameters) -> bool {
        if used == self.latest() {
            return false;
        }
        self.begun = Some(used.clone());
        self.next = None;
        true
    }

    /// Whether a restart has begun and waits for the end of its exchange.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// The exchange that began a restart has come to nothing; whether there was one.
    pub(super) fn abandon(&mut self) -> bool {
        self.begun.take().is_some()
    }

    /// The exchange that began a restart is agreed on; whether there was one.
    pub(super) fn conclude(&mut self) -> bool {
        let Some(begun) = self.begun.take() else {
            return false;
        };
        self.current = begun;
        if !self.to_replace.contains(&self.current.username_fragment) {
            self.to_replace.clear();
        }
        true
    }

    /// From now on offers have other credentials than any before.
    pub(super) fn replace_all(&mut self) {
        let both = [Some(&self.current), self.begun.as_ref()];
        let both = both.into_iter().flatten();
        self.to_replace = both.map(|ice| ice.username_fragment.clone()).collect();
        self.next = None;
    }

    /// Whether an offer with other credentials is due.
    pub(super) fn restart_is_due(&self) -> bool {
        !self.to_replace.is_empty()
    }

    fn fresh(&mut self) -> IceParameters {
        self.next
            .get_or_insert_with(IceParameters::generate)
            .clone()
    }
}
