//! What one half does about congestion: hears how packets arrive, sends what had to wait, fills up probes.

use std::time::Instant;

use super::congestion::{ArrivalReport, Delayed, Waiting};
use super::machine::{Sender, SendingHalf};
use super::message::SendingEvent;
use super::outbox::Outbox;
use super::way_out::{Sealing, WayOut};
use crate::rtp::{Repeat, Ssrc};

impl Sender {
    /// Sends a packet once more.
    pub(super) fn repeat(&mut self, repeat: &Repeat, now: Instant, way: &mut WayOut<'_>) {
        let stream = &mut self.stream;
        let counts = stream.counts_for_transport() && !repeat.is_plain();
        let sent = way.append(counts, now, |number, slab| {
            stream.write_repeat(repeat, number, slab);
            if repeat.is_plain() {
                Sealing::Again
            } else {
                Sealing::First
            }
        });
        if let Some(whole) = sent {
            way.counters.retransmitted.add(1);
            stream.count_repeat(repeat, whole, now);
        }
    }

    /// Sends a packet of padding, of about so many bytes. Says how many; `None` where there is no such packet.
    fn pad(&mut self, bytes: usize, now: Instant, way: &mut WayOut<'_>) -> Option<usize> {
        let stream = &mut self.stream;
        if !stream.counts_for_transport() || !stream.can_pad() {
            return None;
        }
        let whole = way.append(true, now, |number, slab| {
            stream.write_padding(bytes, number, slab);
            Sealing::First
        })?;
        stream.count_padding(whole, now);
        way.counters.padding_sent.add(1);
        Some(whole)
    }
}

impl SendingHalf {
    /// The remote side has told how packets arrived.
    pub(crate) fn handle_arrivals(
        &mut self,
        report: &ArrivalReport,
        now: Instant,
        events: &mut Vec<SendingEvent>,
    ) {
        if let Some(congestion) = &mut self.congestion {
            congestion.handle_report(report, now);
            congestion.poll(now, events);
            congestion.count(&self.counters);
        }
    }

    /// So much would be sent if the path took it.
    pub(super) fn set_desired_bitrate(&mut self, bits_per_second: u64) {
        self.desired_bps = bits_per_second;
        if let Some(congestion) = &mut self.congestion {
            congestion.set_desired(bits_per_second);
        }
    }

