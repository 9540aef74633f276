//! What a packet passes on its way out of one half: pacing, numbering for the transport, protection.

use std::sync::Arc;
use std::time::Instant;

use super::congestion::{Congestion, Delayed, Media, Waiting};
use super::counters::SendingCounters;
use super::outbox::Outbox;
use crate::rtp::{Numbers, Repeat, Rewrite, RtpBatch, RtpPacket, RtpStreamSender, Ssrc, Urgency};
use crate::srtp::{Protector, SrtpError};
use crate::track::MediaKind;

/// The way out of one half, for the time of one call.
pub(super) struct WayOut<'a> {
    pub(super) protector: &'a mut Protector,
    pub(super) congestion: Option<&'a mut Congestion>,
    pub(super) outbox: &'a mut Outbox,
    pub(super) counters: &'a SendingCounters,
    /// Streams of which pictures were given up, because they have waited too long or too many do.
    pub(super) given_up: Vec<Ssrc>,
}

/// A packet that is to go out under these numbers: the one of this index in the batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub(super) batch: &'a RtpBatch,
    pub(super) index: usize,
    pub(super) rewrite: &'a Arc<Rewrite>,
    pub(super) numbers: Numbers,
    /// When its media was there.
    pub(super) at: Instant,
}

/// How SRTP is to take a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealing {
    First,
    /// Byte for byte as it was before.
    Again,
}

impl WayOut<'_> {
    /// Lets a packet pass, or lets it wait. Says whether it passes.
    pub(super) fn admits(
        &mut self,
        stream: &RtpStreamSender,
        placed: &Placed<'_>,
        now: Instant,
    ) -> bool {
        let Some(congestion) = &mut self.congestion else {
            return true;
        };
        let urgency = match stream.kind() {
            Some(MediaKind::Audio) => Urgency::Sound,
            Some(MediaKind::Video) | None => Urgency::Picture,
        };
        let bytes = size_of(&placed.batch[placed.index]);
        if congestion.admit(urgency, bytes, now) {
            return true;
        }
        let waiting = Waiting {
            ssrc: stream.ssrc(),
            packet: Delayed::Media(placed.to_media()),
        };
        let given_up = congestion.wait(urgency, waiting, bytes, now);
        self.given_up.extend(given_up.and_then(|it| it.picture()));
        false
    }

    /// The same with a packet that is to be sent again.
    pub(super) fn admits_repeat(
        &mut self,
        ssrc: Ssrc,
        repeat: Repeat,
        now: Instant,
    ) -> Option<Repeat> {
        let Some(congestion) = &mut self.congestion else {
            return Some(repeat);
        };
        let bytes = size_of(repeat.packet());
        if congestion.admit(Urgency::Repair, bytes, now) {
            return Some(repeat);
        }
        let packet = Delayed::Repeat(repeat);
        // The remote side asks once more for one that is given up.
        let _oldest = congestion.wait(Urgency::Repair, Waiting { ssrc, packet }, bytes, now);
        None
    }

    /// Whether one may go that nobody would miss.
    pub(super) fn has_room_for(&mut self, packet: &RtpPacket, now: Instant) -> bool {
        let bytes = size_of(packet);
        let congestion = self.congestion.as_mut();
        congestion.is_none_or(|it| it.admit(Urgency::Repair, bytes, now))
    }

    /// Lets `write` append a packet, with its number among all of the transport where it `counts`, and
    /// protects it. Says how long it was before; `None` where SRTP refused it.
    pub(super) fn append(
        &mut self,
        counts: bool,
        now: Instant,
        write: impl FnOnce(Option<u16>, &mut Vec<u8>) -> Sealing,
    ) -> Option<usize> {
        let Self {
            protector,
            congestion,
            outbox,
            counters,
            ..
        } = self;
        let congestion = congestion.as_deref_mut().filter(|_| counts);
        let number = congestion.as_ref().map(|congestion| congestion.number());
        let (mut whole, mut sealed) = (0, 0);
        let appended = outbox.append(|slab, start| {
            let sealing = write(number, slab);
            whole = slab.len() - start;
            match sealing {
                Sealing::First => protector.protect_rtp(slab, start)?,
                Sealing::Again => protector.protect_rtp_again(slab, start)?,
            }
            sealed = slab.len() - start;
            Ok::<(), SrtpError>(())
        });
        if appended.is_err() {
            counters.protect_failed.add(1);
            return None;
        }
        if let Some(congestion) = congestion {
            congestion.note_sent(sealed, now);
        }
        Some(whole)
    }
}

impl Placed<'_> {
    fn to_media(self) -> Media {
        Media {
            batch: self.batch.clone(),
            index: self.index,
            rewrite: Arc::clone(self.rewrite),
            numbers: self.numbers,
            at: self.at,
        }
    }
}

impl Media {
    pub(super) fn placed(&self) -> Placed<'_> {
        Placed {
            batch: &self.batch,
            index: self.index,
            rewrite: &self.rewrite,
            numbers: self.numbers,
            at: self.at,
        }
    }
}

impl Waiting {
    /// The stream, of a picture.
    pub(super) fn picture(&self) -> Option<Ssrc> {
        match &self.packet {
            Delayed::Media(_) => Some(self.ssrc),
            Delayed::Repeat(_) => None,
        }
    }
}

/// About what a packet takes on the path.
fn size_of(packet: &RtpPacket) -> usize {
    packet.payload().len() + OVERHEAD_BYTES
}

/// Header with elements, tag.
const OVERHEAD_BYTES: usize = 40;
