//! Who starts jobs that never complete. A failed row has `starts > 0` and `completions = 0`; the job failure
//! fraction is another number and is named so.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::cell::{as_number, number};
use super::page::{Page, Show, Table};
use super::people::{TOP, Valid, label, order_of};
use super::plot::{Bar, Plot, Shape};
use super::roles::Role;
use super::study::{Study, count, quoted, share};
use crate::error::Result;

/// The rows of one user.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Jobs {
    fails: u64,
    total: u64,
}

/// Sums over all rows.
#[derive(Debug, Default)]
struct Sums {
    rows: u64,
    fails: u64,
    unreadable: u64,
    starts: f64,
    completions: f64,
}

/// The report.
///
/// # Errors
/// When the statement fails.
pub fn report(study: &Study<'_>) -> Result<Page> {
    let mut page = Page {
        stem: "failed_users".to_owned(),
        title: "Failed users".to_owned(),
        summary: "Users whose jobs were started and not completed: how many rows, which share of theirs, \
                  which share of all."
            .to_owned(),
        found: true,
        ..Page::default()
    };
    let user = study.need(Role::User);
    let starts = study.need(Role::Starts);
    let completions = study.need(Role::Completions);
    let (Ok(starts), Ok(completions)) = (&starts, &completions) else {
        page.notes.extend([user.err(), starts.err(), completions.err()].into_iter().flatten());
        page.lists.insert("failed_users".to_owned(), json!([]));
        return Ok(page);
    };
    let user = user.map_err(|why| page.notes.push(why)).ok();
    let (by_user, sums) = read(study, user, starts, completions)?;
    page.columns = user.into_iter().chain([*starts, *completions]).map(str::to_owned).collect();
    tell(study, user, by_user, &sums, &mut page);
    Ok(page)
}

type ByUser = BTreeMap<String, (Value, Jobs)>;

fn read(
    study: &Study<'_>,
    user: Option<&str>,
    starts: &str,
    completions: &str,
) -> Result<(ByUser, Sums)> {
    let names: Vec<String> = user.into_iter().chain([starts, completions]).map(quoted).collect();
    let names = names.join(", ");
    let sql = format!("SELECT {names}, count(*) FROM {} GROUP BY {names}", study.table());
    let mut by_user = ByUser::new();
    let mut sums = Sums::default();
    study.rows(study.query(&sql)?, |mut row| {
        let rows = count(&row.pop().unwrap_or_default());
        let completions = as_number(&row.pop().unwrap_or_default());
        let starts = as_number(&row.pop().unwrap_or_default());
        let user = row.pop().unwrap_or_default();
        let failed = failed(starts, completions);
        sums.rows = sums.rows.saturating_add(rows);
        match (starts, completions) {
            (Some(starts), Some(completions)) => {
                sums.starts += starts * rows as f64;
                sums.completions += completions * rows as f64;
            }
            _ => sums.unreadable = sums.unreadable.saturating_add(rows),
        }
        let (_, jobs) = by_user.entry(user.to_string()).or_insert_with(|| (user, Jobs::default()));
        jobs.total = jobs.total.saturating_add(rows);
        if failed {
            jobs.fails = jobs.fails.saturating_add(rows);
            sums.fails = sums.fails.saturating_add(rows);
        }
        Ok(())
    })?;
    Ok((by_user, sums))
}

/// Whether a row is one of a job that was started and did not complete.
fn failed(starts: Option<f64>, completions: Option<f64>) -> bool {
    starts.is_some_and(|starts| starts > 0.0) && completions == Some(0.0)
}

