//! The other way round: the server offers, the browser answers. With `setup:actpass` in the offer the browser
//! becomes the DTLS client, so this is also the other DTLS role.
#![allow(clippy::unwrap_used, clippy::wildcard_enum_match_arm)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
#[path = "../examples/common/mod.rs"]
#[allow(dead_code, reason = "the command line is not part of these tests")]
mod common;

use std::collections::HashMap;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_webrtc::rtp::RtcpPacket;
use ractor_webrtc::signaling::websocket::{Door, Goodbye, WebSocketLimits};
use ractor_webrtc::{Event, MediaKind, MediaStreamTrack, PeerConnection, PeerEvent, TrackId};
use serde::Deserialize;

use self::browser::{Browser, serve_site};
use self::common::server::{Asset, router};
use self::common::signal::{FromPage, Page, Signal};

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_answers_sees_and_hears_itself() {
    let Some(browser) = Browser::launch().await else {
        return;
    };
    let (url, _task) = serve_site(router(PAGE, Callers, WebSocketLimits::default())).await;

    let page = browser.open(&url).await;
    let decoded = "figures().then(now => now.frames >= 60 && now.sound > 50)";
    page.wait_until(decoded, Duration::from_secs(15)).await;
    let figures: Figures = page.eval("figures()").await;
    assert_eq!(figures.dtls_role, "client", "{figures:#?}");
    assert!(figures.cipher.contains("AEAD_AES_"), "{figures:#?}");
    assert_eq!(figures.size, [640, 480], "{figures:#?}");
    // The first keyframe was withheld, so that there is a picture only because the browser's request
    // reached the caller, and the caller's reached the browser.
    assert!(figures.keyframes_asked_for >= 1, "{figures:#?}");
    assert!(figures.keyframes_asked_of_us >= 1, "{figures:#?}");
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Figures {
    dtls_role: String,
    cipher: String,
    size: [u32; 2],
    keyframes_asked_for: u32,
    keyframes_asked_of_us: u32,
}

const PAGE: &[Asset] = &[Asset {
    path: "/",
    content_type: "text/html",
    body: "<!doctype html><title>Answer</title><video id=echo autoplay></video><script>
        const pc = new RTCPeerConnection();
        pc.ontrack = ({ streams }) => { document.getElementById('echo').srcObject = streams[0]; };
        const socket = new WebSocket(`ws://${location.host}/ws`);
        const say = (type, data) => socket.send(JSON.stringify({ type, data }));
        pc.onicecandidate = ({ candidate }) => { if (candidate) say('ice', candidate); };
        socket.onmessage = async event => {
            const { type, data } = JSON.parse(event.data);
            if (type === 'ice') await pc.addIceCandidate(data);
            if (type !== 'offer') return;
            const described = pc.setRemoteDescription(data);
            const video = { width: 640, height: 480 };
            const stream = await navigator.mediaDevices.getUserMedia({ video, audio: true });
            await described;
            stream.getTracks().forEach(track => pc.addTrack(track, stream));
            await pc.setLocalDescription();
            say('answer', pc.localDescription);
        };
        async function figures() {
            const all = [...(await pc.getStats()).values()];
            const inbound = kind => all.find(one => one.type === 'inbound-rtp' && one.kind === kind) ?? {};
            const outbound = all.find(one => one.type === 'outbound-rtp' && one.kind === 'video') ?? {};
            const transport = all.find(one => one.type === 'transport') ?? {};
            return {
                frames: inbound('video').framesDecoded ?? 0,
                sound: inbound('audio').packetsReceived ?? 0,
                size: [inbound('video').frameWidth, inbound('video').frameHeight],
                keyframesAskedFor: inbound('video').pliCount ?? 0,
                keyframesAskedOfUs: outbound.pliCount ?? 0,
                dtlsRole: transport.dtlsRole,
                cipher: transport.srtpCipher,
            };
        }
    </script>",
}];

/// Lets every page in, without a supervisor: the test is over before anything goes wrong.
#[derive(Clone)]
struct Callers;

impl Door for Callers {
    type Incoming = Signal;
    type Outgoing = Signal;
    type Message = CallerMessage;

    async fn enter(&self, page: Page) -> Result<ActorRef<CallerMessage>, Goodbye> {
        let spawned = Actor::spawn(None, Caller, page).await;
        spawned
            .map(|(actor, _)| actor)
            .map_err(|error| Goodbye::error(error.to_string()))
    }
}

/// Offers at once, and sends back what it gets, but for the beginning of the picture.
struct Caller;

enum CallerMessage {
    Page(FromPage),
    Peer(PeerEvent),
}

impl From<FromPage> for CallerMessage {
    fn from(message: FromPage) -> Self {
        Self::Page(message)
    }
}

impl From<PeerEvent> for CallerMessage {
    fn from(event: PeerEvent) -> Self {
        Self::Peer(event)
    }
}

struct CallerState {
    page: Page,
    pc: PeerConnection,
    inbound: HashMap<TrackId, MediaKind>,
    outbound: HashMap<MediaKind, TrackId>,
    /// Video packets to be kept back still, the first keyframe among them.
    withheld: usize,
}

impl Actor for Caller {
    type Msg = CallerMessage;
    type State = CallerState;
    type Arguments = Page;

    async fn pre_start(
        &self,
        myself: ActorRef<CallerMessage>,
        page: Page,
    ) -> Result<CallerState, ActorProcessingErr> {
        let pc = PeerConnection::builder()
            .include_loopback(true)
            .spawn_linked(&myself)
            .await?;
        let stream = MediaStreamTrack::generate_stream_id();
        let mut outbound = HashMap::new();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let track = MediaStreamTrack::new(kind, [stream.clone()]);
            pc.add_track(&track).await?;
            outbound.insert(kind, track.id());
        }
        Ok(CallerState {
            page,
            pc,
            inbound: HashMap::new(),
            outbound,
            withheld: 30,
        })
    }

    async fn handle(
        &self,
        _: ActorRef<CallerMessage>,
        message: CallerMessage,
        state: &mut CallerState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            CallerMessage::Page(FromPage { message, .. }) => match message {
                Signal::Answer(answer) => state.pc.set_remote_description(answer).await?,
                Signal::Ice(candidate) => state.pc.add_ice_candidate(candidate).await?,
                other => panic!("an answering page does not say {other:?}"),
            },
            CallerMessage::Peer(PeerEvent { event, .. }) => state.take_event(event).await?,
        }
        Ok(())
    }
}

