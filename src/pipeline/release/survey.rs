//! What rows would tell who met them: the classes that some columns make, raw or as their rules leave them,
//! under the policy's row filter. Counts and codes come out, for `risk/` to measure; never a value.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::count::{self, Means};
use super::keyless;
use super::manifest::Manifest;
use super::measure::{self, Beside};
use super::progress::Progress;
use super::table::{Sensitive, Table};
use crate::error::{Code, Context, Error, Result};
use crate::pipeline::source::{self, Snapshot};
use crate::pipeline::transform::find;
use crate::policy::args::Args;
use crate::policy::load::leaves;
use crate::policy::release::{HierarchyRule, Method, Model, Quasi, ReleaseRules};
use crate::policy::stored::Role;
use crate::policy::{Column, Nulls, Policy, Rule, Source};
use crate::risk::columns::{Apart, apart};
use crate::risk::uniques::{Uniques, special};
use crate::risk::{Alike, Class, Coded, Seen, Shapes};

/// Sets of at most so many columns are looked at by themselves.
const TOGETHER_MAX: usize = 2;

/// Special uniques are looked for in sets of at most so many columns.
const SPECIAL_MAX: usize = 4;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The columns that somebody may know.
    pub columns: &'a [String],
    /// The column that tells persons apart, where they are counted.
    pub unit: Option<&'a str>,
    /// What somebody would want to know.
    pub sensitive: &'a [String],
    /// How many of the population a row stands for.
    pub weight: Option<&'a str>,
    /// What memory does not hold goes into a private folder below.
    pub spill: &'a Path,
}

/// What raw rows tell, without a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The version of the data.
    pub version: String,
    /// Rows under the policy's filter.
    pub rows: u64,
    /// The classes.
    pub seen: Seen,
    /// How well columns, and pairs of them, tell rows apart.
    pub apart: Vec<Apart>,
    /// Rows that few columns single out.
    pub special: Uniques,
}

/// Reads the raw rows of a dataset.
///
/// PRIVACY: what comes out are names of columns that the caller named, counts, and figures made of counts.
///
/// # Errors
/// [`Code::SchemaDrift`] when there is no such column, [`Code::SourceValue`] for a weight that is none, and what
/// counting says.
pub fn raw(policy: &Policy, asked: Asked<'_>, progress: &dyn Progress) -> Result<Survey> {
    let snapshot = source::snapshot(policy, 1)?;
    let named = asked.columns.iter().chain(asked.sensitive).map(String::as_str);
    known(policy, &snapshot, named.chain(asked.unit).chain(asked.weight))?;
    let others: Vec<String> =
        asked.sensitive.iter().cloned().chain(asked.weight.map(str::to_owned)).collect();
    let policy = plain(policy, asked.columns, |_| true)?;
    let policy = Arc::new(plain(&policy, &others, |_| true)?);
    let sensitive = countable(&policy, asked.sensitive, &snapshot);
    let rules = rules_beside(Asked { sensitive: &sensitive, ..asked });
    let table =
        count::table(&rules, &policy, &snapshot, progress, Means::spilling_to(asked.spill))?;
    let codes: Vec<&[u32]> = table.leaves.iter().map(Vec::as_slice).collect();
    let coded = Coded { columns: &codes, rows: &table.rows };
    Ok(Survey {
        version: snapshot.version().to_owned(),
        rows: table.rows.iter().sum(),
        seen: seen(&table, &sensitive, asked.weight, false)?,
        apart: apart(coded, TOGETHER_MAX),
        special: special(coded, SPECIAL_MAX),
    })
}

/// The classes of what leaves by the columns' own rules alone. Stand-ins are as many as the values that they
/// stand for, so that a rule with a key makes no difference.
///
/// # Errors
/// [`Code::Policy`] for a rule of a column that somebody may know which learns the whole column first, and what
/// counting says.
pub fn ruled(policy: &Policy, asked: Asked<'_>, progress: &dyn Progress) -> Result<Seen> {
    let snapshot = source::snapshot(policy, 1)?;
    let leaves = |name: &&String| {
        let column = policy.columns.iter().find(|column| column.name == **name);
        column.is_some_and(|column| column.rule.transform.spec().verb != "drop")
    };
    let mut columns: Vec<String> = asked.columns.iter().filter(leaves).cloned().collect();
    let sensitive: Vec<String> = asked.sensitive.iter().filter(leaves).cloned().collect();
    // Weights are of rows, whatever leaves of them.
    let weight: Vec<String> = asked.weight.map(str::to_owned).into_iter().collect();
    let policy = plain(policy, &columns, is_keyed)?;
    let policy = plain(&policy, &sensitive, is_keyed)?;
    let mut policy = plain(&policy, &weight, |_| true)?;
    // Where nothing leaves that could tell rows apart, all are one class.
    let one = columns.is_empty();
    if one {
        let column = policy.columns.first().map(|column| column.name.clone());
        columns.push(column.ok_or_else(|| Error::new(Code::Policy, "the policy has no column"))?);
        policy = plain(&policy, &columns, |_| true)?;
    }
    let policy = Arc::new(policy);
    let sensitive = countable(&policy, &sensitive, &snapshot);
    let rules = rules_beside(Asked { columns: &columns, sensitive: &sensitive, ..asked });
    let table =
        count::table(&rules, &policy, &snapshot, progress, Means::spilling_to(asked.spill))?;
    seen(&table, &sensitive, asked.weight, one)
}

