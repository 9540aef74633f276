//! Applying descriptions: what local and remote ones have in common (W3C §4.4.1.5).

use std::sync::Arc;

use super::description::SdpType;
use super::effect::JsepEffect;
use super::machine::{Applied, Created, Descriptions, Jsep, Transport};
use super::matching::preferred;
use super::sdp::{Section, SectionCodec, Setup};
use super::transceiver::{Transceiver, TransceiverId};
use super::validate::RemoteTransport;
use crate::codec::RtpCodec;
use crate::dtls::DtlsRole;
use crate::ice::IceRole;
use crate::peer_connection::SignalingState;
use crate::rtp::Mid;
use crate::track::{MediaKind, MediaStreamTrack, TrackId};

/// What the owner hears of remote tracks, collected while a description is applied.
#[derive(Debug, Default)]
pub(super) struct News {
    no_codec: Vec<JsepEffect>,
    muted: Vec<TrackId>,
    ended: Vec<TrackId>,
    added: Vec<MediaStreamTrack>,
}

impl News {
    pub(super) fn muted(&mut self, transceiver: &Transceiver) {
        self.muted.push(transceiver.receiver.track.id());
    }

    pub(super) fn ended(&mut self, transceiver: &Transceiver) {
        self.ended.push(transceiver.receiver.track.id());
    }

    pub(super) fn added(&mut self, transceiver: &Transceiver) {
        self.added.push(transceiver.receiver.track.clone());
    }

    pub(super) fn no_common_codec(
        &mut self,
        mid: Mid,
        kind: MediaKind,
        local: Vec<RtpCodec>,
        remote: &[SectionCodec],
    ) {
        self.no_codec.push(JsepEffect::NoCommonCodec {
            mid,
            kind,
            local,
            remote: remote.iter().map(|theirs| theirs.codec.clone()).collect(),
        });
    }

    /// In W3C's order: mutes, ends, then new tracks.
    pub(super) fn tell(self, effects: &mut Vec<JsepEffect>) {
        effects.extend(self.no_codec);
        effects.extend(self.muted.into_iter().map(JsepEffect::TrackMuted));
        effects.extend(self.ended.into_iter().map(JsepEffect::TrackEnded));
        effects.extend(self.added.into_iter().map(JsepEffect::Track));
    }
}

impl Jsep {
    pub(super) fn apply_local_offer(
        &mut self,
        created: Created,
        next: SignalingState,
        effects: &mut Vec<JsepEffect>,
    ) {
        self.remember_stable();
        self.next_mid = created.next_mid;
        for (section, owner) in created.description.sections.iter().zip(&created.owners) {
            if let Some(owner) = owner.filter(|_| !section.rejected) {
                self.associate(owner, section.mid.as_ref());
            }
        }
        let restart = self.begin_restart(&created);
        let local = self.adopt_created(created);
        self.pending = Descriptions {
            local: Some(local),
            remote: None,
        };
        self.change_state(next, effects);
        self.start_gathering(effects);
        effects.extend(restart);
    }

    pub(super) fn apply_local_answer(
        &mut self,
        created: Created,
        next: SignalingState,
        effects: &mut Vec<JsepEffect>,
    ) {
        let Some(remote) = self.pending.remote.clone() else {
            return;
        };
        effects.extend(self.begin_restart(&created));
        let local = self.adopt_created(created);
        let mut news = News::default();
        let sections = local.description.sections.iter();
        for (local, remote) in sections.zip(&remote.description.sections) {
            self.settle_local(local, remote, &mut news);
        }
        self.conclude(local, remote, next, news, effects);
    }

    /// One m-line of an answer of ours takes effect.
    fn settle_local(&mut self, local: &Section, remote: &Section, news: &mut News) {
        let Some(mid) = &local.mid else { return };
        let configuration = Arc::clone(&self.configuration);
        let Some(transceiver) = self.transceiver_of_mut(mid) else {
            return;
        };
        if local.rejected || remote.rejected {
            if !remote.rejected && !transceiver.stopping && !transceiver.stopped {
                let kind = transceiver.kind;
                let ours = preferred(&configuration, kind, &transceiver.preferences);
                let ours = ours.into_iter().flatten();
                let ours = ours.map(|entry| entry.codec.clone()).collect();
                news.no_common_codec(mid.clone(), kind, ours, &remote.codecs);
            }
            transceiver.stop(news);
            return;
        }
        let direction = local.direction.intersect(remote.direction.reversed());
        transceiver.settle(direction);
        transceiver.fire(direction, news);
    }

    /// What was said goodbye to does not come back (RFC 3550 §6.6): who sends again after a pause does so under other SSRCs. Chromium
    /// never plays a source that was gone and is there again.
    fn renew_ssrcs_of_paused(&mut self) {
        for index in 0..self.transceivers.len() {
            if !self.transceivers[index].is_paused() {
                continue;
            }
            for encoding in 0..self.transceivers[index].sender.encodings.len() {
                let (ssrc, rtx_ssrc) = self.fresh_ssrcs();
                let encoding = &mut self.transceivers[index].sender.encodings[encoding];
                encoding.ssrc = ssrc;
                encoding.rtx_ssrc = rtx_ssrc;
            }
            self.transceivers[index].sender.ssrcs_are_used = false;
        }
    }

