//! Sending simulcast: several encodings of a track to an independent stack, and from server to server.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use ractor_webrtc::jsep::{
    RtpEncodingParameters, RtpTransceiver, RtpTransceiverDirection, RtpTransceiverInit,
};
use ractor_webrtc::peer_connection::{Event, PeerConnection, RouteError, RouteSource, SendError};
use ractor_webrtc::rtp::{Rid, RtcpPacket};
use ractor_webrtc::track::{MediaKind, MediaStreamTrack};
use str0m::format::Codec;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind as Str0mKind, Mid};
use str0m::rtp::rtcp::Rtcp;

use self::common::owner::{Ours, loopback, rtp_packet};
use self::common::session::connect_ours;
use self::common::str0m_peer::{
    IncomingRtp, OfferedMedia, OutgoingRtp, Str0mEvent, Str0mOptions, Str0mPeer,
};
use self::common::{PATIENCE, eventually};

/// The application makes these; each encoding has numbers of its own.
fn payload(rid: &str, index: u8) -> Vec<u8> {
    let mut payload = vec![0x10, 0, index];
    payload.extend_from_slice(rid.as_bytes());
    payload
}

/// Adds a track that is sent in three encodings.
async fn add(peer: &PeerConnection) -> (MediaStreamTrack, RtpTransceiver) {
    let track = MediaStreamTrack::new(MediaKind::Video, []);
    let init = RtpTransceiverInit {
        direction: RtpTransceiverDirection::SendOnly,
        send_encodings: RIDS.map(RtpEncodingParameters::with_rid).to_vec(),
        ..RtpTransceiverInit::default()
    };
    let transceiver = peer.add_transceiver(&track, init).await.unwrap();
    (track, transceiver)
}

/// A peer of ours that sends three encodings to str0m, which has read a changed offer.
struct Publisher {
    ours: Ours,
    theirs: Str0mPeer,
    track: MediaStreamTrack,
    mid: Mid,
    payload_type: u8,
}

impl Publisher {
    async fn connect(change: impl Fn(&str) -> Option<String>) -> Self {
        let mut ours = Ours::spawn(loopback()).await;
        let (track, transceiver) = add(&ours.peer).await;
        let mut theirs = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
        let offer = ours.offer().await;
        let offer = offer.lines().filter_map(change);
        let offer = offer.map(|line| line + "\r\n").collect::<String>();
        let answer = theirs.accept_offer(&offer).await.unwrap();
        ours.accept_answer(&answer).await;
        ours.expect_connected().await;
        theirs.expect_connected().await;
        let transceivers = ours.peer.transceivers().await.unwrap();
        let mut transceivers = transceivers.iter();
        let added = transceivers.find(|it| it.id() == transceiver.id()).unwrap();
        let mid = Mid::from(added.mid().unwrap().as_str());
        let payload_type = theirs.payload_type(mid, Codec::Vp8).await.unwrap();
        Self {
            ours,
            theirs,
            track,
            mid,
            payload_type,
        }
    }

    fn send(&self, rid: &str, index: u8) -> Result<(), SendError> {
        let (number, timestamp) = (1000 + u16::from(index), 3000 * u32::from(index));
        let payload = payload(rid, index);
        let packet = rtp_packet(self.payload_type, number, timestamp, true, payload);
        let rid = Rid::from(rid);
        (self.ours.peer).send_rtp_encoding(self.track.id(), &rid, packet)
    }

    /// The next packet of the track at the other end.
    async fn receive(&mut self) -> Box<IncomingRtp> {
        self.theirs.expect_rtp().await
    }
}

fn unchanged(line: &str) -> Option<String> {
    Some(line.to_owned())
}

#[tokio::test]
async fn three_encodings_reach_an_independent_stack_each_under_its_name_and_ssrc() {
    let mut publisher = Publisher::connect(unchanged).await;
    let mut ssrcs = BTreeMap::new();
    for index in 0..5 {
        for rid in RIDS {
            publisher.send(rid, index).unwrap();
            let got = publisher.receive().await;
            assert_eq!(got.payload, payload(rid, index));
            assert_eq!(got.sequence_number, 1000 + u16::from(index));
            assert_eq!(got.extensions.mid, Some(publisher.mid));
            assert_eq!(got.extensions.rid.unwrap().to_string(), rid);
            assert_eq!(*ssrcs.entry(rid).or_insert(got.ssrc), got.ssrc);
        }
    }
    assert_eq!(ssrcs.values().collect::<BTreeSet<_>>().len(), 3);

    let stats = publisher.ours.peer.get_stats(None).await.unwrap();
    let mut sent = BTreeMap::new();
    for stream in stats.outbound_rtp() {
        if let Some(rid) = &stream.rid {
            // Padding counts too.
            assert!(stream.active && stream.packets_sent >= 5);
            sent.insert(rid.as_str(), stream.ssrc);
        }
    }
    assert_eq!(sent, ssrcs);
}

