//! Sums of groups of which there may be more than memory holds: as many as it holds at a time, the others as
//! numbers in parts by group, and of those in files what memory has no room for. Chooses nothing.

use datafusion::execution::memory_pool::MemoryReservation;

use super::choice::Choice;
use super::gather::{Kept, Shared};
use super::parts::{LEVEL_MAX, Part, Parts, Source};
use super::roster::Roster;
use super::tally::{Found, Tally};
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{GroupId, Measure, Measured};

/// Words of a number in parts: whose group it is, which of the group's, and the number.
const WIDTH: usize = 5;

/// There is room for so many groups in any case.
const GROUPS_MIN: usize = 1 << 4;

/// So many of what was chosen are summed at once.
const AT_ONCE: usize = 1 << 10;

/// Sums, so far.
pub(super) struct Totals<'a> {
    measures: &'a [Measure],
    roster: Roster,
    tally: Tally,
    parts: Parts,
    memory: MemoryReservation,
    /// The numbers here of groups elsewhere.
    numbers: Vec<u32>,
}

/// No number.
const NONE: u32 = u32::MAX;

impl<'a> Totals<'a> {
    /// Nothing yet; `memory` is for what is held.
    pub(super) fn new(measures: &'a [Measure], memory: MemoryReservation) -> Self {
        Self {
            measures,
            roster: Roster::new(None),
            tally: Tally::new(measures, 0),
            parts: Parts::new(0),
            memory,
            numbers: Vec::new(),
        }
    }

    /// Adds what was chosen.
    ///
    /// # Errors
    /// [`Code::QueryMemory`] where the folder has no room, here and below.
    pub(super) fn add(&mut self, kept: &Kept<'_>, shared: &Shared) -> Result<()> {
        self.numbers.clear();
        self.numbers.resize(kept.roster.ids().len(), NONE);
        let mut some: Vec<Found<'_>> = Vec::with_capacity(AT_ONCE);
        for (group, rows, values) in kept.choice.found() {
            let mut number = self.number(kept.roster, group)?;
            if number as usize >= self.tally.groups() && !self.grow(number) {
                self.sum(&mut some, kept.choice, kept.goes_on);
                self.put_aside(shared)?;
                self.numbers.fill(NONE);
                number = self.number(kept.roster, group)?;
                self.grow(number);
            }
            some.push((number as usize, rows, values));
            if some.len() == AT_ONCE {
                self.sum(&mut some, kept.choice, kept.goes_on);
            }
        }
        self.sum(&mut some, kept.choice, kept.goes_on);
        Ok(())
    }

    fn sum(&mut self, some: &mut Vec<Found<'_>>, choice: &Choice, goes_on: bool) {
        self.tally.add(self.measures, some, choice, goes_on);
        some.clear();
    }

    /// The number of a group that has another in another roster.
    #[inline]
    fn number(&mut self, roster: &Roster, group: u32) -> Result<u32> {
        let unnumbered = || Error::new(Code::Internal, "a group that nobody numbered");
        let number = self.numbers.get_mut(group as usize).ok_or_else(unnumbered)?;
        if *number == NONE {
            let id = roster.ids().get(group as usize).ok_or_else(unnumbered)?;
            *number = self.roster.number(*id)?;
        }
        Ok(*number)
    }

    /// Whether there is room for one more group then.
    fn grow(&mut self, number: u32) -> bool {
        let groups = (number as usize + 1).next_power_of_two().max(GROUPS_MIN);
        // While it grows, the old sums are beside the new ones.
        let bytes = Tally::bytes(self.measures, groups + groups / 2) + self.roster.bytes();
        let bytes = bytes + self.parts.held();
        if self.memory.try_resize(bytes).is_err() {
            if groups > GROUPS_MIN {
                return false;
            }
            self.memory.resize(bytes);
        }
        self.tally.grow(groups);
        true
    }

