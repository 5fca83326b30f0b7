//! Groups of all threads as one table, in the order of leaves, with what was put aside. Counts nothing again.

use std::collections::HashMap;

use super::aside::Aside;
use super::deal::{Deal, Item};
use super::distinct::NOWHERE;
use super::groups::{Fast, Groups, pair};
use super::order::{Merged, in_order, in_threads, index, of};
use super::{Counted, Means};
use crate::error::{Code, Error, Result};
use crate::pipeline::release::table::{Hierarchy, Lists, Sensitive, Table};

/// What a table is made of.
pub(super) struct Parts<'a> {
    pub(super) hierarchies: Vec<Hierarchy>,
    pub(super) sensitive: Vec<Sensitive>,
    /// By sensitive column, thread, code: the value.
    pub(super) values_of: Vec<Vec<Vec<u32>>>,
    /// Persons, where they are counted.
    pub(super) units: Option<Units>,
    pub(super) means: Means<'a>,
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
pub(super) fn join(parts: Parts<'_>, stop: &dyn Fn() -> Result<()>) -> Result<Table> {
    let Parts { hierarchies, mut sensitive, values_of, units, means, counted, population } = parts;
    let aside = counted.aside;
    let own = counted.groups.len();
    let population = population.map(|population| population.groups);
    let is_population = population.is_some();
    let mut all: Vec<Groups> = counted.groups;
    all.extend(population.into_iter().flatten());
    let mut leaves: Vec<Vec<u32>> = vec![Vec::new(); hierarchies.len()];
    let mut rows: Vec<u64> = Vec::new();
    let mut people: Vec<u64> = Vec::new();
    // By thread, by combination: its place in the table.
    let mut places: Vec<Vec<u32>> =
        all.iter().map(|groups| vec![NOWHERE; groups.rows.len()]).collect();
    in_order(&mut all, &hierarchies, &mut |met| {
        if let Some(fresh) = met.fresh {
            leaves.iter_mut().zip(fresh).for_each(|(leaves, leaf)| leaves.push(*leaf));
            rows.push(0);
            if is_population {
                people.push(0);
            }
        }
        let to = if met.thread < own { rows.last_mut() } else { people.last_mut() };
        if let Some(to) = to {
            *to += met.rows;
        }
        let place = u32::try_from(rows.len() - 1).ok().filter(|place| *place < NOWHERE);
        let place = place.ok_or_else(|| {
            Error::new(Code::QueryMemory, "there are too many distinct combinations")
        })?;
        let places = places.get_mut(met.thread);
        if let Some(to) = places.and_then(|of| of.get_mut(index(met.combination))) {
            *to = place;
        }
        Ok(())
    })?;
    let count = rows.len();
    let datasets = all.get(..own).unwrap_or_default();
    for ((at, sensitive), values_of) in sensitive.iter_mut().enumerate().zip(&values_of) {
        sensitive.counts = match &aside {
            Some(aside) => values_aside(aside, at, (&places, values_of), count, means, stop)?,
            None => values_here(datasets, at, (&places, values_of), count),
        };
    }
    let units = match (units, &aside) {
        (None, _) => None,
        (Some(Units::Here(units_of)), _) => Some(units_here(
            all.get_mut(..own).unwrap_or_default(),
            (&places, &units_of),
            count,
            means.persons_max,
        )?),
        (Some(Units::Aside), Some(aside)) => Some(units_aside(aside, &places, count, means, stop)?),
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
    means: Means<'_>,
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
    deal.lists(None, means.memory_bytes, stop, |item| (item.item, item.rows))
}

/// The persons behind each combination, at most so many. Groups have none afterwards.
fn units_here(
    datasets: &mut [Groups],
    (places, units): (&[Vec<u32>], &[Vec<u32>]),
    count: usize,
    most: Option<usize>,
) -> Result<Lists<u32>> {
    let sort = |groups: &mut Groups, places: &[u32], units: &[u32]| {
        let pairs = groups.take_units();
        let mut found: Vec<(u32, u32)> = Vec::with_capacity(pairs.len());
        let named = |(combination, code)| (of(places, combination), of(units, code));
        found.extend(pairs.into_iter().map(pair).map(named).filter(|(_, unit)| *unit != NOWHERE));
        found.sort_unstable();
        found
    };
    let parts = datasets.iter_mut().zip(places).zip(units);
    let parts = parts.map(|((groups, places), units)| move || sort(groups, places, units));
    let mut last = None;
    let fresh = |(_, pair): &(usize, (u32, u32))| last.replace(*pair) != Some(*pair);
    let found = Merged::new(in_threads(parts)?).filter(fresh).map(|(_, pair)| pair);
    let (mut place, mut seen) = (NOWHERE, 0);
    let kept = found.filter(|(at, _)| {
        seen = if *at == place { seen + 1 } else { 1 };
        place = *at;
        most.is_none_or(|most| seen <= most)
    });
    Ok(lists(kept, count))
}

/// The same of what was put aside. Persons are numbered as they are met there: numbers say who is the same, and
/// nothing asks for more.
fn units_aside(
    aside: &Aside,
    places: &[Vec<u32>],
    count: usize,
    means: Means<'_>,
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
    deal.lists(means.persons_max, means.memory_bytes, stop, |item| item.item)
}

fn of_thread(items: &[Vec<u32>], thread: u32, at: u32) -> u32 {
    items.get(index(thread)).map_or(NOWHERE, |items| of(items, at))
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