/// The classes of released files, from their own columns. Where the files have no column for the weight, nothing is
/// told of it.
///
/// # Errors
/// What reading says.
pub fn released(
    policy: &Policy,
    manifest: &Manifest,
    paths: &[PathBuf],
    asked: Asked<'_>,
    progress: &dyn Progress,
) -> Result<Seen> {
    let role = |name: &str| {
        let found = manifest.columns.iter().find(|column| column.name == name);
        found.map(|column| column.role.as_str())
    };
    let columns: Vec<String> =
        asked.columns.iter().filter(|name| role(name).is_some()).cloned().collect();
    let unit = asked.unit.filter(|unit| role(unit).is_some());
    let shapes =
        measure::files(paths, &rules(&columns, unit), &Beside::persons(policy, unit))?.shapes;
    let weight = asked.weight.filter(|name| role(name) == Some(Role::Raw.word()));
    let leaves = |name: &&String| {
        let column = policy.columns.iter().find(|column| column.name == **name);
        role(name).is_some() && column.is_some_and(|column| leaves(&column.rule))
    };
    let sensitive: Vec<String> = asked.sensitive.iter().filter(leaves).cloned().collect();
    if (sensitive.is_empty() && weight.is_none()) || columns.is_empty() {
        return Ok(Seen { shapes, ..Seen::default() });
    }
    // What stands in the files as it leaves is read as it is; what is raw there, by its rule.
    let weights: Vec<String> = weight.map(str::to_owned).into_iter().collect();
    let policy = plain(policy, &columns, |_| true)?;
    let as_it_is =
        |column: &Column| is_keyed(column) || role(&column.name) != Some(Role::Raw.word());
    let policy = plain(&policy, &sensitive, as_it_is)?;
    let mut policy = plain(&policy, &weights, |_| true)?;
    // Not below the policy's folder.
    let whole = |path: &PathBuf| {
        let path = std::path::absolute(path)
            .context(Code::State, || format!("`{}` is no path", path.display()))?;
        Ok(path.to_string_lossy().into_owned())
    };
    policy.source = Source::Parquet { paths: paths.iter().map(whole).collect::<Result<_>>()? };
    policy.rows = None;
    policy.nulls = Nulls::Keep;
    let policy = Arc::new(policy);
    let snapshot = source::snapshot(&policy, 1)?;
    let sensitive = countable(&policy, &sensitive, &snapshot);
    let asked = Asked { columns: &columns, unit: None, sensitive: &sensitive, weight, ..asked };
    let table = count::table(
        &rules_beside(asked),
        &policy,
        &snapshot,
        progress,
        Means::spilling_to(asked.spill),
    )?;
    Ok(Seen { shapes, ..seen(&table, &sensitive, weight, false)? })
}

fn is_keyed(column: &Column) -> bool {
    column.rule.transform.is_keyed(&column.rule.args)
}

/// The columns whose values can be counted as their rules leave them.
fn countable(policy: &Policy, columns: &[String], snapshot: &Snapshot) -> Vec<String> {
    let can = |name: &&String| {
        let column = policy.columns.iter().find(|column| column.name == **name);
        let field = snapshot.schema().field_with_name(name).ok();
        column.zip(field).is_some_and(|(column, field)| {
            keyless::kernel(policy, column, field.data_type()).is_ok()
        })
    };
    columns.iter().filter(can).cloned().collect()
}

