//! Who is there, what they publish, who has muted what, and who must hear of it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::JoinRequest;
use super::error::JoinError;
use super::event::{
    LeaveReason, MuteScope, ParticipantId, RoomCloseReason, RoomEvent, with_causes,
};
use super::limits::{RoomLimits, RoomTimes};
use super::member::{Member, Mutes, Published, set};
use super::snapshot::RoomSnapshot;
use super::speakers::Speakers;
use crate::call::CallError;
use crate::codec::RtpCodec;
use crate::forwarder::{ForwarderEvent, Publication};
use crate::peer_connection::{PeerConnectionState, PeerId};
use crate::perfect_negotiation::PerfectNegotiationError;
use crate::track::{MediaKind, StreamId, TrackId};

/// Decides; the shell owns the actors and the time.
#[derive(Debug)]
pub(super) struct RoomMachine {
    limits: RoomLimits,
    forwarder_period: Duration,
    members: BTreeMap<ParticipantId, Member>,
    by_peer: HashMap<PeerId, ParticipantId>,
    publishers: HashMap<TrackId, ParticipantId>,
    /// Those whose actors have not ended yet.
    leaving: BTreeMap<ParticipantId, Option<PeerId>>,
    speakers: Speakers,
    /// A timer runs that ends in [`Self::handle_silence_check`].
    awaits_silence: bool,
    forwarder_failures: VecDeque<Instant>,
    /// Everybody is going, for this.
    closing: Option<RoomCloseReason>,
}

/// What the shell has to do, in this order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// Tell these.
    Tell(Audience, RoomEvent),
    /// Tell the participant's listener that it is over, and end the participant.
    Expel(ParticipantId, LeaveReason),
    /// Take the peer out of the forwarder.
    RemovePeer(PeerId),
    /// Keep a publication from everybody, or no more.
    SetPaused(TrackId, bool),
    /// The former one has failed: start another, and give it everybody's peer.
    StartForwarder,
    /// Come back then with [`RoomMachine::handle_silence_check`].
    AwaitSilence(Instant),
    /// Nobody is left, or waited for: the room is over.
    End(RoomCloseReason),
}

/// Who hears an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// The owner alone.
    Owner,
    /// The owner and everybody.
    All,
    /// The owner and everybody but one.
    Others(ParticipantId),
    /// The owner and one.
    One(ParticipantId),
    /// One who comes in, of what the owner knows already.
    Newcomer(ParticipantId),
}

impl RoomMachine {
    pub(super) fn new(limits: RoomLimits, times: &RoomTimes) -> Self {
        Self {
            limits,
            forwarder_period: times.forwarder_period,
            members: BTreeMap::new(),
            by_peer: HashMap::new(),
            publishers: HashMap::new(),
            leaving: BTreeMap::new(),
            speakers: Speakers::default(),
            awaits_silence: false,
            forwarder_failures: VecDeque::new(),
            closing: None,
        }
    }

    /// Lets somebody in, in the place of whoever has the same key.
    pub(super) fn handle_join(
        &mut self,
        request: JoinRequest,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) -> Result<ParticipantId, JoinError> {
        self.check(&request)?;
        let former = self.find_by_key(request.key.as_deref());
        self.check_room(former.is_some())?;
        let mut mutes = Mutes::default();
        if let Some(former) = former {
            let member = &self.members[&former];
            mutes.moderated = member.mutes.moderated.clone();
            self.handle_leave(former, LeaveReason::Replaced, now, effects);
        }
        let newcomer = ParticipantId::next();
        self.brief(newcomer, effects);
        let name = request.name.clone();
        self.members.insert(newcomer, Member::new(request, mutes));
        let joined = RoomEvent::Joined {
            participant: newcomer,
            name,
        };
        effects.push(Effect::Tell(Audience::Others(newcomer), joined));
        Ok(newcomer)
    }

