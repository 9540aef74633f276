//! What the tests of the media path share: a plan, keys of both sides, and a remote peer without actors.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::codec::{RtcpFeedback, RtpCodec};
use crate::jsep::{MediaPlan, MediaSection, NegotiatedCodec, ReceivePlan, SendPlan};
use crate::rtp::{
    ExtensionMap, HeaderExtension, PayloadType, RtcpPacket, RtpPacket, RtpTimestamp,
    SequenceNumber, Ssrc,
};
use crate::srtp::{Protector, SrtpKeys, SrtpMasterKey, SrtpProfile, Unprotector};
use crate::track::{MediaKind, MediaStreamTrack, TrackId};
use crate::udp::Datagrams;

/// What we send under.
pub(crate) const OUR_SSRC: Ssrc = Ssrc(0x0a0a_0a0a);

/// What we send again under.
pub(crate) const OUR_RTX_SSRC: Ssrc = Ssrc(0x0c0c_0c0c);

/// Identifier of transport-wide numbers.
pub(crate) const NUMBER: u8 = 5;

/// The element in which receivers are asked to wait.
pub(crate) const PLAYOUT: u8 = 9;

/// What the remote side sends under.
pub(crate) const THEIR_SSRC: Ssrc = Ssrc(0x0b0b_0b0b);

pub(crate) const VIDEO: u8 = 96;
pub(crate) const RTX: u8 = 97;

const PROFILE: SrtpProfile = SrtpProfile::AeadAes128Gcm;

/// One video m-line, both directions.
pub(crate) struct Session {
    pub(crate) plan: MediaPlan,
    pub(crate) local: TrackId,
    pub(crate) remote: TrackId,
}

pub(crate) fn session() -> Session {
    let local = MediaStreamTrack::new(MediaKind::Video, []).id();
    let remote = MediaStreamTrack::new(MediaKind::Video, []).id();
    let codecs = vec![NegotiatedCodec {
        codec: Arc::new(RtpCodec {
            kind: MediaKind::Video,
            name: "VP8".to_owned(),
            clock_rate_hz: 90_000,
            channels: None,
            fmtp: String::new(),
            feedback: vec![RtcpFeedback::Pli],
        }),
        payload_type: payload_type(VIDEO),
        rtx_payload_type: Some(payload_type(RTX)),
    }];
    let extensions = ExtensionMap {
        entries: vec![(4, HeaderExtension::Mid), (10, HeaderExtension::Rid)],
        mixed: false,
    };
    let section = MediaSection {
        mid: "v".into(),
        kind: MediaKind::Video,
        reduced_size_rtcp: false,
        receiver_round_trip: false,
        send: Some(SendPlan {
            track: Some(local),
            rid: None,
            is_named: false,
            ssrc: OUR_SSRC,
            rtx_ssrc: None,
            cname: "us".into(),
            codecs: codecs.clone(),
            extensions: extensions.clone(),
        }),
        further: Vec::new(),
        receive: Some(ReceivePlan {
            track: remote,
            ssrcs: Vec::new(),
            rtx_ssrcs: Vec::new(),
            rids: Vec::new(),
            codecs,
            extensions,
        }),
    };
    Session {
        plan: MediaPlan {
            sections: vec![section],
        },
        local,
        remote,
    }
}

impl Session {
    /// The remote side tells how packets arrive, and asks for lost ones; with or without a stream of their own for these.
    pub(crate) fn repairable(rtx: bool) -> Self {
        let mut session = session();
        let send = session.plan.sections[0].send.as_mut().unwrap();
        let number = (NUMBER, HeaderExtension::TransportWideCc);
        let playout = (PLAYOUT, HeaderExtension::PlayoutDelay);
        send.extensions.entries.extend([number, playout]);
        send.rtx_ssrc = rtx.then_some(OUR_RTX_SSRC);
        for codec in &mut send.codecs {
            let feedback = [RtcpFeedback::Nack, RtcpFeedback::TransportCc];
            Arc::make_mut(&mut codec.codec).feedback = feedback.to_vec();
            codec.rtx_payload_type = rtx.then(|| payload_type(RTX));
        }
        session
    }

