//! What the machine of the media path decides.
#![allow(clippy::wildcard_enum_match_arm)]

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::machine::*;
use super::message::EncodedRtcp;
use super::stats::MediaStats;
use crate::codec::{RtcpFeedback, RtpCodec};
use crate::egress::{
    Outbox, Outgoing, SendingCommand, SendingCounters, SendingEvent, SendingHalf, SentTrack,
};
use crate::fixtures::*;
use crate::lane::LaneDrops;
use crate::limits::PeerLimits;
use crate::peer_connection::Event;
use crate::rtp::{
    Asked, CreditLimit, FullIntraRequest, Goodbye, HeaderExtension, Load, Nack,
    PictureLossIndication, ReceiverReport, Rid, RtcpPacket, RtpBatch, RtpPacket, RtpTimestamp,
    SenderReport, SequenceNumber, Ssrc,
};
use crate::track::TrackId;

#[path = "encoding_tests.rs"]
mod encoding_tests;
#[path = "layer_tests.rs"]
mod layer_tests;
#[path = "repair_tests.rs"]
mod repair_tests;
#[path = "report_tests.rs"]
mod report_tests;

const NTP: u64 = 0x1111_2222_3333_4444;

/// A machine with its surroundings: the sending half, the remote side, the clock, and an owner that
/// keeps all events.
struct Bench {
    machine: RtpTransportMachine,
    sending: SendingHalf,
    counters: Arc<SendingCounters>,
    remote: Remote,
    session: Session,
    now: Instant,
    outbox: Outbox,
    effects: Vec<Effect>,
    bells: Arc<AtomicUsize>,
    /// Of which keyframes the remote side wants.
    wishes: Vec<SentTrack>,
}

impl Bench {
    fn new(session: Session) -> Self {
        let bells = Arc::new(AtomicUsize::new(0));
        let rung = Arc::clone(&bells);
        let limit = Load {
            packets: 10,
            bytes: 1 << 20,
        };
        let machine = RtpTransportMachine::new(MachineArguments {
            credit: CreditLimit::new(limit, move || {
                rung.fetch_add(1, Ordering::SeqCst);
            }),
            waiting: limit,
            batch_packets: 256,
            ssrcs: 256,
            audio_levels: None,
            seed: 7,
        });
        let counters = Arc::new(SendingCounters::default());
        Self {
            machine,
            sending: SendingHalf::new(Arc::clone(&counters), &PeerLimits::default()),
            counters,
            remote: Remote::new(),
            session,
            now: Instant::now(),
            outbox: Outbox::default(),
            effects: Vec::new(),
            bells,
            wishes: Vec::new(),
        }
    }

    fn connected(session: Session) -> Self {
        let mut bench = Self::new(session);
        let keys = keys();
        let (profile, half) = (keys.profile, &mut bench.sending);
        half.install_key(profile, &keys.local).unwrap();
        bench.machine.install_key(profile, &keys.remote).unwrap();
        bench.apply();
        bench
    }

    fn apply(&mut self) {
        self.machine.apply(&self.session.plan);
        self.sending.apply(&self.session.plan, &mut self.outbox);
    }

    /// Carries commands to the sending half, and its news back, until all is quiet.
    fn settle(&mut self) {
        let mut events = Vec::new();
        let effects = mem::take(&mut self.effects);
        for effect in effects {
            match effect {
                Effect::Send(command) => self.command(command, &mut events),
                Effect::Tell(_) | Effect::Arm(..) | Effect::NoteSilentSource(_) => {
                    self.effects.push(effect);
                }
            }
        }
        self.hear(events);
    }

    fn command(&mut self, command: SendingCommand, events: &mut Vec<SendingEvent>) {
        let (half, outbox) = (&mut self.sending, &mut self.outbox);
        match command {
            SendingCommand::Rtcp { packets, encoded } => half.send_rtcp(&packets, &encoded, outbox),
            SendingCommand::Retransmit(request) => half.retransmit(&request, self.now, outbox),
            SendingCommand::Report(request) => half.send_reports(request, outbox, events),
            SendingCommand::RequestKeyframe(track) => self.wishes.push(track),
            // Tested where it is done.
            SendingCommand::Arrivals(_) => {}
            other => panic!("the machine does not say {other:?}"),
        }
    }

    fn hear(&mut self, events: Vec<SendingEvent>) {
        for event in events {
            match event {
                SendingEvent::ActivityChanged { active } => {
                    self.machine
                        .handle_activity(active, self.now, &mut self.effects);
                }
                other => panic!("the half does not say {other:?}"),
            }
        }
    }

    fn stats(&self) -> MediaStats {
        self.machine.stats().with_sending(&self.counters)
    }

