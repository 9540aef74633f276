//! Which layers a packet is of, and which may be sent from it on: by what its codec, or its header extension, says.

use super::limit::Layers;
use crate::codec::RtpCodec;
use crate::rtp::descriptor::{
    DependencyReader, FrameDependencies, Vp8Descriptor, Vp8Layer, Vp9Descriptor, Vp9Layer,
};
use crate::rtp::keyframe::KeyframeMark;

/// Reads the packets of one source.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerReader {
    codec: Option<KeyframeMark>,
    dependencies: DependencyReader,
    sent: SentFrames,
}

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LayeredPacket {
    pub(super) layers: Layers,
    /// The last one of what its spatial layer has of the picture.
    pub(super) ends_frame: bool,
    /// Which layers may be sent from here on: those that are sent, or higher ones, but none above the goal.
    pub(super) opens: Layers,
    /// What the dependency descriptor counts.
    frame: Option<u16>,
}

/// Where a switch to higher layers may lead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Climb {
    /// What is sent.
    pub(super) from: Layers,
    pub(super) goal: Layers,
}

impl LayerReader {
    pub(super) fn new(codec: &RtpCodec) -> Self {
        Self {
            codec: KeyframeMark::of(codec),
            ..Self::default()
        }
    }

    /// Takes over the structure that a descriptor may bring, without reading more.
    pub(super) fn learn(&mut self, descriptor: &[u8]) {
        self.dependencies.learn(descriptor);
    }

    /// `None` for a packet that says nothing of layers. The dependency descriptor counts where there is one: its sender then leaves out of the
    /// payload what it says. A packet that came `late` opens nothing.
    pub(super) fn read(
        &mut self,
        payload: &[u8],
        descriptor: Option<&[u8]>,
        climb: Climb,
        late: bool,
    ) -> Option<LayeredPacket> {
        if let Some(descriptor) = descriptor {
            let frame = self.dependencies.read(descriptor, late).ok()?;
            if frame.begins_sequence && !late {
                self.sent = SentFrames::default();
            }
            return Some(read_described(&frame, &self.sent, climb));
        }
        match self.codec? {
            KeyframeMark::Vp8 => read_vp8(payload, climb),
            KeyframeMark::Vp9 => read_vp9(payload, climb),
            KeyframeMark::H264 | KeyframeMark::H265 | KeyframeMark::Av1 => None,
        }
    }

    /// Which layers a packet is of, and no more; `None` as for [`read`](Self::read).
    pub(super) fn layers_of(
        &mut self,
        payload: &[u8],
        descriptor: Option<&[u8]>,
    ) -> Option<Layers> {
        if let Some(descriptor) = descriptor {
            let frame = self.dependencies.read(descriptor, false).ok()?;
            return Some((&frame).into());
        }
        match self.codec? {
            KeyframeMark::Vp8 => Some(Vp8Descriptor::read(payload)?.layer?.into()),
            KeyframeMark::Vp9 => Some(Vp9Descriptor::read(payload)?.layer?.into()),
            KeyframeMark::H264 | KeyframeMark::H265 | KeyframeMark::Av1 => None,
        }
    }

    /// A packet is sent, so that what refers to its frame can be decoded.
    pub(super) fn note_sent(&mut self, packet: &LayeredPacket) {
        if let Some(frame) = packet.frame {
            self.sent.note(frame);
        }
    }
}

impl From<Vp8Layer> for Layers {
    fn from(layer: Vp8Layer) -> Self {
        Self {
            spatial: 0,
            temporal: layer.temporal,
        }
    }
}

impl From<Vp9Layer> for Layers {
    fn from(layer: Vp9Layer) -> Self {
        Self {
            spatial: layer.spatial,
            temporal: layer.temporal,
        }
    }
}

impl From<&FrameDependencies<'_>> for Layers {
    fn from(frame: &FrameDependencies<'_>) -> Self {
        Self {
            spatial: frame.spatial,
            temporal: frame.temporal,
        }
    }
}

impl Climb {
    /// The next layers, if that is not too high.
    fn up_to(self, layers: Layers) -> Layers {
        layers.but_at_most(self.goal)
    }
}

