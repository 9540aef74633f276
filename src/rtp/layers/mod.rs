//! Leaving layers out of a stream: of VP8, VP9, and of whatever carries the dependency descriptor.

mod ledger;
mod limit;
mod meter;
mod reader;

use std::mem;

use self::ledger::{Ledger, Shift};
use self::limit::Layers;
pub use self::limit::{LayerLimit, LayerLimitError};
pub use self::meter::LimitedRate;
pub(crate) use self::meter::{LayerBytes, LayerMeter};
use self::reader::{Climb, LayerReader, LayeredPacket};
use super::batch::RtpBatch;
use super::extension::HeaderExtension;
use super::packet::RtpPacket;
use super::pictures::PictureCodec;
use super::types::{RtpTimestamp, SequenceNumber, Ssrc};
use crate::codec::RtpCodec;

/// Leaves the layers above a limit out of one stream, as if its source had not sent them: numbers go on without a gap, and the last packet of a
/// picture bears the marker.
///
/// - Down it goes with the next picture. Up where the stream allows it (see [`LayerReader`]), for which a keyframe may be
///   [needed](Self::wants_keyframe).
/// - A number that the source has lost is kept free. If its packet comes later, and is of a layer that is left out, it goes out empty:
///   a gap would be asked for in vain.
/// - A packet that says nothing of layers goes out: what a stream without layers has, and of one with layers what
///   cannot be read before a lost packet is repaired. Too much is shown better than too little.
/// - Lower spatial layers are sent along with higher ones also where those do without them, as in `L3T3_KEY`: the way down needs no
///   keyframe then.
#[derive(Clone, Debug)]
pub(crate) struct LayerFilter {
    /// What the application allows.
    goal: Layers,
    /// Whether all of the present picture has gone out so far.
    unlimited: bool,
    /// Of the source that sends now.
    source: Option<Source>,
    /// The highest frame number of a dependency descriptor that has gone out.
    newest_frame: Option<u16>,
}

/// What is known of one source.
#[derive(Clone, Debug)]
struct Source {
    ssrc: Ssrc,
    reader: LayerReader,
    /// Whose pictures have to close up: those of VP9 may refer to each other by their distance.
    pictures: Option<PictureCodec>,
    ledger: Option<Ledger>,
    /// What is added to its frame numbers, so that they go on from those of the source before.
    frame_offset: Option<u16>,
    /// When the newest picture was.
    picture: RtpTimestamp,
    wants_keyframe: bool,
}

/// What goes out of a batch, and how much does not.
#[derive(Debug)]
pub(crate) struct Filtered {
    /// `None`: the batch as it is.
    pub(crate) changed: Option<RtpBatch>,
    pub(crate) left_out: usize,
}

impl Default for LayerFilter {
    fn default() -> Self {
        Self {
            goal: Layers::ALL,
            unlimited: false,
            source: None,
            newest_frame: None,
        }
    }
}

impl LayerFilter {
    /// From the next picture on no more goes out.
    pub(crate) fn set_limit(&mut self, limit: LayerLimit) {
        self.goal = limit.highest;
        if let Some(source) = &mut self.source {
            source.wants_keyframe = false;
        }
    }

    /// What comes next continues nothing of what came before.
    pub(crate) fn begin_anew(&mut self) {
        self.source = None;
        self.unlimited = false;
    }

    /// Whether a higher spatial layer than those that are sent is allowed and there, but cannot begin.
    pub(crate) fn wants_keyframe(&self) -> bool {
        self.source.as_ref().is_some_and(|it| it.wants_keyframe)
    }

    /// What goes out of these packets.
    pub(crate) fn filter(&mut self, batch: &RtpBatch) -> Filtered {
        let descriptor = batch.extension_id(&HeaderExtension::DependencyDescriptor);
        let Some(codec) = batch.codec() else {
            // Of the application, which knows what it sends.
            return Filtered::UNTOUCHED;
        };
        if self.lets_all_out() {
            let Some(id) = descriptor else {
                return Filtered::UNTOUCHED;
            };
            return Filtered {
                changed: self.let_out(batch, codec, id),
                left_out: 0,
            };
        }
        let kept: Vec<_> = batch
            .iter()
            .filter_map(|packet| self.take(packet, codec, descriptor))
            .collect();
        Filtered {
            left_out: batch.len() - kept.len(),
            changed: Some(batch.with_packets(kept.into())),
        }
    }

