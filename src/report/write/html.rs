//! A report as one page: style and plots inside, no script, nothing from elsewhere, so that it opens from a
//! disk without a network and can be mailed. Every value is escaped.

use std::fmt::Write;

use serde_json::Value;

use super::super::page::{Page, Show, Table, thousands};
use super::Meta;
use crate::error::Result;

const STYLE: &str = include_str!("page.css");

/// The most rows of a table that a page shows; browsers take no more with grace. All are in the CSV.
const ROWS_SHOWN: usize = 500;
/// The most text blocks that a page shows.
const BLOCKS_SHOWN: usize = 50;

/// What stands around a page: whose data it is of, and by whose word it is true.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// The dataset.
    pub dataset: String,
    /// Facts beside the headline: a name, what is shown, and all of it where that is longer.
    pub facts: Vec<(&'static str, String, String)>,
    /// The headline of the last section.
    pub promise: &'static str,
    /// What it says, line by line.
    pub general: Vec<String>,
    /// Columns: what is done to each, and what that leaks.
    pub columns: Vec<(String, String, String)>,
}

impl Frame {
    /// Of a report: made of what a partner gets.
    fn of(page: &Page, meta: &Meta) -> Self {
        let short = |text: &str| text.chars().take(16).collect::<String>();
        let version = meta.version.as_deref().map_or_else(|| "unknown".to_owned(), short);
        let full = meta.version.clone().unwrap_or_default();
        let digest = &meta.policy.digest;
        let general = ["Made of released data only: no raw row was read for it.".to_owned()];
        let used = meta.policy.columns.iter().filter(|column| page.columns.contains(&column.name));
        Self {
            dataset: meta.policy.dataset.clone(),
            facts: vec![
                ("Partner", meta.partner.clone(), String::new()),
                ("Policy", short(digest), digest.clone()),
                ("Data version", version, full),
                ("Made", meta.when.clone(), String::new()),
            ],
            promise: "What the policy guarantees",
            general: general.into_iter().chain(meta.policy.general.iter().cloned()).collect(),
            columns: used
                .map(|column| (column.name.clone(), column.does.clone(), column.leaks.clone()))
                .collect(),
        }
    }
}

/// The page of a report.
///
/// # Errors
/// When a plot cannot be drawn.
pub fn page(page: &Page, meta: &Meta) -> Result<String> {
    framed(page, &Frame::of(page, meta))
}

/// A page of any kind.
///
/// # Errors
/// When a plot cannot be drawn.
pub fn framed(page: &Page, frame: &Frame) -> Result<String> {
    let mut html = String::with_capacity(64 << 10);
    let title = escaped(&page.title);
    // PRIVACY: even a page that was tampered with fetches nothing and runs nothing.
    html.push_str(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<meta \
         name=\"generator\" content=\"Veilflight\">\n",
    );
    put(&mut html, format_args!("<title>{title} \u{b7} {}</title>\n", escaped(&frame.dataset)));
    put(&mut html, format_args!("<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"));
    header(&mut html, page, frame);
    figures(&mut html, page);
    for plot in &page.plots {
        let (name, alt, svg) = (escaped(&plot.title), escaped(&plot.alt), plot.svg()?);
        put(&mut html, format_args!("<section>\n<h2>{name}</h2>\n"));
        put(
            &mut html,
            format_args!("<figure>\n{svg}<figcaption>{alt}</figcaption>\n</figure>\n</section>\n"),
        );
    }
    blocks(&mut html, page);
    // What is wide comes last: it is to look things up in.
    let (wide, narrow): (Vec<_>, Vec<_>) = page.tables.iter().partition(|table| is_wide(table));
    for table in narrow.into_iter().chain(wide) {
        table_section(&mut html, table);
    }
    listed(&mut html, "Notes", page.notes.iter().map(String::as_str));
    guarantees(&mut html, frame);
    html.push_str("</main>\n</body>\n</html>\n");
    Ok(html)
}

fn put(html: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing into a string does not fail.
    let _ = html.write_fmt(text);
}

fn header(html: &mut String, page: &Page, frame: &Frame) {
    put(html, format_args!("<header>\n<p class=\"eyebrow\">{}</p>\n", escaped(&frame.dataset)));
    put(html, format_args!("<h1>{}</h1>\n", escaped(&page.title)));
    put(
        html,
        format_args!("<p class=\"lead\">{}</p>\n<dl class=\"meta\">\n", escaped(&page.summary)),
    );
    for (name, value, full) in &frame.facts {
        let (value, full) = (escaped(value), escaped(full));
        put(html, format_args!("<div><dt>{name}</dt><dd title=\"{full}\">{value}</dd></div>\n"));
    }
    html.push_str("</dl>\n</header>\n");
}

