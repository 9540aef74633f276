//! What a page and its actor say to each other.

use std::error::Error;
use std::iter;

use ractor::RpcReplyPort;
use ractor_webrtc::{IceCandidate, SessionDescription};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// One message on the WebSocket, `{"type":"offer","data":{…}}`: the signalling protocol of the examples of
/// Elixir WebRTC, so that a page written for them works here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "lowercase")]
pub(crate) enum Signal {
    /// An offer, from either side.
    Offer(SessionDescription),
    /// The answer to it.
    Answer(SessionDescription),
    /// A candidate, as soon as it is found; a page may say `null` when it has no more.
    Ice(Option<IceCandidate>),
    /// To the page only: what was wrong with its last message. Pages that do not know it ignore it.
    Error(String),
    /// From the page only: its actor shall panic. There to be tried, and for tests.
    Crash,
}

/// A signal on its way to the actor. The page's next one is read when `handled` is answered, so
/// a page can never have more than one message in the actor's mailbox.
#[derive(Debug)]
pub(crate) struct FromPage {
    pub(crate) signal: Signal,
    pub(crate) handled: RpcReplyPort<()>,
}

/// The actor's line to its page. The page's socket closes when the last clone is gone.
#[derive(Clone, Debug)]
pub(crate) struct Page(mpsc::Sender<Signal>);

/// The page has closed its socket, or does not read what it is told.
#[derive(Debug, thiserror::Error)]
#[error("the page does not listen")]
pub(crate) struct PageGone;

impl Page {
    /// A line of [`BACKLOG`] messages, and its other end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Signal>) {
        let (outbox, receiver) = mpsc::channel(BACKLOG);
        (Self(outbox), receiver)
    }

    /// Says something to the page; does not wait.
    pub(crate) fn say(&self, signal: Signal) -> Result<(), PageGone> {
        self.0.try_send(signal).map_err(|_| PageGone)
    }

    /// A line that does not keep the page's socket open.
    pub(crate) fn downgrade(&self) -> WeakPage {
        WeakPage(self.0.downgrade())
    }
}

/// The socket's own line to the page, for what it need not ask the actor.
#[derive(Debug)]
pub(crate) struct WeakPage(mpsc::WeakSender<Signal>);

impl WeakPage {
    /// Says something to a page whose actor still lives and which still listens.
    pub(crate) fn say(&self, signal: Signal) {
        if let Some(outbox) = self.0.upgrade() {
            // A page that sends nonsense and reads no complaints will be gone soon.
            let _unheard = outbox.try_send(signal);
        }
    }
}

/// An error and all its causes in one line.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Messages that may wait for a slow socket. A negotiation has one answer and a candidate per address.
const BACKLOG: usize = 64;
