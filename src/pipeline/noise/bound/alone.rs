//! What one unit contributes, where memory has no room to look at all of it at once: its groups in the order in
//! which they are chosen, some at a time, and where one group is too much, its rows in their order, some at a
//! time. Sums nothing.

use std::sync::PoisonError;

use datafusion::execution::memory_pool::MemoryReservation;

use super::choice::{Choice, Rule};
use super::gather::{Kept, Shared};
use super::parts::{LEVEL_MAX, Parts, Source};
use super::roster::Roster;
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::GroupId;

/// So many groups of units are held in any case, and so many rows that are the same are handed over at once.
const RECORDS_MIN: usize = 1 << 8;

/// So much is held of records on their way to files.
const HELD_MAX: usize = 1 << 18;

/// One unit's contribution.
pub(super) struct Alone<'a> {
    shared: &'a Shared,
    roster: &'a Roster,
    found: &'a mut dyn FnMut(Kept<'_>) -> Result<()>,
    memory: &'a MemoryReservation,
}

/// What the parts of a unit's records differ in.
#[derive(Clone, Copy)]
enum By {
    /// The places of groups.
    Groups,
    /// The hashes of rows, of one group.
    Rows,
}

/// What became of some records.
enum Looked {
    /// They were handed over: so many groups, and so many rows in all.
    Whole(usize, usize),
    /// Memory has no room for them, and they are of several groups.
    Groups(Vec<Source>),
    /// Memory has no room for them, and they are of one group.
    Rows(Vec<Source>),
    /// Memory has no room for them, and so many are all the same.
    Same(Row, usize),
}

/// A row of a group.
struct Row {
    id: GroupId,
    group: u32,
    values: Vec<u64>,
}

/// Hands over what one unit contributes, one at a time.
///
/// PRIVACY: however much that is, memory does not end it: how much one unit has is nobody's business.
///
/// # Errors
/// [`Code::QueryMemory`] where the folder has no room.
pub(super) fn resolve(
    sources: Vec<Source>,
    shared: &Shared,
    roster: &Roster,
    found: &mut dyn FnMut(Kept<'_>) -> Result<()>,
) -> Result<()> {
    let memory = shared.alone.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut groups, _) = shared.rule.most();
    let done = Alone { shared, roster, found, memory: &memory }.groups(sources, 0, &mut groups);
    memory.free();
    done
}

