//! The jobs at a site: a site is found whatever its case, under all its spellings, and its rows are written as
//! they are released. Holds no map back: there is none in the rows.

use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value, json};

use super::cell::{natural, text};
use super::folder::{Draft, Names};
use super::page::{Column, Page, Show, Table};
use super::people::{TOP, Valid, label};
use super::plot::{Plot, Shape, bars};
use super::roles::Role;
use super::study::{Study, count, literal, quoted, share};
use super::write::Format;
use super::{Output, page, time};
use crate::error::{Code, Context, Result};

/// How many rows stand in the page itself.
const ROWS_SHOWN: usize = 100;

/// A site with all its spellings.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// The most frequent spelling; of equals the first in order.
    pub canonical: String,
    /// Every spelling as it is released, with its rows.
    pub spellings: Vec<(String, u64)>,
}

impl Site {
    fn rows(&self) -> u64 {
        self.spellings.iter().map(|(_, rows)| rows).sum()
    }
}

/// All sites of a column in the order of their names, and the number of rows without one.
///
/// # Errors
/// When the statement fails.
pub fn sites(study: &Study<'_>, column: &str) -> Result<(Vec<Site>, u64)> {
    let name = quoted(column);
    let sql = format!("SELECT {name}, count(*) FROM {} GROUP BY {name}", study.table());
    let mut missing = 0_u64;
    let mut all: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    study.each(&sql, |[site, rows]| {
        match site {
            Value::Null => missing = missing.saturating_add(count(&rows)),
            site => {
                let spelling = text(&site);
                all.entry(folded(&spelling)).or_default().push((spelling, count(&rows)));
            }
        }
        Ok(())
    })?;
    let mut sites: Vec<Site> = all
        .into_values()
        .map(|mut spellings| {
            spellings
                .sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
            let canonical = spellings.first().map(|(name, _)| name.trim().to_owned());
            Site { canonical: canonical.unwrap_or_default(), spellings }
        })
        .collect();
    sites.sort_by(|one, other| {
        natural(&folded(&one.canonical).into(), &folded(&other.canonical).into())
    });
    Ok((sites, missing))
}

/// What is equal of two spellings of a site.
fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The report on one site. A site that is not there gives an empty report that says so.
///
/// # Errors
/// When a statement fails or a file cannot be written.
pub fn one(study: &Study<'_>, requested: &str, output: &mut Output<'_>) -> Result<Page> {
    let mut names = Names::default();
    match study.need(Role::Site) {
        Ok(column) => {
            let column = column.to_owned();
            let (sites, _) = sites(study, &column)?;
            let site = sites.into_iter().find(|site| folded(&site.canonical) == folded(requested));
            report(study, Ok(&column), requested, site, &mut names, output)
        }
        Err(why) => report(study, Err(why), requested, None, &mut names, output),
    }
}

/// A report a site, and one on all of them.
///
/// # Errors
/// When a statement fails or a file cannot be written.
pub fn all(study: &Study<'_>, output: &mut Output<'_>) -> Result<Vec<Page>> {
    let mut overview = Page {
        stem: "sites".to_owned(),
        title: "Sites".to_owned(),
        summary: "Every site with its jobs; each has a report of its own beside this one."
            .to_owned(),
        ..Page::default()
    };
    let column = match study.need(Role::Site) {
        Ok(column) => column.to_owned(),
        Err(why) => {
            overview.notes.push(why);
            return Ok(vec![overview]);
        }
    };
    let (sites, missing) = sites(study, &column)?;
    let total = sites.iter().map(Site::rows).sum::<u64>().saturating_add(missing);
    overview.figure("total_rows", "Rows", total, Show::Count);
    overview.figure("distinct_sites", "Sites", sites.len(), Show::Count);
    overview.figure("rows_without_site", "Rows without a site", missing, Show::Count);
    let mut table = Table::new(
        "sites",
        "Sites",
        "In the order of their names. A site's name is its most frequent spelling, of equals the first in order.",
        &[
            ("site", "Site", Show::Text),
            ("count", "Jobs", Show::Count),
            ("share", "Share of all rows", Show::Share),
            ("spellings", "Spellings", Show::Count),
            ("file", "Files", Show::Text),
        ],
    );
    let bars = bars(sites.iter().map(|site| (site.canonical.clone(), site.rows())), TOP);
    let alt = format!("Bars of jobs by site, {} sites in all.", sites.len());
    overview.plots.push(Plot { title: "Jobs by site".to_owned(), alt, shape: Shape::Bars(bars) });
    overview.columns.push(column.clone());
    overview.found = true;
    let mut names = Names::default();
    let mut pages = Vec::new();
    for site in sites {
        let rows = site.rows();
        let spellings = site.spellings.len();
        let name = site.canonical.clone();
        study.progress().step(&format!("site {name}"));
        let page = report(study, Ok(&column), &name, Some(site), &mut names, output)?;
        table.rows.push(vec![
            name.into(),
            rows.into(),
            share(rows, total),
            spellings.into(),
            page.stem.clone().into(),
        ]);
        // Pages are written at once: what they hold is not kept until the last is there.
        output.write(&page)?;
    }
    overview.tables.push(table);
    pages.push(overview);
    Ok(pages)
}

