//! Who is on air, and what viewers are sent.

use std::collections::BTreeMap;

use super::message::StreamNews;
use crate::peer_connection::PeerId;
use crate::signaling::broadcaster::name::{Role, SessionId};
use crate::signaling::broadcaster::session::Source;
use crate::track::{MediaKind, TrackId};

/// The sessions of one stream, and what its publishers send.
#[derive(Debug, Default)]
pub(super) struct StreamMachine {
    sessions: BTreeMap<Place, Session>,
    next_place: Place,
    on_air: Option<SessionId>,
    /// In the order in which they came.
    publications: Vec<Publication>,
    source: Source,
}

/// Sessions in the order in which they began.
type Place = u64;

#[derive(Debug)]
struct Session {
    id: SessionId,
    role: Role,
    /// From when it is connected. A viewer is sent nothing before: the keyframe would be lost on it, and the next one
    /// is not asked for at once.
    peer: Option<PeerId>,
}

#[derive(Debug)]
struct Publication {
    publisher: PeerId,
    track: TrackId,
    kind: MediaKind,
}

/// What is to be done, in this order.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// A viewer is sent this from now on.
    Feed { viewer: SessionId, source: Source },
    /// Another publisher has taken the place of this one.
    Replace(SessionId),
    /// For the Broadcaster.
    Tell(StreamNews),
}

impl StreamMachine {
    pub(super) fn handle_opened(&mut self, id: SessionId, role: Role) {
        let session = Session {
            id,
            role,
            peer: None,
        };
        self.sessions.insert(self.next_place, session);
        self.next_place += 1;
    }

    /// A connection that was disturbed and is up again is no news.
    pub(super) fn handle_connected(
        &mut self,
        id: SessionId,
        peer: PeerId,
        effects: &mut Vec<Effect>,
    ) {
        let mut sessions = self.sessions.values_mut();
        let Some(session) = sessions.find(|session| session.id == id) else {
            return;
        };
        if session.peer.replace(peer).is_some() {
            return;
        }
        match session.role {
            Role::Publisher => self.go_on_air(id, peer, effects),
            Role::Viewer => {
                effects.push(Effect::Tell(StreamNews::ViewerJoined(peer)));
                if self.source != Source::default() {
                    let (viewer, source) = (id, self.source);
                    effects.push(Effect::Feed { viewer, source });
                }
            }
        }
    }

    /// A session is gone, whatever the reason.
    pub(super) fn handle_ended(&mut self, id: SessionId, effects: &mut Vec<Effect>) {
        let place = self.sessions.iter().find(|(_, session)| session.id == id);
        let Some(session) = place
            .map(|(&place, _)| place)
            .and_then(|place| self.sessions.remove(&place))
        else {
            return;
        };
        if self.on_air == Some(id) {
            self.on_air = None;
            effects.push(Effect::Tell(StreamNews::OffAir));
        }
        if let (Role::Viewer, Some(peer)) = (session.role, session.peer) {
            effects.push(Effect::Tell(StreamNews::ViewerLeft(peer)));
        }
        effects.push(Effect::Tell(StreamNews::SessionEnded(id)));
        self.feed(effects);
    }

    pub(super) fn handle_published(
        &mut self,
        publisher: PeerId,
        track: TrackId,
        kind: MediaKind,
        effects: &mut Vec<Effect>,
    ) {
        self.publications.push(Publication {
            publisher,
            track,
            kind,
        });
        self.feed(effects);
    }

    pub(super) fn handle_unpublished(&mut self, track: TrackId, effects: &mut Vec<Effect>) {
        self.publications.retain(|one| one.track != track);
        self.feed(effects);
    }

    fn go_on_air(&mut self, id: SessionId, peer: PeerId, effects: &mut Vec<Effect>) {
        if let Some(before) = self.on_air.replace(id) {
            effects.push(Effect::Replace(before));
        }
        effects.push(Effect::Tell(StreamNews::OnAir(peer)));
        self.feed(effects);
    }

    /// Tells all viewers where their media comes from, if that is news.
    fn feed(&mut self, effects: &mut Vec<Effect>) {
        let source = self.find_source();
        if std::mem::replace(&mut self.source, source) == source {
            return;
        }
        let sessions = self.sessions.values();
        let viewers = sessions.filter(|one| one.role == Role::Viewer && one.peer.is_some());
        effects.extend(viewers.map(|session| Effect::Feed {
            viewer: session.id,
            source,
        }));
    }

