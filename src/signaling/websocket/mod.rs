//! A WebSocket for each page, and an actor behind it.
//!
//! Whoever opens the socket is a *page*, browser or not. A [`Door`] of the application lets it in: it starts an actor
//! for it, which gets what the page says ([`FromPage`], JSON read into a type of the application) and has a
//! [`Page`] to speak to it. When one of the two ends, so does the other: a page that leaves stops its actor, an actor that ends or
//! crashes closes its page's socket and nobody else's.
//!
//! ```no_run
//! use ractor::{Actor, ActorProcessingErr, ActorRef};
//! use ractor_webrtc::perfect_negotiation::SignalingMessage;
//! use ractor_webrtc::signaling::websocket::{self, Door, FromPage, Goodbye, Page, WebSocketLimits};
//!
//! struct Visitor;
//!
//! enum VisitorMessage {
//!     Page(FromPage<SignalingMessage>),
//! }
//!
//! impl From<FromPage<SignalingMessage>> for VisitorMessage {
//!     fn from(said: FromPage<SignalingMessage>) -> Self {
//!         Self::Page(said)
//!     }
//! }
//!
//! impl Actor for Visitor {
//!     type Msg = VisitorMessage;
//!     type State = Page<SignalingMessage>;
//!     type Arguments = Page<SignalingMessage>;
//!
//!     async fn pre_start(
//!         &self,
//!         _: ActorRef<VisitorMessage>,
//!         page: Page<SignalingMessage>,
//!     ) -> Result<Page<SignalingMessage>, ActorProcessingErr> {
//!         Ok(page)
//!     }
//!
//!     async fn handle(
//!         &self,
//!         _: ActorRef<VisitorMessage>,
//!         message: VisitorMessage,
//!         page: &mut Page<SignalingMessage>,
//!     ) -> Result<(), ActorProcessingErr> {
//!         let VisitorMessage::Page(said) = message;
//!         // The next message is read when `said` is dropped.
//!         page.say(&said.message)?;
//!         Ok(())
//!     }
//! }
//!
//! #[derive(Clone)]
//! struct Everybody;
//!
//! impl Door for Everybody {
//!     type Incoming = SignalingMessage;
//!     type Outgoing = SignalingMessage;
//!     type Message = VisitorMessage;
//!
//!     async fn enter(
//!         &self,
//!         page: Page<SignalingMessage>,
//!     ) -> Result<ActorRef<VisitorMessage>, Goodbye> {
//!         match Actor::spawn(None, Visitor, page).await {
//!             Ok((visitor, _)) => Ok(visitor),
//!             Err(error) => Err(Goodbye::error(format!("no actor for you: {error}"))),
//!         }
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let app = axum::Router::new()
//!     .route("/ws", websocket::route(Everybody, WebSocketLimits::default()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What a page may not do
//!
//! [`WebSocketLimits`] has the figures. Each ends the visit, with the close code of RFC 6455 §7.4.1 and a reason in words:
//!
//! | the page | code | what becomes of its actor |
//! | --- | --- | --- |
//! | was not let in | the door's, 1013 as a rule | there is none |
//! | leaves | its own | stopped |
//! | does not even answer pings | 1008 | stopped |
//! | does not read what it is told | 1008 | stopped |
//! | says too much in one message | 1009 | stopped |
//! | says nothing but nonsense | 1008 | stopped |
//! | breaks the protocol | 1002 | stopped |
//! | is well, but its actor is stuck with a message | 1011 | killed |
//! | is well, but its actor has ended | the actor's ([`Page::hang_up`]), else 1011 | |
//!
//! A page has one message in its actor's mailbox at a time. Everything happens in the one task of the socket, and each of its waits has an end;
//! when it goes, by whatever way, the actor is stopped.

mod door;
mod goodbye;
mod limits;
mod origin;
mod page;
mod visit;

use axum::extract::ws::WebSocketUpgrade;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};

pub use self::door::{Door, FromPage};
pub use self::goodbye::Goodbye;
pub use self::limits::WebSocketLimits;
pub use self::page::{Page, PageError};

/// A route at which pages of the same site open their sockets. Pages of other sites get a 403: a browser lets any page
/// connect to anywhere, also to what listens on its own machine only.
///
/// Where a proxy stands in front, it has to pass the `Host` header on. Who may come from elsewhere, or has to show
/// something first, is for a handler of the application to say, with [`accept`] at its end.
pub fn route<D, S>(door: D, limits: WebSocketLimits) -> MethodRouter<S>
where
    D: Door,
    S: Clone + Send + Sync + 'static,
{
    get(
        async move |uri: Uri, headers: HeaderMap, upgrade: WebSocketUpgrade| {
            if origin::is_foreign(&uri, &headers) {
                let why = "this WebSocket is for pages of the same site";
                return (StatusCode::FORBIDDEN, why).into_response();
            }
            accept(upgrade, door, limits)
        },
    )
}

/// Answers a request for a WebSocket, and takes the page through `door`. For handlers that look at the request first.
pub fn accept<D: Door>(upgrade: WebSocketUpgrade, door: D, limits: WebSocketLimits) -> Response {
    // Up to twice the limit is read, so that the page can be told properly what was wrong.
    let read_limit = limits.message_bytes.saturating_mul(2);
    upgrade
        .max_message_size(read_limit)
        .max_frame_size(read_limit)
        .on_upgrade(move |socket| visit::attend(socket, door, limits))
}
