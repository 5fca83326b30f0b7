//! Problems as text for people and as JSON for machines. Writes nothing by itself.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use super::{Diagnostic, Severity, Span};

/// Problems for people: message, place, the marked line, help. Empty for no problems.
pub fn human(diagnostics: &[Diagnostic], colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&one(diagnostic, &renderer));
        out.push_str("\n\n");
    }
    out
}

fn one(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(printable(&diagnostic.message)).id(diagnostic.code);
    let mut group = Group::with_title(title);
    if let Some(file) = &diagnostic.file {
        match diagnostic.span {
            Some(span) => {
                let primary = AnnotationKind::Primary.span(range(file.first_line(span)));
                let mut snippet = Snippet::source(file.text())
                    .path(file.name())
                    .annotation(primary.label(diagnostic.label.as_deref().map(printable)));
                if let Some((other, label)) = &diagnostic.other {
                    let context = AnnotationKind::Context.span(range(file.first_line(*other)));
                    snippet = snippet.annotation(context.label(printable(label)));
                }
                group = group.element(snippet);
            }
            None => group = group.element(Origin::path(file.name())),
        }
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    let text = renderer.render(&[group]);
    // Trailing blanks would make snapshots and diffs of reports hard to read.
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn range(span: Span) -> std::ops::Range<usize> {
    span.start..span.end.max(span.start)
}

/// A file's author may have put control characters into a word; a terminal must not obey them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// All problems as one JSON array.
pub fn json(diagnostics: &[Diagnostic]) -> String {
    let list: Vec<Value> = diagnostics.iter().map(object).collect();
    format!("{:#}\n", Value::Array(list))
}

/// One JSON object a line.
pub fn json_lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| format!("{}\n", object(diagnostic))).collect()
}

/// One problem as a JSON object; a missing part is null.
pub fn object(diagnostic: &Diagnostic) -> Value {
    let place = diagnostic.file.as_ref().zip(diagnostic.span).map(|(file, span)| {
        let (line, column) = file.position(span.start);
        let (end_line, end_column) = file.position(span.end);
        json!({
            "line": line, "column": column, "end_line": end_line, "end_column": end_column,
            "start_byte": span.start, "end_byte": span.end,
        })
    });
    json!({
        "severity": diagnostic.severity.as_str(),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "file": diagnostic.file.as_ref().map(|file| file.name()),
        "place": place,
        "label": diagnostic.label,
        "help": diagnostic.help,
    })
}
