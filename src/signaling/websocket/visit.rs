//! One page from the open socket to the closed one: the task of the socket.

use std::future;

use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use ractor::{ActorCell, ActorRef};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::door::{Door, FromPage};
use super::goodbye::Goodbye;
use super::limits::WebSocketLimits;
use super::page::{Line, Page, Said, WeakPage};
use crate::stop::{END_DEADLINE, force_after};

type Sink = SplitSink<WebSocket, Message>;

/// How a visit ends.
enum Ending {
    /// The page has closed its socket, or lost it.
    Left,
    /// We close it.
    Goodbye(Goodbye),
}

/// Takes the page through the door, and carries messages both ways until one side has had enough.
pub(super) async fn attend<D: Door>(socket: WebSocket, door: D, limits: WebSocketLimits) {
    let (mut sink, mut stream) = socket.split();
    let (page, mut line) = Page::new(limits.backlog);
    let complaints = page.downgrade();
    let entered = timeout(limits.handling, door.enter(page)).await;
    let (visitor, ending) = match entered {
        Ok(Ok(actor)) => {
            let visitor = Visitor(actor.get_cell());
            let Line { queue, overflow } = &mut line;
            let ears = Ears {
                door: &door,
                actor: &actor,
                complaints,
                limits,
            };
            let ending = tokio::select! {
                ending = ears.listen(&mut stream) => ending,
                ending = speak(&mut sink, queue, &actor, limits) => ending,
                () = overflow.notified() => {
                    Ending::Goodbye(Goodbye::policy("you do not read what you are told"))
                }
            };
            (Some(visitor), ending)
        }
        Ok(Err(refusal)) => (None, Ending::Goodbye(refusal)),
        Err(_elapsed) => {
            let late = Goodbye::try_again("nobody opened the door in time");
            (None, Ending::Goodbye(late))
        }
    };
    // Whoever still holds the line hears that nobody listens.
    drop(line);
    let leave = async {
        if let Some(visitor) = visitor {
            visitor.leave(limits).await;
        }
    };
    tokio::join!(leave, close(&mut sink, &mut stream, ending, limits));
}

/// The actor of a page, which does not outlive the page's socket.
struct Visitor(ActorCell);

impl Visitor {
    /// Stops the actor. One that is stuck in a message does not hear that, and is killed.
    async fn leave(self, limits: WebSocketLimits) {
        self.0.stop(Some(GONE.to_owned()));
        force_after(self.0.clone(), limits.handling).wait().await;
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.0.stop(Some(GONE.to_owned()));
        force_after(self.0.clone(), END_DEADLINE);
    }
}

/// What it takes to listen to a page.
struct Ears<'a, D: Door> {
    door: &'a D,
    actor: &'a ActorRef<D::Message>,
    complaints: WeakPage<D::Outgoing>,
    limits: WebSocketLimits,
}

impl<D: Door> Ears<'_, D> {
    /// Reads the page's messages, the next one when the actor is done with the last.
    async fn listen(&self, stream: &mut SplitStream<WebSocket>) -> Ending {
        let limits = self.limits;
        let mut nonsense = 0;
        loop {
            let Ok(heard) = timeout(limits.silence, stream.next()).await else {
                return Ending::Goodbye(Goodbye::policy("nothing was heard of you for too long"));
            };
            let bytes = match heard {
                Some(Ok(Message::Text(text))) => Bytes::from(text),
                Some(Ok(Message::Binary(bytes))) => bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_))) | None => return Ending::Left,
                Some(Err(error)) => {
                    tracing::debug!(%error, "a page's socket broke");
                    let why = "that is not the WebSocket protocol, or far too large";
                    return Ending::Goodbye(Goodbye::protocol(why));
                }
            };
            if bytes.len() > limits.message_bytes {
                let most = limits.message_bytes;
                let why = format!("a message may have {most} bytes, not {}", bytes.len());
                return Ending::Goodbye(Goodbye::too_large(why));
            }
            match serde_json::from_slice(&bytes) {
                Ok(message) => {
                    nonsense = 0;
                    if let Err(stuck) = self.hand_over(message).await {
                        return Ending::Goodbye(stuck);
                    }
                }
                Err(error) => {
                    nonsense += 1;
                    if nonsense > limits.nonsense {
                        let why = format!("too much that is not understood: {error}");
                        return Ending::Goodbye(Goodbye::policy(why));
                    }
                    self.complain(&error);
                }
            }
        }
    }

    /// Waits until the actor is done with the message. One that is stuck with it is killed.
    async fn hand_over(&self, message: D::Incoming) -> Result<(), Goodbye> {
        let (message, dropped) = FromPage::new(message);
        if self.actor.cast(message.into()).is_err() {
            // It has ended. What it said before is being written, and then the page hears of it.
            return future::pending().await;
        }
        if timeout(self.limits.handling, dropped).await.is_err() {
            self.actor.kill();
            return Err(Goodbye::error("your actor is stuck with your message"));
        }
        Ok(())
    }

    fn complain(&self, error: &serde_json::Error) {
        if let Some(complaint) = self.door.complain(error)
            && let Some(page) = self.complaints.upgrade()
        {
            // A full line ends the visit by itself.
            let _unheard = page.say(&complaint);
        }
    }
}

/// Writes what the actor says, and a ping now and then, until the actor is gone or the socket stuck.
async fn speak<M>(
    sink: &mut Sink,
    queue: &mut mpsc::Receiver<Said>,
    actor: &ActorRef<M>,
    limits: WebSocketLimits,
) -> Ending {
    let mut pings = interval(limits.ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut has_ended = false;
    loop {
        let message = tokio::select! {
            biased;
            _ = pings.tick() => Message::Ping(Bytes::new()),
            said = queue.recv() => match said {
                Some(Said::Text(text)) => Message::Text(text),
                Some(Said::Goodbye(goodbye)) => return Ending::Goodbye(goodbye),
                None => return Ending::Goodbye(Goodbye::error("your actor has ended")),
            },
            _stopped = actor.wait(None), if !has_ended => {
                // Somebody else may hold the line; what is in it already is written.
                has_ended = true;
                queue.close();
                continue;
            }
        };
        match timeout(limits.writing, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_broken)) => return Ending::Left,
            Err(_elapsed) => {
                let slow = Goodbye::policy("you read too slowly");
                return Ending::Goodbye(slow);
            }
        }
    }
}

/// Takes leave: says goodbye, and reads on until the page has done so too, or is not expected to any more. A socket that
/// is closed with something unread takes what was written last with it.
async fn close(
    sink: &mut Sink,
    stream: &mut SplitStream<WebSocket>,
    ending: Ending,
    limits: WebSocketLimits,
) {
    let farewell = async {
        match ending {
            // Answers the page's own goodbye.
            Ending::Left => sink.close().await,
            Ending::Goodbye(goodbye) => {
                tracing::debug!(code = goodbye.code, reason = goodbye.reason, "hanging up");
                let frame = goodbye.into_frame();
                sink.send(Message::Close(Some(frame))).await?;
                while let Some(Ok(_unheard)) = stream.next().await {}
                Ok(())
            }
        }
    };
    // Who does not take leave is left standing.
    let _left = timeout(limits.writing, farewell).await;
}

/// What the actor's supervisor hears.
const GONE: &str = "the page's socket is closed";
