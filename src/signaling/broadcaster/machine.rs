//! Who is let in, and which streams there are.

use std::collections::{BTreeMap, HashMap};

use super::BroadcasterLimits;
use super::error::OpenError;
use super::message::{BroadcasterSnapshot, StreamSnapshot};
use super::name::{Role, SessionId, StreamName};

/// Streams and sessions of one Broadcaster.
#[derive(Debug)]
pub(super) struct BroadcasterMachine {
    limits: BroadcasterLimits,
    streams: BTreeMap<StreamName, Stream>,
    sessions: HashMap<SessionId, Session>,
}

#[derive(Debug, Default)]
struct Stream {
    on_air: bool,
    publishers: usize,
    viewers: usize,
}

#[derive(Debug)]
struct Session {
    stream: StreamName,
    role: Role,
    /// Its client has ended it: unknown to the outside, and counted until it is gone.
    closed: bool,
}

impl BroadcasterMachine {
    pub(super) fn new(limits: BroadcasterLimits) -> Self {
        Self {
            limits,
            streams: BTreeMap::new(),
            sessions: HashMap::new(),
        }
    }

    /// A name for one more session, which counts from now on.
    pub(super) fn handle_open(
        &mut self,
        role: Role,
        name: &StreamName,
        id: SessionId,
    ) -> Result<(), OpenError> {
        let (limit, whom) = match role {
            Role::Publisher => (self.limits.publishers, "publishers"),
            Role::Viewer => (self.limits.viewers, "viewers"),
        };
        let present = self.streams.values().map(|stream| stream.count(role));
        if present.sum::<usize>() >= limit {
            return Err(OpenError::Full { whom });
        }
        *self.streams.entry(name.clone()).or_default().counter(role) += 1;
        self.sessions.insert(
            id,
            Session {
                stream: name.clone(),
                role,
                closed: false,
            },
        );
        Ok(())
    }

    /// The stream of a session of this role, as its client may know it.
    pub(super) fn find(&self, role: Role, id: SessionId) -> Option<&StreamName> {
        let session = self.sessions.get(&id)?;
        (session.role == role && !session.closed).then_some(&session.stream)
    }

    /// The same, for the last time.
    pub(super) fn handle_close(&mut self, role: Role, id: SessionId) -> Option<StreamName> {
        let stream = self.find(role, id).cloned()?;
        self.sessions.get_mut(&id)?.closed = true;
        Some(stream)
    }

    /// The session is gone. Whether its stream has none left, and goes too.
    pub(super) fn handle_ended(&mut self, id: SessionId) -> Option<StreamName> {
        let session = self.sessions.remove(&id)?;
        let stream = self.streams.get_mut(&session.stream)?;
        *stream.counter(session.role) -= 1;
        if stream.publishers + stream.viewers > 0 {
            return None;
        }
        self.streams.remove(&session.stream);
        Some(session.stream)
    }

    pub(super) fn handle_on_air(&mut self, name: &StreamName, on_air: bool) {
        if let Some(stream) = self.streams.get_mut(name) {
            stream.on_air = on_air;
        }
    }

    /// A stream and all its sessions are gone.
    pub(super) fn handle_stream_gone(&mut self, name: &StreamName) {
        self.streams.remove(name);
        self.sessions.retain(|_, session| session.stream != *name);
    }

    pub(super) fn snapshot(&self) -> BroadcasterSnapshot {
        let streams = self.streams.iter().map(|(name, stream)| StreamSnapshot {
            name: name.clone(),
            on_air: stream.on_air,
            publishers: stream.publishers,
            viewers: stream.viewers,
        });
        BroadcasterSnapshot {
            streams: streams.collect(),
        }
    }
}

impl Stream {
    fn count(&self, role: Role) -> usize {
        match role {
            Role::Publisher => self.publishers,
            Role::Viewer => self.viewers,
        }
    }

    fn counter(&mut self, role: Role) -> &mut usize {
        match role {
            Role::Publisher => &mut self.publishers,
            Role::Viewer => &mut self.viewers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(publishers: usize, viewers: usize) -> BroadcasterMachine {
        let limits = BroadcasterLimits::default();
        BroadcasterMachine::new(limits.publishers(publishers).viewers(viewers))
    }

    fn open(machine: &mut BroadcasterMachine, role: Role, name: &str) -> Option<SessionId> {
        let id = SessionId::generate();
        let opened = machine.handle_open(role, &name.parse().unwrap(), id);
        opened.is_ok().then_some(id)
    }

    #[test]
    fn viewers_that_fill_the_house_keep_no_publisher_out() {
        let mut machine = machine(1, 2);
        assert!(open(&mut machine, Role::Viewer, "a").is_some());
        let viewer = open(&mut machine, Role::Viewer, "b").unwrap();
        assert!(open(&mut machine, Role::Viewer, "a").is_none());
        assert!(open(&mut machine, Role::Publisher, "a").is_some());
        assert!(open(&mut machine, Role::Publisher, "b").is_none());
        machine.handle_ended(viewer);
        assert!(open(&mut machine, Role::Viewer, "a").is_some());
    }

    #[test]
    fn a_session_is_counted_until_it_is_gone_and_unknown_once_it_is_closed() {
        let mut machine = machine(1, 1);
        let id = open(&mut machine, Role::Viewer, "a").unwrap();
        assert_eq!(machine.find(Role::Publisher, id), None);
        let name = "a".parse().unwrap();
        assert_eq!(machine.find(Role::Viewer, id), Some(&name));
        assert_eq!(machine.handle_close(Role::Publisher, id), None);
        assert_eq!(machine.handle_close(Role::Viewer, id), Some(name.clone()));
        assert_eq!(machine.handle_close(Role::Viewer, id), None);
        assert_eq!(machine.find(Role::Viewer, id), None);
        assert!(open(&mut machine, Role::Viewer, "a").is_none());
        assert_eq!(machine.handle_ended(id), Some(name));
        assert!(open(&mut machine, Role::Viewer, "a").is_some());
    }

    #[test]
    fn a_stream_vanishes_with_its_last_session() {
        let mut machine = machine(9, 9);
        let viewer = open(&mut machine, Role::Viewer, "a").unwrap();
        let publisher = open(&mut machine, Role::Publisher, "a").unwrap();
        assert_eq!(machine.handle_ended(publisher), None);
        assert_eq!(machine.handle_ended(viewer), "a".parse().ok());
        assert_eq!(machine.handle_ended(viewer), None);
        assert_eq!(machine.snapshot(), BroadcasterSnapshot::default());
    }

    #[test]
    fn a_stream_that_fails_takes_its_sessions_along_and_no_others() {
        let mut machine = machine(9, 9);
        let lost = open(&mut machine, Role::Viewer, "a").unwrap();
        let other = open(&mut machine, Role::Viewer, "b").unwrap();
        machine.handle_stream_gone(&"a".parse().unwrap());
        assert_eq!(machine.find(Role::Viewer, lost), None);
        assert!(machine.find(Role::Viewer, other).is_some());
        assert_eq!(machine.snapshot().streams.len(), 1);
    }
}
