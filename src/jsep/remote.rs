//! Applying descriptions of the remote side: all is checked before anything is changed.

use std::sync::Arc;

use super::apply::News;
use super::description::SdpType;
use super::direction::RtpTransceiverDirection;
use super::effect::JsepEffect;
use super::encodings::agreed_encodings;
use super::error::NegotiationError;
use super::machine::{Applied, Jsep, Side};
use super::matching::{adopt, remote_encodings};
use super::sdp::{Description, Section, SectionCodec, Setup};
use super::transceiver::{Origin, Transceiver};
use super::validate::{self, RemoteTransport};
use crate::dtls::DtlsRole;
use crate::peer_connection::SignalingState;
use crate::rtp::{HeaderExtension, Mid};
use crate::track::MediaKind;

impl Jsep {
    pub(super) fn apply_remote_offer(
        &mut self,
        text: String,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), NegotiationError> {
        // Both sides have offered: whoever comes here gives way.
        let glare = self.state == SignalingState::HaveLocalOffer;
        let next = if glare {
            SignalingState::HaveRemoteOffer
        } else {
            self.next_state(Side::Remote, SdpType::Offer)?
        };
        let description = Description::parse_within(&text, &self.limits)?;
        self.check_offer_continues(&description)?;
        self.check_room(&description)?;
        let transport = validate::check(&description, SdpType::Offer)?;
        self.check_transport(&description, SdpType::Offer, transport.as_ref())?;

        let mut news = News::default();
        if glare {
            self.undo(&mut news, effects);
        }
        self.remember_stable();
        self.created = None;
        self.drop_replaced(&description, &mut news);
        for section in &description.sections {
            self.take_offered(section, &mut news);
        }
        self.configuration = Arc::new(adopt(&self.configuration, &description));
        self.pending.remote = Some(Arc::new(Applied {
            kind: SdpType::Offer,
            text,
            description,
            transport,
        }));
        self.change_state(next, effects);
        news.tell(effects);
        Ok(())
    }

    pub(super) fn apply_remote_answer(
        &mut self,
        kind: SdpType,
        text: String,
        next: SignalingState,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), NegotiationError> {
        let Some(local) = self.pending.local.clone() else {
            return Err(self.invalid_state("set_remote_description"));
        };
        let mut description = Description::parse_within(&text, &self.limits)?;
        validate::check_answers(&description, &local.description)?;
        name_rejected(&mut description, &local.description);
        let transport = validate::check(&description, kind)?;
        self.check_transport(&description, kind, transport.as_ref())?;

        self.created = None;
        let mut news = News::default();
        for (local, remote) in (local.description.sections.iter()).zip(&description.sections) {
            self.settle_remote(kind, local, remote, &mut news);
        }
        let remote = Arc::new(Applied {
            kind,
            text,
            description,
            transport,
        });
        self.conclude(local, remote, next, news, effects);
        Ok(())
    }

    /// Against what was agreed on last. An m-line that either side rejected is free.
    fn check_offer_continues(&self, offer: &Description) -> Result<(), NegotiationError> {
        let (Some(local), Some(remote)) = (&self.current.local, &self.current.remote) else {
            return Ok(());
        };
        let mut before = remote.description.clone();
        let ours = local.description.sections.iter();
        for (section, ours) in before.sections.iter_mut().zip(ours) {
            section.rejected |= ours.rejected;
            section.mid.clone_from(&ours.mid);
        }
        validate::check_continues(offer, &before)
    }

    /// Whether there may be as many transceivers as the offer would make.
    fn check_room(&self, offer: &Description) -> Result<(), NegotiationError> {
        let made: usize = [MediaKind::Audio, MediaKind::Video]
            .into_iter()
            .map(|kind| {
                let (mut taking, mut others) = (0_usize, 0);
                for section in &offer.sections {
                    let known = section
                        .mid
                        .as_ref()
                        .and_then(|mid| self.transceiver_of(mid));
                    if section.kind != Some(kind) || section.rejected || known.is_some() {
                        continue;
                    }
                    let takes = section.direction.receives();
                    taking += usize::from(takes);
                    others += usize::from(!takes);
                }
                let waiting = self
                    .transceivers
                    .iter()
                    .filter(|t| t.waits_for_a_line(kind));
                taking.saturating_sub(waiting.count()) + others
            })
            .sum();
        let limit = self.limits.transceivers;
        if self.transceivers.len() + made > limit {
            let what = "m-lines, with the transceivers of this side that have none";
            return Err(NegotiationError::TooMany { what, limit });
        }
        Ok(())
    }

