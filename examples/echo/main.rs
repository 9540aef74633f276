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
pub(crate) mod common;
pub(crate) mod forwarder;
pub(crate) mod lobby;

use std::error::Error;
use std::process::ExitCode;
use std::{env, io};

use common::arguments::{Arguments, Command, HELP};
use common::server::{Asset, router};
use common::signal::with_causes;
use lobby::Lobby;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();

    let outcome = match Arguments::on_port(8829).parse(env::args().skip(1)) {
        Ok(Command::Run(arguments)) => run(arguments).await,
        Ok(Command::Help) => {
            println!("{HELP}");
            Ok(())
        }
        Err(error) => Err(error.into()),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("error: {}", with_causes(&*error));
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// Serves until Ctrl-C.
async fn run(arguments: Arguments) -> Result<(), Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    let address = listener.local_addr()?;
    let lobby = Lobby::open(arguments).await?;

    println!("Echo is at http://{address}/");
    let server = axum::serve(listener, router(PAGE, lobby.clone()));
    tokio::select! {
        ended = async { server.await } => ended?,
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    lobby.close().await;
    Ok(())
}

pub(crate) const PAGE: &[Asset] = &[
    Asset {
        path: "/",
        content_type: "text/html; charset=utf-8",
        body: include_str!("index.html"),
    },
    Asset {
        path: "/echo.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("echo.css"),
    },
    Asset {
        path: "/echo.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("echo.js"),
    },
];

/// The crates below warn of what every browser does.
const LOG: &str = "warn,webrtc_ice=error,dtls=error,echo=info,ractor_webrtc=info";
