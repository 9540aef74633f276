//! What the machine decides about lost packets.

use super::*;
use crate::rtp::ReceptionReport;

/// A session in which both sides may ask for lost packets, and send them again in a format of their own if `rtx`.
fn repairing(rtx: bool) -> Session {
    let mut session = session();
    let section = &mut session.plan.sections[0];
    let (send, receive) = (
        section.send.as_mut().unwrap(),
        section.receive.as_mut().unwrap(),
    );
    for codec in send.codecs.iter_mut().chain(&mut receive.codecs) {
        Arc::make_mut(&mut codec.codec).feedback = vec![RtcpFeedback::Nack, RtcpFeedback::Pli];
        codec.rtx_payload_type = rtx.then(|| payload_type(RTX));
    }
    send.rtx_ssrc = rtx.then_some(OUR_RTX_SSRC);
    session
}

const OUR_RTX_SSRC: Ssrc = Ssrc(0x0a0a_0a0b);
const THEIR_RTX_SSRC: Ssrc = Ssrc(77);

impl Bench {
    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// The remote side repeats the packet with this number.
    fn receive_repair(&mut self, sequence: u16, number: u16) -> Vec<Event> {
        let [high, low] = number.to_be_bytes();
        let payload = [high, low, 7, 7];
        let rtx = rtp_bytes(RTX, sequence, THEIR_RTX_SSRC, &[(4, "v")], &payload);
        let rtx = self.remote.rtp(&rtx);
        self.receive(vec![rtx])
    }

    fn receive_rtcp(&mut self, packet: RtcpPacket) -> Vec<Event> {
        let datagram = self.remote.rtcp(&[packet]);
        self.receive(vec![datagram])
    }

    fn receive_nack(&mut self, media_ssrc: Ssrc, lost: impl IntoIterator<Item = u16>) {
        self.receive_rtcp(RtcpPacket::Nack(Nack {
            sender_ssrc: THEIR_SSRC,
            media_ssrc,
            lost: lost.into_iter().map(SequenceNumber).collect(),
        }));
    }

    /// What was asked for in each datagram since this was asked.
    fn asked(&mut self) -> Vec<Vec<u16>> {
        let nacks = |packets: Vec<RtcpPacket>| {
            packets.into_iter().find_map(|packet| match packet {
                RtcpPacket::Nack(nack) => {
                    assert_eq!((nack.sender_ssrc, nack.media_ssrc), (OUR_SSRC, THEIR_SSRC));
                    Some(nack.lost.into_iter().map(|number| number.0).collect())
                }
                _ => None,
            })
        };
        self.sent_rtcp().into_iter().filter_map(nacks).collect()
    }
}

#[test]
fn c109_what_is_missing_is_asked_for_and_closed_by_a_retransmission() {
    let mut bench = Bench::connected(repairing(true));
    bench.receive_video([1, 4]);
    assert!(bench.asked().is_empty(), "it may have been overtaken");
    bench.fire(RtpTransportTimer::Repair);
    assert_eq!(bench.asked(), [[2, 3]]);

    bench.pass(40);
    let events = bench.receive_repair(900, 2);
    assert_eq!(batches(&events), [(bench.session.remote, None, vec![2])]);
    bench.fire(RtpTransportTimer::Repair);
    assert_eq!(bench.asked(), [[3]]);
    // Again, and for nothing.
    for (sequence, number) in [(901, 2), (902, 4), (903, 30_000)] {
        assert!(bench.receive_repair(sequence, number).is_empty());
    }
    let stats = bench.stats();
    assert_eq!((stats.repaired, stats.repeated), (1, 3));
    assert_eq!(stats.nacks_sent, 2);
}

#[test]
fn what_is_repaired_comes_to_the_right_encoding() {
    let mut session = repairing(true);
    session.receive().rids = vec!["h".into(), "l".into()];
    session.receive().rtx_ssrcs = vec![(THEIR_RTX_SSRC, THEIR_SSRC)];
    let mut bench = Bench::connected(session);
    let mut packet = |sequence| {
        let bytes = rtp_bytes(VIDEO, sequence, THEIR_SSRC, &[(4, "v"), (10, "l")], &[1]);
        bench.remote.rtp(&bytes)
    };
    let brought = vec![packet(1), packet(3)];
    bench.receive(brought);
    bench.fire(RtpTransportTimer::Repair);
    assert_eq!(bench.asked(), [[2]]);
    let events = bench.receive_repair(900, 2);
    let track = bench.session.remote;
    assert_eq!(batches(&events), [(track, Some("l"), vec![2])]);
}

#[test]
fn c109_without_nack_nothing_is_asked_for() {
    let mut bench = Bench::connected(session());
    bench.receive_video([1, 4]);
    assert_eq!(bench.armed(RtpTransportTimer::Repair), None);
}

