//! The work of one question, on the threads that it is asked on: a task for each stream of rows, and then one
//! for each of as many threads that take part after part. Knows no statement.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::runtime::JoinSet;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::StreamExt;

use super::choice::Choice;
use super::gather::{Gatherer, Shared, resolve};
use super::groups::{Groups, Public, join, sorted};
use super::parts::{Part, Source};
use super::steps::Stepper;
use super::tally::Tally;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{Exact, Key, Measure, Measured};
use crate::pipeline::query::inward;
use crate::pipeline::stream::panicked;

/// What all tasks of a question work with.
pub(super) struct Task {
    pub(super) keys: Vec<Key>,
    pub(super) measures: Vec<Measure>,
    pub(super) steppers: Vec<Stepper>,
    pub(super) pool: Arc<dyn MemoryPool>,
    pub(super) shared: Shared,
}

/// Tells tasks, when it is dropped, that nobody waits any more.
pub(super) struct Over(pub(super) Arc<Task>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.shared.over.store(true, Ordering::Relaxed);
    }
}

/// What one stream's task gathered.
pub(super) struct Parcel {
    parts: Vec<(Part, MemoryReservation)>,
    kinds: Vec<DataType>,
    keys: Vec<ArrayRef>,
    /// What the keys take.
    memory: MemoryReservation,
}

/// What all tasks gathered, under the same numbers.
pub(super) struct Joint {
    pub(super) keys: Vec<ArrayRef>,
    pub(super) groups: usize,
    pub(super) contents: Vec<u64>,
    /// By part.
    pub(super) sources: Vec<Vec<Source>>,
    _memory: MemoryReservation,
}

/// Sums, and the memory that they take.
pub(super) struct Sums {
    pub(super) sums: Tally,
    _memory: MemoryReservation,
}

impl Task {
    fn memory(&self, what: &str, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new(what).with_can_spill(can_spill).register(&self.pool)
    }

    /// Takes all rows of a stream.
    pub(super) async fn gather(
        &self,
        mut rows: SendableRecordBatchStream,
        public: Option<&Public>,
    ) -> Result<Parcel> {
        let schema = rows.schema();
        let kinds = schema.fields().iter().skip(1).take(self.keys.len());
        let kinds: Vec<DataType> = kinds.map(|field| field.data_type().clone()).collect();
        let mut groups = Groups::new(&self.keys, &kinds)?;
        let mut gatherer = Gatherer::new(self.shared.rule, self.memory("contributions", true));
        let memory = self.memory("groups", false);
        let mut values: Vec<Vec<i64>> = self.steppers.iter().map(|_| Vec::new()).collect();
        let mut numbers = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| inward(&error))?;
            let (units, keys) = self.columns(&batch)?;
            let order = &self.shared.order;
            groups.number(keys, batch.num_rows(), order, &memory, &mut numbers)?;
            let columns = batch.columns().iter().skip(1 + self.keys.len());
            for ((stepper, column), steps) in self.steppers.iter().zip(columns).zip(&mut values) {
                steps.clear();
                stepper.steps(column, steps)?;
            }
            let contents = public.map_or_else(|| groups.contents(), |all| all.contents.as_slice());
            gatherer.push(&units, &numbers, &values, contents, &self.shared)?;
            // A scan is ready with the next batch at once; whoever wants this to end must be heard.
            tokio::task::yield_now().await;
        }
        Ok(Parcel { parts: gatherer.into_parts()?, kinds, keys: groups.into_keys()?, memory })
    }

    fn columns<'a>(&self, batch: &'a RecordBatch) -> Result<(UInt64Array, &'a [ArrayRef])> {
        let wrong = || Error::new(Code::Internal, "a question's rows are not what it says");
        let [unit, rest @ ..] = batch.columns() else { return Err(wrong()) };
        if rest.len() != self.keys.len() + self.steppers.len() {
            return Err(wrong());
        }
        let keys = rest.get(..self.keys.len()).ok_or_else(wrong)?;
        let units = match unit.data_type() {
            DataType::UInt64 => unit.as_primitive::<UInt64Type>().clone(),
            // A plan without rows may have lost the column's type.
            DataType::Null => cast(unit, &DataType::UInt64)
                .map_err(|_| wrong())?
                .as_primitive::<UInt64Type>()
                .clone(),
            _ => return Err(wrong()),
        };
        Ok((units, keys))
    }

    /// Gives groups their numbers in the end, and parts their records.
    pub(super) fn joined(&self, parcels: Vec<Parcel>, public: Option<&Public>) -> Result<Joint> {
        let memory = self.memory("groups", false);
        let (mut all, mut several, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        let mut held = Vec::new();
        for parcel in parcels {
            held.push(parcel.memory);
            all.push(parcel.parts);
            several.push(parcel.keys);
            kinds = parcel.kinds;
        }
        let (keys, groups, contents, numbers) = match public {
            Some(public) => {
                (public.keys.clone(), public.groups, public.contents.clone(), Vec::new())
            }
            None => {
                let joined = join(&kinds, several, &self.shared.order, &memory)?;
                let groups = joined.contents.len();
                (joined.keys, groups, joined.contents, joined.numbers)
            }
        };
        let mut numbers = numbers.into_iter().map(Arc::new);
        let mut sources: Vec<Vec<Source>> = Vec::new();
        for parts in all {
            let numbers = numbers.next();
            sources.resize_with(parts.len(), Vec::new);
            for ((part, memory), place) in parts.into_iter().zip(&mut sources) {
                place.push(Source::new(part, memory, numbers.clone()));
            }
        }
        Ok(Joint { keys, groups, contents, sources, _memory: memory })
    }

    /// Works at parts as long as there are any. Where memory has no room for more sums, nothing, unless these
    /// are the first.
    pub(super) async fn resolve(
        &self,
        is_first: bool,
        work: &Work,
        groups: usize,
        contents: &[u64],
    ) -> Result<Option<Sums>> {
        let held = self.memory("sums", false);
        let bytes = Tally::bytes(&self.measures, groups);
        match held.try_grow(bytes) {
            Err(error) if is_first => return Err(inward(&error)),
            Err(_) => return Ok(None),
            Ok(()) => {}
        }
        let mut sums = Tally::new(&self.measures, groups);
        let memory = self.memory("contributions", true);
        while let Some(sources) = work.next() {
            let mut add = |choice: &Choice| sums.add(&self.measures, choice);
            resolve(sources, 0, &memory, contents, &self.shared, &mut add)?;
            tokio::task::yield_now().await;
        }
        Ok(Some(Sums { sums, _memory: held }))
    }
}

