//! What each unit contributes: of its groups those that come first, and in each of them the rows that come
//! first, in the order of [`super::keyed`]. Works on records in memory; reads nothing and sums nothing.
//!
//! A record is a row as whole numbers: the unit, the group's number, and the steps of each value.

use super::keyed::{Order, State};
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::Bounding;

/// Where the unit, the group and the values stand in a record.
pub(super) const VALUES_AT: usize = 2;

/// What one record costs while it is chosen, at most: its place, and a slot of its own in a sparse table.
pub(super) const RECORD_BYTES: usize = 96;

/// How much one unit contributes, and how records are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Words of a record.
    pub(super) width: usize,
    /// The most rows of a unit in a group.
    rows: usize,
    /// The most groups of a unit.
    groups: usize,
}

impl Rule {
    /// The rule for so many values.
    pub(super) fn new(bounding: &Bounding, values: usize) -> Self {
        let most = |bound: u64| usize::try_from(bound).unwrap_or(usize::MAX);
        let rule = Self {
            width: VALUES_AT + values,
            rows: most(bounding.rows),
            groups: most(bounding.groups),
        };
        #[cfg(test)]
        if bounding.off {
            return Self { rows: usize::MAX, groups: usize::MAX, ..rule };
        }
        rule
    }
}

/// The rows of one unit in one group.
struct Slot {
    unit: u64,
    group: u32,
    rows: u32,
    fate: Fate,
}

/// What becomes of a slot's rows.
#[derive(Clone, Copy)]
enum Fate {
    /// All are kept.
    Kept,
    /// None is: the unit has groups that come before this one.
    Left,
    /// Some are: this choice among them.
    Chosen(u32),
}

/// Which rows of a unit in a group may still be kept.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// All.
    Open,
    /// None.
    Shut,
    /// Those whose hash, begun like this, is no greater.
    Before(u64, State),
}

/// A choice among the rows of one slot that is under way: the candidates, and what they must come before.
struct Among {
    start: usize,
    candidates: usize,
    room: usize,
    before: u64,
    state: State,
}

/// The places of a choice, kept for the next one.
#[derive(Default)]
pub(super) struct Choice {
    slots: Vec<Slot>,
    /// The number of a slot and one more, or nought; by the hash of unit and group.
    table: Vec<u32>,
    slot_of: Vec<u32>,
    among: Vec<Among>,
    /// Hashes and records, of each choice in a part of its own.
    candidates: Vec<(u64, u32)>,
    kept: Vec<u32>,
}

impl Choice {
    /// Chooses among records; `contents` are the groups' keys as numbers.
    ///
    /// INVARIANT: what is kept of a unit depends on the unit's own records alone, and not on their order;
    /// at most `rule.groups` of its groups, and at most `rule.rows` records of each.
    ///
    /// # Errors
    /// [`Code::Internal`] for more records than can be numbered, or for a group without content.
    pub(super) fn choose(
        &mut self,
        records: &[u64],
        rule: &Rule,
        contents: &[u64],
        order: &Order,
    ) -> Result<()> {
        if u32::try_from(records.len() / rule.width).is_err() {
            return Err(Error::new(Code::Internal, "more records than can be numbered"));
        }
        self.sort_into_slots(records, rule);
        self.leave_groups(rule, contents, order)?;
        self.leave_rows(records, rule, contents, order)
    }

    /// The numbers of the records that are kept.
    pub(super) fn kept(&self) -> &[u32] {
        &self.kept
    }

    /// The groups of units that are kept: each unit's groups, and how many of its rows are kept there.
    pub(super) fn slots<'a>(&'a self, rule: &'a Rule) -> impl Iterator<Item = (u32, u64)> + 'a {
        self.slots.iter().filter_map(|slot| match slot.fate {
            Fate::Left => None,
            Fate::Kept => Some((slot.group, u64::from(slot.rows))),
            Fate::Chosen(_) => Some((slot.group, rule.rows as u64)),
        })
    }

