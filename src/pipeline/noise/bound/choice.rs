//! What each unit contributes: of its groups those that come first, and in each of them the rows that come
//! first, in the order of [`super::keyed`]. Takes rows one by one, whatever their order, and holds no more of
//! them than are kept. Reads nothing and sums nothing.
//!
//! A record is a row as whole numbers: the unit, the group's number, and the steps of each value; where there
//! is no value, how many such rows there are.

use std::collections::BinaryHeap;

use super::blocks::Blocks;
use super::keyed::Order;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::{Bounding, GroupId};

/// Where the values stand in a record, behind the unit and the group.
pub(super) const VALUES_AT: usize = 2;

/// How much one unit contributes, and how records are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Words of a record.
    pub(super) width: usize,
    /// Words of a record as it is written: with two for a group that has no number of its own.
    pub(super) written: usize,
    /// Values of a row.
    pub(super) values: usize,
    /// The most rows of a unit in a group.
    rows: usize,
    /// The most groups of a unit, where there may be more.
    groups: Option<usize>,
}

impl Rule {
    /// The rule for so many values, and for so many groups where their number is known.
    pub(super) fn new(bounding: &Bounding, values: usize, groups: Option<usize>) -> Self {
        let most = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
        let may_pass = groups.is_none_or(|groups| groups > most(bounding.groups));
        let width = VALUES_AT + values.max(1);
        let rule = Self {
            width,
            written: width + usize::from(groups.is_none()),
            values,
            rows: most(bounding.rows),
            groups: may_pass.then(|| most(bounding.groups)),
        };
        #[cfg(test)]
        if bounding.off {
            return Self { rows: usize::MAX, groups: None, ..rule };
        }
        rule
    }

    /// The most groups of a unit, and the most rows of each.
    pub(super) fn most(&self) -> (usize, usize) {
        (self.groups.unwrap_or(usize::MAX), self.rows)
    }

    /// The same with other bounds.
    pub(super) const fn with(&self, groups: usize, rows: usize) -> Self {
        let groups = if groups == usize::MAX { None } else { Some(groups) };
        Self { rows, groups, ..*self }
    }
}

/// What the order of rows and groups needs: the key, and what stands for the groups' keys, by number.
#[derive(Clone, Copy)]
pub(super) struct Keyed<'a> {
    pub(super) order: &'a Order,
    pub(super) ids: &'a [GroupId],
}

impl Keyed<'_> {
    fn id(&self, group: u32) -> Result<GroupId> {
        let id = self.ids.get(group as usize).copied();
        id.ok_or_else(|| Error::new(Code::Internal, "a group that stands for no key"))
    }

    /// The hash by which rows of a unit in a group are chosen.
    #[inline(always)]
    pub(super) fn row(&self, unit: u64, group: u32, values: &[u64]) -> Result<u64> {
        let mut state = self.order.rows(unit, self.id(group)?[0]);
        values.iter().for_each(|value| state.absorb(*value));
        Ok(state.finish(0))
    }

    /// The hash by which groups of a unit are chosen.
    pub(super) fn group(&self, unit: u64, group: u32) -> Result<u64> {
        Ok(self.order.group(unit, self.id(group)?[0]))
    }

    /// The place of a group among those of a unit.
    fn place(&self, unit: u64, group: u32, slot: u32) -> Result<Place> {
        Ok((self.group(unit, group)?, self.id(group)?, slot))
    }
}

/// Where a group stands among those of a unit; the slot decides nothing, as no two groups have one id.
type Place = (u64, GroupId, u32);

/// The rows of one unit in one group. All that most rows are looked at with, in half a line of the cache.
struct Slot {
    unit: u64,
    /// The hash of the last row that is held, where there were more; without values, how many rows there are.
    last: u64,
    group: u32,
    /// How many rows are held, and where.
    rows: u32,
    block: u32,
    fate: Fate,
}

/// What becomes of a slot's rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// All so far are kept.
    Open,
    /// There were more than are kept: those that come first are held.
    Full,
    /// None is kept: the unit has groups enough that come before this one.
    Shut,
}

