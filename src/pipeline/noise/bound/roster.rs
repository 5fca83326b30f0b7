//! Numbers for the groups that a task has at hand, and how groups stand in records that others read: by number
//! where all keys are public, else by what stands for their keys. Holds no key.

use std::sync::Arc;

use super::choice::{Rule, put};
use crate::error::{Code, Error, Result};
use crate::pipeline::noise::question::GroupId;

/// Groups by number.
pub(super) struct Roster {
    ids: Ids,
    /// Which groups stand in some record.
    used: Vec<bool>,
    /// Numbers, and one more; nought is none. By what stands for the key. Made when it is first asked.
    table: Vec<u32>,
}

enum Ids {
    /// Of all groups, the same for everybody: records hold numbers.
    All(Arc<Vec<GroupId>>),
    /// Of those that came: records hold what stands for the key.
    Some(Vec<GroupId>),
}

impl Roster {
    /// All groups there are, or none yet.
    pub(super) fn new(all: Option<&Arc<Vec<GroupId>>>) -> Self {
        let ids = all.map_or_else(|| Ids::Some(Vec::new()), |all| Ids::All(Arc::clone(all)));
        Self { ids, used: Vec::new(), table: Vec::new() }
    }

    /// One of the same kind for somebody else.
    pub(super) fn fresh(&self) -> Self {
        Self::new(match &self.ids {
            Ids::All(all) => Some(all),
            Ids::Some(_) => None,
        })
    }

    /// What stands for the keys, by number.
    pub(super) fn ids(&self) -> &[GroupId] {
        match &self.ids {
            Ids::All(all) => all,
            Ids::Some(ids) => ids,
        }
    }

    /// Which groups stand in some record; those that never did may be missing at the end.
    pub(super) fn used(&self) -> &[bool] {
        &self.used
    }

    /// Gives the next numbers to groups that have none. Whoever does that numbers all.
    pub(super) fn extend(&mut self, fresh: impl Iterator<Item = GroupId>) {
        if let Ids::Some(ids) = &mut self.ids {
            ids.extend(fresh);
        }
    }

    /// Forgets the groups that came.
    pub(super) fn clear(&mut self) {
        if let Ids::Some(_) = &self.ids {
            *self = Self::new(None);
        }
    }

    /// What it takes in memory of its own.
    pub(super) fn bytes(&self) -> usize {
        let ids = match &self.ids {
            Ids::All(_) => 0,
            Ids::Some(ids) => ids.capacity() * size_of::<GroupId>(),
        };
        ids + self.used.capacity() + self.table.capacity() * size_of::<u32>()
    }

    /// The number of a group by what stands for its key.
    #[inline]
    pub(super) fn number(&mut self, id: GroupId) -> Result<u32> {
        let Ids::Some(ids) = &mut self.ids else {
            return Err(Error::new(Code::Internal, "groups with numbers are numbered again"));
        };
        let mask = self.table.len().wrapping_sub(1);
        let mut place = place(id) & mask;
        while let Some(number) = self.table.get(place)
            && *number != 0
        {
            if ids.get(*number as usize - 1) == Some(&id) {
                return Ok(*number - 1);
            }
            place = (place + 1) & mask;
        }
        let number = u32::try_from(ids.len() + 1)
            .map_err(|_| Error::new(Code::Internal, "more groups at hand than can be numbered"))?;
        ids.push(id);
        put(&mut self.table, ids.len(), |at| ids.get(at).map_or(0, |id| self::place(*id)));
        Ok(number - 1)
    }

    /// The number of a group that has this one elsewhere.
    pub(super) fn adopt(&mut self, id: GroupId, number: u32) -> Result<u32> {
        if matches!(self.ids, Ids::All(_)) { Ok(number) } else { self.number(id) }
    }

    /// A record as others read it.
    #[inline]
    pub(super) fn write(&mut self, unit: u64, group: u32, values: &[u64], record: &mut Vec<u64>) {
        record.clear();
        record.push(unit);
        match &self.ids {
            Ids::All(_) => record.push(u64::from(group)),
            Ids::Some(ids) => {
                record.extend(ids.get(group as usize).copied().unwrap_or_default());
                let at = group as usize;
                if at >= self.used.len() {
                    self.used.resize(ids.len(), false);
                }
                if let Some(used) = self.used.get_mut(at) {
                    *used = true;
                }
            }
        }
        record.extend_from_slice(values);
    }

    /// Records as others wrote them, with the numbers that groups have here.
    pub(super) fn read<'a>(&mut self, words: &'a mut [u64], rule: &Rule) -> Result<&'a [u64]> {
        if matches!(self.ids, Ids::All(_)) {
            return Ok(words);
        }
        let records = words.len() / rule.written;
        for record in 0..records {
            let (from, to) = (record * rule.written, record * rule.width);
            let Some(&[unit, first, second]) =
                words.get(from..).and_then(<[u64]>::first_chunk::<3>)
            else {
                break;
            };
            let number = self.number([first, second])?;
            words.copy_within(from + 3..from + rule.written, to + 2);
            if let Some(place) = words.get_mut(to..).and_then(<[u64]>::first_chunk_mut::<2>) {
                *place = [unit, u64::from(number)];
            }
        }
        Ok(words.get(..records * rule.width).unwrap_or_default())
    }
}

/// What stands for a key is a hash already, of which others may have taken the first bits.
#[inline(always)]
const fn place(id: GroupId) -> usize {
    (id[0] ^ id[1].rotate_left(32)) as usize
}

#[cfg(test)]
mod tests {
    use super::super::choice::Rule;
    use super::*;
    use crate::pipeline::noise::question::Bounding;

    #[test]
    fn records_are_read_as_they_were_written_by_whoever_has_other_numbers() {
        let rule = Rule::new(&Bounding { groups: 2, rows: 2, off: false }, 2, None);
        let (mut ours, mut theirs) = (Roster::new(None), Roster::new(None));
        // Of three words of two ids each two agree.
        let id = |at: u64| [at / 2, at % 3];
        ours.extend((0..3_000).map(id));
        let (mut words, mut record) = (Vec::new(), Vec::new());
        for at in (0..3_000_u32).rev().step_by(2) {
            ours.write(u64::from(at) * 5, at, &[1, u64::from(at)], &mut record);
            words.extend_from_slice(&record);
        }
        assert_eq!(words.len(), 1_500 * rule.written);
        let read = theirs.read(&mut words, &rule).unwrap().to_vec();
        let expected = (0..3_000_u64).rev().step_by(2).zip(0..);
        let expected: Vec<u64> =
            expected.flat_map(|(at, number)| [at * 5, number, 1, at]).collect();
        assert_eq!(read, expected);
        assert!((0..1_500).all(|at| theirs.ids()[at] == id(2_999 - 2 * at as u64)));
        assert!((0..3_000).all(|at| ours.used()[at] == (at % 2 == 1)));
    }
}
