//! Who takes part: publishers and viewers, each one of our peers with a client on str0m.

use std::collections::HashMap;

use ractor_webrtc::codec::RtpCodec;
use ractor_webrtc::configuration::CodecConfiguration;
use ractor_webrtc::peer_connection::{
    Event, MediaStats, PeerConnection, PeerConnectionBuilder, RouteSource,
};
use ractor_webrtc::rtp::{HeaderExtension, PayloadType};
use ractor_webrtc::{MediaConfiguration, MediaKind, TrackId};
use str0m::format::Codec;
use str0m::media::Rid;
use str0m::rtp::ExtensionValues;

use crate::common::owner::{Ours, loopback};
use crate::common::session::{Offerer, Session};
use crate::common::str0m_peer::{IncomingRtp, OutgoingRtp, Str0mEvent, Str0mOptions, Str0mPeer};
use crate::common::{PATIENCE, eventually};

/// One whose client sends.
#[derive(Debug)]
pub(crate) struct Publisher {
    pub(crate) session: Session,
    name: &'static str,
    next: HashMap<MediaKind, Numbers>,
}

#[derive(Clone, Copy, Debug)]
struct Numbers {
    /// With the rollover counter in its upper bits.
    sequence: u64,
    timestamp: u32,
}

/// A packet as its client has sent it.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) kind: MediaKind,
    pub(crate) packet: OutgoingRtp,
}

/// One whose client watches.
#[derive(Debug)]
pub(crate) struct Viewer {
    pub(crate) session: Session,
}

pub(crate) async fn connect(builder: PeerConnectionBuilder, options: Str0mOptions) -> Session {
    let ours = Ours::spawn(builder).await;
    let theirs = Str0mPeer::spawn(options).await.unwrap();
    let mut session = Session::connect(ours, theirs, Offerer::Ours, false, None).await;
    session.ours.expect_tracks().await;
    session
}

impl Publisher {
    /// Its first packets have this sequence number.
    pub(crate) async fn connect(
        name: &'static str,
        first: u16,
        builder: PeerConnectionBuilder,
    ) -> Self {
        let session = connect(builder, Str0mOptions::default()).await;
        Self::of(name, first, session)
    }

    pub(crate) fn of(name: &'static str, first: u16, session: Session) -> Self {
        let numbers = Numbers {
            sequence: u64::from(first),
            timestamp: u32::from(first).wrapping_mul(7_654_321),
        };
        let kinds = [MediaKind::Audio, MediaKind::Video];
        Self {
            session,
            name,
            next: kinds.map(|kind| (kind, numbers)).into(),
        }
    }

    pub(crate) fn peer(&self) -> &PeerConnection {
        &self.session.ours.peer
    }

    pub(crate) fn track(&self, kind: MediaKind) -> TrackId {
        self.session.ours.remote_track(kind).id()
    }

    pub(crate) fn source(&self, kind: MediaKind) -> RouteSource {
        RouteSource::new(self.peer(), self.track(kind))
    }

    /// The client sends so many packets, one a frame.
    pub(crate) async fn publish(&mut self, kind: MediaKind, count: usize) -> Vec<Published> {
        self.publish_as(kind, codec_of(kind), count).await
    }

    pub(crate) async fn publish_as(
        &mut self,
        kind: MediaKind,
        codec: Codec,
        count: usize,
    ) -> Vec<Published> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.publish_one(kind, codec, None).await);
        }
        all
    }

    pub(crate) async fn publish_one(
        &mut self,
        kind: MediaKind,
        codec: Codec,
        rid: Option<Rid>,
    ) -> Published {
        let mid = self.session.mid(kind);
        let payload_type = self.session.theirs.payload_type(mid, codec).await;
        let packet = self.next_packet(kind, payload_type.expect("negotiated"));
        let written = self.session.theirs.write_rtp(mid, rid, packet.clone());
        assert!(written.await);
        Published { kind, packet }
    }

    fn next_packet(&mut self, kind: MediaKind, payload_type: u8) -> OutgoingRtp {
        let numbers = self.next.get_mut(&kind).unwrap();
        let sequence_number = numbers.sequence;
        let packet = OutgoingRtp {
            payload_type,
            sequence_number,
            timestamp: numbers.timestamp,
            marker: !sequence_number.is_multiple_of(3),
            payload: payload(format!("{kind} {sequence_number} of {}", self.name), kind),
            extensions: ExtensionValues {
                audio_level: (kind == MediaKind::Audio).then_some(-(sequence_number as i8 & 0x7f)),
                voice_activity: (kind == MediaKind::Audio).then_some(true),
                ..ExtensionValues::default()
            },
        };
        numbers.sequence += 1;
        numbers.timestamp = numbers.timestamp.wrapping_add(FRAME);
        packet
    }

    pub(crate) async fn stats(&self) -> MediaStats {
        self.peer().media_stats().await.unwrap()
    }

    /// The owner gets what the client sends: the first packet and nothing of before.
    pub(crate) async fn is_heard_by_its_owner(&mut self, kind: MediaKind) {
        let sent = self.publish(kind, 1).await.remove(0);
        let (_, heard) = self.session.ours.expect_rtp().await;
        assert_eq!(heard.payload(), sent.packet.payload);
    }

    /// Asks until the owner gets what the client sends, for what no event tells.
    pub(crate) async fn is_heard_again_by_its_owner(&mut self, kind: MediaKind) {
        let what = "the owner gets media again";
        eventually(PATIENCE, what, async || {
            self.publish(kind, 1).await;
            let mut heard = None;
            while let Some(event) = self.session.ours.try_event() {
                if let Event::Rtp { .. } = event {
                    heard = Some(());
                }
            }
            heard
        })
        .await;
        // And all of it: none of these is still on its way afterwards.
        let last = self.publish(kind, 1).await.remove(0).packet.payload;
        self.session
            .ours
            .expect("the last of them", |event| match event {
                Event::Rtp { packets, .. } => packets
                    .iter()
                    .any(|packet| packet.payload() == last)
                    .then_some(()),
                _ => None,
            })
            .await;
    }
}

