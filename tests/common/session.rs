//! Sessions between one of our peers and another, up to the first packets.

use std::collections::HashMap;

use str0m::format::Codec;
use str0m::media::{Direction, MediaKind as Str0mKind, Mid};

use ractor_webrtc::track::MediaKind;

use super::link::Link;
use super::owner::{Ours, rtp_packet};
use super::str0m_peer::{OfferedMedia, OutgoingRtp, Str0mPeer, mids_of, with_setup};

/// Who makes the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offerer {
    Ours,
    Str0m,
}

/// Which way media goes, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    Send,
    Receive,
}

/// One of our peers and str0m, connected.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) ours: Ours,
    pub(crate) theirs: Str0mPeer,
    /// Our own description as it was sent.
    pub(crate) local: String,
    /// Packets so far, each way, of each kind.
    sent: HashMap<(Way, MediaKind), u16>,
}

impl Session {
    /// Negotiates so that our side is DTLS client or server as told, and connects. On a link, ours is a.
    pub(crate) async fn connect(
        mut ours: Ours,
        mut theirs: Str0mPeer,
        offerer: Offerer,
        ours_is_client: bool,
        link: Option<&Link>,
    ) -> Self {
        let local = negotiate(&mut ours, &mut theirs, offerer, Some(ours_is_client), link).await;
        ours.expect_connected().await;
        theirs.expect_connected().await;
        let observed = theirs.observed_dtls();
        assert_eq!(observed.active, Some(!ours_is_client), "DTLS role");
        Self {
            ours,
            theirs,
            local,
            sent: HashMap::new(),
        }
    }

    /// The m-line of a kind, as both sides call it.
    pub(crate) fn mid(&self, kind: MediaKind) -> Mid {
        section(&self.local, kind).0
    }

    /// SSRC and CNAME that our description promises.
    pub(crate) fn promised(&self, kind: MediaKind) -> (u32, String) {
        let (_, lines) = section(&self.local, kind);
        let attribute = lines
            .iter()
            .find_map(|line| line.strip_prefix("a=ssrc:"))
            .expect("our description names the SSRC");
        let (ssrc, cname) = attribute.split_once(" cname:").expect("a cname");
        (ssrc.parse().unwrap(), cname.to_owned())
    }

    /// One packet from us to str0m, compared in all that must arrive as it was sent.
    pub(crate) async fn send(&mut self, kind: MediaKind, codec: Codec) {
        let mid = self.mid(kind);
        let payload_type = self.theirs.payload_type(mid, codec).await;
        let payload_type = payload_type.expect("negotiated");
        let (sequence_number, timestamp, marker, payload) = self.next_packet(Way::Send, kind);
        let packet = rtp_packet(
            payload_type,
            sequence_number,
            timestamp,
            marker,
            payload.clone(),
        );
        let track = self.ours.local_track(kind).id();
        self.ours.peer.send_rtp(track, packet).unwrap();
        let got = self.theirs.expect_rtp().await;
        assert_eq!(got.payload, payload);
        assert_eq!(got.sequence_number, sequence_number);
        assert_eq!(got.timestamp, timestamp);
        assert_eq!(got.marker, marker);
        assert_eq!(got.payload_type, payload_type);
        assert_eq!(got.extensions.mid, Some(mid));
        assert_eq!(got.ssrc, self.promised(kind).0);
    }

    /// One packet from str0m to us, compared in all that must arrive as it was sent.
    pub(crate) async fn receive(&mut self, kind: MediaKind, codec: Codec) {
        let mid = self.mid(kind);
        let payload_type = self.theirs.payload_type(mid, codec).await;
        let payload_type = payload_type.expect("negotiated");
        let (sequence_number, timestamp, marker, payload) = self.next_packet(Way::Receive, kind);
        let packet = OutgoingRtp {
            payload_type,
            sequence_number: u64::from(sequence_number),
            timestamp,
            marker,
            payload: payload.clone(),
            extensions: Default::default(),
        };
        assert!(self.theirs.write_rtp(mid, None, packet).await);
        let (track_kind, got) = self.ours.expect_rtp().await;
        assert_eq!(track_kind, kind);
        assert_eq!(got.payload(), payload);
        assert_eq!(got.sequence_number().0, sequence_number);
        assert_eq!(got.timestamp().0, timestamp);
        assert_eq!(got.marker(), marker);
        assert_eq!(got.payload_type().get(), payload_type);
        let ssrc = self.theirs.outgoing_ssrc(mid).await.unwrap();
        assert_eq!(got.ssrc().0, ssrc);
        let id = extension_id(&self.local, MID_URI).expect("MID was negotiated");
        let extension = got.extension(id);
        // str0m leaves it out once a report of ours has shown that we know the stream.
        if extension.is_some() || sequence_number == FIRST_NUMBER {
            assert_eq!(extension, Some(mid.to_string().as_bytes()));
        }
    }

