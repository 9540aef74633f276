//! Candidates of both sides, between signalling and ICE (RFC 8838, RFC 8840).

use std::collections::HashSet;

use super::credentials::LocalCredentials;
use super::effect::JsepEffect;
use super::error::CandidateError;
use super::machine::Jsep;
use super::sdp::Description;
use crate::ice::IceCandidate;
use crate::peer_connection::SignalingState;

/// What ICE has gathered, for each ICE session of ours.
#[derive(Debug, Default)]
pub(super) struct LocalCandidates {
    sessions: Vec<Gathered>,
}

/// What ICE has gathered for one session.
#[derive(Debug)]
pub(super) struct Gathered {
    username_fragment: String,
    /// `candidate:…`.
    pub(super) list: Vec<String>,
    pub(super) complete: bool,
}

/// What the remote side has told. Candidates wait here until both descriptions are known.
#[derive(Debug, Default)]
pub(super) struct RemoteCandidates {
    waiting: Vec<Waiting>,
    /// Handed to ICE; never again, however often they come. Bounded by the limits.
    told: HashSet<String>,
    end_told: bool,
}

#[derive(Debug)]
struct Waiting {
    line: Line,
    username_fragment: Option<String>,
    /// Empty: no more will come.
    candidate: String,
}

/// The m-line a candidate says it belongs to.
#[derive(Debug)]
enum Line {
    Mid(String),
    Index(u16),
    /// End of candidates for all.
    All,
}

impl Jsep {
    /// Takes a candidate of the remote side. Before the remote description they wait, as many as the limits say,
    /// and are dropped if they turn out to belong to another ICE session.
    pub(crate) fn add_ice_candidate(
        &mut self,
        candidate: IceCandidate,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), CandidateError> {
        if self.state == SignalingState::Closed {
            return Err(CandidateError::Closed);
        }
        let waiting = Waiting::read(candidate)?;
        self.check_belongs(&waiting)?;
        if !self.is_of_running_session(&waiting) {
            let limit = self.limits.remote_candidates;
            return self.remote_candidates.keep(waiting, limit);
        }
        self.tell_candidate(&waiting, effects)
    }

    /// Against the remote descriptions there are; without one it has to wait.
    fn check_belongs(&self, candidate: &Waiting) -> Result<(), CandidateError> {
        let described = [&self.pending.remote, &self.current.remote];
        let mut described = described.into_iter().flatten().peekable();
        let Some(latest) = described.peek() else {
            return Ok(());
        };
        candidate.line.check(&latest.description)?;
        // The answer to a restart of ours brings a fragment that nobody knows yet; the session that runs
        // goes on while no m-line is in use that could name it.
        let known = self.credentials.has_begun()
            || self.is_of_running_session(candidate)
            || described.any(|applied| candidate.belongs_to(&applied.description));
        if !known {
            let username_fragment = candidate.username_fragment.clone().unwrap_or_default();
            return Err(CandidateError::UnknownUsernameFragment { username_fragment });
        }
        Ok(())
    }

    /// Without a fragment it belongs to the latest remote description (W3C §4.4.2).
    fn is_of_running_session(&self, candidate: &Waiting) -> bool {
        let Some(running) = &self.transport else {
            return false;
        };
        if let Some(fragment) = &candidate.username_fragment {
            return *fragment == running.remote.ice.username_fragment;
        }
        let latest = [&self.pending.remote, &self.current.remote];
        let latest = latest.into_iter().flatten().next();
        !self.restarts(latest.and_then(|applied| applied.transport.as_ref()))
    }

    /// Takes a candidate that ICE has gathered (`candidate:…`) for the session of this username
    /// fragment, and says what to carry to the remote side. `None`: that session is over.
    pub(crate) fn add_local_candidate(
        &mut self,
        candidate: String,
        username_fragment: String,
    ) -> Option<IceCandidate> {
        if !self.credentials.knows(&username_fragment) {
            return None;
        }
        let gathered = self.local_candidates.of_mut(&username_fragment);
        gathered.list.push(candidate.clone());
        let latest = [&self.pending.local, &self.current.local];
        let latest = latest.into_iter().flatten().next();
        // Where all m-lines are rejected the first one stands for the transport that was to be.
        let index = latest.and_then(|applied| applied.description.tagged());
        let index = index.unwrap_or(0);
        let section = latest.and_then(|applied| applied.description.sections.get(index));
        let mid = section.and_then(|section| section.mid.as_ref());
        Some(IceCandidate {
            candidate,
            sdp_mid: mid.map(ToString::to_string),
            sdp_m_line_index: u16::try_from(index).ok(),
            username_fragment: Some(username_fragment),
        })
    }

