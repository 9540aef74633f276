//! Relay by hand: two pages see and hear each other, through actors that touch every packet.
//!
//! ```text
//! cargo run --release --example relay_by_hand
//! ```
//!
//! prints `The relay is at http://127.0.0.1:8830/`. Open that page twice and press Start in both: each shows the
//! other one's camera. Reload one: the other has it back within a second or two. `--help` lists the options.
//!
//! ```text
//! Lobby                   supervises the two sides
//! ├── Side                owns the connection to its page, hands its packets to the other side's
//! │   └── PeerConnection
//! └── Side
//!     └── PeerConnection
//! ```

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each example uses a part of it")]
pub(crate) mod common;
pub(crate) mod side;

use std::process::ExitCode;

use common::arguments::Arguments;
use common::lobby::Lobby;
use common::program::{self, Failure};
use common::server::{Asset, router};
use ractor_webrtc::codec::RtpCodec;
use ractor_webrtc::configuration::CodecConfiguration;
use ractor_webrtc::rtp::PayloadType;
use ractor_webrtc::signaling::websocket::WebSocketLimits;
use ractor_webrtc::{MediaConfiguration, MediaKind, PeerConnectionBuilder};
use side::{Side, SideMessage};

#[tokio::main]
async fn main() -> ExitCode {
    program::launch(Arguments::on_port(8830), LOG, run).await
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let address = arguments.listen;
    let lobby = open(arguments).await?;
    let pages = router(PAGE, lobby.clone(), WebSocketLimits::default());
    let served = program::serve("The relay", address, pages).await;
    lobby.close().await;
    served
}

pub(crate) async fn open(mut arguments: Arguments) -> Result<Lobby<SideMessage>, Failure> {
    arguments.visitors = 2;
    Lobby::open(Side, arguments, with_one_codec).await
}

/// Nothing is re-encoded on the way, so both pages have to know what they send each other. Every browser has VP8 (RFC 7742 §5).
fn with_one_codec(connections: PeerConnectionBuilder) -> PeerConnectionBuilder {
    let number = PayloadType::new(96).expect("below 128");
    let vp8 = CodecConfiguration::new(RtpCodec::vp8(), number);
    let media = MediaConfiguration::builder().codecs(MediaKind::Video, [vp8]);
    connections.media(media.build().expect("one codec, one number"))
}

pub(crate) const PAGE: &[Asset] = &[Asset {
    path: "/",
    content_type: "text/html; charset=utf-8",
    body: include_str!("index.html"),
}];

const LOG: &str = "warn,webrtc_ice=error,dtls=error,relay_by_hand=info,ractor_webrtc=info";
