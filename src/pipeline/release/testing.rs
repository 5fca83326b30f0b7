//! Tables for tests, and a naive judge of what methods make of them: it counts rows that show the same
//! text, knowing nothing of classes. Shares no code with what it judges.

use std::collections::{BTreeMap, BTreeSet};

use super::recoding::{Cell, Recoding};
use super::table::{Hierarchy, Lists, Sensitive, Table};
use crate::policy::release::{HierarchyRule, Method, Model, Quasi, ReleaseRules};

/// A value of a row.
pub(super) type Value = Option<String>;

/// Numbers that look random and are always the same.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// Less than `sides`.
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A hierarchy of these lines: a value, then its group at each level; the root is added.
pub(super) fn hierarchy(name: &str, lines: &[Vec<Value>]) -> Hierarchy {
    let depth = lines.first().map_or(1, Vec::len);
    let (mut groups, mut labels) = (Vec::new(), Vec::new());
    for level in 0..depth {
        let mut names: Vec<Value> = Vec::new();
        let mut of = Vec::new();
        for line in lines {
            let place = names.iter().position(|known| *known == line[level]);
            let place = place.filter(|_| level > 0).unwrap_or_else(|| {
                names.push(line[level].clone());
                names.len() - 1
            });
            of.push(u32::try_from(place).unwrap());
        }
        groups.push(of);
        labels.push(names);
    }
    groups.push(vec![0; lines.len()]);
    labels.push(vec![Some("*".to_owned())]);
    Hierarchy { name: name.to_owned(), groups, labels, weight: 1.0 }
}

/// A hierarchy of these values alone.
pub(super) fn flat(name: &str, values: &BTreeSet<Value>) -> Hierarchy {
    hierarchy(name, &values.iter().map(|value| vec![value.clone()]).collect::<Vec<_>>())
}

/// A table of rows: quasi-identifiers, then perhaps a person, then perhaps a sensitive value.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// By row, by column.
    pub(super) cells: Vec<Vec<Value>>,
    /// By row, where persons are counted.
    pub(super) persons: Option<Vec<u32>>,
    /// By row, where there is a sensitive column.
    pub(super) sensitive: Option<Vec<u32>>,
}

impl Rows {
    /// What the engine would count.
    pub(super) fn table(&self, hierarchies: Vec<Hierarchy>) -> Table {
        let leaf = |column: usize, value: &Value| {
            let place = hierarchies[column].labels[0].iter().position(|known| known == value);
            u32::try_from(place.unwrap()).unwrap()
        };
        let mut memo: Vec<BTreeMap<&Value, u32>> = vec![BTreeMap::new(); hierarchies.len()];
        let mut combinations: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
        for (row, cells) in self.cells.iter().enumerate() {
            let key = cells.iter().enumerate();
            let key =
                key.map(|(at, value)| *memo[at].entry(value).or_insert_with(|| leaf(at, value)));
            combinations.entry(key.collect()).or_default().push(row);
        }
        let columns = 0..hierarchies.len();
        let mut units = Lists { starts: vec![0], items: Vec::new() };
        let mut counts = Lists { starts: vec![0], items: Vec::new() };
        for rows in combinations.values() {
            if let Some(persons) = &self.persons {
                units.items.extend(rows.iter().map(|row| persons[*row]).collect::<BTreeSet<_>>());
                units.starts.push(units.items.len());
            }
            if let Some(sensitive) = &self.sensitive {
                let mut sums: BTreeMap<u32, u64> = BTreeMap::new();
                rows.iter().for_each(|row| *sums.entry(sensitive[*row]).or_default() += 1);
                counts.items.extend(sums);
                counts.starts.push(counts.items.len());
            }
        }
        let values = self.sensitive.iter().flatten().max().map_or(0, |most| most + 1);
        let mut table = Table {
            leaves: columns.map(|at| combinations.keys().map(|key| key[at]).collect()).collect(),
            rows: combinations.values().map(|rows| rows.len() as u64).collect(),
            units: self.persons.is_some().then_some(units),
            hierarchies,
            ..Table::default()
        };
        if self.sensitive.is_some() {
            table.sensitive.push(Sensitive {
                name: "sensitive".to_owned(),
                values: (0..values).map(|value| Some(value.to_string())).collect(),
                counts,
                hierarchy: None,
            });
        }
        table
    }

    /// Rows of these sizes of domains, so that many combinations are rare.
    pub(super) fn random(seed: u64, rows: usize, domains: &[u64], nulls: bool) -> Self {
        let mut dice = Dice(seed);
        let mut value = |domain: &u64| {
            // The less of two rolls: small numbers are frequent.
            let least = dice.roll(*domain).min(dice.roll(*domain));
            (!nulls || dice.roll(12) > 0).then(|| least.to_string())
        };
        let cells = (0..rows).map(|_| domains.iter().map(&mut value).collect()).collect();
        Self { cells, persons: None, sensitive: None }
    }

