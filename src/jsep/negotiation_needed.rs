//! When an offer is due (W3C §4.7.3).

use super::description::SdpType;
use super::effect::JsepEffect;
use super::machine::Jsep;
use super::offer::msids;
use super::sdp::Section;
use super::transceiver::Transceiver;
use crate::peer_connection::SignalingState;

impl Jsep {
    /// Tells the owner that an offer is due, once for all changes until the next exchange. While
    /// one is under way nothing is told: its end asks again.
    pub(super) fn update_negotiation_needed(&mut self, effects: &mut Vec<JsepEffect>) {
        if self.state != SignalingState::Stable {
            return;
        }
        let needed = self.is_negotiation_needed();
        if needed && !self.negotiation_needed {
            effects.push(JsepEffect::NegotiationNeeded);
        }
        self.negotiation_needed = needed;
    }

    fn is_negotiation_needed(&self) -> bool {
        if self.credentials.restart_is_due() && self.is_in_use() {
            return true;
        }
        let mut transceivers = self.transceivers.iter();
        transceivers.any(|transceiver| self.needs_negotiation(transceiver))
    }

    /// Whether there is an m-line that an offer could restart ICE with.
    fn is_in_use(&self) -> bool {
        let local = self.current.local.as_ref();
        local.is_some_and(|applied| applied.description.tagged().is_some())
    }

    fn needs_negotiation(&self, transceiver: &Transceiver) -> bool {
        let mid = transceiver.mid.as_ref();
        let section = |applied: Option<&std::sync::Arc<super::machine::Applied>>| {
            let section = applied.and_then(|applied| applied.description.section(mid?));
            section.cloned()
        };
        let local = section(self.current.local.as_ref());
        let remote = section(self.current.remote.as_ref());
        if transceiver.stopped {
            // Once one side has said so, nothing is left to say.
            return [local, remote].iter().flatten().all(|s| !s.rejected);
        }
        let (Some(local), Some(remote)) = (local, remote) else {
            return true;
        };
        transceiver.stopping
            || streams_differ(transceiver, &local)
            || self.direction_differs(transceiver, &local, &remote)
    }

    fn direction_differs(
        &self,
        transceiver: &Transceiver,
        local: &Section,
        remote: &Section,
    ) -> bool {
        let wanted = transceiver.direction;
        let we_offered = self
            .current
            .local
            .as_ref()
            .is_some_and(|applied| applied.kind == SdpType::Offer);
        if we_offered {
            wanted != local.direction && wanted != remote.direction.reversed()
        } else {
            wanted.intersect(remote.direction.reversed()) != local.direction
        }
    }
}

fn streams_differ(transceiver: &Transceiver, local: &Section) -> bool {
    // An answer that may not send says nothing of streams. W3C asks for an offer then, which two sides that both
    // want to send and not to receive would make for ever; there are none to tell of as long as that is so.
    if !transceiver.direction.sends() || !local.direction.sends() {
        return false;
    }
    let wanted = msids(transceiver);
    let told = &local.msids;
    // Which track it is may change without notice (`replace_track`); the streams may not.
    wanted.len() != told.len()
        || !wanted
            .iter()
            .all(|msid| told.iter().any(|told| told.stream == msid.stream))
}