/// What the classes of a table tell; all rows are one class where `one` says so.
fn seen(table: &Table, sensitive: &[String], weight: Option<&str>, one: bool) -> Result<Seen> {
    let counts = |name: &str| table.sensitive.iter().find(|column| column.name == name);
    let all = 0..table.len();
    let classes: Vec<Vec<usize>> =
        if one { vec![all.collect()] } else { all.map(|at| vec![at]).collect() };
    let rows = |class: &[usize]| -> u64 { class.iter().filter_map(|at| table.rows.get(*at)).sum() };
    let alike = |name: &String| {
        let column = counts(name)?;
        let alike = |class: &&Vec<usize>| {
            let mut values = class.iter().flat_map(|at| column.counts.of(*at));
            let first = values.next().map(|(value, _)| *value);
            first.is_some() && values.all(|(value, _)| Some(*value) == first)
        };
        let rows = classes.iter().filter(alike).map(|class| rows(class)).sum();
        Some(Alike { column: name.clone(), rows })
    };
    let weighted = |name: &str| -> Result<Vec<(u64, f64)>> {
        let missing = || Error::new(Code::Internal, "weights were not counted");
        let column = counts(name).ok_or_else(missing)?;
        let weights = weights(column)?;
        let sum = |class: &Vec<usize>| {
            let counts = class.iter().flat_map(|at| column.counts.of(*at));
            let weight = |value: &u32| weights.get(*value as usize).copied().unwrap_or(0.0);
            (rows(class), counts.map(|(value, rows)| weight(value) * *rows as f64).sum())
        };
        Ok(classes.iter().map(sum).collect())
    };
    let shapes = if one { together(table) } else { shapes(table) };
    Ok(Seen {
        shapes,
        alike: sensitive.iter().filter_map(alike).collect(),
        weighted: weight.map(weighted).transpose()?,
    })
}

/// The numbers of a column of weights, value by value.
fn weights(column: &Sensitive) -> Result<Vec<f64>> {
    let number = |text: &Option<String>| {
        let number = text.as_deref().and_then(|text| text.parse::<f64>().ok());
        // PRIVACY: the value is not told.
        number.filter(|number| number.is_finite() && *number > 0.0).ok_or_else(|| {
            let what = format!(
                "column `{}` has a value that is no weight: a weight is a number above 0, and every row has one",
                column.name
            );
            Error::new(Code::SourceValue, what)
        })
    };
    column.values.iter().map(number).collect()
}

/// All rows as one class.
fn together(table: &Table) -> Shapes {
    let mut persons: Vec<u32> = table.units.iter().flat_map(|units| units.items.clone()).collect();
    persons.sort_unstable();
    persons.dedup();
    let rows = table.rows.iter().sum();
    let members = if table.units.is_some() { persons.len() as u64 } else { rows };
    Shapes::from([(Class { rows, members, population: members }, 1)])
}

/// The combinations of a table as classes.
pub(super) fn shapes(table: &Table) -> Shapes {
    let mut shapes = Shapes::new();
    for (at, rows) in table.rows.iter().enumerate() {
        let persons = table.units.as_ref().map(|units| units.of(at).len() as u64);
        let members = persons.unwrap_or(*rows);
        if *rows > 0 {
            *shapes.entry(Class { rows: *rows, members, population: members }).or_default() += 1;
        }
    }
    shapes
}

/// The policy with some columns in clear where `which` says so, for counting alone.
fn plain(policy: &Policy, columns: &[String], which: impl Fn(&Column) -> bool) -> Result<Policy> {
    let keep = || -> Result<Rule> {
        let transform = find("keep", None)
            .ok_or_else(|| Error::new(Code::Internal, "there is no rule that keeps a value"))?;
        Ok(Rule { transform, args: Args::default() })
    };
    let mut policy = policy.clone();
    for name in columns {
        match policy.columns.iter_mut().find(|column| column.name == *name) {
            Some(column) if which(column) => column.rule = keep()?,
            Some(_) => {}
            None => policy.columns.push(Column { name: name.clone(), class: None, rule: keep()? }),
        }
    }
    Ok(policy)
}

fn known<'a>(
    policy: &Policy,
    snapshot: &Snapshot,
    names: impl Iterator<Item = &'a str>,
) -> Result<()> {
    for name in names {
        if snapshot.schema().field_with_name(name).is_err() {
            let all = snapshot.schema().fields().iter().map(|field| field.name().as_str());
            let mut what = format!("the data of `{}` has no column `{name}`", policy.dataset);
            if let Some(near) = crate::diagnostic::did_you_mean(name, all) {
                what.push_str(&format!("; did you mean `{near}`?"));
            }
            return Err(Error::new(Code::SchemaDrift, what));
        }
    }
    Ok(())
}

/// Rules that name columns, and have others counted beside them.
fn rules_beside(asked: Asked<'_>) -> ReleaseRules {
    let beside = asked.sensitive.iter().map(String::as_str).chain(asked.weight);
    let model = |column: &str| Model::DistinctL { column: column.to_owned(), l: 1 };
    ReleaseRules { models: beside.map(model).collect(), ..rules(asked.columns, asked.unit) }
}

/// Rules that only name columns.
pub(super) fn rules(columns: &[String], unit: Option<&str>) -> ReleaseRules {
    let quasi = |column: &String| Quasi {
        column: column.clone(),
        hierarchy: HierarchyRule::Top,
        weight: 1.0,
    };
    ReleaseRules {
        quasi_identifiers: columns.iter().map(quasi).collect(),
        models: Vec::new(),
        method: Method::LocalSuppression,
        suppress_max: 1.0,
        unit: unit.map(str::to_owned),
        population: None,
        dangerous_rerelease: false,
    }
}