fn report(
    study: &Study<'_>,
    column: Result<&str, String>,
    requested: &str,
    site: Option<Site>,
    names: &mut Names,
    output: &mut Output<'_>,
) -> Result<Page> {
    let name = site.as_ref().map_or(requested, |site| &site.canonical);
    let mut page = Page {
        stem: format!("jobs_at_{}", names.give(name)),
        title: format!("Jobs at {name}"),
        summary: "The rows of one site as they are released, under all spellings of its name."
            .to_owned(),
        found: site.is_some(),
        ..Page::default()
    };
    output.refuse(&page)?;
    let note = match_note(requested, site.as_ref());
    page.facts.push(("requested_site", requested.into()));
    page.facts.push(("canonical_site", site.as_ref().map(|site| site.canonical.clone()).into()));
    page.facts.push(("is_valid_site", site.is_some().into()));
    page.facts.push(("match_note", note.clone().into()));
    page.notes.push(format!("Match: {note}."));
    match &column {
        Ok(column) => page.facts.push(("site_column", (*column).into())),
        Err(why) => page.notes.push(why.clone()),
    }
    let spellings = site.as_ref().map(|site| site.spellings.clone()).unwrap_or_default();
    page.facts.push(("spellings", json!(spellings)));
    page.columns = study.names();
    let only = condition(study, column.unwrap_or_default(), &spellings);
    if site.is_some() {
        people(study, &only, &mut page)?;
        time::add(study, &mut page, Some(&only))?;
    }
    rows(study, site.is_some().then_some(only.as_str()), &mut page, output)?;
    Ok(page)
}

fn match_note(requested: &str, site: Option<&Site>) -> String {
    let Some(site) = site else { return "not found".to_owned() };
    let exact = site.spellings.iter().any(|(spelling, _)| spelling == requested);
    let how = if exact { "exact" } else { "found by another spelling" };
    match site.spellings.as_slice() {
        [_] => how.to_owned(),
        several => {
            let told: Vec<_> =
                several.iter().map(|(name, rows)| format!("`{name}` ({rows})")).collect();
            format!("{how}; {} spellings, all included: {}", several.len(), told.join(", "))
        }
    }
}

/// The rows of some spellings.
fn condition(study: &Study<'_>, column: &str, spellings: &[(String, u64)]) -> String {
    use arrow::datatypes::DataType;
    let is_text = matches!(
        study.kind(column),
        Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    );
    let name = quoted(column);
    let name = if is_text { name } else { format!("CAST({name} AS VARCHAR)") };
    let texts: Vec<_> = spellings.iter().map(|(spelling, _)| literal(spelling)).collect();
    format!("{name} IN ({})", texts.join(", "))
}

/// Who runs jobs there.
fn people(study: &Study<'_>, only: &str, page: &mut Page) -> Result<()> {
    let Some(column) = study.column(Role::User) else { return Ok(()) };
    let name = quoted(column);
    let table = study.table();
    let sql = format!("SELECT {name}, count(*) FROM {table} WHERE {only} GROUP BY {name}");
    let mut users: Vec<(Value, u64)> = Vec::new();
    study.each(&sql, |[user, rows]| {
        users.push((user, count(&rows)));
        Ok(())
    })?;
    let order = super::people::order_of(study, column);
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
    Ok(())
}

