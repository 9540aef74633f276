//! Whatever happens, in whatever order: who has listened knows what the room knows, and the forwarder keeps back what
//! is muted.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::peer_connection::PeerConnectionState;
use crate::room::event::{MuteScope, MutedBy, RoomCloseReason};
use crate::room::snapshot::RoomSnapshot;

/// One thing that may happen; participants and tracks are chosen among all that ever were.
#[derive(Clone, Debug)]
enum Step {
    Join(Option<u8>),
    Own(Index, Own),
    Publish(Index, MediaKind, u8),
    Unpublish(Index),
    /// The same track again after a pause, or on another stream.
    PublishAgain(Index, u8),
    Subscribe(Index, Index),
    Unsubscribe(Index, Index),
    Hear(Index, u8, u16),
    SilenceCheck,
    /// Another one shows these of all publications.
    ForwarderEnded(u64),
    Pass(u16),
    Close,
}

/// What happens to one participant.
#[derive(Clone, Debug)]
enum Own {
    Leave,
    Ended,
    PeerStarted,
    Connected,
    Mute(MediaKind, bool),
    MuteKind(MediaKind, bool),
    MuteTrack(Index, bool),
    Label(u8, Option<bool>),
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<Index>;
    prop_oneof![
        20 => prop::option::of(0..3_u8).prop_map(Step::Join),
        85 => (which(), own()).prop_map(|(who, own)| Step::Own(who, own)),
        30 => (which(), kind(), 0..2_u8).prop_map(|(who, kind, stream)| Step::Publish(who, kind, stream)),
        10 => which().prop_map(Step::Unpublish),
        10 => (which(), 0..2_u8).prop_map(|(track, stream)| Step::PublishAgain(track, stream)),
        20 => (which(), which()).prop_map(|(who, track)| Step::Subscribe(who, track)),
        10 => (which(), which()).prop_map(|(who, track)| Step::Unsubscribe(who, track)),
        30 => (which(), 0..60_u8, 0..200_u16).prop_map(|(track, level, pause)| Step::Hear(track, level, pause)),
        5 => Just(Step::SilenceCheck),
        5 => any::<u64>().prop_map(Step::ForwarderEnded),
        5 => (0..30_000_u16).prop_map(Step::Pass),
        1 => Just(Step::Close),
    ]
}

fn own() -> impl Strategy<Value = Own> {
    prop_oneof![
        1 => Just(Own::Leave),
        1 => Just(Own::Ended),
        2 => Just(Own::PeerStarted),
        1 => Just(Own::Connected),
        1 => (kind(), any::<bool>()).prop_map(|(kind, on)| Own::Mute(kind, on)),
        1 => (kind(), any::<bool>()).prop_map(|(kind, on)| Own::MuteKind(kind, on)),
        1 => (any::<Index>(), any::<bool>()).prop_map(|(track, on)| Own::MuteTrack(track, on)),
        1 => (0..2_u8, any::<Option<bool>>()).prop_map(|(stream, label)| Own::Label(stream, label)),
    ]
}

fn kind() -> impl Strategy<Value = MediaKind> {
    prop_oneof![Just(MediaKind::Audio), Just(MediaKind::Video)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn who_has_listened_knows_what_the_room_knows(
        steps in prop::collection::vec(step(), 1..80)
    ) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            world.check();
        }
    }
}

/// The room, and all that was told to whom.
struct World {
    stage: Stage,
    /// All that ever were, with their peers.
    participants: Vec<(ParticipantId, Option<PeerId>)>,
    publications: Vec<Publication>,
    owner: View,
    listeners: BTreeMap<ParticipantId, View>,
    expelled: BTreeSet<ParticipantId>,
    ended: BTreeSet<ParticipantId>,
    forwarder: MockForwarder,
    is_over: Option<RoomCloseReason>,
}