    /// What goes out of a packet whose dependency descriptor, if it has any, is under this identifier.
    pub(crate) fn take(
        &mut self,
        packet: &RtpPacket,
        codec: &RtpCodec,
        descriptor: Option<u8>,
    ) -> Option<RtpPacket> {
        if self.lets_all_out() {
            return Some(match descriptor {
                Some(id) => {
                    self.learn(packet, codec, id);
                    self.renumber_frame(packet.clone(), id)
                }
                None => packet.clone(),
            });
        }
        let goal = self.goal;
        // A picture that has begun goes on as it has.
        let at_first = if mem::take(&mut self.unlimited) {
            Layers::ALL
        } else {
            goal
        };
        let source = self.source(packet, codec);
        let value = descriptor.and_then(|id| packet.extension(id));
        let kept = source.take(packet, value, goal, at_first)?;
        Some(match descriptor {
            Some(id) => self.renumber_frame(kept, id),
            None => kept,
        })
    }

    /// All packets, which are of a stream with dependency descriptors; `None` where none of them changes.
    fn let_out(&mut self, batch: &RtpBatch, codec: &RtpCodec, id: u8) -> Option<RtpBatch> {
        let mut changes = false;
        let mut let_out = |packet: &RtpPacket| {
            self.learn(packet, codec, id);
            let renumbered = self.renumber_frame(packet.clone(), id);
            let offset = self.source.as_ref().and_then(|it| it.frame_offset);
            changes |= offset.is_some_and(|offset| offset != 0);
            renumbered
        };
        let packets: Vec<_> = batch.iter().map(&mut let_out).collect();
        changes.then(|| batch.with_packets(packets.into()))
    }

    /// Gives a frame of the present source its number among those of all: receivers take one that goes back for an old one.
    fn renumber_frame(&mut self, packet: RtpPacket, id: u8) -> RtpPacket {
        let number = packet.extension(id).and_then(|value| value.get(1..3));
        let (Some([high, low]), Some(source)) = (number, &mut self.source) else {
            return packet;
        };
        let theirs = u16::from_be_bytes([*high, *low]);
        let follow = |newest: u16| newest.wrapping_add(1).wrapping_sub(theirs);
        let offset = *source
            .frame_offset
            .get_or_insert_with(|| self.newest_frame.map_or(0, follow));
        let ours = theirs.wrapping_add(offset);
        let is_newer = |newest: u16| ours.wrapping_sub(newest).cast_signed().is_positive();
        if self.newest_frame.is_none_or(is_newer) {
            self.newest_frame = Some(ours);
        }
        if offset == 0 {
            return packet;
        }
        packet.with_extension_changed(id, |value| {
            value[1..3].copy_from_slice(&ours.to_be_bytes());
        })
    }

    /// Whether there is no limit, nor has been one for what this source has sent.
    fn lets_all_out(&mut self) -> bool {
        let ledger = self.source.as_ref().and_then(|it| it.ledger.as_ref());
        let lets = self.goal == Layers::ALL && ledger.is_none();
        self.unlimited |= lets;
        lets
    }

    /// A limit that comes later has to know what the source has said before.
    fn learn(&mut self, packet: &RtpPacket, codec: &RtpCodec, descriptor: u8) {
        if let Some(value) = packet.extension(descriptor) {
            self.source(packet, codec).reader.learn(value);
        }
    }

    /// The source of a packet; another SSRC is another one.
    fn source(&mut self, packet: &RtpPacket, codec: &RtpCodec) -> &mut Source {
        let ssrc = packet.ssrc();
        match &mut self.source {
            Some(source) if source.ssrc == ssrc => {}
            other => *other = Some(Source::new(packet, codec)),
        }
        self.source.as_mut().expect("set above")
    }
}

impl Filtered {
    const UNTOUCHED: Self = Self {
        changed: None,
        left_out: 0,
    };
}