/// The groups of one unit.
struct Unit {
    unit: u64,
    /// How many are kept.
    groups: usize,
    /// The slot that came last, and from there the others.
    head: u32,
    /// Once there were more than are kept: the places of those that are.
    places: Option<u32>,
}

/// No slot.
const NONE: u32 = u32::MAX;

/// Rows that are kept, so far.
///
/// INVARIANT: what is kept of a unit depends on the unit's own rows alone, and not on their order: at most so
/// many groups as the rule says, and at most so many rows of each. What is left out would be left out beside
/// any more rows of the unit too.
pub(super) struct Choice {
    rule: Rule,
    slots: Vec<Slot>,
    /// By slot: the one of the unit that came before it, as long as its groups are no more than are kept.
    before: Vec<u32>,
    /// Numbers of slots, and one more; nought is none. By the hash of unit and group.
    table: Vec<u32>,
    units: Vec<Unit>,
    /// The same for units.
    unit_table: Vec<u32>,
    places: Vec<BinaryHeap<Place>>,
    places_held: usize,
    blocks: Blocks,
    kept: usize,
}

impl Choice {
    /// No rows yet.
    pub(super) fn new(rule: Rule) -> Self {
        Self {
            rule,
            slots: Vec::new(),
            before: Vec::new(),
            table: Vec::new(),
            units: Vec::new(),
            unit_table: Vec::new(),
            places: Vec::new(),
            places_held: 0,
            blocks: Blocks::new(rule.values, rule.rows),
            kept: 0,
        }
    }

    /// How many groups of units came.
    pub(super) const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Whether there may be no numbers for much more.
    pub(super) fn is_full(&self) -> bool {
        const FULL: usize = u32::MAX as usize / 2;
        self.slots.len() > FULL || self.blocks.rows_held() > FULL
    }

    /// How many records are kept.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    /// Words of a row that is kept: one for its hash, and its values.
    pub(super) const fn row_width(&self) -> usize {
        self.rule.values + 1
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + (self.before.capacity() + self.table.capacity() + self.unit_table.capacity())
                * size_of::<u32>()
            + self.units.capacity() * size_of::<Unit>()
            + self.places.capacity() * size_of::<BinaryHeap<Place>>()
            // Heaps grow by doubling.
            + self.places_held * 2 * size_of::<Place>()
            + self.blocks.bytes()
    }

    /// Takes a row with its values, as many as the rule says; more than none.
    ///
    /// # Errors
    /// [`Code::Internal`] for more rows than can be numbered, or for a group that stands for no key.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "slots and ranks are numbered here")]
    pub(super) fn offer(
        &mut self,
        unit: u64,
        group: u32,
        values: &[u64],
        keyed: Keyed<'_>,
    ) -> Result<()> {
        let at = self.slot(unit, group, keyed)?;
        let slot = &mut self.slots[at];
        match slot.fate {
            Fate::Shut => Ok(()),
            Fate::Full => {
                let hash = keyed.row(unit, group, values)?;
                // The same place may be that of other values, which may come first.
                if hash <= slot.last {
                    slot.last = self.blocks.replace(slot.block, slot.rows, hash, values);
                }
                Ok(())
            }
            Fate::Open if (slot.rows as usize) < self.rule.rows => {
                slot.block = self.blocks.push(slot.block, slot.rows, values)?;
                slot.rows = slot.rows.checked_add(1).ok_or_else(too_many)?;
                self.kept += 1;
                Ok(())
            }
            Fate::Open => self.fill(at, values, keyed),
        }
    }

