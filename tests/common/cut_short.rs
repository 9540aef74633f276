//! Giving up half-way.

use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that is polled so many times and then given up. Gives its output if it came in time.
pub(crate) fn cut_short<F: Future>(future: F, polls: usize) -> CutShort<F> {
    CutShort {
        future: Box::pin(future),
        polls,
    }
}

pub(crate) struct CutShort<F> {
    future: Pin<Box<F>>,
    polls: usize,
}

impl<F: Future> Future for CutShort<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // It is given up where it waits, not when it would go on.
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}
