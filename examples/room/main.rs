//! Room: everybody who opens the page sees and hears everybody else.
//!
//! ```text
//! cargo run --release --example room
//! ```
//!
//! prints `The room is at http://127.0.0.1:8831/`. Open that page in several tabs, or on several machines (see the
//! README), give a name in each and press Join: every page shows all others, and who speaks has a bright frame.
//! `--help` lists the options.
//!
//! ```text
//! Hall                    supervises all of this, and opens another room should one end
//! ├── Room                who is there, who speaks, who gets what
//! │   ├── Forwarder
//! │   └── Participant     … and what is below it, for each who has joined
//! ├── Visitor             one for each open page: speaks with it, and listens to its participant
//! └── Visitor             …
//! ```

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each example uses a part of it")]
pub(crate) mod common;
pub(crate) mod hall;
pub(crate) mod visitor;

use std::process::ExitCode;

use axum::Json;
use axum::http::StatusCode;
use axum::routing::get;
use common::arguments::Arguments;
use common::program::{self, Failure};
use common::server::{Asset, router};
use hall::Hall;
use ractor_webrtc::room::RoomSnapshot;
use visitor::limits;

#[tokio::main]
async fn main() -> ExitCode {
    program::launch(Arguments::on_port(8831), LOG, run).await
}

/// Serves until Ctrl-C.
async fn run(arguments: Arguments) -> Result<(), Failure> {
    let address = arguments.listen;
    let hall = Hall::open(arguments).await?;
    let doorman = hall.clone();
    let pages = router(PAGE, hall.clone(), limits())
        .route("/room.json", get(async move || who_is_here(&doorman).await));
    let served = program::serve("The room", address, pages).await;
    hall.close().await;
    served
}

/// What the server knows of the room.
async fn who_is_here(hall: &Hall) -> Result<Json<RoomSnapshot>, StatusCode> {
    let closed = StatusCode::SERVICE_UNAVAILABLE;
    let room = hall.room().await.ok_or(closed)?;
    room.snapshot().await.map(Json).map_err(|_ended| closed)
}

pub(crate) const PAGE: &[Asset] = &[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: include_str!("index.html"),
    },
    Asset {
        path: "/room.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("room.css"),
    },
    Asset {
        path: "/room.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("room.js"),
    },
    Asset {
        path: "/call.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("call.js"),
    },
];

/// The crates below warn of what every browser does.
const LOG: &str = "warn,webrtc_ice=error,dtls=error,room=info,ractor_webrtc=info";