    /// Takes so many rows without values, which are all the same.
    ///
    /// # Errors
    /// As for [`Choice::offer`].
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "slots are numbered here")]
    pub(super) fn offer_equal(
        &mut self,
        unit: u64,
        group: u32,
        rows: u64,
        keyed: Keyed<'_>,
    ) -> Result<()> {
        let at = self.slot(unit, group, keyed)?;
        let slot = &mut self.slots[at];
        if slot.fate != Fate::Shut {
            self.kept += usize::from(slot.last == 0);
            slot.last = slot.last.saturating_add(rows).min(self.rule.rows as u64);
        }
        Ok(())
    }

    /// Takes records as they are written.
    ///
    /// # Errors
    /// As for [`Choice::offer`].
    pub(super) fn offer_records(&mut self, records: &[u64], keyed: Keyed<'_>) -> Result<()> {
        for record in records.chunks_exact(self.rule.width) {
            let [unit, group, values @ ..] = record else { continue };
            let group = *group as u32;
            match (self.rule.values, values) {
                (0, [rows, ..]) => self.offer_equal(*unit, group, *rows, keyed)?,
                (1, [a]) => self.offer(*unit, group, &[*a], keyed)?,
                (2, [a, b]) => self.offer(*unit, group, &[*a, *b], keyed)?,
                (_, values) => self.offer(*unit, group, values, keyed)?,
            }
        }
        Ok(())
    }

    /// What is kept, group by group of each unit: the group, how many rows, and their values behind a word each.
    pub(super) fn found(&self) -> impl Iterator<Item = (u32, u64, &[u64])> {
        let found = |slot: &Slot| {
            let rows = if self.rule.values == 0 { slot.last } else { u64::from(slot.rows) };
            (slot.group, rows, self.blocks.rows(slot.block, slot.rows))
        };
        let open = self.slots.iter().filter(|slot| slot.fate != Fate::Shut);
        open.map(found).filter(|(_, rows, _)| *rows > 0)
    }

    /// Hands over what is kept, row by row: the unit, the group and the values; where there is no value, how many
    /// rows there are. Holds nothing any more.
    pub(super) fn drain(&mut self, mut row: impl FnMut(u64, u32, &[u64])) {
        for slot in self.slots.iter().filter(|slot| slot.fate != Fate::Shut) {
            if self.rule.values == 0 {
                row(slot.unit, slot.group, &[slot.last]);
                continue;
            }
            let rows = self.blocks.rows(slot.block, slot.rows);
            for values in rows.chunks_exact(self.rule.values + 1).filter_map(|row| row.get(1..)) {
                row(slot.unit, slot.group, values);
            }
        }
        *self = Self::new(self.rule);
    }

    /// The slot of a unit and a group.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "places are made here and lie in tables made here")]
    fn slot(&mut self, unit: u64, group: u32, keyed: Keyed<'_>) -> Result<usize> {
        let mask = self.table.len().wrapping_sub(1);
        let mut place = place(unit, group) & mask;
        while let Some(number) = self.table.get(place)
            && *number != 0
        {
            let at = *number as usize - 1;
            let slot = &self.slots[at];
            if slot.unit == unit && slot.group == group {
                return Ok(at);
            }
            place = (place + 1) & mask;
        }
        self.meet(unit, group, keyed)
    }

    /// A slot for a group of a unit that did not come before.
    #[inline(never)]
    fn meet(&mut self, unit: u64, group: u32, keyed: Keyed<'_>) -> Result<usize> {
        let number = u32::try_from(self.slots.len()).ok().filter(|number| *number < NONE);
        let number = number.ok_or_else(too_many)?;
        let mut slot = Slot { unit, last: 0, group, rows: 0, block: 0, fate: Fate::Open };
        if let Some(groups) = self.rule.groups {
            self.take_group(groups, number, &mut slot, keyed)?;
        }
        self.slots.push(slot);
        let slots = &self.slots;
        let hash = |at: usize| slots.get(at).map_or(0, |slot| place(slot.unit, slot.group));
        put(&mut self.table, slots.len(), hash);
        Ok(number as usize)
    }

    /// Decides whether a group of a unit is one of those that are kept.
    #[expect(clippy::indexing_slicing, reason = "slots, units and places are numbered here")]
    fn take_group(
        &mut self,
        groups: usize,
        number: u32,
        slot: &mut Slot,
        keyed: Keyed<'_>,
    ) -> Result<()> {
        let at = self.unit(slot.unit);
        let unit = &mut self.units[at];
        if unit.groups < groups {
            unit.groups += 1;
            self.before.push(std::mem::replace(&mut unit.head, number));
            return Ok(());
        }
        self.before.push(NONE);
        let places = match unit.places {
            Some(places) => places as usize,
            None => {
                let mut places = BinaryHeap::with_capacity(unit.groups);
                let mut next = unit.head;
                while let Some(slot) = self.slots.get(next as usize) {
                    places.push(keyed.place(slot.unit, slot.group, next)?);
                    next = self.before.get(next as usize).copied().unwrap_or(NONE);
                }
                unit.places = Some(u32::try_from(self.places.len()).map_err(|_| too_many())?);
                self.places_held += places.len();
                self.places.push(places);
                self.places.len() - 1
            }
        };
        let ours = keyed.place(slot.unit, slot.group, number)?;
        match self.places[places].peek_mut() {
            Some(mut last) if ours < *last => {
                let left = &mut self.slots[last.2 as usize];
                left.fate = Fate::Shut;
                self.kept -= if self.rule.values == 0 { 1 } else { left.rows as usize };
                self.blocks.free(left.block, left.rows);
                left.rows = 0;
                *last = ours;
            }
            _ => slot.fate = Fate::Shut,
        }
        Ok(())
    }

    /// The number of a unit.
    #[expect(clippy::indexing_slicing, reason = "places are made here and lie in tables made here")]
    fn unit(&mut self, unit: u64) -> usize {
        let mask = self.unit_table.len().wrapping_sub(1);
        let mut at = place(unit, 0) & mask;
        while let Some(number) = self.unit_table.get(at)
            && *number != 0
        {
            if self.units[*number as usize - 1].unit == unit {
                return *number as usize - 1;
            }
            at = (at + 1) & mask;
        }
        self.units.push(Unit { unit, groups: 0, head: NONE, places: None });
        let units = &self.units;
        let hash = |at: usize| units.get(at).map_or(0, |unit| place(unit.unit, 0));
        put(&mut self.unit_table, units.len(), hash);
        units.len() - 1
    }

    /// A row more than a slot keeps, for the first time: from now on the hashes of rows decide.
    #[inline(never)]
    #[expect(clippy::indexing_slicing, reason = "slots are numbered here")]
    fn fill(&mut self, at: usize, values: &[u64], keyed: Keyed<'_>) -> Result<()> {
        let slot = &mut self.slots[at];
        let (unit, group) = (slot.unit, slot.group);
        slot.fate = Fate::Full;
        self.blocks.rank(slot.block, slot.rows, |values| keyed.row(unit, group, values))?;
        let hash = keyed.row(unit, group, values)?;
        slot.last = self.blocks.replace(slot.block, slot.rows, hash, values);
        Ok(())
    }
}

/// Puts the last of so many entries into a table that is by their hashes, and is made larger when it is half
/// full.
#[expect(clippy::indexing_slicing, reason = "places are made here and lie in a table made here")]
pub(super) fn put(table: &mut Vec<u32>, entries: usize, hash: impl Fn(usize) -> usize) {
    const LEAST: usize = 1 << 8;
    let fresh = if entries * 2 > table.len() {
        let wanted = (table.len() * 4).max(LEAST);
        table.clear();
        table.resize(wanted, 0);
        0
    } else {
        entries - 1
    };
    let mask = table.len() - 1;
    for at in fresh..entries {
        let mut place = hash(at) & mask;
        while table[place] != 0 {
            place = (place + 1) & mask;
        }
        table[place] = at as u32 + 1;
    }
}

fn too_many() -> Error {
    Error::new(Code::Internal, "more records than can be numbered")
}

/// Units are hashes already, but a test's need not be.
#[inline(always)]
const fn place(unit: u64, group: u32) -> usize {
    let mixed = (unit ^ (group as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)) as usize
}
