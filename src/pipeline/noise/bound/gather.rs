//! Rows on their way from the scan to what is kept of them. As long as that is much less than what comes, it
//! is chosen at once; what is about as much goes by, into parts by unit, and is chosen among later. When memory
//! is short, what is held goes into parts, and from there to files. Sums nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{Array, UInt64Array};
use datafusion::execution::disk_manager::DiskManager;
use datafusion::execution::memory_pool::MemoryReservation;

use super::alone;
use super::choice::{Choice, Keyed, Rule};
use super::groups::NOBODYS;
use super::keyed::Order;
use super::parts::{LEVEL_MAX, Part, Parts, Source, of_unit};
use super::roster::Roster;
use super::steps::NONE;
use crate::error::{Code, Error, Result};

/// So many groups of units are looked up fast; more are held where most rows are of groups that are there.
const SLOTS_FEW: usize = if cfg!(test) { 1 << 7 } else { 1 << 13 };

/// So many times the rows that showed that choosing brings little go by before it is tried again.
const GO_BY: usize = 8;

/// So few groups of units are held in any case, with so few records.
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
    pub(super) fn go_on(&self) -> Result<()> {
        if self.over.load(Ordering::Relaxed) {
            return Err(Error::new(Code::Cancelled, "nobody waits for the answer any more"));
        }
        Ok(())
    }

    pub(super) fn keyed<'a>(&'a self, roster: &'a Roster) -> Keyed<'a> {
        Keyed { order: &self.order, ids: roster.ids() }
    }
}

/// What is kept of units, to be summed.
pub(super) struct Kept<'a> {
    pub(super) choice: &'a Choice,
    /// Whose numbers the choice's groups have.
    pub(super) roster: &'a Roster,
    /// Whether these are more rows of a unit and a group of which some came before.
    pub(super) goes_on: bool,
}

/// Rows that one task takes.
pub(super) struct Gatherer {
    choice: Choice,
    /// The numbers of groups. Whoever pushes rows with numbers gives them.
    pub(super) roster: Roster,
    /// Whether groups get their numbers here, and lose them when nothing has them any more.
    numbers: bool,
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
    pub(super) fn new(rule: Rule, roster: Roster, memory: MemoryReservation) -> Self {
        let (choice, parts) = (Choice::new(rule), Parts::new(0));
        let (seen, slots_max, go_by) = (0, SLOTS_FEW, 0);
        Self { choice, roster, numbers: false, parts, memory, seen, slots_max, go_by }
    }

    /// For the records of some parts, of which as many are held as memory has room for.
    fn among(level: u32, rule: Rule, roster: Roster, memory: MemoryReservation) -> Self {
        let parts = Parts::new(level);
        Self { parts, numbers: true, slots_max: usize::MAX, ..Self::new(rule, roster, memory) }
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
        // Most statements speak of no value, of one or of two: rows of a length that is known.
        match values {
            [] => self.take_equal(rows.map(|(_, (unit, group))| (*unit, *group)), shared),
            [a] => {
                self.take(rows.map(|(row, (unit, group))| (*unit, *group, [at(a, row)])), shared)
            }
            [a, b] => {
                let rows =
                    rows.map(|(row, (unit, group))| (*unit, *group, [at(a, row), at(b, row)]));
                self.take(rows, shared)
            }
            more => {
                let (mut values, mut record) = (Vec::new(), Vec::new());
                rows.into_iter().try_for_each(|(row, (unit, group))| {
                    values.clear();
                    values.extend(more.iter().map(|steps| at(steps, row)));
                    if self.go_by > 0 {
                        self.roster.write(*unit, *group, &values, &mut record);
                        self.parts.push(of_unit(*unit), &record);
                        return Ok(());
                    }
                    self.choice.offer(*unit, *group, &values, shared.keyed(&self.roster))
                })
            }
        }?;
        self.count(units.len());
        self.make_room(shared)
    }

