//! Risk before and after as a page: figures, tables, plots, and what none of them says. Writes no file.

use serde_json::{Value, json};

use super::assessment::{Assessment, Side};
use super::individual::Individual;
use super::{Attacker, Risk, Span};
use crate::report::page::{Page, Show, Table, thousands};
use crate::report::plot::{Bar, Plot, Shape};
use crate::report::write::html::Frame;

/// As many sets of columns are listed.
const SETS_SHOWN: usize = 15;

/// The page.
pub fn page(found: &Assessment) -> Page {
    let after = found.after.as_ref().ok();
    let mut page = Page {
        stem: "risk".to_owned(),
        title: "Re-identification risk".to_owned(),
        summary: summary(found),
        columns: found.columns.clone(),
        found: true,
        ..Page::default()
    };
    let before = &found.before.risk;
    page.figure("rows_before", "Raw rows", before.rows, Show::Count);
    page.figure("uniques_before", "Unique before", before.uniques, Show::Count);
    page.figure("highest_before", "Highest risk before", before.prosecutor.highest, Show::Share);
    page.figure("at_risk_before", "Rows at risk before", before.prosecutor.at_risk, Show::Share);
    if let Some(share) = most_alike(&found.before) {
        page.figure("alike_before", "Known without finding, before", share, Show::Share);
    }
    if let Some(after) = after {
        let risk = &after.risk;
        page.figure("rows_after", "Rows after", risk.rows, Show::Count);
        page.figure("uniques_after", "Unique after", risk.uniques, Show::Count);
        page.figure("highest_after", "Highest risk after", risk.prosecutor.highest, Show::Share);
        page.figure("at_risk_after", "Rows at risk after", risk.prosecutor.at_risk, Show::Share);
        if let Some(share) = most_alike(after) {
            page.figure("alike_after", "Known without finding, after", share, Show::Share);
        }
    }
    page.tables.push(risks(found, after));
    if !found.guarantees.is_empty() {
        page.tables.push(guarantees(found));
    }
    if !found.before.alike.is_empty() {
        page.tables.push(alike(found, after));
    }
    page.tables.push(sizes(&found.before, after));
    page.tables.push(columns(found));
    page.tables.push(sets(found));
    page.plots.push(size_plot("Raw rows by the size of their class", &found.before, found));
    if let Some(after) = after {
        page.plots.push(size_plot("What leaves, by the size of its class", after, found));
    }
    page.plots.push(column_plot(found));
    page.notes = notes(found);
    page
}

/// What stands around it.
pub fn frame(found: &Assessment) -> Frame {
    let short = |text: &str| text.chars().take(16).collect::<String>();
    Frame {
        dataset: found.dataset.clone(),
        facts: vec![
            ("Policy", short(&found.policy_digest), found.policy_digest.clone()),
            ("Data version", short(&found.version), found.version.clone()),
            ("Made", found.when.clone(), String::new()),
        ],
        promise: "What this page is",
        general: vec![
            "Made of counts of raw rows on the custodian's machine. It holds names of columns, counts and shares, \
             and no value of anybody."
                .to_owned(),
            "It is the custodian's: counts of small classes are not for partners.".to_owned(),
        ],
        columns: Vec::new(),
    }
}

/// One sentence for who decides.
fn summary(found: &Assessment) -> String {
    let who = if found.unit.is_some() { "persons" } else { "rows" };
    let count = |n: u64| thousands(&n.to_string());
    let told = |side: &Side| {
        format!(
            "{} of {} classes have one of the {who} only, and {} % of the rows have a chance above {} % to be \
             matched rightly",
            count(side.risk.uniques),
            count(side.risk.classes),
            crate::report::page::decimal(side.risk.prosecutor.at_risk * 100.0, 2),
            crate::report::page::decimal(side.risk.threshold * 100.0, 2),
        )
    };
    let columns = found.columns.join(", ");
    let mut text = format!("Who knows {columns} of somebody: before, {}.", told(&found.before));
    match &found.after {
        Ok(side) => text.push_str(&format!(" After ({}), {}.", side.what, told(side))),
        Err(why) => text.push_str(&format!(" After: {why}.")),
    }
    text
}