    fn send_batch(&mut self, track: impl Into<SentTrack>, batch: RtpBatch) {
        let track = track.into();
        let outgoing = Outgoing { track, batch };
        let mut events = Vec::new();
        self.sending
            .send_by_hand(&outgoing, self.now, &mut self.outbox, &mut events);
        self.hear(events);
    }

    fn send_rtcp(&mut self, rtcp: EncodedRtcp) {
        self.machine.handle_rtcp(rtcp, &mut self.effects);
        self.settle();
    }

    fn send_pli(&mut self, rid: Option<&Rid>) {
        let asked = Asked {
            track: self.session.remote,
            rid: rid.cloned(),
        };
        self.machine
            .send_keyframe_request(&asked, false, &mut self.effects);
        self.settle();
    }

    fn request_keyframe(&mut self, rid: Option<Rid>) {
        let (track, now) = (self.session.remote, self.now);
        self.machine
            .request_keyframe(track, rid, now, &mut self.effects);
        self.settle();
    }

    /// Gives the machine one drain with these datagrams, and returns what the owner hears.
    fn receive(&mut self, brought: Vec<bytes::BytesMut>) -> Vec<Event> {
        self.machine.handle_datagrams(datagrams(self.now, brought));
        let none = LaneDrops::default();
        self.machine
            .finish_inbound(none, self.now, &mut self.effects);
        self.settle();
        self.events()
    }

    fn receive_video(&mut self, sequences: impl IntoIterator<Item = u16>) -> Vec<Event> {
        let packets = sequences
            .into_iter()
            .map(|sequence| self.remote.rtp(&video(sequence)));
        let packets = packets.collect();
        self.receive(packets)
    }

    /// Takes the events and leaves the timers.
    fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        self.effects.retain_mut(|effect| match effect {
            Effect::Tell(event) => {
                events.push(mem::replace(event, Event::NegotiationNeeded));
                false
            }
            Effect::Arm(..) | Effect::Send(_) | Effect::NoteSilentSource(_) => true,
        });
        // The clones of tests hold no credit; the machine's own do.
        events
    }

    fn armed(&mut self, wanted: RtpTransportTimer) -> Option<Instant> {
        let position = self
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Arm(timer, _) if *timer == wanted))?;
        match self.effects.remove(position) {
            Effect::Arm(_, at) => Some(at),
            Effect::Tell(_) | Effect::Send(_) | Effect::NoteSilentSource(_) => None,
        }
    }

    fn send(&mut self, sequence: u16) {
        self.send_batch(self.session.local, made(sequence).into());
    }

    /// Lets the timer go off when it is due.
    fn fire(&mut self, timer: RtpTransportTimer) {
        self.now = self.armed(timer).expect("the timer is armed");
        self.machine
            .handle_timer(timer, self.now, NTP, &mut self.effects);
        self.settle();
    }

    /// Takes the datagrams out of the outbox.
    fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        for (bytes, segment, _) in self.outbox.runs() {
            sent.extend(
                bytes
                    .chunks(segment.unwrap_or(bytes.len()))
                    .map(<[u8]>::to_vec),
            );
        }
        self.outbox.clear();
        sent
    }

    fn sent_rtp(&mut self) -> Vec<RtpPacket> {
        let sent = self.sent();
        sent.iter().map(|it| self.remote.read_rtp(it)).collect()
    }

    fn sent_rtcp(&mut self) -> Vec<Vec<RtcpPacket>> {
        let sent = self.sent();
        sent.iter().map(|it| self.remote.read_rtcp(it)).collect()
    }
}