    /// From now on local descriptions of the latest session say `a=end-of-candidates`. Whether that
    /// is news.
    pub(crate) fn local_gathering_complete(&mut self) -> bool {
        let latest = &self.credentials.latest().username_fragment;
        let gathered = self.local_candidates.of_mut(latest);
        !std::mem::replace(&mut gathered.complete, true)
    }

    /// Hands over what the latest remote description has, and what waited for it.
    pub(super) fn tell_candidates(&mut self, effects: &mut Vec<JsepEffect>) {
        let Some((_, remote)) = self.agreed.clone() else {
            return;
        };
        // Those of a provisional answer to a restart wait for the final one.
        if self.transport.is_none() || self.restarts(remote.transport.as_ref()) {
            return;
        }
        let Some(index) = self.tagged_line() else {
            return;
        };
        let transport = &remote.description.sections[index].transport;
        let line = || Line::Index(u16::try_from(index).unwrap_or(u16::MAX));
        let described = transport.candidates.iter().cloned();
        let end = transport.end_of_candidates.then(String::new);
        let described = described.map(|candidate| Waiting {
            line: line(),
            username_fragment: None,
            candidate,
        });
        let end = end.map(|candidate| Waiting {
            line: line(),
            username_fragment: None,
            candidate,
        });
        let waiting = std::mem::take(&mut self.remote_candidates.waiting);
        for candidate in described.chain(waiting).chain(end) {
            let fits = check_text(&candidate.candidate).is_ok();
            if fits && candidate.belongs_to(&remote.description) {
                // Beyond the limit they are passed over: the description itself is in order.
                let _full = self.tell_candidate(&candidate, effects);
            }
        }
    }

    /// The m-line whose transport all share: where a remote side gathers for each m-line, the
    /// candidates of the others lead to transports that the answer has closed
    /// (RFC 9143 §7.3.1).
    fn tagged_line(&self) -> Option<usize> {
        self.last_answer()?.tagged()
    }

    fn tell_candidate(
        &mut self,
        candidate: &Waiting,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), CandidateError> {
        let Some((_, remote)) = &self.agreed else {
            return Ok(());
        };
        let line = match &candidate.line {
            Line::All => self.tagged_line(),
            Line::Index(index) => Some(usize::from(*index)),
            Line::Mid(mid) => remote.description.position(&mid.as_str().into()),
        };
        if line.is_none() || line != self.tagged_line() {
            return Ok(());
        }
        let limit = self.limits.remote_candidates;
        self.remote_candidates
            .tell(&candidate.candidate, limit, effects)
    }
}

impl LocalCandidates {
    pub(super) fn of(&self, username_fragment: &str) -> Option<&Gathered> {
        let mut sessions = self.sessions.iter();
        sessions.find(|session| session.username_fragment == username_fragment)
    }

    fn of_mut(&mut self, username_fragment: &str) -> &mut Gathered {
        let mut sessions = self.sessions.iter();
        let known = sessions.position(|session| session.username_fragment == username_fragment);
        let index = known.unwrap_or_else(|| {
            self.sessions.push(Gathered {
                username_fragment: username_fragment.to_owned(),
                list: Vec::new(),
                complete: false,
            });
            self.sessions.len() - 1
        });
        &mut self.sessions[index]
    }

    /// Sessions that are over leave nothing.
    pub(super) fn forget_unknown(&mut self, credentials: &LocalCredentials) {
        let known = |session: &Gathered| credentials.knows(&session.username_fragment);
        self.sessions.retain(known);
    }
}

impl RemoteCandidates {
    /// Those to come are of another ICE session.
    pub(super) fn begin_session(&mut self) {
        self.told.clear();
        self.end_told = false;
    }

    fn keep(&mut self, candidate: Waiting, limit: usize) -> Result<(), CandidateError> {
        if self.waiting.len() >= limit {
            return Err(CandidateError::TooMany { limit });
        }
        self.waiting.push(candidate);
        Ok(())
    }

    fn tell(
        &mut self,
        candidate: &str,
        limit: usize,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), CandidateError> {
        if candidate.is_empty() {
            if !std::mem::replace(&mut self.end_told, true) {
                effects.push(JsepEffect::EndOfRemoteCandidates);
            }
            return Ok(());
        }
        if !is_usable(candidate) || self.told.contains(candidate) {
            return Ok(());
        }
        if self.told.len() >= limit {
            return Err(CandidateError::TooMany { limit });
        }
        self.told.insert(candidate.to_owned());
        effects.push(JsepEffect::AddRemoteCandidate(candidate.to_owned()));
        Ok(())
    }
}

