//! Keeps slow streams alive: when nothing came for a while, an empty message goes out, so that clients and
//! what stands between do not take silence for the end. Makes no messages of its own, and changes none.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use tokio::time::{Sleep, sleep};

use super::seal::Sealed;
use super::stream::SealedStream;
use crate::error::Result;

/// What `stream` gives, and the messages of `empty` whenever it gives nothing for `every`.
///
/// They say that nothing is ready yet and nothing else: they hold no row, they are the same each time,
/// and they are asked for only while the partner reads.
pub(super) fn keep_alive(
    stream: SealedStream,
    empty: Vec<Sealed>,
    every: Duration,
) -> SealedStream {
    let timer = Box::pin(sleep(every));
    Box::pin(KeepAlive { stream, empty, every, timer, due: VecDeque::new(), within: false })
}

struct KeepAlive {
    stream: SealedStream,
    empty: Vec<Sealed>,
    every: Duration,
    timer: Pin<Box<Sleep>>,
    /// The rest of the empty messages that are on their way out.
    due: VecDeque<Sealed>,
    /// Whether the last message was a dictionary: the next must be another or the rows that it is for.
    within: bool,
}

impl KeepAlive {
    /// Starts to wait anew.
    fn rest(&mut self) {
        let every = self.every;
        self.timer.set(sleep(every));
    }
}

impl Stream for KeepAlive {
    type Item = Result<Sealed>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(message) = self.due.pop_front() {
            return Poll::Ready(Some(Ok(message)));
        }
        if let Poll::Ready(next) = self.stream.as_mut().poll_next(task) {
            if let Some(Ok(message)) = &next {
                self.within = message.is_dictionary();
                self.rest();
            }
            return Poll::Ready(next);
        }
        if self.within || self.timer.as_mut().poll(task).is_pending() {
            return Poll::Pending;
        }
        self.rest();
        self.due = self.empty.iter().cloned().collect();
        match self.due.pop_front() {
            Some(message) => Poll::Ready(Some(Ok(message))),
            None => Poll::Pending,
        }
    }
}