impl CallerState {
    async fn take_event(&mut self, event: Event) -> Result<(), ActorProcessingErr> {
        match event {
            Event::NegotiationNeeded => {
                let offer = self.pc.create_offer().await?;
                self.pc.set_local_description(offer.clone()).await?;
                self.page.say(&Signal::Offer(offer))?;
            }
            Event::IceCandidate(Some(candidate)) => self.page.say(&Signal::Ice(Some(candidate)))?,
            Event::Track(track) => {
                self.inbound.insert(track.id(), track.kind());
            }
            Event::Rtp {
                track_id, packets, ..
            } => {
                let kind = self.inbound[&track_id];
                if kind == MediaKind::Video && self.withheld > 0 {
                    self.withheld = self.withheld.saturating_sub(packets.len());
                } else {
                    self.pc.send_rtp(self.outbound[&kind], packets)?;
                }
            }
            Event::Rtcp { packets, .. } => {
                let asks = |packet: &_| matches!(packet, RtcpPacket::PictureLossIndication(_));
                if packets.iter().any(asks) {
                    self.ask_for_keyframe()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ask_for_keyframe(&self) -> Result<(), ActorProcessingErr> {
        for (track, kind) in &self.inbound {
            if *kind == MediaKind::Video {
                self.pc.send_pli(*track, None)?;
            }
        }
        Ok(())
    }
}