impl Source {
    fn new(packet: &RtpPacket, codec: &RtpCodec) -> Self {
        let pictures = PictureCodec::of(codec);
        Self {
            ssrc: packet.ssrc(),
            reader: LayerReader::new(codec),
            pictures: pictures.filter(|codec| *codec == PictureCodec::Vp8),
            ledger: None,
            frame_offset: None,
            picture: packet.timestamp(),
            wants_keyframe: false,
        }
    }

    fn take(
        &mut self,
        packet: &RtpPacket,
        descriptor: Option<&[u8]>,
        goal: Layers,
        at_first: Layers,
    ) -> Option<RtpPacket> {
        let sequence = packet.sequence_number();
        let Some(ledger) = &mut self.ledger else {
            self.picture = packet.timestamp();
            self.ledger = Some(Ledger::new(sequence, at_first));
            return self.take_newest(packet, descriptor, goal);
        };
        if sequence.distance_from(ledger.newest()) > 0 {
            ledger.advance(sequence);
            self.take_newest(packet, descriptor, goal)
        } else {
            self.take_late(packet, descriptor)
        }
    }

    fn take_newest(
        &mut self,
        packet: &RtpPacket,
        descriptor: Option<&[u8]>,
        goal: Layers,
    ) -> Option<RtpPacket> {
        let ledger = self.ledger.as_mut()?;
        let sequence = packet.sequence_number();
        // A picture that has begun goes on as it has.
        if packet.timestamp() != self.picture {
            self.picture = packet.timestamp();
            ledger.change_layers(sequence, ledger.layers().but_at_most(goal));
        }
        let from = ledger.layers();
        let climb = Climb {
            from: from.but_at_most(goal),
            goal,
        };
        let Some(read) = self.reader.read(packet.payload(), descriptor, climb, false) else {
            let shift = ledger.shift();
            return Some(self.close_up(packet, shift));
        };
        if from.are_within(goal) && read.opens != from {
            ledger.change_layers(sequence, read.opens);
        }
        let layers = ledger.layers();
        if layers.spatial > from.spatial {
            self.wants_keyframe = false;
        }
        if read.layers.are_within(layers) {
            let shift = ledger.shift();
            return Some(self.keep(packet, read, layers, shift));
        }
        ledger.leave_out(packet.timestamp());
        let above = layers.spatial < read.layers.spatial;
        self.wants_keyframe |= above && read.layers.spatial <= goal.spatial;
        None
    }

    fn take_late(&mut self, packet: &RtpPacket, descriptor: Option<&[u8]>) -> Option<RtpPacket> {
        let (layers, shift) = self.ledger.as_ref()?.at(packet.sequence_number())?;
        let climb = Climb {
            from: layers,
            goal: layers,
        };
        match self.reader.read(packet.payload(), descriptor, climb, true) {
            None => Some(self.close_up(packet, shift)),
            Some(read) if read.layers.are_within(layers) => {
                Some(self.keep(packet, read, layers, shift))
            }
            Some(_) => Some(moved_back(packet, shift).emptied()),
        }
    }

    fn keep(
        &mut self,
        packet: &RtpPacket,
        read: LayeredPacket,
        layers: Layers,
        shift: Shift,
    ) -> RtpPacket {
        self.reader.note_sent(&read);
        let kept = self.close_up(packet, shift);
        if read.ends_frame && read.layers.spatial == layers.spatial {
            return kept.marked();
        }
        kept
    }

    fn close_up(&self, packet: &RtpPacket, shift: Shift) -> RtpPacket {
        let moved = moved_back(packet, shift);
        let numbered = self
            .pictures
            .filter(|_| shift.pictures > 0)
            .and_then(|codec| Some((codec, codec.read(packet.payload())?)));
        let Some((codec, numbers)) = numbered else {
            return moved;
        };
        let numbers = numbers.closing_up(shift.pictures);
        moved.with_payload_changed(|payload| codec.write(numbers, payload))
    }
}

fn moved_back(packet: &RtpPacket, shift: Shift) -> RtpPacket {
    let sequence = packet.sequence_number().0.wrapping_sub(shift.packets);
    packet.placed(packet.ssrc(), SequenceNumber(sequence), packet.timestamp())
}

#[cfg(test)]
mod tests;
