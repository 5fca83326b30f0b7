//! The jobs at a site: a site is found whatever its case, under all its spellings, and its rows are written as
//! they are released. Holds no map back: there is none in the rows.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Output;
use super::cell::{natural, text};
use super::folder::Names;
use super::page::{Page, Show, Table};
use super::people::TOP;
use super::plot::{Plot, Shape, bars};
use super::roles::Role;
use super::study::{Study, count, literal, quoted, share};
use crate::error::Result;

mod jobs;
mod rows;

use jobs::Jobs;

/// A site with all its spellings.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// What all its spellings have in common.
    key: String,
    /// The most frequent spelling; of equals the first in order.
    pub canonical: String,
    /// Every spelling without the blanks around it, with its rows.
    pub spellings: Vec<(String, u64)>,
}

impl Site {
    fn rows(&self) -> u64 {
        self.spellings.iter().map(|(_, rows)| rows).sum()
    }
}

/// All sites of a column in the order of their names, and the number of rows without one. A name of nothing
/// but blanks is none.
///
/// # Errors
/// When the statement fails.
pub fn sites(study: &Study<'_>, column: &str) -> Result<(Vec<Site>, u64)> {
    let name = quoted(column);
    let sql = format!("SELECT {name}, count(*) FROM {} GROUP BY {name}", study.table());
    let mut missing = 0_u64;
    let mut all: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    study.each(&sql, |[site, rows]| {
        let rows = count(&rows);
        match key(&site) {
            None => missing = missing.saturating_add(rows),
            Some(key) => {
                let spelling = text(&site).trim_matches(BLANKS).to_owned();
                let sum = all.entry(key).or_default().entry(spelling).or_default();
                *sum = sum.saturating_add(rows);
            }
        }
        Ok(())
    })?;
    let mut sites: Vec<Site> = all
        .into_iter()
        .map(|(key, spellings)| {
            let mut spellings: Vec<_> = spellings.into_iter().collect();
            spellings
                .sort_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
            let canonical = spellings.first().map(|(name, _)| name.clone()).unwrap_or_default();
            Site { key, canonical, spellings }
        })
        .collect();
    sites.sort_by(|one, other| natural(&one.key.as_str().into(), &other.key.as_str().into()));
    Ok((sites, missing))
}

/// What does not count around a name.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// What is equal of two spellings of a site; nothing where there is no site.
fn key(site: &Value) -> Option<String> {
    let key = text(site).trim_matches(BLANKS).to_lowercase();
    (!key.is_empty()).then_some(key)
}

/// [`key`] in SQL, as the views of the policies that we ship have it.
fn key_sql(study: &Study<'_>, column: &str) -> String {
    use arrow::datatypes::DataType;
    let name = quoted(column);
    let is_text = matches!(
        study.kind(column),
        Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    );
    let name = if is_text { name } else { format!("CAST({name} AS VARCHAR)") };
    format!("lower(btrim({name}, concat(' ', chr(9), chr(10), chr(13))))")
}

/// The report on one site. A site that is not there gives an empty report that says so.
///
/// # Errors
/// When a statement fails or a file cannot be written.
pub fn one(study: &Study<'_>, requested: &str, output: &mut Output<'_>) -> Result<Page> {
    let mut names = Names::default();
    let column = study.need(Role::Site).map(str::to_owned);
    let site = match &column {
        Ok(column) => {
            let wanted = key(&requested.into());
            sites(study, column)?.0.into_iter().find(|site| Some(&site.key) == wanted.as_ref())
        }
        Err(_) => None,
    };
    let page = begun(study, column.as_deref(), requested, site.as_ref(), &mut names, output)?;
    let mut jobs = Jobs::begin(study, page, jobs::BUFFER_BYTES_MAX, output)?;
    if let (Some(site), Ok(column)) = (&site, &column) {
        let only = format!("{} = {}", key_sql(study, column), literal(&site.key));
        jobs::read(study, Some(&only), |row| jobs.row(row))?;
    }
    jobs.end(study, site.is_some(), output)
}

/// A report a site, and one on all of them: two statements, however many sites there are.
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
    let bars = bars(sites.iter().map(|site| (site.canonical.clone(), site.rows())), TOP);
    let alt = format!("Bars of jobs by site, {} sites in all.", sites.len());
    overview.plots.push(Plot { title: "Jobs by site".to_owned(), alt, shape: Shape::Bars(bars) });
    overview.columns.push(column.clone());
    overview.found = true;
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
    let mut names = Names::default();
    let mut open: BTreeMap<&str, Jobs> = BTreeMap::new();
    let buffer = jobs::buffer_bytes(sites.len());
    for site in &sites {
        let name = &site.canonical;
        let page = begun(study, Ok(&column), name, Some(site), &mut names, output)?;
        table.rows.push(vec![
            name.clone().into(),
            site.rows().into(),
            share(site.rows(), total),
            site.spellings.len().into(),
            page.stem.clone().into(),
        ]);
        open.insert(&site.key, Jobs::begin(study, page, buffer, output)?);
    }
    overview.tables.push(table);
    study.progress().step("the jobs of all sites");
    let place = study.names().iter().position(|name| *name == column).unwrap_or_default();
    jobs::read(study, None, |row| {
        let Some(key) = row.get(place).and_then(key) else { return Ok(()) };
        match open.get_mut(key.as_str()) {
            Some(jobs) => jobs.row(row),
            None => Err(jobs::changed()),
        }
    })?;
    for (_, jobs) in open {
        let page = jobs.end(study, true, output)?;
        // Pages are written at once: what they hold is not kept until the last is there.
        output.write(&page)?;
    }
    Ok(vec![overview])
}

/// The page of a site before its rows are read.
fn begun(
    study: &Study<'_>,
    column: Result<&str, &String>,
    requested: &str,
    site: Option<&Site>,
    names: &mut Names,
    output: &Output<'_>,
) -> Result<Page> {
    let name = site.map_or(requested, |site| &site.canonical);
    let mut page = Page {
        stem: format!("jobs_at_{}", names.give(name)),
        title: format!("Jobs at {name}"),
        summary: "The rows of one site as they are released, under all spellings of its name."
            .to_owned(),
        found: site.is_some(),
        ..Page::default()
    };
    output.refuse(&page)?;
    let note = match_note(requested, site);
    page.facts.push(("requested_site", requested.into()));
    page.facts.push(("canonical_site", site.map(|site| site.canonical.clone()).into()));
    page.facts.push(("is_valid_site", site.is_some().into()));
    page.facts.push(("match_note", note.clone().into()));
    page.notes.push(format!("Match: {note}."));
    match column {
        Ok(column) => page.facts.push(("site_column", column.into())),
        Err(why) => page.notes.push(why.clone()),
    }
    let spellings = site.map(|site| site.spellings.clone()).unwrap_or_default();
    page.facts.push(("spellings", json!(spellings)));
    page.columns = study.names();
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
