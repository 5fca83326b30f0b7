//! Microaggregation: similar rows form groups of at least k, and each number becomes its group's mean.
//! MDAV after Domingo-Ferrer, Mateo-Sanz, "Practical Data-Oriented Microaggregation for Statistical
//! Disclosure Control", IEEE TKDE 2002, in the form of Domingo-Ferrer, Torra, "Ordinal, Continuous and
//! Heterogeneous k-Anonymity Through Microaggregation", Data Mining and Knowledge Discovery 2005.
//!
//! **What is done.** Every quasi-identifier is a number, standardized to mean 0 and deviation 1 times
//! the root of its weight. As long as 3k rows are left: the row farthest from the mean of all, with its
//! k - 1 nearest, is a group; the row farthest from that one, with its nearest, another. Of 2k to 3k - 1
//! rows the first such group and the rest become two, of fewer one. A combination that alone has k
//! rows is a group of its own, which loses nothing. Rows with null in different columns never meet:
//! null stays null. Loss is the sum of squares within groups over that of the table (SSE / SST).
//!
//! **Other guarantees.** Where k counts persons or another model asks something, combinations are not
//! divided and a group takes in its nearest until all models hold; what is left at the end joins the
//! nearest group where they still hold, or is suppressed. `k_map` and `delta_presence` are refused:
//! a mean has no place in a population table.
//!
//! **What it does not stop.** Whoever knows all of a group but one row computes that row from the mean;
//! a group is homogeneous where values are frequent, so l and t are no luxury; and as groups follow the
//! data, two releases of one table can be set off against each other.
//!
//! **Cost.** Nearest and farthest are found exactly: by a k-d tree that shrinks with the points (`points`), and,
//! from the mean, by an order of the outermost points that holds as long as the mean has hardly moved (`shell`).
//! In up to three columns time grows little faster than combinations; in more the tree looks at ever more points,
//! up to n * n / k. Tables that would take hours are refused (see [`combinations_max`]).

mod points;
mod shell;

use std::collections::BTreeMap;

use crate::error::{Code, Error, Result};
use crate::policy::release::{Model, ReleaseRules};

use super::assembly::{self, Draft};
use super::model::{ClassCounts, Guarantees};
use super::progress::Progress;
use super::recoding::{Cell, Recoding};
use super::table::Table;
use points::Points;

/// The most combinations that are grouped in up to three columns.
const COMBINATIONS_MAX: u64 = 1_000_000;

/// How often points may be looked at where the tree helps little: some ten minutes.
const LOOKS_MAX: u64 = 100_000_000_000;

/// The most distinct combinations that are grouped: a million, and in more than three columns the root
/// of 20,000,000,000 times k.
pub fn combinations_max(columns: usize, k: u64) -> u64 {
    let by_looks = LOOKS_MAX.saturating_mul(k.max(1)).isqrt();
    if columns > 3 { by_looks.min(COMBINATIONS_MAX) } else { COMBINATIONS_MAX }
}

/// Groups of similar rows and their means.
pub fn microaggregation(
    table: &Table,
    rules: &ReleaseRules,
    guarantees: &Guarantees,
    progress: &dyn Progress,
) -> Result<Recoding> {
    let most = combinations_max(table.hierarchies.len(), guarantees.k());
    if table.len() as u64 > most {
        return Err(policy(format!(
            "microaggregation of {} columns with this k groups at most {most} distinct combinations, \
             and there are {}: make values coarser by rules, name fewer columns, or use `mondrian`",
            table.hierarchies.len(),
            table.len()
        )));
    }
    let population =
        |model: &Model| matches!(model, Model::KMap { .. } | Model::DeltaPresence { .. });
    if rules.models.iter().any(population) {
        return Err(policy(
            "microaggregation gives means, which have no place in a population table: `k_map` and \
             `delta_presence` need another method",
        ));
    }
    let columns: Vec<Column> =
        (0..table.hierarchies.len()).map(|at| Column::new(table, at)).collect::<Result<_>>()?;
    let mut patterns: BTreeMap<Vec<bool>, Vec<u32>> = BTreeMap::new();
    for (combination, rows) in (0_u32..).zip(&table.rows) {
        if *rows > 0 {
            let pattern =
                columns.iter().map(|column| column.value(combination).is_some()).collect();
            patterns.entry(pattern).or_default().push(combination);
        }
    }
    let mut work = Work {
        table,
        guarantees,
        progress,
        divisible: assembly::by_rows_alone(rules, table),
        done: 0,
        of: table.rows.iter().sum(),
    };
    let (mut groups, mut left) = (Vec::new(), Vec::new());
    for combinations in patterns.into_values() {
        work.group(&columns, &combinations, &mut groups, &mut left)?;
    }
    let loss = loss(&columns, &groups);
    let drafts = groups.into_iter().map(|members| Draft {
        cells: columns.iter().map(|column| Cell::Number(column.mean(&members))).collect(),
        members,
    });
    let divisible = work.divisible;
    let mut recoding = assembly::assemble(table, guarantees, divisible, drafts.collect(), left)?;
    recoding.loss = Some(vec![loss]);
    Ok(recoding)
}

