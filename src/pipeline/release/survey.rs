//! What rows would tell who met them: the classes that some columns make, raw or as their rules leave them,
//! under the policy's row filter. Counts and codes come out, for `risk/` to measure; never a value.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::count::{self, Means};
use super::measure::{self, Beside};
use super::progress::Progress;
use super::table::Table;
use crate::error::{Code, Error, Result};
use crate::pipeline::source::{self, Snapshot};
use crate::pipeline::transform::find;
use crate::policy::args::Args;
use crate::policy::release::{HierarchyRule, Method, Quasi, ReleaseRules};
use crate::policy::{Column, Policy, Rule};
use crate::risk::columns::{Apart, apart};
use crate::risk::uniques::{Uniques, special};
use crate::risk::{Class, Coded, Shapes};

/// Sets of at most so many columns are looked at by themselves.
const TOGETHER_MAX: usize = 2;

/// Special uniques are looked for in sets of at most so many columns.
const SPECIAL_MAX: usize = 4;

/// What raw rows tell, without a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// The version of the data.
    pub version: String,
    /// Rows under the policy's filter.
    pub rows: u64,
    /// The classes.
    pub shapes: Shapes,
    /// How well columns, and pairs of them, tell rows apart.
    pub apart: Vec<Apart>,
    /// Rows that few columns single out.
    pub special: Uniques,
}

/// Reads the raw rows of a dataset. What memory does not hold goes into a private folder below `spill`.
///
/// PRIVACY: what comes out are names of columns that the caller named, counts, and figures made of counts.
///
/// # Errors
/// [`Code::SchemaDrift`] when there is no such column, and what counting says.
pub fn raw(
    policy: &Policy,
    columns: &[String],
    unit: Option<&str>,
    progress: &dyn Progress,
    spill: &Path,
) -> Result<Survey> {
    let snapshot = source::snapshot(policy, 1)?;
    known(policy, &snapshot, columns.iter().map(String::as_str).chain(unit))?;
    let policy = Arc::new(plain(policy, columns, |_| true)?);
    let means = Means::spilling_to(spill);
    let table = count::table(&rules(columns, unit), &policy, &snapshot, progress, means)?;
    let codes: Vec<&[u32]> = table.leaves.iter().map(Vec::as_slice).collect();
    let coded = Coded { columns: &codes, rows: &table.rows };
    Ok(Survey {
        version: snapshot.version().to_owned(),
        rows: table.rows.iter().sum(),
        shapes: shapes(&table),
        apart: apart(coded, TOGETHER_MAX),
        special: special(coded, SPECIAL_MAX),
    })
}

/// The classes of what leaves by the columns' own rules alone. Stand-ins are as many as the values that they
/// stand for, so that a rule with a key makes no difference.
///
/// # Errors
/// [`Code::Policy`] for a rule that learns the whole column first, and what counting says.
pub fn ruled(
    policy: &Policy,
    columns: &[String],
    unit: Option<&str>,
    progress: &dyn Progress,
    spill: &Path,
) -> Result<Shapes> {
    let snapshot = source::snapshot(policy, 1)?;
    let is_keyed = |column: &Column| column.rule.transform.is_keyed(&column.rule.args);
    let policy = plain(policy, columns, is_keyed)?;
    let leaves = |name: &&String| {
        let column = policy.columns.iter().find(|column| column.name == **name);
        column.is_some_and(|column| column.rule.transform.spec().verb != "drop")
    };
    let columns: Vec<String> = columns.iter().filter(leaves).cloned().collect();
    if columns.is_empty() {
        return raw_rows(&policy, &snapshot, unit, progress, spill);
    }
    let means = Means::spilling_to(spill);
    let policy = Arc::new(policy);
    let table = count::table(&rules(&columns, unit), &policy, &snapshot, progress, means)?;
    Ok(shapes(&table))
}

/// The classes of released files, from their own columns.
///
/// # Errors
/// What reading says.
pub fn released(paths: &[PathBuf], columns: &[String], unit: Option<&str>) -> Result<Shapes> {
    Ok(measure::files(paths, &rules(columns, unit), &Beside::default())?.shapes)
}

/// Where nothing leaves that could tell rows apart, all are one class.
fn raw_rows(
    policy: &Policy,
    snapshot: &Snapshot,
    unit: Option<&str>,
    progress: &dyn Progress,
    spill: &Path,
) -> Result<Shapes> {
    let column = policy.columns.first().map(|column| column.name.clone());
    let column = column.ok_or_else(|| Error::new(Code::Policy, "the policy has no column"))?;
    let columns = [column];
    let policy = Arc::new(plain(policy, &columns, |_| true)?);
    let means = Means::spilling_to(spill);
    let table = count::table(&rules(&columns, unit), &policy, snapshot, progress, means)?;
    let mut persons: Vec<u32> = table.units.iter().flat_map(|units| units.items.clone()).collect();
    persons.sort_unstable();
    persons.dedup();
    let rows = table.rows.iter().sum();
    let members = if unit.is_some() { persons.len() as u64 } else { rows };
    Ok(Shapes::from([(Class { rows, members, population: members }, 1)]))
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
