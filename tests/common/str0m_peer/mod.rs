//! The other side of an interop test: a peer built on `str0m`, an independent WebRTC stack.
//!
//! One task owns the socket and the state machine. Commands come in over a bounded channel,
//! events go out over another; a test that does not read its events loses the newest ones, and
//! [`Str0mPeer::lost_events`] says how many.

mod observed;
mod task;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::config::DtlsVersion;
use str0m::format::Codec;
use str0m::media::{
    Direction, KeyframeRequestKind, MediaKind, Mid, Pt, Rid, Simulcast, SimulcastLayer,
};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{ExtensionValues, RtpWrite};
use str0m::stats::{MediaEgressStats, MediaIngressStats};
use str0m::{Candidate, IceConnectionState, Rtc, RtcConfig};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) use self::observed::ObservedDtls;
use self::observed::{ObservedSlot, observing};
use self::task::{Command, PeerTask};
use super::PATIENCE;

/// Settings of a [`Str0mPeer`].
#[derive(Clone, Debug)]
pub(crate) struct Str0mOptions {
    /// Codecs to offer and accept.
    pub(crate) codecs: Vec<Codec>,
    /// DTLS versions to offer and accept.
    pub(crate) dtls_version: DtlsVersion,
    /// Tell of every RTCP packet that arrives.
    pub(crate) report_rtcp: bool,
    /// Time between sender or receiver reports.
    pub(crate) report_interval: Duration,
    /// Time between two events of what it has counted; without it there are none.
    pub(crate) stats_interval: Option<Duration>,
    /// Answer connectivity checks only.
    pub(crate) ice_lite: bool,
}

impl Default for Str0mOptions {
    fn default() -> Self {
        Self {
            codecs: vec![Codec::Opus, Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1],
            dtls_version: DtlsVersion::Dtls12,
            report_rtcp: true,
            report_interval: Duration::from_millis(200),
            stats_interval: None,
            ice_lite: false,
        }
    }
}

/// One m-line to offer.
#[derive(Clone, Debug)]
pub(crate) struct OfferedMedia {
    pub(crate) kind: MediaKind,
    pub(crate) direction: Direction,
    /// Names of the simulcast encodings to send; empty for none.
    pub(crate) rids: Vec<&'static str>,
}

impl OfferedMedia {
    pub(crate) fn new(kind: MediaKind, direction: Direction) -> Self {
        Self {
            kind,
            direction,
            rids: Vec::new(),
        }
    }
}

/// One RTP packet to write.
#[derive(Clone, Debug)]
pub(crate) struct OutgoingRtp {
    pub(crate) payload_type: u8,
    /// With the rollover counter in its upper bits.
    pub(crate) sequence_number: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
    pub(crate) extensions: ExtensionValues,
}

/// One RTP packet that arrived and was authentic.
#[derive(Clone, Debug)]
pub(crate) struct IncomingRtp {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) sequence_number: u16,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
    pub(crate) extensions: ExtensionValues,
}

/// What a [`Str0mPeer`] tells.
#[derive(Debug)]
pub(crate) enum Str0mEvent {
    /// ICE and DTLS are up for the first time.
    Connected,
    IceState(IceConnectionState),
    /// The remote side brought an m-line.
    MediaAdded {
        mid: Mid,
        kind: MediaKind,
        direction: Direction,
    },
    Rtp(Box<IncomingRtp>),
    Rtcp(Box<Rtcp>),
    KeyframeRequest {
        mid: Mid,
        kind: KeyframeRequestKind,
    },
    /// What it has counted of what it sends, on one m-line.
    Sent(Box<MediaEgressStats>),
    /// What it has counted of what it receives, on one m-line.
    Received(Box<MediaIngressStats>),
    /// The remote side closed, or both are done closing.
    Closed,
    /// The stack gave up.
    Failed(String),
}

/// Handle of a running peer; dropping it ends the task and closes the socket.
#[derive(Debug)]
pub(crate) struct Str0mPeer {
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Str0mEvent>,
    socket: Arc<UdpSocket>,
    local_addr: SocketAddr,
    lost_events: Arc<AtomicU64>,
    observed: ObservedSlot,
    pending: Option<SdpPendingOffer>,
    task: JoinHandle<()>,
}

