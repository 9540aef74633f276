//! Packets that travel together.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use super::credit::Credit;
use super::extension::{ExtensionMap, HeaderExtension};
use super::keyframe::KeyframeMark;
use super::packet::RtpPacket;
use super::remote_clock::MediaTime;
use crate::codec::RtpCodec;

/// Packets of one track and one encoding that arrived together. Shared and cheap to clone.
///
/// A batch from [`Event::Rtp`](crate::peer_connection::Event::Rtp) counts as waiting in its owner's
/// mailbox until it is dropped or sent on; only so much may wait (the oldest undelivered
/// media is thrown away then). Whoever keeps media for long, as a jitter buffer
/// does, keeps the packets or a clone of the batch: those do not count.
#[derive(Debug)]
pub struct RtpBatch {
    packets: Arc<[RtpPacket]>,
    /// Where they came from; `None` for packets made by the application.
    source: Option<Arc<RtpSource>>,
    received_at: Option<Instant>,
    /// What their sender has said of the time of their stream.
    media_time: Option<MediaTime>,
    /// They were lost, and came when they were asked for.
    repaired: bool,
    /// Given back when the batch is dropped; never shared with clones.
    _credit: Option<Credit>,
}

/// What a receiver knows of all packets of a batch, so that a sender can rewrite them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RtpSource {
    pub(crate) codec: Arc<RtpCodec>,
    pub(crate) extensions: ExtensionMap,
}

impl RtpBatch {
    /// Packets that the network brought.
    pub(crate) fn received(
        packets: Arc<[RtpPacket]>,
        source: Arc<RtpSource>,
        received_at: Instant,
    ) -> Self {
        Self {
            packets,
            source: Some(source),
            received_at: Some(received_at),
            media_time: None,
            repaired: false,
            _credit: None,
        }
    }

    /// The same, of a stream whose time is known.
    pub(crate) fn with_media_time(self, media_time: Option<MediaTime>) -> Self {
        Self { media_time, ..self }
    }

    /// Other packets of the same origin, counted nowhere.
    pub(super) fn with_packets(&self, packets: Arc<[RtpPacket]>) -> Self {
        Self {
            packets,
            ..self.clone()
        }
    }

    /// The same, which were lost and came when they were asked for, or not.
    pub(crate) fn with_repaired(self, repaired: bool) -> Self {
        Self { repaired, ..self }
    }

    /// The same, counted as waiting in an owner's mailbox.
    pub(crate) fn with_credit(self, credit: Credit) -> Self {
        Self {
            _credit: Some(credit),
            ..self
        }
    }

    /// The same, counted no longer.
    pub(crate) fn without_credit(self) -> Self {
        Self {
            _credit: None,
            ..self
        }
    }

    /// When the read that brought them returned; `None` for packets made by the application.
    pub fn received_at(&self) -> Option<Instant> {
        self.received_at
    }

    /// When one of the packets was made, as far as its sender has told.
    pub(crate) fn made_at(&self, packet: &RtpPacket) -> Option<Instant> {
        let rate_hz = self.codec()?.clock_rate_hz;
        let media_time = self.media_time?;
        media_time.of(packet.timestamp(), rate_hz, self.received_at?)
    }

    /// The codec that they are coded with; `None` for packets made by the application.
    pub fn codec(&self) -> Option<&RtpCodec> {
        self.source.as_ref().map(|source| &*source.codec)
    }

    /// Under which identifier the packets carry a header extension: to be given to
    /// [`RtpPacket::extension`]. `None` when it was not negotiated, and for packets made by
    /// the application.
    pub fn extension_id(&self, extension: &HeaderExtension) -> Option<u8> {
        self.source.as_ref()?.extensions.id(extension)
    }

    /// The first packet that a decoder may begin with, if there is one. Where nobody could tell, it is the first of all.
    pub(crate) fn keyframe(&self) -> Option<usize> {
        let mark = self.codec().and_then(KeyframeMark::of);
        let begins =
            |packet: &RtpPacket| mark.is_none_or(|it| it.begins_keyframe(packet.payload()));
        self.iter().position(begins)
    }

    /// The packets from this one on.
    pub(crate) fn starting_at(&self, index: usize) -> Self {
        if index == 0 {
            return self.clone();
        }
        Self {
            packets: self.iter().skip(index).cloned().collect(),
            ..self.clone()
        }
    }

    /// Whether they were lost, and came when they were asked for.
    pub(crate) fn is_repaired(&self) -> bool {
        self.repaired
    }

    pub(crate) fn source(&self) -> Option<&Arc<RtpSource>> {
        self.source.as_ref()
    }

    /// The packets, to be kept without what is counted of the batch.
    pub(super) fn shared(&self) -> &Arc<[RtpPacket]> {
        &self.packets
    }

    /// Bytes of all packets.
    pub(crate) fn weight_bytes(&self) -> usize {
        self.packets.iter().map(RtpPacket::weight_bytes).sum()
    }
}

impl Clone for RtpBatch {
    fn clone(&self) -> Self {
        Self {
            packets: Arc::clone(&self.packets),
            source: self.source.clone(),
            received_at: self.received_at,
            media_time: self.media_time,
            repaired: self.repaired,
            _credit: None,
        }
    }
}

impl Deref for RtpBatch {
    type Target = [RtpPacket];

    fn deref(&self) -> &[RtpPacket] {
        &self.packets
    }
}

impl From<RtpPacket> for RtpBatch {
    fn from(packet: RtpPacket) -> Self {
        Self::from_iter([packet])
    }
}

impl FromIterator<RtpPacket> for RtpBatch {
    /// Packets made by the application, of one stream, in the order they are to be sent.
    fn from_iter<I: IntoIterator<Item = RtpPacket>>(packets: I) -> Self {
        Self {
            packets: packets.into_iter().collect(),
            source: None,
            received_at: None,
            media_time: None,
            repaired: false,
            _credit: None,
        }
    }
}

impl<'a> IntoIterator for &'a RtpBatch {
    type Item = &'a RtpPacket;
    type IntoIter = std::slice::Iter<'a, RtpPacket>;

    fn into_iter(self) -> Self::IntoIter {
        self.packets.iter()
    }
}