    fn take<const VALUES: usize>(
        &mut self,
        mut rows: impl Iterator<Item = (u64, u32, [u64; VALUES])>,
        shared: &Shared,
    ) -> Result<()> {
        let keyed = shared.keyed(&self.roster);
        if self.go_by == 0 {
            return rows.try_for_each(|(unit, group, values)| {
                self.choice.offer(unit, group, &values, keyed)
            });
        }
        let mut record = Vec::new();
        rows.for_each(|(unit, group, values)| {
            self.roster.write(unit, group, &values, &mut record);
            self.parts.push(of_unit(unit), &record);
        });
        Ok(())
    }

    fn take_equal(
        &mut self,
        mut rows: impl Iterator<Item = (u64, u32)>,
        shared: &Shared,
    ) -> Result<()> {
        let keyed = shared.keyed(&self.roster);
        if self.go_by == 0 {
            return rows
                .try_for_each(|(unit, group)| self.choice.offer_equal(unit, group, 1, keyed));
        }
        let mut record = Vec::new();
        rows.for_each(|(unit, group)| {
            self.roster.write(unit, group, &[1], &mut record);
            self.parts.push(of_unit(unit), &record);
        });
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
    pub(super) fn flush(&mut self) {
        let Self { parts, roster, .. } = self;
        let mut record = Vec::new();
        self.choice.drain(|unit, group, values| {
            roster.write(unit, group, values, &mut record);
            parts.push(of_unit(unit), &record);
        });
        if self.numbers {
            roster.clear();
        }
        self.seen = 0;
    }

    fn bytes(&self, rule: &Rule) -> usize {
        self.choice.bytes() + self.roster.bytes() + self.parts.bytes(rule)
    }

    pub(super) fn make_room(&mut self, shared: &Shared) -> Result<()> {
        let rule = &shared.rule;
        let before = self.bytes(rule);
        if !self.choice.is_full() && self.memory.try_resize(before).is_ok() {
            return Ok(());
        }
        shared.go_on()?;
        if self.parts.is_empty() && self.choice.slots().max(self.choice.kept()) <= RECORDS_MIN {
            self.memory.resize(before);
            return Ok(());
        }
        self.flush();
        self.parts.settle(*rule, &self.roster, shared)?;
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
/// [`Code::QueryMemory`] where the folder has no room.
pub(super) fn resolve(
    sources: Vec<Source>,
    level: u32,
    memory: &MemoryReservation,
    roster: &Roster,
    shared: &Shared,
    found: &mut dyn FnMut(Kept<'_>) -> Result<()>,
) -> Result<()> {
    shared.go_on()?;
    if sources.iter().all(|source| source.words() == 0) {
        return Ok(());
    }
    if level >= LEVEL_MAX {
        return alone::resolve(sources, shared, roster, found);
    }
    let rule = shared.rule;
    let mut gatherer = Gatherer::among(level + 1, rule, roster.fresh(), memory.new_empty());
    let (mut first, mut is_one) = (None, true);
    for mut source in sources {
        source.read(rule.written, |words| {
            shared.go_on()?;
            let records = gatherer.roster.read(words, &rule)?;
            let mut units = records.iter().step_by(rule.width);
            is_one = is_one && units.all(|unit| *unit == *first.get_or_insert(*unit));
            gatherer.choice.offer_records(records, shared.keyed(&gatherer.roster))?;
            gatherer.make_room(shared)
        })?;
    }
    if gatherer.parts.is_empty() {
        let (choice, roster) = (&gatherer.choice, &gatherer.roster);
        return found(Kept { choice, roster, goes_on: false });
    }
    let parts = gatherer.into_parts()?.into_iter();
    let mut sources = parts.map(|(part, held)| Source::new(part, held));
    if is_one {
        // It is in one part of each further level too.
        return alone::resolve(sources.collect(), shared, roster, found);
    }
    sources.try_for_each(|source| resolve(vec![source], level + 1, memory, roster, shared, found))
}