/// What a forwarder was told.
#[derive(Default)]
struct MockForwarder {
    told: BTreeSet<TrackId>,
    paused: BTreeSet<TrackId>,
    peers: BTreeSet<PeerId>,
}

/// What somebody knows who hears events and nothing else.
#[derive(Clone, Debug, Default, PartialEq)]
struct View {
    participants: BTreeMap<ParticipantId, Shown>,
    speaking: Vec<ParticipantId>,
}

#[derive(Clone, Debug, PartialEq)]
struct Shown {
    name: String,
    connection: PeerConnectionState,
    publications: BTreeMap<TrackId, (MediaKind, StreamId, Option<String>, Option<MutedBy>)>,
    subscriptions: BTreeSet<TrackId>,
}

impl World {
    fn new() -> Self {
        Self {
            stage: Stage::new(LIMITS),
            participants: Vec::new(),
            publications: Vec::new(),
            owner: View::default(),
            listeners: BTreeMap::new(),
            expelled: BTreeSet::new(),
            ended: BTreeSet::new(),
            forwarder: MockForwarder::default(),
            is_over: None,
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Join(key) => self.join(key),
            Step::PublishAgain(which, stream) => self.publish_again(&which, stream),
            Step::Publish(who, kind, stream) => {
                if let Some((_, Some(peer))) = self.participant(&who) {
                    self.publish(publication(peer, kind, &stream.to_string()));
                }
            }
            Step::Unpublish(which) => {
                if let Some(publication) = self.publication(&which) {
                    let id = publication.track.id();
                    self.forwarder.told.remove(&id);
                    self.forwarder.paused.remove(&id);
                    self.tell(ForwarderEvent::Unpublished {
                        publisher: publication.publisher,
                        publication: id,
                    });
                }
            }
            Step::Subscribe(who, which) => self.subscribe(&who, &which, true),
            Step::Unsubscribe(who, which) => self.subscribe(&who, &which, false),
            Step::Hear(which, level, pause) => self.hear_track(&which, level, pause),
            Step::SilenceCheck => self.act(RoomMachine::handle_silence_check),
            Step::ForwarderEnded(shown) => self.restart_forwarder(shown),
            Step::Pass(time) => self.stage.pass(Duration::from_millis(time.into())),
            Step::Close => self.act(|machine, now, all| {
                machine.handle_close(RoomCloseReason::Requested, now, all);
            }),
            Step::Own(who, own) => {
                if let Some((who, _)) = self.participant(&who) {
                    self.take_own(who, own);
                }
            }
        }
    }

    fn take_own(&mut self, who: ParticipantId, own: Own) {
        match own {
            Own::Leave => self.act(|machine, now, all| {
                machine.handle_leave(who, LeaveReason::Left, now, all);
            }),
            // An actor ends once.
            Own::Ended => {
                if self.ended.insert(who) {
                    self.act(|machine, now, all| machine.handle_ended(who, now, all));
                }
            }
            Own::PeerStarted => self.start_peer(who),
            Own::Connected => self.act(|machine, _, all| {
                machine.handle_connection_state(who, PeerConnectionState::Connected, all);
            }),
            Own::Mute(kind, muted) => self.act(|machine, now, all| {
                machine.handle_muted_by_participant(who, kind, muted, now, all);
            }),
            Own::MuteKind(kind, muted) => self.mute(who, kind.into(), muted),
            Own::MuteTrack(which, muted) => {
                if let Some(publication) = self.publication(&which) {
                    self.mute(who, publication.track.id().into(), muted);
                }
            }
            Own::Label(stream, label) => self.act(|machine, _, all| {
                let source = StreamId::from(stream.to_string().as_str());
                machine.handle_labelled(who, source, label.map(|it| it.to_string()), all);
            }),
        }
    }

    fn join(&mut self, key: Option<u8>) {
        let request = JoinRequest::new("x");
        let request = match key {
            Some(key) => request.key(key.to_string()),
            None => request,
        };
        let (joined, effects) = self.stage.try_join(request);
        if let Ok(participant) = joined {
            self.participants.push((participant, None));
            self.listeners.insert(participant, View::default());
        }
        self.perform(effects);
    }

