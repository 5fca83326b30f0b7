//! Rows on their way from the scan to what is kept of them. As long as that is much less than what comes, it
//! is chosen at once; what is about as much goes by, into parts by unit, and is chosen among later. When memory
//! is short, what is held goes into parts, and from there to files. Sums nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{Array, UInt64Array};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::MemoryReservation;

use super::choice::{Choice, Keyed, Rule};
use super::groups::NOBODYS;
use super::keyed::Order;
use super::parts::{LEVEL_MAX, Part, Parts, Source};
use super::steps::NONE;
use crate::error::{Code, Error, Result};
use crate::pipeline::query::inward;

/// So many groups of units are looked up fast; more are held where most rows are of groups that are there.
const SLOTS_FEW: usize = if cfg!(test) { 1 << 7 } else { 1 << 13 };

/// So many times the rows that showed that choosing brings little go by before it is tried again.
const GO_BY: usize = 8;

/// So few records are held in any case.
const RECORDS_MIN: usize = 1 << 8;

/// What the whole of a question's work shares.
pub(super) struct Shared {
    pub(super) rule: Rule,
    pub(super) order: Order,
    pub(super) disk: Arc<DiskManager>,
    /// For the unit that contributes more than what is left for those that can be written to files.
    pub(super) alone: Mutex<MemoryReservation>,
    /// Whether nobody waits any more.
    pub(super) over: AtomicBool,
    /// Bytes that were written to files.
    pub(super) spilled: AtomicU64,
}

impl Shared {
    /// # Errors
    /// [`Code::Cancelled`] when nobody waits any more.
    fn go_on(&self) -> Result<()> {
        if self.over.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Cancelled, "nobody waits for the answer any more"));
        }
        Ok(())
    }

    const fn keyed<'a>(&'a self, contents: &'a [u64]) -> Keyed<'a> {
        Keyed { order: &self.order, contents }
    }
}

/// Rows that one task takes.
pub(super) struct Gatherer {
    choice: Choice,
    parts: Parts,
    memory: MemoryReservation,
    /// Rows that were chosen among since the choice was empty.
    seen: usize,
    /// How many groups of units may be held before it is asked whether that brings anything.
    slots_max: usize,
    /// How many rows go by without being chosen among.
    go_by: usize,
}

impl Gatherer {
    /// For the rows of a stream; `memory` is for what is held of them.
    pub(super) fn new(rule: Rule, memory: MemoryReservation) -> Self {
        let (choice, parts) = (Choice::new(rule), Parts::new(0));
        Self { choice, parts, memory, seen: 0, slots_max: SLOTS_FEW, go_by: 0 }
    }

    /// For the records of some parts, of which as many are held as memory has room for.
    fn among(level: u32, rule: Rule, memory: MemoryReservation) -> Self {
        let parts = Parts::new(level);
        Self { parts, slots_max: usize::MAX, ..Self::new(rule, memory) }
    }

    /// Takes the rows of a batch: those of a unit and a group.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] where neither memory nor the folder has room.
    pub(super) fn push(
        &mut self,
        units: &UInt64Array,
        groups: &[u32],
        values: &[Vec<i64>],
        contents: &[u64],
        shared: &Shared,
    ) -> Result<()> {
        let nulls = units.nulls();
        // PRIVACY: a row of nobody's protects nobody, and counts for nothing.
        let is_somebodys = |(row, (_, group)): &(usize, (&u64, &u32))| {
            **group != NOBODYS && nulls.is_none_or(|nulls| nulls.is_valid(*row))
        };
        let rows = units.values().iter().zip(groups).enumerate().filter(is_somebodys);
        let at = |steps: &Vec<i64>, row: usize| {
            steps.get(row).map_or(NONE, |steps| *steps).cast_unsigned()
        };
        let keyed = shared.keyed(contents);
        // Most statements speak of no value, of one or of two: rows of a length that is known.
        match values {
            [] => self.take_equal(rows.map(|(_, (unit, group))| (*unit, *group)), keyed),
            [a] => self.take(rows.map(|(row, (unit, group))| (*unit, *group, [at(a, row)])), keyed),
            [a, b] => {
                let rows =
                    rows.map(|(row, (unit, group))| (*unit, *group, [at(a, row), at(b, row)]));
                self.take(rows, keyed)
            }
            more => {
                let mut record = Vec::new();
                rows.into_iter().try_for_each(|(row, (unit, group))| {
                    record.clear();
                    record.extend([*unit, u64::from(*group)]);
                    record.extend(more.iter().map(|steps| at(steps, row)));
                    if self.go_by > 0 {
                        self.parts.push(&record);
                        return Ok(());
                    }
                    self.choice.offer(*unit, *group, record.get(2..).unwrap_or_default(), keyed)
                })
            }
        }?;
        self.count(units.len());
        self.make_room(contents, shared)
    }

    fn take<const VALUES: usize>(
        &mut self,
        mut rows: impl Iterator<Item = (u64, u32, [u64; VALUES])>,
        keyed: Keyed<'_>,
    ) -> Result<()> {
        if self.go_by == 0 {
            return rows.try_for_each(|(unit, group, values)| {
                self.choice.offer(unit, group, &values, keyed)
            });
        }
        let mut record = Vec::new();
        rows.for_each(|(unit, group, values)| {
            record.clear();
            record.extend([unit, u64::from(group)]);
            record.extend(values);
            self.parts.push(&record);
        });
        Ok(())
    }