    /// The first track of each kind of who is on air.
    fn find_source(&self) -> Source {
        let mut sessions = self.sessions.values();
        let on_air = sessions.find(|session| Some(session.id) == self.on_air);
        let Some(peer) = on_air.and_then(|session| session.peer) else {
            return Source::default();
        };
        let first = |kind| {
            let mut tracks = self.publications.iter();
            let first = tracks.find(|one| one.publisher == peer && one.kind == kind);
            first.map(|one| one.track)
        };
        Source {
            audio: first(MediaKind::Audio),
            video: first(MediaKind::Video),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::MediaStreamTrack;

    struct Case {
        machine: StreamMachine,
        effects: Vec<Effect>,
    }

    /// A publisher with both tracks, or a viewer.
    #[derive(Clone, Copy)]
    struct Client {
        id: SessionId,
        peer: PeerId,
        source: Source,
    }

    impl Case {
        fn new() -> Self {
            Self {
                machine: StreamMachine::default(),
                effects: Vec::new(),
            }
        }

        fn open(&mut self, role: Role) -> Client {
            let track = |kind| MediaStreamTrack::new(kind, []).id();
            let client = Client {
                id: SessionId::generate(),
                peer: PeerId::next(),
                source: Source {
                    audio: Some(track(MediaKind::Audio)),
                    video: Some(track(MediaKind::Video)),
                },
            };
            self.machine.handle_opened(client.id, role);
            client
        }

        fn publish(&mut self, client: Client) {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                let track = client.source.of(kind).unwrap();
                let Self { machine, effects } = self;
                machine.handle_published(client.peer, track, kind, effects);
            }
        }

        fn connect(&mut self, client: Client) {
            let Self { machine, effects } = self;
            machine.handle_connected(client.id, client.peer, effects);
        }

        fn watch(&mut self) -> Client {
            let viewer = self.open(Role::Viewer);
            self.connect(viewer);
            viewer
        }

        fn end(&mut self, client: Client) {
            self.machine.handle_ended(client.id, &mut self.effects);
        }

        fn on_air(&mut self) -> Client {
            let publisher = self.open(Role::Publisher);
            self.publish(publisher);
            self.connect(publisher);
            publisher
        }

        fn expect(&mut self, effects: impl IntoIterator<Item = Effect>) {
            let expected: Vec<_> = effects.into_iter().collect();
            assert_eq!(std::mem::take(&mut self.effects), expected);
        }
    }

    fn feed(viewer: Client, source: Source) -> Effect {
        let viewer = viewer.id;
        Effect::Feed { viewer, source }
    }

    #[test]
    fn a_viewer_that_comes_first_is_fed_once_the_publisher_is_connected() {
        let mut case = Case::new();
        let viewer = case.watch();
        let publisher = case.open(Role::Publisher);
        case.publish(publisher);
        case.expect([Effect::Tell(StreamNews::ViewerJoined(viewer.peer))]);
        case.connect(publisher);
        case.expect([
            Effect::Tell(StreamNews::OnAir(publisher.peer)),
            feed(viewer, publisher.source),
        ]);
        let late = case.watch();
        case.expect([
            Effect::Tell(StreamNews::ViewerJoined(late.peer)),
            feed(late, publisher.source),
        ]);
        // A connection that was disturbed and is up again is no news.
        case.connect(late);
        case.connect(publisher);
        case.expect([]);
    }

    #[test]
    fn a_publisher_that_goes_leaves_viewers_and_the_next_one_feeds_them() {
        let mut case = Case::new();
        let viewer = case.watch();
        let publisher = case.on_air();
        case.effects.clear();
        case.end(publisher);
        case.expect([
            Effect::Tell(StreamNews::OffAir),
            Effect::Tell(StreamNews::SessionEnded(publisher.id)),
            feed(viewer, Source::default()),
        ]);
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let track = publisher.source.of(kind).unwrap();
            case.machine.handle_unpublished(track, &mut case.effects);
        }
        case.expect([]);
        let back = case.on_air();
        case.expect([
            Effect::Tell(StreamNews::OnAir(back.peer)),
            feed(viewer, back.source),
        ]);
    }

    #[test]
    fn another_publisher_takes_over_when_it_is_connected_and_not_before() {
        let mut case = Case::new();
        let before = case.on_air();
        let viewer = case.watch();
        case.effects.clear();
        let next = case.open(Role::Publisher);
        case.publish(next);
        case.expect([]);
        case.connect(next);
        case.expect([
            Effect::Replace(before.id),
            Effect::Tell(StreamNews::OnAir(next.peer)),
            feed(viewer, next.source),
        ]);
        case.end(before);
        case.expect([Effect::Tell(StreamNews::SessionEnded(before.id))]);
    }

    #[test]
    fn a_publisher_that_never_connects_disturbs_nobody() {
        let mut case = Case::new();
        let publisher = case.on_air();
        case.watch();
        case.effects.clear();
        let other = case.open(Role::Publisher);
        case.publish(other);
        case.end(other);
        case.expect([Effect::Tell(StreamNews::SessionEnded(other.id))]);
        assert_eq!(case.machine.on_air, Some(publisher.id));
    }

    #[test]
    fn tracks_that_come_after_the_connection_are_fed_one_by_one() {
        let mut case = Case::new();
        let viewer = case.watch();
        case.effects.clear();
        let publisher = case.open(Role::Publisher);
        case.connect(publisher);
        case.expect([Effect::Tell(StreamNews::OnAir(publisher.peer))]);
        case.publish(publisher);
        let audio = Source {
            video: None,
            ..publisher.source
        };
        case.expect([feed(viewer, audio), feed(viewer, publisher.source)]);
    }

    #[test]
    fn a_viewer_that_was_never_connected_is_sent_nothing_and_leaves_without_a_word() {
        let mut case = Case::new();
        case.on_air();
        case.effects.clear();
        let viewer = case.open(Role::Viewer);
        case.end(viewer);
        case.expect([Effect::Tell(StreamNews::SessionEnded(viewer.id))]);
        let viewer = case.watch();
        case.effects.clear();
        case.end(viewer);
        case.expect([
            Effect::Tell(StreamNews::ViewerLeft(viewer.peer)),
            Effect::Tell(StreamNews::SessionEnded(viewer.id)),
        ]);
        // Late news of who is gone.
        case.connect(viewer);
        case.end(viewer);
        case.expect([]);
    }
}