    /// Behind an actor's end nothing of it is told.
    fn start_peer(&mut self, who: ParticipantId) {
        let known = self.participants.iter_mut().find(|(one, _)| *one == who);
        let (_, peer) = known.unwrap();
        if peer.is_none() && !self.ended.contains(&who) {
            let started = *peer.insert(PeerId::next());
            self.forwarder.peers.insert(started);
            self.stage.machine.handle_peer_started(who, started);
        }
    }

    fn publish(&mut self, publication: Publication) {
        let id = publication.track.id();
        self.publications.retain(|it| it.track.id() != id);
        self.publications.push(publication.clone());
        // To a forwarder it is another publication of the same track then, and goes to everybody.
        self.forwarder.paused.remove(&id);
        self.forwarder.told.insert(id);
        self.tell(ForwarderEvent::Published(publication));
    }

    fn publish_again(&mut self, which: &Index, stream: u8) {
        let Some(mut publication) = self.publication(which) else {
            return;
        };
        let source = stream.to_string();
        let streams = vec![seen(publication.publisher, &source)];
        if publication.streams == streams && self.forwarder.told.contains(&publication.track.id()) {
            return;
        }
        publication.track = publication.track.renamed("x", [source.as_str().into()], []);
        publication.streams = streams;
        self.publish(publication);
    }

    fn subscribe(&mut self, who: &Index, which: &Index, is_new: bool) {
        let (Some((_, Some(subscriber))), Some(publication)) =
            (self.participant(who), self.publication(which))
        else {
            return;
        };
        let id = publication.track.id();
        let subscription = MediaStreamTrack::new(publication.track.kind(), []);
        self.tell(if is_new {
            ForwarderEvent::Subscribed {
                subscriber,
                publication: id,
                subscription,
            }
        } else {
            ForwarderEvent::Unsubscribed {
                subscriber,
                publication: Some(id),
                subscription: subscription.id(),
            }
        });
    }

    /// What was said to it while there was none is lost.
    fn restart_forwarder(&mut self, shown: u64) {
        let effects = self.stage.act(RoomMachine::handle_forwarder_ended);
        let goes_on = effects.contains(&Effect::StartForwarder);
        self.perform(effects);
        if !goes_on {
            return;
        }
        let all = self.publications.iter().enumerate();
        let shown = all.filter(|(number, _)| shown >> (number % 64) & 1 == 1);
        let shown: Vec<Publication> = shown.map(|(_, it)| it.clone()).collect();
        let ids = shown.iter().map(|it| it.track.id());
        self.forwarder.told = ids.collect();
        self.forwarder.paused.clear();
        let sent: Vec<(PeerId, TrackId)> = (self.participants.iter())
            .filter_map(|(_, peer)| Some(((*peer)?, shown.first()?.track.id())))
            .collect();
        let shown = snapshot(&shown, &sent);
        self.act(|machine, now, all| machine.handle_forwarder_restarted(&shown, now, all));
    }

    fn hear_track(&mut self, which: &Index, level: u8, pause: u16) {
        self.stage.pass(Duration::from_millis(pause.into()));
        let Some(publication) = self.publication(which) else {
            return;
        };
        let publisher = Some(publication.publisher);
        let participant = self.participants.iter().find(|it| it.1 == publisher);
        let (who, _) = *participant.expect("a publisher has joined");
        let id = publication.track.id();
        self.act(|machine, now, all| {
            machine.handle_heard(
                who,
                id,
                AudioLevel {
                    voice: false,
                    level,
                },
                now,
                all,
            );
        });
    }

    fn mute(&mut self, who: ParticipantId, scope: MuteScope, muted: bool) {
        self.act(|machine, now, all| {
            machine.handle_muted_by_moderator(who, scope, muted, now, all);
        });
    }