fn batches(events: &[Event]) -> Vec<(TrackId, Option<&str>, Vec<u16>)> {
    events
        .iter()
        .map(|event| match event {
            Event::Rtp {
                track_id,
                rid,
                packets,
            } => (
                *track_id,
                rid.as_ref().map(Rid::as_str),
                packets.iter().map(|it| it.sequence_number().0).collect(),
            ),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn before_there_are_keys_nothing_comes_in_and_nothing_goes_out() {
    let mut bench = Bench::new(session());
    bench.apply();
    assert!(bench.receive_video([1]).is_empty());
    bench.send(1);
    bench.send_pli(None);
    assert!(bench.outbox.is_empty());
    let stats = bench.stats();
    assert_eq!((stats.received_without_keys, stats.not_connected), (1, 1));
}

#[test]
fn what_one_drain_brings_of_one_stream_is_one_batch() {
    let mut bench = Bench::connected(session());
    let events = bench.receive_video([5, 6, 7]);
    let expected = (bench.session.remote, None, vec![5, 6, 7]);
    assert_eq!(batches(&events), [expected]);
    let Event::Rtp { packets, .. } = &events[0] else {
        panic!()
    };
    assert_eq!(packets.received_at(), Some(bench.now));
    assert_eq!(packets.codec().unwrap().name, "VP8");
}

#[test]
fn c032_encodings_are_batches_of_their_own() {
    let mut session = session();
    session.receive().rids = vec!["h".into(), "l".into()];
    let mut bench = Bench::connected(session);
    let mut packet = |sequence, ssrc, rid| {
        let bytes = rtp_bytes(VIDEO, sequence, Ssrc(ssrc), &[(4, "v"), (10, rid)], &[1]);
        bench.remote.rtp(&bytes)
    };
    let brought = vec![
        packet(1, 1, "h"),
        packet(10, 2, "l"),
        packet(2, 1, "h"),
        packet(11, 2, "l"),
    ];
    let events = bench.receive(brought);
    let track = bench.session.remote;
    assert_eq!(
        batches(&events),
        [
            (track, Some("h"), vec![1, 2]),
            (track, Some("l"), vec![10, 11])
        ]
    );
}

#[test]
fn a_retransmission_reaches_the_owner_as_the_packet_it_repeats() {
    let mut bench = Bench::connected(session());
    bench.receive_video([1, 3]);
    let rtx = rtp_bytes(RTX, 900, Ssrc(77), &[(4, "v")], &[0, 2, 9, 9]);
    let probe = rtp_bytes(RTX, 901, Ssrc(77), &[(4, "v")], &[]);
    let brought = vec![bench.remote.rtp(&rtx), bench.remote.rtp(&probe)];
    let events = bench.receive(brought);
    let Event::Rtp { packets, .. } = &events[0] else {
        panic!()
    };
    assert_eq!(packets[0].sequence_number(), SequenceNumber(2));
    assert_eq!(packets[0].ssrc(), THEIR_SSRC);
    assert_eq!(packets[0].payload_type().get(), VIDEO);
    assert_eq!(packets[0].payload(), [9, 9]);
    let stats = bench.stats();
    assert_eq!((stats.repaired, stats.probes), (1, 1));
}

#[test]
fn c007_what_is_sent_carries_the_negotiated_numbers() {
    let mut bench = Bench::connected(session());
    bench.send(40);
    let sent = bench.sent_rtp();
    assert_eq!(sent[0].ssrc(), OUR_SSRC);
    assert_eq!(sent[0].payload_type().get(), VIDEO);
    assert_eq!(sent[0].extension(4), Some(&b"v"[..]));
    assert_eq!(sent[0].sequence_number(), SequenceNumber(40));
    assert_eq!(sent[0].payload(), b"picture");
}

#[test]
fn c007_an_unknown_track_is_sent_nowhere() {
    let mut bench = Bench::connected(session());
    bench.send_batch(bench.session.remote, made(1).into());
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.stats().not_negotiated, 1);
}

#[test]
fn the_slab_of_the_way_out_is_used_again() {
    let mut bench = Bench::connected(session());
    for sequence in 1..=100 {
        bench.send(sequence);
    }
    let before = bench.outbox.runs().next().map(|(bytes, ..)| bytes.as_ptr());
    let length = bench.sent().len();
    assert_eq!(length, 100);
    for sequence in 101..=200 {
        bench.send(sequence);
    }
    let after = bench.outbox.runs().next().map(|(bytes, ..)| bytes.as_ptr());
    assert_eq!(before, after, "the slab is the same");
}

#[test]
fn what_was_received_can_be_sent_back() {
    let mut bench = Bench::connected(session());
    let events = bench.receive_video([65_535, 0]);
    let Event::Rtp { packets, .. } = &events[0] else {
        panic!()
    };
    bench.send_batch(bench.session.local, packets.clone());
    assert_eq!(bench.outbox.runs().count(), 1, "equal sizes go together");
    let sent = bench.sent_rtp();
    let numbers: Vec<_> = sent.iter().map(|it| it.sequence_number().0).collect();
    assert_eq!(numbers, [65_535, 0]);
    assert_eq!(sent[0].payload(), [7; 100]);
}

#[test]
fn c030_a_picture_loss_indication_names_the_track_of_the_sender() {
    let mut bench = Bench::connected(session());
    let pli = RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: THEIR_SSRC,
        media_ssrc: OUR_SSRC,
    });
    let nack = RtcpPacket::Nack(Nack {
        sender_ssrc: THEIR_SSRC,
        media_ssrc: OUR_SSRC,
        lost: vec![SequenceNumber(101)],
    });
    let report = RtcpPacket::ReceiverReport(ReceiverReport {
        ssrc: THEIR_SSRC,
        reports: Vec::new(),
    });
    let brought = vec![
        bench.remote.rtcp(&[report.clone(), pli.clone()]),
        bench.remote.rtcp(&[report.clone(), nack.clone()]),
    ];
    let events = bench.receive(brought);
    let heard: Vec<_> = events
        .into_iter()
        .map(|event| match event {
            Event::Rtcp {
                track_id, packets, ..
            } => (track_id, packets),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        heard,
        [
            (None, vec![report.clone(), report]),
            (Some(bench.session.local), vec![pli, nack])
        ]
    );
}

#[test]
fn c108_a_request_for_a_keyframe_is_compound_and_has_real_ssrcs() {
    let mut bench = Bench::connected(session());
    bench.receive_video([1]);
    bench.send_pli(None);
    let expected_pli = RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: OUR_SSRC,
        media_ssrc: THEIR_SSRC,
    });
    let expected_report = RtcpPacket::ReceiverReport(ReceiverReport {
        ssrc: OUR_SSRC,
        reports: Vec::new(),
    });
    let name = RtcpPacket::SourceDescription(vec![RtcpPacket::canonical_name(OUR_SSRC, "us")]);
    assert_eq!(
        bench.sent_rtcp(),
        [[expected_report, name, expected_pli.clone()]]
    );

    bench.session.plan.sections[0].reduced_size_rtcp = true;
    bench.apply();
    bench.send_pli(None);
    assert_eq!(bench.sent_rtcp(), [[expected_pli]]);
}

