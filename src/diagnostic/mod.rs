//! How we talk to people who write files: problems with a place, help, and "did you mean".
//!
//! A [`Diagnostic`] is one problem; a [`Report`] is a non-empty list of them, so that an author sees
//! every mistake at once. [`render`] turns them into text for people or JSON for machines. Nothing
//! here knows what a policy is.

use std::fmt;
use std::sync::Arc;

pub mod render;
mod suggest;
#[cfg(test)]
mod tests;

pub use suggest::{did_you_mean, no_policy_has};

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, but its author should look again.
    Warning,
}

impl Severity {
    /// The word that JSON output uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A range of bytes in a file, the end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// A span from two byte offsets.
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }
}

/// A file as it was read, kept so that problems can show their lines.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    name: String,
    text: String,
}

impl SourceFile {
    /// A file with the name that people know it by.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }

    /// The name that people know it by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, both from 1; columns count characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        let before = self.text.get(..byte).unwrap_or_default();
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before.get(start..).unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The span up to the end of its first line: long values are shown by their beginning.
    pub(crate) fn first_line(&self, span: Span) -> Span {
        let rest = self.text.get(span.start..span.end).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default().trim_end();
        Span::new(span.start, span.start + line.len())
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code, such as `P022`.
    pub code: &'static str,
    /// What is wrong: lower case, no full stop, the author's words in backticks.
    pub message: String,
    /// The file, where there is one.
    pub file: Option<Arc<SourceFile>>,
    /// Where in the file.
    pub span: Option<Span>,
    /// Words under the marked place.
    pub label: Option<String>,
    /// Another place that has to do with it, and words for it.
    pub other: Option<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem with a place.
    pub fn new(
        severity: Severity,
        code: &'static str,
        file: &Arc<SourceFile>,
        span: Option<Span>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            code,
            message: message.into(),
            file: Some(Arc::clone(file)),
            span,
            label: None,
            other: None,
            help: None,
        }
    }

    /// Words under the marked place.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = Some(label.into());
        self
    }

    /// What to do.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Another place that has to do with it.
    pub fn other(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.other = Some((span, label.into()));
        self
    }

    /// Whether the file cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Sorts problems as people read a file: from its top, errors before warnings at the same place.
pub fn sort(diagnostics: &mut [Diagnostic]) {
    diagnostics.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.span.map_or(0, |span| span.start), d.severity, d.code);
        key(a).cmp(&key(b))
    });
}

/// Why a file was refused: at least one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Vec<Diagnostic>);

impl Report {
    /// A report of these problems; `None` when there are none.
    pub fn new(mut diagnostics: Vec<Diagnostic>) -> Option<Self> {
        sort(&mut diagnostics);
        (!diagnostics.is_empty()).then_some(Self(diagnostics))
    }

    /// The problems from the top of the file.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }

    /// The problems, given away.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        self.0
    }
}

impl From<Diagnostic> for Report {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(render::human(&self.0, false).trim_end())
    }
}

impl std::error::Error for Report {}

impl From<Report> for crate::Error {
    fn from(report: Report) -> Self {
        let file = report.0.first().and_then(|first| first.file.clone());
        let name = file.map_or_else(|| "a policy".to_owned(), |file| file.name().to_owned());
        Self::new(crate::error::Code::Policy, format!("`{name}` is not valid")).because(report)
    }
}
