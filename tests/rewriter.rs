//! What `Rewriter` makes of two encoders' streams: VP8, VP9, H.264 and AV1 as ffmpeg has encoded them (`tests/data/video`; ten frames each, a
//! keyframe at every fourth of the one, at every third of the other), cut into packets by the `rtp` crate.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ractor_webrtc::codec::RtpCodec;
use ractor_webrtc::rtp::{
    PayloadType, Rewriter, RtpBatch, RtpPacket, RtpTimestamp, SequenceNumber, Ssrc,
};
use rtp::codecs::av1::Av1Payloader;
use rtp::codecs::h264::H264Payloader;
use rtp::codecs::vp8::{Vp8Packet, Vp8Payloader};
use rtp::codecs::vp9::Vp9Packet;
use rtp::packetizer::{Depacketizer, Payloader};

#[test]
fn c070_vp8_switches_at_keyframes_and_its_pictures_are_numbered_on() {
    let sources = ["vp8-a.ivf", "vp8-b.ivf"].map(|file| {
        let mut payloader = Vp8Payloader::default();
        payloader.enable_picture_id = true;
        packets(ivf(file), &mut payloader)
    });
    let sent = switch_twice(&RtpCodec::vp8(), &sources);
    let mut pictures = Vec::new();
    for (packet, frame) in &sent {
        let (mut ours, mut theirs) = (Vp8Packet::default(), Vp8Packet::default());
        let image = ours.depacketize(&packet.payload_bytes()).unwrap();
        assert_eq!(image, theirs.depacketize(frame).unwrap());
        pictures.push(ours.picture_id);
    }
    assert_counts_on(pictures);
}

#[test]
fn c070_vp9_switches_at_keyframes_and_its_pictures_are_numbered_on() {
    // The one of the crate does not say which pictures refer to others.
    let sources = ["vp9-a.ivf", "vp9-b.ivf"].map(|file| packets(ivf(file), &mut Vp9Payloader(900)));
    let sent = switch_twice(&RtpCodec::vp9(0), &sources);
    let mut pictures = Vec::new();
    for (packet, frame) in &sent {
        let (mut ours, mut theirs) = (Vp9Packet::default(), Vp9Packet::default());
        let image = ours.depacketize(&packet.payload_bytes()).unwrap();
        assert_eq!(image, theirs.depacketize(frame).unwrap());
        pictures.push(ours.picture_id);
    }
    assert_counts_on(pictures);
}

#[test]
fn c070_h264_switches_at_keyframes() {
    let sources = ["h264-a.h264", "h264-b.h264"]
        .map(|file| packets(annex_b(file), &mut H264Payloader::default()));
    for (packet, frame) in switch_twice(&RtpCodec::h264(1), &sources) {
        assert_eq!(packet.payload(), frame);
    }
}

#[test]
fn c070_av1_switches_at_keyframes() {
    let sources = ["av1-a.ivf", "av1-b.ivf"].map(|file| packets(ivf(file), &mut Av1Payloader {}));
    for (packet, frame) in switch_twice(&RtpCodec::av1(), &sources) {
        assert_eq!(packet.payload(), frame);
    }
}

/// Feeds both sources, frame by frame. The second one is selected after two frames, the first one again after six. Gives
/// what comes out beside the payload that it was made of, and checks what is the same for all codecs.
fn switch_twice(codec: &RtpCodec, sources: &[Vec<RtpBatch>; 2]) -> Vec<(RtpPacket, Bytes)> {
    let mut rewriter = Rewriter::new(codec);
    rewriter.select(0);
    let mut now = Instant::now();
    let mut sent: Vec<(RtpPacket, Bytes)> = Vec::new();
    let mut frames = Vec::new();
    let [one, other] = sources;
    for (index, batches) in one.iter().zip(other).enumerate() {
        let batches = [batches.0, batches.1];
        match index {
            2 => assert!(rewriter.select(1)),
            6 => assert!(rewriter.select(0)),
            _ => {}
        }
        // Of the source that is to come first: its keyframe takes the place of the other's frame.
        let first = rewriter.next().copied().unwrap_or(0);
        for source in [first, 1 - first] {
            let frame = batches[source];
            if let Some(batch) = rewriter.rewrite(&source, frame, now) {
                frames.push((source, index));
                assert_eq!(batch.len(), frame.len(), "a frame is sent whole");
                let originals = frame.iter().map(RtpPacket::payload_bytes);
                sent.extend(batch.iter().cloned().zip(originals));
            }
        }
        now += FRAME;
    }
    let of = |source, range: std::ops::Range<usize>| range.map(move |index| (source, index));
    let expected: Vec<_> = of(0, 0..3).chain(of(1, 3..8)).chain(of(0, 8..10)).collect();
    assert_eq!(frames, expected);
    for pair in sent.windows(2) {
        let [(before, _), (after, _)] = pair else {
            unreachable!()
        };
        assert_eq!(
            after.sequence_number(),
            before.sequence_number().plus(1),
            "nothing seems lost"
        );
        let passed = after.timestamp().distance_from(before.timestamp());
        let expected = if before.marker() { TICKS as i32 } else { 0 };
        assert_eq!(passed, expected, "every frame has its time");
        assert_eq!(after.ssrc(), before.ssrc());
    }
    sent
}

