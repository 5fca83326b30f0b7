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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use futures::StreamExt;
    use tokio::sync::mpsc;

    use super::*;
    use crate::error::{Code, Error};
    use crate::pipeline::format::Format;
    use crate::pipeline::seal::Sealer;

    const EVERY: Duration = Duration::from_millis(20);

    fn dictionaries() -> Format {
        Format { dictionaries: true, ..Format::default() }
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("word", DataType::Utf8, true)]))
    }

    /// A dictionary, and the two rows that it is for.
    fn rows() -> Vec<Sealed> {
        let mut sealer = Sealer::new(schema(), dictionaries(), 1_000, 10_000);
        let words: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        [sealer.push(vec![words], 2).unwrap(), sealer.finish().unwrap()].concat()
    }

    fn kept(receiver: mpsc::Receiver<Result<Sealed>>) -> SealedStream {
        let stream = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|message| (message, receiver))
        });
        let empty = Sealer::empty(schema(), dictionaries()).unwrap();
        keep_alive(stream.boxed(), empty, EVERY)
    }

    /// Rows and whether it is a dictionary.
    fn told(message: &Sealed) -> (u64, bool) {
        (message.rows(), message.is_dictionary())
    }

    #[tokio::test]
    async fn a_silent_stream_gives_empty_messages_and_a_busy_one_none() {
        let (sender, receiver) = mpsc::channel(8);
        let mut stream = kept(receiver);
        for _ in 0..3 {
            // An empty dictionary and no rows.
            assert_eq!(told(&stream.next().await.unwrap().unwrap()), (0, true));
            assert_eq!(told(&stream.next().await.unwrap().unwrap()), (0, false));
        }
        for message in [rows(), rows(), rows()].concat() {
            sender.send(Ok(message)).await.unwrap();
        }
        drop(sender);
        let rest: Vec<_> = stream.map(|message| told(&message.unwrap())).collect().await;
        assert_eq!(rest, [(0, true), (2, false)].repeat(3));
    }

    #[tokio::test]
    async fn nothing_comes_between_a_dictionary_and_its_rows() {
        let (sender, receiver) = mpsc::channel(8);
        let mut stream = kept(receiver);
        let [dictionary, rows] = <[Sealed; 2]>::try_from(rows()).unwrap();
        sender.send(Ok(dictionary.clone())).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().body(), dictionary.body());
        let late = tokio::time::timeout(EVERY * 5, stream.next()).await;
        assert!(late.is_err(), "an empty message came between");
        sender.send(Ok(rows)).await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().rows(), 2);
        // And now it may.
        assert_eq!(told(&stream.next().await.unwrap().unwrap()), (0, true));
    }

    #[tokio::test]
    async fn an_error_ends_the_stream_as_without() {
        let (sender, receiver) = mpsc::channel(8);
        let mut stream = kept(receiver);
        sender.send(Err(Error::new(Code::Cancelled, "gone"))).await.unwrap();
        drop(sender);
        assert_eq!(stream.next().await.unwrap().unwrap_err().code(), Code::Cancelled);
        assert!(stream.next().await.is_none());
    }
}