fn figures(html: &mut String, page: &Page) {
    if page.figures.is_empty() {
        return;
    }
    html.push_str("<dl class=\"figures\">\n");
    for figure in &page.figures {
        let told = match &figure.value {
            Value::Null => "\u{2013}".to_owned(),
            value => escaped(&figure.show.text(value)),
        };
        put(html, format_args!("<div><dt>{}</dt><dd>{told}</dd></div>\n", escaped(&figure.label)));
    }
    html.push_str("</dl>\n");
}

/// Whether a table is wider than a page.
fn is_wide(table: &Table) -> bool {
    table.columns.len() > 8
}

fn table_section(html: &mut String, table: &Table) {
    let (title, note) = (escaped(&table.title), escaped(&table.note));
    let wide = if is_wide(table) { " class=\"wide\"" } else { "" };
    put(html, format_args!("<section>\n<h2>{title}</h2>\n<div class=\"scroll\">\n<table{wide}>\n"));
    put(html, format_args!("<caption>{note}</caption>\n<thead><tr>"));
    for column in &table.columns {
        let class = if column.show.is_number() { " class=\"n\"" } else { "" };
        put(html, format_args!("<th scope=\"col\"{class}>{}</th>", escaped(&column.label)));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    if table.rows.is_empty() {
        let wide = table.columns.len().max(1);
        put(html, format_args!("<tr><td colspan=\"{wide}\" class=\"null\">no rows</td></tr>\n"));
    }
    for row in table.rows.iter().take(ROWS_SHOWN) {
        html.push_str("<tr>");
        for (column, value) in table.columns.iter().zip(row) {
            cell(html, column.show, value);
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
    let hidden = table.rows.len().saturating_sub(ROWS_SHOWN) as u64;
    let more = hidden.saturating_add(table.rows_elsewhere);
    if more > 0 {
        let more = thousands(&more.to_string());
        put(
            html,
            format_args!("<p class=\"more\">and {more} rows more, in the CSV and the JSON</p>\n"),
        );
    }
    html.push_str("</section>\n");
}

fn cell(html: &mut String, show: Show, value: &Value) {
    let told = escaped(&show.text(value));
    match (value, show) {
        (Value::Null, _) => html.push_str("<td class=\"null\">null</td>"),
        (_, Show::Token) => put(html, format_args!("<td><code>{told}</code></td>")),
        (Value::Number(number), Show::Share) => {
            let part = number.as_f64().unwrap_or(0.0).clamp(0.0, 1.0);
            put(
                html,
                format_args!(
                    "<td class=\"n\"><span class=\"share\"><meter min=\"0\" max=\"1\" \
                     value=\"{part:.4}\" aria-hidden=\"true\"></meter>{told}</span></td>"
                ),
            );
        }
        (_, show) if show.is_number() => put(html, format_args!("<td class=\"n\">{told}</td>")),
        _ => put(html, format_args!("<td>{told}</td>")),
    }
}

fn blocks(html: &mut String, page: &Page) {
    if page.blocks.is_empty() {
        return;
    }
    html.push_str("<section>\n<h2>Jobs</h2>\n");
    for block in page.blocks.iter().take(BLOCKS_SHOWN) {
        put(html, format_args!("<pre>{}</pre>\n", escaped(block)));
    }
    html.push_str("</section>\n");
}

fn listed<'a>(html: &mut String, title: &str, lines: impl Iterator<Item = &'a str>) {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return;
    }
    put(html, format_args!("<section>\n<h2>{title}</h2>\n<ul>\n"));
    for line in lines {
        put(html, format_args!("<li>{}</li>\n", escaped(line)));
    }
    html.push_str("</ul>\n</section>\n");
}

/// What is promised of the page and the columns that it was made of, and what is not.
fn guarantees(html: &mut String, frame: &Frame) {
    put(html, format_args!("<section class=\"guarantees\">\n<h2>{}</h2>\n<ul>\n", frame.promise));
    for line in &frame.general {
        put(html, format_args!("<li>{}</li>\n", escaped(line)));
    }
    html.push_str("</ul>\n");
    if !frame.columns.is_empty() {
        html.push_str("<dl class=\"columns\">\n");
        for (name, does, leaks) in &frame.columns {
            put(html, format_args!("<dt><code>{}</code></dt><dd>{}", escaped(name), escaped(does)));
            if !leaks.is_empty() {
                put(html, format_args!(" <span class=\"leaks\">{}</span>", escaped(leaks)));
            }
            html.push_str("</dd>\n");
        }
        html.push_str("</dl>\n");
    }
    html.push_str("</section>\n");
}

/// A text that cannot be markup, inside an element or an attribute.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // A browser would not show them, and some it would act on.
            c if c.is_control() && !matches!(c, '\n' | '\t') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