/// A picture after the other, and each in as many packets as it takes.
fn assert_counts_on(mut pictures: Vec<u16>) {
    pictures.dedup();
    let expected: Vec<_> = (pictures[0]..).take(10).collect();
    assert_eq!(pictures, expected);
}

/// A batch for each frame, numbered as if the sender had begun long ago.
fn packets(frames: Vec<Bytes>, payloader: &mut dyn Payloader) -> Vec<RtpBatch> {
    // Each source has its own SSRC and its own numbers.
    let ssrc = frames[0].len() as u32;
    let mut number = SequenceNumber(ssrc as u16).plus(65_000);
    let mut timestamp = RtpTimestamp(ssrc.wrapping_mul(1_000_003));
    let mut packetize = |frame: &Bytes| {
        let payloads = payloader.payload(MTU, frame).unwrap();
        let last = payloads.len() - 1;
        let packet = |(index, payload)| {
            number = number.plus(1);
            let any = PayloadType::new(96).unwrap();
            RtpPacket::new(any, number, timestamp, Ssrc(ssrc), index == last, payload)
        };
        let batch = payloads.into_iter().enumerate().map(packet).collect();
        timestamp = RtpTimestamp(timestamp.0.wrapping_add(TICKS));
        batch
    };
    frames.iter().map(&mut packetize).collect()
}

/// The frames of an IVF file: each behind its length and a timestamp.
fn ivf(file: &str) -> Vec<Bytes> {
    let data = read(file);
    let mut frames = Vec::new();
    let mut rest = data.slice(32..);
    while let Some(length) = rest.first_chunk::<4>() {
        let end = 12 + u32::from_le_bytes(*length) as usize;
        frames.push(rest.slice(12..end));
        rest = rest.slice(end..);
    }
    frames
}

/// The pictures of an H.264 byte stream that has one slice for each.
fn annex_b(file: &str) -> Vec<Bytes> {
    let data = read(file);
    let start = |at: &usize| data[*at..].starts_with(&[0, 0, 1]);
    let units: Vec<_> = (0..data.len()).filter(start).collect();
    let is_slice = |at: &usize| matches!(data[*at + 3] & 0x1f, 1 | 5);
    let mut frames = Vec::new();
    let mut begin = 0;
    for (index, unit) in units.iter().enumerate() {
        if is_slice(unit) {
            let end = units.get(index + 1).copied().unwrap_or(data.len());
            frames.push(data.slice(begin..end));
            begin = end;
        }
    }
    frames
}

fn read(file: &str) -> Bytes {
    let path = format!("{}/tests/data/video/{file}", env!("CARGO_MANIFEST_DIR"));
    fs::read(path).unwrap().into()
}

/// RFC 9628 §4.2, with a picture id, in non-flexible mode; holds the next one.
#[derive(Clone, Debug)]
struct Vp9Payloader(u16);

impl Payloader for Vp9Payloader {
    fn payload(&mut self, mtu: usize, frame: &Bytes) -> Result<Vec<Bytes>, rtp::Error> {
        // After the frame marker, the profile and `show_existing_frame`: 0 is a keyframe.
        let is_predicted = frame[0] & 0x04 != 0;
        let [high, low] = self.0.to_be_bytes();
        self.0 += 1;
        let chunks: Vec<_> = frame.chunks(mtu - 3).collect();
        let last = chunks.len() - 1;
        let packet = |(index, chunk): (usize, &&[u8])| {
            let begins = if index == 0 { 0x08 } else { 0 };
            let ends = if index == last { 0x04 } else { 0 };
            let predicted = if is_predicted { 0x40 } else { 0 };
            let descriptor = [0x80 | predicted | begins | ends, 0x80 | high, low];
            [&descriptor, *chunk].concat().into()
        };
        Ok(chunks.iter().enumerate().map(packet).collect())
    }

    fn clone_to(&self) -> Box<dyn Payloader + Send + Sync> {
        Box::new(self.clone())
    }
}

const MTU: usize = 1000;
/// At ten frames a second.
const FRAME: Duration = Duration::from_millis(100);
const TICKS: u32 = 9_000;