#[test]
fn c110_a_keyframe_is_asked_for_until_one_comes() {
    let mut bench = Bench::connected(session());
    bench.receive_video([1]);
    let asked_at = bench.now;
    bench.request_keyframe(None);
    bench.armed(RtpTransportTimer::KeyframeRequest);
    bench.request_keyframe(None);
    assert_eq!(bench.sent_rtcp().len(), 1);
    bench.receive_video([2]);
    bench.fire(RtpTransportTimer::KeyframeRequest);
    assert_eq!(bench.now, asked_at + Duration::from_millis(500));
    assert_eq!(bench.sent_rtcp().len(), 1);

    let key = rtp_bytes(VIDEO, 3, THEIR_SSRC, &[(4, "v")], &[0x10, 0]);
    let key = bench.remote.rtp(&key);
    bench.receive(vec![key]);
    bench.fire(RtpTransportTimer::KeyframeRequest);
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.armed(RtpTransportTimer::KeyframeRequest), None);
}

/// The feedback that both sides want for the remote video.
fn with_feedback(feedback: Vec<RtcpFeedback>) -> Session {
    let mut session = session();
    let codec = &mut session.receive().codecs[0].codec;
    *codec = Arc::new(RtpCodec {
        feedback,
        ..RtpCodec::clone(codec)
    });
    session
}

#[test]
fn c110_where_only_fir_was_negotiated_it_is_sent_and_repeated_under_its_number() {
    let mut bench = Bench::connected(with_feedback(vec![RtcpFeedback::Fir]));
    bench.receive_video([1]);
    let fir = |number| {
        RtcpPacket::FullIntraRequest(FullIntraRequest {
            sender_ssrc: OUR_SSRC,
            requests: vec![(THEIR_SSRC, number)],
        })
    };
    bench.request_keyframe(None);
    assert_eq!(bench.sent_rtcp()[0][2], fir(0));
    bench.fire(RtpTransportTimer::KeyframeRequest);
    assert_eq!(bench.sent_rtcp()[0][2], fir(0), "a repetition");
    let key = rtp_bytes(VIDEO, 3, THEIR_SSRC, &[(4, "v")], &[0x10, 0]);
    let key = bench.remote.rtp(&key);
    bench.receive(vec![key]);
    bench.now += Duration::from_secs(1);
    bench.request_keyframe(None);
    assert_eq!(bench.sent_rtcp()[0][2], fir(1), "a request of its own");
    bench.send_pli(None);
    assert_eq!(bench.sent_rtcp()[0][2], fir(2));
}

#[test]
fn c110_where_neither_was_negotiated_nothing_is_sent() {
    let mut bench = Bench::connected(with_feedback(vec![RtcpFeedback::Nack]));
    bench.receive_video([1]);
    bench.request_keyframe(None);
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.stats().keyframe_requests_impossible, 1);
}

#[test]
fn c110_a_source_that_sends_no_keyframe_is_told_of_and_counted() {
    let mut bench = Bench::connected(session());
    bench.receive_video([1]);
    bench.request_keyframe(None);
    while bench.machine.stats().keyframes_given_up == 0 {
        bench.fire(RtpTransportTimer::KeyframeRequest);
    }
    let camera = bench.session.remote;
    let silent = |effect: &&Effect| matches!(effect, Effect::NoteSilentSource(asked) if asked.track == camera);
    assert_eq!(bench.effects.iter().filter(silent).count(), 1);
    assert_eq!(bench.machine.stats().keyframe_requests_sent, 32);
}