/// Parts that nobody works at yet, the largest first.
pub(super) struct Work(Mutex<VecDeque<Vec<Source>>>);

impl Work {
    pub(super) fn new(mut sources: Vec<Vec<Source>>) -> Self {
        let words = |sources: &Vec<Source>| sources.iter().map(Source::words).sum::<usize>();
        sources.sort_by_key(|sources| std::cmp::Reverse(words(sources)));
        Self(Mutex::new(sources.into()))
    }

    fn next(&self) -> Option<Vec<Source>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Does all of it at the same time, and gives what came of each, in this order. The first error ends it.
pub(super) async fn all<T, W>(works: impl Iterator<Item = W>) -> Result<Vec<T>>
where
    T: Send + 'static,
    W: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for (at, work) in works.enumerate() {
        tasks.spawn(async move { (at, work.await) });
    }
    let mut done = Vec::with_capacity(tasks.len());
    while let Some(task) = tasks.join_next().await {
        match task {
            Ok((at, result)) => done.push((at, result?)),
            Err(_) => return panicked(),
        }
    }
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// The groups that some unit contributes to, sorted by their keys.
///
/// PRIVACY: a group that only rows past the bounds are in does not show, not even as one without units; and
/// the order in which groups came does not show either.
pub(super) fn some(measures: &[Measure], tally: Tally, keys: &[ArrayRef]) -> Result<Exact> {
    let units = measures.iter().position(|measure| *measure == Measure::Units);
    let units = units.and_then(|at| tally.numbers(at));
    let units =
        units.ok_or_else(|| Error::new(Code::Internal, "a question that counts no units"))?;
    let there = |group: &usize| units.get(*group).is_some_and(|units| *units > 0);
    let order: Vec<usize> = sorted(keys)?.into_iter().filter(there).collect();
    let places: UInt64Array = order.iter().map(|group| *group as u64).collect();
    let failed = |_| Error::new(Code::Internal, "keys cannot be put in order");
    let keys = keys.iter().map(|key| take(key, &places, None).map_err(failed));
    let keys = keys.collect::<Result<Vec<_>>>()?;
    let measured: Vec<Measured> = tally.measured(Some(&order));
    Ok(Exact { keys, groups: order.len(), measured })
}