    /// Somebody goes, for whatever reason. One that has gone already goes no second time.
    pub(super) fn handle_leave(
        &mut self,
        participant: ParticipantId,
        reason: LeaveReason,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.members.remove(&participant) else {
            return;
        };
        self.leaving.insert(participant, member.peer);
        effects.push(Effect::Expel(participant, reason.clone()));
        if let Some(peer) = member.peer {
            self.by_peer.remove(&peer);
            effects.push(Effect::RemovePeer(peer));
        }
        for publication in member.publications.keys() {
            self.publishers.remove(publication);
            self.unsubscribe_all(*publication);
        }
        let left = RoomEvent::Left {
            participant,
            reason,
        };
        effects.push(Effect::Tell(self.audience_of_all(), left));
        let changed = self.speakers.forget(participant, now).map(<[_]>::to_vec);
        self.tell_speaking(changed, effects);
    }

    /// The actor of a participant is gone.
    pub(super) fn handle_ended(
        &mut self,
        participant: ParticipantId,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.handle_leave(participant, LeaveReason::Crashed, now, effects);
        // It may have been given to the forwarder behind our back while it was leaving.
        if let Some(Some(peer)) = self.leaving.remove(&participant) {
            effects.push(Effect::RemovePeer(peer));
        }
        self.end_if_empty(effects);
    }

    /// Everybody goes.
    pub(super) fn handle_close(
        &mut self,
        reason: RoomCloseReason,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.closing.get_or_insert(reason);
        let everybody: Vec<ParticipantId> = self.members.keys().copied().collect();
        for participant in everybody {
            self.handle_leave(participant, LeaveReason::RoomClosed, now, effects);
        }
        self.end_if_empty(effects);
    }

    /// A participant's peer connection runs.
    pub(super) fn handle_peer_started(&mut self, participant: ParticipantId, peer: PeerId) {
        if let Some(member) = self.members.get_mut(&participant) {
            member.peer = Some(peer);
            self.by_peer.insert(peer, participant);
        } else if let Some(leaving) = self.leaving.get_mut(&participant) {
            *leaving = Some(peer);
        }
    }

    pub(super) fn handle_connection_state(
        &mut self,
        participant: ParticipantId,
        state: PeerConnectionState,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.members.get_mut(&participant) else {
            return;
        };
        member.connection = state;
        let changed = RoomEvent::ConnectionStateChanged { participant, state };
        effects.push(Effect::Tell(Audience::All, changed));
    }

    pub(super) fn handle_negotiation_failed(
        &self,
        participant: ParticipantId,
        error: PerfectNegotiationError,
        effects: &mut Vec<Effect>,
    ) {
        if self.members.contains_key(&participant) {
            let failed = RoomEvent::NegotiationFailed { participant, error };
            effects.push(Effect::Tell(Audience::One(participant), failed));
        }
    }

    /// What the forwarder tells of peers that are not here any more is passed over.
    pub(super) fn handle_forwarder_event(
        &mut self,
        event: ForwarderEvent,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        match event {
            ForwarderEvent::Published(publication) => {
                self.handle_published(publication, now, effects);
            }
            ForwarderEvent::Unpublished { publication, .. } => {
                self.handle_unpublished(publication, now, effects);
            }
            ForwarderEvent::Subscribed {
                subscriber,
                publication,
                ..
            } => self.handle_subscribed(subscriber, publication, effects),
            ForwarderEvent::Unsubscribed {
                subscriber,
                publication: Some(publication),
                ..
            } => self.handle_unsubscribed(subscriber, publication, effects),
            ForwarderEvent::CannotDecode {
                subscriber,
                publication,
                codec,
                ..
            } => self.handle_cannot_decode(subscriber, publication, codec, effects),
            ForwarderEvent::Refused {
                subscriber,
                publication,
                error,
            } => self.tell_not_forwarded(subscriber, publication, with_causes(&error), effects),
            ForwarderEvent::PublicationRefused {
                publisher,
                track,
                limit,
            } => {
                let error = format!("a participant may publish {limit} tracks");
                self.tell_not_forwarded(publisher, track, error, effects);
            }
            ForwarderEvent::SubscriberFailed { subscriber, .. } => {
                if let Some(participant) = self.by_peer.get(&subscriber).copied() {
                    self.handle_leave(participant, LeaveReason::Crashed, now, effects);
                }
            }
            // A room makes no slots, and what goes on needs no word.
            ForwarderEvent::Unsubscribed {
                publication: None, ..
            }
            | ForwarderEvent::SourceEnded { .. }
            | ForwarderEvent::SubscriberRestarted { .. } => {}
        }
    }

