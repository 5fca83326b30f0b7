//! Groups of all threads as one table, in the order of leaves, with what was put aside. Counts nothing again.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::Counted;
use super::aside::Aside;
use super::deal::{Deal, Item, keep};
use super::distinct::NOWHERE;
use super::groups::{Fast, Groups};
use crate::error::{Code, Error, Result};
use crate::pipeline::release::table::{Hierarchy, Lists, Sensitive, Table};

/// What a table is made of.
pub(super) struct Parts {
    pub(super) hierarchies: Vec<Hierarchy>,
    pub(super) sensitive: Vec<Sensitive>,
    /// By sensitive column, thread, code: the value.
    pub(super) values_of: Vec<Vec<Vec<u32>>>,
    /// Persons, where they are counted.
    pub(super) units: Option<Units>,
    /// Of each combination at most so many persons are remembered.
    pub(super) persons_max: Option<usize>,
    pub(super) counted: Counted,
    pub(super) population: Option<Counted>,
}

/// Where persons are.
pub(super) enum Units {
    /// In memory. By thread, code: the person.
    Here(Vec<Vec<u32>>),
    /// With what was put aside.
    Aside,
}

/// The table. `stop` says whether to end.
pub(super) fn join(parts: Parts, stop: &dyn Fn() -> Result<()>) -> Result<Table> {
    let Parts { hierarchies, mut sensitive, values_of, units, persons_max, .. } = parts;
    let Parts { counted, population, .. } = parts;
    let aside = counted.aside;
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
        sensitive.counts = match &aside {
            Some(aside) => values_aside(aside, at, (&places, values_of), count, stop)?,
            None => values_here(datasets, at, (&places, values_of), count),
        };
    }
    let units = match (units, &aside) {
        (None, _) => None,
        (Some(Units::Here(units_of)), _) => {
            Some(units_here(datasets, (&places, &units_of), count, persons_max))
        }
        (Some(Units::Aside), Some(aside)) => {
            Some(units_aside(aside, &places, count, persons_max, stop)?)
        }
        (Some(Units::Aside), None) => {
            return Err(Error::new(Code::Internal, "persons are nowhere"));
        }
    };
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

/// The values of a sensitive column by combination. `places` and `values` are by thread and code.
fn values_here(
    datasets: &[Groups],
    at: usize,
    (places, values): (&[Vec<u32>], &[Vec<u32>]),
    count: usize,
) -> Lists<(u32, u64)> {
    let mut found: Vec<(u32, u32, u64)> = Vec::new();
    for ((groups, places), values) in datasets.iter().zip(places).zip(values) {
        found.extend(
            groups
                .values(at)
                .map(|(combination, code, rows)| (of(places, combination), of(values, code), rows)),
        );
    }
    found.sort_unstable();
    found.dedup_by(|next, before| {
        let same = (next.0, next.1) == (before.0, before.1);
        if same {
            before.2 += next.2;
        }
        same
    });
    let items = found.into_iter().map(|(combination, value, rows)| (combination, (value, rows)));
    lists(items, count)
}

/// The same of what was put aside.
fn values_aside(
    aside: &Aside,
    at: usize,
    (places, values): (&[Vec<u32>], &[Vec<u32>]),
    count: usize,
    stop: &dyn Fn() -> Result<()>,
) -> Result<Lists<(u32, u64)>> {
    let deal = Deal::new(aside.folder(), &format!("values-{at:03}"), count);
    let mut gather = deal.gather();
    for heap in aside.values.get(at..=at).unwrap_or_default() {
        heap.read(|value| {
            let place = of_thread(places, value.thread, value.combination);
            let item = of_thread(values, value.thread, value.code);
            gather.add(deal.part(place), Item { place, item, rows: value.rows })
        })?;
        stop()?;
    }
    gather.finish()?;
    deal.lists(None, stop, |item| (item.item, item.rows))
}

/// The persons behind each combination, at most so many.
fn units_here(
    datasets: &[Groups],
    (places, units): (&[Vec<u32>], &[Vec<u32>]),
    count: usize,
    most: Option<usize>,
) -> Lists<u32> {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for ((groups, places), units) in datasets.iter().zip(places).zip(units) {
        let pairs = groups.units();
        let pairs = pairs.map(|(combination, code)| (of(places, combination), of(units, code)));
        found.extend(pairs.filter(|(_, unit)| *unit != NOWHERE));
    }
    found.sort_unstable();
    found.dedup();
    if let Some(most) = most {
        keep(&mut found, most, |(place, _)| *place);
    }
    lists(found.into_iter(), count)
}

/// The same of what was put aside. Persons are numbered as they are met there: numbers say who is the same, and
/// nothing asks for more.
fn units_aside(
    aside: &Aside,
    places: &[Vec<u32>],
    count: usize,
    most: Option<usize>,
    stop: &dyn Fn() -> Result<()>,
) -> Result<Lists<u32>> {
    let deal = Deal::new(aside.folder(), "persons", count);
    let mut gather = deal.gather();
    let mut next = 0_u32;
    let mut known: HashMap<u128, u32, Fast> = HashMap::default();
    for heap in &aside.persons {
        stop()?;
        known.clear();
        heap.read(|person| {
            let item = *known.entry(person.number).or_insert(next);
            if item == next {
                next = next.checked_add(1).filter(|next| *next < NOWHERE).ok_or_else(|| {
                    Error::new(Code::QueryMemory, "there are too many persons to be numbered")
                })?;
            }
            let place = of_thread(places, person.thread, person.combination);
            gather.add(deal.part(place), Item { place, item, rows: 0 })
        })?;
    }
    drop(known);
    gather.finish()?;
    deal.lists(most, stop, |item| item.item)
}

fn of_thread(items: &[Vec<u32>], thread: u32, at: u32) -> u32 {
    items.get(index(thread)).map_or(NOWHERE, |items| of(items, at))
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
