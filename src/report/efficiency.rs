//! What partners study: jobs, hours, processors and memory, by user, by site and by hour of the day. Adds up
//! what is released and says what it cannot add up.

use arrow::datatypes::{DataType, TimeUnit};
use serde_json::Value;

use super::cell::{as_number, number};
use super::page::{Column, Page, Show, Table};
use super::people::{label, order_of};
use super::plot::{Bar, Plot, Shape};
use super::roles::Role;
use super::study::{Study, count, quoted};
use super::time;
use crate::error::Result;

/// How many rows of a table are shown at most.
const TOP: usize = 20;

/// What is added up, as SQL has it.
struct Measures {
    /// Key, name, expression and how it is written.
    all: Vec<(&'static str, &'static str, String, Show)>,
    columns: Vec<String>,
}

/// The report.
///
/// # Errors
/// When a statement fails.
pub fn report(study: &Study<'_>) -> Result<Page> {
    let mut page = Page {
        stem: "efficiency".to_owned(),
        title: "Efficiency".to_owned(),
        summary: "Jobs, hours, processor efficiency and memory, by user, site and hour of the day."
            .to_owned(),
        found: true,
        ..Page::default()
    };
    let measures = measures(study, &mut page.notes);
    page.columns.clone_from(&measures.columns);
    whole(study, &measures, &mut page)?;
    for (role, key, title, name) in
        [(Role::User, "by_user", "By user", "User"), (Role::Site, "by_site", "By site", "Site")]
    {
        match study.need(role) {
            Err(why) => page.notes.push(why),
            Ok(column) => {
                let column = column.to_owned();
                let mut table = table(study, &measures, &quoted(&column), key, title, name)?;
                let order = order_of(study, &column);
                table.rows.sort_by(|one, other| {
                    let (a, b) = (one.first(), other.first());
                    let by_name = order(a.unwrap_or(&Value::Null), b.unwrap_or(&Value::Null));
                    jobs(other).cmp(&jobs(one)).then(by_name)
                });
                plot(&table, role, &mut page);
                page.tables.push(table);
                page.columns.push(column);
            }
        }
    }
    by_hour(study, &measures, &mut page)?;
    time::add(study, &mut page)?;
    page.columns.sort();
    page.columns.dedup();
    Ok(page)
}

fn jobs(row: &[Value]) -> u64 {
    row.get(1).map_or(0, count)
}

/// The sums that the released columns allow, and notes on those that they do not.
fn measures(study: &Study<'_>, notes: &mut Vec<String>) -> Measures {
    let mut all = vec![("jobs", "Jobs", "count(*)".to_owned(), Show::Count)];
    let mut columns = Vec::new();
    let mut take = |role: Role| {
        let column = study.column(role)?;
        let seconds = amount(study, column);
        match &seconds {
            Some(_) => columns.push(column.to_owned()),
            None => notes.push(format!(
                "`{column}` is no number: {} is not added up. `veilflight ingest` makes numbers of it.",
                role.noun()
            )),
        }
        Some((column.to_owned(), seconds?))
    };
    let (wall, cpu, cores) = (take(Role::Wall), take(Role::Cpu), take(Role::Cores));
    let (asked, used) = (take(Role::MemoryRequested), take(Role::MemoryUsed));
    let wall = wall.or_else(|| between(study, &mut columns));
    let sum = |what: &str| format!("sum({what}) / 3600.0");
    if let Some((name, wall)) = &wall {
        all.push(("wall_hours", "Hours", sum(wall), Show::Number));
        // A slot's time counts its processors already.
        let is_slot_time = name.to_lowercase().contains("slottime");
        let core = match &cores {
            Some((_, cores)) if !is_slot_time => format!("({wall} * {cores})"),
            _ => wall.clone(),
        };
        if core != *wall {
            all.push(("core_hours", "Processor hours had", sum(&core), Show::Number));
        }
        if let Some((_, cpu)) = &cpu {
            all.push(("cpu_hours", "Processor hours used", sum(cpu), Show::Number));
            let both = format!("{core} IS NOT NULL AND {cpu} IS NOT NULL");
            all.push((
                "cpu_efficiency",
                "Processor efficiency",
                format!(
                    "sum(CASE WHEN {both} THEN {cpu} END) / nullif(sum(CASE WHEN {both} THEN {core} END), 0)"
                ),
                Show::Share,
            ));
            notes.push(
                "Processor efficiency is the processor time used over the processor time had (wall time times \
                 processors), over rows that tell both. More than 100 % is more threads than processors."
                    .to_owned(),
            );
        }
    } else {
        notes.push(study.missing(Role::Wall));
    }
    if let Some((_, asked)) = &asked {
        all.push((
            "memory_requested_mean",
            "Memory asked for, mean",
            format!("avg({asked})"),
            Show::Number,
        ));
    }
    if let Some((_, used)) = &used {
        all.push(("memory_used_mean", "Memory used, mean", format!("avg({used})"), Show::Number));
    }
    if asked.is_some() || used.is_some() {
        notes.push(
            "Memory is in the units of its columns; means are over rows that tell it.".to_owned(),
        );
    }
    Measures { all, columns }
}

