//! Exact answers over bounded contributions: who contributes to how many groups, with how many rows, between
//! which values. Adds no noise: what it gives goes to `super::mechanism` alone.
//!
//! The engine runs the statement's rows (`Question::rows`); each of its streams numbers groups (`groups`, those
//! that came lately by `recent`), rounds values to steps (`steps`) and keeps of each unit what it may contribute
//! (`gather`, by the rule of `choice`, in the order of `keyed`, in the memory of `blocks`). What is kept goes by
//! unit into parts (`parts`), of which files (`spilled`) take what memory does not hold. Then, part by part, what
//! all streams kept of a unit is chosen among once more, and summed (`tally`).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use datafusion::execution::context::SessionState;
use datafusion::execution::memory_pool::MemoryConsumer;

use self::choice::Rule;
use self::gather::Shared;
use self::groups::Public;
use self::keyed::Order;
use self::steps::Stepper;
use self::work::{Over, Task, Work, all, some};
use super::question::{Exact, Question};
use crate::error::{Code, Error, Result};
use crate::keys::ColumnKeys;
use crate::pipeline::query::streams;

mod blocks;
mod choice;
mod gather;
mod groups;
mod keyed;
mod parts;
mod recent;
mod spilled;
mod steps;
mod tally;
#[cfg(test)]
mod tests;
mod work;

/// Answers a question exactly, over what each unit contributes at most: each unit to at most
/// `bounding.groups` groups, with at most `bounding.rows` rows each. Which ones, `keys` decide.
///
/// Must be called on the threads that are to work. It reads all that the question's plan reads, whatever it
/// finds, and holds no more than the session's memory pool gives it, but for the answer itself.
///
/// PRIVACY: what it gives differs, between two tables that differ by all rows of one unit, by at most what
/// the question's bounds say; see the tests in `tests/neighbours.rs`.
///
/// # Errors
/// [`Code::QueryMemory`] where neither memory nor the folder for spilled data has room, and what the engine
/// and the views' scans say.
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
    let workers = streams.len().max(1);
    let parcels = all(streams.into_iter().map(|stream| {
        let (task, public) = (Arc::clone(&task), public.clone());
        async move { task.gather(stream, public.as_deref()).await }
    }));
    let parcels = parcels.await?;
    tracing::debug!(workers, "rows were gathered");
    let joined = task.joined(parcels, public.as_deref())?;
    let (groups, contents) = (joined.groups, Arc::new(joined.contents));
    let work = Arc::new(Work::new(joined.sources));
    let tallies = all((0..workers).map(|worker| {
        let (task, work, contents) = (Arc::clone(&task), Arc::clone(&work), Arc::clone(&contents));
        async move { task.resolve(worker == 0, &work, groups, &contents).await }
    }));
    let mut tallies = tallies.await?.into_iter().flatten();
    let first = tallies.next().ok_or_else(|| Error::new(Code::Internal, "nobody worked"))?;
    let mut tally = first.sums;
    tallies.for_each(|other| tally.merge(&other.sums));
    let exact = match &public {
        Some(_) => Exact { keys: joined.keys, groups, measured: tally.measured(None) },
        None => some(&question.measures, tally, &joined.keys)?,
    };
    let spilled = task.shared.spilled.load(Ordering::Relaxed);
    tracing::debug!(spilled, "contributions were bounded");
    Ok((exact, spilled))
}