#[tokio::test]
async fn what_is_asked_of_one_encoding_says_which() {
    let mut publisher = Publisher::connect(unchanged).await;
    for rid in RIDS {
        publisher.send(rid, 0).unwrap();
        publisher.receive().await;
    }
    let (mid, rid) = (publisher.mid, str0m::media::Rid::from("h"));
    let asked = publisher.theirs.with(move |rtc| {
        let mut direct = rtc.direct_api();
        let stream = direct.stream_rx_by_mid(mid, Some(rid));
        stream.map(|it| it.request_keyframe(KeyframeRequestKind::Pli))
    });
    asked.await.expect("a stream of this encoding");
    let heard = publisher.ours.expect("request", |event| match event {
        Event::Rtcp {
            track_id,
            rid,
            packets,
        } if packets.iter().any(RtcpPacket::asks_for_keyframe) => Some((*track_id, rid.clone())),
        _ => None,
    });
    let heard = heard.await;
    assert_eq!(heard, (Some(publisher.track.id()), Some("h".into())));
}

#[tokio::test]
async fn an_encoding_that_is_switched_off_is_not_sent_until_it_is_on_again() {
    let mut publisher = Publisher::connect(unchanged).await;
    let senders = publisher.ours.peer.senders().await.unwrap();
    let sender = senders
        .iter()
        .find(|it| !it.rids().is_empty())
        .unwrap()
        .id();
    assert_eq!(senders.last().unwrap().rids(), RIDS.map(Rid::from));
    for active in [false, true] {
        let peer = &publisher.ours.peer;
        let mut parameters = peer.parameters(sender).await.unwrap();
        parameters.encodings[1].active = active;
        peer.set_parameters(sender, parameters).await.unwrap();
        let index = u8::from(active);
        for rid in RIDS {
            publisher.send(rid, index).unwrap();
        }
        let expected = RIDS.into_iter().filter(|rid| active || *rid != "h");
        for rid in expected {
            assert_eq!(publisher.receive().await.payload, payload(rid, index));
        }
    }
    let stats = publisher.ours.peer.media_stats().await.unwrap();
    assert_eq!(stats.not_negotiated, 1);
}

#[tokio::test]
async fn who_takes_one_encoding_only_gets_the_first_without_a_name() {
    let without = |line: &str| {
        let names = line.starts_with("a=rid") || line.starts_with("a=simulcast");
        (!names).then(|| line.to_owned())
    };
    let mut publisher = Publisher::connect(without).await;
    publisher.send("q", 7).unwrap();
    let got = publisher.receive().await;
    assert_eq!(got.payload, payload("q", 7));
    assert_eq!(got.extensions.rid, None);
    let track = publisher.track.id();
    let unknown = Err(SendError::UnknownEncoding(track));
    assert_eq!(publisher.send("h", 7), unknown);
    let packet = rtp_packet(publisher.payload_type, 1, 0, true, Vec::new());
    assert_eq!(publisher.ours.peer.send_rtp(track, packet), unknown);
}

/// A page, a server that takes its encodings and one that sends them on, and a server that takes those.
struct Cascade {
    page: Str0mPeer,
    mid: Mid,
    camera: MediaStreamTrack,
    first: Ours,
    onward: Ours,
    second: Ours,
    sent: MediaStreamTrack,
}

impl Cascade {
    async fn connect() -> Self {
        let mut first = Ours::spawn(loopback()).await;
        let mut page = Str0mPeer::spawn(Str0mOptions::default()).await.unwrap();
        let media = OfferedMedia {
            rids: RIDS.to_vec(),
            ..OfferedMedia::new(Str0mKind::Video, Direction::SendOnly)
        };
        let (offer, mids) = page.create_offer(vec![media]).await;
        let answer = first.answer(&offer).await;
        page.accept_answer(&answer).await.unwrap();
        first.expect_connected().await;
        page.expect_connected().await;
        let camera = first.remote_track(MediaKind::Video).clone();
        assert_eq!(camera.rids(), RIDS.map(Rid::from));

        let mut onward = Ours::spawn(loopback()).await;
        let mut second = Ours::spawn(loopback()).await;
        let (sent, _) = add(&onward.peer).await;
        connect_ours(&mut onward, &mut second, None).await;
        for rid in camera.rids() {
            let source = RouteSource::new(&first.peer, camera.id()).rid(rid.clone());
            let set = onward.peer.set_route_encoding(sent.id(), rid, source);
            set.await.unwrap();
        }
        Self {
            page,
            mid: mids[0],
            camera,
            first,
            onward,
            second,
            sent,
        }
    }