    /// Against the transport that runs. An offer may restart ICE, with whoever has the certificate
    /// it names; an answer must do as our offer did.
    fn check_transport(
        &self,
        description: &Description,
        kind: SdpType,
        found: Option<&RemoteTransport>,
    ) -> Result<(), NegotiationError> {
        let (Some(running), Some(found)) = (&self.transport, found) else {
            return Ok(());
        };
        let restarts = self.restarts(Some(found));
        let line = || description.line(description.tagged().unwrap_or_default());
        match (kind, self.credentials.has_begun()) {
            (SdpType::Offer | SdpType::Rollback, _) => {}
            (SdpType::Answer | SdpType::Pranswer, true) if !restarts => {
                return Err(NegotiationError::IceRestartIgnored { line: line() });
            }
            (SdpType::Answer | SdpType::Pranswer, false) if restarts => {
                return Err(NegotiationError::UnexpectedIceRestart { line: line() });
            }
            (SdpType::Answer | SdpType::Pranswer, true | false) => {}
        }
        let unsupported = |feature| Err(NegotiationError::NotSupported { feature });
        match (running.is_of(found), restarts) {
            (false, true) => return Ok(()),
            (false, false) => {
                return unsupported("another remote certificate without an ICE restart");
            }
            (true, _) => {}
        }
        let fits = match found.setup {
            Setup::ActPass => true,
            Setup::Active => running.dtls_role == DtlsRole::Server,
            Setup::Passive => running.dtls_role == DtlsRole::Client,
            Setup::Other => false,
        };
        if !fits {
            return unsupported("a change of the DTLS roles");
        }
        Ok(())
    }

    /// An offer may replace one that was never answered: whatever only that one had goes.
    fn drop_replaced(&mut self, offer: &Description, news: &mut News) {
        let current = self.current.remote.clone();
        let settled = |mid: &Mid| {
            let current = current.as_ref();
            current.is_some_and(|current| current.description.position(mid).is_some())
        };
        self.transceivers.retain_mut(|transceiver| {
            let Some(mid) = transceiver.mid.clone() else {
                return true;
            };
            let kind = offer.section(&mid).map(|section| section.kind);
            if settled(&mid) || kind == Some(Some(transceiver.kind)) {
                return true;
            }
            transceiver.dissociate(news)
        });
    }

    /// One m-line of an offer finds its transceiver, or gets a new one (RFC 9429 §5.10).
    fn take_offered(&mut self, section: &Section, news: &mut News) {
        let (Some(kind), Some(mid)) = (section.kind, &section.mid) else {
            return;
        };
        let existing = self
            .transceivers
            .iter()
            .position(|t| t.mid.as_ref() == Some(mid));
        if section.rejected {
            if let Some(index) = existing {
                self.transceivers[index].stop(news);
            }
            return;
        }
        let index = existing
            .or_else(|| self.waiting_for(section, kind))
            .unwrap_or_else(|| self.add_remote_transceiver(kind));
        let simulcast = self.takes_simulcast(kind);
        let transceiver = &mut self.transceivers[index];
        if transceiver.stopped {
            return;
        }
        transceiver.mid = Some(mid.clone());
        transceiver.remote_receives = section.direction.receives();
        transceiver.rename_track(section, simulcast);
        transceiver.fire(section.direction.reversed(), news);
    }

    /// A transceiver of `add_track` that waits for an m-line which takes its media.
    fn waiting_for(&self, section: &Section, kind: MediaKind) -> Option<usize> {
        let wanted = section.direction.receives();
        let mut transceivers = self.transceivers.iter();
        wanted
            .then(|| transceivers.position(|t| t.waits_for_a_line(kind)))
            .flatten()
    }

    fn add_remote_transceiver(&mut self, kind: MediaKind) -> usize {
        let ssrcs = self.fresh_ssrcs();
        let transceiver = Transceiver::new(kind, Origin::RemoteOffer, ssrcs);
        self.transceivers.push(transceiver);
        self.transceivers.len() - 1
    }

    /// Packets of several encodings can be told apart only by their RID.
    fn takes_simulcast(&self, kind: MediaKind) -> bool {
        self.configuration
            .header_extensions(kind)
            .any(|entry| entry.extension == HeaderExtension::Rid)
    }