fn tell(study: &Study<'_>, user: Option<&str>, by_user: ByUser, sums: &Sums, page: &mut Page) {
    let users = by_user.len();
    let mut all: Vec<(Value, Jobs)> =
        by_user.into_values().filter(|(_, jobs)| jobs.fails > 0).collect();
    let order = user.map_or(super::cell::natural as fn(&_, &_) -> _, |user| order_of(study, user));
    all.sort_by(|(one, few), (other, many)| {
        let by_rows = many.fails.cmp(&few.fails).then(many.total.cmp(&few.total));
        by_rows.then_with(|| order(one, other))
    });
    page.figure("total_rows", "Rows", sums.rows, Show::Count);
    page.figure("total_failure_rows", "Failed rows", sums.fails, Show::Count);
    page.figure(
        "failure_rows_share",
        "Share of all rows",
        share(sums.fails, sums.rows),
        Show::Share,
    );
    if user.is_some() {
        page.figure("distinct_failed_users", "Users with failed rows", all.len(), Show::Count);
        page.figure("distinct_users", "Users in all", users, Show::Count);
    }
    let fraction = match sums.starts > 0.0 {
        true => number((sums.starts - sums.completions) / sums.starts),
        false => Value::Null,
    };
    page.figure("job_failure_fraction", "Job failure fraction", fraction, Show::Share);
    page.figure("sum_starts", "Starts", whole(sums.starts), Show::Number);
    page.figure("sum_completions", "Completions", whole(sums.completions), Show::Number);
    if sums.unreadable > 0 {
        page.figure("rows_without_counters", "Rows without counters", sums.unreadable, Show::Count);
        page.notes.push(
            "In some rows a counter is missing or no number: they are rows of their user, no failures, and \
             not in the fraction."
                .to_owned(),
        );
    }
    page.notes.push(
        "A failed row has starts > 0 and completions = 0. The job failure fraction is (sum of starts - sum of \
         completions) / sum of starts: a job with two starts and one completion counts there and is no failed \
         row; a row with neither starts nor completions counts in neither."
            .to_owned(),
    );
    if user.is_none() {
        return;
    }
    lists(study, user, &all, sums.rows, page);
}

fn lists(study: &Study<'_>, user: Option<&str>, all: &[(Value, Jobs)], rows: u64, page: &mut Page) {
    let valid = Valid::of(study, user.unwrap_or_default(), Role::User);
    let mut table = Table::new(
        "rows",
        "Users with failed rows",
        "By failed rows, then by all rows of the user, the largest first; then in the order of tokens.",
        &[
            ("token", "User", Show::Token),
            ("fails", "Failed rows", Show::Count),
            ("total", "Rows of the user", Show::Count),
            ("frac_of_user_rows", "Share of the user's rows", Show::Share),
            ("frac_of_all_rows", "Share of all rows", Show::Share),
            ("valid", "Valid", Show::Flag),
        ],
    );
    let mut list = Vec::new();
    for (token, jobs) in all {
        let valid = valid.holds(token);
        list.push(json!({"token": token, "failure_count": jobs.fails, "valid": valid}));
        table.rows.push(vec![
            token.clone(),
            jobs.fails.into(),
            jobs.total.into(),
            share(jobs.fails, jobs.total),
            share(jobs.fails, rows),
            valid.into(),
        ]);
    }
    page.lists.insert("failed_users".to_owned(), list.into());
    page.tables.push(table);
    let bars: Vec<Bar> = all.iter().take(TOP).map(bar).collect();
    if let Some(first) = all.first() {
        let alt = format!(
            "Bars of the rows of the {} users with most failed rows, the failed part marked; first is {} with \
             {} of {} rows failed.",
            bars.len(),
            label(&first.0),
            thousands(first.1.fails),
            thousands(first.1.total)
        );
        let title = "Failed rows beside all rows of a user".to_owned();
        page.plots.push(Plot { title, alt, shape: Shape::Bars(bars) });
    }
}

fn bar((token, jobs): &(Value, Jobs)) -> Bar {
    Bar {
        name: label(token),
        value: jobs.total as f64,
        told: format!("{} of {}", thousands(jobs.fails), thousands(jobs.total)),
        marked: jobs.fails as f64,
        rest: false,
    }
}

fn thousands(count: u64) -> String {
    super::page::thousands(&count.to_string())
}

/// A sum of counters: whole where it is.
fn whole(sum: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "looked at before")]
    if sum.fract() == 0.0 && sum.abs() < 9e15 { Value::from(sum as i64) } else { number(sum) }
}
