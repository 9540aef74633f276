//! The web server of an example: a few files, and a WebSocket at `/ws` for each page.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use ractor_webrtc::signaling::websocket::{self, Door, WebSocketLimits};

/// A file of the page, compiled into the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: &'static str,
}

/// Serves `assets` and what all pages share, and lets every WebSocket through `door`.
pub(crate) fn router<D: Door>(assets: &[Asset], door: D, limits: WebSocketLimits) -> Router {
    files(assets).route("/ws", websocket::route(door, limits))
}

/// Serves `assets` and what all pages share.
pub(crate) fn files(assets: &[Asset]) -> Router {
    let all = SHARED.iter().chain(assets);
    all.fold(Router::new(), |router, asset| {
        let headers = [
            (header::CONTENT_TYPE, asset.content_type),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        router.route(asset.path, get((headers, asset.body)))
    })
}

/// What all pages look like, and have in common.
const SHARED: [Asset; 2] = [
    Asset {
        path: "/style.css",
        content_type: "text/css; charset=utf-8",
        body: include_str!("style.css"),
    },
    Asset {
        path: "/page.js",
        content_type: "text/javascript; charset=utf-8",
        body: include_str!("page.js"),
    },
];
