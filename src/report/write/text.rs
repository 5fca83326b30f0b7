//! A report for a terminal: headline, figures, tables in columns, notes. Shows all rows that the page holds.

use super::super::page::{Page, Show, Table};
use super::Meta;

/// A table of more columns is not laid out as text.
const COLUMNS_SHOWN: usize = 12;

/// The text.
pub fn page(page: &Page, meta: &Meta) -> String {
    head(page, meta) + &body(page)
}

/// Figures, tables and notes.
pub fn body(page: &Page) -> String {
    let mut text = String::new();
    let widest = page.figures.iter().map(|figure| figure.label.chars().count()).max().unwrap_or(0);
    for figure in &page.figures {
        let told = figure.show.text(&figure.value);
        let told = if told.is_empty() { "(none)" } else { &told };
        text.push_str(&format!("{:widest$}  {told}\n", figure.label));
    }
    for table in &page.tables {
        text.push('\n');
        text.push_str(&table_text(table));
    }
    for block in &page.blocks {
        text.push('\n');
        text.push_str(block);
    }
    if !page.notes.is_empty() {
        text.push_str("\nNotes\n");
        for note in &page.notes {
            text.push_str(&wrapped(note, 96, "- ", "  "));
        }
    }
    text
}

/// Title, whose data, under which policy.
pub fn head(page: &Page, meta: &Meta) -> String {
    let mut text = String::new();
    text.push_str(&page.title);
    text.push('\n');
    text.push_str(&"=".repeat(page.title.chars().count()));
    text.push('\n');
    text.push_str(&wrapped(&page.summary, 98, "", ""));
    text.push('\n');
    let short = |text: &str| text.chars().take(16).collect::<String>();
    let digest = short(&meta.policy.digest);
    let version = meta.version.as_deref().map_or_else(|| "unknown".to_owned(), short);
    text.push_str(&format!(
        "dataset {} | partner {} | policy {digest} | data {version} | made {}\n\n",
        meta.policy.dataset, meta.partner, meta.when
    ));
    text
}

fn table_text(table: &Table) -> String {
    let mut text = format!("{}\n", table.title);
    if !table.note.is_empty() {
        text.push_str(&wrapped(&table.note, 96, "  ", "  "));
    }
    if table.rows.is_empty() {
        text.push_str("  (no rows)\n");
        return text;
    }
    if table.columns.len() > COLUMNS_SHOWN {
        text.push_str(&format!(
            "  {} columns are too wide for a text: see the CSV\n",
            table.columns.len()
        ));
        return text;
    }
    let cell = |show: Show, value: &serde_json::Value| {
        // A control character could move the cursor of a terminal.
        let told: String =
            show.text(value).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if value.is_null() { "(null)".to_owned() } else { told }
    };
    let columns: Vec<(bool, Vec<String>)> = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = table.rows.iter().filter_map(|row| row.get(at));
            let cells = cells.map(|value| cell(column.show, value));
            let all = std::iter::once(column.label.clone()).chain(cells).collect();
            (column.show.is_number(), all)
        })
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .map(|(_, cells)| cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    for line in 0..=table.rows.len() {
        let mut written = String::new();
        for ((right, cells), width) in columns.iter().zip(&widths) {
            let cell = cells.get(line).map_or("", String::as_str);
            written.push_str("  ");
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            if *right {
                written.push_str(&padding);
            }
            written.push_str(cell);
            if !*right {
                written.push_str(&padding);
            }
        }
        text.push_str(written.trim_end());
        text.push('\n');
        if line == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&format!("  {}\n", rule.join("  ")));
        }
    }
    if table.rows_elsewhere > 0 {
        let more = super::super::page::thousands(&table.rows_elsewhere.to_string());
        text.push_str(&format!("  and {more} rows more, in the CSV\n"));
    }
    text
}

/// Words in lines of at most `width` characters; a word that is longer stands alone.
pub fn wrapped(words: &str, width: usize, first: &str, next: &str) -> String {
    let mut text = String::new();
    let mut line = String::from(first);
    let mut empty = true;
    for word in words.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > width {
            text.push_str(&line);
            text.push('\n');
            line = String::from(next);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    if !empty {
        text.push_str(&line);
        text.push('\n');
    }
    text
}
