//! RTP: packets as they come out of SRTP, read, placed, counted and sent on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::RtpCodec;
use crate::jsep::{MediaPlan, MediaSection, NegotiatedCodec, ReceivePlan, SendPlan};
use crate::rtp::{
    ExtensionMap, HeaderExtension, Numbers, PayloadType, RtpDemuxer, RtpPacket, RtpStreamSender,
    Ssrc,
};
use crate::track::{MediaKind, MediaStreamTrack};

/// Packets, each behind a byte with its length: of one session, one after the other.
pub(super) fn rtp(data: &[u8]) {
    let mut session = Session::new();
    let mut rest = data;
    while let Some((&length, behind)) = rest.split_first() {
        let (packet, behind) = behind.split_at(usize::from(length).min(behind.len()));
        session.handle(packet);
        rest = behind;
    }
    session.finish();
}

struct Session {
    demuxer: RtpDemuxer,
    sender: RtpStreamSender,
    plan: MediaPlan,
    now: Instant,
    handled: u32,
}

impl Session {
    fn new() -> Self {
        let plan = MediaPlan {
            sections: vec![section("0", &[]), section("1", &["h", "l"])],
        };
        let mut demuxer = RtpDemuxer::new(16);
        demuxer.apply(&plan);
        let send = SendPlan {
            rid: None,
            is_named: false,
            track: None,
            ssrc: Ssrc(7),
            rtx_ssrc: None,
            cname: "fuzz".into(),
            codecs: codecs(),
            extensions: extensions(),
        };
        Self {
            demuxer,
            sender: RtpStreamSender::new(&"0".into(), &send, 1 << 16),
            plan,
            now: Instant::now(),
            handled: 0,
        }
    }

    fn handle(&mut self, bytes: &[u8]) {
        self.now += Duration::from_millis(7);
        self.handled += 1;
        if self.handled.is_multiple_of(16) {
            self.demuxer.apply(&self.plan);
        }
        let Ok(packet) = RtpPacket::parse(Bytes::copy_from_slice(bytes)) else {
            return;
        };
        assert!(packet.payload().len() + 12 <= bytes.len());
        let Ok(route) = self.demuxer.route(&packet) else {
            return;
        };
        route.stream.statistics.handle_packet(
            packet.sequence_number(),
            packet.timestamp(),
            90_000,
            self.now,
        );
        let original = match route.repairs {
            Some((ssrc, payload_type)) => packet.unwrap_retransmission(ssrc, payload_type),
            None => Some(packet),
        };
        let source = Arc::clone(route.source);
        if let Some(packet) = original {
            let rewrite = self.sender.rewrite_for(Some(&source));
            let rewrite = rewrite.expect("both sides negotiated the same codecs");
            let mut slab = vec![0xff; 3];
            self.sender.write_outgoing(
                &rewrite,
                &packet,
                Numbers::of(&packet, None),
                None,
                &mut slab,
            );
            self.sender.count(
                &rewrite,
                &packet,
                Numbers::of(&packet, None),
                self.now,
                || None,
            );
            assert_same(&packet, &slab[3..]);
        }
    }

    /// Reports say nothing impossible.
    fn finish(mut self) {
        for (ssrc, stream) in self.demuxer.streams_mut() {
            let report = stream.statistics.report(self.now);
            assert_eq!(report.map(|it| it.ssrc), Some(ssrc));
        }
        let _report = self.sender.report(self.now, 0, Vec::new());
    }
}

/// What is sent on is what came, under other numbers.
fn assert_same(packet: &RtpPacket, sent: &[u8]) {
    let sent = RtpPacket::parse(Bytes::copy_from_slice(sent)).expect("we write sound packets");
    assert_eq!(sent.sequence_number(), packet.sequence_number());
    assert_eq!(sent.timestamp(), packet.timestamp());
    assert_eq!(sent.marker(), packet.marker());
    assert_eq!(sent.payload(), packet.payload());
    assert!(sent.csrcs().eq(packet.csrcs()));
    assert_eq!(sent.ssrc(), Ssrc(7));
    assert_eq!(sent.extension(1), Some(&b"0"[..]));
    let forwarded = |packet: &RtpPacket| packet.extension(5).map(<[u8]>::to_vec);
    assert_eq!(forwarded(&sent), forwarded(packet));
}

fn section(mid: &str, rids: &[&str]) -> MediaSection {
    MediaSection {
        further: Vec::new(),
        mid: mid.into(),
        kind: MediaKind::Video,
        reduced_size_rtcp: true,
        receiver_round_trip: false,
        send: None,
        receive: Some(ReceivePlan {
            track: MediaStreamTrack::new(MediaKind::Video, []).id(),
            ssrcs: vec![Ssrc(1)],
            rtx_ssrcs: vec![(Ssrc(2), Ssrc(1))],
            rids: rids.iter().map(|rid| (*rid).into()).collect(),
            codecs: codecs(),
            extensions: extensions(),
        }),
    }
}

fn codecs() -> Vec<NegotiatedCodec> {
    let codec = |codec, number, rtx| NegotiatedCodec {
        codec: Arc::new(codec),
        payload_type: PayloadType::new(number).expect("below 128"),
        rtx_payload_type: PayloadType::new(rtx),
    };
    vec![
        codec(RtpCodec::vp8(), 96, 97),
        codec(RtpCodec::h264(1), 98, 99),
    ]
}

fn extensions() -> ExtensionMap {
    ExtensionMap {
        entries: vec![
            (1, HeaderExtension::Mid),
            (2, HeaderExtension::Rid),
            (3, HeaderExtension::RepairedRid),
            (4, HeaderExtension::TransportWideCc),
            (5, HeaderExtension::AudioLevel),
        ],
        mixed: true,
    }
}