    /// The forwarder has failed. What was told of it stands until another one has told otherwise.
    pub(super) fn handle_forwarder_ended(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let failures = &mut self.forwarder_failures;
        failures.retain(|at| now.duration_since(*at) < self.forwarder_period);
        failures.push_back(now);
        if self.closing.is_some() {
            return;
        }
        if failures.len() > self.limits.forwarder_restarts {
            self.handle_close(RoomCloseReason::ForwarderFailed, now, effects);
            return;
        }
        for member in self.members.values_mut() {
            for published in member.publications.values_mut() {
                published.is_confirmed = false;
            }
        }
        effects.push(Effect::StartForwarder);
        let restarted = RoomEvent::ForwarderRestarted;
        effects.push(Effect::Tell(Audience::Owner, restarted));
    }

    /// A forwarder that was started again has told all that this participant publishes: what it has not told of went
    /// unheard.
    pub(super) fn handle_peer_adopted(
        &mut self,
        participant: ParticipantId,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.members.get(&participant) else {
            return;
        };
        let publications = member.publications.iter();
        let unheard = publications.filter(|(_, published)| !published.is_confirmed);
        let unheard: Vec<TrackId> = unheard.map(|(id, _)| *id).collect();
        for publication in unheard {
            self.handle_unpublished(publication, now, effects);
        }
    }

    pub(super) fn handle_muted_by_participant(
        &mut self,
        participant: ParticipantId,
        kind: MediaKind,
        muted: bool,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.change_mutes(participant, now, effects, |member| {
            set(&mut member.mutes.own, kind, muted);
        });
    }

    pub(super) fn handle_muted_by_moderator(
        &mut self,
        participant: ParticipantId,
        scope: MuteScope,
        muted: bool,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        self.change_mutes(participant, now, effects, |member| match scope {
            MuteScope::Kind(kind) => {
                set(&mut member.mutes.moderated, kind, muted);
                if !muted {
                    let publications = &member.publications;
                    let is_other = |id: &TrackId| publications[id].kind != kind;
                    member.mutes.moderated_tracks.retain(is_other);
                }
            }
            MuteScope::Publication(publication) => {
                if member.publications.contains_key(&publication) {
                    set(&mut member.mutes.moderated_tracks, publication, muted);
                }
            }
        });
    }

    /// What is too long or too much is passed over.
    pub(super) fn handle_labelled(
        &mut self,
        participant: ParticipantId,
        source: StreamId,
        label: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.members.get_mut(&participant) else {
            return;
        };
        if member.label(&source) == label.as_deref()
            || !member.relabel(&self.limits, &source, &label)
        {
            return;
        }
        let publications = member.publications.values();
        let of_stream = publications.filter(|one| one.source.as_ref() == Some(&source));
        let mut streams: Vec<&StreamId> = of_stream.map(|one| &one.stream).collect();
        streams.dedup();
        for stream in streams {
            let labelled = RoomEvent::Labelled {
                participant,
                stream: stream.clone(),
                label: label.clone(),
            };
            effects.push(Effect::Tell(Audience::All, labelled));
        }
    }

    /// How loud a track is; who is muted does not speak.
    pub(super) fn handle_heard(
        &mut self,
        participant: ParticipantId,
        publication: TrackId,
        level: (i8, bool),
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(member) = self.members.get(&participant) else {
            return;
        };
        if !member.publications.contains_key(&publication) || member.muted_by(publication).is_some()
        {
            return;
        }
        let changed = self.speakers.hear(participant, publication, level, now);
        let changed = changed.map(<[_]>::to_vec);
        self.tell_speaking(changed, effects);
    }

    /// The time has come at which somebody may have fallen silent.
    pub(super) fn handle_silence_check(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.awaits_silence = false;
        let changed = self.speakers.check(now).map(<[_]>::to_vec);
        self.tell_speaking(changed, effects);
    }