    /// One m-line of the remote answer takes effect.
    fn settle_remote(&mut self, kind: SdpType, local: &Section, remote: &Section, news: &mut News) {
        let Some(mid) = &local.mid else { return };
        let Some(transceiver) = self.transceiver_of_mut(mid) else {
            return;
        };
        if local.rejected || remote.rejected {
            transceiver.stop(news);
            return;
        }
        let common = |ours: &SectionCodec| {
            let mut theirs = remote.codecs.iter();
            theirs.any(|theirs| ours.codec.matches(&theirs.codec))
        };
        if !local.codecs.iter().any(common) {
            let ours = local.codecs.iter().map(|ours| ours.codec.clone()).collect();
            news.no_common_codec(mid.clone(), transceiver.kind, ours, &remote.codecs);
        }
        if local.direction.sends() {
            transceiver.remote_receives = remote.direction.receives();
        }
        let direction = local.direction.intersect(remote.direction.reversed());
        transceiver.settle(direction);
        let offers_encodings = local.simulcast.iter().any(|it| !it.send.is_empty());
        if kind == SdpType::Answer && direction.sends() && offers_encodings {
            let taken = agreed_encodings(local, remote);
            transceiver.sender.keep_encodings(&taken);
        }
        let asked = local.simulcast.iter().any(|it| !it.recv.is_empty());
        transceiver.rename_track(remote, asked);
        transceiver.fire(direction, news);
    }
}

impl Transceiver {
    /// It comes of `add_track` and has no m-line yet: one of this kind may take its media.
    fn waits_for_a_line(&self, kind: MediaKind) -> bool {
        self.origin == Origin::AddTrack
            && self.mid.is_none()
            && self.kind == kind
            && !self.stopping
            && !self.stopped
    }

    /// The receiver's track gets the names that the remote side gives it.
    fn rename_track(&mut self, section: &Section, simulcast: bool) {
        if !section.direction.sends() {
            return;
        }
        let track = &self.receiver.track;
        let label = section.msids.iter().find_map(|msid| msid.track.as_deref());
        let label = label.unwrap_or_else(|| track.label()).to_owned();
        let streams = section.msids.iter().filter_map(|msid| msid.stream.clone());
        let rids = if simulcast {
            remote_encodings(section)
        } else {
            Vec::new()
        };
        self.receiver.track = track.renamed(&label, streams, rids);
    }

    /// Tells the owner what a direction, seen from our side, changes for the remote track.
    pub(super) fn fire(&mut self, direction: RtpTransceiverDirection, news: &mut News) {
        match (self.fired_direction.receives(), direction.receives()) {
            (false, true) if !self.stopping => news.added(self),
            (true, false) if !self.stopping => news.muted(self),
            (false | true, false | true) => {}
        }
        self.fired_direction = direction;
    }

    /// The m-line is rejected: it is over.
    pub(super) fn stop(&mut self, news: &mut News) {
        if self.stopped {
            return;
        }
        if !self.stopping {
            self.fire(RtpTransceiverDirection::Inactive, news);
            news.ended(self);
        }
        self.stopping = true;
        self.stopped = true;
        self.direction = RtpTransceiverDirection::Inactive;
        self.current_direction = None;
    }

    /// The m-line is not there any more, since its description was taken back. Whether the
    /// transceiver stays: those that only the remote offer made do not.
    pub(super) fn dissociate(&mut self, news: &mut News) -> bool {
        self.mid = None;
        self.fire(RtpTransceiverDirection::Inactive, news);
        if self.stopping {
            // There is no m-line left that could say so.
            self.stop(news);
            return false;
        }
        if self.origin != Origin::RemoteOffer {
            return true;
        }
        if self.sender.track.is_some() {
            // `add_track` has taken it over (RFC 9429 §4.1.10.2).
            self.origin = Origin::AddTrack;
            return true;
        }
        self.stop(news);
        false
    }
}

/// Rejected m-lines of an answer may have no mid: they are those of the offer.
fn name_rejected(answer: &mut Description, offer: &Description) {
    for (answered, offered) in answer.sections.iter_mut().zip(&offer.sections) {
        if answered.rejected && answered.mid.is_none() {
            answered.mid.clone_from(&offered.mid);
        }
    }
}
