//! The actor's line to its page.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use serde::Serialize;
use tokio::sync::{Notify, mpsc};

use super::goodbye::Goodbye;

/// What an actor has to speak to its page: puts messages into a queue, from which the socket's task writes them.
///
/// The queue is bounded ([`WebSocketLimits::backlog`](super::WebSocketLimits::backlog)). Nothing in it is dropped: a page
/// whose queue is full does not read, and loses its socket and its actor. Cheap to clone.
pub struct Page<T> {
    said: mpsc::Sender<Said>,
    overflow: Arc<Notify>,
    messages: PhantomData<fn(T)>,
}

/// Why a page does not hear what it is told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// Its socket is closed, and its actor about to be stopped.
    #[error("the page has left")]
    Gone,
    /// It does not read what it is told; its socket is being closed.
    #[error("the page does not read what it is told")]
    Slow,
    /// The message has no JSON form; the application's to mend.
    #[error("the message cannot be written as json")]
    Json(#[from] serde_json::Error),
}

/// What waits to be written.
#[derive(Debug)]
pub(super) enum Said {
    Text(Utf8Bytes),
    Goodbye(Goodbye),
}

impl<T: Serialize> Page<T> {
    /// Says something to the page. Does not wait.
    ///
    /// # Errors
    ///
    /// [`PageError`]. An actor may end because of it, and may as well go on: it is stopped soon.
    pub fn say(&self, message: &T) -> Result<(), PageError> {
        let text = serde_json::to_string(message)?;
        self.push(Said::Text(text.into()))
    }
}

impl<T> Page<T> {
    /// Closes the page's socket when it has been told what was said before, and stops the actor. Does not wait.
    pub fn hang_up(&self, goodbye: Goodbye) {
        // A page that is gone, or about to be, needs no goodbye.
        let _gone = self.push(Said::Goodbye(goodbye));
    }

    fn push(&self, said: Said) -> Result<(), PageError> {
        self.said.try_send(said).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => PageError::Gone,
            mpsc::error::TrySendError::Full(_) => {
                self.overflow.notify_one();
                PageError::Slow
            }
        })
    }

    /// A line of so many messages, and its other end.
    pub(super) fn new(backlog: usize) -> (Self, Line) {
        let (said, queue) = mpsc::channel(backlog.max(1));
        let overflow = Arc::new(Notify::new());
        let line = Line {
            queue,
            overflow: Arc::clone(&overflow),
        };
        let page = Self {
            said,
            overflow,
            messages: PhantomData,
        };
        (page, line)
    }

    /// The socket's own way to speak, which does not keep the line open.
    pub(super) fn downgrade(&self) -> WeakPage<T> {
        WeakPage {
            said: self.said.downgrade(),
            overflow: Arc::clone(&self.overflow),
            messages: PhantomData,
        }
    }
}

impl<T> Clone for Page<T> {
    fn clone(&self) -> Self {
        Self {
            said: self.said.clone(),
            overflow: Arc::clone(&self.overflow),
            messages: PhantomData,
        }
    }
}

impl<T> fmt::Debug for Page<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}

/// The socket's end of the line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) queue: mpsc::Receiver<Said>,
    /// Notified when something did not fit into the queue.
    pub(super) overflow: Arc<Notify>,
}

#[derive(Debug)]
pub(super) struct WeakPage<T> {
    said: mpsc::WeakSender<Said>,
    overflow: Arc<Notify>,
    messages: PhantomData<fn(T)>,
}

impl<T> WeakPage<T> {
    /// `None` when the actor has dropped the line.
    pub(super) fn upgrade(&self) -> Option<Page<T>> {
        Some(Page {
            said: self.said.upgrade()?,
            overflow: Arc::clone(&self.overflow),
            messages: PhantomData,
        })
    }
}