    async fn publish(&self, rid: &str, index: u8) {
        let payload_type = self.page.payload_type(self.mid, Codec::Vp8).await.unwrap();
        let packet = OutgoingRtp {
            payload_type,
            sequence_number: 500 + u64::from(index),
            timestamp: 3000 * u32::from(index),
            marker: true,
            payload: payload(rid, index),
            extensions: Default::default(),
        };
        let rid = str0m::media::Rid::from(rid);
        assert!(self.page.write_rtp(self.mid, Some(rid), packet).await);
    }

    /// The next packet at the far end: its encoding and what is in it.
    async fn arrived(&mut self) -> (Option<Rid>, Vec<u8>) {
        let packet = self.second.expect("packet", |event| match event {
            Event::Rtp { rid, packets, .. } => Some((rid.clone(), packets[0].payload().to_vec())),
            _ => None,
        });
        packet.await
    }
}

#[tokio::test]
async fn encodings_go_from_server_to_server_each_for_itself() {
    let mut cascade = Cascade::connect().await;
    for index in 0..10 {
        for rid in RIDS {
            cascade.publish(rid, index).await;
            let expected = (Some(rid.into()), payload(rid, index));
            assert_eq!(cascade.arrived().await, expected);
        }
    }
    let mut tracks = cascade.second.remote.iter();
    assert!(tracks.any(|it| it.rids() == RIDS.map(Rid::from)));

    // What the far end asks of one encoding, the page is asked for.
    let (mid, rid) = (cascade.mid, str0m::media::Rid::from("h"));
    let ssrc = cascade.page.with(move |rtc| {
        let mut direct = rtc.direct_api();
        direct.stream_tx_by_mid(mid, Some(rid)).map(|it| it.ssrc())
    });
    let ssrc = ssrc.await.unwrap();
    while cascade.page.try_event().is_some() {}
    let track = cascade
        .second
        .remote
        .iter()
        .find(|it| !it.rids().is_empty());
    let track = track.unwrap().id();
    (cascade.second.peer)
        .request_keyframe(track, Rid::from("h"))
        .unwrap();
    let asked = cascade
        .page
        .expect(PATIENCE, "request", |event| match event {
            Str0mEvent::Rtcp(rtcp) => match *rtcp {
                Rtcp::Pli(pli) => Some(pli.ssrc),
                _ => None,
            },
            _ => None,
        });
    assert_eq!(asked.await, ssrc);
}

#[tokio::test]
async fn a_route_of_an_encoding_ends_by_itself_and_needs_a_name_that_is_known() {
    let mut cascade = Cascade::connect().await;
    for rid in RIDS {
        cascade.publish(rid, 0).await;
        cascade.arrived().await;
    }
    let (peer, sent) = (&cascade.onward.peer, cascade.sent.id());
    let low = Rid::from("q");
    peer.set_route_encoding(sent, &low, None).await.unwrap();
    for rid in RIDS {
        cascade.publish(rid, 1).await;
    }
    for rid in ["h", "f"] {
        assert_eq!(cascade.arrived().await.0, Some(rid.into()));
    }
    let source = || RouteSource::new(&cascade.first.peer, cascade.camera.id()).rid(low.clone());
    let peer = &cascade.onward.peer;
    for unknown in [
        peer.set_route(sent, source()).await,
        peer.set_route_encoding(sent, &"x".into(), source()).await,
    ] {
        assert_eq!(unknown, Err(RouteError::UnknownEncoding(sent)));
    }
    // The page still sends it; nobody takes it on.
    eventually(PATIENCE, "the owner hears of it again", async || {
        let stats = cascade.first.peer.media_stats().await.unwrap();
        (stats.rtp_received >= 6).then_some(())
    })
    .await;
}

const RIDS: [&str; 3] = ["q", "h", "f"];