    pub(crate) fn receive(&mut self) -> &mut ReceivePlan {
        self.plan.sections[0].receive.as_mut().unwrap()
    }
}

pub(crate) fn payload_type(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

fn master(seed: u8) -> SrtpMasterKey {
    SrtpMasterKey {
        key: vec![seed; PROFILE.key_len()],
        salt: vec![seed; PROFILE.salt_len()],
    }
}

/// The keys of our side.
pub(crate) fn keys() -> SrtpKeys {
    SrtpKeys {
        profile: PROFILE,
        local: master(1),
        remote: master(2),
    }
}

/// The remote side: its SRTP contexts, nothing more.
pub(crate) struct Remote {
    protector: Protector,
    unprotector: Unprotector,
}

impl Remote {
    pub(crate) fn new() -> Self {
        Self {
            protector: Protector::new(PROFILE, &master(2)).unwrap(),
            unprotector: Unprotector::new(PROFILE, &master(1)).unwrap(),
        }
    }

    /// A protected packet.
    pub(crate) fn rtp(&mut self, packet: &[u8]) -> BytesMut {
        let mut slab = packet.to_vec();
        self.protector.protect_rtp(&mut slab, 0).unwrap();
        BytesMut::from(&slab[..])
    }

    /// A protected compound packet.
    pub(crate) fn rtcp(&mut self, packets: &[RtcpPacket]) -> BytesMut {
        let mut slab = Vec::new();
        for packet in packets {
            packet.write(&mut slab).unwrap();
        }
        self.protector.protect_rtcp(&mut slab, 0).unwrap();
        BytesMut::from(&slab[..])
    }

    pub(crate) fn read_rtp(&mut self, datagram: &[u8]) -> RtpPacket {
        let mut datagram = BytesMut::from(datagram);
        self.unprotector.unprotect_rtp(&mut datagram).unwrap();
        RtpPacket::parse(datagram.freeze()).unwrap()
    }

    pub(crate) fn read_rtcp(&mut self, datagram: &[u8]) -> Vec<RtcpPacket> {
        let mut datagram = BytesMut::from(datagram);
        self.unprotector.unprotect_rtcp(&mut datagram).unwrap();
        RtcpPacket::parse_compound(&datagram.freeze()).unwrap()
    }
}

/// Bytes of a packet with the given header extension elements in one-byte form.
pub(crate) fn rtp_bytes(
    number: u8,
    sequence: u16,
    ssrc: Ssrc,
    elements: &[(u8, &str)],
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0x90, number];
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&(u32::from(sequence) * 3000).to_be_bytes());
    bytes.extend_from_slice(&ssrc.0.to_be_bytes());
    let mut block = Vec::new();
    for (id, text) in elements {
        block.push(id << 4 | (text.len() as u8 - 1));
        block.extend_from_slice(text.as_bytes());
    }
    block.resize(block.len().next_multiple_of(4), 0);
    bytes.extend_from_slice(&[0xbe, 0xde, 0, (block.len() / 4) as u8]);
    bytes.extend_from_slice(&block);
    bytes.extend_from_slice(payload);
    bytes
}

/// A packet of the remote video that says where it belongs.
pub(crate) fn video(sequence: u16) -> Vec<u8> {
    rtp_bytes(VIDEO, sequence, THEIR_SSRC, &[(4, "v")], &[7; 100])
}

/// A packet made by the application.
pub(crate) fn made(sequence: u16) -> RtpPacket {
    RtpPacket::new(
        payload_type(VIDEO),
        SequenceNumber(sequence),
        RtpTimestamp(u32::from(sequence) * 3000),
        Ssrc(1),
        true,
        Bytes::from_static(b"picture"),
    )
}

pub(crate) fn datagrams(received_at: Instant, datagrams: Vec<BytesMut>) -> Datagrams {
    Datagrams {
        remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
        local_ip: None,
        received_at,
        datagrams,
    }
}