/// RFC 7741 §4.2: a picture with Y refers to the lowest layer alone, so that the next higher layer may begin with it. A still higher one may
/// refer to others of that.
fn read_vp8(payload: &[u8], climb: Climb) -> Option<LayeredPacket> {
    let descriptor = Vp8Descriptor::read(payload)?;
    let layer = descriptor.layer?;
    let layers = Layers::from(layer);
    let is_next = layer.temporal == climb.from.temporal.saturating_add(1);
    let opens = if KeyframeMark::Vp8.begins_keyframe(payload) {
        climb.goal
    } else if descriptor.begins_picture && layer.is_sync && is_next {
        climb.up_to(Layers {
            spatial: climb.from.spatial,
            ..layers
        })
    } else {
        climb.from
    };
    Some(LayeredPacket {
        layers,
        ends_frame: false,
        opens,
        frame: None,
    })
}

/// RFC 9628 §4.2: the next higher spatial layer may begin with a frame that is not predicted from other pictures (P), all higher temporal ones behind a
/// picture that is sent and is a switching-up point (U).
fn read_vp9(payload: &[u8], climb: Climb) -> Option<LayeredPacket> {
    let descriptor = Vp9Descriptor::read(payload)?;
    let layer = descriptor.layer?;
    let layers = Layers::from(layer);
    let mut opens = climb.from;
    if descriptor.begins_keyframe() {
        opens = climb.goal;
    } else if descriptor.begins_frame {
        let is_next = layer.spatial == climb.from.spatial.saturating_add(1);
        if !descriptor.is_predicted && is_next {
            opens.spatial = layer.spatial;
        }
        if layer.switches_up && layers.are_within(climb.from) {
            opens.temporal = climb.goal.temporal;
        }
    }
    Some(LayeredPacket {
        layers,
        ends_frame: descriptor.ends_frame,
        opens: climb.up_to(opens),
        frame: None,
    })
}

/// AV1 RTP, appendix A, §4.4: the frames of a decode target may be sent from a frame on that is decodable and has a switch indication for it.
fn read_described(frame: &FrameDependencies<'_>, sent: &SentFrames, climb: Climb) -> LayeredPacket {
    let layers = Layers::from(frame);
    let mut opens = climb.from;
    if frame.begins_sequence {
        opens = climb.goal;
    } else if frame.begins_frame && frame.references().all(|number| sent.contains(number)) {
        let opened = frame
            .opens()
            .map(|(spatial, temporal)| Layers { spatial, temporal });
        let is_climb = |it: &Layers| climb.from.are_within(*it) && it.are_within(climb.goal);
        let highest = opened
            .filter(is_climb)
            .max_by_key(|it| (it.spatial, it.temporal));
        opens = highest.unwrap_or(opens);
    }
    LayeredPacket {
        layers,
        ends_frame: frame.ends_frame,
        opens,
        frame: Some(frame.number),
    }
}

/// Which of the latest frames of a source were sent, by the numbers of the dependency descriptor. Of older ones it says
/// that they were not.
#[derive(Clone, Copy, Debug, Default)]
struct SentFrames {
    newest: u16,
    /// The newest in the lowest bit, each older one above it.
    bits: u128,
}

impl SentFrames {
    fn note(&mut self, frame: u16) {
        let ahead = frame.wrapping_sub(self.newest).cast_signed();
        if self.bits == 0 {
            *self = Self {
                newest: frame,
                bits: 1,
            };
        } else if ahead >= 0 {
            let moved = self.bits.checked_shl(u32::from(ahead.unsigned_abs()));
            *self = Self {
                newest: frame,
                bits: moved.unwrap_or(0) | 1,
            };
        } else if let Some(bit) = 1_u128.checked_shl(u32::from(ahead.unsigned_abs())) {
            self.bits |= bit;
        }
    }

