//! Small random tables: the search against every generalization judged one by one, on combinations and
//! without a bound, for every model, objective and share of suppressed rows.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::error::Code;
use crate::pipeline::release::lattice::{Team, fixed, search, search_by};
use crate::pipeline::release::model::{ClassCounts, Guarantees};
use crate::pipeline::release::progress::Unwatched;
use crate::pipeline::release::recoding::{Cell, Recoding};
use crate::pipeline::release::table::{Hierarchy, Lists, Sensitive, Table};
use crate::policy::release::{
    Aggregate, Distance, Estimator, HierarchyRule, Method, Model, Objective, ReleaseRules,
};

/// Numbers that look random and are the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

fn hierarchy(draws: &mut Draws, name: usize) -> Hierarchy {
    let leaves = 2 + draws.below(5) as u32;
    let mut groups: Vec<Vec<u32>> = vec![(0..leaves).collect()];
    while draws.below(3) > 0 && groups.len() < 4 {
        // Some groups of the last level join.
        let last = groups.last().unwrap();
        let count = last.iter().max().unwrap() + 1;
        let joined: Vec<u32> = (0..count).map(|_| draws.below(u64::from(count)) as u32).collect();
        let mut names: Vec<u32> = joined.clone();
        names.sort_unstable();
        names.dedup();
        let name = |group: u32| names.binary_search(&joined[group as usize]).unwrap() as u32;
        groups.push(last.iter().map(|group| name(*group)).collect());
    }
    groups.push(vec![0; leaves as usize]);
    let weight = [1.0, 0.5, 0.25][draws.below(3) as usize];
    Hierarchy { name: name.to_string(), groups, labels: vec![], weight }
}

fn table(draws: &mut Draws) -> Table {
    let columns = 2 + draws.below(2) as usize;
    let hierarchies: Vec<Hierarchy> = (0..columns).map(|name| hierarchy(draws, name)).collect();
    let values = 2 + draws.below(4) as usize;
    type Counts = (u64, u64, BTreeSet<u32>, BTreeMap<u32, u64>);
    let mut combinations: BTreeMap<Vec<u32>, Counts> = BTreeMap::new();
    for _ in 0..10 + draws.below(60) {
        let leaf = |one: &Hierarchy, draws: &mut Draws| {
            draws.below(one.leaves() as u64).min(draws.below(one.leaves() as u64)) as u32
        };
        let key = hierarchies.iter().map(|one| leaf(one, draws)).collect();
        let counts = combinations.entry(key).or_default();
        counts.1 += 1;
        if draws.below(5) > 0 {
            counts.0 += 1;
            counts.2.insert(draws.below(30) as u32);
            *counts.3.entry(draws.below(values as u64) as u32).or_default() += 1;
        }
    }
    let mut table = Table { leaves: vec![Vec::new(); columns], ..Table::default() };
    let mut units = Lists { starts: vec![0], items: Vec::new() };
    let mut counts = Lists { starts: vec![0], items: Vec::new() };
    let mut population = Vec::new();
    for (key, (rows, all, persons, by_value)) in combinations {
        table.leaves.iter_mut().zip(key).for_each(|(column, leaf)| column.push(leaf));
        table.rows.push(rows);
        population.push(all);
        units.items.extend(persons);
        units.starts.push(units.items.len());
        counts.items.extend(by_value);
        counts.starts.push(counts.items.len());
    }
    let mut distance = vec![(0..values as u32).collect::<Vec<u32>>()];
    distance.push((0..values as u32).map(|value| value / 2).collect());
    distance.push(vec![0; values]);
    table.hierarchies = hierarchies;
    table.population = Some(population);
    table.units = (draws.below(2) == 0).then_some(units);
    table.sensitive = vec![Sensitive {
        name: "value".to_owned(),
        values: (0..values).map(|value| Some(value.to_string())).collect(),
        counts,
        hierarchy: Some(Hierarchy {
            name: "value".to_owned(),
            groups: distance,
            labels: vec![],
            weight: 1.0,
        }),
    }];
    table
}

fn models() -> Vec<Model> {
    let column = || "value".to_owned();
    let entropy = |estimator| Model::EntropyL { column: column(), l: 1.7, estimator };
    let close = |t, distance| Model::TCloseness { column: column(), t, distance };
    vec![
        Model::KAnonymity { k: 3 },
        Model::KMap { k: 4 },
        Model::DistinctL { column: column(), l: 2 },
        entropy(Estimator::Shannon),
        entropy(Estimator::Grassberger),
        Model::RecursiveCl { column: column(), c: 2.0, l: 2 },
        close(0.3, Distance::Equal),
        close(0.3, Distance::Ordered),
        close(0.3, Distance::Hierarchical(HierarchyRule::Top)),
        Model::DeltaPresence { min: 0.1, max: 0.95 },
        Model::BetaLikeness { column: column(), beta: 1.0, enhanced: false },
        Model::BetaLikeness { column: column(), beta: 2.0, enhanced: true },
    ]
}