/// A measure by name, of one side.
type Measure = (&'static str, &'static str, &'static str, Show, fn(&Risk) -> Value);

const MEASURES: &[Measure] = &[
    ("rows", "Rows", "", Show::Count, |risk| json!(risk.rows)),
    ("classes", "Classes", "rows that look alike", Show::Count, |risk| json!(risk.classes)),
    ("uniques", "Uniques", "classes with one member", Show::Count, |risk| json!(risk.uniques)),
    (
        "prosecutor_highest",
        "Prosecutor, highest",
        "knows that somebody is in the table",
        Show::Share,
        |risk| json!(risk.prosecutor.highest),
    ),
    ("prosecutor_average", "Prosecutor, average", "", Show::Share, |risk| {
        json!(risk.prosecutor.average)
    }),
    (
        "prosecutor_at_risk",
        "Prosecutor, rows at risk",
        "with a chance above the threshold",
        Show::Share,
        |risk| json!(risk.prosecutor.at_risk),
    ),
    (
        "journalist_highest",
        "Journalist, highest",
        "knows somebody of the population",
        Show::Share,
        |risk| json!(risk.journalist.highest),
    ),
    ("journalist_average", "Journalist, average", "", Show::Share, |risk| {
        json!(risk.journalist.average)
    }),
    ("journalist_at_risk", "Journalist, rows at risk", "", Show::Share, |risk| {
        json!(risk.journalist.at_risk)
    }),
    ("marketer", "Marketer", "share of rows matched rightly", Show::Share, |risk| {
        json!(risk.marketer)
    }),
];

fn risks(found: &Assessment, after: Option<&Side>) -> Table {
    let mut table = Table::new(
        "risks",
        "Risk before and after",
        "The chance that a row is matched with the right person, by three attackers.",
        &[
            ("measure", "Measure", Show::Text),
            ("meaning", "Of", Show::Text),
            ("before", "Before", Show::Text),
            ("after", "After", Show::Text),
        ],
    );
    let text = |side: &Side, show: Show, of: fn(&Risk) -> Value| show.text(&of(&side.risk));
    for (_, name, meaning, show, of) in MEASURES {
        let after = after.map_or(Value::Null, |side| text(side, *show, *of).into());
        table.rows.push(vec![
            (*name).into(),
            (*meaning).into(),
            text(&found.before, *show, *of).into(),
            after,
        ]);
    }
    if let Some(population) = found.population {
        let told = |side: &Side| -> Value {
            side.estimate.map_or(Value::Null, |estimate| {
                let uniques = thousands(&format!("{:.0}", estimate.uniques));
                format!("{uniques} ({})", estimate.model.name()).into()
            })
        };
        let all = thousands(&population.to_string());
        table.rows.push(vec![
            "Uniques of the population".into(),
            format!("estimated, of {all}").into(),
            told(&found.before),
            after.map_or(Value::Null, told),
        ]);
    }
    if let Some(weight) = &found.weight {
        let mut row = |name: &str, of: &dyn Fn(&Individual) -> String| {
            let told = |side: &Side| {
                side.individual.map_or(Value::Null, |individual| of(&individual).into())
            };
            let meaning = format!("rows weighted by {weight}");
            table.rows.push(vec![
                name.into(),
                meaning.into(),
                told(&found.before),
                after.map_or(Value::Null, told),
            ]);
        };
        row("Individual, highest", &|risk| share(risk.highest));
        row("Individual, average", &|risk| share(risk.average()));
        row("Individual, rows at risk", &|risk| share(risk.at_risk));
        row("Expected right matches", &|risk| {
            format!("{} rows", crate::report::page::decimal(risk.expected, 1))
        });
    }
    table
}

/// The largest share of rows whose class has one value of a sensitive column.
fn most_alike(side: &Side) -> Option<f64> {
    let shares = side.alike.iter().filter_map(|alike| side.share_alike(&alike.column));
    shares.reduce(f64::max)
}

fn share(share: f64) -> String {
    Show::Share.text(&json!(share))
}

/// What is known of rows whose class has one value.
fn alike(found: &Assessment, after: Option<&Side>) -> Table {
    let mut table = Table::new(
        "homogeneity",
        "Known without finding the row",
        "Rows whose class has one value only of a sensitive column: who knows the class knows the value. A row that is \
         alone in its class is one of them; a missing value is a value.",
        &[
            ("column", "Sensitive column", Show::Token),
            ("rows_before", "Rows before", Show::Count),
            ("share_before", "Share before", Show::Share),
            ("rows_after", "Rows after", Show::Count),
            ("share_after", "Share after", Show::Share),
        ],
    );
    let of = |side: Option<&Side>, column: &str| -> [Value; 2] {
        let rows = side.and_then(|side| side.alike.iter().find(|alike| alike.column == column));
        let share = side.and_then(|side| side.share_alike(column));
        [rows.map_or(Value::Null, |alike| json!(alike.rows)), json!(share)]
    };
    for alike in &found.before.alike {
        let mut row = vec![json!(alike.column)];
        row.extend(of(Some(&found.before), &alike.column));
        row.extend(of(after, &alike.column));
        table.rows.push(row);
    }
    table
}

fn guarantees(found: &Assessment) -> Table {
    let mut table = Table::new(
        "guarantees",
        "Guarantees of the release",
        "What the policy asks of every class, and what the worst class of the released file has.",
        &[
            ("model", "Model", Show::Text),
            ("asked", "Asked", Show::Number),
            ("found", "Found", Show::Number),
        ],
    );
    let rows = found.guarantees.iter();
    table.rows =
        rows.map(|(model, asked, has)| vec![json!(model), json!(asked), json!(has)]).collect();
    table
}

/// A span of sizes, for people.
fn span_name(span: &Span) -> String {
    let count = |n: u64| thousands(&n.to_string());
    match span.to {
        Some(to) if to == span.from => count(to),
        Some(to) => format!("{} to {}", count(span.from), count(to)),
        None => format!("{} and more", count(span.from)),
    }
}

fn sizes(before: &Side, after: Option<&Side>) -> Table {
    let mut table = Table::new(
        "sizes",
        "Sizes of classes",
        "How many classes have so many members, and how many rows are in them.",
        &[
            ("members", "Members", Show::Text),
            ("classes_before", "Classes before", Show::Count),
            ("rows_before", "Rows before", Show::Count),
            ("classes_after", "Classes after", Show::Count),
            ("rows_after", "Rows after", Show::Count),
        ],
    );
    for (at, span) in before.histogram.iter().enumerate() {
        let other = after.and_then(|side| side.histogram.get(at));
        let of = |count: fn(&Span) -> u64| other.map_or(Value::Null, |span| count(span).into());
        table.rows.push(vec![
            span_name(span).into(),
            span.classes.into(),
            span.rows.into(),
            of(|span| span.classes),
            of(|span| span.rows),
        ]);
    }
    table
}

fn columns(found: &Assessment) -> Table {
    let mut table = Table::new(
        "columns",
        "What makes rows unique",
        "Of raw rows, each column by itself. Distinction: distinct values by rows. Separation: pairs of rows \
         that differ. Singled out: rows for which a smallest set of columns that nobody shares has this column.",
        &[
            ("column", "Column", Show::Token),
            ("distinction", "Distinction", Show::Share),
            ("separation", "Separation", Show::Share),
            ("uniques", "Unique alone", Show::Count),
            ("singled_out", "Singled out with it", Show::Count),
            ("score_share", "Share of the scores", Show::Share),
        ],
    );
    for (at, column) in found.columns.iter().enumerate() {
        let alone = found.apart.iter().find(|set| set.columns == [at]);
        let of = |value: Option<Value>| value.unwrap_or(Value::Null);
        table.rows.push(vec![
            column.clone().into(),
            of(alone.map(|set| json!(set.distinction))),
            of(alone.map(|set| json!(set.separation))),
            of(alone.map(|set| json!(set.uniques))),
            of(found.special.columns.get(at).map(|rows| json!(rows))),
            of(found.special.shares.get(at).map(|share| json!(share))),
        ]);
    }
    table
}

fn sets(found: &Assessment) -> Table {
    let note = format!(
        "Smallest sets of at most {} columns whose values one row only has, by how many rows they single out.",
        found.special.columns_max
    );
    let mut table = Table::new(
        "sets",
        "Columns that single rows out together",
        &note,
        &[("columns", "Columns", Show::Token), ("rows", "Rows", Show::Count)],
    );
    let shown = found.special.sets.iter().take(SETS_SHOWN);
    table.rows =
        shown.map(|(set, rows)| vec![found.named(set).join(" + ").into(), json!(rows)]).collect();
    table
}

fn size_plot(title: &str, side: &Side, found: &Assessment) -> Plot {
    let who = if found.unit.is_some() { "persons" } else { "rows" };
    let least = 1.0 / side.risk.threshold;
    let bars = side.histogram.iter().filter(|span| span.rows > 0).map(|span| {
        let at_risk = (span.from as f64) < least;
        let value = span.rows as f64;
        let share = if side.risk.rows == 0 { 0.0 } else { value * 100.0 / side.risk.rows as f64 };
        let who = if span.to == Some(1) { who.trim_end_matches('s') } else { who };
        Bar {
            name: format!("{} {who}", span_name(span)),
            value,
            told: format!("{} ({share:.1} %)", thousands(&span.rows.to_string())),
            marked: if at_risk { value } else { 0.0 },
            rest: false,
        }
    });
    Plot {
        title: title.to_owned(),
        alt: format!(
            "Rows by how many {who} their class has ({}). Marked: a chance above {} %.",
            side.what,
            crate::report::page::decimal(side.risk.threshold * 100.0, 2)
        ),
        shape: Shape::Bars(bars.collect()),
    }
}

fn column_plot(found: &Assessment) -> Plot {
    let mut bars: Vec<Bar> = found
        .columns
        .iter()
        .zip(found.special.columns.iter().zip(&found.special.shares))
        .map(|(column, (rows, share))| Bar {
            name: column.clone(),
            value: share * 100.0,
            told: format!("{:.1} % ({} rows)", share * 100.0, thousands(&rows.to_string())),
            marked: 0.0,
            rest: false,
        })
        .collect();
    bars.sort_by(|one, other| other.value.total_cmp(&one.value));
    Plot {
        title: "Which columns single rows out".to_owned(),
        alt: format!(
            "Each column's share in what singles raw rows out, small sets of columns counting more (sets of at \
             most {} columns).",
            found.special.columns_max
        ),
        shape: Shape::Bars(bars),
    }
}

fn notes(found: &Assessment) -> Vec<String> {
    let mut notes = vec![
        "A class is all rows with the same values in the columns above; a missing value is a value of its own \
         and matches nothing else."
            .to_owned(),
        "These risks assume an attacker who knows exactly these columns of a person, without error. One who \
         knows other columns too finds more: name them with --qi."
            .to_owned(),
    ];
    notes.push(match found.sensitive.is_empty() {
        true => "Whether classes share a sensitive value, so that nobody needs to find the row, was not looked at: no \
                 column is `class: sensitive`, and --sensitive names none."
            .to_owned(),
        false => "Known without finding means certainty. Where most rows of a class have one value, a guess is good all \
                  the same: t-closeness and beta-likeness bound that."
            .to_owned(),
    });
    let left_out: Vec<&str> = (found.sensitive.iter())
        .filter(|name| !found.before.alike.iter().any(|alike| alike.column == **name))
        .map(String::as_str)
        .collect();
    if !left_out.is_empty() {
        notes.push(format!(
            "Values of {} are no single values and were not counted.",
            left_out.join(", ")
        ));
    }
    if let Some(weight) = &found.weight {
        notes.push(format!(
            "Individual risk is by rows: each stands for as many of the population as `{weight}` says, and the \
             population's classes are estimated from that (Benedetti and Franconi 1998, the formula without \
             approximation; sdcMicro). It needs weights of a sample; of a table that holds everybody it says nothing."
        ));
        let after = found.after.as_ref().ok();
        if after.is_some_and(|after| after.individual.is_none()) {
            notes.push(format!(
                "`{weight}` is not in what leaves, so the individual risk after cannot be told."
            ));
        }
    }
    if let Some(unit) = &found.unit {
        notes.push(format!(
            "Members of a class are persons (`{unit}`), not rows; distinction, separation and sets of columns are \
             of rows, so they tell what singles out a row, and not a person of many rows."
        ));
    } else {
        notes.push(
            "Each row is taken for a person of its own: the policy names no unit. Where persons have many rows \
             the risk is higher than it looks here."
                .to_owned(),
        );
    }
    match found.population {
        Some(_) => notes.push(
            "Uniques of the population are estimated by the rule of Dankar et al. (2012) from the classes of the \
             sample, which must be drawn at random; for tables that hold everybody of a group they mean nothing."
                .to_owned(),
        ),
        None => notes.push(
            "No population is known, so the journalist's risk is the prosecutor's: the table is taken for all \
             there are. Where it is a random sample, --population N gives an estimate."
                .to_owned(),
        ),
    }
    if found.before.risk.threshold < 1.0 {
        notes.push(format!(
            "At risk: a chance above {}, which is a class of fewer than {}.",
            found.before.risk.threshold,
            (1.0 / found.before.risk.threshold).ceil()
        ));
    }
    notes
}

/// What an attacker expects, in words, for one line of text.
pub fn line(attacker: &Attacker) -> String {
    format!(
        "highest {:.2} %, average {:.2} %, rows at risk {:.2} %",
        attacker.highest * 100.0,
        attacker.average * 100.0,
        attacker.at_risk * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::write::{html, text};
    use crate::risk::columns::apart;
    use crate::risk::uniques::special;
    use crate::risk::{Alike, Class, Coded, Seen, Shapes, THRESHOLD};

    fn found(after: Result<Side, String>) -> Assessment {
        let table = Coded { columns: &[&[0, 0, 1, 2], &[0, 1, 0, 0]], rows: &[4, 1, 1, 6] };
        let shapes =
            [(1, 2), (4, 1), (6, 1)].map(|(rows, classes)| (Class::of_rows(rows), classes));
        let before = Seen {
            shapes: shapes.into(),
            alike: vec![Alike { column: "pay".to_owned(), rows: 6 }],
            weighted: Some(vec![(1, 10.0), (1, 50.0), (4, 80.0), (6, 60.0)]),
        };
        Assessment {
            dataset: "adult".to_owned(),
            policy_digest: "0123456789abcdef0123".to_owned(),
            version: "fedcba9876543210ffff".to_owned(),
            when: "2026-11-21T11:00:00Z".to_owned(),
            columns: vec!["age".to_owned(), "<sex>".to_owned()],
            unit: None,
            population: Some(100),
            sensitive: vec!["pay".to_owned(), "list".to_owned()],
            weight: Some("fnlwgt".to_owned()),
            before: Side::new("raw rows", &before, THRESHOLD, Some(100)),
            after,
            apart: apart(table, 2),
            special: special(table, 2),
            guarantees: vec![("k".to_owned(), 5.0, Some(6.0))],
        }
    }

    fn released() -> Side {
        let shapes = Shapes::from([(Class::of_rows(6), 2)]);
        let alike = vec![Alike { column: "pay".to_owned(), rows: 0 }];
        Side::new(
            "the pinned release",
            &Seen { shapes, alike, weighted: None },
            THRESHOLD,
            Some(100),
        )
    }

    #[test]
    fn the_page_tells_before_and_after_and_needs_nothing_from_elsewhere() {
        let found = found(Ok(released()));
        let page = page(&found);
        let html = html::framed(&page, &frame(&found)).unwrap();
        for words in
            ["Prosecutor, highest", "100.00 %", "16.67 %", "the pinned release", "&lt;sex&gt;"]
        {
            assert!(html.contains(words), "{words}");
        }
        assert!(
            !html.contains("http://") && !html.contains("https://") && !html.contains("<script")
        );
        assert!(!html.contains("no raw row was read"), "it was");
        assert!(!html.contains("<sex>"));
        let text = text::body(&page);
        assert!(text.contains("Uniques of the population"), "{text}");
        let json = found.json();
        assert_eq!(json["before"]["uniques"], 2);
        assert_eq!(json["after"]["prosecutor"]["highest"], 1.0 / 6.0);
        assert_eq!(json["columns"].as_array().unwrap().len(), 3);
        assert_eq!(json["before"]["population_uniques"]["model"], "Zayatz");
    }

    #[test]
    fn homogeneity_and_weights_are_in_every_form() {
        let found = found(Ok(released()));
        let page = page(&found);
        let html = html::framed(&page, &frame(&found)).unwrap();
        let text = text::body(&page);
        for form in [&html, &text] {
            // Six of the twelve rows before, none after.
            for words in
                ["Known without finding", "50.00 %", "Individual, highest", "Expected right"]
            {
                assert!(form.contains(words), "{words} in {form}");
            }
        }
        assert!(page.notes.iter().any(|note| note.contains("Values of list are no single values")));
        assert!(page.notes.iter().any(|note| note.contains("`fnlwgt` is not in what leaves")));
        let json = found.json();
        let pay = json!({ "column": "pay", "rows": 6, "share": 0.5 });
        assert_eq!(json["before"]["homogeneity"][0], pay);
        assert_eq!(json["after"]["homogeneity"][0]["share"], 0.0);
        assert_eq!(json["before"]["individual"]["population"], 200.0);
        assert_eq!(json["after"]["individual"], Value::Null);
        assert_eq!((&json["weight"], &json["sensitive"][1]), (&json!("fnlwgt"), &json!("list")));
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let found = found(Err("no release is built".to_owned()));
        let page = page(&found);
        assert!(page.summary.contains("After: no release is built."), "{}", page.summary);
        assert_eq!(page.plots.len(), 2);
        assert_eq!(found.json()["after"], Value::Null);
        assert_eq!(found.json()["after_unknown"], "no release is built");
        let text = text::body(&page);
        assert!(text.contains("(null)"), "{text}");
    }
}
