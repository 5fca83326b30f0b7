//! The rows of one site while they come: written as they come, and counted by user and by hour for the page.
//! What is kept of them grows with users and hours, not with rows.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::page::{Column, Figure, Page, Show, Table};
use super::super::people::{TOP, Valid, label, order_of};
use super::super::plot::{Plot, Shape, bars};
use super::super::roles::Role;
use super::super::study::{Study, quoted, share};
use super::super::{Output, time};
use super::rows::Sink;
use crate::error::{Code, Error, Result};

/// How many rows stand in the page itself.
const ROWS_SHOWN: usize = 100;
/// What one file waits with in memory at most.
pub(super) const BUFFER_BYTES_MAX: usize = 1 << 18;
/// What all files of a run wait with in memory, about.
const BUFFERS_BYTES: usize = 64 << 20;

/// What one file may wait with where so many sites have files.
pub(super) fn buffer_bytes(sites: usize) -> usize {
    // JSON and CSV.
    (BUFFERS_BYTES / 2 / sites.max(1)).clamp(1 << 12, BUFFER_BYTES_MAX)
}

/// Hands on released rows, each with the hour that it counts for behind its columns.
///
/// # Errors
/// When the statement or `take` fails.
pub(super) fn read(
    study: &Study<'_>,
    only: Option<&str>,
    take: impl FnMut(Vec<Value>) -> Result<()>,
) -> Result<()> {
    let mut list: Vec<String> = study.names().iter().map(|name| quoted(name)).collect();
    list.push(time::hour(study).unwrap_or_else(|| "NULL".to_owned()));
    let only = only.map_or_else(String::new, |only| format!(" WHERE {only}"));
    let sql = format!("SELECT {} FROM {}{only}", list.join(", "), study.table());
    study.rows(study.query(&sql)?, take)
}

/// What is said where a site came while the report was made.
pub(super) fn changed() -> Error {
    Error::new(Code::TicketStale, "the data changed while the report was made; make it again")
}

/// One site under way.
pub(super) struct Jobs {
    page: Page,
    names: Vec<String>,
    user: Option<usize>,
    total: u64,
    shown: Vec<Vec<Value>>,
    users: BTreeMap<String, (Value, u64)>,
    hours: BTreeMap<i64, u64>,
    sink: Sink,
}

impl Jobs {
    /// Opens the files of a site's rows.
    ///
    /// # Errors
    /// When they are there already or cannot be made.
    pub(super) fn begin(
        study: &Study<'_>,
        mut page: Page,
        buffer: usize,
        output: &Output<'_>,
    ) -> Result<Self> {
        let names = study.names();
        let user = study.column(Role::User);
        let user = names.iter().position(|name| Some(name.as_str()) == user);
        let sink = Sink::open(&mut page, &names, buffer, output)?;
        let (users, hours) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { page, names, user, total: 0, shown: Vec::new(), users, hours, sink })
    }

    /// Takes a row of [`read`].
    pub(super) fn row(&mut self, mut row: Vec<Value>) -> Result<()> {
        if let Some(hour) = row.pop().and_then(|hour| hour.as_i64()) {
            let sum = self.hours.entry(hour).or_default();
            *sum = sum.saturating_add(1);
        }
        if let Some(user) = self.user.and_then(|at| row.get(at)) {
            // By the value's own text: a null and the text `null` differ.
            let key = user.to_string();
            match self.users.get_mut(&key) {
                Some((_, rows)) => *rows = rows.saturating_add(1),
                None => drop(self.users.insert(key, (user.clone(), 1))),
            }
        }
        self.sink.row(&self.names, &row)?;
        if self.shown.len() < ROWS_SHOWN {
            self.shown.push(row);
        }
        self.total = self.total.saturating_add(1);
        Ok(())
    }

    /// The page, when all rows are written.
    pub(super) fn end(
        self,
        study: &Study<'_>,
        found: bool,
        output: &mut Output<'_>,
    ) -> Result<Page> {
        let Self { mut page, names, total, shown, users, hours, sink, .. } = self;
        page.figures.push(Figure {
            key: "total_jobs_at_site",
            label: "Jobs at the site".to_owned(),
            value: total.into(),
            show: Show::Count,
        });
        let column =
            |name: &String| Column { key: name.clone(), label: name.clone(), show: Show::Text };
        page.tables.push(Table {
            key: "jobs_at_site",
            title: "Jobs".to_owned(),
            note: "The first rows, in the order of the data.".to_owned(),
            columns: names.iter().map(column).collect(),
            rows_elsewhere: total.saturating_sub(shown.len() as u64),
            rows: shown,
        });
        if found {
            people(study, users, &mut page);
            time::draw(study, &mut page, &hours.into_iter().collect::<Vec<_>>());
        }
        sink.close(&page, output)?;
        Ok(page)
    }
}

/// Who runs jobs there.
fn people(study: &Study<'_>, users: BTreeMap<String, (Value, u64)>, page: &mut Page) {
    let Some(column) = study.column(Role::User) else { return };
    let mut users: Vec<(Value, u64)> = users.into_values().collect();
    let order = order_of(study, column);
    users.sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| order(one, other)));
    let total: u64 = users.iter().map(|(_, rows)| rows).sum();
    let distinct = users.iter().filter(|(user, _)| !user.is_null()).count();
    page.figure("distinct_users", "Distinct users", distinct, Show::Count);
    let named = users.iter().map(|(user, rows)| (label(user), *rows));
    let alt = format!("Bars of the site's jobs by user, {} in all.", users.len());
    let shape = Shape::Bars(bars(named, TOP));
    page.plots.push(Plot { title: "Jobs at the site by user".to_owned(), alt, shape });
    let valid = Valid::of(study, column, Role::User);
    let mut table = Table::new(
        "users",
        "Users at the site",
        "By jobs, the largest first; of equal counts in the order of tokens.",
        &[
            ("token", "User", Show::Token),
            ("count", "Jobs", Show::Count),
            ("share", "Share of the site's", Show::Share),
            ("valid", "Valid", Show::Flag),
        ],
    );
    for (user, rows) in users {
        let valid = valid.holds(&user);
        table.rows.push(vec![user, rows.into(), share(rows, total), valid.into()]);
    }
    page.tables.push(table);
}
