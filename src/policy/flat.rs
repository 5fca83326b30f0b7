//! A file of `name: value` lines, read as strictly as a policy; for settings. Knows no setting.

use std::path::Path;
use std::sync::Arc;

use super::problem::{Problem, Problems};
use super::read::{Fields, text};
use super::yaml;
use crate::diagnostic::{Report, SourceFile};

/// One line of such a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The name.
    pub name: String,
    /// The value as written.
    pub value: String,
    /// The number of the line, from 1.
    pub line: usize,
}

/// Reads the values of the names in `known` from the text of the file at `path`.
///
/// # Errors
/// Every problem of the file: an unknown name, one that stands twice, a value that is a list or a map.
pub fn read(path: &Path, content: &str, known: &[&str]) -> Result<Vec<Line>, Report> {
    let file = SourceFile::new(path.display().to_string(), content);
    let mut problems = Problems::new(Arc::clone(&file));
    let lines = match yaml::parse(content, &mut problems) {
        Some(root) => Fields::new(&mut problems, &root, "a settings file", known)
            .map(|fields| lines(&mut problems, &file, &fields, known)),
        None => None,
    };
    match Report::new(problems.into_list()) {
        Some(report) => Err(report),
        None => Ok(lines.unwrap_or_default()),
    }
}

fn lines(
    problems: &mut Problems,
    file: &SourceFile,
    fields: &Fields<'_>,
    known: &[&str],
) -> Vec<Line> {
    let mut lines = Vec::new();
    for name in known {
        let Some(entry) = fields.entry(name) else { continue };
        let Some(value) = text(problems, &entry.value, &format!("`{name}`")) else { continue };
        let (line, _) = file.position(entry.key_span.start);
        lines.push(Line { name: (*name).to_owned(), value: value.value, line });
    }
    if lines.is_empty() && !problems.any_error() {
        problems.add(Problem::WrongKind, None, "a settings file without a setting");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(content: &str) -> Result<Vec<Line>, Vec<String>> {
        read(Path::new("server.yaml"), content, &["listen", "streams_max"]).map_err(|report| {
            report.diagnostics().iter().map(|problem| problem.code.to_owned()).collect()
        })
    }

    #[test]
    fn values_come_as_written_with_their_lines() {
        let lines = read_text("# ours\nlisten: 127.0.0.1:1\nstreams_max: 1e3\n").unwrap();
        let told: Vec<_> =
            lines.iter().map(|l| (l.name.as_str(), l.value.as_str(), l.line)).collect();
        assert_eq!(told, [("listen", "127.0.0.1:1", 2), ("streams_max", "1e3", 3)]);
    }

    #[test]
    fn unknown_names_doubles_and_lists_are_refused() {
        assert_eq!(read_text("lissen: a\n").unwrap_err(), [Problem::UnknownKey.code()]);
        assert_eq!(
            read_text("listen: a\nlisten: b\n").unwrap_err(),
            [Problem::DuplicateKey.code()]
        );
        assert_eq!(read_text("listen: [a]\n").unwrap_err(), [Problem::WrongKind.code()]);
    }
}