impl Str0mPeer {
    /// Starts a peer on a port of its own on 127.0.0.1.
    pub(crate) async fn spawn(options: Str0mOptions) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let local_addr = socket.local_addr()?;
        let (rtc, observed) = build_rtc(&options, local_addr);
        let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (events, event_receiver) = mpsc::channel(EVENT_QUEUE);
        let lost_events = Arc::<AtomicU64>::default();
        let task = tokio::spawn(
            PeerTask {
                rtc,
                socket: Arc::clone(&socket),
                local_addr,
                commands,
                events,
                lost_events: Arc::clone(&lost_events),
            }
            .run(),
        );
        Ok(Self {
            commands: command_sender,
            events: event_receiver,
            socket,
            local_addr,
            lost_events,
            observed,
            pending: None,
            task,
        })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The socket, to send from the peer's own address what the stack would never send.
    pub(crate) fn socket(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.socket)
    }

    /// Events that found the channel full.
    pub(crate) fn lost_events(&self) -> u64 {
        self.lost_events.load(Ordering::Relaxed)
    }

    /// What the DTLS handshake came to.
    pub(crate) fn observed_dtls(&self) -> ObservedDtls {
        self.observed.lock().expect("no holder panics").clone()
    }

    /// The next event; `None` once the peer is gone.
    pub(crate) async fn event(&mut self) -> Option<Str0mEvent> {
        self.events.recv().await
    }

    /// An event that is there already.
    pub(crate) fn try_event(&mut self) -> Option<Str0mEvent> {
        self.events.try_recv().ok()
    }

    /// Waits for the event that `pick` wants and drops those before it.
    ///
    /// # Panics
    ///
    /// When the peer ends, or `deadline` passes, before it comes.
    pub(crate) async fn expect<T>(
        &mut self,
        deadline: Duration,
        what: &str,
        mut pick: impl FnMut(Str0mEvent) -> Option<T>,
    ) -> T {
        let wait = async {
            loop {
                let event = self.event().await;
                let event = event.unwrap_or_else(|| panic!("str0m ended while waiting for {what}"));
                if let Str0mEvent::Failed(reason) = &event {
                    panic!("str0m failed while waiting for {what}: {reason}");
                }
                if let Some(found) = pick(event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(deadline, wait)
            .await
            .unwrap_or_else(|_| panic!("str0m: no {what} within {deadline:?}"))
    }

    pub(crate) async fn expect_connected(&mut self) {
        self.expect(PATIENCE, "connection", |event| {
            matches!(event, Str0mEvent::Connected).then_some(())
        })
        .await;
    }

    pub(crate) async fn expect_rtp(&mut self) -> Box<IncomingRtp> {
        self.expect(PATIENCE, "RTP packet", |event| match event {
            Str0mEvent::Rtp(packet) => Some(packet),
            _ => None,
        })
        .await
    }

    /// Runs `work` on the stack, within its task.
    pub(crate) async fn with<T, F>(&self, work: F) -> T
    where
        T: Send + 'static,
        F: FnOnce(&mut Rtc) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let command: Command = Box::new(move |rtc| {
            // The asker may have given up.
            let _gone = reply.send(work(rtc));
        });
        assert!(
            self.commands.send(command).await.is_ok(),
            "str0m peer is gone"
        );
        answer.await.expect("str0m peer is gone")
    }

    /// An offer of `media`, and the mids they got.
    pub(crate) async fn create_offer(&mut self, media: Vec<OfferedMedia>) -> (String, Vec<Mid>) {
        let (offer, pending, mids) = self
            .with(move |rtc| {
                let mut changes = rtc.sdp_api();
                let mids: Vec<Mid> = media
                    .iter()
                    .map(|media| {
                        let simulcast = simulcast(&media.rids);
                        changes.add_media(media.kind, media.direction, None, None, simulcast)
                    })
                    .collect();
                let (offer, pending) = changes.apply().expect("an offer with something in it");
                (offer.to_sdp_string(), pending, mids)
            })
            .await;
        self.pending = Some(pending);
        (offer, mids)
    }

    /// An offer that restarts ICE, and changes nothing else.
    pub(crate) async fn create_restart_offer(&mut self) -> String {
        let (offer, pending) = self
            .with(|rtc| {
                let mut changes = rtc.sdp_api();
                changes.ice_restart(true);
                let (offer, pending) = changes.apply().expect("an offer with something in it");
                (offer.to_sdp_string(), pending)
            })
            .await;
        self.pending = Some(pending);
        offer
    }

    /// The answer to `offer`.
    pub(crate) async fn accept_offer(&self, offer: &str) -> Result<String, String> {
        let offer = SdpOffer::from_sdp_string(offer).map_err(|error| error.to_string())?;
        self.with(move |rtc| {
            rtc.sdp_api()
                .accept_offer(offer)
                .map(|answer| answer.to_sdp_string())
                .map_err(|error| error.to_string())
        })
        .await
    }

    /// Takes the answer to the last [`Self::create_offer`].
    pub(crate) async fn accept_answer(&mut self, answer: &str) -> Result<(), String> {
        let pending = self.pending.take().expect("an offer to be answered");
        let answer = SdpAnswer::from_sdp_string(answer).map_err(|error| error.to_string())?;
        self.with(move |rtc| {
            rtc.sdp_api()
                .accept_answer(pending, answer)
                .map_err(|error| error.to_string())
        })
        .await
    }

    /// Takes one trickled candidate, `candidate:…`; an empty one ends them and says nothing here.
    pub(crate) async fn add_remote_candidate(&self, candidate: &str) -> Result<(), String> {
        if candidate.is_empty() {
            return Ok(());
        }
        let candidate = Candidate::from_sdp_string(candidate).map_err(|error| error.to_string())?;
        self.with(move |rtc| rtc.add_remote_candidate(candidate))
            .await;
        Ok(())
    }

    /// The payload type that negotiation gave to `codec` on `mid`; the remote side's favourite
    /// where it has several.
    pub(crate) async fn payload_type(&self, mid: Mid, codec: Codec) -> Option<u8> {
        self.with(move |rtc| {
            let negotiated = rtc.media(mid)?.remote_pts().to_vec();
            let mut negotiated = negotiated.into_iter().filter(|pt| {
                let mut known = rtc.codec_config().params().iter();
                known.any(|params| params.pt() == *pt && params.spec().codec == codec)
            });
            negotiated.next().map(|pt| *pt)
        })
        .await
    }

    /// SSRC of what is sent on `mid`.
    pub(crate) async fn outgoing_ssrc(&self, mid: Mid) -> Option<u32> {
        self.with(move |rtc| {
            rtc.direct_api()
                .stream_tx_by_mid(mid, None)
                .map(|stream| *stream.ssrc())
        })
        .await
    }

    /// SSRC and CNAME of what arrives on `mid`.
    pub(crate) async fn incoming_stream(&self, mid: Mid) -> Option<(u32, Option<String>)> {
        self.with(move |rtc| {
            rtc.direct_api()
                .stream_rx_by_mid(mid, None)
                .map(|stream| (*stream.ssrc(), stream.cname().map(str::to_owned)))
        })
        .await
    }

    /// Sends one packet on `mid`; false when nothing may be sent there.
    pub(crate) async fn write_rtp(&self, mid: Mid, rid: Option<Rid>, packet: OutgoingRtp) -> bool {
        self.with(move |rtc| {
            let mut direct = rtc.direct_api();
            let Some(stream) = direct.stream_tx_by_mid(mid, rid) else {
                return false;
            };
            stream.write_rtp(
                RtpWrite::new(
                    Pt::new_with_value(packet.payload_type),
                    packet.sequence_number.into(),
                    packet.timestamp,
                    Instant::now(),
                    packet.payload,
                )
                .marker(packet.marker)
                .nackable(true)
                .ext_vals(packet.extensions),
            );
            true
        })
        .await
    }

    /// Asks the remote side for a keyframe; false when nothing has arrived on `mid` yet.
    pub(crate) async fn request_keyframe(&self, mid: Mid, kind: KeyframeRequestKind) -> bool {
        self.with(move |rtc| {
            let mut direct = rtc.direct_api();
            let Some(stream) = direct.stream_rx_by_mid(mid, None) else {
                return false;
            };
            stream.request_keyframe(kind);
            true
        })
        .await
    }

    /// Says good-bye: RTCP BYE and DTLS close_notify.
    pub(crate) async fn close(&self) {
        self.with(|rtc| rtc.close().expect("closing works in every state"))
            .await;
    }
}

impl Drop for Str0mPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The mids of a description, in its order.
pub(crate) fn mids_of(sdp: &str) -> Vec<Mid> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a=mid:"))
        .map(|mid| Mid::from(mid.trim()))
        .collect()
}