    pub(super) fn snapshot(&self) -> RoomSnapshot {
        let members = self.members.iter();
        RoomSnapshot {
            participants: members.map(|(id, member)| member.snapshot(*id)).collect(),
            speaking: self.speakers.now().to_vec(),
        }
    }

    fn check(&self, request: &JoinRequest) -> Result<(), JoinError> {
        if self.closing.is_some() {
            return Err(CallError::Stopped.into());
        }
        let limit = self.limits.text_bytes;
        let key = request.key.as_deref().unwrap_or_default();
        for (what, text) in [("name", request.name.as_str()), ("key", key)] {
            if text.len() > limit {
                return Err(JoinError::TooLong { what, limit });
            }
        }
        Ok(())
    }

    /// Those who are leaving count once the room has twice as many as it takes: whoever joins and is replaced again and
    /// again has to wait until what it left behind is gone.
    fn check_room(&self, replaces: bool) -> Result<(), JoinError> {
        let limit = self.limits.participants;
        let is_full = self.members.len() >= limit && !replaces;
        if is_full || self.members.len() + self.leaving.len() >= 2 * limit {
            return Err(JoinError::RoomFull { limit });
        }
        Ok(())
    }

    fn find_by_key(&self, key: Option<&str>) -> Option<ParticipantId> {
        let key = key?;
        let mut members = self.members.iter();
        let found = members.find(|(_, member)| member.key.as_deref() == Some(key));
        found.map(|(id, _)| *id)
    }

    /// Tells a newcomer what the others know.
    fn brief(&self, newcomer: ParticipantId, effects: &mut Vec<Effect>) {
        let mut tell = |event| effects.push(Effect::Tell(Audience::Newcomer(newcomer), event));
        for (id, member) in &self.members {
            tell(RoomEvent::Joined {
                participant: *id,
                name: member.name.clone(),
            });
            tell(RoomEvent::ConnectionStateChanged {
                participant: *id,
                state: member.connection,
            });
            for publication in member.publications.keys() {
                tell(member.published(*id, *publication));
            }
        }
        if !self.speakers.now().is_empty() {
            tell(RoomEvent::Speaking {
                participants: self.speakers.now().to_vec(),
            });
        }
    }

    fn handle_published(
        &mut self,
        publication: Publication,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(&participant) = self.by_peer.get(&publication.publisher) else {
            return;
        };
        let id = publication.track.id();
        let published = Published::of(&publication);
        let member = self.member(participant);
        if let Some(known) = member.publications.get_mut(&id) {
            known.is_confirmed = true;
            if known.stream == published.stream && known.source == published.source {
                if member.muted_by(id).is_some() {
                    effects.push(Effect::SetPaused(id, true));
                }
                return;
            }
            self.handle_unpublished(id, now, effects);
        }
        self.publishers.insert(id, participant);
        let member = self.member(participant);
        member.publications.insert(id, published);
        let told = member.published(participant, id);
        if member.muted_by(id).is_some() {
            effects.push(Effect::SetPaused(id, true));
        }
        effects.push(Effect::Tell(Audience::All, told));
    }

    fn handle_unpublished(
        &mut self,
        publication: TrackId,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let Some(participant) = self.publishers.remove(&publication) else {
            return;
        };
        let member = self.member(participant);
        member.publications.remove(&publication);
        member.mutes.moderated_tracks.remove(&publication);
        self.unsubscribe_all(publication);
        let unpublished = RoomEvent::Unpublished {
            participant,
            publication,
        };
        effects.push(Effect::Tell(Audience::All, unpublished));
        self.forget_voice(participant, publication, now, effects);
    }

    fn handle_subscribed(
        &mut self,
        subscriber: PeerId,
        publication: TrackId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(participant) = self.subscriber(subscriber, publication) else {
            return;
        };
        if self.member(participant).subscriptions.insert(publication) {
            let subscribed = RoomEvent::Subscribed {
                participant,
                publication,
            };
            effects.push(Effect::Tell(Audience::One(participant), subscribed));
        }
    }

