//! The clients, on an independent stack: `str0m` for ICE, DTLS and keys.
//!
//! What a viewer is sent is counted by the RTP header, which SRTP leaves in the clear, so that hundreds
//! of viewers at a hundred thousand packets a second fit in one core. Every viewer decrypts its first packet,
//! to learn which sequence number is which packet of the stream; some decrypt all of them, and compare
//! each byte.

mod histogram;
mod publisher;
mod stream;
mod tally;
mod viewer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use str0m::format::{Codec, CodecConfig, CodecSpec, FormatParams, PayloadParams};
use str0m::media::{Direction, Frequency, MediaKind, Mid, Pt};
use str0m::rtp::Extension;
use str0m::{Candidate, Rtc, RtcConfig};

pub(crate) use self::histogram::Histogram;
pub(crate) use self::publisher::{KeyframeRequests, Publisher};
pub(crate) use self::stream::{FRAME, Pace, SentTimes, Shape};
pub(crate) use self::viewer::{Clients, Viewers};
use super::Failure;
use super::child::Server;
use super::observed::{ObservedSlot, observing};
use super::protocol::Role;

/// A stack whose connection the server has answered.
struct Negotiated {
    rtc: Rtc,
    mid: Mid,
    dtls: ObservedSlot,
}

/// Makes an offer for one video track and takes the server's answer.
///
/// VP8 only, and without `repairs` no retransmission: `nack` is in no offer, so no server keeps packets for it, and a viewer
/// negotiates the MID extension and no other. The publisher also numbers its packets transport-wide, and gets
/// feedback, as from a browser.
async fn negotiate(
    server: &mut Server,
    role: Role,
    address: SocketAddr,
    repairs: bool,
) -> Result<Negotiated, Failure> {
    let mut codec = PayloadParams::new(
        PAYLOAD_TYPE,
        repairs.then_some(RTX_PAYLOAD_TYPE),
        CodecSpec {
            codec: Codec::Vp8,
            clock_rate: Frequency::NINETY_KHZ,
            channels: None,
            format: FormatParams::default(),
        },
    );
    codec.set_fb_nack(repairs);
    let numbers = repairs || role == Role::Publisher;
    codec.set_fb_transport_cc(numbers);
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .clear_extension_map()
        .set_extension(4, Extension::RtpMid);
    if numbers {
        config = config.set_extension(3, Extension::TransportSequenceNumber);
    }
    *config.codec_config() = CodecConfig::new_from_payload_params(vec![codec]);
    let (mut rtc, dtls) = observing(|provider| {
        config
            .set_crypto_provider(Arc::new(provider))
            .build(Instant::now())
    });
    rtc.add_local_candidate(Candidate::host(address, "udp")?);
    let direction = match role {
        Role::Publisher => Direction::SendOnly,
        Role::Viewer => Direction::RecvOnly,
    };
    let mut changes = rtc.sdp_api();
    let mid = changes.add_media(MediaKind::Video, direction, None, None, None);
    let (offer, pending) = changes.apply().expect("there is something to offer");
    let answer = server.join(role, offer.to_sdp_string()).await?;
    let answer = str0m::change::SdpAnswer::from_sdp_string(&answer)?;
    rtc.sdp_api().accept_answer(pending, answer)?;
    Ok(Negotiated { rtc, mid, dtls })
}

/// As large as the kernel grants without asking for privileges: nothing must be lost at the clients.
fn enlarge_buffers(socket: &std::net::UdpSocket) -> std::io::Result<()> {
    let socket = socket2::SockRef::from(socket);
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)
}

const PAYLOAD_TYPE: Pt = Pt::new_with_value(96);

const RTX_PAYLOAD_TYPE: Pt = Pt::new_with_value(97);

const BUFFER_BYTES: usize = 4 * 1024 * 1024;