    /// Puts all sums into parts.
    fn put_aside(&mut self, shared: &Shared) -> Result<()> {
        let Self { roster, tally, parts, .. } = self;
        let groups = roster.ids().len().min(tally.groups());
        tally.numbers(groups, |group, at, number| {
            if let Some(id) = roster.ids().get(group) {
                let number = number.cast_unsigned();
                let words = [id[0], id[1], at, number as u64, (number >> 64) as u64];
                parts.push(hash(*id), &words);
            }
        });
        (self.roster, self.tally) = (Roster::new(None), Tally::new(self.measures, 0));
        if self.memory.try_resize(self.parts.held()).is_err() {
            self.parts.spill(shared)?;
            self.memory.resize(self.parts.held());
        }
        Ok(())
    }

    /// All sums in parts, each with the memory that it takes.
    ///
    /// # Errors
    /// As for [`Totals::add`].
    pub(super) fn into_parts(mut self, shared: &Shared) -> Result<Vec<(Part, MemoryReservation)>> {
        self.put_aside(shared)?;
        self.parts.into_parts(&self.memory)
    }
}

/// What numbers go into parts by.
const fn hash(id: GroupId) -> u64 {
    id[1]
}

/// Numbers of the groups of some parts.
pub(super) struct Batch {
    /// The level of their parts of parts.
    pub(super) level: u32,
    pub(super) sources: Vec<Source>,
}

impl Batch {
    /// How many words there are.
    pub(super) fn words(&self) -> usize {
        self.sources.iter().map(Source::words).sum()
    }

    /// The sums of all its groups; none where memory has no room for them.
    ///
    /// # Errors
    /// As for [`Totals::add`].
    pub(super) fn sums(
        &mut self,
        measures: &[Measure],
        memory: &MemoryReservation,
    ) -> Result<Option<(Vec<GroupId>, Vec<Measured>)>> {
        let (mut roster, mut tally) = (Roster::new(None), Tally::new(measures, 0));
        let (must, mut refused) = (self.level > LEVEL_MAX, false);
        for source in &mut self.sources {
            source.read(WIDTH, |words| {
                for entry in words.chunks_exact(WIDTH) {
                    let &[first, second, at, low, high] = entry else { continue };
                    if refused {
                        break;
                    }
                    let number = roster.number([first, second])? as usize;
                    if number >= tally.groups() {
                        let groups = (number + 1).next_power_of_two().max(GROUPS_MIN);
                        // Noise is drawn beside them, and more than once as much is held then.
                        let bytes = Tally::bytes(measures, groups).saturating_mul(4);
                        refused = memory.try_resize(bytes + roster.bytes()).is_err()
                            && groups > GROUPS_MIN
                            && !must;
                        if refused {
                            break;
                        }
                        tally.grow(groups);
                    }
                    let value = u128::from(low) | u128::from(high) << 64;
                    tally.put(number, at, value.cast_signed());
                }
                Ok(())
            })?;
        }
        if refused {
            return Ok(None);
        }
        let groups = roster.ids().to_vec();
        let measured = tally.measured(groups.len());
        Ok(Some((groups, measured)))
    }

    /// The same numbers in parts of parts.
    ///
    /// # Errors
    /// As for [`Totals::add`].
    pub(super) fn split(self, memory: &MemoryReservation, shared: &Shared) -> Result<Vec<Self>> {
        /// So much is held of numbers on their way to files.
        const HELD_MAX: usize = 1 << 18;
        let level = self.level.min(LEVEL_MAX);
        let mut parts = Parts::new(level);
        for mut source in self.sources {
            source.read(WIDTH, |words| {
                for entry in words.chunks_exact(WIDTH) {
                    if let &[first, second, ..] = entry {
                        parts.push(hash([first, second]), entry);
                    }
                }
                if parts.held() > HELD_MAX { parts.spill(shared) } else { Ok(()) }
            })?;
        }
        parts.spill(shared)?;
        let parts = parts.into_parts(memory)?.into_iter();
        let batch =
            |(part, held)| Self { level: level + 1, sources: vec![Source::new(part, held)] };
        Ok(parts.map(batch).collect())
    }
}
