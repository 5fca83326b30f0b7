//! Attacks on how a release was made: whoever knows the method and sees a release asks which tables could
//! have given it, and leaves out those that the method would have treated otherwise (minimality: Wong, Fu,
//! Wang, Pei, VLDB 2007; downcoding: Cohen, USENIX Security 2022). Here all tables of a small world are
//! tried. Tests alone.

use std::collections::{BTreeMap, BTreeSet};

use super::lattice;
use super::model::Guarantees;
use super::mondrian::mondrian;
use super::progress::Unwatched;
use super::recoding::Recoding;
use super::suppression::local_suppression;
use super::table::{Hierarchy, Table};
use super::testing::{Rows, Value, hierarchy, rules, text};
use crate::policy::release::{Method, Model, Objective};

/// How often each of four combinations stands in the raw table.
type Raw = [usize; 4];

/// What is released: rows by what they show.
type Shown = BTreeMap<Vec<Value>, u64>;

/// Four combinations of values, and what a label covers of them.
struct World {
    hierarchies: Vec<Hierarchy>,
    cells: [Vec<Value>; 4],
}

fn value(text: impl ToString) -> Value {
    Some(text.to_string())
}

impl World {
    /// One column of four values, by twos in one group.
    fn of_one_column() -> Self {
        let line = |one: usize| vec![value(one), value(["low", "high"][one / 2])];
        Self {
            hierarchies: vec![hierarchy("a", &[0, 1, 2, 3].map(line))],
            cells: [0, 1, 2, 3].map(|one| vec![value(one)]),
        }
    }

    /// Two columns of two values.
    fn of_two_columns() -> Self {
        let names = |name: &str| hierarchy(name, &["x", "y"].map(|one| vec![value(one)]));
        let name = |one: usize| value(["x", "y"][one]);
        Self {
            hierarchies: vec![names("a"), names("b")],
            cells: [0, 1, 2, 3].map(|one| vec![name(one / 2), name(one % 2)]),
        }
    }

    fn table(&self, raw: &Raw) -> Table {
        let cells =
            raw.iter().zip(&self.cells).flat_map(|(rows, cells)| vec![cells.clone(); *rows]);
        Rows { cells: cells.collect(), ..Rows::default() }.table(self.hierarchies.clone())
    }

    /// Which combinations could show this.
    fn covers(&self, shown: &[Value]) -> BTreeSet<usize> {
        let covers = |label: &Value, cell: &Value| {
            let (label, cell) = (label.as_deref().unwrap(), cell.as_deref().unwrap());
            match label {
                "*" => true,
                "low" => ["0", "1"].contains(&cell),
                "high" => ["2", "3"].contains(&cell),
                label => match label.trim_matches(['[', ']']).split_once(", ") {
                    Some((from, to)) => from <= cell && cell <= to,
                    None => label == cell,
                },
            }
        };
        let all =
            |cells: &[Value]| shown.iter().zip(cells).all(|(label, cell)| covers(label, cell));
        (0..4).filter(|one| all(&self.cells[*one])).collect()
    }

    /// All raw tables that could show this, were nothing known of the method.
    fn blind(&self, shown: &Shown) -> BTreeSet<Raw> {
        let mut all: BTreeSet<Raw> = [[0; 4]].into();
        for (label, rows) in shown {
            let covers = self.covers(label);
            for _ in 0..*rows {
                let more = all.iter().flat_map(|raw| {
                    covers.iter().map(|one| {
                        let mut raw = *raw;
                        raw[*one] += 1;
                        raw
                    })
                });
                all = more.collect();
            }
        }
        all
    }
}

/// All raw tables of so many rows.
fn every(rows: usize) -> Vec<Raw> {
    let mut all = Vec::new();
    for a in 0..=rows {
        for b in 0..=rows - a {
            all.extend((0..=rows - a - b).map(|c| [a, b, c, rows - a - b - c]));
        }
    }
    all
}

fn decide(table: &Table, method: &Method, models: &[Model]) -> Option<Recoding> {
    let rules = rules(table, method.clone(), models);
    let guarantees = Guarantees::new(&rules, table).unwrap();
    let found = match method {
        Method::Fixed { .. } => lattice::fixed(table, &rules, &guarantees, &Unwatched),
        Method::Lattice { .. } => lattice::search(table, &rules, &guarantees, &Unwatched),
        Method::Mondrian { .. } => mondrian(table, &rules, &guarantees, &Unwatched, 1),
        _ => local_suppression(table, &rules, &guarantees, &Unwatched),
    };
    found.ok()
}

/// What releases tell whoever knows the method.
#[derive(Debug, Default, PartialEq)]
struct Told {
    /// Releases, of which each shows a value less than the table.
    releases: usize,
    /// Of these: some table that could show this was not there.
    excluded: usize,
    /// Of these: some combination that a class could hold was not there.
    narrowed: usize,
    /// Of these: there is one table alone that it can come from, where labels leave several.
    undone: usize,
}

