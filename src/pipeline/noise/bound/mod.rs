//! Exact answers over bounded contributions: who contributes to how many groups, with how many rows, between
//! which values. Adds no noise: what it gives goes to `super::mechanism` alone.
//!
//! The engine runs the statement's rows (`Question::rows`); each of its streams numbers groups (`groups`, those
//! that came lately by `recent`; `roster`), rounds values to steps (`steps`) and keeps of each unit what it may
//! contribute (`gather`, by the rule of `choice`, in the order of `keyed`, in the memory of `blocks`). What is kept
//! goes by unit into parts (`parts`), of which files (`spilled`) take what memory does not hold; keys that are not
//! public go beside (`texts`), and records hold a hash of them. Then, part by part, what all streams kept of a
//! unit is chosen among once more (one unit that is too much: `alone`), and summed (`tally`); where there may be
//! more groups than memory holds, some at a time (`totals`), until noise asks for them (`counted`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use datafusion::execution::context::SessionState;
use datafusion::execution::memory_pool::MemoryConsumer;

use self::choice::Rule;
use self::counted::Counted;
use self::gather::Shared;
use self::groups::Public;
use self::keyed::Order;
use self::parts::Source;
use self::steps::Stepper;
use self::totals::Batch;
use self::work::{Over, Task, Work, all};
use super::question::{Counts, Exact, Question};
use crate::error::{Code, Error, Result};
use crate::keys::ColumnKeys;
use crate::pipeline::query::streams;

mod alone;
mod blocks;
mod choice;
mod counted;
mod gather;
mod groups;
mod keyed;
mod parts;
mod recent;
mod roster;
mod spilled;
mod steps;
mod tally;
#[cfg(test)]
mod tests;
mod texts;
mod totals;
mod work;

/// Answers a question exactly, over what each unit contributes at most: each unit to at most
/// `bounding.groups` groups, with at most `bounding.rows` rows each. Which ones, `keys` decide.
///
/// Must be called on the threads that are to work. It reads all that the question's plan reads, whatever it
/// finds, and holds no more than the session's memory pool gives it, but for batches under way, small change, and
/// the sums of public groups, which are asked for before a row is read.
///
/// PRIVACY: what it gives differs, between two tables that differ by all rows of one unit, by at most what
/// the question's bounds say; see the tests in `tests/neighbours.rs`. And whether it gives anything does not
/// depend on how much memory their rows would take, but for files that find no room; see `tests/long_keys.rs`.
///
/// # Errors
/// [`Code::QueryMemory`] where memory has no room for the sums of public groups, or the folder for spilled data
/// has none, and what the engine and the views' scans say.
pub(in crate::pipeline::noise) async fn exact(
    question: &Question,
    state: &SessionState,
    keys: &ColumnKeys,
) -> Result<Exact> {
    gathered(question, state, keys).await.map(|(exact, _)| exact)
}

/// The answer, and how many bytes were written to files for it.
async fn gathered(
    question: &Question,
    state: &SessionState,
    keys: &ColumnKeys,
) -> Result<(Exact, u64)> {
    let streams = streams(&question.rows, state).await?;
    let environment = state.runtime_env();
    let alone = MemoryConsumer::new("one unit").register(&environment.memory_pool);
    let order = Order::new(keys)?;
    let public = Public::new(&question.keys, &order)?.map(Arc::new);
    let known = public.as_ref().map(|public| public.groups);
    let task = Arc::new(Task {
        keys: question.keys.clone(),
        measures: question.measures.clone(),
        steppers: question.values.iter().map(|value| Stepper::new(&value.bounds)).collect(),
        pool: Arc::clone(&environment.memory_pool),
        shared: Shared {
            rule: Rule::new(&question.bounding, question.values.len(), known),
            order,
            disk: Arc::clone(&environment.disk_manager),
            alone: Mutex::new(alone),
            over: AtomicBool::new(false),
            spilled: AtomicU64::new(0),
        },
    });
    let _over = Over(Arc::clone(&task));
    // PRIVACY: whether memory has room for the sums of public groups is known before a row is read.
    let mut held = known.map(|groups| task.sums(groups)).transpose()?;
    let workers = streams.len().max(1);
    let parcels = all(streams.into_iter().map(|stream| {
        let (task, public) = (Arc::clone(&task), public.clone());
        async move { task.gather(stream, public.as_deref()).await }
    }));
    let joined = Task::joined(parcels.await?);
    tracing::debug!(workers, "rows were gathered");
    let work = Arc::new(Work::new(joined.sources));
    let exact = if let Some(public) = public {
        let tallies = all((0..workers).map(|_| {
            let (task, work, public) = (Arc::clone(&task), Arc::clone(&work), Arc::clone(&public));
            let held = held.take();
            async move { task.sum_all(held, &work, &public).await }
        }));
        let mut tallies = tallies.await?.into_iter().flatten();
        let first = tallies.next().ok_or_else(|| Error::new(Code::Internal, "nobody worked"))?;
        let mut tally = first.sums;
        tallies.for_each(|other| tally.merge(&other.sums));
        let (keys, groups) = (public.keys.clone(), public.groups);
        Exact::All(Counts { keys, groups, measured: tally.measured(groups) })
    } else {
        let numbers = all((0..workers).map(|_| {
            let (task, work) = (Arc::clone(&task), Arc::clone(&work));
            async move { task.sum_some(&work).await }
        }));
        let mut batches: Vec<Batch> = Vec::new();
        for parts in numbers.await? {
            batches.resize_with(parts.len(), || Batch { level: 1, sources: Vec::new() });
            for ((part, memory), batch) in parts.into_iter().zip(&mut batches) {
                batch.sources.push(Source::new(part, memory));
            }
        }
        Exact::Hidden(Box::new(Counted {
            memory: task.memory("sums", true),
            task: Arc::clone(&task),
            batches: batches.into(),
            texts: joined.texts,
            kinds: joined.kinds,
            _texts: joined.memory,
        }))
    };
    let spilled = task.shared.spilled.load(Ordering::Relaxed);
    tracing::debug!(spilled, "contributions were bounded");
    Ok((exact, spilled))
}
