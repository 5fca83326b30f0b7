//! Groups of all threads as one table, in the order of leaves. Counts nothing again.

use std::cmp::Ordering;

use super::Counted;
use super::distinct::NOWHERE;
use super::groups::Groups;
use crate::error::{Code, Error, Result};
use crate::pipeline::release::table::{Hierarchy, Lists, Sensitive, Table};

/// What a table is made of.
pub(super) struct Parts {
    pub(super) hierarchies: Vec<Hierarchy>,
    pub(super) sensitive: Vec<Sensitive>,
    /// By sensitive column, thread, code: the value.
    pub(super) values_of: Vec<Vec<Vec<u32>>>,
    /// By thread, code: the person.
    pub(super) units_of: Option<Vec<Vec<u32>>>,
    pub(super) counted: Counted,
    pub(super) population: Option<Counted>,
}

/// The table.
pub(super) fn join(parts: Parts) -> Result<Table> {
    let Parts { hierarchies, mut sensitive, values_of, units_of, counted, population } = parts;
    let own = counted.groups.len();
    let population = population.map(|population| population.groups);
    let is_population = population.is_some();
    let mut all: Vec<Groups> = counted.groups;
    all.extend(population.into_iter().flatten());
    let order = order(&all);
    let quasi = hierarchies.len();
    let mut leaves: Vec<Vec<u32>> = vec![Vec::new(); quasi];
    let mut rows: Vec<u64> = Vec::new();
    let mut people: Vec<u64> = Vec::new();
    // By thread, by combination: its place in the table.
    let mut places: Vec<Vec<u32>> =
        all.iter().map(|groups| vec![NOWHERE; groups.rows.len()]).collect();
    let mut before: Option<(u32, u32)> = None;
    for (thread, combination) in order {
        let at = (thread, combination);
        if before.is_none_or(|before| compare(&all, before, at).is_ne()) {
            for (column, leaves) in leaves.iter_mut().enumerate() {
                leaves.push(leaf(&all, at, column));
            }
            rows.push(0);
            people.push(0);
        }
        before = Some(at);
        let (thread, combination) = (index(thread), index(combination));
        let counted = all.get(thread).and_then(|groups| groups.rows.get(combination)).copied();
        let to = if thread < own { rows.last_mut() } else { people.last_mut() };
        if let Some(to) = to {
            *to += counted.unwrap_or(0);
        }
        let place = u32::try_from(rows.len() - 1).ok().filter(|place| *place < NOWHERE);
        let place = place.ok_or_else(|| {
            Error::new(Code::QueryMemory, "there are too many distinct combinations")
        })?;
        if let Some(to) = places.get_mut(thread).and_then(|of| of.get_mut(combination)) {
            *to = place;
        }
    }
    let count = rows.len();
    let datasets = all.get(..own).unwrap_or_default();
    for ((at, sensitive), values_of) in sensitive.iter_mut().enumerate().zip(&values_of) {
        let mut found: Vec<(u32, u32, u64)> = Vec::new();
        for ((groups, places), values) in datasets.iter().zip(&places).zip(values_of) {
            found.extend(groups.values(at).map(|(combination, code, rows)| {
                (of(places, combination), of(values, code), rows)
            }));
        }
        found.sort_unstable();
        found.dedup_by(|next, before| {
            let same = (next.0, next.1) == (before.0, before.1);
            if same {
                before.2 += next.2;
            }
            same
        });
        let items =
            found.into_iter().map(|(combination, value, rows)| (combination, (value, rows)));
        sensitive.counts = lists(items, count);
    }
    let units = units_of.map(|units_of| {
        let mut found: Vec<(u32, u32)> = Vec::new();
        for ((groups, places), units) in datasets.iter().zip(&places).zip(&units_of) {
            let pairs = groups.units();
            let pairs = pairs.map(|(combination, code)| (of(places, combination), of(units, code)));
            found.extend(pairs.filter(|(_, unit)| *unit != NOWHERE));
        }
        found.sort_unstable();
        found.dedup();
        lists(found.into_iter(), count)
    });
    let population = is_population.then_some(people);
    if let Some(people) = &population {
        let missing = rows.iter().zip(people).filter(|(rows, people)| rows > people).count();
        if missing > 0 {
            let what = format!(
                "{missing} combinations of quasi-identifiers have more rows in the dataset than in the \
                 population: the population must hold the dataset's rows too"
            );
            return Err(Error::new(Code::Policy, what));
        }
    }
    Ok(Table { hierarchies, leaves, rows, units, sensitive, population })
}

/// The combinations of all threads that were met, in the order of their leaves.
fn order(all: &[Groups]) -> Vec<(u32, u32)> {
    let mut order = Vec::with_capacity(all.iter().map(|groups| groups.rows.len()).sum());
    for (thread, groups) in (0_u32..).zip(all) {
        let met = (0_u32..).zip(&groups.rows).filter(|(_, rows)| **rows > 0);
        order.extend(met.map(|(combination, _)| (thread, combination)));
    }
    order.sort_unstable_by(|one, other| compare(all, *one, *other).then(one.cmp(other)));
    order
}

fn compare(all: &[Groups], one: (u32, u32), other: (u32, u32)) -> Ordering {
    let columns = all.first().map_or(0, |groups| groups.leaves.len());
    let differ = (0..columns).map(|column| leaf(all, one, column).cmp(&leaf(all, other, column)));
    differ.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn leaf(all: &[Groups], (thread, combination): (u32, u32), column: usize) -> u32 {
    let leaves = all.get(index(thread)).and_then(|groups| groups.leaves.get(column));
    leaves.map_or(NOWHERE, |leaves| of(leaves, combination))
}

fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn of(items: &[u32], at: u32) -> u32 {
    items.get(index(at)).copied().unwrap_or(NOWHERE)
}

/// Lists by combination, of items in the order of combinations.
fn lists<T>(items: impl Iterator<Item = (u32, T)>, count: usize) -> Lists<T> {
    let mut starts = Vec::with_capacity(count + 1);
    let mut all = Vec::new();
    for (combination, item) in items {
        while starts.len() <= index(combination) {
            starts.push(all.len());
        }
        all.push(item);
    }
    starts.resize(count + 1, all.len());
    Lists { starts, items: all }
}
