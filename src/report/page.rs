//! What a report says before anything is written: named numbers, tables, plots and notes. Every format is made
//! of this one model, so that they cannot tell different things. Holds no format.

use serde_json::{Map, Value};

use super::plot::Plot;

/// One report.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The files' name without its end.
    pub stem: String,
    /// The headline.
    pub title: String,
    /// One sentence on what it tells.
    pub summary: String,
    /// Named numbers, for the head of the page and for `meta`.
    pub figures: Vec<Figure>,
    /// Facts that are no numbers, such as a site's canonical spelling, for `meta`.
    pub facts: Vec<(&'static str, Value)>,
    /// Lists in the form that earlier tools gave, first in the JSON.
    pub lists: Map<String, Value>,
    /// The tables; the first is the report's main one.
    pub tables: Vec<Table>,
    /// The plots.
    pub plots: Vec<Plot>,
    /// Text blocks to show as they are.
    pub blocks: Vec<String>,
    /// What a reader has to know: rules, what is missing and why.
    pub notes: Vec<String>,
    /// The released columns that it was made of.
    pub columns: Vec<String>,
    /// Files that the report wrote itself while it read, besides the page; names with their ends.
    pub written: Vec<String>,
    /// Whether what was asked for was there.
    pub found: bool,
}

/// A named number.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its key in `meta`.
    pub key: &'static str,
    /// Its name for people.
    pub label: String,
    /// The value; null where it cannot be told.
    pub value: Value,
    /// How it is written.
    pub show: Show,
}

/// How a column or a figure is written for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// As it is.
    Text,
    /// A stand-in: as it is, in letters of one width.
    Token,
    /// A whole number, with thousands apart.
    Count,
    /// A number with as many digits behind the point as its size needs.
    Number,
    /// A number of per cent, with two digits behind the point.
    Percent,
    /// A share of one, as per cent.
    Share,
    /// Yes or no.
    Flag,
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its key in the JSON.
    pub key: &'static str,
    /// Its headline.
    pub title: String,
    /// In what order it stands, and what is counted.
    pub note: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows, as long as `columns`.
    pub rows: Vec<Vec<Value>>,
    /// Rows that stand only in another file of the report.
    pub rows_elsewhere: u64,
}

/// A column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its key in the JSON and the CSV.
    pub key: String,
    /// Its name for people.
    pub label: String,
    /// How it is written.
    pub show: Show,
}

impl Table {
    /// A table without rows.
    pub fn new(key: &'static str, title: &str, note: &str, columns: &[(&str, &str, Show)]) -> Self {
        let column = |(key, label, show): &(&str, &str, Show)| Column {
            key: (*key).to_owned(),
            label: (*label).to_owned(),
            show: *show,
        };
        Self {
            key,
            title: title.to_owned(),
            note: note.to_owned(),
            columns: columns.iter().map(column).collect(),
            rows: Vec::new(),
            rows_elsewhere: 0,
        }
    }
}

impl Page {
    /// Adds a named number.
    pub fn figure(&mut self, key: &'static str, label: &str, value: impl Into<Value>, show: Show) {
        self.figures.push(Figure { key, label: label.to_owned(), value: value.into(), show });
    }
}

impl Show {
    /// The value as people read it; nothing for null.
    pub fn text(self, value: &Value) -> String {
        match (self, value) {
            (_, Value::Null) => String::new(),
            (Self::Count, Value::Number(number)) => thousands(&number.to_string()),
            (Self::Number, Value::Number(number)) => figure(number.as_f64().unwrap_or(0.0)),
            (Self::Percent, Value::Number(number)) => {
                format!("{:.2} %", number.as_f64().unwrap_or(0.0))
            }
            (Self::Share, Value::Number(number)) => {
                let percent = number.as_f64().unwrap_or(0.0) * 100.0;
                // A share that is there must not read as none.
                let places = if percent > 0.0 && percent < 0.01 { 4 } else { 2 };
                format!("{percent:.places$} %")
            }
            (Self::Flag, Value::Bool(flag)) => if *flag { "yes" } else { "no" }.to_owned(),
            (_, value) => super::cell::text(value),
        }
    }

    /// Whether it stands to the right.
    pub const fn is_number(self) -> bool {
        matches!(self, Self::Count | Self::Number | Self::Percent | Self::Share)
    }
}

/// A number with digits behind the point while it is small.
fn figure(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 10_000.0 => 0,
        size if size >= 100.0 => 1,
        _ => 3,
    };
    decimal(value, places)
}

/// A number with at most so many digits behind the point, and thousands apart.
pub fn decimal(value: f64, places: usize) -> String {
    let text = format!("{value:.places$}");
    match text.split_once('.') {
        None => thousands(&text),
        Some((whole, part)) => match part.trim_end_matches('0') {
            "" => thousands(whole),
            part => format!("{}.{part}", thousands(whole)),
        },
    }
}

/// Digits in groups of three.
pub fn thousands(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    if digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return format!("{sign}{digits}");
    }
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(Show::Count.text(&json!(206_874)), "206,874");
        assert_eq!(Show::Count.text(&json!(12)), "12");
        assert_eq!(Show::Count.text(&json!(-1_000)), "-1,000");
        assert_eq!(Show::Number.text(&json!(1234.56)), "1,234.6");
        assert_eq!(Show::Number.text(&json!(12_345.6)), "12,346");
        assert_eq!(Show::Number.text(&json!(0.0)), "0");
        assert_eq!(Show::Share.text(&json!(0.083_16)), "8.32 %");
        assert_eq!(Show::Share.text(&json!(0.000_01)), "0.0010 %");
        assert_eq!(Show::Share.text(&json!(0.0)), "0.00 %");
        assert_eq!(Show::Flag.text(&json!(false)), "no");
        assert_eq!(Show::Token.text(&json!(null)), "");
    }
}
