//! How a page comes to its actor.

use ractor::ActorRef;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::goodbye::Goodbye;
use super::page::Page;

/// Lets pages in: gives each an actor. A supervisor's handle, as a rule, which has the actor started below it.
pub trait Door: Clone + Send + Sync + 'static {
    /// What pages say, one JSON value a message.
    type Incoming: DeserializeOwned + Send + 'static;
    /// What pages are told.
    type Outgoing: Serialize + Send + 'static;
    /// What the page's actor is told, the page's messages among it.
    type Message: ractor::Message + From<FromPage<Self::Incoming>>;

    /// Starts an actor for the page, or says to it why not.
    ///
    /// It may wait for [`WebSocketLimits::handling`](super::WebSocketLimits::handling); then the future is dropped and the page
    /// turned away. An actor that was started meanwhile has a page that does not listen.
    fn enter(
        &self,
        page: Page<Self::Outgoing>,
    ) -> impl Future<Output = Result<ActorRef<Self::Message>, Goodbye>> + Send;

    /// What a page is told whose message is no JSON, or not of the type. By default nothing; too many such messages in a row
    /// end the visit ([`WebSocketLimits::nonsense`](super::WebSocketLimits::nonsense)).
    fn complain(&self, _nonsense: &serde_json::Error) -> Option<Self::Outgoing> {
        None
    }
}

/// A page's message, in its actor's mailbox. The page's next one is read when this is dropped: so a page has never more
/// than one message there, however fast it speaks.
#[derive(Debug)]
pub struct FromPage<T> {
    /// What the page said.
    pub message: T,
    _handled: oneshot::Sender<()>,
}

impl<T> FromPage<T> {
    /// The message, and what completes when it has been dropped.
    pub(super) fn new(message: T) -> (Self, oneshot::Receiver<()>) {
        let (handled, dropped) = oneshot::channel();
        let _handled = handled;
        (Self { message, _handled }, dropped)
    }
}
