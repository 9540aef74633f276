//! Echo: a page sends camera and microphone, an actor sends both back.
//!
//! ```text
//! cargo run --release --example echo
//! ```
//!
//! prints `Echo is at http://127.0.0.1:8829/`. Open that page and press Start: within a second you see
//! and hear yourself a second time, through the server. `--help` lists the options.
//!
//! ```text
//! Lobby                   supervises the visitors, lets in a limited number
//! ├── Forwarder           one for each open page: the owner of a PeerConnection
//! │   └── PeerConnection  … and what is below it
//! └── Forwarder           …
//! ```
//!
//! When a `Forwarder` panics, its visitor's socket closes and nobody else notices: try
//! `http://127.0.0.1:8829/?debug` in one window while another one runs.

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each example uses a part of it")]
pub(crate) mod common;
pub(crate) mod forwarder;

use std::process::ExitCode;

use common::arguments::Arguments;
use common::lobby::Lobby;
use common::program::{self, Failure};
use common::server::{Asset, router};
use forwarder::Forwarder;
use ractor_webrtc::signaling::websocket::WebSocketLimits;

#[tokio::main]
async fn main() -> ExitCode {
    program::launch(Arguments::on_port(8829), LOG, run).await
}

/// Serves until Ctrl-C.
async fn run(arguments: Arguments) -> Result<(), Failure> {
    let address = arguments.listen;
    let lobby = Lobby::open(Forwarder, arguments, |connections| connections).await?;
    let pages = router(PAGE, lobby.clone(), WebSocketLimits::default());
    let served = program::serve("Echo", address, pages).await;
    lobby.close().await;
    served
}

pub(crate) const PAGE: &[Asset] = &[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: include_str!("index.html"),
    },
    Asset {
        path: "/echo.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("echo.js"),
    },
];

/// The crates below warn of what every browser does.
const LOG: &str = "warn,webrtc_ice=error,dtls=error,echo=info,ractor_webrtc=info";
