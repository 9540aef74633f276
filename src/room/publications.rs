//! What the forwarder tells, and who must hear of it. Pure, as the machine that it is a part of.

use std::collections::HashSet;
use std::time::Instant;

use super::event::{LeaveReason, ParticipantId, RoomEvent, with_causes};
use super::machine::{Audience, Effect, RoomMachine};
use super::member::Published;
use crate::codec::RtpCodec;
use crate::forwarder::{ForwarderEvent, ForwarderSnapshot, Publication};
use crate::peer_connection::PeerId;
use crate::track::TrackId;

impl RoomMachine {
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
            // A room makes no slots, what goes on needs no word, and pages see how large a picture is.
            ForwarderEvent::Unsubscribed {
                publication: None, ..
            }
            | ForwarderEvent::SourceEnded { .. }
            | ForwarderEvent::LayerChanged { .. }
            | ForwarderEvent::LayerLimitChanged { .. }
            | ForwarderEvent::SubscriberRestarted { .. } => {}
        }
    }

    /// A forwarder goes on where another one has failed. What that one had no time to tell, it shows; what was said to
    /// nobody meanwhile, it has to be told.
    pub(super) fn handle_forwarder_restarted(
        &mut self,
        shown: &ForwarderSnapshot,
        now: Instant,
        effects: &mut Vec<Effect>,
    ) {
        let publications = shown.publications.iter().map(|it| &it.publication);
        for publication in publications.clone() {
            self.handle_published(publication.clone(), now, effects);
        }
        let shown_ids: HashSet<TrackId> = publications.map(|it| it.track.id()).collect();
        let known: Vec<TrackId> = self.publishers.keys().copied().collect();
        for publication in known {
            if !shown_ids.contains(&publication) {
                self.handle_unpublished(publication, now, effects);
            }
        }
        self.reconcile_subscriptions(shown, effects);
        for member in self.members.values() {
            let muted = member.muted().into_iter();
            effects.extend(muted.map(|(id, by)| Effect::SetPaused(id, by.is_some())));
        }
    }

    fn reconcile_subscriptions(&mut self, shown: &ForwarderSnapshot, effects: &mut Vec<Effect>) {
        let attached = shown.subscriptions.iter().filter(|it| it.is_attached);
        let shown: HashSet<(PeerId, TrackId)> = attached
            .filter_map(|it| Some((it.subscriber, it.publication?)))
            .collect();
        let members = self.members.values();
        let known: Vec<(PeerId, TrackId)> = members
            .filter_map(|member| Some((member.peer?, &member.subscriptions)))
            .flat_map(|(peer, all)| all.iter().map(move |id| (peer, *id)))
            .collect();
        for (subscriber, publication) in &shown {
            self.handle_subscribed(*subscriber, *publication, effects);
        }
        for (subscriber, publication) in known {
            if !shown.contains(&(subscriber, publication)) {
                self.handle_unsubscribed(subscriber, publication, effects);
            }
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
        if let Some(known) = self.member(participant).publications.get(&id) {
            if *known == published {
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

    pub(super) fn unsubscribe_all(&mut self, publication: TrackId) {
        for member in self.members.values_mut() {
            member.subscriptions.remove(&publication);
        }
    }
}
