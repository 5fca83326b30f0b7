//! Commands and environments as text, a block a job: wrapped, keys sorted, grouped by a column. They are what
//! the policy lets out (a `scrub` rule, as a rule); this file only lays them out.

use std::io::Write;

use serde_json::Value;

use super::Output;
use super::cell::text;
use super::page::{Page, Show, Table, thousands};
use super::people::label;
use super::roles::Role;
use super::study::{Study, count, quoted};
use super::write::Format;
use crate::error::Result;
use crate::pairs::{sort, told};

/// How commands are laid out.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The column that jobs are grouped by.
    pub group_by: Option<String>,
    /// The most characters of a line.
    pub width: usize,
    /// Lines on the job itself, above its command.
    pub details: bool,
    /// At most so many jobs.
    pub limit: Option<u64>,
}

/// The file's name; earlier tools gave it the same.
const FILE: &str = "cmd_env_report.txt";
/// What `scrub` lets out of an environment that it cannot take apart.
const UNPARSED: &str = "<unparsed>";
/// How many blocks stand in the page itself.
const BLOCKS_SHOWN: usize = 50;

/// What a job's block is made of.
struct Parts {
    group: Option<String>,
    details: Vec<String>,
    command: Option<String>,
    environment: Option<String>,
}

impl Parts {
    fn of(study: &Study<'_>, layout: &Layout) -> Result<Self> {
        let roles = [
            Role::User,
            Role::Ip,
            Role::Site,
            Role::Submit,
            Role::Wall,
            Role::Starts,
            Role::Completions,
        ];
        let column = |role: Role| study.column(role).map(str::to_owned);
        let group = layout.group_by.as_deref().map(|name| study.named(name)).transpose()?;
        let details =
            if layout.details { roles.into_iter().filter_map(column).collect() } else { vec![] };
        Ok(Self {
            group: group.map(str::to_owned),
            details,
            command: column(Role::Command),
            environment: column(Role::Environment),
        })
    }

    /// All columns, in the order in which rows have them.
    fn columns(&self) -> Vec<&String> {
        let fields = [&self.command, &self.environment].into_iter().flatten();
        self.group.iter().chain(&self.details).chain(fields).collect()
    }
}

/// The report.
///
/// # Errors
/// When a column is not released, a statement fails or the file cannot be written.
pub fn report(study: &Study<'_>, layout: &Layout, output: &mut Output<'_>) -> Result<Page> {
    let mut page = Page {
        stem: "cmd_env_report".to_owned(),
        title: "Commands and environments".to_owned(),
        summary: "What each job ran and in which environment, as the policy lets it out."
            .to_owned(),
        found: true,
        ..Page::default()
    };
    output.refuse(&page)?;
    let parts = Parts::of(study, layout)?;
    for (role, column) in [(Role::Command, &parts.command), (Role::Environment, &parts.environment)]
    {
        match column {
            None => page.notes.push(study.missing(role)),
            Some(column) if study.protection(column).starts_with("pseudonym") => {
                let noun = role.noun();
                page.notes.push(format!(
                    "Of {noun} only a stand-in leaves: equal ones are equal. `scrub` would let its text out \
                     without names."
                ));
            }
            Some(_) => {}
        }
    }
    for column in parts.columns() {
        if !page.columns.contains(column) {
            page.columns.push(column.clone());
        }
    }
    if parts.command.is_none() && parts.environment.is_none() {
        page.figure("total_jobs", "Jobs", Value::Null, Show::Count);
        return Ok(page);
    }
    let groups = groups(study, parts.group.as_deref())?;
    if let Some(group) = &parts.group {
        page.tables.push(table(group, &groups));
    }
    let jobs = write(study, layout, &parts, &groups, &mut page, output)?;
    page.figure("total_jobs", "Jobs", jobs, Show::Count);
    if parts.group.is_some() {
        page.figure("groups", "Groups", groups.len(), Show::Count);
    }
    Ok(page)
}

/// The values of the column that jobs are grouped by, the missing one included, with their rows.
fn groups(study: &Study<'_>, column: Option<&str>) -> Result<Vec<(Value, u64)>> {
    let Some(column) = column else { return Ok(Vec::new()) };
    let (name, table) = (quoted(column), study.table());
    let sql =
        format!("SELECT {name}, count(*) FROM {table} GROUP BY {name} ORDER BY {name} NULLS LAST");
    let mut groups = Vec::new();
    study.each(&sql, |[value, rows]| {
        groups.push((value, count(&rows)));
        Ok(())
    })?;
    Ok(groups)
}

fn table(column: &str, groups: &[(Value, u64)]) -> Table {
    let mut table = Table::new(
        "groups",
        "Groups",
        "In the order of the text below; jobs without a value are a group, the last.",
        &[(column, column, Show::Text), ("count", "Jobs", Show::Count)],
    );
    table.rows = groups.iter().map(|(value, rows)| vec![value.clone(), (*rows).into()]).collect();
    table
}