#[test]
fn of_sound_no_keyframe_is_asked_for() {
    let mut session = session();
    session.receive().codecs[0].codec = Arc::new(RtpCodec::opus());
    let mut bench = Bench::connected(session);
    bench.receive_video([1]);
    bench.request_keyframe(None);
    assert!(bench.outbox.is_empty());
}

#[test]
fn c030_c110_a_wish_for_a_keyframe_goes_to_whoever_feeds_the_track() {
    let mut bench = Bench::connected(session());
    let pli = RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: THEIR_SSRC,
        media_ssrc: OUR_SSRC,
    });
    let fir = RtcpPacket::FullIntraRequest(FullIntraRequest {
        sender_ssrc: THEIR_SSRC,
        requests: vec![(OUR_SSRC, 1)],
    });
    let of_another = RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: THEIR_SSRC,
        media_ssrc: Ssrc(99),
    });
    // One request speaks of several tracks.
    let of_two = RtcpPacket::FullIntraRequest(FullIntraRequest {
        sender_ssrc: THEIR_SSRC,
        requests: vec![(Ssrc(99), 1), (OUR_SSRC, 2)],
    });
    for (packets, wishes) in [
        (vec![pli.clone(), pli], 1),
        (vec![fir.clone()], 1),
        (vec![fir.clone(), fir], 0),
        (vec![of_two], 1),
        (vec![of_another], 0),
    ] {
        let brought = vec![bench.remote.rtcp(&packets)];
        assert_eq!(bench.receive(brought).len(), 1);
        assert_eq!(mem::take(&mut bench.wishes).len(), wishes);
    }
}

#[test]
fn a_keyframe_of_an_unheard_track_cannot_be_asked_for() {
    let mut bench = Bench::connected(session());
    bench.send_pli(None);
    assert!(bench.outbox.is_empty());
    assert_eq!(bench.stats().feedback_without_stream, 1);
}