impl Waiting {
    fn read(candidate: IceCandidate) -> Result<Self, CandidateError> {
        let IceCandidate {
            candidate,
            sdp_mid,
            sdp_m_line_index,
            username_fragment,
        } = candidate;
        let line = match (sdp_mid, sdp_m_line_index) {
            (Some(mid), _) => Line::Mid(mid),
            (None, Some(index)) => Line::Index(index),
            (None, None) if candidate.is_empty() => Line::All,
            (None, None) => return Err(CandidateError::MissingMediaLine),
        };
        check_text(&candidate)?;
        line.check_length()?;
        if let Some(username_fragment) = username_fragment.as_ref().filter(|f| f.len() > 256) {
            let username_fragment = username_fragment.chars().take(256).collect();
            return Err(CandidateError::UnknownUsernameFragment { username_fragment });
        }
        let candidate = match candidate.strip_prefix("a=") {
            Some(rest) => rest.to_owned(),
            None => candidate,
        };
        // Chromium repeats it as an extension of the candidate.
        let username_fragment = username_fragment
            .filter(|fragment| !fragment.is_empty())
            .or_else(|| extension(&candidate, "ufrag").map(ToOwned::to_owned));
        Ok(Self {
            line,
            username_fragment,
            candidate,
        })
    }

    /// Whether some m-line of the description has the ufrag that the candidate names, if any.
    fn belongs_to(&self, description: &Description) -> bool {
        let Some(fragment) = &self.username_fragment else {
            return true;
        };
        let mut sections = description.sections.iter();
        sections.any(|section| section.transport.ice_ufrag.as_ref() == Some(fragment))
    }
}

impl Line {
    /// No description has longer mids: what waits here stays small.
    fn check_length(&self) -> Result<(), CandidateError> {
        match self {
            Self::Mid(mid) if mid.len() > 255 => Err(CandidateError::UnknownMid {
                mid: mid.chars().take(255).collect(),
            }),
            Self::Mid(_) | Self::Index(_) | Self::All => Ok(()),
        }
    }

    fn check(&self, description: &Description) -> Result<(), CandidateError> {
        match self {
            Self::Mid(mid) if description.position(&mid.as_str().into()).is_none() => {
                Err(CandidateError::UnknownMid { mid: mid.clone() })
            }
            Self::Index(index) if usize::from(*index) >= description.sections.len() => {
                Err(CandidateError::UnknownMediaLineIndex { index: *index })
            }
            Self::Mid(_) | Self::Index(_) | Self::All => Ok(()),
        }
    }
}

/// Whether the text is a candidate by the grammar of RFC 8839 §5.1. What its address means is for
/// ICE to say.
pub(crate) fn check_text(candidate: &str) -> Result<(), CandidateError> {
    let malformed = |part| Err(CandidateError::Malformed { part });
    if candidate.is_empty() {
        return Ok(());
    }
    if candidate.len() > MAX_LENGTH {
        return malformed("length");
    }
    let printable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    if !candidate.bytes().all(printable) {
        return malformed("text");
    }
    let text = candidate.strip_prefix("a=").unwrap_or(candidate);
    let Some(text) = text.strip_prefix("candidate:") else {
        return malformed("prefix");
    };
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let mut word = || words.next().unwrap_or_default();
    let (foundation, component, transport) = (word(), word(), word());
    let (priority, address, port) = (word(), word(), word());
    let (typ, kind) = (word(), word());
    let checks = [
        (!foundation.is_empty(), "foundation"),
        (component.parse::<u16>().is_ok(), "component"),
        (!transport.is_empty(), "transport"),
        (priority.parse::<u32>().is_ok(), "priority"),
        (!address.is_empty(), "address"),
        (port.parse::<u16>().is_ok(), "port"),
        (typ == "typ" && !kind.is_empty(), "type"),
    ];
    match checks.into_iter().find(|(fits, _)| !fits) {
        Some((_, part)) => malformed(part),
        None => Ok(()),
    }
}

/// RTP and RTCP share component 1 (`rtcp-mux`); types that are not known must be passed over
/// (RFC 8839 §5.1).
fn is_usable(candidate: &str) -> bool {
    let mut words = candidate.split(' ').filter(|word| !word.is_empty());
    let component = words.nth(1);
    let kind = extension(candidate, "typ");
    component == Some("1") && matches!(kind, Some("host" | "srflx" | "prflx" | "relay"))
}

/// The word behind this one.
fn extension<'a>(candidate: &'a str, name: &str) -> Option<&'a str> {
    let mut words = candidate.split(' ').filter(|word| !word.is_empty());
    words.find(|word| *word == name)?;
    words.next()
}

const MAX_LENGTH: usize = 1024;