fn objectives() -> Vec<Objective> {
    let loss = |aggregate, gs_factor| Objective::Loss { aggregate, gs_factor };
    vec![
        loss(Aggregate::Rank, 0.5),
        loss(Aggregate::Rank, 1.0),
        loss(Aggregate::GeometricMean, 0.3),
        loss(Aggregate::ArithmeticMean, 0.7),
        loss(Aggregate::Sum, 0.0),
        loss(Aggregate::Maximum, 0.5),
        Objective::Entropy { monotonic: true, gs_factor: 0.5 },
        Objective::Entropy { monotonic: false, gs_factor: 0.4 },
        Objective::Discernibility { monotonic: true },
        Objective::Discernibility { monotonic: false },
        Objective::ClassSize,
        Objective::Precision { monotonic: true },
        Objective::Precision { monotonic: false },
        Objective::Height,
    ]
}

fn rules(models: Vec<Model>, method: Method, suppress_max: f64) -> ReleaseRules {
    ReleaseRules {
        quasi_identifiers: vec![],
        models,
        method,
        suppress_max,
        unit: None,
        population: None,
        dangerous_rerelease: false,
    }
}

/// A generalization grouped and judged from scratch: the loss of those that hold.
fn plainly(
    table: &Table,
    guarantees: &Guarantees,
    objective: &Objective,
    levels: &[usize],
) -> Option<Vec<f64>> {
    let mut classes: BTreeMap<Vec<u32>, Vec<u32>> = BTreeMap::new();
    for combination in 0..table.len() {
        let groups = table.hierarchies.iter().zip(&table.leaves).zip(levels);
        let key = groups
            .map(|((one, leaves), level)| one.groups[*level][leaves[combination] as usize])
            .collect();
        classes.entry(key).or_default().push(combination as u32);
    }
    let counts: Vec<(&Vec<u32>, ClassCounts)> =
        classes.iter().map(|(key, members)| (key, ClassCounts::of(table, members))).collect();
    let holds: Vec<bool> = counts.iter().map(|(_, class)| guarantees.hold(class)).collect();
    let pairs = || counts.iter().zip(&holds);
    if pairs().any(|((_, class), holds)| class.rows == 0 && !holds) {
        return None;
    }
    let rows = |of: &dyn Fn(bool) -> bool| -> f64 {
        pairs().filter(|(_, holds)| of(**holds)).map(|((_, class), _)| class.rows as f64).sum()
    };
    let (all, suppressed) = (rows(&|_| true), rows(&|holds| !holds));
    if suppressed > guarantees.suppressible() as f64 {
        return None;
    }
    let factors = |gs: f64| {
        (if gs <= 0.5 { 1.0 } else { 2.0 - 2.0 * gs }, if gs < 0.5 { 2.0 * gs } else { 1.0 })
    };
    let heaviest = table.hierarchies.iter().map(|one| one.weight).fold(0.0, f64::max);
    let weights: Vec<f64> = table.hierarchies.iter().map(|one| one.weight / heaviest).collect();
    let cut = |figure: f64| (figure * 1e10).floor() / 1e10;
    let column = |place: usize| -> f64 {
        let (one, level) = (&table.hierarchies[place], levels[place]);
        let leaves = one.leaves() as f64;
        let height = (one.levels() - 1) as f64;
        match objective {
            Objective::Loss { gs_factor, .. } => {
                let (g, s) = factors(*gs_factor);
                let mut sum = 0.0;
                for ((key, class), holds) in pairs() {
                    let below = one.groups[level].iter().filter(|group| **group == key[place]);
                    let share = below.count() as f64 / leaves;
                    let cell = if *holds { g * share } else { share + s * (1.0 - share) };
                    sum += class.rows as f64 * cell;
                }
                let least = g * all / leaves;
                cut(((sum - least) / (all - least)).max(0.0) + 1e-13)
            }
            Objective::Entropy { monotonic, gs_factor } => {
                let (g, s) = factors(*gs_factor);
                let mut by_leaf: BTreeMap<u32, f64> = BTreeMap::new();
                let mut by_group: BTreeMap<u32, f64> = BTreeMap::new();
                for (leaf, rows) in table.leaves[place].iter().zip(&table.rows) {
                    *by_leaf.entry(*leaf).or_default() += *rows as f64;
                    *by_group.entry(one.groups[level][*leaf as usize]).or_default() += *rows as f64;
                }
                let mut sum: f64 = by_leaf
                    .iter()
                    .filter(|(_, rows)| **rows > 0.0)
                    .map(|(leaf, rows)| {
                        -rows * (rows / by_group[&one.groups[level][*leaf as usize]]).log2() * g
                    })
                    .sum();
                if !monotonic {
                    let mut dropped: BTreeMap<u32, f64> = BTreeMap::new();
                    for ((key, class), holds) in pairs() {
                        if !holds && class.rows > 0 {
                            *dropped.entry(key[place]).or_default() += class.rows as f64;
                        }
                    }
                    sum += dropped
                        .values()
                        .map(|rows| -rows * (rows / suppressed).log2() * s)
                        .sum::<f64>();
                }
                sum
            }
            Objective::Precision { monotonic: false } => {
                ((all - suppressed) * level as f64 / height + suppressed) / all
            }
            Objective::Precision { monotonic: true } => level as f64 / height,
            _ => level as f64,
        }
    };
    let square = |class: &ClassCounts| (class.rows * class.rows) as f64;
    let with_rows = || pairs().filter(|((_, class), _)| class.rows > 0);
    Some(match objective {
        Objective::Discernibility { monotonic } => vec![
            with_rows()
                .map(
                    |((_, class), holds)| {
                        if *holds || *monotonic { square(class) } else { all * class.rows as f64 }
                    },
                )
                .sum(),
        ],
        Objective::ClassSize => {
            let kept = with_rows().filter(|(_, holds)| **holds).count();
            vec![all / (kept as f64 + f64::from(suppressed > 0.0))]
        }
        _ => {
            let figures: Vec<f64> = (0..levels.len()).map(column).collect();
            let weighted = figures.iter().zip(&weights).map(|(figure, weight)| figure * weight);
            let count = figures.len() as f64;
            let aggregate = match objective {
                Objective::Loss { aggregate, .. } => *aggregate,
                Objective::Precision { .. } => Aggregate::ArithmeticMean,
                _ => Aggregate::Sum,
            };
            match aggregate {
                Aggregate::Rank => {
                    let mut all: Vec<f64> = weighted.collect();
                    all.sort_by(|one, other| other.total_cmp(one));
                    all
                }
                Aggregate::Maximum => vec![weighted.fold(0.0, f64::max)],
                Aggregate::Sum => vec![weighted.sum()],
                Aggregate::ArithmeticMean => vec![weighted.sum::<f64>() / count],
                Aggregate::GeometricMean => {
                    let all = figures.iter().zip(&weights);
                    let root = |(figure, weight): (&f64, &f64)| {
                        ((figure + 1.0) * weight).powf(1.0 / count)
                    };
                    vec![all.map(root).product::<f64>() - 1.0]
                }
            }
        }
    })
}