    /// What is known of rows that are still to come, in groups of which rows were left out.
    pub(super) fn limits<'a>(
        &'a self,
        rule: &'a Rule,
    ) -> impl Iterator<Item = (u64, u32, Limit)> + 'a {
        self.slots.iter().filter_map(|slot| {
            let limit = match slot.fate {
                Fate::Kept => return None,
                Fate::Left => Limit::Shut,
                // Without values all rows are the same, and there are enough.
                Fate::Chosen(_) if rule.width == VALUES_AT => Limit::Shut,
                Fate::Chosen(at) => {
                    let among = self.among.get(at as usize)?;
                    Limit::Before(among.before, among.state)
                }
            };
            Some((slot.unit, slot.group, limit))
        })
    }

    #[expect(clippy::indexing_slicing, reason = "places are made here and lie in tables made here")]
    fn sort_into_slots(&mut self, records: &[u64], rule: &Rule) {
        const TABLE_MIN: usize = 1 << 10;
        self.slots.clear();
        self.slot_of.clear();
        self.table.clear();
        self.table.resize(TABLE_MIN, 0);
        let mut mask = TABLE_MIN - 1;
        self.slot_of.reserve(records.len() / rule.width);
        for record in records.chunks_exact(rule.width) {
            let (unit, group) = (record[0], record[1] as u32);
            let mut place = place(unit, group) & mask;
            let slot = loop {
                match self.table[place] {
                    0 => {
                        let slot = self.slots.len();
                        self.slots.push(Slot { unit, group, rows: 1, fate: Fate::Kept });
                        self.table[place] = slot as u32 + 1;
                        break slot;
                    }
                    number => {
                        let slot = &mut self.slots[number as usize - 1];
                        if slot.unit == unit && slot.group == group {
                            slot.rows += 1;
                            break number as usize - 1;
                        }
                        place = (place + 1) & mask;
                    }
                }
            };
            self.slot_of.push(slot as u32);
            if self.slots.len() * 2 > self.table.len() {
                mask = self.table.len() * 2 - 1;
                self.spread(mask);
            }
        }
    }

    /// Makes a table with room for more slots.
    #[expect(
        clippy::indexing_slicing,
        reason = "places are made here and lie in a table made here"
    )]
    fn spread(&mut self, mask: usize) {
        self.table.clear();
        self.table.resize(mask + 1, 0);
        for (number, slot) in self.slots.iter().enumerate() {
            let mut place = place(slot.unit, slot.group) & mask;
            while self.table[place] != 0 {
                place = (place + 1) & mask;
            }
            self.table[place] = number as u32 + 1;
        }
    }

    /// Leaves out the groups of a unit that come after the first ones.
    fn leave_groups(&mut self, rule: &Rule, contents: &[u64], order: &Order) -> Result<()> {
        if self.slots.len() <= rule.groups {
            return Ok(());
        }
        let mut by_unit: Vec<(u64, u32)> =
            self.slots.iter().zip(0..).map(|(slot, number)| (slot.unit, number)).collect();
        by_unit.sort_unstable();
        let mut groups = Vec::new();
        for of_unit in by_unit.chunk_by(|a, b| a.0 == b.0) {
            if of_unit.len() <= rule.groups {
                continue;
            }
            groups.clear();
            for (unit, number) in of_unit {
                let Some(slot) = self.slots.get(*number as usize) else { continue };
                let content = content(contents, slot.group)?;
                groups.push((order.group(*unit, content), content, *number));
            }
            // Two groups with the same place have the same content, once in 2^64 pairs.
            if let Some(last) = rule.groups.checked_sub(1) {
                groups.select_nth_unstable(last);
            }
            for (_, _, number) in groups.iter().skip(rule.groups) {
                if let Some(slot) = self.slots.get_mut(*number as usize) {
                    slot.fate = Fate::Left;
                }
            }
        }
        Ok(())
    }

    /// Keeps of each slot the rows that come first.
    fn leave_rows(
        &mut self,
        records: &[u64],
        rule: &Rule,
        contents: &[u64],
        order: &Order,
    ) -> Result<()> {
        self.among.clear();
        let mut start = 0;
        for slot in &mut self.slots {
            let rows = slot.rows as usize;
            if rows <= rule.rows || matches!(slot.fate, Fate::Left) {
                continue;
            }
            slot.fate = Fate::Chosen(self.among.len() as u32);
            // As many again as are kept: then all of them are looked at once in so many.
            let room = rows.min(rule.rows.saturating_mul(2).max(1));
            let state = order.rows(slot.unit, content(contents, slot.group)?);
            self.among.push(Among { start, candidates: 0, room, before: u64::MAX, state });
            start += room;
        }
        self.candidates.clear();
        self.candidates.resize(start, (0, 0));
        self.look_at_rows(records, rule);
        for at in 0..self.among.len() {
            self.narrow(at, records, rule);
            if let Some(among) = self.among.get(at) {
                let chosen = self.candidates.get(among.start..among.start + among.candidates);
                self.kept.extend(chosen.unwrap_or_default().iter().map(|(_, record)| *record));
            }
        }
        Ok(())
    }

    #[expect(clippy::indexing_slicing, reason = "slots and choices are numbered here")]
    fn look_at_rows(&mut self, records: &[u64], rule: &Rule) {
        self.kept.clear();
        for (at, record) in records.chunks_exact(rule.width).enumerate() {
            match self.slots[self.slot_of[at] as usize].fate {
                Fate::Kept => self.kept.push(at as u32),
                Fate::Left => {}
                Fate::Chosen(number) => {
                    let among = &mut self.among[number as usize];
                    // Without values all rows are the same.
                    if rule.width == VALUES_AT && among.candidates == rule.rows {
                        continue;
                    }
                    let mut state = among.state;
                    for value in &record[VALUES_AT..] {
                        state.absorb(*value);
                    }
                    let hash = state.finish(0);
                    // The same place may be that of another content, which may come first.
                    if hash > among.before {
                        continue;
                    }
                    if among.candidates == among.room {
                        self.narrow(number as usize, records, rule);
                    }
                    let among = &mut self.among[number as usize];
                    if among.candidates < among.room {
                        self.candidates[among.start + among.candidates] = (hash, at as u32);
                        among.candidates += 1;
                    }
                }
            }
        }
    }

    /// Keeps those candidates of a choice that come first.
    #[expect(clippy::indexing_slicing, reason = "records are numbered here")]
    fn narrow(&mut self, at: usize, records: &[u64], rule: &Rule) {
        let Some(among) = self.among.get_mut(at) else { return };
        if among.candidates <= rule.rows {
            return;
        }
        let range = among.start..among.start + among.candidates;
        let Some(candidates) = self.candidates.get_mut(range) else { return };
        among.candidates = rule.rows;
        let Some(last) = rule.rows.checked_sub(1) else { return };
        let values = |record: u32| {
            let start = record as usize * rule.width;
            &records[start + VALUES_AT..start + rule.width]
        };
        // Rows with the same hash and the same values are the same to whoever counts them.
        let (_, last, _) = candidates.select_nth_unstable_by(last, |a, b| {
            a.0.cmp(&b.0).then_with(|| values(a.1).cmp(values(b.1)))
        });
        among.before = last.0;
    }
}

fn content(contents: &[u64], group: u32) -> Result<u64> {
    let content = contents.get(group as usize).copied();
    content.ok_or_else(|| Error::new(Code::Internal, "a group without content"))
}

/// Units are hashes already, but a test's need not be.
#[inline]
pub(super) const fn place(unit: u64, group: u32) -> usize {
    let mixed = (unit ^ (group as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)) as usize
}