/// Writes the text and keeps the first blocks for the page.
fn write(
    study: &Study<'_>,
    layout: &Layout,
    parts: &Parts,
    groups: &[(Value, u64)],
    page: &mut Page,
    output: &mut Output<'_>,
) -> Result<u64> {
    let mut draft = match output.formats.contains(&Format::Text) {
        true => Some(output.folder.draft(FILE)?),
        false => None,
    };
    // By place: the column that groups may be one of the job's own lines too.
    let columns = parts.columns().into_iter().enumerate();
    let names: Vec<_> = columns.map(|(at, name)| format!("{} AS c{at}", quoted(name))).collect();
    let mut sql = format!("SELECT {} FROM {}", names.join(", "), study.table());
    if parts.group.is_some() {
        // Every column, so that the order is the same each time; the group's missing values last.
        let rest = (1..names.len()).map(|at| format!(", c{at}")).collect::<String>();
        sql.push_str(&format!(" ORDER BY c0 NULLS LAST{rest}"));
    }
    if let Some(limit) = layout.limit {
        sql.push_str(&format!(" LIMIT {limit}"));
    }
    let put = |draft: &mut Option<super::folder::Draft>, text: &str| match draft {
        None => Ok(()),
        Some(draft) => draft.write_all(text.as_bytes()).map_err(|cause| draft.failed(cause)),
    };
    let mut head = super::write::text::head(page, output.meta);
    for note in &page.notes {
        head.push_str(&super::write::text::wrapped(note, layout.width, "", ""));
    }
    put(&mut draft, &head)?;
    let (mut jobs, mut unparsed) = (0_u64, 0_u64);
    let mut last: Option<Value> = None;
    study.rows(study.query(&sql)?, |row| {
        jobs = jobs.saturating_add(1);
        let mut block = String::new();
        let (group, row) = match (&parts.group, row.split_first()) {
            (Some(name), Some((group, rest))) => (Some((name, group)), rest),
            _ => (None, row.as_slice()),
        };
        if let Some((name, group)) = group
            && last.as_ref() != Some(group)
        {
            let rows = groups.iter().find(|(value, _)| value == group).map_or(0, |(_, rows)| *rows);
            let rows = thousands(&rows.to_string());
            let group_name = printable(&label(group));
            block.push_str(&format!("## {name}: {group_name}  (jobs: {rows})\n\n"));
            last = Some(group.clone());
        }
        lay_out(&mut block, parts, jobs, row, layout.width);
        unparsed += u64::from(row.last().and_then(Value::as_str) == Some(UNPARSED));
        put(&mut draft, "\n")?;
        put(&mut draft, &block)?;
        if page.blocks.len() < BLOCKS_SHOWN {
            page.blocks.push(block);
        }
        Ok(())
    })?;
    if parts.environment.is_some() && unparsed > 0 {
        page.figure(
            "unparsed",
            "Environments that could not be taken apart",
            unparsed,
            Show::Count,
        );
        let note = format!(
            "`{UNPARSED}` stands for an environment that has no pairs of key and value: where some keys must \
             stay behind, nothing of it leaves."
        );
        put(
            &mut draft,
            &format!("\n{}", super::write::text::wrapped(&note, layout.width, "", "")),
        )?;
        page.notes.push(note);
    }
    if let Some(draft) = draft {
        output.folder.keep(draft)?;
        page.written.push(FILE.to_owned());
    }
    Ok(jobs)
}

/// One job's block.
fn lay_out(block: &mut String, parts: &Parts, number: u64, row: &[Value], width: usize) {
    block.push_str(&format!("\u{2014} Job #{number} \u{2014}\n"));
    let mut cells = row.iter();
    for (name, value) in parts.details.iter().zip(cells.by_ref()) {
        block.push_str(&format!("{name}: {}\n", printable(&label(value))));
    }
    if let Some(name) = &parts.command {
        let value = cells.next().unwrap_or(&Value::Null);
        block.push_str(&format!("{name}:\n"));
        match value {
            Value::Null => block.push_str("  (none)\n"),
            value => wrap(block, &printable(&text(value)), "  ", "  ", width),
        }
    }
    if let Some(name) = &parts.environment {
        let pairs = pairs(cells.next().unwrap_or(&Value::Null));
        block.push_str(&format!("{name}:\n"));
        if pairs.is_empty() {
            block.push_str("  (none)\n");
        }
        for (key, value) in pairs {
            let (key, value) = (printable(&key), printable(&value));
            let first = if key.is_empty() { "  ".to_owned() } else { format!("  {key}=") };
            let next = " ".repeat(first.chars().count().min(width / 2));
            wrap(block, &value, &first, &next, width);
        }
    }
}