impl Alone<'_> {
    /// Of the groups the first so many.
    fn groups(&mut self, sources: Vec<Source>, level: u32, left: &mut usize) -> Result<()> {
        let (_, mut rows) = self.shared.rule.most();
        let rule = self.shared.rule.with(*left, rows);
        let groups = match self.look(sources, By::Groups, level, rule, false)? {
            Looked::Whole(groups, _) => groups,
            Looked::Groups(sources) => {
                for source in sources {
                    if *left > 0 {
                        self.groups(vec![source], level + 1, left)?;
                    }
                }
                0
            }
            Looked::Rows(sources) => {
                let mut goes_on = false;
                for source in sources {
                    self.rows(vec![source], 0, &mut rows, &mut goes_on)?;
                }
                1
            }
            Looked::Same(row, many) => {
                self.same(&row, many.min(rows), false)?;
                1
            }
        };
        *left = left.saturating_sub(groups);
        Ok(())
    }

    /// Of the rows of a group the first so many. `goes_on` is whether some were handed over already.
    fn rows(
        &mut self,
        sources: Vec<Source>,
        level: u32,
        left: &mut usize,
        goes_on: &mut bool,
    ) -> Result<()> {
        let rule = self.shared.rule.with(usize::MAX, *left);
        let rows = match self.look(sources, By::Rows, level, rule, *goes_on)? {
            Looked::Whole(_, rows) => rows,
            Looked::Same(row, many) => {
                let rows = many.min(*left);
                self.same(&row, rows, *goes_on)?;
                rows
            }
            Looked::Groups(sources) | Looked::Rows(sources) => {
                for source in sources {
                    if *left > 0 {
                        self.rows(vec![source], level + 1, left, goes_on)?;
                    }
                }
                0
            }
        };
        *left = left.saturating_sub(rows);
        *goes_on = *goes_on || rows > 0;
        Ok(())
    }

    /// Looks at records: hands over what the rule keeps of them, or puts that into parts.
    fn look(
        &mut self,
        sources: Vec<Source>,
        by: By,
        level: u32,
        rule: Rule,
        goes_on: bool,
    ) -> Result<Looked> {
        let (shared, memory) = (self.shared, self.memory);
        let (mut choice, mut roster) = (Choice::new(rule), self.roster.fresh());
        let mut parts: Option<Parts> = None;
        let mut first: Option<Row> = None;
        let (mut one_group, mut same, mut many) = (true, rule.values > 0, 0_usize);
        for mut source in sources {
            source.read(rule.written, |words| {
                shared.go_on()?;
                let records = roster.read(words, &rule)?;
                for record in records.chunks_exact(rule.width) {
                    let [_, group, values @ ..] = record else { continue };
                    let (id, group) = id_of(&roster, *group)?;
                    let row = || Row { id, group, values: values.to_vec() };
                    let first = first.get_or_insert_with(row);
                    one_group = one_group && first.id == id;
                    same = same && one_group && first.values == values;
                    many = many.saturating_add(1);
                }
                choice.offer_records(records, shared.keyed(&roster))?;
                if parts.is_none() && (level >= LEVEL_MAX || fits(&choice, &roster, memory)) {
                    return Ok(());
                }
                if parts.is_none() && choice.found().count() < choice.slots() / 2 {
                    // Most is not kept, and is forgotten.
                    return anew(&mut choice, &mut roster, &rule, shared);
                }
                let parts = parts.get_or_insert_with(|| Parts::new(level));
                put(&mut choice, &mut roster, parts, by, shared)?;
                if parts.held() > HELD_MAX { parts.spill(shared) } else { Ok(()) }
            })?;
        }
        let Some(mut parts) = parts else {
            (self.found)(Kept { choice: &choice, roster: &roster, goes_on })?;
            let rows = |rows: u64| usize::try_from(rows).unwrap_or(usize::MAX);
            let (groups, rows) =
                choice.found().fold((0, 0_usize), |(groups, sum), (_, found, _)| {
                    (groups + 1, sum.saturating_add(rows(found)))
                });
            return Ok(Looked::Whole(groups, rows));
        };
        if same && let Some(row) = first {
            return Ok(Looked::Same(row, many));
        }
        parts.spill(shared)?;
        memory.free();
        let parts = parts.into_parts(memory)?.into_iter();
        let sources = parts.map(|(part, held)| Source::new(part, held)).collect();
        Ok(if one_group { Looked::Rows(sources) } else { Looked::Groups(sources) })
    }

    /// Hands over so many rows that are the same.
    fn same(&mut self, row: &Row, rows: usize, mut goes_on: bool) -> Result<()> {
        let mut roster = self.roster.fresh();
        let group = roster.adopt(row.id, row.group)?;
        let mut left = rows;
        while left > 0 {
            self.shared.go_on()?;
            let some = left.min(RECORDS_MIN);
            let mut choice = Choice::new(self.shared.rule.with(usize::MAX, some));
            for _ in 0..some {
                choice.offer(0, group, &row.values, self.shared.keyed(&roster))?;
            }
            (self.found)(Kept { choice: &choice, roster: &roster, goes_on })?;
            (left, goes_on) = (left - some, true);
        }
        Ok(())
    }
}

/// Whether memory has room for what is held.
fn fits(choice: &Choice, roster: &Roster, memory: &MemoryReservation) -> bool {
    let held = choice.slots().max(choice.kept());
    held <= RECORDS_MIN
        || (!choice.is_full() && memory.try_resize(choice.bytes() + roster.bytes()).is_ok())
}

/// The same choice, without what it remembers of what it does not keep.
fn anew(choice: &mut Choice, roster: &mut Roster, rule: &Rule, shared: &Shared) -> Result<()> {
    let (mut words, mut record) = (Vec::new(), Vec::new());
    choice.drain(|unit, group, values| {
        roster.write(unit, group, values, &mut record);
        words.extend_from_slice(&record);
    });
    roster.clear();
    let records = roster.read(&mut words, rule)?;
    choice.offer_records(records, shared.keyed(roster))
}

/// Puts what is chosen into parts.
fn put(
    choice: &mut Choice,
    roster: &mut Roster,
    parts: &mut Parts,
    by: By,
    shared: &Shared,
) -> Result<()> {
    let (mut record, mut done) = (Vec::new(), Ok(()));
    choice.drain(|unit, group, values| {
        let keyed = shared.keyed(roster);
        let hash = match by {
            By::Groups => keyed.group(unit, group),
            By::Rows => keyed.row(unit, group, values),
        };
        match hash {
            Ok(hash) => {
                roster.write(unit, group, values, &mut record);
                parts.push(hash, &record);
            }
            Err(error) => done = Err(error),
        }
    });
    roster.clear();
    done
}

fn id_of(roster: &Roster, group: u64) -> Result<(GroupId, u32)> {
    let number = u32::try_from(group).ok();
    let id = number.and_then(|number| Some((*roster.ids().get(number as usize)?, number)));
    id.ok_or_else(|| Error::new(Code::Internal, "a group that nobody numbered"))
}
