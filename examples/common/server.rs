//! The web server of an example: a few files, and a WebSocket at `/ws` for each visitor.

use std::future;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{self, CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::header;
use axum::routing::get;
use axum::{Error, Router};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use ractor::ActorRef;
use ractor::rpc::CallResult;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::signal::{FromPage, Page, Signal, WeakPage};

/// A file of the page, compiled into the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: &'static str,
}

/// Whoever lets visitors in.
pub(crate) trait Door: Clone + Send + Sync + 'static {
    /// What the visitor's actor is told, signals of its page among it.
    type Message: ractor::Message + From<FromPage>;

    /// Starts an actor for the visitor behind `page`, or says to the visitor why not.
    fn enter(
        &self,
        page: Page,
    ) -> impl Future<Output = Result<ActorRef<Self::Message>, String>> + Send;
}

/// Serves `assets`, and lets every WebSocket through `door`.
pub(crate) fn router<D: Door>(assets: &'static [Asset], door: D) -> Router {
    let files = assets.iter().fold(Router::new(), |router, asset| {
        let headers = [
            (header::CONTENT_TYPE, asset.content_type),
            (header::CACHE_CONTROL, "no-cache"),
        ];
        router.route(asset.path, get((headers, asset.body)))
    });
    files.route(
        "/ws",
        get(|upgrade: WebSocketUpgrade| async move {
            upgrade
                .max_message_size(MESSAGE_LIMIT)
                .max_frame_size(MESSAGE_LIMIT)
                .on_upgrade(move |socket| attend(socket, door))
        }),
    )
}

/// One visitor, from the open socket to the closed one. Everything happens in the task of the
/// socket, so that nothing is left when it ends.
async fn attend<D: Door>(socket: WebSocket, door: D) {
    let (mut sink, stream) = socket.split();
    let (page, outbox) = Page::new();
    let complaints = page.downgrade();
    match door.enter(page).await {
        Ok(actor) => {
            tokio::select! {
                why = listen(stream, &actor, complaints) => tracing::debug!(?why, "visitor left"),
                () = speak(&mut sink, outbox) => tracing::debug!("visitor's actor ended"),
            }
            actor.stop(Some("the page's socket is closed".to_owned()));
        }
        Err(refusal) => hang_up(&mut sink, ws::close_code::AGAIN, &refusal).await,
    }
}

/// Why nobody reads a page's messages any more.
#[derive(Debug)]
enum Departure {
    /// The page closed its socket.
    Closed,
    /// The socket broke, or the page broke the protocol or its limits.
    Broken(#[expect(dead_code, reason = "read by the log, through Debug")] Error),
    /// Not even a ping was answered.
    Silent,
}

/// Reads the page's messages, the next one when the actor is done with the last.
async fn listen<M>(
    mut stream: SplitStream<WebSocket>,
    actor: &ActorRef<M>,
    page: WeakPage,
) -> Departure
where
    M: ractor::Message + From<FromPage>,
{
    loop {
        let Ok(message) = timeout(SILENCE_LIMIT, stream.next()).await else {
            return Departure::Silent;
        };
        let signal = match message {
            Some(Ok(Message::Text(text))) => serde_json::from_str(&text),
            Some(Ok(Message::Binary(bytes))) => serde_json::from_slice(&bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
            Some(Ok(Message::Close(_))) | None => return Departure::Closed,
            Some(Err(error)) => return Departure::Broken(error),
        };
        let signal = match signal {
            Ok(signal) => signal,
            Err(error) => {
                page.say(Signal::Error(format!("that is not a signal: {error}")));
                continue;
            }
        };
        let message = |handled| FromPage { signal, handled }.into();
        let handled = actor.call(message, Some(HANDLING_LIMIT)).await;
        if !matches!(handled, Ok(CallResult::Success(()))) {
            // It has ended, or it is stuck and has to. `speak` sees that and takes leave of the page.
            actor.kill();
            return future::pending().await;
        }
    }
}

/// Writes what the actor says, and a ping now and then, until the actor is gone or the socket is stuck.
async fn speak(sink: &mut SplitSink<WebSocket, Message>, mut outbox: mpsc::Receiver<Signal>) {
    let mut pings = interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            signal = outbox.recv() => match signal {
                Some(signal) => Message::text(serde_json::to_string(&signal).expect("signals have string keys")),
                None => return hang_up(sink, ws::close_code::ERROR, "your actor has ended").await,
            },
            _ = pings.tick() => Message::Ping(Bytes::new()),
        };
        if !matches!(timeout(WRITE_LIMIT, sink.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn hang_up(sink: &mut SplitSink<WebSocket, Message>, code: ws::CloseCode, reason: &str) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // Who does not take leave is left standing: the socket closes with or without this.
    let _sent = timeout(WRITE_LIMIT, sink.send(Message::Close(Some(frame)))).await;
}

/// A browser's offer with every codec it knows is about 10 KiB.
const MESSAGE_LIMIT: usize = 64 * 1024;

/// How long the actor may work on one message.
const HANDLING_LIMIT: Duration = Duration::from_secs(10);

/// How long a socket may refuse to take what we write: a page that is alive reads.
const WRITE_LIMIT: Duration = Duration::from_secs(5);

const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Three pings without a word.
const SILENCE_LIMIT: Duration = Duration::from_secs(30);