    /// The values of a column.
    pub(super) fn values(&self, column: usize) -> BTreeSet<Value> {
        self.cells.iter().map(|row| row[column].clone()).collect()
    }
}

/// Rules of this method and these models.
pub(super) fn rules(table: &Table, method: Method, models: &[Model]) -> ReleaseRules {
    let quasi = table.hierarchies.iter().map(|hierarchy| Quasi {
        column: hierarchy.name.clone(),
        hierarchy: HierarchyRule::Top,
        weight: hierarchy.weight,
    });
    ReleaseRules {
        quasi_identifiers: quasi.collect(),
        models: models.to_vec(),
        method,
        suppress_max: 0.0,
        unit: table.units.is_some().then(|| "person".to_owned()),
        population: None,
        dangerous_rerelease: false,
    }
}

/// The text of a cell; null is no text.
pub(super) fn text(table: &Table, column: usize, cell: &Cell) -> Value {
    match cell {
        Cell::Group { level, group } => {
            table.hierarchies[column].labels[*level as usize][*group as usize].clone()
        }
        Cell::Label(label) => label.clone(),
        Cell::Number(number) => number.map(|number| number.to_string()),
    }
}

/// Every row stands once in the recoding, and rows that show the same satisfy the models: k, by rows
/// or persons, and distinct l. Gives the rows of each such class.
pub(super) fn judge(table: &Table, recoding: &Recoding, models: &[Model]) -> Vec<u64> {
    let mut assigned = vec![0; table.len()];
    let mut shown: BTreeMap<Vec<Value>, Vec<(usize, u64)>> = BTreeMap::new();
    for part in &recoding.parts {
        let combination = part.combination as usize;
        assigned[combination] += part.rows;
        if let Some(class) = part.class {
            let cells = recoding.classes[class as usize].iter().enumerate();
            let texts = cells.map(|(column, cell)| text(table, column, cell)).collect();
            shown.entry(texts).or_default().push((combination, part.rows));
        }
    }
    assert_eq!(assigned, table.rows, "each row once");
    assert!(recoding.parts.is_sorted_by_key(|part| part.combination), "in order of combinations");
    for members in shown.values() {
        for model in models {
            match model {
                Model::KAnonymity { k } => {
                    let persons = table.units.as_ref().map(|units| {
                        let all = members.iter().flat_map(|(at, _)| units.of(*at));
                        all.collect::<BTreeSet<_>>().len() as u64
                    });
                    let rows = members.iter().map(|(_, rows)| rows).sum();
                    assert!(persons.unwrap_or(rows) >= *k, "{persons:?} persons, {rows} rows");
                }
                Model::DistinctL { l, .. } => {
                    let values =
                        members.iter().flat_map(|(at, _)| table.sensitive[0].counts.of(*at));
                    let values: BTreeSet<u32> = values.map(|(value, _)| *value).collect();
                    assert!(values.len() as u64 >= *l, "{values:?}");
                }
                other => panic!("the judge does not know {other:?}"),
            }
        }
    }
    shown.values().map(|members| members.iter().map(|(_, rows)| rows).sum()).collect()
}

/// ARX's Adult with these columns by their hierarchies, where the shared data are there.
pub(super) fn adult(columns: &[&str]) -> Option<Table> {
    let folder = crate::shared::shared("data/adult")?;
    let file = std::fs::read_to_string(folder.join("adult.csv")).unwrap();
    let mut lines = file.lines().map(|line| line.split(';').collect::<Vec<_>>());
    let head = lines.next()?;
    let places: Vec<usize> = columns
        .iter()
        .map(|column| head.iter().position(|known| known == column).unwrap())
        .collect();
    let value = |text: &str| Some(text.to_owned());
    let cells = lines.map(|line| places.iter().map(|at| value(line[*at])).collect()).collect();
    let hierarchies = columns.iter().map(|column| {
        let path = folder.join(format!("adult_hierarchy_{column}.csv"));
        let file = std::fs::read_to_string(path).unwrap();
        let mut lines: Vec<Vec<Value>> =
            file.lines().map(|line| line.split(';').map(value).collect()).collect();
        // The root of the file is the root that is added.
        lines.iter_mut().for_each(|line| drop(line.pop()));
        hierarchy(column, &lines)
    });
    let hierarchies = hierarchies.collect();
    Some(Rows { cells, ..Rows::default() }.table(hierarchies))
}