/// Less, more, or the same to nine digits.
fn compare(one: &[f64], other: &[f64]) -> Ordering {
    let pairs = one.iter().zip(other);
    let mut orders = pairs.map(|(one, other)| {
        if (one - other).abs() <= 1e-9 * other.abs().max(1.0) {
            Ordering::Equal
        } else {
            one.total_cmp(other)
        }
    });
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn every(table: &Table) -> Vec<Vec<usize>> {
    let mut all = vec![vec![]];
    for one in &table.hierarchies {
        let longer = |levels: Vec<usize>| {
            (0..one.levels()).map(move |level| [levels.clone(), vec![level]].concat())
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

#[test]
fn the_search_finds_what_looking_at_everything_finds() {
    let mut draws = Draws(0x1234_5678_9ABC_DEF1);
    let (mut found, mut none) = (0, 0);
    for round in 0..ROUNDS {
        let table = table(&mut draws);
        let models = models();
        let mut sets: Vec<Vec<Model>> = models.iter().map(|model| vec![model.clone()]).collect();
        let other = draws.below(models.len() as u64 - 1) as usize + 1;
        sets.push(vec![models[0].clone(), models[other].clone()]);
        for models in sets {
            for objective in objectives() {
                let suppress_max = [0.0, 0.1, 0.4, 1.0][draws.below(4) as usize];
                let method = Method::Lattice { objective: objective.clone() };
                let rules = rules(models.clone(), method, suppress_max);
                let guarantees = Guarantees::new(&rules, &table).unwrap();
                let best = every(&table)
                    .into_iter()
                    .filter_map(|levels| plainly(&table, &guarantees, &objective, &levels))
                    .min_by(|one, other| compare(one, other));
                let ours = search(&table, &rules, &guarantees, &Unwatched);
                let at = format!("round {round}: {models:?} {objective:?} {suppress_max}");
                match (best, ours) {
                    (Some(best), Ok(ours)) => {
                        let loss = ours.loss.clone().unwrap();
                        assert_eq!(
                            compare(&loss, &best),
                            Ordering::Equal,
                            "{at}: {loss:?} {best:?}"
                        );
                        let levels: Vec<usize> = ours
                            .levels
                            .as_ref()
                            .unwrap()
                            .iter()
                            .map(|level| *level as usize)
                            .collect();
                        let plain = plainly(&table, &guarantees, &objective, &levels);
                        let plain =
                            plain.unwrap_or_else(|| panic!("{at}: {levels:?} does not hold"));
                        assert_eq!(
                            compare(&loss, &plain),
                            Ordering::Equal,
                            "{at}: {loss:?} {plain:?}"
                        );
                        recodes(&table, &guarantees, &ours);
                        // INVARIANT: the same on any number of threads, of several optima too.
                        for threads in [2, 7] {
                            let team = Team { threads, work_min: 0 };
                            let more = search_by(team, &table, &rules, &guarantees, &Unwatched);
                            assert_eq!(more.unwrap(), ours, "{at}: {threads} threads");
                        }
                        found += 1;
                    }
                    (None, Err(error)) => {
                        assert_eq!(error.code(), Code::Policy, "{at}");
                        none += 1;
                    }
                    (best, ours) => panic!("{at}: {best:?} {ours:?}"),
                }
            }
        }
    }
    assert!(found > 1_000 && none > 5, "{found} found, {none} without");
}

/// As many as take seconds without optimization.
const ROUNDS: usize = 12;

/// Every row is in one place, classes hold, and cells are those of the levels.
fn recodes(table: &Table, guarantees: &Guarantees, recoding: &Recoding) {
    let levels = recoding.levels.as_ref().unwrap();
    let mut members: Vec<Vec<u32>> = vec![Vec::new(); recoding.classes.len()];
    let mut rows = vec![0; table.len()];
    for part in &recoding.parts {
        rows[part.combination as usize] += part.rows;
        if let Some(class) = part.class {
            members[class as usize].push(part.combination);
            let cells = recoding.classes[class as usize].iter().zip(levels).enumerate();
            for (column, (cell, level)) in cells {
                let leaf = table.leaves[column][part.combination as usize];
                let group = table.hierarchies[column].groups[*level as usize][leaf as usize];
                assert_eq!(*cell, Cell::Group { level: *level, group });
            }
        }
    }
    assert_eq!(rows, table.rows);
    for members in &members {
        // Whoever is only in the population is beside them, and counts there.
        let place = |member: &u32| {
            let groups = table.hierarchies.iter().zip(&table.leaves).zip(levels);
            groups
                .map(|((one, leaves), level)| {
                    one.groups[*level as usize][leaves[*member as usize] as usize]
                })
                .collect::<Vec<_>>()
        };
        let own = place(&members[0]);
        let all: Vec<u32> = (0..table.len() as u32).filter(|one| place(one) == own).collect();
        assert!(guarantees.hold(&ClassCounts::of(table, &all)));
    }
    let mut seen = recoding.classes.clone();
    seen.dedup();
    assert_eq!(seen.len(), recoding.classes.len());
}

#[test]
fn fixed_levels_are_checked_and_never_chosen() {
    let mut draws = Draws(77);
    let table = loop {
        let table = table(&mut draws);
        if table.units.is_none() && table.rows.iter().sum::<u64>() > 30 {
            break table;
        }
    };
    let of = |level: &dyn Fn(&Hierarchy) -> u32| {
        table.hierarchies.iter().map(|one| (one.name.clone(), level(one))).collect()
    };
    let go = |levels: BTreeMap<String, u32>, k, suppress_max| {
        let rules = rules(vec![Model::KAnonymity { k }], Method::Fixed { levels }, suppress_max);
        let guarantees = Guarantees::new(&rules, &table).unwrap();
        fixed(&table, &rules, &guarantees, &Unwatched)
    };
    let top = go(of(&|one| one.levels() as u32 - 1), 5, 0.0).unwrap();
    assert_eq!((top.classes.len(), top.loss), (1, None));
    let bottom = go(of(&|_| 0), 3, 1.0).unwrap();
    assert!(bottom.parts.iter().any(|part| part.class.is_none()));
    let refused = |result: crate::error::Result<Recoding>, text: &str| {
        let error = result.unwrap_err();
        assert!(error.code() == Code::Policy && error.to_string().contains(text), "{error}");
    };
    refused(go(of(&|_| 0), 30, 0.0), "may be");
    refused(go(of(&|_| 99), 3, 1.0), "levels of `0`");
    refused(go(BTreeMap::new(), 3, 1.0), "no level is fixed for `0`");
}

#[test]
fn a_search_ends_when_it_is_cancelled() {
    let table = table(&mut Draws(5));
    let objective = Objective::Height;
    let rules = rules(vec![Model::KAnonymity { k: 2 }], Method::Lattice { objective }, 1.0);
    let guarantees = Guarantees::new(&rules, &table).unwrap();
    let cancelled = std::sync::atomic::AtomicBool::new(true);
    let error = search(&table, &rules, &guarantees, &cancelled).unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
}
