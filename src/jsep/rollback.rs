//! Taking an offer back (RFC 9429 §4.1.10.2).

use std::sync::Arc;

use super::apply::News;
use super::effect::JsepEffect;
use super::error::NegotiationError;
use super::machine::{Applied, Descriptions, Jsep, Side};
use super::transceiver::Transceiver;
use crate::configuration::MediaConfiguration;
use crate::peer_connection::SignalingState;

/// What a rollback restores.
pub(super) struct StablePoint {
    configuration: Arc<MediaConfiguration>,
    transceivers: Vec<Transceiver>,
    agreed: Option<(Arc<Applied>, Arc<Applied>)>,
}

impl Jsep {
    /// Keeps what is, the first time an exchange changes it.
    pub(super) fn remember_stable(&mut self) {
        if self.stable.is_none() {
            self.stable = Some(StablePoint {
                configuration: Arc::clone(&self.configuration),
                transceivers: self.transceivers.clone(),
                agreed: self.agreed.clone(),
            });
        }
    }

    /// Each side takes back its own offers only.
    pub(super) fn roll_back(
        &mut self,
        side: Side,
        effects: &mut Vec<JsepEffect>,
    ) -> Result<(), NegotiationError> {
        use SignalingState as S;
        match (side, self.state) {
            (Side::Local, S::HaveLocalOffer | S::HaveRemotePranswer)
            | (Side::Remote, S::HaveRemoteOffer | S::HaveLocalPranswer) => {}
            (Side::Local | Side::Remote, _) => return Err(self.invalid_state("rollback")),
        }
        let mut news = News::default();
        let media_before = self.media_plan();
        self.undo(&mut news, effects);
        self.change_state(SignalingState::Stable, effects);
        news.tell(effects);
        let media = self.media_plan();
        if media != media_before {
            effects.push(JsepEffect::ApplyMedia(media));
        }
        self.negotiation_needed = false;
        self.update_negotiation_needed(effects);
        Ok(())
    }

    /// Goes back to the last stable point. What the application did since stays done.
    pub(super) fn undo(&mut self, news: &mut News, effects: &mut Vec<JsepEffect>) {
        let Some(stable) = self.stable.take() else {
            return;
        };
        if self.credentials.abandon() {
            self.local_candidates.forget_unknown(&self.credentials);
            effects.push(JsepEffect::AbandonIceRestart);
        }
        self.configuration = stable.configuration;
        self.agreed = stable.agreed;
        self.pending = Descriptions::default();
        self.created = None;
        self.transceivers.retain_mut(|transceiver| {
            let mut before = stable.transceivers.iter();
            match before.find(|before| before.id == transceiver.id) {
                Some(before) => {
                    transceiver.restore(before, news);
                    // As if it had been stopped before a description named it.
                    !transceiver.stopping || transceiver.mid.is_some()
                }
                None => transceiver.dissociate(news),
            }
        });
    }
}

impl Transceiver {
    fn restore(&mut self, before: &Self, news: &mut News) {
        self.mid.clone_from(&before.mid);
        self.receiver.track = before.receiver.track.clone();
        if !self.stopped {
            self.current_direction = before.current_direction;
            self.fire(before.fired_direction, news);
        }
    }
}
