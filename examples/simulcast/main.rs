//! Simulcast: a page sends its camera in three encodings, and two screens of it show each the one that they ask for, or that
//! their path takes.
//!
//! ```text
//! cargo run --release --example simulcast
//! ```
//!
//! prints `Simulcast is at http://127.0.0.1:8833/`. Open that page, press Start, and then the buttons below the screens; the curves show
//! what arrives there. `--help` lists the options.
//!
//! ```text
//! Lobby
//! └── Studio                  one for each page: owns all that the page has
//!     ├── Forwarder           which screen gets which encoding
//!     ├── PeerConnection      the camera
//!     ├── PeerConnection      the left screen
//!     └── PeerConnection      the right screen
//! ```

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each example uses a part of it")]
pub(crate) mod common;
pub(crate) mod signal;
pub(crate) mod studio;

use std::process::ExitCode;

use common::arguments::Arguments;
use common::lobby::Lobby;
use common::program::{self, Failure};
use common::server::{Asset, router};
use ractor_webrtc::signaling::websocket::WebSocketLimits;
use signal::StudioSignal;
use studio::{Studio, StudioMessage};

#[tokio::main]
async fn main() -> ExitCode {
    program::launch(Arguments::on_port(8833), LOG, run).await
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let address = arguments.listen;
    let lobby = open(arguments).await?;
    let pages = router(PAGE, lobby.clone(), WebSocketLimits::default());
    let served = program::serve("Simulcast", address, pages).await;
    lobby.close().await;
    served
}

pub(crate) async fn open(
    arguments: Arguments,
) -> Result<Lobby<StudioMessage, StudioSignal>, Failure> {
    Lobby::open(Studio, arguments, |connections| connections).await
}

pub(crate) const PAGE: &[Asset] = &[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: include_str!("index.html"),
    },
    Asset {
        path: "/simulcast.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("simulcast.js"),
    },
    Asset {
        path: "/simulcast.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("simulcast.css"),
    },
];

const LOG: &str = "warn,webrtc_ice=error,dtls=error,simulcast=info,ractor_webrtc=info";
