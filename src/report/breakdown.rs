//! How rows fall into the values of a column, and of one column within another: counts, percentages, ranks.
//! The reports of persons (mail providers, countries, ages) are this one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cell::{natural, text};
use super::page::{Page, Show, Table};
use super::people::{TOP, label, ranks};
use super::plot::{Plot, Shape, bars};
use super::study::{Study, count, quoted, share};
use crate::error::{Code, Error, Result};

/// What is broken down.
#[derive(Debug, Clone, Default)]
pub struct Breakdown {
    /// The column.
    pub by: String,
    /// The column within whose values it is broken down.
    pub within: Option<String>,
    /// Look at what stands behind the last `@` only.
    pub domain: bool,
    /// At most so many ranks of each.
    pub top: Option<u64>,
    /// In which order.
    pub order: Order,
}

/// In which order values stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    /// By value where values begin with a number, as bands of ages do; by count otherwise
    #[default]
    Auto,
    /// By count, the largest first
    Count,
    /// By value, numbers as numbers
    Value,
}

/// Counts of one value of the outer column, or of all rows.
type Counts = BTreeMap<String, (Value, u64)>;

/// The report.
///
/// # Errors
/// When a column is not released or the statement fails.
pub fn report(study: &Study<'_>, wanted: &Breakdown) -> Result<Page> {
    let by = study.named(&wanted.by)?.to_owned();
    let within = wanted.within.as_deref().map(|name| study.named(name)).transpose()?;
    let within = within.map(str::to_owned);
    if within.as_ref() == Some(&by) {
        let what = format!("`{by}` cannot be broken down within itself");
        return Err(Error::new(Code::Usage, what));
    }
    let of = if wanted.domain { "the part behind the @ of " } else { "" };
    let mut page = Page {
        stem: super::folder::safe(&match &within {
            Some(within) => format!("breakdown_{by}_by_{within}"),
            None => format!("breakdown_{by}"),
        }),
        title: match &within {
            Some(within) => format!("{by} within {within}"),
            None => format!("Rows by {by}"),
        },
        summary: match &within {
            Some(within) => {
                format!("How the rows of each {within} fall into the values of {of}{by}.")
            }
            None => format!("How all rows fall into the values of {of}{by}."),
        },
        found: true,
        columns: within.iter().cloned().chain([by.clone()]).collect(),
        ..Page::default()
    };
    let groups = read(study, &by, within.as_deref(), wanted.domain)?;
    let total: u64 = groups.values().flat_map(|(_, counts)| counts.values()).map(|(_, n)| n).sum();
    page.figure("total_rows", "Rows", total, Show::Count);
    let mut sums = Counts::new();
    for (key, (value, rows)) in groups.values().flat_map(|(_, counts)| counts) {
        let sum = &mut sums.entry(key.clone()).or_insert_with(|| (value.clone(), 0)).1;
        *sum = sum.saturating_add(*rows);
    }
    page.figure("distinct_values", &format!("Distinct {by}"), sums.len(), Show::Count);
    let by_value = match wanted.order {
        Order::Auto => are_bands(sums.values().map(|(value, _)| value)),
        Order::Count => false,
        Order::Value => true,
    };
    page.facts.push(("order", if by_value { "value" } else { "count" }.into()));
    fill(&mut page, wanted, &by, within.as_deref(), groups, total, by_value);
    plot(&mut page, &by, sums, by_value);
    page.notes.push(
        "Rank is by count, the largest first; equal counts share a rank, and the next rank is one more than all \
         before it, so that ranks up to 3 can be more than three rows."
            .to_owned(),
    );
    Ok(page)
}

/// Outer value, and counts by inner value.
type Groups = BTreeMap<String, (Value, Counts)>;

fn read(study: &Study<'_>, by: &str, within: Option<&str>, domain: bool) -> Result<Groups> {
    let names: Vec<String> = within.into_iter().chain([by]).map(quoted).collect();
    let names = names.join(", ");
    let sql = format!("SELECT {names}, count(*) FROM {} GROUP BY {names}", study.table());
    let mut groups = Groups::new();
    study.rows(study.query(&sql)?, |mut row| {
        let rows = count(&row.pop().unwrap_or_default());
        let inner = row.pop().unwrap_or_default();
        let inner = if domain { domain_of(inner) } else { inner };
        let outer = row.pop().unwrap_or_default();
        let (_, counts) = groups.entry(outer.to_string()).or_insert_with(|| (outer, Counts::new()));
        let sum = &mut counts.entry(inner.to_string()).or_insert_with(|| (inner, 0)).1;
        *sum = sum.saturating_add(rows);
        Ok(())
    })?;
    Ok(groups)
}