fn policy(context: impl Into<String>) -> Error {
    Error::new(Code::Policy, context)
}

/// Rows of combinations.
type Members = Vec<(u32, u64)>;

/// A quasi-identifier as numbers.
struct Column {
    /// By combination; none is null.
    values: Vec<Option<f64>>,
    mean: f64,
    /// What a distance from the mean is multiplied with.
    scale: f64,
}

impl Column {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    fn new(table: &Table, at: usize) -> Result<Self> {
        let (Some(hierarchy), Some(leaves)) = (table.hierarchies.get(at), table.leaves.get(at))
        else {
            return Err(Error::new(Code::Internal, "a quasi-identifier without leaves"));
        };
        // A column of nulls alone has no mean, and needs none.
        let nothing =
            hierarchy.labels.first().is_some_and(|labels| labels.iter().all(Option::is_none));
        let nulls = || nothing.then(|| vec![None; hierarchy.leaves()]);
        let Some(numbers) = hierarchy.numbers().or_else(nulls) else {
            return Err(policy(format!(
                "microaggregation needs numbers, and `{}` has values that are none: leave it out, or \
                 use `mondrian`",
                hierarchy.name
            )));
        };
        let values: Vec<Option<f64>> =
            leaves.iter().map(|leaf| numbers.get(*leaf as usize).copied().flatten()).collect();
        let known =
            || values.iter().zip(&table.rows).filter_map(|(v, rows)| Some(((*v)?, *rows as f64)));
        let rows: f64 = known().map(|(_, rows)| rows).sum();
        let sum: f64 = known().map(|(value, rows)| value * rows).sum();
        let mean = if rows > 0.0 { sum / rows } else { 0.0 };
        let squares: f64 =
            known().map(|(value, rows)| (value - mean) * (value - mean) * rows).sum();
        let deviation = if rows > 0.0 { (squares / rows).sqrt() } else { 0.0 };
        let scale =
            if deviation > 0.0 { hierarchy.weight.max(0.0).sqrt() / deviation } else { 0.0 };
        Ok(Self { values, mean, scale })
    }

    fn value(&self, combination: u32) -> Option<f64> {
        self.values.get(combination as usize).copied().flatten()
    }

    /// As distances see it.
    fn standard(&self, combination: u32) -> Option<f64> {
        self.value(combination).map(|value| (value - self.mean) * self.scale)
    }

    /// The mean of a group; its value itself where there is only one.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    fn mean(&self, members: &[(u32, u64)]) -> Option<f64> {
        let known =
            || members.iter().filter_map(|(at, rows)| Some((self.value(*at)?, *rows as f64)));
        let (first, _) = known().next()?;
        if known().all(|(value, _)| value == first) {
            return Some(first);
        }
        let rows: f64 = known().map(|(_, rows)| rows).sum();
        Some(known().map(|(value, rows)| value * rows).sum::<f64>() / rows)
    }
}

/// Squares within groups over squares around the mean, of standardized values.
#[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
fn loss(columns: &[Column], groups: &[Members]) -> f64 {
    let (mut within, mut all) = (0.0, 0.0);
    for members in groups {
        for column in columns {
            let Some(mean) = column.mean(members) else { continue };
            let mean = (mean - column.mean) * column.scale;
            for (combination, rows) in members {
                let Some(value) = column.standard(*combination) else { continue };
                within += (value - mean) * (value - mean) * *rows as f64;
                all += value * value * *rows as f64;
            }
        }
    }
    if all > 0.0 { within / all } else { 0.0 }
}

