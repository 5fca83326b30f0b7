//! One stream on its way out: the schema, then sealed messages, until the end or until somebody stops
//! it; and the register of all that are under way. Does not make messages, and opens none.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use futures::task::AtomicWaker;
use tonic::Status;

use super::authenticate::Call;
use super::status;
use super::ticket::PlanId;
use crate::error::{Code, Error};
use crate::pipeline::stream::SealedStream;

/// One message of a stream: the flatbuffer header of an Arrow IPC message, and its body.
#[derive(Debug)]
pub struct Message {
    /// The header.
    pub header: Bytes,
    /// The body; empty for a schema.
    pub body: Bytes,
}

/// The streams under way and the plans that were cancelled, on this server.
#[derive(Debug, Default)]
pub struct Register {
    plans: Mutex<BTreeMap<PlanId, Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    /// The last second of the plan's tickets, where it was cancelled.
    cancelled_until: Option<i64>,
    streams: Vec<Weak<Tap>>,
}

/// What the register and a stream share: the source of messages, until it is taken away.
struct Tap {
    state: Mutex<State>,
    waker: AtomicWaker,
}

enum State {
    Open(SealedStream),
    Stopped(Code),
    Ended,
}

impl std::fmt::Debug for Tap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tap").finish_non_exhaustive()
    }
}

impl Tap {
    /// Drops the source, which stops its work at once, and tells the stream why.
    fn stop(&self, code: Code) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let open = matches!(*state, State::Open(_));
        if open {
            let before = std::mem::replace(&mut *state, State::Stopped(code));
            drop(state);
            drop(before);
            self.waker.wake();
        }
        open
    }
}

impl Register {
    /// Whether the plan was cancelled here.
    pub fn is_cancelled(&self, plan: &PlanId) -> bool {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.get(plan).is_some_and(|plan| plan.cancelled_until.is_some())
    }

    /// Stops the plan's streams and refuses its tickets from now on. Says how many streams ran.
    pub fn cancel(&self, plan: PlanId, expires_seconds: i64, now_seconds: i64) -> usize {
        let streams = {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            plans.retain(|_, plan| {
                plan.streams.retain(|stream| stream.strong_count() > 0);
                !plan.streams.is_empty()
                    || plan.cancelled_until.is_some_and(|until| until >= now_seconds)
            });
            let entry = plans.entry(plan).or_default();
            entry.cancelled_until = Some(expires_seconds.max(entry.cancelled_until.unwrap_or(0)));
            std::mem::take(&mut entry.streams)
        };
        stop(streams, Code::Cancelled)
    }

    /// Stops all streams.
    pub fn stop_all(&self) -> usize {
        let streams = {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            plans.values_mut().flat_map(|plan| std::mem::take(&mut plan.streams)).collect()
        };
        stop(streams, Code::ShuttingDown)
    }

    /// Puts a stream on its way: `schema`, then what `sealed` gives.
    pub fn send(
        self: &Arc<Self>,
        call: Call,
        plan: PlanId,
        schema: Bytes,
        sealed: SealedStream,
    ) -> Outgoing {
        let tap =
            Arc::new(Tap { state: Mutex::new(State::Open(sealed)), waker: AtomicWaker::new() });
        let cancelled = {
            let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
            let entry = plans.entry(plan).or_default();
            entry.streams.push(Arc::downgrade(&tap));
            entry.cancelled_until.is_some()
        };
        if cancelled {
            tap.stop(Code::Cancelled);
        }
        Outgoing { register: Arc::clone(self), call, plan, schema: Some(schema), tap }
    }

    /// Forgets a stream that ended.
    fn forget(&self, plan: &PlanId, tap: &Arc<Tap>) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = plans.get_mut(plan) {
            entry.streams.retain(|stream| !std::ptr::eq(stream.as_ptr(), Arc::as_ptr(tap)));
            if entry.streams.is_empty() && entry.cancelled_until.is_none() {
                plans.remove(plan);
            }
        }
    }
}

fn stop(streams: Vec<Weak<Tap>>, code: Code) -> usize {
    streams.iter().filter_map(Weak::upgrade).filter(|tap| tap.stop(code)).count()
}

/// The messages of one `DoGet`.
#[derive(Debug)]
pub struct Outgoing {
    register: Arc<Register>,
    call: Call,
    plan: PlanId,
    schema: Option<Bytes>,
    tap: Arc<Tap>,
}

impl Stream for Outgoing {
    type Item = Result<Message, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.tap.waker.register(context.waker());
        let mut state = self.tap.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match &mut *state {
            State::Open(sealed) if self.schema.is_none() => {
                match sealed.as_mut().poll_next(context) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(next) => next,
                }
            }
            State::Open(_) => {
                drop(state);
                let schema = self.schema.take();
                return Poll::Ready(
                    schema.map(|header| Ok(Message { header, body: Bytes::new() })),
                );
            }
            State::Stopped(code) => Some(Err(Error::new(*code, "the stream was stopped"))),
            State::Ended => return Poll::Ready(None),
        };
        match next {
            Some(Ok(message)) => {
                drop(state);
                let (header, body) = (message.header().clone(), message.body().clone());
                Poll::Ready(Some(Ok(Message { header, body })))
            }
            Some(Err(error)) => {
                *state = State::Ended;
                drop(state);
                let call = &self.call;
                let status = status::refuse(&error, call.id(), "DoGet", call.partner().name());
                Poll::Ready(Some(Err(status)))
            }
            None => {
                *state = State::Ended;
                Poll::Ready(None)
            }
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.register.forget(&self.plan, &self.tap);
    }
}
