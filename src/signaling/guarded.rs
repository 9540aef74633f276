//! [`GuardedListener`]: a listener that lets nobody hold a connection for nothing.
//!
//! [`axum::serve()`] waits for a request for as long as its sender likes, and takes any number of connections.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Takes TCP connections for [`axum::serve()`], a limited number at a time, and closes those on which the server has had nothing to say
/// for a while.
///
/// What counts is what the *server* writes: that is the one thing that a client cannot do to keep its connection. Who
/// sends a request byte by byte gets no answer, and is gone when the time is over; who is done with its requests
/// makes room for others. A WebSocket lives on as long as it is pinged within that time.
///
/// ```no_run
/// # use axum::Router;
/// # use ractor_webrtc::signaling::guarded::GuardedListener;
/// # use tokio::net::TcpListener;
/// # async fn example(router: Router) -> std::io::Result<()> {
/// let listener = TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(GuardedListener::new(listener).connections(500), router).await
/// # }
/// ```
#[derive(Debug)]
pub struct GuardedListener {
    listener: TcpListener,
    free: Arc<Semaphore>,
    silence: Duration,
}

impl GuardedListener {
    /// Up to 1024 connections, each for 60 s after the server wrote something last.
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(1024)),
            silence: Duration::from_secs(60),
        }
    }

    /// So many connections at a time. Others wait in the queue of the system until one is closed.
    #[must_use]
    pub fn connections(self, connections: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections)),
            ..self
        }
    }

    /// How long the server may have nothing to say.
    #[must_use]
    pub fn silence(self, silence: Duration) -> Self {
        Self { silence, ..self }
    }
}

impl Listener for GuardedListener {
    type Io = GuardedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (GuardedStream, SocketAddr) {
        let free = Arc::clone(&self.free).acquire_owned().await;
        let place = free.expect("nobody closes this semaphore");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let stream = GuardedStream {
            stream,
            silence: self.silence,
            deadline: Box::pin(sleep(self.silence)),
            _place: place,
        };
        (stream, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection of a [`GuardedListener`].
pub struct GuardedStream {
    stream: TcpStream,
    silence: Duration,
    deadline: Pin<Box<Sleep>>,
    /// Somebody else's when this is dropped.
    _place: OwnedSemaphorePermit,
}

impl GuardedStream {
    /// An error once the deadline has passed.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(ErrorKind::TimedOut.into()),
        }
    }

    /// Bytes that were written buy time.
    fn note(&mut self, written: &io::Result<usize>) {
        if matches!(written, Ok(1..)) {
            self.deadline.as_mut().reset(Instant::now() + self.silence);
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.note(&written);
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, bytes));
        self.note(&written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl fmt::Debug for GuardedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedStream")
            .field("stream", &self.stream)
            .field("silence", &self.silence)
            .finish_non_exhaustive()
    }
}