    /// Both sides of an exchange are known, for good or (`pranswer`) for now.
    pub(super) fn conclude(
        &mut self,
        local: Arc<Applied>,
        remote: Arc<Applied>,
        next: SignalingState,
        news: News,
        effects: &mut Vec<JsepEffect>,
    ) {
        let we_offered = local.kind == SdpType::Offer;
        self.agreed = Some((Arc::clone(&local), Arc::clone(&remote)));
        let descriptions = Descriptions {
            local: Some(local),
            remote: Some(remote),
        };
        let is_final = next == SignalingState::Stable;
        if is_final {
            self.current = descriptions;
            self.pending = Descriptions::default();
            self.stable = None;
            self.remove_stopped();
            self.renew_ssrcs_of_paused();
        } else {
            self.pending = descriptions;
        }
        self.change_state(next, effects);
        news.tell(effects);
        self.start_gathering(effects);
        self.renew_parameters();
        effects.push(JsepEffect::ApplyMedia(self.media_plan()));
        self.start_transports(we_offered, is_final, effects);
        self.tell_candidates(effects);
        if is_final {
            self.negotiation_needed = false;
            self.update_negotiation_needed(effects);
        }
    }

    fn associate(&mut self, id: TransceiverId, mid: Option<&Mid>) {
        if let Some(transceiver) = self.transceivers.iter_mut().find(|t| t.id == id) {
            transceiver.mid = mid.cloned();
        }
    }

    fn adopt_created(&mut self, created: Created) -> Arc<Applied> {
        self.created = None;
        self.session_version = created.description.session_version;
        Arc::new(Applied {
            kind: created.kind,
            text: created.text,
            description: created.description,
            transport: None,
        })
    }

    /// Once, with the first description of ours that has an m-line in use.
    fn start_gathering(&mut self, effects: &mut Vec<JsepEffect>) {
        let latest = [&self.pending.local, &self.current.local];
        let latest = latest.into_iter().flatten().next();
        let in_use = latest.is_some_and(|applied| applied.description.tagged().is_some());
        if in_use && !self.gathering_started {
            self.gathering_started = true;
            effects.push(JsepEffect::StartGathering);
        }
    }

    /// With credentials of its own a description begins another ICE session, gathered for at once.
    fn begin_restart(&mut self, created: &Created) -> Option<JsepEffect> {
        created.description.tagged()?;
        let begins = self.credentials.begin(&created.ice);
        begins.then(|| JsepEffect::RestartIce {
            local: created.ice.clone(),
        })
    }

    /// With the first exchange that leaves an m-line in use, and with the final answer of each that
    /// restarts ICE: until then the path that runs serves.
    fn start_transports(
        &mut self,
        we_offered: bool,
        is_final: bool,
        effects: &mut Vec<JsepEffect>,
    ) {
        let Some((ours, transport)) = self.agreed_transport() else {
            // All m-lines are rejected: there is nothing to restart any more.
            if is_final && self.credentials.abandon() {
                effects.push(JsepEffect::AbandonIceRestart);
            }
            return;
        };
        let is_first = self.transport.is_none();
        let restarts = (is_first || is_final) && self.credentials.conclude();
        if !is_first && !restarts {
            return;
        }
        if restarts {
            self.local_candidates.forget_unknown(&self.credentials);
            self.remote_candidates.begin_session();
        }
        let dtls_role = dtls_role(ours, transport.setup);
        effects.push(JsepEffect::StartTransports {
            ice_role: ice_role(we_offered, transport.ice_lite),
            remote_ice: transport.ice.clone(),
            remote_ice_lite: transport.ice_lite,
            dtls_role,
            fingerprints: transport.fingerprints.clone(),
        });
        self.transport = Some(Transport {
            remote: transport,
            dtls_role,
        });
    }

    /// What both sides say of the transport, if both have an m-line in use.
    fn agreed_transport(&self) -> Option<(Option<Setup>, RemoteTransport)> {
        let (local, remote) = self.agreed.as_ref()?;
        let section = &local.description.sections[local.description.tagged()?];
        Some((section.transport.setup, remote.transport.clone()?))
    }

    /// A stopped transceiver goes when its m-line is rejected for both sides to see
    /// (W3C §4.4.1.5).
    fn remove_stopped(&mut self) {
        let Descriptions { local, remote } = self.current.clone();
        let in_use = |mid: &Mid| {
            [&local, &remote].into_iter().flatten().all(|applied| {
                let section = applied.description.section(mid);
                section.is_some_and(|section| !section.rejected)
            })
        };
        self.transceivers
            .retain(|t| !t.stopped || t.mid.as_ref().is_some_and(in_use));
    }
}

/// The full side controls a lite one; else the side that offered does (RFC 8445 §6.1.1).
fn ice_role(we_offered: bool, remote_ice_lite: bool) -> IceRole {
    if we_offered || remote_ice_lite {
        IceRole::Controlling
    } else {
        IceRole::Controlled
    }
}

/// Whoever answered has chosen (RFC 8842 §5.3).
fn dtls_role(local: Option<Setup>, remote: Setup) -> DtlsRole {
    match (local, remote) {
        (Some(Setup::Active), _) | (_, Setup::Passive) => DtlsRole::Client,
        (Some(Setup::Passive | Setup::ActPass | Setup::Other) | None, _) => DtlsRole::Server,
    }
}