#[test]
fn what_comes_by_itself_is_not_asked_for() {
    let mut bench = Bench::connected(repairing(true));
    bench.receive_video([1, 4, 2, 3]);
    bench.fire(RtpTransportTimer::Repair);
    assert!(bench.asked().is_empty());
    assert_eq!(bench.armed(RtpTransportTimer::Repair), None);
}

#[test]
fn c109_a_jump_asks_for_a_keyframe_instead() {
    let mut bench = Bench::connected(repairing(true));
    bench.receive_video([1, 30_001]);
    let sent = bench.sent_rtcp().concat();
    let asks = |packet: &RtcpPacket| matches!(packet, RtcpPacket::PictureLossIndication(_));
    assert!(sent.iter().any(asks), "{sent:?}");
    assert_eq!(bench.armed(RtpTransportTimer::Repair), None);
    assert_eq!(bench.stats().jumps, 1);
}

#[test]
fn whatever_is_missing_of_a_stream_fits_one_packet() {
    for step in [2, 3, 17, 18] {
        let mut bench = Bench::connected(repairing(true));
        let numbers = (0..6_000).filter(|number| number % step != 1);
        bench.receive_video(numbers);
        bench.fire(RtpTransportTimer::Repair);
        let sent = bench.sent();
        assert_eq!(sent.len(), 1);
        assert!(sent[0].len() < 400, "{}", sent[0].len());
    }
}

#[test]
fn c109_what_the_remote_side_lost_is_sent_again() {
    let mut bench = Bench::connected(repairing(true));
    for sequence in 1..=4 {
        bench.send(sequence);
    }
    let sent = bench.sent_rtp();
    bench.pass(80);
    bench.receive_nack(OUR_SSRC, [2, 3]);
    let again = bench.sent_rtp();
    assert_eq!(again.len(), 2);
    for (rtx, sent) in again.iter().zip(&sent[1..]) {
        assert_eq!(rtx.ssrc(), OUR_RTX_SSRC);
        let original = rtx.unwrap_retransmission(OUR_SSRC, payload_type(VIDEO));
        let original = original.unwrap();
        assert_eq!(original.sequence_number(), sent.sequence_number());
        assert_eq!(original.payload(), sent.payload());
    }
    bench.receive_nack(OUR_SSRC, [2, 9]);
    bench.receive_nack(OUR_RTX_SSRC, [again[0].sequence_number().0]);
    assert!(bench.outbox.is_empty());
    let stats = bench.stats();
    assert_eq!((stats.nacks_received, stats.retransmitted), (3, 2));
    // Within a round trip; never sent, and of a stream that is not sent again.
    assert_eq!(stats.retransmission_suppressed, 1);
    assert_eq!(stats.retransmission_unknown, 2);
}

#[test]
fn c109_without_rtx_it_goes_again_as_it_was() {
    let mut bench = Bench::connected(repairing(false));
    for sequence in 1..=4 {
        bench.send(sequence);
    }
    let sent = bench.sent();
    bench.pass(80);
    bench.receive_nack(OUR_SSRC, [3]);
    assert_eq!(bench.sent(), [sent[2].clone()]);
    assert_eq!(bench.stats().protect_failed, 0);
}

#[test]
fn a_storm_of_requests_costs_one_look_a_number_and_no_more_than_so_many() {
    let mut bench = Bench::connected(repairing(true));
    bench.send(1);
    bench.sent();
    bench.pass(80);
    for _ in 0..100 {
        bench.receive_nack(OUR_SSRC, 0..1000);
    }
    assert_eq!(bench.sent().len(), 1);
    let stats = bench.stats();
    assert_eq!((stats.nacks_received, stats.retransmitted), (100, 1));
    assert!(stats.retransmission_unknown + stats.retransmission_missed <= 1024);
    assert!(stats.retransmission_suppressed > 98_000);
}

#[test]
fn c065_the_time_on_the_way_comes_from_reports_and_sets_the_pace() {
    let mut bench = Bench::connected(repairing(true));
    bench.send(1);
    bench.fire(RtpTransportTimer::Report);
    bench.sent();
    bench.pass(30);
    bench.receive_rtcp(RtcpPacket::ReceiverReport(ReceiverReport {
        ssrc: THEIR_SSRC,
        reports: vec![ReceptionReport {
            ssrc: OUR_SSRC,
            fraction_lost: 0,
            cumulative_lost: 0,
            extended_highest_sequence: 1,
            jitter: 0,
            last_sender_report: (NTP >> 16) as u32,
            // 10 ms.
            delay_since_last_sender_report: 655,
        }],
    }));
    bench.receive_video([1, 3]);
    let gap = bench.now;
    bench.fire(RtpTransportTimer::Repair);
    assert_eq!(bench.asked(), [[2]]);
    bench.fire(RtpTransportTimer::Repair);
    assert_eq!(bench.asked(), [[2]]);
    // 5 ms of patience, and 20 ms with a margin of 5.
    let passed = (bench.now - gap).as_millis();
    assert!((30..=31).contains(&passed), "{passed}");
}