    /// A few packets each way on both m-lines.
    pub(crate) async fn exchange(&mut self) {
        for (kind, codec) in [
            (MediaKind::Audio, Codec::Opus),
            (MediaKind::Video, Codec::Vp8),
        ] {
            for _ in 0..5 {
                self.send(kind, codec).await;
                self.receive(kind, codec).await;
            }
        }
    }

    /// The next sequence number of a stream.
    pub(crate) fn next_number(&mut self, way: Way, kind: MediaKind) -> u16 {
        let sent = self.sent.entry((way, kind)).or_default();
        *sent += 1;
        FIRST_NUMBER + *sent - 1
    }

    fn next_packet(&mut self, way: Way, kind: MediaKind) -> (u16, u32, bool, Vec<u8>) {
        let number = self.next_number(way, kind);
        let payload = (0..100 + number % 1_000).map(|byte| byte as u8).collect();
        let timestamp = u32::from(number).wrapping_mul(3_000_000);
        (number, timestamp, number.is_multiple_of(3), payload)
    }
}

/// Carries descriptions both ways, candidates within them; our own description. Without a wish
/// for the DTLS role the answerer chooses.
pub(crate) async fn negotiate(
    ours: &mut Ours,
    theirs: &mut Str0mPeer,
    offerer: Offerer,
    ours_is_client: Option<bool>,
    link: Option<&Link>,
) -> String {
    let to_theirs =
        |sdp: &str| link.map_or_else(|| sdp.to_owned(), |link| link.description_of_a(sdp));
    let to_ours =
        |sdp: &str| link.map_or_else(|| sdp.to_owned(), |link| link.description_of_b(sdp));
    match offerer {
        Offerer::Ours => {
            let local = ours.offer().await;
            let mut offer = to_theirs(&local);
            if let Some(client) = ours_is_client {
                offer = with_setup(&offer, if client { "active" } else { "passive" });
            }
            let answer = theirs.accept_offer(&offer).await.unwrap();
            ours.accept_answer(&to_ours(&answer)).await;
            local
        }
        Offerer::Str0m => {
            let media = [Str0mKind::Audio, Str0mKind::Video]
                .map(|kind| OfferedMedia::new(kind, Direction::SendRecv));
            let (offer, _) = theirs.create_offer(media.to_vec()).await;
            let mut offer = to_ours(&offer);
            if let Some(client) = ours_is_client {
                offer = with_setup(&offer, if client { "passive" } else { "active" });
            }
            let local = ours.answer(&offer).await;
            theirs.accept_answer(&to_theirs(&local)).await.unwrap();
            local
        }
    }
}

/// Connects two peers of ours; on a link the offerer is a.
pub(crate) async fn connect_ours(offerer: &mut Ours, answerer: &mut Ours, link: Option<&Link>) {
    let offer = offerer.offer().await;
    let offer = link.map_or_else(|| offer.clone(), |link| link.description_of_a(&offer));
    let answer = answerer.answer(&offer).await;
    let answer = link.map_or_else(|| answer.clone(), |link| link.description_of_b(&answer));
    offerer.accept_answer(&answer).await;
    offerer.expect_connected().await;
    answerer.expect_connected().await;
}

/// The same description, with a fingerprint that fits no certificate.
pub(crate) fn with_other_fingerprint(sdp: &str) -> String {
    let lines = sdp
        .lines()
        .map(|line| match line.split_once("a=fingerprint:sha-256 ") {
            Some((_, value)) => {
                let hex = value.chars().map(|it| if it == ':' { ':' } else { 'A' });
                format!("a=fingerprint:sha-256 {}\r\n", hex.collect::<String>())
            }
            None => format!("{line}\r\n"),
        });
    lines.collect()
}

/// Mid and lines of the first m-line of a kind.
fn section(sdp: &str, kind: MediaKind) -> (Mid, Vec<&str>) {
    let start = format!("m={kind} ");
    let lines: Vec<&str> = sdp
        .lines()
        .skip_while(|line| !line.starts_with(&start))
        .enumerate()
        .take_while(|(index, line)| *index == 0 || !line.starts_with("m="))
        .map(|(_, line)| line)
        .collect();
    let mid = mids_of(&lines.join("\r\n"))[0];
    (mid, lines)
}

/// Identifier that a description gives to a header extension.
fn extension_id(sdp: &str, uri: &str) -> Option<u8> {
    sdp.lines().find_map(|line| {
        let (id, rest) = line.strip_prefix("a=extmap:")?.split_once(' ')?;
        rest.starts_with(uri).then(|| id.parse().ok())?
    })
}

/// Below 2¹⁵, as RFC 3711 §3.3.1 wants.
const FIRST_NUMBER: u16 = 1_000;

const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