/// A column as a number: lengths of time in seconds. Nothing for what is no number.
fn amount(study: &Study<'_>, column: &str) -> Option<String> {
    let name = quoted(column);
    match study.kind(column)? {
        DataType::Duration(unit) => {
            let ticks = match unit {
                TimeUnit::Second => 1_i64,
                TimeUnit::Millisecond => 1_000,
                TimeUnit::Microsecond => 1_000_000,
                TimeUnit::Nanosecond => 1_000_000_000,
            };
            Some(format!("(CAST(CAST({name} AS BIGINT) AS DOUBLE) / {ticks}.0)"))
        }
        kind if kind.is_numeric() => Some(format!("CAST({name} AS DOUBLE)")),
        _ => None,
    }
}

/// The time between start and end, where no column has it.
fn between(study: &Study<'_>, columns: &mut Vec<String>) -> Option<(String, String)> {
    let (start, end) = (study.column(Role::Start)?, study.column(Role::End)?);
    columns.extend([start.to_owned(), end.to_owned()]);
    let unix = |name: &str| format!("to_unixtime(CAST({} AS TIMESTAMP))", quoted(name));
    let length = format!("CAST({} - {} AS DOUBLE)", unix(end), unix(start));
    Some(("between start and end".to_owned(), length))
}

/// All rows together.
fn whole(study: &Study<'_>, measures: &Measures, page: &mut Page) -> Result<()> {
    let list: Vec<_> = measures.all.iter().map(|(_, _, what, _)| what.as_str()).collect();
    let sql = format!("SELECT {} FROM {}", list.join(", "), study.table());
    study.rows(study.query(&sql)?, |row| {
        for ((key, label, _, show), value) in measures.all.iter().zip(row) {
            let key = if *key == "jobs" { "total_rows" } else { key };
            page.figure(key, label, rounded(value), *show);
        }
        Ok(())
    })
}

fn table(
    study: &Study<'_>,
    measures: &Measures,
    by: &str,
    key: &'static str,
    title: &str,
    name: &str,
) -> Result<Table> {
    let first = if key == "by_user" { Show::Token } else { Show::Text };
    let mut table = Table::new(key, title, "By jobs, the most first.", &[("key", name, first)]);
    let measured = measures.all.iter().map(|(key, label, _, show)| Column {
        key: (*key).to_owned(),
        label: (*label).to_owned(),
        show: *show,
    });
    table.columns.extend(measured);
    let list: Vec<_> = measures.all.iter().map(|(_, _, what, _)| what.as_str()).collect();
    let sql = format!("SELECT {by}, {} FROM {} GROUP BY {by}", list.join(", "), study.table());
    study.rows(study.query(&sql)?, |row| {
        table.rows.push(row.into_iter().map(rounded).collect());
        Ok(())
    })?;
    Ok(table)
}

fn by_hour(study: &Study<'_>, measures: &Measures, page: &mut Page) -> Result<()> {
    let roles = [Role::Submit, Role::Start, Role::End];
    let Some((role, column)) =
        roles.into_iter().find_map(|role| Some((role, study.column(role)?.to_owned())))
    else {
        return Ok(());
    };
    let hour = format!("date_part('hour', CAST({} AS TIMESTAMP))", quoted(&column));
    let title = "By hour of the day";
    let mut table = table(study, measures, &hour, "by_hour", title, "Hour")?;
    table.note = format!(
        "By {}, in UTC unless the data says otherwise; in the order of hours.",
        role.noun()
    );
    table.rows.sort_by(|one, other| {
        let hour = |row: &[Value]| row.first().and_then(as_number).unwrap_or(f64::MAX);
        hour(one).total_cmp(&hour(other))
    });
    page.tables.push(table);
    page.columns.push(column);
    Ok(())
}

/// A figure of a report, without the digits that the order of adding up decides.
fn rounded(value: Value) -> Value {
    match &value {
        Value::Number(found) if found.is_f64() => {
            let found = found.as_f64().unwrap_or(0.0);
            let size = 10_f64.powf(12.0 - found.abs().max(1e-9).log10().ceil());
            number((found * size).round() / size)
        }
        _ => value,
    }
}

/// Hours of the largest, with the part that was worked where that is known.
fn plot(table: &Table, role: Role, page: &mut Page) {
    let at = |key: &str| table.columns.iter().position(|column| column.key == key);
    let Some(had) = at("core_hours").or_else(|| at("wall_hours")) else { return };
    let used = at("cpu_hours");
    let cell = |row: &Vec<Value>, at: usize| row.get(at).and_then(as_number).unwrap_or(0.0);
    let mut rows: Vec<_> = table.rows.iter().collect();
    rows.sort_by(|one, other| cell(other, had).total_cmp(&cell(one, had)));
    let bars: Vec<Bar> = rows
        .into_iter()
        .take(TOP)
        .map(|row| Bar {
            name: label(row.first().unwrap_or(&Value::Null)),
            value: cell(row, had),
            told: format!("{} h", super::page::decimal(cell(row, had), 0)),
            marked: used.map_or(0.0, |used| cell(row, used).min(cell(row, had))),
            rest: false,
        })
        .collect();
    let what = if role == Role::User { "user" } else { "site" };
    let marked = if used.is_some() { ", the part that processors worked marked" } else { "" };
    let alt = format!("Bars of hours by {what}, the {} with most{marked}.", bars.len());
    page.plots.push(Plot { title: format!("Hours by {what}"), alt, shape: Shape::Bars(bars) });
}
