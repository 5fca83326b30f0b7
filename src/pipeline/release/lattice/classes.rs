//! The classes of a generalization, made from the classes of a finer one. Judges no class.

use super::super::model::Profile;
use super::super::table::{Lists, Table};
use super::key::Key;
use super::layout::{Become, Layout};

/// The classes of one generalization. Lists that the guarantees do not ask for are empty.
#[derive(Debug, Default)]
pub(super) struct Classes<K> {
    pub(super) keys: Vec<K>,
    /// Rows of the dataset.
    pub(super) rows: Vec<u64>,
    /// Rows of the population.
    population: Option<Vec<u64>>,
    /// Persons, no more than k a class.
    persons: Option<Lists<u32>>,
    /// By sensitive column: values and rows.
    values: Vec<Lists<(u32, u64)>>,
}

/// What is carried from class to class beside rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carry {
    /// Persons a class that are remembered: to know whether k are there takes no more.
    pub(super) persons: usize,
    /// Whether values are.
    pub(super) values: bool,
    /// Whether it is remembered which class became which.
    pub(super) follow: bool,
}

/// Space that a thread uses again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    slots: Vec<u32>,
    class_of: Vec<u32>,
    counts: Vec<u64>,
    touched: Vec<u32>,
}

impl Scratch {
    /// By class of the finer generalization: the coarser one's class, after a roll-up that carries.
    pub(super) fn class_of(&self) -> &[u32] {
        &self.class_of
    }
}

const FREE: u32 = u32::MAX;
/// Places for names that are always given.
const CELLS_MIN: u64 = 1 << 12;

impl<K: Key> Classes<K> {
    /// The combinations of the table, each a class.
    pub(super) fn of(table: &Table, layout: &Layout, carry: Carry) -> Self {
        let persons = table.units.as_ref().map(|units| {
            let mut cut = Lists { starts: vec![0], items: Vec::new() };
            for combination in 0..table.len() {
                cut.items.extend(units.of(combination).iter().take(carry.persons));
                cut.starts.push(cut.items.len());
            }
            cut
        });
        let values = table.sensitive.iter().filter(|_| carry.values);
        Self {
            keys: layout.combinations(table),
            rows: table.rows.clone(),
            population: table.population.clone(),
            persons,
            values: values.map(|column| column.counts.clone()).collect(),
        }
    }

    /// The number of classes.
    pub(super) const fn len(&self) -> usize {
        self.keys.len()
    }