    fn participant(&self, who: &Index) -> Option<(ParticipantId, Option<PeerId>)> {
        (!self.participants.is_empty()).then(|| *who.get(&self.participants))
    }

    fn publication(&self, which: &Index) -> Option<Publication> {
        (!self.publications.is_empty()).then(|| which.get(&self.publications).clone())
    }

    fn tell(&mut self, event: ForwarderEvent) {
        let effects = self.stage.forwarder(event);
        self.perform(effects);
    }

    fn act(&mut self, act: impl FnOnce(&mut RoomMachine, Instant, &mut Vec<Effect>)) {
        let effects = self.stage.act(act);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Tell(audience, event) => self.hear(audience, &event),
                Effect::Expel(who, _) => {
                    assert!(self.expelled.insert(who), "expelled twice");
                    self.listeners.remove(&who).expect("a listener");
                }
                Effect::RemovePeer(peer) => {
                    self.forwarder.peers.remove(&peer);
                }
                Effect::SetPaused(publication, paused) => {
                    if !self.forwarder.told.contains(&publication) {
                        continue;
                    }
                    if paused {
                        self.forwarder.paused.insert(publication);
                    } else {
                        self.forwarder.paused.remove(&publication);
                    }
                }
                // Carried out by who has let it fail, or not at all: time does not run by itself here.
                Effect::StartForwarder | Effect::AwaitEnd => {}
                Effect::AwaitSilence(at) => assert!(at > self.stage.now, "too late to wait for"),
                Effect::End(reason) => self.is_over = Some(reason),
            }
        }
    }

    fn hear(&mut self, audience: Audience, event: &RoomEvent) {
        if !matches!(audience, Audience::Newcomer(_)) {
            self.owner.hear(event);
        }
        for (id, view) in &mut self.listeners {
            let hears = match audience {
                Audience::Owner => false,
                Audience::All => true,
                Audience::Others(but) => *id != but,
                Audience::One(one) | Audience::Newcomer(one) => *id == one,
            };
            if hears {
                view.hear(event);
            }
        }
    }

    fn check(&self) {
        let snapshot = self.stage.machine.snapshot();
        let known = View::of(&snapshot);
        assert_eq!(self.owner, known, "the owner");
        for (id, view) in &self.listeners {
            let mut view = view.clone();
            // Of its own coming it is not told, nor of what concerns others alone.
            if let Some(own) = view.participants.get_mut(id) {
                own.name.clone_from(&known.participants[id].name);
            } else {
                let own = known.participants[id].clone();
                assert!(own.publications.is_empty() && own.subscriptions.is_empty());
                view.participants.insert(*id, own);
            }
            let mut known = known.clone();
            for (other, shown) in &mut known.participants {
                if other != id {
                    shown.subscriptions.clear();
                }
            }
            assert_eq!(view, known, "{id}");
        }
        self.check_forwarder(&known);
        assert!(known.participants.len() <= LIMITS.participants);
        assert!(self.participants.len() - self.ended.len() <= 2 * LIMITS.participants);
        let everybody_is_gone = self.participants.len() == self.ended.len();
        assert!(
            self.is_over.is_none() || everybody_is_gone,
            "over too early"
        );
    }

    /// What was told of and is muted is paused; who has ended is out.
    fn check_forwarder(&self, known: &View) {
        for shown in known.participants.values() {
            for (id, (_, _, _, muted_by)) in &shown.publications {
                if self.forwarder.told.contains(id) {
                    let paused = self.forwarder.paused.contains(id);
                    assert_eq!(paused, muted_by.is_some(), "{id}");
                }
            }
        }
        for (who, peer) in &self.participants {
            if let Some(peer) = peer.filter(|_| self.ended.contains(who)) {
                assert!(!self.forwarder.peers.contains(&peer), "left behind");
            }
        }
    }
}

