//! Supervised forwarders: a tree of rooms, a page that draws it while it runs, and a button to kill each actor.
//!
//! ```text
//! cargo run --release --example supervised_forwarders
//! ```
//!
//! prints `The tree is at http://127.0.0.1:8834/`. Open that page in two tabs, join a room in each, then kill whatever you like: what is
//! killed comes back, by whoever supervises it, and nobody is hurt who is not below it. `--help` lists the options.
//!
//! ```text
//! Supervisor            rest_for_one: what comes later needs what comes before
//! ├── endpoint          UdpEndpoint, for all media
//! ├── rooms             Supervisor, one_for_one
//! │   ├── blue          Keeper
//! │   │   └── Room      … with its Forwarder and its Participants, and what is below them
//! │   └── green         Keeper
//! │       └── Room
//! └── pages             Supervisor, one_for_one: a Visitor for each page that has joined
//! ```

#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each example uses a part of it")]
pub(crate) mod common;
pub(crate) mod house;
#[path = "../room/visitor.rs"]
pub(crate) mod visitor;

use std::process::ExitCode;

use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use common::arguments::Arguments;
use common::program::{self, Failure};
use common::server::{Asset, files};
use house::{House, ROOMS};
use ractor_webrtc::signaling::websocket;
use serde::Deserialize;
use visitor::limits;

#[tokio::main]
async fn main() -> ExitCode {
    program::launch(Arguments::on_port(8834), LOG, run).await
}

/// Serves until Ctrl-C, or until so much has failed that the house gives up.
async fn run(arguments: Arguments) -> Result<(), Failure> {
    let address = arguments.listen;
    let house = House::build(arguments).await?;
    tokio::select! {
        served = program::serve("The tree", address, app(&house)) => {
            house.close().await;
            served
        }
        failure = house.ended() => Err(failure),
    }
}

/// The page, a WebSocket for each room, the tree, and what kills.
pub(crate) fn app(house: &House) -> Router {
    let mut app = files(PAGE);
    for room in ROOMS {
        let door = websocket::route(house.door(room), limits());
        app = app.route(&format!("/ws/{room}"), door);
    }
    let (shown, hurt) = (house.clone(), house.clone());
    app.route("/tree.json", get(async move || Json(shown.look().await)))
        .route("/kill", post(async move |wanted| kill(&hurt, wanted).await))
}

/// As JSON, which a page from elsewhere may not send.
#[derive(Debug, Deserialize)]
struct Kill {
    actor: String,
}

async fn kill(house: &House, Json(Kill { actor }): Json<Kill>) -> StatusCode {
    if house.kill(&actor).await {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

const PAGE: &[Asset] = &[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: include_str!("index.html"),
    },
    Asset {
        path: "/tree.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("tree.css"),
    },
    Asset {
        path: "/tree.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("tree.js"),
    },
    Asset {
        path: "/call.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("../room/call.js"),
    },
];

/// The crates below warn of what every browser does.
const LOG: &str = "warn,webrtc_ice=error,dtls=error,supervised_forwarders=info,ractor_webrtc=info";