    /// What the guarantees look at, class by class, until the call has seen enough.
    pub(super) fn each(&self, mut call: impl FnMut(usize, &Profile<'_>) -> bool) {
        for (class, rows) in self.rows.iter().enumerate() {
            let sensitive: Vec<&[(u32, u64)]> =
                self.values.iter().map(|column| column.of(class)).collect();
            let profile = Profile {
                rows: *rows,
                persons: self.persons.as_ref().map(|persons| persons.of(class).len() as u64),
                population: self.population.as_ref().and_then(|all| all.get(class)).copied(),
                sensitive: &sensitive,
            };
            if !call(class, &profile) {
                return;
            }
        }
    }

    /// Whether nothing but rows is counted.
    pub(super) const fn rows_alone(&self) -> bool {
        self.population.is_none() && self.persons.is_none() && self.values.is_empty()
    }

    /// The classes of a coarser generalization.
    pub(super) fn roll_up(
        &self,
        layout: &Layout,
        (from, to): (&[u8], &[u8]),
        carry: Carry,
        scratch: &mut Scratch,
    ) -> Self {
        let pieces = layout.pieces::<K>((from, to), self.len());
        let remember =
            carry.follow || carry.values || self.population.is_some() || self.persons.is_some();
        let Scratch { slots, class_of, .. } = scratch;
        class_of.clear();
        slots.clear();
        let mut keys: Vec<K> = Vec::new();
        let mut rows: Vec<u64> = Vec::new();
        let fresh = |key: K, count: u64, keys: &mut Vec<K>, rows: &mut Vec<u64>| {
            let class = u32::try_from(keys.len()).unwrap_or(FREE);
            keys.push(key);
            rows.push(count);
            class
        };
        let room = (self.len() as u64 * 4).max(CELLS_MIN);
        if pieces.cells <= room {
            // So few names could be that each has a place of its own.
            slots.resize(usize::try_from(pieces.cells).unwrap_or(usize::MAX), FREE);
            for (key, count) in self.keys.iter().zip(&self.rows) {
                let Become { name, cell } = pieces.become_of(*key);
                let slot = usize::try_from(cell).ok().and_then(|cell| slots.get_mut(cell));
                let Some(slot) = slot else { continue };
                if let Some(sum) = rows.get_mut(*slot as usize) {
                    *sum += count;
                } else {
                    *slot = fresh(name, *count, &mut keys, &mut rows);
                }
                if remember {
                    class_of.push(*slot);
                }
            }
        } else {
            let capacity = (self.len() * 2).next_power_of_two().max(16);
            slots.resize(capacity, FREE);
            let down = 64 - capacity.trailing_zeros();
            for (key, count) in self.keys.iter().zip(&self.rows) {
                let key = pieces.become_of(*key).name;
                let mut place = (key.spread() >> down) as usize;
                let class = loop {
                    let Some(slot) = slots.get_mut(place & (capacity - 1)) else { break FREE };
                    if *slot == FREE {
                        *slot = fresh(key, *count, &mut keys, &mut rows);
                        break *slot;
                    }
                    if keys.get(*slot as usize) == Some(&key) {
                        if let Some(sum) = rows.get_mut(*slot as usize) {
                            *sum += count;
                        }
                        break *slot;
                    }
                    place += 1;
                };
                if remember {
                    class_of.push(class);
                }
            }
        }
        let mut above = Self { keys, rows, population: None, persons: None, values: Vec::new() };
        if remember {
            self.carry_up(&mut above, carry, scratch);
        }
        above
    }

    /// Population, persons and values of the classes that these have become.
    fn carry_up(&self, above: &mut Self, carry: Carry, scratch: &mut Scratch) {
        above.population = self.population.as_ref().map(|population| {
            let mut sums = vec![0; above.len()];
            for (class, rows) in scratch.class_of.iter().zip(population) {
                if let Some(sum) = sums.get_mut(*class as usize) {
                    *sum += rows;
                }
            }
            sums
        });
        if self.persons.is_none() && self.values.is_empty() {
            return;
        }
        let members = members(&scratch.class_of, above.len());
        above.persons = self.persons.as_ref().map(|persons| {
            let mut joined = Lists { starts: vec![0], items: Vec::new() };
            let mut all: Vec<u32> = Vec::new();
            for class in 0..above.len() {
                all.clear();
                let lists = members.of(class).iter().map(|member| persons.of(*member as usize));
                lists.for_each(|list| all.extend_from_slice(list));
                all.sort_unstable();
                all.dedup();
                joined.items.extend(all.iter().take(carry.persons));
                joined.starts.push(joined.items.len());
            }
            joined
        });
        above.values = self
            .values
            .iter()
            .map(|column| add_up(column, &members, above.len(), scratch))
            .collect();
    }
}

/// By class: the members, ascending.
fn members(class_of: &[u32], classes: usize) -> Lists<u32> {
    let mut starts = vec![0_usize; classes + 1];
    for class in class_of {
        if let Some(count) = starts.get_mut(*class as usize + 1) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    let mut next = starts.clone();
    let mut items = vec![0; class_of.len()];
    for (member, class) in (0..).zip(class_of) {
        if let Some(place) = next.get_mut(*class as usize) {
            if let Some(slot) = items.get_mut(*place) {
                *slot = member;
            }
            *place += 1;
        }
    }
    Lists { starts, items }
}

/// The histograms of classes from those of their members.
fn add_up(
    column: &Lists<(u32, u64)>,
    members: &Lists<u32>,
    classes: usize,
    scratch: &mut Scratch,
) -> Lists<(u32, u64)> {
    let Scratch { counts, touched, .. } = scratch;
    let mut joined = Lists { starts: Vec::with_capacity(classes + 1), items: Vec::new() };
    joined.starts.push(0);
    for class in 0..classes {
        match members.of(class) {
            [one] => joined.items.extend_from_slice(column.of(*one as usize)),
            many => {
                touched.clear();
                for (value, rows) in many.iter().flat_map(|one| column.of(*one as usize)) {
                    if counts.len() <= *value as usize {
                        counts.resize(*value as usize + 1, 0);
                    }
                    if let Some(count) = counts.get_mut(*value as usize) {
                        if *count == 0 {
                            touched.push(*value);
                        }
                        *count += rows;
                    }
                }
                touched.sort_unstable();
                for value in touched.iter() {
                    if let Some(count) = counts.get_mut(*value as usize) {
                        joined.items.push((*value, std::mem::take(count)));
                    }
                }
            }
        }
        joined.starts.push(joined.items.len());
    }
    joined
}
