//! WHIP and WHEP: one publishes, any number watch, by plain HTTP requests.
//!
//! ```text
//! cargo run --release --example whip_whep
//! ```
//!
//! prints `Watch at http://127.0.0.1:8840/, publish at http://127.0.0.1:8840/publish`. Open the first page in a tab or two,
//! the second one in another, and press Publish: within a second all of them show your camera. OBS, GStreamer, ffmpeg and
//! other pages publish to `http://127.0.0.1:8840/whip` and watch `http://127.0.0.1:8840/whep`; `/whip/NAME` and `/whep/NAME`
//! are other streams. `--help` lists the options.
//!
//! ```text
//! Station                 supervises both; without the socket there is nothing to do
//! ├── UdpEndpoint         one port for everybody's media, with --udp
//! └── Broadcaster         streams by name, and all that is below them
//! ```

pub(crate) mod arguments;
#[path = "../common/mod.rs"]
#[allow(dead_code, reason = "each example uses a part of it")]
pub(crate) mod common;
pub(crate) mod station;

use std::process::ExitCode;
use std::{env, io};

use arguments::{Arguments, HELP};
use axum::Router;
use common::program::{self, Failure};
use common::server::{Asset, files};
use ractor_webrtc::signaling::guarded::GuardedListener;
use ractor_webrtc::signaling::whip_whep::WhipWhep;
use station::Station;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let environment = |name: &str| env::var(name).ok();
    let command = Arguments::parse(environment, env::args().skip(1));
    program::obey(command, HELP, LOG, run).await
}

/// Serves until Ctrl-C, or until the service manager has had enough.
async fn run(arguments: Arguments) -> Result<(), Failure> {
    let listener = TcpListener::bind(arguments.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", arguments.listen))?;
    let address = listener.local_addr()?;
    let station = Station::open(&arguments).await?;
    let server = axum::serve(GuardedListener::new(listener), router(&station, &arguments));

    println!("Watch at http://{address}/, publish at http://{address}/publish");
    let outcome = tokio::select! {
        ended = async { server.await } => ended.map_err(Into::into),
        () = station.ended() => Err("the station has ended".into()),
        asked = told_to_stop() => asked.map_err(Into::into),
    };
    station.close().await;
    outcome
}

/// The pages, and what they and other clients speak to.
pub(crate) fn router(station: &Station, arguments: &Arguments) -> Router {
    let mut whip_whep =
        WhipWhep::new(station.broadcaster()).ice_servers(arguments.ice_servers.clone());
    if let Some(token) = &arguments.token {
        whip_whep = whip_whep.publish_token(token);
        if !arguments.public_viewing {
            whip_whep = whip_whep.watch_token(token);
        }
    }
    files(&PAGES).merge(whip_whep.router())
}

async fn told_to_stop() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            pressed = tokio::signal::ctrl_c() => pressed,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

const PAGES: [Asset; 5] = [
    html("/", include_str!("watch.html")),
    html("/publish", include_str!("publish.html")),
    script("/watch.js", include_str!("watch.js")),
    script("/publish.js", include_str!("publish.js")),
    script("/session.js", include_str!("session.js")),
];

const fn html(path: &'static str, body: &'static str) -> Asset {
    Asset {
        path,
        content_type: "text/html; charset=utf-8",
        body,
    }
}

const fn script(path: &'static str, body: &'static str) -> Asset {
    Asset {
        path,
        content_type: "text/javascript; charset=utf-8",
        body,
    }
}

/// The crates below warn of what every browser does.
const LOG: &str = "warn,webrtc_ice=error,dtls=error,whip_whep=info,ractor_webrtc=info";