    fn take_equal(
        &mut self,
        mut rows: impl Iterator<Item = (u64, u32)>,
        keyed: Keyed<'_>,
    ) -> Result<()> {
        if self.go_by == 0 {
            return rows
                .try_for_each(|(unit, group)| self.choice.offer_equal(unit, group, 1, keyed));
        }
        rows.for_each(|(unit, group)| self.parts.push(&[unit, u64::from(group), 1]));
        Ok(())
    }

    fn count(&mut self, rows: usize) {
        if self.go_by > 0 {
            self.go_by = self.go_by.saturating_sub(rows);
            return;
        }
        self.seen += rows;
        if self.choice.slots() <= self.slots_max {
            return;
        }
        // Of what is kept most would come again, as more of it comes: then a larger table pays.
        if self.choice.kept() <= self.seen / 4 * 3 {
            self.slots_max = self.choice.slots().saturating_mul(2);
        } else {
            self.go_by = self.seen.saturating_mul(GO_BY);
            self.flush();
        }
    }

    /// Puts what is held into parts.
    fn flush(&mut self) {
        let parts = &mut self.parts;
        self.choice.drain(|record| parts.push(record));
        self.seen = 0;
    }

    fn bytes(&self, rule: &Rule) -> usize {
        self.choice.bytes() + self.parts.bytes(rule)
    }

    fn make_room(&mut self, contents: &[u64], shared: &Shared) -> Result<()> {
        let rule = &shared.rule;
        let before = self.bytes(rule);
        if self.memory.try_resize(before).is_ok() {
            return Ok(());
        }
        shared.go_on()?;
        if self.parts.is_empty() && self.choice.kept() <= RECORDS_MIN {
            self.memory.resize(before);
            return Ok(());
        }
        self.flush();
        self.parts.settle(*rule, shared.keyed(contents))?;
        let after = self.bytes(rule);
        // Looking costs no more than what comes until the next time.
        if after > before / 4 * 3 || self.memory.try_resize(after).is_err() {
            self.parts.spill(shared)?;
            self.memory.resize(self.bytes(rule));
        }
        Ok(())
    }

    /// What was gathered, in parts, each with the memory that it takes.
    ///
    /// # Errors
    /// As for [`Gatherer::push`].
    pub(super) fn into_parts(mut self) -> Result<Vec<(Part, MemoryReservation)>> {
        self.flush();
        self.parts.into_parts(&self.memory)
    }
}

/// Hands what is kept of the records of a part to `found`: at once where memory has room for that, else in
/// parts of parts.
///
/// # Errors
/// [`Code::QueryMemory`] where memory has no room for what one unit contributes.
pub(super) fn resolve(
    sources: Vec<Source>,
    level: u32,
    memory: &MemoryReservation,
    contents: &[u64],
    shared: &Shared,
    found: &mut dyn FnMut(&Choice),
) -> Result<()> {
    shared.go_on()?;
    if sources.iter().all(|source| source.words() == 0) {
        return Ok(());
    }
    if level >= LEVEL_MAX {
        return resolve_one(sources, contents, shared, found);
    }
    let mut gatherer = Gatherer::among(level + 1, shared.rule, memory.new_empty());
    let (mut first, mut is_one) = (None, true);
    for source in sources {
        source.read(&shared.rule, |records| {
            shared.go_on()?;
            let mut units = records.iter().step_by(shared.rule.width);
            is_one = is_one && units.all(|unit| *unit == *first.get_or_insert(*unit));
            gatherer.choice.offer_records(records, shared.keyed(contents))?;
            gatherer.make_room(contents, shared)
        })?;
    }
    if gatherer.parts.is_empty() {
        found(&gatherer.choice);
        return Ok(());
    }
    let parts = gatherer.into_parts()?.into_iter();
    let mut sources = parts.map(|(part, held)| Source::new(part, held, None));
    if is_one {
        // It is in one part of each further level too.
        return resolve_one(sources.collect(), contents, shared, found);
    }
    sources.try_for_each(|source| resolve(vec![source], level + 1, memory, contents, shared, found))
}

/// What one unit contributes, which is looked at whole, by one thread at a time.
fn resolve_one(
    sources: Vec<Source>,
    contents: &[u64],
    shared: &Shared,
    found: &mut dyn FnMut(&Choice),
) -> Result<()> {
    let alone = shared.alone.lock().unwrap_or_else(PoisonError::into_inner);
    let mut choice = Choice::new(shared.rule);
    let mut look = |records: &[u64]| {
        shared.go_on()?;
        choice.offer_records(records, shared.keyed(contents))?;
        alone.try_resize(choice.bytes()).map_err(|error| inward(&error))
    };
    let looked = sources.into_iter().try_for_each(|source| source.read(&shared.rule, &mut look));
    if looked.is_ok() {
        found(&choice);
    }
    alone.free();
    looked
}