struct Work<'a> {
    table: &'a Table,
    guarantees: &'a Guarantees,
    progress: &'a dyn Progress,
    divisible: bool,
    done: u64,
    of: u64,
}

impl Work<'_> {
    /// Groups of combinations that have null in the same columns.
    fn group(
        &mut self,
        columns: &[Column],
        combinations: &[u32],
        groups: &mut Vec<Members>,
        left: &mut Members,
    ) -> Result<()> {
        let known = |combination: &u32| {
            let combination = *combination;
            columns.iter().filter_map(move |column| column.standard(combination))
        };
        let coordinates: Vec<f64> = combinations.iter().flat_map(known).collect();
        let rows: Vec<u64> = combinations
            .iter()
            .map(|at| self.table.rows.get(*at as usize).copied().unwrap_or_default())
            .collect();
        let mut field =
            Field::new(coordinates.len() / combinations.len().max(1), coordinates, rows);
        let found = if self.divisible {
            self.by_rows(&mut field)?
        } else {
            self.by_models(&mut field, combinations, left)?
        };
        let named = |members: Members| {
            let name = |(point, rows): (u32, u64)| {
                (combinations.get(point as usize).copied().unwrap_or_default(), rows)
            };
            members.into_iter().map(name).collect::<Members>()
        };
        groups.extend(found.into_iter().map(named));
        Ok(())
    }

    /// MDAV on rows.
    fn by_rows(&mut self, field: &mut Field) -> Result<Vec<Members>> {
        let k = self.guarantees.k().max(1);
        let mut groups = Vec::new();
        while field.rows >= 3 * k {
            self.look(field, &mut groups, k)?;
        }
        if field.rows >= 2 * k
            && let Some(first) = field.outermost()
        {
            groups.push(field.around(first, k));
        }
        let rest = field.rest();
        if !rest.is_empty() {
            groups.push(rest);
        }
        Ok(groups)
    }

    /// A group around the point farthest from the mean, and one around the point farthest from it.
    fn look(&mut self, field: &mut Field, groups: &mut Vec<Members>, k: u64) -> Result<()> {
        let Some(first) = field.outermost() else { return Ok(()) };
        let from = field.points.point(first).to_vec();
        let one = field.around(first, k);
        self.tell(&one)?;
        groups.push(one);
        if field.rows >= 2 * k
            && let Some(second) = field.points.farthest(&from)
        {
            let other = field.around(second, k);
            self.tell(&other)?;
            groups.push(other);
        }
        Ok(())
    }

    /// The same on whole combinations, each group as large as the models ask.
    fn by_models(
        &mut self,
        field: &mut Field,
        combinations: &[u32],
        left: &mut Members,
    ) -> Result<Vec<Members>> {
        let mut groups: Vec<(Members, ClassCounts)> = Vec::new();
        let mut rest = Vec::new();
        let mut from: Option<Vec<f64>> = None;
        while field.rows > 0 {
            // In turns from the mean of all and from the last group's middle.
            let origin = from.take();
            let point = match &origin {
                Some(origin) => field.points.farthest(origin),
                None => field.outermost(),
            };
            let Some(point) = point else { break };
            let middle = field.points.point(point).to_vec();
            let (members, counts) = self.grow(field, combinations, point);
            for (point, rows) in &members {
                field.take(*point, *rows);
            }
            self.tell(&members)?;
            if self.guarantees.hold(&counts) {
                groups.push((members, counts));
            } else {
                rest = members;
            }
            if origin.is_none() {
                from = Some(middle);
            }
        }
        if !rest.is_empty() {
            self.join(field, combinations, &mut groups, rest, left);
        }
        Ok(groups.into_iter().map(|(members, _)| members).collect())
    }

    /// The nearest of a point until all models hold, or all that are left.
    fn grow(&self, field: &Field, combinations: &[u32], point: u32) -> (Members, ClassCounts) {
        let from = field.points.point(point);
        let mut wanted = self.guarantees.k().max(1);
        let (mut members, mut counts) = (Members::new(), ClassCounts::default());
        loop {
            let nearest = field.points.nearest(from, wanted);
            for point in nearest.iter().skip(members.len()) {
                let more = self.counts(combinations, &[*point]);
                if members.is_empty() {
                    counts = more
                } else {
                    counts.merge(&more)
                }
                members.push((*point, field.points.rows(*point)));
                if self.guarantees.hold(&counts) {
                    return (members, counts);
                }
            }
            if wanted >= field.rows {
                return (members, counts);
            }
            wanted = wanted.saturating_mul(2).min(field.rows);
        }
    }

    fn counts(&self, combinations: &[u32], points: &[u32]) -> ClassCounts {
        let name = |point: &u32| combinations.get(*point as usize).copied();
        ClassCounts::of(self.table, &points.iter().filter_map(name).collect::<Vec<_>>())
    }

    /// What found no group joins the nearest with which the models hold, else none.
    fn join(
        &self,
        field: &Field,
        combinations: &[u32],
        groups: &mut [(Members, ClassCounts)],
        rest: Members,
        left: &mut Members,
    ) {
        let points: Vec<u32> = rest.iter().map(|(point, _)| *point).collect();
        let counts = self.counts(combinations, &points);
        let middle = field.middle(&rest);
        let mut order: Vec<(f64, usize)> = groups
            .iter()
            .enumerate()
            .map(|(at, (members, _))| (points::distance(&field.middle(members), &middle), at))
            .collect();
        order.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        for (_, at) in order {
            let Some((members, known)) = groups.get_mut(at) else { continue };
            let mut both = known.clone();
            both.merge(&counts);
            if self.guarantees.hold(&both) {
                members.extend(rest);
                return;
            }
        }
        let name = |(point, rows): (u32, u64)| Some((*combinations.get(point as usize)?, rows));
        left.extend(rest.into_iter().filter_map(name));
    }

    fn tell(&mut self, members: &[(u32, u64)]) -> Result<()> {
        self.done += members.iter().map(|(_, rows)| rows).sum::<u64>();
        self.progress.at(self.done, self.of);
        if self.progress.cancelled() { Err(assembly::cancelled()) } else { Ok(()) }
    }
}

