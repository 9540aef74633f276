//! Several encodings of one track on their way out.

use super::*;
use crate::jsep::SendPlan;

const HIGH: Ssrc = Ssrc(0x0e0e_0e0e);
const HIGH_AGAIN: Ssrc = Ssrc(0x0e0e_0e0f);
const RID: u8 = 10;
const REPAIRED_RID: u8 = 11;

/// A peer that sends two encodings, `q` and `h`, and may be asked for packets again.
fn two_encodings() -> Bench {
    let mut session = session();
    let section = &mut session.plan.sections[0];
    let send = section.send.as_mut().unwrap();
    send.rid = Some("q".into());
    send.is_named = true;
    let repaired = (REPAIRED_RID, HeaderExtension::RepairedRid);
    send.extensions.entries.push(repaired);
    let codec = &mut send.codecs[0].codec;
    *codec = Arc::new(RtpCodec {
        feedback: vec![RtcpFeedback::Nack],
        ..RtpCodec::clone(codec)
    });
    section.further.push(SendPlan {
        rid: Some("h".into()),
        ssrc: HIGH,
        rtx_ssrc: Some(HIGH_AGAIN),
        ..send.clone()
    });
    Bench::connected(session)
}

impl Bench {
    fn encoding(&self, rid: &str) -> SentTrack {
        SentTrack::new(self.session.local, Some(&rid.into()))
    }

    fn send_encoding(&mut self, rid: &str, sequence: u16) {
        let encoding = self.encoding(rid);
        self.send_batch(encoding, made(sequence).into());
    }
}

#[test]
fn each_encoding_has_its_ssrc_and_its_name_and_numbers_of_its_own() {
    let mut bench = two_encodings();
    for (rid, ssrc) in [("q", OUR_SSRC), ("h", HIGH)] {
        for sequence in [7, 8] {
            bench.send_encoding(rid, sequence);
            let sent = bench.sent_rtp();
            assert_eq!(sent.len(), 1);
            assert_eq!(
                (sent[0].ssrc(), sent[0].sequence_number().0),
                (ssrc, sequence)
            );
            assert_eq!(sent[0].extension(RID), Some(rid.as_bytes()));
            assert_eq!(sent[0].extension(REPAIRED_RID), None);
        }
    }
}

#[test]
fn a_track_of_several_encodings_has_none_without_a_name() {
    let mut bench = two_encodings();
    bench.send(7);
    bench.send_encoding("f", 7);
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.stats().not_negotiated, 2);
}

#[test]
fn c109_a_retransmission_says_which_encoding_it_repeats() {
    let mut bench = two_encodings();
    bench.send_encoding("h", 7);
    bench.sent();
    bench.now += Duration::from_millis(100);
    let nack = RtcpPacket::Nack(Nack {
        sender_ssrc: THEIR_SSRC,
        media_ssrc: HIGH,
        lost: vec![SequenceNumber(7)],
    });
    let brought = vec![bench.remote.rtcp(std::slice::from_ref(&nack))];
    let events = bench.receive(brought);
    let [
        Event::Rtcp {
            track_id,
            rid,
            packets,
        },
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(*track_id, Some(bench.session.local));
    assert_eq!(
        (rid.as_ref().map(Rid::as_str), &packets[..]),
        (Some("h"), &[nack][..])
    );
    let sent = bench.sent_rtp();
    assert_eq!(
        (sent[0].ssrc(), sent[0].payload_type().get()),
        (HIGH_AGAIN, RTX)
    );
    assert_eq!(sent[0].extension(RID), None);
    assert_eq!(sent[0].extension(REPAIRED_RID), Some(&b"h"[..]));
}

#[test]
fn c110_a_wish_for_a_keyframe_is_one_for_each_encoding() {
    let mut bench = two_encodings();
    let pli = |media_ssrc| {
        RtcpPacket::PictureLossIndication(PictureLossIndication {
            sender_ssrc: THEIR_SSRC,
            media_ssrc,
        })
    };
    let brought = vec![bench.remote.rtcp(&[pli(HIGH), pli(HIGH)])];
    bench.receive(brought);
    let high = bench.encoding("h");
    assert_eq!(mem::take(&mut bench.wishes), [high]);
    let brought = vec![bench.remote.rtcp(&[pli(OUR_SSRC), pli(HIGH)])];
    assert_eq!(bench.receive(brought).len(), 2, "two encodings, two events");
    let low = bench.encoding("q");
    assert_eq!(bench.wishes, [low, high]);
}

#[test]
fn c066_each_encoding_is_reported_on() {
    let mut bench = two_encodings();
    bench.send_encoding("q", 7);
    bench.send_encoding("h", 7);
    bench.sent();
    bench.fire(RtpTransportTimer::Report);
    let sent = bench.sent_rtcp();
    let reports = sent[0].iter().filter_map(|packet| match packet {
        RtcpPacket::SenderReport(report) => Some(report.ssrc),
        _ => None,
    });
    assert_eq!(reports.collect::<Vec<_>>(), [OUR_SSRC, HIGH]);
}

#[test]
fn an_encoding_that_is_switched_off_keeps_its_numbers_and_one_that_is_gone_says_goodbye() {
    let mut bench = two_encodings();
    bench.send_encoding("h", 7);
    bench.sent();
    bench.session.plan.sections[0].further[0].track = None;
    bench.apply();
    bench.send_encoding("h", 8);
    assert!(bench.outbox.is_empty());
    bench.session.plan.sections[0].further[0].track = Some(bench.session.local);
    bench.apply();
    bench.send_encoding("h", 9);
    assert_eq!(bench.sent_rtp()[0].sequence_number().0, 9);

    bench.session.plan.sections[0].further.clear();
    bench.apply();
    let sent = bench.sent_rtcp();
    let goodbye = RtcpPacket::Goodbye(Goodbye {
        ssrcs: vec![HIGH],
        reason: bytes::Bytes::new(),
    });
    assert_eq!(sent[0].last(), Some(&goodbye));
}