fn told(world: &World, rows: usize, k: u64, method: &Method) -> Told {
    let mut from: BTreeMap<Shown, BTreeSet<Raw>> = BTreeMap::new();
    let mut within: BTreeMap<(Shown, Vec<Value>), BTreeSet<usize>> = BTreeMap::new();
    for raw in every(rows) {
        let table = world.table(&raw);
        let Some(found) = decide(&table, method, &[Model::KAnonymity { k }]) else { continue };
        let label = |class: Option<u32>| -> Vec<Value> {
            let cells = found.classes[class.unwrap() as usize].iter().enumerate();
            cells.map(|(column, cell)| text(&table, column, cell)).collect()
        };
        let mut shown = Shown::new();
        for part in &found.parts {
            *shown.entry(label(part.class)).or_default() += part.rows;
        }
        let combinations: Vec<usize> = (0..4).filter(|one| raw[*one] > 0).collect();
        for part in &found.parts {
            let key = (shown.clone(), label(part.class));
            within.entry(key).or_default().insert(combinations[part.combination as usize]);
        }
        from.entry(shown).or_default().insert(raw);
    }
    let mut told = Told::default();
    for (shown, tables) in &from {
        let blind = world.blind(shown);
        assert!(tables.is_subset(&blind), "{shown:?} shows what is not so");
        if blind.len() == 1 {
            continue;
        }
        told.releases += 1;
        told.excluded += usize::from(tables.len() < blind.len());
        told.undone += usize::from(tables.len() == 1);
        let narrowed =
            |label: &Vec<Value>| within[&(shown.clone(), label.clone())] != world.covers(label);
        told.narrowed += usize::from(shown.keys().any(narrowed));
    }
    told
}

/// Rows and k that are tried.
const SIZES: [(usize, u64); 4] = [(6, 2), (8, 2), (8, 3), (10, 3)];

/// PRIVACY: with `fixed`, whoever sees a release and knows the method knows what labels say, and no more: of
/// every table that could show this, this would have been shown. Nothing can be left out, by minimality or
/// by downcoding.
#[test]
fn fixed_levels_tell_no_more_than_their_labels() {
    let levels = |levels: &[(&str, u32)]| Method::Fixed {
        levels: levels.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect(),
    };
    let cases = [
        (World::of_one_column(), levels(&[("a", 1)])),
        (World::of_two_columns(), levels(&[("a", 0), ("b", 1)])),
    ];
    for (world, method) in cases {
        for (rows, k) in SIZES {
            let told = told(&world, rows, k, &method);
            assert!(told.releases > 2, "{told:?}");
            assert_eq!(told, Told { releases: told.releases, ..Told::default() });
        }
    }
}

/// The optimum of whole columns tells that what is finer had failed, of every release: minimality. In these
/// worlds that rules out tables and no value of a class, and no release can be undone.
#[test]
fn optimal_levels_tell_that_finer_ones_failed_and_narrow_no_class() {
    for world in [World::of_one_column(), World::of_two_columns()] {
        for (rows, k) in SIZES {
            let told = told(&world, rows, k, &Method::Lattice { objective: Objective::default() });
            assert!(told.releases > 2 && told.excluded == told.releases, "{told:?}");
            assert_eq!((told.narrowed, told.undone), (0, 0), "{told:?}");
        }
    }
}

/// What is not stopped: boxes and single stars follow the data so closely that some releases come from one
/// table alone. Who knows the method reads the raw table from them: downcoding.
#[test]
fn boxes_and_single_stars_can_be_undone() {
    let strict = told(&World::of_one_column(), 8, 2, &Method::Mondrian { strict: true });
    // The figures of docs/releases.md.
    assert_eq!((strict.releases, strict.narrowed, strict.undone), (34, 5, 5));
    let relaxed = told(&World::of_one_column(), 8, 2, &Method::Mondrian { strict: false });
    assert!(relaxed.narrowed > 0 && relaxed.undone > 0, "{relaxed:?}");
    let stars = told(&World::of_two_columns(), 8, 2, &Method::LocalSuppression);
    assert_eq!((stars.releases, stars.undone), (67, 36));
}

/// Minimality against diversity: two persons of one town and two of another, two of them ill, and each class
/// must have both. Where towns were joined, one town had failed: so whoever knows of one ill person knows of
/// the neighbour too. With the same level fixed beforehand it is one chance in three.
#[test]
fn an_optimum_tells_a_neighbours_illness_and_a_fixed_level_does_not() {
    let town = |one: usize| vec![value(["x", "y"][one / 2])];
    let towns = hierarchy("a", &[town(0), town(2)]);
    let models =
        [Model::KAnonymity { k: 2 }, Model::DistinctL { column: "sensitive".to_owned(), l: 2 }];
    let joined_when_first_is_ill = |method: &Method| {
        // Everybody who may be ill beside the first, where the release joins the towns.
        let mut ill: Vec<usize> = Vec::new();
        for other in 1..4 {
            let sick = |one: usize| u32::from(one == 0 || one == other);
            let rows = Rows {
                cells: (0..4).map(town).collect(),
                sensitive: Some((0..4).map(sick).collect()),
                ..Rows::default()
            };
            let found = decide(&rows.table(vec![towns.clone()]), method, &models).unwrap();
            if found.levels == Some(vec![1]) {
                ill.push(other);
            }
        }
        ill
    };
    let optimal = Method::Lattice { objective: Objective::default() };
    assert_eq!(joined_when_first_is_ill(&optimal), [1], "the neighbour, for sure");
    let fixed = Method::Fixed { levels: [("a".to_owned(), 1)].into() };
    assert_eq!(joined_when_first_is_ill(&fixed), [1, 2, 3], "anybody");
}