    /// When [`pace`](Self::pace) is to be called; to be asked again after packets were sent.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        self.congestion.as_ref()?.wakes_at()
    }

    /// Sends what has waited long enough. Says whether pictures were given up, so that a keyframe is wanted.
    pub(crate) fn pace(
        &mut self,
        now: Instant,
        outbox: &mut Outbox,
        events: &mut Vec<SendingEvent>,
    ) -> bool {
        let Some(congestion) = &mut self.congestion else {
            return false;
        };
        congestion.poll(now, events);
        let (mut released, mut dropped) = (Vec::new(), Vec::new());
        let padding = congestion.release(now, &mut released, &mut dropped);
        let mut given_up: Vec<_> = dropped.iter().filter_map(Waiting::picture).collect();
        if let Some((senders, mut way)) = self.way_out(outbox) {
            for Waiting { ssrc, packet } in released {
                // What was renegotiated away meanwhile goes with its stream.
                let Some(sender) = senders.iter_mut().find(|it| it.stream.ssrc() == ssrc) else {
                    continue;
                };
                match packet {
                    Delayed::Media(media) => sender.transmit(&media.placed(), now, &mut way),
                    Delayed::Repeat(repeat) => sender.repeat(&repeat, now, &mut way),
                }
            }
            given_up.append(&mut way.given_up);
        }
        if padding > 0 {
            self.pad(padding, now, outbox);
        }
        if let Some(congestion) = &mut self.congestion {
            congestion.count(&self.counters);
        }
        self.give_up(&given_up)
    }

    /// Sends so many bytes of padding, or what can be sent of it.
    fn pad(&mut self, bytes: usize, now: Instant, outbox: &mut Outbox) {
        let mut padded = 0;
        if let Some((senders, mut way)) = self.way_out(outbox) {
            for sender in senders {
                while padded < bytes
                    && let Some(whole) = sender.pad(bytes - padded, now, &mut way)
                {
                    padded += whole;
                }
            }
        }
        if let Some(congestion) = &mut self.congestion {
            congestion.note_padding(padded);
        }
    }

    /// The senders, and the way out for their packets; `None` without keys.
    pub(super) fn way_out<'a>(
        &'a mut self,
        outbox: &'a mut Outbox,
    ) -> Option<(&'a mut [Sender], WayOut<'a>)> {
        let way = WayOut {
            protector: self.protector.as_mut()?,
            congestion: self.congestion.as_deref_mut(),
            outbox,
            counters: &self.counters,
            given_up: Vec::new(),
        };
        Some((&mut self.senders, way))
    }

    /// Pictures of these streams were not sent. Those of routes go on with a keyframe: says whether there are any.
    pub(super) fn give_up(&mut self, streams: &[Ssrc]) -> bool {
        let mut wants_keyframe = false;
        for ssrc in streams {
            let mut senders = self.senders.iter_mut();
            let Some(sender) = senders.find(|it| it.stream.ssrc() == *ssrc) else {
                continue;
            };
            if sender.source().is_some_and(|it| self.feeds.contains(it)) {
                sender.wants_keyframe = true;
                wants_keyframe = true;
                if let Some(congestion) = &mut self.congestion {
                    congestion.discard(*ssrc);
                }
            }
        }
        wants_keyframe
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::counters::SendingCounters;
    use super::super::message::{Outgoing, StreamId};
    use super::*;
    use crate::codec::RtpCodec;
    use crate::fixtures::{
        NUMBER, OUR_RTX_SSRC, OUR_SSRC, Remote, Session, VIDEO, keys, rtp_bytes,
    };
    use crate::limits::PeerLimits;
    use crate::rtp::{ExtensionMap, RtpBatch, RtpPacket, RtpSource, TransportCc, TwccRecorder};

    /// A half whose remote side tells how packets arrive.
    struct Bench {
        session: Session,
        half: SendingHalf,
        remote: Remote,
        outbox: Outbox,
        events: Vec<SendingEvent>,
        counters: Arc<SendingCounters>,
        now: Instant,
        next: u16,
    }

    impl Bench {
        fn new() -> Self {
            let session = Session::repairable(true);
            let counters = Arc::new(SendingCounters::default());
            let mut half = SendingHalf::new(Arc::clone(&counters), &PeerLimits::default());
            let mut outbox = Outbox::default();
            half.install_key(keys().profile, &keys().local).unwrap();
            half.apply(&session.plan, &mut outbox);
            Self {
                session,
                half,
                remote: Remote::new(),
                outbox,
                events: Vec::new(),
                counters,
                now: Instant::now(),
                next: 0,
            }
        }

        /// So many packets of a picture of 1000 bytes each; whether it stands for itself.
        fn batch(&mut self, count: u16, keyframe: bool) -> RtpBatch {
            let source = Arc::new(RtpSource {
                codec: Arc::new(RtpCodec::vp8()),
                extensions: ExtensionMap::default(),
            });
            let mut payload = vec![0; 1000];
            payload[..2].copy_from_slice(&[0x10, u8::from(!keyframe)]);
            let packets = (0..count).map(|_| {
                self.next += 1;
                let bytes = rtp_bytes(VIDEO, self.next, Ssrc(77), &[], &payload);
                RtpPacket::parse(bytes.into()).unwrap()
            });
            RtpBatch::received(packets.collect(), source, self.now)
        }

        fn route(&mut self, count: u16, keyframe: bool) -> bool {
            let batch = self.batch(count, keyframe);
            let Self {
                half,
                outbox,
                events,
                ..
            } = self;
            half.send_routed(self.session.local.into(), &batch, self.now, outbox, events)
        }

        fn send_by_hand(&mut self, count: u16) {
            let outgoing = Outgoing {
                track: self.session.local.into(),
                batch: self.batch(count, true),
            };
            let Self {
                half,
                outbox,
                events,
                ..
            } = self;
            half.send_by_hand(&outgoing, self.now, outbox, events);
        }

        /// What has left, as the remote side reads it.
        fn left(&mut self) -> Vec<RtpPacket> {
            let mut packets = Vec::new();
            for (bytes, segment, _) in self.outbox.runs() {
                let datagrams = bytes.chunks(segment.unwrap_or(bytes.len()));
                packets.extend(datagrams.map(|datagram| self.remote.read_rtp(datagram)));
            }
            self.outbox.clear();
            packets
        }

        /// Lets the time pass in which something is due.
        fn pass(&mut self, time: Duration) -> bool {
            let end = self.now + time;
            let mut wants_keyframe = false;
            while let Some(at) = self.half.wakes_at().filter(|at| *at <= end) {
                self.now = self.now.max(at);
                wants_keyframe |= self.half.pace(self.now, &mut self.outbox, &mut self.events);
            }
            self.now = end;
            wants_keyframe
        }

        /// Half of all is lost, says the remote side again and again.
        fn narrow(&mut self) {
            for _ in 0..10 {
                let report = ArrivalReport {
                    feedback: Vec::new(),
                    loss: Some((0.5, None)),
                };
                self.half
                    .handle_arrivals(&report, self.now, &mut self.events);
            }
            self.pass(Duration::from_millis(10));
        }

        /// Feedback on packets as if all had arrived when they were sent, but for those that did not.
        fn feedback(&mut self, arrived: &[RtpPacket]) -> Vec<TransportCc> {
            let mut recorder = TwccRecorder::default();
            for packet in arrived {
                recorder.record(transport_number(packet), self.now);
            }
            recorder.take_feedback(Ssrc(1), OUR_SSRC)
        }
    }

    fn transport_number(packet: &RtpPacket) -> u16 {
        let mut elements = packet.extensions();
        let (_, number) = elements.find(|(id, _)| *id == NUMBER).unwrap();
        u16::from_be_bytes(number.try_into().unwrap())
    }

    #[test]
    fn a_burst_leaves_in_lots_under_numbers_without_gaps() {
        let mut bench = Bench::new();
        bench.send_by_hand(100);
        let first = bench.left();
        assert!((20..40).contains(&first.len()), "{}", first.len());
        bench.pass(Duration::from_millis(100));
        let rest = bench.left();
        assert_eq!(first.len() + rest.len(), 100);
        let all = || first.iter().chain(&rest);
        let numbers: Vec<_> = all().map(transport_number).collect();
        assert_eq!(numbers, (0..100).collect::<Vec<_>>());
        let sequences: Vec<_> = all().map(|it| it.sequence_number().0).collect();
        assert_eq!(sequences, (1..=100).collect::<Vec<_>>());
        assert_eq!(bench.counters.paced.get(), rest.len() as u64);
    }

    #[test]
    fn a_routed_picture_that_does_not_get_through_is_given_up_and_goes_on_at_a_keyframe() {
        let mut bench = Bench::new();
        let stream = StreamId::next();
        bench.half.set_feed(bench.session.local.into(), stream);
        assert!(!bench.route(1, true));
        bench.narrow();
        assert!(!bench.route(60, false), "it waits");
        assert!(bench.pass(Duration::from_secs(3)), "that is too long");
        assert!(bench.counters.paced_out.get() > 0);
        bench.left();
        assert!(bench.route(5, false), "rubble");
        bench.pass(Duration::from_secs(3));
        assert_eq!(bench.left().len(), 0);
        assert!(!bench.route(2, true));
        bench.pass(Duration::from_secs(1));
        assert_eq!(bench.left().len(), 2);
    }

    #[test]
    fn feedback_makes_an_estimate_and_probes_are_filled_with_padding() {
        let mut bench = Bench::new();
        bench.send_by_hand(4);
        let arrived = bench.left();
        bench.pass(Duration::from_millis(50));
        let report = ArrivalReport {
            feedback: bench.feedback(&arrived),
            loss: None,
        };
        bench
            .half
            .handle_arrivals(&report, bench.now, &mut bench.events);
        assert_eq!(bench.half.snapshot().estimate_bps, Some(300_000));
        bench.pass(Duration::from_millis(100));
        let padding = bench.left();
        assert!(padding.len() > 5, "{}", padding.len());
        for packet in &padding {
            assert_eq!(packet.ssrc(), OUR_RTX_SSRC);
            assert!(packet.payload().is_empty());
        }
        assert_eq!(bench.counters.padding_sent.get(), padding.len() as u64);
    }

    #[test]
    fn c113_feedback_on_packets_that_were_never_sent_is_counted_and_changes_nothing() {
        let mut bench = Bench::new();
        bench.send_by_hand(1);
        let mut strange = TwccRecorder::default();
        for number in 5_000..5_100 {
            strange.record(number, bench.now);
        }
        let malformed = TransportCc {
            sender_ssrc: Ssrc(1),
            media_ssrc: OUR_SSRC,
            body: vec![1, 2, 3].into(),
        };
        let mut feedback = strange.take_feedback(Ssrc(1), OUR_SSRC);
        feedback.push(malformed);
        let report = ArrivalReport {
            feedback,
            loss: None,
        };
        bench
            .half
            .handle_arrivals(&report, bench.now, &mut bench.events);
        assert_eq!(bench.counters.transport_feedback_unknown.get(), 100);
        assert_eq!(bench.counters.transport_feedback_malformed.get(), 1);
        assert_eq!(bench.half.snapshot().estimate_bps, None);
        bench.left();
        bench.pass(Duration::from_secs(1));
        assert_eq!(bench.left().len(), 0, "nothing is sent for it");
    }
}
