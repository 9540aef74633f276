//! Who is there, what they publish, who has muted what, and who must hear of it.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use super::JoinRequest;
use super::error::JoinError;
use super::event::{LeaveReason, MuteScope, ParticipantId, RoomCloseReason, RoomEvent};
use super::limits::{RoomLimits, RoomTimes};
use super::member::{Member, Mutes, set};
use super::snapshot::RoomSnapshot;
use super::speakers::Speakers;
use crate::call::CallError;
use crate::peer_connection::{PeerConnectionState, PeerId};
use crate::perfect_negotiation::PerfectNegotiationError;
use crate::rtp::AudioLevel;
use crate::supervision::{RestartIntensity, RestartLog};
use crate::track::{MediaKind, StreamId, TrackId};

/// Decides; the shell owns the actors and the time.
#[derive(Debug)]
pub(super) struct RoomMachine {
    pub(super) limits: RoomLimits,
    pub(super) forwarder_intensity: RestartIntensity,
    pub(super) members: BTreeMap<ParticipantId, Member>,
    pub(super) by_peer: HashMap<PeerId, ParticipantId>,
    pub(super) publishers: HashMap<TrackId, ParticipantId>,
    /// Those whose actors have not ended yet.
    pub(super) leaving: BTreeMap<ParticipantId, Option<PeerId>>,
    pub(super) speakers: Speakers,
    /// A timer runs that ends in [`Self::handle_silence_check`].
    pub(super) silence_awaited: bool,
    pub(super) forwarder_failures: RestartLog,
    /// Everybody is going, for this.
    pub(super) closing: Option<RoomCloseReason>,
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
    /// The former one has failed: start another in its place, and come back with [`RoomMachine::handle_forwarder_restarted`].
    StartForwarder,
    /// Come back then with [`RoomMachine::handle_silence_check`].
    AwaitSilence(Instant),
    /// Come back in a while with [`RoomMachine::handle_close_deadline`]: everybody is going.
    AwaitEnd,
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
            forwarder_intensity: RestartIntensity {
                restarts: u32::try_from(limits.forwarder_restarts).unwrap_or(u32::MAX),
                period: times.forwarder_period,
            },
            limits,
            members: BTreeMap::new(),
            by_peer: HashMap::new(),
            publishers: HashMap::new(),
            leaving: BTreeMap::new(),
            speakers: Speakers::default(),
            silence_awaited: false,
            forwarder_failures: RestartLog::default(),
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
        let newcomer = ParticipantId::next();
        let mut mutes = Mutes::default();
        if let Some(former) = former {
            let member = &self.members[&former];
            mutes.moderated = member.mutes.moderated.clone();
            let audience = Audience::Others(newcomer);
            self.leave(former, LeaveReason::Replaced, audience, now, effects);
        }
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
        let audience = self.audience_of_all();
        self.leave(participant, reason, audience, now, effects);
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
        if self.closing.is_none() {
            self.closing = Some(reason);
            effects.push(Effect::AwaitEnd);
        }
        let everybody: Vec<ParticipantId> = self.members.keys().copied().collect();
        for participant in everybody {
            self.handle_leave(participant, LeaveReason::RoomClosed, now, effects);
        }
        self.end_if_empty(effects);
    }

    /// Those who are left had their time; they are killed with the room.
    pub(super) fn handle_close_deadline(&self, effects: &mut Vec<Effect>) {
        effects.extend(self.closing.map(Effect::End));
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

    /// The forwarder has failed.
    pub(super) fn handle_forwarder_ended(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let intensity = self.forwarder_intensity;
        let is_too_many = self.forwarder_failures.note(intensity, now);
        if self.closing.is_some() {
            return;
        }
        if is_too_many {
            self.handle_close(RoomCloseReason::ForwarderFailed, now, effects);
            return;
        }
        effects.push(Effect::StartForwarder);
        let restarted = RoomEvent::ForwarderRestarted;
        effects.push(Effect::Tell(Audience::Owner, restarted));
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
                    let tracks = &mut member.mutes.moderated_tracks;
                    tracks.retain(|_, of_kind| *of_kind != kind);
                }
            }
            MuteScope::Publication(publication) if muted => {
                if let Some(published) = member.publications.get(&publication) {
                    let tracks = &mut member.mutes.moderated_tracks;
                    tracks.insert(publication, published.kind);
                }
            }
            MuteScope::Publication(publication) => {
                member.mutes.moderated_tracks.remove(&publication);
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
        let mut streams: Vec<&StreamId> = Vec::new();
        for published in member.publications.values() {
            let is_it = published.source.as_ref() == Some(&source);
            if is_it && !streams.contains(&&published.stream) {
                streams.push(&published.stream);
            }
        }
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
        level: AudioLevel,
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
        self.tell_speaking(changed, Audience::All, effects);
    }

    /// The time has come at which somebody may have fallen silent.
    pub(super) fn handle_silence_check(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        self.silence_awaited = false;
        let changed = self.speakers.check(now).map(<[_]>::to_vec);
        self.tell_speaking(changed, Audience::All, effects);
    }

    pub(super) fn snapshot(&self) -> RoomSnapshot {
        let members = self.members.iter();
        RoomSnapshot {
            participants: members.map(|(id, member)| member.snapshot(*id)).collect(),
            speaking: self.speakers.now().to_vec(),
        }
    }

    fn leave(
        &mut self,
        participant: ParticipantId,
        reason: LeaveReason,
        audience: Audience,
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
        effects.push(Effect::Tell(audience, left));
        let changed = self.speakers.forget(participant, now).map(<[_]>::to_vec);
        self.tell_speaking(changed, audience, effects);
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

    pub(super) fn forget_voice(
        &mut self,
        participant: ParticipantId,
        publication: TrackId,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let changed = self.speakers.forget_track(participant, publication, now);
        let changed = changed.map(<[_]>::to_vec);
        self.tell_speaking(changed, Audience::All, effects);
    }

    fn tell_speaking(
        &mut self,
        changed: Option<Vec<ParticipantId>>,
        audience: Audience,
        effects: &mut Vec<Effect>,
    ) {
        if let Some(participants) = changed {
            let speaking = RoomEvent::Speaking { participants };
            effects.push(Effect::Tell(audience, speaking));
        }
        if let Some(at) = self.speakers.next_check().filter(|_| !self.silence_awaited) {
            self.silence_awaited = true;
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

    pub(super) fn member(&mut self, participant: ParticipantId) -> &mut Member {
        let member = self.members.get_mut(&participant);
        member.expect("the tables name members only")
    }
}
