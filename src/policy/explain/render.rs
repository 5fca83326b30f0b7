//! An explanation as text, Markdown and JSON. Adds no facts.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{ExplainedColumn, Explanation};

/// What views are, in an explanation.
const VIEWS: &str = "queries over the columns that leave, offered under the same grants";

/// The heading over what is estimated.
const EXPECTED: &str = "What to expect of noise";

/// The heading over columns.
const fn columns(explanation: &Explanation) -> &'static str {
    if explanation.noisy { "Columns that statements see" } else { "Columns that leave" }
}

/// The width of text output.
const WIDTH: usize = 100;

/// Aligned and wrapped text for a terminal.
pub fn text(explanation: &Explanation) -> String {
    let mut out = String::new();
    wrap(&mut out, "", &title(explanation));
    wrap(&mut out, "", &format!("Policy digest {}.", explanation.digest));
    section(&mut out, "Who may pull", &grants(explanation));
    section(&mut out, "In general", &explanation.general);
    if !explanation.expected.is_empty() {
        section(&mut out, EXPECTED, &explanation.expected);
    }
    let _ = write!(out, "\n{} ({})\n", columns(explanation), explanation.columns.len());
    for column in &explanation.columns {
        let _ = writeln!(out, "\n  {}", column.name);
        wrap(&mut out, "      ", &facts(column));
        wrap(&mut out, "      ", &column.does);
        wrap(&mut out, "      ", &format!("Still leaks: {}", column.leaks));
    }
    if !explanation.views.is_empty() {
        let _ = write!(out, "\nViews ({}): {VIEWS}\n", explanation.views.len());
    }
    for view in &explanation.views {
        let _ = writeln!(out, "\n  {}", view.name);
        if !view.description.is_empty() {
            wrap(&mut out, "      ", &view.description);
        }
        for line in view.sql.trim().lines() {
            let _ = writeln!(out, "{}", format!("        {line}").trim_end());
        }
    }
    let _ = write!(out, "\nColumns that do not leave ({})\n", explanation.withheld.len());
    if !explanation.withheld.is_empty() {
        wrap(&mut out, "  ", &explanation.withheld.join(", "));
    }
    out
}

/// Markdown for a wiki or a data-protection file.
pub fn markdown(explanation: &Explanation) -> String {
    let mut out = format!("# {}\n\n", explanation.dataset);
    let _ = write!(out, "{}\n\nPolicy digest `{}`.\n", title(explanation), explanation.digest);
    for (heading, lines) in
        [("Who may pull", grants(explanation)), ("In general", explanation.general.clone())]
    {
        let _ = write!(out, "\n## {heading}\n\n");
        for line in lines {
            let _ = writeln!(out, "- {line}");
        }
    }
    if !explanation.expected.is_empty() {
        let _ = write!(out, "\n## {EXPECTED}\n\n");
        for line in &explanation.expected {
            let _ = writeln!(out, "- {line}");
        }
    }
    let _ = write!(out, "\n## {}", columns(explanation));
    let _ = write!(
        out,
        "\n\n| column | protection | what is done | what still leaks |\n\
         | --- | --- | --- | --- |\n"
    );
    for column in &explanation.columns {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} |",
            cell(&column.name),
            cell(&facts(column)),
            cell(&column.does),
            cell(&column.leaks)
        );
    }
    if !explanation.views.is_empty() {
        let _ = write!(out, "\n## Views\n\nThey are {VIEWS}.\n");
    }
    for view in &explanation.views {
        let _ = write!(out, "\n### {}\n\n", view.name);
        if !view.description.is_empty() {
            let _ = write!(out, "{}\n\n", view.description);
        }
        let _ = write!(out, "```sql\n{}\n```\n", view.sql.trim());
    }
    out.push_str("\n## Columns that do not leave\n\n");
    if explanation.withheld.is_empty() {
        out.push_str("None.\n");
    }
    for name in &explanation.withheld {
        let _ = writeln!(out, "- {}", cell(name));
    }
    out
}

/// JSON with stable keys; unknown types are null.
pub fn json(explanation: &Explanation) -> String {
    let columns: Vec<Value> = explanation
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "protection": column.protection,
                "class": column.class,
                "exposure": column.exposure,
                "type_raw": column.type_raw,
                "type_leaving": column.type_leaving,
                "does": column.does,
                "leaks": column.leaks,
            })
        })
        .collect();
    let views: Vec<Value> = explanation
        .views
        .iter()
        .map(|view| json!({ "name": view.name, "description": view.description, "sql": view.sql }))
        .collect();
    let object = json!({
        "dataset": explanation.dataset,
        "description": explanation.description,
        "partner": explanation.partner,
        "digest": explanation.digest,
        "grants": explanation.grants,
        "general": explanation.general,
        "noisy": explanation.noisy,
        "expected": explanation.expected,
        "columns": columns,
        "views": views,
        "withheld": explanation.withheld,
    });
    format!("{object:#}\n")
}

fn title(explanation: &Explanation) -> String {
    let whom = match &explanation.partner {
        Some(partner) => format!("What `{partner}` gets of `{}`.", explanation.dataset),
        None => format!("What partners get of `{}`.", explanation.dataset),
    };
    match explanation.description.trim_end_matches('.') {
        "" => whom,
        description => format!("{whom} {description}."),
    }
}

fn grants(explanation: &Explanation) -> Vec<String> {
    if explanation.grants.is_empty() {
        return vec![match &explanation.partner {
            Some(partner) => format!(
                "`{partner}` has no grant, so nothing leaves to them; what follows is what a grant \
                 of rows would give."
            ),
            None => "Nobody: nothing leaves.".to_owned(),
        }];
    }
    explanation.grants.clone()
}

/// Protection, class, exposure and types in one line.
fn facts(column: &ExplainedColumn) -> String {
    let mut facts = column.protection.clone();
    if let Some(class) = column.class {
        let _ = write!(facts, "; {class}");
    }
    let _ = write!(facts, "; seen: {}", column.exposure);
    match (&column.type_raw, &column.type_leaving) {
        (Some(raw), Some(leaving)) if raw == leaving => {
            let _ = write!(facts, "; {raw}");
        }
        (Some(raw), Some(leaving)) => {
            let _ = write!(facts, "; {raw} become {leaving}");
        }
        _ => {}
    }
    facts
}

fn section(out: &mut String, heading: &str, lines: &[String]) {
    let _ = write!(out, "\n{heading}\n");
    for line in lines {
        let mut wrapped = String::new();
        wrap(&mut wrapped, "    ", line);
        // The first indentation makes place for the dash.
        out.push_str("  - ");
        out.push_str(wrapped.trim_start());
    }
}

/// Writes words, as many a line as fit.
fn wrap(out: &mut String, indent: &str, text: &str) {
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width == 0 {
            out.push_str(indent);
            width = indent.len() + length;
        } else if width + 1 + length > WIDTH {
            out.push('\n');
            out.push_str(indent);
            width = indent.len() + length;
        } else {
            out.push(' ');
            width += 1 + length;
        }
        out.push_str(word);
    }
    out.push('\n');
}

/// Text inside a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
