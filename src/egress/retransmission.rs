//! Answers to requests for lost packets (RFC 4585 §6.2.1).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::machine::{Sender, SendingHalf};
use super::outbox::Outbox;
use super::way_out::{Placed, WayOut};
use crate::rtp::{Numbers, Refused, Rewrite, RtpPacket, SequenceNumber, Ssrc, Why};

/// What the remote side asks for. Its length is the asker's business: it is to be bounded before.
#[derive(Debug)]
pub(crate) struct RetransmissionRequest {
    pub(crate) ssrc: Ssrc,
    pub(crate) lost: Vec<SequenceNumber>,
    /// Within it nothing is sent twice.
    pub(crate) round_trip: Duration,
}

impl SendingHalf {
    /// Sends packets again that are kept, as far as limits allow; counts the others.
    pub(crate) fn retransmit(
        &mut self,
        request: &RetransmissionRequest,
        now: Instant,
        outbox: &mut Outbox,
    ) {
        let counters = Arc::clone(&self.counters);
        let asked = request.lost.len();
        let senders = &self.senders;
        let named = |it: &Sender| it.stream.ssrc() == request.ssrc;
        let Some(index) = senders.iter().position(named) else {
            counters.retransmission_unknown.add(asked);
            return;
        };
        let Some((senders, mut way)) = self.way_out(outbox) else {
            counters.not_connected.add(asked);
            return;
        };
        let sender = &mut senders[index];
        for sequence in &request.lost {
            match sender.stream.repeat(*sequence, request.round_trip, now) {
                Ok(repeat) => {
                    if let Some(repeat) = way.admits_repeat(request.ssrc, repeat, now) {
                        sender.repeat(&repeat, now, &mut way);
                        sender.send_second(repeat.original(), Why::Missed, now, &mut way);
                    }
                }
                Err(refused) => {
                    match refused {
                        Refused::NeverSent => &counters.retransmission_unknown,
                        Refused::NotKept => &counters.retransmission_missed,
                        Refused::TooMuch => &counters.retransmission_suppressed,
                    }
                    .add(1);
                }
            }
        }
    }
}

impl Sender {
    /// Sends a packet that was lost on its way to us, and is late, in the format for retransmissions; says whether there is one. In its
    /// own stream a receiver would take it for one that was overtaken, and would wait longer before it asks for others.
    pub(super) fn pass_on(
        &mut self,
        placed: &Placed<'_>,
        now: Instant,
        way: &mut WayOut<'_>,
    ) -> bool {
        let Placed {
            batch,
            index,
            rewrite,
            numbers,
            ..
        } = *placed;
        let stream = &mut self.stream;
        let Some(repair) = stream.as_repair(rewrite, &batch[index], numbers) else {
            return false;
        };
        stream.note_late(numbers, now);
        stream.keep(batch, index, rewrite, numbers, now);
        if let Some(repair) = way.admits_repeat(stream.ssrc(), repair, now) {
            self.repeat(&repair, now, way);
            self.send_second(repair.original(), Why::Missed, now, way);
        }
        true
    }

