//! The work of one question, on the threads that it is asked on: a task for each stream of rows, and then one
//! for each of as many threads that take part after part. Knows no statement.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::runtime::JoinSet;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use futures::StreamExt;

use super::gather::{Gatherer, Kept, Shared, resolve};
use super::groups::{Groups, KNOWN_BYTES, Public};
use super::parts::{Part, Source};
use super::roster::Roster;
use super::steps::Stepper;
use super::tally::Tally;
use super::texts::Texts;
use super::totals::Totals;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{Key, Measure};
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
    texts: Texts,
    /// What the texts take.
    memory: MemoryReservation,
}

/// What all tasks gathered.
pub(super) struct Joint {
    pub(super) kinds: Vec<DataType>,
    pub(super) texts: Vec<Texts>,
    /// What the texts take.
    pub(super) memory: Vec<MemoryReservation>,
    /// By part.
    pub(super) sources: Vec<Vec<Source>>,
}

/// Sums, and the memory that they take.
pub(super) struct Sums {
    pub(super) sums: Tally,
    _memory: MemoryReservation,
}

/// Numbers by part of groups.
pub(super) type Numbers = Vec<(Part, MemoryReservation)>;

impl Task {
    /// Memory for something.
    pub(super) fn memory(&self, what: &str, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new(what).with_can_spill(can_spill).register(&self.pool)
    }

    /// Memory for the sums of so many groups.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] where there is none.
    pub(super) fn sums(&self, groups: usize) -> Result<MemoryReservation> {
        let held = self.memory("sums", false);
        held.try_grow(Tally::bytes(&self.measures, groups)).map_err(|error| inward(&error))?;
        Ok(held)
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
        let roster = Roster::new(public.map(|public| &public.ids));
        let contributions = self.memory("contributions", true);
        let mut gatherer = Gatherer::new(self.shared.rule, roster, contributions);
        let (memory, mut texts) = (self.memory("groups", true), Texts::default());
        let mut values: Vec<Vec<i64>> = self.steppers.iter().map(|_| Vec::new()).collect();
        let mut numbers = Vec::new();
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| inward(&error))?;
            let (units, keys) = self.columns(&batch)?;
            let order = &self.shared.order;
            let rows = batch.num_rows();
            groups.number(keys, rows, order, &mut gatherer.roster, &mut numbers)?;
            let columns = batch.columns().iter().skip(1 + self.keys.len());
            for ((stepper, column), steps) in self.steppers.iter().zip(columns).zip(&mut values) {
                steps.clear();
                stepper.steps(column, steps)?;
            }
            gatherer.push(&units, &numbers, &values, &self.shared)?;
            let (held, many) = groups.held();
            if many || memory.try_resize(held + texts.bytes()).is_err() {
                if many || held > KNOWN_BYTES {
                    self.forget(&mut groups, &mut gatherer, &mut texts, &memory)?;
                } else {
                    texts.spill(&self.shared)?;
                    memory.resize(held);
                }
            }
            // A scan is ready with the next batch at once; whoever wants this to end must be heard.
            tokio::task::yield_now().await;
        }
        self.forget(&mut groups, &mut gatherer, &mut texts, &memory)?;
        Ok(Parcel { parts: gatherer.into_parts()?, kinds, texts, memory })
    }

    /// Forgets the groups that came: what is held of units goes into parts, and keys where they may be looked up.
    ///
    /// PRIVACY: however many groups there are and however long their keys, memory does not end it: how many one
    /// unit has is nobody's business.
    fn forget(
        &self,
        groups: &mut Groups,
        gatherer: &mut Gatherer,
        texts: &mut Texts,
        memory: &MemoryReservation,
    ) -> Result<()> {
        gatherer.flush();
        groups.forget(&mut gatherer.roster, texts, |texts, held| {
            if memory.try_resize(held + texts.bytes()).is_err() {
                texts.spill(&self.shared)?;
                memory.resize(held);
            }
            Ok(())
        })?;
        memory.resize(groups.held().0 + texts.bytes());
        gatherer.make_room(&self.shared)
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

    /// What all gathered, by part.
    pub(super) fn joined(parcels: Vec<Parcel>) -> Joint {
        let (mut texts, mut memory, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        let mut sources: Vec<Vec<Source>> = Vec::new();
        for parcel in parcels {
            texts.push(parcel.texts);
            memory.push(parcel.memory);
            kinds = parcel.kinds;
            sources.resize_with(parcel.parts.len(), Vec::new);
            for ((part, memory), place) in parcel.parts.into_iter().zip(&mut sources) {
                place.push(Source::new(part, memory));
            }
        }
        Joint { kinds, texts, memory, sources }
    }

    /// Works at parts as long as there are any, for public groups. Where `held` is not given, memory may have no
    /// room for more sums; then it does nothing.
    pub(super) async fn sum_all(
        &self,
        held: Option<MemoryReservation>,
        work: &Work,
        public: &Public,
    ) -> Result<Option<Sums>> {
        let held = match held {
            Some(held) => held,
            None => match self.sums(public.groups) {
                Ok(held) => held,
                Err(_) => return Ok(None),
            },
        };
        let roster = Roster::new(Some(&public.ids));
        let mut sums = Tally::new(&self.measures, public.groups);
        let memory = self.memory("contributions", true);
        while let Some(sources) = work.next() {
            let mut add = |kept: Kept<'_>| {
                sums.add_all(&self.measures, &kept);
                Ok(())
            };
            resolve(sources, 0, &memory, &roster, &self.shared, &mut add)?;
            tokio::task::yield_now().await;
        }
        Ok(Some(Sums { sums, _memory: held }))
    }

    /// Works at parts as long as there are any, for groups that are not all public.
    pub(super) async fn sum_some(&self, work: &Work) -> Result<Numbers> {
        let roster = Roster::new(None);
        let mut totals = Totals::new(&self.measures, self.memory("sums", true));
        let memory = self.memory("contributions", true);
        while let Some(sources) = work.next() {
            let mut add = |kept: Kept<'_>| totals.add(&kept, &self.shared);
            resolve(sources, 0, &memory, &roster, &self.shared, &mut add)?;
            tokio::task::yield_now().await;
        }
        totals.into_parts(&self.shared)
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