/// A text without what would move a cursor or break a line.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Adds a text in lines of at most `width` characters, broken at blanks where there are any, else behind the
/// commas and colons of lists. Nothing of it but the blanks at the breaks is lost.
fn wrap(out: &mut String, text: &str, first: &str, next: &str, width: usize) {
    let mut rest = text;
    let mut lead = first;
    loop {
        let room = width.saturating_sub(lead.chars().count()).max(8);
        out.push_str(lead);
        let end = rest.char_indices().nth(room).map(|(at, _)| at);
        let Some(end) = end else {
            out.push_str(rest);
            out.push('\n');
            return;
        };
        let (line, _) = rest.split_at(end);
        // A blank right behind the line breaks it too.
        let at_blank = rest.split_at(end).1.starts_with(' ');
        let blank = || line.rfind(' ').filter(|at| *at > 0);
        // A list without blanks is broken behind one of its items.
        let item = || line.rfind([',', ';', ':']).map(|at| at + 1).filter(|at| *at * 2 > end);
        let cut = if at_blank { end } else { blank().or_else(item).unwrap_or(end) };
        let (line, after) = rest.split_at(cut);
        out.push_str(line.trim_end());
        out.push('\n');
        rest = after.trim_start_matches(' ');
        lead = next;
        if rest.is_empty() {
            return;
        }
    }
}

/// The pairs of an environment, in whatever form it leaves: an object, a list of `KEY=value`, or one text.
fn pairs(value: &Value) -> Vec<(String, String)> {
    let mut pairs = match value {
        Value::Object(object) => {
            object.iter().map(|(key, value)| (key.clone(), text(value))).collect()
        }
        Value::Array(items) => items.iter().flat_map(pairs).collect(),
        Value::String(text) => return told(text),
        Value::Null => Vec::new(),
        other => vec![(String::new(), text(other))],
    };
    sort(&mut pairs);
    pairs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(value: Value) -> Vec<(String, String)> {
        pairs(&value)
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn a_comma_in_a_value_breaks_nothing() {
        let text = "EXPERIMENT=gm2 RFCLNAME=a.fcl,b.fcl GRID_USER=user_0001";
        let expected = [
            pair("EXPERIMENT", "gm2"),
            pair("GRID_USER", "user_0001"),
            pair("RFCLNAME", "a.fcl,b.fcl"),
        ];
        assert_eq!(told(json!(text)), expected);
        assert_eq!(told(json!(text.replace(' ', ";"))), expected);
        assert_eq!(told(json!(text.replace(' ', "\n"))), expected);
        assert_eq!(told(json!(format!("\"{text}\""))), expected);
        assert_eq!(
            told(json!("PBS_O_HOME=/h,PBS_O_LANG=C")),
            [pair("PBS_O_HOME", "/h"), pair("PBS_O_LANG", "C")]
        );
        assert_eq!(told(json!("OPTS=a.fcl,b.fcl")), [pair("OPTS", "a.fcl,b.fcl")]);
    }

    #[test]
    fn other_forms_are_understood_too() {
        let expected = [pair("A", "x y"), pair("B", "2")];
        assert_eq!(told(json!({"A": "x y", "B": 2})), expected);
        assert_eq!(told(json!("{\"A\": \"x y\", \"B\": \"2\"}")), expected);
        assert_eq!(told(json!(["A=x y", "B=2"])), expected);
        assert_eq!(told(json!("A='x C=1' B=2")), [pair("A", "x C=1"), pair("B", "2")]);
        assert_eq!(told(json!("no pairs here")), [pair("", "no pairs here")]);
        assert_eq!(told(json!("run B=2")), [pair("", "run B=2")]);
        assert_eq!(told(json!(null)), []);
        assert_eq!(told(json!("")), []);
    }

    #[test]
    fn long_lines_are_wrapped_and_nothing_is_lost() {
        let wrapped = |text: &str, width: usize| {
            let mut out = String::new();
            wrap(&mut out, text, "  K=", "    ", width);
            out
        };
        assert_eq!(wrapped("short", 20), "  K=short\n");
        assert_eq!(wrapped("one two three four", 14), "  K=one two\n    three four\n");
        assert_eq!(wrapped("0123456789abcdef", 14), "  K=0123456789\n    abcdef\n");
        assert_eq!(wrapped("a.fcl,b.fcl,c.fcl", 14), "  K=a.fcl,\n    b.fcl,\n    c.fcl\n");
        let long = "word ".repeat(200) + &"x".repeat(500);
        for line in wrapped(&long, 40).lines() {
            assert!(line.chars().count() <= 40, "{line}");
        }
        let together: String = wrapped(&long, 40).replacen("  K=", "", 1);
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(bare(&together), bare(&long));
    }
}