impl View {
    fn of(snapshot: &RoomSnapshot) -> Self {
        let participants = snapshot.participants.iter().map(|one| {
            let publications = one.publications.iter().map(|it| {
                let shown = (it.kind, it.stream.clone(), it.label.clone(), it.muted_by);
                (it.id, shown)
            });
            let shown = Shown {
                name: one.name.clone(),
                connection: one.connection,
                publications: publications.collect(),
                subscriptions: one.subscriptions.iter().copied().collect(),
            };
            (one.id, shown)
        });
        Self {
            participants: participants.collect(),
            speaking: snapshot.speaking.clone(),
        }
    }

    fn hear(&mut self, event: &RoomEvent) {
        match event.clone() {
            RoomEvent::Joined { participant, name } => {
                let shown = Shown::named(name);
                assert!(self.participants.insert(participant, shown).is_none());
            }
            RoomEvent::Left { participant, .. } => {
                let gone = self.participants.remove(&participant).unwrap();
                for other in self.participants.values_mut() {
                    other
                        .subscriptions
                        .retain(|id| !gone.publications.contains_key(id));
                }
            }
            RoomEvent::ConnectionStateChanged { participant, state } => {
                self.shown(participant).connection = state;
            }
            RoomEvent::Published {
                participant,
                publication,
                kind,
                stream,
                label,
                muted_by,
            } => {
                let shown = (kind, stream, label, muted_by);
                let publications = &mut self.shown(participant).publications;
                assert!(publications.insert(publication, shown).is_none());
            }
            RoomEvent::Unpublished {
                participant,
                publication,
            } => {
                let publications = &mut self.shown(participant).publications;
                assert!(publications.remove(&publication).is_some());
                for other in self.participants.values_mut() {
                    other.subscriptions.remove(&publication);
                }
            }
            RoomEvent::Labelled {
                participant,
                stream,
                label,
            } => {
                let publications = &mut self.shown(participant).publications;
                let of_stream = publications.values_mut().filter(|it| it.1 == stream);
                of_stream.for_each(|it| it.2.clone_from(&label));
            }
            RoomEvent::Muted {
                participant,
                publication,
                by,
            } => self.mute(participant, publication, Some(by)),
            RoomEvent::Unmuted {
                participant,
                publication,
            } => self.mute(participant, publication, None),
            RoomEvent::Subscribed {
                participant,
                publication,
            } => assert!(self.shown(participant).subscriptions.insert(publication)),
            RoomEvent::Unsubscribed {
                participant,
                publication,
            } => assert!(self.shown(participant).subscriptions.remove(&publication)),
            RoomEvent::Speaking { participants } => {
                assert_ne!(self.speaking, participants);
                self.speaking = participants;
            }
            RoomEvent::CannotDecode { .. }
            | RoomEvent::NotForwarded { .. }
            | RoomEvent::NegotiationFailed { .. }
            | RoomEvent::ForwarderRestarted
            | RoomEvent::Closed { .. } => {}
        }
    }

    fn mute(&mut self, participant: ParticipantId, publication: TrackId, by: Option<MutedBy>) {
        let shown = &mut self.shown(participant).publications;
        let shown = shown.get_mut(&publication).unwrap();
        assert_ne!(shown.3, by, "told for nothing");
        shown.3 = by;
    }

    /// A listener has not heard of its own coming.
    fn shown(&mut self, participant: ParticipantId) -> &mut Shown {
        let shown = self.participants.entry(participant);
        shown.or_insert_with(|| Shown::named(String::new()))
    }
}

impl Shown {
    fn named(name: String) -> Self {
        Self {
            name,
            connection: PeerConnectionState::New,
            publications: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
        }
    }
}

const LIMITS: RoomLimits = RoomLimits {
    participants: 4,
    tracks_per_participant: 6,
    messages_per_second: 50,
    message_burst: 200,
    labels_per_participant: 1,
    text_bytes: 256,
    forwarder_restarts: 3,
};
