//! The key `source` as it is written. Looks at no files.

use crate::diagnostic::Span;
use crate::policy::problem::{Problem, Problems};
use crate::policy::read::{self, Fields, Spanned};
use crate::policy::yaml::{Content, Node};
use crate::policy::{FieldType, Source};

/// The keys of `source: {delimited: ...}`.
const DELIMITED_KEYS: &[&str] = &["paths", "delimiter", "header", "quote", "nulls", "columns"];
/// The types of delimited columns.
pub(in crate::policy) const FIELD_TYPES: &[&str] =
    &["text", "integer", "number", "flag", "date", "timestamp"];

/// A source with the places of its columns.
#[derive(Debug)]
pub(in crate::policy) struct RawSource {
    /// The source.
    pub(in crate::policy) source: Source,
    /// Where it stands.
    pub(in crate::policy) span: Span,
    /// Columns of delimited text.
    pub(in crate::policy) columns: Vec<Spanned<String>>,
}

/// Reads the key.
pub(super) fn source(problems: &mut Problems, node: &Node) -> Option<RawSource> {
    let fields = Fields::new(problems, node, "`source`", &["parquet", "delimited"])?;
    match (fields.maybe("parquet"), fields.maybe("delimited")) {
        (Some(parquet), None) => {
            let paths = paths(problems, parquet, "`parquet`")?;
            let source = Source::Parquet { paths };
            Some(RawSource { source, span: node.span, columns: Vec::new() })
        }
        (None, Some(delimited)) => self::delimited(problems, delimited),
        (Some(_), Some(second)) => {
            problems
                .add(
                    Problem::WrongKind,
                    second.span,
                    "a source is `parquet` or `delimited`, not both",
                )
                .help("remove one of them");
            None
        }
        (None, None) => {
            problems
                .add(
                    Problem::MissingKey,
                    node.span,
                    "`source` needs the key `parquet` or `delimited`",
                )
                .help("for a folder of parquet files write {parquet: \"data/jobs\"}");
            None
        }
    }
}

fn paths(problems: &mut Problems, node: &Node, what: &str) -> Option<Vec<String>> {
    let items = read::one_or_more(problems, node, what)?;
    if items.is_empty() {
        problems.add(Problem::WrongKind, node.span, format!("{what} names no path"));
        return None;
    }
    let paths: Vec<_> = items
        .iter()
        .filter_map(|item| {
            let path = read::text(problems, item, "a path")?;
            if path.value.is_empty() {
                problems.add(Problem::WrongKind, path.span, "a path is empty");
                return None;
            }
            if path.value.contains("://") {
                problems
                    .add(
                        Problem::Refused,
                        path.span,
                        format!("`{}` is in an object store", path.value),
                    )
                    .help("this version reads files and folders of its own machine");
                return None;
            }
            Some(path.value)
        })
        .collect();
    (paths.len() == items.len()).then_some(paths)
}

fn delimited(problems: &mut Problems, node: &Node) -> Option<RawSource> {
    let fields = Fields::new(problems, node, "`delimited`", DELIMITED_KEYS)?;
    let files = fields.need(problems, "paths").and_then(|node| paths(problems, node, "`paths`"));
    let delimiter = fields
        .need(problems, "delimiter")
        .and_then(|node| byte(problems, node, "`delimiter`", &[("tab", b'\t')]));
    let header =
        fields.need(problems, "header").and_then(|node| read::flag(problems, node, "`header`"));
    let quote = match fields.maybe("quote") {
        None => Some(Some(b'"')),
        Some(node) if is_word(node, "none") => Some(None),
        Some(node) => byte(problems, node, "`quote`", &[]).map(Some),
    };
    let nulls = fields.maybe("nulls").map_or_else(
        || Some(Vec::new()),
        |node| {
            let items = read::one_or_more(problems, node, "`nulls`")?;
            Some(
                items
                    .iter()
                    .filter_map(|item| read::text(problems, item, "an item of `nulls`"))
                    .map(|text| text.value)
                    .collect(),
            )
        },
    );
    let mut names = Vec::new();
    let mut columns = Vec::new();
    if let Some(node) = fields.need(problems, "columns") {
        for entry in read::map(problems, node, "`columns` of `delimited`").unwrap_or_default() {
            let what = format!("the type of `{}`", entry.key);
            names.push(Spanned::new(entry.key.clone(), entry.key_span));
            if let Some(word) = read::word(problems, &entry.value, &what, FIELD_TYPES) {
                columns.push((entry.key.clone(), field_type(word.value)));
            }
        }
        if names.is_empty() && matches!(node.content, Content::Map(_)) {
            problems.add(Problem::WrongKind, node.span, "`columns` of `delimited` is empty");
        }
    }
    if let (Some(Some(quote)), Some(delimiter)) = (quote, delimiter)
        && quote == delimiter
    {
        problems.add(Problem::Refused, node.span, "`quote` and `delimiter` are the same");
    }
    let source = Source::Delimited {
        paths: files?,
        delimiter: delimiter?,
        header: header?.value,
        quote: quote?,
        nulls: nulls?,
        columns,
    };
    Some(RawSource { source, span: node.span, columns: names })
}

fn is_word(node: &Node, word: &str) -> bool {
    matches!(&node.content, Content::Scalar { text, .. } if text == word)
}

/// One ASCII character, or a word that stands for one.
fn byte(problems: &mut Problems, node: &Node, what: &str, words: &[(&str, u8)]) -> Option<u8> {
    let written = read::text(problems, node, what)?;
    if let Some((_, byte)) = words.iter().find(|(word, _)| *word == written.value) {
        return Some(*byte);
    }
    match written.value.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(*byte),
        _ => {
            let problem = problems.add(
                Problem::WrongKind,
                node.span,
                format!("{what} must be one ASCII character"),
            );
            if written.value == "\\t" {
                problem.help("write `tab`");
            }
            None
        }
    }
}

fn field_type(word: &str) -> FieldType {
    match word {
        "integer" => FieldType::Integer,
        "number" => FieldType::Number,
        "flag" => FieldType::Flag,
        "date" => FieldType::Date,
        "timestamp" => FieldType::Timestamp,
        _ => FieldType::Text,
    }
}
