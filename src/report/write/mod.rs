//! A report in its formats. All are made of the same [`Page`]; this file chooses the names and says what stands
//! beside the figures: whose data, under which policy, of when.

use serde_json::{Map, Value, json};

use super::folder::Folder;
use super::page::{Page, Table};
use crate::error::Result;
use crate::policy::explain::Explanation;

pub mod csv;
pub mod html;
pub mod json;
pub mod text;

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// One object: lists, rows, meta, notes.
    Json,
    /// One file a table.
    Csv,
    /// For a terminal.
    Text,
    /// One page that needs no network.
    Html,
}

impl Format {
    /// All formats.
    pub const ALL: &[Self] = &[Self::Json, Self::Csv, Self::Text, Self::Html];

    /// The end of its files' names.
    pub const fn end(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Text => "txt",
            Self::Html => "html",
        }
    }
}

/// Whose data, under which policy, of when.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The partner.
    pub partner: String,
    /// The version of the data, where it is known.
    pub version: Option<String>,
    /// When the report was made, as ISO 8601 in UTC.
    pub when: String,
    /// What the policy does.
    pub policy: Explanation,
}

impl Meta {
    /// As an object, the figures and facts of a page included.
    pub fn json(&self, page: &Page) -> Value {
        let mut meta = Map::new();
        meta.insert("dataset".to_owned(), self.policy.dataset.clone().into());
        meta.insert("partner".to_owned(), self.partner.clone().into());
        meta.insert("policy_digest".to_owned(), self.policy.digest.clone().into());
        meta.insert("data_version".to_owned(), self.version.clone().into());
        meta.insert("made".to_owned(), self.when.clone().into());
        meta.insert("columns".to_owned(), json!(page.columns));
        for (key, value) in &page.facts {
            meta.insert((*key).to_owned(), value.clone());
        }
        for figure in &page.figures {
            meta.insert(figure.key.to_owned(), figure.value.clone());
        }
        Value::Object(meta)
    }
}

/// The names of the files that a page becomes, without those that the report writes itself.
pub fn names(page: &Page, formats: &[Format]) -> Vec<(Format, Option<usize>, String)> {
    let mut names = Vec::new();
    for format in formats {
        let mut name = |table: Option<(usize, &Table)>| {
            let key = match table {
                Some((at, table)) if at > 0 => format!("-{}", table.key),
                _ => String::new(),
            };
            let name = format!("{}{key}.{}", page.stem, format.end());
            if !page.written.contains(&name) {
                names.push((*format, table.map(|(at, _)| at), name));
            }
        };
        match format {
            Format::Csv => page.tables.iter().enumerate().for_each(|table| name(Some(table))),
            _ => name(None),
        }
    }
    names
}

/// Writes a page in all formats.
///
/// # Errors
/// When a file is there already, or cannot be written.
pub fn write(page: &Page, meta: &Meta, formats: &[Format], folder: &mut Folder) -> Result<()> {
    for (format, table, name) in names(page, formats) {
        let content = match (format, table.and_then(|at| page.tables.get(at))) {
            (Format::Csv, Some(table)) => csv::table(table)?,
            (Format::Csv, None) => continue,
            (Format::Json, _) => json::page(page, meta)?,
            (Format::Text, _) => text::page(page, meta).into_bytes(),
            (Format::Html, _) => html::page(page, meta)?.into_bytes(),
        };
        folder.write(&name, &content)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
