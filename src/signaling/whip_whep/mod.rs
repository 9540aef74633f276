//! WHIP and WHEP: who publishes, and who watches, by plain HTTP requests (RFC 9725; draft-ietf-wish-whep-03).
//!
//! [`WhipWhep`] makes a router of [`axum`] for the streams of a [`Broadcaster`]:
//!
//! | resource | request | answer |
//! | --- | --- | --- |
//! | `/whip`, `/whip/NAME` | `POST` an offer, `application/sdp` | 201, the answer, `Location`, `ETag`, `Link` for each ICE server |
//! | `/whep`, `/whep/NAME` | the same, to watch | the same |
//! | `Location` | `PATCH` candidates, `application/trickle-ice-sdpfrag` | 204 |
//! | `Location` | `PATCH` other ICE credentials: an ICE restart | 200, those of the server, `ETag` |
//! | `Location` | `DELETE` | 200 |
//! | all | `OPTIONS` | 200, what may be sent (CORS, `Accept-Post`, `Accept-Patch`) |
//! | all | `GET`, `HEAD` | 204; 200 with `Content-Type: application/sdp` where WHEP is spoken |
//!
//! Without a name a request means the stream `default`. Viewers may come before the publisher. A second publisher of a stream takes the place of the
//! first one as soon as it is connected, so that an encoder that lost its network and returns is not
//! locked out by what is left of it.
//!
//! What is wrong is said with a status and an `application/problem+json` body (RFC 9457) whose `detail` tells what to do about it:
//!
//! | status | when |
//! | --- | --- |
//! | 400 | not a description, a direction or a number of tracks that is not for this, not a fragment |
//! | 401 | no token, or a wrong one |
//! | 404 | a name that no stream can have, or a session that is not there (any more) |
//! | 405 | another method |
//! | 406 | no codec in common, or something that is not supported |
//! | 408 | the body did not come in time |
//! | 409 | an ICE restart of the same session is under way |
//! | 412, 428 | `If-Match` names an ICE session that is over, or is missing |
//! | 413 | the body is larger than the limit |
//! | 415 | another media type |
//! | 503 | as many publishers or viewers as there may be; `Retry-After` says when to ask again |
//!
//! The paths that a client gets in `Location` are those it asked for: where the router is nested below another path, that is kept. A
//! proxy in front must not change paths.
//!
//! ```no_run
//! use ractor_webrtc::signaling::broadcaster::{Broadcaster, BroadcasterEvent};
//! use ractor_webrtc::signaling::guarded::GuardedListener;
//! use ractor_webrtc::signaling::whip_whep::WhipWhep;
//! use tokio::net::TcpListener;
//!
//! # async fn example<M: ractor::Message + From<BroadcasterEvent>>(owner: ractor::ActorRef<M>)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let broadcaster = Broadcaster::builder().spawn_linked(&owner).await?;
//! let router = WhipWhep::new(&broadcaster).publish_token("secret").router();
//! let listener = GuardedListener::new(TcpListener::bind("127.0.0.1:8080").await?);
//! axum::serve(listener, router).await?;
//! # Ok(())
//! # }
//! ```

mod access;
mod handlers;
mod link;
mod problem;
mod request;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::middleware;
use axum::routing::any;

use self::access::Access;
use super::broadcaster::{Broadcaster, Role};
use crate::ice::IceServer;

/// Settings of the router; [`router`](Self::router) makes it.
///
/// See the [module](self) for what it serves.
#[derive(Clone, Debug)]
#[must_use = "settings do nothing until a router is made of them"]
pub struct WhipWhep {
    broadcaster: Broadcaster,
    access: Access,
    /// One for each URL of each server.
    links: Vec<HeaderValue>,
    body_limit: usize,
    body_deadline: Duration,
}

impl WhipWhep {
    /// A router for the streams of `broadcaster`, open to everybody until a token is set.
    pub fn new(broadcaster: &Broadcaster) -> Self {
        Self {
            broadcaster: broadcaster.clone(),
            access: Access::default(),
            links: Vec::new(),
            body_limit: 64 * 1024,
            body_deadline: Duration::from_secs(10),
        }
    }

    /// Lets publish only who says this token (`Authorization: Bearer …`, RFC 6750).
    pub fn publish_token(mut self, token: &str) -> Self {
        self.access.require(Role::Publisher, token);
        self
    }

    /// Lets watch only who says this token.
    pub fn watch_token(mut self, token: &str) -> Self {
        self.access.require(Role::Viewer, token);
        self
    }

    /// The STUN and TURN servers that clients are told to use (RFC 9725 §4.6). Who gets them gets their credentials too.
    pub fn ice_servers(mut self, servers: impl IntoIterator<Item = IceServer>) -> Self {
        self.links = servers.into_iter().flat_map(|one| link::of(&one)).collect();
        self
    }

    /// How long a body may be, in bytes (default 65 536; an offer with every codec of a browser has about 10 000).
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// How long a body may take to arrive (default 10 s).
    pub fn body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = deadline;
        self
    }

    /// The router, to be served, merged with others or nested below a path.
    pub fn router(self) -> Router {
        let shared = Arc::new(self);
        let roles = [Role::Publisher, Role::Viewer];
        let routes = roles.into_iter().fold(Router::new(), |router, role| {
            let root = handlers::root(role);
            let endpoint = any(move |state, request| handlers::endpoint(role, state, request));
            let session = any(move |state, request| handlers::session(role, state, request));
            router
                .route(root, endpoint.clone())
                .route(&format!("{root}/{{name}}"), endpoint)
                .route(&format!("{root}/sessions/{{id}}"), session)
        });
        routes
            .layer(middleware::map_response(handlers::open_to_other_origins))
            .with_state(shared)
    }
}