/// The same description with another `a=setup`, so that a test chooses the DTLS roles: an offer
/// of `active` makes the answerer passive whatever it prefers.
pub(crate) fn with_setup(sdp: &str, setup: &str) -> String {
    sdp.lines()
        .map(|line| {
            if line.starts_with("a=setup:") {
                format!("a=setup:{setup}\r\n")
            } else {
                format!("{line}\r\n")
            }
        })
        .collect()
}

fn build_rtc(options: &Str0mOptions, local_addr: SocketAddr) -> (Rtc, ObservedSlot) {
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .enable_raw_packets(options.report_rtcp)
        .set_dtls_version(options.dtls_version)
        .set_ice_lite(options.ice_lite)
        .set_rtcp_report_interval_audio(options.report_interval)
        .set_rtcp_report_interval_video(options.report_interval)
        .set_stats_interval(options.stats_interval)
        .clear_codecs();
    for codec in &options.codecs {
        config = match codec {
            Codec::Opus => config.enable_opus(true, false),
            Codec::Vp8 => config.enable_vp8(true),
            Codec::H264 => config.enable_h264(true),
            Codec::Vp9 => config.enable_vp9(true),
            Codec::Av1 => config.enable_av1(true),
            other => panic!("no test needs {other:?}"),
        };
    }
    let (mut rtc, observed) = observing(|provider| {
        config
            .set_crypto_provider(Arc::new(provider))
            .build(Instant::now())
    });
    let candidate = Candidate::host(local_addr, "udp").expect("a loopback address is valid");
    rtc.add_local_candidate(candidate);
    (rtc, observed)
}

fn simulcast(rids: &[&str]) -> Option<Simulcast> {
    if rids.is_empty() {
        return None;
    }
    let mut simulcast = Simulcast::new();
    for rid in rids {
        simulcast.add_send_layer(SimulcastLayer::new(rid));
    }
    Some(simulcast)
}

/// Commands wait when this many are queued.
const COMMAND_QUEUE: usize = 64;

/// Newest events are dropped, and counted, beyond this many.
const EVENT_QUEUE: usize = 16_384;
