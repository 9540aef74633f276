//! Under which of our names RTCP goes out.

use std::collections::HashMap;

use crate::jsep::MediaPlan;
use crate::rtp::{Rid, Speaker, Ssrc};
use crate::track::TrackId;

/// A track, one encoding of it where it has several.
pub(super) type Place = (TrackId, Option<Rid>);

/// The sources that we send, as feedback needs to know them.
#[derive(Debug)]
pub(super) struct Speakers {
    senders: Vec<Speaker>,
    /// Which track stands behind an SSRC of ours, and which of its encodings.
    tracks: HashMap<Ssrc, Option<Place>>,
    /// Who asks for keyframes of a remote track: the sender of the same m-line.
    askers: HashMap<TrackId, usize>,
    /// Speaks when there is no sender, under a name that lasts one session (RFC 7022 §4.2).
    receiver: Speaker,
}

impl Speakers {
    /// `receiver` speaks while there is no sender.
    pub(super) fn new(receiver: Speaker) -> Self {
        Self {
            senders: Vec::new(),
            tracks: HashMap::new(),
            askers: HashMap::new(),
            receiver,
        }
    }

    pub(super) fn apply(&mut self, plan: &MediaPlan) {
        self.senders.clear();
        self.tracks.clear();
        self.askers.clear();
        for section in &plan.sections {
            if let (Some(receive), Some(_)) = (&section.receive, &section.send) {
                self.askers.insert(receive.track, self.senders.len());
            }
            for send in section.sends() {
                let place = send.track.map(|track| (track, send.rid.clone()));
                self.tracks.insert(send.ssrc, place);
                self.senders.push(Speaker {
                    ssrc: send.ssrc,
                    cname: send.cname.clone(),
                });
            }
        }
    }

    /// Who speaks in general.
    pub(super) fn general(&self) -> &Speaker {
        self.senders.first().unwrap_or(&self.receiver)
    }

    /// Who speaks of a remote track.
    pub(super) fn about(&self, track: TrackId) -> &Speaker {
        let asker = self.askers.get(&track);
        asker.map_or_else(|| self.general(), |index| &self.senders[*index])
    }

    /// The SSRCs of what we send.
    pub(super) fn ssrcs(&self) -> impl Iterator<Item = Ssrc> {
        self.senders.iter().map(|it| it.ssrc)
    }

    /// Whether we send under this SSRC.
    pub(super) fn are(&self, ssrc: Ssrc) -> bool {
        self.tracks.contains_key(&ssrc)
    }

    /// What we send under this SSRC.
    pub(super) fn place_of(&self, ssrc: Ssrc) -> Option<Place> {
        self.tracks.get(&ssrc)?.clone()
    }
}