/// Writes the rows as JSON and CSV while they are read, and keeps the first for the page.
fn rows(
    study: &Study<'_>,
    only: Option<&str>,
    page: &mut Page,
    output: &mut Output<'_>,
) -> Result<()> {
    let names = study.names();
    let column =
        |name: &String| Column { key: name.clone(), label: name.clone(), show: Show::Text };
    let mut table = Table {
        key: "jobs_at_site",
        title: "Jobs".to_owned(),
        note: "The first rows, in the order of the data.".to_owned(),
        columns: names.iter().map(column).collect(),
        ..Table::default()
    };
    let mut sink = Sink::open(page, &names, output)?;
    let mut total = 0_u64;
    if let Some(only) = only {
        let list: Vec<_> = names.iter().map(|name| quoted(name)).collect();
        let sql = format!("SELECT {} FROM {} WHERE {only}", list.join(", "), study.table());
        study.rows(study.query(&sql)?, |row| {
            sink.row(&names, &row)?;
            if table.rows.len() < ROWS_SHOWN {
                table.rows.push(row);
            }
            total = total.saturating_add(1);
            Ok(())
        })?;
    }
    table.rows_elsewhere = total.saturating_sub(table.rows.len() as u64);
    page.figures.insert(
        0,
        page::Figure {
            key: "total_jobs_at_site",
            label: "Jobs at the site".to_owned(),
            value: total.into(),
            show: Show::Count,
        },
    );
    page.tables.insert(0, table);
    sink.close(page, output)
}

/// The rows' own files.
struct Sink {
    json: Option<(Draft, bool)>,
    csv: Option<csv::Writer<Draft>>,
}

impl Sink {
    fn open(page: &mut Page, names: &[String], output: &Output<'_>) -> Result<Self> {
        let mut sink = Self { json: None, csv: None };
        if output.formats.contains(&Format::Json) {
            let name = format!("{}.json", page.stem);
            let mut draft = output.folder.draft(&name)?;
            let begun = draft.write_all(b"{\n\"jobs_at_site\": [");
            begun.map_err(|cause| draft.failed(cause))?;
            sink.json = Some((draft, true));
            page.written.push(name);
        }
        if output.formats.contains(&Format::Csv) {
            let name = format!("{}.csv", page.stem);
            let mut writer = csv::Writer::from_writer(output.folder.draft(&name)?);
            writer.write_record(names).context(Code::Usage, failed)?;
            sink.csv = Some(writer);
            page.written.push(name);
        }
        Ok(sink)
    }

    fn row(&mut self, names: &[String], row: &[Value]) -> Result<()> {
        if let Some((draft, first)) = &mut self.json {
            let object: Map<_, _> = names.iter().cloned().zip(row.iter().cloned()).collect();
            let between: &[u8] = if *first { b"\n" } else { b",\n" };
            *first = false;
            let written = draft.write_all(between).and_then(|()| {
                serde_json::to_writer(&mut *draft, &object).map_err(std::io::Error::from)
            });
            written.map_err(|cause| draft.failed(cause))?;
        }
        if let Some(csv) = &mut self.csv {
            csv.write_record(row.iter().map(text)).context(Code::Usage, failed)?;
        }
        Ok(())
    }

    fn close(self, page: &Page, output: &mut Output<'_>) -> Result<()> {
        if let Some((mut draft, _)) = self.json {
            let end = || -> std::io::Result<()> {
                draft.write_all(b"\n],\n\"meta\": ")?;
                serde_json::to_writer_pretty(&mut draft, &output.meta.json(page))?;
                draft.write_all(b",\n\"notes\": ")?;
                serde_json::to_writer_pretty(&mut draft, &page.notes)?;
                draft.write_all(b"\n}\n")
            };
            let mut end = end;
            let ended = end();
            ended.map_err(|cause| draft.failed(cause))?;
            output.folder.keep(draft)?;
        }
        if let Some(csv) = self.csv {
            let draft = csv.into_inner().map_err(|cause| {
                crate::error::Error::new(Code::Usage, failed()).because(cause.into_error())
            })?;
            output.folder.keep(draft)?;
        }
        Ok(())
    }
}

fn failed() -> String {
    "the rows cannot be written".to_owned()
}