/// The points that are left, with their mean.
struct Field {
    points: Points,
    rows: u64,
    sums: Vec<f64>,
}

impl Field {
    fn new(width: usize, coordinates: Vec<f64>, rows: Vec<u64>) -> Self {
        let points = Points::new(width, coordinates, rows);
        let mut field = Self { points, rows: 0, sums: vec![0.0; width] };
        let all: Members =
            field.points.all().map(|point| (point, field.points.rows(point))).collect();
        for (point, rows) in all {
            field.rows += rows;
            field.add(point, rows, 1.0);
        }
        field
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    fn add(&mut self, point: u32, rows: u64, sign: f64) {
        for (sum, value) in self.sums.iter_mut().zip(self.points.point(point)) {
            *sum += sign * value * rows as f64;
        }
    }

    fn take(&mut self, point: u32, rows: u64) {
        self.add(point, rows, -1.0);
        self.rows -= rows;
        self.points.take(point, rows);
    }

    /// The point farthest from the mean of what is left.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    fn outermost(&mut self) -> Option<u32> {
        let centre: Vec<f64> = self.sums.iter().map(|sum| sum / self.rows.max(1) as f64).collect();
        self.points.farthest_again(&centre)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows are far below 2^53")]
    fn middle(&self, members: &[(u32, u64)]) -> Vec<f64> {
        let mut sums = vec![0.0; self.sums.len()];
        let rows: u64 = members.iter().map(|(_, rows)| rows).sum();
        for (point, rows) in members {
            for (sum, value) in sums.iter_mut().zip(self.points.point(*point)) {
                *sum += value * *rows as f64;
            }
        }
        sums.iter().map(|sum| sum / rows.max(1) as f64).collect()
    }

    /// The k rows nearest to a point, itself included; all of its rows where it has k alone, as long
    /// as what is left is nothing or still k.
    fn around(&mut self, point: u32, k: u64) -> Members {
        let own = self.points.rows(point);
        let own = if own < self.rows { own.min(self.rows.saturating_sub(k)) } else { own };
        if own >= k {
            self.take(point, own);
            return vec![(point, own)];
        }
        let nearest = self.points.nearest(self.points.point(point), k);
        let mut members = Members::new();
        let mut wanted = k;
        for point in nearest {
            let rows = self.points.rows(point).min(wanted);
            wanted -= rows;
            members.push((point, rows));
            self.take(point, rows);
        }
        members
    }

    /// Everything that is left.
    fn rest(&mut self) -> Members {
        let all: Members =
            self.points.all().map(|point| (point, self.points.rows(point))).collect();
        self.rows = 0;
        all
    }
}

#[cfg(test)]
mod tests;