    fn contains(&self, frame: u16) -> bool {
        let back = self.newest.wrapping_sub(frame);
        let bits = self.bits.checked_shr(u32::from(back));
        bits.is_some_and(|bits| bits & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn layers(spatial: u8, temporal: u8) -> Layers {
        Layers { spatial, temporal }
    }

    fn opened(
        read: fn(&[u8], Climb) -> Option<LayeredPacket>,
        payload: &[u8],
        from: Layers,
        goal: Layers,
    ) -> Layers {
        read(payload, Climb { from, goal }).unwrap().opens
    }

    #[test]
    fn vp8_climbs_by_one_layer_at_a_picture_that_refers_to_the_lowest_alone() {
        let picture = |temporal: u8, sync: bool, delta: u8| {
            [0x90, 0x20, temporal << 6 | u8::from(sync) << 5, delta]
        };
        let open = |picture: &[u8], from, goal| {
            opened(read_vp8, picture, layers(0, from), layers(0, goal)).temporal
        };
        assert_eq!(open(&picture(1, true, 1), 0, 2), 1);
        assert_eq!(
            open(&picture(1, false, 1), 0, 2),
            0,
            "refers to what was not sent"
        );
        assert_eq!(
            open(&picture(2, true, 1), 0, 2),
            0,
            "what follows may refer to 1"
        );
        assert_eq!(open(&picture(1, true, 1), 0, 0), 0, "is not to");
        assert_eq!(open(&picture(0, true, 0), 0, 2), 2, "a keyframe");
        let later = [0x80, 0x20, 0x60, 1];
        assert_eq!(open(&later, 0, 2), 0, "not its beginning");
    }

    #[test]
    fn vp9_climbs_in_space_where_a_frame_needs_its_own_picture_alone() {
        let frame = |first: u8, spatial: u8| [first, spatial << 1, 0x08];
        let open = |frame: &[u8], from, goal| {
            opened(read_vp9, frame, layers(from, 0), layers(goal, 0)).spatial
        };
        assert_eq!(open(&frame(0x38, 1), 0, 2), 1);
        assert_eq!(
            open(&frame(0x38, 2), 0, 2),
            0,
            "what is between them is not sent"
        );
        assert_eq!(open(&frame(0x78, 1), 0, 2), 0, "predicted");
        assert_eq!(open(&frame(0x30, 1), 0, 2), 0, "not its beginning");
        assert_eq!(open(&frame(0x38, 0), 0, 2), 2, "a keyframe");
    }

    #[test]
    fn vp9_climbs_in_time_behind_a_switching_up_point_that_is_sent() {
        let picture =
            |temporal: u8, switches: bool| [0x78, temporal << 5 | u8::from(switches) << 4, 0x08];
        let open = |picture: &[u8], from| {
            opened(read_vp9, picture, layers(0, from), layers(0, 2)).temporal
        };
        assert_eq!(open(&picture(0, true), 0), 2);
        assert_eq!(open(&picture(0, false), 0), 0);
        assert_eq!(open(&picture(1, true), 0), 0, "is not sent itself");
        assert_eq!(open(&picture(1, true), 1), 2);
    }

    #[test]
    fn frames_are_known_for_a_while() {
        let mut sent = SentFrames::default();
        assert!(!sent.contains(0));
        for frame in [65_534, 65_535, 2] {
            sent.note(frame);
        }
        sent.note(1);
        for (frame, known) in [
            (65_533, false),
            (65_534, true),
            (65_535, true),
            (0, false),
            (1, true),
            (2, true),
            (3, false),
        ] {
            assert_eq!(sent.contains(frame), known, "{frame}");
        }
        sent.note(140);
        assert!(sent.contains(140) && !sent.contains(2));
    }

    proptest! {
        #[test]
        fn what_is_opened_is_between_what_is_sent_and_the_goal(
            payload in prop::collection::vec(any::<u8>(), 0..12),
            descriptor in prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            from: [u8; 2],
            more: [u8; 2],
        ) {
            let from = layers(from[0], from[1]);
            let goal = layers(from.spatial.saturating_add(more[0]), from.temporal.saturating_add(more[1]));
            for codec in [RtpCodec::vp8(), RtpCodec::vp9(0), RtpCodec::av1(), RtpCodec::opus()] {
                let mut reader = LayerReader::new(&codec);
                let climb = Climb { from, goal };
                if let Some(read) = reader.read(&payload, descriptor.as_deref(), climb, false) {
                    prop_assert!(from.are_within(read.opens) && read.opens.are_within(goal));
                    reader.note_sent(&read);
                }
            }
        }
    }
}