    fn handle_unsubscribed(
        &mut self,
        subscriber: PeerId,
        publication: TrackId,
        effects: &mut Vec<Effect>,
    ) {
        let Some(participant) = self.subscriber(subscriber, publication) else {
            return;
        };
        if self.member(participant).subscriptions.remove(&publication) {
            let unsubscribed = RoomEvent::Unsubscribed {
                participant,
                publication,
            };
            effects.push(Effect::Tell(Audience::One(participant), unsubscribed));
        }
    }

    fn handle_cannot_decode(
        &self,
        subscriber: PeerId,
        publication: TrackId,
        codec: Option<RtpCodec>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(participant) = self.subscriber(subscriber, publication) else {
            return;
        };
        let cannot = RoomEvent::CannotDecode {
            participant,
            publication,
            codec,
        };
        effects.push(Effect::Tell(Audience::One(participant), cannot));
    }

    fn tell_not_forwarded(
        &self,
        peer: PeerId,
        publication: TrackId,
        error: String,
        effects: &mut Vec<Effect>,
    ) {
        let Some(&participant) = self.by_peer.get(&peer) else {
            return;
        };
        let not_forwarded = RoomEvent::NotForwarded {
            participant,
            publication,
            error,
        };
        effects.push(Effect::Tell(Audience::One(participant), not_forwarded));
    }

    /// Whose peer it is, if the publication is still there.
    fn subscriber(&self, peer: PeerId, publication: TrackId) -> Option<ParticipantId> {
        self.publishers.get(&publication)?;
        self.by_peer.get(&peer).copied()
    }

    fn unsubscribe_all(&mut self, publication: TrackId) {
        for member in self.members.values_mut() {
            member.subscriptions.remove(&publication);
        }
    }

    /// Tells what has become different for each publication of one member.
    fn change_mutes(
        &mut self,
        participant: ParticipantId,
        now: Instant,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut Member),
    ) {
        let Some(member) = self.members.get_mut(&participant) else {
            return;
        };
        let before = member.muted();
        change(member);
        let after = member.muted();
        for (publication, by) in after {
            match (before[&publication], by) {
                (before, after) if before == after => {}
                (was, Some(by)) => {
                    if was.is_none() {
                        effects.push(Effect::SetPaused(publication, true));
                    }
                    let muted = RoomEvent::Muted {
                        participant,
                        publication,
                        by,
                    };
                    effects.push(Effect::Tell(Audience::All, muted));
                    self.forget_voice(participant, publication, now, effects);
                }
                (_, None) => {
                    effects.push(Effect::SetPaused(publication, false));
                    let unmuted = RoomEvent::Unmuted {
                        participant,
                        publication,
                    };
                    effects.push(Effect::Tell(Audience::All, unmuted));
                }
            }
        }
    }

    fn forget_voice(
        &mut self,
        participant: ParticipantId,
        publication: TrackId,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let changed = self.speakers.forget_track(participant, publication, now);
        let changed = changed.map(<[_]>::to_vec);
        self.tell_speaking(changed, effects);
    }

    fn tell_speaking(&mut self, changed: Option<Vec<ParticipantId>>, effects: &mut Vec<Effect>) {
        if let Some(participants) = changed {
            let speaking = RoomEvent::Speaking { participants };
            effects.push(Effect::Tell(self.audience_of_all(), speaking));
        }
        if let Some(at) = self.speakers.next_check().filter(|_| !self.awaits_silence) {
            self.awaits_silence = true;
            effects.push(Effect::AwaitSilence(at));
        }
    }

    fn end_if_empty(&self, effects: &mut Vec<Effect>) {
        if let Some(reason) = self.closing.filter(|_| self.leaving.is_empty()) {
            effects.push(Effect::End(reason));
        }
    }

    /// While everybody goes, nobody need be told of the others.
    fn audience_of_all(&self) -> Audience {
        if self.closing.is_some() {
            Audience::Owner
        } else {
            Audience::All
        }
    }

    fn member(&mut self, participant: ParticipantId) -> &mut Member {
        let member = self.members.get_mut(&participant);
        member.expect("the tables name members only")
    }
}