#[test]
fn c066_c108_reports_are_compound_and_end_in_silence() {
    let mut bench = Bench::connected(session());
    bench.send(1);
    let sender_report = RtcpPacket::SenderReport(SenderReport {
        ssrc: THEIR_SSRC,
        ntp: NTP,
        rtp_timestamp: RtpTimestamp(5),
        packet_count: 1,
        octet_count: 100,
        reports: Vec::new(),
    });
    let brought = vec![
        bench.remote.rtp(&video(10)),
        bench.remote.rtp(&video(12)),
        bench.remote.rtcp(&[sender_report]),
    ];
    bench.receive(brought);
    bench.sent();
    let started = bench.now;

    bench.fire(RtpTransportTimer::Report);

    let waited = bench.now - started;
    assert!((0.25..=0.75).contains(&waited.as_secs_f64()), "{waited:?}");
    let sent = bench.sent_rtcp();
    let [
        RtcpPacket::SenderReport(report),
        RtcpPacket::SourceDescription(names),
    ] = &sent[0][..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!((report.ssrc, report.ntp), (OUR_SSRC, NTP));
    assert_eq!((report.packet_count, report.octet_count), (1, 7));
    let [block] = &report.reports[..] else {
        panic!("{report:?}");
    };
    assert_eq!(block.ssrc, THEIR_SSRC);
    assert_eq!((block.fraction_lost, block.cumulative_lost), (85, 1));
    assert_eq!(block.last_sender_report, 0x2222_3333);
    assert_eq!(names[..], [RtcpPacket::canonical_name(OUR_SSRC, "us")]);

    // Still a sender for one more interval, without blocks: nothing was heard since.
    bench.fire(RtpTransportTimer::Report);
    let sent = bench.sent_rtcp();
    assert!(
        matches!(&sent[0][0], RtcpPacket::SenderReport(report) if report.reports.is_empty()),
        "{sent:?}"
    );
    // Then the sending half says that it has nothing more, and the next time is the last.
    for _ in 0..2 {
        bench.fire(RtpTransportTimer::Report);
        assert!(bench.sent().is_empty());
    }
    assert_eq!(bench.armed(RtpTransportTimer::Report), None);

    bench.send(2);
    assert!(bench.armed(RtpTransportTimer::Report).is_some());
}

#[test]
fn who_only_receives_reports_under_an_ssrc_of_its_own() {
    let mut session = session();
    session.plan.sections[0].send = None;
    let mut bench = Bench::connected(session);
    bench.receive_video([1]);
    bench.fire(RtpTransportTimer::Report);
    let sent = bench.sent_rtcp();
    let [
        RtcpPacket::ReceiverReport(report),
        RtcpPacket::SourceDescription(names),
    ] = &sent[0][..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!(report.reports.len(), 1);
    assert_ne!(report.ssrc, Ssrc(0));
    assert_eq!(names[0].ssrc, report.ssrc);
    assert_eq!(names[0].items[0].1.len(), 32);
}

#[test]
fn reports_on_many_streams_are_spread_over_datagrams_that_fit() {
    let mut bench = Bench::connected(session());
    let mut brought = Vec::new();
    for ssrc in 1..=100 {
        let bytes = rtp_bytes(VIDEO, 1, Ssrc(ssrc), &[(4, "v")], &[1]);
        brought.push(bench.remote.rtp(&bytes));
    }
    bench.receive(brought);
    bench.fire(RtpTransportTimer::Report);
    let sent = bench.sent();
    assert!(sent.iter().all(|it| it.len() <= 1200));
    let mut reported = 0;
    for datagram in &sent {
        let packets = bench.remote.read_rtcp(datagram);
        let named = packets
            .iter()
            .any(|it| matches!(it, RtcpPacket::SourceDescription(names) if !names.is_empty()));
        assert!(named, "{packets:?}");
        for packet in packets {
            if let RtcpPacket::ReceiverReport(report) = packet {
                reported += report.reports.len();
            }
        }
    }
    assert_eq!(reported, 100);
}

#[test]
fn c108_who_leaves_says_goodbye() {
    let mut bench = Bench::connected(session());
    bench.sending.goodbye(&mut bench.outbox);
    assert!(
        bench.sent().is_empty(),
        "nobody knows a sender that never sent"
    );

    bench.apply();
    bench.send(1);
    bench.sent();
    bench.sending.goodbye(&mut bench.outbox);
    let sent = bench.sent_rtcp();
    let expected = RtcpPacket::Goodbye(Goodbye {
        ssrcs: vec![OUR_SSRC],
        reason: bytes::Bytes::new(),
    });
    assert_eq!(sent[0].last(), Some(&expected));
    assert!(matches!(sent[0][0], RtcpPacket::ReceiverReport(_)));
}

#[test]
fn a_sender_that_a_new_plan_removes_says_goodbye() {
    let mut bench = Bench::connected(session());
    bench.send(1);
    bench.sent();
    bench.session.plan.sections[0].send = None;
    bench.apply();
    let sent = bench.sent_rtcp();
    assert!(matches!(sent[0].last(), Some(RtcpPacket::Goodbye(_))));
}

#[test]
fn so_many_streams_are_known_and_four_times_as_many_are_taken() {
    let mut bench = Bench::connected(session());
    for (up_to, forgotten, refused) in [(256, 0, 0), (257, 1, 0), (1024, 768, 0), (1025, 768, 1)] {
        let known = bench.stats().rtp_received + bench.stats().ssrcs_refused;
        let packets = (u32::try_from(known).unwrap()..up_to).map(|number| {
            let packet = rtp_bytes(VIDEO, 1, Ssrc(number + 1), &[(4, "v")], &[7; 100]);
            bench.remote.rtp(&packet)
        });
        let packets = packets.collect();
        bench.receive(packets);
        let stats = bench.stats();
        let counted = (stats.streams_forgotten, stats.ssrcs_refused);
        assert_eq!(counted, (forgotten, refused), "{up_to}");
        assert_eq!(stats.unprotect_failed, 0);
    }
}

#[test]
fn c116_a_slow_owner_loses_the_oldest_and_is_told_how_much() {
    let mut bench = Bench::connected(session());
    // Ten packets may be in the mailbox, ten more may wait.
    let mut mailbox = Vec::new();
    for sequence in 1..=30 {
        mailbox.extend(bench.receive_video([sequence]));
    }
    let told: Vec<_> = mailbox
        .iter()
        .filter_map(|event| match event {
            Event::RtpDropped { packets, bytes } => Some((*packets, *bytes)),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 1, "at most once a second");
    assert_eq!(told[0].0, 1);

    bench.fire(RtpTransportTimer::DropNotice);
    let events = bench.events();
    assert!(
        matches!(events[..], [Event::RtpDropped { packets: 9, .. }]),
        "{events:?}"
    );
    bench.fire(RtpTransportTimer::DropNotice);
    assert!(bench.events().is_empty());
    assert_eq!(bench.armed(RtpTransportTimer::DropNotice), None);

    // The owner catches up: the newest ten come, in their order.
    assert_eq!(bench.bells.load(Ordering::SeqCst), 0);
    mailbox.clear();
    assert_eq!(bench.bells.load(Ordering::SeqCst), 1);
    bench
        .machine
        .handle_credit_returned(bench.now, &mut bench.effects);
    let events = bench.events();
    let numbers: Vec<_> = batches(&events).into_iter().flat_map(|it| it.2).collect();
    assert_eq!(numbers, (21..=30).collect::<Vec<_>>());
    let stats = bench.stats();
    assert_eq!((stats.delivered, stats.owner_overflow), (20, 10));
}

#[test]
fn an_owner_that_keeps_up_gets_all_of_a_pile_however_large() {
    let mut bench = Bench::connected(session());
    // More at once than may be in the mailbox, and more than may wait.
    let events = bench.receive_video(1..=250);
    assert_eq!(batches(&events)[0].2.len(), 250);
    drop(events);
    let events = bench.receive_video(251..=251);
    assert_eq!(batches(&events)[0].2, [251]);
    assert_eq!(bench.stats().owner_overflow, 0);
}

#[test]
fn of_a_pile_that_is_too_large_for_the_owner_the_newest_part_is_kept() {
    let mut bench = Bench::connected(session());
    let first = bench.receive_video([1]);
    assert_eq!(first.len(), 1);
    // One packet is in the mailbox still; ten more may wait, a part of 256 may not.
    let events = bench.receive_video(2..=260);
    assert!(
        matches!(events[..], [Event::RtpDropped { packets: 256, .. }]),
        "{events:?}"
    );
    drop(first);
    bench
        .machine
        .handle_credit_returned(bench.now, &mut bench.effects);
    let events = bench.events();
    assert_eq!(batches(&events)[0].2, [258, 259, 260]);
}

#[test]
fn c116_a_slow_owner_still_hears_feedback() {
    let mut bench = Bench::connected(session());
    let _mailbox: Vec<_> = (1..=30).map(|it| bench.receive_video([it])).collect();
    let pli = RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: THEIR_SSRC,
        media_ssrc: OUR_SSRC,
    });
    let brought = vec![bench.remote.rtcp(&[pli])];
    let events = bench.receive(brought);
    assert!(matches!(events[..], [Event::Rtcp { .. }]), "{events:?}");
}

#[test]
fn an_owner_that_sends_batches_on_or_keeps_clones_is_not_behind() {
    let mut bench = Bench::connected(session());
    let mut kept = Vec::new();
    for sequence in 1..=100 {
        for event in bench.receive_video([sequence]) {
            match event {
                Event::Rtp { packets, .. } => kept.push(packets.without_credit()),
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(kept.iter().map(|it| it.len()).sum::<usize>(), 100);
    let _clones: Vec<RtpBatch> = kept.clone();
}

#[test]
fn what_the_inbound_lane_lost_is_announced_too() {
    let mut bench = Bench::connected(session());
    let lost = LaneDrops {
        packets: 3,
        bytes: 300,
    };
    bench
        .machine
        .finish_inbound(lost, bench.now, &mut bench.effects);
    let events = bench.events();
    assert!(
        matches!(
            events[..],
            [Event::RtpDropped {
                packets: 3,
                bytes: 300
            }]
        ),
        "{events:?}"
    );
}

#[test]
fn a_flood_of_feedback_is_cut_to_a_rate() {
    let mut bench = Bench::connected(session());
    let nack = RtcpPacket::Nack(Nack {
        sender_ssrc: THEIR_SSRC,
        media_ssrc: OUR_SSRC,
        lost: (0..300).map(|step| SequenceNumber(step * 17)).collect(),
    });
    let mut heard = 0;
    for _ in 0..1000 {
        let brought = vec![bench.remote.rtcp(std::slice::from_ref(&nack))];
        heard += bench.receive(brought).len();
    }
    assert!((50..=150).contains(&heard), "{heard}");
    assert_eq!(bench.stats().feedback_overflow, 1000 - heard as u64);
    bench.now += Duration::from_secs(10);
    let brought = vec![bench.remote.rtcp(&[nack])];
    assert_eq!(bench.receive(brought).len(), 1);
}

#[test]
fn c113_a_packet_with_a_changed_byte_or_a_cut_never_reaches_the_owner() {
    let mut bench = Bench::connected(session());
    let whole = bench.remote.rtp(&video(1));
    let report = RtcpPacket::ReceiverReport(ReceiverReport {
        ssrc: THEIR_SSRC,
        reports: Vec::new(),
    });
    let control = bench.remote.rtcp(&[report]);
    for whole in [&whole, &control] {
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x55;
            assert!(bench.receive(vec![changed]).is_empty(), "byte {at} changed");
            let cut = bytes::BytesMut::from(&whole[..at]);
            assert!(bench.receive(vec![cut]).is_empty(), "cut to {at}");
        }
    }
    assert_eq!(bench.receive(vec![whole]).len(), 1);
    assert_eq!(bench.receive(vec![control]).len(), 1);
}

#[test]
fn rtcp_of_the_application_goes_behind_a_report_unless_it_has_one() {
    let mut bench = Bench::connected(session());
    let encoded = |packet: &RtcpPacket, begins_with_report| {
        let mut bytes = Vec::new();
        packet.write(&mut bytes).unwrap();
        EncodedRtcp {
            bytes,
            begins_with_report,
        }
    };
    let pli = RtcpPacket::PictureLossIndication(PictureLossIndication {
        sender_ssrc: OUR_SSRC,
        media_ssrc: THEIR_SSRC,
    });
    bench.send_rtcp(encoded(&pli, false));
    let sent = bench.sent_rtcp();
    assert!(matches!(sent[0][0], RtcpPacket::ReceiverReport(_)));
    assert_eq!(sent[0].last(), Some(&pli));

    let report = RtcpPacket::ReceiverReport(ReceiverReport {
        ssrc: OUR_SSRC,
        reports: Vec::new(),
    });
    bench.send_rtcp(encoded(&report, true));
    assert_eq!(bench.sent_rtcp(), [[report]]);
}

/// The session with transport-wide numbers under identifier 5.
fn numbered_session() -> Session {
    let mut session = session();
    let receive = session.receive();
    let number = (5, HeaderExtension::TransportWideCc);
    receive.extensions.entries.push(number);
    let codec = Arc::make_mut(&mut receive.codecs[0].codec);
    codec.feedback.push(RtcpFeedback::TransportCc);
    session
}

/// A video packet with a number below 128.
fn numbered(sequence: u16) -> Vec<u8> {
    let number = [0, sequence as u8];
    let number = str::from_utf8(&number).unwrap();
    let elements = [(4, "v"), (5, number)];
    rtp_bytes(VIDEO, sequence, THEIR_SSRC, &elements, &[7; 100])
}

fn receive_numbered(bench: &mut Bench, sequences: impl IntoIterator<Item = u16>) {
    let packets = sequences
        .into_iter()
        .map(|it| bench.remote.rtp(&numbered(it)))
        .collect();
    bench.receive(packets);
}

#[test]
fn c067_arrivals_are_reported_while_packets_come_and_not_when_idle() {
    let mut bench = Bench::connected(numbered_session());
    receive_numbered(&mut bench, [1, 2, 4]);
    let begun = bench.now;
    // One timer, however many packets come before it.
    bench.now += Duration::from_millis(20);
    receive_numbered(&mut bench, [5]);
    assert!(bench.sent_rtcp().is_empty());
    bench.fire(RtpTransportTimer::ArrivalFeedback);
    assert_eq!(bench.now, begun + Duration::from_millis(100));
    let sent = bench.sent_rtcp();
    let [compound] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert!(matches!(compound[0], RtcpPacket::ReceiverReport(_)));
    assert!(matches!(compound[1], RtcpPacket::SourceDescription(_)));
    let RtcpPacket::TransportCc(feedback) = &compound[2] else {
        panic!("{compound:?}");
    };
    assert_eq!(feedback.sender_ssrc, OUR_SSRC);
    assert_eq!(feedback.media_ssrc, THEIR_SSRC);
    assert_eq!(feedback.body[..8], [0, 1, 0, 5, 0, 0, 0, 0]);
    // Nothing came since: no timer until something does.
    assert_eq!(bench.armed(RtpTransportTimer::ArrivalFeedback), None);
    receive_numbered(&mut bench, [6]);
    assert!(bench.armed(RtpTransportTimer::ArrivalFeedback).is_some());
}

#[test]
fn c067_many_arrivals_are_reported_at_once_and_alone_where_that_was_negotiated() {
    let mut session = numbered_session();
    session.plan.sections[0].reduced_size_rtcp = true;
    let mut bench = Bench::connected(session);
    receive_numbered(&mut bench, 0..100);
    let sent = bench.sent_rtcp();
    assert!(
        matches!(&sent[..], [only] if matches!(only[..], [RtcpPacket::TransportCc(_)])),
        "{sent:?}"
    );
    assert_eq!(bench.armed(RtpTransportTimer::ArrivalFeedback), None);
}

#[test]
fn c067_a_number_counts_though_the_packet_has_no_place_and_only_if_negotiated() {
    let mut bench = Bench::connected(numbered_session());
    let stray = rtp_bytes(50, 1, Ssrc(77), &[(5, "\0\u{1}")], &[]);
    let stray = bench.remote.rtp(&stray);
    bench.receive(vec![stray]);
    assert_eq!(bench.stats().unrouted, 1);
    assert!(bench.armed(RtpTransportTimer::ArrivalFeedback).is_some());

    let mut session = numbered_session();
    Arc::make_mut(&mut session.receive().codecs[0].codec)
        .feedback
        .clear();
    let mut bench = Bench::connected(session);
    receive_numbered(&mut bench, [1]);
    assert_eq!(bench.armed(RtpTransportTimer::ArrivalFeedback), None);
}
