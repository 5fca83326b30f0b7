//! The exact answer about groups of keys that are not public: numbers group by group, as many as memory holds at
//! a time, and last the keys of those groups that are asked for. Adds no noise and decides nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::execution::memory_pool::MemoryReservation;

use super::groups::Contents;
use super::texts::Texts;
use super::totals::Batch;
use super::work::Task;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{GroupId, Hidden, Part};

/// Parts of so many words are summed together.
const WORDS_TOGETHER: usize = if cfg!(test) { 1 << 10 } else { 1 << 17 };

/// What all tasks of a question counted.
pub(super) struct Counted {
    pub(super) task: Arc<Task>,
    /// Each group's numbers are in one of them.
    pub(super) batches: VecDeque<Batch>,
    pub(super) texts: Vec<Texts>,
    pub(super) kinds: Vec<DataType>,
    /// For sums.
    pub(super) memory: MemoryReservation,
    /// What the texts take.
    pub(super) _texts: Vec<MemoryReservation>,
}

impl Hidden for Counted {
    fn next(&mut self) -> Result<Option<Part>> {
        self.memory.free();
        while let Some(mut batch) = self.batches.pop_front() {
            while let Some(more) = self.batches.front()
                && more.level == batch.level
                && batch.words() + more.words() <= WORDS_TOGETHER
            {
                let more = self.batches.pop_front().map(|batch| batch.sources);
                batch.sources.extend(more.unwrap_or_default());
            }
            match batch.sums(&self.task.measures, &self.memory)? {
                None => {
                    self.memory.free();
                    let parts = batch.split(&self.memory, &self.task.shared)?;
                    parts.into_iter().rev().for_each(|part| self.batches.push_front(part));
                }
                Some((groups, measured)) if !groups.is_empty() => {
                    return Ok(Some(Part { groups, measured }));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }

    fn keys(self: Box<Self>, groups: &[GroupId]) -> Result<(Vec<ArrayRef>, Vec<usize>)> {
        let mut wanted: HashMap<GroupId, Option<Vec<u8>>> =
            groups.iter().map(|group| (*group, None)).collect();
        for texts in self.texts {
            texts.find(&mut wanted)?;
        }
        let lost = || Error::new(Code::Internal, "a group whose key nobody kept");
        let mut found = Vec::with_capacity(groups.len());
        for (at, group) in groups.iter().enumerate() {
            found.push((wanted.get_mut(group).and_then(Option::take).ok_or_else(lost)?, at));
        }
        // Keys as bytes are in the order of keys.
        found.sort_unstable();
        let (texts, order): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        Ok((Contents::new(&self.kinds)?.keys(&texts, &self.kinds)?, order))
    }
}
