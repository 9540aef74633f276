//! What reports say of time: the way there and back, and when media was made.

use super::*;
use crate::jsep::{MediaSection, ReceivePlan, SendPlan};
use crate::rtp::{ExtendedReport, ExtendedReportBlock, LastReceiverReport, Remb};
use crate::rtp_transport::LaneDepths;
use crate::track::{MediaKind, MediaStreamTrack};

fn extended(ssrc: Ssrc, blocks: Vec<ExtendedReportBlock>) -> RtcpPacket {
    RtcpPacket::ExtendedReport(ExtendedReport { ssrc, blocks })
}

#[test]
fn c065_who_only_receives_measures_the_round_trip_by_an_extended_report() {
    let mut session = session();
    session.plan.sections[0].send = None;
    session.plan.sections[0].receiver_round_trip = true;
    let mut bench = Bench::connected(session);
    bench.receive_video([1]);
    bench.fire(RtpTransportTimer::Report);
    let sent = bench.sent_rtcp();
    let [
        RtcpPacket::ReceiverReport(report),
        _,
        RtcpPacket::ExtendedReport(time),
    ] = &sent[0][..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!(time.ssrc, report.ssrc);
    assert_eq!(
        time.blocks,
        [ExtendedReportBlock::ReceiverReferenceTime(NTP)]
    );

    // 20 ms there, of 80; and an answer to somebody else.
    bench.now += Duration::from_millis(80);
    let answer = |ssrc, delay| LastReceiverReport {
        ssrc,
        last_receiver_report: 0x2222_3333,
        delay_since_last_receiver_report: delay,
    };
    let answers = vec![answer(report.ssrc, 1311), answer(Ssrc(99), 0)];
    let answers = vec![ExtendedReportBlock::LastReceiverReports(answers)];
    let brought = vec![bench.remote.rtcp(&[extended(THEIR_SSRC, answers)])];
    bench.receive(brought);
    let trips = bench.machine.snapshot(LaneDepths::default()).heard[0].round_trips;
    assert_eq!(trips.measurements, 1);
    let error = trips.latest.unwrap().abs_diff(Duration::from_millis(60));
    assert!(error < Duration::from_micros(50), "{trips:?}");
}

#[test]
fn c065_where_it_was_not_negotiated_or_something_is_sent_nobody_is_asked_for_the_time() {
    for (negotiated, sends) in [(false, false), (true, true)] {
        let mut session = session();
        session.plan.sections[0].receiver_round_trip = negotiated;
        let mut bench = Bench::connected(session);
        if sends {
            bench.send(1);
            bench.sent();
        }
        bench.receive_video([1]);
        bench.fire(RtpTransportTimer::Report);
        assert_eq!(bench.sent_rtcp()[0].len(), 2);
    }
}

#[test]
fn c065_the_time_of_who_only_receives_is_answered_with_the_next_report() {
    let mut bench = Bench::connected(session());
    bench.send(1);
    bench.sent();
    let time = vec![ExtendedReportBlock::ReceiverReferenceTime(NTP)];
    let brought = vec![bench.remote.rtcp(&[extended(THEIR_SSRC, time)])];
    bench.receive(brought);
    let heard_at = bench.now;
    bench.fire(RtpTransportTimer::Report);
    let sent = bench.sent_rtcp();
    let delay = (bench.now - heard_at).as_secs_f64() * 65_536.0;
    let answer = LastReceiverReport {
        ssrc: THEIR_SSRC,
        last_receiver_report: 0x2222_3333,
        delay_since_last_receiver_report: delay as u32,
    };
    let answers = vec![ExtendedReportBlock::LastReceiverReports(vec![answer])];
    assert_eq!(sent[0].last(), Some(&extended(OUR_SSRC, answers)));
    bench.fire(RtpTransportTimer::Report);
    assert_eq!(bench.sent_rtcp()[0].len(), 2, "once");
}

fn remb(bitrate_bps: u64) -> RtcpPacket {
    RtcpPacket::Remb(Remb {
        sender_ssrc: THEIR_SSRC,
        bitrate_bps,
        ssrcs: vec![OUR_SSRC],
    })
}

/// What the owner is told when each of these comes, so many milliseconds after the one before it.
fn estimates(feedback: Vec<RtcpFeedback>, heard: &[(u64, u64)]) -> Vec<u64> {
    let mut session = session();
    let codec = &mut session.plan.sections[0].send.as_mut().unwrap().codecs[0].codec;
    *codec = Arc::new(RtpCodec {
        feedback,
        ..RtpCodec::clone(codec)
    });
    let mut bench = Bench::connected(session);
    let mut told = Vec::new();
    for (after, bitrate) in heard {
        bench.now += Duration::from_millis(*after);
        let brought = vec![bench.remote.rtcp(&[remb(*bitrate)])];
        let events = bench.receive(brought);
        told.extend(events.iter().filter_map(|event| match event {
            Event::AvailableOutgoingBitrate { bits_per_second } => Some(*bits_per_second),
            _ => None,
        }));
    }
    told
}

#[test]
fn where_the_remote_side_estimates_the_owner_hears_of_each_change() {
    let heard = [
        (0, 0),
        (200, 100_000),
        (200, 104_999),
        (10, 50_000),
        (10, 120_000),
        (90, 120_000),
    ];
    let told = estimates(vec![RtcpFeedback::Remb], &heard);
    assert_eq!(told, [0, 100_000, 50_000, 120_000]);
}

#[test]
fn an_estimate_that_was_not_negotiated_is_not_believed() {
    assert!(estimates(vec![RtcpFeedback::TransportCc], &[(0, 1000)]).is_empty());
}

const SOUND: u8 = 111;
const THEIR_SOUND: Ssrc = Ssrc(0x0c0c_0c0c);
const OUR_SOUND: Ssrc = Ssrc(0x0d0d_0d0d);

/// Sound and pictures of one publisher, each forwarded on a track of ours.
struct Call {
    bench: Bench,
    sound: (TrackId, TrackId),
    start: Instant,
}

impl Call {
    fn new() -> Self {
        let mut session = session();
        let track = || MediaStreamTrack::new(MediaKind::Audio, []).id();
        let (remote, local) = (track(), track());
        let video = session.plan.sections[0].clone();
        let (receive, send) = (video.receive.unwrap(), video.send.unwrap());
        let mut codec = receive.codecs[0].clone();
        codec.codec = Arc::new(RtpCodec::opus());
        codec.payload_type = payload_type(SOUND);
        codec.rtx_payload_type = None;
        session.plan.sections.push(MediaSection {
            mid: "a".into(),
            kind: MediaKind::Audio,
            send: Some(SendPlan {
                track: Some(local),
                ssrc: OUR_SOUND,
                codecs: vec![codec.clone()],
                ..send
            }),
            receive: Some(ReceivePlan {
                track: remote,
                codecs: vec![codec],
                ..receive
            }),
            ..video
        });
        let bench = Bench::connected(session);
        let start = bench.now;
        Self {
            bench,
            sound: (remote, local),
            start,
        }
    }

    /// What was made after so many milliseconds, on its way as long as this kind of media takes.
    fn arrive(&mut self, milliseconds: u64, now: u64) {
        self.bench.now = self.start + Duration::from_millis(now);
        let (datagram, sends_video) = match now - milliseconds {
            SOUND_DELAY => (self.sound_packet(milliseconds), false),
            _ => (self.video_packet(milliseconds), true),
        };
        let datagram = self.bench.remote.rtp(&datagram);
        let track = match sends_video {
            true => self.bench.session.local,
            false => self.sound.1,
        };
        for event in self.bench.receive(vec![datagram]) {
            if let Event::Rtp { packets, .. } = event {
                self.bench.send_batch(track, packets);
            }
        }
    }

    fn sound_packet(&self, milliseconds: u64) -> Vec<u8> {
        let number = (milliseconds / 20) as u16;
        let bytes = rtp_bytes(SOUND, number, THEIR_SOUND, &[(4, "a")], &[7; 20]);
        at_time(bytes, sound_timestamp(milliseconds))
    }

    fn video_packet(&self, milliseconds: u64) -> Vec<u8> {
        let number = (milliseconds / 40) as u16;
        let bytes = rtp_bytes(VIDEO, number, THEIR_SSRC, &[(4, "v")], &[0x10, 0]);
        at_time(bytes, video_timestamp(milliseconds))
    }

    /// The publisher reports on one of its streams.
    fn report(&mut self, ssrc: Ssrc, milliseconds: u64, timestamp: u32) {
        self.bench.now = self.start + Duration::from_millis(milliseconds + 10);
        let report = RtcpPacket::SenderReport(SenderReport {
            ssrc,
            ntp: NTP + (milliseconds << 32) / 1000,
            rtp_timestamp: RtpTimestamp(timestamp),
            packet_count: 1,
            octet_count: 100,
            reports: Vec::new(),
        });
        let brought = vec![self.bench.remote.rtcp(&[report])];
        self.bench.receive(brought);
    }

    /// Which moment of the publisher our reports on sound and on pictures take for one.
    fn reported(mut self) -> [f64; 2] {
        self.bench.sent();
        self.bench.fire(RtpTransportTimer::Report);
        let sent = self.bench.sent_rtcp();
        let moment = |wanted: Ssrc, begin: u32, rate: f64| {
            let mut reports = sent.iter().flatten();
            let timestamp = reports.find_map(|packet| match packet {
                RtcpPacket::SenderReport(report) if report.ssrc == wanted => {
                    Some(report.rtp_timestamp)
                }
                _ => None,
            });
            f64::from(timestamp.unwrap().0.wrapping_sub(begin).cast_signed()) / rate
        };
        [
            moment(OUR_SOUND, sound_timestamp(0), 48.0),
            moment(OUR_SSRC, video_timestamp(0), 90.0),
        ]
    }
}

fn sound_timestamp(milliseconds: u64) -> u32 {
    (u32::MAX - 1000).wrapping_add(48 * milliseconds as u32)
}

fn video_timestamp(milliseconds: u64) -> u32 {
    77_000 + 90 * milliseconds as u32
}

fn at_time(mut packet: Vec<u8>, timestamp: u32) -> Vec<u8> {
    packet[4..8].copy_from_slice(&timestamp.to_be_bytes());
    packet
}

/// Milliseconds from microphone and camera to us.
const SOUND_DELAY: u64 = 20;
const VIDEO_DELAY: u64 = 320;

/// Our reports mapped timestamps by when packets came, so that whoever played what we forward saw lips move as much late as
/// the publisher's pictures took longer than its sound.
#[test]
fn c066_sound_and_delayed_pictures_of_a_publisher_stay_together_through_a_forward() {
    for with_reports in [true, false] {
        let mut call = Call::new();
        for now in (0..1000_u64).step_by(20) {
            if with_reports && now == 400 {
                call.report(THEIR_SOUND, now, sound_timestamp(now));
            }
            if with_reports && now == 520 {
                call.report(THEIR_SSRC, now, video_timestamp(now));
            }
            if now >= SOUND_DELAY {
                call.arrive(now - SOUND_DELAY, now);
            }
            if now >= VIDEO_DELAY && now % 40 == 0 {
                call.arrive(now - VIDEO_DELAY, now);
            }
        }
        let [sound, pictures] = call.reported();
        let apart = (sound - pictures).abs();
        if with_reports {
            assert!(apart < 1.0, "{sound} {pictures}");
        } else {
            assert!((apart - 300.0).abs() < 1.0, "nobody can know: {apart}");
        }
    }
}