/// What stands behind the last `@`; null where there is none.
fn domain_of(value: Value) -> Value {
    match value {
        Value::String(text) => {
            text.rsplit_once('@').map_or(Value::Null, |(_, domain)| domain.into())
        }
        other => other,
    }
}

/// Whether values are numbers or begin with one, as `[20-30]`, `30-39`, `<18` and `60+` do.
fn are_bands<'a>(values: impl Iterator<Item = &'a Value>) -> bool {
    let mut any = false;
    let all = values.filter(|value| !value.is_null()).all(|value| {
        any = true;
        let text = text(value);
        let text = text.trim_start_matches(|c: char| "[(<>=\u{2264}\u{2265}- ".contains(c));
        text.starts_with(|c: char| c.is_ascii_digit()) || text == "*"
    });
    any && all
}

fn fill(
    page: &mut Page,
    wanted: &Breakdown,
    by: &str,
    within: Option<&str>,
    groups: Groups,
    total: u64,
    by_value: bool,
) {
    let mut columns = Vec::new();
    if let Some(within) = within {
        columns.push((within, within, Show::Text));
    }
    columns.extend([
        (by, by, Show::Text),
        ("count", "Rows", Show::Count),
        ("percentage", "Percentage", Show::Percent),
        ("rank", "Rank", Show::Count),
    ]);
    let note = match (within, by_value) {
        (Some(_), true) => {
            "By value within each; percentages are of the rows of each, rounded to 0.01."
        }
        (Some(_), false) => {
            "By count within each; percentages are of the rows of each, rounded to 0.01."
        }
        (None, true) => "By value; percentages are of all rows, rounded to 0.01.",
        (None, false) => "By count; percentages are of all rows, rounded to 0.01.",
    };
    let title = format!("Rows by {by}");
    let mut table = Table::new("rows", &title, note, &columns);
    let mut outer: Vec<_> = groups.into_values().collect();
    outer.sort_by(|(one, _), (other, _)| natural(one, other));
    for (outer, counts) in outer {
        let whole = counts.values().map(|(_, rows)| rows).sum();
        let mut inner: Vec<(Value, u64)> = counts.into_values().collect();
        inner.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| natural(one, other)));
        let ranks = ranks(inner.iter().map(|(_, rows)| *rows));
        let top = wanted.top.unwrap_or(u64::MAX);
        let mut ranked: Vec<_> =
            inner.into_iter().zip(ranks).filter(|(_, rank)| *rank <= top).collect();
        if by_value {
            ranked.sort_by(|((one, _), _), ((other, _), _)| natural(one, other));
        }
        for ((value, rows), rank) in ranked {
            let mut row = Vec::new();
            if within.is_some() {
                row.push(outer.clone());
            }
            row.extend([value, rows.into(), percentage(rows, whole), rank.into()]);
            table.rows.push(row);
        }
    }
    page.facts.push(("percentage_of", if within.is_some() { json!(within) } else { json!(total) }));
    page.tables.push(table);
}

fn percentage(part: u64, whole: u64) -> Value {
    share(part, whole)
        .as_f64()
        .map_or(Value::Null, |share| super::cell::number((share * 10_000.0).round() / 100.0))
}

fn plot(page: &mut Page, by: &str, sums: Counts, by_value: bool) {
    let mut values: Vec<(Value, u64)> = sums.into_values().collect();
    let mut bars = bars(values.iter().map(|(value, rows)| (label(value), *rows)), TOP);
    if by_value && values.len() <= TOP {
        values.sort_by(|(one, _), (other, _)| natural(one, other));
        let at = |name: &str| values.iter().position(|(value, _)| label(value) == name);
        bars.sort_by_key(|bar| at(&bar.name));
    }
    let Some(first) = values.iter().max_by_key(|(_, rows)| *rows) else { return };
    let alt = format!(
        "Bars of rows by {by}: {} values, most rows with {} ({}).",
        values.len(),
        label(&first.0),
        super::page::thousands(&first.1.to_string())
    );
    page.plots.push(Plot { title: format!("Rows by {by}"), alt, shape: Shape::Bars(bars) });
}
