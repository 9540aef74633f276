use proptest::prelude::*;

use super::history::History;
use super::*;
use crate::codec::{RtcpFeedback, RtpCodec};
use crate::jsep::{NegotiatedCodec, SendPlan};
use crate::rtp::sender::RtpStreamSender;
use crate::rtp::types::RtpTimestamp;
use crate::rtp::{ExtensionMap, HeaderExtension, RtpSource};
use crate::track::MediaKind;

const SSRC: Ssrc = Ssrc(0x0102_0304);
const RTX_SSRC: Ssrc = Ssrc(0xfedc_ba98);
/// What was sent may be asked for after 45 ms.
const RTT: Duration = Duration::from_millis(60);

fn payload_type(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

/// One codec, with requests for lost packets and a format for retransmissions as told.
fn plan(nack: bool, rtx: bool) -> SendPlan {
    SendPlan {
        rid: None,
        is_named: false,
        track: None,
        ssrc: SSRC,
        rtx_ssrc: rtx.then_some(RTX_SSRC),
        cname: "us".into(),
        codecs: vec![NegotiatedCodec {
            codec: Arc::new(RtpCodec {
                kind: MediaKind::Video,
                name: "VP8".to_owned(),
                clock_rate_hz: 90_000,
                channels: None,
                fmtp: String::new(),
                feedback: if nack {
                    vec![RtcpFeedback::Nack]
                } else {
                    Vec::new()
                },
            }),
            payload_type: payload_type(96),
            rtx_payload_type: rtx.then(|| payload_type(97)),
        }],
        extensions: ExtensionMap {
            entries: vec![(4, HeaderExtension::Mid)],
            mixed: false,
        },
    }
}

struct Stream {
    sender: RtpStreamSender,
    start: Instant,
}

impl Stream {
    fn of(plan: &SendPlan) -> Self {
        Self {
            sender: RtpStreamSender::new(&"v".into(), plan, CACHE_BYTES),
            start: Instant::now(),
        }
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// Sends a batch; gives what goes on the wire.
    fn send(&mut self, numbers: impl IntoIterator<Item = u16>, millis: u64) -> Vec<Vec<u8>> {
        let batch: RtpBatch = numbers.into_iter().map(packet).collect();
        self.send_batch(&batch, millis)
    }

    fn send_batch(&mut self, batch: &RtpBatch, millis: u64) -> Vec<Vec<u8>> {
        let now = self.at(millis);
        let rewrite = self.sender.rewrite_for(batch.source()).unwrap();
        let mut all = Vec::new();
        for (index, packet) in batch.iter().enumerate() {
            let numbers = self.sender.place(&rewrite, packet, now).unwrap();
            let mut slab = Vec::new();
            self.sender
                .write_outgoing(&rewrite, packet, numbers, None, &mut slab);
            self.sender.count(&rewrite, packet, numbers, now, || None);
            self.sender.keep(batch, index, &rewrite, numbers, now);
            all.push(slab);
        }
        all
    }

    /// What goes on the wire when this number is asked for.
    fn repeat(&mut self, number: u16, millis: u64) -> Result<Vec<u8>, Refused> {
        let now = self.at(millis);
        let repeat = self.sender.repeat(SequenceNumber(number), RTT, now)?;
        let mut slab = Vec::new();
        self.sender.write_repeat(&repeat, None, &mut slab);
        Ok(slab)
    }
}

impl Stream {
    fn wants_second(&mut self, number: u16, why: Why) -> bool {
        self.sender.wants_second(&packet(number), why)
    }

    /// What goes on the wire when this packet, which has not been sent, is sent as a retransmission.
    fn as_repair(&mut self, number: u16) -> Option<Vec<u8>> {
        let packet = packet(number);
        let rewrite = self.sender.rewrite_for(None).unwrap();
        let numbers = Numbers::of(&packet, None);
        let repeat = self.sender.as_repair(&rewrite, &packet, numbers)?;
        let mut slab = Vec::new();
        self.sender.write_repeat(&repeat, None, &mut slab);
        Some(slab)
    }
}

fn packet(sequence: u16) -> RtpPacket {
    RtpPacket::new(
        payload_type(96),
        SequenceNumber(sequence),
        RtpTimestamp(u32::from(sequence) * 3000),
        Ssrc(9),
        sequence.is_multiple_of(2),
        vec![sequence as u8; 1000],
    )
}

fn parsed(bytes: &[u8]) -> RtpPacket {
    RtpPacket::parse(bytes.to_vec().into()).unwrap()
}

/// RFC 4588 §4: own payload type, SSRC and numbers; timestamp and marker of the original; its number before its
/// payload. And the MID, by which a receiver finds the m-line (RFC 9143 §9.2).
#[test]
fn c109_a_retransmission_has_the_form_of_rfc_4588() {
    let mut stream = Stream::of(&plan(true, true));
    stream.send([0x1234], 0);
    let bytes = stream.repeat(0x1234, 60).unwrap();
    // SSRC 0xfedcba98 folded, below 2¹⁵.
    let sequence = ((0xfedc ^ 0xba98) & 0x7fff_u16).to_be_bytes();
    let timestamp = (0x1234_u32 * 3000).to_be_bytes();
    let head = [
        &[0x90, 0x80 | 97][..],
        &sequence,
        &timestamp,
        &[0xfe, 0xdc, 0xba, 0x98],
        &[0xbe, 0xde, 0, 1, 0x40, b'v', 0, 0],
        &[0x12, 0x34],
    ]
    .concat();
    assert_eq!(bytes[..head.len()], head);
    assert_eq!(bytes[head.len()..], [0x34; 1000]);
}

#[test]
fn c109_what_is_retransmitted_is_what_was_sent() {
    let mut stream = Stream::of(&plan(true, true));
    let sent = stream.send([65_534, 65_535, 0, 1], 0);
    for (number, sent) in [65_534, 65_535, 0, 1].into_iter().zip(&sent) {
        let rtx = parsed(&stream.repeat(number, 60).unwrap());
        let unwrapped = rtx.unwrap_retransmission(SSRC, payload_type(96)).unwrap();
        let sent = parsed(sent);
        assert_eq!(unwrapped.sequence_number(), sent.sequence_number());
        assert_eq!(unwrapped.timestamp(), sent.timestamp());
        assert_eq!(unwrapped.marker(), sent.marker());
        assert_eq!(unwrapped.payload(), sent.payload());
        assert_eq!(unwrapped.extension(4), sent.extension(4));
    }
}

#[test]
fn c109_without_rtx_the_packet_goes_again_byte_for_byte() {
    let mut stream = Stream::of(&plan(true, false));
    let sent = stream.send([7, 8, 9], 0);
    assert_eq!(stream.repeat(8, 60).unwrap(), sent[1]);
    // Also where numbers were changed on the way.
    stream.sender.change_source();
    let sent = stream.send([500, 501], 70);
    let numbers: Vec<u16> = sent
        .iter()
        .map(|it| parsed(it).sequence_number().0)
        .collect();
    assert_eq!(numbers, [10, 11]);
    assert_eq!(stream.repeat(11, 130).unwrap(), sent[1]);
    assert_eq!(stream.repeat(501, 130), Err(Refused::NeverSent));
}

#[test]
fn c109_numbers_of_pictures_are_the_same_when_a_packet_goes_again() {
    let mut stream = Stream::of(&plan(true, false));
    let source = Arc::new(RtpSource {
        codec: Arc::clone(&plan(true, false).codecs[0].codec),
        extensions: ExtensionMap::default(),
    });
    let mut sent = Vec::new();
    for (start, picture) in [(10, 0x7ffe_u16), (900, 5), (40_000, 0x1234)] {
        stream.sender.change_source();
        let packets = (0..6_u16).map(|step| {
            let [high, low] = ((picture + step / 2) | 0x8000).to_be_bytes();
            // Extended, with a picture number of 15 bits (RFC 7741 §4.2); one has none, one is cut off.
            let payload = match step {
                3 => vec![0x10, 0, 1],
                4 => vec![0x90, 0x80, high],
                _ => vec![0x90, 0x80, high, low, 0, 1],
            };
            let number = SequenceNumber(start).plus(step);
            let clock = RtpTimestamp(u32::from(start));
            RtpPacket::new(payload_type(96), number, clock, Ssrc(9), true, payload)
        });
        let batch = RtpBatch::received(packets.collect(), Arc::clone(&source), stream.start);
        sent.extend(stream.send_batch(&batch, 0));
    }
    for (number, sent) in (10..).zip(&sent) {
        assert_eq!(stream.repeat(number, 60).as_ref(), Ok(sent), "{number}");
    }
    assert_eq!(sent.len(), 18);
    // They have gone on: 0x7ffe, 0x7fff, 0; after that the new source's.
    assert_eq!(parsed(&sent[6]).payload(), [0x90, 0x80, 0x80, 1, 0, 1]);
}

// SRTP takes the same number twice only with the same bytes: with others the key of the authentication is lost.
#[test]
fn what_would_be_written_otherwise_now_is_not_sent_again() {
    let with_other = |change: &dyn Fn(&mut SendPlan)| {
        let mut other = plan(true, false);
        change(&mut other);
        other
    };
    let other_id = with_other(&|plan| plan.extensions.entries[0].0 = 5);
    let other_number = with_other(&|plan| plan.codecs[0].payload_type = payload_type(100));
    for other in [other_id, other_number] {
        let mut stream = Stream::of(&plan(true, false));
        stream.send([7, 8], 0);
        stream.sender.apply(&"v".into(), &other);
        assert_eq!(stream.repeat(8, 60), Err(Refused::NotKept));
    }
    let mut stream = Stream::of(&plan(true, false));
    let sent = stream.send([7, 8], 0);
    stream.sender.apply(&"v".into(), &plan(true, false));
    assert_eq!(stream.repeat(8, 60).unwrap(), sent[1]);
    stream.sender.apply(&"w".into(), &plan(true, false));
    assert_eq!(stream.repeat(8, 200), Err(Refused::NotKept));
}

#[test]
fn c109_numbers_of_retransmissions_go_on_and_wrap() {
    let plan = SendPlan {
        rtx_ssrc: Some(Ssrc(0x7fff)),
        ..plan(true, true)
    };
    let mut stream = Stream::of(&plan);
    let mut expected = 0x7fff_u16;
    for round in 0..150_u16 {
        let at = 10_000 * u64::from(round);
        let numbers = (0..500).map(|step| round.wrapping_mul(500).wrapping_add(step));
        stream.send(numbers.clone(), at);
        // What may be sent is bounded: some are refused.
        let sent = numbers.filter_map(|number| stream.repeat(number, at + 60).ok());
        for bytes in sent.collect::<Vec<_>>() {
            assert_eq!(parsed(&bytes).sequence_number(), SequenceNumber(expected));
            expected = expected.wrapping_add(1);
        }
        stream.sender.apply(&"v".into(), &plan);
    }
    assert!(expected < 0x7fff, "they have wrapped: {expected}");
}

#[test]
fn numbers_of_retransmissions_go_on_when_they_were_off_for_a_while() {
    let mut stream = Stream::of(&plan(true, true));
    stream.send([1], 0);
    let first = parsed(&stream.repeat(1, 60).unwrap()).sequence_number();
    stream.sender.apply(&"v".into(), &plan(true, false));
    stream.sender.apply(&"v".into(), &plan(true, true));
    stream.send([2], 100);
    let next = parsed(&stream.repeat(2, 160).unwrap()).sequence_number();
    assert_eq!(next, first.plus(1));
}

#[test]
fn c109_where_nobody_may_ask_nothing_is_kept() {
    let mut stream = Stream::of(&plan(false, false));
    let batch: RtpBatch = [packet(1)].into_iter().collect();
    let rewrite = stream.sender.rewrite_for(None).unwrap();
    let (numbers, now) = (Numbers::of(&batch[0], None), stream.start);
    stream
        .sender
        .count(&rewrite, &batch[0], numbers, stream.start, || None);
    stream.sender.keep(&batch, 0, &rewrite, numbers, now);
    assert_eq!(Arc::strong_count(batch.shared()), 1);
    assert_eq!(stream.repeat(1, 1), Err(Refused::NotKept));
}

// What a paused sender had sent last stayed in memory until it sent again.
#[test]
fn a_paused_sender_keeps_nothing() {
    let mut stream = Stream::of(&plan(true, true));
    let batch: RtpBatch = (1..3).map(packet).collect();
    stream.send_batch(&batch, 0);
    assert_eq!(Arc::strong_count(batch.shared()), 2);
    stream.sender.pause();
    assert_eq!(Arc::strong_count(batch.shared()), 1);
    assert_eq!(stream.repeat(2, 60), Err(Refused::NotKept));
    stream.sender.apply(&"v".into(), &plan(true, true));
    stream.send([3], 100);
    assert!(stream.repeat(3, 160).is_ok());
}

#[test]
fn c064_what_was_never_sent_is_told_from_what_is_gone() {
    let mut stream = Stream::of(&plan(true, true));
    assert_eq!(stream.repeat(1, 0), Err(Refused::NeverSent));
    stream.send([10, 12], 0);
    assert_eq!(stream.repeat(13, 60), Err(Refused::NeverSent));
    assert_eq!(stream.repeat(11, 60), Err(Refused::NotKept));
    assert!(stream.repeat(12, 60).is_ok());
    // One that comes late, from a publisher who lost it himself. What is asked for now is not the loss of this.
    stream.send([11], 70);
    assert_eq!(stream.repeat(11, 114), Err(Refused::TooMuch));
    assert!(stream.repeat(11, 115).is_ok());
    assert_eq!(stream.repeat(10, 1002), Err(Refused::NotKept));
}

#[test]
fn what_is_kept_is_told_and_how_often_it_was_of_use() {
    let mut stream = Stream::of(&plan(true, true));
    stream.send([1, 2, 4], 0);
    stream.repeat(1, 60).unwrap();
    stream.repeat(1, 61).unwrap_err();
    stream.repeat(3, 60).unwrap_err();
    let cache = stream.sender.retransmission_cache().unwrap();
    assert_eq!((cache.packets, cache.hits, cache.misses), (3, 2, 1));
    assert!(cache.bytes > 3_000, "{cache:?}");
    let unasked = Stream::of(&plan(false, false));
    assert_eq!(unasked.sender.retransmission_cache(), None);
}

#[test]
fn c109_a_packet_goes_again_once_a_round_trip_and_not_for_ever() {
    let mut stream = Stream::of(&plan(true, true));
    stream.send([1, 2], 0);
    assert_eq!(stream.repeat(1, 44), Err(Refused::TooMuch));
    assert!(stream.repeat(1, 45).is_ok());
    assert_eq!(stream.repeat(1, 89), Err(Refused::TooMuch));
    assert!(stream.repeat(2, 89).is_ok());
    assert!(stream.repeat(1, 90).is_ok());
    let sent = (10..100).filter(|step| stream.repeat(1, 10 * step).is_ok());
    assert_eq!(sent.count(), usize::from(MAX_REPEATS) - 2);
}

#[test]
fn a_storm_of_requests_gets_half_of_what_the_stream_sends() {
    let mut stream = Stream::of(&plan(true, true));
    let mut repeated = 0;
    for step in 0..100_u16 {
        let at = u64::from(step) * 100;
        stream.send(step * 100..step * 100 + 100, at);
        for number in 0..=step * 100 + 99 {
            repeated += usize::from(stream.repeat(number, at + 90).is_ok());
        }
    }
    let limit = 100 * 100 / 2 + AT_ONCE as usize / 1000;
    assert!((4000..limit).contains(&repeated), "{repeated}");
}

#[test]
fn c109_what_is_kept_is_bounded_in_bytes_and_time() {
    let mut history = History::new(CACHE_BYTES);
    let stream = Stream::of(&plan(true, true));
    let mut sender = RtpStreamSender::new(&"v".into(), &plan(true, true), CACHE_BYTES);
    let rewrite = sender.rewrite_for(None).unwrap();
    for number in 0..10_000 {
        let batch = RtpBatch::from(packet(number));
        let numbers = Numbers::of(&batch[0], None);
        history.note(&batch, 0, &rewrite, numbers, stream.at(0));
    }
    assert!(history.bytes() <= CACHE_BYTES, "{}", history.bytes());
    assert!((1900..2000).contains(&history.runs()), "{}", history.runs());
    history.forget_old(stream.at(1000));
    assert_ne!(history.runs(), 0);
    history.forget_old(stream.at(1001));
    assert_eq!((history.runs(), history.bytes()), (0, 0));
}

#[test]
fn however_many_keep_a_batch_its_packets_are_there_once() {
    let batch: RtpBatch = (0..10).map(packet).collect();
    let mut histories: Vec<History> = (0..200).map(|_| History::new(CACHE_BYTES)).collect();
    let mut sender = RtpStreamSender::new(&"v".into(), &plan(true, true), CACHE_BYTES);
    let rewrite = sender.rewrite_for(None).unwrap();
    let now = Instant::now();
    for history in &mut histories {
        for (index, packet) in batch.iter().enumerate() {
            history.note(&batch, index, &rewrite, Numbers::of(packet, None), now);
        }
        assert_eq!(history.runs(), 1);
    }
    assert_eq!(Arc::strong_count(batch.shared()), 201);
}

/// What a peer's limits say by default.
const CACHE_BYTES: usize = 2 << 20;

proptest! {
    /// Whatever is sent of a batch, under whatever numbers, is found, and nothing else.
    #[test]
    fn exactly_what_was_sent_is_found(
        first in any::<u16>(),
        batches in prop::collection::vec(
            prop::collection::vec((any::<bool>(), any::<bool>()), 1..20), 1..20
        ),
        offset in any::<u16>(),
    ) {
        let mut sender = RtpStreamSender::new(&"v".into(), &plan(true, true), CACHE_BYTES);
        let rewrite = sender.rewrite_for(None).unwrap();
        let mut history = History::new(CACHE_BYTES);
        let now = Instant::now();
        let (mut number, mut changed) = (first, 0);
        let mut expected = Vec::new();
        for packets in batches {
            let numbers: Vec<u16> = (0..packets.len()).map(|step| number.wrapping_add(step as u16)).collect();
            let batch: RtpBatch = numbers.iter().map(|number| packet(*number)).collect();
            for (index, (sent, changes)) in packets.into_iter().enumerate() {
                if changes {
                    changed = offset & 0xff;
                }
                let numbers = Numbers {
                    sequence: SequenceNumber(numbers[index]).plus(changed),
                    timestamp: RtpTimestamp(batch[index].timestamp().0.wrapping_add(u32::from(changed))),
                    pictures: None,
                };
                if sent {
                    history.note(&batch, index, &rewrite, numbers, now);
                }
                expected.push((numbers, sent, index, batch.clone()));
            }
            number = number.wrapping_add(300);
        }
        for (numbers, sent, index, batch) in expected {
            let found = history.find(numbers.sequence, now);
            if sent {
                let found = found.unwrap();
                prop_assert_eq!(found.numbers, numbers);
                prop_assert_eq!(&found.packet, &batch[index]);
            } else {
                prop_assert!(found.is_none());
            }
        }
    }
}

#[test]
fn where_answers_get_lost_what_is_missed_goes_twice_while_much_is_left() {
    let mut stream = Stream::of(&plan(true, true));
    stream.send(0..60, 0);
    assert!(stream.repeat(1, 60).is_ok());
    assert!(!stream.wants_second(1, Why::Missed), "it may be there");
    assert!(stream.repeat(1, 120).is_ok());
    assert!(stream.wants_second(1, Why::Missed));
    // The end of a picture waits until more is saved up than anybody begins with.
    assert!(!stream.wants_second(1, Why::EndsPicture));
    let seconds = (0..1000).filter(|_| stream.wants_second(1, Why::Missed));
    // All but a quarter of what may be saved up.
    assert_eq!(seconds.count(), 86);
    assert!(
        stream.repeat(2, 120).is_ok(),
        "there is left for those that were asked for"
    );
}

#[test]
fn the_end_of_a_picture_goes_twice_where_most_is_left() {
    let mut stream = Stream::of(&plan(true, true));
    for burst in 0..5_u16 {
        stream.send(burst * 60..burst * 60 + 60, 0);
    }
    assert!(stream.repeat(1, 60).is_ok() && stream.repeat(1, 120).is_ok());
    assert!(stream.wants_second(9, Why::EndsPicture));
    let seconds = (0..1000).filter(|_| stream.wants_second(9, Why::EndsPicture));
    assert!((20..80).contains(&seconds.count()));
    assert!(stream.wants_second(9, Why::Missed));
}

#[test]
fn without_a_format_for_retransmissions_nothing_goes_twice() {
    let mut stream = Stream::of(&plan(true, false));
    stream.send(0..60, 0);
    assert!(stream.repeat(1, 60).is_ok() && stream.repeat(1, 120).is_ok());
    assert!(!stream.wants_second(1, Why::Missed));
    assert!(stream.as_repair(1).is_none());
}

#[test]
fn what_was_lost_before_it_came_here_can_go_out_as_a_retransmission() {
    let mut stream = Stream::of(&plan(true, true));
    stream.send([0x1233, 0x1235], 0);
    let repair = parsed(&stream.as_repair(0x1234).unwrap());
    assert_eq!(repair.ssrc(), RTX_SSRC);
    assert_eq!(repair.payload()[..2], [0x12, 0x34]);
    let mut stream = Stream::of(&plan(false, true));
    assert!(stream.as_repair(1).is_none(), "nobody would ask for it");
}
