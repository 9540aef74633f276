//! What payloads and dependency descriptors tell of pictures, and what is done by it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::input::Input;
use crate::codec::RtpCodec;
use crate::rtp::{
    ExtensionMap, HeaderExtension, KeyframeMark, LayerLimit, PayloadType, Rewriter, RtpBatch,
    RtpPacket, RtpSource, RtpTimestamp, SequenceNumber, Ssrc,
};
use crate::track::MediaKind;

/// The first byte names the codec; then packets of two sources, which are switched between, with limits to the layers that go
/// out.
///
/// No more comes out than goes in; a payload keeps its length, and is empty only where its layer is left out; no two packets of a
/// source leave under one number, and all of them under one SSRC; no source begins without a keyframe.
pub(super) fn pictures(data: &[u8]) {
    let mut input = Input::new(data);
    let codec = codec(input.byte());
    let mut game = Game {
        mark: KeyframeMark::of(&codec),
        rewriter: Rewriter::new(&codec),
        source: Arc::new(RtpSource {
            codec: Arc::new(codec),
            extensions: ExtensionMap {
                entries: vec![(DESCRIPTOR, HeaderExtension::DependencyDescriptor)],
                mixed: true,
            },
        }),
        heads: [(0, 0), (1000, 7)],
        seen: HashSet::new(),
        playing: None,
        numbers: HashMap::new(),
    };
    while input.has_move(MOST_MOVES) {
        game.play(&mut input);
    }
}

struct Game {
    mark: Option<KeyframeMark>,
    rewriter: Rewriter<u8>,
    source: Arc<RtpSource>,
    /// The newest number and timestamp of each source.
    heads: [(u16, u32); 2],
    /// Which numbers of each source came: SRTP lets none through twice.
    seen: HashSet<(u8, u16)>,
    playing: Option<u8>,
    /// Under which numbers packets have left since the last switch.
    numbers: HashMap<u16, u16>,
}

impl Game {
    fn play(&mut self, input: &mut Input<'_>) {
        let step = input.byte();
        match step & 7 {
            0 => {
                let _keyframe = self.rewriter.select(step >> 3 & 1);
            }
            1 => {
                let limit = LayerLimit::at_most(step >> 3 & 3, step >> 5 & 3);
                let limits = [LayerLimit::NONE, limit];
                self.rewriter.set_layer_limit(limits[usize::from(step > 7)]);
            }
            2 if step > 0xf0 => self.rewriter.pause(),
            _ => self.packet(step, input),
        }
    }

    fn packet(&mut self, step: u8, input: &mut Input<'_>) {
        let from = step >> 7;
        let (number, timestamp) = self.head(from, step, input);
        let is_new = self.seen.insert((from, number));
        let descriptor = match step & 7 {
            3 => Some(input.block()),
            _ => None,
        };
        let payload = input.block();
        let begins = self.mark.is_none_or(|mark| mark.begins_keyframe(payload));
        if !is_new {
            return;
        }
        let packet = RtpPacket::new(
            PayloadType::new(96).expect("below 128"),
            SequenceNumber(number),
            RtpTimestamp(timestamp),
            Ssrc(u32::from(from)),
            step & 0x40 != 0,
            Bytes::copy_from_slice(payload),
        );
        let elements: Vec<_> = descriptor.map(|it| (DESCRIPTOR, it)).into_iter().collect();
        let packet = packet.with_extensions(&elements).expect("short elements");
        let now = Instant::now();
        let batch = RtpBatch::received([packet].into(), Arc::clone(&self.source), now);
        let out = self.rewriter.rewrite(&from, &batch, now);
        self.check(from, number, payload, begins, out.as_ref());
    }

    /// A little ahead of the newest, or behind it.
    fn head(&mut self, from: u8, step: u8, input: &mut Input<'_>) -> (u16, u32) {
        let (newest, picture) = &mut self.heads[usize::from(from)];
        let ahead = input.byte();
        if ahead >= 0xe0 {
            return (newest.wrapping_sub(u16::from(!ahead) + 1), *picture);
        }
        *newest = newest.wrapping_add(u16::from(ahead % 0x20) + 1);
        if step & 0x08 != 0 {
            *picture = picture.wrapping_add(3000);
        }
        (*newest, *picture)
    }

    fn check(
        &mut self,
        from: u8,
        number: u16,
        payload: &[u8],
        begins: bool,
        out: Option<&RtpBatch>,
    ) {
        let playing = self.rewriter.playing().copied();
        if playing != self.playing {
            self.playing = playing;
            self.numbers.clear();
            assert!(playing.is_none() || begins, "begins without a keyframe");
        }
        let Some(out) = out else { return };
        assert_eq!(playing, Some(from));
        assert_eq!(out.len(), 1);
        let sent = &out[0];
        assert!(sent.payload().len() == payload.len() || sent.payload().is_empty());
        let before = self.numbers.insert(sent.sequence_number().0, number);
        assert!(before.is_none(), "two packets under one number");
    }
}

fn codec(choice: u8) -> RtpCodec {
    match choice % 7 {
        0 => RtpCodec::vp8(),
        1 => RtpCodec::vp9(0),
        2 => RtpCodec::h264(1),
        3 => RtpCodec::av1(),
        4 => RtpCodec::opus(),
        5 => RtpCodec {
            kind: MediaKind::Video,
            name: "H265".to_owned(),
            ..RtpCodec::h264(1)
        },
        _ => RtpCodec {
            name: "X".to_owned(),
            ..RtpCodec::vp8()
        },
    }
}

const DESCRIPTOR: u8 = 12;

/// Numbers do not wrap within a game.
const MOST_MOVES: usize = 1000;