impl Viewer {
    pub(crate) async fn connect(builder: PeerConnectionBuilder) -> Self {
        Self {
            session: connect(builder, Str0mOptions::default()).await,
        }
    }

    pub(crate) fn peer(&self) -> &PeerConnection {
        &self.session.ours.peer
    }

    pub(crate) fn track(&self, kind: MediaKind) -> TrackId {
        self.session.ours.local_track(kind).id()
    }

    /// Sound or picture come from here from now on.
    pub(crate) async fn watch(&self, kind: MediaKind, publisher: &Publisher) {
        let set = self
            .peer()
            .set_route(self.track(kind), publisher.source(kind));
        set.await.unwrap();
    }

    pub(crate) async fn unwatch(&self, kind: MediaKind) {
        let set = self.peer().set_route(self.track(kind), None);
        set.await.unwrap();
    }

    /// The client's next packet of this kind.
    pub(crate) async fn next(&mut self, kind: MediaKind) -> IncomingRtp {
        let mid = self.session.mid(kind);
        let pick = |event| match event {
            Str0mEvent::Rtp(packet) if packet.extensions.mid == Some(mid) => Some(*packet),
            _ => None,
        };
        self.session
            .theirs
            .expect(PATIENCE, "routed packet", pick)
            .await
    }

    /// The client gets these packets next, and no others among them.
    pub(crate) async fn gets(&mut self, published: &[Published]) -> Vec<IncomingRtp> {
        let mut all = Vec::new();
        for one in published {
            let got = self.next(one.kind).await;
            let text = String::from_utf8_lossy(&got.payload).into_owned();
            let expected = String::from_utf8_lossy(&one.packet.payload);
            assert_eq!(text, expected);
            assert_eq!(got.marker, one.packet.marker, "{text}");
            all.push(got);
        }
        all
    }

    /// Within the time that it takes nothing to arrive: what was sent is counted here.
    pub(crate) async fn stats(&self) -> MediaStats {
        self.peer().media_stats().await.unwrap()
    }

    /// Waits until the counters say so.
    pub(crate) async fn eventually(&self, what: &str, says: impl Fn(&MediaStats) -> bool) {
        eventually(PATIENCE, what, async || {
            says(&self.stats().await).then_some(())
        })
        .await;
    }
}

/// Behind what begins a keyframe of VP8: a route lets no video through before one.
pub(crate) fn payload(text: String, kind: MediaKind) -> Vec<u8> {
    let mark: &[u8] = match kind {
        MediaKind::Audio => &[],
        MediaKind::Video => &[0x10, 0],
    };
    [mark, text.as_bytes()].concat()
}

/// Nothing is missing between them, and time goes on.
pub(crate) fn go_on(packets: &[IncomingRtp]) {
    for pair in packets.windows(2) {
        let [before, after] = pair else {
            unreachable!("windows of two")
        };
        assert_eq!(
            after.sequence_number,
            before.sequence_number.wrapping_add(1),
            "a gap"
        );
        let passed = after.timestamp.wrapping_sub(before.timestamp);
        assert!((1..TEN_SECONDS).contains(&passed), "time jumps by {passed}");
        assert_eq!(after.ssrc, before.ssrc);
    }
}

pub(crate) fn codec_of(kind: MediaKind) -> Codec {
    match kind {
        MediaKind::Audio => Codec::Opus,
        MediaKind::Video => Codec::Vp8,
    }
}

/// Other numbers for everything than any default has.
pub(crate) fn other_numbers() -> PeerConnectionBuilder {
    let number = |number| PayloadType::new(number).unwrap();
    let vp8 = CodecConfiguration::new(RtpCodec::vp8(), number(120)).with_rtx(number(121));
    let opus = CodecConfiguration::new(RtpCodec::opus(), number(97));
    let shared = [
        (9, HeaderExtension::Mid),
        (5, HeaderExtension::TransportWideCc),
    ];
    let level = (13, HeaderExtension::AudioLevel);
    let media = MediaConfiguration::builder()
        .codecs(MediaKind::Video, [vp8])
        .codecs(MediaKind::Audio, [opus])
        .header_extensions(MediaKind::Video, shared.clone())
        .header_extensions(MediaKind::Audio, shared.into_iter().chain([level]))
        .build()
        .unwrap();
    loopback().media(media)
}

/// Ticks between packets.
pub(crate) const FRAME: u32 = 960;

/// Of the fastest clock; a random time line is further off, as a rule.
const TEN_SECONDS: u32 = 900_000;