    /// Sends what has just gone out once more, where that is of use and leaves room for others.
    pub(super) fn send_second(
        &mut self,
        (rewrite, packet, numbers): (&Arc<Rewrite>, &RtpPacket, Numbers),
        why: Why,
        now: Instant,
        way: &mut WayOut<'_>,
    ) {
        if self.stream.wants_second(packet, why)
            && way.has_room_for(packet, now)
            && let Some(second) = self.stream.as_repair(rewrite, packet, numbers)
        {
            self.repeat(&second, now, way);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::SendingCounters;
    use super::*;
    use crate::codec::RtpCodec;
    use crate::fixtures::{
        OUR_RTX_SSRC, OUR_SSRC, PLAYOUT, Remote, Session, VIDEO, keys, rtp_bytes,
    };
    use crate::limits::PeerLimits;
    use crate::rtp::{ExtensionMap, PlayoutDelay, RtpBatch, RtpSource};

    const RTT: Duration = Duration::from_millis(60);

    /// A half whose remote side may ask for lost packets.
    struct Bench {
        session: Session,
        half: SendingHalf,
        outbox: Outbox,
        remote: Remote,
        counters: Arc<SendingCounters>,
        now: Instant,
    }

    impl Bench {
        fn new(rtx: bool) -> Self {
            let session = Session::repairable(rtx);
            let counters = Arc::new(SendingCounters::default());
            let mut half = SendingHalf::new(Arc::clone(&counters), &PeerLimits::default());
            let mut outbox = Outbox::default();
            half.install_key(keys().profile, &keys().local).unwrap();
            half.apply(&session.plan, &mut outbox);
            Self {
                session,
                half,
                outbox,
                remote: Remote::new(),
                counters,
                now: Instant::now(),
            }
        }

        /// Routes packets with these numbers, each the beginning of a keyframe.
        fn route(&mut self, numbers: &[u16], repaired: bool) {
            self.route_with(&[0x10, 0, 7, 7], numbers, repaired);
        }

        fn route_with(&mut self, payload: &[u8], numbers: &[u16], repaired: bool) {
            let source = Arc::new(RtpSource {
                codec: Arc::new(RtpCodec::vp8()),
                extensions: ExtensionMap::default(),
            });
            let packets = numbers.iter().map(|number| {
                let bytes = rtp_bytes(VIDEO, *number, Ssrc(77), &[], payload);
                RtpPacket::parse(bytes.into()).unwrap()
            });
            let batch = RtpBatch::received(packets.collect(), source, self.now);
            let batch = batch.with_repaired(repaired);
            let track = self.session.local;
            let outbox = &mut self.outbox;
            self.half
                .send_routed(track.into(), &batch, self.now, outbox, &mut Vec::new());
        }

        fn ask_for(&mut self, number: u16, after: Duration) {
            self.now += after;
            let request = RetransmissionRequest {
                ssrc: OUR_SSRC,
                lost: vec![SequenceNumber(number)],
                round_trip: RTT,
            };
            self.half.retransmit(&request, self.now, &mut self.outbox);
        }

        /// What has left, as it is on the wire.
        fn datagrams(&mut self) -> Vec<Vec<u8>> {
            let mut all = Vec::new();
            for (bytes, segment, _) in self.outbox.runs() {
                let datagrams = bytes.chunks(segment.unwrap_or(bytes.len()));
                all.extend(datagrams.map(<[u8]>::to_vec));
            }
            self.outbox.clear();
            all
        }

        /// How long the packet that has left asks its receiver to wait.
        fn wish(&mut self) -> Option<Duration> {
            let datagrams = self.datagrams();
            let packet = self.remote.read_rtp(&datagrams[0]);
            let mut elements = packet.extensions();
            let (_, value) = elements.find(|(id, _)| *id == PLAYOUT)?;
            PlayoutDelay::parse(value).map(|delay| delay.min)
        }

        /// What has left, by stream: the number of the packet itself, or of the one that it repeats.
        fn left(&mut self) -> Vec<(Ssrc, u16)> {
            let datagrams = self.datagrams();
            let read = datagrams.iter().map(|it| self.remote.read_rtp(it));
            let number = |packet: RtpPacket| match packet.ssrc() {
                OUR_RTX_SSRC => {
                    let original = packet.payload()[..2].try_into().unwrap();
                    (OUR_RTX_SSRC, u16::from_be_bytes(original))
                }
                own => (own, packet.sequence_number().0),
            };
            read.map(number).collect()
        }
    }

    // In its own stream, late, it taught Chromium that the path reorders: that waited for many more packets before it asked
    // for what was really lost, and stood still meanwhile.
    #[test]
    fn c109_what_was_repaired_before_it_came_here_goes_on_as_a_retransmission() {
        let mut bench = Bench::new(true);
        bench.route(&[1, 2, 4], false);
        assert_eq!(bench.left(), [1, 2, 4].map(|number| (OUR_SSRC, number)));
        bench.route(&[3], true);
        assert_eq!(bench.left(), [(OUR_RTX_SSRC, 3)]);
        // And may be asked for as any other.
        bench.ask_for(3, RTT);
        assert_eq!(bench.left(), [(OUR_RTX_SSRC, 3)]);
        assert_eq!(bench.counters.retransmitted.get(), 2);
    }

    #[test]
    fn what_was_repaired_before_anything_overtook_it_goes_on_in_its_stream() {
        let mut bench = Bench::new(true);
        bench.route(&[1, 2], false);
        bench.route(&[3], true);
        assert_eq!(bench.left(), [1, 2, 3].map(|number| (OUR_SSRC, number)));
    }

    #[test]
    fn without_a_format_for_retransmissions_all_goes_on_in_its_stream() {
        let mut bench = Bench::new(false);
        bench.route(&[1, 2, 4], false);
        bench.route(&[3], true);
        assert_eq!(bench.left(), [1, 2, 4, 3].map(|number| (OUR_SSRC, number)));
    }

    #[test]
    fn where_answers_get_lost_they_go_twice_and_so_does_what_was_repaired() {
        let mut bench = Bench::new(true);
        bench.route(&[1, 2, 4], false);
        bench.left();
        bench.ask_for(2, RTT);
        assert_eq!(bench.left().len(), 1);
        bench.ask_for(2, RTT);
        assert_eq!(bench.left(), [(OUR_RTX_SSRC, 2); 2]);
        bench.ask_for(1, RTT);
        assert_eq!(bench.left(), [(OUR_RTX_SSRC, 1); 2]);
        bench.route(&[3], true);
        assert_eq!(bench.left(), [(OUR_RTX_SSRC, 3); 2]);
    }

    // The rest had been thrown away, waiting for a keyframe to begin, and the picture began damaged.
    #[test]
    fn c110_a_keyframe_whose_first_packet_is_repaired_goes_out_whole() {
        let mut bench = Bench::new(true);
        bench.route_with(&[0, 7], &[3, 5, 6], false);
        assert_eq!(bench.left(), []);
        bench.route(&[4], true);
        assert_eq!(bench.left(), [4, 5, 6].map(|number| (OUR_SSRC, number)));
        bench.route_with(&[0, 7], &[7], false);
        assert_eq!(bench.left(), [(OUR_SSRC, 7)]);
    }

    // It showed each picture as soon as nearly all packets came in time, and stood still for those that needed a third attempt.
    #[test]
    fn where_repairs_come_late_the_receiver_is_asked_to_wait_for_them() {
        for (rtx, asked) in [(true, Some(Duration::from_millis(130))), (false, None)] {
            let mut bench = Bench::new(rtx);
            bench.route(&[1, 2, 3, 4], false);
            bench.datagrams();
            for number in [1, 2, 3] {
                bench.ask_for(number, RTT);
            }
            bench.datagrams();
            bench.route(&[5], false);
            assert_eq!(bench.wish(), None, "two may be late");
            bench.ask_for(4, Duration::ZERO);
            bench.ask_for(3, 2 * RTT);
            bench.datagrams();
            bench.route(&[6], false);
            assert_eq!(bench.wish(), asked, "rtx: {rtx}");
        }
    }

    // Other bytes under a number of SRTP's that was used would give away both (RFC 3711 §9.1); a number of the transport
    // that changes would be such bytes.
    #[test]
    fn c109_a_plain_retransmission_is_the_same_to_the_last_byte() {
        let mut bench = Bench::new(false);
        bench.route(&[1, 2], false);
        let first = bench.datagrams();
        bench.ask_for(1, RTT);
        bench.ask_for(2, RTT);
        bench.ask_for(1, RTT);
        let again = bench.datagrams();
        assert!(again.iter().eq([&first[0], &first[1], &first[0]]));
    }
}
